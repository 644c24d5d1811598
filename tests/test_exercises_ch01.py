"""Chapter 1's checks: right answers pass however they are written, and each usual mistake gets its own hint."""

from collections.abc import Callable

import pytest
import torch
from torch.nn import functional as F

from course_pkg.exercises import examine, names
from course_pkg.models import rnn_encoder_decoder
from course_pkg.search import greedy


def test_the_chapter_has_three_checks() -> None:
    assert [name for name in names() if name.startswith("01.")] == ["01.greedy", "01.log_likelihood", "01.shift"]


def caught(name: str, answer: Callable, told: str, hint: str) -> None:
    last = examine(name, answer).findings[-1]
    assert not last.holds and told in last.text and hint in last.hint, last


# -- the inputs of teacher forcing ------------------------------------------------------------------------------------


def shift_by_cat(targets, bos):  # type: ignore[no-untyped-def]
    return torch.cat([targets.new_full((len(targets), 1), bos), targets[:, :-1]], dim=1)


def shift_by_roll(targets, bos):  # type: ignore[no-untyped-def]
    inputs = targets.roll(1, dims=1)
    inputs[:, 0] = bos
    return inputs


def shift_in_place(targets, bos):  # type: ignore[no-untyped-def]
    targets[:, 1:] = targets[:, :-1].clone()
    targets[:, 0] = bos
    return targets


def overwrite_first(targets, bos):  # type: ignore[no-untyped-def]
    inputs = targets.clone()
    inputs[:, 0] = bos
    return inputs


@pytest.mark.parametrize(
    "answer", [shift_by_cat, shift_by_roll, lambda t, bos: F.pad(t, (1, -1), value=bos)], ids=["cat", "roll", "pad"]
)
def test_shift_right(answer: Callable) -> None:
    assert examine("01.shift", answer).passed


@pytest.mark.parametrize(
    ("answer", "told", "hint"),
    [
        (lambda t, bos: None, "returns nothing", "return"),
        (lambda t, bos: F.pad(t, (1, 0), value=bos), "one step too many", "left to feed"),
        (lambda t, bos: torch.cat([torch.full((1, 4), bos), t]), "one sentence too many", "each row"),
        (lambda t, bos: t[:, :-1], "shape is (3, 3)", "as many"),
        (shift_in_place, "were changed", "new tensor"),
        (lambda t, bos: t, "inputs are the targets", "in the very step"),
        (lambda t, bos: F.pad(t[:, 1:], (0, 1)), "run ahead", "other way"),
        (lambda t, bos: t.roll(1, dims=1), "end of the sentence", "came round"),
        (lambda t, bos: shift_by_cat(t, 1), "always 1", "given as `bos`"),
        (lambda t, bos: shift_by_cat(t, 0), "not all `bos`", "every row"),
        (overwrite_first, "first word is lost", "written over"),
        (lambda t, bos: shift_by_cat(shift_by_cat(t, bos), bos), "not those wanted", "inputs above targets"),
    ],
)
def test_shift_wrong(answer: Callable, told: str, hint: str) -> None:
    caught("01.shift", answer, told, hint)


# -- the log-likelihood of a sentence ---------------------------------------------------------------------------------


def chosen(logits, targets):  # type: ignore[no-untyped-def]
    return logits.log_softmax(-1).gather(-1, targets.unsqueeze(-1)).squeeze(-1)


def by_gather(logits, targets, mask):  # type: ignore[no-untyped-def]
    return (chosen(logits, targets) * mask).sum(1)


def by_loops(logits, targets, mask):  # type: ignore[no-untyped-def]
    sums = []
    for row in range(len(targets)):
        sums.append(0.0)
        for step in range(targets.shape[1]):
            if mask[row, step]:
                p = logits[row, step].exp() / logits[row, step].exp().sum()
                sums[row] += float(p[targets[row, step]].log())
    return sums


def by_library(logits, targets, mask):  # type: ignore[no-untyped-def]
    return -(F.cross_entropy(logits.transpose(1, 2), targets, reduction="none") * mask).sum(1)


def one_axis_off(logits, targets, mask):  # type: ignore[no-untyped-def]
    return (logits.log_softmax(1).gather(-1, targets.unsqueeze(-1)).squeeze(-1) * mask).sum(1)


def without_the_last(logits, targets, mask):  # type: ignore[no-untyped-def]
    return by_gather(logits, targets, mask & F.pad(mask[:, 1:], (0, 1)))


@pytest.mark.parametrize("answer", [by_gather, by_loops, by_library])
def test_log_likelihood_right(answer: Callable) -> None:
    assert examine("01.log_likelihood", answer).passed


@pytest.mark.parametrize(
    ("answer", "told", "hint"),
    [
        (lambda x, t, m: ..., "returns nothing", "return"),
        (lambda x, t, m: chosen(x, t) * m, "each token", "product"),
        (lambda x, t, m: by_gather(x, t, m).sum(), "single number", "not over sentences"),
        (lambda x, t, m: (chosen(x, t) * m).sum(0), "shape is (5,)", "three sentences"),
        (lambda x, t, m: (x.gather(-1, t[..., None])[..., 0] * m).sum(1), "logits themselves", "normalised"),
        (one_axis_off, "wrong axis", "vocabulary"),
        (lambda x, t, m: by_gather(x, t, m).exp(), "probabilities themselves", "missing"),
        (lambda x, t, m: (chosen(x, t).exp() * m).sum(1), "probabilities were added", "multiplied"),
        (lambda x, t, m: -by_gather(x, t, m), "positive", "at most 1"),
        (lambda x, t, m: chosen(x, t).sum(1), "padding is counted", "mask"),
        (lambda x, t, m: by_gather(x, t, ~m), "only padding", "real"),
        (without_the_last, "EOS is left out", "prediction"),
        (lambda x, t, m: by_gather(x, t, m) / m.sum(1), "divided by the lengths", "sum"),
        (lambda x, t, m: chosen(x, t).mean(1), "means over all steps", "no part"),
        (lambda x, t, m: by_gather(x, x.argmax(-1), m), "likeliest word", "reference"),
        (lambda x, t, m: 2 * by_gather(x, t, m), "differ", "add"),
    ],
)
def test_log_likelihood_wrong(answer: Callable, told: str, hint: str) -> None:
    caught("01.log_likelihood", answer, told, hint)


