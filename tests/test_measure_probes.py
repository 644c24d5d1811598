"""What a probe reads back: counted on features that hold the word by construction, and on features that do not."""

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from course_pkg import results

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def measure(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "tools")
    return importlib.import_module("measure_probes")


def test_a_word_that_is_there_is_read_and_the_controls_stay_low(measure: ModuleType) -> None:
    g = torch.Generator().manual_seed(0)
    labels = torch.randint(4, (160,), generator=g)
    there = torch.nn.functional.one_hot(labels, 4).float() + 0.05 * torch.randn(160, 4, generator=g)
    noise = torch.randn(160, 4, generator=g)
    found, correct = measure.measured(there, noise, labels, 100)
    assert found["accuracy"] == 1.0 == correct.mean() and len(correct) == 60
    assert found["untrained"] < 0.6 and found["majority"] < 0.6
    assert measure.measured(there, None, labels, 100)[0]["untrained"] is None


def test_the_majority_is_taken_from_the_fitted_sentences(measure: ModuleType) -> None:
    labels = torch.tensor([1] * 6 + [2] * 4 + [2] * 9 + [1])
    found, _ = measure.measured(torch.randn(20, 2, generator=torch.Generator().manual_seed(1)), None, labels, 10)
    assert found["majority"] == pytest.approx(0.1)


def test_the_band_is_over_sentences(measure: ModuleType) -> None:
    """Ten positions of a sentence that stand or fall together are no ten observations."""
    one = np.array([0.0, 1.0] * 20)
    assert measure.band(one) == measure.band(np.repeat(one[:, None], 10, axis=1))
    low, high = measure.band(one)
    assert low < 0.5 < high and measure.band(np.ones(7)) == (1.0, 1.0)


def test_the_stored_result_holds_every_place_once_in_order() -> None:
    stored = results.read("probes")
    places = [(one["length"], one["position"]) for one in stored["context"]]
    assert places == [(n, j) for n in (5, 10, 15, 20) for j in range(1, n)]
    assert all(one["from_end"] == one["length"] - one["position"] for one in stored["context"])
    offsets = [(one["part"], one["offset"]) for one in stored["annotations"]]
    assert offsets == [(part, k) for part in ("forward", "backward", "both") for k in range(-6, 7)]
    for one in (*stored["context"], *stored["annotations"]):
        assert 0 <= one["low"] <= one["accuracy"] <= one["high"] <= 1
