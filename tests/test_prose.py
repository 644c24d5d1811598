"""The project's prose: words that it does without (`prose.toml`), and links that lead somewhere."""

import json
import re
import tomllib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.dollarmath import dollarmath_plugin

ROOT = Path(__file__).resolve().parent.parent
BOOK = ROOT / "book"
WORDS = tomllib.loads((ROOT / "tests/prose.toml").read_text(encoding="utf-8"))["word"]
PAGES = [*sorted(BOOK.glob("*.md")), *sorted(BOOK.glob("*.ipynb")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
HERE = re.compile(
    r"https://(?:colab\.research\.google\.com/github|github\.com)/where-to-look/course/(?:blob|tree)/main/(.+)"
)
IDLE = {"here", "this", "link", "click here", "this link", "more", "once"}


class Piece(NamedTuple):
    """A stretch of Markdown: where it is from, with ``{line}`` to fill in, and its text."""

    place: str
    text: str


def pieces(path: Path) -> Iterator[Piece]:
    """A page, or each Markdown cell of a notebook."""
    name = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".ipynb":
        yield Piece(f"{name}, line {{line}}", text)
        return
    for number, cell in enumerate(json.loads(text)["cells"], 1):
        if cell["cell_type"] == "markdown":
            yield Piece(f"{name}, cell {number}, line {{line}}", "".join(cell["source"]))


# --- words ------------------------------------------------------------------------------------------------------

NOT_PROSE = [
    r"^( *)(`{3,}|:{3,}\{math\}).*?^\1(`{3,}|:{3,})\s*$",  # code, directives
    r"(`+)(?!`).+?(?<!`)\1(?!`)",
    r"\$\$.*?\$\$",
    r"\$[^$\n]+\$",
    r"(?<=\])\([^)]*\)",  # where a link leads
    r"<[^>]*>",
    r"\"[^\"]{1,300}\"|“[^”]{1,300}”",  # quotations
    r"\*[A-Z][\w'’:,–-]*(?:\s+[\w'’:,.?–-]+){2,}\*",  # titles
]


def prose_of(text: str) -> str:
    """The text with everything that is no prose of ours blanked out; lines and columns stay."""
    for pattern in NOT_PROSE:
        text = re.sub(pattern, lambda m: re.sub(r"[^\n]", " ", m[0]), text, flags=re.MULTILINE | re.DOTALL)
    return text


def finds(piece: Piece, words: list[dict[str, str]] = WORDS) -> list[str]:
    """One line for each word that the project does without: where, which, what to write instead."""
    said, found = prose_of(piece.text), []
    lines = said.splitlines()
    for word in words:
        for match in re.finditer(rf"(?<![\w-])(?:{word['pattern']})(?![\w-])", said, flags=re.IGNORECASE):
            line = said.count("\n", 0, match.start())
            around = " ".join(lines[max(0, line - 1) : line + 2])
            if word.get("unless") and re.search(word["unless"], around, flags=re.IGNORECASE):
                continue
            place = piece.place.format(line=line + 1)
            found.append(f"{place}: {match[0]!r}; write {word['instead']} ({word['because']})")
    return found


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_pages_do_without_these_words(path: Path) -> None:
    found = [line for piece in pieces(path) for line in finds(piece)]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("It simply takes the last one.", 1),
        ("Then\nwe just add them.", 2),
        ("a state-of-the-art model", 1),
        ("a picture\nof the center", 2),
        ("`code`\n\nand we normalize the rows", 3),
        ("Attention scores sum to 1.", 1),
        ("Note\nthat the rows sum to 1", 1),
    ],
)
def test_a_word_is_found_on_its_line(text: str, line: int) -> None:
    (found,) = finds(Piece("page, line {line}", text))
    assert found.startswith(f"page, line {line}: ")


@pytest.mark.parametrize(
    "text",
    [
        "`color` and ``center``",
        "```python\nobvious = simply\n```",
        "the word just written; just as well",
        'its documentation says "attention scores"',
        "D. Kingma, J. Ba. *Adam: A Method for Stochastic Optimization.* ICLR 2015.",
        "[size](https://example.org/color) of a prize, resized",
        "$\\text{simply}$",
    ],
)
def test_code_quotations_titles_and_addresses_may_say_what_they_like(text: str) -> None:
    assert not finds(Piece("page", text))


def test_every_word_has_a_reason_and_a_pattern_that_can_find_it() -> None:
    for word in WORDS:
        assert set(word) <= {"pattern", "instead", "because", "unless"} and word["instead"] and word["because"]
        re.compile(word["pattern"])


# --- links ------------------------------------------------------------------------------------------------------

MARKDOWN = MarkdownIt("commonmark").enable("table").use(dollarmath_plugin)


class Link(NamedTuple):
    """Where a link leads, what it is called, and the line of its block."""

    target: str
    text: str
    line: int


