"""Publish a finished run: its model folder into course_pkg/weights, its figures into course_pkg/results.

``python tools/publish.py RUN`` takes the folder that ``course train`` wrote (``metrics.jsonl`` and ``model/``),
measures the model on validation and test data, writes ``weights/NAME`` with a model card and ``results/NAME.json``
with a passport, and draws up the table of the Multi30k models anew. Fix decoding first, on validation data, with
``tools/choose_decoding.py``. Captioners are published by ``tools/publish_captioner.py``.
"""

import json
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from entry import options, told

from course_pkg import corpora, toy
from course_pkg.captioner import Captioner
from course_pkg.checkpoints import write_atomically
from course_pkg.corpora import ParallelText
from course_pkg.evaluation import PASSPORT, evaluate, passport
from course_pkg.inference import Translator, load
from course_pkg.metrics import alignment_error_rate
from course_pkg.notation import CourseError
from course_pkg.toy import AlignedPair

BOOTSTRAP_SEED = 2015
TOY_TEST_SEED = 3_000_000  # training uses small seeds, validation those plus a million
TOY_TEST_PAIRS = 500
MIXED = {
    "multi30k": "multi30k:test_2016_flickr",
    "softdoc": "softdoc:test",
    "pydocs": "pydocs:test",
    "news": "news:newstest2013",
}
"""The test set of each kind of text in the mixed corpus."""
LICENCES = {"toy": "MIT", "": "research and education (LICENSE-WEIGHTS)"}

COLUMNS = {
    "split": "split",
    "n": "sentences",
    "sacrebleu": "sacreBLEU",
    "interval": "95 % interval",
    "bleu_lc_tok": "BLEU, lower-cased, normalised tokens",
    "chrf": "chrF2",
    "perplexity_token": "perplexity per token",
}
TABLE = {
    "model": "model",
    "parameters": "parameters",
    "sacrebleu_val": "sacreBLEU, val",
    "sacrebleu_test": "sacreBLEU, test",
    "interval": "95 % interval, test",
    "bleu_lc_tok": "BLEU, lower-cased, normalised tokens, test",
    "chrf": "chrF2, test",
    "perplexity_token": "perplexity per token, test",
}


@dataclass(frozen=True)
class Wording:
    """What the card of every model of a kind says: its task, how to use it (``{name}``), and what to beware of."""

    task: str
    use: str
    beware: str


TRANSLATES = Wording(
    task="translation of single sentences, English to French",
    use='`course translate --model {name} "…"`',
    beware="It was trained on few and narrow sentences: text of another kind comes out badly, and fluent mistakes are "
    "common. Do not\nrely on it.",
)


def recipe_of(model: Translator | Captioner) -> Mapping[str, Any]:
    """The recipe that a model was trained from, as stored with it."""
    recipe = model.config.get("recipe")
    if not isinstance(recipe, dict):
        raise CourseError(f"{model.name} does not say which recipe it was trained from: train it anew.")
    return recipe


def is_toy(translator: Translator) -> bool:
    return bool(recipe_of(translator)["data"]["train"] == "toy")


def validation_text(translator: Translator) -> ParallelText:
    """The corpus that chose the best epoch, which decoding may be fixed on too."""
    recipe = recipe_of(translator)
    data = recipe["data"]
    if is_toy(translator):
        return as_text(toy_pairs(translator, 500, recipe["training"]["seed"] + 1_000_000), "toy validation")
    names = [name.strip() for name in data["validation"].split("+")]
    parts = {name: corpora.load(*name.split(":"), data["source"], data["target"]) for name in names}
    most = data.get("validation_pairs", 0)
    return corpora.joined_texts((part.head(most) if most else part for part in parts.values()), " + ".join(parts))


def test_texts(translator: Translator) -> dict[str, ParallelText]:
    """What a model is tested on: its own kind of text, which for a mixed model is every kind alone and all together."""
    if is_toy(translator):
        return {"test": as_text(toy_pairs(translator, TOY_TEST_PAIRS, TOY_TEST_SEED), "fresh toy sentences")}
    data = recipe_of(translator)["data"]
    if data["train"] == "multi30k:train":
        return {"test": corpora.multi30k("test_2016_flickr", data["source"], data["target"])}
    parts = {name: corpora.load(*where.split(":"), data["source"], data["target"]) for name, where in MIXED.items()}
    return {
        "test, all": corpora.joined_texts(parts.values(), " + ".join(parts)),
        **{f"test, {name}": part for name, part in parts.items()},
    }


def toy_pairs(translator: Translator, count: int, seed: int) -> list[AlignedPair]:
    data = recipe_of(translator)["data"]
    return toy.pairs(count, seed=seed, min_words=data["min_words"], max_words=data["toy_words"])


def as_text(pairs: Sequence[AlignedPair], name: str) -> ParallelText:
    return ParallelText(tuple(p.source for p in pairs), tuple(p.target for p in pairs), name)


