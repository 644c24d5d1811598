"""What chapter 8 says of α: ``python tools/measure_alignments.py`` (needs ``COURSE_DATA``) writes two results.

``alignments.json``: alignment error rate, precision and recall of α, of the posterior of the gaze and of baselines, on
gold word alignments: hand-made ones of the Canadian Hansards for the published mixed model, the grammar's own for the
toy model. Nothing is chosen on either.

``moving-alpha.json``: how often the word changes when the gaze of one step is turned to one other position, by the
weight that this position had; and ``sums``, what the weights that a source word got over a whole sentence add up to,
beside how often its translation was written.
"""

import json
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from entry import PACKAGE, options, told
from publish import tokenisation, write_json

from course_pkg import corpora, toy
from course_pkg.evaluation import hardware, passport
from course_pkg.inference import Translator, links, load, posterior
from course_pkg.metrics import Link, alignment_error_rate
from course_pkg.steering import Steering, steer
from course_pkg.toy import AlignedPair

MIXED, TOY = "mixed-en-fr-rnnsearch", "toy-en-fr-rnnsearch"
SEED = 8_000_000  # of the toy sentences: training uses 1, validation a million more, the published test three million
RESAMPLES = 2_000
BINS = (0.0, 0.0001, 0.001, 0.01, 0.1, 0.5)
PERCENTILES = {"p5": 5, "p25": 25, "median": 50, "p75": 75, "p95": 95}
LONG = (21, 40)  # words; the toy model was trained on at most 20
METHODS = {
    "uniform": "uniform (expected)",
    "diagonal": "diagonal",
    "alpha": "α",
    "source+1": "α, one source word to the right",
    "source-1": "α, one source word to the left",
    "target+1": "α of the next target word",
    "target-1": "α of the previous target word",
    "likelihood": "likelihood alone, p(y_i | c_i := h_j)",
    "posterior": "posterior, α_ij p(y_i | c_i := h_j)",
    "giza forward": "GIZA++ forward",
    "giza reverse": "GIZA++ reverse",
    "giza grow-diagonal-final": "GIZA++ grow-diagonal-final",
}
BASELINES = ("uniform", "diagonal")

Words = Sequence[int | None]
Links = Iterable[Link]


# -- links ------------------------------------------------------------------------------------------------------------


def shifted(found: Links, source: int, target: int, size: tuple[int, int]) -> set[Link]:
    """The links moved by so many words on either side; what leaves the sentence is dropped."""
    moved = ((j + source, i + target) for j, i in found)
    return {(j, i) for j, i in moved if 0 <= j < size[0] and 0 <= i < size[1]}


def diagonal(size: tuple[int, int]) -> set[Link]:
    """Target word i to the source word at the same share of the sentence."""
    return {(int((i + 0.5) * size[0] / size[1]), i) for i in range(size[1])}


def model_links(seen: Steering, sides: tuple[Words, Words], size: tuple[int, int]) -> dict[str, set[Link]]:
    """Links of α, of its shifts, of the posterior and of the likelihood alone."""
    even = np.full_like(seen.weights, 1 / seen.weights.shape[1])
    alpha = links(seen.weights, *sides)
    return {
        "alpha": alpha,
        "source+1": shifted(alpha, 1, 0, size),
        "source-1": shifted(alpha, -1, 0, size),
        "target+1": shifted(alpha, 0, -1, size),  # what α does at word i + 1, given to word i
        "target-1": shifted(alpha, 0, 1, size),
        "likelihood": links(posterior(even, seen.log_probs), *sides),
        "posterior": links(posterior(seen.weights, seen.log_probs), *sides),
    }


# -- scores -----------------------------------------------------------------------------------------------------------


def counts(found: Links, sure: Links, possible: Links) -> list[float]:
    """``|A|``, ``|S|``, ``|A ∩ S|``, ``|A ∩ P|`` of one sentence."""
    a, s, p = set(found), set(sure), set(possible)
    return [len(a), len(s), len(a & s), len(a & (p | s))]


def expected_counts(size: tuple[int, int], sure: Links, possible: Links) -> list[float]:
    """The means of `counts` over all ways to give each target word one source word."""
    s, p = set(sure), set(possible)
    return [size[1], len(s), len(s) / size[0], len(p | s) / size[0]]


