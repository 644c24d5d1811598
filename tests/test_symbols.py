"""No symbol and no term of the trade before its definition: the chapters against notation and glossary."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from book_math import BOOK, NOTEBOOKS, Symbol, cells, chapter_of, formulas, prose, symbols

LETTERS = "letter by letter"
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
PAGE = (BOOK / "notation.md").read_text(encoding="utf-8")
GLOSSARY_PAGE = (BOOK / "glossary.md").read_text(encoding="utf-8")


# --- the page of notation ---------------------------------------------------------------------------------------


@dataclass
class Notation:
    """What the page declares: each symbol with the chapter from which it may be used."""

    symbols: dict[str, int] = field(default_factory=dict)
    indices: set[str] = field(default_factory=set)

    def declare(self, formula: str, chapter: int) -> None:
        """Every symbol of the formula; an index below a letter is not part of its name."""
        for symbol in symbols(formula):
            name = symbol.base if symbol.below in self.indices else str(symbol)
            self.symbols[name] = min(chapter, self.symbols.get(name, chapter))


def sections(page: str) -> list[tuple[str, str]]:
    """Heading and text of each second-level section."""
    parts = re.split(r"(?m)^## (.+)$", page)
    return list(zip(parts[1::2], parts[2::2], strict=True))


def rows(text: str) -> list[list[str]]:
    """The cells of a section's tables, heads and rules left out."""
    lines = [line.strip() for line in text.splitlines() if line.startswith("|")]
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for above, row in zip([[]] + table, table, strict=False) if above and not re.match(r":?-+", row[0])]


def read_notation(page: str) -> Notation:
    """The page's declarations.

    The first cell of a table's row declares; in the table of sizes the papers' letters do too, from the chapter in the
    last cell on. A section named "Chapter N" holds from chapter N on, any other from the start. What the papers write
    ("letter by letter") declares nothing.
    """
    notation = Notation()
    named = sections(page)
    for heading, text in named:
        if heading == "Indices":
            notation.indices = {str(s) for row in rows(text) for f in formulas(row[0]) for s in symbols(f)}
    for heading, text in named:
        number = re.match(r"Chapter (\d+)", heading)
        chapter = int(number[1]) if number else 0
        if heading.endswith(LETTERS):
            continue
        for row in rows(text):
            size = heading == "Sizes"
            since = int(row[-1]) if size and row[-1].isdigit() else chapter
            for cell in row[:1] + row[2:3] * size:
                for formula in formulas(cell):
                    notation.declare(formula, since)
    return notation


NOTATION = read_notation(PAGE)


# --- the glossary -----------------------------------------------------------------------------------------------

LINK = r"\[chapter (\d+)\]\((\d\d)_\w+\.ipynb\)"
# How an entry names its chapter at its end: explained there and nowhere used before; given this sense there; or taken
# as known from there on.
ENDINGS = {"terms": rf"\({LINK}\)", "explained": rf"\(explained in {LINK}\)", "used": rf"\(used from {LINK} on\)"}


@dataclass
class Glossary:
    """Each term with its chapter, by how the entry ends; those that point to another; and those that do neither."""

    terms: dict[str, int] = field(default_factory=dict)
    explained: dict[str, int] = field(default_factory=dict)
    used: dict[str, int] = field(default_factory=dict)
    see: dict[str, str] = field(default_factory=dict)
    homeless: list[str] = field(default_factory=list)

    def add(self, name: str, text: str) -> None:
        """Sort an entry in by its end."""
        if other := re.fullmatch(r"See \{term\}`([^`]+)`\.", text):
            self.see[name] = other[1]
            return
        for kind, ending in ENDINGS.items():
            found = re.search(rf"(?<=[.?*)] ){ending}$", text)
            if found and int(found[1]) == int(found[2]):
                getattr(self, kind)[name] = int(found[1])
                return
        self.homeless.append(name)

    def names(self) -> list[str]:
        """Every headword, in the order of the kinds."""
        return [*self.terms, *self.explained, *self.used, *self.see, *self.homeless]


