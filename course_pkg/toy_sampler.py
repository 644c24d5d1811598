"""Draws derivations of the toy grammar that have exactly the wanted number of English tokens (chapter 1).

Lengths are divided from the top: a sentence into clauses, a clause into subject and predicate, and so on down to
noun phrases. A branch that cannot be filled is a dead end, and is drawn again.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random
from typing import TypeVar

from course_pkg.toy_grammar import (
    Clause,
    Coordination,
    NounPhrase,
    Place,
    Predicate,
    Relative,
    Sentence,
    Subject,
)
from course_pkg.toy_lexicon import (
    DETERMINERS,
    LEXICON,
    MODALS,
    OF_PHRASES,
    Adjective,
    Lexicon,
    Noun,
    Preposition,
    Verb,
    fits,
)

__all__ = ["OWNED", "SUBJECT_DETERMINERS", "Sampler"]

T = TypeVar("T")

# Determiners by place in the sentence, repeated for their weight. "his" stands for all possessives.
SUBJECT_DETERMINERS = (
    *(["the"] * 6 + ["a"] * 3),
    *("this", "some", "two", "three", "several", "every", "all the", "many", "the two"),
)
_OBJECT = (
    *(["the"] * 4 + ["a"] * 3 + ["his"] * 2),
    *("this", "some", "two", "three", "several", "all the", "many", "the two"),
)
_DEFINITE_OBJECT = ("the", "the", "the", "this", "his", "the two")
_GROUND = ("the", "the", "the", "the", "the", "a", "this")  # also after "de", where "some" would need care
_THERE = ("a", "a", "two", "three", "some", "several", "many")
_SCOPE_FREE = ("", "the", "this", "the two")  # "every child does not …" would have two readings
OWNED = "own pet kin"  # the nouns that take a possessive

_SUBORDINATE = ("because", "while", "when")
_COORDINATE = (", and", ", but")
_FRONTED = ("while", "when")
# What joins the clauses of a sentence: the connector before each of them.
_PLANS = (
    ("",),
    ("", "and"),
    *(("", link) for link in _COORDINATE + _SUBORDINATE),
    *((first, ",") for first in _FRONTED),
    *(("", second, third) for second in _SUBORDINATE for third in _COORDINATE),
    *(("", second, third) for second in _COORDINATE for third in _SUBORDINATE),
    *((first, ",", third) for first in _FRONTED for third in (*_COORDINATE, "because")),
    *(("", a, b, c) for a in _SUBORDINATE for b in _COORDINATE for c in _SUBORDINATE if a != c),
    *((first, ",", third, "because") for first in _FRONTED for third in _COORDINATE),
    *(("", "because", ", and", fourth, ", but") for fourth in _FRONTED),
    *((first, ",", ", and", "because", ", but") for first in _FRONTED),
)
_LONGEST_CLAUSE = 15


class _DeadEnd(Exception):
    """Nothing of the wanted length this way."""


class Sampler:
    """Draws derivations with ``random.random()`` alone, the one method that never changes between versions."""

    def __init__(self, random: Random, lexicon: Lexicon = LEXICON):
        self.random, self.lexicon = random.random, lexicon
        # Nouns, verbs, adjectives of the sentence and prepositions of the clause so far: none comes twice.
        self.used: set[object] = set()
        self.momentary = False  # after "when" and "while" nothing is said to be often or always so

    def sentence(self, length: int) -> Sentence:
        """A sentence of ``length`` English tokens, the full stop among them."""
        plans = []
        for plan in _PLANS:
            words = length - 1 - sum(len(connector.split()) for connector in plan)
            if 6 <= words / len(plan) <= 12 or (len(plan) == 1 and words <= _LONGEST_CLAUSE):
                plans.append((plan, words))
        plan, words = plans[self.below(len(plans))]
        lengths = [2] * len(plan)
        for _ in range(words - sum(lengths)):
            short = [i for i, size in enumerate(lengths) if size < _LONGEST_CLAUSE]
            lengths[short[self.below(len(short))]] += 1
        self.used = set()
        return Sentence(plan, tuple(self._clause(*each) for each in zip(lengths, plan, strict=True)))

    def below(self, bound: int) -> int:
        """An integer from 0 to ``bound`` − 1."""
        return int(self.random() * bound)

    def _pick(self, options: Sequence[T]) -> T:
        fresh = [option for option in options if option not in self.used]
        if not fresh:
            raise _DeadEnd
        return fresh[self.below(len(fresh))]

    def _use(self, options: Sequence[T]) -> T:
        option = self._pick(options)
        self.used.add(option)
        return option

    def _try(self, times: int, draw: Callable[[], T]) -> T:
        before = set(self.used)
        for _ in range(times):
            try:
                return draw()
            except _DeadEnd:
                self.used = set(before)
        raise _DeadEnd

    # --- clauses ---

    def _clause(self, length: int, connector: str) -> Clause:
        self.momentary = connector in _FRONTED
        self.used -= {preposition.english for preposition in self.lexicon.prepositions}
        return self._try(100_000, lambda: self._one_clause(length))

    def _one_clause(self, length: int) -> Clause:
        if length >= 7 and self.random() < 0.1:
            return self._there(length)
        verb = self._verb(self.lexicon.verbs)
        subject, size = self._subject(length, verb)
        if verb is None and self.momentary and not fits(self._located(subject), "person animal"):
            raise _DeadEnd  # "when the table is red"
        said = self._try(4, lambda: self._predicates(length - size, subject, verb))
        scope_free = isinstance(subject, Coordination) or subject.determiner in _SCOPE_FREE
        if not scope_free and any(each.negated for each in said):
            raise _DeadEnd
        return Clause(subject, said)

    def _predicates(self, length: int, subject: Subject, verb: Verb | None) -> tuple[Predicate, ...]:
        if length < 7 or self.random() < 0.75:
            return (self._predicate(length, subject, verb),)
        first = 2 + self.below(length - 4)
        verbs = self.lexicon.done_by(self._head(subject))
        if isinstance(subject, Coordination):
            verbs = tuple(v for v in verbs if fits(subject.second.noun, v.subjects))
        other = self._verb(verbs, be=0.0)
        return (self._predicate(first, subject, verb), self._predicate(length - 1 - first, subject, other))

    def _there(self, length: int) -> Clause:
        size = 2 + self.below(min(length - 6, 6))
        subject = self._noun_phrase(size, "person animal vehicle tree", _THERE)
        return Clause(subject, (Predicate(place=self._place(length - 2 - size, subject.noun)),), there=True)

    def _verb(self, verbs: Sequence[Verb], be: float = 0.1) -> Verb | None:
        """One of ``verbs``, in a sentence that has not had it; with probability ``be`` None, which is "be"."""
        if self.random() < be:
            return None
        verb = self._pick([v for v in verbs if v.english[0] not in self.used])
        self.used.add(verb.english[0])
        return verb

    def _subject(self, length: int, verb: Verb | None) -> tuple[Subject, int]:
        """A subject for a clause of ``length`` tokens, and its own length."""
        size = min(max(1, int(length * (0.1 + 0.7 * self.random()))), length - 1)
        if size == 1 and length > 4 and self.random() < 0.6:
            size = 2
        anything = "person animal thing craft furniture part scenery building pronoun name"
        wanted = verb.subjects if verb else anything
        if size == 1:
            return self._alone(wanted), size
        human = "name" in wanted.split()
        if size == 3 and human and self.random() < 0.3:
            return Coordination(self._alone("name"), self._alone("name")), size
        if 5 <= size <= 7 and self.random() < 0.3:
            wanted, left = "person" if human else wanted, 2 + self.below(size - 4)
            first = self._noun_phrase(left, wanted, ("the",), depth=2)
            return Coordination(first, self._noun_phrase(size - 1 - left, wanted, ("the",), depth=2)), size
        return self._noun_phrase(size, wanted, SUBJECT_DETERMINERS), size

    # --- noun phrases ---

    def _alone(self, wanted: str) -> NounPhrase:
        """A name or a pronoun that belongs to the selection ``wanted``."""
        noun = self._use(self.lexicon.proper(wanted))
        return NounPhrase(noun, "", plural=noun.english[0] == "they")

    def _noun_phrase(
        self, length: int, wanted: str, determiners: Sequence[str], depth: int = 0, owner: Subject | None = None
    ) -> NounPhrase:
        """A noun phrase of ``length`` tokens; ``depth`` 2 allows adjectives alone, 1 small modifiers."""
        # Trying here first keeps noun phrases as frequent as names, which never fail.
        return self._try(6, lambda: self._one_noun_phrase(length, wanted, determiners, depth, owner))

    def _one_noun_phrase(
        self, length: int, wanted: str, determiners: Sequence[str], depth: int, owner: Subject | None
    ) -> NounPhrase:
        noun = self._use(self.lexicon.common(wanted))
        determiner, plural = self._determiner(determiners, noun, owner)
        rest = length - len(noun.english[plural].split()) - len(determiner.split())
        if rest < 0:
            raise _DeadEnd
        adjectives, joined = self._adjectives(rest, noun, only=depth >= 2)
        rest -= len(adjectives) + joined
        phrase = NounPhrase(noun, determiner, plural, adjectives, joined)
        if rest == 0:
            return phrase
        if depth >= 2 or "mass" in noun.tags:
            raise _DeadEnd
        return replace(phrase, modifier=self._modifier(rest, phrase, depth))

    def _determiner(self, determiners: Sequence[str], noun: Noun, owner: Subject | None) -> tuple[str, bool]:
        """A determiner that the noun takes, and whether the phrase is plural."""
        determiner = determiners[self.below(len(determiners))]
        if "mass" in noun.tags:
            return "the", False
        if determiner == "his":
            determiner = _possessive(owner, noun)
        singular, many = DETERMINERS[determiner].english
        plural = bool(many and noun.english[1]) and (not singular or self.random() < 0.35)
        if not plural and not singular:
            determiner = "the" if "the" in determiners else "a"
        return determiner, plural

    def _adjectives(self, rest: int, noun: Noun, only: bool) -> tuple[tuple[Adjective, ...], bool]:
        """Up to two adjectives (exactly ``rest`` of them if ``only``), and whether "and" joins them."""
        fitting = self.lexicon.describing(noun)
        if rest >= 3 and fits(noun, "pet bird toy kite hat boat") and self.random() < 0.15:
            colours = [adjective for adjective in fitting if adjective.rank == 5]
            return (self._use(colours), self._use(colours)), True
        if only or rest == 1:
            number = rest
        else:
            number = self._pick((0, 1, 1, 2) if rest == 2 else (0, 0, 1, 1, 1, 2))
        if number > 2:
            raise _DeadEnd
        chosen: list[Adjective] = []
        while len(chosen) < number:
            chosen.append(self._use([a for a in fitting if all(_together(a, other) for other in chosen)]))
        return tuple(sorted(chosen, key=lambda adjective: adjective.rank)), False

    def _modifier(self, length: int, head: NounPhrase, depth: int) -> Place | Relative:
        """An "of" phrase, a place or a relative clause, of ``length`` tokens."""
        small = length <= (9 if depth == 0 else 5)
        if head.determiner == "the" and length >= 3 and self.random() < 0.4:
            for owned, owners in OF_PHRASES:
                if fits(head.noun, owned):
                    of = Preposition("of", "de", owned, owners)
                    return Place(of, self._noun_phrase(length - 1, owners, _GROUND, depth + 1))
        if length >= 3 and (self.random() < 0.3 or not small):
            return self._place(length, head.noun, depth)
        if not small or head.determiner in ("this", "his", "her", "their"):
            raise _DeadEnd
        return self._relative(length, head, depth)

    def _place(self, length: int, located: Noun, depth: int = 0, at: bool = False) -> Place:
        """Where something is, in ``length`` tokens; "at" only if allowed ("walks at" would be *marche à*: to)."""
        fitting = [p for p in self.lexicon.placing(located) if at or p.english != "at"]
        fitting = [p for p in fitting if len(p.english.split()) <= length - 2 and p.english not in self.used]
        preposition = self._pick(fitting)
        self.used.add(preposition.english)
        size = length - len(preposition.english.split())
        determiners = ("the",) if preposition.english == "at" else _GROUND
        return Place(preposition, self._noun_phrase(size, preposition.grounds, determiners, depth + 1))

    def _relative(self, length: int, head: NounPhrase, depth: int) -> Relative:
        """A relative clause of ``length`` tokens: one in two with a subject of its own, where there is room."""
        if length < 3 or self.random() < 0.5:
            verb = self._verb(self.lexicon.done_by(head.noun))
            return Relative(self._predicate(length - 1, head, verb, depth + 1))
        where = "place" in head.noun.tags and self.random() < 0.6
        idle = [v for v in self.lexicon.verbs if "place" in v.flags and not v.objects]
        verb = self._verb(idle if where else self.lexicon.done_to(head.noun), be=0.0)
        assert verb is not None
        size = 1 + self.below(min(length - 2, 4))
        determiners = ("the", "the", "the", "a")
        subject = (
            self._alone(verb.subjects) if size == 1 else self._noun_phrase(size, verb.subjects, determiners, depth=2)
        )
        said, cost = self._verb_group(verb)
        if cost != length - 1 - size:
            raise _DeadEnd
        return Relative(said, subject, where)

    # --- predicates ---

    def _predicate(self, length: int, subject: Subject, verb: Verb | None, depth: int = 0) -> Predicate:
        """What is said of the subject, in ``length`` tokens."""
        if verb is None:
            return self._be(length, subject, depth)
        said, cost = self._verb_group(verb)
        rest = length - cost
        if verb.objects:
            return self._with_object(said, verb, rest, subject, depth)
        if rest == 0:
            return said
        if rest < 3 or "place" not in verb.flags:
            raise _DeadEnd
        return replace(said, place=self._scene(rest, subject, depth, "still" in verb.flags))

    def _with_object(self, said: Predicate, verb: Verb, rest: int, subject: Subject, depth: int) -> Predicate:
        """``said`` with an object, and perhaps a recipient or a place: ``rest`` tokens."""
        gives, room = verb.english[0] == "give", 0
        if rest >= 5 and "to" in verb.flags and (gives or self.random() < 0.6):
            room = 3 + self.below(min(rest - 4, 4))
        elif gives:
            raise _DeadEnd
        elif rest >= 5 and "place" in verb.flags and self.random() < 0.3:
            room = 3 + self.below(min(rest - 4, 5))
        allowed = _DEFINITE_OBJECT if said.negated or "the" in verb.flags else _OBJECT
        if verb.preposition:
            allowed = tuple(d for d in allowed if d in _GROUND or d == "his")
        owner = None if "unowned" in verb.flags else subject
        said = replace(said, object=self._noun_phrase(rest - room, verb.objects, allowed, depth, owner))
        if not room:
            return said
        if "to" in verb.flags:
            recipient = self._noun_phrase(room - 1, "person", ("the", "the", "a"), depth + 1)
            return replace(said, recipient=recipient)
        return replace(said, place=self._scene(room, subject, depth))

    def _scene(self, length: int, subject: Subject, depth: int, at: bool = False) -> Place:
        """Where the subject is, unless it is already said to be somewhere else."""
        if isinstance(subject, NounPhrase) and isinstance(subject.modifier, Place):
            raise _DeadEnd
        return self._place(length, self._located(subject), depth, at)

    def _be(self, length: int, subject: Subject, depth: int) -> Predicate:
        """ "be" with a place, or with an adjective: of state for the living, of any kind but "new" for things."""
        negated = length >= 3 and self.random() < 0.3
        rest = length - 1 - negated
        if rest < 1:
            raise _DeadEnd
        noun = self._located(subject)
        if rest >= 3:
            return Predicate(negated=negated, place=self._scene(rest, subject, depth, at=True))
        alive = bool(noun.tags & {"person", "animal"})
        fitting = [a for a in self.lexicon.describing(noun) if (a.rank == 1 if alive else a.english != "new")]
        if rest == 2:  # with "very"
            fitting = [a for a in fitting if a.rank < 4]
        if isinstance(subject, NounPhrase):
            fitting = [a for a in fitting if all(_together(a, other) for other in subject.adjectives)]
        return Predicate(negated=negated, adjective=self._use(fitting), very=rest == 2)

    def _verb_group(self, verb: Verb) -> tuple[Predicate, int]:
        """Negation, aspect, modal and adverb, with the number of English tokens of the whole verb group."""
        cost = 1 + len(verb.particle.split())
        negated, draw = self.random() < 0.25, self.random()
        plain = Predicate(verb, negated=negated)
        manner = [adverb for flag, adverb in (("slow", "slowly"), ("quiet", "quietly")) if flag in verb.flags]
        if draw < 0.2 and verb.english[2]:
            adverb = self._pick(manner) if manner and not negated and self.random() < 0.2 else ""
            return replace(plain, progressive=True, adverb=adverb), cost + 1 + negated + bool(adverb)
        if draw < 0.3 and "modal" in verb.flags:
            modal = self._pick(("want", "try") if negated else ("want", "try", "can"))
            return replace(plain, modal=modal), cost + 1 + bool(MODALS[modal][1]) + 2 * negated
        if draw < 0.45 and "state" not in verb.flags and not self.momentary:
            return replace(plain, adverb=self._pick(("often", "always"))), cost + 1 + 2 * negated
        if draw < 0.55 and manner and not negated:
            return replace(plain, adverb=self._pick(manner)), cost + 1
        return plain, cost + 2 * negated

    def _head(self, subject: Subject) -> Noun:
        return subject.first.noun if isinstance(subject, Coordination) else subject.noun

    def _located(self, subject: Subject) -> Noun:
        """The noun that decides what suits a subject; a name or a pronoun counts as a person."""
        noun = self._head(subject)
        return self.lexicon.common("person")[0] if noun.alone else noun


def _together(one: Adjective, other: Adjective) -> bool:
    """Whether two adjectives stand well on one noun: of different kinds, and praise only with a colour."""
    if one.rank == other.rank or (one.before and other.before):
        return False
    low, high = sorted((one.rank, other.rank))
    if high == 5 and {"heavy", "wild"} & {one.english, other.english}:
        return False  # their French order is not the mirror of the English one
    return low != 0 or high >= 4


def _possessive(owner: Subject | None, noun: Noun) -> str:
    """*his*, *her* or *their* for a subject whose gender is known and a thing that one owns."""
    if owner is None or not fits(noun, OWNED):
        return "the"
    if owner.plural:
        return "their"
    assert isinstance(owner, NounPhrase)
    return "his" if "male" in owner.noun.tags else "her" if "female" in owner.noun.tags else "the"
