"""Chapter 7's checks: right answers pass however they are written, and each usual mistake gets its own hint."""

import itertools
import math
from collections import Counter
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from course_pkg.exercises import examine, names
from course_pkg.exercises.ch07 import _HYPOTHESES, _REFERENCES, LONG, SHORT, _beam, _best, _precision
from course_pkg.metrics import bleu


def test_the_chapter_has_three_checks() -> None:
    assert [name for name in names() if name.startswith("07.")] == ["07.beam_step", "07.break_even", "07.clipped"]


def caught(name: str, answer: object, told: str, hint: str) -> None:
    last = examine(name, answer).findings[-1]
    assert not last.holds and told in last.text and hint in last.hint, last


# -- one step of a beam -----------------------------------------------------------------------------------------------


def flat(scores: Tensor, log_probs: Tensor, K: int):  # type: ignore[no-untyped-def]
    best, place = (scores[:, None] + log_probs).flatten().topk(K)
    return best, place // log_probs.shape[1], place % log_probs.shape[1]


def by_lists(scores, log_probs, K):  # type: ignore[no-untyped-def]
    pairs = itertools.product(range(len(scores)), range(log_probs.shape[1]))
    grown = sorted(((float(scores[k] + log_probs[k, w]), k, w) for k, w in pairs), reverse=True)[:K]
    return tuple(zip(*grown, strict=True))


def spoilt(grow: Callable, pick: Callable = lambda grown, K: grown.flatten().topk(K)) -> Callable:
    def step(scores: Tensor, log_probs: Tensor, K: int):  # type: ignore[no-untyped-def]
        best, place = pick(grow(scores[:, None], log_probs), K)
        return best, place // log_probs.shape[1], place % log_probs.shape[1]

    return step


def add(scores: Tensor, log_probs: Tensor) -> Tensor:
    return scores + log_probs


def one_of_each(grown: Tensor, K: int) -> tuple[Tensor, Tensor]:
    values, words = grown.max(1)
    places = torch.arange(len(grown)) * grown.shape[1] + words
    order = torch.cat([values, values.max()[None]]).argsort(descending=True)
    return torch.cat([values, values.max()[None]])[order], torch.cat([places, places[values.argmax()][None]])[order]


def one_word_each(grown: Tensor, K: int) -> tuple[Tensor, Tensor]:
    values, parents = grown.max(0)
    best, words = values.topk(K)
    return best, parents[words] * grown.shape[1] + words


@pytest.mark.parametrize("answer", [flat, by_lists])
def test_beam_step_right(answer: Callable) -> None:
    assert examine("07.beam_step", answer).passed, str(examine("07.beam_step", answer))


def relabelled(change: Callable) -> Callable:
    return lambda *given: change(*flat(*given), given[1].shape)


@pytest.mark.parametrize(
    ("answer", "told", "hint"),
    [
        (lambda s, p, K: None, "returns nothing", "return"),
        (lambda s, p, K: flat(s, p, K)[0], "three things", "parents"),
        (lambda s, p, K: tuple(t for _ in range(1) for t in (p.topk(4).values,) * 3), "there are 12", "in all"),
        (lambda s, p, K: (flat(s, p, K)[0], flat(s, p, K)[1][:2], flat(s, p, K)[2]), "2 parents", "in all"),
        (spoilt(lambda s, p: p), "own scores do not count", "added"),
        (spoilt(lambda s, p: s * p), "multiplied", "logarithms"),
        (spoilt(lambda s, p: s.exp() * p.exp()), "these are probabilities", "logarithms"),
        (spoilt(add, lambda g, K: g.flatten().topk(K, largest=False)), "least likely", "nearer to 0"),
        (spoilt(lambda s, p: -(s + p)), "least likely", "nearer to 0"),
        (spoilt(add, one_of_each), "only once", "one list"),
        (spoilt(add, one_word_each), "only once", "one list"),
        (spoilt(lambda s, p: s / 2 + p), "differ", "all their scores"),
        (relabelled(lambda b, k, w, shape: (b.flip(0), k.flip(0), w.flip(0))), "not in order", "best"),
        (relabelled(lambda b, k, w, shape: (b, w, k)), "changed places", "then the words"),
        (relabelled(lambda b, k, w, shape: (b, k, k * shape[1] + w)), "no word has", "flat list"),
        (relabelled(lambda b, k, w, shape: (b, k * shape[1] + w, w)), "no beginning has", "round down"),
        (relabelled(lambda b, k, w, shape: (b, (k * shape[1] + w) % shape[0], w)), "not those of the scores", "divide"),
        (relabelled(lambda b, k, w, shape: (b, k, (w + 1) % shape[1])), "words are not", "remainder"),
        (lambda s, p, K: (*flat(s, p, K)[:2], flat(s, p, K)[2] if len(s) == 3 else flat(s, p, K)[2] * 0),
         "the answer is another", "shape"),
    ],
)  # fmt: skip
def test_beam_step_wrong(answer: Callable, told: str, hint: str) -> None:
    caught("07.beam_step", answer, told, hint)


def test_the_beam_of_the_check_tells_right_from_wrong() -> None:
    """Two of the best extend one beginning, two add one word, and all sizes differ."""
    _, parents, words = _best(*_beam(), 4)
    assert len(set(parents)) < 4 and len(set(words)) < 4 and len(set(parents)) > 1 and len({3, 5, 4}) == 3


# -- where the length turns a ranking ---------------------------------------------------------------------------------


