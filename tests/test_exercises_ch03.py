"""Chapter 3's checks: right answers pass however they are written, and each usual mistake gets its own hint."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from course_pkg.encoders import reverse_within_length
from course_pkg.exercises import examine, names
from course_pkg.exercises.ch03 import BLACK, DOG
from course_pkg.recurrent import GatedRecurrentUnit


def test_the_chapter_has_four_checks() -> None:
    assert [name for name in names() if name.startswith("03.")] == ["03.backward", "03.gru", "03.hand", "03.start"]


def caught(name: str, answer: object, told: str, hint: str) -> None:
    last = examine(name, answer).findings[-1]
    assert not last.holds and told in last.text and hint in last.hint, last


# -- a backward step by hand ------------------------------------------------------------------------------------------


def by_the_package(*words: torch.Tensor) -> torch.Tensor:
    """The chapter's unit in the package: rows of reset, update, candidate."""
    unit = GatedRecurrentUnit(2, 2, bias=False).requires_grad_(False)
    zero, one = torch.zeros(2, 2), torch.eye(2)
    unit.weight_ih.copy_(torch.cat([torch.tensor([[-1.0, 1.0], [1.0, -1.0], [2.0, -2.0], [-2.0, 2.0]]), one]))
    unit.weight_hh.copy_(torch.cat([zero, zero, one.flip(0)]))
    return unit(torch.stack(words)[None])[0, -1]


def test_hand_right() -> None:
    truth = by_the_package(DOG, BLACK)
    for answer in (truth, truth.tolist(), [round(float(number), 2) for number in truth], (0.59, 0.80)):
        assert examine("03.hand", answer).passed, answer


@pytest.mark.parametrize(
    ("answer", "told", "hint"),
    [
        ((0.59, 0.80, 0.1), "3 numbers", "two"),
        (by_the_package(BLACK, DOG), "forward state at dog", "read first"),
        (by_the_package(DOG), "backward state at dog", "go on"),
        (by_the_package(BLACK), "dog is not in it", "not zero"),
        ((0.0, 0.903), "the candidate", "mix"),
        ((0.591, 0.729), "after the product", "then U"),
        ((0.08, 0.108), "wrong way round", "what is new"),
        ((0.3, 0.3), "differ from ours", "zero state"),
    ],
)
def test_hand_wrong(answer: object, told: str, hint: str) -> None:
    caught("03.hand", answer, told, hint)


# -- the gated unit ---------------------------------------------------------------------------------------------------


def unit(  # type: ignore[no-untyped-def]
    gate=torch.sigmoid, bend=torch.tanh, reset="before", old=lambda z: 1 - z, new=lambda z: z, swap=False, r=None
):
    """The unit with any of its parts replaced."""

    def gru_step(x, h, W, U, W_z, U_z, W_r, U_r):  # type: ignore[no-untyped-def]
        update, through = gate(W_z @ x + U_z @ h), gate(W_r @ x + U_r @ h)
        if swap:
            update, through = through, update
        through = torch.ones_like(h) if r == 1 else through
        past = U @ (through * h) if reset == "before" else through * (U @ h)
        return old(update) * h + new(update) * bend(W @ x + past)

    return gru_step


def in_place(x, h, *matrices, **named):  # type: ignore[no-untyped-def]
    h += unit()(x, h, *matrices, **named) - h
    return h


def by_lerp(x, h, W, U, W_z, U_z, W_r, U_r):  # type: ignore[no-untyped-def]
    z, r = (W_z @ x + U_z @ h).sigmoid(), (W_r @ x + U_r @ h).sigmoid()
    return torch.lerp(h, (W @ x + U @ (r * h)).tanh(), z)


def by_the_packages_unit(x, h, W, U, W_z, U_z, W_r, U_r):  # type: ignore[no-untyped-def]
    made = GatedRecurrentUnit(4, 3, bias=False).requires_grad_(False)
    made.weight_ih.copy_(torch.cat([W_r, W_z, W]))
    made.weight_hh.copy_(torch.cat([U_r, U_z, U]))
    return made.update(made.gates(x[None]), h[None])[0]


@pytest.mark.parametrize("answer", [unit(), by_lerp, by_the_packages_unit])
def test_gru_right(answer: Callable) -> None:
    assert examine("03.gru", answer).passed


@pytest.mark.parametrize(
    ("answer", "told", "hint"),
    [
        (lambda *a, **k: None, "returns nothing", "return"),
        (lambda x, h, **k: torch.outer(h, h), "shape is (3, 3)", "as wide"),
        (in_place, "was changed", "new tensor"),
        (unit(old=lambda z: 0, new=lambda z: 1), "candidate alone", "old state stays"),
        (unit(old=lambda z: 0, new=lambda z: 1, r=1), "plain RNN", "gates"),
        (unit(reset="after"), "after the product", "library"),
        (unit(reset="after", old=lambda z: z, new=lambda z: 1 - z), "after the product", "library"),
        (unit(old=lambda z: z, new=lambda z: 1 - z), "wrong way round", "where z is 1"),
        (unit(swap=True), "exchanged", "written"),
        (unit(gate=lambda v: v), "not between 0 and 1", "presses"),
        (unit(gate=torch.tanh), "not between 0 and 1", "presses"),
        (unit(bend=lambda v: v), "not bent", "without bound"),
        (unit(r=1), "reset gate is missing", "only through r"),
        (unit(old=lambda z: 1), "more than a whole", "loses"),
        (lambda x, h, **k: h, "differs from ours", "between 0 and 1"),
    ],
)
def test_gru_wrong(answer: Callable, told: str, hint: str) -> None:
    caught("03.gru", answer, told, hint)


# -- the backward scan ------------------------------------------------------------------------------------------------


