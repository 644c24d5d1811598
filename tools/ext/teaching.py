"""Sphinx extension: the teaching page lists each interactive figure that has an address of its own.

The pages behind these addresses (``tools/embed_pages.py``) and the archive of figures (``tools/slide_figures.py``) are
written after Sphinx has run, so links to them are plain HTML here: Sphinx would look for them among its own pages.
"""

import re
from dataclasses import dataclass
from html import escape

from sphinx.application import Sphinx

from course_pkg.exercises.variants import kinds

PAGE = "book/teaching"
MARK = "<!-- every widget -->"
SHEETS = "<!-- every variant -->"
LINK = re.compile(r"\[([^\]]+)\]\((\.\./(?:embed/[\w-]+\.html|figures/[\w-]+\.zip))\)")


@dataclass(frozen=True)
class Embedded:
    """One widget of a chapter at an address of its own.

    Attributes:
        name: of its page, without ending.
        chapter: the notebook that shows it, without ending.
        at: which of the notebook's widgets, from 0.
        title: what stands above it.
        task: what to do with it, in a sentence.
        height: pixels of a frame in which it fits, 800 pixels wide.
    """

    name: str
    chapter: str
    at: int
    title: str
    task: str
    height: int

    @property
    def address(self) -> str:
        """Relative to the site."""
        return f"embed/{self.name}.html"


EMBEDDED = (
    Embedded(
        "running-free", "01_encoder_decoder", 0, "Running free",
        "How many words are right after the first mistake? Draw it, then see the truth.", 740,
    ),
    Embedded(
        "cover-up", "02_the_bottleneck", 0, "Be the vector",
        "Read a sentence once, cover it, and rebuild it from its words.", 680,
    ),
    Embedded(
        "draw-the-cure", "02_the_bottleneck", 1, "Draw the cure",
        "A model that length no longer troubles: what does its curve look like?", 740,
    ),
    Embedded(
        "you-and-the-model", "02_the_bottleneck", 2, "You and the model",
        "What you kept of each sentence in Be the vector, beside the model.", 680,
    ),
    Embedded(
        "soft-lookup", "04_soft_lookup", 0, "A soft lookup",
        "Drag the energies and the temperature, and watch where the answer goes.", 640,
    ),
    Embedded(
        "epochs", "06_training_rnnsearch", 0, "α through the epochs",
        "Move the epoch: when do the looks find their words?", 1090,
    ),
    Embedded(
        "length-curve", "07_translating_and_scoring", 0, "Quality against length",
        "Where does RNNsearch run? Draw it, then see the measured curve.", 740,
    ),
    Embedded(
        "alignment-scrubber", "08_reading_alpha", 0, "Reading α",
        "Choose a French word and see where the model looked; then turn its gaze.", 1380,
    ),
    Embedded(
        "two-models", "08_reading_alpha", 1, "One sentence, two models",
        "The same sentence under a model of the toy grammar and one of real text.", 1050,
    ),
    Embedded(
        "gaze", "11_soft_visual_attention", 0, "A captioner's gaze",
        "Choose a word and see where the captioner looked; then turn its gaze.", 940,
    ),
    Embedded(
        "two-captioners", "13_what_the_captioner_sees", 0, "Two captioners, one photograph",
        "The soft and the hard captioner write the same words. Where do they look?", 1000,
    ),
    Embedded(
        "photograph", "13_what_the_captioner_sees", 1, "A gaze to be turned",
        "Tap a place of the photograph: what would the captioner write?", 870,
    ),
)  # fmt: skip


def number(chapter: str) -> int:
    """A chapter's number."""
    return int(chapter[:2])


def listed(home: str) -> str:
    """Markdown: each address, with the line that puts it into a page."""
    parts = []
    for one in EMBEDDED:
        size = f'width="100%" height="{one.height}"'
        line = f'<iframe src="{home}{one.address}" title="{escape(one.title)}" {size}></iframe>'
        parts.append(
            f'<a href="../{one.address}">{escape(one.title)}</a> (chapter {number(one.chapter)}): {one.task}\n'
        )
        parts.append(f"```html\n{line}\n```\n")
    return "\n".join(parts)


def sheets() -> str:
    """Markdown: the kinds of exercises by hand with fresh numbers."""
    rows = [f"| `{kind.name}` | {kind.chapter} | {kind.title} | {kind.asks} |" for kind in kinds()]
    return "\n".join(["| kind | chapter | exercise | what is worked out |", "|---|---|---|---|", *rows])


def fill_in(app: Sphinx, page: str, source: list[str]) -> None:
    """Put the lists where the page asks for them, and turn links to the figures into HTML."""
    if page == PAGE:
        text = source[0].replace(MARK, listed(app.config.html_baseurl)).replace(SHEETS, sheets())
        source[0] = LINK.sub(r'<a href="\2">\1</a>', text)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the change to the page's source."""
    app.connect("source-read", fill_in)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
