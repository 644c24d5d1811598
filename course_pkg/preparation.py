"""From a recipe's text to pairs of token ids: read, limited, given a vocabulary, encoded. Chapters 1 and 6."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from course_pkg import corpora, toy
from course_pkg.batching import Batch, CaptionBatch, chunks
from course_pkg.corpora import ParallelText
from course_pkg.metrics import bleu
from course_pkg.notation import CourseError
from course_pkg.recipes import Data, Recipe
from course_pkg.vocabulary import EOS, SubwordVocabulary, Vocabulary, WordVocabulary, backwards

__all__ = ["Corpus", "Pairs", "Question", "prepare"]

Pairs = list[tuple[tuple[int, ...], tuple[int, ...]]]
"""Source and target ids of each sentence pair, EOS last."""
MEASURED_TOGETHER = 128
"""Pairs or sources in a batch of the validation corpus."""


class Question(NamedTuple):
    """Validation sources of one batch, to be answered by greedy search.

    Attributes:
        rows: which sources these are.
        batch: the sources; its target side is empty but for EOS.
        max_steps: the longest answer, EOS counted.
    """

    rows: Sequence[int]
    batch: Batch | CaptionBatch
    max_steps: int


@dataclass(frozen=True)
class Corpus:
    """Text ready to train on.

    Attributes:
        source: vocabulary of the source side.
        target: vocabulary of the target side; the same object if shared.
        train: pairs of token ids, EOS last.
        validation: likewise.
        validation_text: the validation corpus as text, for BLEU.
    """

    source: Vocabulary
    target: Vocabulary
    train: Pairs
    validation: Pairs
    validation_text: ParallelText

    @property
    def lengths(self) -> list[int]:
        """What training pairs are sorted by: GroundHog's ``max(source, target)``."""
        return [max(map(len, pair)) for pair in self.train]

    def batch(self, rows: Sequence[int]) -> Batch:
        """Training pairs side by side."""
        return Batch.collate([self.train[row] for row in rows])

    def validation_batches(self) -> Iterator[Batch]:
        """The validation pairs, those of about the same length together."""
        order = sorted(range(len(self.validation)), key=lambda row: max(map(len, self.validation[row])))
        for rows in chunks(order, MEASURED_TOGETHER):
            yield Batch.collate([self.validation[row] for row in rows])

    def questions(self) -> Iterator[Question]:
        """The validation sources, those of about the same length together."""
        sources = [source for source, _ in self.validation]
        for rows in chunks(sorted(range(len(sources)), key=lambda row: len(sources[row])), MEASURED_TOGETHER):
            batch = Batch.collate([(sources[row], (EOS,)) for row in rows])
            yield Question(rows, batch, 2 * batch.source.shape[1] + 10)

    def score(self, texts: Sequence[str]) -> float:
        """Corpus BLEU of the answers to `questions`, in their rows' order."""
        return bleu(texts, self.validation_text.target).score


def _text(name: str, data: Data, files: tuple[str, str], *, seed: int, count: int) -> ParallelText:
    if name == "files":
        if not all(files):
            raise CourseError(
                "The recipe says files but names none: set data.source_file, data.target_file and the validation pair."
            )
        return corpora.text_pair(Path(files[0]), Path(files[1]))
    if name == "toy":
        made = toy.pairs(count, seed=seed, min_words=data.min_words, max_words=data.toy_words)
        return ParallelText(tuple(p.source for p in made), tuple(p.target for p in made), "toy")
    corpus, _, split = name.partition(":")
    return corpora.load(corpus, split or "train", data.source, data.target)


def _joined(names: str, data: Data, files: tuple[str, str], *, seed: int, count: int, most: int) -> ParallelText:
    parts = [_text(name.strip(), data, files, seed=seed, count=count) for name in names.split("+")]
    return corpora.joined_texts(part.head(most) if most else part for part in parts)


def _train_text(data: Data, seed: int) -> ParallelText:
    text = _joined(
        data.train, data, (data.source_file, data.target_file), seed=seed, count=data.pairs or 20_000, most=0
    )
    kept = [(s, t) for s, t in zip(text.source, text.target, strict=True) if s.strip() and t.strip()]
    kept = kept[: data.pairs or None]
    if not kept:
        raise CourseError("No training pair is left: the corpus is empty.")
    return ParallelText(tuple(s for s, _ in kept), tuple(t for _, t in kept), data.train)


def _short_enough(text: ParallelText, max_words: int) -> ParallelText:
    pairs = zip(text.source, text.target, strict=True)
    kept = [(s, t) for s, t in pairs if not max_words or max(len(s.split()), len(t.split())) <= max_words]
    if not kept:
        raise CourseError(f"No training pair is left: every one is over data.max_words = {max_words}.")
    return ParallelText(tuple(s for s, _ in kept), tuple(t for _, t in kept), text.name)


def prepare(recipe: Recipe) -> Corpus:
    """Read the recipe's text, learn its vocabularies and encode it.

    The vocabularies are learned before long pairs are left out: models trained up to different lengths share them.

    Raises:
        CourseError: data that is missing, empty or of unequal length.
    """
    data, choice = recipe.data, recipe.vocabulary
    text = _train_text(data, seed=recipe.training.seed)
    files = (data.validation_source_file, data.validation_target_file)
    validation = _joined(
        data.validation, data, files, seed=recipe.training.seed + 1_000_000, count=500, most=data.validation_pairs
    )
    kinds: dict[str, type[SubwordVocabulary] | type[WordVocabulary]]
    kinds = {"subword": SubwordVocabulary, "word": WordVocabulary}
    kind = kinds[choice.kind]
    if choice.shared:
        source = target = kind.train((*text.source, *text.target), size=choice.size)
    else:
        source, target = kind.train(text.source, size=choice.size), kind.train(text.target, size=choice.size)
    text = _short_enough(text, data.max_words)
    train = [p for p in _encode(source, target, text, data) if max(map(len, p)) <= data.max_length]
    if not train:
        raise CourseError(f"Every training pair is longer than data.max_length = {data.max_length} tokens.")
    return Corpus(source, target, train, _encode(source, target, validation, data), validation)


def _encode(source: Vocabulary, target: Vocabulary, text: ParallelText, data: Data) -> Pairs:
    sides = source.encode_all(text.source), target.encode_all(text.target)
    return [(backwards(s.ids) if data.reverse_source else s.ids, t.ids) for s, t in zip(*sides, strict=True)]
