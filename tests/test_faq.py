"""The pages "Questions that people ask" and "Model cards": what runs there prints what the page shows."""

import contextlib
import io
import os
import re
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

BOOK = Path(__file__).resolve().parent.parent / "book"
TEXT = (BOOK / "faq.md").read_text(encoding="utf-8")
CARDS = (BOOK / "model_cards.md").read_text(encoding="utf-8")
SHOWN = re.compile(r"^```python\n(.*?)^```\n\n```text\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)
NEEDS = {"flickr8k-": "efficientnet_lite_pytorch", "keras": "keras", "sacrebleu": "sacrebleu"}
LONGEST = 15  # lines


def demonstrations(text: str = TEXT) -> list[tuple[str, str, str]]:
    """Question, code and printed text of each."""
    sections = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    return [(section.partition("\n")[0], *shown) for section in sections for shown in SHOWN.findall(section)]


def printed(code: str) -> str:
    """What the code prints, run by itself."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(code, "demonstration", "exec"), {"__name__": "__faq__"})
    return said.getvalue()


@pytest.mark.parametrize(
    ("question", "code", "shown"),
    demonstrations() + demonstrations(CARDS),
    ids=lambda text: text.partition("\n")[0][:40],
)
def test_a_demonstration_prints_what_the_page_shows(
    question: str, code: str, shown: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for word, package in NEEDS.items():
        if word in code and find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    if "keras" in code:
        monkeypatch.setitem(os.environ, "KERAS_TORCH_DEVICE", "cpu")
        monkeypatch.setenv("KERAS_HOME", os.environ.get("KERAS_HOME", str(tmp_path)))
        if "keras" in sys.modules and sys.modules["keras"].backend.backend() != "torch":
            pytest.skip("keras was set up with another backend")
    assert printed(code) == shown, question


def test_every_question_has_a_demonstration_and_a_place_to_read_on() -> None:
    sections = re.split(r"^## ", TEXT, flags=re.MULTILINE)[1:]
    assert len(sections) >= 15
    for section in sections:
        question = section.partition("\n")[0]
        assert SHOWN.search(section), question
        assert re.search(r"\]\(\d\d_\w+\.ipynb\)|\{doc\}`own_data`", section), question
        assert section.count("```python") == len(SHOWN.findall(section)), f"{question}: code without its output"


def test_demonstrations_are_short() -> None:
    for question, code, _ in demonstrations():
        lines = [line for line in code.splitlines() if line.strip()]
        assert len(lines) <= LONGEST, f"{question}: {len(lines)} lines"


def test_a_line_that_is_wrong_is_noticed() -> None:
    question, code, shown = demonstrations()[0]
    assert "uniform" in question
    assert printed(code.replace("initialise_as_paper(", "(lambda model, seed: model)(")) != shown
