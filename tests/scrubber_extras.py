"""What a scrubber does beside stepping: it folds pieces into words, plays, is saved as a picture, and is linked to.

As in `widget_drivers`, what must be seen is computed from the widget's saved state alone.
"""

import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from xml.etree import ElementTree

from PIL import Image
from playwright.sync_api import Locator, Page, expect
from widget_drivers import State, check_step

from course_pkg.drawing import ALPHA_STOPS

Press = Callable[[Locator], None]
Corner = tuple[float, float]


def by_mouse(thing: Locator) -> None:
    """Click, and leave: under a mouse that stays, a widget shows more."""
    thing.click()
    thing.page.mouse.move(0, 0)


def by_touch(thing: Locator) -> None:
    """Tap."""
    thing.tap()


def by_keyboard(thing: Locator) -> None:
    """Go there and press Enter, or Space where Enter does nothing."""
    thing.press("Space" if thing.get_attribute("type") == "checkbox" else "Enter")


# --- pieces and words -------------------------------------------------------------------------------------------


def _groups(words: list[int | None]) -> list[list[int]]:
    """The places of each word's pieces, in order of first appearance; what is no word stands together."""
    return [[at for at, other in enumerate(words) if other == word] for word in dict.fromkeys(words)]


def _spelt(tokens: list[str], groups: list[list[int]]) -> list[str]:
    return ["".join(tokens[at].removeprefix("▁") for at in group) for group in groups]


def can_fold(state: State) -> bool:
    """Whether some word is made of more than one piece."""
    sides = [state["source_words"], *(view["words"] for view in state["views"])]
    return any(len(_groups(words)) < len(words) for words in sides)


def folded(state: State) -> State:
    """The state as it must look once pieces are words: α summed over a source word, averaged over a target word."""
    columns, views = _groups(state["source_words"]), []
    for view in state["views"]:
        rows = _groups(view["words"])
        moments = [
            [[sum(α[i][j] for i in row for j in column) / len(row) for column in columns] for row in rows]
            for α in view["moments"]
        ]
        views.append({**view, "target": _spelt(view["target"], rows), "moments": moments})
    return {**state, "source": _spelt(state["source"], columns), "views": views}


def check_folding(root: Locator, state: State, press: Press) -> None:
    """Every step in words, and back at the first piece of the last word."""
    words, slider = folded(state), root.get_by_label("Step", exact=True)
    press(root.get_by_label("whole words"))
    count = len(words["views"][0]["target"])
    for step in range(count):
        slider.fill(str(step))
        check_step(root, words, step)
    press(root.get_by_label("whole words"))
    check_step(root, state, _groups(state["views"][0]["words"])[count - 1][0])


# --- play -------------------------------------------------------------------------------------------------------


def check_play(page: Page, root: Locator, state: State, press: Press) -> None:
    """From the last step but two it goes to the end, a step at a time, and stops there."""
    count = len(state["views"][0]["target"])
    slider = root.get_by_label("Step", exact=True)
    slider.fill(str(count - 3))
    slider.evaluate(
        """(slider) => {
          slider.visited = [slider.value];
          const look = () => slider.value !== slider.visited.at(-1) && slider.visited.push(slider.value);
          new MutationObserver(look).observe(slider, { attributeFilter: ["aria-valuetext"] });
        }"""
    )
    press(root.get_by_role("button", name="Play"))
    expect(root.get_by_role("button", name="Pause")).to_be_visible()
    expect(root.get_by_role("button", name="Play")).to_be_visible()  # it has stopped by itself
    visited = slider.evaluate("(slider) => slider.visited")
    assert visited == [str(count - 3), str(count - 2), str(count - 1)], f"it played {visited}"
    check_step(root, state, count - 1)


# --- a saved picture --------------------------------------------------------------------------------------------


def _colour(weight: float) -> tuple[int, ...]:
    place = weight * (len(ALPHA_STOPS) - 1)
    low = min(int(place), len(ALPHA_STOPS) - 2)
    ends = [[int(stop[at : at + 2], 16) for at in (1, 3, 5)] for stop in ALPHA_STOPS[low : low + 2]]
    return tuple(round(a + (b - a) * (place - low)) for a, b in zip(*ends, strict=True))


def _numbers(node: ElementTree.Element, *names: str) -> tuple[float, ...]:
    return tuple(float(node.attrib[name]) for name in names)


