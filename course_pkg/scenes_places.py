"""The places of the drawn scenes: sky, weather and ground (chapters 11-13).

Outdoors the horizon is at `HORIZON`, indoors the floor begins at `SKIRTING`, both in units from the top.
"""

import math
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from random import Random

import numpy as np
from PIL import Image

from course_pkg.scenes_drawing import Colour, Figure, Pen, Real, dark, light, mix, rasterise, vertical_gradient
from course_pkg.scenes_grammar import INDOORS
from course_pkg.scenes_things import thing

__all__ = ["HORIZON", "SKIRTING", "Background", "background"]

HORIZON, SKIRTING = 56.0, 66.0
WHITE: Colour = (255, 255, 255)
GROUND: dict[str, Colour] = {
    "park": (142, 196, 112),
    "garden": (120, 184, 104),
    "forest": (112, 158, 96),
    "field": (226, 196, 96),
    "beach": (244, 220, 166),
    "desert": (236, 184, 116),
    "snow": (240, 246, 252),
    "water": (86, 168, 204),
    "road": (132, 136, 148),
    "city": (176, 178, 188),
    "floor": (206, 152, 100),
    "stage": (150, 104, 74),
    "": (222, 214, 206),
}
SKIES: dict[str, tuple[Colour, Colour]] = {
    "": ((140, 204, 240), (226, 244, 250)),
    "night": ((30, 36, 84), (84, 92, 152)),
    "rain": ((140, 150, 168), (198, 206, 214)),
    "sunset": ((248, 140, 110), (255, 220, 150)),
}
WALLS: tuple[Colour, ...] = ((236, 226, 210), (214, 228, 226), (232, 218, 226))
TINTS: dict[str, tuple[Colour, Real]] = {
    "": (WHITE, 0.0),
    "night": ((40, 48, 110), 0.45),
    "rain": ((110, 118, 138), 0.25),
    "sunset": ((226, 120, 90), 0.2),
}


@dataclass(frozen=True, eq=False)
class Background:
    """The empty place: pixels, and where its ground and scenery are (8 bits a pixel, 1 there and 0 elsewhere)."""

    image: Image.Image
    place: Image.Image


@lru_cache(maxsize=160)
def background(place: str, weather: str, variant: int, side: int) -> Background:
    """A place in a weather; ``variant`` 0, 1, 2 … arranges clouds, scenery and walls differently."""
    if place in INDOORS:
        wall = WALLS[variant % len(WALLS)]
        image = vertical_gradient((side, side), [(0, light(wall, 0.2)), (0.7, dark(wall, 0.06))])
    else:
        top, low = SKIES[weather]
        image = vertical_gradient((side, side), [(0, top), (HORIZON / 100, low)])
    far, near = _scenery(place, variant)
    if place not in INDOORS:
        far = _heaven(weather, variant)
    _paste(image, far, side)
    colour, share = TINTS[weather]
    mask = _paste(image, near.painted(partial(mix, other=colour, share=share)), side)
    if weather == "rain":
        _paste(image, _rain(variant), side)
    return Background(image, mask.point([int(value > 127 and bool(place)) for value in range(256)]))


@lru_cache(maxsize=64)
def _scenery(place: str, variant: int) -> tuple[Figure, Figure]:
    """What belongs to a room's walls, and what belongs to the place."""
    far, near, random = Pen(), Pen(), Random(f"{place}/{variant}")
    if place in INDOORS:
        _room(far, near, place, WALLS[variant % len(WALLS)])
    else:
        _GROUNDS[place](near, random)
    return far.figure(), near.figure()


@lru_cache(maxsize=16)
def _heaven(weather: str, variant: int) -> Figure:
    pen = Pen()
    _sky(pen, weather, Random(f"{weather}/{variant}"))
    return pen.figure()


@lru_cache(maxsize=4)
def _rain(variant: int) -> Figure:
    pen, random = Pen(), Random(variant)
    for _ in range(90):
        x, y = random.uniform(-2, 102), random.uniform(12, 96)
        pen.line((x, y), (x - 1.5, y + 5), 0.5, (226, 236, 246))
    return pen.figure()


