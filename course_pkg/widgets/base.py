"""What all widgets of the course share: a front end of plain modules, and what is shown where it cannot run.

A widget's JavaScript stands beside its Python class and imports what it shares from ``parts.js``. A kernel's page
takes one module, so the two are joined here, without a bundler; the book serves them joined in the same way.
"""

import re
from html import escape
from importlib import resources
from typing import Any

import anywidget

__all__ = ["CourseWidget", "front_end", "own_part", "shared_part", "style_sheet"]

_IMPORT = re.compile(r'^import \{[^}]*\} from "\./parts\.js";\n', re.MULTILINE)
_COMMENT = re.compile(r"^ *(?:/\*\*.*?\*/|//[^\n]*)\n", re.MULTILINE | re.DOTALL)
_EXPORT = re.compile(r"^export (?=(?:async )?function |const |let |class )", re.MULTILINE)


def _read(name: str) -> str:
    """The file; a script without the comments that have lines of their own, which no browser needs to be sent."""
    text = (resources.files(__package__) / name).read_text(encoding="utf-8")
    return _COMMENT.sub("", text) if name.endswith(".js") else text


def shared_part(ending: str) -> str:
    """``parts.js`` or ``parts.css``: what every widget uses; the script exports nothing any more."""
    text = _read(f"parts.{ending}")
    return _EXPORT.sub("", text) if ending == "js" else text


def own_part(name: str, ending: str) -> str:
    """What the widget ``name`` adds to the shared part; its script ends in ``export default``."""
    text = _read(f"{name}.{ending}")
    return _IMPORT.sub("", text) if ending == "js" else text


def front_end(name: str) -> str:
    """The module of the widget ``name`` as one text, ``parts.js`` first; it ends in ``export default``."""
    return shared_part("js") + own_part(name, "js")


def style_sheet(name: str) -> str:
    """The style sheet of the widget ``name``, that of the shared parts first."""
    return shared_part("css") + own_part(name, "css")


class CourseWidget(anywidget.AnyWidget):
    """A widget that says the same as HTML where no JavaScript runs.

    A subclass sets ``_esm = front_end(name)`` and ``_css = style_sheet(name)``, has its data as synchronised
    traits of plain JSON (a page without a kernel has no binary buffers and no messages), and writes `fallback`
    and ``__repr__``, which nbval compares: it should name what the widget shows.
    """

    def fallback(self) -> str:
        """The same content as HTML, without scripts; readers' text in it is escaped."""
        return f"<p>{escape(repr(self))}</p>"

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict, dict] | None:
        shown = super()._repr_mimebundle_(**kwargs)
        if shown is not None:
            shown[0].update({"text/plain": repr(self), "text/html": self.fallback()})
        return shown
