"""The decoder of Show, Attend and Tell against its formulas, and what each step may know (SPEC P19, P20)."""

import pytest
import torch
from torch import nn

from course_pkg.attention import AdditiveScore, HardAttention, SoftAttention
from course_pkg.caption_decoder import CaptionDecoder, CaptionOutput, FirstState
from course_pkg.encoders import Encoded, WordEmbedding
from course_pkg.recurrent import LongShortTermMemory
from course_pkg.vocabulary import BOS, EOS, PAD

B, S, T, V, E, H, A, D = 3, 6, 4, 11, 4, 5, 7, 8
INPUTS = torch.tensor([[BOS, 4, 9, 7], [BOS, 8, 8, 5], [BOS, 10, EOS, PAD]])


def lively(module):
    """Numbers large enough for every gate, weight and unit to matter."""
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.7)
    return module.double()


def decoder(attention=SoftAttention, gate=True, layers=1, tanh=False):
    return lively(
        CaptionDecoder(
            WordEmbedding(V, E, bos=BOS),
            LongShortTermMemory(E, H),
            attention(AdditiveScore(H, D, A, bias=True, layers=layers)),
            CaptionOutput(H, E, D, V, tanh=tanh),
            FirstState(D, H, layers=layers),
            annotation_size=D,
            gate=gate,
        )
    ).eval()


def image():
    annotations = torch.randn(B, S, D).double()
    return Encoded(annotations, torch.ones(B, S, dtype=torch.bool), annotations.mean(1))


VARIANTS = [
    pytest.param(lambda a=a, g=g, n=n: decoder(a, gate=g, layers=n, tanh=n == 2), id=f"{a.__name__}, gate {g}, {n}")
    for a in (SoftAttention, HardAttention)
    for g in (True, False)
    for n in (1, 2)
]


def steps(decoder, encoded, inputs=INPUTS):
    """Drive the decoder one token at a time."""
    memory, state = decoder.start(encoded)
    outcomes = []
    for token in inputs.unbind(1):
        outcomes.append(decoder.step(token, state, memory))
        state = outcomes[-1].state
    return outcomes


@pytest.mark.parametrize("make", VARIANTS)
def test_step_by_step_reproduces_teacher_forcing(make):
    """P19: the log-probabilities, the weights and the gate."""
    made, encoded = make(), image()
    rollout, outcomes = made(INPUTS, encoded), steps(made, encoded)
    logits = torch.stack([outcome.logits for outcome in outcomes], dim=1)
    weights = torch.stack([outcome.glimpse.weights for outcome in outcomes], dim=1)
    assert rollout.logits.shape == (B, T, V) and rollout.weights.shape == (B, T, S)
    torch.testing.assert_close(logits.log_softmax(-1), rollout.logits.log_softmax(-1), rtol=0, atol=1e-11)
    torch.testing.assert_close(weights, rollout.weights, rtol=0, atol=1e-12)
    if made.f_beta is None:
        assert rollout.gate is None and all(outcome.gate is None for outcome in outcomes)
    else:
        gate = torch.stack([outcome.gate for outcome in outcomes], dim=1)
        assert rollout.gate.shape == (B, T)
        torch.testing.assert_close(gate, rollout.gate, rtol=0, atol=1e-12)