def read_glossary(page: str) -> Glossary:
    """The entries of the page's glossary: a term at the margin, its text indented below."""
    (block,) = re.findall(r"(?ms)^```\{glossary\}\n(.*?)^```$", page)
    glossary = Glossary()
    for name, text in re.findall(r"(?m)^(\S.*)\n((?:  .+\n?)+)", block):
        glossary.add(name, " ".join(text.split()))
    return glossary


GLOSSARY = read_glossary(GLOSSARY_PAGE)
PROSE = {chapter_of(path): "\n".join(map(prose, cells(path, "markdown"))) for path in NOTEBOOKS}


# --- symbols ----------------------------------------------------------------------------------------------------


def problem_of(symbol: Symbol, chapter: int, notation: Notation) -> str | None:
    """Why a chapter may not use a symbol, or nothing."""
    whole = str(symbol) if symbol.below not in notation.indices else symbol.base
    since = notation.symbols.get(whole)
    if since is None and symbol.below and whole != symbol.base:  # a letter below that is declared by itself: an index
        parts = [notation.symbols.get(symbol.base), notation.symbols.get(symbol.below)]
        since = None if None in parts else max(part for part in parts if part is not None)
    if since is None:
        return f"${whole}$ stands nowhere in book/notation.md: add a row to its section 'Chapter {chapter}'"
    if since > chapter:
        return f"${whole}$ is defined only in chapter {since}: define it here and on the page, or use another letter"
    return None


def problems_of_symbols(markdown: Iterable[str], chapter: int, notation: Notation) -> list[str]:
    """What a chapter writes without a definition on the page of notation, each symbol once."""
    found: dict[str, str] = {}
    for text in markdown:
        for formula in formulas(text):
            for symbol in symbols(formula):
                problem = problem_of(symbol, chapter, notation)
                if problem and problem not in found:
                    found[problem] = " ".join(formula.split())[:70]
    return [f"{problem} (in {formula})" for problem, formula in found.items()]


@each_notebook
def test_every_symbol_is_defined_by_then(path: Path) -> None:
    problems = problems_of_symbols(cells(path, "markdown"), chapter_of(path), NOTATION)
    assert problems == [], "words inside a formula go into \\text{…}\n" + "\n".join(problems)


# --- words ------------------------------------------------------------------------------------------------------


def term_pattern(term: str) -> re.Pattern[str]:
    """The term as a whole word, its plural too; an abbreviation only in its own capitals."""
    words = r"[\s-]+".join(map(re.escape, term.split()))
    flags = re.NOFLAG if term.isupper() else re.IGNORECASE
    return re.compile(rf"(?<![\w-]){words}(?:s|es)?(?![\w-])", flags)


def sentences(markdown: str) -> list[str]:
    """The sentences of the prose; a heading, a list item and a table's row count as sentences of their own."""
    pieces = re.split(r"\n\s*\n|\n(?=\s*(?:[-|#>]|\d+\.|<))|(?<=[.!?:])\s+(?=[A-Z*_\[(])", prose(markdown))
    return [" ".join(piece.split()) for piece in pieces if piece.strip()]


def problems_of_terms(markdown: Iterable[str], chapter: int, terms: dict[str, int]) -> list[str]:
    """Terms that a chapter uses although a later one explains them.

    A sentence that itself names the chapter which explains the term may use it, and so may what follows it.
    """
    found, announced = [], set()
    said = [sentence for text in markdown for sentence in sentences(text)]
    for sentence in said:
        for term, since in terms.items():
            if since <= chapter or term in announced or not term_pattern(term).search(sentence):
                continue
            if re.search(rf"chapters? (?:\d+(?:, | and | to ))*{since}\b", sentence, re.IGNORECASE):
                announced.add(term)
            else:
                found.append(f"{term!r} is explained only in chapter {since}; the first sentence that uses it has to "
                             f"say so, or to do without: {sentence[:90]}")  # fmt: skip
                announced.add(term)
    return found


def chapters_with(term: str) -> list[int]:
    """The chapters whose prose has the term, in order."""
    pattern = term_pattern(term)
    return sorted(chapter for chapter, text in PROSE.items() if pattern.search(text))


