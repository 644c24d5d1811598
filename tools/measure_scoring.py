"""What chapter 7 says of widths and scores on real text, measured with the two published Multi30k models.

``python tools/measure_scoring.py`` needs ``COURSE_DATA`` and writes two results. ``beam-width.json``: BLEU and length
of the translations for beams of 1 to 50, with and without division by the length, on validation data.
``bleu-claims.json``: what five usual mistakes would report instead of BLEU, and what perplexity is per token and per
word, on the test set. No setting is chosen from either.
"""

import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from entry import options, told
from publish import recipe_of, tokenisation, write_json
from sacrebleu.metrics.bleu import BLEU

from course_pkg import corpora
from course_pkg.corpora import ParallelText
from course_pkg.evaluation import hardware, passport
from course_pkg.inference import Translator, load
from course_pkg.metrics import bleu, bleu_lowercased_tokenised, perplexity
from course_pkg.notation import CourseError

MODELS = ("multi30k-en-fr-encdec", "multi30k-en-fr-rnnsearch")
WIDTHS = (1, 2, 5, 10, 20, 50)
PENALTIES = (0.0, 1.0)
VALIDATION_PAIRS = 200

Lines = Sequence[str]


def corpus_bleu(hypotheses: Lines, references: Lines, **options: Any) -> Any:
    """sacreBLEU's own object, for the mistakes that it can be talked into."""
    return BLEU(force=True, **options).corpus_score(list(hypotheses), [list(references)])


def mean_of_sentences(hypotheses: Lines, references: Lines) -> float:
    """The mean of sentence BLEUs."""
    metric = BLEU(effective_order=True)
    scores = [metric.sentence_score(h, [r]).score for h, r in zip(hypotheses, references, strict=True)]
    return sum(scores) / len(scores)


def on_pieces(translator: Translator) -> Callable[[Lines, Lines], float]:
    """BLEU of the model's own tokens, as if they were words."""

    def score(hypotheses: Lines, references: Lines) -> float:
        pieces = (translator.target.encode_all(side) for side in (hypotheses, references))
        spaced = ([" ".join(one.tokens[:-1]) for one in side] for side in pieces)
        return float(corpus_bleu(*spaced, tokenize="none").score)

    return score


def without_brevity_penalty(hypotheses: Lines, references: Lines) -> float:
    """The geometric mean of the precisions alone."""
    found = corpus_bleu(hypotheses, references)
    return float(found.score / found.bp)


def claims(translator: Translator, text: ParallelText) -> dict[str, Any]:
    """One row: the score to report, and what each mistake would report of the same translations."""
    made = [str(one) for one in translator.translate(text.source, progress=True)]
    forced = translator.score(list(zip(text.source, text.target, strict=True)), progress=True)
    nats, tokens = sum(nll for nll, _ in forced), sum(n for _, n in forced)
    words = sum(len(line.split()) + 1 for line in text.target)  # EOS counted, as among the tokens
    lowered = [[line.lower() for line in side] for side in (made, text.target)]
    found = corpus_bleu(made, text.target)
    return {
        "model": translator.name,
        "right": bleu(made, text.target).score,
        "sentences": mean_of_sentences(made, text.target),
        "lower": bleu(*lowered).score,
        "moses": bleu_lowercased_tokenised(made, text.target).score,
        "characters": float(corpus_bleu(made, text.target, tokenize="char").score),
        "pieces": on_pieces(translator)(made, text.target),
        "unpenalised": without_brevity_penalty(made, text.target),
        "brevity_penalty": float(found.bp),
        "perplexity_token": perplexity(nats, tokens),
        "perplexity_word": perplexity(nats, words),
        "tokens_per_word": tokens / words,
    }


CLAIMS = {
    "model": "model",
    "right": "sacreBLEU",
    "sentences": "mean of sentence scores",
    "lower": "lower-cased",
    "moses": "lower-cased, Moses tokens",
    "characters": "characters as words",
    "pieces": "subword pieces as words",
    "unpenalised": "no brevity penalty",
    "brevity_penalty": "brevity penalty",
    "perplexity_token": "perplexity per token",
    "perplexity_word": "perplexity per word",
    "tokens_per_word": "tokens per word",
}
WIDTH_COLUMNS = {
    "model": "model",
    "length_penalty": "λ",
    "beam": "beam",
    "bleu": "sacreBLEU",
    "length_ratio": "words written per word of the reference",
    "empty": "empty translations, %",
}


