"""Trained models at work: `load` one, then translate, align and score text. Chapters 7 and 8.

Lines are sorted by length and cut into batches of a bounded number of positions, so that a file of short lines is
quick and a line of two thousand words does not take the memory of sixty-four such lines. A line's result does not
depend on the lines beside it.
"""

import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Float
from tqdm import tqdm

from course_pkg import checkpoints
from course_pkg.batching import Batch
from course_pkg.checkpoints import Stored, pick_device
from course_pkg.decoders import Rollout
from course_pkg.metrics import Link
from course_pkg.notation import CourseError
from course_pkg.search import Hypotheses, beam_search
from course_pkg.vocabulary import (
    BOS,
    EOS,
    PAD,
    SPACE,
    UNK,
    Pieces,
    SubwordVocabulary,
    Vocabulary,
    backwards,
    clean,
)

__all__ = ["Translation", "Translator", "fold_words", "links", "load", "pick_device", "posterior"]

SEARCH_POSITIONS = 16_384  # beam × sentences × source positions that are searched at once
FORCED_POSITIONS = 2_048  # sentences × positions that are teacher-forced at once; each has a row of logits
LARGEST_BATCH = 64
WIDEST_BEAM = 1_000
DIGITS = 5  # of α in a record: a row of 100 weights still adds up to 1 within 0.0005

Words = Sequence[int | None]


@dataclass(frozen=True, eq=False)
class Translation:
    """A sentence, its translation, and where the model looked while writing it.

    Attributes:
        source: the text as given.
        target: the translation, on one line.
        source_tokens: what the model read, EOS last; empty for an empty line.
        target_tokens: what it wrote, EOS last (missing if the longest allowed length was reached).
        weights: ``α``, float32 of shape ``(T, S)``, EOS row and column included; ``None`` if the model cannot look.
        score: ``log p / length ** length_penalty``, EOS counted in the length; 0 for an empty line.
        source_words: for each source token the index of its white-space word; ``None`` for EOS.
        target_words: likewise for the target.
    """

    source: str
    target: str
    source_tokens: tuple[str, ...]
    target_tokens: tuple[str, ...]
    weights: Float[np.ndarray, "T S"] | None
    score: float
    source_words: tuple[int | None, ...]
    target_words: tuple[int | None, ...]

    def __str__(self) -> str:
        return self.target

    def to_record(self) -> dict[str, Any]:
        """The translation as JSON has it: what ``course translate --alpha F.json`` writes for each line."""
        weights = None
        if self.weights is not None:
            weights = [[round(float(value), DIGITS) for value in row] for row in self.weights]
        return {
            "source": self.source,
            "target": self.target,
            "source_tokens": list(self.source_tokens),
            "target_tokens": list(self.target_tokens),
            "weights": weights,
        }

    def by_words(self) -> "Translation":
        """The same translation with its pieces folded into white-space words; see `fold_words`. EOS stays.

        A source word that the model knows as UNK is shown as it was written.
        """
        _, source_words = _joined(self.source_tokens, self.source_words)
        target, target_words = _joined(self.target_tokens, self.target_words)
        source = (*clean(self.source).split(), *self.source_tokens[-1:])
        weights = self.weights
        if weights is not None and weights.size:
            weights = fold_words(weights, self.source_words, self.target_words)
        return dataclasses.replace(
            self,
            source_tokens=source,
            target_tokens=target,
            weights=weights,
            source_words=source_words,
            target_words=target_words,
        )


def _joined(tokens: Sequence[str], words: Words) -> tuple[tuple[str, ...], tuple[int | None, ...]]:
    """The text of each word, and the words themselves, in order."""
    spelt: dict[int | None, str] = {}
    for token, word in zip(tokens, words, strict=True):
        spelt[word] = spelt.get(word, "") + token.removeprefix(SPACE)
    return tuple(spelt.values()), tuple(spelt)


def fold_words(
    weights: Float[np.ndarray, "T S"], source_words: Words, target_words: Words
) -> Float[np.ndarray, "Tw Sw"]:
    """``α`` between words: summed over a source word's pieces, averaged over a target word's pieces. Chapter 8.

    ``source_words`` and ``target_words`` name the word of each column and row; ``None`` (EOS) counts as a word
    of its own. Words keep their order of first appearance. Rows that added up to 1 still do.
    """
    rows, columns = _membership(target_words), _membership(source_words)
    folded = (rows / rows.sum(axis=1, keepdims=True)) @ weights @ columns.T
    return np.asarray(folded, dtype=np.float32)


