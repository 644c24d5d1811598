"""Fix a model's decoding on validation data: ``python tools/choose_decoding.py RUN/model``.

Every beam width is tried with every length penalty; cased sacreBLEU on the validation corpus decides, and among
equals the smaller beam and then the smaller penalty. The table goes to ``results/NAME-decoding.json``, the choice
into the folder's ``config.json``. No test data is read.
"""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from entry import options, told
from publish import recipe_of, tokenisation, validation_text, write_json

from course_pkg.corpora import ParallelText
from course_pkg.evaluation import hardware, passport
from course_pkg.inference import Translator, load
from course_pkg.metrics import bleu

BEAMS = (1, 3, 5, 8, 10)
PENALTIES = (0.0, 0.5, 0.7, 1.0, 1.2)

Grid = dict[tuple[int, float], float]


def measure(translator: Translator, text: ParallelText, beams: Sequence[int], penalties: Sequence[float]) -> Grid:
    """sacreBLEU of every pair of settings. Greedy search knows no length penalty, so it is run once."""
    grid: Grid = {}
    for beam in beams:
        for penalty in penalties:
            if beam == 1 and (1, penalties[0]) in grid:
                grid[beam, penalty] = grid[1, penalties[0]]
                continue
            made = translator.translate(text.source, beam, penalty, progress=True)
            grid[beam, penalty] = bleu([str(one) for one in made], text.target).score
            print(f"beam {beam}, length penalty {penalty}: {grid[beam, penalty]:.2f}", flush=True)
    return grid


def measure_quickly(
    translator: Translator, text: ParallelText, beams: Sequence[int], penalties: Sequence[float]
) -> Grid:
    """Every penalty at the middle beam, then every beam at the best penalty: a cross instead of the whole grid."""
    grid = measure(translator, text, [sorted(beams)[len(beams) // 2]], penalties)
    beam, penalty = best(grid)
    return grid | measure(translator, text, [b for b in beams if b != beam], [penalty])


def best(grid: Grid) -> tuple[int, float]:
    """The settings of the highest score; among equals the smaller beam, then the smaller penalty."""
    return min(grid, key=lambda settings: (-grid[settings], settings))


def table(translator: Translator, text: ParallelText, grid: Grid, seconds: float) -> dict[str, Any]:
    """The grid as a result with its passport."""
    beams, penalties = sorted({b for b, _ in grid}), sorted({p for _, p in grid})
    beam, penalty = best(grid)
    recipe = recipe_of(translator)
    return {
        "title": f"Decoding of {translator.name}, fixed on validation data",
        "note": f"sacreBLEU on {text.name} for each beam width (rows) and length penalty λ (columns) "
        "in the score log p / length^λ. "
        f"Chosen: beam {beam}, length penalty {penalty}.",
        "columns": [["beam", "beam"], *([str(p), str(p)] for p in penalties)],
        "rows": [{"beam": b, **{str(p): grid.get((b, p)) for p in penalties}} for b in beams],
        "passport": passport(
            data=f"{text.name}, {len(text)} sentences",
            tokenisation=tokenisation(translator),
            signature=bleu(text.target, text.target).signature,
            decoding=f"beams {', '.join(map(str, beams))}; penalties {', '.join(map(str, penalties))}",
            seeds=f"training {recipe['training']['seed']}; decoding draws nothing",
            hardware=hardware(translator.device),
            cost=f"{seconds / 60:.0f} minutes for the whole table",
            recipe=recipe["name"],
        ),
        "chosen": {"beam_size": beam, "length_penalty": penalty},
    }


@told
def main(argv: Sequence[str] | None = None) -> None:
    """Measure, store the table, and write the choice into the model folder."""
    parser = options(__doc__, "package")
    parser.add_argument("model", type=Path, help="model folder, such as RUN/model")
    parser.add_argument("--beams", type=int, nargs="+", default=BEAMS)
    parser.add_argument("--penalties", type=float, nargs="+", default=PENALTIES)
    parser.add_argument("--quick", action="store_true", help="all penalties at the middle beam, then all beams")
    parser.add_argument("--pairs", type=int, default=0, help="only so many validation sentences; 0 for all")
    arguments = parser.parse_args(argv)
    translator = load(arguments.model)
    text = validation_text(translator)
    text = text.head(arguments.pairs) if arguments.pairs else text
    started = time.monotonic()
    search = measure_quickly if arguments.quick else measure
    grid = search(translator, text, arguments.beams, arguments.penalties)
    result = table(translator, text, grid, time.monotonic() - started)
    write_json(arguments.package / "results" / f"{translator.name}-decoding.json", result)
    path = arguments.model / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    write_json(path, {**config, "decoding": result["chosen"]})
    print(result["note"])


if __name__ == "__main__":
    sys.exit(main())
