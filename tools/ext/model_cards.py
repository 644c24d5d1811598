"""Sphinx extension: the cards of the published models, and who learned from which data.

``{model-cards} NAME…`` shows the card (``README.md``) of each model of `course_pkg.checkpoints.published` whose name
begins with one of these, its table drawn as on the page of results; without a name, all that no other ``model-cards``
of the page shows, so that a model just published is on the page by itself. ``{trained-on} CORPUS`` lists the models
whose recipe names that corpus.
"""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from docutils import nodes
from results_tables import passport_node, table_node, text_of
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from course_pkg import checkpoints

PACKAGE = Path(str(files("course_pkg")))
SHOWN = "model_cards_shown"  # in the environment's temporary data of a page: the beginnings of names shown so far
LENGTHS = [("words", "words in the source"), ("n", "sentences"), ("bleu", "BLEU")]
FEW = 30
"""A score of fewer sentences than this is noise, and left out."""


def read(path: Path) -> dict[str, Any]:
    """A file of the package."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def corpora_of(name: str) -> set[str]:
    """What a published model learned from, by name."""
    train = read(PACKAGE / "weights" / name / "config.json")["recipe"]["data"]["train"]
    return {part.strip().partition(":")[0] for part in train.replace(",", "+").split("+")}


def chosen(names: list[str], wanted: tuple[str, ...], shown: list[str]) -> list[str]:
    """The models of one ``model-cards``; without a wish, those that no wish on the page has named."""
    return [name for name in names if (name.startswith(wanted) if wanted else not name.startswith(tuple(shown)))]


def body_of(name: str) -> str:
    """The text of a card below its title."""
    title, _, body = (PACKAGE / "weights" / name / "README.md").read_text(encoding="utf-8").partition("\n")
    if title != f"# {name}":
        raise ValueError(f"the card of {name} does not begin with its name")
    return body


def by_length(result: dict[str, Any]) -> dict[str, Any] | None:
    """BLEU against the length of the source, where enough sentences are so long."""
    rows = [
        {"words": f"{one['min'] or 1} to {one['max']}" if one["max"] else f"{one['min']} or more", **one}
        for one in result.get("by_length", [])
        if one["n"] >= FEW
    ]
    return {"columns": LENGTHS, "rows": rows} if rows else None


class ModelCards(SphinxDirective):
    """``{model-cards} NAME…``: a section for each published model."""

    optional_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """The sections, in the order of names."""
        wanted = tuple(self.arguments[0].split()) if self.arguments else ()
        shown: list[str] = self.env.temp_data.setdefault(SHOWN, [])
        shown.extend(wanted)
        return [self.card(name) for name in chosen(checkpoints.published(), wanted, shown)]

    def card(self, name: str) -> nodes.section:
        """One model: its headline, then its card with the stored tables."""
        config, path = read(PACKAGE / "weights" / name / "config.json"), PACKAGE / "results" / f"{name}.json"
        for used in (PACKAGE / "weights" / name / "README.md", PACKAGE / "weights" / name / "config.json", path):
            self.env.note_dependency(str(used))
        result = read(path) if path.is_file() else {}
        place, known = nodes.make_id(f"card-{name}"), self.env.domains["std"].data
        known["labels"][place] = (self.env.docname, place, name)
        known["anonlabels"][place] = (self.env.docname, place)
        section = nodes.section(ids=[place], classes=["model-card"])
        section += nodes.title("", "", nodes.literal("", name))
        if "headline" in config:
            best, unit = config["headline"], " %" if config["headline"]["metric"] == "exact match" else ""
            section += nodes.paragraph("", "", nodes.strong("", f"{best['metric']} {text_of(best['score'])}{unit}"))
            section[-1] += nodes.Text(f" on {best['data']}")
        section += self.parse_text_to_nodes(body_of(name))
        if result:
            (table,), (_, signatures) = section.findall(nodes.table), section.findall(nodes.bullet_list)
            table.replace_self(table_node(result))
            signatures.replace_self(passport_node(result["passport"]["signature"]))
        if lengths := by_length(result):
            section += nodes.paragraph("", "On the test set, by the length of the source:")
            section += table_node(lengths)
        return section


class TrainedOn(SphinxDirective):
    """``{trained-on} CORPUS``: the published models that learned from it."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """One sentence, with a link to each card."""
        names = [name for name in checkpoints.published() if self.arguments[0] in corpora_of(name)]
        if not names:
            return [nodes.paragraph("", "No published model was trained on it.")]
        listed = ", ".join(f"{{ref}}`{name} <card-{name}>`" for name in names)
        return list(self.parse_text_to_nodes(f"Published models trained on it: {listed}."))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directives."""
    app.add_directive("model-cards", ModelCards)
    app.add_directive("trained-on", TrainedOn)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
