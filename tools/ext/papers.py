"""Sphinx extension: the tables of the page "Papers and code", made of docstrings, tests and measured costs.

Which equations there are, which tests prove them and where paper and code part ways stands in ``papers.toml``. Which
object computes an equation is what the docstrings say: ``Bahdanau et al. 2015, eq. 5``, ``Xu et al. 2015, eq. 1 to 3``,
and for what the papers do not number a section with symbols in code font: ``§A.2.2 ``s_0``, ``t_i````. What a departure
costs is read from ``course_pkg/results/departures.json``. `problems` says what does not fit together.
"""

import importlib
import inspect
import json
import pkgutil
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from typing import Any

from api_modules import SECTIONS
from sphinx.application import Sphinx

PAGE = "book/papers_and_code"
DATA = Path(__file__).with_suffix(".toml")
PAPERS = {"Bahdanau": "B", "Xu": "X"}
NUMBERED = {"B": 7, "X": 14}
MODELS = {"B": ("rnnsearch", "encdec"), "X": ("soft", "hard")}
SPOKEN = {
    "rnnsearch": "RNNsearch",
    "encdec": "Plain model",
    "soft": "Captioner, soft",
    "hard": "Captioner, hard",
}
WORD = re.compile(
    r"(?P<paper>[A-Z][\w-]+)(?= et al\.| and [A-Z][\w-]+ \d{4}| \d{4})"
    r"|(?:eq\. (?P<equations>\d+(?:(?:, | and | to |-)\d+)*)"
    r"|§(?P<section>(?:[A-Z]\.)?\d+(?:\.\d+)*)(?P<symbols>(?: ``[^`]+``(?:, ``[^`]+``)*)?))"
    r"(?: of (?P<of>[A-Z][\w-]+) et al)?"
)


@dataclass(frozen=True)
class Equation:
    """A row: ``B 5`` is eq. 5 of [B], ``B §A.2.2 s_0`` a symbol of a section."""

    id: str
    proved: list[str]
    formula: str = ""
    says: str = ""
    departs: list[str] = field(default_factory=list)

    @property
    def place(self) -> str:
        """Where it stands, for people."""
        place = self.id.split(" ", 2)[1]
        return place if place.startswith("§") else f"eq. {place}"


@dataclass(frozen=True)
class Departure:
    """A place where a paper and the code of its authors, or this package, part ways; texts are Markdown."""

    id: str
    title: str
    paper: str
    code: str
    here: str
    untrained: str = ""


@dataclass(frozen=True)
class Papers:
    """What ``papers.toml`` holds."""

    sections: dict[str, list[str]]
    equations: list[Equation]
    departures: list[Departure]


def read(path: Path = DATA) -> Papers:
    """The file as it stands."""
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    return Papers(
        data["sections"],
        [Equation(**row) for row in data["equation"]],
        [Departure(**row) for row in data["departure"]],
    )


# --- what docstrings cite ---------------------------------------------------------------------------------------


def numbers(text: str) -> list[int]:
    """``4, 5`` and ``1 to 3`` and ``1-3`` as numbers."""
    found: list[int] = []
    for part in re.split(r", | and ", text):
        first, *last = (int(number) for number in re.split(r" to |-", part))
        found += range(first, (last or [first])[0] + 1)
    return found


def citations(docstring: str) -> Iterator[str]:
    """What a docstring cites of the two papers: ``B 5``, ``B §A.2.2``, ``B §A.2.2 s_0``.

    An equation or a section belongs to the paper named last before it, or to the one that it is said to be ``of``. One
    that belongs to none is ``? …``.
    """
    last = "?"
    for match in WORD.finditer(" ".join(docstring.split())):
        if match["paper"]:
            last = PAPERS.get(match["paper"], "")
            continue
        paper = PAPERS.get(match["of"], "") if match["of"] else last
        if paper and match["equations"]:
            yield from (f"{paper} {number}" for number in numbers(match["equations"]))
        elif paper:
            place = f"{paper} §{match['section']}"
            yield place
            yield from (f"{place} {symbol}" for symbol in re.findall(r"``([^`]+)``", match["symbols"]))


