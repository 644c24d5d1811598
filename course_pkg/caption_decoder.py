"""The decoder of Show, Attend and Tell: an LSTM that looks at an image before each word. Chapter 11; hard, chapter 12.

Equations are those of Xu et al. 2015. The paper numbers steps ``t`` and locations ``i``; its ``a_i``, ``α_ti``, ``ẑ_t``
and ``h_t`` are `Encoded.annotations`, `Glimpse.weights`, `Glimpse.context` and `State.hidden`.
"""

from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from course_pkg.attention import Attention, Glimpse, Memory, masked_softmax
from course_pkg.decoders import Decoder, Rollout, State, Step
from course_pkg.encoders import Encoded, WordEmbedding
from course_pkg.notation import CourseError
from course_pkg.recurrent import LongShortTermMemory

__all__ = ["LONGEST_CAPTION", "CaptionDecoder", "CaptionOutput", "FirstState"]

LONGEST_CAPTION = 40
"""Tokens that a caption may have before a search gives up, EOS counted."""


@final
class FirstState(nn.Module):
    """``h_0`` and ``c_0`` from the mean annotation: ``f_init,h`` and ``f_init,c``.

    Xu et al. 2015, §3.1.2 ``h_0, c_0``; chapter 11.

    The paper calls them "two separate MLPs". With one layer each is ``tanh(W ā + b)``, the released code's default; its
    released configuration puts one ReLU layer of width ``D`` before both (D10 on the page "Papers and code").

    Args:
        annotation_size: ``D``.
        state_size: ``H``.
        bias: whether the layers have biases.
        layers: 1, or 2 for the released configuration's.

    Raises:
        CourseError: another number of layers.
    """

    def __init__(self, annotation_size: int, state_size: int, *, bias: bool = True, layers: int = 1) -> None:
        super().__init__()
        if layers not in (1, 2):
            raise CourseError(f"The first state is made by 1 or 2 layers, not {layers}.")
        self.W_init = nn.Linear(annotation_size, annotation_size, bias=bias) if layers == 2 else None
        self.W_h = nn.Linear(annotation_size, state_size, bias=bias)
        self.W_c = nn.Linear(annotation_size, state_size, bias=bias)

    def forward(self, mean: Float[Tensor, "B D"]) -> tuple[Float[Tensor, "B H"], Float[Tensor, "B H"]]:
        """``h_0`` and ``c_0``."""
        if self.W_init is not None:
            mean = torch.relu(self.W_init(mean))
        return torch.tanh(self.W_h(mean)), torch.tanh(self.W_c(mean))


@final
class CaptionOutput(nn.Module):
    """The deep output layer: ``logits = L_o (E y_{t-1} + L_h h_t + L_z ẑ_t)`` (Xu et al. 2015, eq. 7; chapter 11).

    The released code puts a tanh (and biases and dropout) inside; eq. 7 has none (D9 on the page "Papers and code").

    Args:
        state_size: ``H``.
        embedding_size: ``E``, the paper's ``m``.
        context_size: ``D``.
        vocabulary_size: ``V``.
        bias: biases inside and on the logits (not written in eq. 7).
        tanh: the released code's.
        state_dropout: probability of dropping an entry of ``h_t``, for this layer alone.
        dropout: probability of dropping an entry of what ``L_o`` is given.
        tied: the word embedding's weight ``(V, E)`` to use as ``L_o``, a departure from the paper.

    Raises:
        CourseError: an embedding of another shape to tie to.
    """

    def __init__(
        self,
        state_size: int,
        embedding_size: int,
        context_size: int,
        vocabulary_size: int,
        *,
        bias: bool = True,
        tanh: bool = False,
        state_dropout: float = 0.0,
        dropout: float = 0.0,
        tied: nn.Parameter | None = None,
    ) -> None:
        super().__init__()
        self.L_h = nn.Linear(state_size, embedding_size, bias=bias)
        self.L_z = nn.Linear(context_size, embedding_size, bias=False)
        self.L_o = nn.Linear(embedding_size, vocabulary_size, bias=bias)
        self.tanh = tanh
        self.state_dropout = nn.Dropout(state_dropout)
        self.dropout = nn.Dropout(dropout)
        if tied is not None and tuple(tied.shape) != (vocabulary_size, embedding_size):
            raise CourseError(f"The word embedding is {tuple(tied.shape)}: it cannot be L_o of another shape.")
        if tied is not None:
            self.L_o.weight = tied

    def forward(
        self, state: Float[Tensor, "*B H"], embedded: Float[Tensor, "*B E"], context: Float[Tensor, "*B D"]
    ) -> Float[Tensor, "*B V"]:
        """Logits for any number of steps at once."""
        inside = embedded + self.L_h(self.state_dropout(state)) + self.L_z(context)
        return self.L_o(self.dropout(torch.tanh(inside) if self.tanh else inside))


