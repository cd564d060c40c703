"""COCO mean average precision and recall."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from detmetrics import arguments
from detmetrics.detection.average_precision import summarize
from detmetrics.detection.metric import DetectionMetric
from detmetrics.detection.plot import plot_average_precision
from detmetrics.detection.settings import OF_KEYPOINTS, MeanAveragePrecisionSettings
from detmetrics.overlap.mask_words import MASK_BUDGET
from detmetrics.ragged import constants
from detmetrics.settings import Setting


class MeanAveragePrecision(DetectionMetric):
    """Mean average precision and recall of COCO, equal to pycocotools within 1e-12.

    The arguments and result keys are torchmetrics', so that changing the import is all it takes. What is undefined (a
    class without targets, say) is NaN and left out of every mean, where pycocotools and torchmetrics say -1.

    The state holds 24 bytes per detection and per target, 16 per overlap above the floor, 48 per image, and at most 59
    MB of boxes that wait for their overlaps. Assign thresholds, area ranges or limits and call ``compute()`` once more:
    it answers for any, also when loaded. The function is :func:`detmetrics.functional.mean_average_precision`.

    Args:
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
        kwargs: The keyword arguments of ``torchmetrics.Metric``.

    Raises:
        ValueError: if an argument does not fit.

    Source: pycocotools ``COCOeval``.

    Example:
        >>> import torch
        >>> metric = MeanAveragePrecision()
        >>> boxes = torch.tensor([[258.0, 41.0, 606.0, 285.0]])
        >>> preds = [dict(boxes=boxes, scores=torch.tensor([0.54]), labels=torch.tensor([0]))]
        >>> target = [dict(boxes=boxes - torch.tensor([44.0, 0.0, 44.0, 0.0]), labels=torch.tensor([0]))]
        >>> metric.update(preds, target)
        >>> round(metric.compute()["map"].item(), 4)
        0.6
    """

    takes_several_iou_types = True

    iou_thresholds = Setting()
    rec_thresholds = Setting()
    max_detection_thresholds = Setting()
    area_ranges = Setting()
    class_metrics = Setting()
    extended_summary = Setting()

    def __init__(
        self,
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
        **kwargs: Any,
    ) -> None:
        if average == "micro":
            raise ValueError("average: expected 'macro', got 'micro'; for one class of all labels: class_agnostic=True")
        arguments.choice("average", average, ("macro",))
        if backend is not None:
            warnings.warn(f"backend={backend!r} has no effect: detmetrics has one implementation", stacklevel=2)
        with_defaults: dict[str, Any] = {
            "iou_thresholds": iou_thresholds,
            "rec_thresholds": rec_thresholds,
            "max_detection_thresholds": max_detection_thresholds,
            "area_ranges": area_ranges,
        }
        if iou_type in ("keypoints", ("keypoints",), ["keypoints"]):
            with_defaults |= {name: own for name, own in OF_KEYPOINTS.items() if with_defaults.get(name) is None}
        settings = MeanAveragePrecisionSettings(
            **{name: value for name, value in with_defaults.items() if value is not None},
            class_metrics=class_metrics,
            extended_summary=extended_summary,
            num_classes=num_classes,
            class_names=class_names,  # type: ignore[arg-type]
            class_agnostic=class_agnostic,
            zero_division=zero_division,
        )
        super().__init__(
            settings,
            iou_type=iou_type,
            pairs=pairs,
            box_format=box_format,
            mask_budget=mask_budget,
            keypoint_sigmas=keypoint_sigmas,
            duplicates=duplicates,
            **kwargs,
        )

    def compute(self) -> dict[str, Tensor]:
        """The results for all images so far.

        Returns:
            A dict of 0-d float64 tensors: ``map``, ``map_50`` and ``map_75`` if these are among the thresholds,
            ``map_<area>``, ``mar_<limit>``, of keypoints also ``mar_iou_50`` and ``mar_iou_75`` at these thresholds
            alone, ``mar_<area>``. With ``class_metrics``: ``map/<name>`` and
            ``mar_<limit>/<name>`` if classes are declared, else ``map_per_class`` (C,), ``mar_<limit>_per_class`` (C,)
            and ``classes`` (C,) int64.
        """
        if len(self.iou_types) == 1:
            return summarize(self.data(), self.settings)
        results: dict[str, Tensor] = {}
        for iou_type in self.iou_types:
            own = summarize(self.data(iou_type), self.settings)
            results |= {key if key == "classes" else f"{iou_type}_{key}": value for key, value in own.items()}
        return results

    def per_group(
        self, groups: Mapping[str, Sequence[int]], iou_type: str | None = None
    ) -> dict[str, dict[str, Tensor]]:
        """The results for groups of images, each as if it were the whole data set.

        All ranks must call it, unless ``compute()`` was called since the last update.

        Args:
            groups: The ``image_id`` of the images of each group, by its name; ids that no image has are left out.
                CrowdPose's are made by :func:`detmetrics.coco.crowdpose_groups`.
            iou_type: One of several; the first by default.

        Returns:
            The dict of ``compute()`` for each group.

        Raises:
            ValueError: as ``compute()`` does.

        Example:
            >>> from detmetrics.demo import generate
            >>> metric = MeanAveragePrecision()
            >>> metric.update(*generate(num_images=5, num_detections=10, num_classes=2))
            >>> found = metric.per_group({"day": [0, 1, 2], "night": [3, 4]})
            >>> sorted(found), found["day"].keys() == metric.compute().keys()
            (['day', 'night'], True)
        """
        data = self.data(iou_type)
        members = {name: constants(list(ids), data.keys.device, torch.int64) for name, ids in groups.items()}
        return {
            name: summarize(data.of_images(torch.isin(data.keys, ids)), self.settings) for name, ids in members.items()
        }

    def plot(
        self, val: Any = None, ax: Any = None, *, kind: str = "summary", iou_type: str | None = None
    ) -> tuple[Any, Any]:
        """Draw one of four pictures of a result, or over several results the numbers that are in it.

        Args:
            val: What ``compute()`` has returned, or a list of such results, one per epoch. None for ``compute()`` now,
                on all ranks, with whatever the picture needs.
            ax: A matplotlib axis to draw on.
            kind: ``"summary"``: the headline numbers. ``"classes"``: the average precision of each class, with the
                number of targets if ``val`` is None. ``"sizes"``: average precision and recall by size.
                ``"precision_recall"``: a curve for each IoU threshold, the mean over classes.
            iou_type: Which one is drawn of a metric with several; None for the first.

        Returns:
            The matplotlib figure and axis.

        Raises:
            ModuleNotFoundError: if matplotlib is not installed.
            ValueError: if an argument does not fit, or ``val`` has not what the picture needs.

        Example:
            >>> from detmetrics.demo import generate
            >>> metric = MeanAveragePrecision(class_names=["cat", "dog"])
            >>> metric.update(*generate(num_images=5, num_detections=10, num_classes=2))
            >>> fig, ax = metric.plot(kind="precision_recall")
            >>> len(ax.get_lines())
            10
        """
        return plot_average_precision(self, kind, val, ax, iou_type)
