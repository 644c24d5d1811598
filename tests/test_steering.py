"""Steering against brute force: an attention that is told where to look, driven through the model's own step."""

import json

import numpy as np
import pytest
import torch
from tiny_models import BLIND, LOOKS, stored, words_of
from torch import Tensor, nn

from course_pkg.attention import Glimpse, Memory
from course_pkg.batching import Batch
from course_pkg.decoders import STEP_ORDERS
from course_pkg.inference import Translator
from course_pkg.notation import CourseError
from course_pkg.steering import steer
from course_pkg.vocabulary import SPECIAL

SOURCE, TARGET = "The black dog throws the frisbee.", "Le chien noir lance le frisbee."


class Told(nn.Module):
    """The model's own attention, but for one step, which looks at one position."""

    def __init__(self, own: nn.Module, step: int, position: int) -> None:
        super().__init__()
        self.own, self.step, self.position, self.at = own, step, position, 0

    def remember(self, *arguments: Tensor) -> Memory:
        return self.own.remember(*arguments)

    def forward(self, query: Tensor, memory: Memory) -> Glimpse:
        glimpse = self.own(query, memory)
        if self.at == self.step:
            one_hot = torch.zeros_like(glimpse.weights)
            one_hot[:, self.position] = 1
            glimpse = Glimpse(torch.einsum("bs,bsd->bd", one_hot, memory.annotations), one_hot, glimpse.scores)
        self.at += 1
        return glimpse


@torch.inference_mode()
def brute_force(translator: Translator, source: tuple[int, ...], target: tuple[int, ...]) -> np.ndarray:
    """log p of every token of the vocabulary, shape (T, S, V), by T × S whole forward passes."""
    decoder = translator.model.decoder
    own, batch, rows = decoder.attention, Batch.collate([(source, target)]), []
    for step in range(len(target)):
        for position in range(len(source)):
            decoder.attention = Told(own, step, position)
            rows.append(translator.model(batch).logits[0, step].log_softmax(-1))
    decoder.attention = own
    return torch.stack(rows).reshape(len(target), len(source), -1).numpy()


@pytest.mark.parametrize("order", STEP_ORDERS)
def test_each_cell_is_a_forward_pass_with_one_look_replaced(order: str) -> None:
    translator = Translator(stored({**LOOKS, "order": order}))
    found = steer(translator, SOURCE, TARGET, top=3)
    source, target = translator.source.encode(SOURCE), translator.target.encode(TARGET)
    everything = brute_force(translator, source.ids, target.ids)
    of_target = np.take_along_axis(everything, np.array(target.ids)[:, None, None], axis=2)[..., 0]
    np.testing.assert_allclose(found.log_probs, of_target, atol=1e-4)
    everything[..., [0, 1, 3]] = -np.inf
    best = np.argsort(-everything, axis=-1, kind="stable")[..., :3]
    np.testing.assert_allclose(found.probabilities, np.exp(np.take_along_axis(everything, best, -1)), atol=1e-5)
    assert found.words == tuple(tuple(tuple(translator.target.show(k) for k in j) for j in i) for i in best.tolist())


def test_the_model_s_own_gaze_is_that_of_a_forward_pass() -> None:
    translator = Translator(stored(LOOKS))
    found = steer(translator, SOURCE, TARGET)
    batch = Batch.collate([(translator.source.encode(SOURCE).ids, translator.target.encode(TARGET).ids)])
    with torch.inference_mode():
        rollout = translator.model(batch)
    np.testing.assert_allclose(found.weights, rollout.weights[0], atol=1e-5)
    own = rollout.logits[0].log_softmax(-1).gather(-1, batch.targets[0].unsqueeze(-1))[:, 0]
    np.testing.assert_allclose(found.own_log_probs, own, atol=1e-4)


def test_where_one_position_is_all_there_is_nothing_changes() -> None:
    """A gaze that already is one-hot finds the word's own probability at the position of its peak."""
    model = stored(LOOKS)
    with torch.no_grad():
        model.model.decoder.attention.score.v_a.mul_(1e4)
    found = steer(Translator(model), SOURCE, TARGET)
    sharp = found.weights.max(axis=1) > 0.9999
    assert sharp.sum() >= 3
    peaks = np.take_along_axis(found.log_probs, found.weights.argmax(axis=1)[:, None], axis=1)[:, 0]
    np.testing.assert_allclose(peaks[sharp], found.own_log_probs[sharp], atol=1e-2)


def test_columns_follow_the_text_where_a_model_reads_backwards() -> None:
    forwards, backwards = Translator(stored(LOOKS)), Translator(stored(LOOKS))
    backwards.reads_backwards = True
    turned = " ".join(reversed("a b c d e".split()))
    one, other = steer(backwards, "a b c d e", TARGET), steer(forwards, turned, TARGET)
    if one.source_tokens[-2::-1] == other.source_tokens[:-1]:  # one piece a word
        order = [*range(len(one.source_tokens) - 2, -1, -1), len(one.source_tokens) - 1]
        np.testing.assert_allclose(one.log_probs[:, order], other.log_probs, atol=1e-4)
        np.testing.assert_allclose(one.weights[:, order], other.weights, atol=1e-5)
    else:
        pytest.fail("choose words of one piece each")


def test_without_a_target_the_model_s_own_translation_is_steered() -> None:
    translator = Translator(stored(LOOKS))
    own = translator.translate([SOURCE])[0]
    assert steer(translator, SOURCE).target_tokens == translator.target.encode(own.target).tokens


def test_special_tokens_are_not_among_the_words_but_eos_may_be() -> None:
    translator = Translator(stored(LOOKS, words_of(SOURCE, TARGET)))
    found = steer(translator, SOURCE, TARGET, top=len(translator.target) - 3)
    listed = set(found.words[0][0])
    assert not listed & {SPECIAL[0], SPECIAL[1]} and SPECIAL[2] in listed
    assert np.all(np.diff(found.probabilities, axis=-1) <= 0)


def test_the_record_is_json_of_rounded_numbers() -> None:
    found = steer(Translator(stored(LOOKS)), SOURCE, TARGET)
    record = json.loads(json.dumps(found.to_record()))
    assert np.shape(record["probabilities"]) == found.probabilities.shape
    np.testing.assert_allclose(record["probabilities"], found.probabilities, atol=6e-5)
    np.testing.assert_allclose(json.loads(json.dumps(found.rows())), found.weights, atol=6e-6)


@pytest.mark.parametrize(
    ("model", "arguments", "says"),
    [
        (BLIND, {"source": "a"}, "no gaze"),
        (LOOKS, {"source": "  "}, "no words"),
        (LOOKS, {"source": "a", "top": 0}, "top is 0"),
        (LOOKS, {"source": "a", "top": 1000}, "top is 1000"),
    ],
)
def test_bad_input_is_told_in_one_line(model: dict, arguments: dict, says: str) -> None:
    with pytest.raises(CourseError, match=says) as error:
        steer(Translator(stored(model)), **arguments)
    assert "\n" not in str(error.value)
