"""Exercises by hand about searching and scoring: a beam, BLEU, AER, the penalty, pointing. Chapters 7, 8, 11, 13."""

import math
from collections import Counter
from random import Random

import numpy as np
import torch
from torch import Tensor

from course_pkg import toy
from course_pkg.attention import Memory
from course_pkg.decoders import Decoder, Rollout, State, Step
from course_pkg.encoders import Encoded
from course_pkg.exercises.variants import Drawn, number, shares, table, variant
from course_pkg.losses import doubly_stochastic_penalty
from course_pkg.metrics import alignment_error_rate, bleu
from course_pkg.pointing import attention_mass, pointing_accuracy
from course_pkg.search import beam_search, greedy

__all__: list[str] = []

START, END, LETTERS = 0, 1, "ABC"


class _TwoWords(Decoder):
    """Writes two words by a table of probabilities, then the end; 0 begins, 1 ends, and the words follow."""

    def __init__(self, first: list[float], second: list[list[float]]) -> None:
        super().__init__()
        rows = torch.zeros(3, 5, 5)  # step, the word before, the word
        rows[0, :, 2:] = torch.tensor(first)
        rows[1, 2:, 2:] = torch.tensor(second)
        rows[2, :, END] = 1.0
        self.log_probs = rows.clamp_min(1e-30).log()

    def start(self, encoded: Encoded) -> tuple[Memory, State]:
        return Memory(encoded.annotations, encoded.annotations, encoded.mask), State(torch.zeros(len(encoded.mask), 1))

    def step(self, token: Tensor, state: State, memory: Memory) -> Step:
        at = state.hidden[:, 0].long().clamp_max(2)
        return Step(self.log_probs[at, token], State(state.hidden + 1))

    def forward(self, inputs: Tensor, encoded: Encoded) -> Rollout:
        raise NotImplementedError("this decoder only writes")


def _found_by(search: str, decoder: Decoder) -> tuple[str, float]:
    """The two words that a search finds, and their probability."""
    source = Encoded(torch.zeros(1, 1, 1), torch.ones(1, 1, dtype=torch.bool), torch.zeros(1, 1))
    if search == "greedy":
        found = greedy(decoder, source, bos=START, eos=END, max_steps=3)
    else:
        found = beam_search(decoder, source, bos=START, eos=END, beam_size=2, max_steps=3)
    return "".join(LETTERS[word - 2] for word in found.tokens[0, 0, :2].tolist()), math.exp(float(found.scores[0, 0]))


