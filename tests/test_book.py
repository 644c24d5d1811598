"""The book in a real browser, as a reader meets it: every page, in both modes, wide and narrow, with and without
scripts. Built from the outputs that are stored in the notebooks, and served below a prefix."""

import re
from html import unescape
from pathlib import Path

import pytest
import typeset
import yaml
from browser import PHONE, ROOT, WIDE, Watched, opened
from playwright.sync_api import Browser
from site_links import broken_links, read_pages

CONTENTS = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
CHAPTERS = [entry["file"] for part in CONTENTS["parts"] for entry in part["chapters"]]
PAGES = [f"{name}.html" for name in [CONTENTS["root"], *CHAPTERS]]
OTHERS = ["index.html", "search.html", "genindex.html", "py-modindex.html", "404.html"]  # made by the theme
FRAMED = "embed"  # pages of one widget each: test_teaching.py


def test_the_table_of_contents_names_all_that_is_built(site: Path) -> None:
    built = {
        str(path.relative_to(site))
        for path in site.rglob("*.html")
        if "_static" not in path.parts and path.parent.name != FRAMED
    }
    assert built == {*PAGES, *OTHERS}


def test_internal_links_and_anchors_resolve(site: Path) -> None:
    pages = {path: page for path, page in read_pages(site).items() if not path.startswith("_static/")}
    assert len(pages) >= len(PAGES)
    assert broken_links(site, pages) == []
    assert {path: page.repeated for path, page in pages.items() if page.repeated} == {}


def test_a_broken_link_and_a_repeated_id_are_seen(tmp_path: Path) -> None:
    (tmp_path / "b.html").write_text('<p id="here">')
    text = (
        '<a href="b.html#here">1</a><a href="#top">2</a><a href="b.html#gone">3</a><a href="/b.html">4</a><img src="c">'
    )
    (tmp_path / "a.html").write_text(text + '<p id="x"><p id="x">')
    pages = read_pages(tmp_path)
    found = broken_links(tmp_path, pages)
    assert [line.split(": ")[1].split(" ")[0] for line in found] == ["b.html#gone", "/b.html", "c"]
    assert pages["a.html"].repeated == ["x"]


def named(text: str) -> dict[str, str]:
    """What a page says of itself where it is shared."""
    return {key: unescape(value) for key, value in re.findall(r'<meta property="(og:[\w:]+)" content="([^"]*)"', text)}


def test_a_shared_page_is_shown_with_its_address_the_books_name_and_a_picture_with_words(site: Path) -> None:
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    home = config["html"]["baseurl"]
    for path in PAGES:
        text = (site / path).read_text(encoding="utf-8")
        shown = named(text)
        assert f'<link rel="canonical" href="{shown["og:url"]}"' in text and shown["og:url"] == home + path
        assert shown["og:site_name"] == config["title"] and len(shown["og:description"]) > 50
        assert shown["og:image"].startswith(home) and (site / shown["og:image"].removeprefix(home)).is_file()
        assert len(shown["og:image:alt"]) > 50


# --- every page -------------------------------------------------------------------------------------------------


def sideways(watched: Watched) -> list[str]:
    """What sticks out of the page, if the page scrolls sideways."""
    return watched.page.evaluate(
        """() => {
          const { clientWidth: room, scrollWidth: width } = document.documentElement;
          if (width <= room) return [];
          const sticksOut = (e) => e.getBoundingClientRect().right > room + 1;
          const out = [...document.body.querySelectorAll("*")].filter(sticksOut);
          return [`${width} px in ${room}`, ...out.slice(0, 5).map((e) => e.outerHTML.slice(0, 120))];
        }"""
    )


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("path", [*PAGES, *OTHERS])
def test_a_page_is_sound(chromium: Browser, address: str, path: str, mode: str) -> None:
    """No error, nothing missing, nothing from elsewhere, and no sideways scroll, wide or narrow."""
    narrow_first = mode == "dark"
    with opened(chromium, address, viewport=PHONE if narrow_first else WIDE, color_scheme=mode) as watched:
        page = watched.open(path)
        if path == "index.html":  # leads on by itself
            page.wait_for_url("**/book/index.html")
            page.wait_for_load_state("networkidle")
        if path != "404.html":  # it asks for no file, so it has no theme
            assert page.evaluate("document.documentElement.dataset.theme") == mode
        problems = sideways(watched)
        page.set_viewport_size(WIDE if narrow_first else PHONE)
        page.wait_for_timeout(100)
        problems += sideways(watched)
        assert watched.problems + problems == []


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_there_without_scripts(chromium: Browser, address: str, path: str) -> None:
    with opened(chromium, address, java_script_enabled=False) as watched:
        page = watched.open(path)
        assert page.locator("article h1").first.is_visible()
        assert len(page.locator("article").inner_text().split()) > 100
        # The browser calls a script that it was told not to run forbidden by the policy.
        assert [problem for problem in watched.problems if not problem.endswith(" csp")] == []


