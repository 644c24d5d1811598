"""The page for instructors keeps its promises: minutes add up, names exist, its project runs as it stands, and each
widget has a page of its own that is alive, accessible, and large on a projector."""

import base64
import io
import json
import re
import sys
import zipfile
from html import escape
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import nbformat
import pytest
import slide_figures
import torch
import typeset
import yaml
from browser import PHONE, ROOT, WIDE, Watched, opened
from PIL import Image
from playwright.sync_api import Browser, Locator, expect
from run_notebooks import book_notebooks
from site_links import broken_links, read_pages
from test_book import sideways, violations
from test_book_widgets import PLACED
from tiny_models import SEES_IMAGES, captioner, noise
from widget_drivers import DRIVERS, GLANCES
from widget_pages import HOST

from course_pkg.checkpoints import save
from course_pkg.cli import main
from course_pkg.exercises import names
from course_pkg.located import objects_folder
from course_pkg.vocabulary import WordVocabulary

sys.path.insert(0, str(ROOT / "tools/ext"))
from teaching import EMBEDDED, Embedded, listed, sheets

PAGE = (ROOT / "book/teaching.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, flags=re.MULTILINE | re.DOTALL))
LECTURES = re.findall(r"^#### Lecture (\d) of (\d): .+?\n(.*?)(?=^###|\Z)", SECTIONS["Lectures"], flags=re.M | re.S)
EACH = pytest.mark.parametrize("lecture", LECTURES, ids=lambda one: f"{one[0]} of {one[1]}")


def plain(text: str) -> str:
    """A heading without its marks."""
    return text.replace("*", "").replace("$", "").replace("`", "").strip()


def chapter(number: int) -> list[Any]:
    (path,) = (ROOT / "book").glob(f"{number:02}_*.ipynb")
    return list(nbformat.read(path, as_version=4).cells)


def headings(number: int) -> set[str]:
    text = "\n".join(cell.source for cell in chapter(number) if cell.cell_type == "markdown")
    return {plain(line) for line in re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)}


def reading_minutes(number: int) -> int:
    """What the first lines of a chapter say."""
    text = " ".join(cell.source for cell in chapter(number)[:3] if cell.cell_type == "markdown")
    return int(re.findall(r"about\s+(\d+)\s+minutes", text)[0])


# --- lectures -----------------------------------------------------------------------------------------------------


def test_there_are_paths_of_two_four_and_eight_lectures() -> None:
    assert [(at, of) for at, of, _ in LECTURES] == [(str(k + 1), str(n)) for n in (2, 4, 8) for k in range(n)]


@EACH
def test_a_lecture_has_90_minutes_and_75_without_what_may_go(lecture: tuple[str, str, str]) -> None:
    rows = re.findall(r"^\| (\d+) \| (.+?) \|", lecture[2], flags=re.MULTILINE)
    assert sum(int(minutes) for minutes, _ in rows) == 90
    assert sum(int(minutes) for minutes, what in rows if "may go" in what) == 15
    assert all(int(minutes) % 5 == 0 and int(minutes) <= 25 for minutes, _ in rows)


@EACH
def test_every_section_of_a_lecture_stands_in_its_chapter(lecture: tuple[str, str, str]) -> None:
    rows = re.findall(r"^\| \d+ \| .+? \| \[(\d+)\]\((\w+)\.ipynb\) (.+?) \|$", lecture[2], flags=re.MULTILINE)
    assert len(rows) == lecture[2].count("\n| ") - 1  # without the head
    for number, file, sections in rows:
        assert file.startswith(f"{int(number):02}_") and (ROOT / f"book/{file}.ipynb").exists()
        named = re.findall(r"\*(.+?)\*(?:, |$)", sections)
        assert named and [one for one in named if one not in headings(int(number))] == []


@EACH
def test_a_lecture_shows_votes_lets_work_and_leaves_to_read(lecture: tuple[str, str, str]) -> None:
    found = dict(re.findall(r"^- \*\*(\w[\w ]+):\*\* (.*?)(?=^- |\Z)", lecture[2], flags=re.MULTILINE | re.DOTALL))
    assert list(found) == ["Show", "Vote", "In class", "Reading"]
    assert "../embed/" in found["Show"] or "figure" in found["Show"]
    assert re.search(r"[?…].*\(.+\)", found["Vote"], flags=re.DOTALL), "a question, and in brackets its answer"
    keys = set(re.findall(r"`(\d\d\.\w+)`", found["In class"]))
    assert keys and keys <= set(names())
    covered = {int(number) for number in re.findall(r"\| \[(\d+)\]", lecture[2])}
    assert {int(key[:2]) for key in keys} <= covered
    minutes = int(re.findall(r"(\d+) minutes", found["Reading"])[0])
    read = {int(number) for number in re.findall(r"\d+", found["Reading"].split(f"{minutes} minutes")[0])}
    assert read <= covered and minutes == sum(map(reading_minutes, read))


