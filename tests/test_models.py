"""Whole models against a reference that follows the papers' formulas word by word, and the paper's own recipe."""

import itertools
import json
import math
from collections import Counter

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from course_pkg.attention import SoftAttention
from course_pkg.batching import Batch
from course_pkg.checkpoints import build
from course_pkg.decoders import STEP_ORDERS
from course_pkg.losses import (
    MovingBaseline,
    doubly_stochastic_penalty,
    reinforce,
    sentence_log_likelihood,
    sequence_cross_entropy,
)
from course_pkg.models import (
    EncoderDecoder,
    count_parameters,
    initialise_as_paper,
    rnn_encoder_decoder,
    rnnsearch,
    show_attend_tell,
)
from course_pkg.notation import CourseError
from course_pkg.preparation import prepare
from course_pkg.recipes import names, read
from course_pkg.recurrent import GatedRecurrentUnit
from course_pkg.training import fit
from course_pkg.vocabulary import BOS, EOS, PAD

SMALL = {"source_vocabulary": 11, "target_vocabulary": 13, "embedding_size": 4, "state_size": 5, "maxout_size": 3}
PAIRS = [
    ((4, 7, 10, 5, EOS), (6, 12, 4, EOS)),
    ((9, EOS), (11, 5, 8, 8, 7, EOS)),
    ((8, 8, 6, EOS), (EOS,)),
]
BATCH = Batch.collate(PAIRS)
RESETS = ("before", "after")


def searcher(**changes):
    return lively(rnnsearch(**{**SMALL, "alignment_size": 6, **changes}))


def fixed(**changes):
    return lively(rnn_encoder_decoder(**{**SMALL, **changes}))


def lively(model):
    """Numbers large enough for every gate, weight and maxout pair to matter."""
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.7)
    return model.double()


BOTH = pytest.mark.parametrize("make", [searcher, fixed])


def nll(model, batch, reduction="sum"):
    return sequence_cross_entropy(model(batch).logits, batch.targets, batch.target_mask, reduction=reduction)


# The reference: loops over words, one sentence at a time, straight from the formulas


