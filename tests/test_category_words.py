"""Which words name what: phrases, plurals, words of two categories, and what only sounds like it."""

from pathlib import Path

import pytest

from course_pkg.caption_metrics import caption_words
from course_pkg.category_words import CATEGORY_WORDS, named, plural
from course_pkg.located import coco_mini


def found(text: str) -> list[tuple[str, set[str]]]:
    words = text.split()
    return [(" ".join(words[one.start : one.stop]), set(one.categories)) for one in named(words)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("two women and a boy eat pizza", [("women", {"person"}), ("boy", {"person"}), ("pizza", {"pizza"})]),
        ("a hot dog and a dog", [("hot dog", {"hot dog"}), ("dog", {"dog"})]),
        ("teddy bears beside a bear", [("teddy bears", {"teddy bear"}), ("bear", {"bear"})]),
        ("a man rides his bike", [("man", {"person"}), ("bike", {"bicycle", "motorcycle"})]),
        ("a traffic light at the train station", [("traffic light", {"traffic light"})]),
        ("people at dining room tables", [("people", {"person"}), ("dining room tables", {"dining table"})]),
        ("baseball bat", [("baseball bat", {"baseball bat"})]),
        ("dogs", [("dogs", {"dog"})]),
        ("persons in glasses", [("persons", {"person"})]),
        ("a glass and a wine glass", [("wine glass", {"wine glass"})]),
        ("dogged training of doggerel", []),
        ("", []),
    ],
)
def test_phrases_plurals_and_double_meanings(text: str, expected: list) -> None:
    assert found(text) == expected


@pytest.mark.parametrize(
    ("noun", "expected"),
    [
        ("woman", "women"), ("bus", "buses"), ("knife", "knives"), ("puppy", "puppies"), ("boy", "boys"),
        ("couch", "couches"), ("wine glass", "wine glasses"), ("sheep", "sheep"), ("toothbrush", "toothbrushes"),
    ],
)  # fmt: skip
def test_plurals(noun: str, expected: str) -> None:
    assert plural(noun) == expected


def test_every_form_of_every_word_names_its_category() -> None:
    for category, nouns in CATEGORY_WORDS.items():
        for noun in nouns:
            for form in (noun, plural(noun)):
                ((text, categories),) = found(form)
                assert text == form and category in categories
        assert caption_words(category) == category, "as captions are written"


def test_all_categories_of_coco_have_words(course_data: Path) -> None:
    marked = {thing.category for things in coco_mini(folder=course_data).things for thing in things}
    assert len(CATEGORY_WORDS) == 80 and marked <= set(CATEGORY_WORDS)
