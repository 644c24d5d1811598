"""Exercises by hand about looking: a gated unit, a soft lookup, additive attention, a posterior."""

from random import Random
from typing import Any

import numpy as np
import torch

from course_pkg.attention import AdditiveScore, SoftAttention, masked_softmax
from course_pkg.exercises.variants import Drawn, matrix, number, shares, table, variant, vector
from course_pkg.inference import posterior
from course_pkg.recurrent import GatedRecurrentUnit

__all__: list[str] = []

WORDS = (("the", "black", "dog"), ("a", "small", "table"), ("the", "old", "woman"), ("a", "red", "bicycle"))


def _tensor(values: object) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


@variant("gru", 3, "One step of a gated unit", "both gates, the candidate and the new state")
def _gru(chance: Random) -> Drawn | None:
    signed = (-2, -1, 1, 2)
    given = {name: chance.choice(signed) for name in ("W_r", "W_z", "W", "U_r", "U_z", "U")}
    x, h = chance.choice((1, 2)), chance.choice((-0.5, 0.5))
    if max(abs(given[f"W{gate}"] * x + given[f"U{gate}"] * h) for gate in ("_r", "_z", "")) > 3:
        return None
    unit = GatedRecurrentUnit(1, 1, bias=False).double()
    with torch.no_grad():
        unit.weight_ih.copy_(_tensor([[given["W_r"]], [given["W_z"]], [given["W"]]]))
        unit.weight_hh.copy_(_tensor([[given["U_r"]], [given["U_z"]], [given["U"]]]))
        new = float(unit.update(unit.gates(_tensor([[x]])), _tensor([[h]])))
        r, z = torch.sigmoid(_tensor([given[f"W{gate}"] * x + given[f"U{gate}"] * h for gate in ("_r", "_z")])).tolist()
    candidate = h + (new - h) / z
    letters = ", ".join(f"${name} = {value}$" for name, value in given.items())
    question = (
        f"The state of a gated recurrent unit is a single number, and so is its input. {letters}; there are no biases. "
        f"The old state is $h_0 = {number(h)}$, the input $x_1 = {x}$. Work out $r_1$, $z_1$, the candidate "
        r"$\tilde h_1$ and the new state $h_1$, with the reset gate before the product, as in the paper."
    )
    answer = f"$r_1 = {number(r)}$, $z_1 = {number(z)}$, $\\tilde h_1 = {number(candidate)}$, $h_1 = {number(new)}$"
    found = {"r": r, "z": z, "candidate": candidate, "h": new}
    return Drawn({**given, "x": x, "h": h}, found, question, answer)


@variant("lookup", 4, "A soft lookup", "weights and answer at a given temperature")
def _lookup(chance: Random) -> Drawn | None:
    energies = chance.sample(range(-1, 4), 3)
    tau = chance.choice((0.5, 1, 2))
    values = [[chance.randint(-2, 2), chance.randint(-2, 2)] for _ in range(3)]
    words = chance.choice(WORDS)
    weights = masked_softmax(_tensor([energies]) / tau, torch.ones(1, 3, dtype=torch.bool))[0]
    if len({tuple(value) for value in values}) < 3 or not 0.5 < float(weights.max()) < 0.96:
        return None
    answer = (weights @ _tensor(values)).tolist()
    rows = [[word, number(e), f"${vector(h)}$"] for word, e, h in zip(words, energies, values, strict=True)]
    question = (
        f"Energies and values of three words:\n\n{table(['word', 'energy', 'value'], rows)}\n\n"
        f"The temperature is $\\tau = {number(tau)}$. Work out the three weights and the answer $c$ of the lookup. "
        "Which value does the answer move towards if the energy of the first word grows a little?"
    )
    told = (
        f"$\\alpha = {vector(weights.tolist())}$, $c = {vector(answer)}$; towards the value of *{words[0]}*, "
        r"by $\alpha_1 (h_1 - c) / \tau$ for each unit of energy."
    )
    given = {"energies": energies, "tau": tau, "values": values}
    return Drawn(given, {"weights": weights.tolist(), "context": answer}, question, told)


