"""A page for each widget of the chapters, with nothing around it: for a frame in another page, or for a projector.

`write_pages` runs after Sphinx and before the pages are finished (`finish_pages.py`), which brings them their front
end and their policy. A page shows what the notebook holds, and without scripts says the same as HTML.
"""

import sys
from html import escape
from pathlib import Path
from typing import Any

import nbformat
from widget_pages import KEPT, host_html, outputs_of

sys.path.insert(0, str(Path(__file__).resolve().parent / "ext"))
from teaching import EMBEDDED, Embedded, number

TEMPLATE = """\
<!doctype html>
<html lang="en" data-theme="light">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} · Learning Where to Look</title>
<meta name="description" content="{task}">
<link rel="icon" href="../_static/favicon.svg">
<link rel="stylesheet" href="../_static/embed.css">
<script src="../_static/embed.js"></script>
</head>
<body>
<main>
<h1 class="unseen">{title}</h1>
<p>{task}</p>
{host}
</main>
<footer><p><span><a href="../book/{chapter}.html" target="_blank" rel="noopener">\
Learning Where to Look, chapter {number}</a>, CC BY 4.0</span>
<button type="button" id="projector" aria-pressed="false" hidden>Projector</button></p></footer>
</body>
</html>
"""


def kept_in(notebook: Path) -> list[tuple[dict[str, Any], str]]:
    """Each widget that a notebook shows, in order, with its state and the HTML that says the same."""
    outputs = [output for output in outputs_of(nbformat.read(notebook, as_version=4)) if KEPT in output.metadata]
    states = {output.metadata[KEPT]["model"]: output.metadata[KEPT].get("state") for output in reversed(outputs)}
    found = []
    for output in outputs:
        kept = dict(output.metadata[KEPT])
        kept["state"] = states[kept["model"]]
        found.append((kept, output.data.get("text/html", "")))
    return found


def page(one: Embedded, kept: dict[str, Any], fallback: str) -> str:
    """The page of one widget, before it is finished."""
    return TEMPLATE.format(
        title=escape(one.title),
        task=escape(one.task),
        host=host_html(kept, fallback),
        chapter=one.chapter,
        number=number(one.chapter),
    )


def write_pages(notebooks: dict[Path, Path], site: Path) -> None:
    """Write ``embed/NAME.html`` for each widget that has a name, from the copies of the notebooks that are shown."""
    copies = {original.stem: copy for original, copy in notebooks.items()}
    for one in EMBEDDED:
        kept, fallback = kept_in(copies[one.chapter])[one.at]
        path = site / one.address
        path.parent.mkdir(exist_ok=True)
        path.write_text(page(one, kept, fallback), encoding="utf-8")
