"""Arrays on disk that are filled row by row and survive being interrupted: the files behind `course_pkg.features`.

A folder holds a ``.npy`` file for each array and a record of how many rows of all of them are whole. Rows are
flushed to the disk before the record counts them, and the record is replaced in one step, so that a reader sees
whole rows or none, whenever the writer was killed.
"""

import contextlib
import errno
import io
import json
import os
import shutil
import sys
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, final

import numpy as np
from filelock import FileLock, Timeout
from tqdm import tqdm

from course_pkg.notation import CourseError

__all__ = ["RowWriter", "alone", "complete", "disk_errors", "open_rows", "read_record"]

FORMAT = 1
RECORD = "record.json"
LOCK = "lock"
SPARE = 1 << 20  # bytes left free on the disk

Shapes = Sequence[tuple[int, int]]
"""Locations and width of one row of each array."""


def read_record(folder: Path) -> dict[str, Any] | None:
    """``key``, ``names`` and ``done``, the number of whole rows; ``None`` where there is no sound record."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        sound = record["format"] == FORMAT and 0 <= record["done"] <= len(record["names"])
        sound = sound and {"key", "files"} <= set(record)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return record if sound else None


def complete(folder: Path) -> bool:
    """Whether every row in ``folder`` is there."""
    record = read_record(folder)
    if record is None or record["done"] != len(record["names"]):
        return False
    return all((folder / name).is_file() for name in record["files"])


def open_rows(folder: Path) -> list[np.ndarray]:
    """The complete arrays of ``folder``, float16 of shape ``(N, locations, width)``, mapped for reading.

    Raises :class:`~course_pkg.notation.CourseError` when they are not complete, or cut short since.
    """
    record = read_record(folder)
    if record is None or not complete(folder):
        raise CourseError(f"{folder} holds no complete features; let features.cached compute them")
    try:
        return [np.load(folder / name, mmap_mode="r") for name in record["files"]]
    except (OSError, ValueError):
        raise CourseError(f"the files in {folder} are damaged; remove the folder and compute them again") from None


@final
class RowWriter:
    """Goes on filling the arrays of a folder where the last writer stopped; use it inside `alone`.

    Attributes:
        done: rows that are whole.

    Args:
        folder: where the arrays are.
        key: what the rows are made with; rows of another key are dropped.
        names: a name for each row.
        shapes: locations and width of a row in each array.
    """

    def __init__(self, folder: Path, key: str, names: Sequence[str], shapes: Shapes) -> None:
        files = [f"map-{locations}x{width}.npy" for locations, width in shapes]
        self.folder = folder
        self._headers = [_header((len(names), *shape)) for shape in shapes]
        self._row_bytes = [2 * locations * width for locations, width in shapes]
        self._record: dict[str, Any] = {"format": FORMAT, "key": key, "names": list(names), "files": files, "done": 0}
        old = read_record(folder)
        if old is not None and {**old, "done": 0} == self._record:
            self._record["done"] = min([old["done"], *self._rows_in_files()])

    @property
    def done(self) -> int:
        """Rows that are whole."""
        return int(self._record["done"])

    def _rows_in_files(self) -> Iterator[int]:
        for name, header, row in zip(self._record["files"], self._headers, self._row_bytes, strict=True):
            path = self.folder / name
            yield max(0, path.stat().st_size - len(header)) // row if path.is_file() else 0

    def check_space(self) -> None:
        """Raise :class:`~course_pkg.notation.CourseError` unless the disk has room for the rows that are missing."""
        needed = sum(self._row_bytes) * (len(self._record["names"]) - self.done) + SPARE
        free = shutil.disk_usage(self.folder).free
        if needed > free:
            raise CourseError(
                f"the features need {needed / 1e9:.2f} GB in {self.folder}, where {free / 1e9:.2f} GB are free; "
                "make room, or set COURSE_CACHE to a folder on a larger disk"
            )

    def append(self, *rows: np.ndarray) -> None:
        """Write the next rows of each array, each ``(n, locations, width)``, and count them once they are on disk."""
        for index, values in enumerate(rows):
            self._write(index, values)
        self._record["done"] = self.done + len(rows[0])
        self._write_record()

    def _write(self, index: int, values: np.ndarray) -> None:
        header = self._headers[index]
        # Plain writes: on a full disk they raise an error, where writing to mapped memory kills the process.
        with open(self.folder / self._record["files"][index], "r+b" if self.done else "wb") as file:
            file.write(header)
            file.seek(len(header) + self.done * self._row_bytes[index])
            file.write(np.ascontiguousarray(values, dtype="<f2").tobytes())
            file.flush()
            os.fsync(file.fileno())

    def _write_record(self) -> None:
        part = self.folder / f".{RECORD}.{uuid.uuid4().hex}.part"
        try:
            with open(part, "x", encoding="utf-8") as file:
                json.dump(self._record, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, self.folder / RECORD)
        finally:
            part.unlink(missing_ok=True)


def _header(shape: tuple[int, ...]) -> bytes:
    stream = io.BytesIO()
    described: dict[str, Any] = {"descr": "<f2", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, described)
    return stream.getvalue()


@contextlib.contextmanager
def alone(folder: Path, say: bool = True) -> Iterator[None]:
    """Hold ``folder``, made if it is missing, for this process; wait while another one has it.

    The system lets go of the lock when its holder ends, however it ends.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if say:
            tqdm.write(f"another process is computing {folder}; waiting for it", file=sys.stderr)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turn what a full, read-only or forbidden disk raises into a :class:`~course_pkg.notation.CourseError`."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            reason = "the disk is full; make room (what is computed so far is kept)"
        else:
            reason = f"{(error.strerror or str(error)).lower()}; check the folder"
        raise CourseError(f"cannot keep features in {folder}: {reason}, or set COURSE_CACHE to another one") from None