class Reference:
    """Bahdanau et al. 2015, appendix A.2, in the letters of the paper; y_0 is a zero vector."""

    def __init__(self, model):
        self.p = model.state_dict()

    def get(self, name):
        return self.p.get(name, 0)

    def unit(self, name, x, s, from_context=(0, 0, 0)):
        W_r, W_z, W = self.p[f"{name}.weight_ih"].chunk(3)
        U_r, U_z, U = self.p[f"{name}.weight_hh"].chunk(3)
        r = torch.sigmoid(W_r @ x + U_r @ s + from_context[0])
        z = torch.sigmoid(W_z @ x + U_z @ s + from_context[1])
        candidate = torch.tanh(W @ x + U @ (r * s) + self.get(f"{name}.bias_ih") + from_context[2])
        return (1 - z) * s + z * candidate

    def decoder_unit(self, y, s, c):
        return self.unit("decoder.unit", y, s, [C @ c for C in self.p["decoder.C.weight"].chunk(3)])

    def first_state(self, summary):
        return torch.tanh(self.p["decoder.W_s.weight"] @ summary + self.get("decoder.W_s.bias"))

    def output(self, s, y, c):
        U_o, V_o, C_o, W_o = (self.p[f"decoder.output.{name}.weight"] for name in ("U_o", "V_o", "C_o", "W_o"))
        t = U_o @ s + V_o @ y + C_o @ c + self.get("decoder.output.U_o.bias")
        t = torch.stack([torch.maximum(t[2 * j], t[2 * j + 1]) for j in range(len(t) // 2)])
        return W_o @ t + self.get("decoder.output.W_o.bias")

    def read(self, unit, source):
        """Every state of one direction."""
        s, states = torch.zeros(SMALL["state_size"]).double(), []
        for word in source:
            s = self.unit(f"encoder.{unit}", self.p["encoder.embedding.weight"][word], s)
            states.append(s)
        return states

    def words(self, target):
        """E y_0 … E y_T."""
        E = self.p["decoder.embedding.weight"]
        return [torch.zeros(E.shape[1]).double(), *(E[word] for word in target)]

    def rnnsearch(self, source, target, order):
        rightward = self.read("forward_unit", source)
        leftward = self.read("backward_unit", source[::-1])[::-1]
        h = [torch.cat(pair) for pair in zip(rightward, leftward, strict=True)]
        y, s = self.words(target), self.first_state(leftward[0])
        logits, weights = [], []
        for i in range(1, len(target) + 1):
            alpha = self.align(s, h)
            c = sum(a * annotation for a, annotation in zip(alpha, h, strict=True))
            if order == "main-text":
                s = self.decoder_unit(y[i - 1], s, c)
                logits.append(self.output(s, y[i - 1], c))
            elif order == "appendix":
                logits.append(self.output(s, y[i - 1], c))
                s = self.decoder_unit(y[i - 1], s, c)
            else:
                logits.append(self.output(s, y[i - 1], c))
                s = self.decoder_unit(y[i], s, c)
            weights.append(torch.stack(alpha))
        return torch.stack(logits), torch.stack(weights)

    def align(self, s, h):
        W_a, U_a, v_a = (self.p[f"decoder.attention.score.{name}"] for name in ("W_a.weight", "U_a.weight", "v_a"))
        e = [v_a @ torch.tanh(W_a @ s + U_a @ annotation) for annotation in h]
        return [energy.exp() / sum(other.exp() for other in e) for energy in e]

    def rnn_encoder_decoder(self, source, target):
        c = self.read("unit", source)[-1]
        y, s, logits = self.words(target), self.first_state(c), []
        for i in range(1, len(target) + 1):
            s = self.decoder_unit(y[i - 1], s, c)
            logits.append(self.output(s, y[i - 1], c))
        return torch.stack(logits)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("order", STEP_ORDERS)
def test_rnnsearch_is_the_papers_formulas(order, bias):
    model = searcher(order=order, bias=bias)
    rollout = model(BATCH)
    for b, (source, target) in enumerate(PAIRS):
        logits, weights = Reference(model).rnnsearch(source, target, order)
        torch.testing.assert_close(rollout.logits[b, : len(target)], logits, rtol=0, atol=1e-10)
        torch.testing.assert_close(rollout.weights[b, : len(target), : len(source)], weights, rtol=0, atol=1e-10)
        assert (rollout.weights[b, :, len(source) :] == 0).all()


@pytest.mark.parametrize("bias", [True, False])
def test_the_rnn_encoder_decoder_is_the_papers_formulas(bias):
    model = fixed(bias=bias)
    rollout = model(BATCH)
    assert rollout.weights is None
    for b, (source, target) in enumerate(PAIRS):
        logits = Reference(model).rnn_encoder_decoder(source, target)
        torch.testing.assert_close(rollout.logits[b, : len(target)], logits, rtol=0, atol=1e-10)


# P19, P20


CONFIGURATIONS = [pytest.param(lambda r=reset: fixed(reset=r), id=f"fixed vector, {reset}") for reset in RESETS]
for reset, order, score in itertools.product(RESETS, STEP_ORDERS, ("additive", "scaled-dot", "general")):
    settings = {"reset": reset, "order": order, "score": score}
    CONFIGURATIONS.append(pytest.param(lambda s=settings: searcher(**s), id=f"{order}, {reset}, {score}"))


@pytest.mark.parametrize("make", CONFIGURATIONS)
def test_step_by_step_reproduces_teacher_forcing(make):
    """P19, from token ids to log-probabilities."""
    model = make()
    memory, state = model.decoder.start(model.encode(BATCH.source, BATCH.source_mask))
    log_probabilities = model(BATCH).logits.log_softmax(-1)
    for i, token in enumerate(BATCH.inputs.unbind(1)):
        step = model.decoder.step(token, state, memory)
        torch.testing.assert_close(step.logits.log_softmax(-1), log_probabilities[:, i], rtol=0, atol=1e-10)
        state = step.state


@pytest.mark.parametrize("make", CONFIGURATIONS)
def test_the_loss_knows_neither_padding_nor_batch_order(make):
    """P20: a batch costs what its sentences cost one by one, with any padding beside them."""
    model = make()
    together = nll(model, BATCH)
    alone = sum(nll(model, Batch.collate([pair])) for pair in PAIRS)
    torch.testing.assert_close(together, alone, rtol=1e-12, atol=0)
    rows = torch.tensor([2, 0, 1])
    wider = Batch(
        *(nn.functional.pad(tensor, (0, 3), value=PAD)[rows] for tensor in vars(BATCH).values()),
    )
    torch.testing.assert_close(nll(model, wider), together, rtol=1e-12, atol=0)


@BOTH
def test_neither_do_its_gradients(make):
    model = make()
    together = torch.autograd.grad(nll(model, BATCH), list(model.parameters()))
    alone = torch.autograd.grad(sum(nll(model, Batch.collate([pair])) for pair in PAIRS), list(model.parameters()))
    for name, one, other in zip(dict(model.named_parameters()), together, alone, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11, msg=name)


@BOTH
def test_what_stands_in_the_padding_is_never_heard(make):
    """The rows of PAD may hold anything finite: attention gives them weight 0. A target's padding, even NaN."""
    model = make()
    clean = model(BATCH).logits[BATCH.target_mask]
    with torch.no_grad():
        model.encoder.embedding.weight[PAD] = 1e4
        model.decoder.embedding.weight[PAD] = math.nan
    assert torch.equal(model(BATCH).logits[BATCH.target_mask], clean)


def test_dropout_is_silent_outside_training():
    dropouts = dict.fromkeys(("embedding_dropout", "annotation_dropout", "output_dropout"), 0.5)
    for make in (searcher, fixed):
        model = make(**dropouts)
        assert torch.equal(model.eval()(BATCH).logits, model(BATCH).logits)
        assert not torch.equal(model.train()(BATCH).logits, model(BATCH).logits)
        for name in dropouts:
            only = make(**{name: 0.5}).train()
            assert not torch.equal(only(BATCH).logits, only(BATCH).logits), name


# Number of parameters


def without_biases(K, m, n, l, n_alignment):
    """SPEC §2, product by product."""
    encoder = 2 * 3 * (n * m + n * n)  # two directions of W, W_z, W_r; U, U_z, U_r
    decoder = 3 * (n * m + n * n + n * 2 * n)  # and C, C_z, C_r on annotations of width 2n
    first_state = n * n  # W_s
    alignment = n_alignment * n + n_alignment * 2 * n + n_alignment  # W_a, U_a, v_a
    output = 2 * l * n + 2 * l * m + 2 * l * 2 * n + K * l  # U_o, V_o, C_o, W_o
    return 2 * K * m + encoder + decoder + first_state + alignment + output


def biases(K, n, l):
    """The candidates of three units, the first state, the maxout layer and the softmax; none on the gates."""
    return 3 * n + n + 2 * l + K


def test_the_paper_has_80_401_000_parameters_and_its_biases():
    sizes = {"source_vocabulary": 30_000, "target_vocabulary": 30_000}
    with torch.device("meta"):
        bare, whole = rnnsearch(**sizes, bias=False), rnnsearch(**sizes)
    assert without_biases(30_000, 620, 1000, 500, 1000) == 80_401_000
    assert count_parameters(bare) == 80_401_000
    assert count_parameters(whole) == 80_401_000 + biases(30_000, 1000, 500) == 80_436_000


@pytest.mark.parametrize("order", STEP_ORDERS)
def test_the_count_in_closed_form_for_any_size(order):
    sizes = {"embedding_size": 7, "state_size": 3, "maxout_size": 5, "alignment_size": 11, "order": order}
    for bias in (True, False):
        model = rnnsearch(source_vocabulary=23, target_vocabulary=23, bias=bias, **sizes)
        expected = without_biases(23, 7, 3, 5, 11) + bias * biases(23, 3, 5)
        assert count_parameters(model) == expected == sum(p.numel() for p in model.state_dict().values())


def test_the_baseline_differs_in_what_it_may_look_at():
    """Against RNNsearch: one direction fewer, contexts of width n instead of 2n, no alignment model."""
    K, m, n, l = 30_000, 620, 1000, 500
    with torch.device("meta"):
        model = rnn_encoder_decoder(source_vocabulary=K, target_vocabulary=K, bias=False)
    fewer = 3 * (n * m + n * n) + 3 * n * n + 2 * l * n + 3001 * n
    assert count_parameters(model) == without_biases(K, m, n, l, n) - fewer


def test_shared_tensors_count_once():
    sizes = {**SMALL, "source_vocabulary": 13, "maxout_size": SMALL["embedding_size"]}
    apart = rnnsearch(**sizes)
    together = rnnsearch(**sizes, share_embeddings=True, tie_output=True)
    table = 13 * SMALL["embedding_size"]
    assert count_parameters(apart) - count_parameters(together) == 2 * table
    assert together.encoder.embedding.weight is together.decoder.embedding.weight is together.decoder.output.W_o.weight
    together.decoder.W_s.requires_grad_(False)
    frozen = SMALL["state_size"] ** 2 + SMALL["state_size"]
    assert count_parameters(apart) - count_parameters(together) == 2 * table + frozen


def test_the_published_baseline_has_as_many_parameters():
    """Widened in its state alone; within two in a hundred of RNNsearch."""
    counts, settings = [], []
    for name in ("multi30k-en-fr-rnnsearch", "multi30k-en-fr-encdec"):
        recipe = read(name)
        size = recipe.vocabulary.size
        with torch.device("meta"):
            counts.append(count_parameters(build(recipe.model, source_vocabulary=size, target_vocabulary=size)))
        settings.append({**recipe.model, "training": recipe.training, "data": recipe.data})
    assert abs(counts[1] / counts[0] - 1) < 0.02
    allowed = {"architecture", "state_size", "alignment_size", "order", "score"}
    assert {key for key in settings[0] | settings[1] if settings[0].get(key) != settings[1].get(key)} <= allowed


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"score": "dot"}, "query 5, annotation 10"),
        ({"score": "cosine"}, "'cosine'.*additive, dot, scaled-dot or general"),
        ({"order": "any"}, "'any'"),
        ({"reset": "never"}, "'never'"),
        ({"share_embeddings": True}, "one vocabulary"),
        ({"tie_output": True}, "maxout_size = 4; it is 3"),
    ],
)
def test_models_that_cannot_be_built_are_refused(changes, message):
    with pytest.raises(CourseError, match=message):
        searcher(**changes)


