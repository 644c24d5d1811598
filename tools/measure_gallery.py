"""The clinic's ten models, trained: ``python tools/measure_gallery.py`` writes ``course_pkg/results/gallery.json``.

Each patient of `course_pkg.gallery` learns the toy grammar with the model sizes, optimiser and schedule of `CHANGES`
(the recipe ``toy-en-fr-rnnsearch``, made smaller), then looks at a padded batch of four sentences. Finished patients
are kept in ``--work`` and not trained again. Besides title, note, columns, rows and passport the file holds what
chapter 9 draws:

- ``sentences``: ``{"source": tokens, "target": tokens, "gold": [[source index, target index], …]}``, EOS included;
- ``fed``: the step of the first sentence whose fed word was changed, from 0, and the words ``before`` and ``after``;
- ``looks``: for each patient ``together`` (for each sentence, T rows over all columns of the batch), ``alone`` (the
  same for each sentence as a batch of its own) and ``moved`` (for each row of the first sentence, read alone, the
  largest change of a weight when the fed word is changed). All are as the patient's figure shows them.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from measure_epochs import compact
from publish import PACKAGE, tokenisation

from course_pkg import toy
from course_pkg.batching import Batch, BucketSampler
from course_pkg.checkpoints import write_atomically
from course_pkg.evaluation import hardware, passport
from course_pkg.gallery import PATIENTS, Patient
from course_pkg.losses import sequence_cross_entropy
from course_pkg.metrics import alignment_error_rate
from course_pkg.models import EncoderDecoder
from course_pkg.notation import CourseError
from course_pkg.preparation import Corpus, Pairs, prepare
from course_pkg.recipes import Recipe, read
from course_pkg.toy import COURSE_SENTENCE, AlignedPair
from course_pkg.training import learning_rate
from course_pkg.vocabulary import backwards

RECIPE = "toy-en-fr-rnnsearch"
CHANGES = (
    "data.pairs=20000",
    "data.toy_words=14",
    "model.embedding_size=32",
    "model.state_size=64",
    "model.alignment_size=32",
    "model.maxout_size=32",
    "model.embedding_dropout=0.0",
    "model.annotation_dropout=0.0",
    "model.output_dropout=0.0",
    "training.learning_rate=5e-3",
    "training.warmup=50",
    "training.updates=900",
)
SEED = 9_000_000  # of fresh sentences; training uses 1
LENGTHS = (10, 7, 5)  # tokens of the sentences beside the course's own
FED = 7, "chat"  # the word fed before "noir" is "chien" (dog); it becomes "chat" (cat)
COLUMNS = {
    "patient": "patient",
    "accuracy": "words right, mixed batches, %",
    "accuracy_alone": "words right, read alone, %",
    "aer": "alignment error rate of the figure",
    "on_padding": "share of α on padding",
    "row_sums": "row sums of the figure",
    "company": "largest change of α by company",
}


def sentences() -> list[AlignedPair]:
    """The course's sentence and three shorter ones, each with as many French tokens as English ones."""
    shown = [COURSE_SENTENCE]
    for count in LENGTHS:
        drawn = toy.stream(seed=SEED + count, min_words=count, max_words=count)
        shown.append(next(p for p in drawn if len(p.target_tokens) == count and len(p.links) >= count - 1))
    return shown


def encoded(corpus: Corpus, drawn: Sequence[AlignedPair], who: Patient) -> Pairs:
    """Ids of each pair as the patient reads them."""
    found = []
    for pair in drawn:
        source, target = corpus.source.encode(pair.source).ids, corpus.target.encode(pair.target).ids
        found.append((backwards(source) if who.backwards else source, target))
    return found