def widths(translator: Translator, text: ParallelText) -> list[dict[str, Any]]:
    """One row for each width and penalty. Width 1 is greedy search, which no penalty can change."""
    rows = []
    for penalty in PENALTIES:
        for beam in WIDTHS:
            made = [str(one) for one in translator.translate(text.source, beam, penalty, progress=True)]
            written, wanted = (sum(len(line.split()) for line in side) for side in (made, text.target))
            rows.append(
                {
                    "model": translator.name,
                    "length_penalty": penalty,
                    "beam": beam,
                    "bleu": round(bleu(made, text.target).score, 2),
                    "length_ratio": round(written / wanted, 3),
                    "empty": round(100 * sum(not line for line in made) / len(made), 1),
                }
            )
            print(rows[-1], flush=True)
    return rows


def record(
    translators: Sequence[Translator],
    title: str,
    note: str,
    columns: dict[str, str],
    rows: list[dict[str, Any]],
    **stamps: str,
) -> dict[str, Any]:
    """A result with its passport."""
    seeds = {recipe_of(translator)["training"]["seed"] for translator in translators}
    return {
        "title": title,
        "note": note,
        "columns": list(columns.items()),
        "rows": rows,
        "passport": passport(
            **stamps,
            signature=bleu(["a"], ["a"]).signature,
            tokenisation=" / ".join(dict.fromkeys(map(tokenisation, translators))),
            seeds=f"training {', '.join(map(str, sorted(seeds)))}; one run each; decoding draws nothing",
            hardware=hardware("cpu"),
            recipe=", ".join(translator.name for translator in translators),
        ),
    }


def bleu_claims(translators: Sequence[Translator]) -> dict[str, Any]:
    """The score to report and what mistakes would report, on the test set."""
    test, start = corpora.multi30k("test_2016_flickr"), time.process_time()
    rows = [claims(translator, test) for translator in translators]
    return record(
        translators,
        "What mistakes would report instead of BLEU",
        "One row, one set of translations. Only the first score is the BLEU to report; the others cannot be compared "
        "with it, nor with each other. The perplexity per word spreads the same sum over the words between spaces.",
        CLAIMS,
        rows,
        data=f"{test.name}, {len(test)} sentences",
        decoding="; ".join(
            f"{t.name}: beam {t.decoding['beam_size']}, score log p / length^{t.decoding['length_penalty']}"
            for t in translators
        ),
        cost=minutes(start),
    )


def beam_width(translators: Sequence[Translator]) -> dict[str, Any]:
    """What the width of the beam does to score and length, on validation data."""
    text, start = corpora.multi30k("val").head(VALIDATION_PAIRS), time.process_time()
    rows = [row for translator in translators for row in widths(translator, text)]
    return record(
        translators,
        "Beam width, with and without division by the length",
        "The score of a hypothesis is log p / length^λ. Measured to show what width does; nothing was chosen by it.",
        WIDTH_COLUMNS,
        rows,
        data=f"{text.name}, the first {len(text)} sentences",
        decoding=f"beams {', '.join(map(str, WIDTHS))}; λ {', '.join(map(str, PENALTIES))}",
        cost=minutes(start),
    )


RESULTS = {"beam-width": beam_width, "bleu-claims": bleu_claims}


def minutes(start: float) -> str:
    """Processor time since ``start``, in words."""
    spent = max(1, round((time.process_time() - start) / 60))
    return f"about {spent} minute{'s' if spent > 1 else ''} of one core"


@told
def main(argv: Sequence[str] | None = None) -> None:
    """Measure and store the results."""
    parser = options(__doc__, "package")
    parser.add_argument("results", nargs="*", metavar="RESULT", help=f"{' or '.join(RESULTS)}; by default both")
    parser.add_argument("--models", nargs="+", default=MODELS, metavar="MODEL", help="by default both Multi30k models")
    arguments = parser.parse_args(argv)
    unknown = set(arguments.results) - set(RESULTS)
    if unknown:
        raise CourseError(f"no result called {', '.join(sorted(unknown))}: choose from {', '.join(RESULTS)}")
    translators = [load(name, device="cpu") for name in arguments.models]
    for name in arguments.results or RESULTS:
        write_json(arguments.package / "results" / f"{name}.json", RESULTS[name](translators))


if __name__ == "__main__":
    sys.exit(main())
