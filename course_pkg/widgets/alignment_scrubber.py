"""`AlignmentScrubber`: step through a translation and watch where it looks; with steering, turn its gaze. Chapter 8."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import traitlets

from course_pkg.alpha_page import checked_weights
from course_pkg.notation import CourseError
from course_pkg.widgets.base import CourseWidget, front_end, style_sheet

__all__ = ["AlignmentScrubber"]

_DIGITS = 4
_NAMED = 60  # tokens that the text form names before it stops


class AlignmentScrubber(CourseWidget):
    """A translation one step at a time: its words, its α as a matrix, and a slider, always in step.

    Rows of every α are target tokens, columns source tokens, EOS included where the model has it.

    Args:
        source: the source tokens.
        target: the target tokens.
        weights: ``α``, shape ``(T, S)``; may be ``None`` if ``epochs`` is given.
        gold: links ``(source, target)`` counted from 0: between words if the words are given, else between tokens.
        epochs: ``{"epochs": labels, "weights": one α for each}``, as in ``course_pkg/results/toy-epochs.json``; the
            last moment is shown first, and is ``weights`` if both are given.
        other: a second model beside the first: its α, or ``{"weights": …, "target": …, "target_words": …}`` if it
            wrote other tokens.
        steer: ``{"words": …, "probabilities": …}``, each of shape ``(T, S, k)``, as `course_pkg.steering` computes
            it: what the model would write at step i with ``c_i := h_j``.
        source_words: for each source token the index of its word, ``None`` for EOS; pieces can then be folded into
            words as in `course_pkg.inference.fold_words`.
        target_words: likewise for the target.
        names: what to call the first model and the other.
        key: names this widget in the page's address; made from the tokens if not given.
        step: the step that is selected at first.

    Attributes:
        step: the selected step, counted from 0; follows the reader's hand where a kernel runs.
        moment: the selected moment of ``epochs``.

    Raises:
        CourseError: weights, links, words or words to steer to that do not fit the tokens.
    """

    _esm = front_end("alignment_scrubber")
    _css = style_sheet("alignment_scrubber")

    source = traitlets.List(traitlets.Unicode()).tag(sync=True)
    source_words: traitlets.List = traitlets.List().tag(sync=True)
    views = traitlets.List(traitlets.Dict()).tag(sync=True)
    labels = traitlets.List(traitlets.Unicode()).tag(sync=True)
    gold: traitlets.List = traitlets.List().tag(sync=True)
    steer = traitlets.Dict().tag(sync=True)
    key = traitlets.Unicode().tag(sync=True)
    step = traitlets.Int().tag(sync=True)
    moment = traitlets.Int().tag(sync=True)

    def __init__(
        self,
        source: Sequence[str],
        target: Sequence[str],
        weights: Any = None,
        *,
        gold: Iterable[Sequence[int]] | None = None,
        epochs: Mapping[str, Any] | None = None,
        other: Any = None,
        steer: Mapping[str, Any] | None = None,
        source_words: Sequence[int | None] | None = None,
        target_words: Sequence[int | None] | None = None,
        names: Sequence[str] = ("this model", "the other model"),
        key: str | None = None,
        step: int = 0,
    ) -> None:
        source, target = _tokens("source", source), _tokens("target", target)
        if not 0 <= step < len(target):
            raise CourseError(f"step is {step}: the target has steps 0 to {len(target) - 1}.")
        columns = _words("source", source_words, source)
        moments, labels = _moments(weights, epochs, source, target)
        rows = _words("target", target_words, target)
        first = {"name": str(names[0]), "target": target, "words": rows}
        views: list[dict[str, Any]] = [{**first, "moments": moments}]
        if other is not None:
            views.append(_second(other, names, source, first))
        super().__init__(
            source=source,
            source_words=columns,
            views=views,
            labels=labels,
            gold=_links(gold, columns, rows),
            steer=_steered(steer, len(target), len(source)),
            key=key or _key(source, target, str(names)),
            step=step,
            moment=len(moments) - 1,
        )

    def __repr__(self) -> str:
        said = f"AlignmentScrubber({len(self.source)} source tokens, {len(self.views[0]['target'])} steps"
        for view in self.views:
            peaks = [self.source[int(np.argmax(row))] for row in view["moments"][-1]]
            pairs = [f"{written}→{seen}" for written, seen in zip(view["target"], peaks, strict=True)]
            more = " …" if len(pairs) > _NAMED else ""
            said += f"; {view['name']}: {' '.join(pairs[:_NAMED])}{more}"
        return said + ")"

    def fallback(self) -> str:
        """One table for each model: two digits, blank below .005, the largest weight of each row in bold."""
        return "\n".join(self._table(view) for view in self.views)

    def _table(self, view: Mapping[str, Any]) -> str:
        linked = {(row, column) for column, row in self.gold} if view is self.views[0] else set()
        head = "".join(f'<th scope="col"><bdi>{escape(token)}</bdi></th>' for token in self.source)
        rows = []
        for i, (token, weights) in enumerate(zip(view["target"], view["moments"][-1], strict=True)):
            words, peak = view["words"], int(np.argmax(weights))
            cells = "".join(
                _cell(value, j == peak, (words[i], self.source_words[j]) in linked) for j, value in enumerate(weights)
            )
            rows.append(f'<tr><th scope="row"><bdi>{escape(token)}</bdi></th>{cells}</tr>')
        drawn = " Underlined: linked by hand." if linked else ""
        return (
            f"<table><caption>α of {escape(view['name'])}. Rows: target tokens; columns: source tokens. "
            f"Bold: the largest weight of a row.{drawn}</caption>\n"
            f"<thead><tr><td></td>{head}</tr></thead>\n<tbody>\n" + "\n".join(rows) + "\n</tbody></table>"
        )


def _cell(value: float, peak: bool, linked: bool) -> str:
    shown = f"{value:.2f}" if value >= 0.005 else ""
    if peak:
        shown = f"<b>{shown}</b>"
    if linked:
        shown = f"<u>{shown or '–'}</u>"
    return f"<td>{shown}</td>"


def _tokens(side: str, tokens: Sequence[str]) -> list[str]:
    if isinstance(tokens, str) or not tokens:
        raise CourseError(f"The {side} must be a list of tokens with at least one of them.")
    return [str(token) for token in tokens]


def _words(side: str, words: Sequence[int | None] | None, tokens: Sequence[str]) -> list[int | None]:
    """The word of each token; each token a word of its own if nothing is said."""
    if words is None:
        return list(range(len(tokens)))
    if len(words) != len(tokens):
        raise CourseError(f"There are {len(tokens)} {side} tokens, but {len(words)} word indices: give one for each.")
    return [None if word is None else int(word) for word in words]


def _rounded(weights: Any, source: Sequence[str], target: Sequence[str]) -> list[list[float]]:
    return checked_weights(weights, source, target).round(_DIGITS).tolist()


def _moments(
    weights: Any, epochs: Mapping[str, Any] | None, source: list[str], target: list[str]
) -> tuple[list[list[list[float]]], list[str]]:
    """One α for each moment of training, and what each moment is called; a single one without a name otherwise."""
    if epochs is None:
        if weights is None:
            raise CourseError("There is no α to show: give weights, or epochs.")
        return [_rounded(weights, source, target)], []
    labels = [f"{label:g}" if isinstance(label, int | float) else str(label) for label in epochs["epochs"]]
    moments = [_rounded(moment, source, target) for moment in epochs["weights"]]
    if not moments or len(moments) != len(labels):
        raise CourseError(f"There are {len(labels)} epochs, but {len(moments)} matrices of weights: give one for each.")
    if weights is not None and np.abs(np.subtract(_rounded(weights, source, target), moments[-1])).max() > 0.002:
        raise CourseError("weights differ from those of the last epoch: leave one of them out.")
    return moments, labels


def _second(other: Any, names: Sequence[str], source: list[str], first: Mapping[str, Any]) -> dict[str, Any]:
    given = other if isinstance(other, Mapping) else {"weights": other}
    target, words = first["target"], first["words"]
    if "target" in given:
        target = _tokens("other model's target", given["target"])
        words = _words("other model's target", given.get("target_words"), target)
    weights = _rounded(given["weights"], source, target)
    return {"name": str(names[1]), "target": target, "words": words, "moments": [weights]}


def _links(gold: Iterable[Sequence[int]] | None, columns: list[int | None], rows: list[int | None]) -> list[list[int]]:
    links = sorted((int(source), int(target)) for source, target in gold or ())
    for source, target in links:
        if source not in columns or target not in rows:
            raise CourseError(f"The gold link {source}-{target} points at a word that is not there (counted from 0).")
    return [list(link) for link in links]


def _steered(steer: Mapping[str, Any] | None, steps: int, positions: int) -> dict[str, Any]:
    """Each word once, and for each cell the places of its words in that list: a third of the text."""
    if not steer:
        return {}
    words, probabilities = steer["words"], np.asarray(steer["probabilities"], dtype=float)
    if probabilities.shape[:2] != (steps, positions) or np.shape(words) != probabilities.shape:
        raise CourseError(
            f"steer needs words and probabilities for {steps} steps and {positions} positions; "
            f"it has shapes {np.shape(words)} and {probabilities.shape}."
        )
    known: dict[str, int] = {}
    picks = [[[known.setdefault(str(word), len(known)) for word in cell] for cell in row] for row in words]
    return {"words": list(known), "picks": picks, "shares": probabilities.round(3).tolist()}


def _key(*content: Any) -> str:
    return "look-" + hashlib.sha256(json.dumps(content).encode()).hexdigest()[:6]
