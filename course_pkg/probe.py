"""Linear probes: what can be read back from a vector by a plain linear classifier. Chapters 2 and 3.

A probe is a multinomial logistic regression from a representation, such as the fixed vector ``c`` or an annotation
``h_j``, to a label, such as word ``j`` of the source. What it reads is there in linear form; what it does not read may
still be there in another. High accuracy alone shows little (Hewitt and Liang 2019): compare it with `majority`, which
looks at nothing, and with a probe on the same network before training.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from course_pkg.notation import CourseError

__all__ = ["LinearProbe", "fit_probe", "majority"]

PENALTIES = (1e-1, 1e-2, 1e-3)


@final
@dataclass(frozen=True, eq=False)
class LinearProbe:
    """A fitted probe: ``argmax_v (W (features - centre) / scale + b)_v``.

    Attributes:
        weight: ``W``, one row for each label that was seen, shape ``(V, F)``.
        bias: ``b``, shape ``(V,)``.
        centre: mean of the features it was fitted to, shape ``(F,)``.
        scale: their standard deviation, 1 where that is 0, shape ``(F,)``.
        labels: the label of each row of ``W``, ascending, shape ``(V,)``.
        penalty: the weight of the squares in what was minimised.
    """

    weight: Float[Tensor, "V F"]
    bias: Float[Tensor, " V"]
    centre: Float[Tensor, " F"]
    scale: Float[Tensor, " F"]
    labels: Int[Tensor, " V"]
    penalty: float

    def logits(self, features: Float[Tensor, "N F"]) -> Float[Tensor, "N V"]:
        """Unnormalised log-probabilities of the labels that were seen."""
        return F.linear((features - self.centre) / self.scale, self.weight, self.bias)

    def predict(self, features: Float[Tensor, "N F"]) -> Int[Tensor, " N"]:
        """The likeliest label of each row."""
        return self.labels[self.logits(features).argmax(dim=1)]

    def correct(self, features: Float[Tensor, "N F"], labels: Int[Tensor, " N"]) -> Bool[Tensor, " N"]:
        """Which rows it reads rightly; a label that it never saw is wrong."""
        return self.predict(features) == labels

    def accuracy(self, features: Float[Tensor, "N F"], labels: Int[Tensor, " N"]) -> float:
        """The share of rows that it reads rightly, in [0, 1]."""
        return float(self.correct(features, labels).double().mean())


def fit_probe(
    features: Float[Tensor, "N F"],
    labels: Int[Tensor, " M"],
    *,
    penalties: Sequence[float] = PENALTIES,
    held_out: float = 0.2,
    steps: int = 100,
) -> LinearProbe:
    """Fit a probe; the same input gives the same probe.

    Minimises the mean cross-entropy plus ``penalty / 2`` times the sum of squares of ``W`` (not ``b``) on features of
    mean 0 and deviation 1, which is convex, by L-BFGS from zero. With several ``penalties`` each is tried without the
    last ``held_out`` share of the rows, the one that reads these best is kept (the larger of two equals), and the probe
    is fitted to all rows with it. Rows of a test set have no place here.

    Args:
        features: one row for each example, on any device; gradients are not followed.
        labels: any whole numbers, one for each row.
        penalties: candidates; one alone is taken as it is.
        held_out: share of the rows that choose among several; rows should be in no particular order.
        steps: most L-BFGS iterations.

    Raises:
        CourseError: fewer than two rows, rows that do not match, features that are not finite, or a penalty below 0.
    """
    features, count = features.detach().float(), len(features)
    if count < 2 or len(labels) != count:
        raise CourseError(f"A probe needs two or more rows and a label each; got {count} rows, {len(labels)} labels.")
    if not bool(features.isfinite().all()):
        raise CourseError("A probe's features must be finite: the network computes NaN or infinity.")
    if not penalties or min(penalties) < 0 or not 0 < held_out < 1:
        raise CourseError("A probe needs penalties of 0 or more, and a held-out share between 0 and 1.")
    penalty = penalties[0]
    if len(penalties) > 1:
        kept = min(count - 1, max(1, round(count * (1 - held_out))))
        scores = {
            value: _fit(features[:kept], labels[:kept], value, steps).accuracy(features[kept:], labels[kept:])
            for value in sorted(penalties, reverse=True)
        }
        penalty = max(scores, key=scores.__getitem__)
    return _fit(features, labels, penalty, steps)


def _fit(features: Tensor, labels: Tensor, penalty: float, steps: int) -> LinearProbe:
    seen, target = labels.unique(return_inverse=True)
    centre, scale = features.mean(dim=0), features.std(dim=0, correction=0)
    scale = torch.where(scale > 0, scale, 1.0)
    inputs = (features - centre) / scale
    weight = features.new_zeros(len(seen), features.shape[1]).requires_grad_()
    bias = features.new_zeros(len(seen)).requires_grad_()
    optimiser = torch.optim.LBFGS(
        [weight, bias], max_iter=steps, tolerance_grad=1e-5, history_size=10, line_search_fn="strong_wolfe"
    )

    def objective() -> Tensor:
        optimiser.zero_grad()
        loss = F.cross_entropy(F.linear(inputs, weight, bias), target) + penalty / 2 * weight.square().sum()
        loss.backward()
        return loss

    with torch.enable_grad():
        optimiser.step(objective)
    return LinearProbe(weight.detach(), bias.detach(), centre, scale, seen, penalty)


def majority(labels: Int[Tensor, " N"]) -> int:
    """The commonest label, the smallest of equals: what a probe answers that sees nothing."""
    values, counts = labels.unique(return_counts=True)
    return int(values[counts == counts.max()].min())
