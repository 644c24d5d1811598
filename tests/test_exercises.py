"""The exercise checks: right answers pass, each usual mistake gets its own hint, published solutions work."""

import ast
import math
import re
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
import torch
from torch import Tensor

from course_pkg.exercises import Feedback, check, examine, exercise, names, right, wrong
from course_pkg.notation import CourseError

CHAPTERS = sorted((Path(__file__).parent.parent / "book").glob("*.ipynb"))
SOLUTION = re.compile(r"<details>\s*<summary>[^<]*[Ss]olution[^<]*</summary>(.*?)</details>", re.S)
PYTHON = re.compile(r"```python\n(.*?)```", re.S)
CALL = re.compile(r"""check\(\s*["']([^"']+)["']""")


# -- the registry ---------------------------------------------------------------------------------------------------


def test_feedback_folds_when_right_and_stops_at_the_first_mistake() -> None:
    assert str(Feedback("a sum", (right("one"), right("two")))) == "✓ a sum: one; two."
    shown = str(Feedback("a sum", (right("one"), wrong("two is three", "count again."))))
    assert shown.splitlines() == ["a sum: not there yet.", "  ✓ one.", "  ✗ two is three.", "  Hint: count again."]


@pytest.mark.parametrize("nothing", [None, ...])
def test_an_empty_answer_is_no_mistake_to_explain(nothing: object) -> None:
    for name in names():
        feedback = examine(name, nothing)
        assert not feedback.passed and "no answer yet" in str(feedback)


def test_an_error_in_the_answer_is_told_not_raised() -> None:
    def look(s, h, W_a, U_a, v_a, mask):  # type: ignore[no-untyped-def]
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied\nmore")

    shown = str(examine("05.look", look))
    assert "RuntimeError: mat1 and mat2 shapes cannot be multiplied" in shown and "more" not in shown


def test_an_unknown_exercise_names_those_there_are() -> None:
    with pytest.raises(CourseError, match=r"05\.look"):
        check("99.nothing", 1)


def test_two_checks_cannot_share_a_name() -> None:
    with pytest.raises(ValueError, match="two checks"):
        exercise("05.look" if "05.look" in names() else "", "again")(lambda answer: iter(()))


def test_check_prints_the_feedback(capsys: pytest.CaptureFixture[str]) -> None:
    check("05.noir", [1, 2])
    assert capsys.readouterr().out == str(examine("05.noir", [1, 2])) + "\n"


# -- chapter 5: the weights by hand ---------------------------------------------------------------------------------

BY_HAND = torch.tensor([0.0675, 0.8898, 0.0427])


@pytest.mark.parametrize("answer", [(0.07, 0.89, 0.04), [0.0675, 0.8898, 0.0427], BY_HAND, BY_HAND.tolist()])
def test_noir_right(answer: object) -> None:
    assert examine("05.noir", answer).passed


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((0.07, 0.04, 0.89), "weights for chien"),
        ((0.467, 3.046, 0.010), "energies"),
        ((1.595, 21.04, 1.010), "sum to 23.6"),
        ((-0.1, 0.9, 0.2), "negative"),
        ((0.2, 0.6, 0.2), "differ"),
        ((0.5, 0.5), "2 numbers"),
    ],
)
def test_noir_wrong(answer: object, told: str) -> None:
    feedback = examine("05.noir", answer)
    assert not feedback.passed and told in feedback.findings[-1].text and feedback.findings[-1].hint


def test_noir_agrees_with_the_definition() -> None:
    e = [2 * (math.tanh(3) - math.tanh(1)), 4 * math.tanh(1), 2 * (math.tanh(5) - math.tanh(3))]
    powers = [math.exp(value) for value in e]
    assert examine("05.noir", [round(power / sum(powers), 2) for power in powers]).passed


# -- chapter 5: one step of attention -------------------------------------------------------------------------------


def hidden(s: Tensor, h: Tensor, W_a: Tensor, U_a: Tensor) -> Tensor:
    return torch.tanh(h @ U_a.T + W_a @ s)


