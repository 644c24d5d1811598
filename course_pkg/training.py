"""`fit`: the training loop, over Lightning Fabric. Chapter 6.

Fabric brings devices, mixed precision and several GPUs; the loop itself stays in sight. Everything random is a
function of ``(seed, epoch)`` (the order of batches) or ``(seed, update)`` (dropout), so a run that was killed and
resumed ends in the same weights, bit for bit on a CPU, as one that was never disturbed.
"""

import dataclasses
import json
import math
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from course_pkg.batching import Batch, BucketSampler, CaptionBatch
from course_pkg.captioning import CaptionCorpus, prepare_captions
from course_pkg.checkpoints import Stored, build, reads_pictures, save, write_atomically
from course_pkg.metrics import perplexity
from course_pkg.models import EncoderDecoder, count_parameters, initialise_as_paper
from course_pkg.notation import CourseError
from course_pkg.objective import Objective, loss_of
from course_pkg.preparation import Corpus, prepare
from course_pkg.recipes import Recipe, from_dict
from course_pkg.search import greedy
from course_pkg.vocabulary import BOS, EOS, PAD

__all__ = ["fit", "learning_rate"]

CHECK_EVERY = 50  # updates between looks at the loss, each of which waits for the device


def learning_rate(recipe: Recipe, update: int, total: int) -> float:
    """The learning rate of update ``update`` (from 0) of ``total``: a linear rise, then constant or a half cosine.

    What ``words_first`` sets apart has a rise and a fall of its own.
    """
    plan = recipe.training
    if update < plan.continues:
        total = plan.continues
    if update < plan.words_first:
        total = plan.words_first
    else:
        update, total = update - plan.words_first, total - plan.words_first
    if update < plan.warmup:
        return plan.learning_rate * (update + 1) / plan.warmup
    if plan.schedule == "constant":
        return plan.learning_rate
    done = (update - plan.warmup) / max(1, total - plan.warmup)
    return plan.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


def _optimiser(recipe: Recipe, model: nn.Module) -> torch.optim.Optimizer:
    plan = recipe.training
    if plan.optimiser == "adam":
        return torch.optim.Adam(model.parameters(), lr=plan.learning_rate)
    return torch.optim.Adadelta(model.parameters(), lr=plan.learning_rate, rho=0.95, eps=1e-6)


def _corpus(recipe: Recipe) -> Corpus | CaptionCorpus:
    return prepare_captions(recipe) if reads_pictures(recipe.model) else prepare(recipe)


def _new_model(recipe: Recipe, corpus: Corpus | CaptionCorpus) -> EncoderDecoder:
    torch.manual_seed(recipe.training.seed)
    read = None if corpus.source is None else len(corpus.source)
    model = build(recipe.model, source_vocabulary=read, target_vocabulary=len(corpus.target))
    if recipe.training.initialisation == "paper":
        return initialise_as_paper(model, seed=recipe.training.seed)
    return model


def _average(model: EncoderDecoder, decay: float) -> AveragedModel | None:
    """An exponential moving average of the weights, or nothing where the decay is 0."""
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay)) if decay else None


@dataclass
class _Progress:
    """Where a run stands; stored in every checkpoint."""

    epoch: int = 0
    batch: int = 0  # batches of this epoch already used
    update: int = 0
    loss: float = 0.0
    tokens: int = 0
    seconds: float = 0.0
    best: float = -math.inf
    best_epoch: int = -1