def scan(places=None, read=lambda words, mask: words, keep=None, put=lambda j, n: j):  # type: ignore[no-untyped-def]
    """The scan with any of its parts replaced."""
    keep = keep or (lambda m, new, old: torch.where(m, new, old))

    def backward_states(step, words, mask, start):  # type: ignore[no-untyped-def]
        n, state, words = mask.shape[1], start, read(words, mask)
        states = [start] * n
        for j in places(n) if places else reversed(range(n)):
            state = keep(mask[:, j, None], step(words[:, j], state), state)
            states[put(j, n)] = state
        return torch.stack(states, dim=1)

    return backward_states


def by_arithmetic(step, words, mask, start):  # type: ignore[no-untyped-def]
    return scan(keep=lambda m, new, old: m * new + ~m * old)(step, words, mask, start)


def by_reversal(step, words, mask, start):  # type: ignore[no-untyped-def]
    state, states = start, []
    for x in reverse_within_length(words, mask).unbind(1):
        state = step(x, state)
        states.append(state)
    return reverse_within_length(torch.stack(states, 1), mask)


def one_by_one(step, words, mask, start):  # type: ignore[no-untyped-def]
    rows = []
    for words_of_one, length in zip(words, mask.sum(1).tolist(), strict=True):
        alone = scan()(step, words_of_one[None, :length], torch.ones(1, length, dtype=torch.bool), start[:1])[0]
        rows.append(nn.functional.pad(alone, (0, 0, 0, mask.shape[1] - length), value=7.0))
    return torch.stack(rows)


def masked_too_late(step, words, mask, start):  # type: ignore[no-untyped-def]
    return scan(keep=lambda m, new, old: new)(step, words, mask, start) * mask[..., None]


@pytest.mark.parametrize(
    "answer", [scan(), by_arithmetic, by_reversal, one_by_one, scan(keep=lambda m, new, _: m * new)]
)
def test_backward_right(answer: Callable) -> None:
    assert examine("03.backward", answer).passed


@pytest.mark.parametrize(
    ("answer", "told", "hint"),
    [
        (lambda *a: ..., "returns nothing", "return"),
        (lambda *a: list(scan()(*a).unbind(1)), "a list of states", "torch.stack"),
        (lambda *a: scan()(*a).transpose(0, 1), "before the sentences", "axis 1"),
        (lambda *a: scan()(*a)[:, 0], "only one state", "every place"),
        (lambda *a: scan()(*a)[:, 1:], "shape is (3, 4, 3)", "5 places"),
        (scan(places=range), "left to right", "come first"),
        (scan(put=lambda j, n: n - 1 - j), "exchanged", "in which they were made"),
        (scan(places=range, put=lambda j, n: n - 1 - j), "then the states turned", "reading round"),
        (lambda *a: scan()(*a).roll(1, 1), "without padding differs", "hand each state"),
        (scan(keep=lambda m, new, old: torch.where(m, old, new)), "no word was read", "means *real*"),
        (scan(keep=lambda m, new, old: new), "the padding was read", "already changed"),
        (masked_too_late, "the padding was read", "already changed"),
        (scan(read=lambda w, m: w * m[..., None], keep=lambda m, new, old: new), "read as zeros", "itself"),
        (lambda *a: scan()(*a) + (0 / a[2].prod(1)).view(3, 1, 1), "there is a nan", "torch.where"),
        (scan(keep=lambda m, new, old: torch.where(m.all(), new, old)), "without padding differs", "hand each state"),
        (lambda *a: scan()(*a) + (~a[2]).any(1).view(3, 1, 1), "differ from what they are alone", "means *real*"),
    ],
)  # fmt: skip
def test_backward_wrong(answer: Callable, told: str, hint: str) -> None:
    caught("03.backward", answer, told, hint)


# -- where s_0 comes from ---------------------------------------------------------------------------------------------


def start(choose, bend=torch.tanh, turn=lambda W: W.T):  # type: ignore[no-untyped-def]
    return lambda annotations, mask, W_s: bend(choose(annotations, mask) @ turn(W_s))


def backward_first(annotations, mask):  # type: ignore[no-untyped-def]
    return annotations[:, 0, 4:]


def at_the_end(part):  # type: ignore[no-untyped-def]
    return lambda a, m: a[torch.arange(3), m.sum(1) - 1][:, part]


def test_start_right() -> None:
    assert examine("03.start", start(backward_first)).passed
    rows = lambda a, m, W: [torch.tanh(W @ row[0, 4:]) for row in a]  # noqa: E731
    assert examine("03.start", lambda a, m, W: torch.stack(rows(a, m, W))).passed


@pytest.mark.parametrize(
    ("answer", "told", "hint"),
    [
        (lambda a, m, W: None, "returns nothing", "return"),
        (start(lambda a, m: a[..., 4:]), "shape is (3, 5, 4)", "each of 3"),
        (start(at_the_end(slice(4, 8))), "last place", "starts"),
        (start(lambda a, m: a[:, -1, 4:]), "last place", "starts"),
        (start(lambda a, m: a[:, 0, :4]), "forward half", "second"),
        (start(at_the_end(slice(0, 4))), "forward half", "second"),
        (start(lambda a, m: (a[..., 4:] * m[..., None]).sum(1) / m.sum(1)[:, None]), "the mean", "single state"),
        (lambda a, m, W: a[:, 0, 4:], "W_s is not used", "lies between"),
        (start(backward_first, bend=lambda v: v), "not bent", "any other state"),
        (start(backward_first, turn=lambda W: W), "wrong way round", "row k"),
        (start(lambda a, m: a[:, 1, 4:]), "differs from ours", "first word"),
    ],
)
def test_start_wrong(answer: Callable, told: str, hint: str) -> None:
    caught("03.start", answer, told, hint)
