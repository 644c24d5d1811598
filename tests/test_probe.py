"""The linear probe: it solves its convex problem, reads what is there, and does not read what is not."""

import pytest
import torch
from torch.nn import functional as F

from course_pkg.notation import CourseError
from course_pkg.probe import LinearProbe, fit_probe, majority


def clouds(count: int, width: int = 6, labels: int = 3, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Points around one centre for each label; the labels are 10, 11, …."""
    g = torch.Generator().manual_seed(seed)
    centres = torch.randn(labels, width, generator=torch.Generator().manual_seed(99))
    which = torch.randint(labels, (count,), generator=g)
    return centres[which] + 0.8 * torch.randn(count, width, generator=g), which + 10


def test_the_gradient_vanishes_where_it_stops() -> None:
    features, labels = clouds(300)
    probe = fit_probe(features, labels, penalties=[0.05], steps=500)
    weight, bias = probe.weight.double().requires_grad_(), probe.bias.double().requires_grad_()
    inputs = ((features - features.mean(0)) / features.std(0, correction=0)).double()
    loss = F.cross_entropy(inputs @ weight.T + bias, labels - 10) + 0.05 / 2 * (weight**2).sum()
    gradients = torch.autograd.grad(loss, [weight, bias])
    assert max(float(g.abs().max()) for g in gradients) < 1e-4


def test_features_that_say_nothing_leave_the_frequencies_of_the_labels() -> None:
    labels = torch.tensor([7] * 6 + [3] * 3 + [5])
    probe = fit_probe(torch.ones(10, 4), labels, penalties=[0.1], steps=500)
    assert probe.labels.tolist() == [3, 5, 7]
    shares = probe.logits(torch.ones(1, 4)).softmax(1)[0]
    assert torch.allclose(shares, torch.tensor([0.3, 0.1, 0.6]), atol=1e-3)
    assert probe.predict(torch.ones(2, 4)).tolist() == [7, 7] == [majority(labels)] * 2


def test_it_reads_what_is_linearly_there_and_not_the_product_of_signs() -> None:
    g = torch.Generator().manual_seed(1)
    features = torch.randn(1200, 8, generator=g)
    there, hidden = (features[:, 0] > features[:, 1]).long(), (features[:, 0] * features[:, 1] > 0).long()
    assert fit_probe(features[:1000], there[:1000]).accuracy(features[1000:], there[1000:]) > 0.95
    assert fit_probe(features[:1000], hidden[:1000]).accuracy(features[1000:], hidden[1000:]) < 0.65


def test_scale_and_place_of_the_features_do_not_matter() -> None:
    features, labels = clouds(200)
    moved = features * torch.tensor([1e3, 1e-2, 1, 5, 1, 7]) + 4
    a, b = fit_probe(features, labels, penalties=[0.1]), fit_probe(moved, labels, penalties=[0.1])
    assert torch.allclose(a.weight, b.weight, atol=1e-3)
    assert torch.equal(a.predict(features), b.predict(moved))


def test_the_penalty_is_chosen_on_held_out_rows() -> None:
    """Few rows in many dimensions: without a penalty the probe learns the noise by heart."""
    features, labels = clouds(60, width=6, seed=2)
    noisy = torch.cat([features, torch.randn(60, 200, generator=torch.Generator().manual_seed(3))], dim=1)
    fitted = {p: fit_probe(noisy[:48], labels[:48], penalties=[p]) for p in (10.0, 1.0, 1e-4)}
    scores = {p: probe.accuracy(noisy[48:], labels[48:]) for p, probe in fitted.items()}
    assert len(set(scores.values())) > 1
    chosen = fit_probe(noisy, labels, penalties=list(scores))
    assert scores[chosen.penalty] == max(scores.values())
    assert torch.equal(chosen.weight, fit_probe(noisy, labels, penalties=[chosen.penalty]).weight)


def test_a_larger_penalty_makes_smaller_weights() -> None:
    features, labels = clouds(200)
    norms = [float(fit_probe(features, labels, penalties=[p]).weight.norm()) for p in (1e-3, 1e-1, 10.0)]
    assert norms == sorted(norms, reverse=True)


def test_a_label_never_seen_is_wrong() -> None:
    features, labels = clouds(100)
    probe = fit_probe(features, labels, penalties=[0.1])
    assert probe.accuracy(features, torch.full_like(labels, 99)) == 0.0
    assert probe.correct(features, labels).shape == (100,)
    assert probe.accuracy(features, labels) == pytest.approx(float(probe.correct(features, labels).double().mean()))


def test_the_same_rows_give_the_same_probe_and_gradients_are_left_alone() -> None:
    features, labels = clouds(80)
    features.requires_grad_()
    with torch.no_grad():
        a, b = fit_probe(features, labels), fit_probe(features, labels)
    assert torch.equal(a.weight, b.weight) and not a.weight.requires_grad and features.grad is None


def test_majority_takes_the_smallest_of_equals() -> None:
    assert majority(torch.tensor([4, 2, 2, 9, 4, 9])) == 2


def test_predictions_stay_on_the_device_of_the_probe() -> None:
    fields = {"weight": (3, 2), "bias": (3,), "centre": (2,), "scale": (2,)}
    on_meta = {name: torch.ones(shape, device="meta") for name, shape in fields.items()}
    probe = LinearProbe(**on_meta, labels=torch.arange(3, device="meta"), penalty=0.1)
    with torch.device("cpu"):
        assert probe.predict(torch.ones(4, 2, device="meta")).device.type == "meta"


@pytest.mark.parametrize(
    ("features", "labels", "how", "said"),
    [
        (torch.ones(1, 2), torch.ones(1).long(), {}, "two or more rows"),
        (torch.ones(3, 2), torch.ones(2).long(), {}, "a label each"),
        (torch.tensor([[1.0], [float("nan")]]), torch.ones(2).long(), {}, "finite"),
        (torch.ones(3, 2), torch.ones(3).long(), {"penalties": []}, "penalties"),
        (torch.ones(3, 2), torch.ones(3).long(), {"penalties": [-1.0]}, "penalties"),
        (torch.ones(3, 2), torch.ones(3).long(), {"held_out": 1.0}, "held-out"),
    ],
)
def test_bad_input_is_told_in_one_line(features: torch.Tensor, labels: torch.Tensor, how: dict, said: str) -> None:
    with pytest.raises(CourseError, match=said):
        fit_probe(features, labels, **how)
