"""From captioned pictures to features and token ids, ready to train on. Chapters 11 to 13.

`CaptionCorpus` is to `show_attend_tell` what `course_pkg.preparation.Corpus` is to a translator: `fit` asks either for
batches, questions and a score. Pictures reach a model as feature maps from the disk, or, drawn scenes, as pixels that
its own small network learns to see.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from course_pkg import captioned, features, scenes
from course_pkg.batching import CaptionBatch, chunks
from course_pkg.caption_decoder import LONGEST_CAPTION
from course_pkg.caption_metrics import caption_words
from course_pkg.captioned import Captioned
from course_pkg.encoders import FeatureMaps
from course_pkg.metrics import caption_bleu
from course_pkg.notation import CourseError
from course_pkg.preparation import MEASURED_TOGETHER, Question
from course_pkg.recipes import Data, Recipe
from course_pkg.vocabulary import EOS, SubwordVocabulary, Vocabulary, WordVocabulary

__all__ = [
    "CaptionCorpus",
    "Drawn",
    "Photographs",
    "Pictures",
    "caption_words",
    "prepare_captions",
]


@runtime_checkable
class Pictures(Protocol):
    """Pictures as a model's encoder reads them."""

    def read(self, rows: Sequence[int]) -> Tensor | FeatureMaps:
        """The pictures of these rows; one may come twice."""


@dataclass(frozen=True)
class Drawn:
    """Drawn scenes in memory, ``uint8`` of shape ``(N, 3, size, size)``."""

    pixels: Tensor

    def read(self, rows: Sequence[int]) -> Tensor:
        """The scenes of these rows, ``(B, 3, size, size)``."""
        return self.pixels[torch.as_tensor(rows)]


@dataclass(frozen=True)
class Photographs:
    """Photographs by their features, kept on disk in half precision."""

    store: features.FeatureStore

    def read(self, rows: Sequence[int]) -> Tensor | FeatureMaps:
        """The features of these rows, in single precision."""
        fine, coarse = (values.float() for values in self.store.maps(rows))
        return features.unjoined(self.store.kind.name, fine, coarse)


@dataclass(frozen=True)
class CaptionCorpus:
    """Captioned pictures ready to train on.

    Attributes:
        target: the captions' vocabulary.
        pictures: those to train on.
        train: for each caption its picture's row and its token ids, EOS last.
        validation_pictures: those that choose the best epoch.
        validation: likewise.
        references: what people wrote under each of them, `caption_words` of it.
    """

    target: Vocabulary
    pictures: Pictures
    train: list[tuple[int, tuple[int, ...]]]
    validation_pictures: Pictures
    validation: list[tuple[int, tuple[int, ...]]]
    references: list[tuple[str, ...]]

    source: Vocabulary | None = None
    """A picture has no vocabulary."""

    @property
    def lengths(self) -> list[int]:
        """What captions are sorted by."""
        return [len(ids) for _, ids in self.train]

    def batch(self, rows: Sequence[int]) -> CaptionBatch:
        """Training captions side by side, with their pictures."""
        return _batch(self.pictures, [self.train[row] for row in rows])

    def validation_batches(self) -> Iterator[CaptionBatch]:
        """The validation captions, those of about the same length together."""
        order = sorted(range(len(self.validation)), key=lambda row: len(self.validation[row][1]))
        for rows in chunks(order, MEASURED_TOGETHER):
            yield _batch(self.validation_pictures, [self.validation[row] for row in rows])

    def questions(self) -> Iterator[Question]:
        """Each validation picture once."""
        for rows in chunks(list(range(len(self.references))), MEASURED_TOGETHER):
            yield Question(rows, _batch(self.validation_pictures, [(row, (EOS,)) for row in rows]), LONGEST_CAPTION)

    def score(self, texts: Sequence[str]) -> float:
        """Corpus BLEU-4 of the answers to `questions` against every reference, in their rows' order."""
        return caption_bleu(texts, self.references).score


def _batch(pictures: Pictures, captions: Sequence[tuple[int, Sequence[int]]]) -> CaptionBatch:
    return CaptionBatch.collate(pictures.read([row for row, _ in captions]), [ids for _, ids in captions])


def prepare_captions(recipe: Recipe) -> CaptionCorpus:
    """Read a recipe's pictures and captions, learn the vocabulary from those to train on, and compute what features
    are not on the disk yet.

    Raises:
        CourseError: data that is missing or empty, or settings that do not fit each other.
    """
    data, choice, seed = recipe.data, recipe.vocabulary, recipe.training.seed
    pictures, captions = _read(data.train, recipe, seed=seed, count=data.pairs or 8_000)
    held_out, references = _read(data.validation, recipe, seed=seed + 1_000_000, count=500)
    learn = SubwordVocabulary.train if choice.kind == "subword" else WordVocabulary.train
    target = learn((text for texts in captions for text in texts), size=choice.size)
    train = [pair for pair in _encode(target, captions) if len(pair[1]) <= data.max_length]
    if not train:
        raise CourseError(f"Every caption is longer than data.max_length = {data.max_length} tokens.")
    return CaptionCorpus(target, pictures, train, held_out, _encode(target, references), references)


def _read(name: str, recipe: Recipe, *, seed: int, count: int) -> tuple[Pictures, list[tuple[str, ...]]]:
    if name == "scenes":
        return _drawn(recipe.model.get("image_size", 224), seed, count)
    found = _captioned(name, recipe.data)
    if recipe.data.validation_pairs and name == recipe.data.validation:
        found = found.head(recipe.data.validation_pairs)
    if "features" not in recipe.model:
        raise CourseError(f"The recipe lacks model.features: choose one of {', '.join(features.NETWORKS)}.")
    store = features.cached(found.images, recipe.model["features"])
    words = [tuple(filter(None, map(caption_words, texts))) for texts in found.captions]
    return Photographs(store), words


def _captioned(name: str, data: Data) -> Captioned:
    corpus, _, split = name.partition(":")
    if corpus != "folder":
        return captioned.load(corpus, split or "train")
    if not (data.images and data.captions):
        raise CourseError("The recipe says folder but names none: set data.images and data.captions.")
    return captioned.captioned_folder(Path(data.images), Path(data.captions), split or None)


def _drawn(size: int, seed: int, count: int) -> tuple[Drawn, list[tuple[str, ...]]]:
    made = scenes.make(count, seed=seed, size=size)
    pixels = np.stack([scene.image for scene in made]).transpose(0, 3, 1, 2)
    return Drawn(torch.from_numpy(np.ascontiguousarray(pixels))), [(scene.caption,) for scene in made]


def _encode(target: Vocabulary, captions: Sequence[tuple[str, ...]]) -> list[tuple[int, tuple[int, ...]]]:
    rows = [(row, text) for row, texts in enumerate(captions) for text in texts]
    encoded = target.encode_all([text for _, text in rows])
    return [(row, pieces.ids) for (row, _), pieces in zip(rows, encoded, strict=True)]
