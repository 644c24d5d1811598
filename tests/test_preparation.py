"""A recipe's text, limited and encoded."""

from pathlib import Path

from tiny_corpus import corpus, tiny

from course_pkg.preparation import prepare
from course_pkg.vocabulary import EOS

__all__ = ["corpus"]  # a fixture, used by name


def test_the_corpus_ends_every_sentence_and_keeps_its_limits(corpus: Path) -> None:
    data = prepare(tiny(corpus))
    assert len(data.train) == 46 and len(data.validation) == 6
    assert all(side[-1] == EOS and EOS not in side[:-1] for pair in data.train for side in pair)
    assert data.source is not data.target
    few = prepare(tiny(corpus, "data.pairs=5"))
    assert len(few.train) == 5 and len(few.validation) == 6
    short = prepare(tiny(corpus, "data.max_words=2", "vocabulary.shared=true"))
    assert 0 < len(short.train) < 46
    assert max(len(side) for pair in short.train for side in pair) == 3
    assert short.source is short.target
    assert all(len(side) <= 4 for pair in prepare(tiny(corpus, "data.max_length=4")).train for side in pair)


def test_blank_lines_are_no_training_pairs(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "blank.en").write_text("a b\n\nc\n \nd\n", encoding="utf-8")
    (tmp_path / "blank.fr").write_text("A B\nB\n\n \nD\n", encoding="utf-8")
    files = [f"data.source_file={tmp_path}/blank.en", f"data.target_file={tmp_path}/blank.fr"]
    data = prepare(tiny(corpus, *files))
    assert [data.source.decode(source) for source, _ in data.train] == ["a b", "d"]
    assert [data.target.decode(target) for _, target in data.train] == ["A B", "D"]
