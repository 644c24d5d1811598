"""Photographs: any picture a reader has, as the 224 × 224 pixels that a network sees, and the way back. Chapter 13.

Xu et al. 2015 scale the shorter side to 256 (bicubic) and take the central 224 × 224; the released notebook
``alpha_visualization.ipynb`` does the same. Both steps are one resampling here, of the box that the crop
covers in the original, so that the geometry is exact: `View` holds the box and carries points either way.
"""

import io
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

from course_pkg.notation import CourseError

__all__ = ["SIDE", "Source", "View", "read", "read_all", "upright"]

File = str | os.PathLike[str] | bytes | io.BytesIO | io.BufferedReader | Image.Image
Source = File | np.ndarray
"""What a picture is read from: a path, a file's bytes, an open binary file, a PIL image, or an array."""

SIDE = 224
SHORTER_SIDE = 256
SMALLEST_SIDE = 16  # fewer pixels show nothing
LONGEST_SHAPE = 16  # times as long as wide: the square crop would show a sixteenth of it
MOST_PIXELS = 100_000_000  # about 300 MB once decoded; a small file can claim far more
# Each is decoded by Pillow itself. Others that it knows would start a program (EPS) or fetch nothing useful.
FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF")
WHITE = (255, 255, 255, 255)


@final
@dataclass(frozen=True)
class View:
    """The part of a picture that the network sees, and how its places map to the picture's.

    Places are unit coordinates ``(x, y)``: (0, 0) is the upper left corner, (1, 1) the lower right one.

    Attributes:
        size: width and height of the upright picture, in pixels.
        box: left, upper, right and lower edge of what is seen, in pixels of the upright picture.
    """

    size: tuple[int, int]
    box: tuple[float, float, float, float]

    @classmethod
    def of(cls, size: tuple[int, int], fit: str = "crop") -> "View":
        """The view of an upright picture of this width and height.

        ``crop`` keeps the shapes: the shorter side becomes 256 pixels and the middle 224 × 224 are seen (Xu et
        al. 2015). A picture of exactly 224 × 224 pixels is taken as it is: it was prepared for a network
        already, and another crop would blur it and cut a border off. ``squash`` shows the whole picture,
        its sides scaled apart. Raises :class:`~course_pkg.notation.CourseError` for another ``fit``.
        """
        width, height = size
        if fit not in ("crop", "squash"):
            raise CourseError(f"there is no fit {fit!r}; choose crop or squash")
        if fit == "squash" or size == (SIDE, SIDE):
            return cls((width, height), (0.0, 0.0, float(width), float(height)))
        seen = min(width, height) * SIDE / SHORTER_SIDE
        left, upper = (width - seen) / 2, (height - seen) / 2
        return cls((width, height), (left, upper, left + seen, upper + seen))

    def pixels(self, image: Image.Image) -> UInt8[np.ndarray, "224 224 3"]:
        """What the network sees of ``image``, an RGB picture of this view's size."""
        if self.box == (0.0, 0.0, float(SIDE), float(SIDE)) and image.size == (SIDE, SIDE):
            return np.array(image)
        return np.array(image.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=self.box))

    def to_picture(self, places: Float[np.ndarray, "*N 2"]) -> Float[np.ndarray, "*N 2"]:
        """Places in the view, as places in the whole picture."""
        left, upper, right, lower = self.box
        return (places * (right - left, lower - upper) + (left, upper)) / self.size

    def to_view(self, places: Float[np.ndarray, "*N 2"]) -> Float[np.ndarray, "*N 2"]:
        """Places in the whole picture, as places in the view; outside 0 to 1 where the network does not see."""
        left, upper, right, lower = self.box
        return (places * self.size - (left, upper)) / (right - left, lower - upper)

    def cells(self, grid: tuple[int, int]) -> Float[np.ndarray, "L 4"]:
        """The box of each location of a ``rows × columns`` grid laid over the view, row by row.

        Boxes are left, upper, right, lower in unit coordinates of the whole picture: where the weights ``α`` of
        one step belong on the original photograph.
        """
        rows, columns = grid
        y, x = np.divmod(np.arange(rows * columns), columns)
        corners = np.stack([np.stack([x, y], axis=1), np.stack([x + 1, y + 1], axis=1)], axis=1)
        return self.to_picture(corners / (columns, rows)).reshape(-1, 4)


def read(source: Source, fit: str = "crop") -> UInt8[np.ndarray, "224 224 3"]:
    """A picture as the network sees it: red, green, blue, 0 to 255.

    ``fit`` is as in `View.of`; `upright` says what is accepted and what is refused. Where the geometry is
    wanted too: ``image = upright(source)``, ``view = View.of(image.size)``, ``view.pixels(image)``.
    """
    image = upright(source)
    return View.of(image.size, fit).pixels(image)


