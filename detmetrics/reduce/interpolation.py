"""Precision, recall and scores at recall points, from ranked detections: COCO's accumulation.

Precision is only ever asked for at true positives, so nothing dense is computed but one running count of the detections
that can be false positives.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from detmetrics.ragged import constants, exclusive_cumsum, from_zero, occurrences, owners
from detmetrics.reduce.averages import ordered_sum
from detmetrics.reduce.formulas import divide
from detmetrics.reduce.ranking import Accumulated

CURVE_BUDGET = 64 << 20  # bytes that the curves of mean_precision may take
BYTES_PER_POINT = 40  # of a curve, with all temporaries


class Interpolated(NamedTuple):
    """What A area ranges, T thresholds and C classes reach at R recall points."""

    precision: Tensor  # (A, T, C, R) float64, the best precision at this recall or beyond; 0 where it is not reached
    scores: Tensor  # (A, T, C, R) float64, the score at which the recall is reached; 0 where it is not


class TruePositives(NamedTuple):
    """Every true positive under every setting, by setting, class and score."""

    cell: Tensor  # (P,) int64, setting * C + class, ascending
    per_cell: Tensor  # (A * T * C,) int64, how many there are
    row: Tensor  # (P,) int64, index into the matched detections
    precision: Tensor  # (P,) float64, from the best score of the class down to this one
    recall: Tensor  # (P,) float64, likewise


def true_positives(part: Accumulated) -> TruePositives:
    """All true positives in A area ranges, with the precision and the recall that each reaches."""
    matched, num_targets = part.matched, part.num_targets
    num_settings, num_rows = matched.hits.shape
    num_classes, num_thresholds = num_targets.shape[1], matched.num_thresholds
    position = matched.hits.flatten().nonzero().squeeze(1)  # (P,), into the flat (A * T, n)
    setting = owners(matched.hits.sum(dim=1), len(position))
    row = position - setting * num_rows
    cell = setting * num_classes + matched.label.index_select(0, row)
    per_cell = occurrences(cell, num_settings * num_classes)
    # The position of each true positive among those of its setting and class, from 1.
    ordinal = torch.arange(1, len(cell) + 1, device=cell.device) - exclusive_cumsum(per_cell).index_select(0, cell)
    ranked = _num_ranked(part, position, setting, row, cell)
    targets = num_targets.repeat_interleave(num_thresholds, 0).flatten()  # (A * T * C,)
    # The k-th hit reaches a recall point r when k / n >= r in float64. Counting k >= r * n would differ at 7 of 10.
    recall = divide(ordinal, targets.index_select(0, cell))
    return TruePositives(cell, per_cell, row, divide(ordinal, ranked), recall)


def interpolate(part: Accumulated, found: TruePositives, recall_points: Tensor) -> Interpolated:
    """COCO's interpolated precision-recall curves.

    Args:
        part: The matches in A area ranges.
        found: The true positives among them.
        recall_points: ``(R,)`` float64 in [0, 1], in any order.

    Returns:
        The curves; NaN for classes without counted targets.

    Source: pycocotools ``COCOeval.accumulate``.
    """
    matched, num_targets = part.matched, part.num_targets
    points, order = recall_points.sort()
    level = torch.searchsorted(points, found.recall, right=True)
    shape = (len(num_targets), matched.num_thresholds, num_targets.shape[1], len(points))
    scores = matched.scores.index_select(0, found.row)
    best = [best_from(level, values, found.cell, shape) for values in (found.precision, scores)]
    # At recall 0 pycocotools reports the first detection's score, matched or not.
    best[1] = torch.where(points == 0, part.ranking.best_score[:, None], best[1])
    undefined = (num_targets == 0)[:, None, :, None]
    as_given = order.argsort()
    return Interpolated(*(torch.where(undefined, torch.nan, values).index_select(-1, as_given) for values in best))


def mean_precision(part: Accumulated, found: TruePositives, recall_points: Tensor) -> Tensor:
    """The mean of the interpolated precision over recall points, ``(A, T, C)`` float64; NaN without counted targets.

    Arguments as for :func:`interpolate`. Only settings and classes with true positives are worked on, so many at a time
    that their curves stay within a budget: of thousands of classes most have none.
    """
    level = torch.searchsorted(recall_points.sort().values, found.recall, right=True)
    num_points = len(recall_points)
    means = found.precision.new_zeros(len(found.per_cell))
    divisor = means.new_full((), num_points)  # on a GPU, division by a Python number multiplies by its reciprocal
    for cells, rows, index in _in_parts(found, CURVE_BUDGET // (BYTES_PER_POINT * (num_points + 1))):
        best = best_from(level[rows], found.precision[rows], index, (len(cells), num_points))
        means.index_copy_(0, cells, ordered_sum(best) / divisor)
    num_areas, num_classes = part.num_targets.shape
    means = means.view(num_areas, part.matched.num_thresholds, num_classes)
    return means.masked_fill((part.num_targets == 0)[:, None], torch.nan)


def _in_parts(found: TruePositives, at_once: int) -> Iterator[tuple[Tensor, slice, Tensor]]:
    """The cells with true positives, some at a time: cells, their true positives, and the index of the cell of each."""
    cells = found.per_cell.nonzero().squeeze(1)
    index = ((found.per_cell > 0).cumsum(0) - 1).index_select(0, found.cell)
    if len(cells) <= at_once:
        yield cells, slice(None), index
        return
    at_once = max(at_once, 1)
    bounds = [*range(0, len(cells), at_once), len(cells)]
    starts = torch.searchsorted(index, constants(bounds, index.device)).tolist()
    for (first, last), (start, end) in zip(itertools.pairwise(bounds), itertools.pairwise(starts), strict=True):
        yield cells[first:last], slice(start, end), index[start:end] - first


def final_recall(part: Accumulated, found: TruePositives, limits: Sequence[int]) -> Tensor:
    """The recall of all matches within limits on the rank, ``(A, T, C, M)`` float64; NaN without counted targets.

    Args:
        part: The matches in A area ranges.
        found: The true positives among them.
        limits: How many detections per image and class take part, ascending.
    """
    matched, num_targets = part.matched, part.num_targets
    num_areas, num_classes = num_targets.shape
    # The first limit that lets a match in, or one behind the last: running sums over the limits give the counts.
    limit = torch.searchsorted(constants(limits, found.row.device), matched.rank, right=True)
    places = len(limits) + 1
    counts = occurrences(found.cell * places + limit.index_select(0, found.row), len(found.per_cell) * places)
    counts = counts.view(num_areas, matched.num_thresholds, num_classes, places).cumsum(-1)[..., :-1]
    return divide(counts, num_targets[:, None, :, None])


def _num_ranked(part: Accumulated, position: Tensor, setting: Tensor, row: Tensor, cell: Tensor) -> Tensor:
    """True and false positives of a class from its best score down to each true positive, ``(P,)`` int64."""
    ranking, matched, countable = part.ranking, part.matched, part.countable
    num_rows, num_thresholds = len(matched.position), matched.num_thresholds
    # Countable detections count. Of the matched ones only the hits do, countable or not.
    seen = from_zero(countable.cumsum(1))  # (A, N + 1)
    out = (matched.hits | matched.ignored) & matched.countable.repeat_interleave(num_thresholds, 0)  # (A * T, n)
    change = from_zero((matched.hits.to(torch.int8) - out.to(torch.int8)).flatten().cumsum(0))  # (A * T * n + 1,)
    # Both counts run on across classes and settings: take off what they had where the class starts.
    first_row = torch.searchsorted(matched.label, torch.arange(len(ranking.first), device=row.device))  # (C,)
    settings = torch.arange(len(matched.hits), device=row.device)[:, None]
    before = change[first_row + settings * num_rows]  # (A * T, C)
    before += seen.index_select(1, ranking.first).repeat_interleave(num_thresholds, 0)
    areas = torch.arange(len(countable), device=row.device).repeat_interleave(num_thresholds) * seen.shape[1]
    up_to = (matched.position + 1).index_select(0, row) + areas.index_select(0, setting)
    ranked = seen.flatten().index_select(0, up_to) + change[1:].index_select(0, position)
    return ranked - before.flatten().index_select(0, cell)


def best_from(level: Tensor, values: Tensor, curve: Tensor, shape: tuple[int, ...]) -> Tensor:
    """For each recall point the largest value among the true positives that reach it; 0 if none does.

    Scores fall as recall rises, so that for them the largest is the first.

    Args:
        level: ``(P,)`` int64, the number of recall points that each true positive reaches.
        values: ``(P,)`` float64.
        curve: ``(P,)`` int64, the curve that each belongs to.
        shape: ``(..., R)``: that of the curves, which are counted in order, and R recall points.

    Returns:
        Float64 of that shape.
    """
    num_levels = shape[-1] + 1  # level 0 reaches no point
    best = values.new_full((math.prod(shape[:-1]) * num_levels,), -torch.inf)
    best = best.scatter_reduce_(0, curve * num_levels + level, values, "amax").view(*shape[:-1], num_levels)
    best = best[..., 1:].flip(-1).cummax(-1).values.flip(-1)
    return torch.where(best == -torch.inf, 0.0, best)
