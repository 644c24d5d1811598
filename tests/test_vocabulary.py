"""Text to ids and back without loss, whatever a reader types."""

import json
import unicodedata
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from course_pkg import toy
from course_pkg.notation import CourseError
from course_pkg.vocabulary import BOS, EOS, PAD, SPECIAL, UNK, SubwordVocabulary, Vocabulary, WordVocabulary, backwards

TEXTS = [
    "Une femme qui ne voit pas le chien noir lance un frisbee à l'enfant.",
    "Où est-elle ? Là-bas, près d’un café ; il est 3,5 fois plus « grand » qu'Éric (ou ÇA) !",
    "A woman who doesn't see the black dog throws a frisbee: well-known, isn't it?",
    "L'été, l’œuvre naïve coûte 20 € — aujourd'hui ou ce week-end…",
]
CHARACTERS = sorted(set("".join(TEXTS)) - {" "})
WORDS = sorted({word for text in TEXTS for word in text.split()})

subword = SubwordVocabulary.train(TEXTS * 3, size=140)
word = WordVocabulary.train(TEXTS, size=200)
BOTH = pytest.mark.parametrize("vocabulary", [subword, word], ids=["subword", "word"])

words_of_known_characters = st.lists(st.text(CHARACTERS, min_size=1, max_size=8), max_size=8)
strange_text = st.text(
    st.one_of(
        st.characters(),
        st.sampled_from("▁_ \t\u00a0\u200b\u200d\u202e\u2028\x00\x07\x1c\x85é'’-<>/s😀👩‍🚀🇫🇷مرحبا\u0301\ud800\ufeff"),
    )
)


@given(words_of_known_characters, st.sampled_from(["NFC", "NFD"]), st.sampled_from([" ", "  ", "\u00a0", "\n"]))
def test_subwords_give_every_text_of_known_characters_back(words: list[str], form: str, space: str) -> None:
    text = unicodedata.normalize(form, space.join(words))
    pieces = subword.encode(text)
    assert subword.decode(pieces.ids) == unicodedata.normalize("NFC", " ".join(words))
    assert UNK not in pieces.ids


@given(st.lists(st.sampled_from(WORDS), max_size=8))
def test_words_give_every_text_of_known_words_back(words: list[str]) -> None:
    pieces = word.encode(" ".join(words))
    assert word.decode(pieces.ids) == " ".join(words)
    assert UNK not in pieces.ids


@BOTH
@pytest.mark.parametrize("text", TEXTS)
def test_accents_apostrophes_and_capitals_survive(vocabulary: Vocabulary, text: str) -> None:
    assert vocabulary.decode(vocabulary.encode(text).ids) == text
    decomposed = vocabulary.encode(unicodedata.normalize("NFD", text))
    assert decomposed == vocabulary.encode(text)


@BOTH
@settings(suppress_health_check=[HealthCheck.too_slow])
@given(text=strange_text)
def test_any_text_is_answered(vocabulary: Vocabulary, text: str) -> None:
    pieces = vocabulary.encode(text)
    assert len(pieces) == len(pieces.ids) == len(pieces.tokens) == len(pieces.words)
    assert pieces.ids[-1] == EOS and pieces.words[-1] is None
    assert not {PAD, BOS, EOS} & set(pieces.ids[:-1])
    assert all(0 <= i < len(vocabulary) for i in pieces.ids)
    # every white-space word has a token, in order
    assert list(dict.fromkeys(pieces.words[:-1])) == list(range(len(text.split())))
    assert list(pieces.words[:-1]) == sorted(pieces.words[:-1])
    vocabulary.decode(pieces.ids)
    vocabulary.generated(pieces.ids)


@BOTH
@pytest.mark.parametrize("text", ["😀 🇫🇷", "مرحبا", "\x00\x07", "日本", "\u200b"])
def test_unknown_characters_become_unk(vocabulary: Vocabulary, text: str) -> None:
    pieces = vocabulary.encode(text)
    assert UNK in pieces.ids
    assert "<unk>" in vocabulary.decode(pieces.ids)


