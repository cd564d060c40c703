"""Small copies of images, with their targets and predictions drawn on them."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import NamedTuple

from PIL import Image

LONGER_SIDE = 480  # pixels


class Mark(NamedTuple):
    """A box on an image."""

    kind: str  # "found", "missed" or "ignored", a target; "right" or "wrong", a prediction
    box: list[float]  # x, y, width, height in pixels of the image
    title: str


class Thumbnail(NamedTuple):
    """A small image as it stands on the page, with nothing to load."""

    width: int  # of the original, in pixels
    height: int
    source: str  # a data URI
    marks: list[Mark]


def thumbnail(path: Path, marks: list[Mark]) -> Thumbnail:
    """Read an image, scale it down and put marks on it.

    Args:
        path: A file that Pillow reads.
        marks: In pixels of the image as it is in the file.

    Returns:
        The image with its original size, and a JPEG of at most 480 pixels on either side.

    Raises:
        OSError: if the file cannot be read as an image.

    Example:
        >>> import tempfile
        >>> with tempfile.NamedTemporaryFile(suffix=".png") as file:
        ...     Image.new("RGB", (960, 20)).save(file.name)
        ...     drawn = thumbnail(Path(file.name), [])
        >>> drawn.width, drawn.height, drawn.source[:23]
        (960, 20, 'data:image/jpeg;base64,')
    """
    try:
        with Image.open(path) as image:
            width, height = image.size
            image.draft("RGB", (LONGER_SIDE, LONGER_SIDE))  # a large JPEG is read small
            small = image.convert("RGB")
    except (RuntimeError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise OSError(f"cannot read the image: {error}") from error
    small.thumbnail((LONGER_SIDE, LONGER_SIDE))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=80)
    return Thumbnail(width, height, f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}", marks)
