"""The detection metrics as functions: all data at once, one result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from torch import Tensor

from detmetrics.detection.base import DetectionMetric
from detmetrics.detection.confusion import DetectionConfusionMatrix
from detmetrics.detection.curves import DetectionCurves, ScoreCurves
from detmetrics.detection.mean_ap import MeanAveragePrecision
from detmetrics.detection.operating_point import (
    DetectionF1Score,
    DetectionFBetaScore,
    DetectionPrecision,
    DetectionRecall,
)
from detmetrics.detection.report import DetectionReport

__all__ = [
    "detection_confusion_matrix",
    "detection_curves",
    "detection_f1_score",
    "detection_fbeta_score",
    "detection_precision",
    "detection_recall",
    "detection_report",
    "mean_average_precision",
]

Images = Sequence[Mapping[str, Any]]


def mean_average_precision(
    preds: Sequence[Mapping[str, Any]], target: Sequence[Mapping[str, Any]], **kwargs: Any
) -> dict[str, Tensor]:
    """COCO mean average precision and recall of a whole data set.

    Args:
        preds: One dict an image, as in :meth:`MeanAveragePrecision.update`.
        target: One dict an image, likewise.
        kwargs: The arguments of :class:`detmetrics.MeanAveragePrecision`.

    Returns:
        The dict of :meth:`MeanAveragePrecision.compute`.

    Raises:
        ValueError: if an argument or an input does not fit.

    Example:
        >>> import torch
        >>> boxes, labels = torch.tensor([[0.0, 0.0, 8.0, 8.0]]), torch.tensor([0])
        >>> preds = [dict(boxes=boxes, scores=torch.tensor([0.9]), labels=labels)]
        >>> mean_average_precision(preds, [dict(boxes=boxes, labels=labels)])["map"].item()
        1.0
    """
    return _evaluated(MeanAveragePrecision(**kwargs), preds, target).compute()


def detection_precision(preds: Images, target: Images, **kwargs: Any) -> Tensor | dict[str, Tensor]:
    """How much of what was detected in a whole data set is right.

    Args:
        preds: One dict an image: ``boxes`` (N, 4), ``labels`` (N,), and ``scores`` (N,) for all images or for none.
        target: One dict an image, as in :meth:`DetectionPrecision.update`.
        kwargs: The arguments of :class:`detmetrics.DetectionPrecision`.

    Returns:
        The result of :meth:`DetectionPrecision.compute`: a 0-d float64 tensor in [0, 1], or one value a class.

    Raises:
        ValueError: if an argument or an input does not fit.

    Example:
        >>> import torch
        >>> boxes, labels = torch.tensor([[0.0, 0.0, 8.0, 8.0]]), torch.tensor([0])
        >>> detection_precision([dict(boxes=boxes, labels=labels)], [dict(boxes=boxes, labels=labels)]).item()
        1.0
    """
    return _evaluated(DetectionPrecision(**kwargs), preds, target).compute()


def detection_recall(preds: Images, target: Images, **kwargs: Any) -> Tensor | dict[str, Tensor]:
    """How many of the targets of a whole data set were found.

    Arguments, result and errors as for :func:`detection_precision`, of :class:`detmetrics.DetectionRecall`.

    Example:
        >>> import torch
        >>> boxes, labels = torch.tensor([[0.0, 0.0, 8.0, 8.0], [20.0, 0.0, 28.0, 8.0]]), torch.tensor([0, 0])
        >>> preds = [dict(boxes=boxes[:1], labels=labels[:1])]
        >>> detection_recall(preds, [dict(boxes=boxes, labels=labels)]).item()
        0.5
    """
    return _evaluated(DetectionRecall(**kwargs), preds, target).compute()


def detection_f1_score(preds: Images, target: Images, **kwargs: Any) -> Tensor | dict[str, Tensor]:
    """The harmonic mean of precision and recall over a whole data set.

    Arguments, result and errors as for :func:`detection_precision`, of :class:`detmetrics.DetectionF1Score`.

    Example:
        >>> import torch
        >>> boxes, labels = torch.tensor([[0.0, 0.0, 8.0, 8.0], [20.0, 0.0, 28.0, 8.0]]), torch.tensor([0, 0])
        >>> preds = [dict(boxes=boxes[:1], labels=labels[:1])]
        >>> detection_f1_score(preds, [dict(boxes=boxes, labels=labels)]).item() == 2 / 3
        True
    """
    return _evaluated(DetectionF1Score(**kwargs), preds, target).compute()


def detection_fbeta_score(preds: Images, target: Images, **kwargs: Any) -> Tensor | dict[str, Tensor]:
    """F-score over a whole data set, in which recall weighs ``beta`` times as much as precision.

    Arguments, result and errors as for :func:`detection_precision`, of :class:`detmetrics.DetectionFBetaScore`.

    Example:
        >>> import torch
        >>> boxes, labels = torch.tensor([[0.0, 0.0, 8.0, 8.0], [20.0, 0.0, 28.0, 8.0]]), torch.tensor([0, 0])
        >>> preds = [dict(boxes=boxes[:1], labels=labels[:1])]
        >>> detection_fbeta_score(preds, [dict(boxes=boxes, labels=labels)], beta=2.0).item() == 5 / 9
        True
    """
    return _evaluated(DetectionFBetaScore(**kwargs), preds, target).compute()


def detection_confusion_matrix(preds: Images, target: Images, **kwargs: Any) -> Tensor:
    """What the targets of each class were taken for, over a whole data set.

    Args:
        preds: As for :func:`detection_precision`.
        target: One dict an image, likewise.
        kwargs: The arguments of :class:`detmetrics.DetectionConfusionMatrix`.

    Returns:
        ``(C + 1, C + 1)`` int64, float64 if normalised: rows are targets, columns predictions, the last is background.

    Raises:
        ValueError: if an argument or an input does not fit.

    Example:
        >>> import torch
        >>> boxes, labels = torch.tensor([[0.0, 0.0, 8.0, 8.0]]), torch.tensor([0])
        >>> preds, target = [dict(boxes=boxes, labels=labels + 1)], [dict(boxes=boxes, labels=labels)]
        >>> detection_confusion_matrix(preds, target, num_classes=2).tolist()
        [[0, 1, 0], [0, 0, 0], [0, 0, 0]]
    """
    return _evaluated(DetectionConfusionMatrix(**kwargs), preds, target).compute()


def detection_curves(preds: Images, target: Images, **kwargs: Any) -> ScoreCurves:
    """Precision, recall and F-score of a whole data set against the score, and the best thresholds.

    Args:
        preds: One dict an image: ``boxes`` (N, 4), ``scores`` (N,), ``labels`` (N,).
        target: One dict an image, as in :meth:`DetectionCurves.update`.
        kwargs: The arguments of :class:`detmetrics.DetectionCurves`.

    Returns:
        The NamedTuple of :meth:`DetectionCurves.compute`.

    Raises:
        ValueError: if an argument or an input does not fit.

    Example:
        >>> import torch
        >>> boxes, labels = torch.tensor([[0.0, 0.0, 8.0, 8.0]]), torch.tensor([0])
        >>> preds = [dict(boxes=boxes, scores=torch.tensor([0.75]), labels=labels)]
        >>> detection_curves(preds, [dict(boxes=boxes, labels=labels)]).scalars()["best_score_threshold"].item()
        0.75
    """
    return _evaluated(DetectionCurves(**kwargs), preds, target).compute()


def detection_report(preds: Images, target: Images, **kwargs: Any) -> dict[str, Tensor]:
    """Precision, recall, F1 and support of each class and their averages over a whole data set.

    Args:
        preds: As for :func:`detection_precision`.
        target: One dict an image, likewise.
        kwargs: The arguments of :class:`detmetrics.DetectionReport`.

    Returns:
        The dict of :meth:`DetectionReport.compute`.

    Raises:
        ValueError: if an argument or an input does not fit.

    Example:
        >>> import torch
        >>> boxes, labels = torch.tensor([[0.0, 0.0, 8.0, 8.0]]), torch.tensor([0])
        >>> preds, target = [dict(boxes=boxes, labels=labels)], [dict(boxes=boxes, labels=labels)]
        >>> detection_report(preds, target, class_names=["cat"])["f1/cat"].item()
        1.0
    """
    return _evaluated(DetectionReport(**kwargs), preds, target).compute()


AnyDetectionMetric = TypeVar("AnyDetectionMetric", bound=DetectionMetric)


def _evaluated(metric: AnyDetectionMetric, preds: Images, target: Images) -> AnyDetectionMetric:
    """The metric, on the device of the predictions, after all images; it waits for no other process."""
    if preds and isinstance(preds[0], Mapping) and isinstance(preds[0].get("boxes"), Tensor):
        metric = metric.to(preds[0]["boxes"].device)
    metric.sync_on_compute = metric._to_sync = False
    metric.update(preds, target)
    return metric
