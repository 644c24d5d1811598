"""Chapter 10's checks: right answers pass however they are written, and each usual mistake gets its own hint."""

from collections.abc import Callable

import pytest
import torch

from course_pkg.attention import AdditiveScore, SoftAttention
from course_pkg.cost import count_operations, saved_for_backward
from course_pkg.exercises import examine, names


def test_the_chapter_has_three_checks() -> None:
    assert [name for name in names() if name.startswith("10.")] == ["10.batch_memory", "10.break_even", "10.count"]


def caught(name: str, answer: object, told: str, hint: str) -> None:
    last = examine(name, answer).findings[-1]
    assert not last.holds and told in last.text and hint in last.hint, last


# -- counting multiply-adds -------------------------------------------------------------------------------------------


def by_formula(T_x, T_y, n, n_a):  # type: ignore[no-untyped-def]
    return 2 * n * n_a * T_x + n * n_a * T_y + (n_a + 2 * n) * T_x * T_y


def by_loops(T_x, T_y, n, n_a):  # type: ignore[no-untyped-def]
    total = sum(2 * n * n_a for _ in range(T_x))
    for _ in range(T_y):
        total += n * n_a
        for _ in range(T_x):
            total += n_a + 2 * n
    return total


def by_the_package(T_x, T_y, n, n_a):  # type: ignore[no-untyped-def]
    attention = SoftAttention(AdditiveScore(n, 2 * n, n_a))

    def look() -> None:
        memory = attention.remember(torch.zeros(1, T_x, 2 * n), torch.ones(1, T_x, dtype=torch.bool))
        for query in torch.zeros(T_y, 1, n):
            attention(query, memory)

    return torch.tensor(count_operations(look)["multiply_adds"])


@pytest.mark.parametrize("answer", [by_formula, by_loops, by_the_package])
def test_count_right(answer: Callable) -> None:
    assert examine("10.count", answer).passed


@pytest.mark.parametrize(
    ("answer", "told", "hint"),
    [
        (lambda x, y, n, a: None, "returns nothing", "return"),
        (lambda x, y, n, a: (2 * n * a * x, n * a * y), "no number", "add"),
        (lambda x, y, n, a: 2 * by_formula(x, y, n, a), "twice", "counts once"),
        (lambda x, y, n, a: 2 * n * a * x * y + n * a * y + (a + 2 * n) * x * y, "U_a h_j is counted in every", "no i"),
        (lambda x, y, n, a: 2 * n * a * x + (n * a + a + 2 * n) * x * y, "W_a s_{i-1} is counted for every", "index"),
        (lambda x, y, n, a: (3 * n * a + a + 2 * n) * x * y, "everything", "lacks"),
        (lambda x, y, n, a: 3 * n * a * y + (a + 2 * n) * x * y, "U_a h_j is counted once a step", "source word"),
        (lambda x, y, n, a: 3 * n * a * x + (a + 2 * n) * x * y, "W_a s_{i-1} is counted once a source", "step"),
        (lambda x, y, n, a: n * a * x + 2 * n * a * y + (a + 2 * n) * x * y, "W_a and U_a", "annotations"),
        (lambda x, y, n, a: 2 * n * a * x + n * a * y + a * x * y, "weighted sum", "c_i"),
        (lambda x, y, n, a: 2 * n * a * x + n * a * y + 2 * n * x * y, "v_a is missing", "energy"),
        (lambda x, y, n, a: 2 * n * a * x + n * a * y, "nothing is counted for the pairs", "v_a"),
        (lambda x, y, n, a: n * a * (x + y) + (a + n) * x * y, "annotation is taken for n", "two directions"),
        (lambda x, y, n, a: 2 * n * a * x + n * a * y + (a + n) * x * y, "in the context", "two directions"),
        (lambda x, y, n, a: n * a * (x + y) + (a + 2 * n) * x * y, "n columns", "how wide"),
        (lambda x, y, n, a: by_formula(x, y, n, a) + a * x * y, "tanh or the addition", "multiplied"),
        (lambda x, y, n, a: by_formula(y, x, n, a), "changed places", "annotations"),
        (lambda x, y, n, a: by_formula(x, y, n, a) + 1, "differs", "how often"),
        (lambda x, y, n, a: 2 * 11 * 13 * x + 11 * 13 * y + 35 * x * y, "other lengths", "letters"),
    ],
)
def test_count_wrong(answer: Callable, told: str, hint: str) -> None:
    # The exercise gives the arguments by name, so the short letters of this table are passed on by place.
    caught("10.count", lambda T_x, T_y, n, n_a: answer(T_x, T_y, n, n_a), told, hint)


