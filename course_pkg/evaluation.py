"""Corpus scores as records with their passports. Chapter 7.

Translations are made from the sources alone; the references are opened only to score them.
"""

import dataclasses
import math
import os
import platform
from collections.abc import Sequence
from typing import Any

import torch

from course_pkg import metrics
from course_pkg.caption_evaluation import evaluate_captions, point
from course_pkg.inference import Translator
from course_pkg.notation import CourseError

__all__ = ["PASSPORT", "evaluate", "evaluate_captions", "hardware", "passport", "point", "score"]

PASSPORT = ("data", "tokenisation", "signature", "decoding", "seeds", "hardware", "cost", "recipe")
"""What must be known to repeat a number."""


def evaluate(
    translator: Translator,
    sources: Sequence[str],
    references: Sequence[str],
    *,
    beam: int | None = None,
    length_penalty: float | None = None,
    bootstrap_seed: int | None = None,
    progress: bool = False,
) -> dict[str, Any]:
    """Translate the sources and score them against one reference each: what ``course evaluate`` prints.

    Args:
        translator: the model.
        sources: raw text, one sentence a line.
        references: their translations.
        beam: beam width; the model's own choice if not given.
        length_penalty: likewise.
        bootstrap_seed: adds ``sacrebleu_interval``, the 95 % interval of `metrics.bootstrap_interval`.
        progress: show progress bars on stderr.

    Returns:
        A record that JSON can hold; see `score` for its fields.

    Raises:
        CourseError: different numbers of lines, or none.
    """
    if len(sources) != len(references):
        raise CourseError(f"there are {len(sources)} sources but {len(references)} references; give one line each")
    made = translator.translate(sources, beam, length_penalty, progress=progress)
    decoding = {**translator.decoding}
    if beam is not None:
        decoding["beam_size"] = beam
    if length_penalty is not None:
        decoding["length_penalty"] = length_penalty
    hypotheses = [str(one) for one in made]
    scores = score(hypotheses, sources, references, language=_target_language(translator))
    if bootstrap_seed is not None:
        interval = metrics.bootstrap_interval(hypotheses, references, seed=bootstrap_seed)
        scores["sacrebleu_interval"] = list(interval)
    forced = translator.score(list(zip(sources, references, strict=True)), progress=progress)
    perplexity = metrics.perplexity(sum(nll for nll, _ in forced), sum(tokens for _, tokens in forced))
    return {
        "model": translator.name,
        "n": len(sources),
        "decoding": decoding,
        **scores,
        "perplexity_token": perplexity if math.isfinite(perplexity) else None,
    }


def score(
    hypotheses: Sequence[str], sources: Sequence[str], references: Sequence[str], *, language: str = "fr"
) -> dict[str, Any]:
    """``sacrebleu`` (score and signature), ``bleu_lc_tok``, ``chrf``, their ``signatures``, and ``by_length``.

    ``language`` is the target's, for Moses' tokeniser. All scores lie in [0, 100].

    Raises:
        CourseError: different numbers of lines, or none.
    """
    cased = metrics.bleu(hypotheses, references)
    lowered = metrics.bleu_lowercased_tokenised(hypotheses, references, language)
    characters = metrics.chrf(hypotheses, references)
    buckets = metrics.bleu_by_length(sources, hypotheses, references)
    return {
        "sacrebleu": dataclasses.asdict(cased),
        "bleu_lc_tok": lowered.score,
        "chrf": characters.score,
        "signatures": {"bleu_lc_tok": lowered.signature, "chrf": characters.signature},
        "by_length": [dataclasses.asdict(bucket) for bucket in buckets],
    }


def _target_language(translator: Translator) -> str:
    languages = translator.config.get("languages") or ["en", "fr"]
    return str(languages[-1])


def passport(**items: Any) -> dict[str, Any]:
    """What a reader needs in order to repeat a number: every item of `PASSPORT`, in its order.

    Raises:
        CourseError: an item is missing, empty or unknown.
    """
    missing = [item for item in PASSPORT if items.get(item) in (None, "", [], {})]
    unknown = [item for item in items if item not in PASSPORT]
    if missing or unknown:
        said = "; ".join(
            f"{what} {', '.join(names)}" for what, names in (("it lacks", missing), ("unknown:", unknown)) if names
        )
        raise CourseError(f"the passport is not complete ({said}); give each of {', '.join(PASSPORT)}")
    return {item: items[item] for item in PASSPORT}


def hardware(device: torch.device | str = "cpu") -> str:
    """The kind of machine that computes here, in words, without a name of its own."""
    place = torch.device(device)
    if place.type == "cuda":
        return f"one {torch.cuda.get_device_name(place)}, torch {torch.__version__}"
    cores = os.cpu_count() or 1
    return f"{platform.machine()} CPU, {cores} core{'s' if cores > 1 else ''}, torch {torch.__version__.split('+')[0]}"
