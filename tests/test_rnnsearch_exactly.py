"""The page "RNNsearch, exactly": its table of parameters, its three orders and its numbers against the package."""

import math
import re
import sys
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest
import torch
from docutils import nodes
from torch import nn

from course_pkg import recipes
from course_pkg.batching import Batch
from course_pkg.decoders import STEP_ORDERS
from course_pkg.models import EncoderDecoder, rnnsearch
from course_pkg.vocabulary import EOS

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools/ext"))
import parameter_table  # noqa: E402

PAGE = (ROOT / "book/rnnsearch_exactly.md").read_text(encoding="utf-8")
WEIGHTS = 80_401_000

# --- the table --------------------------------------------------------------------------------------------------

# Every matrix of Bahdanau et al. 2015, §A.2.1 and §A.2.2, in the sizes of §A.2.3 and §4.1.
m, n, n_a, l, K = 620, 1000, 1000, 500, 30_000
UNIT = {"W": (n, m), "U": (n, n)}
EXPECTED = {
    r"\overline E": (m, K), "E": (m, K), "W_s": (n, n),
    **{rf"{arrow} {name}{gate}": shape for arrow in (r"\overrightarrow", r"\overleftarrow")
       for name, shape in UNIT.items() for gate in ("", "_z", "_r")},
    **{f"{name}{gate}": shape for name, shape in {**UNIT, "C": (n, 2 * n)}.items() for gate in ("", "_z", "_r")},
    "W_a": (n_a, n), "U_a": (n_a, 2 * n), "v_a": (n_a,),
    "U_o": (2 * l, n), "V_o": (2 * l, m), "C_o": (2 * l, 2 * n), "W_o": (K, l),
}  # fmt: skip


def test_the_table_has_every_matrix_of_the_paper_in_its_size() -> None:
    found = {matrix.name: matrix for matrix in parameter_table.matrices()}
    assert len(found) == len(parameter_table.matrices()) == 31
    turned = {r"\overline E", "E"}  # one row a word
    assert {name: one.shape[::-1] if name in turned else one.shape for name, one in found.items()} == EXPECTED
    assert sum(one.count for one in found.values()) == sum(map(math.prod, EXPECTED.values())) == WEIGHTS
    sizes = {"m": m, "n": n, "2n": 2 * n, "n'": n_a, "2l": 2 * l, "l": l, "K_x": K, "K_y": K}
    for name, one in found.items():
        assert tuple(sizes[letter] for letter in one.letters.split(r" \times ")) == EXPECTED[name], name


def test_the_places_that_the_table_names_hold_the_whole_model_and_nothing_twice() -> None:
    tensors = dict(parameter_table.full_size(bias=False).named_parameters())
    covered = {name: torch.zeros(len(tensor), dtype=torch.int) for name, tensor in tensors.items()}
    for one in parameter_table.matrices():
        name, start, end = re.fullmatch(r"([\w.]+)(?:\[(\d*):(\d*)\])?", one.stored).groups()
        rows = slice(int(start) if start else None, int(end) if end else None)
        assert tuple(tensors[name][rows].shape) == one.shape
        covered[name][rows] += 1
    assert all((rows == 1).all() for rows in covered.values())


def test_the_gates_stand_where_the_table_says() -> None:
    """With one gate's rows far below zero that gate is shut: a shut update gate keeps, a shut reset gate forgets."""
    model = rnnsearch(source_vocabulary=9, target_vocabulary=9, embedding_size=4, state_size=3, alignment_size=2)
    for parameter in model.parameters():
        nn.init.normal_(parameter)
    unit = model.decoder.unit
    assert parameter_table.three("W") == ["W_r", "W_z", "W"]
    state, gates = torch.randn(2, 3), torch.randn(2, 9)
    r, z = torch.tensor([-1e4] * 3 + [0] * 6), torch.tensor([0] * 3 + [-1e4] * 3 + [0] * 3)
    torch.testing.assert_close(unit.update(gates + z, state), state)
    with torch.no_grad():
        forgets = unit.update(gates + r, state)
        unit.weight_hh[6:].zero_()  # U: nothing of the old state in the candidate
        torch.testing.assert_close(unit.update(gates, state), forgets)


