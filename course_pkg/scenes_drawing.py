"""Flat drawings made of filled outlines, and how they become pixels (the scenes of chapters 11-13).

A `Figure` is a list of closed outlines in units of one hundredth of the picture's side: the origin is where the
figure meets the ground, x grows to the right and y downwards. The same figure is rasterised at any size. Outlines are
filled four times larger than wanted and averaged, which gives smooth edges with Pillow alone.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from itertools import groupby
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

__all__ = ["INK", "Colour", "Figure", "Pen", "Point", "Real", "Sprite", "mix", "rasterise"]

Colour = tuple[int, int, int]
Real = float | int
Point = tuple[Real, Real]

INK: Colour = (52, 56, 82)
SOLID = [255 if value > 127 else 0 for value in range(256)]  # `Image.point` table: more opaque than not
OVERSAMPLING = 4
EDGE = 0.55  # width of the line around a figure, in units


def mix(colour: Colour, other: Colour, share: Real) -> Colour:
    """``colour`` with ``share`` of it replaced by ``other``."""
    r, g, b = (round(a + (z - a) * share) for a, z in zip(colour, other, strict=True))
    return (r, g, b)


def dark(colour: Colour, share: Real = 0.22) -> Colour:
    """A shadow tone of ``colour``."""
    return mix(colour, (40, 36, 84), share)


def light(colour: Colour, share: Real = 0.35) -> Colour:
    """A lit tone of ``colour``."""
    return mix(colour, (255, 252, 240), share)


class Mark(NamedTuple):
    """One closed outline: rows ``start`` to ``stop`` of the figure's points, and how it looks.

    Neighbours of one ``group`` share the line around them.
    """

    start: int
    stop: int
    colour: Colour
    edge: bool
    group: int


@dataclass(frozen=True, eq=False)
class Figure:
    """Filled outlines from back to front, and the named points where other figures attach.

    ``points`` of shape ``(N, 2)`` holds the corners of all outlines, ``marks`` which of them make an outline.
    """

    points: np.ndarray
    marks: tuple[Mark, ...]
    anchors: dict[str, Point] = field(default_factory=dict)

    def moved(self, turn: Real = 0.0, scale: Real = 1.0, shift: Point = (0.0, 0.0), mirror: bool = False) -> "Figure":
        """The figure mirrored at the vertical axis, turned by ``turn`` degrees clockwise, scaled, then shifted."""
        angle = math.radians(turn)
        cosine, sine = scale * math.cos(angle), scale * math.sin(angle)
        side = -1.0 if mirror else 1.0
        matrix = np.array([[side * cosine, side * sine], [-sine, cosine]])

        def way(x: Real, y: Real) -> Point:
            return side * cosine * x - sine * y + shift[0], side * sine * x + cosine * y + shift[1]

        anchors = {name: way(*point) for name, point in self.anchors.items()}
        return Figure(self.points @ matrix + shift, self.marks, anchors)

    def painted(self, change: Callable[[Colour], Colour]) -> "Figure":
        """The figure with every colour changed."""
        return replace(self, marks=tuple(mark._replace(colour=change(mark.colour)) for mark in self.marks))

    def on_the_ground(self) -> "Figure":
        """The figure shifted so that its lowest point is at y = 0."""
        return self.moved(shift=(0.0, EDGE - self.box[3]))

    @cached_property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of all outlines, the edge included."""
        (left, top), (right, bottom) = self.points.min(0).tolist(), self.points.max(0).tolist()
        return left - EDGE, top - EDGE, right + EDGE, bottom + EDGE

    def with_shapes(self, other: "Figure") -> "Figure":
        """This figure with the outlines of ``other`` in front."""
        pen = Pen()
        pen.add(self)
        pen.add(other)
        return pen.figure(**self.anchors)


