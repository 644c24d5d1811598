"""The course's chapters in their parts, as ``_toc.yml`` has them: what the extensions beside this file share."""

import re
from dataclasses import dataclass
from pathlib import Path

import yaml

NUMBERED = re.compile(r"book/(\d\d)_\w+")


@dataclass(frozen=True)
class Chapter:
    """One chapter: its number, the page that it is, its title without the number, and the part it belongs to."""

    number: int
    page: str
    title: str
    part: str


def chapters_of(folder: Path) -> list[Chapter]:
    """All chapters in order; pages without a number in their name, such as appendices, are none."""
    contents = yaml.safe_load((folder / "_toc.yml").read_text(encoding="utf-8"))
    found = []
    for part in contents["parts"]:
        for entry in part["chapters"]:
            if numbered := NUMBERED.fullmatch(entry["file"]):
                title = entry["title"].split(" · ", 1)[1]
                found.append(Chapter(int(numbered[1]), entry["file"], title, part["caption"]))
    return found