def masked(e: Tensor, mask: Tensor) -> Tensor:
    return e.masked_fill(~mask, -torch.inf).softmax(0)


def right_look(s, h, W_a, U_a, v_a, mask):  # type: ignore[no-untyped-def]
    weights = masked(hidden(s, h, W_a, U_a) @ v_a, mask)
    return weights, weights @ h


def by_loops(s, h, W_a, U_a, v_a, mask):  # type: ignore[no-untyped-def]
    powers = [
        float(torch.exp(v_a @ torch.tanh(W_a @ s + U_a @ h_j))) if real else 0.0
        for h_j, real in zip(h, mask, strict=True)
    ]
    weights = torch.tensor([power / sum(powers) for power in powers])
    return weights, sum(weight * h_j for weight, h_j in zip(weights, h, strict=True))


def mutant(energy: Callable = None, weigh: Callable = None, sum_up: Callable = None) -> Callable:  # type: ignore[assignment]
    energy = energy or (lambda s, h, W_a, U_a, v_a: hidden(s, h, W_a, U_a) @ v_a)
    weigh = weigh or masked
    sum_up = sum_up or (lambda weights, h: weights @ h)

    def look(s, h, W_a, U_a, v_a, mask):  # type: ignore[no-untyped-def]
        weights = weigh(energy(s, h, W_a, U_a, v_a), mask)
        return weights, sum_up(weights, h)

    return look


@pytest.mark.parametrize("look", [right_look, by_loops, mutant()])
def test_look_right(look: Callable) -> None:
    assert examine("05.look", look).passed


def no_tanh(s: Tensor, h: Tensor, W_a: Tensor, U_a: Tensor, v_a: Tensor) -> Tensor:
    return (h @ U_a.T + W_a @ s) @ v_a


