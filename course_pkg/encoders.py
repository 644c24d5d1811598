"""Encoders: from token ids or an image to annotations, one for each source position.

Chapters 1 (one direction), 3 (two directions) and 11 (images).
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from course_pkg.notation import CourseError, Record
from course_pkg.recurrent import GatedRecurrentUnit

__all__ = [
    "BiGRUEncoder",
    "Encoded",
    "FeatureMaps",
    "GRUEncoder",
    "ImageEncoder",
    "SmallConvolutions",
    "WordEmbedding",
    "features_of_map",
    "joined",
    "reverse_within_length",
]


@dataclass(frozen=True)
class Encoded(Record):
    """A batch of sources, read.

    Attributes:
        annotations: ``h_j``, shape ``(B, S, D)``.
        mask: True at real positions, shape ``(B, S)``; the source's EOS is real.
        summary: what the decoder starts from, shape ``(B, H)``: the last forward state of `GRUEncoder`,
            the backward state ``←h_1`` of `BiGRUEncoder`, the mean annotation of `ImageEncoder`.
    """

    annotations: Float[Tensor, "B S D"]
    mask: Bool[Tensor, "B S"]
    summary: Float[Tensor, "B H"]


@final
class WordEmbedding(nn.Module):
    """The rows of ``E``, with zero in place of the begin-of-sentence token.

    The papers have no such token: at the first step the term of ``y_0`` is zero (GroundHog's ``Shift``).
    ``E y`` is taken without a bias; GroundHog adds one, which adding the same vector to every row of ``E`` equals.

    Args:
        vocabulary_size: ``V``, number of rows.
        embedding_size: ``E``, the papers' ``m``.
        bos: id of the begin-of-sentence token; its row is never used.
        dropout: probability of dropping an entry in training.
    """

    def __init__(self, vocabulary_size: int, embedding_size: int, *, bos: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.bos = bos
        self.weight = nn.Parameter(torch.empty(vocabulary_size, embedding_size))
        nn.init.normal_(self.weight, std=embedding_size**-0.5)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Int[Tensor, "*B"]) -> Float[Tensor, "*B E"]:
        """Embed token ids of any shape."""
        rows = F.embedding(tokens, self.weight)
        return self.dropout(rows * (tokens != self.bos).unsqueeze(-1))


def reverse_within_length(values: Float[Tensor, "B S X"], mask: Bool[Tensor, "B S"]) -> Float[Tensor, "B S X"]:
    """Each row's real positions in reverse order, its padding left where it is; its own inverse.

    This is how the backward RNN reads a padded batch from the last *real* word: no packing, no lengths on the CPU.
    The padding must be on the right.
    """
    lengths = mask.sum(dim=1, keepdim=True)
    positions = torch.arange(mask.shape[1], device=mask.device)
    source = torch.where(mask, lengths - 1 - positions, positions)
    return values.gather(1, source.unsqueeze(-1).expand_as(values))


def _last_real(states: Tensor, mask: Tensor) -> Tensor:
    last = (mask.sum(dim=1) - 1).view(-1, 1, 1).expand(-1, 1, states.shape[2])
    return states.gather(1, last).squeeze(1)


@final
class GRUEncoder(nn.Module):
    """Reads the source once, from left to right (Cho et al. 2014, §2.2; Bahdanau et al. 2015, eq. 1; chapter 1).

    The summary is the last state, ``c = h_{T_x}``: the special case of RNNsearch that Bahdanau et al. 2015 (§A.2.2
    ``c``) call RNNencdec. Cho et al. pass it through ``tanh(V h_T)`` first; GroundHog, followed here, does not (D6 on
    the page "Papers and code").

    Args:
        embedding: the source's word embedding, width ``E``.
        unit: a recurrent unit from ``E`` to ``H``.
        dropout: probability of dropping an entry of the annotations in training.
    """

    def __init__(self, embedding: WordEmbedding, unit: GatedRecurrentUnit, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.embedding = embedding
        self.unit = unit
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Int[Tensor, "B S"], mask: Bool[Tensor, "B S"]) -> Encoded:
        """Annotations are the forward states, ``D = H``."""
        states = self.dropout(self.unit(self.embedding(tokens)))
        return Encoded(states, mask, _last_real(states, mask))


@final
class BiGRUEncoder(nn.Module):
    """Reads the source in both directions: ``h_j = [→h_j; ←h_j]``.

    Bahdanau et al. 2015, eq. 7, §A.2.1 ``→h_i``, ``←h_j``; chapter 3.

    The embedding is shared by the directions, the other weights are not. The backward unit starts at the last
    real word whatever padding follows. The summary is ``←h_1``, from which ``s_0`` is made (§A.2.2).

    Args:
        embedding: the source's word embedding, width ``E``.
        forward_unit: a recurrent unit from ``E`` to ``H``, left to right.
        backward_unit: a recurrent unit from ``E`` to ``H``, right to left.
        dropout: probability of dropping an entry of the annotations in training.
    """

    def __init__(
        self,
        embedding: WordEmbedding,
        forward_unit: GatedRecurrentUnit,
        backward_unit: GatedRecurrentUnit,
        *,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.embedding = embedding
        self.forward_unit = forward_unit
        self.backward_unit = backward_unit
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Int[Tensor, "B S"], mask: Bool[Tensor, "B S"]) -> Encoded:
        """Annotations of width ``D = 2H``, centred on each word."""
        embedded = self.embedding(tokens)
        rightward = self.forward_unit(embedded)
        leftward = reverse_within_length(self.backward_unit(reverse_within_length(embedded, mask)), mask)
        annotations = self.dropout(torch.cat([rightward, leftward], dim=-1))
        return Encoded(annotations, mask, leftward[:, 0])


def features_of_map(feature_map: Float[Tensor, "B D h w"]) -> Float[Tensor, "B S D"]:
    """A convolutional network's last map as one vector for each location, row by row: ``S = h·w``.

    Location ``w·r + c`` is row ``r``, column ``c``. The channels have to be moved last first: reshaping ``(D, h, w)``
    to ``(h·w, D)`` mixes channels with locations and raises no error.
    """
    return feature_map.flatten(2).transpose(1, 2)


@dataclass(frozen=True)
class FeatureMaps(Record):
    """A fine and a coarse square feature map of the same images, location-major, before they are joined.

    Attributes:
        fine: shape ``(B, L, C)``; ``L`` is a square number.
        coarse: shape ``(B, l, c)``; ``l`` likewise.
    """

    fine: Float[Tensor, "B L C"]
    coarse: Float[Tensor, "B l c"]


def joined(maps: FeatureMaps) -> Float[Tensor, "B L D"]:
    """Each fine location's vector followed by the coarse map's there, interpolated bilinearly; ``D = C + c``.

    The hypercolumns of Hariharan et al. 2015 (§2). Linear in both maps.
    """
    return torch.cat([maps.fine, _interpolated(maps.coarse, math.isqrt(maps.fine.shape[1]))], dim=-1)


def _interpolated(coarse: Float[Tensor, "B l c"], grid: int) -> Float[Tensor, "B L c"]:
    side = math.isqrt(coarse.shape[1])
    square = coarse.unflatten(1, (side, side)).permute(0, 3, 1, 2)  # channels last in memory: nothing is copied
    fine = F.interpolate(square, size=(grid, grid), mode="bilinear", align_corners=False)
    return fine.permute(0, 2, 3, 1).flatten(1, 2)


@final
class ImageEncoder(nn.Module):
    """An image as ``L`` annotation vectors ``a_i``, one for each location of a feature map (Xu et al. 2015, §3.1.1).

    The summary is the mean annotation, from which the decoder starts (§3.1.2). The paper's annotations are the feature
    map itself: VGG's 14×14×512 map, ``L = 196``, ``D = 512``, of a network that is not trained along (§4.3).
    ``annotation_size`` and ``normalise`` are departures, for features that are wider or differently scaled. Chapter 11.

    Args:
        network: from images ``(B, 3, height, width)`` to features ``(B, L, D0)`` or a feature map ``(B, D0, h, w)``;
            ``None`` if the features are made beforehand.
        feature_size: ``D0``.
        annotation_size: ``D``, to which the features are projected; ``None``: they are the annotations, ``D = D0``.
        normalise: bring each feature vector to mean 0 and variance 1 before (layer normalisation).
        dropout: probability of dropping an entry of the annotations in training.
        frozen: whether the network keeps its weights, in evaluation mode throughout.

    Attributes:
        annotation_size: ``D``.
    """

    def __init__(
        self,
        network: nn.Module | None = None,
        *,
        feature_size: int,
        annotation_size: int | None = None,
        normalise: bool = False,
        dropout: float = 0.0,
        frozen: bool = False,
    ) -> None:
        super().__init__()
        self.network = network
        self.feature_size = feature_size
        self.annotation_size = annotation_size or feature_size
        self.frozen = frozen
        self.norm = nn.LayerNorm(feature_size) if normalise else None
        self.projection = nn.Linear(feature_size, annotation_size) if annotation_size else None
        self.dropout = nn.Dropout(dropout)
        if network is not None and frozen:
            network.eval().requires_grad_(False)

    def train(self, mode: bool = True) -> "ImageEncoder":
        """Training or evaluation mode; a frozen network stays in the latter."""
        super().train(mode)
        if self.frozen and self.network is not None:
            self.network.eval()
        return self

    def forward(self, source: Tensor | FeatureMaps, mask: Bool[Tensor, "B S"] | None = None) -> Encoded:
        """Encode images, or features made beforehand.

        Args:
            source: images, shape ``(B, 3, height, width)``, if there is a network, or its features, location-major
                ``(B, L, D0)``, in any floating type; or the maps that joined make them. Those are projected before
                they are joined, which comes to the same and costs a third (features without ``normalise``).
            mask: True at the locations that may be looked at; ``None``: at all.

        Raises:
            CourseError: images without a network, or features of another width.
        """
        annotations = self.dropout(self._annotations(source))
        if mask is None:
            everywhere = torch.ones(annotations.shape[:2], dtype=torch.bool, device=annotations.device)
            return Encoded(annotations, everywhere, annotations.mean(dim=1))
        real = annotations.masked_fill(~mask.unsqueeze(-1), 0)
        return Encoded(annotations, mask, real.sum(dim=1) / mask.sum(dim=1, keepdim=True))

    def _annotations(self, source: Tensor | FeatureMaps) -> Tensor:
        if isinstance(source, FeatureMaps):
            if self.projection is not None and self.norm is None:
                return self._projected(source)
            source = joined(source)
        features = self.features(source)
        if features.shape[-1] != self.feature_size:
            raise CourseError(
                f"The features have {features.shape[-1]} numbers at each location, the encoder expects "
                f"{self.feature_size}: is the map location-major (L, D), as features_of_map makes it?"
            )
        annotations = features.to(torch.promote_types(features.dtype, torch.float32))
        if self.norm is not None:
            annotations = self.norm(annotations)
        return annotations if self.projection is None else self.projection(annotations)

    def _projected(self, maps: FeatureMaps) -> Tensor:
        """The projection of the joined maps: each map is given its columns, and the coarse one is interpolated last.

        Interpolation keeps constants, so the bias may go with it.
        """
        assert self.projection is not None
        width = maps.fine.shape[-1]
        if width + maps.coarse.shape[-1] != self.feature_size:
            raise CourseError(
                f"The maps have {width} and {maps.coarse.shape[-1]} numbers at each location, the encoder expects "
                f"{self.feature_size} in all: give the maps of the network that it was made for."
            )
        fine, coarse = (m.to(torch.promote_types(m.dtype, torch.float32)) for m in (maps.fine, maps.coarse))
        weight = self.projection.weight
        below = F.linear(coarse, weight[:, width:], self.projection.bias)
        return F.linear(fine, weight[:, :width]) + _interpolated(below, math.isqrt(fine.shape[1]))

    def features(self, source: Tensor) -> Float[Tensor, "B L D"]:
        """What the network makes of images, before any projection; features made beforehand pass through.

        Raises:
            CourseError: images without a network.
        """
        if source.dim() == 3:
            return source
        if self.network is None:
            raise CourseError("This model reads features (B, L, D), made beforehand: it has no network for images.")
        made = self.network(source)
        return features_of_map(made) if made.dim() == 4 else made


@final
class SmallConvolutions(nn.Module):
    """A small convolutional network that learns to see drawn scenes from scratch, in place of a trained VGG.

    A 4×4 convolution with stride 2 for each halving of the image, twice as many channels each time, and a 1×1 on the
    finished grid. Even filters, with one pixel of padding, keep what a location sees centred on it; VGG's of 3 would
    creep to the upper left by half a step with each stride. The receptive field is three cells wide, less two pixels.

    Before each ReLU the channels are brought to mean 0 and variance 1 at each location alone (layer
    normalisation; Ba et al. 2016), so that nothing from outside the receptive field and no other image leaks in; VGG
    has no normalisation. A convolution does not know where it stands, so the last one is also given each location's row
    and column, from -1 to 1: "left of" and "above" are then in the annotations (Liu et al. 2018, "CoordConv"). No part
    of Xu et al. 2015; chapter 11.

    Args:
        size: height and width of an image, in pixels.
        grid: rows and columns of the feature map; ``size`` is ``grid`` times a power of 2.
        feature_size: ``D0``, channels of the feature map, a multiple of 8.
        coordinates: whether the last convolution knows where it stands.

    Attributes:
        size: as given.
        grid: rows and columns, ``(grid, grid)``; ``L`` is their product.
        feature_size: ``D0``.

    Raises:
        CourseError: sizes that do not fit.
    """

    def __init__(self, *, size: int = 224, grid: int = 14, feature_size: int = 128, coordinates: bool = True) -> None:
        super().__init__()
        halvings = round(math.log2(size / grid)) if 0 < grid <= size else 0
        if halvings < 1 or grid * 2**halvings != size:
            raise CourseError(f"An image of {size} pixels halves to no grid of {grid}: choose size = grid · 2, 4, 8 …")
        if feature_size < 8 or feature_size % 8:
            raise CourseError(f"feature_size is {feature_size}: choose a multiple of 8.")
        self.size = size
        self.grid = (grid, grid)
        self.feature_size = feature_size
        self.coordinates = coordinates
        widths = [max(16, feature_size >> left) // 8 * 8 for left in reversed(range(halvings))]
        widths = [3, *(min(feature_size, width) for width in widths)]
        self.stages = nn.Sequential(
            *(_Layer(nn.Conv2d(before, after, 4, stride=2, padding=1)) for before, after in pairwise(widths))
        )
        self.last = _Layer(nn.Conv2d(widths[-1] + 2 * coordinates, feature_size, 1))

    def forward(self, images: Tensor) -> Float[Tensor, "B S D"]:
        """Features of images ``(B, 3, size, size)``, floating from 0 to 1 or bytes from 0 to 255; location-major.

        Raises:
            CourseError: images of another size.
        """
        if images.dim() != 4 or images.shape[1:] != (3, self.size, self.size):
            wanted = f"(B, 3, {self.size}, {self.size})"
            raise CourseError(f"The images have shape {tuple(images.shape)}: {wanted} is what this network sees.")
        if not images.is_floating_point():
            images = images / 255
        seen = self.stages(2 * images - 1)
        if self.coordinates:
            seen = torch.cat([seen, self._places(seen)], dim=1)
        return features_of_map(self.last(seen))

    def _places(self, seen: Tensor) -> Tensor:
        """Row and column of each location, from -1 to 1, as two channels."""
        along = torch.linspace(-1, 1, self.grid[0], device=seen.device, dtype=seen.dtype)
        return torch.stack(torch.meshgrid(along, along, indexing="ij")).expand(seen.shape[0], -1, -1, -1)


@final
class _Layer(nn.Module):
    """A convolution, its channels normalised at each location alone, and cut off below 0."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.convolution = convolution
        self.norm = nn.LayerNorm(convolution.out_channels)

    def forward(self, seen: Float[Tensor, "B C h w"]) -> Float[Tensor, "B c r s"]:
        places = self.convolution(seen).permute(0, 2, 3, 1)  # channels last
        return F.relu(self.norm(places)).permute(0, 3, 1, 2)
