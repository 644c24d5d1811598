"""Publish finished captioners: model folders into course_pkg/weights, figures into course_pkg/results.

``python tools/publish_captioner.py RUN…`` takes folders that ``course train`` wrote (``metrics.jsonl`` and
``model/``), describes validation and test pictures, scores the captions, writes ``weights/NAME`` with a model card and
``results/NAME.json`` with a passport, and draws up ``results/flickr8k.json`` anew: the models trained on Flickr8k
beside Xu et al. 2015. Fix decoding first, on validation data, with ``tools/choose_decoding.py``. Needs Java, the
extras ``images`` and ``captions``, and ``COURSE_DATA``.
"""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import caption_splits
from caption_splits import Split
from entry import PACKAGE, options, told
from publish import (
    BOOTSTRAP_SEED,
    LICENCES,
    Wording,
    cost,
    decoding,
    joined_passport,
    models_of,
    recipe_of,
    store,
    write_json,
)

from course_pkg.caption_metrics import caption_scores
from course_pkg.captioner import Captioner
from course_pkg.evaluation import passport
from course_pkg.inference import load
from course_pkg.notation import CourseError

BLEUS = tuple(f"bleu{order}" for order in (1, 2, 3, 4))
SCORES = {
    **{name: f"BLEU-{name[-1]}" for name in BLEUS},
    "interval": "95 % interval of BLEU-4",
    "meteor": "METEOR",
    "rouge_l": "ROUGE-L",
    "cider": "CIDEr-D, 0 to 10",
    "no_brevity_penalty": "BLEU-1 to BLEU-4 without brevity penalty",
}
COLUMNS = {
    "split": "split",
    "n": "pictures",
    **SCORES,
    "brevity_penalty": "brevity penalty",
    "perplexity_token": "perplexity per token",
}
TABLE = {"captioner": "captioner", **SCORES}
OTHERS = {
    "Xu et al. 2015, soft attention": (67.0, 44.8, 29.9, 19.5, 18.93),
    "Xu et al. 2015, hard attention": (67.0, 45.7, 31.4, 21.3, 20.30),
    "a course's reproduction, frozen ResNet-50": (65.7, 41.4, 27.1, 16.5, 17.9),
}
"""BLEU-1 to BLEU-4 and METEOR on Flickr8k's test pictures, as others print them: Table 1 of the paper, and one more."""
USE = "`course caption --model {name} PICTURE`"
WORDINGS = {
    "flickr8k": Wording(
        task="a photograph described in one English sentence, with the places that each word looks at",
        use=USE,
        beware="It has seen few kinds of scenes, mostly people and dogs outdoors: it describes whatever it is shown as "
        "one of these,\nfluently and often wrongly. It repeats the habits of the people who wrote its captions, also "
        "where they guess who\nsomebody is. Do not rely on it.",
    ),
    "scenes": Wording(
        task="a drawn scene described in one English sentence, with the places that each word looks at",
        use=USE,
        beware="It knows the drawn scenes of this course alone: a photograph means nothing to it.",
    ),
}
DATA = {
    "flickr8k": "Flickr8k (Hodosh et al. 2013), whose photographs belong to their photographers and which is given for "
    "research and education: raw captions, five for each picture",
    "scenes": "drawn scenes (course_pkg.scenes), one caption each",
}


def opened(run: Path) -> Captioner:
    """A finished run's captioner; everything is asked for that publishing it needs and a run may lack.

    Raises:
        CourseError: no such run, or not that of a captioner with known test pictures.
    """
    captioner = load(run / "model", device="cpu")
    if not isinstance(captioner, Captioner):
        raise CourseError(f"{captioner.name} reads text, not pictures: publish it with tools/publish.py.")
    cost(run)
    caption_splits.tested_on(captioner)
    return captioner


def tokenisation(captioner: Captioner) -> str:
    """How captions become tokens, in words."""
    kind = {"subword": "byte-pair encoding", "word": "words, rare ones as UNK, which is never written"}
    return f"{kind[captioner.target.kind]}; {len(captioner.target)} entries; lower case, no punctuation"


def how_it_decodes(captioner: Captioner, package: Path) -> str:
    """The settings in use, who chose them, and how hard attention looks."""
    model = captioner.config["model"]
    if model.get("attention") != "hard":
        return decoding(captioner, package)
    looks = f"hard attention looks at the {model.get('when_testing', 'expected')} annotation; "
    return looks + decoding(captioner, package)


def measured(captioner: Captioner, split: Split, name: str) -> dict[str, Any]:
    """One row of a model's table, with the whole record of its scores.

    Raises:
        CourseError: a score is missing, and why.
    """
    made = split.described(captioner)
    record = caption_scores(made, split.captions)
    if record["missing"]:
        raise CourseError(f"The scores are not complete: {record['missing']}. Then publish again.")
    found = caption_splits.bleu(made, split.captions)
    low, high = found.interval(BOOTSTRAP_SEED)
    return {
        "split": name,
        "n": len(split),
        **{score: record[score] for score in (*BLEUS, "meteor", "rouge_l", "cider")},
        "interval": f"{low:.1f} to {high:.1f}",
        "no_brevity_penalty": found.unpenalised,
        "brevity_penalty": found.penalty,
        "perplexity_token": caption_splits.perplexity(captioner, split),
        "record": record,
    }


