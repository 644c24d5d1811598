"""What attention costs against T_x·T_y: seconds and bytes measured on a grid of lengths, and their exponents.

``python benchmarks/attention_cost.py`` takes about five minutes of one thread and writes
``course_pkg/results/attention-cost.json``, which chapter 10 draws. Sizes are those of Bahdanau et al. 2015, the
weights are random. Seconds are processor time of this process alone, each cell's median over rounds in which all
cells take turns, so that a busy machine slows them alike. Bytes are what autograd keeps, counted.
"""

import argparse
import json
import math
import os
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from course_pkg.attention import AdditiveScore, Memory, SoftAttention
from course_pkg.cost import PAPER, Sizes, saved_for_backward
from course_pkg.decoders import AttentiveDecoder, PlainDecoder
from course_pkg.encoders import Encoded
from course_pkg.evaluation import hardware, passport
from course_pkg.models import rnn_encoder_decoder, rnnsearch

LENGTHS = (10, 20, 40, 80, 160, 320)
DECODER_LENGTHS = (10, 40, 160)
DECODER_BATCH = 8
BOOTSTRAP, SEED = 1000, 10
TARGET = Path(__file__).resolve().parent.parent / "course_pkg" / "results" / "attention-cost.json"

Cell = tuple[int, int]
Times = dict[Cell, list[float]]


# -- what is measured -------------------------------------------------------------------------------------------------