LITERAL = ["</s>", "<unk>", "<pad>", "<s>", "a</s>b", "x<unk> y</s>", "▁<unk>", "<s><s>"]


@pytest.mark.parametrize("text", LITERAL)
def test_what_looks_like_a_special_token_stays_text(text: str) -> None:
    # Trained on such text as well: merges must not spell a special token out.
    texts = LITERAL * 20 + ["_ < > / p a d u n k"]
    for vocabulary in (SubwordVocabulary.train(texts, size=300), WordVocabulary.train(texts, size=300)):
        pieces = vocabulary.encode(text)
        assert not set(range(4)) & set(pieces.ids[:-1])
        assert vocabulary.decode(pieces.ids) == text.replace("▁", "_")
        unknown = vocabulary.encode("日")
        assert UNK in unknown.ids and unknown.ids[-1] == EOS
        entries = [vocabulary.token(i) for i in range(len(SPECIAL), len(vocabulary))]
        assert not any(special in entry for entry in entries for special in SPECIAL)


@pytest.mark.parametrize("token", SPECIAL)
def test_a_literal_special_token_is_not_special_to_a_vocabulary_that_never_saw_it(token: str) -> None:
    for vocabulary in (subword, word):
        assert not {PAD, BOS, EOS} & set(vocabulary.encode(token).ids[:-1])


def test_the_mark_of_a_space_becomes_an_underscore() -> None:
    vocabulary = SubwordVocabulary.train(["a_b _"], size=20)
    assert vocabulary.decode(vocabulary.encode("a▁b ▁").ids) == "a_b _"
    assert vocabulary.encode("a▁b").words == (0,) * (len(vocabulary.encode("a▁b")) - 1) + (None,)


@BOTH
def test_special_tokens_have_the_first_ids(vocabulary: Vocabulary) -> None:
    assert tuple(map(vocabulary.token, range(4))) == SPECIAL
    assert (PAD, BOS, EOS, UNK) == (0, 1, 2, 3)
    assert vocabulary.decode([BOS, PAD, EOS]) == ""


@BOTH
@given(words=st.lists(st.sampled_from(WORDS), max_size=8))
def test_what_is_written_has_the_words_of_what_is_read(vocabulary: Vocabulary, words: list[str]) -> None:
    pieces = vocabulary.encode(" ".join(words))
    assert vocabulary.generated(pieces.ids) == pieces


def test_a_first_piece_without_a_space_still_opens_a_word() -> None:
    inside = next(i for i in range(4, len(subword)) if not subword.token(i).startswith("▁"))
    assert subword.generated([inside, inside, EOS]).words == (0, 0, None)
    assert subword.generated([]).words == ()


def test_words_and_their_tokens() -> None:
    pieces = word.encode("L'été, isn't zyx !")
    assert pieces.tokens == ("L'", "été", ",", "isn'", "t", "<unk>", "!", "</s>")
    assert pieces.words == (0, 0, 0, 1, 1, 2, 3, None)
    assert word.encode("l’œuvre d’un").tokens == ("l’", "œuvre", "d’", "un", "</s>")
    assert word.encode("week-end… (ou ÇA)").tokens == ("week-end", "…", "(", "ou", "ÇA", ")", "</s>")


@BOTH
def test_many_texts_at_once_are_the_texts_one_by_one(vocabulary: Vocabulary) -> None:
    texts = [*TEXTS, "", "  ", "😀"]
    assert vocabulary.encode_all(texts) == [vocabulary.encode(text) for text in texts]
    assert vocabulary.encode("").ids == vocabulary.encode(" \n").ids == (EOS,)


# Which entries a vocabulary keeps


