"""Attention inside, after and instead of the decoder's recurrence: trains all three, then measures.

``python tools/measure_one_line.py`` trains three models of equal size on the toy grammar with each seed of `SEEDS`:
RNNsearch, whose context goes back into the recurrence (``inside``); the same with one call of attention after the
recurrence (``after``), and with attention in place of the recurrence (``instead``), see `course_pkg.placement`. All see
the same sentences in the same order. They are tested on the same fresh sentences, and
``course_pkg/results/one-line.json`` is written. Beside title, note, columns, rows (one for each place and seed) and
passport the file holds what chapter 14 draws:

- ``learning``: for each ``place`` and ``seed``, ``{"place", "seed", "update", "nll"}``: the training loss per token,
  mean over the last `EVERY` updates;
- ``by_length``: ``{"place", "seed", "min", "max", "n", "exact"}``: exact match, in per cent, by source length;
- ``steps``: ``{"place", "words", "chain", "seconds"}``: for a target of so many words, the longest chain of matrix
  products in teacher forcing, and the median time of a forward and backward pass of the decoder, one sentence alone.

The time of an update is the median over updates taken in turns, place by place, on the same batches.
"""

import argparse
import json
import math
import multiprocessing
import statistics
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import torch
from entry import options, told
from publish import write_json

from course_pkg import toy
from course_pkg.batching import Batch, BucketSampler
from course_pkg.checkpoints import Stored
from course_pkg.cost import longest_chain
from course_pkg.decoders import AttentiveDecoder
from course_pkg.encoders import Encoded
from course_pkg.evaluation import hardware, passport
from course_pkg.inference import Translator
from course_pkg.losses import sequence_cross_entropy
from course_pkg.metrics import alignment_error_rate, bleu
from course_pkg.models import EncoderDecoder, count_parameters, rnnsearch
from course_pkg.placement import place_attention
from course_pkg.toy import AlignedPair
from course_pkg.vocabulary import Vocabulary, WordVocabulary

PLACES = ("inside", "after", "instead")
SIZES = {"embedding_size": 64, "state_size": 128, "alignment_size": 64, "maxout_size": 64}
DECODER = {"after": 194, "instead": 288}  # a wider state makes up for the parameters that the place saves
SEEDS = (1, 2)
PAIRS, UPDATES, BATCH, EVERY = 40_000, 1000, 64, 25
RATE, WARMUP, CLIP = 2e-3, 100, 1.0
TEST_SEED, TEST_PAIRS = 9_000_000, 500  # training uses 1 and 2; other measurements up to 8,000,000
EDGES = ((3, 10), (11, 15), (16, 20))
WORDS = (5, 10, 20, 40, 80, 160)
COLUMNS = {
    "place": "attention",
    "seed": "seed",
    "parameters": "parameters",
    "nll": "loss per word, nats",
    "exact": "exact match, %",
    "bleu": "BLEU",
    "aer": "alignment error rate",
    "seconds": "seconds an update",
}


def build(place: str, vocabularies: tuple[Vocabulary, Vocabulary], seed: int) -> EncoderDecoder:
    """One of the three, with random parameters."""
    torch.manual_seed(seed)
    words = {"source_vocabulary": len(vocabularies[0]), "target_vocabulary": len(vocabularies[1])}
    if place == "inside":
        return rnnsearch(**words, **SIZES)
    return place_attention(place, **words, **SIZES, decoder_size=DECODER[place])


def update(model: EncoderDecoder, optimiser: torch.optim.Optimizer, batch: Batch) -> float:
    """One step of training; the loss per token."""
    loss = sequence_cross_entropy(model(batch).logits, batch.targets, batch.target_mask, reduction="token")
    optimiser.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
    optimiser.step()
    return float(loss.detach())


def rate(step: int, updates: int) -> float:
    """Learning rate: a linear start, then half a cosine down to 0."""
    return RATE * min(1.0, (step + 1) / WARMUP, 0.5 + 0.5 * math.cos(math.pi * step / updates))


