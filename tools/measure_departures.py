"""What each departure from the papers costs on toys: trains small models with and without it.

``python tools/measure_departures.py`` trains RNNsearch and the plain encoder–decoder on the toy grammar, and the
captioner of Show, Attend and Tell on *boards* (see `boards`): first each by default, then with one setting changed,
which is what a row of the page "Papers and code" calls a departure. With the same seed all see the same examples in the
same order, so that a cost is a difference of pairs. Every finished run is a file below ``--runs``: stopped and started
again, the tool goes on where it was. It writes ``course_pkg/results/departures.json``, one row for each change:

- ``difference``: its loss a word less the default's, mean over the seeds, and ``differences``, seed by seed;
- ``spread``: the default's largest loss less its smallest, over all its seeds, of which there are more;
- ``seen``: whether all differences have one sign and each is larger than that spread. If not, they may be chance;
- the same for exact match, in points: ``exact_difference``, ``exact_differences``, ``exact_spread``. It decides what is
  seen where only the search is changed (D7), which leaves the loss as it is.

Changes of how a model writes (D7, and the look in testing of D12) are measured on the models of the default.
"""

import json
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from entry import options, told
from measure_one_line import CLIP, RATE, WARMUP, rate
from publish import write_json
from torch import Tensor, nn

from course_pkg import toy
from course_pkg.batching import Batch, BucketSampler, CaptionBatch
from course_pkg.checkpoints import Stored
from course_pkg.decoders import Rollout
from course_pkg.encoders import Encoded
from course_pkg.evaluation import passport
from course_pkg.inference import Translator
from course_pkg.losses import (
    MovingBaseline,
    doubly_stochastic_penalty,
    reinforce,
    sentence_log_likelihood,
    sequence_cross_entropy,
)
from course_pkg.metrics import bleu
from course_pkg.models import EncoderDecoder, initialise_as_paper, rnn_encoder_decoder, rnnsearch, show_attend_tell
from course_pkg.search import greedy
from course_pkg.toy import AlignedPair
from course_pkg.vocabulary import BOS, EOS, PAD, WordVocabulary

SIZES = {"embedding_size": 64, "state_size": 128, "maxout_size": 64}
EYES = {"embedding_size": 24, "state_size": 48, "alignment_size": 24}
SEEDS, MORE_SEEDS = (1, 2), (3,)  # with the last only the default is trained, to know its spread
SIZE, WORDS, BATCH = 6000, 8, 64  # examples; tokens of the longest toy source
LEARNING = {"rnnsearch": (300, 5e-3), "encdec": (300, 5e-3), "soft": (400, 1e-2), "hard": (400, 1e-2)}  # updates, rate
TESTS, TEST_SEED = 500, 10_000_000  # training uses its seed; other measurements up to 9,000,000
COLOURS, SHAPES, SIDE, MOST = 5, 5, 3, 4
FIRST = 4  # of a board's words; the special tokens stand before
COLUMNS = {
    "departure": "departure",
    "change": "what is changed",
    "of": "of",
    "loss": "loss a word, nats",
    "difference": "difference",
    "differences": "seed by seed",
    "spread": "the default's spread",
    "exact": "exact, %",
    "exact_difference": "difference, points",
    "seen": "more than seeds differ by",
}


@dataclass(frozen=True)
class Setting:
    """One way to build and train a model; without a departure, the default."""

    departure: str
    change: str
    of: str = "rnnsearch"
    model: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    rebuild: Callable[[EncoderDecoder], None] | None = None


class Squashed(nn.Module):
    """An encoder whose summary goes through ``tanh(V h)`` (D6, as Cho et al. 2014 have it)."""

    def __init__(self, encoder: nn.Module, size: int) -> None:
        super().__init__()
        self.encoder, self.V = encoder, nn.Linear(size, size)

    def forward(self, source: Tensor, mask: Tensor) -> Encoded:
        """The same annotations, another summary."""
        read = self.encoder(source, mask)
        return Encoded(read.annotations, read.mask, torch.tanh(self.V(read.summary)))


def with_bottleneck(model: EncoderDecoder) -> None:
    """D2: a linear layer of the embedding's width between the maxout units and the vocabulary."""
    output = model.decoder.output
    size, words = SIZES["embedding_size"], output.W_o.out_features
    output.W_o = nn.Sequential(nn.Linear(SIZES["maxout_size"], size, bias=False), nn.Linear(size, words))


def with_squashed_summary(model: EncoderDecoder) -> None:
    """D6: ``c = tanh(V h_T)``."""
    model.encoder = Squashed(model.encoder, SIZES["state_size"])  # type: ignore[assignment]


