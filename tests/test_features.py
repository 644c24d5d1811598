"""Truths about kept features: the same as computed, once, after any interruption, and found again or not."""

import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from refusals import refusal

from course_pkg import feature_files, features, pictures
from course_pkg.corpora import cache_folder

FINE, COARSE = "efficientnet-lite0-14", "efficientnet-lite0"


@pytest.fixture(scope="module")
def net() -> features.FeatureNetwork:
    """The network with its trained weights."""
    return features.network(FINE)


@pytest.fixture
def photographs(tmp_path: Path) -> list[Path]:
    """Seven pictures of patches."""
    generator = np.random.default_rng(5)
    (tmp_path / "photographs").mkdir()
    paths = [tmp_path / "photographs" / f"{number}.png" for number in range(7)]
    for path in paths:
        patches = generator.integers(0, 256, (7, 7, 3), dtype=np.uint8)
        Image.fromarray(patches.repeat(32, axis=0).repeat(32, axis=1)).save(path)
    return paths


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[int]:
    """How many pictures went through the network in each batch; batches are of two, kept in an empty cache."""
    batches: list[int] = []
    maps = features.FeatureNetwork.maps

    def counted(self: features.FeatureNetwork, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        batches.append(len(images))
        return maps(self, images)

    monkeypatch.setattr(features.FeatureNetwork, "maps", counted)
    monkeypatch.setattr(features, "BATCH", 2)
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "cache"))
    return batches


def kept(paths: list[Path], name: str = FINE, **options: Any) -> features.FeatureStore:
    """The features, without a bar."""
    return features.cached(paths, name, progress=False, **options)


