"""Search against brute force, on decoders whose next-word probabilities are written down."""

import itertools
import math
from collections.abc import Callable, Iterator

import pytest
import torch

from course_pkg import search
from course_pkg.attention import Glimpse, Memory
from course_pkg.batching import Batch
from course_pkg.decoders import Decoder, State, Step
from course_pkg.encoders import Encoded
from course_pkg.models import EncoderDecoder, rnn_encoder_decoder, rnnsearch
from course_pkg.notation import CourseError
from course_pkg.search import Hypotheses, beam_search, greedy, sample
from course_pkg.vocabulary import BOS as MODEL_BOS
from course_pkg.vocabulary import EOS as MODEL_EOS

EOS, A, B, C, D = range(5)
BOS = 9
REMEMBERED = 6  # words of its past that the mock decoder carries, and source positions that it pretends to see
Table = dict[tuple[int, ...], list[float]]


class Oracle(Decoder):
    """Looks its probabilities up by everything said so far; its attention weights and its gate show that past."""

    def __init__(self, *tables: Table) -> None:
        super().__init__()
        self.tables = tables
        self.vocabulary = max(len(row) for table in tables for row in table.values())

    def start(self, encoded: Encoded) -> tuple[Memory, State]:
        nothing = torch.full((len(encoded.mask), REMEMBERED), -1.0)
        return Memory(encoded.annotations, encoded.annotations, encoded.mask), State(nothing)

    def step(self, token: torch.Tensor, state: State, memory: Memory) -> Step:
        past = torch.cat([state.hidden[:, 1:], token.unsqueeze(1).float()], dim=1)
        looked_up = []
        for which, row in zip(memory.annotations[:, 0, 0].int().tolist(), past.int().tolist(), strict=True):
            said = tuple(word for word in row if word not in (-1, BOS))
            looked_up.append(self.tables[which].get(said, [1.0] * self.vocabulary))
        logits = torch.tensor(looked_up).log()
        return Step(logits, State(past), Glimpse(past, past, past), token.float())

    def forward(self, inputs: torch.Tensor, encoded: Encoded) -> None:
        raise NotImplementedError

    def batch(self, *order: int) -> Encoded:
        """Sources that tell the decoder which of its tables to use."""
        which = torch.tensor(order or range(len(self.tables))).float().view(-1, 1, 1)
        return Encoded(which.expand(-1, REMEMBERED, 1), torch.ones(len(which), REMEMBERED).bool(), which[:, 0])


def random_table(words: int, steps: int, seed: int) -> Table:
    generator = torch.Generator().manual_seed(seed)
    pasts = [past for n in range(steps) for past in itertools.product(range(1, words + 1), repeat=n)]
    return {past: (2 * torch.randn(words + 1, generator=generator)).softmax(0).tolist() for past in pasts}


def find(tables: Table | Oracle, *order: int, steps: int = 4, search_with: Callable = beam_search, **how) -> Hypotheses:
    decoder = tables if isinstance(tables, Oracle) else Oracle(tables)
    return search_with(decoder, decoder.batch(*order), bos=BOS, eos=EOS, max_steps=steps, **how)


def listed(found: Hypotheses, sentence: int = 0) -> list[tuple[tuple[int, ...], float]]:
    """The hypotheses of one sentence, cut to their lengths, with their scores."""
    rows = zip(*(values[sentence].tolist() for values in (found.tokens, found.lengths, found.scores)), strict=True)
    return [(tuple(tokens[:length]), score) for tokens, length, score in rows if length]


def probability(table: Table, tokens: tuple[int, ...]) -> float:
    return math.prod(table[tokens[:i]][token] for i, token in enumerate(tokens))


