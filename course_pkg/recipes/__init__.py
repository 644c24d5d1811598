"""Recipes: one small TOML file for each published model, beside this reader. Chapter 6.

A recipe holds every hyper-parameter, the data and the seed. `read` turns it into a `Recipe`; an unknown or
misspelt key is refused rather than ignored.
"""

import dataclasses
import tomllib
import types
import typing
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from course_pkg.notation import CourseError

__all__ = ["Data", "Decoding", "Recipe", "Training", "VocabularyChoice", "from_dict", "names", "read"]


def _require_choice(settings: Any, name: str, choices: Collection[str]) -> None:
    value = getattr(settings, name)
    if value not in choices:
        raise CourseError(f"The recipe's {name} is {value!r}: choose one of {', '.join(choices)}.")


def _require_positive(settings: Any, *names: str) -> None:
    for name in names:
        value = getattr(settings, name)
        if not 0 < value < float("inf"):
            raise CourseError(f"The recipe's {name} is {value}: give a number above 0.")


@dataclass(frozen=True)
class Data:
    """What to learn from."""

    train: str
    """corpora to train on, such as ``multi30k:train``; several are joined with ``+``; or ``toy``; a captioner's is
    ``flickr8k:train``, ``folder`` or ``scenes``"""
    validation: str
    """corpus that chooses the best epoch and fixes decoding; several are joined with ``+``"""
    source: str = "en"
    """source language"""
    target: str = "fr"
    """target language"""
    source_file: str = ""
    """a file of source sentences, used when ``train`` is ``files``"""
    target_file: str = ""
    """a file of their translations"""
    validation_source_file: str = ""
    """source sentences for validation, used when ``validation`` is ``files``"""
    validation_target_file: str = ""
    """their translations"""
    images: str = ""
    """a folder of pictures, used when ``train`` is ``folder``; ``folder:NAME`` is the list NAME of ``splits.json``"""
    captions: str = ""
    """the file of their captions, beside which ``splits.json`` lies"""
    max_length: int = 100
    """pairs with more tokens on either side are left out of training"""
    max_words: int = 0
    """pairs with more words on either side are left out of training; 0 for no limit"""
    validation_pairs: int = 0
    """the first so many pairs of each validation corpus; 0 for all"""
    pairs: int = 0
    """number of training pairs or scenes: how many the toy makes, or the first so many of a text; 0 for all"""
    min_words: int = 3
    """shortest toy sentence"""
    toy_words: int = 14
    """longest toy sentence"""
    reverse_source: bool = False
    """the source is read from its last word to its first (Sutskever et al. 2014, §3.3)"""


@dataclass(frozen=True)
class VocabularyChoice:
    """How text becomes tokens."""

    kind: str = "subword"
    """``subword`` (byte-pair encoding) or ``word``"""
    size: int = 8000
    """entries, special tokens included"""
    shared: bool = True
    """one vocabulary for both languages"""

    def __post_init__(self) -> None:
        _require_choice(self, "kind", ("subword", "word"))
        _require_positive(self, "size")


@dataclass(frozen=True)
class Training:
    """How to learn."""

    seed: int = 1
    epochs: int = 10
    """passes over the data; ``updates`` takes their place when given"""
    updates: int = 0
    """updates in all, wherever in an epoch that is; 0 for as many as the epochs have"""
    words_first: int = 0
    """updates, the first of all, in which a picture network learns which words a caption has; then it stays as it is,
    and the schedule begins again; 0 for none. See `course_pkg.objective.WordVotes`"""
    continues: int = 0
    """updates of a finished run that is trained on: until then schedule and end are that run's; 0 for none"""
    batch_size: int = 64
    buffer_batches: int = 20
    """batches sorted together by length"""
    reshuffle: bool = True
    """a new order every epoch; the paper shuffles once"""
    optimiser: str = "adam"
    """``adam`` or ``adadelta`` (rho 0.95, epsilon 1e-6)"""
    learning_rate: float = 1e-3
    schedule: str = "constant"
    """``constant`` or ``cosine`` (down to zero at the last update)"""
    warmup: int = 0
    """updates over which the learning rate rises from zero"""
    clip: float = 1.0
    """largest global norm of the gradient"""
    label_smoothing: float = 0.0
    reduction: str = "token"
    """what the loss is divided by before clipping: ``sum`` (nothing), ``sentence`` or ``token``"""
    initialisation: str = "modern"
    """``paper`` (§B.1 of Bahdanau et al. 2015) or ``modern`` (uniform by fan-in)"""
    precision: str = "32-true"
    """``32-true``, ``bf16-mixed`` or another of Lightning's"""
    select_by: str = "bleu"
    """``bleu`` or ``nll`` on the validation corpus"""
    average: float = 0.0
    """decay of a moving average of the weights, which then is what is validated and published; 0 for none"""
    doubly_stochastic: float = 0.0
    """weight of the penalty on ``Σ_t α_ti``, λ of Xu et al. 2015 (eq. 14), added to the loss as it is reduced"""
    doubly_stochastic_goal: str = "one"
    """``one`` (the paper's) or ``share``, C/L; see `course_pkg.losses.doubly_stochastic_penalty`"""
    reward_weight: float = 1.0
    """λ_r of hard attention (Xu et al. 2015, §4.1); see `course_pkg.losses.reinforce`"""
    entropy_weight: float = 0.0
    """λ_e of hard attention"""
    reward: str = "sentence"
    """``sentence`` (the paper's) or ``word``"""

    def __post_init__(self) -> None:
        _require_choice(self, "optimiser", ("adam", "adadelta"))
        _require_choice(self, "schedule", ("constant", "cosine"))
        _require_choice(self, "reduction", ("sum", "sentence", "token"))
        _require_choice(self, "initialisation", ("paper", "modern"))
        _require_choice(self, "select_by", ("bleu", "nll"))
        _require_choice(self, "doubly_stochastic_goal", ("one", "share"))
        _require_choice(self, "reward", ("sentence", "word"))
        if not 0 <= self.average < 1:
            raise CourseError(f"The recipe's average is {self.average}: give a decay from 0 up to but not 1.")
        _require_positive(self, "epochs", "batch_size", "buffer_batches", "learning_rate")


