"""The decoder of Show, Attend and Tell against its formulas, and what each step may know (SPEC P19, P20)."""

import pytest
import torch
from driven import steps
from torch import nn

from course_pkg.attention import AdditiveScore, HardAttention, SoftAttention
from course_pkg.caption_decoder import CaptionDecoder, CaptionOutput, FirstState
from course_pkg.encoders import Encoded, WordEmbedding
from course_pkg.losses import doubly_stochastic_penalty, sequence_cross_entropy
from course_pkg.notation import CourseError
from course_pkg.recurrent import LongShortTermMemory
from course_pkg.search import beam_search, greedy, sample
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


@pytest.mark.parametrize("make", VARIANTS)
def test_step_by_step_reproduces_teacher_forcing(make):
    """P19: the log-probabilities, the weights and the gate."""
    made, encoded = make(), image()
    rollout, outcomes = made(INPUTS, encoded), steps(made, encoded, INPUTS)
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


# The reference: one image and one word at a time, straight from the formulas


def reference(made, tokens, annotations):
    """Xu et al. 2015, eq. 1-7 and §4.2.1, with the released code's layers where the decoder has them."""
    p = made.state_dict()

    def linear(name, x):
        return p[f"{name}.weight"] @ x + p.get(f"{name}.bias", 0)

    deep = made.first.W_init is not None
    mean = annotations.mean(0)
    start = torch.relu(linear("first.W_init", mean)) if deep else mean
    h, c = torch.tanh(linear("first.W_h", start)), torch.tanh(linear("first.W_c", start))
    logits, weights, gates = [], [], []
    for token in tokens.tolist():
        y = p["embedding.weight"][token] * (token != BOS)
        energies = []
        for a in annotations:
            name = "attention.score.U_a"
            key = torch.tanh(linear(f"{name}.1", linear(f"{name}.0", a))) if deep else linear(name, a)
            inside = torch.tanh(p["attention.score.W_a.weight"] @ h + key)
            energies.append(p["attention.score.v_a"] @ inside)
        alpha = torch.stack(energies).exp()
        alpha = alpha / alpha.sum()
        z = sum(weight * a for weight, a in zip(alpha, annotations, strict=True))
        if made.f_beta is not None:
            beta = torch.sigmoid(linear("f_beta", h))
            gates.append(beta[0])
            z = beta * z
        W, U, Z, b = (p[n].chunk(4) for n in ("unit.weight_ih", "unit.weight_hh", "Z.weight", "unit.bias"))
        i, f, o, g = (W[k] @ y + U[k] @ h + Z[k] @ z + b[k] for k in range(4))
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        inside = y + linear("output.L_h", h) + p["output.L_z.weight"] @ z
        logits.append(linear("output.L_o", torch.tanh(inside) if made.output.tanh else inside))
        weights.append(alpha)
    return torch.stack(logits), torch.stack(weights), torch.stack(gates) if gates else None


@pytest.mark.parametrize("make", VARIANTS)
def test_teacher_forcing_is_the_papers_equations(make):
    """Hard attention in testing looks at the expected annotation (D12), so it is the same reference."""
    made, encoded = make(), image()
    rollout = made(INPUTS, encoded)
    for b in range(B):
        logits, weights, gate = reference(made, INPUTS[b], encoded.annotations[b])
        torch.testing.assert_close(rollout.logits[b], logits, rtol=0, atol=1e-10)
        torch.testing.assert_close(rollout.weights[b], weights, rtol=0, atol=1e-11)
        if gate is not None:
            torch.testing.assert_close(rollout.gate[b], gate, rtol=0, atol=1e-11)


# What each step may know


def moved(made, encoded, position, what):
    """Which steps change when the input of one step changes."""
    changed = INPUTS.clone()
    changed[:, position] = 6
    before, after = (getattr(made(inputs, encoded), what) for inputs in (INPUTS, changed))
    return [(before[:, t] - after[:, t]).abs().max().item() > 1e-9 for t in range(T)]


@pytest.mark.parametrize("make", VARIANTS)
@pytest.mark.parametrize("position", range(1, T))
def test_the_query_and_the_gate_have_not_read_the_word_before(make, position):
    """Error 3: α_t and β_t come of h_{t-1}, unchanged by y_{t-1} and changed by y_{t-2}; the prediction knows both."""
    made, encoded = make(), image()
    assert moved(made, encoded, position, "weights") == [t >= position + 1 for t in range(T)]
    assert moved(made, encoded, position, "logits") == [t >= position for t in range(T)]
    if made.f_beta is not None:
        assert moved(made, encoded, position, "gate") == [t >= position + 1 for t in range(T)]


@pytest.mark.parametrize("make", VARIANTS)
def test_the_word_before_the_first_is_a_zero(make):
    made, encoded = make(), image()
    before = made(INPUTS, encoded).logits
    with torch.no_grad():
        made.embedding.weight[BOS] = 50.0
    assert torch.equal(made(INPUTS, encoded).logits, before)