def every_sequence(table: Table, steps: int, length_penalty: float) -> list[tuple[tuple[int, ...], float]]:
    """All finished sequences by score, then all that reach the last step unfinished, by score."""
    words = range(1, len(table[()]))
    finished = [(*past, EOS) for n in range(steps) for past in itertools.product(words, repeat=n)]
    groups = finished, list(itertools.product(words, repeat=steps))
    scored = [[(y, math.log(probability(table, y)) / len(y) ** length_penalty) for y in group] for group in groups]
    return [pair for group in scored for pair in sorted(group, key=lambda pair: -pair[1])]


def reference_beam(table: Table, width: int, steps: int, length_penalty: float, shrink: bool):
    """The algorithm of `beam_search`'s docstring, one sentence, in lists."""
    live, finished = [((), 0.0)], []
    for n in range(1, steps + 1):
        grown = [((*y, t), s + math.log(p)) for y, s in live for t, p in enumerate(table[y])]
        grown.sort(key=lambda pair: -pair[1])
        room = width - len(finished) if shrink else width
        finished += [(y, s / n**length_penalty) for y, s in grown[:room] if y[-1] == EOS]
        finished = sorted(finished, key=lambda pair: -pair[1])[:width]
        live = [(y, s) for y, s in (grown[:room] if shrink else grown) if y[-1] != EOS][:width]
        if len(finished) == width and (shrink or live[0][1] / n**length_penalty <= finished[-1][1]):
            return finished
    return (finished + [(y, s / steps**length_penalty) for y, s in live])[:width]


def same(found: list, wanted: list) -> None:
    assert [tokens for tokens, _ in found] == [tokens for tokens, _ in wanted]
    assert [score for _, score in found] == pytest.approx([score for _, score in wanted], abs=1e-4)