def _looked(given: dict[str, list[Any]]) -> tuple[list[float], list[float], list[float]]:
    """Energies, weights and context, by the package."""
    score = AdditiveScore(2, 2, 2).double()
    with torch.no_grad():
        score.W_a.weight.copy_(_tensor(given["W_a"]))
        score.U_a.get_parameter("weight").copy_(_tensor(given["U_a"]))
        score.v_a.copy_(_tensor(given["v_a"]))
        attention = SoftAttention(score)
        memory = attention.remember(_tensor([given["h"]]), torch.ones(1, 3, dtype=torch.bool))
        glimpse = attention(_tensor([given["s"]]), memory)
    return glimpse.scores[0].tolist(), glimpse.weights[0].tolist(), glimpse.context[0].tolist()


@variant("attention", 5, "One step of additive attention", "energies, weights and context of three words")
def _attention(chance: Random) -> Drawn | None:
    def small() -> int:
        return chance.choice((-1, 0, 1, 2))

    given: dict[str, list[Any]] = {
        "s": [chance.randint(0, 1), chance.randint(0, 1)],
        "h": [[chance.randint(0, 2), chance.randint(0, 2)] for _ in range(3)],
        "W_a": [[small(), small()], [small(), small()]],
        "U_a": [[small(), small()], [small(), small()]],
        "v_a": [chance.choice((-2, -1, 1, 2)), chance.choice((-2, -1, 1, 2))],
    }
    query = np.array(given["W_a"]) @ np.array(given["s"])
    inside = query + np.array(given["h"]) @ np.array(given["U_a"]).T
    distinct = len({tuple(row) for row in inside.tolist()}) == 3 and len({tuple(row) for row in given["h"]}) == 3
    if not distinct or np.abs(inside).max() > 3 or not query.any():
        return None
    energies, weights, context = _looked(given)
    if not 0.5 < max(weights) < 0.95 or min(weights) < 0.02:
        return None
    words = chance.choice(WORDS)
    named = zip(range(1, 4), given["h"], words, strict=True)
    annotations = ", ".join(f"$h_{j} = {vector(h)}$ (*{word}*)" for j, h, word in named)
    question = (
        f"The decoder's state is $s_0 = {vector(given['s'])}$, the annotations are {annotations}. With\n\n"
        f"$$W_a = {matrix(given['W_a'])}, \\quad U_a = {matrix(given['U_a'])}, "
        f"\\quad v_a = {vector(given['v_a'])}$$\n\n"
        "work out the energies $e_{1j}$, the weights $\\alpha_{1j}$ and the context $c_1$. "
        "(tanh 1 = 0.762, tanh 2 = 0.964, tanh 3 = 0.995; tanh is odd.)"
    )
    answer = f"$e_1 = {vector(energies)}$, $\\alpha_1 = {vector(weights)}$, $c_1 = {vector(context)}$"
    return Drawn(given, {"energies": energies, "weights": weights, "context": context}, question, answer)


@variant("posterior", 8, "Where did the word come from?", "the posterior over three positions")
def _posterior(chance: Random) -> Drawn | None:
    alpha = shares(chance, 3)
    if alpha.count(max(alpha)) > 1:
        return None
    likelihoods = chance.sample((0.05, 0.1, 0.2, 0.4, 0.6, 0.8), 3)
    found = posterior(np.array([alpha]), np.log([likelihoods]))[0].tolist()
    if found.index(max(found)) == alpha.index(max(alpha)) or max(found) > 0.95:
        return None  # the word must change the reading
    question = (
        f"At one step $\\alpha = {vector(alpha)}$ over three source positions. With the gaze on each of them "
        f"alone, the word that came has the probabilities {', '.join(map(number, likelihoods))}. What is the "
        "posterior over the positions? Which position leads before the word is known, and which after?"
    )
    before, after = alpha.index(max(alpha)) + 1, found.index(max(found)) + 1
    answer = f"${vector(found)}$; position {before} before, position {after} after."
    return Drawn({"alpha": alpha, "likelihoods": likelihoods}, {"posterior": found}, question, answer)
