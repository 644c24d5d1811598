"""What a page needs of the regions of `RegionScrubber`: what is given, checked, and made small."""

from collections.abc import Mapping, Sequence
from math import isqrt
from typing import Any

import numpy as np

from course_pkg.notation import CourseError
from course_pkg.widgets.region_pictures import Box, Gold, gold_region

__all__ = ["CODE", "UNITS", "beside", "panel", "seen_part", "steered"]

UNITS = 100_000
"""α travels as whole numbers that add up to this for each word."""

CODE = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
"""The digits, to the base of 64, of the words and shares of steering."""


def seen_part(view: Any) -> Box:
    """The part of the picture that the model saw, in unit coordinates of the picture."""
    if hasattr(view, "box") and hasattr(view, "size"):
        view = [place / side for place, side in zip(view.box, (*view.size, *view.size), strict=True)]
    if np.shape(view) != (4,) or not (0 <= view[0] < view[2] <= 1 and 0 <= view[1] < view[3] <= 1):
        raise CourseError(f"view is {view}: give (x0, y0, x1, y1), x0 < x1 and y0 < y1, between 0 and 1.")
    left, top, right, bottom = (round(float(place), 4) for place in view)
    return left, top, right, bottom


def beside(other: Any, first: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The second model: what is not given of it is the first's."""
    given = other if isinstance(other, Mapping) else {"weights": other}
    unknown = sorted(set(given) - {"weights", "tokens", "grid", "gate", "gold"})
    if unknown or "weights" not in given:
        problem = f"has {unknown[0]!r}" if unknown else "has no weights"
        raise CourseError(f"The other model {problem}: give weights, and if need be tokens, grid, gate and gold.")
    shared = {"tokens": first["tokens"], "gold": None if "tokens" in given else first["gold"]}
    like = {"grid": first["grid"]} if np.shape(given["weights"])[1:] == np.shape(first["weights"])[1:] else {}
    return {"grid": None, "gate": None, **shared, **like, **given, "name": name}


def panel(given: Mapping[str, Any], view: Box) -> dict[str, Any]:
    """What the page needs of one model, as JSON."""
    target = _tokens(given["tokens"])
    alpha, grid = _weights(given["weights"], given["grid"], target)
    return {
        "name": given["name"],
        "target": target,
        "grid": list(grid),
        "weights": _units(alpha),
        "gate": _gates(given["gate"], target),
        "gold": _golds(given["gold"], target, alpha, grid, view),
    }


def _tokens(tokens: Sequence[str]) -> list[str]:
    if isinstance(tokens, str) or not len(tokens):
        raise CourseError("The caption must be a list of tokens with at least one of them.")
    return [str(token) for token in tokens]


def _plain(numbers: Any) -> np.ndarray:
    if hasattr(numbers, "detach"):
        numbers = numbers.detach().cpu().float()
    return np.asarray(numbers, dtype=np.float64)


def _weights(weights: Any, grid: Sequence[int] | None, target: list[str]) -> tuple[np.ndarray, tuple[int, int]]:
    """α ``(T, L)`` and the grid, after a look at both."""
    alpha = _plain(weights)
    if alpha.ndim == 3:
        if grid is not None and tuple(grid) != alpha.shape[1:]:
            raise CourseError(f"α has {alpha.shape[1:]} rows and columns of regions, but grid is {tuple(grid)}.")
        grid = alpha.shape[1:]
        alpha = alpha.reshape(len(alpha), -1)
    if alpha.ndim != 2 or len(alpha) != len(target) or alpha.size == 0:
        raise CourseError(
            f"α has shape {alpha.shape}, but there are {len(target)} tokens; rows are tokens, columns regions."
        )
    regions = alpha.shape[1]
    side = isqrt(regions)
    if grid is None and side**2 != regions:
        raise CourseError(f"α has {regions} regions, which is no square: give grid=(rows, columns).")
    rows, columns = (side, side) if grid is None else (int(grid[0]), int(grid[1]))
    if rows * columns != regions or min(rows, columns) < 1:
        raise CourseError(f"α has {regions} regions, but the grid has {rows}×{columns} = {rows * columns}.")
    if not np.isfinite(alpha).all() or alpha.min() < -1e-4 or alpha.max() > 1 + 1e-3:
        raise CourseError("α must lie between 0 and 1 everywhere; it holds other values.")
    sums = alpha.sum(axis=1)
    off = int(np.abs(sums - 1).argmax())
    if abs(sums[off] - 1) > 0.02:
        raise CourseError(
            f"The weights of {target[off]!r} (step {off}) add up to {sums[off]:.3f}, not 1: rows are tokens, columns "
            "regions, and a gate is given apart, as gate."
        )
    return alpha.clip(0, 1) / alpha.clip(0, 1).sum(axis=1, keepdims=True), (rows, columns)


def _units(alpha: np.ndarray) -> list[list[int]]:
    """Whole numbers that add up to `UNITS` in each row, none of them off by one or more."""
    exact = alpha * UNITS
    whole = np.floor(exact).astype(int)
    for row, rest, missing in zip(whole, exact - whole, UNITS - whole.sum(axis=1), strict=True):
        row[np.argsort(-rest, kind="stable")[:missing]] += 1
    return whole.tolist()


def _gates(gate: Any, target: list[str]) -> list[float]:
    if gate is None:
        return []
    values = _plain(gate)
    if values.shape != (len(target),):
        raise CourseError(f"gate has shape {values.shape}, but there are {len(target)} tokens: give one β for each.")
    if not np.isfinite(values).all() or values.min() < 0 or values.max() > 1:
        raise CourseError("β must lie between 0 and 1 everywhere; gate holds other values.")
    return values.round(4).tolist()


def _golds(
    gold: Sequence[Any] | None, target: list[str], alpha: np.ndarray, grid: tuple[int, int], view: Box
) -> list[dict[str, Any] | None]:
    """For each token the outline of its gold region, the share of the view and the share of α in it."""
    if gold is None:
        return [None] * len(target)
    if len(gold) != len(target):
        raise CourseError(f"There are {len(target)} tokens, but {len(gold)} gold regions: give one, or None, for each.")
    regions = [gold_region(one, token) for one, token in zip(gold, target, strict=True)]
    return [
        None if region is None else _gold(region, row, grid, view) for region, row in zip(regions, alpha, strict=True)
    ]


def _gold(region: Gold, row: np.ndarray, grid: tuple[int, int], view: Box) -> dict[str, Any]:
    share = region.coverage(grid, view)
    return {
        "lines": region.coarse().outline(),
        "area": round(float(share.mean()), 4),
        "inside": round(float(row @ share.ravel()), 4),
    }


def steered(steer: Mapping[str, Any] | None, steps: int, regions: int) -> dict[str, Any]:
    """Each word once; for each step a text of its regions' words, two digits of `CODE` each, then their shares."""
    if not steer:
        return {}
    words, shares = steer["words"], _plain(steer["probabilities"])
    if shares.ndim != 3 or shares.shape[:2] != (steps, regions) or np.shape(words) != shares.shape:
        raise CourseError(
            f"steer needs words and probabilities for {steps} steps and {regions} regions; "
            f"it has shapes {np.shape(words)} and {shares.shape}."
        )
    if not np.isfinite(shares).all() or shares.min() < 0 or shares.max() > 1 + 1e-3:
        raise CourseError("The probabilities of steer must lie between 0 and 1; they hold other values.")
    known: dict[str, int] = {}
    picks = [[known.setdefault(str(word), len(known)) for cell in row for word in cell] for row in words]
    if len(known) > len(CODE) ** 2:
        raise CourseError(f"steer has {len(known)} different words: at most {len(CODE) ** 2} can be shown.")
    scaled = (shares.clip(0, 1) * (len(CODE) ** 2 - 1)).round().astype(int).reshape(steps, -1).tolist()
    return {
        "words": list(known),
        "top": shares.shape[2],
        "picks": ["".join(map(_digits, row)) for row in picks],
        "shares": ["".join(map(_digits, row)) for row in scaled],
    }


def _digits(number: int) -> str:
    return CODE[number // len(CODE)] + CODE[number % len(CODE)]
