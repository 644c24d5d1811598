"""A test that proves a row of the page "Papers and code" may not be skipped: it fails instead, and says which row."""

import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

TOOLS = Path(__file__).resolve().parent.parent / "tools"


@cache
def rows() -> dict[str, list[str]]:
    """For each proving test the rows that it proves."""
    sys.path[:0] = [str(TOOLS / "ext")]
    from papers import read

    found: dict[str, list[str]] = {}
    for equation in read().equations:
        for test in equation.proved:
            found.setdefault(test, []).append(equation.id)
    return found


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[Any]:
    """Turn the report of a skipped proof, or of one that is expected to fail, into a failure."""
    outcome = yield
    report = outcome.get_result()
    name = f"{item.path.name}::{getattr(item, 'originalname', item.name)}"
    if name in rows() and (report.skipped or hasattr(report, "wasxfail")):
        report.outcome = "failed"
        report.longrepr = f"{name} proves {', '.join(rows()[name])}: it may be neither skipped nor expected to fail."
        report.__dict__.pop("wasxfail", None)
