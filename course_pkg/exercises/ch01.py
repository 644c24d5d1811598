"""Checks of chapter 1: the inputs of teacher forcing, the log-likelihood of a sentence, and greedy translation."""

from collections.abc import Callable, Iterator
from typing import Any, final

import torch
from torch import Tensor

from course_pkg.attention import Memory
from course_pkg.decoders import Decoder, Rollout, State, Step
from course_pkg.encoders import Encoded
from course_pkg.exercises.registry import Finding, exercise, right, wrong
from course_pkg.models import rnn_encoder_decoder
from course_pkg.search import greedy

_NOTHING = "the function returns nothing yet", "end it with `return`, and your result."


def _missing(returned: Any) -> bool:
    return returned is None or returned is Ellipsis


# -- the inputs of teacher forcing ------------------------------------------------------------------------------------

_BEGIN = 9  # not the package's own id: an answer must use the one it is given
_TARGETS = torch.tensor([[5, 6, 7, 2], [8, 4, 2, 0], [6, 2, 0, 0]])


@exercise("01.shift", "the inputs of teacher forcing")
def _shift(answer: Callable[..., Any]) -> Iterator[Finding]:
    """``shift_right(targets, bos)``: what the decoder is fed, for targets of shape ``(B, T)``."""
    targets = _TARGETS.clone()
    returned = answer(targets, _BEGIN)
    if _missing(returned):
        yield wrong(*_NOTHING)
    inputs = torch.as_tensor(returned)
    batch, steps = _TARGETS.shape
    if tuple(inputs.shape) == (batch, steps + 1):
        hint = "one input for each prediction: once EOS is predicted, is there anything left to feed?"
        yield wrong("there is one step too many", hint)
    elif tuple(inputs.shape) == (batch + 1, steps):
        yield wrong("there is one sentence too many", "the begin-of-sentence id goes before each row, not above them.")
    elif tuple(inputs.shape) != (batch, steps):
        yield wrong(f"the shape is {tuple(inputs.shape)}", f"as many inputs as targets: {(batch, steps)}.")
    yield right("one input for each target")
    if not torch.equal(targets, _TARGETS):
        yield wrong("the targets themselves were changed", "they are still needed: work on a new tensor.")
    yield from _shifted(inputs)


def _shifted(inputs: Tensor) -> Iterator[Finding]:
    first, rest = inputs[:, 0], inputs[:, 1:]
    if torch.equal(inputs, _TARGETS):
        hint = "with these inputs the decoder is shown each word in the very step that has to predict it."
        yield wrong("the inputs are the targets", hint)
    elif torch.equal(inputs[:, :-1], _TARGETS[:, 1:]):
        hint = "here each step is fed the word after the one it predicts; move the other way."
        yield wrong("the inputs run ahead of the targets", hint)
    elif torch.equal(inputs, _TARGETS.roll(1, dims=1)):
        hint = "the last token came round to the front; nothing has been written before the first step."
        yield wrong("the first input is the end of the sentence", hint)
    elif bool((first == 1).all()):
        yield wrong("the first input is always 1", "use the id that the function is given as `bos`.")
    elif not bool((first == _BEGIN).all()):
        yield wrong("the first inputs are not all `bos`", "every row begins with the begin-of-sentence id.")
    yield right("each row begins with bos")
    if torch.equal(rest, _TARGETS[:, 1:]):
        hint = "bos was written over the first word, and every other word still stands at its own target."
        yield wrong("the first word is lost", hint)
    elif not torch.equal(rest, _TARGETS[:, :-1]):
        hint = "at step i the decoder is fed the word before: write one row down, inputs above targets."
        yield wrong("the words after bos are not those wanted", hint)
    yield right("each step is fed the word before the one it predicts")


# -- the log-likelihood of a sentence ---------------------------------------------------------------------------------

_LENGTHS = (4, 3, 5)


def _distributions() -> tuple[Tensor, Tensor, Tensor]:
    """Logits, targets and mask of three sentences whose lengths, batch and vocabulary all differ."""
    generator = torch.Generator().manual_seed(11)
    logits = 2 * torch.randn(3, 5, 7, generator=generator)
    targets = torch.tensor([[5, 6, 4, 2, 0], [4, 5, 2, 0, 0], [6, 6, 5, 4, 2]])
    return logits, targets, torch.arange(5) < torch.tensor(_LENGTHS).unsqueeze(1)


