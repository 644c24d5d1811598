"""Run one notebook as a stranger to this checkout would: an empty folder, a clean environment, a fresh home.

The environment is a layer over a base that holds only what the place has already (for Colab: torch, numpy,
matplotlib, ipywidgets and a kernel). The notebook's own first cell installs the rest into the layer.
"""

import configparser
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellControlSignal, DeadKernelError
from nbformat import NotebookNode

WATCH = Path(__file__).with_name("write_watch.py")
MAY_DIFFER = Path(__file__).parent.parent / "tests/nbval_sanitize.cfg"
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
SECONDS_A_CELL = 600  # installing counts
# Starting pip alone takes longer, so a cell below this has not called it.
QUICK = 0.3
# Said during an installation by IPython, and by pip where an index has a folder for some packages only.
NOT_OURS = re.compile(r"Note: you may need to restart the kernel|WARNING: Location .* is ignored")
# In the home folder: the course's cache, and what each library keeps there by itself.
AT_HOME = {
    ".cache/course_pkg": "the course's cache",
    ".ipython": "the kernel's history and settings",
    ".keras": "Keras writes its settings when it is imported",
    ".rustup": "pip asks for the version of rustc, and rustup, where it is there, writes its settings",
}
# Folders that torch makes for itself among the temporary files.
TEMPORARY = re.compile(r"torchinductor_\w+|torch_\w+")
# Nothing of these reaches a notebook: they would lead it back to this checkout, or to its reader's own settings.
KEPT_OUT = ("PYTHON", "VIRTUAL_ENV", "CONDA", "COURSE_", "JUPYTER", "IPYTHON", "XDG_CACHE", "XDG_DATA_HOME", "MPL")


@dataclass(frozen=True)
class Bench:
    """What every notebook is tried with: the base's packages, the package's source, and two shared caches."""

    base: Path  # a site-packages folder; nothing may be written there
    source: str  # what COURSE_PKG_SOURCE says: the wheel
    pip_cache: Path  # pip's own, shared: what it holds changes how long an installation takes and nothing else
    matplotlib: Path  # its list of fonts, made with the base; a machine of Colab has it as well


@dataclass
class Outcome:
    """One line of the table: how long each part took, and what was wrong."""

    what: str
    problems: list[str] = field(default_factory=list)
    install: float = 0.0
    run: float = 0.0
    again: float = 0.0


def one_line(text: str) -> str:
    """The last line that says something, without colours: of a traceback, the error itself."""
    lines = [line.strip() for line in COLOUR.sub("", text).splitlines() if line.strip()]
    return lines[-1][:300] if lines else "no reason given"


def make_layer(folder: Path, base: Path) -> Path:
    """A new environment that sees the base's packages and is watched; its Python is returned."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "base.pth").write_text(f"{base}\n")
    shutil.copy(WATCH, site)
    (site / "watch.pth").write_text("import write_watch\n")
    return folder / "bin/python"


def distributions(site: Path) -> dict[str, str]:
    """Name to version of what is installed in one folder, by the names of its records."""
    found = {}
    for record in site.glob("*.dist-info"):
        name, _, version = record.name.removesuffix(".dist-info").partition("-")
        found[re.sub(r"[-_.]+", "-", name).lower()] = version
    return found


def replaced(layer: Path, base: Path) -> list[str]:
    """The packages that were there and that an installation put its own version over."""
    before = distributions(base)
    sites = layer.glob("lib/python*/site-packages")
    after = {name: version for site in sites for name, version in distributions(site).items()}
    return [f"{name} {before[name]} by {version}" for name, version in sorted(after.items()) if name in before]


def outside(log: Path, allowed: list[Path]) -> list[str]:
    """The paths that were written, lie in none of the allowed folders and do not lead to one."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    paths = {Path(line.partition("\t")[2]) for line in lines if line.startswith("wrote\t")}
    roots = [Path("/dev"), Path("/proc"), *(folder.resolve() for folder in allowed)]
    right = {path for path in paths for root in roots if path.is_relative_to(root) or root.is_relative_to(path)}
    return sorted(str(path) for path in paths - right)


