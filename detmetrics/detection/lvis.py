"""LVIS: average precision of a federated data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from detmetrics.detection.lvis_results import lvis_results
from detmetrics.detection.metric import DetectionMetric, evaluated
from detmetrics.detection.plot import plot_average_precision
from detmetrics.detection.settings import LVISSettings
from detmetrics.overlap.mask_words import MASK_BUDGET
from detmetrics.overlap.similarity import Items
from detmetrics.settings import Setting


class LVISAveragePrecision(DetectionMetric):
    """Average precision and recall of LVIS, equal to the package lvis within 1e-10.

    LVIS annotates an image for some of its many classes. So detections of a class count only in images where it has a
    target or is listed under ``neg_category_ids``, and those of a class under ``not_exhaustive_category_ids`` are
    ignored where they stay unmatched. The limit is on the detections of an image over all classes, and targets and
    detections of area 0 take no part. The rest is COCO's. Crowds, which LVIS has none of, follow COCO's rule. The area
    of a detected mask is that of the mask; lvis takes that of its box if the results have one.

    The state holds 32 bytes per detection, 24 per target and per fact, 16 per overlap above the floor, 48 per image,
    and what waits, as that of :class:`detmetrics.MeanAveragePrecision`. Assign thresholds, area ranges, the limit or
    frequencies and call ``compute()`` once more. The function is
    :func:`detmetrics.functional.lvis_average_precision`.

    Args:
        box_format: ``"xyxy"``, ``"xywh"`` or ``"cxcywh"``, in pixels.
        iou_type: The similarity: ``"bbox"`` for boxes, ``"segm"`` for masks, ``"boundary"`` for the smaller of the
            overlaps of masks and of their boundaries.
        iou_thresholds: Numbers above 0 and at most 1; None for .5, .55, ..., .95.
        rec_thresholds: Recall points in [0, 1]; None for 0, .01, ..., 1.
        max_detections_per_image: How many detections of an image take part, over all classes, the best first.
        frequencies: How frequent each class is, by label: ``"r"``, ``"c"``, ``"f"`` as in LVIS's files, or ``"rare"``,
            ``"common"``, ``"frequent"``. None: no results by frequency.
        class_metrics: Whether to add results for each class.
        extended_summary: Whether to add the arrays ``precision`` (T, R, C, A, M), ``recall`` (T, C, A, M) and
            ``scores`` (T, R, C, A, M), with pycocotools' axes: IoU thresholds, recall points, classes, area ranges,
            limits.
        area_ranges: Inclusive bounds in square pixels by name; None for COCO's small, medium, large, of keypoints
            alone without small. All areas are always there.
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

    Source: Gupta, Dollar and Girshick, LVIS: A Dataset for Large Vocabulary Instance Segmentation (CVPR 2019);
    ``LVISEval`` and ``LVISResults`` of the package lvis 0.5.3.

    Example:
        >>> import torch
        >>> boxes = torch.tensor([[0.0, 0.0, 8.0, 8.0]])
        >>> preds = [dict(boxes=boxes.repeat(3, 1), scores=torch.tensor([0.7, 0.9, 0.8]), labels=torch.arange(3))]
        >>> target = [dict(boxes=boxes, labels=torch.tensor([0]), neg_category_ids=torch.tensor([1]))]
        >>> metric = LVISAveragePrecision(frequencies={0: "r", 1: "f", 2: "f"})
        >>> metric.update(preds, target)  # class 2 may be in the image or not: it does not count
        >>> metric.compute()["map_rare"].item()
        1.0
    """

    keeps_order = True

    iou_thresholds = Setting()
    rec_thresholds = Setting()
    max_detections_per_image = Setting()
    frequencies = Setting()
    area_ranges = Setting()
    class_metrics = Setting()
    extended_summary = Setting()

    def __init__(
        self,
        *,
        box_format: str = "xyxy",
        iou_type: str = "bbox",
        iou_thresholds: Sequence[float] | None = None,
        rec_thresholds: Sequence[float] | None = None,
        max_detections_per_image: int = 300,
        frequencies: Mapping[int, str] | None = None,
        class_metrics: bool = False,
        extended_summary: bool = False,
        area_ranges: Mapping[str, tuple[float, float]] | None = None,
        num_classes: int | None = None,
        class_names: Sequence[str] | Mapping[int, str] | None = None,
        zero_division: float = float("nan"),
        pairs: str | None = None,
        mask_budget: int = MASK_BUDGET,
        duplicates: str = "drop",
        **kwargs: Any,
    ) -> None:
        with_defaults: dict[str, Any] = {
            "iou_thresholds": iou_thresholds,
            "rec_thresholds": rec_thresholds,
            "area_ranges": area_ranges,
        }
        settings = LVISSettings(
            **{name: value for name, value in with_defaults.items() if value is not None},
            max_detections_per_image=max_detections_per_image,
            frequencies=frequencies,  # type: ignore[arg-type]
            class_metrics=class_metrics,
            extended_summary=extended_summary,
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
            A dict of 0-d float64 tensors, in brackets what lvis calls them: ``map`` (AP), ``map_50`` (AP50) and
            ``map_75`` (AP75) if these are among the thresholds, ``map_<area>`` (APs, APm, APl), ``map_rare`` (APr),
            ``map_common`` (APc) and ``map_frequent`` (APf) with ``frequencies``, ``mar_<limit>`` (AR@300),
            ``mar_<area>`` (ARs@300, ARm@300, ARl@300). With ``class_metrics`` and ``extended_summary`` what
            :meth:`detmetrics.MeanAveragePrecision.compute` adds.
        """
        return lvis_results(self.data(), self.settings)

    def plot(self, val: Any = None, ax: Any = None, *, kind: str = "summary") -> tuple[Any, Any]:
        """Draw one of four pictures of a result, or over several results the numbers that are in it.

        Args:
            val: What ``compute()`` has returned, or a list of such results, one per epoch. None for ``compute()`` now,
                on all ranks, with whatever the picture needs.
            ax: A matplotlib axis to draw on.
            kind: ``"summary"``: the headline numbers. ``"classes"``: the average precision of each class, with the
                number of targets if ``val`` is None. ``"sizes"``: average precision and recall by size.
                ``"precision_recall"``: a curve for each IoU threshold, the mean over classes.

        Returns:
            The matplotlib figure and axis.

        Raises:
            ModuleNotFoundError: if matplotlib is not installed.
            ValueError: if an argument does not fit, or ``val`` has not what the picture needs.

        Example:
            >>> from detmetrics.demo import generate
            >>> metric = LVISAveragePrecision(class_names=["cat", "dog"])
            >>> metric.update(*generate(num_images=5, num_detections=10, num_classes=2))
            >>> fig, ax = metric.plot(kind="precision_recall")
            >>> len(ax.get_lines())
            10
        """
        return plot_average_precision(self, kind, val, ax)


