"""The toy pairs, judged by a checker that knows English and French from tables of its own."""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from random import Random

import pytest

from course_pkg import toy, toy_grammar
from course_pkg.notation import CourseError
from course_pkg.toy_lexicon import LEXICON, Lexicon
from course_pkg.toy_sampler import Sampler

# --- what the checker knows, independently of the package -----------------------------------------------------------

MASCULINE = dict(
    pair.split(":")
    for pair in """homme:man garçon:boy enfant:child ami:friend professeur:teacher médecin:doctor père:father
    chien:dog chat:cat oiseau:bird hibou:owl cheval:horse éléphant:elephant frisbee:frisbee nounours:teddy_bear
    cerf-volant:kite livre:book journal:newspaper chapeau:hat gâteau:cake bateau:boat bus:bus lit:bed arbre:tree
    pont:bridge panneau:sign hôpital:hospital jardin:garden parc:park village:village lac:lake marché:market
    """.split()
)
FEMININE = dict(
    pair.split(":")
    for pair in """femme:woman fille:girl mère:mother girafe:giraffe balle:ball lettre:letter guitare:guitar
    pomme:apple fleur:flower histoire:story voiture:car chaise:chair table:table porte:door montagne:mountain
    maison:house école:school cuisine:kitchen rue:street forêt:forest plage:beach gare:station eau:water
    """.split()
)
FRENCH_PLURAL = {"cerf-volant": "cerfs-volants", "nounours": "nounours", "bus": "bus", "hibou": "hiboux"}
ENGLISH_PLURAL = {"man": "men", "woman": "women", "child": "children", "teddy_bear": "teddy_bears"}
ADJECTIVES = {  # m. sg., f. sg., m. pl., f. pl.
    "good": "bon bonne bons bonnes",
    "beautiful": "beau belle beaux belles",
    "big": "grand grande grands grandes",
    "tall": "grand grande grands grandes",
    "small": "petit petite petits petites",
    "old": "vieux vieille vieux vieilles",
    "young": "jeune jeune jeunes jeunes",
    "new": "nouveau nouvelle nouveaux nouvelles",
    "happy": "heureux heureuse heureux heureuses",
    "tired": "fatigué fatiguée fatigués fatiguées",
    "sad": "triste triste tristes tristes",
    "curious": "curieux curieuse curieux curieuses",
    "heavy": "lourd lourde lourds lourdes",
    "wild": "sauvage sauvage sauvages sauvages",
    "black": "noir noire noirs noires",
    "white": "blanc blanche blancs blanches",
    "grey": "gris grise gris grises",
    "red": "rouge rouge rouges rouges",
    "blue": "bleu bleue bleus bleues",
    "green": "vert verte verts vertes",
    "yellow": "jaune jaune jaunes jaunes",
}
BEFORE_NOUN = {"good", "beautiful", "big", "tall", "small", "old", "young", "new"}
LIAISON = {"beau": "bel", "vieux": "vieil", "nouveau": "nouvel"}
VERBS = {  # French singular, plural, infinitive: how the English verb begins
    "dort dorment dormir": "sleep",
    "court courent courir": "run",
    "marche marchent marcher": "walk",
    "chante chantent chanter": "sing",
    "joue jouent jouer": "play",
    "attend attendent attendre": "wait",
    "lit lisent lire": "read",
    "voit voient voir": "see",
    "lance lancent lancer": "throw",
    "mange mangent manger": "eat",
    "aime aiment aimer": "love",
    "attrape attrapent attraper": "catch",
    "porte portent porter": "carr",
    "suit suivent suivre": "follow",
    "regarde regardent regarder": "look",
    "cherche cherchent chercher": "look",
    "dessine dessinent dessiner": "draw",
    "ouvre ouvrent ouvrir": "open",
    "achète achètent acheter": "buy",
    "écoute écoutent écouter": "listen",
    "parle parlent parler": "talk",
    "pense pensent penser": "think",
    "va vont aller": "go",
    "vient viennent venir": "com",
    "donne donnent donner": "giv",
    "est sont être": "is are",
    "veut veulent vouloir": "want",
    "essaie essaient essayer": "tr",
    "peut peuvent pouvoir": "can",
}
FUNCTION = {
    "le la les l'": "the",
    "un une": "a an",
    "ce cet cette ces": "this these",
    "des": "some the of near to from",
    "deux": "two",
    "trois": "three",
    "plusieurs": "several",
    "beaucoup": "many",
    "chaque": "every",
    "tous toutes": "all",
    "son sa ses": "his her",
    "leur leurs": "their",
    "de d'": "of some many near to from play plays playing",
    "du": "the of near to from",
    "à": "at to of next",
    "au aux": "at to of next the",
    "dans": "in",
    "sur": "on",
    "sous": "under",
    "derrière": "behind",
    "devant": "in front of",
    "près": "near",
    "côté": "next",
    "avec": "with",
    "qui": "who that",
    "que qu'": "that because while",
    "où": "where",
    "parce": "because",
    "pendant": "while",
    "quand": "when",
    "et": "and",
    "mais": "but",
    "ne n' pas": "not",
    "très": "very",
    "souvent": "often",
    "toujours": "always",
    "lentement": "slowly",
    "tranquillement": "quietly",
    "il": "he there",
    "elle": "she",
    "ils": "they",
    "y": "there",
    "a": "is are",
    "stop": "stop",
    ".": ".",
    ",": ",",
}
NAMES = {"Anna", "Marie", "Paul", "Louis"}
DETERMINERS = {  # (feminine, plural) of the noun that follows; None is either
    "le": (False, False), "la": (True, False), "les": (None, True), "l'": (None, False), "un": (False, False),
    "une": (True, False), "ce": (False, False), "cet": (False, False), "cette": (True, False), "ces": (None, True),
    "deux": (None, True), "trois": (None, True), "plusieurs": (None, True), "chaque": (None, False),
    "son": (None, False), "sa": (True, False), "ses": (None, True), "leur": (None, False), "leurs": (None, True),
    "du": (False, False), "des": (None, True), "au": (False, False), "aux": (None, True),
}  # fmt: skip
UNALIGNED = {"do", "does", "is", "are", "to"}


