"""The drawn scenes: pixels, gold regions, and a reader that knows a scene from where its figures stand."""

from dataclasses import replace

import numpy as np
import pytest

from course_pkg import scenes
from course_pkg.notation import CourseError
from course_pkg.scenes_grammar import COLOURS, USUAL, Description, Noun, tell
from course_pkg.scenes_layout import PAINT, Layout
from course_pkg.toy import COURSE_SENTENCE

PAPER = (  # Xu et al. 2015, Figure 3, and the word underlined there
    ("a woman is throwing a frisbee in a park", "frisbee"),
    ("a dog is standing on a hardwood floor", "dog"),
    ("a stop sign is on a road with a mountain in the background", "stop"),
    ("a little girl sitting on a bed with a teddy bear", "teddy"),
    ("a group of people sitting on a boat in the water", "people"),
    ("a giraffe standing in a forest with trees in the background", "trees"),
)


@pytest.fixture(scope="module")
def some() -> list[scenes.Scene]:
    return scenes.make(220, seed=11, size=64)


def grown(mask: np.ndarray) -> np.ndarray:
    """The mask and every pixel that touches it."""
    wide = np.pad(mask, 1)
    return np.any([wide[y : y + mask.shape[0], x : x + mask.shape[1]] for y in range(3) for x in range(3)], axis=0)


# --- seeds and sizes --------------------------------------------------------------------------------------------


def test_a_seed_decides_the_pixels_the_caption_and_the_regions(some: list[scenes.Scene]) -> None:
    scenes.background.cache_clear()
    scenes._sprite.cache_clear()
    for scene, again in zip(some[200:220], scenes.make(20, seed=11, size=64, start=200), strict=True):
        assert scene.caption == again.caption and scene.roles == again.roles and scene.parts == again.parts
        assert np.array_equal(scene.image, again.image) and np.array_equal(scene.owner, again.owner)


def test_streams_of_two_seeds_share_no_picture() -> None:
    pictures = {scene.image.tobytes() for seed in (12, 13) for scene in scenes.make(60, seed=seed, size=32)}
    assert len(pictures) == 120


def test_a_small_picture_is_the_large_one_made_smaller() -> None:
    for small, large in zip(scenes.make(12, seed=5, size=56), scenes.make(12, seed=5, size=224), strict=True):
        assert small.caption == large.caption and small.layout == large.layout
        reduced = large.image.reshape(56, 4, 56, 4, 3).mean((1, 3))
        assert np.abs(reduced - small.image).mean() < 12  # of 255: edges fall on other pixels
        for one, other in zip(small.regions, large.regions, strict=True):
            assert (one is None) == (other is None)
            if one and other:
                assert np.abs(np.subtract(one.box, other.box)).max() < 3 / 56


def test_images_are_rgb_bytes_of_the_size_asked_for() -> None:
    for size in (16, 64, 225):
        scene = scenes.make(1, seed=2, size=size)[0]
        assert scene.image.shape == (size, size, 3) and scene.image.dtype == np.uint8 and scene.size == size
        assert scene.owner.shape == (size, size)


@pytest.mark.parametrize(
    "wrong", [{"count": -1}, {"size": 8}, {"size": 5000}, {"start": -1}], ids=lambda wrong: next(iter(wrong))
)
def test_bad_arguments_are_refused_with_one_line(wrong: dict[str, int]) -> None:
    with pytest.raises(CourseError) as error:
        scenes.make(**{"count": 1, "seed": 0, **wrong})
    assert "\n" not in str(error.value) and str(next(iter(wrong.values()))) in str(error.value)


# --- gold regions -----------------------------------------------------------------------------------------------


