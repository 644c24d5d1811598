"""Batches and their order: closed forms, invariances, and the cost of padding."""

import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from course_pkg.batching import Batch, BucketSampler, pad
from course_pkg.notation import CourseError
from course_pkg.vocabulary import BOS, EOS, PAD

PAIRS = [([5, 6, EOS], [7, EOS]), ([8, EOS], [9, 10, 11, EOS]), ([EOS], [EOS])]


def test_padding_goes_to_the_right_and_the_mask_says_where() -> None:
    ids, mask = pad([[5, 6, 2], [7], [8, 2]])
    assert ids.tolist() == [[5, 6, 2], [7, PAD, PAD], [8, 2, PAD]]
    assert mask.tolist() == [[True] * 3, [True, False, False], [True, True, False]]
    assert ids.dtype == torch.long


def test_a_word_that_looks_like_padding_is_real() -> None:
    ids, mask = pad([[PAD, PAD], [5]])
    assert mask.tolist() == [[True, True], [True, False]]
    assert ids.tolist() == [[PAD, PAD], [5, PAD]]


def test_inputs_are_the_targets_one_step_later() -> None:
    batch = Batch.collate(PAIRS)
    assert batch.source.tolist() == [[5, 6, EOS], [8, EOS, PAD], [EOS, PAD, PAD]]
    assert batch.targets.tolist() == [[7, EOS, PAD, PAD], [9, 10, 11, EOS], [EOS, PAD, PAD, PAD]]
    assert batch.inputs.tolist() == [[BOS, 7, EOS, PAD], [BOS, 9, 10, 11], [BOS, EOS, PAD, PAD]]
    assert batch.source_mask.sum(1).tolist() == [3, 2, 1]
    assert batch.target_mask.sum(1).tolist() == [2, 4, 1]


@given(st.lists(st.tuples(*[st.lists(st.integers(3, 50), min_size=1, max_size=6)] * 2), min_size=1, max_size=6))
def test_a_batch_gives_every_pair_back(pairs: list[tuple[list[int], list[int]]]) -> None:
    batch = Batch.collate(pairs)
    for row, (source, target) in enumerate(pairs):
        assert batch.source[row][batch.source_mask[row]].tolist() == source
        assert batch.targets[row][batch.target_mask[row]].tolist() == target
        assert batch.inputs[row, : len(target)].tolist() == [BOS, *target[:-1]]
        assert not batch.source[row][~batch.source_mask[row]].any()


def test_rows_are_taken_together() -> None:
    taken = Batch.collate(PAIRS).take(torch.tensor([1, 1, 0]))
    assert taken.source.tolist() == [[8, EOS, PAD], [8, EOS, PAD], [5, 6, EOS]]
    assert taken.target_mask.sum(1).tolist() == [4, 4, 2]


@pytest.mark.parametrize(
    ("pairs", "said"),
    [([], "corpus is empty"), ([PAIRS[0], ([], [EOS])], "source of pair 1"), ([([EOS], [])], "target of pair 0")],
)
def test_nothing_to_read_is_refused_in_one_line(pairs: list, said: str) -> None:
    with pytest.raises(CourseError, match=said) as refusal:
        Batch.collate(pairs)
    assert "\n" not in str(refusal.value)


# The sampler


def lengths(count: int = 1000) -> list[int]:
    draw = random.Random(3)
    return [min(60, 1 + int(draw.expovariate(1 / 12))) for _ in range(count)]


def order(sampler: BucketSampler, epoch: int) -> list[list[int]]:
    sampler.set_epoch(epoch)
    return list(sampler)


@given(
    st.integers(1, 300), st.integers(1, 40), st.integers(1, 5), st.integers(0, 3), st.booleans(), st.integers(0, 2**31)
)
def test_every_pair_comes_once_an_epoch(
    count: int, batch_size: int, buffer_batches: int, epoch: int, reshuffle: bool, seed: int
) -> None:
    sampler = BucketSampler(
        lengths(count), batch_size=batch_size, seed=seed, buffer_batches=buffer_batches, reshuffle=reshuffle
    )
    batches = order(sampler, epoch)
    assert sorted(row for batch in batches for row in batch) == list(range(count))
    assert len(batches) == len(sampler)
    assert all(0 < len(batch) <= batch_size for batch in batches)
    assert sum(len(batch) < batch_size for batch in batches) <= 1  # only the last buffer has a remainder


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    def sampler(seed: int) -> BucketSampler:
        return BucketSampler(lengths(), batch_size=16, seed=seed)

    used = sampler(1)
    first = order(used, 0)
    torch.rand(7)  # what else is drawn does not matter
    assert order(used, 3) == order(sampler(1), 3)  # nor which epochs came before
    assert order(used, 0) == first == order(used, 0)
    assert order(used, 1) != first
    assert order(sampler(2), 0) != first
    pairings = [{frozenset(batch) for batch in order(used, epoch)} for epoch in (0, 1)]
    assert len(pairings[0] & pairings[1]) < 5  # other neighbours too, not only another order of the same batches


def test_drawing_an_order_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    order(BucketSampler(lengths(), batch_size=16, seed=1), 0)
    assert torch.equal(before, torch.get_rng_state())


def test_without_reshuffling_every_epoch_has_the_same_order() -> None:
    sampler = BucketSampler(lengths(), batch_size=16, seed=1, reshuffle=False)
    assert order(sampler, 0) == order(sampler, 1) == order(sampler, 7)
    assert [row for batch in order(sampler, 0) for row in batch] != list(range(1000))  # shuffled once all the same


def waste(batches: list[list[int]], real: list[int]) -> float:
    padded = sum(len(batch) * max(real[row] for row in batch) for batch in batches)
    return 1 - sum(real) / padded


def test_buckets_waste_far_less_on_padding_than_random_batches() -> None:
    real = lengths(4000)
    random_rows = random.Random(1).sample(range(4000), 4000)
    by_chance = waste([random_rows[i : i + 32] for i in range(0, 4000, 32)], real)
    bucketed = waste(order(BucketSampler(real, batch_size=32, seed=1), 0), real)
    assert by_chance > 0.5
    assert bucketed < 0.2 * by_chance


def test_twenty_batches_are_sorted_together_as_in_the_paper() -> None:
    """§B.2: within one buffer the batches are cut from one sorted list; buffers are not mixed."""
    real = lengths(16 * 20 * 2)
    batches = order(BucketSampler(real, batch_size=16, seed=1), 0)
    buffers = [batches[:20], batches[20:]]
    for buffer in buffers:
        by_length = sorted(buffer, key=lambda batch: (real[batch[0]], real[batch[-1]]))
        flat = [real[row] for batch in by_length for row in batch]
        assert flat == sorted(flat)
        assert by_length != buffer  # but they do not come from short to long
