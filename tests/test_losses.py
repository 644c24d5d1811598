"""The losses against sums and enumerations, their invariances, and the optimiser of the paper (SPEC P12–P17, P20)."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from course_pkg.attention import HardAttention
from course_pkg.losses import (
    MovingBaseline,
    doubly_stochastic_penalty,
    reinforce,
    sentence_log_likelihood,
    sequence_cross_entropy,
    word_spotting,
)
from course_pkg.models import show_attend_tell
from course_pkg.notation import CourseError
from course_pkg.vocabulary import BOS, EOS, PAD

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


def test_a_sentences_log_likelihood_is_the_sum_of_its_words():
    """Per sentence what `sequence_cross_entropy` adds up; what stands in the padding is not looked at."""
    logits = torch.randn(B, T, V)
    for b, found in enumerate(sentence_log_likelihood(logits, TARGETS, MASK).tolist()):
        assert found == pytest.approx(-word_by_word(logits[b : b + 1], TARGETS[b : b + 1], MASK[b : b + 1]), rel=1e-5)
    wild = torch.where(MASK.unsqueeze(-1), logits, 1e6)
    total = -sequence_cross_entropy(logits, TARGETS, MASK, reduction="sum")
    torch.testing.assert_close(sentence_log_likelihood(wild, TARGETS, MASK).sum(), total)
    assert sentence_log_likelihood(logits.bfloat16(), TARGETS, MASK).dtype == torch.float32


# P13: doubly stochastic attention

L = 7
EVERYWHERE = torch.ones(B, L, dtype=torch.bool)


def rows_of_weights(steps=T, locations=L):
    return (2 * torch.randn(B, steps, locations).double()).softmax(-1)


def test_spotting_is_the_binary_cross_entropy_of_the_surest_places():
    """Two pictures of three places and four words, summed by hand; the second caption has padding."""
    votes = torch.randn(2, 3, 4, dtype=torch.float64)
    targets, mask = torch.tensor([[2, 3, 2], [1, PAD, PAD]]), torch.tensor([[True, True, True], [True, False, False]])
    said = [{2, 3}, {1}]
    assert PAD not in said[1]
    by_hand = 0.0
    for picture, words in zip(votes.tolist(), said, strict=True):
        for word in range(4):
            p = 1 / (1 + math.exp(-max(place[word] for place in picture)))
            by_hand -= math.log(p if word in words else 1 - p)
    assert float(word_spotting(votes, targets, mask)) == pytest.approx(by_hand / 2)


def test_spotting_asks_which_words_not_where_how_often_or_in_what_order():
    votes = torch.randn(2, 5, 6)
    targets, mask = torch.tensor([[3, 4, 3], [5, 3, 4]]), torch.ones(2, 3, dtype=torch.bool)
    once = word_spotting(votes, targets, mask)
    torch.testing.assert_close(word_spotting(votes[:, torch.randperm(5)], targets, mask), once)
    torch.testing.assert_close(word_spotting(votes, torch.tensor([[4, 3, 4], [4, 5, 3]]), mask), once)


def test_only_the_surest_place_learns_a_word():
    votes = torch.randn(1, 5, 6, requires_grad=True)
    word_spotting(votes, torch.tensor([[3, 4]]), torch.ones(1, 2, dtype=torch.bool)).backward()
    moved = votes.grad[0] != 0
    assert (moved.sum(dim=0) == 1).all()
    assert torch.equal(moved.float().argmax(dim=0), votes[0].argmax(dim=0))


@pytest.mark.parametrize("goal", ["one", "share"])
def test_the_penalty_is_its_formula(goal):
    """Σ_i (goal - Σ_t α_ti)², one image and one location at a time."""
    weights, total = rows_of_weights(), 0.0
    for b in range(B):
        steps = int(MASK[b].sum())
        wanted = 1 if goal == "one" else steps / L
        for i in range(L):
            total += (wanted - weights[b, :steps, i].sum().item()) ** 2
    penalty = doubly_stochastic_penalty(weights, MASK, EVERYWHERE, goal=goal)
    assert penalty.item() == pytest.approx(total / B, rel=1e-12)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**31))
@settings(max_examples=50, deadline=None)
def test_the_columns_share_as_many_looks_as_there_are_steps(steps, locations, seed):
    """P13: Σ_ti α_ti = C, so the penalty is (L-C)²/L at least, and what lies above is the other goal's penalty."""
    torch.manual_seed(seed)
    weights = rows_of_weights(steps, locations)
    mask, everywhere = torch.ones(B, steps, dtype=torch.bool), torch.ones(B, locations, dtype=torch.bool)
    torch.testing.assert_close(weights.sum((1, 2)), torch.full((B,), float(steps)).double())
    penalty = doubly_stochastic_penalty(weights, mask, everywhere)
    least = (locations - steps) ** 2 / locations
    assert penalty >= least - 1e-9
    share = doubly_stochastic_penalty(weights, mask, everywhere, goal="share")
    torch.testing.assert_close(penalty, least + share, rtol=1e-9, atol=1e-9)


