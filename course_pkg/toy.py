"""Generated data with known truth: English-French sentence pairs with gold word alignments (chapters 1-3, 5).

The sentences come from a synchronous grammar (`course_pkg.toy_grammar`) over a small lexicon
(`course_pkg.toy_lexicon`). Derivations are drawn with exactly the wanted number of English tokens
(`course_pkg.toy_sampler`), so lengths can be steered. The toy is introduced in chapter 1.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from random import Random

from course_pkg.notation import CourseError
from course_pkg.toy_grammar import (
    Clause,
    NounPhrase,
    Phrase,
    Predicate,
    Relative,
    Sentence,
    derive,
    noun_phrase,
    predicate,
)
from course_pkg.toy_lexicon import ADVERBS, CONNECTORS, DETERMINERS, LEXICON, MODALS, fits
from course_pkg.toy_sampler import OWNED, SUBJECT_DETERMINERS, Sampler

__all__ = ["COURSE_SENTENCE", "AlignedPair", "join", "pairs", "stream", "tokenize", "vocabulary_words"]

SHORTEST, LONGEST = 3, 60


@dataclass(frozen=True)
class AlignedPair:
    """A sentence, its translation, and which words translate which.

    ``source`` and ``target`` are natural text; the tokens are their words, with punctuation and an elided
    word (``l'``) as tokens of their own. ``links`` holds pairs (source token index, target token index) from
    0; every target token has at least one. English words without a French counterpart (*do* of a negation,
    *be* of a progressive, *to* of an infinitive) have none.
    """

    source: str
    target: str
    source_tokens: tuple[str, ...]
    target_tokens: tuple[str, ...]
    links: frozenset[tuple[int, int]]


def tokenize(text: str) -> list[str]:
    """Words (hyphens inside, an elision's apostrophe at the end) and punctuation marks."""
    return re.findall(r"\w+(?:-\w+)*'?|[^\w\s]", text)


def join(tokens: Sequence[str]) -> str:
    """Tokens as text: no space before "." and ",", none after an apostrophe."""
    return re.sub(r" ([.,])", r"\1", re.sub(r"' ", "'", " ".join(tokens)))


def pairs(count: int, *, seed: int, min_words: int = SHORTEST, max_words: int = LONGEST) -> list[AlignedPair]:
    """``count`` sentence pairs, the first of `stream` with the same arguments.

    Raises `CourseError` as `stream` does, and for a negative ``count``.
    """
    if count < 0:
        raise CourseError(f"{count} sentence pairs cannot be made; ask for 0 or more")
    return list(islice(stream(seed=seed, min_words=min_words, max_words=max_words), count))


def stream(*, seed: int, min_words: int = SHORTEST, max_words: int = LONGEST) -> Iterator[AlignedPair]:
    """Sentence pairs without end; the same seed gives the same pairs on every machine.

    The number of source tokens, punctuation included, is uniform over ``min_words`` … ``max_words``. Raises
    `CourseError` unless 3 ≤ ``min_words`` ≤ ``max_words`` ≤ 60.
    """
    if not SHORTEST <= min_words <= max_words <= LONGEST:
        raise CourseError(
            f"no toy sentences of {min_words} to {max_words} words; choose a range within {SHORTEST} to {LONGEST}"
        )
    return _stream(Sampler(Random(seed)), min_words, max_words)


def _stream(sampler: Sampler, min_words: int, max_words: int) -> Iterator[AlignedPair]:
    while True:
        yield pair_of(sampler.sentence(min_words + sampler.below(max_words - min_words + 1)))


def pair_of(tree: Sentence) -> AlignedPair:
    """The aligned pair that a derivation spells out."""
    phrase = derive(tree)
    return AlignedPair(join(phrase.source), join(phrase.target), phrase.source, phrase.target, phrase.links)


def course_derivation() -> Sentence:
    """The derivation of the sentence that runs through the course."""
    black_dog = NounPhrase(LEXICON.noun("dog"), adjectives=(LEXICON.adjective("black"),))
    unseeing = Relative(Predicate(LEXICON.verb("see"), negated=True, object=black_dog))
    woman = NounPhrase(LEXICON.noun("woman"), modifier=unseeing)
    throws = Predicate(LEXICON.verb("throw"), object=NounPhrase(LEXICON.noun("frisbee")))
    return Sentence(("",), (Clause(woman, (throws,)),))


COURSE_SENTENCE = pair_of(course_derivation())


@cache
def vocabulary_words() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Every English and every French token that the grammar can make, sorted.

    A word that can open a sentence is there with a capital too.
    """
    phrases = [*_noun_forms(), *_verb_forms()]
    english, french = {"an"}, {"l'", "d'", "n'", "qu'", "du", "des", "au", "aux", "cet", "cette"}
    for phrase in phrases:
        english.update(phrase.source)
        french.update(phrase.target)
    for here, there in [*CONNECTORS.items(), *((p.english, p.french) for p in LEXICON.prepositions)]:
        english.update(here.split())
        french.update(there.split())
    english.update(["of", "to", "there", "where", "that", "who", "not", "very", ".", ","])
    french.update(["de", "à", "il", "y", "a", "où", "que", "qui", "ne", "pas", "très", ".", ","])
    openers = {"an", "there", "while", "when"}, {"l'", "cet", "de", "il", "quand", "pendant"}
    for name in set(SUBJECT_DETERMINERS):
        openers[0].update(form.split()[0] for form in DETERMINERS[name].english if form)
        openers[1].update(form.split()[0] for form in DETERMINERS[name].french if form)
    for noun in LEXICON.proper("pronoun name"):
        openers[0].update(form for form in noun.english if form)
        openers[1].update(form for form in noun.french if form)
    english |= {word[0].upper() + word[1:] for word in openers[0]}
    french |= {word[0].upper() + word[1:] for word in openers[1]}
    return tuple(sorted(english - {""})), tuple(sorted(french - {""}))


def _noun_forms() -> Iterator[Phrase]:
    """Every noun in its numbers, with every determiner and adjective of its own."""
    for noun in LEXICON.nouns:
        if noun.alone:
            yield noun_phrase(NounPhrase(noun, "", plural=noun.english[0] == "they"))
            continue
        for name, determiner in DETERMINERS.items():
            for plural in (False, True):
                if determiner.english[plural] and noun.english[plural] and ("mass" not in noun.tags or name == "the"):
                    owned = name not in ("his", "her", "their") or fits(noun, OWNED)
                    yield noun_phrase(NounPhrase(noun, name if owned else "the", plural))
        for adjective in LEXICON.describing(noun):
            for plural in (False, True)[: 1 + bool(noun.english[1])]:
                yield noun_phrase(NounPhrase(noun, "the", plural, (adjective,)))
    for noun in LEXICON.proper("pronoun"):
        for adjective in LEXICON.describing(noun):
            yield predicate(Predicate(adjective=adjective), NounPhrase(noun, "", noun.english[0] == "they"))


def _verb_forms() -> Iterator[Phrase]:
    """Every verb in both numbers and in every style it admits."""
    for subject in (NounPhrase(LEXICON.noun("they"), "", True), NounPhrase(LEXICON.noun("she"), "")):
        yield predicate(Predicate(negated=True), subject)
        for verb in LEXICON.verbs:
            yield predicate(Predicate(verb), subject)
            yield predicate(Predicate(verb, negated=True), subject)
            if verb.english[2]:
                yield predicate(Predicate(verb, progressive=True), subject)
            for modal in MODALS if "modal" in verb.flags else ():
                yield predicate(Predicate(verb, modal=modal), subject)
                if modal != "can":
                    yield predicate(Predicate(verb, modal=modal, negated=True), subject)
            for adverb in ADVERBS:
                yield predicate(Predicate(verb, adverb=adverb), subject)
