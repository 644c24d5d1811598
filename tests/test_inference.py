"""Translations, alignments and likelihoods: worked by hand, against the search itself, and in any company."""

import dataclasses
import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import BLIND, LOOKS, Poisoned, folder, scripted, stored, uniform, vocabulary, words_of

from course_pkg import inference, toy
from course_pkg.batching import Batch
from course_pkg.checkpoints import pick_device
from course_pkg.inference import Translator, fold_words, links, load, posterior
from course_pkg.notation import CourseError
from course_pkg.search import greedy
from course_pkg.vocabulary import BOS, EOS, PAD, UNK, SubwordVocabulary, WordVocabulary

SENTENCES = [
    "The woman who does not see the black dog throws the frisbee.",
    "A dog.",
    "",
    "They eat apples, and she does not sleep.",
    " \t ",
    "The cat sees a red car while the child sleeps.",
]
STRANGE = [
    "👩‍🚀🎉 dog",
    "الكلب الأسود ينام",
    "a\x00b \x1b[31mred\x07 \x85dog",
    "a\rb",
    "x\u2028y\x0cz",
    "\ufeff\u200b",
    "e\u0301",
]


@pytest.fixture(scope="module")
def looking() -> Translator:
    return Translator(stored(LOOKS))


@pytest.fixture(scope="module")
def blind() -> Translator:
    return Translator(stored(BLIND))


# Folding and linking, by hand: source words 0 (two pieces), 1 and EOS; target words 0, 1 (two pieces) and EOS.
SOURCE_WORDS = (0, 0, 1, None)
TARGET_WORDS = (0, 1, 1, None)
WEIGHTS = np.array(
    [[0.30, 0.30, 0.40, 0.00], [0.00, 0.00, 0.75, 0.25], [0.25, 0.00, 0.25, 0.50], [0.00, 0.00, 0.25, 0.75]],
    dtype=np.float32,
)


def test_folding_sums_source_pieces_and_averages_target_pieces() -> None:
    by_hand = [[0.60, 0.40, 0.00], [0.125, 0.50, 0.375], [0.00, 0.25, 0.75]]
    np.testing.assert_allclose(fold_words(WEIGHTS, SOURCE_WORDS, TARGET_WORDS), by_hand, atol=1e-7)


def test_links_go_to_the_summed_word_and_not_to_the_largest_piece() -> None:
    # Target word 0 looks at piece 2 most (0.40), but at source word 0 more in all (0.60).
    assert links(WEIGHTS, SOURCE_WORDS, TARGET_WORDS) == {(0, 0), (1, 1)}


def test_no_link_where_eos_wins() -> None:
    weights = np.array([[0.4, 0.6], [0.1, 0.9]], dtype=np.float32)
    assert links(weights, (0, None), (0, None)) == set()
    assert links(weights[:, ::-1], (0, None), (0, None)) == {(0, 0)}


@given(st.data())
def test_folding_keeps_rows_that_add_up_to_one(data: st.DataObject) -> None:
    widths = st.lists(st.integers(1, 4), min_size=1, max_size=6)
    sides = [[word for word, n in enumerate(data.draw(widths)) for _ in range(n)] + [None] for _ in range(2)]
    weights = np.random.default_rng(0).dirichlet(np.ones(len(sides[0])), size=len(sides[1])).astype(np.float32)
    folded = fold_words(weights, sides[0], sides[1])
    assert folded.shape == (len(set(sides[1])), len(set(sides[0])))
    np.testing.assert_allclose(folded.sum(axis=1), 1, atol=1e-5)


def test_alignment_through_the_model_by_hand() -> None:
    """ "l'homme" is one white-space word of two tokens, and so is "dort." of the target."""
    words = words_of("l'homme dort.", "the man sleeps.")
    # Source tokens: the, man, sleeps, ".", EOS; target tokens: l', homme, dort, ".", EOS.
    looks = [
        [0.9, 0.1, 0.0, 0.0, 0.0],
        [0.0, 1.0, 0.0, 0.0, 0.0],  # l'homme: the 0.45, man 0.55
        [0.0, 0.0, 0.4, 0.0, 0.6],
        [0.0, 0.0, 0.0, 0.8, 0.2],  # dort.: sleeps. 0.6, EOS 0.4
        [0.0, 0.0, 0.0, 0.0, 1.0],
    ]
    translator = Translator(scripted(words, [[EOS]], looks))
    pairs = [("the man sleeps.", "l'homme dort."), ("", "l'homme"), ("the", " ")]
    assert translator.align(pairs)[0] == {(1, 0), (2, 1)}
    assert translator.align(pairs[2:]) == [set()]


