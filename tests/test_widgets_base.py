"""A widget's front end is one module made of two, its class a plain record, and its files travel with the package."""

import json
import re
import subprocess
from importlib import import_module, resources
from pathlib import Path

import pytest
import typeset

from course_pkg import widgets
from course_pkg.widgets.base import CourseWidget, front_end, style_sheet

NAMES = sorted(set(widgets.HOMES.values()))
FOLDER = resources.files("course_pkg.widgets")


@pytest.mark.parametrize("name", NAMES)
def test_the_front_end_is_one_module_that_needs_no_other(name: str) -> None:
    module = front_end(name)
    assert module.endswith("\nexport default { render };\n")
    assert len(re.findall(r"^export\b", module, re.MULTILINE)) == 1, "the book turns the one export into a return"
    assert not re.search(r"^\s*import\b|\bimport\(|\brequire\(", module, re.MULTILINE)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_imported_is_what_the_shared_parts_offer(name: str) -> None:
    source = (FOLDER / f"{name}.js").read_text(encoding="utf-8")
    offered = set(re.findall(r"^export (?:function|const) (\w+)", (FOLDER / "parts.js").read_text("utf-8"), re.M))
    for line in re.findall(r"^import (.*)$", source, re.MULTILINE):
        names = re.fullmatch(r'\{ ([\w, ]+) \} from "\./parts\.js";', line)
        assert names, f"{name}.js imports in a form that is not joined: {line}"
        wanted = names[1].split(", ")
        assert set(wanted) <= offered
        for one in wanted:
            assert re.search(rf"\b{one}\b", source.split("\n", 1)[1]), f"{name}.js imports {one} and does not use it"


@pytest.mark.parametrize("name", NAMES)
def test_the_joined_module_is_sound_javascript(name: str) -> None:
    """No name is declared twice, for one."""
    command = [typeset.program("node"), "--check", "--input-type=module", "-"]
    done = subprocess.run(command, input=front_end(name), text=True, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_only_comments_and_the_joint_are_left_behind(name: str) -> None:
    written = [(FOLDER / f"{one}.js").read_text(encoding="utf-8").splitlines() for one in ("parts", name)]
    sent = iter([*front_end(name).splitlines(), None])
    here = next(sent)
    for line in (line.replace("export ", "") if file is written[0] else line for file in written for line in file):
        if line == here:
            here = next(sent)
        else:
            assert re.match(r" *(?:/\*\*|\*|//)|import \{", line), f"{line} is not sent"
    assert here is None and not re.search(r"^ *(?:/\*|\*|//)", front_end(name), re.MULTILINE)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_that_a_strict_page_refuses(name: str) -> None:
    module = front_end(name)
    for refused in (
        r"\beval\(|new Function|document\.write",
        r"innerHTML|outerHTML|insertAdjacentHTML",
        r"""setAttribute\("(?:on\w+|style)""",
        r"\bfetch\(|XMLHttpRequest|https?://(?!www\.w3\.org/)",
    ):
        assert not re.search(refused, module), refused
    assert "@import" not in style_sheet(name) and "url(" not in style_sheet(name)


@pytest.mark.parametrize("name", NAMES)
def test_every_rule_stays_inside_the_widget(name: str) -> None:
    """A page has its own buttons and tables."""
    sheet = re.sub(r"/\*.*?\*/", "", style_sheet(name), flags=re.DOTALL)
    for selectors in re.findall(r"([^{}]+)\{", re.sub(r"@[^{]+\{", "", sheet)):
        for selector in re.sub(r"\([^()]*\)", "", selectors).split(","):
            known = not selector.strip() or selector.strip() in ("from", "to")
            assert known or ".course-" in selector or f".{name.replace('_', '-')}" in selector, selector


@pytest.mark.parametrize("name", widgets.__all__)
def test_every_widget_has_its_files_and_its_base(name: str) -> None:
    home = widgets.HOMES[name]
    kind = getattr(widgets, name)
    assert issubclass(kind, CourseWidget)
    assert kind is getattr(import_module(f"course_pkg.widgets.{home}"), name)
    for ending in ("py", "js", "css"):
        assert (FOLDER / f"{home}.{ending}").is_file()


def test_the_wheel_carries_what_the_browser_needs() -> None:
    """Whoever installs the package has the widgets: their files are package data."""
    import tomllib

    settings = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
    carried = settings["tool"]["setuptools"]["package-data"]["course_pkg"]
    for ending in ("js", "css"):
        assert any(Path(f"widgets/x.{ending}").match(pattern) for pattern in carried), carried


def test_where_no_script_runs_the_same_content_is_html() -> None:
    class Word(CourseWidget):
        _esm = "export default { render() {} };"

        def __repr__(self) -> str:
            return "Word(<b>)"

    shown = Word()._repr_mimebundle_()[0]
    assert shown["text/plain"] == "Word(<b>)"
    assert shown["text/html"] == "<p>Word(&lt;b&gt;)</p>"
    assert "application/vnd.jupyter.widget-view+json" in shown
    assert json.loads(json.dumps(shown)) == shown


def test_an_unknown_widget_is_an_unknown_name() -> None:
    with pytest.raises(AttributeError, match="Nothing"):
        _ = widgets.Nothing
