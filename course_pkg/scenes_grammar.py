"""What a drawn scene says, and the caption that says it (chapters 11-13).

A `Description` is the content of a scene; `tell` spells it out as words, each with the roles of the scene it speaks
of; `parse` reads it back. The caption follows from the description alone: a colour is told unless it is the thing's
usual one (`USUAL`), a place unless it is a plain room, "is" unless a "with" follows or the subject is a group. So a
scene has one caption, and who sees the scene can know every word of it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from course_pkg.notation import CourseError

__all__ = ["ROLES", "VOCABULARY", "Description", "Noun", "Word", "parse", "tell"]

PEOPLE = ("woman", "man", "girl", "boy")
ANIMALS = ("dog", "cat", "bird", "sheep", "horse", "zebra", "cow", "elephant", "giraffe")
HANDY = ("frisbee", "ball", "teddy bear", "book", "kite", "umbrella", "balloon", "guitar")
SEATS = ("bed", "chair", "bench", "boat", "box")
RIDES = ("bicycle", "skateboard", "scooter", "horse", "elephant")
LANDMARKS = ("car", "stop sign", "tent", "lamp", "bench", "chair", "boat", "bicycle", "box", "bed")
OVERHEAD = ("kite", "umbrella", "balloon", "bird")
OUTDOOR_BACKDROPS = ("mountain", "tree", "house", "lighthouse", "windmill")
INDOOR_BACKDROPS = ("window", "clock", "picture", "plant", "lamp")

USUAL = {  # the colour that a caption passes over
    **dict.fromkeys(PEOPLE, "plain"),
    **dict.fromkeys(("teddy bear", "guitar", "chair", "bench", "boat", "box"), "brown"),
    **dict.fromkeys(("windmill", "clock", "picture", "plant", "dog", "horse"), "brown"),
    **dict.fromkeys(("frisbee", "bicycle", "stop sign", "lighthouse"), "red"),
    **dict.fromkeys(("ball", "bed", "scooter", "bird"), "blue"),
    **dict.fromkeys(("book", "skateboard", "tree"), "green"),
    **dict.fromkeys(("car", "house", "giraffe"), "yellow"),
    **dict.fromkeys(("kite", "tent"), "orange"),
    **dict.fromkeys(("sheep", "zebra", "cow", "window"), "white"),
    **dict.fromkeys(("cat", "elephant", "mountain"), "grey"),
    "umbrella": "purple",
    "balloon": "pink",
    "lamp": "black",
    "people": "mixed",
}
BRIGHT = ("red", "blue", "green", "yellow", "orange", "purple", "pink", "white", "black")
COATS = ("black", "white", "brown", "grey", "orange")
COLOURS = (*BRIGHT, "brown", "grey")
UNCOLOURED = ("people", "mountain", "tree")

DOING = {"standing": "stand", "running": "run", "jumping": "jump", "sitting": "sit", "sleeping": "sleep"}
HANDLING = {"holding": "hold", "throwing": "throw", "lifting": "lift", "kicking": "kick"}
TOWARDS = ("pointing at", "chasing")
UPON = {"sitting on": "sit", "standing on": "stand", "sleeping on": "sleep"}
VERBS = (*DOING, *HANDLING, *TOWARDS, *UPON, "riding")
RELATIONS = ("behind", "in front of", "to the left of", "to the right of", "under")
PLACES = {
    "park": "in a park",
    "garden": "in a garden",
    "forest": "in a forest",
    "field": "in a field",
    "beach": "on a beach",
    "desert": "in a desert",
    "snow": "in the snow",
    "water": "in the water",
    "road": "on a road",
    "city": "in a city",
    "floor": "on a hardwood floor",
    "stage": "on a stage",
}
INDOORS = ("", "floor", "stage")
WEATHER = {"night": "at night", "rain": "in the rain", "sunset": "at sunset"}
NUMBERS = {2: "two", 3: "three"}
PLURAL = {"sheep": "sheep"}

ROLES = ("subject", "object", "seen", "companion", "backdrop", "place", "sky")


@dataclass(frozen=True)
class Noun:
    """Something in the scene; ``colour`` "" is the usual one, and a person's is that of the clothes."""

    kind: str
    colour: str = ""
    count: int = 1

    @property
    def told(self) -> str:
        """The name of the colour if it is told: "" for the usual one."""
        return "" if self.colour == USUAL[self.kind] else self.colour

    @property
    def paint(self) -> str:
        """The name of the colour it has, told or not."""
        return self.colour or USUAL[self.kind]


