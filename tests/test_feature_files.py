"""Truths about arrays that are filled row by row: whole rows or none, whatever ended the writer."""

import errno
import json
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from refusals import refusal

from course_pkg import feature_files
from course_pkg.feature_files import RECORD, RowWriter, alone, complete, disk_errors, open_rows

NAMES = [f"{number}.jpg" for number in range(5)]
SHAPES = [(4, 3), (2, 5)]
ROWS = [np.random.default_rng(6).normal(size=(5, *shape)).astype(np.float16) for shape in SHAPES]


def writer(folder: Path, key: str = "key") -> RowWriter:
    """A writer of the five rows."""
    return RowWriter(folder, key, NAMES, SHAPES)


def fill(folder: Path, upto: int, step: int = 2) -> None:
    """Write rows until there are ``upto``."""
    to = writer(folder)
    while to.done < upto:
        rows = slice(to.done, min(upto, to.done + step))
        to.append(*(values[rows] for values in ROWS))


def same(folder: Path) -> bool:
    """Whether the folder holds exactly the rows."""
    return all(np.array_equal(found, rows) for found, rows in zip(open_rows(folder), ROWS, strict=True))


@pytest.mark.parametrize("steps", [(5,), (1, 5), (2, 3, 4, 5), (0, 5)])
def test_rows_are_read_as_written_over_any_number_of_writers(tmp_path: Path, steps: tuple[int, ...]) -> None:
    for upto in steps:
        fill(tmp_path, upto)
        assert complete(tmp_path) == (upto == 5)
    assert same(tmp_path) and all(values.dtype == np.float16 for values in open_rows(tmp_path))
    assert {path.suffix for path in tmp_path.iterdir()} == {".npy", ".json"}


def test_the_files_are_numpy_s(tmp_path: Path) -> None:
    fill(tmp_path, 5)
    assert np.array_equal(np.load(tmp_path / "map-4x3.npy"), ROWS[0])
    assert np.array_equal(np.load(tmp_path / "map-2x5.npy"), ROWS[1])


def test_what_is_incomplete_cannot_be_opened(tmp_path: Path) -> None:
    assert "no complete features" in refusal(lambda: open_rows(tmp_path))
    fill(tmp_path, 4)
    assert "no complete features" in refusal(lambda: open_rows(tmp_path))


def test_rows_beyond_the_record_are_written_again(tmp_path: Path) -> None:
    """A writer killed between the arrays and the record: the record is right."""
    fill(tmp_path, 4)
    record = json.loads((tmp_path / RECORD).read_text())
    (tmp_path / RECORD).write_text(json.dumps({**record, "done": 2}))
    (tmp_path / "map-4x3.npy").write_bytes((tmp_path / "map-4x3.npy").read_bytes() + b"rubbish")
    assert writer(tmp_path).done == 2
    fill(tmp_path, 5)
    assert same(tmp_path)


def test_rows_missing_from_a_file_are_written_again(tmp_path: Path) -> None:
    """A record that promises more than the disk kept: the files are right."""
    fill(tmp_path, 4)
    path = tmp_path / "map-2x5.npy"
    path.write_bytes(path.read_bytes()[:-25])  # a row is 20 bytes
    assert writer(tmp_path).done == 2
    fill(tmp_path, 5)
    assert same(tmp_path)
    path.unlink()
    assert not complete(tmp_path) and writer(tmp_path).done == 0


def test_the_record_counts_rows_only_when_all_arrays_have_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupted between the two arrays of the last batch: the folder must not call itself complete."""
    fill(tmp_path, 3)
    write = RowWriter._write

    def interrupted(self: RowWriter, index: int, values: np.ndarray) -> None:
        if index == 1:
            raise KeyboardInterrupt
        write(self, index, values)

    with monkeypatch.context() as patch:
        patch.setattr(RowWriter, "_write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fill(tmp_path, 5)
    assert json.loads((tmp_path / RECORD).read_text())["done"] == 3 and not complete(tmp_path)
    fill(tmp_path, 5)
    assert same(tmp_path)


@pytest.mark.parametrize("spoilt", ["", "{", "[]", "null", '{"format": 1}', '{"format": 1, "names": 3, "done": "x"}'])
def test_a_spoilt_record_means_starting_over(tmp_path: Path, spoilt: str) -> None:
    fill(tmp_path, 5)
    (tmp_path / RECORD).write_text(spoilt)
    assert not complete(tmp_path) and writer(tmp_path).done == 0
    fill(tmp_path, 5)
    assert same(tmp_path)


def test_rows_of_another_key_are_dropped(tmp_path: Path) -> None:
    fill(tmp_path, 3)
    assert writer(tmp_path).done == 3
    assert writer(tmp_path, "another").done == 0
    assert RowWriter(tmp_path, "key", NAMES[:4], SHAPES).done == 0


def test_files_cut_short_since_are_refused(tmp_path: Path) -> None:
    fill(tmp_path, 5)
    path = tmp_path / "map-4x3.npy"
    path.write_bytes(path.read_bytes()[:-1])
    assert "damaged" in refusal(lambda: open_rows(tmp_path))


@pytest.mark.parametrize("fails", ["fsync", "replace"])  # of the rows; of the record, which is replaced in one step
def test_a_full_disk_is_told_beforehand_and_on_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    fill(tmp_path, 2)

    def nearly_full(folder: Path) -> Any:
        return type("Usage", (), {"free": 10})

    with monkeypatch.context() as patch:
        patch.setattr(feature_files.shutil, "disk_usage", nearly_full)
        assert "set COURSE_CACHE" in refusal(writer(tmp_path).check_space)
    writer(tmp_path).check_space()

    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(feature_files.os, fails, full)

        def attempt() -> None:
            with disk_errors(tmp_path):
                fill(tmp_path, 5)

        assert "the disk is full" in refusal(attempt)
    assert writer(tmp_path).done == 2 and not list(tmp_path.glob("*.part"))
    fill(tmp_path, 5)
    assert same(tmp_path)


def test_a_forbidden_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    def attempt() -> None:
        with disk_errors(tmp_path / "file" / "below"), alone(tmp_path / "file" / "below"):
            pass

    assert "check the folder" in refusal(attempt)


def test_one_at_a_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    order: list[str] = []

    def second() -> None:
        with alone(tmp_path):
            order.append("second")

    with alone(tmp_path, say=False):
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.3)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    assert "waiting" in capsys.readouterr().err