LOOK_MISTAKES = {
    "nothing returned": (lambda s, h, W_a, U_a, v_a, mask: None, "returns nothing", "return weights"),
    "one thing returned": (lambda s, h, W_a, U_a, v_a, mask: h[0], "two things", "return weights"),
    "context first": (lambda *a, **k: right_look(*a, **k)[::-1], "context comes first", "weights first"),
    "no v_a": (mutant(lambda s, h, W_a, U_a, v_a: hidden(s, h, W_a, U_a), lambda e, m: e.softmax(0),
                      lambda w, h: h[0]), "shape (5, 6)", "v_a"),  # fmt: skip
    "context not summed": (mutant(sum_up=lambda w, h: w[:, None] * h), "context has shape", "axis"),
    "no softmax": (mutant(weigh=lambda e, mask: e), "energies", "positive"),
    "not normalised": (mutant(weigh=lambda e, mask: e.exp() * mask), "weights sum to", "softmax"),
    "no tanh": (mutant(no_tanh), "ignore the state", "bend"),
    "query left out": (mutant(lambda s, h, W_a, U_a, v_a: torch.tanh(h @ U_a.T) @ v_a), "differ from ours", "energies"),
    "tanh outside": (mutant(lambda *a: torch.tanh(no_tanh(*a))), "squeezed", "inside"),
    "minus sign": (mutant(weigh=lambda e, mask: masked(-e, mask)), "least weight", "sign"),
    "plain mean": (mutant(sum_up=lambda w, h: h.mean(0)), "plain mean", "weights"),
    "only the best": (mutant(sum_up=lambda w, h: h[w.argmax()]), "single annotation", "share"),
    "sum without weights": (mutant(sum_up=lambda w, h: h.sum(0)), "not the weighted sum", "its own weight"),
    "mask ignored": (mutant(weigh=lambda e, mask: e.softmax(0)), "padding still gets", "e⁰ = 1"),
    "energy zero": (mutant(weigh=lambda e, mask: (e * mask).softmax(0)), "padding still gets", "e⁰ = 1"),
    "mask upside down": (mutant(weigh=lambda e, m: masked(e, m if m.all() else ~m)), "padding still gets", "real"),
    "mask after softmax": (mutant(weigh=lambda e, mask: e.softmax(0) * mask), "padding the weights sum", "nobody"),
    "infinity times zero": (mutant(weigh=lambda e, m: (e + ~m * -torch.inf).softmax(0)), "there is a nan", "fill"),
    "nan at padding": (mutant(weigh=lambda e, m: masked(e, m) * e.where(m, torch.inf) / e), "there is a nan", "fill"),
    "share kept back": (
        mutant(weigh=lambda e, m: e.softmax(0) if m.all() else m / m.sum()), "real words get other weights", "share"
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", LOOK_MISTAKES)
def test_look_wrong(mistake: str) -> None:
    look, told, hint = LOOK_MISTAKES[mistake]
    feedback = examine("05.look", look)
    last = feedback.findings[-1]
    assert not last.holds and told in last.text and hint in last.hint, str(feedback)


# -- chapter 5: the gradient of the context -------------------------------------------------------------------------


def by_autograd(alpha: Tensor, h: Tensor) -> Tensor:
    return torch.autograd.functional.jacobian(lambda e: e.softmax(0) @ h, alpha.log()).T


def by_formula(alpha: Tensor, h: Tensor) -> Tensor:
    return alpha[:, None] * (h - alpha @ h)


@pytest.mark.parametrize("answer", [by_autograd, by_formula, lambda a, h: (torch.diag(a) - torch.outer(a, a)) @ h])
def test_context_gradient_right(answer: Callable) -> None:
    assert examine("05.context_gradient", answer).passed


@pytest.mark.parametrize(
    ("answer", "told", "hint"),
    [
        (lambda a, h: None, "returns nothing", "return"),
        (lambda a, h: by_formula(a, h).T, "transposed", "row j"),
        (lambda a, h: a * (1 - a), "shape is (5,)", "one row"),
        (lambda a, h: -by_formula(a, h), "sign", "towards"),
        (lambda a, h: a[:, None] * h, "own gain", "others"),
        (lambda a, h: (a * (1 - a))[:, None] * h, "diagonal", "other words"),
        (lambda a, h: h - a @ h, "equally hard", "factor"),
        (lambda a, h: a[:, None] * (h - h.mean(0)), "do not sum to zero", "stay"),
        (lambda a, h: 2 * by_formula(a, h), "differ from autograd", "term by term"),
    ],
)
def test_context_gradient_wrong(answer: Callable, told: str, hint: str) -> None:
    last = examine("05.context_gradient", answer).findings[-1]
    assert not last.holds and told in last.text and hint in last.hint, last


# -- the book -------------------------------------------------------------------------------------------------------


def imports_of(notebook: nbformat.NotebookNode) -> str:
    """Every import statement of the chapter's code cells."""
    lines = []
    for cell in notebook.cells:
        if cell.cell_type == "code" and "%pip" not in cell.source:
            nodes = ast.walk(ast.parse(cell.source))
            lines += [ast.unparse(node) for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
    return "\n".join(lines)


def solutions_in(markdown: str) -> list[str]:
    """The Python blocks of the closed solutions in a piece of Markdown."""
    return [block for solution in SOLUTION.findall(markdown) for block in PYTHON.findall(solution)]


def published_solutions(notebook: nbformat.NotebookNode) -> list[str]:
    """The Python blocks of the closed solutions."""
    return solutions_in("\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown"))


def checks_asked(notebook: nbformat.NotebookNode) -> list[str]:
    """The exercises that the chapter's code cells check, in order."""
    return [name for cell in notebook.cells if cell.cell_type == "code" for name in CALL.findall(cell.source)]


def run_solutions(notebook: nbformat.NotebookNode) -> dict[str, Feedback]:
    """The feedback on each published solution, run with the chapter's imports and nothing else of it."""
    seen: dict[str, Feedback] = {}

    def record(name: str, answer: object) -> None:
        seen[name] = examine(name, answer)

    for block in published_solutions(notebook):
        namespace: dict[str, object] = {}
        exec(imports_of(notebook), namespace)
        namespace["check"] = record
        exec(block, namespace)
    return seen


def problems_of_exercises(notebook: nbformat.NotebookNode) -> list[str]:
    """Exercises without a solution behind them, and stubs whose first feedback is not polite."""
    found = []
    for at, cell in enumerate(notebook.cells):
        if cell.cell_type != "code":
            continue
        asked = CALL.findall(cell.source)
        told = "".join(output.get("text", "") for output in cell.outputs)
        for name in asked:
            after = notebook.cells[at + 1].source if at + 1 < len(notebook.cells) else ""
            if not any(name in CALL.findall(block) for block in solutions_in(after)):
                found.append(f"{name}: the cell after the exercise holds no closed solution that ends in its check")
        if asked and ("not there yet" not in told or not re.search("no answer yet|returns nothing yet", told)):
            found.append(f"{asked[0]}: before an answer, the check should say 'no answer yet' or 'returns nothing yet'")
    return found


each_chapter = pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)


@each_chapter
def test_every_published_solution_passes_its_check(path: Path) -> None:
    """A chapter checks only what it also solves, and each solution, run with the chapter's imports alone, passes."""
    notebook = nbformat.read(path, as_version=4)
    seen = run_solutions(notebook)
    assert set(seen) == set(checks_asked(notebook)), "each check has one solution, and each solution calls its check"
    for name, feedback in seen.items():
        assert feedback.passed, f"{name}: {feedback}"


@each_chapter
def test_a_chapter_asks_its_own_exercises_once_and_politely(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    asked = checks_asked(notebook)
    assert asked and len(asked) == len(set(asked)), "a chapter has at least one exercise, and asks each once"
    for name in asked:
        assert name in names(), f"{name} is not registered in course_pkg/exercises/ch{path.stem[:2]}.py"
        assert name.startswith(path.stem[:2] + "."), f"{name} is another chapter's exercise"
    assert problems_of_exercises(notebook) == []


def test_every_registered_exercise_is_asked_in_its_chapter() -> None:
    asked = {name for path in CHAPTERS for name in checks_asked(nbformat.read(path, as_version=4))}
    assert set(names()) <= asked, "registered, but no chapter asks for it"


# Each of these checks has to be able to fail.


def notebook_of(*cells: tuple[str, str]) -> nbformat.NotebookNode:
    """A notebook of code and Markdown; a code cell stores what an empty answer is told."""
    made = nbformat.v4.new_notebook()
    for kind, text in cells:
        cell = (nbformat.v4.new_code_cell if kind == "code" else nbformat.v4.new_markdown_cell)(text)
        if kind == "code":
            cell.outputs = [nbformat.v4.new_output("stream", text=str(examine("05.noir", None)))]
        made.cells.append(cell)
    return made


ASKED = ("code", 'check("05.noir", None)')
SOLVED = """<details><summary>Solution</summary>

```python
noir = {answer}
check("05.noir", noir)
```

</details>"""


def test_a_solution_is_run_and_can_fail() -> None:
    good, bad = (notebook_of(ASKED, ("markdown", SOLVED.format(answer=a))) for a in ("(0.07, 0.89, 0.04)", "(1, 0, 0)"))
    assert run_solutions(good)["05.noir"].passed and problems_of_exercises(good) == []
    assert not run_solutions(bad)["05.noir"].passed


def test_a_missing_or_open_solution_is_caught() -> None:
    text = SOLVED.format(answer="None")
    for after in ("Nothing.", text.replace("<details>", "<details open>"), text.replace("05.noir", "05.look")):
        assert len(problems_of_exercises(notebook_of(ASKED, ("markdown", after)))) == 1
    assert len(problems_of_exercises(notebook_of(ASKED))) == 1


def test_an_impolite_check_is_caught() -> None:
    notebook = notebook_of(ASKED, ("markdown", SOLVED.format(answer="None")))
    notebook.cells[0].outputs[0].text = "not there yet.\n ✗ your answer stopped with TypeError"
    assert "no answer yet" in problems_of_exercises(notebook)[0]
