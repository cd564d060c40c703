"""The mean overlap of predicted with true boxes, with torchmetrics' whole contract."""

from __future__ import annotations

from typing import Any

from torchvision import ops

from detmetrics.compat.torchmetrics.overlap_metric import MeanOverlap


class IntersectionOverUnion(MeanOverlap):
    """The mean intersection over union over pairs of boxes.

    All pairs of an image count, or those of one label. The state holds 56 bytes per prediction, 64 per target and 40
    per image. The function, of two sets of boxes:
    :func:`detmetrics.compat.torchmetrics.intersection_over_union`.

    Args:
        box_format: ``"xyxy"``, ``"xywh"`` or ``"cxcywh"``, in pixels.
        iou_threshold: Pairs that overlap less do not count; None to count all.
        class_metrics: Whether to add ``iou/cl_<label>`` for each label that occurs.
        respect_labels: Whether only pairs of one label count.
        kwargs: The keyword arguments of ``torchmetrics.Metric``.

    Raises:
        ValueError: if an argument does not fit.

    Source: ``torchvision.ops.box_iou``.

    Example:
        >>> import torch
        >>> boxes, labels = torch.tensor([[0.0, 0.0, 4.0, 2.0]]), torch.tensor([5])
        >>> metric = IntersectionOverUnion()
        >>> metric.update([dict(boxes=boxes, labels=labels)], [dict(boxes=boxes, labels=labels)])
        >>> metric.compute()
        {'iou': tensor(1.)}
    """

    key = "iou"
    formula = staticmethod(ops.box_iou)

    def __init__(
        self,
        box_format: str = "xyxy",
        iou_threshold: float | None = None,
        class_metrics: bool = False,
        respect_labels: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(box_format, iou_threshold, class_metrics, respect_labels, **kwargs)


class GeneralizedIntersectionOverUnion(MeanOverlap):
    """The mean generalized intersection over union of Rezatofighi et al. (CVPR 2019) over pairs of boxes.

    All pairs of an image count, or those of one label. The state holds 56 bytes per prediction, 64 per target and 40
    per image. The function, of two sets of boxes:
    :func:`detmetrics.compat.torchmetrics.generalized_intersection_over_union`.

    Args:
        box_format: ``"xyxy"``, ``"xywh"`` or ``"cxcywh"``, in pixels.
        iou_threshold: Pairs that overlap less do not count; None to count all.
        class_metrics: Whether to add ``giou/cl_<label>`` for each label that occurs.
        respect_labels: Whether only pairs of one label count.
        kwargs: The keyword arguments of ``torchmetrics.Metric``.

    Raises:
        ValueError: if an argument does not fit.

    Source: ``torchvision.ops.generalized_box_iou``.

    Example:
        >>> import torch
        >>> boxes, labels = torch.tensor([[0.0, 0.0, 4.0, 2.0]]), torch.tensor([5])
        >>> metric = GeneralizedIntersectionOverUnion()
        >>> metric.update([dict(boxes=boxes, labels=labels)], [dict(boxes=boxes, labels=labels)])
        >>> metric.compute()
        {'giou': tensor(1.)}
    """

    key = "giou"
    formula = staticmethod(ops.generalized_box_iou)

    def __init__(
        self,
        box_format: str = "xyxy",
        iou_threshold: float | None = None,
        class_metrics: bool = False,
        respect_labels: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(box_format, iou_threshold, class_metrics, respect_labels, **kwargs)


class DistanceIntersectionOverUnion(MeanOverlap):
    """The mean distance intersection over union of Zheng et al. (AAAI 2020) over pairs of boxes.

    All pairs of an image count, or those of one label. The state holds 56 bytes per prediction, 64 per target and 40
    per image. The function, of two sets of boxes:
    :func:`detmetrics.compat.torchmetrics.distance_intersection_over_union`.

    Args:
        box_format: ``"xyxy"``, ``"xywh"`` or ``"cxcywh"``, in pixels.
        iou_threshold: Pairs that overlap less do not count; None to count all.
        class_metrics: Whether to add ``diou/cl_<label>`` for each label that occurs.
        respect_labels: Whether only pairs of one label count.
        kwargs: The keyword arguments of ``torchmetrics.Metric``.

    Raises:
        ValueError: if an argument does not fit.

    Source: ``torchvision.ops.distance_box_iou``.

    Example:
        >>> import torch
        >>> boxes, labels = torch.tensor([[0.0, 0.0, 4.0, 2.0]]), torch.tensor([5])
        >>> metric = DistanceIntersectionOverUnion()
        >>> metric.update([dict(boxes=boxes, labels=labels)], [dict(boxes=boxes, labels=labels)])
        >>> metric.compute()
        {'diou': tensor(1.)}
    """

    key = "diou"
    formula = staticmethod(ops.distance_box_iou)

    def __init__(
        self,
        box_format: str = "xyxy",
        iou_threshold: float | None = None,
        class_metrics: bool = False,
        respect_labels: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(box_format, iou_threshold, class_metrics, respect_labels, **kwargs)


class CompleteIntersectionOverUnion(MeanOverlap):
    """The mean complete intersection over union of Zheng et al. (AAAI 2020) over pairs of boxes.

    All pairs of an image count, or those of one label. The state holds 56 bytes per prediction, 64 per target and 40
    per image. The function, of two sets of boxes:
    :func:`detmetrics.compat.torchmetrics.complete_intersection_over_union`.

    Args:
        box_format: ``"xyxy"``, ``"xywh"`` or ``"cxcywh"``, in pixels.
        iou_threshold: Pairs that overlap less do not count; None to count all.
        class_metrics: Whether to add ``ciou/cl_<label>`` for each label that occurs.
        respect_labels: Whether only pairs of one label count.
        kwargs: The keyword arguments of ``torchmetrics.Metric``.

    Raises:
        ValueError: if an argument does not fit.

    Source: ``torchvision.ops.complete_box_iou``.

    Example:
        >>> import torch
        >>> boxes, labels = torch.tensor([[0.0, 0.0, 4.0, 2.0]]), torch.tensor([5])
        >>> metric = CompleteIntersectionOverUnion()
        >>> metric.update([dict(boxes=boxes, labels=labels)], [dict(boxes=boxes, labels=labels)])
        >>> metric.compute()
        {'ciou': tensor(1.)}
    """

    key = "ciou"
    formula = staticmethod(ops.complete_box_iou)
    invalid_value = -2.0

    def __init__(
        self,
        box_format: str = "xyxy",
        iou_threshold: float | None = None,
        class_metrics: bool = False,
        respect_labels: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(box_format, iou_threshold, class_metrics, respect_labels, **kwargs)
