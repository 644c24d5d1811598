"""The search tree on paper: what is drawn, where, how thick, and what is refused."""

import math
from xml.etree import ElementTree

import pytest
from matplotlib.colors import to_rgba
from matplotlib.patches import FancyBboxPatch
from matplotlib.text import Annotation

from course_pkg.diagrams import DECODER, KINDS
from course_pkg.drawing import Picture, svg
from course_pkg.notation import CourseError
from course_pkg.tree_drawing import draw_search_tree

TRAP = {
    "parents": [-1, -1, 0, 0, 1],
    "words": ["A", "B", "C", "D", "C"],
    "log_probs": [math.log(p) for p in (0.55, 0.45, 0.275, 0.275, 0.45)],
    "fates": ["lives", "lives", "dropped", "dropped", "ends"],
}


def written(picture: Picture) -> list[str]:
    return [text.get_text() for text in picture.paper.texts if not isinstance(text, Annotation)]


def arrows(picture: Picture) -> list[Annotation]:
    return [text for text in picture.paper.texts if isinstance(text, Annotation)]


def boxes(picture: Picture) -> list[FancyBboxPatch]:
    return [patch for patch in picture.paper.patches if isinstance(patch, FancyBboxPatch)]


def test_every_node_shows_its_word_and_the_probability_of_its_beginning() -> None:
    shown = [text for text in written(draw_search_tree(**TRAP, dropped=2)) if text]
    assert sorted(shown[::2]) == ["A", "B", "C", "C", "D"]
    assert sorted(shown[1::2]) == ["0.275", "0.275", "0.450", "0.450", "0.550"]


def test_the_likeliest_is_left_and_later_steps_are_lower() -> None:
    picture = draw_search_tree(**TRAP, dropped=2)
    places = {}
    for word, number in zip(picture.paper.texts, picture.paper.texts[1:], strict=False):
        if number.get_text().startswith("0."):
            places[word.get_text(), number.get_text()] = word.get_position()
    assert places["A", "0.550"][0] < places["B", "0.450"][0]
    assert places["C", "0.450"][0] < min(places["C", "0.275"][0], places["D", "0.275"][0])
    assert places["A", "0.550"][1] == places["B", "0.450"][1] > places["C", "0.450"][1] == places["D", "0.275"][1]


def test_every_arrow_leads_from_a_parent_to_its_child() -> None:
    picture = draw_search_tree(**TRAP, dropped=2)
    centres = {}
    for box, node in zip(boxes(picture), ["root", *range(5)], strict=True):
        bounds = box.get_bbox()
        centres[node] = (bounds.x0 + bounds.width / 2, bounds.y0 + bounds.height / 2)
    drawn = [(arrow.xyann, arrow.xy) for arrow in arrows(picture)]
    assert len(drawn) == 5
    order = [0, 1, 4, 2, 3]  # row by row, the likeliest first
    for (start, end), node in zip(drawn, order, strict=True):
        parent = TRAP["parents"][node]
        above = "root" if parent < 0 else order.index(parent)
        assert start[0] == pytest.approx(centres[above][0]) and start[1] < centres[above][1]
        assert end[0] == pytest.approx(centres[order.index(node)][0]) and end[1] > centres[order.index(node)][1]


def test_fates_have_their_colours_and_the_path_is_thick() -> None:
    picture = draw_search_tree(**TRAP, path=[1, 4], dropped=2)
    kinds = [box.get_facecolor() for box in boxes(picture)[1:]]
    fills = dict(zip(("A", "B", "C+", "C-", "D"), kinds, strict=True))
    assert fills["A"] == fills["B"] != fills["C+"] != fills["C-"] == fills["D"]
    assert fills["C+"] == to_rgba(KINDS["context"][0]) and fills["A"] == to_rgba(KINDS["decoder"][0])
    thick = [arrow for arrow in arrows(picture) if arrow.arrowprops["linewidth"] > 2]
    assert len(thick) == 2 and all(arrow.arrowprops["color"] == DECODER for arrow in thick)


@pytest.mark.parametrize("dropped", [0, 1, 2])
def test_so_many_dropped_nodes_are_drawn(dropped: int) -> None:
    assert len(boxes(draw_search_tree(**TRAP, dropped=dropped))) == 1 + 3 + dropped


def test_it_is_a_named_vector_drawing_that_repeats() -> None:
    text = svg(draw_search_tree(**TRAP))
    root = ElementTree.fromstring(text)
    assert root.get("role") == "img" and "Step 2: “C” 0.450 ends, “C” 0.275 dropped" in root.get("aria-label")
    assert text == draw_search_tree(**TRAP)._repr_svg_()


def test_words_are_text_and_stay_in_their_boxes() -> None:
    odd = {**TRAP, "words": ["$x_1$", "<b>", "a word of more than eighteen letters", "▁noir", "C"]}
    picture = draw_search_tree(**odd, dropped=2)
    picture.draw_without_rendering()
    shown = {text.get_text(): text for text in picture.paper.texts if not isinstance(text, Annotation)}
    assert "$x_1$" in shown and "a word of more th…" in shown
    renderer = picture._get_renderer()
    widest = max(box.get_window_extent(renderer).width for box in boxes(picture)[1:])
    for word in ("$x_1$", "<b>", "a word of more th…", "▁noir"):
        assert shown[word].get_window_extent(renderer).width < widest


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"words": ["A"]}, "for each of its nodes"),
        ({"parents": [-1, -1, 0, 0, 4]}, "earlier node"),
        ({"fates": ["lives", "lives", "dropped", "dropped", "wins"]}, "'wins'"),
        ({"fates": ["lives", "dropped", "dropped", "dropped", "ends"]}, "does not live on"),
        ({name: [] for name in TRAP}, "for each of its nodes"),
    ],
)
def test_a_tree_that_is_none_is_refused(change: dict, told: str) -> None:
    with pytest.raises(CourseError, match=told):
        draw_search_tree(**{**TRAP, **change})
