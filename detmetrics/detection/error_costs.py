"""The reader of what errors cost: how much average precision would rise if those of one kind were mended."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from detmetrics.detection.analysis_settings import ErrorSettings
from detmetrics.detection.classes import class_labels
from detmetrics.detection.error_kinds import (
    CLASSIFICATION,
    KINDS,
    LOCALIZATION,
    MISSED,
    Errors,
    all_pairs,
    count_errors,
    find_errors,
)
from detmetrics.detection.settings import RECALL_POINTS
from detmetrics.match.coco import count_targets
from detmetrics.match.evaluation_data import EvaluationData
from detmetrics.ragged import constants, descending_key, lexsort, occurrences, run_starts
from detmetrics.reduce.areas import hit_curve, interpolated_average
from detmetrics.reduce.averages import defined_mean

FIXES = (*KINDS, "false_positive", "false_negative")


class Costs(NamedTuple):
    """Average precision of C classes, NaN where there is nothing to find."""

    average_precision: Tensor  # (C,) float64, as it is
    mended: Tensor  # (8, C) float64, without the errors of each of FIXES


class _Rows(NamedTuple):
    """The detections that count, in canonical order."""

    group: Tensor  # (K,) int64, index of the class
    by_score: Tensor  # (K,) int64, a key that sorts the best first
    hit: Tensor  # (K,) bool


def error_costs(data: EvaluationData, settings: ErrorSettings) -> Costs:
    """Average precision as it is, and with the errors of one kind mended.

    Of the detections of wrong class or place that point at one missed target the best becomes right; the others, and
    all other false positives of the kind, go. Missed targets go. ``"false_positive"`` removes all false positives,
    ``"false_negative"`` all targets that were not found.

    Args:
        data: What was read from a state, with the overlaps between classes.
        settings: The thresholds, area range, limit and classes.
    """
    errors, labels = find_errors(data, settings), class_labels(data, settings)
    data = all_pairs(data, settings)
    rows, row_of = _counted(data, errors, labels)
    num_targets = count_targets(data, labels, [settings.area_bounds])[0]  # (C,)
    points = constants(RECALL_POINTS, labels.device, torch.float64)
    wrong = row_of.index_select(0, errors.detection)  # (K,) rows of the false positives
    winner = _winners(data, errors)

    def measured(rows: _Rows, targets: Tensor) -> Tensor:
        order = lexsort(rows.group, rows.by_score)
        group, hit = rows.group.index_select(0, order), rows.hit.index_select(0, order)
        return interpolated_average(hit_curve(group, hit, targets), targets, points)

    def without(gone: Tensor, rows: _Rows = rows) -> _Rows:
        left = torch.ones_like(rows.hit).index_fill_(0, gone, False)
        return _Rows(*(column[left] for column in rows))

    mended = []
    for kind in range(MISSED):
        of_kind = errors.kind == kind
        right = of_kind & winner
        at = wrong[right]
        named = torch.searchsorted(labels, data.target_labels[errors.target[right]])
        changed = _Rows(rows.group.index_copy(0, at, named), rows.by_score, rows.hit.index_fill(0, at, True))
        mended.append(measured(without(wrong[of_kind & ~winner], changed), num_targets))
    left = num_targets - _by_class(data, labels, errors.missed)
    found = num_targets - _by_class(data, labels, errors.outcome.missed)
    mended += [measured(rows, left), measured(without(wrong), num_targets), measured(rows, found)]
    return Costs(measured(rows, num_targets), torch.stack(mended))


def _counted(data: EvaluationData, errors: Errors, labels: Tensor) -> tuple[_Rows, Tensor]:
    """The detections that count, and the row of each detection among them ``(N,)``, for those that count."""
    hit = torch.zeros_like(data.labels, dtype=torch.bool).index_fill_(0, errors.outcome.detection, True)
    counts = hit.index_fill(0, errors.detection, True)
    at = counts.nonzero().squeeze(1)
    group = torch.searchsorted(labels, data.labels.index_select(0, at))
    by_score = descending_key(data.scores.index_select(0, at))
    return _Rows(group, by_score, hit.index_select(0, at)), counts.cumsum(0) - 1


def _winners(data: EvaluationData, errors: Errors) -> Tensor:
    """The false positives ``(K,)`` bool that would find a target which nothing has found: of each target the best."""
    free = torch.zeros_like(data.target_labels, dtype=torch.bool).index_fill_(0, errors.outcome.missed, True)
    pointing = (errors.kind == CLASSIFICATION) | (errors.kind == LOCALIZATION)
    at = pointing.nonzero().squeeze(1)
    at = at[free.index_select(0, errors.target.index_select(0, at))]
    target = errors.target.index_select(0, at)
    scores = data.scores.index_select(0, errors.detection.index_select(0, at))
    order = lexsort(target, descending_key(scores))
    first = at.index_select(0, order)[run_starts(target.index_select(0, order))]
    return torch.zeros_like(pointing).index_fill_(0, first, True)


def _by_class(data: EvaluationData, labels: Tensor, targets: Tensor) -> Tensor:
    """How many of some targets each class has, ``(C,)``."""
    return occurrences(torch.searchsorted(labels, data.target_labels.index_select(0, targets)), len(labels))


def summarize_errors(data: EvaluationData, settings: ErrorSettings) -> dict[str, Tensor]:
    """The numbers of evaluation data; see the ``compute()`` of :class:`DetectionErrors`.

    Args:
        data: What was read from a state, with the overlaps between classes.
        settings: The thresholds, area range, limit, classes, and what stands for 0/0.
    """
    costs = error_costs(data, settings)
    precision = torch.cat([costs.average_precision[None], costs.mended])
    average, *mended = defined_mean(precision, dim=1).unbind()
    undefined = settings.zero_division
    results = {"ap": average.nan_to_num(undefined)}
    results |= {f"dap_{fix}": (value - average).nan_to_num(undefined) for fix, value in zip(FIXES, mended, strict=True)}
    counts = count_errors(data, settings).sum(dim=1).double()
    return results | {f"num_{kind}": count for kind, count in zip(KINDS, counts.unbind(), strict=True)}
