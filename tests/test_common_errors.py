"""Common errors of attention-based models, each kept here as a class with the error in it.

For each error (SPEC §7) one check holds for the package and fails for the mutant; `test_the_check_sees_the_error` is
what makes the check worth having. Errors 9, 10 and 11 are those of inference, search and metrics.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from course_pkg.attention import AdditiveScore, Glimpse, Score, SoftAttention
from course_pkg.caption_decoder import CaptionDecoder, CaptionOutput, FirstState
from course_pkg.decoders import STEP_ORDERS, AttentiveDecoder, DeepOutput, Rollout, State
from course_pkg.encoders import BiGRUEncoder, Encoded, ImageEncoder, WordEmbedding
from course_pkg.feature_networks import prepare
from course_pkg.losses import (
    MovingBaseline,
    Reinforced,
    doubly_stochastic_penalty,
    reinforce,
    sequence_cross_entropy,
)
from course_pkg.recurrent import GatedRecurrentUnit, LongShortTermMemory
from course_pkg.vocabulary import BOS, EOS, PAD
from course_pkg.widgets.region_pictures import enlarged

B, S, T, V, E, H, A = 2, 5, 4, 12, 3, 4, 6
LENGTHS = torch.tensor([5, 3])
MASK = torch.arange(S) < LENGTHS.unsqueeze(1)
SOURCE = torch.tensor([[5, 7, 9, 4, EOS], [8, 6, EOS, PAD, PAD]])
INPUTS = torch.tensor([[BOS, 4, 9, 7], [BOS, 8, 10, 5]])


def lively(module):
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    return module.double()


def close(one, other):
    """An assertion, so that every check fails in the same way."""
    torch.testing.assert_close(one, other, rtol=0, atol=1e-9)


# 1 and 2: the softmax


class MaskAfterSoftmax(SoftAttention):
    """Error 1: padding is silenced after the softmax, and nobody divides again."""

    def forward(self, query, memory):
        scores = self.score(query, memory.keys)
        weights = scores.softmax(-1) * memory.mask
        return Glimpse((weights.unsqueeze(-1) * memory.annotations).sum(1), weights, scores)


class SoftmaxOverTheBatch(SoftAttention):
    """Error 2: the softmax runs over the sentences of the batch."""

    def forward(self, query, memory):
        scores = self.score(query, memory.keys)
        weights = scores.softmax(0) * memory.mask
        return Glimpse((weights.unsqueeze(-1) * memory.annotations).sum(1), weights, scores)


def check_each_row_of_weights_sums_to_one(attention_class):
    """P1, with B ≠ S."""
    attention = lively(attention_class(AdditiveScore(H, 2 * H, A)))
    memory = attention.remember(torch.randn(B, S, 2 * H).double(), MASK)
    weights = attention(torch.randn(B, H).double(), memory).weights
    close(weights.sum(1), torch.ones(B).double())
    assert (weights[~MASK] == 0).all()


# 3: the query


class QueryWithTheNewState(AttentiveDecoder):
    """Error 3: the state is updated before it asks, with the last context, in the orders of [B]."""

    def _advance(self, gates, state, memory):
        last = torch.zeros_like(memory.annotations[:, 0]) if state.context is None else state.context
        hidden = self._update(gates, state.hidden, last)
        glimpse = self.attention(hidden, memory)
        return State(hidden, context=glimpse.context), hidden, glimpse


class QueryWithTheOldState(AttentiveDecoder):
    """Error 3 the other way round: GroundHog's query has to hold the word just emitted; this one is a step behind."""

    def _advance(self, gates, state, memory):
        glimpse = self.attention(state.hidden, memory)
        hidden = self._update(gates, state.hidden, glimpse.context)
        return State(hidden, context=glimpse.context), state.hidden, glimpse


class CaptionQueryWithTheNewState(CaptionDecoder):
    """Error 3 in the captioner: the LSTM takes the word in, with what was seen last, and only then asks."""

    def forward(self, inputs, encoded):
        memory, state = self.start(encoded)
        hidden, cell, context, weights = state.hidden, state.cell, torch.zeros_like(encoded.summary), []
        for share in self.unit.gates(self.embedding(inputs)).unbind(1):
            hidden, cell = self.unit.update(share + self.Z(context), hidden, cell)
            glimpse = self.attention(hidden, memory)
            context = glimpse.context
            weights.append(glimpse.weights)
        return Rollout(torch.zeros(*inputs.shape, V), torch.stack(weights, dim=1))