def calls(log: Path) -> list[str]:
    """The hosts that were called."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return sorted({line.partition("\t")[2] for line in lines if line.startswith("called\t")})


def left_at_home(home: Path) -> list[str]:
    """What lies in the home folder and has no place there, whoever wrote it."""
    files = [path.relative_to(home) for path in home.rglob("*") if not path.is_dir()]
    return sorted(str(file) for file in files if not any(file.is_relative_to(allowed) for allowed in AT_HOME))


def noise(cell: NotebookNode) -> list[str]:
    """What a cell said, less what is not its own."""
    said = []
    for output in cell.get("outputs", []):
        text = output.get("text") or str(output.get("data", {}).get("text/plain", ""))
        said += [line.strip() for line in text.splitlines() if line.strip() and not NOT_OURS.search(line)]
    return said


def printed(cell: NotebookNode) -> str:
    """What a cell printed, without what may differ between two runs."""
    text = "".join(output.text for output in cell.get("outputs", []) if output.get("name") == "stdout")
    rules = configparser.RawConfigParser()
    rules.read(MAY_DIFFER, encoding="utf-8")
    for rule in rules.sections():
        text = re.sub(rules[rule]["regex"], rules[rule]["replace"], text, flags=re.MULTILINE)
    return text


def first_difference(stored: str, fresh: str) -> str | None:
    """The first line that is not the stored one, beside it."""
    lines = zip_longest(stored.splitlines(), fresh.splitlines(), fillvalue="")
    return next((f"{new.strip()!r}, not {old.strip()!r}" for old, new in lines if old != new), None)


class Desk:
    """A folder with all that one notebook gets; nothing else belongs to it."""

    def __init__(self, folder: Path, bench: Bench) -> None:
        self.bench = bench
        self.work, self.home, self.temporary, self.runtime, self.layer, self.kernels, self.log = (
            folder / name for name in ("work", "home", "tmp", "runtime", "layer", "kernels", "log")
        )
        for made in (self.work, self.home, self.temporary, self.runtime):
            made.mkdir()
        python = make_layer(self.layer, bench.base)
        spec = self.kernels / "kernels/alone/kernel.json"
        spec.parent.mkdir(parents=True)
        command = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}", "--Application.log_level=ERROR"]
        spec.write_text(json.dumps({"argv": command, "display_name": "alone", "language": "python"}))
        os.environ["JUPYTER_PATH"] = str(self.kernels)  # this process starts the kernel, so it has to find it

    def environment(self) -> dict[str, str]:
        """The kernel's variables."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(KEPT_OUT)}
        return kept | {
            "PATH": f"{self.layer / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}",
            "HOME": str(self.home),
            "TMPDIR": str(self.temporary),
            "COURSE_PKG_SOURCE": self.bench.source,
            "PIP_CACHE_DIR": str(self.bench.pip_cache),
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "MPLCONFIGDIR": str(self.bench.matplotlib),
            "WRITE_WATCH": str(self.log),
            "OMP_NUM_THREADS": "1",
            "PYTHONHASHSEED": "0",
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # otherwise every kernel warns on the terminal
            "NO_COLOR": "1",
            "TERM": "dumb",
        }

    def client(self, notebook: NotebookNode) -> NotebookClient:
        """What runs a notebook's cells in the working folder."""
        resources = {"metadata": {"path": str(self.work)}}
        # Files, not ports: two notebooks at a time could be given the same port.
        connection = self.runtime / f"{len(list(self.runtime.glob('*.json')))}.json"
        kernel = AsyncKernelManager(kernel_name="alone", transport="ipc", connection_file=str(connection))
        return NotebookClient(notebook, km=kernel, timeout=SECONDS_A_CELL, resources=resources)

    def allowed(self) -> list[Path]:
        """Where writing is right: the working folder, the layer, caches, temporary files and the kernel's own."""
        caches = [self.home / name for name in AT_HOME] + [self.bench.pip_cache, self.bench.matplotlib]
        return [self.work, self.layer, self.temporary, self.runtime, self.log, *caches]


