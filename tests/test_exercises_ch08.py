"""Chapter 8's checks: right answers pass however they are written, and each usual mistake gets its own hint."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from course_pkg.exercises import examine, names
from course_pkg.exercises.ch08 import _POSSIBLE, _PREDICTED, _SURE
from course_pkg.metrics import alignment_error_rate


def test_the_chapter_has_three_checks() -> None:
    assert [name for name in names() if name.startswith("08.")] == ["08.aer", "08.posterior", "08.sums"]


def caught(name: str, answer: object, told: str, hint: str) -> None:
    last = examine(name, answer).findings[-1]
    assert not last.holds and told in last.text and hint in last.hint, last


# -- alignment error rate ---------------------------------------------------------------------------------------------


def counted(predicted, sure, possible):  # type: ignore[no-untyped-def]
    rows = list(zip(predicted, sure, possible, strict=True))
    a, s = sum(len(a) for a, _, _ in rows), sum(len(s) for _, s, _ in rows)
    return a, s, sum(len(a & s) for a, s, _ in rows), sum(len(a & p) for a, _, p in rows), sum(map(len, possible))


def by_counts(predicted, sure, possible):  # type: ignore[no-untyped-def]
    a, s, a_s, a_p, _ = counted(predicted, sure, possible)
    return torch.tensor(1 - (a_s + a_p) / (a + s))


def by_package(predicted, sure, possible):  # type: ignore[no-untyped-def]
    return alignment_error_rate(predicted, sure, possible).aer


def of_counts(formula: Callable) -> Callable:
    return lambda *sides: formula(*counted(*sides))


def sentence_mean(*sides):  # type: ignore[no-untyped-def]
    rows = [alignment_error_rate(*([links] for links in case)).aer for case in zip(*sides, strict=True)]
    return sum(rows) / len(rows)


def test_the_check_s_corpus_tells_precision_from_recall() -> None:
    """(8.1) and (8.2): the four counts are all different."""
    assert counted(_PREDICTED, _SURE, _POSSIBLE) == (11, 7, 5, 8, 10)


@pytest.mark.parametrize("answer", [by_counts, by_package])
def test_aer_right(answer: Callable) -> None:
    assert examine("08.aer", answer).passed


@pytest.mark.parametrize(
    ("answer", "told", "hint"),
    [
        (lambda *_: None, "returns nothing", "return"),
        (lambda *_: [0.1, 0.2, 0.3], "3 numbers", "divide once"),
        (lambda predicted, sure, possible: len(predicted & sure), "TypeError", "for each sentence"),
        (lambda predicted, sure, possible: predicted.intersection(sure), "AttributeError", "for each sentence"),
        (of_counts(lambda a, s, a_s, a_p, p: (a_s + a_p) / (a + s)), "what is right", "1 −"),
        (of_counts(lambda a, s, a_s, a_p, p: 100 - 100 * (a_s + a_p) / (a + s)), "per cent", "between 0 and 1"),
        (sentence_mean, "mean over sentences", "add the counts"),
        (of_counts(lambda a, s, a_s, a_p, p: 1 - 2 * a_s / (a + s)), "gives possible links no credit", "not an error"),
        (of_counts(lambda a, s, a_s, a_p, p: 1 - (a_s + a_p) / (a + p)), "divide by the possible", "|S|"),
        (of_counts(lambda a, s, a_s, a_p, p: 1 - 2 * a_p / (a + s)), "leaves out the sure links", "two"),
        (of_counts(lambda a, s, a_s, a_p, p: 1 - a_p / a), "precision", "missing"),
        (of_counts(lambda a, s, a_s, a_p, p: 1 - a_s / s), "recall", "too many"),
        (of_counts(lambda a, s, a_s, a_p, p: 1 - (a_s / s + a_p / a) / 2), "mean of two", "once"),
        (lambda *_: 0.9, "differs", "count four"),
    ],
)
def test_aer_wrong(answer: Callable, told: str, hint: str) -> None:
    caught("08.aer", answer, told, hint)


# -- a posterior by hand ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [(0.17, 0.80, 0.03), [1 / 6, 0.8, 1 / 30], np.array([0.167, 0.8, 0.033])])
def test_posterior_right(answer: object) -> None:
    assert examine("08.posterior", answer).passed


@pytest.mark.parametrize(
    ("answer", "told", "hint"),
    [
        (None, "no answer", "run the cell"),
        ((0.17, 0.83), "2 numbers", "each"),
        ((0.05, 0.24, 0.01), "do not sum", "divide"),
        ((0.105, 0.842, 0.053), "leaves α out", "likely word"),
        ((0.1, 0.8, 0.05), "leaves α out", "likely word"),
        ((0.5, 0.3, 0.2), "leaves the word out", "multiply"),
        ((0.31, 0.56, 0.13), "added", "product"),
        ((0.536, 0.04, 0.43), "divided by", "gain"),
        ((0.8, 0.17, 0.03), "differ", "position by position"),
    ],
)
def test_posterior_wrong(answer: object, told: str, hint: str) -> None:
    caught("08.posterior", answer, told, hint)


# -- source sums ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        lambda alpha, mask: (alpha * mask[:, :, None]).sum(1),
        lambda alpha, mask: torch.einsum("bts,bt->bs", alpha, mask.float()),
        lambda alpha, mask: torch.stack([a[m].sum(0) for a, m in zip(alpha, mask, strict=True)]),
    ],
)
def test_sums_right(answer: Callable) -> None:
    assert examine("08.sums", answer).passed


@pytest.mark.parametrize(
    ("answer", "told", "hint"),
    [
        (lambda alpha, mask: None, "returns nothing", "return"),
        (lambda alpha, mask: alpha.sum(2), "each target word", "all 1"),
        (lambda alpha, mask: alpha.sum(), "shape", "Which axis"),
        (lambda alpha, mask: alpha.sum(1), "padded rows", "never happened"),
        (lambda alpha, mask: (alpha * mask[:, :, None]).mean(1), "means", "hands out T"),
        (lambda alpha, mask: (alpha * mask[:, :, None]).sum(1) / mask.sum(1)[:, None], "means", "hands out T"),
        (lambda alpha, mask: (alpha * mask[:, :, None]).amax(1), "largest", "add up"),
        (lambda alpha, mask: 2 * alpha.sum(1), "differ", "padding"),
    ],
)
def test_sums_wrong(answer: Callable, told: str, hint: str) -> None:
    caught("08.sums", answer, told, hint)
