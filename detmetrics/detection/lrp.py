"""Localisation recall precision: one error for what is missed, wrong and badly placed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from detmetrics.detection.analysis_settings import LocalizationRecallPrecisionSettings
from detmetrics.detection.lrp_scores import summarize_lrp
from detmetrics.detection.metric import DetectionMetric, evaluated
from detmetrics.overlap.mask_words import MASK_BUDGET
from detmetrics.overlap.similarity import Items
from detmetrics.settings import Setting


class LocalizationRecallPrecision(DetectionMetric):
    """Localisation recall precision (LRP) at a score, and at the best score of each class (optimal LRP).

    An error of 0 to 1 that counts what is missed, what is wrong, and how far off the rest is: each true positive adds
    (1 - IoU) / (1 - ``iou_threshold``), each false positive and each false negative 1, over the number of all three.
    Its parts are those of a detector at work: the localisation error 1 - mean IoU of the true positives, the share of
    false positives 1 - precision, and the share of false negatives 1 - recall. The optimal LRP of a class is the least
    over all scores, each taken as a threshold; of equal ones the highest is the best threshold.

    The state is that of :class:`detmetrics.MeanAveragePrecision`. The function is
    :func:`detmetrics.functional.localization_recall_precision`.

    Args:
        class_metrics: Whether to add results for each class.
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

    Source: Oksuz, Cam, Akbas and Kalkan, Localization Recall Precision (LRP): A New Performance Metric for Object
    Detection (ECCV 2018); Oksuz, Cam, Kalkan and Akbas, One Metric to Measure them All (TPAMI 2021). They take the best
    of 101 scores, 0, .01, ..., 1; here every score that a detection has is tried.

    Example:
        >>> import torch
        >>> boxes = torch.tensor([[0.0, 0.0, 8.0, 8.0], [20.0, 0.0, 28.0, 6.0]])
        >>> preds = [dict(boxes=boxes, scores=torch.tensor([0.9, 0.6]), labels=torch.tensor([0, 0]))]
        >>> metric = LocalizationRecallPrecision()
        >>> metric.update(preds, [dict(boxes=torch.tensor([[0.0, 0.0, 8.0, 6.0]]), labels=torch.tensor([0]))])
        >>> result = metric.compute()  # IoU .75 at .9, a false positive at .6
        >>> result["olrp"].item(), result["lrp"].item(), result["lrp_fp"].item()
        (0.5, 0.75, 0.5)
    """

    higher_is_better = False

    class_metrics = Setting()
    iou_threshold = Setting()
    score_threshold = Setting()
    max_detections = Setting()
    area_range = Setting()

    def __init__(
        self,
        *,
        class_metrics: bool = False,
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
        settings = LocalizationRecallPrecisionSettings(
            class_metrics=class_metrics,
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

    def compute(self) -> dict[str, Tensor]:
        """The errors of all images so far.

        Returns:
            A dict of 0-d float64 tensors in [0, 1]: ``lrp``, ``lrp_loc``, ``lrp_fp`` and ``lrp_fn`` at
            ``score_threshold``, ``olrp``, ``olrp_loc``, ``olrp_fp`` and ``olrp_fn`` at the best one of each class;
            means over the classes for which they are defined. LRP is not without targets and detections, optimal LRP
            not without targets; the localisation error and the best threshold are not where nothing is found. With
            ``class_metrics`` also ``olrp/<name>`` and so on, and ``best_score_threshold/<name>``; without names
            ``olrp_per_class`` (C,) and so on, and ``classes``.

        Raises:
            ValueError: if predictions came without scores.
        """
        return summarize_lrp(self.data(), self.settings)

    def plot(self, val: Any = None, ax: Any = None) -> tuple[Any, Any]:
        """Draw the optimal LRP of each class if the result has classes, else its means; over several results the means.

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
        from detmetrics.show.plot import errors, pictures

        picture = errors.LocalizationRecallPrecision(self.class_titles)
        return pictures.draw(picture, val, self.compute, ax)


def localization_recall_precision(
    preds: Items,
    target: Items,
    *,
    class_metrics: bool = False,
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
) -> dict[str, Tensor]:
    """LRP and optimal LRP of a whole data set; see :class:`detmetrics.LocalizationRecallPrecision`.

    Args:
        preds: One dict per image: ``boxes`` (N, 4), ``scores`` (N,), ``labels`` (N,).
        target: One dict per image, as in :meth:`detmetrics.LocalizationRecallPrecision.update`.
        class_metrics: Whether to add results for each class.
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
        The dict of :meth:`detmetrics.LocalizationRecallPrecision.compute`.

    Raises:
        ValueError: if an argument or an input does not fit.

    Example:
        >>> import torch
        >>> boxes, labels = torch.tensor([[0.0, 0.0, 8.0, 8.0]]), torch.tensor([0])
        >>> preds = [dict(boxes=boxes, scores=torch.tensor([0.75]), labels=labels)]
        >>> localization_recall_precision(preds, [dict(boxes=boxes, labels=labels)])["olrp"].item()
        0.0
    """
    metric = LocalizationRecallPrecision(
        class_metrics=class_metrics,
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
    result: dict[str, Tensor] = evaluated(metric, preds, target)
    return result