@dataclass(frozen=True)
class Description:
    """What a caption says.

    ``verb`` is one of `VERBS`, or "" for a thing, which just "is" there. ``object`` belongs to the verb, or to the
    ``relation`` (one of `RELATIONS`). ``sight`` is "sees" or "misses", of what is ``seen``. ``companion`` is what the
    subject has beside it, ``backdrop`` what stands in the background. ``place`` is a key of `PLACES` or "", ``weather``
    of `WEATHER` or "".
    """

    subject: Noun
    verb: str = ""
    object: Noun | None = None
    relation: str = ""
    sight: str = ""
    seen: Noun | None = None
    companion: Noun | None = None
    place: str = ""
    weather: str = ""
    backdrop: Noun | None = None


@dataclass(frozen=True)
class Word:
    """A token of a caption, and the roles of the scene that it speaks of: none for a function word."""

    text: str
    roles: tuple[str, ...] = ()


def tell(what: Description) -> tuple[Word, ...]:
    """The caption's words.

    Nouns, colours, numbers and "little" speak of what they describe; verbs and relations of both who acts and what
    is acted on; "background" of what stands there; the weather of the sky; articles, auxiliaries and the small words
    of a preposition ("in", "on", "at", "to", "of", "with") of nothing.
    """
    words = list(_noun(what.subject, "subject"))
    if what.seen:
        both = ("subject", "seen")
        saying = [("who", ()), ("sees", both)] if what.sight == "sees" else None
        saying = saying or [("who", ()), ("does", ()), ("not", both), ("see", both)]
        words += [Word(text, roles) for text, roles in saying] + _noun(what.seen, "seen")
    bare = not what.seen and (what.companion or what.backdrop or what.subject.kind == "people")
    if not (what.verb and bare):
        words.append(Word("are" if what.subject.count > 1 and what.subject.kind != "people" else "is"))
    acting = ("subject", "object") if what.object else ("subject",)
    words += _phrase(what.verb, acting) + _phrase(what.relation, acting)
    words += _noun(what.object, "object")
    if what.companion:
        words += [Word("with"), *_noun(what.companion, "companion")]
    words += _phrase(PLACES.get(what.place, ""), ("place",)) + _phrase(WEATHER.get(what.weather, ""), ("sky",))
    if what.backdrop:
        words += [Word("with"), *_noun(what.backdrop, "backdrop"), Word("in"), Word("the")]
        words.append(Word("background", ("backdrop",)))
    return tuple(words)


FUNCTION = set("a an the is are in on at to of with who does".split())


def _phrase(text: str, roles: tuple[str, ...]) -> list[Word]:
    return [Word(word, () if word in FUNCTION else roles) for word in text.split()]


def _noun(noun: Noun | None, role: str) -> list[Word]:
    if noun is None:
        return []
    if noun.kind == "people":
        return [Word("a"), Word("group", (role,)), Word("of"), Word("people", (role,))]
    words = [noun.kind]
    if noun.kind in ("girl", "boy"):
        words = ["little", noun.kind]
    if noun.count > 1:
        words = [PLURAL.get(noun.kind, noun.kind + "s")]
    after: list[Word] = []
    if noun.told and noun.kind in PEOPLE:
        after = [Word("in"), Word(noun.told, (role,))]
    elif noun.told:
        words = [noun.told, *words]
    text = " ".join(words).split()
    if noun.kind == "tree":
        return [Word(word, (role,)) for word in text]
    if noun.count > 1:
        return [Word(word, (role,)) for word in (NUMBERS[noun.count], *text)]
    return [Word("an" if text[0][0] in "aeiou" else "a"), *(Word(word, (role,)) for word in text), *after]


