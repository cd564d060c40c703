"""COCO mean average precision and recall as a function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from detmetrics.detection.mean_ap import MeanAveragePrecision
from detmetrics.detection.metric import evaluated
from detmetrics.overlap.mask_words import MASK_BUDGET
from detmetrics.overlap.similarity import Items


def mean_average_precision(
    preds: Items,
    target: Items,
    box_format: str = "xyxy",
    iou_type: str | Sequence[str] = "bbox",
    iou_thresholds: Sequence[float] | None = None,
    rec_thresholds: Sequence[float] | None = None,
    max_detection_thresholds: Sequence[int] | None = None,
    class_metrics: bool = False,
    extended_summary: bool = False,
    average: str = "macro",
    backend: str | None = None,
    *,
    area_ranges: Mapping[str, tuple[float, float]] | None = None,
    num_classes: int | None = None,
    class_names: Sequence[str] | Mapping[int, str] | None = None,
    class_agnostic: bool = False,
    zero_division: float = float("nan"),
    pairs: str | None = None,
    mask_budget: int = MASK_BUDGET,
    keypoint_sigmas: str | Sequence[float] | Mapping[int, Any] | None = None,
    duplicates: str = "drop",
) -> dict[str, Tensor]:
    """COCO mean average precision and recall of a whole data set; see :class:`detmetrics.MeanAveragePrecision`.

    Args:
        preds: One dict per image, as in :meth:`detmetrics.MeanAveragePrecision.update`.
        target: One dict per image, as in :meth:`detmetrics.MeanAveragePrecision.update`.
        box_format: ``"xyxy"``, ``"xywh"`` or ``"cxcywh"``, in pixels.
        iou_type: The similarity: ``"bbox"`` for boxes, ``"segm"`` for masks, ``"boundary"`` for the smaller of the
            overlaps of masks and of their boundaries, ``"keypoints"`` for object keypoint similarity; or several of
            them, whose results are then called ``bbox_map``, ``segm_map`` and so on.
        iou_thresholds: Numbers above 0 and at most 1; None for .5, .55, ..., .95.
        rec_thresholds: Recall points in [0, 1]; None for 0, .01, ..., 1.
        max_detection_thresholds: Limits on the detections per class and image, any number of them; None for 1, 10,
            100, of keypoints alone for 20. The precision and all results by area are at the largest.
        class_metrics: Whether to add results for each class.
        extended_summary: Whether to add the arrays ``precision`` (T, R, C, A, M), ``recall`` (T, C, A, M) and
            ``scores`` (T, R, C, A, M), with pycocotools' axes: IoU thresholds, recall points, classes, area ranges,
            limits.
        average: ``"macro"``. What torchmetrics calls ``"micro"`` is ``class_agnostic=True``.
        backend: Accepted so that torchmetrics' calls run, with a warning: there is one implementation.
        area_ranges: Inclusive bounds in square pixels by name; None for COCO's small, medium, large, of keypoints
            alone without small. All areas are always there.
        num_classes: Declares the classes 0 to ``num_classes`` - 1.
        class_names: The declared classes: a list, or a dict from label to name. Other labels raise. None: the observed
            labels are the classes.
        class_agnostic: Whether to treat all labels as one class, as pycocotools with ``useCats=0``.
        zero_division: What stands for 0/0: NaN, which is left out of every mean, or a number, which takes part in it.
        pairs: Which overlaps the state keeps: ``"same"``, those within a class, or ``"all"``, to share it with metrics
            that ask about pairs of other classes, such as the confusion matrix. None: what this metric needs.
        mask_budget: Bytes that the overlaps of masks may take while they are found, if a pair of masks fits.
        keypoint_sigmas: How far annotators are apart at each keypoint: ``"coco"`` (17 keypoints), ``"crowdpose"``
            (14), ``"wholebody"`` (133), a number for each keypoint, or a dict of label to either, one entry a class.
            None: COCO's.
        duplicates: What becomes of an image whose id came before with the same target: ``"drop"`` (it does not count,
            and a warning says so), ``"error"`` (raise if it is predicted otherwise), ``"keep"`` (every image counts,
            also with another target).

    Returns:
        The dict of :meth:`detmetrics.MeanAveragePrecision.compute`.

    Raises:
        ValueError: if an argument or an input does not fit.

    Example:
        >>> import torch
        >>> boxes, labels = torch.tensor([[0.0, 0.0, 8.0, 8.0]]), torch.tensor([0])
        >>> preds = [dict(boxes=boxes, scores=torch.tensor([0.9]), labels=labels)]
        >>> mean_average_precision(preds, [dict(boxes=boxes, labels=labels)])["map"].item()
        1.0
    """
    metric = MeanAveragePrecision(
        box_format=box_format,
        iou_type=iou_type,
        iou_thresholds=iou_thresholds,
        rec_thresholds=rec_thresholds,
        max_detection_thresholds=max_detection_thresholds,
        class_metrics=class_metrics,
        extended_summary=extended_summary,
        average=average,
        backend=backend,
        area_ranges=area_ranges,
        num_classes=num_classes,
        class_names=class_names,
        class_agnostic=class_agnostic,
        zero_division=zero_division,
        pairs=pairs,
        mask_budget=mask_budget,
        keypoint_sigmas=keypoint_sigmas,
        duplicates=duplicates,
        sync_on_compute=False,
    )
    result: dict[str, Tensor] = evaluated(metric, preds, target)
    return result