def fit(
    recipe: Recipe,
    folder: Path,
    *,
    accelerator: str = "auto",
    devices: int | str = 1,
    resume: bool = False,
    progress: bool = True,
    checkpoint_every: float = 300.0,
    after_update: Callable[[int], None] | None = None,
    watch: Callable[[int, EncoderDecoder], None] | None = None,
) -> Path:
    """Train a recipe and write the model folder.

    Args:
        recipe: what to train.
        folder: gets ``metrics.jsonl`` (a line an epoch), ``last.ckpt``, ``best.ckpt`` and, at the end, ``model/``.
        accelerator: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        devices: how many.
        resume: go on from ``last.ckpt``.
        progress: show a progress bar.
        checkpoint_every: seconds between checkpoints within an epoch; one is also written after every epoch and
            on Ctrl-C.
        after_update: called with the number of updates made; what it raises stops the run.
        watch: called before the first update and after each one, with the number of updates made and the model, to
            measure it as it learns; it must leave the parameters alone, and may draw random numbers or change the mode.

    Returns:
        The finished model folder: the epoch that was best on the validation corpus.

    Raises:
        CourseError: bad settings, a loss that is not a number, a folder that is not empty (without ``resume``) or
            holds another run, or a full disk.
        KeyboardInterrupt: Ctrl-C, after a checkpoint from which ``resume`` goes on.
    """
    held = any(not path.name.startswith(".") for path in folder.glob("*"))
    if not resume and held:
        raise CourseError(f"{folder} is not empty: pass --resume to go on with its run, or choose another folder.")
    if resume and not (folder / "last.ckpt").exists():
        raise CourseError(f"{folder} holds no checkpoint to resume from: train without --resume first.")
    fabric = _fabric(accelerator, devices, recipe.training.precision)
    fabric.launch()
    run = _Run(recipe, folder, fabric, resume, progress)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        run.train(checkpoint_every, after_update, watch)
        return run.finish()
    except OSError as error:
        raise CourseError(f"Cannot write to {folder}: {error.strerror or error}.") from error


def _fabric(accelerator: str, devices: int | str, precision: str) -> Any:
    try:
        from lightning.fabric import Fabric
    except ImportError as error:
        raise CourseError("Training needs Lightning: pip install 'course-pkg[train]'.") from error
    try:
        return Fabric(accelerator=accelerator, devices=devices, precision=precision)  # type: ignore[arg-type]
    except Exception as error:  # what it raises is its own and varies
        reason = " ".join(str(error).split())
        raise CourseError(f"Cannot train on {devices} {accelerator} in {precision}: {reason}") from error


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Hold Ctrl-C back until the block is done: from half an update no run can go on."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals reach the main thread alone
        return
    held: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: held.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if held:
        signal.raise_signal(signal.SIGINT)


