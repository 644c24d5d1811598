"""A beam search watched from outside: everything it considered, as a tree. Chapter 7.

`SearchTree.grow` is what `course_pkg.search.beam_search` calls with ``observe``;
`course_pkg.plotting.draw_search_tree` draws the columns.
"""

import math

from course_pkg.search import BeamStep, Hypotheses

__all__ = ["SearchTree"]


class SearchTree:
    """The continuations that one sentence's beam considered, one row for each, in the order of the steps.

    Attributes:
        parents: row that each extends; −1 is the empty beginning.
        tokens: the token that each appends.
        log_probs: log p of the beginning that ends here.
        fates: ``"lives"``, ``"ends"`` (finished with EOS), or ``"dropped"``.
    """

    def __init__(self, sentence: int = 0) -> None:
        self.sentence = sentence
        self.parents: list[int] = []
        self.tokens: list[int] = []
        self.log_probs: list[float] = []
        self.fates: list[str] = []
        self._living = {0: -1}  # slot of the beam -> row

    def grow(self, step: BeamStep) -> None:
        """Add what one step of the search considered; a step in which this sentence rested adds nothing."""
        tokens, parents, log_probs, ends, survivors = (values[self.sentence].tolist() for values in step)
        rows: dict[int, int] = {}
        for place, log_prob in enumerate(log_probs):
            if math.isinf(log_prob):
                continue
            rows[place] = len(self.tokens)
            self.parents.append(self._living[parents[place]])
            self.tokens.append(tokens[place])
            self.log_probs.append(log_prob)
            self.fates.append("ends" if ends[place] else "dropped")
        lives = {slot: place for slot, place in enumerate(survivors) if place in rows and not ends[place]}
        self._living = {slot: rows[place] for slot, place in lives.items()}
        for row in self._living.values():
            self.fates[row] = "lives"

    def path(self, found: Hypotheses, rank: int = 0) -> list[int]:
        """The rows that spell out a hypothesis of the search, from the first token to the last.

        Empty if there is no such hypothesis.
        """
        length = int(found.lengths[self.sentence, rank])
        at, rows = -1, []
        for token in found.tokens[self.sentence, rank, :length].tolist():
            places = zip(self.parents, self.tokens, strict=True)
            at = next(row for row, place in enumerate(places) if place == (at, token))
            rows.append(at)
        return rows
