"""The benchmark of attention's cost: the fits find what was put in, and the record is complete."""

import importlib
import json
from itertools import product
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from course_pkg.attention import AdditiveScore, SoftAttention
from course_pkg.cost import Sizes
from course_pkg.evaluation import PASSPORT

ROOT = Path(__file__).resolve().parent.parent
CELLS = list(product((10, 20, 40, 80, 160, 320), repeat=2))
PAIRS = np.array([T_x * T_y for T_x, T_y in CELLS], dtype=float)
LINEAR = np.array([5 + 30 * T_x + 100 * T_y for T_x, T_y in CELLS], dtype=float)


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "benchmarks")
        return importlib.import_module("attention_cost")


def noisy(values: np.ndarray, spread: float, rounds: int = 5) -> dict[tuple[int, int], list[float]]:
    factors = np.exp(spread * np.random.default_rng(3).standard_normal((rounds, len(values))))
    return {cell: column.tolist() for cell, column in zip(CELLS, (values * factors).T, strict=True)}


@pytest.mark.parametrize("exponent", [0.5, 0.9, 1.0, 1.1])
def test_the_slope_is_the_exponent_of_a_power_law(bench: ModuleType, exponent: float) -> None:
    assert bench.slope(CELLS, 7 * PAIRS**exponent) == pytest.approx(exponent)


def test_a_straight_line_through_everything_comes_out_too_low(bench: ModuleType) -> None:
    assert bench.slope(CELLS, LINEAR + 4 * PAIRS) < 0.9


@pytest.mark.parametrize("exponent", [0.9, 1.0, 1.1])
def test_the_exponent_of_the_pairs_is_found_beside_other_costs(bench: ModuleType, exponent: float) -> None:
    assert bench.pair_exponent(CELLS, LINEAR + 4 * PAIRS**exponent) == pytest.approx(exponent, abs=1e-3)


def test_the_four_terms_are_found(bench: ModuleType) -> None:
    found, error = bench.terms(CELLS, LINEAR + 4 * PAIRS)
    assert found == pytest.approx([5, 30, 100, 4]) and error < 1e-12


def test_the_interval_holds_the_truth_and_widens_with_noise(bench: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "BOOTSTRAP", 200)
    widths = []
    for spread in (0.01, 0.1):
        low, high = bench.interval(bench.slope, noisy(7 * PAIRS, spread))
        assert low < 1 < high
        widths.append(high - low)
    assert widths[1] > 4 * widths[0]


def test_every_cell_is_measured_once_a_round_without_the_first(bench: ModuleType) -> None:
    calls: list[tuple[int, int]] = []
    times = bench.measure(lambda T_x, T_y: lambda: calls.append((T_x, T_y)), [(1, 2), (3, 4)], 3)
    assert sorted(calls) == [(1, 2)] * 4 + [(3, 4)] * 4
    assert {cell: len(kept) for cell, kept in times.items()} == {(1, 2): 3, (3, 4): 3}


def test_seconds_are_those_of_the_call_alone(bench: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(bench.time, "process_time", lambda: clock[0])

    def make(T_x: int, T_y: int):  # type: ignore[no-untyped-def]
        clock[0] += 100  # preparing is not measured

        def call() -> None:
            clock[0] += T_x * T_y

        return call

    assert bench.measure(make, [(2, 3), (4, 5)], 2) == {(2, 3): [6, 6], (4, 5): [20, 20]}


def test_forgetting_changes_what_is_kept_and_nothing_else(bench: ModuleType) -> None:
    sizes = Sizes(state=6, alignment=50)
    attention = SoftAttention(AdditiveScore(6, 12, 50))
    parts = bench.sentence(5, 4, sizes, grad=True)
    gradients = []
    for how in (bench.look, bench.look_and_forget):
        contexts = torch.stack(how(attention, *parts))
        inputs = [parts[0], parts[2], *attention.parameters()]
        gradients.append([contexts, *torch.autograd.grad(contexts.sin().sum(), inputs)])
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(*gradients, strict=True))
    kept, computed_again = (
        bench.kept_bytes(attention, 20, 30, sizes, how) for how in (bench.look, bench.look_and_forget)
    )
    assert kept > 4 * 50 * 20 * 30 > 4 * computed_again


def test_the_record_is_complete(bench: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "BOOTSTRAP", 5)
    assert bench.main(["--quick", "--rounds", "1", "--out", str(tmp_path / "cost.json")]) == 0
    (written,) = tmp_path.iterdir()
    record = json.loads(written.read_text(encoding="utf-8"))
    assert set(record["passport"]) == set(PASSPORT)
    assert [row["what"] for row in record["rows"]] == [fit["what"] for fit in record["fits"]]
    assert all({field for field, _ in record["columns"]} == set(row) for row in record["rows"])
    kept = next(fit for fit in record["fits"] if fit["what"] == "kept for learning")
    assert kept["pair"] == pytest.approx(4 * (8 + 1) + 1, rel=0.01)  # tanh, α, and the mask's byte


def test_the_stored_record_is_this_benchmarks(bench: ModuleType) -> None:
    from course_pkg import results

    stored = results.read("attention-cost")
    assert stored["sizes"] == vars(bench.PAPER) and stored["columns"] == bench.COLUMNS
    lengths = sorted({cell[0] for cell in stored["fits"][0]["cells"]})
    assert tuple(lengths) == bench.LENGTHS