DROPOUT = dict.fromkeys(("embedding_dropout", "annotation_dropout", "output_dropout"), 0.1)
HALF = {"output_tanh": True, "state_dropout": 0.5, "output_dropout": 0.5}
RELEASED = {"reward": "word", "reward_weight": 0.1 * BATCH, "entropy_weight": 0.002 * BATCH}
SETTINGS = (
    Setting("", "default"),
    Setting("", "default", "encdec"),
    Setting("", "default", "soft"),
    Setting("", "default", "hard"),
    Setting("D1", 'order = "appendix"', model={"order": "appendix"}),
    Setting("D1", 'order = "groundhog"', model={"order": "groundhog"}),
    Setting("D2", "a linear layer before W_o", rebuild=with_bottleneck),
    Setting("D4", 'reduction = "sum"', training={"reduction": "sum"}),
    Setting("D5", "buffer_batches = 10", training={"buffer_batches": 10}),
    Setting("D6", "c = tanh(V h_T)", "encdec", rebuild=with_squashed_summary),
    Setting("D8", "alignment_size = state_size", model={"alignment_size": SIZES["state_size"]}),
    Setting("D9", "output_tanh", "soft", {"output_tanh": True}),
    Setting("D9", "output_tanh, dropout 0.5", "soft", HALF),
    Setting("D10", "attention_layers = 2", "soft", {"attention_layers": 2}),
    Setting("D10", "first_state_layers = 2", "soft", {"first_state_layers": 2}),
    Setting("D11", 'penalty "code"', "soft", training={"penalty": "code"}),
    Setting("D12", 'coin = "minibatch"', "hard", {"coin": "minibatch"}),
    Setting("D13", "reward, λ_r and λ_e of the code", "hard", training=RELEASED),
    Setting("D15", 'reset = "after"', model={"reset": "after"}),
    Setting("D16", "bias = false", model={"bias": False}),
    Setting("D16", "bias = false", "soft", {"bias": False}),
    Setting("D17", 'initialisation = "paper"', training={"initialisation": "paper"}),
    Setting("D17", 'initialisation = "paper"', "soft", training={"initialisation": "paper"}),
    Setting("D18", 'optimiser = "adadelta"', training={"optimiser": "adadelta"}),
    Setting("D19", "dropout 0.1", model=DROPOUT),
    Setting("D20", "gate = false", "soft", {"gate": False}),
    Setting("D20", "gate = false", "hard", {"gate": False}),
)  # fmt: skip
# What is changed when a model of the default writes: departure, change, model, settings.
WRITING = (
    ("D7", "beam 10, log p", "rnnsearch", {"beam": 10, "length_penalty": 0.0}),
    ("D7", "beam 10, log p / length", "rnnsearch", {"beam": 10, "length_penalty": 1.0}),
    ("D12", 'when_testing = "sample"', "hard", {"when_testing": "sample"}),
    ("D12", 'when_testing = "argmax"', "hard", {"when_testing": "argmax"}),
)


def boards(count: int, seed: int) -> list[tuple[Tensor, list[int]]]:
    """Boards of `SIDE` × `SIDE` fields, and their captions: two to four coloured shapes, row by row.

    A field says what it holds and where it is; the mean of all fields says which colours and shapes there are and not
    which go together. A caption is ``colour shape colour shape … EOS``.
    """
    generator = torch.Generator().manual_seed(seed)
    made = []
    for _ in range(count):
        number = int(torch.randint(2, MOST + 1, (), generator=generator))
        fields = torch.randperm(SIDE * SIDE, generator=generator)[:number].sort().values
        colours = torch.randint(COLOURS, (number,), generator=generator)
        shapes = torch.randint(SHAPES, (number,), generator=generator)
        board = torch.cat([torch.zeros(SIDE * SIDE, COLOURS + SHAPES), torch.eye(SIDE * SIDE)], dim=1)
        board[fields, colours], board[fields, COLOURS + shapes] = 1.0, 1.0
        words = torch.stack([FIRST + colours, FIRST + COLOURS + shapes], dim=1)
        made.append((board, [*words.flatten().tolist(), EOS]))
    return made


