"""Truths about captioned pictures: every form they are handed out in, and what is refused, in one line."""

import json
from pathlib import Path

import pytest
from refusals import refusal

from course_pkg import captioned
from course_pkg.captioned import Captioned, captioned_folder, flickr8k

NAMES = ("a.jpg", "b.jpg", "c.jpg", "d.jpg")
CAPTIONS = {name: (f"one of {name[0]} , said first .", f'"so" : two of {name[0]} .') for name in NAMES}
SPLITS = {"train": ["c.jpg", "a.jpg"], "val": ["b.jpg"], "test": ["d.jpg"]}


def put(folder: Path, files: dict[str, str]) -> Path:
    """Write text files, with the folders above them."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def tab_separated(header: str = "image\tcaption_id\tcaption\n") -> str:
    """All captions as the course's data folder has them."""
    return header + "".join(f"{n}\t{i}\t{text}\n" for n in NAMES for i, text in enumerate(CAPTIONS[n]))


def original() -> str:
    """All captions as Flickr8k is handed out, with the line of a picture that is not there, as in the original."""
    lines = [f"{n}#{i}\t{text}\n" for n in NAMES for i, text in enumerate(CAPTIONS[n])]
    return "".join([*lines, "gone.jpg.1#0\tA picture that nobody has .\n"])


def comma_separated() -> str:
    """All captions as they are found on the web."""
    quoted = {text: '"' + text.replace('"', '""') + '"' for texts in CAPTIONS.values() for text in texts}
    return "image,caption\n" + "".join(f"{n},{quoted[text]}\n" for n in NAMES for text in CAPTIONS[n])


def lists(prefix: str = "") -> dict[str, str]:
    """The split lists of Flickr8k."""
    files = {"train": "trainImages", "val": "devImages", "test": "testImages"}
    return {f"{prefix}Flickr_8k.{files[s]}.txt": "\n".join(names) + "\n" for s, names in SPLITS.items()}


def photographs(folder: str) -> dict[str, str]:
    """Stand-ins: they are listed here, not read."""
    return {f"{folder}/{name}": "pixels" for name in NAMES}


LAYOUTS = {
    "the course's": {"captions.tsv": tab_separated(), "splits.json": json.dumps(SPLITS), **photographs("images")},
    "the original": {
        "Flickr8k_text/Flickr8k.token.txt": original(),
        **lists("Flickr8k_text/"),
        **photographs("Flickr8k_Dataset/Flicker8k_Dataset"),
    },
    "the original, flat": {"Flickr8k.token.txt": original(), **lists(), **photographs("Flicker8k_Dataset")},
    "the web's": {"captions.txt": comma_separated(), **lists(), **photographs("Images")},
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("inside", ["", "flickr8k/"])
def test_every_layout_says_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str, inside: str) -> None:
    put(tmp_path, {inside + name: text for name, text in LAYOUTS[layout].items()})
    for split, names in SPLITS.items():
        found = flickr8k(split, folder=tmp_path)
        assert [image.name for image in found.images] == names
        assert found.captions == tuple(CAPTIONS[name] for name in names)
        assert all(image.read_text() == "pixels" for image in found.images)
        assert found.name == f"flickr8k {split}"
    assert flickr8k("dev", folder=tmp_path) == flickr8k("val", folder=tmp_path)
    monkeypatch.setenv("COURSE_DATA", str(tmp_path))
    assert captioned.load("flickr8k", "test") == flickr8k("test", folder=tmp_path)


def test_missing_parts_of_flickr8k_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "train, val, test" in refusal(lambda: flickr8k("all", folder=tmp_path))
    assert "choose flickr8k" in refusal(lambda: captioned.load("flickr30k", "train"))
    monkeypatch.delenv("COURSE_DATA", raising=False)
    assert "set COURSE_DATA" in refusal(lambda: flickr8k("train"))
    assert "trainImages" in refusal(lambda: flickr8k("train", folder=tmp_path))
    put(tmp_path, {"splits.json": json.dumps({"train": ["a.jpg"], "test": ["b.jpg"]})})
    assert "no split val; it has train, test" in refusal(lambda: flickr8k("val", folder=tmp_path))
    assert "captions.tsv" in refusal(lambda: flickr8k("train", folder=tmp_path))
    put(tmp_path, {"captions.tsv": tab_separated()})
    assert "Flicker8k_Dataset" in refusal(lambda: flickr8k("train", folder=tmp_path))
    put(tmp_path, {"images/b.jpg": ""})
    assert "a.jpg has no file" in refusal(lambda: flickr8k("train", folder=tmp_path))


