"""The backward pass derived by hand: autograd's gradients exactly, without what autograd keeps (chapter 6)."""

import copy
import importlib.util
import json
import pickle
import types
from pathlib import Path

import pytest
import torch
from tiny_corpus import corpus, tiny
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from course_pkg import bptt, decoders
from course_pkg.attention import AdditiveScore, Memory, SoftAttention
from course_pkg.bptt import Weights
from course_pkg.decoders import AttentiveDecoder
from course_pkg.encoders import Encoded
from course_pkg.evaluation import PASSPORT
from course_pkg.losses import sequence_cross_entropy
from course_pkg.models import rnnsearch
from course_pkg.notation import CourseError
from course_pkg.recurrent import GatedRecurrentUnit
from course_pkg.training import fit
from course_pkg.vocabulary import BOS

__all__ = ["corpus"]  # a fixture, used by name

V = 11
SHAPES = [  # B, T, S, H, A, D
    (3, 4, 5, 6, 7, 12),
    (2, 1, 4, 3, 2, 5),
    (3, 5, 1, 2, 6, 4),
    (1, 1, 1, 1, 1, 2),
    (4, 7, 3, 5, 1, 1),
]
RESULTS = {"states": (1, 0, 0), "contexts": (0, 1, 0), "α": (0, 0, 1), "all": (1, 1, 1)}
NAMES = ("x", "h", "keys", "s_0", *Weights._fields)
ORDERS = pytest.mark.parametrize("order", ["main-text", "appendix"])


def make(B, T, S, H, A, D, dtype=torch.float64):
    """Inputs of the loop, numbers large enough for every gate and weight to matter; rows of different lengths."""
    shapes = [(B, T, 3 * H), (B, S, D), (B, S, A), (B, H), (A, H), (A,), (3 * H, D), (3 * H, H)]
    lengths = torch.randint(1, S + 1, (B, 1))
    lengths[0] = S
    return [nn.Parameter(0.7 * torch.randn(shape, dtype=dtype)) for shape in shapes], torch.arange(S) < lengths


def by_hand(tensors, mask, module=bptt):
    x, h, keys, s_0, *weights = tensors
    return module.attentive_loop(x, h, keys, mask, s_0, module.Weights(*weights))


def by_autograd(tensors, mask):
    """The loop put together from the package's attention and recurrent unit."""
    x, h, keys, s, W_a, v_a, C, U = tensors
    attention, unit = SoftAttention(AdditiveScore(s.shape[1], h.shape[2], len(v_a))), GatedRecurrentUnit(1, s.shape[1])
    attention.score.W_a.weight, attention.score.v_a, unit.weight_hh = W_a, v_a, U
    steps = []
    for x_i in x.unbind(1):
        glimpse = attention(s, Memory(h, keys, mask))
        s = unit.update(x_i + nn.functional.linear(glimpse.context, C), s)
        steps.append((s, glimpse.context, glimpse.weights))
    return tuple(torch.stack(values, dim=1) for values in zip(*steps, strict=True))


def gradients(results, tensors, which=(1, 1, 1)):
    """Of a loss that weighs every number of the chosen results differently."""
    generator = torch.Generator().manual_seed(1)
    draws = [torch.randn(result.shape, generator=generator, dtype=torch.float64) for result in results]
    loss = sum((on * draw * result.square()).sum() for on, draw, result in zip(which, draws, results, strict=True))
    return torch.autograd.grad(loss, tensors, allow_unused=True, materialize_grads=True)


def differences(tensors, mask, which=(1, 1, 1), module=bptt):
    """The largest difference from autograd's gradient of each input, over the largest entry (at least 1)."""
    ours = gradients(by_hand(tensors, mask, module), tensors, which)
    theirs = gradients(by_autograd(tensors, mask), tensors, which)
    scales = [max(1.0, g.abs().max().item()) for g in theirs]
    return {n: ((a - b).abs().max() / s).item() for n, a, b, s in zip(NAMES, ours, theirs, scales, strict=True)}


