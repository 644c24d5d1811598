"""Alignment models, soft and hard attention: which annotation to look at, and how much.

A *score* compares a query with the key of every annotation. The mask and the softmax exist once, in `masked_softmax`,
and what is made of the weights is the attention's: their weighted sum, or one annotation drawn from them.
Derived in chapters 4 and 5, hard attention in chapter 12.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from course_pkg.notation import CourseError, Record

__all__ = [
    "COINS",
    "TESTING",
    "AdditiveScore",
    "Attention",
    "DotScore",
    "GeneralScore",
    "Glimpse",
    "HardAttention",
    "Memory",
    "ScaledDotScore",
    "Score",
    "SoftAttention",
    "masked_softmax",
]

TESTING = ("expected", "sample", "argmax")
COINS = ("image", "minibatch")


@dataclass(frozen=True)
class Memory(Record):
    """What attention may look at, prepared once per sentence or image.

    Attributes:
        annotations: ``h_j``, shape ``(B, S, D)``.
        keys: the annotations as the score sees them (``U_a h_j`` for `AdditiveScore`), shape ``(B, S, A)``.
        mask: True at real positions, shape ``(B, S)``.
        soft: True where hard attention looks softly at every step, shape ``(B,)``; ``None`` where no coin was tossed.
    """

    annotations: Float[Tensor, "B S D"]
    keys: Float[Tensor, "B S A"]
    mask: Bool[Tensor, "B S"]
    soft: Bool[Tensor, " B"] | None = None


@dataclass(frozen=True)
class Glimpse(Record):
    """What one look brought back.

    Attributes:
        context: ``c_i``, shape ``(B, D)``.
        weights: ``α_ij``, shape ``(B, S)``; each row sums to 1, padded positions are exactly 0.
        scores: the energies ``e_ij`` before the softmax, shape ``(B, S)``.
        log_prob: ``log α`` of the position that hard attention chose, shape ``(B,)``, 0 in a row that looked softly;
            ``None`` where nothing was chosen.
        position: that position, shape ``(B,)``, -1 in a row that looked softly; ``None`` where nothing was chosen.
    """

    context: Float[Tensor, "B D"]
    weights: Float[Tensor, "B S"]
    scores: Float[Tensor, "B S"]
    log_prob: Float[Tensor, " B"] | None = None
    position: Int[Tensor, " B"] | None = None


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
    """The alignment model of Bahdanau et al. 2015, a small feed-forward net (§A.1.2 ``e_ij``; chapter 5).

    ``e_ij = v_aᵀ tanh(W_a s_{i-1} + U_a h_j)``, without biases. ``U_a h_j`` does not depend on the step,
    so `project` computes it once per sentence.

    It is also the ``f_att`` of Xu et al. 2015 (§3.1.2, eq. 4), of which the paper says no more than that it is a
    multilayer perceptron. The released code has a bias on ``U_a h_j``, and in its released configuration one more
    layer on the annotations: the key is ``tanh(U_2 (U_a h_j + b) + b_2)``, and `U_a` holds all of it.

    Args:
        query_size: ``Q``, the width of ``s_{i-1}`` (the paper's ``n``).
        annotation_size: ``D``, the width of ``h_j`` (the paper's ``2n``).
        alignment_size: ``A``, the width of the hidden layer (the paper's ``n'``).
        bias: biases on the annotations' side (not in Bahdanau et al. 2015).
        layers: 1, or 2 for the released captioner's layer on the annotations.

    Raises:
        CourseError: another number of layers.
    """

    def __init__(
        self, query_size: int, annotation_size: int, alignment_size: int, *, bias: bool = False, layers: int = 1
    ) -> None:
        super().__init__()
        if layers not in (1, 2):
            raise CourseError(f"The additive score has 1 or 2 layers on the annotations, not {layers}.")
        self.W_a = nn.Linear(query_size, alignment_size, bias=False)
        self.U_a: nn.Module = nn.Linear(annotation_size, alignment_size, bias=bias)
        self.v_a = nn.Parameter(torch.zeros(alignment_size))
        nn.init.uniform_(self.v_a, -1 / math.sqrt(alignment_size), 1 / math.sqrt(alignment_size))
        if layers == 2:
            self.U_a = nn.Sequential(self.U_a, nn.Linear(alignment_size, alignment_size, bias=bias), nn.Tanh())

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
    """The expected annotation under the weights: ``c_i = Σ_j α_ij h_j`` (Bahdanau et al. 2015, eq. 5; chapter 5).

    It is the mean of what `HardAttention` would draw, and the ``φ`` of soft visual attention (Xu et al. 2015, eq. 6,
    13; chapter 11).
    """

    def forward(self, query: Float[Tensor, "B Q"], memory: Memory) -> Glimpse:
        """Look at every annotation at once, each as much as its weight says."""
        scores = self.score(query, memory.keys)
        weights = masked_softmax(scores, memory.mask)
        context = torch.bmm(weights.unsqueeze(1), memory.annotations).squeeze(1)
        return Glimpse(context, weights, scores)


@final
class HardAttention(Attention):
    """One annotation drawn from the weights: ``s_t ~ Cat(α_t)``, ``ẑ_t = a_{s_t}``.

    Xu et al. 2015, §4.1, eq. 8, 9; as the ``φ`` of eq. 6. Chapter 12.

    A draw has no derivative, so the weights learn through its log-probability: see `course_pkg.losses.reinforce`.
    To lower the variance, an image looks softly at every step with a given probability, and its ``s̃`` is ``α`` itself
    (the end of §4.1).

    Paper and released code differ (D12 on the page "Papers and code"): the paper tosses that coin for each image, the
    code once for a minibatch; and in testing the code takes the expected annotation, which is soft attention.

    Args:
        score: the alignment model.
        soft_share: probability that an image looks softly in training; the paper's is 0.5.
        when_testing: in evaluation mode look at the ``"expected"`` annotation, a ``"sample"``, or the likeliest
            (``"argmax"``).
        coin: tossed for each ``"image"`` (the paper) or for a ``"minibatch"`` (the code).

    Raises:
        CourseError: a share that is no probability, or an unknown choice.
    """

    def __init__(
        self, score: Score, *, soft_share: float = 0.0, when_testing: str = "expected", coin: str = "image"
    ) -> None:
        super().__init__(score)
        if not 0 <= soft_share <= 1:
            raise CourseError(f"soft_share is {soft_share}: it is a probability, from 0 to 1.")
        if when_testing not in TESTING:
            raise CourseError(f"when_testing is {when_testing!r}: choose one of {', '.join(TESTING)}.")
        if coin not in COINS:
            raise CourseError(f"coin is {coin!r}: choose one of {', '.join(COINS)}.")
        self.soft_share = soft_share
        self.when_testing = when_testing
        self.coin = coin

    def remember(self, annotations: Float[Tensor, "B S D"], mask: Bool[Tensor, "B S"]) -> Memory:
        """Prepare the annotations, and in training toss the coin that holds for all steps of an image."""
        memory = super().remember(annotations, mask)
        if not (self.training and self.soft_share):
            return memory
        rows = mask.shape[0]
        tosses = torch.rand(rows if self.coin == "image" else 1, device=mask.device)
        return replace(memory, soft=(tosses < self.soft_share).expand(rows))

    def forward(self, query: Float[Tensor, "B Q"], memory: Memory) -> Glimpse:
        """Look at one annotation for each query."""
        scores = self.score(query, memory.keys)
        weights = masked_softmax(scores.to(torch.promote_types(scores.dtype, torch.float32)), memory.mask)
        how = "sample" if self.training else self.when_testing
        if how == "expected":
            return Glimpse(self._expected(weights, memory), weights, scores)
        position = self._draw(weights.detach()) if how == "sample" else weights.argmax(dim=-1)
        index = position.unsqueeze(1)
        context = memory.annotations.take_along_dim(index.unsqueeze(-1), dim=1).squeeze(1)
        log_prob = weights.gather(1, index).squeeze(1).clamp_min(torch.finfo(weights.dtype).tiny).log()
        if memory.soft is not None:
            context = torch.where(memory.soft.unsqueeze(1), self._expected(weights, memory), context)
            log_prob, position = log_prob.masked_fill(memory.soft, 0), position.masked_fill(memory.soft, -1)
        return Glimpse(context, weights, scores, log_prob, position)

    def _expected(self, weights: Tensor, memory: Memory) -> Tensor:
        """What soft attention brings back."""
        return torch.bmm(weights.to(memory.annotations.dtype).unsqueeze(1), memory.annotations).squeeze(1)

    def _draw(self, weights: Tensor) -> Tensor:
        """A position for each row, by a race of exponential clocks, which waits for no device."""
        clocks = torch.empty_like(weights).exponential_().clamp_min_(torch.finfo(weights.dtype).tiny)
        return (weights / clocks).argmax(dim=-1)
