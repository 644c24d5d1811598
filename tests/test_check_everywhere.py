"""A notebook is tried alone: what it writes elsewhere, says, misses or replaces is seen and named in one line."""

import base64
import hashlib
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import nbformat
import psutil
import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import alone  # noqa: E402
import check_everywhere  # noqa: E402
import write_watch  # noqa: E402
from alone import Bench, Outcome  # noqa: E402

CapturedText = pytest.CaptureFixture[str]
FIRST = """import importlib.util
import os

if importlib.util.find_spec("tiny_course") is None:
    source = os.environ["COURSE_PKG_SOURCE"]
    %pip install -q {source}"""


def write_wheel(folder: Path) -> Path:
    """A wheel of one module, as small as wheels can be."""
    record = "tiny_course-1.0.dist-info"
    files = {
        "tiny_course.py": "ANSWER = 42\n",
        f"{record}/METADATA": "Metadata-Version: 2.1\nName: tiny-course\nVersion: 1.0\n",
        f"{record}/WHEEL": "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    lines = []
    for name, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        lines.append(f"{name},sha256={digest},{len(text)}\n")
    path = folder / "tiny_course-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
        archive.writestr(f"{record}/RECORD", "".join(lines) + f"{record}/RECORD,,\n")
    return path


def write_notebook(path: Path, *cells: str) -> Path:
    """A notebook of code cells."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbformat.write(notebook, path)
    return path


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """This environment's packages as the base, a tiny wheel as the course, and no index to ask."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("JUPYTER_PATH", "")  # set by the tool; undone here
    folders = [tmp_path / name for name in ("pip", "matplotlib")]
    for folder in folders:
        folder.mkdir()
    return Bench(Path(sysconfig.get_path("purelib")), str(write_wheel(tmp_path)), *folders)


def tried(path: Path, bench: Bench) -> Outcome:
    """What came of one notebook; no kernel is left behind."""
    outcome = alone.try_alone(path, bench)
    assert [child.cmdline() for child in psutil.Process().children() if "ipykernel_launcher" in child.cmdline()] == []
    return outcome


# --- whole notebooks --------------------------------------------------------------------------------------------


def test_a_notebook_that_keeps_to_its_folder_and_the_courses_cache_passes(tmp_path: Path, bench: Bench) -> None:
    keeps = """from pathlib import Path
import tempfile
import tiny_course
Path("result.txt").write_text("here")
cache = Path.home() / ".cache/course_pkg"
cache.mkdir(parents=True)
(cache / "data").write_text("there")
with tempfile.TemporaryDirectory() as folder:
    (Path(folder) / "passing").write_text("gone at once")
assert tiny_course.ANSWER == 42 and "COURSE_DATA" not in __import__("os").environ"""
    outcome = tried(write_notebook(tmp_path / "clean.ipynb", FIRST, keeps), bench)
    assert outcome.problems == []
    assert outcome.install > outcome.again > 0  # it was installed once, and not again


def test_what_a_notebook_writes_elsewhere_and_says_is_named(tmp_path: Path, bench: Bench) -> None:
    elsewhere = tmp_path / "elsewhere.txt"
    strays = f"""import sys
import tempfile
from pathlib import Path
open({str(elsewhere)!r}, "w").close()
(Path.home() / "notes.txt").write_text("mine")
tempfile.mkstemp(prefix="left-")
print("careful", file=sys.stderr)"""
    sneaks = "import subprocess\nsubprocess.run(['touch', 'a', str(__import__('pathlib').Path.home() / 'sneaked')])"
    outcome = tried(write_notebook(tmp_path / "strays.ipynb", "print('Hello!')\n" + FIRST, strays, sneaks), bench)
    said = "\n".join(outcome.problems)
    assert f"writes outside its folder: {elsewhere}" in outcome.problems
    for part in ("its first cell says, while it installs: Hello!", "cell 2 wrote to stderr: careful"):
        assert part in said
    assert "leaves in the home folder: notes.txt" in said and "leaves in the home folder: sneaked" in said
    assert "leaves a temporary file: left-" in said


@pytest.mark.slow
def test_a_first_cell_that_is_noisy_or_slow_later_on_is_seen(tmp_path: Path, bench: Bench) -> None:
    noisy = FIRST + f'\nelse:\n    import time\n    time.sleep({alone.QUICK})\n    print("there already")'
    outcome = tried(write_notebook(tmp_path / "noisy.ipynb", noisy, "import tiny_course"), bench)
    silent, slow = outcome.problems
    assert silent == "its first cell is not silent where the package is there: there already"
    assert slow.startswith("its first cell takes") and "\n" not in slow


@pytest.mark.slow
def test_some_notebooks_at_once_name_their_reasons_and_fail_together(
    tmp_path: Path, bench: Bench, capfd: CapturedText
) -> None:
    good = write_notebook(tmp_path / "good.ipynb", FIRST, "import tiny_course")
    bad = write_notebook(tmp_path / "bad.ipynb", FIRST, "import tiny_course, not_to_be_had")
    never = write_notebook(tmp_path / "never.ipynb", FIRST.replace("{source}", "{source}x"), "import tiny_course")
    outcomes = check_everywhere.check_notebooks([good, bad, never], bench)
    lines = capfd.readouterr().out.splitlines()
    assert "good.ipynb: passed" in lines
    assert "bad.ipynb: code cell 2: ModuleNotFoundError: No module named 'not_to_be_had'" in lines
    assert "never.ipynb: code cell 2: ModuleNotFoundError: No module named 'tiny_course'" in lines
    verdicts = {line.split()[-1]: line.split()[0] for line in check_everywhere.table(outcomes).splitlines()[1:]}
    assert verdicts == {"good.ipynb": "passed", "bad.ipynb": "FAILED", "never.ipynb": "FAILED"}


# --- the parts --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "arguments", "line"),
    [
        ("open", ("/x/a", "w", os.O_WRONLY | os.O_CREAT), "wrote\t/x/a"),
        ("open", (b"/x/a", None, os.O_RDWR), "wrote\t/x/a"),
        ("open", ("/x/a", "r", os.O_RDONLY), None),
        ("open", (3, "w", os.O_WRONLY), None),
        ("os.mkdir", ("/x/b", 0o777, -1), "wrote\t/x/b"),
        ("os.mkdir", (str(ROOT), 0o777, -1), None),
        ("os.rename", ("/x/a", "/y/b", -1, -1), "wrote\t/y/b"),
        ("sqlite3.connect", (":memory:",), None),
        ("sqlite3.connect", ("/x/history.sqlite",), "wrote\t/x/history.sqlite"),
        ("socket.connect", (None, ("192.0.2.1", 443)), "called\t192.0.2.1"),
        ("socket.connect", (None, ("127.0.0.1", 443)), None),
        ("socket.connect", (None, "/run/a-socket"), None),
        ("import", ("os", None, None, None, None), None),
    ],
)
def test_the_watch_notes_what_writes_or_calls(event: str, arguments: tuple[object, ...], line: str | None) -> None:
    assert write_watch.noted(event, arguments) == line


