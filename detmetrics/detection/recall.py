"""Recall of a detector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from detmetrics.detection.metric import DetectionMetric, evaluated
from detmetrics.detection.operating_point import images_of, named_score, plot_score, score
from detmetrics.detection.settings import ScoreSettings
from detmetrics.overlap.mask_words import MASK_BUDGET
from detmetrics.overlap.similarity import Items
from detmetrics.reduce import formulas
from detmetrics.settings import Setting


class DetectionRecall(DetectionMetric):
    """Recall: how many of the targets were found, tp / (tp + fn).

    Detections are matched greedily by score, as in COCO. Crowd regions and ignored targets are not counted, and neither
    are the detections that match them. Scores may be missing in ``preds``: then every prediction is kept, and those
    that come first choose first.

    The state is that of :class:`detmetrics.MeanAveragePrecision`: 24 bytes per detection and per target, 16 per overlap
    above the floor and 48 per image. In a ``MetricCollection`` metrics whose ``iou_type``, ``pairs``, ``box_format``
    and smallest overlap agree share it, at whatever thresholds. The function is
    :func:`detmetrics.functional.detection_recall`.

    Args:
        iou_threshold: The overlap that a match needs, above 0 and at most 1.
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

    Example:
        >>> import torch
        >>> boxes = torch.tensor([[0.0, 0.0, 8.0, 8.0], [20.0, 0.0, 28.0, 8.0]])
        >>> preds = [dict(boxes=boxes[:1], scores=torch.tensor([0.9]), labels=torch.tensor([0]))]
        >>> metric = DetectionRecall(average="none", class_names=["cat", "dog"])
        >>> metric.update(preds, [dict(boxes=boxes, labels=torch.tensor([0, 1]))])
        >>> {name: value.item() for name, value in metric.compute().items()}
        {'recall/cat': 1.0, 'recall/dog': 0.0}
    """

    needs_scores = False

    iou_threshold = Setting()
    score_threshold = Setting()
    average = Setting()
    aggregate = Setting()
    class_weights = Setting()
    max_detections = Setting()
    area_range = Setting()

    def __init__(
        self,
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
        keypoint_sigmas: str | Sequence[float] | Mapping[int, Any] | None = None,
        duplicates: str = "drop",
        **kwargs: Any,
    ) -> None:
        settings = ScoreSettings(
            iou_threshold=iou_threshold,
            score_threshold=score_threshold,
            average=average,
            aggregate=aggregate,
            class_weights=class_weights,
            max_detections=max_detections,
            area_range=area_range,
            zero_division=zero_division,
            num_classes=num_classes,
            class_names=class_names,  # type: ignore[arg-type]
            class_agnostic=class_agnostic,
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

    def compute(self) -> Tensor | dict[str, Tensor]:
        """The score of all images so far.

        Returns:
            A 0-d float64 tensor in [0, 1], ``zero_division`` where the score is 0/0. With ``average="none"`` a dict
            ``recall/<name>`` if ``class_names`` are declared, else a tensor (C,) in the order of ``metric.classes``.
        """
        return named_score(score(self.data(), self.settings, formulas.recall), "recall", self.settings)

    per_image = images_of

    def plot(self, val: Any = None, ax: Any = None) -> tuple[Any, Any]:
        """Draw the score: a point, a bar per class with ``average="none"``, or a line over several results.

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
        return plot_score(self, "recall", None, val, ax)


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
    keypoint_sigmas: str | Sequence[float] | Mapping[int, Any] | None = None,
    duplicates: str = "drop",
) -> Tensor | dict[str, Tensor]:
    """How many of the targets of a whole data set were found; see :class:`detmetrics.DetectionRecall`.

    Args:
        preds: One dict per image: ``boxes`` (N, 4), ``labels`` (N,), and ``scores`` (N,) for all images or for none.
        target: One dict per image, as in :meth:`detmetrics.DetectionRecall.update`.
        iou_threshold: The overlap that a match needs, above 0 and at most 1.
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
            overlaps of masks and of their boundaries, ``"keypoints"`` for object keypoint similarity.
        mask_budget: Bytes that the overlaps of masks may take while they are found, if a pair of masks fits.
        keypoint_sigmas: How far annotators are apart at each keypoint: ``"coco"`` (17 keypoints), ``"crowdpose"``
            (14), ``"wholebody"`` (133), a number for each keypoint, or a dict of label to either, one entry a class.
            None: COCO's.
        duplicates: What becomes of an image whose id came before with the same target: ``"drop"`` (it does not count,
            and a warning says so), ``"error"`` (raise if it is predicted otherwise), ``"keep"`` (every image counts,
            also with another target).

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
        keypoint_sigmas=keypoint_sigmas,
        duplicates=duplicates,
        sync_on_compute=False,
    )
    result: Tensor | dict[str, Tensor] = evaluated(metric, preds, target)
    return result