def test_taking_a_figure_away_changes_its_region_and_nothing_else(some: list[scenes.Scene]) -> None:
    for scene in some[:40]:
        whole = scenes.draw(scene.description, scene.layout, 64, shadows=False)
        for number, item in enumerate(scene.layout.items, start=2):
            left = tuple(other for other in scene.layout.items if other is not item)
            without = scenes.draw(scene.description, replace(scene.layout, items=left), 64, shadows=False)
            change = np.abs(whole.image.astype(int) - without.image).max(2)
            changed, region = change > 0, whole.owner == number
            # Elsewhere at most an edge of another figure lets it shine through, by less than half.
            assert change[~grown(region)].max() <= 128, (scene.caption, item)
            assert (changed & ~grown(region)).sum() <= 0.005 * region.size, (scene.caption, item)
            # what stands behind may be of the same colour there
            assert (changed & region).sum() >= 0.6 * region.sum(), (scene.caption, item)


@pytest.mark.parametrize("colour", COLOURS)
def test_a_thing_has_the_colour_that_the_caption_says(colour: str) -> None:
    """Of all colours that there are, the region's mean is nearest to the one that is told."""
    for kind in ("ball", "car"):
        scene = scenes.scene_of(Description(Noun(kind, colour), place="park"), seed=3)
        at = next(k for k, token in enumerate(scene.tokens) if token == kind)
        region = scene.regions[at]
        assert region is not None and (colour in scene.tokens or colour == USUAL[kind])
        mean = np.median(scene.image[region.mask], axis=0)
        distance = {name: np.abs(mean - PAINT[name]).sum() for name in COLOURS}
        assert min(distance, key=lambda name: distance[name]) == colour, (kind, mean)


def test_a_word_points_at_the_figures_it_speaks_of_and_a_function_word_at_nothing(some: list[scenes.Scene]) -> None:
    for scene in some:
        for token, roles, region in zip(scene.tokens, scene.roles, scene.regions, strict=True):
            if token in "a an the is are in on at to of with who does".split():
                assert region is None
                continue
            assert region is not None, (scene.caption, token)
            numbers = [n for n, item in enumerate(scene.layout.items, start=2) if item.role in roles]
            numbers += [0] * ("sky" in roles) + [1] * ("place" in roles)
            assert np.array_equal(region.mask, np.isin(scene.owner, numbers))


def test_every_figure_is_inside_the_picture_and_can_be_seen() -> None:
    for scene in scenes.make(200, seed=17, size=64):
        for item in scene.layout.items:
            assert min(item.box) >= 0 and max(item.box) <= 100, scene.caption
        for region in filter(None, scene.regions):
            assert region.mask.sum() >= 6, scene.caption


def test_shares_of_cells_are_means_over_blocks_and_boxes_are_the_outermost_pixels() -> None:
    scene = scenes.course_scene()
    for region in filter(None, scene.regions):
        blocks = region.mask.reshape(14, 16, 14, 16).mean((1, 3))
        assert np.allclose(region.share((14, 14)), blocks, atol=1e-4)
        assert np.array_equal(region.on((14, 14)), (blocks >= 0.2) | np.isclose(blocks, blocks.max()))
        rows, columns = np.nonzero(region.mask)
        box = (columns.min() / 224, rows.min() / 224, (columns.max() + 1) / 224, (rows.max() + 1) / 224)
        assert region.box == box


def test_regions_on_a_grid_have_a_cell_for_each_content_word_and_none_for_the_others(some: list[scenes.Scene]) -> None:
    for scene in some[:80]:
        for grid, shape in ((7, (7, 7)), ((4, 6), (4, 6))):
            cells = scene.regions_on(grid)
            assert cells.shape == (len(scene.tokens), *shape) and cells.dtype == bool
            assert [bool(c.any()) for c in cells] == [bool(roles) for roles in scene.roles]


# --- a reader of scenes -------------------------------------------------------------------------------------------

DONE = {"stand": "standing", "run": "running", "jump": "jumping", "sit": "sitting", "sleep": "sleeping"}
HANDLED = {"hold": "holding", "throw": "throwing", "lift": "lifting", "kick": "kicking", "point": "pointing at"}


