"""The reader as the vector: tiles for every word, words without scripts, one measure in both languages."""

import json
from importlib import resources
from itertools import combinations
from random import Random

import pytest
from widget_js import run_js

from course_pkg.notation import CourseError
from course_pkg.widgets.cover_up import CoverUp, in_order

SENTENCES = ["Paul catches his dog.", "The dog sees the cat, and the cat doesn't see it."]


def test_its_state_is_plain_json_and_every_word_is_a_tile_once() -> None:
    shown = CoverUp(SENTENCES, [(8, 0.98), (4, 1)])
    assert json.loads(json.dumps(shown.sentences)) == shown.sentences
    assert [one["words"] for one in shown.sentences] == [
        ["Paul", "catches", "his", "dog"],
        ["The", "dog", "sees", "the", "cat", "and", "the", "cat", "doesn't", "see", "it"],
    ]
    for one in shown.sentences:
        assert sorted(one["order"]) == list(range(len(one["words"]))) != one["order"]
    assert shown.points == [[4, 1.0], [8, 0.98]]
    assert [one["order"] for one in CoverUp(SENTENCES).sentences] == [one["order"] for one in shown.sentences]


def test_its_name_and_what_is_shown_without_scripts_tell_the_same() -> None:
    shown = CoverUp(SENTENCES, [(4, 0.98)], model_name="the <plain> model")
    assert repr(shown) == "CoverUp(sentences of 4, 11 words; beside them the <plain> model)"
    html = shown.fallback()
    assert html.count("<details>") == 2 and "<details open" not in html
    for text in ("A sentence of 11 words", "Paul catches his dog.", "<td>98%</td>", "the &lt;plain&gt; model"):
        assert text in html
    assert "<table" not in CoverUp(SENTENCES).fallback()


def test_readers_text_stays_text_where_no_script_runs() -> None:
    html = CoverUp(["<script>alert one</script>", "an <img onerror=x> here"]).fallback()
    assert "<script" not in html and "<img" not in html


@pytest.mark.parametrize("sentences", [[], ["Alone."], ["Two words", "?"]])
def test_a_sentence_without_anything_to_rebuild_is_refused(sentences: list[str]) -> None:
    with pytest.raises(CourseError, match="rebuild"):
        CoverUp(sentences)


@pytest.mark.parametrize("point", [(4, 1.2), (0, 0.5), (4, float("nan"))])
def test_a_share_outside_its_range_is_refused(point: tuple[int, float]) -> None:
    with pytest.raises(CourseError, match="share"):
        CoverUp(SENTENCES, [point])


def test_its_front_end_comes_with_the_package() -> None:
    folder = resources.files("course_pkg.widgets")
    assert (folder / "cover_up.js").is_file() and (folder / "cover_up.css").is_file()


# --- the measure -------------------------------------------------------------------------------------------------


def brute_force(wanted: list[str], built: list[str]) -> int:
    """The longest selection of places in ``wanted`` whose words are found in ``built`` in that order."""

    def inside(words: tuple[str, ...]) -> bool:
        rest = iter(built)
        return all(word in rest for word in words)

    return max(n for n in range(len(wanted) + 1) if any(map(inside, combinations(wanted, n))))


def random_pairs(count: int) -> list[tuple[list[str], list[str]]]:
    draw = Random(4)
    return [(draw.choices("abc", k=draw.randrange(8)), draw.choices("abcd", k=draw.randrange(8))) for _ in range(count)]


def test_words_in_order_are_the_longest_common_subsequence() -> None:
    assert any(brute_force(*pair) > 2 for pair in random_pairs(60))
    for wanted, built in random_pairs(60):
        assert in_order(wanted, built) == brute_force(wanted, built)


def test_the_front_end_measures_as_the_package_does() -> None:
    pairs = random_pairs(60)
    scores = run_js("cover_up", f"{json.dumps(pairs)}.map(([wanted, built]) => score(wanted, built))")
    for (wanted, built), one in zip(pairs, scores, strict=True):
        assert one["order"] == brute_force(wanted, built)
        assert one["place"] == sum(a == b for a, b in zip(wanted, built, strict=False))


def test_the_words_marked_as_kept_stand_in_the_rebuilt_sentence_in_that_order() -> None:
    pairs = random_pairs(60)
    marks = run_js("cover_up", f"{json.dumps(pairs)}.map(([wanted, built]) => keptInOrder(wanted, built))")
    for (wanted, built), kept in zip(pairs, marks, strict=True):
        rest = iter(built)
        assert all(word in rest for word, held in zip(wanted, kept, strict=True) if held)


def test_capitals_do_not_count_in_either_language() -> None:
    assert in_order(["The", "dog"], ["the", "Dog"]) == 2
    assert run_js("cover_up", "score(['The', 'dog'], ['the', 'Dog'])") == {"place": 2, "order": 2}


def test_results_of_other_sentences_are_not_taken_over() -> None:
    three = "covered: {place: 2, order: 3}"
    kept = f"[{{size: 5, {three}}}, {{size: 9, {three}}}, {{size: 40, sight: {{order: 99}}}}]"
    nothing = {"covered": None, "sight": None}
    assert run_js("cover_up", f"asResults({kept}, [5, 15, 40])") == [
        {"covered": {"place": 2, "order": 3}, "sight": None}, nothing, nothing,
    ]  # fmt: skip
    assert run_js("cover_up", "asResults('x', [5])") == [nothing]
