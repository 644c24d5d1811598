"""What an exercise check is, and where the checks are kept.

A check looks at an answer one step at a time and says of each step whether it holds. It tells what is right, what is
wrong and a hint, and never the answer.
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from course_pkg.notation import CourseError

__all__ = ["Feedback", "Finding", "check", "examine", "exercise", "names", "right", "wrong"]


@dataclass(frozen=True)
class Finding:
    """One step of a check.

    Attributes:
        holds: whether the answer passes this step.
        text: what was found, in words.
        hint: where to look next; empty if the step holds.
    """

    holds: bool
    text: str
    hint: str = ""


@dataclass(frozen=True)
class Feedback:
    """What a check found, up to the first step that fails.

    Attributes:
        title: the exercise in a few words.
        findings: the steps in order; only the last may fail.
    """

    title: str
    findings: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        """Whether every step holds."""
        return all(finding.holds for finding in self.findings)

    def __str__(self) -> str:
        if self.passed:
            return f"✓ {self.title}: " + "; ".join(finding.text for finding in self.findings) + "."
        lines = [f"{self.title}: not there yet."]
        for finding in self.findings:
            lines.append(f"  {'✓' if finding.holds else '✗'} {finding.text}.")
        return "\n".join([*lines, f"  Hint: {self.findings[-1].hint}"])


Checker = Callable[[Any], Iterator[Finding]]
_CHECKS: dict[str, tuple[str, Checker]] = {}


def right(text: str) -> Finding:
    """A step that holds; ``text`` starts small and has no full stop."""
    return Finding(True, text)


def wrong(text: str, hint: str) -> Finding:
    """A step that fails, with a hint that does not give the answer away."""
    return Finding(False, text, hint)


def exercise(name: str, title: str) -> Callable[[Checker], Checker]:
    """Register a check: a generator that takes the answer and yields one finding for each step.

    The check stops at the first finding that fails, so a later step may rely on the earlier ones.

    Args:
        name: chapter, dot, exercise, such as ``"05.look"``.
        title: the exercise in a few words, for the first line of the feedback.
    """

    def register(checker: Checker) -> Checker:
        if name in _CHECKS:
            raise ValueError(f"two checks are called {name}")
        _CHECKS[name] = (title, checker)
        return checker

    return register


def names() -> list[str]:
    """Every exercise with a check, in order."""
    package = importlib.import_module("course_pkg.exercises")
    for module in pkgutil.iter_modules(package.__path__):
        if module.name.startswith("ch"):
            importlib.import_module(f"{package.__name__}.{module.name}")
    return sorted(_CHECKS)


def examine(name: str, answer: Any) -> Feedback:
    """What the check finds in an answer. An error that the answer raises becomes a finding.

    Raises:
        CourseError: there is no such exercise.
    """
    if name not in names():
        raise CourseError(f"There is no exercise {name!r}: choose one of {', '.join(names())}.")
    title, checker = _CHECKS[name]
    if answer is None or answer is Ellipsis:
        return Feedback(
            title, (wrong("there is no answer yet", "write yours in place of `None`, then run the cell again."),)
        )
    findings: list[Finding] = []
    try:
        for finding in checker(answer):
            findings.append(finding)
            if not finding.holds:
                break
    except Exception as error:  # the reader's own code may raise anything
        message = (str(error).strip() or "no message").splitlines()[0].rstrip(".")
        text = f"your answer stopped with {type(error).__name__}: {message}"
        findings.append(wrong(text, "read the last line of that message; does it name a shape or a missing name?"))
    return Feedback(title, tuple(findings))


def check(name: str, answer: Any) -> None:
    """Look at an answer to an exercise and print what is right, what is wrong and a hint."""
    print(examine(name, answer))
