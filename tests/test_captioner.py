"""The captioner in use: what it reads, writes and refuses, against its own parts run one by one."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_models import noise

from course_pkg import checkpoints, features, pictures
from course_pkg.captioner import Caption, Captioner
from course_pkg.checkpoints import Stored, build, save
from course_pkg.inference import Translator, load
from course_pkg.notation import CourseError
from course_pkg.search import beam_search
from course_pkg.vocabulary import BOS, EOS, PAD, UNK, WordVocabulary

WORDS = "a red dog throws the blue ball in the park"
SMALL = {
    "architecture": "show_attend_tell",
    "network": "small",
    "image_size": 32,
    "grid": 4,
    "feature_size": 16,
    "embedding_size": 8,
    "state_size": 12,
    "alignment_size": 8,
}
PHOTOGRAPHS = {
    "architecture": "show_attend_tell",
    "features": "efficientnet-lite0-14",
    "annotation_size": 16,
    "embedding_size": 8,
    "state_size": 12,
    "alignment_size": 8,
}


def captioner(settings: dict[str, object], seed: int = 3) -> Captioner:
    torch.manual_seed(seed)
    words = WordVocabulary.train([WORDS], size=40)
    model = build(settings, target_vocabulary=len(words)).eval()
    for parameter in model.parameters():  # large weights, so that captions differ
        parameter.data.mul_(3)
    return Captioner(Stored(model, None, words, {"name": "made up", "model": settings}))


@pytest.fixture(scope="module")
def small() -> Captioner:
    return captioner(SMALL)


@pytest.mark.parametrize("talkative", [False, True])
def test_a_caption_is_what_beam_search_finds(talkative: bool) -> None:
    small = captioner(SMALL)
    if talkative:
        with torch.no_grad():
            small.model.decoder.output.L_o.bias[EOS] -= 8
    images = [noise(seed) for seed in range(3)]
    pixels = torch.from_numpy(np.stack([np.asarray(i) for i in images]).transpose(0, 3, 1, 2).copy())
    with torch.inference_mode():
        found = beam_search(
            small.model.decoder,
            small.model.encode(pixels),
            bos=BOS,
            eos=EOS,
            beam_size=4,
            max_steps=40,
            length_penalty=0.5,
            forbid=(PAD, BOS, UNK),
        )
    alike = []
    for row, caption in enumerate(small.caption(images, beam=4, length_penalty=0.5)):
        length = int(found.lengths[row, 0])
        assert caption.caption == small.target.decode(found.tokens[row, 0, :length].tolist())
        np.testing.assert_allclose(caption.weights, found.weights[row, 0, :length].numpy(), rtol=1e-4, atol=1e-6)
        assert caption.weights.shape == (length, 16) and caption.maps().shape == (length, 4, 4)
        assert caption.maps()[1, 2, 3] == caption.weights[1, 4 * 2 + 3]  # row by row
        alike.append(np.allclose(caption.weights, found.weights[row, 1, :length].numpy(), rtol=1e-3))
        np.testing.assert_allclose(caption.weights.sum(axis=1), 1, rtol=1e-5)
        assert caption.gate is not None and found.gate is not None
        np.testing.assert_allclose(caption.gate, found.gate[row, 0, :length].numpy(), rtol=1e-4)
        assert np.ptp(caption.gate) > 1e-3  # a gate of another step would show
        pairs = [(t, word) for t, word in zip(caption.tokens, caption.words, strict=True) if word is not None]
        assert [word for _, word in pairs] == list(range(len(pairs)))
        assert [token for token, _ in pairs] == caption.caption.split()
    assert all(alike) != talkative, "the weights of another hypothesis would go unnoticed"


def test_a_picture_is_described_alike_in_any_company(small: Captioner) -> None:
    images = [noise(seed, 40 + seed, 33) for seed in range(11)]  # more than are read together
    together = small.caption(images)
    for image, one in zip(images, together, strict=True):
        alone = small.caption([image])[0]
        assert alone.caption == one.caption
        np.testing.assert_allclose(alone.weights, one.weights, rtol=1e-4, atol=1e-6)


def test_looking_at_a_given_caption_agrees_with_writing_it() -> None:
    small = captioner(SMALL)
    small.model.decoder.output.L_o.bias.data[EOS] += 3  # so that some captions end
    images = [noise(seed) for seed in range(40)]
    written = small.caption(images, beam=1, length_penalty=1.0)
    ended = [row for row, one in enumerate(written) if one.tokens[-1] == small.target.show(EOS) and one.caption]
    image, written = images[ended[0]], written[ended[0]]
    looked = small.look(image, written.caption)
    assert looked.tokens == written.tokens
    np.testing.assert_allclose(looked.weights, written.weights, rtol=1e-4, atol=1e-6)
    assert looked.score == pytest.approx(written.score, abs=2e-2)  # the search forbids PAD, BOS and UNK


def test_several_captions_of_a_picture_are_looked_at_together(small: Captioner) -> None:
    texts = ["A red dog", "the ball in the park, thrown", "dog"]
    together = small.forced(small.encode([noise(3)]), texts)
    for text, one in zip(texts, together, strict=True):
        alone = small.look(noise(3), text)
        assert one.tokens == alone.tokens and one.words == alone.words == (*range(len(text.split())), None)
        assert one.score == pytest.approx(alone.score, rel=1e-4)
        np.testing.assert_allclose(one.weights, alone.weights, rtol=1e-4, atol=1e-6)
        assert one.gate is not None and alone.gate is not None
        np.testing.assert_allclose(one.gate, alone.gate, rtol=1e-4)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, object]]:
    """Beam width and length penalty of each search."""
    searches = []

    def watched(*arguments: object, **how: object) -> object:
        searches.append((how["beam_size"], how["length_penalty"]))
        return beam_search(*arguments, **how)  # type: ignore[arg-type]

    monkeypatch.setattr("course_pkg.captioner.beam_search", watched)
    return searches


def test_beam_and_length_penalty_are_the_models_unless_given(
    small: Captioner, asked: list[tuple[object, object]]
) -> None:
    settled = {**small.config, "decoding": {"beam_size": 2, "length_penalty": 0.25}}
    model = Captioner(Stored(small.model, None, small.target, settled))
    for how in ({}, {"beam": 4}, {"length_penalty": 0.0}):
        model.caption([noise(1)], **how)
    assert asked == [(2, 0.25), (4, 0.25), (2, 0.0)]


def test_beam_and_length_penalty_reach_kept_features_too(tmp_path: Path, asked: list[tuple[object, object]]) -> None:
    pytest.importorskip("efficientnet_lite_pytorch")
    noise(1, 230, 230).save(tmp_path / "a.png")
    store = features.cached([tmp_path / "a.png"], "efficientnet-lite0-14", folder=tmp_path / "f", progress=False)
    captioner(PHOTOGRAPHS).caption_features(store, 3, 0.5)
    assert asked == [(3, 0.5)]


def test_an_unknown_word_is_never_written_and_nothing_is_dropped_in_use() -> None:
    """UNK a hundred times likelier than all else; a model that is handed over in training mode, with dropout."""
    fresh = captioner({**SMALL, "output_dropout": 0.5, "state_dropout": 0.5})
    fresh.model.decoder.output.L_o.bias.data[UNK] += 100
    model = Captioner(Stored(fresh.model.train(), None, fresh.target, fresh.config))
    once, again = (model.caption([noise(seed) for seed in range(3)]) for _ in range(2))
    for one, other in zip(once, again, strict=True):
        assert one.tokens == other.tokens and np.array_equal(one.weights, other.weights)
        assert model.target.show(UNK) not in one.tokens


def test_a_photograph_taken_upright_is_seen_upright(small: Captioner, tmp_path: Path) -> None:
    """The file says by its EXIF orientation 6 that its first row is the scene's right side."""
    scene = noise(4, 48, 40)
    exif = Image.Exif()
    exif[0x0112] = 6
    scene.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    turned, straight = small.caption([tmp_path / "turned.png", scene])
    assert turned.view == straight.view == pictures.View.of((48, 40), "squash")
    assert turned.caption == straight.caption and np.allclose(turned.weights, straight.weights, atol=1e-6)


