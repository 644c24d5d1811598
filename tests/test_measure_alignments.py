"""Chapter 8's measurements: baselines, counts and intervals are what they are called, on cases known by hand."""

import itertools
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny_models import LOOKS, stored, words_of

from course_pkg import toy
from course_pkg.inference import Translator, load
from course_pkg.metrics import alignment_error_rate
from course_pkg.steering import steer
from course_pkg.toy import COURSE_SENTENCE

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))
import measure_alignments as tool

SURE, POSSIBLE = {(0, 0), (2, 1)}, {(0, 0), (2, 1), (1, 1)}


def translator() -> Translator:
    return Translator(stored(LOOKS, words_of(COURSE_SENTENCE.source, COURSE_SENTENCE.target)))


def test_the_uniform_row_is_the_mean_over_all_ways_to_link() -> None:
    every = [set(zip(choice, range(2), strict=True)) for choice in itertools.product(range(3), repeat=2)]
    found = [tool.counts(links, SURE, POSSIBLE) for links in every]
    assert len(found) == 9
    np.testing.assert_allclose(tool.expected_counts((3, 2), SURE, POSSIBLE), np.mean(found, axis=0))


def test_the_rate_of_summed_counts_is_the_package_s() -> None:
    made, sure, possible = [{(0, 0)}, {(1, 1), (2, 0)}], [SURE, {(2, 0)}], [POSSIBLE, {(2, 0)}]
    table = np.array([tool.counts(*case) for case in zip(made, sure, possible, strict=True)])
    assert tool.rate(table.sum(0)) == pytest.approx(alignment_error_rate(made, sure, possible).aer)


def test_shifts_move_both_ways_on_both_sides_and_lose_what_leaves() -> None:
    links = {(0, 0), (1, 2), (2, 1)}
    assert tool.shifted(links, 1, 0, (3, 3)) == {(1, 0), (2, 2)}
    assert tool.shifted(links, -1, 0, (3, 3)) == {(0, 2), (1, 1)}
    assert tool.shifted(links, 0, 1, (3, 3)) == {(0, 1), (2, 2)}
    assert tool.shifted(links, 0, -1, (3, 3)) == {(1, 1), (2, 0)}


def test_links_given_to_the_word_before_are_those_of_the_next_word() -> None:
    seen = steer(translator(), COURSE_SENTENCE.source, COURSE_SENTENCE.target, top=1)
    size = len(seen.source_tokens) - 1, len(seen.target_tokens) - 1
    found = tool.model_links(seen, ((*range(size[0]), None), (*range(size[1]), None)), size)
    assert found["target+1"] == {(j, i - 1) for j, i in found["alpha"] if i}
    best = (np.log(seen.weights) + seen.log_probs).argmax(axis=1)
    assert found["posterior"] == {(int(j), i) for i, j in enumerate(best[:-1]) if j < size[0]}
    assert found["likelihood"] == {(int(j), i) for i, j in enumerate(seen.log_probs.argmax(1)[:-1]) if j < size[0]}


def test_the_diagonal_runs_from_corner_to_corner() -> None:
    assert tool.diagonal((3, 3)) == {(0, 0), (1, 1), (2, 2)}
    assert tool.diagonal((2, 4)) == {(0, 0), (0, 1), (1, 2), (1, 3)}
    assert tool.diagonal((4, 2)) == {(1, 0), (3, 1)}


def test_an_interval_holds_the_rate_and_two_equal_methods_do_not_differ() -> None:
    draw = np.random.default_rng(1)
    table = np.array([[4, 4, k, k] for k in draw.integers(0, 5, 100)], float)
    line = tool.row("x", None, "alpha", table)
    low, high = map(float, line["interval"].split(" to "))
    assert low < line["aer"] < high < low + 0.3
    assert tool.difference(table, table) == "+0.000 to +0.000"
    worse = table - [0, 0, 1, 1]
    assert tool.difference(worse, table).startswith("+0.2")


def test_kendall_s_tau_counts_pairs() -> None:
    numbers = np.array([0.1, 0.4, 0.2, 0.3])
    assert tool.kendall(numbers, numbers**3) == 1 and tool.kendall(numbers, -numbers) == -1
    assert tool.kendall(numbers, np.array([0.1, 0.4, 0.3, 0.2])) == pytest.approx(4 / 6)  # one pair of six turned


def test_a_look_counts_as_changed_if_its_likeliest_word_is_another() -> None:
    made = load(tool.TOY, device="cpu")
    own = made.translate([COURSE_SENTENCE.source], beam=1)[0]
    cells, taus = tool.moved(made, [COURSE_SENTENCE.source])
    seen = steer(made, own.source, own.target, top=1)
    assert len(cells) == seen.weights.size and len(taus) == len(own.target_tokens)
    changed = [words[0] != token for row, token in zip(seen.words, own.target_tokens, strict=True) for words in row]
    assert [c for _, _, c in cells] == changed
    assert sum(peak for _, peak, _ in cells) == len(own.target_tokens)
    rows = tool.moved_rows("x", cells)
    assert sum(line["looks"] for line in rows) == len(cells)
    assert sum(line["looks"] * line["changed"] / 100 for line in rows) == pytest.approx(sum(changed), abs=0.5)


def test_words_whose_fate_is_plain() -> None:
    found = {COURSE_SENTENCE.source_tokens[j]: word for j, word in tool.only_words(COURSE_SENTENCE)}
    assert found["black"] == "noir" and found["dog"] == "chien" and found["throws"] == "lance"
    assert "the" not in found and "." not in found, "le stands twice; a full stop is no word"


def test_sums_are_columns_of_alpha_sorted_by_what_was_written() -> None:
    made, drawn = translator(), toy.pairs(5, seed=2, max_words=8)
    total = sum(line["words"] for line in tool.sums(made, drawn))
    assert total == sum(len(tool.only_words(pair)) for pair in drawn)