def test_the_least_penalty_of_the_papers_sizes():
    """P13: 196 locations and 16 words leave 165.306, where every location gets C/L; the goal C/L itself can be met."""
    even = torch.full((1, 16, 196), 1 / 196).double()
    masks = torch.ones(1, 16, dtype=torch.bool), torch.ones(1, 196, dtype=torch.bool)
    least = (196 - 16) ** 2 / 196
    assert least == pytest.approx(165.306, abs=1e-3)
    assert doubly_stochastic_penalty(even, *masks).item() == pytest.approx(least)
    assert doubly_stochastic_penalty(even, *masks, goal="share").item() == pytest.approx(0, abs=1e-20)
    uneven = torch.zeros_like(even)
    uneven[:, :, 0] = 1  # every step at one place: (1-16)² there and 1 at each of the others
    assert doubly_stochastic_penalty(uneven, *masks).item() == pytest.approx(15**2 + 195)


@pytest.mark.parametrize("goal", ["one", "share"])
def test_the_codes_penalty_is_b_over_l_times_the_papers(goal):
    """D11: the sum over the batch, the mean over locations."""
    weights = rows_of_weights()
    paper = doubly_stochastic_penalty(weights, MASK, EVERYWHERE, goal=goal)
    code = doubly_stochastic_penalty(weights, MASK, EVERYWHERE, goal=goal, reduction="code")
    torch.testing.assert_close(code, paper * B / L)


@pytest.mark.parametrize("goal", ["one", "share"])
@pytest.mark.parametrize("reduction", ["image", "code"])
def test_padding_steps_locations_and_batch_order_leave_the_penalty(goal, reduction):
    """P20: steps of padding have weights too, and they are not counted."""
    weights, rows = rows_of_weights(), torch.tensor([2, 0, 1])
    expected = doubly_stochastic_penalty(weights, MASK, EVERYWHERE, goal=goal, reduction=reduction)
    wider = F.pad(weights, (0, 2, 0, 3), value=0.4)[rows]
    target_mask, source_mask = F.pad(MASK, (0, 3))[rows], F.pad(EVERYWHERE, (0, 2))
    found = doubly_stochastic_penalty(wider, target_mask, source_mask, goal=goal, reduction=reduction)
    torch.testing.assert_close(found, expected)


def test_the_penalty_of_half_precision_weights_is_summed_in_single():
    weights, steps, places = (
        torch.rand(2, 40, 9).softmax(-1).bfloat16(),
        torch.ones(2, 40).bool(),
        torch.ones(2, 9).bool(),
    )
    found = doubly_stochastic_penalty(weights, steps, places)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, doubly_stochastic_penalty(weights.float(), steps, places))


def test_the_penalty_leads_to_even_columns():
    """Gradient descent on the energies brings every location's share to C/L."""
    energies = rows_of_weights().log().requires_grad_()
    full = torch.ones(B, T, dtype=torch.bool)
    for _ in range(400):
        penalty = doubly_stochastic_penalty(energies.softmax(-1), full, EVERYWHERE)
        (gradient,) = torch.autograd.grad(penalty, energies)
        energies = (energies - gradient).detach().requires_grad_()
    torch.testing.assert_close(energies.softmax(-1).sum(1), torch.full((B, L), T / L).double(), atol=1e-2, rtol=0)