def test_each_caption_has_the_view_of_its_own_picture(small: Captioner) -> None:
    sizes = [(50, 40), (33, 60), (32, 32)]
    found = small.caption([noise(seed, *size) for seed, size in enumerate(sizes)])
    assert [one.view.size for one in found if one.view] == sizes


def test_what_was_seen_is_enough(small: Captioner) -> None:
    pictures_ = [noise(seed, 50, 40) for seed in range(2)]
    seen = [small.see(one) for one in pictures_]
    assert seen[0].pixels.shape == (32, 32, 3) and seen[0].view.size == (50, 40)
    for one, other in zip(small.caption(seen), small.caption(pictures_), strict=True):
        assert one.caption == other.caption and np.array_equal(one.weights, other.weights)


def test_photographs_and_their_kept_features_give_the_same(tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite_pytorch")
    model = captioner(PHOTOGRAPHS)
    paths = []
    for seed, size in enumerate([(300, 240), (256, 400), (224, 224)]):
        paths.append(tmp_path / f"{seed}.png")
        noise(seed, *size).resize(size).save(paths[-1])
    read = model.caption(paths)
    store = features.cached(paths, "efficientnet-lite0-14", folder=tmp_path / "f", progress=False)
    kept = model.caption_features(store)
    for one, other in zip(read, kept, strict=True):
        np.testing.assert_allclose(one.weights[0], other.weights[0], atol=2e-3)  # kept in half precision
        assert one.grid == (14, 14) and one.view is not None and other.view is None
    assert read[0].view == pictures.View.of((300, 240))
    (last,) = model.caption_features(store, rows=[2])
    assert last.caption == kept[2].caption
    np.testing.assert_allclose(last.weights, kept[2].weights, rtol=1e-4, atol=1e-6)
    other = features.cached(paths, "efficientnet-lite0", folder=tmp_path / "f", progress=False)
    with pytest.raises(CourseError, match="reads features of efficientnet-lite0-14"):
        model.caption_features(other)


def test_a_record_says_where_the_locations_lie() -> None:
    view = pictures.View((400, 200), (100.0, 0.0, 300.0, 200.0))
    caption = Caption("a dog", ("a", "</s>"), np.full((2, 4), 0.25, np.float32), None, (2, 2), view, -1.0)
    record = caption.to_record("dog.jpg")
    assert record["box"] == [0.25, 0.0, 0.75, 1.0] and record["grid"] == [2, 2] and record["image"] == "dog.jpg"
    assert record["weights"] == [[0.25] * 4] * 2 and record["gate"] is None
    assert str(caption) == "a dog"


def test_load_gives_a_captioner_for_a_captioners_folder(tmp_path: Path, small: Captioner) -> None:
    stored = Stored(small.model, None, small.target, small.config)
    save(tmp_path / "model", stored)
    loaded = load(tmp_path / "model", device="cpu")
    assert isinstance(loaded, Captioner)
    assert loaded.caption([noise(1)])[0].tokens
    with pytest.raises(CourseError, match="reads pictures, not text"):
        Translator(checkpoints.load(tmp_path / "model"))


def test_bad_input_is_told(small: Captioner, tmp_path: Path) -> None:
    with pytest.raises(CourseError, match="put it in brackets"):
        small.caption("dog.jpg")  # type: ignore[arg-type]
    with pytest.raises(CourseError, match="beam_size is 0"):
        small.caption([noise(1)], beam=0)
    with pytest.raises(CourseError, match="too wide"):
        small.caption([noise(1)], beam=1000)
    with pytest.raises(CourseError, match="no words"):
        small.look(noise(1), " !! ")
    (tmp_path / "a.jpg").write_text("no picture")
    with pytest.raises(CourseError, match="not a picture"):
        small.caption([noise(1), tmp_path / "a.jpg"])
    assert small.caption([]) == []


def test_a_model_that_computes_nan_is_told() -> None:
    broken = captioner(SMALL)
    broken.model.decoder.output.L_o.weight.data.fill_(float("nan"))
    with pytest.raises(CourseError, match="not finite"):
        broken.caption([noise(1)])
