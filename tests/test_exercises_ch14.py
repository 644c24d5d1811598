"""Chapter 14's checks: right answers pass however they are written, and each usual mistake gets its own hint."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from course_pkg.exercises import examine, names


def caught(name: str, answer: Any, told: str, hint: str) -> None:
    last = examine(name, answer).findings[-1]
    assert not last.holds and told in last.text and hint in last.hint, last


def test_the_chapter_has_three_checks() -> None:
    assert [name for name in names() if name.startswith("14.")] == ["14.at_once", "14.line", "14.two_keys"]


# -- two keys, by hand ------------------------------------------------------------------------------------------------


def test_two_keys() -> None:
    query, keys = torch.tensor([1.0, 0.0]), torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    weights = torch.tanh(query + keys).sum(-1).softmax(0)
    assert examine("14.two_keys", weights).passed
    assert examine("14.two_keys", [round(float(w), 2) for w in weights]).passed


@pytest.mark.parametrize(
    ("answer", "told", "hint"),
    [
        (0.64, "1 numbers", "two"),
        ((1.523, 0.964), "energies", "softmax"),
        ((0.27, 0.73), "dot product", "tanh"),
        ((0.36, 0.64), "exchanged", "equals the query"),
        ((0.5, 0.5), "equal", "before the sum"),
        ((0.64, 0.64), "sum to 1.28", "divide"),
        ((0.9, 0.1), "not right", "tanh 1"),
    ],
)
def test_two_keys_wrong(answer: Any, told: str, hint: str) -> None:
    caught("14.two_keys", answer, told, hint)


# -- the line, in tensors ---------------------------------------------------------------------------------------------


def line(query, value, key, scale, query_mask, value_mask):  # type: ignore[no-untyped-def]
    energies = (scale * torch.tanh(query[:, :, None] + key[:, None])).sum(-1)
    weights = energies.masked_fill(~value_mask[:, None], -math.inf).softmax(-1)
    return (weights @ value).masked_fill(~query_mask[..., None], 0), weights


def test_line() -> None:
    assert examine("14.line", line).passed


def spoilt(**changes):  # type: ignore[no-untyped-def]
    def answer(query, value, key, scale, query_mask, value_mask):  # type: ignore[no-untyped-def]
        case = {
            "query": query,
            "value": value,
            "key": key,
            "scale": scale,
            "query_mask": query_mask,
            "value_mask": value_mask,
        }
        return line(**case | {name: change(case[name]) for name, change in changes.items()})

    return answer


def with_energies(energy: Callable):  # type: ignore[no-untyped-def]
    def answer(query, value, key, scale, query_mask, value_mask):  # type: ignore[no-untyped-def]
        energies = energy(query[:, :, None], key[:, None], scale)
        weights = energies.masked_fill(~value_mask[:, None], -math.inf).softmax(-1)
        return (weights @ value) * query_mask[..., None], weights

    return answer


def zeroed_weights(query, value, key, scale, query_mask, value_mask):  # type: ignore[no-untyped-def]
    output, weights = line(query, value, key, scale, query_mask, value_mask)
    return output, weights * query_mask[..., None]


def masked_late(query, value, key, scale, query_mask, value_mask):  # type: ignore[no-untyped-def]
    _, weights = line(query, value, key, scale, query_mask, torch.ones_like(value_mask))
    weights = weights * value_mask[:, None]
    return (weights @ value) * query_mask[..., None], weights


@pytest.mark.parametrize(
    ("answer", "told", "hint"),
    [
        (lambda **case: None, "returns nothing", "return"),
        (lambda **case: line(**case)[0], "two tensors", "first"),
        (lambda **case: line(**case)[::-1], "exchanged", "then weights"),
        (lambda **case: (line(**case)[0], line(**case)[1][0]), "shape (3, 4)", "one row"),
        (lambda **case: (line(**case)[1] @ case["key"], line(**case)[1]), "shape (2, 3, 5)", "as wide as a value"),
        (zeroed_weights, "query mask is in the weights", "alone"),
        (masked_late, "do not sum to 1", "before it"),
        (spoilt(value_mask=torch.ones_like), "value mask changes nothing", "far enough"),
        (with_energies(lambda q, k, v: torch.tanh(v * (q + k)).sum(-1)), "inside the tanh", "outside"),
        (with_energies(lambda q, k, v: torch.tanh(q + k).sum(-1)), "left out", "five"),
        (with_energies(lambda q, k, v: (q + k) @ v), "bend is missing", "tanh"),
        (with_energies(lambda q, k, v: torch.tanh(q + k).sum(-1) * v.sum()), "one number", "entry by entry"),
        (with_energies(lambda q, k, v: torch.tanh(q - k) @ v), "not those of the layer", "last axis"),
        (spoilt(query_mask=torch.ones_like), "query mask changes nothing", "zero"),
        (lambda **case: (2 * line(**case)[0], line(**case)[1]), "outputs are not right", "times values"),
    ],
)
def test_line_wrong(answer: Callable, told: str, hint: str) -> None:
    caught("14.line", answer, told, hint)


# -- all looks, without a loop ----------------------------------------------------------------------------------------


def looks(queries, annotations, W_q, W_k, mask, scale=True):  # type: ignore[no-untyped-def]
    width = W_q.shape[0] if scale is True else scale
    energies = torch.einsum("bta,bsa->bts", queries @ W_q.T, annotations @ W_k.T) / math.sqrt(width)
    return torch.where(mask[:, None], energies, -torch.inf).softmax(-1) @ annotations


def by_the_library(queries, annotations, W_q, W_k, mask):  # type: ignore[no-untyped-def]
    return F.scaled_dot_product_attention(queries @ W_q.T, annotations @ W_k.T, annotations, mask[:, None])


def one_by_one(queries, annotations, W_q, W_k, mask):  # type: ignore[no-untyped-def]
    return torch.stack([looks(q[:, None], annotations, W_q, W_k, mask)[:, 0] for q in queries.unbind(1)], dim=1)


@pytest.mark.parametrize("answer", [looks, by_the_library])
def test_at_once(answer: Callable) -> None:
    assert examine("14.at_once", answer).passed


@pytest.mark.parametrize(
    ("answer", "told", "hint"),
    [
        (lambda **case: None, "returns nothing", "return"),
        (lambda queries, annotations, W_q, W_k, mask: queries @ W_q.T @ (annotations @ W_k.T).mT, "weights", "average"),
        (lambda queries, annotations, W_q, W_k, mask: queries @ W_q.T, "averages of keys", "compare"),
        (lambda **case: looks(**case)[0], "shape is (9, 6)", "for each query"),
        (lambda mask, **case: looks(mask=torch.ones_like(mask), **case), "mask changes nothing", "before the softmax"),
        (lambda **case: looks(**case, scale=1), "not scaled", "root"),
        (lambda **case: looks(**case, scale=6), "another width", "W_q s"),
        (lambda **case: -looks(**case), "not right", "transposed"),
        (one_by_one, "nine steps", "for"),
    ],
)
def test_at_once_wrong(answer: Callable, told: str, hint: str) -> None:
    caught("14.at_once", answer, told, hint)
