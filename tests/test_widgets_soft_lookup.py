"""The soft lookup: the browser's numbers are the package's, and a page without scripts says the same."""

import json
import math
import subprocess
from importlib import resources
from pathlib import Path
from sysconfig import get_path
from typing import Any

import pytest
import torch

from course_pkg.attention import masked_softmax
from course_pkg.notation import CourseError
from course_pkg.widgets.base import front_end
from course_pkg.widgets.soft_lookup import SoftLookup

NODE = Path(get_path("scripts")) / "node"
WORDS, ENERGIES, VALUES = ["the", "black", "dog"], [0.0, 1.0, 2.0], [[-1.0, -1.0], [0.0, 1.0], [1.0, 0.0]]


def in_node(expression: str, given: Any) -> Any:
    """What the widget's own JavaScript makes of ``given``; the module is the text that is shipped."""
    module = front_end("soft_lookup").replace("export default { render };", "return { lookup, hull, preset };")
    program = f"const {{ lookup, hull, preset }} = (() => {{{module}}})(); const given = {json.dumps(given)};"
    program += f"console.log(JSON.stringify({expression}));"
    done = subprocess.run([NODE, "-"], input=program, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def random_lookups(count: int = 40) -> list[dict[str, Any]]:
    """Lookups of 2 to 8 words, at temperatures over the whole slider and energies to its ends."""
    generator = torch.Generator().manual_seed(4)
    made = []
    for number in range(count):
        words = 2 + number % 7
        energies = torch.rand(words, generator=generator, dtype=torch.float64) * 12 - 6
        points = torch.randn(words, 2, generator=generator, dtype=torch.float64)
        temperature = 10 ** (-1.3 + 2.6 * number / (count - 1))
        made.append({"energies": energies.tolist(), "temperature": temperature, "points": points.tolist()})
    return made


def by_the_package(given: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Weights, context and autograd's ∂c/∂e, a row for each energy."""
    energies, points = (torch.tensor(given[name], dtype=torch.float64) for name in ("energies", "points"))

    def weights(e: torch.Tensor) -> torch.Tensor:
        return masked_softmax(e / given["temperature"], torch.ones(len(e), dtype=torch.bool))

    pulls = torch.autograd.functional.jacobian(lambda e: weights(e) @ points, energies).T
    return weights(energies), weights(energies) @ points, pulls


@pytest.mark.skipif(not NODE.exists(), reason="node comes with the development tools")
def test_the_browsers_numbers_are_the_packages() -> None:
    given = random_lookups()
    found = in_node("given.map((one) => lookup(one.energies, one.temperature, one.points))", given)
    for one, got in zip(given, found, strict=True):
        for name, truth in zip(("weights", "context", "pulls"), by_the_package(one), strict=True):
            number = torch.tensor(got[name], dtype=torch.float64)
            torch.testing.assert_close(number, truth, rtol=0, atol=1e-6, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.skipif(not NODE.exists(), reason="node comes with the development tools")
def test_presets_do_what_they_are_named_for() -> None:
    one_hot, uniform, peaks = in_node("['one-hot', 'uniform', 'peaks'].map((n) => preset(n, given))", [0, 1, 2, 1.5])
    assert torch.tensor(one_hot).double().softmax(0)[2] > 0.999
    assert len(set(uniform)) == 1
    shares = torch.tensor(peaks).double().softmax(0)
    assert shares[2] == shares[3] > 0.499


@pytest.mark.skipif(not NODE.exists(), reason="node comes with the development tools")
def test_the_hull_has_the_outer_values_only() -> None:
    square = [[0, 0], [1, 1], [0, 1], [0.5, 0.5], [1, 0]]
    corners = in_node("hull(given)", square)
    assert len(corners) == 4 and [0.5, 0.5] not in corners
    for a, b in zip(corners, corners[1:] + corners[:1], strict=True):  # in order round it: no diagonal
        assert abs(a[0] - b[0]) + abs(a[1] - b[1]) == 1


def test_pythons_numbers_are_the_packages() -> None:
    for given in random_lookups():
        names = [f"w{j}" for j in range(len(given["energies"]))]
        widget = SoftLookup(names, given["energies"], given["points"], temperature=given["temperature"])
        stored = {"energies": widget.energies, "points": widget.points, "temperature": widget.temperature}
        for found, truth in zip((widget.weights, widget.context, widget.pulls), by_the_package(stored), strict=True):
            torch.testing.assert_close(torch.tensor(found, dtype=torch.float64), truth, rtol=0, atol=1e-6)


def test_it_names_its_numbers() -> None:
    widget = SoftLookup(WORDS, ENERGIES, VALUES)
    assert repr(widget) == "SoftLookup(τ = 1.00; α: the 0.09, black 0.24, dog 0.67; c = (0.58, 0.15))"
    widget.energies = [0.0, 0.0, 0.0]  # the reader's hand
    assert "the 0.33, black 0.33, dog 0.33; c = (0.00, 0.00)" in repr(widget)


def test_without_scripts_a_table_says_the_same() -> None:
    shown = SoftLookup(["<b>the</b>", "black", "dog"], ENERGIES, VALUES).fallback()
    assert "<b>" not in shown and "&lt;b&gt;the" in shown
    for number in (
        "<td>0.09</td>",
        "<td>0.24</td>",
        "<td>0.67</td>",
        "(0.67, 0.00)",
        "(0.28, −0.10)",
        "c = (0.58, 0.15)",
    ):
        assert number in shown
    assert "-" not in shown.replace("−", "")  # minus signs, no hyphens; and no negative zero
    assert "−0.00" not in shown


def test_its_state_is_plain_json() -> None:
    state = SoftLookup(WORDS, ENERGIES, VALUES).get_state()
    kept = {key: state[key] for key in ("names", "energies", "points", "temperature", "axes")}
    assert json.loads(json.dumps(kept)) == kept


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"names": ["a"], "energies": [0], "values": [[0, 0]]}, "2 to 8"),
        ({"energies": [0, 1]}, "do not fit"),
        ({"energies": [0, 1, math.nan]}, "beyond the sliders"),
        ({"energies": [0, 1, 7]}, "beyond the sliders"),
        ({"values": [[0, 0], [1, 1], [1, 2, 3]]}, "two finite numbers"),
        ({"values": [[0, 0], [1, 1], [1, math.inf]]}, "two finite numbers"),
        ({"temperature": 0}, "between 0.05 and 20"),
        ({"temperature": math.nan}, "between 0.05 and 20"),
        ({"axes": ("x",)}, "two axes"),
    ],
)
def test_what_cannot_be_shown_is_refused(change: dict[str, Any], told: str) -> None:
    with pytest.raises(CourseError, match=told):
        SoftLookup(**({"names": WORDS, "energies": ENERGIES, "values": VALUES} | change))


def test_its_front_end_stands_beside_it() -> None:
    folder = resources.files("course_pkg.widgets")
    script = (folder / "soft_lookup.js").read_text(encoding="utf-8")
    assert script.endswith("export default { render };\n") and script.count("export ") == 1
    assert "innerHTML" not in script and (folder / "soft_lookup.css").is_file()
