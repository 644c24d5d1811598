"""The command line: what it prints, and one clear line where it cannot."""

import errno
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tiny_models import BLIND, LOOKS, captioner_folder, folder, noise, words_of

from course_pkg import __version__, checkpoints, cli
from course_pkg.cli import main
from course_pkg.inference import Translator, load

COMMANDS = ("models", "translate", "caption", "evaluate", "align", "point", "train")
STRANGE = "👩🎉 dog\nالكلب ينام\na\x00b \x1b[31mred\x07 dog\na\rb\nx\u2028y\x0cz\n\ufeff\u200b\n"


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    parent = tmp_path_factory.mktemp("models")
    folder(parent, "looks", LOOKS)
    folder(parent, "blind", BLIND)
    captioner_folder(parent, "sees", words=words_of("a dog throws the red ball to men"))
    return parent


@pytest.fixture
def type_in(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    def give(content: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content), encoding="utf-8"))

    return give


def refused(capsys: pytest.CaptureFixture[str], *argv: object) -> str:
    """The one line on stderr of a command that must end with exit code 2 and print nothing else."""
    assert main([str(argument) for argument in argv]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1 and err.endswith("\n") and "Traceback" not in err
    return err


def answer(capsys: pytest.CaptureFixture[str], *argv: object) -> str:
    assert main([str(argument) for argument in argv]) == 0
    return capsys.readouterr().out


def run(*argv: object, **kwargs: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "course_pkg", *map(str, argv)]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", env=environment, **kwargs)


# Help, version, arguments


def test_help_names_the_commands_that_exist(capsys: pytest.CaptureFixture[str]) -> None:
    said = answer(capsys, "--help")
    assert all(f"    {command}" in said for command in COMMANDS)
    assert "export-web" not in said


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_version_and_device(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = answer(capsys, command, "--help")
    assert "--device {auto,cpu,cuda,mps}" in said and "--version" in said
    assert answer(capsys, command, "--version") == answer(capsys, "--version") == f"course {__version__}\n"


FLAGS = {
    "models": ["--json"],
    "translate": ["--model", "--beam", "--alpha", "--file"],
    "caption": ["--model", "--beam", "--alpha", "IMAGE"],
    "evaluate": ["--model", "--src", "--ref", "--images", "--captions", "--split"],
    "align": ["--model", "--src", "--tgt"],
    "point": ["--model", "--images", "--objects", "--captions"],
    "train": ["--recipe", "--out", "--set", "--resume", "--devices"],
}


@pytest.mark.parametrize(("command", "flags"), FLAGS.items())
def test_each_command_has_its_flags(command: str, flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    said = answer(capsys, command, "--help")
    assert all(flag in said for flag in flags)


@pytest.mark.parametrize(
    ("argv", "part"),
    [
        ([], "COMMAND"),
        (["sing"], "invalid choice: 'sing'"),
        (["translate", "x"], "--model"),
        (["translate", "--model", "m", "--beam", "0", "x"], "--beam: 0 is not a whole number from 1 up"),
        (["translate", "--model", "m", "--beam", "x", "x"], "--beam"),
        (["translate", "--model", "m", "--file", "f", "x"], "not allowed with"),
        (["translate", "--model", "m", "--device", "tpu", "x"], "--device"),
        (["translate", "--mod", "m", "x"], "--model"),
        (["evaluate", "--model", "m", "--src", "f"], "--ref"),
        (["evaluate", "--model", "m", "--src", "f", "--ref", "g", "--images", "d"], "or --images and --captions"),
        (["evaluate", "--model", "m", "--src", "f", "--ref", "g", "--split", "x:test"], "or --images and --captions"),
        (["evaluate", "--model", "m", "--images", "d"], "--captions"),
        (["caption", "--model", "m"], "IMAGE"),
        (["caption", "--model", "m", "--beam", "0", "a.jpg"], "--beam"),
        (["point", "--model", "m", "--images", "d"], "--objects"),
        (["train", "--recipe", "r"], "--out"),
    ],
)
def test_bad_arguments_are_one_line(argv: list[str], part: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert part in refused(capsys, *argv)


def test_help_needs_no_torch() -> None:
    """`course --help` answers at once because nothing heavy is imported for it."""
    code = (
        "import sys, contextlib, io; from course_pkg.cli import main\n"
        "with contextlib.redirect_stdout(io.StringIO()): assert main(['translate', '--help']) == 0\n"
        "print([m for m in ('torch', 'numpy', 'matplotlib', 'lightning') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_the_devices_are_those_of_the_package() -> None:
    assert cli.DEVICES == checkpoints.DEVICES


# models


def test_models_lists_name_task_languages_figure_size_and_licence(
    models: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = json.loads((models / "looks" / "config.json").read_text(encoding="utf-8"))
    told = {**config, "headline": {"metric": "sacreBLEU", "score": 12.345, "data": "a test"}, "licence": "MIT"}
    monkeypatch.setattr(checkpoints, "published", lambda: [str(models / "looks"), str(models / "blind")])
    monkeypatch.setattr(checkpoints, "_config", lambda path: told if path.name == "looks" else config)
    head, first, second = answer(capsys, "models").splitlines()
    assert "LICENCE" in head
    size = sum(file.stat().st_size for file in (models / "looks").iterdir())
    for part in ("looks", "translation", "en to fr", "sacreBLEU 12.3 on a test", f"{size / 1e6:.1f} MB", "MIT"):
        assert part in first
    assert "LICENSE-WEIGHTS" in second
    listed = json.loads(answer(capsys, "models", "--json"))
    assert listed[0]["headline"]["score"] == 12.345 and listed[0]["bytes"] == size
    assert {"name", "task", "languages", "headline", "bytes", "licence"} <= set(listed[1])


def test_models_of_nothing_is_an_empty_list(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "published", list)
    assert json.loads(answer(capsys, "models", "--json")) == []
    assert answer(capsys, "models").count("\n") == 1


# translate


def test_one_line_for_each_line(models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], type_in) -> None:
    text = "A dog.\n\n \nThe cat sleeps.\r\nA ball"
    (tmp_path / "in.txt").write_text(text, encoding="utf-8", newline="")
    lines = ["A dog.", "", " ", "The cat sleeps.", "A ball"]
    expected = [made.target for made in load(models / "looks").translate(lines)]
    assert expected[1:3] == ["", ""] and len(set(expected)) > 1
    command = ("translate", "--model", models / "looks")
    from_file = answer(capsys, *command, "--file", tmp_path / "in.txt")
    assert from_file.split("\n") == [*expected, ""]
    type_in(text.encode())
    assert answer(capsys, *command) == from_file
    assert answer(capsys, *command, text) == from_file
    assert answer(capsys, *command, "A dog.") == expected[0] + "\n"
    assert answer(capsys, *command, "") == "\n"


def test_the_beam_is_passed_on(models: Path, capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    beams = []
    translate = Translator.translate

    def watch(self, texts, beam=None, *args, **kwargs):
        beams.append(beam)
        return translate(self, texts, beam, *args, **kwargs)

    monkeypatch.setattr(Translator, "translate", watch)
    answer(capsys, "translate", "--model", models / "blind", "--beam", "2", "A dog.")
    answer(capsys, "translate", "--model", models / "blind", "A dog.")
    assert beams == [2, None]


def test_strange_characters_make_no_new_line(models: Path, capsys: pytest.CaptureFixture[str], type_in) -> None:
    type_in(STRANGE.encode())
    assert answer(capsys, "translate", "--model", models / "looks").count("\n") == STRANGE.count("\n") == 6


def test_a_line_of_two_thousand_words(models: Path, capsys: pytest.CaptureFixture[str], type_in) -> None:
    type_in((" ".join(["dog", "sleeps"] * 1000) + "\nA dog.\n").encode())
    assert answer(capsys, "translate", "--model", models / "looks", "--beam", "1").count("\n") == 2


def test_alpha_as_json(models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "alpha.json"
    printed = answer(capsys, "translate", "--model", models / "looks", "--alpha", path, "A dog.\n\nThe cat sleeps.")
    records = json.loads(path.read_text(encoding="utf-8"))
    assert [record["target"] for record in records] == printed.split("\n")[:3]
    assert [record["source"] for record in records] == ["A dog.", "", "The cat sleeps."]
    for record in records:
        assert set(record) == {"source", "target", "source_tokens", "target_tokens", "weights"}
        assert len(record["weights"]) == len(record["target_tokens"])
        for row in record["weights"]:
            assert len(row) == len(record["source_tokens"]) and sum(row) == pytest.approx(1, abs=1e-3)
    assert records[1] == {"source": "", "target": "", "source_tokens": [], "target_tokens": [], "weights": []}


def test_alpha_as_page_and_picture(models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ("translate", "--model", models / "looks", "--alpha")
    answer(capsys, *command, tmp_path / "a.html", "A <b>dog</b>.\n\nThe cat & co.")
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert page.lower().startswith("<!doctype html") and "&amp; co." in page and "<b>dog" not in page
    assert "▁" not in page and "&lt;b&gt;dog&lt;/b&gt;.</bdi></th>" in page  # words, not pieces
    answer(capsys, *command, tmp_path / "a.PNG", "A dog.")
    assert (tmp_path / "a.PNG").read_bytes().startswith(b"\x89PNG")


def test_alpha_is_checked_before_any_work(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    monkeypatch.setattr(cli, "_load", lambda arguments: pytest.fail("a model was loaded"))
    command = ("translate", "--model", "m", "--alpha")
    assert ".html, .png or .json" in refused(capsys, *command, tmp_path / "a.pdf", "A dog.")
    assert "cannot be written" in refused(capsys, *command, tmp_path / "no" / "a.json", "A dog.")
    assert "one sentence" in refused(capsys, *command, tmp_path / "a.png", "A dog.\nA cat.")
    assert "one sentence" in refused(capsys, *command, tmp_path / "a.png", " ")
    assert list(tmp_path.iterdir()) == []


def test_alpha_of_a_model_that_cannot_look(models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(capsys, "translate", "--model", models / "blind", "--alpha", tmp_path / "a.json", "A dog.")
    assert "no attention weights" in said and not (tmp_path / "a.json").exists()


def test_a_disk_that_is_full_leaves_the_old_file(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch
) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    assert "No space left" in refused(capsys, "translate", "--model", models / "looks", "--alpha", path, "A dog.")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


# Bad files and models


def test_bad_text_files(models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], type_in) -> None:
    (tmp_path / "latin").write_bytes("fine\ncafé\n".encode("latin-1"))
    (tmp_path / "empty").write_bytes(b"")
    command = ("translate", "--model", models / "looks", "--file")
    assert "does not exist" in refused(capsys, *command, tmp_path / "nothing")
    assert "is a folder" in refused(capsys, *command, tmp_path)
    assert "not UTF-8 (line 2)" in refused(capsys, *command, tmp_path / "latin")
    assert "empty" in refused(capsys, *command, tmp_path / "empty")
    type_in(b"fine\n\xff\n")
    assert "standard input is not UTF-8 (line 2)" in refused(capsys, *command[:-1])
    type_in(b"")
    assert "standard input is empty" in refused(capsys, *command[:-1])
    assert "not UTF-8" in refused(capsys, *command[:-1], "caf\udce9")


def damaged(models: Path, tmp_path: Path, name: str, content: bytes | None) -> Path:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(models / "looks", copy)
    if content is None:
        (copy / name).unlink()
    else:
        (copy / name).write_bytes(content)
    return copy


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model.safetensors", None),
        ("model.safetensors", b""),
        ("model.safetensors", b"\x08\x00\x00\x00\x00\x00\x00\x00{}      "),
        ("config.json", b"{"),
        ("config.json", b"[]"),
        ("config.json", b'{"architectures": ["BertModel"]}'),
        ("config.json", b'{"format": 1}'),
        ("config.json", b'{"format": 1, "model": {"architecture": "transformer"}}'),
        ("tokenizer.json", b"{}"),
        ("tokenizer.json", b'{"shared": {"kind": "subword", "tokenizer": {}}}'),
        ("tokenizer.json", b"\xff"),
    ],
)
def test_damaged_and_foreign_models(
    name: str, content: bytes | None, models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = damaged(models, tmp_path, name, content)
    assert refused(capsys, "translate", "--model", copy, "A dog.").startswith("course: ")


def test_cut_weights(models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = (models / "looks" / "model.safetensors").read_bytes()
    copy = damaged(models, tmp_path, "model.safetensors", whole[: len(whole) // 2])
    assert "another copy" in refused(capsys, "translate", "--model", copy, "A dog.")


def test_unknown_models(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "No model moses" in refused(capsys, "translate", "--model", "moses", "A dog.")
    assert "not a model folder" in refused(capsys, "translate", "--model", tmp_path, "A dog.")


def test_a_device_that_is_not_here(models: Path, capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    said = refused(capsys, "translate", "--model", models / "looks", "--device", "cuda", "A dog.")
    assert "no cuda device" in said


def test_memory_that_does_not_suffice(models: Path, capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    def greedy(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Translator, "translate", greedy)
    assert "memory" in refused(capsys, "translate", "--model", models / "looks", "A dog.")


def test_a_bug_is_not_taken_for_bad_input(models: Path, monkeypatch) -> None:
    def buggy(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(Translator, "translate", buggy)
    with pytest.raises(RuntimeError, match="a bug"):
        main(["translate", "--model", str(models / "looks"), "A dog."])


# evaluate and align


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    (tmp_path / "a.en").write_text("A dog.\nThe woman sees the black cat.\n", encoding="utf-8")
    (tmp_path / "a.fr").write_text("Un chien.\nLa femme voit le chat noir.\n", encoding="utf-8")
    return tmp_path / "a.en", tmp_path / "a.fr"


def test_evaluate_prints_the_record(models: Path, pair, capsys: pytest.CaptureFixture[str]) -> None:
    record = json.loads(answer(capsys, "evaluate", "--model", models / "looks", "--src", pair[0], "--ref", pair[1]))
    assert record["n"] == 2 and record["model"] == "looks"
    assert "version:" in record["sacrebleu"]["signature"]
    assert {"decoding", "bleu_lc_tok", "chrf", "perplexity_token", "by_length"} <= set(record)


def test_align_prints_links_of_white_space_words(models: Path, pair, capsys: pytest.CaptureFixture[str]) -> None:
    printed = answer(capsys, "align", "--model", models / "looks", "--src", pair[0], "--tgt", pair[1])
    sides = [path.read_text(encoding="utf-8").splitlines() for path in pair]
    expected = load(models / "looks").align(list(zip(*sides, strict=True)))
    lines = printed.split("\n")
    assert len(lines) == 3 and lines[2] == ""
    for line, links, source, target in zip(lines[:2], expected, *sides, strict=True):
        read = [tuple(map(int, link.split("-"))) for link in line.split()]
        assert set(read) == links and read == sorted(read)
        assert all(i < len(source.split()) and j < len(target.split()) for i, j in read)


@pytest.mark.parametrize(("command", "other"), [("evaluate", "--ref"), ("align", "--tgt")])
def test_bad_pairs_of_files(
    command: str, other: str, models: Path, pair, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "short").write_text("Un chien.\n", encoding="utf-8")
    (tmp_path / "blank").write_text("\n\n", encoding="utf-8")
    start = (command, "--model", models / "looks", "--src", pair[0], other)
    assert "2 source lines but 1 target" in refused(capsys, *start, tmp_path / "short")
    assert "blank" in refused(capsys, *start, tmp_path / "blank")
    assert "does not exist" in refused(capsys, *start, tmp_path / "nothing")
    assert "is a folder" in refused(capsys, *start, tmp_path)


def test_align_needs_a_model_that_looks(models: Path, pair, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(capsys, "align", "--model", models / "blind", "--src", pair[0], "--tgt", pair[1])
    assert "cannot look" in said


# caption, evaluate and point on pictures


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    for seed in range(3):
        noise(seed, 60, 40).save(tmp_path / f"{seed}.png")
    return [tmp_path / f"{seed}.png" for seed in range(3)]


def test_file_tab_caption(models: Path, images: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    printed = answer(capsys, "caption", "--model", models / "sees", *images, images[0])
    expected = [one.caption for one in load(models / "sees").caption([*images, images[0]])]
    assert printed.split("\n") == [*map("{}\t{}".format, [*images, images[0]], expected), ""]
    wide = answer(capsys, "caption", "--model", models / "sees", "--beam", "1", images[1])
    assert wide == f"{images[1]}\t{load(models / 'sees').caption([images[1]], 1)[0].caption}\n"


def test_a_bad_picture_is_told_and_the_others_go_on(
    models: Path, images: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = images[0].read_bytes()
    (tmp_path / "half.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "empty.jpg").write_bytes(b"")
    bad = [tmp_path / name for name in ("half.png", "text.jpg", "empty.jpg", "nothing.jpg", ".")]
    given = [bad[0], images[0], *bad[1:4], images[1], bad[4], *[images[2]] * 9]
    alpha = tmp_path / "a.json"
    assert main(["caption", "--model", str(models / "sees"), "--alpha", str(alpha), *map(str, given)]) == 2
    out, err = capsys.readouterr()
    good = [str(path) for path in given if path not in bad]
    assert [line.split("\t")[0] for line in out.splitlines()] == good
    assert [record["image"] for record in json.loads(alpha.read_text(encoding="utf-8"))] == good
    assert err.count("\n") == len(bad) and "Traceback" not in err
    for line, path in zip(err.splitlines(), bad, strict=True):
        assert line.startswith("course: ") and str(path) in line


def test_only_bad_pictures_leave_no_alpha(models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.html", "a.json", "a.png"):
        said = refused(capsys, "caption", "--model", models / "sees", "--alpha", tmp_path / name, tmp_path / "no.jpg")
        assert "no such file" in said and list(tmp_path.iterdir()) == []


def test_alpha_of_pictures(
    models: Path, images: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("caption", "--model", models / "sees", "--alpha")
    printed = answer(capsys, *command, tmp_path / "a.json", *images)
    for record, line in zip(json.loads((tmp_path / "a.json").read_text()), printed.splitlines(), strict=True):
        assert f"{record['image']}\t{record['caption']}" == line
        assert set(record) == {"image", "caption", "tokens", "grid", "box", "weights", "gate"}
        assert record["grid"] == [4, 4] and record["box"] == [0.0, 0.0, 1.0, 1.0]
        assert all(sum(row) == pytest.approx(1, abs=1e-3) for row in record["weights"])
    answer(capsys, *command, tmp_path / "a.html", *images)
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert page.count("<section") == 3 and "<script" not in page
    answer(capsys, *command, tmp_path / "a.png", images[0])
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert "one picture" in refused(capsys, *command, tmp_path / "b.png", *images)


def test_strange_file_names_stay_on_their_line(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["a\tb.png", "c\nd.png", "é 👩.png", os.fsdecode(b"\xff.png"), "<b>&.png"]
    for name in names:
        noise(1).save(tmp_path / "x.png")
        os.replace(tmp_path / "x.png", tmp_path / name)
    files = [tmp_path / name for name in names]
    page = tmp_path / "a.html"
    printed = answer(capsys, "caption", "--model", models / "sees", "--alpha", page, *files)
    shown = [Path(line.split("\t")[0]).name for line in printed.splitlines()]
    assert shown[:3] == ["a\\tb.png", "c\\nd.png", "é 👩.png"] and len(shown) == 5
    assert all(line.count("\t") == 1 for line in printed.splitlines())
    assert "<b>" not in page.read_text(encoding="utf-8")
    answer(capsys, "caption", "--model", models / "sees", "--alpha", tmp_path / "a.json", *files)
    assert len(json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))) == 5


def test_a_full_disk_leaves_the_old_page(
    models: Path, images: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch
) -> None:
    path = tmp_path / "a.html"
    path.write_text("old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    assert main(["caption", "--model", str(models / "sees"), "--alpha", str(path), str(images[0])]) == 2
    assert "No space left" in capsys.readouterr().err
    assert path.read_text() == "old" and {file.name for file in tmp_path.iterdir()} == {
        "a.html",
        "0.png",
        "1.png",
        "2.png",
    }


@pytest.fixture
def captions(images: list[Path], tmp_path: Path) -> Path:
    said = "image\tcaption\n0.png\ta dog\n0.png\tthe dog\n1.png\tthe red ball\n2.png\tmen\n"
    (tmp_path / "c.tsv").write_text(said, encoding="utf-8")
    (tmp_path / "s.json").write_text('{"train": ["0.png"], "test": ["1.png", "2.png"]}')
    objects = [{"image": f"{seed}.png", "objects": [{"category": "dog", "box": [0, 0, 0.5, 1]}]} for seed in range(3)]
    (tmp_path / "o.json").write_text(json.dumps(objects))
    return tmp_path


def test_evaluate_on_pictures(models: Path, captions: Path, capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    from course_pkg import caption_metrics

    monkeypatch.setattr(caption_metrics, "java", lambda: None)
    command = ("evaluate", "--model", models / "sees", "--images", captions, "--captions", captions / "c.tsv")
    record = json.loads(answer(capsys, *command))
    promised = {"bleu1", "bleu2", "bleu3", "bleu4", "bleu4_no_brevity_penalty", "meteor", "rouge_l", "cider"}
    assert promised <= set(record) and record["n"] == 3 and record["model"] == "sees"
    split = json.loads(answer(capsys, *command, "--split", f"{captions / 's.json'}:test", "--beam", "2"))
    assert split["n"] == 2 and split["decoding"]["beam_size"] == 2
    assert "no split val" in refused(capsys, *command, "--split", f"{captions / 's.json'}:val")
    assert "is not a folder" in refused(capsys, *command[:4], captions / "no", *command[5:])


def test_point_prints_the_record(models: Path, captions: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ("point", "--model", models / "sees", "--images", captions, "--objects", captions / "o.json")
    record = json.loads(answer(capsys, *command, "--captions", captions / "c.tsv"))
    assert record["n"] == 2 and record["left_out"]["unmarked"] == 2
    assert {"pointing", "mass", "baselines", "ahead", "shift", "by_category"} <= set(record)
    (captions / "o.json").write_text("[]")
    assert "lists no pictures" in refused(capsys, *command)
    (captions / "o.json").write_text('[{"image": "0.png", "obj')
    assert "is not JSON" in refused(capsys, *command)


def test_each_model_does_its_own_task(
    models: Path, pair, captions: Path, images: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    sees, reads = ("--model", models / "sees"), ("--model", models / "looks")
    for command in [
        ("translate", *sees, "A dog."),
        ("align", *sees, "--src", pair[0], "--tgt", pair[1]),
        ("evaluate", *sees, "--src", pair[0], "--ref", pair[1]),
    ]:
        assert f"cannot {command[0]}" in refused(capsys, *command)
    for command in [
        ("caption", *reads, images[0]),
        ("evaluate", *reads, "--images", captions, "--captions", captions / "c.tsv"),
        ("point", *reads, "--images", captions, "--objects", captions / "o.json"),
    ]:
        assert f"cannot {command[0]}" in refused(capsys, *command)


# train


SMALL = """
name = "small"
description = "for a test"
[data]
train = "toy"
validation = "toy"
pairs = 48
toy_words = 6
[vocabulary]
kind = "word"
size = 120
shared = false
[model]
architecture = "rnnsearch"
embedding_size = 4
state_size = 6
alignment_size = 4
maxout_size = 4
[training]
epochs = 1
batch_size = 16
"""


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    from course_pkg import toy

    made = toy.pairs  # validation has 500 sentences: more than this test needs
    monkeypatch.setattr(toy, "pairs", lambda count, **kwargs: made(min(count, 48), **kwargs))
    path = tmp_path / "small.toml"
    path.write_text(SMALL, encoding="utf-8")
    return path


def test_train_writes_a_model_that_translates(recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("lightning")
    out = tmp_path / "run"
    command = ("train", "--recipe", recipe, "--out", out, "--device", "cpu")
    printed = answer(capsys, *command, "--set", "training.seed=3", "--set", "name=other")
    assert printed.rstrip().split("\n")[-1] == str(out / "model")
    first = json.loads((out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    assert first["epoch"] == 1
    assert answer(capsys, "translate", "--model", out / "model", "--beam", "1", "A dog.").count("\n") == 1
    assert load(out / "model").name == "other"
    assert "--resume" in refused(capsys, *command)
    assert "another recipe" in refused(capsys, *command, "--resume")
    changes = ("--set", "training.seed=3", "--set", "name=other", "--set", "training.epochs=2")
    answer(capsys, *command, *changes, "--resume")
    assert len((out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()) == 2


def test_a_loss_that_is_not_a_number(recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("lightning")
    out = tmp_path / "run"
    settings = ("--set", "training.learning_rate=1e30", "--device", "cpu")
    assert main(["train", "--recipe", str(recipe), "--out", str(out), *settings]) == 2
    assert "loss is not a number" in capsys.readouterr().err.splitlines()[-1]
    assert not (out / "model").exists()


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ("training.epoch=1", "no setting training.epoch"),
        ("training.epochs=many", "type int"),
        ("nonsense", "key=value"),
        ("training.precision=three", "precision"),
        ("model.architecture=transformer", "transformer"),
        ("data.train=files", "names none"),
    ],
)
def test_bad_settings(change: str, part: str, recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("lightning")
    out = tmp_path / "run"
    assert main(["train", "--recipe", str(recipe), "--out", str(out), "--device", "cpu", "--set", change]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("course: ") and part in last
    assert not (out / "model").exists()


def test_bad_recipes_and_folders(recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("lightning")
    (tmp_path / "broken.toml").write_text("= 1", encoding="utf-8")
    assert "No recipe nothing" in refused(capsys, "train", "--recipe", "nothing", "--out", tmp_path / "run")
    assert "not valid TOML" in refused(capsys, "train", "--recipe", tmp_path / "broken.toml", "--out", tmp_path / "run")
    assert "no checkpoint" in refused(capsys, "train", "--recipe", recipe, "--out", tmp_path / "run", "--resume")
    assert "small.toml" in refused(capsys, "train", "--recipe", recipe, "--out", recipe, "--device", "cpu")


# Interruptions


def test_ctrl_c_is_one_line(models: Path, capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Translator, "translate", interrupt)
    assert main(["translate", "--model", str(models / "looks"), "A dog."]) == 130
    assert capsys.readouterr().err == "course: interrupted\n"


def test_ctrl_c_in_training_says_how_to_go_on(recipe: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    pytest.importorskip("lightning")
    from course_pkg import training

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "fit", interrupt)
    command = ["train", "--recipe", str(recipe), "--out", str(tmp_path / "run"), "--device", "cpu"]
    assert main(command) == 130
    assert "nothing was stored" in capsys.readouterr().err
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "last.ckpt").touch()
    assert main(command) == 130
    assert "--resume" in capsys.readouterr().err


def test_a_beam_beyond_all_use_is_refused(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["translate", "--model", str(models / "looks"), "--beam", "9" * 30, "A dog."]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and "too wide" in err


# The real program


def test_the_program_speaks_for_itself(models: Path) -> None:
    made = run("translate", "--model", models / "looks", input="A dog.\n\nCafé 🎉\n")
    assert made.returncode == 0 and made.stdout.count("\n") == 3 and made.stderr == ""
    bad = run("translate", "--model", models / "nothing", "A dog.")
    assert bad.returncode == 2 and bad.stdout == "" and bad.stderr.count("\n") == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, the disk that is always full")
def test_a_full_disk_behind_stdout() -> None:
    with open("/dev/full", "w") as full:
        code = subprocess.run(
            [sys.executable, "-m", "course_pkg", "models"], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert code.returncode == 2
    assert code.stderr == "course: cannot write the output: No space left on device\n"


@pytest.mark.skipif(os.name != "posix", reason="pipes that break are a matter of POSIX")
def test_a_reader_that_hangs_up_is_no_error_message() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "course_pkg", "models"]
    process = subprocess.Popen(command, stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    _, err = process.communicate()
    assert process.returncode == 141 and err == b""
