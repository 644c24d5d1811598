"""The drawings hold what the papers' figures hold, and nothing in them overlaps or leaves its card."""

from itertools import combinations
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.patches import Circle, FancyBboxPatch
from matplotlib.text import Annotation

from course_pkg import diagrams
from course_pkg.diagrams import (
    draw_birnn,
    draw_bptt,
    draw_encoder_decoder,
    draw_rnnsearch_step,
    draw_rnnsearch_unrolled,
)
from course_pkg.drawing import svg
from course_pkg.notation import CourseError

DRAWINGS = [draw_encoder_decoder, draw_birnn, draw_rnnsearch_step, draw_rnnsearch_unrolled, draw_bptt]


@pytest.mark.parametrize("draw", DRAWINGS)
def test_svg_is_well_formed_named_and_repeatable(draw):
    picture = draw()
    text = svg(picture)
    root = ElementTree.fromstring(text)
    assert root.tag.endswith("svg") and root.get("role") == "img" and "viewBox" in root.attrib
    assert root.get("aria-label") == picture.description
    assert "width" not in root.attrib and "max-width" in root.get("style")
    assert text == draw()._repr_svg_()


def labels(picture):
    return [t.get_text() for t in picture.paper.texts if not isinstance(t, Annotation)]


def test_encoder_decoder_has_the_symbols_of_the_paper():
    shown = labels(draw_encoder_decoder())
    assert shown.count("$c$") == 1, "one vector holds the whole source"
    for symbol in ("x", "h"):
        assert [t for t in shown if t.startswith(f"${symbol}_")] == [f"${symbol}_{i}$" for i in ("1", "2", "{T_x}")]
    for symbol in ("s", "y"):
        assert {f"${symbol}_{i}$" for i in ("1", "2", "{T_y}")} <= set(shown)


def test_birnn_runs_both_ways_into_each_annotation():
    shown = labels(draw_birnn())
    for i in ("1", "2", "{T_x}"):
        assert shown.count(rf"$\overrightarrow{{h}}_{i}$") == shown.count(rf"$\overleftarrow{{h}}_{i}$") == 2
        assert shown.count(f"$h_{i}$") == shown.count(f"$x_{i}$") == 1
    picture = draw_birnn()
    runs = {diagrams.ENCODER: set(), diagrams.BACKWARD: set()}
    for arrow in (t for t in picture.paper.texts if isinstance(t, Annotation)):
        (x0, y0), (x1, y1) = arrow.xyann, arrow.xy
        if y0 == y1:
            runs[arrow.arrowprops["color"]].add(np.sign(x1 - x0))
    assert runs == {diagrams.ENCODER: {1}, diagrams.BACKWARD: {-1}}


def test_birnn_ends_in_the_decoders_first_state():
    """s_0 = tanh(W_s ←h_1): the arrow starts at the backward state of the first word, and nowhere else."""
    picture = draw_birnn()
    places = {t.get_text(): t.get_position() for t in reversed(picture.paper.texts)}  # of two equal labels the lower
    x, y = places["$s_0$"]
    into = [t for t in picture.paper.texts if isinstance(t, Annotation) and np.hypot(t.xy[0] - x, t.xy[1] - y) < 0.5]
    assert len(into) == 1
    first_x, first_y = places[r"$\overleftarrow{h}_1$"]
    assert np.hypot(into[0].xyann[0] - first_x, into[0].xyann[1] - first_y) < 0.5


def test_rnnsearch_step_draws_weights_as_thickness():
    weights = (0.1, 0.2, 0.6, 0.1)
    picture = draw_rnnsearch_step(weights)
    into_context = [
        t.arrowprops["linewidth"] for t in picture.paper.texts if isinstance(t, Annotation) and t.xy == (4.7, 4.05)
    ]
    assert np.diff(into_context) / np.diff(weights) == pytest.approx(7)
    assert {r"$\alpha_{i1}$", r"$\alpha_{iT_x}$", "$c_i$", "$s_{i-1}$", "$s_i$", "$y_{i-1}$", "$y_i$"} <= set(
        labels(picture)
    )


def arrows(picture, color):
    """Ends of all arrows of a colour, moved onto the nearest node."""
    nodes = {t.get_text(): t.get_position() for t in picture.paper.texts if t.get_text().startswith("$")}
    del nodes[r"$\delta s_i$"], nodes[r"$\delta c_i$"], nodes[r"$\delta e_i$"], nodes[r"$\delta h_j$"]

    def nearest(point):
        if point[1] < 1:
            return "annotations"
        if point[0] > 9:
            return "the next step"
        return min(nodes, key=lambda name: np.hypot(*np.subtract(nodes[name], point)))

    drawn = [t for t in picture.paper.texts if isinstance(t, Annotation) and t.arrowprops["color"] == color]
    return [(nearest(t.xyann), nearest(t.xy)) for t in drawn]


