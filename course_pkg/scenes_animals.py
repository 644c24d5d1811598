"""The animals of the drawn scenes, in five poses (chapters 11-13).

Eight of the nine animals stand on four legs and share one build: hips, shoulders, a neck and a head that each
species draws itself. The bird has a build of its own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from course_pkg.scenes_drawing import Colour, Figure, Pen, Point, Real, dark, light, mix

__all__ = ["ANIMALS", "ANIMAL_POSES", "animal"]

ANIMAL_POSES = ("stand", "run", "jump", "sit", "sleep")
EYE: Colour = (40, 38, 52)
PINK: Colour = (244, 160, 160)
CREAM: Colour = (250, 244, 228)


@dataclass(frozen=True)
class Build:
    """Sizes in units: half the body's length, its half height, legs, and the neck's way from the shoulders."""

    length: Real
    height: Real
    leg: Real
    thick: Real  # of a leg
    neck: Point
    neck_width: tuple[Real, Real]
    head: Callable[[Pen, Real, Real, Colour, bool], None]
    tail: Callable[[Pen, Real, Real, Colour], None]
    hoof: bool = False
    spots: str = ""


@lru_cache(maxsize=2048)
def animal(kind: str, pose: str, coat: Colour) -> Figure:
    """An animal of kind `ANIMALS` that looks to the right; anchors ``seat`` and ``head``."""
    if kind == "bird":
        return _bird(pose, coat)
    build, pen = BUILDS[kind], Pen()
    body, size, asleep = build.leg + build.height * 0.8, build.height, pose == "sleep"
    hip, shoulder = (-build.length * 0.62, -body), (build.length * 0.62, -body)
    neck = build.neck
    if pose == "sit":
        hip = (-build.length * 0.45, -size * 1.0)
        shoulder = (build.length * 0.42, -max(build.leg, size) - size * 0.75)
    elif asleep:
        hip, shoulder = (hip[0], -size * 0.95), (shoulder[0], -size * 0.9)
        neck = (neck[0] + abs(neck[1]) * 0.5 + 1.5, max(-neck[1] * 0.05, 0) + (size * 0.2 if neck[1] > -9 else -2))
    build.tail(pen, hip[0] - size * 0.72, hip[1] - size * 0.35, coat)
    head = (shoulder[0] + neck[0], shoulder[1] + neck[1])
    _legs(pen, build, pose, hip, shoulder, dark(coat, 0.2), 0)
    with pen.merged():
        _legs(pen, build, pose, hip, shoulder, coat, 1)
        _trunk(pen, build, hip, shoulder, coat)
        start = (shoulder[0] + size * 0.05, shoulder[1] - size * 0.15)
        pen.limb(
            [start, (head[0] - neck[0] * 0.25, head[1] + abs(neck[1]) * 0.22)],
            build.neck_width[0],
            coat,
            build.neck_width[1],
        )
    _markings(pen, build, hip, shoulder, head, coat)
    if pose == "sit":
        with pen.merged():
            pen.oval(hip[0] + 0.5, hip[1] + size * 0.1, size * 0.85, size * 0.9, coat)
            pen.oval(hip[0] + size * 0.8, -1.3, size * 0.6, 1.5, coat)
    build.head(pen, *head, coat, asleep)
    figure = pen.figure(seat=((hip[0] + shoulder[0]) / 2 - 1, -body - size * 0.78), head=head)
    if pose in ("run", "jump"):
        figure = figure.moved(turn=-4 if pose == "run" else -20)
    return figure.on_the_ground()


def _trunk(pen: Pen, build: Build, hip: Point, shoulder: Point, coat: Colour) -> None:
    size = build.height
    if build.spots == "wool":
        steps = 5
        for i in range(steps):
            x = hip[0] + (shoulder[0] - hip[0]) * i / (steps - 1)
            y = hip[1] + (shoulder[1] - hip[1]) * i / (steps - 1)
            for lift in (-0.5, 0.35):
                pen.oval(x, y + lift * size, size * 0.62, size * 0.62, coat)
    pen.limb([hip, shoulder], size * 2, coat, size * 1.9)


def _legs(pen: Pen, build: Build, pose: str, hip: Point, shoulder: Point, coat: Colour, near: int) -> None:
    """The two far legs or the two near ones."""
    shift = build.thick * (0.55 if near else -0.55)
    hoof = dark(coat, 0.5)
    ends: list[tuple[Point, Point, Point]] = []
    lean = build.leg * 0.75
    for joint, way in ((hip, -1.0), (shoulder, 1.0)):
        x, y = joint[0] + shift, joint[1]
        if pose in ("run", "jump"):
            way = way * (1.0 if near else 0.7)
            ends.append(
                ((x, y), (x + way * lean * 0.7, y + build.leg * 0.65), (x + way * lean * 1.35, -build.leg * 0.12))
            )
        elif pose == "sleep":
            ends.append(
                ((x, y), (x + build.thick, -build.thick * 0.7), (x + build.leg * 0.55 + 2, -build.thick * 0.55))
            )
        elif pose == "sit" and way < 0:
            ends.append(((x, y), (x + build.thick, -build.thick), (x + build.height, -build.thick * 0.55)))
        else:
            ends.append(((x, y), (x, y * 0.5), (x, -build.thick * 0.5)))
    for start, middle, end in ends:
        pen.limb([start, middle, end], build.thick * 1.15, coat, build.thick * 0.9)
        if build.hoof and pose != "sleep":
            pen.oval(end[0], end[1] + build.thick * 0.1, build.thick * 0.5, build.thick * 0.45, hoof, edge=False)


def _markings(pen: Pen, build: Build, hip: Point, shoulder: Point, head: Point, coat: Colour) -> None:
    size = build.height

    def along(share: Real, lift: Real) -> Point:
        x = hip[0] + (shoulder[0] - hip[0]) * share
        y = hip[1] + (shoulder[1] - hip[1]) * share
        return x, y + lift * size

    if build.spots == "patches":  # the giraffe
        patch = mix(coat, (140, 78, 40), 0.62)
        for share, lift, r in (
            (-0.1, -0.3, 1.9),
            (0.2, 0.3, 2.1),
            (0.38, -0.45, 2.0),
            (0.66, 0.2, 2.1),
            (0.85, -0.4, 1.9),
            (1.1, 0.3, 1.7),
        ):
            x, y = along(share, lift)
            _patch(pen, x, y, r, patch)
        for i in range(1, 6):
            share = i / 6.2
            x, y = shoulder[0] + (head[0] - shoulder[0]) * share, shoulder[1] + (head[1] - shoulder[1]) * share
            r = 1.7 - 0.12 * i
            x += 0.7 if i % 2 else -0.9
            _patch(pen, x, y, r, patch)
    elif build.spots == "stripes":  # the zebra
        for share in (-0.15, 0.12, 0.39, 0.66, 0.93):
            (x, y), r = along(share, 0), size
            pen.limb(
                [(x - 0.6, y - r * 0.9), (x + 0.6, y - r * 0.2), (x, y + r * 0.55)], 1.7, (48, 46, 58), 0.8, edge=False
            )
        for i in range(1, 4):
            share = i / 4
            x, y = shoulder[0] + (head[0] - shoulder[0]) * share, shoulder[1] + (head[1] - shoulder[1]) * share
            pen.limb([(x - 2.4, y - 1), (x + 2.2, y + 1)], 1.3, (48, 46, 58), edge=False)
    elif build.spots == "cow":
        patch = (70, 62, 72) if sum(coat) > 330 else light(coat, 0.75)
        for share, lift, rx, ry in ((0.05, -0.2, 3.6, 3.2), (0.62, -0.45, 3.8, 2.4), (0.75, 0.5, 2.2, 1.6)):
            pen.oval(*along(share, lift), rx, ry, patch, edge=False)
    elif build.spots == "belly":
        pen.limb([along(0.05, 0.72), along(0.9, 0.72)], size * 0.42, light(coat, 0.45), edge=False)
    elif build.spots == "wool":
        for share, lift in ((0.1, -0.3), (0.45, -0.55), (0.75, -0.1), (0.3, 0.3)):
            x, y = along(share, lift)
            pen.limb([(x - 1.5, y), (x, y + 1.2), (x + 1.5, y)], 0.6, dark(coat, 0.2), edge=False)


def _patch(pen: Pen, x: Real, y: Real, r: Real, colour: Colour) -> None:
    """One patch of a giraffe's coat."""
    corners = [
        (x - r, y - r * 0.6),
        (x, y - r),
        (x + r, y - r * 0.3),
        (x + r * 0.6, y + r * 0.8),
        (x - r * 0.7, y + r * 0.7),
    ]
    pen.blob(corners, colour, edge=False)


