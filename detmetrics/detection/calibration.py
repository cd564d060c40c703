"""The calibration of a detector: what its scores promise, and what they keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from detmetrics.detection.analysis_settings import CalibrationSettings
from detmetrics.detection.calibration_scores import calibration
from detmetrics.detection.metric import DetectionMetric, evaluated
from detmetrics.overlap.mask_words import MASK_BUDGET
from detmetrics.overlap.similarity import Items
from detmetrics.reduce.calibration import Calibration
from detmetrics.settings import Setting


class DetectionCalibration(DetectionMetric):
    """Whether scores say how often detections are right, and how well they are placed.

    Detections are matched as for :class:`detmetrics.DetectionF1Score`, and put into bins of equal width by their score.
    The detection expected calibration error (D-ECE) is how far the mean score of a bin is from its precision, on
    average over the detections; the localisation-aware one (LaECE) how far from the mean IoU with the targets found,
    that of a false positive being 0. The Brier score is the mean of (score - true positive)². Ignored detections are
    left out.

    The temperature is that of temperature scaling: the number by which logits have to be divided so that the likelihood
    of the outcomes is largest. Above 1 the scores are too sure. What it would leave of the errors is that on the same
    images.

    The state is that of :class:`detmetrics.MeanAveragePrecision`. The function is
    :func:`detmetrics.functional.detection_calibration`.

    Args:
        num_bins: How many bins the scores from 0 to 1 are put into; papers on LaECE take 25.
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

    Source: Kueppers et al., Multivariate Confidence Calibration for Object Detection (CVPR workshops 2020), with bins
    of the score alone; Oksuz, Joy and Dokania, Towards Building Self-Aware Object Detectors (CVPR 2023), whose LaECE is
    the mean over classes.

    Example:
        >>> import torch
        >>> boxes = torch.tensor([[0.0, 0.0, 8.0, 8.0], [20.0, 0.0, 28.0, 8.0]])
        >>> preds = [dict(boxes=boxes, scores=torch.tensor([0.75, 0.75]), labels=torch.tensor([0, 0]))]
        >>> metric = DetectionCalibration()
        >>> metric.update(preds, [dict(boxes=boxes[:1], labels=torch.tensor([0]))])
        >>> {name: value.item() for name, value in metric.scalars().items() if name in ("d_ece", "brier")}
        {'d_ece': 0.25, 'brier': 0.3125}
    """

    higher_is_better = False

    num_bins = Setting()
    iou_threshold = Setting()
    score_threshold = Setting()
    max_detections = Setting()
    area_range = Setting()

    def __init__(
        self,
        *,
        num_bins: int = 10,
        iou_threshold: float = 0.5,
        score_threshold: float = 0.0,
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
        settings = CalibrationSettings(
            num_bins=num_bins,
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

    def compute(self) -> Calibration:
        """The calibration of all images so far.

        Returns:
            :class:`detmetrics.reduce.calibration.Calibration`: bins, errors and Brier scores of each class and of all
            pooled, and the best temperature. NaN where there are no detections, and for the temperature where none is
            best.

        Raises:
            ValueError: if predictions came without scores, or a score is not in [0, 1].
        """
        return calibration(self.data(), self.settings)

    def scalars(self) -> dict[str, Tensor]:
        """``compute().scalars()``, for ``self.log_dict``."""
        return self.compute().scalars()

    def plot(self, val: Any = None, ax: Any = None, *, name: str | None = None) -> tuple[Any, Any]:
        """Draw a reliability diagram: precision and mean IoU against the score, with the number of detections.

        Args:
            val: What ``compute()`` has returned, or a list of such results, one per epoch. None for ``compute()`` now,
                on all ranks.
            ax: A matplotlib axis to draw on.
            name: The class that is drawn; None for all classes pooled.

        Returns:
            The matplotlib figure and axis. Over several results the errors are drawn.

        Raises:
            ModuleNotFoundError: if matplotlib is not installed.
            ValueError: if ``val`` is no such result.
        """
        from detmetrics.show.plot import pictures, reliability

        return pictures.draw(reliability.Reliability(name, self.class_titles), val, self.compute, ax)


def detection_calibration(
    preds: Items,
    target: Items,
    *,
    num_bins: int = 10,
    iou_threshold: float = 0.5,
    score_threshold: float = 0.0,
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
) -> Calibration:
    """The calibration of a whole data set; see :class:`detmetrics.DetectionCalibration`.

    Args:
        preds: One dict per image: ``boxes`` (N, 4), ``scores`` (N,), ``labels`` (N,).
        target: One dict per image, as in :meth:`detmetrics.DetectionCalibration.update`.
        num_bins: How many bins the scores from 0 to 1 are put into; papers on LaECE take 25.
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
        The NamedTuple of :meth:`detmetrics.DetectionCalibration.compute`.

    Raises:
        ValueError: if an argument or an input does not fit.

    Example:
        >>> import torch
        >>> boxes, labels = torch.tensor([[0.0, 0.0, 8.0, 8.0]]), torch.tensor([0])
        >>> preds = [dict(boxes=boxes, scores=torch.tensor([0.75]), labels=labels)]
        >>> detection_calibration(preds, [dict(boxes=boxes, labels=labels)]).d_ece.tolist()
        [0.25, 0.25]
    """
    metric = DetectionCalibration(
        num_bins=num_bins,
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
    result: Calibration = evaluated(metric, preds, target)
    return result
