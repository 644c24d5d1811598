"""Runs the plain functions of a widget's front end in Node, which comes with the packages for development."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from course_pkg.widgets.base import front_end


def run_js(name: str, expression: str) -> Any:
    """The value of a JavaScript expression that may use every function of the widget ``name``."""
    node = shutil.which("node", path=str(Path(sys.executable).parent)) or shutil.which("node")
    if node is None:
        pytest.skip("Node is not installed")
    code = front_end(name).replace("export default { render };", f"console.log(JSON.stringify({expression}));")
    done = subprocess.run([node, "--input-type=module"], input=code, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