def french_plural(noun: str) -> str:
    if noun.endswith("al"):
        return noun[:-2] + "aux"
    return FRENCH_PLURAL.get(noun) or noun + ("x" if noun.endswith("eau") else "s")


def english_plural(noun: str) -> str:
    return ENGLISH_PLURAL.get(noun) or (noun[:-1] + "ies" if noun.endswith("ry") else noun + "s")


NOUNS: dict[str, tuple[bool, set[bool], str]] = {}  # French form: feminine, its numbers (plural?), English words
for table, is_feminine in ((MASCULINE, False), (FEMININE, True)):
    for french, english in table.items():
        for is_plural, form, word in (
            (False, french, english),
            (True, french_plural(french), english_plural(english)),
        ):
            numbers = NOUNS.get(form, (is_feminine, set(), ""))
            NOUNS[form] = (is_feminine, numbers[1] | {is_plural}, f"{numbers[2]} {word.replace('_', ' ')}")
FORMS: dict[str, set[tuple[bool, bool]]] = {}  # French adjective form: its (feminine, plural)
ENGLISH_OF: dict[str, set[str]] = {}  # French word: exact English words
for english, forms in ADJECTIVES.items():
    spelt = forms.split()
    for number, form in enumerate(spelt):
        FORMS.setdefault(form, set()).add((bool(number % 2), number >= 2))
        ENGLISH_OF.setdefault(form, set()).add(english)
    if spelt[0] in LIAISON:
        FORMS.setdefault(LIAISON[spelt[0]], set()).add((False, False))
        ENGLISH_OF.setdefault(LIAISON[spelt[0]], set()).add(english)
for words, english in FUNCTION.items():
    for word in words.split():
        ENGLISH_OF.setdefault(word, set()).update(english.split())
for form, (_, _, english) in NOUNS.items():
    ENGLISH_OF.setdefault(form, set()).update(english.split())
