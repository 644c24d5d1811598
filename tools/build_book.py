"""Build the book: run the notebooks whose inputs changed, then make the HTML with every warning an error.

Everything happens below ``_build``: the committed notebooks stay as they are. An executed notebook is kept
under a key made of its own cells, the package and the lock file, so it is neither stale nor run twice.
``build_book.py --stored --to FOLDER`` runs nothing: it makes the pages from the outputs that are committed.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import nbformat
from embed_pages import write_pages
from finish_pages import finish
from run_notebooks import ROOT, book_notebooks, execute_all
from slide_figures import ARCHIVE, write_figures
from widget_pages import show_on_page

BUILD = ROOT / "_build"
EXECUTED = BUILD / "notebooks"
HTML = BUILD / "html"


def digest(parts: Iterable[bytes]) -> str:
    """One key for all the parts, in order."""
    key = hashlib.sha256()
    for part in parts:
        key.update(hashlib.sha256(part).digest())
    return key.hexdigest()[:32]


def files_below(folder: Path) -> list[Path]:
    """Every file below the folder that is a source, in order."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file()
        and not any(
            part.startswith((".", "__")) or part == "node_modules" for part in path.relative_to(folder).parent.parts
        )
    )


def folder_key(folder: Path) -> str:
    """A key for the names and contents of all files below a folder."""
    return digest(
        part for path in files_below(folder) for part in (str(path.relative_to(folder)).encode(), path.read_bytes())
    )


def notebook_key(path: Path, package: str) -> str:
    """What a notebook's outputs depend on: its cells, the package, the locked versions, the Python."""
    cells = [(cell.cell_type, cell.source, cell.metadata) for cell in nbformat.read(path, as_version=4).cells]
    lock = (ROOT / "requirements.lock").read_bytes()
    return digest([json.dumps(cells).encode(), package.encode(), lock, sys.version.encode()])


def executed_notebooks() -> dict[Path, Path]:
    """Each notebook of the book with its executed copy; those whose inputs changed are run first."""
    package = folder_key(ROOT / "course_pkg")
    kept = {path: EXECUTED / f"{path.stem}-{notebook_key(path, package)}.ipynb" for path in book_notebooks()}
    EXECUTED.mkdir(parents=True, exist_ok=True)
    stale = [path for path, copy in kept.items() if not copy.exists()]
    print(f"Notebooks: {len(stale)} to run, {len(kept) - len(stale)} unchanged", flush=True)
    for path, notebook in execute_all(stale).items():
        nbformat.write(notebook, kept[path])
    for old in set(EXECUTED.glob("*.ipynb")) - set(kept.values()):
        old.unlink()
    return kept


def assemble(notebooks: dict[Path, Path], source: Path) -> None:
    """Lay out what the site is made of, each notebook of the book replaced by the copy to be shown."""
    ignored = shutil.ignore_patterns(".*", "__pycache__")
    for folder in ("book", "tools/ext"):
        shutil.copytree(ROOT / folder, source / folder, ignore=ignored)
    for name in ("_config.yml", "_toc.yml"):
        shutil.copy2(ROOT / name, source / name)
    for path, copy in notebooks.items():
        notebook = nbformat.read(copy, as_version=4)
        show_on_page(notebook)
        nbformat.write(notebook, source / path.relative_to(ROOT))


def run_sphinx(source: Path, html: Path, notebooks: dict[Path, Path]) -> None:
    """Run Jupyter Book over the assembled folder; a warning ends the program with status 1."""
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", str(source)]
    command += ["--path-output", str(source.parent), "-W", "-n", "--keep-going", "--all", "-q"]
    environment = {**os.environ, "PYTHONPATH": str(source / "tools/ext")}
    if subprocess.run(command, cwd=source, env=environment, stdout=subprocess.DEVNULL).returncode:
        sys.exit("The book was not built: see the warnings above.")
    write_pages(notebooks, source.parent / "_build/html")
    write_figures(notebooks, source.parent / "_build/html" / ARCHIVE)
    finish(source.parent / "_build/html")
    shutil.rmtree(html, ignore_errors=True)
    html.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(source.parent / "_build/html", html)


def build_pages(notebooks: dict[Path, Path], html: Path) -> bool:
    """Make the pages in the folder ``html``; false where those at hand come from the very same inputs."""
    stamp = html.with_name(html.name + ".key")
    with tempfile.TemporaryDirectory() as work:
        source = Path(work, "source")
        assemble(notebooks, source)
        key = digest(folder_key(folder).encode() for folder in (source, ROOT / "course_pkg", ROOT / "tools"))
        if (html / "index.html").exists() and stamp.exists() and stamp.read_text() == key:
            return False
        stamp.unlink(missing_ok=True)
        run_sphinx(source, html, notebooks)
        stamp.write_text(key)
    return True


def main() -> None:
    """Build the book unless the pages at hand were made from the very same inputs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--stored", action="store_true", help="run no notebook: show the outputs that are committed")
    parser.add_argument("--to", type=Path, default=HTML, metavar="FOLDER", help="where the pages go")
    arguments = parser.parse_args()
    notebooks = {path: path for path in book_notebooks()} if arguments.stored else executed_notebooks()
    html = arguments.to.resolve()
    if html.is_dir() and any(html.iterdir()) and not (html / "_static").is_dir():
        sys.exit(f"{html} holds something else than pages, and would be emptied: name a new folder.")
    if not build_pages(notebooks, html):
        print("The pages are up to date.")
    print(f"\nOpen {(html / 'index.html').as_uri()}\nor run `make serve` and open http://127.0.0.1:8000/")


if __name__ == "__main__":
    main()
