"""The metrics as functions, with torchmetrics' arguments; torchvision has the formulas of the overlaps of boxes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torchvision import ops

from detmetrics.compat.torchmetrics.mean_ap import MeanAveragePrecision, squeezed
from detmetrics.compat.torchmetrics.results import results

Formula = Callable[[Tensor, Tensor], Tensor]


def overlap_matrix(
    preds: Tensor, target: Tensor, formula: Formula, iou_threshold: float | None, replacement_val: float
) -> Tensor:
    """The overlaps of all pairs, ``(N, M)``; zeros of the other side's ``(M, M)`` or ``(N, N)`` if one side is empty.

    Args:
        preds: ``(N, 4)`` xyxy pixels.
        target: ``(M, 4)``, the same.
        formula: What is computed of ``(N, 4)`` and ``(M, 4)``.
        iou_threshold: Smaller overlaps are replaced; None to replace none.
        replacement_val: What replaces them.

    Raises:
        ValueError: if a shape does not fit.
    """
    for name, boxes in (("preds", preds), ("target", target)):
        if boxes.ndim != 2 or boxes.shape[1] != 4:
            raise ValueError(f"{name}: expected shape (N, 4), got {tuple(boxes.shape)}")
    if not preds.numel() or not target.numel():
        size = len(preds) or len(target)
        return torch.zeros((size, size), device=preds.device)
    overlaps = formula(preds, target)
    return overlaps if iou_threshold is None else torch.where(overlaps < iou_threshold, replacement_val, overlaps)


def _mean_of_pairs(overlaps: Tensor, aggregate: bool) -> Tensor:
    """The mean over the pairs of equal index, 0 without any; or the matrix as it is."""
    if not aggregate:
        return overlaps
    return overlaps.diag().mean() if overlaps.numel() else overlaps.new_zeros(())


def intersection_over_union(
    preds: Tensor,
    target: Tensor,
    iou_threshold: float | None = None,
    replacement_val: float = 0,
    aggregate: bool = True,
) -> Tensor:
    """Intersection over union of two sets of boxes, 0 to 1.

    Args:
        preds: ``(N, 4)`` float xyxy pixels.
        target: ``(M, 4)``, same dtype and device.
        iou_threshold: Smaller overlaps are replaced; None to replace none.
        replacement_val: What replaces them.
        aggregate: Whether to return the mean over the pairs of equal index instead of the matrix.

    Returns:
        0-d, or ``(N, M)`` without ``aggregate``; zeros if one side is empty.

    Raises:
        ValueError: if a shape does not fit.

    Source: ``torchvision.ops.box_iou``.

    Example:
        >>> boxes = torch.tensor([[0.0, 0.0, 4.0, 2.0]])
        >>> intersection_over_union(boxes, boxes)
        tensor(1.)
    """
    overlaps = overlap_matrix(preds, target, ops.box_iou, iou_threshold, replacement_val)
    return _mean_of_pairs(overlaps, aggregate)


def generalized_intersection_over_union(
    preds: Tensor,
    target: Tensor,
    iou_threshold: float | None = None,
    replacement_val: float = 0,
    aggregate: bool = True,
) -> Tensor:
    """Generalized intersection over union of Rezatofighi et al. (CVPR 2019) of two sets of boxes, -1 to 1.

    Args:
        preds: ``(N, 4)`` float xyxy pixels.
        target: ``(M, 4)``, same dtype and device.
        iou_threshold: Smaller overlaps are replaced; None to replace none.
        replacement_val: What replaces them.
        aggregate: Whether to return the mean over the pairs of equal index instead of the matrix.

    Returns:
        0-d, or ``(N, M)`` without ``aggregate``; zeros if one side is empty.

    Raises:
        ValueError: if a shape does not fit.

    Source: ``torchvision.ops.generalized_box_iou``.

    Example:
        >>> boxes = torch.tensor([[0.0, 0.0, 4.0, 2.0]])
        >>> generalized_intersection_over_union(boxes, boxes)
        tensor(1.)
    """
    return _mean_of_pairs(
        overlap_matrix(preds, target, ops.generalized_box_iou, iou_threshold, replacement_val), aggregate
    )


def distance_intersection_over_union(
    preds: Tensor,
    target: Tensor,
    iou_threshold: float | None = None,
    replacement_val: float = 0,
    aggregate: bool = True,
) -> Tensor:
    """Distance intersection over union of Zheng et al. (AAAI 2020) of two sets of boxes, -1 to 1.

    Args:
        preds: ``(N, 4)`` float xyxy pixels.
        target: ``(M, 4)``, same dtype and device.
        iou_threshold: Smaller overlaps are replaced; None to replace none.
        replacement_val: What replaces them.
        aggregate: Whether to return the mean over the pairs of equal index instead of the matrix.

    Returns:
        0-d, or ``(N, M)`` without ``aggregate``; zeros if one side is empty.

    Raises:
        ValueError: if a shape does not fit.

    Source: ``torchvision.ops.distance_box_iou``.

    Example:
        >>> boxes = torch.tensor([[0.0, 0.0, 4.0, 2.0]])
        >>> distance_intersection_over_union(boxes, boxes)
        tensor(1.)
    """
    return _mean_of_pairs(
        overlap_matrix(preds, target, ops.distance_box_iou, iou_threshold, replacement_val), aggregate
    )


def complete_intersection_over_union(
    preds: Tensor,
    target: Tensor,
    iou_threshold: float | None = None,
    replacement_val: float = 0,
    aggregate: bool = True,
) -> Tensor:
    """Complete intersection over union of Zheng et al. (AAAI 2020) of two sets of boxes, -1.5 to 1.

    Args:
        preds: ``(N, 4)`` float xyxy pixels.
        target: ``(M, 4)``, same dtype and device.
        iou_threshold: Smaller overlaps are replaced; None to replace none.
        replacement_val: What replaces them.
        aggregate: Whether to return the mean over the pairs of equal index instead of the matrix.

    Returns:
        0-d, or ``(N, M)`` without ``aggregate``; zeros if one side is empty.

    Raises:
        ValueError: if a shape does not fit.

    Source: ``torchvision.ops.complete_box_iou``.

    Example:
        >>> boxes = torch.tensor([[0.0, 0.0, 4.0, 2.0]])
        >>> complete_intersection_over_union(boxes, boxes)
        tensor(1.)
    """
    return _mean_of_pairs(
        overlap_matrix(preds, target, ops.complete_box_iou, iou_threshold, replacement_val), aggregate
    )


def mean_average_precision(
    preds: Sequence[dict[str, Any]],
    target: Sequence[dict[str, Any]],
    box_format: str = "xyxy",
    iou_type: str | tuple[str, ...] = "bbox",
    iou_thresholds: list[float] | None = None,
    rec_thresholds: list[float] | None = None,
    max_detection_thresholds: list[int] | None = None,
    class_metrics: bool = False,
    extended_summary: bool = False,
    average: str = "macro",
    backend: str = "pycocotools",
    warn_on_many_detections: bool = True,
) -> dict[str, Any]:
    """``torchmetrics.functional.detection.map.mean_average_precision`` over this package's engine.

    Args:
        preds: One dict per image, as in :meth:`MeanAveragePrecision.update`.
        target: One dict per image, as in :meth:`MeanAveragePrecision.update`.
        box_format: ``"xyxy"``, ``"xywh"`` or ``"cxcywh"``, in pixels.
        iou_type: ``"bbox"`` for boxes, ``"segm"`` for masks, or a tuple of both, whose results are then called
            ``bbox_map``, ``segm_map`` and so on.
        iou_thresholds: A list of numbers above 0 and at most 1; None for .5, .55, ..., .95.
        rec_thresholds: A list of recall points in [0, 1]; None for 0, .01, ..., 1.
        max_detection_thresholds: A list of three limits on the detections per class and image; None for 1, 10, 100.
        class_metrics: Whether ``map_per_class`` and ``mar_<limit>_per_class`` have a value per class.
        extended_summary: Whether to add ``ious``, ``precision``, ``recall`` and ``scores``.
        average: ``"macro"``, or ``"micro"`` to match and count all labels as one class; results per class are the same
            in both.
        backend: ``"pycocotools"`` or ``"faster_coco_eval"``; neither is needed. With the first, ``map`` and
            ``map_per_class`` are at 100 detections, and -1 if 100 is none of the limits; with the second at the largest
            limit.
        warn_on_many_detections: Whether to warn of images with more detections than the largest limit.

    Returns:
        The dict of :meth:`MeanAveragePrecision.compute`, where ``ious`` are matrices also of one element.

    Raises:
        ValueError: if an argument or an input does not fit.

    Example:
        >>> boxes, labels = torch.tensor([[0.0, 0.0, 8.0, 8.0]]), torch.tensor([0])
        >>> preds = [dict(boxes=boxes, scores=torch.tensor([0.9]), labels=labels)]
        >>> mean_average_precision(preds, [dict(boxes=boxes, labels=labels)])["map"]
        tensor(1.)
    """
    metric = MeanAveragePrecision(
        box_format,
        iou_type,
        iou_thresholds,
        rec_thresholds,
        max_detection_thresholds,
        class_metrics,
        extended_summary,
        average,
        backend,
        sync_on_compute=False,
    )
    metric.warn_on_many_detections = warn_on_many_detections
    metric.update(preds, target)
    found: dict[str, Any] = squeezed(results(metric.read(), metric.asked()), deep=False)
    return found
