"""The people of the drawn scenes: a woman, a man, a little girl, a little boy, in ten poses (chapters 11-13)."""

from dataclasses import dataclass
from functools import lru_cache

from course_pkg.scenes_drawing import Colour, Figure, Pen, Point, dark, light, mix

__all__ = ["LOOKS", "POSES", "person"]

SKIN: tuple[Colour, ...] = ((255, 220, 190), (240, 190, 150), (205, 150, 105), (150, 100, 68), (105, 70, 50))
HAIR: tuple[Colour, ...] = ((56, 40, 38), (110, 66, 40), (225, 178, 88), (190, 92, 48), (36, 34, 44))
LOOKS: tuple[tuple[Colour, Colour], ...] = (
    (SKIN[0], HAIR[2]),
    (SKIN[0], HAIR[3]),
    (SKIN[1], HAIR[1]),
    (SKIN[2], HAIR[4]),
    (SKIN[3], HAIR[0]),
    (SKIN[4], HAIR[4]),
)
TROUSERS: Colour = (84, 96, 132)
SHOES: Colour = (74, 58, 66)
CHEEK: Colour = (240, 120, 110)


@dataclass(frozen=True)
class Pose:
    """Joints of a person 50 units tall who looks to the right; limbs are (middle, end)."""

    hip: Point
    shoulder: Point
    legs: tuple[tuple[Point, Point], tuple[Point, Point]]  # far, near
    arms: tuple[tuple[Point, Point], tuple[Point, Point]]  # far, near
    asleep: bool = False


_LEGS = (((-2.6, -9), (-2.8, -1.4)), ((2.6, -9), (2.8, -1.4)))
POSES: dict[str, Pose] = {
    "stand": Pose((0, -17), (0, -30), _LEGS, (((7, -24), (7.4, -18)), ((-7, -24), (-7.4, -18)))),
    "run": Pose(
        (-1, -18),
        (1.5, -31),
        (((-6, -12), (-13, -8)), ((7, -14), (8.5, -4))),
        (((9, -25), (13, -30)), ((-6, -24), (-2, -20))),
    ),
    "jump": Pose(
        (0, -18),
        (0, -31),
        (((-7, -14), (-9, -6)), ((7, -14), (9, -6))),
        (((9, -35), (12, -43)), ((-9, -35), (-12, -43))),
    ),
    "sit": Pose(
        (-3, -4), (-4, -17), (((6, -6), (14, -2)), ((5, -8), (13, -1.6))), (((3, -11), (7, -8)), ((-9, -10), (-11, -2)))
    ),
    "seated": Pose(
        (0, -2), (-0.5, -15), (((6, -1), (8, 6)), ((7, -1.5), (7.5, 7))), (((5, -10), (10, -9)), ((3, -8), (9, -6)))
    ),
    "aboard": Pose(
        (0, -2), (-0.5, -15), (((3, 0), (5, 1.5)), ((4, 0), (6, 2))), (((5, -10), (10, -9)), ((3, -8), (9, -6)))
    ),
    "throw": Pose(
        (0, -17),
        (1, -30),
        (((-5, -10), (-9, -1.4)), ((6, -11), (8, -1.4))),
        (((9, -33), (15, -38)), ((-8, -27), (-12, -22))),
    ),
    "hold": Pose((0, -17), (0, -30), _LEGS, (((7, -24), (12, -26)), ((5, -22), (11, -23)))),
    "lift": Pose((0, -17), (0, -30), _LEGS, (((9, -37), (6, -50)), ((-9, -37), (-6, -50)))),
    "point": Pose((0, -17), (0, -30), _LEGS, (((8, -30), (17, -30)), ((-8, -25), (-4.5, -19)))),
    "kick": Pose(
        (0, -17),
        (-1.5, -30),
        (((-2, -9), (-3, -1.4)), ((8, -16), (15, -11))),
        (((6, -26), (8, -32)), ((-8, -27), (-13, -30))),
    ),
    "sleep": Pose((0, -17), (0, -30), _LEGS, (((6, -24), (6, -18)), ((-3, -24), (1, -18))), asleep=True),
}


