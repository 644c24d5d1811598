"""Photographs to captions, with the model's gaze. Chapters 11 to 13.

`course_pkg.inference.load` gives a `Captioner` for the name of a published captioner or a folder that holds one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from course_pkg import features, pictures
from course_pkg.batching import chunks, target_side
from course_pkg.caption_decoder import LONGEST_CAPTION
from course_pkg.caption_metrics import caption_words
from course_pkg.checkpoints import Stored
from course_pkg.encoders import Encoded
from course_pkg.notation import CourseError
from course_pkg.pictures import Source, View
from course_pkg.search import Hypotheses, beam_search
from course_pkg.vocabulary import BOS, EOS, PAD, UNK

__all__ = ["Caption", "Captioner", "Seen"]

TOGETHER = 8
"""Photographs in memory at once, however many are to be captioned."""
FEATURES_TOGETHER = 64
"""Pictures captioned at once whose features are kept already."""
WIDEST_BEAM = 100
DIGITS = 5  # of α in a record


@dataclass(frozen=True, eq=False)
class Caption:
    """A picture's caption, and where the model looked while writing it.

    Attributes:
        caption: the words, on one line.
        tokens: what the model wrote, EOS last (missing if the longest allowed length was reached).
        weights: ``α``, float32 of shape ``(T, L)``; each row sums to 1, locations row by row.
        gate: ``β``, float32 of shape ``(T,)``; ``None`` if the model has none.
        grid: rows and columns of the locations, ``L`` their product.
        view: which part of the picture the locations lie on; ``None`` where features were given.
        score: ``log p / length ** length_penalty``, EOS counted in the length.
        words: for each token the index of its word in ``caption``; ``None`` for EOS.
    """

    caption: str
    tokens: tuple[str, ...]
    weights: Float[np.ndarray, "T L"]
    gate: Float[np.ndarray, " T"] | None
    grid: tuple[int, int]
    view: View | None
    score: float
    words: tuple[int | None, ...] = ()

    def __str__(self) -> str:
        return self.caption

    def maps(self) -> Float[np.ndarray, "T h w"]:
        """``α`` as one map for each word."""
        return self.weights.reshape(-1, *self.grid)

    def to_record(self, image: str = "") -> dict[str, Any]:
        """The caption as JSON has it: what ``course caption --alpha F.json`` writes for each picture.

        ``box`` is the part that was seen: left, upper, right, lower in unit coordinates of the upright picture.
        """
        box = None
        if self.view is not None:
            corners = self.view.to_picture(np.array([[0.0, 0.0], [1.0, 1.0]])).ravel()
            box = [round(float(value), 4) for value in corners]
        return {
            "image": image,
            "caption": self.caption,
            "tokens": list(self.tokens),
            "grid": list(self.grid),
            "box": box,
            "weights": [[round(float(value), DIGITS) for value in row] for row in self.weights],
            "gate": None if self.gate is None else [round(float(value), DIGITS) for value in self.gate],
        }


@dataclass(frozen=True, eq=False)
class Seen:
    """A picture as a captioner sees it: ``uint8`` of shape ``(side, side, 3)``, and which part of it that is."""

    pixels: np.ndarray
    view: View


class Captioner:
    """A stored captioner, ready to describe photographs.

    Args:
        stored: what `course_pkg.checkpoints.load` returns for a captioner.
        device: where to compute.

    Attributes:
        grid: rows and columns of the locations that it looks at.
        reads: the network of `course_pkg.features` whose features it reads; ``None`` if it sees by its own.

    Raises:
        CourseError: a model of text, or decoding settings that make no sense.
    """

    def __init__(self, stored: Stored, device: torch.device | str = "cpu") -> None:
        if stored.source is not None:
            raise CourseError("This model reads text, not pictures: use it to translate.")
        self.device = torch.device(device)
        self.model = stored.model.to(self.device).eval()
        self.target, self.config = stored.target, stored.config
        self.name = str(self.config.get("name", "unnamed"))
        described = self.config["model"]
        self.reads: str | None = described.get("features")
        self._network: features.FeatureNetwork | None = None
        if self.reads is not None:
            self.grid: tuple[int, int] = features.kind(self.reads).grid
            self.image_size = pictures.SIDE
        else:
            small = self.model.encoder.network
            self.grid, self.image_size = small.grid, small.size  # type: ignore[union-attr, assignment]
        self._require_decoding()

    def _require_decoding(self) -> None:
        beam, power = self.decoding["beam_size"], self.decoding["length_penalty"]
        if not (type(beam) is int and 1 <= beam <= WIDEST_BEAM and type(power) in (int, float)):
            raise CourseError(f"The decoding settings of {self.name} make no sense: mend its config.json.")

    @property
    def decoding(self) -> dict[str, Any]:
        """Beam size and length penalty that were fixed on the validation pictures."""
        return {"beam_size": 3, "length_penalty": 1.0, **self.config.get("decoding", {})}

    def caption(
        self,
        images: Sequence[Source | Seen],
        beam: int | None = None,
        length_penalty: float | None = None,
        *,
        progress: bool = False,
    ) -> list[Caption]:
        """Describe each picture by beam search; results in input order.

        Args:
            images: files, Pillow images or arrays, as `course_pkg.pictures.upright` accepts them; or what `see` gave.
            beam: beam width; the model's own choice if not given.
            length_penalty: exponent of the length that divides log p; likewise.
            progress: show a progress bar on stderr.

        Raises:
            CourseError: what is no picture, a beam that is not positive, or a model that computes NaN.
        """
        if isinstance(images, str | bytes | np.ndarray | Image.Image):
            raise CourseError("caption takes a list of pictures, not one picture: put it in brackets.")
        found: list[Caption] = []
        with tqdm(total=len(images), unit="picture", disable=not progress) as bar:
            for some in chunks(images, TOGETHER):
                several = [one if isinstance(one, Seen) else self.see(one) for one in some]
                encoded = self.encode_seen(several)
                found += self._described(encoded, [one.view for one in several], beam, length_penalty)
                bar.update(len(several))
        return found

    def caption_features(
        self,
        store: "features.FeatureStore",
        beam: int | None = None,
        length_penalty: float | None = None,
        *,
        rows: Sequence[int] | None = None,
        progress: bool = False,
    ) -> list[Caption]:
        """Describe pictures whose features are kept already, all or those in ``rows``; otherwise as `caption`.

        Raises:
            CourseError: features of another network.
        """
        found: list[Caption] = []
        batches = list(chunks(range(len(store)) if rows is None else rows, FEATURES_TOGETHER))
        for some in tqdm(batches, unit="batch", disable=not progress, leave=False):
            encoded = self.encode_features(store, some)
            found += self._described(encoded, [None] * len(some), beam, length_penalty)
        return found

    def see(self, image: Source) -> Seen:
        """What the model sees of a picture; all else of it can be forgotten.

        Raises:
            CourseError: what is no picture.
        """
        whole = pictures.upright(image)
        view = self.view(whole)
        if self.reads is not None:
            return Seen(view.pixels(whole), view)
        return Seen(np.array(whole.resize((self.image_size, self.image_size))), view)

    def encode(self, images: Sequence[Image.Image]) -> Encoded:
        """The annotations of upright pictures, as `course_pkg.pictures.upright` gives them."""
        return self.encode_seen([self.see(image) for image in images])

    @torch.inference_mode()
    def encode_features(self, store: "features.FeatureStore", rows: Sequence[int]) -> Encoded:
        """The annotations of pictures whose features are kept.

        Raises:
            CourseError: features of another network.
        """
        if self.reads != store.kind.name:
            raise CourseError(f"{self.name} reads features of {self.reads}, not of {store.kind.name}.")
        return self._encode_maps(*(values.float() for values in store.maps(rows)))

    @torch.inference_mode()
    def encode_seen(self, seen: Sequence[Seen]) -> Encoded:
        """The annotations of what `see` gave."""
        pixels = np.stack([one.pixels for one in seen])
        if self.reads is None:
            return self.model.encode(torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy()).to(self.device))
        if self._network is None:
            self._network = features.network(self.reads, self.device)
        ready = features.prepare(pixels).to(self.device, memory_format=torch.channels_last)
        return self._encode_maps(*self._network.maps(ready))

    def view(self, image: Image.Image) -> View:
        """What the model sees of an upright picture: all of it if its own small network does, else the middle."""
        return View.of(image.size, "squash" if self.reads is None else "crop")

    @torch.inference_mode()
    def _encode_maps(self, fine: Tensor, coarse: Tensor) -> Encoded:
        assert self.reads is not None
        return self.model.encode(features.unjoined(self.reads, fine.to(self.device), coarse.to(self.device)))

    @torch.inference_mode()
    def _described(
        self, encoded: Encoded, views: Sequence[View | None], beam: int | None, length_penalty: float | None
    ) -> list[Caption]:
        beam = self.decoding["beam_size"] if beam is None else beam
        power = self.decoding["length_penalty"] if length_penalty is None else length_penalty
        if beam > WIDEST_BEAM:
            raise CourseError(f"A beam of {beam} is too wide to be of use: choose one from 1 to {WIDEST_BEAM}.")
        found = beam_search(
            self.model.decoder,
            encoded,
            bos=BOS,
            eos=EOS,
            beam_size=beam,
            max_steps=LONGEST_CAPTION,
            length_penalty=power,
            forbid=(PAD, BOS, UNK),
        ).to("cpu")
        if not bool(found.scores[:, 0].isfinite().all()):
            raise CourseError(f"The model {self.name} computes numbers that are not finite: take another copy of it.")
        return [self._read(found, row, view) for row, view in enumerate(views)]

    def _read(self, found: Hypotheses, row: int, view: View | None) -> Caption:
        length = int(found.lengths[row, 0])
        written = self.target.generated(found.tokens[row, 0, :length].tolist())
        assert found.weights is not None
        gate = None if found.gate is None else found.gate[row, 0, :length].float().numpy()
        return Caption(
            caption=" ".join(self.target.decode(written.ids).split()),
            tokens=written.tokens,
            weights=found.weights[row, 0, :length].float().numpy(),
            gate=gate,
            grid=self.grid,
            view=view,
            score=float(found.scores[row, 0]),
            words=written.words,
        )

    def look(self, image: Source, caption: str) -> Caption:
        """Where the model looks while it is made to write ``caption`` (teacher forcing).

        Words that it does not know are UNK. The score is the caption's log p over its length.

        Raises:
            CourseError: no words.
        """
        seen = self.see(image)
        return self.forced(self.encode_seen([seen]), [caption], seen.view)[0]

    @torch.inference_mode()
    def forced(self, encoded: Encoded, captions: Sequence[str], view: View | None = None) -> list[Caption]:
        """As `look`, for several captions of one picture, given by its annotations.

        Raises:
            CourseError: a caption without words.
        """
        texts = [caption_words(caption) for caption in captions]
        pieces = self.target.encode_all(texts)
        if any(len(one) < 2 for one in pieces):
            raise CourseError("The caption has no words: write some.")
        inputs, targets, _ = (side.to(self.device) for side in target_side([one.ids for one in pieces]))
        alike = torch.zeros(len(pieces), dtype=torch.long, device=self.device)
        rollout = self.model.decoder(inputs, encoded.take(alike))
        log_probs = rollout.logits.float().log_softmax(-1).gather(-1, targets.unsqueeze(-1)).squeeze(-1)
        assert rollout.weights is not None
        found = []
        for row, (text, one) in enumerate(zip(texts, pieces, strict=True)):
            length = len(one)
            gate = None if rollout.gate is None else rollout.gate[row, :length].float().cpu().numpy()
            alpha = rollout.weights[row, :length].float().cpu().numpy()
            score = float(log_probs[row, :length].mean())
            found.append(Caption(text, one.tokens, alpha, gate, self.grid, view, score, one.words))
        return found
