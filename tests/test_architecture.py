"""Rules that hold for the whole project: which way imports point, what a layer may keep, what must be documented."""

import ast
import dataclasses
import importlib
import inspect
import json
import pkgutil
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from torch import nn

import course_pkg
from course_pkg import recipes
from course_pkg.models import show_attend_tell

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "course_pkg"
MODULES = sorted(module.name for module in pkgutil.iter_modules([str(PACKAGE)]) if module.name != "__main__")
NOTEBOOKS = sorted((ROOT / "book").glob("*.ipynb"))
# Parts of `toy`, tested through it.
TESTED_ELSEWHERE = {"toy_grammar": "toy", "toy_lexicon": "toy", "toy_sampler": "toy", "widgets": "widgets_base"}
TESTED_ELSEWHERE |= dict.fromkeys(("scenes_drawing", "scenes_layout", "scenes_places", "scenes_people"), "scenes")
TESTED_ELSEWHERE |= {"scenes_animals": "scenes", "scenes_things": "scenes", "scenes_sampler": "scenes_grammar"}


def load(name: str):
    """The module, or a skip where an extra that only training needs is not installed."""
    try:
        return importlib.import_module(f"course_pkg.{name}")
    except ModuleNotFoundError as error:
        pytest.skip(f"{error.name} is not installed")


# --- imports ----------------------------------------------------------------------------------------------------


def run_contract(folder: Path) -> subprocess.CompletedProcess[str]:
    """Check the floors of the package in a folder."""
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    environment = {"PYTHONPATH": str(folder), "PATH": "", "NO_COLOR": "1", "PYTHONIOENCODING": "utf-8"}
    return subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True)


