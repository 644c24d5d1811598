"""A hand for each widget class: drives a drawn widget by mouse, keyboard and touch, and compares what it shows.

What must be seen is computed here from the widget's saved state alone, never read from the page. Each driver is a
function of the page, the widget's root and its state; a disagreement is an `AssertionError`.
"""

import re
import string
from collections.abc import Callable
from math import exp, log
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
    row = state["views"][0]["moments"][-1][step]
    resting = [steer["words"][pick] for pick in steer["picks"][step][row.index(max(row))]]
    assert root.locator(".course-words bdi").all_text_contents() == resting, "at rest the gaze is on the peak"
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
            assert shown == "–" if value is None else abs(float(shown) - value) < 0.0501


# --- RegionScrubber ---------------------------------------------------------------------------------------------

CODE = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"


def decoded_steering(steer: State, step: int, region: int) -> list[tuple[str, float]]:
    """The words that a gaze turned to a region writes, likeliest first, with their shares."""

    def number(text: str, place: int) -> int:
        return 64 * CODE.index(text[2 * place]) + CODE.index(text[2 * place + 1])

    places = range(region * steer["top"], (region + 1) * steer["top"])
    picks, shares = steer["picks"][step], steer["shares"][step]
    return [(steer["words"][number(picks, place)], number(shares, place) / 4095) for place in places]


