"""Colab and Binder: the buttons lead to every chapter, and what is installed there is what the chapters ask for."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

import nbformat
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from site_links import Page

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
NOTEBOOKS = sorted((ROOT / "book").glob("*.ipynb"))
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
POST_BUILD = ROOT / "binder/postBuild"


def plain_dependencies(path: Path) -> dict[str, str]:
    """Name to the rest of each line that conda itself reads."""
    lines = yaml.safe_load(path.read_text(encoding="utf-8"))["dependencies"]
    pairs = [re.fullmatch(r"([\w-]+)(.*)", line) for line in lines if isinstance(line, str)]
    return {pair[1]: pair[2] for pair in pairs if pair}


def installed_on_binder() -> dict[str, Requirement]:
    """What postBuild installs beside conda's packages: the core, the extras it names, and single packages."""
    (line,) = re.findall(r"^python -m pip install (.*)$", POST_BUILD.read_text(encoding="utf-8"), flags=re.MULTILINE)
    (extras,) = re.findall(r'-e "\.\[([\w,]+)\]"', line)
    wanted = PROJECT["dependencies"] + re.findall(r' "(\w[^"]*)"', line)
    for extra in extras.split(","):
        wanted = wanted + PROJECT["optional-dependencies"][extra]
    return {canonicalize_name(one.name): one for one in map(Requirement, wanted)}


def colab_versions() -> dict[str, str]:
    """Name to version of what Colab has of the course's needs."""
    lines = (ROOT / "tools/colab.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if "==" in line and not line.startswith("#"))


def asked_for(first_cell: str) -> set[str]:
    """The packages that a first cell can hand to pip: whole strings that could be a package's name."""
    code = re.sub(r"find_spec\([^)]*\)|environ\.get\([^)]*\)", "", first_cell)
    texts = re.findall(r'"([a-zA-Z][\w.-]*(?:[<>=]=[\w.]+)?)"(?!:)', code) + re.findall(
        r"pip install -q ([\w-]+)$", code, re.M
    )
    return {canonicalize_name(Requirement(text).name) for text in texts}


# --- Binder -----------------------------------------------------------------------------------------------------


def test_binder_and_conda_have_one_python_that_the_package_allows() -> None:
    here, there = (plain_dependencies(ROOT / name) for name in ("environment.yml", "binder/environment.yml"))
    assert here["python"] == there["python"] and set(there) == {"python", "pip", "pytorch-cpu"}
    allowed = Requirement(f"python{PROJECT['requires-python']}").specifier
    assert allowed.contains(there["python"].removeprefix("="))


def test_binder_has_the_torch_that_the_package_asks_for_and_conda_brings_it() -> None:
    (torch,) = (one for one in map(Requirement, PROJECT["dependencies"]) if one.name == "torch")
    assert plain_dependencies(ROOT / "binder/environment.yml")["pytorch-cpu"] == str(torch.specifier)


def test_what_binder_installs_beside_the_extras_has_pyprojects_range() -> None:
    listed: dict[str, set[str]] = {}
    for line in sum(PROJECT["optional-dependencies"].values(), PROJECT["dependencies"]):
        wanted = Requirement(line)
        listed.setdefault(canonicalize_name(wanted.name), set()).add(str(wanted.specifier))
    for name, wanted in installed_on_binder().items():
        assert str(wanted.specifier) in listed[name], name


@each_notebook
def test_no_chapter_waits_for_an_installation_on_binder(path: Path) -> None:
    first = nbformat.read(path, as_version=4).cells[0].source
    assert asked_for(first) <= set(installed_on_binder())


def test_what_a_first_cell_asks_for_is_read_from_it() -> None:
    code = 'x = {"skimage": "scikit-image"}, ["a_b"]\nif find_spec("c") is None:\n    %pip install -q "d>=2.4"\n'
    assert asked_for(code + "%pip install -q e") == {"scikit-image", "a-b", "d", "e"}
    assert asked_for('os.environ.get("SOURCE", "git+https://x/y")') == set()


def test_nothing_else_decides_what_binder_makes() -> None:
    assert sorted(path.name for path in (ROOT / "binder").iterdir()) == ["environment.yml", "postBuild"]
    assert not (ROOT / ".binder").exists()  # repo2docker refuses two folders
    assert os.access(POST_BUILD, os.X_OK) and POST_BUILD.read_text(encoding="utf-8").startswith("#!/bin/sh\n")
    checked = subprocess.run(["sh", "-n", str(POST_BUILD)], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr


# --- Colab ------------------------------------------------------------------------------------------------------


def test_opening_a_chapter_replaces_nothing_in_colab() -> None:
    there = colab_versions()
    assert {"torch", "numpy", "ipywidgets", "anywidget"} <= set(there)
    for line in sum(PROJECT["optional-dependencies"].values(), PROJECT["dependencies"]):
        wanted = Requirement(line)
        version = there.get(canonicalize_name(wanted.name))
        if version and line not in PROJECT["optional-dependencies"]["book"]:
            assert wanted.specifier.contains(version), f"{line}: Colab has {version}"


# --- the buttons ------------------------------------------------------------------------------------------------


def test_the_buttons_are_set() -> None:
    buttons = CONFIG["launch_buttons"]
    assert buttons["colab_url"] == "https://colab.research.google.com"
    assert buttons["binderhub_url"] == "https://mybinder.org"
    assert CONFIG["repository"]["url"] == PROJECT["urls"]["Repository"]


@each_notebook
def test_a_chapters_buttons_open_that_chapter(site: Path, path: Path) -> None:
    page = (site / "book" / path.with_suffix(".html").name).read_text(encoding="utf-8")
    owner_and_name, branch = (
        PROJECT["urls"]["Repository"].removeprefix("https://github.com/"),
        CONFIG["repository"]["branch"],
    )
    file = f"book/{path.name}"
    buttons = {one for one in Page(page).references if re.search(r"//(colab|mybinder)\.", one) and path.name in one}
    assert buttons == {
        f"https://colab.research.google.com/github/{owner_and_name}/blob/{branch}/{file}",
        f"https://mybinder.org/v2/gh/{owner_and_name}/{branch}?urlpath=lab/tree/{file}",
    }
