"""A captioner's turned gaze against brute force: an attention that is told where to look, in whole forward passes."""

import json

import numpy as np
import pytest
import torch
from refusals import refusal
from test_steering import Told
from tiny_models import SEES_IMAGES, captioner, noise, words_of

from course_pkg.caption_steering import turn
from course_pkg.captioner import Captioner
from course_pkg.vocabulary import BOS, PAD, SPECIAL, UNK

WORDS = words_of("a dog throws the red ball to men")
CAPTION = "a dog throws the red ball"


@pytest.fixture
def tiny() -> Captioner:
    return Captioner(captioner(SEES_IMAGES, WORDS))


@torch.inference_mode()
def brute_force(model: Captioner, caption: str) -> np.ndarray:
    """log p of every entry of the vocabulary, shape (T, L, V), by T × L whole forward passes."""
    decoder, ids = model.model.decoder, model.target.encode(caption).ids
    encoded = model.encode_seen([model.see(noise(1))])
    inputs = torch.tensor([[1, *ids[:-1]]])
    own, rows = decoder.attention, []
    for step in range(len(ids)):
        for place in range(16):
            decoder.attention = Told(own, step, place)
            rows.append(decoder(inputs, encoded).logits[0, step].log_softmax(-1))
    decoder.attention = own
    return torch.stack(rows).reshape(len(ids), 16, -1).numpy()


@pytest.mark.parametrize("attention", ["soft", "hard"])
def test_each_cell_is_a_forward_pass_with_one_look_replaced(attention: str) -> None:
    model = Captioner(captioner({**SEES_IMAGES, "attention": attention}, WORDS))
    found = turn(model, noise(1), CAPTION)
    everything, ids = brute_force(model, CAPTION), np.array(WORDS.encode(CAPTION).ids)
    of_word = np.take_along_axis(everything, ids[:, None, None], axis=2)[..., 0]
    np.testing.assert_allclose(found.log_probs, of_word, atol=1e-4)
    everything[..., [0, 1, UNK]] = -np.inf
    best = np.argsort(-everything, axis=-1, kind="stable")[..., :3]
    np.testing.assert_allclose(found.probabilities, np.exp(np.take_along_axis(everything, best, -1)), atol=1e-5)
    assert found.words == tuple(tuple(tuple(WORDS.show(k) for k in i) for i in t) for t in best.tolist())


def test_its_own_gaze_is_that_of_looking_at_the_caption(tiny: Captioner) -> None:
    found, looked = turn(tiny, noise(1), CAPTION), tiny.look(noise(1), CAPTION)
    assert found.caption.tokens == looked.tokens and np.array_equal(found.caption.weights, looked.weights)
    assert found.own_log_probs.mean() == pytest.approx(looked.score, abs=1e-5)


def test_the_likeliest_words_of_its_own_gaze_are_those_of_a_forward_pass(tiny: Captioner) -> None:
    ids = tiny.target.encode(CAPTION).ids
    with torch.inference_mode():
        encoded = tiny.encode_seen([tiny.see(noise(1))])
        logits = tiny.model.decoder(torch.tensor([[BOS, *ids[:-1]]]), encoded).logits[0]
        logits[:, [PAD, BOS, UNK]] = -torch.inf
    wanted = tuple(WORDS.show(k) for k in logits.argmax(dim=-1).tolist())
    assert turn(tiny, noise(1), CAPTION).own_words == wanted
    assert wanted != turn(tiny, noise(1), CAPTION).caption.tokens, "or the two could be mixed up unnoticed"


def test_without_a_caption_its_own_is_turned() -> None:
    talks = Captioner(captioner(SEES_IMAGES, WORDS, ends=-20.0))
    made = talks.caption([noise(1)])[0]
    assert made.caption and turn(talks, noise(1)).caption.caption == made.caption
    assert turn(talks, talks.see(noise(1)), made.caption).words == turn(talks, noise(1)).words


def test_special_entries_are_never_listed_but_the_end_is(tiny: Captioner) -> None:
    every = turn(tiny, noise(1), "a dog", top=len(WORDS) - 3)
    listed = set(every.words[0][0])
    assert not listed & {SPECIAL[0], SPECIAL[1], SPECIAL[3]} and SPECIAL[2] in listed
    sums = every.probabilities.sum(axis=-1)  # what is missing went to the three entries
    assert sums.max() <= 1 + 1e-6 and sums.min() < 1 - 1e-6


def test_special_entries_are_not_listed_however_likely(tiny: Captioner) -> None:
    with torch.no_grad():
        tiny.model.decoder.output.L_o.bias[[PAD, BOS, UNK]] += 99.0
    found = turn(tiny, noise(1), CAPTION, top=2)
    listed = {word for places in found.words for words in places for word in words} | set(found.own_words)
    assert not listed & {WORDS.show(entry) for entry in (PAD, BOS, UNK)}
    assert found.probabilities.sum(axis=-1).max() < 0.1, "what is missing went to the three entries"


def test_the_record_is_json_that_the_scrubber_takes(tiny: Captioner) -> None:
    from course_pkg.widgets import RegionScrubber

    found = turn(tiny, noise(1), CAPTION)
    record = json.loads(json.dumps(found.to_record()))
    np.testing.assert_allclose(record["probabilities"], found.probabilities, atol=6e-5)
    told = found.caption
    RegionScrubber(noise(1), told.tokens, told.weights, grid=told.grid, gate=told.gate, steer=record, view=told.view)


def test_bad_input_is_told_in_one_line(tiny: Captioner) -> None:
    assert "no words" in refusal(lambda: turn(tiny, noise(1), " . "))
    assert "top is 0" in refusal(lambda: turn(tiny, noise(1), "a dog", top=0))
    assert "top is 99" in refusal(lambda: turn(tiny, noise(1), "a dog", top=99))