class CaptionGateWithTheNewState(CaptionDecoder):
    """Error 3 in the captioner's gate: α_t asks in time, β_t with the state that has read the word."""

    def forward(self, inputs, encoded):
        rollout = super().forward(inputs, encoded)
        return replace(rollout, weights=rollout.gate.roll(-1, dims=1).unsqueeze(-1))


class CaptionGate(CaptionDecoder):
    """The package's, with β where the check looks for α."""

    def forward(self, inputs, encoded):
        rollout = super().forward(inputs, encoded)
        return replace(rollout, weights=rollout.gate.unsqueeze(-1))


def captioning(decoder_class, order):
    attention, output = SoftAttention(AdditiveScore(H, 2 * H, A)), CaptionOutput(H, E, 2 * H, V)
    unit, first = LongShortTermMemory(E, H), FirstState(2 * H, H)
    return lively(decoder_class(WordEmbedding(V, E, bos=BOS), unit, attention, output, first, annotation_size=2 * H))


def attentive(decoder_class, order):
    embedding, unit = WordEmbedding(V, E, bos=BOS), GatedRecurrentUnit(E, H)
    attention, output = SoftAttention(AdditiveScore(H, 2 * H, A)), DeepOutput(H, E, 2 * H, 3, V)
    return lively(decoder_class(embedding, unit, attention, output, annotation_size=2 * H, summary_size=H, order=order))


def check_the_query_has_read(words_before, order, make=attentive):
    """The first row of weights that changes when y_2 does, is that of the step whose query has read y_2."""

    def check(decoder_class):
        decoder = make(decoder_class, order)
        summary = torch.randn(B, H if make is attentive else 2 * H).double()
        encoded = Encoded(torch.randn(B, S, 2 * H).double(), MASK, summary)
        changed = INPUTS.clone()
        changed[:, 2] = 6
        moved = decoder(INPUTS, encoded).weights - decoder(changed, encoded).weights
        assert [row.abs().max() > 1e-9 for row in moved.unbind(1)] == [i >= 2 + words_before for i in range(T)]

    return check


# 4 and 6: the backward RNN


class BackwardOverPadding(BiGRUEncoder):
    """Error 4: the padded row is turned round as a whole, so the backward RNN reads the padding first."""

    def forward(self, tokens, mask):
        embedded = self.embedding(tokens)
        leftward = self.backward_unit(embedded.flip(1)).flip(1)
        return Encoded(torch.cat([self.forward_unit(embedded), leftward], -1), mask, leftward[:, 0])


class StartFromTheLastRow(BiGRUEncoder):
    """Error 6: s_0 is made from ←h_T, which has read one word, instead of ←h_1, which has read them all."""

    def forward(self, tokens, mask):
        encoded = super().forward(tokens, mask)
        last = (mask.sum(1) - 1).view(-1, 1, 1).expand(-1, 1, encoded.annotations.shape[2])
        return replace(encoded, summary=encoded.annotations.gather(1, last)[:, 0, H:])


def encoder(encoder_class):
    made = encoder_class(WordEmbedding(V, E, bos=BOS), GatedRecurrentUnit(E, H), GatedRecurrentUnit(E, H))
    made = lively(made)
    assert (made.embedding.weight[PAD] != 0).all()
    return made


def check_each_sentence_reads_as_if_alone(encoder_class):
    """P9, with an embedding of PAD that is not zero."""
    made = encoder(encoder_class)
    together = made(SOURCE, MASK)
    for b in range(B):
        length = int(LENGTHS[b])
        alone = made(SOURCE[b : b + 1, :length], MASK[b : b + 1, :length])
        close(together.annotations[b, :length], alone.annotations[0])
        close(together.summary[b], alone.summary[0])


def check_the_first_word_reaches_the_first_state(encoder_class):
    """Changing x_1 alone must change what s_0 is made from, which is the backward RNN's final state (P9)."""
    made = encoder(encoder_class)
    changed = SOURCE.clone()
    changed[:, 0] = 11
    summary = made(SOURCE, MASK).summary
    assert ((summary - made(changed, MASK).summary).abs().amax(1) > 1e-9).all()
    for b in range(B):
        words = made.embedding(SOURCE[b : b + 1, : LENGTHS[b]].flip(1))
        close(summary[b], made.backward_unit(words)[0, -1])


# 5: the unit


