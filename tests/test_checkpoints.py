"""Model folders: what is stored comes back, what is damaged is refused, and nothing is left half-written."""

import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from course_pkg import checkpoints
from course_pkg.batching import Batch
from course_pkg.checkpoints import Stored, build, find, load, save, write_atomically
from course_pkg.models import count_parameters
from course_pkg.notation import CourseError
from course_pkg.vocabulary import EOS, SubwordVocabulary, WordVocabulary

TEXTS = ["a woman sees the dog", "une femme voit le chien", "l'été"]
SIZES = {"embedding_size": 6, "state_size": 8, "maxout_size": 6}
TIED = {**SIZES, "share_embeddings": True, "tie_output": True}
FILES = {"config.json", "model.safetensors", "tokenizer.json"}


def made(architecture: str = "rnnsearch", *, shared: bool = True, **settings: Any) -> Stored:
    source = SubwordVocabulary.train(TEXTS, size=60)
    target = source if shared else WordVocabulary.train(TEXTS, size=12)
    description = {"architecture": architecture, **(settings or SIZES)}
    model = build(description, source_vocabulary=len(source), target_vocabulary=len(target))
    return Stored(model.eval(), source, target, {"name": "tiny", "model": description})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save(tmp_path / "tiny", made(**TIED))
    return tmp_path / "tiny"


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def edit(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")


# Round trips


@pytest.mark.parametrize("architecture", ["rnnsearch", "rnn_encoder_decoder"])
@pytest.mark.parametrize("shared", [True, False])
def test_a_stored_model_comes_back_in_half_precision(tmp_path: Path, architecture: str, shared: bool) -> None:
    stored = made(architecture, shared=shared)
    save(tmp_path / "deep" / "tiny", stored)
    again = load(tmp_path / "deep" / "tiny")
    wanted = dict(stored.model.named_parameters())
    for name, parameter in again.model.named_parameters():
        assert torch.equal(parameter, wanted.pop(name).half().float())
        assert parameter.dtype == torch.float32 and parameter.requires_grad
    assert not wanted
    assert not any(module.training for module in again.model.modules())
    assert again.config == {"format": checkpoints.FORMAT, **stored.config}
    assert (again.source is again.target) == shared
    for text in TEXTS:
        assert again.source.encode(text) == stored.source.encode(text)
        assert again.target.encode(text) == stored.target.encode(text)


def test_what_a_stored_model_says_is_within_half_precision(tmp_path: Path) -> None:
    stored = made()
    save(tmp_path / "tiny", stored)
    ids = stored.source.encode(TEXTS[0]).ids
    batch = Batch.collate([(ids, ids), (ids[3:], [EOS])])
    difference = stored.model(batch).logits - load(tmp_path / "tiny").model(batch).logits
    assert 0 < difference.abs().max() < 0.01


def test_tied_weights_are_stored_once_and_stay_tied(folder: Path) -> None:
    model = load(folder).model
    assert model.decoder.output.W_o.weight is model.decoder.embedding.weight is model.encoder.embedding.weight
    tensors = safetensors.torch.load_file(folder / "model.safetensors")
    assert sum(tensor.numel() for tensor in tensors.values()) == count_parameters(model)
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}
    size = (folder / "model.safetensors").stat().st_size
    assert size < 2 * count_parameters(model) + 10_000  # two bytes a number and a header


def test_a_model_folder_holds_three_files_that_others_may_read(folder: Path) -> None:
    assert set(everything(folder)) == FILES
    assert folder.stat().st_mode & 0o777 == 0o755
    assert os.listdir(folder.parent) == ["tiny"]
    assert find(folder) == folder


# What is damaged or foreign


