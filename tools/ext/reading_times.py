"""Sphinx extension: how long a chapter takes to read, counted from its notebook and shown at the head of its page.

The notebooks hold their authors' estimates, for readers elsewhere; on the pages the count takes their place, so that
no page shows two numbers. ``{reading-times}`` states the rule, from the constants below, and lists all chapters.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chapters import chapters_of
from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

WORDS_A_MINUTE = 200
SECONDS_A_DISPLAY, SECONDS_A_LINE = 20, 2  # a display: an equation on lines of its own, a figure, a widget
RULE = (
    f"{WORDS_A_MINUTE} words of text a minute; {SECONDS_A_DISPLAY} seconds for a displayed equation, a figure, a table "
    f"of results or a widget; {SECONDS_A_LINE} seconds for a line of code that is shown. Exercises and their solutions "
    "are extra, and so are the questions at the end."
)

FENCE = re.compile(r"(?ms)^(```|~~~).*?^\1\s*$")
DISPLAY = re.compile(r"\$\$.+?\$\$", re.S)
FORMULA = re.compile(r"(?<![\\$])\$(?:\\.|[^$\\])+\$", re.S)
SOLUTION = re.compile(r"<details>\s*<summary>Solution</summary>.*?</details>", re.S)
HIDDEN = {"hide-input", "hide-cell", "remove-input", "remove-cell"}
RICH = {"image/png", "image/svg+xml", "text/markdown", "text/html"}  # a widget has HTML
# The authors' estimate: most chapters have it in a line above the text, the first in a sentence.
ESTIMATE = re.compile(
    r"Chapter \d+ · about \d+\s+minutes(?:,\s+the\s+exercises\s+extra)?\s+·\s+(?P<first>\w)"
    r"|\s*Reading takes about \d+\s+minutes(?:,\s+the\s+exercises\s+extra)?\."
)


@dataclass(frozen=True)
class Counts:
    """What there is to read in a notebook."""

    words: int
    equations: int
    lines: int
    figures: int

    @property
    def minutes(self) -> int:
        """The time that it takes by the rule."""
        seconds = SECONDS_A_DISPLAY * (self.equations + self.figures) + SECONDS_A_LINE * self.lines
        return round(self.words / WORDS_A_MINUTE + seconds / 60)


def counts_of(notebook: dict[str, Any]) -> Counts:
    """Count a notebook; a formula in a line counts as a word."""
    text, lines, figures = [], 0, 0
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            text.append(source)
            continue
        if not HIDDEN & set(cell["metadata"].get("tags", [])) and not re.search(r"(?m)^check\(", source):
            lines += sum(bool(line.strip()) for line in source.splitlines())
        figures += sum(is_figure(output) for output in cell["outputs"])
    body = SOLUTION.sub("", "\n\n".join(text).split("\n## References")[0])
    prose = FORMULA.sub(" x ", DISPLAY.sub(" ", FENCE.sub(" ", body)))
    return Counts(len(re.findall(r"[\w’'-]+", prose)), len(DISPLAY.findall(body)), lines, figures)


def is_figure(output: dict[str, Any]) -> bool:
    """Whether an output is drawn, tabled, or a widget of the course."""
    return bool(RICH & set(output.get("data", {})))


def counts_of_file(path: Path) -> Counts:
    """Count the notebook in a file."""
    return counts_of(json.loads(path.read_text(encoding="utf-8")))


def drop_estimate(app: Sphinx, doctree: nodes.document) -> None:
    """Take the author's estimate out of a chapter's head; the page shows the count in its place."""
    if app.env.docname not in {chapter.page for chapter in chapters_of(Path(app.srcdir))}:
        return
    for text in list(doctree.findall(nodes.Text)):
        found = ESTIMATE.search(text)
        if found:
            first = (found["first"] or "").upper()
            text.parent.replace(text, nodes.Text(text[: found.start()] + first + text[found.end() :]))
            return


class ReadingTimes(SphinxDirective):
    """``{reading-times}``: the rule in one paragraph, and every chapter with its minutes."""

    def run(self) -> list[nodes.Node]:
        """The paragraph and a list."""
        folder = Path(self.env.srcdir)
        entries, total = [], 0
        for chapter in chapters_of(folder):
            path = folder / f"{chapter.page}.ipynb"
            self.env.note_dependency(str(path))
            minutes = counts_of_file(path).minutes
            total += minutes
            name = nodes.inline("", f"{chapter.number} · {chapter.title}")
            link = addnodes.pending_xref(
                "", name, refdomain="std", reftype="doc", reftarget=f"/{chapter.page}", refexplicit=True, refwarn=True
            )
            entries.append(nodes.list_item("", nodes.paragraph("", "", link, nodes.Text(f": {minutes} minutes"))))
        rule = f"A reading time is counted: {RULE} The {len(entries)} chapters take {total / 60:.0f} hours together."
        return [nodes.paragraph("", rule), nodes.bullet_list("", *entries, classes=["course-times"])]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive and the change of the heads."""
    app.add_directive("reading-times", ReadingTimes)
    app.connect("doctree-read", drop_estimate)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
