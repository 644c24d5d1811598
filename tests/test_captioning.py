"""Captioned pictures made ready, and training on them: each caption beside its own picture, nothing lost on the way."""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from PIL import Image

from course_pkg import captioned, captioning, features, scenes
from course_pkg.batching import CaptionBatch
from course_pkg.captioning import CaptionCorpus, Drawn, Photographs, caption_words, prepare_captions
from course_pkg.checkpoints import build, load
from course_pkg.encoders import FeatureMaps, joined
from course_pkg.features import FeatureStore, kind
from course_pkg.losses import doubly_stochastic_penalty, sequence_cross_entropy
from course_pkg.notation import CourseError
from course_pkg.objective import Objective, loss_of, taken_apart
from course_pkg.recipes import Recipe, read
from course_pkg.training import fit
from course_pkg.vocabulary import BOS, EOS, PAD, UNK, WordVocabulary

RECIPE = """
name = "tiny-captions"
description = "A few drawn scenes."
[data]
train = "scenes"
validation = "scenes"
pairs = 24
[vocabulary]
kind = "word"
size = 300
[model]
architecture = "show_attend_tell"
network = "small"
image_size = 32
grid = 4
feature_size = 16
embedding_size = 8
state_size = 12
alignment_size = 8
output_dropout = 0.2
[training]
epochs = 2
batch_size = 8
buffer_batches = 2
learning_rate = 0.01
doubly_stochastic = 0.1
"""


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six validation scenes instead of hundreds."""
    made = scenes.make
    monkeypatch.setattr(
        scenes, "make", lambda count, **how: made(min(count, 24 if how["seed"] < 1_000_000 else 6), **how)
    )


def tiny(tmp_path: Path, *changes: str) -> Recipe:
    (tmp_path / "tiny.toml").write_text(RECIPE, encoding="utf-8")
    return read(tmp_path / "tiny.toml", changes)


def run(recipe: Recipe, folder: Path, **how: Any) -> Path:
    return fit(recipe, folder, accelerator="cpu", progress=False, **how)


def test_a_caption_is_its_words_in_lower_case() -> None:
    assert caption_words(' A man\'s T-shirt , "red" & blue ... ') == "a man's t-shirt red blue"
    assert caption_words("Été 2012 !") == "été 2012"


FIRST_HELD_OUT = 100


def numbered_corpus() -> CaptionCorpus:
    """A picture painted ``i`` has captions that begin with the word ``i``; the held-out ones count from 100."""

    def told(first: int) -> list[tuple[str, ...]]:
        numbers = range(first, first + 7)
        return [tuple(f"{number} {'x ' * (number % 3)}end" for _ in range(1 + number % 2)) for number in numbers]

    def drawn(first: int) -> Drawn:
        painted = torch.arange(first, first + 7, dtype=torch.uint8).view(7, 1, 1, 1)
        return Drawn(painted.expand(7, 3, 2, 2).contiguous())

    def pairs(texts: list[tuple[str, ...]]) -> list[tuple[int, tuple[int, ...]]]:
        return [(row, vocabulary.encode(text).ids) for row, many in enumerate(texts) for text in many]

    train, held_out = told(0), told(FIRST_HELD_OUT)
    vocabulary = WordVocabulary.train([text for many in train + held_out for text in many], size=30)
    return CaptionCorpus(vocabulary, drawn(0), pairs(train), drawn(FIRST_HELD_OUT), pairs(held_out), held_out)


def test_every_caption_stands_beside_its_own_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = numbered_corpus()
    monkeypatch.setattr(captioning, "MEASURED_TOGETHER", 3)
    assert corpus.lengths == [len(ids) for _, ids in corpus.train]
    seen = []
    for batch in [corpus.batch(list(range(len(corpus.train)))[::-1]), *corpus.validation_batches()]:
        for picture, target, mask in zip(batch.source, batch.targets, batch.target_mask, strict=True):
            words = corpus.target.decode(target[mask].tolist()).split()
            assert int(words[0]) == int(picture[0, 0, 0])
            assert int(target[mask][-1]) == EOS
            seen.append(words[0])
        assert (batch.inputs[:, 0] == BOS).all()
        assert torch.equal(batch.inputs[:, 1:], batch.targets[:, :-1])
        assert (batch.targets[~batch.target_mask] == PAD).all()
    assert sorted(seen) == sorted(corpus.target.decode(ids).split()[0] for _, ids in corpus.train + corpus.validation)


def test_each_picture_is_asked_once_and_its_answer_scored_with_its_own_references(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    corpus = numbered_corpus()
    monkeypatch.setattr(captioning, "MEASURED_TOGETHER", 3)
    rows = [row for question in corpus.questions() for row in question.rows]
    assert sorted(rows) == list(range(7))
    for question in corpus.questions():
        assert [int(picture[0, 0, 0]) - FIRST_HELD_OUT for picture in question.batch.source] == list(question.rows)
    right = [texts[0] + " and so on" for texts in corpus.references]
    assert corpus.score([texts[0] for texts in corpus.references]) > corpus.score(right[1:] + right[:1])
    several = dataclasses.replace(corpus, references=[("another", "a dog runs on grass"), ("a man sits by it", "x")])
    assert several.score(["a dog runs on grass", "a man sits by it"]) == pytest.approx(100), "any reference will do"


def test_training_and_validation_have_other_scenes_and_long_captions_are_left_out(tmp_path: Path, few: None) -> None:
    whole = prepare_captions(tiny(tmp_path))
    assert isinstance(whole.pictures, Drawn) and isinstance(whole.validation_pictures, Drawn)
    seen = {picture.numpy().tobytes() for picture in whole.pictures.pixels}
    assert not seen & {picture.numpy().tobytes() for picture in whole.validation_pictures.pixels}
    limit = sorted(whole.lengths)[len(whole.lengths) // 2] - 1
    short = prepare_captions(tiny(tmp_path, f"data.max_length={limit}"))
    assert 0 < len(short.train) < len(whole.train)
    assert short.train == [(row, ids) for row, ids in whole.train if len(ids) <= limit]
    assert short.validation == whole.validation, "what is measured is not chosen by length"


def test_what_is_learned_from_and_what_is_measured_are_kept_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The vocabulary is that of the training captions, only validation is cut, and a caption without words is none."""
    texts = {"train": (("A red wall .", " ... "), ("Blue",), ("red", "Red !")), "val": (("Grey",), ("red",), ("blue",))}

    def load(_: str, split: str) -> captioned.Captioned:
        return captioned.Captioned(tuple(Path(f"{split}{row}.png") for row in range(3)), texts[split], split)

    monkeypatch.setattr(captioned, "load", load)
    monkeypatch.setattr(features, "cached", lambda images, name: FeatureStore.__new__(FeatureStore))
    changes = ("data.train=flickr8k:train", "data.validation=flickr8k:val", "data.validation_pairs=2")
    corpus = prepare_captions(tiny(tmp_path, *changes, "model.features=efficientnet-lite0-14"))
    told = [(row, corpus.target.decode(ids)) for row, ids in corpus.train]
    assert told == [(0, "a red wall"), (1, "blue"), (2, "red"), (2, "red")]
    assert corpus.references == [("grey",), ("red",)]
    assert corpus.validation[0] == (0, (UNK, EOS)) and corpus.validation[1][0] == 1


