"""Records and errors: what every other module builds on."""

import dataclasses
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from course_pkg.notation import CourseError, Record


@dataclass(frozen=True)
class Inner(Record):
    values: Tensor


@dataclass(frozen=True)
class Outer(Record):
    values: Tensor
    inner: Inner
    nothing: Tensor | None = None
    name: str = "kept"


@pytest.fixture
def record() -> Outer:
    return Outer(torch.arange(6).view(3, 2), Inner(torch.arange(3)))


def test_take_picks_rows_of_every_tensor_in_the_given_order(record: Outer) -> None:
    taken = record.take(torch.tensor([2, 0, 2]))
    assert taken.values.tolist() == [[4, 5], [0, 1], [4, 5]]
    assert taken.inner.values.tolist() == [2, 0, 2]
    assert taken.nothing is None and taken.name == "kept"


def test_take_leaves_the_original_as_it_was(record: Outer) -> None:
    record.take(torch.tensor([1])).values.zero_()
    assert record.values.tolist() == [[0, 1], [2, 3], [4, 5]]


def test_to_moves_every_tensor(record: Outer) -> None:
    moved = record.to("meta")
    assert moved.values.device.type == moved.inner.values.device.type == "meta"
    assert record.values.device.type == "cpu"


def test_records_are_frozen(record: Outer) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        record.name = "other"  # type: ignore[misc]


def test_a_course_error_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="one line"):
        raise CourseError("one line")
