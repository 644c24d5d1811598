"""Checks of chapter 9: three signs of a matrix of weights, ten diagnoses, and a test that company does not matter."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from course_pkg.exercises.registry import Finding, exercise, right, wrong
from course_pkg.gallery import PATIENTS, lively, patient, ward

WHERE_TO_LOOK = {
    "no mask": "look at the columns called `pad`, on the right of the second sentence.",
    "wrong axis": "add up a few rows of the second sentence; then look at the same sentence alone.",
    "no tanh": "compare the rows with one another, not with the squares.",
    "the new state asks": "compare the bars with those of a healthy patient: at which row do they begin?",
    "one row late": "do the dark cells miss the squares at random, or all in the same way?",
    "transposed picture": "what do its rows sum to, what its columns? And what stands in the last rows, alone?",
    "padding read first": "compare the second sentence in company and alone, row by row.",
    "frozen v_a": "how dark is each cell? Compare it with one divided by the number of words.",
    "healthy": "go through the signs one by one: squares, sums, padding, company, bars. Is one of them out?",
    "healthy, reads backwards": "read the words above the columns from left to right, then look at the squares.",
}

# What each choice of the chapter says, door by door; "" where it names no patient of the clinic.
CHOICES = {
    "A": ("healthy", "no tanh", "frozen v_a", "no mask"),
    "B": ("one row late", "healthy", "the new state asks", "padding read first"),
    "C": ("healthy", "wrong axis", "no mask", "padding read first"),
    "D": ("transposed picture", "one row late", "", "the new state asks"),
    "E": ("frozen v_a", "wrong axis", "no tanh", ""),
    "F": ("transposed picture", "padding read first", "healthy", ""),
    "G": ("no mask", "wrong axis", "", ""),
    "H": ("healthy", "wrong axis", "transposed picture", "the new state asks"),
    "I": ("healthy", "no mask", "padding read first", "one row late"),
    "J": ("healthy", "one row late", "the new state asks", ""),
}
OTHER_WORDS = {
    "no mask": ("the softmax runs over padding too",),
    "wrong axis": ("the softmax runs over the wrong axis", "softmax over the wrong axis"),
    "no tanh": ("no tanh the state is not heard",),
    "the new state asks": ("new state asks",),
    "one row late": (),
    "transposed picture": ("the picture is transposed", "transposed"),
    "padding read first": ("padding is read first", "the backward rnn reads padding first"),
    "frozen v_a": ("v_a never left 0",),
    "healthy": ("it is healthy", "it is healthy only undecided", "healthy the full stop is always vague"),
    "healthy, reads backwards": ("healthy reads backwards", "healthy backwards"),
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
    try:
        returned = answer(*cases["no mask"])
    except RuntimeError as error:
        if "bool tensor" not in str(error):
            raise
        yield wrong("the mask holds true and false, and cannot be subtracted", "`~mask` turns it round.")
        return
    if returned is None or returned is Ellipsis:
        yield wrong("the function returns nothing yet", "end it with `return on_padding, off_one, between_rows`.")
    vector = isinstance(returned, Tensor) and returned.shape == (3,)
    if not vector and not (isinstance(returned, tuple | list) and len(returned) == 3):
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
    elif all(_near(found[kind][2], float((a[1:] - a[:-1]).abs().max())) for kind, (a, _) in cases.items()):
        yield wrong("only neighbouring rows are compared", "any two rows count, the first and the last too.")
    elif any(not _near(found[kind][2], _three(*case)[2]) for kind, case in cases.items()):
        yield wrong("the difference between rows differs from ours", "in each column: largest minus smallest.")
    yield right("rows are compared")


def _diagnosis(letter: str, said: Any) -> str | None:
    """The name that is meant, by the patient's name, a choice's words or its mark (``A3``); ``None``: not known."""
    plain = " ".join(str(said).lower().replace(":", " ").replace(",", " ").replace(".", " ").split())
    if len(plain) == 2 and plain[0] == letter.lower() and plain[1] in "1234":
        return CHOICES[letter][int(plain[1]) - 1]
    for name, others in OTHER_WORDS.items():
        if plain in (name.replace(",", ""), *others):
            return name
    return None


def _fits(letter: str, meant: str | None) -> bool:
    """Whether a diagnosis is right; of a healthy one it need not be said which way it reads."""
    name = ward()[letter].name
    return meant == name or (meant == "healthy" and ward()[letter].healthy)


@exercise("09.ward", "the diagnoses of the ten patients")
def _ward(answer: Any) -> Iterator[Finding]:
    """A dictionary from the letter on the door to a name from `PATIENTS`, or a choice of the chapter."""
    known = [one.name for one in PATIENTS]
    if not isinstance(answer, Mapping) or set(answer) != set(ward()):
        yield wrong("the ward has ten doors, A to J", 'write a dictionary: {"A": "…", "B": "…", …}.')
        return
    meant = {letter: _diagnosis(letter, said) for letter, said in answer.items()}
    for letter, said in answer.items():
        if meant[letter] is None:
            hint = f'choose from: {"; ".join(known)}; or name a choice, "{letter}1" to "{letter}4".'
            yield wrong(f"{letter}: there is no diagnosis {said!r}", hint)
    yield right("ten diagnoses")
    missed = [letter for letter in ward() if not _fits(letter, meant[letter])]
    if missed:
        count = f"{10 - len(missed)} of 10 are right; " + (
            f"{missed[0]} is not" if len(missed) == 1 else f"the first that is not is {missed[0]}"
        )
        yield wrong(count, f"{missed[0]}: {WHERE_TO_LOOK[ward()[missed[0]].name]}")
    yield right("all ten are right")


def _passes(test: Callable[..., Any], name: str) -> bool:
    try:
        return test(lively(patient(name))) is not False
    except AssertionError:
        return False


@exercise("09.company", "a test that company does not matter")
def _company(answer: Callable[..., Any]) -> Iterator[Finding]:
    """``company_test(model)``: an assertion that a healthy model passes, and one whose α depends on company fails."""
    if not _passes(answer, "healthy"):
        hint = "compare real rows and real columns alone: cut α in company to the shape of α alone."
        yield wrong("a healthy model fails your test", hint)
    yield right("a healthy model passes")
    missed = [name for name in ("no mask", "wrong axis", "padding read first") if _passes(answer, name)]
    if len(missed) == 3:
        yield wrong(
            "C, G and I pass it too, so it is no answer yet",
            "`assert` something of α alone against α in company of a longer one.",
        )
    elif missed == ["no mask", "padding read first"]:
        yield wrong("C and I pass your test", "only the *shorter* sentence has padding: look at each of its weights.")
    elif missed:
        letter = next(letter for letter, who in ward().items() if who.name == missed[0])
        yield wrong(f"{letter} passes your test", "look at all its rows and all its real columns, and at every change.")
    yield right("C, G and I fail")
    for name in ("frozen v_a", "no tanh", "the new state asks"):
        if not _passes(answer, name):
            letter = next(letter for letter, who in ward().items() if who.name == name)
            text = f"{letter} fails it, though company does not change its α"
            yield wrong(text, "ask nothing but that the two agree.")
    if _passes(answer, "one row late"):
        yield right("D slips through: its first row is the batch's last, so give the longer sentence more target words")
    else:
        yield right("so does D, whose first row is the last of the whole batch")
