"""A dictionary whose answer is a mixture: energies and a temperature in, the mixture out. Chapter 4."""

from collections.abc import Sequence
from html import escape
from math import exp, isfinite

import traitlets

from course_pkg.notation import CourseError
from course_pkg.widgets.base import CourseWidget, front_end, style_sheet

__all__ = ["SoftLookup"]

HOTTEST, COLDEST, HIGHEST = 20.0, 0.05, 6.0
"""How far the sliders go: temperatures, and the size of an energy."""

Number = int | float
Point = Sequence[Number]


def _softmax(energies: Sequence[float], temperature: float) -> list[float]:
    """`course_pkg.attention.masked_softmax` of ``energies / temperature``, which stands a floor above."""
    top = max(energies)
    powers = [exp((energy - top) / temperature) for energy in energies]
    return [power / sum(powers) for power in powers]


def _plain(number: float) -> str:
    return f"{number:.2f}".replace("-0.00", "0.00").replace("-", "−")


def _pair(numbers: Point) -> str:
    return f"({', '.join(map(_plain, numbers))})"


class SoftLookup(CourseWidget):
    """A soft lookup in the plane: α = softmax(e / τ), c = Σ α_j h_j, and the pull ∂c/∂e_j = α_j (h_j − c) / τ.

    The reader drags the energies and the temperature; Python sees both where a kernel runs. ``names`` are the
    words, ``values`` the points h_j, ``axes`` what the two numbers of a point say.
    Raises `CourseError` where the lists do not fit or a number is off the sliders.
    """

    _esm = front_end("soft_lookup")
    _css = style_sheet("soft_lookup")
    names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    energies = traitlets.List(traitlets.Float()).tag(sync=True)
    points = traitlets.List(traitlets.List(traitlets.Float())).tag(sync=True)
    temperature = traitlets.Float().tag(sync=True)
    axes = traitlets.List(traitlets.Unicode()).tag(sync=True)

    def __init__(
        self,
        names: Sequence[str],
        energies: Sequence[Number],
        values: Sequence[Point],
        *,
        temperature: Number = 1.0,
        axes: Sequence[str] = ("first number", "second number"),
    ) -> None:
        if not 2 <= len(names) <= 8:
            raise CourseError(f"a lookup among {len(names)} words cannot be shown: give 2 to 8")
        if not len(names) == len(energies) == len(values):
            raise CourseError(f"{len(names)} words, {len(energies)} energies and {len(values)} values do not fit")
        if any(not (isfinite(energy) and abs(energy) <= HIGHEST) for energy in energies):
            raise CourseError(f"an energy lies beyond the sliders, which run from −{HIGHEST:g} to {HIGHEST:g}")
        if any(len(value) != 2 or not all(isfinite(number) for number in value) for value in values):
            raise CourseError("each value is a point in the plane: two finite numbers")
        if not COLDEST <= temperature <= HOTTEST:
            raise CourseError(f"the temperature {temperature:g} is not between {COLDEST:g} and {HOTTEST:g}")
        if len(axes) != 2:
            raise CourseError(f"a plane has two axes, not {len(axes)}")
        super().__init__(
            names=list(names),
            energies=[round(float(energy), 5) for energy in energies],
            points=[[round(float(number), 5) for number in value] for value in values],
            temperature=round(float(temperature), 5),
            axes=list(axes),
        )

    @property
    def weights(self) -> list[float]:
        """α, one share for each word."""
        return _softmax(self.energies, self.temperature)

    @property
    def context(self) -> list[float]:
        """c, the mixture of the values."""
        return [sum(w * point[axis] for w, point in zip(self.weights, self.points, strict=True)) for axis in range(2)]

    @property
    def pulls(self) -> list[list[float]]:
        """∂c/∂e_j, a row for each word."""
        pairs = zip(self.weights, self.points, strict=True)
        return [
            [w * (h - c) / self.temperature for h, c in zip(point, self.context, strict=True)] for w, point in pairs
        ]

    def __repr__(self) -> str:
        shares = ", ".join(f"{name} {_plain(w)}" for name, w in zip(self.names, self.weights, strict=True))
        return f"SoftLookup(τ = {_plain(self.temperature)}; α: {shares}; c = {_pair(self.context)})"

    def fallback(self) -> str:
        """The table of e, α, h, α·h and ∂c/∂e, and c below it."""
        heads = ("word", "energy e", "weight α", "value h", "α·h", "∂c/∂e")
        head = "".join(f'<th scope="col">{text}</th>' for text in heads)
        rows = ""
        columns = zip(self.names, self.energies, self.weights, self.points, self.pulls, strict=True)
        for name, energy, weight, point, pull in columns:
            share = [weight * number for number in point]
            cells = [_plain(energy), _plain(weight), _pair(point), _pair(share), _pair(pull)]
            rows += f'<tr><th scope="row">{escape(name)}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'
        told = f"Temperature τ = {_plain(self.temperature)}. The answer: c = {_pair(self.context)}."
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table><p>{told}</p>"
