"""Checks of chapter 3: a backward step by hand, the gated unit, the backward scan, and where s₀ comes from."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from course_pkg.exercises.registry import Finding, exercise, right, wrong

_NOTHING = "the function returns nothing yet", "end it with `return`, and your result."


def _missing(returned: Any) -> bool:
    return returned is None or returned is Ellipsis


def _near(a: Tensor, b: Tensor, tolerance: float = 1e-4) -> bool:
    return a.shape == b.shape and bool(torch.allclose(a.double(), b.double(), rtol=0, atol=tolerance))


def _step(x: Tensor, h: Tensor, W: Tensor, U: Tensor, W_z: Tensor, U_z: Tensor, W_r: Tensor, U_r: Tensor) -> Tensor:
    """One step of the papers' unit for rows of ``x`` and ``h`` (Bahdanau et al. 2015, §A.2.1)."""
    z, r = torch.sigmoid(x @ W_z.T + h @ U_z.T), torch.sigmoid(x @ W_r.T + h @ U_r.T)
    return (1 - z) * h + z * torch.tanh(x @ W.T + (r * h) @ U.T)


# -- a backward step by hand ------------------------------------------------------------------------------------------

# The chapter's unit and its words: the first number names a thing, the second describes.
BLACK, DOG = torch.tensor([0.0, 1.0]), torch.tensor([1.0, 0.0])
_W_Z, _W_R = torch.tensor([[2.0, -2.0], [-2.0, 2.0]]), torch.tensor([[-1.0, 1.0], [1.0, -1.0]])
_SWAP, _NONE = torch.tensor([[0.0, 1.0], [1.0, 0.0]]), torch.zeros(2, 2)


def _read(*words: Tensor) -> Tensor:
    state = torch.zeros(2)
    for word in words:
        state = _step(word, state, torch.eye(2), _SWAP, _W_Z, _NONE, _W_R, _NONE)
    return state


@exercise("03.hand", "the backward state at black")
def _hand(answer: Any) -> Iterator[Finding]:
    """Two numbers, to two decimals: ``←h_1`` of "black dog" by the chapter's unit."""
    state = torch.as_tensor(answer, dtype=torch.float64).flatten()
    if state.numel() != 2:
        yield wrong(f"there are {state.numel()} numbers", "a state here has two.")
    yield right("two numbers")
    tolerance = 0.011
    if _near(state, _read(BLACK, DOG), tolerance):
        yield wrong("this is the forward state at dog", "which word does the backward unit read first?")
    elif _near(state, _read(DOG), tolerance):
        yield wrong("this is the backward state at dog", "one word has been read; go on to the next.")
    elif _near(state, _read(BLACK), tolerance):
        hint = "it looks as if nothing had been read before black: the state was not zero any more."
        yield wrong("dog is not in it", hint)
    z, r, before = torch.sigmoid(_W_Z @ BLACK), torch.sigmoid(_W_R @ BLACK), _read(DOG)
    candidate = torch.tanh(BLACK + _SWAP @ (r * before))
    library = torch.tanh(BLACK + r * (_SWAP @ before))
    if _near(state, candidate, tolerance):
        yield wrong("this is the candidate", "the update gate still has to mix it with the state before.")
    elif _near(state, (1 - z) * before + z * library, tolerance):
        yield wrong("the reset gate acts after the product", "first r times the state, entry by entry; then U.")
    elif _near(state, z * before + (1 - z) * candidate, tolerance):
        yield wrong("the update gate is the wrong way round", "here z is the share of what is new.")
    elif not _near(state, _read(DOG, BLACK), tolerance):
        hint = "read dog from a zero state, then black; write down z, r and the candidate at each word."
        yield wrong("the numbers differ from ours", hint)
    yield right("dog was read first, and black is fresh")


# -- the gated unit ---------------------------------------------------------------------------------------------------

_NAMES = "W", "U", "W_z", "U_z", "W_r", "U_r"


