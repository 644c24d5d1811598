"""Does a word look at what it names? α against the place that people marked. Chapter 13.

A word's α is a map of weights over a grid, and what it names a mask over the same part of the picture.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from course_pkg.notation import CourseError

__all__ = ["attention_mass", "centre", "pointing_accuracy", "ratio_interval"]


def pointing_accuracy(weights: Float[np.ndarray, "N h w"], masks: Bool[np.ndarray, "M H W"]) -> Float[np.ndarray, " N"]:
    """Whether the peak of each α lies on what is marked: 1 or 0, the "pointing game" of Zhang et al. 2016.

    The point is the middle of the location with the largest weight. Of several equal ones the share that lies on the
    mask counts, so that α that is alike everywhere has the accuracy of a random point. No tolerance around the mask.

    Args:
        weights: α as maps.
        masks: True where the thing is, over the same part of the picture, in as many pixels or more.

    Raises:
        CourseError: as many maps as masks are wanted, or there are NaNs.
    """
    _check(weights, masks)
    rows, columns = (_middles(cells, pixels) for cells, pixels in zip(weights.shape[1:], masks.shape[1:], strict=True))
    hit = masks[:, rows[:, None], columns]
    peaks = weights == weights.max(axis=(1, 2), keepdims=True)
    return np.asarray((peaks & hit).sum(axis=(1, 2)) / peaks.sum(axis=(1, 2)), dtype=np.float64)


def attention_mass(weights: Float[np.ndarray, "N h w"], masks: Bool[np.ndarray, "M H W"]) -> Float[np.ndarray, " N"]:
    """The share of each α that lies on what is marked, as if it were spread evenly over a location: 0 to 1.

    α that is alike everywhere has the mask's area. Arguments and errors as of `pointing_accuracy`.
    """
    _check(weights, masks)
    down, across = (_shares(cells, pixels) for cells, pixels in zip(weights.shape[1:], masks.shape[1:], strict=True))
    covered = np.einsum("hy,nyx,wx->nhw", down, masks.astype(np.float64), across, optimize=True)
    inside = (weights * covered).sum(axis=(1, 2))
    return np.asarray((inside / weights.sum(axis=(1, 2))).clip(0, 1), dtype=np.float64)  # rounding aside


def _check(weights: np.ndarray, masks: np.ndarray) -> None:
    if len(weights) != len(masks):
        raise CourseError(f"there are {len(weights)} maps of weights but {len(masks)} masks; give one for each")
    if not np.isfinite(weights).all() or (weights < 0).any() or (weights.sum(axis=(1, 2)) <= 0).any():
        raise CourseError("weights must be finite, not negative, and not all 0; take another copy of the model")


def _middles(cells: int, pixels: int) -> np.ndarray:
    """The pixel in the middle of each cell."""
    return ((np.arange(cells) + 0.5) * pixels / cells).astype(int)


def _shares(cells: int, pixels: int) -> np.ndarray:
    """How much of each cell each pixel makes up, ``(cells, pixels)``; rows sum to 1."""
    edges, places = np.linspace(0, pixels, cells + 1), np.arange(pixels)
    common = np.minimum(edges[1:, None], places + 1) - np.maximum(edges[:-1, None], places)
    return np.asarray(common.clip(0) * cells / pixels)


def centre(grid: tuple[int, int]) -> Float[np.ndarray, "h w"]:
    """All weight on the middle of the grid: its one, two or four middle locations, alike."""
    rows, columns = (np.array([cells // 2 == i or (cells - 1) // 2 == i for i in range(cells)]) for cells in grid)
    middle = np.outer(rows, columns).astype(np.float32)
    return middle / middle.sum()


def ratio_interval(
    values: Float[np.ndarray, " N"],
    groups: Sequence[int] | np.ndarray,
    *,
    seed: int = 0,
    samples: int = 2000,
    level: float = 0.95,
) -> tuple[float, float]:
    """Percentile interval of the mean of ``values`` when whole groups are drawn again with replacement.

    The words under one picture are no independent trials, so pictures are drawn, each with all its words: ``groups``
    has each value's picture.

    Raises:
        CourseError: no value, or not one group for each.
    """
    if len(values) == 0 or len(values) != len(groups):
        raise CourseError(f"there are {len(values)} values but {len(groups)} groups; give one for each, at least one")
    _, member = np.unique(np.asarray(groups), return_inverse=True)
    sums, counts = np.bincount(member, weights=values), np.bincount(member)
    drawn = np.random.default_rng(seed).multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=samples)
    low, high = np.quantile((drawn @ sums) / (drawn @ counts), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
