"""The scrubber: what it refuses and ships, what it says without scripts, and, in a browser, that all parts agree."""

import json
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import widget_pages
from browser import opened
from playwright.sync_api import Browser, Page
from widget_js import run_js, scrubber_page

from course_pkg.drawing import ALPHA_STOPS
from course_pkg.inference import fold_words
from course_pkg.notation import CourseError
from course_pkg.widgets import AlignmentScrubber
from course_pkg.widgets.base import front_end, style_sheet

SOURCE = ["▁the", "▁bl", "ack", "▁dog", "</s>"]
TARGET = ["▁le", "▁chien", "▁no", "ir", "</s>"]
SOURCE_WORDS, TARGET_WORDS = [0, 1, 1, 2, None], [0, 1, 2, 2, None]
ALPHA = np.array(
    [
        [0.90, 0.00, 0.00, 0.06, 0.04],
        [0.10, 0.20, 0.00, 0.70, 0.00],
        [0.00, 0.30, 0.30, 0.40, 0.00],
        [0.00, 0.10, 0.60, 0.30, 0.00],
        [0.00, 0.00, 0.00, 0.004, 0.996],
    ]
)
GOLD = [(0, 0), (1, 2), (2, 1)]  # source word, target word
EARLY = np.full((5, 5), 0.2)
STEER = {
    "words": [[[f"{i}.{j}.{k}" for k in range(3)] for j in range(5)] for i in range(5)],
    "probabilities": [[[0.5, 0.25, 0.125]] * 5] * 5,
}


def scrubber(**changes: Any) -> AlignmentScrubber:
    wanted: dict[str, Any] = {
        "source": SOURCE,
        "target": TARGET,
        "weights": ALPHA,
        "source_words": SOURCE_WORDS,
        "target_words": TARGET_WORDS,
        "gold": GOLD,
        "key": "k",
    }
    return AlignmentScrubber(**{**wanted, **changes})


# --- in Python ----------------------------------------------------------------------------------------------------


def test_its_state_is_plain_json() -> None:
    shown = scrubber(epochs={"epochs": [0, 0.5, 6.0], "weights": [EARLY, ALPHA, ALPHA]}, other=EARLY, steer=STEER)
    kept = {name: getattr(shown, name) for name in ("source", "views", "labels", "gold", "steer", "step", "moment")}
    assert json.loads(json.dumps(kept)) == kept
    assert shown.labels == ["0", "0.5", "6"] and shown.moment == 2
    np.testing.assert_allclose(shown.views[0]["moments"][-1], ALPHA)
    np.testing.assert_allclose(shown.views[1]["moments"][0], EARLY)
    assert [shown.steer["words"][pick] for pick in shown.steer["picks"][3][1]] == ["3.1.0", "3.1.1", "3.1.2"]


def test_its_name_is_each_step_s_peak() -> None:
    assert "▁le→▁the ▁chien→▁dog ▁no→▁dog ir→ack </s>→</s>" in repr(scrubber())


def test_the_table_says_two_digits_the_peak_and_the_gold_links() -> None:
    html = scrubber().fallback()
    rows = [re.findall(r"<td>(.*?)</td>", row) for row in re.findall(r"<tr><th scope=\"row\".*?</tr>", html)]
    assert rows[0] == ["<u><b>0.90</b></u>", "", "", "0.06", "0.04"]
    assert rows[2] == ["", "<u>0.30</u>", "<u>0.30</u>", "<b>0.40</b>", ""]
    assert rows[4] == ["", "", "", "", "<b>1.00</b>"], "below .005 a cell is blank"


def test_tokens_stay_text() -> None:
    bad = ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>"]
    html = AlignmentScrubber(bad, bad, np.eye(2), names=["<b>", "</b>"], other=np.eye(2)).fallback()
    assert "<script" not in html and "<img" not in html and "<b>." not in html
    assert html.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 4


def test_the_address_names_each_sentence_and_stays_the_same() -> None:
    keys = [AlignmentScrubber(SOURCE, TARGET[:n], ALPHA[:n]).key for n in (5, 5, 4)]
    assert keys[0] == keys[1] != keys[2]


