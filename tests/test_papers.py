"""The table of the page "Papers and code": every row has an object that cites it and a test that runs."""

import ast
import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TESTS = ROOT / "tests"
sys.path[:0] = [str(ROOT / "tools/ext")]
import papers  # noqa: E402
from papers import Papers, citations, problems  # noqa: E402

LEFT_OUT = {"slow", "gpu", "starts_java"}  # marks of tests that `make test` does not run everywhere


@pytest.fixture(scope="module")
def read() -> Papers:
    return papers.read()


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    return papers.docstrings()


def functions() -> dict[str, ast.FunctionDef]:
    """Every test function by file and name."""
    return {
        f"{path.name}::{node.name}": node
        for path in sorted(TESTS.glob("test_*.py"))
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


TODAY = functions()


# --- the table as it is -----------------------------------------------------------------------------------------


def test_every_row_has_its_object_its_test_and_its_departures(read: Papers, texts: dict[str, str]) -> None:
    assert problems(read, texts, TODAY, papers.stored()) == []


def test_every_numbered_equation_and_the_appendix_stand_in_the_table(read: Papers) -> None:
    rows = [equation.id for equation in read.equations]
    assert len(rows) == len(set(rows))
    assert {f"B {n}" for n in range(1, 8)} | {f"X {n}" for n in range(1, 15)} <= set(rows)
    gates = {f"B §A.1.1 {symbol}" for symbol in ("s_i", "s̃_i", "z_i", "r_i")}
    gates |= {f"B §A.2.1 {symbol}" for symbol in ("→h_i", "h̃_i", "z_i", "r_i", "←h_j")}
    decoder = {f"B §A.2.2 {symbol}" for symbol in ("s_i", "s_0", "c_i", "c", "t̃_i", "t_i", "p(y_i)")}
    assert gates | decoder | {"B §A.1.2 e_ij", "B §B.2 log p"} <= set(rows)


def proofs(read: Papers) -> list[str]:
    return sorted({test for equation in read.equations for test in equation.proved})


def test_every_proof_is_collected(read: Papers) -> None:
    """By pytest itself: a name that it does not collect is an error of its."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-n", "0", "-p", "no:cacheprovider"]
    command += [str(TESTS / test) for test in proofs(read)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    collected = {line.rpartition("/")[2].partition("[")[0] for line in done.stdout.splitlines() if "::" in line}
    assert collected == set(proofs(read))


def test_no_proof_is_left_out_of_the_usual_tests(read: Papers) -> None:
    for test in proofs(read):
        marks = {
            part.attr for one in TODAY[test].decorator_list for part in ast.walk(one) if isinstance(part, ast.Attribute)
        }
        assert not marks & (LEFT_OUT | {"skip", "skipif", "xfail"}), test
        assert "course_data" not in [argument.arg for argument in TODAY[test].args.args], test


# --- what must not go unnoticed ---------------------------------------------------------------------------------

COSTS = [{"departure": "D1"}]
ROW = papers.Equation("B 5", ["test_a.py::test_b"], "c_i", departs=["D1"])
DEPARTURE = papers.Departure("D1", "Order", "a", "b", "c")
SMALL = Papers({"B": ["A.1.1"]}, [ROW], [DEPARTURE])
CITES = {"course_pkg.attention.SoftAttention": "The context (Bahdanau et al. 2015, eq. 5, §A.1.1)."}


def small(changed: Papers = SMALL, cites: dict[str, str] = CITES, tests: tuple[str, ...] = ("test_a.py::test_b",),
          costs: list[dict[str, str]] = COSTS) -> set[str]:  # fmt: skip
    """Problems of a table of one row, other than the equations that it does not have."""
    return {said for said in problems(changed, cites, tests, costs) if not said.endswith("has no row")}


def with_row(**changes: object) -> Papers:
    return dataclasses.replace(SMALL, equations=[dataclasses.replace(ROW, **changes)])


def test_a_sound_table_has_no_problem_but_the_rows_it_lacks() -> None:
    assert small() == set()
    lacking = problems(SMALL, CITES, ["test_a.py::test_b"], COSTS)
    assert len(lacking) == 20 and "B 4 has no row" in lacking and "X 14 has no row" in lacking


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"tests": ()}, "B 5: there is no test test_a.py::test_b"),
        ({"changed": with_row(proved=[])}, "no test proves B 5"),
        ({"cites": {"course_pkg.attention.SoftAttention": "The context."}}, "no docstring cites B 5"),
        ({"changed": with_row(departs=["D2"])}, "B 5: there is no departure D2"),
        ({"costs": []}, "D1 needs either a measured cost or a reason why there is none"),
    ],
)
def test_what_a_row_lacks_is_said(change: dict, said: str) -> None:
    assert small(**change) == {said}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Bahdanau et al. 2015, eq. 8.", "x cites B 8, which does not exist"),
        ("Bahdanau et al. 2015, eq. 5 to 8.", "x cites B 8, which does not exist"),
        ("(eq. 9 of Bahdanau et al. 2015)", "x cites B 9, which does not exist"),
        ("Xu et al. 2015, eq. 15.", "x cites X 15, which does not exist"),
        ("Bahdanau et al. 2015, §A.9.", "x cites B §A.9, which does not exist"),
        ("Bahdanau et al. 2015, §A.1.1 ``q_i``.", "x cites B §A.1.1 q_i, which does not exist"),
        ("See eq. 5.", "x cites 5 of no paper"),
        ("D99 on the page.", "x names D99, which is no departure"),
    ],
)
def test_a_docstring_that_cites_what_is_not_there_is_noticed(text: str, said: str) -> None:
    found = small(cites={**CITES, "x": text})
    assert said in found and all(one.startswith("x cites") or one == said for one in found)


def test_an_object_that_only_draws_an_equation_does_not_compute_it() -> None:
    drawn = {"course_pkg.diagrams.attention": CITES["course_pkg.attention.SoftAttention"]}
    assert small(cites=drawn) == {"no docstring cites B 5"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Bahdanau et al. 2015, eq. 4 to 6, §A.2.2 ``s_0``, ``t_i``.",
         ["B 4", "B 5", "B 6", "B §A.2.2", "B §A.2.2 s_0", "B §A.2.2 t_i"]),
        ("Xu et al. 2015 (§4.1, eq. 8, 9 and 12)", ["X §4.1", "X 8", "X 9", "X 12"]),
        ("Bahdanau et al. 2015, eq. 5; Luong et al. 2015, eq. 8; Xu et al.\n    2015, eq. 1-3",
         ["B 5", "X 1", "X 2", "X 3"]),
        ("Xu et al. 2015, eq. 4 (eq. 6 of Bahdanau et al. 2015), eq. 5", ["X 4", "B 6", "X 5"]),
        ("Vaswani et al. 2017 (eq. 1), Post 2018, §2", []),
    ],
)  # fmt: skip
def test_citations_are_those_of_the_paper_named_last(text: str, expected: list[str]) -> None:
    assert list(citations(text)) == expected


WAYS_OUT = """
import pytest

@pytest.mark.skip
def test_context_is_the_weighted_sum():
    pass

@pytest.mark.skipif(True, reason="")
def test_scores_are_their_formulas():
    pass

@pytest.mark.xfail
def test_exp_then_mask_is_the_same_and_overflows():
    raise AssertionError

@pytest.mark.xfail
def test_positions_are_drawn_as_often_as_the_weights_say():
    pass

@pytest.mark.parametrize("nothing", [])
def test_two_layers_and_biases_are_the_released_codes(nothing):
    pass

def test_weights_sum_to_one_and_padding_gets_exactly_nothing():
    pytest.skip("no time")

@pytest.mark.skip
def test_that_proves_nothing():
    pass

def test_the_soft_look_is_the_mean_of_all_hard_ones():
    pass
"""


def test_a_proof_that_is_skipped_in_any_way_fails_and_other_tests_may_be(tmp_path: Path) -> None:
    """With the plugin that every test of the course runs under; the last two are left as they are."""
    (tmp_path / "test_attention.py").write_text(WAYS_OUT, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "proofs", "-p", "no:cacheprovider", "--rootdir", "."]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    said = dict(re.findall(r"(test_\w+) proves (.*?): it may", done.stdout))
    proving = re.findall(r"def (test_\w+)", WAYS_OUT)
    assert all(said.get(name) for name in proving[:-2]), done.stdout
    assert not any(said.get(name) for name in proving[-2:])
    assert said["test_context_is_the_weighted_sum"] == "B 5"
    assert "1 passed" in done.stdout and "1 skipped" in done.stdout and "xpassed" not in done.stdout


# --- costs ------------------------------------------------------------------------------------------------------

HARM = {"departure": "D1", "change": "a", "of": "rnnsearch", "difference": 0.125, "differences": [0.1, 0.15],
        "spread": 0.05, "seen": True, "exact_difference": -3.0}  # fmt: skip


def test_a_cost_that_may_be_chance_stands_in_brackets() -> None:
    assert papers.brief(HARM) == "+0.12"
    assert papers.brief({**HARM, "difference": -0.02, "seen": False}) == "(−0.02)"
    assert "more than seeds differ by (0.050)" in papers.in_words(HARM)
    assert "may be chance: seeds differ by (0.050)" in papers.in_words({**HARM, "seen": False})


def test_stored_costs_are_what_their_seeds_say() -> None:
    for row in papers.stored():
        for prefix in ("", "exact_"):
            each = row[prefix + "differences"]
            if each is not None:
                assert row[prefix + "difference"] == pytest.approx(sum(each) / len(each), abs=0.051 if prefix else 6e-4)
    assert json.dumps(papers.stored())