# Initialisation: §B.1, P3, P11

MIDDLE = {"embedding_size": 62, "state_size": 100, "maxout_size": 50}


def initialised(K=50, seed=3, **changes):
    sizes = {"source_vocabulary": K, "target_vocabulary": K, **MIDDLE, **changes}
    return initialise_as_paper(rnnsearch(**sizes, alignment_size=100), seed=seed)


def has_deviation(values, deviation):
    """Mean 0 and the standard deviation, within five standard errors of each."""
    values = values.double().flatten()
    n = len(values)
    mean, spread = values.mean().item(), values.std().item()
    return abs(mean) < 5 * deviation / n**0.5 and abs(spread / deviation - 1) < 5 / (2 * n) ** 0.5


def test_every_parameter_starts_as_in_the_paper():
    model = initialised()
    units = [module for module in model.modules() if isinstance(module, GatedRecurrentUnit)]
    assert len(units) == 3
    recurrent = [gate for unit in units for gate in unit.weight_hh.chunk(3)]
    for gate in recurrent:
        torch.testing.assert_close(gate @ gate.T, torch.eye(len(gate)), atol=1e-4, rtol=0)
    for one, other in ((0, 1), (0, 2), (1, 2), (0, 3), (0, 6)):
        assert not torch.allclose(recurrent[one], recurrent[other])
    for name, parameter in model.named_parameters():
        if name.endswith("weight_hh"):
            continue
        if "bias" in name or name.endswith("v_a"):
            assert (parameter == 0).all(), name
        else:
            narrow = name.endswith(("W_a.weight", "U_a.weight"))
            assert has_deviation(parameter, 0.001 if narrow else 0.01), name


