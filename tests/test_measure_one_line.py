"""Attention in three places, measured: equal sizes, one order of sentences, chains as derived."""

import importlib
import math
from pathlib import Path
from types import ModuleType

import pytest
import torch
from tiny_models import vocabulary

from course_pkg import results
from course_pkg.batching import Batch
from course_pkg.models import count_parameters
from course_pkg.vocabulary import WordVocabulary

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def measure(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "tools")
    return importlib.import_module("measure_one_line")


def test_the_three_have_equally_many_parameters_and_equal_encoders(measure: ModuleType) -> None:
    words = vocabulary(WordVocabulary)
    models = {place: measure.build(place, (words, words), seed=3) for place in measure.PLACES}
    sizes = [count_parameters(model) for model in models.values()]
    assert max(sizes) < 1.01 * min(sizes)
    encoders = [{name: p.shape for name, p in model.encoder.named_parameters()} for model in models.values()]
    assert encoders[0] == encoders[1] == encoders[2]


def test_they_are_trained_on_the_same_batches(measure: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, list[list[int]]]] = []
    models = {place: torch.nn.Linear(1, 1) for place in measure.PLACES}
    names = {id(model): place for place, model in models.items()}

    def record(model: torch.nn.Module, optimiser: torch.optim.Optimizer, batch: Batch) -> float:
        seen.append((names[id(model)], batch.source.tolist()))
        return 1.0

    monkeypatch.setattr(measure, "update", record)
    monkeypatch.setattr(measure, "BATCH", 4)
    monkeypatch.setattr(measure, "EVERY", 5)
    data = [([n], [n]) for n in range(4, 14)]
    curves, seconds = measure.train(models, data, seed=1, updates=10)
    by_place = {place: [batch for name, batch in seen if name == place] for place in models}
    assert len(by_place["inside"]) == 10 and by_place["inside"] == by_place["after"] == by_place["instead"]
    assert [(one["place"], one["update"]) for one in curves] == [(p, n) for n in (5, 10) for p in measure.PLACES]
    assert set(seconds) == set(measure.PLACES)


def test_the_learning_rate_rises_then_falls_to_nothing(measure: ModuleType) -> None:
    rates = [measure.rate(step, 1000) for step in range(1000)]
    assert max(rates) == pytest.approx(measure.RATE, rel=0.03) and 90 <= rates.index(max(rates)) <= 100
    assert all(math.isclose(rates[k], measure.RATE * (k + 1) / measure.WARMUP) for k in range(50))
    assert rates[-1] < 1e-3 * measure.RATE


def test_chains_and_times_are_those_of_the_decoder(measure: ModuleType) -> None:
    """(14.12), whatever the source's length."""
    words = vocabulary(WordVocabulary)
    models = {place: measure.build(place, (words, words), seed=3) for place in measure.PLACES}
    found = measure.steps(models, (2, 7), rounds=1)
    chains = {(one["place"], one["words"]): one["chain"] for one in found}
    for count in (2, 7):
        assert [chains[place, count] for place in measure.PLACES] == [5 * count + 3, 2 * count + 6, 9]
    assert all(one["seconds"] > 0 for one in found)
    assert models["inside"].decoder.bptt


def test_what_the_chapter_draws_is_there(measure: ModuleType) -> None:
    if "one-line" not in results.names():
        pytest.skip("not measured yet: python tools/measure_one_line.py")
    stored = results.read("one-line")
    seeds = {row["seed"] for row in stored["rows"]}
    assert len(seeds) >= 2 and {(row["place"], row["seed"]) for row in stored["rows"]} == {
        (place, seed) for place in measure.PLACES for seed in seeds
    }
    sizes = [row["parameters"] for row in stored["rows"]]
    assert max(sizes) < 1.01 * min(sizes)
    assert {one["place"] for one in stored["steps"]} == set(measure.PLACES)
    for one in stored["steps"]:
        assert (
            one["chain"] == {"inside": 5 * one["words"] + 3, "after": 2 * one["words"] + 6, "instead": 9}[one["place"]]
        )