def _paste(image: Image.Image, figure: Figure, side: int) -> Image.Image:
    """Lays the figure over the image; returns where, as an 8-bit mask."""
    sprite = rasterise(replace(figure, points=np.clip(figure.points, -4, 104)), side)
    corner = (-sprite.origin[0], -sprite.origin[1])
    image.paste(sprite.image, corner, sprite.image)
    mask = Image.new("L", (side, side))
    mask.paste(sprite.image.getchannel("A"), corner)
    return mask


def _ground(pen: Pen, colour: Colour, top: Real = HORIZON, wave: Real = 1.2, random: Random | None = None) -> None:
    """The ground from ``top`` down, paler towards the horizon."""
    phase = random.random() * 6 if random else 0.0
    edge = [(x, top + wave * math.sin(x / 17 + phase)) for x in range(-4, 105, 4)]
    pen.poly([*edge, (104, 104), (-4, 104)], light(colour, 0.3), edge=False)
    for i in range(1, 12):
        y = top + wave + (100 - top) * i / 12
        pen.box(-4, y, 104, 104, mix(light(colour, 0.3), dark(colour, 0.08), i / 11), edge=False)


def _sky(pen: Pen, weather: str, random: Random) -> None:
    if weather == "night":
        for _ in range(22):
            pen.oval(random.uniform(2, 98), random.uniform(2, 48), 0.5, 0.5, (255, 250, 220), edge=False)
        x = random.uniform(14, 86)
        pen.oval(x, 13, 6.4, 6.4, (252, 240, 196), edge=False)
        pen.oval(x + 1.6, 11.6, 1.4, 1.2, (232, 218, 172), edge=False)
        pen.oval(x - 2.2, 14.8, 1.0, 0.9, (232, 218, 172), edge=False)
        return
    if weather == "sunset":
        x = random.uniform(16, 84)
        pen.oval(x, 46, 15, 15, (255, 196, 120), edge=False)
        pen.oval(x, 46, 11, 11, (255, 222, 130), edge=False)
        for _ in range(3):
            cx, cy = random.uniform(0, 100), random.uniform(8, 34)
            pen.limb([(cx - 12, cy), (cx + 12, cy)], 2.6, (255, 190, 150), edge=False)
        return
    if weather == "":
        pen.oval(random.choice((12, 88)), 12, 6.4, 6.4, (255, 224, 112), edge=False)
    cloud: Colour = (252, 254, 255) if weather == "" else (112, 122, 142)
    for i in range(2 if weather == "" else 4):
        cx = random.uniform(16, 60) + 24 * i if weather == "" else 8 + 28 * i
        cy = random.uniform(9, 26) if weather == "" else random.uniform(4, 12)
        for dx, dy, r in ((-7, 1, 4), (-2, -1.6, 5.6), (4, -0.6, 5), (9, 1.4, 3.4)):
            pen.oval(cx + dx, cy + dy, r * 1.2, r * 0.85, cloud, edge=False)


def _tufts(pen: Pen, colour: Colour, random: Random, count: int = 12) -> None:
    for _ in range(count):
        x, y = random.uniform(2, 98), random.uniform(HORIZON + 8, 97)
        for lean in (-1.2, 0, 1.2):
            pen.line((x, y), (x + lean, y - 2.2), 0.7, dark(colour, 0.2))


def _flowers(pen: Pen, random: Random, count: int, low: Real, high: Real, size: Real = 1.0) -> None:
    for _ in range(count):
        x, y = random.uniform(2, 98), random.uniform(low, high)
        colour = random.choice(((240, 96, 110), (250, 200, 80), (170, 110, 200), (255, 255, 255)))
        pen.limb([(x, y), (x, y - 4 * size)], 0.7, (70, 130, 70), edge=False)
        for turn in range(5):
            a = turn * math.tau / 5
            pen.oval(
                x + 1.3 * size * math.cos(a), y - 4 * size + 1.3 * size * math.sin(a), size, size, colour, edge=False
            )
        pen.oval(x, y - 4 * size, 0.8 * size, 0.8 * size, (250, 220, 110), edge=False)


