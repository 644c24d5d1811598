"""The command line, ``course``: models, translate, caption, evaluate, align, point, train.

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
    from course_pkg.captioner import Captioner, Seen
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
            return _complain(
                "the memory does not suffice: use shorter lines, smaller pictures, a smaller beam or another device"
            )
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

    caption = add("caption", _caption, "Describe pictures: file, tab, caption, one line for each.", model)
    caption.add_argument("--beam", type=_positive, metavar="K", help="beam width; by default the model's own")
    caption.add_argument(
        "--alpha",
        type=_alpha_file,
        metavar="FILE",
        help="also show where each word looks: .html, or .png of one picture, or .json",
    )
    caption.add_argument("image", nargs="+", metavar="IMAGE", help="a picture's file: JPEG, PNG, WebP, …")

    evaluate = add(
        "evaluate", _evaluate, "Translate a file, or describe pictures, and score the result, as JSON.", model
    )
    evaluate.add_argument("--src", metavar="F", help="source sentences")
    evaluate.add_argument("--ref", metavar="F", help="their reference translations")
    evaluate.add_argument("--images", metavar="DIR", help="the folder of the pictures")
    evaluate.add_argument("--captions", metavar="TSV", help="what people wrote: picture, tab, caption")
    evaluate.add_argument("--split", metavar="FILE:NAME", help="only the pictures of this list of a JSON file")
    evaluate.add_argument("--beam", type=_positive, metavar="K", help="beam width; by default the model's own")

    align = add("align", _align, "Print word links i-j of source word i and target word j, from 0.", model)
    align.add_argument("--src", required=True, metavar="F", help="source sentences")
    align.add_argument("--tgt", required=True, metavar="F", help="their translations")

    point = add("point", _point, "Measure whether words look at what they name, as JSON.", model)
    point.add_argument("--images", required=True, metavar="DIR", help="the folder of the pictures")
    point.add_argument("--objects", required=True, metavar="JSON", help="what is where in them")
    point.add_argument(
        "--captions", metavar="TSV", help="people's captions, that the model is made to write; without, its own"
    )

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
    translator = _load_translator(arguments, "translate")
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


def _caption(arguments: argparse.Namespace) -> int:
    """Pictures are read a few at a time, and of each only what is needed later is kept."""
    from course_pkg.captioner import TOGETHER
    from course_pkg.notation import CourseError

    files, alpha = arguments.image, arguments.alpha
    if alpha and alpha.suffix.lower() == ".png" and len(files) != 1:
        raise CourseError("a .png shows one picture: give one, or use .html or .json")
    captioner = _load_captioner(arguments, "caption")
    code, records = 0, []
    for start in range(0, len(files), TOGETHER):
        seen: list[tuple[str, Seen, Any]] = []
        for file in files[start : start + TOGETHER]:
            try:
                seen.append((file, *_looked_at(captioner, file, alpha)))
            except CourseError as error:
                code = _complain(str(error))
        made = captioner.caption([one for _, one, _ in seen], arguments.beam)
        for (file, _, picture), caption in zip(seen, made, strict=True):
            print(f"{_path(file)}\t{caption.caption}", flush=True)
            if alpha:
                records.append({**caption.to_record(file), "picture": picture})
    if records:
        _write_caption_alpha(alpha, records)
    return code


def _looked_at(captioner: "Captioner", file: str, alpha: Path | None) -> "tuple[Seen, Any]":
    """What the model sees of a file, and a small copy of the whole picture where one is shown later."""
    from course_pkg.pictures import upright

    whole = upright(file)
    seen = captioner.see(whole)
    if alpha is None or alpha.suffix.lower() == ".json":
        return seen, None
    from course_pkg.caption_page import LONGEST
    from course_pkg.widgets.region_pictures import shrunk

    return seen, shrunk(whole, LONGEST)


def _path(file: str) -> str:
    """A file's name as given, on one line and without a tab, so that lines can be taken apart again."""
    return "".join(
        c if c >= " " and c not in "\x7f\x85\u2028\u2029" else c.encode("unicode_escape").decode() for c in file
    )


