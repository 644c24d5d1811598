"""Where attention stands: after the recurrence, or instead of it; inside it is `AttentiveDecoder`.

A look that needs no earlier look can be taken for all steps at once. That is what one call of a library's attention
layer does, and why such a layer stands where no recurrence waits for it. Chapter 14.
"""

import math
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from course_pkg.attention import AdditiveScore, Attention, Memory, ScaledDotScore, SoftAttention, masked_softmax
from course_pkg.decoders import Decoder, DeepOutput, Rollout, State, Step
from course_pkg.encoders import BiGRUEncoder, Encoded, WordEmbedding
from course_pkg.models import EncoderDecoder
from course_pkg.notation import CourseError
from course_pkg.recurrent import GatedRecurrentUnit
from course_pkg.vocabulary import BOS

__all__ = ["PLACES", "AttentionAfter", "AttentionInstead", "look_at_once", "place_attention", "positions"]

PLACES = ("after", "instead")


def look_at_once(
    attention: Attention, queries: Float[Tensor, "B T Q"], memory: Memory
) -> tuple[Float[Tensor, "B T D"], Float[Tensor, "B T S"]]:
    """The looks of all steps at once, contexts and weights: what one call of Keras' attention layers computes.

    It is the same as a loop over the steps, if no query depends on an earlier look. Chapter 14.

    Args:
        attention: whose score compares; soft, whatever it would draw.
        queries: one for each step.
        memory: what may be looked at.
    """
    steps = queries.shape[1]
    scores = attention.score(queries.flatten(0, 1), memory.keys.repeat_interleave(steps, dim=0))
    weights = masked_softmax(scores.unflatten(0, (-1, steps)), memory.mask.unsqueeze(1).expand(-1, steps, -1))
    return weights @ memory.annotations, weights


def positions(count: int, width: int, *, like: Tensor) -> Float[Tensor, "T E"]:
    """Sines and cosines that tell the places 0, 1, … apart (Vaswani et al. 2017, §3.5); sines first, then cosines.

    The paper puts sine and cosine of one frequency side by side, which is the same up to the order of the entries.

    Args:
        count: how many places.
        width: how many numbers for each; even.
        like: a tensor of the wanted device and type.
    """
    rates = torch.arange(0, width, 2, device=like.device, dtype=like.dtype) * (-math.log(10_000) / width)
    angles = torch.arange(count, device=like.device, dtype=like.dtype).unsqueeze(1) * rates.exp()
    return torch.cat([angles.sin(), angles.cos()], dim=1)


@final
class AttentionAfter(Decoder):
    """Attention after the recurrence: ``s_i = f(s_{i-1}, y_{i-1})``, then ``α_i`` from ``s_i``, then the output.

    The context never re-enters the recurrence, and the query is the *finished* state. The place that attention has in
    the layer of the public package attention_keras; Luong et al. 2015 look from ``s_i`` as well, but their input
    feeding (§3.3) lets what was seen re-enter. Chapter 14.

    Args:
        embedding: the target's word embedding, width ``E``.
        unit: a recurrent unit from ``E`` to ``H``.
        attention: how to look; its query has width ``H``.
        output: the deep output layer.
        summary_size: width of the encoder's summary, of which ``s_0`` is made.
    """

    def __init__(
        self,
        embedding: WordEmbedding,
        unit: GatedRecurrentUnit,
        attention: SoftAttention,
        output: DeepOutput,
        *,
        summary_size: int,
    ) -> None:
        super().__init__()
        self.embedding = embedding
        self.unit = unit
        self.attention = attention
        self.output = output
        self.W_s = nn.Linear(summary_size, unit.state_size)

    def start(self, encoded: Encoded) -> tuple[Memory, State]:
        """The annotations with their keys, and ``s_0 = tanh(W_s ←h_1 + b)``."""
        memory = self.attention.remember(encoded.annotations, encoded.mask)
        return memory, State(torch.tanh(self.W_s(encoded.summary)))

    def step(self, token: Int[Tensor, " B"], state: State, memory: Memory) -> Step:
        """Update, look with the new state, generate."""
        embedded = self.embedding(token)
        hidden = self.unit.update(self.unit.gates(embedded), state.hidden)
        glimpse = self.attention(hidden, memory)
        return Step(self.output(hidden, embedded, glimpse.context), State(hidden), glimpse)

    def forward(self, inputs: Int[Tensor, "B T"], encoded: Encoded) -> Rollout:
        """Teacher forcing: first all states, one after the other, then all looks at once."""
        memory, state = self.start(encoded)
        embedded = self.embedding(inputs)
        states = self.unit(embedded, state.hidden)
        contexts, weights = look_at_once(self.attention, states, memory)
        return Rollout(self.output(states, embedded, contexts), weights)


