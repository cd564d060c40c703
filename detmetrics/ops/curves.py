"""Precision, recall and scores at recall points, from ranked detections.

A *ranking* is all detections by class, and within a class by score, descending. Precision is only ever asked for at
true positives, so nothing dense is computed but one running count of the detections that take part.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from detmetrics.ops.ragged import descending_key, exclusive_cumsum, lexsort, rank_in_run, run_starts
from detmetrics.ops.scores import defined_mean, divide


class Ranking(NamedTuple):
    """Where the classes are in a ranking."""

    first: Tensor  # (C,) int64, index of the best detection of each class
    best_score: Tensor  # (C,) float64, its score; 0 for a class without detections


class Matched(NamedTuple):
    """The n ranked detections that any of T settings matches, in the order of the ranking."""

    position: Tensor  # (n,) int64, index into the ranking
    label: Tensor  # (n,) int64, index of the class
    scores: Tensor  # (n,) float64
    in_play: Tensor  # (n,) bool: would be a false positive if it were not matched
    hits: Tensor  # (T, n) bool, matched to a counted target: a true positive
    ignored: Tensor  # (T, n) bool, matched to an ignored target: not counted at all


class Curves(NamedTuple):
    """What T settings and C classes reach at R recall points."""

    precision: Tensor  # (T, C, R) float64, the best precision at this recall or beyond; 0 where it is not reached
    scores: Tensor  # (T, C, R) float64, the score at which the recall is reached; 0 where it is not


def interpolate(
    ranking: Ranking, matched: Matched, in_play: Tensor, num_targets: Tensor, recall_points: Tensor
) -> Curves:
    """COCO's interpolated precision-recall curves.

    Args:
        ranking: The C classes in the ranking of N detections.
        matched: The n detections that are matched under any of T settings.
        in_play: ``(N,)`` bool: the detections that are false positives where they stay unmatched.
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
    # The how-manieth of its setting each true positive is, from 1.
    ordinal = torch.arange(1, len(setting) + 1, device=setting.device) - exclusive_cumsum(num_hits)[setting]
    precision = divide(ordinal, _num_ranked(ranking, matched, in_play, position, setting, row))
    # The k-th hit reaches a recall point r when k / n >= r in float64. Counting k >= r * n would differ at 7 of 10.
    recall = divide(ordinal, num_targets[setting % shape[1]])
    level = torch.searchsorted(points, recall, right=True)  # the recall points reached, 0 to R

    best = [_best_from(level, values, setting, shape) for values in (precision, matched.scores.index_select(0, row))]
    # At recall 0 pycocotools reports the first detection's score, matched or not.
    best[1] = torch.where(points == 0, ranking.best_score[:, None], best[1])
    undefined = (num_targets == 0)[:, None]
    as_given = order.argsort()
    return Curves(*(torch.where(undefined, torch.nan, values).index_select(-1, as_given) for values in best))


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
    ranking: Ranking, matched: Matched, in_play: Tensor, position: Tensor, setting: Tensor, row: Tensor
) -> Tensor:
    """True and false positives of a class from its best score down to each true positive, ``(P,)`` int64."""
    num_classes, num_rows = len(ranking.first), len(matched.position)
    # Detections in play count. Of the matched ones only the hits do, in play or not.
    seen = _from_zero(in_play.cumsum(0))  # (N + 1,)
    out = (matched.hits | matched.ignored) & matched.in_play  # (T, n)
    change = matched.hits.to(torch.int8) - out.to(torch.int8)
    change = _from_zero(change.flatten().cumsum(0))  # (T * n + 1,)
    # Both counts run on across classes and settings: take off what they had where the class starts.
    classes = torch.arange(num_classes, device=row.device)
    label = setting % num_classes
    first_row = torch.searchsorted(matched.label, classes)[label] + (setting // num_classes) * num_rows
    up_to = matched.position.index_select(0, row) + 1
    ranked = seen.index_select(0, up_to) - seen.index_select(0, ranking.first)[label]
    return ranked + change.index_select(0, position + 1) - change.index_select(0, first_row)


def _from_zero(cumulative: Tensor) -> Tensor:
    return torch.cat([cumulative.new_zeros(1), cumulative])


def _best_from(level: Tensor, values: Tensor, setting: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """For each recall point the largest value among the true positives that reach it, ``(T, C, R)``; 0 if none does.

    Scores fall as recall rises, so that for them the largest is the first.
    """
    num_levels = shape[2] + 1  # level 0 reaches no point
    best = torch.full((shape[0] * shape[1] * num_levels,), -torch.inf, dtype=torch.float64, device=values.device)
    best = best.scatter_reduce_(0, setting * num_levels + level, values, "amax").view(*shape[:2], num_levels)
    best = best[..., 1:].flip(-1).cummax(-1).values.flip(-1)
    return torch.where(best == -torch.inf, 0.0, best)


class ScoreCounts(NamedTuple):
    """True and false positives from each score on, for G groups one after the other; equal scores are one step."""

    offsets: Tensor  # (G + 1,) int64, where each group begins and ends
    group: Tensor  # (P,) int64
    scores: Tensor  # (P,) float64, descending within a group
    tp: Tensor  # (P,) int64
    fp: Tensor  # (P,) int64


def count_by_score(group: Tensor, scores: Tensor, hit: Tensor, num_groups: int) -> ScoreCounts:
    """Counts of the detections that score at least as much, for every score that occurs.

    Args:
        group: ``(K,)`` int64 in [0, G), ascending.
        scores: ``(K,)`` float64, descending within a group.
        hit: ``(K,)`` bool: true positives; the others are false positives.
        num_groups: G.
    """
    groups = torch.arange(num_groups + 1, device=group.device)
    last = run_starts(group, scores).roll(-1).nonzero().squeeze(1)  # (P,), the last row of each step
    at = group.index_select(0, last)
    first = torch.searchsorted(group, groups).index_select(0, at)
    hits = _from_zero(hit.cumsum(0))
    tp = hits.index_select(0, last + 1) - hits.index_select(0, first)
    offsets = torch.searchsorted(at, groups)
    return ScoreCounts(offsets, at, scores.index_select(0, last), tp, last + 1 - first - tp)


def best_step(values: Tensor, counts: ScoreCounts) -> tuple[Tensor, Tensor]:
    """The largest of the values ``(P,)`` of each group, and the highest score that has it; NaN for an empty group."""
    num_groups = len(counts.offsets) - 1
    best = values.new_full((num_groups,), -torch.inf).scatter_reduce_(0, counts.group, values, "amax")
    scores = counts.scores.where(values == best.index_select(0, counts.group), -torch.inf)
    score = scores.new_full((num_groups,), -torch.inf).scatter_reduce_(0, counts.group, scores, "amax")
    empty = counts.offsets.diff() == 0
    return best.masked_fill(empty, torch.nan), score.masked_fill(empty, torch.nan)


def best_shared_score(values: Tensor, counts: ScoreCounts) -> Tensor:
    """The score at which the sum over groups is largest; of several the highest; 0-d float64, NaN without any step.

    Args:
        values: ``(P,)`` in [0, 1], the value of each group from that score down to its next step; 0 above its first.
        counts: The steps.
    """
    if not len(values):
        return values.new_full((), torch.nan)
    # In integers the sum of changes is exact, in whatever order a device adds.
    fixed = (values * 2**48).round().long()
    before = torch.where(run_starts(counts.group), 0, fixed.roll(1))
    order = lexsort(descending_key(counts.scores))
    scores = counts.scores.index_select(0, order)
    last = run_starts(scores).roll(-1).nonzero().squeeze(1)
    total = (fixed - before).index_select(0, order).cumsum(0).index_select(0, last)
    return scores[last[(total == total.max()).nonzero()[0, 0]]]


def values_at(score: Tensor, values: Tensor, counts: ScoreCounts) -> Tensor:
    """What each group has at a score, ``(G,)``; 0 where all its scores are lower."""
    reached = counts.group[counts.scores >= score]
    steps = torch.bincount(reached, minlength=len(counts.offsets) - 1)
    at = (counts.offsets[:-1] + steps - 1).clamp(min=0)
    padded = torch.cat([values, values.new_zeros(1)])
    return torch.where(steps > 0, padded.index_select(0, at), 0.0)


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
    best = _best_from(level, curve.precision, curve.group, (1, len(num_targets), len(recall_points)))
    return defined_mean(best[0]).masked_fill(num_targets == 0, torch.nan)


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
