"""Turn a captioner's gaze by hand: what would it write at step t if it looked at one place alone? Chapter 13.

What `course_pkg.steering` does for sentences: the sum over places in ``ẑ_t`` (Xu et al. 2015, §4.2) is replaced by one
annotation, ``ẑ_t := β_t a_i``, and the word is predicted anew, everything before step t being as it was.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from course_pkg.captioner import Caption, Captioner, Seen
from course_pkg.encoders import Encoded
from course_pkg.notation import CourseError
from course_pkg.pictures import Source
from course_pkg.steering import choices_as_json, each_alone, likeliest, turned
from course_pkg.vocabulary import BOS, PAD, UNK, Pieces

__all__ = ["Turned", "turn"]

_NEVER = [PAD, BOS, UNK]  # as in the search of `Captioner.caption`


@dataclass(frozen=True, eq=False)
class Turned:
    """A caption under teacher forcing, with every step's gaze turned to every place.

    Attributes:
        caption: what the model was made to write, with its own gaze.
        own_log_probs: ``log p(y_t)`` with that gaze, shape ``(T,)``.
        own_words: the likeliest word of each step with that gaze. Beam search does not always take it.
        log_probs: ``log p(y_t | ẑ_t := β_t a_i)`` of the word that is there, shape ``(T, L)``.
        words: ``words[t][i]``: the likeliest words of step t with the gaze on place i alone, likeliest first. Here and
            in ``own_words`` never padding, BOS or UNK.
        probabilities: theirs, shape ``(T, L, k)``; of all entries of the vocabulary, those three included.
    """

    caption: Caption
    own_log_probs: Float[np.ndarray, " T"]
    own_words: tuple[str, ...]
    log_probs: Float[np.ndarray, "T L"]
    words: tuple[tuple[tuple[str, ...], ...], ...]
    probabilities: Float[np.ndarray, "T L k"]

    def to_record(self) -> dict[str, Any]:
        """What ``RegionScrubber(steer=…)`` takes: ``words`` and rounded ``probabilities``, as JSON has them."""
        return choices_as_json(self.words, self.probabilities)


def turn(captioner: Captioner, image: Source | Seen, caption: str | None = None, *, top: int = 3) -> Turned:
    """For each step t and each place i: what the model would write there if it looked at place i alone.

    The words before step t are the caption's, and the states before it come from the model's own gaze. The gate β of
    the step stays as it is; h_t, and so the output, see the turned gaze (the step order of Xu et al. 2015).

    Args:
        captioner: the model.
        image: a picture, as `Captioner.caption` accepts them.
        caption: what it is made to write; its own caption if not given. Words that it does not know are UNK.
        top: how many words to list.

    Raises:
        CourseError: what is no picture, a caption without words, or ``top`` out of range.
    """
    if not 1 <= top <= len(captioner.target) - len(_NEVER):
        raise CourseError(f"top is {top}: choose from 1 to {len(captioner.target) - len(_NEVER)} words.")
    seen = image if isinstance(image, Seen) else captioner.see(image)
    text = captioner.caption([seen])[0].caption if caption is None else caption
    encoded = captioner.encode_seen([seen])
    told = captioner.forced(encoded, [text], seen.view)[0]
    return _turned(captioner, encoded, told, captioner.target.encode(told.caption), top)


@torch.inference_mode()
def _turned(captioner: Captioner, encoded: Encoded, told: Caption, pieces: Pieces, top: int) -> Turned:
    decoder = captioner.model.decoder
    memory, state = decoder.start(encoded)
    alone = each_alone(memory)
    own, first, given, shares, words = [], [], [], [], []
    before = BOS
    for wanted in pieces.ids:
        token = torch.tensor([before], device=captioner.device)
        log_probs = turned(decoder, token, state, alone)
        given.append(log_probs[:, wanted].cpu())
        probabilities, likely = likeliest(log_probs, top, _NEVER, captioner.target)
        shares.append(probabilities)
        words.append(likely)
        step = decoder.step(token, state, memory)
        mine = step.logits.float().log_softmax(dim=-1)
        own.append(mine[0, wanted].cpu())
        first.append(likeliest(mine, 1, _NEVER, captioner.target)[1][0][0])
        state, before = step.state, wanted
    return Turned(
        caption=told,
        own_log_probs=torch.stack(own).numpy(),
        own_words=tuple(first),
        log_probs=torch.stack(given).numpy(),
        words=tuple(words),
        probabilities=torch.stack(shares).numpy(),
    )
