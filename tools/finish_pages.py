"""What is done to the pages after Sphinx has written them, so that they stand on their own and under a strict policy.

Equations are typeset, widgets get their front end, and every inline script, style and event handler moves into a file
of the site: `POLICY` then forbids a page to run, or to ask for, anything that is not the site's own.
"""

import hashlib
import os
import re
from html import escape
from pathlib import Path

from typeset import typeset_pages
from widget_pages import HOST, page_script, page_styles

# Styles that stand as attributes on elements are allowed: equations and figures are laid out with them.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; style-src-attr 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'"
)
SCRIPT = re.compile(r"<script((?:\s[^>]*)?)>(.*?)</script>", re.DOTALL)
SETTING = re.compile(r"\s*(var|let|const)\s")
STYLE = re.compile(r"<style[^>]*>(.*?)</style>", re.DOTALL)
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
HANDLER = re.compile(r'(<[a-zA-Z][^<>]*?)\son(\w+)="([^"]*)"')
# What the stack adds for kernels on another server and for equations in the browser; and icons drawn twice.
UNUSED = re.compile(r"thebe|MathJax|mathjax|^\s*kernelName = |scripts/fontawesome\.js")
UNUSED_FILES = ["_static/sphinx-thebe.js", "_static/sphinx-thebe.css", "_static/scripts/fontawesome.js"]
# The theme's two buttons with an inline handler; book/_static/buttons.js listens instead.
BUTTONS = {"window.print()": "print", "toggleFullScreen()": "full-screen"}
FRONT_DOOR = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="0; url=book/index.html">
<link rel="icon" href="_static/favicon.svg">
<title>Learning Where to Look</title>
</head>
<body><main><h1><a href="book/index.html">Learning Where to Look</a></h1></main></body>
</html>
"""
# A server shows this page under any address, so it asks for no file and links to the site's own address.
NOT_FOUND = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>Not found · Learning Where to Look</title>
</head>
<body><main><h1>There is no such page</h1><p><a href="{home}">Learning Where to Look</a> begins here.</p></main></body>
</html>
"""


def short_hash(text: str) -> str:
    """A name for a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class Site:
    """The folder of the built pages, and the files that are moved out of them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.inline = root / "_static/inline"

    def address(self, page: Path, file: Path) -> str:
        """The address of a file of the site, relative to a page, with a key of its content."""
        key = hashlib.sha256(file.read_bytes()).hexdigest()[:8]
        return Path(os.path.relpath(file, page.parent)).as_posix() + f"?v={key}"

    def stored(self, page: Path, text: str, suffix: str) -> str:
        """The address of a file that holds ``text``."""
        path = self.inline / f"{short_hash(text)}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return Path(os.path.relpath(path, page.parent)).as_posix()


def is_data(attributes: str) -> bool:
    """Whether a script element holds data, which no browser runs."""
    kind = re.search(r'type="([^"]*)"', attributes)
    return kind is not None and kind[1] not in {"text/javascript", "module"}


def outside_scripts(site: Site, page: Path, text: str) -> str:
    """The page without inline scripts: each is a file, in its place and order; unused ones are gone."""

    def replace(match: re.Match[str]) -> str:
        attributes, body = match[1], match[2]
        if UNUSED.search(attributes) or UNUSED.search(body) and "application/json" not in attributes:
            return ""
        if is_data(attributes) or not body.strip():
            return match[0]
        return f'<script{attributes} src="{site.stored(page, body.strip() + chr(10), ".js")}"></script>'

    return SCRIPT.sub(replace, text)


def settings_first(text: str) -> str:
    """The page with the inline scripts of its head that only declare a setting joined, before all that may read it.

    The stack declares some after the script that wants them, and relies on that script waiting for the page.
    """
    head, mark, body = text.partition("</head>")
    found = [match for match in SCRIPT.finditer(head) if not match[1] and SETTING.match(match[2])]
    kept = [match[2].strip() for match in found if not UNUSED.search(match[2])]
    for match in found:
        head = head.replace(match[0], "", 1)
    place = head.find("<script src=")
    place = len(head) if place < 0 else place
    if kept:
        head = head[:place] + "<script>{}</script>\n".format("\n".join(kept)) + head[place:]
    return head + mark + body


