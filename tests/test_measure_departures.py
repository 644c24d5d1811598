"""Departures measured: one change at a time, the same examples in the same order, and chance told from cost."""

import importlib
import json
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

from course_pkg import results
from course_pkg.batching import CaptionBatch
from course_pkg.losses import MovingBaseline, sentence_log_likelihood
from course_pkg.models import count_parameters, rnn_encoder_decoder, rnnsearch
from course_pkg.vocabulary import EOS

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def measure(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "tools")
    return importlib.import_module("measure_departures")


def test_a_board_is_what_its_caption_says(measure: ModuleType) -> None:
    for board, words in measure.boards(50, seed=3):
        held, places = board[:, : -(measure.SIDE**2)], board[:, -(measure.SIDE**2) :]
        assert torch.equal(places, torch.eye(measure.SIDE**2))
        said = []
        for field in held:
            if field.any():
                colour, shape = field.nonzero().flatten().tolist()
                assert colour < measure.COLOURS <= shape
                said += [measure.FIRST + colour, measure.FIRST + shape]
        assert words == [*said, EOS] and 2 <= len(said) / 2 <= measure.MOST


def test_the_mean_of_a_board_does_not_say_what_goes_together(measure: ModuleType) -> None:
    """Two shapes exchange their colours: another caption, the same mean, so a captioner has to look."""
    board = torch.zeros(2, 2, measure.COLOURS + measure.SHAPES)
    for one, pairs in zip(board, ([(0, 7), (1, 8)], [(1, 7), (0, 8)]), strict=True):
        for field, held in zip(one, pairs, strict=True):
            field[list(held)] = 1
    assert not torch.equal(*board) and torch.equal(*board.mean(dim=1))


