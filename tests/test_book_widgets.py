"""Every widget of the built book, driven by mouse, keyboard and touch, against the data stored in the notebook.

The drivers are tested in turn: a front end with a fault put into it must not get past them.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
import scrubber_extras
import widget_pages
from browser import PHONE, PREFIX, ROOT, WIDE, Watched, opened
from playwright.sync_api import Browser, Locator, expect
from serve_pages import served
from widget_drivers import DRIVERS, GLANCES

from course_pkg import widgets
from course_pkg.widgets import AlignmentScrubber, CoverUp, DrawCurve, RegionScrubber, SoftLookup
from course_pkg.widgets.base import CourseWidget

NASTY = ["<script>alert(1)</script>", "<img src=x onerror=alert(2)>", "&amp;\"'"]


def kept_in(path: Path) -> list[dict[str, Any]]:
    """Each widget that a notebook shows, in order: its class and its state."""
    notebook = nbformat.read(path, as_version=4)
    shown = [output.metadata.get(widget_pages.KEPT) for output in widget_pages.outputs_of(notebook)]
    kept = [dict(one) for one in shown if one]
    states = {one["model"]: one["state"] for one in kept if "state" in one}
    return [{"widget": one["widget"], "state": states[one["model"]]} for one in kept]


PLACED = {path.stem: kept_in(path) for path in sorted((ROOT / "book").glob("[0-9]*.ipynb"))}
COMING: set[str] = set()  # classes that no chapter shows yet
CASES = [(stem, at) for stem, kept in PLACED.items() for at in range(len(kept))]


def test_every_widget_class_has_a_driver_and_a_place() -> None:
    assert set(DRIVERS) == set(GLANCES) == set(widgets.HOMES)
    placed = {one["widget"] for kept in PLACED.values() for one in kept}
    assert placed | COMING == set(widgets.HOMES) and not placed & COMING


def widget_at(stem: str, at: int) -> str:
    """The class of the widget in one place of a page."""
    return PLACED[stem][at]["widget"]


def drawn(watched: Watched, at: int, kept: dict[str, Any]) -> Locator:
    """The widget in one place of the page that is open, once it is drawn."""
    host = watched.page.locator(f".{widget_pages.HOST}").nth(at)
    expect(host).to_have_attribute("data-drawn", "yes")
    assert host.get_attribute("data-widget") == kept["widget"]
    return host.locator(".course-widget").first


def drive(watched: Watched, at: int, kept: dict[str, Any]) -> None:
    """Drive the widget in one place of the page that is open."""
    DRIVERS[kept["widget"]](watched.page, drawn(watched, at, kept), kept["state"])


VIEWS = [(WIDE, "light"), (PHONE, "dark")]
OTHER_VIEWS = [(WIDE, "dark"), (PHONE, "light")]
NAMED = {"ids": lambda value: f"{value['width']}px" if isinstance(value, dict) else None}


@pytest.mark.parametrize(("viewport", "mode"), VIEWS, **NAMED)
@pytest.mark.parametrize(("stem", "at"), CASES)
def test_a_widget_of_the_book_shows_what_the_notebook_holds(
    chromium: Browser, address: str, stem: str, at: int, viewport: dict[str, int], mode: str
) -> None:
    with opened(chromium, address, viewport=viewport, color_scheme=mode) as watched:
        page = watched.open(f"book/{stem}.html")
        assert page.locator(f".{widget_pages.HOST}").count() == len(PLACED[stem])
        drive(watched, at, PLACED[stem][at])
        assert watched.problems == []


@pytest.mark.parametrize(("viewport", "mode"), OTHER_VIEWS, **NAMED)
@pytest.mark.parametrize("stem", [stem for stem, kept in PLACED.items() if kept])
def test_at_a_glance_the_widgets_of_a_page_are_right_in_every_view(
    chromium: Browser, address: str, stem: str, viewport: dict[str, int], mode: str
) -> None:
    """What the drivers do in two views takes long; that each step has its own words and numbers is seen in all four."""
    with opened(chromium, address, viewport=viewport, color_scheme=mode) as watched:
        watched.open(f"book/{stem}.html")
        for at, kept in enumerate(PLACED[stem]):
            GLANCES[kept["widget"]](drawn(watched, at, kept), kept["state"])
        assert watched.problems == []


@pytest.mark.parametrize(("viewport", "mode"), VIEWS, **NAMED)
@pytest.mark.parametrize(("stem", "at"), [case for case in CASES if widget_at(*case) == "AlignmentScrubber"])
def test_a_scrubber_of_the_book_plays_folds_is_saved_and_linked_to(
    chromium: Browser, address: str, stem: str, at: int, viewport: dict[str, int], mode: str
) -> None:
    kept = PLACED[stem][at]
    state, press = kept["state"], scrubber_extras.by_mouse if viewport is WIDE else scrubber_extras.by_touch
    with opened(chromium, address, viewport=viewport, color_scheme=mode) as watched:
        page = watched.open(f"book/{stem}.html")
        root = drawn(watched, at, kept)
        scrubber_extras.check_play(page, root, state, press)
        if scrubber_extras.can_fold(state):
            scrubber_extras.check_folding(root, state, press)
        moment = state["moment"]
        if state["labels"]:
            moment = len(state["labels"]) // 2
            root.get_by_label("Epoch", exact=True).fill(str(moment))
        scrubber_extras.check_saved(page, root, state, press, moment)
        scrubber_extras.check_link(page, root, state, press, 2, moment)
        assert watched.problems == []


TWO_MODELS = [case for case in CASES if len(PLACED[case[0]][case[1]]["state"].get("views", [])) > 1]


@pytest.mark.parametrize("viewport", [WIDE, PHONE], **NAMED)
@pytest.mark.parametrize(("stem", "at"), [case for case in TWO_MODELS if widget_at(*case) == "AlignmentScrubber"])
def test_two_models_stand_side_by_side_where_there_is_room(
    chromium: Browser, address: str, stem: str, at: int, viewport: dict[str, int]
) -> None:
    with opened(chromium, address, viewport=viewport) as watched:
        watched.open(f"book/{stem}.html")
        panels = drawn(watched, at, PLACED[stem][at]).locator(".course-panel")
        boxes = panels.evaluate_all("all => all.map((one) => one.getBoundingClientRect().toJSON())")
        frames = panels.locator(".course-scroll")
        inside = frames.evaluate_all("all => all.map((one) => one.scrollWidth <= one.clientWidth)")
        if viewport is WIDE:
            assert boxes[0]["top"] == boxes[1]["top"] and boxes[0]["right"] < boxes[1]["left"]
            assert boxes[1]["right"] < viewport["width"] and inside == [True, True], "no matrix needs to be scrolled"
        else:
            assert boxes[0]["left"] == boxes[1]["left"] and boxes[0]["bottom"] < boxes[1]["top"]


@pytest.mark.parametrize("stem", [stem for stem, kept in PLACED.items() if kept])
def test_without_scripts_each_widget_says_the_same_as_html(chromium: Browser, address: str, stem: str) -> None:
    with opened(chromium, address, java_script_enabled=False) as watched:
        hosts = watched.open(f"book/{stem}.html").locator(f".{widget_pages.HOST}")
        assert hosts.count() == len(PLACED[stem])
        for at, kept in enumerate(PLACED[stem]):
            text = hosts.nth(at).inner_text()
            state = kept["state"]
            words = [
                *state.get("source", []),
                *(token for view in state.get("views", []) for token in view["target"]),
                *state.get("names", []),
                *(str(len(one["words"])) for one in state.get("sentences", [])),
                *(state.get("labels", []) if kept["widget"] == "DrawCurve" else []),
            ]
            assert words and [word for word in words if word not in text] == []


# --- on a page of our own ---------------------------------------------------------------------------------------


def scratch(folder: Path, widget: CourseWidget, script: str | None = None) -> dict[str, Any]:
    """Write a page that shows the widget as the book does, and return what a notebook would keep of it."""
    kept = {"widget": type(widget).__name__, "model": 1, "state": widget_pages.own_data(widget.get_state())}
    (folder / "widgets.js").write_text(script or widget_pages.page_script(), encoding="utf-8")
    (folder / "widgets.css").write_text(widget_pages.page_styles(), encoding="utf-8")
    (folder / "index.html").write_text(
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>One widget</title>'
        '<link rel="icon" href="data:,"><link rel="stylesheet" href="widgets.css">'
        '<script defer src="widgets.js"></script></head>'
        f"<body>{widget_pages.host_html(kept, widget.fallback())}</body>",
        encoding="utf-8",
    )
    return kept


@pytest.fixture
def own(chromium: Browser, tmp_path: Path) -> Iterator[tuple[Watched, Path]]:
    """A page of our own, and the folder that it is served from."""
    with served(tmp_path, PREFIX) as url, opened(chromium, url) as watched:
        yield watched, tmp_path


def made(name: str, tokens: list[str]) -> CourseWidget:
    """A small widget of each class with these three words in it."""
    if name == "AlignmentScrubber":
        weights = [[0.7, 0.2, 0.1], [0.1, 0.1, 0.8], [0.25, 0.5, 0.25], [0.9, 0.04, 0.06]]
        return AlignmentScrubber(tokens, [*tokens, "EOS"], weights, gold=[(0, 0)])
    if name == "SoftLookup":
        return SoftLookup(tokens, [1.0, -0.5, 2.0], [(0, 1), (2, 0.5), (-1, -2)], axes=tokens[:2])
    if name == "CoverUp":
        return CoverUp(["the black dog sees", " ".join(tokens)], [(4, 0.5)], model_name=tokens[1], title=tokens[0])
    if name == "RegionScrubber":
        weights = [[0.7, 0.1, 0.1, 0.1], [0.1, 0.1, 0.5, 0.3], [0.25, 0.25, 0.25, 0.25]]
        steer = {"words": [[tokens] * 4] * 3, "probabilities": [[[0.5, 0.3, 0.1]] * 4] * 3}
        picture = [[0.1, 0.9], [0.5, 0.3], [0.8, 0.2]]
        return RegionScrubber(picture, tokens, weights, title=tokens[0], alt=tokens[1], names=tokens, steer=steer)
    given = {tokens[0]: [1.0, 2.0, 3.0]}
    return DrawCurve(tokens, given, {tokens[1]: [3.0, 2.0, 1.0]}, title=tokens[2], key="k", xlabel="x", ylabel="y")


@pytest.mark.parametrize("name", sorted(widgets.HOMES))
def test_tokens_that_look_like_html_are_text(own: tuple[Watched, Path], name: str) -> None:
    watched, folder = own
    kept = scratch(folder, made(name, NASTY))
    watched.page.on("dialog", lambda dialog: watched.problems.append(f"ran: {dialog.message}"))
    watched.open("")
    drive(watched, 0, kept)
    root = watched.page.locator(".course-widget")
    assert root.locator("img:not(.region-photo), script").count() == 0
    assert NASTY[0] in root.inner_text() and watched.problems == []


def in_pieces() -> AlignmentScrubber:
    """A scrubber whose words are made of pieces; the end is none."""
    weights = [
        [0.9, 0.0, 0.0, 0.06, 0.04],
        [0.1, 0.2, 0.0, 0.7, 0.0],
        [0.0, 0.3, 0.2, 0.5, 0.0],
        [0.0, 0.1, 0.6, 0.3, 0.0],
        [0.05, 0.0, 0.0, 0.004, 0.946],
    ]
    source, target = ["▁the", "▁bl", "ack", "▁dog", "</s>"], ["▁le", "▁chien", "▁no", "ir", "</s>"]
    words: dict[str, Any] = {"source_words": [0, 1, 1, 2, None], "target_words": [0, 1, 2, 2, None]}
    return AlignmentScrubber(source, target, weights, gold=[(0, 0), (1, 2), (2, 1)], **words)


@pytest.mark.parametrize("way", ["by_mouse", "by_touch", "by_keyboard"])
def test_pieces_fold_into_words_also_in_a_saved_picture(own: tuple[Watched, Path], way: str) -> None:
    watched, folder = own
    kept, press = scratch(folder, in_pieces()), getattr(scrubber_extras, way)
    watched.open("")
    root, state = drawn(watched, 0, kept), kept["state"]
    scrubber_extras.check_folding(root, state, press)
    scrubber_extras.check_play(watched.page, root, state, press)
    scrubber_extras.check_link(watched.page, root, state, press, 2, 0)
    press(root.get_by_label("whole words"))
    scrubber_extras.check_saved(watched.page, root, scrubber_extras.folded(state), press, 0)
    assert watched.problems == []


FAULTS = {  # what is replaced, by what, and what the driver says then
    "the matrix is transposed": (
        "paint(weights) {",
        "paint(given) {\n    const weights = given.map((row, i) => row.map((_, j) => given[j]?.[i] ?? 0));",
        "step 0: [0.7, 0.1, 0.25] is not [0.7, 0.2, 0.1]",
    ),
    "a step too far": (
        "at.step = clamp(step, 0, count() - 1);",
        "at.step = clamp(step + 1, 0, count() - 1);",
        "is chosen, not",
    ),
    "a token as HTML": (
        'if (name === "text") node.textContent = value;\n    else if (typeof value',
        'if (name === "text") node.innerHTML = value;\n    else if (typeof value',
        "the source reads",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_the_front_end_is_seen(own: tuple[Watched, Path], fault: str) -> None:
    watched, folder = own
    before, after, says = FAULTS[fault]
    script = widget_pages.page_script()
    assert script.count(before) == 1
    watched.page.on("dialog", lambda dialog: dialog.dismiss())
    kept = scratch(folder, made("AlignmentScrubber", NASTY), script.replace(before, after))
    watched.open("")
    expect(watched.page.locator(f".{widget_pages.HOST}")).to_have_attribute("data-drawn", "yes")
    with pytest.raises(AssertionError) as seen:
        drive(watched, 0, kept)
    assert says in str(seen.value)


FAULTS_BESIDE_STEPPING = {  # what is replaced, by what, who sees it, and what is said then
    "pieces of a target word are summed": (
        "part + weights[i][j], 0), 0) / row.places.length",
        "part + weights[i][j], 0), 0)",
        "check_folding",
        "step 2",
    ),
    "play leaves out every other step": (
        "(at >= count - 1 ? stop() : go(at + 1))",
        "(at >= count - 1 ? stop() : go(at + 2))",
        "check_play",
        "it played ['2', '4']",
    ),
    "a saved picture has other colours": (
        "alphaColour(weight), j === peak",
        "alphaColour(1 - weight), j === peak",
        "check_saved",
        "a saved cell of 0.9 is painted",
    ),
    "a link leads to the step before": (
        "`${tokenOf(at.step)}.${at.moment}`",
        "`${tokenOf(at.step) - 1}.${at.moment}`",
        "check_link",
        "step 2: ['▁chien'] is chosen",
    ),
}


@pytest.mark.parametrize("fault", FAULTS_BESIDE_STEPPING)
def test_a_fault_beside_stepping_is_seen(own: tuple[Watched, Path], fault: str) -> None:
    watched, folder = own
    before, after, check, says = FAULTS_BESIDE_STEPPING[fault]
    script = widget_pages.page_script()
    assert script.count(before) == 1
    kept = scratch(folder, in_pieces(), script.replace(before, after))
    watched.open("")
    root, state, press = drawn(watched, 0, kept), kept["state"], scrubber_extras.by_mouse
    checks = {
        "check_folding": lambda: scrubber_extras.check_folding(root, state, press),
        "check_play": lambda: scrubber_extras.check_play(watched.page, root, state, press),
        "check_saved": lambda: scrubber_extras.check_saved(watched.page, root, state, press, 0),
        "check_link": lambda: scrubber_extras.check_link(watched.page, root, state, press, 2, 0),
    }
    with pytest.raises(AssertionError) as seen:
        checks[check]()
    assert says in str(seen.value)
