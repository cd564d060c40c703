"""Small copies of images, with their targets and predictions drawn on them."""

from __future__ import annotations

import base64
import io
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

LONGER_SIDE = 480  # pixels
ON_ITS_SIDE = (5, 6, 7, 8)  # values of the EXIF orientation that swap width and height
DEEP = ("I", "F")  # Pillow's modes of more than 8 bits begin so: I;16, I, F
CLOSE = 4 * LONGER_SIDE  # longer sides are brought to this one by leaving pixels out, before anything is copied
MOST_PIXELS = 40_000_000  # decoders take up to 20 bytes for each; a JPEG of any size is read small
MOST_BYTES = 200_000_000  # of a file, which some readers take whole before they look at it
# Not all that Pillow reads: for some formats it starts other programs, which may do and take what they will.
FORMATS = ("AVIF", "BMP", "DIB", "GIF", "HEIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TGA", "TIFF", "WEBP")

Size = tuple[int, int]  # width, height


class Mark(NamedTuple):
    """A box on an image."""

    kind: str  # "found", "missed" or "ignored", a target; "right" or "wrong", a prediction
    box: list[float]  # x, y, width, height in pixels of the frame
    title: str
    path: str = ""  # of SVG, what there is beside the box


class Thumbnail(NamedTuple):
    """A small image as it stands on the page, with nothing to load."""

    width: int  # of the frame that the marks are in, in pixels
    height: int
    source: str  # a data URI
    marks: list[Mark]
    note: str = ""  # what a reader should know about image and marks


class Frame(NamedTuple):
    """How the pixels of a file and the coordinates of the annotations go together."""

    size: Size  # what the coordinates are in
    upright: bool  # whether to turn the pixels as the EXIF orientation says
    note: str = ""


def thumbnail(path: Path, marks: list[Mark], declared: Size | None = None) -> Thumbnail:
    """Read an image, scale it down and put marks on it.

    Args:
        path: A regular file of one of ``FORMATS``. Of several images in it the first is taken.
        marks: In pixels of the declared size.
        declared: The width and height that annotations declare. None: those of the pixels as the file has them.

    Returns:
        The image in the frame of the annotations, and a JPEG of at most 480 pixels on either side.

    Raises:
        OSError: if the file cannot be read as an image, has more than ``MOST_PIXELS`` pixels or ``MOST_BYTES`` bytes,
            or has not the shape that is declared, whichever way it is turned.

    Example:
        >>> import tempfile
        >>> with tempfile.NamedTemporaryFile(suffix=".png") as file:
        ...     Image.new("RGB", (960, 20)).save(file.name)
        ...     drawn = thumbnail(Path(file.name), [])
        >>> drawn.width, drawn.height, drawn.source[:23]
        (960, 20, 'data:image/jpeg;base64,')
    """
    frame, small = _read(path, declared)
    small.thumbnail((LONGER_SIDE, LONGER_SIDE))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=80)
    source = f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    return Thumbnail(*frame.size, source, marks, frame.note)


def _read(path: Path, declared: Size | None) -> tuple[Frame, Image.Image]:
    """The frame of an image, and its pixels in it, of whatever size."""
    if path.stat().st_size > MOST_BYTES:
        raise OSError(
            f"has {path.stat().st_size} bytes, more than the {MOST_BYTES} that are read: make it smaller to see it"
        )
    try:
        with warnings.catch_warnings(), Image.open(path, formats=_readable()) as image:
            warnings.simplefilter("ignore")  # of Pillow, about metadata and about sizes that it still reads
            found = frame_of(image.size, image.getexif().get(ExifTags.Base.Orientation, 1), declared)
            if isinstance(found, Frame):
                image.draft("RGB", (LONGER_SIDE, LONGER_SIDE))  # a large JPEG is read small
                _check_pixels(image.size)
                return found, in_colour(ImageOps.exif_transpose(image) if found.upright else image)
    except OSError:
        raise
    except Exception as error:  # a damaged file can make Pillow raise anything
        raise OSError(f"cannot read the image: {error}") from error
    raise OSError(found)


def _readable() -> list[str]:
    """Those of ``FORMATS`` that Pillow has a reader for."""
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _check_pixels(size: Size) -> None:
    if size[0] * size[1] > MOST_PIXELS:
        raise OSError(f"has {_text(size)} pixels, more than the {MOST_PIXELS} that are read: make it smaller to see it")


def frame_of(stored: Size, orientation: int, declared: Size | None) -> Frame | str:
    """How to lay the pixels of a file under boxes, or why that cannot be known.

    Args:
        stored: The size of the pixels as the file has them.
        orientation: Of EXIF: 1 for pixels that are upright.
        declared: The size that the annotations declare.
    """
    upright = (stored[1], stored[0]) if orientation in ON_ITS_SIDE else stored
    turned = orientation in range(2, 9)
    if declared is None:
        unsure = "The file is turned by EXIF and the annotations declare no size: shown as stored." if turned else ""
        return Frame(stored, False, unsure)
    for fits in (_equal, _in_proportion):
        as_stored, as_upright = fits(stored, declared), turned and fits(upright, declared)
        scaled = "" if fits is _equal else f"The file has {_text(stored)} pixels, the annotations {_text(declared)}. "
        if as_stored and as_upright:
            return Frame(declared, False, f"{scaled}The file is turned by EXIF, its size fits either way: as stored.")
        if as_stored or as_upright:
            return Frame(declared, as_upright, scaled.strip())
    return (
        f"the file has {_text(stored)} pixels, the annotations declare {_text(declared)}: "
        "where its boxes are cannot be known"
    )


def _equal(size: Size, declared: Size) -> bool:
    return size == declared


def _in_proportion(size: Size, declared: Size) -> bool:
    """Whether one is the other made larger by a factor, but for rounding to whole pixels."""
    (width, height), (wide, high) = size, declared
    return abs(width * high - height * wide) <= max(*size, *declared)


def _text(size: Size) -> str:
    return f"{size[0]} x {size[1]}"


def in_colour(image: Image.Image) -> Image.Image:
    """An image of any mode as RGB: transparent on white, more than 8 bits stretched from darkest to lightest.

    It may come out smaller, with sides of at least 1920 pixels or as long as they were.
    """
    if max(image.size) > CLOSE:
        scale = CLOSE / max(image.size)
        width, height = (max(round(side * scale), 1) for side in image.size)
        image = image.resize((width, height), Image.Resampling.NEAREST)  # the one that takes every mode as it is
    if image.mode.startswith(DEEP):
        return Image.fromarray(_stretched(np.asarray(image, dtype=np.float64))).convert("RGB")
    if not image.mode.endswith(("A", "a")) and "transparency" not in image.info:
        return image.convert("RGB")
    layer = image.convert("RGBA")
    white = Image.new("RGBA", layer.size, "white")
    return Image.alpha_composite(white, layer).convert("RGB")


def _stretched(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Values (H, W) as 0 to 255; what is not finite is 0."""
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    scaled = (values - low) / (high - low or 1.0) * 255
    return np.nan_to_num(scaled, nan=0, posinf=0, neginf=0).clip(0, 255).astype(np.uint8)
