"""Every figure of the chapters for slides: ``python tools/slide_figures.py FILE.zip``; the site has it as well.

Drawings are SVG, charts PNG, each on its light card with nothing around it, so that they stand on light and on dark
slides. Each file keeps its alternative text inside it, beside the line that names its source and licence; the list
``figures.md`` in the archive has all of them.
"""

import argparse
import base64
import io
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path

import nbformat
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from run_notebooks import book_notebooks

ARCHIVE = "figures/learning-where-to-look-figures.zip"
EPOCH = (2026, 1, 1, 0, 0, 0)  # the same figures make the same archive


@dataclass(frozen=True)
class SlideFigure:
    """One figure: its file's name, what it shows in words, where it comes from, and the file."""

    name: str
    alt: str
    credit: str
    data: bytes


def png_with_words(data: bytes, alt: str, credit: str) -> bytes:
    """The same picture, its description and licence written into it."""
    words = PngInfo()
    words.add_itxt("Description", alt)
    words.add_itxt("Copyright", credit)
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(data)) as image:
        image.save(buffer, format="PNG", pnginfo=words, optimize=True)
    return buffer.getvalue()


def svg_with_words(text: str, alt: str, credit: str) -> bytes:
    """The same drawing as a file of its own, with a size, a title and its licence."""
    head, rest = text.split(">", 1)
    box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', head)
    if box is None:
        raise ValueError("a drawing without a viewBox")
    head = re.sub(r' style="[^"]*"', "", head) + f' width="{box[1]}pt" height="{box[2]}pt"'
    named = f"<title>{escape(alt)}</title><desc>{escape(credit)}</desc>"
    return f'<?xml version="1.0" encoding="utf-8"?>\n{head}>{named}{rest}\n'.encode()


def figures_of(notebook: Path, stem: str) -> Iterator[SlideFigure]:
    """The figures of a notebook with stored outputs, in order."""
    cells = nbformat.read(notebook, as_version=4).cells
    chapter = re.search(
        r"^# (.+)$", "\n".join(cell.source for cell in cells if cell.cell_type == "markdown"), re.MULTILINE
    )
    title = chapter[1] if chapter else stem
    credit = f"Learning Where to Look, chapter {int(stem[:2])} ({title.replace('$', '')}). CC BY 4.0."
    count = 0
    for cell in cells:
        alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if not {"image/svg+xml", "image/png"} & set(data):
                continue
            count += 1
            name = f"{stem.replace('_', '-')}-{count:02}"
            if "image/svg+xml" in data:
                yield SlideFigure(f"{name}.svg", alt, credit, svg_with_words(data["image/svg+xml"], alt, credit))
            else:
                stored = base64.b64decode(data["image/png"])
                yield SlideFigure(f"{name}.png", alt, credit, png_with_words(stored, alt, credit))


def listing(figures: list[SlideFigure]) -> str:
    """What is in the archive, in words."""
    parts = ["# Figures of Learning Where to Look", "Each may be used and changed if its source is named (CC BY 4.0)."]
    parts += [f"## {one.name}\n\n{one.alt}\n\nSource: {one.credit}" for one in figures]
    return "\n\n".join(parts) + "\n"


def write_figures(notebooks: dict[Path, Path], archive: Path) -> list[SlideFigure]:
    """Write the archive from the copies of the notebooks that are shown, and return what is in it."""
    figures = [one for original, copy in sorted(notebooks.items()) for one in figures_of(copy, original.stem)]
    archive.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in [("figures.md", listing(figures).encode()), *((one.name, one.data) for one in figures)]:
            file.writestr(zipfile.ZipInfo(name, EPOCH), data, zipfile.ZIP_DEFLATED)
    return figures


def main() -> None:
    """Write the figures of the stored notebooks."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("archive", type=Path, metavar="FILE.zip", help="what to write")
    archive = parser.parse_args().archive
    print(f"{len(write_figures({path: path for path in book_notebooks()}, archive))} figures in {archive}")


if __name__ == "__main__":
    main()