def test_biases_are_where_groundhog_has_them() -> None:
    found = {one.stored: one.count for one in parameter_table.biases()}
    assert found == {
        "encoder.forward_unit.bias_ih": n, "encoder.backward_unit.bias_ih": n, "decoder.unit.bias_ih": n,
        "decoder.W_s.bias": n, "decoder.output.U_o.bias": 2 * l, "decoder.output.W_o.bias": K,
    }  # fmt: skip


def test_a_parameter_that_the_table_does_not_know_ends_the_build(monkeypatch: pytest.MonkeyPatch) -> None:
    fewer = {name: dict(tensors) for name, tensors in parameter_table.LETTERS.items()}
    del fewer["Decoder"]["decoder.W_s.weight"]
    monkeypatch.setattr(parameter_table, "LETTERS", fewer)
    with pytest.raises(RuntimeError, match=r"differ in \['decoder\.W_s\.weight'\]"):
        parameter_table.matrices()
    monkeypatch.setattr(parameter_table, "BIASES", {**parameter_table.BIASES, "decoder.C.bias": ("c_i", "n")})
    with pytest.raises(RuntimeError, match=r"differ in \['decoder\.C\.bias'\]"):
        parameter_table.biases()


def drawn_rows(table: nodes.table) -> list[list[str]]:
    """The cells of a table's rows as text, its head left out."""
    rows = [[cell.astext() for cell in row.children] for row in table.findall(nodes.row)]
    widths = [sum(1 + cell.get("morecols", 0) for cell in row.children) for row in table.findall(nodes.row)]
    assert set(widths) == {len(parameter_table.HEADS)}
    return rows[1:]


def as_number(text: str) -> int:
    return int(text.replace("\u202f", ""))


def test_the_table_adds_up_as_it_is_drawn() -> None:
    running, total, sums = 0, 0, []
    for row in drawn_rows(parameter_table.table_node(parameter_table.matrices(), "in the paper", "All weights")):
        if len(row) == len(parameter_table.HEADS):
            assert as_number(row[3]) == math.prod(map(as_number, row[2].split(" × "))), row
            running += as_number(row[3])
        else:
            sums.append(row[0])
            assert as_number(row[1]) == (total if row[0] == "All weights" else running), row
            total, running = total + running, 0
    assert sums == [*(f"{section}: sum" for section in parameter_table.LETTERS), "All weights"]
    assert total == WEIGHTS


def test_biases_have_one_sum_and_a_letter_each() -> None:
    rows = drawn_rows(parameter_table.table_node(parameter_table.biases(), "added to", "All biases"))
    assert [row[1] for row in rows if len(row) < len(parameter_table.HEADS)] == ["35\u202f000"]
    sizes = {r"\mathbb R^{n}": n, r"\mathbb R^{2l}": 2 * l, r"\mathbb R^{K_y}": K}
    assert all(as_number(row[3]) == sizes[row[0].split(r" \in ")[1]] for row in rows[:-1])


# --- the three orders -------------------------------------------------------------------------------------------

SIZES = {"source_vocabulary": 11, "target_vocabulary": 13, "embedding_size": 4, "state_size": 5, "maxout_size": 3}
BATCH = Batch.collate([((4, 7, 10, 5, EOS), (6, 12, 4, 9, 5, EOS))])
STEPS = BATCH.inputs.shape[1]


def searcher(order: str) -> EncoderDecoder:
    """A small model in which everything matters, and whose output is told by the state alone."""
    model = rnnsearch(**SIZES, alignment_size=6, order=order)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.7)
    for matrix in (model.decoder.output.V_o, model.decoder.output.C_o):
        nn.init.zeros_(matrix.weight)
    return model.double()


