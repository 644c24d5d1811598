"""Every displayed equation has its number, and every number is confirmed by code that can fail."""

import ast
import io
import re
import tokenize
from collections.abc import Iterable
from pathlib import Path

import pytest
from book_math import NOTEBOOKS, PHONE, cells, chapter_of, displays, pixels, tags

ROOT = Path(__file__).resolve().parent.parent
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
# Bahdanau et al. 2015, arXiv:1409.0473v7, and the chapter in which each of its numbered equations belongs.
NUMBERS_OF_THE_PAPER = {1: 1, 2: 1, 3: 1, 4: 5, 5: 5, 6: 5, 7: 3}

TAG = re.compile(r"(\d+)\.(\d+)((?:, [A-Z] §?[\w.]+)*)")
MENTION = re.compile(r"\((\d+\.\d+(?:(?:, | and | to )\d+\.\d+)*)\)")
CONFIRMS = {"allclose", "equal", "isclose", "assert_close", "assert_allclose", "gradcheck", "array_equal"}


# --- the rules --------------------------------------------------------------------------------------------------


def problems_of_tags(formulas: Iterable[str], chapter: int) -> list[str]:
    """What is wrong with the numbers of a chapter's displayed equations."""
    found, expected = [], 1
    for formula in formulas:
        start = " ".join(formula.split())[:60]
        numbers = tags(formula)
        if len(numbers) != 1:
            found.append(f"{start} … has {len(numbers)} numbers: write one, as in \\tag{{{chapter}.{expected}}}")
            expected += len(numbers)
            continue
        tag = TAG.fullmatch(numbers[0])
        if tag is None:
            found.append(f"\\tag{{{numbers[0]}}}: write {chapter}.n, or {chapter}.n, B 6 where [B] numbers it 6")
        elif (int(tag[1]), int(tag[2])) != (chapter, expected):
            found.append(f"\\tag{{{numbers[0]}}}: the next number of the chapter is {chapter}.{expected}")
        expected += 1
    return found


def mentions(text: str) -> set[str]:
    """The equations that a text names in brackets: ``(5.1)``, ``(5.1, 5.2)``, ``(5.1 to 5.3)``."""
    found = set()
    for group in MENTION.findall(text):
        numbers = re.findall(r"\d+\.\d+", group)
        found |= set(numbers)
        for first, last in re.findall(r"(\d+\.\d+) to (\d+\.\d+)", group):
            chapter, start = first.split(".")
            found |= {f"{chapter}.{n}" for n in range(int(start), int(last.split(".")[1]) + 1)}
    return found


def compares(code: str) -> bool:
    """Whether a cell asserts something, compares tensors, or prints a comparison that the stored output holds."""
    plain = re.sub(r"(?m)^(\s*)[%!].*", r"\1pass", code)
    for node in ast.walk(ast.parse(plain)):
        if isinstance(node, ast.Assert):
            return True
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            inside = (part for argument in node.args for part in ast.walk(argument))
            if name in CONFIRMS or (name == "print" and any(isinstance(part, ast.Compare) for part in inside)):
                return True
    return False


def confirmed_in_code(cells_of_code: Iterable[str]) -> set[str]:
    """The numbers that stand in code cells which compare something."""
    return {number for code in cells_of_code if "(" in code and compares(code) for number in mentions(code)}


def mentioned_in_comments(source: str) -> set[str]:
    """The numbers that stand in the docstrings and comments of a Python file."""
    texts = [
        token.string
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    ]
    kinds = ast.Module | ast.FunctionDef | ast.ClassDef
    texts += [ast.get_docstring(node) or "" for node in ast.walk(ast.parse(source)) if isinstance(node, kinds)]
    return {number for text in texts for number in mentions(text)}


def unconfirmed(formulas: Iterable[str], confirmed: set[str]) -> list[str]:
    """The numbers of the displayed equations that nothing confirms."""
    numbers = [tag.split(",")[0] for formula in formulas for tag in tags(formula)]
    return [number for number in numbers if number not in confirmed]


def problems_of_tex(formula: str) -> list[str]:
    """What the page builder or the page's own MathJax would break."""
    found = []
    if r"\begin{" in formula and re.search(r"\\\\(?![A-Za-z])", formula):
        found.append(r"write \cr for \\ inside an environment: Sphinx makes `split` of it, which refuses \tag")
    for name in ("boldsymbol", "cancel", "bm", "require", "mathds", "bbm", "coloneqq", "llbracket"):
        if re.search(rf"\\{name}\b", formula):
            found.append(rf"\{name} needs a part of MathJax that the page would have to fetch")
    return found


# --- the chapters -----------------------------------------------------------------------------------------------


def displayed(path: Path) -> list[str]:
    return [formula for text in cells(path, "markdown") for formula in displays(text)]


def in_tests() -> set[str]:
    """Numbers named in the docstrings and comments of the package's tests, this file's neighbours."""
    own = {"test_equations.py", "test_symbols.py", "book_math.py"}
    files = [file for file in (ROOT / "tests").glob("*.py") if file.name not in own]
    return {number for file in files for number in mentioned_in_comments(file.read_text(encoding="utf-8"))}


@each_notebook
def test_displayed_equations_are_numbered_in_order(path: Path) -> None:
    assert problems_of_tags(displayed(path), chapter_of(path)) == []


