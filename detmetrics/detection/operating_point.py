"""Readers at an operating point: what was found, missed and wrong at one IoU threshold and one score threshold."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from detmetrics.count.outcomes import Counts, Outcome, count, decide, kept_detections
from detmetrics.detection.analysis_settings import OverlapSettings
from detmetrics.detection.classes import by_class, class_labels
from detmetrics.detection.metric import DetectionMetric
from detmetrics.detection.settings import OneThresholdSettings, OperatingPointSettings, ScoreSettings
from detmetrics.match.coco import known_matches, match
from detmetrics.match.evaluation_data import EvaluationData
from detmetrics.reduce.averages import average
from detmetrics.reduce.formulas import Formula, f_beta
from detmetrics.state.rows import ids_and_arrivals


def outcomes(data: EvaluationData, settings: OperatingPointSettings) -> Outcome:
    """What became of each detection and each target, as indices into ``by_class(data, settings)``.

    Args:
        data: What was read from a state.
        settings: Thresholds, area range, limit, classes.
    """
    return outcomes_from(data, settings, settings.score_threshold)


def outcomes_from(data: EvaluationData, settings: OneThresholdSettings, score_threshold: float) -> Outcome:
    """:func:`outcomes` at any score threshold; worked out once for all metrics that ask for the same.

    If another metric has matched all detections at this IoU threshold, its matches serve: what a detection takes does
    not depend on those below it.
    """
    data = by_class(data, settings)
    iou_threshold, bounds = settings.iou_threshold, settings.area_bounds

    def decided() -> Outcome:
        kept = kept_detections(data, score_threshold, settings.max_detections)
        matches = known_matches(data, iou_threshold, bounds, settings.max_detections)
        if matches is None:
            matches = match(data, [iou_threshold], [bounds], kept)
        return decide(data, matches, kept, bounds)

    question = ("outcome", score_threshold, settings.max_detections, iou_threshold, bounds)
    return data.memo.answer(question, decided)


def class_counts(data: EvaluationData, settings: OperatingPointSettings) -> Counts:
    """True positives, false positives and false negatives of each class, (C,) int64 each."""
    labels = class_labels(data, settings)
    outcome, data = outcomes(data, settings), by_class(data, settings)
    return count(data, outcome, lambda image, label: torch.searchsorted(labels, label), len(labels))


def cell_counts(data: EvaluationData, settings: OperatingPointSettings) -> Counts:
    """True positives, false positives and false negatives of each image and class, (B, C) int64 each."""
    labels = class_labels(data, settings)
    outcome, data = outcomes(data, settings), by_class(data, settings)
    shape = len(data.keys), len(labels)
    cells = count(
        data,
        outcome,
        lambda image, label: image * shape[1] + torch.searchsorted(labels, label),
        shape[0] * shape[1],
    )
    tp, fp, fn = (cell.view(shape) for cell in cells)
    return tp, fp, fn


def per_image(data: EvaluationData, settings: OperatingPointSettings) -> dict[str, Tensor]:
    """``image_id``, ``arrival``, ``tp``, ``fp``, ``fn`` and ``f1`` of each image, (B,); see ``metric.per_image()``."""
    outcome = outcomes(data, settings)
    counts = count(by_class(data, settings), outcome, lambda image, label: image, len(data.keys))
    image_id, arrival = ids_and_arrivals(data.keys)
    f1 = f_beta(*counts)
    f1 = f1.where(~f1.isnan(), settings.zero_division)
    return dict(zip(("image_id", "arrival", "tp", "fp", "fn", "f1"), (image_id, arrival, *counts, f1), strict=True))


def score(data: EvaluationData, settings: ScoreSettings, formula: Formula) -> Tensor:
    """A score of counts, averaged as the settings say: 0-d float64, (C,) with ``average="none"``.

    Args:
        data: What was read from a state.
        settings: The operating point and the reduction.
        formula: One of :mod:`detmetrics.reduce.formulas`.
    """
    counts = (class_counts if settings.aggregate == "dataset" else cell_counts)(data, settings)
    return average(
        formula,
        counts,
        average=settings.average,
        aggregate=settings.aggregate,
        zero_division=settings.zero_division,
        class_weights=None if settings.class_weights is None else torch.tensor(settings.class_weights),
    )


def named_score(value: Tensor, key: str, settings: ScoreSettings | OverlapSettings) -> Tensor | dict[str, Tensor]:
    """A result per class as a dict ``<key>/<name>`` if the user named the classes, else as it is."""
    if settings.average != "none" or not settings.names_results or settings.declared is None:
        return value
    names = (f"{key}/{name}" for name in settings.declared.values())
    return dict(zip(names, value.unbind(), strict=True))


def images_of(metric: DetectionMetric) -> dict[str, Tensor]:
    """What each image counts, all classes together: sort by ``f1`` to find the worst.

    All ranks must call it, unless ``compute()`` was called since the last update.

    Returns:
        A dict of tensors ``(B,)``, images without ids before those with one: ``image_id`` int64, -1 for an image
        without; ``arrival`` int64, the place of an image without in the order of arrival of all, from 0, and -1 for an
        image with an id; ``tp``, ``fp``, ``fn`` int64; ``f1`` float64, ``zero_division`` where there is neither target
        nor prediction. Under ``torch.distributed`` the images of all ranks.

    Raises:
        ValueError: as ``compute()`` does.
    """
    return per_image(metric.data(), metric.settings)


def plot_score(metric: DetectionMetric, key: str, label: str | None, val: Any, ax: Any) -> tuple[Any, Any]:
    """The picture of a result of :func:`named_score`, or of several."""
    from detmetrics.show.plot import pictures

    settings: ScoreSettings | OverlapSettings = metric.settings
    declared = None if settings.class_agnostic or settings.declared is None else list(settings.declared.values())
    picture = pictures.Score(key, declared, label, lambda: metric.targets_by_class(settings.area_bounds))
    return pictures.draw(picture, val, metric.compute, ax)
