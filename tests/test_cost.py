"""Costs: the formulas against what really happens, and the bytes against what autograd really keeps."""

import weakref

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from course_pkg.attention import AdditiveScore, SoftAttention
from course_pkg.batching import Batch
from course_pkg.cost import (
    PAPER,
    Cost,
    Sizes,
    additive_attention_cost,
    count_operations,
    longest_chain,
    rnn_encoder_decoder_cost,
    rnnsearch_cost,
    saved_for_backward,
)
from course_pkg.models import rnn_encoder_decoder, rnnsearch

SMALL = Sizes(state=6, alignment=5, embedding=4, maxout=3, vocabulary=17)


def looks(T_x: int, T_y: int, sizes: Sizes, batch: int = 1, keys_once: bool = True) -> None:
    attention = SoftAttention(AdditiveScore(sizes.state, 2 * sizes.state, sizes.alignment))
    annotations, mask = torch.randn(batch, T_x, 2 * sizes.state), torch.ones(batch, T_x, dtype=torch.bool)
    memory = attention.remember(annotations, mask) if keys_once else None
    for query in torch.randn(T_y, batch, sizes.state):
        attention(query, memory or attention.remember(annotations, mask))


# -- formulas ---------------------------------------------------------------------------------------------------------


def test_the_formula_is_that_of_the_paper() -> None:
    n, n_a = PAPER.state, PAPER.alignment
    for T_x, T_y in ((1, 1), (30, 30), (17, 43)):
        expected = 2 * n * n_a * T_x + n * n_a * T_y + (n_a + 2 * n) * T_x * T_y  # P10
        assert additive_attention_cost()(T_x, T_y) == expected


LENGTH, WIDTH = st.integers(1, 9), st.integers(1, 7)


@settings(deadline=None, max_examples=30)
@given(T_x=LENGTH, T_y=LENGTH, n=WIDTH, n_a=WIDTH, batch=st.integers(1, 3))
def test_attention_does_what_the_formula_says(T_x: int, T_y: int, n: int, n_a: int, batch: int) -> None:
    sizes = Sizes(state=n, alignment=n_a)
    counted = count_operations(looks, T_x, T_y, sizes, batch)
    assert counted["multiply_adds"] == batch * additive_attention_cost(sizes)(T_x, T_y)
    assert counted["tanh"] == batch * n_a * T_x * T_y and counted["exp"] == batch * T_x * T_y


def test_keys_in_every_step_cost_what_the_formula_says() -> None:
    counted = count_operations(looks, 7, 4, SMALL, keys_once=False)
    assert counted["multiply_adds"] == additive_attention_cost(SMALL, keys_once=False)(7, 4)


@pytest.mark.parametrize(
    ("model", "formula"), [(rnnsearch, rnnsearch_cost), (rnn_encoder_decoder, rnn_encoder_decoder_cost)]
)
@pytest.mark.parametrize("sizes", [SMALL, PAPER], ids=["small", "paper"])
def test_whole_models_do_what_the_formulas_say(model, formula, sizes: Sizes) -> None:  # type: ignore[no-untyped-def]
    widths = {"embedding_size": sizes.embedding, "state_size": sizes.state, "maxout_size": sizes.maxout}
    if model is rnnsearch:
        widths["alignment_size"] = sizes.alignment
    with torch.device("meta"):
        built = model(source_vocabulary=9, target_vocabulary=sizes.vocabulary, **widths)
    total = sum(formula(sizes).values(), start=Cost())
    for T_x, T_y in ((1, 1), (5, 3), (2, 8)):
        batch = Batch.collate([([5] * T_x, [6] * T_y), ([5], [6])]).to("meta")
        assert count_operations(built, batch)["multiply_adds"] == 2 * total(T_x, T_y)


def test_only_attention_has_both_lengths() -> None:
    assert [name for name, cost in rnnsearch_cost().items() if cost.pair] == ["attention"]
    assert not any(cost.pair for cost in rnn_encoder_decoder_cost().values())


def test_costs_add_up() -> None:
    assert Cost(1, 2, 3, 4)(5, 7) == 1 + 2 * 5 + 3 * 7 + 4 * 35
    assert Cost(1, 2, 3, 4) + Cost(10, 20, 30, 40) == Cost(11, 22, 33, 44)


# -- counting ---------------------------------------------------------------------------------------------------------

A, B, v = torch.randn(3, 4), torch.randn(4, 5), torch.randn(4)


@pytest.mark.parametrize(
    ("product", "expected"),
    [
        (lambda: A @ B, 60),
        (lambda: A @ v, 12),
        (lambda: v @ v, 4),
        (lambda: torch.bmm(A.expand(2, 3, 4), B.expand(2, 4, 5)), 120),
        (lambda: F.linear(A, B.T), 60),
        (lambda: F.linear(A, B.T, torch.zeros(5)), 60),
        (lambda: F.linear(A.expand(2, 3, 4), B.T, torch.zeros(5)), 120),
        (lambda: torch.baddbmm(torch.zeros(2, 3, 5), A.expand(2, 3, 4), B.expand(2, 4, 5)), 120),
        (lambda: torch.addmv(torch.zeros(3), A, v), 12),
        (lambda: A * A + A, 0),
    ],
)
def test_products_are_counted_in_whatever_form_they_come(product, expected: int) -> None:  # type: ignore[no-untyped-def]
    assert count_operations(product) == {"multiply_adds": expected, "tanh": 0, "exp": 0}


