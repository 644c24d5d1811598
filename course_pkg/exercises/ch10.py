"""Checks of chapter 10: counting multiply-adds, where two costs are equal, and what a padded batch keeps."""

from collections.abc import Callable, Iterator
from typing import Any

from course_pkg.cost import Cost, Sizes, additive_attention_cost
from course_pkg.exercises.registry import Finding, exercise, right, wrong

# Lengths and widths that all differ and share no factor, so that a mixed-up one cannot pass.
LENGTHS = {"T_x": 7, "T_y": 5}
SIZES = Sizes(state=11, alignment=13)
WIDTHS = {"n": 11, "n_a": 13}


def _number(returned: Any) -> float | None:
    """A number, or nothing if it is something else."""
    try:
        return float(returned)
    except (TypeError, ValueError):
        return None


def _usual_costs(n: int, n_a: int) -> list[tuple[Cost, str, str]]:
    """Each usual mistake in the formula, as the cost that it leads to, with what to say of it."""
    keys, query, pair = 2 * n * n_a, n * n_a, n_a + 2 * n
    return [
        (
            Cost(step=query, pair=pair + keys),
            "U_a h_j is counted in every step",
            "it has no i in it: how often does it have to be computed?",
        ),
        (Cost(source=keys, pair=query + pair), "W_a s_{i-1} is counted for every pair", "which index is not in it?"),
        (
            Cost(pair=keys + query + pair),
            "everything is counted for every pair",
            "which product lacks i, which j?",
        ),
        (
            Cost(step=keys + query, pair=pair),
            "U_a h_j is counted once a step",
            "it belongs to a source word: how many are there?",
        ),
        (Cost(source=keys + query, pair=pair), "W_a s_{i-1} is counted once a source word", "it belongs to a step."),
        (
            Cost(source=query, step=keys, pair=pair),
            "W_a and U_a have changed places",
            "which meets the annotations?",
        ),
        (Cost(source=keys, step=query, pair=n_a), "the weighted sum is missing", "c_i, too, is made from every h_j."),
        (Cost(source=keys, step=query, pair=2 * n), "v_a is missing", "each energy ends with a sum over n' numbers."),
        (
            Cost(source=keys, step=query),
            "nothing is counted for the pairs",
            "each energy still needs v_a, and each context the weighted sum.",
        ),
        (
            Cost(source=n * n_a, step=query, pair=n_a + n),
            "an annotation is taken for n numbers wide",
            "two directions stand side by side in it.",
        ),
        (
            Cost(source=keys, step=query, pair=n_a + n),
            "in the context, an annotation is taken for n numbers wide",
            "two directions stand side by side in it.",
        ),
        (
            Cost(source=n * n_a, step=query, pair=pair),
            "U_a is taken for n columns wide",
            "it multiplies an annotation: how wide is that?",
        ),
        (
            Cost(source=keys, step=query, pair=2 * n_a + 2 * n),
            "the tanh or the addition before it is counted",
            "here only multiply-adds count: what is multiplied for a pair before v_a?",
        ),
    ]


@exercise("10.count", "the multiply-adds of attention")
def _count(answer: Callable[..., Any]) -> Iterator[Finding]:
    """``multiply_adds(T_x, T_y, n, n_a)`` for one sentence pair, keys computed once."""
    returned = answer(**LENGTHS, **WIDTHS)
    if returned is None or returned is Ellipsis:
        yield wrong("the function returns nothing yet", "end it with `return`, and the number.")
    found = _number(returned)
    if found is None:
        yield wrong("the function returns no number", "add the three parts up.")
        return
    yield right("it returns a number")
    T_x, T_y = LENGTHS.values()
    expected = additive_attention_cost(SIZES)
    if found == 2 * expected(T_x, T_y):
        yield wrong("it is twice too much", "a multiplication with its addition counts once here.")
    for cost, text, hint in _usual_costs(*WIDTHS.values()):
        if found == cost(T_x, T_y):
            yield wrong(text, hint)
    if found != expected(T_x, T_y):
        hint = "write down three products, W_a s, U_a h and v_a · tanh, and the sum c: each its size, each how often."
        yield wrong("the number differs from what the package really does", hint)
    yield right("it is what the package does")
    for lengths in ((1, 1), (3, 20), (400, 9)):
        if _number(answer(*lengths, 6, 4)) != additive_attention_cost(Sizes(state=6, alignment=4))(*lengths):
            yield wrong("other lengths and widths go wrong", "are some numbers written out instead of the letters?")
    yield right("for all lengths and widths")