def train(who: Patient, recipe: Recipe, corpus: Corpus) -> EncoderDecoder:
    """The patient after the recipe's updates; the loop of chapter 6."""
    plan = recipe.training
    sizes = {name: value for name, value in recipe.model.items() if name != "architecture"}
    model = who.build(source_vocabulary=len(corpus.source), target_vocabulary=len(corpus.target), **sizes)
    pairs = [(backwards(s) if who.backwards else s, t) for s, t in corpus.train]
    sampler = BucketSampler([max(map(len, p)) for p in pairs], batch_size=plan.batch_size, seed=who.seed)
    optimiser = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=plan.learning_rate)
    update = 0
    while update < plan.updates:
        sampler.set_epoch(update)
        for rows in list(sampler)[: plan.updates - update]:
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(recipe, update, plan.updates)
            batch = Batch.collate([pairs[row] for row in rows])
            loss = sequence_cross_entropy(model(batch).logits, batch.targets, batch.target_mask)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), plan.clip)
            optimiser.step()
            update += 1
    return model.eval()


@torch.no_grad()
def look(model: EncoderDecoder, who: Patient, pairs: Pairs) -> tuple[list[torch.Tensor], list[float]]:
    """For each pair of the batch its figure (real rows, all columns), and the share of its words that are right."""
    batch = Batch.collate(pairs)
    rollout = model(batch)
    assert rollout.weights is not None
    right = (rollout.logits.argmax(-1) == batch.targets) & batch.target_mask
    figures = [who.picture(alpha[: len(target)]) for alpha, (_, target) in zip(rollout.weights, pairs, strict=True)]
    return figures, [float(row.sum()) for row in right]


def links(figure: torch.Tensor, pair: AlignedPair, who: Patient) -> set[tuple[int, int]]:
    """Each target word with the source word whose cell is darkest, in the order of the sentence."""
    words, last = len(pair.target_tokens), len(pair.source_tokens) - 1
    best = figure[:words].argmax(-1).tolist()
    return {((last - j) if who.backwards else j, i) for i, j in enumerate(best) if j <= last}


def measure(model: EncoderDecoder, who: Patient, corpus: Corpus, drawn: Sequence[AlignedPair]) -> dict[str, Any]:
    """The row of the table, from fresh sentences in mixed batches of 20 and alone."""
    pairs = encoded(corpus, drawn, who)
    together, alone, right, right_alone = [], [], 0.0, 0.0
    for start in range(0, len(pairs), 20):
        figures, counts = look(model, who, pairs[start : start + 20])
        together += figures
        right += sum(counts)
    for pair in pairs:
        figures, counts = look(model, who, [pair])
        alone += figures
        right_alone += sum(counts)
    tokens = sum(len(target) for _, target in pairs)
    gold = [pair.links for pair in drawn]
    found = [links(figure, pair, who) for figure, pair in zip(together, drawn, strict=True)]
    lengths = [len(source) for source, _ in pairs]
    sums = torch.cat([figure.sum(-1) for figure in together])
    inside = [figure[:, :size] for figure, size in zip(together, lengths, strict=True)]
    padding = [figure[:, size:].sum() for figure, size in zip(together, lengths, strict=True)]
    return {
        "patient": who.name,
        "accuracy": round(100 * right / tokens, 1),
        "accuracy_alone": round(100 * right_alone / tokens, 1),
        "aer": round(alignment_error_rate(found, gold, gold).aer, 3),
        "on_padding": round(float(sum(padding) / sums.sum()), 3),
        "row_sums": f"{float(sums.min()):.2f} to {float(sums.max()):.2f}",
        "company": round(max(float((a - b).abs().max()) for a, b in zip(inside, alone, strict=True)), 3),
    }


def rounded(figure: torch.Tensor) -> list[Any]:
    """Three decimals, whole numbers without a point."""
    if figure.dim() == 2:
        return [rounded(row) for row in figure]
    return [int(v) if v == int(v) else v for v in (round(float(x), 3) for x in figure)]


def looks(model: EncoderDecoder, who: Patient, corpus: Corpus) -> dict[str, Any]:
    """What chapter 9 shows of the patient."""
    pairs = encoded(corpus, sentences(), who)
    alone = [look(model, who, [pair])[0][0] for pair in pairs]
    batch = Batch.collate(pairs[:1])
    changed = batch.inputs.clone()
    changed[0, FED[0] + 1] = corpus.target.encode(FED[1]).ids[0]
    with torch.no_grad():
        after = model(replace(batch, inputs=changed)).weights
    assert after is not None
    moved = (who.picture(after[0]) - alone[0]).abs().amax(-1)
    return {
        "together": [rounded(figure) for figure in look(model, who, pairs)[0]],
        "alone": [rounded(figure) for figure in alone],
        "moved": rounded(moved),
    }


