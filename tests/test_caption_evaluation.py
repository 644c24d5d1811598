"""Captioners measured: captions made without the references, and a gaze that is told where to look."""

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_models import SEES_IMAGES, Scripted, captioner, noise, words_of

from course_pkg import caption_evaluation, caption_metrics, evaluation, features, pointing
from course_pkg.captioned import Captioned
from course_pkg.captioner import Captioner
from course_pkg.evaluation import evaluate_captions, point
from course_pkg.located import Located, Thing
from course_pkg.notation import CourseError
from course_pkg.pictures import View
from course_pkg.vocabulary import Vocabulary

VOCABULARY = words_of("a dog throws the red ball to men", "bike")
LEFT, RIGHT = (0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0)
UPPER_LEFT, LOWER_RIGHT = 0, 15  # of 4 × 4 regions


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caption_metrics, "java", lambda: None)


@pytest.fixture
def images(tmp_path: Path) -> tuple[Path, ...]:
    for seed in range(3):
        noise(seed, 48, 32).save(tmp_path / f"{seed}.png")
    return tuple(tmp_path / f"{seed}.png" for seed in range(3))


@pytest.fixture(scope="module")
def tiny() -> Captioner:
    return Captioner(captioner(SEES_IMAGES, VOCABULARY))


def looking(regions: list[int], says: str = "a dog throws the ball", words: Vocabulary = VOCABULARY) -> Captioner:
    """Looks at the given region at each step, and says what it is told."""
    stored = captioner(SEES_IMAGES, words)
    looks = np.eye(16)[regions].tolist()
    preferences = [[token] for token in words.encode(says).ids]
    stored.model.decoder = Scripted(len(words), preferences, looks)
    return Captioner(stored)


def located(images: tuple[Path, ...], things: Any, captions: Any) -> Located:
    count = len(things)
    return Located(images[:count], tuple(things), tuple(captions), "made up")


# Captions


def test_the_record_says_what_was_measured(tiny: Captioner, images: tuple[Path, ...]) -> None:
    references = Captioned(images, (("a dog", "the dog"), ("the ball",), ("a red ball",)), "three")
    record = evaluate_captions(tiny, references, beam=2)
    made = [one.caption for one in tiny.caption(images, 2)]
    expected = caption_metrics.caption_scores(made, references.captions)
    assert record == {
        "model": "tiny",
        "data": "three",
        "n": 3,
        "decoding": {"beam_size": 2, "length_penalty": 1.0},
        **expected,
    }
    assert json.loads(json.dumps(record, allow_nan=False)) == record


