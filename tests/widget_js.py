"""Runs the plain functions of a widget's front end in Node, which comes with the packages for development."""

import json
import subprocess
from typing import Any

import typeset

from course_pkg.widgets.base import front_end


def run_js(name: str, expression: str) -> Any:
    """The value of a JavaScript expression that may use every function of the widget ``name``."""
    code = front_end(name).replace("export default { render };", f"console.log(JSON.stringify({expression}));")
    done = subprocess.run(
        [typeset.program("node"), "--input-type=module"], input=code, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
