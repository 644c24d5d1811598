"""Decoders: one step and all steps are the same mathematics; what each prediction may know (SPEC P10, P19)."""

import pytest
import torch
from driven import steps
from torch import nn

from course_pkg.attention import AdditiveScore, DotScore, GeneralScore, ScaledDotScore, SoftAttention
from course_pkg.decoders import STEP_ORDERS, AttentiveDecoder, Decoder, DeepOutput, PlainDecoder, State, maxout
from course_pkg.encoders import Encoded, WordEmbedding
from course_pkg.notation import CourseError
from course_pkg.recurrent import GatedRecurrentUnit
from course_pkg.vocabulary import BOS, EOS, PAD

B, S, T, V, E, H, A, L = 3, 5, 4, 11, 4, 6, 7, 3
LENGTHS = torch.tensor([5, 2, 3])
MASK = torch.arange(S) < LENGTHS.unsqueeze(1)
INPUTS = torch.tensor([[BOS, 4, 9, 7], [BOS, 8, 8, 5], [BOS, 10, EOS, PAD]])
RESETS = ("before", "after")
SCORES = {  # and the width of the annotations; the dot compares equal widths
    "additive": (lambda: AdditiveScore(H, 2 * H, A), 2 * H),
    "scaled-dot": (lambda: ScaledDotScore(H, 2 * H, A), 2 * H),
    "general": (lambda: GeneralScore(H, 2 * H), 2 * H),
    "dot": (lambda: DotScore(), H),
}


def lively(decoder):
    """Numbers large enough for every gate, weight and maxout pair to matter."""
    for parameter in decoder.parameters():
        nn.init.normal_(parameter, std=0.7)
    return decoder.double()


def attentive(order="main-text", reset="before", score="additive", bias=True):
    make, width = SCORES[score]
    decoder = AttentiveDecoder(
        WordEmbedding(V, E, bos=BOS),
        GatedRecurrentUnit(E, H, reset=reset, bias=bias),
        SoftAttention(make()),
        DeepOutput(H, E, width, L, V, bias=bias),
        annotation_size=width,
        summary_size=H,
        order=order,
        bias=bias,
    )
    annotations = torch.randn(B, S, width).double()
    return lively(decoder), Encoded(annotations, MASK, torch.randn(B, H).double().tanh())


def plain(reset="before", bias=True):
    decoder = PlainDecoder(
        WordEmbedding(V, E, bos=BOS),
        GatedRecurrentUnit(E, H, reset=reset, bias=bias),
        DeepOutput(H, E, H, L, V, bias=bias),
        context_size=H,
        bias=bias,
    )
    return lively(decoder), Encoded(torch.randn(B, S, H).double(), MASK, torch.randn(B, H).double().tanh())


ALL = [
    *(pytest.param(lambda o=o, r=r, s=s: attentive(o, r, s), id=f"{o}, {r}, {s}")
      for o in STEP_ORDERS for r in RESETS for s in SCORES),
    *(pytest.param(lambda r=r: plain(r), id=f"plain, {r}") for r in RESETS),
]  # fmt: skip
ORDERS = pytest.mark.parametrize("order", STEP_ORDERS)


# P19


@pytest.mark.parametrize("make", ALL)
def test_step_by_step_reproduces_teacher_forcing(make):
    """P19: the log-probabilities, and the weights where there are any."""
    decoder, encoded = make()
    rollout, outcomes = decoder(INPUTS, encoded), steps(decoder, encoded, INPUTS)
    found = torch.stack([outcome.logits for outcome in outcomes], dim=1).log_softmax(-1)
    assert rollout.logits.shape == (B, T, V)
    torch.testing.assert_close(found, rollout.logits.log_softmax(-1), rtol=0, atol=1e-11)
    if rollout.weights is None:
        assert all(outcome.glimpse is None for outcome in outcomes)
    else:
        weights = torch.stack([outcome.glimpse.weights for outcome in outcomes], dim=1)
        assert rollout.weights.shape == (B, T, S)
        torch.testing.assert_close(weights, rollout.weights, rtol=0, atol=1e-12)


