"""Figures of the course: the heat map of α, curves with their bands, and the files that ``course`` writes.

Everything takes arrays and strings. Pictures come back as :class:`course_pkg.drawing.Picture`, which shows
itself in a notebook; pass ``ax`` to draw into a figure of your own. Rows of α are target words, columns source
words.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.patches import Rectangle
from matplotlib.textpath import TextToPath

from course_pkg.alpha_page import alpha_html, checked_weights, replace_file, write_alpha_html
from course_pkg.diagrams import (
    draw_birnn,
    draw_bptt,
    draw_encoder_decoder,
    draw_rnnsearch_step,
    draw_rnnsearch_unrolled,
)
from course_pkg.drawing import (
    ALPHA_COLORMAP,
    ALPHA_STOPS,
    GOLD,
    INK,
    MUTED,
    PAPER,
    SERIES,
    Number,
    Picture,
    style,
    svg,
)
from course_pkg.notation import CourseError
from course_pkg.tree_drawing import draw_search_tree

__all__ = [
    "ALPHA_COLORMAP",
    "ALPHA_STOPS",
    "Picture",
    "alignment_heatmap",
    "alpha_html",
    "alt_text",
    "draw_birnn",
    "draw_bptt",
    "draw_encoder_decoder",
    "draw_rnnsearch_step",
    "draw_rnnsearch_unrolled",
    "draw_search_tree",
    "line_with_band",
    "picture",
    "style",
    "svg",
    "training_curve",
    "write_alpha_html",
    "write_alpha_png",
]

Numbers = Sequence[Number] | np.ndarray

_LONGEST_LABEL = 26  # characters; the rest of a label becomes an ellipsis
_LARGEST = 14.0  # inches: a longer side of the matrix shrinks its cells instead
_MARKERS = ("o", "s", "^", "D", "v")
_DASHES: tuple[Any, ...] = ("solid", (0, (6, 2)), (0, (2, 1.5)), (0, (7, 2, 2, 2)), (0, (1, 1)))


def picture(width: Number = 6.4, height: Number = 3.8, description: str = "") -> Picture:
    """An empty figure in the house style, in inches; add axes with ``add_subplot`` or ``subplots``."""
    return Picture(width, height, description)


@cache
def _drawable() -> frozenset[int]:
    with style():
        return frozenset(get_font(findfont(FontProperties())).get_charmap())


def drawable_text(token: str) -> str:
    """The token as the figure's font can show it; a character that the font lacks becomes an empty square."""
    if len(token) > _LONGEST_LABEL:
        token = token[: _LONGEST_LABEL - 1] + "…"
    shown = "".join(c if c.isprintable() and ord(c) in _drawable() else "□" for c in token)
    return shown if shown.strip() else "␣" * len(shown)


def _widths(labels: Sequence[str], size: Number) -> list[float]:
    """Width of each label in inches."""
    with style():
        font, measure = FontProperties(size=size), TextToPath()
        return [measure.get_text_width_height_descent(label, font, False)[0] / 72 for label in labels]


def _label_axes(ax: Axes, source: Sequence[str], target: Sequence[str], cell: float) -> None:
    """Tokens on both axes, none touching its neighbour; in a very long sentence only every k-th. Inches."""
    size = min(11.0, max(5.0, 0.56 * 72 * cell))
    slanted = any(width > 0.92 * cell for width in _widths(source, size))
    room = size * 1.2 / 72  # a line of text
    step_x = max(1, int(np.ceil(room * (1.42 if slanted else 1.0) / cell))) if slanted else 1
    step_y = max(1, int(np.ceil(room / cell)))
    ax.set_xticks(range(0, len(source), step_x), source[::step_x])
    ax.set_yticks(range(0, len(target), step_y), target[::step_y])
    ax.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False, labelsize=size, length=0, pad=4)
    for label in (*ax.get_xticklabels(), *ax.get_yticklabels()):
        label.set_parse_math(False)  # a token may hold $ signs
    if slanted:
        for label in ax.get_xticklabels():
            label.set(rotation=45, ha="left", va="baseline", rotation_mode="anchor")


def _draw_matrix(ax: Axes, matrix: np.ndarray, gold: Iterable[tuple[int, int]], numbers: bool, cell: float) -> Any:
    rows, columns = matrix.shape
    image = ax.imshow(matrix, cmap=ALPHA_COLORMAP, vmin=0, vmax=1, interpolation="nearest", aspect="equal")
    ax.spines[:].set_visible(False)
    if cell > 0.06:
        gap: dict[str, Any] = {"colors": PAPER, "linewidths": min(1.6, 4.0 * cell)}
        ax.vlines(np.arange(1, columns) - 0.5, -0.5, rows - 0.5, **gap)
        ax.hlines(np.arange(1, rows) - 0.5, -0.5, columns - 0.5, **gap)
    for source, target in sorted(set(gold)):
        if not (0 <= source < columns and 0 <= target < rows):
            raise CourseError(f"gold link ({source}, {target}) lies outside {columns} source × {rows} target")
        for color, width, gid in ((PAPER, 3.6, None), (GOLD, 1.8, "gold")):
            thin = min(1.0, cell / 0.3)
            square = Rectangle((source - 0.45, target - 0.45), 0.9, 0.9, fill=False, edgecolor=color,
                               linewidth=width * thin, gid=gid, zorder=3)  # fmt: skip
            ax.add_patch(square)
    if numbers:
        for (row, column), value in np.ndenumerate(matrix):
            ink = "white" if value > 0.55 else "black"
            ax.text(column, row, f"{value:.2f}", ha="center", va="center", color=ink, fontsize=min(9.5, 21 * cell))
    return image


