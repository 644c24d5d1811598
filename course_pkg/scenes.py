"""Drawn scenes with captions and gold regions: a captioner's toy world with known truth (chapters 11-13).

A scene is drawn from a `course_pkg.scenes_grammar.Description`, whose parts are drawn at random and almost
independently, so that only a look at the picture tells most words. For every token of the caption the scene knows
which pixels it speaks of: what Figure 3 of Xu et al. 2015 shows on photographs can be scored here.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import count as counting
from itertools import islice
from random import Random

import numpy as np
from PIL import Image

from course_pkg.notation import CourseError
from course_pkg.scenes_drawing import SOLID, Sprite, rasterise, shadow
from course_pkg.scenes_grammar import VOCABULARY, Description, Noun, tell
from course_pkg.scenes_layout import Item, Layout, Look, arrange, figure
from course_pkg.scenes_places import background
from course_pkg.scenes_sampler import describe
from course_pkg.toy import COURSE_SENTENCE

__all__ = ["GALLERY_WORDS", "Region", "Scene", "course_scene", "gallery", "make", "stream", "vocabulary_words"]

SMALLEST, LARGEST = 16, 1024


@dataclass(frozen=True, eq=False)
class Region:
    """The visible part of what a word speaks of: a boolean ``mask`` of shape ``(height, width)``."""

    mask: np.ndarray

    @cached_property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of the mask, as shares of the picture's side."""
        rows, columns = np.flatnonzero(self.mask.any(1)), np.flatnonzero(self.mask.any(0))
        height, width = self.mask.shape
        return columns[0] / width, rows[0] / height, (columns[-1] + 1) / width, (rows[-1] + 1) / height

    def share(self, grid: tuple[int, int]) -> np.ndarray:
        """The part of each cell that the mask covers, shape ``grid`` (rows, columns), between 0 and 1."""
        image = Image.fromarray(self.mask.astype(np.uint8) * 255).convert("F")
        return np.asarray(image.resize(grid[::-1], Image.Resampling.BOX)) / 255

    def on(self, grid: tuple[int, int]) -> np.ndarray:
        """Cells at least a fifth covered, and in any case the one covered most; boolean, shape ``grid``."""
        share = self.share(grid)
        return (share >= 0.2) | (share == share.max())


@dataclass(frozen=True, eq=False)
class Scene:
    """A picture, its caption, and what each token of it speaks of.

    ``image`` is RGB, ``uint8`` of shape ``(size, size, 3)``. ``roles`` names, for each token, the parts of the scene
    it speaks of (see `course_pkg.scenes_grammar.tell`), none for a function word. ``owner`` of shape ``(size, size)``
    holds for each pixel the number of what is seen there; ``parts`` gives the numbers of each role. ``underlined`` is
    the index of the token to look at first, where there is one.
    """

    image: np.ndarray
    caption: str
    tokens: tuple[str, ...]
    roles: tuple[tuple[str, ...], ...]
    owner: np.ndarray
    parts: dict[str, tuple[int, ...]]
    description: Description
    layout: Layout
    underlined: int | None = None

    @property
    def size(self) -> int:
        """Pixels a side."""
        return int(self.image.shape[0])

    @cached_property
    def regions(self) -> tuple[Region | None, ...]:
        """The gold region of each token, None for a function word; hidden parts do not count."""
        made = {roles: self._region(roles) for roles in set(self.roles)}
        return tuple(made[roles] for roles in self.roles)

    def _region(self, roles: tuple[str, ...]) -> Region | None:
        numbers = [number for role in roles for number in self.parts[role]]
        mask = np.isin(self.owner, numbers)
        return Region(mask) if mask.any() else None

    def regions_on(self, grid: int | tuple[int, int]) -> np.ndarray:
        """`Region.on` of every token: boolean, shape ``(T, rows, columns)``; all False for a function word."""
        grid = (grid, grid) if isinstance(grid, int) else grid
        cells = {id(region): region.on(grid) for region in self.regions if region}
        nothing = np.zeros(grid, dtype=bool)
        return np.stack([cells[id(region)] if region else nothing for region in self.regions])


def make(count: int, *, seed: int, size: int = 224, start: int = 0) -> list[Scene]:
    """``count`` scenes, the first of `stream` with the same arguments.

    Raises `CourseError` as `stream` does, and for a negative ``count``.
    """
    if count < 0:
        raise CourseError(f"{count} scenes cannot be drawn; ask for 0 or more")
    return list(islice(stream(seed=seed, size=size, start=start), count))


def stream(*, seed: int, size: int = 224, start: int = 0) -> Iterator[Scene]:
    """Scenes without end, of ``size`` × ``size`` pixels, from number ``start`` on.

    Scene number i of a seed is the same on every machine, at every size up to the scaling, and wherever the stream
    starts. Raises `CourseError` unless 16 ≤ ``size`` ≤ 1024 and ``start`` ≥ 0.
    """
    if not SMALLEST <= size <= LARGEST:
        raise CourseError(f"no scene of {size} pixels a side can be drawn; choose {SMALLEST} to {LARGEST}")
    if start < 0:
        raise CourseError(f"scenes are numbered from 0, so none starts at {start}")
    return (_numbered(seed, number, size) for number in counting(start))


def _numbered(seed: int, number: int, size: int) -> Scene:
    random = Random(f"{seed}/{number}")
    what = describe(random)
    return draw(what, arrange(what, random), size)