# -- greedy translation -----------------------------------------------------------------------------------------------


def loop(
    decoder,
    encoded,
    bos,
    eos,
    max_steps,
    *,
    choose=torch.argmax,
    feed=lambda bos, token: token,
    keep_state=True,
    stop=True,
    front=(),
    keep_eos=True,
    patience=None,
):  # type: ignore[no-untyped-def]
    """A greedy loop whose every part can be spoilt."""
    memory, state = decoder.start(encoded)
    token, written = torch.tensor([bos]), list(front)
    for _ in range(patience or max_steps):
        step = decoder.step(token, state, memory)
        state = step.state if keep_state else state
        best = int(choose(step.logits[0]))
        if best != eos or keep_eos:
            written.append(best)
        if stop and best == eos:
            break
        token = torch.tensor([feed(bos, best)])
    return written


def start_anew(decoder, encoded, bos, eos, max_steps):  # type: ignore[no-untyped-def]
    token, written = torch.tensor([bos]), []
    for _ in range(max_steps):
        memory, state = decoder.start(encoded)
        token = decoder.step(token, state, memory).logits.argmax(-1)
        written.append(int(token))
        if written[-1] == eos:
            break
    return written


def library(decoder, encoded, bos, eos, max_steps):  # type: ignore[no-untyped-def]
    found = greedy(decoder, encoded, bos=bos, eos=eos, max_steps=max_steps)
    return found.tokens[0, 0, : int(found.lengths[0, 0])]


def blind(decoder, encoded, bos, eos, max_steps):  # type: ignore[no-untyped-def]
    """Drives the decoder well, but never shows it the source."""
    nothing = type(encoded)(encoded.annotations * 0, encoded.mask, encoded.summary * 0)
    return loop(decoder, nothing, bos, eos, max_steps)


def spoilt(**options: object) -> Callable:
    return lambda *arguments: loop(*arguments, **options)


@pytest.mark.parametrize("answer", [loop, library])
def test_greedy_right(answer: Callable) -> None:
    assert examine("01.greedy", answer).passed


@pytest.mark.parametrize(
    ("answer", "told", "hint"),
    [
        (lambda decoder, encoded, bos, eos, max_steps: None, "returns nothing", "return"),
        (lambda decoder, encoded, bos, eos, max_steps: [eos], "never asked", "loop"),
        (lambda d, e, bos, eos, n: loop(d, e, eos, eos, n), "first word fed is not bos", "before"),
        (spoilt(feed=lambda bos, token: bos), "every step is fed bos", "just chosen"),
        (spoilt(choose=torch.argmin), "least likely", "largest"),
        (spoilt(choose=lambda logits: logits.argsort()[-2]), "not the likeliest", "largest entry"),
        (spoilt(keep_state=False), "state", "new state"),
        (start_anew, "state", "new state"),
        (spoilt(front=(1,)), "bos is part", "never written"),
        (spoilt(keep_eos=False), "EOS is missing", "finished"),
        (spoilt(stop=False), "goes on after EOS", "leave the loop"),
        (lambda d, e, bos, eos, n: loop(d, e, bos, eos, 3), "stopped after 3", "EOS or `max_steps`"),
        (lambda *arguments: loop(*arguments)[::-1], "not those that were chosen", "in order"),
        (spoilt(patience=1000), "never ends", "count the steps"),
        (spoilt(patience=10), "max_steps = 6", "exactly"),
        (blind, "on a real decoder", "start"),
    ],
)
def test_greedy_wrong(answer: Callable, told: str, hint: str) -> None:
    caught("01.greedy", answer, told, hint)


def test_the_real_decoders_of_the_check_are_worth_following() -> None:
    """They end at different places and write different words, so that agreeing by chance is out of the question."""
    from course_pkg.exercises.ch01 import _real_cases

    with torch.no_grad():
        written = [tuple(ids) for _, _, ids in _real_cases()]
    assert (
        len(set(written)) == 4
        and len({len(ids) for ids in written}) > 2
        and len({w for ids in written for w in ids}) > 6
    )


def test_checking_leaves_the_random_numbers_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    examine("01.greedy", loop)
    assert torch.equal(torch.rand(2), expected)


def test_the_check_calls_a_model_as_the_package_builds_it() -> None:
    """The loop of the tests agrees with `greedy` on models the check has never seen."""
    torch.manual_seed(7)
    model = rnn_encoder_decoder(source_vocabulary=9, target_vocabulary=9, embedding_size=4, state_size=5, maxout_size=4)
    source = torch.randint(4, 9, (1, 4))
    with torch.no_grad():
        encoded = model.encode(source, torch.ones_like(source, dtype=torch.bool))
        assert loop(model.decoder, encoded, 1, 2, 7) == library(model.decoder, encoded, 1, 2, 7).tolist()
