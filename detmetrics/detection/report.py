"""The report of a detector: precision, recall, F1 and support of each class and their averages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from detmetrics import arguments
from detmetrics.detection.class_report import AVERAGES, FORMULAS, report_of_counts, reported_counts
from detmetrics.detection.metric import DetectionMetric, evaluated
from detmetrics.detection.operating_point import images_of
from detmetrics.detection.settings import ReportSettings
from detmetrics.overlap.mask_words import MASK_BUDGET
from detmetrics.overlap.similarity import Items
from detmetrics.settings import Setting


class DetectionReport(DetectionMetric):
    """Precision, recall, F1 and support (the number of targets) of each class, and their averages.

    The state is that of :class:`detmetrics.MeanAveragePrecision`, for ``matched_only`` with ``pairs="all"``. The
    function is :func:`detmetrics.functional.detection_report`.

    Args:
        matched_only: Whether to report instead how well the boxes that match are classified: after the score cut
            detections are matched whatever their class, and the report is that of a classifier over the matched pairs,
            of label of the target and label of the detection. Unmatched boxes are not in it.
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

    Source: scikit-learn ``classification_report``.

    Example:
        >>> import torch
        >>> boxes = torch.tensor([[0.0, 0.0, 8.0, 8.0], [20.0, 0.0, 28.0, 8.0]])
        >>> preds = [dict(boxes=boxes, scores=torch.tensor([0.9, 0.6]), labels=torch.tensor([0, 0]))]
        >>> metric = DetectionReport(class_names=["cat", "dog"])
        >>> metric.update(preds, [dict(boxes=boxes, labels=torch.tensor([0, 1]))])
        >>> metric.compute()["precision/cat"].item()
        0.5
        >>> print(metric.table())
                      precision    recall  f1-score   support
        <BLANKLINE>
                 cat       0.50      1.00      0.67         1
                 dog        nan      0.00      0.00         1
        <BLANKLINE>
           micro avg       0.50      0.50      0.50         2
           macro avg       0.50      0.50      0.33         2
        weighted avg       0.50      0.50      0.33         2
        <BLANKLINE>
    """

    needs_scores = False

    matched_only = Setting()
    iou_threshold = Setting()
    score_threshold = Setting()
    max_detections = Setting()
    area_range = Setting()

    def __init__(
        self,
        *,
        matched_only: bool = False,
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
        settings = ReportSettings(
            matched_only=matched_only,
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
            iou_type=iou_type,
            pairs=pairs,
            box_format=box_format,
            mask_budget=mask_budget,
            keypoint_sigmas=keypoint_sigmas,
            duplicates=duplicates,
            **kwargs,
        )

    def _pairs_for(self, settings: ReportSettings) -> str:  # type: ignore[override]
        return "all" if settings.matched_only else super()._pairs_for(settings)

    def compute(self) -> dict[str, Tensor]:
        """The scores of all images so far.

        Returns:
            A flat dict of 0-d float64 tensors: ``precision/<name>``, ``recall/<name>``, ``f1/<name>``,
            ``support/<name>`` for each class, ``precision_micro`` and so on for micro, macro and weighted, and
            ``support``. Without declared classes the names are the labels that occur. 0/0 is NaN and left out of the
            averages, or ``zero_division``.
        """
        self.classes, counts = reported_counts(self.data(), self.settings)
        return report_of_counts(self.classes, counts, self.settings)

    def table(self, digits: int = 2) -> str:
        """The report as text, in scikit-learn's layout.

        Args:
            digits: Decimals of the scores.
        """
        from detmetrics.show.tables import score_table

        values = {key: value.item() for key, value in self.compute().items()}
        titles = [key.removeprefix("support/") for key in values if key.startswith("support/")]
        classes = {name: _row(values, f"/{name}", f"support/{name}") for name in titles}
        averages = {f"{kind} avg": _row(values, f"_{kind}", "support") for kind in AVERAGES}
        if self.matched_only:  # a pair has one true and one predicted class: micro averages are the accuracy
            *_, accuracy, support = averages.pop("micro avg")
            averages = {"accuracy": [None, None, accuracy, support], **averages}
        return score_table(["precision", "recall", "f1-score", "support"], classes, averages, digits)

    per_image = images_of

    def plot(self, val: Any = None, ax: Any = None, *, score: str = "f1") -> tuple[Any, Any]:
        """Draw a score of each class with its support, or over several results the averages of the score.

        Args:
            val: What ``compute()`` has returned, or a list of such results, one per epoch. None for ``compute()`` now,
                on all ranks.
            ax: A matplotlib axis to draw on.
            score: ``"f1"``, ``"precision"`` or ``"recall"``.

        Returns:
            The matplotlib figure and axis.

        Raises:
            ModuleNotFoundError: if matplotlib is not installed.
            ValueError: if ``score`` is none of these, or ``val`` is no such result.
        """
        from detmetrics.show.plot import pictures

        arguments.choice("score", score, tuple(FORMULAS))
        return pictures.draw(pictures.Report(score), val, self.compute, ax)


def detection_report(
    preds: Items,
    target: Items,
    *,
    matched_only: bool = False,
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
    """Precision, recall, F1 and support of each class over a whole data set; see :class:`detmetrics.DetectionReport`.

    Args:
        preds: One dict per image: ``boxes`` (N, 4), ``labels`` (N,), and ``scores`` (N,) for all images or for none.
        target: One dict per image, as in :meth:`detmetrics.DetectionReport.update`.
        matched_only: Whether to report instead how well the boxes that match are classified: after the score cut
            detections are matched whatever their class, and the report is that of a classifier over the matched pairs,
            of label of the target and label of the detection. Unmatched boxes are not in it.
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
        The dict of :meth:`detmetrics.DetectionReport.compute`.

    Raises:
        ValueError: if an argument or an input does not fit.

    Example:
        >>> import torch
        >>> boxes, labels = torch.tensor([[0.0, 0.0, 8.0, 8.0]]), torch.tensor([0])
        >>> preds, target = [dict(boxes=boxes, labels=labels)], [dict(boxes=boxes, labels=labels)]
        >>> detection_report(preds, target, class_names=["cat"])["f1/cat"].item()
        1.0
    """
    metric = DetectionReport(
        matched_only=matched_only,
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


def _row(values: dict[str, float], suffix: str, support: str) -> list[float | None]:
    return [*(values[f"{name}{suffix}"] for name in FORMULAS), int(values[support])]
