"""What an update of `course_pkg.training.fit` lowers. Chapters 6, 11 and 12."""

import dataclasses
from collections.abc import Callable
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from course_pkg.batching import Batch, CaptionBatch
from course_pkg.caption_decoder import CaptionDecoder
from course_pkg.decoders import Rollout
from course_pkg.encoders import ImageEncoder
from course_pkg.losses import (
    MovingBaseline,
    doubly_stochastic_penalty,
    reinforce,
    sentence_log_likelihood,
    sequence_cross_entropy,
    word_spotting,
)
from course_pkg.models import EncoderDecoder
from course_pkg.notation import CourseError, Record
from course_pkg.recipes import Training

__all__ = ["Objective", "WordVotes", "loss_of", "taken_apart"]


@final
class WordVotes(nn.Module):
    """Teach a picture network to see before a captioner learns to tell: every place votes for words.

    A captioner that knows nothing gets more from guessing the next word out of the words before it than from its
    eyes, and eyes that see nothing give the gaze no reason to move. So the network first learns, from the captions
    alone, which words are there at all (`course_pkg.losses.word_spotting`). No part of Xu et al. 2015, whose network
    had learned to see from ImageNet (§4.3); chapter 11.

    Args:
        model: a captioner whose picture network learns.

    Raises:
        CourseError: an encoder without a network that can be trained.
    """

    START = -4.0  # most words are not in most captions

    def __init__(self, model: EncoderDecoder) -> None:
        super().__init__()
        encoder, decoder = model.encoder, model.decoder
        if not isinstance(encoder, ImageEncoder) or encoder.network is None or encoder.frozen:
            raise CourseError(
                "training.words_first teaches a picture network, and this model trains none: set it to 0, or "
                "model.network to small."
            )
        assert isinstance(decoder, CaptionDecoder)
        self.votes = nn.Linear(encoder.feature_size, decoder.embedding.weight.shape[0])
        nn.init.constant_(self.votes.bias, self.START)

    def forward(self, features: Float[Tensor, "B L D"], batch: CaptionBatch) -> Tensor:
        """The loss of a batch, in nats a picture."""
        return word_spotting(self.votes(features), batch.targets, batch.target_mask)


@final
class Objective(nn.Module):
    """A model and its loss in one module of plain tensors, which is what Fabric can wrap.

    In evaluation mode the loss is the summed negative log-likelihood, whatever is trained on.

    Args:
        model: what learns.
        plan: a recipe's ``[training]``.

    Raises:
        CourseError: ``words_first`` for a model without a picture network to train.
    """

    def __init__(self, model: EncoderDecoder, plan: Training) -> None:
        super().__init__()
        self.model, self.plan = model, plan
        self.baseline = MovingBaseline()
        self.votes = WordVotes(model) if plan.words_first else None

    def forward(self, *tensors: Tensor, whole: Callable[..., Batch | CaptionBatch], update: int = 0) -> Tensor:
        """The loss of the batch that ``whole`` makes of its tensors; ``update`` is the one that it serves."""
        batch, plan = whole(*tensors), self.plan
        if self.votes is not None and self.training:
            spotting = update < plan.words_first
            features = self._seen(batch, learning=spotting)
            if spotting:
                return self.votes(features, batch)
            batch = dataclasses.replace(batch, source=features)
        rollout = self.model(batch)
        logits, mask = rollout.logits, batch.target_mask
        if not self.training:
            return sequence_cross_entropy(logits, batch.targets, mask, reduction="sum")
        loss = sequence_cross_entropy(
            logits, batch.targets, mask, label_smoothing=plan.label_smoothing, reduction=plan.reduction
        )
        if plan.doubly_stochastic:
            loss = loss + plan.doubly_stochastic * self._uneven(rollout, batch)
        return loss if rollout.log_probs is None else loss + self._reinforced(rollout, batch)

    def _seen(self, batch: Batch | CaptionBatch, *, learning: bool) -> Tensor:
        """What the picture network makes of the pictures; once it has learned, nothing flows back to it."""
        assert isinstance(self.model.encoder, ImageEncoder) and isinstance(batch.source, Tensor)
        with torch.set_grad_enabled(learning):
            return self.model.encoder.features(batch.source)

    def _uneven(self, rollout: Rollout, batch: Batch | CaptionBatch) -> Tensor:
        weights, locations = rollout.weights, batch.source_mask
        if weights is None:
            raise CourseError("training.doubly_stochastic needs a model that can look: set it to 0.")
        if locations is None:
            locations = torch.ones_like(weights[:, 0], dtype=torch.bool)
        return doubly_stochastic_penalty(weights, batch.target_mask, locations, goal=self.plan.doubly_stochastic_goal)

    def _reinforced(self, rollout: Rollout, batch: Batch | CaptionBatch) -> Tensor:
        """What the likelihood's own gradient lacks: that of the places drawn, and of the entropy."""
        assert rollout.log_probs is not None and rollout.weights is not None
        plan, mask = self.plan, batch.target_mask
        likelihood = sentence_log_likelihood(rollout.logits, batch.targets, mask).detach()
        return reinforce(
            likelihood,
            rollout.log_probs,
            rollout.weights,
            mask,
            self.baseline,
            reward_weight=plan.reward_weight,
            entropy_weight=plan.entropy_weight,
            reward=plan.reward,
            reduction=plan.reduction,
        ).loss


def taken_apart(record: Record) -> tuple[tuple[Tensor, ...], Callable[..., Any]]:
    """A record's tensors, and what makes the record of as many others."""
    fields = {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}  # type: ignore[arg-type]
    parts = {name: taken_apart(value) for name, value in fields.items() if isinstance(value, Record)}
    plain = [name for name, value in fields.items() if isinstance(value, Tensor)]

    def whole(*tensors: Tensor) -> Any:
        rest = list(tensors)
        changed: dict[str, Any] = {name: rest.pop(0) for name in plain}
        for name, (inner, make) in parts.items():
            changed[name] = make(*(rest.pop(0) for _ in inner))
        return dataclasses.replace(record, **changed)  # type: ignore[type-var]

    return (*(fields[name] for name in plain), *(t for inner, _ in parts.values() for t in inner)), whole


def loss_of(objective: nn.Module, batch: Batch | CaptionBatch, update: int = 0) -> Tensor:
    """The loss of a batch under an `Objective`, or under what Fabric wrapped around it.

    Args:
        objective: what is lowered.
        batch: what is learned from, or measured.
        update: which one it serves, counted from 0: with ``words_first`` the first ones teach the eyes alone.
    """
    tensors, whole = taken_apart(batch)
    loss: Tensor = objective(*tensors, whole=whole, update=update)
    return loss