@pytest.mark.parametrize("make", VARIANTS)
def test_padding_masked_locations_and_batch_order_change_nothing(make):
    """P20, the penalty included: what stands at a masked location or after EOS is never seen."""
    made, short = make(), image()
    rows = torch.tensor([1, 2, 0])
    annotations = nn.functional.pad(short.annotations, (0, 0, 0, 2), value=1e3)[rows]
    mask = nn.functional.pad(short.mask, (0, 2))[rows]
    long = made(nn.functional.pad(INPUTS[rows], (0, 2), value=PAD), Encoded(annotations, mask, short.summary[rows]))
    expected = made(INPUTS, short).take(rows)
    torch.testing.assert_close(long.logits[:, :T], expected.logits, rtol=0, atol=1e-11)
    torch.testing.assert_close(long.weights[:, :T, :S], expected.weights, rtol=0, atol=1e-12)
    assert (long.weights[:, :, S:] == 0).all()
    lengths = torch.tensor([4, 3, 4])
    masks = [torch.arange(steps) < lengths[rows].unsqueeze(1) for steps in (T, T + 2)]
    penalties = [
        doubly_stochastic_penalty(rollout.weights, target_mask, source_mask)
        for rollout, target_mask, source_mask in zip((expected, long), masks, (short.mask, mask), strict=True)
    ]
    torch.testing.assert_close(*penalties)
    targets = torch.tensor([[8, 8, 5, EOS, PAD, PAD], [10, 7, EOS, PAD, PAD, PAD], [4, 9, 7, EOS, PAD, PAD]])
    costs = [
        sequence_cross_entropy(rollout.logits, targets[:, : target_mask.shape[1]], target_mask)
        for rollout, target_mask in zip((expected, long), masks, strict=True)
    ]
    torch.testing.assert_close(*costs)


# Gate, output, first state


def test_the_gate_scales_what_the_lstm_and_the_output_are_given():
    """β near 0: the image is not seen; β near 1: as without a gate. The look itself is never scaled."""
    made, bare, encoded = decoder(), decoder(gate=False), image()
    bare.load_state_dict({name: value for name, value in made.state_dict().items() if "f_beta" not in name})
    nn.init.zeros_(made.f_beta.weight)
    with torch.no_grad():
        made.f_beta.bias.fill_(60.0)
    open_gate = made(INPUTS, encoded)
    torch.testing.assert_close(open_gate.logits, bare(INPUTS, encoded).logits)
    assert (open_gate.gate == 1).all()
    with torch.no_grad():
        made.f_beta.bias.fill_(-800.0)
    elsewhere = Encoded(torch.randn(B, S, D).double(), encoded.mask, encoded.summary)
    shut, other = made(INPUTS, encoded), made(INPUTS, elsewhere)
    assert torch.equal(shut.logits, other.logits) and not torch.equal(shut.weights, other.weights)
    first = steps(made, encoded, INPUTS)[0]
    torch.testing.assert_close(
        first.glimpse.context, (first.glimpse.weights.unsqueeze(-1) * encoded.annotations).sum(1)
    )
    assert (first.state.context == 0).all()


def test_the_output_is_eq_7_linear_by_default():
    """D9: without the code's tanh the logits are an affine function of state, word and context."""
    output = lively(CaptionOutput(H, E, D, V))
    one, other = ([torch.randn(size).double() for size in (H, E, D)] for _ in range(2))
    middle = [(a + b) / 2 for a, b in zip(one, other, strict=True)]
    torch.testing.assert_close(output(*middle), (output(*one) + output(*other)) / 2)
    output.tanh = True
    assert not torch.allclose(output(*middle), (output(*one) + output(*other)) / 2)


def test_dropout_acts_in_training_alone_and_where_it_is_said():
    wide = 400
    arguments = torch.ones(1, wide), torch.zeros(1, wide), torch.zeros(1, D)
    for setting, watched in (("state_dropout", "L_h"), ("dropout", "L_o")):
        output, seen = CaptionOutput(wide, wide, D, V, **{setting: 0.5}), []
        getattr(output, watched).register_forward_hook(lambda module, inputs, result, seen=seen: seen.append(inputs[0]))
        output.eval()(*arguments)
        output.train()(*arguments)
        whole, dropped = seen
        kept = dropped != 0
        assert 0.4 < kept.float().mean() < 0.6
        torch.testing.assert_close(dropped[kept], 2 * whole[kept])


def test_a_tied_output_is_the_embedding_itself():
    table = WordEmbedding(V, E, bos=BOS)
    assert CaptionOutput(H, E, D, V, tied=table.weight).L_o.weight is table.weight
    with pytest.raises(CourseError, match="embedding"):
        CaptionOutput(H, E + 1, D, V, tied=table.weight)


def test_layers_that_do_not_exist_are_refused():
    with pytest.raises(CourseError, match="1 or 2 layers, not 3"):
        FirstState(D, H, layers=3)


