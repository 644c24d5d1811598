"""Keras's attention layers, as chapter 14 describes them: values, masks, dropout, and RNNsearch built around one."""

import math
import os

os.environ.setdefault("KERAS_BACKEND", "torch")  # read at the first import of keras
os.environ.setdefault("KERAS_TORCH_DEVICE", "cpu")

import numpy as np
import pytest
import torch
from torch import nn

from course_pkg.attention import AdditiveScore, DotScore, GeneralScore, ScaledDotScore, SoftAttention, masked_softmax
from course_pkg.batching import Batch
from course_pkg.encoders import Encoded
from course_pkg.models import rnnsearch
from course_pkg.placement import look_at_once, place_attention

B, T, S, D, Q, A = 2, 3, 4, 8, 6, 5
MASK = torch.tensor([[True, True, True, True], [True, True, False, False]])
I2, SWAPPED, VALUES = torch.eye(2)[None], torch.eye(2).flip(0)[None].clone(), torch.tensor([[[1.0, 2], [3, 4]]])


@pytest.fixture(scope="module")
def keras(tmp_path_factory):
    os.environ.setdefault("KERAS_HOME", str(tmp_path_factory.mktemp("keras")))
    import keras

    if keras.backend.backend() != "torch":
        pytest.skip("keras was set up with another backend")
    return keras


def close(found, wanted, tolerance=1e-5):
    torch.testing.assert_close(found.detach(), torch.as_tensor(wanted, dtype=found.dtype), rtol=0, atol=tolerance)


def look(layer, *inputs, **options):
    return layer(list(inputs), return_attention_scores=True, **options)


# --- values -----------------------------------------------------------------------------------------------------


def test_dot_products_by_hand(keras):
    """(14.1), no 1/√d: a one-hot query and the same key have the energy 1, another key 0."""
    output, weights = look(keras.layers.Attention(), I2, VALUES, SWAPPED)
    same, other = math.e / (1 + math.e), 1 / (1 + math.e)
    expected = torch.tensor([[[other, same], [same, other]]])
    close(weights, expected)
    close(output, expected @ VALUES)
    close(output, [[[2.4621, 3.4621], [1.5379, 2.5379]]], 1e-4)


@pytest.mark.parametrize("kind", ["concat", "additive"])
def test_sums_by_hand(keras, kind):
    """(14.2) unscaled: tanh 2 for a key that equals the query, 2 tanh 1 for the other, which therefore gets more."""
    layers = keras.layers
    layer = layers.Attention(score_mode="concat") if kind == "concat" else layers.AdditiveAttention(use_scale=False)
    output, weights = look(layer, I2, VALUES, SWAPPED)
    unlike = 1 / (1 + math.exp(math.tanh(2) - 2 * math.tanh(1)))
    expected = torch.tensor([[[unlike, 1 - unlike], [1 - unlike, unlike]]])
    close(weights, expected)
    close(output, expected @ VALUES)
    close(weights, [[[0.6363, 0.3637], [0.3637, 0.6363]]], 1e-4)
    close(output, [[[1.7275, 2.7275], [2.2725, 3.2725]]], 1e-4)


def test_what_is_trained_is_not_what_the_documentation_says(keras):
    """`AdditiveAttention` documents a scalar and holds v_a; only its default is to have one."""
    layers = keras.layers
    for layer, count, shapes in (
        (layers.Attention(), 0, []),
        (layers.Attention(use_scale=True), 1, [()]),
        (layers.Attention(use_scale=True, score_mode="concat"), 2, [(), ()]),
        (layers.AdditiveAttention(), 1, [(2,)]),
        (layers.AdditiveAttention(use_scale=False), 0, []),
    ):
        layer([I2, I2])
        assert len(layer.trainable_weights) == count
        assert [tuple(weight.shape) for weight in layer.trainable_weights] == shapes
    assert "scalar variable" in layers.AdditiveAttention.__doc__


def test_concat_concatenates_nothing(keras):
    """w Σ tanh(g (q + k)), with the scalars g inside and w outside."""
    query, key = torch.randn(B, T, A), torch.randn(B, S, A)
    layer = keras.layers.Attention(score_mode="concat", use_scale=True)
    layer([query, key])
    inside, outside = (weight.name for weight in layer.weights)
    assert (inside, outside) == ("scale", "concat_score_weight")
    layer.set_weights([np.array(0.5), np.array(3.0)])
    energies = 3 * torch.tanh(0.5 * (query[:, :, None] + key[:, None])).sum(-1)
    close(look(layer, query, key)[1], energies.softmax(-1))


