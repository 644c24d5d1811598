"""Photographs in which people marked what is where: a small part of COCO, or any folder. Chapter 13.

With these a word can be compared with the place that the model looked at when it wrote the word.
"""

import dataclasses
from pathlib import Path
from typing import Any, final

import numpy as np
from jaxtyping import Bool
from PIL import Image, ImageDraw

from course_pkg.captioned import Captions, existing, read_captions, read_json
from course_pkg.corpora import PathLike, data_folder
from course_pkg.notation import CourseError
from course_pkg.pictures import SIDE, View

__all__ = ["Located", "Thing", "coco_mini", "objects_folder"]

EDGE = 0.002  # by so much a rounded box may leave its picture
FINER = 4  # drawn so many times larger: what draws also fills every pixel that the outline touches

Box = tuple[float, float, float, float]


@final
@dataclasses.dataclass(frozen=True)
class Thing:
    """Something in a picture, outlined by hand; places are unit coordinates of the whole picture.

    Attributes:
        category: what it is, such as ``traffic light``.
        box: left, upper, right and lower edge.
        polygons: outlines ``((x, y), …)``, several where something hides its middle; empty where only the box is known.
        crowd: one box around many, whose single members are not outlined.
    """

    category: str
    box: Box
    polygons: tuple[tuple[tuple[float, float], ...], ...] = ()
    crowd: bool = False

    def mask(self, view: View, side: int = SIDE) -> Bool[np.ndarray, "h w"]:
        """True where the thing covers most of a pixel of the view: within its outlines, or its box without them."""
        left, upper, right, lower = self.box
        outlines = self.polygons or (((left, upper), (right, upper), (right, lower), (left, lower)),)
        fine = side * FINER
        image = Image.new("1", (fine, fine))
        draw = ImageDraw.Draw(image)
        for outline in outlines:
            # Half a pixel back: what draws counts places from the middle of the first pixel.
            draw.polygon([tuple(place) for place in view.to_view(np.array(outline)) * fine - 0.5], fill=1)
        covered = np.array(image, dtype=np.uint8).reshape(side, FINER, side, FINER).mean(axis=(1, 3))
        return covered > 0.5


@final
@dataclasses.dataclass(frozen=True)
class Located:
    """Pictures, the things in each, and its captions, any of which may be missing from a picture."""

    images: tuple[Path, ...]
    things: tuple[tuple[Thing, ...], ...]
    captions: tuple[Captions, ...]
    name: str

    def __len__(self) -> int:
        return len(self.images)

    def captioned(self) -> "Located":
        """Only the pictures that have both captions and things."""
        kept = [row for row in zip(self.images, self.things, self.captions, strict=True) if row[1] and row[2]]
        images, things, captions = zip(*kept, strict=True) if kept else ((), (), ())
        return Located(images, things, captions, f"{self.name}, captioned")


def coco_mini(*, folder: PathLike | None = None) -> Located:
    """340 photographs of COCO (Lin et al. 2014), 190 of them with both captions and marked things.

    Read from ``coco_mini`` in ``folder`` or ``COURSE_DATA``. Places are fractions of the whole photograph.
    """
    base = Path(folder) if folder else data_folder()
    if base is None:
        raise CourseError("this part of COCO cannot be downloaded; set COURSE_DATA to the course's data folder")
    base = base / "coco_mini"
    located = objects_folder(base / "images", base / "objects.json", base / "captions.tsv")
    return dataclasses.replace(located, name="coco_mini")


def objects_folder(images: PathLike, objects: PathLike, captions: PathLike | None = None) -> Located:
    """Any folder of pictures with a file that says what is where in them.

    ``objects`` is a JSON list with an entry for each picture: ``{"image": "a.jpg", "objects": [{"category": "dog",
    "box": [left, upper, right, lower], "polygons": [[x, y, x, y, …], …], "iscrowd": 0}, …]}``, every number a
    fraction of the width or height; ``polygons`` and ``iscrowd`` may be left out. ``captions`` is as in
    `captioned_folder`; pictures may go without. Raises :class:`~course_pkg.notation.CourseError` for other
    content and for missing pictures.
    """
    path = Path(objects)
    entries = read_json(path)
    if not isinstance(entries, list):
        raise CourseError(f"{path} is no list of pictures; write a list with an entry for each")
    names, things = [], []
    for number, entry in enumerate(entries, 1):
        try:
            names.append(str(entry["image"]))
            things.append(tuple(_thing(thing) for thing in entry["objects"]))
        except (KeyError, TypeError, ValueError) as error:
            reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            raise CourseError(f"{path}, entry {number}: {reason}; see objects_folder for the form") from None
    paths = existing(Path(images), names, str(path))
    found = read_captions(Path(captions)) if captions is not None else {}
    return Located(paths, tuple(things), tuple(tuple(found.get(n, ())) for n in names), path.stem)


def _thing(entry: dict[str, Any]) -> Thing:
    left, upper, right, lower = (float(value) for value in entry["box"])
    if not (-EDGE <= left < right <= 1 + EDGE and -EDGE <= upper < lower <= 1 + EDGE):
        raise ValueError(f"the box {entry['box']} is not left, upper, right, lower in fractions of the picture")
    polygons = []
    for flat in entry.get("polygons", ()):
        if len(flat) < 6 or len(flat) % 2:
            raise ValueError(f"an outline of {entry['category']} has {len(flat)} numbers, not x and y of three places")
        polygons.append(tuple((float(x), float(y)) for x, y in zip(flat[::2], flat[1::2], strict=True)))
    clipped = (max(left, 0.0), max(upper, 0.0), min(right, 1.0), min(lower, 1.0))
    return Thing(str(entry["category"]), clipped, tuple(polygons), bool(entry.get("iscrowd", False)))