def _same(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and bool(torch.allclose(a.double(), b.double(), rtol=0, atol=1e-4))


@exercise("01.log_likelihood", "the log-likelihood of each sentence")
def _log_likelihood(answer: Callable[..., Any]) -> Iterator[Finding]:
    """``log_likelihood(logits, targets, mask)``: log p(y given x), shape ``(B,)``."""
    logits, targets, mask = _distributions()
    returned = answer(logits.clone(), targets.clone(), mask.clone())
    if _missing(returned):
        yield wrong(*_NOTHING)
    found = torch.as_tensor(returned)
    if tuple(found.shape) == tuple(targets.shape):
        hint = "a sentence's probability is a product over its steps; what does the logarithm make of a product?"
        yield wrong("there is still one number for each token", hint)
    elif found.numel() == 1:
        yield wrong("there is a single number", "each sentence has its own: sum over steps, not over sentences.")
    elif tuple(found.shape) != (3,):
        yield wrong(f"the shape is {tuple(found.shape)}", "one number for each of the three sentences: (3,).")
    yield right("one number for each sentence")
    log_probs = logits.log_softmax(-1)
    chosen = log_probs.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    expected = (chosen * mask).sum(1)
    yield from _not_log_probabilities(found, logits, targets, mask, expected)
    yield right("they are logarithms of probabilities")
    yield from _wrong_tokens(found, chosen, log_probs, mask, expected)
    yield right("every real token counts, EOS too, and no padding")


def _not_log_probabilities(
    found: Tensor, logits: Tensor, targets: Tensor, mask: Tensor, expected: Tensor
) -> Iterator[Finding]:
    raw = logits.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    if _same(found, (raw * mask).sum(1)):
        hint = "these logits are not normalised: which function makes log-probabilities of them?"
        yield wrong("the logits themselves were added", hint)
    for axis in (0, 1):
        other = logits.log_softmax(axis).gather(-1, targets.unsqueeze(-1)).squeeze(-1)
        if _same(found, (other * mask).sum(1)):
            yield wrong("the softmax runs over the wrong axis", "it must compare the words of the vocabulary.")
    probabilities = logits.softmax(-1).gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    if _same(found, expected.exp()):
        yield wrong("these are the probabilities themselves", "right so far; one function is missing.")
    elif _same(found, (probabilities * mask).sum(1)):
        yield wrong("probabilities were added", "probabilities of a chain are multiplied; it is logarithms that add.")
    elif bool((found > 0).all()):
        hint = "a probability is at most 1; what sign has its logarithm? The loss has the other one."
        yield wrong("the numbers are positive", hint)


def _wrong_tokens(
    found: Tensor, chosen: Tensor, log_probs: Tensor, mask: Tensor, expected: Tensor
) -> Iterator[Finding]:
    lengths = torch.tensor(_LENGTHS)
    without_end = mask & (torch.arange(mask.shape[1]) < (lengths - 1).unsqueeze(1))
    if _same(found, chosen.sum(1)):
        yield wrong("padding is counted", "no word stands there: the mask says where the real tokens are.")
    elif _same(found, (chosen * ~mask).sum(1)):
        yield wrong("only padding is counted", "in the mask, True means real.")
    elif _same(found, (chosen * without_end).sum(1)):
        yield wrong("EOS is left out", "stopping at the right place is a prediction like any other.")
    elif _same(found, expected / lengths):
        yield wrong("the sums are divided by the lengths", "log p of a sentence is the sum itself.")
    elif _same(found, chosen.mean(1)):
        hint = "log p of a sentence is a sum, and padding has no part in it."
        yield wrong("these are means over all steps, padding included", hint)
    elif _same(found, (log_probs.amax(-1) * mask).sum(1)):
        yield wrong("the likeliest word of each step is counted", "we want the probability of the reference's word.")
    elif not _same(found, expected):
        hint = "take one sentence: pick at each step the log-probability of the target, then add those of real tokens."
        yield wrong("the numbers differ from ours", hint)


# -- greedy translation -----------------------------------------------------------------------------------------------

_START, _END = 1, 2
_SCRIPT = {_START: 5, 5: 7, 7: 4, 4: 6, 6: _END, _END: _END}


class _TooLong(Exception):
    """A decoder was driven past ``max_steps``."""


@final
class _Scripted(Decoder):
    """Writes 5 7 4 6 EOS to whoever drives it as a decoder wants, and keeps a record of how it was driven."""

    def __init__(self, patience: int) -> None:
        super().__init__()
        self.patience = patience
        self.fed: list[int] = []
        self.states: list[int] = []

    def start(self, encoded: Encoded) -> tuple[Memory, State]:
        alone = encoded.summary.unsqueeze(1)
        return Memory(alone, alone, encoded.mask[:, :1]), State(torch.zeros(1, 3))

    def step(self, token: Tensor, state: State, memory: Memory) -> Step:
        if len(self.fed) == self.patience:
            raise _TooLong
        self.fed.append(int(torch.as_tensor(token).reshape(-1)[0]))
        self.states.append(int(state.hidden[0, 0]))
        logits = torch.full((1, 8), -1.0)
        logits[0, _SCRIPT.get(self.fed[-1], 3)] = 1.0
        logits[0, 0] = -2.0  # the least likely
        return Step(logits, State(state.hidden + 1))

    def forward(self, inputs: Tensor, encoded: Encoded) -> Rollout:
        raise NotImplementedError("translate one step at a time, with `start` and `step`")


def _one_source(width: int = 3) -> Encoded:
    return Encoded(torch.zeros(1, 4, width), torch.ones(1, 4, dtype=torch.bool), torch.zeros(1, width))


def _ids(returned: Any) -> list[int]:
    return [int(token) for token in torch.as_tensor(returned).flatten()]


@exercise("01.greedy", "greedy translation")
def _greedy(answer: Callable[..., Any]) -> Iterator[Finding]:
    """``translate(decoder, encoded, bos, eos, max_steps)``: the ids written for one sentence, EOS last."""
    decoder = _Scripted(patience=50)
    try:
        returned = answer(decoder, _one_source(), _START, _END, 12)
    except _TooLong:
        returned = []
    if _missing(returned):
        yield wrong(*_NOTHING)
    yield from _driving(decoder)
    yield right("each step is fed the word and the state of the step before")
    yield from _stopping(decoder, _ids(returned))
    yield right("it stops at EOS")
    yield from _patience(answer)
    yield right("and at the longest length allowed")
    yield from _real_decoder(answer)
    yield right("a real decoder writes what the package's own search finds")


def _driving(decoder: _Scripted) -> Iterator[Finding]:
    fed, states = decoder.fed, decoder.states
    if not fed:
        yield wrong("the decoder was never asked for a step", "call `decoder.step` in a loop.")
    elif fed[0] != _START:
        yield wrong("the first word fed is not bos", "before the first word nothing has been written: feed `bos`.")
    elif len(fed) > 1 and set(fed) == {_START}:
        yield wrong("every step is fed bos", "after the first step, feed the word that was just chosen.")
    elif len(fed) > 1 and fed[1] == 0:
        yield wrong("the least likely word is chosen", "greedy takes the largest logit.")
    elif len(fed) > 1 and fed[1] != _SCRIPT[_START]:
        hint = "the largest entry of `logits`, along the vocabulary; no chance is involved."
        yield wrong("the word fed next is not the likeliest", hint)
    if states != list(range(len(states))):
        hint = "`step` returns the new state; hand that one to the next step."
        yield wrong("a step did not get the state that the step before left behind", hint)


def _stopping(decoder: _Scripted, ids: list[int]) -> Iterator[Finding]:
    script = [5, 7, 4, 6, _END]
    if ids == [_START, *script]:
        yield wrong("bos is part of the answer", "it was never written by the decoder; keep only what was.")
    elif ids == script[:-1]:
        yield wrong("EOS is missing at the end", "keep it: it shows that the decoder had finished.")
    elif len(decoder.fed) > len(script) or ids[len(script) :]:
        yield wrong("it goes on after EOS", "EOS says that the sentence is complete: leave the loop there.")
    elif len(decoder.fed) < len(script):
        yield wrong(f"it stopped after {len(decoder.fed)} steps", "only EOS or `max_steps` may end the loop.")
    elif ids != script:
        yield wrong("the ids returned are not those that were chosen", "collect each chosen id, in order.")


def _patience(answer: Callable[..., Any]) -> Iterator[Finding]:
    decoder = _Scripted(patience=50)
    try:
        ids = _ids(answer(decoder, _one_source(), _START, -1, 6))  # an EOS that never comes
    except _TooLong:
        hint = "a decoder may never write EOS; count the steps, for example with `for _ in range(max_steps)`."
        yield wrong("without EOS it never ends", hint)
        return
    if len(decoder.fed) != 6 or len(ids) != 6:
        yield wrong(f"with max_steps = 6 it wrote {len(ids)} words", "without EOS, write exactly `max_steps` words.")


def _real_cases() -> Iterator[tuple[Decoder, Encoded, list[int]]]:
    """A random decoder with a strong will, four sources, and what greedy search writes."""
    with torch.random.fork_rng(devices=[]):  # a check must not disturb the chapter's own random numbers
        torch.manual_seed(65)
        model = rnn_encoder_decoder(
            source_vocabulary=12, target_vocabulary=12, embedding_size=6, state_size=8, maxout_size=6
        )
        sources = [torch.randint(4, 12, (1, 5)) for _ in range(4)]
    for parameter in model.parameters():
        parameter.mul_(3)
    for source in sources:
        encoded = model.encode(source, torch.ones_like(source, dtype=torch.bool))
        found = greedy(model.decoder, encoded, bos=_START, eos=_END, max_steps=9)
        yield model.decoder, encoded, found.tokens[0, 0, : int(found.lengths[0, 0])].tolist()


def _real_decoder(answer: Callable[..., Any]) -> Iterator[Finding]:
    with torch.no_grad():
        for row, (decoder, encoded, expected) in enumerate(_real_cases(), start=1):
            if _ids(answer(decoder, encoded, _START, _END, 9)) != expected:
                hint = "do `memory` and `state` both come from `decoder.start(encoded)`, and is `token` of shape (1,)?"
                yield wrong(f"on a real decoder, sentence {row} comes out differently", hint)
                return
