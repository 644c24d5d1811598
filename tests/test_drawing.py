"""The house style keeps to itself, the colour scale is even, and the drawings hold what the papers' figures hold."""

import io
import subprocess
import sys
from itertools import combinations, pairwise
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.patches import Circle, FancyBboxPatch
from matplotlib.text import Annotation
from PIL import Image

from course_pkg import drawing
from course_pkg.drawing import (
    ALPHA_COLORMAP,
    ALPHA_STOPS,
    Picture,
    draw_birnn,
    draw_encoder_decoder,
    draw_rnnsearch_step,
    style,
    svg,
)

DRAWINGS = [draw_encoder_decoder, draw_birnn, draw_rnnsearch_step]


def luminance(color):
    rgb = np.array(to_rgb(color))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one, other):
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_alpha_scale_grows_evenly_darker():
    """Even CIE lightness: equal steps of α look equally large to every kind of colour vision, and in grey print."""
    lightness = [116 * np.cbrt(luminance(ALPHA_COLORMAP(value))) - 16 for value in np.linspace(0, 1, 101)]
    steps = -np.diff(lightness)
    assert steps.min() > 0.5 * steps.mean() and steps.max() < 1.5 * steps.mean()
    assert lightness[0] > 95 and lightness[-1] < 16


def test_alpha_scale_runs_through_its_stops():
    for value, stop in zip(np.linspace(0, 1, len(ALPHA_STOPS)), ALPHA_STOPS, strict=True):
        assert ALPHA_COLORMAP(value)[:3] == pytest.approx(to_rgb(stop), abs=0.01)


@pytest.mark.parametrize("color", [*drawing.SERIES, drawing.INK, drawing.MUTED, drawing.GOLD])
def test_what_is_drawn_stands_out_from_the_card(color):
    assert contrast(color, drawing.PAPER) >= (3.0 if color == drawing.GOLD else 4.5)


def test_style_ends_with_its_block():
    before = dict(matplotlib.rcParams)
    with pytest.raises(RuntimeError), style():
        assert matplotlib.rcParams["figure.facecolor"] == drawing.PAPER
        raise RuntimeError
    draw_birnn().png(40)
    assert dict(matplotlib.rcParams) == before


def test_import_changes_no_global_state():
    code = """
import sys, matplotlib
def settings():  # reading the backend would load pyplot
    return {name: matplotlib.rcParams[name] for name in matplotlib.rcParams if name != "backend"}
before = settings()
import course_pkg.plotting
assert settings() == before
assert "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_picture_is_an_opaque_card_with_open_corners():
    image = np.array(Image.open(io.BytesIO(Picture(3, 2)._repr_png_())).convert("RGBA"))
    assert image[0, 0, 3] == image[-1, -1, 3] == 0
    middle = image[image.shape[0] // 2, image.shape[1] // 2]
    assert tuple(middle / 255) == pytest.approx((*to_rgb(drawing.PAPER), 1.0), abs=0.01)


@pytest.mark.parametrize("draw", DRAWINGS)
def test_svg_is_well_formed_named_and_repeatable(draw):
    picture = draw()
    text = svg(picture)
    root = ElementTree.fromstring(text)
    assert root.tag.endswith("svg") and root.get("role") == "img" and "viewBox" in root.attrib
    assert root.get("aria-label") == picture.description
    assert "width" not in root.attrib and "max-width" in root.get("style")
    assert text == draw()._repr_svg_()


def test_svg_escapes_its_description():
    text = svg(Picture(2, 2), 'x" onload="alert(1) <b>')
    assert ElementTree.fromstring(text).get("aria-label") == 'x" onload="alert(1) <b>'


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
    runs = {drawing._ENCODER: set(), drawing._BACKWARD: set()}
    for arrow in (t for t in picture.paper.texts if isinstance(t, Annotation)):
        (x0, y0), (x1, y1) = arrow.xyann, arrow.xy
        if y0 == y1:
            runs[arrow.arrowprops["color"]].add(np.sign(x1 - x0))
    assert runs == {drawing._ENCODER: {1}, drawing._BACKWARD: {-1}}


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


def test_series_differ():
    assert all(contrast("white", a) != contrast("white", b) for a, b in pairwise(drawing.SERIES))


def test_a_notebook_gets_the_fields_of_the_picture_exactly_in_far_fewer_bytes():
    picture = Picture(3, 2)
    shades = np.linspace(0, 1, 12)[None]
    picture.add_subplot().imshow(shades, cmap=drawing.ALPHA_COLORMAP, vmin=0, vmax=1, interpolation="nearest")
    whole, shown = picture.png(), picture._repr_png_()
    before, after = (np.array(Image.open(io.BytesIO(png)).convert("RGBA")) for png in (whole, shown))
    for shade in shades[0]:
        field = (before == drawing.ALPHA_COLORMAP(shade, bytes=True)).all(axis=-1)
        assert field.sum() > 100 and (after[field] == before[field]).all()
    assert abs(after.astype(int) - before).mean() < 0.5 and len(shown) < 0.6 * len(whole)
