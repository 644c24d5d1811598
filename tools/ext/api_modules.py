"""Sphinx extension: the interface page lists every module that the package has, so none can be forgotten."""

import pkgutil
from importlib.util import find_spec
from typing import Any

from sphinx.application import Sphinx
from sphinx.ext.napoleon.docstring import GoogleDocstring

PAGE = "book/api"
MARK = "<!-- every module -->"
# The order in which a reader meets them; a module that stands nowhere here comes last.
SECTIONS = {
    "Use a trained model": ["inference", "captioner", "steering", "evaluation", "caption_evaluation", "cli"],
    "The parts of a model": [
        "notation", "vocabulary", "attention", "recurrent", "encoders", "decoders", "caption_decoder", "models",
        "losses",
    ],
    "From steps to sentences, and how good they are": [
        "search", "search_tree", "metrics", "caption_metrics", "pointing", "category_words", "probe", "cost",
    ],
    "Data": ["toy", "toy_grammar", "toy_lexicon", "toy_sampler", "corpora", "preparation", "captioning", "batching"],
    "Drawn scenes": [
        "scenes", "scenes_grammar", "scenes_sampler", "scenes_layout", "scenes_places", "scenes_people",
        "scenes_animals", "scenes_things", "scenes_drawing",
    ],
    "Pictures": ["captioned", "located", "pictures", "features", "feature_networks", "feature_files"],
    "Training": ["training", "objective", "bptt", "recipes", "checkpoints", "results"],
    "Beside the chapters": [
        "exercises", "plotting", "drawing", "diagrams", "tree_drawing", "alpha_page", "caption_page",
    ],
}  # fmt: skip


def page_text() -> str:
    """Markdown with one ``automodule`` for each module."""
    package = find_spec("course_pkg")
    if package is None or not package.submodule_search_locations:
        raise RuntimeError("course_pkg is not installed")
    left = {module.name for module in pkgutil.iter_modules(package.submodule_search_locations)} - {"__main__"}
    sections = {title: [name for name in names if name in left] for title, names in SECTIONS.items()}
    sections["More"] = sorted(left - {name for names in sections.values() for name in names})
    lines = []
    for title, names in sections.items():
        if names:
            lines.append(f"## {title}\n")
        for name in names:
            lines.append(f"### `course_pkg.{name}`\n\n```{{eval-rst}}\n.. automodule:: course_pkg.{name}\n```\n")
    return "\n".join(lines)


def fill_in(app: Sphinx, page: str, source: list[str]) -> None:
    """Put the list where the page asks for it."""
    if page == PAGE:
        source[0] = source[0].replace(MARK, page_text())


def leave_out(app: Sphinx, what: str, name: str, thing: Any, skip: bool, options: Any) -> bool | None:
    """Leave out what a class of ours has only from another library."""
    module = getattr(thing, "__module__", None)
    return True if module and not module.startswith("course_pkg") and callable(thing) else None


def whole_docstring(self: GoogleDocstring) -> list[str]:
    """The docstring of a constant as it stands: a colon in its first line does not make it "type: text"."""
    return list(self._consume_to_end())


def whole_returns_section(self: GoogleDocstring, preprocess_types: bool = False) -> list[tuple[str, str, list[str]]]:
    """What a function returns, as text: the signature has the type."""
    return [("", "", self._dedent(self._consume_to_next_section()))]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the changes to the page's source and to what autodoc shows."""
    app.connect("source-read", fill_in)
    app.connect("autodoc-skip-member", leave_out)
    GoogleDocstring._parse_attribute_docstring = whole_docstring
    GoogleDocstring._consume_returns_section = whole_returns_section
    return {"parallel_read_safe": True, "parallel_write_safe": True}
