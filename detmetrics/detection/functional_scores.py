"""Precision, recall and F-scores of a detector as functions: all data at once, one result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from detmetrics.detection.f_scores import DetectionF1Score, DetectionFBetaScore
from detmetrics.detection.metric import evaluated
from detmetrics.detection.precision_recall import DetectionPrecision, DetectionRecall
from detmetrics.overlap.mask_words import MASK_BUDGET
from detmetrics.overlap.similarity import Items


def detection_precision(
    preds: Items,
    target: Items,
    *,
    iou_threshold: float = 0.5,
    score_threshold: float = 0.5,
    average: str = "micro",
    aggregate: str = "dataset",
    class_weights: Sequence[float] | None = None,
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
) -> Tensor | dict[str, Tensor]:
    """How much of what was detected in a whole data set is right; see :class:`detmetrics.DetectionPrecision`.

    Args:
        preds: One dict per image: ``boxes`` (N, 4), ``labels`` (N,), and ``scores`` (N,) for all images or for none.
        target: One dict per image, as in :meth:`detmetrics.DetectionPrecision.update`.
        iou_threshold: The overlap that a match needs, in [0, 1].
        score_threshold: The smallest score that is kept; rounded to the dtype of the scores first, so that a float32 .9
            is kept at .9. Images whose predictions have no scores keep all of them.
        average: ``"micro"`` (counts pooled over classes), ``"macro"`` (mean over classes), ``"weighted"`` (mean by the
            number of targets) or ``"none"`` (one value per class).
        aggregate: ``"dataset"`` (counts pooled over images), ``"imagewise"`` (mean over images), ``"classwise"`` (for
            each class the mean over images, then over classes) or ``"pooled"`` (mean over all defined cells of image
            and class); see :func:`detmetrics.reduce.averages.average`.
        class_weights: A number of 0 or more for each declared class, in the order of their labels, for ``"macro"``.
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
        What :meth:`detmetrics.DetectionPrecision.compute` returns: a 0-d float64 tensor in [0, 1], or one per class.

    Raises:
        ValueError: if an argument or an input does not fit.

    Example:
        >>> import torch
        >>> boxes, labels = torch.tensor([[0.0, 0.0, 8.0, 8.0]]), torch.tensor([0])
        >>> detection_precision([dict(boxes=boxes, labels=labels)], [dict(boxes=boxes, labels=labels)]).item()
        1.0
    """
    metric = DetectionPrecision(
        iou_threshold=iou_threshold,
        score_threshold=score_threshold,
        average=average,
        aggregate=aggregate,
        class_weights=class_weights,
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
    result: Tensor | dict[str, Tensor] = evaluated(metric, preds, target)
    return result


def detection_recall(
    preds: Items,
    target: Items,
    *,
    iou_threshold: float = 0.5,
    score_threshold: float = 0.5,
    average: str = "micro",
    aggregate: str = "dataset",
    class_weights: Sequence[float] | None = None,
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
) -> Tensor | dict[str, Tensor]:
    """How many of the targets of a whole data set were found; see :class:`detmetrics.DetectionRecall`.

    Args:
        preds: One dict per image: ``boxes`` (N, 4), ``labels`` (N,), and ``scores`` (N,) for all images or for none.
        target: One dict per image, as in :meth:`detmetrics.DetectionRecall.update`.
        iou_threshold: The overlap that a match needs, in [0, 1].
        score_threshold: The smallest score that is kept; rounded to the dtype of the scores first, so that a float32 .9
            is kept at .9. Images whose predictions have no scores keep all of them.
        average: ``"micro"`` (counts pooled over classes), ``"macro"`` (mean over classes), ``"weighted"`` (mean by the
            number of targets) or ``"none"`` (one value per class).
        aggregate: ``"dataset"`` (counts pooled over images), ``"imagewise"`` (mean over images), ``"classwise"`` (for
            each class the mean over images, then over classes) or ``"pooled"`` (mean over all defined cells of image
            and class); see :func:`detmetrics.reduce.averages.average`.
        class_weights: A number of 0 or more for each declared class, in the order of their labels, for ``"macro"``.
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
        What :meth:`detmetrics.DetectionRecall.compute` returns: a 0-d float64 tensor in [0, 1], or one per class.

    Raises:
        ValueError: if an argument or an input does not fit.

    Example:
        >>> import torch
        >>> boxes, labels = torch.tensor([[0.0, 0.0, 8.0, 8.0], [20.0, 0.0, 28.0, 8.0]]), torch.tensor([0, 0])
        >>> preds = [dict(boxes=boxes[:1], labels=labels[:1])]
        >>> detection_recall(preds, [dict(boxes=boxes, labels=labels)]).item()
        0.5
    """
    metric = DetectionRecall(
        iou_threshold=iou_threshold,
        score_threshold=score_threshold,
        average=average,
        aggregate=aggregate,
        class_weights=class_weights,
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
    result: Tensor | dict[str, Tensor] = evaluated(metric, preds, target)
    return result


def detection_f1_score(
    preds: Items,
    target: Items,
    *,
    iou_threshold: float = 0.5,
    score_threshold: float = 0.5,
    average: str = "micro",
    aggregate: str = "dataset",
    class_weights: Sequence[float] | None = None,
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
) -> Tensor | dict[str, Tensor]:
    """The harmonic mean of precision and recall over a whole data set; see :class:`detmetrics.DetectionF1Score`.

    Args:
        preds: One dict per image: ``boxes`` (N, 4), ``labels`` (N,), and ``scores`` (N,) for all images or for none.
        target: One dict per image, as in :meth:`detmetrics.DetectionF1Score.update`.
        iou_threshold: The overlap that a match needs, in [0, 1].
        score_threshold: The smallest score that is kept; rounded to the dtype of the scores first, so that a float32 .9
            is kept at .9. Images whose predictions have no scores keep all of them.
        average: ``"micro"`` (counts pooled over classes), ``"macro"`` (mean over classes), ``"weighted"`` (mean by the
            number of targets) or ``"none"`` (one value per class).
        aggregate: ``"dataset"`` (counts pooled over images), ``"imagewise"`` (mean over images), ``"classwise"`` (for
            each class the mean over images, then over classes) or ``"pooled"`` (mean over all defined cells of image
            and class); see :func:`detmetrics.reduce.averages.average`.
        class_weights: A number of 0 or more for each declared class, in the order of their labels, for ``"macro"``.
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
        What :meth:`detmetrics.DetectionF1Score.compute` returns: a 0-d float64 tensor in [0, 1], or one per class.

    Raises:
        ValueError: if an argument or an input does not fit.

    Example:
        >>> import torch
        >>> boxes, labels = torch.tensor([[0.0, 0.0, 8.0, 8.0], [20.0, 0.0, 28.0, 8.0]]), torch.tensor([0, 0])
        >>> preds = [dict(boxes=boxes[:1], labels=labels[:1])]
        >>> detection_f1_score(preds, [dict(boxes=boxes, labels=labels)]).item() == 2 / 3
        True
    """
    metric = DetectionF1Score(
        iou_threshold=iou_threshold,
        score_threshold=score_threshold,
        average=average,
        aggregate=aggregate,
        class_weights=class_weights,
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
    result: Tensor | dict[str, Tensor] = evaluated(metric, preds, target)
    return result


def detection_fbeta_score(
    preds: Items,
    target: Items,
    *,
    beta: float = 1.0,
    iou_threshold: float = 0.5,
    score_threshold: float = 0.5,
    average: str = "micro",
    aggregate: str = "dataset",
    class_weights: Sequence[float] | None = None,
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
) -> Tensor | dict[str, Tensor]:
    """F-score with a weight of recall, over a whole data set; see :class:`detmetrics.DetectionFBetaScore`.

    Args:
        preds: One dict per image: ``boxes`` (N, 4), ``labels`` (N,), and ``scores`` (N,) for all images or for none.
        target: One dict per image, as in :meth:`detmetrics.DetectionFBetaScore.update`.
        beta: How much recall weighs in the F-score, above 0; 1 gives F1.
        iou_threshold: The overlap that a match needs, in [0, 1].
        score_threshold: The smallest score that is kept; rounded to the dtype of the scores first, so that a float32 .9
            is kept at .9. Images whose predictions have no scores keep all of them.
        average: ``"micro"`` (counts pooled over classes), ``"macro"`` (mean over classes), ``"weighted"`` (mean by the
            number of targets) or ``"none"`` (one value per class).
        aggregate: ``"dataset"`` (counts pooled over images), ``"imagewise"`` (mean over images), ``"classwise"`` (for
            each class the mean over images, then over classes) or ``"pooled"`` (mean over all defined cells of image
            and class); see :func:`detmetrics.reduce.averages.average`.
        class_weights: A number of 0 or more for each declared class, in the order of their labels, for ``"macro"``.
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
        What :meth:`detmetrics.DetectionFBetaScore.compute` returns: a 0-d float64 tensor in [0, 1], or one per class.

    Raises:
        ValueError: if an argument or an input does not fit.

    Example:
        >>> import torch
        >>> boxes, labels = torch.tensor([[0.0, 0.0, 8.0, 8.0], [20.0, 0.0, 28.0, 8.0]]), torch.tensor([0, 0])
        >>> preds = [dict(boxes=boxes[:1], labels=labels[:1])]
        >>> detection_fbeta_score(preds, [dict(boxes=boxes, labels=labels)], beta=2.0).item() == 5 / 9
        True
    """
    metric = DetectionFBetaScore(
        beta=beta,
        iou_threshold=iou_threshold,
        score_threshold=score_threshold,
        average=average,
        aggregate=aggregate,
        class_weights=class_weights,
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
    result: Tensor | dict[str, Tensor] = evaluated(metric, preds, target)
    return result
