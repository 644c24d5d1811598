"""From what a scene says to where everything stands (the scenes of chapters 11-13).

Groups of figures are put together around the origin, looking to the right, then mirrored, scaled and moved as a whole
so that everything lies inside the picture. Coordinates are in hundredths of the picture's side, y downwards.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from random import Random

from course_pkg.scenes_animals import animal
from course_pkg.scenes_drawing import Colour, Figure, Pen, Real
from course_pkg.scenes_grammar import ANIMALS, DOING, HANDLING, INDOORS, PEOPLE, UPON, Description, Noun
from course_pkg.scenes_people import LOOKS, person
from course_pkg.scenes_places import HORIZON, SKIRTING
from course_pkg.scenes_things import thing

__all__ = ["PAINT", "Item", "Layout", "Look", "arrange", "figure"]

PAINT: dict[str, Colour] = {
    "red": (222, 62, 60),
    "blue": (58, 122, 210),
    "green": (84, 168, 92),
    "yellow": (248, 204, 66),
    "orange": (244, 144, 56),
    "purple": (150, 94, 190),
    "pink": (246, 150, 186),
    "white": (250, 247, 240),
    "black": (70, 68, 82),
    "brown": (164, 108, 68),
    "grey": (150, 156, 168),
    "plain": (128, 166, 164),
}
COATS: dict[str, Colour] = {"yellow": (246, 202, 110), "orange": (232, 146, 70), "black": (84, 82, 96)}
LIFT = 9.0  # how high a jump goes
WALL_HANGINGS = ("window", "clock", "picture")
WIDE_SEATS = ("bed", "bench", "boat")


@dataclass(frozen=True)
class Look:
    """Everything that decides the pixels of a figure."""

    kind: str
    pose: str
    paint: str
    person: int = 0  # which skin and hair
    mirror: bool = False
    scale: Real = 1.0


@dataclass(frozen=True)
class Item:
    """A figure at a place: its origin, and the height of the ground below it (None: nothing falls there)."""

    role: str
    look: Look
    x: Real
    y: Real
    ground: Real | None

    @property
    def box(self) -> tuple[Real, Real, Real, Real]:
        left, top, right, bottom = figure(self.look).box
        return self.x + left, self.y + top, self.x + right, self.y + bottom


@dataclass(frozen=True)
class Layout:
    """Where everything is; ``items`` from back to front."""

    items: tuple[Item, ...]
    place: str
    weather: str
    variant: int


@lru_cache(maxsize=1024)
def figure(look: Look) -> Figure:
    """The figure with that look."""
    colour = PAINT[look.paint]
    if look.kind in PEOPLE:
        drawn = person(look.kind, look.pose, colour, look.person)
    elif look.kind in ANIMALS:
        drawn = animal(look.kind, look.pose, COATS.get(look.paint, colour))
    else:
        drawn = thing(look.kind, colour)
    if look.pose == "sleep":
        drawn = _dreaming(drawn)
    if look.pose == "fly":
        drawn = _flying(drawn)
    return drawn.moved(scale=look.scale, mirror=look.mirror)


def _dreaming(drawn: Figure) -> Figure:
    """With a small and a large z above the head."""
    pen, (x, _), top = Pen(), drawn.anchors["head"], drawn.box[1]
    for dx, dy, r in ((1, -2, 1.2), (4.6, -5.4, 1.8)):
        z = [
            (x + dx - r, top + dy - r),
            (x + dx + r, top + dy - r),
            (x + dx - r, top + dy + r),
            (x + dx + r, top + dy + r),
        ]
        for i in range(3):
            pen.limb(z[i : i + 2], 0.9, (88, 92, 150), edge=False)
    return drawn.with_shapes(pen.figure())


def _flying(drawn: Figure) -> Figure:
    """With strokes behind it that tell of its way."""
    pen, (left, top, _, bottom) = Pen(), drawn.box
    for share, long in ((0.2, 3.5), (0.5, 6.5), (0.8, 3.5)):
        y = top + (bottom - top) * share
        pen.limb([(left - 1.4 - long, y + 1), (left - 1.4, y)], 0.8, (112, 126, 168), edge=False)
    return drawn.with_shapes(pen.figure())


def arrange(what: Description, random: Random) -> Layout:
    """A picture's plan for a description; every draw is another one."""
    for attempt in range(40):
        items = _fit(_Composer(what, random).compose(), what, random, 0.97**attempt)
        back = _backdrop(what, items, random)
        if not any(_hidden(item, items) for item in back) and not any(
            _hidden(item, items[i + 1 :]) for i, item in enumerate(items) if item.ground is not None
        ):
            break
    return Layout((*back, *items), what.place, what.weather, random.randrange(3))