def test_the_start_is_a_function_of_the_seed():
    first, again, other = (initialised(seed=seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["decoder.W_s.weight"], other["decoder.W_s.weight"])


def test_at_the_start_attention_is_uniform_and_only_v_learns_to_look():
    """P3 in the whole model, over real positions of each sentence."""
    model = initialised()
    rollout = model(BATCH)
    lengths = BATCH.source_mask.sum(1)
    uniform = (BATCH.source_mask / lengths.unsqueeze(1)).unsqueeze(1).expand_as(rollout.weights)
    torch.testing.assert_close(rollout.weights, uniform)
    nll(model, BATCH).backward()
    score = model.decoder.attention.score
    assert (score.W_a.weight.grad == 0).all() and (score.U_a.weight.grad == 0).all()
    assert (score.v_a.grad != 0).any()


def test_a_few_updates_move_every_parameter():
    """From the paper's start, where W_a and U_a have no slope until v_a has left 0; the first look is not enough.

    Updates of one size, whatever the slope: those of the alignment model are minute.
    """
    model = initialised().double()
    start = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    for _ in range(5):
        model.zero_grad()
        nll(model, BATCH, "token").backward()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter -= 0.01 * parameter.grad.sign()
    for name, parameter in model.named_parameters():
        assert (parameter - start[name]).abs().max() > 1e-3, name


@pytest.mark.parametrize("K", [20, 1000, 30_001])
def test_at_the_start_a_word_costs_the_logarithm_of_the_vocabulary(K):
    """P11: logits within ±M change the cost of a word by at most 2M from ln K; here M is minute."""
    model = initialised(K)
    with torch.no_grad():
        largest = model(BATCH).logits.abs().max().item()
        cost = nll(model, BATCH, "token").item()
    assert largest < 1e-3
    assert abs(cost - math.log(K)) <= 2 * largest + 1e-5
    if K == 30_001:
        assert cost == pytest.approx(10.309, abs=1e-3)


# Devices and precisions


def exercise(model, batch, rows):
    """Everything that training and search do with a model."""
    nll(model, batch, "token").backward()
    memory, state = model.decoder.start(model.encode(batch.source, batch.source_mask))
    step = model.decoder.step(batch.inputs[:, 0], state, memory)
    model.decoder.step(batch.inputs[:, 1].index_select(0, rows), step.state.take(rows), memory.take(rows))


class OneDevice(TorchDispatchMode):
    """Fails at the first operation that reads or makes a tensor elsewhere than on the meta device.

    A meta tensor has no values, so asking for one (``.item()``, a Python ``if``) fails too: nothing waits.
    """

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves((args, kwargs, result)):
            assert not isinstance(leaf, torch.Tensor) or leaf.device.type == "meta", f"{func} on {leaf.device}"
        return result


@pytest.mark.parametrize(
    ("make", "settings"),
    [
        *((make, {"reset": reset}) for make in (searcher, fixed) for reset in RESETS),
        *((searcher, {"order": order}) for order in STEP_ORDERS[1:]),
    ],
)
def test_no_tensor_is_made_on_another_device_and_nothing_waits(make, settings):
    """The default device stays the CPU: whatever a module makes itself has to follow its inputs."""
    model, batch, rows = make(**settings).to("meta"), BATCH.to("meta"), torch.zeros(2, dtype=torch.long, device="meta")
    with OneDevice():
        exercise(model, batch, rows)


@pytest.mark.parametrize("make", CONFIGURATIONS)
def test_bfloat16_stays_near_single_precision(make):
    """Autocast: eight bits of precision, compared with the scale of the logits; gradients flow and are finite."""
    model = make().float()
    single, single_loss = model(BATCH).logits, nll(model, BATCH, "token")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rollout = model(BATCH)
        loss = nll(model, BATCH, "token")
    scale = single.abs().max()
    assert (rollout.logits - single).abs().max() < 0.05 * scale
    assert abs(loss / single_loss - 1) < 0.03
    if rollout.weights is not None:
        torch.testing.assert_close(rollout.weights.float().sum(-1), torch.ones(len(PAIRS), 6), atol=0.02, rtol=0)
    loss.backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


def test_a_state_dict_goes_round():
    """The names are what stored models are read by."""
    first, second = searcher(), searcher()
    second.load_state_dict(first.state_dict())
    assert torch.equal(first(BATCH).logits, second(BATCH).logits)
    assert {
        "encoder.embedding.weight",
        "encoder.forward_unit.weight_ih",
        "encoder.backward_unit.weight_hh",
        "decoder.embedding.weight",
        "decoder.unit.bias_ih",
        "decoder.attention.score.v_a",
        "decoder.attention.score.W_a.weight",
        "decoder.attention.score.U_a.weight",
        "decoder.output.W_o.weight",
        "decoder.W_s.weight",
        "decoder.C.weight",
    } <= set(first.state_dict())
    assert isinstance(first, EncoderDecoder)


# The paper's recipe

RECIPE = "bahdanau2015-rnnsearch"
ENGLISH = """the black dog runs .
the white cat sleeps .
a dog sees a black cat .
the cat sees the white dog .
a black cat runs .
a white dog sleeps .
the dog and the cat play .
the cat and the dog run ."""
FRENCH = """le chien noir court .
le chat blanc dort .
un chien voit un chat noir .
le chat voit le chien blanc .
un chat noir court .
un chien blanc dort .
le chien et le chat jouent .
le chat et le chien courent ."""


@pytest.fixture
def small_recipe(tmp_path):
    """The recipe with nothing but its sizes and its data scaled down."""
    (tmp_path / "en").write_text(ENGLISH + "\n", encoding="utf-8")
    (tmp_path / "fr").write_text(FRENCH + "\n", encoding="utf-8")
    sizes = {"state_size": 12, "embedding_size": 8, "alignment_size": 10, "maxout_size": 6}
    changes = [f"model.{name}={size}" for name, size in sizes.items()]
    for kind in ("", "validation_"):
        changes += [
            f'data.{kind}{side}_file="{tmp_path / name}"' for side, name in (("source", "en"), ("target", "fr"))
        ]
    changes += ['data.train="files"', 'data.validation="files"']
    return lambda *more: read(RECIPE, [*changes, *more])


def test_the_papers_recipe_says_what_the_paper_says():
    """§4.1, §4.2, A.2.3, B.1, B.2."""
    recipe = read(RECIPE)
    assert RECIPE in names() and recipe.name == RECIPE
    assert "stand-in" in recipe.description
    model = recipe.model
    assert [model[k] for k in ("state_size", "embedding_size", "maxout_size", "alignment_size")] == [
        1000,
        620,
        500,
        1000,
    ]
    assert (model["order"], model["reset"], model["score"]) == ("main-text", "before", "additive")
    assert all(value == 0 for key, value in model.items() if key.endswith("dropout"))
    assert (recipe.vocabulary.kind, recipe.vocabulary.size, recipe.vocabulary.shared) == ("word", 30_000, False)
    plan = recipe.training
    assert (plan.optimiser, plan.learning_rate, plan.clip, plan.reduction) == ("adadelta", 1.0, 1.0, "sum")
    assert (plan.batch_size, plan.buffer_batches, plan.reshuffle) == (80, 20, False)
    assert (plan.initialisation, plan.label_smoothing, plan.schedule, plan.warmup) == ("paper", 0.0, "constant", 0)
    assert (recipe.data.max_words, recipe.data.train, recipe.data.validation) == (50, "news:train", "news:dev")


@pytest.mark.parametrize(("changes", "expected"), [([], 80_436_000), (["model.bias=false"], 80_401_000)])
def test_the_papers_recipe_builds_with_its_number_of_parameters(changes, expected):
    recipe = read(RECIPE, changes)
    size = recipe.vocabulary.size
    with torch.device("meta"):
        model = build(recipe.model, source_vocabulary=size, target_vocabulary=size)
    assert count_parameters(model) == expected


def test_the_papers_recipe_takes_the_papers_step(small_recipe, tmp_path):
    """One update of `fit` is: sum the loss, clip the whole gradient at norm 1, one step of Adadelta from its start."""
    recipe = small_recipe("training.epochs=1")
    corpus = prepare(recipe)
    sizes = {"source_vocabulary": len(corpus.source), "target_vocabulary": len(corpus.target)}
    model = initialise_as_paper(build(recipe.model, **sizes), seed=recipe.training.seed)
    start = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    nll(model, Batch.collate(corpus.train)).backward()
    norm = sum(parameter.grad.square().sum() for parameter in model.parameters()).sqrt()
    assert norm > 1  # so that clipping is seen

    fit(recipe, tmp_path / "run", accelerator="cpu", progress=False)
    stored = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)
    assert stored["progress"]["update"] == 1
    for name, parameter in model.named_parameters():
        gradient = parameter.grad / norm
        step = (1e-6 / (0.05 * gradient**2 + 1e-6)).sqrt() * gradient
        torch.testing.assert_close(stored["model"][name], start[name] - step, rtol=0, atol=1e-6, msg=name)
    for name in ("W_a", "U_a"):  # P3: nothing to learn yet
        name = f"decoder.attention.score.{name}.weight"
        assert torch.equal(stored["model"][name], start[name])