def scene_of(what: Description, *, seed: int = 0, size: int = 224) -> Scene:
    """A scene that says ``what``; every seed draws it in another way."""
    return draw(what, arrange(what, Random(f"{what}/{seed}")), size)


def draw(what: Description, layout: Layout, size: int, shadows: bool = True) -> Scene:
    """The scene that a plan shows, at ``size`` × ``size`` pixels."""
    empty = background(layout.place, layout.weather, layout.variant, size)
    image = empty.image.copy()
    owner = empty.place.copy()
    if shadows:
        for item in layout.items:
            _ground(image, item, layout.place, size)
    parts: dict[str, list[int]] = {"sky": [0], "place": [1]}
    for number, item in enumerate(layout.items, start=2):
        sprite, solid = _sprite(item.look, size)
        x, y = round(item.x * size / 100) - sprite.origin[0], round(item.y * size / 100) - sprite.origin[1]
        picture = sprite.image
        if layout.place == "water" and item.ground is not None:
            bottom = round(_waterline(item) * size / 100) - y
            picture, solid = (part.crop((0, 0, part.width, max(bottom, 1))) for part in (picture, solid))
        image.paste(picture, (x, y), picture)
        owner.paste(number, (x, y, x + solid.width, y + solid.height), solid)
        parts.setdefault(item.role, []).append(number)
    words = tell(what)
    return Scene(
        np.asarray(image),
        " ".join(word.text for word in words),
        tuple(word.text for word in words),
        tuple(word.roles for word in words),
        np.asarray(owner),
        {role: tuple(numbers) for role, numbers in parts.items()},
        what,
        layout,
    )


@lru_cache(maxsize=1024)
def _sprite(look: Look, size: int) -> tuple[Sprite, Image.Image]:
    """The sprite, and where it is more solid than not."""
    sprite = rasterise(figure(look), size)
    return sprite, sprite.image.getchannel("A").point(SOLID)


def _waterline(item: Item) -> float:
    """Where the water cuts what stands in it."""
    assert item.ground is not None
    return item.ground - min(6.0, 0.16 * (item.box[3] - item.box[1]) + 0.6)


def _ground(image: Image.Image, item: Item, place: str, size: int) -> None:
    """The soft shadow of what stands on the ground, or the foam around what stands in the water."""
    if item.ground is None:
        return
    left, _, right, _ = item.box
    half, y, colour = 0.5 * (right - left), item.ground, (30, 30, 70)
    if place == "water":
        y, colour = _waterline(item), (236, 248, 252)
    width, height = max(round(2.1 * half * size / 100), 4), max(round(0.36 * half * size / 100), 2)
    mask = shadow(width, height, 190 if place == "water" else 95)
    corner = (round((left + right) / 2 * size / 100) - width // 2, round(y * size / 100) - height // 2)
    image.paste(colour, (*corner, corner[0] + width, corner[1] + height), mask)


def vocabulary_words() -> tuple[str, ...]:
    """Every token that a caption can have, sorted."""
    return VOCABULARY


def _underlined(what: Description, word: str, seed: int, size: int) -> Scene:
    scene = scene_of(what, seed=seed, size=size)
    return replace(scene, underlined=scene.tokens.index(word))


GALLERY_WORDS = ("frisbee", "dog", "stop", "teddy", "people", "trees")
_GALLERY_SEEDS = (0, 0, 0, 0, 9, 0)  # in each of these drawings everybody can be seen
_GALLERY = (
    Description(Noun("woman"), "throwing", Noun("frisbee"), place="park"),
    Description(Noun("dog"), "standing", place="floor"),
    Description(Noun("stop sign"), place="road", backdrop=Noun("mountain")),
    Description(Noun("girl"), "sitting on", Noun("bed"), companion=Noun("teddy bear")),
    Description(Noun("people"), "sitting on", Noun("boat"), place="water"),
    Description(Noun("giraffe"), "standing", place="forest", backdrop=Noun("tree", count=3)),
)


def gallery(*, size: int = 224) -> tuple[Scene, ...]:
    """Six scenes with the six captions of Xu et al. 2015, Figure 3, drawn; the word underlined there is marked.

    A woman is throwing a frisbee in a park · a dog is standing on a hardwood floor · a stop sign is on a road with a
    mountain in the background · a little girl sitting on a bed with a teddy bear · a group of people sitting on a
    boat in the water · a giraffe standing in a forest with trees in the background.
    """
    words = zip(_GALLERY, GALLERY_WORDS, _GALLERY_SEEDS, strict=True)
    return tuple(_underlined(what, word, seed, size) for what, word, seed in words)


def course_scene(*, size: int = 224, sentence: bool = False) -> Scene:
    """The scene of the course sentence: the woman who does not see the black dog throws the frisbee.

    The caption is the scenes' own, "a woman who does not see a black dog is throwing a frisbee in a park", or with
    ``sentence`` the words of `course_pkg.toy.COURSE_SENTENCE`.
    """
    what = Description(
        Noun("woman"), "throwing", Noun("frisbee"), sight="misses", seen=Noun("dog", "black"), place="park"
    )
    scene = _underlined(what, "frisbee", 0, size)
    if not sentence:
        return scene
    roles = dict(zip(scene.tokens, scene.roles, strict=True))
    roles["throws"] = roles["throwing"]
    tokens = COURSE_SENTENCE.source_tokens
    spoken = tuple(roles.get(token, ()) for token in tokens)
    return replace(
        scene, caption=COURSE_SENTENCE.source, tokens=tokens, roles=spoken, underlined=tokens.index("frisbee")
    )
