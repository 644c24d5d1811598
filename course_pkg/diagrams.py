"""The architectures of the chapters, drawn as boxes and arrows: vectors, in the house style.

Blue is the encoder, violet its backward half, orange the decoder, green the context and what leads to it.
Gradients are violet too: they run backward.
"""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import Circle, FancyBboxPatch

from course_pkg.drawing import INK, MUTED, Number, Picture, style, svg
from course_pkg.notation import CourseError

__all__ = [
    "Diagram",
    "draw_birnn",
    "draw_bptt",
    "draw_encoder_decoder",
    "draw_rnnsearch_step",
    "draw_rnnsearch_unrolled",
]

KINDS = {  # fill, edge
    "word": ("#ffffff", "#8a909b"),
    "encoder": ("#dcebf5", "#0a6aa6"),
    "backward": ("#e9e0f1", "#7b3f98"),
    "context": ("#d9eee3", "#1d7a5a"),
    "decoder": ("#fbe4d8", "#c2491d"),
}
ENCODER, BACKWARD, CONTEXT, DECODER = (KINDS[kind][1] for kind in ("encoder", "backward", "context", "decoder"))
DOTS = r"$\cdots$"


class Diagram(Picture):
    """A picture of boxes and arrows: shown as vectors, one data unit is ``scale`` inches.

    ``paper`` is the axes; draw with ``node``, ``disc``, ``write`` and ``arrow``.
    """

    def __init__(self, width: Number, height: Number, description: str, scale: float = 0.8) -> None:
        super().__init__(width * scale + 0.3, height * scale + 0.3, description)
        with style():
            self.paper: Axes = self.add_subplot(xlim=(0, width), ylim=(0, height), aspect="equal")
        self.paper.set_axis_off()

    def _repr_svg_(self) -> str:
        return svg(self)

    def node(self, x: Number, y: Number, label: str, kind: str, width: Number = 0.66, height: Number = 0.56,
             size: Number = 13) -> None:  # fmt: skip
        """A rounded box in the colours of its ``kind``, a key of ``KINDS``."""
        fill, edge = KINDS[kind]
        self.paper.add_patch(
            FancyBboxPatch(
                (x - width / 2, y - height / 2),
                width,
                height,
                boxstyle="round,pad=0,rounding_size=0.1",
                facecolor=fill,
                edgecolor=edge,
                linewidth=1.2,
                zorder=3,
            )
        )
        self.write(x, y, label, size=size)

    def disc(self, x: Number, y: Number, label: str, kind: str, radius: Number = 0.27, size: Number = 12) -> None:
        """A circle in the colours of its ``kind``."""
        fill, edge = KINDS[kind]
        self.paper.add_patch(Circle((x, y), radius, facecolor=fill, edgecolor=edge, linewidth=1.2, zorder=3))
        self.write(x, y, label, size=size)

    def write(self, x: Number, y: Number, label: str, size: Number = 9.5, **kwargs: Any) -> None:
        """Text, centred unless matplotlib's keyword arguments say otherwise."""
        options: dict[str, Any] = {"ha": "center", "va": "center", "zorder": 4} | kwargs
        with style():
            self.paper.text(x, y, label, fontsize=size, **options)

    def arrow(self, *points: tuple[Number, Number], color: str = INK, width: Number = 1.2, dashed: bool = False,
              bend: Number = 0.0, head: bool = True) -> None:  # fmt: skip
        """A path through ``points``; its last piece carries the head."""
        line = (0, (3.5, 2.2)) if dashed else "solid"
        for start, end in zip(points[:-2], points[1:-1], strict=True):
            self.paper.plot(*zip(start, end, strict=True), color=color, lw=width, ls=line, zorder=1,
                            solid_capstyle="round")  # fmt: skip
        arrow = {
            "arrowstyle": "-|>,head_width=0.17,head_length=0.34" if head else "-",
            "color": color,
            "linewidth": width,
            "linestyle": line,
            "shrinkA": 0,
            "shrinkB": 0,
            "connectionstyle": f"arc3,rad={bend}",
        }
        self.paper.annotate("", points[-1], points[-2], arrowprops=arrow, zorder=1)