class LibraryUnit(nn.GRU):
    """Error 5: ``nn.GRU`` taken as the paper's unit, with z turned round and everything else hoped for."""

    def __init__(self, input_size, state_size, bias):
        super().__init__(input_size, state_size, bias=bias, batch_first=True)

    def forward(self, inputs):
        return super().forward(inputs)[0]

    def take_numbers(self, weight_ih, weight_hh):
        for mine, theirs in ((self.weight_ih_l0, weight_ih), (self.weight_hh_l0, weight_hh)):
            r, z, candidate = theirs.chunk(3)
            mine.copy_(torch.cat([r, -z, candidate]))


class PapersUnit(GatedRecurrentUnit):
    """The package's unit with the same way to receive numbers."""

    def __init__(self, input_size, state_size, bias):
        super().__init__(input_size, state_size, bias=bias)

    def take_numbers(self, weight_ih, weight_hh):
        self.weight_ih.copy_(weight_ih)
        self.weight_hh.copy_(weight_hh)


def follows_the_paper(unit_class, candidate_matrix):
    """Whether the states are those of §A.2.1, for a given U of the candidate."""
    weight_ih, weight_hh = torch.randn(3 * H, E).double(), torch.randn(3 * H, H).double()
    weight_hh[2 * H :] = candidate_matrix
    unit, inputs = unit_class(E, H, bias=False).double(), torch.randn(B, T, E).double()
    with torch.no_grad():
        unit.take_numbers(weight_ih, weight_hh)
    (W_r, W_z, W), (U_r, U_z, U) = weight_ih.chunk(3), weight_hh.chunk(3)
    state, states = torch.zeros(B, H).double(), []
    for x in inputs.unbind(1):
        r, z = torch.sigmoid(x @ W_r.T + state @ U_r.T), torch.sigmoid(x @ W_z.T + state @ U_z.T)
        state = (1 - z) * state + z * torch.tanh(x @ W.T + (r * state) @ U.T)
        states.append(state)
    return torch.allclose(unit(inputs), torch.stack(states, 1), rtol=0, atol=1e-9)


def check_the_reset_gate_acts_before_the_product(unit_class):
    """A dense U tells the two apart. A diagonal one does not: such a test would prove nothing."""
    assert follows_the_paper(unit_class, torch.diag(torch.randn(H).double()))
    assert follows_the_paper(unit_class, torch.randn(H, H).double())


# 7: which row of α belongs to which word


class OneStepAtATime(Score):
    """An oracle: the look of step t falls on source word t, whatever is asked."""

    def project(self, annotations):
        self.position = 0
        return annotations

    def forward(self, query, keys):
        scores = torch.full(keys.shape[:2], -1e3).to(keys)
        scores[:, self.position] = 0
        self.position += 1
        return scores


class WeightsOneRowLate(AttentiveDecoder):
    """Error 7: row t of α is the look before word t's."""

    def forward(self, inputs, encoded):
        rollout = super().forward(inputs, encoded)
        return replace(rollout, weights=rollout.weights.roll(1, dims=1))


class NoRowForTheEnd(AttentiveDecoder):
    """Error 7: the step that emits EOS is left out."""

    def forward(self, inputs, encoded):
        return super().forward(inputs[:, :-1], encoded)


def copier(decoder_class, order):
    """Emits the source word it looks at: annotations are one-hot, C_o and W_o pass them on, all else is zero."""
    decoder = decoder_class(
        WordEmbedding(V, E, bos=BOS),
        GatedRecurrentUnit(E, H),
        SoftAttention(OneStepAtATime()),
        DeepOutput(H, E, V, V, V),
        annotation_size=V,
        summary_size=H,
        order=order,
    )
    for parameter in decoder.parameters():
        nn.init.zeros_(parameter)
    with torch.no_grad():
        decoder.output.C_o.weight.copy_(torch.eye(V).repeat_interleave(2, dim=0))  # both of a maxout pair
        decoder.output.W_o.weight.copy_(torch.eye(V))
    return decoder


def check_rows_of_the_weights_are_the_words(order):
    """A copy task with an oracle: row t is the look that brought word t; one row for each word, EOS included."""

    def check(decoder_class):
        words = torch.tensor([[7, 4, 9, EOS]])
        encoded = Encoded(F.one_hot(words, V).float(), torch.ones(1, 4, dtype=torch.bool), torch.zeros(1, H))
        inputs = torch.cat([torch.tensor([[BOS]]), words[:, :-1]], dim=1)
        rollout = copier(decoder_class, order)(inputs, encoded)
        assert rollout.logits.argmax(-1).tolist() == words.tolist()
        assert rollout.weights.shape == (1, 4, 4)
        assert words[0][rollout.weights[0].argmax(-1)].tolist() == words[0].tolist()

    return check


