"""How α learns to look: ``python tools/measure_epochs.py`` writes ``course_pkg/results/toy-epochs.json``.

The recipe ``toy-en-fr-rnnsearch`` is trained again with `course_pkg.training.fit`, once with the recipe's own
initialisation (``modern``) and once with the paper's, where v_a = 0 and α starts out uniform (``paper``). At each of
`MOMENTS` the model is measured under teacher forcing on fresh toy sentences, and α of four sentences is kept. Besides
title, note, columns, rows (one for each run and moment) and passport the file holds what chapter 6 draws:

- ``epochs``: the moments in epochs, and ``updates``, the same in updates;
- ``sentences``: a list of ``{"source": tokens, "target": tokens, "gold": [[source index, target index], …]}``; both
  sides end with EOS, which has no gold link;
- ``weights``: for each run, for each sentence, for each moment, α as T rows of S numbers (three decimals);
- ``translations``: for each run, at each moment, what greedy search makes of the first sentence, the course's own.
"""

import json
import math
import multiprocessing
import re
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch
from entry import PACKAGE, options, told
from publish import tokenisation

from course_pkg import toy
from course_pkg.batching import Batch
from course_pkg.checkpoints import Stored, write_atomically
from course_pkg.evaluation import hardware, passport
from course_pkg.inference import Translator
from course_pkg.metrics import alignment_error_rate
from course_pkg.models import EncoderDecoder
from course_pkg.preparation import Corpus, prepare
from course_pkg.recipes import read
from course_pkg.toy import COURSE_SENTENCE, AlignedPair
from course_pkg.training import fit

RECIPE = "toy-en-fr-rnnsearch"
RUNS = ("modern", "paper")
MOMENTS = (0, 1 / 16, 1 / 8, 3 / 16, 1 / 4, 3 / 8, 1 / 2, 3 / 4, 1, 3 / 2, 2, 3, 4, 5, 6)
SEED = 6_000_000  # training uses 1, validation a million more, the published test three million
CHOSEN = (4, 30, 36)  # of the sentences below: an adverb, "to the" as one word, four adjectives
COLUMNS = {
    "initialisation": "initialisation",
    "epoch": "epoch",
    "update": "update",
    "nll": "NLL per token, nats",
    "on_gold": "share of α on linked words",
    "entropy": "entropy of α, nats",
    "aer": "alignment error rate",
}


def sentences() -> list[AlignedPair]:
    """The course's sentence and three more, of at most 15 tokens."""
    drawn = toy.pairs(max(CHOSEN) + 1, seed=SEED, min_words=7, max_words=12)
    return [COURSE_SENTENCE, *(drawn[row] for row in CHOSEN)]


def forced(translator: Translator, pairs: Sequence[AlignedPair]) -> list[tuple[torch.Tensor, float]]:
    """α (T, S) of each pair under teacher forcing, and the pair's negative log-likelihood in nats."""
    found = []
    with torch.no_grad():
        for pair in pairs:
            source, target = translator.source.encode(pair.source), translator.target.encode(pair.target)
            batch = Batch.collate([(source.ids, target.ids)]).to(translator.device)
            rollout = translator.model(batch)
            log_p = rollout.logits.log_softmax(-1).gather(-1, batch.targets.unsqueeze(-1))
            assert rollout.weights is not None
            found.append((rollout.weights[0].cpu(), -float(log_p.sum())))
    return found


def measure(translator: Translator, pairs: Sequence[AlignedPair]) -> dict[str, float]:
    """Loss, and what α does: its share on gold links and its entropy, means over words; AER over sentences."""
    looked = forced(translator, pairs)
    tokens, shares, entropies, predicted = 0, [], [], []
    for (alpha, _), pair in zip(looked, pairs, strict=True):
        tokens += len(alpha)
        words = len(pair.target_tokens)
        entropies += torch.special.entr(alpha[:words]).sum(-1).tolist()
        for word in range(words):
            shares.append(sum(float(alpha[word, j]) for j, i in pair.links if i == word))
        best = alpha[:words].argmax(-1).tolist()
        predicted.append({(j, i) for i, j in enumerate(best) if j < len(pair.source_tokens)})
    gold = [pair.links for pair in pairs]
    return {
        "nll": sum(nll for _, nll in looked) / tokens,
        "on_gold": sum(shares) / len(shares),
        "entropy": sum(entropies) / len(entropies),
        "aer": alignment_error_rate(predicted, gold, gold).aer,
    }


def watcher(
    corpus: Corpus, updates: Sequence[int], pairs: Sequence[AlignedPair], kept: dict[str, Any]
) -> Callable[[int, EncoderDecoder], None]:
    """A callback for `fit` that measures at the given updates, into ``kept``."""

    def watch(update: int, model: EncoderDecoder) -> None:
        if update not in updates:
            return
        stored = Stored(model, corpus.source, corpus.target, {"name": RECIPE})
        translator = Translator(stored, next(model.parameters()).device)
        row: dict[str, Any] = {"update": update, **measure(translator, pairs)}
        kept["rows"].append(row)
        kept["weights"].append([alpha for alpha, _ in forced(translator, sentences())])
        kept["translations"].append(translator.translate([COURSE_SENTENCE.source], beam=1)[0].target)
        print(json.dumps(row), kept["translations"][-1], flush=True)

    return watch


