"""The loss against a sum over words, its invariances, and the optimiser of the paper (SPEC P12, P20)."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from course_pkg.losses import sequence_cross_entropy
from course_pkg.notation import CourseError
from course_pkg.vocabulary import EOS, PAD

TARGETS = torch.tensor([[4, 6, 5, EOS], [EOS, PAD, PAD, PAD], [7, 7, EOS, PAD]])
MASK = torch.tensor([[1, 1, 1, 1], [1, 0, 0, 0], [1, 1, 1, 0]]).bool()
B, T, V, WORDS = 3, 4, 9, 8
REDUCTIONS = {"sum": 1, "sentence": B, "token": WORDS}


def word_by_word(logits, targets, mask, smoothing=0.0):
    """−Σ log p over real words, with the target probability (1 − ε) on the word and ε spread over all V."""
    total = 0.0
    for b in range(targets.shape[0]):
        for i in range(targets.shape[1]):
            if mask[b, i]:
                log_probabilities = logits[b, i].tolist()
                normaliser = math.log(sum(map(math.exp, log_probabilities)))
                log_probabilities = [value - normaliser for value in log_probabilities]
                total -= (1 - smoothing) * log_probabilities[targets[b, i]]
                total -= smoothing * sum(log_probabilities) / len(log_probabilities)
    return total


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_loss_is_the_sum_over_real_words_eos_included(reduction, smoothing):
    logits = 3 * torch.randn(B, T, V)
    loss = sequence_cross_entropy(logits, TARGETS, MASK, label_smoothing=smoothing, reduction=reduction)
    expected = word_by_word(logits, TARGETS, MASK, smoothing) / REDUCTIONS[reduction]
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_the_end_of_a_sentence_counts():
    """A sentence of nothing but EOS costs −log p(EOS)."""
    logits = torch.randn(1, 1, V)
    loss = sequence_cross_entropy(logits, torch.tensor([[EOS]]), torch.ones(1, 1, dtype=torch.bool), reduction="sum")
    torch.testing.assert_close(loss, -logits[0, 0].log_softmax(0)[EOS])


@pytest.mark.parametrize("vocabulary", [2, 100, 30_001])
def test_knowing_nothing_costs_the_logarithm_of_the_vocabulary(vocabulary):
    """P11's limit: equal logits cost ln K a word."""
    targets, mask = torch.zeros(1, 2, dtype=torch.long), torch.ones(1, 2, dtype=torch.bool)
    loss = sequence_cross_entropy(torch.zeros(1, 2, vocabulary), targets, mask)
    assert loss.item() == pytest.approx(math.log(vocabulary), rel=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_padding_and_batch_order_change_nothing(reduction, smoothing):
    """P20; what stands in the padding is not looked at."""
    logits, rows = torch.randn(B, T, V), torch.tensor([2, 0, 1])
    wider = F.pad(logits, (0, 0, 0, 3), value=5.0)[rows]
    targets, mask = F.pad(TARGETS, (0, 3), value=6)[rows], F.pad(MASK, (0, 3))[rows]
    arguments = {"reduction": reduction, "label_smoothing": smoothing}
    expected = sequence_cross_entropy(logits, TARGETS, MASK, **arguments)
    torch.testing.assert_close(sequence_cross_entropy(wider, targets, mask, **arguments), expected)


def test_gradient_is_what_was_predicted_minus_what_was_right():
    """∂/∂logits = p − 1 at real words, exactly 0 at padding."""
    logits = torch.randn(B, T, V, requires_grad=True)
    sequence_cross_entropy(logits, TARGETS, MASK, reduction="sum").backward()
    expected = (logits.softmax(-1) - F.one_hot(TARGETS, V)) * MASK.unsqueeze(-1)
    torch.testing.assert_close(logits.grad, expected)
    assert (logits.grad[~MASK] == 0).all()


def test_a_large_vocabularys_half_precision_logits_are_summed_in_single():
    logits = torch.randn(B, T, V).bfloat16()
    loss = sequence_cross_entropy(logits, TARGETS, MASK)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, sequence_cross_entropy(logits.float(), TARGETS, MASK))


def test_double_precision_is_kept():
    logits = torch.randn(B, T, V).double()
    loss = sequence_cross_entropy(logits, TARGETS, MASK, reduction="sum")
    assert loss.item() == pytest.approx(word_by_word(logits, TARGETS, MASK), rel=1e-13)


def test_an_unknown_reduction_is_refused():
    with pytest.raises(CourseError, match="'mean'.*sum, sentence or token"):
        sequence_cross_entropy(torch.randn(B, T, V), TARGETS, MASK, reduction="mean")


# P12: the paper's optimiser

RHO, EPSILON = 0.95, 1e-6


def adadelta(parameter):
    return torch.optim.Adadelta([parameter], lr=1.0, rho=RHO, eps=EPSILON)


class GroundHogAdadelta:
    """Zeiler's rule as GroundHog's SGD_adadelta.py updates: mean squares first, then the step, then its mean square."""

    def __init__(self, parameter):
        self.parameter = parameter
        self.gradient_square, self.step_square = torch.zeros_like(parameter), torch.zeros_like(parameter)

    def update(self, gradient):
        self.gradient_square = RHO * self.gradient_square + (1 - RHO) * gradient**2
        step = (self.step_square + EPSILON).sqrt() / (self.gradient_square + EPSILON).sqrt() * gradient
        self.step_square = RHO * self.step_square + (1 - RHO) * step**2
        self.parameter = self.parameter - step


def test_torchs_adadelta_is_groundhogs():
    start = torch.randn(20).double()
    parameter = start.clone().requires_grad_()
    theirs, ours = adadelta(parameter), GroundHogAdadelta(start)
    for size in (1.0, 1e-3, 30.0, 0.0, 1e-6) * 10:
        gradient = size * torch.randn(20).double()
        parameter.grad = gradient.clone()
        theirs.step()
        ours.update(gradient)
    torch.testing.assert_close(parameter.detach(), ours.parameter, rtol=0, atol=1e-12)


@given(st.floats(1e-1, 1e6), st.sampled_from([-1, 1]))
@settings(max_examples=30, deadline=None)
def test_the_first_step_does_not_depend_on_the_gradients_size(size, sign):
    """P12: √(ε / ((1−ρ)g² + ε))·g, which is √(ε/(1−ρ)) = 4.47·10⁻³ for |g| ≫ √ε."""
    parameter = torch.zeros(1).double().requires_grad_()
    parameter.grad = torch.tensor([sign * size]).double()
    adadelta(parameter).step()
    limit = math.sqrt(EPSILON / (1 - RHO))
    assert limit == pytest.approx(4.47e-3, rel=1e-3)
    assert parameter.item() == pytest.approx(-sign * limit, rel=2e-3)


def test_the_first_step_is_small_where_the_gradient_is():
    parameter = torch.zeros(1).double().requires_grad_()
    parameter.grad = torch.tensor([1e-6]).double()
    adadelta(parameter).step()
    assert parameter.item() == pytest.approx(-1e-6, rel=1e-4)
