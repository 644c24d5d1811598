"""The landing page: its lines are the gold links, every choice is answered, and none of it waits for a script."""

import re
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType

import pytest
from browser import PHONE, opened
from playwright.sync_api import Browser, Locator, Page

from course_pkg.toy import COURSE_SENTENCE

ROOT = Path(__file__).resolve().parent.parent
SOURCE, TARGET = COURSE_SENTENCE.source_tokens[:-1], COURSE_SENTENCE.target_tokens[:-1]
GOLD = {link for link in COURSE_SENTENCE.links if link[0] < len(SOURCE)}
NOIR = TARGET.index("noir")


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import draw_landing

    return draw_landing


class Question(HTMLParser):
    """What the page's HTML holds: per choice its word, lines and answer; the French words across."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.choices: list[dict] = []
        self.french: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        about = dict(attrs)
        self.open.append(f"{tag}.{about.get('class') or ''}")
        if tag == "div" and (about.get("class") or "").startswith("choice"):
            self.choices.append({"word": "", "said": "", "em": [], "lines": [], "named": ""})
        elif tag == "input":
            self.choices[-1] |= {"type": about["type"], "name": about["name"]}
            self.open.pop()
        elif tag == "svg":
            self.choices[-1]["named"] = about["aria-label"]
        elif tag == "path":
            ends = re.fullmatch(r"M0 (\d+) C50 \1 50 (\d+) 100 \2", about["d"] or "")
            assert ends, about["d"]
            self.choices[-1]["lines"].append((*((int(y) - 5) // 10 for y in ends.groups()), about.get("class")))
            self.open.pop()
        elif tag == "em" and "div.said" in self.open:
            self.choices[-1]["em"].append((about.get("lang"), ""))
        elif tag == "span" and (about.get("class") or "").startswith("french"):
            assert about["lang"] == "fr"
            self.french.append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().startswith(f"{tag}."), tag

    def handle_data(self, data: str) -> None:
        if "div.said" in self.open:
            self.choices[-1]["said"] += data.strip("\n")
            if self.open[-1] == "em.":
                self.choices[-1]["em"][-1] = (self.choices[-1]["em"][-1][0], data)
        elif "label." in self.open:
            self.choices[-1]["word"] += data
        elif self.open and self.open[-1].startswith("span.french"):
            self.french[-1] += data


@pytest.fixture(scope="module")
def page() -> Question:
    return Question((ROOT / "book/landing/question.html").read_text(encoding="utf-8"))


def test_the_committed_pictures_are_what_the_tool_draws(tool: ModuleType) -> None:
    assert (ROOT / "book/landing/question.html").read_text(encoding="utf-8") == tool.question()
    assert (ROOT / "book/landing/scene.svg").read_text(encoding="utf-8") == tool.scene()


def test_the_words_are_the_course_sentences(page: Question) -> None:
    assert [choice["word"] for choice in page.choices] == [*SOURCE, "Just show me"]
    assert page.french == list(TARGET)
    assert {(choice["type"], choice["name"]) for choice in page.choices} == {("radio", "noir")}


def test_the_lines_are_the_gold_links(page: Question) -> None:
    """The right word and "Just show me" bring all of them, another word only its own."""
    for row, choice in enumerate(page.choices):
        everything = row == len(SOURCE) or (row, NOIR) in GOLD
        wanted = GOLD if everything else {link for link in GOLD if link[0] == row}
        assert {line[:2] for line in choice["lines"]} == wanted and len(choice["lines"]) == len(wanted)
        assert all((style == "asked") == (target == NOIR) for _, target, style in choice["lines"])
        named = [] if not choice["named"] else choice["named"].split(", ")
        assert sorted(named) == sorted(f"{TARGET[target]} – {SOURCE[source]}" for source, target in wanted)


def test_every_choice_is_answered_with_the_words_that_come_from_there(page: Question) -> None:
    assert len({choice["said"] for choice in page.choices}) == len(SOURCE) + 1
    for row, word in enumerate(SOURCE):
        said, emphasised = page.choices[row]["said"], page.choices[row]["em"]
        assert said.startswith("Yes") == ((row, NOIR) in GOLD)
        assert (None, word) in emphasised
        french = {text.lower() for language, text in emphasised if language == "fr"}
        assert {TARGET[target].lower() for source, target in GOLD if source == row} <= french
        assert french <= {target.lower() for target in TARGET}
    assert "Nothing comes from does" in page.choices[SOURCE.index("does")]["said"]


@pytest.mark.parametrize("name", ["question.html", "scene.svg"])
def test_no_script_and_no_inline_style(name: str) -> None:
    """A strict content security policy lets through what a browser would otherwise have to trust."""
    text = (ROOT / "book/landing" / name).read_text(encoding="utf-8")
    assert not re.search(r"<script|<style|\sstyle=|\son\w+=|javascript:|https?://(?!www\.w3\.org/2000/svg)", text)


def test_the_scene_says_what_it_shows() -> None:
    text = (ROOT / "book/landing/scene.svg").read_text(encoding="utf-8")
    named = re.search(r'aria-labelledby="([\w-]+) ([\w-]+)"', text)
    assert named and all(f'id="{name}"' in text for name in named.groups())
    for word in ("woman", "black dog", "frisbee"):
        assert word in text[text.index("<desc") : text.index("</desc>")] and f">{word}</text>" in text


def test_three_links_and_the_sentence_stand_on_the_page() -> None:
    text = (ROOT / "book/index.md").read_text(encoding="utf-8")
    assert COURSE_SENTENCE.source in text and COURSE_SENTENCE.target in text
    links = re.findall(r'<li><a href="([^"]+)">([^<]+)</a></li>', text)
    assert [label for _, label in links] == ["Start", "Try your own sentence", "Teach with it"]
    assert (ROOT / "book" / links[0][0]).with_suffix(".ipynb").exists()
    path = links[1][0].partition("/blob/main/")[2]
    assert links[1][0].startswith("https://colab.research.google.com/github/") and (ROOT / path).exists()
    assert "\n## Teach with it\n" in text and links[2][0] == "#teach-with-it"


# --- in a browser -----------------------------------------------------------------------------------------------


def middle_of(locator: Locator) -> float:
    box = locator.bounding_box()
    assert box
    return box["y"] + box["height"] / 2


def lines_drawn(page: Page) -> set[tuple[int, int]]:
    """The links that are to be seen, by the words that the ends of each line stand beside."""
    english = [middle_of(label) for label in page.locator(".course-ask label").all()[: len(SOURCE)]]
    french = [middle_of(word) for word in page.locator(".course-ask .french").all()]
    sides, found = (english, french), set()
    for path in page.locator(".course-ask .lines:visible path").all():
        above, below = path.evaluate("one => [one.getBoundingClientRect().top, one.getBoundingClientRect().bottom]")
        first, last = re.findall(r"M0 (\d+) .* 100 (\d+)$", path.get_attribute("d") or "")[0]
        ends = (above, below) if int(first) <= int(last) else (below, above)
        nearest = (
            min(range(len(rows)), key=lambda row: abs(rows[row] - y)) for rows, y in zip(sides, ends, strict=True)
        )
        found.add(tuple(nearest))
    return found


@pytest.mark.parametrize("scripts", [True, False])
def test_a_tap_on_each_word_is_answered(chromium: Browser, address: str, page: Question, scripts: bool) -> None:
    """On a phone, with and without scripts: its own answer alone, and its lines between the right words."""
    with opened(chromium, address, viewport=PHONE, java_script_enabled=scripts) as watched:
        shown = watched.open("book/index.html")
        answers = shown.locator(".course-ask .said p:visible")
        assert answers.count() == 0 and lines_drawn(shown) == set()
        for choice, label in zip(page.choices, shown.locator(".course-ask label").all(), strict=True):
            box = label.bounding_box()
            assert box and min(box["width"], box["height"]) >= 24
            label.tap()
            assert answers.all_inner_texts() == [choice["said"]]
            assert lines_drawn(shown) == {line[:2] for line in choice["lines"]}
        assert watched.problems == [] or not scripts  # what is loaded ahead for scripts is then given up


def test_the_question_works_by_keyboard(chromium: Browser, address: str, page: Question) -> None:
    with opened(chromium, address) as watched:
        shown = watched.open("book/index.html")
        shown.get_by_role("radio", name="woman").focus()
        for key, row in (("Space", 1), ("ArrowDown", 2), ("ArrowDown", 3), ("ArrowUp", 2)):
            shown.keyboard.press(key)
            assert shown.locator(".course-ask .said p:visible").all_inner_texts() == [page.choices[row]["said"]]
        assert shown.locator(".course-ask :focus-visible").count() == 1


def test_a_phone_shows_the_question_at_once_and_the_scene_after_one_scroll(chromium: Browser, address: str) -> None:
    with opened(chromium, address, viewport=PHONE) as watched:
        shown = watched.open("book/index.html")
        shown.locator(".course-ask .right label").tap()
        answer = shown.locator(".course-ask .said p:visible").bounding_box()
        scene = shown.locator("svg.course-scene").bounding_box()
        assert answer and answer["y"] + answer["height"] <= PHONE["height"]
        assert scene and scene["y"] + scene["height"] <= 2 * PHONE["height"]
