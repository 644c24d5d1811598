"""The tree of a search holds what the search did: compared with the search's own answer and with the tables."""

import itertools
import math

import pytest
import torch
from test_search import BOS, EOS, A, B, C, D, Oracle, Table, find, listed, probability, random_table

from course_pkg.search import BeamStep, beam_search
from course_pkg.search_tree import SearchTree


def watched(*tables: Table, sentence: int = 0, steps: int = 4, **how):  # type: ignore[no-untyped-def]
    """What a search found, and the tree of one of its sentences."""
    tree = SearchTree(sentence)
    return find(Oracle(*tables), steps=steps, observe=tree.grow, **how), tree


def beginnings(tree: SearchTree) -> list[tuple[int, ...]]:
    """The tokens from the root to each row."""
    spelt: list[tuple[int, ...]] = []
    for parent, token in zip(tree.parents, tree.tokens, strict=True):
        spelt.append((*(spelt[parent] if parent >= 0 else ()), token))
    return spelt


HOW = [{"beam_size": 1}, {"beam_size": 2, "length_penalty": 1.0}, {"beam_size": 3, "shrink": True}, {"beam_size": 40}]


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("seed", range(6))
def test_every_row_has_the_probability_of_its_beginning(how: dict, seed: int) -> None:
    table = random_table(3, 4, seed)
    _, tree = watched(table, **how)
    spelt = beginnings(tree)
    assert len(spelt) == len(set(spelt)) > 0, "no beginning is considered twice"
    for tokens, log_prob in zip(spelt, tree.log_probs, strict=True):
        assert log_prob == pytest.approx(math.log(probability(table, tokens)), abs=1e-4)


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("seed", range(6))
def test_what_the_search_found_is_a_path_of_the_tree(how: dict, seed: int) -> None:
    found, tree = watched(random_table(3, 4, seed), **how)
    spelt = beginnings(tree)
    for rank, (tokens, _) in enumerate(listed(found)):
        path = tree.path(found, rank)
        assert [tree.tokens[row] for row in path] == list(tokens) and spelt[path[-1]] == tokens
        assert [tree.fates[row] for row in path[:-1]] == ["lives"] * (len(path) - 1)
        assert tree.fates[path[-1]] == ("ends" if tokens[-1] == EOS else "lives")


@pytest.mark.parametrize("how", HOW)
def test_only_the_living_are_extended_and_never_more_than_the_width(how: dict) -> None:
    _, tree = watched(random_table(3, 4, 3), **how)
    depth = [len(tokens) for tokens in beginnings(tree)]
    assert all(parent < 0 or tree.fates[parent] == "lives" for parent in tree.parents)
    for step, rows in itertools.groupby(range(len(depth)), key=depth.__getitem__):
        fates = [tree.fates[row] for row in rows]
        assert fates.count("lives") <= how["beam_size"], step
    assert depth == sorted(depth)


def test_the_trap_is_seen() -> None:
    table: Table = {
        (): [0, 0.55, 0.45, 0, 0],
        (A,): [0, 0, 0, 0.5, 0.5],
        (B,): [0, 0, 0, 1, 0],
        **{past: [1, 0, 0, 0, 0] for past in [(A, C), (A, D), (B, C)]},
    }
    _, narrow = watched(table, beam_size=1)
    _, wide = watched(table, beam_size=2)
    rows = dict(zip(beginnings(narrow), narrow.fates, strict=True))
    assert rows[A,] == "lives" and rows[B,] == "dropped"
    rows = dict(zip(beginnings(wide), wide.fates, strict=True))
    assert rows[A,] == rows[B,] == rows[B, C] == "lives" and rows[B, C, EOS] == "ends"


def test_an_end_below_the_beam_is_dropped() -> None:
    _, tree = watched({(): [0.1, 0.5, 0.4], (A,): [1, 0, 0], (B,): [1, 0, 0]}, beam_size=2)
    rows = dict(zip(beginnings(tree), tree.fates, strict=True))
    assert rows[EOS,] == "dropped" and rows[A, EOS] == rows[B, EOS] == "ends"


def test_each_sentence_of_a_batch_has_its_own_tree() -> None:
    tables = [random_table(3, 4, seed) for seed in range(12)]
    for sentence, table in enumerate(tables):
        _, alone = watched(table, beam_size=2)
        _, together = watched(*tables, sentence=sentence, beam_size=2)
        assert beginnings(together) == beginnings(alone) and together.fates == alone.fates


def test_a_hypothesis_that_is_not_there_has_no_path() -> None:
    found, tree = watched({(): [1.0, 0.0]}, beam_size=3)  # nothing but EOS has a chance
    assert tree.path(found, 0) == [0] and tree.path(found, 2) == []


def test_watching_changes_nothing_and_is_asked_once_a_step() -> None:
    oracle, steps = Oracle(random_table(3, 4, 1)), []
    how = {"bos": BOS, "eos": EOS, "beam_size": 3, "max_steps": 4}
    unwatched = beam_search(oracle, oracle.batch(), **how)
    seen = beam_search(oracle, oracle.batch(), observe=steps.append, **how)
    assert torch.equal(unwatched.tokens, seen.tokens) and torch.equal(unwatched.scores, seen.scores)
    assert 0 < len(steps) <= 4 and all(isinstance(step, BeamStep) for step in steps)
