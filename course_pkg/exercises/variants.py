"""Exercises by hand with fresh numbers from a seed, for a teacher: a sheet, and apart from it the answers.

``python -m course_pkg.exercises --seed SEED`` prints the sheet as Markdown, ``--answers`` the answers, which the
package's own functions compute. The same seed gives the same sheet on every machine. Solutions are published nowhere;
whoever knows the seed can make them. What kinds there are is in `variants_attention` and `variants_scores`.
"""

import hashlib
import importlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from course_pkg.notation import CourseError

__all__ = [
    "Drawn",
    "Kind",
    "Variant",
    "draw",
    "kinds",
    "matrix",
    "number",
    "sheet",
    "shares",
    "table",
    "variant",
    "vector",
]

PATIENCE = 100_000  # draws until numbers are friendly; a few dozen do


@dataclass(frozen=True)
class Drawn:
    """What a kind of exercise makes of chance.

    Attributes:
        given: the numbers that the question states, by name.
        found: the answers, by name, unrounded.
        question: Markdown for the student.
        answer: Markdown for the teacher.
    """

    given: dict[str, Any]
    found: dict[str, Any]
    question: str
    answer: str


@dataclass(frozen=True)
class Kind:
    """A kind of exercise.

    Attributes:
        name: what ``--only`` calls it.
        chapter: where it is taught.
        title: in a few words.
        asks: what is to be worked out, in a few words.
        make: numbers, question and answer from chance; None where these numbers are not friendly.
    """

    name: str
    chapter: int
    title: str
    asks: str
    make: Callable[[Random], Drawn | None]


@dataclass(frozen=True)
class Variant:
    """One exercise with its numbers: its kind, and what was drawn."""

    kind: Kind
    drawn: Drawn


_KINDS: dict[str, Kind] = {}


def variant(name: str, chapter: int, title: str, asks: str) -> Callable[..., Callable[[Random], Drawn | None]]:
    """Register a kind of exercise: a function from chance to `Drawn`, or to None where the numbers are not friendly."""

    def register(make: Callable[[Random], Drawn | None]) -> Callable[[Random], Drawn | None]:
        if name in _KINDS:
            raise ValueError(f"two kinds of exercise are called {name}")
        _KINDS[name] = Kind(name, chapter, title, asks, make)
        return make

    return register


def kinds() -> list[Kind]:
    """Every kind, in the order of the chapters."""
    for module in ("variants_attention", "variants_scores"):
        importlib.import_module(f"course_pkg.exercises.{module}")
    return sorted(_KINDS.values(), key=lambda kind: (kind.chapter, kind.name))


def draw(name: str, seed: str) -> Variant:
    """The exercise of a kind that a seed gives; other kinds of the same seed do not change it.

    Raises:
        CourseError: there is no such kind.
    """
    kind = {one.name: one for one in kinds()}.get(name)
    if kind is None:
        raise CourseError(f"There is no exercise {name!r}: choose from {', '.join(one.name for one in kinds())}.")
    chance = Random(f"{name}/{seed}")  # a text as seed means the same on every machine
    for _ in range(PATIENCE):
        drawn = kind.make(chance)
        if drawn is not None:
            return Variant(kind, drawn)
    raise RuntimeError(f"no friendly numbers for {name} were found")


def sheet(seed: str, names: Sequence[str] = (), *, answers: bool = False) -> str:
    """The students' sheet of a seed as Markdown, or the answers to it.

    Args:
        seed: any text; whoever knows it can make the answers.
        names: which kinds, in this order; all of them if empty.
        answers: the answers in place of the questions.

    Raises:
        CourseError: an empty seed, or a kind that there is not.
    """
    if not seed.strip():
        raise CourseError("The seed is empty: give a word or a number that nobody guesses.")
    drawn = [draw(name, seed) for name in names or [kind.name for kind in kinds()]]
    code = hashlib.sha256(seed.encode()).hexdigest()[:6]
    if answers:
        parts = [f"# Answers to sheet {code}", f"Seed: `{seed}`. Whoever knows it can make these answers."]
    else:
        parts = [f"# Exercises by hand, sheet {code}", "Round at the end only, to two decimals."]
    for place, one in enumerate(drawn, 1):
        parts += [
            f"## {place}. {one.kind.title} (chapter {one.kind.chapter})",
            one.drawn.answer if answers else one.drawn.question,
        ]
    return "\n\n".join(parts) + "\n"


# --- how numbers are written ------------------------------------------------------------------------------------------


def number(value: float | int) -> str:
    """At most two decimals, none that is not needed, and a minus that is one."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def vector(values: Iterable[Any]) -> str:
    """Numbers in a row, for a formula."""
    return "(" + ",\\; ".join(number(value) for value in values) + ")"


def matrix(rows: Iterable[Iterable[Any]]) -> str:
    """A matrix, for a formula."""
    body = r" \cr ".join(" & ".join(number(value) for value in row) for row in rows)
    return rf"\begin{{pmatrix}} {body} \end{{pmatrix}}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def shares(chance: Random, count: int, parts: int = 10) -> list[float]:
    """``count`` positive shares of a whole, each a multiple of ``1 / parts``."""
    cuts = sorted(chance.sample(range(1, parts), count - 1))
    return [(right - left) / parts for left, right in zip([0, *cuts], [*cuts, parts], strict=True)]