def _eye(pen: Pen, x: Real, y: Real, asleep: bool, r: Real = 0.95) -> None:
    if asleep:
        pen.limb([(x - r, y), (x, y + r * 0.7), (x + r, y)], 0.6, EYE, edge=False)
    else:
        pen.oval(x, y, r * 0.9, r * 1.15, EYE, edge=False)
        pen.oval(x + 0.3 * r, y - 0.4 * r, 0.3 * r, 0.35 * r, (255, 255, 255), edge=False)


# --- heads ---


def _dog_head(pen: Pen, x: Real, y: Real, coat: Colour, asleep: bool) -> None:
    with pen.merged():
        pen.oval(x, y, 5.6, 5.2, coat)
        pen.blob([(x + 2, y - 1.6), (x + 7.6, y - 0.2), (x + 8.6, y + 2.2), (x + 5, y + 4.2), (x + 1, y + 4)], coat)
    pen.blob([(x + 3, y + 1.4), (x + 8, y + 1.6), (x + 7.6, y + 3.2), (x + 3, y + 4)], light(coat, 0.5), edge=False)
    pen.oval(x + 8.2, y + 0.2, 1.6, 1.3, EYE)
    _eye(pen, x + 2.2, y - 1.2, asleep, 1.1)
    pen.blob(
        [(x - 3.4, y - 4.6), (x - 0.6, y - 3.8), (x - 1, y + 2.2), (x - 3.4, y + 5), (x - 5.4, y + 2)], dark(coat, 0.4)
    )
    if not asleep:
        pen.limb([(x + 6, y + 3.8), (x + 6.1, y + 5.4)], 1.7, (232, 96, 110))