def test_captions_do_not_know_the_references(
    tiny: Captioner, images: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    handed = []
    monkeypatch.setattr(caption_evaluation, "caption_scores", lambda *given: handed.append(given) or {})
    several = [(("a dog",), ("b",), ("c",)), (("c",), ("a dog",), ("the red ball",))]
    for captions in several:
        evaluate_captions(tiny, Captioned(images, captions, "x"))
    assert handed[0][0] == handed[1][0] == [one.caption for one in tiny.caption(images)]
    assert [references for _, references in handed] == several, "each beside its own picture"


def test_photographs_go_through_kept_features(images: tuple[Path, ...], tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite_pytorch")
    from test_captioner import PHOTOGRAPHS
    from test_captioner import captioner as reads_features

    model = reads_features(PHOTOGRAPHS)
    evaluate_captions(model, Captioned(images, (("a dog",),) * 3, "x"), folder=tmp_path / "kept", beam=1)
    store = features.cached(images, PHOTOGRAPHS["features"], folder=tmp_path / "kept")
    assert len(store) == 3
    dogs = [Thing("dog", LEFT), Thing("dog", RIGHT), Thing("dog", (0.0, 0.0, 0.15, 1.0))]  # the last is cropped away
    captions = (("a red dog", "dog"),) * 3
    record = point(model, located(images, [(dog,) for dog in dogs], captions), folder=tmp_path / "kept")
    assert record["n"] == 4 and record["left_out"] == {"unknown": 0, "unmarked": 0, "unseen": 2}
    masks = np.stack([dog.mask(View.of((48, 32))) for dog in dogs[:2]])
    looks = [model.look(image, text).maps()[-2] for image in images[:2] for text in captions[0]]
    expected = pointing.attention_mass(np.stack(looks), masks.repeat(2, axis=0)).mean()
    assert record["mass"]["score"] == pytest.approx(expected, abs=2e-3)  # features are kept in half precision
    lengths = store.rows([0, 1]).norm(dim=-1).numpy().reshape(2, 14, 14)
    expected = pointing.attention_mass(lengths, masks).mean()
    assert record["baselines"]["features"]["mass"]["score"] == pytest.approx(expected)


# Pointing


def test_a_gaze_that_is_told_where_to_look_is_measured_exactly(images: tuple[Path, ...]) -> None:
    things = [(Thing("dog", LEFT), Thing("sports ball", RIGHT))]
    caption = "a dog throws the ball"  # looks: a, dog, throws, the, ball, EOS
    right = point(
        looking([UPPER_LEFT, UPPER_LEFT, LOWER_RIGHT, UPPER_LEFT, LOWER_RIGHT, UPPER_LEFT]),
        located(images, things, [(caption,)]),
    )
    assert right["n"] == 2 and right["pictures"] == 1
    assert right["pointing"]["score"] == right["mass"]["score"] == pytest.approx(1)
    assert right["baselines"]["uniform"]["mass"]["score"] == pytest.approx(0.5, abs=0.01)
    assert right["baselines"]["centre"]["pointing"]["score"] == pytest.approx(0.5)
    # other words of the caption: for "dog" a, throws, the, ball look left, right, left, right; likewise for "ball"
    another = [np.mean([1, 0, 1, 0]), np.mean([0, 0, 1, 0])]
    assert right["baselines"]["another_word"]["mass"]["score"] == pytest.approx(np.mean(another), abs=0.01)
    assert right["ahead"]["uniform"]["mass"]["score"] == pytest.approx(0.5, abs=0.01)
    wrong = point(looking([LOWER_RIGHT] * 4 + [UPPER_LEFT]), located(images, things, [(caption,)]))
    assert wrong["pointing"]["score"] == wrong["mass"]["score"] == 0
    assert "features" not in right["baselines"], "it sees by its own network"


def test_the_guesses_are_what_their_names_say(images: tuple[Path, ...]) -> None:
    """A thing in a corner: an even gaze has its area there, the middle has nothing."""
    thing = Thing("dog", (0.2, 0.0, 0.35, 0.2))
    model = looking([LOWER_RIGHT])
    mask = thing.mask(model.see(images[0]).view)
    assert 0 < mask.mean() < 1 / 8
    told = point(model, located(images, [(thing,)], [("dog",)]))["baselines"]
    assert told["uniform"]["mass"]["score"] == pytest.approx(mask.mean())
    assert told["centre"]["mass"]["score"] == told["centre"]["pointing"]["score"] == 0


def test_another_word_names_something_else(images: tuple[Path, ...]) -> None:
    """The dog that is named twice looks left, all other words look right."""
    looks = [LOWER_RIGHT, UPPER_LEFT, LOWER_RIGHT, LOWER_RIGHT, UPPER_LEFT, LOWER_RIGHT]
    things = [(Thing("dog", LEFT),)]
    record = point(looking(looks), located(images, things, [("a dog throws the dog",)]))
    assert record["n"] == 2 and record["mass"]["score"] == pytest.approx(1)
    assert record["baselines"]["another_word"]["mass"]["score"] == 0


@pytest.mark.parametrize(("shift", "name"), [(-1, "before"), (0, "same"), (1, "after")])
def test_a_gaze_that_runs_ahead_or_behind_is_found(images: tuple[Path, ...], shift: int, name: str) -> None:
    steps = [LOWER_RIGHT] * 6
    for place in (1, 4):  # the words dog and ball
        steps[place + shift] = UPPER_LEFT
    things = [(Thing("dog", LEFT), Thing("sports ball", LEFT))]
    record = point(looking(steps), located(images, things, [("a dog throws the ball",)]))
    assert {key: value["pointing"]["score"] for key, value in record["shift"].items()} == {
        "before": float(name == "before"),
        "same": float(name == "same"),
        "after": float(name == "after"),
    }
    assert record["shift"]["same"]["n"] == 2 and "same_ahead" not in record["shift"]["same"]
    own = record["shift"]["same"]["pointing"]["score"]
    for other in ("before", "after"):
        row = record["shift"][other]
        assert row["same_ahead"]["pointing"]["score"] == own - row["pointing"]["score"]


def test_each_picture_is_measured_with_its_own_things_and_captions(images: tuple[Path, ...]) -> None:
    """Looks at the left all the time; words under one picture are no independent trials."""
    things = [(Thing("dog", LEFT),), (Thing("sports ball", RIGHT),), (Thing("dog", RIGHT), Thing("person", LEFT))]
    captions = [("a dog", "dog"), ("the ball",), ("men", "dog")]
    record = point(looking([UPPER_LEFT]), located(images, things, captions))
    assert record["n"] == 5 and record["pictures"] == 3 and not any(record["left_out"].values())
    told = {name: (one["n"], one["pictures"], one["pointing"]) for name, one in record["by_category"].items()}
    assert told == {"dog": (3, 2, pytest.approx(2 / 3)), "person": (1, 1, 1), "sports ball": (1, 1, 0)}
    assert all(one["mass_uniform"] == pytest.approx(0.5, abs=0.01) for one in record["by_category"].values())
    values, groups = np.array([1.0, 1.0, 0.0, 1.0, 0.0]), [0, 0, 1, 2, 2]
    interval = pointing.ratio_interval(values, groups, seed=caption_evaluation.SEED)
    assert (record["pointing"]["low"], record["pointing"]["high"]) == pytest.approx(interval)


def test_what_is_left_without_the_most_frequent_category(images: tuple[Path, ...]) -> None:
    """Dogs are hit and frequent; of the two others one is hit. Where all are dogs nothing is left."""
    things = [(Thing("dog", LEFT), Thing("sports ball", RIGHT)), (Thing("person", LEFT),), (Thing("dog", LEFT),)]
    record = point(looking([UPPER_LEFT]), located(images, things, [("a dog", "dog", "ball"), ("men",), ("dog",)]))
    left = record["others"]
    assert (left["without"], left["n"], left["pictures"], left["pointing"]) == ("dog", 2, 2, 0.5)
    everywhere = pointing.ratio_interval(np.array([-0.5, 0.5]), [0, 1], seed=caption_evaluation.SEED)
    ahead = left["ahead"]["uniform"]["mass"]
    assert (ahead["low"], ahead["high"]) == pytest.approx(everywhere, abs=0.02)
    dogs = point(looking([UPPER_LEFT]), located(images[2:], [(Thing("dog", LEFT),)], [("dog",)]))
    assert dogs["others"] is None


def test_a_word_of_two_categories_is_measured_against_both(images: tuple[Path, ...]) -> None:
    things = [(Thing("bicycle", LEFT), Thing("motorcycle", RIGHT), Thing("dog", RIGHT))]
    record = point(looking([UPPER_LEFT, LOWER_RIGHT]), located(images, things, [("bike", "a bike", "a dog")]))
    assert {name: one["n"] for name, one in record["by_category"].items()} == {"bicycle": 2, "motorcycle": 2, "dog": 1}
    assert record["by_category"]["bicycle"]["mass"] == record["by_category"]["motorcycle"]["mass"] == pytest.approx(1)


def test_beam_and_length_penalty_reach_the_captioner(
    images: tuple[Path, ...], tiny: Captioner, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    caption = Captioner.caption

    def watched(self: Captioner, seen: Any, beam: Any = None, penalty: Any = None, **how: Any) -> Any:
        asked.append((beam, penalty))
        return caption(self, seen, beam, penalty, **how)

    monkeypatch.setattr(Captioner, "caption", watched)
    evaluate_captions(tiny, Captioned(images, (("a dog",),) * 3, "x"), beam=2, length_penalty=0.5)
    with contextlib.suppress(CourseError):  # what it says may name nothing
        point(tiny, located(images, [(Thing("dog", LEFT),)], [()]), own=True, beam=4)
    assert asked == [(2, 0.5), (4, None)]


def test_its_own_captions_and_peoples(images: tuple[Path, ...]) -> None:
    model = looking([UPPER_LEFT], says="a dog throws the ball")
    things = [(Thing("dog", LEFT), Thing("person", RIGHT))]
    own = point(model, located(images, things, [()]), own=True)
    assert own["captions"] == "the model's own" and list(own["by_category"]) == ["dog"]
    people = point(model, located(images, things, [("men", "the men", "a dog")]))
    assert {name: told["n"] for name, told in people["by_category"].items()} == {"person": 2, "dog": 1}
    assert people["by_category"]["person"]["mass"] == 0 and people["by_category"]["dog"]["mass"] == pytest.approx(1)


def test_each_category_is_compared_with_the_baselines_on_its_own_words(images: tuple[Path, ...]) -> None:
    model = looking([UPPER_LEFT], says="a dog throws the ball")
    things = [
        (Thing("dog", LEFT), Thing("person", RIGHT)),
        (Thing("dog", RIGHT),),
        (Thing("dog", (0.0, 0.0, 1.0, 1.0)),),
    ]
    found = point(model, located(images, things, [("dog", "men"), ("dog",), ("a dog",)]))["by_category"]
    person, dog = found["person"]["ahead"]["uniform"], found["dog"]["ahead"]["uniform"]
    assert person["mass"] == pytest.approx({"score": -0.5, "low": -0.5, "high": -0.5}, abs=0.01)  # 0, and half the area
    assert dog["pointing"] == pytest.approx({"score": 0, "low": -0.5, "high": 0.5})  # hit, miss, and all of the picture
    assert found["dog"]["ahead"]["centre"]["mass"]["score"] == pytest.approx(0, abs=0.01)
    assert "features" not in found["dog"]["ahead"] and list(found["person"]["ahead"]) == ["uniform", "centre"]


def test_what_cannot_be_measured_is_counted(images: tuple[Path, ...]) -> None:
    beyond = Thing("person", (0.0, 0.0, 0.0001, 0.0001))  # covers no pixel
    record = point(looking([UPPER_LEFT]), located(images, [(Thing("dog", LEFT), beyond)], [("dog men puppy ball",)]))
    assert record["n"] == 1
    assert record["left_out"] == {"unknown": 1, "unmarked": 1, "unseen": 1}, "puppy, ball, men"


def test_all_of_a_category_is_one_region(images: tuple[Path, ...]) -> None:
    things = [(Thing("dog", LEFT), Thing("dog", RIGHT, crowd=True))]
    record = point(looking([LOWER_RIGHT]), located(images, things, [("a dog",)]))
    assert record["mass"]["score"] == record["baselines"]["uniform"]["mass"]["score"] == pytest.approx(1)


def test_words_of_several_pieces_take_their_mean(images: tuple[Path, ...]) -> None:
    from course_pkg.vocabulary import SubwordVocabulary

    pieces = SubwordVocabulary.train(["a b c d e f g h i j k l m n o p q r s t u v w x y z"], size=40)
    count = len(pieces.encode("dog")) - 1
    assert count > 1
    model = looking([UPPER_LEFT] + [LOWER_RIGHT] * count, says="dog", words=pieces)
    record = point(model, located(images, [(Thing("dog", LEFT),)], [("dog",)]))
    assert record["mass"]["score"] == pytest.approx(1 / count)


def test_nothing_to_point_at_is_told(images: tuple[Path, ...], tiny: Captioner) -> None:
    with pytest.raises(CourseError, match="no picture with both"):
        point(tiny, located(images, [(Thing("dog", LEFT),)], [()]))
    with pytest.raises(CourseError, match="no picture with marked things"):
        point(tiny, located(images, [()], [("a dog",)]), own=True)
    with pytest.raises(CourseError, match="no word of a caption names"):
        point(tiny, located(images, [(Thing("dog", LEFT),)], [("the red men",)]))


def test_the_record_is_json_and_does_not_change(images: tuple[Path, ...], tiny: Captioner) -> None:
    things = [(Thing("dog", LEFT),), (Thing("sports ball", RIGHT),), (Thing("dog", RIGHT),)]
    marked = located(images, things, [("a dog", "dog"), ("the red ball",), ("the dog throws a ball",)])
    record = point(tiny, marked)
    assert json.loads(json.dumps(record, allow_nan=False)) == record == point(tiny, marked)
    for measure in ("pointing", "mass"):
        assert record[measure]["low"] <= record[measure]["score"] <= record[measure]["high"]
    assert evaluation.point is point
