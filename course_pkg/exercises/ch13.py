"""Checks of chapter 13: attention mass, an interval over pictures, and verdicts on captions that are wrong."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from course_pkg.exercises.registry import Finding, exercise, right, wrong

_NOTHING = "the function returns nothing yet", "end it with `return`, and your result."


def _missing(returned: Any) -> bool:
    return returned is None or returned is Ellipsis


def _near(found: Any, wanted: Any, tolerance: float = 1e-6) -> bool:
    return np.shape(found) == np.shape(wanted) and bool(np.allclose(found, wanted, rtol=0, atol=tolerance))


# -- attention mass ---------------------------------------------------------------------------------------------------


def _gaze(seed: int = 13) -> tuple[np.ndarray, np.ndarray]:
    """α of three words over six places, and the share of each place that lies in each word's region."""
    generator = np.random.default_rng(seed)
    alpha = generator.dirichlet(np.full(6, 0.6), size=3)
    covered = np.array([[0, 0, 0.25, 1, 1, 0], [0.5, 0.5, 0, 0, 0, 0], [1, 1, 1, 1, 0.75, 0]], dtype=np.float64)
    return alpha, covered


@exercise("13.mass", "the attention mass, and that of an even gaze")
def _mass(answer: Callable[..., Any]) -> Iterator[Finding]:
    """``mass(alpha, covered)``: for each word the share of α in its region, and what an even gaze would have there."""
    alpha, covered = _gaze()
    returned = answer(alpha.copy(), covered.copy())
    if _missing(returned):
        yield wrong(*_NOTHING)
    if not isinstance(returned, tuple | list) or len(returned) != 2:
        yield wrong("that is not two results", "return the mass and the even gaze's mass: `return own, even`.")
    own, even = (np.asarray(one, dtype=np.float64) for one in returned)
    if own.shape != (3,) or even.shape != (3,):
        yield wrong(
            f"the shapes are {own.shape} and {even.shape}", "one number for each word: sum over the places, axis 1."
        )
    yield right("two numbers for each word")
    yield from _own_mass(own, alpha, covered)
    if _near(even, covered.sum(axis=1)):
        yield wrong("the even gaze has more than there is", "an even gaze gives each of L places 1/L.")
    if not _near(even, covered.mean(axis=1)):
        yield wrong("the even gaze's mass is not right", "put α_i = 1/L into the same sum: what is left of it?")
    yield right("an even gaze has the region's share of the picture")


def _own_mass(own: np.ndarray, alpha: np.ndarray, covered: np.ndarray) -> Iterator[Finding]:
    wanted = (alpha * covered).sum(axis=1)
    if _near(own, (alpha * (covered > 0)).sum(axis=1)):
        yield wrong("a place that is touched counts as a whole", "half a place in the region holds half of its α.")
    if _near(own, (alpha * (covered >= 0.5)).sum(axis=1)) or _near(own, (alpha * (covered > 0.5)).sum(axis=1)):
        yield wrong("a place counts as a whole or not at all", "count it by the share that lies in the region.")
    if _near(own, wanted / covered.sum(axis=1)):
        yield wrong("the mass is divided by the region's size", "the size belongs to what it is compared with.")
    if not _near(own, wanted):
        yield wrong("the mass is not right", "each place's α, times the share of it in the region; then the sum.")
    yield right("α in the region, each place by its share")


# -- an interval over pictures ----------------------------------------------------------------------------------------