FINITE: dict[str, bool] = {}  # French finite form: plural?
BEGINNING: dict[str, set[str]] = {}
for words, beginning in VERBS.items():
    for number, word in enumerate(words.split()):
        BEGINNING.setdefault(word, set()).update(beginning.split())
        if number < 2:
            FINITE[word] = bool(number)
FRENCH_BEFORE = {form for english in BEFORE_NOUN for form in ADJECTIVES[english].split()} | set(LIAISON.values())
MUTE_H = re.compile(r"(homme|histoire|hôpital|heureu)")


def opens_with_vowel(word: str) -> bool:
    return word[0].lower() in "aeiouéèêàâîôû" or bool(MUTE_H.match(word))


# --- the checker ----------------------------------------------------------------------------------------------------


class Reading:
    """One pair, lower-cased but for names, with what its links say."""

    def __init__(self, pair: toy.AlignedPair):
        self.english = [w if w in NAMES else w.lower() for w in pair.source_tokens]
        self.french = [w if w in NAMES else w.lower() for w in pair.target_tokens]
        self.links = pair.links

    def sources(self, j: int) -> list[str]:
        return [self.english[i] for i, k in sorted(self.links) if k == j and i < len(self.english)]

    def nouns(self) -> list[int]:
        """Where the French nouns stand; "porte" and "lit" are nouns after a determiner or an adjective before it."""
        return [
            j
            for j, word in enumerate(self.french)
            if word in NOUNS and (word not in FINITE or self.french[j - 1] in {*DETERMINERS, *FRENCH_BEFORE})
        ]

    def finite(self) -> list[int]:
        nouns = set(self.nouns())
        return [j for j, word in enumerate(self.french) if word in FINITE and j not in nouns]

    def finite_english(self, j: int) -> str:
        """The English word that carries the number of the French finite verb at ``j``: itself or its auxiliary."""
        i = min(k for k, n in self.links if n == j)
        main, i = self.english[i], i - 1
        while self.english[i] in ("not", "often", "always", "slowly", "quietly"):
            i -= 1
        return self.english[i] if i >= 0 and self.english[i] in ("is", "are", "do", "does") else main

    def plural(self, j: int) -> bool:
        """The number of the noun at ``j``: its own form's, or its English word's where French has one form."""
        numbers = NOUNS[self.french[j]][1]
        if len(numbers) == 1:
            return next(iter(numbers))
        return self.sources(j)[-1:] in (["bears"], ["buses"])

    def around(self, j: int) -> tuple[list[int], list[int]]:
        """Where the adjectives before and after the noun at ``j`` stand."""
        start, end = j, j + 1
        while start and self.french[start - 1] in FORMS:
            start -= 1
        if self.french[end] == "stop":
            end += 1
        after = []
        while self.french[end] in FORMS or (self.french[end] == "et" and after and self.french[end + 1] in FORMS):
            if self.french[end] != "et":
                after.append(end)
            end += 1
        return list(range(start, j)), after


def link_faults(reading: Reading) -> list[str]:
    faults = []
    english, french = reading.english, reading.french
    if any(not (0 <= i < len(english) and 0 <= j < len(french)) for i, j in reading.links):
        return ["a link out of bounds"]
    for j, word in enumerate(french):
        linked = reading.sources(j)
        if not linked:
            faults.append(f"no link for {word}")
        for source in linked:
            exact = source in ENGLISH_OF.get(word, ()) or (word in NAMES and source == word)
            begins = source.startswith(tuple(BEGINNING.get(word, ()))) if word in BEGINNING else False
            particle = word in BEGINNING and source in ("at", "for", "to")
            if not (exact or begins or particle):
                faults.append(f"{source} linked to {word}")
        if word in ("du", "au", "aux") and ("the" not in linked or len(linked) < 2):
            faults.append(f"{word} linked to {linked}")
    aligned = {i for i, _ in reading.links}
    faults += [f"no link for {w}" for i, w in enumerate(english) if i not in aligned and w not in UNALIGNED]
    return faults


