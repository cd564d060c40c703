"""From lists of dicts, one an image, to one checked flat batch of int64 rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from detmetrics import checks
from detmetrics.ops.boxes import to_xywh

CROWD, IGNORE = 1, 2  # bits of a target's flags
DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)  # of scores; integers count as float64
NO_KEY = torch.iinfo(torch.int64).min

IMAGE_COLUMNS = 4  # key or NO_KEY, number of detections, number of targets, index into DTYPES
DETECTION_COLUMNS = 6  # x, y, width, height, score as float64 bits; label
TARGET_COLUMNS = 7  # x, y, width, height, area as float64 bits; label, flags


class Instances(NamedTuple):
    """A batch of images as flat rows, image after image. All int64; floats travel as their float64 bits."""

    images: Tensor  # (B, IMAGE_COLUMNS)
    detections: Tensor  # (N, DETECTION_COLUMNS)
    targets: Tensor  # (M, TARGET_COLUMNS)


class ValueErrors(NamedTuple):
    """A check of values: the key, what was expected, and the rows that fail."""

    side: str  # "preds" or "target"
    key: str
    expected: str
    failing: Tensor  # (rows,) bool


def pack(
    preds: Sequence[Mapping[str, Any]], target: Sequence[Mapping[str, Any]], box_format: str, device: torch.device
) -> Instances:
    """Check and copy a batch. Reads nothing back from the device; values are checked by :func:`find_invalid`.

    Args:
        preds: A dict an image with ``boxes`` (N, 4), ``scores`` (N,), ``labels`` (N,).
        target: A dict an image with ``boxes`` (M, 4), ``labels`` (M,), and optionally ``iscrowd`` (M,), ``ignore`` (M,),
            ``area`` (M,) and ``image_id``.
        box_format: ``"xyxy"``, ``"xywh"`` or ``"cxcywh"``; ``tv_tensors.BoundingBoxes`` carry their own.
        device: Where the rows go, and where the inputs must be.

    Returns:
        The batch; a copy, so that the caller may change the inputs afterwards.

    Raises:
        ValueError: if a key is missing, or a shape, dtype, length or device does not fit.
    """
    checks.check_lists(preds, target)
    detections = _Side("preds", preds, ("scores", "labels"), device)
    targets = _Side("target", target, ("labels",), device)
    for key in ("iscrowd", "ignore", "area"):
        targets.collect_optional(key)
    dtypes = [DTYPES.index(scores.dtype) if scores.dtype in DTYPES else 0 for scores in detections.columns["scores"]]
    images = [_keys(target, device), detections.counts, targets.counts, dtypes]
    return Instances(
        torch.stack([torch.as_tensor(column, dtype=torch.int64, device=device) for column in images], dim=1),
        _detection_rows(detections, box_format),
        _target_rows(targets, box_format),
    )


def find_invalid(batch: Instances) -> list[ValueErrors]:
    """Every check of values, with the rows that fail it; reads nothing back from the device."""
    detections, targets = batch.detections.view(torch.float64), batch.targets.view(torch.float64)
    found = [ValueErrors("preds", "scores", "finite scores", ~detections[:, 4].isfinite())]
    for side, rows in (("preds", detections), ("target", targets)):
        found.append(ValueErrors(side, "boxes", "finite coordinates", ~rows[:, :4].isfinite().all(dim=1)))
        found.append(ValueErrors(side, "boxes", "width and height of 0 or more", (rows[:, 2:4] < 0).any(dim=1)))
    area = targets[:, 4]
    found.append(ValueErrors("target", "area", "finite areas of 0 or more", ~(area.isfinite() & (area >= 0))))
    return found


def raise_invalid(batch: Instances, preds: Sequence[Mapping[str, Any]], target: Sequence[Mapping[str, Any]]) -> None:
    """Raise a ``ValueError`` for the first value that fails a check; reads the device."""
    for check in find_invalid(batch):
        if bool(check.failing.any()):
            inputs = preds if check.side == "preds" else target
            row = int(check.failing.nonzero()[0])
            image, row = _locate(row, batch.images[:, 1 if check.side == "preds" else 2].tolist())
            got = inputs[image][check.key][row].tolist()
            raise ValueError(f"{check.side}[{image}][{check.key!r}]: expected {check.expected}, got {got} in row {row}")
    keys = batch.images[:, 0]
    negative = (keys < 0) & (keys != NO_KEY)
    if bool(negative.any()):
        image = int(negative.nonzero()[0])
        raise ValueError(f"target[{image}]['image_id']: expected a non-negative int, got {int(keys[image])}")


def _locate(row: int, counts: list[int]) -> tuple[int, int]:
    for image, count in enumerate(counts):
        if row < count:
            return image, row
        row -= count
    raise IndexError(row)


class _Side:
    """The tensors of one side of a batch, one a box in each image, checked against one another."""

    def __init__(
        self, name: str, items: Sequence[Mapping[str, Any]], keys: Sequence[str], device: torch.device
    ) -> None:
        self.name, self.items, self.device = name, items, device
        self.boxes: list[Tensor] = []
        self.counts: list[int] = []
        self.columns: dict[str, list[Tensor]] = {key: [] for key in keys}
        for i, item in enumerate(items):
            where = f"{name}[{i}]"
            boxes = checks.check_tensor(where, item, "boxes")
            count = checks.check_boxes(where, boxes, device)
            for key in keys:
                values = checks.check_tensor(where, item, key)
                checks.check_vector(where, key, values, count, device, integer=key == "labels")
                self.columns[key].append(values)
            self.boxes.append(boxes)
            self.counts.append(count)
        self.total = sum(self.counts)

    def collect_optional(self, key: str) -> None:
        """Take a key that images may have; those without one get an empty tensor."""
        if not any(key in item for item in self.items):
            return
        self.columns[key] = []
        for i, item in enumerate(self.items):
            values = item[key] if item.get(key) is not None else None
            if values is None:
                values = torch.empty(0, device=self.device)
            else:
                values = checks.check_tensor(f"{self.name}[{i}]", item, key)
                checks.check_vector(f"{self.name}[{i}]", key, values, self.counts[i], self.device)
            self.columns[key].append(values)

    def cat(self, key: str) -> Tensor:
        """The values of a key for all boxes of the batch, (total,)."""
        return _cat(self.columns[key], self.device)

    def xywh(self, box_format: str) -> Tensor:
        """The boxes of the batch, (total, 4) float64 xywh."""
        formats = {_format_of(boxes, box_format) for boxes in self.boxes}
        if len(formats) > 1:
            return _cat([to_xywh(boxes, _format_of(boxes, box_format)) for boxes in self.boxes], self.device, 4)
        return to_xywh(_cat(self.boxes, self.device, 4), *formats or (box_format,))


def _format_of(boxes: Tensor, box_format: str) -> str:
    if type(boxes) is Tensor:
        return box_format
    own = getattr(boxes, "format", None)  # tv_tensors.BoundingBoxes
    return box_format if own is None else str(own.value).lower()


def _cat(tensors: list[Tensor], device: torch.device, *trailing: int) -> Tensor:
    filled = [x.detach() for x in tensors if x.numel()]
    return torch.cat(filled) if filled else torch.empty((0, *trailing), device=device)


def _keys(target: Sequence[Mapping[str, Any]], device: torch.device) -> Any:
    ids = checks.check_image_ids(target)
    if ids is None:
        return [NO_KEY] * len(target)
    if any(isinstance(value, Tensor) for value in ids):
        return torch.stack([torch.as_tensor(value, dtype=torch.int64, device=device).reshape(()) for value in ids])
    return ids


def _detection_rows(side: _Side, box_format: str) -> Tensor:
    rows = torch.empty((side.total, DETECTION_COLUMNS), dtype=torch.int64, device=side.device)
    reals = rows.view(torch.float64)
    reals[:, :4] = side.xywh(box_format)
    reals[:, 4] = side.cat("scores")
    rows[:, 5] = side.cat("labels")
    return rows


def _target_rows(side: _Side, box_format: str) -> Tensor:
    rows = torch.empty((side.total, TARGET_COLUMNS), dtype=torch.int64, device=side.device)
    reals = rows.view(torch.float64)
    boxes = side.xywh(box_format)
    reals[:, :4] = boxes
    reals[:, 4] = boxes[:, 2] * boxes[:, 3]
    rows[:, 5] = side.cat("labels")
    rows[:, 6] = 0
    _fill_optional(side, "area", reals[:, 4])
    for key, flag in (("iscrowd", CROWD), ("ignore", IGNORE)):
        flagged = torch.zeros(side.total, dtype=torch.float64, device=side.device)
        _fill_optional(side, key, flagged)
        rows[:, 6] += (flagged != 0) * flag
    return rows


def _fill_optional(side: _Side, key: str, column: Tensor) -> None:
    """Write the values of an optional key over ``column`` (total,), where an image has them."""
    if key not in side.columns:
        return
    if all(values.numel() == count for values, count in zip(side.columns[key], side.counts, strict=True)):
        column.copy_(side.cat(key))
        return
    for part, values in zip(column.split(side.counts), side.columns[key], strict=True):
        if values.numel():
            part.copy_(values)