def test_values_may_have_another_width_than_keys_and_queries_may_not(keras):
    query, key = torch.randn(B, T, A), torch.randn(B, S, A)
    for layer in (keras.layers.Attention(), keras.layers.AdditiveAttention()):
        assert layer([query, torch.randn(B, S, 9), key]).shape == (B, T, 9)
    for layer in (keras.layers.Attention(), keras.layers.AdditiveAttention()):
        with pytest.raises(Exception, match=rf"\b{A + 1}\b"):
            layer([query, torch.randn(B, S, A + 1)])


# --- masks, dropout, types --------------------------------------------------------------------------------------


def test_a_value_mask_takes_places_out_and_a_query_mask_zeroes_outputs_alone(keras):
    mask = torch.tensor([[True, False]])
    output, weights = look(keras.layers.Attention(), I2, torch.ones(1, 2, 2), mask=[mask, mask])
    close(output, [[[1.0, 1], [0, 0]]])
    close(weights, [[[1.0, 0], [1, 0]]])


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a_masked_place_gets_exactly_nothing(keras, dtype):
    x = torch.randn(B, S, A).to(getattr(torch, dtype))
    _, weights = look(keras.layers.Attention(dtype=dtype), x, x, mask=[None, MASK])
    assert (weights[1, :, 2:] == 0).all() and (weights[0] > 0).any()


def test_nothing_to_look_at(keras):
    """Lowering by 1e9 is no mask once nothing is left: even in single precision, unmasked in double. Ours is NaN."""
    x, nothing = torch.randn(1, S, A), torch.zeros(1, S, dtype=torch.bool)
    _, weights = look(keras.layers.Attention(), x, x, mask=[None, nothing])
    close(weights, torch.full((1, S, S), 1 / S))
    layer = keras.layers.AdditiveAttention(use_scale=False, dtype="float64")
    _, weights = look(layer, x.double(), x.double(), mask=[None, nothing])
    close(weights, torch.tanh(x[:, :, None] + x[:, None]).sum(-1).softmax(-1))
    assert masked_softmax(x[0], torch.zeros(S, A, dtype=torch.bool)).isnan().all()


def test_a_causal_mask_hides_what_comes_later_and_is_joined_with_the_value_mask(keras):
    x, mask = torch.randn(2, 3, A), torch.tensor([[True, True, True], [True, True, False]])
    _, weights = look(keras.layers.Attention(), x, x, mask=[None, mask], use_causal_mask=True)
    allowed = torch.ones(2, 3, 3).tril().bool() & mask[:, None]
    assert torch.equal(weights > 0, allowed)
    close(weights, masked_softmax(x @ x.mT, allowed))


def test_dropout_falls_on_the_weights_and_only_in_training(keras):
    x = torch.randn(1, 40, A)
    layer = keras.layers.Attention(dropout=0.5, seed=1)
    output, dropped = look(layer, x, x, training=True)
    _, kept = look(layer, x, x)
    gone = dropped == 0
    assert 0.4 < gone.float().mean() < 0.6
    close(dropped[~gone], 2 * kept[~gone])
    close(output, dropped @ x)
    assert (dropped.sum(-1) - 1).abs().max() > 0.1
    close(kept.sum(-1), torch.ones(1, 40))
    again = keras.layers.Attention(dropout=0.5, seed=1)
    assert torch.equal(look(again, x, x, training=True)[1], dropped), "the seed decides what is dropped"


# --- the package's scores, and RNNsearch ------------------------------------------------------------------------


def dense(keras, linear):
    """A bias-free layer with the weights of a linear map."""
    layer = keras.layers.Dense(linear.out_features, use_bias=False)
    layer.build((1, linear.in_features))
    layer.set_weights([linear.weight.T.detach()])
    return layer


def test_two_dense_layers_and_the_line_are_additive_attention(keras):
    """(14.3), (14.4)"""
    score, queries, annotations = AdditiveScore(Q, D, A), torch.randn(B, T, Q), torch.randn(B, S, D)
    attention = SoftAttention(score)
    line = keras.layers.AdditiveAttention()
    line.build([(B, T, A), (B, S, D), (B, S, A)])
    line.set_weights([score.v_a.detach()])
    inputs = dense(keras, score.W_a)(queries), annotations, dense(keras, score.U_a)(annotations)
    output, weights = look(line, *inputs, mask=[None, MASK])
    contexts, alpha = look_at_once(attention, queries, attention.remember(annotations, MASK))
    close(output, contexts, 1e-6)
    close(weights, alpha, 1e-6)


