"""The readers of localisation recall precision, and of the mean overlap of true positives."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from detmetrics.detection.analysis_settings import LocalizationRecallPrecisionSettings, OverlapSettings
from detmetrics.detection.classes import by_class, class_labels
from detmetrics.detection.operating_point import class_counts, outcomes, outcomes_from
from detmetrics.detection.settings import OperatingPointSettings
from detmetrics.match.coco import count_targets
from detmetrics.match.evaluation_data import EvaluationData
from detmetrics.ragged import descending_key, lexsort
from detmetrics.reduce import formulas
from detmetrics.reduce.averages import average, defined_mean
from detmetrics.reduce.curves import count_by_score
from detmetrics.reduce.exact_sums import overlap_range_sums, overlap_sums

PARTS = ("", "_loc", "_fp", "_fn")


class LocalizationRecallPrecision(NamedTuple):
    """LRP and its parts, (C,) float64 each; NaN where they are not defined."""

    error: Tensor
    localization: Tensor  # of true positives: 1 - mean IoU
    false_positives: Tensor  # 1 - precision
    false_negatives: Tensor  # 1 - recall


def overlap_totals(data: EvaluationData, settings: OperatingPointSettings) -> Tensor:
    """The sum of the overlaps of the true positives of each class, ``(C,)`` float64."""
    outcome, labels = outcomes(data, settings), class_labels(data, settings)
    found = by_class(data, settings).target_labels.index_select(0, outcome.target)
    return overlap_sums(outcome.iou, torch.searchsorted(labels, found), len(labels))


def mean_overlap(data: EvaluationData, settings: OverlapSettings) -> Tensor:
    """The mean overlap of true positives, averaged as the settings say: 0-d, ``(C,)`` with ``average="none"``.

    Args:
        data: What was read from a state.
        settings: The operating point and the average.
    """
    counts = (*class_counts(data, settings), overlap_totals(data, settings))
    return average(formulas.mean_overlap, counts, average=settings.average, zero_division=settings.zero_division)


def lrp(data: EvaluationData, settings: LocalizationRecallPrecisionSettings) -> LocalizationRecallPrecision:
    """LRP of each class at the score threshold.

    Args:
        data: What was read from a state.
        settings: The operating point.
    """
    return _parts(overlap_totals(data, settings), *class_counts(data, settings), settings.iou_threshold)


def optimal_lrp(
    data: EvaluationData, settings: LocalizationRecallPrecisionSettings
) -> tuple[LocalizationRecallPrecision, Tensor]:
    """LRP of each class at the score from which on it is least, and these scores (C,).

    Where nothing is found at any score the error is 1, and nothing but the recall is defined.

    Args:
        data: What was read from a state.
        settings: The IoU threshold, area range, limit and classes.
    """
    labels, outcome = class_labels(data, settings), outcomes_from(data, settings, -torch.inf)
    data = by_class(data, settings)
    (num_targets,) = count_targets(data, labels, [settings.area_bounds])  # (C,)
    iou = torch.zeros_like(data.scores).index_copy_(0, outcome.detection, outcome.iou)
    hit = torch.zeros_like(data.labels, dtype=torch.bool).index_fill_(0, outcome.detection, True)
    counted = hit.index_fill(0, outcome.wrong, True).nonzero().squeeze(1)  # (K,)
    group = torch.searchsorted(labels, data.labels.index_select(0, counted))
    order = lexsort(group, descending_key(data.scores.index_select(0, counted)))
    group, counted = group.index_select(0, order), counted.index_select(0, order)
    steps = count_by_score(group, data.scores.index_select(0, counted), hit.index_select(0, counted), len(labels))
    classes = torch.arange(len(labels), device=labels.device)
    first = torch.searchsorted(group, classes).index_select(0, steps.group)
    sums = overlap_range_sums(iou.index_select(0, counted), first, first + steps.tp + steps.fp - 1)
    fn = num_targets.index_select(0, steps.group) - steps.tp
    values = _parts(sums, steps.tp, steps.fp, fn, settings.iou_threshold)

    useful = steps.tp > 0
    error = values.error.masked_fill(~useful, torch.inf)
    best = torch.full_like(num_targets, torch.inf, dtype=torch.float64)
    best = best.scatter_reduce_(0, steps.group, error, "amin")
    none = len(error)
    step = torch.arange(none, device=labels.device)
    step = torch.where(useful & (error == best.index_select(0, steps.group)), step, none)
    at = torch.full_like(num_targets, none).scatter_reduce_(0, steps.group, step, "amin")  # the highest score of equals
    columns = [_padded(column).index_select(0, at) for column in (*values, steps.scores)]
    parts = LocalizationRecallPrecision(*columns[:-1])
    undefined = num_targets == 0
    nothing = (at == none) & ~undefined
    parts = parts._replace(
        error=parts.error.masked_fill(nothing, 1.0), false_negatives=parts.false_negatives.masked_fill(nothing, 1.0)
    )
    return LocalizationRecallPrecision(*(part.masked_fill(undefined, torch.nan) for part in parts)), columns[-1]


def _padded(values: Tensor) -> Tensor:
    return torch.nn.functional.pad(values, (0, 1), value=torch.nan)


def _parts(iou_sum: Tensor, tp: Tensor, fp: Tensor, fn: Tensor, iou_threshold: float) -> LocalizationRecallPrecision:
    return LocalizationRecallPrecision(
        formulas.localization_recall_precision(iou_sum, tp, fp, fn, iou_threshold=iou_threshold),
        formulas.divide(tp - iou_sum, tp),
        formulas.divide(fp, tp + fp),
        formulas.divide(fn, tp + fn),
    )


def summarize_lrp(data: EvaluationData, settings: LocalizationRecallPrecisionSettings) -> dict[str, Tensor]:
    """The numbers of evaluation data; see the ``compute()`` of :class:`detmetrics.LocalizationRecallPrecision`.

    Args:
        data: What was read from a state.
        settings: The operating point, the classes, and what to add.
    """
    labels, undefined = class_labels(data, settings), settings.zero_division
    at_threshold, (best, scores) = lrp(data, settings), optimal_lrp(data, settings)
    values = dict(zip([f"olrp{part}" for part in PARTS], best, strict=True))
    values |= dict(zip([f"lrp{part}" for part in PARTS], at_threshold, strict=True))
    values = {key: value.nan_to_num(undefined) for key, value in values.items()}
    results = {key: defined_mean(value, zero_division=undefined) for key, value in values.items()}
    if not settings.class_metrics:
        return results
    values["best_score_threshold"] = scores
    if not settings.names_results or settings.declared is None:
        return results | {f"{key}_per_class": value for key, value in values.items()} | {"classes": labels}
    names = list(settings.declared.values())
    return results | {
        f"{key}/{name}": one for key, value in values.items() for name, one in zip(names, value.unbind(), strict=True)
    }