def test_break_even_agrees_with_the_definition() -> None:
    """At the answer the two scores of (7.5) are equal, and the order differs on its two sides."""
    level = math.log(4 / 3) / math.log(8 / 4)

    def scores(power: float) -> list[float]:
        return [log_p / (words + 1) ** power for log_p, words in (SHORT, LONG)]

    assert scores(level)[0] == pytest.approx(scores(level)[1])
    assert scores(0)[0] > scores(0)[1] and scores(1)[0] < scores(1)[1]
    for answer in (level, round(level, 2), [0.41], torch.tensor(0.42)):
        assert examine("07.break_even", answer).passed


@pytest.mark.parametrize(
    ("answer", "told", "hint"),
    [
        ((0.4, 0.2), "2 numbers", "one"),
        (math.log(4 / 3) / math.log(7 / 3), "EOS is not counted", "one token more"),
        (math.log(2) / math.log(4 / 3), "upside down", "equal"),
        (-0.415, "negative", "exponent"),
        ((4 / 3) / 2, "multiplied by λ", "exponent"),
        (1.0, "already ahead", "compare"),
        (0, "nothing is divided", "short"),
        (0.5, "not equal", "powers"),
    ],
)
def test_break_even_wrong(answer: object, told: str, hint: str) -> None:
    caught("07.break_even", answer, told, hint)


# -- clipped precision ------------------------------------------------------------------------------------------------


def grams(words: list[str], n: int) -> list[tuple[str, ...]]:
    return list(zip(*(words[i:] for i in range(n)), strict=False))


def by_counters(hypotheses, references, n):  # type: ignore[no-untyped-def]
    matched = total = 0
    for h, r in zip(hypotheses, references, strict=True):
        made = Counter(grams(h, n))
        matched += sum((made & Counter(grams(r, n))).values())
        total += sum(made.values())
    return matched / total


def by_crossing_out(hypotheses, references, n):  # type: ignore[no-untyped-def]
    hits = written = 0
    for h, r in zip(hypotheses, references, strict=True):
        left = grams(r, n)
        for gram in grams(h, n):
            written += 1
            if gram in left:
                left.remove(gram)
                hits += 1
    return torch.tensor(hits / written)


def unclipped(hypotheses, references, n):  # type: ignore[no-untyped-def]
    rows = list(zip(hypotheses, references, strict=True))
    return sum(g in grams(r, n) for h, r in rows for g in grams(h, n)) / sum(len(grams(h, n)) for h in hypotheses)


def recall(hypotheses, references, n):  # type: ignore[no-untyped-def]
    return by_counters(references, hypotheses, n)


def sentence_mean(hypotheses, references, n):  # type: ignore[no-untyped-def]
    shares = [by_counters([h], [r], n) if grams(h, n) else 0.0 for h, r in zip(hypotheses, references, strict=True)]
    return sum(shares) / len(shares)


def mean_of_those_that_have_some(hypotheses, references, n):  # type: ignore[no-untyped-def]
    rows = [(h, r) for h, r in zip(hypotheses, references, strict=True) if grams(h, n)]
    return sum(by_counters([h], [r], n) for h, r in rows) / len(rows)


def by_sets(hypotheses, references, n):  # type: ignore[no-untyped-def]
    rows = [(set(grams(h, n)), set(grams(r, n))) for h, r in zip(hypotheses, references, strict=True)]
    return sum(len(h & r) for h, r in rows) / sum(len(h) for h, _ in rows)


def run_on(hypotheses, references, n):  # type: ignore[no-untyped-def]
    return by_counters([sum(hypotheses, [])], [sum(references, [])], n)


def thrown_together(hypotheses, references, n):  # type: ignore[no-untyped-def]
    sides = [Counter(g for words in side for g in grams(words, n)) for side in (hypotheses, references)]
    return sum((sides[0] & sides[1]).values()) / sum(sides[0].values())


def without_single_words(wrong: Callable) -> Callable:
    """The mistake for n > 1 only, where words alone would hide it."""
    return lambda h, r, n: by_counters(h, r, n) if n == 1 else wrong(h, r, n)


@pytest.mark.parametrize("answer", [by_counters, by_crossing_out])
def test_clipped_right(answer: Callable) -> None:
    assert examine("07.clipped", answer).passed


@pytest.mark.parametrize(
    ("answer", "told", "hint"),
    [
        (lambda h, r, n: None, "returns nothing", "return"),
        (lambda h, r, n: [0.5] * 4, "4 numbers", "divide once"),
        (lambda h, r, n: 100 * by_counters(h, r, n), "percentage", "between 0 and 1"),
        (unclipped, "nothing is clipped", "smaller"),
        (recall, "recall", "written"),
        (sentence_mean, "mean over sentences", "add all counts"),
        (mean_of_those_that_have_some, "mean over sentences", "add all counts"),
        (by_sets, "count once", "Counter"),
        (without_single_words(run_on), "across the ends", "neighbours"),
        (thrown_together, "thrown together", "sentence with sentence"),
        (lambda h, r, n: by_counters(h, r, 1), "single words", "neighbouring"),
        (lambda h, r, n: by_counters(h, r, n) / 2, "differs", "Counter"),
    ],
)
def test_clipped_wrong(answer: Callable, told: str, hint: str) -> None:
    caught("07.clipped", answer, told, hint)


def test_the_checks_precision_is_sacrebleus() -> None:
    """(7.6) on the check's own corpus: sacreBLEU counts the same n-grams."""
    sides = [[" ".join(words) for words in side] for side in (_HYPOTHESES, _REFERENCES)]
    from course_pkg.metrics import _sufficient_statistics

    sums = _sufficient_statistics(*sides).sum(axis=0)
    for n in (1, 2, 3, 4):
        assert _precision(_HYPOTHESES, _REFERENCES, n) == pytest.approx(sums[1 + n] / sums[5 + n])
    assert bleu(sides[1], sides[1]).score == pytest.approx(100)