def test_alignment_between_tokens() -> None:
    words = words_of("l'homme dort", "the man sleeps")
    looks = [[0.9, 0.1, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.4, 0.6], [0.0, 0.0, 0.0, 1.0]]
    translator = Translator(scripted(words, [[EOS]], looks))
    assert translator.align([("the man sleeps", "l'homme dort")], tokens=True) == [{(0, 0), (1, 1)}]


def test_an_empty_source_has_no_links(looking: Translator) -> None:
    assert looking.align([("", "le chien"), ("dog", ""), ("", "")]) == [set(), set(), set()]


def test_a_model_that_cannot_look_refuses_to_align(blind: Translator) -> None:
    with pytest.raises(CourseError, match="cannot look"):
        blind.align([("a", "b")])


def test_what_the_script_says_is_what_is_read_back() -> None:
    words = words_of("l'homme dort")
    ids = words.encode("l'homme dort").ids
    looks = [[0.5, 0.5], [0.25, 0.75], [1.0, 0.0], [0.0, 1.0]]
    made = Translator(scripted(words, [[i] for i in ids], looks)).translate(["dort"])[0]
    assert str(made) == made.target == "l'homme dort"
    assert made.target_tokens == ("l'", "homme", "dort", "</s>")
    assert made.target_words == (0, 0, 1, None)
    assert made.source_tokens == ("dort", "</s>")
    np.testing.assert_allclose(made.weights, looks)
    folded = made.by_words()
    assert folded.target_tokens == ("l'homme", "dort", "</s>")
    np.testing.assert_allclose(folded.weights, [[0.375, 0.625], [1.0, 0.0], [0.0, 1.0]])


@pytest.mark.parametrize(("kind", "expected"), [(WordVocabulary, "<unk>"), (SubwordVocabulary, "")])
def test_only_a_word_model_writes_unk(kind: type[WordVocabulary | SubwordVocabulary], expected: str) -> None:
    words = kind.train(["dort"], size=20)
    translator = Translator(scripted(words, [[PAD, BOS, UNK, EOS], [PAD, BOS, EOS]], [[1.0]]))
    assert translator.translate(["dort"], beam=1)[0].target == expected
    assert translator.translate(["dort"], beam=1, generate_unk=False)[0].target == ""
    assert translator.translate(["dort"], beam=1, generate_unk=True)[0].target == "<unk>"


def test_tokens_weights_and_words_fit_each_other(looking: Translator) -> None:
    for made in looking.translate(SENTENCES + STRANGE):
        assert "\n" not in made.target and made.target == " ".join(made.target.split())
        assert made.weights.shape == (len(made.target_tokens), len(made.source_tokens))
        assert made.weights.dtype == np.float32 and type(made.weights) is np.ndarray
        assert len(made.source_words) == len(made.source_tokens)
        assert len(made.target_words) == len(made.target_tokens)
        if made.source.split():
            np.testing.assert_allclose(made.weights.sum(axis=1), 1, atol=1e-5)
            assert made.source_tokens[-1] == "</s>" and made.source_words[-1] is None
            assert made.by_words().source_words[:-1] == tuple(range(len(made.source.split())))


def test_folded_words_spell_the_text(looking: Translator) -> None:
    for made in looking.translate([text for text in SENTENCES if text.strip()]):
        folded = made.by_words()
        assert " ".join(folded.source_tokens[:-1]) == " ".join(made.source.split())
        assert "".join(folded.target_tokens).removesuffix("</s>") == made.target.replace(" ", "")


def test_the_record_is_json(looking: Translator, blind: Translator) -> None:
    made = looking.translate(["A dog."])[0]
    record = json.loads(json.dumps(made.to_record(), allow_nan=False))
    assert list(record) == ["source", "target", "source_tokens", "target_tokens", "weights"]
    np.testing.assert_allclose(record["weights"], made.weights, atol=1e-5)
    assert blind.translate(["A dog."])[0].to_record()["weights"] is None
    empty = looking.translate([""])[0].to_record()
    assert empty == {"source": "", "target": "", "source_tokens": [], "target_tokens": [], "weights": []}
    assert looking.translate([" "])[0].by_words().to_record()["weights"] == []