def draw_encoder_decoder() -> Picture:
    """The RNN encoder–decoder: the source in one vector c, read at every step. Cho et al. 2014; chapter 1."""
    drawing = Diagram(
        11.1,
        4.5,
        "RNN encoder–decoder. Left, the source words x_1 to x_Tx feed the encoder states h_1 to h_Tx, one "
        "after the other. The last state becomes a single vector c. Right, c goes to every decoder state s_1 "
        "to s_Ty and to every output y_1 to y_Ty. Each state also reads the state and the word before it, "
        "and each output the word before it.",
    )
    middle, below, above = 2.0, 0.95, 4.2
    encoder = [0.6, 1.7, 2.8, 3.9]
    for x, index in zip(encoder, ["1", "2", None, "{T_x}"], strict=True):
        if index is None:
            drawing.write(x, middle, DOTS, 14)
            drawing.write(x, 0.55, DOTS, 14)
            continue
        drawing.node(x, 0.55, f"$x_{index}$", "word")
        drawing.node(x, middle, f"$h_{index}$", "encoder")
        drawing.arrow((x, 0.86), (x, middle - 0.3), color=ENCODER)
    for left, right in zip(encoder, encoder[1:], strict=False):
        drawing.arrow((left + 0.36, middle), (right - 0.36, middle), color=ENCODER)

    c, decoder, top = 5.2, [6.75, 8.0, 9.2, 10.4], 3.2
    drawing.node(c, middle, "$c$", "context", 0.56, 1.1)
    drawing.arrow((3.9 + 0.35, middle), (c - 0.3, middle), color=ENCODER)
    for x, index in zip(decoder, ["1", "2", None, "{T_y}"], strict=True):
        if index is None:
            drawing.write(x, middle, DOTS, 14)
            drawing.write(x, top, DOTS, 14)
            continue
        drawing.node(x, middle, f"$s_{index}$", "decoder")
        drawing.node(x, top, f"$y_{index}$", "word")
        drawing.arrow((x, middle + 0.3), (x, top - 0.3), color=DECODER)
        drawing.arrow((c, middle - 0.57), (c, below), (x, below), (x, middle - 0.3), color=CONTEXT)
        drawing.arrow((c, middle + 0.57), (c, above - 0.2), (x, above - 0.2), (x, top + 0.3), color=CONTEXT)
    drawing.arrow((c + 0.3, middle), (decoder[0] - 0.35, middle), color=CONTEXT)
    drawing.write((c + decoder[0]) / 2, middle + 0.17, "$s_0$", 10.5, color=CONTEXT)
    for left, right in zip(decoder, decoder[1:], strict=False):
        drawing.arrow((left + 0.36, middle), (right - 0.36, middle), color=DECODER)
        drawing.arrow((left + 0.34, top - 0.22), (right - 0.34, middle + 0.24), color=MUTED, dashed=True)
        drawing.arrow((left + 0.36, top), (right - 0.36, top), color=MUTED, dashed=True)
    drawing.write(2.25, 4.0, "encoder", 10.5, color=ENCODER, weight="bold")
    drawing.write(2.25, 3.66, "reads one word at a time", 9, color=MUTED)
    drawing.write(8.58, 0.5, "decoder", 10.5, color=DECODER, weight="bold")
    drawing.write(8.58, 0.18, "writes one word at a time, from the same $c$", 9, color=MUTED)
    return drawing


