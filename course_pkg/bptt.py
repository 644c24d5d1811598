"""The attentive decoder's backward pass, derived by hand: backpropagation through time, used when training. Chapter 6.

Write ``δx`` for ``∂ℓ/∂x``: how much the loss ``ℓ`` of a sentence changes when the number ``x``, wherever it stands in
the network, is nudged and everything after it follows. The forward pass of step ``i``, with ``p`` for what goes into a
gate or the candidate and ``x_i`` for the share of the word ``y_{i-1}`` in it::

    u_ij = tanh(W_a s_{i-1} + U_a h_j)                                  (6.1)
    α_i  = softmax of v_aᵀ u_ij over j,        c_i = Σ_j α_ij h_j       (6.2)
    r_i  = σ(p_i^r),   p_i^r = x_i^r + C_r c_i + U_r s_{i-1}            (6.3)    and z_i likewise
    s̃_i  = tanh(p_i^s),  p_i^s = x_i^s + C c_i + U (r_i ∘ s_{i-1})      (6.4)
    s_i  = (1 - z_i) ∘ s_{i-1} + z_i ∘ s̃_i                              (6.5)

A state is used three times: by the output layer, by the next step's update and by the next step's query. So the error
that it is charged with, ``δs_i``, is complete only when step ``i + 1`` has been gone back through: this alone has to
happen in order, from the last step to the first. From ``δs_i`` one step back is::

    δp_i^s = δs_i ∘ z_i ∘ (1 - s̃_i²)                                    (6.6)
    δp_i^z = δs_i ∘ (s̃_i - s_{i-1}) ∘ z_i ∘ (1 - z_i)                   (6.7)
    δp_i^r = Uᵀ δp_i^s ∘ s_{i-1} ∘ r_i ∘ (1 - r_i)                      (6.8)
    δc_i   = ∂ℓ/∂c_i from outside + Cᵀ δp_i^s + C_zᵀ δp_i^z + C_rᵀ δp_i^r    (6.9)
    δα_ij  = ∂ℓ/∂α_ij from outside + h_jᵀ δc_i                          (6.10)
    δe_ij  = α_ij (δα_ij - Σ_k α_ik δα_ik)                              (6.11)
    δq_i   = v_a ∘ Σ_j δe_ij (1 - u_ij²),      q_i = W_a s_{i-1}        (6.12)
    δs_{i-1} = ∂ℓ/∂s_{i-1} from outside + (1 - z_i) ∘ δs_i + r_i ∘ Uᵀ δp_i^s
               + U_zᵀ δp_i^z + U_rᵀ δp_i^r + W_aᵀ δq_i                  (6.13)

A weight is used in every step, so its gradient is a sum over the steps. With all ``δp`` and ``δq`` known, each sum is
one matrix product::

    δW_a = Σ_i δq_i s_{i-1}ᵀ,                  δv_a = Σ_ij δe_ij u_ij             (6.14, 6.15)
    δC   = Σ_i δp_i c_iᵀ                                                          (6.16)    three gates stacked
    δU   = Σ_i δp_i^s (r_i ∘ s_{i-1})ᵀ,        δU_z = Σ_i δp_i^z s_{i-1}ᵀ         (6.17)    and δU_r likewise
    δh_j = Σ_i α_ij δc_i,                      δ(U_a h_j) = v_a ∘ Σ_i δe_ij (1 - u_ij²)    (6.18, 6.19)

``δx_i`` is ``δp_i`` itself. ``δh_j`` is the share through the contexts; the share through the keys ``U_a h_j`` is
``U_aᵀ`` of (6.19), for which, as for all else outside the loop, autograd is as good as any hand.

The hidden layer ``u`` has ``A`` numbers for every pair of words. It is the bulk of what autograd would keep for the
backward pass, and is not kept here: a state and the keys are enough to compute it again.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from course_pkg.attention import masked_softmax
from course_pkg.notation import CourseError

__all__ = ["AttentiveLoop", "Weights", "attentive_loop"]

CACHED, ELSEWHERE = 2**19, 2**24  # numbers of u made at once: what fits a processor's cache; on another device


class Weights(NamedTuple):
    """The parameters inside the loop; rows of ``C`` and ``U`` are stacked as reset, update, candidate.

    Attributes:
        W_a: shape ``(A, H)``.
        v_a: shape ``(A,)``.
        C: shape ``(3H, D)``.
        U: shape ``(3H, H)``.
    """

    W_a: Tensor
    v_a: Tensor
    C: Tensor
    U: Tensor


class Trace(NamedTuple):
    """What the forward pass leaves behind, all steps on axis 1.

    Attributes:
        states: ``s_1 … s_T``, shape ``(B, T, H)``.
        contexts: ``c_i``, shape ``(B, T, D)``.
        weights: ``α_ij``, shape ``(B, T, S)``.
        gates: ``r_i`` and ``z_i``, shape ``(B, T, 2H)``.
        candidates: ``s̃_i``, shape ``(B, T, H)``.
    """

    states: Tensor
    contexts: Tensor
    weights: Tensor
    gates: Tensor
    candidates: Tensor


class Slopes(NamedTuple):
    """What ``δs_i`` and ``Uᵀ δp_i^s`` are multiplied with: no ``δ`` in it, so all steps at once, ``(B, T, H)`` each.

    Attributes:
        candidate: ``z ∘ (1 - s̃²)`` of (6.6).
        update: ``(s̃ - s_{i-1}) ∘ z ∘ (1 - z)`` of (6.7).
        reset: ``s_{i-1} ∘ r ∘ (1 - r)`` of (6.8).
        keep: ``1 - z`` of (6.13).
        r: of (6.13).
    """

    candidate: Tensor
    update: Tensor
    reset: Tensor
    keep: Tensor
    r: Tensor


class Errors(NamedTuple):
    """``δ`` of what stands in the loop, filled from the last step to the first.

    Attributes:
        p: rows reset, update, candidate, shape ``(B, T, 3H)``.
        c: shape ``(B, T, D)``; begins as the share from outside.
        α: shape ``(B, T, S)``; likewise.
        e: shape ``(B, T, S)``.
        q: shape ``(B, T, A)``.
    """

    p: Tensor
    c: Tensor
    α: Tensor
    e: Tensor
    q: Tensor


# -- products ---------------------------------------------------------------------------------------------------------
# Under autocast the keys come in the narrow type, and so do the factors of every product with a matrix. What is done
# number by number is done in single precision at least: on a processor this is also the faster way.


def product(x: Tensor, W: Tensor) -> Tensor:
    """``W x`` for each row of ``x``, in the precision of ``W``."""
    return F.linear(x.to(W.dtype), W)


def back(δ: Tensor, W: Tensor) -> Tensor:
    """``Wᵀ δ`` for each row of ``δ``, in the precision of ``W``."""
    return δ.to(W.dtype) @ W


def precisions(keys: Tensor, s_0: Tensor) -> tuple[torch.dtype, torch.dtype, AbstractContextManager[Any]]:
    """The narrow and the wide type, and a context in which nothing else chooses one."""
    narrow, wide = keys.dtype, torch.promote_types(torch.promote_types(keys.dtype, s_0.dtype), torch.float32)
    plain = narrow == wide or keys.device.type == "meta"  # autocast has no device "meta"
    return narrow, wide, nullcontext() if plain else torch.autocast(keys.device.type, enabled=False)


# -- forward ----------------------------------------------------------------------------------------------------------


def hidden_layer(twice_keys: Tensor, q: Tensor, u: Tensor) -> Tensor:
    """(6.1) for some steps, written into ``u``, shape ``(B, steps, S, A)``.

    ``tanh(x) = 2σ(2x) - 1``: only products take more time than this layer, and on a processor σ is faster than tanh.
    """
    torch.add(twice_keys.unsqueeze(1), q.unsqueeze(2), alpha=2, out=u)
    return u.sigmoid_().mul_(2).sub_(1)


def forward_pass(x: Tensor, h: Tensor, keys: Tensor, mask: Tensor, s_0: Tensor, weights: Weights) -> Trace:
    """(6.1) to (6.5), step by step; each step's ``u`` is written over the last one's."""
    narrow, wide, plain = precisions(keys, s_0)
    W_a, C, U, v_a = weights.W_a.to(narrow), weights.C.to(narrow), weights.U.to(narrow), weights.v_a.to(wide)
    H, s, h, twice_keys = s_0.shape[-1], s_0, h.to(narrow), 2 * keys.to(wide)
    u, steps = torch.empty_like(twice_keys).unsqueeze(1), []
    with plain:
        for x_i in x.unbind(1):
            hidden_layer(twice_keys, product(s, W_a).unsqueeze(1).to(wide), u)  # (6.1)
            α = masked_softmax(u.squeeze(1) @ v_a, mask)
            c = torch.bmm(α.to(narrow).unsqueeze(1), h).squeeze(1)  # (6.2)
            p = x_i + product(c, C)
            gates = torch.sigmoid(p[:, : 2 * H] + product(s, U[: 2 * H]))  # (6.3)
            r, z = gates.chunk(2, dim=-1)
            candidate = torch.tanh(p[:, 2 * H :] + product(r * s, U[2 * H :]))  # (6.4)
            s = s + z * (candidate - s)  # (6.5)
            steps.append((s, c, α, gates, candidate))
    return Trace(*(torch.stack(values, dim=1) for values in zip(*steps, strict=True)))


# -- one step back ----------------------------------------------------------------------------------------------------


def slopes(before: Tensor, gates: Tensor, candidates: Tensor) -> Slopes:
    """The factors of (6.6), (6.7), (6.8) and (6.13); ``before`` is ``s_0 … s_{T-1}``."""
    r, z = gates.to(before.dtype).chunk(2, dim=-1)
    return Slopes(
        candidate=z * (1 - candidates * candidates),
        update=(candidates - before) * z * (1 - z),
        reset=before * r * (1 - r),
        keep=1 - z,
        r=r,
    )


def update_back(δs: Tensor, i: int, slope: Slopes, U: Tensor, δ: Errors) -> Tensor:
    """Back through the update of step ``i``: (6.6) to (6.8), and (6.13) but for the query's share."""
    H = δs.shape[-1]
    δp_r, δp_z, δp_s = δ.p[:, i].chunk(3, dim=-1)
    torch.mul(δs, slope.candidate[:, i], out=δp_s)  # (6.6)
    torch.mul(δs, slope.update[:, i], out=δp_z)  # (6.7)
    through_reset = back(δp_s, U[2 * H :])
    torch.mul(through_reset, slope.reset[:, i], out=δp_r)  # (6.8)
    kept = slope.keep[:, i] * δs + slope.r[:, i] * through_reset
    return kept + back(δ.p[:, i, : 2 * H], U[: 2 * H])  # (6.13)


