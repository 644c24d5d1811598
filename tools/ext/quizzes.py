"""Sphinx extension: puts the questions of ``book/quizzes/NN.toml`` into the page of chapter NN, before its recap.

Another page may have some too, at its end: those of ``book/quizzes/refresher.toml`` stand on ``book/refresher``.

A file holds ``[[question]]`` tables: ``ask``, and three or more ``[[question.option]]`` tables with ``text``, ``say``
(what a reader who chose it is told) and, in one of them, ``right = true``. The texts are inline Markdown: emphasis,
code and ``$…$``. On the page a question is a group of radio buttons and a closed box with all answers, complete
without a script; ``quiz.js`` adds the button that answers the one choice.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chapters import chapters_of
from docutils import nodes
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

FOLDER = "book/quizzes"
TITLE, ID = "Check yourself", "check-yourself"
INTRODUCTION = (
    "Answer without looking back; a wrong answer says where to look. Nothing that you choose is kept or sent. "
    "All answers are in the closed box below each question."
)
INLINE = MarkdownIt("zero").enable(["emphasis", "backticks", "escape"]).use(dollarmath_plugin, double_inline=False)
BEFORE = ("Recap", "References")  # the first of these that a chapter has comes after the questions


@dataclass(frozen=True)
class Option:
    """One answer to choose, and what is said to whoever chose it."""

    text: str
    say: str
    right: bool


@dataclass(frozen=True)
class Question:
    """What is asked, and the answers to choose from."""

    ask: str
    options: tuple[Option, ...]


def read_quiz(path: Path) -> list[Question]:
    """The questions of one file; one line says what is wrong with it."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))["question"]
        questions = [
            Question(one["ask"].strip(), tuple(read_option(table) for table in one["option"])) for one in tables
        ]
    except (tomllib.TOMLDecodeError, KeyError) as error:
        raise ExtensionError(f"{path.name} is no quiz: {error!r}") from error
    for number, question in enumerate(questions, 1):
        if len(question.options) < 3 or sum(option.right for option in question.options) != 1:
            raise ExtensionError(
                f"{path.name}, question {number}: give at least three options, exactly one of them right"
            )
        if not all(text for option in question.options for text in (question.ask, option.text, option.say)):
            raise ExtensionError(f"{path.name}, question {number}: a text is empty")
    return questions


def read_option(table: dict[str, Any]) -> Option:
    """One option; a key that is not known is refused, since it may be a misspelt ``right``."""
    if unknown := set(table) - {"text", "say", "right"}:
        raise KeyError(*sorted(unknown))
    return Option(table["text"].strip(), table["say"].strip(), table.get("right", False))


# --- as nodes of the page ---------------------------------------------------------------------------------------


class page_element(nodes.General, nodes.Element):
    """An element that docutils has no node for; ``tag`` is its name, ``given`` its attributes."""


def element(tag: str, *children: nodes.Node, **given: str) -> page_element:
    """One element of a page; a trailing underscore lets an attribute be called like a word of Python."""
    return page_element("", *children, tag=tag, given={name.rstrip("_"): value for name, value in given.items()})


def open_element(self: Any, node: page_element) -> None:
    """Write the opening tag."""
    self.body.append(self.starttag(node, node["tag"], "", **node["given"]))


def close_element(self: Any, node: page_element) -> None:
    """Write the closing tag, where the element has one."""
    if node["tag"] != "input":
        self.body.append(f"</{node['tag']}>")


def inline(text: str) -> list[nodes.Node]:
    """The nodes of a piece of inline Markdown; its text is text, whatever it looks like."""
    whole = nodes.inline()
    stack: list[nodes.Element] = [whole]
    for token in INLINE.parseInline(" ".join(text.split()))[0].children or []:
        match token.type:
            case "text":
                stack[-1] += nodes.Text(token.content.replace("'", "’"))
            case "code_inline":
                stack[-1] += nodes.literal("", token.content)
            case "math_inline":
                stack[-1] += nodes.math("", token.content)
            case "em_open" | "strong_open":
                stack.append(nodes.emphasis() if token.type == "em_open" else nodes.strong())
            case "em_close" | "strong_close":
                closed = stack.pop()
                stack[-1] += closed
            case other:
                raise ExtensionError(f"a quiz cannot hold {other}: {text!r}")
    return list(whole.children)


def question_node(question: Question, number: int, page: str) -> page_element:
    """A question with its radio buttons, an empty place for the answer, and the closed box with all answers."""
    name = f"quiz-{page}-{number}"
    rows: list[nodes.Node] = []
    answers: list[nodes.Node] = []
    for letter, option in zip("ABCDEFGH", question.options, strict=False):
        button = element("input", type="radio", name=name, value=letter)
        rows.append(element("label", button, element("span", nodes.Text(f"{letter}. "), *inline(option.text))))
        verdict = nodes.strong("", f"{letter} is right." if option.right else f"Not {letter}.")
        kind = {"data-right": ""} if option.right else {}
        answers.append(element("li", verdict, nodes.Text(" "), *inline(option.say), **kind))
    return element(
        "fieldset",
        element("legend", nodes.Text(f"{number}. "), *inline(question.ask)),
        *rows,
        element("div", class_="said", role="status"),
        element("details", element("summary", nodes.Text("All answers")), element("ul", *answers)),
        class_="course-quiz",
    )


def quiz_node(questions: list[Question], name: str) -> nodes.section:
    """The section of a page's questions."""
    section = nodes.section("", nodes.title("", TITLE), nodes.paragraph("", INTRODUCTION), ids=[ID], names=[ID])
    section.extend(question_node(question, number, name) for number, question in enumerate(questions, 1))
    return section


def add_quiz(app: Sphinx, doctree: nodes.document) -> None:
    """Put a page's questions before its recap; a chapter without any ends the build."""
    page = app.env.docname
    chapter = next((one for one in chapters_of(Path(app.srcdir)) if one.page == page), None)
    name = f"{chapter.number:02}" if chapter else page.rpartition("/")[2]
    path = Path(app.srcdir, FOLDER, f"{name}.toml")
    if not path.exists():
        if chapter:
            raise ExtensionError(f"chapter {chapter.number} has no questions: write {FOLDER}/{path.name}")
        return
    app.env.note_dependency(str(path))
    [whole] = [node for node in doctree.children if isinstance(node, nodes.section)]
    titles = {node[0].astext(): place for place, node in enumerate(whole) if isinstance(node, nodes.section)}
    place = next((titles[title] for title in BEFORE if title in titles), len(whole))
    whole.insert(place, quiz_node(read_quiz(path), name))


def setup(app: Sphinx) -> dict[str, bool]:
    """Before Sphinx collects the headings of a page (priority 500), so that the section stands in its contents."""
    app.add_node(page_element, html=(open_element, close_element))
    app.connect("doctree-read", add_quiz, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
