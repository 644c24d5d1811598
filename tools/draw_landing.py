"""Draw the landing page's question and scene: ``book/landing/question.html`` and ``book/landing/scene.svg``.

Both go into the page as they are. The question needs no script: its choices are radio buttons, and the style
sheet shows the answer and the lines of the one that is chosen. The links are the toy grammar's own gold.
"""

import re
from html import escape
from pathlib import Path

from course_pkg.toy import COURSE_SENTENCE

FOLDER = Path(__file__).resolve().parent.parent / "book/landing"

# Without the full stops; "does" has no French word of its own, "not" has two.
SOURCE, TARGET = COURSE_SENTENCE.source_tokens[:-1], COURSE_SENTENCE.target_tokens[:-1]
LINKS = sorted((link for link in COURSE_SENTENCE.links if link[0] < len(SOURCE)), key=lambda link: link[::-1])
ASKED = TARGET.index("noir")
[RIGHT] = [source for source, target in LINKS if target == ASKED]

# What the reader hears on each choice; *French* and _English_ words. Each names the French words that come from there:
# the grammar's links, not a network's looks, which chapter 8 compares with them.
ANSWERS = [
    "No, _The_ is where *La* comes from. It belongs to the woman, and *noir* describes somebody else.",
    "No, _woman_ is where *femme* comes from. Which word says of which colour somebody is?",
    "No, _who_ is where *qui* comes from, straight across. *Noir* is a colour.",
    "No. Nothing comes from _does_: French has no word for it.",
    "No, but two words come from _not_: French says it in two halves, *ne* … *pas*. *Noir* is a colour.",
    "No, _see_ is where *voit* (sees) comes from. *Noir* is what she would see there.",
    "No, this _the_ is where the first *le* comes from, the one before *chien*. You are getting close.",
    "Yes: *noir* is _black_. French puts this adjective after its noun, *chien* (dog), so their two lines cross.",
    "Close. It stands straight across, but _dog_ is where *chien* comes from. *Noir* says of which colour the dog is.",
    "No, _throws_ is where *lance* comes from. *Noir* is no verb but a colour.",
    "No, this _the_ is where the second *le* comes from, the one before *frisbee*.",
    "No, _frisbee_ is where *frisbee* comes from. Nobody says of which colour it is.",
]
SHOWN = "*Noir* comes from _black_. French puts this adjective after its noun, *chien* (dog), so their two lines cross."


def middle(row: int) -> int:
    """The vertical middle of a row."""
    return 5 + 10 * row


def line(source: int, target: int) -> str:
    """The curve from a source word to a target word; the asked word's stands out."""
    a, b = middle(source), middle(target)
    style = ' class="asked"' if target == ASKED else ""
    return f'<path{style} vector-effect="non-scaling-stroke" d="M0 {a} C50 {a} 50 {b} 100 {b}"/>'


def lines(links: list[tuple[int, int]]) -> str:
    """A drawing of some links, the asked word's in front; without scripts or styles it still says them in words."""
    pairs = ", ".join(f"{TARGET[target]} – {SOURCE[source]}" for source, target in links)
    ordered = sorted(links, key=lambda link: link[1] == ASKED)
    return (
        f'<svg class="lines" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 {10 * len(SOURCE)}" '
        f'preserveAspectRatio="none" role="img" aria-label="{escape(pairs)}">'
        f"{''.join(line(*link) for link in ordered)}</svg>"
    )


def marked(text: str) -> str:
    """HTML of a text in which *French* and _English_ words are marked."""
    text = re.sub(r"\*(.+?)\*", r'<em lang="fr">\1</em>', escape(text))
    return re.sub(r"_(.+?)_", r"<em>\1</em>", text)


def choice(row: int, text: str, answer: str, links: list[tuple[int, int]], style: str = "") -> str:
    """One radio button, with the lines and the answer that choosing it brings."""
    return "\n".join(
        [
            f'<div class="choice{style}">',
            f'<label><input type="radio" name="noir" value="{row}"><span>{escape(text)}</span></label>',
            lines(links) if links else "",
            f'<div class="said" aria-live="polite"><p>{marked(answer)}</p></div>',
            "</div>",
        ]
    )


def question() -> str:
    """The question, the English words to choose from, the French ones across, and what each choice brings."""
    choices = []
    for row, (word, answer) in enumerate(zip(SOURCE, ANSWERS, strict=True)):
        own = [link for link in LINKS if link[0] == row]
        choices.append(choice(row, word, answer, LINKS if row == RIGHT else own, " right" if row == RIGHT else ""))
    choices.append(choice(len(SOURCE), "Just show me", SHOWN, LINKS, " shown"))
    french = [
        f'<span class="french{" asked" if row == ASKED else ""}" lang="fr">{escape(word)}</span>'
        for row, word in enumerate(TARGET)
    ]
    legend = 'Writing <em lang="fr">noir</em>, which word would you look at? Tap one.'
    parts = [
        '<fieldset class="course-ask">',
        f"<legend>{legend}</legend>",
        '<div class="words">',
        *choices,
        *french,
        "</div>",
        "</fieldset>",
    ]
    return "\n".join(part for part in parts if part) + "\n"


# --- the scene --------------------------------------------------------------------------------------------------


def stroke(style: str, width: float, d: str) -> str:
    """A limb: a line with round ends."""
    return f'<path class="limb {style}" stroke-width="{width}" d="{d}"/>'


def shape(style: str, d: str) -> str:
    """A filled outline."""
    return f'<path class="{style}" d="{d}"/>'


