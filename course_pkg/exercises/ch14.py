"""Checks of chapter 14: the additive line by hand and in tensors, and all looks without a loop."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from course_pkg.exercises.registry import Finding, exercise, right, wrong

_NOTHING = "the function returns nothing yet", "end it with `return`, and your result."


def _near(a: Tensor, b: Tensor, tolerance: float = 1e-5) -> bool:
    return a.shape == b.shape and bool(torch.allclose(a.double(), b.double(), rtol=0, atol=tolerance))


# -- two keys, by hand ------------------------------------------------------------------------------------------------

# The query is (1, 0), the keys are (0, 1) and (1, 0).
_UNLIKE, _LIKE = 2 * math.tanh(1), math.tanh(2)
_FIRST = 1 / (1 + math.exp(_LIKE - _UNLIKE))
_DOT = 1 / (1 + math.exp(1))


@exercise("14.two_keys", "the additive weights of two keys")
def _two_keys(answer: Any) -> Iterator[Finding]:
    """Two weights: of the key (0, 1), which is unlike the query, and of (1, 0), which equals it."""
    found = torch.as_tensor(answer, dtype=torch.float64).flatten()
    if found.numel() != 2:
        yield wrong(f"there are {found.numel()} numbers", "give two: the weight of (0, 1), then that of (1, 0).")
    first, second = found.tolist()

    def is_(wanted: float) -> bool:
        return abs(first - wanted) < 0.006 and abs(first + second - 1) < 0.006

    if abs(first - _UNLIKE) < 0.006 and abs(second - _LIKE) < 0.006:
        yield wrong("these are the energies", "a softmax makes weights of them.")
    elif is_(_DOT) or is_(1 - _DOT):
        yield wrong("these are the weights of the dot product", "add query and key, apply tanh, then sum.")
    elif is_(1 - _FIRST):
        yield wrong("the two are exchanged", "the larger energy is not that of the key which equals the query.")
    elif is_(0.5):
        yield wrong("the two weights are equal", "tanh comes before the sum: 2 tanh 1 is not tanh 2.")
    elif abs(first + second - 1) > 0.02:
        yield wrong(f"they sum to {first + second:.2f}", "divide each power by the sum of both.")
    elif not is_(_FIRST):
        yield wrong("the weights are not right", "energies: tanh 1 + tanh 1, and tanh 2 + tanh 0.")
    yield right("the key that equals the query gets the smaller weight")


# -- the line, in tensors ---------------------------------------------------------------------------------------------


def _case(seed: int = 14) -> dict[str, Tensor]:
    """Two sentences of three queries and four values of another width than the keys; every size differs."""
    g = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=g, dtype=torch.float64)

    return {
        "query": normal(2, 3, 5),
        "value": normal(2, 4, 6),
        "key": normal(2, 4, 5),
        "scale": normal(5),
        "query_mask": torch.tensor([[True, True, True], [True, True, False]]),
        "value_mask": torch.tensor([[True, True, True, True], [True, True, True, False]]),
    }


def _line(
    query: Tensor, value: Tensor, key: Tensor, scale: Tensor, query_mask: Tensor, value_mask: Tensor
) -> tuple[Tensor, Tensor]:
    energies = torch.tanh(query.unsqueeze(2) + key.unsqueeze(1)) @ scale
    weights = (energies - 1e9 * (~value_mask).unsqueeze(1)).softmax(-1)
    return (weights @ value) * query_mask.unsqueeze(2), weights


@exercise("14.line", "Keras's AdditiveAttention in tensors")
def _additive(answer: Callable[..., Any]) -> Iterator[Finding]:
    """``line(query, value, key, scale, query_mask, value_mask)``: outputs and weights."""
    case = _case()
    returned = answer(**case)
    if returned is None or returned is Ellipsis:
        yield wrong(*_NOTHING)
    if not isinstance(returned, tuple | list) or len(returned) != 2:
        yield wrong("it does not return two tensors", "outputs first, then weights.")
    output, weights = (torch.as_tensor(one) for one in returned)
    if tuple(output.shape) == (2, 3, 4) and tuple(weights.shape) == (2, 3, 6):
        yield wrong("outputs and weights are exchanged", "outputs first, then weights.")
    if tuple(weights.shape) != (2, 3, 4):
        hint = "one row for each query, one column for each value: (2, 3, 4) here."
        yield wrong(f"the weights have the shape {tuple(weights.shape)}", hint)
    if tuple(output.shape) != (2, 3, 6):
        hint = "one vector as wide as a value for each query: (2, 3, 6) here."
        yield wrong(f"the outputs have the shape {tuple(output.shape)}", hint)
    yield right("outputs and weights of the right shapes")
    yield from _weights_of_the_line(weights, case)
    yield from _output_of_the_line(output, case)


def _weights_of_the_line(found: Tensor, case: dict[str, Tensor]) -> Iterator[Finding]:
    _, wanted = _line(**case)
    everywhere = torch.ones_like(case["value_mask"])
    q, k, scale = case["query"].unsqueeze(2), case["key"].unsqueeze(1), case["scale"]
    hidden = ~case["value_mask"].unsqueeze(1)

    def of(energies: Tensor) -> Tensor:
        return energies.masked_fill(hidden, -torch.inf).softmax(-1)

    if not _near(found.sum(-1), torch.ones(2, 3)):
        if _near(found * case["query_mask"].unsqueeze(2), found) and _near(found[:, :2].sum(-1), torch.ones(2, 2)):
            yield wrong("the query mask is in the weights", "Keras zeroes outputs alone; the returned weights stay.")
        hint = "softmax over the last axis, and the value mask before it."
        yield wrong("the weights of a query do not sum to 1", hint)
    if _near(found, _line(**{**case, "value_mask": everywhere})[1]):
        yield wrong(
            "the value mask changes nothing", "lower the energies of masked values far enough before the softmax."
        )
    elif _near(found, of(torch.tanh(scale * (q + k)).sum(-1))):
        yield wrong("the scale is inside the tanh", 'that is what Attention with "concat" does; here it is outside.')
    elif _near(found, of(torch.tanh(q + k).sum(-1))):
        yield wrong("the scale is left out", "one number for each of the five entries, before the sum.")
    elif _near(found, of((q + k) @ scale)):
        yield wrong("the bend is missing", "tanh of the sum of query and key.")
    elif _near(found, of(torch.tanh(q + k).sum(-1) * scale.sum())) or _near(
        found, of(torch.tanh(q + k).sum(-1) * scale[0])
    ):
        yield wrong("the scale acts like one number", "multiply entry by entry, then sum.")
    elif not _near(found, wanted):
        yield wrong("the weights are not those of the layer", "sum over the last axis of scale · tanh(query + key).")
    yield right("the weights are the layer's")


def _output_of_the_line(found: Tensor, case: dict[str, Tensor]) -> Iterator[Finding]:
    wanted, _ = _line(**case)
    everywhere = torch.ones_like(case["query_mask"])
    if _near(found, _line(**{**case, "query_mask": everywhere})[0]):
        yield wrong("the query mask changes nothing", "the output of a masked query is zero.")
    elif not _near(found, wanted):
        yield wrong("the outputs are not right", "weights times values, and zero where the query is masked.")
    yield right("so are the outputs, zero where the query is masked")


# -- all looks, without a loop ----------------------------------------------------------------------------------------


def _looks(queries: Tensor, annotations: Tensor, W_q: Tensor, W_k: Tensor, mask: Tensor) -> Tensor:
    energies = (queries @ W_q.T) @ (annotations @ W_k.T).transpose(1, 2) / math.sqrt(len(W_q))
    return energies.masked_fill(~mask.unsqueeze(1), -torch.inf).softmax(-1) @ annotations


class _Counted(torch.utils._python_dispatch.TorchDispatchMode):
    """How many matrix products were called for, whatever their size."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func.overloadpacket.__name__ in ("mm", "bmm", "mv", "dot", "addmm", "addmv", "baddbmm")
        return func(*args, **(kwargs or {}))


