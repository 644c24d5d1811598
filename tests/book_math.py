"""Reading the book's mathematics: displayed equations with their numbers, and the symbols that a formula uses."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from matplotlib import rc_context
from matplotlib.font_manager import FontProperties
from matplotlib.mathtext import MathTextParser

BOOK = Path(__file__).resolve().parent.parent / "book"
NOTEBOOKS = sorted(BOOK.glob("[0-9][0-9]_*.ipynb"))

_FENCE = re.compile(r"(?ms)^(\s*>?\s*)(```|~~~).*?^\1\2\s*$")
_CODE_SPAN = re.compile(r"(?<!`)(`+)(?!`)(?:.(?!\n\n))*?[^`]?\1(?!`)", re.S)
_DISPLAY = re.compile(
    r"\$\$(?P<dollars>.*?)\$\$|\\\[(?P<bracket>.*?)\\\]"
    r"|\\begin\{(?P<name>(?:equation|align|gather|multline)\*?)\}(?P<body>.*?)\\end\{(?P=name)\}",
    re.S,
)
_INLINE = re.compile(r"(?<![\\$])\$(?!\$)((?:\\.|[^$\\])+?)\$", re.S)
_TAG = re.compile(r"\\tag\*?\{([^{}]*)\}")


def chapter_of(path: Path) -> int:
    """The number that a notebook's name begins with."""
    return int(path.stem[:2])