def _bushes(pen: Pen, colour: Colour, random: Random, y: Real, size: Real) -> None:
    for x in range(-4, 108, 7):
        r = size * random.uniform(0.7, 1.2)
        pen.oval(x, y, r * 1.3, r, mix(colour, (60, 120, 90), random.uniform(0.0, 0.25)), edge=False)


def _park(pen: Pen, random: Random) -> None:
    grass = GROUND["park"]
    _bushes(pen, (104, 164, 96), random, HORIZON, 4.2)
    _ground(pen, grass, random=random)
    x = random.uniform(30, 70)
    way = (236, 218, 180)
    pen.poly(
        [(x - 1.5, HORIZON + 3), (x + 1.5, HORIZON + 3), (x + 8, 74), (x + 30, 104), (x - 8, 104), (x - 4, 78)],
        way,
        edge=False,
    )
    _tufts(pen, grass, random)


def _garden(pen: Pen, random: Random) -> None:
    _ground(pen, GROUND["garden"], random=random)
    for x in range(-2, 104, 6):  # a fence
        pen.poly(
            [
                (x, HORIZON + 5),
                (x, HORIZON - 7),
                (x + 1.7, HORIZON - 9.5),
                (x + 3.4, HORIZON - 7),
                (x + 3.4, HORIZON + 5),
            ],
            (252, 248, 240),
            edge=False,
        )
    for y in (HORIZON - 4, HORIZON + 1):
        pen.box(-4, y, 104, y + 1.8, (236, 230, 220), edge=False)
    _flowers(pen, random, 16, HORIZON + 7, HORIZON + 13)
    _flowers(pen, random, 10, 94, 99, 1.3)
    _tufts(pen, GROUND["garden"], random, 8)


def _forest(pen: Pen, random: Random) -> None:
    for row, (tone, base, size) in enumerate(
        (((176, 206, 176), HORIZON + 1, 0.7), ((136, 178, 140), HORIZON + 4, 0.95))
    ):
        for left in range(-2, 108, 13 - 2 * row):
            shift = (left + random.uniform(-3, 3), base)
            tree = thing("pine", tone).moved(scale=size * random.uniform(0.85, 1.25), shift=shift)
            pen.add(tree.painted(partial(mix, other=tone, share=0.75)), edge=False)
    _ground(pen, GROUND["forest"], HORIZON + 3, random=random)
    for _ in range(4):  # ferns and mushrooms
        x, y = random.uniform(4, 96), random.uniform(66, 97)
        pen.limb([(x, y), (x, y - 2)], 1.4, (248, 240, 226), edge=False)
        pen.oval(x, y - 2.6, 2.2, 1.4, (214, 84, 70), edge=False)
    _tufts(pen, GROUND["forest"], random, 16)


def _field(pen: Pen, random: Random) -> None:
    pen.blob([(-10, HORIZON + 4), (20, HORIZON - 6), (52, HORIZON + 4)], (150, 190, 110), edge=False)
    pen.blob([(48, HORIZON + 5), (84, HORIZON - 5), (112, HORIZON + 4)], (166, 200, 120), edge=False)
    _ground(pen, GROUND["field"], random=random)
    for y in range(62, 102, 5):
        for x in range(-2, 104, 4):
            dx = random.uniform(-1.5, 1.5)
            pen.line((x + dx, y + 1), (x + dx + 0.6, y - 3), 0.8, (206, 164, 66))
            pen.line((x + dx + 0.5, y - 2.6), (x + dx + 1.0, y - 4.8), 1.4, (246, 218, 120))


