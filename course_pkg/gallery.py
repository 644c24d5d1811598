"""The clinic of chapter 9: ten models of RNNsearch, eight of them sick, each in one way.

Every `Patient` is `course_pkg.models.rnnsearch` with one thing changed, and only that. The parts of the package are
final, so that nobody extends them by accident; the patients are the exception, since one overridden method is the
shortest way to say what is wrong. The checks at the end are the package's own tests in miniature: each takes a patient
as it is built, before any training, and raises `AssertionError` if the property does not hold.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from course_pkg.attention import AdditiveScore, Attention, Glimpse, Memory, Score, SoftAttention
from course_pkg.batching import Batch
from course_pkg.decoders import AttentiveDecoder, Rollout, State
from course_pkg.encoders import BiGRUEncoder, Encoded
from course_pkg.losses import sequence_cross_entropy
from course_pkg.models import EncoderDecoder, rnnsearch
from course_pkg.notation import CourseError
from course_pkg.vocabulary import EOS

__all__ = ["CHECKS", "PATIENTS", "Patient", "lively", "patient", "ward"]


# What is wrong with them


class NoMask(Attention):
    """The softmax runs over every column of the batch, padding included."""

    def forward(self, query: Tensor, memory: Memory) -> Glimpse:
        """Look at everything, real or not."""
        scores = self.score(query, memory.keys)
        weights = scores.softmax(dim=-1)
        return Glimpse(torch.bmm(weights.unsqueeze(1), memory.annotations).squeeze(1), weights, scores)


class WrongAxis(Attention):
    """The softmax runs over the sentences of the batch instead of the words of a sentence."""

    def forward(self, query: Tensor, memory: Memory) -> Glimpse:
        """Let the sentences compete for each position."""
        scores = self.score(query, memory.keys)
        weights = scores.masked_fill(~memory.mask, -torch.inf).softmax(dim=0)
        return Glimpse(torch.bmm(weights.unsqueeze(1), memory.annotations).squeeze(1), weights, scores)


class NoTanh(Score):
    """``e_ij = v_aᵀ (W_a s_{i-1} + U_a h_j)``: without the bend, the state adds the same number to every energy."""

    def __init__(self, right: AdditiveScore) -> None:
        super().__init__()
        self.W_a, self.U_a, self.v_a = right.W_a, right.U_a, right.v_a

    def project(self, annotations: Tensor) -> Tensor:
        """``U_a h_j`` for every position."""
        return self.U_a(annotations)

    def forward(self, query: Tensor, keys: Tensor) -> Tensor:
        """A straight line where a curve should be."""
        return (self.W_a(query).unsqueeze(1) + keys) @ self.v_a


class NewStateAsks(AttentiveDecoder):  # type: ignore[misc]
    """The state is updated first, with the last context, and then asks: ``s_i`` where ``s_{i-1}`` should be."""

    def _advance(self, gates: Tensor, state: State, memory: Memory) -> tuple[State, Tensor, Glimpse]:
        last = torch.zeros_like(memory.annotations[:, 0]) if state.context is None else state.context
        hidden = self._update(gates, state.hidden, last)
        glimpse = self.attention(hidden, memory)
        return State(hidden, context=glimpse.context), hidden, glimpse


class OneRowLate(AttentiveDecoder):  # type: ignore[misc]
    """The rows of α are handed out one place late, so that each word is given the look of the word before it."""

    def forward(self, inputs: Tensor, encoded: Encoded) -> Rollout:
        """Translate as ever, and report the wrong rows."""
        rollout = super().forward(inputs, encoded)
        assert rollout.weights is not None
        return replace(rollout, weights=rollout.weights.roll(1, dims=1))


class PaddingFirst(BiGRUEncoder):  # type: ignore[misc]
    """The padded row is turned round as a whole, so that the backward RNN reads the padding before the words."""

    def forward(self, tokens: Tensor, mask: Tensor) -> Encoded:
        """Read leftwards from the last column, whatever stands there."""
        embedded = self.embedding(tokens)
        leftward = self.backward_unit(embedded.flip(1)).flip(1)
        annotations = self.dropout(torch.cat([self.forward_unit(embedded), leftward], dim=-1))
        return Encoded(annotations, mask, leftward[:, 0])


def as_drawn(weights: Float[Tensor, "T S"]) -> Float[Tensor, "T S"]:
    """The matrix as a right figure shows it: row ``i`` is target word ``i``."""
    return weights


def mirrored(weights: Float[Tensor, "T S"]) -> Float[Tensor, "T S"]:
    """The matrix turned about its diagonal while the labels stay; cells that the frame does not have are lost."""
    shown = torch.zeros_like(weights)
    side = min(weights.shape)
    shown[:side, :side] = weights[:side, :side].T
    return shown


def _nothing(model: EncoderDecoder) -> None:
    """Leave a healthy model as it is."""


def _look_with(attention: type[Attention]) -> Callable[[EncoderDecoder], None]:
    def change(model: EncoderDecoder) -> None:
        model.decoder.attention = attention(model.decoder.attention.score)  # type: ignore[union-attr, arg-type]

    return change


def _without_tanh(model: EncoderDecoder) -> None:
    model.decoder.attention = SoftAttention(NoTanh(model.decoder.attention.score))  # type: ignore[union-attr, arg-type]


def _decode_with(decoder: type[AttentiveDecoder]) -> Callable[[EncoderDecoder], None]:
    def change(model: EncoderDecoder) -> None:
        old: Any = model.decoder
        sizes = {"annotation_size": old.C.in_features, "summary_size": old.W_s.in_features}
        new = decoder(old.embedding, old.unit, old.attention, old.output, order=old.order, **sizes)
        new.W_s, new.C = old.W_s, old.C
        model.decoder = new

    return change


def _pad_first(model: EncoderDecoder) -> None:
    old: Any = model.encoder
    model.encoder = PaddingFirst(old.embedding, old.forward_unit, old.backward_unit, dropout=old.dropout.p)


def _freeze_v(model: EncoderDecoder) -> None:
    v_a: Any = model.decoder.attention.score.v_a  # type: ignore[union-attr]
    v_a.requires_grad_(False).zero_()


# Who they are


@dataclass(frozen=True)
class Patient:
    """One model of the clinic.

    Attributes:
        name: what it has, in two or three words.
        wrong: what is wrong, in one sentence.
        sign: how α shows it.
        test: the test of the package that catches it, ``file::name``.
        check: the name in `CHECKS` of the same test in miniature; empty for the healthy.
        change: what is done to a new `rnnsearch`, in place.
        picture: what its figure makes of α.
        backwards: whether it reads (and shows) the source from the last word to the first.
        seed: of its parameters and of the order of its batches.
    """

    name: str
    wrong: str
    sign: str
    test: str
    check: str = ""
    change: Callable[[EncoderDecoder], None] = _nothing
    picture: Callable[[Tensor], Tensor] = as_drawn
    backwards: bool = False
    seed: int = 1

    @property
    def healthy(self) -> bool:
        """Whether nothing is wrong."""
        return not self.check

    def build(self, **sizes: Any) -> EncoderDecoder:
        """The untrained model: `rnnsearch` of these arguments, started from the patient's seed, with its change."""
        torch.manual_seed(self.seed)
        model = rnnsearch(**sizes)
        self.change(model)
        return model


