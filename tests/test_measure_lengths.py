"""BLEU by length on real text: what is counted, and that kept translations are used only while they are the model's."""

import importlib
import json
import os
from pathlib import Path
from types import ModuleType

import pytest

from course_pkg import recipes
from course_pkg.checkpoints import build
from course_pkg.corpora import ParallelText
from course_pkg.metrics import bleu
from course_pkg.models import count_parameters

ROOT = Path(__file__).resolve().parent.parent
WORDS = "a b c d e f g h i j k l".split()


@pytest.fixture
def measure(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "tools")
    return importlib.import_module("measure_lengths")


def text(lengths: list[int]) -> ParallelText:
    lines = tuple(" ".join(WORDS[(k + start) % 12] for k in range(n)) for start, n in enumerate(lengths))
    return ParallelText(lines, lines, "letters")


def test_each_bucket_holds_the_sentences_of_its_length(measure: ModuleType) -> None:
    corpus = text([4, 10, 11, 20, 21, 55, 70])
    found = measure.buckets(corpus, corpus.target)
    assert [(b["min"], b["max"], b["n"]) for b in found] == [(1, 10, 2), (11, 20, 2), (21, 30, 1), (51, None, 2)]
    assert all(b["bleu"] == pytest.approx(100) and b["length_ratio"] == 1 for b in found)


def test_bands_enclose_the_score_and_faults_stay_in_their_bucket(measure: ModuleType) -> None:
    corpus = text([8] * 20 + [15] * 20)
    half = [line if n % 2 else line[: len(line) // 2] for n, line in enumerate(corpus.target)]
    short, long = measure.buckets(corpus, [*half[:20], *corpus.target[20:]])
    assert short["low"] < short["bleu"] < short["high"] < 100 == pytest.approx(long["bleu"])
    assert short["length_ratio"] < 1
    assert short["bleu"] == pytest.approx(bleu(half[:20], corpus.target[:20]).score, abs=0.01)
    assert measure.within(corpus, [*half[:20], *corpus.target[20:]], 11, 20) == pytest.approx(100)


def test_translations_are_kept_until_the_weights_change(measure: ModuleType, tmp_path: Path) -> None:
    class Counting:
        calls = 0

        def translate(self, source, beam, penalty, progress):
            self.calls += 1
            return [line.upper() for line in source]

    weights = tmp_path / "model" / "model.safetensors"
    weights.parent.mkdir()
    weights.write_bytes(b"")
    os.utime(weights, (1, 1))
    model, corpus, kept = Counting(), text([3, 4]), tmp_path / "translations" / "t.json"
    for _ in range(2):
        assert measure.translations(model, corpus, kept) == [line.upper() for line in corpus.source]
    assert model.calls == 1 and json.loads(kept.read_text(encoding="utf-8"))
    os.utime(kept, (0, 0))  # older than the weights
    measure.translations(model, corpus, kept)
    assert model.calls == 2


def test_the_four_recipes_differ_in_model_and_length_alone(measure: ModuleType) -> None:
    """Equal data, updates, seed and rates; parameters within two per cent, and about four million."""
    plans = {name: recipes.read(name) for name in measure.RECIPES}
    assert len(plans) == 4
    seen, sizes = set(), []
    for name, plan in plans.items():
        record = plan.to_dict()
        assert name.endswith(str(record["data"].pop("max_words")))
        sizes.append(count_parameters(build(record.pop("model"), source_vocabulary=8000, target_vocabulary=8000)))
        del record["name"], record["description"]
        seen.add(json.dumps(record, sort_keys=True))
    assert len(seen) == 1
    assert max(sizes) / min(sizes) < 1.02 and 3.5e6 < min(sizes) < 4.8e6