def test_photographs_are_read_as_the_maps_that_joined_make_the_annotations() -> None:
    fine, coarse = (torch.rand(3, *shape).half() for shape in ((196, 112), (49, 1280)))
    store = FeatureStore.__new__(FeatureStore)  # one without files
    store._maps, store.kind = (fine.numpy(), coarse.numpy()), kind("efficientnet-lite0-14")
    found = Photographs(store).read([2, 0])
    assert isinstance(found, FeatureMaps)
    torch.testing.assert_close(joined(found), store.rows([2, 0]))
    torch.testing.assert_close(joined(found)[:, :, :112], fine[[2, 0]].float())
    store.kind = kind("efficientnet-lite0")
    torch.testing.assert_close(Photographs(store).read([1]), coarse[1:2].float())


def test_drawn_scenes_are_read_as_they_were_drawn(tmp_path: Path, few: None) -> None:
    corpus = prepare_captions(tiny(tmp_path))
    for pictures, seed in ((corpus.pictures, 1), (corpus.validation_pictures, 1_000_001)):
        drawn = scenes.make(6, seed=seed, size=32)
        assert isinstance(pictures, Drawn)
        for row in (0, 5):
            wanted = torch.from_numpy(drawn[row].image.copy()).permute(2, 0, 1)  # colour, row, column
            assert torch.equal(pictures.read([row])[0], wanted)


def test_a_batch_is_taken_apart_and_made_whole_again() -> None:
    maps = FeatureMaps(torch.rand(2, 16, 2), torch.rand(2, 4, 5))
    batch = CaptionBatch.collate(maps, [(5, EOS), (6, 7, EOS)])
    tensors, whole = taken_apart(batch)
    again = whole(*(tensor + 1 if tensor.is_floating_point() else tensor for tensor in tensors))
    torch.testing.assert_close(again.source.coarse, maps.coarse + 1)
    torch.testing.assert_close(again.source.fine, maps.fine + 1)
    assert torch.equal(again.inputs, batch.inputs) and torch.equal(again.targets, batch.targets)
    assert torch.equal(again.target_mask, batch.target_mask) and again.source_mask is None