@dataclass(frozen=True)
class Text:
    """Toy sentences of one seed, and fresh ones."""

    source: WordVocabulary
    target: WordVocabulary
    train: list[tuple[Sequence[int], Sequence[int]]]
    fresh: list[AlignedPair]

    def lengths(self) -> list[int]:
        """What batches are sorted by."""
        return [max(map(len, pair)) for pair in self.train]

    def batch(self, rows: Sequence[int]) -> Batch:
        """These pairs side by side."""
        return Batch.collate([self.train[row] for row in rows])

    def new(self, setting: Setting) -> EncoderDecoder:
        """The model that the setting asks for."""
        words = {"source_vocabulary": len(self.source), "target_vocabulary": len(self.target)}
        if setting.of == "encdec":
            return rnn_encoder_decoder(**words, **{**SIZES, **setting.model})
        return rnnsearch(**words, **{**SIZES, "alignment_size": 64, **setting.model})

    def measure(self, model: EncoderDecoder, **how: Any) -> dict[str, float]:
        """Loss a word under teacher forcing, and the share of fresh sentences translated word for word."""
        translator = Translator(Stored(model, self.source, self.target, {"name": "toy"}), "cpu")
        sides = [(pair.source, pair.target) for pair in self.fresh]
        written = translator.translate([source for source, _ in sides], **{"beam": 1, **how})
        same = [one.target == target for one, (_, target) in zip(written, sides, strict=True)]
        nll, tokens = (sum(column) for column in zip(*translator.score(sides), strict=True))
        return {"loss": nll / tokens, "exact": 100 * statistics.fmean(same)}


@dataclass(frozen=True)
class Boards:
    """Boards of one seed, and fresh ones."""

    train: list[tuple[Tensor, list[int]]]
    fresh: list[tuple[Tensor, list[int]]]

    def lengths(self) -> list[int]:
        """What batches are sorted by."""
        return [len(words) for _, words in self.train]

    def batch(self, rows: Sequence[int]) -> CaptionBatch:
        """These boards side by side."""
        return together([self.train[row] for row in rows])

    def new(self, setting: Setting) -> EncoderDecoder:
        """The model that the setting asks for."""
        words, width = FIRST + COLOURS + SHAPES, COLOURS + SHAPES + SIDE * SIDE
        choice = {**EYES, **setting.model}
        return show_attend_tell(target_vocabulary=words, feature_size=width, attention=setting.of, **choice)

    @torch.no_grad()
    def measure(self, model: EncoderDecoder, when_testing: str = "expected") -> dict[str, float]:
        """Loss a word under teacher forcing, and the share of fresh boards described word for word."""
        model.eval()
        attention = model.decoder.attention
        kept = getattr(attention, "when_testing", None)
        attention.when_testing = when_testing
        batch = together(self.fresh)
        loss = sequence_cross_entropy(model(batch).logits, batch.targets, batch.target_mask)
        steps = 2 * MOST + 2
        found = greedy(model.decoder, model.encode(batch.source), bos=BOS, eos=EOS, max_steps=steps, forbid=(PAD, BOS))
        attention.when_testing = kept
        wanted = [words[:-1] for _, words in self.fresh]
        written = [ids[: ids.index(EOS)] if EOS in ids else ids for ids in found.tokens[:, 0].tolist()]
        same = [one == other for one, other in zip(written, wanted, strict=True)]
        return {"loss": float(loss), "exact": 100 * statistics.fmean(same)}


def together(rows: Sequence[tuple[Tensor, Sequence[int]]]) -> CaptionBatch:
    """A batch of boards."""
    return CaptionBatch.collate(torch.stack([board for board, _ in rows]), [words for _, words in rows])


def text(seed: int, pairs: int, tests: int) -> Text:
    """What translators of this seed are trained and tested on."""
    drawn = toy.pairs(pairs, seed=seed, max_words=WORDS)
    source = WordVocabulary.train([pair.source for pair in drawn], size=1000)
    target = WordVocabulary.train([pair.target for pair in drawn], size=1000)
    data = [(source.encode(pair.source).ids, target.encode(pair.target).ids) for pair in drawn]
    return Text(source, target, data, toy.pairs(tests, seed=TEST_SEED, max_words=WORDS))


def loss_of(
    rollout: Rollout, batch: Batch | CaptionBatch, of: str, plan: dict[str, Any], baseline: MovingBaseline
) -> Tensor:
    """What is minimised: for translators a mean over words, for captioners sums over a caption's words (eq. 12, 14)."""
    mask = batch.target_mask
    if of in ("rnnsearch", "encdec"):
        return sequence_cross_entropy(rollout.logits, batch.targets, mask, reduction=plan.get("reduction", "token"))
    likelihood = sentence_log_likelihood(rollout.logits, batch.targets, mask)
    assert rollout.weights is not None
    if of == "soft":
        everywhere = torch.ones_like(rollout.weights[:, 0], dtype=torch.bool)
        reduction = plan.get("penalty", "image")
        return doubly_stochastic_penalty(rollout.weights, mask, everywhere, reduction=reduction) - likelihood.mean()
    assert rollout.log_probs is not None
    chosen = {name: plan[name] for name in ("reward", "reward_weight", "entropy_weight") if name in plan}
    return reinforce(likelihood, rollout.log_probs, rollout.weights, mask, baseline, **chosen).loss


