"""Learning Where to Look: attention-based models, from the bottleneck to Show, Attend and Tell.

One module per concept of the field; `import course_pkg` brings in none of them, so it stays light.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("course-pkg")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"

__all__ = ["__version__"]