@final
class CaptionDecoder(Decoder):
    """The decoder of Show, Attend and Tell (Xu et al. 2015, §3.1.2, §4.2; chapters 11 and 12).

    One step, of which the query has not yet read ``y_{t-1}``::

        α_t = softmax of f_att(a_i, h_{t-1})                         (eq. 4, 5)
        ẑ_t = β_t φ({a_i}, α_t),  β_t = σ(f_β(h_{t-1}))              (eq. 6, §4.2.1)
        (h_t, c_t) = LSTM([E y_{t-1}; h_{t-1}; ẑ_t], c_{t-1})        (eq. 1 to 3)
        logits = L_o (E y_{t-1} + L_h h_t + L_z ẑ_t)                 (eq. 7)

    ``φ`` is the attention's: `SoftAttention` or `HardAttention`. The gate ``β`` is introduced with soft attention
    (§4.2.1 ``β_t``); the released code applies it in hard attention too, as is done here (D20 on the page "Papers and
    code"). Both the LSTM and the output are given the gated vector. `Glimpse.context` is the ungated one.

    Args:
        embedding: the word embedding, width ``E``.
        unit: an LSTM from ``E`` to ``H``.
        attention: how to look; its query has width ``H``.
        output: the deep output layer.
        first: makes ``h_0`` and ``c_0`` of the mean annotation.
        annotation_size: ``D``.
        gate: whether there is a ``β``.
        bias: whether ``f_β`` has a bias.
    """

    def __init__(
        self,
        embedding: WordEmbedding,
        unit: LongShortTermMemory,
        attention: Attention,
        output: CaptionOutput,
        first: FirstState,
        *,
        annotation_size: int,
        gate: bool = True,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.embedding = embedding
        self.unit = unit
        self.attention = attention
        self.output = output
        self.first = first
        self.Z = nn.Linear(annotation_size, 4 * unit.state_size, bias=False)
        self.f_beta = nn.Linear(unit.state_size, 1, bias=bias) if gate else None

    def start(self, encoded: Encoded) -> tuple[Memory, State]:
        """The annotations with their keys, and ``h_0`` and ``c_0``."""
        memory = self.attention.remember(encoded.annotations, encoded.mask)
        hidden, cell = self.first(encoded.summary)
        return memory, State(hidden.to(encoded.summary.dtype), cell.to(encoded.summary.dtype))

    def step(self, token: Int[Tensor, " B"], state: State, memory: Memory) -> Step:
        """Look, update with ``y_{t-1}`` and what was seen, then predict from the new state."""
        embedded = self.embedding(token)
        state, glimpse, gate = self._advance(self.unit.gates(embedded), state, memory)
        assert state.context is not None
        return Step(self.output(state.hidden, embedded, state.context), state, glimpse, gate)

    def forward(self, inputs: Int[Tensor, "B T"], encoded: Encoded) -> Rollout:
        """Teacher forcing; the words' share of the gates and the output layer are computed for all steps at once."""
        memory, state = self.start(encoded)
        embedded = self.embedding(inputs)
        states, glimpses, gates = [], [], []
        for share in self.unit.gates(embedded).unbind(1):
            state, glimpse, gate = self._advance(share, state, memory)
            states.append(state)
            glimpses.append(glimpse)
            gates.append(gate)
        return Rollout(
            self.output(_steps([s.hidden for s in states]), embedded, _steps([s.context for s in states])),
            _weights(glimpses, memory),
            _steps(gates),
            _steps([glimpse.log_prob for glimpse in glimpses]),
            _steps([glimpse.position for glimpse in glimpses]),
        )

    def _advance(self, share: Tensor, state: State, memory: Memory) -> tuple[State, Glimpse, Tensor | None]:
        """The next state, whose context is the gated ``ẑ_t``; the look; and ``β_t``."""
        assert state.cell is not None
        glimpse = self.attention(state.hidden, memory)
        context, gate = glimpse.context, None
        if self.f_beta is not None:
            gate = torch.sigmoid(self.f_beta(state.hidden))
            context = gate * context
            gate = gate.squeeze(-1)
        hidden, cell = self.unit.update(share + self.Z(context), state.hidden, state.cell)
        return State(hidden, cell, context), glimpse, gate


def _steps(values: list[Tensor | None]) -> Tensor | None:
    """All steps on axis 1, if every step has a value."""
    present = [value for value in values if value is not None]
    return torch.stack(present, dim=1) if present else None


def _weights(glimpses: list[Glimpse], memory: Memory) -> Tensor:
    """``α`` of all steps, in single precision at least: its columns are summed over the steps, in the penalty."""
    weights = torch.stack([glimpse.weights for glimpse in glimpses], dim=1)
    wide = torch.promote_types(weights.dtype, torch.float32)
    if weights.dtype == wide:
        return weights
    scores = torch.stack([glimpse.scores for glimpse in glimpses], dim=1)
    return masked_softmax(scores.to(wide), memory.mask.unsqueeze(1).expand_as(scores))