def test_a_chapters_minutes_are_what_its_words_take() -> None:
    """Between what the open text takes at 260 words a minute, and all of it, with equations and code, at 180."""
    for number in range(1, 15):
        shown = everything = equations = lines = 0
        for cell in chapter(number):
            if cell.cell_type == "markdown":
                text = re.sub(r"## References.*", "", cell.source, flags=re.DOTALL)
                equations += text.count("$$") / 2
                text = re.sub(r"\$\$.*?\$\$", "", text, flags=re.DOTALL)
                everything += len(text.split())
                shown += len(re.sub(r"<details>.*?</details>", "", text, flags=re.DOTALL).split())
            elif not {"remove-cell", "hide-input"} & set(cell.metadata.get("tags", [])):
                lines += len(cell.source.splitlines())
        most = everything / 180 + equations + lines / 8
        assert shown / 260 < reading_minutes(number) < most, (number, shown, everything, equations, lines)


def test_the_whole_course_is_taught_in_eight_and_the_core_in_two_and_four() -> None:
    chapters = {
        count: {int(number) for _, of, text in LECTURES if of == count for number in re.findall(r"\| \[(\d+)\]", text)}
        for count in "248"
    }
    core = {1, 2, 3, 4, 5, 8, 9, 11, 14}
    assert chapters["4"] == core and chapters["2"] == core - {3} and chapters["8"] == set(range(1, 15))


# --- exercises, questions, rubrics --------------------------------------------------------------------------------


def test_every_exercise_has_its_outcome_and_no_other_is_named() -> None:
    rows = re.findall(r"^\| (?:\[\d+\]\S*)? ?\| (.+?) \| (.+?) \|$", SECTIONS["What each exercise shows"], flags=re.M)
    listed_keys = [key for _, keys in rows for key in re.findall(r"`(\d\d\.\w+)`", keys)]
    assert sorted(listed_keys) == names()
    assert set(re.findall(r"[`\"](\d\d\.[a-z_]+)[`\"]", PAGE)) == set(names())


def test_an_exercise_stands_in_the_row_of_its_chapter() -> None:
    at = 0
    for number, keys in re.findall(
        r"^\| (?:\[(\d+)\]\S*)? ?\| .+? \| (`.+?) \|$", SECTIONS["What each exercise shows"], re.M
    ):
        at = int(number or at)
        assert {int(key) for key in re.findall(r"`(\d\d)\.", keys)} == {at}


def test_each_chapter_has_one_to_three_questions_with_a_closed_answer() -> None:
    parts = re.split(r"^\*\*Chapter (\d+)\*\*$", SECTIONS["Misconceptions and questions"], flags=re.MULTILINE)
    assert parts[1::2] == [str(number) for number in range(1, 15)]
    for text in parts[2::2]:
        closed = re.findall(r"<details><summary>(.+?)</summary>\n\n(.+?)\n\n</details>", text, flags=re.DOTALL)
        assert 1 <= len(closed) <= 3 and text.count("<details>") == len(closed)
        assert all(len(answer.split()) >= 20 for _, answer in closed)


def test_each_rubric_sums_to_100() -> None:
    projects = re.split(r"^### Project \d: ", SECTIONS["Two projects"], flags=re.MULTILINE)[1:]
    assert len(projects) == 2
    for text in projects:
        points = [int(number) for number in re.findall(r"^\| (\d+) \|", text, flags=re.MULTILINE)]
        assert len(points) >= 5 and sum(points) == 100


# --- the projects -------------------------------------------------------------------------------------------------


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)


SETTINGS = '["training.epochs=2"]'
TINY = [
    *["data.pairs=240", "data.toy_words=6", "data.validation_pairs=4", "training.epochs=6"],
    *["training.batch_size=16", "training.learning_rate=1e-2", "training.schedule=constant", "training.warmup=0"],
    *["model.embedding_size=16", "model.state_size=24", "model.alignment_size=12", "model.maxout_size=16"],
]


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    """The names that the page's code leaves behind, run as it stands but for its size."""
    score, training, rate = blocks("python")
    assert training.count(SETTINGS) == 1 and rate.count("toy.pairs(500,") == 1
    found: dict[str, Any] = {"__name__": "project"}
    for code in (score, training.replace(SETTINGS, repr(TINY)), rate.replace("toy.pairs(500,", "toy.pairs(40,")):
        exec(compile(code, "teaching.md", "exec"), found)
    return found