def _beach(pen: Pen, random: Random) -> None:
    _ground(pen, (82, 172, 204), HORIZON - 4, 0.0)
    for y in (56.0, 60.0):
        left = random.uniform(0, 60)
        pen.limb([(left, y), (left + 14, y)], 0.8, (214, 240, 248), edge=False)
    pen.poly(
        [(x, 64.5 + 1.6 * math.sin(x / 8)) for x in range(-4, 105, 3)] + [(104, 104), (-4, 104)], WHITE, edge=False
    )
    _ground(pen, GROUND["beach"], 66, 1.6, random)
    for _ in range(9):
        x, y = random.uniform(2, 98), random.uniform(74, 98)
        pen.oval(x, y, 0.8, 0.5, (214, 178, 126), edge=False)
    x = random.uniform(10, 90)
    pen.poly(
        [
            (x + r * math.sin(a), 94 - r * math.cos(a))
            for a, r in zip(np.arange(10) * math.pi / 5, [3.4, 1.5] * 5, strict=True)
        ],
        (238, 128, 96),
        edge=False,
    )


def _desert(pen: Pen, random: Random) -> None:
    pen.blob([(-20, HORIZON + 8), (14, HORIZON - 7), (60, HORIZON + 8)], (244, 206, 146), edge=False)
    pen.blob([(40, HORIZON + 8), (80, HORIZON - 9), (124, HORIZON + 8)], (232, 186, 126), edge=False)
    _ground(pen, GROUND["desert"], HORIZON + 2, 2.0, random)
    for i in range(4):
        y = 68.0 + 8 * i
        x = random.uniform(-4, 60)
        pen.limb([(x, y), (x + 16, y - 1.6), (x + 34, y)], 0.9, (218, 160, 98), edge=False)
    for x, s in ((random.uniform(6, 30), 1.0), (random.uniform(66, 94), 0.8)):
        green = (96, 150, 100)
        base = HORIZON + 7
        pen.limb([(x, base), (x, base - 17 * s)], 4.2 * s, green, edge=False)
        pen.limb(
            [(x, base - 6 * s), (x - 5 * s, base - 7 * s), (x - 5.4 * s, base - 12 * s)], 2.8 * s, green, edge=False
        )
        pen.limb(
            [(x, base - 8 * s), (x + 5 * s, base - 9 * s), (x + 5.4 * s, base - 14 * s)], 2.8 * s, green, edge=False
        )


def _snow(pen: Pen, random: Random) -> None:
    pen.blob([(-20, HORIZON + 6), (24, HORIZON - 6), (70, HORIZON + 6)], (222, 234, 246), edge=False)
    pen.blob([(44, HORIZON + 6), (86, HORIZON - 5), (124, HORIZON + 6)], (212, 226, 242), edge=False)
    _ground(pen, (232, 240, 250), HORIZON + 1, 1.6, random)
    for _ in range(3):
        x, y = random.uniform(0, 90), random.uniform(68, 96)
        pen.limb([(x, y), (x + 9, y - 1), (x + 18, y)], 1.0, (206, 220, 238), edge=False)
    for _ in range(60):
        pen.oval(random.uniform(0, 100), random.uniform(0, 98), 0.7, 0.7, WHITE, edge=False)


def _water(pen: Pen, random: Random) -> None:
    _ground(pen, GROUND["water"], HORIZON, 0.0)
    for i in range(20):
        y = HORIZON + 3 + 2.1 * i
        x, r = random.uniform(-4, 96), 2 + 0.18 * i
        pen.limb(
            [(x, y), (x + r, y - 0.25 * r), (x + 2 * r, y), (x + 3 * r, y - 0.25 * r), (x + 4 * r, y)],
            0.7,
            (188, 228, 240),
            edge=False,
        )


def _road(pen: Pen, random: Random) -> None:
    grass = (150, 192, 118)
    _ground(pen, grass, random=random)
    _tufts(pen, grass, random, 5)
    pen.box(-4, 70, 104, 98, (150, 152, 160), edge=False)
    pen.box(-4, 71.6, 104, 96.4, (112, 116, 130), edge=False)
    shift = random.uniform(0, 18)
    for i in range(-1, 7):
        x = i * 18 + shift
        pen.box(x, 83.2, x + 9, 85, (250, 240, 200), edge=False)


