"""Mean average precision, confusion matrix, curves and report as functions: all data at once, one result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from detmetrics.detection.confusion import DetectionConfusionMatrix
from detmetrics.detection.curves import DetectionCurves
from detmetrics.detection.mean_ap import MeanAveragePrecision
from detmetrics.detection.metric import evaluated
from detmetrics.detection.report import DetectionReport
from detmetrics.overlap.mask_words import MASK_BUDGET
from detmetrics.overlap.similarity import Items
from detmetrics.reduce.curves import ScoreCurves


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
) -> dict[str, Tensor]:
    """COCO mean average precision and recall of a whole data set; see :class:`detmetrics.MeanAveragePrecision`.

    Args:
        preds: One dict per image, as in :meth:`detmetrics.MeanAveragePrecision.update`.
        target: One dict per image, as in :meth:`detmetrics.MeanAveragePrecision.update`.
        box_format: ``"xyxy"``, ``"xywh"`` or ``"cxcywh"``, in pixels.
        iou_type: The similarity: ``"bbox"`` for boxes, ``"segm"`` for masks, ``"boundary"`` for the smaller of the
            overlaps of masks and of their boundaries; or several of them, whose results are then called ``bbox_map``,
            ``segm_map`` and so on.
        iou_thresholds: Numbers in [0, 1]; None for .5, .55, ..., .95.
        rec_thresholds: Recall points in [0, 1]; None for 0, .01, ..., 1.
        max_detection_thresholds: Limits on the detections per class and image, any number of them; None for 1, 10,
            100. The precision and all results by area are at the largest.
        class_metrics: Whether to add results for each class.
        extended_summary: Whether to add the arrays ``precision`` (T, R, C, A, M), ``recall`` (T, C, A, M) and
            ``scores`` (T, R, C, A, M), with pycocotools' axes: IoU thresholds, recall points, classes, area ranges,
            limits.
        average: ``"macro"``. What torchmetrics calls ``"micro"`` is ``class_agnostic=True``.
        backend: Accepted so that torchmetrics' calls run, with a warning: there is one implementation.
        area_ranges: Inclusive bounds in square pixels by name; None for COCO's small, medium, large. All areas are
            always there.
        num_classes: Declares the classes 0 to ``num_classes`` - 1.
        class_names: The declared classes: a list, or a dict from label to name. Other labels raise. None: the observed
            labels are the classes.
        class_agnostic: Whether to treat all labels as one class, as pycocotools with ``useCats=0``.
        zero_division: What stands for 0/0: NaN, which is left out of every mean, or a number, which takes part in it.
        pairs: Which overlaps the state keeps: ``"same"``, those within a class, or ``"all"``, to share it with metrics
            that ask about pairs of other classes, such as the confusion matrix. None: what this metric needs.
        mask_budget: Bytes that the overlaps of masks may take while they are found, if a pair of masks fits.

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
        sync_on_compute=False,
    )
    result: dict[str, Tensor] = evaluated(metric, preds, target)
    return result