def tokenisation(translator: Translator) -> str:
    """How the model's text becomes tokens, in words."""
    kind = {"subword": "byte-pair encoding", "word": "words and punctuation, rare words as UNK"}[translator.source.kind]
    if translator.source is translator.target:
        return f"{kind}; {len(translator.source)} entries for both languages; cased, raw text"
    return f"{kind}; {len(translator.source)} source and {len(translator.target)} target entries; cased, raw text"


def measured(translator: Translator, text: ParallelText, split: str) -> dict[str, Any]:
    """One row of a model's table, with everything else that `evaluate` found."""
    record = evaluate(translator, text.source, text.target, bootstrap_seed=BOOTSTRAP_SEED, progress=True)
    low, high = record["sacrebleu_interval"]
    return {
        "split": split,
        "n": record["n"],
        "sacrebleu": record["sacrebleu"]["score"],
        "interval": f"{low:.1f} to {high:.1f}",
        "bleu_lc_tok": record["bleu_lc_tok"],
        "chrf": record["chrf"],
        "perplexity_token": record["perplexity_token"],
        "record": record,
    }


def toy_figures(translator: Translator, pairs: Sequence[AlignedPair]) -> dict[str, Any]:
    """Share of sentences translated word for word like the only reference, and the error rate of α's links."""
    made = translator.translate([pair.source for pair in pairs], progress=True)
    exact = sum(one.target == pair.target for one, pair in zip(made, pairs, strict=True)) / len(pairs)
    figures: dict[str, Any] = {"exact_match_percent": 100 * exact, "aer": None}
    if translator.can_look:
        predicted = translator.align([(pair.source, pair.target) for pair in pairs], tokens=True)
        gold = [pair.links for pair in pairs]
        figures["aer"] = alignment_error_rate(predicted, gold, gold).aer
    return figures


def decoding(model: Translator | Captioner, package: Path) -> str:
    """The settings in use, and who chose them."""
    used = model.decoding
    said = f"beam {used['beam_size']}, score log p / length^{used['length_penalty']}"
    path = package / "results" / f"{model.name}-decoding.json"
    chosen = json.loads(path.read_text(encoding="utf-8"))["chosen"] if path.is_file() else None
    return f"{said}; {'fixed on validation data' if chosen == used else 'as the recipe says, not tuned'}"


def cost(run: Path) -> dict[str, Any]:
    """What training took, from metrics.jsonl."""
    try:
        last = json.loads((run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()[-1])
        return {
            "epochs": last["epoch"],
            "updates": last["update"],
            "train_hours": round(last["train_seconds"] / 3600, 2),
        }
    except (OSError, ValueError, LookupError) as error:
        raise CourseError(
            f"{run} holds no metrics.jsonl of a run ({error}): give the folder of `course train`."
        ) from error


def publish(run: Path, package: Path, machine: str) -> dict[str, Any]:
    """Measure and copy one run; return what ``results/NAME.json`` holds."""
    translator = load(run / "model", device="cpu")
    if not isinstance(translator, Translator):
        raise CourseError(f"{translator.name} reads pictures: publish it with tools/publish_captioner.py.")
    name, spent, recipe = translator.name, cost(run), recipe_of(translator)
    tests = test_texts(translator)
    validation = validation_text(translator)
    rows = [measured(translator, text, split) for split, text in {"validation": validation, **tests}.items()]
    records = [row.pop("record") for row in rows]
    tested = records[1]
    headline = {"metric": "sacreBLEU", "score": rows[1]["sacrebleu"], "data": next(iter(tests.values())).name}
    extra: dict[str, str] = {}
    if is_toy(translator):
        figures = toy_figures(translator, toy_pairs(translator, TOY_TEST_PAIRS, TOY_TEST_SEED))
        headline = {"metric": "exact match", "score": figures["exact_match_percent"], "data": "fresh toy sentences"}
        extra = {"exact_match_percent": "exact match, %", "aer": "alignment error rate"}
        rows[1].update(figures)
    result = {
        "title": f"{name}",
        "note": recipe["description"],
        "columns": list({**COLUMNS, **extra}.items()),
        "rows": rows,
        "passport": passport(
            data=f"{'the toy grammar' if is_toy(translator) else 'raw text'}; trained on {recipe['data']['train']}, "
            f"the best epoch chosen on validation data ({validation.name}), tested on "
            + ", ".join(f"{text.name} ({len(text)} sentences)" for text in tests.values()),
            tokenisation=tokenisation(translator),
            signature={"sacreBLEU": tested["sacrebleu"]["signature"], **tested["signatures"]},
            decoding=decoding(translator, package),
            seeds=f"training {recipe['training']['seed']}, bootstrap {BOOTSTRAP_SEED} (1000 samples); one training run",
            hardware=machine,
            cost=spent,
            recipe=recipe["name"],
        ),
        "parameters": translator.config["parameters"],
        "best_epoch": translator.config.get("best_epoch"),
        "by_length": tested["by_length"],
    }
    licence = LICENCES["toy" if is_toy(translator) else ""]
    store(run, package, result, headline, licence, TRANSLATES)
    return result


def store(
    run: Path, package: Path, result: Mapping[str, Any], headline: Mapping[str, Any], licence: str, wording: Wording
) -> None:
    """Write what publishing a model leaves behind: its folder with a card, then its result."""
    name = result["title"]
    changes = {"headline": headline, "licence": licence}
    copy_model(run / "model", package / "weights" / name, changes, card(result, licence, wording))
    write_json(package / "results" / f"{name}.json", result)


def card(result: Mapping[str, Any], licence: str, wording: Wording) -> str:
    """The model card."""
    passed = result["passport"]
    rows = "\n".join(
        "| " + " | ".join(_cell(row.get(field)) for field, _ in result["columns"]) + " |" for row in result["rows"]
    )
    heads = " | ".join(heading for _, heading in result["columns"])
    spent = passed["cost"]
    signatures = "\n".join(f"- {name}: `{text}`" for name, text in passed["signature"].items())
    return f"""# {result["title"]}

{result["note"]}

- Task: {wording.task}.
- Data: {passed["data"]}.
- Tokens: {passed["tokenisation"]}.
- Parameters: {result["parameters"]:,}, stored in half precision.
- Recipe: `{passed["recipe"]}` of `course_pkg.recipes`, {passed["seeds"]}.
- Training: {spent["epochs"]} epochs, {spent["updates"]:,} updates, {spent["train_hours"]} hours ({passed["hardware"]});
  the best epoch on validation data, {result["best_epoch"]}, is the one published.
- Decoding: {passed["decoding"]}.

| {heads} |
|{"---|" * len(result["columns"])}
{rows}

{signatures}

Use it with {wording.use.format(name=result["title"])} or `course_pkg.inference.load("{result["title"]}")`.

{wording.beware}

Licence of the weights: {licence}. The notice is in LICENSE-WEIGHTS.
"""


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) < 1 else f"{value:.1f}"
    if isinstance(value, list):
        return ", ".join(map(_cell, value))
    return "–" if value is None else str(value)


