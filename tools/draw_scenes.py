"""A contact sheet of drawn scenes, to look at after a change of the drawings: FILE.png shows 24 scenes and the gallery.

python tools/draw_scenes.py FILE.png [--seed 0] [--size 224]
"""

import argparse
import textwrap
from pathlib import Path

from PIL import Image, ImageDraw

from course_pkg import scenes

COLUMNS = 6


def contact_sheet(shown: list[scenes.Scene]) -> Image.Image:
    """The scenes in rows of six, each above its caption."""
    side, lines = shown[0].size, 48
    rows = -(-len(shown) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * (side + 6), rows * (side + lines)), "white")
    pen = ImageDraw.Draw(sheet)
    for number, scene in enumerate(shown):
        x, y = number % COLUMNS * (side + 6), number // COLUMNS * (side + lines)
        sheet.paste(Image.fromarray(scene.image), (x, y))
        pen.text((x + 2, y + side + 2), textwrap.fill(scene.caption, side // 6), fill="black")
    return sheet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, default=224)
    asked = parser.parse_args()
    shown = [*scenes.gallery(size=asked.size), *scenes.make(24, seed=asked.seed, size=asked.size)]
    contact_sheet(shown).save(asked.file)


if __name__ == "__main__":
    main()