def cells(path: Path, kind: str) -> list[str]:
    """The sources of a notebook's cells of one kind."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == kind]


def without_code(markdown: str) -> str:
    """Markdown without fenced code and code spans, whose dollars are no mathematics."""
    return _CODE_SPAN.sub(" ", _FENCE.sub("", markdown))


def displays(markdown: str) -> list[str]:
    """The displayed formulas of a piece of Markdown, in order, without their dollars."""
    found = _DISPLAY.finditer(without_code(markdown))
    return [m["dollars"] or m["bracket"] or m["body"] or "" for m in found]


def formulas(markdown: str) -> list[str]:
    """Every formula, displayed or in a line, in order."""
    text = without_code(markdown)
    found = [(m.start(), m["dollars"] or m["bracket"] or m["body"] or "") for m in _DISPLAY.finditer(text)]
    blank = _DISPLAY.sub(lambda m: " " * len(m[0]), text)
    found += [(m.start(), m[1]) for m in _INLINE.finditer(blank)]
    return [formula for _, formula in sorted(found)]


def prose(markdown: str) -> str:
    """Markdown without code and without formulas."""
    return _INLINE.sub(" ", _DISPLAY.sub(" ", without_code(markdown)))


def tags(formula: str) -> list[str]:
    """What stands in the ``\\tag``s of a formula."""
    return [tag.strip() for tag in _TAG.findall(formula)]


# --- width ------------------------------------------------------------------------------------------------------

PHONE = 330  # pixels beside the margins of a page that is 360 wide
_MATHJAX = 1.18  # as wide as matplotlib's, measured in a browser on the formulas of four chapters
_PARSER = MathTextParser("path")
# What matplotlib's small TeX does not know, by something as wide.
_PLAIN = [
    (r"\\tag\*?\{[^{}]*\}|\\(?:begin|end)\{[^{}]*\}|\\(?:left|right|[bB]igg?[lr]?)(?![A-Za-z])|\\!|&", ""),
    (r"\\text\{([^{}]*)\}", lambda m: r"\mathrm{" + m[1].replace(" ", r"\ ") + "}"),
    (r"\\operatorname\*?", r"\\mathrm"),
    (r"\\mathcal(?=[\s{])", ""),
    (r"\\frac(?=\s*[^\s{])\s*(\w)\s*(\w|(?=\{))", lambda m: rf"\frac{{{m[1]}}}" + (f"{{{m[2]}}}" if m[2] else "")),
    (r"\\frac(?![A-Za-z])", r"\\dfrac"),
    (r"\\tfrac\s*(\w)\s*(\w)", r"\\frac{\1}{\2}"),
    (r"\\(arg|;|top)(?![A-Za-z])", lambda m: {"arg": r"\mathrm{arg}", ";": r"\ ", "top": "T"}[m[1]]),
]


def pixels(formula: str) -> float | None:
    """How wide a displayed formula is on a page, to about a tenth, its number left out; nothing if not measurable."""
    widest = 0.0
    for line in re.split(r"\\cr(?![A-Za-z])|\\\\", formula):
        for pattern, plain in _PLAIN:
            line = re.sub(pattern, plain, line)
        try:
            with rc_context({"mathtext.fontset": "cm"}):
                widest = max(widest, _PARSER.parse(f"${' '.join(line.split())}$", 72, FontProperties(size=16))[0])
        except ValueError:
            return None
    return _MATHJAX * widest


# --- symbols ----------------------------------------------------------------------------------------------------

_TOKEN = re.compile(r"\\[A-Za-z]+\*?|\\.|[A-Za-z]|[_^{}']|\d[\d.,]*|\S", re.S)
_ACCENTS = {
    rf"\{name}"
    for name in (
        "tilde widetilde hat widehat bar vec dot overrightarrow overleftarrow mathcal mathbf mathbb mathsf mathit bm"
    ).split()
}
# Their argument is words, or layout, and no mathematics.
_WORDS = {
    rf"\{name}"
    for name in (
        "text textbf textit textrm texttt mbox mathrm mathtt operatorname operatorname* "
        "tag tag* label begin end hspace vspace phantom"
    ).split()
}
_GREEK = {
    rf"\{name}"
    for name in (
        "alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi pi rho varrho "
        "sigma tau upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega ell"
    ).split()
}


@dataclass(frozen=True)
class Symbol:
    """A letter with its accent, its prime and, where it has one, the single letter below it.

    ``below`` is empty where the subscript is no single letter: an index of several signs, a number, a word.
    """

    base: str
    below: str = ""

    def __str__(self) -> str:
        return f"{self.base}_{self.below}" if self.below else self.base


@dataclass
class _Scripts:
    """What stands below and above a letter: one letter below, the symbols in longer scripts, and the marks."""

    below: str
    inside: list[Symbol]
    marks: str
    end: int


def symbols(formula: str) -> list[Symbol]:
    """The symbols of a formula in order. Numbers, operators, named functions and words are none.

    ``e`` with an exponent and nothing below is Euler's number, and ``\\mathbb R`` the numbers: both are left out.
    """
    return _symbols(_TOKEN.findall(formula))


def _symbols(tokens: list[str]) -> list[Symbol]:
    found: list[Symbol] = []
    at = 0
    while at < len(tokens):
        token = tokens[at]
        if token in _WORDS:
            words, at = _group(tokens, at + 1)
            if token == r"\begin" and "".join(words) == "array":
                _, at = _group(tokens, at)
        elif token in _ACCENTS:
            argument, at = _group(tokens, at + 1)
            if _is_one_letter(argument):
                found += _letter(tokens, at, argument, token + " ")
                at = _scripts(tokens, at).end
            else:
                found += _symbols(argument)
        elif _is_letter(token):
            found += _letter(tokens, at + 1, [token], "")
            at = _scripts(tokens, at + 1).end
        elif token in ("_", "^"):  # below or above a bracket, a brace, an operator
            argument, at = _group(tokens, at + 1)
            found += _symbols(argument)
        else:
            at += 1
    return found


def _letter(tokens: list[str], at: int, letter: list[str], accent: str) -> list[Symbol]:
    """A letter, perhaps with scripts of its own inside its accent, and the scripts that begin at ``at``."""
    own, outer = _scripts(letter, 1), _scripts(tokens, at)
    marks = own.marks + outer.marks
    inside = own.inside + outer.inside
    if accent == r"\mathbb " or (accent + letter[0] == "e" and "^" in marks and "_" not in marks):
        return inside
    return [Symbol(accent + letter[0] + "'" * marks.count("'"), own.below or outer.below), *inside]


def _scripts(tokens: list[str], at: int) -> _Scripts:
    scripts = _Scripts("", [], "", at)
    while scripts.end < len(tokens) and tokens[scripts.end] in ("_", "^", "'"):
        mark = tokens[scripts.end]
        scripts.marks += mark
        if mark == "'":
            scripts.end += 1
            continue
        argument, scripts.end = _group(tokens, scripts.end + 1)
        if mark == "_" and len(argument) == 1 and _is_letter(argument[0]):
            scripts.below = argument[0]
        else:
            scripts.inside += _symbols(argument)
    return scripts


def _group(tokens: list[str], at: int) -> tuple[list[str], int]:
    """The tokens of the argument that begins at ``at``, without its braces, and where the next thing begins."""
    if at >= len(tokens) or tokens[at] != "{":
        return tokens[at : at + 1], at + 1
    depth, end = 0, at
    while end < len(tokens):
        depth += {"{": 1, "}": -1}.get(tokens[end], 0)
        if depth == 0:
            break
        end += 1
    return tokens[at + 1 : end], end + 1


def _is_letter(token: str) -> bool:
    return token in _GREEK or (len(token) == 1 and token.isalpha())


def _is_one_letter(tokens: list[str]) -> bool:
    """Whether the tokens are a letter with nothing but scripts."""
    return bool(tokens) and _is_letter(tokens[0]) and _scripts(tokens, 1).end == len(tokens)
