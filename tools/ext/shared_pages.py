"""Sphinx extension: what a page says of itself where it is shared and in search results: its first sentences.

Without it the description of a chapter would begin with the line that says what one should have read before.
"""

import re
from pathlib import Path

from chapters import chapters_of
from docutils import nodes
from sphinx.application import Sphinx

SHORTEST, LONGEST = 50, 200  # characters; services cut what is longer


def description_of(texts: list[str]) -> str:
    """As many whole sentences of the paragraphs as fit; where they say too little, the beginning of the next."""
    whole = " ".join(" ".join(texts).split())
    told = ""
    for sentence in re.split(r"(?<=[.!?])\s+", whole):
        if len(told) + 1 + len(sentence) > LONGEST:
            break
        told = f"{told} {sentence}".strip()
    return told if len(told) >= SHORTEST or told == whole else whole[: LONGEST - 1].rsplit(" ", 1)[0] + "…"


def plain(formula: str) -> str:
    """A letter of a formula without its index; nothing of what takes more than a letter."""
    letter = re.sub(r"_(?:\{[^}]*\}|\w)", "", formula).replace(r"\alpha", "α")
    return "" if set(letter) & set("\\{}") else letter


def lead_of(doctree: nodes.document) -> list[str]:
    """The first paragraphs of a chapter, without a line in italics above them."""
    [whole] = [node for node in doctree.children if isinstance(node, nodes.section)]
    lead = [node for node in whole.children[:8] if isinstance(node, nodes.paragraph)]
    kept = [node.deepcopy() for node in lead if not isinstance(node[0], nodes.emphasis) or len(node) > 1]
    for formula in [formula for node in kept for formula in node.findall(nodes.math)]:
        formula.replace_self(nodes.Text(plain(formula.astext())))
    return [node.astext() for node in kept]


def describe(app: Sphinx, doctree: nodes.document) -> None:
    """Give a chapter the description; the other pages keep their first words."""
    if app.env.docname not in {chapter.page for chapter in chapters_of(Path(app.srcdir))}:
        return
    told = description_of(lead_of(doctree))
    app.env.metadata[app.env.docname]["og:description"] = told
    doctree.insert(0, nodes.meta(name="description", content=told))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the descriptions."""
    app.connect("doctree-read", describe, priority=600)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
