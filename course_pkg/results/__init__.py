"""Measured results, one JSON file each, with the passport that lets anyone measure them again.

The chapters draw from here; the page "Results" shows every table. Scripts in ``tools`` and ``benchmarks`` write them.
"""

import json
from importlib import resources
from typing import Any

from course_pkg.notation import CourseError

__all__ = ["names", "read"]


def names() -> list[str]:
    """Every stored result, in alphabetical order."""
    files = resources.files(__name__).iterdir()
    return sorted(file.name.removesuffix(".json") for file in files if file.name.endswith(".json"))


def read(name: str) -> dict[str, Any]:
    """One stored result: ``title``, ``note``, ``columns``, ``rows``, ``passport``, and what its chapter draws.

    Raises:
        CourseError: there is no such result.
    """
    if name not in names():
        raise CourseError(f"There is no result {name!r}: choose one of {', '.join(names())}.")
    stored: dict[str, Any] = json.loads(resources.files(__name__).joinpath(f"{name}.json").read_text(encoding="utf-8"))
    return stored
