"""What stands around the book: when a notebook runs again, what is stored of it, how results become tables."""

import copy
import json
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tools/ext")]
import build_book  # noqa: E402
import lock  # noqa: E402
import results_tables  # noqa: E402
import run_notebooks  # noqa: E402


def write_notebook(path: Path, *sources: str) -> Path:
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


# --- when a notebook runs again ---------------------------------------------------------------------------------


def test_a_notebook_runs_again_when_its_cells_or_the_package_change(tmp_path: Path) -> None:
    path = write_notebook(tmp_path / "01_a.ipynb", "print(1)")
    key = build_book.notebook_key(path, "package")
    assert build_book.notebook_key(path, "package") == key
    assert build_book.notebook_key(path, "other package") != key
    write_notebook(path, "print(2)")
    assert build_book.notebook_key(path, "package") != key


def test_stored_outputs_do_not_make_a_notebook_run_again(tmp_path: Path) -> None:
    path = write_notebook(tmp_path / "01_a.ipynb", "print(1)")
    key = build_book.notebook_key(path, "package")
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[0].outputs = [nbformat.v4.new_output("stream", name="stdout", text="1\n")]
    notebook.cells[0].execution_count = 1
    nbformat.write(notebook, path)
    assert build_book.notebook_key(path, "package") == key


def test_a_folders_key_sees_names_and_contents_but_no_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_book, "ROOT", tmp_path)
    (tmp_path / "a.py").write_text("1")
    keys = [build_book.folder_key(tmp_path)]
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__/a.pyc").write_text("compiled")
    assert build_book.folder_key(tmp_path) == keys[0]
    (tmp_path / "a.py").write_text("2")
    keys.append(build_book.folder_key(tmp_path))
    (tmp_path / "a.py").rename(tmp_path / "b.py")
    keys.append(build_book.folder_key(tmp_path))
    assert len(set(keys)) == 3


# --- what is stored of a run ------------------------------------------------------------------------------------


def test_a_run_starts_in_an_empty_folder_and_is_repeatable(tmp_path: Path) -> None:
    path = write_notebook(tmp_path / "01_a.ipynb", "import os\nprint(os.listdir('.'))", "2 + 2")
    first, second = run_notebooks.execute(path), run_notebooks.execute(path)
    assert nbformat.writes(first) == nbformat.writes(second)
    assert first.cells[0].outputs[0].text == "[]\n"
    assert [cell.execution_count for cell in first.cells] == [1, 2]


@pytest.mark.parametrize("source", ["1 / 0", "import sys\nprint('careful', file=sys.stderr)"])
def test_an_error_and_a_line_on_stderr_end_a_run(tmp_path: Path, source: str) -> None:
    with pytest.raises(RuntimeError, match=r"01_a\.ipynb"):
        run_notebooks.execute(write_notebook(tmp_path / "01_a.ipynb", source))


def test_random_widget_ids_become_names_that_repeat() -> None:
    def shown(outer: str, inner: str) -> nbformat.NotebookNode:
        view = {run_notebooks.VIEW: {"model_id": outer}, "text/plain": "widget"}
        cell = nbformat.v4.new_code_cell("w", outputs=[nbformat.v4.new_output("display_data", data=view)])
        notebook = nbformat.v4.new_notebook(cells=[cell])
        state = {inner: {"state": {"value": 3}}, outer: {"state": {"child": f"IPY_MODEL_{inner}"}}}
        notebook.metadata["widgets"] = {run_notebooks.STATE: {"state": state}}
        return run_notebooks.normalise(notebook, "01_a")

    assert shown("a" * 32, "b" * 32) == shown("d" * 32, "c" * 32)
    assert "a" * 32 not in nbformat.writes(shown("a" * 32, "b" * 32))


def test_one_text_cut_in_two_is_stored_as_one() -> None:
    pieces = [nbformat.v4.new_output("stream", name="stdout", text=text) for text in ("a", "b")]
    other = nbformat.v4.new_output("stream", name="stderr", text="c")
    merged = run_notebooks.merge_streams(copy.deepcopy([*pieces, other]))
    assert [output.text for output in merged] == ["ab", "c"]


# --- results ----------------------------------------------------------------------------------------------------


RESULT = {
    "title": "A table",
    "columns": [["model", "model"], ["bleu", "BLEU"], ["n", "sentences"]],
    "rows": [{"model": "a", "bleu": 59.04, "n": 1000}, {"model": "b", "bleu": None, "n": 29000}],
    "passport": {"seeds": [1, 2], "data": "Multi30k"},
}


def test_a_result_becomes_a_table_with_its_passport() -> None:
    table = results_tables.table_node(RESULT).astext().split()
    assert table == "model BLEU sentences a 59.0 1000 b – 29\u202f000".split()
    assert results_tables.passport_node(RESULT["passport"]).astext().split("\n\n") == [
        "seeds",
        "1, 2",
        "data",
        "Multi30k",
    ]


def test_columns_may_be_left_out() -> None:
    assert results_tables.columns_of({"rows": [{"by_length": 1, "n": 2}]}) == [("by_length", "by length"), ("n", "n")]


def test_stored_results_can_be_drawn() -> None:
    for path in (ROOT / "course_pkg/results").glob("*.json"):
        result = json.loads(path.read_text(encoding="utf-8"))
        if "title" in result:
            assert results_tables.table_node(result).astext() and result["passport"], path


# --- the lock and the commands ----------------------------------------------------------------------------------


def test_the_lock_follows_dependencies_of_dependencies() -> None:
    found, missing = lock.closure([lock.Requirement("jinja2"), lock.Requirement("no-such-package-here")])
    assert {"jinja2", "markupsafe"} <= set(found) and missing == {"no-such-package-here"}


def test_make_lists_every_command() -> None:
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    for target in ("book", "test", "serve", "notebooks", "test-all", "clean", "help", "address"):
        assert f"make {target} " in done.stdout
