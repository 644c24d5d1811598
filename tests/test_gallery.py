"""The clinic: each sick model differs from the healthy one in exactly its way, and a test of the package says so."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from course_pkg import gallery, results
from course_pkg.batching import Batch
from course_pkg.gallery import CHECKS, PATIENTS, SIZES, WORDS, patient
from course_pkg.losses import sequence_cross_entropy
from course_pkg.models import rnnsearch
from course_pkg.notation import CourseError

ROOT = Path(__file__).resolve().parent.parent
BATCH = Batch.collate([gallery.SHORT, gallery.LONG])
SICK = [one for one in PATIENTS if not one.healthy]
each_patient = pytest.mark.parametrize("who", PATIENTS, ids=lambda who: who.name)

ALSO = {  # what a patient fails besides its own check
    "no mask": {"company changes nothing"},
    "wrong axis": {"company changes nothing", "a word is read after the look"},
    "no tanh": {"a word is read after the look", "every parameter moves"},  # W_a's part cancels in the softmax
    "one row late": {"a word is read after the look", "company changes nothing"},
    "frozen v_a": {"the state is heard", "a word is read after the look"},
}


def weights(name, batch=BATCH):
    return gallery._weights(gallery.lively(patient(name)), batch)


def healthy(batch=BATCH):
    return weights("healthy", batch)


def failed(who):
    found = set()
    for name, check in CHECKS.items():
        try:
            check(who)
        except AssertionError as error:
            assert str(error), "a check says what it found"
            found.add(name)
    return found


def test_ten_patients_eight_of_them_sick():
    assert len(PATIENTS) == 10 and len(SICK) == 8
    assert len({one.name for one in PATIENTS}) == 10
    assert {one.check for one in SICK} == set(CHECKS), "each check finds one illness out"


@each_patient
def test_each_fails_its_own_check_and_the_healthy_fail_none(who):
    assert failed(who) == ({who.check} - {""}) | ALSO.get(who.name, set())


@each_patient
def test_the_test_that_is_named_exists(who):
    file, _, name = who.test.partition("::")
    assert re.search(rf"(?m)^def {name}\(", (ROOT / file).read_text(encoding="utf-8"))


@each_patient
def test_it_starts_from_the_same_numbers_as_a_healthy_model(who):
    sizes = {"source_vocabulary": WORDS, "target_vocabulary": WORDS, **SIZES}
    torch.manual_seed(who.seed)
    well = rnnsearch(**sizes).state_dict()
    mine = who.build(**sizes).state_dict()
    assert mine.keys() == well.keys()
    different = {name for name in well if not torch.equal(mine[name], well[name])}
    assert different == ({"decoder.attention.score.v_a"} if who.name == "frozen v_a" else set())


def test_no_mask_shares_out_a_row_with_the_padding():
    found = weights("no mask")
    assert (found[0][:, ~BATCH.source_mask[0]] > 0).all()
    torch.testing.assert_close(found.sum(-1), torch.ones_like(found[..., 0]))
    real = found.masked_fill(~BATCH.source_mask.unsqueeze(1), 0)[:, 0]  # before any context came back
    torch.testing.assert_close(real / real.sum(-1, keepdim=True), healthy()[:, 0])


def test_wrong_axis_lets_the_sentences_share_each_position():
    found = weights("wrong axis")
    torch.testing.assert_close(found.sum(0), torch.ones_like(found[0]))
    alone = weights("wrong axis", Batch.collate([gallery.LONG]))
    assert (alone == 1).all()


def test_without_the_bend_every_row_is_the_same_and_not_even():
    found = weights("no tanh", Batch.collate([gallery.LONG]))[0]
    torch.testing.assert_close(found, found[:1].expand_as(found))
    assert found[0].max() > 2 * found[0].min()


def test_a_frozen_v_looks_everywhere_alike():
    found = weights("frozen v_a")
    even = BATCH.source_mask / BATCH.source_mask.sum(1, keepdim=True)
    torch.testing.assert_close(found, even.double().unsqueeze(1).expand_as(found))


def test_one_row_late_is_right_but_for_the_row():
    torch.testing.assert_close(weights("one row late").roll(-1, dims=1), healthy())


def test_the_new_state_has_already_read_the_word():
    changed = BATCH.inputs.clone()
    changed[:, 1] = 16
    for name, first in (("healthy", 2), ("the new state asks", 1)):
        moved = (weights(name) - weights(name, replace(BATCH, inputs=changed))).abs().amax((0, 2)) > 1e-9
        assert not moved[:first].any() and moved[first], name


def test_padding_read_first_changes_only_the_sentence_that_has_padding():
    found, well = weights("padding read first"), healthy()
    torch.testing.assert_close(found[1], well[1])
    assert (found[0] - well[0]).abs().max() > 0.01
    assert (found[0][:, ~BATCH.source_mask[0]] == 0).all()


def test_the_mirrored_figure_is_the_transpose_where_the_frame_allows():
    square = torch.rand(4, 4)
    assert torch.equal(gallery.mirrored(square), square.T)
    assert torch.equal(gallery.mirrored(torch.tensor([[1.0, 2, 3], [4, 5, 6]])), torch.tensor([[1.0, 4, 0], [2, 5, 0]]))


def test_the_two_healthy_models_are_the_packages_own():
    for name in ("healthy", "healthy, reads backwards"):
        model = patient(name).build(source_vocabulary=WORDS, target_vocabulary=WORDS, **SIZES)
        assert type(model.decoder) is type(rnnsearch(source_vocabulary=5, target_vocabulary=5, **SIZES).decoder)
        torch.testing.assert_close(weights(name), healthy())


def test_the_first_update_from_the_papers_start_moves_neither_W_a_nor_U_a():
    """P3: so a test that looks at gradients once would call a healthy model sick."""
    model = patient("healthy").build(source_vocabulary=WORDS, target_vocabulary=WORDS, **SIZES)
    torch.nn.init.zeros_(model.decoder.attention.score.v_a)
    sequence_cross_entropy(model(BATCH).logits, BATCH.targets, BATCH.target_mask).backward()
    score = model.decoder.attention.score
    assert (score.W_a.weight.grad == 0).all() and (score.U_a.weight.grad == 0).all() and (score.v_a.grad != 0).any()


def test_what_does_not_move_is_named():
    for name, still in (("frozen v_a", "v_a, W_a, U_a"), ("no tanh", "W_a")):
        with pytest.raises(AssertionError, match=f"not moved: {still}$"):
            CHECKS["every parameter moves"](patient(name))


def test_no_two_sides_of_the_sentences_are_alike():
    """Equal lengths hide faults: beside a pair that is longer in the source alone, one row late would look sound."""
    assert len({len(side) for pair in (gallery.SHORT, gallery.LONG) for side in pair}) == 4
    assert all(len(long) > len(short) for long, short in zip(gallery.LONG, gallery.SHORT, strict=True))


def test_an_unknown_patient_is_one_clear_line():
    with pytest.raises(CourseError, match=r"no patient 'flu'.*no mask"):
        patient("flu")


# -- what was measured ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stored():
    return results.read("gallery")


def test_every_patient_was_measured(stored):
    names = [one.name for one in PATIENTS]
    assert [row["patient"] for row in stored["rows"]] == names == list(stored["looks"])
    for looks in stored["looks"].values():
        for sentence, together, alone in zip(stored["sentences"], looks["together"], looks["alone"], strict=True):
            rows, columns = len(sentence["target"]), len(sentence["source"])
            assert torch.tensor(together).shape == (rows, len(stored["sentences"][0]["source"]))
            assert torch.tensor(alone).shape == (rows, columns)


def test_the_trained_models_show_the_signs(stored):
    looks = {name: [torch.tensor(one) for one in found["together"]] for name, found in stored["looks"].items()}
    alone = {name: [torch.tensor(one) for one in found["alone"]] for name, found in stored["looks"].items()}
    moved = {name: torch.tensor(found["moved"]) for name, found in stored["looks"].items()}
    widths = [len(sentence["source"]) for sentence in stored["sentences"]]
    fed = stored["fed"]["step"]

    def company(name):
        pairs = zip(looks[name], alone[name], widths, strict=True)
        return max(float((a[:, :size] - b).abs().max()) for a, b, size in pairs)

    for name in ("healthy", "healthy, reads backwards", "the new state asks"):
        assert company(name) < 0.002
        assert all((one[:, n:] == 0).all() for one, n in zip(looks[name], widths, strict=True))
        assert all((one.sum(-1) - 1).abs().max() < 0.01 for one in looks[name])
    assert max(float(one[:, n:].sum(1).max()) for one, n in zip(looks["no mask"][1:], widths[1:], strict=True)) > 0.3
    assert (looks["wrong axis"][1].sum(-1) - 1).abs().max() > 0.2 and (alone["wrong axis"][1] == 1).all()
    assert all((one - one[0]).abs().max() < 0.002 for one in looks["no tanh"])
    assert looks["no tanh"][0][0].max() > 2 / widths[0], "not even"
    assert all((one[:, :n] - 1 / n).abs().max() < 0.001 for one, n in zip(looks["frozen v_a"], widths, strict=True))
    assert company("padding read first") > 0.02
    transposed = alone["transposed picture"][2]
    assert (transposed.sum(0) - 1).abs().max() < 0.01 < (transposed.sum(1) - 1).abs().max()
    assert moved["healthy"][fed] == 0 < moved["healthy"][fed + 1]
    assert moved["the new state asks"][fed - 1] == 0 < moved["the new state asks"][fed]
