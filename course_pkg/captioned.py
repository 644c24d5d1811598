"""Photographs with captions: Flickr8k, or any folder. Chapters 11 to 13.

Nothing is downloaded: Flickr8k (Hodosh et al. 2013) is given to those who ask its authors, for research and
education, and its photographs belong to their photographers. Pictures are only listed here;
`course_pkg.pictures` reads them.
"""

import csv
import dataclasses
import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath
from typing import Any, final

from course_pkg.corpora import PathLike, data_folder, read_lines
from course_pkg.notation import CourseError

__all__ = ["Captioned", "Captions", "captioned_folder", "existing", "flickr8k", "load", "read_captions", "read_json"]

SPLITS = ("train", "val", "test")
# As the dataset is handed out, and as it is found on the web.
FLICKR8K_CAPTIONS = ("captions.tsv", "Flickr8k.token.txt", "Flickr8k_text/Flickr8k.token.txt", "captions.txt")
FLICKR8K_IMAGES = ("images", "Images", "Flicker8k_Dataset", "Flickr8k_Dataset/Flicker8k_Dataset", "Flickr8k_Dataset")
FLICKR8K_LISTS = {
    "train": "Flickr_8k.trainImages.txt",
    "val": "Flickr_8k.devImages.txt",
    "test": "Flickr_8k.testImages.txt",
}

Captions = tuple[str, ...]
"""What people wrote under one picture."""


@final
@dataclasses.dataclass(frozen=True)
class Captioned:
    """Pictures and what people wrote under them: ``captions[i]`` are the captions of ``images[i]``.

    Raises :class:`~course_pkg.notation.CourseError` when the two differ in length or a picture has no caption.
    """

    images: tuple[Path, ...]
    captions: tuple[Captions, ...]
    name: str

    def __post_init__(self) -> None:
        if len(self.images) != len(self.captions):
            raise CourseError(
                f"{self.name}: {len(self.images)} pictures but captions for {len(self.captions)}; give one list each"
            )
        bare = [image.name for image, captions in zip(self.images, self.captions, strict=True) if not captions]
        if bare:
            raise CourseError(f"{self.name}: {_counted(bare, 'no caption')}; add captions or leave the pictures out")

    def __len__(self) -> int:
        return len(self.images)

    def head(self, n: int) -> "Captioned":
        """The first ``n`` pictures, or all of them when there are fewer."""
        if n < 0:
            raise CourseError(f"cannot take {n} pictures of {self.name}; give a number from 0 up")
        return dataclasses.replace(self, images=self.images[:n], captions=self.captions[:n])

    def pairs(self) -> list[tuple[int, str]]:
        """Every caption with the index of its picture: what a captioner trains on."""
        return [(index, caption) for index, captions in enumerate(self.captions) for caption in captions]


def load(name: str, split: str) -> Captioned:
    """The captioned pictures that a recipe names: ``flickr8k``; ``dev`` and ``val`` mean the same."""
    if name != "flickr8k":
        raise CourseError(f"there are no captioned pictures called {name!r}; choose flickr8k")
    return flickr8k(split)


def flickr8k(split: str, *, folder: PathLike | None = None) -> Captioned:
    """One split of Flickr8k (Hodosh et al. 2013): 6,000, 1,000 and 1,000 pictures with five captions each.

    ``split`` is ``train``, ``val`` (or ``dev``) or ``test``. ``folder`` is the dataset's own, or one that holds it as
    ``flickr8k``; by default ``COURSE_DATA``. Both forms are read: ``captions.tsv``, ``splits.json`` and ``images``;
    or the original ``Flickr8k.token.txt`` (or ``captions.txt``) with ``Flickr_8k.trainImages.txt`` and its two
    siblings beside ``Images`` or ``Flicker8k_Dataset``. Raises :class:`~course_pkg.notation.CourseError` for what
    is missing, and for pictures listed twice.
    """
    split = "val" if split == "dev" else split
    if split not in SPLITS:
        raise CourseError(f"Flickr8k has no split {split!r}; choose from {', '.join(SPLITS)}")
    base = _flickr8k_folder(folder)
    splits = base / "splits.json"
    if splits.is_file():
        names = _json_splits(splits)
    else:
        names = {key: read_lines(_first(base, (file, f"Flickr8k_text/{file}"))) for key, file in FLICKR8K_LISTS.items()}
        names = {key: [line.strip() for line in lines if line.strip()] for key, lines in names.items()}
        _check_splits(names, base)
    if split not in names:
        raise CourseError(f"{splits} has no split {split}; it has {', '.join(names)}")
    captions = read_captions(_first(base, FLICKR8K_CAPTIONS))
    return _captioned(_first(base, FLICKR8K_IMAGES), names[split], captions, f"flickr8k {split}")


