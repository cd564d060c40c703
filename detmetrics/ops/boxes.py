"""Box formats, areas and overlaps, in the order of operations of pycocotools."""

from __future__ import annotations

import torch
from torch import Tensor

BOX_FORMATS = ("xyxy", "xywh", "cxcywh")


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
    first = boxes[..., :2].to(torch.float64, copy=True, memory_format=torch.contiguous_format)
    second = boxes[..., 2:].to(torch.float64, copy=True, memory_format=torch.contiguous_format)
    if box_format == "xyxy":
        return first, second - first
    if box_format == "cxcywh":
        return first - second / 2, second
    return first, second


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