PATIENTS = (
    Patient(
        "no mask",
        "The softmax counts padded columns as words.",
        "Weight stands in the padded columns, and none is left there once the sentence is read alone.",
        "tests/test_attention.py::test_weights_sum_to_one_and_padding_gets_exactly_nothing",
        "padding gets nothing",
        _look_with(NoMask),
    ),
    Patient(
        "wrong axis",
        "The softmax runs over the sentences of the batch, not over the words of a sentence.",
        "Rows do not sum to 1; it is the sentences that share each position. Read alone, every weight is exactly 1.",
        "tests/test_attention.py::test_each_sentence_looks_for_itself",
        "rows sum to one",
        _look_with(WrongAxis),
    ),
    Patient(
        "no tanh",
        "The energy is a straight line in state and annotation, so the state's share cancels in the softmax.",
        "All rows are the same, and not even: some words are liked at every step.",
        "tests/test_attention.py::test_scores_are_their_formulas",
        "the state is heard",
        _without_tanh,
    ),
    Patient(
        "the new state asks",
        "The query is s_i, which has already read y_{i-1}, instead of s_{i-1}.",
        "α looks well; but change one word fed to the decoder and the row of that very step moves, a row too early.",
        "tests/test_decoders.py::test_the_query_knows_the_words_that_its_order_says",
        "a word is read after the look",
        _decode_with(NewStateAsks),
    ),
    Patient(
        "one row late",
        "Row i of the matrix is the look of word i-1.",
        "The whole pattern hangs one row too low, and its first row is that of the end of the sentence.",
        "tests/test_decoders.py::test_step_by_step_reproduces_teacher_forcing",
        "row i is step i",
        _decode_with(OneRowLate),
        seed=2,
    ),
    Patient(
        "transposed picture",
        "The model is well; the figure shows row and column exchanged while the labels stay.",
        "Columns sum to 1 and rows do not: the pattern is mirrored about the diagonal.",
        "tests/test_plotting.py::test_a_transposed_matrix_is_caught",
        "the figure is the matrix",
        picture=mirrored,
        seed=3,
    ),
    Patient(
        "padding read first",
        "The backward RNN starts in the padding, so every annotation depends on what stands beside the sentence.",
        "No weight on padding, and every row sums to 1; yet α of the same sentence differs alone and in company.",
        "tests/test_encoders.py::test_more_padding_and_another_order_change_nothing",
        "company changes nothing",
        _pad_first,
    ),
    Patient(
        "frozen v_a",
        "v_a starts at 0, as in the paper, and was frozen there (`requires_grad_(False)`).",
        "All rows are the same and even over the real columns: one divided by their number, however long it trains.",
        "tests/test_models.py::test_a_few_updates_move_every_parameter",
        "every parameter moves",
        _freeze_v,
    ),
    Patient(
        "healthy",
        "Nothing.",
        "One or two dark cells in a row, on the linked words, the same alone and in company.",
        "tests/test_models.py::test_rnnsearch_is_the_papers_formulas",
        seed=4,
    ),
    Patient(
        "healthy, reads backwards",
        "Nothing: it was given the source from the last word to the first, and so is its figure.",
        "The pattern runs from the top right to the bottom left, as it must, and lies on the linked words.",
        "tests/test_models.py::test_rnnsearch_is_the_papers_formulas",
        backwards=True,
    ),
)


