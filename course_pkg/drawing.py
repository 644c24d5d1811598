"""How the course draws: the house style, the one colour scale of α, and a picture that shows itself.

Every picture sits on its own light, rounded card with dark ink, so that it reads the same on a light page, on
a dark page and in print. Nothing here changes matplotlib's settings for anybody else: the style is a context.
"""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import FancyBboxPatch
from PIL import Image

__all__ = [
    "ALPHA_COLORMAP",
    "ALPHA_STOPS",
    "SERIES",
    "Picture",
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

    ``description`` says in words what is to be seen; use it as the alt text. A notebook stores the picture with
    ``dots`` an inch in its ``colours`` most frequent colours; set fewer where a chapter has many pictures.
    """

    dots = 160
    colours = 256

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
        return _few_colours(self.png(self.dots), self.colours)


def _few_colours(png: bytes, count: int = 256) -> bytes:
    """The picture in its ``count`` most frequent colours, a quarter of the bytes, so that a chapter stays small.

    The frequent colours are kept exactly (fields of α do not merge); the rest, edges of letters and lines, go to
    the nearest.
    """
    with Image.open(io.BytesIO(png)) as image:
        pixels = np.asarray(image.convert("RGBA"))
    colours, index, counts = np.unique(pixels.reshape(-1, 4).view(np.uint32), return_inverse=True, return_counts=True)
    channels = colours.view(np.uint8).reshape(-1, 4).astype(np.int32)
    palette = channels[np.argsort(-counts, kind="stable")[:count]]
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
