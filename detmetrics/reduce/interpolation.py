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

from detmetrics.ragged import constants, exclusive_cumsum, occurrences
from detmetrics.reduce.averages import ordered_sum
from detmetrics.reduce.formulas import divide
from detmetrics.reduce.ranking import Matched, Ranking

CURVE_BUDGET = 64 << 20  # bytes that the curves of mean_precision may take
BYTES_PER_POINT = 40  # of a curve, with all temporaries


class Interpolated(NamedTuple):
    """What A area ranges, T thresholds and C classes reach at R recall points."""

    precision: Tensor  # (A, T, C, R) float64, the best precision at this recall or beyond; 0 where it is not reached
    scores: Tensor  # (A, T, C, R) float64, the score at which the recall is reached; 0 where it is not


def interpolate(
    ranking: Ranking, matched: Matched, countable: Tensor, num_targets: Tensor, recall_points: Tensor
) -> Interpolated:
    """COCO's interpolated precision-recall curves.

    Args:
        ranking: The C classes in the ranking of N detections.
        matched: The n detections that are matched under any setting of A area ranges and T thresholds.
        countable: ``(A, N)`` bool: the detections that are false positives where they stay unmatched.
        num_targets: ``(A, C)`` int64, the counted targets of each class.
        recall_points: ``(R,)`` float64 in [0, 1], in any order.

    Returns:
        The curves; NaN for classes without counted targets.

    Source: pycocotools ``COCOeval.accumulate``.
    """
    points, order = recall_points.sort()
    hits = _hits(ranking, matched, countable, num_targets, points)
    shape = (len(countable), matched.num_thresholds, num_targets.shape[1], len(points))
    scores = matched.scores.index_select(0, hits.row)
    best = [best_from(hits.level, values, hits.cell, shape) for values in (hits.precision, scores)]
    # At recall 0 pycocotools reports the first detection's score, matched or not.
    best[1] = torch.where(points == 0, ranking.best_score[:, None], best[1])
    undefined = (num_targets == 0)[:, None, :, None]
    as_given = order.argsort()
    return Interpolated(*(torch.where(undefined, torch.nan, values).index_select(-1, as_given) for values in best))