def test_a_batch_without_words_is_refused() -> None:
    for captions in ([], [(5, EOS), ()]):
        with pytest.raises(CourseError, match="at least one caption"):
            CaptionBatch.collate(torch.rand(2, 4, 3), captions)


def test_what_is_trained_on_is_the_likelihood_and_the_penalty(tmp_path: Path, few: None) -> None:
    plan = tiny(tmp_path, "model.output_dropout=0.0", "training.reduction=sentence").training
    corpus = prepare_captions(tiny(tmp_path))
    torch.manual_seed(5)
    settings = {**tiny(tmp_path).model, "output_dropout": 0.0}
    model = build(settings, target_vocabulary=len(corpus.target))
    batch = corpus.batch([0, 1, 2, 3])
    objective = Objective(model, plan)
    rollout = model(batch)
    wanted = sequence_cross_entropy(rollout.logits, batch.targets, batch.target_mask, reduction="sentence")
    everywhere = torch.ones(4, 16, dtype=torch.bool)
    wanted = wanted + 0.1 * doubly_stochastic_penalty(rollout.weights, batch.target_mask, everywhere)
    torch.testing.assert_close(loss_of(objective, batch), wanted)
    summed = sequence_cross_entropy(rollout.logits, batch.targets, batch.target_mask, reduction="sum")
    torch.testing.assert_close(loss_of(objective.eval(), batch), summed)


def test_hard_attention_learns_where_to_look(tmp_path: Path, few: None) -> None:
    """The energies get a gradient though the place is drawn, and none without a reward or an entropy to raise."""
    corpus = prepare_captions(tiny(tmp_path))
    settings = {**tiny(tmp_path).model, "attention": "hard", "soft_share": 0.0, "output_dropout": 0.0}
    for change, moved in (("training.reward_weight=1.0", True), ("training.reward_weight=0.0", False)):
        torch.manual_seed(5)
        plan = tiny(tmp_path, change, "training.doubly_stochastic=0.0").training
        model = build(settings, target_vocabulary=len(corpus.target))
        loss_of(Objective(model, plan), corpus.batch([0, 1, 2, 3])).backward()
        gradient = model.decoder.attention.score.v_a.grad
        assert (gradient is not None and bool(gradient.abs().sum() > 0)) is moved


def test_a_captioner_is_trained_stored_and_loaded(tmp_path: Path, few: None) -> None:
    folder = run(tiny(tmp_path, "training.epochs=6"), tmp_path / "run")
    stored = load(folder)
    assert stored.source is None and stored.config["task"] == "captioning"
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["validation_nll_per_token"] < lines[0]["validation_nll_per_token"] < math.log(len(stored.target))
    weights = torch.load(tmp_path / "run" / "best.ckpt", weights_only=True)["model"]
    for name, parameter in stored.model.named_parameters():
        assert torch.equal(parameter, weights[name].half().float())


class Killed(Exception):
    """Stands for the end of the process: nothing catches it."""


def test_a_killed_run_of_hard_attention_resumes_exactly(tmp_path: Path, few: None) -> None:
    recipe = tiny(tmp_path, "model.attention=hard", "training.average=0.9", "training.entropy_weight=0.01")
    run(recipe, tmp_path / "whole")

    def kill(update: int) -> None:
        if update == 4:  # in the second epoch, with a baseline and an average that are not at their start
            raise Killed

    with pytest.raises(Killed):
        run(recipe, tmp_path / "cut", checkpoint_every=0.0, after_update=kill)
    run(recipe, tmp_path / "cut", resume=True)
    for name in ("last.ckpt", "best.ckpt"):
        whole, cut = (torch.load(tmp_path / which / name, weights_only=True) for which in ("whole", "cut"))
        for part in ("model", "average", "baseline"):
            assert whole[part].keys() == cut[part].keys()
            assert all(torch.equal(whole[part][key], cut[part][key]) for key in whole[part])
    both = [tmp_path / which / "model" / "model.safetensors" for which in ("whole", "cut")]
    assert both[0].read_bytes() == both[1].read_bytes()


