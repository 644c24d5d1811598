"""Note what the Python programs of one environment write, and whom they call.

``tools/check_everywhere.py`` copies this file into an environment, where a ``.pth`` line starts it in every Python
process. One line for each thing, ``wrote<TAB>path`` or ``called<TAB>host``, goes to the file that ``WRITE_WATCH``
names. What a library writes without Python's own ``open`` is not seen here: folders are compared for that.
"""

import contextlib
import os
import sys
from typing import Any

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# Where the path stands among an event's arguments.
MAKES = {"os.mkdir": 0, "os.rename": 1, "os.symlink": 1, "os.link": 1, "os.truncate": 0, "sqlite3.connect": 0}
LOCAL = ("127.", "::1", "localhost")


def noted(event: str, arguments: tuple[Any, ...]) -> str | None:
    """The line for an audit event; ``None`` for an event that writes nothing and calls nobody."""
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        host = str(arguments[1][0])
        return None if host.startswith(LOCAL) else f"called\t{host}"
    if event == "open":
        path, _, flags = arguments
        if not isinstance(flags, int) or not flags & WRITING:
            return None
    elif event in MAKES:
        path = arguments[MAKES[event]]
    else:
        return None
    if not isinstance(path, (str, bytes, os.PathLike)) or os.fspath(path) in ("", ":memory:"):
        return None  # an open file, or no file
    whole = os.path.realpath(os.fsdecode(path))
    if event == "os.mkdir" and os.path.isdir(whole):
        return None  # asked for, and there already
    return f"wrote\t{whole}"


def start(log: str) -> None:
    """Watch this process from now on."""
    target = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    seen = set()

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        with contextlib.suppress(Exception):  # a watcher disturbs nobody
            line = noted(event, arguments)
            if line and line not in seen:
                seen.add(line)
                os.write(target, f"{line}\n".encode(errors="replace"))

    sys.addaudithook(hook)


if "WRITE_WATCH" in os.environ:
    start(os.environ["WRITE_WATCH"])
