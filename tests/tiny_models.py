"""Model folders for the tests of inference, evaluation and the command line: small, and made on the spot."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from course_pkg import toy
from course_pkg.attention import Glimpse, Memory
from course_pkg.checkpoints import Stored, build, save
from course_pkg.decoders import Decoder, Rollout, State, Step
from course_pkg.encoders import Encoded, GRUEncoder, WordEmbedding
from course_pkg.models import EncoderDecoder, count_parameters
from course_pkg.recurrent import GatedRecurrentUnit
from course_pkg.vocabulary import BOS, EOS, SubwordVocabulary, Vocabulary, WordVocabulary

SIZES: dict[str, Any] = {"embedding_size": 8, "state_size": 12, "maxout_size": 8}
LOOKS = {"architecture": "rnnsearch", "alignment_size": 8, **SIZES}
BLIND = {"architecture": "rnn_encoder_decoder", **SIZES}
SEES: dict[str, Any] = {
    "architecture": "show_attend_tell",
    "feature_size": 6,
    "annotation_size": 10,
    "embedding_size": 8,
    "state_size": 12,
    "alignment_size": 8,
}
SEES_IMAGES = {**SEES, "feature_size": 8, "network": "small", "image_size": 32, "grid": 4}


@cache
def vocabulary(kind: type[Vocabulary], size: int = 300) -> Vocabulary:
    pairs = toy.pairs(100, seed=5, max_words=12)
    return kind.train([text for pair in pairs for text in (pair.source, pair.target)], size=size)


def stored(
    description: dict[str, Any], words: Vocabulary | None = None, *, name: str = "tiny", ends: float = 3.0
) -> Stored:
    """Random weights large enough that no two tokens come close, and a taste for EOS, so that sentences end."""
    words = words or vocabulary(SubwordVocabulary)
    generator = torch.Generator().manual_seed(7)
    model = build(description, source_vocabulary=len(words), target_vocabulary=len(words))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.7)
        model.decoder.output.W_o.bias[EOS] += ends
    return Stored(model.eval(), words, words, configuration(name, description, count_parameters(model)))


def captioner(
    description: dict[str, Any] = SEES, words: Vocabulary | None = None, *, name: str = "tiny", ends: float = 5.0
) -> Stored:
    """The same for pictures: features (B, L, 6), or images (B, 3, 32, 32) if it is `SEES_IMAGES`."""
    words = words or vocabulary(SubwordVocabulary)
    generator = torch.Generator().manual_seed(7)
    model = build(description, target_vocabulary=len(words))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.7)
        model.decoder.output.L_o.bias[EOS] += ends
    settings = configuration(name, description, count_parameters(model))
    return Stored(model.eval(), None, words, {**settings, "task": "captioning", "languages": ["en"]})


def configuration(name: str, description: dict[str, Any], parameters: int) -> dict[str, Any]:
    return {
        "name": name,
        "task": "translation",
        "languages": ["en", "fr"],
        "model": description,
        "parameters": parameters,
        "decoding": {"beam_size": 3, "length_penalty": 1.0},
    }


def folder(parent: Path, name: str, description: dict[str, Any]) -> Path:
    save(parent / name, stored(description, name=name))
    return parent / name


def captioner_folder(
    parent: Path, name: str, description: dict[str, Any] = SEES_IMAGES, words: Vocabulary | None = None
) -> Path:
    """A stored captioner that sees by its own small network."""
    save(parent / name, captioner(description, words, name=name))
    return parent / name


def noise(seed: int, width: int = 32, height: int = 32) -> Image.Image:
    """A picture of random pixels."""
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


class Scripted(Decoder):
    """Writes the given tokens with near certainty, looking where it is told, whatever the source and the input.

    ``preferences[i]`` lists tokens for step ``i``, best first, each e^50 times as likely as the next;
    ``looks[i]`` is row ``i`` of α. The last entry repeats.
    """

    def __init__(self, size: int, preferences: list[list[int]], looks: list[list[float]]) -> None:
        super().__init__()
        self.size = size
        self.preferences = preferences
        self.looks = torch.tensor(looks)

    def start(self, encoded: Encoded) -> tuple[Memory, State]:
        memory = Memory(encoded.annotations, encoded.annotations, encoded.mask)
        return memory, State(torch.zeros(encoded.mask.shape[0], 1))

    def step(self, token: Tensor, state: State, memory: Memory) -> Step:
        at = int(state.hidden[0, 0])
        logits = torch.zeros(token.shape[0], self.size)
        ranked = self.preferences[min(at, len(self.preferences) - 1)]
        for place, wanted in enumerate(ranked):
            logits[:, wanted] = 50.0 * (len(ranked) - place)
        row = self.looks[min(at, len(self.looks) - 1)]
        weights = torch.zeros(memory.mask.shape)
        seen = min(len(row), weights.shape[1])  # the translator's probe has one position
        weights[:, :seen] = row[:seen]
        context = (weights.unsqueeze(-1) * memory.annotations).sum(dim=1)
        return Step(logits, State(state.hidden + 1), Glimpse(context, weights, weights, None))

    def forward(self, inputs: Tensor, encoded: Encoded) -> Rollout:
        memory, state = self.start(encoded)
        logits, weights = [], []
        for token in inputs.unbind(1):
            step = self.step(token, state, memory)
            state = step.state
            logits.append(step.logits)
            weights.append(step.glimpse.weights)
        return Rollout(torch.stack(logits, dim=1), torch.stack(weights, dim=1))


def scripted(words: Vocabulary, preferences: list[list[int]], looks: list[list[float]]) -> Stored:
    """A model around `Scripted`; the encoder is a real one of width 2."""
    embedding = WordEmbedding(len(words), 2, bos=BOS)
    encoder = GRUEncoder(embedding, GatedRecurrentUnit(2, 2))
    model = EncoderDecoder(encoder, Scripted(len(words), preferences, looks)).eval()
    return Stored(model, words, words, configuration("scripted", {}, 0))


def uniform(stored_model: Stored) -> Stored:
    """The same model with every parameter 0: each token is as likely as any other."""
    with torch.no_grad():
        for parameter in stored_model.model.parameters():
            parameter.zero_()
    return stored_model


class Poisoned(nn.Module):
    """A model that must not be called."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the model was asked for {name}")


def words_of(*texts: str) -> WordVocabulary:
    """A vocabulary of exactly these words."""
    return WordVocabulary.train(texts, size=1000)
