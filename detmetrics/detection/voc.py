"""PASCAL VOC: average precision at one threshold, with a rule of matching of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from detmetrics.detection.metric import DetectionMetric, evaluated
from detmetrics.detection.score_curves import voc_average_precision_of
from detmetrics.detection.settings import VOCSettings
from detmetrics.overlap.mask_words import MASK_BUDGET
from detmetrics.overlap.similarity import Items
from detmetrics.settings import Setting


class VOCAveragePrecision(DetectionMetric):
    """Average precision as the PASCAL VOC challenges define it.

    A detection looks only at the target of its class that it overlaps most, which must be by more than
    ``iou_threshold``; where a better detection has that target it is a false positive. Targets with ``ignore``, which
    VOC calls difficult, count neither way, and neither do the detections that look at them.
    :class:`detmetrics.DetectionCurves` has the same numbers beside others.

    The state is that of :class:`detmetrics.MeanAveragePrecision`. The function is
    :func:`detmetrics.functional.voc_average_precision`.

    Args:
        box_format: ``"xyxy"``, ``"xywh"`` or ``"cxcywh"``, in pixels.
        iou_type: The similarity: ``"bbox"`` for boxes, ``"segm"`` for masks, ``"boundary"`` for the smaller of the
            overlaps of masks and of their boundaries.
        iou_threshold: The overlap that a match needs, above 0 and at most 1.
        style: ``"area"``, the area under the best precision at each recall or beyond, as since 2010, or ``"07"``, its
            mean at the recalls 0, .1, ..., 1.
        max_detections: How many detections per class and image take part, the best first; None for all.
        area_range: ``"all"``, ``"small"``, ``"medium"``, ``"large"`` as in COCO, or inclusive bounds in square pixels.
            Targets outside and unmatched detections outside are ignored.
        class_metrics: Whether to add results for each class.
        num_classes: Declares the classes 0 to ``num_classes`` - 1.
        class_names: The declared classes: a list, or a dict from label to name. Other labels raise. None: the observed
            labels are the classes.
        zero_division: What stands for 0/0: NaN, which is left out of every mean, or a number, which takes part in it.
        pairs: Which overlaps the state keeps: ``"same"``, those within a class, or ``"all"``, to share it with metrics
            that ask about pairs of other classes, such as the confusion matrix. None: what this metric needs.
        mask_budget: Bytes that the overlaps of masks may take while they are found, if a pair of masks fits.
        duplicates: What becomes of an image whose id came before with the same target: ``"drop"`` (it does not count,
            and a warning says so), ``"error"`` (raise if it is predicted otherwise), ``"keep"`` (every image counts,
            also with another target).
        kwargs: The keyword arguments of ``torchmetrics.Metric``.

    Raises:
        ValueError: if an argument does not fit.

    Source: ``VOCevaldet.m`` and ``VOCap.m`` of the VOC development kit; Everingham et al., The PASCAL Visual Object
    Classes Challenge (IJCV 2010).

    Example:
        >>> import torch
        >>> boxes, labels = torch.tensor([[0.0, 0.0, 8.0, 8.0], [20.0, 0.0, 28.0, 8.0]]), torch.tensor([0, 0])
        >>> preds = [dict(boxes=boxes[:1], scores=torch.tensor([0.9]), labels=labels[:1])]
        >>> metric = VOCAveragePrecision(style="07")
        >>> metric.update(preds, [dict(boxes=boxes, labels=labels)])
        >>> round(metric.compute()["map"].item(), 4)
        0.5455
    """

    iou_threshold = Setting()
    class_metrics = Setting()
    style = Setting()
    max_detections = Setting()
    area_range = Setting()

    def __init__(
        self,
        *,
        box_format: str = "xyxy",
        iou_type: str = "bbox",
        iou_threshold: float = 0.5,
        style: str = "area",
        max_detections: int | None = None,
        area_range: str | tuple[float, float] = "all",
        class_metrics: bool = False,
        num_classes: int | None = None,
        class_names: Sequence[str] | Mapping[int, str] | None = None,
        zero_division: float = float("nan"),
        pairs: str | None = None,
        mask_budget: int = MASK_BUDGET,
        duplicates: str = "drop",
        **kwargs: Any,
    ) -> None:
        settings = VOCSettings(
            iou_threshold=iou_threshold,
            style=style,
            max_detections=max_detections,
            area_range=area_range,
            class_metrics=class_metrics,
            num_classes=num_classes,
            class_names=class_names,  # type: ignore[arg-type]
            zero_division=zero_division,
        )
        super().__init__(
            settings,
            iou_type=iou_type,
            pairs=pairs,
            box_format=box_format,
            mask_budget=mask_budget,
            duplicates=duplicates,
            **kwargs,
        )

    def compute(self) -> dict[str, Tensor]:
        """The results for all images so far.

        Returns:
            A dict of 0-d float64 tensors: ``map``, the mean over the classes with targets. With ``class_metrics``:
            ``map/<name>`` if classes are declared, else ``map_per_class`` (C,) and ``classes`` (C,) int64.
        """
        return voc_average_precision_of(self.data(), self.settings)


def voc_average_precision(
    preds: Items,
    target: Items,
    *,
    box_format: str = "xyxy",
    iou_type: str = "bbox",
    iou_threshold: float = 0.5,
    style: str = "area",
    max_detections: int | None = None,
    area_range: str | tuple[float, float] = "all",
    class_metrics: bool = False,
    num_classes: int | None = None,
    class_names: Sequence[str] | Mapping[int, str] | None = None,
    zero_division: float = float("nan"),
    pairs: str | None = None,
    mask_budget: int = MASK_BUDGET,
    duplicates: str = "drop",
) -> dict[str, Tensor]:
    """VOC's average precision of a whole data set; see :class:`detmetrics.VOCAveragePrecision`.

    Args:
        preds: One dict per image, as in :meth:`detmetrics.VOCAveragePrecision.update`.
        target: One dict per image, as in :meth:`detmetrics.VOCAveragePrecision.update`.
        box_format: ``"xyxy"``, ``"xywh"`` or ``"cxcywh"``, in pixels.
        iou_type: The similarity: ``"bbox"`` for boxes, ``"segm"`` for masks, ``"boundary"`` for the smaller of the
            overlaps of masks and of their boundaries.
        iou_threshold: The overlap that a match needs, above 0 and at most 1.
        style: ``"area"``, the area under the best precision at each recall or beyond, as since 2010, or ``"07"``, its
            mean at the recalls 0, .1, ..., 1.
        max_detections: How many detections per class and image take part, the best first; None for all.
        area_range: ``"all"``, ``"small"``, ``"medium"``, ``"large"`` as in COCO, or inclusive bounds in square pixels.
            Targets outside and unmatched detections outside are ignored.
        class_metrics: Whether to add results for each class.
        num_classes: Declares the classes 0 to ``num_classes`` - 1.
        class_names: The declared classes: a list, or a dict from label to name. Other labels raise. None: the observed
            labels are the classes.
        zero_division: What stands for 0/0: NaN, which is left out of every mean, or a number, which takes part in it.
        pairs: Which overlaps the state keeps: ``"same"``, those within a class, or ``"all"``, to share it with metrics
            that ask about pairs of other classes, such as the confusion matrix. None: what this metric needs.
        mask_budget: Bytes that the overlaps of masks may take while they are found, if a pair of masks fits.
        duplicates: What becomes of an image whose id came before with the same target: ``"drop"`` (it does not count,
            and a warning says so), ``"error"`` (raise if it is predicted otherwise), ``"keep"`` (every image counts,
            also with another target).

    Returns:
        The dict of :meth:`detmetrics.VOCAveragePrecision.compute`.

    Raises:
        ValueError: if an argument or an input does not fit.

    Example:
        >>> import torch
        >>> boxes, labels = torch.tensor([[0.0, 0.0, 8.0, 8.0]]), torch.tensor([0])
        >>> preds = [dict(boxes=boxes, scores=torch.tensor([0.9]), labels=labels)]
        >>> voc_average_precision(preds, [dict(boxes=boxes, labels=labels)])["map"].item()
        1.0
    """
    metric = VOCAveragePrecision(
        box_format=box_format,
        iou_type=iou_type,
        iou_threshold=iou_threshold,
        style=style,
        max_detections=max_detections,
        area_range=area_range,
        class_metrics=class_metrics,
        num_classes=num_classes,
        class_names=class_names,
        zero_division=zero_division,
        pairs=pairs,
        mask_budget=mask_budget,
        duplicates=duplicates,
        sync_on_compute=False,
    )
    result: dict[str, Tensor] = evaluated(metric, preds, target)
    return result