def draw_birnn() -> Picture:
    """RNNsearch's bidirectional encoder: h_j joins both directions. Bahdanau et al. 2015, §3.2, §A.2.2; chapter 3."""
    drawing = Diagram(
        10.2,
        5.0,
        "Bidirectional RNN over the words x_1 to x_Tx. A forward chain of states runs left to right, a "
        "backward chain right to left. At each word j both states are joined into the annotation h_j. The "
        "backward chain ends at the first word; from its state there comes s_0, the decoder's first state.",
    )
    columns, forward, backward, joined = [1.8, 3.8, 5.8, 7.8], 1.75, 2.95, 4.25
    shift, w = 0.38, 0.62
    for x, index in zip(columns, ["1", "2", None, "{T_x}"], strict=True):
        if index is None:
            for y in (0.55, forward, backward, joined):
                drawing.write(x, y, DOTS, 14)
            continue
        drawing.node(x, 0.55, f"$x_{index}$", "word", 1.3)
        drawing.node(x - shift, forward, rf"$\overrightarrow{{h}}_{index}$", "encoder", w, 0.6)
        drawing.node(x + shift, backward, rf"$\overleftarrow{{h}}_{index}$", "backward", w, 0.6)
        drawing.node(x - shift, joined, rf"$\overrightarrow{{h}}_{index}$", "encoder", 0.76, 0.6)
        drawing.node(x + shift, joined, rf"$\overleftarrow{{h}}_{index}$", "backward", 0.76, 0.6)
        drawing.write(x, joined + 0.52, f"$h_{index}$", 13)
        drawing.arrow((x - shift, 0.86), (x - shift, forward - 0.32), color=ENCODER)
        drawing.arrow((x + shift, 0.86), (x + shift, backward - 0.32), color=BACKWARD)
        drawing.arrow((x - shift, forward + 0.32), (x - shift, joined - 0.32), color=ENCODER)
        drawing.arrow((x + shift, backward + 0.32), (x + shift, joined - 0.32), color=BACKWARD)
    ends = [(x - shift if i != 2 else x) for i, x in enumerate(columns)]
    for left, right in zip(ends, ends[1:], strict=False):
        drawing.arrow((left + 0.34, forward), (right - 0.34, forward), color=ENCODER)
    ends = [(x + shift if i != 2 else x) for i, x in enumerate(columns)]
    for left, right in zip(ends, ends[1:], strict=False):
        drawing.arrow((right - 0.34, backward), (left + 0.34, backward), color=BACKWARD)
    drawing.node(0.5, backward, "$s_0$", "decoder", w, 0.6)
    drawing.arrow((columns[0] + shift - 0.34, backward), (0.5 + 0.34, backward), color=BACKWARD)
    for y, label, color in (
        (joined, "annotations", INK),
        (backward, "backward", BACKWARD),
        (forward, "forward", ENCODER),
        (0.55, "source", MUTED),
    ):
        drawing.write(10.15, y, label, 9.5, ha="right", color=color, weight="bold")
    return drawing


_STAGES = {  # of a step, with what each adds, in words
    "read": "The words x_1 to x_Tx feed the annotations h_1 to h_Tx, which are linked in both directions.",
    "compare": "The previous decoder state s_i−1 is compared with every annotation; the energies pass a softmax and "
    "become weights alpha_i1 to alpha_iTx.",
    "look": "The weighted sum of the annotations is the context c_i.",
    "update": "With s_i−1 and the previous word y_i−1 it makes the new state s_i.",
    "generate": "From s_i, y_i−1 and c_i the next word y_i is predicted.",
}
_COLUMNS = {"1": 2.6, "2": 4.0, "j": 5.4, "{T_x}": 6.8}
_X_C, _Y_C, _Y_H, _Y_BUS, _Y_A, _Y_S, _Y_Y, _LEFT = 4.7, 4.05, 1.45, 2.15, 2.8, 5.1, 6.35, 1.3


def draw_rnnsearch_step(weights: Sequence[float] = (0.08, 0.72, 0.15, 0.05), until: str | None = None) -> Picture:
    """One decoder step of RNNsearch, after Bahdanau et al. 2015, Figure 1; main-text step order. Chapters 4 and 5.

    The lines from the four annotations are as thick as ``weights``, the α_ij of the step. ``until`` stops after a
    stage ("read", "compare", "look", "update", "generate") and names the arrows that it adds.
    """
    if until is not None and until not in _STAGES:
        raise CourseError(f"there is no stage {until!r} in a step: choose one of {', '.join(_STAGES)}")
    names = list(_STAGES)
    shown = names[: names.index(until or "generate") + 1]
    told = " ".join(["One step of RNNsearch.", *(_STAGES[stage] for stage in shown)])
    drawing = Diagram(9.4, 6.8 if "update" in shown else 5.6, told)
    thick = [0.8 + 7 * weight for weight in weights]
    _step_read(drawing)
    if "compare" in shown:
        _step_compare(drawing, thick if "look" in shown else [1.2] * len(thick))
    if "look" in shown:
        _step_look(drawing, thick)
    if "update" in shown:
        _step_update(drawing)
    if "generate" in shown:
        _step_generate(drawing)
    for x, y, name, color in _STEP_NAMES.get(until or "", ()):
        drawing.write(x, y, name, 10.5, color=color, ha="left", style="italic")
    return drawing