def signatures(record: Mapping[str, Any]) -> dict[str, str]:
    """How each score was counted."""
    tools = f"pycocoevalcap {version('pycocoevalcap')}"
    return {
        "BLEU": f"{record['signature']}|prepared:{record['tokenisation']}; interval over pictures",
        "METEOR": f"1.5, -l en -norm, as {tools} calls it",
        "ROUGE-L": f"β = 1.2, {tools}",
        "CIDEr-D": f"σ = 6, document frequencies of the split itself, {tools}",
        "perplexity": "people's captions under teacher forcing, EOS counted, words out of the vocabulary as UNK",
    }


def publish(run: Path, package: Path, machine: str, most: int = 0) -> dict[str, Any]:
    """Measure and copy one run; return what ``results/NAME.json`` holds."""
    started, captioner = time.monotonic(), opened(run)
    name, recipe, corpus = captioner.name, recipe_of(captioner), caption_splits.tested_on(captioner)
    validation, test = caption_splits.validation_split(captioner, most), caption_splits.test_split(captioner, most)
    rows = [measured(captioner, split, kind) for kind, split in (("validation", validation), ("test", test))]
    tested = [row.pop("record") for row in rows][1]
    result = {
        "title": name,
        "note": recipe["description"],
        "columns": list(COLUMNS.items()),
        "rows": rows,
        "passport": passport(
            data=f"{DATA[corpus]}; trained on {recipe['data']['train']}, the best epoch chosen on validation data "
            f"({validation.name}), tested on {test.name} ({len(test)} pictures)",
            tokenisation=f"{tokenisation(captioner)}; scored: {tested['tokenisation']}",
            signature=signatures(tested),
            decoding=how_it_decodes(captioner, package),
            seeds=f"training {recipe['training']['seed']}, bootstrap {BOOTSTRAP_SEED} (1000 samples); one training run",
            hardware=machine,
            cost={**cost(run), "minutes_to_measure": round((time.monotonic() - started) / 60)},
            recipe=recipe["name"],
        ),
        "parameters": captioner.config["parameters"],
        "best_epoch": captioner.config.get("best_epoch"),
        "features": captioner.reads,
    }
    licence = LICENCES["toy" if corpus == "scenes" else ""]
    headline = {"metric": "BLEU-4", "score": rows[1]["bleu4"], "data": test.name}
    store(run, package, result, headline, licence, WORDINGS[corpus])
    return result


def flickr8k_table(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The captioners of Flickr8k side by side, drawn from their own results, and what others report."""
    results = sorted(results, key=lambda one: "hard" in one["title"])  # soft attention first, as in the paper's table
    ours = [{"captioner": one["title"], **{field: one["rows"][1][field] for field in SCORES}} for one in results]
    empty = dict.fromkeys(SCORES)
    others = [
        {"captioner": who, **empty, **dict(zip((*BLEUS, "meteor"), figures, strict=True))}
        for who, figures in OTHERS.items()
    ]
    return {
        "title": "Flickr8k: photographs described",
        "note": f"On the test pictures. {' and '.join(str(row['captioner']) for row in ours)}: this course, one "
        "training run each; the interval says how far other pictures of the same kind could move BLEU-4, not what "
        "another seed would do. BLEU keeps the brevity penalty, and stands without it in the last column. The other "
        "rows are not ours: Table 1 of Xu et al. 2015 as printed, without ROUGE-L and CIDEr, and a careful "
        "reproduction of a course. Others report that the paper leaves the brevity penalty out: then the last column "
        "compares with its rows.",
        "columns": list(TABLE.items()),
        "rows": [*ours, *others],
        "passport": joined_passport(results),
    }


@told
def main(argv: Sequence[str] | None = None) -> None:
    """Publish the runs given, then the table of all that were trained on Flickr8k."""
    parser = options(__doc__, "package", "hardware")
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folder that `course train` wrote")
    parser.add_argument("--pictures", type=int, default=0, help="only so many of each split, to try it out; 0 for all")
    arguments = parser.parse_args(argv)
    if arguments.pictures and arguments.package == PACKAGE:
        raise CourseError("A trial on few pictures is not for publishing: give --package FOLDER too.")
    for run in arguments.runs:  # all of them, before the first is measured
        opened(run)
    for run in arguments.runs:
        result = publish(run, arguments.package, arguments.hardware, arguments.pictures)
        print(json.dumps(result["rows"], ensure_ascii=False))
    found = models_of(arguments.package, "flickr8k")
    if found:
        write_json(arguments.package / "results" / "flickr8k.json", flickr8k_table(found))


if __name__ == "__main__":
    sys.exit(main())