def _cat_head(pen: Pen, x: Real, y: Real, coat: Colour, asleep: bool) -> None:
    with pen.merged():
        pen.poly([(x - 5, y - 2), (x - 4.8, y - 8), (x - 0.4, y - 4)], coat)
        pen.poly([(x + 5, y - 2), (x + 4.8, y - 8), (x + 0.4, y - 4)], coat)
        pen.oval(x, y, 5.8, 4.9, coat)
    pen.poly([(x - 4.2, y - 3.6), (x - 4.2, y - 6.4), (x - 1.8, y - 4.4)], PINK, edge=False)
    pen.poly([(x + 4.2, y - 3.6), (x + 4.2, y - 6.4), (x + 1.8, y - 4.4)], PINK, edge=False)
    pen.oval(x + 1, y + 2.2, 2.8, 1.8, light(coat, 0.55), edge=False)
    for eye in (-1.6, 3.2):
        if not asleep:
            pen.oval(x + eye, y - 0.6, 1.5, 1.6, (190, 220, 110), edge=False)
        _eye(pen, x + eye, y - 0.5, asleep, 1.0)
    pen.oval(x + 1, y + 1.4, 0.9, 0.6, (226, 112, 120), edge=False)
    for side in (-1, 1):
        for lift in (1.4, 2.8):
            pen.limb(
                [(x + 1 + 2.6 * side, y + lift - 0.2), (x + 1 + 6.4 * side, y + lift - 0.6)],
                0.35,
                dark(coat, 0.5),
                edge=False,
            )


