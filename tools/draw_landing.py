"""Draw the course sentence and its French as crossing lines: ``book/_static/course-sentence.svg``.

The picture goes into the landing page as it is, so it needs no script, takes its colours from the page in
light and dark, and its words can be selected and read aloud. The links are the toy grammar's own gold.
"""

from html import escape
from pathlib import Path

from course_pkg.toy import COURSE_SENTENCE

# Without the full stops; "does" has no French word of its own, "not" has two.
SOURCE, TARGET = COURSE_SENTENCE.source_tokens[:-1], COURSE_SENTENCE.target_tokens[:-1]
LINKS = sorted((link for link in COURSE_SENTENCE.links if link[0] < len(SOURCE)), key=lambda link: link[::-1])
ASKED = TARGET.index("noir")

ROW, LEFT, RIGHT, WIDTH = 27, 124, 236, 360
STYLE = """
.course-sentence text { font: 17px system-ui, sans-serif; fill: currentColor; }
.course-sentence path { fill: none; stroke: currentColor; stroke-width: 1.6; opacity: .38; }
.course-sentence .asked path { stroke: var(--course-accent, #b4530a); stroke-width: 4; opacity: 1; }
.course-sentence .asked text { fill: var(--course-accent, #b4530a); font-weight: 700; }
.course-sentence .alone { opacity: .55; }
"""


def height(row: int) -> int:
    """The vertical middle of a row."""
    return ROW // 2 + ROW * row


def word(text: str, row: int, side: str, style: str = "") -> str:
    """One word beside the lines."""
    x, anchor = (LEFT - 8, "end") if side == "en" else (RIGHT + 8, "start")
    style = f' class="{style}"' if style else ""
    return f'<text x="{x}" y="{height(row) + 6}" text-anchor="{anchor}" lang="{side}"{style}>{escape(text)}</text>'


def line(source: int, target: int) -> str:
    """The curve from a source word to a target word."""
    a, b, middle = height(source), height(target), (LEFT + RIGHT) // 2
    return f'<path d="M{LEFT} {a} C{middle} {a} {middle} {b} {RIGHT} {b}"/>'


def draw() -> str:
    """The whole picture, the asked word and what it looks at last and in front."""
    answers = {source for source, target in LINKS if target == ASKED}
    linked = {source for source, _ in LINKS}
    plain = [line(*link) for link in LINKS if link[1] != ASKED]
    plain += [
        word(text, row, "en", "" if row in linked else "alone") for row, text in enumerate(SOURCE) if row not in answers
    ]
    plain += [word(text, row, "fr") for row, text in enumerate(TARGET) if row != ASKED]
    asked = [line(*link) for link in LINKS if link[1] == ASKED]
    asked += [word(SOURCE[row], row, "en") for row in sorted(answers)] + [word(TARGET[ASKED], ASKED, "fr")]
    tall = ROW * max(len(SOURCE), len(TARGET))
    pairs = ", ".join(f"{TARGET[target]} – {SOURCE[source]}" for source, target in LINKS)
    parts = [
        f'<svg class="course-sentence" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {tall}" '
        'role="img" aria-labelledby="course-sentence-title course-sentence-text">',
        '<title id="course-sentence-title">Which English word each French word looks at</title>',
        f'<desc id="course-sentence-text">{escape(pairs)}. The lines of chien and noir cross.</desc>',
        f"<style>{STYLE}</style>",
        *plain,
        '<g class="asked">',
        *asked,
        "</g>",
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    path = Path(__file__).resolve().parent.parent / "book/_static/course-sentence.svg"
    path.write_text(draw(), encoding="utf-8")
