"""The pictures that a captioner is chosen and tested on, its captions of them, and BLEU of those from one count.

What ``choose_decoding.py`` and ``publish_captioner.py`` share. Both need Java and the extra ``captions``: every score
is counted on Penn Treebank tokens, as the COCO caption tools do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from publish import recipe_of
from sacrebleu.metrics.bleu import BLEU

from course_pkg import captioned, features, metrics, scenes
from course_pkg.caption_metrics import caption_words, treebank_words
from course_pkg.captioned import Captions
from course_pkg.captioner import Captioner
from course_pkg.encoders import Encoded
from course_pkg.features import FeatureStore
from course_pkg.notation import CourseError
from course_pkg.pictures import Source

SCENES_TEST_SEED = 3_000_000  # training uses small seeds, validation those plus a million
SCENES = 500
TESTS = {"flickr8k": "flickr8k:test", "scenes": "scenes"}
ORDERS = 4


@dataclass(frozen=True)
class Split:
    """Captioned pictures as a captioner reads them: their features from the disk, or the pictures themselves."""

    name: str
    captions: Sequence[Captions]
    pictures: FeatureStore | Sequence[Source]

    def __len__(self) -> int:
        return len(self.captions)

    def described(
        self, captioner: Captioner, beam: int | None = None, length_penalty: float | None = None
    ) -> list[str]:
        """A caption for each picture, made from the pictures alone."""
        if isinstance(self.pictures, FeatureStore):
            made = captioner.caption_features(self.pictures, beam, length_penalty, progress=True)
        else:
            made = captioner.caption(self.pictures, beam, length_penalty, progress=True)
        return [one.caption for one in made]

    def encoded(self, captioner: Captioner, row: int) -> Encoded:
        """One picture's annotations."""
        if isinstance(self.pictures, FeatureStore):
            return captioner.encode_features(self.pictures, [row])
        return captioner.encode_seen([captioner.see(self.pictures[row])])


def validation_split(captioner: Captioner, most: int = 0) -> Split:
    """The pictures that chose the best epoch, which decoding may be fixed on too; only ``most`` of them if not 0."""
    recipe = recipe_of(captioner)
    data, seed = recipe["data"], recipe["training"]["seed"] + 1_000_000
    return _split(captioner, data["validation"], data, seed, most or data.get("validation_pairs", 0))


def tested_on(captioner: Captioner) -> str:
    """The kind of pictures that it is tested on: those that it was trained on.

    Raises:
        CourseError: no test pictures are known for it.
    """
    corpus = str(recipe_of(captioner)["data"]["train"]).partition(":")[0]
    if corpus not in TESTS:
        raise CourseError(f"{captioner.name} was trained on pictures of {corpus}: test pictures are known for "
                          f"{' and '.join(TESTS)}.")  # fmt: skip
    return corpus


def test_split(captioner: Captioner, most: int = 0) -> Split:
    """Flickr8k's test pictures, or fresh scenes; only ``most`` of them if not 0."""
    data = recipe_of(captioner)["data"]
    return _split(captioner, TESTS[tested_on(captioner)], data, SCENES_TEST_SEED, most)


def _split(captioner: Captioner, name: str, data: Mapping[str, Any], seed: int, most: int) -> Split:
    if name == "scenes":
        made = scenes.make(min(most or SCENES, SCENES), seed=seed, size=captioner.image_size)
        return Split("fresh drawn scenes", [(one.caption,) for one in made], [one.image for one in made])
    corpus, _, part = name.partition(":")
    if corpus == "folder":
        found = captioned.captioned_folder(Path(data["images"]), Path(data["captions"]), part or None)
    else:
        found = captioned.load(corpus, part or "train")
    found = found.head(most) if most else found
    if captioner.reads is None:
        return Split(found.name, found.captions, found.images)
    return Split(found.name, found.captions, features.cached(found.images, captioner.reads, device=captioner.device))


def perplexity(captioner: Captioner, split: Split) -> float:
    """Per token of people's captions, EOS counted; words that the model does not know are UNK."""
    nll, tokens = 0.0, 0
    for row, texts in enumerate(split.captions):
        said = [text for text in texts if caption_words(text)]
        for one in captioner.forced(split.encoded(captioner, row), said) if said else ():
            nll -= one.score * len(one.tokens)
            tokens += len(one.tokens)
    return metrics.perplexity(nll, tokens)


# -- BLEU from counts -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bleu:
    """BLEU-1 to BLEU-4 with the brevity penalty, that penalty, and how all was counted."""

    scores: tuple[float, ...]
    penalty: float
    counts: Float[np.ndarray, "N 10"]
    signature: str

    @property
    def mean(self) -> float:
        """The mean of the four."""
        return sum(self.scores) / ORDERS

    @property
    def unpenalised(self) -> list[float]:
        """The four without the brevity penalty."""
        return [score / self.penalty if self.penalty else 0.0 for score in self.scores]

    def interval(self, seed: int, samples: int = 1000) -> tuple[float, float]:
        """95 % percentile interval of BLEU-4 when the pictures are drawn again, each with all its references."""
        drawn = np.random.default_rng(seed).integers(len(self.counts), size=(samples, len(self.counts)))
        scores, _ = from_sums(np.stack([self.counts[rows].sum(axis=0) for rows in drawn]))
        low, high = np.quantile(scores[:, -1], [0.025, 0.975])
        return float(low), float(high)


def bleu(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> Bleu:
    """BLEU of raw captions, with what `course_pkg.caption_metrics.caption_scores` says and what it does not.

    Raises:
        CourseError: Java or the extra ``captions`` is missing, or what does not fit each other.
    """
    metrics.reference_columns(hypotheses, references)  # refuses what does not fit
    words = treebank_words([*hypotheses, *(text for several in references for text in several)])
    rest = iter(words[len(hypotheses) :])
    columns = metrics.reference_columns(words[: len(hypotheses)], [[next(rest) for _ in one] for one in references])
    metric: Any = BLEU(tokenize="none", force=True, smooth_method="none")
    found: Any = metric._extract_corpus_statistics(words[: len(hypotheses)], columns)
    counts = np.array(found, dtype=np.float64)
    (scores,), (penalty,) = from_sums(counts.sum(axis=0, keepdims=True))
    return Bleu(tuple(map(float, scores)), float(penalty), counts, str(metric.get_signature()))


def from_sums(sums: Float[np.ndarray, "N 10"]) -> tuple[Float[np.ndarray, "N 4"], Float[np.ndarray, " N"]]:
    """BLEU-1 to BLEU-4, not smoothed, and brevity penalty, of each row of summed counts.

    A row has the captions' length, that of the closest references, the matches of each order and their totals:
    Papineni et al. 2002, §2.3.
    """
    length, reference = sums[:, 0], sums[:, 1]
    matches, totals = sums[:, 2 : 2 + ORDERS], sums[:, 2 + ORDERS :]
    precisions = matches / np.maximum(totals, 1)
    means = np.cumprod(precisions, axis=1) ** (1 / np.arange(1, ORDERS + 1))
    penalty = np.where(length > 0, np.exp(np.minimum(0.0, 1.0 - reference / np.maximum(length, 1))), 0.0)
    return 100 * penalty[:, None] * means, penalty