def look_back(i: int, h: Tensor, α: Tensor, pair_slope: Tensor, weights: Weights, δ: Errors) -> Tensor:
    """Back through the look of step ``i``: (6.9) to (6.12), and the query's share of (6.13).

    ``pair_slope`` is ``1 - u_ij²`` of this step, shape ``(B, S, A)``. Where ``α_ij = 0``, as in padding, ``δe_ij = 0``.
    """
    δc, δα, δe, δq, α = δ.c[:, i], δ.α[:, i], δ.e[:, i], δ.q[:, i], α[:, i]
    δc += back(δ.p[:, i], weights.C)  # (6.9)
    δα += torch.bmm(δc.to(h.dtype).unsqueeze(1), h.transpose(1, 2)).squeeze(1)  # (6.10)
    torch.mul(α, δα - (α * δα).sum(dim=-1, keepdim=True), out=δe)  # (6.11)
    torch.mul(weights.v_a, torch.bmm(δe.unsqueeze(1), pair_slope).squeeze(1), out=δq)  # (6.12)
    return back(δq, weights.W_a)  # (6.13)


# -- all steps back ---------------------------------------------------------------------------------------------------


def chunks_backwards(T: int, size: int) -> Iterator[slice]:
    """All steps, in chunks of at most ``size``, the last chunk first."""
    for stop in range(T, 0, -size):
        yield slice(max(0, stop - size), stop)