def _truncate(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def _write(name: str, content: bytes):
    return lambda folder: (folder / name).write_bytes(content)


def _foreign_weights(folder: Path) -> None:
    safetensors.torch.save_file({"linear.weight": torch.zeros(2, 2)}, folder / "model.safetensors")


def _other_shapes(folder: Path) -> None:
    tensors = safetensors.torch.load_file(folder / "model.safetensors")
    name = next(iter(tensors))
    safetensors.torch.save_file(tensors | {name: tensors[name].repeat(2, 1).contiguous()}, folder / "model.safetensors")


def _model(**changes: Any):
    return lambda folder: edit(folder, model={"architecture": "rnnsearch", **TIED, **changes})


DAMAGE = {
    "truncated weights": (_truncate, "cannot be read"),
    "empty weights": (_write("model.safetensors", b""), "cannot be read"),
    "no safetensors": (_write("model.safetensors", b"\xff" * 64), "cannot be read"),
    "foreign weights": (_foreign_weights, "do not fit"),
    "other shapes": (_other_shapes, "do not fit"),
    "no JSON": (_write("config.json", b"{"), "cannot be read"),
    "not UTF-8": (_write("config.json", b"\xff"), "cannot be read"),
    "a list": (_write("config.json", b"[]"), "not written by this package"),
    "foreign config": (_write("config.json", b'{"model_type": "marian"}'), "not written by this package"),
    "another format": (lambda folder: edit(folder, format=99), "format 1 expected"),
    "no vocabulary": (_write("tokenizer.json", b"{}"), "lacks the vocabulary"),
    "vocabulary no JSON": (_write("tokenizer.json", b"x"), "cannot be read"),
    "vocabulary a list": (_write("tokenizer.json", b"[]"), "not written by this package"),
    "vocabulary damaged": (_write("tokenizer.json", b'{"shared": {"kind": "word"}}'), "Not a stored vocabulary"),
    "no model": (lambda folder: edit(folder, model=None), "not written by this package"),
    "unknown architecture": (_model(architecture="transformer"), "Unknown architecture"),
    "unknown setting": (_model(layers=3), "rnnsearch has no setting layers: choose from embedding_size"),
    "wrong type": (_model(state_size="8"), "settings do not fit|make no model"),
    "another size": (_model(state_size=9), "weights .* do not fit"),
    "no size": (_model(embedding_size=0, maxout_size=0), "make no model|do not fit"),
    "negative size": (_model(state_size=-8), "make no model"),
    "a size beyond all memory": (_model(state_size=10**6), "do not fit"),
    "a size beyond all numbers": (_model(state_size=10**15), "make no model|do not fit"),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_folder_is_refused_in_one_line(folder: Path, damage: tuple) -> None:
    harm, said = damage
    harm(folder)
    with pytest.raises(CourseError, match=said) as refusal:
        load(folder)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(CourseError, match=f"lacks {name}"):
        load(folder)


def test_what_is_no_folder_is_refused(folder: Path) -> None:
    for name in (folder / "config.json", folder / "absent", "no-such-model"):
        with pytest.raises(CourseError, match="No model"):
            load(name)


# Writing whole or not at all


def full_disk(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture(params=["safetensors", "safetensors own error", "text", "rename"])
def failure(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def own_error(*_: Any, **__: Any) -> None:
        raise safetensors.SafetensorError("Error while serializing: I/O error: No space left on device")

    owner, name, wrong = {
        "safetensors": (safetensors.torch, "save_file", full_disk),
        "safetensors own error": (safetensors.torch, "save_file", own_error),
        "text": (Path, "write_text", full_disk),
        "rename": (checkpoints, "_put_in_place", full_disk),
    }[request.param]
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, wrong)
        yield


def test_a_failure_leaves_the_old_model_and_nothing_else(folder: Path, failure: None) -> None:
    before = everything(folder.parent)
    for name in ("tiny", "new"):
        with pytest.raises((OSError, CourseError)):
            save(folder.parent / name, made())
    assert everything(folder.parent) == before
    assert os.listdir(folder.parent) == ["tiny"]


@pytest.mark.parametrize("renames_that_work", [0, 1])
def test_the_old_model_comes_back_when_the_new_one_cannot_take_its_place(
    folder: Path, monkeypatch: pytest.MonkeyPatch, renames_that_work: int
) -> None:
    before, replace, calls = everything(folder.parent), os.replace, []

    def rename(old: Path, new: Path) -> None:
        calls.append(new)
        if len(calls) == renames_that_work + 1:
            raise KeyboardInterrupt
        replace(old, new)

    monkeypatch.setattr(os, "replace", rename)
    with pytest.raises(KeyboardInterrupt):
        save(folder, made())
    assert everything(folder.parent) == before
    assert os.listdir(folder.parent) == ["tiny"]


def test_the_old_model_is_there_until_the_new_one_is_complete(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, put_in_place = [], checkpoints._put_in_place

    def watched(new: Path, place: Path) -> None:
        load(place)
        seen.append((everything(place), set(everything(new))))
        put_in_place(new, place)

    before = everything(folder)
    monkeypatch.setattr(checkpoints, "_put_in_place", watched)
    save(folder, made("rnn_encoder_decoder"))
    assert seen == [(before, FILES)]
    assert load(folder).config["model"]["architecture"] == "rnn_encoder_decoder"
    assert os.listdir(folder.parent) == ["tiny"]


def test_what_is_no_model_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("all my work", encoding="utf-8")
    (tmp_path / "file").write_text("more work", encoding="utf-8")
    before = everything(tmp_path)
    for name in ("thesis", "file"):
        with pytest.raises(CourseError, match="not a model folder"):
            save(tmp_path / name, made())
    assert everything(tmp_path) == before


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "deep" / "notes.json"
    write_atomically(path, "é")
    assert path.read_bytes() == "é".encode()
    write_atomically(path, b"\x00")
    assert path.stat().st_mode & 0o777 == 0o644
    monkeypatch.setattr(os, "replace", full_disk)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, "new")
    assert path.read_bytes() == b"\x00"
    assert os.listdir(path.parent) == ["notes.json"]
