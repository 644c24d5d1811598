"""Attention after and instead of the recurrence: step and batch agree, and nothing is known that may not be."""

import math

import pytest
import torch
from driven import steps
from torch import nn

from course_pkg.attention import AdditiveScore, GeneralScore, HardAttention, ScaledDotScore, SoftAttention
from course_pkg.cost import longest_chain
from course_pkg.decoders import DeepOutput
from course_pkg.encoders import Encoded, WordEmbedding
from course_pkg.notation import CourseError
from course_pkg.placement import PLACES, AttentionInstead, look_at_once, place_attention, positions
from course_pkg.search import beam_search, greedy
from course_pkg.vocabulary import BOS, EOS

B, S, T, V, E, H, A, L = 3, 5, 4, 11, 4, 6, 7, 3
MASK = torch.arange(S) < torch.tensor([5, 2, 3]).unsqueeze(1)
INPUTS = torch.tensor([[BOS, 4, 9, 7], [BOS, 8, 8, 5], [BOS, 10, 6, 6]])
each_place = pytest.mark.parametrize("place", PLACES)


def decoder_of(place, seed=0):
    torch.manual_seed(seed)
    model = place_attention(
        place, source_vocabulary=V, target_vocabulary=V, embedding_size=E, state_size=5, decoder_size=H,
        alignment_size=A, maxout_size=L,
    )  # fmt: skip
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.7)
    return model.decoder.double(), Encoded(torch.randn(B, S, 10).double(), MASK, torch.randn(B, 5).double().tanh())


@each_place
def test_step_by_step_reproduces_teacher_forcing(place):
    decoder, encoded = decoder_of(place)
    rollout, outcomes = decoder(INPUTS, encoded), steps(decoder, encoded, INPUTS)
    for found, wanted in (
        ([one.logits for one in outcomes], rollout.logits),
        ([one.glimpse.weights for one in outcomes], rollout.weights),
    ):
        torch.testing.assert_close(torch.stack(found, dim=1), wanted, rtol=0, atol=1e-11)


@each_place
def test_no_step_knows_a_later_word(place):
    decoder, encoded = decoder_of(place)
    before = decoder(INPUTS, encoded)
    for i in range(1, T):
        changed = INPUTS.clone()
        changed[:, i] = 3 + (changed[:, i] - 2) % (V - 3)
        after = decoder(changed, encoded)
        torch.testing.assert_close(after.logits[:, :i], before.logits[:, :i], rtol=0, atol=1e-12)
        assert (after.logits[:, i:] - before.logits[:, i:]).abs().amax(-1).min() > 1e-6, "later words know of it"


@each_place
def test_padding_is_not_looked_at(place):
    decoder, encoded = decoder_of(place)
    spoilt = Encoded(encoded.annotations.masked_fill(~MASK.unsqueeze(-1), 50.0), MASK, encoded.summary)
    found, wanted = decoder(INPUTS, spoilt), decoder(INPUTS, encoded)
    torch.testing.assert_close(found.logits, wanted.logits, rtol=0, atol=1e-12)
    assert (found.weights[~MASK.unsqueeze(1).expand(-1, T, -1)] == 0).all()
    torch.testing.assert_close(found.weights.sum(-1), torch.ones(B, T).double())


def test_after_the_recurrence_no_state_has_seen_the_source_again():
    decoder, encoded = decoder_of("after")
    other = Encoded(torch.randn_like(encoded.annotations), MASK, encoded.summary)
    for one, two in zip(steps(decoder, encoded, INPUTS), steps(decoder, other, INPUTS), strict=True):
        assert torch.equal(one.state.hidden, two.state.hidden)
        assert (one.logits - two.logits).abs().max() > 1e-3


def test_instead_of_the_recurrence_a_state_is_the_average_of_what_was_written():
    """The look back by its definition (Vaswani et al. 2017, eq. 1), one word after the other."""
    decoder, _ = decoder_of("instead")
    x = torch.randn(2, 5, E).double()
    states = decoder._states(x)
    W_q, W_k, W_v = decoder.look_back.weight.chunk(3)
    for i in range(5):
        energies = (x[:, : i + 1] @ W_k.T @ (x[:, i] @ W_q.T).unsqueeze(-1)).squeeze(-1) / math.sqrt(H)
        mixed = (energies.softmax(-1).unsqueeze(-1) * (x[:, : i + 1] @ W_v.T)).sum(1)
        torch.testing.assert_close(states[:, i], torch.tanh(decoder.W(x[:, i]) + decoder.M(mixed)))


