"""Real data: Multi30k, the longer parallel sets, hand-made word alignments, and any pair of text files.

Data comes from the folder that ``COURSE_DATA`` names; Multi30k alone can also be downloaded, into
:func:`cache_folder`, each file checked against its SHA-256. None of it is part of the package: Multi30k is
for non-commercial research and education. The published text models are trained on what is read here.
"""

import dataclasses
import gzip
import hashlib
import http.client
import itertools
import os
import sys
import time
import urllib.error
import urllib.request
import uuid
import zlib
from collections.abc import Iterable
from pathlib import Path

from tqdm import tqdm

from course_pkg.notation import CourseError

__all__ = [
    "GoldAlignments",
    "Links",
    "ParallelText",
    "cache_folder",
    "data_folder",
    "fetch",
    "giza",
    "hansard",
    "joined_texts",
    "load",
    "multi30k",
    "parallel",
    "read_lines",
    "split_lines",
    "text_pair",
]

PathLike = str | os.PathLike[str]
Links = frozenset[tuple[int, int]]
"""Word alignment of one sentence pair: 0-based ``(source word, target word)`` pairs."""

MULTI30K_ADDRESS = "https://raw.githubusercontent.com/multi30k/dataset/{}/data/task1/raw"
# The checksums pin the bytes. The branch is the second address, should the host not know the short form.
MULTI30K_COMMITS = ("a3d2e0d", "master")
MULTI30K_SHA256 = {
    "train.en.gz": "d79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f",
    "train.fr.gz": "622e75069e9f4c577425c4f277116ce66e63a2401c0a2312d90073cb12379a3c",
    "train.de.gz": "726e39b2fa9eb9ffb6dc763fb35a179f80fae06ffc5d28b6ace5faa883de28a6",
    "val.en.gz": "14f7d25ddd868909a9213e361768460edcacdd6ab9d1e77b92560dc10c10dc28",
    "val.fr.gz": "ca3106f1a72390591d25f6c45cb4cd39dec4cd3f123e099748a3ce5256c160e9",
    "val.de.gz": "f0cba2f995189cf5770f29a8a9a537a3ad3f51657ad873405082ff6863a5e75a",
    "test_2016_flickr.en.gz": "611d361c6334bc7246101d48097c13cf5c4413c5befc793cc629934359d532d9",
    "test_2016_flickr.fr.gz": "6d326e188d259fb1d04ac19eae3af956559b3a0b93d7635e56c90987c40c8b90",
    "test_2016_flickr.de.gz": "9204244e408ccb38d2a55cfcd344df15005fc42a07a6e55ca6c52b6ababb8cc8",
}
PARALLEL_SPLITS = {
    "softdoc": ("train", "dev", "test"),
    "pydocs": ("train", "dev", "test"),
    "news": ("train", "dev", "newstest2012", "newstest2013"),
    "tatoeba": ("train",),
}
NEWSTEST2012 = 3003  # lines; newstest2013 follows it in the development set
GIZA_KINDS = ("forward", "reverse", "grow-diagonal-final")


class _NotThere(CourseError):
    """The server answered, and has no such file: asking again is pointless, another address may help."""


@dataclasses.dataclass(frozen=True)
class ParallelText:
    """Sentences and their translations: line ``i`` of ``target`` translates line ``i`` of ``source``.

    Raises :class:`~course_pkg.notation.CourseError` when the two sides differ in length.
    """

    source: tuple[str, ...]
    target: tuple[str, ...]
    name: str

    def __post_init__(self) -> None:
        if len(self.source) != len(self.target):
            raise CourseError(
                f"{self.name}: {len(self.source)} source lines but {len(self.target)} target lines; "
                "give two files in which line i of one translates line i of the other"
            )

    def __len__(self) -> int:
        return len(self.source)

    def head(self, n: int) -> "ParallelText":
        """The first ``n`` pairs, or all of them when there are fewer."""
        if n < 0:
            raise CourseError(f"cannot take {n} pairs of {self.name}; give a number from 0 up")
        return dataclasses.replace(self, source=self.source[:n], target=self.target[:n])


@dataclasses.dataclass(frozen=True)
class GoldAlignments:
    """Sentence pairs with word alignments made by people.

    ``sure[i]`` and ``possible[i]`` are the links of pair ``i`` between whitespace words. The sure links are a
    subset of the possible ones, as the alignment error rate wants them (Och and Ney 2003).
    """

    text: ParallelText
    sure: tuple[Links, ...]
    possible: tuple[Links, ...]