def test_a_picture_in_two_splits_is_refused(tmp_path: Path) -> None:
    put(tmp_path, {**LAYOUTS["the course's"], "splits.json": json.dumps({**SPLITS, "test": ["d.jpg", "a.jpg"]})})
    message = refusal(lambda: flickr8k("val", folder=tmp_path))
    assert "a.jpg is in train and in test" in message
    put(tmp_path / "o", {**LAYOUTS["the original, flat"], "Flickr_8k.testImages.txt": "b.jpg\n"})
    assert "b.jpg is in val and in test" in refusal(lambda: flickr8k("train", folder=tmp_path / "o"))


# Any folder


@pytest.mark.parametrize(
    "text",
    [
        tab_separated(),
        tab_separated().replace("\n", "\r\n"),
        "\ufeff" + comma_separated(),
        "Caption\tsource\tImage\n" + "".join(f"{t}\tx\t{n}\n" for n in NAMES for t in CAPTIONS[n]),
        "".join(f"{n}\t{text}\n" for n in NAMES for text in CAPTIONS[n]),
        "".join(f"{n}#{i}\t {text}  \n" for n in NAMES for i, text in enumerate(CAPTIONS[n])),
        # captions of different pictures may alternate
        "".join(f"{n}\t{CAPTIONS[n][i]}\n" for i in (0, 1) for n in NAMES),
    ],
)
def test_every_form_of_captions_says_the_same(tmp_path: Path, text: str) -> None:
    put(tmp_path, {"captions": text, **photographs("pictures")})
    found = captioned_folder(tmp_path / "pictures", tmp_path / "captions")
    assert found.images == tuple(tmp_path / "pictures" / name for name in NAMES)
    assert found.captions == tuple(CAPTIONS[name] for name in NAMES)
    assert found.pairs()[2] == (1, CAPTIONS["b.jpg"][0]) and len(found.pairs()) == 8
    assert found.head(2) == Captioned(found.images[:2], found.captions[:2], found.name)
    refusal(lambda: found.head(-1))


def test_a_number_sign_belongs_to_the_name_where_numbers_have_a_column(tmp_path: Path) -> None:
    put(tmp_path, {"captions.tsv": "image\tcaption\nno#1\tx\nno#2\ty\n", "no#1": "", "no#2": ""})
    assert len(captioned_folder(tmp_path, tmp_path / "captions.tsv")) == 2
    put(tmp_path, {"captions.tsv": "take#two.jpg#0\tx\n", "take#two.jpg": ""})
    assert captioned_folder(tmp_path, tmp_path / "captions.tsv").images[0].name == "take#two.jpg"
    put(tmp_path, {"captions.tsv": "take#two.jpg\tx\n"})
    assert captioned_folder(tmp_path, tmp_path / "captions.tsv").images[0].name == "take#two.jpg"


def test_a_split_can_be_given_three_ways(tmp_path: Path) -> None:
    put(
        tmp_path, {**LAYOUTS["the course's"], "elsewhere.json": json.dumps({"odd": ["c.jpg"]}), "list.txt": "d.jpg\n\n"}
    )
    take = lambda split: captioned_folder(tmp_path / "images", tmp_path / "captions.tsv", split)  # noqa: E731
    assert [image.name for image in take("train").images] == SPLITS["train"]
    assert [image.name for image in take(f"{tmp_path / 'elsewhere.json'}:odd").images] == ["c.jpg"]
    assert [image.name for image in take(tmp_path / "list.txt").images] == ["d.jpg"]
    assert "no split odd; it has train, val, test" in refusal(lambda: take("odd"))
    assert "no split train; it has odd" in refusal(lambda: take(f"{tmp_path / 'elsewhere.json'}:train"))
    (tmp_path / "splits.json").unlink()
    assert "give FILE:NAME" in refusal(lambda: take("train"))