def train(
    models: dict[str, EncoderDecoder], data: Sequence[tuple[Sequence[int], Sequence[int]]], seed: int, updates: int
) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """Train the models side by side on the same batches; their learning curves, and seconds an update."""
    optimisers = {place: torch.optim.Adam(model.parameters(), lr=RATE) for place, model in models.items()}
    sampler = BucketSampler([max(map(len, pair)) for pair in data], batch_size=BATCH, seed=seed)
    losses: dict[str, list[float]] = {place: [] for place in models}
    seconds: dict[str, list[float]] = {place: [] for place in models}
    curves, step = [], 0
    while step < updates:
        for rows in sampler:
            batch = Batch.collate([data[row] for row in rows]).to(next(models["inside"].parameters()).device)
            for place, model in models.items():
                for group in optimisers[place].param_groups:
                    group["lr"] = rate(step, updates)
                start = time.perf_counter()
                losses[place].append(update(model, optimisers[place], batch))
                seconds[place].append(time.perf_counter() - start)
            step += 1
            if step % EVERY == 0:
                for place, values in losses.items():
                    mean = round(statistics.fmean(values[-EVERY:]), 4)
                    curves.append({"place": place, "seed": seed, "update": step, "nll": mean})
                print(json.dumps(curves[-len(models) :]), flush=True)
            if step == updates:
                break
        sampler.set_epoch(sampler.epoch + 1)
    return curves, {place: statistics.median(values) for place, values in seconds.items()}


def tested(translator: Translator, pairs: Sequence[AlignedPair]) -> tuple[dict[str, float], list[bool]]:
    """Figures of one model on the test sentences, and which of them it translated word for word."""
    sides = [(pair.source, pair.target) for pair in pairs]
    made = [one.target for one in translator.translate([source for source, _ in sides], beam=1)]
    same = [text == pair.target for text, pair in zip(made, pairs, strict=True)]
    gold = [pair.links for pair in pairs]
    nll, tokens = (sum(column) for column in zip(*translator.score(sides), strict=True))
    return {
        "nll": round(nll / tokens, 4),
        "exact": round(100 * sum(same) / len(same), 1),
        "bleu": round(bleu(made, [target for _, target in sides]).score, 2),
        "aer": round(alignment_error_rate(translator.align(sides, tokens=True), gold, gold).aer, 4),
    }, same


def steps(models: dict[str, EncoderDecoder], words: Sequence[int], rounds: int) -> list[dict[str, Any]]:
    """Chain and time of the decoder's training step, for targets of several lengths, places in turns."""
    device = next(models["inside"].parameters()).device
    found = []
    for count in words:
        batch = Batch.collate([([4] * 12, [4] * count)]).to(device)
        taken: dict[str, list[float]] = {place: [] for place in models}
        for _ in range(rounds + 1):  # the first round is a rehearsal
            for place, model in models.items():
                taken[place].append(decoder_step(model, batch))
        for place, model in models.items():
            middle = statistics.median(taken[place][1:])
            found.append({"place": place, "words": count, "chain": chain(model, batch), "seconds": round(middle, 5)})
    return found


def read_once(model: EncoderDecoder, batch: Batch) -> Encoded:
    """The source, read and cut off: what follows is the decoder's alone."""
    with torch.no_grad():
        return model.encode(batch.source, batch.source_mask)


def decoder_step(model: EncoderDecoder, batch: Batch) -> float:
    """Seconds of one forward and backward pass through the decoder."""
    encoded = read_once(model, batch)
    _settle(batch)
    start = time.perf_counter()
    sequence_cross_entropy(model.decoder(batch.inputs, encoded).logits, batch.targets, batch.target_mask).backward()
    _settle(batch)
    return time.perf_counter() - start


def _settle(batch: Batch) -> None:
    if batch.source.is_cuda:
        torch.cuda.synchronize()


def chain(model: EncoderDecoder, batch: Batch) -> int:
    """The longest chain of matrix products from the annotations to the logits."""
    decoder = model.decoder
    if isinstance(decoder, AttentiveDecoder):
        decoder.bptt = False  # autograd's graph shows what the derived backward pass hides
    try:
        return longest_chain(decoder(batch.inputs, read_once(model, batch)).logits)
    finally:
        if isinstance(decoder, AttentiveDecoder):
            decoder.bptt = True


