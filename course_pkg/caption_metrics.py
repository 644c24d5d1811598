"""How good are captions, when there are several ways to describe a picture? Chapters 11 and 13.

BLEU is counted by sacreBLEU; METEOR, ROUGE-L and CIDEr are the COCO caption tools' own (Chen et al. 2015, §3), from
the extra ``captions``. Two of their parts are Java programs: METEOR, and the Penn Treebank tokeniser that prepares the
text for every score. Where something is missing, the other scores are still given, and the record says so.
"""

import importlib.util
import math
import re
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from course_pkg.metrics import reference_columns
from course_pkg.notation import CourseError

__all__ = ["caption_scores", "caption_words", "java", "treebank_words"]

ORDERS = (1, 2, 3, 4)
TREEBANK = "ptb.lc.nopunct|stanford-corenlp:3.4.1"
WORDS = "words.lc.nopunct"

_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
# What the COCO tools take out after tokenising; brackets stay, as lower-case -lrb- and -rrb-.
_PUNCTUATION = frozenset("'' ' `` ` -LRB- -RRB- -LCB- -RCB- . ? ! , : - -- ... ;".split())

Texts = Sequence[str]


def caption_words(text: str) -> str:
    """A caption's words in lower case, without punctuation: what is learned, and what is compared without Java.

    A word is letters and digits, joined by apostrophes or hyphens inside. The Treebank tokeniser differs in that it
    splits ``man's`` into ``man 's`` and ``can't`` into ``ca n't``.
    """
    return " ".join(_WORD.findall(text.lower()))


