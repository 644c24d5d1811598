"""Model folders: ``model.safetensors`` (half precision), ``config.json`` and ``tokenizer.json``. Chapter 7."""

import inspect
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from course_pkg import models
from course_pkg.models import EncoderDecoder
from course_pkg.notation import CourseError
from course_pkg.vocabulary import Vocabulary

__all__ = [
    "DEVICES",
    "FORMAT",
    "Stored",
    "build",
    "describe",
    "find",
    "load",
    "pick_device",
    "reads_pictures",
    "published",
    "save",
    "write_atomically",
]

FORMAT = 1
DEVICES = ("auto", "cpu", "cuda", "mps")
BUILDERS: dict[str, Callable[..., EncoderDecoder]] = {
    "rnnsearch": models.rnnsearch,
    "rnn_encoder_decoder": models.rnn_encoder_decoder,
    "show_attend_tell": models.show_attend_tell,
}


@dataclass(frozen=True)
class Stored:
    """A model with what is needed to use it.

    Attributes:
        model: in evaluation mode, in single precision.
        source: vocabulary of the source side; ``None`` where the source is a picture.
        target: vocabulary of the target side; the same object if the sides share one.
        config: the contents of ``config.json``.
    """

    model: EncoderDecoder
    source: Vocabulary | None
    target: Vocabulary
    config: dict[str, Any]


def pick_device(name: str = "auto") -> torch.device:
    """The device called ``cpu``, ``cuda`` or ``mps``; ``auto`` is the fastest one that is here.

    Raises:
        CourseError: an unknown device, or one that this machine or this torch does not have.
    """
    here = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(device for device, available in here.items() if available))
    if name not in here:
        raise CourseError(f"Unknown device {name!r}: choose one of {', '.join(DEVICES)}.")
    if not here[name]:
        raise CourseError(f"There is no {name} device here: choose auto or cpu.")
    return torch.device(name)


def reads_pictures(description: dict[str, Any]) -> bool:
    """Whether a recipe's ``[model]`` table describes a captioner, which has no source vocabulary."""
    return description.get("architecture") == "show_attend_tell"


