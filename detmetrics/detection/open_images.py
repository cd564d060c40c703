"""Open Images: average precision with a hierarchy of classes, groups of objects and labels of images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from detmetrics.detection.metric import DetectionMetric, evaluated
from detmetrics.detection.open_images_results import open_images_results
from detmetrics.detection.settings import ClassSettings, OpenImagesSettings
from detmetrics.overlap.mask_words import MASK_BUDGET
from detmetrics.overlap.similarity import Items
from detmetrics.settings import Setting


class OpenImagesAveragePrecision(DetectionMetric):
    """Average precision as the Open Images challenges define it.

    In an image those classes count that have a target there or are listed under ``pos_category_ids`` or
    ``neg_category_ids``, the labels that people have verified; detections of other classes do not. Targets with
    ``is_group_of`` are groups: a detection with at least half of its area inside (the IoU threshold) has found the
    group, whatever its size. A group counts as one target, the best detection in it is right, the others count neither
    way; for other metrics it is a crowd. With a ``hierarchy`` each target counts for all classes above its own, as do
    labels that are present; an absent one counts for all classes below. Detections are not expanded: predict the
    classes above as well.

    A detection is matched to the object that it overlaps most, and is a mistake where a better one has that object. The
    average precision is the area under the best precision at each recall or beyond.

    Others differ. TensorFlow's evaluator, the reference, repeats a target twice for a class to which two ways lead
    through a common one, so that one of the two is always missed; here it counts once. It leaves equal scores in any
    order; here that of the images decides. hotcoco gives a detection whose object is taken the next best one, as COCO
    does, and takes no account of verified labels: in both the reference is right, and followed here.

    The state is that of :class:`detmetrics.MeanAveragePrecision`; with a hierarchy it keeps the overlaps between
    classes, too. The function is :func:`detmetrics.functional.open_images_average_precision`.

    Args:
        box_format: ``"xyxy"``, ``"xywh"`` or ``"cxcywh"``, in pixels.
        iou_type: The similarity: ``"bbox"`` for boxes, ``"segm"`` for masks, ``"boundary"`` for the smaller of the
            overlaps of masks and of their boundaries.
        iou_threshold: The overlap that a match needs, above 0 and at most 1.
        hierarchy: The classes above a class: a dict from label to the label right above it or to several, or the tree
            that Open Images publishes as JSON, whose names are those of ``class_names``. Targets count for all classes
            above theirs, too. Needs the overlaps between classes. None: there is none.
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

    Source: ``OpenImagesDetectionChallengeEvaluator``, ``PerImageEvaluation`` and ``OIDHierarchicalLabelsExpansion`` of
    TensorFlow's object detection API.

    Example:
        >>> import torch
        >>> boxes = torch.tensor([[0.0, 0.0, 8.0, 8.0], [20.0, 20.0, 60.0, 60.0]])
        >>> target = [dict(boxes=boxes, labels=torch.tensor([0, 0]), is_group_of=torch.tensor([False, True]))]
        >>> found = torch.tensor([[0.0, 0.0, 8.0, 8.0], [30.0, 30.0, 40.0, 40.0], [40.0, 40.0, 50.0, 50.0]])
        >>> preds = [dict(boxes=found, scores=torch.tensor([0.9, 0.8, 0.7]), labels=torch.tensor([0, 0, 0]))]
        >>> metric = OpenImagesAveragePrecision()
        >>> metric.update(preds, target)
        >>> metric.compute()["map"].item()
        1.0
    """

    iou_threshold = Setting()
    class_metrics = Setting()
    hierarchy = Setting()

    def __init__(
        self,
        *,
        box_format: str = "xyxy",
        iou_type: str = "bbox",
        iou_threshold: float = 0.5,
        hierarchy: Mapping[Any, Any] | None = None,
        class_metrics: bool = False,
        num_classes: int | None = None,
        class_names: Sequence[str] | Mapping[int, str] | None = None,
        zero_division: float = float("nan"),
        pairs: str | None = None,
        mask_budget: int = MASK_BUDGET,
        duplicates: str = "drop",
        **kwargs: Any,
    ) -> None:
        settings = OpenImagesSettings(
            iou_threshold=iou_threshold,
            hierarchy=hierarchy,
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

    def _pairs_for(self, settings: ClassSettings) -> str:
        return "same" if getattr(settings, "hierarchy", None) is None else "all"

    def compute(self) -> dict[str, Tensor]:
        """The results for all images so far.

        Returns:
            A dict of 0-d float64 tensors: ``map``, the mean over the classes with targets. With ``class_metrics``:
            ``map/<name>`` if classes are declared, else ``map_per_class`` (C,) and ``classes`` (C,) int64, which are
            those that occur and those above them.
        """
        results, self.classes = open_images_results(self.data(), self.settings)
        return results


def open_images_average_precision(
    preds: Items,
    target: Items,
    *,
    box_format: str = "xyxy",
    iou_type: str = "bbox",
    iou_threshold: float = 0.5,
    hierarchy: Mapping[Any, Any] | None = None,
    class_metrics: bool = False,
    num_classes: int | None = None,
    class_names: Sequence[str] | Mapping[int, str] | None = None,
    zero_division: float = float("nan"),
    pairs: str | None = None,
    mask_budget: int = MASK_BUDGET,
    duplicates: str = "drop",
) -> dict[str, Tensor]:
    """Open Images' average precision of a whole data set; see :class:`detmetrics.OpenImagesAveragePrecision`.

    Args:
        preds: One dict per image, as in :meth:`detmetrics.OpenImagesAveragePrecision.update`.
        target: One dict per image, as in :meth:`detmetrics.OpenImagesAveragePrecision.update`.
        box_format: ``"xyxy"``, ``"xywh"`` or ``"cxcywh"``, in pixels.
        iou_type: The similarity: ``"bbox"`` for boxes, ``"segm"`` for masks, ``"boundary"`` for the smaller of the
            overlaps of masks and of their boundaries.
        iou_threshold: The overlap that a match needs, above 0 and at most 1.
        hierarchy: The classes above a class: a dict from label to the label right above it or to several, or the tree
            that Open Images publishes as JSON, whose names are those of ``class_names``. Targets count for all classes
            above theirs, too. Needs the overlaps between classes. None: there is none.
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
        The dict of :meth:`detmetrics.OpenImagesAveragePrecision.compute`.

    Raises:
        ValueError: if an argument or an input does not fit.

    Example:
        >>> import torch
        >>> boxes = torch.tensor([[0.0, 0.0, 8.0, 8.0]])
        >>> preds = [dict(boxes=boxes.repeat(2, 1), scores=torch.tensor([0.9, 0.8]), labels=torch.tensor([0, 1]))]
        >>> target = [dict(boxes=boxes, labels=torch.tensor([0]))]
        >>> open_images_average_precision(preds, target, hierarchy={0: 1})["map"].item()
        1.0
    """
    metric = OpenImagesAveragePrecision(
        box_format=box_format,
        iou_type=iou_type,
        iou_threshold=iou_threshold,
        hierarchy=hierarchy,
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
