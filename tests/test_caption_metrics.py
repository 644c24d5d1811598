"""Scores of captions against their definitions, counted by hand, and against the COCO tools run as they come."""

import math
import random
from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from course_pkg import caption_metrics
from course_pkg.caption_metrics import caption_scores, caption_words, java, treebank_words
from course_pkg.notation import CourseError

WORDS = "a man dog runs on the red grass with ball".split()
SCORES = {"bleu1", "bleu2", "bleu3", "bleu4", "bleu4_no_brevity_penalty", "meteor", "rouge_l", "cider"}
needs_java = pytest.mark.skipif(java() is None, reason="needs Java")
needs_tools = pytest.mark.skipif(caption_metrics._tools() is None, reason="needs the COCO caption tools")


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """No Java, which takes its time, where a test does not ask for it."""
    if "starts_java" not in request.keywords:
        monkeypatch.setattr(caption_metrics, "java", lambda: None)


def corpus(pictures: int = 30, seed: int = 4) -> tuple[list[str], list[list[str]]]:
    """Captions that share n-grams of each order with one to five references."""
    generator = random.Random(seed)

    def said(words: list[str]) -> str:
        return " ".join(word if generator.random() < 0.85 else generator.choice(WORDS) for word in words)

    hypotheses, references = [], []
    for _ in range(pictures):
        words = generator.choices(WORDS, k=generator.randint(4, 12))
        hypotheses.append(said(words))
        references.append([said(words[: generator.randint(4, len(words))]) for _ in range(generator.randint(1, 5))])
    return hypotheses, references


def grams(text: str, order: int) -> Counter:
    words = text.split()
    return Counter(tuple(words[i : i + order]) for i in range(len(words) - order + 1))


def bleu_by_definition(hypotheses: list[str], references: list[list[str]], order: int, penalty: bool = True) -> float:
    """Papineni et al. 2002, §2.3: counts clipped by the reference that has most, the closest reference length."""
    length = sum(len(text.split()) for text in hypotheses)
    closest = 0
    for text, several in zip(hypotheses, references, strict=True):
        own = len(text.split())
        closest += min((abs(len(one.split()) - own), len(one.split())) for one in several)[1]
    product = 1.0
    for n in range(1, order + 1):
        right = total = 0
        for text, several in zip(hypotheses, references, strict=True):
            for gram, count in grams(text, n).items():
                right += min(count, max(grams(one, n)[gram] for one in several))
                total += count
        product *= right / total
    shorter = math.exp(min(0.0, 1 - closest / length)) if penalty else 1.0
    return 100 * shorter * product ** (1 / order)


def test_bleu_is_what_brute_force_counts() -> None:
    hypotheses, references = corpus()
    hypotheses = [" ".join(text.split()[:-2]) for text in hypotheses]  # so that the penalty counts
    scores = caption_scores(hypotheses, references)
    for order in (1, 2, 3, 4):
        assert scores[f"bleu{order}"] == pytest.approx(bleu_by_definition(hypotheses, references, order))
    free = bleu_by_definition(hypotheses, references, 4, penalty=False)
    assert scores["bleu4_no_brevity_penalty"] == pytest.approx(free)
    assert free > scores["bleu4"] + 1


@needs_tools
def test_bleu_is_that_of_the_coco_tools() -> None:
    from pycocoevalcap.bleu.bleu import Bleu

    hypotheses, references = corpus(seed=9)
    sides = dict(enumerate(references)), {row: [text] for row, text in enumerate(hypotheses)}
    theirs = 100 * np.array(Bleu(4).compute_score(*sides, verbose=0)[0])
    scores = caption_scores(hypotheses, references)
    assert [scores[f"bleu{order}"] for order in (1, 2, 3, 4)] == pytest.approx(theirs.tolist())


def longest_common(one: list[str], other: list[str]) -> int:
    """The longest sequence of words that both have in this order, found by trying all."""
    for length in range(min(len(one), len(other)), 0, -1):
        if set(combinations(one, length)) & set(combinations(other, length)):
            return length
    return 0


@needs_tools
def test_rouge_l_is_the_longest_common_subsequence() -> None:
    # "a dog runs" and "a red dog runs fast": 3 in common of 3 and of 5; F with β = 1.2
    by_hand = (1 + 1.44) * (3 / 3) * (3 / 5) / (3 / 5 + 1.44 * 3 / 3)
    assert caption_scores(["a dog runs"], [["a red dog runs fast"]])["rouge_l"] == pytest.approx(100 * by_hand)
    hypotheses, references = corpus(12)
    found = []
    for text, several in zip(hypotheses, references, strict=True):
        common = [longest_common(text.split(), one.split()) for one in several]
        precision = max(common) / len(text.split())
        recall = max(many / len(one.split()) for many, one in zip(common, several, strict=True))
        found.append((1 + 1.44) * precision * recall / (recall + 1.44 * precision))
    assert caption_scores(hypotheses, references)["rouge_l"] == pytest.approx(100 * float(np.mean(found)))


@needs_tools
def test_cider_by_its_definition() -> None:
    """Vedantam et al. 2015, eq. 2 and 3, with the clipping and the Gaussian of CIDEr-D (§6)."""
    hypotheses, references = corpus(8)

    def vector(text: str, order: int) -> dict:
        held = grams(text, order)
        inverse = {
            gram: math.log(len(references) / max(1, sum(any(grams(r, order)[gram] for r in s) for s in references)))
            for gram in held
        }
        return {gram: count * inverse[gram] for gram, count in held.items()}

    def norm(one: dict) -> float:
        return math.sqrt(sum(value**2 for value in one.values()))

    found = []
    for text, several in zip(hypotheses, references, strict=True):
        for order in (1, 2, 3, 4):
            for one in several:
                mine, theirs = vector(text, order), vector(one, order)
                shared = sum(min(value, theirs.get(gram, 0)) * theirs.get(gram, 0) for gram, value in mine.items())
                cosine = shared / (norm(mine) * norm(theirs)) if norm(mine) and norm(theirs) else 0.0
                apart = len(text.split()) - len(one.split())
                found.append(10 / 4 / len(several) * cosine * math.exp(-(apart**2) / (2 * 6**2)))
    assert caption_scores(hypotheses, references)["cider"] == pytest.approx(sum(found) / len(references))