@pytest.mark.parametrize("path", ["book/03_bidirectional_rnns.html", "book/notation.html"])
def test_an_arrow_over_a_letter_is_drawn_whole(chromium: Browser, address: str, path: str) -> None:
    """It may be wider than the letter; the theme cuts a formula in a line off at its sides."""
    with opened(chromium, address, viewport=WIDE) as watched:
        page = watched.open(path)
        arrows = "span.math mjx-over mjx-c"
        assert page.locator(arrows).count() > 10
        cut = page.eval_on_selector_all(
            arrows,
            """(glyphs) => glyphs.filter((glyph) => {
              const [drawn, room] = [glyph, glyph.closest("span.math")].map((e) => e.getBoundingClientRect());
              return drawn.left < room.left - 1 || drawn.right > room.right + 1;
            }).map((glyph) => glyph.closest("span.math").textContent)""",
        )
        assert cut == []


def test_a_search_finds_alignment(chromium: Browser, address: str) -> None:
    with opened(chromium, address) as watched:
        page = watched.open("search.html?q=alignment")
        page.wait_for_selector("#search-results li a")
        page.wait_for_function("document.querySelectorAll('#search-results li').length > 3")
        hrefs = page.eval_on_selector_all("#search-results li a", "links => links.map((link) => link.href)")
        assert any("05_additive_attention" in href for href in hrefs)
        page.locator("#search-results li a").first.click()
        page.wait_for_url("**/book/**")
        assert "alignment" in page.locator("article").inner_text().lower()
        assert watched.problems == []


# --- accessibility ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def axe() -> str:
    """The accessibility checks of axe-core."""
    return (typeset.install() / "axe-core/axe.min.js").read_text(encoding="utf-8")


def violations(watched: Watched, axe: str) -> list[str]:
    """What axe-core objects to, with the first places. It may not preload: that puts styles into the page."""
    watched.page.evaluate(axe)
    found = watched.page.evaluate(
        "async () => (await axe.run({resultTypes: ['violations'], preload: false})).violations"
    )
    return [f"{one['id']}: {[node['html'][:150] for node in one['nodes'][:4]]}" for one in found]


@pytest.mark.timeout(900)  # the interface has 25,000 elements: half a minute, or minutes on a busy machine
@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("path", [*PAGES, *OTHERS])
def test_a_page_is_accessible(chromium: Browser, address: str, axe: str, path: str, mode: str) -> None:
    """The whole page with every box open: light and wide, dark and narrow."""
    with opened(chromium, address, viewport=WIDE if mode == "light" else PHONE, color_scheme=mode) as watched:
        if path == "index.html":  # it may not lead on before it is looked at
            watched.page.route("**/book/index.html", lambda route: route.fulfill(status=204))
        page = watched.open(path)
        assert page.url == address + path
        page.evaluate("document.querySelectorAll('details').forEach((box) => { box.open = true; })")
        page.wait_for_timeout(100)
        assert violations(watched, axe) == []


def test_an_unreadable_text_and_a_nameless_button_are_seen(chromium: Browser, address: str, axe: str) -> None:
    with opened(chromium, address) as watched:
        page = watched.open("book/references.html")
        page.evaluate("document.querySelector('article h1').style.color = '#eee'")
        page.evaluate("document.querySelector('article').append(document.createElement('button'))")
        assert {line.split(":")[0] for line in violations(watched, axe)} == {"color-contrast", "button-name"}
