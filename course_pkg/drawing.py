"""How the course draws: the house style, the one colour scale of α, and the architectures of chapters 1 to 5.

Every picture sits on its own light, rounded card with dark ink, so that it reads the same on a light page, on
a dark page and in print. Nothing here changes matplotlib's settings for anybody else: the style is a context.
"""

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import escape
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Circle, FancyBboxPatch
from PIL import Image

__all__ = [
    "ALPHA_COLORMAP",
    "ALPHA_STOPS",
    "SERIES",
    "Picture",
    "draw_birnn",
    "draw_encoder_decoder",
    "draw_rnnsearch_step",
    "style",
    "svg",
]

Number = int | float

PAPER, INK, MUTED, RULE = "#fdfcf9", "#20242c", "#59606d", "#d9dbe0"
GOLD = "#d1451b"
SERIES = ("#0a6aa6", "#c2491d", "#1d7a5a", "#7b3f98", "#6b5a1e")
"""Colours of curves, each at least 4.5 : 1 on the card; line and marker differ too."""

ALPHA_STOPS = (
    "#f1f8f2",
    "#c8e5d7",
    "#9bd3c5",
    "#67bfbd",
    "#3da8b9",
    "#1990b6",
    "#0576b0",
    "#215d9e",
    "#2a4588",
    "#2c2e6c",
    "#261b4b",
)
"""α from 0 to 1 in equal steps. CIE lightness falls evenly: it survives grey print and colour blindness."""

ALPHA_COLORMAP = LinearSegmentedColormap.from_list("alpha", ALPHA_STOPS)
"""The one colour scale for α; draw it with ``vmin=0, vmax=1``."""

_STYLE: Any = {
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.titlepad": 10,
    "axes.labelsize": 10,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.7,
    "text.color": INK,
    "text.usetex": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.8,
    "lines.markersize": 4.5,
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "mathtext.fontset": "stix",
    "svg.fonttype": "path",
    "svg.hashsalt": "learning-where-to-look",
    "savefig.facecolor": "auto",
}


@contextmanager
def style() -> Iterator[None]:
    """matplotlib in the house style inside the ``with`` block, untouched outside."""
    with matplotlib.rc_context(_STYLE):
        yield


class Picture(Figure):
    """A figure on a rounded card that shows itself in a notebook, without pyplot and its global state.

    ``description`` says in words what is to be seen; use it as the alt text.
    """

    def __init__(self, width: Number, height: Number, description: str = "") -> None:
        with style():
            super().__init__(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12))
        FigureCanvasAgg(self)
        self.description = description
        self.patch.set_visible(False)
        card = FancyBboxPatch(
            (0.02, 0.02),
            width - 0.04,
            height - 0.04,
            boxstyle="round,pad=0,rounding_size=0.12",
            facecolor=PAPER,
            edgecolor=RULE,
            linewidth=0.8,
            transform=self.dpi_scale_trans,
            zorder=-10,
        )
        self.add_artist(card)

    def png(self, dpi: int = 160) -> bytes:
        """The picture as PNG, named by its description; outside the card it is transparent."""
        buffer = io.BytesIO()
        named = {"Software": None, "Description": self.description or None}
        with style():
            self.savefig(buffer, format="png", dpi=dpi, metadata=named)
        return buffer.getvalue()

    def _repr_png_(self) -> bytes:
        return _few_colours(self.png())


