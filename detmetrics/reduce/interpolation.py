"""Precision, recall and scores at recall points, from ranked detections: COCO's accumulation.

Precision is only ever asked for at true positives, so nothing dense is computed but one running count of the detections
that can be false positives.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from detmetrics.ragged import exclusive_cumsum
from detmetrics.reduce.averages import ordered_sum
from detmetrics.reduce.formulas import divide
from detmetrics.reduce.ranking import Matched, Ranking

CURVE_BUDGET = 64 << 20  # bytes that the curves of mean_precision may take
BYTES_PER_POINT = 40  # of a curve, with all temporaries


class Interpolated(NamedTuple):
    """What T settings and C classes reach at R recall points."""

    precision: Tensor  # (T, C, R) float64, the best precision at this recall or beyond; 0 where it is not reached
    scores: Tensor  # (T, C, R) float64, the score at which the recall is reached; 0 where it is not


def interpolate(
    ranking: Ranking, matched: Matched, countable: Tensor, num_targets: Tensor, recall_points: Tensor
) -> Interpolated:
    """COCO's interpolated precision-recall curves.

    Args:
        ranking: The C classes in the ranking of N detections.
        matched: The n detections that are matched under any of T settings.
        countable: ``(N,)`` bool: the detections that are false positives where they stay unmatched.
        num_targets: ``(C,)`` int64, the counted targets of each class.
        recall_points: ``(R,)`` float64 in [0, 1], in any order.

    Returns:
        The curves; NaN for classes without counted targets.

    Source: pycocotools ``COCOeval.accumulate``.
    """
    shape = (len(matched.hits), len(num_targets), len(recall_points))
    points, order = recall_points.sort()
    hits = _hits(ranking, matched, countable, num_targets, points)
    scores = matched.scores.index_select(0, hits.row)
    best = [best_from(hits.level, values, hits.cell, shape) for values in (hits.precision, scores)]
    # At recall 0 pycocotools reports the first detection's score, matched or not.
    best[1] = torch.where(points == 0, ranking.best_score[:, None], best[1])
    undefined = (num_targets == 0)[:, None]
    as_given = order.argsort()
    return Interpolated(*(torch.where(undefined, torch.nan, values).index_select(-1, as_given) for values in best))


def mean_precision(
    ranking: Ranking, matched: Matched, countable: Tensor, num_targets: Tensor, recall_points: Tensor
) -> Tensor:
    """The mean of the interpolated precision over the recall points, ``(T, C)`` float64; NaN without counted targets.

    Arguments as for :func:`interpolate`. Only settings and classes with true positives are worked on, so many at a time
    that their curves stay within a budget: of thousands of classes most have none.
    """
    hits = _hits(ranking, matched, countable, num_targets, recall_points.sort().values)
    num_points = len(recall_points)
    cells, index = hits.cell.unique_consecutive(return_inverse=True)
    means = hits.precision.new_zeros(len(matched.hits) * len(num_targets))
    at_once = max(CURVE_BUDGET // (BYTES_PER_POINT * (num_points + 1)), 1)
    bounds = range(0, len(cells), at_once)
    starts = torch.searchsorted(index, torch.tensor([*bounds, len(cells)], device=index.device)).tolist()
    for first, start, end in zip(bounds, starts, starts[1:], strict=False):
        own = cells[first : first + at_once]
        part = slice(start, end)
        shape = (1, len(own), num_points)
        best = best_from(hits.level[part], hits.precision[part], index[part] - first, shape)[0]  # (cells, R)
        means.index_copy_(0, own, ordered_sum(best) / num_points)
    return means.view(len(matched.hits), -1).masked_fill(num_targets == 0, torch.nan)


class _Hits(NamedTuple):
    """Every true positive under every setting, by setting, class and score."""

    cell: Tensor  # (P,) int64, setting * C + class, ascending
    row: Tensor  # (P,) int64, index into the matched detections
    precision: Tensor  # (P,) float64, from the best score of the class down to this one
    level: Tensor  # (P,) int64, the number of recall points that are reached


def _hits(ranking: Ranking, matched: Matched, countable: Tensor, num_targets: Tensor, points: Tensor) -> _Hits:
    """The true positives, where ``points`` (R,) are ascending."""
    num_classes = len(num_targets)
    position, cell, row = _hits_by_setting(matched, num_classes)
    num_hits = torch.bincount(cell, minlength=len(matched.hits) * num_classes)  # (T * C,)
    # The position of each true positive among those of its setting and class, from 1.
    ordinal = torch.arange(1, len(cell) + 1, device=cell.device) - exclusive_cumsum(num_hits)[cell]
    precision = divide(ordinal, _num_ranked(ranking, matched, countable, position, cell, row))
    # The k-th hit reaches a recall point r when k / n >= r in float64. Counting k >= r * n would differ at 7 of 10.
    recall = divide(ordinal, num_targets[cell % num_classes])
    return _Hits(cell, row, precision, torch.searchsorted(points, recall, right=True))


def final_recall(matched: Matched, num_targets: Tensor) -> Tensor:
    """The recall of all matches together, ``(T, C)`` float64; NaN for classes without counted targets."""
    _, setting, _ = _hits_by_setting(matched, len(num_targets))
    shape = (len(matched.hits), len(num_targets))
    return divide(torch.bincount(setting, minlength=shape[0] * shape[1]).view(shape), num_targets)


def _hits_by_setting(matched: Matched, num_classes: int) -> tuple[Tensor, Tensor, Tensor]:
    """Every true positive: index into the flat ``(T, n)``, setting and class as one index, index into the n rows."""
    num_rows = max(len(matched.position), 1)
    position = matched.hits.flatten().nonzero().squeeze(1)  # (P,)
    threshold = position // num_rows
    row = position - threshold * num_rows
    return position, threshold * num_classes + matched.label.index_select(0, row), row


def _num_ranked(
    ranking: Ranking, matched: Matched, countable: Tensor, position: Tensor, setting: Tensor, row: Tensor
) -> Tensor:
    """True and false positives of a class from its best score down to each true positive, ``(P,)`` int64."""
    num_classes, num_rows = len(ranking.first), len(matched.position)
    # Countable detections count. Of the matched ones only the hits do, countable or not.
    seen = from_zero(countable.cumsum(0))  # (N + 1,)
    out = (matched.hits | matched.ignored) & matched.countable  # (T, n)
    change = matched.hits.to(torch.int8) - out.to(torch.int8)
    change = from_zero(change.flatten().cumsum(0))  # (T * n + 1,)
    # Both counts run on across classes and settings: take off what they had where the class starts.
    classes = torch.arange(num_classes, device=row.device)
    label = setting % num_classes
    first_row = torch.searchsorted(matched.label, classes)[label] + (setting // num_classes) * num_rows
    up_to = matched.position.index_select(0, row) + 1
    ranked = seen.index_select(0, up_to) - seen.index_select(0, ranking.first)[label]
    return ranked + change.index_select(0, position + 1) - change.index_select(0, first_row)


def from_zero(cumulative: Tensor) -> Tensor:
    """Cumulative sums with a 0 in front, so that two of them differ by the sum of what lies between."""
    return torch.cat([cumulative.new_zeros(1), cumulative])


def best_from(level: Tensor, values: Tensor, setting: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """For each recall point the largest value among the true positives that reach it, ``(T, C, R)``; 0 if none does.

    Scores fall as recall rises, so that for them the largest is the first.
    """
    num_levels = shape[2] + 1  # level 0 reaches no point
    best = torch.full((shape[0] * shape[1] * num_levels,), -torch.inf, dtype=torch.float64, device=values.device)
    best = best.scatter_reduce_(0, setting * num_levels + level, values, "amax").view(*shape[:2], num_levels)
    best = best[..., 1:].flip(-1).cummax(-1).values.flip(-1)
    return torch.where(best == -torch.inf, 0.0, best)
