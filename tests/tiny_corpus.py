"""A corpus that is learned in seconds, words into capitals, and the recipe that learns it."""

import random
from pathlib import Path

import pytest

from course_pkg.recipes import Recipe, read

RECIPE = """
name = "tiny"
description = "Words into capitals."
[data]
train = "files"
validation = "files"
source_file = "{0}/train.en"
target_file = "{0}/train.fr"
validation_source_file = "{0}/val.en"
validation_target_file = "{0}/val.fr"
[vocabulary]
kind = "word"
size = 40
shared = false
[model]
architecture = "rnnsearch"
embedding_size = 4
state_size = 6
alignment_size = 4
maxout_size = 4
embedding_dropout = 0.2
annotation_dropout = 0.2
output_dropout = 0.2
[training]
epochs = 3
batch_size = 8
buffer_batches = 3
learning_rate = 0.01
schedule = "cosine"
warmup = 4
label_smoothing = 0.1
"""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, draw = tmp_path_factory.mktemp("corpus"), random.Random(4)
    for split, count in (("train", 46), ("val", 6)):
        lines = [" ".join(draw.choices("abcdef", k=draw.randint(1, 4))) for _ in range(count)]
        (folder / f"{split}.en").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (folder / f"{split}.fr").write_text("\n".join(lines).upper() + "\n", encoding="utf-8")
    (folder / "tiny.toml").write_text(RECIPE.format(folder), encoding="utf-8")
    return folder


def tiny(corpus: Path, *changes: str) -> Recipe:
    return read(corpus / "tiny.toml", changes)
