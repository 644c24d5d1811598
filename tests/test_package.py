"""The package as others get it: one set of versions, one address, a wheel that works elsewhere, a light import."""

import email
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = SETTINGS["project"]
ADDRESS = PROJECT["urls"]["Repository"]
HEAVY = {"lightning", "pytorch_lightning", "matplotlib", "keras", "anywidget", "ipywidgets", "IPython"}


def requirement_lines(text: str) -> list[str]:
    """The lines of a requirements file that say something."""
    lines = [line.split(" #")[0].strip() for line in text.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


LOCKED = {
    canonicalize_name(pin.name): pin
    for pin in map(Requirement, requirement_lines((ROOT / "requirements.lock").read_text(encoding="utf-8")))
}


def direct_requirements() -> list[Requirement]:
    """What pyproject.toml asks for: to build, to run, and in every extra."""
    lines = SETTINGS["build-system"]["requires"] + PROJECT["dependencies"]
    for extra in PROJECT["optional-dependencies"].values():
        lines = lines + extra
    return [Requirement(line) for line in lines]


def tracked_texts() -> dict[str, str]:
    """Path to text of every file that git knows and that is text."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout, so there is no list of the project's files")
    texts = {}
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        if path.is_file() and path.stat().st_size < 4_000_000:
            try:
                texts[name] = path.read_bytes().decode("utf-8")
            except UnicodeDecodeError:
                continue
    return texts


def clean_environment(**more: str) -> dict[str, str]:
    """The environment without what would let Python find the checkout."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV", "COURSE_"))}
    return {**kept, "PYTHONNOUSERSITE": "1", **more}


# --- one set of versions ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("wanted", direct_requirements(), ids=lambda wanted: wanted.name)
def test_the_lock_holds_a_version_that_pyproject_allows(wanted: Requirement) -> None:
    pin = LOCKED.get(canonicalize_name(wanted.name))
    assert pin is not None, f"{wanted.name} is not in requirements.lock: run tools/lock.py"
    (version,) = (specifier.version for specifier in pin.specifier)
    assert wanted.specifier.contains(version, prereleases=True)


def test_the_lock_pins_exactly_and_names_no_place() -> None:
    for name, pin in LOCKED.items():
        assert [specifier.operator for specifier in pin.specifier] == ["=="], name
        assert pin.url is None
        assert "+" not in str(pin.specifier), f"{name}: a local build cannot be had elsewhere"
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert not re.search(r"^\s*-|//", text, flags=re.MULTILINE)


def test_the_lock_holds_what_is_needed_and_nothing_else() -> None:
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        import lock
    finally:
        sys.path.pop(0)
    needed, missing = lock.closure(direct_requirements())
    assert set(needed) | set(lock.ELSEWHERE) == set(LOCKED)
    assert missing <= set(lock.ELSEWHERE)


def test_the_lock_takes_the_torch_that_the_outputs_were_stored_with() -> None:
    assert str(LOCKED["torch"].specifier) == "==2.13.0"


def test_ranges_are_wide_and_each_dependency_has_its_reason() -> None:
    for line in PROJECT["dependencies"]:
        assert all(specifier.operator == ">=" for specifier in Requirement(line).specifier), line
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    listed = re.findall(r'^  "([A-Za-z][\w.-]*[><=!][^"]*)",(.*)$', text, flags=re.MULTILINE)
    assert len(listed) >= len(PROJECT["dependencies"])
    without = [name for name, comment in listed if "#" not in comment]
    assert not without


def test_conda_installs_the_lock() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    (pip,) = (part["pip"] for part in environment["dependencies"] if isinstance(part, dict))
    assert pip == ["-r requirements.lock", "-e ."]
    plain = [part for part in environment["dependencies"] if isinstance(part, str)]
    assert {re.split("[=<>]", part)[0] for part in plain} == {"python", "pip"}
    (python,) = (part.partition("=")[2] for part in plain if part.startswith("python"))
    assert Requirement(f"python{PROJECT['requires-python']}").specifier.contains(python)


# --- one version, one address, no traces ------------------------------------------------------------------------


def test_versions_agree() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    (newest, released) = re.findall(r"^## (\d+\.\d+\.\d+) \((\d{4}-\d{2}-\d{2})\)", changes, flags=re.MULTILINE)[0]
    assert PROJECT["version"] == citation["version"] == newest
    assert str(citation["date-released"]) == released
    assert f"version = {{{newest}}}" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_address_is_the_same_everywhere() -> None:
    owner, name = ADDRESS.removeprefix("https://github.com/").split("/")
    texts = tracked_texts()
    citation = yaml.safe_load(texts["CITATION.cff"])
    config = yaml.safe_load(texts["_config.yml"])
    assert citation["repository-code"] == config["repository"]["url"] == ADDRESS
    assert config["html"]["baseurl"] == f"https://{owner.lower()}.github.io/{name}/"
    ours = re.compile(r"github\.com/([\w.-]+/course)\b|/github/([\w.-]+/[\w.-]+?)/blob|([\w-]+\.github\.io/[\w-]+)")
    allowed = {f"{owner}/{name}", f"{owner.lower()}.github.io/{name}", "owner/name", "me/course"}
    for path, text in texts.items():
        for match in ours.finditer(text):
            found = next(filter(None, match.groups()))
            assert found in allowed or path == "tests/test_package.py", f"{path}: {found}"
    assert texts["README.md"].count(ADDRESS) >= 2  # the check above has something to hold


