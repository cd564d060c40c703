"""Images made small, with what was to be found and what was found drawn on them."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from detmetrics.detection.outcome import Outcome
from detmetrics.ops.ragged import descending_key, lexsort

LONGER_SIDE = 480  # pixels


class Mark(NamedTuple):
    """A box on an image."""

    kind: str  # "found", "missed" or "ignored", a target; "right" or "wrong", a prediction
    box: list[float]  # x, y, width, height in pixels of the image
    title: str


class Thumbnail(NamedTuple):
    """An image that holds everything it is drawn from."""

    width: int  # of the original, in pixels
    height: int
    source: str  # a data URI
    marks: list[Mark]


def thumbnail(path: Path, marks: list[Mark]) -> Thumbnail:
    """Read an image, make it small and put marks on it.

    Args:
        path: A file that Pillow reads.
        marks: In pixels of the image as it is in the file.

    Returns:
        The image with its original size, and a JPEG of at most 480 pixels a side.

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


def marks(
    preds: Mapping[str, Any], target: Mapping[str, Any], outcome: Outcome, names: Mapping[int, str]
) -> list[Mark]:
    """What became of the targets and of the predictions that count in an image: targets first.

    Args:
        preds: ``boxes`` ``(N, 4)`` xywh pixels, ``scores`` and ``labels``, ``(N,)`` each.
        target: ``boxes`` ``(M, 4)`` and ``labels`` ``(M,)``.
        outcome: Of a table that holds this image alone.
        names: The names of the labels.
    """
    # The table has detections by label and score, and targets by label, otherwise in the order given.
    pred_order = lexsort(preds["labels"], descending_key(preds["scores"].double())).tolist()
    target_order = lexsort(target["labels"]).tolist()
    target_kinds = dict.fromkeys(target_order, "ignored")
    target_kinds |= {target_order[i]: "found" for i in outcome.target.tolist()}
    target_kinds |= {target_order[i]: "missed" for i in outcome.missed.tolist()}
    pred_kinds = {pred_order[i]: "right" for i in outcome.detection.tolist()}
    pred_kinds |= {pred_order[i]: "wrong" for i in outcome.wrong.tolist()}

    drawn = []
    boxes, labels, scores = target["boxes"].tolist(), target["labels"].tolist(), preds["scores"].tolist()
    for i, kind in sorted(target_kinds.items()):
        drawn.append(Mark(kind, boxes[i], f"target: {names[labels[i]]}, {kind}"))
    boxes, labels = preds["boxes"].tolist(), preds["labels"].tolist()
    for i, kind in sorted(pred_kinds.items()):
        drawn.append(Mark(kind, boxes[i], f"prediction: {names[labels[i]]} {scores[i]:.2f}, {kind}"))
    return drawn
