"""Do words look at what they name? ``python tools/measure_pointing.py`` writes ``course_pkg/results/pointing.json``.

For each captioner (by default the two of Flickr8k) `course_pkg.evaluation.point` measures α on photographs of COCO, in
which people outlined things: over people's captions, which the model is made to write, and over its own. Pictures
whose boxes a detector drew are left out unless ``--detected`` is given. Needs ``COURSE_DATA``. Beside title, note,
columns, rows and passport the file holds ``records``: for each model, under ``people`` and ``own``, the whole record
of `point`, with ``left_out``, ``shift`` and ``by_category``.
"""

import dataclasses
import json
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from entry import options, told
from publish import write_json
from publish_captioner import tokenisation

from course_pkg import located
from course_pkg.captioner import Captioner
from course_pkg.evaluation import passport, point
from course_pkg.inference import load
from course_pkg.located import Located
from course_pkg.notation import CourseError

MODELS = ("flickr8k-soft", "flickr8k-hard")
WHOSE = {"people": "people's", "own": "its own"}
PLACES = {
    "alpha": "α",
    "uniform": "a random place",
    "centre": "the middle",
    "another_word": "α of another word",
    "features": "longest feature",
}
MEASURES = {"pointing": "pointing accuracy, %", "mass": "attention mass, %"}
COLUMNS = {
    "model": "model",
    "captions": "captions",
    "place": "where",
    **{
        name: heading
        for measure, said in MEASURES.items()
        for name, heading in ((measure, said), (f"{measure}_ahead", "α ahead by"))
    },
}


def outlined(found: Located) -> Located:
    """Only the pictures in which people outlined things."""
    kept = [row for row, things in enumerate(found.things) if any(thing.polygons for thing in things)]
    parts = {name: tuple(getattr(found, name)[row] for row in kept) for name in ("images", "things", "captions")}
    return dataclasses.replace(found, name=f"{found.name}, outlined by people", **parts)


def head(found: Located, most: int) -> Located:
    """The first ``most`` pictures."""
    if most < 0:
        raise CourseError(f"{most} pictures cannot be measured: give a number from 1 up, or 0 for all.")
    return dataclasses.replace(
        found, images=found.images[:most], things=found.things[:most], captions=found.captions[:most]
    )


def opened(models: Sequence[str]) -> dict[str, Captioner]:
    """The captioners by their names, all of them before the first is measured.

    Raises:
        CourseError: a translator, or two models of one name.
    """
    found: dict[str, Captioner] = {}
    for model in models:
        captioner = load(model, device="cpu")
        if not isinstance(captioner, Captioner):
            raise CourseError(f"{captioner.name} reads text, not pictures: give captioners.")
        if captioner.name in found:
            raise CourseError(f"Two models are called {captioner.name}: give each once.")
        found[captioner.name] = captioner
    return found


def rows_of(model: str, whose: str, record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row for α and for each baseline, each measure with its interval and by how much α is ahead."""
    rows = []
    for place, said in PLACES.items():
        if place != "alpha" and place not in record["baselines"]:
            continue
        row = {"model": model, "captions": WHOSE[whose], "place": said}
        for measure in MEASURES:
            told = record if place == "alpha" else record["baselines"][place]
            row[measure] = percent(told[measure])
            row[f"{measure}_ahead"] = None if place == "alpha" else percent(record["ahead"][place][measure])
        rows.append(row)
    return rows


def percent(told: Mapping[str, float]) -> str:
    """A share with its interval, in words."""
    rounded = (round(100 * told[name], 1) + 0.0 for name in ("score", "low", "high"))  # + 0.0: no minus before 0
    score, low, high = (f"{value:.1f}".replace("-", "−") for value in rounded)
    return f"{score} ({low} to {high})"


def result(captioners: Mapping[str, Captioner], pictures: Located, machine: str) -> dict[str, Any]:
    """The whole record."""
    started = time.monotonic()
    records = {
        name: {whose: point(captioner, pictures, own=whose == "own", progress=True) for whose in WHOSE}
        for name, captioner in captioners.items()
    }
    kinds = {name: tokenisation(captioner) for name, captioner in captioners.items()}
    beams = {name: captioner.decoding for name, captioner in captioners.items()}
    counts = "; ".join(
        f"{name}: {records[name]['people']['n']} words of people's captions and {records[name]['own']['n']} of its own"
        for name in records
    )
    return {
        "title": "Does a word look at what it names?",
        "note": "Pointing accuracy: how often the largest weight lies on what the word names. Attention mass: the "
        "share of the weight there. In brackets 95 % intervals over pictures. A row that is not α is a baseline on the "
        "same words, and α is ahead of it by so many points, significantly where the interval leaves out 0. "
        f"{counts}. One training run each; the intervals say nothing of another.",
        "columns": list(COLUMNS.items()),
        "rows": [row for name in records for whose in WHOSE for row in rows_of(name, whose, records[name][whose])],
        "passport": passport(
            data=f"{len(pictures)} photographs of COCO 2017 ({pictures.name}; annotations CC BY 4.0), none of which a "
            "captioner was trained on; words that name a category (course_pkg.category_words) that is marked in the "
            "part of the picture that the model sees",
            tokenisation=_once(kinds),
            signature="pointing game of Zhang et al. 2016 without tolerance, equal peaks shared; attention mass; "
            "percentile bootstrap over pictures, 2000 samples (course_pkg.pointing)",
            decoding="people's captions: teacher forcing; its own: "
            + _once({name: f"beam {one['beam_size']}, length penalty {one['length_penalty']}"
                     for name, one in beams.items()}),
            seeds="one training run of each model, seed "
            + _once({name: str(one.config["recipe"]["training"]["seed"]) for name, one in captioners.items()})
            + "; bootstrap 1",
            hardware=machine,
            cost=f"{max(1, round((time.monotonic() - started) / 60))} minutes",
            recipe=f"{', '.join(captioners)}; python tools/measure_pointing.py",
        ),
        "records": records,
    }  # fmt: skip


def _once(said: Mapping[str, str]) -> str:
    """What holds of all models, once; otherwise who says what."""
    values = set(said.values())
    return values.pop() if len(values) == 1 else "; ".join(f"{name}: {value}" for name, value in said.items())


@told
def main(argv: Sequence[str] | None = None) -> None:
    """Measure and store the result."""
    parser = options(__doc__, "package", "hardware")
    parser.add_argument("models", nargs="*", default=MODELS, metavar="MODEL", help="captioners: names or folders")
    parser.add_argument("--detected", action="store_true", help="also pictures whose boxes a detector drew")
    parser.add_argument("--pictures", type=int, default=0, help="only so many, to try it out; 0 for all")
    arguments = parser.parse_args(argv)
    captioners = opened(arguments.models)
    pictures = located.coco_mini().captioned()
    pictures = pictures if arguments.detected else outlined(pictures)
    pictures = head(pictures, arguments.pictures) if arguments.pictures else pictures
    record = result(captioners, pictures, arguments.hardware)
    write_json(arguments.package / "results" / "pointing.json", record)
    print(json.dumps(record["rows"], ensure_ascii=False, indent=1))


if __name__ == "__main__":
    sys.exit(main())
