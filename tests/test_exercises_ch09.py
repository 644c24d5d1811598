"""Chapter 9's checks: right answers pass however they are written, and each usual mistake gets its own hint."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from course_pkg.exercises import examine, names
from course_pkg.exercises.ch09 import WHERE_TO_LOOK
from course_pkg.gallery import PATIENTS, ward

RIGHT = {letter: who.name for letter, who in ward().items()}


def signs(alpha: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    spread = (alpha.amax(0) - alpha.amin(0)).max()
    return (alpha * ~mask).max(), (alpha.sum(1) - 1).abs().max(), spread


def in_words(alpha: torch.Tensor, mask: torch.Tensor) -> list[float]:
    rows = alpha.tolist()
    padding = max((v for row in rows for v, real in zip(row, mask.tolist(), strict=True) if not real), default=0.0)
    pairs = [abs(a - b) for one in rows for other in rows for a, b in zip(one, other, strict=True)]
    return [padding, max(abs(sum(row) - 1) for row in rows), max(pairs)]


def caught(name: str, answer: Any, told: str, hint: str) -> None:
    last = examine(name, answer).findings[-1]
    assert not last.holds and told in last.text and hint in last.hint, last


def test_the_chapter_has_two_checks() -> None:
    assert [name for name in names() if name.startswith("09.")] == ["09.signs", "09.ward"]


@pytest.mark.parametrize("answer", [signs, in_words])
def test_signs_right(answer: Callable) -> None:
    assert examine("09.signs", answer).passed


Signs = Callable[[torch.Tensor, torch.Tensor], Any]
MISTAKES: dict[str, tuple[Signs, str, str]] = {
    "nothing": (lambda a, m: None, "returns nothing yet", "return"),
    "one number": (lambda a, m: a.max(), "three numbers", "one for each sign"),
    "largest of nothing": (lambda a, m: (a[:, ~m].max(), *signs(a, m)[1:]), "stops it", "no padding"),
    "mask the wrong way": (lambda a, m: ((a * m).max(), *signs(a, m)[1:]), "not of the padding", "real"),
    "padding added up": (lambda a, m: ((a * ~m).sum(1).max(), *signs(a, m)[1:]), "adds up", "single"),
    "first row only": (lambda a, m: ((a * ~m)[0].max(), *signs(a, m)[1:]), "differs", "every row"),
    "columns added up": (lambda a, m: (signs(a, m)[0], (a.sum(0) - 1).abs().max(), signs(a, m)[2]), "columns", "over"),
    "words alone added up": (
        lambda a, m: (signs(a, m)[0], (a[:, m].sum(1) - 1).abs().max(), signs(a, m)[2]), "leave the padding", "whole"),
    "too much alone": (lambda a, m: (signs(a, m)[0], (a.sum(1) - 1).max(), signs(a, m)[2]), "above 1", "0.2"),
    "the best row": (
        lambda a, m: (signs(a, m)[0], (a.sum(1) - 1).abs().min(), signs(a, m)[2]), "row sums differ", "worst"),
    "within a row": (lambda a, m: (*signs(a, m)[:2], (a.amax(1) - a.amin(1)).max()), "within a row", "column"),
    "first and last": (lambda a, m: (*signs(a, m)[:2], (a[0] - a[-1]).abs().max()), "differs", "largest minus"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_signs_wrong(mistake: str) -> None:
    caught("09.signs", *MISTAKES[mistake])


def test_the_ward_right() -> None:
    assert examine("09.ward", RIGHT).passed


def test_every_patient_lies_behind_one_door() -> None:
    assert sorted(RIGHT.values()) == sorted(one.name for one in PATIENTS) == sorted(WHERE_TO_LOOK)


@pytest.mark.parametrize("letter", RIGHT)
def test_a_wrong_diagnosis_says_where_to_look_and_not_what_it_is(letter: str) -> None:
    name = RIGHT[letter]
    other = "no mask" if name != "no mask" else "frozen v_a"
    caught("09.ward", RIGHT | {letter: other}, f"9 of 10 are right; {letter} is not", letter)
    feedback = str(examine("09.ward", RIGHT | {letter: other}))
    assert name not in feedback or name == "healthy"


@pytest.mark.parametrize(
    ("answer", "told", "hint"),
    [
        (["no mask"] * 10, "ten doors", "dictionary"),
        ({"A": "no mask"}, "ten doors", "dictionary"),
        (RIGHT | {"C": "the flu"}, "no diagnosis 'the flu'", "no tanh"),
    ],
)
def test_the_ward_needs_ten_known_names(answer: Any, told: str, hint: str) -> None:
    caught("09.ward", answer, told, hint)
