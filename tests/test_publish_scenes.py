"""Publishing captioners of drawn scenes: what is counted, by hand, and what is written."""

import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import SEES_IMAGES, Scripted, captioner, uniform, words_of
from torch import Tensor

from course_pkg import scenes
from course_pkg.captioner import Captioner
from course_pkg.checkpoints import Stored, describe, save
from course_pkg.decoders import Rollout
from course_pkg.encoders import Encoded
from course_pkg.evaluation import PASSPORT
from course_pkg.inference import load
from course_pkg.models import EncoderDecoder
from course_pkg.recipes import read
from course_pkg.scenes import Scene
from course_pkg.vocabulary import EOS

ROOT = Path(__file__).resolve().parent.parent
SIDE, GRID = SEES_IMAGES["image_size"], SEES_IMAGES["grid"]
CELL = SIDE // GRID


@pytest.fixture
def publish(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "tools")
    module = importlib.import_module("publish_scenes")
    monkeypatch.setattr(module, "TOGETHER", 2)
    return module


@pytest.fixture(scope="module")
def drawn() -> list[Scene]:
    return scenes.make(5, seed=8, size=SIDE)


def tiny(drawn: list[Scene], name: str = "scenes-tiny") -> Stored:
    return captioner(SEES_IMAGES, words_of(*(scene.caption for scene in drawn)), name=name, ends=0.5)


def counted(scene: Scene) -> list[int]:
    """The words that speak of somebody or something."""
    return [t for t, roles in enumerate(scene.roles) if scene.regions[t] and not {"place", "sky"} & set(roles)]


def covered(scene: Scene, t: int) -> np.ndarray:
    """The share of each cell that the word's region covers."""
    mask = scene.regions[t].mask
    return np.array([[mask[CELL * q :, CELL * r :][:CELL, :CELL].mean() for r in range(GRID)] for q in range(GRID)])


