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
HEADS = ("in the paper", "in the package", "shape", "numbers")


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
# The package's biases: what each is added to, and its shape in the letters of the paper.
BIASES = {
    "encoder.forward_unit.bias_ih": (r"\overrightarrow{\underline h}_i", "n"),
    "encoder.backward_unit.bias_ih": (r"\overleftarrow{\underline h}_i", "n"),
    "decoder.W_s.bias": ("s_0", "n"),
    "decoder.unit.bias_ih": (r"\tilde s_i", "n"),
    "decoder.output.U_o.bias": (r"\tilde t_i", "2l"),
    "decoder.output.W_o.bias": ("W_o t_i", "K_y"),
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


def require_same(named: Iterable[str], stored: Iterable[str]) -> None:
    """A parameter without a letter, or a letter without a parameter, ends the build."""
    if different := set(named) ^ set(stored):
        raise RuntimeError(f"The table of parameters and the model differ in {sorted(different)}.")


def matrices() -> list[Matrix]:
    """Every matrix of the model without biases, in the order of the table; stacked ones one by one."""
    stored = dict(full_size(bias=False).named_parameters())
    require_same((name for tensors in LETTERS.values() for name in tensors), stored)
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
    """What ``bias=True`` adds."""
    stored = dict(full_size(bias=True).named_parameters())
    require_same(BIASES, stored.keys() - dict(full_size(bias=False).named_parameters()).keys())
    return [Matrix("Biases", *letters, name, tuple(stored[name].shape)) for name, letters in BIASES.items()]


# --- drawing ----------------------------------------------------------------------------------------------------


def number(value: int) -> str:
    """A count as people read it."""
    return f"{value:,}".replace(",", SPACE if value >= 10_000 else "")


def plain(text: str) -> nodes.Node:
    """Text in a cell."""
    return nodes.inline("", text)


def row_node(contents: Iterable[nodes.Node | None]) -> nodes.row:
    """One row; a cell of nothing joins the one before it."""
    row = nodes.row()
    for content in contents:
        if content is None:
            row[-1]["morecols"] = row[-1].get("morecols", 0) + 1
        else:
            row += nodes.entry("", nodes.paragraph("", "", content))
    return row


def matrix_row(matrix: Matrix) -> nodes.row:
    """One matrix: the paper's name with its shape there, where it is kept, its shape there, how many numbers."""
    written = nodes.math("", rf"{matrix.name} \in \mathbb R^{{{matrix.letters}}}")
    shape = plain(" × ".join(map(number, matrix.shape)))
    return row_node([written, nodes.literal("", matrix.stored), shape, plain(number(matrix.count))])


def sum_row(label: str, matrices: Iterable[Matrix]) -> nodes.row:
    """The sum of the matrices."""
    total = number(sum(matrix.count for matrix in matrices))
    return row_node([nodes.strong("", label), None, None, nodes.strong("", total)])


def table_node(rows: list[Matrix], first: str, total: str) -> nodes.table:
    """The matrices, each section with its sum below it where there are several, and the sum of all."""
    group = nodes.tgroup(cols=len(HEADS))
    group += [nodes.colspec(colwidth=1) for _ in HEADS]
    group += nodes.thead("", row_node(map(plain, (first, *HEADS[1:]))))
    body = nodes.tbody()
    sections = {matrix.section: [one for one in rows if one.section == matrix.section] for matrix in rows}
    for section, part in sections.items():
        body += [matrix_row(matrix) for matrix in part]
        if len(sections) > 1:
            body += sum_row(f"{section}: sum", part)
    body += sum_row(total, rows)
    group += body
    return nodes.table("", group, classes=["parameters"])


class ParameterTable(SphinxDirective):
    """``{parameter-table}``: the weights; ``{parameter-table} biases``: the biases, which the paper does not write."""

    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        """The table."""
        if self.arguments == ["biases"]:
            return [table_node(biases(), "added to", "All biases")]
        if self.arguments:
            raise self.error(f"parameter-table knows biases, not {self.arguments[0]}.")
        return [table_node(matrices(), HEADS[0], "All weights")]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("parameter-table", ParameterTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
