"""Checks of chapter 4: weights at half the temperature by hand, a temperature wanted, and a soft lookup."""

from collections.abc import Callable, Iterator
from math import exp, log
from typing import Any

import torch
from torch import Tensor

from course_pkg.exercises.registry import Finding, exercise, right, wrong

# The chapter's energies of "the", "black" and "dog".
ENERGIES = torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64)


def _near(a: Tensor, b: Tensor, tolerance: float = 1e-4) -> bool:
    return a.shape == b.shape and bool(torch.allclose(a.double(), b.double(), rtol=0, atol=tolerance))


@exercise("04.half", "the weights at half the temperature")
def _half(answer: Any) -> Iterator[Finding]:
    """Three weights at temperature ½, to two decimals."""
    weights = torch.as_tensor(answer, dtype=torch.float64).flatten()
    if weights.numel() != 3:
        count = "is 1 number" if weights.numel() == 1 else f"are {weights.numel()} numbers"
        yield wrong(f"there {count}", "one weight for each word, three in all.")
    yield right("three numbers")
    if _near(weights, ENERGIES * 2, 0.011):
        yield wrong("these are the energies over the temperature", "they still have to go through the softmax.")
    elif abs(float(weights.sum()) - 100) < 2:
        yield wrong("these are per cent", "give shares that sum to 1, not to 100.")
    elif abs(float(weights.sum()) - 1) > 0.02:
        hint = "divide each power by the sum of all three."
        yield wrong(f"they sum to {float(weights.sum()):.2f}", hint)
    yield right("they sum to 1")
    if _near(weights, ENERGIES.softmax(0), 0.011):
        yield wrong("these are the weights at temperature 1", "divide each energy by ½ first.")
    elif _near(weights, (ENERGIES / 2).softmax(0), 0.011):
        yield wrong("these are the weights at temperature 2", "dividing by ½ makes a number larger, not smaller.")
    elif _near(weights.flip(0), (2 * ENERGIES).softmax(0), 0.011):
        yield wrong("the order is turned round", "the, black, dog: the highest energy stands last.")
    elif not _near(weights, (2 * ENERGIES).softmax(0), 0.011):
        yield wrong("some weights differ from ours", "the energies over the temperature are 0, 2 and 4.")
    yield right("a lower temperature has made them sharper")


@exercise("04.temperature", "a temperature for a wanted ratio")
def _temperature(answer: Any) -> Iterator[Finding]:
    """The τ at which dog gets nine times the weight of black, to two decimals."""
    tau = float(answer)
    if not tau > 0:
        yield wrong("a temperature is positive", "what would dividing by it do otherwise?")
    yield right("it is positive")
    if abs(tau - log(9)) < 0.006:
        yield wrong("this is one over the temperature", "solve exp(1/τ) = 9 for τ, not for 1/τ.")
    elif abs(tau - 2 / log(9)) < 0.006:
        yield wrong("this is the answer for dog and the", "the energies of dog and black differ by 1.")
    elif abs(tau - 1 / log(9)) > 0.006:
        ratio = f"{exp(1 / tau):.1f}" if 1 / tau < 700 else "far more than a million"
        yield wrong(f"at this temperature dog gets {ratio} times what black gets", "use (4.5), and take the logarithm.")
    yield right("dog gets nine times what black gets")


def _lookups() -> tuple[Tensor, Tensor]:
    """Four energies and values of three numbers: no two axes are alike."""
    generator = torch.Generator().manual_seed(4)
    return 2 * torch.randn(4, generator=generator), torch.randn(4, 3, generator=generator)


@exercise("04.lookup", "a soft lookup with a temperature")
def _lookup(answer: Callable[..., Any]) -> Iterator[Finding]:
    """``lookup(e, h, tau) -> (weights, context)`` for one question."""
    e, h = _lookups()
    returned = answer(e.clone(), h.clone(), 1.0)
    if returned is None or returned is Ellipsis:
        yield wrong("the function returns nothing yet", "end it with `return weights, context`.")
    if not (isinstance(returned, tuple | list) and len(returned) == 2):
        yield wrong("the function should return two things", "end it with `return weights, context`.")
    weights, context = (torch.as_tensor(part) for part in returned)
    if tuple(weights.shape) != (4,):
        yield wrong(f"the weights have shape {tuple(weights.shape)}", "one for each of the 4 energies.")
    elif tuple(context.shape) != (3,):
        yield wrong(f"the context has shape {tuple(context.shape)}", "it is as wide as one value (here 3).")
    yield right("the shapes are right")
    yield from _at_one(weights, context, e, h)
    yield from _at_other_temperatures(answer, e, h)


def _at_one(weights: Tensor, context: Tensor, e: Tensor, h: Tensor) -> Iterator[Finding]:
    if not _near(weights.sum(), torch.tensor(1.0)):
        yield wrong(f"the weights sum to {float(weights.sum()):.2f}", "divide the powers by their sum.")
    elif _near(weights, torch.nn.functional.one_hot(e.argmax(), 4).float()):
        yield wrong("this is a hard lookup", "every word gets a share: exp, then divide.")
    elif not _near(weights, e.softmax(0)):
        yield wrong("the weights differ from ours", "at temperature 1: exp of each energy, over the sum.")
    elif not _near(context, e.softmax(0) @ h):
        yield wrong("the context is not the weighted sum", "multiply each row of h by its weight, then add the rows.")
    yield right("at temperature 1 it mixes as it should")


def _at_other_temperatures(answer: Callable[..., Any], e: Tensor, h: Tensor) -> Iterator[Finding]:
    weights, context = (torch.as_tensor(part) for part in answer(e.clone(), h.clone(), 0.5))
    if _near(weights, e.softmax(0)):
        yield wrong("the temperature changes nothing", "divide the energies by it before anything else.")
    elif _near(weights, (e * 0.5).softmax(0)):
        yield wrong("a lower temperature makes the weights flatter", "divide by τ; do not multiply.")
    elif not (_near(weights, (2 * e).softmax(0)) and _near(context, (2 * e).softmax(0) @ h)):
        yield wrong("at temperature ½ it differs from ours", "only the energies are divided by τ.")
    yield right("the temperature sharpens")
    cold = [torch.as_tensor(part) for part in answer(e.abs() + 1, h.clone(), 0.001)]
    if any(bool(part.isnan().any()) for part in cold):
        hint = "energies over a small τ are huge, and their powers overflow: subtract the largest first."
        yield wrong("at τ = 0.001 there is a nan", hint)
    elif not _near(cold[1], h[e.abs().argmax()]):
        yield wrong("at τ = 0.001 the answer is not one word's", "nearly all the weight should go to the best word.")
    yield right("in the cold it becomes a hard lookup")