def _horse_head(pen: Pen, x: Real, y: Real, coat: Colour, asleep: bool, mane: Colour | None = None) -> None:
    hair = mane or mix(coat, (46, 34, 36), 0.65)
    pen.poly([(x - 2.6, y - 3), (x - 2, y - 7.4), (x + 0.6, y - 3.6)], coat)
    with pen.merged():
        pen.oval(x - 0.4, y - 0.4, 4.2, 4.2, coat)
        pen.blob(
            [(x - 1, y - 4), (x + 5, y - 1.2), (x + 9.4, y + 3.2), (x + 8.6, y + 6.2), (x + 5, y + 6), (x, y + 4)], coat
        )
    pen.blob(
        [(x + 6.4, y + 1.6), (x + 9.6, y + 3.4), (x + 8.8, y + 6.2), (x + 5.4, y + 5.6)],
        mix(coat, (60, 50, 60), 0.45),
        edge=False,
    )
    pen.oval(x + 8.2, y + 3.8, 0.6, 0.5, EYE, edge=False)
    _eye(pen, x + 2.0, y - 0.4, asleep, 1.05)
    pen.blob(
        [(x + 0.6, y - 5), (x - 3.6, y - 5), (x - 6.6, y + 1), (x - 8.4, y + 8), (x - 5.2, y + 8), (x - 3.4, y + 1)],
        hair,
    )


def _zebra_head(pen: Pen, x: Real, y: Real, coat: Colour, asleep: bool) -> None:
    _horse_head(pen, x, y, coat, asleep, mane=(48, 46, 58))
    for i in (0, 1):
        pen.limb(
            [(x + 3.4 + 1.8 * i, y - 1.4 + 1.6 * i), (x + 2.6 + 1.8 * i, y + 2.8 + i)], 0.9, (48, 46, 58), edge=False
        )


def _cow_head(pen: Pen, x: Real, y: Real, coat: Colour, asleep: bool) -> None:
    for side in (-1, 1):
        pen.limb(
            [(x + 2.6 * side, y - 4), (x + 4.8 * side, y - 6), (x + 4.4 * side, y - 8.6)], 1.8, (240, 226, 196), 0.9
        )
        pen.oval(x + 6.4 * side, y - 2.4, 2.6, 1.4, coat, turn=-14 * side)
    with pen.merged():
        pen.blob(
            [(x - 4.6, y - 4.4), (x, y - 5.4), (x + 4.6, y - 4.4), (x + 4.2, y + 4), (x, y + 6), (x - 4.2, y + 4)], coat
        )
    pen.oval(x + 0.4, y + 4.2, 4.6, 2.9, (244, 178, 170))
    for side in (-1, 1):
        pen.oval(x + 0.4 + 1.8 * side, y + 4.0, 0.6, 0.8, (170, 90, 96), edge=False)
        _eye(pen, x + 0.3 + 2.2 * side, y - 0.8, asleep, 1.0)


def _sheep_head(pen: Pen, x: Real, y: Real, coat: Colour, asleep: bool) -> None:
    face = (86, 74, 84) if sum(coat) > 330 else (226, 206, 188)
    pen.oval(x - 4.4, y - 0.6, 2.8, 1.3, face, turn=-24)
    pen.blob(
        [
            (x - 3, y - 3.6),
            (x + 2, y - 4),
            (x + 5.4, y + 1.6),
            (x + 4.4, y + 4.6),
            (x + 0.6, y + 4.4),
            (x - 2.6, y + 1),
        ],
        face,
    )
    pen.oval(x + 1.4, y - 0.8, 1.35, 1.5, (255, 255, 255), edge=False)
    _eye(pen, x + 1.7, y - 0.6, asleep, 0.8)
    with pen.merged():
        for dx, dy in ((-3, -3.4), (-0.4, -4.8), (2.2, -3.8)):
            pen.oval(x + dx, y + dy, 2.2, 1.9, coat)