class _Run:
    def __init__(self, recipe: Recipe, folder: Path, fabric: Any, resume: bool, progress: bool) -> None:
        self.recipe, self.folder, self.fabric, self.show = recipe, folder, fabric, progress
        self.corpus = _corpus(recipe)
        self.model = _new_model(recipe, self.corpus)
        if recipe.training.words_first and fabric.world_size > 1:
            raise CourseError("training.words_first trains on one device: pass --devices 1.")
        self.bare = Objective(self.model, recipe.training)
        self.objective, self.optimiser = fabric.setup(self.bare, _optimiser(recipe, self.bare))
        self.average = _average(self.model, recipe.training.average)
        self.sampler = BucketSampler(
            self.corpus.lengths,
            batch_size=recipe.training.batch_size,
            buffer_batches=recipe.training.buffer_batches,
            seed=recipe.training.seed,
            reshuffle=recipe.training.reshuffle,
        )
        self.per_epoch = len(self.sampler) // fabric.world_size
        if not self.per_epoch:
            raise CourseError("There are fewer batches than devices: use fewer devices or smaller batches.")
        if recipe.training.words_first >= self.total:
            raise CourseError(
                f"training.words_first is {recipe.training.words_first} of {self.total} updates: leave some for the "
                "decoder."
            )
        self.at = _Progress()
        if resume:
            self._restore()

    @property
    def total(self) -> int:
        return self.recipe.training.updates or self.per_epoch * self.recipe.training.epochs

    @property
    def stop(self) -> int:
        """The update at which the epoch is broken off: the end, or the end of the run that this one continues."""
        shorter = self.recipe.training.continues
        return shorter if self.at.update < shorter else self.total

    def train(
        self,
        checkpoint_every: float,
        after_update: Callable[[int], None] | None,
        watch: Callable[[int, EncoderDecoder], None] | None,
    ) -> None:
        saved = time.monotonic()
        if not self.at.update:
            self._checkpoint("last.ckpt")
            if watch:
                watch(0, self.model)
        try:
            while self.at.update < self.total:
                for batch in self._batches():
                    with _undisturbed():
                        self._update(batch)
                    if after_update:
                        after_update(self.at.update)
                    if watch:
                        watch(self.at.update, self.model)
                    if time.monotonic() - saved > checkpoint_every:
                        self._checkpoint("last.ckpt")
                        saved = time.monotonic()
                self._end_epoch()
                saved = time.monotonic()
        except KeyboardInterrupt:
            with _undisturbed():
                self._checkpoint("last.ckpt")
            raise

    def _batches(self) -> Iterator[Batch | CaptionBatch]:
        from tqdm import tqdm

        self.sampler.set_epoch(self.at.epoch)
        mine = list(self.sampler)[self.fabric.global_rank :: self.fabric.world_size][: self.per_epoch]
        due = min(self.per_epoch, self.at.batch + self.stop - self.at.update)
        label = f"epoch {self.at.epoch + 1}/{math.ceil(self.total / self.per_epoch)}"
        hidden = not self.show or self.fabric.global_rank > 0
        for rows in tqdm(
            mine[self.at.batch : due],
            desc=label,
            initial=self.at.batch,
            total=due,
            disable=hidden,
            leave=False,
        ):
            yield self.corpus.batch(rows).to(self.fabric.device, non_blocking=True)

    def _update(self, batch: Batch | CaptionBatch) -> None:
        plan, started = self.recipe.training, time.monotonic()
        torch.manual_seed(plan.seed * 1_000_003 + self.at.update * self.fabric.world_size + self.fabric.global_rank)
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.recipe, self.at.update, self.total)
        self.objective.train()
        loss = loss_of(self.objective, batch, self.at.update)
        self.optimiser.zero_grad(set_to_none=True)
        self.fabric.backward(loss)
        if plan.clip:
            self.fabric.clip_gradients(self.objective, self.optimiser, max_norm=plan.clip, error_if_nonfinite=False)
        if self.at.update % CHECK_EVERY == 0:
            self._require_number(float(loss.detach()))
        self.optimiser.step()
        if self.average is not None:
            self.average.update_parameters(self.model)
        self.at.update += 1
        self.at.batch += 1
        self.at.seconds += time.monotonic() - started

    def _require_number(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise CourseError(
                f"The loss is not a number at update {self.at.update}: lower training.learning_rate or training.clip, "
                "then train into a new folder."
            )

    def _end_epoch(self) -> None:
        """Measure on the validation corpus, note it, keep the model if it is the best; all or nothing."""
        with self._averaged():
            nll, tokens = _nll(self.objective, self.corpus, self.fabric.device)
            self._require_number(nll)
            score = self.corpus.score(self._translations())
        with _undisturbed():
            self._close_epoch(nll, tokens, score)

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """Within, the model has its averaged weights, if an average is kept."""
        if self.average is None:
            yield
            return
        live = {name: value.clone() for name, value in self.model.state_dict().items()}
        self.model.load_state_dict(self.average.module.state_dict())
        try:
            yield
        finally:
            self.model.load_state_dict(live)

    def _close_epoch(self, nll: float, tokens: int, score: float) -> None:
        quality = score if self.recipe.training.select_by == "bleu" else -nll
        self.at.epoch, self.at.batch = self.at.epoch + 1, 0
        record = {
            "epoch": self.at.epoch,
            "update": self.at.update,
            "learning_rate": learning_rate(self.recipe, self.at.update - 1, self.total),
            "validation_nll_per_token": nll / tokens,
            "validation_perplexity_token": perplexity(nll, tokens),
            "validation_bleu_greedy": score,
            "train_seconds": round(self.at.seconds, 1),
        }
        if quality > self.at.best:
            self.at.best, self.at.best_epoch = quality, self.at.epoch
            with self._averaged():
                self._checkpoint("best.ckpt")
        self._record(record)
        self._checkpoint("last.ckpt")

    def _translations(self) -> list[str]:
        return _greedy_texts(self.model, self.corpus, self.fabric.device)

    def _record(self, record: dict[str, Any]) -> None:
        if self.fabric.global_rank:
            return
        path = self.folder / "metrics.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        kept = [line for line in lines if json.loads(line)["epoch"] < record["epoch"]]
        write_atomically(path, "\n".join([*kept, json.dumps(record)]) + "\n")
        if self.show:
            shown = ", ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in record.items())
            print(shown, flush=True)

    def _checkpoint(self, name: str) -> None:
        if self.fabric.global_rank:
            return
        if not all(bool(parameter.isfinite().all()) for parameter in self.model.parameters()):
            self._require_number(math.nan)
        state = {
            "recipe": json.dumps(self.recipe.to_dict(), sort_keys=True),
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "progress": dataclasses.asdict(self.at),
            "baseline": self.bare.baseline.state_dict(),
            "votes": None if self.bare.votes is None else self.bare.votes.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
        }
        handle, temporary = tempfile.mkstemp(dir=self.folder, prefix=f".{name}.")
        os.close(handle)
        try:
            torch.save(state, temporary)
            os.replace(temporary, self.folder / name)
        except RuntimeError as error:  # how torch reports a full disk
            reason = " ".join(str(error).split())
            raise CourseError(f"Cannot write {self.folder / name}: {reason}.") from error
        finally:
            Path(temporary).unlink(missing_ok=True)

    def _restore(self) -> None:
        state = _read_checkpoint(self.folder / "last.ckpt")
        try:
            ours, theirs = self.recipe.to_dict(), from_dict(json.loads(state["recipe"])).to_dict()
            for values in (ours, theirs):
                for length in ("epochs", "updates"):  # a run may be made longer
                    values["training"].pop(length, None)
            if ours == theirs:
                self.model.load_state_dict(state["model"])
                self.optimiser.load_state_dict(state["optimiser"])
                if "baseline" in state:  # a younger part of the checkpoint than the others
                    self.bare.baseline.load_state_dict(state["baseline"])
                if self.bare.votes is not None:
                    self.bare.votes.load_state_dict(state["votes"])
                if self.average is not None:
                    self.average.load_state_dict(state["average"])
                self.at = _Progress(**state["progress"])
        except Exception as error:  # torch and json raise many kinds for a file that others wrote
            raise CourseError(f"{self.folder} holds a checkpoint of other data or another program.") from error
        if ours != theirs:
            raise CourseError(f"{self.folder} holds a run of another recipe: resume with the recipe it was begun with.")

    def _task(self) -> dict[str, Any]:
        if self.corpus.source is None:
            return {"task": "captioning", "languages": ["en"]}
        return {"task": "translation", "languages": [self.recipe.data.source, self.recipe.data.target]}

    def finish(self) -> Path:
        """Write the best epoch as a model folder."""
        self.fabric.barrier()  # only the first process writes checkpoints
        state = _read_checkpoint(self.folder / "best.ckpt")
        self.model.load_state_dict(state["model"])
        config = {
            "name": self.recipe.name,
            **self._task(),
            "model": self.recipe.model,
            "parameters": count_parameters(self.model),
            "decoding": dataclasses.asdict(self.recipe.decoding),
            "best_epoch": state["progress"]["best_epoch"],
            "recipe": self.recipe.to_dict(),
        }
        if not self.fabric.global_rank:
            save(self.folder / "model", Stored(self.model, self.corpus.source, self.corpus.target, config))
        return self.folder / "model"


def _read_checkpoint(path: Path) -> dict[str, Any]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        missing = {"recipe", "model", "optimiser", "progress"} - set(state)
    except Exception as error:
        raise CourseError(f"{path} is not a checkpoint that can be read: delete it and start again.") from error
    if missing:
        raise CourseError(f"{path} was not written by this package: it lacks {', '.join(sorted(missing))}.")
    return state


@torch.no_grad()
def _nll(objective: nn.Module, corpus: Corpus | CaptionCorpus, device: torch.device) -> tuple[float, int]:
    """Summed negative log-likelihood in nats, and the number of target tokens, EOS counted."""
    objective.eval()
    total, tokens = 0.0, 0
    for batch in corpus.validation_batches():
        tokens += int(batch.target_mask.sum())
        total += float(loss_of(objective, batch.to(device)))
    return total, tokens


@torch.no_grad()
def _greedy_texts(model: EncoderDecoder, corpus: Corpus | CaptionCorpus, device: torch.device) -> list[str]:
    model.eval()
    texts: dict[int, str] = {}
    for rows, batch, max_steps in corpus.questions():
        batch = batch.to(device)
        encoded = model.encode(batch.source, batch.source_mask)
        found = greedy(model.decoder, encoded, bos=BOS, eos=EOS, max_steps=max_steps, forbid=(PAD, BOS))
        for row, ids in zip(rows, found.tokens[:, 0].tolist(), strict=True):
            texts[row] = corpus.target.decode(ids)
    return [texts[row] for row in range(len(texts))]
