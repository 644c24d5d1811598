"""A widget in JupyterLab with a live kernel: the page and Python agree on the step."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import nbformat
from browser import opened
from playwright.sync_api import Browser, expect

SHOW = """\
from course_pkg.widgets import AlignmentScrubber
weights = [[0.7, 0.2, 0.1], [0.1, 0.1, 0.8], [0.25, 0.5, 0.25]]
w = AlignmentScrubber(["the", "dog", "EOS"], ["le", "chien", "EOS"], weights)
w"""
TELL = 'print("Python sees step", w.step)'
MOVE = "w.step = 2"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def jupyterlab(folder: Path) -> Iterator[str]:
    """The address of a JupyterLab that shows the folder and keeps all it writes inside it."""
    port = free_port()
    address = f"http://127.0.0.1:{port}/"
    inside = {name: str(folder / name.lower()) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")}
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}", "--ip=127.0.0.1"]
    command += ["--IdentityProvider.token=", "--ServerApp.port_retries=0", f"--ServerApp.root_dir={folder}"]
    command += ["--LabApp.news_url=None", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(command, cwd=folder, env={**os.environ, **inside}, stdout=log, stderr=log)
        try:
            wait_for(address + "api", server, folder / "log")
            yield address
        finally:
            server.terminate()
            server.wait(timeout=30)


def wait_for(address: str, server: subprocess.Popen, log: Path) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end and server.poll() is None:
        try:
            with urlopen(address, timeout=5):
                return
        except (URLError, OSError):
            time.sleep(0.2)
    raise AssertionError(f"JupyterLab did not start:\n{log.read_text()}")


def test_a_widget_and_a_live_kernel_agree(chromium: Browser, tmp_path: Path) -> None:
    cells = [nbformat.v4.new_code_cell(source) for source in (SHOW, TELL, MOVE)]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), tmp_path / "widget.ipynb")
    with jupyterlab(tmp_path) as address, opened(chromium, address) as watched:
        page = watched.page
        page.set_default_timeout(60_000)
        page.goto(f"{address}lab/tree/widget.ipynb?reset")
        shown = page.locator(".jp-CodeCell")
        expect(shown).to_have_count(3, timeout=60_000)
        shown.nth(0).locator(".cm-content").click()
        page.keyboard.press("Shift+Enter")
        widget = shown.nth(0).locator(".course-widget")
        expect(widget).to_have_attribute("data-step", "0", timeout=60_000)
        widget.locator(".course-tokens").nth(1).get_by_role("button").first.focus()
        page.keyboard.press("ArrowDown")
        expect(widget).to_have_attribute("data-step", "1")
        expect(widget.locator(".course-said")).to_contain_text("chien looks most at EOS, α = 0.80")
        shown.nth(1).locator(".cm-content").click()
        page.keyboard.press("Shift+Enter")
        expect(shown.nth(1).locator(".jp-OutputArea-output")).to_contain_text("Python sees step 1")
        shown.nth(2).locator(".cm-content").click()
        page.keyboard.press("Shift+Enter")
        expect(widget).to_have_attribute("data-step", "2")
        errors = [problem for problem in watched.problems if problem.startswith(("uncaught", "foreign"))]
        assert errors == []