def _words(seed: int = 13) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A value for each word, the picture of each, and pictures drawn anew, 400 times."""
    generator = np.random.default_rng(seed)
    pictures = np.repeat(np.arange(8), [1, 9, 2, 4, 12, 1, 3, 6])
    values = np.clip(generator.random(8)[pictures] + 0.2 * generator.standard_normal(len(pictures)), 0, 1)
    return values, pictures, generator.integers(0, 8, (400, 8))


def _interval_of(
    values: np.ndarray, pictures: np.ndarray, draws: np.ndarray, tails: tuple[float, float] = (0.025, 0.975)
) -> np.ndarray:
    sums, counts = np.bincount(pictures, weights=values), np.bincount(pictures)
    return np.asarray(np.quantile(sums[draws].sum(axis=1) / counts[draws].sum(axis=1), tails))


@exercise("13.interval", "an interval over pictures")
def _interval(answer: Callable[..., Any]) -> Iterator[Finding]:
    """``interval(values, pictures, draws)``: low and high, the middle 95 % of the mean over the drawn pictures."""
    given = _words()
    returned = answer(*(one.copy() for one in given))
    if _missing(returned):
        yield wrong(*_NOTHING)
    found = np.asarray(returned, dtype=np.float64)
    if found.shape != (2,):
        yield wrong(f"the result has the shape {found.shape}", "two numbers, the lower end first.")
    yield right("two numbers")
    values, pictures, draws = given
    wanted = _interval_of(*given)
    if _near(found, wanted[::-1]):
        yield wrong("the ends are exchanged", "the lower end first.")
    if _near(found, _interval_of(*given, tails=(0.05, 0.95))):
        yield wrong("that is the middle 90 %", "leave out 2.5 % at each end.")
    means = np.array([values[pictures == p].mean() for p in range(8)])
    if _near(found, np.quantile(means[draws].mean(axis=1), (0.025, 0.975))):
        hint = "a picture with twelve words brings twelve values: add up all values drawn, then divide once."
        yield wrong("every picture counts alike", hint)
    once = [np.unique(row) for row in draws]
    kept = [values[np.isin(pictures, row)].mean() for row in once]
    if _near(found, np.quantile(kept, (0.025, 0.975))):
        yield wrong("a picture that is drawn twice counts once", "it comes twice, with all its words both times.")
    if not _near(found, wanted, 1e-4):
        hint = "for each row of draws: all values of the drawn pictures, their mean; then two quantiles of the means."
        yield wrong("the interval is not right", hint)
    yield right("whole pictures are drawn, each with all its words")
    again = _words(seed=14)
    if not _near(np.asarray(answer(*again), dtype=np.float64), _interval_of(*again), 1e-4):
        yield wrong("with other values it is not right", "compute it from the arguments.")
    yield right("for other words too")


# -- verdicts ---------------------------------------------------------------------------------------------------------

VERDICTS = ("sentence", "picture", "misnamed", "elsewhere")
# Made up: gain over other pictures in nats; share of places that give the word, on the thing and off it; mass and area
# of the thing. And what follows, with the reason.
_CASES = {
    "A": ("misnamed", "other pictures do not bring the word, and the thing's places do, the others hardly."),
    "B": ("sentence", "with other people's pictures the word is as likely, wherever the gaze turns it: the sentence."),
    "C": ("elsewhere", "other pictures do not bring the word, and other places of this one do, the thing's hardly."),
    "D": ("picture", "the picture counts, but its places give the word alike, on the thing and off it."),
    "E": ("sentence", "the thing's places give the word, but so does any picture: the look is no evidence."),
    "F": ("misnamed", "little of α is there, but more than the area; and the thing's places bring the word."),
}


@exercise("13.verdict", "six wrong words judged")
def _verdict(answer: Any) -> Iterator[Finding]:
    """A dictionary from the letter of each case to one of the four verdicts."""
    if not isinstance(answer, Mapping):
        yield wrong("that is no dictionary", 'write {"A": "sentence", …}.')
    missing = [case for case in _CASES if answer.get(case) in (None, "", ...)]
    if len(missing) == len(_CASES):
        yield wrong("there is no answer yet", f"choose from {', '.join(VERDICTS)} for each case.")
    if missing:
        yield wrong(f"there is no verdict on {', '.join(missing)}", f"choose from {', '.join(VERDICTS)}.")
    unknown = [case for case in _CASES if answer[case] not in VERDICTS]
    if unknown:
        yield wrong(f"{answer[unknown[0]]!r} is no verdict", f"choose from {', '.join(VERDICTS)}.")
    yield right("six verdicts")
    for case, (verdict, reason) in _CASES.items():
        if answer[case] != verdict:
            yield wrong(f"{case} is not {answer[case]!r}", _HINTS[answer[case]])
        yield right(f"{case}: {reason.removesuffix('.')}")


_HINTS = {
    "sentence": "its gain is far above 0: other pictures do not bring this word.",
    "picture": "ask first whether other pictures give the word as well, then whether its places give it alike.",
    "misnamed": "that needs a gain, and a word that comes from the thing's places and hardly from the others.",
    "elsewhere": "that needs a gain, and a word that comes from the others and hardly from the thing's places.",
}
