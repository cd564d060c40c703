"""Boxes: their formats, areas and overlaps, in the order of operations of pycocotools."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from detmetrics.overlap.candidates import find_pairs
from detmetrics.overlap.sides import join_instances
from detmetrics.overlap.similarity import Items, Measured, Overlaps, Request, Shapes, ValueRule

BOX_FORMATS = ("xyxy", "xywh", "cxcywh")

NOT_NEGATIVE = "width and height of 0 or more"


@dataclass(frozen=True)
class BoxSimilarity:
    """Intersection over union of boxes: ``iou_type="bbox"``. The geometry of a box is x, y, width and height.

    Args:
        box_format: ``"xyxy"``, ``"xywh"`` or ``"cxcywh"``; ``tv_tensors.BoundingBoxes`` carry their own.
    """

    box_format: str = "xyxy"
    name = "bbox"
    key = "boxes"
    columns = 4
    waits = True
    rules = (
        ValueRule("finite coordinates", slice(0, 4)),
        ValueRule(NOT_NEGATIVE, slice(2, 4), least=0.0),
    )

    def configuration(self) -> tuple[Any, ...]:
        """The box format."""
        return (self.box_format,)

    def measure(self, preds: Items, target: Items, request: Request) -> Measured:
        """Corners, sizes and areas of the boxes of a batch."""
        detections = self._shapes("preds", preds, request.device)
        return Measured(detections, self._shapes("target", target, request.device), None)

    def _shapes(self, side: str, items: Items, device: torch.device) -> Shapes:
        instances = join_instances(side, items, "boxes", (4,), device)
        formats = [_format_of(boxes, self.box_format) for boxes in instances.tensors]
        if len(set(formats)) <= 1:
            geometry = _as_xywh(instances.values, formats[0] if formats else self.box_format)
        else:
            geometry = torch.cat([_as_xywh(*own) for own in zip(instances.tensors, formats, strict=True)])
        return Shapes(geometry, geometry[:, 2] * geometry[:, 3], instances.counts)

    def find(
        self, detections: Tensor, targets: Tensor, iscrowd: Tensor, first: Tensor, count: Tensor, floor: float
    ) -> Overlaps:
        """See :func:`find_overlaps`."""
        return find_overlaps(detections, targets, iscrowd, first, count, floor)


def _format_of(boxes: Tensor, box_format: str) -> str:
    if type(boxes) is Tensor:
        return box_format
    own = getattr(boxes, "format", None)  # tv_tensors.BoundingBoxes
    return box_format if own is None else str(own.value).lower()


def to_xywh(boxes: Tensor, box_format: str) -> tuple[Tensor, Tensor]:
    """Corners and sizes of boxes in float64.

    Args:
        boxes: ``(..., 4)`` pixels, any real dtype; converted to float64 first, then to the format.
        box_format: ``"xyxy"``, ``"xywh"`` or ``"cxcywh"``.

    Returns:
        The corner (x, y) with the smallest coordinates, and the size (width, height): ``(..., 2)`` float64 each, new.

    Example:
        >>> to_xywh(torch.tensor([1, 2, 4, 8]), "xyxy")[1].tolist()
        [3.0, 6.0]
    """
    xywh = _as_xywh(boxes, box_format)
    return xywh[..., :2], xywh[..., 2:]


def _as_xywh(boxes: Tensor, box_format: str) -> Tensor:
    xywh = boxes.as_subclass(Tensor).to(torch.float64, copy=True, memory_format=torch.contiguous_format)
    first, second = xywh[..., :2], xywh[..., 2:]
    if box_format == "xyxy":
        second.sub_(first)
    elif box_format == "cxcywh":
        first.sub_(second / 2)
    return xywh


def box_area(boxes: Tensor) -> Tensor:
    """Width times height of ``(..., 4)`` xywh boxes, ``(...)``."""
    return boxes[..., 2] * boxes[..., 3]


def interval_intersection(start1: Tensor, length1: Tensor, start2: Tensor, length2: Tensor) -> Tensor:
    """Length of the intersection of two intervals; zero or negative where they do not meet."""
    return torch.minimum(start1 + length1, start2 + length2) - torch.maximum(start1, start2)


def box_overlap(boxes1: Tensor, boxes2: Tensor, iscrowd: Tensor) -> Tensor:
    """Intersection over union, or over the area of ``boxes1`` where ``boxes2`` is a crowd region.

    Args:
        boxes1: ``(..., 4)`` float64 xywh pixels (detections).
        boxes2: ``(..., 4)`` float64 xywh pixels (targets), broadcastable with ``boxes1``.
        iscrowd: ``(...)`` bool, for ``boxes2``.

    Returns:
        ``(...)`` float64 in [0, 1]; 0 where the boxes do not meet.

    Source: pycocotools ``maskApi.c``, ``bbIou``, with its order of operations, so that the last bits agree.

    Example:
        >>> one = torch.tensor([0.0, 0.0, 4.0, 2.0], dtype=torch.float64)
        >>> two = torch.tensor([2.0, 0.0, 4.0, 2.0], dtype=torch.float64)
        >>> box_overlap(one, two, torch.tensor([False, True])).tolist()
        [0.3333333333333333, 0.5]
    """
    x1, y1, w1, h1 = boxes1.unbind(-1)
    x2, y2, w2, h2 = boxes2.unbind(-1)
    width = interval_intersection(x1, w1, x2, w2)
    height = interval_intersection(y1, h1, y2, h2)
    meet = (width > 0) & (height > 0)
    intersection = width * height
    area1, area2 = w1 * h1, w2 * h2
    union = torch.where(iscrowd, area1, area1 + area2 - intersection)
    return torch.where(meet, intersection / union, 0.0)


def find_overlaps(
    detections: Tensor,
    targets: Tensor,
    iscrowd: Tensor,
    first: Tensor,
    count: Tensor,
    floor: float,
    byte_budget: int | None = None,
) -> Overlaps:
    """The overlaps of at least ``floor``, and above 0, between each target and its own range of detections.

    Args:
        detections: ``(N, 4)`` float64 xywh boxes, sorted so that the candidates of a target are neighbours.
        targets: ``(M, 4)`` float64 xywh boxes.
        iscrowd: ``(M,)`` bool.
        first: ``(M,)`` int64, the first candidate of each target.
        count: ``(M,)`` int64, the number of its candidates.
        floor: The smallest overlap that is kept, in [0, 1].
        byte_budget: Bytes that temporaries may take; a target with all its candidates is never divided. None: what
            suits the device.

    Returns:
        The overlaps, ordered by target, then detection.
    """
    # Most pairs are side by side: their x extents tell, before anything else is fetched.
    (left, right), (target_left, target_right) = _rounded_outward(detections), _rounded_outward(targets)

    def may_meet(detection: Tensor, target: Tensor) -> Tensor:
        meet: Tensor = right.index_select(0, detection) > target_left.index_select(0, target)
        meet &= left.index_select(0, detection) < target_right.index_select(0, target)
        return meet

    def overlap(detection: Tensor, target: Tensor) -> Tensor:
        return box_overlap(detections.index_select(0, detection), targets.index_select(0, target), iscrowd[target])

    return find_pairs(first, count, floor, overlap, may_meet=may_meet, byte_budget=byte_budget)


def _rounded_outward(boxes: Tensor) -> Tensor:
    """Left and right ends ``(2, n)`` in float32 that enclose those of boxes ``(n, 4)`` in float64."""
    infinity = torch.tensor(torch.inf, device=boxes.device)
    left, right = boxes[:, 0].float(), (boxes[:, 0] + boxes[:, 2]).float()
    return torch.stack([torch.nextafter(left, -infinity), torch.nextafter(right, infinity)])