@variant("beam", 7, "Greedy, and a beam of two", "what each search finds, and how probable it is")
def _beam(chance: Random) -> Drawn | None:
    first, second = shares(chance, 3), [shares(chance, 3) for _ in LETTERS]
    paths = [first[i] * second[i][j] for i in range(3) for j in range(3)]
    ties = len({round(p, 6) for p in paths}) < 9 or any(len(set(row)) < 3 for row in [first, *second])
    leading = first.index(max(first))
    if ties or max(paths) == max(paths[3 * leading : 3 * leading + 3]):
        return None  # greedy search would do
    decoder = _TwoWords(first, second)
    (greedy_words, greedy_p), (beam_words, beam_p) = _found_by("greedy", decoder), _found_by("beam", decoder)
    rows = [["at the start", *map(number, first)]]
    rows += [[f"after {letter}", *map(number, row)] for letter, row in zip(LETTERS, second, strict=True)]
    question = (
        "A model writes two words out of A, B and C, and stops. The probabilities of the next word are\n\n"
        f"{table(['', *LETTERS], rows)}\n\n"
        "Which two words does greedy search write, and which does a beam of width 2 find? Give the probability of "
        "both. Is there anything likelier than what the beam found?"
    )
    best = max(range(9), key=paths.__getitem__)
    best_words = LETTERS[best // 3] + LETTERS[best % 3]
    rest = "no" if best_words == beam_words else f"yes, {best_words} with {paths[best]:.2f}"
    answer = (
        f"Greedy: {greedy_words} with {greedy_p:.2f}. Beam: {beam_words} with {beam_p:.2f}. Anything likelier: {rest}."
    )
    found = {"greedy": (greedy_words, greedy_p), "beam": (beam_words, beam_p), "best": (best_words, paths[best])}
    return Drawn({"first": first, "second": second}, found, question, answer)


def _grams(words: list[str], n: int) -> Counter:
    return Counter(tuple(words[at : at + n]) for at in range(len(words) - n + 1))


@variant("bleu", 7, "BLEU of one sentence", "the clipped precisions, the brevity penalty and BLEU")
def _bleu(chance: Random) -> Drawn | None:
    pair = toy.pairs(1, seed=chance.randrange(10**6), min_words=8, max_words=11)[0]
    reference = list(pair.target_tokens)
    if not all(token.isalpha() for token in reference[:-1]):
        return None
    hypothesis = reference[:]
    at = chance.choice((0, len(reference) - 2))
    hypothesis[at : at + 1] = chance.choice(([], [reference[1]], [hypothesis[at], hypothesis[at]]))
    matched = [sum((_grams(hypothesis, n) & _grams(reference, n)).values()) for n in range(1, 5)]
    if hypothesis == reference or len(hypothesis) < 6 or not all(matched):
        return None
    counts = [len(hypothesis) - n + 1 for n in range(1, 5)]
    score = bleu([" ".join(hypothesis)], [" ".join(reference)]).score
    brevity = min(1.0, math.exp(1 - len(reference) / len(hypothesis)))
    question = (
        f"Reference: *{' '.join(reference)}*\n\nTranslation: *{' '.join(hypothesis)}*\n\n"
        "Words and full stops are tokens, and case counts. Give the clipped precisions $p_1$ to $p_4$ as fractions, "
        "the brevity penalty, and BLEU from 0 to 100, to one decimal."
    )
    fractions = ", ".join(f"$p_{n} = {m}/{c}$" for n, (m, c) in enumerate(zip(matched, counts, strict=True), 1))
    answer = f"{fractions}; brevity penalty {number(brevity)}; BLEU {score:.1f}"
    found = {"matched": matched, "counts": counts, "brevity": brevity, "bleu": score}
    return Drawn({"reference": reference, "hypothesis": hypothesis}, found, question, answer)


@variant("aer", 8, "The alignment error rate", "precision, recall and AER of one sentence")
def _aer(chance: Random) -> Drawn | None:
    cells = [(j, i) for j in range(1, 6) for i in range(1, 6) if abs(j - i) < 3]
    chance.shuffle(cells)
    sure, possible, others = cells[:4], cells[4:6], cells[6:8]
    predicted = (
        chance.sample(sure, 3) + chance.sample(possible, chance.choice((1, 2))) + others[: chance.choice((1, 2))]
    )
    found = alignment_error_rate([predicted], [sure], [sure + possible])

    def told(links: list[tuple[int, int]]) -> str:
        return ", ".join(f"{j}-{i}" for j, i in sorted(links))

    question = (
        "Links of one sentence, source word first. "
        f"Sure: {told(sure)}. Possible besides: {told(possible)}. The model predicts: {told(predicted)}. "
        "Work out precision, recall and the alignment error rate."
    )
    answer = f"Precision {number(found.precision)}, recall {number(found.recall)}, AER {number(found.aer)}"
    given = {"sure": sorted(sure), "possible": sorted(possible), "predicted": sorted(predicted)}
    return Drawn(given, {"precision": found.precision, "recall": found.recall, "aer": found.aer}, question, answer)


@variant("penalty", 11, "The doubly stochastic penalty", "the penalty, and the least that it can be")
def _penalty(chance: Random) -> Drawn | None:
    steps, places = 3, 4
    alpha = [shares(chance, places) for _ in range(steps)]
    if len({tuple(row) for row in alpha}) < steps:
        return None
    whole = torch.ones(1, steps, dtype=torch.bool), torch.ones(1, places, dtype=torch.bool)
    penalty = float(doubly_stochastic_penalty(torch.tensor([alpha], dtype=torch.float64), *whole))
    least = (places - steps) ** 2 / places
    head = ["word", *(f"place {i + 1}" for i in range(places))]
    rows = [[str(t + 1), *map(number, row)] for t, row in enumerate(alpha)]
    question = (
        f"Three words look at four places:\n\n{table(head, rows)}\n\n"
        "Work out the penalty with the goal 1. What is the least that it can be for three words and four places?"
    )
    answer = f"Penalty {number(penalty)}; at least $(4 - 3)^2 / 4 = {number(least)}$"
    return Drawn({"alpha": alpha}, {"penalty": penalty, "least": least}, question, answer)


@variant("pointing", 13, "Does it point?", "pointing accuracy and attention mass, beside an even gaze")
def _pointing(chance: Random) -> Drawn | None:
    alpha = [shares(chance, 6, 20) for _ in range(3)]
    if any(row.count(max(row)) > 1 for row in alpha):
        return None
    regions = [sorted(chance.sample(range(6), chance.choice((1, 2)))) for _ in range(3)]
    masks = np.array([[place in region for place in range(6)] for region in regions]).reshape(3, 2, 3)
    weights = np.array(alpha).reshape(3, 2, 3)
    hits, masses = pointing_accuracy(weights, masks), attention_mass(weights, masks)
    if hits.sum() not in (1, 2):
        return None
    even = float(masks.mean())
    head = ["word", *(f"place {i + 1}" for i in range(6)), "region"]
    rows = [
        [str(t + 1), *map(number, row), " and ".join(f"place {place + 1}" for place in region)]
        for t, (row, region) in enumerate(zip(alpha, regions, strict=True))
    ]
    question = (
        f"Three words look at six places, and each names what lies on whole places:\n\n{table(head, rows)}\n\n"
        "Work out the pointing accuracy, the mean attention mass, and the mean mass that an even gaze would have."
    )
    accuracy, mass = float(hits.mean()), float(masses.mean())
    answer = f"Accuracy {number(accuracy)}, mass {number(mass)}, even gaze {number(even)}"
    found = {"accuracy": accuracy, "mass": mass, "even": even}
    return Drawn({"alpha": alpha, "regions": regions}, found, question, answer)