@pytest.fixture
def copy_of_package(tmp_path: Path) -> Path:
    shutil.copytree(PACKAGE, tmp_path / "course_pkg", ignore=shutil.ignore_patterns("__pycache__", "weights"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_imports_point_down_only(copy_of_package: Path) -> None:
    done = run_contract(copy_of_package)
    assert done.returncode == 0, done.stdout


def test_an_import_that_points_up_is_caught(copy_of_package: Path) -> None:
    with (copy_of_package / "course_pkg/notation.py").open("a") as file:
        file.write("\nfrom course_pkg import models\n")
    done = run_contract(copy_of_package)
    assert done.returncode != 0 and "notation" in done.stdout


def test_a_module_without_a_floor_is_caught(copy_of_package: Path) -> None:
    (copy_of_package / "course_pkg/homeless.py").write_text('"""A module."""\n')
    assert run_contract(copy_of_package).returncode != 0


# --- layers keep parameters, nothing else -----------------------------------------------------------------------


def kept_on_self(source: str) -> list[str]:
    """Attributes that methods other than ``__init__`` set on ``self``, with their lines."""
    found = []
    for function in ast.walk(ast.parse(source)):
        if not isinstance(function, ast.FunctionDef) or function.name == "__init__":
            continue
        for node in ast.walk(function):
            changed = isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del)
            if changed and isinstance(node.value, ast.Name) and node.value.id == "self":
                found.append(f"{function.name}: self.{node.attr}")
    return found


def layers() -> Iterator[type[nn.Module]]:
    """Every layer of the package; what Lightning drives is no layer."""
    for name in MODULES:
        if name == "training":
            continue
        for thing in vars(importlib.import_module(f"course_pkg.{name}")).values():
            if inspect.isclass(thing) and issubclass(thing, nn.Module) and thing.__module__ == f"course_pkg.{name}":
                yield thing


def test_layers_leave_nothing_on_self() -> None:
    found = list(layers())
    assert any(layer.__name__ == "SoftAttention" for layer in found)
    for layer in found:
        assert kept_on_self(textwrap.dedent(inspect.getsource(layer))) == [], layer


def test_a_weight_left_on_self_is_caught() -> None:
    assert kept_on_self("class A:\n    def forward(self, x):\n        self.weights = x\n        return x") == [
        "forward: self.weights"
    ]


def test_annotations_are_not_postponed() -> None:
    """Shapes are checked only where annotations are evaluated."""
    for path in PACKAGE.rglob("*.py"):
        assert "from __future__ import annotations" not in path.read_text(encoding="utf-8"), path


# --- documented and tested --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODULES)
def test_every_public_name_is_documented(name: str) -> None:
    module = load(name)
    assert module.__doc__
    assert module.__all__, "a module says what it offers"
    for public in module.__all__:
        thing = getattr(module, public)
        if not (inspect.isclass(thing) or inspect.isfunction(thing)):
            continue
        assert thing.__doc__ and not thing.__doc__.startswith(f"{public}("), f"{name}.{public}"
        if inspect.isclass(thing):
            for method, value in vars(thing).items():
                if inspect.isfunction(value) and not method.startswith("_") and value.__module__ == module.__name__:
                    assert inspect.getdoc(getattr(thing, method)), f"{name}.{public}.{method}"


@pytest.mark.parametrize("name", MODULES)
def test_every_module_has_its_tests(name: str) -> None:
    assert (ROOT / "tests" / f"test_{TESTED_ELSEWHERE.get(name, name)}.py").exists()


@pytest.mark.parametrize("page", ["notation.md", "papers_and_code.md", "rnnsearch_exactly.md"])
def test_pages_name_what_exists(page: str) -> None:
    text = (ROOT / "book" / page).read_text(encoding="utf-8")
    names = re.findall(r"\{py:obj\}`(?:[^`]*<|~)?(course_pkg\.[\w.]+)>?`", text)
    assert len(names) == text.count("{py:obj}") > 0
    for name in names:
        pkgutil.resolve_name(name)
    for path in re.findall(r"`(tests/\w+\.py)`", text):
        assert (ROOT / path).exists(), path


def test_the_switches_of_the_captioner_that_a_page_names_exist() -> None:
    """``name`` or ``name = value`` alone is an argument of the builder, ``part.name`` a setting of a recipe."""
    text = (ROOT / "book/papers_and_code.md").read_text(encoding="utf-8")
    section = text[text.index("## Show, Attend and Tell, part by part") :]
    arguments = set(inspect.signature(show_attend_tell).parameters) | {"features", "flickr8k"}
    named = set(re.findall(r"`([a-z]\w+)(?: = [^`]*)?`", section.replace("`decay` of", "")))
    assert {"coin", "output_tanh", "soft_share"} <= named <= arguments
    parts = {"training": recipes.Training, "vocabulary": recipes.VocabularyChoice, "decoding": recipes.Decoding}
    for part, setting in re.findall(r"`([a-z]+)\.([a-z]\w+)", section):
        assert setting in {field.name for field in dataclasses.fields(parts[part])}, f"{part}.{setting}"
    choices = dict(re.findall(r'`training\.(\w+) = "(\w+)"', section))
    assert {"initialisation", "select_by", "reward"} <= set(choices)
    recipes.Training(**choices)  # refuses what is no choice


def test_attributes_that_the_notation_page_names_exist() -> None:
    """``Class.attribute`` in code font means a field or a parameter of a public class."""
    classes = {}
    for name in MODULES:
        classes |= {key: value for key, value in vars(load(name)).items() if inspect.isclass(value)}
    pairs = re.findall(r"`([A-Z]\w+)\.(\w+)", (ROOT / "book/notation.md").read_text(encoding="utf-8"))
    assert pairs
    for owner, attribute in pairs:
        cls = classes[owner]
        known = hasattr(cls, attribute) or attribute in getattr(cls, "__dataclass_fields__", {})
        assert known or f"self.{attribute} = " in inspect.getsource(cls), f"{owner}.{attribute}"


# --- the book uses the package ----------------------------------------------------------------------------------


def cells(path: Path, kind: str) -> list[str]:
    """The sources of a notebook's cells of one kind."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == kind]


def defined_names(source: str) -> set[str]:
    """Functions and classes that a cell defines; lines for IPython are left out."""
    plain = "\n".join(re.sub(r"^(\s*)[%!].*", r"\1pass", line) for line in source.splitlines())
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    return {node.name for node in ast.walk(ast.parse(plain)) if isinstance(node, kinds)}


def exported_names() -> set[str]:
    """Everything that a module of the package offers."""
    return {public for name in MODULES for public in load(name).__all__}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_chapters_define_nothing_that_the_package_exports(path: Path) -> None:
    assert "SoftAttention" in exported_names()
    for source in cells(path, "code"):
        assert not defined_names(source) & exported_names()


def test_a_second_definition_is_caught() -> None:
    assert defined_names("%pip install x\nif True:\n    !ls\nclass SoftAttention: ...") & exported_names()


SPHINX_ONLY = re.compile(r"^\s*(?:`{3,}|~{3,}|:{3,})\s*\{|(?<!`)\{[\w:+-]+\}`|^\s*\([\w-]+\)=\s*$", flags=re.MULTILINE)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_chapters_are_plain_markdown(path: Path) -> None:
    for source in cells(path, "markdown"):
        found = SPHINX_ONLY.search(source)
        assert found is None, f"Colab would show {found.group() if found else ''!r}"


@pytest.mark.parametrize("text", ["```{note}\nx\n```", ":::{tip}", "see {ref}`x`", "(label)=\n# T", "{cite:t}`b`"])
def test_directives_and_roles_are_caught(text: str) -> None:
    assert SPHINX_ONLY.search(text)


def test_plain_markdown_is_not_taken_for_a_directive() -> None:
    assert not SPHINX_ONLY.search("```python\nx = {1}\n```\n$\\alpha_{ij}$ `{a}` and {b} in $p(y)=1$")


def test_the_table_of_contents_lists_every_chapter() -> None:
    listed = re.findall(r"(?:file|root): (\S+)", (ROOT / "_toc.yml").read_text(encoding="utf-8"))
    pages = {
        str(path.relative_to(ROOT).with_suffix(""))
        for path in (ROOT / "book").glob("*.*")
        if path.suffix in {".md", ".ipynb"}
    }
    assert set(listed) == pages


def test_the_contents_number_each_chapter_in_order_and_name_it_as_it_names_itself() -> None:
    entries = re.findall(r"file: (book/(\d\d)_\w+)\n\s+title: (.+)", (ROOT / "_toc.yml").read_text(encoding="utf-8"))
    numbers = [int(number) for _, number, _ in entries]
    assert numbers == sorted(numbers) and len(numbers) == len(list((ROOT / "book").glob("[0-9]*.ipynb")))
    for file, number, title in entries:
        cells = json.loads((ROOT / f"{file}.ipynb").read_text(encoding="utf-8"))["cells"]
        [heading] = re.findall(r"(?m)^# (.+)", "".join(cells[1]["source"]))
        assert title == f"{int(number)} · {heading}"


def test_the_package_says_what_it_is() -> None:
    assert course_pkg.__doc__
