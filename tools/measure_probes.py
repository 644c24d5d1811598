"""What a linear probe reads back: ``python tools/measure_probes.py`` writes ``course_pkg/results/probes.json``.

Two encoders of the package read fresh toy sentences. From the fixed vector c of ``toy-en-fr-encdec`` a probe reads
word j, one probe for each sentence length and position. From annotation h_j of ``toy-en-fr-rnnsearch`` a probe reads
word j + k, one for each offset k and each part of the annotation. Beside title, note, columns, rows and passport the
file holds what chapters 2 and 3 draw:

- ``context``: a list of ``{"length": n, "position": j, "from_end": n - j, "accuracy", "low", "high", "majority",
  "untrained"}``; n counts the full stop, which is not probed; ``untrained`` is ``null`` where it was not measured;
- ``annotations``: a list of ``{"part": "forward" | "backward" | "both", "offset": k, "accuracy", "low", "high",
  "majority", "untrained"}``; one centre j for each sentence, the same for every k, at least six words from either end.

``majority`` is the accuracy of the commonest word of the training sentences, ``untrained`` that of a probe on the same
architecture with random weights. Every probe has its own penalty, chosen on a fifth of the training sentences.
"""

import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from random import Random
from typing import Any

import numpy as np
import torch
from entry import options, told
from publish import tokenisation, write_json
from torch import Tensor

from course_pkg import toy
from course_pkg.batching import pad
from course_pkg.checkpoints import build
from course_pkg.encoders import Encoded
from course_pkg.evaluation import passport
from course_pkg.inference import Translator, load
from course_pkg.models import EncoderDecoder
from course_pkg.probe import fit_probe, majority

PLAIN, LOOKING = "toy-en-fr-encdec", "toy-en-fr-rnnsearch"
LENGTHS = (5, 10, 15, 20)
CENTRED = (17, 20)  # lengths of the sentences whose annotations are probed
REACH = 6
SEED = 7_000_000  # training uses 1, validation a million more, other measurements up to 6,000,000
BOOTSTRAP_SEED, SAMPLES = 2015, 1000
STEPS = 40
COLUMNS = {
    "read": "read from",
    "what": "what",
    "accuracy": "read rightly, %",
    "interval": "95 % interval",
    "majority": "commonest word, %",
    "untrained": "untrained encoder, %",
}


def untrained(translator: Translator) -> EncoderDecoder:
    """The same architecture with random weights."""
    torch.manual_seed(SEED)
    sizes = {"source_vocabulary": len(translator.source), "target_vocabulary": len(translator.target)}
    return build(translator.config["model"], **sizes).eval()


@torch.no_grad()
def read(model: EncoderDecoder, sources: Sequence[Sequence[int]]) -> Encoded:
    """Every source through the encoder, padded to the longest."""
    return model.encode(*pad(sources))


def band(correct: np.ndarray) -> tuple[float, float]:
    """95 % bootstrap interval of a mean over sentences, ``(N,)`` or ``(N, positions)``."""
    each = correct.reshape(len(correct), -1).mean(axis=1)
    draws = np.random.default_rng(BOOTSTRAP_SEED).integers(len(each), size=(SAMPLES, len(each)))
    low, high = np.quantile(each[draws].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


def measured(
    features: Tensor, blind: Tensor | None, labels: Tensor, training: int
) -> tuple[dict[str, Any], np.ndarray]:
    """Accuracy and controls of one probe, and which test sentences it reads rightly.

    The first ``training`` rows are fitted, the rest tested. ``blind`` holds the untrained encoder's features.
    """
    fitted, tested = slice(None, training), slice(training, None)
    correct = fit_probe(features[fitted], labels[fitted], steps=STEPS).correct(features[tested], labels[tested])
    low, high = band(correct.double().numpy())
    control = None
    if blind is not None:
        control = fit_probe(blind[fitted], labels[fitted], steps=STEPS).accuracy(blind[tested], labels[tested])
    found = {
        "accuracy": float(correct.double().mean()),
        "low": low,
        "high": high,
        "majority": float((labels[tested] == majority(labels[fitted])).double().mean()),
        "untrained": control,
    }
    return found, correct.double().numpy()


def context(training: int, test: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]], float]:
    """Word j from c: one entry for each length and position, one row for each length, and CPU seconds."""
    torch.set_num_threads(1)
    started = time.process_time()
    translator = load(PLAIN, device="cpu")
    blank = untrained(translator)
    entries, rows = [], []
    for length in reversed(LENGTHS):
        pairs = toy.pairs(training + test, seed=SEED + length, min_words=length, max_words=length)
        sources = [piece.ids for piece in translator.source.encode_all([pair.source for pair in pairs])]
        ids = torch.tensor(sources)
        c = read(translator.model, sources).summary
        blind = read(blank, sources).summary if length == LENGTHS[-1] else None
        right = []
        for position in range(1, length):
            found, correct = measured(c, blind, ids[:, position - 1], training)
            entries.append({"length": length, "position": position, "from_end": length - position, **found})
            right.append(correct)
        own = [entry for entry in entries if entry["length"] == length]
        rows.append(row("c", f"word j, sentences of {length}", own, band(np.stack(right, axis=1))))
        print(rows[-1], flush=True)
    order = sorted(entries, key=lambda entry: (entry["length"], entry["position"]))
    return order, rows[::-1], time.process_time() - started


