"""The captions of the drawn scenes: their grammar, and how little of them can be guessed without looking."""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise
from random import Random

import pytest

from course_pkg import scenes
from course_pkg.notation import CourseError
from course_pkg.scenes_grammar import COLOURS, PEOPLE, USUAL, VOCABULARY, Description, Noun, Word, parse, tell
from course_pkg.scenes_sampler import describe

FORCED = {("group", "people"), ("hardwood", "floor"), ("teddy", "bear"), ("stop", "sign"), ("not", "see")}
ORDER = 5  # of the caption-only guesser


@pytest.fixture(scope="module")
def drawn() -> list[Description]:
    return [describe(Random(f"words/{number}")) for number in range(16_000)]


@pytest.fixture(scope="module")
def captions(drawn: list[Description]) -> list[tuple[Word, ...]]:
    return [tell(what) for what in drawn]


def decided(caption: Sequence[Word]) -> list[int]:
    """Places of content words that the word before them leaves open."""
    texts = ["", *(word.text for word in caption)]
    forced = [pair in FORCED or pair[1] == "background" or pair == ("does", "not") for pair in pairwise(texts)]
    return [i for i, word in enumerate(caption) if word.roles and not forced[i]]


def test_what_is_told_can_be_read_back(drawn: list[Description], captions: list[tuple[Word, ...]]) -> None:
    for what, caption in zip(drawn[:4000], captions, strict=False):
        assert parse([word.text for word in caption]) == what


def test_every_word_is_in_the_vocabulary_and_every_word_of_it_is_said(captions: list[tuple[Word, ...]]) -> None:
    said = Counter(word.text for caption in captions for word in caption)
    assert set(said) == set(VOCABULARY) == set(scenes.vocabulary_words())
    assert 100 <= len(VOCABULARY) <= 200 and min(said.values()) >= 10
    assert len({len(caption) for caption in captions}) >= 20  # lengths


def test_articles_and_numbers_agree(captions: list[tuple[Word, ...]]) -> None:
    for caption in captions:
        texts = [word.text for word in caption]
        for word, following in pairwise(texts):
            if word in ("a", "an"):
                assert (word == "an") == (following[0] in "aeiou")
            if word in ("two", "three"):
                rest = texts[texts.index(word) + 1 :]
                noun = rest[1] if rest[0] in COLOURS else rest[0]
                assert noun == "sheep" or (noun.endswith("s") and noun[:-1] in USUAL)
        many = texts[0] in ("two", "three")
        assert not ({"is"} if many else {"are"}) & set(texts)


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("a stone is in a park", "stone"),
        ("a woman is throwing", "the end"),
        ("a brown dog is running", "otherwise"),  # the usual colour goes without saying
        ("a orange cat is running", "otherwise"),
        ("a dog is standing in a park quickly", "otherwise"),
        ("", "the end"),
    ],
)
def test_other_sentences_are_refused_with_one_line(text: str, rest: str) -> None:
    with pytest.raises(CourseError, match=rest):
        parse(text.split())


def test_words_speak_of_what_they_describe() -> None:
    what = Description(
        Noun("man", "red"), "kicking", Noun("ball", "pink"), place="beach", weather="night", backdrop=Noun("house")
    )
    roles = {word.text: word.roles for word in tell(what)}
    assert roles["man"] == roles["red"] == ("subject",) and roles["pink"] == roles["ball"] == ("object",)
    assert roles["kicking"] == ("subject", "object") and roles["beach"] == ("place",) and roles["night"] == ("sky",)
    assert roles["house"] == roles["background"] == ("backdrop",)
    assert all(roles[word] == () for word in ("a", "in", "on", "at", "with", "the"))


def test_a_companion_is_not_the_subject() -> None:
    what = Description(Noun("girl"), "sitting on", Noun("bed"), companion=Noun("frisbee", "pink"))
    roles = {word.text: word.roles for word in tell(what)}
    assert roles["girl"] == ("subject",) and roles["bed"] == ("object",)
    assert roles["pink"] == roles["frisbee"] == ("companion",)


# --- what can be guessed without looking --------------------------------------------------------------------------


class Guesser:
    """Counts what follows the last words, up to `ORDER` of them, smoothed as by Witten and Bell."""

    def __init__(self, captions: Sequence[Sequence[Word]]) -> None:
        self.counts: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
        for caption in captions:
            texts = [""] * ORDER + [word.text for word in caption]
            for i in range(ORDER, len(texts)):
                for order in range(ORDER + 1):
                    self.counts[tuple(texts[i - order : i])][texts[i]] += 1

    def judge(self, texts: Sequence[str], i: int) -> tuple[float, bool]:
        """Bits that word i costs, and whether the likeliest word there is it."""
        before = ([""] * ORDER + list(texts))[i : i + ORDER]
        probability, guess = 1 / len(VOCABULARY), ""
        for order in range(ORDER + 1):
            counts = self.counts.get(tuple(before[ORDER - order :]))
            if counts:
                total = sum(counts.values())
                weight = total / (total + len(counts))
                probability = weight * counts[texts[i]] / total + (1 - weight) * probability
                guess = counts.most_common(1)[0][0] if total >= 5 else guess
        return -math.log2(probability), guess == texts[i]


def test_a_guesser_that_knows_only_captions_gets_few_of_the_words_right(captions: list[tuple[Word, ...]]) -> None:
    guesser, bits, right, said = Guesser(captions[:14_000]), [], [], Counter()
    for caption in captions[14_000:15_000]:
        texts = [word.text for word in caption]
        judged = [guesser.judge(texts, i) for i in decided(caption)]
        bits += [cost for cost, _ in judged]
        right += [good for _, good in judged]
        said.update(texts[i] for i in decided(caption))
    entropy = -sum(n / said.total() * math.log2(n / said.total()) for n in said.values())
    assert sum(right) / len(right) < 0.3
    assert sum(bits) / len(bits) > 0.45 * entropy  # most of the rest is grammar: a colour, a noun, a verb is due


def mutual_information(pairs: list[tuple[str, str]]) -> float:
    """In bits, less the bias that a finite sample has (Miller and Madow)."""
    joint, first, second = Counter(pairs), Counter(a for a, _ in pairs), Counter(b for _, b in pairs)
    n = len(pairs)
    raw = sum(k / n * math.log2(k * n / (first[a] * second[b])) for (a, b), k in joint.items())
    return raw - (len(first) - 1) * (len(second) - 1) / (2 * n * math.log(2))


def test_parts_of_a_scene_tell_next_to_nothing_of_each_other(drawn: list[Description]) -> None:
    """Fewer than 0.05 bits of the two or three that each part has."""
    acting = [w for w in drawn if w.object and w.verb in ("holding", "throwing", "lifting", "kicking") and not w.seen]
    assert len(acting) > 2000
    views = {
        "who": lambda w: w.subject.kind,
        "clothes": lambda w: w.subject.paint,
        "verb": lambda w: w.verb,
        "what": lambda w: w.object.kind,
        "place": lambda w: w.place,
        "weather": lambda w: w.weather if w.place not in ("", "floor", "stage") else None,
    }
    names = list(views)
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            pairs = [(views[one](w), views[other](w)) for w in acting]
            assert mutual_information([pair for pair in pairs if None not in pair]) < 0.05, (one, other)
    assert all(w.subject.kind in PEOPLE for w in acting)