def test_positions_turn_by_the_same_angle_from_place_to_place():
    """Vaswani et al. 2017, §3.5: p_{i+k} is a linear function of p_i; and all places differ."""
    found = positions(50, 8, like=torch.zeros(1, dtype=torch.float64))
    sines, cosines = found.chunk(2, dim=1)
    rates = 10_000 ** (-torch.arange(4, dtype=torch.float64) / 4)
    for k in (1, 7):
        turn = k * rates
        torch.testing.assert_close(sines[k:], sines[:-k] * turn.cos() + cosines[:-k] * turn.sin())
        torch.testing.assert_close(cosines[k:], cosines[:-k] * turn.cos() - sines[:-k] * turn.sin())
    assert torch.pdist(found).min() > 0.1


@pytest.mark.parametrize("score", [AdditiveScore(H, 8, A), ScaledDotScore(H, 8, A), GeneralScore(H, 8)])
def test_all_looks_at_once_are_the_looks_one_by_one(score):
    attention = SoftAttention(score).double()
    queries, memory = torch.randn(B, T, H).double(), attention.remember(torch.randn(B, S, 8).double(), MASK)
    contexts, weights = look_at_once(attention, queries, memory)
    for i in range(T):
        glimpse = attention(queries[:, i], memory)
        torch.testing.assert_close(contexts[:, i], glimpse.context)
        torch.testing.assert_close(weights[:, i], glimpse.weights)


def test_a_hard_attention_is_looked_through_softly():
    attention = HardAttention(AdditiveScore(H, 8, A)).train()
    memory = attention.remember(torch.randn(B, S, 8), MASK)
    _, weights = look_at_once(attention, torch.randn(B, T, H), memory)
    torch.testing.assert_close(weights.sum(-1), torch.ones(B, T))


def test_a_chain_grows_by_two_products_a_word_after_the_recurrence_and_by_none_instead_of_it():
    grown = {}
    for place in PLACES:
        decoder, encoded = decoder_of(place)
        short, long = (torch.cat([INPUTS, INPUTS.repeat(1, times)], dim=1) for times in (1, 3))
        chains = [longest_chain(decoder(inputs, encoded).logits) for inputs in (short, long)]
        grown[place] = (chains[1] - chains[0]) / (2 * T)
    assert grown == {"after": 2, "instead": 0}


@each_place
def test_search_drives_it_as_any_decoder(place):
    decoder, encoded = decoder_of(place)
    taken = greedy(decoder, encoded, bos=BOS, eos=EOS, max_steps=6)
    beam = beam_search(decoder, encoded, bos=BOS, eos=EOS, beam_size=1, max_steps=6)
    width = min(taken.tokens.shape[-1], beam.tokens.shape[-1])
    assert torch.equal(taken.tokens[..., :width], beam.tokens[..., :width])
    wide = beam_search(decoder, encoded, bos=BOS, eos=EOS, beam_size=4, max_steps=6)
    inputs = torch.cat([torch.full((B, 1), BOS), wide.tokens[:, 0, :-1]], dim=1)
    log_p = decoder(inputs, encoded).logits.log_softmax(-1).gather(-1, wide.tokens[:, 0].unsqueeze(-1)).squeeze(-1)
    real = torch.arange(log_p.shape[1]) < wide.lengths[:, :1]
    torch.testing.assert_close(log_p.masked_fill(~real, 0).sum(1).float(), wide.scores[:, 0])


@each_place
@pytest.mark.parametrize("device", ["meta"])
def test_nothing_is_made_on_another_device(place, device):
    with torch.device(device):
        model = place_attention(
            place, source_vocabulary=V, target_vocabulary=V, embedding_size=E, state_size=5, decoder_size=H,
            alignment_size=A, maxout_size=L,
        )  # fmt: skip
        encoded = Encoded(torch.empty(B, S, 10), torch.empty(B, S, dtype=torch.bool), torch.empty(B, 5))
        inputs = torch.empty(B, T, dtype=torch.long)
    assert model.decoder(inputs, encoded).logits.is_meta
    assert all(step.logits.is_meta for step in steps(model.decoder, encoded, inputs))


def test_what_cannot_be_is_refused():
    sizes = {"source_vocabulary": V, "target_vocabulary": V, "embedding_size": E, "state_size": 5}
    sizes |= {"decoder_size": H, "alignment_size": A, "maxout_size": L}
    with pytest.raises(CourseError, match="after or instead"):
        place_attention("inside", **sizes)
    with pytest.raises(CourseError, match="even width"):
        place_attention("instead", **sizes | {"embedding_size": 5})


def test_the_state_without_a_recurrence_grows_by_a_word_a_step():
    embedding, output = WordEmbedding(V, E, bos=BOS), DeepOutput(H, E, 8, L, V)
    decoder = AttentionInstead(embedding, SoftAttention(ScaledDotScore(H, 8, A)), output, state_size=H)
    memory, state = decoder.start(Encoded(torch.randn(B, S, 8), MASK, torch.zeros(B, 1)))
    assert state.hidden.shape == (B, 0) and decoder.step(INPUTS[:, 0], state, memory).state.hidden.shape == (B, E)