@pytest.mark.parametrize("make", ALL)
def test_a_step_remembers_nothing_outside_its_state(make):
    """Hypotheses reordered between steps, as beam search does, go on as if they had always stood so."""
    decoder, encoded = make()
    memory, state = decoder.start(encoded)
    first = decoder.step(INPUTS[:, 0], state, memory)
    rows = torch.tensor([2, 2, 0, 1])
    straight = decoder.step(INPUTS[:, 1], first.state, memory)
    taken = decoder.step(INPUTS[rows, 1], first.state.take(rows), memory.take(rows))
    torch.testing.assert_close(taken.logits, straight.logits[rows], rtol=0, atol=1e-12)


@pytest.mark.parametrize("make", ALL)
def test_padding_and_batch_order_change_nothing(make):
    decoder, encoded = make()
    rows = torch.tensor([1, 2, 0])
    annotations = nn.functional.pad(encoded.annotations, (0, 0, 0, 2), value=1e3)[rows]
    wider = Encoded(annotations, nn.functional.pad(MASK, (0, 2))[rows], encoded.summary[rows])
    long = decoder(nn.functional.pad(INPUTS[rows], (0, 2), value=PAD), wider)
    short = decoder(INPUTS, encoded).take(rows)
    torch.testing.assert_close(long.logits[:, :T], short.logits, rtol=0, atol=1e-11)
    if short.weights is not None:
        torch.testing.assert_close(long.weights[:, :T, :S], short.weights, rtol=0, atol=1e-12)
        assert (long.weights[:, :, S:] == 0).all()


# Weights


@ORDERS
def test_every_row_of_the_weights_is_a_distribution_over_real_positions(order):
    """P1 in a rollout; B, T and S differ."""
    decoder, encoded = attentive(order)
    weights = decoder(INPUTS, encoded).weights
    torch.testing.assert_close(weights.sum(-1), torch.ones(B, T).double())
    assert (weights[~MASK.unsqueeze(1).expand(B, T, S)] == 0).all()


@ORDERS
def test_permuted_annotations_change_no_prediction(order):
    """P2: to the decoder the source is a set."""
    decoder, encoded = attentive(order)
    places = torch.tensor([3, 0, 4, 2, 1])
    permuted = decoder(INPUTS, Encoded(encoded.annotations[:, places], MASK[:, places], encoded.summary))
    straight = decoder(INPUTS, encoded)
    torch.testing.assert_close(permuted.logits, straight.logits, rtol=0, atol=1e-11)
    torch.testing.assert_close(permuted.weights, straight.weights[:, :, places], rtol=0, atol=1e-12)


# What each step may know


def moved(decoder, encoded, position, what):
    """Which steps change when the input of one step changes."""
    changed = INPUTS.clone()
    changed[:, position] = torch.tensor([6, 6, 6])
    before, after = (getattr(decoder(inputs, encoded), what) for inputs in (INPUTS, changed))
    return [(before[:, i] - after[:, i]).abs().max().item() > 1e-9 for i in range(T)]


@pytest.mark.parametrize("make", ALL)
def test_a_prediction_knows_its_word_before_and_no_later_one(make):
    """Row i of the logits has read inputs 0…i. The last row has no word after it to leak from."""
    decoder, encoded = make()
    for position in range(1, T):
        assert moved(decoder, encoded, position, "logits") == [i >= position for i in range(T)]


@ORDERS
def test_the_query_knows_the_words_that_its_order_says(order):
    """Inputs are y_{i-1}. In [B]'s orders the query s_{i-1} has read up to y_{i-2}; GroundHog's holds y_{i-1} too."""
    decoder, encoded = attentive(order)
    late = 0 if order == "groundhog" else 1
    for position in range(1, T):
        assert moved(decoder, encoded, position, "weights") == [i >= position + late for i in range(T)]


@ORDERS
def test_the_output_sees_the_state_that_its_order_says(order):
    """With V_o and C_o at zero, only the state speaks: s_i has read y_{i-1}; the appendix's s_{i-1} has not."""
    decoder, encoded = attentive(order)
    for matrix in (decoder.output.V_o, decoder.output.C_o):
        nn.init.zeros_(matrix.weight)
    late = 1 if order == "appendix" else 0
    assert moved(decoder, encoded, 2, "logits") == [i >= 2 + late for i in range(T)]