# P18 of the course's properties: the two ends of the beam


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("how", [{}, {"length_penalty": 1.0}, {"length_penalty": 0.7, "shrink": True}])
def test_a_beam_of_one_is_greedy_search(seed: int, how: dict) -> None:
    table = random_table(3, 4, seed)
    by_beam, by_greed = find(table, beam_size=1, **how), find(table, search_with=greedy)
    assert listed(by_beam)[0][0] == listed(by_greed)[0][0]
    length = by_greed.lengths[0, 0].item()
    assert by_beam.scores.item() == pytest.approx(by_greed.scores.item() / length ** how.get("length_penalty", 0))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("length_penalty", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("shrink", [False, True])
def test_a_beam_that_holds_every_candidate_is_exhaustive(seed: int, length_penalty: float, shrink: bool) -> None:
    # No hypothesis is ever dropped, and the search cannot stop before the last step: exact with any exponent.
    table = random_table(2, 4, seed)
    everything = every_sequence(table, 4, length_penalty)
    found = find(table, beam_size=len(everything), length_penalty=length_penalty, shrink=shrink)
    same(listed(found), everything)
    assert len(everything) == 15 + 16


@pytest.mark.parametrize("width", [1, 2, 3, 5])
@pytest.mark.parametrize("length_penalty", [0.0, 1.0])
@pytest.mark.parametrize("shrink", [False, True])
def test_the_beam_agrees_with_a_plain_reference(width: int, length_penalty: float, shrink: bool) -> None:
    for seed in range(25):
        table = random_table(3, 4, seed)
        found = find(table, beam_size=width, length_penalty=length_penalty, shrink=shrink)
        same(listed(found), reference_beam(table, width, 4, length_penalty, shrink))


def test_shrinking_and_fixed_beams_differ_at_small_width() -> None:
    # EOS ends a hypothesis at once. The fixed beam keeps both words alive and finds the better sentence of B;
    # the shrunken beam has room for one and follows A.
    table: Table = {(): [0.4, 0.35, 0.25], (A,): [0.4, 0.3, 0.3], (B,): [0.98, 0.01, 0.01]}
    fixed, shrunk = find(table, beam_size=2, steps=2), find(table, beam_size=2, steps=2, shrink=True)
    same(listed(fixed), [((EOS,), math.log(0.4)), ((B, EOS), math.log(0.245))])
    same(listed(shrunk), [((EOS,), math.log(0.4)), ((A, EOS), math.log(0.14))])


def test_greedy_falls_into_the_trap_and_a_beam_of_two_does_not() -> None:
    table: Table = {
        (): [0, 0.55, 0.45, 0, 0],
        (A,): [0, 0, 0, 0.5, 0.5],
        (B,): [0, 0, 0, 1, 0],
        **{past: [1, 0, 0, 0, 0] for past in [(A, C), (A, D), (B, C)]},
    }
    assert find(table, search_with=greedy).scores.exp().item() == pytest.approx(0.275)
    found = find(table, beam_size=2)
    assert listed(found)[0][0] == (B, C, EOS)
    assert found.scores[0, 0].exp().item() == pytest.approx(0.45)


def test_with_a_length_penalty_a_narrow_beam_may_miss_the_best() -> None:
    # The likeliest token is EOS, so a beam of one stops, though the longer sentence has the better mean.
    table: Table = {(): [0.5, 0.4, 0.1], (A,): [1, 0, 0]}
    assert listed(find(table, beam_size=1, length_penalty=1.0))[0][0] == (EOS,)
    assert listed(find(table, beam_size=2, length_penalty=1.0))[0][0] == (A, EOS)


# The length bias (error 10), and what fails when it is handled wrongly

DEAD_END = [0.0, 0.0, 0.0, 1.0]  # C follows C for ever


def two_sentences(long: float) -> Table:
    """``A EOS`` of probability .3, ``B B EOS`` of probability ``long``, and nothing else that ends."""
    endless = {(A, *[C] * n): DEAD_END for n in range(1, 5)} | {(B, *[C] * n): DEAD_END for n in range(1, 5)}
    return {
        (): [0, 0.5, 0.5, 0],
        (A,): [0.6, 0, 0, 0.4],
        (B,): [0, 0, 2 * long, 1 - 2 * long],
        (B, B): [1, 0, 0, 0],
        **endless,
    }


def check_length_normalisation() -> None:
    raw = find(two_sentences(0.2), beam_size=4)
    same(listed(raw)[:2], [((A, EOS), math.log(0.3)), ((B, B, EOS), math.log(0.2))])
    mean = find(two_sentences(0.2), beam_size=4, length_penalty=1.0)
    same(listed(mean)[:2], [((B, B, EOS), math.log(0.2) / 3), ((A, EOS), math.log(0.3) / 2)])


def check_eos_counts() -> None:
    # log .3 / 2 > log .15 / 3, but log .3 / 1 < log .15 / 2.
    found = find(two_sentences(0.15), beam_size=4, length_penalty=1.0)
    same(listed(found)[:2], [((A, EOS), math.log(0.3) / 2), ((B, B, EOS), math.log(0.15) / 3)])


def check_the_living_are_compared_by_the_same_score() -> None:
    # Two have finished at step 2, but the mean of the living hypothesis is better, and it wins at step 3.
    table: Table = {(): [0.3, 0.6, 0.1], (A,): [0.51, 0.49, 0], (B,): [1, 0, 0], (A, A): [1, 0, 0]}
    same(listed(find(table, beam_size=2, length_penalty=1.0))[:1], [((A, A, EOS), math.log(0.294) / 3)])


def check_states_follow_their_hypotheses() -> None:
    # At step 2 the second place passes from a child of B to a child of A.
    table: Table = {(): [0, 0.6, 0.4], (A,): [0.02, 0.51, 0.47], (B,): [0.98, 0.01, 0.01]}
    table |= {(A, A): [0.2, 0.4, 0.4], (A, B): [1, 0, 0]}
    same(listed(find(table, beam_size=3))[:2], [((B, EOS), math.log(0.392)), ((A, B, EOS), math.log(0.282))])


CHECKS = {
    "length": check_length_normalisation,
    "eos": check_eos_counts,
    "living": check_the_living_are_compared_by_the_same_score,
    "states": check_states_follow_their_hypotheses,
}


def _raw_living(self: search._Beam) -> bool:
    return bool((self.live.amax(dim=1) <= self.final_scores.amin(dim=1)).all())


MUTANTS = {
    "the score is not divided": ("length", search._Beam, "_score", lambda self, log_prob, length: log_prob),
    "EOS is not counted": (
        "eos",
        search._Beam,
        "_score",
        lambda self, log_prob, length: log_prob / max(1, length - 1) ** self.length_penalty,
    ),
    "the living are not normalised": ("living", search._Beam, "done", _raw_living),
    "parents are not followed": ("states", search, "_keep", lambda state, survivors: state),
}


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_hand_case(check: Callable[[], None]) -> None:
    check()


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=MUTANTS)
def test_the_hand_cases_see_the_common_errors(mutant: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    check, owner, name, wrong = mutant
    monkeypatch.setattr(owner, name, wrong)
    with pytest.raises(AssertionError):
        CHECKS[check]()


# What belongs to a hypothesis


@pytest.mark.parametrize("shrink", [False, True])
@pytest.mark.parametrize("seed", range(10))
def test_weights_and_gates_belong_to_their_hypothesis(seed: int, shrink: bool) -> None:
    found = find(random_table(3, 4, seed), beam_size=5, length_penalty=1.0, shrink=shrink)
    assert found.weights is not None and found.gate is not None
    for rank, (tokens, _) in enumerate(listed(found)):
        said = [-1] * REMEMBERED + [BOS, *tokens]
        for step in range(found.tokens.shape[2]):
            inside = step < len(tokens)
            past = said[step + 1 : step + 1 + REMEMBERED] if inside else [0] * REMEMBERED
            assert found.weights[0, rank, step].tolist() == past
            assert found.gate[0, rank, step] == (past[-1] if inside else 0)


@pytest.mark.parametrize("search_with", [greedy, sample])
def test_greedy_and_sampled_weights_stop_with_the_sentence(search_with: Callable) -> None:
    decoder = Oracle(*(random_table(3, 4, seed) for seed in range(8)))
    found = find(decoder, search_with=search_with)
    assert found.weights is not None and found.gate is not None
    for sentence in range(8):
        [(tokens, _)] = listed(found, sentence)
        assert tokens[-1] == EOS or len(tokens) == 4
        assert found.gate[sentence, 0].tolist() == [BOS, *tokens[:-1], *[0] * (found.tokens.shape[2] - len(tokens))]
        assert not found.weights[sentence, 0, len(tokens) :].any()
        assert (found.tokens[sentence, 0, len(tokens) :] == EOS).all()


@pytest.mark.parametrize("shrink", [False, True])
@pytest.mark.parametrize("length_penalty", [0.0, 1.0])
def test_a_batch_gives_what_each_sentence_gives_alone(shrink: bool, length_penalty: float) -> None:
    # With a length penalty a sentence that is done could still improve while its neighbours go on: it must not.
    decoder = Oracle(*(random_table(3, 5, seed) for seed in range(40)))
    how = {"beam_size": 2, "length_penalty": length_penalty, "shrink": shrink, "steps": 5}
    together = find(decoder, **how)
    order = torch.randperm(40).tolist()
    shuffled = find(decoder, *order, **how)
    for sentence in range(40):
        alone = listed(find(decoder, sentence, **how))
        same(listed(together, sentence), alone)
        same(listed(shuffled, order.index(sentence)), alone)


def test_unfinished_hypotheses_come_after_the_finished() -> None:
    # C C is far likelier than anything that ends, and does not end in time.
    table: Table = {(): [0.01, 0, 0, 0.99], (C,): [0.01, 0, 0, 0.99]}
    found = listed(find(table, beam_size=3, steps=2))
    same(found, [((EOS,), math.log(0.01)), ((C, EOS), math.log(0.0099)), ((C, C), math.log(0.9801))])


def test_places_without_a_hypothesis_are_empty() -> None:
    found = find({(): [1.0, 0.0]}, beam_size=3)  # nothing but EOS has a chance
    assert found.lengths.tolist() == [[1, 0, 0]]
    assert found.scores.tolist() == [[0, -math.inf, -math.inf]]
    assert (found.tokens == EOS).all()


@pytest.mark.parametrize("how", [{"search_with": greedy}, {"search_with": sample}, {"beam_size": 3}])
def test_a_forbidden_token_is_never_written(how: dict) -> None:
    decoder = Oracle(*(random_table(3, 4, seed) for seed in range(20)))
    assert (find(decoder, **how).tokens == B).any()
    found = find(decoder, forbid=(B,), **how)
    assert not (found.tokens == B).any()
    for sentence in range(20):  # the score stays the model's own log-probability
        for tokens, score in listed(found, sentence):
            assert score == pytest.approx(math.log(probability(decoder.tables[sentence], tokens)), abs=1e-4)


@pytest.mark.parametrize("temperature", [1.0, 0.6, 2.0])
def test_samples_follow_the_model(temperature: float) -> None:
    """Every step is drawn from p to the power of 1 / temperature, normalised (7.3)."""
    table, draws, steps = random_table(2, 3, seed=5), 4000, 3
    decoder = Oracle(table)
    how = {"search_with": sample, "generator": torch.Generator().manual_seed(2), "temperature": temperature}
    found = find(decoder, *[0] * draws, steps=steps, **how)
    drawn = [listed(found, row)[0][0] for row in range(draws)]
    powers = {past: [p ** (1 / temperature) for p in row] for past, row in table.items()}
    warmed = {past: [power / sum(row) for power in row] for past, row in powers.items()}
    expected = {y: draws * probability(warmed, y) for y, _ in every_sequence(table, steps, 0.0)}
    frequent = [y for y in expected if expected[y] >= 5]
    rare = sum(expected[y] for y in expected if expected[y] < 5)
    chi_square = sum((drawn.count(y) - expected[y]) ** 2 / expected[y] for y in frequent)
    assert sum(expected.values()) == pytest.approx(draws) and rare < 0.05 * draws
    freedom = len(frequent)
    assert freedom > 5
    assert chi_square < freedom + 5 * math.sqrt(2 * freedom)  # five standard deviations above the mean


def test_samples_repeat_with_the_generator_and_vary_without() -> None:
    decoder = Oracle(*(random_table(3, 4, seed) for seed in range(20)))

    def draw(seed: int) -> list:
        return find(decoder, search_with=sample, generator=torch.Generator().manual_seed(seed)).tokens.tolist()

    assert draw(1) == draw(1) != draw(2)


def test_a_temperature_changes_the_draw_and_not_the_score() -> None:
    table = random_table(3, 4, seed=6)
    found = find(Oracle(table), *[0] * 200, search_with=sample, temperature=3.0)
    for row in range(200):
        [(tokens, score)] = listed(found, row)
        assert score == pytest.approx(math.log(probability(table, tokens)), abs=1e-4)
    cold = find(Oracle(table), *[0] * 50, search_with=sample, temperature=1e-3)
    assert {listed(cold, row)[0][0] for row in range(50)} == {listed(find(table, search_with=greedy))[0][0]}


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan])
def test_a_temperature_that_is_none_is_refused(temperature: float) -> None:
    with pytest.raises(CourseError, match="temperature"):
        find(random_table(2, 2, 0), search_with=sample, temperature=temperature)