def test_every_value_that_flows_forward_has_its_gradient_back():
    picture = draw_bptt()
    forward, backward = (arrows(picture, color)[:-1] for color in (diagrams.MUTED, diagrams.BACKWARD))  # without key
    assert sorted(forward) == sorted((end, start) for start, end in backward)
    one_step = {
        ("annotations", r"$\alpha_{i}$"),
        ("annotations", "$c_{i}$"),
        ("$s_{i-1}$", r"$\alpha_{i}$"),  # the query is the state before
        (r"$\alpha_{i}$", "$c_{i}$"),
        ("$c_{i}$", "$s_{i}$"),
        ("$s_{i-1}$", "$s_{i}$"),
        ("$s_{i}$", r"$\ell_{i}$"),
        ("$c_{i}$", r"$\ell_{i}$"),
    }
    assert one_step <= set(forward) and not any("ell" in start for start, _ in forward)


def drawn(picture, color):
    """From where to where the arrows of one colour go, rounded, with their widths."""
    found = {}
    for arrow in (t for t in picture.paper.texts if isinstance(t, Annotation)):
        if arrow.arrowprops["color"] == color:
            found[tuple(np.round([*arrow.xyann, *arrow.xy], 2).tolist())] = arrow.arrowprops["linewidth"]
    return found


def test_rnnsearch_unrolled_asks_with_the_state_before_and_draws_every_weight():
    weights = ((0.7, 0.2, 0.1, 0.0), (0.1, 0.1, 0.2, 0.6))
    picture = draw_rnnsearch_unrolled(weights, ("a", "b", "c", "d"), ("e", "f"))
    assert [t for t in labels(picture) if "alpha" in t] == [r"$\alpha_1$", r"$\alpha_2$"]
    at = {t.get_text(): t.get_position() for t in picture.paper.texts if not isinstance(t, Annotation)}
    for i, row in enumerate(weights, start=1):
        x, y = at[rf"$\alpha_{i}$"]
        into = {a: w for a, w in drawn(picture, diagrams.CONTEXT).items() if a[2:] == (x, y)}
        assert sorted((w - 0.8) / 7 for w in into.values()) == pytest.approx(sorted(row))
        # the query is the state of the step before, which stands to the left of the weights
        asked = [a for a in drawn(picture, diagrams.DECODER) if abs(a[2] - x) < 0.5 and abs(a[3] - y) < 0.5]
        assert len(asked) == 1 and abs(asked[0][0] - at[f"$s_{i - 1}$"][0]) < 0.5
    assert "before e the thickest comes from a; before f the thickest comes from d" in picture.description


@pytest.mark.parametrize("draw", DRAWINGS)
def test_nothing_overlaps_or_leaves_the_card(draw):
    picture = draw()
    picture.draw_without_rendering()
    boxes = [p.get_window_extent() for p in picture.paper.patches if isinstance(p, FancyBboxPatch | Circle)]
    for one, other in combinations(boxes, 2):
        assert not one.padded(-2).overlaps(other.padded(-2))
    written = [t.get_window_extent() for t in picture.paper.texts if not isinstance(t, Annotation) and t.get_text()]
    for one, other in combinations(written, 2):
        assert not one.padded(-1).overlaps(other.padded(-1))
    for box in (*boxes, *written):
        assert picture.bbox.x0 < box.x0 and box.x1 < picture.bbox.x1
        assert picture.bbox.y0 < box.y0 and box.y1 < picture.bbox.y1


STAGES = ["read", "compare", "look", "update", "generate"]


def test_a_step_grows_by_one_stage_at_a_time():
    """Each stage keeps what stood there, adds something, and ends in the whole drawing."""
    shown = [set(labels(draw_rnnsearch_step(until=stage))) for stage in STAGES]
    named = {"query", "key", "weight × value", "context", "state", "word just written"}
    for before, after in zip(shown, shown[1:], strict=False):
        assert before - named < after - named
    assert shown[-1] - named == set(labels(draw_rnnsearch_step()))
    assert "$c_i$" not in shown[1] and "$s_i$" not in shown[2] and "$y_i$" not in shown[3]
    descriptions = [draw_rnnsearch_step(until=stage).description for stage in STAGES]
    assert all(after.startswith(before) for before, after in zip(descriptions, descriptions[1:], strict=False))
    with pytest.raises(CourseError, match="no stage 'lok'"):
        draw_rnnsearch_step(until="lok")


@pytest.mark.parametrize("stage", STAGES)
def test_no_name_of_an_arrow_lies_on_another_text(stage):
    picture = draw_rnnsearch_step(until=stage)
    renderer = picture.canvas.get_renderer()
    texts = [t for t in picture.paper.texts if not isinstance(t, Annotation)]
    boxes = [t.get_window_extent(renderer) for t in texts]
    assert [(a, b) for a, b in combinations(range(len(boxes)), 2) if boxes[a].overlaps(boxes[b])] == []