def hit(scene: Scene, t: int, place: int) -> bool:
    q, r = divmod(place, GRID)
    return bool(scene.regions[t].mask[CELL * q + CELL // 2, CELL * r + CELL // 2])


def test_a_gaze_that_is_known_is_scored_as_by_hand(publish: ModuleType, drawn: list[Scene]) -> None:
    scene = max(drawn, key=lambda one: len(counted(one)))
    model = tiny(drawn)
    words = model.target
    ids = list(words.encode(scene.caption).ids)
    places = [int(covered(scene, t).argmax()) if scene.regions[t] and t % 2 else 5 for t in range(len(ids) - 1)] + [0]
    looks = torch.eye(GRID * GRID)[places].tolist()
    scripted = EncoderDecoder(model.model.encoder, Scripted(len(words), [[k] for k in ids], looks)).eval()
    row, signature = publish.measured(Captioner(Stored(scripted, None, words, model.config)), [scene, scene])
    asked = counted(scene)
    assert row["n"] == 2 and row["words"] == 2 * len(asked)
    assert row["exact_match_percent"] == 100 and row["bleu4"] == pytest.approx(100) and "BLEU" not in signature
    assert row["words_right"] == row["words_right_elsewhere"] == 1 and row["perplexity_token"] == pytest.approx(1)
    hits = [hit(scene, t, places[t]) for t in asked]
    assert row["pointing"] == pytest.approx(np.mean(hits)) and 0 < np.mean(hits) < 1
    assert row["mass"] == pytest.approx(np.mean([covered(scene, t).flat[places[t]] for t in asked]))
    others = {t: [k for k, roles in enumerate(scene.roles) if roles and not set(roles) & set(scene.roles[t])]
              for t in asked}  # fmt: skip
    elsewhere = [np.mean([hit(scene, t, places[k]) for k in others[t]]) for t in asked if others[t]]
    assert row["pointing_another_word"] == pytest.approx(np.mean(elsewhere))
    middle = [5, 6, 9, 10]  # of 4 by 4 places
    assert row["pointing_centre"] == pytest.approx(np.mean([hit(scene, t, k) for t in asked for k in middle]))
    assert row["pointing_uniform"] == pytest.approx(np.mean([hit(scene, t, k) for t in asked for k in range(16)]))
    assert row["mass_uniform"] == pytest.approx(np.mean([scene.regions[t].mask.mean() for t in asked]))


def test_an_even_gaze_is_a_place_at_random(publish: ModuleType, drawn: list[Scene]) -> None:
    row, _ = publish.measured(Captioner(uniform(tiny(drawn))), drawn)
    for measure in ("pointing", "mass"):
        assert row[measure] == pytest.approx(row[f"{measure}_uniform"])
    assert row["perplexity_token"] == pytest.approx(len(tiny(drawn).target))
    assert row["words"] == sum(map(len, map(counted, drawn)))


class Recognises(Scripted):
    """Writes the caption of the one of these scenes that it is shown."""

    def __init__(self, reader: Captioner, drawn: list[Scene]) -> None:
        super().__init__(len(reader.target), [[EOS]], [[1.0]])
        pixels = torch.from_numpy(np.stack([scene.image for scene in drawn]).transpose(0, 3, 1, 2).copy())
        self.known = reader.model.encode(pixels).summary.detach()
        self.captions = [reader.target.encode(scene.caption).ids for scene in drawn]

    def forward(self, inputs: Tensor, encoded: Encoded) -> Rollout:
        rollout = super().forward(inputs, encoded)
        logits = torch.zeros_like(rollout.logits)
        for row, number in enumerate(torch.cdist(encoded.summary, self.known).argmin(1).tolist()):
            for t, token in enumerate(self.captions[number][: inputs.shape[1]]):
                logits[row, t, token] = 50.0
        return Rollout(logits, rollout.weights)


def test_words_are_judged_with_their_own_picture_and_with_the_next_ones(
    publish: ModuleType, drawn: list[Scene]
) -> None:
    model = tiny(drawn)
    sees = Recognises(Captioner(model), drawn)
    whole = EncoderDecoder(model.model.encoder, sees).eval()
    found = publish.spoken(Captioner(Stored(whole, None, model.target, model.config)), drawn)
    assert found.scene.tolist() == [number for number, scene in enumerate(drawn) for _ in counted(scene)]
    assert found.right.all() and found.nll[0] == pytest.approx(0, abs=1e-3)
    assert found.nll[1] == sum(map(len, sees.captions))
    alike = [
        sees.captions[(number + 1) % len(drawn)][t : t + 1] == sees.captions[number][t : t + 1]
        for number, scene in enumerate(drawn)
        for t in counted(scene)
    ]
    assert found.elsewhere.tolist() == alike and 0 < sum(alike) < len(alike)


# --- what is written ----------------------------------------------------------------------------------------------


def finished(folder: Path, model: Stored, **data: Any) -> Path:
    recipe = {**read("flickr8k-soft").to_dict(), "name": model.config["name"]}
    recipe["data"] = {**recipe["data"], "train": "scenes", "validation": "scenes", **data}
    save(folder / "model", Stored(model.model, None, model.target, {**model.config, "recipe": recipe}))
    line = {"epoch": 2, "update": 20, "train_seconds": 1800.0}
    (folder / "metrics.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")
    return folder


def test_a_run_is_published(publish: ModuleType, drawn: list[Scene], tmp_path: Path) -> None:
    run, package = finished(tmp_path / "run", tiny(drawn)), tmp_path / "package"
    assert publish.main([str(run), "--package", str(package), "--hardware", "an abacus", "--scenes", "4"]) == 0
    result = json.loads((package / "results" / "scenes-tiny.json").read_text(encoding="utf-8"))
    assert set(result["passport"]) == set(PASSPORT) and result["passport"]["hardware"] == "an abacus"
    assert result["passport"]["cost"].items() >= {"epochs": 2, "updates": 20, "train_hours": 0.5}.items()
    (row,) = result["rows"]
    assert row["n"] == 4 and [field for field, _ in result["columns"]] == list(row)
    folder = package / "weights" / "scenes-tiny"
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    ]
    said = describe(folder)
    assert said["licence"] == "MIT" and said["headline"]["score"] == row["exact_match_percent"]
    model = load(folder, device="cpu")
    again, _ = publish.measured(model, scenes.make(4, seed=publish.SCENES_TEST_SEED, size=SIDE))
    assert again == row  # what is published is what was measured
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "course caption --model scenes-tiny" in card and "MIT" in card and "drawn scene" in card


def test_bad_runs_are_refused_and_nothing_is_written(
    publish: ModuleType, drawn: list[Scene], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, package = finished(tmp_path / "run", tiny(drawn)), tmp_path / "package"
    photographs = finished(tmp_path / "photographs", tiny(drawn, "other"), train="flickr8k:train")
    there = ["--package", str(package), "--scenes"]
    for arguments, reason in (
        ([str(run), str(photographs), *there, "3"], "tools/publish_captioner.py"),
        ([str(run), "--scenes", "3"], "--package"),
        ([str(run), *there, "1"], "two scenes"),
        ([str(run), *there, "-1"], "-1 scenes"),
        ([str(tmp_path / "nothing"), *there, "3"], "No model"),
    ):
        assert publish.main(arguments) == 2
        lines = [line for line in capsys.readouterr().err.splitlines() if line and "%|" not in line]
        assert len(lines) == 1 and reason in lines[0]
    assert not package.exists()
