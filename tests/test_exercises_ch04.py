"""Chapter 4's checks: right answers pass however they are written, and each usual mistake gets its own hint."""

import pytest
import torch

from course_pkg.exercises import examine, names


def test_the_chapter_has_three_checks() -> None:
    assert [name for name in names() if name.startswith("04.")] == ["04.half", "04.lookup", "04.temperature"]


def caught(name: str, answer: object, told: str, hint: str) -> None:
    last = examine(name, answer).findings[-1]
    assert not last.holds and told in last.text and hint in last.hint, last


@pytest.mark.parametrize(
    "answer", [(0.02, 0.12, 0.87), [0.016, 0.117, 0.867], torch.tensor([0.0, 2.0, 4.0]).softmax(0)]
)
def test_half_right(answer: object) -> None:
    assert examine("04.half", answer).passed


@pytest.mark.parametrize(
    ("answer", "told", "hint"),
    [
        ((0.5, 0.5), "2 numbers", "three"),
        (0.5, "is 1 number", "three"),
        ((0, 2, 4), "energies over the temperature", "softmax"),
        ((1.0, 7.39, 54.6), "sum to 62.99", "divide"),
        ((2, 12, 87), "per cent", "to 1"),
        ((0.09, 0.24, 0.67), "temperature 1", "½"),
        ((0.19, 0.31, 0.51), "temperature 2", "larger"),
        ((0.87, 0.12, 0.02), "order", "last"),
        ((0.12, 0.87, 0.02), "differ from ours", "0, 2 and 4"),
    ],
)
def test_half_wrong(answer: object, told: str, hint: str) -> None:
    caught("04.half", answer, told, hint)


def test_temperature_right() -> None:
    assert examine("04.temperature", 0.455).passed and examine("04.temperature", 0.46).passed


@pytest.mark.parametrize(
    ("answer", "told"),
    [(0, "positive"), (2.197, "one over"), (0.91, "dog and the"), (1.0, "2.7 times"), (1e-9, "million")],
)
def test_temperature_wrong(answer: float, told: str) -> None:
    caught("04.temperature", answer, told, "")


def mix(weights, h):  # type: ignore[no-untyped-def]
    return weights, weights @ h


@pytest.mark.parametrize(
    "answer",
    [
        lambda e, h, tau: mix((e / tau).softmax(dim=0), h),
        lambda e, h, tau: mix((p := ((e - e.max()) / tau).exp()) / p.sum(), h),
    ],
)
def test_lookup_right(answer: object) -> None:
    assert examine("04.lookup", answer).passed


def powers(e, h, tau):  # type: ignore[no-untyped-def]
    p = (e / tau).exp()
    return mix(p / p.sum(), h)


def frozen(e, h, tau):  # type: ignore[no-untyped-def]
    return mix((e / max(tau, 0.4)).softmax(0), h)


@pytest.mark.parametrize(
    ("answer", "told", "hint"),
    [
        (lambda e, h, tau: None, "returns nothing", "return"),
        (lambda e, h, tau: (e / tau).softmax(0), "two things", "return"),
        (lambda e, h, tau: mix((e / tau).softmax(0), h)[::-1], "shape", "4 energies"),
        (lambda e, h, tau: ((e / tau).softmax(0), h), "context has shape", "wide"),
        (lambda e, h, tau: mix((e / tau).exp(), h), "sum to", "divide"),
        (lambda e, h, tau: mix(torch.nn.functional.one_hot(e.argmax(), 4).float(), h), "hard", "share"),
        (lambda e, h, tau: mix((-e / tau).softmax(0), h), "differ from ours", "exp"),
        (lambda e, h, tau: ((e / tau).softmax(0), h.mean(0)), "weighted sum", "row"),
        (lambda e, h, tau: mix(e.softmax(0), h), "changes nothing", "divide"),
        (lambda e, h, tau: mix((e * tau).softmax(0), h), "flatter", "multiply"),
        (lambda e, h, tau: mix((e / tau**2).softmax(0), h), "½", "divided"),
        (powers, "nan", "overflow"),
        (frozen, "not one word", "best word"),
    ],
)
def test_lookup_wrong(answer: object, told: str, hint: str) -> None:
    caught("04.lookup", answer, told, hint)
