"""How bad input is refused, for the tests of every module that reads files."""

from collections.abc import Callable

import pytest

from course_pkg.notation import CourseError


def refusal(call: Callable[[], object]) -> str:
    """The one line with which ``call`` refuses its input."""
    with pytest.raises(CourseError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    return message