def test_the_papers_recipe_learns_a_small_sample(small_recipe, tmp_path):
    """From ln K a word on down, epoch by epoch."""
    recipe = small_recipe("training.epochs=12", "training.batch_size=4")
    costs, corpus = [], prepare(recipe)
    fit(recipe, tmp_path / "run", accelerator="cpu", progress=False)
    for line in (tmp_path / "run" / "metrics.jsonl").read_text(encoding="utf-8").splitlines():
        costs.append(json.loads(line)["validation_nll_per_token"])
    assert len(costs) == 12
    assert costs[0] < math.log(len(corpus.target))
    assert all(later < earlier for earlier, later in zip(costs, costs[1:], strict=False))
    assert costs[-1] < 0.9 * costs[0]


def test_first_inputs_are_begin_of_sentence():
    """What the models above are fed: the target shifted right."""
    assert (BATCH.inputs[:, 0] == BOS).all()
    assert torch.equal(BATCH.inputs[:, 1:], BATCH.targets[:, :-1])


# Show, Attend and Tell

EYES = {"target_vocabulary": 13, "feature_size": 6, "embedding_size": 4, "state_size": 5, "alignment_size": 3}
LOCATIONS = 9
SEEN = torch.randn(len(PAIRS), LOCATIONS, 6, generator=torch.Generator().manual_seed(2)).double()
AS_RELEASED = {"attention_layers": 2, "first_state_layers": 2, "output_tanh": True}
SEERS = [
    {},
    AS_RELEASED,
    {"gate": False, "bias": False},
    {"annotation_size": 7, "normalise_features": True, "tie_output": True},
    {"attention": "hard"},
    {"attention": "hard", "soft_share": 0.0, "when_testing": "argmax", **AS_RELEASED},
]
EACH_SEER = pytest.mark.parametrize("changes", SEERS, ids=lambda changes: ", ".join(changes) or "the paper's")


