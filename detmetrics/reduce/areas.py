"""Average precision as an area under precision and recall, in the definitions of COCO, VOC and scikit-learn."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from detmetrics.ragged import descending_key, from_zero, lexsort, occurrences, rank_in_run, run_starts
from detmetrics.reduce.averages import defined_mean
from detmetrics.reduce.curves import ScoreCounts
from detmetrics.reduce.formulas import divide
from detmetrics.reduce.interpolation import best_from


class HitCurve(NamedTuple):
    """Precision and recall at each of P true positives, by group, then by score, descending."""

    group: Tensor  # (P,) int64
    precision: Tensor  # (P,) float64
    recall: Tensor  # (P,) float64


def hit_curve(group: Tensor, hit: Tensor, num_targets: Tensor) -> HitCurve:
    """One step a detection, equal scores in the order given, as COCO and VOC do.

    Args:
        group: ``(K,)`` int64 in [0, G), ascending; within a group the best detection comes first.
        hit: ``(K,)`` bool: true positives; the others are false positives.
        num_targets: ``(G,)`` int64.
    """
    row = hit.nonzero().squeeze(1)  # (P,)
    at = group.index_select(0, row)
    groups = torch.arange(len(num_targets), device=group.device)
    ordinal = rank_in_run(run_starts(at)) + 1
    ranked = row + 1 - torch.searchsorted(group, groups).index_select(0, at)
    return HitCurve(at, divide(ordinal, ranked), divide(ordinal, num_targets.index_select(0, at)))


def interpolated_average(curve: HitCurve, num_targets: Tensor, recall_points: Tensor) -> Tensor:
    """Mean over recall points of the best precision at that recall or beyond, ``(G,)``; NaN without targets.

    Args:
        curve: The true positives of G groups.
        num_targets: ``(G,)`` int64.
        recall_points: ``(R,)`` float64 in [0, 1], ascending: COCO's 101 or VOC's 11.
    """
    level = torch.searchsorted(recall_points, curve.recall, right=True)
    best = best_from(level, curve.precision, curve.group, (len(num_targets), len(recall_points)))
    return defined_mean(best).masked_fill(num_targets == 0, torch.nan)


def area_under_envelope(curve: HitCurve, num_targets: Tensor) -> Tensor:
    """Area under the best precision at each recall or beyond, ``(G,)``; NaN without targets.

    Source: VOC's average precision since 2010, ``VOCap.m``.
    """
    # A running maximum within groups: of ranks among all values, each group's above those of the groups behind it.
    values, rank = curve.precision.unique(return_inverse=True)
    above = (len(num_targets) - curve.group) * len(values) + rank
    best = values.index_select(0, above.flip(0).cummax(0).values.flip(0) % max(len(values), 1))
    return divide(sum_groups(best, curve.group, len(num_targets)), num_targets)


def area_under_steps(counts: ScoreCounts, num_targets: Tensor) -> Tensor:
    """Precision summed over the gains in recall, equal scores as one step, ``(G,)``; NaN without targets.

    Source: scikit-learn ``average_precision_score``, with targets that were never found counted too.
    """
    gain = counts.tp - torch.where(run_starts(counts.group), 0, counts.tp.roll(1))
    areas = divide(counts.tp, counts.tp + counts.fp) * gain
    return divide(sum_groups(areas, counts.group, len(num_targets)), num_targets)


def sum_groups(values: Tensor, group: Tensor, num_groups: int) -> Tensor:
    """Sum of each group in a fixed order: neighbours are added until one row a group is left.

    Args:
        values: ``(K,)`` float64.
        group: ``(K,)`` int64 in [0, G), ascending.
        num_groups: G.

    Returns:
        ``(G,)`` float64, 0 for an empty group.

    Example:
        >>> sum_groups(torch.tensor([1.0, 2.0, 4.0, 8.0]), torch.tensor([0, 0, 0, 2]), 3).tolist()
        [7.0, 0.0, 8.0]
    """
    rank = rank_in_run(run_starts(group))
    while bool((rank > 0).any()):
        added = torch.where(group[1:] == group[:-1], values[1:], 0.0)
        values = values + torch.cat([added, added.new_zeros(1)])
        kept = (rank % 2 == 0).nonzero().squeeze(1)
        values, group, rank = (x.index_select(0, kept) for x in (values, group, rank // 2))
    return values.new_zeros(num_groups).index_copy_(0, group, values)


def area_of_pairs(
    low: Tensor, low_group: Tensor, num_low: Tensor, high: Tensor, high_group: Tensor, num_high: Tensor
) -> Tensor:
    """The share of pairs in which the second score is above the first, half of the pairs of equal scores counted.

    It is the area under the curve of the shares of both that reach a score, Wilcoxon's statistic. Members without a
    score are below all others, and equal to one another.

    Args:
        low: ``(n,)`` float64, the scores of the first members.
        low_group: ``(n,)`` int64 in [0, G).
        num_low: ``(G,)`` int64, how many first members each group has, with a score or without.
        high: ``(m,)`` float64, those of the second.
        high_group: ``(m,)`` int64.
        num_high: ``(G,)`` int64.

    Returns:
        ``(G,)`` float64; NaN for a group without pairs.

    Example:
        >>> group = torch.tensor([0, 0])
        >>> low, high = torch.tensor([0.2, 0.5]), torch.tensor([0.5, 0.9])
        >>> area_of_pairs(low, group, torch.tensor([2]), high, group, torch.tensor([2])).item()
        0.875
    """
    size = len(num_low)
    order = lexsort(torch.cat([low_group, high_group]), -descending_key(torch.cat([low, high]).double()))
    scores, group = (torch.cat(pair).index_select(0, order) for pair in ((low, high), (low_group, high_group)))
    is_low = order < len(low)
    # Of each score: how many first members of the group are below, and how many are equal.
    seen = from_zero(is_low.cumsum(0))
    starts = run_starts(group, scores)
    first = (
        torch.where(starts, torch.arange(len(order), device=order.device), 0).cummax(0).values if len(order) else order
    )
    run = starts.cumsum(0) - 1
    equal = torch.zeros_like(order).index_add_(0, run, is_low.long()).index_select(0, run)
    group_start = torch.searchsorted(group, torch.arange(size, device=order.device))
    below = seen.index_select(0, first) - seen.index_select(0, group_start).index_select(0, group)
    twice = (2 * below + equal).masked_fill(is_low, 0)
    total = torch.zeros(size, dtype=torch.int64, device=order.device).index_add_(0, group, twice)
    unscored_low, unscored_high = (
        number - occurrences(own, size) for number, own in ((num_low, low_group), (num_high, high_group))
    )
    total += unscored_low * (2 * num_high - unscored_high)
    return divide(total, 2 * num_low * num_high)
