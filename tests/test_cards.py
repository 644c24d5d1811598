"""The pages of cards: every published model has one, every collection of data too, and what they count is so."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from course_pkg import captioned, corpora, located, scenes, toy
from course_pkg.checkpoints import published

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tools/ext")]
import model_cards  # noqa: E402

MODELS = (ROOT / "book/model_cards.md").read_text(encoding="utf-8")
DATA = (ROOT / "book/data_cards.md").read_text(encoding="utf-8")
PEOPLE = (
    "man|men|woman|women|boys?|girls?|child|children|people|persons?|kids?|guys?|lady|ladies|baby|toddler|players?|"
    "group|crowd|couple|he|she"
)


def test_every_published_model_has_one_card_and_so_will_the_next() -> None:
    shown: list[str] = []
    listed: list[str] = []
    for line in re.findall(r"^```\{model-cards\}(.*)$", MODELS, flags=re.MULTILINE):
        wanted = tuple(line.split())
        shown.extend(wanted)
        listed += model_cards.chosen([*published(), "another-model"], wanted, shown)
    assert sorted(listed) == sorted([*published(), "another-model"])


@pytest.mark.parametrize("name", published())
def test_a_card_has_its_text_headline_and_table(name: str) -> None:
    body = model_cards.body_of(name)
    assert "Licence of the weights" in body and "- Data:" in body and "- Recipe:" in body
    config = model_cards.read(model_cards.PACKAGE / "weights" / name / "config.json")
    assert config["headline"]["metric"] and config["headline"]["data"]
    assert model_cards.read(model_cards.PACKAGE / "results" / f"{name}.json")["rows"]


@pytest.mark.parametrize("name", published())
def test_the_notice_speaks_of_every_published_model(name: str) -> None:
    notice = " ".join((ROOT / "LICENSE-WEIGHTS").read_text(encoding="utf-8").split())
    assert f'"{name.partition("-")[0]}"' in notice


@pytest.mark.parametrize("name", published())
def test_what_a_model_learned_from_has_a_card_that_names_it(name: str) -> None:
    said = set(re.findall(r"^```\{trained-on\} (\S+)", DATA, flags=re.MULTILINE))
    found = model_cards.corpora_of(name)
    assert found & said
    assert all(one in said or f"`{one}`" in DATA for one in found)


def test_scores_of_few_sentences_are_left_out() -> None:
    lengths = [{"min": 0, "max": 5, "n": 6, "bleu": 81.0}, {"min": 6, "max": None, "n": 400, "bleu": 60.0}]
    table = model_cards.by_length({"by_length": lengths})
    assert table and [row["words"] for row in table["rows"]] == ["6 or more"]
    assert model_cards.by_length({"by_length": lengths[:1]}) is None and model_cards.by_length({}) is None


# --- what the cards of data count -------------------------------------------------------------------------------

needs_data = pytest.mark.skipif(corpora.data_folder() is None, reason="COURSE_DATA names no folder")


def numbers(row: str) -> list[int]:
    """The numbers in the columns of a table's row."""
    (line,) = re.findall(rf"^\| `?{re.escape(row)}`? \|(.*)\|$", DATA, flags=re.MULTILINE)
    return [int(cell.replace(",", "")) for cell in map(str.strip, line.split("|")) if re.fullmatch(r"[\d,]+", cell)]


def sizes(domain: str) -> list[int]:
    splits = [split for split in corpora.PARALLEL_SPLITS[domain] if not split.startswith("newstest")]
    return [len(corpora.parallel(domain, split)) for split in splits]


def share(texts: list[str], words: str) -> float:
    """In how many of 100 texts one of the words stands."""
    wanted = re.compile(rf"\b({words})\b", flags=re.IGNORECASE)
    return 100 * sum(bool(wanted.search(text)) for text in texts) / len(texts)


@needs_data
@pytest.mark.parametrize("domain", list(corpora.PARALLEL_SPLITS))
def test_longer_text_has_the_sizes_of_its_card(domain: str) -> None:
    assert numbers(domain) == sizes(domain)


@needs_data
def test_the_overview_counts_what_there_is() -> None:
    splits = {split: len(corpora.multi30k(split)) for split in ("train", "val", "test_2016_flickr")}
    assert [numbers(split) for split in ("test_2016_flickr",)] == [[splits["test_2016_flickr"]]]
    assert f"| sentence pairs | {sum(splits.values()):,} |" in DATA
    assert f"| sentence pairs | {sum(sum(sizes(domain)) for domain in corpora.PARALLEL_SPLITS):,} |" in DATA
    gold = corpora.hansard()
    assert f"| sentence pairs, aligned by people | {len(gold.text)} |" in DATA
    assert f"({sum(map(len, gold.sure)):,} here)" in DATA and f"({sum(map(len, gold.possible)):,})" in DATA
    photographs = sum(len(captioned.flickr8k(split)) for split in ("train", "val", "test"))
    assert f"| photographs, five captions each | {photographs:,} |" in DATA
    coco = located.coco_mini()
    assert f"| photographs, outlines, captions | {len(coco)} |" in DATA
    assert f"outlined {sum(map(len, coco.things)):,} things of the 80" in DATA
    assert f"{len(coco.captioned())} of them have captions and outlines both" in DATA.replace("\n", " ")


@needs_data
def test_captions_hold_and_lack_what_their_cards_say() -> None:
    texts = list(corpora.multi30k("train").source)
    assert 78 < share(texts, PEOPLE) < 82  # four of five
    assert sum("?" in text for text in texts) == 7
    assert 0.15 < share(texts, "I|you|we") < 0.25  # one of 500
    assert 1.8 < share(texts, "man|men") / share(texts, "woman|women") < 2
    train = captioned.flickr8k("train")
    captions = [caption for several in train.captions for caption in several]
    assert 97.5 < share([" ".join(several) for several in train.captions], f"{PEOPLE}|dogs?") < 98.5
    assert 24 < share([" ".join(several) for several in train.captions], "dogs?") < 26  # a quarter
    assert 1 / 6.5 < share(captions, "cats?") < 1 / 5.5  # one of 600
    assert 1.2 < share(captions, "cars?") < 1.3  # one of 80
    assert 9 < share(captions, "boys?") < 11  # one of ten


def test_what_the_code_makes_is_counted_rightly() -> None:
    english, french = toy.vocabulary_words()
    assert f"{len(english)} English and {len(french)} French words" in DATA
    assert f"of {len(scenes.vocabulary_words())} words' vocabulary" in DATA
    assert f"{scenes.SMALLEST} to {scenes.LARGEST} pixels" in DATA and f"from {toy.SHORTEST} to {toy.LONGEST}" in DATA


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_toy_sentences_that_were_seen_in_training_are_counted_rightly() -> None:
    """In a process of its own: with types checked at every call, 40,000 sentences take minutes."""
    recipe = model_cards.read(model_cards.PACKAGE / "weights/toy-en-fr-rnnsearch/config.json")["recipe"]
    data, seed = recipe["data"], recipe["training"]["seed"]
    length = f"min_words={data['min_words']}, max_words={data['toy_words']}"
    code = f"""
from course_pkg import toy
seen = {{pair.source for pair in toy.pairs({data["pairs"]}, seed={seed}, {length})}}
print(sum(pair.source in seen for pair in toy.pairs(500, seed=3_000_000, {length})))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert (
        f"of the 500 that the toy models are tested on, {done.stdout.strip()} are among the {data['pairs']:,}" in DATA
    )
