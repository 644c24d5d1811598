"""How the tools that measure begin and end: options that they share, and an error of the course told in one line."""

import argparse
import functools
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from course_pkg.evaluation import hardware
from course_pkg.notation import CourseError

PACKAGE = Path(__file__).resolve().parent.parent / "course_pkg"


def options(about: str | None, *shared: str) -> argparse.ArgumentParser:
    """A parser whose help begins with a tool's docstring; it knows those of the shared options that are named."""
    known: dict[str, dict[str, Any]] = {
        "runs": {"type": Path, "default": Path("runs"), "help": "where the trained runs are, or go"},
        "package": {"type": Path, "default": PACKAGE, "help": "where weights/ and results/ are"},
        "hardware": {"default": hardware(), "help": "what it was trained or measured on, in words"},
        "set": {"action": "append", "default": [], "metavar": "KEY=VALUE", "help": "change the recipe"},
    }
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in shared:
        parser.add_argument(f"--{name}", **known[name])
    return parser


def told(main: Callable[[Sequence[str] | None], None]) -> Callable[..., int]:
    """A tool's ``main`` with its exit status: 0, or 2 after a `CourseError`, which is told in one line."""
    name = Path(main.__globals__["__file__"]).stem

    @functools.wraps(main)
    def run(argv: Sequence[str] | None = None) -> int:
        try:
            main(argv)
        except CourseError as error:
            print(f"{name}: {error}", file=sys.stderr)
            return 2
        return 0

    return run