def words_behind(model: EncoderDecoder, what: str) -> int:
    """How many words before ``y_i`` the last word lies that step ``i`` knows, by changing one word at a time."""
    encoded = model.encode(BATCH.source, BATCH.source_mask)
    rows = getattr(model.decoder(BATCH.inputs, encoded), what)[0]
    behind = set()
    for place in range(1, STEPS):  # the input at ``place`` is the word before that of row ``place``
        inputs = BATCH.inputs.clone()
        inputs[0, place] = 8
        moved = (getattr(model.decoder(inputs, encoded), what)[0] - rows).abs().amax(dim=-1) > 1e-9
        if moved.any():
            behind.add(int(moved.nonzero()[0]) - place + 1)
    assert len(behind) == 1
    return behind.pop()


def looks_behind(model: EncoderDecoder) -> int:
    """0 if the state that the output sees has seen this step's context, 1 if only the last step's."""
    encoded = model.encode(BATCH.source, BATCH.source_mask)
    other = type(encoded)(torch.randn_like(encoded.annotations), encoded.mask, encoded.summary)
    first, second = (model.decoder(BATCH.inputs, one).logits[0] for one in (encoded, other))
    return int((first - second).abs().amax(dim=-1).gt(1e-9).nonzero()[0])


def row_of(start: str) -> list[str]:
    """The three cells of a row of the page's table of orders."""
    (line,) = [line for line in PAGE.splitlines() if line.startswith(f"| {start} |")]
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_what_each_order_knows_is_what_the_page_says() -> None:
    assert row_of("`order`") == [f'`"{order}"`' for order in STEP_ORDERS]
    models = [searcher(order) for order in STEP_ORDERS]
    word = ["$y_i$", "$y_{i-1}$", "$y_{i-2}$"]
    assert row_of("last word that the query knows") == [word[words_behind(one, "weights")] for one in models]
    state = row_of("last word in the state that the output sees")
    assert state == [word[words_behind(one, "logits")] for one in models]
    assert row_of("last look in that state") == [["$c_i$", "$c_{i-1}$"][looks_behind(one)] for one in models]


def test_main_text_and_appendix_look_alike_and_groundhog_does_not() -> None:
    main, *others = (searcher(order) for order in STEP_ORDERS)
    for one in others:
        one.load_state_dict(main.state_dict())
    weights = [one(BATCH).weights for one in (main, *others)]
    assert torch.equal(weights[0], weights[1]) and (weights[0] - weights[2]).abs().max() > 1e-3


# --- what the page says -----------------------------------------------------------------------------------------


def test_the_settings_that_the_page_names_are_the_recipes() -> None:
    text = files(recipes).joinpath(f"{parameter_table.RECIPE}.toml").read_text(encoding="utf-8")
    recipe = tomllib.loads(text)
    named = re.findall(r"`(\w+)\.(\w+) = ([^`]+)`", PAGE)
    assert len(named) >= 20
    for part, setting, value in named:
        assert recipe[part][setting] == tomllib.loads(f"value = {value}")["value"], f"{part}.{setting}"
    assert recipe["model"]["order"] == "main-text"


def test_the_code_that_the_page_shows_prints_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    (source,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    with torch.device("meta"):
        exec(source, {})
    (said,) = re.findall(r"# (\d+)$", source, re.M)
    assert capsys.readouterr().out.strip() == said == str(WEIGHTS)


def test_the_sums_that_the_page_says_are_right() -> None:
    def says(value: int) -> bool:
        return parameter_table.number(value) in PAGE

    counts = {one.name: one.count for one in parameter_table.matrices()}
    extra = sum(one.count for one in parameter_table.biases())
    alignment = counts["W_a"] + counts["U_a"] + counts["v_a"]
    groundhog = WEIGHTS - counts["W_o"] + 500 * 620 + 620 * 30_001 + 2 * 620
    assert all(map(says, (WEIGHTS, WEIGHTS + extra, alignment, groundhog)))
    embeddings = counts["E"] + counts[r"\overline E"]
    assert 0.45 < embeddings / WEIGHTS < 0.5 and 0.18 < counts["W_o"] / WEIGHTS < 0.2
    assert f"{(embeddings + counts['W_o']) / 1e6:.1f} of {WEIGHTS / 1e6:.1f} million" in PAGE
    assert alignment / WEIGHTS < 0.04
    assert f"= {math.log(K):.2f}$ nats" in PAGE
