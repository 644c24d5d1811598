"""What training minimises. Chapters 1 and 6."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from course_pkg.notation import CourseError

__all__ = ["sequence_cross_entropy"]


def sequence_cross_entropy(
    logits: Float[Tensor, "B T V"],
    targets: Int[Tensor, "B T"],
    mask: Bool[Tensor, "B T"],
    *,
    label_smoothing: float = 0.0,
    reduction: str = "token",
) -> Float[Tensor, ""]:
    """Negative log-likelihood of the reference, in nats; EOS counts, padding does not.

    Args:
        logits: row ``i`` predicts ``targets[:, i]``.
        targets: the reference, EOS last.
        mask: True at real target positions.
        label_smoothing: share of the target probability spread evenly over the vocabulary.
        reduction: ``"sum"`` over all tokens of all sentences (GroundHog's, before clipping at norm 1),
            ``"sentence"``: the sum divided by the number of sentences, ``"token"``: by the number of tokens.
    """
    if reduction not in ("sum", "sentence", "token"):
        raise CourseError(f"reduction is {reduction!r}: choose sum, sentence or token.")
    ignored = -100
    total = F.cross_entropy(
        logits.flatten(0, 1).to(torch.promote_types(logits.dtype, torch.float32)),
        targets.masked_fill(~mask, ignored).flatten(),
        ignore_index=ignored,
        label_smoothing=label_smoothing,
        reduction="sum",
    )
    if reduction == "sum":
        return total
    return total / (targets.shape[0] if reduction == "sentence" else mask.sum())