def together(text: str) -> str:
    """The page with the scripts of its head fetched side by side and run, in order, once the page is read.

    A browser that meets a policy in a page looks ahead for no script: each would wait for the one before it. Only the
    first script stays as it is: it chooses light or dark before anything is painted.
    """
    head, mark, body = text.partition("</head>")

    def replace(match: re.Match[str]) -> str:
        attributes = match[1]
        if " src=" not in attributes or re.search(r"\b(defer|async|data-cfasync)\b", attributes):
            return match[0]
        return f"<script defer{attributes}>{match[2]}</script>"

    return SCRIPT.sub(replace, head) + mark + body


def outside_styles(site: Site, page: Path, text: str) -> str:
    """The page without inline style sheets: each is a file, in its place."""
    return STYLE.sub(
        lambda match: f'<link rel="stylesheet" href="{site.stored(page, match[1].strip() + chr(10), ".css")}">', text
    )


def outside_handlers(page: Path, text: str) -> str:
    """The page without event handlers in attributes; one that is not known ends the build."""

    def replace(match: re.Match[str]) -> str:
        if match[2] != "click" or match[3] not in BUTTONS:
            raise RuntimeError(f"{page.name}: the policy forbids the inline handler on{match[2]}={match[3]!r}")
        return f'{match[1]} data-course-button="{BUTTONS[match[3]]}"'

    return HANDLER.sub(replace, text)


def with_head(text: str, first: str, last: str, scripts: str) -> str:
    """The page with more at the beginning and at the end of its head, and scripts before all that wait for the page."""
    text = re.sub(r"(<meta charset=[^>]*>)", lambda match: match[1] + first, text, count=1)
    text = text.replace("</head>", f"{last}</head>", 1)
    place = text.find("<script defer")
    place = text.index("</head>") if place < 0 else place
    return text[:place] + scripts + text[place:]


def policy_tag() -> str:
    """The policy as an element, for a site whose server sends no header of its own."""
    return f'\n<meta http-equiv="Content-Security-Policy" content="{escape(POLICY)}">'


def finish_page(site: Site, page: Path, text: str) -> str:
    """One page under the policy, with the front end that it uses and no other."""
    text = COMMENT.sub("", text)
    # A script chooses light or dark at once; without scripts "auto" would be neither.
    text = text.replace('data-theme="auto"', 'data-theme="light"', 1)
    text = re.sub(r'\s*<link[^>]*href="[^"]*sphinx-thebe\.css[^>]*>', "", text)
    text = outside_styles(site, page, outside_handlers(page, outside_scripts(site, page, settings_first(text))))
    text = together(text)
    static, last, scripts = site.root / "_static", "", ""
    if "<mjx-container" in text:
        last += f'<link rel="stylesheet" href="{site.address(page, static / "mathjax.css")}">\n'
    if f'class="{HOST}"' in text:
        last += f'<link rel="stylesheet" href="{site.address(page, static / "course-widgets.css")}">\n'
        scripts = f'<script defer src="{site.address(page, static / "course-widgets.js")}"></script>\n'
    return with_head(text, policy_tag(), last, scripts)


def home_address(root: Path) -> str:
    """The address at which the site is published, as its pages name it."""
    found = re.search(r'rel="canonical" href="([^"]*?)book/', (root / "book/index.html").read_text(encoding="utf-8"))
    return found[1] if found else "/"


def finish(root: Path) -> None:
    """Finish every page below ``root``, and add the front door and the page for a wrong address."""
    site, static = Site(root), root / "_static"
    for name in UNUSED_FILES:
        (root / name).unlink(missing_ok=True)
    for unused in [*static.rglob("*.map"), *static.glob("*webpack-macros.html")]:
        unused.unlink()
    (static / "course-widgets.js").write_text(page_script(), encoding="utf-8")
    (static / "course-widgets.css").write_text(page_styles(), encoding="utf-8")
    home = home_address(root)
    (root / "index.html").write_text(FRONT_DOOR, encoding="utf-8")
    (root / "404.html").write_text(NOT_FOUND.format(home=home), encoding="utf-8")
    pages = {path: path.read_text(encoding="utf-8") for path in sorted(root.rglob("*.html"))}
    for page, text in typeset_pages(pages, static).items():
        page.write_text(finish_page(site, page, text), encoding="utf-8")
