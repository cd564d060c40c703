"""Precision, recall and F-score against the score, the best thresholds, and average precision in four definitions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from detmetrics import arguments
from detmetrics.detection.metric import DetectionMetric, evaluated
from detmetrics.detection.score_curves import afroc, score_curves
from detmetrics.detection.settings import CurvesSettings
from detmetrics.overlap.mask_words import MASK_BUDGET
from detmetrics.overlap.similarity import Items
from detmetrics.reduce.curves import ScoreCurves
from detmetrics.settings import Setting


class DetectionCurves(DetectionMetric):
    """Precision, recall and F-beta against the score, for each class and for all classes pooled.

    Detections are matched greedily by score, as in COCO, and equal scores are one step: a curve says what
    :class:`detmetrics.DetectionPrecision`, ``DetectionRecall`` and ``DetectionFBetaScore`` give at each threshold.
    VOC's average precision has matches of its own: a detection looks only at the target it overlaps most, which must be
    by more than ``iou_threshold``; ``ignore`` is its ``difficult``, and a target that is taken makes a false positive.

    The state is that of :class:`detmetrics.MeanAveragePrecision`. The function is
    :func:`detmetrics.functional.detection_curves`.

    Args:
        beta: How much recall weighs in the F-score, above 0; 1 gives F1.
        iou_threshold: The overlap that a match needs, above 0 and at most 1.
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

    Source: pycocotools ``COCOeval``; VOC development kit, ``VOCevaldet.m``; scikit-learn ``average_precision_score``.

    Example:
        >>> import torch
        >>> boxes = torch.tensor([[0.0, 0.0, 8.0, 8.0], [20.0, 0.0, 28.0, 8.0]])
        >>> preds = [dict(boxes=boxes, scores=torch.tensor([0.75, 0.5]), labels=torch.tensor([0, 0]))]
        >>> metric = DetectionCurves()
        >>> metric.update(preds, [dict(boxes=boxes[:1], labels=torch.tensor([0]))])
        >>> curves = metric.compute()
        >>> curves.precision[curves.offsets[0] : curves.offsets[1]].tolist()
        [1.0, 0.5]
        >>> {name: value.item() for name, value in curves.scalars().items() if "macro" not in name}
        {'best_f1': 1.0, 'best_score_threshold': 0.75}
        >>> curves.highest_recall(precision=0.9).score_threshold.tolist()  # of class 0, and of all classes pooled
        [0.75, 0.75]
    """

    higher_is_better = None

    beta = Setting()
    iou_threshold = Setting()
    max_detections = Setting()
    area_range = Setting()

    def __init__(
        self,
        *,
        beta: float = 1.0,
        iou_threshold: float = 0.5,
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
        settings = CurvesSettings(
            beta=beta,
            iou_threshold=iou_threshold,
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

    def compute(self) -> ScoreCurves:
        """The curves of all images so far.

        Returns:
            :class:`detmetrics.reduce.curves.ScoreCurves`, float64 in [0, 1] but for scores, ``classes`` and
            ``offsets`` and counts. Its methods say which threshold meets a constraint. Undefined are recall and average
            precision without targets, a best F with neither targets nor detections, and a best threshold without
            detections; ``zero_division`` stands for them, but for a threshold always NaN.

        Raises:
            ValueError: if predictions came without scores.
        """
        return score_curves(self.data(), self.settings)

    def scalars(self) -> dict[str, Tensor]:
        """``compute().scalars()``, for ``self.log_dict``."""
        return self.compute().scalars()

    def afroc(self) -> Tensor:
        """The area under the alternative FROC curve of each class.

        The curve has recall over the share of the images without targets of the class that have a false positive; its
        area is the chance that a target scores higher than the best false positive of such an image, half of it where
        both are equal or neither is marked. All ranks must call it, unless ``compute()`` was called since the last
        update.

        Returns:
            ``(C + 1,)`` float64, all classes pooled last; ``zero_division`` without targets or without such images.

        Source: Chakraborty and Winter, Free-response methodology: alternate analysis and a new observer-performance
        experiment (Radiology 1990).
        """
        return afroc(self.data(), self.settings)

    def plot(
        self, val: Any = None, ax: Any = None, *, kind: str = "precision_recall", name: str | None = None
    ) -> tuple[Any, Any]:
        """Draw the curves of a result, or over several results the average precision or the best F-score.

        Args:
            val: What ``compute()`` has returned, or a list of such results, one per epoch. None for ``compute()`` now,
                on all ranks.
            ax: A matplotlib axis to draw on.
            kind: ``"precision_recall"``: a line per class and one for all. ``"score"``: precision, recall and F-score
                against the score threshold, with the best point. ``"froc"``: recall against false positives an image.
                Over several results: the average precision (the area below the lines) of each class, the best F-score
                and its threshold, or the FROC score.
            name: The class that ``kind="score"`` is about; None for all classes pooled.

        Returns:
            The matplotlib figure and axis.

        Raises:
            ModuleNotFoundError: if matplotlib is not installed.
            ValueError: if an argument does not fit.

        Example:
            >>> from detmetrics.demo import generate
            >>> metric = DetectionCurves(class_names=["cat", "dog"])
            >>> metric.update(*generate(num_images=5, num_detections=10, num_classes=2))
            >>> fig, ax = metric.plot(kind="score", name="dog")
            >>> ax.get_xlabel()
            'Score threshold (confidence)'
        """
        from detmetrics.show.plot import pictures

        arguments.choice("kind", kind, ("precision_recall", "score", "froc"))
        if name is not None and kind != "score":
            raise ValueError(f"name: expected None with kind={kind!r}, which draws every class, got {name!r}")
        return pictures.draw(pictures.Curves(kind, name, self.class_titles), val, self.compute, ax)


def detection_curves(
    preds: Items,
    target: Items,
    *,
    beta: float = 1.0,
    iou_threshold: float = 0.5,
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
) -> ScoreCurves:
    """Precision, recall and F-score of a whole data set against the score; see :class:`detmetrics.DetectionCurves`.

    Args:
        preds: One dict per image: ``boxes`` (N, 4), ``scores`` (N,), ``labels`` (N,).
        target: One dict per image, as in :meth:`detmetrics.DetectionCurves.update`.
        beta: How much recall weighs in the F-score, above 0; 1 gives F1.
        iou_threshold: The overlap that a match needs, above 0 and at most 1.
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
        The NamedTuple of :meth:`detmetrics.DetectionCurves.compute`.

    Raises:
        ValueError: if an argument or an input does not fit.

    Example:
        >>> import torch
        >>> boxes, labels = torch.tensor([[0.0, 0.0, 8.0, 8.0]]), torch.tensor([0])
        >>> preds = [dict(boxes=boxes, scores=torch.tensor([0.75]), labels=labels)]
        >>> detection_curves(preds, [dict(boxes=boxes, labels=labels)]).scalars()["best_score_threshold"].item()
        0.75
    """
    metric = DetectionCurves(
        beta=beta,
        iou_threshold=iou_threshold,
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
    result: ScoreCurves = evaluated(metric, preds, target)
    return result
