"""What each page of the book weighs, and how soon its first widget stands drawn, in headless Chromium.

``python benchmarks/page_weight.py FOLDER`` measures the pages of that folder (``_build/html``, made by ``make book``).
Weight is everything that the page asks for, each file compressed as a server would send it (gzip, level 6; fonts and
pictures are as small as they get). A widget's time counts from the start of loading, with nothing in the cache: the
median of three loads, for the machine does other things too.
"""

import argparse
import gzip
import statistics
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import find_browser  # noqa: E402
from serve_pages import served  # noqa: E402

COMPRESSED = {".woff", ".woff2", ".png", ".jpg", ".webp"}
MEGABYTE = 1_000_000
HEAVIEST, SLOWEST = 1.5, 1.0  # what the book promises: megabytes, seconds
DRAWN = """() => new Promise((done) => {
  const hosts = [...document.querySelectorAll(".course-widget-host")];
  const look = () => {
    const [first] = performance.getEntriesByName("course-widget-drawn");
    if (!hosts.length) done(null);
    else if (first) requestAnimationFrame(() => done(first.startTime / 1000));
    else setTimeout(look, 20);
  };
  look();
})"""


def weight(file: Path) -> int:
    """The bytes of a file as a server sends it."""
    content = file.read_bytes()
    return len(content) if file.suffix in COMPRESSED else len(gzip.compress(content, 6))


def file_of(address: str) -> str:
    """The path below the folder of what was asked for."""
    return unquote(urlsplit(address).path).lstrip("/")


def measure(browser: Browser, folder: Path, base: str, page: Path) -> tuple[int, int, float | None]:
    """How many files a page asks for, their compressed bytes, and the seconds to its first widget (None: no widget)."""
    asked: set[Path] = set()
    context = browser.new_context()
    tab = context.new_page()
    tab.on("request", lambda request: request.url.startswith(base) and asked.add(folder / file_of(request.url)))
    answer = tab.goto(f"{base}{page.relative_to(folder).as_posix()}")
    if answer is None or not answer.ok:
        sys.exit(f"{page} cannot be read.")
    seconds = tab.evaluate(DRAWN)
    tab.wait_for_load_state("networkidle")
    # Pictures farther down are asked for when they come near.
    tab.evaluate("document.querySelectorAll('img').forEach((image) => { image.loading = 'eager'; })")
    tab.wait_for_load_state("networkidle")
    context.close()
    return len(asked), sum(weight(file) for file in asked if file.is_file()), seconds


def main() -> None:
    """Print one line for each page; end with status 1 where a page is heavier or slower than promised."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "_build/html")
    folder = parser.parse_args().folder.resolve()
    pages = sorted((folder / "book").glob("*.html"))
    if not pages:
        sys.exit(f"There are no pages in {folder}: run `make book` first.")
    over = False
    print(f"{'page':40} {'files':>5} {'MB gzipped':>11} {'first widget':>13}")
    with served(folder) as base, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=find_browser.find(), args=find_browser.FLAGS)
        for page in pages:
            files, size, seconds = measure(browser, folder, base, page)
            if seconds is not None:
                again = [measure(browser, folder, base, page)[2] for _ in range(2)]
                seconds = statistics.median([seconds, *(value for value in again if value is not None)])
            over |= size > HEAVIEST * MEGABYTE or (seconds or 0) > SLOWEST
            drawn = "–" if seconds is None else f"{seconds:.2f} s"
            print(f"{page.name:40} {files:5} {size / MEGABYTE:11.3f} {drawn:>13}", flush=True)
        browser.close()
    sys.exit(f"A page is over {HEAVIEST} MB, or a widget over {SLOWEST} s." if over else 0)


if __name__ == "__main__":
    main()