def _membership(words: Words) -> np.ndarray:
    """One row for each word, with 1 where a piece belongs to it."""
    found = list(dict.fromkeys(words))
    return np.array([[float(word == piece) for piece in words] for word in found], dtype=np.float32)


def links(weights: Float[np.ndarray, "T S"], source_words: Words, target_words: Words) -> set[Link]:
    """Word links ``(source word, target word)``: each target word goes to the source word it looks at most.

    ``α`` is folded by `fold_words` first; a target word that looks at EOS most has no link, nor has EOS itself.
    Equal weights go to the earlier source word.
    """
    sources, targets = list(dict.fromkeys(source_words)), list(dict.fromkeys(target_words))
    best = fold_words(weights, source_words, target_words).argmax(axis=1)
    found = ((sources[column], target) for column, target in zip(best, targets, strict=True))
    return {(source, target) for source, target in found if source is not None and target is not None}


def posterior(weights: Float[np.ndarray, "T S"], log_probs: Float[np.ndarray, "T S"]) -> Float[np.ndarray, "T S"]:
    """Where word i came from, once it is known: ``α_ij p(y_i | c_i := h_j)`` over its sum along j. Chapter 8.

    Bayes' rule, with α read as the prior. The model looks before it writes, so α_i does not know y_i; this does.
    ``log_probs`` is what `course_pkg.steering.steer` finds. Position j keeps 0 where its weight is 0. Rows sum to 1.

    Raises:
        CourseError: a row without any weight.
    """
    if weights.shape != log_probs.shape:
        raise CourseError(
            f"α has the shape {weights.shape} but log p {log_probs.shape}: give one log p for each weight."
        )
    if not bool((weights.max(axis=1, initial=0) > 0).all()):
        raise CourseError("A row of α has no weight: give rows that sum to 1.")
    with np.errstate(divide="ignore"):
        joint = np.log(weights.astype(np.float64)) + log_probs
    joint = np.exp(joint - joint.max(axis=1, keepdims=True))
    return np.asarray(joint / joint.sum(axis=1, keepdims=True), dtype=np.float32)


def load(name_or_folder: str | Path, *, device: str = "auto") -> Any:
    """A published model by name, or any model folder: a `Translator`, or a `Captioner` if it reads pictures.

    Raises:
        CourseError: no such model, a damaged or foreign folder, or a device that is not here.
    """
    place = pick_device(device)
    try:
        stored = checkpoints.load(name_or_folder, device=place)
        if stored.source is not None:
            return Translator(stored, place)
        from course_pkg.captioner import Captioner  # brings what reads photographs, which a translator does without

        return Captioner(stored, place)
    except RuntimeError as error:  # sizes that torch refuses
        reason = str(error).splitlines()[0]
        raise CourseError(f"The model {name_or_folder} cannot be built ({reason}): take another copy.") from error