def copy_model(source: Path, goal: Path, changes: Mapping[str, Any], readme: str) -> None:
    """The model folder with a card and a completed config.json, whole or not at all."""
    goal.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=goal.parent, prefix=f".{goal.name}."))
    try:
        for name in ("model.safetensors", "tokenizer.json"):
            shutil.copyfile(source / name, draft / name)
        config = json.loads((source / "config.json").read_text(encoding="utf-8"))
        write_json(draft / "config.json", {**config, **changes})
        write_atomically(draft / "README.md", readme)
        draft.chmod(0o755)
        if goal.exists():
            shutil.rmtree(goal)
        draft.rename(goal)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def write_json(path: Path, value: Any) -> None:
    write_atomically(path, json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False) + "\n")


def multi30k_table(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The Multi30k models side by side, drawn from their own results."""
    rows = []
    for result in results:
        validation, test = result["rows"]
        rows.append(
            {
                "model": result["title"],
                "parameters": result["parameters"],
                "sacrebleu_val": validation["sacrebleu"],
                "sacrebleu_test": test["sacrebleu"],
                **{field: test[field] for field in ("interval", "bleu_lc_tok", "chrf", "perplexity_token")},
            }
        )
    return {
        "title": "Multi30k, English to French",
        "note": "One training run each: the interval says how far another test set of the same kind could move a "
        "score, not what another seed would do.",
        "columns": list(TABLE.items()),
        "rows": rows,
        "passport": joined_passport(results),
    }


def joined_passport(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The passport of a table that is drawn from several results."""
    passports = {result["title"]: result["passport"] for result in results}
    return passport(**{item: _joined({name: one[item] for name, one in passports.items()}) for item in PASSPORT})


def _joined(said: Mapping[str, Any]) -> Any:
    """What all models say, once; otherwise who says what."""
    values = list(said.values())
    return values[0] if all(value == values[0] for value in values) else dict(said)


@told
def main(argv: Sequence[str] | None = None) -> None:
    """Publish the runs given, then the table of all Multi30k models."""
    parser = options(__doc__, "package", "hardware")
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folder that `course train` wrote")
    arguments = parser.parse_args(argv)
    for run in arguments.runs:
        result = publish(run, arguments.package, arguments.hardware)
        print(json.dumps(result["rows"], ensure_ascii=False))
    found = models_of(arguments.package, "multi30k-en-fr")
    if found:
        write_json(arguments.package / "results" / "multi30k.json", multi30k_table(found))


def models_of(package: Path, kind: str) -> list[dict[str, Any]]:
    """The stored results of the models whose names begin with ``kind``."""
    paths = sorted((package / "results").glob(f"{kind}-*.json"))
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths if not path.stem.endswith("-decoding")]


if __name__ == "__main__":
    sys.exit(main())
