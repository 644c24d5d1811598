"""What the pages add to the notebooks: questions that answer every choice, reading times, the map, paper, sharing."""

import collections
import json
import re
import sys
import tomllib
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
import yaml
from browser import PHONE, ROOT, opened
from PIL import Image
from playwright.sync_api import Browser, Locator, expect

sys.path.insert(0, str(ROOT / "tools/ext"))
import course_map
import quizzes
import reading_times
import shared_pages
from chapters import chapters_of
from sphinx.errors import ExtensionError

CHAPTERS = chapters_of(ROOT)
QUIZZES = sorted((ROOT / quizzes.FOLDER).glob("*.toml"))
each_quiz = pytest.mark.parametrize("path", QUIZZES, ids=lambda path: path.stem)
each_chapter = pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: f"{chapter.number:02}")

# --- questions --------------------------------------------------------------------------------------------------


def test_every_chapter_has_its_questions_and_every_file_a_page() -> None:
    pages = {f"{chapter.number:02}" for chapter in CHAPTERS}
    assert pages <= {path.stem for path in QUIZZES}
    others = {path.stem for path in QUIZZES} - pages
    assert all((ROOT / f"book/{name}.md").is_file() for name in others)


@each_quiz
def test_every_choice_is_answered_in_words_of_its_own(path: Path) -> None:
    questions = quizzes.read_quiz(path)  # refuses two right answers, none, and empty texts
    assert 3 <= len(questions) <= 5
    said = [option.say for question in questions for option in question.options]
    assert len(set(said)) == len(said) and all(len(text.split()) >= 5 for text in said)
    for question in questions:
        texts = [option.text for option in question.options]
        assert len(set(texts)) == len(texts)
        for text in (question.ask, *texts, *said):
            quizzes.inline(text)  # what a page could not show ends the build


def test_neither_place_nor_length_gives_the_right_answer_away() -> None:
    questions = [question for path in QUIZZES for question in quizzes.read_quiz(path)]
    places = collections.Counter(
        next(place for place, option in enumerate(question.options) if option.right) for question in questions
    )
    assert max(places.values()) <= len(questions) / 2
    for kind in (max, min):
        known = sum(kind(question.options, key=lambda option: len(option.text)).right for question in questions)
        assert known <= len(questions) / 2, f"who always takes the {kind.__name__} in length would be right too often"