def spelling_faults(french: list[str]) -> list[str]:
    faults = []
    for word, following in zip(french, french[1:], strict=False):
        vowel = opens_with_vowel(following)
        if vowel and word in ("le", "la", "de", "ne", "que", "ce", "sa", "cette", *LIAISON):
            feminine = following in NOUNS and NOUNS[following][0]
            demonstrative = word == "cette" and (feminine or following not in NOUNS)
            predicative = word in LIAISON and following not in NOUNS
            if not demonstrative and not predicative and (word not in LIAISON or len(NOUNS[following][1]) == 1):
                plural = word == "vieux" and following in NOUNS and NOUNS[following][1] == {True}
                faults += [] if plural else [f"{word} {following}"]
        if not vowel and (word.endswith("'") or word in ("cet", *LIAISON.values())):
            faults.append(f"{word} {following}")
        if word in ("de", "à") and following in ("le", "les", "des"):
            faults.append(f"{word} {following}")
    return faults


def phrase_faults(reading: Reading) -> list[str]:
    """Determiner, adjectives and noun: agreement, order, des or de, and number in English."""
    faults = []
    french = reading.french
    for j in reading.nouns():
        feminine, plural = NOUNS[french[j]][0], reading.plural(j)
        before, after = reading.around(j)
        for k in (*before, *after):
            if (feminine, plural) not in FORMS[french[k]]:
                faults.append(f"{french[k]} with {french[j]}")
            if (french[k] in FRENCH_BEFORE) != (k < j):
                faults.append(f"{french[k]} on the wrong side of {french[j]}")
        k = j - 1 - len(before)
        word = french[k]
        some = "some" in reading.sources(k)
        gender, number = DETERMINERS.get(word, (None, None))
        if gender not in (None, feminine) or number not in (None, plural):
            faults.append(f"{word} with {french[j]}")
        if word not in DETERMINERS and not (
            word in ("de", "d'") and plural and reading.sources(k) in (["some"], ["many"])
        ):
            faults.append(f"{word} is no determiner of {french[j]}")
        if some and word != ("de" if before else "des"):
            faults.append(f"{word} before {french[k + 1]}")
        start = opens_with_vowel(french[k + 1])
        if word == "son" and feminine and not start:
            faults.append(f"son with {french[j]}")
        english = reading.sources(j)[-1]
        many = english in {"men", "women", "children", "mice"} or (english.endswith("s") and english != "bus")
        if many != plural:
            faults.append(f"{english} for {french[j]}")
        needs_plural = reading.sources(k)[-1:] in (["two"], ["three"], ["several"], ["many"], ["some"], ["these"])
        needs_one = reading.sources(k)[-1:] in (["a"], ["an"], ["every"], ["this"])
        if (needs_plural and not many) or (needs_one and many):
            faults.append(f"{reading.sources(k)} with {english}")
    return faults


def verb_faults(reading: Reading) -> list[str]:
    faults = []
    english, french = reading.english, reading.french
    finite = reading.finite()
    for j in finite:
        plural, verb = FINITE[french[j]], french[j]
        k = j - 1 - (french[j - 1] in ("ne", "n'"))
        if french[k] in ("il", "elle", "ils") or (french[k] in NAMES and french[k - 1] != "et"):
            if plural != (french[k] == "ils"):
                faults.append(f"{french[k]} {verb}")
        elif french[k] in NAMES and french[k - 2] in NAMES and not plural:
            faults.append(f"two names and {verb}")
        elif french[k] == "qui":
            head = max((n for n in reading.nouns() if n < k), default=None)
            if head is None or reading.plural(head) != plural:
                faults.append(f"qui {verb}")
        after = j + 1 + (french[j + 1] == "pas")
        after += french[after] == "très"
        if verb in ("est", "sont") and french[after] in FORMS:
            if plural not in {number for _, number in FORMS[french[after]]}:
                faults.append(f"{verb} {french[after]}")
            gender = {
                "il": False,
                "ils": False,
                "elle": True,
                "Anna": True,
                "Marie": True,
                "Paul": False,
                "Louis": False,
            }
            known = gender.get(french[k]) if french[k - 1] != "et" else None
            if french[k] == "qui":
                known = NOUNS[french[max(n for n in reading.nouns() if n < k)]][0]
            if known is not None and (known, plural) not in FORMS[french[after]]:
                faults.append(f"{french[k]} {verb} {french[after]}")
        finite_word = reading.finite_english(j)
        if finite_word != "can" and finite_word.endswith("s") == plural:
            faults.append(f"{finite_word} for {verb}")
    for i, word in enumerate(english):
        if word in ("does", "do") and english[i + 1] != "not":
            faults.append(f"{word} {english[i + 1]}")
    return faults


