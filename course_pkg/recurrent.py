"""Recurrent units: the gated unit of translation (derived in chapter 3) and the LSTM of captioning (chapter 11).

The gated unit has its reset gate where the papers put it or where ``nn.GRU`` does. The two variants differ in more
than notation (D15 on the page "Papers and code"):

* ``reset="before"`` (Cho et al. 2014; Bahdanau et al. 2015, §A.1.1): the reset gate scales the state *before* the
  matrix product, and the update gate *writes*: ``s = (1-z)∘s' + z∘s̃``.
* ``reset="after"`` (``torch.nn.GRU``, cuDNN, Keras' default): it scales the product, and the update gate *keeps*:
  ``s = (1-z)∘s̃ + z∘s'``. Parameters and values are those of ``nn.GRUCell``.
"""

import math
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from course_pkg.notation import CourseError

__all__ = ["GatedRecurrentUnit", "LongShortTermMemory"]


@final
class GatedRecurrentUnit(nn.Module):
    """One gated recurrent unit; rows of its matrices are stacked as reset, update, candidate.

    The input's share of the gates does not depend on the state, so `gates` computes it for all steps at once
    and only `update` stays inside the time loop.

    With ``reset="before"`` it is the ``f`` of Bahdanau et al. 2015: in their encoders (eq. 1, §A.2.1 ``→h_i``,
    ``h̃_i``, ``z_i``, ``r_i``), and in their decoder (§A.1.1 ``s_i``, ``s̃_i``, ``z_i``, ``r_i``), which adds its
    context's share to the gates.

    Args:
        input_size: width of the input.
        state_size: ``H``, width of the state.
        reset: where the reset gate acts, ``"before"`` or ``"after"`` the matrix product.
        bias: whether there are biases. With ``reset="before"`` only the candidate has one, as in GroundHog;
            with ``"after"`` the two vectors of ``nn.GRU``.
    """

    def __init__(self, input_size: int, state_size: int, *, reset: str = "before", bias: bool = True) -> None:
        super().__init__()
        if reset not in ("before", "after"):
            raise CourseError(f"reset is {reset!r}: choose 'before' (the papers) or 'after' (nn.GRU).")
        self.state_size = state_size
        self.reset = reset
        self.weight_ih = nn.Parameter(torch.empty(3 * state_size, input_size))
        self.weight_hh = nn.Parameter(torch.empty(3 * state_size, state_size))
        rows = {"before": (state_size, 0), "after": (3 * state_size, 3 * state_size)}[reset]
        self.bias_ih = nn.Parameter(torch.empty(rows[0])) if bias else None
        self.bias_hh = nn.Parameter(torch.empty(rows[1])) if bias and rows[1] else None
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -1 / math.sqrt(state_size), 1 / math.sqrt(state_size))

    def gates(self, inputs: Float[Tensor, "*B I"]) -> Float[Tensor, "*B gates"]:
        """The input's share of the three gates, shape ``(…, 3H)``, for any number of steps at once."""
        bias: Tensor | None = self.bias_ih
        if bias is not None and self.reset == "before":
            bias = F.pad(bias, (2 * self.state_size, 0))
        return F.linear(inputs, self.weight_ih, bias)

    def update(self, gates: Float[Tensor, "B gates"], state: Float[Tensor, "B H"]) -> Float[Tensor, "B H"]:
        """The next state from the gates' share of the input and the previous state."""
        if self.reset == "after":
            return self._update_after(gates, state)
        return self._update_before(gates, state)

    def _update_before(self, gates: Tensor, state: Tensor) -> Tensor:
        size = self.state_size
        matrix, candidate_matrix = self.weight_hh.split([2 * size, size])
        gates, candidate = gates.split([2 * size, size], dim=-1)
        r, z = torch.sigmoid(gates + F.linear(state, matrix)).chunk(2, dim=-1)
        candidate = torch.tanh(candidate + F.linear(r * state, candidate_matrix))
        return state + z * (candidate - state)

    def _update_after(self, gates: Tensor, state: Tensor) -> Tensor:
        sizes = [2 * self.state_size, self.state_size]
        gates, candidate = gates.split(sizes, dim=-1)
        from_state, to_candidate = F.linear(state, self.weight_hh, self.bias_hh).split(sizes, dim=-1)
        r, z = torch.sigmoid(gates + from_state).chunk(2, dim=-1)
        candidate = torch.tanh(torch.addcmul(candidate, r, to_candidate))
        return candidate + z * (state - candidate)

    def forward(
        self, inputs: Float[Tensor, "B T I"], state: Float[Tensor, "B H"] | None = None
    ) -> Float[Tensor, "B T H"]:
        """All states of a sequence, from ``state`` (zeros if ``None``; the papers' ``h_0 = 0``)."""
        if state is None:
            state = inputs.new_zeros(inputs.shape[0], self.state_size)
        if self.reset == "after":
            return self._library_states(inputs, state)
        states = []
        for gates in self.gates(inputs).unbind(1):
            state = self.update(gates, state)
            states.append(state)
        return torch.stack(states, dim=1)

    def _library_states(self, inputs: Tensor, state: Tensor) -> Tensor:
        parameters: list[Tensor] = [self.weight_ih, self.weight_hh]
        if self.bias_ih is not None and self.bias_hh is not None:
            parameters += [self.bias_ih, self.bias_hh]
        has_biases, layers, dropout, bidirectional, batch_first = len(parameters) == 4, 1, 0.0, False, True
        states, _ = torch.gru(
            inputs,
            state.unsqueeze(0),
            parameters,
            has_biases,
            layers,
            dropout,
            self.training,
            bidirectional,
            batch_first,
        )
        return states


