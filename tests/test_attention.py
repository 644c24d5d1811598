"""Attention against its closed forms, its invariances and brute force (SPEC P1–P8, P10, P17)."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from course_pkg.attention import (
    AdditiveScore,
    DotScore,
    GeneralScore,
    HardAttention,
    ScaledDotScore,
    Score,
    SoftAttention,
    masked_softmax,
)
from course_pkg.notation import CourseError

B, S, D, Q, A = 3, 5, 8, 6, 4
LENGTHS = torch.tensor([5, 2, 3])
MASK = torch.arange(S) < LENGTHS.unsqueeze(1)
SCORES = {
    "additive": lambda: AdditiveScore(Q, D, A),
    "scaled-dot": lambda: ScaledDotScore(Q, D, A),
    "general": lambda: GeneralScore(Q, D),
    "dot": DotScore,
}


def case(name, dtype=torch.float64):
    """A soft attention with its query and annotations; padded annotations hold large numbers."""
    attention = SoftAttention(SCORES[name]()).to(dtype)
    query = torch.randn(B, D if name == "dot" else Q, dtype=dtype)
    annotations = torch.randn(B, S, D, dtype=dtype)
    return attention, query, torch.where(MASK.unsqueeze(-1), annotations, 1e4)


def look(attention, query, annotations, mask=MASK):
    return attention(query, attention.remember(annotations, mask))


@pytest.fixture(params=SCORES)
def soft(request):
    return case(request.param)


# The scores, from the formulas


def test_scores_are_their_formulas():
    """Bahdanau et al. 2015 §A.1.2, Luong et al. 2015 eq. 8, Vaswani et al. 2017 eq. 1: one pair at a time."""
    additive, general, scaled = (SCORES[name]().double() for name in ("additive", "general", "scaled-dot"))
    query, annotations = torch.randn(B, Q).double(), torch.randn(B, S, D).double()
    wide = torch.randn(B, D).double()
    found = {score: score(query, score.project(annotations)) for score in (additive, general, scaled)}
    dots = DotScore()(wide, DotScore().project(annotations))
    for b in range(B):
        for j in range(S):
            s, h = query[b], annotations[b, j]
            energy = sum(additive.v_a * torch.tanh(additive.W_a.weight @ s + additive.U_a.weight @ h))
            torch.testing.assert_close(found[additive][b, j], energy)
            torch.testing.assert_close(found[general][b, j], s @ (general.W_a.weight @ h))
            dot = (scaled.W_q.weight @ s) @ (scaled.W_k.weight @ h)
            torch.testing.assert_close(found[scaled][b, j], dot / math.sqrt(A))
            torch.testing.assert_close(dots[b, j], sum(wide[b] * h))


def test_scaled_dot_energies_keep_unit_variance():
    """For independent unit-variance entries the variance of the dot product is its width; the scale divides it out."""
    width = 256
    score = ScaledDotScore(width, width, width).double()
    with torch.no_grad():
        score.W_q.weight.copy_(torch.eye(width))
        score.W_k.weight.copy_(torch.eye(width))
    energies = score(torch.randn(64, width).double(), score.project(torch.randn(64, 100, width).double()))
    assert abs(energies.var().item() - 1) < 0.1


def test_alignment_model_has_the_papers_parameters_and_no_bias():
    shapes = {name: tuple(p.shape) for name, p in AdditiveScore(Q, D, A).named_parameters()}
    assert shapes == {"v_a": (A,), "W_a.weight": (A, Q), "U_a.weight": (A, D)}
    assert list(DotScore().parameters()) == []


# P1, P2, P5, P7: what every score's weights obey


def test_weights_sum_to_one_and_padding_gets_exactly_nothing(soft):
    """P1; B, S and the other sizes differ, so that a softmax over a wrong axis shows."""
    glimpse = look(*soft)
    torch.testing.assert_close(glimpse.weights.sum(1), torch.ones(B).double())
    assert (glimpse.weights[~MASK] == 0).all()
    assert (glimpse.weights[MASK] > 0).all()


def test_context_is_the_weighted_sum(soft):
    """Eq. 5, position by position over the real annotations alone."""
    _, _, annotations = soft
    glimpse = look(*soft)
    for b in range(B):
        real = range(int(LENGTHS[b]))
        context = sum(glimpse.weights[b, j] * annotations[b, j] for j in real)
        torch.testing.assert_close(glimpse.context[b], context)
        energies = glimpse.scores[b, : LENGTHS[b]]
        torch.testing.assert_close(glimpse.weights[b, : LENGTHS[b]], energies.exp() / energies.exp().sum())


def test_more_padding_changes_nothing(soft):
    """P1."""
    attention, query, annotations = soft
    wider = torch.cat([annotations, torch.full((B, 4, D), -7.0).double()], dim=1)
    mask = torch.cat([MASK, torch.zeros(B, 4, dtype=torch.bool)], dim=1)
    short, long = look(attention, query, annotations), look(attention, query, wider, mask)
    torch.testing.assert_close(long.context, short.context, rtol=0, atol=1e-12)
    torch.testing.assert_close(long.weights[:, :S], short.weights, rtol=0, atol=1e-12)
    assert (long.weights[:, S:] == 0).all()


def test_each_sentence_looks_for_itself(soft):
    attention, query, annotations = soft
    together = look(attention, query, annotations)
    for b in range(B):
        length = int(LENGTHS[b])
        alone = look(attention, query[b : b + 1], annotations[b : b + 1, :length], MASK[b : b + 1, :length])
        torch.testing.assert_close(alone.context[0], together.context[b])


def test_permuted_annotations_permute_the_weights_and_keep_the_context(soft):
    """P2: attention sees a set; order is the encoder's business."""
    attention, query, annotations = soft
    order = torch.tensor([3, 0, 4, 2, 1])
    straight, permuted = look(*soft), look(attention, query, annotations[:, order], MASK[:, order])
    torch.testing.assert_close(permuted.weights, straight.weights[:, order], rtol=0, atol=1e-12)
    torch.testing.assert_close(permuted.context, straight.context, rtol=0, atol=1e-12)