class References(HTMLParser):
    """What raw HTML refers to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.targets += [value or "" for name, value in attrs if name in ("href", "src")]


def links(text: str, first: int = 1) -> Iterator[Link | str]:
    """Every link of a text; a string says what looks like a link and is none."""
    for token in MARKDOWN.parse(text):
        line = first + (token.map[0] if token.map else 0)
        if token.type == "html_block" or (token.type == "fence" and token.info.startswith("{raw}")):
            yield from (Link(target, "HTML", line) for target in References(token.content).targets)
        elif token.type == "fence" and re.match(r"\{(?!math|eval-rst|code)", token.info):
            yield from links(token.content, line + 1)
        elif token.type == "inline":
            yield from inline_links(token.children or [], line)


def inline_links(children: list[Token], line: int) -> Iterator[Link | str]:
    """The links within a paragraph."""
    inside = False
    for place, token in enumerate(children):
        if token.type == "link_open":
            inside = True
            closing = next(k for k in range(place, len(children)) if children[k].type == "link_close")
            yield Link(str(token.attrs["href"]), "".join(t.content for t in children[place:closing]), line)
        elif token.type == "link_close":
            inside = False
        elif token.type == "image":
            yield Link(str(token.attrs["src"]), token.content, line)
        elif token.type == "html_inline":
            yield from (Link(target, "HTML", line) for target in References(token.content).targets)
        elif token.type == "text" and "](" in token.content:
            yield f"line {line}: {token.content!r} is no link: a bracket, a space or an end is missing"
        elif token.type == "text" and not inside and re.search(r"https?://|www\.", token.content):
            yield f"line {line}: an address without <…> in {token.content!r}"


def slug(heading: str) -> str:
    """The anchor of a heading, as GitHub and MyST make it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def anchors(path: Path) -> set[str]:
    """The places of a page that a link may name."""
    found: set[str] = set()
    for piece in pieces(path):
        tokens = MARKDOWN.parse(piece.text)
        found |= {slug(tokens[k + 1].content) for k, token in enumerate(tokens) if token.type == "heading_open"}
        found |= set(re.findall(r"^\(([\w-]+)\)=", piece.text, flags=re.MULTILINE))
        found |= set(re.findall(r"\bid=\"([\w-]+)\"", piece.text))
        if "{results-tables}" in piece.text:  # a heading for each
            found |= {result.stem for result in (ROOT / "course_pkg/results").glob("*.json")}
    return found


def fault(link: Link, path: Path) -> str:
    """What is wrong with a link of this page; empty if nothing is."""
    target, parts = link.target, urlsplit(link.target)
    if not target or re.search(r"\s|%20", target):
        return "is empty or has a space"
    if link.text.strip().lower() in IDLE:
        return f"is called {link.text!r}: say where it leads"
    if not link.text.strip():
        return "has no text"
    if parts.scheme or parts.netloc:
        if parts.scheme != "https" or "." not in parts.netloc:
            return "is no https address"
        if re.search(r"[.,;:!?'\"]$", target) or target.count("(") != target.count(")"):
            return "ends in a punctuation mark"
        inside = HERE.fullmatch(target)
        return (
            "is not in the repository" if inside and not (ROOT / unquote(inside[1].partition("#")[0])).exists() else ""
        )
    file = path.parent / unquote(parts.path) if parts.path else path
    if file.suffix == ".html" and path.parent == BOOK:  # raw HTML names pages as they are built
        file = next((file.with_suffix(end) for end in (".md", ".ipynb") if file.with_suffix(end).is_file()), file)
    if file.suffix in {".html", ".zip"} and path.parent == BOOK and parts.path.startswith("../"):
        return ""  # written during the build; test_book follows it there
    if not file.exists():
        return "leads to no file"
    if parts.fragment and file.suffix in (".md", ".ipynb") and unquote(parts.fragment) not in anchors(file):
        return "leads to no heading"
    return ""


def broken(piece: Piece, path: Path) -> list[str]:
    """One line for each link of a piece that does not do."""
    found = []
    for link in links(piece.text):
        if isinstance(link, str):
            found.append(f"{piece.place.partition(', line')[0]}, {link}")
        elif wrong := fault(link, path):
            found.append(f"{piece.place.format(line=link.line)}: the link {link.target} {wrong}")
    return found


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere_and_say_where(path: Path) -> None:
    found = [line for piece in pieces(path) for line in broken(piece, path)]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("[paper](http://example.org/a)", "no https"),
        ("[paper](https://example.org/a.)", "punctuation"),
        ("<https://example.org/a,>", "punctuation"),
        ("[paper](<https://example.org/a b>)", "space"),
        ("[paper](https://example.org/a b)", "no link"),
        ("[paper] (https://example.org/a)", "without <"),
        ("see https://example.org", "without <"),
        ("[here](https://example.org)", "say where"),
        ("[](https://example.org)", "no text"),
        ("[next](99_nothing.ipynb)", "no file"),
        ("[next](results.md#nothing-there)", "no heading"),
        ("[source](https://github.com/where-to-look/course/blob/main/nothing.py)", "not in the repository"),
        ('<a href="http://example.org">x</a>', "no https"),
        ("```{note}\n[next](99_nothing.ipynb)\n```", "no file"),
    ],
)
def test_a_bad_link_is_seen(text: str, wrong: str) -> None:
    (found,) = broken(Piece("page, line {line}", text), BOOK / "index.md")
    assert wrong in found


@pytest.mark.parametrize(
    "text",
    [
        "[a](results.md) `[b](c)` $f[x](y)$",
        "<https://example.org/a_(b)>",
        "[t](index.md#teach-with-it)",
        "```\n](x\n```",
    ],
)
def test_a_good_link_is_left_alone(text: str) -> None:
    assert broken(Piece("page, line {line}", text), BOOK / "index.md") == []
