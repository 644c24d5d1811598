"""Widgets in notebooks and on pages that no kernel serves.

A stored notebook keeps of a widget what is its own: its class and its data, in the metadata of the output, beside the
HTML that says the same. The front end is left out: it is the package's, and a copy in every notebook would grow old.
So JupyterLab and GitHub show the HTML until the cell is run. The pages carry the data and load the front end once.
"""

import json
from html import escape
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from course_pkg import widgets
from course_pkg.widgets import base

STATE = "application/vnd.jupyter.widget-state+json"
VIEW = "application/vnd.jupyter.widget-view+json"
# Where a stored notebook keeps a widget, in the metadata of its output.
KEPT = "course_widget"
# What a widget's state holds beside the data of its class.
MACHINERY = {"layout", "tabbable", "tooltip"}
RUNTIME = Path(__file__).resolve().parent / "front_end/widgets.js"
HOST = "course-widget-host"


def outputs_of(notebook: NotebookNode) -> list[NotebookNode]:
    """All outputs with data, in order."""
    return [output for cell in notebook.cells for output in cell.get("outputs", []) if "data" in output]


def own_data(model: dict[str, Any]) -> dict[str, Any]:
    """The data of a widget, without its front end and what every widget has."""
    return {key: value for key, value in sorted(model.items()) if not key.startswith("_") and key not in MACHINERY}


def class_of(model: dict[str, Any]) -> str | None:
    """The name of the course's widget class that a saved model belongs to, if it is one."""
    name = model.get("state", {}).get("_anywidget_id", "").rpartition(".")[2]
    return name if name in widgets.HOMES else None


def keep_own_data(notebook: NotebookNode) -> None:
    """Turn every view of one of the course's widgets into HTML, its data kept in the output's metadata.

    The state of other libraries' widgets stays as it is; where there is none, the notebook keeps no widget state.
    """
    state = notebook.metadata.get("widgets", {}).get(STATE, {}).get("state", {})
    numbers: dict[str, int] = {}
    for output in outputs_of(notebook):
        model = output.data.get(VIEW, {}).get("model_id")
        name = class_of(state.get(model, {}))
        if name is None:
            continue
        first = model not in numbers
        number = numbers.setdefault(model, len(numbers) + 1)
        kept: dict[str, Any] = {"widget": name, "model": number}
        if first:  # further views of the same widget share its data
            kept["state"] = own_data(state[model]["state"])
        output.data = NotebookNode({mime: value for mime, value in output.data.items() if mime != VIEW})
        output.metadata[KEPT] = NotebookNode(kept)
    for model in [model for model in state if class_of(state[model])]:
        del state[model]
    if not any(VIEW in output.data for output in outputs_of(notebook)):
        notebook.metadata.pop("widgets", None)


def data_block(value: Any) -> str:
    """JSON that may stand in a ``script`` element: no text in it can end the element."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def host_html(kept: dict[str, Any], fallback: str) -> str:
    """What stands on a page in the place of a widget: its fallback, and its data for the front end."""
    model = f'data-model="{kept["model"]}"'
    block = ""
    if "state" in kept:
        block = (
            f'<script type="application/json" class="course-widget-state" {model}>{data_block(kept["state"])}</script>'
        )
    name = escape(kept["widget"])
    inner = f'<div class="course-widget-fallback">{fallback}</div>'
    return f'<div class="{HOST}" data-widget="{name}" {model}>{inner}</div>{block}'


def show_on_page(notebook: NotebookNode) -> None:
    """Prepare the notebook for a page without a kernel.

    The course's widgets become hosts that the front end fills; others keep their HTML or text.
    """
    notebook.metadata.pop("widgets", None)
    for output in outputs_of(notebook):
        output.data.pop(VIEW, None)
        kept = output.metadata.pop(KEPT, None)
        if kept is not None:
            output.data = NotebookNode({"text/html": host_html(kept, output.data.get("text/html", ""))})


def page_script() -> str:
    """One classic script with the shared parts, every widget's module as a function, and the code that draws them.

    It needs no module loader, so that it also runs on a page opened from a folder.
    """
    pieces = ['(() => {\n"use strict";', base.shared_part("js"), "const modules = {};"]
    for name, home in sorted(widgets.HOMES.items()):
        body, mark, _ = base.own_part(home, "js").rpartition("export default ")
        if not mark:
            raise ValueError(f"{home}.js does not end in `export default {{ render }};`")
        pieces.append(f"modules.{name} = () => {{\n{body}\nreturn {{ render }};\n}};")
    return "\n".join([*pieces, RUNTIME.read_text(encoding="utf-8"), "})();\n"])


def page_styles() -> str:
    """One style sheet: the shared parts, then every widget's own rules."""
    own = (base.own_part(home, "css") for _, home in sorted(widgets.HOMES.items()))
    return base.shared_part("css") + "".join(own)