def test_unknown_penalties_are_refused():
    for changes, message in (({"goal": "two"}, "'two'.*one or share"), ({"reduction": "sum"}, "'sum'.*image or code")):
        with pytest.raises(CourseError, match=message):
            doubly_stochastic_penalty(rows_of_weights(), MASK, EVERYWHERE, **changes)


# The baseline


def test_the_baseline_is_the_moving_mean_of_the_rewards_before():
    """b_k = 0.9 b_{k-1} + 0.1 mean; constant rewards r give r (1 - 0.9^k), a step late."""
    baseline = MovingBaseline()
    for k in range(6):
        found = baseline(torch.tensor([-3.0, -5.0]))
        assert found.item() == pytest.approx(-4 * (1 - 0.9**k), abs=1e-6)
    assert baseline.value.item() == pytest.approx(-4 * (1 - 0.9**6))
    assert set(baseline.state_dict()) == {"value"} and not list(baseline.parameters())


def test_the_baseline_does_not_know_the_rewards_it_is_asked_about():
    one, other = MovingBaseline(), MovingBaseline()
    for rewards in ([-1.0], [-7.0]):
        one(torch.tensor(rewards))
        other(torch.tensor(rewards))
    assert one(torch.tensor([100.0])) == other(torch.tensor([-100.0])) != 0
    assert one.value > other.value


def test_evaluation_leaves_the_baseline_alone():
    baseline = MovingBaseline(decay=0.5)
    baseline(torch.tensor([2.0]))
    baseline.eval()
    assert baseline(torch.tensor([50.0])) == baseline(torch.tensor([50.0])) == 1
    with pytest.raises(CourseError, match="decay is 1.0"):
        MovingBaseline(decay=1.0)


# P14 to P16: REINFORCE, with every path enumerated

LOCATIONS, STEPS, WORDS_KNOWN = 3, 3, 7
PATHS = torch.tensor(list(itertools.product(range(LOCATIONS), repeat=STEPS)))
CAPTION = torch.tensor([[4, 6, EOS]])


class OnThePath(HardAttention):
    """Hard attention that draws what it is told: row k follows path k."""

    def _draw(self, weights):
        self.step = (getattr(self, "step", -1) + 1) % STEPS
        return PATHS[:, self.step]


def captioner(seed=0, attention="hard", **changes):
    torch.manual_seed(seed)
    sizes = {"feature_size": 4, "state_size": 5, "embedding_size": 3, "alignment_size": 6}
    model = show_attend_tell(target_vocabulary=WORDS_KNOWN, attention=attention, soft_share=0.0, **sizes, **changes)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    return model.double()


def picture(seed=0):
    return torch.randn(1, LOCATIONS, 4, generator=torch.Generator().manual_seed(seed)).double()


def teacher_forced(model, features, rows=1):
    encoded = model.encode(features, torch.ones(1, LOCATIONS, dtype=torch.bool)).take(torch.zeros(rows).long())
    inputs = torch.cat([torch.full((1, 1), BOS), CAPTION[:, :-1]], dim=1).expand(rows, -1)
    rollout = model.decoder(inputs, encoded)
    mask = torch.ones(rows, STEPS, dtype=torch.bool)
    return rollout, sentence_log_likelihood(rollout.logits, CAPTION.expand(rows, -1), mask), mask


def all_paths(seed=0):
    """A captioner that follows all L^T paths at once: the model, its rollout, log p(y | s, a), log p(s | a), mask."""
    model = captioner(seed)
    model.decoder.attention.__class__ = OnThePath
    rollout, likelihood, mask = teacher_forced(model, picture(seed), len(PATHS))
    assert torch.equal(rollout.positions, PATHS)
    return model, rollout, likelihood, rollout.log_probs.sum(1), mask