def data_folder() -> Path | None:
    """The folder that ``COURSE_DATA`` names at this moment; ``None`` when it is unset or empty."""
    value = os.environ.get("COURSE_DATA")
    return Path(value).expanduser() if value else None


def cache_folder() -> Path:
    """Where downloads are kept: ``COURSE_CACHE``, or ``course_pkg`` in the platform's cache folder."""
    if value := os.environ.get("COURSE_CACHE"):
        return Path(value).expanduser()
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "course_pkg"


def read_lines(path: PathLike) -> list[str]:
    r"""The lines of a UTF-8 text file, plain or gzipped (``.gz``), without their line ends.

    Only ``\n`` (or ``\r\n``) ends a line. Characters that :meth:`str.splitlines` also splits at, such as
    U+2028 or a form feed, stay inside it: the other side of a parallel text has no line for the second half.
    A byte-order mark is dropped. Raises :class:`~course_pkg.notation.CourseError` when the file is missing, a
    folder, unreadable, not UTF-8 or empty.
    """
    return split_lines(_read_bytes(Path(path)), str(path))


def split_lines(data: bytes, name: str) -> list[str]:
    """The lines of UTF-8 text as :func:`read_lines` has them; ``name`` is what messages call the text."""
    try:
        text = data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise CourseError(f"{name} is not UTF-8 (line {line}); convert it to UTF-8 first") from None
    lines = text.replace("\r\n", "\n").split("\n")
    if not lines[-1]:  # what follows the last line end is a line only if something stands there
        lines.pop()
    if not lines:
        raise CourseError(f"{name} is empty; give at least one line of text")
    return lines


