"""α at the moments of a run: what is measured is what it says, and what is stored can be read back."""

import json
import math
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from course_pkg.decoders import Rollout
from course_pkg.evaluation import PASSPORT
from course_pkg.toy import COURSE_SENTENCE, AlignedPair, pairs
from course_pkg.vocabulary import WordVocabulary

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))
import measure_epochs

DRAWN = pairs(6, seed=3, min_words=3, max_words=8)


def looking(kind: str) -> SimpleNamespace:
    """A translator that knows nothing of French and looks in a known way, whatever it is asked."""
    source = WordVocabulary.train([pair.source for pair in DRAWN], size=200)
    target = WordVocabulary.train([pair.target for pair in DRAWN], size=200)
    turn = iter(DRAWN)

    def model(batch):  # type: ignore[no-untyped-def]
        pair, (S, T) = next(turn), (batch.source.shape[1], batch.targets.shape[1])
        weights = torch.full((1, T, S), 1 / S) if kind == "even" else gold_weights(pair, S, T)
        return Rollout(torch.zeros(1, T, len(target)), weights)

    return SimpleNamespace(source=source, target=target, device="cpu", model=model)


def gold_weights(pair: AlignedPair, S: int, T: int) -> torch.Tensor:
    weights = torch.zeros(1, T, S)
    for j, i in pair.links:
        weights[0, i, j] = 1
    weights[0, -1, -1] = 1
    return weights / weights.sum(-1, keepdim=True)


def test_even_weights_have_the_share_and_the_entropy_of_chance() -> None:
    translator = looking("even")
    found = measure_epochs.measure(translator, DRAWN)
    words = [(pair, i) for pair in DRAWN for i in range(len(pair.target_tokens))]
    share = [sum(k == i for _, k in pair.links) / (len(pair.source_tokens) + 1) for pair, i in words]
    assert found["nll"] == pytest.approx(math.log(len(translator.target)))
    assert found["on_gold"] == pytest.approx(sum(share) / len(share))
    entropy = [math.log(len(pair.source_tokens) + 1) for pair, _ in words]
    assert found["entropy"] == pytest.approx(sum(entropy) / len(entropy))


def test_weights_on_the_links_have_all_of_it() -> None:
    found = measure_epochs.measure(looking("gold"), DRAWN)
    assert found["on_gold"] == pytest.approx(1.0)
    assert found["aer"] < 0.2, "a word with two links has one arg-max"


def test_lists_of_numbers_take_a_line_and_nothing_else_changes() -> None:
    value = {"a": [[0.5, 0, 1], [0.25, 1e-3]], "b": ["x", "[1, 2]"], "c": [], "d": [{"e": 1}]}
    text = measure_epochs.compact(value)
    assert json.loads(text) == value
    assert "[0.5,0,1]" in text and "[0.25,0.001]" in text


def test_the_sentences_are_short_and_the_first_is_the_courses() -> None:
    shown = measure_epochs.sentences()
    assert shown[0] == COURSE_SENTENCE and len(set(shown)) == 4
    assert all(len(tokens) <= 15 for pair in shown for tokens in (pair.source_tokens, pair.target_tokens))


def test_a_small_run_is_measured_at_every_moment() -> None:
    changes = ["data.pairs=640", "data.toy_words=6", "data.validation_pairs=2"]
    changes += ["training.epochs=1", "training.batch_size=40"]
    sizes = [f"model.{name}_size=8" for name in ("embedding", "state", "alignment", "maxout")]
    kept, corpus = measure_epochs.train([*changes, *sizes, "training.initialisation=paper"], 3)
    result = json.loads(measure_epochs.compact(measure_epochs.record({"paper": kept}, corpus, 3, 1.0)))
    moments = [moment for moment in measure_epochs.MOMENTS if moment <= 1]
    assert result["updates"] == [16 * moment for moment in moments] and result["epochs"] == moments
    assert set(result["passport"]) == set(PASSPORT)
    assert len(result["rows"]) == len(result["translations"]["paper"]) == len(result["epochs"]) == len(moments)
    for sentence, through in zip(result["sentences"], result["weights"]["paper"], strict=True):
        for moment in through:
            assert len(moment) == len(sentence["target"])
            assert all(len(row) == len(sentence["source"]) and abs(sum(row) - 1) < 0.01 for row in moment)
        assert all(value == pytest.approx(1 / len(row), abs=6e-4) for row in through[0] for value in row)
    assert result["rows"][0]["nll"] == pytest.approx(math.log(len(corpus.target)), abs=0.01)
    assert result["rows"][-1]["nll"] < result["rows"][0]["nll"]