def _write_caption_alpha(path: Path, records: list[dict[str, Any]]) -> None:
    from course_pkg.alpha_page import replace_file
    from course_pkg.caption_page import write_caption_html, write_caption_png

    match path.suffix.lower():
        case ".html":
            write_caption_html(path, records)
        case ".png":
            write_caption_png(path, records[0])
        case _:
            plain = [{name: value for name, value in record.items() if name != "picture"} for record in records]
            replace_file(path, (json.dumps(plain, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace"))


def _evaluate(arguments: argparse.Namespace) -> int:
    from course_pkg.notation import CourseError

    text = [arguments.src, arguments.ref]
    seen = [arguments.images, arguments.captions]
    if any(text) and (any(seen) or arguments.split) or not (all(text) or all(seen)):
        raise CourseError("evaluate needs --src and --ref for a translator, or --images and --captions for a captioner")
    record = _evaluated_text(arguments) if all(text) else _evaluated_pictures(arguments)
    print(json.dumps(record, ensure_ascii=False, indent=1))
    return 0


def _evaluated_text(arguments: argparse.Namespace) -> dict[str, Any]:
    from course_pkg.corpora import text_pair
    from course_pkg.evaluation import evaluate

    text = text_pair(arguments.src, arguments.ref)
    translator = _load_translator(arguments, "evaluate on --src and --ref")
    return evaluate(translator, text.source, text.target, beam=arguments.beam, progress=_patience(len(text)))


def _evaluated_pictures(arguments: argparse.Namespace) -> dict[str, Any]:
    from course_pkg.captioned import captioned_folder
    from course_pkg.evaluation import evaluate_captions

    found = captioned_folder(arguments.images, arguments.captions, arguments.split)
    captioner = _load_captioner(arguments, "evaluate on --images and --captions")
    return evaluate_captions(captioner, found, beam=arguments.beam, progress=_patience(len(found)))


def _point(arguments: argparse.Namespace) -> int:
    from course_pkg.evaluation import point
    from course_pkg.located import objects_folder

    located = objects_folder(arguments.images, arguments.objects, arguments.captions)
    captioner = _load_captioner(arguments, "point")
    record = point(captioner, located, own=arguments.captions is None, progress=_patience(len(located)))
    print(json.dumps(record, ensure_ascii=False, indent=1))
    return 0


def _align(arguments: argparse.Namespace) -> int:
    from course_pkg.corpora import text_pair

    text = text_pair(arguments.src, arguments.tgt)
    pairs = list(zip(text.source, text.target, strict=True))
    for found in _load_translator(arguments, "align").align(pairs, progress=_patience(len(text))):
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


def _load(arguments: argparse.Namespace) -> "Translator | Captioner":
    from course_pkg.inference import load

    model: Translator | Captioner = load(arguments.model, device=arguments.device)
    return model


def _load_translator(arguments: argparse.Namespace, task: str) -> "Translator":
    from course_pkg.inference import Translator
    from course_pkg.notation import CourseError

    model = _load(arguments)
    if not isinstance(model, Translator):
        raise CourseError(f"{model.name} reads pictures, not text, so it cannot {task}: use a translator")
    return model


def _load_captioner(arguments: argparse.Namespace, task: str) -> "Captioner":
    from course_pkg.inference import Translator
    from course_pkg.notation import CourseError

    model = _load(arguments)
    if isinstance(model, Translator):
        raise CourseError(f"{model.name} reads text, not pictures, so it cannot {task}: use a captioner")
    return model


def _patience(lines: int) -> bool:
    """Whether to show a progress bar: for more than a screenful, and only to a person."""
    return lines > 50 and sys.stderr.isatty()
