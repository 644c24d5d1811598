"""Chapter 13's checks: right answers pass however they are written, and each usual mistake gets its own hint."""

from typing import Any

import numpy as np
import pytest

from course_pkg.exercises import examine, names
from course_pkg.exercises.ch13 import _CASES, VERDICTS, _gaze, _words
from course_pkg.pointing import attention_mass


def caught(name: str, answer: Any, told: str, hint: str) -> None:
    last = examine(name, answer).findings[-1]
    assert not last.holds and told in last.text and hint in last.hint, last


def test_the_chapter_has_three_checks() -> None:
    assert [name for name in names() if name.startswith("13.")] == ["13.interval", "13.mass", "13.verdict"]


# -- attention mass ---------------------------------------------------------------------------------------------------


def mass(alpha, covered):  # type: ignore[no-untyped-def]
    return (alpha * covered).sum(1), covered.mean(1)


def by_the_package(alpha, covered):  # type: ignore[no-untyped-def]
    """Places four pixels wide, of which as many lie in the region as the share says."""
    masks = np.repeat(4 * covered, 4, axis=1) > np.tile(np.arange(4), covered.shape[1])
    even = np.full((len(alpha), 1, covered.shape[1]), 1 / covered.shape[1])
    return attention_mass(alpha[:, None], masks[:, None]), attention_mass(even, masks[:, None])


@pytest.mark.parametrize("answer", [mass, by_the_package, lambda a, o: [np.einsum("tl,tl->t", a, o), o.sum(1) / 6]])
def test_mass(answer: Any) -> None:
    assert examine("13.mass", answer).passed


@pytest.mark.parametrize(
    ("answer", "told", "hint"),
    [
        (lambda a, o: None, "returns nothing", "return"),
        (lambda a, o: (a * o).sum(1), "not two results", "even"),
        (lambda a, o: ((a * o).sum(), o.mean()), "shapes", "axis 1"),
        (lambda a, o: ((a * (o > 0)).sum(1), o.mean(1)), "touched", "half"),
        (lambda a, o: ((a * (o >= 0.5)).sum(1), o.mean(1)), "or not at all", "share"),
        (lambda a, o: ((a * o).sum(1) / o.sum(1), o.mean(1)), "divided", "compared"),
        (lambda a, o: (a.max(1), o.mean(1)), "mass is not right", "times"),
        (lambda a, o: ((a * o).sum(1), o.sum(1)), "more than there is", "1/L"),
        (lambda a, o: ((a * o).sum(1), a.mean(1)), "even gaze's mass", "1/L"),
    ],
)
def test_mass_wrong(answer: Any, told: str, hint: str) -> None:
    caught("13.mass", answer, told, hint)


def test_the_cases_of_mass_can_be_told_apart() -> None:
    alpha, covered = _gaze()
    assert np.allclose(alpha.sum(1), 1) and ((covered > 0) & (covered < 1)).any(1).all()


# -- an interval over pictures ----------------------------------------------------------------------------------------


def interval(values, pictures, draws):  # type: ignore[no-untyped-def]
    means = [np.concatenate([values[pictures == p] for p in row]).mean() for row in draws]
    return np.quantile(means, [0.025, 0.975])


def by_counts(values, pictures, draws):  # type: ignore[no-untyped-def]
    sums, counts = np.bincount(pictures, weights=values), np.bincount(pictures)
    means = sums[draws].sum(1) / counts[draws].sum(1)
    return np.percentile(means, 2.5), np.percentile(means, 97.5)


@pytest.mark.parametrize("answer", [interval, by_counts])
def test_interval(answer: Any) -> None:
    assert examine("13.interval", answer).passed


def of_words(values, pictures, draws):  # type: ignore[no-untyped-def]
    drawn = np.random.default_rng(0).integers(0, len(values), (400, len(values)))
    return np.quantile(values[drawn].mean(1), [0.025, 0.975])


def of_means(values, pictures, draws):  # type: ignore[no-untyped-def]
    means = np.array([values[pictures == p].mean() for p in range(8)])
    return np.quantile(means[draws].mean(1), [0.025, 0.975])


def once(values, pictures, draws):  # type: ignore[no-untyped-def]
    return np.quantile([values[np.isin(pictures, row)].mean() for row in draws], [0.025, 0.975])


def ninety(values, pictures, draws):  # type: ignore[no-untyped-def]
    means = [np.concatenate([values[pictures == p] for p in row]).mean() for row in draws]
    return np.quantile(means, [0.05, 0.95])


@pytest.mark.parametrize(
    ("answer", "told", "hint"),
    [
        (lambda *given: None, "returns nothing", "return"),
        (lambda *given: 0.5, "shape ()", "two numbers"),
        (lambda *given: interval(*given)[::-1], "exchanged", "lower"),
        (ninety, "90 %", "2.5 %"),
        (of_means, "counts alike", "divide once"),
        (once, "counts once", "twice"),
        (of_words, "not right", "drawn pictures"),
        (lambda *given: interval(*_words()), "other values", "arguments"),
    ],
)
def test_interval_wrong(answer: Any, told: str, hint: str) -> None:
    caught("13.interval", answer, told, hint)


def test_drawing_words_makes_the_interval_too_narrow() -> None:
    low, high = interval(*_words())
    too_low, too_high = of_words(*_words())
    assert high - low > 1.3 * (too_high - too_low)


# -- verdicts ---------------------------------------------------------------------------------------------------------

RIGHT = {case: verdict for case, (verdict, _) in _CASES.items()}


def test_verdicts() -> None:
    feedback = examine("13.verdict", dict(RIGHT))
    assert feedback.passed and set(RIGHT.values()) == set(VERDICTS)


@pytest.mark.parametrize("case", _CASES)
@pytest.mark.parametrize("verdict", VERDICTS)
def test_each_wrong_verdict_is_told(case: str, verdict: str) -> None:
    if verdict != RIGHT[case]:
        caught("13.verdict", {**RIGHT, case: verdict}, f"{case} is not {verdict!r}", "")


@pytest.mark.parametrize(
    ("answer", "told", "hint"),
    [
        (["sentence"] * 6, "no dictionary", "{"),
        (dict.fromkeys(RIGHT), "no answer yet", "choose"),
        ({**RIGHT, "C": None}, "no verdict on C", "choose"),
        ({**RIGHT, "C": "guilty"}, "'guilty'", "choose"),
    ],
)
def test_verdict_wrong(answer: Any, told: str, hint: str) -> None:
    caught("13.verdict", answer, told, hint)