def decoder_of(order="main-text", H=6, A=7, **settings):
    """A decoder in double precision, a batch for it, and the annotations' leaf."""
    sizes = {"embedding_size": 4, "state_size": H, "alignment_size": A, "maxout_size": 3, "order": order}
    model = rnnsearch(source_vocabulary=V, target_vocabulary=V, **sizes, **settings)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.7)
    mask = torch.arange(5) < torch.tensor([5, 2, 3]).unsqueeze(1)
    annotations, summary = torch.randn(3, 5, 2 * H).double(), torch.randn(3, H).double().tanh()
    inputs = torch.cat([torch.full((3, 1), BOS), torch.randint(4, V, (3, 3))], dim=1)
    encoded = Encoded(annotations.requires_grad_(), mask, summary.requires_grad_())
    return model.decoder.double(), inputs, encoded


def learned(decoder, inputs, encoded, loss, *, bptt):
    """Gradients of a loss of the rollout, by name."""
    decoder.bptt = bptt
    leaves = {**dict(decoder.named_parameters()), "annotations": encoded.annotations, "summary": encoded.summary}
    found = torch.autograd.grad(
        loss(decoder(inputs, encoded)), list(leaves.values()), allow_unused=True, materialize_grads=True
    )
    return dict(zip(leaves, found, strict=True))


@pytest.fixture
def taken(monkeypatch):
    """Grows by one whenever a decoder goes the way derived by hand."""
    calls, loop = [], decoders.attentive_loop

    def watched(*arguments):
        calls.append(1)
        return loop(*arguments)

    monkeypatch.setattr(decoders, "attentive_loop", watched)
    return calls


# Equal to autograd