def problems_of_definitions(markdown: Iterable[str], chapter: int, terms: dict[str, int]) -> list[str]:
    """Terms of this chapter that it never introduces, in bold, where it explains them."""
    bold = re.findall(r"\*\*(.+?)\*\*", " ".join(" ".join(text.split()) for text in markdown))
    return [
        f"{term!r} belongs to chapter {chapter}: write it in bold, **{term}**, where the chapter explains it"
        for term, since in terms.items()
        if since == chapter and not any(term_pattern(term).search(words) for words in bold)
    ]


@each_notebook
def test_no_term_before_the_chapter_that_explains_it(path: Path) -> None:
    problems = problems_of_terms(cells(path, "markdown"), chapter_of(path), GLOSSARY.terms)
    assert problems == [], "\n".join(problems)


@each_notebook
def test_a_chapter_introduces_its_terms_in_bold(path: Path) -> None:
    problems = problems_of_definitions(cells(path, "markdown"), chapter_of(path), GLOSSARY.terms)
    assert problems == [], "\n".join(problems)


def test_every_entry_of_the_glossary_ends_in_its_chapter_or_points_to_another() -> None:
    assert len(GLOSSARY.terms) > 60
    assert GLOSSARY.homeless == [], "end each entry in ([chapter 5](05_….ipynb)), or see the page for the other ways"
    names = GLOSSARY.names()
    assert len(names) == len(set(names)) == GLOSSARY_PAGE.count("\n\n", GLOSSARY_PAGE.index("```{glossary}")) + 1
    defined = {*GLOSSARY.terms, *GLOSSARY.explained, *GLOSSARY.used}
    assert set(re.findall(r"\{term\}`([^`]+)`", GLOSSARY_PAGE)) | set(GLOSSARY.see.values()) <= defined


def test_the_glossary_is_in_alphabetical_order() -> None:
    (block,) = re.findall(r"(?ms)^```\{glossary\}\n(.*?)^```$", GLOSSARY_PAGE)
    names = [name.lower() for name in re.findall(r"(?m)^(\S.*)$", block)]
    assert names == sorted(names)


@each_notebook
def test_a_chapter_explains_in_bold_what_the_glossary_says_that_it_does(path: Path) -> None:
    assert problems_of_definitions(cells(path, "markdown"), chapter_of(path), GLOSSARY.explained) == []


@pytest.mark.parametrize("term", GLOSSARY.used)
def test_a_term_that_is_taken_as_known_is_used_first_where_the_glossary_says(term: str) -> None:
    assert chapters_with(term)[:1] == [GLOSSARY.used[term]]


def test_the_sections_of_the_page_stand_in_the_order_of_the_chapters() -> None:
    chapters = [int(n) for n in re.findall(r"(?m)^## Chapter (\d+)", PAGE)]
    assert chapters == sorted(set(chapters))


# --- each check has to be able to fail --------------------------------------------------------------------------

SMALL = """
## Sizes

| here | what | Bahdanau et al. | Xu et al. | package | chapter |
|---|---|---|---|---|---|
| $S$ | positions | $T_x$ | $L$ | x | 1 |
| $D$ | width | $n'$ | $D$ | x | 5 |

## Indices

| here | meaning |
|---|---|
| $i$ | target |
| $j$, $k$ | source |

## Chapter 1: first

| symbol | meaning |
|---|---|
| $x = (x_1, \\dots, x_{T_x})$ | source |
| $p(y_i \\mid y_{<i}, x)$ | probability |
| $\\theta$ | parameters |
| $W, W_z$ | weights |

## Chapter 5: fifth

| symbol | meaning |
|---|---|
| $h_j = [\\overrightarrow h_j; \\overleftarrow h_j]$ | annotation |
| $W_a$ | weights |

## Xu et al., letter by letter

| in the paper | here |
|---|---|
| $\\mathbf N$ | $N$ |
"""
ENTRIES = """
# Glossary

```{glossary}
alignment model
  Compares. ([chapter 5](05_a.ipynb))

annotation
  A vector that stands
  for a word. ([chapter
  5](05_a.ipynb))

EOS
  The end. ([chapter 1](01_a.ipynb))

gate
  A number. (explained in [chapter 3](03_a.ipynb))

token
  A word. (used from [chapter 1](01_a.ipynb) on)

vector
  See {term}`annotation`.

weight
  Two chapters. ([chapter 4](05_a.ipynb))
```
"""
NOTES = read_notation(SMALL)
WORDS = read_glossary(ENTRIES)