def test_a_product_outside_is_not_counted() -> None:
    counted = count_operations(lambda: None)
    _ = A @ B
    assert counted["multiply_adds"] == 0


# -- what autograd keeps ----------------------------------------------------------------------------------------------


def test_bytes_are_those_of_what_the_gradient_needs() -> None:
    x = torch.randn(10, requires_grad=True)
    with saved_for_backward() as saved:
        _ = torch.tanh(x)
    assert saved.bytes == 40  # the result
    with saved_for_backward() as saved:
        _ = x + 1
    assert saved.bytes == 0
    with saved_for_backward() as saved:
        y = torch.tanh(x)
        _ = y * y, y[:5].sin()
    assert saved.bytes == 40  # one storage, however often and through whatever view


def test_what_would_be_there_anyhow_is_left_out() -> None:
    layer = torch.nn.Linear(4, 5, bias=False)
    x = torch.randn(3, 4, requires_grad=True)
    with saved_for_backward() as everything:
        layer(x)
    with saved_for_backward(layer.parameters()) as saved:
        layer(x)
    assert everything.bytes - saved.bytes == 4 * 20 and saved.bytes == 4 * 12


def test_nothing_is_kept_alive_after_counting() -> None:
    x = torch.randn(10, requires_grad=True)
    with saved_for_backward() as saved:
        result = torch.tanh(x)
    place = weakref.ref(result)
    del saved, result
    assert place() is None


def test_freed_places_are_not_taken_for_one() -> None:
    x = torch.randn(1000, requires_grad=True)
    with saved_for_backward() as saved:
        for _ in range(5):
            torch.tanh(x)  # freed at once, so the next may lie where it lay
    assert saved.bytes == 5 * 4000


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_attention_keeps_a_hidden_layer_for_every_pair(device: str) -> None:
    n, n_a = 6, 50
    attention = SoftAttention(AdditiveScore(n, 2 * n, n_a)).to(device)

    def kept(T_x: int, T_y: int) -> int:
        annotations = torch.randn(1, T_x, 2 * n, device=device, requires_grad=True)
        with saved_for_backward(attention.parameters()) as saved:
            memory = attention.remember(annotations, torch.ones(1, T_x, dtype=torch.bool, device=device))
            for query in torch.randn(T_y, 1, n, device=device, requires_grad=True):
                attention(query, memory)
        return saved.bytes

    pair = kept(9, 8) - kept(8, 8) - kept(9, 7) + kept(8, 7)  # what is left belongs to a pair
    assert 4 * (n_a + 1) <= pair <= 4 * (n_a + 4)


# The longest chain


def test_products_in_a_row_count_and_products_side_by_side_do_not() -> None:
    a = torch.randn(3, 3, requires_grad=True)
    row = a @ a @ a @ a.sum(0)
    assert longest_chain(row) == 3
    assert longest_chain(torch.stack([row.sum(), (a @ a).sum()]).tanh()) == 3
    assert longest_chain((a @ a) + (a @ a)) == 1 and longest_chain(a.tanh() * 2) == 0
    assert longest_chain(torch.zeros(2)) == 0, "nothing was computed"


@pytest.mark.parametrize(
    ("product", "expected"),
    [
        (lambda x, y: torch.bmm(x, y), 1),
        (lambda x, y: torch.baddbmm(x, x, y), 1),
        (lambda x, y: F.linear(x, y[0], y[0, 0]), 1),
        (lambda x, y: x[0] @ y[0, 0], 1),
        (lambda x, y: torch.addmm(x[0], x[0], y[0]), 1),
        (lambda x, y: torch.addmv(x[0, 0], x[0], y[0, 0]), 1),
        (lambda x, y: torch.dot(x[0, 0], y[0, 0]), 1),
        (lambda x, y: torch.einsum("bij,bjk->bik", x, y), 1),
        (lambda x, y: F.scaled_dot_product_attention(x, y, y), 2),
        (lambda x, y: F.scaled_dot_product_attention(x, y, y, is_causal=True) @ y, 3),
    ],
)
def test_a_chain_knows_products_in_whatever_form_they_come(product, expected: int) -> None:  # type: ignore[no-untyped-def]
    x, y = (torch.randn(2, 4, 4, requires_grad=True) for _ in range(2))
    assert longest_chain(product(x, y)) == expected


def test_a_recurrence_waits_and_a_long_graph_is_no_trouble() -> None:
    """A chain of 5000 products is walked without recursion; RNNsearch's loop has five in each step (14.12)."""
    a, x = torch.eye(2, requires_grad=True), torch.ones(2)
    for _ in range(5000):
        x = a @ x
    assert longest_chain(x) == 5000
    model = rnnsearch(source_vocabulary=9, target_vocabulary=9, embedding_size=4, state_size=5, maxout_size=3)
    model.decoder.bptt = False
    chains = [longest_chain(model(Batch.collate([([5] * 3, [5] * n)])).logits) for n in (2, 3, 9)]
    assert [later - chains[0] for later in chains] == [0, 5, 35]