def _hidden(item: Item, others: Iterable[Item]) -> bool:
    """Whether half of the item's box or more lies behind boxes of other roles that stand on the ground."""
    others = [other for other in others if other.role != item.role]
    standing = [other for other in others if other.ground is not None or item.role == "backdrop"]
    return sum(_overlap(item.box, other.box) for other in standing) > 0.5


def _overlap(box: tuple[Real, ...], other: tuple[Real, ...]) -> Real:
    wide = min(box[2], other[2]) - max(box[0], other[0])
    high = min(box[3], other[3]) - max(box[1], other[1])
    return max(wide, 0.0) * max(high, 0.0) / ((box[2] - box[0]) * (box[3] - box[1]))


class _Composer:
    """Puts the figures of one description together; the ground is at y = 0."""

    def __init__(self, what: Description, random: Random) -> None:
        self.what, self.random = what, random
        self.items: list[Item] = []

    def look(self, noun: Noun, pose: str = "", **changes: object) -> Look:
        look = self.random.randrange(len(LOOKS)) if noun.kind in PEOPLE else 0
        return Look(noun.kind, pose, noun.paint, look, **changes)  # type: ignore[arg-type]

    def _group(self, many: int, pose: str) -> list[Look]:
        """People of all kinds, in clothes and with hair of different colours."""
        paints = self.random.sample(("red", "blue", "green", "yellow", "orange", "purple", "plain"), many)
        persons = self.random.sample(range(len(LOOKS)), many)
        kinds = self.random.sample(PEOPLE, many)
        return [Look(*each) for each in zip(kinds, [pose] * many, paints, persons, strict=True)]

    def put(self, role: str, look: Look, x: Real, y: Real, ground: Real | None, first: bool = False) -> Item:
        item = Item(role, look, x, y, ground)
        self.items.insert(0 if first else len(self.items), item)
        return item

    def compose(self) -> list[Item]:
        what = self.what
        if what.verb in UPON or what.verb == "riding":
            self._upon()
        elif what.relation:
            self._related()
        elif what.verb in HANDLING or what.verb in ("pointing at", "chasing"):
            self._handling()
        else:
            self._crowd(DOING.get(what.verb, ""), 0.0, 0.0)
        if what.seen:
            self._seen(what.seen)
        if self.random.random() < 0.5:
            items = self.items
            if what.relation not in ("to the left of", "to the right of"):
                items = [replace(i, x=-i.x, look=replace(i.look, mirror=not i.look.mirror)) for i in items]
            return items
        return self.items

    def _crowd(self, pose: str, x: Real, y: Real) -> None:
        """The subject, once or several times, with its feet around (x, y)."""
        noun = self.what.subject
        many = self.random.choice((3, 3, 4)) if noun.kind == "people" else noun.count
        looks = [self.look(noun, pose)] * many if noun.kind != "people" else self._group(many, pose)
        wide = [figure(look).box[2] - figure(look).box[0] for look in looks]
        step, rise = max(wide) * (1.0 if noun.kind != "people" else 0.72) + 1.0, 3.5
        if pose == "sleep" and many > 1:  # side by side they would be small
            step, rise = 0.42 * max(wide), 9.0
        lift = LIFT if pose == "jump" else 0.0
        placed = []
        for i, look in enumerate(looks):
            depth = y + (rise * (i % 2) if many > 1 else 0.0)
            placed.append(Item("subject", look, x + step * (i - (many - 1) / 2), depth - lift, depth))
        self.items += sorted(placed, key=lambda item: item.ground or 0.0)

    def _width(self, items: Iterable[Item]) -> tuple[Real, Real]:
        boxes = [item.box for item in items]
        return min(box[0] for box in boxes), max(box[2] for box in boxes)

    def _handling(self) -> None:
        what, random = self.what, self.random
        assert what.object is not None
        if what.verb in ("pointing at", "chasing"):
            flee = what.verb == "chasing"
            self._crowd("run" if flee else "point", 0.0, 0.0)
            pose = ("run" if flee else "stand") if what.object.kind in ANIMALS else "fly" if flee else ""
            look = self.look(what.object, pose)
            left = figure(look).box[0]
            self.put(
                "object", look, self._width(self.items)[1] - left + random.uniform(3, 8), random.uniform(-1, 2), 0.0
            )
            self.items[-1] = replace(self.items[-1], ground=self.items[-1].y)
            return
        self._crowd(HANDLING[what.verb], 0.0, 0.0)
        hand = figure(self.items[0].look).anchors["hand"]
        look = self.look(what.object, "fly" if what.verb in ("throwing", "kicking") else "")
        left, top, right, bottom = figure(look).box
        middle = ((left + right) / 2, (top + bottom) / 2)
        if what.verb == "lifting":
            x, y = -middle[0], figure(self.items[0].look).box[1] + 1.2
        elif what.verb == "holding":
            hangs = what.object.kind in ("umbrella", "balloon", "kite")
            x, y = hand[0] + 2.6 - middle[0], hand[1] + (2.0 if hangs else 1.0 - middle[1])
        else:
            far = random.uniform(5, 13)
            low = what.verb == "kicking"
            high = random.uniform(-1, 5)
            foot = figure(self.items[0].look).box[2]
            x, y = foot - left + far, (-4.0 if low else hand[1] - middle[1]) - high
        self.put("object", look, x, y, None)

    def _upon(self) -> None:
        what = self.what
        assert what.object is not None
        base = self.look(what.object, "stand" if what.object.kind in ANIMALS else "")
        seat = figure(base).anchors["seat"]
        kind = what.subject.kind
        human = kind in PEOPLE or kind == "people"
        pose = UPON.get(what.verb, "sit")
        if human and what.verb == "riding" and what.object.kind in ("skateboard", "scooter"):
            pose = "stand"
        if human and pose == "sit":
            pose = "aboard" if what.object.kind == "boat" else "seated"
        self._crowd(pose, 0.0, 0.0)
        riders, self.items = self.items, []
        if kind == "people":
            step = 11.0 if pose in ("aboard", "stand") else 14.0
            riders = [
                replace(r, x=step * (i - (len(riders) - 1) / 2), look=replace(r.look, scale=0.8))
                for i, r in enumerate(riders)
            ]
        self.put("object", base, 0.0, 0.0, 0.0)
        for rider in riders:
            rider = replace(rider, x=rider.x + seat[0], y=seat[1], ground=None)
            self.items.insert(len(self.items) - (what.object.kind == "boat"), rider)
        if what.companion:
            self._accompany(what.companion, riders[0].look, seat, what.object.kind, pose)

    def _accompany(self, noun: Noun, rider: Look, seat: tuple[Real, Real], base: str, pose: str) -> None:
        look = self.look(noun)
        left, _, right, _ = figure(look).box
        if pose in ("seated", "aboard"):
            lap = figure(rider).anchors["lap"]
            self.put("companion", look, seat[0] + lap[0] - (left + right) / 2 + 2.4, seat[1] + lap[1] + 3.4, None)
        elif base in WIDE_SEATS and pose != "sleep":
            x = seat[0] + figure(rider).box[2] - left
            self.put("companion", look, x, seat[1], None, first=base == "boat")
        else:
            self.put("companion", look, self._width(self.items)[1] - left + 2, 1.0, 1.0)

    def _related(self) -> None:
        what, random = self.what, self.random
        assert what.object is not None
        sideways = what.relation in ("to the left of", "to the right of")
        turned = sideways and random.random() < 0.5
        pose = "jump" if what.object.kind == "bird" and what.relation == "under" else ""
        look = self.look(what.object, pose, mirror=turned)
        left, _, right, bottom = figure(look).box
        self._crowd(DOING[what.verb], 0.0, 0.0)
        if turned:
            self.items = [replace(item, look=replace(item.look, mirror=True)) for item in self.items]
        near, far = self._width(self.items)
        if what.relation == "under":
            top = min(item.box[1] for item in self.items)
            x = (near + far - left - right) / 2 + random.uniform(-3, 3)
            self.put("object", look, x, top - bottom - random.uniform(3, 7), None)
            return
        aside = random.choice((-1, 1))
        if what.relation == "behind":
            x, y = aside * (0.5 * (right - left) + 0.12 * (far - near)), 8.0
        elif what.relation == "in front of":
            x, y = aside * (0.5 * (far - near) + 0.25 * (right - left)), -9.0
        else:
            aside = 1 if what.relation == "to the left of" else -1
            gap = random.uniform(3, 9)
            x, y = (far - left + gap if aside > 0 else near - right - gap), random.uniform(-1, 1)
        self.put("object", look, x, y, y, first=y < 0)

    def _seen(self, noun: Noun) -> None:
        look = self.look(noun, "stand", mirror=self.what.sight == "sees")
        left, _, right, _ = figure(look).box
        near, far = self._width(self.items)
        gap = self.random.uniform(2, 6)
        x = far - left + gap if self.what.sight == "sees" else near - right - gap
        self.put("seen", look, x, 0.0, 0.0)


