"""Every letter of the two papers stands on the page of notation, with its place, our letter and the chapter."""

import re
from dataclasses import dataclass

import pytest
from book_math import BOOK, formulas, symbols
from test_symbols import LETTERS, NOTATION, PAGE, problem_of, rows, sections

# Read off the papers, place by place. Where one letter has two indices the paper counts by both.
BAHDANAU = {
    "§2": [r"p(\mathbf y \mid \mathbf x)"],
    "§2.1": [r"\mathbf x", r"\mathbf y", "x_t", "y_t", "n"],
    "eq. 1": ["h_t", "f", "q", "c", "T_x"],
    "eq. 2": [r"p(\mathbf y)", "T"],
    "eq. 3": ["g", "s_t"],
    "eq. 4": ["s_i", "c_i"],
    "eq. 5": [r"\alpha_{ij}", "h_j"],
    "eq. 6": ["e_{ij}"],
    "§3.1": ["a"],
    "§3.2": [r"\overrightarrow f", r"\overleftarrow f", r"\overrightarrow h_j", r"\overleftarrow h_j"],
    "throughout": ["i", "j", "k", "t"],
    "§A.1.1": ["e(y_{i-1})", "E", "K", "W", "W_z", "W_r", "U", "U_z", "U_r", "C", "C_z", "C_r", "z_i", "r_i",
               r"\tilde s_i", r"\sigma", r"\circ"],
    "§A.1.2": ["W_a", "U_a", "v_a"],
    "§A.2.1": ["x_i", "y_i", "K_x", "K_y", "m", r"\overline E", r"\overrightarrow z_i", r"\overrightarrow r_i",
               r"\overrightarrow{\underline h}_i",
               *(rf"\overrightarrow {name}{gate}" for name in "WU" for gate in ("", "_z", "_r"))],
    "§A.2.2": ["s_0", "W_s", "n'", r"\tilde t_i", r"\tilde t_{i,k}", "t_i", "l", "U_o", "V_o", "C_o", "W_o",
               "E", "W", "U", "C", "z_i", "r_i", "v_a"],
    "§B.1": ["V_a", *(rf"\overleftarrow U{gate}" for gate in ("", "_z", "_r"))],
    "§B.2": [r"\epsilon", r"\rho"],
}  # fmt: skip
XU = {
    "§3.1": ["y", r"\mathbf y_i", "C", "K"],
    "§3.1.1": ["a", r"\mathbf a_i", "L", "D"],
    "eq. 1": [rf"\mathbf {gate}_t" for gate in "ifog"]
    + [r"\sigma", "T_{D+m+n,n}", "T_{s,t}", r"\mathbf E", r"\hat{\mathbf z}_t"],
    "eq. 2": [r"\mathbf c_t", r"\odot"],
    "eq. 3": [r"\mathbf h_t"],
    "eq. 4": ["e_{ti}", r"f_{\text{att}}"],
    "eq. 5": [r"\alpha_{ti}"],
    "eq. 6": [r"\phi", r"\hat{\mathbf z}_t"],
    "§3.1.2": ["m", "n", r"\mathbf c_0", r"\mathbf h_0", r"f_{\text{init},c}", r"f_{\text{init},h}"],
    "eq. 7": [r"p(\mathbf y_t \mid \mathbf a, \dots)", r"\mathbf L_o", r"\mathbf L_h", r"\mathbf L_z",
              r"\mathbf E"],
    "§4.1": ["s_t", r"\text{Multinoulli}_L", "b", "b_k", r"\tilde s_k", "H[s]", r"\lambda_r",
             r"\lambda_e"],
    "eq. 8": ["s_{t,i}"],
    "eq. 10": ["L_s", r"p(s \mid \mathbf a)"],
    "eq. 11": ["W"],
    "eq. 12": [r"\tilde s_t", r"\tilde s^n", "N"],
    "eq. 13": [r"\mathbb E_{p(s_t \mid a)}[\hat{\mathbf z}_t]"],
    "§4.2": [r"\mathbf n_t", r"\mathbf n_{t,i}", "n_{t,k,i}", r"\text{NWGM}"],
    "§4.2.1": [r"\beta_t", r"f_\beta"],
    "eq. 14": ["L_d", r"\lambda"],
    "throughout": ["t", "i", "j", "k"],
}  # fmt: skip
NO_CHAPTER = {r"\text{NWGM}"}  # the course does without it


@dataclass(frozen=True)
class Letter:
    """One row of a table."""

    written: list[str]
    places: list[str]
    here: list[str]
    package: str
    chapter: str


def letters(paper: str) -> list[Letter]:
    """The rows of a paper's table."""
    (text,) = [text for heading, text in sections(PAGE) if heading == f"{paper}, {LETTERS}"]
    return [
        Letter(formulas(written), placed(what), formulas(here), package, chapter)
        for written, what, here, package, chapter in rows(text)
    ]


def placed(what: str) -> list[str]:
    """``what it is (eq. 1, 2)`` and ``(§2.1, §A.2.1)``: the single places."""
    found: list[str] = []
    for place in re.search(r"\(([^()]+)\)$", what)[1].split(", "):
        equation = found and found[-1].startswith("eq.") and place.isdigit()
        found.append(f"eq. {place}" if equation else place)
    return found


TABLES = {"Bahdanau et al.": BAHDANAU, "Xu et al.": XU}
each_paper = pytest.mark.parametrize("paper", TABLES)
each_letter = pytest.mark.parametrize("letter", [one for paper in TABLES for one in letters(paper)], ids=str)


@each_paper
def test_every_symbol_of_the_paper_stands_on_the_page_with_its_place(paper: str) -> None:
    found = letters(paper)
    missing = [
        f"{symbol} of {place}"
        for place, wanted in TABLES[paper].items()
        for symbol in wanted
        if not any(symbol in one.written and place in one.places for one in found)
    ]
    assert missing == []


@each_paper
def test_no_symbol_stands_twice_or_at_a_place_that_is_none(paper: str) -> None:
    found = letters(paper)
    written = [symbol for one in found for symbol in one.written]
    assert len(written) == len(set(written))
    form = r"throughout|eq\. ([1-9]|1[0-4])|§([1-5](\.\d){0,2}|[AB]\.\d(\.\d)?)"
    assert [place for one in found for place in one.places if not re.fullmatch(form, place)] == []
    if paper.startswith("Bahdanau"):  # its equations end at 7
        assert max(int(place[4:]) for one in found for place in one.places if place.startswith("eq")) == 7


@each_letter
def test_a_letter_leads_to_ours_to_the_package_and_to_the_chapter_that_introduces_it(letter: Letter) -> None:
    if set(letter.written) & NO_CHAPTER:
        assert letter.chapter == letter.package == "–"
        return
    assert letter.package not in ("", "–")
    number, name = re.fullmatch(r"\[(\d+)\]\(((?:\d\d)_\w+\.ipynb)\)", letter.chapter).groups()
    assert int(number) == int(name[:2]) and (BOOK / name).exists()
    ours = [symbol for formula in letter.here for symbol in symbols(formula)]
    assert [problem for symbol in ours if (problem := problem_of(symbol, int(number), NOTATION))] == []
