"""α over pictures as files: what ``course caption --alpha`` writes as a static page or as one picture.

As in Figures 2 to 5 of Xu et al. 2015, each word is shown with the picture, in full light where the word looks most.
The page needs no script and no other file: its pictures are small and stand in it.
"""

import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from course_pkg.alpha_page import CSS, html_text, page, replace_file
from course_pkg.drawing import Picture, style
from course_pkg.notation import CourseError
from course_pkg.widgets.region_pictures import Box, data_address, picture_of, shrunk, veiled

__all__ = ["LONGEST", "caption_figure", "caption_html", "write_caption_html", "write_caption_png"]

LONGEST = 320
"""Pixels of the longer side of the whole picture in the page and in each panel."""

_SMALL = 144  # likewise for each word's picture in the page
_BYTES, _SMALL_BYTES = 40_000, 12_000  # characters at most
_LISTED = 3
_ACROSS = 5

_MORE_CSS = """
img { border-radius: 4px; height: auto; max-width: 100%; }
table.words td, table.words th { padding: .25rem .75rem .25rem 0; text-align: left; vertical-align: middle; }
table.words td { font-size: .9rem; }
table.words td img { display: block; max-width: none; }
table.words tbody th { position: static; white-space: normal; overflow-wrap: anywhere; }
"""

Record = Mapping[str, Any]


def _checked(record: Record) -> tuple[Image.Image, np.ndarray, Box]:
    """The picture, α as maps ``(T, h, w)`` and the part of the picture that they lie on, after a look at each."""
    weights = np.asarray(record["weights"], dtype=np.float64)
    rows, columns = record["grid"]
    if weights.shape != (len(record["tokens"]), rows * columns) or not weights.size:
        raise CourseError(
            f"α has shape {weights.shape}, but there are {len(record['tokens'])} words and {rows} × {columns} regions"
        )
    if not np.isfinite(weights).all() or weights.min() < 0 or (weights.max(axis=1) <= 0).any():
        raise CourseError("α must be finite, not negative, and not 0 everywhere; it holds other values")
    left, upper, right, lower = record["box"] or (0.0, 0.0, 1.0, 1.0)
    return picture_of(record["picture"]), weights.reshape(-1, rows, columns), (left, upper, right, lower)


def _img(picture: Image.Image, most: int, alt: str) -> str:
    return f'<img src="{data_address(picture, most)}" width="{picture.width}" height="{picture.height}" alt="{alt}">'


def _strongest(weights: np.ndarray) -> str:
    """The regions with the largest weights, in words."""
    best = np.argsort(-weights, axis=None, kind="stable")[:_LISTED]
    places = zip(*np.unravel_index(best, weights.shape), strict=True)
    return ", ".join(f"row {row + 1}, column {column + 1}: {weights[row, column]:.3f}" for row, column in places)


def _section(number: int, record: Record) -> str:
    picture, maps, box = _checked(record)
    small, gate = shrunk(picture, _SMALL), record["gate"]
    rows = []
    for step, (token, weights) in enumerate(zip(record["tokens"], maps, strict=True)):
        cells = [_img(veiled(small, weights, box), _SMALL_BYTES, "")]
        numbers = [] if gate is None else [f"{gate[step]:.2f}"]
        numbers.append(_strongest(weights))
        rows.append(
            f'<tr><td>{cells[0]}</td><th scope="row"><bdi>{html_text(token)}</bdi></th>'
            + "".join(f"<td>{cell}</td>" for cell in numbers)
            + "</tr>"
        )
    heads = ["picture", "word", *([] if gate is None else ["β"]), "regions with the largest α"]
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    high, wide = maps.shape[1:]
    body = "\n".join(rows)
    return f"""<section aria-labelledby="s{number}">
<h2 id="s{number}"><bdi>{html_text(record["caption"])}</bdi></h2>
<p class="note"><bdi>{html_text(record["image"])}</bdi></p>
{_img(shrunk(picture, LONGEST), _BYTES, html_text(record["caption"]))}
<div class="scroll" role="region" aria-labelledby="s{number}" tabindex="0">
<table class="words"><caption>{high} × {wide} regions, counted from the upper left of what the model saw.</caption>
<thead><tr>{head}</tr></thead>
<tbody>
{body}
</tbody></table>
</div>
</section>"""


def caption_html(records: Sequence[Record]) -> str:
    """The page for ``records``: `course_pkg.captioner.Caption.to_record`, and the upright ``picture`` with each.

    Raises :class:`CourseError` for weights that do not fit their words and regions.
    """
    sections = "\n".join(_section(number, record) for number, record in enumerate(records, start=1))
    return page(
        f"{CSS}{_MORE_CSS}",
        f"""<p>While it writes a word, the model looks at the picture. The attention weights α of the regions add up
to 1 for each word. In full light: where the word looks most; what is darker counts less. What lies outside the part
that the model sees stays dark. The gate β says how much of what it saw went into the word.</p>
{sections}""",
    )


def write_caption_html(path: str | os.PathLike[str], records: Sequence[Record]) -> None:
    """Write :func:`caption_html` to ``path``: whole or not at all."""
    replace_file(path, caption_html(records).encode("utf-8"))


def caption_figure(record: Record) -> Picture:
    """The picture, then once more for each word, in full light where it looks: Xu et al. 2015, Figures 2 to 5.

    ``record`` as in `caption_html`. Raises :class:`CourseError` for weights that do not fit.
    """
    from course_pkg.plotting import drawable_text

    picture, maps, box = _checked(record)
    shown = shrunk(picture, LONGEST)
    panels = [
        (shown, record["image"]),
        *((veiled(shown, w, box), t) for t, w in zip(record["tokens"], maps, strict=True)),
    ]
    across = min(_ACROSS, len(panels))
    down = math.ceil(len(panels) / across)
    tall = 1.9 * shown.height / shown.width
    looks = "; ".join(f"“{t}” {_strongest(w)}" for t, w in zip(record["tokens"], maps, strict=True))
    with style():
        figure = Picture(1.95 * across + 0.3, min((tall + 0.32) * down + 0.3, 60.0),
                         f"{record['caption']}. Where each word looks most: {looks}.")  # fmt: skip
        for place, (image, title) in enumerate(panels):
            ax = figure.add_subplot(down, across, place + 1)
            ax.imshow(np.asarray(image), aspect="equal")
            ax.set_axis_off()
            ax.set_title(drawable_text(title), fontsize=10, pad=4, loc="center", parse_math=False)
    return figure


def write_caption_png(path: str | os.PathLike[str], record: Record) -> None:
    """:func:`caption_figure` as a PNG that carries its alt text; written whole or not at all."""
    replace_file(path, caption_figure(record).png())
