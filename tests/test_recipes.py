"""Recipes: what is packaged builds, and what is misspelt is refused in one line."""

import dataclasses
from pathlib import Path

import pytest
import torch

from course_pkg import recipes
from course_pkg.checkpoints import build, reads_pictures
from course_pkg.models import count_parameters
from course_pkg.notation import CourseError
from course_pkg.recipes import Recipe, read

SMALL = """
name = "small"
description = "for tests"
[data]
train = "toy"
validation = "toy"
[model]
architecture = "rnnsearch"
state_size = 8
[training]
epochs = 3
"""


def parameters(recipe: Recipe) -> int:
    size = recipe.vocabulary.size
    read = None if reads_pictures(recipe.model) else size
    with torch.device("meta"):  # shapes without memory
        return count_parameters(build(recipe.model, source_vocabulary=read, target_vocabulary=size))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(SMALL, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", recipes.names())
def test_every_packaged_recipe_reads_and_builds(name: str) -> None:
    recipe = read(name)
    assert recipe.name == name
    assert recipe.description.endswith(".")
    assert parameters(recipe) > 0


def test_the_packaged_recipes_are_there() -> None:
    published = {f"{corpus}-en-fr-{model}" for corpus in ("multi30k", "toy") for model in ("rnnsearch", "encdec")}
    assert published | {"bahdanau2015-rnnsearch"} <= set(recipes.names())


@pytest.mark.parametrize("corpus", ["multi30k", "toy"])
def test_the_two_models_of_a_comparison_have_equal_parameters_within_two_percent(corpus: str) -> None:
    search, plain = (read(f"{corpus}-en-fr-{model}") for model in ("rnnsearch", "encdec"))
    assert parameters(plain) == pytest.approx(parameters(search), rel=0.02)
    assert (plain.data, plain.vocabulary, plain.training) == (search.data, search.vocabulary, search.training)
    own = {"architecture", "state_size", "alignment_size", "order"}
    assert {k: v for k, v in plain.model.items() if k not in own} == {
        k: v for k, v in search.model.items() if k not in own
    }


def test_the_papers_recipe_has_the_papers_parameters() -> None:
    """SPEC: 80,401,000 without biases. With them: one for each gate input, s_0, maxout input and logit."""
    assert parameters(read("bahdanau2015-rnnsearch", ["model.bias=false"])) == 80_401_000
    n, m, l, alignment, k = 1000, 620, 500, 1000, 30_000
    unit = 3 * (n * m + n * n)
    formula = 2 * k * m + 3 * unit + 3 * n * 2 * n + n * n + alignment * (n + 2 * n + 1)
    formula += 2 * l * (n + m + 2 * n) + k * l
    assert formula == 80_401_000


def test_a_file_gives_what_it_says_and_defaults_elsewhere(file: Path) -> None:
    recipe = read(file)
    assert recipe == read(str(file))
    assert recipe.training == recipes.Training(epochs=3)
    assert recipe.model == {"architecture": "rnnsearch", "state_size": 8}
    assert recipe.decoding == recipes.Decoding()


def test_a_recipe_survives_being_stored(file: Path) -> None:
    assert recipes._build(Recipe, read(file).to_dict(), "") == read(file)


@pytest.mark.parametrize(
    ("change", "value"),
    [
        ("training.epochs=7", 7),
        ("training.learning_rate=1", 1.0),
        ("training.learning_rate = 5e-4", 5e-4),
        ("training.precision=bf16-mixed", "bf16-mixed"),
        ('training.precision="16-mixed"', "16-mixed"),
        ("vocabulary.shared=false", False),
        ("decoding.beam_size=2", 2),
        ("model.state_size=64", 64),
        ("data.source_file=a=b.txt", "a=b.txt"),
        ("name=other", "other"),
    ],
)
def test_set_changes_one_value(file: Path, change: str, value: object) -> None:
    table, _, key = change.partition("=")[0].strip().rpartition(".")
    changed = read(file, [change])
    holder = getattr(changed, table) if table else changed
    found = holder[key] if isinstance(holder, dict) else getattr(holder, key)
    assert found == value and type(found) is type(value)
    if table:
        unchanged = dataclasses.replace(changed, **{table: getattr(read(file), table)})
        assert unchanged == read(file)


def test_the_last_change_of_a_value_wins(file: Path) -> None:
    assert read(file, ["training.epochs=7", "training.epochs=9"]).training.epochs == 9


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("training.epoch=7", "no setting training.epoch:"),
        ("trainig.epochs=7", "no setting trainig"),
        ("training.epochs", "key=value"),
        ("=7", "key=value"),
        ("training.epochs=", "type int"),
        ("training.epochs=many", "type int"),
        ("training.epochs=1.5", "type int"),
        ("training.epochs=true", "type int"),
        ("training.warmup=false", "type int"),
        ("training.learning_rate=true", "type float"),
        ("vocabulary.shared=1", "type bool"),
        ("training.epochs.more=1", "epochs has no parts"),
        ("training=1", "training must be a table"),
        ("model=rnnsearch", "type dict"),
        ("training.epochs=0", "above 0"),
        ("training.batch_size=-1", "above 0"),
        ("training.buffer_batches=0", "above 0"),
        ("training.learning_rate=0", "above 0"),
        ("training.learning_rate=nan", "above 0"),
        ("training.learning_rate=inf", "above 0"),
        ("decoding.beam_size=0", "above 0"),
        ("training.optimiser=sgd", "adam, adadelta"),
        ("training.schedule=linear", "constant, cosine"),
        ("training.reduction=mean", "sum, sentence, token"),
        ("training.initialisation=xavier", "paper, modern"),
        ("training.select_by=loss", "bleu, nll"),
        ("vocabulary.kind=letter", "subword, word"),
    ],
)
def test_a_wrong_setting_is_refused_in_one_line(file: Path, change: str, said: str) -> None:
    with pytest.raises(CourseError, match=said) as refusal:
        read(file, [change])
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"name = ", "not valid TOML"),
        (b"", "lacks name"),
        (b"name = 'x'\ndescription = 'y'\n", "lacks data"),
        (SMALL.replace('validation = "toy"', "").encode(), "lacks data.validation"),
        (SMALL.replace("epochs = 3", "epochs = '3'").encode(), "training.epochs"),
        (b"\xff\xfe", "Cannot read"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "wrong.toml"
    path.write_bytes(content)
    with pytest.raises(CourseError, match=said) as refusal:
        read(path)
    assert "\n" not in str(refusal.value)


def test_what_is_not_there_is_refused_with_the_choices(tmp_path: Path) -> None:
    with pytest.raises(CourseError, match="No recipe .*multi30k-en-fr-rnnsearch"):
        read(tmp_path / "absent.toml")
    with pytest.raises(CourseError, match="is a folder"):
        read(tmp_path)
    with pytest.raises(CourseError):
        read("multi30k-en-fr")