def batches(sampler: BucketSampler, updates: int) -> Iterator[list[int]]:
    """Rows of so many batches, epoch after epoch."""
    done = 0
    while True:
        for rows in sampler:
            if done == updates:
                return
            yield rows
            done += 1
        sampler.set_epoch(sampler.epoch + 1)


def train(setting: Setting, data: Text | Boards, seed: int, share: float) -> EncoderDecoder:
    """The setting's model, trained for that share of its updates."""
    plan = setting.training
    updates, highest = round(share * LEARNING[setting.of][0]), LEARNING[setting.of][1]
    torch.manual_seed(seed)
    model = data.new(setting)
    if plan.get("initialisation") == "paper":
        initialise_as_paper(model, seed=seed)
    if setting.rebuild:
        setting.rebuild(model)
    adadelta = plan.get("optimiser") == "adadelta"
    parameters = list(model.parameters())
    optimiser: torch.optim.Optimizer = (
        torch.optim.Adadelta(parameters, lr=1.0, rho=0.95, eps=1e-6) if adadelta else torch.optim.Adam(parameters)
    )
    baseline = MovingBaseline()
    sampler = BucketSampler(data.lengths(), batch_size=BATCH, seed=seed, buffer_batches=plan.get("buffer_batches", 20))
    model.train()
    for step, rows in enumerate(batches(sampler, updates)):
        batch = data.batch(rows)
        for group in optimiser.param_groups:
            group["lr"] = 1.0 if adadelta else rate(step, updates) / RATE * highest
        loss = loss_of(model(batch), batch, setting.of, plan, baseline)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, CLIP)
        optimiser.step()
    return model


def one_run(setting: Setting, data: Text | Boards, seed: int, share: float) -> dict[str, Any]:
    """Train and test one setting with one seed; a model of the default also writes in the other ways."""
    torch.set_num_threads(1)
    start = time.process_time()
    model = train(setting, data, seed, share)
    made = {**data.measure(model), "writing": {}}
    if not setting.departure:
        for departure, change, of, how in WRITING:
            if of == setting.of:
                made["writing"][f"{departure}: {change}"] = data.measure(model, **how)
    return {**made, "seconds": round(time.process_time() - start, 1)}


def name_of(setting: Setting, seed: int) -> str:
    """The file of one run."""
    change = "".join(letter if letter.isalnum() else "-" for letter in setting.change)
    return f"{setting.of}_{setting.departure or 'default'}_{change}_{seed}.json"


def runs(
    folder: Path,
    seeds: Sequence[int],
    more: Sequence[int],
    share: float,
    size: int,
    tests: int,
    minutes: float = math.inf,
) -> dict[str, Any]:
    """Every finished run by its file's name; those that are missing are trained now, as long as there are minutes."""
    found: dict[str, Any] = {}
    folder.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    for seed in (*seeds, *more):
        texts: Text | None = None
        for setting in SETTINGS:
            if seed in more and setting.departure:
                continue
            path = folder / name_of(setting, seed)
            if not path.exists():
                if time.monotonic() - start >= 60 * minutes:
                    continue
                data: Text | Boards
                if setting.of in ("rnnsearch", "encdec"):
                    data = texts = texts or text(seed, size, tests)
                else:
                    data = Boards(boards(size, seed), boards(tests, TEST_SEED))
                write_json(path, one_run(setting, data, seed, share))
            found[path.name] = json.loads(path.read_text(encoding="utf-8"))
            print(path.name, found[path.name], flush=True)
    return found


def span(runs: Sequence[dict[str, float]], key: str) -> float:
    """The largest less the smallest."""
    return max(run[key] for run in runs) - min(run[key] for run in runs)


def compared(own: Sequence[dict[str, float]], usual: Sequence[dict[str, float]], by: str = "loss") -> dict[str, Any]:
    """A change against the default, seed by seed; ``usual`` begins with the seeds of ``own`` and may have more.

    What is ``seen`` is decided by the loss, or by exact match where a change leaves the loss as it is.
    """
    row: dict[str, Any] = {}
    for key, digits in (("loss", 4), ("exact", 1)):
        before = "" if key == "loss" else "exact_"
        row[key] = round(statistics.fmean(run[key] for run in own), digits)
        each = [one[key] - other[key] for one, other in zip(own, usual, strict=False)]
        row[before + "difference"] = round(statistics.fmean(each), digits)
        row[before + "differences"] = [round(value, digits) for value in each]
        row[before + "spread"] = round(span(usual, key), digits)
        if key == by:
            row["seen"] = len({value > 0 for value in each}) == 1 and min(map(abs, each)) > span(usual, key)
    if by == "exact":
        row |= {"loss": None, "difference": None, "differences": None, "spread": None}
    return row