def _ninth(region: int, grid: list[int], view: list[float]) -> str:
    x = view[0] + (view[2] - view[0]) * (region % grid[1] + 0.5) / grid[1]
    y = view[1] + (view[3] - view[1]) * (region // grid[1] + 0.5) / grid[0]
    rows, columns = ("upper", "", "lower"), ("left", "", "right")
    row, column = rows[min(2, int(3 * y))], columns[min(2, int(3 * x))]
    if not column:
        return {"upper": "top", "": "centre", "lower": "bottom"}[row]
    return f"{row} {column}".strip()


def _framed(panel: Locator, kind: str) -> list[float] | None:
    """What a frame goes round, in shares of the picture: left, top, right, bottom; nothing if it is not drawn."""
    return panel.locator(f".region-{kind}").evaluate(
        """(path) => {
          const [w, h] = [path.ownerSVGElement.viewBox.baseVal.width, path.ownerSVGElement.viewBox.baseVal.height];
          if (!path.getAttribute("d")) return null;
          const { x, y, width, height } = path.getBBox();
          return [x / w, y / h, (x + width) / w, (y + height) / h];
        }"""
    )


def _corners(region: int, grid: list[int], view: list[float]) -> list[float]:
    row, column = divmod(region, grid[1])
    wide, high = (view[2] - view[0]) / grid[1], (view[3] - view[1]) / grid[0]
    x, y = view[0] + column * wide, view[1] + row * high
    return [x, y, x + wide, y + high]


def _near(a: list[float] | None, b: list[float] | None, by: float = 1e-4) -> bool:
    return a == b if a is None or b is None else all(abs(x - y) < by for x, y in zip(a, b, strict=True))


def _check_regions(root: Locator, state: State, step: int, spot: int | None = None) -> None:
    """Caption, picture, sentence and numbers show this step and, of the first model, this spot."""
    assert root.get_by_label("Step", exact=True).input_value() == str(step)
    for at, view in enumerate(state["views"]):
        panel, here = root.locator(".region-panel").nth(at), min(step, len(view["target"]) - 1)
        grid, row = view["grid"], [units / 100_000 for units in view["weights"][here]]
        peak, token = row.index(max(row)), view["target"][here]
        words = list(view["target"])
        turned = at == 0 and bool(state["steer"]) and spot is not None
        if turned:
            words[here] = decoded_steering(state["steer"], here, spot)[0][0]
        shown = panel.locator(".course-tokens bdi").all_text_contents()
        assert shown == words, f"step {step}: the caption reads {shown}, not {words}"
        pressed = panel.locator(".course-tokens button[aria-pressed=true] bdi").all_text_contents()
        assert pressed == [words[here]], f"step {step}: {pressed} is chosen, not {words[here]}"
        told, flat = panel.locator(".region-said").inner_text(), row[peak] * len(row) < 1.05
        place = "everywhere alike" if flat else f"most at the {_ninth(peak, grid, state['view'])}"
        assert told == f"{token} looks {place}.", f"step {step}: “{told}”, not “{token} looks {place}.”"
        frame = None if flat else _corners(peak, grid, state["view"])
        assert _near(_framed(panel, "peak"), frame), f"step {step}: a frame round another region, not {frame}"
        numbers = dict(
            zip(panel.locator("dt").all_text_contents(), panel.locator("dd").all_text_contents(), strict=True)
        )
        wanted = {"α there": [row[peak], 1 / len(row)]}
        entropy = -sum(p * log(p) for p in row if p > 0)
        wanted["entropy"] = [entropy, log(len(row))]
        gold = view["gold"][here]
        if any(view["gold"]):
            wanted["α inside gold"] = [gold["inside"], gold["area"]] if gold else []
        if view["gate"]:
            wanted["gate"] = [view["gate"][here]]
        if at == 0:
            wanted["at the spot"] = [] if spot is None else [row[spot]]
            assert _near(_framed(panel, "spot"), None if spot is None else _corners(spot, grid, state["view"]))
        for name, values in wanted.items():
            found = _shown_numbers(numbers[name])
            by = 0.0051 if name in ("entropy", "gate") else 0.00051
            assert len(found) == len(values) and all(abs(a - b) < by for a, b in zip(found, values, strict=True)), (
                f"step {step}: {name} is {numbers[name]}, not {values}"
            )
        xs = [line[i] for line in gold["lines"] for i in (0, 2)] if gold else []
        ys = [line[i] for line in gold["lines"] for i in (1, 3)] if gold else []
        box = [min(xs), min(ys), max(xs), max(ys)] if gold else None
        assert _near(_framed(panel, "gold"), box), f"step {step}: the gold region is not {box}"
        _check_light(panel, grid, peak if not turned else spot, flat and not turned)


def _check_light(panel: Locator, grid: list[int], brightest: int, flat: bool) -> None:
    """The middle of the brightest region has the thinnest veil (in blocks); a veil without light is no veil."""
    veils = panel.locator(".region-veil").evaluate(
        """(canvas, [rows, columns]) => Array.from({ length: rows * columns }, (_, at) => {
          const x = ((at % columns) + 0.5) * canvas.width / columns;
          const y = (Math.floor(at / columns) + 0.5) * canvas.height / rows;
          return canvas.getContext("2d").getImageData(x, y, 1, 1).data[3];
        })""",
        grid,
    )
    assert flat or veils[brightest] == min(veils), f"the light is at {veils.index(min(veils))}, not at {brightest}"


def drive_region_scrubber(page: Page, root: Locator, state: State) -> None:
    """Every step by key; words by mouse and touch; the picture by mouse, touch and arrow keys."""
    first = state["views"][0]
    count, columns = max(len(view["target"]) for view in state["views"]), first["grid"][1]
    steered, seen = bool(state["steer"]), state["view"]
    tokens, stage = root.locator(".course-tokens").first.get_by_role("button"), root.locator(".region-stage").first
    photo = root.locator(".region-photo").first
    assert photo.get_attribute("src") == state["image"] and photo.evaluate("(img) => img.decode().then(() => true)")
    root.get_by_label("blocks").check()
    page.mouse.move(0, 0)
    _check_regions(root, state, state["step"])
    tokens.nth(0).click()
    page.mouse.move(0, 0)
    for step in range(len(first["target"])):
        _check_regions(root, state, step)
        tokens.nth(step).press("ArrowRight")
    slider = root.get_by_label("Step", exact=True)
    slider.fill(str(count - 1))
    _check_regions(root, state, count - 1)
    slider.fill("0")
    tokens.nth(1).tap()
    _check_regions(root, state, 1)
    box, corner = stage.bounding_box(), len(first["weights"][0]) - columns
    for region, way in ((columns + 1, stage.click), (corner, stage.tap)):
        left, top, right, bottom = _corners(region, first["grid"], seen)
        way(position={"x": (left + right) / 2 * box["width"], "y": (top + bottom) / 2 * box["height"]})
        page.mouse.move(0, 0)
        _check_regions(root, state, 1, region)
        if steered:
            _check_words(root, decoded_steering(state["steer"], 1, region))
    stage.press("ArrowRight")
    stage.press("ArrowUp")
    spot = corner + 1 - columns
    _check_regions(root, state, 1, spot)
    stage.press("ArrowDown")
    stage.press("End")
    last = len(first["target"]) - 1
    if count == len(first["target"]):
        _check_regions(root, state, last, spot + columns)
    stage.press("Escape")
    stage.press("Home")
    _check_regions(root, state, 0)


def _check_words(root: Locator, wanted: list[tuple[str, float]]) -> None:
    shown = root.locator(".course-words bdi").all_text_contents()
    assert shown == [word for word, _ in wanted], f"the words of a turned gaze read {shown}"
    shares = [float(text) for text in root.locator(".course-words li > span:last-child").all_text_contents()]
    assert all(abs(a - b) < 0.0052 for a, (_, b) in zip(shares, wanted, strict=True))


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


def glance_at_region_scrubber(root: Locator, state: State) -> None:
    """The right word, region and numbers for each step."""
    slider = root.get_by_label("Step", exact=True)
    root.get_by_label("blocks").check()
    for step in range(max(len(view["target"]) for view in state["views"])):
        slider.fill(str(step))
        _check_regions(root, state, step)


DRIVERS: dict[str, Callable[[Page, Locator, State], None]] = {
    "AlignmentScrubber": drive_alignment_scrubber,
    "CoverUp": drive_cover_up,
    "DrawCurve": drive_draw_curve,
    "RegionScrubber": drive_region_scrubber,
    "SoftLookup": drive_soft_lookup,
}

GLANCES: dict[str, Callable[[Locator, State], None]] = {
    "AlignmentScrubber": glance_at_alignment_scrubber,
    "CoverUp": glance_at_cover_up,
    "DrawCurve": glance_at_draw_curve,
    "RegionScrubber": glance_at_region_scrubber,
    "SoftLookup": glance_at_soft_lookup,
}