def one_seed(seed: int, pairs: int, updates: int, tests: int, device: str) -> dict[str, Any]:
    """Train and test the three models with one seed: rows, learning curves, exact match by length, and the models."""
    torch.set_num_threads(1)
    fresh = toy.pairs(tests, seed=TEST_SEED, min_words=EDGES[0][0], max_words=EDGES[-1][1])
    drawn = toy.pairs(pairs, seed=seed, max_words=EDGES[-1][1])
    source = WordVocabulary.train([pair.source for pair in drawn], size=1000)
    target = WordVocabulary.train([pair.target for pair in drawn], size=1000)
    data = [(source.encode(pair.source).ids, target.encode(pair.target).ids) for pair in drawn]
    models = {place: build(place, (source, target), seed).to(device) for place in PLACES}
    learnt, seconds = train(models, data, seed, updates)
    rows, lengths = [], []
    for place, model in models.items():
        translator = Translator(Stored(model, source, target, {"name": place}), device)
        figures, same = tested(translator, fresh)
        said, size = {"place": place, "seed": seed}, count_parameters(model)
        rows.append({**said, "parameters": size, **figures, "seconds": round(seconds[place], 4)})
        print(json.dumps(rows[-1]), flush=True)
        for low, high in EDGES:
            own = [ok for ok, pair in zip(same, fresh, strict=True) if low <= len(pair.source_tokens) <= high]
            exact = round(100 * sum(own) / max(1, len(own)), 1)
            lengths.append({**said, "min": low, "max": high, "n": len(own), "exact": exact})
    return {"rows": rows, "learning": learnt, "by_length": lengths, "models": models}


def result(arguments: argparse.Namespace) -> dict[str, Any]:
    """The whole record; the seeds side by side, a process each, and the steps' times afterwards, alone."""
    settings = (arguments.pairs, arguments.updates, arguments.tests, arguments.device)
    with ProcessPoolExecutor(len(arguments.seeds), mp_context=multiprocessing.get_context("spawn")) as pool:
        runs = list(pool.map(one_seed, arguments.seeds, *([value] * len(arguments.seeds) for value in settings)))
    torch.set_num_threads(1)
    timed = steps({place: model.train() for place, model in runs[0]["models"].items()}, WORDS, arguments.rounds)
    joined = {key: [one for run in runs for one in run[key]] for key in ("rows", "learning", "by_length")}
    device = torch.device(arguments.device)
    seeds = " and ".join(map(str, arguments.seeds))
    return {
        "title": "Attention inside, after and instead of the recurrence",
        "note": f"Three translators of equal size on the toy grammar, {arguments.updates} updates each on the same "
        f"batches of {BATCH}. Inside: RNNsearch. After: one call of additive attention on all finished states, whose "
        "context only the output sees. Instead: no recurrence in the decoder. The encoder is RNNsearch's in all three. "
        "Seconds were taken in turns, so their ratios say more than they do.",
        "columns": list(COLUMNS.items()),
        **joined,
        "steps": timed,
        "passport": passport(
            data=f"{arguments.pairs} toy pairs of up to {EDGES[-1][1]} source tokens; tested on {arguments.tests} "
            f"fresh ones, seed {TEST_SEED}, the same for all",
            tokenisation="words and punctuation; a vocabulary for each side; cased, raw text",
            signature=bleu(["a"], ["a"]).signature,
            decoding="greedy; loss and links under teacher forcing",
            seeds=f"training and data {seeds}",
            hardware=f"{hardware(device)}, one thread for a seed",
            cost={"updates": arguments.updates, "models": len(joined["rows"])},
            recipe="tools/measure_one_line.py: Adam, learning rate 0.002 after 100 updates, then a cosine to 0; "
            f"gradient clipped at {CLIP}; no dropout",
        ),
    }


@told
def main(argv: Sequence[str] | None = None) -> None:
    """Train, measure, and store the result."""
    parser = options(__doc__, "package")
    for name, value in (("pairs", PAIRS), ("updates", UPDATES), ("tests", TEST_PAIRS), ("rounds", 25)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    arguments = parser.parse_args(argv)
    write_json(arguments.package / "results" / "one-line.json", result(arguments))


if __name__ == "__main__":
    sys.exit(main())
