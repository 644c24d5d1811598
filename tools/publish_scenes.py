"""Publish captioners of the drawn scenes: model folders into course_pkg/weights, figures into course_pkg/results.

``python tools/publish_scenes.py RUN…`` takes folders that ``course train`` wrote (``metrics.jsonl`` and ``model/``),
draws fresh scenes, and measures what only drawn scenes allow: how often the whole caption is right, and whether the
words look at what they speak of. Writes ``weights/NAME`` with a model card and ``results/NAME.json`` with a passport.
"""

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from caption_splits import SCENES, SCENES_TEST_SEED
from entry import PACKAGE, options, told
from publish import LICENCES, cost, recipe_of, store
from publish_captioner import DATA, WORDINGS, how_it_decodes, opened, tokenisation
from torch import Tensor

from course_pkg import metrics, pointing, scenes
from course_pkg.batching import CaptionBatch, chunks
from course_pkg.captioner import Captioner
from course_pkg.evaluation import passport
from course_pkg.losses import sentence_log_likelihood
from course_pkg.notation import CourseError
from course_pkg.scenes import Scene
from course_pkg.vocabulary import UNK

TOGETHER = 50
"""Scenes read at once."""
EVERYWHERE = {"place", "sky"}
"""What words may speak of that fills the picture: hit wherever one looks, so not counted."""
COLUMNS = {
    "split": "split",
    "n": "scenes",
    "exact_match_percent": "captions exactly right, %",
    "bleu4": "BLEU-4",
    "perplexity_token": "perplexity per token",
    "words": "words that speak of something in the scene",
    "words_right": "of these right",
    "words_right_elsewhere": "right with another scene's picture",
    "pointing": "pointing accuracy",
    "pointing_interval": "its 95 % interval",
    "pointing_uniform": "of a place at random",
    "pointing_centre": "of the centre",
    "pointing_another_word": "of the caption's other words",
    "mass": "α on the region",
    "mass_uniform": "of even α",
    "mass_centre": "of the centre",
    "mass_another_word": "of the caption's other words",
}


@dataclass(frozen=True)
class Spoken:
    """Words that speak of something, under teacher forcing: one entry for each.

    Attributes:
        scene: the number of its scene.
        right: whether the likeliest word was it.
        elsewhere: the same with another scene's picture.
        values: for ``pointing`` and ``mass`` the word's own measure and that of each baseline; NaN where the caption
            has no word that speaks of anything else.
        nll: of all tokens of all captions, EOS counted, in nats, and their number.
    """

    scene: np.ndarray
    right: np.ndarray
    elsewhere: np.ndarray
    values: dict[str, dict[str, np.ndarray]]
    nll: tuple[float, int]


def spoken(captioner: Captioner, made: Sequence[Scene]) -> Spoken:
    """Every word that is counted.

    Raises:
        CourseError: a vocabulary of word pieces, or a single scene.
    """
    if captioner.target.kind != "word" or len(made) < 2:
        raise CourseError("The gaze of words is measured with a vocabulary of words, on two scenes or more.")
    number: list[int] = []
    right: list[bool] = []
    elsewhere: list[bool] = []
    values: dict[str, dict[str, list[float]]] = {measure: {} for measure in ("pointing", "mass")}
    nll, tokens = 0.0, 0
    for rows in chunks(range(len(made)), TOGETHER):
        some = [made[row] for row in rows]
        pictures = _pixels(captioner, some)
        others = _pixels(captioner, [made[(row + 1) % len(made)] for row in rows])
        batch, guesses, strange, weights, likelihood = _read(captioner, some, pictures, others)
        nll, tokens = nll - float(likelihood.sum()), tokens + int(batch.target_mask.sum())
        for place, scene in enumerate(some):
            maps = weights[place].reshape(-1, *captioner.grid)
            for t, region in enumerate(scene.regions):
                if region is None or EVERYWHERE & set(scene.roles[t]):
                    continue
                wanted = int(batch.targets[place, t])
                number.append(rows[place])
                right.append(wanted != UNK and int(guesses[place, t]) == wanted)
                elsewhere.append(wanted != UNK and int(strange[place, t]) == wanted)
                _weigh(scene, t, region.mask, maps, values)
    if not number:
        raise CourseError("No word of these scenes speaks of anything: draw more.")
    found = {measure: {who: np.array(told) for who, told in columns.items()} for measure, columns in values.items()}
    return Spoken(np.array(number), np.array(right), np.array(elsewhere), found, (nll, tokens))


def _pixels(captioner: Captioner, some: Sequence[Scene]) -> Tensor:
    seen = np.stack([captioner.see(scene.image).pixels for scene in some])
    return torch.from_numpy(seen.transpose(0, 3, 1, 2).copy())


@torch.inference_mode()
def _read(
    captioner: Captioner, some: Sequence[Scene], pictures: Tensor, others: Tensor
) -> tuple[CaptionBatch, Tensor, Tensor, np.ndarray, Tensor]:
    """The batch; the likeliest words with each scene's own picture and with another; α; each caption's log p."""
    ids = [captioner.target.encode(scene.caption).ids for scene in some]
    batch = CaptionBatch.collate(pictures, ids).to(captioner.device)
    rollout = captioner.model(batch)
    elsewhere = captioner.model(CaptionBatch.collate(others, ids).to(captioner.device)).logits.argmax(-1)
    likelihood = sentence_log_likelihood(rollout.logits, batch.targets, batch.target_mask)
    assert rollout.weights is not None
    return batch, rollout.logits.argmax(-1), elsewhere, rollout.weights.cpu().numpy(), likelihood


