"""A Chromium for the tests of the pages: found, or else installed.

Tried in this order: what ``CHROME`` names, ``chromium``, ``chromium-browser``, ``google-chrome``, the browser that
Playwright keeps for itself; with ``--install`` then apt-get (as root) and ``playwright install``. A browser counts
only if it runs: some systems put a command of that name there which only says where to get one.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator

NAMES = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
]
ADVICE = (
    "No Chromium can be found or installed: install one (Debian: apt-get install chromium), or set CHROME to the "
    "path of Chromium or Chrome, and run again."
)
# What a headless Chromium needs in order to start anywhere and to ask for nothing by itself.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


def runs(command: str) -> bool:
    """Whether this is a browser that starts."""
    try:
        return subprocess.run([command, "--version"], capture_output=True, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def playwrights_own() -> str | None:
    """Where Playwright keeps its own Chromium, installed or not; ``None`` without Playwright."""
    code = "from playwright.sync_api import sync_playwright as s\nwith s() as p: print(p.chromium.executable_path)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    return done.stdout.strip() or None


def candidates() -> Iterator[str]:
    """Every place where a browser may be, the first choice first."""
    if os.environ.get("CHROME"):
        yield os.environ["CHROME"]
    for name in NAMES:
        path = shutil.which(name)
        if path:
            yield path
    own = playwrights_own()
    if own:
        yield own


def find() -> str | None:
    """The first browser that runs."""
    return next((path for path in candidates() if runs(path)), None)


def is_root() -> bool:
    """Whether apt-get may install."""
    return hasattr(os, "geteuid") and os.geteuid() == 0


def run(*command: str) -> bool:
    """Run a command quietly; what it says appears only where it fails."""
    print("$", " ".join(command), flush=True)
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        print(f"  {error}")
        return False
    if done.returncode:
        print("\n".join(f"  {line}" for line in (done.stdout + done.stderr).splitlines()[-5:]))
    return done.returncode == 0


def from_apt() -> bool:
    """Debian's package."""
    if shutil.which("apt-get") is None or not is_root():
        return False
    return run("apt-get", "update") and run("apt-get", "install", "-y", "chromium")


def from_playwright() -> bool:
    """The build that Playwright fetches."""
    return run(sys.executable, "-m", "playwright", "install", "chromium")


INSTALLERS: list[Callable[[], bool]] = [from_apt, from_playwright]


def find_or_install() -> str | None:
    """A browser that runs, installed where there is none."""
    found = find()
    if found:
        return found
    print("There is no Chromium yet for the tests of the pages.", flush=True)
    for install in INSTALLERS:
        if install():
            found = find()
            if found:
                return found
    return None


def main() -> None:
    """Say which browser the tests will use. Without one: status 1 where ``CI`` is ``true``, a warning elsewhere."""
    found = find_or_install() if "--install" in sys.argv[1:] else find()
    if found:
        print(f"Chromium for the tests: {found}")
        return
    print(ADVICE, file=sys.stderr)
    if os.environ.get("CI") == "true":
        sys.exit(1)
    print("The tests of the pages are skipped.", file=sys.stderr)


if __name__ == "__main__":
    main()