def documented(module: ModuleType) -> Iterator[tuple[str, str]]:
    """Public classes, functions and methods of a module, by full name, with their own docstrings."""
    for name in getattr(module, "__all__", []):
        thing = getattr(module, name)
        if not (inspect.isclass(thing) or inspect.isfunction(thing)):
            continue
        yield f"{module.__name__}.{name}", inspect.getdoc(thing) or ""
        for method, value in vars(thing).items() if inspect.isclass(thing) else ():
            if inspect.isfunction(value) and not method.startswith("_"):
                yield f"{module.__name__}.{name}.{method}", value.__doc__ or ""


def docstrings() -> dict[str, str]:
    """Every public docstring of the package, by full name; of a module its own."""
    package = importlib.import_module("course_pkg")
    found = {}
    for info in pkgutil.iter_modules(package.__path__):
        if info.name != "__main__":
            module = importlib.import_module(f"course_pkg.{info.name}")
            found |= {module.__name__: module.__doc__ or "", **dict(documented(module))}
    return found


def objects(texts: Mapping[str, str]) -> dict[str, list[str]]:
    """For each row the objects that cite it. What only draws an equation does not compute it and is left out."""
    beside = {f"course_pkg.{name}" for name in SECTIONS["Beside the chapters"]}
    found: dict[str, list[str]] = {}
    for name, text in texts.items():
        module = ".".join(name.split(".")[:2])
        if name == module or module in beside:
            continue
        for key in dict.fromkeys(citations(text)):
            found.setdefault(key, []).append(name)
    return found


# --- what does not fit together ---------------------------------------------------------------------------------


def problems(
    papers: Papers, texts: Mapping[str, str], tests: Iterable[str], results: Sequence[Mapping[str, Any]]
) -> list[str]:
    """What is wrong, in words: with the rows, with what docstrings cite, with the departures and their costs."""
    rows = {equation.id for equation in papers.equations}
    found = [f"{paper} {n} has no row" for paper, last in NUMBERED.items() for n in range(1, last + 1)
             if f"{paper} {n}" not in rows]  # fmt: skip
    computed, known = objects(texts), set(tests)
    departures = {departure.id for departure in papers.departures}
    for equation in papers.equations:
        if equation.id not in computed:
            found.append(f"no docstring cites {equation.id}")
        if not equation.proved:
            found.append(f"no test proves {equation.id}")
        found += [f"{equation.id}: there is no test {test}" for test in equation.proved if test not in known]
        found += [f"{equation.id}: there is no departure {id}" for id in equation.departs if id not in departures]
    sections = {f"{paper} §{section}" for paper, some in papers.sections.items() for section in some}
    for name, text in texts.items():
        for key in citations(text):
            if key.startswith("?"):
                found.append(f"{name} cites {key[2:]} of no paper")
            elif key not in rows | sections:
                found.append(f"{name} cites {key}, which does not exist")
        found += [f"{name} names {id}, which is no departure" for id in re.findall(r"\bD[1-9]\d?\b", text)
                  if id not in departures]  # fmt: skip
    measured = {row["departure"] for row in results}
    for departure in papers.departures:
        if (departure.id in measured) == bool(departure.untrained):
            found.append(f"{departure.id} needs either a measured cost or a reason why there is none")
    return found


# --- the page ---------------------------------------------------------------------------------------------------


def stored() -> list[dict[str, Any]]:
    """Measured costs, one row for each change; none where nothing is measured yet."""
    path = Path(str(files("course_pkg"))) / "results/departures.json"
    if not path.exists():
        return []
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
    return [row for row in rows if row["departure"] != "none"]


def signed(value: float, digits: int) -> str:
    """With its sign, and a minus that is one."""
    return f"{value:+.{digits}f}".replace("-", "\N{MINUS SIGN}")


def brief(row: Mapping[str, Any]) -> str:
    """A cost in a table; in brackets where it may be chance."""
    text = f"{signed(row['exact_difference'], 1)} points" if row["difference"] is None else signed(row["difference"], 2)
    return text if row["seen"] else f"({text})"


