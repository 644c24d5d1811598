"""Checks of chapter 6: a gradient through time by hand, the way back through the look, clipping, and Adadelta."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from course_pkg.exercises.registry import Finding, exercise, right, wrong

_NOTHING = "the function returns nothing yet", "end it with `return`, and your result."


def _missing(returned: Any) -> bool:
    return returned is None or returned is Ellipsis


def _near(a: Tensor, b: Tensor, tolerance: float = 1e-4) -> bool:
    return a.shape == b.shape and bool(torch.allclose(a.double(), b.double(), rtol=0, atol=tolerance))


# -- through time, by hand --------------------------------------------------------------------------------------------

# States 0, 1, 0.5, 1.25 under the weight 0.5; only the last of the wanted values 1, 0.5, 0.25 is missed, by 1.
_CHAIN, _WEIGHT = (0.25, 0.5, 1.0), 1.0


@exercise("06.chain", "a gradient through three steps")
def _chain(answer: Any) -> Iterator[Finding]:
    """Four numbers: δs_1, δs_2, δs_3 and δw."""
    found = torch.as_tensor(answer, dtype=torch.float64).flatten()
    if found.numel() != 4:
        yield wrong(f"there are {found.numel()} numbers", "give four: δs_1, δs_2, δs_3, and δw last.")
    yield right("four numbers")
    states, weight = found[:3], float(found[3])
    wanted = torch.tensor(_CHAIN, dtype=torch.float64)
    if _near(states, -wanted, 0.005):
        yield wrong("the signs are turned round", "the error of a step is the state minus the wanted value.")
    elif _near(states, torch.tensor([0.0, 0.0, 1.0]), 0.005):
        hint = "step 2 pays nothing itself, but would step 3 have been right with another s_2?"
        yield wrong("each step has only its own error", hint)
    elif _near(states, wanted.flip(0), 0.005):
        yield wrong("the three come in the wrong order", "give δs_1 first; the walk itself begins at the end.")
    elif _near(states, torch.ones(3), 0.005):
        yield wrong("nothing is lost on the way back", "what did s_2 have to be multiplied by to enter s_3?")
    elif not math.isclose(float(states[2]), 1.0, abs_tol=0.005):
        yield wrong("δs_3 is not right", "nothing comes after step 3: it has its own error alone, 1.25 minus 0.25.")
    elif not _near(states, wanted, 0.005):
        yield wrong("δs_3 is right, an earlier one is not", "own error, plus 0.5 times the δ of the step after.")
    yield right("the error reaches every state, halved at each step")
    if math.isclose(weight, 1.75, abs_tol=0.005):
        yield wrong("δw uses the wrong states", "at step i the weight multiplied the state *before*.")
    elif math.isclose(weight, 0.5, abs_tol=0.005):
        yield wrong("δw counts the last step alone", "the same weight was used three times: add up.")
    elif not math.isclose(weight, _WEIGHT, abs_tol=0.005):
        yield wrong("δw is not right", "at each step, δs_i times the state before; then the sum of the three.")
    yield right("the weight's gradient is a sum over its three uses")


# -- the way back through the look ------------------------------------------------------------------------------------


def _look() -> dict[str, Tensor]:
    """Five words; every width differs, so that a mixed-up axis cannot pass."""
    g = torch.Generator().manual_seed(6)
    h, W_a, v_a = (torch.randn(shape, generator=g) for shape in ((5, 4), (6, 3), (6,)))
    bent = torch.tanh(torch.randn(5, 6, generator=g))
    return {
        "delta_c": torch.randn(4, generator=g),
        "alpha": (bent @ v_a).softmax(0),
        "h": h,
        "bent": bent,
        "v_a": v_a,
        "W_a": W_a,
    }


def _energies_back(parts: dict[str, Tensor], centred: bool = True, weighted: bool = True) -> Tensor:
    alpha, h = parts["alpha"], parts["h"]
    gain = (h - alpha @ h if centred else h) @ parts["delta_c"]
    return alpha * gain if weighted else gain


def _query_back(parts: dict[str, Tensor], energies: Tensor, slope: bool = True, v_a: bool = True) -> Tensor:
    hidden = energies.unsqueeze(1) * (1 - parts["bent"] ** 2 if slope else torch.ones_like(parts["bent"]))
    return (hidden * parts["v_a"] if v_a else hidden).sum(0)


@exercise("06.query", "the way back through the look")
def _query(answer: Callable[..., Any]) -> Iterator[Finding]:
    """``query_gradient(delta_c, alpha, h, bent, v_a, W_a)``: what the look sends to ``s_{i-1}``."""
    parts = _look()
    returned = answer(**{name: value.clone() for name, value in parts.items()})
    if _missing(returned):
        yield wrong(*_NOTHING)
    found = torch.as_tensor(returned)
    energies = _energies_back(parts)
    if tuple(found.shape) == (5,):
        yield wrong("this is one number for each word", "that is δe; v_a and the bend come next, then W_a.")
    elif tuple(found.shape) == (6,):
        yield wrong("this is as wide as the alignment layer", "that is δq; W_a brought the state there, so …")
    elif tuple(found.shape) != (3,):
        yield wrong(f"the shape is {tuple(found.shape)}", "what flows back to a state is as wide as the state: (3,).")
    yield right("as wide as the state")
    W_a = parts["W_a"].T
    uncentred = W_a @ _query_back(parts, _energies_back(parts, centred=False))
    unweighted = W_a @ _query_back(parts, _energies_back(parts, weighted=False))
    wanted = W_a @ _query_back(parts, energies)
    if _near(found, uncentred):
        hint = "raising one energy takes weight from the other words; compare each annotation with the average."
        yield wrong("the annotations are not compared with the context", hint)
    elif _near(found, unweighted):
        yield wrong("α is missing", "a word without weight can hardly move the context: look at (5.13).")
    yield right("the energies get what (5.13) says")
    if _near(found, W_a @ _query_back(parts, energies, slope=False)):
        yield wrong("the bend is missing", "tanh passes on 1 − tanh² of what it gets.")
    elif _near(found, W_a @ _query_back(parts, energies, v_a=False)):
        yield wrong("v_a is missing", "v_a added the hidden units up, each with its own factor.")
    elif _near(found, wanted / 5):
        yield wrong("the words are averaged", "the query took part in every energy: what flows back is a sum.")
    elif _near(found, -wanted):
        yield wrong("the sign is turned round", "δ is the gradient itself; the minus of the descent comes later.")
    elif not _near(found, wanted):
        hint = "three steps: δe = α (h − c)·δc; δq = Σ_j δe_j v_a (1 − bent_j²); then the transpose of W_a."
        yield wrong("the numbers differ from autograd's", hint)
    yield right("it is what autograd finds")


# -- clipping ---------------------------------------------------------------------------------------------------------


def _gradients() -> list[Tensor]:
    """Two parameters whose gradients have norms 3 and 4: together 5."""
    return [torch.tensor([[1.0, -2.0], [2.0, 0.0]]), torch.tensor([0.0, -4.0, 0.0])]


@exercise("06.clip", "the clipped gradient")
def _clip(answer: Callable[..., Any]) -> Iterator[Finding]:
    """``clip(gradients, limit)``: the list of gradients, shortened if their common norm is above the limit."""
    given = _gradients()
    returned = answer([g.clone() for g in given], 1.0)
    if _missing(returned):
        yield wrong(*_NOTHING)
    if not isinstance(returned, list | tuple) or [tuple(torch.as_tensor(g).shape) for g in returned] != [(2, 2), (3,)]:
        yield wrong(
            "these are not the two gradients", "return a list, one tensor for each you were given, same shapes."
        )
    found = [torch.as_tensor(g) for g in returned]
    yield right("as many gradients as before, of the same shapes")
    yield from _shortened(found, given)
    small = [g / 10 for g in given]
    kept = answer([g.clone() for g in small], 1.0)
    if not _all_near(kept, small):
        hint = "only what is too long is shortened: the factor is never above 1."
        yield wrong("a gradient of norm 0.5 is changed too", hint)
    yield right("a short gradient is left as it is")
    half = answer([g.clone() for g in given], 2.5)
    if not _all_near(half, [g / 2 for g in given]):
        yield wrong("with limit = 2.5 the norm is not 2.5", "use the limit that the function is given.")
    yield right("the limit is the one that was given")


def _all_near(found: Sequence[Any], wanted: Sequence[Tensor]) -> bool:
    return all(_near(torch.as_tensor(f), w, 1e-3) for f, w in zip(found, wanted, strict=True))


def _shortened(found: list[Tensor], given: list[Tensor]) -> Iterator[Finding]:
    norms = [float(g.norm()) for g in given]
    if _all_near(found, given):
        yield wrong("nothing is shortened", "their common norm is 5 and the limit 1.")
    elif _all_near(found, [g / n for g, n in zip(given, norms, strict=True)]):
        hint = "all parameters together are one long vector: one norm, one factor."
        yield wrong("each gradient is clipped by itself", hint)
    elif _all_near(found, [g.clamp(-1, 1) for g in given]):
        hint = "cutting single entries turns the vector; shorten it and keep its direction."
        yield wrong("single entries are cut", hint)
    elif _all_near(found, [g / sum(norms) for g in given]):
        yield wrong("the norms were added", "squares add up; the root of their sum is the norm of the whole.")
    elif _all_near(found, [g / 25 for g in given]):
        yield wrong("the root is missing", "the norm is the root of the sum of squares.")
    elif not _all_near(found, [g / 5 for g in given]):
        yield wrong("the result is not the given vector, shortened to norm 1", "multiply all of it by limit / norm.")
    yield right("the whole has norm 1 and its old direction")


# -- Adadelta ---------------------------------------------------------------------------------------------------------


def _first(g: float, rho: float, eps: float) -> float:
    return -math.sqrt(eps) / math.sqrt((1 - rho) * g * g + eps) * g


@exercise("06.adadelta", "Adadelta's first step")
def _adadelta(answer: Callable[..., Any]) -> Iterator[Finding]:
    """``first_step(g, rho, eps)``: what Adadelta adds to a parameter at its first update."""
    rho, eps = 0.95, 1e-6
    returned = answer(1.0, rho, eps)
    if _missing(returned):
        yield wrong(*_NOTHING)
    cases = [(1.0, rho, eps), (-3.0, rho, eps), (2e-3, rho, eps), (0.5, 0.9, 1e-2)]
    found = [float(answer(*case)) for case in cases]
    wanted = [_first(*case) for case in cases]

    def are(values: list[float]) -> bool:
        return all(math.isclose(f, v, rel_tol=1e-3) for f, v in zip(found, values, strict=True))

    if are([-w for w in wanted]):
        yield wrong("the step goes uphill", "a positive gradient means: this parameter should become smaller.")
    elif are([-abs(w) for w in wanted]) or are([abs(w) for w in wanted]):
        yield wrong("the step has the same sign for every gradient", "the sign of g decides the direction.")
    yield right("the step goes downhill")
    if are([-math.sqrt(e) / math.sqrt(g * g + e) * g for g, _, e in cases]):
        hint = "the average of g² begins at 0, and a first g² moves it by a share of 1 − ρ only."
        yield wrong("the running average is taken for g² itself", hint)
    elif are([-math.sqrt(e) / math.sqrt(r * g * g + e) * g for g, r, e in cases]):
        yield wrong("ρ and 1 − ρ are exchanged", "ρ is the share of the old average, and the old average is 0.")
    elif are([-math.sqrt(e) / (math.sqrt((1 - r) * g * g) + math.sqrt(e)) * g for g, r, e in cases]):
        yield wrong("ε stands outside the root", "it is added to the average, under the root.")
    elif are([-e / ((1 - r) * g * g + e) * g for g, r, e in cases]):
        yield wrong("the roots are missing", "both averages are of squares; the step takes the roots.")
    elif are([-g / math.sqrt((1 - r) * g * g + e) for g, r, e in cases]):
        yield wrong(
            "the numerator is missing", "no step has been made, so the average of Δ² is 0; what is added to it?"
        )
    elif not are(wanted):
        hint = "average of g²: (1 − ρ) g². Average of Δ²: 0. Then minus the quotient of the two roots, times g."
        yield wrong("the step differs from torch's", hint)
    yield right("it is torch's")