def build(
    description: dict[str, Any], *, target_vocabulary: int, source_vocabulary: int | None = None
) -> EncoderDecoder:
    """The model that a recipe's ``[model]`` table describes.

    A captioner has no source vocabulary; ``features`` names the network whose annotations it reads.

    Raises:
        CourseError: an unknown architecture or setting.
    """
    settings = dict(description)
    architecture = settings.pop("architecture", None)
    if architecture not in BUILDERS:
        raise CourseError(f"Unknown architecture {architecture!r}: choose one of {', '.join(BUILDERS)}.")
    _require_known(settings, architecture)
    if source_vocabulary is not None:
        settings["source_vocabulary"] = source_vocabulary
    if "features" in settings:
        from course_pkg.feature_networks import kind  # brings what reads photographs

        settings["feature_size"] = kind(settings.pop("features")).feature_size
    try:
        return BUILDERS[architecture](target_vocabulary=target_vocabulary, **settings)
    except CourseError:
        raise
    except (TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise CourseError(f"The model's settings do not fit {architecture}: {reason}.") from error


def _require_known(settings: dict[str, Any], architecture: str) -> None:
    taken = [name for name in inspect.signature(BUILDERS[architecture]).parameters if not name.endswith("_vocabulary")]
    known = [*taken, "features"] if architecture == "show_attend_tell" else taken
    for name in settings:
        if name not in known:
            raise CourseError(f"{architecture} has no setting {name}: choose from {', '.join(known)}.")


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a file whole or not at all; a failure leaves what was there before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def save(folder: Path, stored: Stored) -> None:
    """Write a model folder whole or not at all. Parameters that are shared are written once, as fp16.

    Raises:
        CourseError: ``folder`` is there and is no model folder, which is not overwritten, or the weights cannot be
            written.
        OSError: a disk that is full, or no permission.
    """
    if folder.exists() and not (folder / "config.json").is_file():
        raise CourseError(f"{folder} is there and is not a model folder: choose another name.")
    tensors = {name: p.detach().cpu().half().contiguous() for name, p in stored.model.named_parameters()}
    shared = stored.source is stored.target
    sides = {"shared": stored.target} if shared else {"source": stored.source, "target": stored.target}
    config = json.dumps({"format": FORMAT, **stored.config}, indent=1, ensure_ascii=False) + "\n"
    vocabularies = json.dumps({side: v.to_json() for side, v in sides.items() if v is not None}, ensure_ascii=False)
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        safetensors.torch.save_file(tensors, temporary / "model.safetensors")
        (temporary / "config.json").write_text(config, encoding="utf-8")
        (temporary / "tokenizer.json").write_text(vocabularies, encoding="utf-8")
        os.chmod(temporary, 0o755)
        _put_in_place(temporary, folder)
    except safetensors.SafetensorError as error:  # how the library reports a full disk
        raise CourseError(f"Cannot write {folder}: {error}.") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _put_in_place(new: Path, folder: Path) -> None:
    """Rename ``new`` to ``folder``; what was there goes last, and comes back if the renaming fails."""
    aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    before = aside / folder.name
    try:
        if folder.exists():
            os.replace(folder, before)
        os.replace(new, folder)
    except BaseException:
        if before.exists():
            os.replace(before, folder)
        aside.rmdir()
        raise
    shutil.rmtree(aside, ignore_errors=True)


def published() -> list[str]:
    """Names of the models that come with the package."""
    weights = Path(str(resources.files("course_pkg"))) / "weights"
    if not weights.is_dir():
        return []
    return sorted(folder.name for folder in weights.iterdir() if (folder / "config.json").is_file())


def find(name_or_folder: str | Path) -> Path:
    """The folder of a published model, or the folder given.

    Raises:
        CourseError: neither a published name nor a model folder.
    """
    if str(name_or_folder) in published():
        return Path(str(resources.files("course_pkg"))) / "weights" / str(name_or_folder)
    folder = Path(name_or_folder)
    if not folder.is_dir():
        choices = ", ".join(published()) or "none is installed"
        raise CourseError(f"No model {name_or_folder}: give a model folder or one of {choices}.")
    missing = [f for f in ("config.json", "model.safetensors", "tokenizer.json") if not (folder / f).is_file()]
    if missing:
        raise CourseError(f"{folder} is not a model folder: it lacks {', '.join(missing)}.")
    return folder


def describe(name_or_folder: str | Path) -> dict[str, Any]:
    """What ``course models`` says of a model, without loading its weights.

    Keys: ``name``, ``task``, ``languages``, ``headline`` (``metric``, ``score``, ``data``; ``None`` before it is
    published), ``parameters``, ``bytes`` on disk and ``licence`` of the weights.

    Raises:
        CourseError: no such model, or a ``config.json`` that is damaged or foreign.
    """
    folder = find(name_or_folder)
    config = _config(folder)
    return {
        "name": str(config.get("name", folder.name)),
        "task": str(config.get("task", "unknown")),
        "languages": list(config.get("languages", [])),
        "headline": config.get("headline"),
        "parameters": config.get("parameters"),
        "bytes": sum(file.stat().st_size for file in folder.iterdir() if file.is_file()),
        "licence": str(config.get("licence", "see LICENSE-WEIGHTS")),
    }


def _config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CourseError(f"The model in {folder} cannot be read ({error}): take another copy.") from error
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise CourseError(f"The model in {folder} was not written by this package (format {FORMAT} expected).")
    return config


def load(name_or_folder: str | Path, *, device: torch.device | str = "cpu") -> Stored:
    """A published model by name, or any model folder.

    Raises:
        CourseError: no such model, or files that are damaged or were not written by `save`.
    """
    folder = find(name_or_folder)
    config = _config(folder)
    try:
        sides = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
        tensors = safetensors.torch.load_file(folder / "model.safetensors")
    except (OSError, ValueError, safetensors.SafetensorError) as error:
        raise CourseError(f"The model in {folder} cannot be read ({error}): take another copy.") from error
    description = config.get("model")
    if not isinstance(sides, dict) or not isinstance(description, dict):
        raise CourseError(f"The model in {folder} was not written by this package (no vocabularies or no model).")
    try:
        sees = reads_pictures(description)
        source = None if sees else Vocabulary.from_json(sides["shared"] if "shared" in sides else sides["source"])
        target = source if source and "shared" in sides else Vocabulary.from_json(sides["target"])
    except KeyError as error:
        raise CourseError(f"The model in {folder} lacks the vocabulary of its {error}: take another copy.") from error
    sizes = {"target_vocabulary": len(target)}
    if source is not None:
        sizes["source_vocabulary"] = len(source)
    _require_fit(description, sizes, tensors, folder)
    with torch.device(device):
        model = build(description, **sizes)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(tensors[name])
    return Stored(model.eval(), source, target, config)


def _require_fit(
    description: dict[str, Any], sizes: dict[str, int], tensors: dict[str, torch.Tensor], folder: Path
) -> None:
    """Compare names and shapes on the meta device: a damaged config may ask for more memory than there is."""
    try:
        with torch.device("meta"):
            model = build(description, **sizes)
    except (ArithmeticError, RuntimeError) as error:  # sizes of 0, below 0 or beyond all numbers
        raise CourseError(f"The sizes in {folder / 'config.json'} make no model: take another copy.") from error
    wanted = {name: parameter.shape for name, parameter in model.named_parameters()}
    if wanted != {name: tensor.shape for name, tensor in tensors.items()}:
        raise CourseError(f"The weights in {folder} do not fit its config.json: take another copy.")
