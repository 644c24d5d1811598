"""The units against the papers' formulas, ``torch.nn.GRU`` and ``nn.LSTMCell`` and finite differences (SPEC §2, §3)."""

import pytest
import torch
from torch import nn

from course_pkg.notation import CourseError
from course_pkg.recurrent import GatedRecurrentUnit, LongShortTermMemory

B, T, I, H = 3, 5, 4, 6
RESETS = ("before", "after")


def paper_step(unit, x, state):
    """§A.2.1 of Bahdanau et al. 2015, one sentence at a time: the reset gate acts before the product."""
    (W_r, W_z, W), (U_r, U_z, U) = unit.weight_ih.chunk(3), unit.weight_hh.chunk(3)
    bias = 0 if unit.bias_ih is None else unit.bias_ih
    r = torch.sigmoid(W_r @ x + U_r @ state)
    z = torch.sigmoid(W_z @ x + U_z @ state)
    candidate = torch.tanh(W @ x + bias + U @ (r * state))
    return (1 - z) * state + z * candidate


def library(unit):
    """``nn.GRU`` with the unit's numbers."""
    gru = nn.GRU(I, H, batch_first=True, bias=unit.bias_ih is not None).double()
    with torch.no_grad():
        gru.weight_ih_l0.copy_(unit.weight_ih)
        gru.weight_hh_l0.copy_(unit.weight_hh)
        if unit.bias_ih is not None:
            gru.bias_ih_l0.copy_(unit.bias_ih)
            gru.bias_hh_l0.copy_(unit.bias_hh)
    return gru


def make(reset, bias=True, inputs=I):
    unit = GatedRecurrentUnit(inputs, H, reset=reset, bias=bias).double()
    for parameter in unit.parameters():  # large enough for the gates to open and close
        nn.init.normal_(parameter)
    return unit


@pytest.mark.parametrize("bias", [True, False])
def test_reset_before_is_the_papers_unit(bias):
    unit, inputs = make("before", bias), torch.randn(B, T, I).double()
    start = torch.randn(B, H).double()
    found = unit(inputs, start)
    for b in range(B):
        state = start[b]
        for t in range(T):
            state = paper_step(unit, inputs[b, t], state)
            torch.testing.assert_close(found[b, t], state, rtol=0, atol=1e-12)