def _runs(places: set[float], step: float) -> Iterator[list[float]]:
    """Places a step apart, cut where there is more between two."""
    run: list[float] = []
    for place in sorted(places):
        if run and place - run[-1] > step + 0.01:
            yield run
            run = []
        run.append(place)
    yield run


def check_svg(text: str, state: State, moment: int) -> list[list[tuple[Corner, float]]]:
    """The saved drawing holds the tokens and, in each cell, its weight's number, colour and frame.

    Returns for each matrix the corner and the weight of every cell.
    """
    nodes = list(ElementTree.fromstring(text))
    kind = {name: [node for node in nodes if node.tag.endswith(name)] for name in ("rect", "text")}
    cells = {_numbers(node, "x", "y"): node for node in kind["rect"] if node.attrib.get("width") == "22"}
    inside = [node for node in kind["text"] if node.attrib["text-anchor"] == "middle"]
    written = {_numbers(node, "x", "y"): node.text or "" for node in inside}
    assert len(written) == len(inside) == len(cells)
    across = [node.text for node in kind["text"] if "rotate" in node.attrib.get("transform", "")]
    down = [node.text for node in kind["text"] if node.attrib["text-anchor"] == "end"]
    assert across == state["source"] * len(state["views"]), f"across the picture: {across}"
    assert down == [token for view in state["views"] for token in view["target"]], f"down the picture: {down}"
    matrices = list(_runs({x for x, _ in cells}, 24))
    assert len(matrices) == len(state["views"])
    found = []
    for view, xs in zip(state["views"], matrices, strict=True):
        weights = view["moments"][min(moment, len(view["moments"]) - 1)]
        ys = sorted({y for x, y in cells if x in xs})
        assert all(abs(b - a - 24) < 0.01 for a, b in pairwise(ys))
        assert (len(ys), len(xs)) == (len(weights), len(weights[0]))
        found.append([])
        for y, row in zip(ys, weights, strict=True):
            for x, weight in zip(xs, row, strict=True):
                node = cells[x, y]
                [number] = [text for (a, b), text in written.items() if x < a < x + 22 and y < b < y + 22]
                assert abs(float(f"0{number}" if not number or number[0] == "." else number) - weight) < 0.00501, (
                    f"a saved cell says {number!r}, not {weight}"
                )
                painted = [int(part) for part in re.findall(r"\d+", node.attrib["fill"])]
                assert max(abs(a - b) for a, b in zip(painted, _colour(weight), strict=True)) <= 1, (
                    f"a saved cell of {weight} is painted {painted}"
                )
                assert ("stroke" in node.attrib) == (weight == max(row) and x == xs[row.index(max(row))])
                found[-1].append(((x, y), weight))
    return found


def check_saved(page: Page, root: Locator, state: State, press: Press, moment: int) -> None:
    """The files that the two buttons hand over: the drawing, and the same as points."""
    with page.expect_download() as drawing:
        press(root.get_by_role("button", name="Save SVG"))
    assert drawing.value.suggested_filename == f"{state['key']}.svg"
    text = drawing.value.path().read_text(encoding="utf-8")
    matrices = check_svg(text, state, moment)
    with page.expect_download() as points:
        press(root.get_by_role("button", name="Save PNG"))
    assert points.value.suggested_filename == f"{state['key']}.png"
    with Image.open(points.value.path()) as image:
        pixels = image.convert("RGB")
    assert pixels.size == tuple(2 * round(side) for side in _numbers(ElementTree.fromstring(text), "width", "height"))
    for (x, y), weight in (cell for cells in matrices for cell in cells):
        seen = pixels.getpixel((round(2 * (x + 3)), round(2 * (y + 19))))  # below the number, outside a ring
        assert max(abs(a - b) for a, b in zip(seen, _colour(weight), strict=True)) <= 2, (
            f"a point in a saved cell of {weight} is {seen}"
        )


# --- a link -----------------------------------------------------------------------------------------------------


def check_link(page: Page, root: Locator, state: State, press: Press, step: int, moment: int) -> None:
    """The link's address, opened anew, shows the step and the moment at which it was taken."""
    root.get_by_label("Step", exact=True).fill(str(step))
    press(root.get_by_role("link", name="Link to this step"))
    root.get_by_label("Step", exact=True).fill("0")
    page.reload()
    expect(root).to_be_visible()
    check_step(root, {**state, "moment": moment}, step)
