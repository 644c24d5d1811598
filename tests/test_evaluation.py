"""Scores as records: perfect translations, uniform models, and references that decoding must never see."""

import json
import math

import pytest
import torch
from tiny_models import BLIND, LOOKS, stored, uniform

from course_pkg import evaluation, metrics
from course_pkg.batching import Batch
from course_pkg.evaluation import PASSPORT, evaluate, hardware, passport
from course_pkg.inference import Translator
from course_pkg.notation import CourseError

SOURCES = ["A dog.", "The woman throws the red ball to a child.", "They eat.", "A cat sees the black dog."]
REFERENCES = [
    "Un chien.",
    "La femme lance la balle rouge à un enfant.",
    "Ils mangent bien ici.",
    "Un chat voit le chien noir.",
]


@pytest.fixture(scope="module")
def looking() -> Translator:
    return Translator(stored(LOOKS))


def test_the_record_has_the_promised_fields(looking: Translator) -> None:
    record = evaluate(looking, SOURCES, REFERENCES)
    promised = {"model", "n", "decoding", "sacrebleu", "bleu_lc_tok", "chrf", "perplexity_token", "by_length"}
    assert promised <= set(record)
    assert record["model"] == "tiny" and record["n"] == 4
    assert record["decoding"] == {"beam_size": 3, "length_penalty": 1.0}
    assert set(record["sacrebleu"]) == {"score", "signature"}
    assert sum(bucket["n"] for bucket in record["by_length"]) == 4
    assert all(set(bucket) == {"min", "max", "n", "bleu"} for bucket in record["by_length"])
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    for number in (record["bleu_lc_tok"], record["chrf"], record["perplexity_token"], record["sacrebleu"]["score"]):
        assert type(number) is float


def test_decoding_given_is_the_decoding_told(looking: Translator) -> None:
    record = evaluate(looking, SOURCES, REFERENCES, beam=1, length_penalty=0.0)
    assert record["decoding"] == {"beam_size": 1, "length_penalty": 0.0}


def test_the_references_themselves_score_100(looking: Translator) -> None:
    record = evaluation.score(REFERENCES, SOURCES, REFERENCES)
    for value in (record["sacrebleu"]["score"], record["bleu_lc_tok"], record["chrf"]):
        assert value == pytest.approx(100)
    upper = evaluation.score([text.upper() for text in REFERENCES], SOURCES, REFERENCES)
    assert upper["sacrebleu"]["score"] < 50 < 99 < upper["bleu_lc_tok"]


def test_scores_are_those_of_the_translations(looking: Translator) -> None:
    record = evaluate(looking, SOURCES, REFERENCES, beam=2)
    made = [str(one) for one in looking.translate(SOURCES, beam=2)]
    assert record["sacrebleu"]["score"] == metrics.bleu(made, REFERENCES).score
    assert record["chrf"] == metrics.chrf(made, REFERENCES).score


def test_the_interval_is_there_when_it_is_seeded(looking: Translator) -> None:
    record = evaluate(looking, SOURCES, REFERENCES, beam=1, bootstrap_seed=3)
    made = [str(one) for one in looking.translate(SOURCES, beam=1)]
    assert record["sacrebleu_interval"] == list(metrics.bootstrap_interval(made, REFERENCES, seed=3))


@pytest.mark.parametrize("description", [LOOKS, BLIND])
def test_a_uniform_model_has_the_perplexity_of_its_vocabulary(description: dict) -> None:
    translator = Translator(uniform(stored(description)))
    record = evaluate(translator, SOURCES[:2], REFERENCES[:2])
    assert record["perplexity_token"] == pytest.approx(len(translator.target), rel=1e-4)


# Error 9 of the book's list: teacher forcing at evaluation.


def translations(make, translator: Translator, references: list[str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What `make` hands to the scores, line by line."""
    handed: list[str] = []
    score = evaluation.score

    def watch(hypotheses, *args, **kwargs):
        handed.extend(hypotheses)
        return score(hypotheses, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(evaluation, "score", watch)
        make(translator, SOURCES, references)
    return handed


def peeking(translator: Translator, sources: list[str], references: list[str]) -> dict:
    """The bug: the likeliest token at each step of the *reference*."""
    pairs = zip(translator.source.encode_all(sources), translator.target.encode_all(references), strict=True)
    made = []
    for source, target in pairs:
        with torch.no_grad():
            logits = translator.model(Batch.collate([(source.ids, target.ids)])).logits
        made.append(translator.target.decode(logits[0].argmax(dim=-1).tolist()))
    return evaluation.score(made, sources, references)


@pytest.mark.parametrize(("make", "blind"), [(evaluate, True), (peeking, False)])
def test_output_is_unchanged_when_references_are_shuffled(
    make, blind: bool, looking: Translator, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight = translations(make, looking, REFERENCES, monkeypatch)
    shuffled = translations(make, looking, REFERENCES[2:] + REFERENCES[:2], monkeypatch)
    assert (straight == shuffled) is blind


def test_the_likelihood_does_see_the_references(looking: Translator) -> None:
    straight = evaluate(looking, SOURCES, REFERENCES, beam=1)["perplexity_token"]
    assert evaluate(looking, SOURCES, REFERENCES[::-1], beam=1)["perplexity_token"] != straight


def test_an_overwhelming_perplexity_is_null_in_json(looking: Translator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "score", lambda pairs, progress=False: [(1e6, 1) for _ in pairs])
    assert evaluate(looking, SOURCES, REFERENCES, beam=1)["perplexity_token"] is None
    assert math.isinf(metrics.perplexity(1e6, 1))


def test_bad_corpora_are_refused(looking: Translator) -> None:
    with pytest.raises(CourseError, match="4 sources but 3 references"):
        evaluate(looking, SOURCES, REFERENCES[:3])
    with pytest.raises(CourseError, match="empty"):
        evaluate(looking, [], [])


def test_a_passport_is_complete_or_refused() -> None:
    items = dict.fromkeys(reversed(PASSPORT), "said")
    assert tuple(passport(**items)) == PASSPORT
    for name in PASSPORT:
        with pytest.raises(CourseError, match=f"lacks {name}"):
            passport(**{**items, name: ""})
    with pytest.raises(CourseError, match="unknown: weather"):
        passport(**items, weather="fine")


def test_hardware_has_no_host_name() -> None:
    import platform

    said = hardware("cpu")
    assert "core" in said and "torch" in said
    assert not platform.node() or platform.node() not in said
