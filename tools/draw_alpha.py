"""Draw where the published translator looks: the README's picture, ``book/_static/alpha.svg``, and the one that is
shown where somebody shares a page, ``book/_static/card.png``.

Prints the translation and the picture's alternative text, both of which the README quotes.
"""

from io import BytesIO
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image

from course_pkg.inference import load
from course_pkg.plotting import alignment_heatmap, alt_text, svg

MODEL = "multi30k-en-fr-rnnsearch"
SENTENCE = "A black dog jumps over a red frisbee."
STATIC = Path(__file__).resolve().parent.parent / "book/_static"
CARD = (1200, 630)  # what the services that show a shared page ask for


def card(figure: Figure) -> Image.Image:
    """The figure in the middle of a card, in few colours."""
    stored = BytesIO()
    figure.savefig(stored, format="png", dpi=0.95 * CARD[1] / figure.get_figheight(), facecolor="white")
    drawn = Image.open(stored).convert("RGB")
    drawn.thumbnail(CARD)
    whole = Image.new("RGB", CARD, "white")
    whole.paste(drawn, tuple((room - size) // 2 for room, size in zip(CARD, drawn.size, strict=True)))
    return whole.quantize(64)


def main() -> None:
    """Translate, draw, tell."""
    made = load(MODEL, device="cpu").translate([SENTENCE])[0].by_words()
    assert made.weights is not None
    description = alt_text(made.weights, made.source_tokens, made.target_tokens)
    figure = alignment_heatmap(made.weights, made.source_tokens, made.target_tokens)
    (STATIC / "alpha.svg").write_text(svg(figure, description), encoding="utf-8")
    card(figure).save(STATIC / "card.png", optimize=True)
    print(f"{made.source}\n{made.target}\n{description}")


if __name__ == "__main__":
    main()