class Pen:
    """Collects the outlines of a figure, from back to front."""

    def __init__(self) -> None:
        self._points: list[np.ndarray] = []
        self._marks: list[Mark] = []
        self._count = self._group = 0
        self._merging = False

    @contextmanager
    def merged(self) -> Iterator[None]:
        """Shapes drawn inside have one line around them all, and none where they meet."""
        self._group += 1
        self._merging = True
        yield
        self._merging = False

    def figure(self, **anchors: Point) -> Figure:
        """What was drawn so far."""
        points = np.concatenate(self._points) if self._points else np.zeros((1, 2))
        return Figure(points, tuple(self._marks), dict(anchors))

    def poly(self, points: Sequence[Point] | np.ndarray, fill: Colour, edge: bool = True) -> None:
        """A polygon."""
        self._group += not self._merging
        corners = np.asarray(points, dtype=float)
        self._marks.append(Mark(self._count, self._count + len(corners), fill, edge, self._group))
        self._points.append(corners)
        self._count += len(corners)

    def box(self, left: Real, top: Real, right: Real, bottom: Real, fill: Colour, edge: bool = True) -> None:
        """A rectangle."""
        self.poly([(left, top), (right, top), (right, bottom), (left, bottom)], fill, edge)

    def blob(self, points: Sequence[Point], fill: Colour, edge: bool = True) -> None:
        """A closed smooth curve through ``points`` (Catmull-Rom)."""
        self.poly(_smooth(tuple(points), True), fill, edge)

    def oval(self, x: Real, y: Real, rx: Real, ry: Real, fill: Colour, turn: Real = 0.0, edge: bool = True) -> None:
        """An ellipse, turned by ``turn`` degrees clockwise."""
        self.poly(_ellipse(rx, ry, turn) + (x, y), fill, edge)

    def limb(
        self, points: Sequence[Point], width: Real, fill: Colour, end: Real | None = None, edge: bool = True
    ) -> None:
        """A bent stroke with round ends whose width goes from ``width`` to ``end``."""
        self.poly(_stroke(tuple(points), width, width if end is None else end), fill, edge)

    def line(self, start: Point, stop: Point, width: Real, fill: Colour) -> None:
        """A straight stroke with cut ends and no edge."""
        (x0, y0), (x1, y1) = start, stop
        long = math.hypot(x1 - x0, y1 - y0)
        dx, dy = -(y1 - y0) * width / (2 * long), (x1 - x0) * width / (2 * long)
        self.poly([(x0 + dx, y0 + dy), (x1 + dx, y1 + dy), (x1 - dx, y1 - dy), (x0 - dx, y0 - dy)], fill, edge=False)

    def add(self, figure: Figure, edge: bool = True) -> None:
        """All outlines of another figure, in front of what is there; ``edge=False`` leaves out the lines around."""
        self._group += 1
        first = self._group
        for mark in figure.marks:
            self._group = max(self._group, first + mark.group)
            start, stop = mark.start + self._count, mark.stop + self._count
            self._marks.append(Mark(start, stop, mark.colour, mark.edge and edge, first + mark.group))
        self._points.append(figure.points)
        self._count += len(figure.points)


@lru_cache(maxsize=16384)
def _ellipse(rx: Real, ry: Real, turn: Real) -> np.ndarray:
    around = np.linspace(0, 2 * math.pi, 28, endpoint=False)
    circle = np.stack([rx * np.cos(around), ry * np.sin(around)], 1)
    angle = math.radians(turn)
    return circle @ np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])


@lru_cache(maxsize=16384)
def _stroke(points: tuple[Point, ...], width: Real, end: Real) -> np.ndarray:
    line = _smooth(points, False) if len(points) > 2 else np.asarray(points, dtype=float)
    half = np.linspace(width, end, len(line)) / 2
    along = np.gradient(line, axis=0)
    along /= np.hypot(along[:, :1], along[:, 1:]) + 1e-9
    across = np.stack([-along[:, 1], along[:, 0]], 1) * half[:, None]
    arc = np.linspace(0, math.pi, 8)[1:-1, None]
    head = line[-1] + across[-1] * np.cos(arc) + along[-1] * half[-1] * np.sin(arc)
    tail = line[0] - across[0] * np.cos(arc) - along[0] * half[0] * np.sin(arc)
    return np.concatenate([line + across, head, (line - across)[::-1], tail])


