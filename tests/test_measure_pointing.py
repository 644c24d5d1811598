"""Measuring where captioners look: what is asked, what is stored, and what is refused."""

import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from test_caption_evaluation import LOWER_RIGHT, UPPER_LEFT, VOCABULARY, looking
from tiny_models import LOOKS, SEES_IMAGES, captioner, noise, stored

from course_pkg import located
from course_pkg.checkpoints import Stored, save
from course_pkg.evaluation import PASSPORT, point
from course_pkg.inference import load
from course_pkg.recipes import read

ROOT = Path(__file__).resolve().parent.parent
HALVES = {"dog": [0.0, 0.0, 0.5, 1.0], "sports ball": [0.5, 0.0, 1.0, 1.0]}


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "tools")
    return importlib.import_module("measure_pointing")


@pytest.fixture(autouse=True)
def coco(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three pictures with a dog on the left and a ball on the right; the last has boxes only, no outlines."""
    folder = tmp_path / "data" / "coco_mini"
    (folder / "images").mkdir(parents=True)
    entries = []
    for number in range(3):
        noise(number, 48, 48).save(folder / "images" / f"{number}.png")
        objects: list[dict[str, Any]] = [{"category": name, "box": box} for name, box in HALVES.items()]
        for thing in objects if number < 2 else ():
            left, upper, right, lower = thing["box"]
            thing["polygons"] = [[left, upper, right, upper, right, lower, left, lower]]
        entries.append({"image": f"{number}.png", "objects": objects})
    (folder / "objects.json").write_text(json.dumps(entries), encoding="utf-8")
    lines = [f"{number}.png\ta dog throws the ball" for number in range(3)]
    (folder / "captions.tsv").write_text("\n".join(["image\tcaption", *lines]) + "\n", encoding="utf-8")
    monkeypatch.setenv("COURSE_DATA", str(folder.parent))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tiny captioner's model folder, with the recipe that a passport asks for."""
    tiny = captioner(SEES_IMAGES, VOCABULARY, name="tiny", ends=-20.0)
    with torch.no_grad():
        tiny.model.decoder.output.L_o.bias[VOCABULARY.encode("dog").ids[0]] += 8.0  # its captions name something
    config = {**tiny.config, "recipe": read("flickr8k-soft").to_dict()}
    save(tmp_path / "tiny", Stored(tiny.model, tiny.source, tiny.target, config))
    return tmp_path / "tiny"


def test_the_table_says_what_the_records_say(tool: ModuleType, tmp_path: Path, folder: Path) -> None:
    assert tool.main([str(folder), "--package", str(tmp_path / "package"), "--hardware", "an abacus"]) == 0
    stored_ = json.loads((tmp_path / "package" / "results" / "pointing.json").read_text(encoding="utf-8"))
    assert set(stored_["passport"]) == set(PASSPORT) and stored_["passport"]["hardware"] == "an abacus"
    assert str(tmp_path) not in json.dumps(stored_)
    model, pictures = load(folder, device="cpu"), tool.outlined(located.coco_mini().captioned())
    for whose in ("people", "own"):
        record = point(model, pictures, own=whose == "own")
        assert stored_["records"]["tiny"][whose] == json.loads(json.dumps(record))
    assert {field for field, _ in stored_["columns"]} == set(stored_["rows"][0])
    assert stored_["records"]["tiny"]["people"]["n"] == 4, "two words in each of the two outlined pictures"


def test_a_gaze_that_is_told_where_to_look_gets_its_rows(tool: ModuleType) -> None:
    model = looking([UPPER_LEFT] * 4 + [LOWER_RIGHT] * 2)  # the dog, then the ball
    pictures = tool.outlined(located.coco_mini().captioned())
    rows = tool.rows_of("told", "people", point(model, pictures))
    shown = {row["place"]: row for row in rows}
    assert shown["α"]["pointing"] == shown["α"]["mass"] == "100.0 (100.0 to 100.0)"
    assert shown["α"]["mass_ahead"] is None
    assert shown["a random place"]["mass"].startswith("50.0")
    assert shown["a random place"]["mass_ahead"].startswith("50.0")
    assert "longest feature" not in shown, "it sees by its own network"
    assert tool.percent({"score": -0.0004, "low": -0.123, "high": 0.05}) == "0.0 (−12.3 to 5.0)"


def test_boxes_that_a_detector_drew_are_left_out_unless_asked_for(
    tool: ModuleType, tmp_path: Path, folder: Path
) -> None:
    counts = {}
    for extra in ((), ("--detected",), ("--pictures", "1")):
        package = tmp_path / "-".join(("package", *extra))
        assert tool.main([str(folder), "--package", str(package), *extra]) == 0
        told = json.loads((package / "results" / "pointing.json").read_text(encoding="utf-8"))
        counts[extra] = told["records"]["tiny"]["people"]["pictures"]
    assert list(counts.values()) == [2, 3, 1]


def test_bad_asking_is_one_line_and_nothing_is_written(
    tool: ModuleType, tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny = stored(LOOKS, name="text")
    save(tmp_path / "text", Stored(tiny.model, tiny.source, tiny.target, tiny.config))
    asked = [
        ([str(tmp_path / "text")], "give captioners"),
        ([str(folder), str(folder)], "Two models are called tiny"),
        ([str(tmp_path / "nothing")], "No model"),
        ([str(folder), "--pictures", "-1"], "cannot be measured"),
    ]
    for arguments, reason in asked:
        assert tool.main([*arguments, "--package", str(tmp_path / "package")]) == 2
        lines = [line for line in capsys.readouterr().err.splitlines() if line and "%|" not in line]  # no progress bars
        assert len(lines) == 1 and reason in lines[0], lines
    assert not (tmp_path / "package").exists()