def record(kept: Sequence[dict[str, Any]], corpus: Corpus, count: int) -> dict[str, Any]:
    """The result with its passport."""
    seen = {s for s, _ in corpus.train}
    known = [corpus.source.encode(pair.source).ids in seen for pair in sentences()]
    return {
        "title": "The clinic: eight sick models and two healthy",
        "note": "Ten small models of RNNsearch on the toy grammar, each with one thing changed, measured on "
        f"{count} fresh sentences of 3 to 14 tokens under teacher forcing, in batches of 20 as drawn and each alone.",
        "columns": list(COLUMNS.items()),
        "rows": [one["row"] for one in kept],
        "passport": passport(
            data=f"the toy grammar: trained on {len(corpus.train)} pairs of 3 to 14 tokens (seed 1), measured on "
            f"{count} fresh sentences (seed {SEED}); of the sentences shown, {sum(known)} of {len(known)} are among "
            "the training pairs",
            tokenisation=tokenisation(corpus),  # type: ignore[arg-type]  # it reads the vocabularies alone
            signature="no BLEU here; AER on gold links of the grammar, links from the arg-max of the figure's rows",
            decoding="teacher forcing",
            seeds="initialisation and order: " + ", ".join(f"{p.name} {p.seed}" for p in PATIENTS),
            hardware=hardware("cpu") + ", one thread, the machine busy with other work",
            cost=f"{sum(one['seconds'] for one in kept) / 60:.0f} minutes of processor time for all ten",
            recipe=f"{RECIPE} with {' '.join(CHANGES)}; python tools/measure_gallery.py",
        ),
        "sentences": [
            {
                "source": [*pair.source_tokens, "</s>"],
                "target": [*pair.target_tokens, "</s>"],
                "gold": sorted(map(list, pair.links)),
            }
            for pair in sentences()
        ],
        "fed": {"step": FED[0] + 1, "before": COURSE_SENTENCE.target_tokens[FED[0]], "after": FED[1]},
        "looks": {one["row"]["patient"]: one["looks"] for one in kept},
    }


def treat(who: Patient, recipe: Recipe, corpus: Corpus, count: int) -> dict[str, Any]:
    """One patient, trained and measured."""
    started = time.process_time()
    model = train(who, recipe, corpus)
    drawn = toy.pairs(count, seed=SEED, min_words=recipe.data.min_words, max_words=recipe.data.toy_words)
    row = measure(model, who, corpus, drawn)
    return {"row": row, "looks": looks(model, who, corpus), "seconds": time.process_time() - started}


def main(argv: Sequence[str] | None = None) -> int:
    """Train the patients that are not finished yet, and store all ten."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=PACKAGE / "results" / "gallery.json")
    parser.add_argument("--work", type=Path, default=Path("runs") / "gallery", help="where finished patients are kept")
    parser.add_argument("--sentences", type=int, default=300, help="fresh sentences to measure on")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change the recipe")
    arguments = parser.parse_args(argv)
    torch.set_num_threads(1)
    try:
        recipe = read(RECIPE, [*CHANGES, *arguments.set])
        corpus = prepare(recipe)
        arguments.work.mkdir(parents=True, exist_ok=True)
        kept = []
        for who in PATIENTS:
            file = arguments.work / f"{who.name.replace(' ', '-').replace(',', '')}.json"
            if not file.exists():
                write_atomically(file, json.dumps(treat(who, recipe, corpus, arguments.sentences)))
            kept.append(json.loads(file.read_text(encoding="utf-8")))
            print(json.dumps(kept[-1]["row"]), f"{kept[-1]['seconds']:.0f} s", flush=True)
    except CourseError as error:
        print(f"measure_gallery: {error}", file=sys.stderr)
        return 2
    write_atomically(arguments.out, compact(record(kept, corpus, arguments.sentences)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
