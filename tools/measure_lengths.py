"""BLEU against sentence length on real text (Bahdanau et al. 2015, Figure 2): trains what is missing, then measures.

``python tools/measure_lengths.py`` trains the four ``mixed-en-fr-…-30`` and ``…-50`` recipes into ``runs/`` (those
that are there already are taken as they are), translates four test sets with each model and writes
``course_pkg/results/mixed-by-length.json``: a table of all sentences, and ``curves`` of BLEU by source length with
95 % bootstrap bands over sentences, for all test sets together and for each alone. Translations are kept beside
each run, so that a second call only counts. Needs ``COURSE_DATA``.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from entry import options, told
from publish import BOOTSTRAP_SEED, MIXED, cost, recipe_of, tokenisation, write_json

from course_pkg import corpora, recipes
from course_pkg.corpora import ParallelText
from course_pkg.evaluation import passport
from course_pkg.inference import Translator, load
from course_pkg.metrics import bleu, bleu_by_length, bootstrap_interval

RECIPES = tuple(f"mixed-en-fr-{kind}-{words}" for kind in ("encdec", "rnnsearch") for words in (30, 50))
EDGES = (10, 20, 30, 40, 50)
"""Inclusive upper ends of the length buckets, in source words; longer sentences share one."""
BEAM, LENGTH_PENALTY = 5, 1.0
COLUMNS = {
    "model": "model",
    "parameters": "parameters",
    "trained_up_to": "trained up to, words",
    "updates": "updates",
    "all": "BLEU, all",
    "interval": "95 % interval",
    **{name: name for name in MIXED},
    "short": "BLEU, up to 20 words",
    "long": "BLEU, over 40 words",
}


def trained(name: str, runs: Path) -> Translator:
    """The model of a recipe, trained now unless its run is finished."""
    folder = runs / name
    if not (folder / "model").is_dir():
        from course_pkg.training import fit

        fit(recipes.read(name), folder, accelerator="cpu", resume=(folder / "last.ckpt").exists())
    return load(folder / "model", device="cpu")


def translations(translator: Translator, text: ParallelText, kept: Path) -> list[str]:
    """The model's translation of each source, from ``kept`` if they were made from these weights."""
    weights = kept.parent.parent / "model" / "model.safetensors"
    if kept.is_file() and kept.stat().st_mtime > weights.stat().st_mtime:
        made: list[str] = json.loads(kept.read_text(encoding="utf-8"))
        if len(made) == len(text):
            return made
    made = [str(one) for one in translator.translate(text.source, BEAM, LENGTH_PENALTY, progress=True)]
    kept.parent.mkdir(exist_ok=True)
    write_json(kept, made)
    return made


def buckets(text: ParallelText, hypotheses: Sequence[str]) -> list[dict[str, Any]]:
    """BLEU of each length bucket with its bootstrap interval."""
    measured = []
    lengths = [len(source.split()) for source in text.source]
    for bucket in bleu_by_length(text.source, hypotheses, text.target, EDGES):
        rows = [row for row, n in enumerate(lengths) if bucket.min <= n <= (bucket.max or n)]
        low, high = bootstrap_interval(
            [hypotheses[row] for row in rows], [text.target[row] for row in rows], seed=BOOTSTRAP_SEED
        )
        ratio = sum(len(hypotheses[row].split()) for row in rows) / sum(len(text.target[row].split()) for row in rows)
        measured.append(
            {
                "min": max(1, bucket.min),
                "max": bucket.max,
                "n": bucket.n,
                "bleu": round(bucket.bleu, 2),
                "low": round(low, 2),
                "high": round(high, 2),
                "length_ratio": round(ratio, 3),
            }
        )
    return measured


def within(text: ParallelText, hypotheses: Sequence[str], low: int, high: float) -> float:
    """BLEU of the sentences whose source has ``low`` to ``high`` words."""
    rows = [row for row, source in enumerate(text.source) if low <= len(source.split()) <= high]
    return round(bleu([hypotheses[row] for row in rows], [text.target[row] for row in rows]).score, 2)


def measure(translator: Translator, run: Path, tests: dict[str, ParallelText]) -> tuple[dict, list[dict]]:
    """One row of the table, and one curve for each test set and for all together."""
    made = {name: translations(translator, text, run / "translations" / f"{name}.json") for name, text in tests.items()}
    whole = corpora.joined_texts(tests.values(), " + ".join(tests))
    everything = [line for name in tests for line in made[name]]
    recipe = recipe_of(translator)
    low, high = bootstrap_interval(everything, whole.target, seed=BOOTSTRAP_SEED)
    row = {
        "model": translator.name,
        "parameters": translator.config["parameters"],
        "trained_up_to": recipe["data"]["max_words"],
        "updates": cost(run)["updates"],
        "all": round(bleu(everything, whole.target).score, 2),
        "interval": f"{low:.1f} to {high:.1f}",
        **{name: round(bleu(made[name], text.target).score, 2) for name, text in tests.items()},
        "short": within(whole, everything, 1, 20),
        "long": within(whole, everything, 41, float("inf")),
    }
    said = {
        "model": translator.name,
        "architecture": "rnnsearch" if translator.can_look else "encdec",
        "trained_up_to": recipe["data"]["max_words"],
    }
    curves = [{**said, "test": "all", "buckets": buckets(whole, everything)}]
    curves += [{**said, "test": name, "buckets": buckets(text, made[name])} for name, text in tests.items()]
    return row, curves


def result(names: Sequence[str], runs: Path, machine: str) -> dict[str, Any]:
    """The whole record: table, curves and passport."""
    tests = {name: corpora.load(*where.split(":")) for name, where in MIXED.items()}
    rows, curves, spent, said = [], [], {}, []
    for name in names:
        translator = trained(name, runs)
        row, own = measure(translator, runs / name, tests)
        rows.append(row)
        curves += own
        spent[name] = cost(runs / name)
        said.append(tokenisation(translator))
        print(json.dumps(row, ensure_ascii=False), flush=True)
    plan = recipes.read(names[0])
    return {
        "title": "BLEU against sentence length on real text",
        "note": "Two architectures of equal size, trained for equal updates on the same mixed English–French text with "
        "sentences of up to 30 or up to 50 words, once each. The interval says how far another test set of the same "
        "kind could move a score, not what another seed would do.",
        "columns": list(COLUMNS.items()),
        "rows": rows,
        "curves": curves,
        "passport": passport(
            data=f"trained on {plan.data.train}, the best epoch chosen on the first {plan.data.validation_pairs} pairs "
            f"of each of {plan.data.validation}; tested on "
            + ", ".join(f"{where} ({len(tests[name])})" for name, where in MIXED.items()),
            tokenisation=" / ".join(dict.fromkeys(said)),
            signature=bleu(["a"], ["a"]).signature,
            decoding=f"beam {BEAM}, score log p / length^{LENGTH_PENALTY}, the same for all models, not tuned",
            seeds=f"training {plan.training.seed}, bootstrap {BOOTSTRAP_SEED} (1000 samples); one training run each",
            hardware=machine,
            cost=spent,
            recipe=", ".join(names),
        ),
    }


@told
def main(argv: Sequence[str] | None = None) -> None:
    """Train what is missing, measure, and store the result."""
    parser = options(__doc__, "runs", "package", "hardware")
    parser.add_argument("recipes", nargs="*", default=RECIPES, metavar="RECIPE", help="by default all four")
    arguments = parser.parse_args(argv)
    measured = result(arguments.recipes, arguments.runs, arguments.hardware)
    write_json(arguments.package / "results" / "mixed-by-length.json", measured)


if __name__ == "__main__":
    sys.exit(main())