def lvis_average_precision(
    preds: Items,
    target: Items,
    *,
    box_format: str = "xyxy",
    iou_type: str = "bbox",
    iou_thresholds: Sequence[float] | None = None,
    rec_thresholds: Sequence[float] | None = None,
    max_detections_per_image: int = 300,
    frequencies: Mapping[int, str] | None = None,
    class_metrics: bool = False,
    extended_summary: bool = False,
    area_ranges: Mapping[str, tuple[float, float]] | None = None,
    num_classes: int | None = None,
    class_names: Sequence[str] | Mapping[int, str] | None = None,
    zero_division: float = float("nan"),
    pairs: str | None = None,
    mask_budget: int = MASK_BUDGET,
    duplicates: str = "drop",
) -> dict[str, Tensor]:
    """LVIS's average precision of a whole data set; see :class:`detmetrics.LVISAveragePrecision`.

    Args:
        preds: One dict per image, as in :meth:`detmetrics.LVISAveragePrecision.update`.
        target: One dict per image, as in :meth:`detmetrics.LVISAveragePrecision.update`.
        box_format: ``"xyxy"``, ``"xywh"`` or ``"cxcywh"``, in pixels.
        iou_type: The similarity: ``"bbox"`` for boxes, ``"segm"`` for masks, ``"boundary"`` for the smaller of the
            overlaps of masks and of their boundaries.
        iou_thresholds: Numbers above 0 and at most 1; None for .5, .55, ..., .95.
        rec_thresholds: Recall points in [0, 1]; None for 0, .01, ..., 1.
        max_detections_per_image: How many detections of an image take part, over all classes, the best first.
        frequencies: How frequent each class is, by label: ``"r"``, ``"c"``, ``"f"`` as in LVIS's files, or ``"rare"``,
            ``"common"``, ``"frequent"``. None: no results by frequency.
        class_metrics: Whether to add results for each class.
        extended_summary: Whether to add the arrays ``precision`` (T, R, C, A, M), ``recall`` (T, C, A, M) and
            ``scores`` (T, R, C, A, M), with pycocotools' axes: IoU thresholds, recall points, classes, area ranges,
            limits.
        area_ranges: Inclusive bounds in square pixels by name; None for COCO's small, medium, large, of keypoints
            alone without small. All areas are always there.
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
        The dict of :meth:`detmetrics.LVISAveragePrecision.compute`.

    Raises:
        ValueError: if an argument or an input does not fit.

    Example:
        >>> import torch
        >>> boxes, labels = torch.tensor([[0.0, 0.0, 8.0, 8.0]]), torch.tensor([0])
        >>> preds = [dict(boxes=boxes, scores=torch.tensor([0.9]), labels=labels)]
        >>> lvis_average_precision(preds, [dict(boxes=boxes, labels=labels)])["mar_300"].item()
        1.0
    """
    metric = LVISAveragePrecision(
        box_format=box_format,
        iou_type=iou_type,
        iou_thresholds=iou_thresholds,
        rec_thresholds=rec_thresholds,
        max_detections_per_image=max_detections_per_image,
        frequencies=frequencies,
        class_metrics=class_metrics,
        extended_summary=extended_summary,
        area_ranges=area_ranges,
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
