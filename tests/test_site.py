"""What the pages are made with: equations before anybody reads, widgets without a kernel, nothing inline."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from course_pkg import widgets

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import build_book  # noqa: E402
import finish_pages  # noqa: E402
import run_notebooks  # noqa: E402
import typeset  # noqa: E402
import widget_pages  # noqa: E402

NASTY = "</script><img src=x onerror=alert(1)><!-- & \u2028"


def notebook_with_widgets(*shown: str, classes: dict[str, str]) -> nbformat.NotebookNode:
    """A notebook whose outputs show the models named, as a kernel leaves them."""
    outputs = [
        nbformat.v4.new_output(
            "display_data",
            data={
                widget_pages.VIEW: {"model_id": model, "version_major": 2, "version_minor": 0},
                "text/html": "<p>the same</p>",
                "text/plain": "Widget()",
            },
        )
        for model in shown
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("show()", outputs=outputs)])
    state = {
        model: {
            "model_module": "anywidget",
            "state": {
                "_anywidget_id": name,
                "_esm": "export default {}",
                "_css": "p {}",
                "_view_count": None,
                "layout": "IPY_MODEL_" + "f" * 32,
                "tokens": ["le", NASTY],
                "step": 2,
            },
        }
        for model, name in classes.items()
    }
    notebook.metadata["widgets"] = {widget_pages.STATE: {"state": state, "version_major": 2, "version_minor": 0}}
    return notebook


@pytest.fixture
def ours(monkeypatch: pytest.MonkeyPatch) -> str:
    """The full name of a class that counts as one of the course's widgets."""
    monkeypatch.setitem(widgets.HOMES, "Dummy", "dummy")
    return "course_pkg.widgets.dummy.Dummy"


# --- what a stored notebook keeps of a widget -------------------------------------------------------------------


def test_a_stored_notebook_keeps_a_widgets_data_once_and_no_front_end(ours: str) -> None:
    first, second = "a" * 32, "b" * 32
    notebook = notebook_with_widgets(first, second, first, classes={first: ours, second: ours})
    widget_pages.keep_own_data(notebook)
    kept = [output.metadata[widget_pages.KEPT] for output in notebook.cells[0].outputs]
    assert [one.model for one in kept] == [1, 2, 1]
    assert ["state" in one for one in kept] == [True, True, False]
    assert kept[0] == {"widget": "Dummy", "model": 1, "state": {"step": 2, "tokens": ["le", NASTY]}}
    assert [set(output.data) for output in notebook.cells[0].outputs] == [{"text/html", "text/plain"}] * 3
    assert "widgets" not in notebook.metadata and "_esm" not in nbformat.writes(notebook)


def test_stored_widgets_have_the_same_bytes_whatever_ids_the_kernel_drew(ours: str) -> None:
    def stored(model: str) -> str:
        notebook = notebook_with_widgets(model, classes={model: ours})
        return nbformat.writes(run_notebooks.normalise(notebook, "05_x"))

    assert stored("a" * 32) == stored("b" * 32)


def test_another_librarys_widget_keeps_its_state_in_the_notebook_and_its_html_on_the_page(ours: str) -> None:
    mine, other = "a" * 32, "b" * 32
    notebook = notebook_with_widgets(mine, other, classes={mine: ours, other: "elsewhere.Slider"})
    widget_pages.keep_own_data(notebook)
    assert list(notebook.metadata.widgets[widget_pages.STATE].state) == [other]
    assert widget_pages.VIEW in notebook.cells[0].outputs[1].data
    widget_pages.show_on_page(notebook)
    assert "widgets" not in notebook.metadata
    assert notebook.cells[0].outputs[1].data == {"text/html": "<p>the same</p>", "text/plain": "Widget()"}


def test_the_committed_notebooks_carry_no_front_end() -> None:
    for path in sorted((ROOT / "book").glob("*.ipynb")):
        text = path.read_text(encoding="utf-8")
        assert '"_esm"' not in text and widget_pages.VIEW not in text, path.name


# --- widgets on a page ------------------------------------------------------------------------------------------


def test_text_in_a_widgets_data_cannot_leave_its_block() -> None:
    block = widget_pages.data_block({"tokens": [NASTY]})
    assert not set("<>&") & set(block)
    assert json.loads(block) == {"tokens": [NASTY]}


