"""Reads built pages without a browser: ids, links, and whether each link leads somewhere."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

REFERRING = {"a": "href", "link": "href", "script": "src", "img": "src", "source": "src", "iframe": "src"}
# What these name is an address of the finished site, not a file that the page loads.
NAMED_ONLY = {"canonical", "alternate"}


@dataclass
class Page(HTMLParser):
    """The ids of a page, those given twice, and what it refers to."""

    text: str
    ids: set[str] = field(default_factory=set)
    repeated: list[str] = field(default_factory=list)
    references: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        name = given.get("id") or (given.get("name") if tag == "a" else None)
        if name:
            if name in self.ids and given.get("id"):
                self.repeated.append(name)
            self.ids.add(name)
        target = given.get(REFERRING.get(tag, ""))
        if target and not (tag == "link" and NAMED_ONLY & set((given.get("rel") or "").split())):
            self.references.append(target)


def read_pages(folder: Path) -> dict[str, Page]:
    """Every page below a folder under its path."""
    paths = sorted(folder.rglob("*.html"))
    return {str(path.relative_to(folder)): Page(path.read_text(encoding="utf-8")) for path in paths}


def broken_links(folder: Path, pages: dict[str, Page]) -> list[str]:
    """References within the site to a file or an anchor that is not there, or out of the folder by a full path."""
    broken = []
    base = "http://here/prefix/"
    for path, page in pages.items():
        for reference in page.references:
            parts = urlsplit(reference)
            if parts.scheme or parts.netloc:
                continue
            whole = urlsplit(urljoin(base + path, reference))
            target = unquote(whole.path).removeprefix("/prefix/")
            if not whole.path.startswith("/prefix/") or not (folder / target).is_file():
                broken.append(f"{path}: {reference} is no file")
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].ids | {"top"}:
                broken.append(f"{path}: {reference} has no such anchor")
    return broken
