"""Truths about reading photographs: the geometry of the view, every kind of file, and what is refused."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from refusals import refusal

from course_pkg import pictures
from course_pkg.pictures import View

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def ramp(width: int, height: int) -> np.ndarray:
    """A picture whose red says how far right a place is, and whose green how far down."""
    x, y = np.meshgrid((np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height)
    return (np.stack([x, y, np.zeros_like(x)], axis=2) * 255).round().astype(np.uint8)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    """The bytes of a picture's file."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


# The view


@pytest.mark.parametrize("fit", ["crop", "squash"])
@pytest.mark.parametrize("size", [(640, 480), (480, 640), (300, 300), (1200, 250), (224, 224), (60, 90)])
def test_places_in_the_view_are_the_places_they_show(size: tuple[int, int], fit: str) -> None:
    image = pictures.upright(ramp(*size))
    view = View.of(image.size, fit)
    seen = view.pixels(image)[8:-8, 8:-8, :2] / 255  # bicubic overshoots at a picture's border
    y, x = np.mgrid[8:216, 8:216] + 0.5
    shown = view.to_picture(np.stack([x, y], axis=2) / 224)
    assert np.abs(seen - shown).max() < 0.006  # one level is 0.004
    assert np.array_equal(pictures.read(ramp(*size), fit), view.pixels(image))


