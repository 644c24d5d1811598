"""Checks of chapter 7: one step of a beam, where the length turns a ranking, and clipped precision of a corpus."""

import math
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from course_pkg.exercises.registry import Finding, exercise, right, wrong

Words = list[str]

_NOTHING = "the function returns nothing yet", "end it with `return`, and your result."


def _missing(returned: Any) -> bool:
    return returned is None or returned is Ellipsis


# -- one step of a beam -----------------------------------------------------------------------------------------------


def _best(scores: Tensor, log_probs: Tensor, K: int) -> tuple[list[float], list[int], list[int]]:
    ranked, flat = (scores.unsqueeze(1) + log_probs).flatten().topk(K)
    V = log_probs.shape[1]
    return ranked.tolist(), (flat // V).tolist(), (flat % V).tolist()


def _beam(seed: int = 7) -> tuple[Tensor, Tensor]:
    """Three beginnings, five words: every size differs, and the best two extend the same beginning."""
    g = torch.Generator().manual_seed(seed)
    log_probs = (1.5 * torch.randn(3, 5, generator=g)).log_softmax(-1)
    return torch.tensor([-2.0, -0.4, -1.1]), log_probs


@exercise("07.beam_step", "one step of a beam")
def _beam_step(answer: Callable[..., Any]) -> Iterator[Finding]:
    """``beam_step(scores, log_probs, K)``: scores, parents and words of the ``K`` best continuations, best first."""
    scores, log_probs = _beam()
    returned = answer(scores.clone(), log_probs.clone(), 4)
    if _missing(returned):
        yield wrong(*_NOTHING)
    if not (isinstance(returned, tuple | list) and len(returned) == 3):
        yield wrong("the function should return three things", "end it with `return scores, parents, words`.")
    ranked, parents, words = (torch.as_tensor(part).flatten() for part in returned)
    for name, part in (("scores", ranked), ("parents", parents), ("words", words)):
        if part.numel() != 4:
            hint = "with K = 4 there are four continuations in all, not four for each beginning."
            yield wrong(f"there are {part.numel()} {name}", hint)
    yield right("K scores, K parents, K words")
    yield from _step_scores(ranked, scores, log_probs)
    yield right("the scores are those of the K best continuations of all beginnings together")
    yield from _step_origins(parents, words, *_best(scores, log_probs, 4)[1:])
    yield right("each names the beginning it extends and the word it adds")
    yield from _other_beams(answer)
    yield right("also with one beginning, and after a beginning that is out of the race")


def _step_scores(ranked: Tensor, scores: Tensor, log_probs: Tensor) -> Iterator[Finding]:
    grown = scores.unsqueeze(1) + log_probs

    def same(wanted: Tensor) -> bool:
        return bool(torch.allclose(ranked.double().sort().values, wanted.double().sort().values, atol=1e-4))

    best = grown.flatten().topk(4).values
    if same(log_probs.flatten().topk(4).values):
        hint = "a word's log-probability says nothing of the beginning it follows: what must be added?"
        yield wrong("the beginnings' own scores do not count", hint)
    elif same((scores.unsqueeze(1) * log_probs).flatten().topk(4).values):
        yield wrong("scores were multiplied", "probabilities multiply; what do their logarithms do?")
    elif same((scores.exp().unsqueeze(1) * log_probs.exp()).flatten().topk(4).values):
        yield wrong("these are probabilities", "right so far, but stay with logarithms: a long product runs into 0.")
    elif same((-grown).flatten().topk(4).values) or same(grown.flatten().topk(4, largest=False).values):
        yield wrong("the least likely continuations are kept", "log p is negative: nearer to 0 is better.")
    elif same(torch.cat([grown.amax(1), grown.amax()[None]])) or same(grown.amax(0).topk(4).values):
        hint = "two of the best may extend the same beginning, or add the same word: rank all of them in one list."
        yield wrong("a beginning or a word may be used only once", hint)
    elif not same(best):
        hint = "there are beginnings × words continuations; write all their scores down, then take the K largest."
        yield wrong("the scores differ from ours", hint)
    elif not bool(torch.allclose(ranked.double(), best.double(), atol=1e-4)):
        yield wrong("the scores are not in order", "the best comes first.")


def _step_origins(parents: Tensor, words: Tensor, wanted: list[int], added: list[int]) -> Iterator[Finding]:
    if parents.tolist() == added and words.tolist() == wanted:
        yield wrong("parents and words have changed places", "return the scores, then the parents, then the words.")
    elif words.max() >= 5:
        hint = "a place in the flat list holds both: how many words has each beginning?"
        yield wrong("a word has a number that no word has", hint)
    elif parents.max() >= 3:
        yield wrong("a parent has a number that no beginning has", "divide by the number of words, and round down.")
    elif parents.tolist() != wanted:
        hint = "the flat list runs through all words of beginning 0, then of beginning 1: divide by what?"
        yield wrong("the parents are not those of the scores", hint)
    elif words.tolist() != added:
        yield wrong("the words are not those of the scores", "the remainder of which division names the word?")


def _other_beams(answer: Callable[..., Any]) -> Iterator[Finding]:
    _, log_probs = _beam(8)
    for scores, K in ((torch.zeros(1), 2), (torch.tensor([-1.0, -torch.inf, -3.0]), 2)):
        row = log_probs[: len(scores)]
        returned = answer(scores.clone(), row.clone(), K)
        found = [torch.as_tensor(part).flatten() for part in returned]
        ranked, parents, words = _best(scores, row, K)
        right_place = found[1].tolist() == parents and found[2].tolist() == words
        if not right_place or not torch.allclose(found[0].double(), torch.tensor(ranked).double(), atol=1e-4):
            hint = "count beginnings and words from the shape of `log_probs`; neither is always the same."
            yield wrong(f"with {len(scores)} beginnings and K = {K} the answer is another", hint)


# -- where the length turns a ranking ---------------------------------------------------------------------------------

SHORT, LONG = (-3.0, 3), (-4.0, 7)
"""log p, and words without EOS, of the two hypotheses."""


@exercise("07.break_even", "the λ at which the long translation draws level")
def _break_even(answer: Any) -> Iterator[Finding]:
    """One number to two decimals."""
    numbers = torch.as_tensor(answer, dtype=torch.float64).flatten()
    if numbers.numel() != 1:
        yield wrong(f"there are {numbers.numel()} numbers", "one λ is asked for.")
    found = float(numbers[0])
    ratio, counted = LONG[0] / SHORT[0], (LONG[1] + 1) / (SHORT[1] + 1)
    level = math.log(ratio) / math.log(counted)

    def near(value: float) -> bool:
        return abs(found - value) < 0.0101

    if near(math.log(ratio) / math.log(LONG[1] / SHORT[1])):
        yield wrong("EOS is not counted", "a translation ends with a decision too: one token more in each.")
    elif near(1 / level):
        yield wrong("the fraction is upside down", "put your λ back: are the two scores equal?")
    elif near(-level):
        hint = "with a negative exponent longer translations lose even more; which ratio stands above which?"
        yield wrong("λ is negative", hint)
    elif near(ratio / counted):
        yield wrong("the lengths were multiplied by λ", "λ is an exponent: take logarithms on both sides.")
    elif near(1.0):
        yield wrong("at 1 the long one is already ahead", "compare -3 / 4 with -4 / 8, then go down.")
    elif near(0.0):
        yield wrong("at 0 nothing is divided", "then the short one leads, by -3 against -4.")
    elif not near(level):
        hint = "set -3 / 4^λ equal to -4 / 8^λ and bring the powers to one side."
        yield wrong(f"at λ = {found:.2f} the two scores are not equal", hint)
    yield right("there the two scores are equal; above it the long translation leads")


# -- clipped precision ------------------------------------------------------------------------------------------------

_HYPOTHESES: list[Words] = [
    "le le le chien noir le chien".split(),
    "la femme lance le frisbee rouge".split(),
    "oui".split(),
    "le chien voit la femme le soir".split(),
]
_REFERENCES: list[Words] = [
    "le chien voit le chien noir".split(),
    "la femme lance le frisbee vert".split(),
    "oui".split(),
    "la femme voit le chien".split(),
]


def _grams(words: Words, n: int) -> list[tuple[str, ...]]:
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


def _counts(hypothesis: Words, reference: Words, n: int) -> tuple[int, int]:
    """Clipped matches and n-grams of one sentence."""
    made, given = Counter(_grams(hypothesis, n)), Counter(_grams(reference, n))
    return sum((made & given).values()), sum(made.values())


def _precision(hypotheses: list[Words], references: list[Words], n: int) -> float:
    counts = [_counts(h, r, n) for h, r in zip(hypotheses, references, strict=True)]
    return sum(matched for matched, _ in counts) / sum(total for _, total in counts)


@exercise("07.clipped", "the clipped precision of a corpus")
def _clipped(answer: Callable[..., Any]) -> Iterator[Finding]:
    """``clipped_precision(hypotheses, references, n)``: lists of lists of words; one number between 0 and 1."""
    found: dict[int, float] = {}
    for n in (1, 2, 4):
        returned = answer([list(h) for h in _HYPOTHESES], [list(r) for r in _REFERENCES], n)
        if _missing(returned):
            yield wrong(*_NOTHING)
        number = torch.as_tensor(returned, dtype=torch.float64).flatten()
        if number.numel() != 1:
            hint = "a corpus has one precision: add the counts of its sentences, then divide once."
            yield wrong(f"there are {number.numel()} numbers", hint)
        found[n] = float(number[0])
    yield right("one number for the corpus")
    for n in (1, 2, 4):
        yield from _precision_of(found[n], n)
        yield right(f"n = {n} is right")


def _precision_of(found: float, n: int) -> Iterator[Finding]:
    rows = list(zip(_HYPOTHESES, _REFERENCES, strict=True))
    counts = [_counts(h, r, n) for h, r in rows]
    matched, total = sum(m for m, _ in counts), sum(t for _, t in counts)
    unclipped = sum(gram in set(_grams(r, n)) for h, r in rows for gram in _grams(h, n))
    wanted = sum(len(_grams(r, n)) for r in _REFERENCES)
    kinds = [(set(_grams(h, n)), set(_grams(r, n))) for h, r in rows]
    joined = _counts(sum(_HYPOTHESES, []), sum(_REFERENCES, []), n)
    pooled = Counter(g for h in _HYPOTHESES for g in _grams(h, n)) & Counter(
        g for r in _REFERENCES for g in _grams(r, n)
    )
    shares = [m / t if t else 0.0 for m, t in counts]
    some = [m / t for m, t in counts if t]

    def near(value: float) -> bool:
        return abs(found - value) < 1e-6

    if near(matched / total):
        return
    if near(100 * matched / total):
        yield wrong("this is a percentage", "a precision lies between 0 and 1.")
    elif near(unclipped / total):
        hint = "what the reference has once cannot be matched three times: take the smaller of the two counts."
        yield wrong(f"for n = {n} nothing is clipped", hint)
    elif near(matched / wanted):
        yield wrong(f"for n = {n} this is recall", "precision divides by what was written, not by what was wanted.")
    elif near(sum(shares) / len(shares)) or near(sum(some) / len(some)):
        hint = "short and long sentences must not weigh alike: add all counts first, then divide."
        yield wrong(f"for n = {n} this is the mean over sentences", hint)
    elif near(sum(len(h & r) for h, r in kinds) / sum(len(h) for h, _ in kinds)):
        yield wrong(f"for n = {n} repeated n-grams count once", "a set forgets how often; a Counter does not.")
    elif near(joined[0] / joined[1]):
        hint = "the last word of one sentence and the first of the next are no neighbours."
        yield wrong(f"for n = {n} n-grams run across the ends of sentences", hint)
    elif near(sum(pooled.values()) / total):
        hint = "a word matched in another sentence's reference is no match: compare sentence with sentence."
        yield wrong(f"for n = {n} the sentences were thrown together", hint)
    elif near(_precision(_HYPOTHESES, _REFERENCES, 1)) and n > 1:
        yield wrong(f"for n = {n} single words are counted", "an n-gram is n neighbouring words.")
    else:
        hint = "of each sentence: count its n-grams in a Counter, cut each count at the reference's, and add up."
        yield wrong(f"for n = {n} the precision differs from ours", hint)
