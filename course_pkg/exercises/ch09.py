"""Checks of chapter 9: three signs read off a matrix of weights, and the diagnoses of the ten patients."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from course_pkg.exercises.registry import Finding, exercise, right, wrong
from course_pkg.gallery import PATIENTS, ward

WHERE_TO_LOOK = {
    "no mask": "look at the grey columns on the right of the second sentence.",
    "wrong axis": "add up a few rows of the second sentence; then look at the same sentence alone.",
    "no tanh": "compare the rows with one another, not with the squares.",
    "the new state asks": "compare the bars with those of a healthy patient: at which row do they begin?",
    "one row late": "do the dark cells miss the squares at random, or all in the same way?",
    "transposed picture": "add up a row, then a column; and where would the squares be, if rows were columns?",
    "padding read first": "compare the second sentence in company and alone, row by row.",
    "frozen v_a": "how dark is each cell? Compare it with one divided by the number of words.",
    "healthy": "go through the signs one by one: squares, sums, padding, company, bars. Is one of them out?",
    "healthy, reads backwards": "read the words above the columns from left to right, then look at the squares.",
}


def _matrix(kind: str) -> tuple[Tensor, Tensor]:
    """Weights (4, 6) and the mask of four real words."""
    generator = torch.Generator().manual_seed(15)
    energies = torch.randn(4, 6, generator=generator)
    mask = torch.tensor([True] * 4 + [False] * 2)
    if kind == "no mask":
        return energies.softmax(1), mask
    if kind == "wrong axis":
        return energies.masked_fill(~mask, -torch.inf)[:, :4].softmax(0), mask[:4]
    if kind == "same rows":
        return energies[:1].expand(4, 6).masked_fill(~mask, -torch.inf).softmax(1), mask
    return energies.masked_fill(~mask, -torch.inf).softmax(1), mask


def _three(alpha: Tensor, mask: Tensor) -> list[float]:
    on_padding = float((alpha * ~mask).max())
    off_one = float((alpha.sum(1) - 1).abs().max())
    return [on_padding, off_one, float((alpha.amax(0) - alpha.amin(0)).max())]


def _near(one: float, other: float) -> bool:
    return abs(one - other) < 1e-4


@exercise("09.signs", "three signs of a matrix")
def _signs(answer: Callable[..., Any]) -> Iterator[Finding]:
    """``signs(alpha, mask)``: largest weight on padding, farthest row sum from 1, largest difference between rows."""
    cases = {kind: _matrix(kind) for kind in ("healthy", "no mask", "wrong axis", "same rows")}
    returned = answer(*cases["no mask"])
    if returned is None or returned is Ellipsis:
        yield wrong("the function returns nothing yet", "end it with `return on_padding, off_one, between_rows`.")
    if not (isinstance(returned, tuple | list) and len(returned) == 3):
        yield wrong("the function should return three numbers", "one for each sign, in the order of the text.")
    yield right("three numbers")
    try:
        found = {kind: [float(value) for value in answer(*case)] for kind, case in cases.items()}
    except (RuntimeError, IndexError, ValueError) as error:
        text = f"one of four matrices stops it with {type(error).__name__}"
        yield wrong(text, "a sentence may have no padding, or be the longest: what is the largest of no numbers?")
        return
    yield from _padding(found, cases)
    yield from _sums(found, cases)
    yield from _rows(found, cases)


def _padding(found: Mapping[str, list[float]], cases: Mapping[str, tuple[Tensor, Tensor]]) -> Iterator[Finding]:
    alpha, mask = cases["no mask"]
    if _near(found["no mask"][0], float((alpha * mask).max())):
        yield wrong("the first number is of the words, not of the padding", "True in the mask means *real*.")
    elif _near(found["no mask"][0], float((alpha * ~mask).sum(1).max())):
        yield wrong("the first number adds up the padding of a row", "the largest single weight is asked for.")
    elif any(not _near(found[kind][0], _three(*case)[0]) for kind, case in cases.items()):
        yield wrong("the weight on padding differs from ours", "take every row, but only the columns of padding.")
    yield right("padding is watched")


def _sums(found: Mapping[str, list[float]], cases: Mapping[str, tuple[Tensor, Tensor]]) -> Iterator[Finding]:
    alpha, mask = cases["no mask"]
    across, (wide, _) = found["wrong axis"][1], cases["wrong axis"]
    if _near(across, float((wide.sum(0) - 1).abs().max())):
        yield wrong("the second number is of the columns", "for every word of the translation, add up over the source.")
    elif _near(found["no mask"][1], float((alpha[:, mask].sum(1) - 1).abs().max())):
        yield wrong("the sums leave the padding out", "add up the whole row; padding has its own sign already.")
    elif _near(across, float((wide.sum(1) - 1).max())) and not _near(across, _three(*cases["wrong axis"])[1]):
        yield wrong("only sums above 1 are noticed", "a sum of 0.2 is as wrong as one of 1.8.")
    elif any(not _near(found[kind][1], _three(*case)[1]) for kind, case in cases.items()):
        yield wrong("the row sums differ from ours", "how far is the worst row's sum from 1?")
    yield right("rows are added up")


def _rows(found: Mapping[str, list[float]], cases: Mapping[str, tuple[Tensor, Tensor]]) -> Iterator[Finding]:
    alpha, _ = cases["same rows"]
    if _near(found["same rows"][2], float((alpha.amax(1) - alpha.amin(1)).max())):
        hint = "compare the entries of one *column*: they are the same word looked at by different rows."
        yield wrong("the third number compares words within a row", hint)
    elif any(not _near(found[kind][2], _three(*case)[2]) for kind, case in cases.items()):
        yield wrong("the difference between rows differs from ours", "in each column: largest minus smallest.")
    yield right("rows are compared")


@exercise("09.ward", "the diagnoses of the ten patients")
def _ward(answer: Any) -> Iterator[Finding]:
    """A dictionary from the letter on the door to a name from `PATIENTS`."""
    known = [one.name for one in PATIENTS]
    if not isinstance(answer, Mapping) or set(answer) != set(ward()):
        yield wrong("the ward has ten doors, A to J", 'write a dictionary: {"A": "…", "B": "…", …}.')
        return
    for letter, said in answer.items():
        if said not in known:
            yield wrong(f"{letter}: there is no diagnosis {said!r}", f"choose from: {'; '.join(known)}.")
    yield right("ten diagnoses")
    right_ones = [letter for letter, who in ward().items() if answer[letter] == who.name]
    for letter, who in ward().items():
        if letter not in right_ones:
            yield wrong(f"{len(right_ones)} of 10 are right; {letter} is not", f"{letter}: {WHERE_TO_LOOK[who.name]}")
    yield right("all ten are right")