def test_the_three_orders_share_their_parameters_and_differ():
    (main, encoded), (appendix, _), (groundhog, _) = (attentive(order) for order in STEP_ORDERS)
    appendix.load_state_dict(main.state_dict())
    groundhog.load_state_dict(main.state_dict())
    rollouts = [decoder(INPUTS, encoded) for decoder in (main, appendix, groundhog)]
    # The appendix changes what the output sees, not the states: the same weights, other predictions.
    assert torch.equal(rollouts[0].weights, rollouts[1].weights)
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert (rollouts[one].logits - rollouts[other].logits).abs().max() > 1e-3
    # The first query is s_0 in every order; at the first step appendix and GroundHog are still the same.
    torch.testing.assert_close(rollouts[2].weights[:, 0], rollouts[0].weights[:, 0])
    torch.testing.assert_close(rollouts[2].logits[:, 0], rollouts[1].logits[:, 0])


def test_the_context_reaches_each_gate_and_the_output():
    """C, C_z and C_r (§A.2.2): silencing the context's share in any gate, or in the output, shows."""
    decoder, encoded = attentive()
    before = decoder(INPUTS, encoded).logits
    for gate in range(3):
        changed, _ = attentive()
        changed.load_state_dict(decoder.state_dict())
        with torch.no_grad():
            changed.C.weight[gate * H : (gate + 1) * H] = 0
        assert (changed(INPUTS, encoded).logits - before).abs().max() > 1e-6
    nn.init.zeros_(decoder.output.C_o.weight)
    assert (decoder(INPUTS, encoded).logits - before).abs().max() > 1e-6


# The first step


@pytest.mark.parametrize("make", ALL)
def test_the_first_state_is_a_tanh_of_the_summary(make):
    decoder, encoded = make()
    _, state = decoder.start(encoded)
    expected = torch.tanh(encoded.summary @ decoder.W_s.weight.T + decoder.W_s.bias)
    torch.testing.assert_close(state.hidden, expected)
    assert state.cell is None and state.context is None


@pytest.mark.parametrize("make", ALL)
def test_the_word_before_the_first_is_a_zero(make):
    """The y_0 term is zero: neither the gates nor the output see anything of the begin-of-sentence token."""
    decoder, encoded = make()
    before = decoder(INPUTS, encoded).logits
    with torch.no_grad():
        decoder.embedding.weight[BOS] = 50.0
    assert torch.equal(decoder(INPUTS, encoded).logits, before)


def test_groundhog_updates_with_the_context_of_the_last_look():
    decoder, encoded = attentive("groundhog")
    memory, state = decoder.start(encoded)
    first = decoder.step(INPUTS[:, 0], state, memory)
    assert torch.equal(first.state.hidden, state.hidden)  # nothing was emitted yet
    assert torch.equal(first.state.context, first.glimpse.context)
    second = decoder.step(INPUTS[:, 1], first.state, memory)
    gates = decoder.unit.gates(decoder.embedding(INPUTS[:, 1])) + decoder.C(first.glimpse.context)
    torch.testing.assert_close(second.state.hidden, decoder.unit.update(gates, state.hidden))


# The fixed vector


def test_the_plain_decoder_is_the_attentive_one_with_a_single_annotation():
    """RNNencdec is the special case c_i = h_{T_x} for every i (§A.2.2): attention over one annotation."""
    decoder, encoded = plain()
    twin = AttentiveDecoder(
        decoder.embedding,
        decoder.unit,
        SoftAttention(AdditiveScore(H, H, A)).double(),
        decoder.output,
        annotation_size=H,
        summary_size=H,
    ).double()
    twin.W_s, twin.C = decoder.W_s, decoder.C
    alone = Encoded(encoded.summary.unsqueeze(1), torch.ones(B, 1, dtype=torch.bool), encoded.summary)
    rollout = twin(INPUTS, alone)
    assert (rollout.weights == 1).all()
    torch.testing.assert_close(decoder(INPUTS, encoded).logits, rollout.logits, rtol=0, atol=1e-12)


def test_the_plain_decoder_cannot_look():
    decoder, encoded = plain()
    elsewhere = Encoded(torch.randn(B, S, H).double(), MASK, encoded.summary)
    assert torch.equal(decoder(INPUTS, encoded).logits, decoder(INPUTS, elsewhere).logits)


# The deep output


