"""α as one static page: what ``course translate --alpha FILE.html`` writes.

The page needs no script, no network and no other file; it follows the reader's light or dark setting. Each
sentence is a table with real row and column headers, so that a screen reader can walk through it.
"""

import contextlib
import os
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from course_pkg.drawing import ALPHA_COLORMAP, ALPHA_STOPS
from course_pkg.notation import CourseError

__all__ = ["CSS", "alpha_html", "checked_weights", "html_text", "page", "replace_file", "write_alpha_html"]

_LARGEST_TABLE = 10_000  # cells; above it, each target word lists the words it looks at most
_LISTED = 5

CSS = """
:root { color-scheme: light dark; --paper: #fdfcf9; --ink: #20242c; --muted: #59606d; --rule: #d9dbe0; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #15171c; --ink: #e8e9ec; --muted: #a7adb8; --rule: #3a3f4a; }
}
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 72rem; font: 1rem/1.55 system-ui, sans-serif;
  background: var(--paper); color: var(--ink); }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; }
h2 { font-size: 1.1rem; margin: 0 0 .25rem; }
p { margin: .25rem 0; max-width: 60ch; }
.note, caption { color: var(--muted); font-size: .9rem; }
section { border-top: 1px solid var(--rule); margin-top: 2rem; padding-top: 1.25rem; }
section p { overflow-wrap: anywhere; }
.scroll { overflow-x: auto; margin-top: .75rem; padding: 2px 2px .5rem; }
.scroll:focus-visible { outline: 2px solid currentColor; outline-offset: 2px; }
table { border-collapse: separate; border-spacing: 3px; font-variant-numeric: tabular-nums; }
caption { caption-side: bottom; text-align: left; padding-top: .5rem; }
th { font-weight: 500; white-space: pre; }
thead th { vertical-align: bottom; padding: .25rem 0; }
thead th bdi { writing-mode: vertical-rl; transform: rotate(180deg); }
tbody th { text-align: right; padding: 0 .5rem 0 0; position: sticky; left: 0; background: var(--paper); }
td { min-width: 2.4rem; height: 2rem; text-align: center; font-size: .8rem; border-radius: 3px; }
td.most { font-weight: 700; outline: 2px solid var(--ink); }
table.list td { text-align: left; padding: 0 .5rem; font-size: .9rem; }
.scale { display: inline-block; width: 8rem; height: .8rem; border-radius: 3px; vertical-align: middle; }
@media print {
  .scroll { overflow: visible; }
  td, .scale { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
}
"""


def checked_weights(weights: Any, source_tokens: Sequence[str], target_tokens: Sequence[str]) -> np.ndarray:
    """α as a float array of shape (T, S), after a look at its shape and its values.

    ``weights`` may be nested lists, an array or a tensor on any device. Raises :class:`CourseError` if it
    does not have a row for each target token and a column for each source token, or leaves [0, 1].
    """
    if hasattr(weights, "detach"):
        weights = weights.detach().cpu().float()
    matrix = np.asarray(weights, dtype=np.float64)
    wanted = (len(target_tokens), len(source_tokens))
    if 0 in wanted and matrix.size == 0:
        return np.zeros(wanted)
    if matrix.shape != wanted:
        raise CourseError(
            f"α has shape {matrix.shape}, but there are {wanted[0]} target and {wanted[1]} source tokens; "
            "rows are target tokens, columns source tokens"
        )
    if not np.isfinite(matrix).all() or matrix.min() < -1e-4 or matrix.max() > 1 + 1e-3:
        raise CourseError("α must lie between 0 and 1 everywhere; it holds other values")
    return matrix.clip(0.0, 1.0)


def html_text(text: str) -> str:
    """Text for HTML: never markup, and without the control characters and lone halves that HTML forbids."""
    shown = (c if c.isprintable() or _allowed(ord(c)) else chr(0x2400 + ord(c)) if c < " " else "\ufffd" for c in text)
    return escape("".join(shown))


def _allowed(code: int) -> bool:
    return code >= 0xA0 and not (0xD800 <= code <= 0xDFFF or 0xFDD0 <= code <= 0xFDEF or code & 0xFFFE == 0xFFFE)


def _ink(step: int) -> tuple[str, str]:
    """Background and text colour of α = step / 100: black or white, whichever stands out more."""
    rgb = np.array(ALPHA_COLORMAP(step / 100)[:3])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    luminance = float(linear @ [0.2126, 0.7152, 0.0722])
    ink = "#000" if (luminance + 0.05) / 0.05 > 1.05 / (luminance + 0.05) else "#fff"
    return "#" + "".join(f"{round(255 * value):02x}" for value in rgb), ink