def _union(items: Iterable[Item]) -> tuple[Real, Real, Real, Real]:
    boxes = [item.box for item in items]
    return min(b[0] for b in boxes), min(b[1] for b in boxes), max(b[2] for b in boxes), max(b[3] for b in boxes)


def _fit(items: list[Item], what: Description, random: Random, shrink: Real) -> list[Item]:
    """The group scaled and moved into the picture, with its feet on the ground of the place."""
    left, top, right, bottom = _union(items)
    largest = min(94 / (right - left), 86 / (bottom - top), 1.5)
    steps = max(int(largest * shrink * 10), 3)
    scale = random.choice((steps, max(steps - 1, min(steps, 8)))) / 10

    def scaled(item: Item) -> Item:
        ground = None if item.ground is None else item.ground * scale
        look = replace(item.look, scale=round(item.look.scale * scale, 3))
        return Item(item.role, look, item.x * scale, item.y * scale, ground)

    items = [scaled(item) for item in items]
    left, top, right, bottom = _union(items)
    highest = SKIRTING + 8 if what.place in INDOORS else HORIZON + 18
    low, high = max(highest, 2.5 - top), 97.5 - bottom
    y = random.uniform(min(low, high), high)
    x = random.uniform(2.5 - left, 97.5 - right)
    return [replace(i, x=i.x + x, y=i.y + y, ground=None if i.ground is None else i.ground + y) for i in items]


