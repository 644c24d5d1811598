"""Truths about marked photographs: places, outlines as masks, and what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from refusals import refusal

from course_pkg.located import Thing, coco_mini, objects_folder
from course_pkg.pictures import View

WHOLE = View.of((224, 224))


def folder(tmp_path: Path, entries: Any, captions: str | None = None) -> Path:
    """A folder of two stand-ins for pictures and what is said of them."""
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_text("pixels", encoding="utf-8")
    (tmp_path / "objects.json").write_text(json.dumps(entries), encoding="utf-8")
    if captions is not None:
        (tmp_path / "captions.tsv").write_text(captions, encoding="utf-8")
    return tmp_path


def test_things_and_captions_stand_beside_their_picture(tmp_path: Path) -> None:
    outline = [0.1, 0.1, 0.3, 0.1, 0.2, 0.4]
    dog = {"category": "dog", "box": [0.1, 0.1, 0.3, 0.4], "polygons": [outline]}
    entries = [
        {"image": "b.jpg", "objects": [dog, {"category": "traffic light", "box": [0.0, 0, 1.001, 1], "iscrowd": 1}]},
        {"image": "a.jpg", "objects": []},
    ]
    path = folder(tmp_path, entries, "image\tcaption\na.jpg\tnothing\nb.jpg\ta dog\n")
    found = objects_folder(path, path / "objects.json", path / "captions.tsv")
    assert [image.name for image in found.images] == ["b.jpg", "a.jpg"] and len(found) == 2
    assert found.captions == (("a dog",), ("nothing",))
    assert found.things[1] == ()
    assert found.things[0][0] == Thing("dog", (0.1, 0.1, 0.3, 0.4), (((0.1, 0.1), (0.3, 0.1), (0.2, 0.4)),))
    assert found.things[0][1] == Thing("traffic light", (0.0, 0.0, 1.0, 1.0), (), True)
    assert found.captioned().images == found.images[:1]
    assert objects_folder(path, path / "objects.json").captions == ((), ())
    assert len(objects_folder(path, path / "objects.json").captioned()) == 0


@pytest.mark.parametrize(
    "entries, reason",
    [
        ({}, "no list"),
        ([], "lists no pictures"),
        ([{"objects": []}], "entry 1: 'image' is missing"),
        ([{"image": "a.jpg"}], "'objects' is missing"),
        ([{"image": "a.jpg", "objects": []}, {"image": "b.jpg", "objects": [{"category": "dog"}]}], "entry 2: 'box'"),
        ([{"image": "a.jpg", "objects": [{"category": "dog", "box": [10, 20, 90, 80]}]}], "fractions"),
        ([{"image": "a.jpg", "objects": [{"category": "dog", "box": [0.5, 0.2, 0.3, 0.4]}]}], "fractions"),
        ([{"image": "a.jpg", "objects": [{"category": "dog", "box": [0.5, 0.2]}]}], "entry 1"),
        ([{"image": "a.jpg", "objects": [{"category": "d", "box": [0, 0, 1, 1], "polygons": [[0, 1, 1]]}]}], "outline"),
        ([{"image": "a.jpg", "objects": []}, {"image": "a.jpg", "objects": []}], "more than one entry"),
        ([{"image": "c.jpg", "objects": []}], "c.jpg has no file"),
        ([{"image": "../a.jpg", "objects": []}], "leads out"),
        ([3], "entry 1"),
    ],
)
def test_other_content_is_refused(tmp_path: Path, entries: Any, reason: str) -> None:
    path = folder(tmp_path, entries)
    assert reason in refusal(lambda: objects_folder(path, path / "objects.json"))


def test_masks_of_boxes_cover_their_pixels() -> None:
    mask = Thing("dog", (0.25, 0.5, 0.75, 1.0)).mask(WHOLE)
    expected = np.zeros((224, 224), bool)
    expected[112:, 56:168] = True
    assert (mask != expected).mean() < 0.01  # a line of pixels at the edge
    assert Thing("dog", (0.25, 0.5, 0.75, 1.0)).mask(WHOLE, 8).shape == (8, 8)


def test_masks_follow_the_outline_and_the_view() -> None:
    triangle = Thing("sail", (0.0, 0.0, 1.0, 1.0), (((0.0, 0.0), (1.0, 0.0), (0.0, 1.0)),))
    y, x = (np.mgrid[:224, :224] + 0.5) / 224
    assert ((x + y < 1) != triangle.mask(WHOLE)).mean() < 0.01
    view = View.of((640, 480))
    place = view.to_picture(np.stack([x, y], axis=2))
    assert ((place.sum(axis=2) < 1) != triangle.mask(view)).mean() < 0.01
    beyond = Thing("bird", (0.0, 0.0, 0.05, 1.0))  # left of what the crop keeps
    assert not beyond.mask(view).any()


def test_several_outlines_are_one_thing() -> None:
    left = ((0.0, 0.0), (0.25, 0.0), (0.25, 1.0), (0.0, 1.0))
    right = ((0.5, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 1.0))
    mask = Thing("bench", (0.0, 0.0, 1.0, 1.0), (left, right)).mask(WHOLE)
    assert mask.mean() == pytest.approx(0.75, abs=0.01)


def test_coco_mini_has_what_it_promises(course_data: Path) -> None:
    found = coco_mini(folder=course_data)
    both = found.captioned()
    assert (len(found), len(both)) == (340, 190)
    assert all(len(captions) == 5 for captions in both.captions)
    outlined = [thing for things in found.things for thing in things if thing.polygons]
    assert len(outlined) > 1000
    for thing in outlined:  # the outline is inside the box, and reaches its edges
        places = np.concatenate([np.array(outline) for outline in thing.polygons])
        assert np.allclose([*places.min(axis=0), *places.max(axis=0)], thing.box, atol=0.01)


def test_masks_have_the_area_that_the_annotators_counted(course_data: Path) -> None:
    entries = json.loads((course_data / "coco_mini/objects.json").read_text(encoding="utf-8"))
    counted = {
        (entry["image"], index): thing["area"]
        for entry in entries
        for index, thing in enumerate(entry["objects"])
        if "polygons" in thing and thing["area"] > 0.05
    }
    found = coco_mini(folder=course_data)
    things = {image.name: things for image, things in zip(found.images, found.things, strict=True)}
    errors = [things[name][index].mask(WHOLE).mean() - area for (name, index), area in counted.items()]
    assert len(errors) > 100
    assert np.abs(errors).max() < 0.01 and abs(np.mean(errors)) < 0.002
