"""The page and the picture of a caption: each word with its picture, text never markup, written whole."""

import base64
import io
import os
import re

import numpy as np
import pytest
from PIL import Image
from test_alpha_page import HOSTILE, Page
from tiny_models import noise

from course_pkg.caption_page import LONGEST, caption_figure, caption_html, write_caption_html, write_caption_png
from course_pkg.notation import CourseError


def record(tokens=("a", "dog", "</s>"), image="dog.jpg", weights=None, picture=None, box=None, gate=True):
    if weights is None:
        weights = np.random.default_rng(1).dirichlet(np.full(16, 0.3), len(tokens)).tolist()
    return {
        "image": image,
        "caption": " ".join(tokens[:-1]),
        "tokens": list(tokens),
        "grid": [4, 4],
        "box": box,
        "weights": weights,
        "gate": [0.25 + 0.01 * step for step in range(len(tokens))] if gate else None,
        "picture": picture or noise(3, 400, 200),
    }


def pictures(html):
    found = re.findall(r'src="data:image/\w+;base64,([^"]+)" width="(\d+)" height="(\d+)"', html)
    return [(Image.open(io.BytesIO(base64.b64decode(data))), int(w), int(h)) for data, w, h in found]


def plain(width, height):
    """A picture of one light grey."""
    return Image.new("RGB", (width, height), (220, 220, 220))


def brightest(values):
    """Which quarter of an image is brightest: row and column, 0 or 1."""
    high, wide = values.shape[0] // 2, values.shape[1] // 2
    quarters = {(r, c): values[r * high :, c * wide :][:high, :wide].mean() for r in (0, 1) for c in (0, 1)}
    return max(quarters, key=quarters.get)


def test_each_word_has_its_picture_and_its_strongest_regions():
    one = record()
    html = caption_html([one])
    (table,) = Page(html).tables
    assert table["rows"] == one["tokens"]
    assert table["columns"] == ["picture", "word", "β", "regions with the largest α"]
    for (_, gate, listed), row, beta in zip(table["cells"], one["weights"], one["gate"], strict=True):
        best = sorted(range(16), key=lambda i: -row[i])[:3]
        assert listed == ", ".join(f"row {i // 4 + 1}, column {i % 4 + 1}: {row[i]:.3f}" for i in best)
        assert gate == f"{beta:.2f}"
    shown = pictures(html)
    assert len(shown) == 1 + 3
    assert shown[0][1:] == (LONGEST, LONGEST // 2)
    assert [value for name, value in Page(html).attributes if name == "alt"] == ["a dog", "", "", ""]
    assert "β" not in Page(caption_html([record(gate=False)])).tables[0]["columns"]


@pytest.mark.parametrize("region", [0, 3, 12, 15])
def test_the_light_falls_where_the_word_looks(region):
    white = plain(160, 160)
    html = caption_html([record(["dog", "</s>"], weights=np.eye(16)[[region, 5]].tolist(), picture=white)])
    values = np.asarray(pictures(html)[1][0].convert("L"), dtype=float)
    assert brightest(values) == (region // 8, region % 4 // 2)


def test_what_the_model_did_not_see_is_dark():
    white = plain(288, 144)
    one = record(["dog", "</s>"], weights=[[1 / 16] * 16] * 2, picture=white, box=[0.25, 0.0, 0.75, 1.0])
    values = np.asarray(pictures(caption_html([one]))[1][0].convert("L"), dtype=float)
    assert values[:, 40:100].min() > 200 > 120 > values[:, :30].max()


def test_text_is_never_markup():
    harmless = record([f"w{i}" for i in range(len(HOSTILE))])
    html, reference = caption_html([record(HOSTILE, image=HOSTILE[0])]), caption_html([harmless])
    page = Page(html)
    assert page.seen == Page(reference).seen and page.tables[0]["rows"] == HOSTILE
    assert ("alt", " ".join(HOSTILE[:-1])) in page.attributes
    assert "script" not in page.seen and not [name for name, _ in page.attributes if name.startswith("on")]


def test_the_page_stands_alone_and_stays_small():
    html = caption_html([record([f"w{i}" for i in range(20)]) for _ in range(3)])
    page = Page(html)
    names = [value for name, value in page.attributes if name == "id"]
    assert len(set(names)) == len(names) == 3  # a section each, which names its table too
    assert sorted(value for name, value in page.attributes if name == "aria-labelledby") == sorted(2 * names)
    assert all(value.startswith("data:image/") for name, value in page.attributes if name in ("src", "href"))
    assert "://" not in html and "url(" not in html and "prefers-color-scheme: dark" in html
    assert len(html) / 3 < 40_000 + 20 * 13_000


def test_the_picture_has_a_panel_for_each_word():
    figure = caption_figure(record(["a", "$dog$", "🐕\x07", "</s>"]))
    titles = [ax.get_title() for ax in figure.axes]
    assert titles[:3] == ["dog.jpg", "a", "$dog$"] and titles[4] == "</s>" and len(titles) == 5
    assert "“$dog$” row" in figure.description
    png = figure.png()
    with Image.open(io.BytesIO(png)) as shown:
        assert "Where each word looks most" in shown.text["Description"]


def test_each_panel_and_each_phrase_of_the_alt_text_is_about_its_own_word():
    one = record(["a", "b", "c", "</s>"], weights=np.eye(16)[[0, 3, 12, 15]].tolist(), picture=plain(160, 160))
    figure = caption_figure(one)
    corners = {"a": (0, 0), "b": (0, 1), "c": (1, 0), "</s>": (1, 1)}
    for ax, (word, (row, column)) in zip(figure.axes[1:], corners.items(), strict=True):
        assert ax.get_title() == word
        assert f"“{word}” row {3 * row + 1}, column {3 * column + 1}: 1.000" in figure.description
        assert brightest(np.asarray(ax.images[0].get_array(), dtype=float).mean(axis=2)) == (row, column)


def test_a_long_caption_is_drawn():
    with Image.open(io.BytesIO(caption_figure(record([f"w{i}" for i in range(40)])).png())) as shown:
        assert max(shown.size) < 12_000


@pytest.mark.parametrize(
    "weights", [[[1.0] * 9] * 3, [[1 / 16] * 16] * 2, [[float("nan")] * 16] * 3, [[0.0] * 16] * 3, [[-1.0] * 16] * 3]
)
def test_what_does_not_fit_is_refused(weights, tmp_path):
    for write, name in ((lambda p, r: write_caption_html(p, [r]), "a.html"), (write_caption_png, "a.png")):
        with pytest.raises(CourseError, match="α"):
            write(tmp_path / name, record(weights=weights))
    assert os.listdir(tmp_path) == []


def test_files_are_written_whole_or_not_at_all(tmp_path, monkeypatch):
    for write, name in ((lambda p, r: write_caption_html(p, [r]), "a.html"), (write_caption_png, "a.png")):
        (tmp_path / name).write_text("old")

        def full_disk(*_):
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", full_disk)
            with pytest.raises(CourseError, match="No space left"):
                write(tmp_path / name, record())
        assert (tmp_path / name).read_text() == "old"
    assert sorted(os.listdir(tmp_path)) == ["a.html", "a.png"]
