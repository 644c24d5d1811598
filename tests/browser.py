"""The pages in a real browser: built once from the stored outputs, served below a prefix, watched for errors.

A plugin of pytest (see ``conftest.py``). Every test gets pages of one browser; what a page logs as an error, asks of
another address, or does not find is kept in `Watched.problems`.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, Response, expect, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import find_browser  # noqa: E402
from serve_pages import served  # noqa: E402

STORED = ROOT / "_build/stored"
PREFIX = "/a-project/deep/"  # where a site may live; nothing in it may depend on that
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
PATIENCE = 30_000  # milliseconds: a busy machine is slow, not wrong
expect.set_options(timeout=PATIENCE)


# --- the pages, once ----------------------------------------------------------------------------------------------


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """One process at a time, also among the workers of one run."""
    import fcntl

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def build_stored(to: Path) -> None:
    """Copy the pages of the stored outputs to a folder; they are made again only where their inputs changed."""
    if to.exists():
        return
    command = [sys.executable, str(ROOT / "tools/build_book.py"), "--stored", "--to", str(STORED)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"the book cannot be built from its stored outputs:\n{done.stdout}{done.stderr}"
    shutil.copytree(STORED, to.with_suffix(".part"))
    to.with_suffix(".part").rename(to)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the built pages, the same for all workers of a run; ``COURSE_PAGES`` names others to test."""
    if os.environ.get("COURSE_PAGES"):
        return Path(os.environ["COURSE_PAGES"])
    shared = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        shared = shared.parent
    with locked(STORED.with_suffix(".lock")):
        build_stored(shared / "pages")
    return shared / "pages"


# --- served -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def address(site: Path) -> Iterator[str]:
    """Where the pages are served."""
    with served(site, PREFIX) as url:
        yield url


# --- watched ------------------------------------------------------------------------------------------------------


@dataclass
class Watched:
    """A page of the browser and all that went wrong on it."""

    page: Page
    home: str
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", lambda said: said.type == "error" and self.problems.append(f"console: {said.text}"))
        self.page.on("pageerror", lambda error: self.problems.append(f"uncaught: {error}"))
        self.page.on("request", self._asked)
        self.page.on("requestfailed", self._failed)
        self.page.on("response", self._answered)

    def _asked(self, request: Request) -> None:
        local = urlsplit(request.url).scheme in {"data", "blob"} or request.url.startswith(self.home)
        if not local:
            self.problems.append(f"foreign request: {request.url}")

    def _failed(self, request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # broken off, since the page was left or runs no scripts
            self.problems.append(f"failed: {request.url} {request.failure}")

    def _answered(self, response: Response) -> None:
        if response.status >= 400:
            self.problems.append(f"{response.status}: {response.url}")

    def open(self, path: str) -> Page:
        """Go to a page of the site and wait until all of it is there."""
        self.page.goto(self.home + path, wait_until="load")
        self.page.wait_for_load_state("networkidle")
        return self.page


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for a module's tests; skipped without, but a failure where ``CI`` is ``true``."""
    command = find_browser.find()
    if command is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(find_browser.ADVICE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=command, args=find_browser.FLAGS)
        yield browser
        browser.close()


@contextmanager
def opened(browser: Browser, home: str, **options: object) -> Iterator[Watched]:
    """A fresh profile with one page; mouse, keyboard and touch are there. `open` takes a path from ``home``."""
    settings = {"viewport": WIDE, "has_touch": True, "reduced_motion": "reduce", "color_scheme": "light", **options}
    context: BrowserContext = browser.new_context(**settings)
    context.set_default_timeout(PATIENCE)
    try:
        yield Watched(context.new_page(), home)
    finally:
        context.close()
