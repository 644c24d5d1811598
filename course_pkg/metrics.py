"""How good is a translation, and how good is an alignment?

BLEU and chrF come from sacreBLEU and always carry its signature: a score without its tokenisation, case and
version cannot be compared with anything. Chapter 7 computes BLEU by hand and wrongly in four ways; chapter 8
scores α against gold word alignments.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from course_pkg.notation import CourseError

__all__ = [
    "AlignmentScore",
    "LengthBucket",
    "Link",
    "Score",
    "alignment_error_rate",
    "bleu",
    "bleu_by_length",
    "bleu_lowercased_tokenised",
    "bootstrap_interval",
    "caption_bleu",
    "chrf",
    "lc_norm_tok",
    "parse_links",
    "perplexity",
    "reference_columns",
]

Link = tuple[int, int]
"""(source position, target position), both from 0."""

_ORDER = 4  # longest n-gram of BLEU


@dataclass(frozen=True)
class Score:
    """A corpus score in [0, 100] and the signature that says exactly how it was measured."""

    score: float
    signature: str


@dataclass(frozen=True)
class LengthBucket:
    """BLEU of the ``n`` sentences whose source has ``min`` to ``max`` words, both included.

    ``max`` is ``None`` for the last, open bucket.
    """

    min: int
    max: int | None
    n: int
    bleu: float


@dataclass(frozen=True)
class AlignmentScore:
    """Alignment error rate (smaller is better), precision and recall, each in [0, 1]."""

    aer: float
    precision: float
    recall: float


def _check_corpus(**sides: Sequence[Any]) -> None:
    for name, side in sides.items():
        if isinstance(side, str):
            raise CourseError(f"{name} is a single string; give a list with one string per sentence")
    counts = {name: len(side) for name, side in sides.items()}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{count} {name}" for name, count in counts.items())
        raise CourseError(f"the sides have different numbers of lines ({listed}); give one line per sentence")
    if not all(counts.values()):
        raise CourseError("the corpus is empty; give at least one sentence")


def _bleu_metric(tokenize: str) -> Any:
    from sacrebleu.metrics.bleu import BLEU

    # force only stops the warning about text that looks tokenised; it changes no score
    return BLEU(tokenize=tokenize, force=True)


def _corpus_score(metric: Any, hypotheses: Sequence[str], references: Sequence[str]) -> Score:
    value = metric.corpus_score(list(hypotheses), [list(references)]).score
    return Score(float(value), str(metric.get_signature()))


def bleu(hypotheses: Sequence[str], references: Sequence[str]) -> Score:
    """Corpus BLEU of detokenised, cased text: sacreBLEU's default (13a), the figure to report.

    Papineni et al. 2002, §2.3; Post 2018 for the tokenisation. One reference per hypothesis. Chapter 7.

    Raises :class:`CourseError` for unequal numbers of lines or no line at all.
    """
    _check_corpus(hypotheses=hypotheses, references=references)
    return _corpus_score(_bleu_metric("13a"), hypotheses, references)


@cache
def _moses(language: str) -> Callable[[str], str]:
    from sacremoses import MosesPunctNormalizer, MosesTokenizer

    normalizer, tokenizer = MosesPunctNormalizer(language, perl_parity=True), MosesTokenizer(language)

    def prepare(text: str) -> str:
        # Moses' script sees the newline at the end of a line, and one of its rules for quotes matches it
        return str(tokenizer.tokenize(normalizer.normalize(text + "\n"), return_str=True, escape=True))

    return prepare


def lc_norm_tok(text: str, language: str = "fr") -> str:
    """Lower-cased, punctuation-normalised, Moses-tokenised text: the form of Multi30k's ``*.lc.norm.tok.*``.

    Tokens are joined by spaces; apostrophes and the like are escaped (``&apos;``), dashes are not split.
    It follows Moses' own Perl scripts character by character, as that data did.
    """
    return _moses(language)(text.lower())


def bleu_lowercased_tokenised(hypotheses: Sequence[str], references: Sequence[str], language: str = "fr") -> Score:
    """Corpus BLEU on lower-cased, normalised, Moses-tokenised text, as the Multi30k papers report it.

    Both sides are raw text and go through :func:`lc_norm_tok`. Not comparable with :func:`bleu`: case errors
    are forgiven and the tokens are others. Chapter 7.

    Raises :class:`CourseError` for unequal numbers of lines or no line at all.
    """
    _check_corpus(hypotheses=hypotheses, references=references)
    prepared = [[lc_norm_tok(text, language) for text in side] for side in (hypotheses, references)]
    measured = _corpus_score(_bleu_metric("none"), *prepared)
    return Score(measured.score, f"{measured.signature}|prepared:lc.norm.tok.{language}.sacremoses")


def caption_bleu(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> Score:
    """Corpus BLEU-4 of captions against several references each, on words as they stand between white space.

    Captions come lower-cased and without punctuation (`course_pkg.caption_metrics.caption_words`). Pictures may have
    different numbers of references. Papineni et al. 2002, §2.3; chapter 11.

    Raises :class:`CourseError` for unequal numbers of pictures, none, or one without a reference.
    """
    columns = reference_columns(hypotheses, references)
    metric = _bleu_metric("none")
    value = metric.corpus_score(list(hypotheses), columns).score
    return Score(float(value), f"{metric.get_signature()}|prepared:words.lc")


def reference_columns(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> list[list[str | None]]:
    """The references as sacreBLEU takes them: every picture's first, every picture's second, …, ``None`` where it ends.

    Raises :class:`CourseError` for unequal numbers of pictures, none, or one without a reference.
    """
    _check_corpus(captions=hypotheses, references=references)
    if any(isinstance(texts, str) for texts in references):
        raise CourseError("a picture's references are a single string; give a list of them")
    if not all(map(len, references)):
        raise CourseError("a picture has no reference; give each at least one")
    most = max(map(len, references))
    return [[texts[place] if place < len(texts) else None for texts in references] for place in range(most)]


def chrf(hypotheses: Sequence[str], references: Sequence[str]) -> Score:
    """Corpus chrF2: the F-score (β = 2) of character n-grams up to length six. Popović 2015.

    Raises :class:`CourseError` for unequal numbers of lines or no line at all.
    """
    from sacrebleu.metrics.chrf import CHRF

    _check_corpus(hypotheses=hypotheses, references=references)
    return _corpus_score(CHRF(), hypotheses, references)


def bleu_by_length(
    sources: Sequence[str],
    hypotheses: Sequence[str],
    references: Sequence[str],
    edges: Sequence[int] = (5, 10, 15, 20, 30, 40, 50, 60),
) -> list[LengthBucket]:
    """BLEU by source length in whitespace words: Bahdanau et al. 2015, Figure 2. Chapter 7.

    ``edges`` are the inclusive upper ends of the buckets, ascending; longer sentences share one open bucket.
    Empty buckets are left out. Dataclass fields are the JSON that ``course evaluate`` prints.
    """
    _check_corpus(sources=sources, hypotheses=hypotheses, references=references)
    if not edges or list(edges) != sorted(set(edges)) or edges[0] < 0:
        raise CourseError(f"bucket edges must ascend from 0 or more; got {list(edges)}")
    lengths = np.array([len(source.split()) for source in sources])
    member = np.searchsorted(np.asarray(edges), lengths, side="left")
    buckets = []
    for index in np.unique(member).tolist():
        rows = np.flatnonzero(member == index).tolist()
        value = bleu([hypotheses[row] for row in rows], [references[row] for row in rows]).score
        low = edges[index - 1] + 1 if index else 0
        high = edges[index] if index < len(edges) else None
        buckets.append(LengthBucket(low, high, len(rows), value))
    return buckets


def _sufficient_statistics(hypotheses: Sequence[str], references: Sequence[str]) -> np.ndarray:
    """BLEU's counts, one row per sentence: hypothesis length, reference length, 4 matches, 4 totals.

    BLEU is a function of their column sums, so that a resampled corpus never counts an n-gram again.
    """
    metric = _bleu_metric("13a")
    return np.array(metric._extract_corpus_statistics(list(hypotheses), [list(references)]), dtype=np.float64)


def _bleu_from_sums(sums: np.ndarray) -> np.ndarray:
    """BLEU of each row of summed counts, ``(N, 10) → (N,)``, with sacreBLEU's exponential smoothing.

    Papineni et al. 2002, §2.3: brevity penalty times the geometric mean of the n-gram precisions.
    """
    hypothesis, reference = sums[:, 0], sums[:, 1]
    matches, totals = sums[:, 2 : 2 + _ORDER], sums[:, 2 + _ORDER :]
    missing = np.cumsum(matches == 0, axis=1)  # the k-th order without a match counts 2^-k matches
    smoothed = np.where(matches == 0, 0.5**missing, matches)
    defined = (matches.sum(axis=1) > 0) & (totals > 0).all(axis=1)
    log_precision = np.log(smoothed / np.maximum(totals, 1)).mean(axis=1)
    log_brevity = np.minimum(0.0, 1.0 - reference / np.maximum(hypothesis, 1))
    return np.where(defined, 100.0 * np.exp(log_brevity + log_precision), 0.0)


def bootstrap_interval(
    hypotheses: Sequence[str],
    references: Sequence[str],
    *,
    seed: int,
    samples: int = 1000,
    level: float = 0.95,
) -> tuple[float, float]:
    """Percentile interval of corpus BLEU when the sentences are drawn again with replacement: Koehn 2004, §3.

    It holds the model fixed and says how far another test set of the same kind could move the score; it says
    nothing about another training seed. Returns (low, high) in BLEU points. Chapter 7.
    """
    _check_corpus(hypotheses=hypotheses, references=references)
    if samples < 1 or not 0.0 < level < 1.0:
        raise CourseError(f"need samples ≥ 1 and a level between 0 and 1; got {samples} and {level}")
    statistics = _sufficient_statistics(hypotheses, references)
    n = len(statistics)
    generator = np.random.default_rng(seed)
    sums = np.stack([statistics[generator.integers(n, size=n)].sum(axis=0) for _ in range(samples)])
    low, high = np.quantile(_bleu_from_sums(sums), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def perplexity(total_nll_nats: float, tokens: int) -> float:
    """exp of the mean negative log-likelihood, in nats, of ``tokens`` predicted tokens, EOS counted.

    Chapter 7. A uniform guess among K tokens has perplexity K. Only figures over the same tokens compare.
    """
    if tokens < 1:
        raise CourseError(f"perplexity needs at least one token; got {tokens}")
    if math.isnan(total_nll_nats):
        raise CourseError("the negative log-likelihood is NaN: the model or its input holds a NaN")
    mean = total_nll_nats / tokens
    return math.exp(mean) if mean < 709.0 else math.inf


def parse_links(line: str) -> tuple[set[Link], set[Link]]:
    """Sure and possible links of one line of gold alignment: ``i-j`` is sure, ``ipj`` possible, 0-based.

    ``i`` counts source words and ``j`` target words. The possible set includes the sure one.
    """
    sure: set[Link] = set()
    possible: set[Link] = set()
    for field in line.split():
        mark = "p" if "p" in field else "-"
        source, _, target = field.partition(mark)
        if not (source.isdecimal() and target.isdecimal()):
            raise CourseError(f"not an alignment link: {field!r}; write i-j (sure) or ipj (possible), from 0")
        (sure if mark == "-" else possible).add((int(source), int(target)))
    return sure, possible | sure


def alignment_error_rate(
    predicted: Sequence[Iterable[Link]], sure: Sequence[Iterable[Link]], possible: Sequence[Iterable[Link]]
) -> AlignmentScore:
    """Corpus alignment error rate of Och and Ney 2003: links are counted over all sentences, then divided.

    With A predicted, S sure and P ⊇ S possible links: precision = ``|A ∩ P| / |A|``, recall = ``|A ∩ S| / |S|``,
    AER = ``1 − (|A ∩ S| + |A ∩ P|) / (|A| + |S|)``. One set of (source, target) links per sentence; S is added
    to P where it is missing. Precision is 0 when nothing was predicted. Chapter 8.

    Raises :class:`CourseError` for unequal numbers of sentences, and when the gold has no sure link.
    """
    _check_corpus(predicted=predicted, sure=sure, possible=possible)
    n_predicted = n_sure = found_sure = found_possible = 0
    for links, certain, allowed in zip(map(set, predicted), map(set, sure), map(set, possible), strict=True):
        n_predicted += len(links)
        n_sure += len(certain)
        found_sure += len(links & certain)
        found_possible += len(links & (allowed | certain))
    if n_sure == 0:
        raise CourseError("the gold alignment has no sure link; give at least one")
    return AlignmentScore(
        aer=1.0 - (found_sure + found_possible) / (n_predicted + n_sure),
        precision=found_possible / n_predicted if n_predicted else 0.0,
        recall=found_sure / n_sure,
    )
