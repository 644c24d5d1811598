"""The widgets of the course: α and the reader's own hand on it, with or without a kernel. Chapters 1, 2, 4–9, 11–13.

Each class stands in its own module with its JavaScript and its style sheet beside it. A widget takes tokens and
numbers only and knows nothing of models; all interaction happens in the browser.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from course_pkg.widgets.alignment_scrubber import AlignmentScrubber
    from course_pkg.widgets.cover_up import CoverUp
    from course_pkg.widgets.draw_curve import DrawCurve
    from course_pkg.widgets.region_scrubber import RegionScrubber
    from course_pkg.widgets.soft_lookup import SoftLookup

__all__ = [
    "AlignmentScrubber",
    "CoverUp",
    "DrawCurve",
    "RegionScrubber",
    "SoftLookup",
]

# The module of each widget class, which has its front end beside it.
HOMES: dict[str, str] = {
    "AlignmentScrubber": "alignment_scrubber",
    "CoverUp": "cover_up",
    "DrawCurve": "draw_curve",
    "RegionScrubber": "region_scrubber",
    "SoftLookup": "soft_lookup",
}


def __getattr__(name: str) -> Any:
    if name in HOMES:
        return getattr(import_module(f"{__name__}.{HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