def _unit(seed: int = 43) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """A word of four numbers, a state of three, and six matrices, far enough from zero for the gates to differ."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {name: (3, 4 if name[0] == "W" else 3) for name in _NAMES}
    matrices = {name: 0.8 * torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    return torch.randn(4, generator=generator), torch.randn(3, generator=generator), matrices


@exercise("03.gru", "one step of the gated recurrent unit")
def _gru(answer: Callable[..., Any]) -> Iterator[Finding]:
    """``gru_step(x, h, W, U, W_z, U_z, W_r, U_r)``: the new state, shape ``(H,)``."""
    x, h, matrices = _unit()
    given = h.clone()
    returned = answer(x.clone(), given, **{name: matrix.clone() for name, matrix in matrices.items()})
    if _missing(returned):
        yield wrong(*_NOTHING)
    found = torch.as_tensor(returned)
    if tuple(found.shape) != (3,):
        yield wrong(f"the shape is {tuple(found.shape)}", "the new state is as wide as the old one: (3,).")
    yield right("the shape is right")
    if not torch.equal(given, h):
        yield wrong("the old state was changed", "a training loop still needs it: make a new tensor.")
    for tell, (text, hint) in _slips_of_the_unit(x, h, matrices):
        if _near(found, tell):
            yield wrong(text, hint)
    if not _near(found, _step(x, h, **matrices)):
        hint = "print z, r and the candidate one after the other: the first two lie between 0 and 1."
        yield wrong("the new state differs from ours", hint)
    yield right("the gates mix old and new as the equations say")


def _slips_of_the_unit(
    x: Tensor, h: Tensor, m: dict[str, Tensor]
) -> Iterator[tuple[Tensor, tuple[str, str]]]:  # what a usual mistake gives, and what to say of it
    z_in, r_in = x @ m["W_z"].T + h @ m["U_z"].T, x @ m["W_r"].T + h @ m["U_r"].T
    z, r, new = torch.sigmoid(z_in), torch.sigmoid(r_in), x @ m["W"].T
    candidate = torch.tanh(new + m["U"] @ (r * h))
    yield candidate, ("this is the candidate alone", "how much of it is written, and how much of the old state stays?")
    yield torch.tanh(new + m["U"] @ h), ("this is a plain RNN", "both gates are still missing.")
    library = torch.tanh(new + r * (m["U"] @ h))
    told = "the reset gate acts after the product", "that is the library's unit; the paper's is U [r ∘ h]."
    yield (1 - z) * h + z * library, told
    yield z * h + (1 - z) * library, told
    told = "the update gate is the wrong way round", "where z is 1, what should the new state be?"
    yield z * h + (1 - z) * candidate, told
    told = "reset and update gate are exchanged", "z decides what is written, r what the candidate sees."
    yield (1 - r) * h + r * torch.tanh(new + m["U"] @ (z * h)), told
    told = "a gate is not between 0 and 1", "which function presses any number between 0 and 1?"
    yield (1 - z_in) * h + z_in * torch.tanh(new + m["U"] @ (r_in * h)), told
    yield (1 - z_in) * h + z_in * candidate, told
    yield (1 - z) * h + z * torch.tanh(new + m["U"] @ (r_in * h)), told
    tanh_z, tanh_r = torch.tanh(z_in), torch.tanh(r_in)
    yield (1 - tanh_z) * h + tanh_z * torch.tanh(new + m["U"] @ (tanh_r * h)), told
    told = "the candidate is not bent", "without its tanh a state can grow without bound."
    yield (1 - z) * h + z * (new + m["U"] @ (r * h)), told
    told = "the reset gate is missing", "the candidate sees the old state only through r."
    yield (1 - z) * h + z * torch.tanh(new + m["U"] @ h), told
    told = "old and new add up to more than a whole", "what z gives to the candidate, the old state loses."
    yield h + z * candidate, told


# -- the backward scan ------------------------------------------------------------------------------------------------


def _batch(seed: int = 4) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Words of three sentences, of 5, 2 and 4 words; the padding is no zero, and would be heard."""
    generator = torch.Generator().manual_seed(seed)
    words = torch.randn(3, 5, 4, generator=generator)
    _, _, matrices = _unit()
    return words, torch.arange(5) < torch.tensor([5, 2, 4]).unsqueeze(1), matrices


