"""Run every notebook alone in an empty folder, one after the other, and store what each takes.

``python tools/time_notebooks.py`` writes ``course_pkg/results/notebook-times.json`` and ends with status 1 where a
limit is broken. Run it on a machine that does nothing else: seconds are those of the clock.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from run_notebooks import ROOT, book_notebooks, execute

from course_pkg.evaluation import hardware, passport

TARGET = ROOT / "course_pkg/results/notebook-times.json"
SECONDS_EACH, SECONDS_TOGETHER, KILOBYTES_EACH = 60, 300, 400


def cpu_of_children() -> float:
    """Processor seconds of the kernels that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(path: Path) -> dict[str, Any]:
    """One row: the notebook, seconds by the clock and of the processor, and the size of the stored file."""
    clock, cpu = time.monotonic(), cpu_of_children()
    execute(path)
    return {
        "notebook": path.stem,
        "seconds": round(time.monotonic() - clock, 1),
        "cpu_seconds": round(cpu_of_children() - cpu, 1),
        "kB": round(path.stat().st_size / 1000),
    }


def broken_limits(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Which notebooks take too long or are too large, and whether all together take too long."""
    broken = [f"{row['notebook']}: {row['seconds']} s" for row in rows if row["seconds"] > SECONDS_EACH]
    broken += [f"{row['notebook']}: {row['kB']} kB" for row in rows if row["kB"] >= KILOBYTES_EACH]
    together = sum(row["seconds"] for row in rows)
    return broken + [f"all together: {together:.0f} s"] * (together > SECONDS_TOGETHER)


def record(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The result as it is stored, with a row for all notebooks together."""
    together: dict[str, Any] = {"notebook": "all together"}
    for column in ("seconds", "cpu_seconds", "kB"):
        together[column] = round(sum(row[column] for row in rows), 1)
    return {
        "title": "What each notebook takes",
        "note": f"Each notebook run alone, from an empty folder, with one torch thread. Limits: {SECONDS_EACH} s each, "
        f"{SECONDS_TOGETHER // 60} minutes together, {KILOBYTES_EACH} kB each.",
        "columns": [
            ["notebook", "notebook"], ["seconds", "seconds"], ["cpu_seconds", "processor seconds"], ["kB", "kB stored"],
        ],
        "rows": [*rows, together],
        "passport": passport(
            data="none but what the package brings",
            tokenisation="as in each chapter",
            signature="none: no translations are scored",
            decoding="as in each chapter",
            seeds="each chapter sets its own",
            hardware=hardware(),
            cost=f"{sum(row['seconds'] for row in rows) / 60:.0f} minutes",
            recipe="python tools/time_notebooks.py",
        ),
    }  # fmt: skip


def main() -> None:
    """Measure, print, store; status 1 where a limit is broken."""
    os.environ["OMP_NUM_THREADS"] = "1"
    rows = []
    for path in book_notebooks():
        rows.append(measure(path))
        print("  {notebook}: {seconds} s, {cpu_seconds} s of the processor, {kB} kB".format(**rows[-1]), flush=True)
    TARGET.write_text(json.dumps(record(rows), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    broken = broken_limits(rows)
    if broken:
        sys.exit("over the limits of CONTRIBUTING.md: " + "; ".join(broken))


if __name__ == "__main__":
    main()