def test_context_lies_in_the_convex_hull_of_the_real_annotations(soft):
    """P7 by support functions: no direction leads further out than the furthest real annotation."""
    _, _, annotations = soft
    context = look(*soft).context
    directions = torch.randn(500, D).double()
    for b in range(B):
        reach = annotations[b, : LENGTHS[b]] @ directions.T
        along = directions @ context[b]
        assert (along <= reach.amax(0) + 1e-12).all()
        assert (along >= reach.amin(0) - 1e-12).all()


def test_equal_annotations_give_themselves(soft):
    """P7's degenerate hull: one point."""
    attention, query, _ = soft
    one = torch.randn(B, 1, D).double()
    annotations = torch.where(MASK.unsqueeze(-1), one, -50.0)
    torch.testing.assert_close(look(attention, query, annotations).context, one[:, 0])


def test_memory_rows_can_be_taken_in_any_order(soft):
    """What beam search does with a memory: hypotheses of one sentence share its row."""
    attention, query, annotations = soft
    rows = torch.tensor([2, 0, 0])
    glimpse = attention(query[rows], attention.remember(annotations, MASK).take(rows))
    torch.testing.assert_close(glimpse.context, look(*soft).context[rows])


@given(
    st.lists(st.floats(-30, 30), min_size=1, max_size=7),
    st.floats(-1e3, 1e3),
    st.data(),
)
@settings(max_examples=100, deadline=None)
def test_a_constant_added_to_the_energies_changes_nothing(energies, constant, data):
    """P5, for any mask with a real position."""
    scores = torch.tensor([energies]).double()
    mask = torch.tensor([data.draw(st.lists(st.booleans(), min_size=len(energies), max_size=len(energies)))])
    mask[0, data.draw(st.integers(0, len(energies) - 1))] = True
    shifted = masked_softmax(scores + constant, mask)
    torch.testing.assert_close(shifted, masked_softmax(scores, mask), rtol=1e-9, atol=1e-12)
    assert (shifted[~mask] == 0).all()


# P3, P4: gradients in closed form