def detection_confusion_matrix(
    preds: Items,
    target: Items,
    *,
    normalize: str | None = None,
    iou_threshold: float = 0.5,
    score_threshold: float = 0.5,
    max_detections: int | None = None,
    area_range: str | tuple[float, float] = "all",
    zero_division: float = float("nan"),
    num_classes: int | None = None,
    class_names: Sequence[str] | Mapping[int, str] | None = None,
    pairs: str | None = None,
    box_format: str = "xyxy",
    iou_type: str = "bbox",
    mask_budget: int = MASK_BUDGET,
) -> Tensor:
    """The confusion matrix of a whole data set; see :class:`detmetrics.DetectionConfusionMatrix`.

    Args:
        preds: One dict per image: ``boxes`` (N, 4), ``labels`` (N,), and ``scores`` (N,) for all images or for none.
        target: One dict per image, as in :meth:`detmetrics.DetectionConfusionMatrix.update`.
        normalize: ``"true"`` (rows sum to 1), ``"pred"`` (columns do), ``"all"``, or None, as in scikit-learn.
        iou_threshold: The overlap that a match needs, in [0, 1].
        score_threshold: The smallest score that is kept; rounded to the dtype of the scores first, so that a float32 .9
            is kept at .9. Images whose predictions have no scores keep all of them.
        max_detections: How many detections per class and image take part, the best first; None for all.
        area_range: ``"all"``, ``"small"``, ``"medium"``, ``"large"`` as in COCO, or inclusive bounds in square pixels.
            Targets outside and unmatched detections outside are ignored.
        zero_division: What stands for 0/0: NaN, which is left out of every mean, or a number, which takes part in it.
        num_classes: Declares the classes 0 to ``num_classes`` - 1.
        class_names: The declared classes: a list, or a dict from label to name. Other labels raise. None: the observed
            labels are the classes.
        pairs: Which overlaps the state keeps: ``"same"``, those within a class, or ``"all"``, to share it with metrics
            that ask about pairs of other classes, such as the confusion matrix. None: what this metric needs.
        box_format: ``"xyxy"``, ``"xywh"`` or ``"cxcywh"``, in pixels.
        iou_type: The similarity: ``"bbox"`` for boxes, ``"segm"`` for masks, ``"boundary"`` for the smaller of the
            overlaps of masks and of their boundaries.
        mask_budget: Bytes that the overlaps of masks may take while they are found, if a pair of masks fits.

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
    metric = DetectionConfusionMatrix(
        normalize=normalize,
        iou_threshold=iou_threshold,
        score_threshold=score_threshold,
        max_detections=max_detections,
        area_range=area_range,
        zero_division=zero_division,
        num_classes=num_classes,
        class_names=class_names,
        pairs=pairs,
        box_format=box_format,
        iou_type=iou_type,
        mask_budget=mask_budget,
        sync_on_compute=False,
    )
    result: Tensor = evaluated(metric, preds, target)
    return result


def detection_curves(
    preds: Items,
    target: Items,
    *,
    beta: float = 1.0,
    iou_threshold: float = 0.5,
    max_detections: int | None = None,
    area_range: str | tuple[float, float] = "all",
    zero_division: float = float("nan"),
    num_classes: int | None = None,
    class_names: Sequence[str] | Mapping[int, str] | None = None,
    class_agnostic: bool = False,
    pairs: str | None = None,
    box_format: str = "xyxy",
    iou_type: str = "bbox",
    mask_budget: int = MASK_BUDGET,
) -> ScoreCurves:
    """Precision, recall and F-score of a whole data set against the score; see :class:`detmetrics.DetectionCurves`.

    Args:
        preds: One dict per image: ``boxes`` (N, 4), ``scores`` (N,), ``labels`` (N,).
        target: One dict per image, as in :meth:`detmetrics.DetectionCurves.update`.
        beta: How much recall weighs in the F-score, above 0; 1 gives F1.
        iou_threshold: The overlap that a match needs, in [0, 1].
        max_detections: How many detections per class and image take part, the best first; None for all.
        area_range: ``"all"``, ``"small"``, ``"medium"``, ``"large"`` as in COCO, or inclusive bounds in square pixels.
            Targets outside and unmatched detections outside are ignored.
        zero_division: What stands for 0/0: NaN, which is left out of every mean, or a number, which takes part in it.
        num_classes: Declares the classes 0 to ``num_classes`` - 1.
        class_names: The declared classes: a list, or a dict from label to name. Other labels raise. None: the observed
            labels are the classes.
        class_agnostic: Whether to treat all labels as one class, as pycocotools with ``useCats=0``.
        pairs: Which overlaps the state keeps: ``"same"``, those within a class, or ``"all"``, to share it with metrics
            that ask about pairs of other classes, such as the confusion matrix. None: what this metric needs.
        box_format: ``"xyxy"``, ``"xywh"`` or ``"cxcywh"``, in pixels.
        iou_type: The similarity: ``"bbox"`` for boxes, ``"segm"`` for masks, ``"boundary"`` for the smaller of the
            overlaps of masks and of their boundaries.
        mask_budget: Bytes that the overlaps of masks may take while they are found, if a pair of masks fits.

    Returns:
        The NamedTuple of :meth:`detmetrics.DetectionCurves.compute`.

    Raises:
        ValueError: if an argument or an input does not fit.

    Example:
        >>> import torch
        >>> boxes, labels = torch.tensor([[0.0, 0.0, 8.0, 8.0]]), torch.tensor([0])
        >>> preds = [dict(boxes=boxes, scores=torch.tensor([0.75]), labels=labels)]
        >>> detection_curves(preds, [dict(boxes=boxes, labels=labels)]).scalars()["best_score_threshold"].item()
        0.75
    """
    metric = DetectionCurves(
        beta=beta,
        iou_threshold=iou_threshold,
        max_detections=max_detections,
        area_range=area_range,
        zero_division=zero_division,
        num_classes=num_classes,
        class_names=class_names,
        class_agnostic=class_agnostic,
        pairs=pairs,
        box_format=box_format,
        iou_type=iou_type,
        mask_budget=mask_budget,
        sync_on_compute=False,
    )
    result: ScoreCurves = evaluated(metric, preds, target)
    return result


def detection_report(
    preds: Items,
    target: Items,
    *,
    matched_only: bool = False,
    iou_threshold: float = 0.5,
    score_threshold: float = 0.5,
    max_detections: int | None = None,
    area_range: str | tuple[float, float] = "all",
    zero_division: float = float("nan"),
    num_classes: int | None = None,
    class_names: Sequence[str] | Mapping[int, str] | None = None,
    class_agnostic: bool = False,
    pairs: str | None = None,
    box_format: str = "xyxy",
    iou_type: str = "bbox",
    mask_budget: int = MASK_BUDGET,
) -> dict[str, Tensor]:
    """Precision, recall, F1 and support of each class over a whole data set; see :class:`detmetrics.DetectionReport`.

    Args:
        preds: One dict per image: ``boxes`` (N, 4), ``labels`` (N,), and ``scores`` (N,) for all images or for none.
        target: One dict per image, as in :meth:`detmetrics.DetectionReport.update`.
        matched_only: Whether to report instead how well the boxes that match are classified: after the score cut
            detections are matched whatever their class, and the report is that of a classifier over the matched pairs,
            of label of the target and label of the detection. Unmatched boxes are not in it.
        iou_threshold: The overlap that a match needs, in [0, 1].
        score_threshold: The smallest score that is kept; rounded to the dtype of the scores first, so that a float32 .9
            is kept at .9. Images whose predictions have no scores keep all of them.
        max_detections: How many detections per class and image take part, the best first; None for all.
        area_range: ``"all"``, ``"small"``, ``"medium"``, ``"large"`` as in COCO, or inclusive bounds in square pixels.
            Targets outside and unmatched detections outside are ignored.
        zero_division: What stands for 0/0: NaN, which is left out of every mean, or a number, which takes part in it.
        num_classes: Declares the classes 0 to ``num_classes`` - 1.
        class_names: The declared classes: a list, or a dict from label to name. Other labels raise. None: the observed
            labels are the classes.
        class_agnostic: Whether to treat all labels as one class, as pycocotools with ``useCats=0``.
        pairs: Which overlaps the state keeps: ``"same"``, those within a class, or ``"all"``, to share it with metrics
            that ask about pairs of other classes, such as the confusion matrix. None: what this metric needs.
        box_format: ``"xyxy"``, ``"xywh"`` or ``"cxcywh"``, in pixels.
        iou_type: The similarity: ``"bbox"`` for boxes, ``"segm"`` for masks, ``"boundary"`` for the smaller of the
            overlaps of masks and of their boundaries.
        mask_budget: Bytes that the overlaps of masks may take while they are found, if a pair of masks fits.

    Returns:
        The dict of :meth:`detmetrics.DetectionReport.compute`.

    Raises:
        ValueError: if an argument or an input does not fit.

    Example:
        >>> import torch
        >>> boxes, labels = torch.tensor([[0.0, 0.0, 8.0, 8.0]]), torch.tensor([0])
        >>> preds, target = [dict(boxes=boxes, labels=labels)], [dict(boxes=boxes, labels=labels)]
        >>> detection_report(preds, target, class_names=["cat"])["f1/cat"].item()
        1.0
    """
    metric = DetectionReport(
        matched_only=matched_only,
        iou_threshold=iou_threshold,
        score_threshold=score_threshold,
        max_detections=max_detections,
        area_range=area_range,
        zero_division=zero_division,
        num_classes=num_classes,
        class_names=class_names,
        class_agnostic=class_agnostic,
        pairs=pairs,
        box_format=box_format,
        iou_type=iou_type,
        mask_budget=mask_budget,
        sync_on_compute=False,
    )
    result: dict[str, Tensor] = evaluated(metric, preds, target)
    return result