def gradient(scalar, model):
    found = torch.autograd.grad(scalar, list(model.parameters()), retain_graph=True, allow_unused=True)
    return torch.cat([torch.zeros_like(p).flatten() if g is None else g.flatten()
                      for g, p in zip(found, model.parameters(), strict=True)])  # fmt: skip


def expected_gradient(baseline, change=None, **settings):
    """Minus the gradient of `reinforce`, averaged over all paths as often as each is drawn; and the exact one."""
    model, rollout, likelihood, path, mask = all_paths()
    total = 0.0
    for k in range(len(PATHS)):
        one = slice(k, k + 1)
        parts = likelihood[one], rollout.log_probs[one], rollout.weights[one], mask[one]
        loss = reinforce(*(change(*parts) if change else parts), baseline, **settings).loss
        total = total - path[k].exp().detach() * loss
    exact = gradient((path.exp() * likelihood).sum(), model)
    return gradient(total, model), exact


def test_the_paths_are_a_distribution():
    _, _, _, path, _ = all_paths()
    assert len(PATHS) == LOCATIONS**STEPS
    torch.testing.assert_close(path.exp().sum(), torch.tensor(1.0).double())


@pytest.mark.parametrize("baseline", [0.0, -6.0, 50.0])
@pytest.mark.parametrize("reduction", ["sum", "sentence"])
def test_reinforce_is_unbiased_whatever_the_baseline(baseline, reduction):
    """P14: over all L^T paths the mean gradient is that of L_s = Σ_s p(s | a) log p(y | s, a)."""
    found, exact = expected_gradient(baseline, reduction=reduction)
    assert exact.norm() > 0.1
    torch.testing.assert_close(found, exact, rtol=0, atol=1e-10)


def path_only(likelihood, log_probs, weights, mask):
    return likelihood, log_probs.detach(), weights, mask


def score_only(likelihood, log_probs, weights, mask):
    return likelihood.detach(), log_probs, weights, mask


@pytest.mark.parametrize(
    ("change", "settings"),
    [
        (path_only, {}),
        (score_only, {}),
        (None, {"reward_weight": 0.1}),
        (None, {"entropy_weight": 0.5}),
        (None, {"reward": "word"}),
    ],
)
def test_a_part_of_it_or_another_weight_is_biased(change, settings):
    """P14: either term alone points elsewhere, and so does the released code's λ_r = 1/10 or an entropy term."""
    found, exact = expected_gradient(0.0, change, **settings)
    assert (found - exact).norm() > 0.01 * exact.norm()


def test_one_path_is_the_formula():
    """λ_r, λ_e, rewards by sentence and by word, from the definitions, padding included."""
    likelihood, log_probs = torch.tensor([-6.0, -2.0]).double(), -torch.rand(2, 3).double()
    weights, mask = rows_of_weights(3, 4)[:2], torch.tensor([[True, True, True], [True, False, False]])
    for reward, rewards in (("sentence", [-6.0, -2.0]), ("word", [-2.0, -2.0])):
        gains = []
        for b, length in enumerate((3, 1)):
            H = -sum(p * math.log(p) for row in weights[b, :length].tolist() for p in row)
            score = 0.3 * (rewards[b] + 1.5) * log_probs[b, :length].sum().item()
            gains.append(likelihood[b].item() + score + 0.7 * H)
        for reduction, count in (("sum", 1), ("sentence", 2), ("token", 4)):
            options = {"reward": reward, "reduction": reduction, "reward_weight": 0.3, "entropy_weight": 0.7}
            found = reinforce(likelihood, log_probs, weights, mask, -1.5, **options)
            assert found.loss.item() == pytest.approx(-sum(gains) / count, rel=1e-12)
            assert found.rewards.tolist() == rewards and found.baseline == -1.5
    for options in ({"reward": "letter"}, {"reduction": "mean"}):
        with pytest.raises(CourseError, match="choose"):
            reinforce(likelihood, log_probs, weights, mask, 0.0, **options)