def test_a_score_of_ones_own_is_trained_and_rated_end_to_end(project: dict[str, Any]) -> None:
    """It learns: the weights of the score move, and both models beat what they were before training."""
    fresh, score = project["fresh"], project["closeness"].decoder.attention.score
    assert type(score).__name__ == "Closeness" and len(fresh) == 40
    torch.manual_seed(project["plan"].seed)
    begun = project["build"](
        project["sizes"],
        source_vocabulary=len(project["corpus"].source),
        target_vocabulary=len(project["corpus"].target),
    )
    batch = project["Batch"].collate(project["corpus"].train[:40])
    losses = []
    for model in (begun.eval(), project["additive"], project["closeness"]):
        with torch.no_grad():
            rollout = model(batch)
        losses.append(float(project["sequence_cross_entropy"](rollout.logits, batch.targets, batch.target_mask)))
        assert torch.allclose(rollout.weights.sum(-1), torch.ones(()))
        assert not (rollout.weights * ~batch.source_mask.unsqueeze(1)).any()
        assert 0 <= project["rate"](model) <= 1
    assert max(losses[1:]) < 0.6 * losses[0]
    new = project["Closeness"](project["state"], project["annotation"], project["width"])
    assert [tuple(p.shape) for p in score.parameters()] == [tuple(p.shape) for p in new.parameters()]


def test_what_the_page_asks_about_the_score_is_so(project: dict[str, Any]) -> None:
    """The term with the query alone changes nothing: what is left is a dot product and a number for each word."""
    score = project["Closeness"](6, 5, 4)
    query, annotations = torch.randn(3, 6), torch.randn(3, 7, 5)
    keys = score.project(annotations)
    left = 2 * (keys @ score.W_q(query).unsqueeze(-1)).squeeze(-1) - keys.square().sum(-1)
    assert torch.allclose(score(query, keys).softmax(-1), left.softmax(-1), atol=1e-6)
    assert not torch.allclose(score(query, keys), left, atol=1e-3)


