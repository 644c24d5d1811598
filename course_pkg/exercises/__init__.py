"""Automatic checks of the chapters' exercises: ``check("05.look", look)`` prints friendly feedback.

Each chapter's checks are in a module of their own, ``chNN``; it registers them when it is imported.
"""

from course_pkg.exercises.registry import Feedback, Finding, check, examine, exercise, names, right, wrong

__all__ = ["Feedback", "Finding", "check", "examine", "exercise", "names", "right", "wrong"]