def sentence(T_x: int, T_y: int, sizes: Sizes, grad: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    """Random annotations of one sentence, its mask, and a query for each step."""
    annotations = torch.randn(1, T_x, 2 * sizes.state, requires_grad=grad)
    queries = torch.randn(T_y, 1, sizes.state, requires_grad=grad)
    return annotations, torch.ones(1, T_x, dtype=torch.bool), queries


def look(attention: SoftAttention, annotations: Tensor, mask: Tensor, queries: Tensor) -> list[Tensor]:
    """All contexts of a sentence, the keys computed once, as the decoder does it."""
    memory = attention.remember(annotations, mask)
    return [attention(query, memory).context for query in queries]


def look_and_forget(attention: SoftAttention, annotations: Tensor, mask: Tensor, queries: Tensor) -> list[Tensor]:
    """The same contexts; what a step needs for its backward pass is computed again there instead of kept."""

    def context(query: Tensor, annotations: Tensor, keys: Tensor) -> Tensor:
        return attention(query, Memory(annotations, keys, mask)).context

    keys = attention.score.project(annotations)
    options = {"use_reentrant": False, "preserve_rng_state": False}
    looks = [checkpoint(context, query, annotations, keys, **options) for query in queries]
    return [one for one in looks if one is not None]


def kept_bytes(attention: SoftAttention, T_x: int, T_y: int, sizes: Sizes, how: Callable[..., list[Tensor]]) -> int:
    """Bytes that the looks of one sentence keep for the backward pass, parameters aside."""
    with saved_for_backward(attention.parameters()) as saved:
        how(attention, *sentence(T_x, T_y, sizes, grad=True))
    return saved.bytes


def attention_cases(sizes: Sizes) -> dict[str, Callable[[int, int], Callable[[], object]]]:
    """For each way of looking, what makes the call that is timed for given lengths."""
    attention = SoftAttention(AdditiveScore(sizes.state, 2 * sizes.state, sizes.alignment))

    def looking(T_x: int, T_y: int) -> Callable[[], object]:
        parts = sentence(T_x, T_y, sizes)

        def call() -> None:
            with torch.no_grad():
                look(attention, *parts)

        return call

    def training(how: Callable[..., list[Tensor]]) -> Callable[[int, int], Callable[[], object]]:
        def case(T_x: int, T_y: int) -> Callable[[], object]:
            parts = sentence(T_x, T_y, sizes, grad=True)
            return lambda: torch.stack(how(attention, *parts)).sum().backward()

        return case

    return {
        "looking": looking,
        "looking and learning": training(look),
        "learning, computed again": training(look_and_forget),
    }


def decoder_cases(sizes: Sizes, batch: int) -> dict[str, Callable[[int, int], Callable[[], object]]]:
    """Teacher forcing through each decoder, the vocabulary product included, without gradients."""
    common = {
        "source_vocabulary": 10,
        "target_vocabulary": sizes.vocabulary,
        "embedding_size": sizes.embedding,
        "state_size": sizes.state,
        "maxout_size": sizes.maxout,
    }
    decoders: dict[str, tuple[nn.Module, int]] = {
        "RNNsearch's decoder": (rnnsearch(**common, alignment_size=sizes.alignment).decoder, 2 * sizes.state),
        "the plain decoder": (rnn_encoder_decoder(**common).decoder, sizes.state),
    }

    def maker(decoder: nn.Module, width: int) -> Callable[[int, int], Callable[[], object]]:
        assert isinstance(decoder, AttentiveDecoder | PlainDecoder)

        def case(T_x: int, T_y: int) -> Callable[[], object]:
            mask = torch.ones(batch, T_x, dtype=torch.bool)
            encoded = Encoded(torch.randn(batch, T_x, width), mask, torch.randn(batch, sizes.state))
            inputs = torch.full((batch, T_y), 4)

            def call() -> None:
                with torch.no_grad():
                    decoder(inputs, encoded)

            return call

        return case

    return {name: maker(*which) for name, which in decoders.items()}


def measure(make: Callable[[int, int], Callable[[], object]], cells: Sequence[Cell], rounds: int) -> Times:
    """Seconds of processor time of each cell, every cell once a round in an order of its own; one round to warm up."""
    order, times = random.Random(SEED), {cell: [] for cell in cells}
    for number in range(rounds + 1):
        for cell in order.sample(list(cells), len(cells)):
            call = make(*cell)
            started = time.process_time()
            call()
            if number:
                times[cell].append(time.process_time() - started)
    return times


def vocabulary_seconds(sizes: Sizes, steps: int, rounds: int) -> float:
    """Seconds that one step's share of the vocabulary product takes."""
    output, units = nn.Linear(sizes.maxout, sizes.vocabulary), torch.randn(steps, sizes.maxout)

    def call() -> None:
        with torch.no_grad():
            output(units)

    return statistics.median(measure(lambda T_x, T_y: call, [(1, steps)], rounds)[1, steps]) / steps


def tanh_seconds(sizes: Sizes, rounds: int) -> float:
    """Seconds that the tanh of one pair takes: ``n'`` numbers, of 40 words at once."""
    hidden = torch.randn(1, 40, sizes.alignment)
    times = measure(lambda T_x, T_y: lambda: [torch.tanh(hidden) for _ in range(40)], [(40, 40)], rounds)[40, 40]
    return statistics.median(times) / 1600


# -- what is fitted ---------------------------------------------------------------------------------------------------


def slope(cells: Sequence[Cell], values: np.ndarray) -> float:
    """The exponent of a power law in T_x·T_y alone: the slope of the straight line through the logarithms."""
    pairs = np.array([T_x * T_y for T_x, T_y in cells], dtype=float)
    return float(np.polyfit(np.log(pairs), np.log(values), 1)[0])


def terms(cells: Sequence[Cell], values: np.ndarray, exponent: float = 1.0) -> tuple[np.ndarray, float]:
    """What a sentence, a source word, a step and (T_x·T_y)^exponent cost, and the fit's squared relative error."""
    T_x, T_y = np.array(cells, dtype=float).T
    design = np.stack([np.ones(len(cells)), T_x, T_y, (T_x * T_y) ** exponent], axis=1) / values[:, None]
    found = np.linalg.lstsq(design, np.ones(len(values)), rcond=None)[0]
    return found, float(((design @ found - 1) ** 2).sum())


def pair_exponent(cells: Sequence[Cell], values: np.ndarray) -> float:
    """The exponent of T_x·T_y once the costs of words and of steps are told apart from it."""
    low, high = 0.5, 1.5
    for _ in range(40):  # golden section: the error has one valley
        left, right = high - 0.618 * (high - low), low + 0.618 * (high - low)
        if terms(cells, values, left)[1] < terms(cells, values, right)[1]:
            high = right
        else:
            low = left
    return (low + high) / 2


def interval(statistic: Callable[[Sequence[Cell], np.ndarray], float], times: Times) -> tuple[float, float]:
    """95 % bootstrap interval: cells drawn anew, and within each cell its rounds."""
    generator, cells, drawn = np.random.default_rng(SEED), list(times), []
    rounds = np.array([times[cell] for cell in cells])
    while len(drawn) < BOOTSTRAP:
        rows = generator.integers(len(cells), size=len(cells))
        if len({cells[row][0] for row in rows}) < 3 or len({cells[row][1] for row in rows}) < 3:
            continue  # too few lengths to tell words, steps and pairs apart
        again = generator.integers(rounds.shape[1], size=(len(cells), rounds.shape[1]))
        values = np.median(np.take_along_axis(rounds[rows], again, axis=1), axis=1)
        drawn.append(statistic([cells[row] for row in rows], values))
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)


def fit(what: str, times: Times, unit: str, scale: float, exponents: bool = True) -> dict[str, Any]:
    """Medians of the cells with what was fitted to them; ``scale`` turns values into ``unit``."""
    cells = list(times)
    values = np.array([statistics.median(times[cell]) for cell in cells]) * scale
    once, word, step, pair = terms(cells, values)[0].tolist()
    record: dict[str, Any] = {"what": what, "unit": unit, "once": once, "word": word, "step": step, "pair": pair}
    record["slope"], record["slope_interval"] = slope(cells, values), interval(slope, times)
    if exponents:
        record["exponent"], record["exponent_interval"] = pair_exponent(cells, values), interval(pair_exponent, times)
    record["cells"] = [[*cell, value] for cell, value in zip(cells, values.tolist(), strict=True)]
    return rounded(record)


