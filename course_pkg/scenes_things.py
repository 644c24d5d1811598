"""The things of the drawn scenes: what one holds, sits on, rides and passes by (chapters 11-13).

Each thing is drawn in one colour of choice and its tones; it stands on the ground at its origin, and looks to the
right where it has a front. The anchor ``seat`` is where somebody sits or stands.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from course_pkg.scenes_drawing import Colour, Figure, Pen, Point, dark, light, mix

__all__ = ["THINGS", "thing"]

WOOD: Colour = (176, 122, 78)
METAL: Colour = (176, 184, 196)
RUBBER: Colour = (62, 62, 76)
PAPER: Colour = (253, 249, 238)
GLASS: Colour = (196, 228, 242)


@lru_cache(maxsize=1024)
def thing(kind: str, colour: Colour) -> Figure:
    """A thing of kind `THINGS`."""
    return THINGS[kind](Pen(), colour).on_the_ground()


def _frisbee(pen: Pen, c: Colour) -> Figure:
    pen.oval(0, 0, 8.0, 3.5, c, turn=-10)
    pen.oval(0, -0.5, 5.6, 2.1, light(c, 0.4), turn=-10, edge=False)
    pen.oval(0, -0.3, 3.4, 1.1, c, turn=-10, edge=False)
    return pen.figure()


def _ball(pen: Pen, c: Colour) -> Figure:
    pen.oval(0, 0, 5.4, 5.4, c)
    white = PAPER if sum(c) < 640 else (160, 168, 182)
    pen.blob([(-1.3, -5.1), (1.3, -5.1), (2.6, 0), (1.3, 5.1), (-1.3, 5.1), (-0.2, 0)], white, edge=False)
    pen.oval(-2.6, -2.6, 1.1, 0.8, light(c, 0.6), turn=-40, edge=False)
    return pen.figure()


def _teddy(pen: Pen, c: Colour) -> Figure:
    pale = light(c, 0.55)
    for side in (-1, 1):
        pen.oval(3.3 * side, -0.4, 2.6, 2.2, c)
        pen.oval(4.0 * side, -0.3, 1.2, 1.3, pale, edge=False)
        pen.oval(4.4 * side, -6.0, 1.7, 2.7, c, turn=-32 * side)
        pen.oval(3.2 * side, -14.4, 2.0, 2.0, c)
        pen.oval(3.2 * side, -14.4, 1.0, 1.0, pale, edge=False)
    pen.oval(0, -4.4, 4.2, 4.8, c)
    pen.oval(0, -3.8, 2.5, 3.0, pale, edge=False)
    pen.oval(0, -11, 4.8, 4.3, c)
    pen.oval(0, -9.8, 2.2, 1.7, pale, edge=False)
    ink = (44, 38, 44) if sum(c) > 150 else (220, 220, 230)
    pen.oval(0, -10.4, 0.9, 0.7, (44, 38, 44), edge=False)
    for side in (-1, 1):
        pen.oval(1.8 * side, -11.9, 0.65, 0.75, ink, edge=False)
    return pen.figure()


def _book(pen: Pen, c: Colour) -> Figure:
    pen.poly([(-9.4, -9.6), (0, -8), (9.4, -9.6), (9.4, 2.6), (0, 4.4), (-9.4, 2.6)], c)
    for side in (-1, 1):
        pen.blob([(7 * side, -8.6), (3.5 * side, -8.8), (0, -7.4), (0, 2), (3.5 * side, 0.6), (7 * side, 0.8)], PAPER)
        for line in (-6.0, -4.0, -2.0):
            pen.line((1.6 * side, line + 0.4), (5.6 * side, line - 0.2), 0.55, (170, 170, 182))
    return pen.figure()


def _kite(pen: Pen, c: Colour) -> Figure:
    pen.limb([(0, 6), (-2.2, 10), (1.2, 13), (-0.6, 16)], 0.6, RUBBER, edge=False)
    for x, y in ((-1.8, 9.4), (0.9, 12.8)):
        pen.poly([(x - 2, y - 1.1), (x, y), (x - 2, y + 1.1)], light(c, 0.25), edge=False)
        pen.poly([(x + 2, y - 1.1), (x, y), (x + 2, y + 1.1)], light(c, 0.25), edge=False)
    pen.poly([(0, -9), (6.6, -1.6), (0, 7), (-6.6, -1.6)], c)
    pen.poly([(0, -9), (6.6, -1.6), (0, -1.6)], light(c, 0.45), edge=False)
    pen.poly([(0, 7), (-6.6, -1.6), (0, -1.6)], light(c, 0.45), edge=False)
    return pen.figure()


def _umbrella(pen: Pen, c: Colour) -> Figure:
    pen.limb([(0, -8), (0, 6.5)], 1.1, WOOD)
    pen.limb([(0, 6), (0.2, 8.2), (2.2, 8.6), (3, 6.8)], 1.1, WOOD)
    pen.limb([(0, -11), (0, -9)], 0.9, WOOD)
    rim = [(10, -1), (7.4, -2.6), (5, -1), (2.6, -2.6), (0, -1), (-2.6, -2.6), (-5, -1), (-7.4, -2.6), (-10, -1)]
    around = np.linspace(np.pi, 2 * np.pi, 16)
    dome = [(10 * float(np.cos(a)), -1 + 8.6 * float(np.sin(a))) for a in around]
    pen.poly([*dome, *rim], c)
    pen.blob(
        [(-3.2, -2.6), (-3.0, -6.4), (-0.4, -9.4), (2.6, -6.4), (2.4, -2.6), (0, -1.4)], light(c, 0.35), edge=False
    )
    return pen.figure()


def _balloon(pen: Pen, c: Colour) -> Figure:
    pen.limb([(0, 6), (0.9, 9), (-0.7, 12), (0.3, 15)], 0.5, RUBBER, edge=False)
    pen.poly([(0, 5), (1.5, 7.6), (-1.5, 7.6)], dark(c, 0.15))
    pen.blob([(0, 6.2), (-4.4, 2.4), (-5.8, -2.6), (-3.6, -7.2), (0, -8.4), (3.6, -7.2), (5.8, -2.6), (4.4, 2.4)], c)
    pen.oval(-2.4, -3.6, 1.1, 2.2, light(c, 0.65), turn=18, edge=False)
    return pen.figure()


def _guitar(pen: Pen, c: Colour) -> Figure:
    pen.limb([(0, -4), (0, -15)], 1.7, dark(WOOD, 0.4))
    pen.box(-1.5, -18.4, 1.5, -15, dark(c, 0.4))
    pen.blob(
        [(0, -6.4), (3.4, -5.4), (2.8, -2.4), (4.8, 1.6), (2.6, 5), (-2.6, 5), (-4.8, 1.6), (-2.8, -2.4), (-3.4, -5.4)],
        c,
    )
    pen.oval(0, -1, 1.6, 1.6, (60, 46, 46), edge=False)
    pen.limb([(-1.6, 2.6), (1.6, 2.6)], 0.9, dark(c, 0.5), edge=False)
    pen.limb([(0, 2.6), (0, -15)], 0.4, (235, 230, 220), edge=False)
    return pen.figure().moved(turn=24)


def _bed(pen: Pen, c: Colour) -> Figure:
    pen.box(-21, -17, -18.4, 0, WOOD)
    pen.box(18.4, -10, 21, 0, WOOD)
    pen.box(-18.8, -5.4, 18.8, -2.4, dark(WOOD, 0.2))
    pen.blob([(-18, -9), (0, -9.6), (18.4, -9.2), (18.8, -6.6), (18.4, -4.4), (0, -4.2), (-18, -4.4)], PAPER)
    pen.blob([(-8.5, -10.4), (4, -11), (18.8, -10.4), (19.2, -6), (18.6, -2.6), (4, -2), (-8, -2.6), (-9.2, -6)], c)
    pen.blob(
        [(-9, -10.4), (-5.6, -10.7), (-5.8, -6), (-5.4, -2.5), (-8.4, -2.5), (-9.6, -6)], light(c, 0.5), edge=False
    )
    pen.blob([(-17.6, -10), (-15.4, -13.6), (-10.4, -13.4), (-9, -10.4), (-11, -8.6), (-16, -8.6)], PAPER)
    return pen.figure(seat=(1.0, -9.6))


def _chair(pen: Pen, c: Colour) -> Figure:
    pen.limb([(5, -11), (5.6, 0)], 1.7, dark(c, 0.3))
    pen.limb([(-5.4, -11), (-6, 0)], 1.7, dark(c, 0.3))
    pen.box(-7, -27, -4.6, -10, c)
    pen.box(-7.4, -13, 7, -10.2, c)
    pen.limb([(2.6, -10), (3.0, -0.4)], 1.7, c)
    pen.limb([(-4, -10), (-4.2, -0.4)], 1.7, c)
    return pen.figure(seat=(0.6, -12.6))


def _bench(pen: Pen, c: Colour) -> Figure:
    for x in (-13, 13):
        pen.limb([(x, -9), (x, 0)], 2.0, RUBBER)
        pen.limb([(x, -9), (x - 0.6, -20)], 1.8, RUBBER)
    for y in (-19, -14.6):
        pen.box(-17, y - 1.6, 17, y + 1.4, c)
    pen.box(-18, -10.6, 18, -7.8, light(c, 0.15))
    return pen.figure(seat=(0, -10.2))


def _box(pen: Pen, c: Colour) -> Figure:
    pen.poly([(-9, -13), (-6, -15.6), (10.6, -15.6), (8, -13)], light(c, 0.4))
    pen.poly([(8, -13), (10.6, -15.6), (10.6, -2.4), (8, 0)], dark(c, 0.25))
    pen.box(-9, -13, 8, 0, c)
    pen.box(-2.4, -13, 1.4, 0, light(c, 0.55), edge=False)
    return pen.figure(seat=(0, -14.2))


def _boat(pen: Pen, c: Colour) -> Figure:
    pen.limb([(-9, -8), (-9, -11)], 2.0, dark(c, 0.4))
    pen.blob([(-23, -10), (-12, -8.4), (0, -8), (14, -8.6), (26, -12), (22, -4), (15, 0), (-15, 0), (-21, -4)], c)
    pen.blob([(-21.4, -5), (0, -3.4), (22, -5.4), (20, -3), (15, 0), (-15, 0), (-19, -2.6)], light(c, 0.6), edge=False)
    pen.limb([(-23, -10), (-12, -8.4), (0, -8), (14, -8.6), (26, -12)], 1.7, dark(c, 0.35))
    return pen.figure(seat=(0, -7.0))


def _bicycle(pen: Pen, c: Colour) -> Figure:
    for x in (-10, 10):
        ring = [(x + 6.8 * float(np.cos(a)), -6.8 + 6.8 * float(np.sin(a))) for a in np.linspace(0, 2 * np.pi, 25)]
        pen.limb(ring, 1.5, RUBBER, edge=False)
        for a in np.linspace(0, np.pi, 4)[:-1]:
            dx, dy = 6.4 * float(np.cos(a)), 6.4 * float(np.sin(a))
            pen.limb([(x - dx, -6.8 - dy), (x + dx, -6.8 + dy)], 0.35, METAL, edge=False)
    with pen.merged():
        frame = ((-10, -6.8, -4, -15), (-4, -15, 7.4, -15), (-10, -6.8, -1, -6.4), (-1, -6.4, -4.6, -17.5))
        for x0, y0, x1, y1 in (*frame, (-1, -6.4, 7.4, -15), (10, -6.8, 6.6, -19)):
            pen.limb([(x0, y0), (x1, y1)], 1.5, c)
    pen.limb([(6.6, -19), (10.2, -20)], 1.3, RUBBER)
    pen.oval(-4.8, -18, 3.4, 1.3, RUBBER)
    pen.oval(-1, -6.4, 1.7, 1.7, METAL)
    return pen.figure(seat=(-3.8, -18.4))


def _skateboard(pen: Pen, c: Colour) -> Figure:
    pen.oval(-7, -1.8, 2.2, 2.2, RUBBER)
    pen.oval(7, -1.8, 2.2, 2.2, RUBBER)
    pen.limb([(-13, -6), (-9, -4.4), (9, -4.4), (13, -6)], 2.2, c)
    return pen.figure(seat=(0, -5.2))


def _scooter(pen: Pen, c: Colour) -> Figure:
    pen.oval(-9, -2.4, 2.5, 2.5, RUBBER)
    pen.oval(10, -2.4, 2.5, 2.5, RUBBER)
    with pen.merged():
        pen.limb([(-9, -4), (6, -4), (9.6, -6), (8, -22)], 2.0, c)
    pen.limb([(5, -22), (10, -22.6)], 1.7, RUBBER)
    return pen.figure(seat=(-1.6, -4.8))


def _car(pen: Pen, c: Colour) -> Figure:
    with pen.merged():
        pen.blob([(-11, -11), (-7.4, -18.6), (6, -18.8), (12, -11)], c)
        pen.blob([(-21, -10), (-12, -12.4), (12, -12), (21.4, -9.6), (22, -3.6), (-21.4, -3.4)], c)
    pen.blob([(-9, -11.4), (-6.4, -16.8), (-0.6, -17), (-0.6, -11.4)], GLASS)
    pen.blob([(1, -11.4), (1, -17), (5.2, -16.8), (9.6, -11.4)], GLASS)
    pen.box(-21, -7, 21.6, -5.8, light(c, 0.45), edge=False)
    pen.oval(20.4, -8, 1.5, 1.6, (255, 240, 170), edge=False)
    for x in (-12, 12):
        pen.oval(x, -3.6, 4.6, 4.6, RUBBER)
        pen.oval(x, -3.6, 1.9, 1.9, METAL, edge=False)
    return pen.figure(seat=(-1, -18.6))


def _stop_sign(pen: Pen, c: Colour) -> Figure:
    pen.box(-1.1, -27, 1.1, 0, METAL)
    corners = np.arange(8) * np.pi / 4 + np.pi / 8
    rim = np.stack([np.cos(corners), np.sin(corners)], 1)
    pen.poly(rim * 10.6 + (0, -33), PAPER)
    pen.poly(rim * 9.4 + (0, -33), c, edge=False)
    white = PAPER if sum(c) < 640 else (60, 60, 76)
    letters: dict[str, list[list[Point]]] = {  # strokes on a field of 2 × 4
        "S": [[(2, 0.3), (1, 0), (0, 0.8), (1, 2), (2, 3.2), (1, 4), (0, 3.7)]],
        "T": [[(0, 0), (2, 0)], [(1, 0), (1, 4)]],
        "O": [[(1, 0), (0, 1.2), (0, 2.8), (1, 4), (2, 2.8), (2, 1.2), (1, 0)]],
        "P": [[(0, 4), (0, 0)], [(0, 0), (1.6, 0.2), (1.6, 1.9), (0, 2.1)]],
    }
    for i, letter in enumerate("STOP"):
        for stroke in letters[letter]:
            pen.limb([(-7.2 + 3.9 * i + 1.15 * x, -35.6 + 1.3 * y) for x, y in stroke], 1.15, white, edge=False)
    return pen.figure()


def _tent(pen: Pen, c: Colour) -> Figure:
    pen.poly([(-3, -24), (14, -20), (23, -1), (12, 0)], dark(c, 0.22))
    pen.poly([(-3, -24), (-19, 0), (12, 0)], c)
    pen.poly([(-3, -20), (-9.5, 0), (4, 0)], (66, 56, 76), edge=False)
    pen.poly([(-3, -20), (-9.5, 0), (-5.6, 0)], light(c, 0.4), edge=False)
    return pen.figure()


def _lamp(pen: Pen, c: Colour) -> Figure:
    pen.oval(0, -0.8, 5, 1.4, c)
    pen.limb([(0, -1), (0, -32)], 1.6, c)
    pen.poly([(-3.6, -43), (3.6, -43), (6.4, -32), (-6.4, -32)], (255, 232, 160))
    pen.box(-4.2, -44.4, 4.2, -42.6, c)
    return pen.figure()


def _house(pen: Pen, c: Colour) -> Figure:
    pen.box(6, -25, 9.4, -17, (178, 96, 84))
    pen.box(-13, -16, 13, 0, c)
    pen.poly([(-16, -15.4), (0, -28), (16, -15.4)], (186, 84, 74))
    pen.box(-2.6, -9.6, 2.6, 0, WOOD)
    for x in (-8, 8):
        pen.box(x - 2.6, -11.4, x + 2.6, -6.4, GLASS)
    pen.oval(1.4, -4.6, 0.5, 0.5, (250, 230, 140), edge=False)
    return pen.figure()


def _tower(pen: Pen, c: Colour) -> Figure:
    """A lighthouse."""
    pen.poly([(-4.6, -34), (4.6, -34), (6.6, 0), (-6.6, 0)], PAPER)
    for top in (-28.6, -16.6, -5.4):
        w0, w1 = 4.6 + 2.0 * (34 + top) / 34, 4.6 + 2.0 * (39 + top) / 34
        pen.poly([(-w0, top), (w0, top), (w1, top + 5), (-w1, top + 5)], c, edge=False)
    pen.box(-3.4, -39, 3.4, -34, (255, 236, 150))
    pen.poly([(-4.8, -39), (0, -43.6), (4.8, -39)], c)
    pen.box(-5.6, -35, 5.6, -33.4, c)
    return pen.figure()


def _mill(pen: Pen, c: Colour) -> Figure:
    pen.poly([(-4.4, -26), (4.4, -26), (7, 0), (-7, 0)], PAPER)
    pen.blob([(-5.4, -25.4), (-3.4, -30), (0, -31.6), (3.4, -30), (5.4, -25.4), (0, -25)], c)
    pen.box(-1.9, -7, 1.9, 0, WOOD)
    for turn in (25, 115, 205, 295):
        sail = Pen()
        sail.box(0.2, -16, 3.6, -3, PAPER)
        sail.limb([(0, 0), (0, -16)], 0.9, WOOD, edge=False)
        pen.add(sail.figure().moved(turn=turn, shift=(0, -27)))
    pen.oval(0, -27, 1.3, 1.3, c)
    return pen.figure()


def _mountain(pen: Pen, c: Colour) -> Figure:
    pen.poly([(-10, 0), (14, -19), (24, -12), (36, 0)], mix(c, (206, 218, 234), 0.3))
    pen.poly([(-34, 0), (-19, -15), (-4, -31), (2, -24), (9, -18), (25, 0)], c)
    pen.poly([(-4, -31), (2, -24), (9, -18), (25, 0), (8, 0), (0, -12)], dark(c, 0.18), edge=False)
    pen.poly(
        [(-4, -31), (-11.5, -22.6), (-8.6, -20.6), (-5.4, -22.8), (-2.4, -19), (1, -22), (4.4, -20.8), (2, -24)],
        PAPER,
        edge=False,
    )
    return pen.figure()


def _tree(pen: Pen, c: Colour) -> Figure:
    pen.limb([(0, 0), (0, -16)], 4.2, (134, 92, 66), 3.2)
    with pen.merged():
        for x, y, r in ((-6.4, -19, 6.4), (6.4, -19, 6.4), (-4, -27, 6.6), (4.6, -27, 6.4), (0, -33, 6), (0, -22, 8)):
            pen.oval(x, y, r, r, c)
    for x, y, r in ((-4, -29, 4.0), (-1, -34, 2.8), (-7.6, -21, 3.0)):
        pen.oval(x, y, r, r * 0.9, light(c, 0.2), edge=False)
    return pen.figure()


def _pine(pen: Pen, c: Colour) -> Figure:
    pen.limb([(0, 0), (0, -9)], 3.2, (124, 84, 62))
    for base, half, top in ((-6, 10, -21), (-14, 8.2, -29), (-22, 6.2, -38)):
        pen.poly([(-half, base), (half, base), (0, top)], c)
        pen.poly([(-half * 0.7, base - 1.2), (-half * 0.1, base - 1.2), (-0.6, top + 3)], light(c, 0.18), edge=False)
    return pen.figure()


def _window(pen: Pen, c: Colour) -> Figure:
    pen.box(-11, -26, 11, 0, PAPER)
    pen.box(-9.4, -24.4, 9.4, -1.6, (166, 214, 240), edge=False)
    pen.oval(5, -19, 3, 3, (255, 232, 140), edge=False)
    pen.blob([(-9.4, -8), (-3, -11), (4, -8.4), (9.4, -10), (9.4, -1.6), (-9.4, -1.6)], (132, 188, 120), edge=False)
    pen.box(-0.8, -25, 0.8, -1, PAPER, edge=False)
    pen.box(-10, -13.8, 10, -12.2, PAPER, edge=False)
    for side in (-1, 1):
        pen.blob([(8 * side, -27), (13.4 * side, -27), (13 * side, 0), (10.6 * side, 0), (9.8 * side, -12)], c)
    return pen.figure()


def _clock(pen: Pen, c: Colour) -> Figure:
    pen.oval(0, 0, 8.4, 8.4, c)
    pen.oval(0, 0, 6.6, 6.6, PAPER, edge=False)
    for i in range(12):
        a = i * np.pi / 6
        pen.oval(5.4 * float(np.sin(a)), -5.4 * float(np.cos(a)), 0.5, 0.5, RUBBER, edge=False)
    pen.limb([(0, 0), (0, -4.6)], 0.9, RUBBER, edge=False)
    pen.limb([(0, 0), (3, 1.6)], 1.1, RUBBER, edge=False)
    return pen.figure()


def _picture(pen: Pen, c: Colour) -> Figure:
    pen.box(-12, -18, 12, 0, c)
    pen.box(-10, -16, 10, -2, (222, 236, 240), edge=False)
    pen.poly([(-9.6, -2), (-4, -10), (0, -5), (3.6, -12), (10, -2)], (120, 150, 170), edge=False)
    pen.oval(-5.6, -13, 1.8, 1.8, (250, 190, 110), edge=False)
    return pen.figure()


def _plant(pen: Pen, c: Colour) -> Figure:
    for x, y, turn in ((-5, -17, -32), (5, -17, 32), (-2, -21, -10), (3, -21, 12)):
        pen.oval(x, y, 2.9, 8.4, (96, 164, 104), turn=turn)
    pen.poly([(-6, -11), (6, -11), (4.4, 0), (-4.4, 0)], c)
    pen.box(-6.8, -12.6, 6.8, -10, light(c, 0.2))
    return pen.figure()


THINGS: dict[str, Callable[[Pen, Colour], Figure]] = {
    "frisbee": _frisbee,
    "ball": _ball,
    "teddy bear": _teddy,
    "book": _book,
    "kite": _kite,
    "umbrella": _umbrella,
    "balloon": _balloon,
    "guitar": _guitar,
    "bed": _bed,
    "chair": _chair,
    "bench": _bench,
    "box": _box,
    "boat": _boat,
    "bicycle": _bicycle,
    "skateboard": _skateboard,
    "scooter": _scooter,
    "car": _car,
    "stop sign": _stop_sign,
    "tent": _tent,
    "lamp": _lamp,
    "house": _house,
    "lighthouse": _tower,
    "windmill": _mill,
    "mountain": _mountain,
    "tree": _tree,
    "pine": _pine,
    "window": _window,
    "clock": _clock,
    "picture": _picture,
    "plant": _plant,
}