@dataclass(frozen=True)
class Decoding:
    """How the published model is decoded; fixed on the validation corpus."""

    beam_size: int = 5
    length_penalty: float = 1.0

    def __post_init__(self) -> None:
        _require_positive(self, "beam_size")


@dataclass(frozen=True)
class Recipe:
    """Everything needed to train a model again."""

    name: str
    description: str
    data: Data
    model: dict[str, Any]
    """``architecture`` and the arguments of its builder in `course_pkg.models`"""
    vocabulary: VocabularyChoice = field(default_factory=VocabularyChoice)
    training: Training = field(default_factory=Training)
    decoding: Decoding = field(default_factory=Decoding)

    def to_dict(self) -> dict[str, Any]:
        """The recipe as plain values, as it is stored in a model's ``config.json``."""
        return dataclasses.asdict(self)


def from_dict(values: dict[str, Any]) -> Recipe:
    """The recipe that `Recipe.to_dict` wrote; a setting that is younger than the record has its default.

    Raises:
        CourseError: an unknown key, or a value of the wrong type.
    """
    recipe: Recipe = _build(Recipe, values, "")
    return recipe


def names() -> list[str]:
    """The recipes that come with the package."""
    files = resources.files(__name__).iterdir()
    return sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml"))


def read(name_or_file: str | Path, changes: Sequence[str] = ()) -> Recipe:
    """Read a recipe by name or from a TOML file.

    Args:
        name_or_file: one of `names`, or a path.
        changes: ``key=value`` with a dotted key, such as ``training.epochs=1``; the value is TOML.

    Raises:
        CourseError: no such recipe, not TOML, an unknown key, or a value of the wrong type.
    """
    text = _text(name_or_file)
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CourseError(f"{name_or_file} is not valid TOML: {error}.") from error
    for change in changes:
        _change(values, change)
    return from_dict(values)


def _text(name_or_file: str | Path) -> str:
    packaged = resources.files(__name__).joinpath(f"{name_or_file}.toml")
    if str(name_or_file) in names():
        return packaged.read_text(encoding="utf-8")
    path = Path(name_or_file)
    if path.is_dir():
        raise CourseError(f"{path} is a folder: give a recipe file or one of {', '.join(names())}.")
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise CourseError(f"No recipe {name_or_file}: give a file or one of {', '.join(names())}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise CourseError(f"Cannot read the recipe {path}: {error}.") from error


def _change(values: dict[str, Any], change: str) -> None:
    key, equals, text = change.partition("=")
    if not equals or not key.strip():
        raise CourseError(f"--set takes key=value, such as training.epochs=1; not {change!r}.")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    *parents, last = key.strip().split(".")
    for parent in parents:
        values = values.setdefault(parent, {})
        if not isinstance(values, dict):
            raise CourseError(f"--set {change}: {parent} has no parts.")
    values[last] = value


def _build(kind: Any, values: Any, where: str) -> Any:
    if not dataclasses.is_dataclass(kind):
        return _value(kind, values, where)
    if not isinstance(values, dict):
        raise CourseError(f"The recipe's {where} must be a table of settings.")
    hints = typing.get_type_hints(kind)
    fields = {f.name: f for f in dataclasses.fields(kind)}
    prefix = f"{where}." if where else ""
    for key in values:
        if key not in fields:
            raise CourseError(f"The recipe has no setting {prefix}{key}: choose from {', '.join(fields)}.")
    for name, one in fields.items():
        required = one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING
        if required and name not in values:
            raise CourseError(f"The recipe lacks {prefix}{name}.")
    return kind(  # type: ignore[operator]
        **{key: _build(hints[key], value, f"{prefix}{key}") for key, value in values.items()}
    )


def _value(kind: Any, value: Any, where: str) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    plain = typing.get_origin(kind) or kind
    if isinstance(plain, types.UnionType) or not isinstance(value, plain) or (plain is int and isinstance(value, bool)):
        raise CourseError(f"The recipe's {where} should be of type {plain.__name__}, not {value!r}.")
    return value
