"""`RegionScrubber`: a caption one word at a time, and where in the picture each word looks. Chapters 11 to 13."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from html import escape
from math import isqrt
from typing import Any

import numpy as np
import traitlets

from course_pkg.notation import CourseError
from course_pkg.widgets.base import CourseWidget, front_end, style_sheet
from course_pkg.widgets.region_pictures import (
    Box,
    Gold,
    Number,
    data_address,
    gold_region,
    is_dark,
    picture_of,
    shrunk,
    veiled,
)

__all__ = ["RegionScrubber"]

UNITS = 100_000
"""α travels as whole numbers that add up to this for each word."""

CODE = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
"""The digits, to the base of 64, of the words and shares of steering."""

ALIKE = 1.05
"""A peak below so many times the mean is no peak: the word looks everywhere alike."""

_PLACES = (
    ("upper left", "top", "upper right"),
    ("left", "centre", "right"),
    ("lower left", "bottom", "lower right"),
)
_LONGEST, _MOST = 320, 25_000  # pixels and characters of the picture that travels
_STILL, _STRIP = 8_000, 16_000  # characters of the pictures where no script runs: the whole one; all words together
_NAMED = 60  # words that the text form names before it stops


class RegionScrubber(CourseWidget):
    """A picture, its caption as buttons, and over the picture the α of the chosen word, as in Xu et al., §5.4.

    What the word looks at stays in full light, the rest is darkened. Regions are numbered row by row from the upper
    left. Places in the picture are in unit coordinates: shares of its width (to the right) and height (down).

    Args:
        image: a PIL picture, or an array ``(H, W, 3)`` or ``(H, W)`` of bytes or of numbers from 0 to 1.
        tokens: the caption's tokens.
        weights: ``α``, shape ``(T, L)`` or ``(T, rows, columns)``; each word's sum to 1.
        grid: ``(rows, columns)`` of the regions; a square if not given.
        gate: ``β`` of each word, shape ``(T,)``.
        gold: for each token ``None``, a box ``(x0, y0, x1, y1)``, a list of boxes, or a mask ``(height, width)`` of
            booleans over the whole picture.
        other: a second model beside the first: its α, or ``{"weights": …, "tokens": …, "grid": …, "gate": …,
            "gold": …}``; what is left out is the first's, except the gate, and gold where the tokens are others.
        steer: ``{"words": …, "probabilities": …}``, each of shape ``(T, L, k)``: what the first model would write at
            step i if it looked at region j alone.
        view: the part of the picture that the model saw, ``(x0, y0, x1, y1)``; the regions divide it evenly.
        title: stands above the widget.
        alt: what the picture shows, for those who do not see it.
        names: what to call the first model and the other.
        key: names this widget in the page's address; made from the tokens if not given.
        step: the step that is selected at first.

    Attributes:
        step: the selected step, counted from 0; follows the reader's hand where a kernel runs.

    The share of α inside a gold region counts a region of the grid that lies in it by half with half its α, as if α
    were spread evenly over a region.

    Raises:
        CourseError: a picture, weights, gates, gold regions or words to steer to that do not fit.
    """

    _esm = front_end("region_scrubber")
    _css = style_sheet("region_scrubber")

    image = traitlets.Unicode().tag(sync=True)
    size: traitlets.List = traitlets.List(traitlets.Int()).tag(sync=True)
    view: traitlets.List = traitlets.List(traitlets.Float()).tag(sync=True)
    dark = traitlets.Bool().tag(sync=True)
    views = traitlets.List(traitlets.Dict()).tag(sync=True)
    steer = traitlets.Dict().tag(sync=True)
    title = traitlets.Unicode().tag(sync=True)
    alt = traitlets.Unicode().tag(sync=True)
    key = traitlets.Unicode().tag(sync=True)
    step = traitlets.Int().tag(sync=True)

    def __init__(
        self,
        image: Any,
        tokens: Sequence[str],
        weights: Any,
        *,
        grid: Sequence[int] | None = None,
        gate: Any = None,
        gold: Sequence[Any] | None = None,
        other: Any = None,
        steer: Mapping[str, Any] | None = None,
        view: Sequence[Number] = (0, 0, 1, 1),
        title: str = "",
        alt: str = "",
        names: Sequence[str] = ("this model", "the other model"),
        key: str | None = None,
        step: int = 0,
    ) -> None:
        self._picture, seen = shrunk(picture_of(image), _LONGEST), _view(view)
        first = {"name": str(names[0]), "tokens": tokens, "weights": weights, "grid": grid, "gate": gate, "gold": gold}
        views = [_panel(first, seen)]
        if other is not None:
            views.append(_panel(_beside(other, first, str(names[1])), seen))
        steps = len(views[0]["target"])
        if not 0 <= step < steps:
            raise CourseError(f"step is {step}: the caption has steps 0 to {steps - 1}.")
        super().__init__(
            image=data_address(self._picture, _MOST),
            size=list(self._picture.size),
            view=list(seen),
            dark=is_dark(self._picture, seen),
            views=views,
            steer=_steered(steer, steps, len(views[0]["weights"][0])),
            title=str(title),
            alt=str(alt),
            key=key or _key(views[0]["target"], views[0]["grid"], str(title), str(names)),
            step=step,
        )

    def __repr__(self) -> str:
        said = []
        for view in self.views:
            pairs = [
                f"{token}→{_strongest(row, view['grid'], self.view)}"
                for token, row in zip(view["target"], view["weights"], strict=True)
            ]
            more = " …" if len(pairs) > _NAMED else ""
            rows, columns = view["grid"]
            said.append(f"{view['name']} ({rows}×{columns} regions): {' '.join(pairs[:_NAMED])}{more}")
        return f"RegionScrubber({len(self.views[0]['target'])} steps; {'; '.join(said)})"

    def fallback(self) -> str:
        """The picture, and a table for each model: each word with its own small picture and its numbers."""
        still = shrunk(self._picture, 240)
        shown = escape(self.alt) or "The picture that the caption is about."
        parts = [f"<p><b>{escape(self.title)}</b></p>"] if self.title else []
        parts.append(
            f'<p><img src="{data_address(still, _STILL)}" width="{still.width}" height="{still.height}" '
            f'alt="{shown}"></p>'
        )
        return "\n".join([*parts, *(self._table(view) for view in self.views)])

    def _table(self, view: Mapping[str, Any]) -> str:
        count = sum(len(one["target"]) for one in self.views)
        small = shrunk(self._picture, 72)
        gated, linked = bool(view["gate"]), any(view["gold"])
        rows = []
        for i, (token, row) in enumerate(zip(view["target"], view["weights"], strict=True)):
            alpha = np.reshape(row, view["grid"]) / UNITS
            address = data_address(veiled(small, alpha, _box(self.view)), _STRIP // count)
            cells = [f"{view['gate'][i]:.2f}"] if gated else []
            cells += [_strongest(row, view["grid"], self.view), f"{alpha.max():.3f}"]
            if linked:
                cells.append(f"{view['gold'][i]['inside']:.2f}" if view["gold"][i] else "")
            rows.append(
                f'<tr><td><img src="{address}" width="{small.width}" height="{small.height}" alt=""></td>'
                f'<th scope="row"><bdi>{escape(token)}</bdi></th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'
            )
        heads = ["word", *(["β"] if gated else []), "looks most at", "α there", *(["α inside gold"] if linked else [])]
        return (
            f"<table><caption>Where {escape(view['name'])} looks: in full light what the word looks at most."
            "</caption>\n<thead><tr><td></td>"
            + "".join(f'<th scope="col">{head}</th>' for head in heads)
            + "</tr></thead>\n<tbody>\n"
            + "\n".join(rows)
            + "\n</tbody></table>"
        )


# --- what is given, checked -----------------------------------------------------------------------------------------


def _box(view: Sequence[Number]) -> Box:
    left, top, right, bottom = (float(place) for place in view)
    return left, top, right, bottom


def _view(view: Sequence[Number]) -> Box:
    if len(view) != 4 or not (0 <= view[0] < view[2] <= 1 and 0 <= view[1] < view[3] <= 1):
        raise CourseError(f"view is {view}: give (x0, y0, x1, y1), x0 < x1 and y0 < y1, between 0 and 1.")
    return _box([round(float(place), 4) for place in view])


def _beside(other: Any, first: Mapping[str, Any], name: str) -> dict[str, Any]:
    given = other if isinstance(other, Mapping) else {"weights": other}
    unknown = sorted(set(given) - {"weights", "tokens", "grid", "gate", "gold"})
    if unknown or "weights" not in given:
        problem = f"has {unknown[0]!r}" if unknown else "has no weights"
        raise CourseError(f"The other model {problem}: give weights, and if need be tokens, grid, gate and gold.")
    shared = {"tokens": first["tokens"], "gold": None if "tokens" in given else first["gold"]}
    like = {"grid": first["grid"]} if np.shape(given["weights"])[1:] == np.shape(first["weights"])[1:] else {}
    return {"grid": None, "gate": None, **shared, **like, **given, "name": name}


def _panel(given: Mapping[str, Any], view: Box) -> dict[str, Any]:
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


def _steered(steer: Mapping[str, Any] | None, steps: int, regions: int) -> dict[str, Any]:
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


# --- what is said ---------------------------------------------------------------------------------------------------


def _strongest(row: Sequence[int], grid: Sequence[int], view: Sequence[Number]) -> str:
    """The place of the largest weight in words, or that there is none."""
    peak = int(np.argmax(row))
    if row[peak] * len(row) < ALIKE * UNITS:
        return "everywhere alike"
    return _place(peak, grid, view)


def _place(region: int, grid: Sequence[int], view: Sequence[Number]) -> str:
    """In which ninth of the picture the middle of a region lies."""
    row, column = divmod(region, grid[1])
    x = view[0] + (view[2] - view[0]) * (column + 0.5) / grid[1]
    y = view[1] + (view[3] - view[1]) * (row + 0.5) / grid[0]
    return _PLACES[min(2, int(3 * y))][min(2, int(3 * x))]


def _key(*content: Any) -> str:
    return "look-" + hashlib.sha256(json.dumps(content).encode()).hexdigest()[:6]
