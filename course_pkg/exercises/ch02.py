"""Checks of chapter 2: the length of a path, how many words fit into a vector, and the shortest way of a reversal."""

import math
from collections.abc import Callable, Iterator
from numbers import Real
from typing import Any

from course_pkg.exercises.registry import Finding, exercise, right, wrong

PLACES = ((1, 9, 9), (1, 1, 9), (4, 2, 6), (7, 3, 21), (12, 12, 12))
VECTORS = ((96, 255, 1.0), (174, 267, 32.0), (1000, 30_000, 1.0), (16, 1024, 2.0))
# Links (source word, target word) from 0: in order; one crossing; the last word first.
SENTENCES = (
    ([(0, 0), (1, 1), (2, 2)], 3),
    ([(0, 0), (1, 2), (2, 1), (3, 3)], 4),
    ([(4, 0), (0, 1), (1, 2), (2, 3), (3, 4)], 5),
    ([(2, 0), (5, 1)], 6),
)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, Real) and math.isfinite(value) else None


def _answers(answer: Callable[..., Any], cases: tuple[tuple[Any, ...], ...]) -> list[float | None]:
    return [_number(answer(*case)) for case in cases]


def _numbers(answer: Callable[..., Any], cases: Any, found: list[Any], what: str) -> Iterator[Finding]:
    """Whether the function returns numbers; ``what`` says which."""
    if all(answer(*case) is None for case in cases):
        yield wrong("the function returns nothing yet", f"end it with `return`, and {what}.")
    elif None in found:
        yield wrong("it does not return a number", f"end the function with `return`, and {what}.")
    yield right("it returns numbers")


@exercise("02.path", "the length of the path")
def _path(answer: Callable[..., Any]) -> Iterator[Finding]:
    """``path(i, j, T_x)``: updates between reading x_j and writing y_i if c only starts the decoder."""
    found = _answers(answer, PLACES)
    yield from _numbers(answer, PLACES, found, "a count of updates")
    wanted = [T_x - j + 1 + i for i, j, T_x in PLACES]
    if found == [T_x - j + 1 for _, j, T_x in PLACES]:
        hint = "how many updates of its own does the decoder make until its state is s_i?"
        yield wrong("that is the way from x_j to c only", hint)
    elif found == [T_x + i for i, _, T_x in PLACES]:
        yield wrong("every word is as far as the first", "a word that is read late has a shorter way: where is j?")
    elif found in ([n - 1 for n in wanted], [n + 1 for n in wanted]):
        hint = "take the shortest case: one word, j = 1, T_x = 1, i = 1. Which updates happen, one by one?"
        yield wrong("it is one off everywhere", hint)
    elif found == [j + i for i, j, _ in PLACES]:
        yield wrong("a word that is read early is near", "which of the words is read last, just before c is ready?")
    elif found != wanted:
        hint = "count in two parts: the updates that turn x_j into a part of c, then those from c to s_i."
        yield wrong("the counts differ from those of the graph", hint)
    yield right("the counts are those of the graph")


@exercise("02.capacity", "how many words fit")
def _capacity(answer: Callable[..., Any]) -> Iterator[Finding]:
    """``words_that_fit(H, V, u)``: the longest sentence whose every version gets a vector of its own."""
    found = _answers(answer, VECTORS)
    yield from _numbers(answer, VECTORS, found, "a number of words")
    exact = [u * H / math.log2(V) for H, V, u in VECTORS]
    values = [float(value) for value in found if value is not None]

    def are(others: list[Any]) -> bool:
        return all(abs(a - b) < 1e-6 for a, b in zip(values, others, strict=True))

    if are([u * H / math.log(V) for H, V, u in VECTORS]) or are([u * H // math.log(V) for H, V, u in VECTORS]):
        yield wrong("these are natural logarithms", "bits count doublings: which logarithm does that?")
    elif are([H / math.log2(V) for H, V, _ in VECTORS]) or are([H // math.log2(V) for H, V, _ in VECTORS]):
        yield wrong("every number holds one bit", "where does u come in?")
    elif are(exact):
        yield wrong("a sentence has a whole number of words", "does 12.9 words' room hold a thirteenth word?")
    elif are([math.ceil(value) for value in exact]) or are([math.floor(value) + 1 for value in exact]):
        yield wrong("one word too many", "room for a part of a word is no room for the word.")
    elif not are([math.floor(value) for value in exact]):
        yield wrong("the numbers differ from ours", "solve (2.1) for T_x, then take whole words.")
    yield right("no word fits any more")


def _lags(links: list[tuple[int, int]], length: int, backwards: bool) -> list[int]:
    return [length + i + 1 - (length - j if backwards else j + 1) for j, i in links]


@exercise("02.lag", "the shortest way of a sentence")
def _lag(answer: Callable[..., Any]) -> Iterator[Finding]:
    """``shortest_lag(links, length, backwards)``: the fewest steps from reading a word to writing its translation."""
    cases = tuple((links, length, way) for links, length in SENTENCES for way in (False, True))
    found = _answers(answer, cases)
    yield from _numbers(answer, cases, found, "one count of steps")
    wanted = [min(_lags(*case)) for case in cases]
    if found == [max(_lags(*case)) for case in cases]:
        yield wrong("that is the longest way", "which pair of words is closest together?")
    elif found == [min(_lags(links, length, False)) for links, length, _ in cases]:
        yield wrong("the direction changes nothing", "backwards, the last word is read at step 1.")
    elif found == [min(_lags(links, length, not way)) for links, length, way in cases]:
        yield wrong("the directions are exchanged", "read forwards, at which step is the first word read?")
    elif found in ([n - 1 for n in wanted], [n + 1 for n in wanted]):
        hint = "indices count from 0, steps from 1; a word may be written in the very step after it was read."
        yield wrong("it is one off everywhere", hint)
    elif found[::2] != wanted[::2]:
        hint = "word j is read at step j + 1, and word i written at step length + i + 1."
        yield wrong("read forwards, the counts are wrong", hint)
    elif found != wanted:
        yield wrong(
            "read backwards, the counts are wrong", "at which step is word j read, if the last one comes first?"
        )
    yield right("forwards and backwards, the closest pair is found")