def _biased_step(x: Tensor, h: Tensor, matrices: dict[str, Tensor]) -> Tensor:
    """A step whose candidate has a bias, so that a word of zeros moves even a zero state."""
    return _step(x + 0.5, h, **matrices)


def _alone(words: Tensor, mask: Tensor, matrices: dict[str, Tensor]) -> Tensor:
    """The truth, each sentence by itself and without its padding, which stays zero."""
    states = torch.zeros(*mask.shape, 3)
    for row, length in enumerate(mask.sum(1).tolist()):
        state = torch.zeros(3)
        for j in reversed(range(length)):
            state = _biased_step(words[row, j], state, matrices)
            states[row, j] = state
    return states


@exercise("03.backward", "the backward states of a padded batch")
def _backward(answer: Callable[..., Any]) -> Iterator[Finding]:
    """``backward_states(step, words, mask, start)``: ``←h_j`` at every real place, shape ``(B, S, H)``."""
    words, mask, matrices = _batch()

    def step(x: Tensor, h: Tensor) -> Tensor:
        return _biased_step(x, h, matrices)

    returned = answer(step, words.clone(), mask.clone(), torch.zeros(3, 3))
    if _missing(returned):
        yield wrong(*_NOTHING)
    if isinstance(returned, list | tuple) and all(isinstance(part, Tensor) for part in returned):
        hint = "put the states of the places side by side: `torch.stack(states, dim=1)`."
        yield wrong("a list of states comes back", hint)
    found = torch.as_tensor(returned)
    if tuple(found.shape) == (5, 3, 3):
        yield wrong("the places come before the sentences", "stack the states along axis 1: (B, S, H).")
    elif tuple(found.shape) == (3, 3):
        yield wrong("only one state of each sentence comes back", "keep the state of every place.")
    elif tuple(found.shape) != (3, 5, 3):
        yield wrong(f"the shape is {tuple(found.shape)}", "a state of 3 numbers at each of 5 places, 3 sentences.")
    yield right("there is a state for every place")
    yield from _full_sentence(found[0], words[:1], mask[:1], matrices)
    truth = _alone(words, mask, matrices)
    yield from _padded_sentences(found, words, mask, matrices, truth)
    yield right("a sentence reads the same in company as alone")


def _full_sentence(states: Tensor, words: Tensor, mask: Tensor, matrices: dict[str, Tensor]) -> Iterator[Finding]:
    """The sentence without padding: does the scan run backwards at all?"""
    truth = _alone(words, mask, matrices)[0]
    forwards = _alone(words.flip(1), mask, matrices)[0].flip(0)
    if _near(states, forwards):
        yield wrong("the words were read from left to right", "which place has to come first?")
    elif _near(states, truth.flip(0)):
        hint = "the states stand in the order in which they were made; the state of word 1 belongs in place 1."
        yield wrong("the first and the last word are exchanged", hint)
    elif _near(states, forwards.flip(0)):
        hint = "turning the output round does not turn the reading round."
        yield wrong("the words were read from left to right, then the states turned", hint)
    elif not bool((states != states[:1]).any()):
        yield wrong("no word was read at all", "True in the mask means *real*: there the new state counts.")
    elif not _near(states, truth):
        hint = "for a sentence without padding: start at its last word, and hand each state on to the left."
        yield wrong("even the sentence without padding differs from ours", hint)
    yield right("a sentence without padding is read from right to left")


