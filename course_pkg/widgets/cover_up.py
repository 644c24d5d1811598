"""The reader as the fixed vector: a sentence is covered and rebuilt from its words. Chapter 2."""

import re
from collections.abc import Iterable, Sequence
from html import escape
from random import Random

import traitlets

from course_pkg.notation import CourseError
from course_pkg.widgets.base import CourseWidget, front_end, style_sheet

__all__ = ["CoverUp", "in_order"]


def in_order(wanted: Sequence[str], written: Sequence[str]) -> int:
    """How many words can be kept in order: the length of the longest common subsequence.

    Capitals do not count, as in the widget, so that a model and a reader are measured alike. Chapter 2.
    """
    before = [0] * (len(written) + 1)
    for word in wanted:
        row = [0]
        for place, other in enumerate(written, start=1):
            equal = word.lower() == other.lower()
            row.append(before[place - 1] + 1 if equal else max(before[place], row[-1]))
        before = row
    return before[-1]


def _words(text: str) -> list[str]:
    return re.findall(r"\w+(?:[-'’]\w+)*", text)


class CoverUp(CourseWidget):
    """Sentences that the reader reads, covers and rebuilds from tiles, then again with the sentence in sight.

    ``model`` holds pairs (words in the sentence, share of them kept in order, 0 to 1), shown beside the reader's own
    curve under the name ``model_name``. The tiles are shuffled here, by ``seed``. Results stay in the reader's
    browser under ``key``. Raises `CourseError` for a sentence of fewer than two words and a share outside 0 to 1.
    """

    _esm = front_end("cover_up")
    _css = style_sheet("cover_up")
    title = traitlets.Unicode().tag(sync=True)
    key = traitlets.Unicode().tag(sync=True)
    sentences = traitlets.List(traitlets.Dict()).tag(sync=True)
    model_name = traitlets.Unicode().tag(sync=True)
    points = traitlets.List(traitlets.List()).tag(sync=True)

    def __init__(
        self,
        sentences: Sequence[str],
        model: Iterable[tuple[int, float]] = (),
        *,
        model_name: str = "the model",
        title: str = "Be the vector",
        key: str = "sentences",
        seed: int = 2,
    ) -> None:
        short = [text for text in sentences if len(_words(text)) < 2]
        if short or not sentences:
            raise CourseError(f"there is nothing to rebuild in {short}; give sentences of two words and more")
        points = [[int(words), round(float(share), 4)] for words, share in sorted(model)]
        if not all(words > 0 and 0 <= share <= 1 for words, share in points):
            raise CourseError("the model's points are pairs of a number of words and a share from 0 to 1")
        shuffle = Random(seed)
        super().__init__(
            title=title, key=key, model_name=model_name, points=points,
            sentences=[
                {"text": text, "words": words, "order": shuffle.sample(range(len(words)), len(words))}
                for text in sentences
                for words in [_words(text)]
            ],
        )  # fmt: skip

    def __repr__(self) -> str:
        lengths = ", ".join(str(len(one["words"])) for one in self.sentences)
        return f"CoverUp(sentences of {lengths} words; beside them {self.model_name})"

    def fallback(self) -> str:
        """The sentences in closed boxes, to be written down with pen and paper, and the model's numbers."""
        boxes = "".join(
            f"<details><summary>A sentence of {len(one['words'])} words</summary><p>{escape(one['text'])}</p></details>"
            for one in self.sentences
        )
        html = f"<p>Open a box, read once, close it, and write down what you kept.</p>{boxes}"
        if self.points:
            rows = "".join(f'<tr><th scope="row">{n}</th><td>{share:.0%}</td></tr>' for n, share in self.points)
            name = escape(self.model_name)
            html += (
                f'<table><thead><tr><th scope="col">words</th><th scope="col">kept in order by {name}</th></tr></thead>'
                f"<tbody>{rows}</tbody></table>"
            )
        return html