def rate(sums: np.ndarray) -> np.ndarray:
    """Alignment error rate of summed counts, the last axis as in `counts`."""
    return 1 - (sums[..., 2] + sums[..., 3]) / (sums[..., 0] + sums[..., 1])


def resampled(count: int) -> np.ndarray:
    """How often each sentence is drawn, in each resample; the same draws for every method of one text."""
    draw = np.random.default_rng(0)
    return draw.multinomial(count, np.full(count, 1 / count), size=RESAMPLES)


def row(text: str, model: str | None, method: str, table: np.ndarray) -> dict[str, Any]:
    """One line of the result."""
    sums = table.sum(axis=0)
    low, high = np.percentile(rate(resampled(len(table)) @ table), [2.5, 97.5])
    return {
        "text": text,
        "method": METHODS[method],
        "aer": round(float(rate(sums)), 3),
        "interval": f"{low:.3f} to {high:.3f}",
        "precision": round(float(sums[3] / sums[0]), 3),
        "recall": round(float(sums[2] / sums[1]), 3),
        "model": model,
    }


def difference(one: np.ndarray, other: np.ndarray) -> str:
    """95 % interval of the first error rate less the second, over the same resamples."""
    draws = resampled(len(one))
    low, high = np.percentile(rate(draws @ one) - rate(draws @ other), [2.5, 97.5])
    return f"{low:+.3f} to {high:+.3f}"


