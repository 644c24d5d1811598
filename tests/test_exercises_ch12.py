"""Chapter 12's checks: right answers pass however they are written, and each usual mistake gets its own hint."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from course_pkg.exercises import examine, names
from course_pkg.exercises.ch12 import _paths, _scatter
from course_pkg.losses import reinforce


def caught(name: str, answer: Any, told: str, hint: str) -> None:
    last = examine(name, answer).findings[-1]
    assert not last.holds and told in last.text and hint in last.hint, last


def test_the_chapter_has_three_checks() -> None:
    assert [name for name in names() if name.startswith("12.")] == ["12.baseline", "12.bound", "12.surrogate"]


# -- the bound, by hand -----------------------------------------------------------------------------------------------


def by_autograd() -> tuple[float, float, float]:
    energies = torch.tensor([math.log(3.0), 0.0], dtype=torch.float64, requires_grad=True)
    weights, word = energies.softmax(0), torch.tensor([0.8, 0.2], dtype=torch.float64)
    bound = weights @ word.log()
    (slope,) = torch.autograd.grad(bound, energies)
    return float(bound.detach()), float((weights.detach() @ word).log()), float(slope[0])


def test_bound() -> None:
    assert examine("12.bound", by_autograd()).passed
    assert examine("12.bound", [round(value, 2) for value in by_autograd()]).passed


@pytest.mark.parametrize(
    ("answer", "told", "hint"),
    [
        ((1, 2), "2 numbers", "three"),
        ((-0.431, -0.570, 0.26), "exchanged", "smaller"),
        ((-0.916, -0.431, 0.26), "alike", "its α"),
        ((-0.431, -0.431, 0.26), "logarithm of an average", "then the average"),
        ((-5, -0.431, 0.26), "L_s is not right", "natural"),
        ((-0.570, 0.65, 0.26), "lacks its logarithm", "averaged"),
        ((-0.570, -0.6, 0.26), "log p(y | a) is not right", "first"),
        ((-0.570, -0.431, -0.26), "wrong sign", "pays more"),
        ((-0.570, -0.431, 0.3466), "lacks α", "weight"),
        ((-0.570, -0.431, -0.1674), "not compared", "subtract"),
        ((-0.570, -0.431, 1.0), "slope is not right", "above L_s"),
    ],
)
def test_bound_wrong(answer: Any, told: str, hint: str) -> None:
    caught("12.bound", answer, told, hint)


# -- the loss ---------------------------------------------------------------------------------------------------------


def surrogate(log_likelihood, path, b):  # type: ignore[no-untyped-def]
    return -(log_likelihood + (log_likelihood.detach() - b) * path).mean()


def by_the_package(log_likelihood, path, b):  # type: ignore[no-untyped-def]
    count = len(path)
    weights, mask = torch.ones(count, 1, 1), torch.ones(count, 1, dtype=torch.bool)
    return reinforce(log_likelihood, path.unsqueeze(1), weights, mask, b).loss


@pytest.mark.parametrize("answer", [surrogate, by_the_package])
def test_surrogate(answer: Callable) -> None:
    assert examine("12.surrogate", answer).passed


def spoilt(words=1.0, looks=1.0, times_b=1.0, attached=False, own=False, total=False, sign=-1.0):  # type: ignore[no-untyped-def]
    def answer(log_likelihood, path, b):  # type: ignore[no-untyped-def]
        reward = log_likelihood if attached else log_likelihood.detach()
        expected = reward.detach().mean() if own else times_b * b
        gain = words * log_likelihood + looks * (reward - expected) * path
        return sign * (gain.sum() if total else gain.mean())

    return answer


@pytest.mark.parametrize(
    ("answer", "told", "hint"),
    [
        (lambda *parts: None, "returns nothing", "return"),
        (lambda x, path, b: -(x + (x.detach() - b) * path), "not one number", "mean"),
        (lambda x, path, b: surrogate(x, path, b).detach(), "nothing can flow", "detached"),
        (spoilt(attached=True), "through the reward", "detach"),
        (spoilt(attached=True, words=0.0), "through the reward", "detach"),
        (spoilt(words=0.0), "words learn nothing", "first term"),
        (spoilt(sign=1.0), "downhill", "minus"),
        (spoilt(total=True), "added up", "mean"),
        (spoilt(words=2.0), "not −1/B", "alone"),
        (spoilt(looks=0.0), "looks learn nothing", "second term"),
        (spoilt(times_b=0.0), "baseline is missing", "subtract"),
        (spoilt(times_b=-1.0), "baseline is added", "subtracted"),
        (spoilt(looks=-1.0), "rarer", "sign"),
        (spoilt(own=True), "current rewards", "knows the draw"),
        (lambda x, path, b: surrogate(x, path, -3.5), "another baseline", "given"),
        (spoilt(looks=0.5), "not right", "reward minus baseline"),
    ],
)
def test_surrogate_wrong(answer: Callable, told: str, hint: str) -> None:
    caught("12.surrogate", answer, told, hint)


# -- the best baseline ------------------------------------------------------------------------------------------------


def best_baseline(p, R, u, v):  # type: ignore[no-untyped-def]
    return (p * ((u * v).sum(1) + R * (v * v).sum(1))).sum() / (p * (v * v).sum(1)).sum()


def by_fitting_a_parabola(p, R, u, v):  # type: ignore[no-untyped-def]
    low, middle, high = (_scatter(torch.tensor(float(b)), p, R, u, v) for b in (-1, 0, 1))
    return (low - high) / (2 * (low + high - 2 * middle))


@pytest.mark.parametrize("answer", [best_baseline, by_fitting_a_parabola])
def test_baseline(answer: Callable) -> None:
    assert examine("12.baseline", answer).passed


def test_the_best_baseline_is_the_best_of_a_thousand() -> None:
    parts = _paths()
    assert (parts["p"] @ parts["v"]).abs().max() < 1e-12
    grid = torch.linspace(-30, 30, 1001, dtype=torch.float64)
    least = min(float(_scatter(b, **parts)) for b in grid)
    assert float(_scatter(best_baseline(**parts), **parts)) <= least


@pytest.mark.parametrize(
    ("answer", "told", "hint"),
    [
        (lambda **parts: None, "returns nothing", "return"),
        (lambda p, R, u, v: R, "6 numbers", "one constant"),
        (lambda p, R, u, v: p @ R, "mean reward", "scatters more"),
        (lambda p, R, u, v: R.mean(), "counts alike", "with p"),
        (lambda p, R, u, v: best_baseline(torch.ones_like(p) / 6, R, u, v), "counts alike", "with p"),
        (lambda p, R, u, v: best_baseline(p, R, 0 * u, v), "u is left out", "square"),
        (lambda **parts: -best_baseline(**parts), "sign", "zero"),
        (lambda **parts: 0.0, "scatters less", "quadratic"),
        (lambda **parts: best_baseline(**_paths()), "other paths", "compute"),
    ],
)
def test_baseline_wrong(answer: Callable, told: str, hint: str) -> None:
    caught("12.baseline", answer, told, hint)