def row(read_from: str, what: str, entries: Sequence[dict[str, Any]], interval: tuple[float, float]) -> dict[str, Any]:
    """One line of the table: means over entries, in per cent."""

    def mean(name: str) -> float | None:
        values = [entry[name] for entry in entries]
        return None if None in values else round(100 * sum(values) / len(values), 1)

    return {
        "read": read_from,
        "what": what,
        "accuracy": mean("accuracy"),
        "interval": f"{100 * interval[0]:.1f} to {100 * interval[1]:.1f}",
        "majority": mean("majority"),
        "untrained": mean("untrained"),
    }


def annotations(training: int, test: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]], float]:
    """Word j + k from the parts of h_j: one entry for each part and offset, some rows, and CPU seconds."""
    torch.set_num_threads(1)
    started = time.process_time()
    translator = load(LOOKING, device="cpu")
    pairs = toy.pairs(training + test, seed=SEED, min_words=CENTRED[0], max_words=CENTRED[1])
    sources = [piece.ids for piece in translator.source.encode_all([pair.source for pair in pairs])]
    draw = Random(SEED)
    centres = torch.tensor([draw.randrange(REACH, len(ids) - 1 - REACH) for ids in sources])
    rows_of = torch.arange(len(sources))
    ids, _ = pad(sources)
    halves = {}
    for name, model in (("trained", translator.model), ("untrained", untrained(translator))):
        h = read(model, sources).annotations[rows_of, centres]
        width = h.shape[1] // 2
        halves[name] = {"forward": h[:, :width], "backward": h[:, width:], "both": h}
    entries, rows = [], []
    for part in ("forward", "backward", "both"):
        for offset in range(-REACH, REACH + 1):
            labels = ids[rows_of, centres + offset]
            blind = halves["untrained"][part] if offset % 2 == 0 else None
            found, correct = measured(halves["trained"][part], blind, labels, training)
            entries.append({"part": part, "offset": offset, **found})
            if offset in (-REACH, -2, 0, 2, REACH):
                rows.append(
                    row(f"h_j, {part}", f"word j{offset:+d}" if offset else "word j", entries[-1:], band(correct))
                )
        print(rows[-3:], flush=True)
    return entries, rows, time.process_time() - started


def result(training: int, test: int, machine: str) -> dict[str, Any]:
    """The whole record; the two encoders are measured side by side."""
    with ProcessPoolExecutor(2) as pool:
        ours, theirs = pool.submit(context, training, test), pool.submit(annotations, training, test)
        (of_c, rows, seconds), (of_h, more, further) = ours.result(), theirs.result()
    translators = [load(name, device="cpu") for name in (PLAIN, LOOKING)]
    return {
        "title": "Words read back by a linear probe",
        "note": "Word j from the fixed vector c, mean over all positions but the full stop; word j + k from annotation "
        "h_j, in the middle of long sentences. The interval is over test sentences; each model is one training run.",
        "columns": list(COLUMNS.items()),
        "rows": [*rows, *more],
        "context": of_c,
        "annotations": of_h,
        "passport": passport(
            data=f"fresh toy sentences, seeds from {SEED}: of exactly {', '.join(map(str, LENGTHS))} tokens for c, of "
            f"{CENTRED[0]} to {CENTRED[1]} for h_j; {training} to fit each probe and {test} to test it",
            tokenisation=" / ".join(dict.fromkeys(map(tokenisation, translators))),
            signature="accuracy of a multinomial logistic regression (course_pkg.probe), its penalty chosen on a fifth "
            "of the fitting sentences",
            decoding="none",
            seeds=f"sentences {SEED}, untrained weights {SEED}, bootstrap {BOOTSTRAP_SEED} ({SAMPLES} samples)",
            hardware=machine,
            cost={"cpu_seconds": round(seconds + further)},
            recipe=f"{PLAIN}, {LOOKING}",
        ),
    }


@told
def main(argv: Sequence[str] | None = None) -> None:
    """Measure and store the result."""
    parser = options(__doc__, "package", "hardware")
    parser.add_argument("--training", type=int, default=1200, help="sentences to fit each probe")
    parser.add_argument("--test", type=int, default=500, help="sentences to test each probe")
    arguments = parser.parse_args(argv)
    measured_now = result(arguments.training, arguments.test, arguments.hardware)
    write_json(arguments.package / "results" / "probes.json", measured_now)


if __name__ == "__main__":
    sys.exit(main())