def test_a_run_that_teaches_the_eyes_first_resumes_exactly(tmp_path: Path, few: None) -> None:
    """Killed before the eyes have learned and after; then the network stays as it was."""
    recipe = tiny(tmp_path, "training.words_first=3")
    eyes: dict[int, list[torch.Tensor]] = {}

    def watch(update: int, model: torch.nn.Module) -> None:
        eyes[update] = [p.detach().clone() for p in model.encoder.network.parameters()]

    run(recipe, tmp_path / "whole", watch=watch)
    assert all(torch.equal(a, b) for a, b in zip(eyes[3], eyes[6], strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(eyes[0], eyes[3], strict=True) if a.dim() > 1)
    for at in (2, 4):

        def kill(update: int, at: int = at) -> None:
            if update == at:
                raise Killed

        with pytest.raises(Killed):
            run(recipe, tmp_path / f"cut{at}", checkpoint_every=0.0, after_update=kill)
        run(recipe, tmp_path / f"cut{at}", resume=True)
        both = [tmp_path / which / "model" / "model.safetensors" for which in ("whole", f"cut{at}")]
        assert both[0].read_bytes() == both[1].read_bytes()
    counted = json.loads((tmp_path / "whole" / "model" / "config.json").read_text())["parameters"]
    assert counted == sum(p.numel() for p in load(tmp_path / "whole" / "model").model.parameters())


def test_words_first_leaves_updates_for_the_words(tmp_path: Path, few: None) -> None:
    with pytest.raises(CourseError, match="words_first is 6 of 6 updates"):
        run(tiny(tmp_path, "training.words_first=6"), tmp_path / "run")


def test_what_is_published_is_the_moving_average(tmp_path: Path, few: None) -> None:
    kept: list[dict[str, torch.Tensor]] = []

    def watch(update: int, model: torch.nn.Module) -> None:
        if update:
            kept.append({name: p.detach().clone() for name, p in model.named_parameters()})

    recipe = tiny(tmp_path, "training.average=0.7", "training.epochs=1")
    folder = run(recipe, tmp_path / "run", watch=watch)
    average = kept[0]
    for weights in kept[1:]:
        average = {name: 0.7 * average[name] + 0.3 * value for name, value in weights.items()}
    published = safetensors.torch.load_file(folder / "model.safetensors")
    for name, value in average.items():
        torch.testing.assert_close(published[name].float(), value, rtol=2e-3, atol=1e-5)
    assert any(not torch.allclose(kept[-1][name], value, rtol=2e-3, atol=1e-5) for name, value in average.items())


def test_a_reader_trains_on_a_folder_of_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("efficientnet_lite_pytorch")
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "cache"))
    colours = {"red": (200, 30, 20), "green": (20, 160, 40), "blue": (20, 40, 200), "grey": (128, 128, 128)}
    lines = ["image\tcaption"]
    for name, colour in colours.items():
        Image.new("RGB", (240, 230), colour).save(tmp_path / f"{name}.png")
        lines += [f"{name}.png\tA {name} wall .", f"{name}.png\tall {name}"]
    (tmp_path / "captions.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    splits = {"train": ["red.png", "green.png", "blue.png"], "val": ["grey.png"]}
    (tmp_path / "splits.json").write_text(json.dumps(splits), encoding="utf-8")
    recipe = tiny(
        tmp_path,
        *("data.train=folder:train", "data.validation=folder:val"),
        *(f"data.images={tmp_path}", f"data.captions={tmp_path / 'captions.tsv'}"),
        "model.features=efficientnet-lite0-14",
    )
    settings = {key: recipe.model[key] for key in ("architecture", "features", "embedding_size", "state_size")}
    recipe = dataclasses.replace(recipe, model={**settings, "annotation_size": 16, "alignment_size": 8})
    corpus = prepare_captions(recipe)
    assert [corpus.target.decode(ids) for _, ids in corpus.train[:2]] == ["a red wall", "all red"]
    assert corpus.references == [("a grey wall", "all grey")]
    stored = load(run(recipe, tmp_path / "run"))
    assert stored.model.encoder.feature_size == 1392


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (("data.train=folder",), "set data.images and data.captions"),
        (("data.train=flickr8k:train",), "lacks model.features"),
        (("data.max_length=1",), "longer than data.max_length"),
        (("training.average=1.0",), "average is 1.0"),
        (("training.reward=letter",), "reward is 'letter'"),
        (("training.doubly_stochastic_goal=two",), "doubly_stochastic_goal is 'two'"),
    ],
)
def test_settings_that_do_not_fit_are_told(
    tmp_path: Path, few: None, monkeypatch: pytest.MonkeyPatch, changes: tuple[str, ...], message: str
) -> None:
    made = captioned.Captioned((tmp_path / "a.png",), (("a wall",),), "stub")
    monkeypatch.setattr(captioned, "load", lambda *_: made)
    with pytest.raises(CourseError, match=message):
        prepare_captions(tiny(tmp_path, *changes))