def _flickr8k_folder(folder: PathLike | None) -> Path:
    base = Path(folder) if folder else data_folder()
    if base is None:
        raise CourseError("Flickr8k cannot be downloaded; ask its authors, and set COURSE_DATA to the folder above it")
    inner = [base / name for name in ("flickr8k", "Flickr8k") if (base / name).is_dir()]
    return inner[0] if inner else base


def _first(base: Path, names: Sequence[str]) -> Path:
    for name in names:
        if (base / name).exists():
            return base / name
    raise CourseError(f"{base} has none of {', '.join(names)}; give the folder of Flickr8k")


def captioned_folder(images: PathLike, captions: PathLike, split: PathLike | None = None) -> Captioned:
    """Any folder of pictures with a file of captions.

    Args:
        images: the folder that the file names in ``captions`` start from.
        captions: one caption a line, in any of these forms: tab-separated with a header that has ``image`` and
            ``caption``; comma-separated with such a header; or, without a header, file name, tab, caption, the name
            perhaps followed by ``#`` and the caption's number, as in ``Flickr8k.token.txt``.
        split: take only some of the pictures: ``FILE:test`` for the list called ``test`` in a JSON file,
            ``test`` for that list in ``splits.json`` beside the captions, or a text file with a name a line.

    Raises :class:`~course_pkg.notation.CourseError` for pictures that are missing, listed twice or without a
    caption, and for lines that cannot be read or hold no caption, with their numbers.
    """
    path = Path(captions)
    found = read_captions(path)
    names = list(found) if split is None else _split_names(os.fspath(split), path)
    return _captioned(Path(images), names, found, f"{path.name} {split or ''}".strip())


def _split_names(split: str, captions: Path) -> list[str]:
    file, _, name = split.rpartition(":")
    if file and Path(file).is_file():
        path = Path(file)
    elif Path(split).is_file():
        return [line.strip() for line in read_lines(split) if line.strip()]
    else:
        path, name = captions.with_name("splits.json"), split
    if not path.is_file():
        raise CourseError(f"there is no split {split}; give FILE:NAME, or a text file with a picture's name a line")
    splits = _json_splits(path)
    if name not in splits:
        raise CourseError(f"{path} has no split {name}; it has {', '.join(splits)}")
    return splits[name]


def _json_splits(path: Path) -> dict[str, list[str]]:
    splits = read_json(path)
    lists = splits.values() if isinstance(splits, dict) else [None]
    if not all(isinstance(names, list) and all(isinstance(name, str) for name in names) for names in lists):
        raise CourseError(f'{path} holds no splits; write {{"train": ["a.jpg", …], "test": […]}}')
    _check_splits(splits, path)
    return splits


def _check_splits(splits: dict[str, list[str]], path: Path) -> None:
    home: dict[str, str] = {}
    for split, names in splits.items():
        for name in names:
            if home.setdefault(name, split) != split:
                raise CourseError(f"{path}: {name} is in {home[name]} and in {split}; a tested picture must be new")