def _table(matrix: np.ndarray, source: Sequence[str], target: Sequence[str]) -> str:
    heads = "".join(f'<th scope="col"><bdi>{html_text(token)}</bdi></th>' for token in source)
    rows = []
    for token, row in zip(target, matrix, strict=True):
        most = int(row.argmax())
        cells = "".join(
            f'<td class="a{round(100 * value)}{" most" if column == most else ""}">{value:.2f}</td>'
            for column, value in enumerate(row)
        )
        rows.append(f'<tr><th scope="row"><bdi>{html_text(token)}</bdi></th>{cells}</tr>')
    return (
        "<table><caption>Rows: target words. Columns: source words. The frame marks each row’s largest weight."
        f"</caption>\n<thead><tr><td></td>{heads}</tr></thead>\n<tbody>\n" + "\n".join(rows) + "\n</tbody></table>"
    )


def _list(matrix: np.ndarray, source: Sequence[str], target: Sequence[str]) -> str:
    rows = []
    for token, row in zip(target, matrix, strict=True):
        best = np.argsort(-row, kind="stable")[:_LISTED]
        looks = ", ".join(f"<bdi>{html_text(source[i])}</bdi> {row[i]:.2f}" for i in best)
        rows.append(f'<tr><th scope="row"><bdi>{html_text(token)}</bdi></th><td>{looks}</td></tr>')
    note = f"A long sentence: each target word with the {_LISTED} source words it looks at most."
    return _tabulated("list", note, '<th scope="col">target</th><th scope="col">source</th>', rows)


def _tabulated(kind: str, note: str, head: str, rows: Sequence[str]) -> str:
    body = "\n".join(rows)
    return f"""<table class="{kind}"><caption>{note}</caption>
<thead><tr>{head}</tr></thead>
<tbody>
{body}
</tbody></table>"""


def _section(number: int, record: Mapping[str, Any]) -> str:
    source, target = record["source_tokens"], record["target_tokens"]
    matrix = checked_weights(record["weights"], source, target)
    table = _table if matrix.size <= _LARGEST_TABLE else _list
    shown = table(matrix, source, target) if matrix.size else '<p class="note">No words, so no weights.</p>'
    return f"""<section aria-labelledby="s{number}">
<h2 id="s{number}">Sentence {number}</h2>
<p><span class="note">source</span> <bdi>{html_text(record["source"])}</bdi></p>
<p><span class="note">target</span> <bdi>{html_text(record["target"])}</bdi></p>
<div class="scroll" role="region" aria-labelledby="s{number}" tabindex="0">
{shown}
</div>
</section>"""


def alpha_html(records: Sequence[Mapping[str, Any]]) -> str:
    """The page for ``records``: each with ``source``, ``target``, their ``…_tokens``, and ``weights`` (T, S).

    Every weight stands in its cell with two digits; a table of more than 10,000 cells becomes a list of the
    five largest weights per target word. Raises :class:`CourseError` for weights that do not fit their tokens.
    """
    colours = "\n".join(
        f"td.a{step} {{ background: {ground}; color: {ink}; }}" for step in range(101) for ground, ink in [_ink(step)]
    )
    gradient = f".scale {{ background: linear-gradient(to right, {', '.join(ALPHA_STOPS)}); }}"
    sections = "\n".join(_section(number, record) for number, record in enumerate(records, start=1))
    return page(
        f"{CSS}{gradient}\n{colours}",
        f"""<p>Each number is an attention weight α: how much of the context, while writing the word of this row, came
from the source word of this column. A row adds up to 1.</p>
<p class="note">α = 0 <span class="scale" role="img" aria-label="colour scale from light to dark"></span> α = 1</p>
{sections}""",
    )


def page(style: str, body: str) -> str:
    """The whole page around a style sheet and what is to be shown."""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Where each word looked</title>
<style>{style}
</style>
</head>
<body>
<main>
<h1>Where each word looked</h1>
{body}
</main>
</body>
</html>
"""


def write_alpha_html(path: str | os.PathLike[str], records: Sequence[Mapping[str, Any]]) -> None:
    """Write :func:`alpha_html` to ``path``: whole or not at all."""
    replace_file(path, alpha_html(records).encode("utf-8"))


def replace_file(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file beside ``path``, then move it there: a reader sees the old file or the whole new one."""
    goal = Path(path)
    draft = goal.with_name(f".{goal.name}.{os.getpid()}.part")
    try:
        try:
            draft.write_bytes(content)
            os.replace(draft, goal)
        except OSError:
            with contextlib.suppress(OSError):
                draft.unlink()
            raise
    except OSError as error:
        raise CourseError(f"cannot write {goal}: {error.strerror or error}") from error
