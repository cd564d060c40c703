"""How well the true positives of a detector are placed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from detmetrics.detection.analysis_settings import OverlapSettings
from detmetrics.detection.lrp_scores import mean_overlap
from detmetrics.detection.metric import DetectionMetric, evaluated
from detmetrics.detection.operating_point import images_of, named_score, plot_score
from detmetrics.overlap.mask_words import MASK_BUDGET
from detmetrics.overlap.similarity import Items
from detmetrics.settings import Setting


class DetectionIoU(DetectionMetric):
    """How much the true positives overlap their targets on average.

    Detections are matched as for :class:`detmetrics.DetectionF1Score`; what is missed or wrong does not count. The sum
    of overlaps is exact, whatever the order.

    The state is that of :class:`detmetrics.MeanAveragePrecision`. The function is
    :func:`detmetrics.functional.detection_iou`.

    Args:
        average: ``"micro"`` (all true positives alike), ``"macro"`` (mean over classes), ``"weighted"`` (by the number
            of targets), ``"none"`` (one value a class).
        iou_threshold: The overlap that a match needs, above 0 and at most 1.
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
            overlaps of masks and of their boundaries, ``"keypoints"`` for object keypoint similarity.
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

    Source: SQ of panoptic quality (Kirillov et al., CVPR 2019), for detections.

    Example:
        >>> import torch
        >>> boxes = torch.tensor([[0.0, 0.0, 8.0, 8.0], [20.0, 0.0, 28.0, 8.0]])
        >>> preds = [dict(boxes=boxes, scores=torch.tensor([0.9, 0.6]), labels=torch.tensor([0, 1]))]
        >>> target = [dict(boxes=boxes - torch.tensor([[0, 0, 0, 2.0], [0, 0, 0, 0]]), labels=torch.tensor([0, 1]))]
        >>> metric = DetectionIoU(average="none", class_names=["cat", "dog"])
        >>> metric.update(preds, target)
        >>> {name: value.item() for name, value in metric.compute().items()}
        {'iou/cat': 0.75, 'iou/dog': 1.0}
    """

    higher_is_better = True
    needs_scores = False

    average = Setting()
    iou_threshold = Setting()
    score_threshold = Setting()
    max_detections = Setting()
    area_range = Setting()

    def __init__(
        self,
        *,
        average: str = "micro",
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
        keypoint_sigmas: str | Sequence[float] | Mapping[int, Any] | None = None,
        duplicates: str = "drop",
        **kwargs: Any,
    ) -> None:
        settings = OverlapSettings(
            average=average,
            iou_threshold=iou_threshold,
            score_threshold=score_threshold,
            max_detections=max_detections,
            area_range=area_range,
            zero_division=zero_division,
            num_classes=num_classes,
            class_names=class_names,  # type: ignore[arg-type]
            class_agnostic=class_agnostic,
        )
        super().__init__(
            settings,
            pairs=pairs,
            box_format=box_format,
            iou_type=iou_type,
            mask_budget=mask_budget,
            keypoint_sigmas=keypoint_sigmas,
            duplicates=duplicates,
            **kwargs,
        )

    def compute(self) -> Tensor | dict[str, Tensor]:
        """The mean overlap of the true positives of all images so far.

        Returns:
            A 0-d float64 tensor in [0, 1]; with ``average="none"`` ``(C,)`` in the order of ``metric.classes``, or a
            dict ``iou/<name>`` if the classes have names. ``zero_division`` where nothing is found.
        """
        return named_score(mean_overlap(self.data(), self.settings), "iou", self.settings)

    per_image = images_of

    def plot(self, val: Any = None, ax: Any = None) -> tuple[Any, Any]:
        """Draw the mean overlap, a bar per class with ``average="none"``, or over several results a line.

        Args:
            val: What ``compute()`` has returned, or a list of such results, one per epoch. None for ``compute()`` now,
                on all ranks.
            ax: A matplotlib axis to draw on.

        Returns:
            The matplotlib figure and axis.

        Raises:
            ModuleNotFoundError: if matplotlib is not installed.
            ValueError: if ``val`` is no such result.
        """
        return plot_score(self, "iou", "Mean IoU of true positives", val, ax)


def detection_iou(
    preds: Items,
    target: Items,
    *,
    average: str = "micro",
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
    keypoint_sigmas: str | Sequence[float] | Mapping[int, Any] | None = None,
    duplicates: str = "drop",
) -> Tensor | dict[str, Tensor]:
    """The mean overlap of the true positives of a whole data set; see :class:`detmetrics.DetectionIoU`.

    Args:
        preds: One dict per image: ``boxes`` (N, 4), ``scores`` (N,), ``labels`` (N,).
        target: One dict per image, as in :meth:`detmetrics.DetectionIoU.update`.
        average: ``"micro"`` (all true positives alike), ``"macro"`` (mean over classes), ``"weighted"`` (by the number
            of targets), ``"none"`` (one value a class).
        iou_threshold: The overlap that a match needs, above 0 and at most 1.
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
            overlaps of masks and of their boundaries, ``"keypoints"`` for object keypoint similarity.
        mask_budget: Bytes that the overlaps of masks may take while they are found, if a pair of masks fits.
        keypoint_sigmas: How far annotators are apart at each keypoint: ``"coco"`` (17 keypoints), ``"crowdpose"``
            (14), ``"wholebody"`` (133), a number for each keypoint, or a dict of label to either, one entry a class.
            None: COCO's.
        duplicates: What becomes of an image whose id came before with the same target: ``"drop"`` (it does not count,
            and a warning says so), ``"error"`` (raise if it is predicted otherwise), ``"keep"`` (every image counts,
            also with another target).

    Returns:
        What :meth:`detmetrics.DetectionIoU.compute` returns.

    Raises:
        ValueError: if an argument or an input does not fit.

    Example:
        >>> import torch
        >>> boxes, labels = torch.tensor([[0.0, 0.0, 8.0, 8.0]]), torch.tensor([0])
        >>> preds = [dict(boxes=boxes, labels=labels)]
        >>> detection_iou(preds, [dict(boxes=torch.tensor([[0.0, 0.0, 8.0, 6.0]]), labels=labels)]).item()
        0.75
    """
    metric = DetectionIoU(
        average=average,
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
        keypoint_sigmas=keypoint_sigmas,
        duplicates=duplicates,
        sync_on_compute=False,
    )
    result: Tensor | dict[str, Tensor] = evaluated(metric, preds, target)
    return result