@pytest.mark.parametrize("which", RESULTS.values(), ids=RESULTS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_gradient_is_autograds(shape, which):
    tensors, mask = make(*shape)
    for ours, theirs in zip(by_hand(tensors, mask), by_autograd(tensors, mask), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    assert max(differences(tensors, mask, which).values()) < 1e-10


@pytest.mark.parametrize("numbers", [1, 2 * 3 * 4 * 5, 3 * 3 * 4 * 5, 10**9])
def test_the_size_of_a_chunk_changes_nothing(monkeypatch, numbers):
    """One step at once, two with one left over, three with one left over, all seven."""
    monkeypatch.setattr(bptt, "CACHED", numbers)
    tensors, mask = make(3, 7, 4, 6, 5, 8)
    assert max(differences(tensors, mask).values()) < 1e-10


def test_gradcheck():
    tensors, mask = make(2, 3, 4, 2, 3, 2)
    assert torch.autograd.gradcheck(lambda *given: by_hand(given, mask), tensors, check_batched_grad=False)


@ORDERS
@pytest.mark.parametrize("bias", [True, False])
def test_a_decoder_learns_the_same_either_way(order, bias, taken):
    """From the words, from α (here Xu et al.'s penalty on what no word looked at), and from both."""
    decoder, inputs, encoded = decoder_of(order, bias=bias)
    targets, counted = inputs.roll(-1, 1), torch.arange(4) < torch.tensor([4, 2, 3]).unsqueeze(1)

    def words(rollout):
        return sequence_cross_entropy(rollout.logits, targets, counted, reduction="sum")

    def looks(rollout):
        return ((1 - rollout.weights.sum(dim=1)).square() * encoded.mask).sum()

    for loss in (words, looks, lambda rollout: words(rollout) + looks(rollout)):
        ours = learned(decoder, inputs, encoded, loss, bptt=True)
        theirs = learned(decoder, inputs, encoded, loss, bptt=False)
        assert (theirs["attention.score.W_a.weight"] != 0).any()
        for name, gradient in theirs.items():
            torch.testing.assert_close(ours[name], gradient, rtol=1e-10, atol=1e-10, msg=name)
    assert len(taken) == 3


@ORDERS
def test_the_loss_falls_as_the_gradient_says(order):
    """Finite differences along random directions through all parameters: no autograd in the reference."""
    decoder, inputs, encoded = decoder_of(order)

    def loss(rollout):
        return rollout.logits.log_softmax(-1)[..., 5].sum() + rollout.weights[..., 0].square().sum()

    found = learned(decoder, inputs, encoded, loss, bptt=True)
    parameters = dict(decoder.named_parameters())
    for _ in range(3):
        direction = {name: torch.randn_like(parameter) for name, parameter in parameters.items()}
        ends = []
        for step in (1e-6, -2e-6):
            with torch.no_grad():
                for name, parameter in parameters.items():
                    parameter += step * direction[name]
                ends.append(loss(decoder(inputs, encoded)).item())
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter += 1e-6 * direction[name]
        slope = sum((found[name] * direction[name]).sum() for name in parameters).item()
        assert (ends[0] - ends[1]) / 2e-6 == pytest.approx(slope, rel=1e-5, abs=1e-5)


def test_padding_is_charged_with_nothing_and_changes_nothing():
    tensors, mask = make(3, 4, 5, 6, 7, 12)
    with torch.no_grad():
        for padded in tensors[1:3]:
            padded[~mask] = 50.0
    before = gradients(by_hand(tensors, mask), tensors)
    assert (before[1][~mask] == 0).all() and (before[2][~mask] == 0).all()
    with torch.no_grad():
        for padded in tensors[1:3]:
            padded[~mask] = -1e3
    for one, other in zip(before, gradients(by_hand(tensors, mask), tensors), strict=True):
        assert torch.equal(one, other)


# A derivation with a slip in it is caught

SLIPS = {
    "6.1: the tanh of half": ("alpha=2, out=u", "alpha=1, out=u"),
    "6.6: without z": ("candidate=z * (1 - candidates * candidates)", "candidate=1 - candidates * candidates"),
    "6.6: tanh's slope": ("candidate=z * (1 - candidates * candidates)", "candidate=z * (1 - candidates)"),
    "6.7: the sign": ("(candidates - before) * z", "(before - candidates) * z"),
    "6.7: the new state": ("update=(candidates - before)", "update=candidates"),
    "6.8: r twice": ("before * r * (1 - r)", "before * r * r"),
    "6.9: without the candidate": ("back(δ.p[:, i], weights.C)", "back(δ.p[:, i, :-1], weights.C[:-1])"),
    "6.9: nothing from outside": ("δc += back", "δc[:] = back"),
    "6.10: nothing from outside": ("δα += torch.bmm", "δα[:] = torch.bmm"),
    "6.11: the softmax as if it were a sigmoid": ("(α * δα).sum(dim=-1, keepdim=True)", "α * δα"),
    "6.11: the sum without α": ("(α * δα).sum(", "δα.mean("),
    "6.12: without v_a": ("torch.mul(weights.v_a, torch.bmm(", "torch.mul(1.0, torch.bmm("),
    "6.12: slope of a linear layer": ("value=-1, out=pair_slopes", "value=0, out=pair_slopes"),
    "6.13: the path past the gate": ("slope.keep[:, i] * δs + ", ""),
    "6.13: the reset path without r": ("slope.r[:, i] * through_reset", "through_reset"),
    "6.13: without the gates": (" + back(δ.p[:, i, : 2 * H], U[: 2 * H])", ""),
    "6.13: without the query": ("δs = δs + look_back(", "look_back("),
    "6.13: only the last state": ("δs + outside[:, i]", "δs + outside[:, -1]"),
    "6.14: one step off": ("δq.T @ s, δp.T @ c", "δq.T @ s.roll(1, 0), δp.T @ c"),
    "6.15: 1 - u²": ("@ u.reshape(-1, u.shape[-1])", "@ pair_slope.reshape(-1, u.shape[-1])"),
    "6.16: one step off": ("δp.T @ c, δU", "δp.T @ c.roll(1, 0), δU"),
    "6.17: reset after": ("[:, 2 * H :].T @ rs", "[:, 2 * H :].T @ s"),
    "6.18: the keys' share alone": ("δh = torch.bmm(", "δh = 0 * torch.bmm("),
    "6.19: without v_a": ("δkeys.mul_(weights.v_a)", "δkeys"),
}


def altered(right, wrong):
    """The module with one line changed."""
    source = Path(bptt.__file__).read_text(encoding="utf-8")
    code = source[source.index("from collections.abc") :]
    assert code.count(right) == 1, f"{right!r} stands {code.count(right)} times in the module"
    module = types.ModuleType("course_pkg.altered")
    exec(compile(code.replace(right, wrong), "altered", "exec"), vars(module))
    return module


def test_the_unaltered_derivation_passes():
    tensors, mask = make(*SHAPES[0])
    module = altered("CACHED, ELSEWHERE", "CACHED, ELSEWHERE")
    assert max(differences(tensors, mask, module=module).values()) < 1e-10


@pytest.mark.parametrize(("right", "wrong"), SLIPS.values(), ids=SLIPS)
def test_a_slip_is_caught(right, wrong):
    tensors, mask = make(*SHAPES[0])
    assert max(differences(tensors, mask, module=altered(right, wrong)).values()) > 1e-4


# What is kept, what is computed when


def kept(function):
    """Shapes of what autograd keeps; parameters too."""
    shapes = []

    def pack(tensor):
        shapes.append(tuple(tensor.shape))
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        function()
    return shapes


def test_no_energies_are_kept():
    """Of what has the hidden layer's width: the keys and two weights, whatever the number of steps."""
    tensors, mask = make(2, 5, 7, 3, A := 31, 4)
    ours, theirs = (kept(lambda way=way: way(tensors, mask)) for way in (by_hand, by_autograd))
    assert theirs.count((2, 7, A)) >= 5  # a hidden layer for each step
    assert sorted(shape for shape in ours if A in shape) == [(2, 7, A), (A,), (A, 3)]
    assert sum(map(numbers, ours)) < sum(map(numbers, theirs)) / 2


def numbers(shape):
    return torch.Size(shape).numel()


def test_energies_are_computed_again(monkeypatch):
    steps, layer = [], bptt.hidden_layer
    monkeypatch.setattr(bptt, "hidden_layer", lambda keys, q, u: steps.append(q.shape[1]) or layer(keys, q, u))
    tensors, mask = make(2, 5, 4, 3, 6, 4)
    results = by_hand(tensors, mask)
    assert steps == [1] * 5
    gradients(results, tensors)
    assert sum(steps) == 10


class Products(TorchDispatchMode):
    """Collects the shapes of all matrix products."""

    def __init__(self):
        super().__init__()
        self.shapes = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        assert name not in ("addmm", "baddbmm", "matmul", "linear", "einsum"), f"{name} is not counted"
        if name == "mm":
            self.shapes.append((args[0].shape[0], args[0].shape[1], args[1].shape[1]))
        return func(*args, **(kwargs or {}))


def products_back(T):
    B, S, H, A, D = 2, 3, 5, 7, 11
    tensors, mask = make(B, T, S, H, A, D)
    results = by_hand(tensors, mask)
    with Products() as products:
        gradients(results, tensors)
    large = [shape for shape in products.shapes if B * T in shape]
    return large, [shape for shape in products.shapes if B * T not in shape]


@pytest.mark.parametrize("T", [4, 13])
def test_weight_gradients_are_one_product_each_after_the_loop(T):
    """Each over all B·T rows (v_a over all pairs); a step has four products, those that carry the error on."""
    B, S, H, A, D = 2, 3, 5, 7, 11
    large, small = products_back(T)
    gradient_of = [(2 * H, B * T, H), (H, B * T, H), (A, B * T, H), (3 * H, B * T, D)]
    assert sorted(large) == sorted([*gradient_of, (B * T, H, A)])  # and all queries
    small.remove((1, B * T * S, A))
    assert sorted(small) == sorted(T * [(B, H, H), (B, 2 * H, H), (B, 3 * H, D), (B, A, H)])


def test_what_is_not_asked_for_is_not_needed():
    """Frozen weights, or annotations that need no gradient."""
    tensors, mask = make(*SHAPES[0])
    for on in range(len(tensors)):
        for index, tensor in enumerate(tensors):
            tensor.requires_grad_(index == on)
        ours, theirs = (gradients(way(tensors, mask), [tensors[on]])[0] for way in (by_hand, by_autograd))
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10, msg=NAMES[on])


# Precision and devices


def relative(found, truth):
    return (found.double() - truth.double()).norm() / truth.double().norm()


def test_bfloat16_is_as_near_the_truth_as_autograds():
    """Under autocast: gradients in the parameters' type, no worse than what autograd would have found."""
    decoder, inputs, encoded = decoder_of(H=32, A=24)
    decoder = decoder.float()
    encoded = Encoded(encoded.annotations.detach().float(), encoded.mask, encoded.summary.detach().float())
    encoded.annotations.requires_grad_(), encoded.summary.requires_grad_()
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter *= 0.3

    def loss(rollout):
        return rollout.logits.float().log_softmax(-1)[..., 5].sum() + rollout.weights.float().square().sum()

    truth = learned(decoder, inputs, encoded, loss, bptt=False)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours, theirs = (learned(decoder, inputs, encoded, loss, bptt=way) for way in (True, False))
    for name in ("attention.score.W_a.weight", "attention.score.v_a", "C.weight", "unit.weight_hh", "annotations"):
        assert ours[name].dtype == torch.float32
        assert relative(ours[name], truth[name]) < max(0.02, 1.5 * relative(theirs[name], truth[name])), name
    for name, gradient in truth.items():
        assert relative(ours[name], gradient) < 0.05, name


def test_a_loop_by_autograd_in_the_same_autocast_still_learns():
    """Autocast remembers the narrow copies of weights; those made here without gradients must not be among them."""
    decoder, inputs, encoded = decoder_of()
    decoder = decoder.float()
    encoded = Encoded(encoded.annotations.float(), encoded.mask, encoded.summary.float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        decoder(inputs, encoded)
        decoder.bptt = False
        rollout = decoder(inputs, encoded)
    rollout.logits.float().square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in decoder.parameters())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_loop_in_one_narrow_type(dtype):
    tensors, mask = make(*SHAPES[0])
    truth = gradients(by_hand(tensors, mask), tensors)
    narrow = [nn.Parameter(tensor.detach().to(dtype)) for tensor in tensors]
    found = gradients(by_hand(narrow, mask), narrow)
    assert all(gradient.dtype == dtype for gradient in found)
    limit = {torch.float32: 1e-5, torch.bfloat16: 0.1}[dtype]
    for name, ours, exact in zip(NAMES, found, truth, strict=True):
        assert relative(ours, exact) < limit, name


class OneDevice(TorchDispatchMode):
    """Fails at the first operation on a tensor elsewhere than on the meta device."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves((args, kwargs, result)):
            assert not isinstance(leaf, torch.Tensor) or leaf.device.type == "meta", f"{func} on {leaf.device}"
        return result


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_no_tensor_is_made_on_another_device(dtype):
    tensors, mask = make(*SHAPES[0], dtype=dtype)
    tensors, mask = [nn.Parameter(tensor.detach().to("meta")) for tensor in tensors], mask.to("meta")
    with OneDevice():
        results = by_hand(tensors, mask)
        found = torch.autograd.grad([result.sum() for result in results], tensors)
    assert [gradient.shape for gradient in found] == [tensor.shape for tensor in tensors]


# As a part of autograd


def test_the_graph_can_be_gone_back_through_twice():
    tensors, mask = make(*SHAPES[0])
    results = by_hand(tensors, mask)
    first = torch.autograd.grad(results[0].sum(), tensors, retain_graph=True)
    other = torch.autograd.grad(results[1].sum(), tensors, retain_graph=True)
    again = torch.autograd.grad(results[0].sum(), tensors)
    assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
    assert not all(torch.equal(one, two) for one, two in zip(first, other, strict=True))


def test_what_comes_from_outside_is_left_alone():
    """The errors that autograd hands over belong to it."""
    tensors, mask = make(*SHAPES[0])
    results = by_hand(tensors, mask)
    outside = [torch.randn_like(result) for result in results]
    before = copy.deepcopy(outside)
    torch.autograd.grad(results, tensors, outside)
    assert all(torch.equal(one, two) for one, two in zip(outside, before, strict=True))


def test_a_second_derivative_is_refused():
    """At once: where the loss is linear in the states, later would be too late."""
    tensors, mask = make(*SHAPES[0])
    with pytest.raises(CourseError, match="no gradient itself: set decoder.bptt = False"):
        torch.autograd.grad(by_hand(tensors, mask)[0].sum(), tensors, create_graph=True)
    decoder, inputs, encoded = decoder_of()
    decoder.bptt = False
    (gradient,) = torch.autograd.grad(decoder(inputs, encoded).logits.sum(), encoded.annotations, create_graph=True)
    gradient.square().sum().backward()


def test_weights_changed_before_the_way_back_are_noticed():
    tensors, mask = make(*SHAPES[0])
    results = by_hand(tensors, mask)
    with torch.no_grad():
        tensors[4] += 1
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        results[0].sum().backward()


def test_the_same_numbers_every_time():
    tensors, mask = make(3, 4, 5, 6, 7, 12, dtype=torch.float32)
    first = gradients(by_hand(tensors, mask), tensors)
    torch.use_deterministic_algorithms(True)
    try:
        second = gradients(by_hand(tensors, mask), tensors)
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(torch.equal(one, two) for one, two in zip(first, second, strict=True))


# Which decoder goes which way


@ORDERS
def test_gradients_wanted_or_not(order, taken):
    decoder, inputs, encoded = decoder_of(order)
    with torch.no_grad():
        quiet = decoder(inputs, encoded)
    assert not taken
    rollout = decoder(inputs, encoded)
    assert len(taken) == 1
    torch.testing.assert_close(quiet.logits, rollout.logits, rtol=0, atol=1e-11)
    torch.testing.assert_close(quiet.weights, rollout.weights, rtol=0, atol=1e-12)


class Another(AttentiveDecoder):
    """A subclass may have another loop."""


class AnotherScore(AdditiveScore):
    """Or another score."""


def subclass(decoder):
    decoder.__class__ = Another


def score(decoder):
    decoder.attention.score.__class__ = AnotherScore


def hook(decoder):
    decoder.attention.score.W_a.register_forward_hook(lambda *_: None)


def switch(decoder):
    decoder.bptt = False


@pytest.mark.parametrize("change", [subclass, score, hook, switch])
def test_any_other_loop_is_left_to_autograd(change, taken):
    decoder, inputs, encoded = decoder_of()
    change(decoder)
    decoder(inputs, encoded).logits.sum().backward()
    assert not taken


@pytest.mark.parametrize("settings", [{"order": "groundhog"}, {"reset": "after"}, {"score": "general"}])
def test_any_other_configuration_is_left_to_autograd(settings, taken):
    decoder, inputs, encoded = decoder_of(**settings)
    decoder(inputs, encoded).logits.sum().backward()
    assert not taken


def test_the_switch_is_no_part_of_a_stored_model():
    decoder, inputs, encoded = decoder_of()
    names = set(decoder.state_dict())
    decoder.bptt = False
    assert set(decoder.state_dict()) == names
    for twin in (copy.deepcopy(decoder), pickle.loads(pickle.dumps(decoder))):
        assert twin.bptt is False
        assert torch.equal(twin(inputs, encoded).logits, decoder(inputs, encoded).logits)
    assert AttentiveDecoder.bptt is True


def test_training_goes_this_way_and_ends_where_autograd_does(corpus, tmp_path, taken, monkeypatch):
    recipe, ends = tiny(corpus), []
    for bptt_on in (True, False):
        monkeypatch.setattr(AttentiveDecoder, "bptt", bptt_on)
        folder = tmp_path / str(bptt_on)
        fit(recipe, folder, accelerator="cpu", progress=False)
        ends.append(torch.load(folder / "last.ckpt", weights_only=True)["model"])
    assert len(taken) == 18  # three epochs of six batches, and no more: validation asks for no gradients
    for name, parameter in ends[0].items():
        torch.testing.assert_close(parameter, ends[1][name], rtol=0, atol=1e-3, msg=name)


def test_training_in_bfloat16_goes_this_way(corpus, tmp_path, taken):
    fit(tiny(corpus, "training.precision=bf16-mixed", "training.epochs=1"), tmp_path, accelerator="cpu", progress=False)
    assert len(taken) == 6
    state = torch.load(tmp_path / "last.ckpt", weights_only=True)["model"]
    assert all(parameter.isfinite().all() for parameter in state.values())


# The benchmark


def test_the_benchmark_compares_what_it_says(tmp_path):
    path = Path(__file__).resolve().parent.parent / "benchmarks" / "bptt.py"
    spec = importlib.util.spec_from_file_location("benchmark_bptt", path)
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    assert benchmark.main(["--quick", "--rounds", "2", "--out", str(tmp_path / "bptt.json")]) == 0
    stored = json.loads((tmp_path / "bptt.json").read_text(encoding="utf-8"))
    assert {(row["what"], row["precision"]) for row in stored["rows"]} == {
        (what, precision) for what in benchmark.CASES for precision in benchmark.PRECISIONS
    }
    for row in stored["rows"]:
        assert row["by_hand_megabytes"] < row["autograd_megabytes"]
    assert set(stored["passport"]) == set(PASSPORT)
    assert benchmark.saving([1.0, 1.0, 1.0], [2.0, 2.0, 2.0]) == [50, 50, 50]
    benchmark.choose(decoder_of()[0], "by_hand_tanh")
    changed = bptt.hidden_layer
    benchmark.choose(decoder_of()[0], "by_hand")
    arguments = torch.randn(2, 3, 4), torch.randn(2, 1, 4)
    one, other = (layer(*arguments, torch.empty(2, 1, 3, 4)) for layer in (changed, bptt.hidden_layer))
    assert changed is not bptt.hidden_layer
    torch.testing.assert_close(one, other)