# 8: the loss


def padding_counted(logits, targets, mask, reduction):
    """Error 8: every column of the batch is charged."""
    return sequence_cross_entropy(logits, targets, torch.ones_like(mask), reduction=reduction)


def averaged_over_padding(logits, targets, mask, reduction):
    """Error 8, quietly: padding costs nothing and is still divided by."""
    total = sequence_cross_entropy(logits, targets, mask, reduction="sum")
    return total if reduction == "sum" else total / targets.numel()


def end_dropped(logits, targets, mask, reduction):
    """Error 8: EOS is taken for padding."""
    return sequence_cross_entropy(logits, targets, mask & (targets != EOS), reduction=reduction)


def check_the_loss_counts_real_words_and_eos(loss):
    """P20: the bill of each sentence, EOS on it, whatever padding stands beside it."""
    logits = torch.randn(B, S, V).double()
    bill = sum(-logits[b, i].log_softmax(0)[SOURCE[b, i]] for b in range(B) for i in range(int(LENGTHS[b])))
    close(loss(logits, SOURCE, MASK, reduction="sum"), bill)
    close(loss(logits, SOURCE, MASK, reduction="token"), bill / LENGTHS.sum())
    wider = F.pad(logits, (0, 0, 0, 2)), F.pad(SOURCE, (0, 2), value=PAD), F.pad(MASK, (0, 2))
    close(loss(*wider, reduction="token"), bill / LENGTHS.sum())


# 12: maxout


class MaxoutOfHalves(DeepOutput):
    """Error 12: the first half is paired with the second."""

    def forward(self, state, embedded, context):
        units = self.U_o(state) + self.V_o(embedded) + self.C_o(context)
        return self.W_o(self.dropout(torch.maximum(*units.chunk(2, dim=-1))))


def check_maxout_pairs_neighbours(output_class):
    """[1, 5, 2, 0, 9, 3] becomes [5, 2, 9], not [1, 9, 3]."""
    output = output_class(6, E, H, 3, 3, bias=False)
    with torch.no_grad():
        output.U_o.weight.copy_(torch.eye(6))
        output.W_o.weight.copy_(torch.eye(3))
    units = output(torch.tensor([1.0, 5, 2, 0, 9, 3]), torch.zeros(E), torch.zeros(H))
    assert units.tolist() == [5, 2, 9]


# 13: the doubly stochastic penalty


def summed_over_locations(weights, target_mask, source_mask, **options):
    """Error 13: the sum runs over the locations, where it is 1 whatever the model looks at."""
    return (1 - weights.sum(dim=2)).square().masked_fill(~target_mask, 0).sum(dim=1).mean()


def check_the_penalty_sees_where_was_looked(penalty):
    """P13: C looks at one location cost (1-C)² there and 1 at each other; spread evenly they cost (L-C)²/L."""
    masks = torch.ones(B, T, dtype=torch.bool), torch.ones(B, S, dtype=torch.bool)
    stubborn, even = torch.zeros(B, T, S).double(), torch.ones(B, T, S).double() / S
    stubborn[:, :, 2] = 1
    close(penalty(stubborn, *masks), torch.tensor((1.0 - T) ** 2 + S - 1).double())
    close(penalty(even, *masks), torch.tensor((S - T) ** 2).double() / S)


# 14: locations and channels


class ReshapedMap(ImageEncoder):
    """Error 14: a (D, h, w) map reshaped to (h·w, D), which fits and mixes locations with channels."""

    def forward(self, source, mask=None):
        made = self.network(source)
        return super().forward(made.reshape(len(made), -1, made.shape[1]), mask)


class ColumnsFirst(ImageEncoder):
    """Error 14: the locations column by column, while α is drawn row by row."""

    def forward(self, source, mask=None):
        return super().forward(self.network(source).transpose(2, 3).flatten(2).transpose(1, 2), mask)


def check_a_location_is_where_it_was(encoder_class):
    """A coordinate image: channel 0 holds the row, 1 the column. α drawn as (h, w) has to point where it looked."""
    height, width = 3, 4
    row, column = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    image = torch.stack([row, column, 10 * row + column]).double().unsqueeze(0)
    annotations = encoder_class(nn.Identity(), feature_size=3)(image).annotations
    assert annotations.shape == (1, height * width, 3)
    for r in range(height):
        for c in range(width):
            α = torch.zeros(height, width).double()
            α[r, c] = 1
            close(α.flatten() @ annotations[0], torch.tensor([r, c, 10 * r + c]).double())


