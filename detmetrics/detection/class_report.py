"""The reader of precision, recall, F1 and support of each class and their averages."""

from __future__ import annotations

import torch
from torch import Tensor

from detmetrics.count.outcomes import Counts, kept_detections
from detmetrics.detection.classes import class_labels, class_titles
from detmetrics.detection.operating_point import class_counts
from detmetrics.detection.settings import ReportSettings
from detmetrics.match.across_classes import match_across_classes
from detmetrics.match.evaluation_data import EvaluationData
from detmetrics.ragged import occurrences
from detmetrics.reduce import formulas
from detmetrics.reduce.averages import average

FORMULAS = {"precision": formulas.precision, "recall": formulas.recall, "f1": formulas.f_beta}
AVERAGES = ("micro", "macro", "weighted")


def report(data: EvaluationData, settings: ReportSettings) -> dict[str, Tensor]:
    """The scores of evaluation data; see the ``compute()`` of :class:`DetectionReport`.

    Args:
        data: What was read from a state.
        settings: The operating point and the classes.
    """
    return report_of_counts(*reported_counts(data, settings), settings)


def report_of_counts(labels: Tensor, counts: Counts, settings: ReportSettings) -> dict[str, Tensor]:
    """:func:`report` of counts that are known."""
    titles = [str(label) for label in labels.tolist()] if settings.class_agnostic else class_titles(labels, settings)
    tp, _, fn = counts
    support = (tp + fn).double()
    results: dict[str, Tensor] = {}
    for name, formula in FORMULAS.items():
        values = average(formula, counts, average="none", zero_division=settings.zero_division)
        results |= {f"{name}/{key}": value for key, value in zip(titles, values, strict=True)}
    results |= {f"support/{key}": value for key, value in zip(titles, support, strict=True)}
    for name, formula in FORMULAS.items():
        for kind in AVERAGES:
            value = average(formula, counts, average=kind, zero_division=settings.zero_division)
            results[f"{name}_{kind}"] = value
    return results | {"support": support.sum()}


def reported_counts(data: EvaluationData, settings: ReportSettings) -> tuple[Tensor, Counts]:
    """The labels (C,) of the report, and true positives, false positives and false negatives of each."""
    if settings.matched_only:
        return _count_pairs(data, settings)
    return class_labels(data, settings), class_counts(data, settings)


def _count_pairs(data: EvaluationData, settings: ReportSettings) -> tuple[Tensor, Counts]:
    """Counts of each class over the matched pairs; without a declaration the classes are the labels in them."""
    kept = kept_detections(data, settings.score_threshold, settings.max_detections)
    chosen = data.with_overlaps(kept.index_select(0, data.overlap_detection))
    matches = match_across_classes(chosen, settings.iou_threshold, settings.area_bounds)
    hit = matches.hits[0] != 0
    predicted, true = data.labels[matches.detection[hit]], data.target_labels[matches.target[hit]]
    declared = settings.declared is not None
    labels = class_labels(data, settings) if declared else torch.cat([predicted, true]).unique()
    support, num_predicted, tp = (
        occurrences(torch.searchsorted(labels, found), len(labels))
        for found in (true, predicted, true[true == predicted])
    )
    return labels, (tp, num_predicted - tp, support - tp)