def test_a_zero_v_looks_everywhere_alike_and_teaches_only_v():
    """P3: the paper's starting point. α is uniform over real positions and c their mean."""
    attention, query, annotations = case("additive")
    nn.init.zeros_(attention.score.v_a)
    glimpse = look(attention, query, annotations)
    uniform = MASK.double() / LENGTHS.unsqueeze(1)
    torch.testing.assert_close(glimpse.weights, uniform)
    torch.testing.assert_close(glimpse.context, (uniform.unsqueeze(-1) * annotations).sum(1))
    glimpse.context.square().sum().backward()
    assert (attention.score.W_a.weight.grad == 0).all()
    assert (attention.score.U_a.weight.grad == 0).all()
    assert (attention.score.v_a.grad.abs() > 1e-6).all()


def test_jacobian_of_the_weights():
    """P4: ∂α/∂e = diag α − α αᵀ, whose rows sum to 0; a masked position neither moves nor is moved."""
    scores, mask = torch.randn(S).double(), torch.tensor([True, True, False, True, False])
    weights = masked_softmax(scores, mask)
    jacobian = torch.autograd.functional.jacobian(lambda e: masked_softmax(e, mask), scores)
    torch.testing.assert_close(jacobian, weights.diag() - torch.outer(weights, weights))
    torch.testing.assert_close(jacobian.sum(1), torch.zeros(S).double())
    assert (jacobian[~mask] == 0).all() and (jacobian[:, ~mask] == 0).all()


def test_jacobian_of_the_context():
    """P4: ∂c/∂e_j = α_j (h_j − c): a position gains weight in the direction in which it differs from the context.

    The general score with keys equal to the identity makes the energies the query itself.
    """
    attention = SoftAttention(GeneralScore(S, D)).double()
    annotations = torch.randn(1, S, D).double()
    memory = attention.remember(annotations, torch.ones(1, S, dtype=torch.bool))
    memory = type(memory)(annotations, torch.eye(S).double().unsqueeze(0), memory.mask)
    energies = torch.randn(S).double()
    jacobian = torch.autograd.functional.jacobian(lambda e: attention(e[None], memory).context[0], energies)
    weights = energies.softmax(0)
    context = weights @ annotations[0]
    torch.testing.assert_close(jacobian.T, weights.unsqueeze(1) * (annotations[0] - context))


def test_gradients_agree_with_finite_differences(soft):
    attention, query, _ = soft
    annotations = torch.randn(B, S, D).double().requires_grad_()

    def context(query, annotations):
        return look(attention, query, annotations).context

    assert torch.autograd.gradcheck(context, (query.requires_grad_(), annotations))


def test_padding_receives_no_gradient(soft):
    attention, query, annotations = soft
    annotations.requires_grad_()
    look(attention, query, annotations).context.sum().backward()
    assert (annotations.grad[~MASK] == 0).all()
    assert (annotations.grad[MASK] != 0).any()


# P6, P8: bounds


@given(st.integers(1, 6), st.integers(1, 8), st.floats(0, 20), st.integers(0, 2**31))
@settings(max_examples=100, deadline=None)
def test_additive_energies_are_bounded_by_the_norm_of_v(width, positions, size, seed):
    """P6: |e| ≤ ‖v‖₁ since |tanh| ≤ 1, so max α / min α ≤ exp(2‖v‖₁), however large states and annotations are."""
    torch.manual_seed(seed)
    score = AdditiveScore(Q, D, width).double()
    annotations, query = size * torch.randn(2, positions, D).double(), size * torch.randn(2, Q).double()
    norm = score.v_a.abs().sum()
    energies = score(query, score.project(annotations))
    assert (energies.abs() <= norm * (1 + 1e-12)).all()
    weights = masked_softmax(energies, torch.ones(2, positions, dtype=torch.bool))
    assert (weights.amax(1) <= weights.amin(1) * torch.exp(2 * norm) * (1 + 1e-9)).all()