PAIR_HINT = "a pair costs n' multiply-adds for v_a and 2n for its term of the context."
BREAK_EVEN_MISTAKES = [
    (15000, "the weighted sum is missing", PAIR_HINT),
    (7500, "a part of the pair is missing or too small", PAIR_HINT),
    (3750, "the tanh or the addition before it is counted", PAIR_HINT),
    (3000, "the tanh and the addition before it are counted", PAIR_HINT),
    (15, "that compares W_a with the vocabulary", PAIR_HINT),
    (10000, "the maxout layer is taken before the maximum", "2l numbers go into the maxout: how many come out?"),
    (6200, "the vocabulary is multiplied by the embedding's width", "which vector does W_o multiply?"),
    (10, "the maxout layer is missing", "how many numbers meet each of the 30,000 rows of W_o?"),
    (10160, "the rest of the decoder's step is in it", "only the vocabulary product stands on that side."),
    (30, "that is where stored numbers break even", "here multiply-adds are compared."),
]


@exercise("10.break_even", "the length at which looking costs as much as the vocabulary")
def _break_even(answer: Any) -> Iterator[Finding]:
    """The T_x at which ``(n' + 2n) T_x`` equals ``l V`` at the paper's sizes: 5000."""
    found = _number(answer)
    if found is None:
        yield wrong("that is no number", "a number of source words.")
        return
    yield right("a number")
    for value, text, hint in BREAK_EVEN_MISTAKES:
        if abs(found - value) <= 0.01 * value:
            yield wrong(text, hint)
    if abs(found * 5000 - 1) < 0.02:
        yield wrong("the quotient is upside down", "which side contains T_x?")
    elif abs(found - 14_000_000 / 3000) <= 10:
        yield wrong("W_a is counted with the looking", "only what is done for every pair: W_a s has no j in it.")
    elif abs(found - 5000**0.5) < 1:
        yield wrong("a root too many", "both sides are done T_y times: what remains is linear in T_x.")
    elif abs(found - 5000) > 50:
        yield wrong("the two sides are not equal there", "one step: (n' + 2n) T_x on one side, l V on the other.")
    yield right("there the two are equal")


def _batch_mistakes(lengths: list[tuple[int, int]], n_a: int, size: int) -> list[tuple[int, str, str]]:
    """The numbers that usual mistakes lead to, with what to say of each."""
    count = len(lengths)
    T_x, T_y = max(x for x, _ in lengths), max(y for _, y in lengths)
    real = sum(x * y for x, y in lengths)
    padded = count * T_x * T_y
    return [
        (real * n_a * size, "padding is not counted", "every sentence of the batch is as long as the longest."),
        (padded * size, "that is the memory of α", "the hidden layer has n' numbers for each of its entries."),
        (real * size, "that is the memory of α, without padding", "n' numbers for each pair, padding included."),
        (padded * n_a, "these are numbers, not bytes", "how many bytes has each?"),
        (T_x * T_y * n_a * size, "that is one sentence", "how many sentences are in the batch?"),
        (
            count * max(x * y for x, y in lengths) * n_a * size,
            "the longest source and the longest target are taken from one sentence",
            "each side is padded to its own longest, whichever sentence that is in.",
        ),
        (
            sum(x for x, _ in lengths) * sum(y for _, y in lengths) * n_a * size,
            "words of different sentences are paired",
            "a target word looks at its own source only.",
        ),
        (count * (T_x + T_y) * n_a * size, "the lengths are added", "one hidden layer for every *pair* of words."),
        (padded * 2 * n_a * size, "the width is doubled", "it is the hidden layer, n' wide, that is kept."),
        (count * max(T_x, T_y) ** 2 * n_a * size, "the rectangle is taken for a square", "T_x and T_y may differ."),
    ]


@exercise("10.batch_memory", "what a padded batch keeps")
def _batch_memory(answer: Callable[..., Any]) -> Iterator[Finding]:
    """``hidden_bytes(lengths, n_a, size)``: bytes of the hidden layers that autograd keeps for a batch."""
    lengths, n_a, size = [(7, 5), (3, 11), (2, 4)], 13, 4
    returned = answer(list(lengths), n_a, size)
    if returned is None or returned is Ellipsis:
        yield wrong("the function returns nothing yet", "end it with `return`, and the number of bytes.")
    found = _number(returned)
    if found is None:
        yield wrong("the function returns no number", "one number of bytes for the whole batch.")
        return
    yield right("it returns a number")
    for value, text, hint in _batch_mistakes(lengths, n_a, size):
        if found == value:
            yield wrong(text, hint)
    if found != 3 * 7 * 11 * 13 * 4:
        yield wrong("the number differs from what autograd keeps", "sentences × padded T_x × padded T_y × n' × bytes.")
    yield right("it is what autograd keeps")
    if _number(answer([(30, 40)], 1000, 2)) != 30 * 40 * 1000 * 2:
        yield wrong("one sentence of 30 and 40 words goes wrong", "use `n_a` and `size`, not numbers of your own.")
    yield right("in any batch and any precision")
