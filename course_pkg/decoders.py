"""Decoders: one `step` each; teacher forcing and search only drive it.

Whatever does not depend on the previous state stands outside the time loop: the input's share of the gates
and the whole deep output are computed for all steps at once. `step` and the batched `forward` are the same
mathematics. Chapters 1 (`PlainDecoder`) and 5 (`AttentiveDecoder`); the captioner's is in
`course_pkg.caption_decoder`.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from course_pkg.attention import AdditiveScore, Attention, Glimpse, Memory, SoftAttention
from course_pkg.bptt import Weights, attentive_loop
from course_pkg.encoders import Encoded, WordEmbedding
from course_pkg.notation import CourseError, Record
from course_pkg.recurrent import GatedRecurrentUnit

__all__ = [
    "STEP_ORDERS",
    "AttentiveDecoder",
    "Decoder",
    "DeepOutput",
    "PlainDecoder",
    "Rollout",
    "State",
    "Step",
    "maxout",
]

STEP_ORDERS = ("main-text", "appendix", "groundhog")


@dataclass(frozen=True)
class State(Record):
    """What a decoder carries from step to step.

    Attributes:
        hidden: ``s_i``, shape ``(B, H)``.
        cell: an LSTM's memory cell, shape ``(B, H)``; ``None`` for a GRU.
        context: the last ``c_i``, shape ``(B, D)``; ``None`` before the first step.
    """

    hidden: Float[Tensor, "B H"]
    cell: Float[Tensor, "B H"] | None = None
    context: Float[Tensor, "B D"] | None = None


@dataclass(frozen=True)
class Step(Record):
    """One step's outcome.

    Attributes:
        logits: unnormalised log-probabilities of the next token, shape ``(B, V)``.
        state: the state to hand to the next step.
        glimpse: where the decoder looked; ``None`` if it cannot look.
        gate: the scalar gate ``β`` of Show, Attend and Tell, shape ``(B,)``; ``None`` elsewhere.
    """

    logits: Float[Tensor, "B V"]
    state: State
    glimpse: Glimpse | None = None
    gate: Float[Tensor, " B"] | None = None


@dataclass(frozen=True)
class Rollout(Record):
    """All steps of a teacher-forced batch.

    Attributes:
        logits: shape ``(B, T, V)``; row ``i`` predicts target token ``i``, the last one EOS.
        weights: ``α_ij``, shape ``(B, T, S)``; ``None`` if the decoder cannot look.
        gate: ``β``, shape ``(B, T)``; ``None`` outside Show, Attend and Tell.
        log_probs: ``log α`` of the positions that hard attention chose, shape ``(B, T)``, 0 in a row that looked
            softly; ``None`` where nothing was chosen.
        positions: those positions, shape ``(B, T)``, -1 in a row that looked softly; ``None`` where nothing was chosen.
    """

    logits: Float[Tensor, "B T V"]
    weights: Float[Tensor, "B T S"] | None = None
    gate: Float[Tensor, "B T"] | None = None
    log_probs: Float[Tensor, "B T"] | None = None
    positions: Int[Tensor, "B T"] | None = None


def maxout(values: Float[Tensor, "*B two_l"]) -> Float[Tensor, "*B l"]:
    """The larger of each *adjacent* pair: ``t_j = max(t̃_{2j-1}, t̃_{2j})`` (Bahdanau et al. 2015, §A.2.2 ``t_i``)."""
    return torch.maximum(values[..., 0::2], values[..., 1::2])


@final
class DeepOutput(nn.Module):
    """The maxout output layer: ``t̃ = U_o s + V_o E y_{i-1} + C_o c_i``, ``logits = W_o t``.

    Bahdanau et al. 2015, §A.2.2 ``t̃_i``, ``p(y_i)``. GroundHog has a linear layer more (D2 on the page "Papers and
    code").

    Args:
        state_size: ``H``.
        embedding_size: ``E``.
        context_size: ``D``.
        maxout_size: ``l``, number of maxout units; ``t̃`` has ``2l`` entries.
        vocabulary_size: ``V``.
        bias: biases on ``t̃`` and on the logits.
        dropout: probability of dropping an entry of ``t`` in training.
        tied: the target embedding's weight ``(V, E)`` to use as ``W_o``; then ``maxout_size`` must equal ``E``.
            A departure from the paper, which has a separate ``W_o``.
    """

    def __init__(
        self,
        state_size: int,
        embedding_size: int,
        context_size: int,
        maxout_size: int,
        vocabulary_size: int,
        *,
        bias: bool = True,
        dropout: float = 0.0,
        tied: nn.Parameter | None = None,
    ) -> None:
        super().__init__()
        self.U_o = nn.Linear(state_size, 2 * maxout_size, bias=bias)
        self.V_o = nn.Linear(embedding_size, 2 * maxout_size, bias=False)
        self.C_o = nn.Linear(context_size, 2 * maxout_size, bias=False)
        self.dropout = nn.Dropout(dropout)
        if tied is not None and tuple(tied.shape) != (vocabulary_size, maxout_size):
            raise CourseError(
                f"Tying the output to embeddings of shape {tuple(tied.shape)} needs "
                f"maxout_size = {tied.shape[1]}; it is {maxout_size}."
            )
        self.W_o = nn.Linear(maxout_size, vocabulary_size, bias=bias)
        if tied is not None:
            self.W_o.weight = tied

    def forward(
        self, state: Float[Tensor, "*B H"], embedded: Float[Tensor, "*B E"], context: Float[Tensor, "*B D"]
    ) -> Float[Tensor, "*B V"]:
        """Logits for any number of steps at once."""
        units = maxout(self.U_o(state) + self.V_o(embedded) + self.C_o(context))
        return self.W_o(self.dropout(units))


class Decoder(nn.Module, ABC):
    """A conditional language model over target tokens that is driven one step at a time."""

    @abstractmethod
    def start(self, encoded: Encoded) -> tuple[Memory, State]:
        """What is prepared once per sentence: the memory to look at and the state ``s_0``."""

    @abstractmethod
    def step(self, token: Int[Tensor, " B"], state: State, memory: Memory) -> Step:
        """Consume ``y_{i-1}`` (BOS at the first step) and predict ``y_i``."""

    @abstractmethod
    def forward(self, inputs: Int[Tensor, "B T"], encoded: Encoded) -> Rollout:
        """Teacher forcing: every step at once, given the reference shifted right (BOS first)."""


@final
class PlainDecoder(Decoder):
    """The decoder of the RNN Encoder–Decoder: one fixed vector ``c`` at every step (chapter 1).

    ``c = h_{T_x}`` enters the gates *and* the output at every step, and ``s_0 = tanh(W_s c + b)``
    (Cho et al. 2014, §2.2; GroundHog's RNNencdec, the baseline of Bahdanau et al. 2015, eq. 3,
    §A.2.2 ``c``). Its memory holds that single annotation; the share of ``c`` in the gates is its key, computed once.

    Args:
        embedding: the target's word embedding, width ``E``.
        unit: a recurrent unit from ``E`` to ``H``.
        output: the deep output layer.
        context_size: width of ``c``.
        bias: whether ``W_s`` has a bias.
    """

    def __init__(
        self,
        embedding: WordEmbedding,
        unit: GatedRecurrentUnit,
        output: DeepOutput,
        *,
        context_size: int,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.embedding = embedding
        self.unit = unit
        self.output = output
        self.W_s = nn.Linear(context_size, unit.state_size, bias=bias)
        self.C = nn.Linear(context_size, 3 * unit.state_size, bias=False)

    def start(self, encoded: Encoded) -> tuple[Memory, State]:
        """A memory of one annotation, ``c``, and ``s_0``."""
        context = encoded.summary
        alone = context.unsqueeze(1)
        memory = Memory(alone, self.C(alone), encoded.mask[:, :1])
        return memory, State(torch.tanh(self.W_s(context)).to(context.dtype))

    def step(self, token: Int[Tensor, " B"], state: State, memory: Memory) -> Step:
        """Update the state with ``y_{i-1}`` and ``c``, then predict from the new state."""
        embedded = self.embedding(token)
        hidden = self.unit.update(self.unit.gates(embedded) + memory.keys[:, 0], state.hidden)
        return Step(self.output(hidden, embedded, memory.annotations[:, 0]), State(hidden))

    def forward(self, inputs: Int[Tensor, "B T"], encoded: Encoded) -> Rollout:
        """Teacher forcing; the gates' inputs and the output layer are computed for all steps at once."""
        memory, state = self.start(encoded)
        embedded = self.embedding(inputs)
        hidden, states = state.hidden, []
        for gates in (self.unit.gates(embedded) + memory.keys).unbind(1):
            hidden = self.unit.update(gates, hidden)
            states.append(hidden)
        context = memory.annotations.expand(-1, inputs.shape[1], -1)
        return Rollout(self.output(torch.stack(states, dim=1), embedded, context))


@final
class AttentiveDecoder(Decoder):
    """The decoder of RNNsearch: every step looks at the source anew (Bahdanau et al. 2015, §3.1; chapter 5).

    ``s_0 = tanh(W_s ←h_1)``; ``c_i = Σ_j α_ij h_j`` with ``α_i`` from ``s_{i-1}`` (eq. 5, 6, §A.2.2 ``c_i``);
    ``s_i = f(s_{i-1}, y_{i-1}, c_i)``, a gated unit whose three gates also see ``c_i`` through ``C`` (§A.1.1
    ``s̃_i``, ``z_i``, ``r_i``, §A.2.2 ``s_i``).

    Paper and code disagree on the order of a step (D1 on the page "Papers and code"), so it is an option:

    * ``"main-text"`` (eq. 4): look, update, generate; the output sees ``s_i``.
    * ``"appendix"`` (§A.2.2): the output sees ``s_{i-1}``.
    * ``"groundhog"``: look, generate, update; the output sees ``s_{i-1}``, and the update is fed the word just
      emitted, so the attention query already contains ``y_{i-1}``.

    Args:
        embedding: the target's word embedding, width ``E``.
        unit: a recurrent unit from ``E`` to ``H``.
        attention: how to look; its query has width ``H``.
        output: the deep output layer.
        annotation_size: ``D``.
        summary_size: width of the encoder's summary ``←h_1``.
        order: the order of a step.
        bias: whether ``W_s`` has a bias.

    Attributes:
        bptt: where gradients are wanted, `forward` goes back through the loop as derived by hand in chapter 6
            (`course_pkg.bptt`), provided that it is the loop of the derivation: additive score, reset before, an
            order of the paper. Set it to False for autograd's way, which alone can be differentiated twice.
    """

    bptt: bool = True

    def __init__(
        self,
        embedding: WordEmbedding,
        unit: GatedRecurrentUnit,
        attention: Attention,
        output: DeepOutput,
        *,
        annotation_size: int,
        summary_size: int,
        order: str = "main-text",
        bias: bool = True,
    ) -> None:
        super().__init__()
        if order not in STEP_ORDERS:
            raise CourseError(f"order is {order!r}: choose one of {', '.join(STEP_ORDERS)}.")
        self.embedding = embedding
        self.unit = unit
        self.attention = attention
        self.output = output
        self.order = order
        self.W_s = nn.Linear(summary_size, unit.state_size, bias=bias)
        self.C = nn.Linear(annotation_size, 3 * unit.state_size, bias=False)

    def start(self, encoded: Encoded) -> tuple[Memory, State]:
        """The annotations with their keys, and ``s_0`` (Bahdanau et al. 2015, §A.2.2 ``s_0``)."""
        memory = self.attention.remember(encoded.annotations, encoded.mask)
        return memory, State(torch.tanh(self.W_s(encoded.summary)).to(encoded.summary.dtype))

    def step(self, token: Int[Tensor, " B"], state: State, memory: Memory) -> Step:
        """Look, update and generate, in the order chosen."""
        embedded = self.embedding(token)
        state, seen, glimpse = self._advance(self.unit.gates(embedded), state, memory)
        return Step(self.output(seen, embedded, glimpse.context), state, glimpse)

    def forward(self, inputs: Int[Tensor, "B T"], encoded: Encoded) -> Rollout:
        """Teacher forcing; the gates' inputs and the output layer are computed for all steps at once."""
        memory, state = self.start(encoded)
        embedded = self.embedding(inputs)
        loop = self._loop_by_hand if self._is_derived() and torch.is_grad_enabled() else self._loop
        seen, contexts, weights = loop(self.unit.gates(embedded), state, memory)
        return Rollout(self.output(seen, embedded, contexts), weights)

    def _loop(self, gates: Tensor, state: State, memory: Memory) -> tuple[Tensor, Tensor, Tensor]:
        """For all steps: the state that the output layer sees, the context and the weights."""
        seen, contexts, weights = [], [], []
        for share in gates.unbind(1):
            state, visible, glimpse = self._advance(share, state, memory)
            seen.append(visible)
            contexts.append(glimpse.context)
            weights.append(glimpse.weights)
        return torch.stack(seen, dim=1), torch.stack(contexts, dim=1), torch.stack(weights, dim=1)

    def _loop_by_hand(self, gates: Tensor, state: State, memory: Memory) -> tuple[Tensor, Tensor, Tensor]:
        """The same as one operation with the backward pass of `course_pkg.bptt`."""
        score = self.attention.score
        assert isinstance(score, AdditiveScore)
        weights = Weights(score.W_a.weight, score.v_a, self.C.weight, self.unit.weight_hh)
        states, contexts, looks = attentive_loop(
            gates, memory.annotations, memory.keys, memory.mask, state.hidden, weights
        )
        if self.order == "appendix":
            states = torch.cat([state.hidden.unsqueeze(1), states[:, :-1]], dim=1)
        return states, contexts, looks

    def _is_derived(self) -> bool:
        """Whether the backward pass of this very loop is that of `course_pkg.bptt`, and no one watches its parts."""
        exact = type(self) is AttentiveDecoder and type(self.attention) is SoftAttention
        if not (self.bptt and exact and type(self.attention.score) is AdditiveScore):
            return False
        passed_over = (self.attention, self.attention.score, self.attention.score.W_a, self.C)
        watched = any(m._forward_hooks or m._forward_pre_hooks or m._backward_hooks for m in passed_over)
        return self.unit.reset == "before" and self.order != "groundhog" and not watched

    def _advance(self, gates: Tensor, state: State, memory: Memory) -> tuple[State, Tensor, Glimpse]:
        """The next state, the state that the output layer sees, and the look."""
        if self.order == "groundhog":
            hidden = state.hidden
            if state.context is not None:
                hidden = self._update(gates, hidden, state.context)
            glimpse = self.attention(hidden, memory)
            return State(hidden, context=glimpse.context), hidden, glimpse
        glimpse = self.attention(state.hidden, memory)
        hidden = self._update(gates, state.hidden, glimpse.context)
        seen = hidden if self.order == "main-text" else state.hidden
        return State(hidden, context=glimpse.context), seen, glimpse

    def _update(self, gates: Tensor, hidden: Tensor, context: Tensor) -> Tensor:
        return self.unit.update(gates + self.C(context), hidden)
