"""A hand for each widget class: drives a drawn widget by mouse, keyboard and touch, and compares what it shows.

What must be seen is computed here from the widget's saved state alone, never read from the page. Each driver is a
function of the page, the widget's root and its state; a disagreement is an `AssertionError`.
"""

import re
from collections.abc import Callable
from math import exp
from typing import Any

from playwright.sync_api import Locator, Page

from course_pkg.widgets.cover_up import in_order

State = dict[str, Any]
MINUS = "\N{MINUS SIGN}"


def _signed(number: float) -> str:
    text = f"{number:.2f}"
    return "0.00" if float(text) == 0 else text.replace("-", MINUS)


def _shown_numbers(text: str) -> list[float]:
    return [float(part) for part in re.findall(r"-?\d+\.\d+", text.replace(MINUS, "-"))]


# --- AlignmentScrubber ------------------------------------------------------------------------------------------


def check_step(root: Locator, state: State, step: int) -> None:
    """Tokens, words, matrix and slider show this step, and the numbers are those of the stored α."""
    moment = state["moment"]
    for at, view in enumerate(state["views"]):
        panel = root.locator(".course-panel").nth(at)
        here = min(step, len(view["target"]) - 1)
        weights = view["moments"][min(moment, len(view["moments"]) - 1)]
        row, peak = weights[here], weights[here].index(max(weights[here]))
        lines = panel.locator(".course-tokens")
        pressed = lines.nth(1).locator("button[aria-pressed=true] bdi").all_text_contents()
        assert pressed == [view["target"][here]], f"step {step}: {pressed} is chosen, not {view['target'][here]}"
        source = lines.nth(0).locator("bdi").all_text_contents()
        assert source == state["source"], f"the source reads {source}"
        told = panel.locator(".course-said").inner_text()
        says = f"{view['target'][here]} looks most at {state['source'][peak]}, α = "
        assert told.startswith(says), f"step {step}: “{told}”, not “{says}”"
        assert abs(float(told.removeprefix(says)[:4]) - row[peak]) < 0.00501, f"step {step}: {told}, not {row[peak]}"
        shown = [float(text) for text in lines.nth(0).locator("small").all_text_contents()]
        assert all(abs(a - b) < 0.00501 for a, b in zip(shown, row, strict=True)), f"step {step}: {shown} is not {row}"
        marked = panel.locator("tbody tr.is-here")
        assert marked.locator("th").all_text_contents() == [view["target"][here]]
        cells = marked.locator("td").evaluate_all("all => all.map((cell) => cell.classList.contains('is-peak'))")
        assert cells.index(True) == peak and cells.count(True) == 1, f"step {step}: a frame round another cell"
    slider = root.get_by_label("Step", exact=True)
    assert slider.input_value() == str(step)


