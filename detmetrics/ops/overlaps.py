"""The few pairs of detection and target that could ever be a match."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import torch
from torch import Tensor

from detmetrics.ops.boxes import box_overlap
from detmetrics.ops.ragged import owners, ranges

BYTES_PER_PAIR = 180  # temporaries of find_overlaps where every pair overlaps; 24 where none do
PAIR_BUDGET = 64 << 20  # bytes


class Overlaps(NamedTuple):
    """Pairs of detection and target above a floor, by target, then by detection."""

    detection: Tensor  # (E,) int64, index of the detection
    target: Tensor  # (E,) int64, index of the target
    iou: Tensor  # (E,) float64


def find_overlaps(
    detections: Tensor,
    targets: Tensor,
    iscrowd: Tensor,
    first: Tensor,
    count: Tensor,
    floor: float,
    byte_budget: int = PAIR_BUDGET,
) -> Overlaps:
    """The overlaps of at least ``floor``, and above 0, between each target and its own range of detections.

    Args:
        detections: ``(N, 4)`` float64 xywh boxes, sorted so that the candidates of a target are neighbours.
        targets: ``(M, 4)`` float64 xywh boxes.
        iscrowd: ``(M,)`` bool.
        first: ``(M,)`` int64, the first candidate of each target.
        count: ``(M,)`` int64, the number of its candidates.
        floor: The smallest overlap that is kept, in [0, 1].
        byte_budget: Bytes that temporaries may take; a target with all its candidates is never divided.

    Returns:
        The overlaps, ordered by target, then detection.
    """
    pairs_per_chunk = max(byte_budget // BYTES_PER_PAIR, 1)
    ends = count.cumsum(0)
    total = int(ends[-1]) if len(ends) else 0
    cuts = [0, len(targets)]
    if total > pairs_per_chunk:
        marks = torch.arange(pairs_per_chunk, total, pairs_per_chunk, device=ends.device)
        cuts[1:1] = (torch.searchsorted(ends, marks, right=True)).unique().tolist()
    # Most pairs are side by side: their x extents tell, before anything else is fetched.
    extents = _rounded_outward(detections), _rounded_outward(targets)
    found = [
        _overlaps_of_chunk(detections, targets, iscrowd, first, count, floor, extents, slice(lo, hi))
        for lo, hi in itertools.pairwise(cuts)
        if lo < hi
    ]
    if len(found) == 1:
        return found[0]
    if not found:
        index = torch.empty(0, dtype=torch.int64, device=detections.device)
        return Overlaps(index, index, torch.empty(0, dtype=torch.float64, device=detections.device))
    return Overlaps(*map(torch.cat, zip(*found, strict=True)))


def _overlaps_of_chunk(
    detections: Tensor,
    targets: Tensor,
    iscrowd: Tensor,
    first: Tensor,
    count: Tensor,
    floor: float,
    extents: tuple[Tensor, Tensor],
    chunk: slice,
) -> Overlaps:
    total = int(count[chunk].sum())
    target = owners(count[chunk].int(), total)  # (P,) int32, as all of what is fetched for every pair is narrow
    detection = ranges(first[chunk].int(), count[chunk].int(), total)
    (left, right), (target_left, target_right) = extents[0], extents[1][:, chunk]
    meet = right.index_select(0, detection) > target_left.index_select(0, target)
    meet &= left.index_select(0, detection) < target_right.index_select(0, target)
    kept = meet.nonzero().squeeze(1)
    detection, target = detection.index_select(0, kept).long(), target.index_select(0, kept).long() + chunk.start
    iou = box_overlap(detections.index_select(0, detection), targets.index_select(0, target), iscrowd[target])
    kept = ((iou >= floor) & (iou > 0)).nonzero().squeeze(1)
    return Overlaps(detection.index_select(0, kept), target.index_select(0, kept), iou.index_select(0, kept))


def _rounded_outward(boxes: Tensor) -> Tensor:
    """Left and right ends ``(2, n)`` in float32 that enclose those of boxes ``(n, 4)`` in float64."""
    infinity = torch.tensor(torch.inf, device=boxes.device)
    left, right = boxes[:, 0].float(), (boxes[:, 0] + boxes[:, 2]).float()
    return torch.stack([torch.nextafter(left, -infinity), torch.nextafter(right, infinity)])