@pytest.mark.parametrize("name", ["dot", "general", "scaled-dot"])
def test_products_are_the_dot_line_with_dense_layers(keras, name):
    """(14.1), (14.8), (14.10)"""
    annotations = torch.randn(B, S, D)
    score, queries = {
        "dot": (DotScore(), torch.randn(B, T, D)),
        "general": (GeneralScore(Q, D), torch.randn(B, T, Q)),
        "scaled-dot": (ScaledDotScore(Q, D, A), torch.randn(B, T, Q)),
    }[name]
    keys, asked = annotations, queries
    if name == "general":
        keys = dense(keras, score.W_a)(annotations)
    if name == "scaled-dot":
        keys, asked = dense(keras, score.W_k)(annotations), dense(keras, score.W_q)(queries) / math.sqrt(A)
    output, weights = look(keras.layers.Attention(), asked, annotations, keys, mask=[None, MASK])
    attention = SoftAttention(score)
    contexts, alpha = look_at_once(attention, queries, attention.remember(annotations, MASK))
    close(output, contexts)
    close(weights, alpha)


def keras_rnnsearch(keras, decoder, encoded, inputs, *, turned=-1.0, old_query=True):
    """(14.4) to (14.6): W_a, U_a, the line and Keras's GRU cell, whose update gate keeps."""
    score, unit = decoder.attention.score, decoder.unit
    line = keras.layers.AdditiveAttention()
    line.build([(1, 1, score.v_a.numel()), encoded.annotations.shape, (1, 1, score.v_a.numel())])
    line.set_weights([score.v_a.detach()])
    cell = keras.layers.GRUCell(unit.state_size, reset_after=False)
    cell.build((1, decoder.embedding.weight.shape[1] + encoded.annotations.shape[2]))

    def keras_order(rows):
        reset, write, candidate = rows.detach().chunk(3)
        return torch.cat([turned * write, reset, candidate]).T

    bias = torch.cat([torch.zeros(2 * unit.state_size), unit.bias_ih.detach()])
    kernel = torch.cat([unit.weight_ih, decoder.C.weight], dim=1)
    cell.set_weights([keras_order(kernel), keras_order(unit.weight_hh), bias])
    W_a, keys = dense(keras, score.W_a), dense(keras, score.U_a)(encoded.annotations)
    s = torch.tanh(decoder.W_s(encoded.summary))
    first, logits = s, []
    for y in decoder.embedding(inputs).unbind(1):
        query = W_a(s if old_query else first)[:, None]
        c = line([query, encoded.annotations, keys], mask=[None, encoded.mask])[:, 0]
        s, _ = cell(torch.cat([y, c], dim=-1), [s])
        logits.append(decoder.output(s, y, c))
    return torch.stack(logits, dim=1)


@torch.no_grad()
def test_the_line_inside_a_recurrence_is_rnnsearch(keras):
    """(14.4), (14.5), (14.6), on random weights, with padding: logits equal to 1e-5, and a wrong gate is noticed."""
    torch.manual_seed(14)
    model = rnnsearch(
        source_vocabulary=20, target_vocabulary=20, embedding_size=4, state_size=6, alignment_size=5, maxout_size=3
    )
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.7)
    batch = Batch.collate([([5, 9, 7, 4, 11], [6, 8, 12, 9]), ([10, 5], [7, 4])])
    encoded = model.encode(batch.source, batch.source_mask)
    wanted = model(batch).logits
    close(keras_rnnsearch(keras, model.decoder, encoded, batch.inputs), wanted)
    for fault in ({"turned": 1.0}, {"old_query": False}):
        assert (keras_rnnsearch(keras, model.decoder, encoded, batch.inputs, **fault) - wanted).abs().max() > 1e-2


@torch.no_grad()
def test_the_line_after_a_recurrence_is_one_call(keras):
    """(14.7): the states first, then a single call for all of them."""
    model = place_attention(
        "after", source_vocabulary=9, target_vocabulary=9, embedding_size=4, state_size=4, decoder_size=Q,
        alignment_size=A, maxout_size=3,
    )  # fmt: skip
    decoder, inputs = model.decoder, torch.tensor([[2, 5, 7], [2, 8, 6]])
    encoded = Encoded(torch.randn(B, S, D), MASK, torch.randn(B, 4))
    score, embedded = decoder.attention.score, decoder.embedding(inputs)
    states = decoder.unit(embedded, torch.tanh(decoder.W_s(encoded.summary)))
    line = keras.layers.AdditiveAttention()
    line.build([(B, T, A), (B, S, D), (B, S, A)])
    line.set_weights([score.v_a])
    asked, keys = dense(keras, score.W_a)(states), dense(keras, score.U_a)(encoded.annotations)
    contexts, weights = look(line, asked, encoded.annotations, keys, mask=[None, MASK])
    rollout = decoder(inputs, encoded)
    close(weights, rollout.weights)
    close(decoder.output(states, embedded, contexts), rollout.logits)
