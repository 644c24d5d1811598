"""The page of α holds every weight in its place, never takes a reader's text for markup, and is written whole."""

import os
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb

from course_pkg import alpha_page
from course_pkg.alpha_page import alpha_html, checked_weights, replace_file, write_alpha_html
from course_pkg.drawing import ALPHA_COLORMAP
from course_pkg.notation import CourseError

VOID = {"meta", "img"}


class Page(HTMLParser):
    """Tables as they are read: column heads, row heads, cells. Fails on a tag that is not closed in order."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.open, self.seen, self.tables, self.attributes = [], [], [], []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        self.attributes += attrs
        if tag == "table":
            self.tables.append({"columns": [], "rows": [], "cells": [], "classes": []})
        elif tag == "tr" and "tbody" in self.open:
            self.tables[-1]["cells"].append([])
            self.tables[-1]["classes"].append([])
        elif tag == "td" and "tbody" in self.open:
            self.tables[-1]["cells"][-1].append("")
            self.tables[-1]["classes"][-1].append(dict(attrs).get("class", ""))
        elif tag == "th":
            self.tables[-1]["columns" if dict(attrs)["scope"] == "col" else "rows"].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "th" in self.open:
            self.tables[-1]["columns" if "thead" in self.open else "rows"][-1] += data
        elif "td" in self.open and "tbody" in self.open:
            self.tables[-1]["cells"][-1][-1] += data


def record(source, target, weights=None):
    if weights is None:
        weights = np.random.default_rng(1).dirichlet([0.3] * len(source), size=len(target)).tolist()
    return {
        "source": " ".join(source),
        "target": " ".join(target),
        "source_tokens": source,
        "target_tokens": target,
        "weights": weights,
    }


SENTENCE = record(["the", "black", "dog", "</s>"], ["le", "chien", "noir"])


def test_every_weight_stands_in_its_row_and_column():
    (table,) = Page(alpha_html([SENTENCE])).tables
    assert table["columns"] == SENTENCE["source_tokens"]
    assert table["rows"] == SENTENCE["target_tokens"]
    assert table["cells"] == [[f"{value:.2f}" for value in row] for row in SENTENCE["weights"]]
    for classes, row in zip(table["classes"], SENTENCE["weights"], strict=True):
        assert [int(re.match(r"a(\d+)", name)[1]) for name in classes] == pytest.approx(
            [100 * value for value in row], abs=0.51
        )
        assert [name.endswith(" most") for name in classes] == [value == max(row) for value in row]


def test_one_table_per_sentence():
    other = record(["a"], ["une", "</s>"])
    assert [table["columns"] for table in Page(alpha_html([SENTENCE, other])).tables] == [
        SENTENCE["source_tokens"],
        ["a"],
    ]


HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "</td></table>",
    '"><b>',
    "' onload='x",
    "&lt;",
    "</style>",
    "<!--",
]


def test_text_is_never_markup():
    benign = record([f"w{i}" for i in range(len(HOSTILE))], ["mot"] * len(HOSTILE))
    page, reference = Page(alpha_html([record(HOSTILE, HOSTILE[::-1])])), Page(alpha_html([benign]))
    assert page.seen == reference.seen, "hostile tokens make the same elements as harmless ones"
    assert not {"script", "img", "b"} & set(page.seen)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert page.tables[0]["columns"] == HOSTILE and page.tables[0]["rows"] == HOSTILE[::-1]


def test_characters_that_html_forbids_are_replaced():
    html = alpha_html([record(["a\x00b\x1b", "\ud800", "\x85\x7f", "\ufffe"], ["שלום", "😀", "é\u00a0!"])])
    html.encode("utf-8")
    body = html.split("</style>")[1]
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe]", body)
    (table,) = Page(html).tables
    assert table["columns"][0] == "a␀b␛"
    assert table["rows"] == ["שלום", "😀", "é\u00a0!"]


def test_page_stands_alone():
    page = Page(alpha_html([SENTENCE]))
    assert {"src", "href"}.isdisjoint(name for name, _ in page.attributes)
    html = alpha_html([SENTENCE])
    assert "url(" not in html and "@import" not in html and "://" not in html
    assert ("lang", "en") in page.attributes and "prefers-color-scheme: dark" in html


def test_each_colour_has_readable_ink_and_comes_from_the_scale():
    def luminance(color):
        rgb = np.array(to_rgb(color))
        return float(np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722])

    html = alpha_html([SENTENCE])
    rules = re.findall(r"td\.a(\d+) \{ background: (#\w{6}); color: (#\w{3}); \}", html)
    assert [int(step) for step, _, _ in rules] == list(range(101))
    for step, ground, ink in rules:
        assert to_rgb(ground) == pytest.approx(ALPHA_COLORMAP(int(step) / 100)[:3], abs=0.003)
        light, dark = sorted((luminance(ground), luminance(ink)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_long_sentence_lists_its_largest_weights():
    source, target = [f"s{i}" for i in range(120)], [f"t{i}" for i in range(90)]
    weights = np.random.default_rng(0).dirichlet([0.1] * 120, size=90)
    (table,) = Page(alpha_html([record(source, target, weights.tolist())])).tables
    assert table["rows"] == target
    for (cell,), row in zip(table["cells"], weights, strict=True):
        best = sorted(range(120), key=lambda i: -row[i])[:5]
        assert cell == ", ".join(f"s{i} {row[i]:.2f}" for i in best)


def test_empty_sentence_has_no_table():
    page = Page(alpha_html([record([], [], [])]))
    assert not page.tables
    assert "No words" in alpha_html([record([], [], [])])


@pytest.mark.parametrize("kind", [list, np.array, torch.tensor])
def test_weights_come_as_lists_arrays_or_tensors(kind):
    assert checked_weights(kind([[0.25, 0.75]]), ["a", "b"], ["c"]).tolist() == [[0.25, 0.75]]


def test_weights_may_be_half_precision_and_need_gradients():
    weights = torch.tensor([[0.25, 0.75]], dtype=torch.bfloat16, requires_grad=True)
    assert checked_weights(weights, ["a", "b"], ["c"]).tolist() == [[0.25, 0.75]]


def test_misfitting_weights_are_refused():
    with pytest.raises(CourseError, match="rows are target"):
        checked_weights([[0.5], [0.5]], ["a", "b"], ["c"])
    for bad in (float("nan"), -0.5, 1.5, float("inf")):
        with pytest.raises(CourseError, match="between 0 and 1"):
            checked_weights([[bad, 0.5]], ["a", "b"], ["c"])
    assert checked_weights([[1.00001, 0.0]], ["a", "b"], ["c"]).max() == 1, "rounding is forgiven"


def test_page_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    goal = tmp_path / "alpha.html"
    write_alpha_html(goal, [SENTENCE])
    before = goal.read_text(encoding="utf-8")
    assert before == alpha_html([SENTENCE])

    with pytest.raises(CourseError):
        write_alpha_html(goal, [SENTENCE, record(["a"], ["b"], [[2.0]])])

    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full_disk)
    with pytest.raises(CourseError, match=r"cannot write .*alpha\.html: No space left on device"):
        write_alpha_html(goal, [])
    assert goal.read_text(encoding="utf-8") == before
    assert os.listdir(tmp_path) == ["alpha.html"]


def test_missing_folder_is_told_in_one_line(tmp_path):
    with pytest.raises(CourseError, match="cannot write") as error:
        replace_file(tmp_path / "none" / "alpha.html", b"")
    assert "\n" not in str(error.value)


def test_ink_is_black_or_white():
    assert {alpha_page._ink(step)[1] for step in range(101)} == {"#000", "#fff"}
