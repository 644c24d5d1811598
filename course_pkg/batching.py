"""Batches of sentence pairs and of captioned pictures, and the order in which training meets them. Chapters 1 and 6."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar, final

import torch
from jaxtyping import Bool, Int
from torch import Tensor
from torch.utils.data import Sampler

from course_pkg.encoders import FeatureMaps
from course_pkg.notation import CourseError, Record
from course_pkg.vocabulary import BOS, PAD

__all__ = ["Batch", "BucketSampler", "CaptionBatch", "chunks", "pad", "target_side"]

T = TypeVar("T")
Pair = tuple[Sequence[int], Sequence[int]]


def pad(rows: Sequence[Sequence[int]]) -> tuple[Int[Tensor, "B N"], Bool[Tensor, "B N"]]:
    """Rows of ids as one tensor, padded on the right, with the mask of what is real."""
    longest = max(map(len, rows))
    ids = torch.tensor([[*row, *[PAD] * (longest - len(row))] for row in rows])
    lengths = torch.tensor([len(row) for row in rows])
    return ids, torch.arange(longest) < lengths.unsqueeze(1)


def chunks(rows: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """The rows in their order, ``size`` at a time."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


@dataclass(frozen=True)
class Batch(Record):
    """Sentence pairs side by side.

    Attributes:
        source: token ids, EOS last, shape ``(B, S)``.
        source_mask: True at real source positions.
        inputs: the target shifted right, BOS first, shape ``(B, T)``: what teacher forcing feeds.
        targets: the target, EOS last, shape ``(B, T)``: what must be predicted.
        target_mask: True at real target positions.
    """

    source: Int[Tensor, "B S"]
    source_mask: Bool[Tensor, "B S"]
    inputs: Int[Tensor, "B T"]
    targets: Int[Tensor, "B T"]
    target_mask: Bool[Tensor, "B T"]

    @classmethod
    def collate(cls, pairs: Sequence[Pair]) -> "Batch":
        """A batch of ``(source ids, target ids)``, each ending with EOS.

        Raises:
            CourseError: a side is empty; attention over nothing has no weights.
        """
        if not pairs:
            raise CourseError("A batch needs at least one sentence pair; the corpus is empty.")
        for row, pair in enumerate(pairs):
            for side, ids in zip(("source", "target"), pair, strict=True):
                if not len(ids):
                    raise CourseError(f"The {side} of pair {row} is empty: drop the pair or end it with EOS.")
        source, source_mask = pad([source for source, _ in pairs])
        return cls(source, source_mask, *target_side([target for _, target in pairs]))


@dataclass(frozen=True)
class CaptionBatch(Record):
    """Pictures and their captions side by side; the target side is that of `Batch`.

    Attributes:
        source: what the image encoder reads: images ``(B, 3, height, width)``, features ``(B, L, D0)``, or the maps
            that joined make them.
        source_mask: ``None``: every location of a picture is real.
        inputs: the caption shifted right, BOS first, shape ``(B, T)``.
        targets: the caption, EOS last, shape ``(B, T)``.
        target_mask: True at real target positions.
    """

    source: Tensor | FeatureMaps
    inputs: Int[Tensor, "B T"]
    targets: Int[Tensor, "B T"]
    target_mask: Bool[Tensor, "B T"]
    source_mask: None = None

    @classmethod
    def collate(cls, pictures: Tensor | FeatureMaps, captions: Sequence[Sequence[int]]) -> "CaptionBatch":
        """A batch of pictures, row by row, and token ids that end with EOS.

        Raises:
            CourseError: no caption, or an empty one.
        """
        if not captions or not all(map(len, captions)):
            raise CourseError("A batch needs at least one caption, and each at least EOS.")
        return cls(pictures, *target_side(captions))


def target_side(rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor, Tensor]:
    """What teacher forcing feeds (BOS first), what must be predicted, and the mask of what is real of it."""
    targets, mask = pad(rows)
    first = targets.new_full((len(rows), 1), BOS)
    return torch.cat([first, targets[:, :-1]], dim=1), targets, mask


@final
class BucketSampler(Sampler[list[int]]):
    """Batches of similar length, in an order that is a function of ``(seed, epoch)`` alone.

    Bahdanau et al. 2015 (§B.2 ``batches``) take 20 batches' worth of pairs, sort them by length and cut them into
    batches, so that little is spent on padding (D5 on the page "Papers and code"). ``reshuffle=False`` is the paper's
    order: shuffled once, then sequential.

    Args:
        lengths: one number for each pair to sort by; GroundHog's is ``max(source, target)``.
        batch_size: pairs in a batch.
        seed: of the shuffling.
        buffer_batches: how many batches are sorted together.
        reshuffle: whether every epoch has its own order.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        *,
        batch_size: int,
        seed: int,
        buffer_batches: int = 20,
        reshuffle: bool = True,
    ) -> None:
        self.lengths = torch.as_tensor(lengths)
        self.batch_size = batch_size
        self.seed = seed
        self.buffer_batches = buffer_batches
        self.reshuffle = reshuffle
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order `__iter__` gives."""
        self.epoch = epoch

    def __len__(self) -> int:
        buffer = self.batch_size * self.buffer_batches
        full, rest = divmod(len(self.lengths), buffer)
        return full * self.buffer_batches + -(-rest // self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        epoch = self.epoch if self.reshuffle else 0
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
        order = torch.randperm(len(self.lengths), generator=generator)
        for buffer in order.split(self.batch_size * self.buffer_batches):
            batches = buffer[self.lengths[buffer].argsort(stable=True)].split(self.batch_size)
            for index in torch.randperm(len(batches), generator=generator).tolist():
                yield batches[index].tolist()
