"""Sphinx extension: the ``parameter-table`` directive counts RNNsearch, matrix by matrix.

The model is the one that the recipe of Bahdanau et al. 2015 describes, built without memory (on the meta device), so
names, shapes and counts are the package's own. What each tensor holds in the letters of the paper stands here; a
parameter that is missing below, or one too many, ends the build.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from torch import nn

from course_pkg import models, recipes

RECIPE = "bahdanau2015-rnnsearch"
SPACE = "\N{NARROW NO-BREAK SPACE}"
HEADS = ("in the paper", "shape there", "in the package", "shape here", "numbers")


def three(letter: str, accent: str = "") -> list[str]:
    """The paper's names of three matrices that the package stacks: reset, update, candidate."""
    letter = f"{accent} {letter}".strip()
    return [f"{letter}_r", f"{letter}_z", letter]


# Section, then the package's parameter: the paper's matrices in it, from the first row on, and their shape there.
LETTERS: dict[str, dict[str, tuple[list[str], str]]] = {
    "Encoder": {
        "encoder.embedding.weight": ([r"\overline E"], r"m \times K_x"),
        "encoder.forward_unit.weight_ih": (three("W", r"\overrightarrow"), r"n \times m"),
        "encoder.forward_unit.weight_hh": (three("U", r"\overrightarrow"), r"n \times n"),
        "encoder.backward_unit.weight_ih": (three("W", r"\overleftarrow"), r"n \times m"),
        "encoder.backward_unit.weight_hh": (three("U", r"\overleftarrow"), r"n \times n"),
    },
    "Alignment model": {
        "decoder.attention.score.W_a.weight": (["W_a"], r"n' \times n"),
        "decoder.attention.score.U_a.weight": (["U_a"], r"n' \times 2n"),
        "decoder.attention.score.v_a": (["v_a"], "n'"),
    },
    "Decoder": {
        "decoder.embedding.weight": (["E"], r"m \times K_y"),
        "decoder.W_s.weight": (["W_s"], r"n \times n"),
        "decoder.unit.weight_ih": (three("W"), r"n \times m"),
        "decoder.unit.weight_hh": (three("U"), r"n \times n"),
        "decoder.C.weight": (three("C"), r"n \times 2n"),
    },
    "Output": {
        "decoder.output.U_o.weight": (["U_o"], r"2l \times n"),
        "decoder.output.V_o.weight": (["V_o"], r"2l \times m"),
        "decoder.output.C_o.weight": (["C_o"], r"2l \times 2n"),
        "decoder.output.W_o.weight": (["W_o"], r"K_y \times l"),
    },
}


@dataclass(frozen=True)
class Matrix:
    """One matrix or vector of the paper, and where the package keeps it."""

    section: str
    name: str
    letters: str
    stored: str
    shape: tuple[int, ...]

    @property
    def count(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)


def full_size(*, bias: bool) -> nn.Module:
    """The recipe's model, without memory for its numbers."""
    recipe = recipes.read(RECIPE)
    settings = {key: value for key, value in recipe.model.items() if key not in ("architecture", "bias")}
    size = recipe.vocabulary.size
    with torch.device("meta"):
        return models.rnnsearch(source_vocabulary=size, target_vocabulary=size, bias=bias, **settings)


def matrices() -> list[Matrix]:
    """Every matrix of the model without biases, in the order of the table; stacked ones one by one."""
    stored = dict(full_size(bias=False).named_parameters())
    named = {name for section in LETTERS.values() for name in section}
    if named != set(stored):
        raise RuntimeError(f"The table of parameters and the model differ in {sorted(named ^ set(stored))}.")
    found = []
    for section, tensors in LETTERS.items():
        for name, (papers, letters) in tensors.items():
            rows, *columns = stored[name].shape
            height = rows // len(papers)
            for number, paper in enumerate(papers):
                start, end = number * height, (number + 1) * height
                place = f"[{start or ''}:{end if end < rows else ''}]" if len(papers) > 1 else ""
                found.append(Matrix(section, paper, letters, name + place, (height, *columns)))
    return found


def biases() -> list[Matrix]:
    """What ``bias=True`` adds, in the order of the model."""
    stored = full_size(bias=True).named_parameters()
    return [Matrix("Biases", "", "", name, tuple(value.shape)) for name, value in stored if "bias" in name]


# --- drawing ----------------------------------------------------------------------------------------------------


def number(value: int) -> str:
    """A count as people read it."""
    return f"{value:,}".replace(",", SPACE)


def formula(text: str) -> nodes.Node:
    """Mathematics in a cell; a dash where there is none."""
    return nodes.math("", text) if text else nodes.inline("", "–")


def cells(matrix: Matrix) -> list[nodes.Node]:
    """A row of the table."""
    shape = " × ".join(map(number, matrix.shape))
    return [
        formula(matrix.name),
        formula(matrix.letters),
        nodes.literal("", matrix.stored),
        nodes.inline("", shape),
        nodes.inline("", number(matrix.count)),
    ]


def sum_cells(label: str, total: int) -> list[nodes.Node]:
    """A row that adds up those above."""
    empty = [nodes.inline("", "") for _ in HEADS[2:]]
    return [nodes.strong("", label), *empty, nodes.strong("", number(total))]


def row_node(contents: Iterable[nodes.Node]) -> nodes.row:
    """One row; a cell that says nothing stays empty."""
    row = nodes.row()
    for content in contents:
        row += nodes.entry("", *([nodes.paragraph("", "", content)] if content.astext() else []))
    return row


def table_node(parts: dict[str, list[Matrix]], total: str) -> nodes.table:
    """The parts one below the other, each with its sum, and the sum of all."""
    group = nodes.tgroup(cols=len(HEADS))
    group += [nodes.colspec(colwidth=1) for _ in HEADS]
    group += nodes.thead("", row_node(nodes.inline("", head) for head in HEADS))
    body = nodes.tbody()
    for part, rows in parts.items():
        body += [row_node(cells(matrix)) for matrix in rows]
        if len(parts) > 1:
            body += row_node(sum_cells(part, sum(matrix.count for matrix in rows)))
    body += row_node(sum_cells(total, sum(matrix.count for rows in parts.values() for matrix in rows)))
    group += body
    return nodes.table("", group, classes=["results", "parameters"])


class ParameterTable(SphinxDirective):
    """``{parameter-table}``: the weights; ``{parameter-table} biases``: the biases, which the paper does not write."""

    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        """The table."""
        if self.arguments == ["biases"]:
            return [table_node({"Biases": biases()}, "All biases")]
        if self.arguments:
            raise self.error(f"parameter-table knows biases, not {self.arguments[0]}.")
        parts: dict[str, list[Matrix]] = {}
        for matrix in matrices():
            parts.setdefault(matrix.section, []).append(matrix)
        return [table_node(parts, "All weights")]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("parameter-table", ParameterTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