@exercise("14.at_once", "all looks at once")
def _at_once(answer: Callable[..., Any]) -> Iterator[Finding]:
    """``looks(queries, annotations, W_q, W_k, mask)``: contexts (B, T, D) by scaled dot products, without a loop."""
    g = torch.Generator().manual_seed(41)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=g, dtype=torch.float64)

    case = {
        "queries": normal(2, 9, 5),
        "annotations": normal(2, 4, 6),
        "W_q": 2 * normal(3, 5),
        "W_k": normal(3, 6),
        "mask": torch.tensor([[True, True, True, True], [True, True, False, False]]),
    }
    with _Counted() as counted:
        returned = answer(**case)
    if returned is None or returned is Ellipsis:
        yield wrong(*_NOTHING)
    found = torch.as_tensor(returned)
    if tuple(found.shape) == (2, 9, 4):
        yield wrong("these are weights, not contexts", "average the annotations with them.")
    elif tuple(found.shape) == (2, 9, 3):
        yield wrong("these are averages of keys", "what is averaged is the annotations; the keys only compare.")
    elif tuple(found.shape) != (2, 9, 6):
        hint = "one vector as wide as an annotation for each query: (2, 9, 6) here."
        yield wrong(f"the shape is {tuple(found.shape)}", hint)
    yield right("one context for each query")
    wanted = _looks(**case)
    wider = {**case, "W_q": case["W_q"] * math.sqrt(3)}
    if _near(found, _looks(**{**case, "mask": torch.ones_like(case["mask"])})):
        yield wrong("the mask changes nothing", "−∞ for the energies of padding, before the softmax.")
    elif _near(found, _looks(**wider)):
        yield wrong("the energies are not scaled", "divide them by the root of the width in which they are compared.")
    elif any(_near(found, _looks(**{**case, "W_q": case["W_q"] * math.sqrt(3 / width)})) for width in (4, 5, 6, 9)):
        yield wrong("the energies are divided by the root of another width", "the width of W_q s, which is 3 here.")
    elif not _near(found, wanted):
        yield wrong(
            "the contexts are not right", "energies (B, T, S): queries times keys, transposed in their last axes."
        )
    yield right("the contexts are those of (14.10)")
    if counted.count > 8:
        hint = "a batch of matrices times a batch of matrices does all steps: no `for`."
        yield wrong(f"it took {counted.count} matrix products for nine steps", hint)
    yield right(f"all nine steps in {counted.count} matrix products")