@pytest.mark.parametrize("text", ["[1]", '{"train": "a.jpg"}', '{"train": [1]}', "{", '{"train": ["a.jpg"]'])
def test_what_holds_no_splits_is_refused(tmp_path: Path, text: str) -> None:
    put(tmp_path, {**LAYOUTS["the course's"], "splits.json": text})
    assert "splits.json" in refusal(lambda: captioned_folder(tmp_path / "images", tmp_path / "captions.tsv", "train"))


@pytest.mark.parametrize(
    "text, reason",
    [
        ("image\tcaption\na.jpg\tx\nb.jpg\t \n", "line 3: the caption of b.jpg is empty"),
        ("image,caption\na.jpg,x\nb.jpg,\n", "line 3: the caption of b.jpg is empty"),
        ("a.jpg#0\tx\nb.jpg#0\t\n", "line 2: the caption of b.jpg is empty"),
        ("image\tcaption\na.jpg\n", "line 2: there is no picture"),
        ("image\tcaption\n\ta dog\n", "line 2: there is no picture"),
        ("image\tcaption\na.jpg\tx\n\nb.jpg\ty\n", "line 3: there is no picture"),
        ("image\tcaption_id\tcaption\na.jpg\t0\tx\nb.jpg\t0\tx\na.jpg\t0\ty\n", "line 4: a.jpg has caption 0 twice"),
        ("a.jpg#1\tx\na.jpg#1\ty\n", "line 2: a.jpg has caption 1 twice"),
        ("image\tcaption\n", "no captions below its header"),
        ("a dog runs\na cat sits\n", "no file of captions"),
        ("picture,text\na.jpg,x\n", "no file of captions"),
        ("image\tcaption\nnew.jpg\tx\n", "new.jpg has no file"),
        ("image\tcaption\nnew.jpg\tx\nnewer.jpg\tx\na.jpg\ty\n", "2 pictures have no file"),
        ("image\tcaption\n../a.jpg\tx\n", "leads out"),
        ("image\tcaption\n/etc/passwd\tx\n", "leads out"),
    ],
)
def test_bad_captions_are_refused_with_their_place(tmp_path: Path, text: str, reason: str) -> None:
    put(tmp_path, {"captions": text, **photographs("images")})
    assert reason in refusal(lambda: captioned_folder(tmp_path / "images", tmp_path / "captions"))


def test_bad_splits_are_refused(tmp_path: Path) -> None:
    put(tmp_path, {"captions.tsv": "image\tcaption\na.jpg\tx\nb.jpg\ty\n", **photographs("images")})
    take = lambda: captioned_folder(tmp_path / "images", tmp_path / "captions.tsv", "test")  # noqa: E731
    for names, reason in [
        ([], "lists no pictures"),
        (["a.jpg", "b.jpg", "a.jpg"], "a.jpg has more than one entry"),
        (["a.jpg", "c.jpg"], "c.jpg has no caption"),
        (["e.jpg"], "e.jpg has no file"),
    ]:
        put(tmp_path, {"splits.json": json.dumps({"test": names})})
        assert reason in refusal(take)
    assert "not a folder" in refusal(lambda: captioned_folder(tmp_path / "none", tmp_path / "captions.tsv"))


def test_lists_of_different_length_are_refused() -> None:
    assert "1 pictures but captions for 2" in refusal(lambda: Captioned((Path("a"),), (("x",), ("y",)), "mine"))


# Real data


def test_flickr8k_is_the_published_one(course_data: Path) -> None:
    """Hodosh et al. 2013: 6,000, 1,000 and 1,000 pictures, five captions each; no picture in two splits."""
    splits = {split: flickr8k(split, folder=course_data) for split in ("train", "val", "test")}
    assert [len(found) for found in splits.values()] == [6000, 1000, 1000]
    assert {len(captions) for found in splits.values() for captions in found.captions} == {5}
    assert len({image for found in splits.values() for image in found.images}) == 8000
