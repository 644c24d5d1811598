"""Training: exact resumption, one step by hand, and what happens when something goes wrong."""

import errno
import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from tiny_corpus import corpus, tiny
from torch.nn.functional import log_softmax

from course_pkg import objective, training
from course_pkg.batching import Batch
from course_pkg.checkpoints import build, load
from course_pkg.notation import CourseError
from course_pkg.preparation import Corpus, prepare
from course_pkg.recipes import Recipe, read
from course_pkg.training import fit, learning_rate

__all__ = ["corpus"]  # a fixture, used by name

LAST_UPDATE, BATCHES = 18, 6  # of the runs below: three epochs of six batches


def run(recipe: Recipe, folder: Path, **how: Any) -> Path:
    return fit(recipe, folder, accelerator="cpu", progress=False, **how)


@pytest.fixture(scope="module")
def undisturbed(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    assert run(tiny(corpus), folder) == folder / "model"
    return folder


def checkpoint(folder: Path, name: str = "last.ckpt") -> dict[str, Any]:
    return torch.load(folder / name, weights_only=True)


def metrics(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict | list | tuple):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in items:
            yield from flat(inner, f"{path}/{key}")
    elif not path.endswith("seconds"):
        yield path, value.tolist() if isinstance(value, torch.Tensor) else value


def assert_same_run(folder: Path, other: Path) -> None:
    """Bitwise: weights, optimiser, progress, metrics and the published folder; only the seconds may differ."""
    for name in ("last.ckpt", "best.ckpt"):
        assert dict(flat(checkpoint(folder, name))) == dict(flat(checkpoint(other, name)))
    assert dict(flat(metrics(folder))) == dict(flat(metrics(other)))
    for name in ("model.safetensors", "config.json", "tokenizer.json"):
        assert (folder / "model" / name).read_bytes() == (other / "model" / name).read_bytes()
    visible = {"last.ckpt", "best.ckpt", "metrics.jsonl", "model"}
    assert set(os.listdir(folder)) == visible


class Killed(Exception):
    """Stands for the end of the process: nothing catches it."""


def raises_at(update: int, error: type[BaseException]) -> Callable[[int], None]:
    def after_update(done: int) -> None:
        if done == update:
            raise error

    return after_update


# A run and its record


def test_an_undisturbed_run_leaves_a_record_and_a_model(undisturbed: Path, corpus: Path) -> None:
    lines = metrics(undisturbed)
    assert [(line["epoch"], line["update"]) for line in lines] == [(1, 6), (2, 12), (3, LAST_UPDATE)]
    for line in lines:
        assert line["validation_perplexity_token"] == pytest.approx(math.exp(line["validation_nll_per_token"]))
    best = max(lines, key=lambda line: line["validation_bleu_greedy"])
    stored = load(undisturbed / "model")
    assert stored.config["best_epoch"] == best["epoch"] == checkpoint(undisturbed, "best.ckpt")["progress"]["epoch"]
    weights = checkpoint(undisturbed, "best.ckpt")["model"]
    for name, parameter in stored.model.named_parameters():
        assert torch.equal(parameter, weights[name].half().float())
    assert stored.config["recipe"] == tiny(corpus).to_dict()


def test_validation_counts_every_real_token_once(corpus: Path, undisturbed: Path) -> None:
    recipe = tiny(corpus)
    data = prepare(recipe)
    model = build(recipe.model, source_vocabulary=len(data.source), target_vocabulary=len(data.target)).eval()
    model.load_state_dict(checkpoint(undisturbed)["model"])
    nll = 0.0
    for source, target in data.validation:  # one by one: no padding, no smoothing, no dropout
        logits = model(Batch.collate([(source, target)])).logits[0]
        nll -= sum(log_softmax(row, -1)[token].item() for row, token in zip(logits, target, strict=True))
    tokens = sum(len(line.split()) + 1 for line in data.validation_text.target)
    assert metrics(undisturbed)[-1]["validation_nll_per_token"] == pytest.approx(nll / tokens, rel=1e-5)


@pytest.mark.parametrize("select_by", ["bleu", "nll"])
def test_the_best_epoch_is_the_best_by_the_chosen_measure(
    corpus: Path, tmp_path: Path, select_by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores, nlls = iter([3.0, 9.0, 6.0]), iter([(5.0, 1), (7.0, 1), (4.0, 1)])
    monkeypatch.setattr(Corpus, "score", lambda *_: next(scores))
    monkeypatch.setattr(training, "_nll", lambda *_: next(nlls))
    folder = run(tiny(corpus, f"training.select_by={select_by}"), tmp_path / "run")
    assert load(folder).config["best_epoch"] == {"bleu": 2, "nll": 3}[select_by]


def test_training_learns(corpus: Path, tmp_path: Path) -> None:
    no_dropout = [f"model.{part}_dropout=0.0" for part in ("embedding", "annotation", "output")]
    wider = ["model.embedding_size=32", "model.state_size=48", "model.alignment_size=32", "model.maxout_size=32"]
    longer = ["training.epochs=12", "training.label_smoothing=0.0"]
    run(tiny(corpus, *no_dropout, *wider, *longer), tmp_path / "run")
    perplexities = [line["validation_perplexity_token"] for line in metrics(tmp_path / "run")]
    assert perplexities[-1] < 2 < 4 < perplexities[0]  # seven tokens: chance is 7


def test_the_toy_is_learnt_from(tmp_path: Path) -> None:
    recipe = read(
        "toy-en-fr-rnnsearch",
        [
            *("data.pairs=150", "data.toy_words=5", "training.epochs=2", "training.batch_size=25"),
            *("training.warmup=0", "training.learning_rate=0.01"),
            *("model.embedding_size=16", "model.state_size=16", "model.maxout_size=16", "model.alignment_size=8"),
        ],
    )
    run(recipe, tmp_path / "run")
    first, second = (line["validation_nll_per_token"] for line in metrics(tmp_path / "run"))
    assert second < first < math.log(1000)


# Exact resumption


@pytest.mark.parametrize(
    ("update", "every"),
    [(3, 0.0), (BATCHES + 3, 0.0), (BATCHES + 3, 300.0), (2 * BATCHES, 0.0), (2 * BATCHES, 300.0), (LAST_UPDATE, 0.0)],
    ids=["in the first epoch", "mid-epoch", "since the last epoch", "at its last update", "the same", "at the end"],
)
def test_a_killed_run_resumes_exactly(
    corpus: Path, tmp_path: Path, undisturbed: Path, update: int, every: float
) -> None:
    folder = tmp_path / "run"
    with pytest.raises(Killed):
        run(tiny(corpus), folder, checkpoint_every=every, after_update=raises_at(update, Killed))
    run(tiny(corpus), folder, resume=True)
    assert_same_run(folder, undisturbed)


@pytest.mark.parametrize("place", ["_translations", "_record", "finish"])
def test_a_run_killed_at_the_end_of_an_epoch_resumes_exactly(
    corpus: Path, tmp_path: Path, undisturbed: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between validation, the best checkpoint, the line of metrics, the last checkpoint and publication."""
    folder, original = tmp_path / "run", getattr(training._Run, place)

    def killed(self: Any, *arguments: Any) -> Any:
        if self.at.update < 2 * BATCHES:
            return original(self, *arguments)
        original(self, *arguments)
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(training._Run, place, killed)
        run(tiny(corpus), folder)
    run(tiny(corpus), folder, resume=True)
    assert_same_run(folder, undisturbed)


def test_a_run_killed_again_and_again_resumes_exactly(corpus: Path, tmp_path: Path, undisturbed: Path) -> None:
    for update in (2, 7, 13):
        with pytest.raises(Killed):
            after = raises_at(update, Killed)
            run(tiny(corpus), tmp_path / "run", resume=update > 2, checkpoint_every=0.0, after_update=after)
    run(tiny(corpus), tmp_path / "run", resume=True)
    run(tiny(corpus), tmp_path / "run", resume=True)  # nothing left to do: publishes once more
    assert_same_run(tmp_path / "run", undisturbed)


def test_a_run_may_be_made_longer(corpus: Path, tmp_path: Path) -> None:
    constant = "training.schedule=constant"
    run(tiny(corpus, constant, "training.epochs=1"), tmp_path / "longer")
    run(tiny(corpus, constant, "training.epochs=2"), tmp_path / "longer", resume=True)
    run(tiny(corpus, constant, "training.epochs=2"), tmp_path / "at once")
    longer, at_once = (dict(flat(checkpoint(tmp_path / name)["model"])) for name in ("longer", "at once"))
    assert longer == at_once


def test_without_its_seeds_a_resumed_run_would_differ(corpus: Path, tmp_path: Path, undisturbed: Path) -> None:
    """The comparison above can fail: another seed gives another run."""
    run(tiny(corpus, "training.seed=2"), tmp_path / "run")
    with pytest.raises(AssertionError):
        assert_same_run(tmp_path / "run", undisturbed)


# Ctrl-C


def test_an_interrupted_run_resumes_from_where_it_was(corpus: Path, tmp_path: Path, undisturbed: Path) -> None:
    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        run(tiny(corpus), folder, after_update=raises_at(BATCHES + 2, KeyboardInterrupt))
    assert checkpoint(folder)["progress"]["update"] == BATCHES + 2
    run(tiny(corpus), folder, resume=True)
    assert_same_run(folder, undisturbed)


@pytest.mark.parametrize("place", ["forward", "step", "evaluation", "record", "checkpoint"])
def test_ctrl_c_at_any_moment_leaves_a_checkpoint_that_resumes(
    corpus: Path, tmp_path: Path, undisturbed: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real signal, in the middle of an update, of validation, or of the writing of a file."""
    owner, name = {
        "forward": (objective, "sequence_cross_entropy"),
        "step": (torch.optim.Adam, "step"),
        "evaluation": (training, "greedy"),
        "record": (training, "write_atomically"),
        "checkpoint": (torch, "save"),
    }[place]
    original, calls = getattr(owner, name), []

    def disturbed(*arguments: Any, **named: Any) -> Any:
        calls.append(place)
        result = original(*arguments, **named)
        if len(calls) == 2:
            signal.raise_signal(signal.SIGINT)
        return result

    handler = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(owner, name, disturbed)
        run(tiny(corpus), tmp_path / "run", checkpoint_every=0.0 if place == "checkpoint" else 300.0)
    assert signal.getsignal(signal.SIGINT) is handler
    assert len(calls) >= 2
    state = checkpoint(tmp_path / "run")
    if place in ("forward", "step"):
        assert state["progress"]["update"] == 2
        assert {int(s["step"]) for s in state["optimiser"]["state"].values()} == {2}
    run(tiny(corpus), tmp_path / "run", resume=True)
    assert_same_run(tmp_path / "run", undisturbed)


SCRIPT = """
import os, signal, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from course_pkg.recipes import read
from course_pkg.training import fit
recipe, folder, mode = sys.argv[1:]
def after_update(done):
    if done == 8 and mode == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if done == 8 and mode == "interrupt":
        print("ready", flush=True)
    if done > 8 and mode == "interrupt":
        signal.pause()
try:
    fit(read(recipe), Path(folder), accelerator="cpu", devices=2 if mode == "two" else 1, progress=False,
        checkpoint_every=0.0, after_update=after_update)
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.fixture
def script(tmp_path: Path) -> list[str]:
    (tmp_path / "train.py").write_text(SCRIPT, encoding="utf-8")
    return [sys.executable, str(tmp_path / "train.py")]


@pytest.mark.parametrize("mode", ["kill", "interrupt"])
def test_a_process_that_ends_by_a_signal_resumes_exactly(
    corpus: Path, tmp_path: Path, undisturbed: Path, script: list[str], mode: str
) -> None:
    root = Path(training.__file__).parents[1]
    process = subprocess.Popen(
        [*script, str(corpus / "tiny.toml"), str(tmp_path / "run"), mode],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
        text=True,
    )
    with process:
        if mode == "interrupt":
            assert process.stdout is not None and process.stdout.readline() == "ready\n"
            process.send_signal(signal.SIGINT)
        assert process.wait() == {"kill": -signal.SIGKILL, "interrupt": 130}[mode]
    assert checkpoint(tmp_path / "run")["progress"]["update"] >= 7
    for stale in (tmp_path / "run").glob(".*"):
        stale.unlink()  # a kill may leave a hidden half-written file, and nothing else
    run(tiny(corpus), tmp_path / "run", resume=True)
    assert_same_run(tmp_path / "run", undisturbed)


@pytest.mark.slow
def test_two_processes_share_every_batch(corpus: Path, tmp_path: Path, script: list[str]) -> None:
    root = Path(training.__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    arguments = [*script, str(corpus / "tiny.toml"), str(tmp_path / "run"), "two"]
    subprocess.run(arguments, env=environment, check=True, timeout=240)
    assert [line["update"] for line in metrics(tmp_path / "run")] == [3, 6, 9]  # half as many updates an epoch
    load(tmp_path / "run" / "model")


# The arithmetic of a step


def test_the_learning_rate_rises_and_falls_as_stated(corpus: Path) -> None:
    recipe = tiny(corpus, "training.warmup=10", "training.learning_rate=0.5")
    total = 110

    def rate(update: int) -> float:
        return learning_rate(recipe, update, total)

    assert [rate(u) for u in range(10)] == pytest.approx([0.05 * (u + 1) for u in range(10)])
    assert (rate(10), rate(60), rate(110)) == pytest.approx((0.5, 0.25, 0.0))
    assert rate(35) == pytest.approx(0.25 * (1 + math.sqrt(0.5)))
    for step in range(51):
        assert rate(10 + step) + rate(110 - step) == pytest.approx(0.5)
    constant = tiny(corpus, "training.schedule=constant", "training.warmup=2", "training.learning_rate=0.5")
    assert [learning_rate(constant, u, 7) for u in range(7)] == [0.25, *[0.5] * 6]
    assert learning_rate(tiny(corpus, "training.warmup=0"), 0, 10) == 0.01


def test_what_comes_first_has_a_schedule_of_its_own(corpus: Path) -> None:
    changes = ("training.warmup=10", "training.learning_rate=0.5", "training.schedule=cosine")
    plain, first = tiny(corpus, *changes), tiny(corpus, *changes, "training.words_first=40")
    rates = [learning_rate(first, update, 150) for update in range(150)]
    assert rates[:40] == [learning_rate(plain, update, 40) for update in range(40)]
    assert rates[40:] == [learning_rate(plain, update, 110) for update in range(110)]


def test_every_update_uses_its_learning_rate(
    corpus: Path, tmp_path: Path, undisturbed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used, step = [], torch.optim.Adam.step

    def watched(self: torch.optim.Adam, *arguments: Any, **named: Any) -> Any:
        used.append(self.param_groups[0]["lr"])
        return step(self, *arguments, **named)

    monkeypatch.setattr(torch.optim.Adam, "step", watched)
    recipe = tiny(corpus)
    run(recipe, tmp_path / "run")
    assert used == [learning_rate(recipe, update, LAST_UPDATE) for update in range(LAST_UPDATE)]
    assert [line["learning_rate"] for line in metrics(tmp_path / "run")] == used[BATCHES - 1 :: BATCHES]


def one_step(corpus: Path, folder: Path, *changes: str) -> tuple[dict, dict, dict]:
    """The weights before and after one update over the whole corpus, and its summed gradient by hand."""
    no_dropout = [f"model.{part}_dropout=0.0" for part in ("embedding", "annotation", "output")]
    whole = ["training.epochs=1", "training.batch_size=46", "training.label_smoothing=0.0", "training.warmup=0"]
    recipe = tiny(corpus, *no_dropout, *whole, "training.schedule=constant", *changes)
    data = prepare(recipe)
    model = training._new_model(recipe, data)
    loss = torch.zeros(())
    for source, target in data.train:
        rows = model(Batch.collate([(source, target)])).logits[0]
        loss = loss - sum(log_softmax(row, -1)[token] for row, token in zip(rows, target, strict=True))
    loss.backward()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    gradient = {name: p.grad for name, p in model.named_parameters()}
    run(recipe, folder)
    return before, checkpoint(folder)["model"], gradient


def test_one_step_of_the_papers_training_by_hand(corpus: Path, tmp_path: Path) -> None:
    """P12: Adadelta (§B.2) after the gradient of the *summed* loss is scaled to norm 1."""
    before, after, gradient = one_step(
        *(corpus, tmp_path / "run", "training.optimiser=adadelta"),
        *("training.learning_rate=1.0", "training.reduction=sum", "training.clip=1.0"),
    )
    norm = math.sqrt(sum(float(g.square().sum()) for g in gradient.values()))
    assert norm > 10  # otherwise nothing is clipped
    rho, epsilon = 0.95, 1e-6
    for name, value in before.items():
        g = gradient[name] / norm
        step = math.sqrt(epsilon) / ((1 - rho) * g.square() + epsilon).sqrt() * g
        torch.testing.assert_close(value - after[name], step, atol=2e-6, rtol=1e-3)
        assert step.abs().max() <= math.sqrt(epsilon / (1 - rho)) + 1e-9  # 4.47e-3, its limit for large gradients


@pytest.mark.parametrize("reduction", ["sum", "sentence", "token"])
def test_the_reduction_decides_what_is_clipped(corpus: Path, tmp_path: Path, reduction: str) -> None:
    """The norm before clipping is that of the summed loss over 1, over the sentences, or over the tokens."""
    seen: list[float] = []
    clip = torch.nn.utils.clip_grad_norm_

    def watched(parameters: Any, *arguments: Any, **named: Any) -> torch.Tensor:
        norm = clip(parameters, *arguments, **named)
        seen.append(float(norm))
        return norm

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.nn.utils, "clip_grad_norm_", watched)
        _, _, gradient = one_step(corpus, tmp_path / "run", f"training.reduction={reduction}")
    norm = math.sqrt(sum(float(g.square().sum()) for g in gradient.values()))
    targets = (corpus / "train.fr").read_text(encoding="utf-8").split("\n")[:-1]
    divisor = {"sum": 1, "sentence": 46, "token": sum(len(line.split()) + 1 for line in targets)}[reduction]
    assert seen == pytest.approx([norm / divisor], rel=1e-3)


# What goes wrong


def refused(said: str, *arguments: Any, **how: Any) -> None:
    with pytest.raises((CourseError, KeyboardInterrupt)) as refusal:  # the second would end the whole session
        run(*arguments, **how)
    assert refusal.type is CourseError
    assert refusal.match(said) and "\n" not in str(refusal.value)


def test_a_loss_that_is_not_a_number_stops_the_run_and_nothing_is_published(corpus: Path, tmp_path: Path) -> None:
    diverging = tiny(corpus, "training.learning_rate=1e38", "training.clip=0.0", "training.schedule=constant")
    refused("not a number", diverging, tmp_path / "run")
    assert os.listdir(tmp_path / "run") == ["last.ckpt"]
    assert checkpoint(tmp_path / "run")["progress"]["update"] == 0


@pytest.mark.parametrize("every", [0.0, 300.0])
@pytest.mark.parametrize("then", ["ctrl-c", "go on"])
def test_weights_that_are_no_numbers_never_reach_a_checkpoint(
    corpus: Path, tmp_path: Path, every: float, then: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where the loss does not show it: here in a row that no batch embeds."""
    models, new_model = [], training._new_model
    monkeypatch.setattr(training, "_new_model", lambda *a: models.append(new_model(*a)) or models[-1])

    def poison(done: int) -> None:
        if done == BATCHES + 2:
            models[0].encoder.embedding.weight.data[0, 0] = math.nan
            if then == "ctrl-c":
                raise KeyboardInterrupt

    refused("not a number", tiny(corpus), tmp_path / "run", checkpoint_every=every, after_update=poison)
    assert set(os.listdir(tmp_path / "run")) == {"last.ckpt", "best.ckpt", "metrics.jsonl"}
    for name in ("last.ckpt", "best.ckpt"):
        assert all(value.isfinite().all() for value in checkpoint(tmp_path / "run", name)["model"].values())
        assert checkpoint(tmp_path / "run", name)["progress"]["update"] in (BATCHES, BATCHES + 1)


def full_disk(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def full_archive(*_: Any, **__: Any) -> None:
    raise RuntimeError("[enforce fail at inline_container.cc:672] .\nunexpected pos 64 vs 0")


FULL = {
    "torch": (torch, "save", full_disk),
    "torch's own error": (torch, "save", full_archive),
    "renaming": (os, "replace", full_disk),
    "metrics": (training, "write_atomically", full_disk),
    "publication": (safetensors.torch, "save_file", full_disk),
}


@pytest.mark.parametrize("full", FULL.values(), ids=FULL)
def test_a_full_disk_leaves_what_was_there(
    corpus: Path, tmp_path: Path, full: tuple, monkeypatch: pytest.MonkeyPatch, undisturbed: Path
) -> None:
    folder, kept = tmp_path / "run", {}

    def fill(done: int) -> None:
        if done == BATCHES + 2:
            kept.update((path.name, path.read_bytes()) for path in folder.iterdir())
            monkeypatch.setattr(*full)

    refused("Cannot write", tiny(corpus), folder, after_update=fill)
    monkeypatch.undo()
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert set(files) == set(kept) == {"last.ckpt", "best.ckpt", "metrics.jsonl"}
    if full is not FULL["publication"]:
        assert files["last.ckpt"] == kept["last.ckpt"]
    run(tiny(corpus), folder, resume=True)
    assert_same_run(folder, undisturbed)


def test_a_folder_that_cannot_be_made_is_refused(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    refused("Cannot write to .*file", tiny(corpus), tmp_path / "file")
    refused("Cannot write to .*file", tiny(corpus), tmp_path / "file" / "below")


def test_a_folder_that_holds_something_is_refused(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine", encoding="utf-8")
    refused("not empty: pass --resume", tiny(corpus), tmp_path)
    assert os.listdir(tmp_path) == ["thesis.tex"]
    refused("no checkpoint to resume", tiny(corpus), tmp_path, resume=True)


@pytest.fixture
def begun(undisturbed: Path, tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "last.ckpt").write_bytes((undisturbed / "last.ckpt").read_bytes())
    return tmp_path / "run"


@pytest.mark.parametrize(
    "change", ["training.seed=2", "training.batch_size=9", "model.state_size=7", "data.max_length=3", "name=other"]
)
def test_a_run_of_another_recipe_is_not_resumed(corpus: Path, begun: Path, change: str) -> None:
    before = (begun / "last.ckpt").read_bytes()
    refused("another recipe", tiny(corpus, change), begun, resume=True)
    assert (begun / "last.ckpt").read_bytes() == before


def test_a_run_that_is_older_than_a_setting_is_resumed(corpus: Path, undisturbed: Path, begun: Path) -> None:
    state = checkpoint(begun)
    stored = json.loads(state["recipe"])
    del stored["data"]["reverse_source"], stored["training"]["continues"]
    torch.save(state | {"recipe": json.dumps(stored)}, begun / "last.ckpt")
    (begun / "best.ckpt").write_bytes((undisturbed / "best.ckpt").read_bytes())
    run(tiny(corpus), begun, resume=True)
    assert (begun / "model").is_dir()


class Exploit:
    def __reduce__(self) -> tuple:
        return os.mkdir, (os.environ["EXPLOIT"],)


def _saved(value: Any) -> Callable[[Path], None]:
    return lambda path: torch.save(value(torch.load(path, weights_only=True)), path)


CORRUPT: dict[str, Callable[[Path], Any]] = {
    "empty": lambda path: path.write_bytes(b""),
    "noise": lambda path: path.write_bytes(bytes(range(256))),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-500]),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "a tensor": _saved(lambda _: torch.zeros(3)),
    "of others": _saved(lambda _: {"state_dict": {}, "epoch": 3}),
    "other weights": _saved(lambda state: state | {"model": {"weight": torch.zeros(2)}}),
    "other optimiser": _saved(lambda state: state | {"optimiser": {}}),
    "other progress": _saved(lambda state: state | {"progress": {"steps": 3}}),
    "no recipe": _saved(lambda state: state | {"recipe": "{"}),
    "another's recipe": _saved(lambda state: state | {"recipe": "[]"}),
    "code": _saved(lambda state: state | {"progress": Exploit()}),
}


@pytest.mark.parametrize("corrupt", CORRUPT.values(), ids=CORRUPT)
def test_a_corrupt_or_foreign_checkpoint_is_refused(
    corpus: Path, begun: Path, corrupt: Callable[[Path], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXPLOIT", str(begun / "exploited"))
    corrupt(begun / "last.ckpt")
    refused("checkpoint|not written by this package", tiny(corpus), begun, resume=True)
    assert os.listdir(begun) == ["last.ckpt"]


@pytest.mark.parametrize(
    ("changes", "how", "said"),
    [
        (["data.max_length=1"], {}, "longer than data.max_length"),
        (["data.source_file=absent.en"], {}, "absent.en does not exist"),
        (["model.state_size='x'"], {}, "settings do not fit"),
        (["training.precision=8-bit"], {}, "Cannot train on"),
        ([], {"devices": 0}, "Cannot train on"),
        ([], {"devices": "many"}, "Cannot train on"),
    ],
)
def test_a_wrong_setting_is_refused_before_anything_is_written(
    corpus: Path, tmp_path: Path, changes: list[str], how: dict, said: str
) -> None:
    refused(said, tiny(corpus, *changes), tmp_path / "run", **how)
    assert not (tmp_path / "run").exists()


def test_an_unknown_accelerator_is_refused(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(CourseError, match="Cannot train on 1 abacus"):
        fit(tiny(corpus), tmp_path / "run", accelerator="abacus")


# --- a number of updates in place of epochs ----------------------------------------------------------------------


@pytest.mark.parametrize(("updates", "epochs"), [(4, 1), (BATCHES, 1), (BATCHES + 3, 2), (2 * BATCHES, 2)])
def test_a_run_makes_exactly_the_updates_asked_for(corpus: Path, tmp_path: Path, updates: int, epochs: int) -> None:
    """Wherever in an epoch that is; each epoch, the broken one too, is validated once."""
    seen: list[int] = []
    run(tiny(corpus, f"training.updates={updates}"), tmp_path / "run", after_update=seen.append)
    assert seen == list(range(1, updates + 1))
    lines = metrics(tmp_path / "run")
    assert [line["epoch"] for line in lines] == list(range(1, epochs + 1))
    assert lines[-1]["update"] == updates
    assert lines[-1]["learning_rate"] == learning_rate(tiny(corpus), updates - 1, updates)


def test_updates_that_fill_the_epochs_are_the_epochs(corpus: Path, undisturbed: Path, tmp_path: Path) -> None:
    run(tiny(corpus, f"training.updates={LAST_UPDATE}"), tmp_path / "run")
    ours, theirs = checkpoint(tmp_path / "run")["model"], checkpoint(undisturbed)["model"]
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_broken_epoch_is_resumed_to_the_same_end(corpus: Path, tmp_path: Path) -> None:
    recipe = tiny(corpus, f"training.updates={BATCHES + 3}")
    run(recipe, tmp_path / "whole")

    def interrupt(update: int) -> None:
        if update == BATCHES + 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(recipe, tmp_path / "broken", after_update=interrupt)
    run(recipe, tmp_path / "broken", resume=True)
    ours, theirs = checkpoint(tmp_path / "broken")["model"], checkpoint(tmp_path / "whole")["model"]
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_a_run_that_is_trained_on_begins_as_the_shorter_run(corpus: Path, tmp_path: Path) -> None:
    """Up to where the shorter run ends it is that run, update by update; then it goes on under its own schedule."""
    shorter, longer = BATCHES + 2, 2 * BATCHES + 3
    run(tiny(corpus, f"training.updates={shorter}"), tmp_path / "short")
    recipe = tiny(corpus, f"training.updates={longer}", f"training.continues={shorter}")
    weights = {}

    def keep(update: int, model: torch.nn.Module) -> None:
        weights[update] = {name: value.clone() for name, value in model.state_dict().items()}

    run(recipe, tmp_path / "long", watch=keep)
    ended = checkpoint(tmp_path / "short")["model"]
    assert all(torch.equal(ended[name], weights[shorter][name]) for name in ended)
    assert any(not torch.equal(ended[name], weights[longer][name]) for name in ended)
    short, long = metrics(tmp_path / "short"), metrics(tmp_path / "long")
    assert [line["validation_nll_per_token"] for line in long[:2]] == [
        line["validation_nll_per_token"] for line in short
    ]
    assert long[-1]["update"] == longer
    assert learning_rate(recipe, shorter, longer) == learning_rate(tiny(corpus), shorter, longer)
