"""Truths about the text loaders and the download; the facts about real corpora need ``COURSE_DATA``."""

import contextlib
import gzip
import hashlib
import http.server
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from refusals import refusal

from course_pkg import corpora
from course_pkg.corpora import ParallelText, fetch, read_lines, text_pair

BODY = bytes(range(256)) * 1000  # several blocks of the download loop
SHA256 = hashlib.sha256(BODY).hexdigest()


# Reading text


@pytest.mark.parametrize("inside", ["\u2028", "\u2029", "\x0b", "\x0c", "\x1c", "\x85", "\r"])
def test_only_newlines_end_a_line(tmp_path: Path, inside: str) -> None:
    path = tmp_path / "text"
    path.write_bytes(f"a{inside}b\nc\n".encode())
    assert read_lines(path) == [f"a{inside}b", "c"]


@pytest.mark.parametrize(
    "data, lines",
    [
        (b"a\nb\n", ["a", "b"]),
        (b"a\nb", ["a", "b"]),
        (b"a\r\nb\r\n", ["a", "b"]),
        (b"\xef\xbb\xbfa\n", ["a"]),
        (b"a\n\n\nb\n", ["a", "", "", "b"]),
        (b"a\n\n", ["a", ""]),
        (b"\n", [""]),
        (" été\u00a0! \n".encode(), [" été\u00a0! "]),
    ],
)
def test_line_ends_marks_and_blank_lines(tmp_path: Path, data: bytes, lines: list[str]) -> None:
    (tmp_path / "text").write_bytes(data)
    (tmp_path / "text.gz").write_bytes(gzip.compress(data))
    assert read_lines(tmp_path / "text") == lines
    assert read_lines(str(tmp_path / "text.gz")) == lines


def test_bad_files_are_refused_in_one_line(tmp_path: Path) -> None:
    assert "does not exist" in refusal(lambda: read_lines(tmp_path / "missing"))
    assert "is a folder" in refusal(lambda: read_lines(tmp_path))
    (tmp_path / "file").write_bytes(b"")
    assert "is empty" in refusal(lambda: read_lines(tmp_path / "file"))
    assert "cannot read" in refusal(lambda: read_lines(tmp_path / "file" / "below"))


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_the_line_that_is_not_utf8_is_named(tmp_path: Path, mark: bytes) -> None:
    path = tmp_path / "latin1"
    path.write_bytes(mark + b"un\ndeux\nt\xe9\nquatre\n")
    message = refusal(lambda: read_lines(path))
    assert "not UTF-8 (line 3)" in message and str(path) in message


