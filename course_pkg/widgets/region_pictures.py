"""What `RegionScrubber` does with pictures: α enlarged, what is looked at in full light, and small data addresses."""

import base64
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from course_pkg.notation import CourseError

__all__ = ["Gold", "data_address", "enlarged", "gold_region", "is_dark", "picture_of", "shrunk", "veiled"]

SIGMA = 20 / 224
"""Of each side: the paper's code smooths 224 pixels with a Gaussian of 20."""

VEIL = 0.8
"""How much of the light goes where nothing is looked at: the opacity of the code's overlay."""

GLOW = 0.25
"""How much white lies on what is looked at in a dark picture, where a darker rest alone would hardly be seen."""

_DARK = 60  # of 255: the median below which a picture is dark
_TRACED = 48  # a mask is outlined on at most so many cells a side
_SMALLEST = 32

Number = int | float
Box = tuple[Number, Number, Number, Number]


def picture_of(image: Any) -> Image.Image:
    """A PIL picture, or an array ``(H, W)`` or ``(H, W, 3)`` of bytes or of numbers from 0 to 1, as RGB.

    Raises `CourseError` for anything else.
    """
    if not isinstance(image, Image.Image):
        image = _from_array(image)
    image = ImageOps.exif_transpose(image)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def _from_array(image: Any) -> Image.Image:
    if hasattr(image, "detach"):
        image = image.detach().cpu().numpy()
    values = np.asarray(image)
    if values.ndim not in (2, 3) or values.ndim == 3 and values.shape[2] not in (3, 4) or 0 in values.shape:
        raise CourseError(f"The picture has shape {values.shape}: give (height, width, 3), or a PIL image.")
    if values.dtype != np.uint8:
        if not np.issubdtype(values.dtype, np.number) or not np.isfinite(values).all():
            raise CourseError("The picture's values are not all finite numbers: give bytes, or numbers from 0 to 1.")
        if values.min() < 0 or values.max() > 1:
            raise CourseError(
                f"The picture's values run from {values.min():g} to {values.max():g}: give bytes (uint8), or numbers "
                "from 0 to 1, before the network's normalisation."
            )
        values = (255 * values).round().astype(np.uint8)
    return Image.fromarray(values)


def shrunk(picture: Image.Image, longest: int) -> Image.Image:
    """The picture with no side longer than that; a smaller one stays as it is."""
    scale = longest / max(picture.size)
    if scale >= 1:
        return picture
    width, height = (max(1, round(side * scale)) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.LANCZOS)


def data_address(picture: Image.Image, most: int) -> str:
    """The picture as a ``data:`` address of at most ``most`` characters.

    As PNG if that fits into half of it (drawings), else as JPEG, coarser or smaller until it fits.
    """
    address = _encoded(picture, "PNG", optimize=True)
    if 2 * len(address) <= most:
        return address
    while True:
        for quality in range(85, 39, -9):
            address = _encoded(picture, "JPEG", quality=quality, optimize=True)
            if len(address) <= most or max(picture.size) <= _SMALLEST and quality < 50:
                return address
        picture = shrunk(picture, max(_SMALLEST, round(0.8 * max(picture.size))))


def _encoded(picture: Image.Image, kind: str, **options: Any) -> str:
    held = io.BytesIO()
    picture.save(held, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(held.getvalue()).decode('ascii')}"


# --- α, enlarged --------------------------------------------------------------------------------------------------


def _spread(cells: int, pixels: int) -> np.ndarray:
    """One axis: linear between the cells' centres, then a Gaussian, mirrored at the ends. Its rows sum to 1."""
    places = (np.arange(pixels) + 0.5) * cells / pixels - 0.5
    low = np.floor(places).astype(int)
    linear = np.zeros((pixels, cells))
    for cell, share in ((low, low + 1 - places), (low + 1, places - low)):
        linear[np.arange(pixels), cell.clip(0, cells - 1)] += share
    reach = int(4 * SIGMA * pixels + 0.5)
    steps = np.arange(-reach, reach + 1)
    bell = np.exp(-0.5 * (steps / (SIGMA * pixels)) ** 2)
    seen = (np.arange(pixels)[:, None] + steps) % (2 * pixels)
    seen = np.where(seen < pixels, seen, 2 * pixels - 1 - seen)
    return np.einsum("s,psc->pc", bell / bell.sum(), linear[seen])


def enlarged(weights: np.ndarray, height: int, width: int) -> np.ndarray:
    """α ``(rows, columns)`` as a smooth field ``(height, width)``, still in units of α for a region.

    Xu et al. (2015), §5.4: upsampled, then smoothed with a Gaussian; as in the paper's code, linear interpolation and
    σ = 20 pixels of 224. What is alike everywhere stays as it is.
    """
    rows, columns = weights.shape
    return _spread(rows, height) @ weights @ _spread(columns, width).T


def veiled(picture: Image.Image, weights: np.ndarray, view: Box) -> Image.Image:
    """The picture with what is looked at most in full light, and the rest as dark as α is smaller there."""
    left, top, right, bottom = _pixels(picture, view)
    field = enlarged(weights, bottom - top, right - left)
    light = np.zeros((picture.height, picture.width, 1))
    light[top:bottom, left:right, 0] = field / field.max()
    shown = np.asarray(picture) * (1 - VEIL * (1 - light))
    if is_dark(picture, view):
        shown += GLOW * light * (255 - shown)
    return Image.fromarray(shown.round().astype(np.uint8))