def read_captions(path: Path) -> dict[str, list[str]]:
    """Each picture's name with its captions, in the order of the file; `captioned_folder` says in which forms."""
    found: dict[str, list[str]] = {}
    seen: set[tuple[str, str]] = set()
    for line, name, number, text in _caption_lines(path):
        if not name:
            raise CourseError(f"{path}, line {line}: there is no picture and caption; write image<tab>caption")
        if not text:
            raise CourseError(f"{path}, line {line}: the caption of {name} is empty; write one or remove the line")
        if number and (name, number) in seen:
            raise CourseError(f"{path}, line {line}: {name} has caption {number} twice; number or remove one")
        seen.add((name, number))
        found.setdefault(name, []).append(text)
    if not found:
        raise CourseError(f"{path} has no captions below its header; add some")
    return found


def _caption_lines(path: Path) -> Iterator[tuple[int, str, str, str]]:
    """Line, picture's name, caption's number or nothing, and caption; no name where the line has too few parts."""
    lines = read_lines(path)
    delimiter = "\t" if "\t" in lines[0] else ","
    header = [cell.strip().lower() for cell in lines[0].split(delimiter)]
    headed = {"image", "caption"} <= set(header)
    if delimiter == "," and not headed:
        raise CourseError(f"{path} is no file of captions; begin it with a line image<tab>caption")
    columns = [header.index("image"), header.index("caption")] if headed else [0, 1]
    if "caption_id" in header:
        columns.append(header.index("caption_id"))
    quoting: Any = csv.QUOTE_MINIMAL if delimiter == "," else csv.QUOTE_NONE
    rows = csv.reader(lines[headed:], delimiter=delimiter, quoting=quoting)
    try:
        for row in rows:
            cells = [row[column].strip() for column in columns if column < len(row)]
            name, text, number = (*cells, "", "", "")[:3] if len(cells) >= 2 else ("", "", "")
            stem, mark, counted = name.rpartition("#")
            if not headed and mark and counted.isdecimal():
                name, number = stem, counted
            yield rows.line_num + headed, name, number, " ".join(text.split())
    except csv.Error as error:
        raise CourseError(f"{path}, line {rows.line_num + headed}: {error}; correct the line") from None


def _captioned(folder: Path, names: Sequence[str], captions: dict[str, list[str]], name: str) -> Captioned:
    images = existing(folder, names, name)
    return Captioned(images, tuple(tuple(captions.get(image, ())) for image in names), name)


def existing(folder: Path, names: Sequence[str], what: str) -> tuple[Path, ...]:
    """The files of these names in ``folder``; ``what`` is how messages call the list of names.

    Raises :class:`~course_pkg.notation.CourseError` for no names, for a name that comes twice or leads out of the
    folder, and for missing files, with their number.
    """
    if not folder.is_dir():
        raise CourseError(f"{folder} is not a folder; give the folder of the pictures")
    if not names:
        raise CourseError(f"{what} lists no pictures; list at least one")
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise CourseError(f"{what}: {_counted(twice, 'more than one entry')}; list each picture once")
    outside = [name for name in names if PurePath(name).is_absolute() or ".." in PurePath(name).parts]
    if outside:
        raise CourseError(f"{what}: {outside[0]} leads out of {folder}; name pictures inside it")
    paths = tuple(folder / name for name in names)
    missing = [name for name, path in zip(names, paths, strict=True) if not path.is_file()]
    if missing:
        raise CourseError(f"{what}: {_counted(missing, f'no file in {folder}')}; add the files or leave them out")
    return paths


def _counted(names: Sequence[str], what: str) -> str:
    if len(names) == 1:
        return f"{names[0]} has {what}"
    return f"{len(names)} pictures have {what} (the first is {names[0]})"


def read_json(path: Path) -> Any:
    """What a JSON file holds; raises :class:`~course_pkg.notation.CourseError` when it is none."""
    text = "\n".join(read_lines(path))
    try:
        return json.loads(text)
    except ValueError as error:
        raise CourseError(f"{path} is not JSON ({error}); correct or write it again") from None
