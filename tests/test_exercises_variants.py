"""Sheets with fresh numbers: every answer is worked out again here without the package, from the question's numbers."""

import itertools
import math
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from course_pkg.exercises import variants
from course_pkg.exercises.variants import draw, kinds, number, sheet
from course_pkg.notation import CourseError

NAMES = [kind.name for kind in kinds()]
SEEDS = [f"class-{number}" for number in range(12)]


def softmax(energies: list[float]) -> list[float]:
    powers = [math.exp(e) for e in energies]
    return [power / sum(powers) for power in powers]


def mixture(shares: list[float], values: list[list[float]]) -> list[float]:
    return [sum(share * value[k] for share, value in zip(shares, values, strict=True)) for k in range(len(values[0]))]


def times(rows: list[list[float]], values: list[float]) -> list[float]:
    return [sum(a * b for a, b in zip(row, values, strict=True)) for row in rows]


def gru(W_r, W_z, W, U_r, U_z, U, x, h) -> dict[str, Any]:
    r, z = (1 / (1 + math.exp(-(w * x + u * h))) for w, u in ((W_r, U_r), (W_z, U_z)))
    candidate = math.tanh(W * x + U * r * h)
    return {"r": r, "z": z, "candidate": candidate, "h": (1 - z) * h + z * candidate}


def lookup(energies, tau, values) -> dict[str, Any]:
    weights = softmax([e / tau for e in energies])
    return {"weights": weights, "context": mixture(weights, values)}


def attention(s, h, W_a, U_a, v_a) -> dict[str, Any]:
    query = times(W_a, s)
    energies = [sum(v * math.tanh(q + k) for v, q, k in zip(v_a, query, times(U_a, one), strict=True)) for one in h]
    weights = softmax(energies)
    return {"energies": energies, "weights": weights, "context": mixture(weights, h)}


def posterior(alpha, likelihoods) -> dict[str, Any]:
    joint = [a * p for a, p in zip(alpha, likelihoods, strict=True)]
    return {"posterior": [one / sum(joint) for one in joint]}


def beam(first, second) -> dict[str, Any]:
    """Among all nine sentences: the best, the best that begins best, the best that begins with one of the two best."""
    probability = {(i, j): first[i] * second[i][j] for i, j in itertools.product(range(3), repeat=2)}
    ranked = sorted(range(3), key=lambda i: -first[i])

    def best(beginnings: list[int]) -> tuple[str, float]:
        found = max((path for path in probability if path[0] in beginnings), key=probability.__getitem__)
        return "".join("ABC"[word] for word in found), probability[found]

    return {"greedy": best(ranked[:1]), "beam": best(ranked[:2]), "best": best(ranked)}


def bleu(reference, hypothesis) -> dict[str, Any]:
    def grams(words: list[str], n: int) -> Counter:
        return Counter(zip(*(words[at:] for at in range(n)), strict=False))

    matched, counts = [], []
    for n in (1, 2, 3, 4):
        ours, theirs = grams(hypothesis, n), grams(reference, n)
        matched.append(sum(min(count, theirs[gram]) for gram, count in ours.items()))
        counts.append(sum(ours.values()))
    brevity = 1.0 if len(hypothesis) > len(reference) else math.exp(1 - len(reference) / len(hypothesis))
    mean = math.prod(m / c for m, c in zip(matched, counts, strict=True)) ** 0.25
    return {"matched": matched, "counts": counts, "brevity": brevity, "bleu": 100 * brevity * mean}


def aer(sure, possible, predicted) -> dict[str, Any]:
    a, s, p = set(predicted), set(sure), {*sure, *possible}
    rate = 1 - (len(a & s) + len(a & p)) / (len(a) + len(s))
    return {"precision": len(a & p) / len(a), "recall": len(a & s) / len(s), "aer": rate}


def penalty(alpha) -> dict[str, Any]:
    """The least is found by trying: the three words shared out over four places in steps of a quarter."""
    columns = [sum(column) for column in zip(*alpha, strict=True)]
    quarters = (split for split in itertools.product(range(13), repeat=4) if sum(split) == 12)
    least = min(sum((1 - part / 4) ** 2 for part in split) for split in quarters)
    return {"penalty": sum((1 - column) ** 2 for column in columns), "least": least}


def pointing(alpha, regions) -> dict[str, Any]:
    hits = [row.index(max(row)) in region for row, region in zip(alpha, regions, strict=True)]
    masses = [sum(row[place] for place in region) for row, region in zip(alpha, regions, strict=True)]
    return {"accuracy": sum(hits) / 3, "mass": sum(masses) / 3, "even": sum(map(len, regions)) / 18}


