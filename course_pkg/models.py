"""The course's models, put together from their parts by one builder each.

`rnn_encoder_decoder` (chapter 1) and `rnnsearch` (chapter 5) differ in what the decoder may look at, and in nothing
else. Their defaults are the configuration of Bahdanau et al. 2015, §A.2.3 and §B.1; those of `show_attend_tell`
(chapters 11 and 12) are that of Xu et al. 2015.
"""

from typing import final

import torch
from torch import Tensor, nn

from course_pkg.attention import (
    AdditiveScore,
    Attention,
    DotScore,
    GeneralScore,
    HardAttention,
    ScaledDotScore,
    Score,
    SoftAttention,
)
from course_pkg.batching import Batch, CaptionBatch
from course_pkg.caption_decoder import CaptionDecoder, CaptionOutput, FirstState
from course_pkg.decoders import AttentiveDecoder, Decoder, DeepOutput, PlainDecoder, Rollout
from course_pkg.encoders import (
    BiGRUEncoder,
    Encoded,
    FeatureMaps,
    GRUEncoder,
    ImageEncoder,
    SmallConvolutions,
    WordEmbedding,
)
from course_pkg.notation import CourseError
from course_pkg.recurrent import GatedRecurrentUnit, LongShortTermMemory
from course_pkg.vocabulary import BOS

__all__ = [
    "EncoderDecoder",
    "count_parameters",
    "initialise_as_paper",
    "rnn_encoder_decoder",
    "rnnsearch",
    "show_attend_tell",
]

UNITS = (GatedRecurrentUnit, LongShortTermMemory)


