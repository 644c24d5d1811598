"""Sphinx extension: the ``results-tables`` directive draws every file of ``course_pkg/results``.

A file holds ``title``, ``columns`` (field names, or pairs of field name and heading), ``rows`` (a list of
mappings) and ``passport`` (a mapping: data, tokenisation, signature, decoding, seeds, hardware, cost, recipe),
and optionally ``note``. Without ``columns``, the fields of the first row are the columns.
"""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


def text_of(value: Any) -> str:
    """A cell as people read it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 10 else f"{value:.1f}"
    if isinstance(value, int):
        return f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}") if abs(value) >= 10_000 else str(value)
    if isinstance(value, list):
        return ", ".join(map(text_of, value))
    if isinstance(value, dict):
        return "; ".join(f"{key}: {text_of(part)}" for key, part in value.items())
    return "–" if value is None else str(value)


def columns_of(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Field names with their headings."""
    columns = result.get("columns") or list(result["rows"][0])
    if isinstance(columns, dict):
        return list(columns.items())
    return [
        (column, column.replace("_", " ")) if isinstance(column, str) else (column[0], column[1]) for column in columns
    ]


def turned(columns: list[tuple[str, str]], rows: list[dict[str, Any]]) -> tuple[list[tuple[str, str]], list[list[Any]]]:
    """A wide table of few rows with rows and columns exchanged, so that it fits a narrow page."""
    (first, heading), *others = columns
    heads = [("", heading), *((str(row.get(first)), str(row.get(first))) for row in rows)]
    return heads, [[name, *(row.get(field) for row in rows)] for field, name in others]


def row_node(texts: list[str], first_is_code: bool) -> nodes.row:
    """One row of a table."""
    row = nodes.row()
    for number, text in enumerate(texts):
        content = nodes.literal if first_is_code and number == 0 else nodes.inline
        row += nodes.entry("", nodes.paragraph("", "", content("", text)))
    return row


def table_node(result: dict[str, Any]) -> nodes.table:
    """The rows as a table, headings first."""
    columns, rows = columns_of(result), result["rows"]
    named = columns[0][0] in {"model", "name", "recipe"}
    if len(rows) <= 3 < len(columns) and isinstance(rows[0], dict):
        (columns, rows), named = turned(columns, rows), False
    group = nodes.tgroup(cols=len(columns))
    group += [nodes.colspec(colwidth=1) for _ in columns]
    group += nodes.thead("", row_node([heading for _, heading in columns], False))
    body = nodes.tbody()
    for row in rows:
        values = row if isinstance(row, list) else [row.get(field) for field, _ in columns]
        body += row_node([text_of(value) for value in values], named)
    group += body
    return nodes.table("", group, classes=["results"])


def passport_node(passport: dict[str, Any]) -> nodes.field_list:
    """What a reader needs in order to repeat the numbers."""
    fields = nodes.field_list(classes=["passport"])
    for key, value in passport.items():
        body = nodes.field_body("", nodes.paragraph("", text_of(value)))
        fields += nodes.field("", nodes.field_name("", key.replace("_", " ")), body)
    return fields


def reading_order(path: Path) -> tuple[bool, str]:
    """Comparisons before the models that they compare, how decoding was fixed last."""
    return path.stem.endswith("-decoding"), path.stem


class ResultsTables(SphinxDirective):
    """``{results-tables}``: one section for each stored result."""

    def run(self) -> list[nodes.Node]:
        """The sections; a sentence where nothing is stored yet."""
        sections: list[nodes.Node] = []
        for path in sorted(Path(str(files("course_pkg"))).glob("results/*.json"), key=reading_order):
            self.env.note_dependency(str(path))
            result = json.loads(path.read_text(encoding="utf-8"))
            if not result.get("rows") or "title" not in result:
                continue
            section = nodes.section(ids=[nodes.make_id(path.stem)])
            section += nodes.title("", result["title"])
            if result.get("note"):
                section += nodes.paragraph("", result["note"])
            section += table_node(result)
            section += passport_node(result.get("passport", {}))
            sections.append(section)
        return sections or [nodes.paragraph("", "Nothing has been measured yet.")]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("results-tables", ResultsTables)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
