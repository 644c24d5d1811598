"""A beam's search drawn as a tree: one row a step, the best beginning left. Chapter 7.

`course_pkg.search_tree.SearchTree` collects the columns; anybody's lists will do.
"""

import math
from collections.abc import Sequence

from course_pkg.diagrams import DECODER, Diagram
from course_pkg.drawing import INK, MUTED, Picture
from course_pkg.notation import CourseError

__all__ = ["draw_search_tree"]

_KINDS = {"lives": "decoder", "ends": "context", "dropped": "word"}
_ROW, _GAP, _HEIGHT = 1.05, 0.3, 0.62  # distance of rows, room between nodes, height of a node
_LONGEST = 18  # characters of a word


def draw_search_tree(
    parents: Sequence[int],
    words: Sequence[str],
    log_probs: Sequence[float],
    fates: Sequence[str],
    *,
    path: Sequence[int] = (),
    dropped: int = 1,
) -> Picture:
    """The tree that a beam searched, from the empty beginning at the top; in each row the likeliest is left.

    Every node shows the word that it appends and the probability of the whole beginning down to it. Orange nodes
    live on, green ones are finished, white ones were dropped. Chapter 7.

    Args:
        parents: row that each node extends, an earlier one; −1 is the empty beginning.
        words: the word of each node.
        log_probs: log p of the beginning that ends in the node.
        fates: ``"lives"``, ``"ends"`` or ``"dropped"``.
        path: rows to draw with a thick line, such as the hypothesis that was found.
        dropped: how many dropped nodes to show in a row, the likeliest first.

    Raises:
        CourseError: the columns differ in length or are empty, or a row is not as described.
    """
    _check(parents, words, log_probs, fates)
    depths: list[int] = []
    for parent in parents:
        depths.append(0 if parent < 0 else depths[parent] + 1)
    rows = [_shown(depths, log_probs, fates, depth, dropped) for depth in range(max(depths) + 1)]
    labels = [word if len(word) <= _LONGEST else word[: _LONGEST - 1] + "…" for word in words]
    wide = max(0.95, *(0.118 * len(labels[node]) + 0.26 for row in rows for node in row))
    columns = max(map(len, rows))
    width, height = columns * (wide + _GAP) + 0.1, (len(rows) + 0.75) * _ROW
    drawing = Diagram(width, height, _in_words(rows, words, log_probs, fates))
    root = ((wide + _GAP) / 2, height - 0.35)
    places = {
        node: ((column + 0.5) * (wide + _GAP), root[1] - (depth + 0.9) * _ROW)
        for depth, row in enumerate(rows)
        for column, node in enumerate(row)
    }
    drawing.node(*root, "", "word", 0.36, 0.3)
    for node, (x, y) in places.items():
        above = root if parents[node] < 0 else places[parents[node]]
        start = (above[0], above[1] - (0.17 if parents[node] < 0 else _HEIGHT / 2 + 0.02))
        main, gone = node in path, fates[node] == "dropped"
        color = DECODER if main else MUTED
        drawing.arrow(start, (x, y + _HEIGHT / 2 + 0.03), color=color, width=2.4 if main else 1.1, dashed=gone)
        drawing.node(x, y, "", _KINDS[fates[node]], wide, _HEIGHT)
        drawing.write(x, y + 0.12, labels[node], 10, color=MUTED if gone else INK, parse_math=False)
        drawing.write(x, y - 0.17, _probability(log_probs[node]), 8.5, color=MUTED if gone else INK)
    return drawing


def _check(parents: Sequence[int], words: Sequence[str], log_probs: Sequence[float], fates: Sequence[str]) -> None:
    if len({len(column) for column in (parents, words, log_probs, fates)}) > 1 or not len(parents):
        raise CourseError("a search tree needs a parent, a word, a log-probability and a fate for each of its nodes")
    for node, (parent, fate) in enumerate(zip(parents, fates, strict=True)):
        if not -1 <= parent < node:
            raise CourseError(f"node {node} has the parent {parent}: it must be an earlier node, or -1")
        if fate not in _KINDS:
            raise CourseError(f"node {node} has the fate {fate!r}: choose {', '.join(_KINDS)}")
        if parent >= 0 and fates[parent] != "lives":
            raise CourseError(f"node {node} extends node {parent}, which does not live on")


def _shown(depths: list[int], log_probs: Sequence[float], fates: Sequence[str], depth: int, dropped: int) -> list[int]:
    """The nodes of one step that are drawn, likeliest first."""
    here = sorted((node for node, at in enumerate(depths) if at == depth), key=lambda node: -log_probs[node])
    gone = [node for node in here if fates[node] == "dropped"][dropped:]
    return [node for node in here if node not in gone]


def _probability(log_prob: float) -> str:
    p = math.exp(log_prob)
    return f"{p:.3f}" if p >= 0.0005 else f"{p:.0e}"


def _in_words(rows: list[list[int]], words: Sequence[str], log_probs: Sequence[float], fates: Sequence[str]) -> str:
    steps = [
        f"Step {step}: " + ", ".join(f"“{words[node]}” {_probability(log_probs[node])} {fates[node]}" for node in row)
        for step, row in enumerate(rows, start=1)
    ]
    return "Search tree, the likeliest beginning first in each step. " + ". ".join(steps) + "."
