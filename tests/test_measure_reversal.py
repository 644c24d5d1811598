"""Reading backwards measured: a pair of recipes that differ in one setting, losses word by word, means over places."""

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from tiny_models import BLIND, stored

from course_pkg import recipes, toy
from course_pkg.inference import Translator

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def measure(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "tools")
    return importlib.import_module("measure_reversal")


def test_the_pair_differs_in_the_order_of_reading_alone(measure: ModuleType) -> None:
    one, other = (recipes.read(name).to_dict() for name in measure.RECIPES.values())
    assert (one["data"].pop("reverse_source"), other["data"].pop("reverse_source")) == (False, True)
    for plan in (one, other):
        del plan["name"], plan["description"]
    assert one == other


@pytest.mark.parametrize("reverse", [False, True])
def test_the_losses_of_the_words_add_up_to_the_score_of_the_sentence(measure: ModuleType, reverse: bool) -> None:
    model = stored(BLIND)
    model.config["recipe"] = {"data": {"reverse_source": reverse}}
    translator = Translator(model)
    pairs = toy.pairs(7, seed=3, min_words=3, max_words=12)
    lost = measure.losses(translator, pairs)
    scores = translator.score([(pair.source, pair.target) for pair in pairs])
    assert [len(one) for one in lost] == [count for _, count in scores]
    np.testing.assert_allclose([one.sum() for one in lost], [nll for nll, _ in scores], rtol=1e-4)


def test_places_are_means_over_long_sentences_only(measure: ModuleType) -> None:
    short, *long = (toy.pairs(n, seed=n, min_words=w, max_words=w)[0] for n, w in ((1, 5), (2, 16), (3, 20)))
    lost = [np.full(9, 100.0), np.arange(12.0), np.arange(15.0) + 2]
    places = measure.by_position([short, *long], lost)
    assert [one["position"] for one in places] == list(range(1, 13))
    assert [one["nll"] for one in places] == [k + 1 for k in range(12)]
    assert all(one["n"] == 2 and one["low"] <= one["nll"] <= one["high"] for one in places)


def test_ranges_hold_the_sentences_of_their_length(measure: ModuleType) -> None:
    pairs = [toy.pairs(1, seed=w, min_words=w, max_words=w)[0] for w in (3, 5, 6, 11, 20)]
    written = [pair.target for pair in pairs[:-1]] + ["Non."]
    found = measure.by_length(
        pairs * 2, written * 2, [np.ones(4), np.ones(4), np.ones(2) * 3, np.ones(1), np.ones(5)] * 2
    )
    assert [(one["min"], one["max"], one["n"], one["exact"]) for one in found] == [
        (3, 5, 4, 100.0), (6, 10, 2, 100.0), (11, 15, 2, 100.0), (16, 20, 2, 0.0),
    ]  # fmt: skip
    assert [one["nll"] for one in found] == [1, 3, 1, 1]