def pair_gradients(δe: Tensor, u: Tensor, pair_slope: Tensor, δv_a: Tensor, δkeys: Tensor) -> None:
    """Add a chunk's share of (6.15) and of (6.19), the latter still without the factor ``v_a``."""
    δv_a += δe.reshape(-1) @ u.reshape(-1, u.shape[-1])  # (6.15)
    for δe_i, slope_i in zip(δe.unbind(1), pair_slope.unbind(1), strict=True):
        δkeys.addcmul_(δe_i.unsqueeze(-1), slope_i)  # (6.19)


def loop_back(
    outside: Tensor, q: Tensor, keys: Tensor, h: Tensor, α: Tensor, slope: Slopes, weights: Weights, δ: Errors
) -> tuple[Tensor, Tensor, Tensor]:
    """Back through all steps: fills ``δ`` and returns ``δs_0``, ``δv_a`` and ``δ(U_a h_j)``.

    Only the inner loop has to go in order. ``u`` is computed again for a chunk of steps at once, and forgotten.
    """
    (B, S, A), T = keys.shape, q.shape[1]
    at_once = (CACHED if keys.device.type == "cpu" else ELSEWHERE) // max(1, B * S * A)
    u, pair_slopes = keys.new_empty(2, B, min(max(at_once, 1), T), S, A)
    δs, δv_a, δkeys = torch.zeros_like(outside[:, 0]), torch.zeros_like(weights.v_a), torch.zeros_like(keys)
    one, twice_keys = keys.new_ones(()), 2 * keys
    for steps in chunks_backwards(T, u.shape[1]):
        n = steps.stop - steps.start
        hidden_layer(twice_keys, q[:, steps], u[:, :n])  # (6.1), again
        torch.addcmul(one, u[:, :n], u[:, :n], value=-1, out=pair_slopes[:, :n])
        for i in reversed(range(steps.start, steps.stop)):
            δs = update_back(δs + outside[:, i], i, slope, weights.U, δ)
            δs = δs + look_back(i, h, α, pair_slopes[:, i - steps.start], weights, δ)
        pair_gradients(δ.e[:, steps], u[:, :n], pair_slopes[:, :n], δv_a, δkeys)
    return δs, δv_a, δkeys.mul_(weights.v_a)


