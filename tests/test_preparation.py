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


def test_models_trained_up_to_different_lengths_share_their_vocabulary(corpus: Path) -> None:
    """The vocabulary is learned before long pairs are left out, so a word of a long pair is known to both."""
    short, long = (prepare(tiny(corpus, f"data.max_words={words}")) for words in (1, 4))
    assert len(short.train) < len(long.train)
    assert [short.source.encode(word).ids for word in "abcdef"] == [long.source.encode(word).ids for word in "abcdef"]
    assert len(short.target) == len(long.target)


def test_validation_corpora_are_joined_and_each_cut_to_its_first_pairs(corpus: Path) -> None:
    alone = prepare(tiny(corpus))
    data = prepare(tiny(corpus, "data.validation=files+files", "data.validation_pairs=4"))
    assert data.validation_text.source == alone.validation_text.source[:4] * 2
    assert data.validation == alone.validation[:4] * 2


def test_a_reversed_source_keeps_its_end_and_its_target(corpus: Path) -> None:
    forwards, reverse = prepare(tiny(corpus)), prepare(tiny(corpus, "data.reverse_source=true"))
    for a, b in ((forwards.train, reverse.train), (forwards.validation, reverse.validation)):
        assert len(a) == len(b)
        for (source, target), (read, same) in zip(a, b, strict=True):
            assert read == (*reversed(source[:-1]), EOS) and same == target
    assert reverse.validation_text == forwards.validation_text