@pytest.mark.parametrize("wrong", [{"beam_size": 0}, {"beam_size": 2, "steps": 0}, {"search_with": greedy, "steps": 0}])
def test_no_beam_and_no_steps_are_refused(wrong: dict) -> None:
    with pytest.raises(CourseError, match="at least"):
        find(random_table(2, 2, 0), **wrong)


# Real decoders


@pytest.fixture(params=["rnnsearch", "rnn_encoder_decoder"])
def model(request: pytest.FixtureRequest) -> Iterator[EncoderDecoder]:
    builder = {"rnnsearch": rnnsearch, "rnn_encoder_decoder": rnn_encoder_decoder}[request.param]
    sizes = {"embedding_size": 6, "state_size": 8, "maxout_size": 6}
    built = builder(source_vocabulary=12, target_vocabulary=11, **sizes).eval()
    for parameter in built.parameters():
        torch.nn.init.normal_(parameter, std=0.8)  # sharp enough that sentences end and differ
    return built


SOURCES = [[4, 5, 6, 2], [7, 2], [8, 9, 10, 11, 4, 2], [5, 5, 2]]


def translate(model: EncoderDecoder, sources: list[list[int]], width: int, padding: int = 0) -> Hypotheses:
    batch = Batch.collate([(source, [MODEL_EOS]) for source in sources])
    source = torch.nn.functional.pad(batch.source, (0, padding), value=7)
    encoded = model.encode(source, torch.nn.functional.pad(batch.source_mask, (0, padding)))
    return beam_search(
        model.decoder, encoded, bos=MODEL_BOS, eos=MODEL_EOS, beam_size=width, max_steps=9, length_penalty=1.0
    )