@needs_tools
def test_a_reference_against_itself_is_perfect() -> None:
    references = [["A man runs on the grass."], ["The red dog has a ball!"], ["Two birds fly over water"]]
    scores = caption_scores([several[0].upper() for several in references], references)
    for name in SCORES - {"meteor", "cider"}:
        assert scores[name] == pytest.approx(100), name
    assert scores["cider"] == pytest.approx(10)
    nothing = caption_scores(["x y z u v"] * 3, references)
    assert all(nothing[name] == 0 for name in SCORES - {"meteor"})


def test_more_references_and_their_order() -> None:
    hypotheses, references = corpus()
    scores = caption_scores(hypotheses, references)
    turned = caption_scores(hypotheses[::-1], [several[::-1] for several in references[::-1]])
    assert {name: turned[name] for name in SCORES} == pytest.approx({name: scores[name] for name in SCORES})
    helped = caption_scores(
        hypotheses, [[*several, text] for text, several in zip(hypotheses, references, strict=True)]
    )
    assert helped["bleu4"] == pytest.approx(100)


def test_an_empty_caption_is_scored() -> None:
    scores = caption_scores(["", "a dog runs on grass"], [["a man"], ["a dog runs on grass"]])
    assert 0 < scores["bleu4"] < 100 and scores["bleu4_no_brevity_penalty"] == pytest.approx(100)
    assert caption_scores([""], [["a man"]])["bleu1"] == 0


def test_without_java_the_record_says_so() -> None:
    scores = caption_scores(["A dog, running!"], [["a dog running"]])
    assert scores["meteor"] is None and scores["tokenisation"] == caption_metrics.WORDS
    assert "install Java" in scores["missing"] or "captions" in scores["missing"]
    assert scores["bleu1"] == pytest.approx(100), "words are compared without case and punctuation"
    assert "tok:none" in scores["signature"] and "smooth:none" in scores["signature"]


def test_without_the_tools_bleu_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caption_metrics, "_tools", lambda: None)
    scores = caption_scores(*corpus())
    assert scores["bleu4"] > 0 and scores["cider"] is scores["rouge_l"] is scores["meteor"] is None
    assert "course-pkg[captions]" in scores["missing"]
    with pytest.raises(CourseError, match=r"needs Java and course-pkg\[captions\]"):
        treebank_words(["a"])


def test_a_java_that_does_not_run_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretends = tmp_path / "java"
    pretends.write_text("#!/bin/sh\necho 'no runtime present' >&2\nexit 1\n")
    pretends.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert java.__wrapped__() is None
    pretends.unlink()
    assert java.__wrapped__() is None


@needs_tools
@needs_java
@pytest.mark.starts_java
def test_treebank_words_are_those_of_the_coco_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    texts = [
        "A man's dog can't run -- it is tired...",
        'Two "small" (brown) dogs; one: black!',
        "",
        "3,000 people at 5 p.m., on St. John's Rd.",
        "a half-eaten pizza ` ' {with} [cheese]?",
    ]
    theirs = PTBTokenizer().tokenize({row: [{"caption": text}] for row, text in enumerate(texts)})
    found = treebank_words([*texts, "é  –\u2028straße", ""])
    assert found[: len(texts)] == [theirs[row][0] for row in range(len(texts))]
    assert found[0] == "a man 's dog ca n't run it is tired"
    assert found[5].split()[0] == "é" and "straße" in found[5] and found[6] == ""


@needs_tools
@needs_java
@pytest.mark.slow
@pytest.mark.starts_java
def test_meteor_of_the_reference_is_100() -> None:
    references = [
        ["a man runs on the grass", "||| a person ||| sprints"],
        ["the red dog has a ball"],
        ["two birds fly"],
    ]
    scores = caption_scores([several[0] for several in references], references)
    assert scores["meteor"] == pytest.approx(100) and scores["missing"] is None
    assert scores["tokenisation"] == caption_metrics.TREEBANK
    worse = caption_scores(["a man runs on the grass", "", "two planes fly"], references)
    assert 0 < worse["meteor"] < 95


@needs_tools
@needs_java
@pytest.mark.starts_java
def test_a_meteor_that_fails_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tools = caption_metrics._tools()
    (tmp_path / "meteor").mkdir()
    (tmp_path / "tokenizer").symlink_to(tools / "tokenizer")
    monkeypatch.setattr(caption_metrics, "_tools", lambda: tmp_path)
    scores = caption_scores(*corpus(3))
    assert scores["meteor"] is None and "2 GB" in scores["missing"] and scores["cider"] > 0


def test_words_are_lower_case_without_punctuation() -> None:
    assert caption_words(' A man\'s T-shirt , "red" & blue_green ... ') == "a man's t-shirt red blue green"


@pytest.mark.parametrize(
    ("hypotheses", "references", "reason"),
    [
        (["a"], [], "different numbers"),
        ([], [], "empty"),
        (["a", "b"], [["a"], []], "no reference"),
        (["a"], ["a"], "single string"),
        ("a", [["a"]], "single string"),
    ],
)
def test_what_does_not_fit_is_refused(hypotheses: list, references: list, reason: str) -> None:
    with pytest.raises(CourseError, match=reason):
        caption_scores(hypotheses, references)