def _city(pen: Pen, random: Random) -> None:
    x = -3.0
    tones = ((206, 160, 140), (164, 178, 200), (222, 200, 160), (180, 166, 190), (150, 180, 180))
    while x < 103:
        width, height = random.uniform(12, 19), random.uniform(18, 38)
        tone = tones[random.randrange(len(tones))]
        pen.box(x, HORIZON + 6 - height, x + width, HORIZON + 8, tone, edge=False)
        for row in range(int(height // 7)):
            for column in range(int(width // 5)):
                left, top = x + 1.7 + 5 * column, HORIZON + 8.5 - height + 7 * row
                pen.box(left, top, left + 2.6, top + 3.8, light(tone, 0.6), edge=False)
        x += width
    _ground(pen, GROUND["city"], HORIZON + 7, 0.0)
    pen.box(-4, HORIZON + 12, 104, HORIZON + 13, (150, 150, 162), edge=False)
    for i in range(-2, 14):
        pen.limb([(50 + (i - 6) * 9, HORIZON + 13), (50 + (i - 6) * 20, 104)], 0.5, (156, 158, 170), edge=False)
    for y in (76, 87):
        pen.limb([(-4, y), (104, y)], 0.5, (156, 158, 170), edge=False)


def _room(far: Pen, near: Pen, place: str, wall: Colour) -> None:
    if place == "":
        _ground(far, mix(GROUND[""], wall, 0.4), SKIRTING, 0.0)
        far.box(-4, SKIRTING - 2.6, 104, SKIRTING, light(wall, 0.6), edge=False)
        return
    if place == "floor":
        for x in range(6, 104, 12):
            far.limb([(x, -2), (x, SKIRTING)], 1.0, light(wall, 0.35), edge=False)
        wood = GROUND["floor"]
        _ground(near, wood, SKIRTING, 0.0)
        for row, y in enumerate((66, 71, 77, 84, 92)):
            near.limb([(-4, y), (104, y)], 0.7, dark(wood, 0.3), edge=False)
            nexty = (71, 77, 84, 92, 101)[row]
            for i in range(4):
                x = 14 + 28 * i + 13 * (row % 2)
                near.limb([(x, y), (x, nexty)], 0.6, dark(wood, 0.3), edge=False)
                near.limb([(x + 5, y + 2), (x + 13, y + 2.4)], 0.4, dark(wood, 0.15), edge=False)
        far.box(-4, SKIRTING - 3, 104, SKIRTING + 1, WHITE, edge=False)
        return
    red = (172, 56, 66)
    near.box(-4, -4, 104, SKIRTING + 2, red, edge=False)
    for x in range(-2, 108, 9):
        near.limb([(x, -4), (x, SKIRTING)], 3.6, light(red, 0.12), edge=False)
        near.limb([(x + 3.4, -4), (x + 3.4, SKIRTING)], 1.5, dark(red, 0.3), edge=False)
    for x in range(0, 112, 20):
        near.oval(x, -2, 11.5, 9.5, dark(red, 0.2), edge=False)
        near.oval(x, -3, 11, 8.6, light(red, 0.1), edge=False)
    wood = GROUND["stage"]
    _ground(near, wood, SKIRTING, 0.0)
    for i in range(-6, 20):
        near.limb([(50 + (i - 6) * 9, SKIRTING), (50 + (i - 6) * 15, 104)], 0.5, dark(wood, 0.3), edge=False)
    near.oval(50, 87, 46, 10.5, light(wood, 0.45), edge=False)


_GROUNDS = {
    "park": _park,
    "garden": _garden,
    "forest": _forest,
    "field": _field,
    "beach": _beach,
    "desert": _desert,
    "snow": _snow,
    "water": _water,
    "road": _road,
    "city": _city,
}
