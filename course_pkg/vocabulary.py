"""Words and subwords behind one interface, both on Hugging Face ``tokenizers``.

Every word is encoded with the space before it as ``▁``, so decoding gives the text back: accents, apostrophes and
capitals included. Runs of white space become one space and Unicode is composed (NFC) first. Chapters 1 and 7.
"""

import json
import unicodedata
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, final

from tokenizers import Encoding, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from course_pkg.notation import CourseError

__all__ = [
    "BOS",
    "EOS",
    "PAD",
    "SPECIAL",
    "UNK",
    "Pieces",
    "SubwordVocabulary",
    "Vocabulary",
    "WordVocabulary",
    "backwards",
]

PAD, BOS, EOS, UNK = 0, 1, 2, 3
SPECIAL = ("<pad>", "<s>", "</s>", "<unk>")
SPACE = "▁"


@dataclass(frozen=True)
class Pieces:
    """A text as the model sees it, EOS last.

    Attributes:
        ids: token ids.
        tokens: how each token is shown to a reader.
        words: index of the white-space word that each token belongs to; ``None`` for EOS.
    """

    ids: tuple[int, ...]
    tokens: tuple[str, ...]
    words: tuple[int | None, ...]

    def __len__(self) -> int:
        return len(self.ids)


def clean(text: str) -> str:
    """Composed Unicode (NFC), one space between words; ``▁`` itself becomes ``_``, half a surrogate pair ``?``."""
    text = text.encode("utf-8", "replace").decode("utf-8")
    return " ".join(unicodedata.normalize("NFC", text).replace(SPACE, "_").split())


def backwards(tokens: Sequence[int]) -> tuple[int, ...]:
    """A sentence's ids or positions from the last word to the first, EOS staying last; its own inverse.

    Sutskever et al. 2014 (§3.3) let the encoder read the source so. Chapter 2.
    """
    return (*tokens[-2::-1], *tokens[-1:])


class Vocabulary(ABC):
    """Text to ids and back. Ids 0 to 3 are padding, BOS, EOS and UNK."""

    kind: ClassVar[str]

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    def __len__(self) -> int:
        return self._tokenizer.get_vocab_size()

    def encode(self, text: str) -> Pieces:
        """The text's tokens, EOS last."""
        return self.encode_all([text])[0]

    def encode_all(self, texts: Sequence[str]) -> list[Pieces]:
        """`encode` for many texts at once, on every core."""
        words = [clean(text).split() for text in texts]
        return [self._pieces(e) for e in self._tokenizer.encode_batch(words, is_pretokenized=True)]

    def _pieces(self, encoding: Encoding) -> Pieces:
        ids = (*encoding.ids, EOS)
        return Pieces(ids, tuple(map(self.show, ids)), (*encoding.word_ids, None))

    def decode(self, ids: Iterable[int]) -> str:
        """The text of token ids; padding, BOS and EOS are left out, UNK is shown as ``<unk>``."""
        kept = [self._written(i) for i in ids if i not in (PAD, BOS, EOS)]
        return "".join(kept).replace(SPACE, " ").strip()

    def generated(self, ids: Sequence[int]) -> Pieces:
        """Tokens that a model wrote, with the words they make up."""
        words: list[int | None] = []
        word = -1
        for i in ids:
            if i == EOS:
                words.append(None)
                continue
            word += self._written(i).startswith(SPACE) or word < 0
            words.append(word)
        return Pieces(tuple(ids), tuple(map(self.show, ids)), tuple(words))

    def token(self, index: int) -> str:
        """The entry of the vocabulary with this id, as stored."""
        return str(self._tokenizer.id_to_token(index))

    @abstractmethod
    def show(self, index: int) -> str:
        """How the token is shown to a reader."""

    @abstractmethod
    def _written(self, index: int) -> str:
        """The token's characters, ``▁`` standing for the space before it."""

    def to_json(self) -> dict[str, object]:
        """Everything needed to build the vocabulary again with `from_json`."""
        return {"kind": self.kind, "tokenizer": json.loads(self._tokenizer.to_str())}

    @staticmethod
    def from_json(stored: dict[str, object]) -> "Vocabulary":
        """The vocabulary that `to_json` described."""
        kinds: dict[str, type[Vocabulary]] = {"word": WordVocabulary, "subword": SubwordVocabulary}
        try:
            kind, tokenizer = kinds[str(stored["kind"])], Tokenizer.from_str(json.dumps(stored["tokenizer"]))
        except Exception as error:  # the library raises bare Exception
            raise CourseError(f"Not a stored vocabulary ({error}): train it again or take another copy.") from error
        if tuple(map(tokenizer.id_to_token, range(len(SPECIAL)))) != SPECIAL:
            raise CourseError(f"Not a vocabulary of this package: its first entries are not {' '.join(SPECIAL)}.")
        return kind(tokenizer)


