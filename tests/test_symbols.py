"""No symbol and no term of the trade before its definition: the chapters against the page of notation."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from book_math import BOOK, NOTEBOOKS, Symbol, cells, chapter_of, formulas, prose, symbols

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
PAGE = (BOOK / "notation.md").read_text(encoding="utf-8")


# --- the page of notation ---------------------------------------------------------------------------------------


@dataclass
class Notation:
    """What the page declares: each symbol and each term with the chapter from which it may be used."""

    symbols: dict[str, int] = field(default_factory=dict)
    indices: set[str] = field(default_factory=set)
    terms: dict[str, int] = field(default_factory=dict)

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
    last cell on. A section named "Chapter N" holds from chapter N on, any other from the start.
    """
    notation = Notation()
    named = sections(page)
    for heading, text in named:
        if heading == "Indices":
            notation.indices = {str(s) for row in rows(text) for f in formulas(row[0]) for s in symbols(f)}
    for heading, text in named:
        number = re.match(r"Chapter (\d+)", heading)
        chapter = int(number[1]) if number else 0
        if heading == "Words":
            notation.terms = read_terms(text)
            continue
        for row in rows(text):
            size = heading == "Sizes"
            since = int(row[-1]) if size and row[-1].isdigit() else chapter
            for cell in row[:1] + row[2:3] * size:
                for formula in formulas(cell):
                    notation.declare(formula, since)
    return notation


def read_terms(text: str) -> dict[str, int]:
    """Each term of the glossary with the chapter that its definition ends in: ``(chapter 5)``."""
    terms = {}
    for names, definition in re.findall(r"(?m)^(\S.*)\n: ((?:.+\n?)+)", text):
        chapter = re.search(r"\(chapter (\d+)\)\s*$", definition)
        for name in names.split(", "):
            terms[name.strip()] = int(chapter[1]) if chapter else -1
    return terms


NOTATION = read_notation(PAGE)


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
    problems = problems_of_terms(cells(path, "markdown"), chapter_of(path), NOTATION.terms)
    assert problems == [], "\n".join(problems)


@each_notebook
def test_a_chapter_introduces_its_terms_in_bold(path: Path) -> None:
    problems = problems_of_definitions(cells(path, "markdown"), chapter_of(path), NOTATION.terms)
    assert problems == [], "\n".join(problems)


def test_every_term_of_the_glossary_names_its_chapter() -> None:
    assert NOTATION.terms
    without = [term for term, chapter in NOTATION.terms.items() if chapter < 0]
    assert without == [], "end each definition of the glossary in the chapter that explains the term: (chapter 5)"


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

## Words

annotation, alignment model
: A vector. (chapter 5)

EOS
: The
  end. (chapter 1)
"""
NOTES = read_notation(SMALL)


def test_the_page_is_read_as_it_is_meant() -> None:
    assert NOTES.indices == {"i", "j", "k"}
    assert NOTES.terms == {"annotation": 5, "alignment model": 5, "EOS": 1}
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
    assert len(problems_of_terms([text], 1, NOTES.terms)) == 1
    assert problems_of_terms([text], 5, NOTES.terms) == []


def test_a_term_may_be_announced() -> None:
    said = ["An annotation is what [chapter 5](05.ipynb) calls it.", "Later, the annotation again."]
    assert problems_of_terms(said, 1, NOTES.terms) == []
    assert problems_of_terms(["Annotations come in chapter 6."], 1, NOTES.terms)
    assert problems_of_terms(["`annotation` in code, $annotation$, eos, re-annotation"], 1, NOTES.terms) == []


def test_a_term_without_its_definition_is_caught() -> None:
    assert len(problems_of_definitions(["The **annotation** of a word"], 5, NOTES.terms)) == 1
    assert problems_of_definitions(["**Annotations** and an\n**alignment\nmodel**"], 5, NOTES.terms) == []
