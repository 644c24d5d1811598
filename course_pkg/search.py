"""From a decoder's steps to sentences: greedy, sampling and beam search, one implementation for text and images.

Derived in chapter 7. A score is ``log p / length ** length_penalty`` with EOS counted in the length.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from course_pkg.decoders import Decoder, State, Step
from course_pkg.encoders import Encoded
from course_pkg.notation import CourseError, Record

__all__ = ["BeamStep", "Hypotheses", "beam_search", "greedy", "sample"]


@dataclass(frozen=True)
class Hypotheses(Record):
    """What a search found, best first.

    Attributes:
        tokens: token ids, shape ``(B, K, T)``; EOS closes a finished hypothesis and fills what follows.
        lengths: tokens of each hypothesis, EOS counted, shape ``(B, K)``; 0 where there is no hypothesis.
        scores: ``log p / length ** length_penalty``, shape ``(B, K)``; ``-inf`` where there is no hypothesis.
        weights: ``α``, shape ``(B, K, T, S)``, zero after a hypothesis' end; ``None`` if the decoder cannot look.
        gate: ``β`` of Show, Attend and Tell, shape ``(B, K, T)``; ``None`` elsewhere.
    """

    tokens: Int[Tensor, "B K T"]
    lengths: Int[Tensor, "B K"]
    scores: Float[Tensor, "B K"]
    weights: Float[Tensor, "B K T S"] | None = None
    gate: Float[Tensor, "B K T"] | None = None


class BeamStep(NamedTuple):
    """The best continuations of one step of a beam, best first, and what became of them; see `SearchTree`.

    Attributes:
        tokens: the token that each appends, shape ``(B, C)`` with ``C = min(2 K, K V)``.
        parents: slot of the hypothesis that each extends, a survivor of the step before.
        log_probs: log p of each, ``-inf`` where there is none.
        ends: whether it was set aside as finished, shape ``(B, C)``.
        survivors: place among the ``C`` of the hypothesis now in each slot, shape ``(B, K)``; ``C`` or more, or a
            place without a hypothesis, where the slot is empty.
    """

    tokens: Tensor
    parents: Tensor
    log_probs: Tensor
    ends: Tensor
    survivors: Tensor


class _Frame(NamedTuple):
    """One step of the beam, kept so that a hypothesis can be read off backwards."""

    tokens: Tensor  # (B, K) chosen by the hypotheses that live on
    parents: Tensor  # (B, K) slots of the previous step they extend
    weights: Tensor | None  # (B, K, S) of the step, by *parent* slot
    gate: Tensor | None  # (B, K), likewise


def _banned(logits: Tensor, forbidden: Tensor) -> Tensor:
    return logits.float().log_softmax(dim=-1).index_fill(-1, forbidden, -torch.inf)


def _ids(forbid: Sequence[int], encoded: Encoded) -> Tensor:
    """The forbidden tokens on the batch's device, brought there once and not at every step."""
    return torch.tensor(list(forbid), dtype=torch.long, device=encoded.mask.device)


@torch.no_grad()
def greedy(
    decoder: Decoder, encoded: Encoded, *, bos: int, eos: int, max_steps: int, forbid: Sequence[int] = ()
) -> Hypotheses:
    """Take the likeliest token at every step: `beam_search` of width 1."""
    return _roll(decoder, encoded, bos, eos, max_steps, lambda log_probs: log_probs.argmax(dim=-1), forbid)


def sample(
    decoder: Decoder,
    encoded: Encoded,
    *,
    bos: int,
    eos: int,
    max_steps: int,
    generator: torch.Generator | None = None,
    temperature: float = 1.0,
    forbid: Sequence[int] = (),
) -> Hypotheses:
    """Draw every token from the model's distribution (ancestral sampling).

    Args:
        decoder: anything with `start` and `step`.
        encoded: the batch, read.
        bos: token that starts a sentence.
        eos: token that ends one.
        max_steps: longest hypothesis, EOS counted.
        generator: where the chance comes from.
        temperature: log-probabilities are divided by it before the draw: below 1 the likely tokens become likelier.
            The score stays the model's own log p.
        forbid: tokens that may not be generated.

    Raises:
        CourseError: ``max_steps`` or ``temperature`` is not positive.
    """
    if not temperature > 0:
        raise CourseError(f"the temperature is {temperature}: it must be above 0; greedy search is what 0 would be.")

    def draw(log_probs: Tensor) -> Tensor:
        return torch.multinomial((log_probs / temperature).softmax(dim=-1), 1, generator=generator).squeeze(-1)

    return _roll(decoder, encoded, bos, eos, max_steps, draw, forbid)


def _require_steps(max_steps: int) -> None:
    if max_steps < 1:
        raise CourseError(f"max_steps is {max_steps}: a hypothesis has at least one token, EOS.")