@final
class Translator:
    """A trained model with its vocabularies, on one device.

    PAD and BOS are never generated. UNK is not either by a subword model, which can spell any word; a word model
    writes ``<unk>`` unless it is forbidden, which is the "No UNK" column of Bahdanau et al. 2015, Table 1.

    Args:
        stored: model, vocabularies and configuration.
        device: where to compute; the model is moved there.
    """

    def __init__(self, stored: Stored, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self.model = stored.model.to(self.device).eval()
        if stored.source is None:
            raise CourseError("This model reads pictures, not text: use it to caption.")
        self.source: Vocabulary = stored.source
        self.target, self.config = stored.target, stored.config
        self.name = str(self.config.get("name", "unnamed"))
        self._require_decoding()
        self.reads_backwards = _reads_backwards(self.config.get("recipe"))
        self.can_look = self._first_step_looks()

    def _require_decoding(self) -> None:
        stored = self.config.get("decoding", {})
        sound = isinstance(stored, dict)
        if sound:
            beam, power = self.decoding["beam_size"], self.decoding["length_penalty"]
            sound = type(beam) is int and 1 <= beam <= WIDEST_BEAM and type(power) in (int, float)
        if not sound:
            raise CourseError(f"The decoding settings of {self.name} make no sense ({stored}): mend its config.json.")

    @torch.inference_mode()
    def _first_step_looks(self) -> bool:
        batch = Batch.collate([((EOS,), (EOS,))]).to(self.device)
        memory, state = self.model.decoder.start(self.model.encode(batch.source, batch.source_mask))
        return self.model.decoder.step(batch.inputs[:, 0], state, memory).glimpse is not None

    @property
    def decoding(self) -> dict[str, Any]:
        """Beam size and length penalty that were fixed on the validation corpus."""
        return {"beam_size": 5, "length_penalty": 1.0, **self.config.get("decoding", {})}

    def translate(
        self,
        texts: Sequence[str],
        beam: int | None = None,
        length_penalty: float | None = None,
        max_steps: int | None = None,
        *,
        generate_unk: bool | None = None,
        progress: bool = False,
    ) -> list[Translation]:
        """Translate each text by beam search; results in input order.

        Args:
            texts: one sentence each; an empty or white-space text gives an empty translation.
            beam: beam width; the model's own choice if not given.
            length_penalty: exponent of the length that divides log p; likewise.
            max_steps: longest translation in tokens, EOS counted; by default ``2 S + 10`` for ``S`` source tokens
                rounded up to a multiple of 8, and ``S + 110`` where that is less.
            generate_unk: whether UNK may be written; by default only by a word model.
            progress: show a progress bar on stderr.

        Raises:
            CourseError: a beam or a length that is not positive, or a model that computes NaN.
        """
        if isinstance(texts, str):
            raise CourseError("translate takes a list of texts, not one text: put it in brackets.")
        beam = self.decoding["beam_size"] if beam is None else beam
        power = self.decoding["length_penalty"] if length_penalty is None else length_penalty
        if beam > WIDEST_BEAM:
            raise CourseError(f"A beam of {beam} is too wide to be of use: choose one from 1 to {WIDEST_BEAM}.")
        if max_steps is not None and max_steps < 1:
            raise CourseError(f"max_steps must be at least 1; it is {max_steps}.")
        unk = not isinstance(self.target, SubwordVocabulary) if generate_unk is None else generate_unk
        forbid = (PAD, BOS) if unk else (PAD, BOS, UNK)
        written = [row for row, text in enumerate(texts) if clean(text)]
        pieces = dict(zip(written, self.source.encode_all([texts[row] for row in written]), strict=True))
        results = [self._nothing(text) for text in texts]
        bar = tqdm(total=len(written), unit="line", disable=not progress)
        with bar:
            for size, rows in _batches({row: len(p) for row, p in pieces.items()}, SEARCH_POSITIONS // max(1, beam)):
                found = self._search(
                    [pieces[row] for row in rows], beam, power, max_steps or size + min(size, 100) + 10, forbid
                )
                for place, row in enumerate(rows):
                    results[row] = self._read(texts[row], pieces[row], found, place)
                bar.update(len(rows))
        return results

    @torch.inference_mode()
    def _search(
        self, pieces: list[Pieces], beam: int, power: float, max_steps: int, forbid: tuple[int, ...]
    ) -> Hypotheses:
        batch = Batch.collate([(self._as_read(p.ids), (EOS,)) for p in pieces]).to(self.device)
        found = beam_search(
            self.model.decoder,
            self.model.encode(batch.source, batch.source_mask),
            bos=BOS,
            eos=EOS,
            beam_size=beam,
            max_steps=max_steps,
            length_penalty=power,
            forbid=forbid,
        )
        if not bool(found.scores[:, 0].isfinite().all()):
            raise CourseError(f"The model {self.name} computes numbers that are not finite: take another copy of it.")
        return found.to("cpu")

    def _read(self, text: str, source: Pieces, found: Hypotheses, place: int) -> Translation:
        """The best hypothesis of one row."""
        length = int(found.lengths[place, 0])
        target = self.target.generated(found.tokens[place, 0, :length].tolist())
        weights = None
        if found.weights is not None:
            weights = found.weights[place, 0, :length].float().numpy()[:, self._as_read(range(len(source)))]
        return Translation(
            source=text,
            target=" ".join(self.target.decode(target.ids).split()),
            source_tokens=source.tokens,
            target_tokens=target.tokens,
            weights=weights,
            score=float(found.scores[place, 0]),
            source_words=source.words,
            target_words=target.words,
        )

    def _as_read(self, tokens: Sequence[int]) -> tuple[int, ...]:
        """Source ids or positions in the order in which the model reads them; twice over, the order of the text."""
        return backwards(tokens) if self.reads_backwards else tuple(tokens)

    def _nothing(self, text: str) -> Translation:
        weights = np.zeros((0, 0), dtype=np.float32) if self.can_look else None
        return Translation(text, "", (), (), weights, 0.0, (), ())

    def align(
        self, pairs: Sequence[tuple[str, str]], *, tokens: bool = False, progress: bool = False
    ) -> list[set[Link]]:
        """Word links of each ``(source, target)`` text pair, read off ``α`` under teacher forcing; see `links`.

        Words are white-space words, counted from 0, or the model's own tokens if ``tokens`` is set. A pair with an
        empty side has no links.

        Raises:
            CourseError: the model cannot look.
        """
        if not self.can_look:
            raise CourseError(f"The model {self.name} cannot look at its source, so it cannot align: use an rnnsearch.")
        found: list[set[Link]] = [set() for _ in pairs]
        for row, source, target, _, weights in self._forced(pairs, progress):
            sides = (_own_words(side) if tokens else side.words for side in (source, target))
            found[row] = links(weights, *sides)
        return found

    def score(self, pairs: Sequence[tuple[str, str]], *, progress: bool = False) -> list[tuple[float, int]]:
        """For each ``(source, target)`` pair, −log p(target | source) in nats and its number of tokens, EOS counted.

        Teacher forcing. The sums over a corpus are the arguments of `course_pkg.metrics.perplexity`.
        """
        found = [(0.0, 0)] * len(pairs)
        for row, _, target, nll, _ in self._forced(pairs, progress):
            found[row] = nll, len(target)
        return found

    def _forced(
        self, pairs: Sequence[tuple[str, str]], progress: bool
    ) -> Iterator[tuple[int, Pieces, Pieces, float, np.ndarray]]:
        """Each pair's row, both sides, negative log-likelihood and α."""
        sources = self.source.encode_all([source for source, _ in pairs])
        targets = self.target.encode_all([target for _, target in pairs])
        sizes = {row: max(len(s), len(t)) for row, (s, t) in enumerate(zip(sources, targets, strict=True))}
        with tqdm(total=len(pairs), unit="line", disable=not progress) as bar:
            for _, rows in _batches(sizes, FORCED_POSITIONS):
                batch = Batch.collate([(self._as_read(sources[row].ids), targets[row].ids) for row in rows])
                nll, rollout = self._force(batch.to(self.device))
                weights = [None] * len(rows) if rollout.weights is None else rollout.weights.float().cpu().numpy()
                for place, (row, value) in enumerate(zip(rows, nll, strict=True)):
                    source, target, looked = sources[row], targets[row], weights[place]
                    if math.isnan(value):
                        raise CourseError(f"{self.name} computes NaN: its weights are damaged; take another copy.")
                    if looked is None:
                        yield row, source, target, value, np.zeros((0, 0), np.float32)
                    else:
                        yield row, source, target, value, looked[: len(target), self._as_read(range(len(source)))]
                bar.update(len(rows))

    @torch.inference_mode()
    def _force(self, batch: Batch) -> tuple[list[float], Rollout]:
        rollout = self.model(batch)
        log_probs = rollout.logits.float().log_softmax(dim=-1)
        chosen = log_probs.gather(-1, batch.targets.unsqueeze(-1)).squeeze(-1)
        return (-chosen.masked_fill(~batch.target_mask, 0).sum(dim=1)).tolist(), rollout


def _reads_backwards(recipe: Any) -> bool:
    data = recipe.get("data") if isinstance(recipe, dict) else None
    return isinstance(data, dict) and data.get("reverse_source") is True


def _own_words(pieces: Pieces) -> tuple[int | None, ...]:
    """Each token a word of its own."""
    return (*range(len(pieces) - 1), None)


def _batches(lengths: dict[int, int], positions: int) -> Iterator[tuple[int, list[int]]]:
    """Rows of about the same length, with that length rounded up; longest first: too small a memory shows early.

    A batch holds one rounded length only, so that what follows from it is the same whichever rows share the batch.
    """
    rounded = {row: -(-length // 8) * 8 for row, length in lengths.items()}
    order = sorted(rounded, key=lambda row: (-rounded[row], row))
    for size, group in itertools.groupby(order, key=rounded.__getitem__):
        rows = list(group)
        count = max(1, min(LARGEST_BATCH, positions // size))
        for start in range(0, len(rows), count):
            yield size, rows[start : start + count]