def rounded(value: Any) -> Any:
    """Numbers to five digits."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {key: rounded(part) for key, part in value.items()}
    return [rounded(part) for part in value] if isinstance(value, list | tuple) else value


# -- what is written --------------------------------------------------------------------------------------------------


def said(record: dict[str, Any], name: str) -> str | None:
    """An exponent with its interval."""
    if name not in record:
        return None
    low, high = record[f"{name}_interval"]
    return f"{record[name]:.3f} ({low:.3f} to {high:.3f})"


def price(value: float, unit: str) -> str:
    """What one of something costs: whole bytes, microseconds to three digits."""
    digits = 0 if unit == "bytes" else max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{round(value, digits) + 0.0:.{min(digits, 2)}f} {unit}"


def row(record: dict[str, Any]) -> dict[str, Any]:
    """A fit as a row of the table."""
    return {
        "what": record["what"],
        "slope": said(record, "slope"),
        "exponent": said(record, "exponent"),
        **{part: price(record[part], record["unit"]) for part in ("word", "step", "pair")},
    }


COLUMNS = [
    ["what", "what"],
    ["slope", "exponent of T_x·T_y alone (95 %)"],
    ["exponent", "exponent of the pairs (95 %)"],
    ["word", "each source word"],
    ["step", "each step"],
    ["pair", "each pair"],
]


def result(sizes: Sizes, rounds: int, lengths: Sequence[int], decoder_lengths: Sequence[int]) -> dict[str, Any]:
    """Measure everything and fit it."""
    started = time.process_time()
    grid, small = list(product(lengths, repeat=2)), list(product(decoder_lengths, repeat=2))
    fits = []
    for name, make in attention_cases(sizes).items():
        fits.append(fit(name, measure(make, grid, rounds), "µs", 1e6))
        print(json.dumps(row(fits[-1]), ensure_ascii=False), flush=True)
    attention = SoftAttention(AdditiveScore(sizes.state, 2 * sizes.state, sizes.alignment))
    for name, how in (("kept for learning", look), ("kept, computed again", look_and_forget)):
        kept = {cell: [float(kept_bytes(attention, *cell, sizes, how))] for cell in grid}
        fits.append(fit(name, kept, "bytes", 1.0, exponents=how is look))
        print(json.dumps(row(fits[-1]), ensure_ascii=False), flush=True)
    for name, make in decoder_cases(sizes, DECODER_BATCH).items():
        times = measure(make, small, rounds)
        fits.append(fit(name, times, "µs", 1e6 / DECODER_BATCH, exponents=False))
        print(json.dumps(row(fits[-1]), ensure_ascii=False), flush=True)
    rates = {"vocabulary_step": vocabulary_seconds(sizes, 320, rounds) * 1e6, "tanh": tanh_seconds(sizes, rounds) * 1e6}
    return {
        "title": "The cost of attention",
        "note": "Processor time of one thread and bytes that autograd keeps, at the sizes of Bahdanau et al. 2015 with "
        "random weights. Attention is measured alone on one sentence; the decoders, with their vocabulary product, on "
        f"{DECODER_BATCH} sentences side by side, divided by {DECODER_BATCH}. The first exponent is that of a power "
        "law in T_x·T_y alone; the second leaves the costs of words and of steps their own terms and is sought between "
        "0.5 and 1.5. A call's own overhead is in the step. “Computed again”: the hidden layer is not kept but "
        "computed anew in the backward pass.",
        "columns": COLUMNS,
        "rows": [row(one) for one in fits],
        "fits": fits,
        "rates": rounded(rates),
        "sizes": vars(sizes),
        "passport": passport(
            data=f"random annotations and queries; T_x and T_y each in {list(lengths)}, for the decoders in "
            f"{list(decoder_lengths)}",
            tokenisation="none: random vectors",
            signature="none: no translation is scored",
            decoding="teacher forcing",
            seeds=f"order of the cells and bootstrap {SEED} ({BOOTSTRAP} samples)",
            hardware=f"{hardware()}, one thread; load of the machine while measuring {os.getloadavg()[0]:.0f}",
            cost=f"{time.process_time() - started:.0f} s of processor time; medians of {rounds} rounds after one to "
            "warm up",
            recipe="python benchmarks/attention_cost.py",
        ),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, fit and store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each cell")
    parser.add_argument("--quick", action="store_true", help="tiny sizes and short lengths: does it run at all?")
    parser.add_argument("--out", type=Path, default=TARGET, help="the file to write")
    arguments = parser.parse_args(argv)
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    if arguments.quick:
        measured = result(Sizes(12, 8, 6, 4, 50), arguments.rounds, (2, 4, 8, 16), (2, 4, 8))
    else:
        measured = result(PAPER, arguments.rounds, LENGTHS, DECODER_LENGTHS)
    text = json.dumps(measured, ensure_ascii=False, indent=1) + "\n"
    temporary = arguments.out.with_suffix(".part")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(arguments.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
