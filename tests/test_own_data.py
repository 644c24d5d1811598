"""The page "Your own data": its recipes and its commands do what it says, as they stand there."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from course_pkg.cli import main
from course_pkg.recipes import read

PAGE = Path(__file__).resolve().parent.parent / "book" / "own_data.md"
SMALL = [
    "training.epochs=2",
    "training.batch_size=4",
    "training.buffer_batches=2",
    "vocabulary.size=60",
    *(f"model.{name}_size=8" for name in ("state", "embedding", "alignment")),
]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def commands(folder: str) -> list[list[str]]:
    """What the page types for the model in this folder, without ``course``."""
    lines = [line for block in blocks("console") for line in block.splitlines() if folder in line]
    return [shlex.split(line.removeprefix("$ course ")) for line in lines]


def write_recipes(place: Path) -> None:
    for text in blocks("toml"):
        (name,) = re.findall(r'^name = "(.+)"', text, flags=re.MULTILINE)
        (place / f"{name}.toml").write_text(text, encoding="utf-8")


def run_all(folder: str) -> list[str]:
    """Run the page's commands, with a model that is learned in seconds; the name of each."""
    done = []
    for arguments in commands(folder):
        small = [part for change in SMALL for part in ("--set", change)] if arguments[0] == "train" else []
        assert main([*arguments, *small]) == 0, arguments
        done.append(arguments[0])
    return done


def test_two_files_become_a_translator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    write_recipes(tmp_path)
    for split, count in (("train", 24), ("val", 6), ("test", 6)):
        lines = [" ".join("abcdef"[(k + j) % 6] for j in range(2 + k % 3)) for k in range(count)]
        Path(f"{split}.de").write_text("\n".join(lines) + "\n", encoding="utf-8")
        Path(f"{split}.en").write_text("\n".join(lines).upper() + "\n", encoding="utf-8")
    assert run_all("runs/mine") == ["train", "translate", "translate", "evaluate"]
    assert "<html" in Path("alpha.html").read_text(encoding="utf-8")
    assert '"sacrebleu"' in capsys.readouterr().out


def test_a_folder_becomes_a_captioner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    pytest.importorskip("efficientnet_lite_pytorch")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "cache"))
    write_recipes(tmp_path)
    header, *listed = blocks("text")[0].splitlines()
    splits = json.loads(blocks("json")[0])
    names = sorted({name for split in splits.values() for name in split})
    lines = [*listed, "garden.jpg\ta flower in a garden"]
    assert {line.split("\t")[0] for line in lines} == set(names), "captions and splits.json name the same pictures"
    Path("pictures").mkdir()
    for seed, name in enumerate([*names, "../holiday.jpg"]):
        pixels = np.random.default_rng(seed).integers(0, 256, (240, 300, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(Path("pictures") / name)
    Path("pictures/captions.tsv").write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    Path("pictures/splits.json").write_text(json.dumps(splits), encoding="utf-8")
    assert run_all("runs/pictures") == ["train", "caption", "caption", "evaluate"]
    assert "holiday.jpg\t" in capsys.readouterr().out
    assert "<html" in Path("gaze.html").read_text(encoding="utf-8")


def test_what_else_the_page_sets_exists(tmp_path: Path) -> None:
    write_recipes(tmp_path)
    text = PAGE.read_text(encoding="utf-8")
    changes = list(re.findall(r"`((?:model|training|vocabulary)\.\w+) = ", text))
    assert changes
    for name in changes:
        read(tmp_path / "my-translator.toml", [f"{name}=0.4"] if "dropout" in name else [])
    (wide,) = commands("runs/wide")
    read(tmp_path / wide[2], wide[6::2])
    assert all(len(block.splitlines()) <= 12 for block in blocks("toml")), "about ten lines"
