"""Fix a model's decoding on validation data: ``python tools/choose_decoding.py RUN/model``.

Every beam width is tried with every length penalty. On the validation data that the recipe names, cased sacreBLEU
decides for a translator, and for a captioner the mean of BLEU-1 to BLEU-4 with the brevity penalty (Xu et al. 2015
select on BLEU); among equals the smaller beam and then the smaller penalty. The table goes to
``results/NAME-decoding.json``, the choice into the folder's ``config.json``. No test data is read.
"""

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import caption_splits
import publish
import publish_captioner
import torch
from entry import options, told
from publish import recipe_of, write_json

from course_pkg.captioner import Captioner
from course_pkg.evaluation import hardware, passport
from course_pkg.inference import Translator, load
from course_pkg.metrics import bleu
from course_pkg.notation import CourseError

BEAMS = (1, 3, 5, 8, 10)
CAPTION_BEAMS = (1, 3, 5, 8)
PENALTIES = (0.0, 0.5, 0.7, 1.0, 1.2)

Grid = dict[tuple[int, float], float]


@dataclass(frozen=True)
class Trial:
    """A model's decoding on trial: the validation data, what decides on it, and what a passport has to say.

    Attributes:
        name: the model's.
        criterion: what decides, in words; more is better.
        text: the validation data's name.
        count: how much of it there is, in words.
        score: the criterion for a beam width and a length penalty.
        tokenisation: of the model, in words.
        signature: how the criterion is counted.
        recipe: what the model was trained from.
        device: where it computes.
        beams: widths to try.
    """

    name: str
    criterion: str
    text: str
    count: str
    score: Callable[[int, float], float]
    tokenisation: str
    signature: str
    recipe: Mapping[str, Any]
    device: torch.device
    beams: Sequence[int] = BEAMS


def of_translator(translator: Translator, most: int) -> Trial:
    """sacreBLEU on the validation sentences, or the first ``most`` of them."""
    text = publish.validation_text(translator)
    text = text.head(most) if most else text

    def score(beam: int, penalty: float) -> float:
        made = translator.translate(text.source, beam, penalty, progress=True)
        return bleu([str(one) for one in made], text.target).score

    return Trial(
        name=translator.name,
        criterion="sacreBLEU",
        text=text.name,
        count=f"{len(text)} sentences",
        score=score,
        tokenisation=publish.tokenisation(translator),
        signature=bleu(text.target, text.target).signature,
        recipe=recipe_of(translator),
        device=translator.device,
    )


def of_captioner(captioner: Captioner, most: int) -> Trial:
    """The mean of BLEU-1 to BLEU-4 on the validation pictures, or the first ``most`` of them."""
    split = caption_splits.validation_split(captioner, most)
    firsts = [texts[0] for texts in split.captions]

    def score(beam: int, penalty: float) -> float:
        return caption_splits.bleu(split.described(captioner, beam, penalty), split.captions).mean

    return Trial(
        name=captioner.name,
        criterion="Mean of BLEU-1 to BLEU-4, with the brevity penalty,",
        text=split.name,
        count=f"{len(split)} pictures",
        score=score,
        tokenisation=publish_captioner.tokenisation(captioner),
        signature=f"mean of BLEU-1 to BLEU-4, {caption_splits.bleu(firsts, split.captions).signature}",
        recipe=recipe_of(captioner),
        device=captioner.device,
        beams=CAPTION_BEAMS,
    )


def measure(trial: Trial, beams: Sequence[int], penalties: Sequence[float]) -> Grid:
    """The score of every pair of settings. Greedy search knows no length penalty, so it is run once."""
    grid: Grid = {}
    for beam in beams:
        for penalty in penalties:
            if beam == 1 and (1, penalties[0]) in grid:
                grid[beam, penalty] = grid[1, penalties[0]]
                continue
            grid[beam, penalty] = trial.score(beam, penalty)
            print(f"beam {beam}, length penalty {penalty}: {grid[beam, penalty]:.2f}", flush=True)
    return grid


def measure_quickly(trial: Trial, beams: Sequence[int], penalties: Sequence[float]) -> Grid:
    """Every penalty at the middle beam, then every beam at the best penalty: a cross instead of the whole grid."""
    grid = measure(trial, [sorted(beams)[len(beams) // 2]], penalties)
    beam, penalty = best(grid)
    return grid | measure(trial, [b for b in beams if b != beam], [penalty])


def best(grid: Grid) -> tuple[int, float]:
    """The settings of the highest score; among equals the smaller beam, then the smaller penalty."""
    return min(grid, key=lambda settings: (-grid[settings], settings))


def table(trial: Trial, grid: Grid, seconds: float) -> dict[str, Any]:
    """The grid as a result with its passport."""
    beams, penalties = sorted({b for b, _ in grid}), sorted({p for _, p in grid})
    beam, penalty = best(grid)
    return {
        "title": f"Decoding of {trial.name}, fixed on validation data",
        "note": f"{trial.criterion} on {trial.text} for each beam width (rows) and length penalty λ (columns) "
        "in the score log p / length^λ. "
        f"Chosen: beam {beam}, length penalty {penalty}.",
        "columns": [["beam", "beam"], *([str(p), str(p)] for p in penalties)],
        "rows": [{"beam": b, **{str(p): grid.get((b, p)) for p in penalties}} for b in beams],
        "passport": passport(
            data=f"{trial.text}, {trial.count}",
            tokenisation=trial.tokenisation,
            signature=trial.signature,
            decoding=f"beams {', '.join(map(str, beams))}; penalties {', '.join(map(str, penalties))}",
            seeds=f"training {trial.recipe['training']['seed']}; decoding draws nothing",
            hardware=hardware(trial.device),
            cost=f"{seconds / 60:.0f} minutes for the whole table",
            recipe=trial.recipe["name"],
        ),
        "chosen": {"beam_size": beam, "length_penalty": penalty},
    }


@told
def main(argv: Sequence[str] | None = None) -> None:
    """Measure, store the table, and write the choice into the model folder."""
    parser = options(__doc__, "package")
    parser.add_argument("model", type=Path, help="model folder, such as RUN/model")
    parser.add_argument("--beams", type=int, nargs="+", help=f"translators {BEAMS}, captioners {CAPTION_BEAMS}")
    parser.add_argument("--penalties", type=float, nargs="+", default=PENALTIES)
    parser.add_argument("--quick", action="store_true", help="all penalties at the middle beam, then all beams")
    parser.add_argument("--pairs", type=int, default=0, help="only so many validation sentences or pictures; 0 for all")
    arguments = parser.parse_args(argv)
    path = arguments.model / "config.json"
    if not path.is_file():  # before the search, not after it
        raise CourseError(f"{arguments.model} is no model folder: give one that may be changed, such as RUN/model.")
    model = load(arguments.model)
    trial = (
        of_captioner(model, arguments.pairs) if isinstance(model, Captioner) else of_translator(model, arguments.pairs)
    )
    started = time.monotonic()
    search = measure_quickly if arguments.quick else measure
    grid = search(trial, arguments.beams or trial.beams, arguments.penalties)
    result = table(trial, grid, time.monotonic() - started)
    write_json(arguments.package / "results" / f"{model.name}-decoding.json", result)
    config = json.loads(path.read_text(encoding="utf-8"))
    write_json(path, {**config, "decoding": result["chosen"]})
    print(result["note"])


if __name__ == "__main__":
    sys.exit(main())
