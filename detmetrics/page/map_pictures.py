"""Small pictures of label maps: the target, the prediction, and where they differ."""

from __future__ import annotations

import base64
import colorsys
import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

LONGER_SIDE = 320  # pixels, at most
MOST_COLOURS = 250  # classes of a palette; later ones share them
HUE_STEP = 0.618034  # of the colour circle: neighbours in number differ, and so do those some numbers on
NOTHING, RIGHT, WRONG = range(3)  # codes of the picture of errors, in the order of their colours
OUTCOMES = {"not counted": (225, 225, 225), "right": (64, 72, 84), "wrong": (213, 94, 0)}
GROUND = OUTCOMES["not counted"]

Codes = NDArray[np.uint8]


class Colours(NamedTuple):
    """The colours of labels."""

    num_classes: int
    ignored: tuple[int, ...]

    def of(self, label: int) -> tuple[int, int, int]:
        """Red, green and blue of a class."""
        turn = label % MOST_COLOURS
        value, saturation = (0.95, 0.55) if turn % 2 else (0.7, 0.75)
        red, green, blue = colorsys.hsv_to_rgb(turn * HUE_STEP % 1, saturation, value)
        return round(red * 255), round(green * 255), round(blue * 255)


class Triple(NamedTuple):
    """Three pictures of an image as data URIs, of one size."""

    width: int
    height: int
    target: str
    pred: str
    errors: str
    labels: frozenset[int]  # the classes in the first two
    note: str


def hexadecimal(colour: tuple[int, int, int]) -> str:
    """A colour as CSS has it."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


def colours_of(num_classes: int, ignored: Sequence[int]) -> Colours:
    """The colours of classes, and which values of targets are ignored."""
    return Colours(num_classes, tuple(ignored))


def triple(pred: NDArray[Any], target: NDArray[Any], colours: Colours) -> Triple:
    """Pictures of a prediction and its target, of the plane with the most errors if they have three dimensions.

    Args:
        pred: Labels ``(H, W)`` or ``(D, H, W)``.
        target: The same of the target, in which pixels may be ignored.
        colours: Those of the classes.

    Example:
        >>> found = triple(np.array([[0, 1]]), np.array([[0, 255]]), colours_of(2, [255]))
        >>> found.width, sorted(found.labels), found.errors[:22]
        (2, [0, 1], 'data:image/png;base64,')
    """
    ignored = np.isin(target, colours.ignored)
    errors = np.where(ignored, NOTHING, np.where(pred == target, RIGHT, WRONG)).astype(np.uint8)
    note = ""
    if errors.ndim == 3:
        axis = int(np.argmin(errors.shape))  # planes lie along the axis with the fewest
        wrong = (errors == WRONG).sum(axis=tuple(i for i in range(3) if i != axis))
        at = int(wrong.argmax())
        pred, target, errors, ignored = (np.take(x, [at], axis).squeeze(axis) for x in (pred, target, errors, ignored))
        note = f"plane {at} of {len(wrong)}, that with the most errors"
    step = -(-max(errors.shape) // LONGER_SIDE)
    labels = np.where(ignored, colours.num_classes, target)[::step, ::step], pred[::step, ::step]
    present = frozenset(int(label) for side in labels for label in np.unique(side) if 0 <= label < colours.num_classes)
    height, width = labels[0].shape
    target_picture, pred_picture = (_coloured(side, colours) for side in labels)
    return Triple(
        width, height, target_picture, pred_picture, _png(_largest(errors, step), [*OUTCOMES.values()]), present, note
    )


def _coloured(labels: NDArray[Any], colours: Colours) -> str:
    """A map in the colours of its classes; what is none is ground."""
    num_colours = min(colours.num_classes, MOST_COLOURS)
    codes = np.where((labels >= 0) & (labels < colours.num_classes), labels % MOST_COLOURS, num_colours)
    return _png(codes.astype(np.uint8), [*map(colours.of, range(num_colours)), GROUND])


def _largest(codes: Codes, step: int) -> Codes:
    """The largest code of each square of ``step`` by ``step``, so that no error is lost where pictures are smaller."""
    height, width = (-(-side // step) * step for side in codes.shape)
    padded = np.zeros((height, width), dtype=np.uint8)
    padded[: codes.shape[0], : codes.shape[1]] = codes
    largest: Codes = padded.reshape(height // step, step, width // step, step).max(axis=(1, 3))
    return largest


def _png(codes: Codes, palette: Sequence[tuple[int, int, int]]) -> str:
    image = Image.fromarray(codes)
    image.putpalette([channel for colour in palette for channel in colour])
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
