"""Sphinx extension: what the names in signatures and docstrings link to.

Links into Python's and PyTorch's pages come from inventories written here, so that a build asks no network.
Only the few names that our own pages refer to are listed: a name that nobody meant to link still fails it.
"""

import re
import zlib
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.environment import BuildEnvironment

PYTHON = {
    "library/functions.html": [
        "bool",
        "bytes",
        "dict",
        "float",
        "int",
        "list",
        "object",
        "set",
        "str",
        "tuple",
        "type",
    ],
    "library/os.html": ["os.PathLike"],
    "library/abc.html": ["abc.ABC"],
    "library/stdtypes.html": ["str.splitlines"],
    "library/exceptions.html": ["ValueError", "RuntimeError", "KeyError", "FileNotFoundError", "Exception"],
}
TORCH = {
    "tensors.html": ["torch.Tensor"],
    "generated/torch.nn.Module.html": ["torch.nn.Module"],
    "generated/torch.nn.GRU.html": ["torch.nn.GRU"],
    "generated/torch.optim.Adadelta.html": ["torch.optim.Adadelta"],
}

# A shape as jaxtyping writes it, a number, or a literal: part of a signature, and nobody's page.
SHAPE = re.compile(r"""^(['"].*['"]|[-\d.]+|True|False)$""")

# Classes of other libraries that a signature shows without its library.
ELSEWHERE = {"ndarray", "NDArray"}


def write_inventory(path: Path, project: str, pages: dict[str, list[str]]) -> str:
    """Write one Sphinx inventory (version 2) ; return its path."""
    head = "# Sphinx inventory version 2\n"
    head += f"# Project: {project}\n# Version: \n# The remainder of this file is compressed using zlib.\n"
    rows = [
        f"{name} py:{'method' if name.startswith('str.') else 'class'} 1 {page}#$ -\n"
        for page, names in pages.items()
        for name in names
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(head.encode() + zlib.compress("".join(rows).encode()))
    return str(path)


def add_inventories(app: Sphinx, config: Config) -> None:
    """Point intersphinx at inventories written into the build folder."""
    folder = Path(app.doctreedir, "inventories")
    config["intersphinx_mapping"] = {
        "python": ("https://docs.python.org/3", write_inventory(folder / "python.inv", "Python", PYTHON)),
        "torch": (
            "https://docs.pytorch.org/docs/stable",
            write_inventory(folder / "torch.inv", "PyTorch", TORCH),
        ),
    }


def resolve(app: Sphinx, env: BuildEnvironment, node: Any, content: nodes.Node) -> nodes.Node | None:
    """Find what a short name means; leave shapes and literals as text."""
    if node.get("refdomain") != "py":
        return None
    target = node["reftarget"]
    if SHAPE.match(target) or target in ELSEWHERE:
        return content
    domain = env.domains["py"]
    if target == "Tensor":
        node["reftarget"] = "torch.Tensor"
        return None
    ours = [name for name in domain.objects if name.rpartition(".")[2] == target]
    if len(ours) != 1:
        return None
    return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", ours[0], node, content)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register before intersphinx reads its setting (priority 800) and resolves names (500)."""
    app.connect("config-inited", add_inventories, priority=100)
    app.connect("missing-reference", resolve, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