def _backdrop(what: Description, items: list[Item], random: Random) -> list[Item]:
    """What stands in the background, where it is hidden least."""
    if not what.backdrop:
        return []
    kind = what.backdrop.kind
    y = SKIRTING + 2 if what.place in INDOORS else HORIZON + _SHORE.get(what.place, 2.5)
    if (kind, what.place) == ("mountain", "beach"):
        y = HORIZON - 3.5  # across the sea
    if kind in WALL_HANGINGS:
        y = 36.0 if kind != "clock" else 28.0
    look = Look(kind, "", what.backdrop.paint, scale=0.85 if kind == "tree" else 1.0)
    left, _, right, _ = figure(look).box
    best: list[tuple[Real, Item]] = []
    for _ in range(12):
        item = Item("backdrop", look, random.uniform(3 - left, 97 - right), y, None)
        best.append((sum(_overlap(item.box, other.box) for other in items), item))
    best.sort(key=lambda pair: pair[0])
    if kind != "tree":
        return [best[0][1]]
    chosen: list[Item] = []
    for _, item in best:
        if all(abs(item.x - other.x) > 15 for other in chosen) and len(chosen) < 3:
            chosen.append(item)
    return chosen


_SHORE = {"beach": 10.5, "water": 0.5, "city": 8.0, "garden": 5.5, "forest": 5.0, "road": 3.0}
