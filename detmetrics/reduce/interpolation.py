"""Precision, recall and scores at recall points, from ranked detections: COCO's accumulation.

Precision is only ever asked for at true positives, so nothing dense is computed but one running count of the detections
that can be false positives.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from detmetrics.ragged import exclusive_cumsum
from detmetrics.reduce.formulas import divide
from detmetrics.reduce.ranking import Matched, Ranking


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
    position, setting, row = _hits_by_setting(matched, len(num_targets))
    num_hits = torch.bincount(setting, minlength=shape[0] * shape[1])  # (T * C,)
    # The position of each true positive among those of its setting and class, from 1.
    ordinal = torch.arange(1, len(setting) + 1, device=setting.device) - exclusive_cumsum(num_hits)[setting]
    precision = divide(ordinal, _num_ranked(ranking, matched, countable, position, setting, row))
    # The k-th hit reaches a recall point r when k / n >= r in float64. Counting k >= r * n would differ at 7 of 10.
    recall = divide(ordinal, num_targets[setting % shape[1]])
    level = torch.searchsorted(points, recall, right=True)  # the recall points reached, 0 to R

    best = [best_from(level, values, setting, shape) for values in (precision, matched.scores.index_select(0, row))]
    # At recall 0 pycocotools reports the first detection's score, matched or not.
    best[1] = torch.where(points == 0, ranking.best_score[:, None], best[1])
    undefined = (num_targets == 0)[:, None]
    as_given = order.argsort()
    return Interpolated(*(torch.where(undefined, torch.nan, values).index_select(-1, as_given) for values in best))


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