def _giraffe_head(pen: Pen, x: Real, y: Real, coat: Colour, asleep: bool) -> None:
    patch = mix(coat, (140, 78, 40), 0.62)
    for dx in (-1.6, 1.0):
        pen.limb([(x + dx, y - 3), (x + dx - 0.4, y - 6.6)], 1.1, coat)
        pen.oval(x + dx - 0.4, y - 7, 1.2, 1.2, patch)
    pen.oval(x - 5, y - 2.2, 2.6, 1.3, coat, turn=18)
    with pen.merged():
        pen.oval(x - 0.6, y - 0.4, 3.9, 3.7, coat)
        pen.blob(
            [
                (x - 1, y - 3.4),
                (x + 4.6, y - 0.8),
                (x + 8, y + 2),
                (x + 7.2, y + 4.4),
                (x + 3, y + 4.2),
                (x - 1, y + 3),
            ],
            coat,
        )
    pen.blob([(x + 4.8, y + 0.6), (x + 8, y + 2.2), (x + 7.2, y + 4.3), (x + 4, y + 4)], light(coat, 0.5), edge=False)
    pen.oval(x + 7, y + 2.2, 0.5, 0.4, EYE, edge=False)
    _eye(pen, x + 1.2, y - 0.8, asleep, 1.0)


def _elephant_head(pen: Pen, x: Real, y: Real, coat: Colour, asleep: bool) -> None:
    end = (x + 11.5, y + 12.5) if not asleep else (x + 14, y + 6)
    with pen.merged():
        pen.oval(x, y, 7.2, 7.4, coat)
        pen.limb([(x + 3.6, y + 0.6), (x + 8, y + 6), end], 5.6, coat, 2.8)
    for share in (0.35, 0.6):
        gx, gy = x + 5 + 5 * share, y + 3 + 7 * share
        pen.limb([(gx - 1.2, gy + 0.8), (gx + 1.2, gy - 0.8)], 0.5, dark(coat, 0.25), edge=False)
    pen.limb([(x + 3.4, y + 5.2), (x + 5.6, y + 7.8), (x + 8.8, y + 8)], 1.9, (252, 246, 228), 0.8)
    _eye(pen, x + 3.2, y - 1.4, asleep, 1.1)
    pen.blob([(x - 0.4, y - 5), (x - 6, y - 7.4), (x - 9, y - 1), (x - 6.4, y + 6), (x - 1.8, y + 4)], dark(coat, 0.13))
    pen.blob(
        [(x - 1.8, y - 3), (x - 5.6, y - 4.6), (x - 7, y - 0.6), (x - 5, y + 3.6), (x - 2.6, y + 2)],
        mix(coat, PINK, 0.5),
        edge=False,
    )


# --- tails ---


def _raised(pen: Pen, x: Real, y: Real, coat: Colour) -> None:
    pen.limb([(x + 3, y + 2), (x - 2.4, y - 2.4), (x - 3.4, y - 7)], 2.6, coat, 1.5)


def _curled(pen: Pen, x: Real, y: Real, coat: Colour) -> None:
    pen.limb([(x + 3, y + 2), (x - 3.6, y + 0.6), (x - 5, y - 6), (x - 1.6, y - 9)], 2.0, coat, 1.7)


def _long_hair(pen: Pen, x: Real, y: Real, coat: Colour) -> None:
    hair = mix(coat, (46, 34, 36), 0.65)
    pen.blob(
        [(x + 1, y - 0.6), (x - 3, y + 1), (x - 5, y + 8), (x - 3.6, y + 13), (x - 1.6, y + 7), (x + 1.6, y + 3)], hair
    )


