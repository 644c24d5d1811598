"""Run notebooks from top to bottom and store clean, repeatable outputs.

``run_notebooks.py`` runs every notebook of the book in place; ``run_notebooks.py FILE …`` runs those named.
"""

import argparse
import hashlib
import json
import os
import re
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode
from widget_pages import STATE, VIEW, keep_own_data

ROOT = Path(__file__).resolve().parent.parent
SECONDS_A_CELL = 120
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def book_notebooks() -> list[Path]:
    """The notebooks of the book, in order."""
    return sorted((ROOT / "book").glob("*.ipynb"))


def kernel_environment() -> dict[str, str]:
    """One torch thread, so that sums come out alike; no colour codes in stored text."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0", "NO_COLOR": "1", "TERM": "dumb"}


def execute(path: Path) -> NotebookNode:
    """The notebook run in a fresh kernel that starts in an empty folder, with normalised outputs.

    Raises ``RuntimeError`` naming the notebook where a cell raises or writes to stderr.
    """
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    with tempfile.TemporaryDirectory() as empty:
        client = NotebookClient(
            notebook,
            timeout=SECONDS_A_CELL,
            kernel_name="python3",
            extra_arguments=["--Application.log_level=ERROR"],
            resources={"metadata": {"path": empty}},
        )
        try:
            client.execute(env=kernel_environment())
        except CellExecutionError as error:
            raise RuntimeError(f"{path.name}: {COLOUR.sub('', str(error))}") from None
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if output.get("name") == "stderr":
                raise RuntimeError(f"{path.name}: a cell wrote to stderr:\n{output['text']}")
    return normalise(notebook, path.stem)


def merge_streams(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Neighbouring pieces of one stream joined: where a kernel cuts it is chance."""
    merged: list[NotebookNode] = []
    for output in outputs:
        last = merged[-1] if merged else None
        if last and output.output_type == "stream" == last.output_type and output.name == last.name:
            last.text += output.text
        else:
            merged.append(output)
    return merged


def widget_order(notebook: NotebookNode, state: dict) -> list[str]:
    """The random ids of the widgets: those shown first, in order, then the others by their content."""
    queue = [
        output["data"][VIEW]["model_id"]
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if VIEW in output.get("data", {})
    ]
    seen: list[str] = []
    while queue:
        model = queue.pop(0)
        if model in state and model not in seen:
            seen.append(model)
            queue += re.findall(r"IPY_MODEL_([0-9a-f]{32})", json.dumps(state[model], sort_keys=True))

    def content(model: str) -> str:
        return re.sub(r"[0-9a-f]{32}", "", json.dumps(state[model], sort_keys=True))

    return seen + sorted((model for model in state if model not in seen), key=content)


def normalise(notebook: NotebookNode, name: str) -> NotebookNode:
    """The notebook without times, machine details and random ids: the same run gives the same bytes."""
    for number, cell in enumerate(notebook.cells):
        cell.metadata.pop("execution", None)
        cell["id"] = f"{name[:2]}-{number:03d}"
        if cell.cell_type == "code":
            cell.outputs = merge_streams(cell.outputs)
    keep_own_data(notebook)
    state = notebook.metadata.get("widgets", {}).get(STATE, {}).get("state", {})
    text = nbformat.writes(notebook)
    for number, old in enumerate(widget_order(notebook, state)):
        text = text.replace(old, hashlib.sha256(f"{name}:{number}".encode()).hexdigest()[:32])
    notebook = nbformat.reads(text, as_version=4)
    if state:
        renamed = notebook.metadata["widgets"][STATE]["state"]
        notebook.metadata["widgets"][STATE]["state"] = {key: renamed[key] for key in sorted(renamed)}
    notebook.metadata.pop("signature", None)
    notebook.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata["language_info"] = {"name": "python"}
    return notebook


def timed(path: Path) -> tuple[Path, NotebookNode | str, float]:
    """The executed notebook, or the error's text, and the seconds it took."""
    start = time.monotonic()
    try:
        return path, execute(path), time.monotonic() - start
    except RuntimeError as error:
        return path, str(error), time.monotonic() - start


def execute_all(paths: list[Path]) -> dict[Path, NotebookNode]:
    """Run the notebooks, two at a time; report each; end the program with status 1 if any failed."""
    done, failed = {}, []
    with ProcessPoolExecutor(max_workers=2) as pool:
        for path, result, seconds in pool.map(timed, paths):
            print(f"  {path.name}: {seconds:.0f} s{' FAILED' if isinstance(result, str) else ''}", flush=True)
            if isinstance(result, str):
                failed.append(result)
            else:
                done[path] = result
    if failed:
        sys.exit("\n\n".join(failed))
    return done


def main() -> None:
    """Run the notebooks and store them in place."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("notebooks", nargs="*", type=Path)
    paths = [path.resolve() for path in parser.parse_args().notebooks] or book_notebooks()
    for path, notebook in execute_all(paths).items():
        nbformat.write(notebook, path)


if __name__ == "__main__":
    main()
