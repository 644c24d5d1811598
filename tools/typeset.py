"""Equations typeset when the book is built, so that a page shows them without a script.

MathJax runs once, under the Node.js of the virtual environment, over the equations of all pages. The same folder
brings what the browser tests need; ``package-lock.json`` fixes every version and names no server.
"""

import html
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

FRONT_END = Path(__file__).resolve().parent / "front_end"
MODULES = FRONT_END / "node_modules"
FONTS = MODULES / "mathjax-full/es5/output/chtml/fonts/woff-v2"
# What Sphinx writes for an equation: TeX between \( and \) in the text, between \[ and \] in a display; a sign that
# follows an equation in the text must not begin the next line.
MATH = re.compile(
    r'(<(span|div) class="(?:[\w-]+ )*?math notranslate nohighlight"[^>]*>)'
    r"\s*\\([(\[])(.*?)\\[)\]]\s*(</\2>)((?<=</span>)[,.;:?!)’”]+)?",
    re.DOTALL,
)

Equation = tuple[str, bool]


def program(name: str) -> str:
    """Where ``node`` or ``npm`` is: in the virtual environment, or else on the system."""
    beside = shutil.which(name, path=str(Path(sys.executable).parent))
    found = beside or shutil.which(name)
    if found is None:
        sys.exit(f"{name} is missing: install the packages of requirements.lock, which bring it.")
    return found


def node_environment() -> dict[str, str]:
    """The environment in which a program finds the ``node`` beside it."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return {**os.environ, "PATH": path}


def install(modules: Path = MODULES) -> Path:
    """The folder with the packages of ``package-lock.json``, installed where it is missing or older than the lock."""
    lock = (FRONT_END / "package-lock.json").read_text(encoding="utf-8")
    stamp = modules / ".course-lock"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == lock:
        return modules
    with tempfile.TemporaryDirectory(dir=modules.parent) as folder:
        for name in ("package.json", "package-lock.json"):
            shutil.copy2(FRONT_END / name, folder)
        command = [program("npm"), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        if subprocess.run(command, cwd=folder, env=node_environment(), stdout=subprocess.DEVNULL).returncode:
            sys.exit("npm could not fetch the packages of tools/front_end: see the lines above.")
        fresh = Path(folder, "node_modules")
        (fresh / stamp.name).write_text(lock, encoding="utf-8")
        shutil.rmtree(modules, ignore_errors=True)
        shutil.move(fresh, modules)
    return modules


def typeset(equations: list[Equation]) -> tuple[dict[Equation, str], str]:
    """The HTML of each equation (TeX, and whether it is displayed) and the style sheet for all.

    Ends the program with the equation's TeX where MathJax does not understand it.
    """
    install()
    done = subprocess.run(
        [program("node"), "typeset.js"],
        input=json.dumps(equations),
        cwd=FRONT_END,
        env=node_environment(),
        capture_output=True,
        encoding="utf-8",
    )
    if done.returncode:
        sys.exit(f"An equation is not TeX that MathJax knows:\n{done.stderr}")
    result = json.loads(done.stdout)
    # An equation may stand on a page twice, an id may not.
    pieces = [re.sub(r' id="mjx-eqn[^"]*"', "", piece) for piece in result["html"]]
    return dict(zip(equations, pieces, strict=True)), result["css"]


def equation_of(match: re.Match[str]) -> Equation:
    """TeX and kind of one equation found by ``MATH``."""
    return html.unescape(match[4]).strip(), match[3] == "["


def replaced(match: re.Match[str], piece: str) -> str:
    """The HTML in the place of one equation found by ``MATH``, with the sign that must stay beside it."""
    shown = f"{match[1]}{piece}{match[5]}"
    return f'<span class="math-and-sign">{shown}{match[6]}</span>' if match[6] else shown


def typeset_pages(pages: dict[Path, str], static: Path) -> dict[Path, str]:
    """The pages with every equation typeset; writes the style sheet and the fonts below ``static``."""
    wanted = sorted({equation_of(match) for text in pages.values() for match in MATH.finditer(text)})
    pieces, css = typeset(wanted)
    shutil.copytree(FONTS, static / "mathjax", dirs_exist_ok=True)
    (static / "mathjax.css").write_text(css, encoding="utf-8")
    return {
        path: MATH.sub(lambda match: replaced(match, pieces[equation_of(match)]), text) for path, text in pages.items()
    }
