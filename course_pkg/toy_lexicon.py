"""The words of the toy grammar, each English word beside its French (chapter 1).

What a word goes with is written as a *selection*: ``"person animal -owl"`` means every noun that carries the tag
``person`` or ``animal``, except those that carry ``owl``. A noun's own English name is one of its tags.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, TypeVar

__all__ = ["Adjective", "Determiner", "LEXICON", "Lexicon", "Noun", "Preposition", "Verb", "fits"]

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Noun:
    """A noun, a proper name or a pronoun: (singular, plural) in both languages, ``""`` where there is no plural."""

    english: tuple[str, str]
    french: tuple[str, str]
    feminine: bool
    tags: frozenset[str]

    @property
    def alone(self) -> bool:
        """Whether it stands without a determiner, as names and pronouns do."""
        return "name" in self.tags or "pronoun" in self.tags


@dataclass(frozen=True, eq=False)
class Adjective:
    """An adjective with its French forms.

    ``french``: masculine singular, feminine singular, masculine plural, feminine plural, and the masculine singular
    before a vowel (*bel*). ``before``: stands before the French noun. ``rank``: its place in an English row of
    adjectives. ``nouns``: the selection it describes.
    """

    english: str
    french: tuple[str, str, str, str, str]
    before: bool
    rank: int
    nouns: str


@dataclass(frozen=True, eq=False)
class Verb:
    """A verb in one of its uses.

    ``english``: base form, third person, ``-ing`` (``""`` for a verb of state). ``french``: infinitive, third person
    singular, third person plural. ``particle`` and ``preposition`` are what each language puts before the object.
    """

    english: tuple[str, str, str]
    particle: str
    french: tuple[str, str, str]
    preposition: str
    subjects: str
    objects: str
    flags: frozenset[str]


@dataclass(frozen=True, eq=False)
class Preposition:
    """A preposition of place, with the selections of what is located and of where."""

    english: str
    french: str
    located: str
    grounds: str


@dataclass(frozen=True, eq=False)
class Determiner:
    """English (singular, plural) and French (m. sg., f. sg., m. pl., f. pl.) forms; ``""`` where there is none."""

    english: tuple[str, str]
    french: tuple[str, str, str, str]


@dataclass(frozen=True)
class Lexicon:
    """The words that a derivation may choose from."""

    nouns: tuple[Noun, ...]
    adjectives: tuple[Adjective, ...]
    verbs: tuple[Verb, ...]
    prepositions: tuple[Preposition, ...]

    @cached_property
    def _memo(self) -> dict[tuple[str, object], tuple[Any, ...]]:
        return {}

    def _filtered(self, key: tuple[str, object], words: Iterable[T], keep: Callable[[T], bool]) -> tuple[T, ...]:
        if key not in self._memo:
            self._memo[key] = tuple(word for word in words if keep(word))
        return self._memo[key]

    def common(self, selection: str) -> tuple[Noun, ...]:
        """The common nouns of a selection."""
        return self._filtered(("common", selection), self.nouns, lambda n: not n.alone and fits(n, selection))

    def proper(self, selection: str) -> tuple[Noun, ...]:
        """The names and pronouns of a selection."""
        return self._filtered(("proper", selection), self.nouns, lambda n: n.alone and fits(n, selection))

    def describing(self, noun: Noun) -> tuple[Adjective, ...]:
        """The adjectives that a noun may have."""
        return self._filtered(("adjective", noun), self.adjectives, lambda a: fits(noun, a.nouns))

    def done_by(self, noun: Noun) -> tuple[Verb, ...]:
        """The verbs that a noun may be the subject of."""
        return self._filtered(("subject", noun), self.verbs, lambda v: fits(noun, v.subjects))

    def done_to(self, noun: Noun) -> tuple[Verb, ...]:
        """The verbs that a noun may be the direct object of, in French too."""
        return self._filtered(
            ("object", noun), self.verbs, lambda v: bool(v.objects) and not v.preposition and fits(noun, v.objects)
        )

    def placing(self, noun: Noun) -> tuple[Preposition, ...]:
        """The prepositions that may say where a noun is."""
        return self._filtered(("place", noun), self.prepositions, lambda p: fits(noun, p.located))

    def noun(self, english: str) -> Noun:
        """The noun with this English singular."""
        return next(noun for noun in self.nouns if noun.english[0] == english)

    def adjective(self, english: str) -> Adjective:
        """The adjective with this English form."""
        return next(adjective for adjective in self.adjectives if adjective.english == english)

    def verb(self, english: str) -> Verb:
        """The first verb with this English base form."""
        return next(verb for verb in self.verbs if verb.english[0] == english)


def fits(noun: Noun, selection: str) -> bool:
    """Whether a noun belongs to a selection."""
    wanted, unwanted = _wanted(selection)
    return not wanted.isdisjoint(noun.tags) and unwanted.isdisjoint(noun.tags)


@cache
def _wanted(selection: str) -> tuple[frozenset[str], frozenset[str]]:
    words = selection.split()
    return frozenset(w for w in words if w[0] != "-"), frozenset(w[1:] for w in words if w[0] == "-")


def _rows(table: str) -> list[list[str]]:
    lines = [line for line in table.splitlines() if line.strip()]
    return [["" if cell.strip() == "-" else cell.strip() for cell in line.split("|")] for line in lines]


def _forms(cell: str) -> list[str]:
    return ["" if form == "-" else form.replace("_", " ") for form in cell.split()]


# In the tables "-" is "none" and "_" a space inside one entry.
_NOUNS = """
he -                     | il -                        | m | pronoun male
she -                    | elle -                      | f | pronoun female
they they                | ils ils                       | m | pronoun
Anna -                   | Anna -                      | f | name female
Marie -                  | Marie -                     | f | name female
Paul -                   | Paul -                      | m | name male
Louis -                  | Louis -                     | m | name male
woman women              | femme femmes                | f | person adult female
man men                  | homme hommes                | m | person adult male
girl girls               | fille filles                | f | person minor female
boy boys                 | garçon garçons              | m | person minor male
child children           | enfant enfants              | m | person minor
friend friends           | ami amis                    | m | person adult kin
teacher teachers         | professeur professeurs      | m | person adult
doctor doctors           | médecin médecins            | m | person adult
mother -                 | mère -                      | f | person adult female kin
father -                 | père -                      | m | person adult male kin
dog dogs                 | chien chiens                | m | animal small pet
cat cats                 | chat chats                  | m | animal small pet
bird birds               | oiseau oiseaux              | m | animal small winged
owl owls                 | hibou hiboux                | m | animal winged
horse horses             | cheval chevaux              | m | animal large
giraffe giraffes         | girafe girafes              | f | animal large
elephant elephants       | éléphant éléphants          | m | animal large
frisbee frisbees         | frisbee frisbees            | m | thing toy own
ball balls               | balle balles                | f | thing toy own
teddy_bear teddy_bears   | nounours nounours           | m | thing toy own
kite kites               | cerf-volant cerfs-volants   | m | thing own
book books               | livre livres                | m | thing text own
newspaper newspapers     | journal journaux            | m | thing text
letter letters           | lettre lettres              | f | thing text
hat hats                 | chapeau chapeaux            | m | thing own
guitar -                 | guitare -                   | f | thing own
apple apples             | pomme pommes                | f | thing food
cake cakes               | gâteau gâteaux              | m | thing food
flower flowers           | fleur fleurs                | f | thing
story stories            | histoire histoires          | f | tale
boat boats               | bateau bateaux              | m | craft own
car cars                 | voiture voitures            | f | craft vehicle own
bus -                    | bus -                       | m | craft vehicle
bed -                    | lit -                       | m | furniture
chair chairs             | chaise chaises              | f | furniture
table -                  | table -                     | f | furniture
door -                   | porte -                     | f | part
tree trees               | arbre arbres                | m | scenery
mountain mountains       | montagne montagnes          | f | scenery
bridge -                 | pont -                      | m | scenery
stop_sign stop_signs     | panneau_stop panneaux_stop  | m | scenery crossed
house houses             | maison maisons              | f | place building indoor
school -                 | école -                     | f | place building indoor goal
hospital -               | hôpital -                   | m | place building indoor goal
kitchen -                | cuisine -                   | f | place indoor
garden gardens           | jardin jardins              | m | place outdoor
park -                   | parc -                      | m | place outdoor goal
street streets           | rue rues                    | f | place outdoor
forest -                 | forêt -                     | f | place outdoor
village -                | village -                   | m | place outdoor goal
beach -                  | plage -                     | f | place goal
lake -                   | lac -                       | m | place goal
market -                 | marché -                    | m | place goal
station -                | gare -                      | f | place building indoor goal
water -                  | eau -                       | f | mass
"""

_ADJECTIVES = """
good      | bon bonne bons bonnes bon                      | before | 0 | book tale food teacher doctor \
friend dog
beautiful | beau belle beaux belles bel         | before | 0 | woman girl animal -owl flower tree house \
garden place -kitchen -station -hospital -school mountain boat hat kite tale guitar bridge
big       | grand grande grands grandes grand   | before | 2 | animal place -kitchen -street mountain bed \
table hat kite craft
tall      | grand grande grands grandes grand              | before | 2 | girl boy tree
small     | petit petite petits petites petit              | before | 2 | minor animal thing craft \
furniture scenery place -station -hospital -beach -street
old       | vieux vieille vieux vieilles vieil             | before | 3 | adult -kin friend animal text \
hat guitar tale craft furniture part tree bridge house school hospital station village ball
young     | jeune jeune jeunes jeunes jeune                | before | 3 | adult -kin -friend girl boy dog \
cat large
new       | nouveau nouvelle nouveaux nouvelles nouvel     | before | 3 | own book teacher doctor friend \
furniture bus bridge house school hospital station
happy     | heureux heureuse heureux heureuses heureux     | after  | 1 | person pet elephant pronoun name
tired     | fatigué fatiguée fatigués fatiguées fatigué    | after  | 1 | person pet large pronoun name
sad       | triste triste tristes tristes triste           | after  | 1 | person pet tale pronoun name
curious   | curieux curieuse curieux curieuses curieux     | after  | 1 | person animal pronoun name
heavy     | lourd lourde lourds lourdes lourd              | after  | 2 | furniture book guitar
wild      | sauvage sauvage sauvages sauvages sauvage      | after  | 4 | horse bird elephant flower
black     | noir noire noirs noires noir                   | after  | 5 | pet horse bird hat toy craft \
chair table guitar book
white     | blanc blanche blancs blanches blanc            | after  | 5 | pet horse bird owl hat toy kite \
craft furniture house flower door
grey      | gris grise gris grises gris                    | after  | 5 | cat horse elephant owl hat house \
craft
red       | rouge rouge rouges rouges rouge               | after  | 5 | toy kite hat apple flower craft \
door chair guitar book house stop_sign bird
blue      | bleu bleue bleus bleues bleu                   | after  | 5 | toy kite hat flower craft door \
chair bird book bed
green     | vert verte verts vertes vert                   | after  | 5 | toy kite hat apple craft door \
chair book bird
yellow    | jaune jaune jaunes jaunes jaune                | after  | 5 | toy kite hat flower craft door \
chair bird
"""

# Flags: place = may say where (still = also "at" a place); to = may take a recipient; modal = goes with "can" and
# its like; slow, quiet = adverbs; the = definite objects only; state = no "often"; unowned = not yet one's own.
_VERBS = """
sleep     | sleeps sleeping     | dormir dort dorment          | - | person animal | - | place still modal quiet
run       | runs running        | courir court courent         | - | person animal -winged | - | place modal
walk      | walks walking       | marcher marche marchent      | - | person animal -winged | - | place \
modal slow quiet
sing      | sings singing       | chanter chante chantent      | - | person bird | - | place still modal
play      | plays playing       | jouer joue jouent            | - | minor pet friend | - | place still modal \
quiet
wait      | waits waiting       | attendre attend attendent    | - | person dog horse | - | place still quiet
read      | reads reading       | lire lit lisent              | - | person | - | place still quiet modal
see       | sees -              | voir voit voient             | - | person animal | person animal thing \
craft furniture scenery place -kitchen | modal
throw     | throws throwing     | lancer lance lancent         | - | person | toy | place modal
eat       | eats eating         | manger mange mangent         | - | person | food | place modal slow quiet
eat       | eats eating         | manger mange mangent         | - | large | apple flower | slow
read      | reads reading       | lire lit lisent              | - | person | text tale | place modal slow \
quiet to
love      | loves -             | aimer aime aiment            | - | person | person animal tale text \
flower place -kitchen -station -hospital boat guitar mountain cake | the state
catch     | catches catching    | attraper attrape attrapent   | - | person dog | toy | modal
carry     | carries carrying    | porter porte portent         | - | person | thing chair | modal slow
follow    | follows following   | suivre suit suivent          | - | person animal | person animal craft \
-boat | slow
look at   | looks looking       | regarder regarde regardent   | - | person animal | person animal thing \
craft scenery house lake | quiet
look for  | looks looking       | chercher cherche cherchent   | - | person dog | person animal thing \
-flower | -
draw      | draws drawing       | dessiner dessine dessinent   | - | person | person animal flower apple \
boat craft tree mountain house bridge | slow
open      | opens opening       | ouvrir ouvre ouvrent         | - | person | door letter book | modal slow
buy       | buys buying         | acheter achète achètent      | - | adult | thing -letter craft -bus \
furniture | modal state unowned
listen to | listens listening   | écouter écoute écoutent      | - | person | person tale bird owl | quiet
wait for  | waits waiting       | attendre attend attendent    | - | person | person bus | quiet
wait for  | waits waiting       | attendre attend attendent    | - | dog | person | quiet
talk to   | talks talking       | parler parle parlent         | à | person | person pet horse | modal
think of  | thinks thinking     | penser pense pensent         | à | person | person animal place tale | -
go to     | goes going          | aller va vont                | à | person bus | goal | modal the
come from | comes coming        | venir vient viennent         | de | person bus | goal forest -lake -park \
| -
play      | plays playing       | jouer joue jouent            | de | person | guitar | place modal quiet
play with | plays playing       | jouer joue jouent            | avec | minor friend | toy kite pet person \
| modal quiet
play with | plays playing       | jouer joue jouent            | avec | pet | toy pet minor | quiet
walk with | walks walking       | marcher marche marchent      | avec | person | person dog horse | slow
give      | gives giving        | donner donne donnent         | - | person | thing | modal to
"""

_PREPOSITIONS = """
in          | dans        | person animal -owl      | park garden street forest village
in          | dans        | owl                     | forest garden tree
in          | dans        | person small            | house school kitchen hospital station
in          | dans        | bird                    | tree
in          | dans        | minor dog elephant      | water
in          | dans        | tree flower             | garden park forest
in          | dans        | vehicle stop_sign       | street village
on          | sur         | thing -tale small       | table chair bed
on          | sur         | person animal -winged   | beach bridge
on          | sur         | boat                    | lake water
on          | sur         | car bus                 | bridge
under       | sous        | thing small             | table bed chair
under       | sous        | person animal           | tree bridge
behind      | derrière    | person animal craft -boat scenery -mountain -bridge  | building tree craft -boat
behind      | derrière    | thing small             | door chair
in_front_of | devant      | person animal craft -boat scenery -mountain -bridge  | building tree craft \
-boat mountain
near        | près_de     | person animal           | building lake tree bridge craft mountain market forest
near        | près_de     | building craft tree stop_sign | building lake bridge forest mountain market park
next_to     | à_côté_de   | person animal           | tree building craft person -kin
next_to     | à_côté_de   | thing small furniture   | bed table chair door
next_to     | à_côté_de   | tree building vehicle stop_sign | building tree park
at          | à           | person                  | market station school hospital beach
"""

DETERMINERS = {
    "": Determiner(("", ""), ("", "", "", "")),
    "the": Determiner(("the", "the"), ("le", "la", "les", "les")),
    "a": Determiner(("a", ""), ("un", "une", "", "")),
    "this": Determiner(("this", "these"), ("ce", "cette", "ces", "ces")),
    "some": Determiner(("", "some"), ("", "", "des", "des")),
    "two": Determiner(("", "two"), ("", "", "deux", "deux")),
    "three": Determiner(("", "three"), ("", "", "trois", "trois")),
    "several": Determiner(("", "several"), ("", "", "plusieurs", "plusieurs")),
    "many": Determiner(("", "many"), ("", "", "beaucoup de", "beaucoup de")),
    "every": Determiner(("every", ""), ("chaque", "chaque", "", "")),
    "all the": Determiner(("", "all the"), ("", "", "tous les", "toutes les")),
    "the two": Determiner(("", "the two"), ("", "", "les deux", "les deux")),
    "his": Determiner(("his", "his"), ("son", "sa", "ses", "ses")),
    "her": Determiner(("her", "her"), ("son", "sa", "ses", "ses")),
    "their": Determiner(("their", "their"), ("leur", "leur", "leurs", "leurs")),
}
# English base and third person, the word before the infinitive; French singular and plural, and that word again.
MODALS = {
    "want": (("want", "wants"), "to", ("veut", "veulent"), ""),
    "try": (("try", "tries"), "to", ("essaie", "essaient"), "de"),
    "can": (("can", "can"), "", ("peut", "peuvent"), ""),
}
ADVERBS = {"often": "souvent", "always": "toujours", "slowly": "lentement", "quietly": "tranquillement"}
CONNECTORS = {
    ",": ",",
    "and": "et",
    "but": "mais",
    "because": "parce que",
    "while": "pendant que",
    "when": "quand",
}
OF_PHRASES = (
    ("kin teacher", "woman man girl boy child doctor"),
    ("door", "building kitchen"),
    ("garden", "house school hospital"),
    ("story", "person animal boat village"),
)  # what may belong to what: "la porte de la maison"
ASPIRATED = frozenset({"hibou", "hiboux"})  # an h that forbids elision


def _noun(row: list[str]) -> Noun:
    english, french = _forms(row[0]), _forms(row[1])
    tags = frozenset(row[3].split()) | {english[0].replace(" ", "_")}
    return Noun((english[0], english[1]), (french[0], french[1]), row[2] == "f", tags)


def _adjective(row: list[str]) -> Adjective:
    forms = row[1].split()
    french = (forms[0], forms[1], forms[2], forms[3], forms[4])
    return Adjective(row[0], french, row[2] == "before", int(row[3]), row[4])


def _verb(row: list[str]) -> Verb:
    base, _, particle = row[0].partition(" ")
    (third, ing), french = _forms(row[1]), _forms(row[2])
    return Verb(
        english=(base, third, ing),
        particle=particle,
        french=(french[0], french[1], french[2]),
        preposition=row[3],
        subjects=row[4] + " pronoun name" * ("person" in row[4].split()),
        objects=row[5],
        flags=frozenset(row[6].split()),
    )


def _preposition(row: list[str]) -> Preposition:
    return Preposition(row[0].replace("_", " "), row[1].replace("_", " "), row[2], row[3])


LEXICON = Lexicon(
    tuple(_noun(row) for row in _rows(_NOUNS)),
    tuple(_adjective(row) for row in _rows(_ADJECTIVES)),
    tuple(_verb(row) for row in _rows(_VERBS)),
    tuple(_preposition(row) for row in _rows(_PREPOSITIONS)),
)