def _tuft(pen: Pen, x: Real, y: Real, coat: Colour) -> None:
    pen.limb([(x + 3, y + 1), (x - 1.2, y + 3), (x - 2, y + 9)], 1.2, coat, 0.9)
    pen.oval(x - 2, y + 10, 1.2, 1.9, dark(coat, 0.5))


def _stub(pen: Pen, x: Real, y: Real, coat: Colour) -> None:
    pen.oval(x, y + 2.4, 2.2, 1.8, coat)


BUILDS = {
    "dog": Build(9.5, 4.4, 7, 3.0, (5.2, -6.4), (6.0, 5.4), _dog_head, _raised, spots="belly"),
    "cat": Build(8.6, 3.8, 6.2, 2.5, (4.6, -6.0), (5.2, 4.8), _cat_head, _curled, spots="belly"),
    "horse": Build(13.5, 5.8, 15, 3.2, (8, -13), (7.6, 5.6), _horse_head, _long_hair, hoof=True),
    "zebra": Build(13.0, 5.8, 13.5, 3.0, (7.6, -12), (7.4, 5.6), _zebra_head, _tuft, hoof=True, spots="stripes"),
    "cow": Build(14.0, 6.8, 10.5, 3.4, (8.6, -5.6), (8.0, 6.4), _cow_head, _tuft, hoof=True, spots="cow"),
    "sheep": Build(9.2, 5.8, 6.6, 2.4, (7.4, -4.6), (5.4, 4.6), _sheep_head, _stub, hoof=True, spots="wool"),
    "giraffe": Build(11.0, 5.6, 20, 3.0, (8.5, -29), (6.6, 4.2), _giraffe_head, _tuft, hoof=True, spots="patches"),
    "elephant": Build(15.0, 9.2, 10.5, 5.4, (10.5, -6.5), (11.0, 9.6), _elephant_head, _tuft),
}
ANIMALS = (*BUILDS, "bird")


def _bird(pose: str, coat: Colour) -> Figure:
    pen = Pen()
    orange = (240, 160, 60)
    high = 0.0 if pose in ("sit", "sleep") else 5.0
    y = -6.4 - high
    if high:
        for x, foot in (
            (-1.5, -3.5 if pose in ("run", "jump") else -1.5),
            (1.8, 5 if pose in ("run", "jump") else 1.8),
        ):
            pen.limb([(x, y + 4), (foot, -1)], 1.0, orange)
            pen.limb([(foot - 0.6, -0.7), (foot + 2.4, -0.5)], 1.0, orange)
    pen.poly([(-6, y), (-14, y - 2.5), (-13.5, y + 1.5), (-6, y + 3.5)], dark(coat, 0.3))
    with pen.merged():
        pen.blob([(-8, y), (-3, y - 5), (4, y - 5.4), (8, y - 1), (6, y + 5), (-1, y + 6.4), (-6.4, y + 4.4)], coat)
        pen.oval(6.4, y - 5.6, 4.8, 4.6, coat)
    pen.blob([(3, y + 0.5), (7, y - 0.5), (6, y + 4.6), (0.5, y + 5.6)], light(coat, 0.6), edge=False)
    pen.poly([(10.6, y - 7), (15.4, y - 5), (10.6, y - 3.6)], orange)
    _eye(pen, 7.8, y - 6.6, pose == "sleep", 1.05)
    if pose == "jump":
        pen.blob([(1, y - 1.5), (-6, y - 4), (-10, y - 13), (-3, y - 10.5), (3, y - 4.5)], dark(coat, 0.24))
    else:
        pen.blob([(2.6, y - 2.4), (-4, y - 2.6), (-9, y + 2.4), (-2.5, y + 3.6), (2.5, y + 1.5)], dark(coat, 0.24))
    return pen.figure(seat=(-1.0, y - 4.6), head=(6.4, y - 5.6)).on_the_ground()
