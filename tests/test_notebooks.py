"""What is stored in the notebooks: clean runs, pictures with words, answers behind every choice, and plain prose."""

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
from book_math import displays, prose

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "book").glob("*.ipynb"))
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def code_cells(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def source(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def says_something(text: str) -> bool:
    """Whether a cell, by its last line, must have an output."""
    return "print(" in re.sub(r"(?m)^\s*(def|class) .*(\n\s+.*)*", "", text)


def problems_of_run(notebook: dict[str, Any]) -> list[str]:
    """Why the stored outputs are not those of one clean run."""
    found = []
    filled = [cell for cell in code_cells(notebook) if source(cell).strip()]
    counts = [cell["execution_count"] for cell in filled]
    if counts != list(range(1, len(filled) + 1)):
        found.append(f"execution counts {counts}")
    for number, cell in enumerate(filled, start=1):
        kinds = {output["output_type"] for output in cell["outputs"]}
        if "error" in kinds:
            found.append(f"cell {number} holds an error")
        if any(output.get("name") == "stderr" for output in cell["outputs"]):
            found.append(f"cell {number} wrote to stderr")
        if says_something(source(cell)) and not kinds:
            found.append(f"cell {number} prints, but no output is stored")
    if not any(cell["outputs"] for cell in filled):
        found.append("no output at all")
    return found


def problems_of_alt(alt: str) -> list[str]:
    """Why words do not stand for the picture: they have to say what is to be seen in it."""
    if len(alt) < 30:
        return ["say in the alt text, in a sentence, what is to be seen"]
    if re.match(r"(a |the )?(figure|plot|image|picture|chart|graph)\b", alt, re.IGNORECASE):
        return ["the alt text names the kind of picture: begin with what is to be seen"]
    return []


def problems_of_pictures(notebook: dict[str, Any]) -> list[str]:
    """Pictures without words for those who do not see them."""
    found = []
    for number, cell in enumerate(code_cells(notebook), start=1):
        alt = cell["metadata"].get("mystnb", {}).get("image", {}).get("alt", "")
        for output in cell["outputs"]:
            data = output.get("data", {})
            if {"image/png", "image/svg+xml", "image/jpeg"} & set(data):
                found += [f"code cell {number}: {problem}" for problem in problems_of_alt(alt.strip())]
            html = "".join(data.get("text/html", ""))
            html = re.sub(r'<td><img [^>]*alt=""></td>(?=<th scope="row">)', "", html)  # it stands beside its own words
            if "<svg" in html and not re.search(r"<title|aria-label", html):
                found.append(f"code cell {number} shows a drawing without a name")
            if re.search(r"<img(?![^>]*\balt=\"[^\"]{10})", html):
                found.append(f"code cell {number} shows an <img> without alt text")
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            text = source(cell)
            if re.search(r"!\[\s*\]\(", text) or re.search(r"<img(?![^>]*\balt=\"[^\"]{10})", text):
                found.append("a picture in the text has no alt text")
    return found


def test_there_are_chapters() -> None:
    assert NOTEBOOKS


@each_notebook
def test_it_was_run_from_top_to_bottom(path: Path) -> None:
    assert problems_of_run(read(path)) == []


@each_notebook
def test_it_is_small(path: Path) -> None:
    assert path.stat().st_size < 400_000


@each_notebook
def test_its_first_cell_installs_the_package_where_it_is_missing(path: Path) -> None:
    first = read(path)["cells"][0]
    assert first["cell_type"] == "code"
    for part in ("course_pkg", "%pip install -q", "COURSE_PKG_SOURCE", "git+https://"):
        assert part in source(first)
    assert "remove-cell" in first["metadata"].get("tags", [])


@each_notebook
def test_it_has_one_title_and_headings_in_order(path: Path) -> None:
    text = "\n".join(source(cell) for cell in read(path)["cells"] if cell["cell_type"] == "markdown")
    levels = [len(marks) for marks in re.findall(r"^(#+) ", re.sub(r"(?ms)^```.*?^```", "", text), flags=re.MULTILINE)]
    assert levels.count(1) == 1 and levels[0] == 1
    assert all(later - earlier <= 1 for earlier, later in zip(levels, levels[1:], strict=False))


@each_notebook
def test_its_pictures_have_words(path: Path) -> None:
    assert problems_of_pictures(read(path)) == []


@each_notebook
def test_its_stored_outputs_hold_nothing_of_one_machine(path: Path) -> None:
    notebook = read(path)
    outputs = json.dumps([cell["outputs"] for cell in code_cells(notebook)])
    assert not re.search(r"0x[0-9a-f]{8,}|\\u001b\[|ipykernel_\d+", outputs)
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    assert not any("execution" in cell["metadata"] for cell in notebook["cells"])


# --- how a chapter is built -------------------------------------------------------------------------------------

CHOICE = re.compile(r"<details(?P<open>[^>]*)>\s*<summary>(?P<summary>.*?)</summary>(?P<answer>.*?)</details>", re.S)
PARTS = {
    "learning goals": r"you can\b.*?\n+\s*- ",
    "a box 'What can go wrong'": r"> (\*\*|#+ )What can go wrong",
    "a recap": r"(?m)^## Recap",
    "references": r"(?m)^## References",
}


def markdown_of(notebook: dict[str, Any]) -> str:
    return "\n\n".join(source(cell) for cell in notebook["cells"] if cell["cell_type"] == "markdown")


def problems_of_details(markdown: str) -> list[str]:
    """Closed boxes that are open, empty, or lose their Markdown."""
    found = []
    boxes = list(CHOICE.finditer(markdown))
    if not len(boxes) == markdown.count("<details") == markdown.count("</details>"):
        found.append("a <details> is not closed, has no <summary>, or stands in another")
    for box in boxes:
        name = " ".join(box["summary"].split())[:60]
        if box["open"].strip():
            found.append(f"{name}: the box stands open")
        if len(re.findall(r"\w+", box["answer"])) < 3:
            found.append(f"{name}: there is no answer inside")
        if not box["answer"].startswith("\n\n") or not box["answer"].endswith("\n\n"):
            found.append(f"{name}: leave a blank line after </summary> and before </details>, or Markdown stays raw")
    return found


def minutes_of_reading(notebook: dict[str, Any]) -> float:
    """200 words a minute for prose, 20 seconds for a displayed equation, 3 for a line of code that is shown."""
    text = markdown_of(notebook)
    shown = [c for c in code_cells(notebook) if not {"hide-input", "remove-cell"} & set(c["metadata"].get("tags", []))]
    lines = sum(len(source(cell).splitlines()) for cell in shown)
    body = text.split("\n## References")[0]
    return len(re.findall(r"[\w’'-]+", prose(body))) / 200 + len(displays(text)) / 3 + lines / 20


def broken_links(markdown: str, folder: Path) -> list[str]:
    """Relative links to files that are not there."""
    targets = re.findall(r"\]\(([^)\s]+)\)", markdown)
    return [t for t in targets if "://" not in t and not t.startswith("#") and not (folder / t.split("#")[0]).exists()]


def chapters_without_a_link(markdown: str, own: int, numbers: set[int]) -> list[int]:
    """The chapters among ``numbers``, other than its own, that a text names and never leads to."""
    said = re.findall(r"\b[Cc]hapters?\s+(\d+)(?:(?:,| and| to)\s+(\d+))?", prose(markdown))
    linked = {int(number) for number in re.findall(r"\]\((\d\d)_\w+\.ipynb", markdown)}
    return sorted(({int(number) for pair in said for number in pair if number} & numbers) - linked - {own})


# Words that say nothing, or that British spelling writes otherwise; titles of papers keep theirs.
NOT_OURS = re.compile(
    r"\b(delves?|delving|leverag\w+|utili[sz]\w+|seamless\w*|crucial\w*|groundbreaking|game-changer|cutting-edge|"
    r"it is worth noting|it's worth noting|in today's world|deep dive|dive into|unleash\w*|plethora|"
    r"colors?|behaviors?|centers?|gray|modeling|modeled|labeled|labeling|favorite|analyze\w*|"
    r"optimiz(?:e|es|ed|er|ing|ation)|initializ\w+|normaliz\w+|generaliz\w+|recogniz\w+|minimiz\w+|maximiz\w+|"
    r"summariz\w+|tokeniz\w+|visualiz\w+)\b",
    re.IGNORECASE,
)


def strange_words(markdown: str) -> list[str]:
    """Words of the list above outside code, formulas, italics (titles) and the references."""
    text = re.sub(r"\*[^*\n][^*]*?\*|\]\([^)]*\)", " ", prose(markdown.split("\n## References")[0]))
    return [found[0] for found in NOT_OURS.finditer(text)]


@each_notebook
def test_it_has_the_parts_of_a_chapter(path: Path) -> None:
    text = markdown_of(read(path))
    missing = [part for part, pattern in PARTS.items() if not re.search(pattern, text, re.S)]
    assert missing == []
    assert len(CHOICE.findall(text)) >= 3, "a prediction to commit to, each choice answered in its <details>"


@each_notebook
def test_every_closed_box_has_its_answer(path: Path) -> None:
    assert problems_of_details(markdown_of(read(path))) == []


@each_notebook
def test_it_can_be_read_in_forty_minutes(path: Path) -> None:
    notebook = read(path)
    promised = re.search(r"about (\d+) minutes", markdown_of(notebook))
    assert promised and int(promised[1]) <= 40, "say near the top how long reading takes: about 35 minutes"
    assert minutes_of_reading(notebook) <= 45


@each_notebook
def test_its_lines_are_short_and_its_links_lead_somewhere(path: Path) -> None:
    text = markdown_of(read(path))
    assert [line for line in text.splitlines() if len(line) > 120 and "](" not in line and "|" not in line] == []
    assert broken_links(text, path.parent) == []


@each_notebook
def test_each_chapter_that_it_names_can_be_reached_from_it(path: Path) -> None:
    numbers = {int(other.stem[:2]) for other in NOTEBOOKS}
    assert chapters_without_a_link(markdown_of(read(path)), int(path.stem[:2]), numbers) == []


@each_notebook
def test_it_says_its_device_once_and_sets_its_seed(path: Path) -> None:
    cells = code_cells(read(path))
    told = "".join("".join(output.get("text", "")) for cell in cells for output in cell["outputs"])
    assert len(re.findall(r"(?m)^device: ", told)) == 1
    assert re.search(r"manual_seed\(|seed=", "\n".join(map(source, cells)))


@each_notebook
def test_from_chapter_two_on_it_says_which_debt_is_paid(path: Path) -> None:
    if int(path.stem[:2]) < 2:
        pytest.skip("the debts are opened in chapter 2")
    recap = markdown_of(read(path)).split("\n## Recap")[-1]
    assert re.search(r"\bdebts?\b", recap)


@each_notebook
def test_its_words_are_plain_and_british(path: Path) -> None:
    assert strange_words(markdown_of(read(path))) == []


# Each check above has to be able to fail.


@pytest.fixture
def clean() -> dict[str, Any]:
    """A notebook of two cells without a fault."""
    printed = {"output_type": "stream", "name": "stdout", "text": ["2\n"]}
    picture = {"output_type": "display_data", "data": {"image/png": "…"}, "metadata": {}}
    alt = {"mystnb": {"image": {"alt": "A line that rises from left to right"}}}
    shown = {"cell_type": "code", "source": ["plot()"], "execution_count": 2, "outputs": [picture], "metadata": alt}
    first = {"cell_type": "code", "source": ["print(2)"], "execution_count": 1, "outputs": [printed], "metadata": {}}
    return {"cells": [first, shown]}


def test_a_clean_notebook_passes(clean: dict[str, Any]) -> None:
    assert problems_of_run(clean) == [] and problems_of_pictures(clean) == []


def test_stripped_outputs_are_caught(clean: dict[str, Any]) -> None:
    for cell in clean["cells"]:
        cell["outputs"], cell["execution_count"] = [], None
    assert len(problems_of_run(clean)) == 3


def test_another_order_an_error_and_stderr_are_caught(clean: dict[str, Any]) -> None:
    for change in (
        lambda cells: cells.reverse(),
        lambda cells: cells[0]["outputs"].append({"output_type": "error"}),
        lambda cells: cells[0]["outputs"].append({"output_type": "stream", "name": "stderr", "text": "w"}),
        lambda cells: cells[0]["outputs"].clear(),
    ):
        notebook = copy.deepcopy(clean)
        change(notebook["cells"])
        assert len(problems_of_run(notebook)) == 1


def test_a_picture_without_words_is_caught(clean: dict[str, Any]) -> None:
    clean["cells"][1]["metadata"] = {}
    clean["cells"].append({"cell_type": "markdown", "source": ["![](x.svg)"], "metadata": {}})
    assert len(problems_of_pictures(clean)) == 2


def test_a_poor_alt_text_is_caught(clean: dict[str, Any]) -> None:
    for alt in ("A figure", "Plot of the training loss against the number of updates."):
        clean["cells"][1]["metadata"]["mystnb"]["image"]["alt"] = alt
        assert len(problems_of_pictures(clean)) == 1


BOX = "<details><summary>A. Yes</summary>\n\nNo, and here is why.\n\n</details>"


def test_a_box_with_its_answer_passes() -> None:
    assert problems_of_details(f"Choose.\n\n{BOX}\n{BOX}") == []


@pytest.mark.parametrize(
    "text",
    [
        BOX.replace("<details>", "<details open>"),
        BOX.replace("No, and here is why.", ""),
        BOX.replace("</summary>\n\n", "</summary>\n"),
        BOX.replace("</details>", ""),
        BOX.replace("summary>", "b>"),
    ],
)
def test_a_box_that_hides_nothing_or_hides_it_badly_is_caught(text: str) -> None:
    assert problems_of_details(text)


def test_american_and_empty_words_are_caught_outside_titles_and_code() -> None:
    assert strange_words("We delve into the color. *Color Me* `color` $color$\n## References\nmodeling") == [
        "delve", "color",
    ]  # fmt: skip


def test_a_link_to_nowhere_is_caught(tmp_path: Path) -> None:
    (tmp_path / "there.ipynb").touch()
    text = "[a](there.ipynb#x) [b](https://example.org/) [c](#here) [d](gone.ipynb)"
    assert broken_links(text, tmp_path) == ["gone.ipynb"]


def test_a_chapter_that_is_named_and_not_linked_is_caught() -> None:
    text = "Chapter 2 has it, as chapters 3 and\n9 have; [chapter\n4](04_x.ipynb), `chapter 5` and chapter 14 do not."
    assert chapters_without_a_link(text, 2, set(range(1, 11))) == [3, 9]


def test_reading_takes_time() -> None:
    words = {"cell_type": "markdown", "source": ["word " * 2000 + "\n$$a$$\n" * 3], "metadata": {}}
    code = {"cell_type": "code", "source": ["x = 1\n" * 40], "metadata": {}, "outputs": []}
    hidden = {**code, "metadata": {"tags": ["hide-input"]}}
    assert minutes_of_reading({"cells": [words, code, hidden]}) == pytest.approx(13)