def is_dark(picture: Image.Image, view: Box) -> bool:
    """Whether what the model saw is mostly dark already."""
    left, top, right, bottom = _pixels(picture, view)
    return bool(np.median(np.asarray(picture.convert("L"))[top:bottom, left:right]) < _DARK)


def _pixels(picture: Image.Image, view: Box) -> tuple[int, int, int, int]:
    """The view in pixels, at least one of them: left, top, right, bottom."""
    left, top = (min(int(part * side), side - 1) for part, side in zip(view[:2], picture.size, strict=True))
    right, bottom = (round(part * side) for part, side in zip(view[2:], picture.size, strict=True))
    return left, top, max(right, left + 1), max(bottom, top + 1)


# --- gold ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Gold:
    """A region of the picture as a raster of uneven cells: ``inside[j, i]`` from ``ys[j]`` and ``xs[i]`` to the next.

    All places are in unit coordinates of the picture, x to the right and y down.
    """

    inside: np.ndarray
    xs: np.ndarray
    ys: np.ndarray

    def coverage(self, grid: tuple[int, int], view: Box) -> np.ndarray:
        """How much of each region of the grid lies inside, from 0 to 1, shape ``grid``."""
        across = _overlap(self.xs, np.linspace(view[0], view[2], grid[1] + 1))
        return _overlap(self.ys, np.linspace(view[1], view[3], grid[0] + 1)) @ self.inside @ across.T

    def outline(self) -> list[list[float]]:
        """Its edge as straight lines ``x0, y0, x1, y1``."""
        held = np.pad(self.inside, 1)
        lines = [[xs[0], y, xs[1], y] for y, xs in _runs(held[1:, 1:-1] != held[:-1, 1:-1], self.ys, self.xs)]
        lines += [[x, ys[0], x, ys[1]] for x, ys in _runs((held[1:-1, 1:] != held[1:-1, :-1]).T, self.xs, self.ys)]
        return [[round(float(place), 3) for place in line] for line in lines]

    def coarse(self) -> "Gold":
        """The same on no more than 48 cells a side, to be drawn."""
        sides = [min(_TRACED, len(places) - 1) for places in (self.ys, self.xs)]
        if len(self.ys) - 1 <= sides[0] and len(self.xs) - 1 <= sides[1]:
            return self
        share = self.coverage((sides[0], sides[1]), (self.xs[0], self.ys[0], self.xs[-1], self.ys[-1]))
        return Gold(
            share >= 0.5,
            np.linspace(self.xs[0], self.xs[-1], sides[1] + 1),
            np.linspace(self.ys[0], self.ys[-1], sides[0] + 1),
        )


def _overlap(parts: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Share of each cell that each part covers, ``(cells, parts)``."""
    common = np.minimum(cells[1:, None], parts[None, 1:]) - np.maximum(cells[:-1, None], parts[None, :-1])
    return common.clip(0) / np.diff(cells)[:, None]


def _runs(edges: np.ndarray, places: np.ndarray, along: np.ndarray) -> list[tuple[Any, tuple[Any, Any]]]:
    """Where each row of ``edges`` is true without a break: at which place, from where to where."""
    found = []
    for place, row in zip(places, edges, strict=True):
        turns = np.flatnonzero(np.diff(np.pad(row.astype(int), 1)))
        found += [(place, (along[start], along[end])) for start, end in turns.reshape(-1, 2)]
    return found


def gold_region(given: Any, token: str) -> Gold | None:
    """What is meant by a box, a list of boxes, a mask or something with a mask; ``None`` for nothing.

    Raises `CourseError` for anything else.
    """
    if given is None or isinstance(given, list | tuple) and not given:
        return None
    try:
        values = np.asarray(getattr(given, "mask", given))
    except ValueError:  # boxes of unequal length
        values = np.asarray("")
    if values.dtype == bool and values.ndim == 2 and values.any():
        return Gold(values, np.linspace(0, 1, values.shape[1] + 1), np.linspace(0, 1, values.shape[0] + 1))
    boxes = values.reshape(-1, 4) if values.shape[-1:] == (4,) and values.ndim <= 2 and values.dtype != bool else None
    if boxes is None or not np.issubdtype(values.dtype, np.number):
        raise CourseError(
            f"The gold region of {token!r} is neither a box (x0, y0, x1, y1), nor boxes, nor a mask (height, width) "
            "of booleans with something in it."
        )
    if (boxes < 0).any() or (boxes > 1).any() or (boxes[:, :2] >= boxes[:, 2:]).any():
        raise CourseError(
            f"A gold box of {token!r} is not x0 < x1, y0 < y1 between 0 and 1: boxes are in shares of the picture's "
            "width and height."
        )
    xs, ys = np.unique(boxes[:, ::2]), np.unique(boxes[:, 1::2])
    middle_x, middle_y = (xs[1:] + xs[:-1]) / 2, (ys[1:] + ys[:-1]) / 2
    inside = np.zeros((len(middle_y), len(middle_x)), dtype=bool)
    for x0, y0, x1, y1 in boxes:
        inside |= ((y0 < middle_y) & (middle_y < y1))[:, None] & ((x0 < middle_x) & (middle_x < x1))
    return Gold(inside, xs, ys)
