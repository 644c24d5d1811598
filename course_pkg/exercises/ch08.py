"""Checks of chapter 8: the alignment error rate of a corpus, a posterior by hand, and sums over a source word."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from course_pkg.exercises.registry import Finding, exercise, right, wrong
from course_pkg.metrics import Link, alignment_error_rate

_NOTHING = "the function returns nothing yet", "end it with `return`, and your result."

Links = Sequence[set[Link]]


def _missing(returned: Any) -> bool:
    return returned is None or returned is Ellipsis


# -- alignment error rate ---------------------------------------------------------------------------------------------

_PREDICTED: list[set[Link]] = [
    {(0, 0), (1, 2), (2, 1), (2, 2)},
    {(0, 0), (1, 0)},
    {(0, 1), (1, 1), (2, 2), (3, 3), (4, 3)},
]
_SURE: list[set[Link]] = [{(0, 0), (1, 2)}, {(0, 0), (1, 1)}, {(0, 0), (2, 2), (3, 3)}]
_POSSIBLE: list[set[Link]] = [{(0, 0), (1, 2), (2, 1)}, {(0, 0), (1, 1)}, {(0, 0), (2, 2), (3, 3), (1, 1), (4, 3)}]


def _counts(a: set[Link], s: set[Link], p: set[Link]) -> tuple[int, int, int, int]:
    return len(a), len(s), len(a & s), len(a & p)


def _rate(a: int, s: int, a_s: int, a_p: int) -> float:
    return 1 - (a_s + a_p) / (a + s)


@exercise("08.aer", "the alignment error rate of a corpus")
def _aer(answer: Callable[..., Any]) -> Iterator[Finding]:
    """``aer(predicted, sure, possible)``: three lists of sets of pairs; one number."""
    try:
        returned = answer(*([set(links) for links in side] for side in (_PREDICTED, _SURE, _POSSIBLE)))
    except (TypeError, AttributeError) as error:  # a list was taken for a set
        hint = "each argument is a list with one set for each sentence: go through the three together."
        yield wrong(f"your function stopped with {type(error).__name__}: {error}", hint)
        return
    if _missing(returned):
        yield wrong(*_NOTHING)
    numbers = torch.as_tensor(returned, dtype=torch.float64).flatten()
    if numbers.numel() != 1:
        yield wrong(f"there are {numbers.numel()} numbers", "a corpus has one rate: add the counts, then divide once.")
    yield right("one number for the corpus")
    yield from _rate_of(float(numbers[0]))
    yield right("it is the rate of the whole corpus")
    gold = float(torch.as_tensor(answer(_SURE, _SURE, _POSSIBLE)))
    if abs(gold) > 1e-6:
        yield wrong("predicting exactly the sure links should give 0", "then both intersections are all of S.")
    yield right("and 0 where exactly the sure links are predicted")


def _rate_of(found: float) -> Iterator[Finding]:
    each = [_counts(*case) for case in zip(_PREDICTED, _SURE, _POSSIBLE, strict=True)]
    a, s, a_s, a_p = (sum(column) for column in zip(*each, strict=True))
    p = sum(map(len, _POSSIBLE))

    def near(value: float) -> bool:
        return abs(found - value) < 1e-6

    if near(alignment_error_rate(_PREDICTED, _SURE, _POSSIBLE).aer):
        return
    if near(100 * _rate(a, s, a_s, a_p)):
        yield wrong("this is the rate in per cent", "give a share between 0 and 1.")
    elif near(1 - _rate(a, s, a_s, a_p)):
        yield wrong("this is what is right, not what is wrong", "an error rate falls as the links get better: 1 − …")
    elif near(sum(_rate(*row) for row in each) / len(each)):
        hint = "short and long sentences must not weigh alike: add the counts of all, then divide."
        yield wrong("this is the mean over sentences", hint)
    elif near(_rate(a, s, a_s, a_s)):
        hint = "a predicted link that is possible is not an error: which set has it?"
        yield wrong("your function gives possible links no credit", hint)
    elif near(_rate(a, p, a_s, a_p)) or near(_rate(a, p, a_p, a_p)):
        yield wrong("you divide by the possible links", "nobody has to predict a possible link: it is |A| + |S|.")
    elif near(1 - 2 * a_p / (a + s)):
        yield wrong("your function leaves out the sure links that were found", "the numerator has two intersections.")
    elif near(1 - a_p / a):
        yield wrong("this is precision turned round", "it says nothing of links that are missing.")
    elif near(1 - a_s / s):
        yield wrong("this is recall turned round", "it says nothing of links that are too many.")
    elif near(1 - (a_s / s + a_p / a) / 2):
        yield wrong("this is the mean of two shares", "add above and below the line, and divide once.")
    else:
        hint = "count four things over all sentences: |A|, |S|, |A ∩ S|, |A ∩ P|."
        yield wrong("the rate differs from ours", hint)


# -- a posterior by hand ----------------------------------------------------------------------------------------------

ALPHA, LIKELIHOOD = (0.5, 0.3, 0.2), (0.1, 0.8, 0.05)


@exercise("08.posterior", "the posterior of three positions")
def _posterior(answer: Any) -> Iterator[Finding]:
    """Three numbers to two decimals."""
    found = torch.as_tensor(answer, dtype=torch.float64).flatten()
    if found.numel() != 3:
        yield wrong(f"there are {found.numel()} numbers", "one for each of the three positions.")
    prior, given = torch.tensor(ALPHA, dtype=torch.float64), torch.tensor(LIKELIHOOD, dtype=torch.float64)
    joint = prior * given

    def near(values: Tensor) -> bool:
        return bool((found - values).abs().max() < 0.0101)

    if near(joint / joint.sum()):
        yield right("prior times likelihood, over the sum")
        return
    if near(joint):
        yield wrong("the three numbers do not sum to 1", "the products are right; divide each by their sum.")
    elif near(given / given.sum()) or near(given):
        yield wrong("your answer leaves α out", "a position that is hardly looked at needs a likely word to win.")
    elif near(prior):
        yield wrong("your answer leaves the word out", "multiply each weight by the word's probability from there.")
    elif near((prior + given) / (prior + given).sum()) or near((prior + given) / 2):
        yield wrong("prior and likelihood were added", "both have to hold: that is a product.")
    elif near(prior / given / (prior / given).sum()):
        yield wrong("you divided by the likelihood", "a position from which the word is likely should gain.")
    else:
        yield wrong("the numbers differ from ours", "multiply position by position, then divide by the sum.")


# -- source sums ------------------------------------------------------------------------------------------------------


def _batch(seed: int = 8) -> tuple[Tensor, Tensor]:
    """Two sentences of 4 and 2 words, written over 3 source positions; the padded rows look somewhere too."""
    g = torch.Generator().manual_seed(seed)
    alpha = torch.randn(2, 4, 3, generator=g).softmax(-1)
    return alpha, torch.tensor([[True] * 4, [True, True, False, False]])


@exercise("08.sums", "what each source word gets over the sentence")
def _sums(answer: Callable[..., Any]) -> Iterator[Finding]:
    """``source_sums(alpha, target_mask)``: ``(B, T, S)`` and ``(B, T)`` in, ``(B, S)`` out."""
    alpha, mask = _batch()
    returned = answer(alpha.clone(), mask.clone())
    if _missing(returned):
        yield wrong(*_NOTHING)
    found = torch.as_tensor(returned).double()
    hint = "Which axis counts the target words? That one has to go."
    if found.shape == (2, 4):
        yield wrong("this has one number for each target word", f"those sums are all 1. {hint}")
    if found.shape != (2, 3):
        yield wrong(f"the shape is {tuple(found.shape)}", f"one number for each source word of each sentence. {hint}")
    yield right("one number for each source word")
    kept = (alpha * mask.unsqueeze(-1)).double()

    def near(values: Tensor) -> bool:
        return bool(torch.allclose(found, values, atol=1e-5))

    if near(alpha.double().sum(1)):
        hint = "the second sentence has two words: its other rows are padding, and their looks never happened."
        yield wrong("padded rows are counted", hint)
    elif near(kept.mean(1)) or near(kept.sum(1) / mask.sum(1, keepdim=True)):
        yield wrong("these are means", "a sum is asked for: a sentence of T words hands out T in all.")
    elif near(kept.amax(1)):
        yield wrong("these are the largest weights", "many small looks add up too.")
    elif not near(kept.sum(1)):
        yield wrong("the sums differ from ours", "set the rows of padding to 0, then add over the target words.")
    yield right("rows of padding left out; each sentence's sums add up to its number of words")