@lru_cache(maxsize=2048)
def person(kind: str, pose: str, cloth: Colour, look: int) -> Figure:
    """A person who looks to the right; anchors ``hand``, ``head`` and ``lap``.

    ``kind`` is "woman", "man", "girl" or "boy"; ``pose`` a key of `POSES`; ``look`` an index of `LOOKS`. The pose
    "seated" has its origin where the person sits, all others at the feet.
    """
    joints, pen = POSES[pose], Pen()
    skin, hair = LOOKS[look]
    child = kind in ("girl", "boy")
    head = (joints.shoulder[0] + (0.8 if pose in ("run", "throw") else 0), joints.shoulder[1] - 10)
    _back_hair(pen, kind, head, hair)
    _leg(pen, kind, joints, 0, skin, cloth)
    _arm(pen, joints, 0, skin, cloth, far=True)
    _leg(pen, kind, joints, 1, skin, cloth)
    _body(pen, kind, joints, cloth)
    _arm(pen, joints, 1, skin, cloth)
    _head(pen, kind, head, skin, hair, joints.asleep)
    figure = pen.figure(hand=joints.arms[0][1], head=head, lap=(joints.hip[0] + 6, joints.hip[1] - 3))
    if child:
        figure = figure.moved(scale=0.74)
    if pose == "sleep":
        figure = figure.moved(turn=90).on_the_ground()
        left, _, right, _ = figure.box
        figure = figure.moved(shift=(-(left + right) / 2, 0))
    return figure


def _leg(pen: Pen, kind: str, joints: Pose, side: int, skin: Colour, cloth: Colour) -> None:
    middle, end = joints.legs[side]
    hip = (joints.hip[0] + (2.4 if side else -2.4) * (0.3 if abs(joints.legs[0][1][0]) > 4 else 1), joints.hip[1])
    bare = kind in ("woman", "girl", "boy")
    colour = skin if bare else TROUSERS
    colour = colour if side else dark(colour, 0.15)
    pen.limb([hip, middle, end], 4.6, colour, 3.6)
    if kind == "boy":
        short = ((hip[0] + middle[0]) / 2 + 0.2, (hip[1] + middle[1]) / 2)
        pen.limb([hip, short, middle], 5.6, TROUSERS if side else dark(TROUSERS, 0.15), 5.4)
    dx, dy = end[0] - middle[0], end[1] - middle[1]
    flat = abs(dx) > abs(dy)
    if flat:
        pen.oval(end[0] + (0.8 if dx > 0 else -0.8), end[1] - 0.6, 1.9, 3.0, SHOES)
    else:
        pen.oval(end[0] + 1.2, end[1] + 0.2, 3.2, 1.9, SHOES)


def _arm(pen: Pen, joints: Pose, side: int, skin: Colour, cloth: Colour, far: bool = False) -> None:
    middle, end = joints.arms[side]
    offset = 4.2 if not side else -4.2
    start = (joints.shoulder[0] + offset, joints.shoulder[1] + 1.6)
    elbow = (middle[0], middle[1])
    with pen.merged():
        pen.limb([start, elbow, end], 3.4, dark(skin, 0.08) if far else skin, 2.8)
        pen.oval(*end, 2.0, 2.0, dark(skin, 0.08) if far else skin)
    sleeve = dark(cloth, 0.14) if far else cloth
    pen.limb([start, ((start[0] + elbow[0]) / 2, (start[1] + elbow[1]) / 2), elbow], 4.6, sleeve, 4.2)


def _body(pen: Pen, kind: str, joints: Pose, cloth: Colour) -> None:
    (hx, hy), (sx, sy) = joints.hip, joints.shoulder
    if kind in ("woman", "girl"):
        flare = 8.0 if kind == "girl" else 7.2
        low = hy + (5.5 if joints.shoulder[1] < -25 else 2.2)
        pen.blob(
            [(sx - 4.8, sy + 0.4), (sx, sy - 0.8), (sx + 4.8, sy + 0.4), (hx + 4.4, hy - 3), (hx + flare, low)]
            + [(hx, low + 1.0), (hx - flare, low), (hx - 4.4, hy - 3)],
            cloth,
        )
        pen.limb([(hx - 4.0, hy - 3.6), (hx + 4.0, hy - 3.6)], 1.4, dark(cloth, 0.35), edge=False)
    else:
        pen.blob(
            [(sx - 5.0, sy + 0.4), (sx, sy - 0.8), (sx + 5.0, sy + 0.4), (hx + 5.0, hy - 1), (hx + 4.6, hy + 1.6)]
            + [(hx, hy + 2.0), (hx - 4.6, hy + 1.6), (hx - 5.0, hy - 1)],
            cloth,
        )
        pen.limb([(hx - 4.4, hy + 1.0), (hx + 4.4, hy + 1.0)], 1.6, dark(TROUSERS, 0.4), edge=False)
    pen.limb([(sx + 3.4, sy + 3), (hx + 3.6, hy - 4)], 1.4, light(cloth, 0.22), edge=False)