def test_exp_then_mask_is_the_same_and_overflows():
    """P8: GroundHog exponentiates, masks, divides. The same weights, but in float32 e = 100 is not a number."""
    scores = torch.randn(B, S).double()
    exponentials = scores.exp() * MASK
    torch.testing.assert_close(masked_softmax(scores, MASK), exponentials / exponentials.sum(1, keepdim=True))
    large = torch.tensor([[100.0, 99.0, 3.0]])
    mask = torch.tensor([[True, True, False]])
    raw = large.exp() * mask
    assert (raw / raw.sum(1, keepdim=True)).isnan().any()
    ratio = 1 / (1 + math.exp(-1))
    torch.testing.assert_close(masked_softmax(large, mask), torch.tensor([[ratio, 1 - ratio, 0.0]]))
    torch.testing.assert_close(masked_softmax(-large * 1e3, mask), torch.tensor([[0.0, 1.0, 0.0]]))


def test_masked_energies_may_be_anything():
    """A NaN, an infinity or a giant under the mask leaves the weights alone."""
    scores = torch.randn(1, 4)
    mask = torch.tensor([[True, True, True, False]])
    expected = scores[:, :3].softmax(1)
    for rubbish in (math.nan, math.inf, 1e30):
        scores[0, 3] = rubbish
        found = masked_softmax(scores, mask)
        torch.testing.assert_close(found[:, :3], expected)
        assert found[0, 3] == 0


def test_scores_are_left_as_they_were():
    """The mask is applied out of place: the energies are returned and must not hold infinities."""
    glimpse = look(*case("additive"))
    assert glimpse.scores.isfinite().all()
    scores = torch.randn(B, S)
    before = scores.clone()
    masked_softmax(scores, MASK)
    assert torch.equal(scores, before)


# P10: the price of a look