def read(layout: Layout) -> Description:
    """What a scene says, from kinds, colours, poses and places of its figures alone."""
    by_role: dict[str, list] = {}
    for item in layout.items:
        by_role.setdefault(item.role, []).append(item)

    def noun(role: str) -> Noun | None:
        items = by_role.get(role, [])
        if not items:
            return None
        kinds = {item.look.kind for item in items}
        if role == "subject" and len(items) > 1 and kinds <= {"woman", "man", "girl", "boy"}:
            return Noun("people")
        look = items[0].look
        return Noun(look.kind, "" if look.paint == USUAL[look.kind] else look.paint, len(items))

    subject, actor = noun("subject"), by_role["subject"][0]
    object_, pose = noun("object"), actor.look.pose
    verb, relation = DONE.get(pose, HANDLED.get(pose, "")), ""
    if object_:
        other = by_role["object"][0]
        if actor.ground is None:  # somebody is on top of something
            ridden = ("bicycle", "skateboard", "scooter", "horse", "elephant")
            verb = {"stand": "standing on", "sleep": "sleeping on"}.get(pose, "sitting on")
            verb = "riding" if object_.kind in ridden else verb
        elif pose == "run" and other.look.pose in ("run", "fly"):
            verb = "chasing"
        elif pose in DONE:
            relation = place_of(by_role["subject"], other, layout)
    seen, sight = noun("seen"), ""
    if seen:
        to_the_right = by_role["seen"][0].x > actor.x
        sight = "sees" if to_the_right != actor.look.mirror else "misses"
    return Description(
        subject, verb, object_, relation, sight, seen, noun("companion"), layout.place, layout.weather, noun("backdrop")
    )


def place_of(subjects: list, other, layout: Layout) -> str:
    if other.ground is None:
        assert other.box[3] < min(item.box[1] for item in subjects)
        return "under"
    ground = sum(item.ground for item in subjects) / len(subjects)
    scale = other.look.scale
    if abs(ground - other.ground) / scale > 4.6:
        in_front = ground > other.ground
        order = [layout.items.index(item) for item in subjects]
        assert all((number > layout.items.index(other)) == in_front for number in order)
        return "in front of" if in_front else "behind"
    assert min(i.box[0] for i in subjects) >= other.box[2] or max(i.box[2] for i in subjects) <= other.box[0]
    return "to the left of" if subjects[0].x < other.x else "to the right of"


def test_who_reads_the_scene_knows_every_word_of_its_caption(some: list[scenes.Scene]) -> None:
    for scene in some:
        assert [word.text for word in tell(read(scene.layout))] == list(scene.tokens)


# --- the gallery --------------------------------------------------------------------------------------------------


def test_the_gallery_says_what_the_paper_s_figure_says() -> None:
    shown = scenes.gallery(size=64)
    assert [(scene.caption, scene.tokens[scene.underlined or 0]) for scene in shown] == list(PAPER)
    for scene in shown:
        assert scene.underlined is not None and scene.regions[scene.underlined]


def test_in_the_course_scene_the_black_dog_is_behind_the_back_of_the_woman_who_throws() -> None:
    scene = scenes.course_scene(size=96)
    assert scene.caption == "a woman who does not see a black dog is throwing a frisbee in a park"
    x = {item.look.kind: (item.box[0] + item.box[2]) / 2 for item in scene.layout.items}
    assert (x["dog"] - x["woman"]) * (x["frisbee"] - x["woman"]) < 0
    woman = next(item for item in scene.layout.items if item.look.kind == "woman")
    assert (x["frisbee"] < x["woman"]) == woman.look.mirror


def test_the_course_scene_can_be_told_in_the_words_of_the_course_sentence() -> None:
    own, told = scenes.course_scene(size=64), scenes.course_scene(size=64, sentence=True)
    assert np.array_equal(own.image, told.image) and told.caption == COURSE_SENTENCE.source
    regions = dict(zip(own.tokens, own.regions, strict=True)) | {"throws": own.regions[own.tokens.index("throwing")]}
    for token, region in zip(told.tokens, told.regions, strict=True):
        known = regions.get(token)
        assert (region is None) == (known is None), token
        if region and known:
            assert np.array_equal(region.mask, known.mask)
    assert told.underlined is not None and told.tokens[told.underlined] == "frisbee"
