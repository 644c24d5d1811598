"""Encoders: from token ids to annotations, one for each source position.

Chapters 1 (one direction) and 3 (two directions).
"""

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from course_pkg.notation import Record
from course_pkg.recurrent import GatedRecurrentUnit

__all__ = ["BiGRUEncoder", "Encoded", "GRUEncoder", "WordEmbedding", "reverse_within_length"]


@dataclass(frozen=True)
class Encoded(Record):
    """A batch of sources, read.

    Attributes:
        annotations: ``h_j``, shape ``(B, S, D)``.
        mask: True at real positions, shape ``(B, S)``; the source's EOS is real.
        summary: what the decoder starts from, shape ``(B, H)``: the last forward state of `GRUEncoder`,
            the backward state ``←h_1`` of `BiGRUEncoder`.
    """

    annotations: Float[Tensor, "B S D"]
    mask: Bool[Tensor, "B S"]
    summary: Float[Tensor, "B H"]


@final
class WordEmbedding(nn.Module):
    """The rows of ``E``, with zero in place of the begin-of-sentence token.

    The papers have no such token: at the first step the term of ``y_0`` is zero (GroundHog's ``Shift``).
    ``E y`` is taken without a bias; GroundHog adds one, which adding the same vector to every row of ``E`` equals.

    Args:
        vocabulary_size: ``V``, number of rows.
        embedding_size: ``E``, the papers' ``m``.
        bos: id of the begin-of-sentence token; its row is never used.
        dropout: probability of dropping an entry in training.
    """

    def __init__(self, vocabulary_size: int, embedding_size: int, *, bos: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.bos = bos
        self.weight = nn.Parameter(torch.empty(vocabulary_size, embedding_size))
        nn.init.normal_(self.weight, std=embedding_size**-0.5)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Int[Tensor, "*B"]) -> Float[Tensor, "*B E"]:
        """Embed token ids of any shape."""
        rows = F.embedding(tokens, self.weight)
        return self.dropout(rows * (tokens != self.bos).unsqueeze(-1))


def reverse_within_length(values: Float[Tensor, "B S X"], mask: Bool[Tensor, "B S"]) -> Float[Tensor, "B S X"]:
    """Each row's real positions in reverse order, its padding left where it is; its own inverse.

    This is how the backward RNN reads a padded batch from the last *real* word: no packing, no lengths on the CPU.
    The padding must be on the right.
    """
    lengths = mask.sum(dim=1, keepdim=True)
    positions = torch.arange(mask.shape[1], device=mask.device)
    source = torch.where(mask, lengths - 1 - positions, positions)
    return values.gather(1, source.unsqueeze(-1).expand_as(values))


def _last_real(states: Tensor, mask: Tensor) -> Tensor:
    last = (mask.sum(dim=1) - 1).view(-1, 1, 1).expand(-1, 1, states.shape[2])
    return states.gather(1, last).squeeze(1)


@final
class GRUEncoder(nn.Module):
    """Reads the source once, from left to right (Cho et al. 2014, §2.2; chapter 1).

    The summary is the last state, ``c = h_{T_x}``: the special case of RNNsearch that Bahdanau et al. 2015 (§A.2.2)
    call RNNencdec. Cho et al. pass it through ``tanh(V h_T)`` first; GroundHog, followed here, does not.

    Args:
        embedding: the source's word embedding, width ``E``.
        unit: a recurrent unit from ``E`` to ``H``.
        dropout: probability of dropping an entry of the annotations in training.
    """

    def __init__(self, embedding: WordEmbedding, unit: GatedRecurrentUnit, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.embedding = embedding
        self.unit = unit
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Int[Tensor, "B S"], mask: Bool[Tensor, "B S"]) -> Encoded:
        """Annotations are the forward states, ``D = H``."""
        states = self.dropout(self.unit(self.embedding(tokens)))
        return Encoded(states, mask, _last_real(states, mask))


@final
class BiGRUEncoder(nn.Module):
    """Reads the source in both directions: ``h_j = [→h_j; ←h_j]`` (Bahdanau et al. 2015, eq. 7, §A.2.1; chapter 3).

    The embedding is shared by the directions, the other weights are not. The backward unit starts at the last
    real word whatever padding follows. The summary is ``←h_1``, from which ``s_0`` is made (§A.2.2).

    Args:
        embedding: the source's word embedding, width ``E``.
        forward_unit: a recurrent unit from ``E`` to ``H``, left to right.
        backward_unit: a recurrent unit from ``E`` to ``H``, right to left.
        dropout: probability of dropping an entry of the annotations in training.
    """

    def __init__(
        self,
        embedding: WordEmbedding,
        forward_unit: GatedRecurrentUnit,
        backward_unit: GatedRecurrentUnit,
        *,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.embedding = embedding
        self.forward_unit = forward_unit
        self.backward_unit = backward_unit
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Int[Tensor, "B S"], mask: Bool[Tensor, "B S"]) -> Encoded:
        """Annotations of width ``D = 2H``, centred on each word."""
        embedded = self.embedding(tokens)
        rightward = self.forward_unit(embedded)
        leftward = reverse_within_length(self.backward_unit(reverse_within_length(embedded, mask)), mask)
        annotations = self.dropout(torch.cat([rightward, leftward], dim=-1))
        return Encoded(annotations, mask, leftward[:, 0])
