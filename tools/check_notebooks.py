"""Run every notebook of the book once, in an empty folder, and compare with its stored outputs (nbval)."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from run_notebooks import ROOT, book_notebooks, kernel_environment


def main() -> None:
    """End with pytest's own status."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path in book_notebooks():
            shutil.copy(path, folder)
        (folder / "pytest.ini").write_text("[pytest]\n")  # not the settings of the package's own tests
        command = [sys.executable, "-m", "pytest", "--nbval", "--nbval-current-env"]
        command += [f"--nbval-sanitize-with={ROOT / 'tests/nbval_sanitize.cfg'}", "-p", "no:cacheprovider"]
        command += ["-n", "2", "--dist", "loadfile", "-q", "--nbval-cell-timeout=120", "."]
        sys.exit(subprocess.run(command, cwd=folder, env=kernel_environment()).returncode)


if __name__ == "__main__":
    main()
