"""The slow extras of ``make test-all``: the newest Python that torch supports, each notebook alone as in Colab.

``check_everywhere.py`` does both; ``check_everywhere.py book/05*.ipynb`` tries the notebooks named. Each gets an empty
folder, a fresh home and an environment with nothing but torch, numpy, matplotlib, ipywidgets and a kernel
(``tools/colab.txt``); its own first cell installs the package, from a wheel built of this checkout. A Python that
cannot be had is named and left out; whatever can be had must pass. A base environment is made once, in ``.venv-colab``.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from alone import Bench, Outcome, try_alone
from run_notebooks import ROOT, book_notebooks

NEWEST_FIRST = ["python3.14", "python3.13", "python3.12"]
# What a notebook may count on before its first cell.
PLACE = ["torch", "numpy", "matplotlib", "ipywidgets", "ipykernel", "pip"]
BASE = ROOT / ".venv-colab"
PIP = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]


def run(*command: str | Path, cwd: Path = ROOT, **environment: str) -> bool:
    """Run a command and say whether it ended well."""
    print("$", " ".join(map(str, command)), flush=True)
    return subprocess.run(list(map(str, command)), cwd=cwd, env={**os.environ, **environment}).returncode == 0


def environment(python: str, folder: Path, *wanted: str) -> Path | None:
    """A fresh environment of this Python with the wanted packages; ``None`` where that cannot be had."""
    if shutil.which(python) is None or not run(python, "-m", "venv", "--clear", folder):
        return None
    inside = folder / "bin/python"
    return inside if run(inside, *PIP, *wanted) else None


def check_newest_python() -> Outcome:
    """The tests under the newest Python for which everything installs."""
    outcome, start = Outcome("newest Python"), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        for python in NEWEST_FIRST:
            inside = environment(python, Path(folder) / python, "-r", "requirements.lock", str(ROOT))
            if inside is not None:
                outcome.what = f"the tests under {python}"
                if not run(inside, "-m", "pytest", "tests", "-n", "2", "-m", "not slow"):
                    outcome.problems.append("tests failed, see above")
                break
            print(f"{python}: cannot be had here, left out")
        else:
            outcome.what = "newest Python: none to be had here, left out"
    outcome.run = time.monotonic() - start
    return outcome


def versions_of_the_place() -> list[str]:
    """Colab's versions, with the torch of the lock: the one that this checkout is tested with."""
    lines = (ROOT / "tools/colab.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if "==" in line and not line.startswith(("#", "torch=="))]
    locked = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    return pins + [line for line in locked if line.startswith("torch==")]


def make_base(folder: Path = BASE) -> tuple[Path, Path]:
    """The base environment's packages and matplotlib's cache; made anew only where the versions have changed."""
    pins = versions_of_the_place()
    key = hashlib.sha256("\n".join([sys.version, *PLACE, *pins]).encode()).hexdigest()
    stamp, fonts = folder / "made-of", folder / "matplotlib"
    if not stamp.exists() or stamp.read_text() != key:
        print(f"Making {folder.name} (once, a few minutes): {', '.join(PLACE)}", flush=True)
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as constraints:
            constraints.write("\n".join(pins) + "\n")
            constraints.flush()
            inside = environment(sys.executable, folder, "-c", constraints.name, *PLACE)
        if inside is None or not run(inside, "-c", "import matplotlib.font_manager", MPLCONFIGDIR=str(fonts)):
            sys.exit(f"{folder.name} could not be made, see above")
        stamp.write_text(key)
    (site,) = folder.glob("lib/python*/site-packages")
    return site, fonts


def build_wheel(folder: Path) -> Path:
    """The wheel of the files that git knows, as they are now."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / "source" / name)
    command = ["-m", "build", "--wheel", "--no-isolation", "--outdir", folder, folder / "source"]
    built = subprocess.run([sys.executable, *map(str, command)], capture_output=True, text=True)
    if built.returncode:
        sys.exit(f"the wheel could not be built:\n{built.stdout}{built.stderr}")
    return next(folder.glob("*.whl"))


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file below a folder with its size and time, less what Python compiles for itself."""
    files = (path for path in folder.rglob("*") if "__pycache__" not in path.parts and not path.is_dir())
    return {str(path): (path.lstat().st_size, path.lstat().st_mtime_ns) for path in files}


def check_notebooks(paths: Sequence[Path], bench: Bench) -> list[Outcome]:
    """Try the notebooks, two at a time; say of each in one line what is wrong."""
    before, outcomes = listing(bench.base), []
    with ProcessPoolExecutor(max_workers=2, mp_context=get_context("spawn")) as pool:
        for outcome in pool.map(partial(try_alone, bench=bench), paths):
            for problem in outcome.problems or ["passed"]:
                print(f"{outcome.what}: {problem}", flush=True)
            outcomes.append(outcome)
    if listing(bench.base) != before:
        outcomes.append(Outcome("the base environment", ["a notebook changed files of it"]))
    return outcomes


def table(outcomes: Sequence[Outcome]) -> str:
    """One line for each check: seconds to install, to run, and of the first cell where the package is there."""
    lines = [f"{'':8}{'install':>9}{'run':>9}{'again':>9}"]
    for outcome in outcomes:
        seconds = f"{outcome.install:>7.1f} s{outcome.run:>7.1f} s{outcome.again:>7.3f} s"
        lines.append(f"{'FAILED' if outcome.problems else 'passed':8}{seconds}  {outcome.what}")
    return "\n".join(lines)


def main() -> None:
    """Run all of them, or the notebooks named; end with status 1 if one failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("notebooks", nargs="*", type=Path)
    named = [path.resolve() for path in parser.parse_args().notebooks]
    if missing := [path.name for path in named if not path.is_file()]:
        parser.error(f"no such notebook: {', '.join(missing)}")
    outcomes = [] if named else [check_newest_python()]
    site, fonts = make_base()
    with tempfile.TemporaryDirectory() as name:
        wheel = build_wheel(Path(name))
        bench = Bench(base=site, source=str(wheel), pip_cache=BASE / "pip", matplotlib=fonts)
        outcomes += check_notebooks(named or book_notebooks(), bench)
    print(table(outcomes))
    sys.exit(1 if any(outcome.problems for outcome in outcomes) else 0)


if __name__ == "__main__":
    main()