def _read_bytes(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise CourseError(f"{path} is a folder; give a text file")
        data = path.read_bytes()
        return gzip.decompress(data) if path.suffix == ".gz" else data
    except FileNotFoundError:
        raise CourseError(f"{path} does not exist; check the path") from None
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise CourseError(f"{path} is not a complete gzip file; copy or download it again") from None
    except OSError as error:
        raise CourseError(f"cannot read {path}: {error.strerror or error}") from None


def text_pair(source_path: PathLike, target_path: PathLike, name: str | None = None) -> ParallelText:
    """Two aligned text files as one :class:`ParallelText`; either may be gzipped.

    ``name`` is what messages and results call the text, by default the two file names. Raises
    :class:`~course_pkg.notation.CourseError` for what :func:`read_lines` refuses, for different numbers of
    lines, and for a side of nothing but blank lines.
    """
    name = name or f"{Path(source_path).name} and {Path(target_path).name}"
    source, target = read_lines(source_path), read_lines(target_path)
    for path, lines in ((source_path, source), (target_path, target)):
        if not any(line.strip() for line in lines):
            raise CourseError(f"{path} has only blank lines; give a file with text")
    return ParallelText(tuple(source), tuple(target), name)


def multi30k(
    split: str,
    source: str = "en",
    target: str = "fr",
    *,
    folder: Path | None = None,
    base_url: str | None = None,
) -> ParallelText:
    """One split of Multi30k (Elliott et al. 2016; French: Elliott et al. 2017), raw text, task 1.

    ``split`` is ``train`` (29,000 pairs), ``val`` (1,014) or ``test_2016_flickr`` (1,000); the languages are
    ``en``, ``fr`` and ``de``. The files are read from ``multi30k`` in ``folder`` or in ``COURSE_DATA`` when
    either is given, else from the cache, into which missing ones are downloaded first. ``base_url`` is
    another address to download from.
    """
    names = [f"{split}.{language}.gz" for language in (source, target)]
    for name in names:
        if name not in MULTI30K_SHA256:
            known = " ".join(sorted(file.removesuffix(".gz") for file in MULTI30K_SHA256))
            raise CourseError(f"Multi30k has no {name.removesuffix('.gz')}; choose from {known}")
    paths = [_multi30k_file(name, folder, base_url) for name in names]
    return text_pair(paths[0], paths[1], f"multi30k {split} {source}-{target}")


def _multi30k_file(name: str, folder: Path | None, base_url: str | None) -> Path:
    if folder := folder or data_folder():
        return _local(folder, "multi30k", name)
    path = cache_folder() / "multi30k" / name
    bases = [MULTI30K_ADDRESS.format(commit) for commit in MULTI30K_COMMITS]
    if base_url:
        bases = [base_url.rstrip("/")]
    for base in bases[:-1]:
        try:
            return fetch(f"{base}/{name}", path, MULTI30K_SHA256[name])
        except _NotThere:
            continue
    return fetch(f"{bases[-1]}/{name}", path, MULTI30K_SHA256[name])


def parallel(
    domain: str, split: str, source: str = "en", target: str = "fr", *, folder: Path | None = None
) -> ParallelText:
    """Longer English–French text from ``parallel`` in ``folder`` or ``COURSE_DATA``; either direction.

    ``domain`` is ``softdoc`` or ``pydocs`` (``train``, ``dev``, ``test``), ``news`` (``train``: WMT news
    tests 2008–2011; ``dev``: newstest2012 and 2013, as in Bahdanau et al. 2015, section 4.1; ``newstest2012``
    and ``newstest2013``: either alone) or ``tatoeba`` (``train``).
    """
    if split not in PARALLEL_SPLITS.get(domain, ()):
        known = "; ".join(f"{key}: {', '.join(splits)}" for key, splits in PARALLEL_SPLITS.items())
        raise CourseError(f"there is no split {split} of {domain}; choose from {known}")
    if {source, target} != {"en", "fr"}:
        raise CourseError(f"{domain} is English and French, not {source}-{target}; choose from en and fr")
    stored = "dev" if split.startswith("newstest") else split
    stem = f"{domain}.en-fr" if domain == "tatoeba" else f"{domain}.en-fr.{stored}"
    folder = _required(folder, domain)
    paths = [_local(folder, "parallel", f"{stem}.{language}.gz") for language in (source, target)]
    text = text_pair(paths[0], paths[1], f"{domain} {split} {source}-{target}")
    if stored == split:
        return text
    rows = slice(None, NEWSTEST2012) if split == "newstest2012" else slice(NEWSTEST2012, None)
    return dataclasses.replace(text, source=text.source[rows], target=text.target[rows])


def load(name: str, split: str, source: str = "en", target: str = "fr") -> ParallelText:
    """The corpus that a recipe names: ``multi30k``, ``softdoc``, … or several joined by ``+`` or a comma.

    ``val`` and ``dev`` mean the same here, and ``test`` of Multi30k means ``test_2016_flickr``, so that one
    word fits all the joined corpora. Pairs stay in the order of the names.
    """
    parts = [part.strip() for part in name.replace(",", "+").split("+")]
    texts = [_load_one(part, split, source, target) for part in parts]
    return joined_texts(texts)


def joined_texts(texts: Iterable[ParallelText], name: str = "") -> ParallelText:
    """Several texts as one, in their order, called ``name`` or by the names of all."""
    parts = list(texts)
    return ParallelText(
        tuple(itertools.chain.from_iterable(part.source for part in parts)),
        tuple(itertools.chain.from_iterable(part.target for part in parts)),
        name or " + ".join(part.name for part in parts),
    )


def _load_one(name: str, split: str, source: str, target: str) -> ParallelText:
    if name == "multi30k":
        return multi30k({"dev": "val", "test": "test_2016_flickr"}.get(split, split), source, target)
    if name in PARALLEL_SPLITS:
        return parallel(name, {"val": "dev"}.get(split, split), source, target)
    known = ", ".join(["multi30k", *PARALLEL_SPLITS])
    raise CourseError(f"there is no corpus called {name!r}; choose from {known}")


def hansard(*, folder: Path | None = None) -> GoldAlignments:
    """English–French sentence pairs from the Canadian Hansards, aligned by hand (Mihalcea and Pedersen 2003).

    Read from ``alignments`` in ``folder`` or ``COURSE_DATA``: 247 pairs, English the source.
    """
    folder = _required(folder, "the Hansard alignments")
    text = text_pair(
        _local(folder, "alignments", "enfr.en"), _local(folder, "alignments", "enfr.fr"), name="hansard en-fr"
    )
    path = _local(folder, "alignments", "enfr.gold")
    lines = read_lines(path)
    if len(lines) != len(text):
        raise CourseError(f"{path} has {len(lines)} lines for {len(text)} pairs; give one line a pair")
    sure, possible = [], []
    for number, line in enumerate(lines, 1):
        doubtful = _links([token for token in line.split() if "p" in token], "p", path, number)
        sure.append(_links([token for token in line.split() if "p" not in token], "-", path, number))
        possible.append(sure[-1] | doubtful)
    return GoldAlignments(text, tuple(sure), tuple(possible))


def giza(kind: str, *, folder: Path | None = None) -> tuple[Links, ...]:
    """What GIZA++ (Och and Ney 2003) aligned in the pairs of :func:`hansard`, as a baseline.

    ``kind`` is ``forward``, ``reverse`` or ``grow-diagonal-final`` (the two joined). The links are always
    ``(English word, French word)``; the reverse file has them the other way round and is turned here.
    """
    if kind not in GIZA_KINDS:
        raise CourseError(f"there is no GIZA++ output called {kind}; choose from {', '.join(GIZA_KINDS)}")
    path = _local(_required(folder, "the GIZA++ output"), "alignments", f"enfr.giza.{kind}.talp")
    links = [_links(line.split(), "-", path, number) for number, line in enumerate(read_lines(path), 1)]
    if kind == "reverse":
        links = [frozenset((english, french) for french, english in pairs) for pairs in links]
    return tuple(links)


def _links(tokens: list[str], separator: str, path: Path, line: int) -> Links:
    pairs = set()
    for token in tokens:
        left, _, right = token.partition(separator)
        if not (left.isdecimal() and right.isdecimal()):
            raise CourseError(f"{path}, line {line}: {token!r} is not a link; write i-j or ipj")
        pairs.add((int(left), int(right)))
    return frozenset(pairs)


def _required(folder: Path | None, what: str) -> Path:
    folder = folder or data_folder()
    if folder is None:
        raise CourseError(f"{what} cannot be downloaded; set COURSE_DATA to the course's data folder")
    return folder


def _local(folder: Path, part: str, name: str) -> Path:
    path = folder / part / name
    if not path.is_file():
        raise CourseError(f"{path} does not exist; point COURSE_DATA at a folder that holds {part}/{name}")
    return path


def fetch(
    url: str, path: PathLike, sha256: str, *, attempts: int = 3, progress: bool = True, pause: float = 1.0
) -> Path:
    """Download ``url`` to ``path`` unless the right file is there already; return ``path``.

    ``path`` appears whole and with the right checksum, or not at all: the bytes go to a hidden file beside
    it, which is renamed at the end and removed on any failure, Ctrl-C included. A failed try is repeated, up
    to ``attempts`` tries in all, after ``pause`` seconds, twice that, and so on, unless the server has no
    such file. Raises :class:`~course_pkg.notation.CourseError` with the way to get the file by hand.
    """
    path = Path(path)
    reason = "no attempt was made"
    by_hand = f"download {url} by hand, check that its SHA-256 is {sha256}, and save it as {path}"
    for attempt in range(attempts):
        try:
            if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256:
                return path
            path.parent.mkdir(parents=True, exist_ok=True)
            _download(url, path, sha256, progress)
            return path
        except urllib.error.HTTPError as error:
            error.close()
            reason = f"the server answered {error.code} {error.reason}"
            if error.code in (404, 410):
                raise _NotThere(f"cannot get {path.name}: {reason}; {by_hand}") from None
        except (OSError, ValueError, http.client.HTTPException, _Spoilt) as error:
            reason = " ".join(str(getattr(error, "reason", None) or error).split())
        if attempt + 1 < attempts:
            time.sleep(pause * 2**attempt)
    raise CourseError(f"cannot get {path.name}: {reason}; {by_hand}")


class _Spoilt(Exception):
    """What arrived is not the file: too short, or with another checksum."""


def _download(url: str, path: Path, sha256: str, progress: bool) -> None:
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    digest = hashlib.sha256()
    received = 0
    try:
        # Not tempfile: its files are readable by their owner alone, and a class may share one cache.
        with urllib.request.urlopen(url, timeout=30) as reply, open(part, "xb") as file:
            length = int(reply.headers.get("Content-Length") or 0)
            with tqdm(total=length or None, unit="B", unit_scale=True, desc=path.name, disable=not progress) as bar:
                while block := reply.read(1 << 16):
                    file.write(block)
                    digest.update(block)
                    bar.update(len(block))
                    received += len(block)
        if received < length:
            raise _Spoilt(f"the connection broke after {received} of {length} bytes")
        if digest.hexdigest() != sha256:
            raise _Spoilt(f"the SHA-256 of what arrived is {digest.hexdigest()}, not the expected one")
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