def seer(**changes):
    return lively(show_attend_tell(**{**EYES, **changes}))


def everywhere(features):
    return torch.ones(features.shape[:2], dtype=torch.bool, device=features.device)


def told(model, features=SEEN, batch=BATCH):
    """Teacher forcing: the targets of `BATCH` are taken for captions."""
    return model.decoder(batch.inputs, model.encode(features, everywhere(features)))


def caption_cost(model, features=SEEN, batch=BATCH, reduction="sum"):
    """The negative log-likelihood and the penalty, as training adds them."""
    rollout = told(model, features, batch)
    cost = sequence_cross_entropy(rollout.logits, batch.targets, batch.target_mask, reduction=reduction)
    return cost + len(features) * doubly_stochastic_penalty(rollout.weights, batch.target_mask, everywhere(features))


def test_the_captioners_defaults_are_the_papers():
    """§3.1.2, §4.2 and the sizes of the released configuration; counted from the shapes of the equations."""
    K, m, n, D, A = 10_000, 512, 1800, 512, 512
    with torch.device("meta"):
        model = show_attend_tell(target_vocabulary=K)
    lstm = 4 * n * (m + n + D) + 4 * n
    look = A * (n + D) + A + A  # W, U with its bias, v
    output = K * m + K + m * (n + D) + m
    first, gate = 2 * (n * D + n), n + 1
    assert count_parameters(model) == K * m + lstm + look + output + first + gate
    decoder = model.decoder
    assert isinstance(decoder.attention, SoftAttention) and not decoder.output.tanh
    assert decoder.first.W_init is None and isinstance(decoder.attention.score.U_a, nn.Linear)
    assert all(module.p == 0 for module in model.modules() if isinstance(module, nn.Dropout))
    assert model.encoder.projection is None and model.encoder.norm is None and model.encoder.network is None
    with torch.device("meta"):
        hard, released = (show_attend_tell(target_vocabulary=K, **c) for c in ({"attention": "hard"}, AS_RELEASED))
    look_of = hard.decoder.attention
    assert (look_of.soft_share, look_of.coin) == (0.5, "image")
    assert count_parameters(hard) == count_parameters(model)
    assert count_parameters(released) - count_parameters(model) == A * A + A + D * D + D
    with torch.device("meta"):
        bare = show_attend_tell(target_vocabulary=K, bias=False, gate=False)
    assert count_parameters(model) - count_parameters(bare) == 4 * n + A + K + m + 2 * n + n + 1


@EACH_SEER
def test_a_captioner_says_step_by_step_what_it_says_at_once(changes):
    """P19, from features to log-probabilities, weights and gate."""
    model = seer(**changes).eval()
    memory, state = model.decoder.start(model.encode(SEEN, everywhere(SEEN)))
    rollout = told(model)
    for t, token in enumerate(BATCH.inputs.unbind(1)):
        step = model.decoder.step(token, state, memory)
        torch.testing.assert_close(step.logits, rollout.logits[:, t], rtol=0, atol=1e-10)
        torch.testing.assert_close(step.glimpse.weights, rollout.weights[:, t], rtol=0, atol=1e-11)
        if rollout.gate is not None:
            torch.testing.assert_close(step.gate, rollout.gate[:, t], rtol=0, atol=1e-11)
        state = step.state