def oval(style: str, x: float, y: float, rx: float, ry: float, turn: float = 0) -> str:
    """A filled ellipse, turned about its middle."""
    turned = f' transform="rotate({turn} {x} {y})"' if turn else ""
    return f'<ellipse class="{style}" cx="{x}" cy="{y}" rx="{rx}" ry="{ry}"{turned}/>'


def meadow() -> list[str]:
    """Sky, sun, hills and grass."""
    return [
        '<rect class="sky" width="480" height="300" rx="14"/>',
        oval("sun", 416, 52, 21, 21),
        shape("hill", "M0 196 C70 150 130 160 200 186 C270 152 360 150 480 190 V240 H0 Z"),
        shape("grass", "M0 222 C120 206 330 206 480 224 V286 A14 14 0 0 1 466 300 H14 A14 14 0 0 1 0 286 Z"),
        oval("shade", 80, 262, 54, 6),
        oval("shade", 216, 264, 46, 6),
    ]


def dog() -> list[str]:
    """The black dog, behind the woman, its eyes on the frisbee."""
    return [
        stroke("fur", 6, "M57 221 C44 214 40 202 46 190"),
        stroke("fur", 8.5, "M62 230 L58 246 L62 261"),
        stroke("fur", 8.5, "M74 232 L74 261"),
        stroke("fur", 8.5, "M112 230 L110 261"),
        stroke("fur", 8.5, "M121 226 L124 261"),
        shape("fur", "M50 220 C50 202 70 205 90 206 C106 206 110 200 116 192 L138 206 C134 232 128 244 106 242 "
              "C92 241 84 238 72 242 C58 245 50 234 50 220 Z"),
        stroke("collar", 5, "M117 197 L135 208"),
        oval("fur", 134, 184, 16, 14.5, -20),
        stroke("fur", 11, "M142 184 L158 175"),
        oval("nose", 162.5, 171.5, 3.2, 2.8),
        shape("ear", "M124 173 C114 174 109 186 113 199 C122 199 129 190 130 178 Z"),
        oval("eye", 140.5, 178, 2.3, 2.3),
        stroke("tongue", 3.6, "M150 189 C152 193 153 195 152 199"),
    ]  # fmt: skip


def woman() -> list[str]:
    """The woman, turned away from the dog, her arm still stretched after the throw."""
    return [
        stroke("skin", 8, "M196 118 C184 130 178 142 164 146"),
        stroke("skin", 9.5, "M204 196 L200 228 L190 256"),
        stroke("skin", 9.5, "M224 196 L232 226 L240 256"),
        stroke("shoe", 8, "M189 259 L199 260"),
        stroke("shoe", 8, "M240 259 L250 260"),
        stroke("skin", 9, "M209 96 L208 110"),
        shape("dress", "M196 108 C204 105 214 105 221 109 L226 152 C232 172 240 190 245 206 C226 215 198 214 182 206 "
              "C188 188 196 170 198 152 Z"),
        shape("belt", "M198.2 148 L225.6 148 L226.4 155 L197.6 155 Z"),
        stroke("dress", 11, "M217 115 L233 123"),
        stroke("skin", 8, "M234 123.5 L250 128 L277 114"),
        oval("hair", 203, 76, 20, 20),
        shape("hair", "M188 70 C172 76 172 98 162 108 C178 110 194 102 198 88 Z"),
        oval("skin", 211, 80, 16, 17),
        shape("hair", "M192 84 C190 62 206 54 218 59 C226 62 228 68 227 71 C216 72 206 76 203 86 "
              "C200 90 195 90 192 84 Z"),
        shape("skin", "M225 78 L231.5 84 L225 87 Z"),
        oval("eye-open", 218.5, 78, 1.9, 2.3),
        stroke("mouth", 1.8, "M216 89 C219 92 222 91 224 89"),
    ]  # fmt: skip


def frisbee() -> list[str]:
    """The frisbee in the air, with the way it came."""
    return [
        stroke("wind", 2.2, "M292 106 C306 97 320 91 336 87"),
        stroke("wind", 2.2, "M300 118 C314 109 326 103 340 99"),
        stroke("wind", 2.2, "M312 88 C320 84 328 81 336 79"),
        oval("disc", 374, 86, 26, 8.5, -12),
        oval("disc-top", 373.4, 83.6, 19, 4.6, -12),
    ]


def regions() -> list[str]:
    """Where each of three words looks in the picture."""
    tags = [
        ("region", "woman", (213, 160, 60, 112), (213, 32)),
        ("region asked", "black dog", (87, 216, 74, 64), (76, 140)),
        ("region", "frisbee", (371, 86, 45, 29), (371, 142)),
    ]
    return [
        f'<g class="{style}"><ellipse cx="{x}" cy="{y}" rx="{rx}" ry="{ry}"/>'
        f'<text x="{at[0]}" y="{at[1]}" text-anchor="middle">{word}</text></g>'
        for style, word, (x, y, rx, ry), at in tags
    ]


def scene() -> str:
    """The whole picture."""
    text = (
        "A meadow. A woman has just thrown a frisbee, which flies off to the right. Behind her back stands a black dog "
        "with its eyes on the frisbee. Three dashed rings, with the words woman, black dog and frisbee, show where "
        "each of these words would look in the picture."
    )
    parts = [
        '<svg class="course-scene" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 480 300" '
        'role="img" aria-labelledby="course-scene-title course-scene-text">',
        '<title id="course-scene-title">The scene of the sentence</title>',
        f'<desc id="course-scene-text">{escape(text)}</desc>',
        *meadow(),
        '<g class="dog" transform="translate(-12 0)">',
        *dog(),
        "</g>",
        *woman(),
        *frisbee(),
        *regions(),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    for name, text in {"question.html": question(), "scene.svg": scene()}.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
