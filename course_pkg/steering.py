"""Turn the decoder's gaze by hand: what would it write at step i if it looked at position j alone? Chapter 8.

α says where a model looked; whether it *needed* to look there is another question. Here the context is replaced,
``c_i := h_j``, and the word is predicted anew, everything before step i being as it was.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from course_pkg.attention import Memory
from course_pkg.batching import Batch
from course_pkg.decoders import Decoder, State
from course_pkg.inference import DIGITS, Translator
from course_pkg.notation import CourseError
from course_pkg.vocabulary import BOS, PAD, UNK, Pieces, SubwordVocabulary, Vocabulary, backwards

__all__ = ["Steering", "steer"]

_PROBABILITY_DIGITS = 4


@dataclass(frozen=True, eq=False)
class Steering:
    """A sentence pair under teacher forcing, with every step's gaze turned to every source position.

    Attributes:
        source_tokens: what the model reads, EOS last.
        target_tokens: what it is made to write, EOS last.
        source_words: for each source token the index of its white-space word; ``None`` for EOS.
        target_words: likewise for the target.
        weights: ``α``, the gaze of the model itself, shape ``(T, S)``.
        own_log_probs: ``log p(y_i)`` with that gaze, shape ``(T,)``.
        log_probs: ``log p(y_i | c_i := h_j)`` of the word that is there, shape ``(T, S)``.
        words: ``words[i][j]``: the likeliest words of step i with ``c_i := h_j``, likeliest first. Padding and BOS
            are never among them, nor UNK if the model writes subwords.
        probabilities: theirs, shape ``(T, S, k)``.
    """

    source_tokens: tuple[str, ...]
    target_tokens: tuple[str, ...]
    source_words: tuple[int | None, ...]
    target_words: tuple[int | None, ...]
    weights: Float[np.ndarray, "T S"]
    own_log_probs: Float[np.ndarray, " T"]
    log_probs: Float[np.ndarray, "T S"]
    words: tuple[tuple[tuple[str, ...], ...], ...]
    probabilities: Float[np.ndarray, "T S k"]

    def to_record(self) -> dict[str, Any]:
        """What ``AlignmentScrubber(steer=…)`` takes: ``words`` and rounded ``probabilities``, as JSON has them."""
        return choices_as_json(self.words, self.probabilities)

    def rows(self) -> list[list[float]]:
        """``α`` as rounded lists, to be kept in a file."""
        return [[round(float(value), DIGITS) for value in row] for row in self.weights]


def steer(translator: Translator, source: str, target: str | None = None, *, top: int = 5) -> Steering:
    """For each step i and each source position j: what the model would write there with ``c_i := h_j``.

    The words before step i are the target's, and the states before it come from the model's own gaze; only ``c_i``
    is replaced, wherever step i uses it. In the order of the paper's main text that is in the new state and in the
    output; in the order of its appendix and of GroundHog, whose output sees an older state, in the output alone.

    Args:
        translator: a model that can look.
        source: a sentence.
        target: its translation; the model's own if not given.
        top: how many words to list.

    Raises:
        CourseError: a model that cannot look, an empty source, or ``top`` out of range.
    """
    if not translator.can_look:
        raise CourseError(f"The model {translator.name} has no gaze to steer: use an rnnsearch.")
    if not 1 <= top <= len(translator.target) - 3:
        raise CourseError(f"top is {top}: choose from 1 to {len(translator.target) - 3} words.")
    sides = translator.source.encode(source)
    if len(sides) == 1:
        raise CourseError("The source has no words, so there is nowhere to look: give a sentence.")
    if target is None:
        target = translator.translate([source])[0].target
    return _steered(translator, sides, translator.target.encode(target), top)


@torch.inference_mode()
def _steered(translator: Translator, source: Pieces, target: Pieces, top: int) -> Steering:
    seen = backwards(range(len(source))) if translator.reads_backwards else tuple(range(len(source)))
    batch = Batch.collate([([source.ids[j] for j in seen], target.ids)]).to(translator.device)
    decoder = translator.model.decoder
    memory, state = decoder.start(translator.model.encode(batch.source, batch.source_mask))
    alone = each_alone(memory)
    never = [PAD, BOS, UNK] if isinstance(translator.target, SubwordVocabulary) else [PAD, BOS]
    weights, own, given, shares, words = [], [], [], [], []
    for token, wanted in zip(batch.inputs[0], target.ids, strict=True):
        log_probs = turned(decoder, token.expand(1), state, alone)[list(seen)]
        given.append(log_probs[:, wanted].cpu())
        probabilities, likely = likeliest(log_probs, top, never, translator.target)
        shares.append(probabilities)
        words.append(likely)
        step = decoder.step(token.expand(1), state, memory)
        assert step.glimpse is not None
        own.append(step.logits.float().log_softmax(dim=-1)[0, wanted].cpu())
        weights.append(step.glimpse.weights[0, list(seen)].float().cpu())
        state = step.state
    if not bool(torch.stack(given).isfinite().all()):
        raise CourseError(f"The model {translator.name} computes numbers that are not finite: take another copy of it.")
    return Steering(
        source_tokens=source.tokens,
        target_tokens=target.tokens,
        source_words=source.words,
        target_words=target.words,
        weights=torch.stack(weights).numpy(),
        own_log_probs=torch.stack(own).numpy(),
        log_probs=torch.stack(given).numpy(),
        words=tuple(words),
        probabilities=torch.stack(shares).numpy(),
    )


def each_alone(memory: Memory) -> Memory:
    """As many memories as there are positions, each of one annotation: whoever looks there finds α = 1, c = h_j."""
    annotations, keys = memory.annotations[0].unsqueeze(1), memory.keys[0].unsqueeze(1)
    return Memory(annotations, keys, memory.mask[0].unsqueeze(1))


def turned(decoder: Decoder, token: Int[Tensor, "1"], state: State, alone: Memory) -> Float[Tensor, "S V"]:
    """``log p`` of every word at one step, with the gaze on each position alone (`each_alone`)."""
    count = len(alone.mask)
    places = torch.zeros(count, dtype=torch.long, device=state.hidden.device)  # row 0, once for each position
    return decoder.step(token.expand(count), state.take(places), alone).logits.float().log_softmax(dim=-1)


def likeliest(
    log_probs: Float[Tensor, "S V"], top: int, never: Sequence[int], vocabulary: Vocabulary
) -> tuple[Float[Tensor, "S k"], tuple[tuple[str, ...], ...]]:
    """For each position the probabilities of its likeliest words, on the CPU, and the words; none of ``never``."""
    shown = log_probs.clone()
    shown[:, list(never)] = -torch.inf
    best = shown.topk(top)
    return best.values.exp().cpu(), tuple(tuple(map(vocabulary.show, row)) for row in best.indices.tolist())


def choices_as_json(
    words: Sequence[Sequence[Sequence[str]]], probabilities: Float[np.ndarray, "T S k"]
) -> dict[str, Any]:
    """``words`` and rounded ``probabilities``, as JSON has them: what a scrubber's ``steer`` takes."""
    shares = [[[round(float(p), _PROBABILITY_DIGITS) for p in cell] for cell in row] for row in probabilities]
    return {"words": [[list(cell) for cell in row] for row in words], "probabilities": shares}
