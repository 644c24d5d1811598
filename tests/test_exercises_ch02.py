"""Chapter 2's checks: right answers pass however they are written, and each usual mistake gets its own hint."""

import math
from collections.abc import Callable

import pytest

from course_pkg.exercises import ch02, examine, names


def caught(name: str, answer: Callable, told: str, hint: str) -> None:
    last = examine(name, answer).findings[-1]
    assert not last.holds and told in last.text and hint in last.hint, last


def test_the_chapter_has_three_checks() -> None:
    assert [name for name in names() if name.startswith("02.")] == ["02.capacity", "02.lag", "02.path"]


@pytest.mark.parametrize("name", ["02.capacity", "02.lag", "02.path"])
def test_an_unfinished_function_is_told_so(name: str) -> None:
    caught(name, lambda *_: None, "returns nothing yet", "return")
    caught(name, lambda *_: math.nan, "does not return a number", "return")


# -- the path ---------------------------------------------------------------------------------------------------------


def walked(i: int, j: int, T_x: int) -> int:
    """Breadth-first over the states: x_j enters h_j, each state reaches the next, h_{T_x} is s_0."""
    reach = {("h", t): ("h", t + 1) for t in range(1, T_x)} | {("h", T_x): ("s", 0)}
    reach |= {("s", t): ("s", t + 1) for t in range(i)}
    at, updates = ("h", j), 1
    while at != ("s", i):
        at = reach[at]
        updates += at != ("s", 0)  # s_0 is c itself
    return updates


@pytest.mark.parametrize("answer", [walked, lambda i, j, T_x: i + T_x - j + 1.0], ids=["walk", "formula"])
def test_path(answer: Callable) -> None:
    assert examine("02.path", answer).passed


@pytest.mark.parametrize(
    ("answer", "told", "hint"),
    [
        (lambda i, j, T_x: T_x - j + 1, "to c only", "of its own"),
        (lambda i, j, T_x: T_x + i, "as far as the first", "where is j"),
        (lambda i, j, T_x: T_x - j + i, "one off", "shortest case"),
        (lambda i, j, T_x: T_x - j + i + 2, "one off", "shortest case"),
        (lambda i, j, T_x: i + j, "read early", "read last"),
        (lambda i, j, T_x: T_x * i, "those of the graph", "two parts"),
    ],
)
def test_path_wrong(answer: Callable, told: str, hint: str) -> None:
    caught("02.path", answer, told, hint)


# -- how many words fit -----------------------------------------------------------------------------------------------


def by_counting(H: int, V: int, u: float) -> int:
    """The longest length with no more sentences than vectors, in whole numbers."""
    words = 0
    while V ** (words + 1) <= 2 ** int(u * H):
        words += 1
    return words


@pytest.mark.parametrize("answer", [by_counting, lambda H, V, u: u * H // math.log2(V)], ids=["counting", "formula"])
def test_capacity(answer: Callable) -> None:
    assert examine("02.capacity", answer).passed


@pytest.mark.parametrize(
    ("answer", "told", "hint"),
    [
        (lambda H, V, u: u * H / math.log(V), "natural", "doublings"),
        (lambda H, V, u: int(u * H / math.log(V)), "natural", "doublings"),
        (lambda H, V, u: int(H / math.log2(V)), "one bit", "u come in"),
        (lambda H, V, u: u * H / math.log2(V), "whole number", "thirteenth"),
        (lambda H, V, u: math.ceil(u * H / math.log2(V)), "too many", "part of a word"),
        (lambda H, V, u: H / V, "differ from ours", "(2.1)"),
    ],
)
def test_capacity_wrong(answer: Callable, told: str, hint: str) -> None:
    caught("02.capacity", answer, told, hint)


# -- the shortest way -------------------------------------------------------------------------------------------------


def by_lists(links: list, length: int, backwards: bool) -> int:
    """Write down what happens step by step, and look up both steps."""
    read = list(range(length))[::-1] if backwards else list(range(length))
    steps = [("read", j) for j in read] + [("write", i) for i in range(1 + max(i for _, i in links))]
    return min(steps.index(("write", i)) - steps.index(("read", j)) for j, i in links)


def by_formula(links: list, length: int, backwards: bool) -> int:
    return min(i + j + 1 if backwards else length + i - j for j, i in links)


@pytest.mark.parametrize("answer", [by_lists, by_formula], ids=["lists", "formula"])
def test_lag(answer: Callable) -> None:
    assert examine("02.lag", answer).passed


@pytest.mark.parametrize(
    ("answer", "told", "hint"),
    [
        (lambda links, n, b: max(ch02._lags(links, n, b)), "longest", "closest"),
        (lambda links, n, b: by_formula(links, n, False), "changes nothing", "step 1"),
        (lambda links, n, b: by_formula(links, n, not b), "exchanged", "forwards"),
        (lambda links, n, b: by_formula(links, n, b) + 1, "one off", "from 0"),
        (lambda links, n, b: by_formula(links, n, b) - 1, "one off", "from 0"),
        (lambda links, n, b: n if not b else 1, "read forwards", "word j is read"),
        (lambda links, n, b: n + min(i - j for j, i in links) if not b else 1, "read backwards", "last one comes"),
    ],
)
def test_lag_wrong(answer: Callable, told: str, hint: str) -> None:
    caught("02.lag", answer, told, hint)