def test_the_most_frequent_words_are_kept_and_ties_are_alphabetical() -> None:
    texts = ["d c c b", "b a a a", "e, e,"]
    counts = Counter({"▁a": 3, "▁b": 2, "▁c": 2, "▁e": 2, ",": 2, "▁d": 1})
    ranked = sorted(counts, key=lambda entry: (-counts[entry], entry))
    assert ranked[1:3] == [",", "▁b"]
    for size in range(4, 10):
        vocabulary = WordVocabulary.train(texts, size=size)
        assert len(vocabulary) == size
        assert [vocabulary.token(i) for i in range(4, size)] == ranked[: size - 4]
    assert len(WordVocabulary.train(texts, size=99)) == 10


def test_subwords_fill_the_size_asked_for_and_frequent_words_stay_whole() -> None:
    assert len(subword) == 140
    texts = ["chien " * 50 + "niche rien"]
    assert SubwordVocabulary.train(texts, size=60).encode("chien").tokens == ("▁chien", "</s>")
    assert len(SubwordVocabulary.train(texts, size=60).encode("chine")) > 3


@pytest.mark.parametrize("kind", [SubwordVocabulary, WordVocabulary])
def test_training_twice_gives_the_same_vocabulary(kind: type) -> None:
    texts = [*TEXTS, *TEXTS, "Le chien noir voit la femme."]
    assert kind.train(texts, size=150).to_json() == kind.train(iter(texts), size=150).to_json()


def test_the_toy_is_read_word_by_word_and_written_back() -> None:
    pairs = toy.pairs(150, seed=7, max_words=20)
    source = WordVocabulary.train([pair.source for pair in pairs], size=5000)
    target = WordVocabulary.train([pair.target for pair in pairs], size=5000)
    for pair in pairs:
        for vocabulary, text, tokens in (
            (source, pair.source, pair.source_tokens),
            (target, pair.target, pair.target_tokens),
        ):
            pieces = vocabulary.encode(text)
            assert pieces.tokens[:-1] == tokens
            assert vocabulary.decode(pieces.ids) == text
            assert vocabulary.generated(pieces.ids) == pieces


# Storage


@BOTH
def test_a_stored_vocabulary_is_the_same(vocabulary: Vocabulary) -> None:
    again = Vocabulary.from_json(json.loads(json.dumps(vocabulary.to_json())))
    assert type(again) is type(vocabulary)
    assert len(again) == len(vocabulary)
    for text in [*TEXTS, "😀 </s>"]:
        assert again.encode(text) == vocabulary.encode(text)
        assert again.decode(again.encode(text).ids) == vocabulary.decode(vocabulary.encode(text).ids)


@pytest.mark.parametrize(
    "stored",
    [
        {},
        {"kind": "word"},
        {"kind": "phoneme", "tokenizer": word.to_json()["tokenizer"]},
        {"kind": "word", "tokenizer": {}},
        {"kind": "word", "tokenizer": None},
        {"kind": "word", "tokenizer": {**word.to_json()["tokenizer"], "model": {"type": "BPE", "vocab": 3}}},
        {
            "kind": "word",  # a tokenizer of somebody else: valid, but its ids mean other things
            "tokenizer": {
                **word.to_json()["tokenizer"],
                "model": {"type": "WordLevel", "vocab": {"<unk>": 0, "a": 1}, "unk_token": "<unk>"},
            },
        },
    ],
)
def test_what_is_no_vocabulary_is_refused_in_one_line(stored: dict) -> None:
    with pytest.raises(CourseError, match="vocabulary") as refusal:
        Vocabulary.from_json(stored)
    assert "\n" not in str(refusal.value)


@given(st.lists(st.integers(4, 99)))
def test_backwards_twice_is_forwards_and_eos_stays_last(words: list[int]) -> None:
    ids = (*words, EOS)
    assert backwards(ids) == (*words[::-1], EOS)
    assert backwards(backwards(ids)) == ids