def test_the_photographs_of_the_second_project_are_measured(tmp_path: Path, monkeypatch, capsys) -> None:
    (objects,) = blocks("json")
    (tmp_path / "photographs").mkdir()
    noise(1, 64, 48).save(tmp_path / "photographs/park.jpg")
    (tmp_path / "objects.json").write_text(objects, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    located = objects_folder("photographs", "objects.json")
    assert [thing.category for thing in located.things[0]] == ["dog", "person"]
    words = WordVocabulary.train(["dog person dog person"], size=20)
    save(tmp_path / "mine", captioner(SEES_IMAGES, words, name="mine", ends=-3.0))  # it writes on
    commands = [line.split()[2:] for text in blocks("console") for line in text.splitlines() if "photographs" in line]
    assert [command[0] for command in commands] == ["point", "point", "caption"]
    for command in commands:
        assert command[2] in ("flickr8k-soft", "flickr8k-hard")
        capsys.readouterr()
        assert main([command[0], "--model", "mine", *command[3:]]) == 0
        if command[0] == "point":
            assert {"pointing", "mass"} <= set(json.loads(capsys.readouterr().out))
    assert (tmp_path / "gaze.html").exists()


def test_the_entry_to_cite_is_the_readmes() -> None:
    (entry,) = blocks("bibtex")
    assert entry in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_page_lists_every_kind_of_sheet_and_its_commands_make_them(capsys, monkeypatch) -> None:
    from course_pkg.exercises import __main__ as command
    from course_pkg.exercises.variants import kinds

    assert re.findall(r"^\| `(\w+)` \|", sheets(), flags=re.MULTILINE) == [kind.name for kind in kinds()]
    lines = [line for text in blocks("console") for line in text.splitlines() if "course_pkg.exercises" in line]
    assert len(lines) == 3
    for line in lines:
        arguments, _, _ = line.partition(" > ")
        monkeypatch.setattr(sys, "argv", arguments.split()[3:])
        assert command.main() == 0
        assert capsys.readouterr().out.startswith("# ")


# --- each widget on a page of its own -----------------------------------------------------------------------------

HOME = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["html"]["baseurl"]
FRAMES = pytest.mark.parametrize("one", EMBEDDED, ids=lambda one: one.name)


def state_of(one: Embedded) -> dict[str, Any]:
    """What the chapter's notebook holds of the widget."""
    return PLACED[one.chapter][one.at]["state"]


def test_every_widget_of_the_chapters_has_an_address() -> None:
    """But for one that is shown twice, in chapters 5 and 8."""

    def shown(state: dict[str, Any]) -> str:
        return json.dumps({key: value for key, value in state.items() if key != "key"}, sort_keys=True)

    everywhere = {shown(one["state"]) for kept in PLACED.values() for one in kept}
    assert {shown(state_of(one)) for one in EMBEDDED} == everywhere
    assert len({one.name for one in EMBEDDED}) == len(EMBEDDED) == len(everywhere)


def test_every_address_that_the_page_links_to_exists_and_is_listed() -> None:
    linked = set(re.findall(r"\.\./embed/([\w-]+)\.html", PAGE))
    assert linked == {one.name for one in EMBEDDED}
    frames = re.findall(
        r'^<iframe src="(.+?)" title="(.+?)" width="100%" height="(\d+)"></iframe>$', listed(HOME), re.M
    )
    assert frames == [(HOME + one.address, escape(one.title), str(one.height)) for one in EMBEDDED]


def test_the_built_site_has_these_pages_and_the_teaching_page_leads_there(site: Path) -> None:
    assert {path.stem for path in (site / "embed").glob("*.html")} == {one.name for one in EMBEDDED}
    pages = {
        path: page
        for path, page in read_pages(site).items()
        if path.startswith("embed/") or path == "book/teaching.html"
    }
    assert broken_links(site, pages) == []
    text = (site / "book/teaching.html").read_text(encoding="utf-8")
    assert all(f'href="../{one.address}"' in text and f"{HOME}{one.address}" in text for one in EMBEDDED)


def drawn(watched: Watched, one: Embedded) -> Locator:
    """The page's only widget, once it is drawn."""
    host = watched.page.locator(f".{HOST}")
    expect(host).to_have_count(1)
    expect(host).to_have_attribute("data-drawn", "yes")
    return host.locator(".course-widget").first


@pytest.fixture(scope="module")
def axe() -> str:
    return (typeset.install() / "axe-core/axe.min.js").read_text(encoding="utf-8")


@pytest.mark.parametrize(("viewport", "mode"), [(WIDE, "light"), (PHONE, "dark")], ids=["wide-light", "phone-dark"])
@FRAMES
def test_a_framed_widget_is_alive_and_accessible(
    chromium: Browser, address: str, axe: str, one: Embedded, viewport: dict[str, int], mode: str
) -> None:
    with opened(chromium, address, viewport=viewport, color_scheme=mode) as watched:
        page = watched.open(one.address)
        root = drawn(watched, one)
        assert page.evaluate("document.documentElement.dataset.theme") == mode
        GLANCES[PLACED[one.chapter][one.at]["widget"]](root, state_of(one))
        assert violations(watched, axe) == []
        assert watched.problems + sideways(watched) == []


@FRAMES
def test_a_frame_of_the_stated_height_holds_it(chromium: Browser, address: str, one: Embedded) -> None:
    with opened(chromium, address, viewport={"width": 800, "height": one.height}) as watched:
        page = watched.open(one.address)
        drawn(watched, one)
        height = page.evaluate("document.body.getBoundingClientRect().height")
        assert one.height / 2 < height <= one.height


SMALL_LETTERS = """(least) => {
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    const element = node.parentElement;
    if (!node.textContent.trim() || element.closest("script, .unseen, .course-unseen")) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const box = range.getBoundingClientRect();
    if (!box.width || getComputedStyle(element).visibility === "hidden") continue;
    const scale = element.ownerSVGElement ? Math.abs(element.getScreenCTM().a) : element.currentCSSZoom ?? 1;
    const size = parseFloat(getComputedStyle(element).fontSize) * scale;
    if (size && size < least - 0.01) found.push(`${size.toFixed(1)}: ${node.textContent.trim().slice(0, 30)}`);
  }
  return found;
}"""


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 1920])
@FRAMES
def test_on_a_projector_no_letter_is_smaller_than_24_pixels(
    chromium: Browser, address: str, axe: str, one: Embedded, width: int, mode: str
) -> None:
    size = {"width": width, "height": width * 9 // 16}
    with opened(chromium, address, viewport=size, color_scheme=mode) as watched:
        page = watched.open(f"{one.address}?projector")
        root = drawn(watched, one)
        assert page.evaluate(SMALL_LETTERS, 24) == []
        ground, ink = root.evaluate("(node) => [getComputedStyle(node).backgroundColor, getComputedStyle(node).color]")
        white, black = "rgb(255, 255, 255)", "rgb(0, 0, 0)"
        assert (ground, ink) == ((white, black) if mode == "light" else (black, white))
        GLANCES[PLACED[one.chapter][one.at]["widget"]](root, state_of(one))
        assert violations(watched, axe) == []
        assert watched.problems + sideways(watched) == []


@pytest.mark.parametrize("name", ["soft-lookup", "running-free", "alignment-scrubber", "gaze"])
def test_on_a_projector_a_widget_is_driven_as_in_the_chapter(chromium: Browser, address: str, name: str) -> None:
    """Large letters do not move what a finger or the mouse points at."""
    (one,) = (one for one in EMBEDDED if one.name == name)
    with opened(chromium, address, viewport={"width": 1920, "height": 1080}) as watched:
        watched.open(f"{one.address}?projector")
        DRIVERS[PLACED[one.chapter][one.at]["widget"]](watched.page, drawn(watched, one), state_of(one))
        assert watched.problems == []


def test_the_address_or_the_button_chooses_projector_and_ground(chromium: Browser, address: str) -> None:
    with opened(chromium, address, color_scheme="light") as watched:
        page = watched.open("embed/soft-lookup.html?dark")
        button = page.get_by_role("button", name="Projector")
        assert page.evaluate("document.documentElement.dataset.theme") == "dark"
        expect(button).to_have_attribute("aria-pressed", "false")
        assert page.evaluate(SMALL_LETTERS, 24) != []
        button.focus()
        page.keyboard.press("Enter")
        expect(button).to_have_attribute("aria-pressed", "true")
        assert page.evaluate(SMALL_LETTERS, 24) == []
        page = watched.open("embed/gaze.html#projector")
        assert page.evaluate("document.documentElement.className") == "projector"


def test_without_scripts_a_framed_page_says_the_same(chromium: Browser, address: str) -> None:
    with opened(chromium, address, java_script_enabled=False) as watched:
        text = watched.open("embed/alignment-scrubber.html").locator("main").inner_text()
        assert [word for word in PLACED["08_reading_alpha"][0]["state"]["source"] if word not in text] == []


# --- figures for slides -------------------------------------------------------------------------------------------


def stored_figures() -> list[tuple[str, bytes | str]]:
    """The alternative text and the picture of each figure that the chapters hold, in order."""
    found: list[tuple[str, bytes | str]] = []
    for number in range(1, 15):
        for cell in chapter(number):
            for output in cell.get("outputs", []):
                data = output.get("data", {})
                drawing, chart = data.get("image/svg+xml"), data.get("image/png")
                if drawing or chart:
                    found.append((cell.metadata["mystnb"]["image"]["alt"], drawing or base64.b64decode(chart)))
    return found


def test_the_archive_has_every_figure_with_its_words_and_its_source(tmp_path: Path) -> None:
    archive = tmp_path / "new/figures.zip"
    slide_figures.write_figures({path: path for path in book_notebooks()}, archive)
    with zipfile.ZipFile(archive) as file:
        names_inside = [name for name in file.namelist() if name != "figures.md"]
        told = file.read("figures.md").decode()
        assert names_inside == sorted(names_inside) and len(names_inside) == len(stored_figures())
        for name, (alt, held) in zip(names_inside, stored_figures(), strict=True):
            source = f"Learning Where to Look, chapter {int(name[:2])} ("
            assert f"## {name}\n\n{alt}\n\nSource: {source}" in told
            if isinstance(held, str):
                root = ElementTree.fromstring(file.read(name))
                space = "{http://www.w3.org/2000/svg}"
                assert root.findtext(f"{space}title") == alt and source in root.findtext(f"{space}desc", "")
                assert float(root.get("width", "").removesuffix("pt")) > 100 and name.endswith(".svg")
            else:
                with Image.open(io.BytesIO(file.read(name))) as ours, Image.open(io.BytesIO(held)) as theirs:
                    assert ours.text["Description"] == alt and source in ours.text["Copyright"]
                    assert "CC BY 4.0" in ours.text["Copyright"]
                    assert ours.convert("RGBA").tobytes() == theirs.convert("RGBA").tobytes()
    again = tmp_path / "again.zip"
    slide_figures.write_figures({path: path for path in book_notebooks()}, again)
    assert again.read_bytes() == archive.read_bytes()


def test_the_site_has_the_archive_that_the_page_links_to(site: Path) -> None:
    assert f"(../{slide_figures.ARCHIVE})" in PAGE
    assert zipfile.is_zipfile(site / slide_figures.ARCHIVE)
    assert f'href="../{slide_figures.ARCHIVE}"' in (site / "book/teaching.html").read_text(encoding="utf-8")
