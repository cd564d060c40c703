"""Boundary IoU: the smaller of the overlaps of two masks and of their boundaries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from detmetrics.overlap.mask_words import LANES, MASK_BUDGET, to_words
from detmetrics.overlap.masks import mask_iou, measure_masks
from detmetrics.overlap.rle import Runs
from detmetrics.overlap.run_boundary import DILATION_RATIO, boundary_distance, boundary_runs
from detmetrics.overlap.run_masks import run_iou
from detmetrics.overlap.similarity import Items, Measured, Overlaps, Request


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
    """The same for masks that stay encoded: their boundaries are found from their runs."""
    (used, detection), (used_targets, target) = (
        i.unique(return_inverse=True) for i in (overlaps.detection, overlaps.target)
    )
    boundaries, target_boundaries = (
        boundary_runs(runs, some, byte_budget) for runs, some in ((detections, used), (targets, used_targets))
    )
    return run_iou(boundaries, target_boundaries, (detection, target), iscrowd[used_targets], byte_budget)


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
    distance = boundary_distance(height, width, dilation_ratio)
    boxes = to_words(masks).box
    if boxes is None and masks.numel():
        return masks & ~_eroded(_eroded(masks, distance, -2), distance, -1)
    boundaries = torch.zeros_like(masks, memory_format=torch.contiguous_format)
    for mask, boundary, box in zip(masks, boundaries, [] if boxes is None else boxes.tolist(), strict=True):
        top, left, bottom, right = box
        if top < bottom:  # before torch 2.5 a window without pixels could not be padded
            window = slice(top, bottom), slice(left * LANES, right * LANES)  # outside there is nothing to take away
            inside = mask[window]
            boundary[window] = inside & ~_eroded(_eroded(inside, distance, -2), distance, -1)
    return boundaries


def _eroded(mask: Tensor, distance: int, dim: int) -> Tensor:
    """Pixels ``(..., H, W)`` that have no gap within ``distance`` along the last dimension, -1, or the other, -2."""
    size = 2 * distance + 1
    filled = pad(mask, [distance, distance] if dim == -1 else [0, 0, distance, distance])
    length = 1  # of the spans that start at a pixel and are filled
    while length < size:
        step = min(length, size - length)
        starts = filled.shape[dim] - step
        filled = filled.narrow(dim, 0, starts) & filled.narrow(dim, step, starts)
        length += step
    return filled


def map_boundary(*maps: Tensor, dilation_ratio: float = DILATION_RATIO) -> Tensor:
    """The pixels of all segments of a map within the distance of :func:`mask_boundary` of their own outline.

    A pixel is none of them if the square around it has one value, which two passes tell: every row of the square is
    constant, and so is its middle column.

    Args:
        maps: ``(H, W)`` each: a segment is where all of them are constant.
        dilation_ratio: As there.

    Returns:
        ``(H, W)`` bool: :func:`mask_boundary` of each segment, all in one map.

    Example:
        >>> map_boundary(torch.tensor([[1] * 3 + [2] * 3] * 3)).int().tolist()
        [[1, 1, 1, 1, 1, 1], [1, 0, 1, 1, 0, 1], [1, 1, 1, 1, 1, 1]]
    """
    height, width = maps[0].shape
    distance = boundary_distance(height, width, dilation_ratio)
    rows = _eroded(_eroded(_like_both_neighbours(maps, 1), distance - 1, -1), distance, -2)
    return ~(rows & _eroded(_like_both_neighbours(maps, 0), distance - 1, -2))


def _like_both_neighbours(maps: tuple[Tensor, ...], dim: int) -> Tensor:
    """Whether a pixel is like the one before and the one after it along a dimension; false at the border."""
    alike = torch.zeros_like(maps[0], dtype=torch.bool)
    inner = alike.narrow(dim, 1, max(alike.shape[dim] - 2, 0)) if alike.shape[dim] > 2 else alike[:0]
    inner.fill_(True)
    for values in maps:
        if len(inner):
            same = values.narrow(dim, 1, values.shape[dim] - 1) == values.narrow(dim, 0, values.shape[dim] - 1)
            inner &= same.narrow(dim, 0, inner.shape[dim]) & same.narrow(dim, 1, inner.shape[dim])
    return alike