def in_words(row: Mapping[str, Any]) -> str:
    """A cost as a sentence."""
    by_loss = row["difference"] is not None
    digits, unit = (3, "nats a word") if by_loss else (1, "points of exact match")
    mean, each, spread = (row[("" if by_loss else "exact_") + key] for key in ("difference", "differences", "spread"))
    seeds = ", ".join(signed(value, digits) for value in each) if len(each) > 1 else "one seed"
    verdict = "more than seeds differ by" if row["seen"] else "may be chance: seeds differ by"
    more = f"; exact match {signed(row['exact_difference'], 1)} points" if by_loss else ""
    return (
        f"{SPOKEN[row['of']]}, `{row['change']}`: **{signed(mean, digits)}** {unit} ({seeds}), "
        f"{verdict} ({spread:.{digits}f}){more}."
    )


def link(name: str) -> str:
    """An object as a link to its place among the docstrings."""
    _, module, *path = name.split(".")
    return f"{{py:obj}}`{'.'.join(path)} <{name}>`"


def in_plain(test: str) -> str:
    """A test's name as a sentence reads."""
    return test.removeprefix("test_").replace("_", " ")


def cell(lines: Sequence[str], first: str) -> list[str]:
    """One cell of a list table, a paragraph for each line."""
    shown = [line for line in lines if line] or ["–"]
    return [line for number, text in enumerate(shown) for line in ((first if not number else "    ") + text, "")]


def equation_rows(paper: str, papers: Papers, computed: Mapping[str, Sequence[str]]) -> list[str]:
    """The table of one paper, as Markdown."""
    costs = [row for row in stored() if row["of"] in MODELS[paper]]
    lines = ["````{list-table}", ":header-rows: 1", ":class: papers equations", ":widths: 45 37 18", ""]
    lines += ["* - equation", "  - in the package, and what proves it", "  - departs, and its cost"]
    for equation in papers.equations:
        if not equation.id.startswith(paper):
            continue
        formula = f"${equation.formula}$" if equation.formula else ""
        tests = [f"{in_plain(name)} (`{file}`)" for file, name in (test.split("::") for test in equation.proved)]
        parts = []
        for id in equation.departs:
            own = ", ".join(brief(row) for row in costs if row["departure"] == id)
            parts.append(f"[{id}](#{id.lower()}) {own or '–'}")
        lines += ["", *cell([f"**{equation.place}**", f"{formula} {equation.says}".strip()], "* - ")]
        lines += cell([", ".join(map(link, computed.get(equation.id, []))), *tests], "  - ")
        lines += cell(parts, "  - ")
    return [*lines, "````", ""]


def departure_list(papers: Papers) -> list[str]:
    """Every departure under its own heading, as Markdown."""
    costs, lines = stored(), []
    for departure in papers.departures:
        own = [in_words(row) for row in costs if row["departure"] == departure.id]
        cost = own or [f"Not trained: {departure.untrained}."] if departure.untrained else own
        lines += [f"({departure.id.lower()})=", f"### {departure.id} · {departure.title}", ""]
        for name, text in (("Paper", departure.paper), ("Its code", departure.code), ("Here", departure.here)):
            lines += [name, f": {text}", ""]
        lines += ["Cost", *(f": {text}\n" for text in cost or ["Not measured yet."])]
    return lines


def fill_in(app: Sphinx, page: str, source: list[str]) -> None:
    """Put tables and departures where the page asks for them; the build ends where they do not fit together."""
    if page != PAGE:
        return
    papers, texts = read(), docstrings()
    computed = objects(texts)
    made = {f"<!-- equations of {paper} -->": equation_rows(paper, papers, computed) for paper in NUMBERED}
    made["<!-- departures -->"] = departure_list(papers)
    for mark, lines in made.items():
        source[0] = source[0].replace(mark, "\n".join(lines))


def dress(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Give the page its style."""
    if page == PAGE:
        app.add_css_file("papers.css")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the changes to the page's source and to its style."""
    app.connect("source-read", fill_in)
    app.connect("html-page-context", dress)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
