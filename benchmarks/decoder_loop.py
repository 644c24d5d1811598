"""What the time loop costs: the package against itself step by step, against ``nn.GRU`` and against Keras.

Each line is a ratio of medians from one run on one thread: other, over ours (above 1: ours is faster).
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable

os.environ.setdefault("KERAS_BACKEND", "torch")

import torch
from torch import Tensor, nn

from course_pkg.attention import AdditiveScore, SoftAttention
from course_pkg.batching import Batch
from course_pkg.losses import sequence_cross_entropy
from course_pkg.models import EncoderDecoder, rnnsearch
from course_pkg.recurrent import GatedRecurrentUnit


def interleaved(ours: Callable[[], object], other: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Median seconds of both, measured in turn so that a busy machine slows both alike."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds + 1):
        for function, kept in zip((ours, other), times, strict=True):
            started = time.perf_counter()
            function()
            kept.append(time.perf_counter() - started)
    return statistics.median(times[0][1:]), statistics.median(times[1][1:])


def batch_of(size: int, source: int, target: int, vocabulary: int) -> Batch:
    """Random sentences of equal length."""
    ids = torch.randint(4, vocabulary, (size, source + target))
    return Batch.collate([(row[:source].tolist(), row[source:].tolist()) for row in ids])


def update(model: EncoderDecoder, logits: Tensor, batch: Batch) -> None:
    """Loss and backward pass."""
    model.zero_grad(set_to_none=True)
    sequence_cross_entropy(logits, batch.targets, batch.target_mask).backward()


def stepwise(model: EncoderDecoder, batch: Batch) -> Tensor:
    """Teacher forcing with everything inside the loop, as `step` has it."""
    memory, state = model.decoder.start(model.encode(batch.source, batch.source_mask))
    logits = []
    for token in batch.inputs.unbind(1):
        step = model.decoder.step(token, state, memory)
        state = step.state
        logits.append(step.logits)
    return torch.stack(logits, dim=1)


def hoisting(rounds: int) -> tuple[float, float]:
    """A training step of RNNsearch: everything hoisted, against everything in the loop."""
    model = rnnsearch(
        source_vocabulary=8000,
        target_vocabulary=8000,
        embedding_size=256,
        state_size=256,
        alignment_size=256,
        maxout_size=256,
    )
    batch = batch_of(64, 15, 16, 8000)
    return interleaved(
        lambda: update(model, model(batch).logits, batch), lambda: update(model, stepwise(model, batch), batch), rounds
    )


def library_unit(rounds: int) -> tuple[float, float]:
    """All states of a sentence batch and their gradient: our unit with the reset after, against ``nn.GRU``."""
    ours, other = GatedRecurrentUnit(256, 256, reset="after"), nn.GRU(256, 256, batch_first=True)
    inputs = torch.randn(64, 15, 256)
    return interleaved(lambda: ours(inputs).sum().backward(), lambda: other(inputs)[0].sum().backward(), rounds)


def paper_unit(rounds: int) -> tuple[float, float]:
    """The papers' unit (reset before), which no library has, against ``nn.GRU``."""
    ours, other = GatedRecurrentUnit(256, 256, reset="before"), nn.GRU(256, 256, batch_first=True)
    inputs = torch.randn(64, 15, 256)
    return interleaved(lambda: ours(inputs).sum().backward(), lambda: other(inputs)[0].sum().backward(), rounds)


def keras_attention(rounds: int) -> tuple[float, float]:
    """Sixteen looks at a batch of annotations: keys kept, against two Dense layers and Keras' ``AdditiveAttention``."""
    import keras

    attention = SoftAttention(AdditiveScore(256, 512, 256))
    dense_q, dense_k = keras.layers.Dense(256, use_bias=False), keras.layers.Dense(256, use_bias=False)
    layer = keras.layers.AdditiveAttention()
    annotations, queries = torch.randn(64, 15, 512), torch.randn(16, 64, 256)
    mask = torch.ones(64, 15, dtype=torch.bool)

    def ours() -> None:
        memory = attention.remember(annotations, mask)
        for query in queries:
            attention(query, memory)

    def other() -> None:
        keys = dense_k(annotations)
        for query in queries:
            layer([dense_q(query[:, None]), annotations, keys], mask=[None, mask])

    with torch.no_grad():
        return interleaved(ours, other, rounds)


def main() -> None:
    """Print a table of ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="measurements of each side")
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    torch.manual_seed(0)
    cases = {
        "training step, everything in the loop / hoisted": hoisting,
        "states and gradient, nn.GRU / our unit, reset after": library_unit,
        "states and gradient, nn.GRU / our unit, reset before": paper_unit,
        "sixteen looks, Keras AdditiveAttention / ours": keras_attention,
    }
    for name, case in cases.items():
        ours, other = case(rounds)
        print(f"{name:54} {other / ours:5.2f}   ({1000 * other:.1f} ms / {1000 * ours:.1f} ms)", flush=True)


if __name__ == "__main__":
    main()