@cache
def java() -> str | None:
    """The command that starts Java, or ``None``: macOS has one that only says that there is no Java."""
    command = shutil.which("java")
    if command is None:
        return None
    try:
        asked = subprocess.run([command, "-version"], capture_output=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return command if asked.returncode == 0 else None


@cache
def _tools() -> Path | None:
    """Where the COCO caption tools are installed, if they are."""
    found = importlib.util.find_spec("pycocoevalcap")
    return Path(next(iter(found.submodule_search_locations))) if found and found.submodule_search_locations else None


def treebank_words(texts: Texts) -> list[str]:
    """The texts as the COCO tools compare them: Penn Treebank tokens in lower case, without punctuation.

    It starts the same program as the tools' own ``PTBTokenizer``, but through a pipe and always in UTF-8: theirs
    writes a file into the installed package, and reads it in whatever encoding the machine is set to.

    Raises:
        CourseError: Java or the tools are missing, or the program fails.
    """
    command, tools = java(), _tools()
    if command is None or tools is None:
        raise CourseError("The Treebank tokeniser needs Java and course-pkg[captions]: install both.")
    lines = [" ".join(text.split()) for text in texts]
    jar = str(tools / "tokenizer" / "stanford-corenlp-3.4.1.jar")
    program = [command, "-cp", jar, "edu.stanford.nlp.process.PTBTokenizer"]
    program += ["-preserveLines", "-lowerCase", "-encoding", "UTF-8"]
    done = subprocess.run(program, input="".join(f"{line}\n" for line in lines).encode(), capture_output=True)
    found = done.stdout.decode("utf-8", "replace").split("\n")[: len(lines)]
    if done.returncode or len(found) != len(lines):
        raise CourseError("The Treebank tokeniser has failed: look whether `java -version` works.")
    return [" ".join(token for token in line.split() if token not in _PUNCTUATION) for line in found]


def caption_scores(hypotheses: Texts, references: Sequence[Texts]) -> dict[str, Any]:
    """The scores of a corpus of captions against several references each: what Table 1 of Xu et al. 2015 reports.

    Args:
        hypotheses: one caption for each picture, raw text.
        references: what people wrote under each, one text or more.

    Returns:
        ``bleu1`` … ``bleu4`` (Papineni et al. 2002, brevity penalty with the closest reference length, not smoothed),
        ``bleu4_no_brevity_penalty`` (as Xu et al., §5.3, report it), ``meteor`` (Denkowski and Lavie 2014),
        ``rouge_l`` (Lin 2004, β = 1.2, best precision and best recall over the references), all in [0, 100], and
        ``cider`` (Vedantam et al. 2015, CIDEr-D: clipped, σ = 6) in [0, 10]; papers often print a hundred times that.
        CIDEr's document frequencies are those of these references, so corpora of different size do not compare.
        ``tokenisation`` says what was compared, ``signature`` how BLEU was counted, ``missing`` why a score is
        ``None``: it is ``None`` itself when nothing is missing.

    Raises:
        CourseError: unequal numbers of pictures, none, or a picture without a reference.
    """
    reference_columns(hypotheses, references)  # refuses what does not fit
    with_java = _tools() is not None and java() is not None
    texts = [*hypotheses, *(text for several in references for text in several)]
    words = treebank_words(texts) if with_java else [caption_words(text) for text in texts]
    rest = iter(words[len(hypotheses) :])
    sides = words[: len(hypotheses)], [[next(rest) for _ in several] for several in references]
    meteor = _meteor(*sides) if with_java else None
    rouge_l, cider = _rouge_and_cider(*sides)
    return {
        **_bleu(sides[0], reference_columns(*sides)),
        "meteor": meteor,
        "rouge_l": rouge_l,
        "cider": cider,
        "tokenisation": TREEBANK if with_java else WORDS,
        "missing": _missing(meteor),
    }


def _bleu(hypotheses: Texts, columns: Sequence[Sequence[str | None]]) -> dict[str, Any]:
    """BLEU of each order from one count of all n-grams."""
    from sacrebleu.metrics.bleu import BLEU

    metric: Any = BLEU(tokenize="none", force=True, smooth_method="none")
    found = metric.corpus_score(list(hypotheses), columns)
    precisions = [right / max(total, 1) for right, total in zip(found.counts, found.totals, strict=True)]
    means = [100 * math.prod(precisions[:order]) ** (1 / order) for order in ORDERS]
    scores = {f"bleu{order}": float(found.bp * mean) for order, mean in zip(ORDERS, means, strict=True)}
    return {**scores, "bleu4_no_brevity_penalty": float(means[-1]), "signature": str(metric.get_signature())}


def _by_picture(hypotheses: Texts, references: Sequence[Texts]) -> tuple[dict[int, list[str]], dict[int, list[str]]]:
    """References and hypotheses as the COCO tools take them."""
    return dict(enumerate(map(list, references))), {row: [text] for row, text in enumerate(hypotheses)}


def _rouge_and_cider(hypotheses: Texts, references: Sequence[Texts]) -> tuple[float | None, float | None]:
    if _tools() is None:
        return None, None
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge

    sides = _by_picture(hypotheses, references)
    return 100 * float(Rouge().compute_score(*sides)[0]), float(Cider().compute_score(*sides)[0])


def _meteor(hypotheses: Texts, references: Sequence[Texts]) -> float | None:
    """METEOR 1.5 with the options of the COCO tools; ``None`` if it fails, as where it does not get its 2 GB.

    Line by line, as their ``Meteor`` class asks it: a caption's counts first, then the score of all counts.
    """
    assert (tools := _tools()) and (command := java())
    program = [command, "-Xmx2G", "-jar", "meteor-1.5.jar", "-", "-", "-stdio", "-l", "en", "-norm"]
    pipe = subprocess.PIPE
    try:
        with subprocess.Popen(
            program, cwd=tools / "meteor", stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, encoding="utf-8"
        ) as process:
            assert process.stdin and process.stdout
            counts = []
            for text, several in zip(hypotheses, references, strict=True):
                fields = [one.replace("|", " ") for one in (*several, text)]  # "|||" parts the fields
                print("SCORE", *fields, sep=" ||| ", file=process.stdin, flush=True)
                counts.append(process.stdout.readline().strip())
            print("EVAL", *counts, sep=" ||| ", file=process.stdin, flush=True)
            return 100 * [float(process.stdout.readline()) for _ in range(len(counts) + 1)][-1]
    except (OSError, ValueError):
        return None


def _missing(meteor: float | None) -> str | None:
    if _tools() is None:
        return "METEOR, ROUGE-L and CIDEr: install course-pkg[captions]"
    if java() is None:
        return "METEOR and the Treebank tokeniser: install Java"
    return "METEOR: its Java program failed; it needs 2 GB of memory" if meteor is None else None
