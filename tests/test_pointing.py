"""Pointing and mass against sums over pixels, and what α that knows all or nothing must get."""

import numpy as np
import pytest

from course_pkg.notation import CourseError
from course_pkg.pointing import attention_mass, centre, pointing_accuracy, ratio_interval


def masks(count: int, height: int = 56, width: int = 56) -> np.ndarray:
    """Random rectangles."""
    generator = np.random.default_rng(2)
    found = np.zeros((count, height, width), bool)
    for one in found:
        top, left = generator.integers(0, height - 4), generator.integers(0, width - 4)
        one[top : top + generator.integers(1, height), left : left + generator.integers(1, width)] = True
    return found


def weights(count: int, rows: int = 14, columns: int = 14) -> np.ndarray:
    return np.random.default_rng(3).dirichlet(np.full(rows * columns, 0.3), count).reshape(count, rows, columns)


@pytest.mark.parametrize("grid", [(14, 14), (7, 7), (4, 8)])
def test_mass_is_the_sum_over_pixels(grid: tuple[int, int]) -> None:
    alpha, marked = weights(9, *grid), masks(9)
    pixels = alpha.repeat(56 // grid[0], axis=1).repeat(56 // grid[1], axis=2) * grid[0] * grid[1] / 56**2
    np.testing.assert_allclose(attention_mass(alpha, marked), (pixels * marked).sum(axis=(1, 2)))


def test_a_pixel_across_two_locations_counts_in_part_for_each() -> None:
    alpha = np.array([[[0.2, 0.8]]])
    assert attention_mass(alpha, np.array([[[False, True, False]]]))[0] == pytest.approx(0.2 / 3 + 0.8 / 3)


def test_weights_need_not_sum_to_one() -> None:
    alpha, marked = weights(9), masks(9)
    scale = np.arange(1.0, 10.0)[:, None, None]
    np.testing.assert_allclose(attention_mass(scale * alpha, marked), attention_mass(alpha, marked))


def test_pointing_is_the_middle_of_the_peak() -> None:
    alpha, marked = weights(40), masks(40)
    for one, mask, hit in zip(alpha, marked, pointing_accuracy(alpha, marked), strict=True):
        row, column = np.unravel_index(one.argmax(), one.shape)
        assert hit == mask[row * 4 + 2, column * 4 + 2]
    assert 0 < pointing_accuracy(alpha, marked).mean() < 1


def test_rows_are_rows_and_columns_columns() -> None:
    alpha, mask = np.zeros((1, 4, 8)), np.zeros((1, 32, 32), bool)
    alpha[0, 3, 1] = 1
    mask[0, 24:, 4:8] = True
    assert pointing_accuracy(alpha, mask) == attention_mass(alpha, mask) == 1
    assert pointing_accuracy(alpha, mask[:, ::-1]) == attention_mass(alpha, mask[:, ::-1]) == 0
    assert attention_mass(alpha, mask.transpose(0, 2, 1)) == 0


def test_alike_everywhere_gets_the_area_and_the_mask_itself_everything() -> None:
    marked = masks(20).repeat(4, axis=1).repeat(4, axis=2)  # 224 pixels, every location of 56 × 56 whole
    area = marked.mean(axis=(1, 2))
    alike = np.full((20, 56, 56), 1 / 56**2)
    np.testing.assert_allclose(attention_mass(alike, marked), area)
    np.testing.assert_allclose(pointing_accuracy(alike, marked), area)
    ideal = marked[:, ::4, ::4] / marked[:, ::4, ::4].sum(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(attention_mass(ideal, marked), 1)
    np.testing.assert_allclose(pointing_accuracy(ideal, marked), 1)


def test_the_centre_lies_in_the_middle() -> None:
    assert centre((14, 14)).sum() == pytest.approx(1) and np.argwhere(centre((14, 14))).tolist() == [
        [6, 6],
        [6, 7],
        [7, 6],
        [7, 7],
    ]
    assert np.argwhere(centre((7, 7))).tolist() == [[3, 3]]
    for grid in [(14, 14), (7, 7), (4, 3)]:
        assert np.array_equal(centre(grid), centre(grid)[::-1, ::-1])


def test_the_interval_counts_groups_not_values() -> None:
    generator = np.random.default_rng(5)
    means = generator.normal(0.5, 0.2, 100)
    one = ratio_interval(means, range(100), seed=1)
    copied = ratio_interval(means.repeat(50), np.arange(100).repeat(50), seed=1)
    assert copied == pytest.approx(one), "fifty copies of each group say nothing new"
    closed = 1.96 * means.std() / 10
    assert one == pytest.approx((means.mean() - closed, means.mean() + closed), abs=0.15 * closed)
    alone = ratio_interval(means.repeat(50), range(5000), seed=1)
    assert alone[1] - alone[0] < 0.3 * (one[1] - one[0])


def test_the_interval_keeps_unequal_groups_together() -> None:
    values, groups = np.array([1.0, 1.0, 1.0, 0.0]), [7, 7, 7, 2]
    assert ratio_interval(values, groups, seed=1, level=0.98) == (0.0, 1.0)
    assert ratio_interval(values, groups, seed=1, level=0.4) == (0.75, 0.75), (
        "one of each: four values, three of them 1"
    )
    low, high = ratio_interval(np.full(4, 0.25), groups, seed=1)
    assert low == high == 0.25


@pytest.mark.parametrize("bad", [np.nan, -1.0, 0.0])
def test_weights_that_are_none_are_refused(bad: float) -> None:
    for measure in (pointing_accuracy, attention_mass):
        with pytest.raises(CourseError, match="finite"):
            measure(np.full((1, 2, 2), bad), masks(1))


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(CourseError, match="2 maps of weights but 3 masks"):
        attention_mass(weights(2), masks(3))
    with pytest.raises(CourseError, match="one for each"):
        ratio_interval(np.zeros(3), [1, 2])
    with pytest.raises(CourseError, match="at least one"):
        ratio_interval(np.zeros(0), [])