def test_the_address_moves_in_one_command(tmp_path: Path) -> None:
    for name in ("pyproject.toml", "README.md", "_config.yml", "CITATION.cff", "tools/set_address.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    for command in (["git", "init", "-q"], ["git", "add", "."]):
        subprocess.run(command, cwd=tmp_path, check=True)
    move = [sys.executable, "tools/set_address.py"]
    subprocess.run([*move, "https://github.com/some-one/else"], cwd=tmp_path, check=True, capture_output=True)
    moved = "".join((tmp_path / name).read_text(encoding="utf-8") for name in ("README.md", "_config.yml"))
    assert "https://github.com/some-one/else" in moved and "some-one.github.io/else" in moved
    assert ADDRESS.removeprefix("https://github.com/") not in moved
    wrong = subprocess.run([*move, "nonsense"], cwd=tmp_path, capture_output=True, text=True)
    assert wrong.returncode != 0 and "owner/name" in wrong.stderr and "Traceback" not in wrong.stderr


# Spelt so that this file does not name what it looks for.
HOSTS = re.compile(
    r"py(?:pi)\.(?:org|python)|python(?:hosted)\.org|registry\.npm(?:js)|deb\.(?:debian)\.org|/opt/(?:pypi)"
)
PLACES = re.compile(r"(?<![\w.])/(?:work|root|home|Users|tmp)/\w")


@pytest.mark.parametrize(
    ("pattern", "bad", "good"),
    [
        (HOSTS, "https://" + "pypi" + ".org/simple", "pip install course-pkg"),
        (PLACES, "open('" + "/ho" + "me/ada/x')", "../shared/data and https://example.org/work/x"),
    ],
)
def test_no_file_names_a_registry_or_a_place_on_one_machine(pattern: re.Pattern[str], bad: str, good: str) -> None:
    assert pattern.search(bad) and not pattern.search(good)
    for name, text in tracked_texts().items():
        match = pattern.search(text)
        assert match is None, f"{name}: {match.group() if match else ''}"


# --- a light import ---------------------------------------------------------------------------------------------


def test_the_import_is_light() -> None:
    code = """
import json, sys, time
start = time.perf_counter(); import torch
middle = time.perf_counter(); import course_pkg
print(json.dumps([time.perf_counter() - middle, sorted(name.partition(".")[0] for name in sys.modules)]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seconds, modules = json.loads(done.stdout)
    assert seconds < 3
    assert not HEAVY & set(modules)


def test_a_translator_needs_nothing_that_reads_or_draws_pictures() -> None:
    code = "import sys; from course_pkg.inference import load; load('toy-en-fr-encdec'); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "course_pkg.checkpoints" in loaded
    assert not {"PIL", "skia", "course_pkg.pictures", "course_pkg.scenes", "course_pkg.captioner"} & loaded


# --- the wheel --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from nothing but the files that git knows."""
    source, output = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout, so there is no list of the project's files")
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(output), str(source)]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = output.glob("*.whl")
    return path


def test_the_wheel_holds_the_package_its_data_and_its_licences(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (metadata,) = (archive.read(name).decode() for name in names if name.endswith(".dist-info/METADATA"))
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"course_pkg"}
    kinds = ["py.typed", "recipes/*.toml", "results/*.json", "weights/*/*", "*.py", "*/*.py", "widgets/*.js"]
    shipped = {str(path.relative_to(ROOT)) for kind in kinds for path in (ROOT / "course_pkg").glob(kind)}
    tracked = {name for name in tracked_texts() if name.startswith("course_pkg/")}
    assert shipped & tracked <= names
    assert "course_pkg/py.typed" in names
    licences = {name.rpartition("/")[2] for name in names if ".dist-info/licenses/" in name}
    assert licences == {"LICENSE", "LICENSE-TEXT", "LICENSE-WEIGHTS"}
    fields = email.message_from_string(metadata)
    assert "MIT" in fields["License-Expression"] and "LicenseRef-Course-Weights" in fields["License-Expression"]
    assert wheel.stat().st_size < 90_000_000


@pytest.mark.timeout(1200)
def test_the_wheel_translates_in_a_clean_environment(wheel: Path, tmp_path: Path) -> None:
    home, empty = tmp_path / "environment", tmp_path / "empty"
    empty.mkdir()
    subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
    scripts = home / ("Scripts" if os.name == "nt" else "bin")
    python, course = str(scripts / "python"), str(scripts / "course")

    def run(*command: str, **more: str) -> str:
        done = subprocess.run(
            list(command), cwd=empty, env=clean_environment(**more), capture_output=True, text=True, encoding="utf-8"
        )
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    pins = str(ROOT / "requirements.lock")
    run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-c", pins, str(wheel))
    where = run(python, "-c", "import course_pkg; print(course_pkg.__file__)").strip()
    assert Path(where).is_relative_to(home)
    assert PROJECT["version"] in run(course, "--version")
    translators = [model["name"] for model in json.loads(run(course, "models", "--json")) if "transl" in model["task"]]
    assert translators
    said = run(course, "translate", "--model", translators[0], "The dog runs.", HF_HUB_OFFLINE="1")
    assert len(said.splitlines()) == 1 and said.strip()
    assert list(empty.iterdir()) == []
