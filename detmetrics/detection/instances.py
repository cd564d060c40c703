"""From lists of dicts, one an image, to one checked flat batch of int64 rows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from detmetrics import checks
from detmetrics.ops.boxes import to_xywh

Items = Sequence[Mapping[str, Any]]

CROWD, IGNORE = 1, 2  # bits of a target's flags
SCORE_DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)  # integers count as float64
NO_SCORES = len(SCORE_DTYPES)  # stands for the dtype where detections came without scores; they count as 1
NO_KEY = torch.iinfo(torch.int64).min

IMAGE_COLUMNS = 4  # key or NO_KEY, number of detections, number of targets, index into SCORE_DTYPES or NO_SCORES
DETECTION_COLUMNS = 7  # x, y, width, height, area as float64 bits; label; score as float64 bits
TARGET_COLUMNS = 7  # x, y, width, height, area as float64 bits; label, flags
AREA, LABEL, SCORE, FLAGS = 4, 5, 6, 6  # the columns from the fifth


class Instances(NamedTuple):
    """A batch of images as flat rows, image after image. All int64; floats travel as their float64 bits."""

    images: Tensor  # (B, IMAGE_COLUMNS)
    detections: Tensor  # (N, DETECTION_COLUMNS)
    targets: Tensor  # (M, TARGET_COLUMNS)


class ValueCheck(NamedTuple):
    """What is expected of the values of a key, and the rows that fail."""

    side: str  # "preds" or "target"
    key: str
    expected: str
    failing: Tensor  # (rows,) bool


def pack(
    preds: Items,
    target: Items,
    box_format: str,
    device: torch.device,
    check_values: bool,
    needs_scores: bool = True,
    areas: Tensor | None = None,
) -> Instances:
    """Check and copy a batch.

    Args:
        preds: A dict an image with ``boxes`` (N, 4), ``scores`` (N,), ``labels`` (N,).
        target: A dict an image with ``boxes`` (M, 4), ``labels`` (M,), and optionally ``iscrowd`` (M,), ``ignore``
            (M,), ``area`` (M,) and ``image_id``.
        box_format: ``"xyxy"``, ``"xywh"`` or ``"cxcywh"``; ``tv_tensors.BoundingBoxes`` carry their own.
        device: Where the rows go, and where the inputs must be.
        check_values: Whether to check values now. If not, nothing is read back from the device.
        needs_scores: False if all images of the batch may come without scores.
        areas: ``(N,)`` float64, of the detections of all images; None for those of their boxes.

    Returns:
        The batch; a copy, so that the caller may change the inputs afterwards.

    Raises:
        ValueError: if a key is missing, or a shape, dtype, length, device or value does not fit.
    """
    checks.check_lists(preds, target)
    unscored = not needs_scores and bool(preds) and all(isinstance(x, Mapping) and "scores" not in x for x in preds)
    keys = ("boxes", "labels") if unscored else ("boxes", "scores", "labels")
    detections = _join_side("preds", preds, keys, device)
    targets = _join_side("target", target, ("boxes", "labels"), device)
    boxes, target_boxes = (_boxes_of(side, box_format) for side in (detections, targets))
    scores = torch.ones_like(boxes[0][:, 0]) if unscored else detections.columns["scores"].double()
    detection_area = boxes[1].prod(dim=1) if areas is None else areas
    area = _optional(targets, "area", target_boxes[1].prod(dim=1))
    flags = [(_optional(targets, key, None) != 0) * flag for key, flag in (("iscrowd", CROWD), ("ignore", IGNORE))]
    batch = Instances(
        _image_rows(detections, targets),
        _rows(*boxes, detection_area, detections.columns["labels"], scores.view(torch.int64)),
        _rows(*target_boxes, area, targets.columns["labels"], flags[0] + flags[1]),
    )
    if check_values:
        spans = [(x, -math.inf) for x in (boxes[0], target_boxes[0], scores)]
        spans += [(x, 0.0) for x in (boxes[1], target_boxes[1], area)]
        if not all(_spans(values, low) for values, low in spans):
            _raise_invalid(batch, preds, target)
        checks.check_keys(batch.images[:, 0], NO_KEY)
    return batch


def find_invalid(batch: Instances) -> list[ValueCheck]:
    """Every check of values, with the rows that fail it; reads nothing back from the device."""
    detections, targets = batch.detections.view(torch.float64), batch.targets.view(torch.float64)
    found = [ValueCheck("preds", "scores", "finite scores", ~detections[:, SCORE].isfinite())]
    for side, rows in (("preds", detections), ("target", targets)):
        found.append(ValueCheck(side, "boxes", "finite coordinates", ~rows[:, :4].isfinite().all(dim=1)))
        found.append(ValueCheck(side, "boxes", "width and height of 0 or more", (rows[:, 2:4] < 0).any(dim=1)))
    area = targets[:, AREA]
    found.append(ValueCheck("target", "area", "finite areas of 0 or more", ~(area.isfinite() & (area >= 0))))
    return found


def _spans(values: Tensor, low: float) -> bool:
    """Whether all values are finite and at least ``low``, in one pass, through which NaN comes."""
    if not values.numel():
        return True
    least, most = (extreme.item() for extreme in values.aminmax())
    return low <= least and -math.inf < least and most < math.inf


def _raise_invalid(batch: Instances, preds: Items, target: Items) -> None:
    """Raise a ``ValueError`` for the first value that fails a check."""
    for check in find_invalid(batch):
        if bool(check.failing.any()):
            items, column = (preds, 1) if check.side == "preds" else (target, 2)
            ends = batch.images[:, column].cumsum(0)
            row = int(check.failing.nonzero()[0])
            image = int(torch.searchsorted(ends, row, right=True))
            row -= int(ends[image] - batch.images[image, column])
            got = items[image][check.key][row].tolist()
            raise ValueError(f"{check.side}[{image}][{check.key!r}]: expected {check.expected}, got {got} in row {row}")


class _Side(NamedTuple):
    """The tensors of one side of a batch, those of all images joined."""

    name: str
    items: Items
    counts: list[int]  # boxes of each image
    tensors: dict[str, list[Tensor]]  # by key, one an image
    columns: dict[str, Tensor]  # by key, (sum(counts), ...)


def _join_side(name: str, items: Items, keys: Sequence[str], device: torch.device) -> _Side:
    """Join the tensors of all images, which shows whether they fit together.

    Only when something is odd is each image looked at: to say what is wrong with it, or to leave out empty tensors of
    another shape, which detectors produce for images without boxes.
    """
    try:
        tensors = {key: [item[key] for item in items] for key in keys}
        counts = [x.shape[0] for x in tensors["boxes"]]
        columns = {key: torch.cat(values) for key, values in tensors.items()}
        fits = all(_fits(key, columns[key], tensors[key], counts, device) for key in keys)
    except (KeyError, TypeError, AttributeError, IndexError, RuntimeError, ValueError):
        fits = False
    if not fits:
        tensors, counts = _examine(name, items, keys, device)
        columns = {key: torch.cat(values) for key, values in tensors.items()}
    return _Side(name, items, counts, tensors, columns)


def _fits(key: str, column: Tensor, tensors: list[Tensor], counts: list[int], device: torch.device) -> bool:
    shape = (sum(counts), 4) if key == "boxes" else (sum(counts),)
    integral = not (column.is_floating_point() or column.dtype == torch.bool)
    return (
        column.shape == shape
        and column.device.type == device.type
        and not column.is_complex()
        and (integral or key != "labels")
        and (key == "boxes" or [x.shape[0] for x in tensors] == counts)
    )


def _examine(
    name: str, items: Items, keys: Sequence[str], device: torch.device
) -> tuple[dict[str, list[Tensor]], list[int]]:
    """Check image by image. If all is well, return the tensors, empty ones in one shape, and the counts."""
    empty = {
        "boxes": torch.empty((0, 4), device=device),
        "scores": torch.empty(0, device=device),
        "labels": torch.empty(0, dtype=torch.int64, device=device),
    }
    tensors: dict[str, list[Tensor]] = {key: [] for key in keys}
    counts = []
    for i, item in enumerate(items):
        where = f"{name}[{i}]"
        counts.append(checks.check_boxes(where, checks.check_tensor(where, item, "boxes"), device))
        for key in keys:
            values = checks.check_tensor(where, item, key)
            if key != "boxes":
                checks.check_vector(where, key, values, counts[-1], device, integer=key == "labels")
            tensors[key].append(values if counts[-1] else empty[key])
    if not items:
        tensors = {key: [empty[key]] for key in keys}
    return tensors, counts


def _boxes_of(side: _Side, box_format: str) -> tuple[Tensor, Tensor]:
    """Corners (x, y) and sizes (width, height), ``(total, 2)`` float64 each."""
    formats = [_format_of(boxes, box_format) for boxes in side.tensors["boxes"]]
    if len(set(formats)) == 1:
        return to_xywh(side.columns["boxes"], formats[0])
    parts = [to_xywh(boxes, own) for boxes, own in zip(side.tensors["boxes"], formats, strict=True)]
    corners, sizes = zip(*parts, strict=True)
    return torch.cat(corners), torch.cat(sizes)


def _format_of(boxes: Tensor, box_format: str) -> str:
    if type(boxes) is Tensor:
        return box_format
    own = getattr(boxes, "format", None)  # tv_tensors.BoundingBoxes
    return box_format if own is None else str(own.value).lower()


def _optional(side: _Side, key: str, default: Tensor | None) -> Tensor:
    """The values of a key that images may have, ``(total,)`` float64; ``default``, or 0, where an image has none."""
    total, device = side.columns["boxes"].shape[0], side.columns["boxes"].device
    if default is None:
        default = torch.zeros(total, dtype=torch.float64, device=device)
    values = [item.get(key) for item in side.items]
    present = [i for i, x in enumerate(values) if x is not None]
    if not present:
        return default
    filled = [own if x is None else x for x, own in zip(values, default.split(side.counts), strict=True)]
    try:
        column = torch.cat(filled)
        fits = _fits(key, column, filled, side.counts, device)
    except (TypeError, AttributeError, IndexError, RuntimeError):
        fits = False
    if not fits:
        for i in present:
            where = f"{side.name}[{i}]"
            checks.check_vector(where, key, checks.check_tensor(where, side.items[i], key), side.counts[i], device)
        column = torch.cat([x.flatten() for x in filled])
    return column.double()


def _image_rows(detections: _Side, targets: _Side) -> Tensor:
    if "scores" in detections.tensors:
        dtypes = [SCORE_DTYPES.index(x.dtype) if x.dtype in SCORE_DTYPES else 0 for x in detections.tensors["scores"]]
    else:
        dtypes = [NO_SCORES] * len(detections.items)
    ids, device = checks.check_image_ids(targets.items), targets.columns["boxes"].device
    keys = [NO_KEY] * len(targets.items) if ids is None or any(isinstance(x, Tensor) for x in ids) else ids
    columns = torch.tensor([keys, detections.counts, targets.counts, dtypes[: len(keys)]], dtype=torch.int64)
    rows = columns.T.to(device, non_blocking=True)
    if ids is not None and keys is not ids:
        given = torch.stack([torch.as_tensor(x, dtype=torch.int64, device=device).reshape(()) for x in ids])
        rows = torch.cat([given[:, None].clamp(min=-1), rows[:, 1:]], dim=1)  # a negative id must not pass for none
    return rows


def _rows(corner: Tensor, size: Tensor, area: Tensor, *integers: Tensor) -> Tensor:
    """Rows of int64: the bits of the floats, then the integers."""
    bits = [corner.view(torch.int64), size.view(torch.int64), area.view(torch.int64)[:, None]]
    return torch.cat([*bits, *(x.to(torch.int64)[:, None] for x in integers)], dim=1)
