"""Sphinx extension: where a chapter stands in the course, below its title: parts, chapters, minutes, and the debts.

It is put into the finished HTML, not into the text of the page: otherwise a search for the title of one chapter would
find every page.
"""

from html import escape
from pathlib import Path
from typing import Any

from chapters import Chapter, chapters_of
from docutils import nodes
from reading_times import counts_of_file
from sphinx.application import Sphinx

LABEL = "Where you are in the course"
TIMES = "book/index"  # the page that says how the minutes are counted
TIMES_ID = "reading-times"
OPENED = 2  # the chapter that opens the debts
# What the ends of the chapters say that they pay ("Which debt is paid?"); a test holds the two together.
DEBTS: dict[str, dict[int, str]] = {
    "lengthy sentences": {7: "mostly paid"},
    "time": {14: "part paid"},
    "not human-like": {8: "part paid", 11: "part paid", 13: "part paid"},
}


def debt_after(debt: str, chapter: int) -> str:
    """What the course has paid of a debt when a chapter ends."""
    paid = [said for number, said in sorted(DEBTS[debt].items()) if number <= chapter]
    return paid[-1] if paid else "open"


def debts_html(chapter: int) -> str:
    """The debts with their states, each with a mark; what this chapter itself pays is said."""
    if chapter < OPENED:
        return ""
    items = []
    for debt, paid in DEBTS.items():
        said = debt_after(debt, chapter)
        state = "open" if said == "open" else "part" if said == "part paid" else "paid"
        here = " here" if chapter in paid else ""
        items.append(f'<li class="{state}">{escape(debt)}: <b>{escape(said)}{here}</b></li>')
    return f"<p>Debts when it ends:</p><ul>{''.join(items)}</ul>"


def map_html(chapters: list[Chapter], here: Chapter, minutes: int, link: Any) -> str:
    """The map as one landmark; ``link`` makes an address of a page's name."""
    parts: dict[str, list[str]] = {}
    for one in chapters:
        name = f'{one.number}<span class="visually-hidden"> · {escape(one.title)}</span>'
        current = ' aria-current="page"' if one == here else ""
        title = escape(f"{one.number} · {one.title}")
        parts.setdefault(one.part, []).append(
            f'<li><a href="{escape(link(one.page))}" title="{title}"{current}>{name}</a></li>'
        )
    rows = "".join(
        f"<li{' class=here' if part == here.part else ''}><span>{escape(part)}</span><ol>{''.join(links)}</ol></li>"
        for part, links in parts.items()
    )
    times = escape(f"{link(TIMES)}#{TIMES_ID}")
    return (
        f'<nav class="course-map" aria-label="{LABEL}"><ol>{rows}</ol>'
        f'<div><p>Chapter {here.number} of {len(chapters)}: <a href="{times}">about {minutes} minutes</a> to read, '
        f"the exercises extra.</p>{debts_html(here.number)}</div></nav>\n"
    )


def add_map(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None) -> None:
    """Put the map below the title of a chapter."""
    folder = Path(app.srcdir)
    chapters = chapters_of(folder)
    here = next((one for one in chapters if one.page == page), None)
    if here is None or doctree is None:
        return
    minutes = counts_of_file(folder / f"{page}.ipynb").minutes

    def link(target: str) -> str:
        return app.builder.get_relative_uri(page, target)

    context["body"] = context["body"].replace("</h1>\n", "</h1>\n" + map_html(chapters, here, minutes, link), 1)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the change of the pages."""
    app.connect("html-page-context", add_map)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