def test_the_page_is_read_as_it_is_meant() -> None:
    assert NOTES.indices == {"i", "j", "k"}
    assert WORDS.terms == {"annotation": 5, "alignment model": 5, "EOS": 1}
    assert (WORDS.explained, WORDS.used, WORDS.see) == ({"gate": 3}, {"token": 1}, {"vector": "annotation"})
    assert WORDS.homeless == ["weight"]
    assert NOTES.symbols == {
        "S": 1, "T_x": 1, "D": 5, "n'": 5, "i": 0, "j": 0, "k": 0, "x": 1, "p": 1, "y": 1, r"\theta": 1, "W": 1,
        "W_z": 1, "h": 5, r"\overrightarrow h": 5, r"\overleftarrow h": 5, "W_a": 5,
    }  # fmt: skip


@pytest.mark.parametrize(
    "formula",
    [
        r"p(y_{i-1} \mid x_j, x_{T_x}) \approx 0.5 \text{ of } \tanh(W_z x_k)",
        r"e^3 \in \mathbb R^{S \times S}, \quad p_\theta, \quad \sum_{j=1}^{S} x_j^\top x_k",
    ],
)
def test_what_is_defined_passes(formula: str) -> None:
    assert problems_of_symbols([f"so ${formula}$"], 1, NOTES) == []
    assert problems_of_symbols([f"$$\n{formula} \\tag{{1.1}}\n$$"], 1, NOTES) == []


@pytest.mark.parametrize(
    ("formula", "told"),
    [
        ("h_j", "defined only in chapter 5"),
        ("W_a", "defined only in chapter 5"),
        ("x_D", "defined only in chapter 5"),
        (r"\tilde x", "stands nowhere"),
        ("W_r", "stands nowhere"),
        ("x'", "stands nowhere"),
        (r"e_{ij}", "stands nowhere"),
        (r"\sum_{j=1}^{N} x_j", "$N$ stands nowhere"),
        ("loss", "$l$ stands nowhere"),
    ],
)
def test_what_is_not_defined_is_caught(formula: str, told: str) -> None:
    for text in (f"here ${formula}$ stands", f"$$\n{formula}\n$$"):
        assert told in problems_of_symbols([text], 1, NOTES)[0]


def test_code_and_prices_are_no_mathematics() -> None:
    assert problems_of_symbols(["```python\n$h$\n```\n`$q$` costs \\$5 and \\$6"], 1, NOTES) == []


@pytest.mark.parametrize("text", ["Annotations differ.", "- an\n  alignment model", "| alignment-model |"])
def test_a_term_that_comes_too_early_is_caught(text: str) -> None:
    assert len(problems_of_terms([text], 1, WORDS.terms)) == 1
    assert problems_of_terms([text], 5, WORDS.terms) == []


def test_a_term_may_be_announced() -> None:
    said = ["An annotation is what [chapter 5](05.ipynb) calls it.", "Later, the annotation again."]
    assert problems_of_terms(said, 1, WORDS.terms) == []
    assert problems_of_terms(["Annotations come in chapter 6."], 1, WORDS.terms)
    assert problems_of_terms(["`annotation` in code, $annotation$, eos, re-annotation"], 1, WORDS.terms) == []


def test_a_term_without_its_definition_is_caught() -> None:
    assert len(problems_of_definitions(["The **annotation** of a word"], 5, WORDS.terms)) == 1
    assert problems_of_definitions(["**Annotations** and an\n**alignment\nmodel**"], 5, WORDS.terms) == []
