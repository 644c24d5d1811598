"""The region scrubber: what it refuses and ships, its pictures, and, in a browser, that every part says the same."""

import base64
import io
import json
import re
from collections.abc import Iterator
from math import exp
from typing import Any

import numpy as np
import pytest
import torch
import typeset
import widget_pages
from browser import PHONE, WIDE, opened
from PIL import Image
from playwright.sync_api import Browser, Page
from widget_drivers import decoded_steering, drive_region_scrubber
from widget_js import run_js, scrubber_page

from course_pkg import pictures, scenes
from course_pkg.notation import CourseError
from course_pkg.widgets import RegionScrubber
from course_pkg.widgets.base import front_end
from course_pkg.widgets.region_pictures import SIGMA, data_address, enlarged, gold_region, picture_of, veiled
from course_pkg.widgets.region_state import UNITS

RNG = np.random.default_rng(0)
TOKENS = ["a", "dog", "on", "grass", "EOS"]
GRID = (3, 4)  # rows and columns that cannot be exchanged unseen
ALPHA = RNG.dirichlet(np.full(12, 0.4), size=5)
ALPHA[0] = 1 / 12
GATE = [0.1, 0.9, 0.25, 0.8, 0.5]
GOLD: list[Any] = [None, (0.25, 0.0, 0.5, 0.5), None, [(0.0, 0.5, 1.0, 1.0), (0.0, 0.4, 0.2, 0.6)], None]
STEER = {
    "words": [[[f"{i}.{j}.{k}" for k in range(3)] for j in range(12)] for i in range(5)],
    "probabilities": np.sort(RNG.dirichlet(np.ones(4), size=(5, 12)))[..., :0:-1],
}
PHOTO = (255 * RNG.random((60, 100, 3))).astype(np.uint8)


def scrubber(**changes: Any) -> RegionScrubber:
    wanted: dict[str, Any] = {
        "image": PHOTO,
        "tokens": TOKENS,
        "weights": ALPHA,
        "grid": GRID,
        "gate": GATE,
        "gold": GOLD,
        "key": "k",
        "alt": "A dog on grass.",
    }
    return RegionScrubber(**{**wanted, **changes})


def state_of(shown: RegionScrubber) -> dict[str, Any]:
    return widget_pages.own_data(shown.get_state())


def opened_picture(address: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(address.partition("base64,")[2])))


