"""Backpropagation through the decoder's loop: derived by hand (`course_pkg.bptt`) against autograd.

``python benchmarks/bptt.py`` takes about a minute of one thread and writes ``course_pkg/results/bptt.json``, which
chapter 6 draws. Random weights and sentences of equal length, in the sizes of the published small models. Seconds are
processor time of this process alone, medians over rounds in which all ways take turns, so that a busy machine slows
them alike. Bytes are what autograd keeps between forward and backward pass, counted.
"""

import argparse
import json
import os
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from course_pkg import bptt
from course_pkg.batching import Batch
from course_pkg.cost import saved_for_backward
from course_pkg.decoders import AttentiveDecoder
from course_pkg.evaluation import hardware, passport
from course_pkg.losses import sequence_cross_entropy
from course_pkg.models import EncoderDecoder, rnnsearch

SIZES = {"sentences": 64, "length": 24, "width": 256, "vocabulary": 8000}
QUICK = {"sentences": 3, "length": 4, "width": 8, "vocabulary": 20}
BOOTSTRAP, SEED = 1000, 6
TARGET = Path(__file__).resolve().parent.parent / "course_pkg" / "results" / "bptt.json"

Times = dict[str, list[float]]


WAYS = ("autograd", "by_hand_tanh", "by_hand")
LAYERS = {"by_hand": bptt.hidden_layer}


def with_tanh(twice_keys: Tensor, q: Tensor, u: Tensor) -> Tensor:
    """The hidden layer without the one trick of `course_pkg.bptt` that is no derivation: σ in place of tanh."""
    torch.add(twice_keys.unsqueeze(1), q.unsqueeze(2), alpha=2, out=u)
    return torch.tanh(u.mul_(0.5), out=u)


def choose(decoder: AttentiveDecoder, way: str) -> None:
    """Let the decoder go one of `WAYS`."""
    decoder.bptt = way != "autograd"
    bptt.hidden_layer = with_tanh if way == "by_hand_tanh" else LAYERS["by_hand"]


# -- what is measured -------------------------------------------------------------------------------------------------


def build(sizes: dict[str, int]) -> tuple[EncoderDecoder, Batch]:
    """A model with random weights and a batch of random sentences."""
    words, width, length = sizes["vocabulary"], sizes["width"], sizes["length"]
    widths = dict.fromkeys(("embedding_size", "state_size", "alignment_size", "maxout_size"), width)
    model = rnnsearch(source_vocabulary=words, target_vocabulary=words, **widths)
    ids = torch.randint(4, words, (sizes["sentences"], 2 * length)).tolist()
    return model, Batch.collate([(row[:length], row[length:]) for row in ids])


def training_step(model: EncoderDecoder, batch: Batch, precision: torch.dtype) -> Callable[[], Callable[[], object]]:
    """Forward pass of the model with its loss, and the call that makes the gradients, clips them and updates."""
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-4)

    def forward() -> Callable[[], object]:
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == torch.bfloat16):
            logits = model(batch).logits
        loss = sequence_cross_entropy(logits.float(), batch.targets, batch.target_mask)

        def backward() -> None:
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()

        return backward

    return forward


def loop_alone(model: EncoderDecoder, batch: Batch, precision: torch.dtype) -> Callable[[], Callable[[], object]]:
    """The decoder without word embeddings and output layer: states, contexts and α, and their gradients."""
    decoder = model.decoder
    assert isinstance(decoder, AttentiveDecoder)
    with torch.no_grad():
        encoded = model.encode(batch.source, batch.source_mask)
    annotations = encoded.annotations.requires_grad_()
    errors: list[Tensor] = []

    def forward() -> Callable[[], object]:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == torch.bfloat16):
            memory, state = decoder.start(encoded)
            gates = decoder.unit.gates(decoder.embedding(batch.inputs))
            results = (decoder._loop_by_hand if decoder.bptt else decoder._loop)(gates, state, memory)[:2]
        if not errors:
            errors.extend(torch.randn_like(result) for result in results)
        leaves = [annotations, *decoder.attention.parameters(), *decoder.C.parameters(), decoder.unit.weight_hh]
        return lambda: torch.autograd.grad(results, leaves, errors)

    return forward


def measure(decoder: AttentiveDecoder, forward: Callable[[], Callable[[], object]], rounds: int) -> Times:
    """Seconds of processor time of each way, each once a round in a new order; one round to warm up."""
    order, times = random.Random(SEED), {way: [] for way in WAYS}
    for number in range(rounds + 1):
        for way in order.sample(WAYS, len(WAYS)):
            choose(decoder, way)
            started = time.process_time()
            forward()()
            if number:
                times[way].append(time.process_time() - started)
    return times