def _few_colours(png: bytes) -> bytes:
    """The picture in its 256 most frequent colours, a quarter of the bytes, so that a chapter stays small.

    The frequent colours are kept exactly (fields of α do not merge); the rest, edges of letters and lines, go to
    the nearest.
    """
    with Image.open(io.BytesIO(png)) as image:
        pixels = np.asarray(image.convert("RGBA"))
    colours, index, counts = np.unique(pixels.reshape(-1, 4).view(np.uint32), return_inverse=True, return_counts=True)
    channels = colours.view(np.uint8).reshape(-1, 4).astype(np.int32)
    palette = channels[np.argsort(-counts, kind="stable")[:256]]
    distance = sum((channels[:, None, c] - palette[None, :, c]) ** 2 for c in range(4))
    indexed = Image.fromarray(np.argmin(distance, axis=1)[index].reshape(pixels.shape[:2]).astype(np.uint8))
    indexed.putpalette(palette.astype(np.uint8).tobytes(), "RGBA")
    buffer = io.BytesIO()
    indexed.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def svg(figure: Figure, description: str | None = None) -> str:
    """The figure as one ``<svg>`` element: as wide as its column, named for screen readers, always the same.

    ``description`` defaults to the picture's own.
    """
    buffer = io.StringIO()
    with style():
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    head, body = text.split(">", 1)
    width = re.search(r'width="([\d.]+)pt"', head)
    head = re.sub(r' (width|height)="[\d.]+pt"', "", head)
    name = escape(getattr(figure, "description", "") if description is None else description)
    limit = f' style="width: 100%; max-width: {float(width[1]) / 72:.2f}in"' if width else ""
    return f'{head} role="img" aria-label="{name}"{limit}>{body}'


class _Drawing(Picture):
    """A picture of boxes and arrows: shown as vectors, one data unit is ``scale`` inches."""

    def __init__(self, width: Number, height: Number, description: str, scale: float = 0.8) -> None:
        super().__init__(width * scale + 0.3, height * scale + 0.3, description)
        with style():
            self.paper: Axes = self.add_subplot(xlim=(0, width), ylim=(0, height), aspect="equal")
        self.paper.set_axis_off()

    def _repr_svg_(self) -> str:
        return svg(self)

    def node(self, x: Number, y: Number, label: str, kind: str, width: Number = 0.66, height: Number = 0.56) -> None:
        fill, edge = _KINDS[kind]
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
        self.write(x, y, label, size=13)

    def disc(self, x: Number, y: Number, label: str, kind: str, radius: Number = 0.27, size: Number = 12) -> None:
        fill, edge = _KINDS[kind]
        self.paper.add_patch(Circle((x, y), radius, facecolor=fill, edgecolor=edge, linewidth=1.2, zorder=3))
        self.write(x, y, label, size=size)

    def write(self, x: Number, y: Number, label: str, size: Number = 9.5, **kwargs: Any) -> None:
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


_KINDS = {  # fill, edge
    "word": ("#ffffff", "#8a909b"),
    "encoder": ("#dcebf5", "#0a6aa6"),
    "backward": ("#e9e0f1", "#7b3f98"),
    "context": ("#d9eee3", "#1d7a5a"),
    "decoder": ("#fbe4d8", "#c2491d"),
}
_ENCODER, _BACKWARD, _CONTEXT, _DECODER = (_KINDS[kind][1] for kind in ("encoder", "backward", "context", "decoder"))
_DOTS = r"$\cdots$"