def rounded(alpha: torch.Tensor) -> list[list[float]]:
    """Three decimals, whole numbers without a point."""
    return [[int(v) if v in (0, 1) else v for v in (round(float(x), 3) for x in row)] for row in alpha]


def compact(value: Any) -> str:
    """JSON with one line for each list of numbers."""
    text = json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False)
    return re.sub(r"\[\s+([-\d.e]+(?:,\s+[-\d.e]+)*)\s+\]", lambda m: "[" + re.sub(r"\s+", "", m[1]) + "]", text) + "\n"


def train(changes: Sequence[str], count: int) -> tuple[dict[str, Any], Corpus]:
    """One run of the recipe with the given changes, measured on ``count`` fresh sentences."""
    torch.set_num_threads(1)
    recipe = read(RECIPE, changes)
    corpus = prepare(recipe)
    pairs = toy.pairs(count, seed=SEED, min_words=recipe.data.min_words, max_words=recipe.data.toy_words)
    per_epoch = math.ceil(len(corpus.train) / recipe.training.batch_size)
    updates = [round(moment * per_epoch) for moment in MOMENTS if moment <= recipe.training.epochs]
    kept: dict[str, Any] = {"rows": [], "weights": [], "translations": []}
    watch = watcher(corpus, updates, pairs, kept)
    with tempfile.TemporaryDirectory() as folder:
        fit(recipe, Path(folder) / "run", accelerator="cpu", progress=False, watch=watch)
    for row in kept["rows"]:
        row["epoch"] = round(16 * row["update"] / per_epoch) / 16  # an update falls on a moment only nearly
    return kept, corpus


def record(runs: dict[str, dict[str, Any]], corpus: Corpus, count: int, minutes: float) -> dict[str, Any]:
    """The result with its passport and the fields that chapter 6 draws."""
    first = next(iter(runs.values()))
    shown = sentences()
    seen = {corpus.source.encode(COURSE_SENTENCE.source).ids} & {source for source, _ in corpus.train}
    return {
        "title": "How α learns to look",
        "note": f"{RECIPE} trained anew, from the recipe's own initialisation (modern) and from the paper's (paper: "
        "v_a = 0). Teacher forcing; means over the words of fresh toy sentences, the end of the sentence left out of "
        "the three columns on α. While α is nearly even, the alignment error rate says little: rounding picks the "
        "largest weight.",
        "columns": list(COLUMNS.items()),
        "rows": [
            {"initialisation": name, **{key: round(row[key], 4) for key in COLUMNS if key in row}}
            for name, run in runs.items()
            for row in run["rows"]
        ],
        "passport": passport(
            data=f"the toy grammar: trained on {len(corpus.train)} pairs (seed 1), measured on {count} fresh sentences "
            f"of 3 to 20 words (seed {SEED}); the course's sentence is "
            f"{'' if seen else 'not '}among the training pairs",
            tokenisation=tokenisation(corpus),  # type: ignore[arg-type]  # it reads the vocabularies alone
            signature="no BLEU here; AER on gold links of the grammar, links from the arg-max of α",
            decoding="teacher forcing; the translations of the course's sentence greedy",
            seeds="training 1; one run for each initialisation",
            hardware=hardware("cpu") + ", one thread, the machine busy with other work",
            cost=f"{minutes:.0f} minutes for both runs, measuring included",
            recipe=f"{RECIPE}; for the second run with training.initialisation=paper; python tools/measure_epochs.py",
        ),
        "epochs": [row["epoch"] for row in first["rows"]],
        "updates": [row["update"] for row in first["rows"]],
        "sentences": [
            {
                "source": [*pair.source_tokens, "</s>"],
                "target": [*pair.target_tokens, "</s>"],
                "gold": sorted(map(list, pair.links)),
            }
            for pair in shown
        ],
        "weights": {
            name: [[rounded(moment[k]) for moment in run["weights"]] for k in range(len(shown))]
            for name, run in runs.items()
        },
        "translations": {name: run["translations"] for name, run in runs.items()},
    }


@told
def main(argv: Sequence[str] | None = None) -> None:
    """Train both runs at once and store what was seen."""
    parser = options(__doc__, "set")
    parser.add_argument("--out", type=Path, default=PACKAGE / "results" / "toy-epochs.json")
    parser.add_argument("--sentences", type=int, default=300, help="fresh sentences to measure on")
    arguments = parser.parse_args(argv)
    started = time.monotonic()
    changes = [[*arguments.set, f"training.initialisation={name}"] for name in RUNS]
    with ProcessPoolExecutor(len(RUNS), multiprocessing.get_context("spawn")) as pool:
        found = list(pool.map(train, changes, [arguments.sentences] * len(RUNS)))
    runs = {name: kept for name, (kept, _) in zip(RUNS, found, strict=True)}
    minutes = (time.monotonic() - started) / 60
    write_atomically(arguments.out, compact(record(runs, found[0][1], arguments.sentences, minutes)))


if __name__ == "__main__":
    sys.exit(main())