def not_normalised(pixels):
    """Error 14: pixels from 0 to 1, of which the network has never seen any."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255


def blue_first(pixels):
    """Error 14: the colours in the order in which some libraries read files."""
    return prepare(np.ascontiguousarray(pixels[..., ::-1]))


def check_pixels_are_what_the_network_was_trained_on(prepare):
    """(x - 127) / 128, red first, each place where it was."""
    pixels = np.full((1, 224, 224, 3), 127, np.uint8)
    pixels[0, 3, 5] = (255, 127, 63)
    made = prepare(pixels)
    close(made[0, :, 3, 5], torch.tensor([1.0, 0.0, -0.5]))
    assert made.count_nonzero() == 2


def enlarged_upside_down(weights, height, width):
    """Error 14: rows counted from below, as some plots do."""
    return enlarged(weights[::-1], height, width)


def enlarged_and_transposed(weights, height, width):
    """Error 14: x before y."""
    return enlarged(weights.T, height, width)


def check_the_light_falls_on_the_place_that_was_looked_at(enlarge):
    """All of α on one of 14 × 14 places: brightest within that place's 16 × 16 pixels."""
    for row, column in ((0, 0), (3, 11), (13, 2), (6, 7)):
        α = np.zeros((14, 14))
        α[row, column] = 1
        y, x = np.unravel_index(enlarge(α, 224, 224).argmax(), (224, 224))
        assert (y // 16, x // 16) == (row, column)


# 15: REINFORCE


def reward_not_detached(likelihood, log_probs, weights, mask, baseline, entropy_weight=0.0):
    """Error 15: the path's log-probability teaches the words as well."""
    expected = baseline(likelihood.detach())
    gain = likelihood + (likelihood - expected) * log_probs.sum(1)
    return Reinforced(-gain.sum(), likelihood.detach(), expected, gain.detach())


def entropy_lowered(likelihood, log_probs, weights, mask, baseline, entropy_weight=0.0):
    """Error 15: the sign of the entropy is that of the loss's other terms, turned once too often."""
    return reinforce(likelihood, log_probs, weights, mask, baseline, entropy_weight=-entropy_weight, reduction="sum")


def right(likelihood, log_probs, weights, mask, baseline, entropy_weight=0.0):
    return reinforce(likelihood, log_probs, weights, mask, baseline, entropy_weight=entropy_weight, reduction="sum")


def check_reinforce_is_unbiased(objective):
    """P14 for one draw among S: over all of them the mean gradient is that of Σ_s α_s log p_s."""
    energies, words = torch.randn(S).double().requires_grad_(), torch.randn(S).double().requires_grad_()
    weights, mask = energies.softmax(0), torch.ones(1, 1, dtype=torch.bool)
    exact = torch.autograd.grad((weights * words).sum(), [energies, words], retain_graph=True)
    total = 0.0
    for s in range(S):
        parts = words[s : s + 1], weights[s].log().view(1, 1), weights.view(1, 1, S), mask
        total = total - weights[s].detach() * objective(*parts, lambda rewards: torch.tensor(-2.0).double()).loss
    for found, wanted in zip(torch.autograd.grad(total, [energies, words]), exact, strict=True):
        close(found, wanted)


def check_the_entropy_term_raises_the_entropy(objective):
    energies = torch.randn(1, 1, S).double().requires_grad_()
    nothing, mask = torch.zeros(1).double(), torch.ones(1, 1, dtype=torch.bool)

    def entropy(energies):
        weights = energies.softmax(-1)
        return -(weights * weights.log()).sum()

    arguments = nothing, nothing.unsqueeze(1), energies.softmax(-1), mask, lambda rewards: nothing[0]
    objective(*arguments, entropy_weight=1.0).loss.backward()
    assert entropy(energies - 0.01 * energies.grad) > entropy(energies)


class BaselineThatKnows(MovingBaseline):
    """Error 15: the mean takes the rewards in first, and is then subtracted from them."""

    def forward(self, rewards):
        super().forward(rewards)
        return self.value.clone()


def check_the_baseline_does_not_know_the_reward(baseline_class):
    answers = []
    for rewards in (torch.tensor([-1.0, -2.0]), torch.tensor([-30.0, 5.0])):
        baseline = baseline_class()
        baseline(torch.tensor([-4.0]))
        answers.append(baseline(rewards))
    close(*answers)


ERRORS = [  # number, check, what the package has, the same with the error
    ("1", check_each_row_of_weights_sums_to_one, SoftAttention, MaskAfterSoftmax),
    ("2", check_each_row_of_weights_sums_to_one, SoftAttention, SoftmaxOverTheBatch),
    ("3 main-text", check_the_query_has_read(1, "main-text"), AttentiveDecoder, QueryWithTheNewState),
    ("3 appendix", check_the_query_has_read(1, "appendix"), AttentiveDecoder, QueryWithTheNewState),
    ("3 groundhog", check_the_query_has_read(0, "groundhog"), AttentiveDecoder, QueryWithTheOldState),
    (
        "3 captions",
        check_the_query_has_read(1, "captions", captioning),
        CaptionDecoder,
        CaptionQueryWithTheNewState,
    ),
    ("3 gate", check_the_query_has_read(1, "captions", captioning), CaptionGate, CaptionGateWithTheNewState),
    ("4", check_each_sentence_reads_as_if_alone, BiGRUEncoder, BackwardOverPadding),
    ("5", check_the_reset_gate_acts_before_the_product, PapersUnit, LibraryUnit),
    ("6", check_the_first_word_reaches_the_first_state, BiGRUEncoder, StartFromTheLastRow),
    *(
        (f"7 {order}", check_rows_of_the_weights_are_the_words(order), AttentiveDecoder, mutant)
        for order in STEP_ORDERS
        for mutant in (WeightsOneRowLate, NoRowForTheEnd)
    ),
    ("8 padding", check_the_loss_counts_real_words_and_eos, sequence_cross_entropy, padding_counted),
    ("8 mean", check_the_loss_counts_real_words_and_eos, sequence_cross_entropy, averaged_over_padding),
    ("8 end", check_the_loss_counts_real_words_and_eos, sequence_cross_entropy, end_dropped),
    ("12", check_maxout_pairs_neighbours, DeepOutput, MaxoutOfHalves),
    ("13", check_the_penalty_sees_where_was_looked, doubly_stochastic_penalty, summed_over_locations),
    ("14 channels", check_a_location_is_where_it_was, ImageEncoder, ReshapedMap),
    ("14 columns", check_a_location_is_where_it_was, ImageEncoder, ColumnsFirst),
    ("14 pixels", check_pixels_are_what_the_network_was_trained_on, prepare, not_normalised),
    ("14 colours", check_pixels_are_what_the_network_was_trained_on, prepare, blue_first),
    ("14 rows", check_the_light_falls_on_the_place_that_was_looked_at, enlarged, enlarged_upside_down),
    ("14 axes", check_the_light_falls_on_the_place_that_was_looked_at, enlarged, enlarged_and_transposed),
    ("15 reward", check_reinforce_is_unbiased, right, reward_not_detached),
    ("15 entropy", check_the_entropy_term_raises_the_entropy, right, entropy_lowered),
    ("15 baseline", check_the_baseline_does_not_know_the_reward, MovingBaseline, BaselineThatKnows),
]
IDS = [f"{number}: {mutant.__name__}" for number, _, _, mutant in ERRORS]


@pytest.mark.parametrize(("number", "check", "right", "wrong"), ERRORS, ids=IDS)
def test_the_package_is_free_of_the_error(number, check, right, wrong):
    check(right)


@pytest.mark.parametrize(("number", "check", "right", "wrong"), ERRORS, ids=IDS)
def test_the_check_sees_the_error(number, check, right, wrong):
    with pytest.raises(AssertionError):
        check(wrong)


def test_a_diagonal_matrix_would_not_have_seen_error_5():
    diagonal = torch.diag(torch.randn(H).double())
    assert follows_the_paper(LibraryUnit, diagonal)
    assert not follows_the_paper(LibraryUnit, torch.randn(H, H).double())


def test_error_6_and_error_4_are_different_errors():
    """Reading the padding first still lets x_1 reach s_0; starting from the last row still reads each word alone."""
    check_each_sentence_reads_as_if_alone(StartFromTheLastRow)
    changed = SOURCE.clone()
    changed[:, 0] = 11
    made = encoder(BackwardOverPadding)
    assert (made(SOURCE, MASK).summary != made(changed, MASK).summary).any(dim=1).all()