_STEP_NAMES: dict[str, tuple[tuple[Number, Number, str, str], ...]] = {
    "compare": ((1.42, 3.5, "query", DECODER), (2.72, 1.94, "key", CONTEXT)),
    "look": ((6.02, 3.5, "weight × value", CONTEXT),),
    "update": (
        (3.86, 4.55, "context", CONTEXT),
        (2.55, 4.92, "state", DECODER),
        (2.95, 5.92, "word just written", MUTED),
    ),
    "generate": (  # and those of the stages before, so that every arrow has its name
        (1.42, 3.5, "query", DECODER),
        (2.72, 1.94, "key", CONTEXT),
        (6.02, 3.5, "weight × value", CONTEXT),
        (3.86, 4.55, "context", CONTEXT),
        (2.55, 4.92, "state", DECODER),
        (4.78, 5.72, "state", DECODER),
        (6.02, 5.72, "context", CONTEXT),
        (2.3, 6.52, "word just written", MUTED),
    ),
}


def _step_label(drawing: Diagram, y: Number, label: str, formula: str) -> None:
    drawing.write(9.35, y + 0.17, label, 9.5, ha="right", weight="bold", color=MUTED)
    drawing.write(9.35, y - 0.17, formula, 11, ha="right")


def _step_read(drawing: Diagram) -> None:
    for index, x in _COLUMNS.items():
        drawing.node(x, 0.4, f"$x_{index}$", "word")
        drawing.node(x, _Y_H, f"$h_{index}$", "encoder")
        drawing.arrow((x, 0.7), (x, _Y_H - 0.3), color=ENCODER)
    columns = list(_COLUMNS.values())
    for a, b in zip(columns, columns[1:], strict=False):
        drawing.arrow((a + 0.35, _Y_H + 0.08), (b - 0.35, _Y_H + 0.08), color=ENCODER, width=1)
        drawing.arrow((b - 0.35, _Y_H - 0.08), (a + 0.35, _Y_H - 0.08), color=BACKWARD, width=1)


def _step_compare(drawing: Diagram, thick: Sequence[float]) -> None:
    drawing.node(_LEFT, _Y_S, "$s_{i-1}$", "decoder", 0.8)
    drawing.arrow((0.2, _Y_S), (_LEFT - 0.42, _Y_S), color=DECODER)
    for (index, x), width in zip(_COLUMNS.items(), thick, strict=True):
        drawing.arrow((x, _Y_H + 0.29), (x, _Y_A), color=CONTEXT, width=width, head=False)
        drawing.disc(x, _Y_A, f"$\\alpha_{{i{index.strip('{}')}}}$", "context", 0.33, 11.5)
        way = (_LEFT, _Y_S - 0.3), (_LEFT, _Y_BUS), (x - 0.2, _Y_BUS), (x - 0.2, _Y_A - 0.27)
        drawing.arrow(*way, color=DECODER)
    _step_label(drawing, _Y_A, "compare", r"$\alpha_{ij}\propto\exp a(s_{i-1},h_j)$")


def _step_look(drawing: Diagram, thick: Sequence[float]) -> None:
    for x, width in zip(_COLUMNS.values(), thick, strict=True):
        drawing.arrow((x, _Y_A), (_X_C, _Y_C), color=CONTEXT, width=width, head=False)
    drawing.disc(_X_C, _Y_C, "$c_i$", "context", 0.32, 13)
    _step_label(drawing, _Y_C, "look", r"$c_i=\sum_j\alpha_{ij}h_j$")


def _step_update(drawing: Diagram) -> None:
    drawing.node(_X_C, _Y_S, "$s_i$", "decoder", 0.8)
    drawing.node(_LEFT, _Y_Y, "$y_{i-1}$", "word", 0.8)
    drawing.arrow((_LEFT, _Y_S + 0.3), (_LEFT, _Y_Y - 0.3), color=DECODER)
    drawing.arrow((_LEFT + 0.42, _Y_S), (_X_C - 0.42, _Y_S), color=DECODER)
    drawing.arrow((_X_C + 0.42, _Y_S), (_X_C + 1.2, _Y_S), color=DECODER)
    drawing.arrow((_X_C, _Y_C + 0.33), (_X_C, _Y_S - 0.3), color=CONTEXT)
    drawing.arrow((_LEFT + 0.42, _Y_Y - 0.2), (_X_C - 0.42, _Y_S + 0.2), color=MUTED, dashed=True)
    _step_label(drawing, _Y_S, "update", r"$s_i=f(s_{i-1},y_{i-1},c_i)$")


def _step_generate(drawing: Diagram) -> None:
    drawing.node(_X_C, _Y_Y, "$y_i$", "word", 0.8)
    drawing.arrow((_X_C, _Y_S + 0.3), (_X_C, _Y_Y - 0.3), color=DECODER)
    drawing.arrow((_X_C + 0.3, _Y_C + 0.15), (_X_C + 0.42, _Y_Y - 0.1), color=CONTEXT, bend=0.55)
    drawing.arrow((_LEFT + 0.42, _Y_Y), (_X_C - 0.42, _Y_Y), color=MUTED, dashed=True)
    _step_label(drawing, _Y_Y, "generate", r"$p(y_i)=g(y_{i-1},s_i,c_i)$")


