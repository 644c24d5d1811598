"""Checks of chapter 12: the bound by hand, the REINFORCE loss, and the baseline that scatters least."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from course_pkg.exercises.registry import Finding, exercise, right, wrong

_NOTHING = "the function returns nothing yet", "end it with `return`, and your result."


def _missing(returned: Any) -> bool:
    return returned is None or returned is Ellipsis


def _near(a: Tensor, b: Tensor, tolerance: float = 1e-5) -> bool:
    return a.shape == b.shape and bool(torch.allclose(a.double(), b.double(), rtol=0, atol=tolerance))


# -- the bound, by hand -----------------------------------------------------------------------------------------------

# Two places: the weights, and what the word's probability is after a look at each.
_WEIGHTS, _WORD = (0.75, 0.25), (0.8, 0.2)
_BOUND = sum(a * math.log(p) for a, p in zip(_WEIGHTS, _WORD, strict=True))
_MARGINAL = math.log(sum(a * p for a, p in zip(_WEIGHTS, _WORD, strict=True)))
_SLOPE = _WEIGHTS[0] * (math.log(_WORD[0]) - _BOUND)


@exercise("12.bound", "the bound of two places")
def _bound(answer: Any) -> Iterator[Finding]:
    """Three numbers: L_s, log p(y | a), and the slope of L_s along the first energy."""
    found = torch.as_tensor(answer, dtype=torch.float64).flatten()
    if found.numel() != 3:
        yield wrong(
            f"there are {found.numel()} numbers", "give three: L_s, log p(y | a), and the slope, in that order."
        )
    yield right("three numbers")
    bound, marginal, slope = found.tolist()

    def is_(value: float, wanted: float) -> bool:
        return math.isclose(value, wanted, abs_tol=0.006)

    if is_(bound, _MARGINAL) and is_(marginal, _BOUND):
        yield wrong("the first two are exchanged", "L_s averages logarithms; the bound is the smaller one.")
    elif is_(bound, sum(math.log(p) for p in _WORD) / 2):
        yield wrong("L_s counts both places alike", "weigh each logarithm with its α.")
    elif is_(bound, _MARGINAL):
        yield wrong("L_s is the logarithm of an average", "first the logarithm of each place, then the average.")
    elif not is_(bound, _BOUND):
        yield wrong("L_s is not right", "0.75 log 0.8 + 0.25 log 0.2, with natural logarithms.")
    yield right("L_s is the mean of the logarithms")
    if is_(marginal, math.exp(_MARGINAL)):
        yield wrong("p(y | a) still lacks its logarithm", "take the logarithm of the averaged probability.")
    elif not is_(marginal, _MARGINAL):
        yield wrong("log p(y | a) is not right", "average the two probabilities first, then take the logarithm.")
    yield right("log p(y | a) is the logarithm of the mean, and lies above")
    if is_(slope, -_SLOPE):
        yield wrong("the slope has the wrong sign", "a look at the first place pays more than the average look.")
    elif is_(slope, math.log(_WORD[0]) - _BOUND):
        yield wrong("the slope lacks α", "a place that is hardly drawn hardly counts: multiply by its weight.")
    elif is_(slope, _WEIGHTS[0] * math.log(_WORD[0])):
        yield wrong("the reward is not compared with the average", "subtract L_s before you multiply by α.")
    elif not is_(slope, _SLOPE):
        yield wrong("the slope is not right", "α_1 times how far log 0.8 lies above L_s.")
    yield right("the slope compares the place with the average")


# -- the loss ---------------------------------------------------------------------------------------------------------


def _gradients(answer: Callable[..., Any], rewards: Tensor, path: Tensor, b: float) -> tuple[Any, Tensor, Tensor]:
    """What is returned, and its slopes along the log-likelihood and along the log-probability of the path."""
    likelihood, drawn = rewards.clone().requires_grad_(), path.clone().requires_grad_()
    returned = answer(likelihood, drawn, b)
    if not isinstance(returned, Tensor) or returned.numel() != 1 or not returned.requires_grad:
        return returned, torch.zeros_like(rewards), torch.zeros_like(path)
    slopes = torch.autograd.grad(returned.reshape(()), (likelihood, drawn), allow_unused=True)
    first, second = (torch.zeros_like(rewards) if slope is None else slope for slope in slopes)
    return returned, first, second


@exercise("12.surrogate", "the loss whose gradient is REINFORCE's")
def _surrogate(answer: Callable[..., Any]) -> Iterator[Finding]:
    """``surrogate(log_likelihood, path, b)``: one number to minimise, a mean over the images."""
    rewards, path = torch.tensor([-6.0, -2.0, -3.0, -5.0]), torch.tensor([-1.0, -2.0, -1.5, -0.25])
    returned, first, second = _gradients(answer, rewards, path, -3.5)
    if _missing(returned):
        yield wrong(*_NOTHING)
    if not isinstance(returned, Tensor) or returned.numel() != 1:
        yield wrong("the result is not one number", "take the mean over the images.")
    if not returned.requires_grad:
        yield wrong("nothing can flow back", "only the reward in the bracket is detached; the rest keeps its gradient.")
    yield right("one number that gradients can flow from")
    yield from _along_the_likelihood(first, path)
    yield from _along_the_path(second, rewards, -3.5)
    other = _gradients(answer, rewards, path, 1.0)[2]
    if not _near(other, -(rewards - 1.0) / 4):
        yield wrong("another baseline gives the same slope", "use the b that the function is given.")
    yield right("the baseline is the one that was given")


def _along_the_likelihood(found: Tensor, path: Tensor) -> Iterator[Finding]:
    count = len(path)
    plain = torch.full_like(path, 1 / count)
    if _near(found, -(1 + path) / count) or _near(found, -path / count):
        hint = "inside the bracket the log-likelihood is a number like any other: detach it there."
        yield wrong("something flows through the reward", hint)
    elif _near(found, torch.zeros_like(path)):
        hint = "the first term of (12.8) is missing: given where it looked, the words should become likelier."
        yield wrong("the words learn nothing", hint)
    elif _near(found, plain):
        yield wrong("it goes downhill in the likelihood", "a loss is minimised: minus what should grow.")
    elif _near(found, -plain * count):
        yield wrong("the images are added up", "take their mean.")
    elif not _near(found, -plain):
        yield wrong("the slope along log p(y | s, a) is not −1/B", "that term stands alone, with the factor 1.")
    yield right("the words become likelier, given where it looked")


def _along_the_path(found: Tensor, rewards: Tensor, b: float) -> Iterator[Finding]:
    count = len(rewards)
    wanted = -(rewards - b) / count
    if _near(found, torch.zeros_like(found)):
        hint = "the second term of (12.8): how good it was, times the log-probability of the path."
        yield wrong("the looks learn nothing", hint)
    elif _near(found, -rewards / count):
        yield wrong("the baseline is missing", "subtract b from the reward.")
    elif _near(found, -(rewards + b) / count):
        yield wrong("the baseline is added", "it is subtracted: better than expected counts as good.")
    elif _near(found, -wanted):
        yield wrong("good looks become rarer", "a path that pays more than b has to become likelier: look at the sign.")
    elif _near(found, -(rewards - rewards.mean()) / count):
        hint = "a baseline made of these very rewards knows the draw; take the b that was given."
        yield wrong("the baseline contains the current rewards", hint)
    elif not _near(found, wanted):
        yield wrong("the slope along log p(s | a) is not right", "reward minus baseline, for each image its own.")
    yield right("looks that paid more than expected become likelier")


# -- the best baseline ------------------------------------------------------------------------------------------------


def _paths(seed: int = 12) -> dict[str, Tensor]:
    """Six paths: how often each is drawn, its reward, and the two gradients, of four parameters."""
    g = torch.Generator().manual_seed(seed)
    p = torch.rand(6, generator=g, dtype=torch.float64) + 0.05
    v = torch.randn(6, 4, generator=g, dtype=torch.float64)
    p = p / p.sum()
    v = v - p @ v  # the mean of a score is zero
    v[0] = v[0] - (p @ v) / p[0]
    rewards = -5 + 2 * torch.randn(6, generator=g, dtype=torch.float64)
    return {"p": p, "R": rewards, "u": torch.randn(6, 4, generator=g, dtype=torch.float64), "v": v}


def _best(p: Tensor, R: Tensor, u: Tensor, v: Tensor) -> Tensor:
    return (p @ ((u + R[:, None] * v) * v).sum(1)) / (p @ v.square().sum(1))


def _scatter(b: Tensor, p: Tensor, R: Tensor, u: Tensor, v: Tensor) -> Tensor:
    one = u + (R - b)[:, None] * v
    return p @ one.square().sum(1) - (p @ one).square().sum()


@exercise("12.baseline", "the baseline that scatters least")
def _baseline(answer: Callable[..., Any]) -> Iterator[Finding]:
    """``best_baseline(p, R, u, v)``: the constant b for which ``u + (R − b) v`` varies least."""
    parts = _paths()
    returned = answer(**parts)
    if _missing(returned):
        yield wrong(*_NOTHING)
    found = torch.as_tensor(returned, dtype=torch.float64)
    if found.numel() != 1:
        yield wrong(f"there are {found.numel()} numbers", "one constant, the same for every path.")
    found = found.reshape(())
    yield right("one number")
    p, R, u, v = parts.values()
    even = torch.full_like(p, 1 / len(p))
    squares = v.square().sum(1)
    if _near(found, p @ R):
        hint = "a good guess, but not the best: a path whose score v is long scatters more, and counts more."
        yield wrong("this is the mean reward", hint)
    elif _near(found, _best(even, R, u, v)) or _near(found, R.mean()):
        yield wrong("every path counts alike", "a path counts as often as it is drawn: weigh with p.")
    elif _near(found, (p @ (R * squares)) / (p @ squares)):
        yield wrong("u is left out", "the first term scatters along with the second: expand the square with u in it.")
    elif _near(found, -_best(**parts)):
        yield wrong("the sign is turned round", "set the derivative of the quadratic to zero once more.")
    elif not _near(found, _best(**parts)):
        near = _scatter(found, **parts) - _scatter(_best(**parts), **parts)
        hint = f"its variance is {float(near):.2f} above the least; E|u + (R − b)v|² is a quadratic in b."
        yield wrong("another constant scatters less", hint)
    yield right("no other constant scatters less")
    again = _paths(seed=13)
    if not _near(torch.as_tensor(answer(**again), dtype=torch.float64).reshape(()), _best(**again)):
        yield wrong("with other paths it is not the best", "compute it from p, R, u and v.")
    yield right("for other paths too")