def scored(
    text: str, model: str, found: dict[str, list[Links]], sizes: list[tuple[int, int]], gold: Sequence[Any]
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Rows of one text in the order of `METHODS`, and the differences that the chapter names."""
    sure, possible = gold
    tables = {
        method: np.array([counts(*case) for case in zip(made, sure, possible, strict=True)], float)
        for method, made in found.items()
    }
    for method, made in found.items():
        assert abs(alignment_error_rate(made, sure, possible).aer - rate(tables[method].sum(0))) < 1e-9
    tables["uniform"] = np.array([expected_counts(*case) for case in zip(sizes, sure, possible, strict=True)])
    rows = [row(text, None if m in BASELINES or m.startswith("giza") else model, m, tables[m]) for m in METHODS
            if m in tables]  # fmt: skip
    gaps = {f"{one} less {other}": difference(tables[one], tables[other])
            for one, other in (("alpha", "diagonal"), ("posterior", "alpha"), ("posterior", "likelihood"))}  # fmt: skip
    return rows, gaps


def align_hansard(translator: Translator) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """The hand-made links of the Hansards: white-space words, sure and possible links."""
    gold = corpora.hansard()
    found: dict[str, list[Links]] = {f"giza {kind}": list(corpora.giza(kind)) for kind in corpora.GIZA_KINDS}
    sizes = []
    for source, target in zip(gold.text.source, gold.text.target, strict=True):
        seen = steer(translator, source, target, top=1)
        sizes.append((len(source.split()), len(target.split())))
        made = {
            "diagonal": diagonal(sizes[-1]),
            **model_links(seen, (seen.source_words, seen.target_words), sizes[-1]),
        }
        for method, one in made.items():
            found.setdefault(method, []).append(one)
    return scored("Hansard, 247 pairs", translator.name, found, sizes, (gold.sure, gold.possible))


def align_toy(translator: Translator, pairs: Sequence[AlignedPair]) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """The grammar's links, between tokens; all are sure."""
    found: dict[str, list[Links]] = {}
    sizes = [(len(pair.source_tokens), len(pair.target_tokens)) for pair in pairs]
    for pair, size in zip(pairs, sizes, strict=True):
        seen = steer(translator, pair.source, pair.target, top=1)
        tokens: tuple[Words, Words] = ((*range(size[0]), None), (*range(size[1]), None))
        for method, one in {"diagonal": diagonal(size), **model_links(seen, tokens, size)}.items():
            found.setdefault(method, []).append(one)
    gold = [pair.links for pair in pairs]
    return scored(f"toy, {len(pairs)} pairs", translator.name, found, sizes, (gold, gold))


# -- does moving α change the word? -----------------------------------------------------------------------------------


def moved(translator: Translator, sources: Sequence[str]) -> tuple[list[tuple[float, bool, bool]], list[float]]:
    """For every step and position of the model's own greedy translations: weight, whether at the peak, word changed.

    Also, for each step, Kendall's τ between α_i and p(y_i | c_i := h_j).
    """
    cells, taus = [], []
    for own in translator.translate(sources, beam=1):
        seen = steer(translator, own.source, own.target, top=1)
        if seen.target_tokens != own.target_tokens:  # another way to cut the same text into pieces
            continue
        for i, written in enumerate(seen.target_tokens):
            peak = int(seen.weights[i].argmax())
            cells += [
                (float(weight), j == peak, seen.words[i][j][0] != written) for j, weight in enumerate(seen.weights[i])
            ]
            taus.append(kendall(seen.weights[i], seen.log_probs[i]))
    return cells, taus


def kendall(one: np.ndarray, other: np.ndarray) -> float:
    """Kendall's τ: agreeing pairs less disagreeing ones, over all pairs."""
    i, j = np.triu_indices(len(one), 1)
    return float(np.mean(np.sign(one[i] - one[j]) * np.sign(other[i] - other[j])))


def moved_rows(text: str, cells: Sequence[tuple[float, bool, bool]]) -> list[dict[str, Any]]:
    """Share of positions whose look alone changes the word: the peak, then all others by their weight."""
    rows = [{"text": text, "position": "the peak itself", **share([c for _, peak, c in cells if peak])}]
    for low, high in zip(BINS, (*BINS[1:], 1.0), strict=True):
        inside = [c for weight, peak, c in cells if not peak and low <= weight < high]
        if inside:
            rows.append({"text": text, "position": f"another, α from {low:g} to {high:g}", **share(inside)})
    return rows


def share(changed: Sequence[bool]) -> dict[str, Any]:
    """How many there are, and what share of them."""
    return {"looks": len(changed), "changed": round(100 * sum(changed) / len(changed), 1)}


# -- source sums ------------------------------------------------------------------------------------------------------


def sums(translator: Translator, pairs: Sequence[AlignedPair]) -> list[dict[str, Any]]:
    """Σ_i α_ij of source words whose one translation stands once in the reference, by how often it was written."""
    kinds: dict[str, list[float]] = {"not at all": [], "once": [], "twice or more": []}
    for pair, made in zip(pairs, translator.translate([pair.source for pair in pairs]), strict=True):
        assert made.weights is not None
        total = made.weights.sum(axis=0)
        for j, word in only_words(pair):
            written = made.target_tokens.count(word)
            kinds["not at all" if written == 0 else "once" if written == 1 else "twice or more"].append(float(total[j]))
    return [
        {
            "written": kind,
            "words": len(found),
            "mean": round(float(np.mean(found)), 2),
            **{name: round(float(np.percentile(found, p)), 2) for name, p in PERCENTILES.items()},
        }
        for kind, found in kinds.items()
        if found
    ]


def only_words(pair: AlignedPair) -> list[tuple[int, str]]:
    """Source positions linked to one target word that is linked to them alone and stands once in the reference."""
    found = []
    for j in range(len(pair.source_tokens)):
        linked = [i for k, i in pair.links if k == j]
        if len(linked) != 1 or sum(i == linked[0] for _, i in pair.links) != 1:
            continue
        word = pair.target_tokens[linked[0]]
        if word.isalpha() and pair.target_tokens.count(word) == 1:
            found.append((j, word))
    return found


# -- results ----------------------------------------------------------------------------------------------------------


def alignments(mixed: Translator, small: Translator, count: int) -> dict[str, Any]:
    """``alignments.json``."""
    started = time.monotonic()
    pairs = toy.pairs(count, seed=SEED, max_words=20)
    hansard, hansard_gaps = align_hansard(mixed)
    grammar, toy_gaps = align_toy(small, pairs)
    return {
        "title": "Alignment error rate of α",
        "note": "Each target word is linked to the source word of the largest weight, under teacher forcing. Less is "
        "better. The uniform row is an expectation over random links, not a draw. The posterior is Bayes' rule with "
        "α as the prior and the word as the evidence. Intervals are over sentences.",
        "columns": [
            ["text", "text"],
            ["method", "links from"],
            ["aer", "alignment error rate"],
            ["interval", "95 % interval"],
            ["precision", "precision"],
            ["recall", "recall"],
            ["model", "model"],
        ],
        "rows": hansard + grammar,
        "passport": passport(
            data="247 hand-aligned English-French pairs of the Canadian Hansards (Mihalcea and Pedersen 2003), "
            f"white-space words, sure and possible links; {count} fresh toy sentences of 3 to 20 words (seed {SEED}) "
            "with the grammar's links, all sure, between tokens",
            tokenisation=f"{mixed.name}: {tokenisation(mixed)}; pieces folded into words, summed over a source word's, "
            f"averaged over a target word's; {small.name}: {tokenisation(small)}",
            signature="AER of Och and Ney 2003, counts summed over the sentences; links to or from EOS are left out; "
            f"percentile bootstrap over sentences, {RESAMPLES} resamples, seed 0",
            decoding="teacher forcing on the gold translation; nothing was tuned: α and the likelihood have exponent 1",
            seeds="one training run of each model, seed 1",
            hardware=hardware(mixed.device),
            cost=f"{(time.monotonic() - started) / 60:.0f} minutes",
            recipe=f"{MIXED} and {TOY}; GIZA++ links as distributed with the data; python tools/measure_alignments.py",
        ),
        "differences": {"hansard": hansard_gaps, "toy": toy_gaps},
    }


def moving(mixed: Translator, small: Translator, count: int) -> dict[str, Any]:
    """``moving-alpha.json``."""
    started = time.monotonic()
    drawn = [pair.source for pair in toy.pairs(count, seed=SEED, max_words=20)]
    held_out = corpora.multi30k("test_2016_flickr").head(count)
    rows, taus = [], {}
    for name, translator, sources in (("toy", small, drawn), ("Multi30k", mixed, held_out.source)):
        cells, tau = moved(translator, sources)
        rows += moved_rows(name, cells)
        taus[name] = round(float(np.mean(tau)), 2)
    long_pairs = toy.pairs(count, seed=SEED, min_words=LONG[0], max_words=LONG[1])
    return {
        "title": "Does moving α change the word?",
        "note": "In the model's own greedy translations the context of one step is replaced by one annotation, and the "
        "likeliest word compared with the one written. In the row of the peak the gaze is only narrowed to where it "
        "was. Each step counts once for each of its source positions, EOS included.",
        "columns": [
            ["text", "text"],
            ["position", "position looked at"],
            ["looks", "looks tried"],
            ["changed", "another word, %"],
        ],
        "rows": rows,
        "passport": passport(
            data=f"{count} fresh toy sentences of 3 to 20 words (seed {SEED}); the first {len(held_out)} sources of "
            f"Multi30k's 2016 test; for the sums {count} toy sentences of {LONG[0]} to {LONG[1]} words (same seed), "
            "longer than any the toy model was trained on",
            tokenisation=f"toy: {small.name}, {tokenisation(small)}; Multi30k: {mixed.name}, {tokenisation(mixed)}",
            signature="no BLEU here; shares of all looks tried. Kendall's τ between α and p(y_i | c_i := h_j) is the "
            "mean over steps",
            decoding="greedy for the looks; for the sums each model's own beam",
            seeds="one training run of each model, seed 1",
            hardware=hardware(mixed.device),
            cost=f"{(time.monotonic() - started) / 60:.0f} minutes",
            recipe=f"{MIXED} and {TOY}; python tools/measure_alignments.py",
        ),
        "kendall": taus,
        "sums": sums(small, long_pairs),
    }


@told
def main(argv: Sequence[str] | None = None) -> None:
    """Measure and store."""
    makers: dict[str, Callable[..., dict[str, Any]]] = {"alignments": alignments, "moving-alpha": moving}
    parser = options(__doc__)
    parser.add_argument("--out", type=Path, default=PACKAGE / "results")
    parser.add_argument("--sentences", type=int, default=300, help="toy sentences, and sentences of Multi30k")
    parser.add_argument("--only", choices=list(makers))
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args(argv)
    mixed, small = (load(name, device=arguments.device) for name in (MIXED, TOY))
    for name, make in makers.items():
        if arguments.only in (None, name):
            record = make(mixed, small, arguments.sentences)
            write_json(arguments.out / f"{name}.json", record)
            print(json.dumps(record["rows"], ensure_ascii=False, indent=1))


if __name__ == "__main__":
    sys.exit(main())