def test_the_watch_sees_a_process_from_its_start(tmp_path: Path) -> None:
    python = alone.make_layer(tmp_path / "layer", tmp_path)
    log, target = tmp_path / "log", tmp_path / "written"
    code = f"from pathlib import Path; Path({str(target)!r}).write_text('x')"
    subprocess.run([python, "-c", code], env={**os.environ, "WRITE_WATCH": str(log)}, check=True)
    assert alone.outside(log, []) == [str(target)]
    assert alone.outside(log, [tmp_path]) == []


def test_a_folder_that_only_begins_alike_is_outside(tmp_path: Path) -> None:
    (tmp_path / "log").write_text(f"wrote\t{tmp_path}/desk-not/a\nwrote\t{tmp_path}/desk/b\ncalled\texample.org\n")
    assert alone.outside(tmp_path / "log", [tmp_path / "desk"]) == [f"{tmp_path}/desk-not/a"]
    assert alone.calls(tmp_path / "log") == ["example.org"]
    (tmp_path / "log").write_text(f"wrote\t{tmp_path}/home/.cache\n")  # made on the way to a folder of its own
    assert alone.outside(tmp_path / "log", [tmp_path / "home/.cache/course_pkg"]) == []
    assert alone.outside(tmp_path / "none", []) == alone.calls(tmp_path / "none") == []


