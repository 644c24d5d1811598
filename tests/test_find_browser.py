"""The browser of the tests: the order in which it is looked for, and how one is installed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import find_browser  # noqa: E402


def command(folder: Path, name: str, script: str = "exit 0") -> str:
    """A fake command on the path."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without any browser; the folder is all of its path."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CHROME", raising=False)
    monkeypatch.setattr(find_browser, "NAMES", find_browser.NAMES[:4])  # not those at a fixed place
    monkeypatch.setattr(find_browser, "playwrights_own", lambda: str(tmp_path / "own"))
    monkeypatch.setattr(find_browser, "is_root", lambda: True)
    return tmp_path


def test_each_place_is_tried_in_turn(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_browser.find() is None
    order = ["own", "google-chrome", "chromium-browser", "chromium"]
    for name in order:
        path = command(bare, name)
        assert find_browser.find() == path
    mine = command(bare, "mine")
    monkeypatch.setenv("CHROME", mine)
    assert find_browser.find() == mine


def test_a_command_that_only_tells_where_to_get_a_browser_is_none(bare: Path) -> None:
    command(bare, "chromium-browser", "echo 'install the snap' >&2; exit 1")
    assert find_browser.find() is None
    path = command(bare, "google-chrome")
    assert find_browser.find() == path


def test_what_is_there_is_not_installed_again(bare: Path) -> None:
    path = command(bare, "chromium")
    command(bare, "apt-get", f"touch {bare}/called")
    assert find_browser.find_or_install() == path
    assert not (bare / "called").exists()


def test_apt_comes_before_playwright(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", command(bare, "python", f'echo "python $*" >> "{bare}/log"; exit 1'))
    made = command(bare, "made")
    installs = f'echo "$*" >> "{bare}/log"; if [ "$1" = install ]; then /bin/mv "{made}" "{bare}/chromium"; fi'
    command(bare, "apt-get", installs)
    assert find_browser.find_or_install() == str(bare / "chromium")
    assert (bare / "log").read_text().splitlines() == ["update", "install -y chromium"]


@pytest.mark.parametrize("root", [True, False])
def test_playwright_is_asked_where_apt_cannot_help(bare: Path, monkeypatch: pytest.MonkeyPatch, root: bool) -> None:
    monkeypatch.setattr(find_browser, "is_root", lambda: root)
    command(bare, "apt-get", f'echo "apt-get $1" >> "{bare}/log"; exit 100')
    fetches = f'echo "$*" >> "{bare}/log"; /bin/mv "{command(bare, "made")}" "{bare}/own"'
    monkeypatch.setattr(sys, "executable", command(bare, "python", fetches))
    assert find_browser.find_or_install() == str(bare / "own")
    asked = ["-m playwright install chromium"]
    assert (bare / "log").read_text().splitlines() == (["apt-get update", *asked] if root else asked)


@pytest.mark.parametrize(("ci", "status"), [("true", 1), ("false", 0)])
def test_where_nothing_helps_one_line_says_what_to_do(tmp_path: Path, ci: str, status: int) -> None:
    code = "import find_browser as f; f.find_or_install = lambda: None; f.main()"
    environment = {**os.environ, "CI": ci, "PYTHONPATH": str(ROOT / "tools")}
    done = subprocess.run(
        [sys.executable, "-c", code, "--install"], env=environment, capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == status
    assert done.stderr.splitlines()[0] == find_browser.ADVICE


def test_make_test_brings_the_browser() -> None:
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").split("\ntest: ")[1].split("\n\n")[0]
    assert recipe.index("tools/find_browser.py --install") < recipe.index("pytest")