def alignment_heatmap(
    weights: Any,
    source_tokens: Sequence[str],
    target_tokens: Sequence[str],
    *,
    gold: Iterable[tuple[int, int]] | None = None,
    numbers: bool = False,
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """α as a heat map: one row per target token, one column per source token, colours from 0 to 1.

    Bahdanau et al. 2015, Figure 3, in the course's colours. Chapters 1, 5 and 8.

    ``weights`` (T, S): lists, array or tensor. ``gold``: (source, target) links, drawn as outlined squares.
    ``numbers`` writes each weight into its cell. Without ``ax`` the picture gets the size it needs and
    :func:`alt_text` as its ``description``; with ``ax`` it is drawn there and that figure is returned.

    Raises :class:`CourseError` for a matrix that does not fit its tokens, or is empty.
    """
    matrix = checked_weights(weights, source_tokens, target_tokens)
    if matrix.size == 0:
        raise CourseError("there is nothing to draw: the sentence has no tokens")
    rows, columns = matrix.shape
    source, target = (
        [drawable_text(token) for token in source_tokens],
        [drawable_text(token) for token in target_tokens],
    )
    with style():
        if ax is None:
            description = alt_text(matrix, source_tokens, target_tokens)
            ax, cell = _fitted_axes(source, target, numbers, title, description)
            _scale_bar(ax, _draw_matrix(ax, matrix, gold or (), numbers, cell))
        else:
            box = ax.get_window_extent().transformed(_root(ax).dpi_scale_trans.inverted())
            cell = 0.75 * min(box.width / columns, box.height / rows)  # labels will take about a quarter
            _draw_matrix(ax, matrix, gold or (), numbers, cell)
            if title is not None:
                ax.set_title(title, parse_math=False)
        _label_axes(ax, source, target, cell)
    return _root(ax)


def _root(ax: Axes) -> Figure:
    figure = ax.figure
    if isinstance(figure, SubFigure):
        figure = figure.figure
    assert isinstance(figure, Figure)
    return figure


def _fitted_axes(
    source: list[str], target: list[str], numbers: bool, title: str | None, description: str
) -> tuple[Axes, float]:
    """Axes of exactly the matrix's shape in a figure with just the room that its labels need; cell in inches."""
    rows, columns = len(target), len(source)
    longest = max(rows, columns)
    cell = float(np.interp(longest, [2, 12, 30, 60], [0.62, 0.42, 0.27, 0.2]))
    cell = min(max(cell, 0.46) if numbers and longest <= 12 else cell, _LARGEST / longest)
    size = min(11.0, max(5.0, 0.56 * 72 * cell))
    widths = _widths(source, size)
    slanted = any(width > 0.92 * cell for width in widths)
    edge = 0.2
    head = (0.72 * max(widths) + size / 72 if slanted else size * 1.3 / 72) + 0.12
    tail = max((0.72 * width - (columns - i - 0.5) * cell for i, width in enumerate(widths)), default=0.0)
    top = edge + head + (0.34 if title else 0.0)
    left = edge + 0.26 + max(_widths(target, size)) + 0.08
    right = edge + max(0.62, tail * slanted)
    title_width = 2 * edge + _widths([title], 11)[0] if title else 0.0
    width = max(left + columns * cell + right, title_width, 2.4)
    height = max(top + rows * cell + 0.26 + edge, 1.6)
    figure = Picture(width, height, description)
    figure.set_layout_engine("none")
    bottom = height - top - rows * cell
    axes = figure.add_axes((left / width, bottom / height, columns * cell / width, rows * cell / height))
    axes.text(-(left - edge - 0.08) / cell - 0.5, rows / 2 - 0.5, "target", rotation=90, ha="center", va="center",
              color=MUTED, fontsize=8.5)  # fmt: skip
    axes.text(columns / 2 - 0.5, rows - 0.5 + 0.17 / cell, "source", ha="center", va="center", color=MUTED,
              fontsize=8.5)  # fmt: skip
    if title:
        figure.text(edge / width, 1 - (edge + 0.07) / height, title, fontsize=11, va="center", parse_math=False)
    return axes, cell


def _scale_bar(ax: Axes, image: Any) -> None:
    figure = _root(ax)
    box = ax.get_position()
    width, height = figure.get_size_inches()
    tall = min(box.height, 2.2 / height)
    bar = figure.add_axes((box.x1 + 0.14 / width, box.y0 + (box.height - tall) / 2, 0.1 / width, tall))
    scale = figure.colorbar(image, cax=bar, ticks=[0, 1])
    scale.outline.set_visible(False)
    bar.tick_params(length=0, labelsize=8, pad=3)
    bar.text(1.9, 0.5, "α", transform=bar.transAxes, va="center", fontsize=10, color=INK)


def alt_text(weights: Any, source_tokens: Sequence[str], target_tokens: Sequence[str]) -> str:
    """The heat map in words: for each target word, the source word that it looks at most."""
    matrix = checked_weights(weights, source_tokens, target_tokens)
    if matrix.size == 0:
        return "Attention weights of an empty sentence."
    looks = [
        f"“{token}” looks most at “{source_tokens[row.argmax()]}” ({row.max():.2f})"
        for token, row in zip(target_tokens, matrix, strict=True)
    ]
    rows, columns = matrix.shape
    return f"Attention weights, {rows} target words by {columns} source words: {'; '.join(looks)}."


def write_alpha_png(path: str | os.PathLike[str], record: Mapping[str, Any]) -> None:
    """The heat map of one sentence as a PNG that carries its alt text; written whole or not at all.

    ``record`` holds ``source_tokens``, ``target_tokens`` and ``weights`` (T, S), as the JSON of
    ``course translate --alpha`` does.
    """
    figure = alignment_heatmap(record["weights"], record["source_tokens"], record["target_tokens"])
    assert isinstance(figure, Picture)
    replace_file(path, figure.png())


def _curve_axes(ax: Axes | None, title: str | None, xlabel: str, ylabel: str, description: str) -> Axes:
    if ax is None:
        ax = picture(description=description).add_subplot()
        ax.grid(axis="y")
        ax.margins(x=0.03)
    for put, text in ((ax.set_title, title), (ax.set_xlabel, xlabel), (ax.set_ylabel, ylabel)):
        if text:
            put(text)
    return ax


def line_with_band(
    x: Numbers,
    y: Numbers,
    low: Numbers | None = None,
    high: Numbers | None = None,
    *,
    label: str | None = None,
    xlabel: str = "",
    ylabel: str = "",
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """A curve and, around it, the band from ``low`` to ``high`` (a bootstrap interval, the spread over seeds).

    Draw the next curve with ``ax=figure.axes[0]``: it takes the next colour, dash and marker. Chapters 2 and 7.

    Raises :class:`CourseError` if the sequences differ in length or only one end of the band is given.
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    band = [np.asarray(end, dtype=float) for end in (low, high) if end is not None]
    if len(band) == 1:
        raise CourseError("a band needs both ends: give low and high, or neither")
    if any(end.shape != x.shape for end in (y, *band)):
        raise CourseError(f"the curve has {x.size} places on x; y, low and high need as many")
    with style():
        ax = _curve_axes(ax, title, xlabel, ylabel, f"{ylabel or 'Curve'} by {xlabel or 'x'}.")
        index = sum(line.get_gid() == "curve" for line in ax.lines)
        color = SERIES[index % len(SERIES)]
        if band:
            ax.fill_between(x, band[0], band[1], color=color, alpha=0.16, linewidth=0)
        ax.plot(x, y, color=color, marker=_MARKERS[index % len(_MARKERS)], label=label, gid="curve",
                linestyle=_DASHES[index % len(_DASHES)])  # fmt: skip
        if label:
            ax.legend()
    return _root(ax)


def training_curve(
    steps: Numbers,
    series: Mapping[str, Numbers],
    *,
    xlabel: str = "update",
    ylabel: str = "loss (nats per token)",
    reference: Mapping[str, Number] | None = None,
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Curves over training; ``series`` names each. NaN is passed over, as where nothing was validated.

    ``reference`` names horizontal lines, such as {"uniform guess, ln V": …}. Chapters 1 and 6.
    """
    steps = np.asarray(steps, dtype=float)
    with style():
        ax = _curve_axes(ax, title, xlabel, ylabel, f"{', '.join(series)}: {ylabel} by {xlabel}.")
        for index, (name, values) in enumerate(series.items()):
            values = np.asarray(values, dtype=float)
            if values.shape != steps.shape:
                raise CourseError(f"{name!r} has {values.size} values for {steps.size} steps")
            known = ~np.isnan(values)
            marker = _MARKERS[index % len(_MARKERS)] if known.sum() <= 25 else None
            ax.plot(steps[known], values[known], label=name, gid="curve", marker=marker,
                    color=SERIES[index % len(SERIES)], linestyle=_DASHES[index % len(_DASHES)])  # fmt: skip
        for name, value in (reference or {}).items():
            ax.axhline(value, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
            ax.annotate(name, (1, value), xycoords=("axes fraction", "data"), xytext=(-2, 3), ha="right",
                        textcoords="offset points", color=MUTED, fontsize=8.5)  # fmt: skip
        ax.legend()
    return _root(ax)