def patient(name: str) -> Patient:
    """The patient of that name.

    Raises:
        CourseError: there is none.
    """
    for one in PATIENTS:
        if one.name == name:
            return one
    raise CourseError(f"There is no patient {name!r}: choose one of {', '.join(p.name for p in PATIENTS)}.")


# What finds it out

SIZES = {"embedding_size": 6, "state_size": 8, "alignment_size": 7, "maxout_size": 5}
WORDS = 20
SHORT = ((5, 9, 6, EOS), (8, 12, 7, 10, 5, EOS))
LONG = ((7, 11, 5, 8, 13, 6, 14, EOS), (6, 15, 9, 17, 7, 11, 12, 10, EOS))  # longer on both sides


def lively(who: Patient) -> EncoderDecoder:
    """The untrained patient in double precision, with parameters large enough that every difference shows."""
    model = who.build(source_vocabulary=WORDS, target_vocabulary=WORDS, **SIZES).double().eval()
    model.decoder.bptt = False  # type: ignore[assignment]
    generator = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return model


def _weights(model: EncoderDecoder, batch: Batch) -> Tensor:
    weights = model(batch).weights
    assert weights is not None
    return weights.detach()


def padding_gets_nothing(who: Patient) -> None:
    """The weights of padded columns are exactly 0."""
    batch = Batch.collate([SHORT, LONG])
    on_padding = _weights(lively(who), batch)[0][:, ~batch.source_mask[0]]
    assert bool((on_padding == 0).all()), f"up to {float(on_padding.max()):.2f} of α stands on padding"


def rows_sum_to_one(who: Patient) -> None:
    """Each row of α is shared out completely."""
    sums = _weights(lively(who), Batch.collate([SHORT, LONG])).sum(-1)
    least, most = float(sums.min()), float(sums.max())
    assert 1 - least < 1e-9 and most - 1 < 1e-9, f"rows sum to between {least:.2f} and {most:.2f}"


