"""What is wrong with detections, and what each kind of errors costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from detmetrics.detection.analysis_settings import ErrorSettings
from detmetrics.detection.error_costs import Costs, error_costs, summarize_errors
from detmetrics.detection.error_kinds import Confusions, confused_classes, count_errors, errors_per_image
from detmetrics.detection.metric import DetectionMetric, evaluated
from detmetrics.overlap.mask_words import MASK_BUDGET
from detmetrics.overlap.similarity import Items
from detmetrics.settings import Setting


class DetectionErrors(DetectionMetric):
    """Which kinds of errors a detector makes, and how much average precision each kind costs: TIDE.

    Every detection that counts and is no true positive is of one kind, the first that fits:

    * ``localization``: it overlaps a target of its class by ``background_threshold`` to ``iou_threshold``;
    * ``classification``: it overlaps a target of another class by ``iou_threshold`` or more;
    * ``duplicate``: it overlaps a target of its class by more, which a better detection has found;
    * ``background``: it overlaps no target by more than ``background_threshold``;
    * ``both``: anything else, wrong in class and in place.

    ``missed`` are the targets that were not found and that no detection of the first two kinds is closest to. A target
    that was found still counts as the closest one. Crowds, and all else that is ignored, are no errors, and no target
    for one.

    What a kind costs is by how much the mean average precision at ``iou_threshold`` (COCO's 101 recall points) would
    rise if only that kind was mended: of the detections of the first two kinds the best of each missed target becomes
    right, all others go, and so do missed targets. ``false_positive`` is the cost of all false positives together,
    ``false_negative`` that of all targets that were not found. The costs do not add up. A class that has no targets, or
    none once they are mended away, is left out of the mean.

    The state is that of :class:`detmetrics.MeanAveragePrecision` with ``pairs="all"``. The function is
    :func:`detmetrics.functional.detection_errors`.

    Args:
        background_threshold: The overlap up to which a detection has nothing to do with a target, above 0 and below
            ``iou_threshold``.
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

    Source: Bolya, Foley, Hays and Hoffman, TIDE: A General Toolbox for Identifying Object Detection Errors (ECCV 2020);
    the package tidecv 1.0.1, which counts detections that crowds excuse as errors too, and gives classes without
    targets an average precision of 0.

    Example:
        >>> import torch
        >>> boxes = torch.tensor([[0.0, 0.0, 8.0, 8.0], [20.0, 0.0, 28.0, 8.0]])
        >>> preds = [dict(boxes=boxes, scores=torch.tensor([0.9, 0.6]), labels=torch.tensor([0, 0]))]
        >>> metric = DetectionErrors(class_names=["cat", "dog"])
        >>> metric.update(preds, [dict(boxes=boxes, labels=torch.tensor([0, 1]))])
        >>> result = metric.compute()
        >>> result["ap"].item(), result["dap_classification"].item(), result["num_classification"].item()
        (0.5, 0.5, 1.0)
    """

    higher_is_better = None
    needs_pairs = "all"

    background_threshold = Setting()
    iou_threshold = Setting()
    max_detections = Setting()
    area_range = Setting()

    def __init__(
        self,
        *,
        background_threshold: float = 0.1,
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
        settings = ErrorSettings(
            background_threshold=background_threshold,
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
            A dict of 0-d float64 tensors: ``ap``, the mean average precision at ``iou_threshold``; ``dap_<kind>``, by
            how much it would rise without the errors of a kind, for the six kinds, ``false_positive`` and
            ``false_negative``, with ``zero_division`` where there is no average precision; ``num_<kind>``, how many
            errors there are of each of the six kinds.

        Raises:
            ValueError: if predictions came without scores.
        """
        return summarize_errors(self.data(), self.settings)

    def costs(self) -> Costs:
        """Average precision of each class, as it is and without the errors of each kind.

        All ranks must call it, unless ``compute()`` was called since the last update.

        Returns:
            A NamedTuple of float64 tensors in the order of ``metric.classes``: ``average_precision`` ``(C,)`` and
            ``mended`` ``(8, C)``, in the order of the kinds of ``compute()``; NaN where there is nothing to find.
        """
        return error_costs(self.data(), self.settings)

    def counts(self) -> Tensor:
        """How many errors there are by kind and class, ``(6, C)`` int64, in the order of ``metric.classes``.

        A false positive counts for the class that it was predicted as. All ranks must call it, unless ``compute()`` was
        called since the last update.
        """
        return count_errors(self.data(), self.settings)

    def per_image(self) -> dict[str, Tensor]:
        """How many errors of each kind each image has: which images to look at.

        All ranks must call it, unless ``compute()`` was called since the last update.

        Returns:
            A dict of int64 tensors ``(B,)``, images without ids before those with one: ``image_id``, -1 for an image
            without; ``arrival``, the place of an image without in the order of arrival of all, and -1 for an image with
            an id; then one for each of the six kinds.

        Example:
            >>> from detmetrics.demo import generate
            >>> metric = DetectionErrors()
            >>> metric.update(*generate(num_images=5, num_detections=10, num_classes=2))
            >>> images = metric.per_image()
            >>> images["image_id"][images["duplicate"] > 0].tolist()
            [2, 3, 5]
        """
        return errors_per_image(self.data(), self.settings)

    def confusions(self) -> Confusions:
        """Which classes are taken for which, where the class alone is wrong; the most frequent pair first.

        All ranks must call it, unless ``compute()`` was called since the last update.

        Returns:
            A NamedTuple of int64 tensors ``(P,)``: the labels ``target`` and ``prediction``, and ``times``.
        """
        return confused_classes(self.data(), self.settings)

    def plot(self, val: Any = None, ax: Any = None) -> tuple[Any, Any]:
        """Draw what each kind of errors costs, or over several results how that changes.

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

        return pictures.draw(errors.Errors(), val, self.compute, ax)


def detection_errors(
    preds: Items,
    target: Items,
    *,
    background_threshold: float = 0.1,
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
) -> dict[str, Tensor]:
    """The errors of a whole data set by kind, and their costs; see :class:`detmetrics.DetectionErrors`.

    Args:
        preds: One dict per image: ``boxes`` (N, 4), ``scores`` (N,), ``labels`` (N,).
        target: One dict per image, as in :meth:`detmetrics.DetectionErrors.update`.
        background_threshold: The overlap up to which a detection has nothing to do with a target, above 0 and below
            ``iou_threshold``.
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
        The dict of :meth:`detmetrics.DetectionErrors.compute`.

    Raises:
        ValueError: if an argument or an input does not fit.

    Example:
        >>> import torch
        >>> boxes, labels = torch.tensor([[0.0, 0.0, 8.0, 8.0]]), torch.tensor([0])
        >>> preds = [dict(boxes=boxes + 3.0, scores=torch.tensor([0.75]), labels=labels)]
        >>> result = detection_errors(preds, [dict(boxes=boxes, labels=labels)])
        >>> [key for key, value in result.items() if key.startswith("num_") and value]
        ['num_localization']
    """
    metric = DetectionErrors(
        background_threshold=background_threshold,
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
    result: dict[str, Tensor] = evaluated(metric, preds, target)
    return result