@final
class WordVocabulary(Vocabulary):
    """The most frequent words, everything else UNK; punctuation and elided articles (``l'``) are words of their own.

    Bahdanau et al. 2015 keep the 30,000 most frequent (§4.1); ``size`` counts the four special tokens too,
    as GroundHog's 30,000 counts its own.
    """

    kind = "word"
    _letters = r"[\p{L}\p{M}\p{N}_]+"
    _word = rf"{SPACE}?{_letters}(?:-{_letters})*['’]?|{SPACE}?[^\p{{L}}\p{{M}}\p{{N}}_\s{SPACE}]"

    @classmethod
    def train(cls, texts: Iterable[str], *, size: int) -> "WordVocabulary":
        """Keep the ``size - 4`` most frequent words; ties in alphabetical order."""
        splitter = cls._blank({})
        counts: Counter[str] = Counter()
        for text in texts:
            for word in clean(text).split():
                counts.update(piece for piece, _ in splitter.pre_tokenizer.pre_tokenize_str(word))
        ranked = sorted(counts, key=lambda word: (-counts[word], word))[: max(0, size - len(SPECIAL))]
        return cls(cls._blank({word: index for index, word in enumerate([*SPECIAL, *ranked])}))

    @classmethod
    def _blank(cls, entries: dict[str, int]) -> Tokenizer:
        tokenizer = Tokenizer(models.WordLevel(entries, unk_token=SPECIAL[UNK]))
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Metaspace(prepend_scheme="always"),
                pre_tokenizers.Split(Regex(cls._word), "isolated"),
            ]
        )
        tokenizer.decoder = decoders.Metaspace()
        return tokenizer

    def show(self, index: int) -> str:
        """The word without its ``▁``."""
        return self.token(index).removeprefix(SPACE)

    def _written(self, index: int) -> str:
        return SPACE + SPECIAL[UNK] if index == UNK else self.token(index)


@final
class SubwordVocabulary(Vocabulary):
    """Byte-pair encoding (Sennrich et al. 2016): frequent words whole, rare ones in pieces; chapter 7.

    A character that training never saw is UNK.
    """

    kind = "subword"

    @classmethod
    def train(cls, texts: Iterable[str], *, size: int) -> "SubwordVocabulary":
        """Merge the most frequent pairs until there are ``size`` entries, special tokens included."""
        tokenizer = Tokenizer(models.BPE(unk_token=SPECIAL[UNK]))
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
        tokenizer.decoder = decoders.Metaspace()
        trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=list(SPECIAL), show_progress=False)
        tokenizer.train_from_iterator(map(cls._without_special, texts), trainer)
        stored = json.loads(tokenizer.to_str())
        stored["added_tokens"] = []  # a reader's literal "</s>" must stay text
        return cls(Tokenizer.from_str(json.dumps(stored)))

    @staticmethod
    def _without_special(text: str) -> str:
        """The text with a literal ``</s>`` taken apart, lest merges spell out a special token."""
        text = clean(text)
        for token in SPECIAL:
            text = text.replace(token, " ".join(token))
        return text

    def show(self, index: int) -> str:
        """The piece; ``▁`` marks where a word begins."""
        return self.token(index)

    def _written(self, index: int) -> str:
        return self.token(index)
