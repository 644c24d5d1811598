"""Runs the plain functions of a widget's front end in Node, which comes with the packages for development."""

import json
import subprocess
from typing import Any

import typeset

from course_pkg.widgets.base import front_end, style_sheet

PAGE = """<!DOCTYPE html><html lang="en"{theme}><meta charset="utf-8"><title>A scrubber</title><style>{sheet}</style>
<meta name="viewport" content="width=device-width, initial-scale=1"><body style="{ground}">
<main><h1>A scrubber</h1><div id="here"></div></main><script>
const widget = (() => {{ {module} }})();
const state = {state}, saved = [], heard = {{}};
const model = {{
  get: (name) => state[name],
  set(name, value) {{ state[name] = value; heard[`change:${{name}}`]?.(); }},
  on(event, listener) {{ heard[event] = listener; }},
  off(event) {{ delete heard[event]; }},
  save_changes() {{ saved.push(state.step); }},
}};
const end = widget.render({{ model, el: document.getElementById("here") }});
</script></body></html>"""


def run_js(name: str, expression: str) -> Any:
    """The value of a JavaScript expression that may use every function of the widget ``name``."""
    code = front_end(name).replace("export default { render };", f"console.log(JSON.stringify({expression}));")
    done = subprocess.run(
        [typeset.program("node"), "--input-type=module"], input=code, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def scrubber_page(name: str, module: str, state: str, *, dark: bool = False) -> str:
    """A page that shows the widget ``name`` alone, with a model that notes what is saved and heard.

    ``module`` is its script with ``return`` in place of ``export default``, ``state`` what it is given, as JSON.
    """
    theme, ground = (' data-theme="dark"', "background: #121212; color: #eee") if dark else ("", "background: #fff")
    return PAGE.format(sheet=style_sheet(name), module=module, state=state, theme=theme, ground=ground)
