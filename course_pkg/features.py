"""Image features, computed once and kept on disk: what a captioner reads instead of photographs. Chapter 13.

The two maps of each picture are kept in half precision as they leave the network, 0.17 MB a picture, and joined when
a batch is read; the joined annotations of 8,000 pictures would fill 4.4 GB. Both networks of `NETWORKS` read the
same files.
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from course_pkg import feature_files, pictures
from course_pkg.corpora import cache_folder
from course_pkg.feature_networks import MAPS, NETWORKS, FeatureNetwork, Kind, join, kind, network, prepare, unjoined
from course_pkg.notation import CourseError

__all__ = [
    "NETWORKS",
    "FeatureNetwork",
    "FeatureStore",
    "Kind",
    "cached",
    "join",
    "kind",
    "network",
    "prepare",
    "unjoined",
]

BATCH = 25  # pictures in the network at once; more is no faster on a processor
ENDS = 1 << 14  # bytes at each end of a picture's file by which it is known again

Indices = Sequence[int] | np.ndarray


@final
class FeatureStore:
    """The features of N pictures, complete on disk, opened for reading; made by `cached`.

    Behaves like an array of shape ``(N, L, D0)``: ``store[i]`` is one picture's annotations, `rows` a batch.
    Nothing is held in memory but what the system keeps of the files; sent to another process, the store is opened
    anew there.

    Attributes:
        folder: where the files are.
        kind: the network's name, grid, feature size and key.
        names: the pictures' file names, in order.

    Args:
        folder: a folder that `cached` has filled; it may have been moved, and is read without the network's packages.
        name: one of `NETWORKS`.
    """

    def __init__(self, folder: str | os.PathLike[str], name: str) -> None:
        self.folder, self.kind = Path(folder), kind(name)
        self._maps = feature_files.open_rows(self.folder)
        record = feature_files.read_record(self.folder) or {}
        if record["key"] != self.kind.key:
            raise CourseError(f"{self.folder} holds features of {record['key']!r}, not of {self.kind.key!r}")
        self.names: tuple[str, ...] = tuple(record["names"])

    def __reduce__(self) -> tuple[Any, ...]:
        return FeatureStore, (self.folder, self.kind.name)

    def __repr__(self) -> str:
        return f"FeatureStore({self.kind.name}, shape={self.shape})"

    def __len__(self) -> int:
        return len(self.names)

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(N, L, D0)``."""
        rows, columns = self.kind.grid
        return len(self), rows * columns, self.kind.feature_size

    def maps(self, indices: Indices) -> tuple[Float[Tensor, "B 196 112"], Float[Tensor, "B 49 1280"]]:
        """The pictures' two maps as they are kept, in half precision: what `join` makes annotations of, anywhere."""
        wanted = np.asarray(indices, dtype=np.int64)
        middle, last = (torch.from_numpy(values[wanted]) for values in self._maps)
        return middle, last

    def rows(self, indices: Indices, dtype: torch.dtype = torch.float32) -> Float[Tensor, "B L D0"]:
        """The annotations of the pictures with these indices, in this order; an index may come twice."""
        middle, last = self.maps(indices)
        return join(self.kind.name, middle.to(dtype), last.to(dtype))

    def __getitem__(self, index: int) -> Float[Tensor, "L D0"]:
        return self.rows([index])[0]


def cached(
    images: Sequence[Path],
    name: str,
    *,
    fit: str = "crop",
    folder: Path | None = None,
    device: torch.device | str = "cpu",
    progress: bool = True,
) -> FeatureStore:
    """The features of ``images`` by network ``name``, from the disk where they are there already.

    What was computed before an interruption is kept and the rest goes on from there. Of several processes one
    computes and the others wait for it. Features are found again by the network's key, ``fit`` and the pictures'
    names, sizes and bytes at either end, so that a moved folder of pictures costs nothing and a changed picture is
    noticed.

    Args:
        images: the pictures' files; row ``i`` of the store is ``images[i]``.
        name: one of `NETWORKS`; both share what is kept.
        fit: how a picture is brought to 224 × 224, as in `course_pkg.pictures.View.of`.
        folder: where to keep features, by default ``features`` in `course_pkg.corpora.cache_folder`.
        device: where the network runs.
        progress: show a bar with the time left.

    Raises:
        CourseError: a picture is missing or cannot be read, the network's packages are missing, or the disk is
            full or closed to writing.
    """
    if not images:
        raise CourseError("there are no pictures to compute features of; give at least one")
    paths = [Path(image) for image in images]
    pictures.View.of((pictures.SIDE, pictures.SIDE), fit)  # an unknown fit is refused before anything is written
    found_by = f"{kind(name).key} {fit} {_fingerprint(paths)}"
    target = (folder or cache_folder() / "features") / hashlib.sha256(found_by.encode()).hexdigest()[:24]
    if not feature_files.complete(target):
        with feature_files.disk_errors(target), feature_files.alone(target, say=progress):
            _fill(target, paths, name, fit, device, progress)
    return FeatureStore(target, name)


def _fill(target: Path, paths: list[Path], name: str, fit: str, device: torch.device | str, progress: bool) -> None:
    shapes = [(rows * columns, width) for rows, columns, width in MAPS]
    writer = feature_files.RowWriter(target, kind(name).key, [path.name for path in paths], shapes)
    writer.check_space()
    if writer.done == len(paths):  # another process was first
        return
    net = network(name, device)
    with tqdm(total=len(paths), initial=writer.done, unit="picture", desc="features", disable=not progress) as bar:
        while batch := paths[writer.done : writer.done + BATCH]:
            images = prepare(pictures.read_all(batch, fit)).to(device, memory_format=torch.channels_last)
            with torch.inference_mode():
                maps = net.maps(images)
            writer.append(*(values.half().cpu().numpy() for values in maps))
            bar.update(len(batch))


def _fingerprint(paths: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        try:
            with open(path, "rb") as file:
                size = os.fstat(file.fileno()).st_size
                ends = file.read(ENDS)
                file.seek(max(ENDS, size - ENDS))
                ends += file.read(ENDS)
        except OSError as error:
            raise CourseError(f"cannot read {path}: {(error.strerror or str(error)).lower()}; check the path") from None
        digest.update(f"{path.name}\0{size}\0".encode("utf-8", "surrogateescape") + hashlib.sha256(ends).digest())
    return digest.hexdigest()