@final
class LongShortTermMemory(nn.Module):
    """The LSTM of Show, Attend and Tell; rows of its matrices are stacked as ``i, f, o, g`` (Xu et al. 2015, eq. 1-3).

    ``(i, f, o) = σ(p)``, ``g = tanh(p)``, ``c = f ∘ c' + i ∘ g``, ``h = o ∘ tanh(c)``; no peepholes. ``nn.LSTM`` is the
    same unit with its rows in the order ``i, f, g, o``. As in `GatedRecurrentUnit` the input's share is computed for
    all steps at once by `gates`, and only `update` stays inside the time loop.

    Args:
        input_size: width of the input.
        state_size: ``H``, width of the state and of the memory cell.
        bias: whether there is a bias.
    """

    def __init__(self, input_size: int, state_size: int, *, bias: bool = True) -> None:
        super().__init__()
        self.state_size = state_size
        self.weight_ih = nn.Parameter(torch.empty(4 * state_size, input_size))
        self.weight_hh = nn.Parameter(torch.empty(4 * state_size, state_size))
        self.bias = nn.Parameter(torch.empty(4 * state_size)) if bias else None
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -1 / math.sqrt(state_size), 1 / math.sqrt(state_size))

    def gates(self, inputs: Float[Tensor, "*B I"]) -> Float[Tensor, "*B gates"]:
        """The input's share of the gates, shape ``(…, 4H)``, for any number of steps at once."""
        return F.linear(inputs, self.weight_ih, self.bias)

    def update(
        self, gates: Float[Tensor, "B gates"], state: Float[Tensor, "B H"], cell: Float[Tensor, "B H"]
    ) -> tuple[Float[Tensor, "B H"], Float[Tensor, "B H"]]:
        """The next state and memory cell from the gates' share of the input and the previous ones."""
        return self.switch(gates + F.linear(state, self.weight_hh), cell)

    def switch(
        self, gates: Float[Tensor, "B gates"], cell: Float[Tensor, "B H"]
    ) -> tuple[Float[Tensor, "B H"], Float[Tensor, "B H"]]:
        """The next state and memory cell from everything that goes into the gates, the state's share included."""
        i, f, o = torch.sigmoid(gates[:, : 3 * self.state_size]).chunk(3, dim=-1)
        cell = f * cell + i * torch.tanh(gates[:, 3 * self.state_size :])
        return o * torch.tanh(cell), cell