@pytest.mark.parametrize("size", [(768, 512), (512, 768), (512, 512), (1024, 256)])
def test_the_view_is_shorter_side_256_then_the_middle_224(size: tuple[int, int]) -> None:
    generator = np.random.default_rng(0)
    image = Image.fromarray(generator.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
    half = image.resize((size[0] * 256 // min(size), size[1] * 256 // min(size)), Image.Resampling.BICUBIC)
    left, upper = (half.width - 224) // 2, (half.height - 224) // 2
    expected = np.array(half.crop((left, upper, left + 224, upper + 224))).astype(int)
    assert np.abs(pictures.read(image).astype(int) - expected).max() <= 1


def test_shapes_are_kept() -> None:
    """A circle stays as wide as high, whatever the picture's shape; squashed it does not."""
    y, x = np.mgrid[:400, :800]
    circle = ((x - 400) ** 2 + (y - 200) ** 2 < 100**2).astype(np.uint8) * 255
    seen = pictures.read(circle)[:, :, 0] > 127
    assert abs(int(seen.any(axis=0).sum()) - int(seen.any(axis=1).sum())) <= 1
    squashed = pictures.read(circle, "squash")[:, :, 0] > 127
    assert 2 * squashed.any(axis=0).sum() == pytest.approx(squashed.any(axis=1).sum(), abs=2)


def test_a_prepared_picture_is_taken_as_it_is() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    for fit in ("crop", "squash"):
        assert np.array_equal(pictures.read(pixels, fit), pixels)
    assert View.of((224, 224)).box == (0, 0, 224, 224)


def test_there_and_back() -> None:
    view = View.of((500, 333))
    places = np.random.default_rng(2).random((5, 7, 2))
    assert np.allclose(view.to_view(view.to_picture(places)), places)
    assert np.allclose(view.to_view(np.array([0.5, 0.5])), 0.5)
    corner = view.to_view(np.array([0.0, 0.0]))
    assert (corner < 0).all()  # cut off, and said to be outside


@pytest.mark.parametrize("grid", [(14, 14), (7, 7), (2, 3)])
def test_cells_tile_the_box_row_by_row(grid: tuple[int, int]) -> None:
    view = View.of((640, 480))
    cells = view.cells(grid)
    left, upper, right, lower = cells.T
    assert len(cells) == grid[0] * grid[1]
    assert cells[0, :2] * view.size == pytest.approx(view.box[:2])
    assert cells[-1, 2:] * view.size == pytest.approx(view.box[2:])
    assert np.allclose(left[1 : grid[1]], right[: grid[1] - 1]) and np.allclose(upper[: grid[1]], upper[0])
    assert np.allclose(upper[grid[1] :], lower[: -grid[1]])
    area = (right - left) * (lower - upper) * 640 * 480
    assert np.allclose(area * len(cells), (480 * 224 / 256) ** 2)


def test_an_unknown_fit_is_refused() -> None:
    assert "crop or squash" in refusal(lambda: pictures.read(ramp(300, 300), "pad"))


def test_read_all_reads_each() -> None:
    both = pictures.read_all([ramp(300, 400), ramp(224, 224)])
    assert np.array_equal(both[0], pictures.read(ramp(300, 400)))
    assert np.array_equal(both[1], ramp(224, 224))
    assert pictures.read_all([]).shape == (0, 224, 224, 3)


# Kinds of files


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_exif_orientation_is_honoured(orientation: int) -> None:
    """The standard says which side of the scene the stored row 0 and column 0 are (EXIF 2.3, tag 0x0112)."""
    scene = ramp(40, 30)
    row_is, column_is = {
        1: "top left", 2: "top right", 3: "bottom right", 4: "bottom left",
        5: "left top", 6: "right top", 7: "right bottom", 8: "left bottom",
    }[orientation].split()  # fmt: skip
    stored = scene if row_is in ("top", "bottom") else scene.transpose(1, 0, 2)
    stored = stored[::-1] if row_is in ("bottom", "right") else stored
    stored = stored[:, ::-1] if column_is in ("bottom", "right") else stored
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(Image.fromarray(np.ascontiguousarray(stored)), "PNG", exif=exif.tobytes())
    assert np.array_equal(np.array(pictures.upright(data)), scene)


def test_broken_exif_does_not_matter() -> None:
    data = saved(Image.fromarray(ramp(40, 30)), "PNG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\xff\xff\xff\xff\xff")
    assert np.array_equal(np.array(pictures.upright(data)), ramp(40, 30))


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "JPEG", "WEBP"])
def test_usual_formats_show_the_same(tmp_path: Path, kind: str) -> None:
    smooth = Image.fromarray(ramp(320, 240))
    path = tmp_path / f"picture.{kind.lower()}"
    path.write_bytes(saved(smooth, kind, **({"quality": 95} if kind in ("JPEG", "WEBP") else {})))
    expected = pictures.read(ramp(320, 240)).astype(int)
    for source in (path, str(path), path.read_bytes(), io.BytesIO(path.read_bytes())):
        assert np.abs(pictures.read(source).astype(int) - expected).max() <= 6  # what lossy formats lose
    with open(path, "rb") as file:
        assert np.array_equal(pictures.read(file), pictures.read(path))


def colour(source: pictures.Source) -> tuple[int, ...]:
    """The one colour of a picture."""
    pixels = pictures.read(source).reshape(-1, 3)
    assert (pixels == pixels[0]).all()
    return tuple(int(value) for value in pixels[0])


def plain(mode: str, value: object) -> Image.Image:
    """A picture of one colour."""
    return Image.new(mode, (40, 30), value)


@pytest.mark.parametrize(
    "image, expected",
    [
        (plain("1", 1), WHITE),
        (plain("1", 0), (0, 0, 0)),
        (plain("L", 77), (77, 77, 77)),
        (plain("LA", (77, 255)), (77, 77, 77)),
        (plain("LA", (77, 0)), WHITE),
        (plain("RGB", (1, 2, 3)), (1, 2, 3)),
        (plain("RGBA", (1, 2, 3, 255)), (1, 2, 3)),
        (plain("RGBA", (1, 2, 3, 0)), WHITE),
        (plain("RGBA", (0, 0, 0, 51)), (204, 204, 204)),  # a fifth of black on white
        (plain("I;16", 65535), WHITE),
        (plain("I;16", 257 * 9), (9, 9, 9)),
        (plain("I;16", 0x1234), (0x12, 0x12, 0x12)),  # the two bytes differ, and the high one counts
    ],
)
def test_modes_survive_png(image: Image.Image, expected: tuple[int, ...]) -> None:
    assert colour(image) == expected
    assert colour(saved(image, "PNG")) == expected


def test_palettes_and_their_transparent_colour() -> None:
    image = Image.new("P", (40, 30), 1)
    image.putpalette([*RED, *GREEN, *BLUE])
    assert colour(saved(image, "PNG")) == colour(saved(image, "GIF")) == GREEN
    assert colour(saved(image, "PNG", transparency=1)) == colour(saved(image, "GIF", transparency=1)) == WHITE
    assert colour(saved(image, "PNG", transparency=2)) == GREEN
    assert colour(saved(image, "PNG", transparency=bytes([255, 0, 255]))) == WHITE
    assert colour(saved(plain("RGB", RED), "PNG", transparency=RED)) == WHITE


def test_cmyk_prints_are_seen_in_their_colours() -> None:
    assert colour(plain("CMYK", (0, 255, 255, 0))) == RED
    assert colour(saved(plain("CMYK", (0, 255, 255, 0)), "TIFF")) == RED
    assert np.abs(np.array(colour(saved(plain("CMYK", (255, 0, 255, 0)), "JPEG"))) - GREEN).max() <= 3


def test_sixteen_bits_and_floats_in_tiff() -> None:
    for values, expected in [
        (np.full((30, 40), 257 * 200, np.uint16), 200),
        (np.full((30, 40), 257 * 200, np.int32), 200),
        (np.full((30, 40), 0.6, np.float32), 153),
    ]:
        assert colour(saved(Image.fromarray(values), "TIFF")) == (expected,) * 3
        assert colour(values) == (expected,) * 3
    assert "8 bits" in refusal(lambda: pictures.read(np.full((30, 40), 900.0)))
    assert "8 bits" in refusal(lambda: pictures.read(np.full((30, 40), np.nan)))
    assert "8 bits" in refusal(lambda: pictures.read(np.full((30, 40), -1)))
    assert "8 bits" in refusal(lambda: pictures.read(saved(Image.fromarray(np.full((30, 40), 9e9, "f4")), "TIFF")))


def test_an_array_of_true_and_false_is_white_and_black() -> None:
    mask = np.zeros((30, 40), dtype=bool)
    mask[:, 20:] = True
    found = np.array(pictures.upright(mask))
    assert (found[:, :20] == 0).all() and (found[:, 20:] == 255).all()


def test_arrays_in_every_shape() -> None:
    assert colour(np.full((30, 40, 1), 5, np.uint8)) == (5, 5, 5)
    assert colour(np.full((30, 40, 3), 1.0)) == WHITE
    assert colour(np.zeros((30, 40, 4), np.uint8)) == WHITE  # transparent
    for shape in [(30,), (3, 30, 40), (1, 30, 40, 3), (30, 40, 2)]:
        assert "shape" in refusal(lambda shape=shape: pictures.read(np.zeros(shape, np.uint8)))


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_an_animation_shows_its_first_frame(kind: str) -> None:
    more = [plain("RGB", BLUE), plain("RGB", GREEN)]
    options = {"lossless": True} if kind == "WEBP" else {}
    assert colour(saved(plain("RGB", RED), kind, save_all=True, append_images=more, **options)) == RED


def test_a_reader_s_image_is_not_changed() -> None:
    image = plain("RGBA", (1, 2, 3, 0))
    before = image.copy()
    pictures.read(image)
    assert image == before and image.mode == "RGBA"
    values = np.full((224, 224, 3), 7, np.uint8)
    pictures.read(values)[:] = 0
    assert (values == 7).all()


# What is refused


def png_claiming(width: int, height: int) -> bytes:
    """A PNG of a hundred bytes whose header promises ``width × height`` pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(100_000, 100_000), (2**31 - 1, 2**31 - 1), (10_100, 10_000), (12_000, 12_000)])
def test_decompression_bombs_are_refused_by_their_header(size: tuple[int, int]) -> None:
    assert "scale it down" in refusal(lambda: pictures.read(png_claiming(*size)))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP", "PPM"])
def test_half_a_picture_is_refused(tmp_path: Path, kind: str) -> None:
    noise = Image.fromarray(np.random.default_rng(3).integers(0, 256, (90, 120, 3), dtype=np.uint8))
    data = saved(noise, kind)
    path = tmp_path / "half"
    for part in (0.02, 0.3, 0.6, 0.95):
        path.write_bytes(data[: int(len(data) * part)])
        message = refusal(lambda: pictures.read(path))
        assert str(path) in message and ("save it" in message or "scale it down" in message)


def test_what_is_no_picture_is_refused(tmp_path: Path) -> None:
    for data in (b"", b"hello", b"%PDF-1.7\n", b"<svg xmlns='http://www.w3.org/2000/svg'/>", bytes(5000)):
        assert "not a picture" in refusal(lambda data=data: pictures.read(data))
    (tmp_path / "notes.jpg").write_text("a caption", encoding="utf-8")
    assert "notes.jpg is not a picture" in refusal(lambda: pictures.read(tmp_path / "notes.jpg"))
    assert "no such file" in refusal(lambda: pictures.read(tmp_path / "missing.jpg"))
    assert "directory" in refusal(lambda: pictures.read(tmp_path))
    assert "cannot read" in refusal(lambda: pictures.read("https://example.org/cat.jpg"))


def test_no_program_is_started_for_a_picture() -> None:
    """Pillow would hand EPS to Ghostscript."""
    assert "not a picture" in refusal(lambda: pictures.read(saved(plain("RGB", RED), "EPS")))


@pytest.mark.parametrize("size, word", [((0, 5), "0 x 5"), ((15, 300), "at least 16"), ((1, 1), "1 x 1")])
def test_too_few_pixels_are_refused(size: tuple[int, int], word: str) -> None:
    assert word in refusal(lambda: pictures.read(Image.new("RGB", size)))
    assert word in refusal(lambda: pictures.read(np.zeros((size[1], size[0], 3), np.uint8)))


def test_strips_are_refused() -> None:
    assert "strip" in refusal(lambda: pictures.read(Image.new("RGB", (20, 321))))
    assert pictures.read(Image.new("RGB", (20, 320))).shape == (224, 224, 3)
    assert "strip" in refusal(lambda: pictures.read(saved(Image.new("RGB", (2000, 20)), "PNG")))