class _Reader:
    """Tokens, read from left to right."""

    def __init__(self, tokens: Sequence[str]) -> None:
        self.tokens, self.place = list(tokens), 0

    def take(self, *phrases: str) -> str:
        """The first of ``phrases`` that comes next, or ""; reads past it."""
        for phrase in phrases:
            words = phrase.split()
            if self.tokens[self.place : self.place + len(words)] == words:
                self.place += len(words)
                return phrase
        return ""

    def comes(self, *phrases: str) -> bool:
        """Whether one of ``phrases`` comes next."""
        before = self.place
        found = bool(self.take(*phrases))
        self.place = before
        return found

    def need(self, *phrases: str) -> str:
        found = self.take(*phrases)
        if not found:
            rest = " ".join(self.tokens[self.place :]) or "the end"
            raise CourseError(f"not a caption of a drawn scene: {rest!r} stands where {phrases[0]!r} could")
        return found

    def noun(self) -> Noun:
        if self.take("a group of people"):
            return Noun("people")
        if self.take("trees"):
            return Noun("tree", count=3)
        many = self.take(*NUMBERS.values())
        if many:
            colour = self.take(*COLOURS)
            plurals = {PLURAL.get(kind, kind + "s"): kind for kind in ANIMALS}
            count = next(number for number, name in NUMBERS.items() if name == many)
            return Noun(plurals[self.need(*plurals)], colour, count)
        self.need("a", "an")
        colour = self.take(*COLOURS)
        self.take("little")
        kind = self.need(*(kind for kind in USUAL if kind not in UNCOLOURED or kind == "mountain"))
        if kind in PEOPLE:
            before = self.place
            if self.take("in"):
                colour = self.take(*COLOURS)
                if not colour:
                    self.place = before
        return Noun(kind, colour)


def parse(tokens: Sequence[str]) -> Description:
    """The description that ``tokens`` tell; raises `CourseError` for what is not a caption of a drawn scene."""
    reader = _Reader(tokens)
    subject, sight, seen = reader.noun(), "", None
    if reader.take("who"):
        sight = {"sees": "sees", "does not see": "misses"}[reader.need("sees", "does not see")]
        seen = reader.noun()
    reader.take("is", "are")
    verb = reader.take(*DOING)
    if verb and not reader.comes(*PLACES.values()) and reader.take("on"):
        verb += " on"  # "sitting on a bed", not "sitting on a beach"
    verb = verb or reader.take(*HANDLING, *TOWARDS, "riding")
    relation = reader.take(*RELATIONS)
    direct = verb in HANDLING or verb in TOWARDS or verb in UPON or verb == "riding"
    object_ = reader.noun() if direct or relation else None
    companion = backdrop = None
    place = weather = ""
    if reader.take("with"):
        noun = reader.noun()
        if reader.take("in the background"):
            backdrop = noun
        else:
            companion = noun
    place = _key(PLACES, reader.take(*PLACES.values()))
    weather = _key(WEATHER, reader.take(*WEATHER.values()))
    if reader.take("with"):
        backdrop = reader.noun()
        reader.need("in the background")
    what = Description(subject, verb, object_, relation, sight, seen, companion, place, weather, backdrop)
    if [word.text for word in tell(what)] != list(tokens):
        raise CourseError(f"not a caption of a drawn scene: {' '.join(tokens)!r}; its grammar would say it otherwise")
    return what


def _key(table: dict[str, str], value: str) -> str:
    return next((key for key, phrase in table.items() if phrase == value), "")


def _words() -> Iterator[str]:
    for kind in USUAL:
        yield from kind.split()
    yield from (PLURAL.get(kind, kind + "s") for kind in ANIMALS)
    for phrase in (*VERBS, *RELATIONS, *PLACES.values(), *WEATHER.values(), *NUMBERS.values(), *COLOURS):
        yield from phrase.split()
    yield from "little group of people trees background who sees does not see".split()
    yield from FUNCTION


VOCABULARY: tuple[str, ...] = tuple(sorted(set(_words()) - {"tree"}))