def rows_of(found: dict[str, Any], seeds: Sequence[int], more: Sequence[int]) -> list[dict[str, Any]]:
    """The table: every default, then what departs from it, in the order of the departures' numbers.

    A change that was not trained with the last seeds has fewer differences, one that was not trained at all no row.
    """
    rows, usual = [], {}
    for setting in SETTINGS:
        said = {"departure": setting.departure or "none", "change": setting.change, "of": setting.of}
        names = [name_of(setting, seed) for seed in (seeds if setting.departure else (*seeds, *more))]
        own = [found[name] for name in names if name in found]
        if setting.departure:
            rows += [{**said, **compared(own, usual[setting.of])}] if own else []
            continue
        usual[setting.of] = own
        for key, before, digits in (("loss", "", 4), ("exact", "exact_", 1)):
            said |= {key: round(statistics.fmean(run[key] for run in own[: len(seeds)]), digits)}
            said |= {f"{before}spread": round(span(own, key), digits)}
        rows.append(said)
    for departure, change, of, how in WRITING:
        own = [run["writing"][f"{departure}: {change}"] for run in usual[of][: len(seeds)]]
        said = {"departure": departure, "change": change, "of": of}
        rows.append({**said, **compared(own, usual[of], "exact" if "beam" in how else "loss")})
    return sorted(rows, key=lambda row: 0 if row["departure"] == "none" else int(row["departure"][1:]))


def result(found: dict[str, Any], arguments: Any) -> dict[str, Any]:
    """The whole record."""
    seeds, more = arguments.seeds, arguments.more_seeds
    minutes = sum(run["seconds"] for run in found.values()) / 60
    return {
        "title": "What departures from the papers cost",
        "note": "RNNsearch and the plain encoder–decoder (encdec) on the toy grammar, the captioner with soft and with "
        "hard attention on boards of coloured shapes; by default, then with one change each. A difference is the loss "
        "with the change less the loss without it: above 0 the change does harm. Where it is not more than the "
        "default's own seeds differ by, it may be chance. Small models, briefly trained: this is what a change does to "
        "learning fast, not to a model that has learnt all it can. Changes of the search (D7) leave the loss as it is.",
        "columns": list(COLUMNS.items()),
        "rows": rows_of(found, seeds, more),
        "passport": passport(
            data=f"{arguments.size} toy pairs of up to {WORDS} source tokens, or as many boards of {SIDE} × {SIDE} "
            f"fields; tested on {arguments.tests} fresh ones, seed {TEST_SEED}, the same for all",
            tokenisation="words and punctuation; a vocabulary for each side; cased, raw text",
            signature=bleu(["a"], ["a"]).signature + " (no BLEU is shown)",
            decoding="greedy unless a row says otherwise; the loss under teacher forcing",
            seeds=f"training and data {', '.join(map(str, seeds))}, as many as a row has differences; the default also "
            f"{', '.join(map(str, more))}",
            hardware=f"{arguments.hardware}, one thread, the machine busy with other work",
            cost={
                "runs": len(found),
                "updates": {of: one[0] for of, one in LEARNING.items()},
                "cpu_minutes": round(minutes),
            },
            recipe=f"tools/measure_departures.py: batches of {BATCH}, Adam, learning rate 0.005 for sentences and 0.01 "
            f"for boards after {WARMUP} updates, then a cosine to 0; gradient clipped at {CLIP}; λ of eq. 14 is 1; "
            "no dropout",
        ),
    }


@told
def main(argv: Sequence[str] | None = None) -> None:
    """Train what is missing, measure, and store the result."""
    parser = options(__doc__, "runs", "package", "hardware")
    for name, value in (("size", SIZE), ("tests", TESTS)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--share", type=float, default=1.0, help="of the updates, for a rehearsal")
    parser.add_argument("--minutes", type=float, default=math.inf, help="of training; then with what is finished")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--more-seeds", type=int, nargs="*", default=MORE_SEEDS)
    arguments = parser.parse_args(argv)
    found = runs(
        arguments.runs / "departures",
        arguments.seeds,
        arguments.more_seeds,
        arguments.share,
        arguments.size,
        arguments.tests,
        arguments.minutes,
    )
    write_json(arguments.package / "results" / "departures.json", result(found, arguments))


if __name__ == "__main__":
    sys.exit(main())
