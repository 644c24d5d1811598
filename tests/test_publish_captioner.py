"""Publishing captioners and fixing their decoding: which pictures are read, what is written, how BLEU is counted."""

import importlib
import json
import math
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import LOOKS, SEES_IMAGES, captioner, noise, stored, uniform, words_of

from course_pkg import caption_metrics, captioned, scenes
from course_pkg.caption_metrics import caption_scores, caption_words
from course_pkg.captioner import Captioner
from course_pkg.captioning import prepare_captions
from course_pkg.checkpoints import Stored, describe, save
from course_pkg.evaluation import PASSPORT, evaluate_captions
from course_pkg.inference import load
from course_pkg.recipes import from_dict, read
from course_pkg.vocabulary import BOS

ROOT = Path(__file__).resolve().parent.parent
WORDS = words_of("a dog throws the red ball to men")
SPLITS = {"train": ["0.png"], "val": ["1.png", "2.png"], "test": ["3.png", "4.png", "5.png"]}
SAID = ["a dog throws the red ball to men .", "Men throw a ball to the dog", "the dog", "a red ball , the dog", "men"]
JAVA = {"meteor": 20.0, "rouge_l": 45.0, "cider": 0.5, "missing": None}  # what would need Java


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """The tools; without Java, words stand in for Treebank tokens and numbers for METEOR and its companions."""
    monkeypatch.syspath_prepend(ROOT / "tools")
    monkeypatch.setattr(caption_metrics, "java", lambda: None)
    splits, publish = (importlib.import_module(name) for name in ("caption_splits", "publish_captioner"))
    monkeypatch.setattr(splits, "treebank_words", lambda texts: list(map(caption_words, texts)))
    monkeypatch.setattr(publish, "caption_scores", lambda *sides: {**caption_scores(*sides), **JAVA})
    return importlib.import_module


@pytest.fixture
def publish(tool: Callable[[str], ModuleType]) -> ModuleType:
    return tool("publish_captioner")


@pytest.fixture
def choose(tool: Callable[[str], ModuleType]) -> ModuleType:
    return tool("choose_decoding")


@pytest.fixture
def splits(tool: Callable[[str], ModuleType]) -> ModuleType:
    return tool("caption_splits")


