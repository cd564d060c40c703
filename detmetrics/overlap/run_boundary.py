"""Boundaries of masks that stay run-length encoded: erosion on intervals, without pixels.

The pixels of a mask are intervals on a line, column after column. Its erosion by a square of 2d + 1 pixels cuts d
pixels off both ends of what every column has, then intersects 2d + 1 copies, each shifted by a column.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from detmetrics.overlap.rle import Runs
from detmetrics.overlap.run_masks import in_parts
from detmetrics.ragged import owners, ranges

DILATION_RATIO = 0.02
BYTES_PER_INTERVAL = 256  # that temporaries take for each run of a column

Intervals = tuple[Tensor, Tensor]  # starts and ends on a line, (R,) int64 each, ascending; no two share a point


def boundary_distance(height: int, width: int, dilation_ratio: float = DILATION_RATIO) -> int:
    """How many pixels a boundary is wide: a share of the image's diagonal, and at least one."""
    return max(round(dilation_ratio * math.sqrt(height**2 + width**2)), 1)


def boundary_runs(runs: Runs, used: Tensor, byte_budget: int) -> Runs:
    """The boundaries of some masks of one image, as :func:`mask_boundary` gives them for decoded ones.

    Args:
        runs: The masks.
        used: ``(n,)`` int64, ascending: which of them.
        byte_budget: Bytes that temporaries may take; a mask with all its columns is never divided.
    """
    if not len(used):
        return Runs(runs.size[used], *(part[:0] for part in runs[1:]))
    height, width = runs.size[0].tolist()
    first, behind = (torch.searchsorted(runs.mask, used, right=right) for right in (False, True))
    columns = (runs.end - 1) // max(height, 1) - runs.start // max(height, 1) + 1  # that each run touches
    before = torch.cat([columns.new_zeros(1), columns.cumsum(0)])
    parts = []
    for some in in_parts(before[behind] - before[first], max(byte_budget // BYTES_PER_INTERVAL, 1)):
        run = ranges(first[some], (behind - first)[some], int((behind - first)[some].sum()))
        mask = owners((behind - first)[some], len(run))
        distance = boundary_distance(height, width)
        span = height * (width + 2 * distance + 1)  # of a mask on the line: shifted copies do not reach the next one
        start, end = _boundary((runs.start[run] + mask * span, runs.end[run] + mask * span), height, distance)
        own = start // span
        parts.append((own + some.start, start - own * span, end - own * span))
    mask, start, end = (torch.cat(part) for part in zip(*parts, strict=True))
    return Runs(runs.size[used], mask, start, end)


def _boundary(mask: Intervals, height: int, distance: int) -> Intervals:
    start, end = mask = _by_column(_merged(mask), height)
    kept = end - start > 2 * distance
    filled = start[kept] + distance, end[kept] - distance  # eroded down the columns
    length, size = 1, 2 * distance + 1  # of the rows of pixels that start at an interval and are filled
    while length < size:
        step = min(length, size - length)
        filled = _sum_is(2, filled, _shifted(filled, -step * height))
        length += step
    start, end = _shifted(filled, distance * height)
    return _sum_is(1, mask, (start, end), (start, end))  # of the mask, and not of what is left of it


def _shifted(intervals: Intervals, by: int) -> Intervals:
    return intervals[0] + by, intervals[1] + by


def _merged(intervals: Intervals) -> Intervals:
    """The same points, without intervals that touch: a run of no pixels may stand between two runs of a mask."""
    start, end = intervals
    apart = start[1:] > end[:-1]
    yes = torch.ones_like(start[:1], dtype=torch.bool)
    return start[torch.cat([yes, apart])], end[torch.cat([apart, yes])]


def _by_column(intervals: Intervals, height: int) -> Intervals:
    """The same points, cut where a column ends."""
    start, end = intervals
    first = start // height
    count = (end - 1) // height - first + 1
    owner = owners(count, int(count.sum()))
    column = ranges(first, count, len(owner))
    return torch.maximum(start[owner], column * height), torch.minimum(end[owner], (column + 1) * height)


def _sum_is(wanted: int, *several: Intervals) -> Intervals:
    """Where so many of several sets of intervals have a point."""
    at = torch.cat([part for intervals in several for part in intervals])
    rise = torch.cat([torch.full_like(part, 1 - 2 * i) for intervals in several for i, part in enumerate(intervals)])
    at, order = at.sort()
    depth = rise[order].cumsum(0)
    found = ((depth[:-1] == wanted) & (at[:-1] < at[1:])).nonzero().squeeze(1)
    return at[found], at[found + 1]
