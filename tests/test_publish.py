"""Publishing a run and fixing its decoding: what is written, and what decides."""

import importlib
import json
from pathlib import Path
from types import ModuleType

import pytest
import torch
from tiny_models import LOOKS, stored

from course_pkg import toy
from course_pkg.checkpoints import Stored, describe, save
from course_pkg.evaluation import PASSPORT
from course_pkg.inference import load
from course_pkg.recipes import read

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def publish(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "tools")
    module = importlib.import_module("publish")
    monkeypatch.setattr(module, "TOY_TEST_PAIRS", 6)
    made = toy.pairs
    monkeypatch.setattr(toy, "pairs", lambda count, **kwargs: made(min(count, 8), **{**kwargs, "max_words": 6}))
    return module


@pytest.fixture
def choose(publish: ModuleType) -> ModuleType:
    return importlib.import_module("choose_decoding")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a finished run of a tiny toy model."""
    tiny = stored(LOOKS, name="toy-tiny", ends=6.0)
    recipe = {**read("toy-en-fr-rnnsearch").to_dict(), "name": "toy-tiny"}
    save(tmp_path / "run" / "model", Stored(tiny.model, tiny.source, tiny.target, {**tiny.config, "recipe": recipe}))
    lines = [{"epoch": n, "update": 10 * n, "train_seconds": 1800.0 * n} for n in (1, 2)]
    (tmp_path / "run" / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n", encoding="utf-8")
    return tmp_path / "run"


def test_a_run_is_published(publish: ModuleType, run: Path, tmp_path: Path, capsys) -> None:
    assert publish.main([str(run), "--package", str(tmp_path), "--hardware", "an abacus"]) == 0
    result = json.loads((tmp_path / "results" / "toy-tiny.json").read_text(encoding="utf-8"))
    assert set(PASSPORT) == set(result["passport"])
    assert result["passport"]["hardware"] == "an abacus"
    assert result["passport"]["cost"] == {"epochs": 2, "updates": 20, "train_hours": 1.0}
    assert "not tuned" in result["passport"]["decoding"]
    assert [row["split"] for row in result["rows"]] == ["validation", "test"]
    assert {field for field, _ in result["columns"]} >= set(result["rows"][0])
    assert 0 <= result["rows"][1]["exact_match_percent"] <= 100 and 0 <= result["rows"][1]["aer"] <= 1

    folder = tmp_path / "weights" / "toy-tiny"
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    ]
    told = describe(folder)
    assert told["headline"]["metric"] == "exact match" and told["licence"] == "MIT"
    card = (folder / "README.md").read_text(encoding="utf-8")
    for part in ("toy-tiny", "MIT", "2 epochs", "Parameters", "Licence of the weights", "version:"):
        assert part in card
    assert str(tmp_path) not in card + json.dumps(result)
    sentence = ["A dog sleeps."]
    assert str(load(folder).translate(sentence)[0]) == str(load(run / "model").translate(sentence)[0])


def test_a_folder_that_is_no_run(publish: ModuleType, run: Path, tmp_path: Path, capsys) -> None:
    (run / "metrics.jsonl").unlink()
    assert publish.main([str(run), "--package", str(tmp_path)]) == 2
    assert "metrics.jsonl" in capsys.readouterr().err
    assert not (tmp_path / "weights").exists() and not (tmp_path / "results").exists()


def test_exact_match_and_error_rate_against_gold(publish: ModuleType, run: Path, monkeypatch) -> None:
    """A translator that repeats the references and the gold links is perfect; one shifted link counts twice."""
    translator = load(run / "model")
    pairs = toy.pairs(4, seed=1)
    references = {pair.source: pair.target for pair in pairs}
    one_link = [{min(pair.links)} for pair in pairs]
    monkeypatch.setattr(translator, "translate", lambda texts, **_: [_Said(references[text]) for text in texts])
    monkeypatch.setattr(translator, "align", lambda _, tokens: [set(pair.links) for pair in pairs])
    assert publish.toy_figures(translator, pairs) == {"exact_match_percent": 100.0, "aer": 0.0}
    monkeypatch.setattr(translator, "align", lambda _, tokens: one_link)
    total = sum(len(pair.links) for pair in pairs)
    assert publish.toy_figures(translator, pairs)["aer"] == pytest.approx(1 - 8 / (4 + total))


class _Said:
    def __init__(self, target: str) -> None:
        self.target = target


def test_the_tables_of_the_multi30k_models_are_joined(publish: ModuleType) -> None:
    def result(name: str, seeds: str) -> dict:
        row = {
            "sacrebleu": 50.0,
            "interval": "49.0 to 51.0",
            "bleu_lc_tok": 51.0,
            "chrf": 70.0,
            "perplexity_token": 4.0,
        }
        said = dict.fromkeys(PASSPORT, "same")
        rows = [{**row, "sacrebleu": 40.0}, row]
        return {"title": name, "parameters": 7, "rows": rows, "passport": {**said, "seeds": seeds}}

    table = publish.multi30k_table([result("a", "1"), result("b", "2")])
    assert [row["model"] for row in table["rows"]] == ["a", "b"]
    assert table["rows"][0]["sacrebleu_val"] == 40.0 and table["rows"][0]["sacrebleu_test"] == 50.0
    assert {field for field, _ in table["columns"]} == set(table["rows"][0])
    assert table["passport"]["data"] == "same" and table["passport"]["seeds"] == {"a": "1", "b": "2"}


def test_validation_decides_and_is_obeyed(choose: ModuleType, run: Path, tmp_path: Path, monkeypatch) -> None:
    settings = ["--beams", "1", "2", "--penalties", "0", "1"]
    assert choose.main([str(run / "model"), "--package", str(tmp_path), *settings]) == 0
    stored_table = json.loads((tmp_path / "results" / "toy-tiny-decoding.json").read_text(encoding="utf-8"))
    grid = {(row["beam"], float(p)): row[p] for row in stored_table["rows"] for p in ("0.0", "1.0")}
    assert len(grid) == 4 and grid[1, 0.0] == grid[1, 1.0]
    chosen = stored_table["chosen"]
    assert grid[chosen["beam_size"], chosen["length_penalty"]] == max(grid.values())
    assert load(run / "model").decoding == chosen


def test_among_equals_the_smaller_beam_is_chosen(choose: ModuleType) -> None:
    assert choose.best({(5, 0.0): 7.0, (3, 1.0): 7.0, (3, 0.5): 7.0, (1, 0.0): 6.0}) == (3, 0.5)


def test_published_weights_are_half_precision_and_small() -> None:
    """Whatever is published by now: loads offline, says what it is, and all of it fits into a wheel."""
    from course_pkg.checkpoints import find, published

    folders = [find(name) for name in published()]
    assert sum(file.stat().st_size for folder in folders for file in folder.iterdir()) < 85e6
    for folder in folders:
        told = describe(folder)
        assert told["name"] == folder.name and told["headline"] and told["licence"]
        assert (folder / "README.md").is_file()
        model = load(folder, device="cpu")
        assert model.name == folder.name and model.device == torch.device("cpu")
