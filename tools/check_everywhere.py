"""The slow extras of ``make test-all``: the newest Python that torch supports, each notebook in a clean environment.

A Python that cannot be had is named and left out; whatever can be had must pass.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from run_notebooks import ROOT, book_notebooks

NEWEST_FIRST = ["python3.14", "python3.13", "python3.12"]


def run(*command: str | Path, cwd: Path = ROOT, **environment: str) -> bool:
    """Run a command and say whether it ended well."""
    print("$", " ".join(map(str, command)), flush=True)
    return subprocess.run(list(map(str, command)), cwd=cwd, env={**os.environ, **environment}).returncode == 0


def environment(python: str, folder: Path, *wanted: str) -> Path | None:
    """A fresh environment of this Python with the wanted packages; ``None`` where that cannot be had."""
    if shutil.which(python) is None or not run(python, "-m", "venv", folder):
        return None
    inside = folder / "bin/python"
    return inside if run(inside, "-m", "pip", "install", "--quiet", *wanted) else None


def check_newest_python(folder: Path) -> bool:
    """The tests under the newest Python for which everything installs."""
    for python in NEWEST_FIRST:
        inside = environment(python, folder / python, "-r", "requirements.lock", str(ROOT))
        if inside is not None:
            return run(inside, "-m", "pytest", "tests", "-n", "2", "-m", "not slow")
        print(f"{python}: cannot be had here, left out")
    return True


def check_notebook_alone(path: Path, folder: Path) -> bool:
    """One notebook with nothing but the package's core dependencies and a kernel."""
    core = environment(
        sys.executable, folder / path.stem, "-c", "requirements.lock", str(ROOT), "ipykernel", "nbclient"
    )
    if core is None:
        print(f"{path.name}: its environment could not be made")
        return False
    shutil.copy(path, folder)
    return run(core, ROOT / "tools/run_notebooks.py", folder / path.name, cwd=folder)


def main() -> None:
    """Run all of them; end with status 1 if one failed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        results = {"newest Python": check_newest_python(folder)}
        results |= {path.name: check_notebook_alone(path, folder) for path in book_notebooks()}
    for what, passed in results.items():
        print(f"{'passed' if passed else 'FAILED'}: {what}")
    sys.exit(0 if all(results.values()) else 1)


if __name__ == "__main__":
    main()