def test_another_model_may_have_written_other_tokens() -> None:
    shown = scrubber(other={"weights": ALPHA[:3], "target": TARGET[:3]}, names=["one", "two"])
    assert [view["target"] for view in shown.views] == [TARGET, TARGET[:3]]
    assert "two: ▁le→▁the" in repr(shown) and shown.fallback().count("<table>") == 2


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"weights": ALPHA[:4]}, "shape"),
        ({"weights": ALPHA.T[:, :4]}, "rows are target tokens"),
        ({"weights": ALPHA * 2}, "between 0 and 1"),
        ({"weights": None}, "no α"),
        ({"source": "a b"}, "list of tokens"),
        ({"target": []}, "list of tokens"),
        ({"source_words": [0]}, "5 source tokens, but 1"),
        ({"gold": [(3, 0)]}, "gold link 3-0"),
        ({"gold": [(0, 3)]}, "gold link 0-3"),
        ({"epochs": {"epochs": [0], "weights": [EARLY, ALPHA]}}, "1 epochs, but 2"),
        ({"epochs": {"epochs": [0, 1], "weights": [ALPHA, EARLY]}}, "differ from those of the last epoch"),
        ({"steer": {"words": [["a"]], "probabilities": [[1.0]]}}, "5 steps and 5 positions"),
        ({"step": 5}, "steps 0 to 4"),
    ],
)
def test_bad_input_is_told_in_one_line(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(CourseError, match=says) as error:
        scrubber(**changes)
    assert "\n" not in str(error.value)


# --- its arithmetic -----------------------------------------------------------------------------------------------


def test_the_browser_folds_as_the_package_does() -> None:
    words = json.dumps([TARGET_WORDS, SOURCE_WORDS])
    found = run_js("alignment_scrubber", f"folded({ALPHA.tolist()}, ...{words}.map((side) => grouped(side)))")
    np.testing.assert_allclose(found, fold_words(ALPHA.astype(np.float32), SOURCE_WORDS, TARGET_WORDS), atol=1e-6)
    spelt = run_js("alignment_scrubber", f"spelt({json.dumps(SOURCE)}, grouped({json.dumps(SOURCE_WORDS)}))")
    assert spelt == ["the", "black", "dog", "</s>"]


def test_the_browser_s_entropy_is_that_of_the_definition() -> None:
    by_hand = -sum(p * np.log(p) for p in ALPHA[0] if p > 0)
    assert run_js("alignment_scrubber", f"entropy({ALPHA[0].tolist()})") == pytest.approx(by_hand)
    assert run_js("alignment_scrubber", "entropy([0, 1, 0])") == 0


def lightness(colour: str) -> float:
    """Relative luminance (WCAG 2.2) of ``rgb(…)`` or ``#rrggbb``."""
    parts = [int(part) for part in re.findall(r"\d+", colour)] if "(" in colour else list(bytes.fromhex(colour[1:]))
    linear = [part / 255 / 12.92 if part < 10.5 else ((part / 255 + 0.055) / 1.055) ** 2.4 for part in parts]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


@pytest.mark.parametrize("dark", [False, True])
def test_the_scale_runs_from_the_ground_and_its_numbers_can_be_read(dark: bool) -> None:
    flag = json.dumps(dark)
    shades = f"[...Array(101).keys()].map((k) => [alphaColour(k / 100, {flag}), inkOn(k / 100, {flag})])"
    ink = {"#fff": 1.0, "#000": 0.0}
    pairs = [(lightness(ground), ink[text]) for ground, text in run_js("alignment_scrubber", shades)]
    grounds = [ground for ground, _ in pairs]
    assert all((b > a) == dark for a, b in zip(grounds, grounds[1:], strict=False)), "lightness goes one way only"
    assert min((max(pair) + 0.05) / (min(pair) + 0.05) for pair in pairs) > 4.5
    sheet = style_sheet("alignment_scrubber")
    stops = re.findall(r"--scale: ([^;]+);", sheet)[dark].split(", ")
    assert stops[int(dark) :] == list(ALPHA_STOPS[:: -1 if dark else 1])[int(dark) :]
    ends = run_js("alignment_scrubber", f"[0, 1, 0.3].map((weight) => alphaColour(weight, {flag}))")
    wanted = [stops[0], stops[-1], stops[3]]
    assert [[int(part) for part in re.findall(r"\d+", one)] for one in ends] == [
        list(bytes.fromhex(one[1:])) for one in wanted
    ]
    card = re.findall(r"--card: (#\w+);", sheet)[dark]
    assert (max(grounds[0], lightness(card)) + 0.05) / (min(grounds[0], lightness(card)) + 0.05) < 1.2


# --- in a browser -------------------------------------------------------------------------------------------------


def shown_page(page: Page, shown: AlignmentScrubber, address: str = "") -> Page:
    module = front_end("alignment_scrubber").replace("export default ", "return ")
    text = widget_pages.data_block(widget_pages.own_data(shown.get_state()))
    html = scrubber_page("alignment_scrubber", module, text)
    page.route("http://pages.test/**", lambda route: route.fulfill(body=html, content_type="text/html; charset=utf-8"))
    page.goto("http://pages.test/" + address)
    return page


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    with opened(chromium, "http://pages.test/") as watched:
        yield watched.page
        assert not [problem for problem in watched.problems if "favicon" not in problem]


def told(page: Page) -> dict[str, Any]:
    """What each part of the widget says now."""
    return page.evaluate(
        """() => {
          const [source, target] = document.querySelectorAll(".course-tokens");
          const at = (line) => [...line.children].findIndex((one) => one.ariaPressed === "true");
          const rows = [...document.querySelectorAll("tbody tr")];
          return {
            slider: Number(document.querySelector("input[type=range]").value),
            token: at(target),
            gaze: at(source),
            row: rows.findIndex((row) => row.classList.contains("is-here")),
            weights: [...source.children].map((one) => one.querySelector("small").textContent),
            written: [...target.children].map((one) => one.textContent),
            said: document.querySelector(".course-said").textContent,
            python: state.step,
          };
        }"""
    )


def all_at(page: Page, step: int) -> dict[str, Any]:
    now = told(page)
    assert [now[part] for part in ("slider", "token", "row", "python")] == [step] * 4
    assert now["weights"] == [f"{weight:.2f}" for weight in ALPHA[step]]
    assert now["said"].startswith(f"{TARGET[step]} looks most at {SOURCE[ALPHA[step].argmax()]}")
    return now


def test_tokens_matrix_and_slider_stay_in_step(page: Page) -> None:
    shown_page(page, scrubber())
    all_at(page, 0)
    page.locator(".course-tokens").nth(1).get_by_role("button").nth(2).click()
    all_at(page, 2)
    page.locator("tbody tr").nth(3).locator("td").nth(1).click()
    assert all_at(page, 3)["gaze"] == 1
    page.locator("tbody tr").nth(1).locator("th").tap()
    all_at(page, 1)
    page.locator("tbody tr").nth(4).locator("td").nth(2).hover()
    now = told(page)
    assert now["said"].startswith(TARGET[4]) and now["row"] == 4 and now["python"] == now["slider"] == 1, "a preview"
    page.mouse.move(0, 0)
    all_at(page, 1)
    page.get_by_label("Step", exact=True).fill("1")
    all_at(page, 1)
    page.evaluate("model.set('step', 3)")
    all_at(page, 3)


def test_every_key_does_what_it_says(page: Page) -> None:
    shown_page(page, scrubber())
    page.clock.install()
    page.locator(".course-scroll").focus()
    for key, step in [
        ("ArrowRight", 1),
        ("ArrowDown", 2),
        ("ArrowLeft", 1),
        ("End", 4),
        ("ArrowRight", 4),
        ("Home", 0),
    ]:
        page.keyboard.press(key)
        all_at(page, step)
    page.keyboard.press("Space")
    page.clock.run_for(2000)
    all_at(page, 2)
    page.keyboard.press("Space")
    page.clock.run_for(2000)
    all_at(page, 2)


def test_each_cell_has_its_own_weight_and_no_one_else_s(page: Page) -> None:
    """A transposed matrix or a row that is one off would show here."""
    shown_page(page, scrubber())
    cells = page.evaluate(
        "[...document.querySelectorAll('tbody tr')].map((r) => [...r.cells].map((c) => c.textContent))"
    )
    shorts = [["" if w < 0.005 else "1" if w >= 0.995 else f"{w:.2f}"[1:] for w in row] for row in ALPHA]
    assert cells == [[token, *row] for token, row in zip(TARGET, shorts, strict=True)]
    rings = page.evaluate(
        "[...document.querySelectorAll('td.is-gold')].map((c) => [c.cellIndex - 1, c.parentNode.sectionRowIndex])"
    )
    assert sorted(map(tuple, rings)) == [(0, 0), (1, 2), (1, 3), (2, 2), (2, 3), (3, 1)]


def test_a_turned_gaze_changes_the_word(page: Page) -> None:
    shown_page(page, scrubber(steer=STEER))
    source = page.locator(".course-tokens").first.get_by_role("button")
    page.locator(".course-tokens").nth(1).get_by_role("button").nth(2).click()
    source.nth(3).tap()
    assert told(page)["written"] == [*TARGET[:2], "2.3.0", *TARGET[3:]]
    assert page.locator(".course-words li").all_text_contents() == ["2.3.00.50", "2.3.10.25", "2.3.20.13"]
    start, end = source.nth(3).bounding_box(), source.nth(1).bounding_box()
    page.mouse.move(start["x"] + 5, start["y"] + 5)
    page.mouse.down()
    page.mouse.move(end["x"] + 5, end["y"] + 5, steps=4)
    page.mouse.up()
    assert told(page)["written"][2] == "2.1.0" and told(page)["gaze"] == 1
    for passed in (source.nth(4), page.locator("tbody tr").nth(0).locator("td").nth(3)):
        passed.hover()
        assert told(page)["written"][2] == "2.1.0" and told(page)["row"] == 2, "a held gaze stays"
    source.nth(1).focus()
    page.keyboard.press("ArrowLeft")
    assert told(page)["written"][2] == "2.0.0"
    page.keyboard.press("Escape")
    assert told(page)["written"] == TARGET
    source.nth(4).hover()
    assert told(page)["written"][2] == "2.4.0"
    page.mouse.move(0, 0)
    assert told(page)["written"] == TARGET, "without a click nothing stays"
    source.nth(1).click()
    page.get_by_role("button", name="Let go of the gaze").click()
    assert told(page)["written"] == TARGET


def test_until_it_is_turned_the_gaze_rests_on_the_peak(page: Page) -> None:
    shown_page(page, scrubber(steer=STEER, step=3))
    for step in (3, 1):
        page.get_by_label("Step", exact=True).fill(str(step))
        peak = int(ALPHA[step].argmax())
        assert page.locator(".course-words bdi").all_text_contents() == [f"{step}.{peak}.{k}" for k in range(3)]
        assert f"From {SOURCE[peak]} alone" in page.locator(".course-steer .course-note").inner_text()
        assert page.get_by_role("button", name="Let go of the gaze").is_disabled()
        assert told(page)["written"] == TARGET and told(page)["gaze"] == -1
    page.get_by_label("whole words").check()
    assert page.locator(".course-words li").count() == 0 and page.locator(".course-steer .course-note").is_hidden()


def ground_of(page: Page, selector: str) -> str:
    return page.locator(selector).evaluate("(cell) => getComputedStyle(cell).backgroundColor")


def test_a_matrix_follows_a_page_that_turns_dark(page: Page) -> None:
    shown_page(page, scrubber())
    cell = "tbody tr:nth-child(1) td:nth-child(2)"
    for dark in (False, True):
        page.evaluate(f"document.documentElement.dataset.theme = '{'dark' if dark else 'light'}'")
        assert ground_of(page, cell) == run_js("alignment_scrubber", f"alphaColour(0.9, {json.dumps(dark)})")


def test_a_large_matrix_is_drawn_and_answers_cell_by_cell(page: Page) -> None:
    rows = np.eye(30)[np.random.default_rng(1).permutation(30)]
    tokens = [f"w{place}" for place in range(30)]
    shown_page(page, AlignmentScrubber(tokens, tokens, rows, gold=[(4, 7)]))
    scale = {(dark, weight): run_js("alignment_scrubber", f"alphaColour({weight}, {json.dumps(dark)})")
             for dark in (False, True) for weight in (0, 1)}  # fmt: skip
    for dark in (True, False):
        page.evaluate(f"document.documentElement.dataset.theme = '{'dark' if dark else 'light'}'")
        page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        seen = page.evaluate(
            """() => {
              const canvas = document.querySelector("canvas"), pen = canvas.getContext("2d");
              const pitch = canvas.width / 30;
              const at = (i, j) => [...pen.getImageData((j + 0.45) * pitch, (i + 0.45) * pitch, 1, 1).data].slice(0, 3);
              return [...Array(30).keys()].map((i) => [...Array(30).keys()].map((j) => `rgb(${at(i, j).join(", ")})`));
            }"""
        )
        assert seen == [[scale[dark, int(weight)] for weight in row] for row in rows]
    box = page.locator("canvas").bounding_box()
    assert box is not None
    pitch = box["width"] / 30
    page.mouse.click(box["x"] + 12.5 * pitch, box["y"] + 5.5 * pitch)
    now = told(page)
    assert (now["row"], now["gaze"], now["python"]) == (5, 12, 5)
    ring = page.locator(".course-ring").bounding_box()
    assert ring is not None and abs(ring["x"] - box["x"] - 12 * pitch) < 1 and abs(ring["y"] - box["y"] - 5 * pitch) < 1


def test_an_earlier_moment_shows_its_own_weights(page: Page) -> None:
    shown_page(page, scrubber(weights=None, epochs={"epochs": [0, 6], "weights": [EARLY, ALPHA]}))
    all_at(page, 0)
    page.get_by_label("Epoch").fill("0")
    assert told(page)["weights"] == ["0.20"] * 5
    assert page.evaluate("state.moment") == 0


def test_pieces_fold_into_words_and_back(page: Page) -> None:
    shown_page(page, scrubber(step=3))
    page.get_by_label("whole words").check()
    now = told(page)
    assert now["written"] == ["le", "chien", "noir", "</s>"]
    assert now["token"] == now["row"] == 2
    folded = fold_words(ALPHA.astype(np.float32), SOURCE_WORDS, TARGET_WORDS)
    assert now["weights"] == [f"{weight:.2f}" for weight in folded[2]]
    page.get_by_label("whole words").uncheck()
    all_at(page, 2)  # the word's first piece


def test_a_link_brings_its_step_back(page: Page) -> None:
    shown_page(page, scrubber(), "#k=3.0")
    all_at(page, 3)
    page.get_by_role("button", name="Step: back").click()
    page.get_by_role("link", name="Link to this step").click()
    assert page.url.endswith("#k=2.0")
    page.get_by_role("button", name="Step: on").click()
    page.go_back()
    all_at(page, 3)


def test_two_models_step_together(page: Page) -> None:
    shown_page(page, scrubber(other=EARLY, names=["one", "two"]))
    page.locator("tbody").nth(1).locator("tr").nth(2).locator("td").nth(0).click()
    all_at(page, 2)
    assert page.locator(".course-panel").nth(1).locator("small").all_text_contents() == ["0.20"] * 5


def test_pictures_can_be_taken_away(page: Page, tmp_path: Any) -> None:
    shown_page(page, scrubber())
    with page.expect_download() as svg:
        page.get_by_role("button", name="Save SVG").click()
    text = svg.value.path().read_text(encoding="utf-8")
    assert svg.value.suggested_filename == "k.svg" and text.startswith("<svg") and text.count("<rect") == 1 + 25 + 6
    assert all(f">{token}<" in text.replace("&lt;", "<").replace("&gt;", ">") for token in SOURCE[:4] + TARGET[:4])
    with page.expect_download() as png:
        page.get_by_role("button", name="Save PNG").click()
    assert png.value.path().read_bytes().startswith(b"\x89PNG")


def test_tokens_are_never_markup(page: Page) -> None:
    bad = ["<script>window.hurt=1</script>", "<img src=x onerror=window.hurt=1>"]
    shown_page(page, AlignmentScrubber(bad, bad, np.eye(2), steer={"words": [[[b]] * 2 for b in bad],
                                                                  "probabilities": [[[1.0]] * 2] * 2}))  # fmt: skip
    page.locator("tbody td").nth(1).click()
    assert page.evaluate("[window.hurt ?? null, document.images.length, document.scripts.length]") == [None, 0, 1]
    assert told(page)["written"][1] == bad[1]


def test_a_long_sentence_scrolls_inside_and_its_updates_are_quick(page: Page) -> None:
    rows = np.random.default_rng(0).dirichlet(np.full(60, 0.05), size=(2, 60))
    tokens = [f"w{place}" for place in range(60)]
    shown_page(page, AlignmentScrubber(tokens, tokens, None, epochs={"epochs": [0, 1], "weights": list(rows)}))
    page.locator(".course-scroll").focus()
    page.keyboard.press("End")
    inside = page.evaluate(
        """() => {
          const frame = document.querySelector(".course-scroll").getBoundingClientRect();
          const row = document.querySelector("tr.is-here").getBoundingClientRect();
          return [row.bottom <= frame.bottom + 1, document.documentElement.scrollWidth <= window.innerWidth];
        }"""
    )
    assert inside == [True, True]
    spent = page.evaluate(
        """() => [...document.querySelectorAll("input[type=range]")].map((input) => {
          const times = [...Array(40).keys()].map((turn) => {
            const start = performance.now();
            input.value = input.max === "1" ? turn % 2 : turn;
            input.dispatchEvent(new Event("input"));
            document.body.offsetHeight;
            return performance.now() - start;
          });
          return Math.min(...times.slice(5));
        })"""
    )
    assert max(spent) < 16, spent  # the best of many: another program's work is not this one's


def test_an_end_is_an_end(page: Page) -> None:
    shown_page(page, scrubber())
    page.evaluate("end()")
    assert page.locator(".course-widget").count() == 0 and page.evaluate("Object.keys(heard)") == []