def test_the_entropy_term_raises_the_entropy_and_has_a_finite_slope_at_zero():
    """A step down the loss with λ_e alone; weights of exactly 0 stand beside."""
    energies = torch.tensor([[[2.0, 0.0, -1.0, -math.inf]]]).double().requires_grad_()
    mask, nothing = torch.ones(1, 1, dtype=torch.bool), torch.zeros(1).double()

    def outcome(energies):
        return reinforce(nothing, nothing.unsqueeze(1), energies.softmax(-1), mask, 0.0, entropy_weight=1.0)

    before = outcome(energies)
    before.loss.backward()
    assert energies.grad.isfinite().all()
    after = outcome(energies.detach() - 0.1 * energies.grad)
    assert after.entropy > before.entropy + 1e-3
    assert outcome(torch.zeros(1, 1, 8).double()).entropy.item() == pytest.approx(math.log(8))


def test_the_reward_is_a_number():
    """Error 15: nothing flows through the reward or the baseline; the path's slope is λ_r (r - b)."""
    likelihood = torch.tensor([-6.0, -2.0], requires_grad=True)
    log_probs = torch.tensor([[-1.0, -1.0], [-2.0, -0.5]], requires_grad=True)
    mask, baseline = torch.ones(2, 2, dtype=torch.bool), MovingBaseline()
    baseline(torch.tensor([-10.0]))
    found = reinforce(likelihood, log_probs, torch.full((2, 2, 1), 1.0), mask, baseline, reduction="sum")
    found.loss.backward()
    assert likelihood.grad.tolist() == [-1, -1]
    torch.testing.assert_close(log_probs.grad, torch.tensor([[5.0, 5.0], [1.0, 1.0]]))
    assert not found.rewards.requires_grad and not found.baseline.requires_grad


def test_the_bound_is_a_bound_and_the_soft_likelihood_is_none():
    """P15: L_s ≤ log p(y | a) for every model (Jensen); the likelihood at the expected annotation may lie above."""
    above = below = 0
    for seed in range(12):
        model, _, likelihood, path, _ = all_paths(seed)
        bound = (path.exp() * likelihood).sum()
        marginal = (path + likelihood).logsumexp(0)
        assert bound <= marginal + 1e-12
        soft = captioner(seed, attention="soft")
        soft.load_state_dict(model.state_dict())
        expected = teacher_forced(soft, picture(seed))[1]
        above += bool(expected > marginal + 1e-6)
        below += bool(expected < marginal - 1e-6)
    assert above and below


def test_where_the_look_is_soft_the_score_term_vanishes():
    """P16: Σ_i s̃_i ∇ log α_i with s̃ = α is ∇ Σ_i α_i = 0; hard attention that only looks softly has no such term."""
    energies = torch.randn(5).double().requires_grad_()
    weights = energies.softmax(0)
    (slope,) = torch.autograd.grad((weights.detach() * weights.log()).sum(), energies)
    torch.testing.assert_close(slope, torch.zeros(5).double())
    model = captioner()
    model.decoder.attention.soft_share = 1.0
    rollout, likelihood, mask = teacher_forced(model, picture())
    assert (rollout.log_probs == 0).all() and (rollout.positions == -1).all()
    loss = reinforce(likelihood, rollout.log_probs, rollout.weights, mask, 30.0, reduction="sum").loss
    torch.testing.assert_close(gradient(loss, model), -gradient(likelihood.sum(), model))


def test_one_hot_weights_make_soft_and_hard_the_same():
    """P17: a score so steep that α is one-hot leaves nothing to chance."""
    hard = captioner()
    with torch.no_grad():
        hard.decoder.attention.score.v_a *= 1e8
    soft = captioner(attention="soft")
    soft.load_state_dict(hard.state_dict())
    (drawn, hard_cost, _), (expected, soft_cost, _) = (teacher_forced(m, picture()) for m in (hard, soft))
    assert (expected.weights.amax(-1) == 1).all()
    torch.testing.assert_close(drawn.logits, expected.logits)
    torch.testing.assert_close(hard_cost, soft_cost)
    assert (drawn.log_probs == 0).all()