def _roll(decoder, encoded, bos, eos, max_steps, choose, forbid) -> Hypotheses:  # type: ignore[no-untyped-def]
    _require_steps(max_steps)
    forbidden = _ids(forbid, encoded)
    memory, state = decoder.start(encoded)
    token = torch.full((encoded.mask.shape[0],), bos, device=encoded.mask.device)
    score = torch.zeros(token.shape, device=token.device)
    done = torch.zeros_like(token, dtype=torch.bool)
    tokens, lengths, weights, gates = [], torch.zeros_like(token), [], []
    for _ in range(max_steps):
        step = decoder.step(token, state, memory)
        state, log_probs = step.state, _banned(step.logits, forbidden)
        token = torch.where(done, eos, choose(log_probs))
        score = score + log_probs.gather(1, token.unsqueeze(1)).squeeze(1).masked_fill(done, 0)
        lengths = lengths + ~done
        tokens.append(token)
        if step.glimpse is not None:
            weights.append(step.glimpse.weights.masked_fill(done.unsqueeze(1), 0))
        if step.gate is not None:
            gates.append(step.gate.masked_fill(done, 0))
        done = done | (token == eos)
        if bool(done.all()):
            break
    return Hypotheses(
        torch.stack(tokens, dim=1).unsqueeze(1),
        lengths.unsqueeze(1),
        score.unsqueeze(1),
        torch.stack(weights, dim=1).unsqueeze(1) if weights else None,
        torch.stack(gates, dim=1).unsqueeze(1) if gates else None,
    )


@torch.no_grad()
def beam_search(
    decoder: Decoder,
    encoded: Encoded,
    *,
    bos: int,
    eos: int,
    beam_size: int,
    max_steps: int,
    length_penalty: float = 0.0,
    shrink: bool = False,
    forbid: Sequence[int] = (),
    observe: Callable[[BeamStep], None] | None = None,
) -> Hypotheses:
    """The ``beam_size`` best hypotheses that a beam finds, for every sentence of the batch at once.

    At each step the best continuations of all live hypotheses are ranked. Those among the first ``K`` that end
    with EOS are finished and set aside; the best others live on. A sentence is done when ``K`` hypotheses have
    finished and no live one scores better. With ``shrink`` every finished hypothesis narrows the beam by one, as in
    GroundHog, and a sentence is done when ``K`` have finished. Width 1 is greedy search; a width that holds all
    candidates is exhaustive. Bahdanau et al. 2015 (§4.2) state neither width nor length normalisation.

    Args:
        decoder: anything with `start` and `step`.
        encoded: the batch, read.
        bos: token that starts a sentence.
        eos: token that ends one.
        beam_size: ``K``.
        max_steps: longest hypothesis, EOS counted. Unfinished ones are returned, after the finished, only if
            fewer than ``K`` finished.
        length_penalty: exponent of the length that divides log p; 0 is off, 1 the mean.
        shrink: narrow the beam with every finished hypothesis.
        forbid: tokens that may not be generated.
        observe: called with each step's `BeamStep`, for whoever wants to watch the search.

    Raises:
        CourseError: ``beam_size`` or ``max_steps`` is not positive.
    """
    if beam_size < 1:
        raise CourseError(f"beam_size is {beam_size}: a beam needs a width of at least 1.")
    _require_steps(max_steps)
    beam = _Beam(encoded, eos, beam_size, length_penalty, shrink, observe)
    forbidden = _ids(forbid, encoded)
    memory, state = decoder.start(encoded)
    rows = torch.arange(encoded.mask.shape[0], device=encoded.mask.device).repeat_interleave(beam_size)
    memory, state = memory.take(rows), state.take(rows)
    token = torch.full_like(rows, bos)
    for _ in range(max_steps):
        step = decoder.step(token, state, memory)
        token, survivors = beam.advance(step, _banned(step.logits, forbidden))
        state = _keep(step.state, survivors)
        if beam.done():
            break
    return beam.hypotheses()


def _keep(state: State, survivors: Tensor) -> State:
    return state.take(survivors)