def draw_rnnsearch_unrolled(
    weights: Sequence[Sequence[float]] = ((0.87, 0.07, 0.07), (0.07, 0.04, 0.89), (0.07, 0.89, 0.04)),
    source: Sequence[str] = ("the", "black", "dog"),
    target: Sequence[str] = ("le", "chien", "noir"),
) -> Picture:
    """RNNsearch unrolled over a sentence: one bidirectional reading, one look for each word. Chapter 5.

    Row ``i`` of ``weights`` holds the α_ij of target word ``i``; the lines are as thick as they say. The direct arrows
    from y_{i-1} and c_i to y_i, which :func:`draw_rnnsearch_step` has, are left out.
    """
    most = [source[max(range(len(row)), key=row.__getitem__)] for row in weights]
    looks = "; ".join(f"before {word} the thickest comes from {best}" for word, best in zip(target, most, strict=True))
    drawing = Diagram(
        2.5 * len(target) + 2.25,
        6.6,
        f"RNNsearch unrolled. Below, a bidirectional RNN turns the words {', '.join(source)} into annotations, once. "
        f"Above, {len(target)} decoder steps from left to right, each with lines from all annotations: {looks}. In "
        "each step the previous state s_i−1 gives the weights alpha_i, these the context c_i, this with the previous "
        "state and word the new state s_i, and this the word.",
    )
    y_x, y_h, y_a, y_c, y_s, y_y = 0.4, 1.45, 3.0, 3.95, 5.0, 6.15
    steps = [2.9 + 2.5 * i for i in range(len(target))]
    columns = [steps[0] - 0.6 + (steps[-1] - steps[0] + 0.2) * j / (len(source) - 1) for j in range(len(source))]
    for j, (x, word) in enumerate(zip(columns, source, strict=True), start=1):
        drawing.node(x, y_x, word, "word", 1.05, size=11)
        drawing.node(x, y_h, f"$h_{j}$", "encoder")
        drawing.arrow((x, y_x + 0.3), (x, y_h - 0.3), color=ENCODER)
    for a, b in zip(columns, columns[1:], strict=False):
        drawing.arrow((a + 0.35, y_h + 0.08), (b - 0.35, y_h + 0.08), color=ENCODER, width=1)
        drawing.arrow((b - 0.35, y_h - 0.08), (a + 0.35, y_h - 0.08), color=BACKWARD, width=1)
    drawing.node(0.8, y_s, "$s_0$", "decoder")
    drawing.arrow((columns[0] - 0.35, y_h), (0.8, y_h), (0.8, y_s - 0.3), color=BACKWARD)
    before = 0.8
    for i, (x, word, row) in enumerate(zip(steps, target, weights, strict=True), start=1):
        for start, weight in zip(columns, row, strict=True):
            drawing.arrow((start, y_h + 0.29), (x, y_a), color=CONTEXT, width=0.8 + 7 * weight, head=False)
        drawing.disc(x, y_a, rf"$\alpha_{i}$", "context", 0.3)
        drawing.disc(x, y_c, f"$c_{i}$", "context", 0.3)
        drawing.node(x, y_s, f"$s_{i}$", "decoder")
        drawing.node(x, y_y, word, "word", 1.05, size=11)
        drawing.arrow((before + 0.3, y_s - 0.28), (x - 0.28, y_a + 0.18), color=DECODER)
        drawing.arrow((before + 0.36, y_s), (x - 0.36, y_s), color=DECODER)
        drawing.arrow((x, y_a + 0.3), (x, y_c - 0.31), color=CONTEXT)
        drawing.arrow((x, y_c + 0.3), (x, y_s - 0.3), color=CONTEXT)
        drawing.arrow((x, y_s + 0.29), (x, y_y - 0.3), color=DECODER)
        if i > 1:
            drawing.arrow((before + 0.5, y_y - 0.25), (x - 0.35, y_s + 0.24), color=MUTED, dashed=True)
        before = x
    right = steps[-1] + 1.75
    for y, label in ((y_y, "generate"), (y_s, "update"), (y_c, "look"), (y_a, "compare"), (y_h, "read, once")):
        drawing.write(right, y, label, 9.5, ha="right", weight="bold", color=MUTED)
    return drawing


