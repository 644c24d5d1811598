"""Checks of chapter 11: a feature map as annotations, the doubly stochastic penalty, and how often a gaze hits."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from course_pkg.encoders import features_of_map
from course_pkg.exercises.registry import Finding, exercise, right, wrong
from course_pkg.losses import doubly_stochastic_penalty

_NOTHING = "the function returns nothing yet", "end it with `return`, and your result."


def _missing(returned: Any) -> bool:
    return returned is None or returned is Ellipsis


def _near(found: Tensor, wanted: Tensor) -> bool:
    return found.shape == wanted.shape and torch.allclose(found.double(), wanted.double(), atol=1e-5)


# -- a map as annotations ---------------------------------------------------------------------------------------------


@exercise("11.annotations", "a feature map as annotations")
def _annotations(answer: Callable[..., Any]) -> Iterator[Finding]:
    """``annotations(feature_map)``: ``(B, D, rows, columns)`` to ``(B, L, D)``, row by row."""
    given = torch.arange(2 * 5 * 3 * 4.0).view(2, 5, 3, 4)  # every number says where it stood
    returned = answer(given.clone())
    if _missing(returned):
        yield wrong(*_NOTHING)
    found = torch.as_tensor(returned)
    if found.shape == (2, 5, 12):
        yield wrong(
            "the channels are still in front of the locations", "one *row* for each location: exchange two axes."
        )
    if found.shape != (2, 12, 5):
        hint = "the first axis stays the batch, then 3 × 4 locations, then 5 channels: (2, 12, 5) here."
        yield wrong(f"the result has the shape {tuple(found.shape)}", hint)
    yield right("the shape is (B, L, D)")
    if _near(found, given.reshape(2, 12, 5)):
        hint = "the numbers lie in memory channel by channel: move the channels to the end *before* you flatten."
        yield wrong("each row mixes channels and locations: that is a bare reshape", hint)
    if _near(found, given.permute(0, 3, 2, 1).reshape(2, 12, 5)):
        yield wrong("the locations come column by column", "the second location is one step to the right, not down.")
    if not _near(found, features_of_map(given)):
        yield wrong(
            "not every number stands where it belongs", "row 0 is `feature_map[:, :, 0, 0]`: see where yours is."
        )
    yield right("each row is one location, and they come row by row")


# -- the penalty ------------------------------------------------------------------------------------------------------


def _looks() -> tuple[Tensor, Tensor]:
    """α of two captions of 4 and 2 words over 5 locations; what stands in the padding is not 0."""
    generator = torch.Generator().manual_seed(11)
    alpha = torch.rand(2, 4, 5, generator=generator).double()
    alpha = alpha / alpha.sum(dim=-1, keepdim=True)
    return alpha, torch.tensor([[True] * 4, [True, True, False, False]])


@exercise("11.penalty", "the doubly stochastic penalty")
def _penalty(answer: Callable[..., Any]) -> Iterator[Finding]:
    """``penalty(alpha, target_mask)``: Σ_i (1 - Σ_t α_ti)² of each caption, and the mean over captions."""
    alpha, mask = _looks()
    returned = answer(alpha.clone(), mask.clone())
    if _missing(returned):
        yield wrong(*_NOTHING)
    found = torch.as_tensor(returned).double()
    if found.numel() != 1:
        yield wrong(
            f"there are {found.numel()} numbers", "sum over the locations, then take the mean over the captions."
        )
    yield right("it is one number")
    yield from _usual_penalties(found.reshape(()), alpha, mask)
    yield right("it is the penalty of the paper, padding left out")
    spread = torch.full((1, 2, 8), 1 / 8).double()
    least = torch.as_tensor(answer(spread, torch.ones(1, 2, dtype=torch.bool))).double().reshape(())
    if not _near(least, torch.tensor((8 - 2) ** 2 / 8)):
        yield wrong("two even looks at 8 locations do not cost (L - C)² / L", "are some sizes written out as numbers?")
    yield right("and its least value is (L - C)² / L")


def _usual_penalties(found: Tensor, alpha: Tensor, mask: Tensor) -> Iterator[Finding]:
    real = alpha * mask.unsqueeze(-1)
    sums = real.sum(dim=1)
    cost = (1 - sums) ** 2
    if _near(found, doubly_stochastic_penalty(alpha, mask, torch.ones(2, 5, dtype=torch.bool))):
        return
    if _near(found, ((1 - alpha.sum(dim=1)) ** 2).sum(dim=1).mean()):
        yield wrong("the steps of padding are counted", "`target_mask` is False there: let their rows be 0.")
    if found.abs() < 1e-6 or _near(found, ((1 - real.sum(dim=2)) ** 2).sum(dim=1).mean()):
        hint = "each row sums to 1 whatever the model does. Which axis are the steps?"
        yield wrong("it sums over the locations inside the square", hint)
    if _near(found, cost.sum()):
        yield wrong("it is the sum over the captions", "divide by how many captions there are.")
    if _near(found, cost.mean()) or _near(found, cost.mean(dim=1).sum()):
        yield wrong("it is a mean over the locations", "the paper sums over them, and means over the captions.")
    if _near(found, (1 - sums).sum(dim=1).mean()):
        yield wrong("the square is missing", "without it, too much here would pay for too little there.")
    if _near(found, (1 - sums).sum(dim=1).square().mean()):
        yield wrong("the square comes after the sum over the locations", "each location pays for itself: square first.")
    yield wrong("it is another number", "for each caption: sum α over its real steps, subtract from 1, square, sum.")


# -- pointing ---------------------------------------------------------------------------------------------------------


@exercise("11.pointing", "how often the gaze hits, and how often chance does")
def _pointing(answer: Callable[..., Any]) -> Iterator[Finding]:
    """``pointing_of(alpha, gold)``: the share of words whose peak lies in their region, and the uniform guess's."""
    alpha = torch.tensor([[0.1, 0.6, 0.2, 0.1], [0.7, 0.1, 0.1, 0.1], [0.2, 0.2, 0.5, 0.1], [0.3, 0.3, 0.4, 0.0]])
    gold = torch.tensor([[0, 1, 0, 0], [0, 1, 1, 1], [0, 0, 0, 0], [0, 0, 1, 0]]).bool()
    returned = answer(alpha.clone(), gold.clone())
    if _missing(returned):
        yield wrong(*_NOTHING)
    try:
        hits, chance = (float(value) for value in returned)
    except (TypeError, ValueError):
        yield wrong("it does not return two numbers", "return the model's share and that of a uniform guess.")
        return
    yield right("it returns two numbers")
    usual = {
        2 / 4: ("words without a region are counted as misses", "leave out the rows in which nothing is gold."),
        2.0: ("it counts the hits", "divide by the number of words that have a region."),
        1.3 / 3: ("it adds up α inside the region", "that is another good measure; here only the peak counts."),
    }
    if abs(hits - 2 / 3) > 1e-6:
        near = [said for value, said in usual.items() if abs(hits - value) < 1e-6]
        yield wrong(
            *(near or [("the model's share is another", "where is each row's largest weight? Is that gold?")])[0]
        )
    yield right("the model's share is right")
    if abs(chance - 5 / 12) > 1e-6:
        told = "the uniform guess counts words without a region" if abs(chance - 5 / 16) < 1e-6 else "chance is another"
        yield wrong(told, "a guess falls on each location alike: what share of a word's picture is its region?")
    yield right("and so is that of a uniform guess")
