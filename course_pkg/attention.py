"""Alignment models and soft attention: which annotation to look at, and how much.

A *score* compares a query with the key of every annotation; only the score differs between attentions.
The mask, the softmax and the weighted sum exist once, in `masked_softmax` and `SoftAttention`.
Derived in chapters 4 and 5.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from course_pkg.notation import Record

__all__ = [
    "AdditiveScore",
    "Attention",
    "DotScore",
    "GeneralScore",
    "Glimpse",
    "Memory",
    "ScaledDotScore",
    "Score",
    "SoftAttention",
    "masked_softmax",
]


@dataclass(frozen=True)
class Memory(Record):
    """What attention may look at, prepared once per sentence.

    Attributes:
        annotations: ``h_j``, shape ``(B, S, D)``.
        keys: the annotations as the score sees them (``U_a h_j`` for `AdditiveScore`), shape ``(B, S, A)``.
        mask: True at real positions, shape ``(B, S)``.
    """

    annotations: Float[Tensor, "B S D"]
    keys: Float[Tensor, "B S A"]
    mask: Bool[Tensor, "B S"]


@dataclass(frozen=True)
class Glimpse(Record):
    """What one look brought back.

    Attributes:
        context: ``c_i``, shape ``(B, D)``.
        weights: ``α_ij``, shape ``(B, S)``; each row sums to 1, padded positions are exactly 0.
        scores: the energies ``e_ij`` before the softmax, shape ``(B, S)``.
        log_prob: the log-probability of a sampled position in hard attention, shape ``(B,)``; ``None`` in soft.
    """

    context: Float[Tensor, "B D"]
    weights: Float[Tensor, "B S"]
    scores: Float[Tensor, "B S"]
    log_prob: Float[Tensor, " B"] | None = None


def masked_softmax(scores: Float[Tensor, "*B S"], mask: Bool[Tensor, "*B S"]) -> Float[Tensor, "*B S"]:
    """Softmax over the last axis in which masked positions take no part (eq. 6 of Bahdanau et al. 2015).

    Masked positions get exactly 0; every row sums to 1. A row without a real position has no softmax
    and comes back as NaN: an empty source is refused where a `Batch` is made.

    Args:
        scores: energies ``e``, shape ``(…, S)``.
        mask: True at real positions, shape ``(…, S)``.
    """
    return scores.masked_fill(~mask, -math.inf).softmax(dim=-1)


class Score(nn.Module, ABC):
    """An alignment model ``a(s_{i-1}, h_j)``: one energy for each pair of query and annotation."""

    @abstractmethod
    def project(self, annotations: Float[Tensor, "B S D"]) -> Float[Tensor, "B S A"]:
        """The part of the score that depends on the annotations alone, computed once per sentence."""

    @abstractmethod
    def forward(self, query: Float[Tensor, "B Q"], keys: Float[Tensor, "B S A"]) -> Float[Tensor, "B S"]:
        """The energies ``e_ij`` of one step ``i``, for every position ``j``."""


@final
class AdditiveScore(Score):
    """The alignment model of Bahdanau et al. 2015, a small feed-forward net (§A.1.2; derived in chapter 5).

    ``e_ij = v_aᵀ tanh(W_a s_{i-1} + U_a h_j)``, without biases. ``U_a h_j`` does not depend on the step,
    so `project` computes it once per sentence.

    Args:
        query_size: ``Q``, the width of ``s_{i-1}`` (the paper's ``n``).
        annotation_size: ``D``, the width of ``h_j`` (the paper's ``2n``).
        alignment_size: ``A``, the width of the hidden layer (the paper's ``n'``).
    """

    def __init__(self, query_size: int, annotation_size: int, alignment_size: int) -> None:
        super().__init__()
        self.W_a = nn.Linear(query_size, alignment_size, bias=False)
        self.U_a = nn.Linear(annotation_size, alignment_size, bias=False)
        self.v_a = nn.Parameter(torch.zeros(alignment_size))
        nn.init.uniform_(self.v_a, -1 / math.sqrt(alignment_size), 1 / math.sqrt(alignment_size))

    def project(self, annotations: Float[Tensor, "B S D"]) -> Float[Tensor, "B S A"]:
        """``U_a h_j`` for every position."""
        return self.U_a(annotations)

    def forward(self, query: Float[Tensor, "B Q"], keys: Float[Tensor, "B S A"]) -> Float[Tensor, "B S"]:
        """``v_aᵀ tanh(W_a s_{i-1} + keys_j)`` for every position."""
        return torch.tanh(self.W_a(query).unsqueeze(1) + keys) @ self.v_a


@final
class DotScore(Score):
    """The dot product of Luong et al. 2015 (eq. 8, "dot"): ``e_ij = s · h_j``; chapter 14.

    Query and annotations must have the same width. It has no parameters.
    """

    def project(self, annotations: Float[Tensor, "B S D"]) -> Float[Tensor, "B S D"]:
        """The annotations themselves."""
        return annotations

    def forward(self, query: Float[Tensor, "B D"], keys: Float[Tensor, "B S D"]) -> Float[Tensor, "B S"]:
        """``query · keys_j`` for every position."""
        return (keys @ query.unsqueeze(-1)).squeeze(-1)


@final
class ScaledDotScore(Score):
    """The dot product over ``√A`` of Vaswani et al. 2017 (eq. 1), with learned projections; chapter 14.

    ``e_ij = (W_q s)·(W_k h_j) / √A``; the scale keeps the energies' variance from growing with the width.

    Args:
        query_size: ``Q``, the width of the query.
        annotation_size: ``D``, the width of an annotation.
        alignment_size: ``A``, the width in which they are compared.
    """

    def __init__(self, query_size: int, annotation_size: int, alignment_size: int) -> None:
        super().__init__()
        self.W_q = nn.Linear(query_size, alignment_size, bias=False)
        self.W_k = nn.Linear(annotation_size, alignment_size, bias=False)
        self.scale = 1 / math.sqrt(alignment_size)

    def project(self, annotations: Float[Tensor, "B S D"]) -> Float[Tensor, "B S A"]:
        """``W_k h_j`` for every position."""
        return self.W_k(annotations)

    def forward(self, query: Float[Tensor, "B Q"], keys: Float[Tensor, "B S A"]) -> Float[Tensor, "B S"]:
        """``(W_q query)·keys_j / √A`` for every position."""
        return (keys @ self.W_q(query).unsqueeze(-1)).squeeze(-1) * self.scale


@final
class GeneralScore(Score):
    """The bilinear score of Luong et al. 2015 (eq. 8, "general"): ``e_ij = sᵀ W_a h_j``; chapter 14.

    Args:
        query_size: ``Q``, the width of the query.
        annotation_size: ``D``, the width of an annotation.
    """

    def __init__(self, query_size: int, annotation_size: int) -> None:
        super().__init__()
        self.W_a = nn.Linear(annotation_size, query_size, bias=False)

    def project(self, annotations: Float[Tensor, "B S D"]) -> Float[Tensor, "B S Q"]:
        """``W_a h_j`` for every position."""
        return self.W_a(annotations)

    def forward(self, query: Float[Tensor, "B Q"], keys: Float[Tensor, "B S Q"]) -> Float[Tensor, "B S"]:
        """``query · keys_j`` for every position."""
        return (keys @ query.unsqueeze(-1)).squeeze(-1)


class Attention(nn.Module, ABC):
    """A way to look at a memory: a score, and what is made of its weights."""

    def __init__(self, score: Score) -> None:
        super().__init__()
        self.score = score

    def remember(self, annotations: Float[Tensor, "B S D"], mask: Bool[Tensor, "B S"]) -> Memory:
        """Prepare the annotations of a batch, once per sentence (``U_a h_j``; §A.1.2 of Bahdanau et al. 2015)."""
        return Memory(annotations, self.score.project(annotations), mask)

    @abstractmethod
    def forward(self, query: Float[Tensor, "B Q"], memory: Memory) -> Glimpse:
        """Look at the memory with one query for each sentence."""


@final
class SoftAttention(Attention):
    """The expected annotation under the weights: ``c_i = Σ_j α_ij h_j`` (Bahdanau et al. 2015, eq. 5; chapter 5)."""

    def forward(self, query: Float[Tensor, "B Q"], memory: Memory) -> Glimpse:
        """Look at every annotation at once, each as much as its weight says."""
        scores = self.score(query, memory.keys)
        weights = masked_softmax(scores, memory.mask)
        context = torch.bmm(weights.unsqueeze(1), memory.annotations).squeeze(1)
        return Glimpse(context, weights, scores)