def test_empty_lines_never_reach_the_model(looking: Translator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "model", Poisoned())
    assert [made.target for made in looking.translate(["", "  ", "\t\u2028\x0c", "\r"])] == [""] * 4
    assert looking.translate([]) == []


def test_company_and_order_change_nothing(looking: Translator) -> None:
    texts = [*SENTENCES, *STRANGE, *(" ".join(SENTENCES[3].split()[:n]) for n in range(1, 9))]
    together = looking.translate(texts)
    backwards = looking.translate(texts[::-1])[::-1]
    for text, one, other in zip(texts, together, backwards, strict=True):
        alone = looking.translate([text])[0]
        assert one.source == text
        assert one.target_tokens == other.target_tokens == alone.target_tokens
        np.testing.assert_allclose(one.weights, alone.weights, atol=1e-5)
        assert one.score == pytest.approx(alone.score, abs=1e-4)


def test_beam_one_is_greedy_search(looking: Translator) -> None:
    pieces = looking.source.encode(SENTENCES[0])
    batch = Batch.collate([(pieces.ids, (EOS,))])
    encoded = looking.model.encode(batch.source, batch.source_mask)
    found = greedy(looking.model.decoder, encoded, bos=BOS, eos=EOS, max_steps=80, forbid=(PAD, BOS, UNK))
    expected = looking.target.generated(found.tokens[0, 0, : found.lengths[0, 0]].tolist()).tokens
    assert looking.translate([SENTENCES[0]], beam=1, max_steps=80)[0].target_tokens == expected