def test_maxout_takes_the_larger_of_neighbours():
    """t_j = max(t̃_{2j-1}, t̃_{2j}), not the larger of the two halves."""
    assert maxout(torch.tensor([1.0, 5, 2, 0, 9, 3])).tolist() == [5, 2, 9]
    values = torch.randn(2, 3, 8)
    torch.testing.assert_close(maxout(values), values.reshape(2, 3, 4, 2).amax(-1))


def test_deep_output_is_its_formula():
    output = lively(DeepOutput(H, E, 2 * H, L, V))
    state, word, context = torch.randn(H).double(), torch.randn(E).double(), torch.randn(2 * H).double()
    t = output.U_o.weight @ state + output.U_o.bias + output.V_o.weight @ word + output.C_o.weight @ context
    pairs = torch.stack([max(t[2 * j], t[2 * j + 1]) for j in range(L)])
    torch.testing.assert_close(output(state, word, context), output.W_o.weight @ pairs + output.W_o.bias)


def test_output_dropout_acts_in_training_alone():
    output = DeepOutput(H, E, 2 * H, 400, V, dropout=0.5)
    arguments = torch.randn(H), torch.randn(E), torch.randn(2 * H)
    seen = []
    output.W_o.register_forward_hook(lambda module, inputs, result: seen.append(inputs[0]))
    output.eval()(*arguments)
    output.train()(*arguments)
    whole, dropped = seen
    kept = dropped != 0
    assert 0.4 < kept.float().mean() < 0.6
    torch.testing.assert_close(dropped[kept], 2 * whole[kept])


def test_a_tied_output_is_the_embedding_itself():
    table = WordEmbedding(V, L, bos=BOS)
    output = DeepOutput(H, L, 2 * H, L, V, tied=table.weight)
    assert output.W_o.weight is table.weight
    with pytest.raises(CourseError, match=f"maxout_size = {L}; it is {L + 1}"):
        DeepOutput(H, L, 2 * H, L + 1, V, tied=table.weight)


# P10: computed once


def calls(module):
    """How often a module is called; the list grows."""
    count = []
    module.register_forward_hook(lambda *_: count.append(1))
    return count


@ORDERS
def test_what_does_not_depend_on_the_state_is_computed_once(order):
    """P10: U_a h once for each batch of sentences, W_a s once a step, the vocabulary product once for all steps."""
    decoder, encoded = attentive(order)
    score = decoder.attention.score
    keys, queries, energies = calls(score.U_a), calls(score.W_a), calls(score)
    words, vocabulary = calls(decoder.embedding), calls(decoder.output.W_o)
    decoder(INPUTS, encoded)
    assert [len(c) for c in (keys, queries, energies, words, vocabulary)] == [1, T, T, 1, 1]
    steps(decoder, encoded, INPUTS)
    assert len(keys) == 2 and len(energies) == 2 * T


def test_the_fixed_vectors_share_of_the_gates_is_computed_once():
    decoder, encoded = plain()
    share, vocabulary = calls(decoder.C), calls(decoder.output.W_o)
    steps(decoder, encoded, INPUTS)
    assert len(share) == 1
    decoder(INPUTS, encoded)
    assert (len(share), len(vocabulary)) == (2, T + 1)


# Gradients


@pytest.mark.parametrize("make", ALL)
def test_every_parameter_learns(make):
    decoder, encoded = make()
    decoder(INPUTS, encoded).logits.log_softmax(-1).square().sum().backward()
    for name, parameter in decoder.named_parameters():
        assert parameter.grad is not None and (parameter.grad != 0).any(), name


@ORDERS
def test_gradients_agree_with_finite_differences(order):
    decoder, encoded = attentive(order)

    def logits(annotations, summary):
        return decoder(INPUTS, Encoded(annotations, MASK, summary)).logits

    arguments = encoded.annotations.requires_grad_(), encoded.summary.requires_grad_()
    assert torch.autograd.gradcheck(logits, arguments, fast_mode=True)


def test_bad_arguments_are_refused():
    with pytest.raises(CourseError, match="order is 'backwards'.*main-text, appendix, groundhog"):
        attentive("backwards")
    with pytest.raises(TypeError, match="abstract"):
        Decoder()


def test_a_state_keeps_what_it_does_not_have():
    """`take` passes over the fields that are None."""
    taken = State(torch.arange(6.0).view(3, 2)).take(torch.tensor([2, 2]))
    assert taken.hidden.tolist() == [[4, 5], [4, 5]] and taken.cell is None and taken.context is None