# Hard attention in the decoder


def test_a_hard_rollout_says_where_it_looked():
    """One position and its log α for each step; taking the same positions again gives the same prediction."""
    made, encoded = decoder(HardAttention).train(), image()
    rollout = made(INPUTS, encoded)
    assert rollout.positions.shape == rollout.log_probs.shape == (B, T)
    chosen = rollout.weights.gather(2, rollout.positions.unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(rollout.log_probs, chosen.log())
    soft = decoder()
    soft.load_state_dict(made.state_dict())
    assert soft(INPUTS, encoded).positions is None and soft(INPUTS, encoded).log_probs is None
    seen = torch.zeros(B, D).double()
    memory, state = made.start(encoded)
    for t in range(T):
        seen = encoded.annotations[torch.arange(B), rollout.positions[:, t]]
        beta = torch.sigmoid(made.f_beta(state.hidden))
        gates = made.unit.gates(made.embedding(INPUTS[:, t])) + made.Z(beta * seen)
        hidden, cell = made.unit.update(gates, state.hidden, state.cell)
        state = type(state)(hidden, cell)
        logits = made.output(hidden, made.embedding(INPUTS[:, t]), beta * seen)
        torch.testing.assert_close(rollout.logits[:, t], logits)


# Search


@pytest.mark.parametrize("make", VARIANTS)
def test_search_works_on_it_and_returns_weights_and_gate(make):
    """P18's ends: a beam of 1 is greedy, and what a hypothesis says of itself is what teacher forcing says of it."""
    made, encoded = make(), image()
    settings = {"bos": BOS, "eos": EOS, "max_steps": 5}
    best, narrow = greedy(made, encoded, **settings), beam_search(made, encoded, beam_size=1, **settings)
    assert torch.equal(best.tokens, narrow.tokens)
    for found in (beam_search(made, encoded, beam_size=3, **settings), sample(made, encoded, **settings)):
        for k in range(found.tokens.shape[1]):
            tokens = found.tokens[:, k]
            inputs = torch.cat([torch.full((B, 1), BOS), tokens[:, :-1]], dim=1)
            rollout = made(inputs, encoded)
            log_probs = rollout.logits.log_softmax(-1).gather(2, tokens.unsqueeze(-1)).squeeze(-1)
            real = torch.arange(tokens.shape[1]) < found.lengths[:, k, None]
            # float32 scores of a float64 model
            torch.testing.assert_close(
                found.scores[:, k].double(), log_probs.masked_fill(~real, 0).sum(1), rtol=1e-4, atol=1e-4
            )
            expected = rollout.weights * real.unsqueeze(-1)
            torch.testing.assert_close(found.weights[:, k].double(), expected, rtol=1e-5, atol=1e-6)
            if made.f_beta is not None:
                torch.testing.assert_close(found.gate[:, k].double(), rollout.gate * real, rtol=1e-5, atol=1e-6)


# Computed once; gradients


def calls(module):
    """How often a module is called; the list grows."""
    count = []
    module.register_forward_hook(lambda *_: count.append(1))
    return count


def test_what_does_not_depend_on_the_state_is_computed_once():
    """Keys once for each batch of images, words and vocabulary once for all steps, a query for each step."""
    made, encoded = decoder(), image()
    score = made.attention.score
    watched = [score.U_a, made.embedding, made.output.L_o, made.first, score.W_a]
    counts = [calls(module) for module in watched]
    made(INPUTS, encoded)
    assert [len(count) for count in counts] == [1, 1, 1, 1, T]


@pytest.mark.parametrize("make", VARIANTS)
def test_every_parameter_learns(make):
    made, encoded = make(), image()
    made(INPUTS, encoded).logits.log_softmax(-1).square().sum().backward()
    for name, parameter in made.named_parameters():
        assert parameter.grad is not None and (parameter.grad != 0).any(), name


@pytest.mark.parametrize("make", VARIANTS)
def test_gradients_agree_with_finite_differences(make):
    made, encoded = make(), image()

    def outcome(annotations, summary):
        rollout = made(INPUTS, Encoded(annotations, encoded.mask, summary))
        return rollout.logits, rollout.weights

    arguments = encoded.annotations.requires_grad_(), encoded.summary.requires_grad_()
    assert torch.autograd.gradcheck(outcome, arguments, fast_mode=True)


def test_weights_in_half_precision_are_made_again_in_single():
    """Columns of α are summed over many steps (the penalty): what is kept of each has to sum to 1."""
    made = decoder().float().bfloat16()
    annotations = torch.randn(B, S, D).bfloat16()
    encoded = Encoded(annotations, torch.ones(B, S, dtype=torch.bool), annotations.mean(1))
    weights = made(INPUTS, encoded).weights
    assert weights.dtype == torch.float32
    torch.testing.assert_close(weights.sum(-1), torch.ones(B, T), rtol=0, atol=1e-6)
