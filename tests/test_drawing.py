"""The house style keeps to itself, the colour scale is even, and a picture shows itself as it is."""

import io
import subprocess
import sys
from itertools import pairwise
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from course_pkg import drawing
from course_pkg.drawing import ALPHA_COLORMAP, ALPHA_STOPS, Picture, style, svg


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
    Picture(2, 1).png(40)
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


def test_svg_escapes_its_description():
    text = svg(Picture(2, 2), 'x" onload="alert(1) <b>')
    assert ElementTree.fromstring(text).get("aria-label") == 'x" onload="alert(1) <b>'


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