def mean_precision(
    ranking: Ranking, matched: Matched, countable: Tensor, num_targets: Tensor, recall_points: Tensor
) -> Tensor:
    """The mean of the interpolated precision over recall points, ``(A, T, C)`` float64; NaN without counted targets.

    Arguments as for :func:`interpolate`. Only settings and classes with true positives are worked on, so many at a time
    that their curves stay within a budget: of thousands of classes most have none.
    """
    hits = _hits(ranking, matched, countable, num_targets, recall_points.sort().values)
    num_points = len(recall_points)
    means = hits.precision.new_zeros(len(hits.per_cell))
    divisor = means.new_full((), num_points)  # on a GPU, division by a Python number multiplies by its reciprocal
    for cells, rows, index in _in_parts(hits, CURVE_BUDGET // (BYTES_PER_POINT * (num_points + 1))):
        best = best_from(hits.level[rows], hits.precision[rows], index, (len(cells), num_points))
        means.index_copy_(0, cells, ordered_sum(best) / divisor)
    means = means.view(len(countable), matched.num_thresholds, num_targets.shape[1])
    return means.masked_fill((num_targets == 0)[:, None], torch.nan)


def _in_parts(hits: _Hits, at_once: int) -> Iterator[tuple[Tensor, slice, Tensor]]:
    """The cells with true positives, some at a time: cells, their true positives, and the index of the cell of each."""
    cells = hits.per_cell.nonzero().squeeze(1)
    index = ((hits.per_cell > 0).cumsum(0) - 1).index_select(0, hits.cell)
    if len(cells) <= at_once:
        yield cells, slice(None), index
        return
    at_once = max(at_once, 1)
    bounds = [*range(0, len(cells), at_once), len(cells)]
    starts = torch.searchsorted(index, constants(bounds, index.device)).tolist()
    for (first, last), (start, end) in zip(itertools.pairwise(bounds), itertools.pairwise(starts), strict=True):
        yield cells[first:last], slice(start, end), index[start:end] - first


class _Hits(NamedTuple):
    """Every true positive under every setting, by setting, class and score."""

    cell: Tensor  # (P,) int64, setting * C + class, ascending
    per_cell: Tensor  # (A * T * C,) int64, how many there are
    row: Tensor  # (P,) int64, index into the matched detections
    precision: Tensor  # (P,) float64, from the best score of the class down to this one
    level: Tensor  # (P,) int64, the number of recall points that are reached


def _hits(ranking: Ranking, matched: Matched, countable: Tensor, num_targets: Tensor, points: Tensor) -> _Hits:
    """The true positives, where ``points`` (R,) are ascending."""
    num_classes = num_targets.shape[1]
    position, setting, row = _hits_by_setting(matched)
    label = matched.label.index_select(0, row)
    area = setting // matched.num_thresholds
    cell = setting * num_classes + label
    per_cell = occurrences(cell, len(matched.hits) * num_classes)
    # The position of each true positive among those of its setting and class, from 1.
    first = exclusive_cumsum(per_cell).index_select(0, cell)
    ordinal = torch.arange(1, len(cell) + 1, device=cell.device) - first
    precision = divide(ordinal, _num_ranked(ranking, matched, countable, position, setting, row))
    # The k-th hit reaches a recall point r when k / n >= r in float64. Counting k >= r * n would differ at 7 of 10.
    recall = divide(ordinal, num_targets.flatten().index_select(0, area * num_classes + label))
    return _Hits(cell, per_cell, row, precision, torch.searchsorted(points, recall, right=True))


def final_recall(matched: Matched, num_targets: Tensor, limits: Sequence[int]) -> Tensor:
    """The recall of all matches within limits on the rank, ``(A, T, C, M)`` float64; NaN without counted targets.

    Args:
        matched: The detections that are matched under any setting of A area ranges and T thresholds.
        num_targets: ``(A, C)`` int64, the counted targets of each class.
        limits: How many detections per image and class take part, ascending.
    """
    num_areas, num_classes = num_targets.shape
    _, setting, row = _hits_by_setting(matched)
    # The first limit that lets a match in, or one behind the last: running sums over the limits give the counts.
    limit = torch.searchsorted(constants(limits, row.device), matched.rank, right=True)
    cell = matched.label * (len(limits) + 1) + limit
    per_setting = num_classes * (len(limits) + 1)
    counts = occurrences(setting * per_setting + cell.index_select(0, row), len(matched.hits) * per_setting)
    counts = counts.view(num_areas, matched.num_thresholds, num_classes, len(limits) + 1).cumsum(-1)[..., :-1]
    return divide(counts, num_targets[:, None, :, None])


def _hits_by_setting(matched: Matched) -> tuple[Tensor, Tensor, Tensor]:
    """Every true positive (P,): index into the flat ``(A * T, n)``, the setting, and the index into the n rows."""
    num_rows = max(len(matched.position), 1)
    position = matched.hits.flatten().nonzero().squeeze(1)
    setting = position // num_rows
    return position, setting, position - setting * num_rows


def _num_ranked(
    ranking: Ranking, matched: Matched, countable: Tensor, position: Tensor, setting: Tensor, row: Tensor
) -> Tensor:
    """True and false positives of a class from its best score down to each true positive, ``(P,)`` int64."""
    num_classes, num_rows, num_thresholds = len(ranking.first), len(matched.position), matched.num_thresholds
    # Countable detections count. Of the matched ones only the hits do, countable or not.
    seen = from_zero(countable.cumsum(1))  # (A, N + 1)
    out = (matched.hits | matched.ignored) & matched.countable.repeat_interleave(num_thresholds, 0)  # (A * T, n)
    change = matched.hits.to(torch.int8) - out.to(torch.int8)
    change = from_zero(change.flatten().cumsum(0))  # (A * T * n + 1,)
    # Both counts run on across classes and settings: take off what they had where the class starts.
    area, label = setting // num_thresholds, matched.label.index_select(0, row)
    classes = torch.arange(num_classes, device=row.device)
    first_row = torch.searchsorted(matched.label, classes).index_select(0, label) + setting * num_rows
    up_to = matched.position.index_select(0, row) + 1 + area * seen.shape[1]
    before = seen.index_select(1, ranking.first).flatten().index_select(0, area * num_classes + label)
    ranked = seen.flatten().index_select(0, up_to) - before
    return ranked + change.index_select(0, position + 1) - change.index_select(0, first_row)


def from_zero(cumulative: Tensor) -> Tensor:
    """Cumulative sums ``(..., N)`` with a 0 in front, so that two of them differ by the sum of what lies between."""
    return torch.nn.functional.pad(cumulative, (1, 0))


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