class MultiplyAdds(TorchDispatchMode):
    """Counts the multiply-adds of matrix products as they are carried out."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if name in ("mm", "bmm", "mv"):
            left, right = args[:2]
            self.count += left.numel() * (right.shape[-1] if right.dim() > 1 else 1)
        elif name in ("addmm", "baddbmm", "addmv", "dot", "matmul", "linear", "einsum"):
            raise AssertionError(f"{name} is not counted")
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(("n", "n_alignment", "sources", "targets"), [(3, 5, 7, 4), (8, 2, 1, 9)])
def test_price_of_additive_attention(n, n_alignment, sources, targets):
    """P10: 2nn'T_x + nn'T_y + (n' + 2n)T_xT_y multiply-adds, T_xT_y energies (§A.1.2)."""
    attention = SoftAttention(AdditiveScore(n, 2 * n, n_alignment))
    energies = 0
    with MultiplyAdds() as price:
        memory = attention.remember(torch.randn(1, sources, 2 * n), torch.ones(1, sources, dtype=torch.bool))
        assert price.count == 2 * n * n_alignment * sources
        for _ in range(targets):
            energies += attention(torch.randn(1, n), memory).scores.numel()
    assert energies == sources * targets
    expected = 2 * n * n_alignment * sources + n * n_alignment * targets + (n_alignment + 2 * n) * sources * targets
    assert price.count == expected


def test_a_score_is_abstract():
    with pytest.raises(TypeError, match="abstract"):
        Score()


# Hard attention


def hard(**changes):
    attention = HardAttention(AdditiveScore(Q, D, A), **changes).double()
    attention.score.v_a.data.mul_(20)  # weights far from even, or wrong chances of a draw would go unnoticed
    annotations = torch.where(MASK.unsqueeze(-1), torch.randn(B, S, D).double(), 1e4)
    return attention, torch.randn(B, Q).double(), annotations


def soft_twin(attention):
    """Soft attention with the same score."""
    return SoftAttention(attention.score)


def test_a_hard_look_brings_back_one_annotation_and_its_log_probability():
    """ẑ = a_s and log p(s) = log α_s (Xu et al. 2015, eq. 8, 9); the weights are those of soft attention."""
    attention, query, annotations = hard()
    glimpse, expected = look(attention, query, annotations), look(soft_twin(attention), query, annotations)
    torch.testing.assert_close(glimpse.weights, expected.weights)
    torch.testing.assert_close(glimpse.scores, expected.scores)
    for b, s in enumerate(glimpse.position.tolist()):
        assert MASK[b, s]
        assert torch.equal(glimpse.context[b], annotations[b, s])
        assert glimpse.log_prob[b].item() == pytest.approx(math.log(glimpse.weights[b, s].item()))


@pytest.mark.parametrize("when", ["training", "testing"])
def test_positions_are_drawn_as_often_as_the_weights_say(when):
    """Within five standard errors; padding is never drawn."""
    attention, query, annotations = hard(when_testing="sample")
    attention.train(when == "training")
    draws = 20_000
    rows = torch.arange(B).repeat(draws)
    memory = attention.remember(annotations, MASK).take(rows)
    glimpse = attention(query[rows], memory)
    drawn = torch.nn.functional.one_hot(glimpse.position, S).double().view(draws, B, S).mean(0)
    weights = glimpse.weights[:B]
    assert weights.amax() > 3 * weights[MASK].amin()
    error = (weights * (1 - weights) / draws).sqrt()
    assert ((drawn - weights).abs() <= 5 * error).all()
    assert (drawn[~MASK] == 0).all() and (drawn[MASK] > 0).all()


def test_one_draw_does_not_decide_the_next():
    """Two looks of a row are independent: the joint frequencies are the products, within five standard errors."""
    attention, query, annotations = hard()
    rows = torch.zeros(20_000, dtype=torch.long)
    memory = attention.remember(annotations, MASK).take(rows)
    first, second = attention(query[rows], memory), attention(query[rows], memory)
    joint = torch.bincount(S * first.position + second.position, minlength=S * S).view(S, S) / len(rows)
    product = torch.outer(first.weights[0], first.weights[0])
    assert ((joint - product).abs() <= 5 * (product * (1 - product) / len(rows)).sqrt()).all()


def test_in_testing_a_hard_look_is_what_was_chosen():
    """Expected: soft attention (the released code, D12); argmax: the likeliest annotation."""
    attention, query, annotations = hard()
    soft_look = look(soft_twin(attention), query, annotations)
    expected = look(attention.eval(), query, annotations)
    torch.testing.assert_close(expected.context, soft_look.context)
    assert expected.log_prob is None and expected.position is None
    attention.when_testing = "argmax"
    likeliest = look(attention, query, annotations)
    assert torch.equal(likeliest.position, soft_look.weights.argmax(-1))
    assert torch.equal(likeliest.context, annotations[torch.arange(B), likeliest.position])


def test_images_that_look_softly_bring_back_the_expectation():
    """Semi-sampling: s̃ = α for the whole image, at every step; the other images draw."""
    attention, query, annotations = hard(soft_share=0.5)
    rows = torch.arange(B).repeat(40)
    memory = attention.remember(annotations[rows], MASK[rows])
    expected = look(soft_twin(attention), query, annotations).context[rows]
    assert memory.soft.any() and not memory.soft.all()
    for _ in range(3):
        glimpse = attention(query[rows], memory)
        torch.testing.assert_close(glimpse.context[memory.soft], expected[memory.soft])
        assert (glimpse.log_prob[memory.soft] == 0).all() and (glimpse.position[memory.soft] == -1).all()
        drawn = ~memory.soft
        assert torch.equal(glimpse.context[drawn], annotations[rows[drawn], glimpse.position[drawn]])
        assert (glimpse.log_prob[drawn] < 0).all()


def test_the_soft_look_is_the_mean_of_all_hard_ones():
    """E[ẑ] over the positions (Xu et al. 2015, eq. 13), each brought back by a look that draws it."""
    attention, query, annotations = hard()
    mean = torch.zeros(B, D).double()
    for s in range(S):
        attention._draw = lambda weights, s=s: torch.full((B,), s)
        glimpse = look(attention, query, annotations)
        mean += glimpse.log_prob.exp().unsqueeze(1) * glimpse.context
    torch.testing.assert_close(mean, look(soft_twin(attention), query, annotations).context)


@pytest.mark.parametrize(("share", "coin"), [(0.0, "image"), (0.3, "image"), (1.0, "image"), (0.3, "minibatch")])
def test_the_coin_is_tossed_for_each_image_or_for_a_minibatch(share, coin):
    """D12. The share of soft images is the one asked for, within five standard errors."""
    attention, _, annotations = hard(soft_share=share, coin=coin)
    tosses = []
    for _ in range(500):
        soft = attention.remember(annotations, MASK).soft
        tosses.append(torch.zeros(B).bool() if soft is None else soft)
    tosses = torch.stack(tosses)
    alike = (tosses == tosses[:, :1]).all()
    assert alike == (coin == "minibatch" or share in (0, 1))
    count = len(tosses) if coin == "minibatch" else tosses.numel()
    assert abs(tosses.double().mean() - share) <= 5 * (share * (1 - share) / count) ** 0.5
    assert attention.eval().remember(annotations, MASK).soft is None


def test_weights_learn_through_the_log_probability_alone():
    """A draw has no derivative: the context says nothing to the score, log α does, and leaves padding alone."""
    attention, query, annotations = hard()
    glimpse = look(attention, query.requires_grad_(), annotations.requires_grad_())
    (slope,) = torch.autograd.grad(glimpse.context.sum(), query, retain_graph=True, allow_unused=True)
    assert slope is None or (slope == 0).all()
    (slope,) = torch.autograd.grad(glimpse.log_prob.sum(), query, retain_graph=True)
    assert (slope != 0).any()
    (drawn,) = torch.autograd.grad(glimpse.context.sum(), annotations)
    assert torch.equal(drawn.amax(-1) == 1, torch.nn.functional.one_hot(glimpse.position, S).bool())


def test_one_hot_weights_leave_nothing_to_chance():
    """P17: the hard look is the soft one."""
    attention, query, annotations = hard()
    with torch.no_grad():
        attention.score.v_a *= 1e8
    drawn, expected = look(attention, query, annotations), look(soft_twin(attention), query, annotations)
    assert (expected.weights.amax(-1) == 1).all()
    torch.testing.assert_close(drawn.context, expected.context)
    assert (drawn.log_prob == 0).all()


def test_weights_too_small_for_their_type_are_survived():
    """A weight of exactly 0 is never drawn, and the likeliest one has a finite log-probability."""
    attention, query, annotations = hard()
    attention = attention.float()
    with torch.no_grad():
        attention.score.v_a *= 1e6
    rows = torch.arange(B).repeat(1000)
    memory = attention.remember(annotations.float(), MASK).take(rows)
    glimpse = attention(query.float()[rows], memory)
    assert glimpse.log_prob.isfinite().all() and (glimpse.weights == 0).any()
    assert (glimpse.weights.gather(1, glimpse.position.unsqueeze(1)) > 0).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"soft_share": 1.5}, "soft_share is 1.5"),
        ({"when_testing": "random"}, "'random'.*expected, sample, argmax"),
        ({"coin": "word"}, "'word'.*image, minibatch"),
    ],
)
def test_hard_attention_refuses_what_it_does_not_know(changes, message):
    with pytest.raises(CourseError, match=message):
        hard(**changes)


# The released captioner's additive score


def test_two_layers_and_biases_are_the_released_codes():
    """key = tanh(U_2 (U_a a + b) + b_2), then vᵀ tanh(W h + key); without them the score of Bahdanau et al."""
    score = AdditiveScore(Q, D, A, bias=True, layers=2).double()
    query, annotations = torch.randn(B, Q).double(), torch.randn(B, S, D).double()
    first, second, _ = score.U_a
    for b in range(B):
        for s in range(S):
            key = torch.tanh(second.weight @ (first.weight @ annotations[b, s] + first.bias) + second.bias)
            energy = score.v_a @ torch.tanh(score.W_a.weight @ query[b] + key)
            torch.testing.assert_close(score(query, score.project(annotations))[b, s], energy)
    assert {name for name, _ in AdditiveScore(Q, D, A).named_parameters()} == {"W_a.weight", "U_a.weight", "v_a"}
    with pytest.raises(CourseError, match="1 or 2 layers.*not 3"):
        AdditiveScore(Q, D, A, layers=3)
