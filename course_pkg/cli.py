"""The command line, ``course``: models, translate, evaluate, align, train.

Bad input is told in one line on stderr, with exit code 2; Ctrl-C ends with 130, a reader that hangs up with 141.
Heavy imports stand inside the commands, so that ``course --help`` answers at once.
"""

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from course_pkg import __version__

if TYPE_CHECKING:
    from course_pkg.inference import Translator

__all__ = ["main"]

BAD_INPUT, INTERRUPTED, HUNG_UP = 2, 130, 141
ALPHA_SUFFIXES = (".html", ".png", ".json")
DEVICES = ("auto", "cpu", "cuda", "mps")  # as in course_pkg.checkpoints, whose import takes a second


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line in place of argparse's usage and message."""
        self.exit(BAD_INPUT, f"{self.prog}: {_one_line(message)} (see {self.prog} --help)\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0, 2 for bad input, 130 for Ctrl-C, 141 for a broken pipe."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]
    try:
        arguments = _parser().parse_args(argv)
        code = _run(arguments)
        sys.stdout.flush()  # so that a full disk or a closed pipe is told here
        return code
    except SystemExit as stop:  # argparse: help, version, or bad arguments
        return int(stop.code or 0)
    except KeyboardInterrupt:
        print("course: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        _forget_stdout()
        return HUNG_UP
    except OSError as error:
        _forget_stdout()
        return _complain(f"{error.filename or 'cannot write the output'}: {error.strerror or error}")


def _run(arguments: argparse.Namespace) -> int:
    from course_pkg.notation import CourseError

    try:
        command: Callable[[argparse.Namespace], int] = arguments.run
        return command(arguments)
    except CourseError as error:
        return _complain(str(error))
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
            return _complain("the memory does not suffice: use shorter lines, a smaller beam or another device")
        raise


def _complain(message: str) -> int:
    print(f"course: {_one_line(message)}", file=sys.stderr)
    return BAD_INPUT


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _forget_stdout() -> None:
    """Python flushes stdout once more at exit; let that go nowhere instead of failing again."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _parser() -> argparse.ArgumentParser:
    common = _Parser(add_help=False)
    common.add_argument("--version", action="version", version=f"course {__version__}")
    common.add_argument(
        "--device", choices=DEVICES, default="auto", help="where to compute; auto takes the fastest there is"
    )
    model = _Parser(add_help=False)
    model.add_argument("--model", required=True, metavar="NAME|FOLDER", help="a name from `course models`, or a folder")

    parser = _Parser(prog="course", description="Train, use and measure the models of the course.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"course {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(name: str, run: Callable[[argparse.Namespace], int], help: str, *parents: _Parser) -> Any:
        one = commands.add_parser(name, help=help, description=help, parents=[*parents, common], allow_abbrev=False)
        one.set_defaults(run=run)
        return one

    models = add("models", _models, "List the models that come with the package.")
    models.add_argument("--json", action="store_true", help="as JSON")

    translate = add("translate", _translate, "Translate text, one line for each line.", model)
    translate.add_argument("--beam", type=_positive, metavar="K", help="beam width; by default the model's own")
    translate.add_argument(
        "--alpha",
        type=_alpha_file,
        metavar="FILE",
        help="also write the attention weights: .html or .png by words, .json by the model's own tokens",
    )
    text = translate.add_mutually_exclusive_group()
    text.add_argument("--file", metavar="F", help="a text file, one sentence a line")
    text.add_argument("text", nargs="?", metavar="TEXT", help="the text itself; without TEXT or --file, stdin is read")

    evaluate = add("evaluate", _evaluate, "Translate a file and score the result, as JSON.", model)
    evaluate.add_argument("--src", required=True, metavar="F", help="source sentences")
    evaluate.add_argument("--ref", required=True, metavar="F", help="their reference translations")

    align = add("align", _align, "Print word links i-j of source word i and target word j, from 0.", model)
    align.add_argument("--src", required=True, metavar="F", help="source sentences")
    align.add_argument("--tgt", required=True, metavar="F", help="their translations")

    train = add("train", _train, "Train a model from a recipe.")
    train.add_argument("--recipe", required=True, metavar="NAME|FILE", help="a recipe of the package, or a TOML file")
    train.add_argument("--out", required=True, metavar="DIR", help="gets metrics.jsonl, checkpoints and model/")
    train.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change a setting; may be repeated"
    )
    train.add_argument("--resume", action="store_true", help="go on from the last checkpoint in DIR")
    train.add_argument("--devices", type=_positive, default=1, metavar="N", help="how many devices")
    return parser


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 1 up")
    return int(text)


def _alpha_file(text: str) -> Path:
    path = Path(text)
    if path.suffix.lower() not in ALPHA_SUFFIXES:
        raise argparse.ArgumentTypeError(f"{text} should end in {', '.join(ALPHA_SUFFIXES[:-1])} or .json")
    if path.is_dir() or not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text} cannot be written: it is a folder, or its folder does not exist")
    return path


def _models(arguments: argparse.Namespace) -> int:
    from course_pkg.checkpoints import describe, published

    models = [describe(name) for name in published()]
    if arguments.json:
        print(json.dumps(models, ensure_ascii=False, indent=1))
        return 0
    rows = [("NAME", "TASK", "LANGUAGES", "RESULT", "SIZE", "LICENCE OF THE WEIGHTS")]
    for model in models:
        found = model["headline"]
        result = f"{found['metric']} {found['score']:.1f} on {found['data']}" if found else "-"
        languages = " to ".join(model["languages"])
        rows.append(
            (model["name"], model["task"], languages, result, f"{model['bytes'] / 1e6:.1f} MB", model["licence"])
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return 0


def _translate(arguments: argparse.Namespace) -> int:
    from course_pkg.notation import CourseError

    lines = _lines(arguments)
    alpha: Path | None = arguments.alpha
    if alpha and alpha.suffix.lower() == ".png" and (len(lines) != 1 or not lines[0].split()):
        raise CourseError("a picture shows one sentence: give one line that is not empty, or use .html or .json")
    translator = _load(arguments)
    if alpha and not translator.can_look:
        raise CourseError(f"{translator.name} has no attention weights: leave out --alpha, or use an rnnsearch model")
    made = translator.translate(lines, arguments.beam, progress=_patience(len(lines)))
    if alpha:
        pieces = alpha.suffix.lower() == ".json" or translator.target.kind == "word"
        _write_alpha(alpha, [(one if pieces else one.by_words()).to_record() for one in made])
    sys.stdout.writelines(f"{one.target}\n" for one in made)
    return 0


def _lines(arguments: argparse.Namespace) -> list[str]:
    """What to translate. Only a line feed ends a line, as in `corpora.read_lines`."""
    from course_pkg.corpora import read_lines, split_lines
    from course_pkg.notation import CourseError

    if arguments.file is not None:
        return read_lines(arguments.file)
    if arguments.text is None:
        if sys.stdin.isatty():
            print("course: reading from the terminal; end with Ctrl-D", file=sys.stderr)
        return split_lines(sys.stdin.buffer.read(), "standard input")
    try:
        return split_lines(arguments.text.encode("utf-8") or b"\n", "TEXT")
    except UnicodeEncodeError:
        raise CourseError("TEXT is not UTF-8; convert it to UTF-8 first") from None


def _write_alpha(path: Path, records: list[dict[str, Any]]) -> None:
    from course_pkg.alpha_page import replace_file, write_alpha_html

    match path.suffix.lower():
        case ".html":
            write_alpha_html(path, records)
        case ".png":
            from course_pkg.plotting import write_alpha_png

            write_alpha_png(path, records[0])
        case _:
            replace_file(path, (json.dumps(records, ensure_ascii=False) + "\n").encode())


def _evaluate(arguments: argparse.Namespace) -> int:
    from course_pkg.corpora import text_pair
    from course_pkg.evaluation import evaluate

    text = text_pair(arguments.src, arguments.ref)
    record = evaluate(_load(arguments), text.source, text.target, progress=_patience(len(text)))
    print(json.dumps(record, ensure_ascii=False, indent=1))
    return 0


def _align(arguments: argparse.Namespace) -> int:
    from course_pkg.corpora import text_pair

    text = text_pair(arguments.src, arguments.tgt)
    pairs = list(zip(text.source, text.target, strict=True))
    for found in _load(arguments).align(pairs, progress=_patience(len(text))):
        print(" ".join(f"{source}-{target}" for source, target in sorted(found)))
    return 0


def _train(arguments: argparse.Namespace) -> int:
    from course_pkg.checkpoints import pick_device
    from course_pkg.notation import CourseError
    from course_pkg.recipes import read
    from course_pkg.training import fit

    recipe = read(arguments.recipe, arguments.set)
    device = pick_device(arguments.device)
    try:
        folder = fit(
            recipe, Path(arguments.out), accelerator=device.type, devices=arguments.devices, resume=arguments.resume
        )
    except CourseError:
        raise
    except KeyboardInterrupt:
        begun = (Path(arguments.out) / "last.ckpt").exists()
        advice = f"train again with --resume to go on in {arguments.out}" if begun else "nothing was stored yet"
        print(f"course: interrupted; {advice}", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        if isinstance(error, ValueError) or type(error).__name__ == "MisconfigurationException":  # Lightning's refusals
            raise CourseError(f"these settings cannot be trained: {error}") from error
        raise
    if os.environ.get("LOCAL_RANK", "0") == "0":  # with several devices, one process speaks for all
        print(folder)
    return 0


def _load(arguments: argparse.Namespace) -> "Translator":
    from course_pkg.inference import load

    return load(arguments.model, device=arguments.device)


def _patience(lines: int) -> bool:
    """Whether to show a progress bar: for more than a screenful, and only to a person."""
    return lines > 50 and sys.stderr.isatty()
