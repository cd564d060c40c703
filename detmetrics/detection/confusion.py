"""The confusion matrix of a detector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from detmetrics.detection.classes import class_labels
from detmetrics.detection.metric import DetectionMetric, evaluated
from detmetrics.detection.operating_point import images_of, outcomes
from detmetrics.detection.settings import NORMALIZE, ConfusionMatrixSettings
from detmetrics.match.across_classes import match_across_classes
from detmetrics.match.evaluation_data import EvaluationData
from detmetrics.overlap.mask_words import MASK_BUDGET
from detmetrics.overlap.similarity import Items
from detmetrics.ragged import occurrences
from detmetrics.reduce.formulas import divide
from detmetrics.settings import Setting


class DetectionConfusionMatrix(DetectionMetric):
    """What the targets of each class were taken for: rows are targets, columns predictions, the last one background.

    Detections are first matched within their class, as in COCO: the diagonal holds the true positives of
    :class:`detmetrics.DetectionF1Score` at the same thresholds. What is left is matched across classes, in order of
    score; what is left then was missed (last column) or is a false positive on the background (last row). So the sum of
    a row is the number of counted targets (no crowds, none ignored), and that of a column the number of predictions
    that are kept and not ignored.

    The state is that of :class:`detmetrics.MeanAveragePrecision` with ``pairs="all"``. The function is
    :func:`detmetrics.functional.detection_confusion_matrix`.

    Args:
        normalize: ``"true"`` (rows sum to 1), ``"pred"`` (columns do), ``"all"``, or None, as in scikit-learn.
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
        ValueError: if an argument does not fit, or no classes are declared.

    Example:
        >>> import torch
        >>> boxes = torch.tensor([[0.0, 0.0, 8.0, 8.0], [20.0, 0.0, 28.0, 8.0]])
        >>> preds = [dict(boxes=boxes, scores=torch.tensor([0.9, 0.6]), labels=torch.tensor([0, 0]))]
        >>> metric = DetectionConfusionMatrix(class_names=["cat", "dog"])
        >>> metric.update(preds, [dict(boxes=boxes, labels=torch.tensor([0, 1]))])
        >>> metric.compute().tolist()
        [[1, 0, 0], [1, 0, 0], [0, 0, 0]]
    """

    higher_is_better = None
    needs_scores = False
    needs_pairs = "all"

    normalize = Setting()
    iou_threshold = Setting()
    score_threshold = Setting()
    max_detections = Setting()
    area_range = Setting()

    def __init__(
        self,
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
        keypoint_sigmas: str | Sequence[float] | Mapping[int, Any] | None = None,
        duplicates: str = "drop",
        **kwargs: Any,
    ) -> None:
        settings = ConfusionMatrixSettings(
            normalize=normalize,
            iou_threshold=iou_threshold,
            score_threshold=score_threshold,
            max_detections=max_detections,
            area_range=area_range,
            zero_division=zero_division,
            num_classes=num_classes,
            class_names=class_names,  # type: ignore[arg-type]
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

    def compute(self) -> Tensor:
        """The matrix of all images so far.

        Returns:
            ``(C + 1, C + 1)`` int64, in the order of ``metric.classes``; float64 if normalised.
        """
        return confusion_matrix(self.data(), self.settings)

    per_image = images_of

    def plot(self, val: Any = None, ax: Any = None) -> tuple[Any, Any]:
        """Draw the matrix, or over several results the share on the diagonal.

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
        from detmetrics.show.plot import pictures

        return pictures.draw(pictures.Matrix(list((self.settings.declared or {}).values())), val, self.compute, ax)


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
    keypoint_sigmas: str | Sequence[float] | Mapping[int, Any] | None = None,
    duplicates: str = "drop",
) -> Tensor:
    """The confusion matrix of a whole data set; see :class:`detmetrics.DetectionConfusionMatrix`.

    Args:
        preds: One dict per image: ``boxes`` (N, 4), ``labels`` (N,), and ``scores`` (N,) for all images or for none.
        target: One dict per image, as in :meth:`detmetrics.DetectionConfusionMatrix.update`.
        normalize: ``"true"`` (rows sum to 1), ``"pred"`` (columns do), ``"all"``, or None, as in scikit-learn.
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
        keypoint_sigmas=keypoint_sigmas,
        duplicates=duplicates,
        sync_on_compute=False,
    )
    result: Tensor = evaluated(metric, preds, target)
    return result


def confusion_matrix(data: EvaluationData, settings: ConfusionMatrixSettings) -> Tensor:
    """The matrix of evaluation data; see :class:`DetectionConfusionMatrix`.

    Args:
        data: What was read from a state, with the overlaps between classes.
        settings: The operating point, the classes and the normalisation.
    """
    labels = class_labels(data, settings)
    outcome = outcomes(data, settings)
    wrong = torch.zeros_like(data.labels, dtype=torch.bool).index_fill_(0, outcome.wrong, True)
    missed = torch.zeros_like(data.target_labels, dtype=torch.bool).index_fill_(0, outcome.missed, True)
    # What is left is matched whatever the class.
    left = wrong.index_select(0, data.overlap_detection) & missed.index_select(0, data.overlap_target)
    confused = match_across_classes(data.with_overlaps(left), settings.iou_threshold, settings.area_bounds)
    rows = data.target_labels[torch.cat([outcome.target, confused.target])]
    columns = data.labels[torch.cat([outcome.detection, confused.detection])]
    stray = data.labels[wrong.index_fill_(0, confused.detection, False)]
    unseen = data.target_labels[missed.index_fill_(0, confused.target, False)]

    background = len(labels)
    rows, columns, stray, unseen = (torch.searchsorted(labels, part) for part in (rows, columns, stray, unseen))
    row = torch.cat([rows, unseen, torch.full_like(stray, background)])
    column = torch.cat([columns, torch.full_like(unseen, background), stray])
    size = background + 1
    matrix = occurrences(row * size + column, size**2).view(size, size)
    if settings.normalize is None:
        return matrix
    return divide(matrix, matrix.sum(dim=NORMALIZE[settings.normalize], keepdim=True), settings.zero_division)