@pytest.mark.parametrize("bias", [True, False])
def test_reset_after_is_the_librarys_unit(bias):
    unit, inputs = make("after", bias), torch.randn(B, T, I).double()
    start = torch.randn(B, H).double()
    states, last = library(unit)(inputs, start.unsqueeze(0))
    torch.testing.assert_close(unit(inputs, start), states, rtol=0, atol=1e-12)
    torch.testing.assert_close(unit(inputs, start)[:, -1], last[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("bias", [True, False])
def test_reset_after_has_the_gradients_of_the_librarys_unit(bias):
    unit, inputs = make("after", bias), torch.randn(B, T, I).double()
    gru = library(unit)
    unit(inputs).square().sum().backward()
    gru(inputs)[0].square().sum().backward()
    torch.testing.assert_close(unit.weight_ih.grad, gru.weight_ih_l0.grad)
    torch.testing.assert_close(unit.weight_hh.grad, gru.weight_hh_l0.grad)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("reset", RESETS)
def test_one_step_at_a_time_is_the_sequence(reset, bias):
    unit, inputs = make(reset, bias), torch.randn(B, T, I).double()
    state, found = torch.zeros(B, H).double(), unit(inputs)
    for t in range(T):
        state = unit.update(unit.gates(inputs[:, t]), state)
        torch.testing.assert_close(found[:, t], state, rtol=0, atol=1e-12)


@pytest.mark.parametrize("reset", RESETS)
def test_the_gates_of_all_steps_at_once(reset):
    unit, inputs = make(reset), torch.randn(B, T, I).double()
    torch.testing.assert_close(unit.gates(inputs)[:, 2], unit.gates(inputs[:, 2]), rtol=0, atol=1e-12)


@pytest.mark.parametrize("reset", RESETS)
def test_the_first_state_is_zero_unless_given(reset):
    """``h_0 = 0`` (§A.2.1)."""
    unit, inputs = make(reset), torch.randn(B, T, I).double()
    assert torch.equal(unit(inputs), unit(inputs, torch.zeros(B, H).double()))
    assert not torch.allclose(unit(inputs)[:, 0], unit(inputs, torch.ones(B, H).double())[:, 0])


def mirrored(unit):
    """The other variant with the same numbers; z → 1 − z by turning the update gate's rows round."""
    other = GatedRecurrentUnit(I, H, reset="after", bias=False).double()
    with torch.no_grad():
        for mine, theirs in ((unit.weight_ih, other.weight_ih), (unit.weight_hh, other.weight_hh)):
            r, z, candidate = mine.chunk(3)
            theirs.copy_(torch.cat([r, -z, candidate]))
    return other


def test_where_the_reset_gate_acts_matters_unless_the_matrix_is_diagonal():
    """D15: turning z round is a change of letters; moving r is another unit, except where U commutes with diag r."""
    unit, inputs = make("before", bias=False), torch.randn(B, T, I).double()
    assert (unit(inputs) - mirrored(unit)(inputs)).abs().max() > 1e-2
    with torch.no_grad():
        unit.weight_hh[2 * H :] = torch.diag(torch.randn(H).double())
    torch.testing.assert_close(unit(inputs), mirrored(unit)(inputs), rtol=0, atol=1e-12)


def saturated(gate, value):
    """A unit without biases whose one gate is held open (1) or shut (0) by an input that is always 1."""
    unit = make("before", bias=False, inputs=1)
    rows = {"reset": slice(0, H), "update": slice(H, 2 * H)}[gate]
    with torch.no_grad():
        unit.weight_hh[rows] = 0
        unit.weight_ih[rows] = 1e3 if value else -1e3
    return unit


def test_a_shut_update_gate_keeps_and_an_open_one_writes():
    """The papers' sense of z: it writes. (Cho et al. and ``nn.GRU`` have the other sense.)"""
    state, one = torch.randn(B, H).double(), torch.ones(B, 1).double()
    shut, opened = saturated("update", 0), saturated("update", 1)
    torch.testing.assert_close(shut.update(shut.gates(one), state), state, rtol=0, atol=1e-12)
    found = opened.update(opened.gates(one), state)
    reset = torch.sigmoid(opened.weight_ih[:H, 0] + state @ opened.weight_hh[:H].T)
    candidate = torch.tanh(opened.weight_ih[2 * H :, 0] + (reset * state) @ opened.weight_hh[2 * H :].T)
    torch.testing.assert_close(found, candidate, rtol=0, atol=1e-12)


def test_a_shut_reset_gate_forgets_the_state_in_the_candidate():
    unit, one = saturated("reset", 0), torch.ones(1, 1).double()
    states = torch.randn(2, H).double()
    with torch.no_grad():
        unit.weight_ih[H : 2 * H] = 1e3  # and z writes
    first, second = (unit.update(unit.gates(one), state[None]) for state in states)
    torch.testing.assert_close(first, second, rtol=0, atol=1e-12)


@pytest.mark.parametrize("reset", RESETS)
def test_states_stay_between_minus_one_and_one(reset):
    """A convex mixture of a tanh and the state before, started at zero."""
    unit = make(reset)
    assert (unit(10 * torch.randn(B, 50, I).double()).abs() <= 1).all()


@pytest.mark.parametrize("reset", RESETS)
def test_no_state_knows_a_later_input(reset):
    unit, inputs = make(reset), torch.randn(B, T, I).double()
    changed = inputs.clone()
    changed[:, 3] += 1
    before, after = unit(inputs), unit(changed)
    torch.testing.assert_close(before[:, :3], after[:, :3], rtol=0, atol=0)
    assert (before[:, 3:] != after[:, 3:]).all(dim=-1).all()


@pytest.mark.parametrize("reset", RESETS)
def test_gradients_agree_with_finite_differences(reset):
    unit = GatedRecurrentUnit(2, 3, reset=reset).double()
    inputs, state = torch.randn(2, 3, 2).double().requires_grad_(), torch.randn(2, 3).double().requires_grad_()
    names, values = zip(*unit.named_parameters(), strict=True)

    class Steps(nn.Module):  # by `update`, which is what a decoder calls
        def __init__(self):
            super().__init__()
            self.unit = unit

        def forward(self, inputs, state):
            for gates in self.unit.gates(inputs).unbind(1):
                state = self.unit.update(gates, state)
            return state

    def steps(inputs, state, *values):
        parameters = {f"unit.{name}": value for name, value in zip(names, values, strict=True)}
        return torch.func.functional_call(Steps(), parameters, (inputs, state))

    assert torch.autograd.gradcheck(steps, (inputs, state, *values))
    assert torch.autograd.gradcheck(lambda i, s: unit(i, s), (inputs, state))


def test_biases_are_where_each_source_has_them():
    """GroundHog: one vector, on the candidate, none on the gates. ``nn.GRU``: two, on everything."""
    sizes = {
        (reset, bias): {name: tuple(p.shape) for name, p in make(reset, bias).named_parameters() if "bias" in name}
        for reset in RESETS
        for bias in (True, False)
    }
    assert sizes["before", True] == {"bias_ih": (H,)}
    assert sizes["after", True] == {"bias_ih": (3 * H,), "bias_hh": (3 * H,)}
    assert sizes["before", False] == sizes["after", False] == {}


def test_an_unknown_place_for_the_reset_gate_is_refused():
    with pytest.raises(CourseError, match="'sideways'.*'before'.*'after'"):
        GatedRecurrentUnit(I, H, reset="sideways")


# The LSTM


def memory(bias=True):
    unit = LongShortTermMemory(I, H, bias=bias).double()
    for parameter in unit.parameters():
        nn.init.normal_(parameter)
    return unit


@pytest.mark.parametrize("bias", [True, False])
def test_the_lstm_is_the_papers(bias):
    """Xu et al. 2015, eq. 1-3, one sentence at a time: rows i, f, o, g."""
    unit, inputs = memory(bias), torch.randn(B, T, I).double()
    hidden, cell = torch.randn(2, B, H).double()
    states, cells = hidden.clone(), cell.clone()
    for t in range(T):
        hidden, cell = unit.update(unit.gates(inputs)[:, t], hidden, cell)
        for b in range(B):
            p = unit.weight_ih @ inputs[b, t] + unit.weight_hh @ states[b] + (unit.bias if bias else 0)
            i, f, o = torch.sigmoid(p[:H]), torch.sigmoid(p[H : 2 * H]), torch.sigmoid(p[2 * H : 3 * H])
            cells[b] = f * cells[b] + i * torch.tanh(p[3 * H :])
            states[b] = o * torch.tanh(cells[b])
            torch.testing.assert_close(hidden[b], states[b], rtol=0, atol=1e-12)
            torch.testing.assert_close(cell[b], cells[b], rtol=0, atol=1e-12)


def test_the_lstm_is_the_librarys_with_its_rows_in_another_order():
    """``nn.LSTMCell`` stacks i, f, g, o. Its rows taken as i, f, o, g are another unit."""
    unit, cell_of = memory(), nn.LSTMCell(I, H).double()
    inputs, hidden, cell = torch.randn(B, I).double(), *torch.randn(2, B, H).double()

    def fill(order):
        with torch.no_grad():
            for mine, theirs in ((unit.weight_ih, cell_of.weight_ih), (unit.weight_hh, cell_of.weight_hh)):
                theirs.copy_(torch.cat([mine.chunk(4)[k] for k in order]))
            cell_of.bias_ih.copy_(torch.cat([unit.bias.chunk(4)[k] for k in order]))
            cell_of.bias_hh.zero_()
        return cell_of(inputs, (hidden, cell))

    found = unit.update(unit.gates(inputs), hidden, cell)
    torch.testing.assert_close(found, fill([0, 1, 3, 2]), rtol=0, atol=1e-12)
    assert not torch.allclose(found[0], fill([0, 1, 2, 3])[0])


def test_the_lstms_gradients_agree_with_finite_differences():
    unit = memory()
    arguments = [torch.randn(B, size).double().requires_grad_() for size in (4 * H, H, H)]
    assert torch.autograd.gradcheck(unit.update, arguments)