def _back_hair(pen: Pen, kind: str, head: Point, hair: Colour) -> None:
    x, y = head
    if kind == "woman":
        pen.blob(
            [(x - 1, y - 9), (x - 8, y - 5), (x - 9.4, y + 4), (x - 8.8, y + 13), (x - 4, y + 14), (x + 3, y + 8)], hair
        )
    if kind == "girl":
        for side in (-1, 1):
            pen.blob(
                [(x + 7 * side, y - 4), (x + 13 * side, y - 6), (x + 14.5 * side, y + 3), (x + 9 * side, y + 1)], hair
            )


def _head(pen: Pen, kind: str, head: Point, skin: Colour, hair: Colour, asleep: bool) -> None:
    x, y = head
    with pen.merged():
        pen.limb([(x - 0.4, y + 6), (x - 0.4, y + 10)], 3.6, dark(skin, 0.12))
    pen.oval(x, y, 7.8, 8.0, skin)
    pen.oval(x + 3.2, y + 3.4, 1.7, 1.1, mix(skin, CHEEK, 0.5), edge=False)
    ink = (44, 40, 56)
    for eye in (1.0, 5.2):
        if asleep:
            pen.limb([(x + eye - 1.0, y + 0.2), (x + eye, y + 0.9), (x + eye + 1.0, y + 0.2)], 0.6, ink, edge=False)
        else:
            pen.oval(x + eye, y + 0.2, 0.95, 1.35, ink, edge=False)
    pen.limb(
        [(x + 2.0, y + 4.6), (x + 3.6, y + 5.3), (x + 5.2, y + 4.4)], 0.6, mix(skin, (150, 40, 50), 0.6), edge=False
    )
    if kind == "man":
        pen.blob(
            [(x - 6.6, y + 1), (x - 4, y + 3.6), (x + 1, y + 3.2), (x + 3.4, y + 3.2), (x + 7.2, y + 2.6)]
            + [(x + 6, y + 7.4), (x + 1, y + 9.4), (x - 4.6, y + 7.4)],
            hair,
            edge=False,
        )
        pen.limb(
            [(x + 2.2, y + 5.3), (x + 3.8, y + 5.8), (x + 5.4, y + 5.2)], 0.9, mix(skin, (190, 70, 70), 0.5), edge=False
        )
    if kind == "boy":  # a cap
        cap = (92, 142, 190)
        pen.blob(
            [(x - 8.2, y - 1.2), (x - 7, y - 7.6), (x, y - 10), (x + 6.6, y - 7.4), (x + 8, y - 2.6), (x, y - 3)], cap
        )
        pen.limb([(x + 4, y - 3), (x + 8, y - 3.2), (x + 12.5, y - 2.2)], 1.9, dark(cap, 0.25))
        pen.blob([(x - 8, y - 1.4), (x - 4.6, y - 2), (x - 5.6, y + 3), (x - 7.8, y + 2)], hair, edge=False)
        return
    if kind == "man":
        front = [
            (x - 8, y + 1.6),
            (x - 8.6, y - 4),
            (x - 4, y - 9.4),
            (x + 3, y - 10),
            (x + 8.2, y - 6),
            (x + 7.4, y - 3),
        ]
        pen.blob([*front, (x + 2, y - 4.6), (x - 4, y - 4), (x - 5.4, y + 1)], hair)
    else:
        front = [
            (x - 8.2, y + 2),
            (x - 8.4, y - 4),
            (x - 3, y - 9.2),
            (x + 3, y - 9.2),
            (x + 8, y - 4.6),
            (x + 7.6, y - 1.4),
        ]
        pen.blob([*front, (x + 3, y - 5.2), (x - 3, y - 4), (x - 5.6, y + 1)], hair)
    if kind == "girl":
        for side in (-1, 1):
            pen.oval(x + 8 * side, y - 3, 1.5, 1.8, (235, 110, 130), edge=False)