def _padded_sentences(
    found: Tensor, words: Tensor, mask: Tensor, matrices: dict[str, Tensor], truth: Tensor
) -> Iterator[Finding]:
    """At the real places only: what stands in the padding is nobody's business."""
    everywhere = torch.ones_like(mask)
    naive, zeroed = _alone(words, everywhere, matrices), _alone(words * mask.unsqueeze(-1), everywhere, matrices)
    late = _alone(words, everywhere, matrices) * mask.unsqueeze(-1)
    if bool(torch.isnan(found[mask]).any()):
        yield wrong("there is a nan", "choose with `torch.where`; do not divide by the mask.")
    elif _near(found[mask], naive[mask]) or _near(found, late):
        hint = "the state was already changed when the real words were reached: where does the mask have to act?"
        yield wrong("the padding was read", hint)
    elif _near(found[mask], zeroed[mask]):
        hint = "a zero is still a word to the unit, and its state still moves on; keep the state itself."
        yield wrong("the padding was read as zeros", hint)
    elif not _near(found[mask], truth[mask]):
        hint = "True in the mask means *real*: there the new state counts, elsewhere the old one is kept."
        yield wrong("the padded sentences differ from what they are alone", hint)


# -- where s_0 comes from ---------------------------------------------------------------------------------------------


@exercise("03.start", "the decoder's first state")
def _start(answer: Callable[..., Any]) -> Iterator[Finding]:
    """``first_state(annotations, mask, W_s)``: ``s_0 = tanh(W_s ←h_1)``, shape ``(B, H)``."""
    generator = torch.Generator().manual_seed(5)
    annotations, W_s = torch.randn(3, 5, 8, generator=generator), torch.randn(4, 4, generator=generator)
    mask = torch.arange(5) < torch.tensor([5, 2, 4]).unsqueeze(1)
    returned = answer(annotations.clone(), mask.clone(), W_s.clone())
    if _missing(returned):
        yield wrong(*_NOTHING)
    found = torch.as_tensor(returned)
    if tuple(found.shape) != (3, 4):
        yield wrong(f"the shape is {tuple(found.shape)}", "one state of 4 numbers for each of 3 sentences: (3, 4).")
    yield right("one state for each sentence")
    for chosen, (text, hint) in _slips_of_the_start(annotations, mask):
        if any(_near(found, torch.tanh(chosen @ W.T)) or _near(found, chosen @ W.T) for W in (W_s, W_s.T)):
            yield wrong(text, hint)
    first = annotations[:, 0, 4:]
    if _near(found, first) or _near(found, first.tanh()):
        yield wrong("W_s is not used", "a matrix lies between the encoder's state and the decoder's.")
    elif _near(found, first @ W_s.T) or _near(found, first @ W_s):
        yield wrong("the state is not bent", "s₀ = tanh(…), so that it looks like any other state.")
    elif _near(found, torch.tanh(first @ W_s)):
        yield wrong("W_s is used the wrong way round", "row k of W_s makes number k of the state: `x @ W_s.T`.")
    elif not _near(found, torch.tanh(first @ W_s.T)):
        hint = "which state has read the whole sentence, from its end to its first word?"
        yield wrong("the state differs from ours", hint)
    yield right("it is made of the backward state at the first word")


def _slips_of_the_start(annotations: Tensor, mask: Tensor) -> Iterator[tuple[Tensor, tuple[str, str]]]:
    rows, last = torch.arange(len(mask)), mask.sum(1) - 1
    forward, backward = annotations.split(4, dim=-1)
    told = "this is the backward state at the last place", "the backward unit *starts* there: what has it read by then?"
    yield backward[rows, last], told
    yield backward[:, -1], told
    told = "this is the forward half", "the annotation is [→h; ←h]: the backward half comes second."
    yield forward[:, 0], told
    yield forward[rows, last], told
    yield forward[:, -1], told
    share = mask.unsqueeze(-1) / mask.sum(1).view(-1, 1, 1)
    told = "this is the mean over the words", "some later models start so; the paper takes a single state."
    yield (backward * share).sum(1), told
    yield backward.mean(1), told