@lru_cache(maxsize=16384)
def _smooth(points: tuple[Point, ...], closed: bool, steps: int = 6) -> np.ndarray:
    """A Catmull-Rom curve through ``points``, as points of shape ``(N, 2)``."""
    knots = np.asarray(points, dtype=float)
    if closed:
        padded = np.concatenate([knots[-1:], knots, knots[:2]])
    else:
        padded = np.concatenate([2 * knots[:1] - knots[1:2], knots, 2 * knots[-1:] - knots[-2:-1]])
    p0, p1, p2, p3 = padded[:-3], padded[1:-2], padded[2:-1], padded[3:]
    t = (np.arange(steps) / steps)[:, None, None]
    curve = 0.5 * (2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3)
    flat = curve.transpose(1, 0, 2).reshape(-1, 2)
    return flat if closed else np.concatenate([flat, knots[-1:]])


@dataclass(frozen=True, eq=False)
class Sprite:
    """A rasterised figure: RGBA pixels, and the pixel of the image at which the figure's origin lies."""

    image: Image.Image
    origin: tuple[int, int]


def rasterise(figure: Figure, side: int) -> Sprite:
    """The figure as it looks in a picture of ``side`` pixels a side."""
    scale = side / 100
    left, top, right, bottom = figure.box
    x, y = math.ceil(-left * scale) + 1, math.ceil(-top * scale) + 1
    width, height = x + math.ceil(right * scale) + 1, y + math.ceil(bottom * scale) + 1
    fine = Image.new("RGBA", (max(width, 1) * OVERSAMPLING, max(height, 1) * OVERSAMPLING), (*INK, 0))
    draw = ImageDraw.Draw(fine)
    grow, shift = scale * OVERSAMPLING, (x * OVERSAMPLING, y * OVERSAMPLING)
    line = max(1, round(2 * EDGE * grow))
    flat = (figure.points * grow + shift).ravel().tolist()
    for _, group in groupby(figure.marks, key=lambda mark: mark.group):
        marks = [(flat[2 * mark.start : 2 * mark.stop], mark.colour, mark.edge) for mark in group]
        for points, _, edge in marks:
            if edge:
                draw.line(points + points[:4], fill=(*INK, 255), width=line, joint="curve")
        for points, colour, _ in marks:
            draw.polygon(points, fill=(*colour, 255))
    return Sprite(fine.reduce(OVERSAMPLING), (x, y))


@lru_cache(maxsize=512)
def shadow(width: int, height: int, strength: int = 95) -> Image.Image:
    """A soft ellipse as an alpha mask of the given size in pixels, ``strength`` (0 … 255) in the middle."""
    x = np.linspace(-1, 1, max(width, 2))[None, :]
    y = np.linspace(-1, 1, max(height, 2))[:, None]
    depth = np.clip(1 - (x**2 + y**2), 0, 1) ** 0.8
    return Image.fromarray((strength * depth).astype(np.uint8))


def vertical_gradient(size: tuple[int, int], stops: Sequence[tuple[Real, Colour]]) -> Image.Image:
    """A picture of ``size`` pixels (width, height) whose rows go through the colours at the given heights (0 … 1)."""
    rows = (np.arange(size[1]) + 0.5) / size[1]
    places = [stop for stop, _ in stops]
    column = np.stack([np.interp(rows, places, [colour[c] for _, colour in stops]) for c in range(3)], 1)
    return Image.fromarray(np.repeat(column[:, None].round().astype(np.uint8), size[0], axis=1))
