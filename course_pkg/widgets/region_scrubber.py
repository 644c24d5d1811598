"""`RegionScrubber`: a caption one word at a time, and where in the picture each word looks. Chapters 11 to 13."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import traitlets

from course_pkg.notation import CourseError
from course_pkg.widgets.base import CourseWidget, front_end, style_sheet
from course_pkg.widgets.region_pictures import Number, data_address, is_dark, picture_of, shrunk, veiled
from course_pkg.widgets.region_state import UNITS, beside, panel, seen_part, steered

__all__ = ["RegionScrubber"]

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
            booleans over the whole picture, or what has such a ``mask``, as `course_pkg.scenes.Scene.regions`.
        other: a second model beside the first: its α, or ``{"weights": …, "tokens": …, "grid": …, "gate": …,
            "gold": …}``; what is left out is the first's, except the gate, and gold where the tokens are others.
        steer: ``{"words": …, "probabilities": …}``, each of shape ``(T, L, k)``: what the first model would write at
            step i if it looked at region j alone.
        view: the part of the picture that the model saw, ``(x0, y0, x1, y1)`` or a `course_pkg.pictures.View`; the
            regions divide it evenly.
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
        view: Any = (0, 0, 1, 1),
        title: str = "",
        alt: str = "",
        names: Sequence[str] = ("this model", "the other model"),
        key: str | None = None,
        step: int = 0,
    ) -> None:
        self._picture, seen = shrunk(picture_of(image), _LONGEST), seen_part(view)
        first = {"name": str(names[0]), "tokens": tokens, "weights": weights, "grid": grid, "gate": gate, "gold": gold}
        views = [panel(first, seen)]
        if other is not None:
            views.append(panel(beside(other, first, str(names[1])), seen))
        steps = len(views[0]["target"])
        if not 0 <= step < steps:
            raise CourseError(f"step is {step}: the caption has steps 0 to {steps - 1}.")
        super().__init__(
            image=data_address(self._picture, _MOST),
            size=list(self._picture.size),
            view=list(seen),
            dark=is_dark(self._picture, seen),
            views=views,
            steer=steered(steer, steps, len(views[0]["weights"][0])),
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
            address = data_address(veiled(small, alpha, seen_part(self.view)), _STRIP // count)
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
