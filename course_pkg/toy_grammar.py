"""A synchronous English-French grammar: one derivation, two sentences, and the links between their words (chapter 1).

A derivation is a tree of the dataclasses below. Each rule lays the same children out twice, once in English and once
in French; words that carry the same label translate each other. A label of ``""`` marks a word without a
counterpart: *do* of a negation, *be* of a progressive, *to* of an infinitive. A French word always has a counterpart:
*ne* and *pas* belong to "not", *du* to both "of" and "the", the *de* of *jouer de* to "play".
"They" is always *ils*, which may stand for anybody.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from course_pkg.toy_lexicon import (
    ADVERBS,
    ASPIRATED,
    CONNECTORS,
    DETERMINERS,
    MODALS,
    Adjective,
    Noun,
    Preposition,
    Verb,
)

__all__ = [
    "Clause",
    "Coordination",
    "NounPhrase",
    "Phrase",
    "Place",
    "Predicate",
    "Relative",
    "Sentence",
    "derive",
]


@dataclass(frozen=True)
class Place:
    """A prepositional phrase; its preposition is of place, or "of"."""

    preposition: Preposition
    ground: "NounPhrase"


@dataclass(frozen=True)
class NounPhrase:
    """A noun with its determiner and modifiers; ``joined`` puts "and" between two adjectives (black and white)."""

    noun: Noun
    determiner: str = "the"
    plural: bool = False
    adjectives: tuple[Adjective, ...] = ()
    joined: bool = False
    modifier: "Place | Relative | None" = None

    @property
    def feminine(self) -> bool:
        return self.noun.feminine


@dataclass(frozen=True)
class Coordination:
    """Two noun phrases joined by "and": plural, and masculine as soon as one of them is."""

    first: NounPhrase
    second: NounPhrase

    @property
    def plural(self) -> bool:
        return True

    @property
    def feminine(self) -> bool:
        return self.first.feminine and self.second.feminine


Subject = NounPhrase | Coordination


@dataclass(frozen=True)
class Predicate:
    """What is said of a subject. Without a verb it is "be" with an adjective or a place."""

    verb: Verb | None = None
    negated: bool = False
    progressive: bool = False
    modal: str = ""
    adverb: str = ""
    object: NounPhrase | None = None
    recipient: NounPhrase | None = None
    place: Place | None = None
    adjective: Adjective | None = None
    very: bool = False


@dataclass(frozen=True)
class Relative:
    """A relative clause: *qui* without a subject of its own, *que* with one, *où* if the head is the place."""

    predicate: Predicate
    subject: Subject | None = None
    where: bool = False


@dataclass(frozen=True)
class Clause:
    """A subject with one predicate or two; ``there`` makes it "there is" (the place is in the predicate)."""

    subject: Subject
    predicates: tuple[Predicate, ...]
    there: bool = False


@dataclass(frozen=True)
class Sentence:
    """Clauses, each with the connector before it (``""`` for none, ``", and"`` for a comma and "and")."""

    connectors: tuple[str, ...]
    clauses: tuple[Clause, ...]


@dataclass(frozen=True, eq=False)
class Phrase:
    """English words, French words, and links (English index, French index)."""

    source: tuple[str, ...]
    target: tuple[str, ...]
    links: frozenset[tuple[int, int]]


Item = tuple[str, str] | Phrase  # a labelled string of words, or a phrase made before


def _lay(items: Sequence[Item], french: bool) -> tuple[list[str], dict[object, list[int]]]:
    words: list[str] = []
    places: dict[object, list[int]] = {}
    for item in items:
        if isinstance(item, Phrase):
            key: object = id(item)
            new = list(item.target if french else item.source)
        else:
            key, new = item[0], item[1].split()
        places.setdefault(key, []).extend(range(len(words), len(words) + len(new)))
        words += new
    return words, places


def rule(english: Sequence[Item], french: Sequence[Item]) -> Phrase:
    """One synchronous rule: the same items in English order and in French order."""
    source, here = _lay(english, french=False)
    target, there = _lay(french, french=True)
    links = set()
    for item in english:
        if isinstance(item, Phrase):
            links |= {(here[id(item)][i], there[id(item)][j]) for i, j in item.links}
        elif item[0]:
            links |= {(i, j) for i in here[item[0]] for j in there.get(item[0], ())}
    return Phrase(tuple(source), tuple(target), frozenset(links))


def starts_with_vowel(word: str) -> bool:
    """Whether a French word is heard to begin with a vowel, so that the word before it elides."""
    first = word[0].lower()
    return first in "aeiouyàâéèêëîïôœùû" or (first == "h" and word not in ASPIRATED)


# --- noun phrases ---


def adjective_form(adjective: Adjective, feminine: bool, plural: bool, following: str = "") -> str:
    """The French form that agrees; ``following`` is the word after it, for *bel*, *nouvel* and *vieil*."""
    if following and not feminine and not plural and starts_with_vowel(following):
        return adjective.french[4]
    return adjective.french[feminine + 2 * plural]


def _determiner(phrase: NounPhrase, following: str, adjective_follows: bool) -> tuple[list[Item], list[Item]]:
    forms = DETERMINERS[phrase.determiner]
    english, french = forms.english[phrase.plural], forms.french[phrase.noun.feminine + 2 * phrase.plural]
    if starts_with_vowel(following):
        french = {"ce": "cet", "sa": "son"}.get(french, french)
    if french == "des" and adjective_follows:
        french = "de"
    if " " in english:  # "all the", "the two": word by word
        firsts, seconds = english.split(), french.split()
        return list(zip("ab", firsts, strict=True)), list(zip("ab", seconds, strict=True))
    return [("a", english)], [("a", french)]


def noun_phrase(phrase: Subject) -> Phrase:
    """Determiner, adjectives, noun, modifier; in French most adjectives follow the noun, in reverse order."""
    if isinstance(phrase, Coordination):
        first, second = noun_phrase(phrase.first), noun_phrase(phrase.second)
        return rule([first, ("and", "and"), second], [first, ("and", "et"), second])
    noun, plural = phrase.noun, phrase.plural
    heads, tails = [("noun", noun.english[plural])], [("noun", noun.french[plural])]
    if "crossed" in noun.tags:  # "stop sign", "panneau stop"
        heads, tails = [("1", heads[0][1].split()[0]), ("2", heads[0][1].split()[1])], tails
        tails = [("2", tails[0][1].split()[0]), ("1", tails[0][1].split()[1])]
    english: list[Item] = []
    before: list[Item] = []
    after: list[Item] = []
    for adjective in phrase.adjectives if phrase.joined else sorted(phrase.adjectives, key=lambda a: a.rank):
        label = adjective.english
        if adjective.before:
            before.append((label, adjective_form(adjective, phrase.feminine, plural, noun.french[plural])))
        elif phrase.joined and after:
            after += [("and", "et"), (label, adjective_form(adjective, phrase.feminine, plural))]
            english.append(("and", "and"))
        else:
            after.insert(0, (label, adjective_form(adjective, phrase.feminine, plural)))
        english.append((label, label))
    following = (before or tails)[0][1]  # type: ignore[index]
    determiner, article = _determiner(phrase, following, bool(before))
    english, french = [*determiner, *english, *heads], [*article, *before, *tails, *after]
    if isinstance(phrase.modifier, Place):
        extra = place(phrase.modifier)
        english, french = [*english, extra], [*french, extra]
    elif phrase.modifier is not None:
        extra = _relative(phrase.modifier, phrase)
        english, french = [*english, extra], [*french, extra]
    return rule(english, french)


def place(phrase: Place) -> Phrase:
    """A prepositional phrase."""
    ground, english, french = noun_phrase(phrase.ground), phrase.preposition.english, phrase.preposition.french
    if english == "next to":
        return rule([("next", "next"), ("to", "to"), ground], [("next", "à côté"), ("to", "de"), ground])
    return rule([("in", english), ground], [("in", french), ground])


def _relative(relative: Relative, head: NounPhrase) -> Phrase:
    if relative.subject is None:
        pronoun = "who" if "person" in head.noun.tags else "that"
        said = predicate(relative.predicate, head)
        return rule([("who", pronoun), said], [("who", "qui"), said])
    subject, said = noun_phrase(relative.subject), predicate(relative.predicate, relative.subject)
    english, french = ("where", "où") if relative.where else ("that", "que")
    return rule([("who", english), subject, said], [("who", french), subject, said])


# --- verb phrases ---


def _be(said: Predicate, subject: Subject) -> Phrase:
    english: list[Item] = [("be", "are" if subject.plural else "is")]
    french: list[Item] = [("be", "sont" if subject.plural else "est")]
    if said.negated:
        english, french = [*english, ("not", "not")], [("not", "ne"), *french, ("not", "pas")]
    if said.very:
        english, french = [*english, ("very", "very")], [*french, ("very", "très")]
    if said.adjective is not None:
        form = adjective_form(said.adjective, subject.feminine, subject.plural)
        english, french = [*english, ("how", said.adjective.english)], [*french, ("how", form)]
    return rule(english, french)


def _english_verb(said: Predicate, verb: Verb, plural: bool) -> list[Item]:
    often = [(said.adverb, said.adverb)] if said.adverb else []
    last: list[Item] = []
    if said.adverb in ("slowly", "quietly") and said.object is None and not verb.particle:
        often, last = [], list(often)  # "walks slowly", but "slowly reads the letter"
    base, third, ing = verb.english
    if said.modal:
        (modal_base, modal_third), link, _, french_link = MODALS[said.modal]
        stem = [("", "do" if plural else "does"), ("not", "not"), ("modal", modal_base)] if said.negated else []
        stem = stem or [("modal", modal_base if plural else modal_third)]
        return [*stem, ("link" if french_link else "", link), ("verb", base)]
    if said.progressive:
        stem = [("", "are" if plural else "is"), *([("not", "not")] if said.negated else [])]
        return [*stem, *often, ("verb", ing), *last]
    if said.negated:
        return [("", "do" if plural else "does"), ("not", "not"), *often, ("verb", base), *last]
    return [*often, ("verb", base if plural else third), *last]


def _french_verb(said: Predicate, verb: Verb, plural: bool) -> list[Item]:
    infinitive, singular, many = verb.french
    finite: Item = ("verb", many if plural else singular)
    rest: list[Item] = [(said.adverb, ADVERBS[said.adverb])] if said.adverb else []
    if said.modal:
        _, _, forms, link = MODALS[said.modal]
        finite, rest = ("modal", forms[plural]), [("link", link), ("verb", infinitive)]
    return [("not", "ne"), finite, ("not", "pas"), *rest] if said.negated else [finite, *rest]


def predicate(said: Predicate, subject: Subject) -> Phrase:
    """Verb, object, recipient and place, the verb agreeing with the subject."""
    verb = said.verb
    if verb is None:
        parts: list[Item] = [_be(said, subject)]
    else:
        english, french = _english_verb(said, verb, subject.plural), _french_verb(said, verb, subject.plural)
        label = "to" if verb.preposition and verb.particle else "verb"  # "talks to" / "parle à", "looks at" / "regarde"
        parts = [rule([*english, (label, verb.particle)], [*french, (label, verb.preposition)])]
    if said.object is not None:
        parts.append(noun_phrase(said.object))
    if said.recipient is not None:
        recipient = noun_phrase(said.recipient)
        parts.append(rule([("to", "to"), recipient], [("to", "à"), recipient]))
    if said.place is not None:
        parts.append(place(said.place))
    return rule(parts, parts)


# --- sentences ---


def clause(tree: Clause) -> Phrase:
    """Subject and predicates, or "there is"."""
    subject = noun_phrase(tree.subject)
    if tree.there:
        english: list[Item] = [("there", "there"), ("is", "are" if tree.subject.plural else "is"), subject]
        french: list[Item] = [("there", "il y"), ("is", "a"), subject]
        where = tree.predicates[0].place
        assert where is not None
        scene = place(where)
        return rule([*english, scene], [*french, scene])
    said = [predicate(each, tree.subject) for each in tree.predicates]
    english, french = [subject, said[0]], [subject, said[0]]
    for number, more in enumerate(said[1:]):
        english, french = [*english, (f"and{number}", "and"), more], [*french, (f"and{number}", "et"), more]
    return rule(english, french)


def derive(tree: Sentence) -> Phrase:
    """The two sentences of a derivation, spelt out: elided, contracted, capitalised, with the full stop."""
    english: list[Item] = []
    french: list[Item] = []
    for number, (connector, each) in enumerate(zip(tree.connectors, tree.clauses, strict=True)):
        phrase = clause(each)
        for word in connector.split():
            english.append((f"{word}{number}", word))
            french.append((f"{word}{number}", CONNECTORS[word]))
        english, french = [*english, phrase], [*french, phrase]
    return _spell(rule([*english, (".", ".")], [*french, (".", ".")]))


_CONTRACTED = {("de", "le"): "du", ("de", "les"): "des", ("à", "le"): "au", ("à", "les"): "aux"}
_ELIDED = {"le": "l'", "la": "l'", "de": "d'", "ne": "n'", "que": "qu'"}


def _spell(phrase: Phrase) -> Phrase:
    """French as it is written: elision first, so that "de l'école" is not contracted; English "an"."""
    source, target = list(phrase.source), list(phrase.target)
    for i in range(len(source) - 1):
        if source[i] == "a" and source[i + 1][0].lower() in "aeiou":
            source[i] = "an"
    for j in range(len(target) - 1):
        if target[j] in _ELIDED and starts_with_vowel(target[j + 1]):
            target[j] = _ELIDED[target[j]]
    place_of: list[int] = []  # where each word stands after contraction
    written: list[str] = []
    for word in target:
        if written and (written[-1], word) in _CONTRACTED:
            written[-1] = _CONTRACTED[written[-1], word]
        else:
            written.append(word)
        place_of.append(len(written) - 1)
    source[0], written[0] = source[0][0].upper() + source[0][1:], written[0][0].upper() + written[0][1:]
    return Phrase(tuple(source), tuple(written), frozenset((i, place_of[j]) for i, j in phrase.links))