@EACH_SEER
def test_a_captions_cost_knows_neither_padding_nor_batch_order(changes):
    """P20 with the penalty: a batch costs what its captions cost one by one."""
    model = seer(**changes).eval()
    together = caption_cost(model)
    alone = sum(caption_cost(model, SEEN[b : b + 1], Batch.collate([pair])) for b, pair in enumerate(PAIRS))
    torch.testing.assert_close(together, alone, rtol=1e-11, atol=0)
    rows = torch.tensor([2, 0, 1])
    wider = Batch(*(nn.functional.pad(tensor, (0, 3), value=PAD)[rows] for tensor in vars(BATCH).values()))
    torch.testing.assert_close(caption_cost(model, SEEN[rows], wider), together, rtol=1e-11, atol=0)


def test_hard_and_soft_captioners_share_their_parameters_and_their_testing():
    """D12: with the expected annotation at test time hard attention is soft attention; in training it is not."""
    soft, hard = seer(), seer(attention="hard", soft_share=0.0)
    hard.load_state_dict(soft.state_dict())
    torch.testing.assert_close(told(hard.eval()).logits, told(soft.eval()).logits)
    assert not torch.allclose(told(hard.train()).logits, told(soft.train()).logits)


def test_the_captioners_dropouts_are_silent_outside_training():
    dropouts = dict.fromkeys(("embedding_dropout", "annotation_dropout", "state_dropout", "output_dropout"), 0.5)
    plain = seer()
    for name in dropouts:
        dropping = seer(**{name: 0.5})
        dropping.load_state_dict(plain.state_dict())
        assert torch.equal(told(dropping.eval()).logits, told(plain).logits)
        assert not torch.equal(told(dropping.train()).logits, told(plain).logits), name


@pytest.mark.parametrize("attention", ["soft", "hard"])
def test_a_captioner_with_its_own_network_reads_images(attention):
    """From pixels to words; every parameter of network, encoder and decoder is taught."""
    model = show_attend_tell(
        **{**EYES, "feature_size": 16}, network="small", image_size=32, grid=4, attention=attention, soft_share=0.0
    )
    images = torch.rand(len(PAIRS), 3, 32, 32)
    rollout = model.decoder(BATCH.inputs, model.encode(images, torch.ones(len(PAIRS), 16, dtype=torch.bool)))
    assert rollout.weights.shape == (*BATCH.inputs.shape, 16)
    cost = sequence_cross_entropy(rollout.logits, BATCH.targets, BATCH.target_mask)
    cost = cost + doubly_stochastic_penalty(rollout.weights, BATCH.target_mask, torch.ones(3, 16, dtype=torch.bool))
    cost.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and (parameter.grad != 0).any(), name


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"attention": "none"}, "'none'.*soft or hard"),
        ({"network": "vgg"}, "'vgg'.*small"),
        ({"attention_layers": 3}, "1 or 2 layers"),
        ({"attention": "hard", "coin": "word"}, "'word'"),
    ],
)
def test_captioners_that_cannot_be_built_are_refused(changes, message):
    with pytest.raises(CourseError, match=message):
        seer(**changes)


@pytest.mark.parametrize("K", [20, 10_000])
@pytest.mark.parametrize("changes", [{}, AS_RELEASED, {"attention": "hard"}])
def test_at_the_start_a_captions_word_costs_the_logarithm_of_the_vocabulary(K, changes):
    """P11's captioning half: ln 10⁴ = 9.210, within twice the largest logit, and the largest is minute."""
    sizes = {"target_vocabulary": K, "feature_size": 6, "embedding_size": 62, "state_size": 100, "alignment_size": 20}
    model = initialise_as_paper(show_attend_tell(**sizes, **changes), seed=3)
    rollout = told(model, SEEN.float())
    cost = sequence_cross_entropy(rollout.logits, BATCH.targets, BATCH.target_mask).item()
    largest = rollout.logits.abs().max().item()
    assert 0 < largest < 0.02
    assert abs(cost - math.log(K)) <= 2 * largest
    if K == 10_000:
        assert cost == pytest.approx(9.210, abs=0.04)


def test_a_captioner_starts_as_the_released_code_does():
    """Orthogonal recurrent matrices, biases 0, the rest N(0, 0.01²); what makes the features is left as it was."""
    sizes = {"embedding_size": 62, "state_size": 100, "alignment_size": 50, "feature_size": 40}
    kept = {"network": "small", "image_size": 16, "grid": 4, "normalise_features": True}
    model = show_attend_tell(target_vocabulary=50, **sizes, **kept, annotation_size=30)
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    initialise_as_paper(model, seed=3)
    for name, parameter in model.named_parameters():
        if name.startswith(("encoder.network", "encoder.norm")):
            assert torch.equal(parameter, before[name])
        elif name == "decoder.unit.weight_hh":
            for gate in parameter.chunk(4):
                torch.testing.assert_close(gate @ gate.T, torch.eye(100), atol=1e-4, rtol=0)
        elif "bias" in name:
            assert (parameter == 0).all(), name
        else:
            assert has_deviation(parameter, 0.01), name