class _Beam:
    """The live hypotheses of a batch, the finished ones, and the frames to read them from."""

    def __init__(
        self,
        encoded: Encoded,
        eos: int,
        width: int,
        length_penalty: float,
        shrink: bool,
        observe: Callable[[BeamStep], None] | None,
    ) -> None:
        size, device = encoded.mask.shape[0], encoded.mask.device
        self.eos, self.width, self.length_penalty, self.shrink = eos, width, length_penalty, shrink
        self.observe = observe
        self.live = torch.full((size, width), -torch.inf, device=device)
        self.live[:, 0] = 0.0  # all slots start alike, so only one may speak at the first step
        self.offsets = (torch.arange(size, device=device) * width).unsqueeze(1)
        self.final_scores = torch.full((size, width), -torch.inf, device=device)
        self.final_frames = torch.zeros(size, width, dtype=torch.long, device=device)
        self.final_parents = torch.zeros_like(self.final_frames)
        self.frames: list[_Frame] = []

    def _score(self, log_prob: Tensor, length: int) -> Tensor:
        return log_prob / length**self.length_penalty

    def advance(self, step: Step, log_probs: Tensor) -> tuple[Tensor, Tensor]:
        """Rank the continuations; return the tokens that live on and the flat rows they extend."""
        size, width, vocabulary = *self.live.shape, log_probs.shape[-1]
        candidates = (self.live.unsqueeze(-1) + log_probs.view(size, width, vocabulary)).flatten(1)
        ranked, flat = candidates.topk(min(2 * width, candidates.shape[1]), dim=1)
        tokens, parents = flat % vocabulary, flat // vocabulary
        ranks = torch.arange(ranked.shape[1], device=ranked.device)
        room = width - self.final_scores.isfinite().sum(dim=1, keepdim=True) if self.shrink else width
        ends = tokens == self.eos
        finals = ranked.masked_fill(~ends | (ranks >= room), -torch.inf)
        self._set_aside(finals, parents)
        lives = ranked.masked_fill(ends | (ranks >= room if self.shrink else ends), -torch.inf)
        self.live, chosen = self._pad(lives).topk(width, dim=1)
        if self.observe is not None:
            self.observe(BeamStep(tokens, parents, ranked, finals.isfinite(), chosen))
        tokens, parents = (
            self._pad(tokens, self.eos).gather(1, chosen),
            self._pad(parents, 0).gather(1, chosen),
        )
        weights = step.glimpse.weights.view(size, width, -1) if step.glimpse is not None else None
        gate = step.gate.view(size, width) if step.gate is not None else None
        self.frames.append(_Frame(tokens, parents, weights, gate))
        return tokens.flatten(), (parents + self.offsets).flatten()

    def _pad(self, values: Tensor, filler: float | int = -torch.inf) -> Tensor:
        missing = max(0, self.width - values.shape[1])
        return torch.nn.functional.pad(values, (0, missing), value=filler) if missing else values

    def _set_aside(self, log_probs: Tensor, parents: Tensor) -> None:
        frame = len(self.frames)
        scores = torch.cat([self.final_scores, self._score(log_probs, frame + 1)], dim=1)
        frames = torch.cat([self.final_frames, torch.full_like(parents, frame)], dim=1)
        parents = torch.cat([self.final_parents, parents], dim=1)
        self.final_scores, best = scores.topk(self.width, dim=1)
        self.final_frames, self.final_parents = frames.gather(1, best), parents.gather(1, best)

    def done(self) -> bool:
        """Whether every sentence has its hypotheses and no live one scores better.

        Such a sentence grows no further, however long its neighbours in the batch take.
        """
        best_alive = self._score(self.live.amax(dim=1), len(self.frames))
        settled = best_alive <= self.final_scores.amin(dim=1)
        self.live = self.live.masked_fill(settled.unsqueeze(1), -torch.inf)
        return bool(settled.all())

    def hypotheses(self) -> Hypotheses:
        """Finished hypotheses, best first; unfinished ones only where too few finished."""
        last = len(self.frames) - 1
        finished = self.final_scores.isfinite()
        alive_scores = self._score(self.live, last + 1)
        order = torch.cat([finished, finished.new_zeros(finished.shape)], dim=1)
        scores = torch.cat([self.final_scores, alive_scores], dim=1)
        # Finished before unfinished, each by score: two stable sorts.
        by_score = scores.argsort(dim=1, descending=True, stable=True)
        best = by_score.gather(1, order.gather(1, by_score).int().argsort(dim=1, descending=True, stable=True))
        best = best[:, : self.width]
        slots = torch.arange(self.width, device=best.device).expand_as(self.final_parents)
        frames = torch.cat([self.final_frames, torch.full_like(slots, last)], dim=1).gather(1, best)
        places = torch.cat([self.final_parents, slots], dim=1).gather(1, best)
        return self._read_back(scores.gather(1, best), order.gather(1, best), frames, places)

    def _read_back(self, scores: Tensor, finished: Tensor, frames: Tensor, places: Tensor) -> Hypotheses:
        lengths = (frames + 1).masked_fill(scores == -torch.inf, 0)
        longest = max(1, int(lengths.max()))
        tokens = torch.full((*scores.shape, longest), self.eos, device=scores.device)
        first = self.frames[0]
        weights = gate = None
        if first.weights is not None:
            weights = scores.new_zeros(*scores.shape, longest, first.weights.shape[-1])
        if first.gate is not None:
            gate = scores.new_zeros(*scores.shape, longest)
        slot = places
        for index in reversed(range(longest)):
            frame = self.frames[index]
            active = index < lengths
            ending = finished & (index == frames)  # EOS was set aside: `places` names its parent already
            parent = torch.where(ending, slot, frame.parents.gather(1, slot))
            tokens[:, :, index] = torch.where(active & ~ending, frame.tokens.gather(1, slot), self.eos)
            if weights is not None and frame.weights is not None:
                looked = frame.weights.gather(1, parent.unsqueeze(-1).expand(-1, -1, frame.weights.shape[-1]))
                weights[:, :, index] = looked.float().masked_fill(~active.unsqueeze(-1), 0)
            if gate is not None and frame.gate is not None:
                gate[:, :, index] = frame.gate.gather(1, parent).float().masked_fill(~active, 0)
            slot = torch.where(active, parent, slot)
        return Hypotheses(tokens, lengths, scores, weights, gate)