def the_state_is_heard(who: Patient) -> None:
    """Two steps with different states look differently."""
    score: Any = lively(who).decoder.attention.score  # type: ignore[union-attr]
    generator = torch.Generator().manual_seed(1)
    keys = torch.randn(1, 5, SIZES["alignment_size"], generator=generator).double()
    states = torch.randn(2, 1, SIZES["state_size"], generator=generator).double()
    one, other = (score(state, keys).softmax(-1) for state in states)
    assert not torch.allclose(one, other, rtol=0, atol=1e-9), "α is the same whatever the state"


def a_word_is_read_after_the_look(who: Patient) -> None:
    """A change of the word fed at a step leaves that step's row of α alone and moves the next one's."""
    model, batch = lively(who), Batch.collate([LONG])
    changed = batch.inputs.clone()
    changed[0, 2] = 16
    moved = (_weights(model, batch) - _weights(model, replace(batch, inputs=changed)))[0].abs().amax(-1) > 1e-9
    assert bool(moved.any()), "the word fed at step 3 moves no row at all"
    first = int(moved.long().argmax()) + 1
    assert first == 4, f"the word fed at step 3 first moves row {first}, not row 4"


def row_i_is_step_i(who: Patient) -> None:
    """Teacher forcing reports in row ``i`` what the step of word ``i`` saw."""
    model, batch = lively(who), Batch.collate([LONG])
    rows = _weights(model, batch)
    memory, state = model.decoder.start(model.encode(batch.source, batch.source_mask))
    for i, token in enumerate(batch.inputs.unbind(1)):
        step = model.decoder.step(token, state, memory)
        state = step.state
        assert step.glimpse is not None
        same = torch.allclose(rows[:, i], step.glimpse.weights, rtol=0, atol=1e-9)
        assert same, f"row {i + 1} is not what step {i + 1} saw"


def the_figure_is_the_matrix(who: Patient) -> None:
    """What is drawn in row ``i`` and column ``j`` is α_ij."""
    marked = torch.arange(12.0).view(3, 4)
    assert torch.equal(who.picture(marked), marked), "the figure shows another matrix"


def company_changes_nothing(who: Patient) -> None:
    """A sentence looks the same alone and beside a longer one."""
    model = lively(who)
    alone = _weights(model, Batch.collate([SHORT]))[0]
    together = _weights(model, Batch.collate([SHORT, LONG]))[0, :, : alone.shape[1]]
    gap = (together[: len(alone)] - alone).abs().max()
    assert bool(gap < 1e-9), f"beside a longer sentence α differs by up to {float(gap):.2f}"


def every_parameter_moves(who: Patient) -> None:
    """After a few updates from v_a = 0, as in the paper, no parameter is where it was.

    One update, or one look at the gradients, would not do: there those of W_a and U_a are exactly 0.
    """
    model = who.build(source_vocabulary=WORDS, target_vocabulary=WORDS, **SIZES).double()
    score: Any = model.decoder.attention.score  # type: ignore[union-attr]
    torch.nn.init.zeros_(score.v_a)
    start = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    batch = Batch.collate([SHORT, LONG])
    for _ in range(5):
        loss = sequence_cross_entropy(model(batch).logits, batch.targets, batch.target_mask)
        with torch.no_grad():
            for parameter, slope in zip(trained, torch.autograd.grad(loss, trained), strict=True):
                parameter.sub_(slope)
    moved = {name: float((p.detach() - start[name]).abs().max()) for name, p in model.named_parameters()}
    still = [name.removesuffix(".weight").split(".")[-1] for name, distance in moved.items() if distance < 1e-12]
    assert not still, f"after five updates these have not moved: {', '.join(still)}"


CHECKS: dict[str, Callable[[Patient], None]] = {
    "padding gets nothing": padding_gets_nothing,
    "rows sum to one": rows_sum_to_one,
    "the state is heard": the_state_is_heard,
    "a word is read after the look": a_word_is_read_after_the_look,
    "row i is step i": row_i_is_step_i,
    "the figure is the matrix": the_figure_is_the_matrix,
    "company changes nothing": company_changes_nothing,
    "every parameter moves": every_parameter_moves,
}


def ward() -> dict[str, Patient]:
    """The ten in the order in which chapter 9 meets them, by the letter on the door."""
    return {letter: PATIENTS[place] for letter, place in zip("ABCDEFGHIJ", (7, 8, 0, 4, 2, 9, 1, 5, 6, 3), strict=True)}
