"""What a model costs: multiply-adds by formula, operations counted while they happen, bytes kept for backward, waiting.

A formula has four terms, and which term a piece belongs to is all that matters for long sentences: what happens
once, once for each source word, once for each step, and once for each *pair* of source word and step. Chapter 10.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

__all__ = [
    "PAPER",
    "Cost",
    "Saved",
    "Sizes",
    "additive_attention_cost",
    "count_operations",
    "longest_chain",
    "rnn_encoder_decoder_cost",
    "rnnsearch_cost",
    "saved_for_backward",
]


@dataclass(frozen=True)
class Sizes:
    """The widths of a model, by default those of Bahdanau et al. 2015, §A.2.3.

    Attributes:
        state: ``H``, the paper's ``n``, of each direction and of the decoder.
        alignment: ``A``, the paper's ``n'``.
        embedding: ``E``, the paper's ``m``.
        maxout: the paper's ``l``.
        vocabulary: ``V``, words of the target vocabulary.
    """

    state: int = 1000
    alignment: int = 1000
    embedding: int = 620
    maxout: int = 500
    vocabulary: int = 30000


PAPER = Sizes()
"""The sizes of Bahdanau et al. 2015."""


@dataclass(frozen=True)
class Cost:
    """Multiply-adds for a sentence pair: ``once + source·T_x + step·T_y + pair·T_x·T_y``.

    ``cost(T_x, T_y)`` is the number itself; costs can be added.

    Attributes:
        once: whatever the lengths.
        source: for each source word, once a sentence.
        step: for each target step.
        pair: for each pair of source word and target step.
    """

    once: int = 0
    source: int = 0
    step: int = 0
    pair: int = 0

    def __call__(self, T_x: int, T_y: int) -> int:
        """Multiply-adds for ``T_x`` source words and ``T_y`` steps, padding included."""
        return self.once + self.source * T_x + self.step * T_y + self.pair * T_x * T_y

    def __add__(self, other: "Cost") -> "Cost":
        """The cost of both."""
        return Cost(self.once + other.once, self.source + other.source, self.step + other.step, self.pair + other.pair)


def additive_attention_cost(sizes: Sizes = PAPER, *, keys_once: bool = True) -> Cost:
    """``2nn'·T_x + nn'·T_y + (n' + 2n)·T_x·T_y`` (Bahdanau et al. 2015, §A.1.2; derived in chapter 10).

    Args:
        sizes: the widths.
        keys_once: whether ``U_a h_j`` is computed once a sentence, as here and in the paper, or in every step anew.
    """
    n, n_a = sizes.state, sizes.alignment
    keys = 2 * n * n_a
    return Cost(
        source=keys if keys_once else 0,
        step=n * n_a,  # W_a s_{i-1}
        pair=n_a + 2 * n + (0 if keys_once else keys),  # v_aᵀ tanh(·), and a term of c_i
    )


def rnnsearch_cost(sizes: Sizes = PAPER) -> dict[str, Cost]:
    """Multiply-adds of each part of `course_pkg.models.rnnsearch`, biases and entry-by-entry products aside.

    ``"encoder"`` reads in both directions; ``"attention"`` looks; ``"decoder"`` makes ``s_0`` and updates the
    state; ``"output"`` is the maxout layer; ``"vocabulary"`` is ``W_o``.
    """
    n, m, l = sizes.state, sizes.embedding, sizes.maxout
    return {
        "encoder": Cost(source=2 * 3 * n * (m + n)),
        "attention": additive_attention_cost(sizes),
        "decoder": Cost(once=n * n, step=3 * n * (m + n + 2 * n)),
        "output": Cost(step=2 * l * (n + m + 2 * n)),
        "vocabulary": Cost(step=l * sizes.vocabulary),
    }


def rnn_encoder_decoder_cost(sizes: Sizes = PAPER) -> dict[str, Cost]:
    """Multiply-adds of each part of `course_pkg.models.rnn_encoder_decoder`; no term has both lengths in it."""
    n, m, l = sizes.state, sizes.embedding, sizes.maxout
    return {
        "encoder": Cost(source=3 * n * (m + n)),
        "decoder": Cost(once=n * n + 3 * n * n, step=3 * n * (m + n)),  # s_0, and c into the gates
        "output": Cost(step=2 * l * (n + m + n)),
        "vocabulary": Cost(step=l * sizes.vocabulary),
    }


class _Counter(TorchDispatchMode):
    """Sees every operation below autograd; matrix products in whatever form they arrive."""

    def __init__(self) -> None:
        super().__init__()
        self.counts = {"multiply_adds": 0, "tanh": 0, "exp": 0}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if name in ("mm", "bmm", "mv", "dot"):
            self.counts["multiply_adds"] += result.numel() * args[0].shape[-1]
        elif name in ("addmm", "addmv", "baddbmm"):
            self.counts["multiply_adds"] += result.numel() * args[1].shape[-1]
        elif name == "tanh":
            self.counts["tanh"] += result.numel()
        elif name in ("_softmax", "_log_softmax", "exp"):
            self.counts["exp"] += result.numel()
        return result


def count_operations(function: Callable[..., object], *arguments: Any, **named: Any) -> dict[str, int]:
    """Call a function with the arguments that follow and count, while they happen, the operations of every tensor.

    It reads the shapes of what is really multiplied, so it cannot share a mistake with the formulas. On the device
    "meta" nothing is computed, and a model of any size is counted at once.

    Returns:
        ``multiply_adds`` of all matrix products, entries that went through ``tanh``, entries that went through
        ``exp`` (inside softmax).
    """
    with _Counter() as counter:
        function(*arguments, **named)
    return counter.counts


_PRODUCTS = ("Mm", "Addmm", "Bmm", "Baddbmm", "Mv", "Addmv", "Dot", "Linear")


def longest_chain(result: Tensor) -> int:
    """The most matrix products that had to wait for each other before a tensor was there; chapter 14.

    It is read off autograd's graph, where every result knows what it was made of: the longest way back, on which each
    matrix product counts 1 and PyTorch's scaled dot-product attention, which holds two, counts 2. With a processor for
    everything that is ready, the time could not be shorter than this many products one after the other. An operation
    with a backward pass of its own hides what is inside: set `AttentiveDecoder.bptt` to False before.

    Args:
        result: what was computed with gradients on; 0 for a tensor that nothing was computed for.
    """
    lengths: dict[Any, int] = {}
    stack = [(result.grad_fn, False)]
    while stack:
        node, ready = stack.pop()
        if node is None or node in lengths:
            continue
        before = [earlier for earlier, _ in node.next_functions if earlier is not None]
        if ready:
            name = node.name().removesuffix("0").removesuffix("Backward")
            own = 2 if name.startswith("ScaledDotProduct") else int(name in _PRODUCTS)
            lengths[node] = own + max((lengths[earlier] for earlier in before), default=0)
        else:
            stack.append((node, True))
            stack += [(earlier, False) for earlier in before]
    return lengths.get(result.grad_fn, 0)


@dataclass
class Saved:
    """What autograd keeps for the backward pass.

    Attributes:
        bytes: of all storages, each counted once however many views of it are kept.
    """

    bytes: int = 0
    _storages: dict[int, Any] = field(default_factory=dict, repr=False)


@contextmanager
def saved_for_backward(ignore: Iterable[Tensor] = ()) -> Iterator[Saved]:
    """Count the bytes that the forward pass inside the ``with`` block keeps for the backward pass.

    Args:
        ignore: tensors that would be there anyhow, such as ``model.parameters()``.
    """
    saved = Saved()
    known = {tensor.untyped_storage()._cdata for tensor in ignore}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in known and storage._cdata not in saved._storages:
            saved._storages[storage._cdata] = storage  # held, so that its place is not given to another
            saved.bytes += storage.nbytes()
        return tensor.detach()  # a result that held itself would never be freed

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield saved