def negation_faults(reading: Reading) -> list[str]:
    faults = []
    french, finite = reading.french, set(reading.finite())
    for j, word in enumerate(french):
        if word in ("ne", "n'") and not (j + 1 in finite and french[j + 2] == "pas"):
            faults.append(f"{word} {french[j + 1]} {french[j + 2]}")
    counts = Counter({"not": 0, "ne": 0, "pas": 0})
    counts.update({"not": reading.english.count("not"), "pas": french.count("pas")})
    counts["ne"] = french.count("ne") + french.count("n'")
    if len({counts["not"], counts["ne"], counts["pas"]}) != 1:
        faults.append(f"negations: {dict(counts)}")
    for i, word in enumerate(reading.english):
        if word == "not" and sum(french[j] in ("ne", "n'", "pas") for k, j in reading.links if k == i) != 2:
            faults.append("not without its two words")
    return faults


def article_faults(english: list[str]) -> list[str]:
    return [
        f"{word} {following}"
        for word, following in zip(english, english[1:], strict=False)
        if word in ("a", "an") and (word == "an") != (following[0] in "aeiou")
    ]


def faults_of(pair: toy.AlignedPair) -> list[str]:
    reading = Reading(pair)
    faults = link_faults(reading)
    if any(fault.startswith(("no link", "a link")) for fault in faults):
        return faults
    return [
        *faults,
        *spelling_faults(reading.french),
        *phrase_faults(reading),
        *verb_faults(reading),
        *negation_faults(reading),
        *article_faults(reading.english),
    ]


SHORTER = toy.pairs(1000, seed=20, max_words=30)
SAMPLE = SHORTER + toy.pairs(200, seed=21, min_words=31)


# --- the pairs ------------------------------------------------------------------------------------------------------


def test_an_independent_reader_finds_no_mistake() -> None:
    wrong = [(pair.source, pair.target, faults) for pair in SAMPLE if (faults := faults_of(pair))]
    assert not wrong, wrong[:5]


def test_text_and_tokens_agree() -> None:
    for pair in SAMPLE:
        for text, tokens in ((pair.source, pair.source_tokens), (pair.target, pair.target_tokens)):
            assert tuple(re.findall(r"\w+(?:-\w+)*'?|[.,]", text)) == tokens == tuple(toy.tokenize(text))
            assert toy.join(tokens) == text
            assert text[0].isupper() and text.endswith(".") and "  " not in text
            assert not re.search(r" [.,]|' ", text)


def test_final_full_stops_are_linked() -> None:
    for pair in SAMPLE:
        last = (len(pair.source_tokens) - 1, len(pair.target_tokens) - 1)
        assert [link for link in pair.links if link[0] == last[0] or link[1] == last[1]] == [last]


@pytest.mark.parametrize("words", range(3, 61))
def test_every_length_can_be_asked_for(words: int) -> None:
    assert all(len(p.source_tokens) == words for p in toy.pairs(2, seed=words, min_words=words, max_words=words))


@pytest.mark.parametrize(("low", "high"), [(3, 60), (3, 4), (5, 9), (25, 40)])
def test_lengths_stay_in_their_range(low: int, high: int) -> None:
    assert all(low <= len(p.source_tokens) <= high for p in toy.pairs(15, seed=1, min_words=low, max_words=high))


def test_lengths_fill_their_range_evenly() -> None:
    sizes = Counter(len(pair.source_tokens) for pair in SHORTER)
    expected = len(SHORTER) / 28
    distance = sum((sizes[words] - expected) ** 2 / expected for words in range(3, 31))
    assert distance < 27 + 5 * (2 * 27) ** 0.5  # chi squared of 27 degrees of freedom, five standard deviations


