"""A guess drawn before the truth: its data, its words without scripts, and the distance that it is told."""

import json
from importlib import resources
from typing import Any

import pytest
from widget_js import run_js

from course_pkg.notation import CourseError
from course_pkg.widgets.draw_curve import DrawCurve

PLACES = ["1–10", "11–20", "over 20"]


def curve(**changes: Any) -> DrawCurve:
    wanted: dict[str, Any] = {
        "labels": PLACES,
        "given": {"plain": [17.0, 9.0, None]},
        "truth": {"RNNsearch": {"values": [33.12347, 27, 16], "low": [30, 25, 12], "high": [35, 29, 19]}},
        "title": "BLEU by length", "key": "length", "xlabel": "words", "ylabel": "BLEU", "top": 40,
    }  # fmt: skip
    return DrawCurve(**{**wanted, **changes})


def test_its_state_is_plain_json_with_short_numbers() -> None:
    state = {name: value for name, value in curve().get_state().items() if name in ("given", "truth", "labels")}
    assert json.loads(json.dumps(state)) == state
    assert state["given"] == [{"label": "plain", "values": [17.0, 9.0, None]}]
    assert state["truth"][0]["values"] == [33.1235, 27.0, 16.0]


def test_its_name_and_what_is_shown_without_scripts_tell_the_numbers() -> None:
    shown = curve()
    assert repr(shown) == "DrawCurve(BLEU by length; given: plain; measured: RNNsearch)"
    html = shown.fallback()
    for text in ("<td>17.0</td>", "<td>–</td>", "<td>33.1</td>", 'scope="row">over 20<'):
        assert text in html
    assert html.index("<details>") < html.index("33.1"), "the truth stays closed until it is asked for"
    assert "<details" not in curve(truth=None).fallback()


def test_readers_text_stays_text_where_no_script_runs() -> None:
    html = curve(title="<script>a</script>", given={"<img onerror=x>": [1, 2, 3]}, labels=["<b>", "2", "3"]).fallback()
    assert "<script" not in html and "<img" not in html and "<b>" not in html


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"labels": ["one"]}, "two places"),
        ({"given": {"plain": [1, 2]}}, "2 values for 3 places"),
        ({"given": {"plain": [1, 2, 41]}}, "leaves the axis"),
        ({"truth": {"x": [1, 2, float("nan")]}}, "leaves the axis"),
        ({"truth": {"x": {"values": [1, 2, 3], "low": [1, 2, 3]}}}, "both low and high"),
        ({"key": ""}, "key"),
        ({"top": 0}, "top"),
    ],
)
def test_a_curve_that_does_not_fit_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(CourseError, match=words):
        curve(**changes)


def test_its_front_end_comes_with_the_package() -> None:
    folder = resources.files("course_pkg.widgets")
    assert (folder / "draw_curve.js").is_file() and (folder / "draw_curve.css").is_file()


# --- the front end's own arithmetic ------------------------------------------------------------------------------


def test_a_stroke_passes_every_place_on_its_way_in_both_directions() -> None:
    there = "stroke([null, null, null, null, 5], {at: 0, value: 10}, {at: 3, value: 40}, 50)"
    back = "stroke([null, null, null, null, 5], {at: 3, value: 40}, {at: 0, value: 10}, 50)"
    assert run_js("draw_curve", f"[{there}, {back}]") == [[10, 20, 30, 40, 5]] * 2


def test_a_tap_sets_the_nearest_place_alone_and_stays_on_the_axis() -> None:
    assert run_js("draw_curve", "stroke([1, 2, 3], {at: 1.4, value: 99}, {at: 1.4, value: 99}, 40)") == [1, 40, 3]


def test_the_distance_in_words_is_the_mean_of_the_gaps() -> None:
    words = run_js("draw_curve", "distance([10, 20, 30], [13, 20, 24], ['a', 'b', 'c'], 'BLEU')")
    assert "3 BLEU from the measured one on average, too high in 1 and too low in 1 of 3 places" in words
    assert "at c: you drew 30, measured is 24" in words


def test_places_that_one_of_the_curves_lacks_do_not_count() -> None:
    words = run_js("draw_curve", "distance([10, null, 30], [10, 20, null], ['a', 'b', 'c'], 'BLEU')")
    assert words.startswith("Your curve lies 0 BLEU from")
    assert "not drawn" in run_js("draw_curve", "distance([null], [1], ['a'], 'BLEU')")


@pytest.mark.parametrize("kept", ["null", "'x'", "[1, 2]", "[1, 2, 41]", "[1, 2, '<b>']", "{}"])
def test_what_was_kept_for_other_axes_is_not_taken_for_a_guess(kept: str) -> None:
    assert run_js("draw_curve", f"asGuess({kept}, 3, 40)") == [None, None, None]


def test_what_was_kept_for_these_axes_is_taken() -> None:
    assert run_js("draw_curve", "asGuess([1, null, 40], 3, 40)") == [1, None, 40]


def test_memory_lasts_for_the_page_where_storage_is_refused() -> None:
    use = "const m = memory('k'); const first = m.read(); const kept = m.write([1]);"
    assert run_js("draw_curve", f"(() => {{{use} return [first, kept, m.read()]; }})()") == [None, False, [1]]