def named(region: int) -> str:
    """The ninth of the picture that holds the middle of a region of the 3 × 4 grid."""
    level, side = ("upper", "", "lower")[region // 4], ("left", "", "", "right")[region % 4]
    words = {"upper": "top", "lower": "bottom", "": "centre"}
    return " ".join(filter(None, (level, side))) if side else words[level]


# --- in Python ------------------------------------------------------------------------------------------------------


def test_its_state_is_plain_json_and_small() -> None:
    photo = np.asarray(Image.effect_noise((800, 600), 90).convert("RGB"))
    alpha = RNG.dirichlet(np.full(196, 0.3), size=12)
    words = RNG.integers(0, 300, size=(12, 196, 5)).astype(str)
    shares = RNG.dirichlet(np.ones(6), size=(12, 196))[..., :5]
    shown = RegionScrubber(photo, list("abcdefghijkl"), alpha, steer={"words": words, "probabilities": shares})
    state = state_of(shown)
    assert json.loads(json.dumps(state)) == state
    assert len(state["image"]) <= 25_000 and max(state["size"]) <= 320 and shown.size == [320, 240]
    assert len(json.dumps(state["views"])) < 12_000 and len(json.dumps(state["steer"])) < 52_000
    assert len(shown.fallback()) <= 30_000


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_the_weights_that_travel_are_those_given(kind: type) -> None:
    alpha = RNG.dirichlet(np.full(196, 0.3), size=12).astype(kind)
    (view,) = RegionScrubber(PHOTO, list("abcdefghijkl"), torch.from_numpy(alpha)).views
    units = np.array(view["weights"])
    assert view["grid"] == [14, 14] and (units.sum(axis=1) == UNITS).all()
    exact = alpha.astype(float) / alpha.astype(float).sum(axis=1, keepdims=True)
    assert np.abs(units / UNITS - exact).max() < 1 / UNITS


def test_weights_may_come_by_rows_and_columns() -> None:
    flat, square = scrubber(), scrubber(weights=ALPHA.reshape(5, 3, 4), grid=None)
    assert state_of(flat) == state_of(square) and flat.views[0]["grid"] == [3, 4]


def test_its_name_is_each_word_s_strongest_region() -> None:
    corners = np.eye(9)[[0, 1, 2, 3, 4, 5, 6, 7, 8]]
    said = repr(RegionScrubber(PHOTO, list("abcdefghi"), corners))
    assert said.startswith("RegionScrubber(9 steps; this model (3×3 regions): a→upper left b→top c→upper right ")
    assert said.endswith("d→left e→centre f→right g→lower left h→bottom i→lower right)")
    assert "a→everywhere alike" in repr(scrubber())


def test_places_are_those_of_the_whole_picture() -> None:
    """What the model saw as its left may be the picture's right."""
    said = repr(RegionScrubber(PHOTO, ["a"], [[1, 0, 0, 0]], view=(0.7, 0.7, 1, 1)))
    assert "a→lower right" in said


def test_the_share_of_alpha_inside_gold_is_that_of_brute_force() -> None:
    view = (0.1, 0.2, 0.85, 0.9)
    boxes = [(0.0, 0.5, 1.0, 1.0), (0.0, 0.4, 0.2, 0.6)]
    many = 840
    y, x = (np.indices((many, many)) + 0.5) / many
    inside = np.zeros((many, many), dtype=bool)
    for x0, y0, x1, y1 in boxes:
        inside |= (x0 < x) & (x < x1) & (y0 < y) & (y < y1)
    seen = (view[0] < x) & (x < view[2]) & (view[1] < y) & (y < view[3])
    rows = ((y - view[1]) / (view[3] - view[1]) * 3).astype(int).clip(0, 2)
    columns = ((x - view[0]) / (view[2] - view[0]) * 4).astype(int).clip(0, 3)
    density = np.where(seen, ALPHA[1].reshape(3, 4)[rows, columns], 0)
    for gold in (boxes, inside):
        found = scrubber(gold=[None, gold, None, None, None], view=view).views[0]["gold"][1]
        assert found["inside"] == pytest.approx(density[inside].sum() / density.sum(), abs=2e-3)
        assert found["area"] == pytest.approx((seen & inside).sum() / seen.sum(), abs=2e-3)
    whole = scrubber(gold=[(0, 0, 1, 1)] * 5, view=view).views[0]["gold"]
    assert [one["inside"] for one in whole] == [1.0] * 5 and whole[0]["area"] == 1


def test_a_region_is_outlined_once_even_where_boxes_overlap() -> None:
    region = gold_region([(0.0, 0.0, 0.5, 0.5), (0.25, 0.25, 0.75, 0.75)], "dog")
    assert region is not None
    lines = region.outline()
    length = sum(abs(x1 - x0) + abs(y1 - y0) for x0, y0, x1, y1 in lines)
    assert length == pytest.approx(3.0) and len(lines) == 8
    box = gold_region(np.array([0.25, 0.125, 0.5, 0.75]), "dog")
    assert box is not None
    corners = {(x, y) for x0, y0, x1, y1 in box.outline() for x, y in ((x0, y0), (x1, y1))}
    assert corners == {(0.25, 0.125), (0.5, 0.125), (0.5, 0.75), (0.25, 0.75)}


def test_a_mask_is_outlined_where_it_is() -> None:
    mask = np.zeros((300, 200), dtype=bool)
    mask[100:200, 50:150] = True
    region = gold_region(mask, "dog")
    assert region is not None
    lines = np.array(region.coarse().outline())
    assert len(lines) == 4
    np.testing.assert_allclose([lines[:, ::2].min(), lines[:, ::2].max()], [0.25, 0.75], atol=1 / 48)
    np.testing.assert_allclose([lines[:, 1::2].min(), lines[:, 1::2].max()], [1 / 3, 2 / 3], atol=1 / 48)


def test_a_scene_s_regions_and_a_picture_s_view_are_taken_as_they_are() -> None:
    masks = [None, scenes.Region(RNG.random((60, 100)) < 0.5)]
    weights = RNG.dirichlet(np.ones(6), size=2)
    (view,) = RegionScrubber(PHOTO, ["a", "dog"], weights, grid=(2, 3), gold=masks).views
    assert view["gold"][0] is None
    assert view["gold"][1]["inside"] == pytest.approx((weights[1] * masks[1].share((2, 3)).ravel()).sum(), abs=1e-3)
    part = pictures.View.of((100, 60))
    shown = RegionScrubber(PHOTO, ["a", "dog"], weights, grid=(2, 3), view=part)
    np.testing.assert_allclose(
        [shown.view[:2], shown.view[2:]], part.to_picture(np.array([[0.0, 0.0], [1.0, 1.0]])), atol=1e-4
    )


def test_the_words_to_steer_to_can_be_read_again() -> None:
    shown = scrubber(steer=STEER)
    for step in range(5):
        for region in range(12):
            words, shares = zip(*decoded_steering(shown.steer, step, region), strict=True)
            assert list(words) == STEER["words"][step][region]
            np.testing.assert_allclose(shares, STEER["probabilities"][step, region], atol=0.0005)


def test_another_model_may_have_other_regions_and_other_words() -> None:
    hard = np.eye(4)[[0, 1, 2, 3, 0]]
    same = scrubber(other=hard, names=["soft", "hard"])
    assert same.views[1]["grid"] == [2, 2] and same.views[1]["target"] == TOKENS and same.views[1]["gate"] == []
    assert same.views[1]["gold"][1]["area"] == same.views[0]["gold"][1]["area"]
    assert "; hard (2×2 regions): a→upper left dog→upper right" in repr(same) and same.fallback().count("<table>") == 2
    others = scrubber(other={"weights": hard[:2], "tokens": ["one", "two"], "gate": [0, 1]})
    assert others.views[1]["target"] == ["one", "two"] and others.views[1]["gold"] == [None, None]
    assert scrubber(other=ALPHA).views[1]["grid"] == [3, 4]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"image": np.zeros((3, 60, 100))}, r"shape \(3, 60, 100\): give \(height, width, 3\)"),
        ({"image": PHOTO.astype(float)}, "run from 0 to 25"),
        ({"image": np.full((4, 4), np.nan)}, "not all finite"),
        ({"tokens": "a dog"}, "list of tokens"),
        ({"tokens": []}, "list of tokens"),
        ({"weights": ALPHA[:4]}, r"shape \(4, 12\), but there are 5 tokens"),
        ({"weights": ALPHA.T}, r"shape \(12, 5\), but there are 5 tokens"),
        ({"weights": ALPHA.reshape(5, 4, 3)}, r"\(4, 3\) rows and columns of regions, but grid is \(3, 4\)"),
        ({"grid": None}, "12 regions, which is no square"),
        ({"grid": (3, 5)}, "12 regions, but the grid has 3×5 = 15"),
        ({"weights": ALPHA * 5}, "between 0 and 1"),
        ({"weights": ALPHA * np.array([[1], [1], [0.5], [1], [1]])}, r"'on' \(step 2\) add up to 0.500"),
        ({"gate": [0.5]}, r"gate has shape \(1,\), but there are 5 tokens"),
        ({"gate": [0.5, 2, 0, 0, 0]}, "β must lie between 0 and 1"),
        ({"gold": [None]}, "5 tokens, but 1 gold regions"),
        ({"gold": [None, (0, 0, 50, 50), None, None, None]}, "gold box of 'dog' is not x0 < x1"),
        ({"gold": [None, (0.5, 0, 0.2, 1), None, None, None]}, "gold box of 'dog' is not x0 < x1"),
        ({"gold": [None, [[0, 1], [0, 1, 2]], None, None, None]}, "gold region of 'dog' is neither"),
        ({"gold": [None, np.zeros((3, 3), dtype=bool), None, None, None]}, "gold region of 'dog' is neither"),
        ({"other": {"alpha": ALPHA}}, "has 'alpha': give weights"),
        ({"other": {"tokens": TOKENS}}, "has no weights: give weights"),
        ({"other": ALPHA[:2]}, "5 tokens"),
        ({"steer": {"words": [["a"]], "probabilities": [[1.0]]}}, "5 steps and 12 regions"),
        ({"steer": {**STEER, "probabilities": 2 * STEER["probabilities"]}}, "probabilities of steer must lie"),
        ({"view": (0, 0, 2, 1)}, "give \\(x0, y0, x1, y1\\)"),
        ({"step": 5}, "steps 0 to 4"),
    ],
)
def test_bad_input_is_told_in_one_line(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(CourseError, match=says) as error:
        scrubber(**changes)
    assert "\n" not in str(error.value)


# --- its pictures ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "CMYK", "1", "LA"])
def test_every_kind_of_picture_is_taken(mode: str) -> None:
    assert picture_of(Image.new(mode, (30, 20))).mode == "RGB"


def test_an_array_is_shown_as_it_is() -> None:
    np.testing.assert_array_equal(np.asarray(picture_of(PHOTO)), PHOTO)
    np.testing.assert_array_equal(np.asarray(picture_of(PHOTO / 255)), PHOTO)
    np.testing.assert_array_equal(np.asarray(picture_of(PHOTO[..., 0]))[..., 2], PHOTO[..., 0])


def test_what_can_be_seen_through_is_seen_on_white() -> None:
    assert picture_of(Image.new("RGBA", (2, 2), (0, 0, 0, 0))).getpixel((0, 0)) == (255, 255, 255)


def test_a_drawing_travels_unharmed() -> None:
    drawing = Image.new("RGB", (224, 224), "white")
    drawing.paste("red", (50, 60, 100, 90))
    shown = RegionScrubber(drawing, ["a"], [[1]])
    assert opened_picture(shown.image).tobytes() == drawing.tobytes()


@pytest.mark.parametrize("most", [25_000, 4_000, 1_500])
def test_a_picture_fits_the_room_it_has(most: int) -> None:
    noise = Image.fromarray((255 * RNG.random((240, 320, 3))).astype(np.uint8))
    address = data_address(noise, most)
    width, height = opened_picture(address).size
    assert len(address) <= most and width / height == pytest.approx(4 / 3, rel=0.05)


def by_definition(weights: np.ndarray, height: int, width: int, y: int, x: int) -> float:
    """One pixel of the enlarged field: every pixel around it, mirrored at the edges, interpolated between cells."""

    def linear(at_y: int, at_x: int) -> float:
        total = 0.0
        for row in range(rows):
            for column in range(columns):
                down = (at_y + 0.5) * rows / height - 0.5
                across = (at_x + 0.5) * columns / width - 0.5
                down, across = min(max(down, 0), rows - 1), min(max(across, 0), columns - 1)
                total += weights[row, column] * max(0, 1 - abs(down - row)) * max(0, 1 - abs(across - column))
        return total

    rows, columns = weights.shape
    reach_y, reach_x = int(4 * SIGMA * height + 0.5), int(4 * SIGMA * width + 0.5)
    total = mass = 0.0
    for dy in range(-reach_y, reach_y + 1):
        for dx in range(-reach_x, reach_x + 1):
            bell = exp(-0.5 * ((dy / (SIGMA * height)) ** 2 + (dx / (SIGMA * width)) ** 2))
            at_y, at_x = y + dy, x + dx
            at_y = -1 - at_y if at_y < 0 else 2 * height - 1 - at_y if at_y >= height else at_y
            at_x = -1 - at_x if at_x < 0 else 2 * width - 1 - at_x if at_x >= width else at_x
            total, mass = total + bell * linear(at_y, at_x), mass + bell
    return total / mass


def test_enlarging_is_interpolation_and_a_gaussian() -> None:
    weights = ALPHA[1].reshape(GRID)
    field = enlarged(weights, 24, 40)
    for y, x in ((0, 0), (23, 39), (12, 20), (5, 31)):
        assert field[y, x] == pytest.approx(by_definition(weights, 24, 40, y, x), rel=1e-9)


def test_enlarging_keeps_places_and_what_is_alike() -> None:
    """A permuted or transposed map would not peak in its own block."""
    np.testing.assert_allclose(enlarged(np.full((3, 4), 0.25), 60, 100), 0.25)
    for region in range(196):
        one = np.eye(196)[region].reshape(14, 14)
        y, x = np.unravel_index(enlarged(one, 224, 224).argmax(), (224, 224))
        assert abs(y // 16 - region // 14) <= 1 and abs(x // 16 - region % 14) <= 1
    y, x = np.unravel_index(enlarged(np.eye(196)[5 * 14 + 9].reshape(14, 14), 224, 224).argmax(), (224, 224))
    assert (y // 16, x // 16) == (5, 9)


def test_what_is_looked_at_keeps_its_light_and_what_the_model_did_not_see_is_dark() -> None:
    grey = Image.new("RGB", (100, 60), (200, 200, 200))
    alpha = np.zeros((3, 4))
    alpha[1, 3] = 1
    shown = np.asarray(veiled(grey, alpha, (0.2, 0, 1, 1)))[..., 0]
    y, x = np.unravel_index(shown.argmax(), shown.shape)
    assert 20 <= y < 40 and x >= 80, "the second row's last region"
    assert shown.max() == 200 and shown[30, 25] < 60 and (shown[:, :20] == 40).all()
    np.testing.assert_array_equal(np.asarray(veiled(grey, np.full((3, 4), 1 / 12), (0, 0, 1, 1))), np.asarray(grey))


def test_a_dark_picture_glows_where_it_is_looked_at() -> None:
    night = Image.new("RGB", (50, 50), (8, 8, 8))
    shown = np.asarray(veiled(night, np.eye(4)[0].reshape(2, 2), (0, 0, 1, 1)))[..., 0]
    assert shown[5, 5] > 60 and shown[45, 45] < 8
    assert RegionScrubber(night, ["a"], [[1]]).dark and not scrubber().dark


# --- without scripts ------------------------------------------------------------------------------------------------


def test_the_table_says_every_word_s_place_and_numbers() -> None:
    html = scrubber(title="What it sees").fallback()
    assert "<b>What it sees</b>" in html and 'alt="A dog on grass."' in html
    rows = re.findall(r"<tr><td><img .*?</tr>", html)
    assert len(rows) == 5 and html.count("data:image/") == 6
    for i, row in enumerate(rows):
        beta, place, peak, inside = re.findall(r"<td>([^<]*)</td>", row)
        assert f"<bdi>{TOKENS[i]}</bdi>" in row and beta == f"{GATE[i]:.2f}"
        assert float(peak) == pytest.approx(ALPHA[i].max(), abs=0.0006)
        assert place == ("everywhere alike" if i == 0 else named(int(ALPHA[i].argmax())))
        assert bool(inside) == (GOLD[i] is not None)


def test_each_word_s_small_picture_is_bright_where_it_looks() -> None:
    one_each = np.eye(4)
    html = RegionScrubber(np.full((80, 80, 3), 200, dtype=np.uint8), list("abcd"), one_each).fallback()
    pictures = [opened_picture(address) for address in re.findall(r'<td><img src="([^"]+)"', html)]
    for region, picture in enumerate(pictures):
        light = np.asarray(picture.convert("L").resize((2, 2), Image.Resampling.BOX)).ravel()
        assert light.argmax() == region


def test_tokens_stay_text() -> None:
    bad = ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>"]
    html = RegionScrubber(PHOTO, bad, np.eye(4)[:2], names=["<b>", "</b>"], title="<i>", alt='"><u>').fallback()
    assert "<script" not in html and "<img src=x" not in html and "<u>" not in html and "<i>" not in html
    assert html.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 1 and "Where &lt;b&gt; looks" in html


# --- its arithmetic -------------------------------------------------------------------------------------------------


def test_the_browser_enlarges_as_the_package_does() -> None:
    weights = ALPHA[1].round(6).tolist()
    field = run_js("region_scrubber", f"[...enlarged({weights}, spread(3, 60, true), spread(4, 80, true))]")
    np.testing.assert_allclose(np.reshape(field, (60, 80)), enlarged(np.reshape(weights, GRID), 60, 80), rtol=1e-9)


def test_blocks_are_the_regions_themselves() -> None:
    field = run_js("region_scrubber", f"[...enlarged({list(range(12))}, spread(3, 12, false), spread(4, 8, false))]")
    np.testing.assert_array_equal(np.reshape(field, (12, 8)), np.kron(np.arange(12).reshape(3, 4), np.ones((4, 2))))


def test_the_browser_names_places_as_the_package_does() -> None:
    for view in ((0, 0, 1, 1), (0.125, 0, 0.875, 1)):
        found = run_js(
            "region_scrubber", f"Array.from({{length: 196}}, (_, at) => placeOf(at, [14, 14], {list(view)}))"
        )
        ones = RegionScrubber(PHOTO, [f"w{at}" for at in range(60)], np.eye(196)[70:130], view=view)
        assert re.findall(r"→([a-z ]+)(?= w|\))", repr(ones)) == found[70:130]


def test_the_veil_is_none_where_the_light_is_full_and_the_package_s_elsewhere() -> None:
    veil = run_js("region_scrubber", "veilOf(false, false)")
    assert veil[255][3] == 0 and veil[0] == [0, 0, 0, 204]
    for dark in (False, True):
        red, _, _, opacity = np.array(run_js("region_scrubber", f"veilOf(false, {str(dark).lower()})")).T
        grey = Image.new("RGB", (60, 60), (30, 30, 30) if dark else (200, 200, 200))
        alpha = np.eye(9)[4].reshape(3, 3)
        light = enlarged(alpha, 60, 60)
        level = (255 * light / light.max()).round().astype(int)
        own = np.asarray(grey)[..., 0] * (1 - opacity[level] / 255) + red[level] * opacity[level] / 255
        assert np.abs(own - np.asarray(veiled(grey, alpha, (0, 0, 1, 1)))[..., 0]).max() <= 2


# --- in a browser ---------------------------------------------------------------------------------------------------

MODULE = front_end("region_scrubber").replace("export default ", "return ")


def shown_page(page: Page, shown: RegionScrubber, address: str = "", module: str = MODULE, dark: bool = False) -> Page:
    html = scrubber_page("region_scrubber", module, widget_pages.data_block(state_of(shown)), dark=dark)
    page.route("http://pages.test/**", lambda route: route.fulfill(body=html, content_type="text/html; charset=utf-8"))
    page.goto("http://pages.test/" + address)
    return page


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    with opened(chromium, "http://pages.test/") as watched:
        yield watched.page
        assert not [problem for problem in watched.problems if "favicon" not in problem]


def driven(page: Page, shown: RegionScrubber) -> None:
    drive_region_scrubber(page, page.locator(".course-widget"), state_of(shown))


KINDS: dict[str, dict[str, Any]] = {
    "alone": {},
    "steered": {"steer": STEER},
    "cropped": {"steer": STEER, "view": (0.125, 0.1, 0.875, 1.0)},
    "beside another": {"other": np.eye(4)[[0, 1, 2, 3, 0]], "names": ["soft", "hard"], "gate": None, "gold": None},
    "beside a longer one": {"steer": STEER, "other": {"tokens": [*TOKENS, "more"], "weights": np.eye(9)[:6]}},
    "in the dark": {"image": PHOTO // 8, "step": 3},
}


@pytest.mark.parametrize("kind", KINDS)
def test_mouse_keys_and_touch_move_every_part_of_it(page: Page, kind: str) -> None:
    shown = scrubber(**KINDS[kind])
    shown_page(page, shown)
    driven(page, shown)


@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_it_fits_its_page_and_axe_has_nothing_to_say(chromium: Browser, viewport: dict[str, int], dark: bool) -> None:
    shown = scrubber(steer=STEER, other=np.eye(4)[[0, 1, 2, 3, 0]], title="Soft beside hard", view=(0.1, 0, 0.9, 1))
    with opened(chromium, "http://pages.test/", viewport=viewport) as watched:
        page = shown_page(watched.page, shown, dark=dark)
        driven(page, shown)
        page.locator(".region-stage").first.press("ArrowUp")
        page.evaluate((typeset.install() / "axe-core/axe.min.js").read_text(encoding="utf-8"))
        found = page.evaluate(
            "axe.run(document).then((done) => done.violations.map((one) => one.id + one.nodes[0].html))"
        )
        assert found == []
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        tops = page.locator(".region-stage").evaluate_all("all => all.map((one) => one.getBoundingClientRect().top)")
        assert (tops[0] == tops[1]) == (viewport is WIDE), "side by side, or one below the other"


FAULTS = {  # what is replaced, by what, and what the driver says then
    "rows and columns exchanged, in the frame": (
        "const [row, column] = [Math.floor(region / columns), region % columns];",
        "const [column, row] = [Math.floor(region / columns), region % columns];",
        "a frame round another region",
    ),
    "rows and columns exchanged, in the light": (
        "share * weights[row * columns + column]",
        "share * weights[column * rows + row]",
        "the light is at",
    ),
    "rows and columns exchanged, below the pointer": (
        "Math.floor(y * rows) * columns + Math.floor(x * columns)",
        "Math.floor(x * rows) * columns + Math.floor(y * columns)",
        "",
    ),
    "a word too far": (
        "here = Math.min(step, target.length - 1);",
        "here = Math.min(step + 1, target.length - 1);",
        "is chosen, not",
    ),
    "another word's weights": ("const row = alphas[here];", "const row = alphas[Math.max(here - 1, 0)];", "step 1"),
    "steering of the region beside": (
        "2 * (region * steer.top + rank)",
        "2 * ((region ^ 1) * steer.top + rank)",
        "step 1",
    ),
    "a token as HTML": (
        'if (name === "text") node.textContent = value;\n    else if (typeof value',
        'if (name === "text") node.innerHTML = value;\n    else if (typeof value',
        "the words of a turned gaze read",
    ),
    "a caption's word as HTML": (
        "one.firstChild.textContent = word",
        "one.firstChild.innerHTML = word",
        "the caption reads",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_the_front_end_is_seen(page: Page, fault: str) -> None:
    before, after, says = FAULTS[fault]
    assert MODULE.count(before) == 1
    marked = {**STEER, "words": [[[f"<b>{word}</b>" for word in cell] for cell in row] for row in STEER["words"]]}
    shown = scrubber(tokens=["a", "<b>dog</b>", *TOKENS[2:]], steer=marked)
    shown_page(page, shown, module=MODULE.replace(before, after))
    with pytest.raises(AssertionError) as seen:
        driven(page, shown)
    assert says in str(seen.value)


def test_space_plays_and_stops(page: Page) -> None:
    shown_page(page, scrubber())
    page.clock.install()
    page.locator(".region-stage").focus()
    page.keyboard.press("Space")
    page.clock.run_for(2000)
    assert page.evaluate("state.step") == 2
    page.keyboard.press("Space")
    page.clock.run_for(2000)
    assert page.evaluate("[state.step, saved]") == [2, [1, 2]]


def test_a_word_below_the_mouse_is_chosen_and_a_place_read(page: Page) -> None:
    shown_page(page, scrubber(steer=STEER))
    page.locator(".course-tokens button").nth(3).hover()
    assert page.evaluate("state.step") == 3
    box = page.locator(".region-stage").bounding_box()
    page.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + 0.1 * box["height"])
    assert page.locator(".course-words bdi").first.text_content() == "3.3.0"
    page.mouse.move(0, 0)
    resting = f"3.{ALPHA[3].argmax()}.0"
    assert page.locator(".course-words bdi").first.text_content() == resting, "at rest: the peak alone"
    page.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + 0.1 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.1 * box["width"], box["y"] + 0.9 * box["height"], steps=8)
    page.mouse.up()
    page.mouse.move(0, 0)
    assert page.locator(".course-words bdi").first.text_content() == "3.8.0", "the gaze was pulled there and stays"
    page.get_by_role("button", name="Let go of the gaze").click()
    assert page.locator(".course-tokens bdi").all_text_contents() == TOKENS


def test_what_is_said_aloud_is_what_is_seen(page: Page) -> None:
    shown_page(page, scrubber(step=1))
    said = page.locator("[aria-live]")
    place = named(int(ALPHA[1].argmax()))
    page.wait_for_function("document.querySelector('[aria-live]').textContent")
    assert f"Step 2 of 5. dog looks most at the {place}." in said.text_content()
    assert page.get_by_role("img").first.get_attribute("alt") == (
        f"A dog on grass. In full light what dog looks at: most of all the {place}."
    )
    page.locator(".region-stage").press("Home")
    page.wait_for_function("document.querySelector('[aria-live]').textContent.startsWith('Step 1')")
    assert "a looks everywhere alike." in said.text_content()


def test_light_is_measured_by_the_word_or_by_all_words(page: Page) -> None:
    shown_page(page, scrubber(step=1))
    page.get_by_label("blocks").check()
    note = page.locator(".region-key")
    thinnest = """() => {
      const canvas = document.querySelector("canvas");
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      return Math.min(...Array.from({ length: data.length / 4 }, (_, at) => data[4 * at + 3]));
    }"""
    assert f"α = {ALPHA[1].max():.3f}" in note.text_content() and page.evaluate(thinnest) == 0
    page.get_by_label("one scale").check()
    assert f"α = {ALPHA.max():.3f}, the most of all words" in note.text_content()
    light = ALPHA[1].max() / ALPHA.max()
    assert page.evaluate(thinnest) == pytest.approx(204 * (1 - light), abs=2)
    page.get_by_label("colours").check()
    assert page.evaluate(thinnest) == 184, "colours lie on all of the picture"


def test_the_gold_regions_can_be_hidden(page: Page) -> None:
    shown_page(page, scrubber(step=1))
    assert page.locator(".region-gold").is_visible()
    page.get_by_label("gold regions").uncheck()
    assert not page.locator(".region-gold").is_visible()


def test_a_link_brings_its_step_and_its_spot_back(page: Page) -> None:
    shown_page(page, scrubber(steer=STEER), "#k=3.7")
    assert page.evaluate("state.step") == 3 and page.locator(".course-words bdi").first.text_content() == "3.7.0"
    page.get_by_role("button", name="Step: back").click()
    page.locator(".region-stage").press("Escape")
    page.get_by_role("link", name="Link to this step").click()
    assert page.url.endswith("#k=2")
    page.get_by_role("button", name="Step: on").click()
    page.go_back()
    page.wait_for_function("state.step === 3 && document.querySelector('.course-words bdi')")


@pytest.mark.parametrize("address", ["#k=99", "#k=x", "#k=-1.5", "#k=1.999", "#k="])
def test_a_strange_link_does_no_harm(page: Page, address: str) -> None:
    shown_page(page, scrubber(), address)
    assert page.evaluate("state.step") in (0, 1, 4)
    assert page.locator(".region-said").text_content()


def test_python_moves_the_step_too(page: Page) -> None:
    shown_page(page, scrubber())
    page.evaluate("model.set('step', 3)")
    assert page.locator("[aria-pressed=true] bdi").text_content() == "grass"


def test_pictures_can_be_taken_away(page: Page) -> None:
    shown_page(page, scrubber(step=1, other=np.eye(4)[[0, 1, 2, 3, 0]], names=["soft & <b>", "hard"]))
    with page.expect_download() as svg:
        page.get_by_role("button", name="Save SVG").click()
    text = svg.value.path().read_text(encoding="utf-8")
    assert svg.value.suggested_filename == "k.svg" and text.startswith("<svg")
    assert text.count('href="data:image/') == 4, "two photographs and two veils"
    assert "soft &amp; &lt;b&gt;" in text and all(f">{token}" in text for token in TOKENS)
    with page.expect_download() as png:
        page.get_by_role("button", name="Save PNG").click()
    with Image.open(png.value.path()) as drawn:
        width, height = drawn.size
    assert f'viewBox="0 0 {width // 2} {height // 2}"' in text
    page.unroute("http://pages.test/**")
    page.route("http://pages.test/k.svg", lambda route: route.fulfill(body=text, content_type="image/svg+xml"))
    page.goto("http://pages.test/k.svg")
    assert page.evaluate("document.documentElement.tagName") == "svg"


def test_readers_text_is_never_markup(page: Page) -> None:
    bad = ["<script>window.hurt=1</script>", "<img src=x onerror=window.hurt=1>"]
    steer = {"words": [[[b]] * 4 for b in bad], "probabilities": np.ones((2, 4, 1))}
    shown_page(page, RegionScrubber(PHOTO, bad, np.eye(4)[:2], steer=steer, title=bad[1], alt=bad[1], names=bad))
    page.locator(".region-stage").click(position={"x": 5, "y": 5})
    page.mouse.move(0, 0)
    assert page.evaluate("[window.hurt ?? null, document.images.length, document.scripts.length]") == [None, 1, 1]
    assert page.locator(".course-words bdi").text_content() == bad[0]


def test_a_step_is_drawn_within_one_frame(page: Page) -> None:
    alpha = RNG.dirichlet(np.full(196, 0.3), size=20)
    shown_page(page, RegionScrubber(PHOTO, [f"w{at}" for at in range(20)], alpha, other=alpha[::-1]))
    spent = page.evaluate(
        """() => {
          const input = document.querySelector("input[type=range]");
          const times = [...Array(60).keys()].map((turn) => {
            const start = performance.now();
            input.value = turn % 20;
            input.dispatchEvent(new Event("input"));
            document.body.offsetHeight;
            return performance.now() - start;
          });
          return Math.min(...times.slice(20));
        }"""
    )
    assert spent < 16, spent  # the best of many: another program's work is not this one's


def test_an_end_is_an_end(page: Page) -> None:
    shown_page(page, scrubber())
    page.evaluate("end()")
    assert page.locator(".course-widget").count() == 0 and page.evaluate("Object.keys(heard)") == []
