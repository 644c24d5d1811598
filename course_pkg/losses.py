"""What training minimises. Chapters 1 and 6; for images 11 (words, doubly stochastic attention) and 12 (REINFORCE)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from course_pkg.notation import CourseError, Record

__all__ = [
    "MovingBaseline",
    "Reinforced",
    "doubly_stochastic_penalty",
    "reinforce",
    "sentence_log_likelihood",
    "sequence_cross_entropy",
    "word_spotting",
]


def sequence_cross_entropy(
    logits: Float[Tensor, "B T V"],
    targets: Int[Tensor, "B T"],
    mask: Bool[Tensor, "B T"],
    *,
    label_smoothing: float = 0.0,
    reduction: str = "token",
) -> Float[Tensor, ""]:
    """Negative log-likelihood of the reference, in nats; EOS counts, padding does not.

    What Bahdanau et al. 2015 train with and report (§B.2 ``log p``); for captions the first term of Xu et al. 2015,
    eq. 14.

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


def sentence_log_likelihood(
    logits: Float[Tensor, "B T V"], targets: Int[Tensor, "B T"], mask: Bool[Tensor, "B T"]
) -> Float[Tensor, " B"]:
    """``log p(y)`` of each reference, in nats; EOS counts, padding does not.

    Bahdanau et al. 2015, eq. 2; what rewards hard attention. Chapters 1 and 12.
    """
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
    words = -F.cross_entropy(wide.flatten(0, 1), targets.flatten(), reduction="none").view_as(targets)
    return words.masked_fill(~mask, 0).sum(dim=1)


def word_spotting(
    votes: Float[Tensor, "B S V"], targets: Int[Tensor, "B T"], mask: Bool[Tensor, "B T"]
) -> Float[Tensor, ""]:
    """How badly the places of a picture tell which words its caption has, in nats a picture. Chapter 11.

    Every place votes for every word, and the surest place answers for the picture: a word is there if it is there
    anywhere (learning from multiple instances; Maron and Lozano-Pérez 1998). The loss is the binary cross-entropy,
    summed over the vocabulary. Fang et al. 2015 (§3) find the words of captions so, with a softer "or". No part of
    Xu et al. 2015.

    Args:
        votes: logit of each word at each place.
        targets: the caption; the order of its words and how often each occurs do not matter.
        mask: True at its real positions.
    """
    surest = votes.to(torch.promote_types(votes.dtype, torch.float32)).amax(dim=1)
    there = torch.zeros_like(surest).scatter_reduce(1, targets, mask.to(surest.dtype), "amax")
    return F.binary_cross_entropy_with_logits(surest, there, reduction="sum") / votes.shape[0]


def doubly_stochastic_penalty(
    weights: Float[Tensor, "B T S"],
    target_mask: Bool[Tensor, "B T"],
    source_mask: Bool[Tensor, "B S"],
    *,
    goal: str = "one",
    reduction: str = "image",
) -> Float[Tensor, ""]:
    """``Σ_i (goal - Σ_t α_ti)²``: every location should be looked at (Xu et al. 2015, §4.2.1, eq. 14; chapter 11).

    Each row of ``α`` sums to 1 over the locations ``i``; this asks that each column, summed over the ``C`` steps, come
    near 1 as well. Together the columns have ``C`` to share among ``L`` locations, so with ``goal="one"`` the penalty
    is at least ``(L - C)² / L``, and reaches it where every location gets ``C/L``. Steps of padding and masked
    locations do not count; the released code sums padding too, which its batches of one length forgive.

    Args:
        weights: ``α``.
        target_mask: True at real steps, of which there are ``C``; EOS is one.
        source_mask: True at real locations, of which there are ``L``.
        goal: ``"one"``, the paper's, or ``"share"``, ``C/L``, which can be met; asked, an author agreed that it is more
            apt.
        reduction: ``"image"``, the mean over images (the paper's, by example), or ``"code"``, the sum over images of
            the mean over locations: ``B/L`` times as large (D11 on the page "Papers and code").

    Raises:
        CourseError: an unknown choice.
    """
    if goal not in ("one", "share"):
        raise CourseError(f"goal is {goal!r}: choose one or share.")
    if reduction not in ("image", "code"):
        raise CourseError(f"reduction is {reduction!r}: choose image or code.")
    wide = weights.to(torch.promote_types(weights.dtype, torch.float32))
    received = wide.masked_fill(~target_mask.unsqueeze(-1), 0).sum(dim=1)
    locations = source_mask.sum(dim=1)
    wanted = target_mask.sum(dim=1) / locations if goal == "share" else torch.ones_like(received[:, 0])
    missing = (wanted.unsqueeze(1) - received).square().masked_fill(~source_mask, 0).sum(dim=1)
    return missing.mean() if reduction == "image" else (missing / locations).sum()


