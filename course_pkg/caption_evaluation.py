"""Captioners measured: their captions against people's, and their gaze against marked things. Chapter 13."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from course_pkg import features, pictures, pointing
from course_pkg.caption_metrics import caption_scores
from course_pkg.captioned import Captioned
from course_pkg.captioner import Caption, Captioner
from course_pkg.category_words import Named, named
from course_pkg.located import Located, Thing
from course_pkg.notation import CourseError
from course_pkg.pictures import View
from course_pkg.vocabulary import UNK

__all__ = ["evaluate_captions", "point"]

SEED = 1
SHIFTS = {"before": -1, "same": 0, "after": 1}
BASELINES = ("uniform", "centre", "another_word", "features")


def evaluate_captions(
    captioner: Captioner,
    captioned: Captioned,
    *,
    beam: int | None = None,
    length_penalty: float | None = None,
    folder: Path | None = None,
    progress: bool = False,
) -> dict[str, Any]:
    """Describe pictures and score the captions against people's: what ``course evaluate --images`` prints.

    Captions are made from the pictures alone; the references are opened only to score them.

    Args:
        captioner: the model.
        captioned: the pictures and their references.
        beam: beam width; the model's own choice if not given.
        length_penalty: likewise.
        folder: where features are kept, as in `course_pkg.features.cached`.
        progress: show progress bars on stderr.

    Returns:
        ``model``, ``data``, ``n``, ``decoding`` and what `course_pkg.caption_metrics.caption_scores` returns.
    """
    store = _store(captioner, captioned.images, folder, progress)
    if store is None:
        made = captioner.caption(captioned.images, beam, length_penalty, progress=progress)
    else:
        made = captioner.caption_features(store, beam, length_penalty, progress=progress)
    given = {"beam_size": beam, "length_penalty": length_penalty}
    return {
        "model": captioner.name,
        "data": captioned.name,
        "n": len(captioned),
        "decoding": {**captioner.decoding, **{name: value for name, value in given.items() if value is not None}},
        **caption_scores([one.caption for one in made], captioned.captions),
    }


def _store(
    captioner: Captioner, images: Sequence[Path], folder: Path | None, progress: bool
) -> features.FeatureStore | None:
    if captioner.reads is None:
        return None
    return features.cached(images, captioner.reads, folder=folder, device=captioner.device, progress=progress)


@dataclass
class _Found:
    """What was measured, one entry for each word that names something marked."""

    pictures: list[int] = field(default_factory=list)
    categories: list[frozenset[str]] = field(default_factory=list)
    values: dict[str, dict[str, list[float]]] = field(
        default_factory=lambda: {"pointing": defaultdict(list), "mass": defaultdict(list)}
    )
    left_out: dict[str, int] = field(default_factory=lambda: {"unknown": 0, "unmarked": 0, "unseen": 0})


def point(
    captioner: Captioner,
    located: Located,
    *,
    own: bool = False,
    beam: int | None = None,
    folder: Path | None = None,
    progress: bool = False,
) -> dict[str, Any]:
    """Do words look at what they name? What ``course point`` prints.

    Words that name a category (`course_pkg.category_words`) are taken from people's captions, which the model is made
    to write (teacher forcing), or from its own. Such a word is measured against everything of its categories that is
    marked in the picture, crowds included, on the part of the picture that the model sees. Of a word of several pieces,
    or a name of several words, α is the mean of its rows. Row t is where the model looked to write word t.

    Args:
        captioner: the model.
        located: pictures with marked things; without captions too, only if ``own``.
        own: measure the model's own captions.
        beam: beam width of those.
        folder: where features are kept, as in `course_pkg.features.cached`.
        progress: show progress bars on stderr.

    Returns:
        ``pointing`` and ``mass`` (`course_pkg.pointing`), each with its 95 % interval over pictures; ``n`` words in
        ``pictures``; ``left_out``: words that the model does not know, whose categories are not marked, or lie outside
        its view; ``baselines``, and by how much α is ``ahead`` of each on the same words: ``uniform`` (a random place),
        ``centre``, ``another_word`` (the mean over the caption's words that name something else or nothing),
        ``features`` (where the network's features are longest); ``shift``: the same with the rows one word ``before``
        and ``after``, and by how much the word's own row is ahead of them (``same_ahead``); ``by_category``, each with
        its own ``ahead``, as small as a category may be; ``others``: what is left without the most frequent category.

    Raises:
        CourseError: no picture with captions and marked things, or no word that names any.
    """
    rows = [row for row in range(len(located)) if located.things[row] and (own or located.captions[row])]
    if not rows:
        wanted = "marked things" if own else "both captions and marked things"
        raise CourseError(f"{located.name} has no picture with {wanted}; give some")
    images = [located.images[row] for row in rows]
    store = _store(captioner, images, folder, progress)
    found = _Found()
    with torch.inference_mode(), tqdm(total=len(rows), unit="picture", disable=not progress) as bar:
        for place, row in enumerate(rows):
            _measure(captioner, store, place, images[place], located.things[row],
                     None if own else located.captions[row], beam, found)  # fmt: skip
            bar.update()
    if not found.pictures:
        raise CourseError(f"{located.name}: no word of a caption names a thing that is marked; give other pictures")
    return {
        "model": captioner.name,
        "data": located.name,
        "captions": "the model's own" if own else "people's, under teacher forcing",
        "n": len(found.pictures),
        "pictures": len(set(found.pictures)),
        "left_out": found.left_out,
        **_summary(found),
    }


def _measure(
    captioner: Captioner,
    store: features.FeatureStore | None,
    place: int,
    image: Path,
    things: Sequence[Thing],
    captions: Sequence[str] | None,
    beam: int | None,
    found: _Found,
) -> None:
    """Everything that is to be measured on one picture."""
    seen = captioner.see(image)
    norms = None if store is None else store.rows([place]).norm(dim=-1).numpy().reshape(1, *captioner.grid)
    if captions is not None:
        encoded = captioner.encode_seen([seen]) if store is None else captioner.encode_features(store, [place])
        looked = captioner.forced(encoded, captions, seen.view)
    elif store is None:
        looked = captioner.caption([seen], beam)
    else:
        looked = captioner.caption_features(store, beam, rows=[place])
    regions = _Regions(things, seen.view)
    for caption in looked:
        mentions = named(caption.caption.split())
        for mention in mentions:
            rows = _rows(caption, mention)
            if any(caption.tokens[t] == captioner.target.show(UNK) for t in rows):
                found.left_out["unknown"] += 1
                continue
            categories = mention.categories & regions.marked
            mask = regions.mask(categories)
            if mask is None or not mask.any():
                found.left_out["unseen" if categories else "unmarked"] += 1
                continue
            alike = {t for other in mentions if other.categories & categories for t in _rows(caption, other)}
            found.pictures.append(place)
            found.categories.append(categories)
            _weigh(caption, rows, alike, norms, mask, found.values)


class _Regions:
    """The marked things of one picture, each category's mask drawn once."""

    def __init__(self, things: Sequence[Thing], view: View) -> None:
        self.things, self.view = things, view
        self.marked = frozenset(thing.category for thing in things)
        self._drawn: dict[frozenset[str], np.ndarray] = {}

    def mask(self, categories: frozenset[str]) -> np.ndarray | None:
        if not categories:
            return None
        if categories not in self._drawn:
            masks = [thing.mask(self.view, pictures.SIDE) for thing in self.things if thing.category in categories]
            self._drawn[categories] = np.logical_or.reduce(masks)
        return self._drawn[categories]


def _rows(caption: Caption, mention: Named) -> list[int]:
    """The steps that wrote the mention's words."""
    return [t for t, word in enumerate(caption.words) if word is not None and mention.start <= word < mention.stop]


def _weigh(
    caption: Caption,
    rows: list[int],
    alike: set[int],
    norms: np.ndarray | None,
    mask: np.ndarray,
    values: dict[str, dict[str, list[float]]],
) -> None:
    """Both measures of α, its neighbours and each baseline, for one mention; NaN where there is nothing to measure."""
    maps = caption.maps()
    others = [t for t, word in enumerate(caption.words) if word is not None and t not in alike]
    shown: dict[str, np.ndarray] = {
        "uniform": np.ones((1, *caption.grid)),
        "centre": pointing.centre(caption.grid)[None],
    }
    shown["another_word"] = maps[others]
    shown["features"] = maps[:0] if norms is None else norms
    for name, shift in SHIFTS.items():
        moved = [t + shift for t in rows]
        inside = min(moved) >= 0 and max(moved) < len(maps)
        shown[name] = maps[moved].mean(axis=0, keepdims=True) if inside else maps[:0]
    for name, several in shown.items():
        masks = np.broadcast_to(mask, (len(several), *mask.shape))
        for measure, measured in (("pointing", pointing.pointing_accuracy), ("mass", pointing.attention_mass)):
            values[measure][name].append(float(measured(several, masks).mean()) if len(several) else float("nan"))


def _summary(found: _Found) -> dict[str, Any]:
    """Means with their intervals, over all words and in each comparison over those that it can be made for."""
    groups = np.array(found.pictures)
    record: dict[str, Any] = {"baselines": {}, "ahead": {}, "shift": {}}
    for measure, columns in found.values.items():
        values = {name: np.array(numbers) for name, numbers in columns.items()}
        alpha = values["same"]
        record[measure] = _told(alpha, groups)
        for name, known in _comparable(values):
            record["baselines"].setdefault(name, {})[measure] = _told(values[name][known], groups[known])
            record["ahead"].setdefault(name, {})[measure] = _told((alpha - values[name])[known], groups[known])
        inside = ~np.isnan([values[name] for name in SHIFTS]).any(axis=0)
        for name in SHIFTS if inside.any() else ():
            row = record["shift"].setdefault(name, {"n": int(inside.sum())})
            row[measure] = _told(values[name][inside], groups[inside])
            if name != "same":
                row.setdefault("same_ahead", {})[measure] = _told((alpha - values[name])[inside], groups[inside])
    order = ("pointing", "mass", "baselines", "ahead", "shift")
    parts = {"others": _others(found, groups), "by_category": _by_category(found, groups)}
    return {**{name: record[name] for name in order}, **parts}


def _comparable(values: Mapping[str, np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
    """The baselines that there are, each with the words that it can be compared on."""
    for name in BASELINES:
        known = ~np.isnan(values[name])
        if known.any():
            yield name, known


def _told(values: np.ndarray, groups: np.ndarray) -> dict[str, float]:
    low, high = pointing.ratio_interval(values, groups, seed=SEED)
    return {"score": float(values.mean()), "low": low, "high": high}


def _by_category(found: _Found, groups: np.ndarray) -> dict[str, dict[str, Any]]:
    """For each category its words, most frequent first; a word that names two that are marked counts for both."""
    return {
        category: _part(found, groups, np.array([category in categories for categories in found.categories]))
        for category, _ in _by_frequency(found)
    }


def _by_frequency(found: _Found) -> list[tuple[str, int]]:
    counts = Counter(category for categories in found.categories for category in categories)
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _others(found: _Found, groups: np.ndarray) -> dict[str, Any] | None:
    """The words that do not name the most frequent category; ``None`` where all do."""
    most = _by_frequency(found)[0][0]
    rows = np.array([most not in categories for categories in found.categories])
    return {"without": most, **_part(found, groups, rows)} if rows.any() else None


def _part(found: _Found, groups: np.ndarray, rows: np.ndarray) -> dict[str, Any]:
    """The measures over some of the words."""
    told: dict[str, Any] = {"n": int(rows.sum()), "pictures": len(set(groups[rows]))}
    for measure, columns in found.values.items():
        mine = {name: np.array(numbers)[rows] for name, numbers in columns.items()}
        told[measure] = float(mine["same"].mean())
        told[f"{measure}_uniform"] = float(mine["uniform"].mean())
        for name, known in _comparable(mine):
            ahead = told.setdefault("ahead", {}).setdefault(name, {})
            ahead[measure] = _told((mine["same"] - mine[name])[known], groups[rows][known])
    return told