def read_all(sources: Sequence[Source], fit: str = "crop") -> UInt8[np.ndarray, "B 224 224 3"]:
    """Several pictures at once, as `read` reads each."""
    pixels = np.empty((len(sources), SIDE, SIDE, 3), np.uint8)
    for row, source in zip(pixels, sources, strict=True):
        row[:] = read(source, fit)
    return pixels


def upright(source: Source) -> Image.Image:
    """The whole picture in RGB, turned as its EXIF orientation says.

    Grey, palette, CMYK and 16-bit pictures are converted, transparent ones laid on white; an animation shows its
    first frame. Arrays are ``(H, W)`` or ``(H, W, C)`` with C of 1, 3 or 4: uint8, uint16, or floats from 0 to 1.
    Colour profiles are not applied. Raises :class:`~course_pkg.notation.CourseError` for what is no picture or
    only part of one, has no pixels, too few or far too many, or is more than 16 times as long as wide.
    """
    if isinstance(source, np.ndarray):
        return _on_white(_of_array(source, "the array"))
    name = _name(source)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd metadata; what matters is raised
        try:
            return _decode(source, name)
        except CourseError:
            raise
        except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
            raise CourseError(f"cannot read {name}: {(error.strerror or str(error)).lower()}; check the path") from None
        except UnidentifiedImageError:
            raise CourseError(f"{name} is not a picture that can be read; save it as JPEG or PNG first") from None
        except (Image.DecompressionBombError, MemoryError):
            raise CourseError(f"{name} has too many pixels; scale it down first") from None
        # A spoilt file makes Pillow raise almost anything: OSError, SyntaxError, struct.error, ValueError, …
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise CourseError(f"{name} is not a whole picture ({reason}); copy or save it again") from None


def _name(source: File) -> str:
    if isinstance(source, str | os.PathLike):
        return os.fspath(source)
    name = getattr(source, "filename", None) or getattr(source, "name", None)
    return name if isinstance(name, str) else "the picture"


def _decode(source: File, name: str) -> Image.Image:
    if isinstance(source, Image.Image):
        _check_shape(source.size, name)
        return _on_white(_turned(source))
    if isinstance(source, bytes):
        source = io.BytesIO(source)
    Image.init()
    formats = [kind for kind in FORMATS if kind in Image.OPEN]
    with Image.open(source, formats=formats) as image:
        _check_shape(image.size, name)  # only the header has been read so far
        image.load()
        return _on_white(_turned(image))


def _check_shape(size: tuple[int, int], name: str) -> None:
    width, height = size
    if width * height > MOST_PIXELS:
        raise CourseError(f"{name} has {width} x {height} pixels; scale it down to {MOST_PIXELS:,} pixels or fewer")
    if min(size) < SMALLEST_SIDE:
        raise CourseError(f"{name} has {width} x {height} pixels; give at least {SMALLEST_SIDE} each way")
    if max(size) > LONGEST_SHAPE * min(size):
        raise CourseError(f"{name} is a strip of {width} x {height} pixels; cut out the part to be described")


def _turned(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # broken metadata says nothing about the pixels, and comes as any exception
        return image


def _on_white(image: Image.Image) -> Image.Image:
    """RGB, with white where the picture lets it through."""
    if image.mode.startswith(("I", "F")):
        image = _of_array(np.asarray(image), "the picture")
    if "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, WHITE), image)
    return image.convert("RGB")


def _of_array(values: np.ndarray, name: str) -> Image.Image:
    """An 8-bit picture; wider integers are 16-bit, as Pillow opens 16-bit PNG and TIFF files; True is white."""
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[:, :, 0]
    if not (values.ndim == 2 or (values.ndim == 3 and values.shape[2] in (3, 4))):
        raise CourseError(f"{name} has shape {values.shape}; give (height, width) or (height, width, 3)")
    _check_shape((values.shape[1], values.shape[0]), name)
    if values.dtype == np.bool_:
        values = values.astype(np.uint8) * 255
    if values.dtype == np.uint8:
        scaled = values
    elif values.dtype.kind in "iu" and _within(values, 65535):
        scaled = (values / 257).round()
    elif values.dtype.kind == "f" and _within(values, 1):
        scaled = (values * 255).round()
    else:
        raise CourseError(f"{name} has {values.dtype} values outside the range of a picture; give 8 bits a colour")
    return Image.fromarray(np.ascontiguousarray(scaled, dtype=np.uint8))


def _within(values: np.ndarray, highest: int) -> bool:
    return values.size == 0 or bool(values.min() >= 0 and values.max() <= highest)  # false for NaN