AGAIN: dict[str, Callable[..., dict[str, Any]]] = {
    "aer": aer,
    "attention": attention,
    "beam": beam,
    "bleu": bleu,
    "gru": gru,
    "lookup": lookup,
    "penalty": penalty,
    "pointing": pointing,
    "posterior": posterior,
}


def test_every_kind_is_worked_out_again() -> None:
    assert set(AGAIN) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_answers_are_right(name: str) -> None:
    for seed in SEEDS:
        drawn = draw(name, seed).drawn
        expected = AGAIN[name](**drawn.given)
        assert set(expected) == set(drawn.found)
        for key, value in expected.items():
            found = drawn.found[key]
            if isinstance(value, tuple):
                assert found[0] == value[0] and found[1] == pytest.approx(value[1], abs=1e-6), (seed, key)
            else:
                assert found == pytest.approx(value, abs=1e-6), (seed, key)


def written(text: str) -> list[str]:
    """The numbers of a Markdown text, signs and decimals as they stand."""
    return re.findall(r"-?\d+(?:\.\d+)?", text)


def flat(values: Any) -> list[float]:
    if isinstance(values, dict):
        values = list(values.values())
    return [one for value in values for one in flat(value)] if isinstance(values, list | tuple) else [values]


@pytest.mark.parametrize("name", sorted({*NAMES} - {"bleu", "pointing", "aer"}))
def test_the_question_states_every_number_and_the_answer_every_result(name: str) -> None:
    for seed in SEEDS:
        drawn = draw(name, seed).drawn
        for values, text in ((drawn.given, drawn.question), (drawn.found, drawn.answer)):
            wanted = Counter(number(value) for value in flat(values) if not isinstance(value, str))
            if name == "beam" and values is drawn.found:
                continue  # it says what the best is only where the beam has missed it
            assert not wanted.keys() - set(written(text)), (seed, text)


@pytest.mark.parametrize("name", NAMES)
def test_the_numbers_are_few_digits_long(name: str) -> None:
    for seed in SEEDS:
        drawn = draw(name, seed).drawn
        assert max(len(text.replace("-", "").replace(".", "").lstrip("0")) for text in written(drawn.question)) <= 3
        assert [
            value for value in flat(drawn.given) if not isinstance(value, str) and float(number(value)) != value
        ] == []


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_exercise_and_other_seeds_others(name: str) -> None:
    questions = [draw(name, seed).drawn.question for seed in SEEDS]
    assert questions == [draw(name, seed).drawn.question for seed in SEEDS]
    assert len(set(questions)) > 0.9 * len(SEEDS)


def test_a_sheet_and_its_answers_have_the_same_number_and_only_one_of_them_tells() -> None:
    paper, answers = sheet("winter"), sheet("winter", answers=True)
    (code,) = re.findall(r"^# Exercises by hand, sheet (\w+)$", paper, flags=re.MULTILINE)
    assert f"# Answers to sheet {code}\n" in answers and code not in sheet("summer")
    assert "winter" in answers and "winter" not in paper
    for name in NAMES:
        drawn = draw(name, "winter").drawn
        assert drawn.question in paper and drawn.answer not in paper
        assert drawn.answer in answers and drawn.question not in answers


def test_a_kind_keeps_its_numbers_whatever_else_is_on_the_sheet() -> None:
    short = sheet("s", ["beam", "attention"])
    assert short.index("A beam of two".lower()) < short.index("additive attention")
    assert draw("beam", "s").drawn.question in short and draw("beam", "s").drawn.question in sheet("s")


def test_numbers_are_written_without_what_is_not_needed() -> None:
    assert [number(x) for x in (0.5, 2, -1, 0.125, -0.001, 1 / 3, 100)] == [
        "0.5",
        "2",
        "-1",
        "0.12",
        "0",
        "0.33",
        "100",
    ]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "course_pkg.exercises", *arguments]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8")


def test_the_command_prints_what_the_function_gives() -> None:
    assert run("--seed", "w", "--only", "aer", "gru").stdout == sheet("w", ["aer", "gru"])
    assert run("--seed", "w", "--answers").stdout == sheet("w", answers=True)


@pytest.mark.parametrize(
    ("arguments", "says"), [(["--seed", " "], "seed is empty"), (["--seed", "w", "--only", "x"], "attention")]
)
def test_what_cannot_be_made_is_told_in_one_line(arguments: list[str], says: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2 and done.stdout == "" and says in done.stderr and done.stderr.count("\n") == 1


def test_a_kind_that_there_is_not_is_refused() -> None:
    with pytest.raises(CourseError, match="choose from gru, lookup, attention"):
        draw("essay", "w")
    with pytest.raises(ValueError, match="two kinds"):
        variants.variant("beam", 7, "", "")(lambda chance: None)
