"""Draws what a scene says, every part almost independently of the others (chapters 11-13).

A guesser that counts what follows up to five words, in 20,000 captions and without a picture, gets a quarter of the
content words of others right, at 3.0 bits a word; regardless of what stands before them, the same words have 6.3 bits.
Words that another one brings with it ("people" after "a group of", "bear" after "teddy") are not counted.
"""

from collections.abc import Sequence
from random import Random

from course_pkg.scenes_grammar import (
    ANIMALS,
    BRIGHT,
    COATS,
    DOING,
    HANDLING,
    HANDY,
    INDOOR_BACKDROPS,
    INDOORS,
    LANDMARKS,
    OUTDOOR_BACKDROPS,
    OVERHEAD,
    PEOPLE,
    PLACES,
    RELATIONS,
    RIDES,
    SEATS,
    TOWARDS,
    UNCOLOURED,
    UPON,
    USUAL,
    WEATHER,
    Description,
    Noun,
)

__all__ = ["describe"]

USUAL_SHARE = 0.3  # of nouns that keep the usual colour
SMALL = ("dog", "cat", "bird", "sheep")  # who fits on a chair


def describe(random: Random) -> Description:
    """What one scene says."""
    return _Drawing(random).description()


class _Drawing:
    def __init__(self, random: Random) -> None:
        self.random = random

    def pick(self, choices: Sequence[str]) -> str:
        return choices[self.random.randrange(len(choices))]

    def noun(self, kinds: Sequence[str], not_: str = "") -> Noun:
        """One of ``kinds``, in any colour that it can have."""
        kind = self.pick([kind for kind in kinds if kind != not_])
        if kind in UNCOLOURED:
            return Noun(kind, count=3 if kind == "tree" else 1)
        return Noun(kind, self.colour(kind))

    def colour(self, kind: str) -> str:
        if self.random.random() < USUAL_SHARE:
            return ""
        return self.pick([c for c in (COATS if kind in ANIMALS else BRIGHT) if c != USUAL[kind]])

    def living(self, crowds: bool = True) -> Noun:
        """Somebody: a person, an animal, several animals or a group of people."""
        draw = self.random.random()
        if crowds and draw < 0.1:
            return Noun("people")
        if draw < 0.55:
            return self.noun(PEOPLE)
        noun = self.noun(ANIMALS)
        if crowds and draw > 0.85:
            return Noun(noun.kind, noun.colour, 2 + self.random.randrange(2))
        return noun

    def description(self) -> Description:
        said = self._event()
        place, weather = self._place()
        backdrop = None
        if not said["companion"] and self.random.random() < 0.45:
            taken = {noun.kind for noun in said.values() if isinstance(noun, Noun)}
            kinds = INDOOR_BACKDROPS if place in INDOORS else OUTDOOR_BACKDROPS
            backdrop = self.noun([kind for kind in kinds if kind not in taken])
        return Description(**said, place=place, weather=weather, backdrop=backdrop)  # type: ignore[arg-type]

    def _place(self) -> tuple[str, str]:
        place = self.pick(("", *PLACES))
        weather = self.pick(tuple(WEATHER)) if place not in INDOORS and self.random.random() < 0.35 else ""
        return place, weather

    def _event(self) -> dict[str, Noun | str | None]:
        draw = self.random.random()
        said: dict[str, Noun | str | None] = dict.fromkeys(("object", "seen", "companion"))
        if draw < 0.28:
            said |= self._handling()
        elif draw < 0.46:
            said |= {"subject": self.living(), "verb": self.pick(tuple(DOING))}
        elif draw < 0.66:
            said |= self._upon()
        elif draw < 0.86:
            said |= {"subject": self.living(), "verb": self.pick(tuple(DOING)), "relation": self.pick(RELATIONS)}
            kind = said["subject"].kind if isinstance(said["subject"], Noun) else ""
            said["object"] = self.noun(OVERHEAD if said["relation"] == "under" else LANDMARKS, not_=kind)
        elif draw < 0.93:
            said |= {"subject": self.noun(tuple(dict.fromkeys((*HANDY, *LANDMARKS))))}
        else:
            said |= self._handling() if self.random.random() < 0.6 else {"verb": self.pick(("standing", "sitting"))}
            said |= {"subject": self.noun(PEOPLE), "sight": self.pick(("sees", "misses")), "seen": self.noun(ANIMALS)}
            if said["verb"] in TOWARDS:
                said["verb"] = self.pick(tuple(HANDLING))
                said["object"] = self.noun(HANDY)
        return said

    def _handling(self) -> dict[str, Noun | str | None]:
        verb = self.pick((*HANDLING, *TOWARDS))
        if verb == "chasing":
            subject = self.living(crowds=False)
            return {"subject": subject, "verb": verb, "object": self.noun((*ANIMALS, *HANDY), not_=subject.kind)}
        objects = (*ANIMALS, *HANDY, *LANDMARKS[:4]) if verb == "pointing at" else HANDY
        return {"subject": self.noun(PEOPLE), "verb": verb, "object": self.noun(objects)}

    def _upon(self) -> dict[str, Noun | str | None]:
        subject = self.noun((*PEOPLE, *SMALL))
        verb = self.pick((*UPON, "riding"))
        if self.random.random() < 0.15:
            return {
                "subject": Noun("people"),
                "verb": self.pick(("sitting on", "standing on")),
                "object": Noun("boat", self.colour("boat")),
            }
        object_ = self.noun(RIDES if verb == "riding" else SEATS)
        companion = None
        if verb != "riding" and self.random.random() < 0.35:
            companion = self.noun(HANDY)
        return {"subject": subject, "verb": verb, "object": object_, "companion": companion}
