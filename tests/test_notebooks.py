"""What is stored in the notebooks: run from top to bottom, clean, small, and readable without seeing the pictures."""

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "book").glob("*.ipynb"))
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def code_cells(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def source(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def says_something(text: str) -> bool:
    """Whether a cell, by its last line, must have an output."""
    return "print(" in re.sub(r"(?m)^\s*(def|class) .*(\n\s+.*)*", "", text)


def problems_of_run(notebook: dict[str, Any]) -> list[str]:
    """Why the stored outputs are not those of one clean run."""
    found = []
    filled = [cell for cell in code_cells(notebook) if source(cell).strip()]
    counts = [cell["execution_count"] for cell in filled]
    if counts != list(range(1, len(filled) + 1)):
        found.append(f"execution counts {counts}")
    for number, cell in enumerate(filled, start=1):
        kinds = {output["output_type"] for output in cell["outputs"]}
        if "error" in kinds:
            found.append(f"cell {number} holds an error")
        if any(output.get("name") == "stderr" for output in cell["outputs"]):
            found.append(f"cell {number} wrote to stderr")
        if says_something(source(cell)) and not kinds:
            found.append(f"cell {number} prints, but no output is stored")
    if not any(cell["outputs"] for cell in filled):
        found.append("no output at all")
    return found


def problems_of_pictures(notebook: dict[str, Any]) -> list[str]:
    """Pictures without words for those who do not see them."""
    found = []
    for number, cell in enumerate(code_cells(notebook), start=1):
        alt = cell["metadata"].get("mystnb", {}).get("image", {}).get("alt", "")
        for output in cell["outputs"]:
            data = output.get("data", {})
            if {"image/png", "image/svg+xml", "image/jpeg"} & set(data) and len(alt.strip()) < 10:
                found.append(f"code cell {number} shows a picture without alt text")
            html = "".join(data.get("text/html", ""))
            if "<svg" in html and not re.search(r"<title|aria-label", html):
                found.append(f"code cell {number} shows a drawing without a name")
            if re.search(r"<img(?![^>]*\balt=\"[^\"]{10})", html):
                found.append(f"code cell {number} shows an <img> without alt text")
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            text = source(cell)
            if re.search(r"!\[\s*\]\(", text) or re.search(r"<img(?![^>]*\balt=\"[^\"]{10})", text):
                found.append("a picture in the text has no alt text")
    return found


def test_there_are_chapters() -> None:
    assert NOTEBOOKS


@each_notebook
def test_it_was_run_from_top_to_bottom(path: Path) -> None:
    assert problems_of_run(read(path)) == []


@each_notebook
def test_it_is_small(path: Path) -> None:
    assert path.stat().st_size < 400_000


@each_notebook
def test_its_first_cell_installs_the_package_where_it_is_missing(path: Path) -> None:
    first = read(path)["cells"][0]
    assert first["cell_type"] == "code"
    for part in ("course_pkg", "%pip install -q", "COURSE_PKG_SOURCE", "git+https://"):
        assert part in source(first)
    assert "remove-cell" in first["metadata"].get("tags", [])


@each_notebook
def test_it_has_one_title_and_headings_in_order(path: Path) -> None:
    text = "\n".join(source(cell) for cell in read(path)["cells"] if cell["cell_type"] == "markdown")
    levels = [len(marks) for marks in re.findall(r"^(#+) ", re.sub(r"(?ms)^```.*?^```", "", text), flags=re.MULTILINE)]
    assert levels.count(1) == 1 and levels[0] == 1
    assert all(later - earlier <= 1 for earlier, later in zip(levels, levels[1:], strict=False))


@each_notebook
def test_its_pictures_have_words(path: Path) -> None:
    assert problems_of_pictures(read(path)) == []


@each_notebook
def test_its_stored_outputs_hold_nothing_of_one_machine(path: Path) -> None:
    notebook = read(path)
    outputs = json.dumps([cell["outputs"] for cell in code_cells(notebook)])
    assert not re.search(r"0x[0-9a-f]{8,}|\\u001b\[|ipykernel_\d+", outputs)
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    assert not any("execution" in cell["metadata"] for cell in notebook["cells"])


# Each check above has to be able to fail.


@pytest.fixture
def clean() -> dict[str, Any]:
    """A notebook of two cells without a fault."""
    printed = {"output_type": "stream", "name": "stdout", "text": ["2\n"]}
    picture = {"output_type": "display_data", "data": {"image/png": "…"}, "metadata": {}}
    alt = {"mystnb": {"image": {"alt": "A line that rises from left to right"}}}
    shown = {"cell_type": "code", "source": ["plot()"], "execution_count": 2, "outputs": [picture], "metadata": alt}
    first = {"cell_type": "code", "source": ["print(2)"], "execution_count": 1, "outputs": [printed], "metadata": {}}
    return {"cells": [first, shown]}


def test_a_clean_notebook_passes(clean: dict[str, Any]) -> None:
    assert problems_of_run(clean) == [] and problems_of_pictures(clean) == []


def test_stripped_outputs_are_caught(clean: dict[str, Any]) -> None:
    for cell in clean["cells"]:
        cell["outputs"], cell["execution_count"] = [], None
    assert len(problems_of_run(clean)) == 3


def test_another_order_an_error_and_stderr_are_caught(clean: dict[str, Any]) -> None:
    for change in (
        lambda cells: cells.reverse(),
        lambda cells: cells[0]["outputs"].append({"output_type": "error"}),
        lambda cells: cells[0]["outputs"].append({"output_type": "stream", "name": "stderr", "text": "w"}),
        lambda cells: cells[0]["outputs"].clear(),
    ):
        notebook = copy.deepcopy(clean)
        change(notebook["cells"])
        assert len(problems_of_run(notebook)) == 1


def test_a_picture_without_words_is_caught(clean: dict[str, Any]) -> None:
    clean["cells"][1]["metadata"] = {}
    clean["cells"].append({"cell_type": "markdown", "source": ["![](x.svg)"], "metadata": {}})
    assert len(problems_of_pictures(clean)) == 2