def test_a_page_shows_the_fallback_and_carries_the_data_for_the_front_end(ours: str) -> None:
    model = "a" * 32
    notebook = notebook_with_widgets(model, model, classes={model: ours})
    widget_pages.keep_own_data(notebook)
    widget_pages.show_on_page(notebook)
    first, second = (output.data["text/html"] for output in notebook.cells[0].outputs)
    for html in (first, second):
        assert 'data-widget="Dummy" data-model="1"' in html and "<p>the same</p>" in html
    assert "application/json" in first and "application/json" not in second


def test_the_pages_script_holds_every_widget_and_is_no_module(tmp_path: Path) -> None:
    script = widget_pages.page_script()
    for name in widgets.HOMES:
        assert f"modules.{name} = " in script
    assert not re.search(r"^(import|export)\b", script, re.MULTILINE)
    path = tmp_path / "course-widgets.js"
    path.write_text(script, encoding="utf-8")
    done = subprocess.run([typeset.program("node"), "--check", str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_views_of_a_model_hear_every_change_and_none_twice() -> None:
    runtime = widget_pages.RUNTIME.read_text(encoding="utf-8")
    (model,) = re.findall(r"^function modelOf.*?^}\n", runtime, re.MULTILINE | re.DOTALL)
    test = """
    const heard = [], model = modelOf({ step: 0 }), hear = () => heard.push(model.get("step"));
    model.on("change:step change", hear);
    model.set("step", 1); model.set({ step: 1 }); model.set({ step: 2, other: 3 });
    model.off("change:step", hear); model.set("step", 4);
    model.off(); model.set("step", 5);
    console.log(JSON.stringify(heard));
    """
    done = subprocess.run([typeset.program("node"), "-e", model + test], capture_output=True, text=True)
    assert json.loads(done.stdout) == [1, 1, 2, 2, 4], done.stderr


# --- equations --------------------------------------------------------------------------------------------------


def page_with(*math: str) -> str:
    return "<html><head></head><body><p>" + " and ".join(math) + "</p></body></html>"


INLINE = r'<span class="math notranslate nohighlight">\(a &lt; b_1\)</span>, then'
DISPLAY = '<div class="math notranslate nohighlight">\n\\[\\alpha_{ij} = 1 \\tag{5.2, B 6}\\]</div>'


def test_equations_are_typeset_with_their_tags_and_for_screen_readers(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    page = typeset.typeset_pages({path: page_with(INLINE, DISPLAY, DISPLAY)}, tmp_path)[path]
    assert page.count("</mjx-container>") == 3 and "\\(" not in page and "\\[" not in page
    assert "<mo>&lt;</mo>" in page and page.count("<math ") == 3  # what a screen reader reads
    assert page.count("<mtext>(5.2, B 6)</mtext>") == 2
    assert not re.search(r'\bid="', page)  # an id on an equation would be there twice
    assert re.search(r'<span class="math-and-sign"><span class="math[^>]*>.*?</span>,</span> then', page)
    css = (tmp_path / "mathjax.css").read_text(encoding="utf-8")
    fonts = set(re.findall(r'url\("mathjax/([^"]+)"\)', css))
    assert fonts and all((tmp_path / "mathjax" / font).exists() for font in fonts)


def test_an_equation_that_is_no_tex_ends_the_build_and_is_named(tmp_path: Path) -> None:
    broken = '<span class="math notranslate nohighlight">\\(\\frac{a\\)</span>'
    with pytest.raises(SystemExit, match=r"\\frac\{a"):
        typeset.typeset_pages({tmp_path / "page.html": page_with(broken)}, tmp_path)


def test_the_lock_of_the_front_end_names_versions_and_no_server() -> None:
    text = (typeset.FRONT_END / "package-lock.json").read_text(encoding="utf-8")
    packages = json.loads(text)["packages"]
    assert "://" not in text and "resolved" not in text
    assert all(package["integrity"].startswith("sha512-") for name, package in packages.items() if name)


# --- pages under the policy -------------------------------------------------------------------------------------

PAGE = f"""<html data-theme="auto"><head><meta charset="utf-8" /><!-- a comment --><style>p {{ color: red }}</style>
<script data-cfasync="false">first()</script><script src="../_static/second.js"></script><script>third()</script>
<script>window.MathJax = {{}}</script><script src="https://cdn.example/npm/mathjax@3/es5/tex.js"></script>
<script>const THEBE_JS_URL = "https://unpkg.example/thebe"</script><script>var late = 1;</script></head>
<body><button class="b" onclick="window.print()">Print</button>
<script type="application/json">{widget_pages.data_block({"t": "thebe <script>"})}</script></body></html>"""


@pytest.fixture
def finished(tmp_path: Path) -> tuple[Path, str]:
    page = tmp_path / "book/page.html"
    page.parent.mkdir()
    return tmp_path, finish_pages.finish_page(finish_pages.Site(tmp_path), page, PAGE)


def test_inline_scripts_and_styles_become_files_in_their_order(finished: tuple[Path, str]) -> None:
    root, page = finished
    sources = re.findall(r'<script[^>]* src="([^"]*)"></script>', page)
    texts = [(root / "book" / source).resolve() for source in sources]
    assert [path.read_text() if path.parent.name == "inline" else path.name for path in texts] == [
        "first()\n",
        "var late = 1;\n",  # a setting comes before what reads it
        "second.js",
        "third()\n",
    ]
    style = re.search(r'<link rel="stylesheet" href="([^"]*inline[^"]*)">', page)
    assert style and (root / "book" / style[1]).read_text() == "p { color: red }\n"
    assert "<style" not in page and "<!--" not in page


def test_scripts_of_the_head_wait_for_the_page_except_the_one_that_chooses_its_colours(
    finished: tuple[Path, str],
) -> None:
    _, page = finished
    kinds = re.findall(r"<script ([\w-]+)", page.partition("</head>")[0])
    assert kinds == ["data-cfasync", "defer", "defer", "defer"]


def test_a_page_has_the_policy_first_and_nothing_from_elsewhere(finished: tuple[Path, str]) -> None:
    _, page = finished
    assert page.index("Content-Security-Policy") < page.index("<script")
    for word in ("MathJax", "THEBE", "://"):
        assert word not in page
    assert "onclick" not in page and 'data-course-button="print"' in page
    assert json.loads(re.findall(r'<script type="application/json">(.*?)</script>', page)[0])["t"] == "thebe <script>"


def test_an_unknown_inline_handler_ends_the_build(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="onerror"):
        finish_pages.outside_handlers(tmp_path / "page.html", '<img src="x" onerror="alert(1)">')


@pytest.mark.parametrize(("text", "wanted"), [("<p></p>", False), (f'<div class="{widget_pages.HOST}"></div>', True)])
def test_only_a_page_with_a_widget_loads_the_front_end(tmp_path: Path, text: str, wanted: bool) -> None:
    static = tmp_path / "_static"
    static.mkdir()
    for name in ("course-widgets.js", "course-widgets.css"):
        (static / name).write_text("")
    page = finish_pages.finish_page(finish_pages.Site(tmp_path), tmp_path / "page.html", f"<head></head>{text}")
    assert ("course-widgets.js" in page) == wanted == ("course-widgets.css" in page)


def test_the_policy_allows_no_inline_script_and_no_other_address() -> None:
    rules = dict(rule.strip().split(" ", 1) for rule in finish_pages.POLICY.split(";"))
    assert rules["default-src"] == "'none'" and rules["script-src"] == rules["style-src"] == "'self'"
    assert not re.search(r"https?:|\*|unsafe-eval", finish_pages.POLICY)


def test_the_documented_policy_is_the_pages_policy() -> None:
    text = " ".join((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split())
    assert finish_pages.POLICY in text


def test_the_front_door_and_the_page_for_a_wrong_address_work_anywhere(tmp_path: Path) -> None:
    book = tmp_path / "book"
    book.mkdir()
    (tmp_path / "_static").mkdir()
    canonical = '<link rel="canonical" href="https://site.example/course/book/index.html">'
    (book / "index.html").write_text(f"<html><head>{canonical}</head></html>")
    finish_pages.finish(tmp_path)
    door = (tmp_path / "index.html").read_text()
    assert 'url=book/index.html"' in door and not re.search(r'(href|src)="/', door)
    wrong = (tmp_path / "404.html").read_text()
    assert 'href="https://site.example/course/"' in wrong
    assert not re.search(r"<script|<link[^>]*stylesheet", wrong)
    assert all("Content-Security-Policy" in page for page in (door, wrong))


def test_the_packages_of_npm_do_not_make_the_pages_old(tmp_path: Path) -> None:
    (tmp_path / "a.js").write_text("1")
    key = build_book.folder_key(tmp_path)
    (tmp_path / "node_modules/x").mkdir(parents=True)
    (tmp_path / "node_modules/x/index.js").write_text("1")
    assert build_book.folder_key(tmp_path) == key
    shutil.rmtree(tmp_path / "node_modules")