def test_the_seed_decides_everything() -> None:
    first = toy.pairs(20, seed=7, max_words=20)
    assert first == toy.pairs(20, seed=7, max_words=20)
    assert first[:8] == toy.pairs(8, seed=7, max_words=20)
    assert first == list(islice(toy.stream(seed=7, max_words=20), 20))
    assert first != toy.pairs(20, seed=8, max_words=20)
    assert toy.pairs(0, seed=7) == []


@pytest.mark.parametrize(("low", "high"), [(2, 10), (3, 61), (10, 9), (0, 0), (-3, 5)])
def test_impossible_ranges_are_refused_at_once(low: int, high: int) -> None:
    with pytest.raises(CourseError, match=f"{low} to {high} words.*3 to 60") as caught:
        toy.stream(seed=1, min_words=low, max_words=high)
    assert "\n" not in str(caught.value)
    with pytest.raises(CourseError):
        toy.pairs(1, seed=1, min_words=low, max_words=high)


def test_a_negative_count_is_refused() -> None:
    with pytest.raises(CourseError, match="0 or more"):
        toy.pairs(-1, seed=1)


def test_vocabulary_is_closed_and_large() -> None:
    english, french = map(set, toy.vocabulary_words())
    seen_english = {word for pair in SAMPLE for word in pair.source_tokens}
    seen_french = {word for pair in SAMPLE for word in pair.target_tokens}
    assert seen_english <= english and seen_french <= french
    assert len({word.lower() for word in seen_english}) >= 150
    assert len({word.lower() for word in seen_french}) >= 150
    # Nothing is listed that the grammar does not make: a sample already shows nearly all of it.
    assert len(seen_english) > 0.95 * len(english) and len(seen_french) > 0.95 * len(french)


def test_the_phenomena_of_the_course_are_common() -> None:
    """Negation, relative clauses of three kinds, elision, contraction, reordering, one word to two and two to one."""
    targets = [" ".join(pair.target_tokens) for pair in SAMPLE]
    for pattern in (
        r"\b(ne|n') \w+ pas\b",
        r"\bqui\b",
        r"\bque\b|\bqu'",
        r"\bl' ",
        r"\b(du|des|au|aux)\b",
        r"\bil y a\b",
    ):
        assert sum(bool(re.search(pattern, text)) for text in targets) > 20, pattern
    crossing = sum(any(i < k and j > m for i, j in pair.links for k, m in pair.links) for pair in SAMPLE[:300])
    assert crossing > 100


# --- the course sentence --------------------------------------------------------------------------------------------


def test_course_sentence() -> None:
    pair = toy.COURSE_SENTENCE
    assert pair.source == "The woman who does not see the black dog throws the frisbee."
    assert pair.target == "La femme qui ne voit pas le chien noir lance le frisbee."
    linked = sorted((pair.source_tokens[i], pair.target_tokens[j], i, j) for i, j in pair.links)
    words = "The La, woman femme, who qui, not ne, not pas, see voit, the le, black noir, dog chien, throws lance"
    expected = sorted(
        [*(tuple(each.split()) for each in words.split(", ")), ("the", "le"), ("frisbee", "frisbee"), (".", ".")]
    )
    assert [link[:2] for link in linked] == expected
    assert {(6, 6), (10, 10)} <= pair.links and 3 not in {i for i, _ in pair.links}  # "does" has no counterpart
    assert faults_of(pair) == []


def test_the_sampler_draws_the_course_sentence() -> None:
    """With its words alone in the lexicon, the sampler comes upon its subject and its predicate."""
    words = Lexicon(
        tuple(LEXICON.noun(word) for word in ("woman", "dog", "frisbee")),
        (LEXICON.adjective("black"),),
        (LEXICON.verb("see"), LEXICON.verb("throw")),
        (),
    )
    sampler = Sampler(Random(29), words)  # any seed draws it, this one soon
    (clause,) = toy.course_derivation().clauses
    subject, (said,) = clause.subject, clause.predicates

    def drawn(wanted: object, draw: Callable[[], object]) -> bool:
        for _ in range(3000):
            sampler.used = set()
            if draw() == wanted:
                return True
        return False

    assert drawn(subject, lambda: sampler._try(10_000, lambda: sampler._subject(12, said.verb)[0]))
    assert drawn(said, lambda: sampler._try(10_000, lambda: sampler._predicate(3, subject, said.verb)))