@final
class AttentionInstead(Decoder):
    """Attention instead of the recurrence: what takes the state's place looks back at all words so far.

    ``u_i = E y_{i-1} + p_i``; ``m_i`` is scaled dot-product attention (Vaswani et al. 2017, eq. 1) from ``u_i`` to
    ``u_1, …, u_i``, with one head; ``s_i = tanh(W u_i + M m_i + b)``; then the look at the source and the output are
    those of `AttentionAfter`. Under teacher forcing no step waits for another. This is one layer of a Transformer's
    decoder at its barest: no second head, no residual path, no normalisation, no feed-forward layer. Chapter 14.

    In `step`, ``State.hidden`` holds ``u_1, …, u_i`` side by side, shape ``(B, i·E)``: what a recurrence would have
    condensed into one vector is kept whole, and grows.

    Args:
        embedding: the target's word embedding, width ``E``, even.
        attention: how to look at the source; its query has width ``state_size``.
        output: the deep output layer.
        state_size: ``H``, width of ``s_i`` and of queries, keys and values of the look back.

    Raises:
        CourseError: an embedding of odd width.
    """

    def __init__(
        self, embedding: WordEmbedding, attention: SoftAttention, output: DeepOutput, *, state_size: int
    ) -> None:
        super().__init__()
        width = embedding.weight.shape[1]
        if width % 2:
            raise CourseError(f"The embedding has {width} numbers: sines and cosines of positions need an even width.")
        self.embedding = embedding
        self.attention = attention
        self.output = output
        self.look_back = nn.Linear(width, 3 * state_size, bias=False)
        self.W = nn.Linear(width, state_size)
        self.M = nn.Linear(state_size, state_size, bias=False)

    def start(self, encoded: Encoded) -> tuple[Memory, State]:
        """The annotations with their keys, and no words so far."""
        memory = self.attention.remember(encoded.annotations, encoded.mask)
        return memory, State(encoded.annotations.new_zeros(len(encoded.mask), 0))

    def step(self, token: Int[Tensor, " B"], state: State, memory: Memory) -> Step:
        """Add a word to those so far, look back at them and at the source, generate."""
        embedded = self.embedding(token)
        width = embedded.shape[1]
        place = state.hidden.shape[1] // width
        latest = embedded + positions(place + 1, width, like=embedded)[place]
        so_far = torch.cat([state.hidden.unflatten(1, (place, width)), latest.unsqueeze(1)], dim=1)
        seen = self._states(so_far)[:, -1]
        glimpse = self.attention(seen, memory)
        return Step(self.output(seen, embedded, glimpse.context), State(so_far.flatten(1)), glimpse)

    def forward(self, inputs: Int[Tensor, "B T"], encoded: Encoded) -> Rollout:
        """Teacher forcing, without a loop."""
        memory, _ = self.start(encoded)
        embedded = self.embedding(inputs)
        states = self._states(embedded + positions(*embedded.shape[1:], like=embedded))
        contexts, weights = look_at_once(self.attention, states, memory)
        return Rollout(self.output(states, embedded, contexts), weights)

    def _states(self, u: Tensor) -> Tensor:
        query, key, value = self.look_back(u).chunk(3, dim=-1)
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        return torch.tanh(self.W(u) + self.M(mixed))


def place_attention(
    place: str,
    *,
    source_vocabulary: int,
    target_vocabulary: int,
    embedding_size: int,
    state_size: int,
    decoder_size: int,
    alignment_size: int,
    maxout_size: int,
) -> EncoderDecoder:
    """A model like `course_pkg.models.rnnsearch`, with attention in another place (chapter 14).

    After the recurrence the score is the additive one; instead of it the scaled dot product, so that all looks together
    are two matrix products.

    Args:
        place: ``"after"`` (`AttentionAfter`) or ``"instead"`` (`AttentionInstead`) of the decoder's recurrence.
        source_vocabulary: ``K_x``.
        target_vocabulary: ``K_y``.
        embedding_size: ``E``.
        state_size: ``H`` of each direction of the encoder.
        decoder_size: ``H`` of the decoder; a wider one makes up for the parameters that the place saves.
        alignment_size: ``A``.
        maxout_size: the paper's ``l``.

    Raises:
        CourseError: another place.
    """
    if place not in PLACES:
        raise CourseError(f"place is {place!r}: choose after or instead; inside the recurrence it is rnnsearch.")
    source, target = (WordEmbedding(size, embedding_size, bos=BOS) for size in (source_vocabulary, target_vocabulary))
    encoder = BiGRUEncoder(source, *(GatedRecurrentUnit(embedding_size, state_size) for _ in range(2)))
    score = (AdditiveScore if place == "after" else ScaledDotScore)(decoder_size, 2 * state_size, alignment_size)
    attention = SoftAttention(score)
    output = DeepOutput(decoder_size, embedding_size, 2 * state_size, maxout_size, target_vocabulary)
    if place == "instead":
        return EncoderDecoder(encoder, AttentionInstead(target, attention, output, state_size=decoder_size))
    unit = GatedRecurrentUnit(embedding_size, decoder_size)
    return EncoderDecoder(encoder, AttentionAfter(target, unit, attention, output, summary_size=state_size))