@pytest.mark.parametrize("spoil", [lambda d: d[: len(d) // 2], lambda d: b"plain text", lambda d: d[:-8] + bytes(8)])
def test_broken_gzip_is_refused(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "text.gz"
    path.write_bytes(spoil(gzip.compress(b"some text\n" * 50)))
    assert "gzip" in refusal(lambda: read_lines(path))


# Parallel text


def test_sides_of_different_length_are_refused_with_both_counts(tmp_path: Path) -> None:
    (tmp_path / "src").write_text("a\nb\nc\n")
    (tmp_path / "tgt").write_text("a\nb\n")
    message = refusal(lambda: text_pair(tmp_path / "src", tmp_path / "tgt"))
    assert "3 source lines" in message and "2 target lines" in message
    assert "src" in message and "tgt" in message
    refusal(lambda: ParallelText(("a",), (), "by hand"))


def test_text_pair_keeps_lines_beside_their_translations(tmp_path: Path) -> None:
    (tmp_path / "src").write_text("one\ntwo\u2028and a half\n\n", encoding="utf-8")
    (tmp_path / "tgt.gz").write_bytes(gzip.compress(b"un\ndeux et demi\n\n"))
    text = text_pair(tmp_path / "src", tmp_path / "tgt.gz", "numbers")
    assert text.source == ("one", "two\u2028and a half", "")
    assert text.target == ("un", "deux et demi", "")
    assert (len(text), text.name) == (3, "numbers")


def test_a_blank_side_is_refused(tmp_path: Path) -> None:
    (tmp_path / "src").write_text("a\nb\n")
    (tmp_path / "tgt").write_text(" \n\n")
    assert "blank" in refusal(lambda: text_pair(tmp_path / "src", tmp_path / "tgt"))


def test_head_takes_the_first_pairs() -> None:
    text = ParallelText(("a", "b", "c"), ("x", "y", "z"), "letters")
    assert text.head(2) == ParallelText(("a", "b"), ("x", "y"), "letters")
    assert text.head(9) == text
    refusal(lambda: text.head(-1))


# Folders


def test_folders_follow_the_environment_at_call_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COURSE_DATA", str(tmp_path))
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "cache"))
    assert corpora.data_folder() == tmp_path
    assert corpora.cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("COURSE_DATA")
    monkeypatch.delenv("COURSE_CACHE")
    assert corpora.data_folder() is None
    assert corpora.cache_folder().name == "course_pkg"
    monkeypatch.setenv("COURSE_DATA", "")
    assert corpora.data_folder() is None


def test_what_cannot_be_found_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("COURSE_DATA", raising=False)
    assert "set COURSE_DATA" in refusal(lambda: corpora.parallel("news", "dev"))
    assert "set COURSE_DATA" in refusal(corpora.hansard)
    assert "set COURSE_DATA" in refusal(lambda: corpora.giza("forward"))
    monkeypatch.setenv("COURSE_DATA", str(tmp_path))
    assert "multi30k/val.en.gz" in refusal(lambda: corpora.multi30k("val"))
    assert "news: train, dev" in refusal(lambda: corpora.parallel("news", "test"))
    assert "no val.it" in refusal(lambda: corpora.multi30k("val", "en", "it"))
    assert "en-de" in refusal(lambda: corpora.parallel("news", "dev", "en", "de"))
    assert "multi30k, softdoc" in refusal(lambda: corpora.load("wikipedia", "train"))
    assert "backward" in refusal(lambda: corpora.giza("backward"))


# Word alignments


def alignment_folder(folder: Path, gold: str, reverse: str = "0-0\n") -> Path:
    (folder / "alignments").mkdir()
    (folder / "alignments" / "enfr.en").write_text("the red car\n")
    (folder / "alignments" / "enfr.fr").write_text("la voiture rouge vif\n")
    (folder / "alignments" / "enfr.gold").write_text(gold)
    (folder / "alignments" / "enfr.giza.reverse.talp").write_text(reverse)
    return folder


def test_gold_separates_sure_from_possible_links(tmp_path: Path) -> None:
    gold = corpora.hansard(folder=alignment_folder(tmp_path, "0-0 1-2 1p3 2-1\n"))
    assert gold.sure == (frozenset({(0, 0), (1, 2), (2, 1)}),)
    assert gold.possible == (frozenset({(0, 0), (1, 2), (2, 1), (1, 3)}),)
    assert gold.text.target == ("la voiture rouge vif",)


def test_reverse_links_are_turned(tmp_path: Path) -> None:
    folder = alignment_folder(tmp_path, "0-0\n", reverse="0-0 3-1 1-2\n")
    assert corpora.giza("reverse", folder=folder) == (frozenset({(0, 0), (1, 3), (2, 1)}),)


@pytest.mark.parametrize("gold", ["0-0 1=2\n", "0-0 1-\n", "0-0 p\n", "0--1\n", "0-0\n1-1\n"])
def test_malformed_gold_is_refused(tmp_path: Path, gold: str) -> None:
    folder = alignment_folder(tmp_path, gold)
    assert "enfr.gold" in refusal(lambda: corpora.hansard(folder=folder))


# The download, from a server on this machine


class Server:
    """Answers each request with the next of ``replies``, and with the last one from then on.

    A reply is a status, or ``(promised length, body)``.
    """

    def __init__(self) -> None:
        self.replies: list[int | tuple[int, bytes]] = [(len(BODY), BODY)]
        self.asked: list[str] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                reply = outer.replies.pop(0) if len(outer.replies) > 1 else outer.replies[0]
                if isinstance(reply, int):
                    self.send_error(reply)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(reply[0]))
                self.end_headers()
                self.wfile.write(reply[1])

            def log_message(self, *args: object) -> None:
                pass

        self.http = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Server()
    thread = threading.Thread(target=lambda: server.http.serve_forever(poll_interval=0.01))
    thread.start()
    with contextlib.ExitStack() as stack:
        stack.callback(server.http.server_close)
        stack.callback(thread.join)
        stack.callback(server.http.shutdown)
        yield server


def get(server: Server, folder: Path, sha256: str = SHA256, **options: int) -> Path:
    return fetch(f"{server.url}/file.gz", folder / "new" / "file.gz", sha256, progress=False, pause=0.0, **options)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_download_is_complete_and_not_repeated(server: Server, tmp_path: Path) -> None:
    assert get(server, tmp_path).read_bytes() == BODY
    get(server, tmp_path)
    assert files(tmp_path) == ["file.gz"]
    assert server.asked == ["/file.gz"]


def test_a_damaged_copy_is_replaced(server: Server, tmp_path: Path) -> None:
    get(server, tmp_path).write_bytes(BODY[:-1])
    assert get(server, tmp_path).read_bytes() == BODY
    assert len(server.asked) == 2


def test_wrong_checksum_leaves_nothing(server: Server, tmp_path: Path) -> None:
    server.replies = [(len(BODY), BODY[::-1])]
    message = refusal(lambda: get(server, tmp_path))
    assert "SHA-256" in message and f"{server.url}/file.gz" in message and str(tmp_path) in message
    assert files(tmp_path) == []
    assert len(server.asked) == 3


def test_wrong_checksum_keeps_what_was_there(server: Server, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "file.gz").write_bytes(b"older")
    server.replies = [(3, b"bad")]
    refusal(lambda: get(server, tmp_path))
    assert files(tmp_path) == ["file.gz"]
    assert (tmp_path / "new" / "file.gz").read_bytes() == b"older"


def test_cut_connection_leaves_nothing(server: Server, tmp_path: Path) -> None:
    half = BODY[: len(BODY) // 2]
    server.replies = [(len(BODY), half)]
    # Even where the half that came would have had the right checksum.
    message = refusal(lambda: get(server, tmp_path, hashlib.sha256(half).hexdigest()))
    assert "by hand" in message
    assert files(tmp_path) == []


@pytest.mark.parametrize("failure", [503, (len(BODY), BODY[:1000]), (3, b"bad")])
def test_a_passing_failure_is_retried(server: Server, tmp_path: Path, failure: int | tuple[int, bytes]) -> None:
    server.replies = [failure, failure, (len(BODY), BODY)]
    assert get(server, tmp_path).read_bytes() == BODY
    assert files(tmp_path) == ["file.gz"]
    assert len(server.asked) == 3


def test_attempts_are_counted(server: Server, tmp_path: Path) -> None:
    server.replies = [503]
    assert "503" in refusal(lambda: get(server, tmp_path, attempts=2))
    assert len(server.asked) == 2


def test_pauses_double(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(corpora.time, "sleep", slept.append)
    server.replies = [503]
    refusal(lambda: fetch(f"{server.url}/f", tmp_path / "f", SHA256, progress=False, attempts=4, pause=0.5))
    assert slept == [0.5, 1.0, 2.0]


def test_a_missing_file_is_not_asked_for_again(server: Server, tmp_path: Path) -> None:
    server.replies = [404]
    message = refusal(lambda: get(server, tmp_path))
    assert "404" in message and SHA256 in message and "by hand" in message
    assert len(server.asked) == 1
    assert files(tmp_path) == []


def test_no_server(server: Server, tmp_path: Path) -> None:
    server.http.server_close()
    assert "by hand" in refusal(lambda: get(server, tmp_path))
    assert files(tmp_path) == []


@pytest.mark.parametrize("moment", ["update", "close"])
def test_interrupt_leaves_nothing(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    def interrupt(*_: object) -> None:
        assert len(files(tmp_path)) == 1  # the hidden file is there at this moment
        raise KeyboardInterrupt

    if moment == "update":
        monkeypatch.setattr(corpora.tqdm, "update", interrupt)
    else:
        monkeypatch.setattr(corpora.os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        get(server, tmp_path)
    assert files(tmp_path) == []


def test_a_file_in_place_of_the_folder_is_refused(server: Server, tmp_path: Path) -> None:
    (tmp_path / "new").write_text("a file where the folder should be")
    assert "by hand" in refusal(lambda: get(server, tmp_path))
    assert files(tmp_path) == ["new"]


def test_progress_is_shown_on_stderr(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fetch(f"{server.url}/f", tmp_path / "shown.gz", SHA256)
    shown = capsys.readouterr()
    assert "shown.gz" in shown.err and shown.out == ""


def offline_multi30k(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, bytes]:
    """A cache folder, and two files of our own that Multi30k's names stand for."""
    monkeypatch.delenv("COURSE_DATA", raising=False)
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path))
    bodies = {
        "val.en.gz": gzip.compress(b"one\ntwo\n", mtime=0),
        "val.fr.gz": gzip.compress(b"un\ndeux\n", mtime=0),
    }
    checksums = {name: hashlib.sha256(body).hexdigest() for name, body in bodies.items()}
    monkeypatch.setattr(corpora, "MULTI30K_SHA256", checksums)
    return bodies


def test_multi30k_is_downloaded_once(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bodies = offline_multi30k(monkeypatch, tmp_path)
    server.replies = [(len(body), body) for body in bodies.values()]
    text = corpora.multi30k("val", base_url=server.url + "/")
    assert (text.source, text.target) == (("one", "two"), ("un", "deux"))
    assert server.asked == ["/val.en.gz", "/val.fr.gz"]
    assert corpora.multi30k("val", base_url=server.url) == text
    assert len(server.asked) == 2
    assert files(tmp_path / "multi30k") == ["val.en.gz", "val.fr.gz"]


def test_multi30k_tries_its_second_address(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bodies = offline_multi30k(monkeypatch, tmp_path)
    monkeypatch.setattr(corpora, "MULTI30K_ADDRESS", server.url + "/{}")
    first, second = ((len(body), body) for body in bodies.values())
    server.replies = [404, first, 404, second]
    assert corpora.multi30k("val").target == ("un", "deux")
    one, two = corpora.MULTI30K_COMMITS
    assert server.asked == [
        f"/{one}/val.en.gz",
        f"/{two}/val.en.gz",
        f"/{one}/val.fr.gz",
        f"/{two}/val.fr.gz",
    ]


# Facts about the real corpora


@pytest.fixture
def data(course_data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COURSE_DATA", os.fspath(course_data))
    return course_data


def test_checksums_are_those_of_the_original_files(data: Path) -> None:
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in data.glob("multi30k/*.gz")}
    assert found == corpora.MULTI30K_SHA256


def test_original_bytes_survive_the_download(
    server: Server, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = corpora.multi30k("val")
    bodies = [(data / "multi30k" / f"val.{language}.gz").read_bytes() for language in ("en", "fr")]
    server.replies = [(len(body), body) for body in bodies]
    monkeypatch.delenv("COURSE_DATA")
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path))
    assert corpora.multi30k("val", base_url=server.url) == local


@pytest.mark.parametrize("split, size", [("train", 29000), ("val", 1014), ("test_2016_flickr", 1000)])
def test_multi30k_sizes(data: Path, split: str, size: int) -> None:
    text = corpora.multi30k(split)
    assert len(text) == len(text.source) == len(text.target) == size
    assert corpora.multi30k(split, "fr", "de").source == text.target
    assert all(line.strip() for line in text.source + text.target)


@pytest.mark.parametrize(
    "domain, split, size",
    [
        ("softdoc", "train", 48887),
        ("softdoc", "dev", 1601),
        ("softdoc", "test", 1539),
        ("pydocs", "train", 26775),
        ("pydocs", "dev", 868),
        ("pydocs", "test", 857),
        ("news", "train", 12070),
        ("news", "dev", 6003),
        ("tatoeba", "train", 12681),
    ],
)
def test_parallel_sizes_and_directions(data: Path, domain: str, split: str, size: int) -> None:
    text = corpora.parallel(domain, split)
    turned = corpora.parallel(domain, split, "fr", "en")
    assert len(text) == size
    assert (turned.source, turned.target) == (text.target, text.source)


def test_the_two_news_tests_are_the_development_set(data: Path) -> None:
    """newstest2012 has 3,003 lines and newstest2013 has 3,000, in that order."""
    first, second, both = (corpora.parallel("news", split) for split in ("newstest2012", "newstest2013", "dev"))
    assert (len(first), len(second)) == (3003, 3000)
    assert first.source + second.source == both.source and first.target + second.target == both.target
    assert corpora.load("news", "newstest2013") == second


@pytest.mark.parametrize("name", ["multi30k+news", "multi30k,news", "multi30k, news"])
def test_load_joins_corpora_in_order(data: Path, name: str) -> None:
    joined = corpora.load(name, "val")
    first, second = corpora.multi30k("val"), corpora.parallel("news", "dev")
    assert joined.source == first.source + second.source
    assert joined.target == first.target + second.target


def test_joined_texts_keep_their_order_and_their_names() -> None:
    one, two = ParallelText(("a", "b"), ("x", "y"), "one"), ParallelText(("c",), ("z",), "two")
    assert corpora.joined_texts([one, two]) == ParallelText(("a", "b", "c"), ("x", "y", "z"), "one + two")
    assert corpora.joined_texts([two, one], "both") == ParallelText(("c", "a", "b"), ("z", "x", "y"), "both")
    assert corpora.joined_texts(iter([one])) == one


def test_load_finds_each_corpus_by_its_name(data: Path) -> None:
    assert corpora.load("multi30k", "test") == corpora.multi30k("test_2016_flickr")
    assert corpora.load("softdoc", "test", "fr", "en") == corpora.parallel("softdoc", "test", "fr", "en")


def within(links: corpora.Links, text: ParallelText, i: int) -> bool:
    rows, columns = len(text.source[i].split()), len(text.target[i].split())
    return all(0 <= source < rows and 0 <= target < columns for source, target in links)


def test_hansard_links_lie_within_their_sentences(data: Path) -> None:
    gold = corpora.hansard()
    assert len(gold.text) == len(gold.sure) == len(gold.possible) == 247
    assert all(sure <= possible for sure, possible in zip(gold.sure, gold.possible, strict=True))
    assert all(within(links, gold.text, i) for i, links in enumerate(gold.possible))
    # English is the first index: read the other way round, links fall outside.
    turned = [frozenset((target, source) for source, target in links) for links in gold.possible]
    assert not all(within(links, gold.text, i) for i, links in enumerate(turned))


@pytest.mark.parametrize("kind", ["forward", "reverse", "grow-diagonal-final"])
def test_giza_links_lie_within_their_sentences_and_follow_the_gold(data: Path, kind: str) -> None:
    gold, links = corpora.hansard(), corpora.giza(kind)
    assert len(links) == len(gold.text)
    assert all(within(pairs, gold.text, i) for i, pairs in enumerate(links))
    agreed = sum(len(pairs & possible) for pairs, possible in zip(links, gold.possible, strict=True))
    assert agreed > 0.7 * sum(map(len, links))


def test_giza_grow_diagonal_holds_what_both_directions_agree_on(data: Path) -> None:
    joined = corpora.giza("grow-diagonal-final")
    agreed = [
        forward & reverse for forward, reverse in zip(corpora.giza("forward"), corpora.giza("reverse"), strict=True)
    ]
    assert all(both <= links for both, links in zip(agreed, joined, strict=True))
