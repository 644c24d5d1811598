"""Flat drawings made of filled outlines, and how they become pixels (the scenes of chapters 11-13).

A `Figure` is a list of closed outlines in units of one hundredth of the picture's side: the origin is where the
figure meets the ground, x grows to the right and y downwards. The same figure is rasterised at any size. Outlines are
filled four times larger than wanted and averaged, which gives smooth edges with Pillow alone.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import groupby

import numpy as np
from PIL import Image, ImageDraw

__all__ = ["INK", "Colour", "Figure", "Pen", "Point", "Real", "Sprite", "mix", "rasterise"]

Colour = tuple[int, int, int]
Real = float | int
Point = tuple[Real, Real]

INK: Colour = (52, 56, 82)
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


@dataclass(frozen=True, eq=False)
class Shape:
    """A closed outline, points of shape ``(N, 2)``; neighbours of one ``group`` share the line around them."""

    points: np.ndarray
    colour: Colour
    edge: bool
    group: int


@dataclass(frozen=True, eq=False)
class Figure:
    """Filled outlines from back to front, and the named points where other figures attach."""

    shapes: tuple["Shape", ...]
    anchors: dict[str, Point] = field(default_factory=dict)

    def moved(self, turn: Real = 0.0, scale: Real = 1.0, shift: Point = (0.0, 0.0), mirror: bool = False) -> "Figure":
        """The figure mirrored at the vertical axis, turned by ``turn`` degrees clockwise, scaled, then shifted."""
        angle = math.radians(turn)
        matrix = scale * np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
        if mirror:
            matrix = np.diag([-1.0, 1.0]) @ matrix
        shapes = tuple(replace(shape, points=shape.points @ matrix + shift) for shape in self.shapes)
        anchors = {}
        for name, point in self.anchors.items():
            x, y = np.array(point) @ matrix + shift
            anchors[name] = (float(x), float(y))
        return Figure(shapes, anchors)

    def on_the_ground(self) -> "Figure":
        """The figure shifted so that its lowest point is at y = 0."""
        return self.moved(shift=(0.0, -self.box[3]))

    @property
    def box(self) -> tuple[Real, Real, Real, Real]:
        """Left, top, right and bottom of all outlines, the edge included."""
        points = np.concatenate([shape.points for shape in self.shapes])
        (left, top), (right, bottom) = points.min(0) - EDGE, points.max(0) + EDGE
        return float(left), float(top), float(right), float(bottom)

    def with_shapes(self, other: "Figure") -> "Figure":
        """This figure with the shapes of ``other`` in front."""
        pen = Pen()
        pen.add(self)
        pen.add(other)
        return pen.figure(**self.anchors)


class Pen:
    """Collects the outlines of a figure, from back to front."""

    def __init__(self) -> None:
        self.shapes: list[Shape] = []
        self._group = 0
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
        return Figure(tuple(self.shapes), dict(anchors))

    def poly(self, points: Sequence[Point] | np.ndarray, fill: Colour, edge: bool = True) -> None:
        """A polygon."""
        self._group += not self._merging
        self.shapes.append(Shape(np.asarray(points, dtype=float), fill, edge, self._group))

    def box(self, left: Real, top: Real, right: Real, bottom: Real, fill: Colour, edge: bool = True) -> None:
        """A rectangle."""
        self.poly([(left, top), (right, top), (right, bottom), (left, bottom)], fill, edge)

    def blob(self, points: Sequence[Point], fill: Colour, edge: bool = True) -> None:
        """A closed smooth curve through ``points`` (Catmull-Rom)."""
        self.poly(smooth(points, closed=True), fill, edge)

    def oval(self, x: Real, y: Real, rx: Real, ry: Real, fill: Colour, turn: Real = 0.0, edge: bool = True) -> None:
        """An ellipse, turned by ``turn`` degrees clockwise."""
        around = np.linspace(0, 2 * math.pi, 28, endpoint=False)
        circle = np.stack([rx * np.cos(around), ry * np.sin(around)], 1)
        angle = math.radians(turn)
        circle = circle @ np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
        self.poly(circle + (x, y), fill, edge)

    def limb(
        self, points: Sequence[Point], width: Real, fill: Colour, end: Real | None = None, edge: bool = True
    ) -> None:
        """A bent stroke with round ends whose width goes from ``width`` to ``end``."""
        line = smooth(points, closed=False) if len(points) > 2 else np.asarray(points, dtype=float)
        half = np.linspace(width, width if end is None else end, len(line)) / 2
        along = np.gradient(line, axis=0)
        along /= np.linalg.norm(along, axis=1, keepdims=True) + 1e-9
        across = np.stack([-along[:, 1], along[:, 0]], 1) * half[:, None]
        arc = np.linspace(0, math.pi, 8)[1:-1, None]
        head = line[-1] + across[-1] * np.cos(arc) + along[-1] * half[-1] * np.sin(arc)
        tail = line[0] - across[0] * np.cos(arc) - along[0] * half[0] * np.sin(arc)
        self.poly(np.concatenate([line + across, head, (line - across)[::-1], tail]), fill, edge)

    def add(self, figure: Figure) -> None:
        """All shapes of another figure, in front of what is there."""
        for shape in figure.shapes:
            self.shapes.append(replace(shape, group=shape.group + 1000 * (self._group + 1)))
        self._group += 1


def smooth(points: Sequence[Point], closed: bool, steps: int = 6) -> np.ndarray:
    """A Catmull-Rom curve through ``points``, as points of shape ``(N, 2)``."""
    knots = np.asarray(points, dtype=float)
    if closed:
        p0, p1, p2, p3 = (np.roll(knots, shift, axis=0) for shift in (1, 0, -1, -2))
    else:
        padded = np.concatenate([2 * knots[:1] - knots[1:2], knots, 2 * knots[-1:] - knots[-2:-1]])
        p0, p1, p2, p3 = padded[:-3], padded[1:-2], padded[2:-1], padded[3:]
    t = np.linspace(0, 1, steps, endpoint=False)[:, None, None]
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
    for _, shapes in groupby(figure.shapes, key=lambda shape: shape.group):
        flat = [((s.points * grow + shift).ravel().tolist(), s.colour, s.edge) for s in shapes]
        for points, _, edge in flat:
            if edge:
                draw.line(points + points[:4], fill=(*INK, 255), width=line, joint="curve")
        for points, colour, _ in flat:
            draw.polygon(points, fill=(*colour, 255))
    return Sprite(fine.reduce(OVERSAMPLING), (x, y))


@lru_cache(maxsize=256)
def shadow(width: int, height: int) -> Image.Image:
    """A soft dark ellipse as an alpha mask of the given size in pixels."""
    x = np.linspace(-1, 1, max(width, 2))[None, :]
    y = np.linspace(-1, 1, max(height, 2))[:, None]
    depth = np.clip(1 - (x**2 + y**2), 0, 1) ** 0.8
    return Image.fromarray((95 * depth).astype(np.uint8))


def vertical_gradient(size: tuple[int, int], stops: Sequence[tuple[Real, Colour]]) -> Image.Image:
    """A picture of ``size`` pixels (width, height) whose rows go through the colours at the given heights (0 … 1)."""
    rows = (np.arange(size[1]) + 0.5) / size[1]
    places = [stop for stop, _ in stops]
    column = np.stack([np.interp(rows, places, [colour[c] for _, colour in stops]) for c in range(3)], 1)
    return Image.fromarray(np.repeat(column[:, None].round().astype(np.uint8), size[0], axis=1))
