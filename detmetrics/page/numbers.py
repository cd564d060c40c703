"""What a page shows, computed by readers from one reading of a metric's state."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from detmetrics.count.outcomes import Counts
from detmetrics.detection.average_precision import average_precision, summarize
from detmetrics.detection.classes import class_titles
from detmetrics.detection.confusion import confusion_matrix
from detmetrics.detection.mean_ap import MeanAveragePrecision
from detmetrics.detection.operating_point import class_counts, per_image
from detmetrics.detection.score_curves import score_curves
from detmetrics.detection.settings import (
    ConfusionMatrixSettings,
    CurvesSettings,
    MeanAveragePrecisionSettings,
    OperatingPointSettings,
)
from detmetrics.match.evaluation_data import EvaluationData
from detmetrics.reduce.averages import defined_mean
from detmetrics.reduce.curves import ScoreCurves
from detmetrics.reduce.formulas import f_beta, precision, recall

FORMULAS = {"precision": precision, "recall": recall, "f1": f_beta}


class Numbers(NamedTuple):
    """What the page shows."""

    data: EvaluationData  # what all of it was read from
    point: OperatingPointSettings  # of what is counted
    num_images: int
    num_duplicates: int
    names: list[str]  # of C classes
    iou_thresholds: tuple[float, ...]  # of COCO's numbers
    rec_thresholds: tuple[float, ...]
    results: dict[str, Tensor]  # of MeanAveragePrecision, with its arrays
    iou_threshold: float  # of all that follows
    score_threshold: float  # of all that is counted
    average_precision: Tensor  # (C,)
    curves: ScoreCurves
    counts: Counts  # (C,) each
    per_image: dict[str, Tensor]
    matrix: Tensor | None  # (C + 1, C + 1)


def read_numbers(metric: MeanAveragePrecision, iou_threshold: float, score_threshold: float | None) -> Numbers:
    """Read the state of a metric, gathered from all ranks, once, and ask it everything that the page shows.

    Args:
        metric: A metric of one ``iou_type``, not ``class_agnostic``.
        iou_threshold: The overlap that a match needs, except for COCO's numbers.
        score_threshold: The operating point; None for where F1 is best, all classes pooled.
    """
    data = metric.data()
    coco = _named(metric.settings, data).replace(extended_summary=True, class_metrics=False)
    names = coco.declared
    curves = score_curves(data, CurvesSettings(iou_threshold=iou_threshold, class_names=names))
    if score_threshold is None:
        score_threshold = curves.best_score_threshold[-1].nan_to_num(0.0).item()  # without detections any will do
    point = OperatingPointSettings(iou_threshold=iou_threshold, score_threshold=score_threshold, class_names=names)
    return Numbers(
        data=data,
        point=point,
        num_images=len(data.keys),
        num_duplicates=data.num_duplicates,
        names=class_titles(curves.classes, coco),
        iou_thresholds=coco.iou_thresholds,
        rec_thresholds=coco.rec_thresholds,
        results=summarize(data, coco),
        iou_threshold=iou_threshold,
        score_threshold=score_threshold,
        average_precision=_average_precision_at(iou_threshold, data, coco),
        curves=curves,
        counts=class_counts(data, point),
        per_image=per_image(data, point),
        matrix=_matrix(data, point),
    )


def class_means(precision: Tensor) -> Tensor:
    """Average precision of each class (C,), from pycocotools' array (T, R, C, A, M)."""
    return defined_mean(precision[..., 0, -1].flatten(0, 1), dim=0)


def _named(settings: MeanAveragePrecisionSettings, data: EvaluationData) -> MeanAveragePrecisionSettings:
    """The settings with the observed labels as declared classes if none are declared; without labels as they are."""
    if settings.declared is not None:
        return settings
    observed = {label: str(label) for label in data.classes.tolist()}
    named: MeanAveragePrecisionSettings = settings.replace(class_names=observed or None)
    return named


def _average_precision_at(iou_threshold: float, data: EvaluationData, coco: MeanAveragePrecisionSettings) -> Tensor:
    """Average precision of each class at one overlap (C,); what is not defined stays out of it."""
    at_one = coco.replace(iou_thresholds=(iou_threshold,), zero_division=torch.nan, extended_summary=False)
    return class_means(average_precision(data, at_one).precision)


def _matrix(data: EvaluationData, point: OperatingPointSettings) -> Tensor | None:
    """The confusion matrix, if overlaps between classes were kept and there are classes."""
    if not data.across_classes or point.declared is None:
        return None
    settings = ConfusionMatrixSettings(
        iou_threshold=point.iou_threshold, score_threshold=point.score_threshold, class_names=point.class_names
    )
    return confusion_matrix(data, settings)