def _there_and_back(drawing: Diagram, start: Sequence[Number], end: Sequence[Number], apart: Number = 0.085) -> None:
    """A value's thin grey arrow from ``start`` to ``end`` and, beside it, the gradient's violet one back."""
    (x0, y0), (x1, y1) = start, end
    length = ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5
    dx, dy = -(y1 - y0) / length * apart, (x1 - x0) / length * apart
    drawing.arrow((x0 + dx, y0 + dy), (x1 + dx, y1 + dy), color=MUTED, width=0.9)
    drawing.arrow((x1 - dx, y1 - dy), (x0 - dx, y0 - dy), color=BACKWARD, width=1.9)


def draw_bptt() -> Picture:
    """Backpropagation through time in RNNsearch's decoder, two steps of it; main-text step order. Chapter 6.

    After Bahdanau et al. 2015, eq. 4 to 6. Every grey arrow of the forward pass has a violet one beside it.
    """
    drawing = Diagram(
        9.4,
        6.6,
        "Backpropagation through time in the decoder of RNNsearch, two steps. Forward, in thin grey: each state is "
        "compared with the annotations, the weights alpha make a context c, context and previous state make the next "
        "state, and state and context make the loss of their word. Backward, in violet beside every grey arrow: from "
        "the loss of a word to its state and its context; from a state through the gates to the state before and to "
        "the context; from the context to the weights and to the annotations; from the weights to the annotations "
        "and, through the query, to the state before.",
    )
    y_l, y_s, y_c, y_a, y_h = 6.0, 4.5, 3.1, 2.0, 0.6
    states = [1.1, 4.4, 7.7]
    drawing.node(4.0, y_h, r"$h_1 \quad \cdots \quad h_j \quad \cdots \quad h_{T_x}$", "encoder", 5.6, 0.62)
    for x, index in zip(states, ["i-1", "i", "i+1"], strict=True):
        drawing.node(x, y_s, f"$s_{{{index}}}$", "decoder", 0.9)
        drawing.node(x, y_l, rf"$\ell_{{{index}}}$", "word", 0.9)
        _there_and_back(drawing, (x, y_s + 0.3), (x, y_l - 0.3))
    for before, after, index in zip(states, states[1:], ["i", "i+1"], strict=False):
        c, a = before + 2.2, before + 1.1
        drawing.disc(c, y_c, f"$c_{{{index}}}$", "context", 0.34, 12.5)
        drawing.disc(a, y_a, rf"$\alpha_{{{index}}}$", "context", 0.34, 12.5)
        _there_and_back(drawing, (before + 0.47, y_s), (after - 0.47, y_s))
        _there_and_back(drawing, (before + 0.14, y_s - 0.3), (a - 0.12, y_a + 0.34))
        _there_and_back(drawing, (a + 0.26, y_a + 0.24), (c - 0.26, y_c - 0.24))
        _there_and_back(drawing, (c + 0.24, y_c + 0.28), (after - 0.3, y_s - 0.3))
        _there_and_back(drawing, (c + 0.06, y_c + 0.36), (after - 0.38, y_l - 0.3))
        _there_and_back(drawing, (a, y_h + 0.33), (a, y_a - 0.36))
        _there_and_back(drawing, (c, y_h + 0.33), (c, y_c - 0.36))
    _there_and_back(drawing, (states[2] + 0.47, y_s), (9.3, y_s))
    drawing.write(2.6, y_s - 0.3, "through the gates", color=BACKWARD)
    drawing.write(0.95, 3.15, "through\nthe query", color=BACKWARD)
    for x, y, label in (
        (states[1] + 0.62, y_s - 0.42, r"$\delta s_i$"),
        (3.86, y_c - 0.12, r"$\delta c_i$"),
        (2.78, y_a - 0.06, r"$\delta e_i$"),
        (2.55, y_h + 0.58, r"$\delta h_j$"),
    ):
        drawing.write(x, y, label, 11.5, color=BACKWARD)
    drawing.arrow((7.4, 0.78), (8.1, 0.78), color=MUTED, width=0.9)
    drawing.write(8.2, 0.78, "values", color=MUTED, ha="left")
    drawing.arrow((8.1, 0.42), (7.4, 0.42), color=BACKWARD, width=1.9)
    drawing.write(8.2, 0.42, "gradients", color=BACKWARD, ha="left")
    return drawing
