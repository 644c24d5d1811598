"""Sphinx extension: repairs to what the theme stack writes, and MathJax beside the pages."""

import shutil
from importlib.metadata import files
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

FONTS = "output/chtml/fonts/woff-v2/"


def drop_repeated_scripts(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Keep one of each inline script: the stack declares a constant twice, and the second throws."""
    seen: set[str] = set()
    kept = []
    for script in context.get("script_files", []):
        body = getattr(script, "attributes", {}).get("body")
        if body is None or body not in seen:
            kept.append(script)
        if body is not None:
            seen.add(body)
    context["script_files"] = kept


def copy_mathjax(static: Path) -> None:
    """Put the one component that pages load, and its fonts, where ``mathjax_path`` points."""
    for file in files("sphinx-mathjax-offline") or []:
        _, mark, name = str(file).replace("\\", "/").partition("/static/mathjax/")
        if mark and (name == "tex-chtml.js" or name.startswith(FONTS)):
            target = static / "vendor/mathjax" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(str(file.locate()), target)


def finish(app: Sphinx, error: Exception | None) -> None:
    """After the build: add MathJax, empty a 1.5 MB script that only redraws icons the fonts draw already."""
    if error is not None or app.builder.format != "html":
        return
    static = Path(app.outdir, "_static")
    copy_mathjax(static)
    icons = static / "scripts/fontawesome.js"
    if icons.exists():
        icons.write_text("/* The icons come from the fonts. */\n", encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the repairs; late, so that they see what the theme has added."""
    app.connect("html-page-context", drop_repeated_scripts, priority=900)
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