def test_decoding_comes_from_the_model_unless_it_is_given(looking: Translator, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def watch(*args: object, **kwargs: object) -> object:
        seen.append((kwargs["beam_size"], kwargs["length_penalty"], kwargs["max_steps"]))
        return search(*args, **kwargs)

    search = inference.beam_search
    monkeypatch.setattr(inference, "beam_search", watch)
    looking.translate(["A dog."])
    looking.translate(["A dog."], 2, 0.0, 7)
    size = len(looking.source.encode("A dog."))
    assert seen[0][:2] == (3, 1.0) and 2 * size + 10 <= seen[0][2] <= 2 * (size + 7) + 10
    assert seen[1] == (2, 0.0, 7)


@pytest.mark.parametrize("description", [LOOKS, BLIND])
def test_the_beam_score_is_the_likelihood_of_what_it_wrote(description: dict) -> None:
    words = words_of("la le chien chat dort mange")  # no text of these words can be read in two ways
    translator = Translator(stored(description, words, ends=9.0))
    for made in translator.translate(["le chat dort", "chien", "la la le"], length_penalty=0.0, generate_unk=False):
        assert translator.target.encode(made.target).tokens == made.target_tokens
        nll, tokens = translator.score([(made.source, made.target)])[0]
        assert made.score == pytest.approx(-nll, rel=1e-4)
        assert tokens == len(made.target_tokens)


def test_a_uniform_model_pays_log_v_for_each_token() -> None:
    translator = Translator(uniform(stored(LOOKS)))
    pairs = [("A dog.", "Un chien."), ("", "Un"), ("The black dog sleeps.", "")]
    for (_, target), (nll, tokens) in zip(pairs, translator.score(pairs), strict=True):
        assert tokens == len(translator.target.encode(target))
        assert nll == pytest.approx(tokens * math.log(len(translator.target)), rel=1e-5)


def test_scores_do_not_depend_on_company(looking: Translator) -> None:
    pairs = [(SENTENCES[0], "Un chien noir."), ("A", "la la la la la la la la la la"), (SENTENCES[3], "Il dort")]
    for pair, (nll, tokens) in zip(pairs, looking.score(pairs), strict=True):
        alone, count = looking.score([pair])[0]
        assert (nll, tokens) == (pytest.approx(alone, rel=1e-5), count)


@given(st.lists(st.integers(1, 4000), max_size=60), st.integers(1, 20_000))
def test_batches_hold_every_row_once_within_the_budget(lengths: list[int], positions: int) -> None:
    batches = list(inference._batches(dict(enumerate(lengths)), positions))
    assert sorted(row for _, rows in batches for row in rows) == list(range(len(lengths)))
    for size, rows in batches:
        assert len(rows) == 1 or size * len(rows) <= positions
        assert all(size - 8 < lengths[row] <= size for row in rows)


def test_a_very_long_line_is_searched_alone(looking: Translator, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = []
    original = Batch.collate.__func__

    def watch(cls: type[Batch], pairs: list) -> Batch:
        batch = original(cls, pairs)
        shapes.append(tuple(batch.source.shape))
        return batch

    monkeypatch.setattr(Batch, "collate", classmethod(watch))
    line = " ".join(["dog"] * 2000)
    made = looking.translate([line] + ["A dog."] * 63, beam=10, max_steps=4)
    assert len(made[0].source_tokens) > 2000 and all(one.target_tokens for one in made)
    assert max(rows * columns for rows, columns in shapes) == len(made[0].source_tokens)


def test_nothing_is_recorded_for_gradients(looking: Translator) -> None:
    looking.translate(["A dog."])
    looking.score([("A dog.", "Un chien.")])
    assert all(parameter.grad is None for parameter in looking.model.parameters())
    batch = Batch.collate([((5, EOS), (6, EOS))])
    assert not looking._force(batch)[1].logits.requires_grad


@pytest.mark.parametrize("description", [LOOKS, BLIND])
def test_every_tensor_is_made_on_the_device_of_the_model(description: dict) -> None:
    """On the device ``meta`` any tensor left on the CPU is an error."""
    translator = Translator(stored(description), "meta")
    batch = Batch.collate([((5, 6, EOS), (6, EOS)), ((7, EOS), (8, 9, 4, EOS))]).to("meta")
    rollout = translator.model(batch)
    assert rollout.logits.device.type == "meta"
    assert rollout.weights is None or rollout.weights.device.type == "meta"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_translates_as_the_cpu_does() -> None:
    made = [Translator(stored(LOOKS), device).translate(SENTENCES) for device in ("cpu", "cuda")]
    for here, there in zip(*made, strict=True):
        assert here.target == there.target
        np.testing.assert_allclose(here.weights, there.weights, atol=1e-4)


def test_devices() -> None:
    assert pick_device("cpu") == torch.device("cpu")
    assert pick_device("auto").type in ("cpu", "cuda", "mps")
    with pytest.raises(CourseError, match="Unknown device"):
        pick_device("tpu")


@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_a_device_that_is_not_here_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert pick_device("auto").type == "cpu"
    with pytest.raises(CourseError, match=f"no {name} device"):
        pick_device(name)


def test_a_stored_model_translates_as_it_did_before(tmp_path) -> None:
    path = folder(tmp_path, "kept", LOOKS)
    first, second = load(path, device="cpu"), load(str(path), device="auto")
    assert first.name == "kept" and first.can_look
    assert [m.target for m in first.translate(SENTENCES)] == [m.target for m in second.translate(SENTENCES)]


def test_sizes_that_torch_refuses_are_told_in_one_line(tmp_path) -> None:
    path = folder(tmp_path, "odd", LOOKS)
    config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    config["model"]["state_size"] = -3
    (path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(CourseError, match="take another copy") as caught:
        load(path)
    assert "\n" not in str(caught.value)


def test_a_model_of_nan_says_so() -> None:
    broken = stored(LOOKS)
    with torch.no_grad():
        broken.model.decoder.W_s.weight.fill_(math.nan)
    with pytest.raises(CourseError, match="not finite"):
        Translator(broken).translate(["A dog."])


def test_bad_arguments_are_told(looking: Translator) -> None:
    with pytest.raises(CourseError, match="list of texts"):
        looking.translate("A dog.")
    with pytest.raises(CourseError, match="beam"):
        looking.translate(["A dog."], beam=0)


def test_a_translation_is_frozen(looking: Translator) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        looking.translate([""])[0].target = "x"


@pytest.mark.parametrize(
    "decoding", [5, {"beam_size": "x"}, {"beam_size": 2.5}, {"beam_size": 0}, {"length_penalty": "a"}]
)
def test_stored_decoding_settings_must_make_sense(decoding: object) -> None:
    one = stored(LOOKS)
    one.config["decoding"] = decoding
    with pytest.raises(CourseError, match="decoding settings of tiny make no sense"):
        Translator(one)


def test_settings_that_a_layer_refuses_are_told_in_one_line() -> None:
    with pytest.raises(CourseError, match="settings do not fit rnnsearch"):
        stored({**LOOKS, "embedding_dropout": 7})


def test_no_links_are_made_up_from_weights_that_are_not_numbers() -> None:
    one = stored(LOOKS)
    with torch.no_grad():
        next(one.model.parameters()).fill_(float("nan"))
    with pytest.raises(CourseError, match="computes NaN"):
        Translator(one).align([("A dog.", "Un chien.")])


def test_no_steps_are_refused(looking: Translator) -> None:
    with pytest.raises(CourseError, match="max_steps"):
        looking.translate(["A dog."], max_steps=0)


def test_a_model_that_reads_backwards_is_given_the_reversed_source_and_shows_the_text() -> None:
    """The stored recipe alone decides; α comes back in the order of the text, in search and under teacher forcing."""
    usual, backwards = (stored(LOOKS, vocabulary(WordVocabulary)) for _ in range(2))
    backwards.config["recipe"] = {"data": {"reverse_source": True}}
    forwards, reader = Translator(usual), Translator(backwards)
    words = [word.strip(".,") for pair in toy.pairs(3, seed=5, max_words=12) for word in pair.source.split()]
    text, turned, target = " ".join(words[:7]), " ".join(words[6::-1]), " ".join(words[7:11])
    assert UNK not in usual.source.encode(f"{text} {target}").ids
    (made,), (by_hand,) = reader.translate([text]), forwards.translate([turned])
    assert made.target == by_hand.target and made.source_tokens == by_hand.source_tokens[-2::-1] + ("</s>",)
    np.testing.assert_array_equal(made.weights, by_hand.weights[:, [*range(made.weights.shape[1] - 2, -1, -1), -1]])
    assert made.target != forwards.translate([text])[0].target
    assert reader.score([(text, target)]) == forwards.score([(turned, target)])
    last = len(made.source_tokens) - 2
    turned_links = {(last - j, i) for j, i in forwards.align([(turned, target)], tokens=True)[0]}
    assert reader.align([(text, target)], tokens=True)[0] == turned_links


@pytest.mark.parametrize("recipe", [None, [], {}, {"data": None}, {"data": {"reverse_source": "yes"}}])
def test_a_recipe_that_does_not_say_so_reads_forwards(recipe: object) -> None:
    plain = stored(BLIND)
    plain.config["recipe"] = recipe
    assert not Translator(plain).reads_backwards


# -- the posterior of the gaze ----------------------------------------------------------------------------------------


def random_gaze(seed: int = 0, size: tuple[int, int] = (4, 5)) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    return draw.dirichlet(np.ones(size[1]), size[0]).astype(np.float32), -draw.exponential(3, size).astype(np.float32)


def test_a_word_that_any_gaze_would_write_says_nothing() -> None:
    alpha, _ = random_gaze()
    np.testing.assert_allclose(
        posterior(alpha, np.repeat([[-1.0], [-2.0], [0.0], [-300.0]], 5, axis=1)), alpha, atol=1e-6
    )


def test_an_even_gaze_leaves_all_to_the_word() -> None:
    _, log_probs = random_gaze()
    likelihood = np.exp(log_probs)
    wanted = likelihood / likelihood.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(posterior(np.full((4, 5), 0.2, np.float32), log_probs), wanted, atol=1e-6)


def test_the_posterior_is_bayes_rule_by_counting() -> None:
    """(8.4): each position's share among all draws of a position and a word in which the word came out."""
    alpha, likelihood = np.array([[0.5, 0.25, 0.25]], np.float32), np.array([[0.125, 0.5, 0.0625]])
    drawn = {j: round(float(alpha[0, j]) * 64) for j in range(3)}  # of 64 looks
    came = {j: drawn[j] * float(likelihood[0, j]) for j in drawn}
    wanted = [came[j] / sum(came.values()) for j in range(3)]
    np.testing.assert_allclose(posterior(alpha, np.log(likelihood))[0], wanted, atol=1e-6)


def test_rows_of_the_posterior_sum_to_one_even_where_a_word_is_all_but_impossible() -> None:
    alpha, log_probs = random_gaze()
    alpha[0] = [1, 0, 0, 0, 0]
    found = posterior(alpha, 500 * log_probs)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)
    assert found[0].tolist() == [1, 0, 0, 0, 0] and found.dtype == np.float32


def test_a_row_without_weight_has_no_posterior() -> None:
    with pytest.raises(CourseError, match="no weight"):
        posterior(np.zeros((1, 2), np.float32), np.zeros((1, 2), np.float32))
