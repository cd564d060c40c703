"""Object keypoint similarity, in the order of operations of pycocotools."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from detmetrics.overlap.candidates import PairFunction, find_pairs
from detmetrics.overlap.similarity import Overlaps
from detmetrics.ragged import blocks

SPACING = 2.0**-52  # numpy.spacing(1)
POINT_BUDGET = {"cpu": 1 << 20, "cuda": 1 << 28}  # bytes of the temporaries of some pairs: on a CPU a cache
BYTES_PER_POINT = 32  # of a pair
BYTES_PER_PAIR = 60  # of one that is only looked at
MARGIN = 1 + 1e-9  # of a reach, for what its rounding takes away


class Wanted(NamedTuple):
    """Where the points of targets are expected, and how far from there they may be."""

    low: Tensor  # (M, 2, K) float64, x and y
    high: Tensor  # (M, 2, K) float64; equal to low but for targets without labelled points
    variance: Tensor  # (M, K) float64, 4 sigma squared; NaN for points that do not count
    area: Tensor  # (M,) float64


def bounds_of(points: Tensor, boxes: Tensor, unlabelled: Tensor) -> tuple[Tensor, Tensor]:
    """The points ``(M, 2, K)``, or where there are none, ``unlabelled`` (M, 1), the box doubled in size."""
    corner, size = boxes[:, :2, None], boxes[:, 2:, None]  # (M, 2, 1)
    instead = unlabelled[:, None]
    return torch.where(instead, corner - size, points), torch.where(instead, corner + size * 2, points)


def find_oks(points: Tensor, wanted: Wanted, first: Tensor, count: Tensor, floor: float) -> Overlaps:
    """The similarities of at least ``floor``, and above 0, between each target and its own range of detections.

    A similarity is the mean over points of exp(-d^2 / (2 area (2 sigma)^2)), where d is the distance of two points.

    Args:
        points: ``(N, 2, K)`` float64, x and y of detections, sorted so that the candidates of a target are neighbours.
        wanted: The points of M targets.
        first: ``(M,)`` int64, the first candidate of each target.
        count: ``(M,)`` int64, the number of its candidates.
        floor: The smallest similarity that is kept, in [0, 1].

    Returns:
        The similarities, ordered by target, then detection.

    Source: pycocotools ``COCOeval.computeOks``.

    Example:
        >>> person = torch.tensor([[[3.0, 5.0], [1.0, 1.0]]], dtype=torch.float64)
        >>> wanted = Wanted(person, person, torch.ones(1, 2).double(), torch.ones(1).double())
        >>> moved = person + torch.tensor([0.0, 1e9])  # the second point is far off
        >>> find_oks(moved, wanted, torch.tensor([0]), torch.tensor([1]), 0.1).iou.tolist()
        [0.5]
    """
    counted = ~wanted.variance.isnan()
    # Points that do not count are infinitely far, so that they add exactly 0.
    low, high = (x.where(counted[:, None], torch.inf).unbind(1) for x in (wanted.low, wanted.high))  # (M, K) each
    variance = wanted.variance.where(counted, 1.0)
    area, number = (wanted.area + SPACING)[:, None], counted.sum(dim=1)
    own = points.unbind(1)  # (N, K) each

    def squared_offset(axis: int, detection: Tensor, target: Tensor) -> Tensor:
        offset = own[axis].index_select(0, detection)  # (P, K)
        nearest = offset.clamp(low[axis].index_select(0, target), high[axis].index_select(0, target))
        return offset.sub_(nearest).square_()

    def similarity(detection: Tensor, target: Tensor) -> Tensor:
        exponent = squared_offset(0, detection, target).add_(squared_offset(1, detection, target))
        exponent.div_(variance.index_select(0, target)).div_(area.index_select(0, target)).div_(2)
        return _row_sums(exponent.neg_().exp_()).div_(number.index_select(0, target))

    budget = POINT_BUDGET.get(points.device.type, POINT_BUDGET["cuda"])
    at_once = max(budget // (BYTES_PER_POINT * points.shape[2]), 1)

    def overlap(detection: Tensor, target: Tensor) -> Tensor:
        parts = [similarity(detection[block], target[block]) for block in blocks(len(target), at_once)]
        return torch.cat([*parts, area.new_empty(0)])

    near = _near(points, wanted, counted, floor)
    return find_pairs(first, count, floor, overlap, may_meet=near, bytes_per_pair=BYTES_PER_PAIR)


def _row_sums(values: Tensor) -> Tensor:
    """The sum of each row ``(P, K)``, in an order of its own whatever P is. The values are overwritten."""
    width = values.shape[1]
    while width > 1:
        half = (width + 1) // 2
        values[:, : width - half] += values[:, half:width]
        width = half
    return values[:, 0].clone()


def _near(points: Tensor, wanted: Wanted, counted: Tensor, floor: float) -> PairFunction:
    """Which pairs can reach the floor: some point is so near that it does by itself. Extents tell, in float32."""
    lowest = torch.finfo(torch.float64).smallest_normal
    squared = wanted.variance * (wanted.area + SPACING)[:, None] * (-2 * math.log(max(floor, lowest)))
    reach = squared.sqrt().mul(MARGIN)[:, None]  # (M, 1, K); NaN for points that do not count
    counts = counted[:, None]
    ends = _outward(points.amin(dim=2), points.amax(dim=2))
    others = _outward(
        (wanted.low - reach).where(counts, torch.inf).amin(dim=2),
        (wanted.high + reach).where(counts, -torch.inf).amax(dim=2),
    )
    (left, top), (right, bottom) = (x.unbind(1) for x in ends)
    (target_left, target_top), (target_right, target_bottom) = (x.unbind(1) for x in others)
    sides = (left, target_right), (target_left, right), (top, target_bottom), (target_top, bottom)

    def may_meet(detection: Tensor, target: Tensor) -> Tensor:
        meet = torch.ones_like(target, dtype=torch.bool)
        for i, (less, more) in enumerate(sides):
            first, second = (detection, target) if i % 2 == 0 else (target, detection)
            meet &= less.index_select(0, first) <= more.index_select(0, second)
        return meet

    return may_meet


def _outward(low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Ends in float32 that enclose those in float64."""
    infinity = torch.tensor(torch.inf, device=low.device)
    return torch.nextafter(low.float(), -infinity), torch.nextafter(high.float(), infinity)
