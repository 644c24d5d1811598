"""Stored results: readable by name, and each with a complete passport."""

import pytest

from course_pkg import results
from course_pkg.evaluation import PASSPORT
from course_pkg.notation import CourseError


@pytest.mark.parametrize("name", results.names())
def test_every_result_can_be_measured_again(name: str) -> None:
    stored = results.read(name)
    assert stored["title"] and stored["rows"]
    assert set(stored["passport"]) == set(PASSPORT)
    fields = {field for field, _ in stored["columns"]}
    assert all(fields >= set(row) or set(row) & fields for row in stored["rows"])


def test_an_unknown_name_is_one_clear_line() -> None:
    with pytest.raises(CourseError, match=r"no result 'nothing'.*toy-en-fr-rnnsearch"):
        results.read("nothing")