@EACH_SEER
def test_a_captioner_makes_no_tensor_elsewhere_and_waits_for_nothing(changes):
    model, features, batch = seer(**changes).to("meta").train(), SEEN.to("meta"), BATCH.to("meta")
    mask, rows = everywhere(features), torch.zeros(2, dtype=torch.long, device="meta")
    baseline = MovingBaseline().to("meta")
    with OneDevice():
        rollout = model.decoder(batch.inputs, model.encode(features, mask))
        likelihood = sentence_log_likelihood(rollout.logits, batch.targets, batch.target_mask)
        loss = doubly_stochastic_penalty(rollout.weights, batch.target_mask, mask) - likelihood.mean()
        if rollout.log_probs is not None:
            draws = rollout.log_probs, rollout.weights, batch.target_mask
            loss = loss + reinforce(likelihood, *draws, baseline, entropy_weight=0.1).loss
        loss.backward()
        model.eval()
        memory, state = model.decoder.start(model.encode(features, mask))
        step = model.decoder.step(batch.inputs[:, 0], state, memory)
        model.decoder.step(batch.inputs[:, 1].index_select(0, rows), step.state.take(rows), memory.take(rows))


def test_the_small_network_makes_no_tensor_elsewhere():
    model = show_attend_tell(**{**EYES, "feature_size": 16}, network="small", image_size=32, grid=4).to("meta")
    with OneDevice():
        model.encode(torch.empty(2, 3, 32, 32, device="meta"), torch.ones(2, 16, dtype=torch.bool, device="meta"))
        model.encode(
            torch.empty(2, 3, 32, 32, device="meta", dtype=torch.uint8),
            torch.ones(2, 16, dtype=torch.bool, device="meta"),
        )


@pytest.mark.parametrize("changes", SEERS[:-1])  # the likeliest position may be another in half precision
def test_a_captioner_in_bfloat16_stays_near_single_precision(changes):
    """Autocast, hard attention at its expectation; α comes back in single precision and adds up to 1."""
    model = seer(**changes).float().eval()
    single = told(model, SEEN.float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rollout = told(model, SEEN.float())
        cost = sequence_cross_entropy(rollout.logits, BATCH.targets, BATCH.target_mask)
    assert (rollout.logits - single.logits).abs().max() < 0.05 * single.logits.abs().max()
    assert rollout.weights.dtype == torch.float32
    torch.testing.assert_close(rollout.weights.sum(-1), torch.ones(len(PAIRS), 6), atol=1e-5, rtol=0)
    cost.backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters() if parameter.grad is not None)


SYMBOLS, PLACES = 6, 4


def scenes_of_symbols(count, generator):
    """Pictures of four places, each holding one of six symbols; the caption names them in order.

    A location says which symbol it holds and where it is. Their mean, from which the decoder starts, says which
    symbols there are, and nothing of their order: without looking, a caption costs `cost_without_looking`.
    """
    symbols = torch.randint(0, SYMBOLS, (count, PLACES), generator=generator)
    places = torch.eye(PLACES).expand(count, -1, -1)
    features = torch.cat([nn.functional.one_hot(symbols, SYMBOLS).float(), places], dim=-1)
    targets = symbols + 4
    return features, torch.cat([torch.full((count, 1), BOS), targets[:, :-1]], dim=1), targets


def cost_without_looking():
    """H(order | which symbols there are) in nats a word, by enumeration of all captions."""
    captions = list(itertools.product(range(SYMBOLS), repeat=PLACES))
    orders = Counter(tuple(sorted(caption)) for caption in captions)
    return sum(math.log(orders[tuple(sorted(caption))]) for caption in captions) / len(captions) / PLACES


@pytest.mark.parametrize(("attention", "updates"), [("soft", 100), ("hard", 300)])
def test_a_captioner_learns_to_look(attention, updates):
    """On new pictures the cost is a fifth of what any captioner without a look could reach, and α is where the word is.

    Hard attention learns by eq. 12 alone: rewards, a moving baseline, half the images looking softly.
    """
    generator = torch.Generator().manual_seed(5)
    sizes = {"feature_size": SYMBOLS + PLACES, "embedding_size": 16, "state_size": 32, "alignment_size": 16}
    model = show_attend_tell(target_vocabulary=4 + SYMBOLS, attention=attention, **sizes)
    optimiser, baseline = torch.optim.Adam(model.parameters(), lr=1e-2), MovingBaseline()
    mask = torch.ones(64, PLACES, dtype=torch.bool)
    for _ in range(updates):
        features, inputs, targets = scenes_of_symbols(64, generator)
        rollout = model.decoder(inputs, model.encode(features, mask))
        likelihood = sentence_log_likelihood(rollout.logits, targets, mask)
        if attention == "hard":
            loss = reinforce(likelihood, rollout.log_probs, rollout.weights, mask, baseline).loss
        else:
            loss = -likelihood.mean()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
    features, inputs, targets = scenes_of_symbols(500, generator)
    model.eval()
    rollout = model.decoder(inputs, model.encode(features, everywhere(features)))
    cost = sequence_cross_entropy(rollout.logits, targets, torch.ones_like(targets, dtype=torch.bool))
    assert cost < cost_without_looking() / 5
    looks = rollout.weights.argmax(-1)[:, :-1]  # the last word follows from the mean and the words before it
    assert (looks == torch.arange(PLACES - 1)).float().mean() > 0.9