def test_a_package_that_was_there_and_is_installed_again_is_seen(tmp_path: Path) -> None:
    base, site = tmp_path / "base", tmp_path / "layer/lib/python3.11/site-packages"
    for folder in (
        base / "Some_Widgets-7.7.1.dist-info",
        site / "some_widgets-8.1.dist-info",
        site / "new-1.dist-info",
    ):
        folder.mkdir(parents=True)
    assert alone.replaced(tmp_path / "layer", base) == ["some-widgets 7.7.1 by 8.1"]


def test_what_others_say_during_an_installation_is_not_the_notebooks() -> None:
    note = "Note: you may need to restart the kernel to use updated packages.\nERROR: two versions clash\n"
    cell = nbformat.v4.new_code_cell(outputs=[nbformat.v4.new_output("stream", text=note)])
    assert alone.noise(cell) == ["ERROR: two versions clash"]


def test_another_number_than_the_book_has_is_seen_but_not_another_time() -> None:
    def cell(text: str) -> nbformat.NotebookNode:
        return nbformat.v4.new_code_cell(outputs=[nbformat.v4.new_output("stream", text=text)])

    book, here = cell("device: cpu\nBLEU 31.2\n3.1 s\n"), cell("device: cuda\nBLEU 31.2\n12 s\n")
    assert alone.first_difference(alone.printed(book), alone.printed(here)) is None
    worse = alone.printed(cell("device: cpu\nBLEU 30.9\n"))
    assert alone.first_difference(alone.printed(book), worse) == "'BLEU 30.9', not 'BLEU 31.2'"


def test_a_tracebacks_last_line_is_the_reason() -> None:
    assert alone.one_line("Traceback\n\x1b[31mValueError\x1b[39m: no\n\n") == "ValueError: no"
    assert alone.one_line(" \n") == "no reason given"


def test_nothing_leads_a_notebook_back_to_this_checkout(
    tmp_path: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PYTHONPATH", "COURSE_DATA", "COURSE_CACHE", "VIRTUAL_ENV", "MPLBACKEND"):
        monkeypatch.setenv(name, str(ROOT))
    folder = tmp_path / "desk"
    folder.mkdir()
    variables = alone.Desk(folder, bench).environment()
    assert not {"PYTHONPATH", "COURSE_DATA", "COURSE_CACHE", "VIRTUAL_ENV", "MPLBACKEND"} & set(variables)
    assert variables["COURSE_PKG_SOURCE"] == bench.source and variables["PIP_NO_INDEX"] == "1"
    assert {Path(variables[name]).parent for name in ("HOME", "TMPDIR")} == {folder}


def test_a_changed_base_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_text("x")
    (tmp_path / "__pycache__").mkdir()
    before = check_everywhere.listing(tmp_path)
    (tmp_path / "__pycache__/a.pyc").write_text("compiled")
    assert check_everywhere.listing(tmp_path) == before
    (tmp_path / "a").write_text("xy")
    assert check_everywhere.listing(tmp_path) != before


def test_the_place_has_colabs_versions_and_the_locks_torch() -> None:
    pins = check_everywhere.versions_of_the_place()
    assert "numpy==2.0.2" in pins and [pin for pin in pins if pin.startswith("torch==")] == ["torch==2.13.0"]
    assert {name for name in check_everywhere.PLACE if name != "pip"} <= {pin.split("==")[0] for pin in pins}


def test_a_python_that_cannot_be_had_is_named_and_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: CapturedText
) -> None:
    monkeypatch.setattr(check_everywhere, "NEWEST_FIRST", ["python9.9"])
    outcome = check_everywhere.check_newest_python()
    assert outcome.problems == [] and "left out" in outcome.what
    assert "python9.9: cannot be had here" in capsys.readouterr().out


def test_the_table_has_a_line_for_each_check() -> None:
    outcomes = [Outcome("a.ipynb", [], 10.0, 5.25, 0.02), Outcome("b.ipynb", ["why"], 10.0)]
    first, second = check_everywhere.table(outcomes).splitlines()[1:]
    assert first.split() == ["passed", "10.0", "s", "5.2", "s", "0.020", "s", "a.ipynb"]
    assert second.startswith("FAILED") and second.endswith("b.ipynb")


def test_a_notebook_that_is_not_there_is_named_and_nothing_begins() -> None:
    command = [sys.executable, str(ROOT / "tools/check_everywhere.py"), "book/99_not_there.ipynb"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and "99_not_there.ipynb" in done.stderr and done.stdout == ""
