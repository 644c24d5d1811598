"""Encoders against two plain recurrences per sentence, packed ``nn.GRU`` and a mask-carrying scan (SPEC P9); images."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from course_pkg.encoders import (
    BiGRUEncoder,
    FeatureMaps,
    GRUEncoder,
    ImageEncoder,
    SmallConvolutions,
    WordEmbedding,
    features_of_map,
    joined,
    reverse_within_length,
)
from course_pkg.notation import CourseError
from course_pkg.recurrent import GatedRecurrentUnit
from course_pkg.vocabulary import BOS, EOS, PAD

V, E, H = 12, 4, 5
LENGTHS = torch.tensor([6, 1, 3, 5])
TOKENS = torch.tensor(
    [
        [5, 7, 9, 4, 11, EOS],
        [EOS, PAD, PAD, PAD, PAD, PAD],
        [8, 8, EOS, PAD, PAD, PAD],
        [6, 10, 3, 5, EOS, PAD],
    ]
)
B, S = TOKENS.shape
MASK = torch.arange(S) < LENGTHS.unsqueeze(1)
RESETS = ("before", "after")


def embedding():
    table = WordEmbedding(V, E, bos=BOS).double()
    assert (table.weight[PAD] != 0).all()  # padding that would be heard, if it were read
    return table


def unit(reset):
    made = GatedRecurrentUnit(E, H, reset=reset).double()
    for parameter in made.parameters():
        nn.init.normal_(parameter)
    return made


def one_way(reset):
    return GRUEncoder(embedding(), unit(reset))


def two_ways(reset):
    return BiGRUEncoder(embedding(), unit(reset), unit(reset))


@pytest.fixture(params=RESETS)
def reset(request):
    return request.param


@pytest.fixture(params=[one_way, two_ways], ids=["one way", "two ways"])
def encoder(request, reset):
    return request.param(reset)


# Embedding


def test_the_begin_of_sentence_token_is_a_zero_that_never_learns():
    """No BOS vector in the papers: the y_0 term is zero (GroundHog's Shift)."""
    table = embedding()
    tokens = torch.tensor([[BOS, 4], [5, BOS]])
    rows = table(tokens)
    assert (rows[tokens == BOS] == 0).all()
    assert torch.equal(rows[0, 1], table.weight[4]) and torch.equal(rows[1, 0], table.weight[5])
    rows.sum().backward()
    assert (table.weight.grad[BOS] == 0).all()
    assert (table.weight.grad[4] == 1).all()


def test_embedding_takes_ids_of_any_shape():
    table = embedding()
    assert table(torch.tensor([4, 5])).shape == (2, E)
    torch.testing.assert_close(table(TOKENS)[2, 1], table.weight[8])


def test_dropout_acts_in_training_alone():
    table = WordEmbedding(V, 100, bos=BOS, dropout=0.5)
    tokens = torch.arange(3, V)
    dropped = (table.train()(tokens) == 0).double().mean().item()
    assert abs(dropped - 0.5) < 5 * math.sqrt(0.25 / (100 * (V - 3)))
    assert torch.equal(table.eval()(tokens), table.weight[3:])


# Reversal


@given(st.lists(st.integers(1, 7), min_size=1, max_size=5), st.integers(0, 3))
@settings(max_examples=50, deadline=None)
def test_reversal_turns_what_is_real_and_leaves_padding(lengths, extra):
    size = max(lengths) + extra
    mask = torch.arange(size) < torch.tensor(lengths).unsqueeze(1)
    values = torch.arange(len(lengths) * size * 2).view(len(lengths), size, 2).double()
    turned = reverse_within_length(values, mask)
    for row, length in enumerate(lengths):
        assert torch.equal(turned[row, :length], values[row, :length].flip(0))
        assert torch.equal(turned[row, length:], values[row, length:])
    assert torch.equal(reverse_within_length(turned, mask), values)


# P9


def test_annotations_are_two_recurrences_over_the_real_words(reset):
    """h_j = [→h_j; ←h_j] (eq. 7), each sentence alone, unpadded, the backward RNN reading it from its end."""
    encoder = two_ways(reset)
    encoded = encoder(TOKENS, MASK)
    for b in range(B):
        length = int(LENGTHS[b])
        words = encoder.embedding.weight[TOKENS[b, :length]].unsqueeze(0)
        rightward = encoder.forward_unit(words)[0]
        leftward = encoder.backward_unit(words.flip(1))[0].flip(0)
        torch.testing.assert_close(encoded.annotations[b, :length], torch.cat([rightward, leftward], -1))
        torch.testing.assert_close(encoded.summary[b], leftward[0])


def test_backward_states_are_a_scan_that_carries_zero_through_padding(reset):
    """The other classic way: reverse everything and keep the state where the mask is False."""
    encoder = two_ways(reset)
    words, state = encoder.embedding.weight[TOKENS], torch.zeros(B, H).double()
    unit, states = encoder.backward_unit, [None] * S
    for j in reversed(range(S)):
        state = torch.where(MASK[:, j, None], unit.update(unit.gates(words[:, j]), state), state)
        states[j] = state
    encoded = encoder(TOKENS, MASK)
    leftward = torch.stack(states, dim=1)
    torch.testing.assert_close(encoded.annotations[..., H:][MASK], leftward[MASK])
    torch.testing.assert_close(encoded.summary, state)


def test_the_librarys_packed_bidirectional_gru_is_ours():
    """``reset='after'``, with an embedding of PAD that is not zero."""
    encoder = two_ways("after")
    gru = nn.GRU(E, H, batch_first=True, bidirectional=True).double()
    with torch.no_grad():
        for suffix, mine in (("", encoder.forward_unit), ("_reverse", encoder.backward_unit)):
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                getattr(gru, f"{name}_l0{suffix}").copy_(getattr(mine, name))
    words = encoder.embedding.weight[TOKENS]
    packed, last = gru(pack_padded_sequence(words, LENGTHS, batch_first=True, enforce_sorted=False))
    states, _ = pad_packed_sequence(packed, batch_first=True, total_length=S)
    encoded = encoder(TOKENS, MASK)
    torch.testing.assert_close(encoded.annotations[MASK], states[MASK], rtol=0, atol=1e-12)
    torch.testing.assert_close(encoded.summary, last[1], rtol=0, atol=1e-12)


def test_one_way_summary_is_the_state_at_the_last_real_word(reset):
    """c = h_{T_x} (§A.2.2), for each sentence its own T_x; the library's final state where it has the same unit."""
    encoder = one_way(reset)
    encoded = encoder(TOKENS, MASK)
    for b in range(B):
        length = int(LENGTHS[b])
        states = encoder.unit(encoder.embedding.weight[TOKENS[b : b + 1, :length]])[0]
        torch.testing.assert_close(encoded.annotations[b, :length], states)
        torch.testing.assert_close(encoded.summary[b], states[-1])


# Shapes and invariances


def test_shapes(reset):
    for encoder, width in ((one_way(reset), H), (two_ways(reset), 2 * H)):
        encoded = encoder(TOKENS, MASK)
        assert encoded.annotations.shape == (B, S, width)
        assert encoded.summary.shape == (B, H)
        assert torch.equal(encoded.mask, MASK)  # EOS included


def test_more_padding_and_another_order_change_nothing(encoder):
    order = torch.tensor([2, 0, 3, 1])
    wider = nn.functional.pad(TOKENS, (0, 3), value=PAD)[order]
    mask = nn.functional.pad(MASK, (0, 3))[order]
    short, long = encoder(TOKENS, MASK).take(order), encoder(wider, mask)
    torch.testing.assert_close(long.annotations[:, :S][mask[:, :S]], short.annotations[short.mask], rtol=0, atol=1e-12)
    torch.testing.assert_close(long.summary, short.summary, rtol=0, atol=1e-12)


@pytest.mark.parametrize("rubbish", [1e4, math.nan])
def test_what_stands_in_the_padding_is_never_read(encoder, rubbish):
    clean = encoder(TOKENS, MASK)
    with torch.no_grad():
        encoder.embedding.weight[PAD] = rubbish
    polluted = encoder(TOKENS, MASK)
    assert torch.equal(polluted.annotations[MASK], clean.annotations[MASK])
    assert torch.equal(polluted.summary, clean.summary)


def test_padding_is_not_trained(encoder):
    encoded = encoder(TOKENS, MASK)
    (encoded.annotations[MASK].square().sum() + encoded.summary.square().sum()).backward()
    gradient = encoder.embedding.weight.grad
    assert (gradient[PAD] == 0).all()
    assert (gradient[TOKENS[MASK].unique()] != 0).any(dim=1).all()


def test_each_direction_hears_its_own_side(reset):
    """Changing word j moves →h from j on and ←h up to j, in that sentence alone."""
    encoder, row, j = two_ways(reset), 3, 2
    changed = TOKENS.clone()
    changed[row, j] = 9
    moved = (encoder(TOKENS, MASK).annotations - encoder(changed, MASK).annotations).abs() > 1e-12
    right, left = moved[..., :H].any(-1) & MASK, moved[..., H:].any(-1) & MASK
    position, sentence = torch.arange(S), torch.arange(B).unsqueeze(1) == row
    assert torch.equal(right, sentence & (position >= j) & MASK)
    assert torch.equal(left, sentence & (position <= j) & MASK)


def test_the_first_word_reaches_the_summary(encoder):
    """s_0 starts from ←h_1, the backward RNN's last state, not its first; and from h_{T_x} one way."""
    changed = TOKENS.clone()
    changed[[0, 2, 3], 0] = 4
    moved = (encoder(TOKENS, MASK).summary - encoder(changed, MASK).summary).abs().amax(1) > 1e-9
    assert moved.tolist() == [True, False, True, True]


def test_embedding_is_shared_and_the_directions_are_not():
    encoder = two_ways("before")
    names = {name for name, _ in encoder.named_parameters()}
    parts = ("weight_ih", "weight_hh", "bias_ih")
    units = {f"{side}_unit.{part}" for side in ("forward", "backward") for part in parts}
    assert names == {"embedding.weight"} | units


def test_annotation_dropout_acts_in_training_alone(reset):
    plain = two_ways(reset)
    dropping = BiGRUEncoder(plain.embedding, plain.forward_unit, plain.backward_unit, dropout=0.5)
    expected = plain(TOKENS, MASK).annotations
    assert torch.equal(dropping.eval()(TOKENS, MASK).annotations, expected)
    dropped = dropping.train()(TOKENS, MASK).annotations
    kept = dropped != 0
    assert 0.2 < kept.double().mean() < 0.8
    torch.testing.assert_close(dropped[kept], 2 * expected[kept])


def test_maps_may_be_projected_before_they_are_joined() -> None:
    torch.manual_seed(4)
    maps = FeatureMaps(torch.randn(2, 16, 3), torch.randn(2, 4, 5))
    encoder = ImageEncoder(feature_size=8, annotation_size=6).double()
    maps = FeatureMaps(maps.fine.double(), maps.coarse.double())
    torch.testing.assert_close(encoder(maps).annotations, encoder(joined(maps)).annotations)
    torch.testing.assert_close(joined(maps)[..., :3], maps.fine)
    constant = FeatureMaps(maps.fine, torch.ones(2, 4, 5).double() * 7)
    torch.testing.assert_close(joined(constant)[..., 3:], torch.full((2, 16, 5), 7.0).double())


def test_maps_are_joined_whole_where_they_are_normalised_together() -> None:
    torch.manual_seed(4)
    maps = FeatureMaps(torch.randn(2, 16, 3), torch.randn(2, 4, 5))
    encoder = ImageEncoder(feature_size=8, annotation_size=6, normalise=True)
    torch.testing.assert_close(encoder(maps).annotations, encoder(joined(maps)).annotations)


def test_maps_of_another_network_are_refused() -> None:
    maps = FeatureMaps(torch.randn(2, 16, 3), torch.randn(2, 4, 4))
    with pytest.raises(CourseError, match="3 and 4 numbers .* expects 8"):
        ImageEncoder(feature_size=8, annotation_size=6)(maps)


# Images


def test_locations_run_row_by_row_and_channels_come_last():
    """Error 14: a coordinate image. Location w·r + c holds (r, c); a reshape without a permutation does not."""
    height, width = 3, 5
    row, column = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    feature_map = torch.stack([row, column]).double().expand(2, -1, -1, -1)
    features = features_of_map(feature_map)
    assert features.shape == (2, height * width, 2)
    for r in range(height):
        for c in range(width):
            assert features[:, width * r + c].tolist() == [[r, c], [r, c]]
    assert not torch.equal(feature_map.reshape(2, -1, 2), features)


def test_features_are_the_annotations_and_their_mean_the_summary():
    """§3.1.1, §3.1.2 of Xu et al. 2015: nothing in between, every location may be looked at."""
    features = torch.randn(2, 9, 4).double()
    encoder = ImageEncoder(feature_size=4)
    encoded = encoder(features)
    assert torch.equal(encoded.annotations, features) and encoded.mask.all() and encoded.mask.shape == (2, 9)
    torch.testing.assert_close(encoded.summary, features.sum(1) / 9)
    assert encoder.annotation_size == 4 and not list(encoder.parameters())


def test_half_precision_features_are_read_in_single():
    features = torch.randn(2, 9, 4).half()
    encoded = ImageEncoder(feature_size=4, annotation_size=3, normalise=True)(features)
    assert encoded.annotations.dtype == encoded.summary.dtype == torch.float32
    assert torch.equal(ImageEncoder(feature_size=4)(features).annotations, features.float())


def test_projection_and_normalisation_are_their_formulas():
    """W (x - mean) / std + b at each location by itself."""
    features = 5 * torch.randn(2, 9, 4).double() + 3
    encoder = ImageEncoder(feature_size=4, annotation_size=6, normalise=True).double()
    encoded = encoder(features)
    deviations = features - features.mean(-1, keepdim=True)
    normal = deviations / (deviations.square().mean(-1, keepdim=True) + encoder.norm.eps).sqrt()
    expected = normal @ encoder.projection.weight.T + encoder.projection.bias
    assert encoder.annotation_size == 6 and encoded.annotations.shape == (2, 9, 6)
    torch.testing.assert_close(encoded.annotations, expected)
    torch.testing.assert_close(encoded.summary, expected.mean(1))


def test_masked_locations_are_not_in_the_mean():
    features = torch.randn(2, 5, 4).double()
    mask = torch.tensor([[True] * 5, [True, True, False, False, True]])
    features[1, 2:4] = math.nan
    encoded = ImageEncoder(feature_size=4)(features, mask)
    torch.testing.assert_close(encoded.summary[1], features[1, [0, 1, 4]].mean(0))
    torch.testing.assert_close(encoded.summary[0], features[0].mean(0))
    assert torch.equal(encoded.mask, mask)


def test_image_annotations_are_dropped_in_training_alone():
    encoder, features = ImageEncoder(feature_size=4, dropout=0.5), torch.ones(50, 9, 4)
    assert torch.equal(encoder.eval()(features).annotations, features)
    encoded = encoder.train()(features)
    assert set(encoded.annotations.unique().tolist()) == {0, 2}
    torch.testing.assert_close(encoded.summary, encoded.annotations.mean(1))


class Averages(nn.Module):
    """A network of one weight: mean colours of 2×2 blocks as a feature map."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.norm = nn.BatchNorm2d(3)

    def forward(self, images):
        return self.norm(self.scale * nn.functional.avg_pool2d(images, 2))


def test_a_network_makes_the_features_from_a_map_or_location_major():
    images = torch.rand(2, 3, 6, 8)
    network = Averages().eval()
    encoded = ImageEncoder(network, feature_size=3)(images)
    torch.testing.assert_close(encoded.annotations, features_of_map(network(images)))
    ready = nn.Sequential(network, nn.Flatten(2), nn.Unflatten(2, (12,)))
    ready.register_forward_hook(lambda module, inputs, made: made.transpose(1, 2))
    torch.testing.assert_close(ImageEncoder(ready, feature_size=3)(images).annotations, encoded.annotations)


@pytest.mark.parametrize("frozen", [True, False])
def test_a_frozen_network_does_not_learn_and_stays_in_evaluation(frozen):
    """§4.3: VGG is not trained along. Its batch statistics must not move either."""
    encoder = ImageEncoder(Averages(), feature_size=3, annotation_size=2, frozen=frozen).train()
    before = encoder.network.norm.running_mean.clone()
    encoder(torch.rand(2, 3, 4, 4)).annotations.square().sum().backward()
    assert (encoder.network.scale.grad is None) == frozen
    assert torch.equal(encoder.network.norm.running_mean, before) == frozen
    assert encoder.network.training != frozen and encoder.training
    assert encoder.projection.weight.grad is not None
    assert not encoder.eval().network.training


def test_what_an_image_encoder_cannot_read_is_refused():
    encoder = ImageEncoder(feature_size=4)
    with pytest.raises(CourseError, match="9 numbers at each location.*expects 4.*location-major"):
        encoder(torch.randn(2, 4, 9))
    with pytest.raises(CourseError, match="no network for images"):
        encoder(torch.rand(2, 3, 8, 8))


# The small network


@pytest.mark.parametrize(("size", "grid"), [(64, 8), (64, 16), (112, 14), (224, 14), (224, 7), (32, 16)])
def test_the_small_network_gives_the_grid_it_was_asked_for(size, grid):
    network = SmallConvolutions(size=size, grid=grid, feature_size=24)
    features = network(torch.rand(2, 3, size, size))
    assert features.shape == (2, grid * grid, 24) and network.grid == (grid, grid)
    assert (network.size, network.feature_size) == (size, 24)


@pytest.mark.parametrize(("size", "grid"), [(64, 8), (64, 16), (32, 16), (112, 14)])
def test_a_location_sees_a_square_that_is_centred_on_its_cell_and_nothing_else(size, grid):
    """Three cells wide less two pixels: one cell and less than one more to every side (3·2^k - 2 after k halvings)."""
    network = SmallConvolutions(size=size, grid=grid, feature_size=16).double()
    image = torch.rand(1, 3, size, size).double().requires_grad_()
    row, column, cell = grid // 2, grid // 2 - 1, size // grid
    (slope,) = torch.autograd.grad(network(image)[0, row * grid + column].sum(), image)
    felt = (slope[0] != 0).any(0)
    reach = torch.zeros_like(felt)
    top, left = ((place - 1) * cell + 1 for place in (row, column))
    reach[top : top + 3 * cell - 2, left : left + 3 * cell - 2] = True
    assert not (felt & ~reach).any()  # exactly 0 outside
    rows, columns = (felt.any(axis).nonzero() for axis in (1, 0))
    assert (int(rows[0]), int(rows[-1])) == (top, top + 3 * cell - 3)
    assert (int(columns[0]), int(columns[-1])) == (left, left + 3 * cell - 3)


def test_filters_alike_from_both_sides_see_a_mirrored_image_mirrored():
    """Left, right, above and below count alike, so a location's middle is that of its cell; filters of 3 fail."""
    network = SmallConvolutions(size=64, grid=8, feature_size=16, coordinates=False).double()
    with torch.no_grad():
        for filters in (one.weight for one in network.modules() if isinstance(one, nn.Conv2d)):
            filters.copy_(sum(filters.flip(axes) for axes in ((), (2,), (3,), (2, 3))) / 4)
    image = torch.rand(1, 3, 64, 64).double()
    made = network(image).view(8, 8, 16)
    for axis in (0, 1):
        mirrored = network(image.flip(axis + 2)).view(8, 8, 16)
        torch.testing.assert_close(mirrored, made.flip(axis))
        assert not torch.allclose(mirrored, made)
    symmetric = torch.full_like(image, 0.25).requires_grad_()  # away from the edges every place of it is alike
    (slope,) = torch.autograd.grad(network(symmetric)[0, 8 * 4 + 4].square().sum(), symmetric)
    field = slope[0, :, 25:47, 25:47]  # 22 pixels around the cell from 32 to 40
    assert field.count_nonzero() == slope.count_nonzero() > 0
    for axes in ((1,), (2,)):
        torch.testing.assert_close(field.flip(axes), field)


def test_a_change_in_a_corner_shows_at_that_corner_alone():
    """Location-major, row by row."""
    network = SmallConvolutions(size=64, grid=8, feature_size=16).double()
    image = torch.rand(1, 3, 64, 64).double()
    changed = image.clone()
    changed[:, :, :8, 56:] = 1 - changed[:, :, :8, 56:]  # the block of row 0, column 7
    moved = (network(image) != network(changed)).any(-1).view(8, 8)
    assert moved[0, 7] and not moved[:, :6].any() and not moved[2:].any()


def test_coordinates_tell_places_apart():
    """In an image of one colour, away from the edges, only the coordinates differ."""
    grey = torch.full((1, 3, 128, 128), 0.5)
    for coordinates in (True, False):
        network = SmallConvolutions(size=128, grid=16, feature_size=16, coordinates=coordinates)
        inner = network(grey).view(16, 16, 16)[6:10, 6:10].flatten(0, 1)
        assert torch.allclose(inner, inner[:1], atol=1e-6) != coordinates


def test_the_first_coordinate_is_the_row_the_second_the_column():
    row, column = SmallConvolutions(size=32, grid=4, feature_size=16)._places(torch.zeros(2, 5, 4, 4))[1]
    along = torch.tensor([-1, -1 / 3, 1 / 3, 1])
    torch.testing.assert_close(row, along[:, None].expand(4, 4))
    torch.testing.assert_close(column, along[None].expand(4, 4))


def test_an_images_features_do_not_depend_on_the_others():
    network, images = SmallConvolutions(size=32, grid=4, feature_size=16), torch.rand(3, 3, 32, 32)
    together = network(images)
    for b in range(3):
        torch.testing.assert_close(together[b : b + 1], network(images[b : b + 1]))
    assert not list(network.buffers())  # nothing that a model folder would have to keep besides parameters


def test_bytes_are_read_as_parts_of_255():
    network = SmallConvolutions(size=16, grid=4, feature_size=8)
    images = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8)
    torch.testing.assert_close(network(images), network(images.float() / 255))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": 100}, "100 pixels halves to no grid of 14"),
        ({"size": 14}, "14 pixels halves to no grid of 14"),
        ({"grid": 0}, "grid of 0"),
        ({"feature_size": 100}, "feature_size is 100: choose a multiple of 8"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(CourseError, match=message):
        SmallConvolutions(**changes)
    with pytest.raises(CourseError, match=r"shape \(1, 3, 8, 8\): \(B, 3, 224, 224\)"):
        SmallConvolutions()(torch.rand(1, 3, 8, 8))