def _weigh(scene: Scene, t: int, mask: np.ndarray, maps: np.ndarray, values: dict[str, dict[str, list[float]]]) -> None:
    """Both measures of α at word t and of each baseline, against the word's gold region."""
    others = [k for k, roles in enumerate(scene.roles) if roles and not set(roles) & set(scene.roles[t])]
    grid = maps.shape[1:]
    shown = {
        "own": maps[t : t + 1],
        "uniform": np.ones((1, *grid)),
        "centre": pointing.centre(grid)[None],
        "another_word": maps[others],
    }
    for measure, of in (("pointing", pointing.pointing_accuracy), ("mass", pointing.attention_mass)):
        for who, several in shown.items():
            found = of(several, np.broadcast_to(mask, (len(several), *mask.shape))) if len(several) else np.nan
            values[measure].setdefault(who, []).append(float(np.mean(found)))


def measured(captioner: Captioner, made: Sequence[Scene]) -> tuple[dict[str, Any], str]:
    """The row of a model's table, and how BLEU was counted."""
    captions = [one.caption for one in captioner.caption([scene.image for scene in made], progress=True)]
    bleu = metrics.caption_bleu(captions, [[scene.caption] for scene in made])
    words = spoken(captioner, made)
    low, high = pointing.ratio_interval(words.values["pointing"]["own"], words.scene)
    row: dict[str, Any] = {
        "split": "test",
        "n": len(made),
        "exact_match_percent": 100 * float(np.mean([c == s.caption for c, s in zip(captions, made, strict=True)])),
        "bleu4": bleu.score,
        "perplexity_token": metrics.perplexity(*words.nll),
        "words": len(words.scene),
        "words_right": float(words.right.mean()),
        "words_right_elsewhere": float(words.elsewhere.mean()),
        "pointing_interval": f"{low:.3f} to {high:.3f}",
    }
    for measure, columns in words.values.items():
        for who, found in columns.items():
            row[measure if who == "own" else f"{measure}_{who}"] = float(np.nanmean(found))
    return {name: row[name] for name in COLUMNS}, bleu.signature


def publish(run: Path, package: Path, machine: str, count: int = SCENES) -> dict[str, Any]:
    """Measure and copy one run; return what ``results/NAME.json`` holds."""
    started, captioner = time.monotonic(), of_scenes(run)
    name, recipe = captioner.name, recipe_of(captioner)
    row, signature = measured(captioner, scenes.make(count, seed=SCENES_TEST_SEED, size=captioner.image_size))
    data = recipe["data"]
    result = {
        "title": name,
        "note": recipe["description"],
        "columns": list(COLUMNS.items()),
        "rows": [row],
        "passport": passport(
            data=f"{DATA['scenes']}, {captioner.image_size} pixels a side; trained on {data['pairs'] or 8_000} of seed "
            f"{recipe['training']['seed']}, the best epoch chosen on 500 others, tested on {count} fresh ones of seed "
            f"{SCENES_TEST_SEED}",
            tokenisation=tokenisation(captioner),
            signature={
                "BLEU": signature,
                "words": "under teacher forcing, those with a gold region that is not the ground or the sky",
                "pointing": "the middle of the strongest place lies in the gold region; interval over scenes, "
                "2000 samples",
                "mass": "share of α on the gold region; even α has the region's area",
            },
            decoding=how_it_decodes(captioner, package),
            seeds=f"training {recipe['training']['seed']}; one training run",
            hardware=machine,
            cost={**cost(run), "minutes_to_measure": round((time.monotonic() - started) / 60)},
            recipe=recipe["name"],
        ),
        "parameters": captioner.config["parameters"],
        "best_epoch": captioner.config.get("best_epoch"),
    }
    licence = LICENCES["toy"]
    headline = {"metric": "exact match", "score": row["exact_match_percent"], "data": "fresh drawn scenes"}
    store(run, package, result, headline, licence, WORDINGS["scenes"])
    return result


def of_scenes(run: Path) -> Captioner:
    """A finished run's captioner.

    Raises:
        CourseError: no such run, or not that of a captioner of drawn scenes.
    """
    captioner = opened(run)
    if recipe_of(captioner)["data"]["train"] != "scenes":
        raise CourseError(f"{captioner.name} describes no drawn scenes: publish it with tools/publish_captioner.py.")
    return captioner


@told
def main(argv: Sequence[str] | None = None) -> None:
    """Publish the runs given."""
    parser = options(__doc__, "package", "hardware")
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folder that `course train` wrote")
    parser.add_argument("--scenes", type=int, default=SCENES, help="how many fresh scenes to measure on")
    arguments = parser.parse_args(argv)
    if arguments.scenes != SCENES and arguments.package == PACKAGE:
        raise CourseError("A trial on other scenes is not for publishing: give --package FOLDER too.")
    for run in arguments.runs:  # all of them, before the first is measured
        of_scenes(run)
    for run in arguments.runs:
        result = publish(run, arguments.package, arguments.hardware, arguments.scenes)
        print(json.dumps(result["rows"], ensure_ascii=False))


if __name__ == "__main__":
    sys.exit(main())