def draw_encoder_decoder() -> Picture:
    """The RNN encoder–decoder: the source in one vector c, read at every step. Cho et al. 2014; chapter 1."""
    drawing = _Drawing(
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
            drawing.write(x, middle, _DOTS, 14)
            drawing.write(x, 0.55, _DOTS, 14)
            continue
        drawing.node(x, 0.55, f"$x_{index}$", "word")
        drawing.node(x, middle, f"$h_{index}$", "encoder")
        drawing.arrow((x, 0.86), (x, middle - 0.3), color=_ENCODER)
    for left, right in zip(encoder, encoder[1:], strict=False):
        drawing.arrow((left + 0.36, middle), (right - 0.36, middle), color=_ENCODER)

    c, decoder, top = 5.2, [6.75, 8.0, 9.2, 10.4], 3.2
    drawing.node(c, middle, "$c$", "context", 0.56, 1.1)
    drawing.arrow((3.9 + 0.35, middle), (c - 0.3, middle), color=_ENCODER)
    for x, index in zip(decoder, ["1", "2", None, "{T_y}"], strict=True):
        if index is None:
            drawing.write(x, middle, _DOTS, 14)
            drawing.write(x, top, _DOTS, 14)
            continue
        drawing.node(x, middle, f"$s_{index}$", "decoder")
        drawing.node(x, top, f"$y_{index}$", "word")
        drawing.arrow((x, middle + 0.3), (x, top - 0.3), color=_DECODER)
        drawing.arrow((c, middle - 0.57), (c, below), (x, below), (x, middle - 0.3), color=_CONTEXT)
        drawing.arrow((c, middle + 0.57), (c, above - 0.2), (x, above - 0.2), (x, top + 0.3), color=_CONTEXT)
    drawing.arrow((c + 0.3, middle), (decoder[0] - 0.35, middle), color=_CONTEXT)
    drawing.write((c + decoder[0]) / 2, middle + 0.17, "$s_0$", 10.5, color=_CONTEXT)
    for left, right in zip(decoder, decoder[1:], strict=False):
        drawing.arrow((left + 0.36, middle), (right - 0.36, middle), color=_DECODER)
        drawing.arrow((left + 0.34, top - 0.22), (right - 0.34, middle + 0.24), color=MUTED, dashed=True)
        drawing.arrow((left + 0.36, top), (right - 0.36, top), color=MUTED, dashed=True)
    drawing.write(2.25, 4.0, "encoder", 10.5, color=_ENCODER, weight="bold")
    drawing.write(2.25, 3.66, "reads one word at a time", 9, color=MUTED)
    drawing.write(8.58, 0.5, "decoder", 10.5, color=_DECODER, weight="bold")
    drawing.write(8.58, 0.18, "writes one word at a time, from the same $c$", 9, color=MUTED)
    return drawing


def draw_birnn() -> Picture:
    """RNNsearch's bidirectional encoder: h_j joins both directions. Bahdanau et al. 2015, §3.2; chapter 3."""
    drawing = _Drawing(
        9.4,
        5.0,
        "Bidirectional RNN over the words x_1 to x_Tx. A forward chain of states runs left to right, a "
        "backward chain right to left. At each word j both states are joined into the annotation h_j.",
    )
    columns, forward, backward, joined = [1.0, 3.0, 5.0, 7.0], 1.75, 2.95, 4.25
    shift, w = 0.38, 0.62
    for x, index in zip(columns, ["1", "2", None, "{T_x}"], strict=True):
        if index is None:
            for y in (0.55, forward, backward, joined):
                drawing.write(x, y, _DOTS, 14)
            continue
        drawing.node(x, 0.55, f"$x_{index}$", "word", 1.3)
        drawing.node(x - shift, forward, rf"$\overrightarrow{{h}}_{index}$", "encoder", w, 0.6)
        drawing.node(x + shift, backward, rf"$\overleftarrow{{h}}_{index}$", "backward", w, 0.6)
        drawing.node(x - shift, joined, rf"$\overrightarrow{{h}}_{index}$", "encoder", 0.76, 0.6)
        drawing.node(x + shift, joined, rf"$\overleftarrow{{h}}_{index}$", "backward", 0.76, 0.6)
        drawing.write(x, joined + 0.52, f"$h_{index}$", 13)
        drawing.arrow((x - shift, 0.86), (x - shift, forward - 0.32), color=_ENCODER)
        drawing.arrow((x + shift, 0.86), (x + shift, backward - 0.32), color=_BACKWARD)
        drawing.arrow((x - shift, forward + 0.32), (x - shift, joined - 0.32), color=_ENCODER)
        drawing.arrow((x + shift, backward + 0.32), (x + shift, joined - 0.32), color=_BACKWARD)
    ends = [(x - shift if i != 2 else x) for i, x in enumerate(columns)]
    for left, right in zip(ends, ends[1:], strict=False):
        drawing.arrow((left + 0.34, forward), (right - 0.34, forward), color=_ENCODER)
    ends = [(x + shift if i != 2 else x) for i, x in enumerate(columns)]
    for left, right in zip(ends, ends[1:], strict=False):
        drawing.arrow((right - 0.34, backward), (left + 0.34, backward), color=_BACKWARD)
    for y, label, color in (
        (joined, "annotations", INK),
        (backward, "backward", _BACKWARD),
        (forward, "forward", _ENCODER),
        (0.55, "source", MUTED),
    ):
        drawing.write(9.35, y, label, 9.5, ha="right", color=color, weight="bold")
    return drawing


def draw_rnnsearch_step(weights: Sequence[float] = (0.08, 0.72, 0.15, 0.05)) -> Picture:
    """One decoder step of RNNsearch, after Bahdanau et al. 2015, Figure 1; main-text step order. Chapter 5.

    The lines from the four annotations are as thick as ``weights``, the α_ij of the step.
    """
    drawing = _Drawing(
        9.4,
        6.8,
        "One step of RNNsearch. The previous decoder state s_i−1 is compared with every annotation h_1 to "
        "h_Tx; the energies pass a softmax and become weights alpha_i1 to alpha_iTx. The weighted sum of the "
        "annotations is the context c_i, which with s_i−1 and the previous word y_i−1 makes the new state "
        "s_i. From s_i, y_i−1 and c_i the next word y_i is predicted.",
    )
    columns = [2.6, 4.0, 5.4, 6.8]
    x_c, y_c, y_h, y_bus, y_a, y_s, y_y = 4.7, 4.05, 1.45, 2.15, 2.8, 5.1, 6.35
    left, right = 1.3, x_c
    for x, index, weight in zip(columns, ["1", "2", "j", "{T_x}"], weights, strict=True):
        drawing.node(x, 0.4, f"$x_{index}$", "word")
        drawing.node(x, y_h, f"$h_{index}$", "encoder")
        drawing.arrow((x, 0.7), (x, y_h - 0.3), color=_ENCODER)
        alpha = f"$\\alpha_{{i{index.strip('{}')}}}$"
        drawing.arrow((x, y_h + 0.29), (x, y_a), color=_CONTEXT, width=0.8 + 7 * weight, head=False)
        drawing.arrow((x, y_a), (x_c, y_c), color=_CONTEXT, width=0.8 + 7 * weight, head=False)
        drawing.disc(x, y_a, alpha, "context", 0.33, 11.5)
    for a, b in zip(columns, columns[1:], strict=False):
        drawing.arrow((a + 0.35, y_h + 0.08), (b - 0.35, y_h + 0.08), color=_ENCODER, width=1)
        drawing.arrow((b - 0.35, y_h - 0.08), (a + 0.35, y_h - 0.08), color=_BACKWARD, width=1)
    drawing.disc(x_c, y_c, "$c_i$", "context", 0.32, 13)
    drawing.node(left, y_s, "$s_{i-1}$", "decoder", 0.8)
    drawing.node(right, y_s, "$s_i$", "decoder", 0.8)
    drawing.node(left, y_y, "$y_{i-1}$", "word", 0.8)
    drawing.node(right, y_y, "$y_i$", "word", 0.8)
    drawing.arrow((0.2, y_s), (left - 0.42, y_s), color=_DECODER)
    drawing.arrow((left + 0.42, y_s), (right - 0.42, y_s), color=_DECODER)
    drawing.arrow((right + 0.42, y_s), (right + 1.2, y_s), color=_DECODER)
    drawing.arrow((left, y_s + 0.3), (left, y_y - 0.3), color=_DECODER)
    drawing.arrow((right, y_s + 0.3), (right, y_y - 0.3), color=_DECODER)
    drawing.arrow((x_c, y_c + 0.33), (right, y_s - 0.3), color=_CONTEXT)
    drawing.arrow((x_c + 0.3, y_c + 0.15), (right + 0.42, y_y - 0.1), color=_CONTEXT, bend=0.55)
    drawing.arrow((left + 0.42, y_y), (right - 0.42, y_y), color=MUTED, dashed=True)
    drawing.arrow((left + 0.42, y_y - 0.2), (right - 0.42, y_s + 0.2), color=MUTED, dashed=True)
    for x in columns:
        asked = x - 0.2
        drawing.arrow((left, y_s - 0.3), (left, y_bus), (asked, y_bus), (asked, y_a - 0.27), color=_DECODER)
    for y, label, formula in (
        (y_y, "generate", r"$p(y_i)=g(y_{i-1},s_i,c_i)$"),
        (y_s, "update", r"$s_i=f(s_{i-1},y_{i-1},c_i)$"),
        (y_c, "look", r"$c_i=\sum_j\alpha_{ij}h_j$"),
        (y_a, "compare", r"$\alpha_{ij}\propto\exp a(s_{i-1},h_j)$"),
    ):
        drawing.write(9.35, y + 0.17, label, 9.5, ha="right", weight="bold", color=MUTED)
        drawing.write(9.35, y - 0.17, formula, 11, ha="right")
    return drawing