OPTION = '[[question.option]]\ntext = "a"\nsay = "because of b"\n'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[[question]]\nask = "?"\n' + 3 * OPTION, "exactly one of them right"),
        ('[[question]]\nask = "?"\n' + 3 * (OPTION + "right = true\n"), "exactly one of them right"),
        ('[[question]]\nask = "?"\n' + OPTION + OPTION + "right = true\n", "at least three options"),
        ('[[question]]\nask = " "\n' + 2 * OPTION + OPTION + "right = true\n", "a text is empty"),
        ('[[question]]\nask = "?"\n' + 2 * OPTION + OPTION + "correct = true\n", "correct"),
        ('[[question]]\nask = "?"\n' + 3 * '[[question.option]]\ntext = "a"\n', "say"),
        ("[[question]\n", "no quiz"),
    ],
)
def test_a_broken_quiz_ends_the_build_with_one_line(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "07.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ExtensionError, match=told) as refused:
        quizzes.read_quiz(path)
    assert "07.toml" in str(refused.value) and "\n" not in str(refused.value)


def test_what_a_question_says_reaches_the_page_as_text() -> None:
    nodes = quizzes.inline(r"<b>no</b> & *yes* `<i>` $a < b$ [x](y) <!-- z -->")
    assert "".join(node.astext() for node in nodes) == r"<b>no</b> & yes <i> a < b [x](y) <!-- z -->"
    assert {type(node).__name__ for node in nodes} == {"Text", "emphasis", "literal", "math"}


# --- reading times ----------------------------------------------------------------------------------------------


def notebook(*cells: tuple[str, str, list[str]], outputs: tuple[dict, ...] = ()) -> dict:
    made = []
    for kind, source, tags in cells:
        cell = {"cell_type": kind, "source": source, "metadata": {"tags": tags}}
        made.append({**cell, "outputs": list(outputs)} if kind == "code" else cell)
    return {"cells": made}


def test_what_is_read_is_counted_and_what_is_closed_or_hidden_is_not() -> None:
    text = "Two words $a + b$.\n\n$$\nx = 1 \\tag{1.1}\n$$\n\n```\nnot prose\n```\n\n"
    text += "<details><summary>Solution</summary>\n\nNot counted.\n\n</details>\n\n## References\n\n- nobody reads this"
    counts = reading_times.counts_of(
        notebook(
            ("markdown", text, []),
            ("code", "a = 1\n\nb = 2", []),
            ("code", "c = 3", ["hide-input"]),
            ("code", 'def f():\n    ...\n\n\ncheck("01.f", f)', []),
            outputs=({"data": {"image/png": ""}}, {"output_type": "stream", "text": "1"}),
        )
    )
    assert counts == reading_times.Counts(words=3, equations=1, lines=2, figures=3)


def test_the_rule_is_the_arithmetic() -> None:
    assert reading_times.Counts(2000, 30, 90, 6).minutes == 10 + 10 + 3 + 2
    for number in (200, 20, 2):
        assert re.search(rf"\b{number}\b", reading_times.RULE)


@each_chapter
def test_the_count_and_the_authors_estimate_do_not_contradict_each_other(chapter) -> None:
    path = ROOT / f"{chapter.page}.ipynb"
    text = path.read_text(encoding="utf-8")
    estimate = int(re.search(r"about (\d+) minutes", text)[1])
    minutes = reading_times.counts_of_file(path).minutes
    assert abs(minutes - estimate) <= 8 and minutes <= 40  # as the landing page promises


# --- the map ----------------------------------------------------------------------------------------------------


def end_of(chapter) -> str:
    """What the end of a chapter says of the debts."""
    cells = json.loads((ROOT / f"{chapter.page}.ipynb").read_text(encoding="utf-8"))["cells"]
    text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    return text.split("**Which debt is paid?**")[1].split("\n## ")[0].strip() if "Which debt is paid" in text else ""


@each_chapter
def test_the_map_says_of_the_debts_what_the_chapter_says(chapter) -> None:
    told = end_of(chapter)
    paying = [debt for debt, paid in course_map.DEBTS.items() if chapter.number in paid]
    if chapter.number < course_map.OPENED:
        assert told == "" and paying == []
    elif paying:
        words = {
            "lengthy sentences": "Debt one",
            "time": "This is the last .*\\*Time\\*",
            "not human-like": "Debt three",
        }
        assert [bool(re.match(words[debt], told, re.S)) for debt in paying] == [True]
    else:
        assert re.match(r"None\b|Of the three debts .*, none in full\.", told, re.S)


def test_a_debt_is_open_until_it_is_paid() -> None:
    states = [course_map.debt_after("lengthy sentences", chapter.number) for chapter in CHAPTERS]
    assert states == ["open"] * 6 + ["mostly paid"] * 8
    assert course_map.debt_after("time", 13) == "open" != course_map.debt_after("time", 14)


class Links(HTMLParser):
    """The addresses of a piece of HTML, with the attributes of the current one."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[dict[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.found.append(dict(attrs))


def test_the_map_links_every_chapter_and_marks_one_as_this_page() -> None:
    here = CHAPTERS[4]
    links = Links(course_map.map_html(CHAPTERS, here, 41, lambda page: page.rpartition("/")[2] + ".html")).found
    chapters = [link for link in links if "#" not in str(link["href"])]
    assert [link["href"] for link in chapters] == [f"{one.page.rpartition('/')[2]}.html" for one in CHAPTERS]
    assert [link["href"] for link in links if "aria-current" in link] == ["05_additive_attention.html"]


# --- what a page says where it is shared ------------------------------------------------------------------------


def test_a_description_is_made_of_whole_sentences_where_there_is_room() -> None:
    two = "One sentence of some length, and of a second half. Two?"
    assert shared_pages.description_of([two, "Three " + 40 * "long " + "."]) == two
    cut = shared_pages.description_of([60 * "words " + "."])
    assert len(cut) <= shared_pages.LONGEST and cut.endswith("words…")
    begun = shared_pages.description_of(["Short. " + 60 * "words " + "."])
    assert 150 < len(begun) <= shared_pages.LONGEST and begun.startswith("Short. words") and begun.endswith("…")


def test_a_formula_in_a_description_is_a_letter_or_left_out() -> None:
    assert shared_pages.plain(r"\alpha_{ij}") == "α"
    assert shared_pages.plain("h_t") == "h" and shared_pages.plain(r"\frac{1}{2}") == ""


def test_the_card_has_the_size_that_is_told_and_the_address_is_the_sites() -> None:
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    settings = config["sphinx"]["config"]
    with Image.open(ROOT / "book" / settings["ogp_image"]) as card:
        size = card.size
    told = dict(re.findall(r'(?:name|property)="([\w:]+)" content="(\w+)"', " ".join(settings["ogp_custom_meta_tags"])))
    assert size == (int(told["og:image:width"]), int(told["og:image:height"])) == (1200, 630)
    assert told["twitter:card"] == "summary_large_image"
    assert settings["ogp_site_url"] == config["html"]["baseurl"]


# --- the refresher ----------------------------------------------------------------------------------------------


def test_the_numbers_of_the_refresher_are_right() -> None:
    text = (ROOT / "book/refresher.md").read_text(encoding="utf-8")
    W, U = (torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in (1.0, 0.5))
    first = torch.tanh(W * 1)
    second = torch.tanh(W * 0 + U * first)
    first.retain_grad()
    second.retain_grad()
    ((second - 1) ** 2 / 2).backward()
    slope = 1 - second.item() ** 2, 1 - first.item() ** 2
    scores = torch.tensor([2.0, 1.0, 0.0], dtype=torch.float64, requires_grad=True)
    loss = -scores.log_softmax(0)[1]
    loss.backward()
    shares = scores.softmax(0).tolist()
    numbers = [first, second, *shares, loss, torch.tensor(3.0).log(), *scores.grad, *slope]
    numbers += [second.grad, second.grad * slope[0], first.grad, U.grad, W.grad]
    for number in (float(torch.as_tensor(number).detach()) for number in numbers):
        assert f"{number:.3f}" in text.replace("−", "-"), number
    nudged = float((torch.tanh(torch.tensor(0.51, dtype=torch.float64) * first.detach()) - 1) ** 2 / 2)
    assert f"falls by {float((second.detach() - 1) ** 2 / 2) - nudged:.4f}" in text


def test_the_refresher_is_one_page_and_the_first_entry_of_the_contents() -> None:
    text = (ROOT / "book/refresher.md").read_text(encoding="utf-8")
    assert len(text.split()) <= 1000 and text.count("**By hand**") == 4 == text.count("*Used in*")
    contents = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    assert contents["parts"][0]["chapters"] == [{"file": "book/refresher"}]
    assert "(refresher.md)" in (ROOT / "book/index.md").read_text(encoding="utf-8")


# --- on the pages -----------------------------------------------------------------------------------------------

PAGE = "book/05_additive_attention.html"


def quiz_texts(number: int) -> list[dict]:
    """The tables of a chapter's file, as they are written."""
    return tomllib.loads((ROOT / quizzes.FOLDER / f"{number:02}.toml").read_text(encoding="utf-8"))["question"]


def told_by(group: Locator) -> Locator:
    """Where a question's answer is announced."""
    return group.get_by_role("status")


def test_a_question_is_answered_by_keyboard_alone(chromium: Browser, address: str) -> None:
    questions = quizzes.read_quiz(ROOT / quizzes.FOLDER / "05.toml")
    with opened(chromium, address) as watched:
        page = watched.open(PAGE)
        group = page.locator("fieldset.course-quiz").first
        options = group.get_by_role("radio")
        expect(told_by(group)).to_be_empty()  # the region is there before anything is said in it
        options.first.focus()
        page.keyboard.press("Space")
        for place, option in enumerate(questions[0].options):
            expect(options.nth(place)).to_be_checked()
            expect(told_by(group)).to_be_empty()  # to move on is not to answer
            page.keyboard.press("Tab")
            assert page.evaluate("document.activeElement.textContent") == "Check my answer"
            page.keyboard.press("Enter")
            letter = "ABC"[place]
            expect(told_by(group)).to_contain_text(f"{letter} is right." if option.right else f"Not {letter}.")
            expect(group.locator("label.right")).to_have_count(int(option.right))
            page.keyboard.press("Shift+Tab")
            page.keyboard.press("ArrowDown")
        assert watched.problems == []


def test_to_answer_without_a_choice_is_answered_too(chromium: Browser, address: str) -> None:
    with opened(chromium, address, viewport=PHONE) as watched:
        group = watched.open(PAGE).locator("fieldset.course-quiz").nth(1)
        group.get_by_role("button", name="Check my answer").click()
        expect(told_by(group)).to_have_text("Choose an answer first.")
        assert watched.problems == []


def test_without_scripts_every_answer_is_in_its_box(chromium: Browser, address: str) -> None:
    with opened(chromium, address, java_script_enabled=False) as watched:
        page = watched.open(PAGE)
        groups = page.locator("fieldset.course-quiz")
        assert groups.count() == len(quiz_texts(5))
        assert page.get_by_role("button", name="Check my answer").count() == 0
        for place, question in enumerate(quiz_texts(5)):
            box = groups.nth(place).locator("details")
            box.locator("summary").click()
            items = box.locator("li")
            assert items.count() == len(question["option"])
            assert items.locator("strong").all_inner_texts() == [
                f"{letter} is right." if "right" in option else f"Not {letter}."
                for letter, option in zip("ABC", question["option"], strict=True)
            ]


@each_chapter
def test_a_chapters_page_has_one_time_one_map_and_its_questions_before_the_recap(site: Path, chapter) -> None:
    text = (site / f"{chapter.page}.html").read_text(encoding="utf-8")
    article = text[text.index("<article") : text.index("</article>")]
    minutes = reading_times.counts_of_file(ROOT / f"{chapter.page}.ipynb").minutes
    head = article[: article.index("<h2")]
    assert re.findall(r"about (\d+)\s+minutes", head) == [str(minutes)]
    assert article.count(f'aria-label="{course_map.LABEL}"') == 1 == article.count('aria-current="page"')
    assert article.index(f'id="{quizzes.ID}"') < article.index('id="recap"')
    assert article.count('class="course-quiz"') == len(quiz_texts(chapter.number))


def test_the_map_is_in_no_search(site: Path) -> None:
    """A search for the title of one chapter must not find all of them."""
    index = json.loads((site / "searchindex.js").read_text(encoding="utf-8")[len("Search.setIndex(") : -1])
    pages = [index["docnames"][place] for place in index["terms"]["encod"]]
    bidirectional = index["terms"]["bidirect"]
    found = [bidirectional] if isinstance(bidirectional, int) else bidirectional
    assert pages and len(found) < len(CHAPTERS)


def test_a_shared_chapter_shows_its_first_sentences(site: Path) -> None:
    for chapter in CHAPTERS:
        text = (site / f"{chapter.page}.html").read_text(encoding="utf-8")
        told = re.search(r'<meta property="og:description" content="([^"]*)"', text)[1]
        assert len(told) > 50 and not re.search(r"^Chapter \d+ ·|^You need|[\\\\$]", told)
        assert text.count('name="description"') == 1
        assert '<meta name="twitter:card" content="summary_large_image"' in text


# --- on paper ---------------------------------------------------------------------------------------------------


def test_on_paper_nothing_is_left_that_only_a_screen_can_do(chromium: Browser, address: str) -> None:
    with opened(chromium, address) as watched:
        page = watched.open("book/08_reading_alpha.html")
        page.wait_for_selector(".course-widget-host[data-drawn]")
        page.emulate_media(media="print")
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        article = page.locator("article")
        shown = page.locator(
            ".bd-header-article, .bd-sidebar-primary, .bd-sidebar-secondary, .prev-next-footer, .copybtn, .headerlink,"
            " .course-quiz .check, .course-widget-live"
        )
        assert [one.get_attribute("class") for one in shown.all() if one.is_visible()] == []
        hosts = page.locator(".course-widget-host")
        assert hosts.count() and all(host.locator(".course-widget-fallback").is_visible() for host in hosts.all())
        closed = article.locator("details:not([open]) > summary").first
        assert "closed" in closed.evaluate("node => getComputedStyle(node, '::after').content")
        page.evaluate("dispatchEvent(new Event('afterprint'))")
        page.emulate_media(media="screen")
        assert (
            page.locator(".course-widget-fallback").count() == 0
            and page.locator(".course-widget-live").first.is_visible()
        )
        assert watched.problems == []
