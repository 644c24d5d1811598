"""A curve that the reader draws before the measured one is shown: chapters 1, 2 and 7."""

from collections.abc import Mapping, Sequence
from html import escape
from itertools import zip_longest
from math import isfinite
from typing import Any

import traitlets

from course_pkg.notation import CourseError
from course_pkg.widgets.base import CourseWidget, front_end, style_sheet

__all__ = ["DrawCurve"]

Values = Sequence[float | int | None]


def _numbers(values: Values, name: str, count: int, top: int) -> list[float | None]:
    if len(values) != count:
        raise CourseError(f"{name} has {len(values)} values for {count} places on the axis")
    if any(v is not None and not (isfinite(v) and 0 <= v <= top) for v in values):
        raise CourseError(f"{name} leaves the axis, which runs from 0 to {top}")
    return [None if v is None else round(float(v), 4) for v in values]


def _curves(curves: Mapping[str, Values | Mapping[str, Values]], count: int, top: int) -> list[dict[str, Any]]:
    made = []
    for label, curve in curves.items():
        parts = dict(curve) if isinstance(curve, Mapping) else {"values": curve}
        if set(parts) not in ({"values"}, {"values", "low", "high"}):
            raise CourseError(f"{label} needs values, and for a band both low and high")
        made.append({"label": label, **{part: _numbers(v, label, count, top) for part, v in parts.items()}})
    return made


class DrawCurve(CourseWidget):
    """Axes on which the reader draws a guess over the ``given`` curves; the ``truth`` is laid over it when asked.

    A curve is named by its key and is a list of numbers, one for each of ``labels`` (None leaves a gap), or a
    mapping with ``values``, ``low`` and ``high`` for one with a band. The guess stays in the reader's browser under
    ``key``: another widget with the same key and as many places, on another page of the site, shows it again. The
    distance is that to the first curve of ``truth``. Raises `CourseError` for a curve that does not fit the axes.
    """

    _esm = front_end("draw_curve")
    _css = style_sheet("draw_curve")
    title = traitlets.Unicode().tag(sync=True)
    xlabel = traitlets.Unicode().tag(sync=True)
    ylabel = traitlets.Unicode().tag(sync=True)
    unit = traitlets.Unicode().tag(sync=True)
    key = traitlets.Unicode().tag(sync=True)
    labels = traitlets.List(traitlets.Unicode()).tag(sync=True)
    top = traitlets.Int().tag(sync=True)
    given = traitlets.List(traitlets.Dict()).tag(sync=True)
    truth = traitlets.List(traitlets.Dict()).tag(sync=True)

    def __init__(
        self,
        labels: Sequence[str],
        given: Mapping[str, Values | Mapping[str, Values]],
        truth: Mapping[str, Values | Mapping[str, Values]] | None = None,
        *,
        title: str,
        key: str,
        xlabel: str,
        ylabel: str,
        unit: str = "",
        top: int = 100,
    ) -> None:
        if len(labels) < 2:
            raise CourseError(f"a curve needs at least two places on its axis, not {len(labels)}")
        if top < 1 or not key:
            raise CourseError("the axis needs a top of at least 1, and the guess a key to be kept under")
        super().__init__(
            title=title, key=key, xlabel=xlabel, ylabel=ylabel, unit=unit or ylabel, top=top, labels=list(labels),
            given=_curves(given, len(labels), top), truth=_curves(truth or {}, len(labels), top),
        )  # fmt: skip

    def __repr__(self) -> str:
        names = ", ".join(curve["label"] for curve in self.given)
        later = f"; measured: {', '.join(curve['label'] for curve in self.truth)}" if self.truth else ""
        return f"DrawCurve({self.title}; given: {names}{later})"

    def fallback(self) -> str:
        """The given numbers as a table, the measured ones in a closed box."""
        table = self._table(self.given)
        if self.truth:
            table += f"<details><summary>The measured curve</summary>{self._table(self.truth)}</details>"
        return f"<p>{escape(self.title)}</p>{table}"

    def _table(self, curves: list[dict[str, Any]]) -> str:
        head = "".join(f'<th scope="col">{escape(text)}</th>' for text in [self.xlabel, *(c["label"] for c in curves)])
        rows = ""
        for label, *values in zip_longest(self.labels, *(curve["values"] for curve in curves)):
            cells = "".join(f"<td>{'–' if value is None else f'{value:.1f}'}</td>" for value in values)
            rows += f'<tr><th scope="row">{escape(label)}</th>{cells}</tr>'
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