# --- seeded bugs ----------------------------------------------------------------------------------------------------


def _mutated(monkeypatch: pytest.MonkeyPatch, bug: str) -> Lexicon:
    """Seeds one bug into the grammar, or returns a lexicon that holds it."""
    grammar = toy_grammar
    vowel, form, determiner = grammar.starts_with_vowel, grammar.adjective_form, grammar._determiner
    english_verb, french_verb, rule = grammar._english_verb, grammar._french_verb, grammar.rule
    patches = {
        "h of hibou mute": ("ASPIRATED", frozenset()),
        "no elision": ("_ELIDED", {}),
        "h always aspirated": ("starts_with_vowel", lambda word: vowel(word) and word[0] != "h"),
        "no contraction": ("_CONTRACTED", {}),
        "no feminine": ("adjective_form", lambda a, feminine, plural, following="": form(a, False, plural, following)),
        "no plural": ("adjective_form", lambda a, feminine, plural, following="": form(a, feminine, False, following)),
        "beau arbre": ("adjective_form", lambda a, feminine, plural, following="": form(a, feminine, plural)),
        "des petits": ("_determiner", lambda phrase, following, adjective: determiner(phrase, following, False)),
        "no pas": ("_french_verb", lambda *args: [item for item in french_verb(*args) if item[1] != "pas"]),
        "no not": ("_english_verb", lambda *args: [item for item in english_verb(*args) if item[1] != "not"]),
        "French verb singular": ("_french_verb", lambda said, verb, plural: french_verb(said, verb, False)),
        "English verb plural": ("_english_verb", lambda said, verb, plural: english_verb(said, verb, True)),
        "English order": ("rule", lambda here, there: rule(here, here)),
        "links off by one": (
            "_spell",
            lambda phrase, spell=grammar._spell: replace(
                spell(phrase), links=frozenset((i, max(j - 1, 0)) for i, j in spell(phrase).links)
            ),
        ),
    }
    if bug in patches:
        monkeypatch.setattr(grammar, *patches[bug])
        return LEXICON
    changes = {
        "gender": {"nouns": tuple(replace(n, feminine=n.feminine != ("table" in n.tags)) for n in LEXICON.nouns)},
        "all adjectives after": {"adjectives": tuple(replace(a, before=False) for a in LEXICON.adjectives)},
        "all adjectives before": {"adjectives": tuple(replace(a, before=True) for a in LEXICON.adjectives)},
        "chevals": {
            "nouns": tuple(replace(n, french=("cheval", "chevals")) if "horse" in n.tags else n for n in LEXICON.nouns)
        },
        "wrong word": {
            "nouns": tuple(replace(n, french=("chat", "chats")) if "dog" in n.tags else n for n in LEXICON.nouns)
        },
    }
    return replace(LEXICON, **changes[bug])


@pytest.mark.parametrize(
    "bug",
    [
        "h of hibou mute",
        "no elision",
        "h always aspirated",
        "no contraction",
        "no feminine",
        "no plural",
        "beau arbre",
        "des petits",
        "no pas",
        "no not",
        "French verb singular",
        "English verb plural",
        "English order",
        "links off by one",
        "gender",
        "all adjectives after",
        "all adjectives before",
        "chevals",
        "wrong word",
    ],
)
def test_the_checker_catches_seeded_bugs(monkeypatch: pytest.MonkeyPatch, bug: str) -> None:
    sampler = Sampler(Random(5), _mutated(monkeypatch, bug))
    assert any(faults_of(toy.pair_of(sampler.sentence(8 + n % 10))) for n in range(2000))  # stops at the first