@final
class MovingBaseline(nn.Module):
    """What reward to expect: ``b_k = 0.9 b_{k-1} + 0.1 × the mean reward of minibatch k``.

    Xu et al. 2015, §4.1 ``b_k``; chapter 12.

    Called with a minibatch's rewards it gives ``b_{k-1}``, and only then takes them in, if in training mode: a baseline
    that knew the reward it is subtracted from would bias the gradient. It starts at 0, as in the released code.

    Args:
        decay: share of the old value that is kept.

    Attributes:
        value: ``b``, a buffer without dimensions.
    """

    value: Tensor

    def __init__(self, *, decay: float = 0.9) -> None:
        super().__init__()
        if not 0 <= decay < 1:
            raise CourseError(f"decay is {decay}: it is a share, from 0 up to but not 1.")
        self.decay = decay
        self.register_buffer("value", torch.zeros(()))

    def forward(self, rewards: Float[Tensor, " B"]) -> Float[Tensor, ""]:
        """The baseline without these rewards, which are then taken in."""
        before = self.value.clone()
        if self.training:
            self.value.lerp_(rewards.detach().mean().to(self.value.dtype), 1 - self.decay)
        return before


@dataclass(frozen=True)
class Reinforced(Record):
    """What `reinforce` gives.

    Attributes:
        loss: to be minimised; its gradient is the negative of what Xu et al. 2015, eq. 12, write; its value
            means nothing by itself.
        rewards: of each image, shape ``(B,)``, without gradient.
        baseline: what was subtracted from them.
        entropy: of the weights, summed over an image's steps, shape ``(B,)``, in nats, without gradient.
    """

    loss: Float[Tensor, ""]
    rewards: Float[Tensor, " B"]
    baseline: Float[Tensor, ""]
    entropy: Float[Tensor, " B"]


def reinforce(
    log_likelihood: Float[Tensor, " B"],
    log_probs: Float[Tensor, "B T"],
    weights: Float[Tensor, "B T S"],
    mask: Bool[Tensor, "B T"],
    baseline: Callable[[Tensor], Tensor] | float,
    *,
    reward_weight: float = 1.0,
    entropy_weight: float = 0.0,
    reward: str = "sentence",
    reduction: str = "sentence",
) -> Reinforced:
    """How hard attention learns: REINFORCE with a baseline and an entropy term (Xu et al. 2015, §4.1, eq. 11, 12).

    The bound ``L_s = Σ_s p(s | a) log p(y | s, a) ≤ log p(y | a)`` (eq. 10) has the gradient, over one sampled path
    ``s̃`` for each image::

        ∇ log p(y | s̃, a) + λ_r (log p(y | s̃, a) - b) ∇ log p(s̃ | a) + λ_e ∇ H[s̃]

    What is returned has minus this as its gradient. The reward in brackets is a number: nothing flows through it. With
    ``λ_r = 1``, ``λ_e = 0``, the sentence's reward and every step drawn, it is unbiased whatever ``b``; each other
    ``λ_r``, ``λ_e > 0``, a reward per word and images that look softly trade bias for variance. Where an image looks
    softly, ``log_probs`` are 0 and the middle term vanishes. Derived in chapter 12.

    The released code differs (D13 on the page "Papers and code"): the reward and with it the baseline are means over
    words (``reward="word"``), ``λ_r`` is 1/10, ``λ_e`` 0.002. It averages the first term over the minibatch and not
    the other two, so that in the units used here its ``λ_r`` and ``λ_e`` are ``B`` times as large.

    Args:
        log_likelihood: ``log p(y | s̃, a)`` of each image, see `sentence_log_likelihood`.
        log_probs: ``log α`` of the positions that were drawn, 0 where a row looked softly (`Rollout.log_probs`).
        weights: ``α``, for the entropy.
        mask: True at real steps; padding counts nowhere.
        baseline: ``b``, or what gives it for rewards, as `MovingBaseline` does.
        reward_weight: ``λ_r``.
        entropy_weight: ``λ_e``; above 0 it raises the entropy.
        reward: ``"sentence"``, ``log p(y | s̃, a)`` (the paper's), or ``"word"``, its mean over the words.
        reduction: the ``"sum"`` over images, or that divided by the number of images (``"sentence"``) or of words
            (``"token"``), as in `sequence_cross_entropy`.

    Raises:
        CourseError: an unknown choice.
    """
    if reward not in ("sentence", "word"):
        raise CourseError(f"reward is {reward!r}: choose sentence or word.")
    if reduction not in ("sum", "sentence", "token"):
        raise CourseError(f"reduction is {reduction!r}: choose sum, sentence or token.")
    rewards = log_likelihood.detach() / (mask.sum(dim=1) if reward == "word" else 1)
    expected = baseline(rewards) if callable(baseline) else torch.full_like(rewards[0], baseline)
    path = log_probs.masked_fill(~mask, 0).sum(dim=1)
    entropy = _entropy(weights).masked_fill(~mask, 0).sum(dim=1)
    gain = log_likelihood + reward_weight * (rewards - expected) * path + entropy_weight * entropy
    loss = -gain.sum()
    if reduction != "sum":
        loss = loss / (mask.shape[0] if reduction == "sentence" else mask.sum())
    return Reinforced(loss, rewards, expected, entropy.detach())


def _entropy(weights: Float[Tensor, "*B S"]) -> Float[Tensor, "*B"]:
    """``-Σ α log α`` in nats; a weight of 0 adds nothing and has a finite slope."""
    wide = weights.to(torch.promote_types(weights.dtype, torch.float32))
    return -(wide * wide.clamp_min(torch.finfo(wide.dtype).tiny).log()).sum(dim=-1)
