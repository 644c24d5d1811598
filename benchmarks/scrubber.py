"""What one step of a large `AlignmentScrubber` costs the browser, in headless Chromium.

60 source and 60 target tokens, two moments of training; step and moment are moved as a slider moves them. Counted is
the CPU time of the page's main thread for one update: all of it, and what style, layout and paint have of it (also
within the event). "To paint" is the time on the clock from the event to the end of its paint, so a busy machine adds
to it.
"""

import json
import os
import sys
import tempfile
from pathlib import Path
from statistics import median

import numpy as np
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import find_browser  # noqa: E402
import widget_pages  # noqa: E402
from serve_pages import served  # noqa: E402

from course_pkg.widgets import AlignmentScrubber  # noqa: E402

TOKENS, UPDATES, PROMISED = 60, 60, 16  # PROMISED: milliseconds of the main thread for one update
PARTS = {
    "event": {"EventDispatch"},
    "style": {"UpdateLayoutTree"},
    "layout": {"Layout"},
    "paint": {"PrePaint", "Paint", "Layerize"},
    "all": {"RunTask"},
}
TRACED = ["devtools.timeline", "disabled-by-default-devtools.timeline", "toplevel"]
PAGE = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>A scrubber</title>'
    '<link rel="stylesheet" href="widgets.css"><script defer src="widgets.js"></script>'
)
UPDATE = """async ([slider, updates]) => {
  const input = document.querySelectorAll("input[type=range]")[slider];
  const update = (turn) => new Promise((done) => requestAnimationFrame(() => {
    const start = performance.now();
    input.value = turn % (Number(input.max) + 1);
    input.dispatchEvent(new Event("input"));
    const { port1, port2 } = new MessageChannel(); // its turn comes after the paint of this frame
    port1.onmessage = () => done(performance.now() - start);
    port2.postMessage(null);
  }));
  const times = [];
  for (let turn = 1; turn <= updates; turn += 1) times.push(await update(turn));
  return times;
}"""


def write_page(folder: Path) -> None:
    """A page with one large scrubber, drawn as the book draws it."""
    weights = np.random.default_rng(0).dirichlet(np.full(TOKENS, 0.05), size=(2, TOKENS))
    tokens = [f"w{place}" for place in range(TOKENS)]
    shown = AlignmentScrubber(tokens, tokens, None, epochs={"epochs": [0, 1], "weights": list(weights)})
    kept = {"widget": "AlignmentScrubber", "model": 1, "state": widget_pages.own_data(shown.get_state())}
    (folder / "widgets.js").write_text(widget_pages.page_script(), encoding="utf-8")
    (folder / "widgets.css").write_text(widget_pages.page_styles(), encoding="utf-8")
    page = PAGE + f"<body>{widget_pages.host_html(kept, shown.fallback())}</body>"
    (folder / "index.html").write_text(page, encoding="utf-8")


def spent(trace: bytes) -> dict[str, float]:
    """Milliseconds of CPU on the page's main thread for one update, by kind of work."""
    events = json.loads(trace)["traceEvents"]
    pages = {(event["pid"], event["tid"]) for event in events if event["name"] == "FireAnimationFrame"}
    cost = dict.fromkeys(PARTS, 0.0)
    for event in events:
        for part, names in PARTS.items():
            if event["name"] in names and (event["pid"], event["tid"]) in pages:
                cost[part] += event.get("tdur", 0) / 1000 / UPDATES
    return cost


def main() -> None:
    """Print one line for each slider; end with status 1 where an update takes longer than promised."""
    over = False
    with tempfile.TemporaryDirectory() as name, sync_playwright() as play:
        write_page(Path(name))
        browser = play.chromium.launch(executable_path=find_browser.find(), args=find_browser.FLAGS)
        with served(Path(name)) as address:
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.goto(address, wait_until="networkidle")
            print(f"{TOKENS} × {TOKENS}, {UPDATES} updates, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs")
            print(f"{'ms for one update':18}", *(f"{part:>8}" for part in PARTS), f"{'to paint':>9}")
            for slider, what in enumerate(("step", "moment")):
                page.evaluate(UPDATE, [slider, 5])
                browser.start_tracing(page=page, categories=TRACED)
                frames = page.evaluate(UPDATE, [slider, UPDATES])
                cost = spent(browser.stop_tracing())
                over |= cost["all"] > PROMISED
                print(f"{what:18}", *(f"{cost[part]:8.1f}" for part in PARTS), f"{median(frames):9.1f}", flush=True)
        browser.close()
    sys.exit(f"An update takes more than {PROMISED} ms." if over else 0)


if __name__ == "__main__":
    main()
