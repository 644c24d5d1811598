"""Checks of chapter 5: the weights by hand, one step of attention, and the gradient of the context."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from course_pkg.exercises.registry import Finding, exercise, right, wrong

# The chapter's three words, "the black dog", before the word "noir" (black).
NOIR = torch.tensor([0.06746, 0.88983, 0.04271])
CHIEN = NOIR[[0, 2, 1]]
NAN_HINT = "minus infinity times 0 is not a number: fill the padded places, do not multiply or add."


def _near(a: Tensor, b: Tensor, tolerance: float = 1e-4) -> bool:
    return a.shape == b.shape and bool(torch.allclose(a.double(), b.double(), rtol=0, atol=tolerance))


@exercise("05.noir", "the weights for noir")
def _noir(answer: Any) -> Iterator[Finding]:
    """Three weights, to two decimals."""
    weights = torch.as_tensor(answer, dtype=torch.float64).flatten()
    if weights.numel() != 3:
        yield wrong(f"there are {weights.numel()} numbers", "one weight for each source word, three in all.")
        return
    yield right("three numbers")
    if _near(weights, torch.tensor([0.466922, 0.009708, 3.046377])[[0, 2, 1]], 0.02):
        yield wrong("these are the energies", "they still have to go through the softmax.")
    elif bool((weights < 0).any()):
        yield wrong("a weight is negative", "can e to the power of anything be negative?")
    elif abs(float(weights.sum()) - 1) > 0.02:
        hint = "divide by the sum of all three powers; then the weights are shares of a whole."
        yield wrong(f"they sum to {float(weights.sum()):.2f}", hint)
    yield right("they sum to 1")
    if _near(weights, CHIEN.double(), 0.011):
        yield wrong("these are the weights for chien", "which state asks now, s₁ or s₂?")
    elif not _near(weights, NOIR.double(), 0.011):
        hint = "write down q = W_a s₂, then q + U_a h_j for each word; only tanh 1, tanh 3 and tanh 5 are needed."
        yield wrong("some weights differ from ours", hint)
    yield right("they are the weights of the three words")


def _example(seed: int = 5) -> dict[str, Tensor]:
    """Five words; every width differs, so that a mixed-up axis cannot pass."""
    g = torch.Generator().manual_seed(seed)
    shapes = {"s": (3,), "h": (5, 4), "W_a": (6, 3), "U_a": (6, 4), "v_a": (6,)}
    return {name: torch.randn(shape, generator=g) for name, shape in shapes.items()}


def _energies(s: Tensor, h: Tensor, W_a: Tensor, U_a: Tensor, v_a: Tensor) -> Tensor:
    return torch.tanh(h @ U_a.T + W_a @ s) @ v_a


@exercise("05.look", "one step of additive attention")
def _look(answer: Callable[..., Any]) -> Iterator[Finding]:
    """``look(s, h, W_a, U_a, v_a, mask) -> (weights, context)`` for one sentence and one step."""
    parts = _example()
    everything = torch.ones(5, dtype=torch.bool)
    returned = answer(**parts, mask=everything)
    if returned is None or returned is Ellipsis:
        yield wrong("the function returns nothing yet", "end it with `return weights, context`.")
    if not (isinstance(returned, tuple | list) and len(returned) == 2):
        yield wrong("the function should return two things", "end it with `return weights, context`.")
    weights, context = (torch.as_tensor(part) for part in returned)
    yield from _shapes(weights, context)
    yield from _weights(weights, parts)
    yield from _context(weights, context, parts["h"])
    yield from _masking(answer, parts)


def _shapes(weights: Tensor, context: Tensor) -> Iterator[Finding]:
    shapes = tuple(weights.shape), tuple(context.shape)
    if shapes == ((4,), (5,)):
        yield wrong("the context comes first", "return the weights first, then the context.")
    elif shapes[0] != (5,):
        hint = "one number for each of the 5 words: v_a must take the axis of the alignment layer away."
        yield wrong(f"the weights have shape {shapes[0]}", hint)
    elif shapes[1] != (4,):
        hint = "the context is as wide as one annotation (here 4): which axis must the sum run over?"
        yield wrong(f"the context has shape {shapes[1]}", hint)
    yield right("the shapes are right")


def _weights(weights: Tensor, parts: dict[str, Tensor]) -> Iterator[Finding]:
    energies = _energies(**parts)
    linear = (parts["h"] @ parts["U_a"].T + parts["W_a"] @ parts["s"]) @ parts["v_a"]
    if bool(torch.isnan(weights).any()):
        yield wrong("there is a nan", NAN_HINT)
    elif _near(weights, energies) or _near(weights, linear):
        yield wrong("these are energies, not yet weights", "which function makes them positive and sum to 1?")
    elif abs(float(weights.sum()) - 1) > 1e-4:
        yield wrong(f"the weights sum to {float(weights.sum()):.2f}", "the softmax has to run over the words.")
    yield right("the weights sum to 1")
    if _near(weights, linear.softmax(0)):
        yield wrong("the weights ignore the state s", "something between the sum and v_a is missing: the bend.")
    elif _near(weights, torch.tanh(energies).softmax(0)) or _near(weights, torch.tanh(linear).softmax(0)):
        yield wrong("the energies are squeezed once too often", "tanh acts inside, before v_a adds up.")
    elif _near(weights, (-energies).softmax(0)):
        yield wrong("the most suitable word gets the least weight", "look at a sign.")
    elif not _near(weights, energies.softmax(0)):
        hint = "compute the energies alone first: v_a · tanh(W_a s + U_a h_j), one j at a time if that is easier."
        yield wrong("the weights differ from ours", hint)
    yield right("the weights follow the energies")


def _context(weights: Tensor, context: Tensor, h: Tensor) -> Iterator[Finding]:
    if _near(context, h.mean(0)):
        yield wrong("the context is the plain mean of the annotations", "where do the weights come in?")
    elif _near(context, h[weights.argmax()]):
        yield wrong("the context is a single annotation", "soft attention takes a share of every one.")
    elif not _near(context, weights @ h):
        yield wrong("the context is not the weighted sum", "multiply each annotation by its own weight, then add up.")
    yield right("the context is their weighted sum")


def _masking(answer: Callable[..., Any], parts: dict[str, Tensor]) -> Iterator[Finding]:
    mask = torch.tensor([True, True, True, False, False])
    padded = {**parts, "h": parts["h"].clone()}
    padded["h"][3:] = 50.0  # whatever stands in the padding must not matter
    weights, context = (torch.as_tensor(part) for part in answer(**padded, mask=mask))
    expected = _energies(**padded)[:3].softmax(0)
    if bool(torch.isnan(weights).any() | torch.isnan(context).any()):
        yield wrong("there is a nan", NAN_HINT)
    elif abs(float(weights.sum()) - 1) > 1e-4:
        hint = "a mask after the softmax takes weight away and gives it to nobody; mask earlier."
        yield wrong(f"with padding the weights sum to {float(weights.sum()):.2f}", hint)
    elif bool((weights[3:] != 0).any()):
        hint = "an energy of 0 still counts, since e⁰ = 1; and True in the mask means *real*."
        yield wrong("padding still gets weight", hint)
    elif not _near(weights[:3], expected) or not _near(context, expected @ padded["h"][:3]):
        yield wrong(
            "with padding the real words get other weights", "they must share as if the padding were not there."
        )
    yield right("padding gets exactly nothing")


@exercise("05.context_gradient", "the gradient of the context")
def _context_gradient(answer: Callable[..., Any]) -> Iterator[Finding]:
    """``context_gradient(alpha, h)`` whose row ``j`` is ``∂c/∂e_j``."""
    g = torch.Generator().manual_seed(6)
    alpha, h = torch.rand(5, generator=g), torch.randn(5, 4, generator=g)
    alpha = alpha / alpha.sum()
    returned = answer(alpha, h)
    if returned is None or returned is Ellipsis:
        yield wrong("the function returns nothing yet", "end it with `return`, and the matrix.")
    rows = torch.as_tensor(returned)
    if tuple(rows.shape) == (4, 5):
        yield wrong("the matrix is transposed", "row j belongs to energy e_j: 5 rows of 4 numbers.")
    elif tuple(rows.shape) != (5, 4):
        yield wrong(f"the shape is {tuple(rows.shape)}", "one row for each energy, as wide as an annotation: (5, 4).")
    yield right("the shape is right")
    share = alpha.unsqueeze(1)
    centred = h - alpha @ h
    if _near(rows, -share * centred):
        yield wrong("the sign is wrong", "raise the energy of one word: must c move towards its annotation, or away?")
    elif _near(rows, share * h):
        hint = "raising one energy takes weight from all the others; what do they lose together?"
        yield wrong("only the word's own gain is counted", hint)
    elif _near(rows, share * (1 - share) * h):
        hint = "the weights of the other words change too, by -α_j α_k each: add up their share."
        yield wrong("only the diagonal of the softmax's Jacobian is used", hint)
    elif _near(rows, centred):
        hint = "a word that has almost no weight can hardly move c: what factor says so?"
        yield wrong("every word pulls equally hard", hint)
    elif float(rows.sum(0).abs().max()) > 1e-4:
        hint = "add the same number to all energies and c must stay where it is."
        yield wrong("the rows do not sum to zero", hint)
    yield right("the rows sum to zero, as a shift of all energies demands")
    if not _near(rows, share * centred):
        yield wrong("the rows differ from autograd's", "write c = Σ_k α_k h_k and apply ∂α_k/∂e_j term by term.")
    yield right("each row is what autograd finds")