@each_notebook
def test_every_numbered_equation_is_confirmed(path: Path) -> None:
    missing = unconfirmed(displayed(path), confirmed_in_code(cells(path, "code")) | in_tests())
    assert missing == [], (
        f"nothing confirms {', '.join(f'({number})' for number in missing)}: name the number, in brackets, in a code "
        "cell that asserts or compares what the equation says, such as `assert torch.allclose(a, b)  # (5.1)`"
    )


@each_notebook
def test_displayed_equations_survive_the_page(path: Path) -> None:
    for formula in displayed(path):
        assert problems_of_tex(formula) == [], formula


@each_notebook
def test_displayed_equations_fit_a_phone(path: Path) -> None:
    for formula in displayed(path):
        assert (pixels(formula) or 0) <= PHONE, f"break it over lines, \\cr in an aligned: {formula}"


@pytest.mark.parametrize("number", NUMBERS_OF_THE_PAPER)
def test_the_numbered_equations_of_the_paper_appear_in_their_chapters(number: int) -> None:
    chapter = NUMBERS_OF_THE_PAPER[number]
    paths = [path for path in NOTEBOOKS if chapter_of(path) == chapter]
    if not paths:
        pytest.skip(f"chapter {chapter} is not written yet")
    shown = [tag for formula in displayed(paths[0]) for tag in tags(formula)]
    assert any(re.search(rf", B {number}\b(?!\.)", tag) for tag in shown), (
        f"equation {number} of Bahdanau et al. belongs in chapter {chapter}: \\tag{{{chapter}.n, B {number}}}"
    )


# --- each check has to be able to fail --------------------------------------------------------------------------

CLEAN = [r"a = b \tag{6.1}", r"c = d \tag{6.2, B 6}", r"e = f \tag{6.3, B §A.1.2}"]


def test_clean_numbers_pass() -> None:
    assert problems_of_tags(CLEAN, 6) == []
    assert unconfirmed(CLEAN, {"6.1", "6.2", "6.3"}) == []


@pytest.mark.parametrize(
    ("formulas", "said"),
    [
        (["a = b"], "0 numbers"),
        ([r"a \tag{6.1} = b \tag{6.2}"], "2 numbers"),
        ([CLEAN[0], CLEAN[2], CLEAN[1]], "next number of the chapter is 6.2"),
        ([CLEAN[0], CLEAN[0]], "next number of the chapter is 6.2"),
        ([r"a \tag{5.1}"], "next number of the chapter is 6.1"),
        ([r"a \tag{eq. 6}"], "write 6.n"),
    ],
)
def test_wrong_numbers_are_caught(formulas: list[str], said: str) -> None:
    assert said in problems_of_tags(formulas, 6)[0]


def test_an_equation_that_nothing_confirms_is_caught() -> None:
    without = ["print('(6.1) holds')", "x = 1  # (6.2)\nif x > 0:\n    x = 2", "assert 1 < 2"]
    assert unconfirmed(CLEAN, confirmed_in_code(without)) == ["6.1", "6.2", "6.3"]
    for code in ("assert x == 1  # (6.1 to 6.3)", "torch.equal(a, b)\nprint('✓ (6.1, 6.2) and (6.3)')",
                 "%pip x\nprint(f'(6.1), (6.2), (6.3): {a < b}')"):  # fmt: skip
        assert unconfirmed(CLEAN, confirmed_in_code([code])) == []


def test_a_test_confirms_by_its_docstring_or_a_comment_and_not_by_its_data() -> None:
    source = 'def test_it():\n    """It holds (6.1)."""\n    x = "(6.2)"  # as (6.3) says\n'
    assert mentioned_in_comments(source) == {"6.1", "6.3"}


def test_displays_are_found_whatever_they_are_written_in() -> None:
    text = "$$a$$ and `$$code$$`\n\n```python\n$$no$$\n```\n\n\\begin{align}b\\end{align} \\[c\\] $d$\n> $$\n> e\n> $$"
    assert [formula.strip(" >\n") for formula in displays(text)] == ["a", "b", "c", "e"]


@pytest.mark.parametrize("formula", [r"\begin{aligned} a \\ b \end{aligned}", r"\boldsymbol{x}", r"\cancel{x}"])
def test_what_the_page_would_break_is_caught(formula: str) -> None:
    assert len(problems_of_tex(formula)) == 1


def test_what_the_page_can_show_passes() -> None:
    assert problems_of_tex(r"\begin{aligned} a \cr b \end{aligned} \tag{6.1}") == []


def test_a_wide_formula_is_caught_and_its_lines_count_one_by_one() -> None:
    """The widths of a formula, its fractions at full size, and what a number, a fence or an accent add."""
    line = " + ".join([r"\tfrac12 \alpha_{ij} h_j"] * 4)
    wide, broken = f"c = {line} + {line}", rf"\begin{{aligned}} c &= {line} \cr &\quad + {line} \end{{aligned}}"
    assert pixels(wide) > PHONE > pixels(broken)
    assert pixels(line) == pixels(line + r" \tag{6.1, B §A.1.2}")
    assert pixels(r"\frac{a+b}{c}") > pixels(r"x_{a+b}")
    assert pixels(r"\mathcal L = \big[\tilde h_j; \operatorname{diag}(\alpha)\big]^\top \text{ if so}") > 100
    assert pixels(r"\nonsense") is None