def test_padding_and_neighbours_do_not_change_a_translation(model: EncoderDecoder) -> None:
    together, padded = translate(model, SOURCES, 4), translate(model, SOURCES, 4, padding=5)
    backwards = translate(model, SOURCES[::-1], 4)
    for row, source in enumerate(SOURCES):
        alone = listed(translate(model, [source], 4))
        for found, place in [(together, row), (padded, row), (backwards, len(SOURCES) - 1 - row)]:
            same(listed(found, place), alone)
    if padded.weights is not None:
        assert not padded.weights[..., -5:].any()


@pytest.mark.parametrize("search_with", [greedy, sample, beam_search])
def test_scores_and_weights_are_those_of_teacher_forcing(model: EncoderDecoder, search_with: Callable) -> None:
    """P19: what the steps said is what the batched pass says of the same words."""
    batch = Batch.collate([(source, [MODEL_EOS]) for source in SOURCES])
    encoded = model.encode(batch.source, batch.source_mask)
    how = {"beam_size": 3} if search_with is beam_search else {}
    found = search_with(model.decoder, encoded, bos=MODEL_BOS, eos=MODEL_EOS, max_steps=9, **how)
    for row, source in enumerate(SOURCES):
        for rank, (tokens, score) in enumerate(listed(found, row)):
            one = Batch.collate([(source, tokens)])
            forced = model(one)
            chosen = forced.logits.log_softmax(-1).gather(2, one.targets.unsqueeze(2))
            assert score == pytest.approx(chosen.sum().item(), abs=1e-4)
            if forced.weights is not None:
                mine = found.weights[row, rank, : len(tokens), : len(source)]
                torch.testing.assert_close(mine, forced.weights[0], atol=1e-5, rtol=0)


def test_a_line_of_two_thousand_tokens_is_searched() -> None:
    model = rnnsearch(source_vocabulary=12, target_vocabulary=11, embedding_size=4, state_size=4, alignment_size=4)
    batch = Batch.collate([([5] * 2000 + [MODEL_EOS], [MODEL_EOS])])
    found = beam_search(
        model.eval().decoder,
        model.encode(batch.source, batch.source_mask),
        bos=MODEL_BOS,
        eos=MODEL_EOS,
        beam_size=2,
        max_steps=300,
        forbid=(MODEL_EOS,),
    )
    assert found.lengths.tolist() == [[300, 300]]
    assert found.weights is not None and found.weights.shape == (1, 2, 300, 2001)