@pytest.fixture(autouse=True)
def flickr8k(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Six pictures with the names and files of Flickr8k."""
    folder = tmp_path / "data" / "flickr8k"
    (folder / "images").mkdir(parents=True)
    for number in range(6):
        noise(number, 48, 32).save(folder / "images" / f"{number}.png")
    lines = [f"{n}.png\t{k}\t{SAID[(n + k) % len(SAID)]}" for n in range(6) for k in range(2)]
    (folder / "captions.tsv").write_text("\n".join(["image\tcaption_id\tcaption", *lines]) + "\n", encoding="utf-8")
    (folder / "splits.json").write_text(json.dumps(SPLITS), encoding="utf-8")
    monkeypatch.setenv("COURSE_DATA", str(folder.parent))
    return folder


def finished(folder: Path, name: str, changes: dict[str, Any] | None = None, tiny: Stored | None = None) -> Path:
    """The folder of a finished run of a tiny captioner."""
    tiny = tiny or captioner(SEES_IMAGES, WORDS, name=name, ends=0.5)
    recipe = {**read("flickr8k-soft").to_dict(), "name": name}
    recipe["data"] = {**recipe["data"], **(changes or {})}
    save(folder / "model", Stored(tiny.model, tiny.source, tiny.target, {**tiny.config, "recipe": recipe}))
    lines = [{"epoch": n, "update": 10 * n, "train_seconds": 1800.0 * n} for n in (1, 2)]
    (folder / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return finished(tmp_path / "run", "flickr8k-tiny")


def written(package: Path) -> list[str]:
    return sorted(path.name for path in package.rglob("*") if path.is_file())


def told(package: Path, name: str) -> dict[str, Any]:
    return json.loads((package / "results" / f"{name}.json").read_text(encoding="utf-8"))


# -- publishing -------------------------------------------------------------------------------------------------------


def test_a_run_is_published(publish: ModuleType, run: Path, tmp_path: Path) -> None:
    package = tmp_path / "package"
    assert publish.main([str(run), "--package", str(package), "--hardware", "an abacus"]) == 0
    names = ["README.md", "config.json", "flickr8k-tiny.json", "flickr8k.json", "model.safetensors", "tokenizer.json"]
    assert written(package) == names
    result = told(package, "flickr8k-tiny")
    assert set(result["passport"]) == set(PASSPORT)
    assert result["passport"]["hardware"] == "an abacus" and "not tuned" in result["passport"]["decoding"]
    assert result["passport"]["cost"].items() >= {"epochs": 2, "updates": 20, "train_hours": 1.0}.items()
    assert set(result["passport"]["signature"]) == {"BLEU", "METEOR", "ROUGE-L", "CIDEr-D", "perplexity"}
    assert [(row["split"], row["n"]) for row in result["rows"]] == [("validation", 2), ("test", 3)]
    assert all({field for field, _ in result["columns"]} == set(row) for row in result["rows"])

    folder = package / "weights" / "flickr8k-tiny"
    said = describe(folder)
    test = result["rows"][1]
    assert said["headline"] == {"metric": "BLEU-4", "score": test["bleu4"], "data": "flickr8k test"}
    assert said["licence"] == "research and education (LICENSE-WEIGHTS)"
    card = (folder / "README.md").read_text(encoding="utf-8")
    for part in (
        "flickr8k-tiny",
        "Hodosh",
        "research and\neducation",
        "described in one",
        "2 epochs",
        "course caption",
    ):
        assert " ".join(part.split()) in " ".join(card.split())
    assert str(tmp_path) not in card + json.dumps([result, told(package, "flickr8k")])
    assert load(folder).caption([noise(9)])[0].caption == load(run / "model").caption([noise(9)])[0].caption


def test_the_figures_are_those_of_course_evaluate(publish: ModuleType, run: Path, tmp_path: Path) -> None:
    """Each split is described with the model's own decoding and scored against its own references."""
    publish.main([str(run), "--package", str(tmp_path / "package")])
    model = load(run / "model", device="cpu")
    for row, name in zip(told(tmp_path / "package", "flickr8k-tiny")["rows"], ("val", "test"), strict=True):
        record = evaluate_captions(model, captioned.flickr8k(name))
        for order in range(1, 5):
            assert row[f"bleu{order}"] == record[f"bleu{order}"]
        assert row["bleu1"] > 0
        without = row["no_brevity_penalty"]
        assert without[3] == pytest.approx(record["bleu4_no_brevity_penalty"])
        assert [row["brevity_penalty"] * one for one in without] == pytest.approx(
            [row[f"bleu{k}"] for k in range(1, 5)]
        )


def test_the_table_is_drawn_from_what_is_stored(publish: ModuleType, run: Path, tmp_path: Path) -> None:
    package = tmp_path / "package"
    assert publish.main([str(run), "--package", str(package)]) == 0
    other = told(package, "flickr8k-tiny")
    other["title"], other["rows"][1]["bleu4"] = "flickr8k-hard-tiny", 12.5
    other["passport"]["seeds"] = "training 7"
    path = package / "results" / "flickr8k-hard-tiny.json"
    path.write_text(json.dumps(other), encoding="utf-8")
    choice = {"chosen": load(run / "model").decoding}
    (package / "results" / "flickr8k-tiny-decoding.json").write_text(json.dumps(choice), encoding="utf-8")
    assert publish.main([str(run), "--package", str(package)]) == 0
    table, stored_row = told(package, "flickr8k"), told(package, "flickr8k-tiny")["rows"][1]
    ours, theirs = table["rows"][:2], table["rows"][2:]
    assert [row["captioner"] for row in ours] == ["flickr8k-tiny", "flickr8k-hard-tiny"]
    assert ours[0] == {"captioner": "flickr8k-tiny", **{field: stored_row[field] for field in publish.SCORES}}
    assert ours[1]["bleu4"] == 12.5
    assert "fixed on validation data" in table["passport"]["decoding"]["flickr8k-tiny"]
    assert set(table["passport"]["seeds"]) == {"flickr8k-tiny", "flickr8k-hard-tiny"}
    assert [row["bleu4"] for row in theirs] == [19.5, 21.3, 16.5] and [row["meteor"] for row in theirs][0] == 18.93
    for row in theirs:
        assert row["captioner"] not in table["note"] and row["rouge_l"] is row["cider"] is row["interval"] is None
    assert all({field for field, _ in table["columns"]} == set(row) for row in table["rows"])


def refused(call: Callable[..., int], arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What a tool says on stderr when it ends with 2: one line."""
    assert call(arguments) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line and "%|" not in line]  # no progress bars
    assert len(lines) == 1
    return lines[0]


def test_bad_runs_are_refused_and_nothing_is_written(
    publish: ModuleType, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch
) -> None:
    package = tmp_path / "package"
    text = finished(tmp_path / "text", "toy-tiny", tiny=stored(LOOKS, name="toy-tiny"))
    own = finished(tmp_path / "own", "own", {"train": "folder:train"})
    bare = finished(tmp_path / "bare", "bare")
    (bare / "metrics.jsonl").unlink()
    there = ["--package", str(package)]
    for bad, reason in ((text, "tools/publish.py"), (own, "pictures of folder"), (bare, "metrics.jsonl")):
        assert reason in refused(publish.main, [str(run), str(bad), *there], capsys)  # the good one is not begun
    assert "No model" in refused(publish.main, [str(tmp_path / "nothing"), *there], capsys)
    assert "--package" in refused(publish.main, [str(run), "--pictures", "1"], capsys)
    monkeypatch.setattr(publish, "caption_scores", caption_scores)
    assert "install Java" in refused(publish.main, [str(run), *there], capsys)
    monkeypatch.delenv("COURSE_DATA")
    assert "COURSE_DATA" in refused(publish.main, [str(run), *there], capsys)
    assert not package.exists()


def test_translators_are_published_elsewhere(
    tool: Callable[[str], ModuleType], run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    package = tmp_path / "package"
    line = refused(tool("publish").main, [str(run), "--package", str(package)], capsys)
    assert "tools/publish_captioner.py" in line and not package.exists()


# -- decoding ---------------------------------------------------------------------------------------------------------


def test_validation_pictures_decide_and_are_obeyed(choose: ModuleType, run: Path, tmp_path: Path, monkeypatch) -> None:
    asked: list[str] = []
    reading = captioned.load
    monkeypatch.setattr(captioned, "load", lambda name, split: asked.append(split) or reading(name, split))
    settings = ["--beams", "1", "2", "--penalties", "0", "1"]
    assert choose.main([str(run / "model"), "--package", str(tmp_path), *settings]) == 0
    table = told(tmp_path, "flickr8k-tiny-decoding")
    assert asked == ["val"], "no test data is read"
    assert set(table["passport"]) == set(PASSPORT)
    assert "BLEU-1 to BLEU-4" in table["note"] and "brevity penalty" in table["note"]
    grid = {(row["beam"], float(p)): row[p] for row in table["rows"] for p in ("0.0", "1.0")}
    model = load(run / "model", device="cpu")
    for (beam, penalty), score in grid.items():
        record = evaluate_captions(model, captioned.flickr8k("val"), beam=beam, length_penalty=penalty)
        assert score == pytest.approx(sum(record[f"bleu{order}"] for order in range(1, 5)) / 4)
    chosen = table["chosen"]
    assert grid[chosen["beam_size"], chosen["length_penalty"]] == max(grid.values())
    assert model.decoding == chosen


def test_every_setting_is_tried_and_greedy_search_once(choose: ModuleType, run: Path, monkeypatch) -> None:
    tried: list[tuple[int | None, float | None]] = []
    monkeypatch.setattr(
        Captioner, "caption", lambda self, images, beam, penalty, **_: tried.append((beam, penalty)) or []
    )
    trial = choose.of_captioner(load(run / "model", device="cpu"), 0)
    monkeypatch.setattr(choose.caption_splits, "bleu", lambda made, references: _Fixed())
    choose.measure(trial, trial.beams, choose.PENALTIES)
    assert tried[0][0] == 1 and len([beam for beam, _ in tried if beam == 1]) == 1
    assert set(tried[1:]) == {(beam, power) for beam in (3, 5, 8) for power in (0.0, 0.5, 0.7, 1.0, 1.2)}
    assert len(tried) == 16


class _Fixed:
    mean = 1.0


def test_what_cannot_be_chosen_for_is_refused(
    choose: ModuleType, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch
) -> None:
    there = ["--package", str(tmp_path / "package")]
    before = (run / "model" / "config.json").read_bytes()
    assert "no model folder" in refused(choose.main, ["flickr8k-soft", *there], capsys)
    assert "beam_size is 0" in refused(choose.main, [str(run / "model"), "--beams", "0", *there], capsys)
    assert "-1 pictures" in refused(choose.main, [str(run / "model"), "--pairs", "-1", *there], capsys)
    config = json.loads(before)
    (run / "model" / "config.json").write_text(json.dumps({**config, "recipe": None}), encoding="utf-8")
    assert "which recipe" in refused(choose.main, [str(run / "model"), *there], capsys)
    (run / "model" / "config.json").write_bytes(before)
    monkeypatch.setattr(choose.caption_splits, "treebank_words", caption_metrics.treebank_words)
    assert "needs Java" in refused(choose.main, [str(run / "model"), *there], capsys)
    assert not (tmp_path / "package").exists() and (run / "model" / "config.json").read_bytes() == before


# -- pictures ---------------------------------------------------------------------------------------------------------


def test_scenes_are_those_that_chose_the_epoch_and_fresh_ones(
    splits: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = scenes.make
    monkeypatch.setattr(scenes, "make", lambda count, **how: made(min(count, 5), **how))
    recipe = read("flickr8k-soft").to_dict()
    recipe["data"] = {**recipe["data"], "train": "scenes", "validation": "scenes"}
    recipe["model"] = SEES_IMAGES
    recipe["training"] = {**recipe["training"], "seed": 4}
    tiny = captioner(SEES_IMAGES, WORDS)
    model = Captioner(Stored(tiny.model, None, tiny.target, {**tiny.config, "recipe": recipe}))
    corpus = prepare_captions(from_dict(recipe))
    validation, test = splits.validation_split(model), splits.test_split(model)
    assert list(validation.captions) == corpus.references
    pixels = np.stack([np.asarray(one) for one in validation.pictures]).transpose(0, 3, 1, 2)
    assert np.array_equal(pixels, corpus.validation_pictures.read(range(5)).numpy())
    assert set(validation.captions).isdisjoint(test.captions)
    assert len(splits.validation_split(model, 2)) == 2
    assert len(validation.described(model)) == 5


def test_photographs_are_read_through_kept_features(
    splits: ModuleType, flickr8k: Path, tmp_path: Path, monkeypatch
) -> None:
    pytest.importorskip("efficientnet_lite_pytorch")
    from test_captioner import PHOTOGRAPHS
    from test_captioner import captioner as reads_features

    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "cache"))
    model = reads_features(PHOTOGRAPHS)
    model.config["recipe"] = read("flickr8k-soft").to_dict()
    split = splits.validation_split(model)
    assert split.pictures.names == tuple(SPLITS["val"])
    paths = [flickr8k / "images" / name for name in SPLITS["val"]]
    assert split.described(model, 1) == [one.caption for one in model.caption(paths, 1)]
    assert splits.perplexity(model, split) > 1


# -- BLEU and perplexity ----------------------------------------------------------------------------------------------


def some_captions(count: int, seed: int = 0) -> tuple[list[str], list[list[str]]]:
    """Captions with one to three references, so near to them that there are matches of every order."""
    draw = np.random.default_rng(seed)
    words = "a dog throws the red ball".split()

    def text() -> str:
        start = draw.integers(3)
        return " ".join([*words[start:], *draw.choice(words, draw.integers(3))])

    return [text() for _ in range(count)], [[text() for _ in range(draw.integers(1, 4))] for _ in range(count)]


def test_bleu_of_counts_is_the_published_scores(splits: ModuleType) -> None:
    for made, references in (some_captions(30), (["a dog"] * 3, [["a dog throws the red ball", "the dog"]] * 3)):
        found, record = splits.bleu(made, references), caption_scores(made, references)
        assert found.scores == pytest.approx([record[f"bleu{order}"] for order in range(1, 5)])
        assert found.unpenalised[3] == pytest.approx(record["bleu4_no_brevity_penalty"])
        assert found.signature == record["signature"]
    short = splits.bleu(["a dog"], [["a dog throws the red ball"]])
    assert short.penalty == pytest.approx(math.exp(1 - 6 / 2))
    assert short.unpenalised == pytest.approx([100, 100, 0, 0]) and short.scores[0] == pytest.approx(
        100 * short.penalty
    )
    assert short.mean == pytest.approx(50 * short.penalty)
    assert splits.bleu([""], [["a dog"]]).unpenalised == [0.0] * 4


def test_the_interval_is_over_pictures_drawn_again(splits: ModuleType) -> None:
    made, references = some_captions(12, seed=3)
    drawn = np.random.default_rng(5).integers(12, size=(40, 12))
    scores = [caption_scores([made[i] for i in rows], [references[i] for i in rows])["bleu4"] for rows in drawn]
    expected = np.quantile(scores, [0.025, 0.975])
    assert splits.bleu(made, references).interval(5, samples=40) == pytest.approx(tuple(expected))
    same = splits.bleu(made[:1] * 4, references[:1] * 4)
    assert same.interval(1, samples=10) == pytest.approx((same.scores[3],) * 2)


def test_perplexity_counts_every_token_once(splits: ModuleType, flickr8k: Path) -> None:
    config = {"recipe": read("flickr8k-soft").to_dict()}
    tiny = captioner(SEES_IMAGES, WORDS)
    model = Captioner(Stored(tiny.model, None, WORDS, {**tiny.config, **config}))
    split = splits.test_split(model)
    total = tokens = 0.0
    for image, texts in zip(captioned.flickr8k("test").images, split.captions, strict=True):
        for text in texts:
            ids = torch.tensor([WORDS.encode(caption_words(text)).ids])
            inputs = torch.cat([torch.full((1, 1), BOS), ids[:, :-1]], dim=1)
            with torch.inference_mode():
                logits = model.model.decoder(inputs, model.encode_seen([model.see(image)])).logits
            total += float(torch.nn.functional.cross_entropy(logits[0], ids[0], reduction="sum"))
            tokens += ids.shape[1]
    assert splits.perplexity(model, split) == pytest.approx(math.exp(total / tokens), rel=1e-4)
    even = Captioner(Stored(uniform(captioner(SEES_IMAGES, WORDS)).model, None, WORDS, {**tiny.config, **config}))
    assert splits.perplexity(even, splits.test_split(even)) == pytest.approx(len(WORDS))


def test_a_caption_without_words_is_passed_over(splits: ModuleType) -> None:
    model = Captioner(uniform(captioner(SEES_IMAGES, WORDS)))
    split = splits.Split("made up", [("...", "a dog"), ("!",)], [noise(1), noise(2)])
    assert splits.perplexity(model, split) == pytest.approx(len(WORDS))