def test_what_is_kept_is_what_the_network_gives(
    photographs: list[Path], computed: list[int], net: features.FeatureNetwork
) -> None:
    fine, coarse = kept(photographs), kept(photographs, COARSE)
    assert computed == [2, 2, 2, 1]  # both read the same files
    assert fine.folder == coarse.folder and fine.folder.parent == cache_folder() / "features"
    assert (fine.shape, coarse.shape) == ((7, 196, 1392), (7, 49, 1280))
    assert fine.names == tuple(path.name for path in photographs) and len(fine) == 7
    images = features.prepare(features.pictures.read_all(photographs))
    torch.testing.assert_close(fine.rows(range(7)), net(images), rtol=2e-3, atol=2e-3)  # half precision
    middle, last = (values.half() for values in net.maps(images))
    torch.testing.assert_close(coarse.rows(range(7)), last.float(), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(fine.maps([4, 1])[0], middle[[4, 1]], rtol=1e-3, atol=1e-2)


def test_rows_come_in_the_order_asked_for(photographs: list[Path], computed: list[int]) -> None:
    store = kept(photographs)
    everything = store.rows(np.arange(7))
    assert torch.equal(store.rows([5, 0, 5]), everything[[5, 0, 5]])
    assert torch.equal(store[3], everything[3])
    assert torch.equal(store[-1], everything[6])
    assert len({tuple(row.flatten()[:50].tolist()) for row in everything}) == 7
    half = store.rows([2], torch.float16)
    assert half.dtype == torch.float16
    torch.testing.assert_close(half[0].float(), everything[2], rtol=1e-2, atol=1e-2)
    assert store.rows([]).shape == (0, 196, 1392)
    with pytest.raises(IndexError):
        store[7]
    assert torch.equal(features.join(FINE, *(values.float() for values in store.maps([6]))), everything[6:])


def test_computed_once_and_found_again(photographs: list[Path], computed: list[int], tmp_path: Path) -> None:
    first = kept(photographs)
    computed.clear()
    assert torch.equal(kept(photographs).rows(range(7)), first.rows(range(7)))
    moved = tmp_path / "moved"
    photographs[0].parent.rename(moved)
    assert kept([moved / path.name for path in photographs]).folder == first.folder
    assert computed == []
    assert (
        kept([moved / path.name for path in photographs], folder=tmp_path / "here").folder.parent == tmp_path / "here"
    )
    assert sum(computed) == 7


def test_other_pictures_are_not_found(photographs: list[Path], computed: list[int]) -> None:
    folders = {kept(photographs).folder, kept(photographs[:6]).folder, kept(photographs[::-1]).folder}
    folders.add(kept(photographs, fit="squash").folder)
    assert len(folders) == 4
    data = bytearray(photographs[3].read_bytes())
    Image.new("RGB", (224, 224), (9, 9, 9)).save(photographs[3])
    folders.add(kept(photographs).folder)
    assert len(folders) == 5
    data[-20] ^= 1  # as long as before, and not the same
    photographs[3].write_bytes(data)
    assert features._fingerprint(photographs) not in "".join(map(str, folders))
    before = features._fingerprint(photographs)
    data[-20] ^= 1
    photographs[3].write_bytes(data)
    assert features._fingerprint(photographs) != before


def test_pictures_are_fitted_as_asked(tmp_path: Path, computed: list[int]) -> None:
    """Twice as wide as high: its middle alone, or all of it at half the width."""
    path = tmp_path / "wide.png"
    stripes = np.zeros((224, 448, 3), np.uint8)
    stripes[:, : 448 // 3] = (200, 30, 20)
    Image.fromarray(stripes).save(path)
    net = features.network(FINE)
    wanted = [net.maps(features.prepare(pictures.read_all([path], fit)))[0] for fit in ("crop", "squash")]
    assert not torch.allclose(*wanted, rtol=1e-2, atol=1e-2)
    for fit, maps in zip(("crop", "squash"), wanted, strict=True):
        torch.testing.assert_close(kept([path], fit=fit).maps([0])[0].float(), maps, rtol=1e-2, atol=1e-2)


def test_name_length_and_network_belong_to_what_features_are_found_by(
    photographs: list[Path], computed: list[int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each alone: the bytes at both ends stay what they were."""
    one, renamed, longer = (tmp_path / name for name in ("a.jpg", "b.jpg", "c/a.jpg"))
    longer.parent.mkdir()
    end = bytes(range(256)) * (features.ENDS // 256)
    for path, middle in ((one, 100), (renamed, 100), (longer, 101)):
        path.write_bytes(end + bytes(middle) + end)
    assert len({features._fingerprint([path]) for path in (one, renamed, longer)}) == 3
    folder = kept(photographs[:2]).folder
    other = features.Kind(COARSE, (7, 7), 1280, key="another network's weights")
    monkeypatch.setitem(features.NETWORKS, COARSE, other)
    assert kept(photographs[:2], COARSE).folder != folder
    assert sum(computed) == 4


def test_an_interruption_costs_one_batch(
    photographs: list[Path], computed: list[int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    whole = kept(photographs, folder=tmp_path / "whole").rows(range(7))
    computed.clear()
    maps = features.FeatureNetwork.maps

    def interrupted(self: features.FeatureNetwork, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if len(computed) == 2:
            raise KeyboardInterrupt
        return maps(self, images)

    with monkeypatch.context() as patch:
        patch.setattr(features.FeatureNetwork, "maps", interrupted)
        with pytest.raises(KeyboardInterrupt):
            kept(photographs)
    (folder,) = (cache_folder() / "features").iterdir()
    assert "no complete features" in refusal(lambda: features.FeatureStore(folder, FINE))
    computed.clear()
    assert torch.equal(kept(photographs).rows(range(7)), whole)
    assert computed == [2, 1]


KILLED = """
import os, signal, sys
from pathlib import Path
from course_pkg import feature_files, features
features.BATCH = 2
append = feature_files.RowWriter.append
def killed(self, *rows):
    if self.done == 4:  # the first array's next rows are on disk, the second's and the record are not
        self._write(0, rows[0])
        os.kill(os.getpid(), signal.SIGKILL)
    append(self, *rows)
feature_files.RowWriter.append = killed
features.cached([Path(name) for name in sys.argv[1:]], "efficientnet-lite0", progress=False)
"""


def test_a_killed_process_leaves_whole_rows(photographs: list[Path], computed: list[int], tmp_path: Path) -> None:
    whole = kept(photographs, folder=tmp_path / "whole").rows(range(7))
    dead = subprocess.run([sys.executable, "-c", KILLED, *map(str, photographs)], env={**os.environ})
    assert dead.returncode == -signal.SIGKILL
    computed.clear()
    torch.testing.assert_close(kept(photographs).rows(range(7)), whole, rtol=1e-3, atol=1e-2)
    assert sum(computed) == 3  # the lock died with its holder, and four rows were whole


def test_two_processes_compute_once(photographs: list[Path], computed: list[int], tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from course_pkg import features\n"
        "features.BATCH = 2\n"
        "print(features.cached([Path(name) for name in sys.argv[1:]], 'efficientnet-lite0', progress=False).shape)"
    )
    command = [sys.executable, "-c", code, *map(str, photographs)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate()[0].strip() for process in both] == ["(7, 49, 1280)"] * 2
    kept(photographs)
    assert computed == []


def test_a_store_travels_to_another_process(photographs: list[Path], computed: list[int]) -> None:
    store = kept(photographs)
    sent = pickle.dumps(store)
    assert len(sent) < 1000
    assert torch.equal(pickle.loads(sent)[2], store[2])


def test_a_store_needs_no_network(
    photographs: list[Path], computed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = kept(photographs).folder
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    assert features.FeatureStore(folder, COARSE).shape == (7, 49, 1280)
    assert len(kept(photographs)) == 7
    assert "pip install" in refusal(lambda: kept(photographs[:3]))


def test_pictures_that_cannot_be_read_are_named(photographs: list[Path], computed: list[int]) -> None:
    assert "at least one" in refusal(lambda: kept([]))
    assert "choose from" in refusal(lambda: kept(photographs, "resnet"))
    assert "crop or squash" in refusal(lambda: kept(photographs, fit="pad"))
    assert "no such file" in refusal(lambda: kept([*photographs, Path("missing.jpg")]))
    assert not cache_folder().exists()
    photographs[5].write_bytes(b"not a picture")
    assert "5.png is not a picture" in refusal(lambda: kept(photographs))
    Image.new("RGB", (224, 224), (9, 9, 9)).save(photographs[5])
    assert len(kept(photographs)) == 7


def test_features_of_another_network_are_refused(photographs: list[Path], computed: list[int]) -> None:
    folder = kept(photographs[:2]).folder
    record = folder / feature_files.RECORD
    record.write_text(record.read_text().replace("efficientnet-lite0", "vgg19"))
    assert "vgg19" in refusal(lambda: features.FeatureStore(folder, FINE))


def test_flickr8k_photographs_pass_unscaled(course_data: Path) -> None:
    """The stored copies are 224 × 224 already, and must not be scaled and cropped a second time."""
    path = next(iter(sorted((course_data / "flickr8k/images").iterdir())))
    with Image.open(path) as image:
        assert np.array_equal(features.pictures.read(path), np.array(image))
