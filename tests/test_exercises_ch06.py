"""Chapter 6's checks: right answers pass however they are written, and each usual mistake gets its own hint."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from course_pkg.exercises import examine, names
from course_pkg.exercises.ch06 import _look


def caught(name: str, answer: Any, told: str, hint: str) -> None:
    last = examine(name, answer).findings[-1]
    assert not last.holds and told in last.text and hint in last.hint, last


def test_the_chapter_has_four_checks() -> None:
    assert [name for name in names() if name.startswith("06.")] == ["06.adadelta", "06.chain", "06.clip", "06.query"]


# -- through time, by hand --------------------------------------------------------------------------------------------


def by_autograd(targets: tuple[float, ...]) -> tuple[float, ...]:
    w = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    s, states, loss = torch.tensor(0.0, dtype=torch.float64), [], 0.0
    for x, y in zip((1.0, 0.0, 1.0), targets, strict=True):
        s = w * s + x
        s.retain_grad() if s.requires_grad else None
        states.append(s)
        loss = loss + (s - y) ** 2 / 2
    loss.backward()
    return (*(float(s.grad) for s in states), float(w.grad))


def test_chain() -> None:
    assert examine("06.chain", by_autograd((1.0, 0.5, 0.25))).passed
    assert examine("06.chain", torch.tensor([0.25, 0.5, 1, 1])).passed


@pytest.mark.parametrize(
    ("answer", "told", "hint"),
    [
        ((1, 2), "2 numbers", "four"),
        ((-0.25, -0.5, -1, -1), "signs", "minus the wanted"),
        ((0, 0, 1, 0.5), "only its own", "another s_2"),
        ((1, 0.5, 0.25, 1), "wrong order", "first"),
        ((1, 1, 1, 1), "nothing is lost", "multiplied"),
        ((0, 0, 0.25, 1), "δs_3 is not right", "own error alone"),
        ((0.5, 0.5, 1, 1), "an earlier one", "step after"),
        ((0.25, 0.5, 1, 1.75), "wrong states", "before"),
        ((0.25, 0.5, 1, 0.5), "last step alone", "three times"),
        ((0.25, 0.5, 1, 7), "δw is not right", "sum"),
    ],
)
def test_chain_wrong(answer: Any, told: str, hint: str) -> None:
    caught("06.chain", answer, told, hint)


# -- the way back through the look ------------------------------------------------------------------------------------


def back(delta_c, alpha, h, bent, v_a, W_a, *, centre=1.0, share=True, slope=True, v=True, scale=1.0, stop=None):  # type: ignore[no-untyped-def]
    """The right answer, with every part that can be spoilt."""
    energies = (h - centre * (alpha @ h)) @ delta_c * (alpha if share else 1)
    hidden = energies[:, None] * (1 - bent**2 if slope else 1) * torch.ones_like(bent)
    query = (hidden * (v_a if v else 1)).sum(0)
    return {"e": energies, "q": query}.get(stop or "", scale * W_a.T @ query)


def spoilt(**options: Any) -> Callable:
    return lambda **parts: back(**parts, **options)


def test_query() -> None:
    assert examine("06.query", back).passed


def test_the_right_answer_is_autograds() -> None:
    parts = _look()
    state = torch.randn(3, requires_grad=True)
    keys = torch.atanh(parts["bent"]) - (parts["W_a"] @ state).detach()
    energies = torch.tanh(parts["W_a"] @ state + keys) @ parts["v_a"]
    (energies.softmax(0) @ parts["h"] @ parts["delta_c"]).backward()
    assert torch.allclose(state.grad, back(**parts), atol=1e-5)


@pytest.mark.parametrize(
    ("answer", "told", "hint"),
    [
        (lambda **parts: None, "returns nothing", "return"),
        (spoilt(stop="e"), "each word", "δe"),
        (spoilt(stop="q"), "alignment layer", "δq"),
        (lambda **parts: back(**parts)[:, None], "shape", "as wide as the state"),
        (spoilt(centre=0.0), "not compared", "average"),
        (spoilt(share=False), "α is missing", "5.13"),
        (spoilt(slope=False), "bend", "tanh²"),
        (spoilt(v=False), "v_a is missing", "factor"),
        (spoilt(scale=0.2), "averaged", "sum"),
        (spoilt(scale=-1.0), "sign", "descent"),
        (spoilt(scale=2.0), "differ", "three steps"),
    ],
)
def test_query_wrong(answer: Callable, told: str, hint: str) -> None:
    caught("06.query", answer, told, hint)


# -- clipping ---------------------------------------------------------------------------------------------------------


def norm(gradients):  # type: ignore[no-untyped-def]
    return math.sqrt(sum(float((g**2).sum()) for g in gradients))


def clip(gradients, limit):  # type: ignore[no-untyped-def]
    return [g * min(1.0, limit / norm(gradients)) for g in gradients]


def clip_by_torch(gradients, limit):  # type: ignore[no-untyped-def]
    parameters = [torch.zeros_like(g, requires_grad=True) for g in gradients]
    for parameter, g in zip(parameters, gradients, strict=True):
        parameter.grad = g
    torch.nn.utils.clip_grad_norm_(parameters, limit)
    return [parameter.grad for parameter in parameters]


@pytest.mark.parametrize("answer", [clip, clip_by_torch])
def test_clip(answer: Callable) -> None:
    assert examine("06.clip", answer).passed


@pytest.mark.parametrize(
    ("answer", "told", "hint"),
    [
        (lambda g, limit: None, "returns nothing", "return"),
        (lambda g, limit: torch.cat([x.flatten() for x in clip(g, limit)]), "not the two", "list"),
        (lambda g, limit: g, "nothing is shortened", "norm is 5"),
        (lambda g, limit: [clip([x], limit)[0] for x in g], "by itself", "one norm"),
        (lambda g, limit: [x.clamp(-limit, limit) for x in g], "entries", "direction"),
        (lambda g, limit: [x * limit / sum(norm([y]) for y in g) for x in g], "added", "squares"),
        (lambda g, limit: [x * limit / norm(g) ** 2 for x in g], "root is missing", "root"),
        (lambda g, limit: [x * 0 for x in g], "not the given vector", "limit / norm"),
        (lambda g, limit: [x * limit / norm(g) for x in g], "0.5 is changed", "never above 1"),
        (lambda g, limit: clip(g, 1.0), "2.5", "given"),
    ],
)
def test_clip_wrong(answer: Callable, told: str, hint: str) -> None:
    caught("06.clip", answer, told, hint)


# -- Adadelta ---------------------------------------------------------------------------------------------------------


def first_step(g, rho, eps):  # type: ignore[no-untyped-def]
    return -math.sqrt(eps / ((1 - rho) * g * g + eps)) * g


def by_torch(g, rho, eps):  # type: ignore[no-untyped-def]
    parameter = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    parameter.grad = torch.tensor([g], dtype=torch.float64)
    torch.optim.Adadelta([parameter], lr=1.0, rho=rho, eps=eps).step()
    return parameter.detach()


@pytest.mark.parametrize("answer", [first_step, by_torch])
def test_adadelta(answer: Callable) -> None:
    assert examine("06.adadelta", answer).passed


@pytest.mark.parametrize(
    ("answer", "told", "hint"),
    [
        (lambda g, rho, eps: None, "returns nothing", "return"),
        (lambda g, rho, eps: -first_step(g, rho, eps), "uphill", "smaller"),
        (lambda g, rho, eps: abs(first_step(g, rho, eps)), "same sign", "direction"),
        (lambda g, rho, eps: first_step(g, 0.0, eps), "g² itself", "1 − ρ"),
        (lambda g, rho, eps: first_step(g, 1 - rho, eps), "exchanged", "old average"),
        (
            lambda g, rho, eps: -math.sqrt(eps) * g / (math.sqrt(1 - rho) * abs(g) + math.sqrt(eps)),
            "outside",
            "under the root",
        ),
        (lambda g, rho, eps: -eps * g / ((1 - rho) * g * g + eps), "roots are missing", "squares"),
        (lambda g, rho, eps: -g / math.sqrt((1 - rho) * g * g + eps), "numerator", "added to it"),
        (lambda g, rho, eps: -g, "differs from torch", "quotient"),
    ],
)
def test_adadelta_wrong(answer: Callable, told: str, hint: str) -> None:
    caught("06.adadelta", answer, told, hint)