def drive_alignment_scrubber(page: Page, root: Locator, state: State) -> None:
    """Every step by key; tokens and cells by mouse and touch; the slider."""
    count = len(state["views"][0]["target"])
    slider = root.get_by_label("Step", exact=True)
    target = root.locator(".course-tokens").nth(1).get_by_role("button")
    check_step(root, state, state["step"])
    target.nth(0).click()
    page.mouse.move(0, 0)
    for step in range(count):  # by keyboard
        check_step(root, state, step)
        target.nth(step).press("ArrowRight" if not state["steer"] else "ArrowDown")
    root.locator(".course-tokens").nth(1).locator("[tabindex='0']").press("Home")
    check_step(root, state, 0)
    root.locator(".course-tokens").nth(1).locator("[tabindex='0']").press("End")
    check_step(root, state, count - 1)
    target.nth(1).tap()
    check_step(root, state, 1)
    cell = root.locator("tbody").first.locator("tr").nth(2).locator("td").nth(1)
    cell.click()
    page.mouse.move(0, 0)
    if state["steer"]:  # the gaze is on column 1 now, so the word is another
        word = state["steer"]["words"][state["steer"]["picks"][2][1][0]]
        assert target.nth(2).locator("bdi").text_content() == word
        root.get_by_role("button", name="Let go of the gaze").click()
        page.mouse.move(0, 0)
    check_step(root, state, 2)
    root.locator("tbody").first.locator("tr").nth(count - 1).locator("th").tap()
    check_step(root, state, count - 1)
    slider.fill(str(count // 2))
    check_step(root, state, count // 2)
    if state["labels"]:
        epoch = root.get_by_label("Epoch", exact=True)
        epoch.fill("0")
        check_step(root, {**state, "moment": 0}, count // 2)
        epoch.fill(str(state["moment"]))
    if state["steer"]:
        _check_steering(page, root, state)


def _check_steering(page: Page, root: Locator, state: State) -> None:
    steer, step, column = state["steer"], 1, 3
    lines = root.locator(".course-tokens")
    lines.nth(1).get_by_role("button").nth(step).click()
    page.mouse.move(0, 0)
    if root.get_by_role("button", name="Let go of the gaze").is_enabled():
        root.get_by_role("button", name="Let go of the gaze").click()
    lines.nth(0).get_by_role("button").nth(column).tap()
    words = [steer["words"][pick] for pick in steer["picks"][step][column]]
    assert root.locator(".course-words bdi").all_text_contents() == words
    shares = [float(text) for text in root.locator(".course-words li > span:last-child").all_text_contents()]
    assert all(abs(a - b) < 0.00501 for a, b in zip(shares, steer["shares"][step][column], strict=True))
    root.get_by_role("button", name="Let go of the gaze").click()


# --- SoftLookup -------------------------------------------------------------------------------------------------


def _check_lookup(root: Locator, state: State, energies: list[float], temperature: float) -> None:
    powers = [exp(energy / temperature) for energy in energies]
    weights = [power / sum(powers) for power in powers]
    points = state["points"]
    context = [sum(w * point[axis] for w, point in zip(weights, points, strict=True)) for axis in range(2)]
    told = root.locator(".lookup-told").inner_text()
    shares = " + ".join(f"{w:.2f} {name}" for w, name in zip(weights, state["names"], strict=True))
    assert told == f"c = {shares} = ({_signed(context[0])}, {_signed(context[1])})"
    rows = root.locator("tbody tr")
    for j, name in enumerate(state["names"]):
        assert rows.nth(j).locator("th").text_content() == name
        cells = rows.nth(j).locator("td").all_text_contents()
        pull = [weights[j] * (points[j][axis] - context[axis]) / temperature for axis in range(2)]
        wanted = [energies[j], weights[j], *points[j], *(weights[j] * h for h in points[j]), *pull]
        shown = [number for cell in cells for number in _shown_numbers(cell)]
        assert all(abs(a - b) < 0.00501 for a, b in zip(shown, wanted, strict=True)), f"{name}: {shown}, not {wanted}"


def drive_soft_lookup(page: Page, root: Locator, state: State) -> None:
    """Energies and temperature by key, mouse and touch; the answer and every number follow."""
    energies, temperature = list(state["energies"]), state["temperature"]
    _check_lookup(root, state, energies, temperature)
    sliders = root.locator(".lookup-row input")
    sliders.nth(0).press("Home")
    energies[0] = -6.0
    _check_lookup(root, state, energies, temperature)
    sliders.nth(1).press("End")
    sliders.nth(1).press("ArrowLeft")
    energies[1] = 5.9
    _check_lookup(root, state, energies, temperature)
    root.locator(".lookup-heat input").press("End")
    _check_lookup(root, state, energies, 20.0)
    for press in ("click", "tap"):
        box = sliders.nth(1).bounding_box()
        getattr(sliders.nth(1), press)(position={"x": box["width"] / 2, "y": box["height"] / 2})
        energies[1] = int(sliders.nth(1).input_value()) / 10 - 6
        assert abs(energies[1]) < 0.5
        _check_lookup(root, state, energies, 20.0)
        sliders.nth(1).press("End")
    root.get_by_role("button", name="Uniform").tap()
    _check_lookup(root, state, [0.0] * len(energies), 1.0)
    root.get_by_role("button", name="Start again").click()
    _check_lookup(root, state, state["energies"], state["temperature"])


# --- CoverUp ----------------------------------------------------------------------------------------------------


def drive_cover_up(page: Page, root: Locator, state: State) -> None:
    """The first sentence is rebuilt by mouse as it was, by touch with two words exchanged, by keyboard as it comes."""
    first = state["sentences"][0]
    words, count = first["words"], len(first["words"])
    pool = root.locator(".pool")
    assert root.locator(".tabs button").all_text_contents() == [f"{len(s['words'])} words" for s in state["sentences"]]
    orders = {"click": list(range(count)), "tap": [1, 0, *range(2, count)], "press": first["order"]}
    for way, order in orders.items():
        root.locator(".tabs button").first.click()
        assert root.locator(".sentence").inner_text() == first["text"]
        root.get_by_role("button", name="Cover it").click()
        assert first["text"] not in root.inner_text(), "the sentence is to be seen while it is covered"
        assert pool.get_by_role("button").all_text_contents() == [words[at] for at in first["order"]]
        for at in order:
            tile = pool.get_by_role("button", name=words[at], exact=True).first
            if way == "press":
                page.keyboard.press("Enter")  # the next tile has the focus
            else:
                getattr(tile, way)()
        built = [words[at] for at in order]
        assert root.locator(".built button").all_text_contents() == built
        root.get_by_role("button", name="Done").click()
        place = sum(a.lower() == b.lower() for a, b in zip(built, words, strict=True))
        said = root.locator(".verdict").inner_text()
        assert f": {in_order(words, built)} of {count} words in the right order" in said, said
        assert f", {place} in exactly" in said, said
    for size, share in state["points"]:
        assert f"{round(100 * share)} % at {size}" in (root.locator("svg[role=img]").get_attribute("aria-label") or "")


# --- DrawCurve --------------------------------------------------------------------------------------------------


def drive_draw_curve(page: Page, root: Locator, state: State) -> None:
    """Each point raised by key; a stroke by mouse; a tap; then the guess beside the measured curve."""
    handles, inputs = root.get_by_role("slider"), root.locator("input[type=number]")
    count, top = len(state["labels"]), state["top"]
    assert handles.count() == count

    def values() -> list[int]:
        return [
            int(value) for value in handles.evaluate_all("all => all.map((one) => one.getAttribute('aria-valuenow'))")
        ]

    handles.nth(0).focus()
    page.keyboard.press("End")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowUp")
    assert values()[:2] == [top - 1, 1]
    chart = root.locator("svg.chart")
    chart.scroll_into_view_if_needed()
    boxes = [handles.nth(at).bounding_box() for at in range(count)]
    middles = [box["x"] + box["width"] / 2 for box in boxes]
    high, low = (boxes[at]["y"] + boxes[at]["height"] / 2 for at in (0, 1))
    half = (high + low) / 2
    page.mouse.move(middles[0], half)
    page.mouse.down()
    page.mouse.move(middles[-1], half, steps=12)
    page.mouse.up()
    assert all(abs(value - top / 2) <= 1 for value in values()), values()
    page.touchscreen.tap(middles[2], high)
    assert abs(values()[2] - (top - 1)) <= 1
    root.locator("summary").click()
    assert [int(inputs.nth(at).input_value()) for at in range(count)] == values()
    if state["truth"]:
        root.get_by_role("button", name="Show the measured curve").click()
        truth = state["truth"][0]
        assert truth["label"] in root.locator("thead").inner_text()
        column = len(state["given"])
        for at, value in enumerate(truth["values"]):
            shown = root.locator("tbody tr").nth(at).locator("td").nth(column).inner_text()
            assert shown == ("–" if value is None else f"{value:.1f}")


# --- at a glance ------------------------------------------------------------------------------------------------


def glance_at_alignment_scrubber(root: Locator, state: State) -> None:
    """The right token, row and numbers for each step."""
    slider = root.get_by_label("Step", exact=True)
    for step in range(len(state["views"][0]["target"])):
        slider.fill(str(step))
        check_step(root, state, step)


def glance_at_soft_lookup(root: Locator, state: State) -> None:
    """The right answer for the energies it begins with, and for two others."""
    _check_lookup(root, state, state["energies"], state["temperature"])
    for at, energy in ((0, -6.0), (1, 6.0)):
        root.locator(".lookup-row input").nth(at).press("Home" if energy < 0 else "End")
        moved = [energy if j == at else e for j, e in enumerate(state["energies"])]
        _check_lookup(root, state, moved, state["temperature"])
        root.get_by_role("button", name="Start again").click()


def glance_at_cover_up(root: Locator, state: State) -> None:
    """Each sentence to be read, then its words to be placed and nothing of the sentence."""
    for at, sentence in enumerate(state["sentences"]):
        root.locator(".tabs button").nth(at).click()
        assert root.locator(".sentence").inner_text() == sentence["text"]
        root.get_by_role("button", name="Cover it").click()
        tiles = root.locator(".pool").get_by_role("button").all_text_contents()
        assert tiles == [sentence["words"][place] for place in sentence["order"]]
        assert sentence["text"] not in root.inner_text()


def glance_at_draw_curve(root: Locator, state: State) -> None:
    """Every number of the curves that are given, and a point that goes where a key moves it."""
    root.locator("summary").click()
    for at, label in enumerate(state["labels"]):
        row = root.locator("tbody tr").nth(at)
        assert row.locator("th").inner_text() == label
        for column, given in enumerate(state["given"]):
            value, shown = given["values"][at], row.locator("td").nth(column).inner_text()
            assert shown == ("–" if value is None else f"{value:.1f}"), f"{label}: {shown}, not {value}"
        handle = root.get_by_role("slider").nth(at)
        handle.press("End")
        assert handle.get_attribute("aria-valuenow") == str(state["top"]) == row.locator("input").input_value()


DRIVERS: dict[str, Callable[[Page, Locator, State], None]] = {
    "AlignmentScrubber": drive_alignment_scrubber,
    "CoverUp": drive_cover_up,
    "DrawCurve": drive_draw_curve,
    "SoftLookup": drive_soft_lookup,
}

GLANCES: dict[str, Callable[[Locator, State], None]] = {
    "AlignmentScrubber": glance_at_alignment_scrubber,
    "CoverUp": glance_at_cover_up,
    "DrawCurve": glance_at_draw_curve,
    "SoftLookup": glance_at_soft_lookup,
}
