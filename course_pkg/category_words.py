"""Which words of a caption name a category of things: ``woman`` a person, ``bikes`` bicycles or motorcycles.

The 80 categories are COCO's (Lin et al. 2014). A word stands here if people use it for the category's things in
captions and seldom for anything else; ``glasses`` are left out. Others have a second sense (``orange``, ``bat``,
``plant``): they count only where such a thing is marked in the picture. Chapter 13.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

__all__ = ["CATEGORY_WORDS", "Named", "named", "plural"]

CATEGORY_WORDS: dict[str, tuple[str, ...]] = {
    "person": (
        "person", "man", "woman", "boy", "girl", "child", "kid", "baby", "toddler", "guy", "lady", "gentleman",
        "skateboarder", "skier", "snowboarder", "surfer", "player", "rider", "cyclist", "bicyclist", "biker",
        "pedestrian", "batter", "catcher", "pitcher", "umpire", "chef", "cowboy", "policeman", "family", "couple",
        "crowd", "someone", "teenager", "adult", "swimmer", "climber", "hiker", "officer", "spectator", "tourist",
    ),
    "bicycle": ("bicycle", "bike"),
    "car": ("car", "taxi", "suv", "sedan", "minivan"),
    "motorcycle": ("motorcycle", "motorbike", "bike", "scooter", "moped"),
    "airplane": ("airplane", "plane", "jet", "aircraft", "airliner", "aeroplane", "jetliner"),
    "bus": ("bus",),
    "train": ("train", "locomotive"),
    "truck": ("truck", "lorry"),
    "boat": ("boat", "ship", "sailboat", "canoe", "kayak", "ferry"),
    "traffic light": ("traffic light", "stoplight", "stop light", "traffic signal"),
    "fire hydrant": ("fire hydrant", "hydrant"),
    "stop sign": ("stop sign",),
    "parking meter": ("parking meter",),
    "bench": ("bench",),
    "bird": ("bird", "seagull", "duck", "pigeon", "parrot", "owl", "goose"),
    "cat": ("cat", "kitten", "kitty"),
    "dog": ("dog", "puppy"),
    "horse": ("horse", "pony"),
    "sheep": ("sheep", "lamb"),
    "cow": ("cow", "cattle", "bull", "calf", "ox"),
    "elephant": ("elephant",),
    "bear": ("bear",),
    "zebra": ("zebra",),
    "giraffe": ("giraffe",),
    "backpack": ("backpack", "rucksack"),
    "umbrella": ("umbrella", "parasol"),
    "handbag": ("handbag", "purse"),
    "tie": ("tie", "necktie"),
    "suitcase": ("suitcase", "luggage"),
    "frisbee": ("frisbee",),
    "skis": ("ski",),
    "snowboard": ("snowboard",),
    "sports ball": ("ball", "soccer ball", "tennis ball"),
    "kite": ("kite",),
    "baseball bat": ("baseball bat", "bat"),
    "baseball glove": ("baseball glove", "glove", "mitt"),
    "skateboard": ("skateboard",),
    "surfboard": ("surfboard", "surf board"),
    "tennis racket": ("tennis racket", "racket", "racquet", "tennis racquet"),
    "bottle": ("bottle",),
    "wine glass": ("wine glass",),
    "cup": ("cup", "mug"),
    "fork": ("fork",),
    "knife": ("knife",),
    "spoon": ("spoon",),
    "bowl": ("bowl",),
    "banana": ("banana",),
    "apple": ("apple",),
    "sandwich": ("sandwich", "burger", "hamburger"),
    "orange": ("orange",),
    "broccoli": ("broccoli",),
    "carrot": ("carrot",),
    "hot dog": ("hot dog", "hotdog"),
    "pizza": ("pizza",),
    "donut": ("donut", "doughnut"),
    "cake": ("cake", "cupcake"),
    "chair": ("chair",),
    "couch": ("couch", "sofa", "loveseat"),
    "potted plant": ("potted plant", "plant"),
    "bed": ("bed",),
    "dining table": ("dining table", "dining room table", "table"),
    "toilet": ("toilet",),
    "tv": ("tv", "television"),
    "laptop": ("laptop", "laptop computer"),
    "mouse": ("mouse", "computer mouse"),
    "remote": ("remote", "remote control", "controller"),
    "keyboard": ("keyboard",),
    "cell phone": ("cell phone", "phone", "cellphone", "smartphone"),
    "microwave": ("microwave",),
    "oven": ("oven", "stove"),
    "toaster": ("toaster",),
    "sink": ("sink",),
    "refrigerator": ("refrigerator", "fridge"),
    "book": ("book",),
    "clock": ("clock",),
    "vase": ("vase",),
    "scissors": ("scissors",),
    "teddy bear": ("teddy bear", "teddy", "stuffed bear"),
    "hair drier": ("hair drier", "hair dryer", "blow dryer"),
    "toothbrush": ("toothbrush",),
}  # fmt: skip
"""Each category's words in the singular; several words in a row name it together."""

# Phrases in which such a word names something else.
_NOTHING = ("pool table", "ping pong table", "train station", "train track", "train tracks", "bus stop", "bus station",
            "dog house", "tennis court", "ball game", "plane ticket")  # fmt: skip
_IRREGULAR = {
    "man": "men", "woman": "women", "child": "children", "person": "people", "gentleman": "gentlemen",
    "policeman": "policemen", "knife": "knives", "calf": "calves", "ox": "oxen", "goose": "geese", "mouse": "mice",
    "sheep": "sheep", "cattle": "cattle", "aircraft": "aircraft", "luggage": "luggage", "broccoli": "broccoli",
    "scissors": "scissors", "someone": "someone",
}  # fmt: skip


@dataclass(frozen=True)
class Named:
    """Words ``start`` to ``stop`` (not included) of a caption name things of any of these categories."""

    start: int
    stop: int
    categories: frozenset[str]


def plural(noun: str) -> str:
    """The plural of a noun of `CATEGORY_WORDS`, by the rules of English spelling; a phrase changes its last word."""
    start, _, last = noun.rpartition(" ")
    if last in _IRREGULAR:
        found = _IRREGULAR[last]
    elif last.endswith("y") and last[-2] not in "aeiou":
        found = f"{last[:-1]}ies"
    else:
        found = f"{last}es" if last.endswith(("s", "x", "ch", "sh")) else f"{last}s"
    return f"{start} {found}".strip()


@cache
def _phrases() -> dict[tuple[str, ...], frozenset[str]]:
    """Words in a row, with what they name; nothing for the phrases that only sound like it."""
    found: dict[tuple[str, ...], frozenset[str]] = {}
    for category, nouns in CATEGORY_WORDS.items():
        extra = ("persons",) if category == "person" else ()
        for form in (*nouns, *map(plural, nouns), *extra):
            key = tuple(form.split())
            found[key] = found.get(key, frozenset()) | {category}
    return found | {tuple(phrase.split()): frozenset() for phrase in _NOTHING}


def named(words: Sequence[str]) -> list[Named]:
    """What the words of a caption name, from left to right; of phrases that overlap, the longest one counts.

    ``words`` are in lower case, as `course_pkg.caption_metrics.caption_words` leaves them. A hot dog is no dog, a
    teddy bear no bear.
    """
    phrases = _phrases()
    longest = max(map(len, phrases))
    found, start = [], 0
    while start < len(words):
        for length in range(min(longest, len(words) - start), 0, -1):
            categories = phrases.get(tuple(words[start : start + length]))
            if categories is not None:
                if categories:
                    found.append(Named(start, start + length, categories))
                start += length
                break
        else:
            start += 1
    return found
