"""The tool that times the notebooks: what it measures is the notebook's own, and it knows a broken limit."""

import sys
from pathlib import Path

import nbformat
import pytest

from course_pkg.evaluation import PASSPORT

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tools")]

import time_notebooks  # noqa: E402

ROWS = [
    {"notebook": "01", "seconds": 50.0, "cpu_seconds": 40.0, "kB": 200},
    {"notebook": "02", "seconds": 20.0, "cpu_seconds": 15.5, "kB": 300},
]


def test_the_record_sums_up_and_has_its_passport() -> None:
    stored = time_notebooks.record(list(ROWS))
    assert stored["rows"][-1] == {"notebook": "all together", "seconds": 70.0, "cpu_seconds": 55.5, "kB": 500}
    assert set(stored["passport"]) == set(PASSPORT)
    assert {field for field, _ in stored["columns"]} == set(ROWS[0])


def test_limits_are_kept_or_named() -> None:
    assert time_notebooks.broken_limits(ROWS) == []
    assert time_notebooks.broken_limits([{**ROWS[0], "seconds": 61.0}]) == ["01: 61.0 s"]
    assert time_notebooks.broken_limits([{**ROWS[0], "kB": 400}]) == ["01: 400 kB"]
    assert time_notebooks.broken_limits([ROWS[0]] * 7) == ["all together: 350 s"]


def test_a_notebook_is_measured_by_clock_and_processor(tmp_path: Path) -> None:
    """It works, then waits: the clock counts both, the processor only the work."""
    work = "import time\nwhile time.process_time() < {}: pass\ntime.sleep(1.5)"
    path = tmp_path / "work.ipynb"
    rows = []
    for seconds in (0, 4):
        nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(work.format(seconds))]), path)
        rows.append(time_notebooks.measure(path))
    idle, busy = rows
    assert idle["notebook"] == "work" and idle["seconds"] > 1.5 and idle["kB"] == 0
    assert busy["cpu_seconds"] >= 4 and busy["cpu_seconds"] > idle["cpu_seconds"]
    assert idle["cpu_seconds"] < idle["seconds"]


def test_a_failing_notebook_is_no_measurement(tmp_path: Path) -> None:
    path = tmp_path / "fails.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 / 0")]), path)
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        time_notebooks.measure(path)
