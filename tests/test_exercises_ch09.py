"""Chapter 9's checks: right answers pass however they are written, and each usual mistake gets its own hint."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from course_pkg.batching import Batch
from course_pkg.exercises import examine, names
from course_pkg.exercises.ch09 import CHOICES, WHERE_TO_LOOK, _diagnosis
from course_pkg.gallery import LONG, PATIENTS, SHORT, ward
from course_pkg.models import EncoderDecoder
from course_pkg.vocabulary import EOS

ROOT = Path(__file__).resolve().parent.parent
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


def test_the_chapter_has_three_checks() -> None:
    assert [name for name in names() if name.startswith("09.")] == ["09.company", "09.signs", "09.ward"]


def stacked(alpha: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return torch.stack(signs(alpha, mask))


@pytest.mark.parametrize("answer", [signs, in_words, stacked])
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
    "neighbours": (lambda a, m: (*signs(a, m)[:2], (a[1:] - a[:-1]).abs().max()), "neighbouring", "any two"),
    "one minus the mask": (lambda a, m: ((a * (1 - m)).max(), *signs(a, m)[1:]), "cannot be subtracted", "~mask"),
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


def test_of_several_wrong_diagnoses_the_first_is_named() -> None:
    caught("09.ward", RIGHT | {"G": "no mask", "I": "no mask"}, "8 of 10 are right; the first that is not is G", "G:")


def test_a_healthy_patient_is_healthy_whichever_way_it_reads() -> None:
    assert examine("09.ward", RIGHT | {"F": "Healthy."}).passed
    caught("09.ward", RIGHT | {"B": "healthy, reads backwards"}, "B is not", "B:")


def choices() -> dict[str, list[str]]:
    """The words of the chapter's choices, door by door."""
    notebook = json.loads((ROOT / "book/09_debugging_with_alpha.ipynb").read_text(encoding="utf-8"))
    text = "".join("".join(cell["source"]) for cell in notebook["cells"])
    found: dict[str, list[str]] = {}
    for letter, number, words in re.findall(r"<summary><b>([A-J])(\d)\. (.*?)</b>", text):
        found.setdefault(letter, []).append(words)
        assert len(found[letter]) == int(number)
    return found


def test_a_diagnosis_may_be_given_in_the_words_or_the_mark_of_a_choice() -> None:
    written = choices()
    assert {letter: len(words) for letter, words in written.items()} == dict.fromkeys(CHOICES, 4)
    for letter, words in written.items():
        for number, (said, name) in enumerate(zip(words, CHOICES[letter], strict=True), start=1):
            assert _diagnosis(letter, f"{letter}{number}") == name
            assert name == "" or _diagnosis(letter, said) == name, said
    by_mark, by_words = {}, {}
    for letter, who in ward().items():
        place = CHOICES[letter].index("healthy" if who.healthy else who.name)
        by_mark[letter], by_words[letter] = f"{letter}{place + 1}", written[letter][place].upper()
    assert examine("09.ward", by_mark).passed and examine("09.ward", by_words).passed


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


# -- the test for company


@torch.no_grad()
def look(model: EncoderDecoder, *pairs: Any) -> torch.Tensor:
    weights = model(Batch.collate(list(pairs))).weights
    assert weights is not None
    return weights


def company_test(model: EncoderDecoder) -> None:
    alone, together = look(model, SHORT)[0], look(model, SHORT, LONG)[0]
    assert torch.allclose(together[: len(alone), : alone.shape[1]], alone)


def with_a_short_translation(model: EncoderDecoder) -> None:
    other = (LONG[0], (6, EOS))
    alone, together = look(model, SHORT)[0], look(model, SHORT, other)[0]
    assert torch.allclose(together[:, : alone.shape[1]], alone)


def of_the_longer(model: EncoderDecoder) -> None:
    assert torch.allclose(look(model, SHORT, LONG)[1], look(model, LONG)[0])


def of_the_sums(model: EncoderDecoder) -> None:
    alone, together = look(model, SHORT)[0], look(model, SHORT, LONG)[0]
    assert torch.allclose(together[: len(alone)].sum(1), alone.sum(1))


def of_whole_batches(model: EncoderDecoder) -> None:
    together, alone = look(model, SHORT, LONG)[0], look(model, SHORT)[0]
    assert together.shape == alone.shape


def and_of_lively_rows(model: EncoderDecoder) -> None:
    company_test(model)
    rows = look(model, LONG)[0]
    assert (rows - rows[0]).abs().max() > 0.01


@pytest.mark.parametrize(
    ("answer", "told"), [(company_test, "so does D"), (with_a_short_translation, "D slips through")]
)
def test_company_right(answer: Callable, told: str) -> None:
    feedback = examine("09.company", answer)
    assert feedback.passed and told in str(feedback)


@pytest.mark.parametrize(
    ("answer", "told", "hint"),
    [
        (lambda model: None, "C, G and I pass it too", "alone"),
        (of_the_longer, "C and I pass", "shorter"),
        (of_the_sums, "C and I pass", "each of its weights"),
        (of_whole_batches, "a healthy model fails", "cut"),
        (and_of_lively_rows, "fails it, though", "nothing but"),
    ],
)
def test_company_wrong(answer: Callable, told: str, hint: str) -> None:
    caught("09.company", answer, told, hint)