def kept(decoder: AttentiveDecoder, forward: Callable[[], object], way: str, ignore: Sequence[Tensor]) -> int:
    """Bytes between forward and backward pass, parameters aside."""
    choose(decoder, way)
    with saved_for_backward(ignore) as saved:
        forward()
    return saved.bytes


def saving(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """How much less time we take than they, in per cent of theirs, with a 95 % bootstrap interval over rounds."""
    a, b = np.array(ours), np.array(theirs)
    rows = np.random.default_rng(SEED).integers(len(a), size=(BOOTSTRAP, len(a)))
    low, high = np.quantile(1 - np.median(a[rows], axis=1) / np.median(b[rows], axis=1), [0.025, 0.975])
    return [round(100 * float(value), 1) for value in (1 - np.median(a) / np.median(b), low, high)]


# -- what is written --------------------------------------------------------------------------------------------------

COLUMNS = [
    ["what", "what"],
    ["precision", "precision"],
    ["autograd_seconds", "seconds, autograd"],
    ["by_hand_seconds", "seconds, by hand"],
    ["faster", "by hand takes less, % (95 %)"],
    ["by_hand_tanh_faster", "the same without σ for tanh, % (95 %)"],
    ["autograd_megabytes", "MB kept, autograd"],
    ["by_hand_megabytes", "MB kept, by hand"],
]
CASES = {"training step": training_step, "decoder loop alone": loop_alone}
PRECISIONS = {"float32": torch.float32, "bfloat16 autocast": torch.bfloat16}


def row(what: str, precision: str, sizes: dict[str, int], rounds: int) -> dict[str, Any]:
    """One case, measured."""
    torch.manual_seed(SEED)
    model, batch = build(sizes)
    decoder, forward = model.decoder, CASES[what](model, batch, PRECISIONS[precision])
    assert isinstance(decoder, AttentiveDecoder)
    times = measure(decoder, forward, rounds)
    record: dict[str, Any] = {"what": what, "precision": precision}
    for way in WAYS:
        record[f"{way}_seconds"] = round(statistics.median(times[way]), 4)
        record[f"{way}_megabytes"] = round(kept(decoder, forward, way, list(model.parameters())) / 1e6, 3)
    for name, way in (("faster", "by_hand"), ("by_hand_tanh_faster", "by_hand_tanh")):
        middle, low, high = record[f"{name}_interval"] = saving(times[way], times["autograd"])
        record[name] = f"{middle} ({low} to {high})"
    return record


def result(sizes: dict[str, int], rounds: int) -> dict[str, Any]:
    """Measure everything."""
    started, rows = time.process_time(), []
    for what in CASES:
        for precision in PRECISIONS:
            rows.append(row(what, precision, sizes, rounds))
            print(json.dumps(rows[-1], ensure_ascii=False), flush=True)
    width, length = sizes["width"], sizes["length"]
    return {
        "title": "The decoder's backward pass, by hand and by autograd",
        "note": "Processor time of one thread, forward and backward pass together; a training step is that of the "
        "whole model, with clipping and Adam. Megabytes are what autograd keeps between the passes, parameters aside. "
        "By hand, tanh(x) is computed as 2σ(2x) - 1, the faster of the two on this processor, which is no part of the "
        "derivation: the other comparison does without.",
        "columns": COLUMNS,
        "rows": rows,
        "sizes": sizes,
        "passport": passport(
            data=f"random sentences: {sizes['sentences']} in a batch, {length} tokens and EOS on either side; states, "
            f"embeddings, alignment model and maxout layer {width} wide, {sizes['vocabulary']} words",
            tokenisation="none: random tokens",
            signature="none: no translation is scored",
            decoding="teacher forcing",
            seeds=f"weights, sentences, order of the ways and bootstrap {SEED} ({BOOTSTRAP} samples)",
            hardware=f"{hardware()}, one thread; load of the machine while measuring {os.getloadavg()[0]:.0f}",
            cost=f"{time.process_time() - started:.0f} s of processor time; medians of {rounds} rounds after one to "
            "warm up",
            recipe="python benchmarks/bptt.py",
        ),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="measurements of each way")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: does it run at all?")
    parser.add_argument("--out", type=Path, default=TARGET, help="the file to write")
    arguments = parser.parse_args(argv)
    torch.set_num_threads(1)
    measured = result(QUICK if arguments.quick else SIZES, arguments.rounds)
    temporary = arguments.out.with_suffix(".part")
    temporary.write_text(json.dumps(measured, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    temporary.replace(arguments.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
