"""Built pages served on this machine, quietly, as the tests and the benchmark of the pages need them."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder below a prefix, and nothing outside it."""

    def __init__(self, *args: object, prefix: str, **settings: object) -> None:
        self.prefix = prefix
        super().__init__(*args, **settings)  # type: ignore[arg-type]

    def translate_path(self, path: str) -> str:
        if not path.startswith(self.prefix):
            return os.path.join(self.directory, "outside the prefix")
        return super().translate_path("/" + path.removeprefix(self.prefix))

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def served(folder: Path, prefix: str = "/") -> Iterator[str]:
    """The address below which a folder is served, on a free port of this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder), prefix=prefix))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}{prefix}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