def weight_gradients(δ: Errors, before: Tensor, trace: Trace, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """(6.14), (6.16) and (6.17): ``δW_a``, ``δC`` and ``δU``, each a product over all sentences and steps."""
    H = before.shape[-1]
    reset_states = trace.gates[..., :H] * before
    δp, δq, s, rs, c = (values.flatten(0, 1).to(dtype) for values in (δ.p, δ.q, before, reset_states, trace.contexts))
    δU = torch.cat([δp[:, : 2 * H].T @ s, δp[:, 2 * H :].T @ rs])  # (6.17)
    return δq.T @ s, δp.T @ c, δU  # (6.14), (6.16)


def backward_pass(
    h: Tensor, keys: Tensor, s_0: Tensor, weights: Weights, trace: Trace, outside: tuple[Tensor, Tensor, Tensor]
) -> tuple[Tensor, Tensor, Tensor, Tensor, Weights]:
    """``δx``, ``δh``, ``δ(U_a h_j)``, ``δs_0`` and the gradients of the weights.

    ``outside`` is what the rest of the network charges the states, the contexts and ``α`` with.
    """
    narrow, wide, plain = precisions(keys, s_0)
    W_a, C, U, v_a = weights.W_a.to(narrow), weights.C.to(narrow), weights.U.to(narrow), weights.v_a.to(wide)
    with plain:
        before = torch.cat([s_0.unsqueeze(1), trace.states[:, :-1]], dim=1).to(wide)
        q, α, h = product(before, W_a).to(wide), trace.weights.to(wide), h.to(narrow)
        δstates, δc, δα = (values.to(wide) for values in outside)
        δp = before.new_empty(*before.shape[:2], 3 * before.shape[2])
        δ = Errors(δp, δc.clone(), δα.clone(), torch.empty_like(α), torch.empty_like(q))
        slope = slopes(before, trace.gates, trace.candidates)
        δs_0, δv_a, δkeys = loop_back(δstates, q, keys.to(wide), h, α, slope, Weights(W_a, v_a, C, U), δ)
        δW_a, δC, δU = weight_gradients(δ, before, trace, narrow)
        δh = torch.bmm(α.transpose(1, 2).to(narrow), δ.c.to(narrow))  # (6.18)
    return δ.p, δh, δkeys, δs_0, Weights(δW_a, δv_a, δC, δU)


# -- for autograd -----------------------------------------------------------------------------------------------------


class AttentiveLoop(torch.autograd.Function):
    """The loop as one operation of autograd; see `attentive_loop`."""

    @staticmethod
    def forward(ctx: Any, mask: Tensor, *inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Run the forward pass; of what is kept, nothing has ``A`` numbers for a pair of words."""
        x, h, keys, s_0, *weights = inputs
        trace = forward_pass(x, h, keys, mask, s_0, Weights(*weights))
        ctx.save_for_backward(*inputs[1:], *trace)
        ctx.types = [given.dtype for given in inputs]
        return trace.states, trace.contexts, trace.weights

    @staticmethod
    def backward(ctx: Any, δstates: Tensor, δcontexts: Tensor, δα: Tensor) -> tuple[Tensor | None, ...]:
        """Run the backward pass; every gradient in the type of its tensor."""
        if torch.is_grad_enabled():  # asked for with create_graph=True
            raise CourseError("The gradient derived by hand has no gradient itself: set decoder.bptt = False for that.")
        h, keys, s_0, *weights = ctx.saved_tensors[:7]
        trace = Trace(*ctx.saved_tensors[7:])
        *errors, by_weight = backward_pass(h, keys, s_0, Weights(*weights), trace, (δstates, δcontexts, δα))
        return None, *(δ.to(dtype) for δ, dtype in zip((*errors, *by_weight), ctx.types, strict=True))


def attentive_loop(
    x: Float[Tensor, "B T gates"],
    h: Float[Tensor, "B S D"],
    keys: Float[Tensor, "B S A"],
    mask: Bool[Tensor, "B S"],
    s_0: Float[Tensor, "B H"],
    weights: Weights,
) -> tuple[Float[Tensor, "B T H"], Float[Tensor, "B T D"], Float[Tensor, "B T S"]]:
    """All steps of `AttentiveDecoder` with its recurrent unit of the papers (``reset="before"``) and additive score.

    The gradients of the three results are those derived by hand, which cannot be differentiated a second time.

    Args:
        x: the share of the words in the gates, ``3H`` wide.
        h: annotations.
        keys: ``U_a h_j``. Their type is that in which products with matrices are computed.
        mask: True at real positions.
        s_0: the first state.
        weights: the parameters inside the loop.

    Returns:
        The states ``s_1 … s_T``, the contexts ``c_i`` and the weights ``α_ij``.

    Raises:
        CourseError: on the way back, if its gradients were to be differentiated (``create_graph=True``).
    """
    return AttentiveLoop.apply(mask, x, h, keys, s_0, *weights)
