"""``python -m course_pkg.exercises --seed SEED [--answers] [--only KIND …]``: a sheet of exercises by hand."""

import argparse
import sys

from course_pkg.exercises.variants import kinds, sheet
from course_pkg.notation import CourseError


def main() -> int:
    """Print a sheet or its answers; 2 for bad input."""
    parser = argparse.ArgumentParser(
        prog="python -m course_pkg.exercises", description="A sheet of exercises by hand with fresh numbers."
    )
    parser.add_argument("--seed", required=True, help="any text; whoever knows it can make the answers")
    parser.add_argument("--answers", action="store_true", help="the answers in place of the questions")
    names = ", ".join(kind.name for kind in kinds())
    parser.add_argument("--only", nargs="+", default=[], metavar="KIND", help=f"some of {names}")
    arguments = parser.parse_args()
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    try:
        print(sheet(arguments.seed, arguments.only, answers=arguments.answers), end="")
    except CourseError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
