"""What mistakes would claim, and what width does: each number is what its name says."""

import importlib
import json
import math
from pathlib import Path
from types import ModuleType

import pytest
from tiny_models import LOOKS, stored

from course_pkg import corpora, toy
from course_pkg.corpora import ParallelText
from course_pkg.evaluation import PASSPORT
from course_pkg.inference import Translator
from course_pkg.metrics import bleu
from course_pkg.recipes import read

ROOT = Path(__file__).resolve().parent.parent
REFERENCES = ["Le chien noir court dans le parc.", "La femme lance le frisbee.", "Un homme dort."]
SHORTER = ["Le chien noir court.", "la femme lance un frisbee.", "Un homme dort."]


@pytest.fixture
def measure(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "tools")
    return importlib.import_module("measure_scoring")


@pytest.fixture
def translator() -> Translator:
    tiny = stored(LOOKS, ends=6.0)
    tiny.config["recipe"] = {**read("toy-en-fr-rnnsearch").to_dict(), "name": "tiny"}
    return Translator(tiny)


def some_pairs(count: int = 5) -> ParallelText:
    drawn = toy.pairs(count, seed=4, max_words=6)
    return ParallelText(tuple(p.source for p in drawn), tuple(p.target for p in drawn), "toy")


def test_without_the_penalty_only_the_penalty_is_missing(measure: ModuleType) -> None:
    """(7.8): the score divided by e to the power of 1 - wanted / written, in sacreBLEU's words."""
    right = bleu(SHORTER, REFERENCES).score
    wanted, written = (sum(len(line.replace(".", " .").split()) for line in side) for side in (REFERENCES, SHORTER))
    assert written < wanted
    assert measure.without_brevity_penalty(SHORTER, REFERENCES) == pytest.approx(right / math.exp(1 - wanted / written))
    assert measure.without_brevity_penalty(REFERENCES, REFERENCES) == pytest.approx(100)


def test_the_mean_of_sentences_is_none_of_the_corpus(measure: ModuleType) -> None:
    single = [measure.mean_of_sentences([h], [r]) for h, r in zip(SHORTER, REFERENCES, strict=True)]
    assert measure.mean_of_sentences(SHORTER, REFERENCES) == pytest.approx(sum(single) / 3)
    assert abs(measure.mean_of_sentences(SHORTER, REFERENCES) - bleu(SHORTER, REFERENCES).score) > 1
    assert measure.mean_of_sentences(REFERENCES, REFERENCES) == pytest.approx(100)


def test_pieces_are_the_models_own(measure: ModuleType, translator: Translator) -> None:
    pieces = [translator.target.encode(line).tokens[:-1] for line in REFERENCES]
    assert any(len(tokens) > len(line.split()) for tokens, line in zip(pieces, REFERENCES, strict=True))
    score = measure.on_pieces(translator)
    assert score(REFERENCES, REFERENCES) == pytest.approx(100)
    sides = [[" ".join(translator.target.encode(line).tokens[:-1]) for line in side] for side in (SHORTER, REFERENCES)]
    assert score(SHORTER, REFERENCES) == pytest.approx(measure.corpus_bleu(*sides, tokenize="none").score)


def test_a_row_of_claims_adds_up(measure: ModuleType, translator: Translator) -> None:
    """(7.11) holds of the row, and every column is there."""
    text = some_pairs()
    row = measure.claims(translator, text)
    assert set(row) == set(measure.CLAIMS)
    made = [str(one) for one in translator.translate(text.source)]
    assert row["right"] == pytest.approx(bleu(made, text.target).score)
    assert row["perplexity_word"] == pytest.approx(row["perplexity_token"] ** row["tokens_per_word"])
    assert row["tokens_per_word"] >= 1


def test_both_results_are_written_with_their_passports(
    measure: ModuleType, translator: Translator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpora, "multi30k", lambda split: some_pairs())
    monkeypatch.setattr(measure, "load", lambda name, device: translator)
    monkeypatch.setattr(measure, "WIDTHS", (1, 3))
    (tmp_path / "results").mkdir()
    assert measure.main(["--models", "tiny", "--package", str(tmp_path)]) == 0
    for name in measure.RESULTS:
        record = json.loads((tmp_path / "results" / f"{name}.json").read_text(encoding="utf-8"))
        assert set(record["passport"]) == set(PASSPORT)
        assert all(set(row) == {key for key, _ in record["columns"]} for row in record["rows"])
    searched = json.loads((tmp_path / "results" / "beam-width.json").read_text(encoding="utf-8"))["rows"]
    assert [(row["length_penalty"], row["beam"]) for row in searched] == [(0.0, 1), (0.0, 3), (1.0, 1), (1.0, 3)]
    assert searched[0]["bleu"] == searched[2]["bleu"], "greedy search knows no penalty"


def test_a_result_that_is_none_is_refused(measure: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert measure.main(["nothing"]) == 2
    assert "no result called nothing" in capsys.readouterr().err