def fresh(path: Path) -> NotebookNode:
    """The notebook without outputs."""
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return notebook


def complaints(number: int, cell: NotebookNode, stored: NotebookNode) -> list[str]:
    """What is wrong with a cell's outputs: the first one installs, the others print what the book has."""
    if number == 1:
        return [f"its first cell says, while it installs: {line}" for line in noise(cell)[:3]]
    errors = "".join(output.text for output in cell.outputs if output.get("name") == "stderr")
    found = [f"code cell {number} wrote to stderr: {one_line(errors)}"] if errors else []
    change = first_difference(printed(stored), printed(cell))
    return found + ([f"code cell {number} prints {change} as in the book"] if change else [])


def run_all(desk: Desk, notebook: NotebookNode, stored: NotebookNode, outcome: Outcome) -> bool:
    """The whole notebook in one kernel, from top to bottom; false where a cell failed and it stopped."""
    client = desk.client(notebook)
    code = [index for index, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    with client.setup_kernel(env=desk.environment(), cleanup_kc=True):
        for number, index in enumerate(code, start=1):
            cell, start = notebook.cells[index], time.monotonic()
            try:
                client.execute_cell(cell, index)
            except (CellControlSignal, DeadKernelError) as error:
                outcome.problems.append(f"code cell {number}: {one_line(str(error))}")
                return False
            finally:
                seconds = time.monotonic() - start
                outcome.install += seconds if number == 1 else 0.0
                outcome.run += seconds if number > 1 else 0.0
            outcome.problems += complaints(number, cell, stored.cells[index])
    return True


def run_first_again(desk: Desk, notebook: NotebookNode, outcome: Outcome) -> None:
    """The first cell in another kernel, with the package there: it has nothing to say, to fetch or to wait for."""
    first = next(cell for cell in notebook.cells if cell.cell_type == "code")
    first.outputs = []
    alone = nbformat.v4.new_notebook(cells=[first])
    client = desk.client(alone)
    with client.setup_kernel(env=desk.environment(), cleanup_kc=True):
        start = time.monotonic()
        client.execute_cell(first, 0)
        outcome.again = time.monotonic() - start
    said = [output.get("text", "an output") for output in first.outputs]
    outcome.problems += [f"its first cell is not silent where the package is there: {one_line(text)}" for text in said]
    outcome.problems += [f"its first cell calls {host} where the package is there" for host in calls(desk.log)]
    if outcome.again > QUICK:
        outcome.problems.append(f"its first cell takes {outcome.again:.2f} s where the package is there")


def try_alone(path: Path, bench: Bench) -> Outcome:
    """One notebook, from its first cell to what it left behind."""
    outcome, strangers = Outcome(path.name), list[str]()
    with tempfile.TemporaryDirectory(prefix="alone-") as name:
        desk = Desk(Path(name).resolve(), bench)
        notebook, stored = fresh(path), nbformat.read(path, as_version=4)
        try:
            done = run_all(desk, notebook, stored, outcome)
            strangers = outside(desk.log, desk.allowed())
            desk.log.unlink(missing_ok=True)
            if done:
                run_first_again(desk, notebook, outcome)
        except (CellControlSignal, RuntimeError) as error:  # no kernel, or one that died
            outcome.problems.append(f"could not be run to its end: {one_line(str(error))}")
        strangers += outside(desk.log, desk.allowed())
        outcome.problems += [f"writes outside its folder: {path}" for path in dict.fromkeys(strangers)]
        outcome.problems += [f"leaves in the home folder: {file}" for file in left_at_home(desk.home)]
        left = [file.name for file in desk.temporary.iterdir() if not TEMPORARY.fullmatch(file.name)]
        outcome.problems += [f"leaves a temporary file: {file}" for file in sorted(left)]
        outcome.problems += [f"its first cell replaces {change}" for change in replaced(desk.layer, bench.base)]
    return outcome
