"""Draw the README's picture: where the published translator looks, ``book/_static/alpha.svg``.

Prints the translation and the picture's alternative text, both of which the README quotes.
"""

from pathlib import Path

from course_pkg.inference import load
from course_pkg.plotting import alignment_heatmap, alt_text, svg

MODEL = "multi30k-en-fr-rnnsearch"
SENTENCE = "A black dog jumps over a red frisbee."


def main() -> None:
    """Translate, draw, tell."""
    made = load(MODEL, device="cpu").translate([SENTENCE])[0].by_words()
    assert made.weights is not None
    description = alt_text(made.weights, made.source_tokens, made.target_tokens)
    figure = alignment_heatmap(made.weights, made.source_tokens, made.target_tokens)
    path = Path(__file__).resolve().parent.parent / "book/_static/alpha.svg"
    path.write_text(svg(figure, description), encoding="utf-8")
    print(f"{made.source}\n{made.target}\n{description}")


if __name__ == "__main__":
    main()
