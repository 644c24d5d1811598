"""Chapter 11's checks: right answers pass however they are written, and each usual mistake gets its own hint."""

from collections.abc import Callable

import pytest
import torch

from course_pkg.encoders import features_of_map
from course_pkg.exercises import examine, names
from course_pkg.exercises.ch11 import _looks
from course_pkg.losses import doubly_stochastic_penalty


def test_the_chapter_has_three_checks() -> None:
    assert [name for name in names() if name.startswith("11.")] == ["11.annotations", "11.penalty", "11.pointing"]


def caught(name: str, answer: object, told: str, hint: str) -> None:
    last = examine(name, answer).findings[-1]
    assert not last.holds and told in last.text and hint in last.hint, last


# -- a map as annotations ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        features_of_map,
        lambda m: m.permute(0, 2, 3, 1).flatten(1, 2),
        lambda m: torch.stack([m[:, :, q, r] for q in range(m.shape[2]) for r in range(m.shape[3])], dim=1),
    ],
)
def test_annotations_right(answer: Callable) -> None:
    assert examine("11.annotations", answer).passed


@pytest.mark.parametrize(
    ("answer", "told", "hint"),
    [
        (lambda m: None, "nothing yet", "return"),
        (lambda m: m.reshape(len(m), -1, m.shape[1]), "bare reshape", "*before* you flatten"),
        (lambda m: m.flatten(2), "in front of the locations", "exchange two axes"),
        (lambda m: m.permute(0, 3, 2, 1).flatten(1, 2), "column by column", "to the right"),
        (lambda m: m.flatten(1), "the shape (2, 60)", "12, 5"),
        (lambda m: features_of_map(m).flip(1), "not every number", "row 0"),
        (lambda m: m.permute(9), "stopped with", "shape"),
    ],
)
def test_annotations_wrong(answer: Callable, told: str, hint: str) -> None:
    caught("11.annotations", answer, told, hint)


# -- the penalty ------------------------------------------------------------------------------------------------------


def by_package(alpha, mask):  # type: ignore[no-untyped-def]
    return doubly_stochastic_penalty(alpha, mask, torch.ones_like(alpha[:, 0], dtype=torch.bool))


def by_loops(alpha, mask):  # type: ignore[no-untyped-def]
    costs = []
    for rows, real in zip(alpha.tolist(), mask.tolist(), strict=True):
        kept = [row for row, counts in zip(rows, real, strict=True) if counts]
        costs.append(sum((1 - sum(column)) ** 2 for column in zip(*kept, strict=True)))
    return sum(costs) / len(costs)


def real(alpha, mask):  # type: ignore[no-untyped-def]
    return alpha * mask.unsqueeze(-1)


def test_the_check_tells_the_mistakes_apart() -> None:
    """Padding, axis, mean and square all change the number that the check asks for."""
    alpha, mask = _looks()
    kappa = real(alpha, mask).sum(1)
    numbers = [
        by_package(alpha, mask),
        by_package(alpha, torch.ones_like(mask)),
        ((1 - kappa) ** 2).sum(),
        ((1 - kappa) ** 2).mean(),
        (1 - kappa).sum(1).mean(),
        (1 - kappa).sum(1).square().mean(),
        ((1 - real(alpha, mask).sum(2)) ** 2).sum(1).mean(),
    ]
    found = sorted(float(number) for number in numbers)
    assert all(later - earlier > 1e-3 for earlier, later in zip(found, found[1:], strict=False)), found


@pytest.mark.parametrize("answer", [by_package, by_loops])
def test_penalty_right(answer: Callable) -> None:
    assert examine("11.penalty", answer).passed


@pytest.mark.parametrize(
    ("answer", "told", "hint"),
    [
        (lambda a, m: None, "nothing yet", "return"),
        (lambda a, m: ((1 - real(a, m).sum(1)) ** 2).sum(1), "2 numbers", "mean over the captions"),
        (lambda a, m: ((1 - a.sum(1)) ** 2).sum(1).mean(), "padding", "False"),
        (lambda a, m: ((1 - a.sum(2)) ** 2).sum(1).mean(), "over the locations inside", "Which axis"),
        (lambda a, m: ((1 - real(a, m).sum(2)) ** 2).sum(1).mean(), "over the locations inside", "Which axis"),
        (lambda a, m: ((1 - real(a, m).sum(1)) ** 2).sum(), "sum over the captions", "divide"),
        (lambda a, m: ((1 - real(a, m).sum(1)) ** 2).mean(), "mean over the locations", "sums over them"),
        (lambda a, m: (1 - real(a, m).sum(1)).sum(1).mean(), "square is missing", "too little"),
        (lambda a, m: (1 - real(a, m).sum(1)).sum(1).square().mean(), "after the sum", "square first"),
        (lambda a, m: by_package(a, m) + 1, "another number", "real steps"),
        (lambda a, m: by_package(a, m) if a.shape[2] == 5 else 0.0, "do not cost", "written out"),
        (lambda a, m: a @ m, "stopped with", "shape"),
    ],
)
def test_penalty_wrong(answer: Callable, told: str, hint: str) -> None:
    caught("11.penalty", answer, told, hint)


# -- pointing ---------------------------------------------------------------------------------------------------------


def with_regions(alpha, gold):  # type: ignore[no-untyped-def]
    rows = gold.any(dim=1)
    return alpha[rows], gold[rows]


def hits_of(alpha, gold):  # type: ignore[no-untyped-def]
    return gold.gather(1, alpha.argmax(dim=1, keepdim=True)).float()


def by_gathering(alpha, gold):  # type: ignore[no-untyped-def]
    alpha, gold = with_regions(alpha, gold)
    return hits_of(alpha, gold).mean(), gold.float().mean()


def by_counting(alpha, gold):  # type: ignore[no-untyped-def]
    rows = [(a, g) for a, g in zip(alpha.tolist(), gold.tolist(), strict=True) if any(g)]
    hits = sum(g[a.index(max(a))] for a, g in rows)
    return [hits / len(rows), sum(sum(g) / len(g) for _, g in rows) / len(rows)]


@pytest.mark.parametrize("answer", [by_gathering, by_counting])
def test_pointing_right(answer: Callable) -> None:
    assert examine("11.pointing", answer).passed


@pytest.mark.parametrize(
    ("answer", "told", "hint"),
    [
        (lambda a, g: None, "nothing yet", "return"),
        (lambda a, g: 0.5, "two numbers", "uniform guess"),
        (lambda a, g: (hits_of(a, g).mean(), 5 / 12), "counted as misses", "leave out"),
        (lambda a, g: (hits_of(a, g).sum(), 5 / 12), "counts the hits", "divide"),
        (lambda a, g: ((a * g).sum() / g.any(1).sum(), 5 / 12), "α inside the region", "only the peak"),
        (lambda a, g: (0.1, 5 / 12), "another", "largest weight"),
        (lambda a, g: (by_gathering(a, g)[0], g.float().mean()), "uniform guess counts words", "what share"),
        (lambda a, g: (by_gathering(a, g)[0], 1 / 4), "chance is another", "what share"),
        (lambda a, g: (a @ g, 0), "stopped with", "shape"),
    ],
)
def test_pointing_wrong(answer: Callable, told: str, hint: str) -> None:
    caught("11.pointing", answer, told, hint)
