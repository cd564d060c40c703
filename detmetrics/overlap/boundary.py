"""Boundary IoU: the smaller of the overlaps of two masks and of their boundaries."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from detmetrics.overlap.mask_words import LANES, MASK_BUDGET, to_words
from detmetrics.overlap.masks import mask_iou, measure_masks
from detmetrics.overlap.rle import Runs, mask_boxes
from detmetrics.overlap.run_masks import crop, run_iou, to_runs
from detmetrics.overlap.similarity import Items, Measured, Overlaps, Request

DILATION_RATIO = 0.02


@dataclass(frozen=True)
class BoundarySimilarity:
    """The smaller of the overlaps of masks and of their boundaries: ``iou_type="boundary"``.

    Args:
        mask_budget: Bytes that temporaries may take in an image, beside masks that have to be converted.

    Source: Cheng et al., Boundary IoU (CVPR 2021).
    """

    mask_budget: int = MASK_BUDGET
    name = "boundary"
    key = "masks"
    columns = 1
    waits = False
    rules = ()

    def configuration(self) -> tuple[Any, ...]:
        """Nothing: the budget changes no number."""
        return ()

    def measure(self, preds: Items, target: Items, request: Request) -> Measured:
        """Areas and overlaps of the masks of a batch."""
        return measure_masks(preds, target, request, self.mask_budget, _boundary_iou, _boundary_iou_of_runs)

    def find(
        self, detections: Tensor, targets: Tensor, iscrowd: Tensor, first: Tensor, count: Tensor, floor: float
    ) -> Overlaps:
        """Not there: :meth:`measure` finds the overlaps."""
        raise NotImplementedError("masks do not wait")


def _boundary_iou(masks: Tensor, target_masks: Tensor, overlaps: Overlaps, iscrowd: Tensor, byte_budget: int) -> Tensor:
    """The overlap of the boundaries of pairs of masks, ``(E,)``. Each part of the pairs makes those that it needs."""
    bytes_per_pair = 4 * max(masks[:1].numel(), 1)  # two masks, and copies in words where rows are not whole words
    pairs_at_once = max(byte_budget // bytes_per_pair, 1)
    parts = []
    for pair in zip(overlaps.detection.split(pairs_at_once), overlaps.target.split(pairs_at_once), strict=True):
        (used, detection), (used_targets, target) = (i.unique(return_inverse=True) for i in pair)
        boundaries, target_boundaries = (
            to_words(mask_boundary(x.index_select(0, some)))
            for x, some in ((masks, used), (target_masks, used_targets))
        )
        crowd = iscrowd.index_select(0, used_targets)
        parts.append(mask_iou(boundaries, target_boundaries, (detection, target), crowd, byte_budget))
    return torch.cat(parts)


def _boundary_iou_of_runs(
    detections: Runs, targets: Runs, overlaps: Overlaps, iscrowd: Tensor, byte_budget: int
) -> Tensor:
    """The same for masks that stay encoded, each decoded only within its box."""
    (used, detection), (used_targets, target) = (
        i.unique(return_inverse=True) for i in (overlaps.detection, overlaps.target)
    )
    boundaries, target_boundaries = _boundary_runs(detections, used), _boundary_runs(targets, used_targets)
    return run_iou(boundaries, target_boundaries, (detection, target), iscrowd[used_targets], byte_budget)


def _boundary_runs(runs: Runs, used: Tensor) -> Runs:
    """The boundaries of some masks."""
    parts = []
    boxes = mask_boxes(runs)
    for number, index in enumerate(used.tolist()):
        left, top, right, bottom = boxes[index].tolist()
        height, width = runs.size[index].tolist()
        distance = _distance(height, width, DILATION_RATIO)
        inside = crop(runs, index, (left, top, right, bottom))[0]
        boundary = inside & ~_eroded(_eroded(inside, distance, 0), distance, 1)
        start, end = to_runs(boundary, (left, top), height)
        parts.append((torch.full_like(start, number), start, end))
    none = torch.zeros(0, dtype=torch.int64)
    mask, start, end = (torch.cat(part) for part in zip((none, none, none), *parts, strict=True))
    return Runs(runs.size[used], mask, start, end)


def _distance(height: int, width: int, dilation_ratio: float) -> int:
    return max(round(dilation_ratio * math.sqrt(height**2 + width**2)), 1)


def mask_boundary(masks: Tensor, dilation_ratio: float = DILATION_RATIO) -> Tensor:
    """The pixels of masks within a distance of their outline.

    Args:
        masks: ``(N, H, W)`` bool.
        dilation_ratio: The distance as a share of the image's diagonal; at least one pixel.

    Returns:
        ``(N, H, W)`` bool: what erosion by a square of twice the distance and one pixel takes away. Outside the image
        there is no mask.

    Source: Cheng et al., Boundary IoU (CVPR 2021), ``mask_to_boundary`` of the authors' API.

    Example:
        >>> mask_boundary(torch.ones(1, 4, 5, dtype=torch.bool)).int().tolist()
        [[[1, 1, 1, 1, 1], [1, 0, 0, 0, 1], [1, 0, 0, 0, 1], [1, 1, 1, 1, 1]]]
    """
    height, width = masks.shape[1:]
    distance = _distance(height, width, dilation_ratio)
    boundaries = torch.zeros_like(masks, memory_format=torch.contiguous_format)
    for mask, boundary, (top, left, bottom, right) in zip(masks, boundaries, to_words(masks).box.tolist(), strict=True):
        if top < bottom:  # before torch 2.5 a window without pixels could not be padded
            window = slice(top, bottom), slice(left * LANES, right * LANES)  # outside there is nothing to take away
            inside = mask[window]
            boundary[window] = inside & ~_eroded(_eroded(inside, distance, 0), distance, 1)
    return boundaries


def _eroded(mask: Tensor, distance: int, dim: int) -> Tensor:
    """Pixels that have no gap within ``distance`` along a dimension."""
    size = 2 * distance + 1
    filled = pad(mask, [distance, distance] if dim == 1 else [0, 0, distance, distance])
    length = 1  # of the spans that start at a pixel and are filled
    while length < size:
        step = min(length, size - length)
        starts = filled.shape[dim] - step
        filled = filled.narrow(dim, 0, starts) & filled.narrow(dim, step, starts)
        length += step
    return filled