@final
class EncoderDecoder(nn.Module):
    """An encoder and a decoder, nothing more.

    Args:
        encoder: token ids and mask, or images, to `Encoded`.
        decoder: drives one step at a time or all at once.
    """

    def __init__(self, encoder: GRUEncoder | BiGRUEncoder | ImageEncoder, decoder: Decoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def encode(self, source: Tensor | FeatureMaps, mask: Tensor | None = None) -> Encoded:
        """Read a padded batch of sources: token ids, or images or their features."""
        return self.encoder(source, mask)

    def forward(self, batch: Batch | CaptionBatch) -> Rollout:
        """Teacher forcing over a batch."""
        return self.decoder(batch.inputs, self.encode(batch.source, batch.source_mask))


def count_parameters(model: nn.Module) -> int:
    """Number of trainable numbers; a shared tensor counts once."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def _score(name: str, query_size: int, annotation_size: int, alignment_size: int) -> Score:
    if name == "additive":
        return AdditiveScore(query_size, annotation_size, alignment_size)
    if name == "scaled-dot":
        return ScaledDotScore(query_size, annotation_size, alignment_size)
    if name == "general":
        return GeneralScore(query_size, annotation_size)
    if name == "dot":
        if query_size != annotation_size:
            raise CourseError(f"The dot score compares equal widths; query {query_size}, annotation {annotation_size}.")
        return DotScore()
    raise CourseError(f"score is {name!r}: choose additive, dot, scaled-dot or general.")


def _embeddings(
    source_vocabulary: int, target_vocabulary: int, size: int, dropout: float, share: bool
) -> tuple[WordEmbedding, WordEmbedding]:
    source = WordEmbedding(source_vocabulary, size, bos=BOS, dropout=dropout)
    if not share:
        return source, WordEmbedding(target_vocabulary, size, bos=BOS, dropout=dropout)
    if source_vocabulary != target_vocabulary:
        raise CourseError("Shared embeddings need one vocabulary for both sides.")
    return source, source


def rnnsearch(
    *,
    source_vocabulary: int,
    target_vocabulary: int,
    embedding_size: int = 620,
    state_size: int = 1000,
    alignment_size: int = 1000,
    maxout_size: int = 500,
    score: str = "additive",
    order: str = "main-text",
    reset: str = "before",
    bias: bool = True,
    share_embeddings: bool = False,
    tie_output: bool = False,
    embedding_dropout: float = 0.0,
    annotation_dropout: float = 0.0,
    output_dropout: float = 0.0,
) -> EncoderDecoder:
    """RNNsearch: a bidirectional encoder and a decoder that searches through it (Bahdanau et al. 2015; chapter 5).

    Args:
        source_vocabulary: ``K_x``.
        target_vocabulary: ``K_y``.
        embedding_size: ``E``, the paper's ``m``.
        state_size: ``H``, the paper's ``n``, of each direction and of the decoder.
        alignment_size: ``A``, the paper's ``n'``.
        maxout_size: the paper's ``l``.
        score: the alignment model; only ``"additive"`` is the paper's.
        order: see `AttentiveDecoder`.
        reset: see `course_pkg.recurrent`; ``"before"`` is the paper's.
        bias: the biases that the paper's formulas leave out (§A.2.1).
        share_embeddings: one embedding for both sides (not in the paper).
        tie_output: ``W_o`` is the target embedding (not in the paper).
        embedding_dropout: on embeddings (no dropout in the paper).
        annotation_dropout: on annotations.
        output_dropout: on the maxout units.
    """
    source, target = _embeddings(
        source_vocabulary, target_vocabulary, embedding_size, embedding_dropout, share_embeddings
    )
    encoder = BiGRUEncoder(
        source,
        GatedRecurrentUnit(embedding_size, state_size, reset=reset, bias=bias),
        GatedRecurrentUnit(embedding_size, state_size, reset=reset, bias=bias),
        dropout=annotation_dropout,
    )
    decoder = AttentiveDecoder(
        target,
        GatedRecurrentUnit(embedding_size, state_size, reset=reset, bias=bias),
        SoftAttention(_score(score, state_size, 2 * state_size, alignment_size)),
        DeepOutput(
            state_size,
            embedding_size,
            2 * state_size,
            maxout_size,
            target_vocabulary,
            bias=bias,
            dropout=output_dropout,
            tied=target.weight if tie_output else None,
        ),
        annotation_size=2 * state_size,
        summary_size=state_size,
        order=order,
        bias=bias,
    )
    return EncoderDecoder(encoder, decoder)


def rnn_encoder_decoder(
    *,
    source_vocabulary: int,
    target_vocabulary: int,
    embedding_size: int = 620,
    state_size: int = 1000,
    maxout_size: int = 500,
    reset: str = "before",
    bias: bool = True,
    share_embeddings: bool = False,
    tie_output: bool = False,
    embedding_dropout: float = 0.0,
    annotation_dropout: float = 0.0,
    output_dropout: float = 0.0,
) -> EncoderDecoder:
    """RNNencdec: the whole source in one vector (Cho et al. 2014; the baseline of Bahdanau et al. 2015; chapter 1).

    The special case ``c_i = →h_{T_x}`` of `rnnsearch` (§A.2.2). Arguments as there.
    """
    source, target = _embeddings(
        source_vocabulary, target_vocabulary, embedding_size, embedding_dropout, share_embeddings
    )
    encoder = GRUEncoder(
        source,
        GatedRecurrentUnit(embedding_size, state_size, reset=reset, bias=bias),
        dropout=annotation_dropout,
    )
    output = DeepOutput(
        state_size,
        embedding_size,
        state_size,
        maxout_size,
        target_vocabulary,
        bias=bias,
        dropout=output_dropout,
        tied=target.weight if tie_output else None,
    )
    unit = GatedRecurrentUnit(embedding_size, state_size, reset=reset, bias=bias)
    return EncoderDecoder(encoder, PlainDecoder(target, unit, output, context_size=state_size, bias=bias))


def show_attend_tell(
    *,
    target_vocabulary: int,
    feature_size: int = 512,
    annotation_size: int | None = None,
    embedding_size: int = 512,
    state_size: int = 1800,
    alignment_size: int = 512,
    attention: str = "soft",
    soft_share: float = 0.5,
    coin: str = "image",
    when_testing: str = "expected",
    gate: bool = True,
    bias: bool = True,
    attention_layers: int = 1,
    first_state_layers: int = 1,
    output_tanh: bool = False,
    tie_output: bool = False,
    normalise_features: bool = False,
    network: nn.Module | str | None = None,
    frozen: bool = False,
    image_size: int = 224,
    grid: int = 14,
    embedding_dropout: float = 0.0,
    annotation_dropout: float = 0.0,
    state_dropout: float = 0.0,
    output_dropout: float = 0.0,
) -> EncoderDecoder:
    """Show, Attend and Tell: a captioner that looks at the image before each word (Xu et al. 2015; chapters 11, 12).

    The defaults are the equations of the paper. The released code's configuration is ``attention_layers=2``,
    ``first_state_layers=2``, ``output_tanh=True``, dropout of 0.5 on state and output, and for hard attention
    ``coin="minibatch"`` (D9 to D12 on the page "Papers and code"). The paper uses dropout without saying where.

    Args:
        target_vocabulary: ``K``; the paper's is 10,000.
        feature_size: width of the features at each location; VGG's is 512.
        annotation_size: ``D``, to which the features are projected; ``None``, the paper's: the features themselves.
        embedding_size: ``E``, the paper's ``m``; 512 in the released configuration.
        state_size: ``H``, the paper's ``n``; 1800 in the released configuration.
        alignment_size: ``A``, the hidden layer of ``f_att``.
        attention: ``"soft"`` (§4.2) or ``"hard"`` (§4.1).
        soft_share: hard attention's, see `HardAttention`.
        coin: likewise.
        when_testing: likewise. By the paper's ``φ`` a look is drawn, and testing is not mentioned; the code's default
            is expected.
        gate: the scalar ``β`` (§4.2.1).
        bias: biases that the paper's formulas leave out.
        attention_layers: layers on the annotations, see `AdditiveScore`.
        first_state_layers: see `FirstState`.
        output_tanh: see `CaptionOutput`.
        tie_output: ``L_o`` is the word embedding (not in the paper).
        normalise_features: layer normalisation of the features (not in the paper).
        network: what makes features of images; ``"small"``: `SmallConvolutions`, trained along; ``None``: the model
            is given features.
        frozen: whether the network keeps its weights.
        image_size: of ``"small"``, in pixels.
        grid: of ``"small"``; ``L`` is its square.
        embedding_dropout: on the words' embeddings.
        annotation_dropout: on the annotations.
        state_dropout: on the state, for the output alone.
        output_dropout: on what ``L_o`` is given.

    Raises:
        CourseError: an unknown choice, or sizes that do not fit.
    """
    if network == "small":
        network = SmallConvolutions(size=image_size, grid=grid, feature_size=feature_size)
    if isinstance(network, str):
        raise CourseError(f"network is {network!r}: choose small, or none and give the model features.")
    encoder = ImageEncoder(
        network,
        feature_size=feature_size,
        annotation_size=annotation_size,
        normalise=normalise_features,
        dropout=annotation_dropout,
        frozen=frozen,
    )
    width = encoder.annotation_size
    embedding = WordEmbedding(target_vocabulary, embedding_size, bos=BOS, dropout=embedding_dropout)
    score = AdditiveScore(state_size, width, alignment_size, bias=bias, layers=attention_layers)
    output = CaptionOutput(
        state_size,
        embedding_size,
        width,
        target_vocabulary,
        bias=bias,
        tanh=output_tanh,
        state_dropout=state_dropout,
        dropout=output_dropout,
        tied=embedding.weight if tie_output else None,
    )
    decoder = CaptionDecoder(
        embedding,
        LongShortTermMemory(embedding_size, state_size, bias=bias),
        _attention(attention, score, soft_share, when_testing, coin),
        output,
        FirstState(width, state_size, bias=bias, layers=first_state_layers),
        annotation_size=width,
        gate=gate,
        bias=bias,
    )
    return EncoderDecoder(encoder, decoder)


def _attention(name: str, score: Score, soft_share: float, when_testing: str, coin: str) -> Attention:
    if name == "soft":
        return SoftAttention(score)
    if name == "hard":
        return HardAttention(score, soft_share=soft_share, when_testing=when_testing, coin=coin)
    raise CourseError(f"attention is {name!r}: choose soft or hard.")


@torch.no_grad()
def initialise_as_paper(model: EncoderDecoder, *, seed: int) -> EncoderDecoder:
    """The initialisation of Bahdanau et al. 2015, §B.1 ``U, W_a, v_a``, in place.

    Recurrent matrices are orthogonal (each gate's on its own), ``W_a`` and ``U_a`` come from N(0, 0.001²),
    ``v_a`` and the biases are 0, the rest comes from N(0, 0.01²). Since ``v_a = 0``, α starts uniform.

    Xu et al. 2015 state none. For `show_attend_tell` it is the released code's: recurrent matrices are orthogonal,
    biases are 0, the rest comes from N(0, 0.01²). (The code also makes its other square matrices orthogonal.) The
    network that makes the features and the layer normalisation stay as they are.
    """
    generator = torch.Generator().manual_seed(seed)
    captions = isinstance(model.decoder, CaptionDecoder)
    recurrent = {id(unit.weight_hh): unit for unit in model.modules() if isinstance(unit, UNITS)}
    for name, parameter in model.named_parameters():
        if captions and name.startswith(("encoder.network.", "encoder.norm.")):
            continue
        if id(parameter) in recurrent:
            for gate in parameter.split(recurrent[id(parameter)].state_size):
                gate.copy_(_orthogonal(gate.shape[0], generator))
        elif "bias" in name or (name.endswith("v_a") and not captions):
            parameter.zero_()
        else:
            narrow = name.endswith(("W_a.weight", "U_a.weight")) and not captions
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * (0.001 if narrow else 0.01))
    return model


def _orthogonal(size: int, generator: torch.Generator) -> Tensor:
    """The ``U`` factor of a Gaussian matrix's singular value decomposition, as GroundHog makes it."""
    return torch.linalg.svd(torch.randn(size, size, generator=generator))[0]