# -- the break-even length --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [5000, 5000.0, 500 * 30000 / 3000, torch.tensor(5000)])
def test_break_even_right(answer: object) -> None:
    assert examine("10.break_even", answer).passed


@pytest.mark.parametrize(
    ("answer", "told", "hint"),
    [
        ("many", "no number", "source words"),
        (500 * 30000 / 1000, "weighted sum", "pair costs"),
        (500 * 30000 / 2000, "missing or too small", "pair costs"),
        (500 * 30000 / 4000, "tanh or", "pair costs"),
        (500 * 30000 / 5000, "tanh and", "pair costs"),
        (500 * 30000 / 1_000_000, "W_a with", "pair costs"),
        (2 * 500 * 30000 / 3000, "before the maximum", "come out"),
        (620 * 30000 / 3000, "embedding", "W_o"),
        (30000 / 3000, "maxout layer is missing", "rows"),
        (30_480_000 / 3000, "rest of the decoder", "vocabulary"),
        (30, "stored numbers", "multiply-adds"),
        (3000 / 15_000_000, "upside down", "T_x"),
        ((500 * 30000 - 1_000_000) / 3000, "W_a is counted", "no j"),
        (5000**0.5, "root", "linear"),
        (4000, "not equal", "one step"),
    ],
)
def test_break_even_wrong(answer: object, told: str, hint: str) -> None:
    caught("10.break_even", answer, told, hint)


# -- the memory of a batch --------------------------------------------------------------------------------------------


def padded(lengths, n_a, size):  # type: ignore[no-untyped-def]
    return len(lengths) * max(x for x, _ in lengths) * max(y for _, y in lengths) * n_a * size


def by_autograd(lengths, n_a, size):  # type: ignore[no-untyped-def]
    """What is really kept, less what does not belong to the hidden layer; always float32, so scaled to ``size``."""
    count, T_x, T_y = len(lengths), max(x for x, _ in lengths), max(y for _, y in lengths)
    keys = torch.zeros(count, T_x, n_a, requires_grad=True)
    v_a = torch.zeros(n_a, requires_grad=True)
    with saved_for_backward([keys, v_a]) as saved:
        energies = [torch.tanh(keys + step) @ v_a for step in range(T_y)]
    assert len(energies) == T_y
    return saved.bytes * size / 4


@pytest.mark.parametrize("answer", [padded, by_autograd])
def test_batch_memory_right(answer: Callable) -> None:
    assert examine("10.batch_memory", answer).passed


@pytest.mark.parametrize(
    ("answer", "told", "hint"),
    [
        (lambda p, a, s: None, "returns nothing", "return"),
        (lambda p, a, s: [x * y * a * s for x, y in p], "no number", "whole batch"),
        (lambda p, a, s: sum(x * y for x, y in p) * a * s, "padding is not counted", "longest"),
        (lambda p, a, s: padded(p, 1, s), "memory of α", "n'"),
        (lambda p, a, s: sum(x * y for x, y in p) * s, "α, without padding", "n'"),
        (lambda p, a, s: padded(p, a, 1), "not bytes", "how many bytes"),
        (lambda p, a, s: padded(p, a, s) / len(p), "one sentence", "how many sentences"),
        (lambda p, a, s: len(p) * max(x * y for x, y in p) * a * s, "taken from one sentence", "its own longest"),
        (lambda p, a, s: sum(x for x, _ in p) * sum(y for _, y in p) * a * s, "different sentences", "own source"),
        (lambda p, a, s: len(p) * 18 * a * s, "lengths are added", "pair"),
        (lambda p, a, s: 2 * padded(p, a, s), "width is doubled", "n' wide"),
        (lambda p, a, s: len(p) * 11**2 * a * s, "taken for a square", "differ"),
        (lambda p, a, s: padded(p, a, s) + 1, "differs", "sentences ×"),
        (lambda p, a, s: len(p) * max(x for x, _ in p) * max(y for _, y in p) * 13 * 4, "goes wrong", "of your own"),
    ],
)
def test_batch_memory_wrong(answer: Callable, told: str, hint: str) -> None:
    caught("10.batch_memory", answer, told, hint)
