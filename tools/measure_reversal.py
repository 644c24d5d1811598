"""Does it help to read the source backwards? (Sutskever et al. 2014, §3.3.) Trains what is missing, then measures.

``python tools/measure_reversal.py`` trains ``toy-en-fr-encdec-forwards`` and ``toy-en-fr-encdec-backwards``, equal in
everything but the order in which the source is read, with each seed of `SEEDS` into ``runs/`` (a run that is there
already is taken as it is), tests them on the same fresh toy sentences and writes ``course_pkg/results/reversal.json``.
Beside title, note, columns, rows and passport the file holds what chapter 2 draws, for each ``order`` in
``("forwards", "backwards")`` and each ``seed``:

- ``by_length``: a list of ``{"order", "seed", "min", "max", "n", "bleu", "exact", "nll", "nll_low", "nll_high"}``;
- ``by_position``: a list of ``{"order", "seed", "position": i, "n", "nll", "low", "high"}``: −log p of target word i,
  mean over the sentences of `LONG` source tokens;
- ``learning``: a list of ``{"order", "seed", "update", "nll"}``: validation loss per token at the end of each epoch.

Intervals are 95 % bootstrap intervals over sentences; losses are in nats.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from entry import options, told
from publish import BOOTSTRAP_SEED, cost, tokenisation, write_json

from course_pkg import recipes, toy
from course_pkg.batching import Batch
from course_pkg.evaluation import passport
from course_pkg.inference import Translator, load
from course_pkg.metrics import bleu
from course_pkg.toy import AlignedPair
from course_pkg.vocabulary import backwards

RECIPES = {order: f"toy-en-fr-encdec-{order}" for order in ("forwards", "backwards")}
EDGES = ((3, 5), (6, 10), (11, 15), (16, 20))
LONG = (16, 20)
SEEDS = (1, 2)
SEED, COUNT = 8_000_000, 900  # training uses 1, validation a million more, other measurements up to 7,000,000
COLUMNS = {
    "order": "source read",
    "seed": "seed",
    "n": "sentences",
    "nll": "loss per word, nats",
    "interval": "95 % interval",
    "bleu": "BLEU",
    "exact": "exact match, %",
}


def trained(order: str, seed: int, runs: Path) -> tuple[Translator, Path]:
    """One model of the pair and its run, trained now unless the run is finished."""
    name = RECIPES[order]
    folder = runs / (name if seed == SEEDS[0] else f"{name}-seed-{seed}")
    if not (folder / "model").is_dir():
        from course_pkg.training import fit

        plan = recipes.read(name, [f"training.seed={seed}"])
        fit(plan, folder, accelerator="cpu", resume=(folder / "last.ckpt").exists())
    return load(folder / "model", device="cpu"), folder


@torch.no_grad()
def losses(translator: Translator, pairs: Sequence[AlignedPair]) -> list[np.ndarray]:
    """−log p of each target token under teacher forcing, EOS last, one array for each pair."""
    found: list[np.ndarray] = [np.zeros(0)] * len(pairs)
    order = sorted(range(len(pairs)), key=lambda row: len(pairs[row].source_tokens))
    for start in range(0, len(order), 100):
        rows = order[start : start + 100]
        sides = [
            (translator.source.encode(pairs[r].source).ids, translator.target.encode(pairs[r].target).ids) for r in rows
        ]
        batch = Batch.collate([(backwards(s) if translator.reads_backwards else s, t) for s, t in sides])
        log_p = translator.model(batch.to(translator.device)).logits.log_softmax(-1)
        chosen = -log_p.gather(-1, batch.targets.unsqueeze(-1).to(log_p.device)).squeeze(-1).cpu().numpy()
        for place, row in enumerate(rows):
            found[row] = chosen[place, : len(sides[place][1])].astype(np.float64)
    return found


def interval(sums: np.ndarray, counts: np.ndarray) -> tuple[float, float]:
    """95 % bootstrap interval, over sentences, of the sum of ``sums`` divided by the sum of ``counts``."""
    draws = np.random.default_rng(BOOTSTRAP_SEED).integers(len(sums), size=(1000, len(sums)))
    low, high = np.quantile(sums[draws].sum(axis=1) / counts[draws].sum(axis=1), [0.025, 0.975])
    return round(float(low), 4), round(float(high), 4)


def scores(pairs: Sequence[AlignedPair], written: Sequence[str], lost: Sequence[np.ndarray]) -> dict[str, Any]:
    """BLEU, exact match in per cent and loss per token of some sentences."""
    sums, counts = np.array([one.sum() for one in lost]), np.array([len(one) for one in lost])
    low, high = interval(sums, counts)
    same = [pair.target == text for pair, text in zip(pairs, written, strict=True)]
    return {
        "n": len(pairs),
        "bleu": round(bleu(written, [pair.target for pair in pairs]).score, 2),
        "exact": round(100 * sum(same) / len(same), 1),
        "nll": round(float(sums.sum() / counts.sum()), 4),
        "nll_low": low,
        "nll_high": high,
    }


def by_length(pairs: Sequence[AlignedPair], written: Sequence[str], lost: Sequence[np.ndarray]) -> list[dict[str, Any]]:
    """`scores` for each range of source lengths in `EDGES`."""
    found = []
    for low, high in EDGES:
        rows = [row for row, pair in enumerate(pairs) if low <= len(pair.source_tokens) <= high]
        own = ([values[row] for row in rows] for values in (pairs, written, lost))
        found.append({"min": low, "max": high, **scores(*own)})
    return found


def by_position(pairs: Sequence[AlignedPair], lost: Sequence[np.ndarray]) -> list[dict[str, Any]]:
    """Mean loss of target word i in sentences of `LONG` source tokens, up to the shortest target among them."""
    long = [one for pair, one in zip(pairs, lost, strict=True) if LONG[0] <= len(pair.source_tokens) <= LONG[1]]
    table = np.stack([one[: min(map(len, long))] for one in long])
    found = []
    for place, column in enumerate(table.T, start=1):
        low, high = interval(column, np.ones(len(column)))
        found.append(
            {"position": place, "n": len(column), "nll": round(float(column.mean()), 4), "low": low, "high": high}
        )
    return found


def learning(run: Path) -> list[dict[str, Any]]:
    """Validation loss at the end of each epoch."""
    lines = map(json.loads, (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    return [{"update": line["update"], "nll": round(line["validation_nll_per_token"], 4)} for line in lines]


def result(runs: Path, machine: str) -> dict[str, Any]:
    """The whole record: table, curves and passport."""
    pairs = toy.pairs(COUNT, seed=SEED, min_words=EDGES[0][0], max_words=EDGES[-1][1])
    rows, spent, curves = [], {}, {"by_length": [], "by_position": [], "learning": []}
    for seed in SEEDS:
        for order in RECIPES:
            translator, run = trained(order, seed, runs)
            said = {"order": order, "seed": seed}
            written = [str(one) for one in translator.translate([pair.source for pair in pairs], beam=1)]
            lost = losses(translator, pairs)
            own = scores(pairs, written, lost)
            rows.append({**said, **own, "interval": f"{own['nll_low']:.3f} to {own['nll_high']:.3f}"})
            print(json.dumps(rows[-1]), flush=True)
            curves["by_length"] += [{**said, **one} for one in by_length(pairs, written, lost)]
            curves["by_position"] += [{**said, **one} for one in by_position(pairs, lost)]
            curves["learning"] += [{**said, **one} for one in learning(run)]
            spent[run.name] = cost(run)
    return {
        "title": "The source read forwards and backwards",
        "note": "The plain encoder–decoder on the toy grammar, 2,000 updates each, with two seeds. The interval is "
        "over test sentences; the rows of the other seed say what another run does.",
        "columns": list(COLUMNS.items()),
        "rows": rows,
        **curves,
        "passport": passport(
            data=f"{COUNT} fresh toy sentences of {EDGES[0][0]} to {EDGES[-1][1]} tokens, seed {SEED}, for both",
            tokenisation=tokenisation(translator),
            signature=bleu(["a"], ["a"]).signature,
            decoding="greedy; the loss under teacher forcing",
            seeds=f"training {' and '.join(map(str, SEEDS))}, bootstrap {BOOTSTRAP_SEED} (1000 samples)",
            hardware=machine,
            cost=spent,
            recipe=", ".join(RECIPES.values()),
        ),
    }


@told
def main(argv: Sequence[str] | None = None) -> None:
    """Train what is missing, measure, and store the result."""
    parser = options(__doc__, "runs", "package", "hardware")
    arguments = parser.parse_args(argv)
    write_json(arguments.package / "results" / "reversal.json", result(arguments.runs, arguments.hardware))


if __name__ == "__main__":
    sys.exit(main())
