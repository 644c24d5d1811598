"""The drawn scenes: pixels, captions and gold regions."""

import numpy as np
import pytest

from course_pkg import scenes
from course_pkg.notation import CourseError
from course_pkg.scenes_grammar import parse, tell


@pytest.fixture(scope="module")
def some() -> list[scenes.Scene]:
    return scenes.make(150, seed=11, size=64)


def test_a_seed_decides_the_pixels_the_caption_and_the_regions(some):
    for scene, again in zip(some[100:130], scenes.make(30, seed=11, size=64, start=100), strict=True):
        assert scene.caption == again.caption and scene.roles == again.roles
        assert np.array_equal(scene.image, again.image) and np.array_equal(scene.owner, again.owner)
    assert [s.caption for s in some] != [s.caption for s in scenes.make(150, seed=12, size=64)]


def test_captions_parse_back_and_every_word_is_in_the_vocabulary(some):
    for scene in some:
        assert parse(scene.tokens) == scene.description
        assert tuple(word.text for word in tell(scene.description)) == scene.tokens
        assert set(scene.tokens) <= set(scenes.vocabulary_words())


def test_bad_arguments_are_refused_with_one_line():
    for wrong in (
        lambda: scenes.make(-1, seed=0),
        lambda: scenes.stream(seed=0, size=8),
        lambda: parse(["a", "stone"]),
    ):
        with pytest.raises(CourseError):
            wrong()