def test_departures_are_trained_on_the_batches_of_the_default(
    measure: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = measure.Boards(measure.boards(40, 1), measure.boards(4, 2))
    monkeypatch.setattr(measure, "BATCH", 8)
    seen: list[list[Any]] = []
    honest = measure.loss_of
    monkeypatch.setattr(measure, "loss_of", lambda rollout, batch, *rest: (
        seen[-1].append(batch.targets.tolist()), honest(rollout, batch, *rest))[1])  # fmt: skip
    for setting in measure.SETTINGS:
        if setting.of == "soft":
            seen.append([])
            measure.train(setting, data, seed=1, share=7 / 400)
    assert len(seen) > 5 and len(seen[0]) == 7 and all(one == seen[0] for one in seen)


def test_a_setting_has_one_change_and_a_default_none(measure: ModuleType) -> None:
    names = [measure.name_of(setting, 1) for setting in measure.SETTINGS]
    assert len(names) == len(set(names))
    for setting in measure.SETTINGS:
        changed = [bool(setting.model), bool(setting.training), setting.rebuild is not None]
        assert sum(changed) == bool(setting.departure)
        assert measure.Setting("", "default", setting.of) in measure.SETTINGS


def test_what_has_no_switch_is_rebuilt_as_the_code_has_it(measure: ModuleType) -> None:
    sizes = {"source_vocabulary": 9, "target_vocabulary": 11, **measure.SIZES}
    model = rnnsearch(**sizes, alignment_size=3)
    before = count_parameters(model)
    measure.with_bottleneck(model)
    m, l = measure.SIZES["embedding_size"], measure.SIZES["maxout_size"]
    assert count_parameters(model) - before == m * l + 11 * (m - l)
    plain = rnn_encoder_decoder(**sizes)
    tokens, mask = torch.tensor([[4, 5, 6]]), torch.ones(1, 3, dtype=torch.bool)
    vector = plain.encode(tokens, mask).summary
    measure.with_squashed_summary(plain)
    V = plain.encoder.V
    torch.testing.assert_close(plain.encode(tokens, mask).summary, torch.tanh(vector @ V.weight.T + V.bias))


def test_the_captioners_loss_is_eq_14_and_the_codes_penalty_b_over_l_times_the_papers(measure: ModuleType) -> None:
    batch = measure.together(measure.boards(6, 4))
    model = measure.Boards([], []).new(measure.Setting("", "default", "soft"))
    rollout = model(batch)

    def loss(plan: dict[str, str]) -> float:
        return float(measure.loss_of(rollout, batch, "soft", plan, MovingBaseline()).detach())

    likelihood = sentence_log_likelihood(rollout.logits, batch.targets, batch.target_mask)
    received = (rollout.weights * batch.target_mask.unsqueeze(-1)).sum(dim=1)
    penalty = float((1 - received.detach()).square().sum(dim=1).mean())
    words = -float(likelihood.detach().mean())
    assert loss({}) == pytest.approx(words + penalty, rel=1e-5)
    assert loss({"penalty": "code"}) == pytest.approx(words + penalty * 6 / measure.SIDE**2, rel=1e-5)


def test_looking_otherwise_in_testing_leaves_the_model_as_it_was(measure: ModuleType) -> None:
    data = measure.Boards(measure.boards(40, 1), measure.boards(30, 2))
    model = data.new(measure.Setting("", "default", "hard"))
    with torch.no_grad():
        model.decoder.attention.score.v_a.mul_(30)  # so that looks differ
    usual = data.measure(model)
    assert data.measure(model, when_testing="argmax")["loss"] != usual["loss"]
    assert data.measure(model) == usual and model.decoder.attention.when_testing == "expected"


def test_exact_match_is_of_whole_captions(measure: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = measure.boards(4, 2)
    data = measure.Boards([], fresh)
    rows = [words for _, words in fresh]
    written = [rows[0], rows[1], [*rows[2][:-1], rows[2][0], EOS], rows[3][:-2]]
    long = max(map(len, written))
    tokens = torch.tensor([[row + [0] * (long - len(row)) for row in written]]).transpose(0, 1)
    monkeypatch.setattr(measure, "greedy", lambda *_, **__: SimpleNamespace(tokens=tokens))
    assert data.measure(data.new(measure.Setting("", "default", "soft")))["exact"] == 50


def runs_of(*losses: float, exact: float = 50.0) -> list[dict[str, float]]:
    return [{"loss": loss, "exact": exact} for loss in losses]


def test_a_cost_is_a_difference_seed_by_seed_and_chance_is_said(measure: ModuleType) -> None:
    usual = runs_of(1.0, 1.2, 1.1, 1.3)
    found = measure.compared(runs_of(1.5, 1.6), usual)
    assert found["differences"] == [0.5, 0.4] and found["difference"] == 0.45 and found["spread"] == 0.3
    assert found["seen"] is True
    assert measure.compared(runs_of(1.5, 1.4), usual)["seen"] is False  # 0.2 is less than seeds differ by
    assert measure.compared(runs_of(1.5, 0.6), usual)["seen"] is False  # one seed gains
    better = measure.compared(runs_of(0.5, 0.6), usual)
    assert better["seen"] is True and better["difference"] == -0.55


def test_a_change_of_the_search_is_judged_by_exact_match(measure: ModuleType) -> None:
    found = measure.compared(runs_of(1.0, 1.2, exact=56.0), runs_of(1.0, 1.2), "exact")
    assert found["seen"] is True and found["difference"] is None and found["exact_difference"] == 6


def test_a_finished_run_is_not_trained_again(
    measure: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    trained: list[str] = []

    def record(setting: Any, data: Any, seed: int, share: float) -> dict[str, Any]:
        trained.append(measure.name_of(setting, seed))
        return {"loss": 1.0, "exact": 0.0, "writing": {}, "seconds": 60.0}

    monkeypatch.setattr(measure, "one_run", record)
    monkeypatch.setattr(measure, "text", lambda *_: None)
    settings = (tmp_path, (1,), (2,), 1.0, 4, 2)
    first = measure.runs(*settings)
    defaults = [one for one in measure.SETTINGS if not one.departure]
    assert len(trained) == len(first) == len(measure.SETTINGS) + len(defaults)
    missing = tmp_path / trained[5]
    missing.unlink()
    assert set(measure.runs(*settings, minutes=0)) == set(first) - {missing.name}
    assert measure.runs(*settings) == first and trained[len(first) :] == [missing.name]


def test_a_row_has_a_difference_for_each_seed_that_was_trained(measure: ModuleType) -> None:
    writing = {f"{departure}: {change}": {"loss": 3.0, "exact": 1.0} for departure, change, _, _ in measure.WRITING}
    found = {
        measure.name_of(setting, seed): {"loss": 1.0 + seed + bool(setting.departure), "exact": 0.0, "writing": writing}
        for setting in measure.SETTINGS
        for seed in (1, 2)
    }
    half, gone = measure.SETTINGS[4], measure.SETTINGS[5]
    del found[measure.name_of(half, 2)], found[measure.name_of(gone, 1)], found[measure.name_of(gone, 2)]
    rows = {(row["departure"], row["change"], row["of"]): row for row in measure.rows_of(found, (1, 2), (3,))}
    key = (half.departure, half.change, half.of)
    assert rows.pop(key)["differences"] == [1.0] and (gone.departure, gone.change, gone.of) not in rows
    other = measure.SETTINGS[6]
    assert rows[other.departure, other.change, other.of]["differences"] == [1.0, 1.0]


def test_the_whole_of_it_makes_a_table_with_its_passport(measure: ModuleType, tmp_path: Path) -> None:
    """A rehearsal: a few updates on a few examples."""
    arguments = ["--size", "64", "--tests", "2", "--share", "0.004", "--seeds", "1", "--more-seeds", "2"]
    (tmp_path / "results").mkdir()
    assert not measure.main([*arguments, "--runs", str(tmp_path / "runs"), "--package", str(tmp_path)])
    made = json.loads((tmp_path / "results/departures.json").read_text(encoding="utf-8"))
    assert len(made["rows"]) == len(measure.SETTINGS) + len(measure.WRITING)
    assert [row["departure"] for row in made["rows"][:5]] == ["none"] * 4 + ["D1"]
    assert isinstance(measure.together(measure.boards(2, 1)), CaptionBatch)


def test_what_the_page_shows_is_there(measure: ModuleType) -> None:
    stored = results.read("departures")
    wanted = {(one.departure or "none", one.change, one.of) for one in measure.SETTINGS}
    wanted |= {one[:3] for one in measure.WRITING}
    assert {(row["departure"], row["change"], row["of"]) for row in stored["rows"]} == wanted
    spreads = {row["of"]: row["spread"] for row in stored["rows"] if row["departure"] == "none"}
    for row in stored["rows"]:
        if row["departure"] != "none" and row["difference"] is not None:
            assert row["spread"] == spreads[row["of"]]
            each = row["differences"]
            beyond = min(map(abs, each)) > row["spread"] and len({value > 0 for value in each}) == 1
            assert row["seen"] == beyond
