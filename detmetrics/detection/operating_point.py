"""Precision, recall and F-score of a detector at one IoU threshold and one score threshold."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from detmetrics import checks
from detmetrics.detection.base import DEFAULT_FLOOR, DetectionMetric
from detmetrics.detection.matches import known_matches
from detmetrics.detection.mean_ap import ALL_AREAS, AREA_RANGES
from detmetrics.detection.outcome import Counts, Outcome, count, decide, kept_detections
from detmetrics.detection.table import Table, keep_overlaps
from detmetrics.metric import FIRST_ARRIVAL
from detmetrics.ops import scores
from detmetrics.ops.scores import Formula
from detmetrics.pictured import PicturedScore

AreaChoice = str | tuple[float, float]
ClassNames = Sequence[str] | Mapping[int, str]


class OneThresholdMetric(DetectionMetric):
    """The base of metrics that match at one IoU threshold.

    The state is that of :class:`detmetrics.MeanAveragePrecision`: 24 bytes a detection and a target, 16 an overlap
    above the floor and 48 an image; after ``compute()`` what was read from it stays beside it, about as large, until
    the state is read anew or goes. In a ``MetricCollection`` metrics whose ``iou_type``, ``pairs``, ``box_format`` and
    smallest overlap agree share it, at whatever thresholds.

    Args:
        iou_threshold: The overlap that a match needs, in [0, 1].
        max_detections: How many detections of a class in an image take part, the best first; None for all.
        area_range: ``"all"``, ``"small"``, ``"medium"``, ``"large"`` as in COCO, or inclusive bounds in square pixels.
            Targets outside and unmatched detections outside are ignored.
        zero_division: What stands for 0/0: NaN, which is left out of every mean, or a number.
        num_classes: Declares the classes 0 to ``num_classes`` - 1.
        class_names: The declared classes: a list, or a dict from label to name. Other labels raise.
        class_agnostic: Treat all labels as one class.
        pairs: Which overlaps the state keeps: ``"same"``, those within a class, or ``"all"``, to share it with metrics
            that ask about pairs of other classes. None: what this metric needs.
        box_format: ``"xyxy"``, ``"xywh"`` or ``"cxcywh"``, in pixels.
        iou_type: ``"bbox"``, ``"segm"`` for masks, or ``"boundary"``.
        kwargs: The keyword arguments of ``torchmetrics.Metric``.
    """

    def __init__(
        self,
        *,
        iou_threshold: float = 0.5,
        max_detections: int | None = None,
        area_range: AreaChoice = "all",
        zero_division: float = float("nan"),
        num_classes: int | None = None,
        class_names: ClassNames | None = None,
        class_agnostic: bool = False,
        pairs: str | None = None,
        box_format: str = "xyxy",
        iou_type: str = "bbox",
        **kwargs: Any,
    ) -> None:
        (iou_threshold,) = checks.check_fractions("iou_threshold", [iou_threshold])
        floor = min(DEFAULT_FLOOR, iou_threshold)
        super().__init__(
            floor, pairs, box_format, iou_type, class_names, class_agnostic, num_classes=num_classes, **kwargs
        )
        if max_detections is not None:
            (max_detections,) = checks.check_limits("max_detections", [max_detections])
        self.iou_threshold, self.max_detections = iou_threshold, max_detections
        self.area_range = checks.check_area_range("area_range", area_range, ("all", *AREA_RANGES))
        self.zero_division = float(zero_division)

    @property
    def area_bounds(self) -> tuple[float, float]:
        """The bounds of the area range, in square pixels."""
        if isinstance(self.area_range, str):
            return {"all": ALL_AREAS, **AREA_RANGES}[self.area_range]
        return self.area_range

    def _outcome_from(self, table: Table, score_threshold: float) -> Outcome:
        """The outcome of the detections from a score on, worked out once for all metrics that ask for the same.

        Matches of all detections serve too, if another metric has them: what a detection takes does not depend on those
        below it.
        """
        question = ("outcome", score_threshold, self.max_detections, self.iou_threshold, *self.area_bounds)
        if question not in table.answers:
            kept = kept_detections(table, score_threshold, self.max_detections)
            matches = known_matches(table, self.iou_threshold, self.area_bounds)
            if matches is None:
                chosen = keep_overlaps(table, kept.index_select(0, table.overlap_detection))
                matches = self._match(chosen, [self.iou_threshold], [self.area_bounds])
            table.keep(question, decide(table, matches, kept, self.area_bounds))
        outcome: Outcome = table.answers[question]
        return outcome

    def _class_index(self, labels: Tensor) -> Tensor:
        return torch.searchsorted(self.classes, labels)


class OperatingPointMetric(OneThresholdMetric):
    """The base of metrics that count the detections from one score on.

    Args:
        score_threshold: The smallest score that is kept; rounded to the dtype of the scores first, so that a float32 .9
            is kept at .9. Images whose predictions come without scores keep all of them.
        kwargs: The arguments of :class:`OneThresholdMetric`.
    """

    needs_scores = False

    def __init__(self, *, score_threshold: float = 0.5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.score_threshold = checks.check_number("score_threshold", score_threshold)

    def per_image(self) -> dict[str, Tensor]:
        """What each image counts, all classes together: sort by ``f1`` to find the worst.

        Returns:
            A dict of tensors ``(B,)`` in order of images: ``image_id`` int64 (without ids the order of arrival),
            ``tp``, ``fp``, ``fn`` int64, and ``f1`` float64, ``zero_division`` where there is neither target nor
            prediction. Under ``torch.distributed`` the images of all ranks.

        Raises:
            ValueError: as ``compute()`` does.
        """
        with self.synced():
            table = self._read()
            counts = count(table, self._outcome(table), lambda image, label: image, len(table.keys))
        keys = torch.where(table.keys < 0, table.keys - FIRST_ARRIVAL, table.keys)
        f1 = scores.f_beta(*counts)
        f1 = f1.where(~f1.isnan(), self.zero_division)
        return dict(zip(("image_id", "tp", "fp", "fn", "f1"), (keys, *counts, f1), strict=True))

    def _outcome(self, table: Table) -> Outcome:
        return self._outcome_from(table, self.score_threshold)

    def _count_classes(self, table: Table, outcome: Outcome) -> Counts:
        """Counts of each class, (C,)."""
        return count(table, outcome, lambda image, label: self._class_index(label), len(self.classes))

    def _count_cells(self, table: Table, outcome: Outcome) -> Counts:
        """Counts of each image and class, (B, C)."""
        shape = len(table.keys), len(self.classes)
        cells = count(
            table, outcome, lambda image, label: image * shape[1] + self._class_index(label), shape[0] * shape[1]
        )
        tp, fp, fn = (cell.view(shape) for cell in cells)
        return tp, fp, fn


class DetectionScore(PicturedScore, OperatingPointMetric):
    """The base of precision, recall and F-score: a formula over counts, and how to average it.

    Args:
        average: ``"micro"`` (counts pooled over classes), ``"macro"`` (mean over classes), ``"weighted"`` (mean by the
            number of targets) or ``"none"`` (one value a class).
        aggregate: ``"dataset"`` (counts pooled over images), ``"imagewise"`` (mean over images), ``"classwise"`` (for
            each class the mean over images, then over classes) or ``"pooled"`` (mean over all defined cells of image
            and class); see :func:`detmetrics.ops.scores.average`.
        class_weights: A number for each declared class, in the order of their labels, for ``"macro"``.
        kwargs: The arguments of :class:`OperatingPointMetric`.
    """

    formula: Formula
    score_name: str

    def __init__(
        self,
        *,
        average: str = "micro",
        aggregate: str = "dataset",
        class_weights: Sequence[float] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        checks.check_choice("aggregate", aggregate, tuple(scores.AGGREGATES))
        checks.check_choice(f"average with aggregate={aggregate!r}", average, scores.AGGREGATES[aggregate])
        self.average, self.aggregate = average, aggregate
        self.class_weights = self._check_weights(class_weights)

    def compute(self) -> Tensor | dict[str, Tensor]:
        """The score of all images so far: 0-d float64; with ``average="none"`` see the class."""
        table = self._read()
        outcome = self._outcome(table)
        counts = (self._count_classes if self.aggregate == "dataset" else self._count_cells)(table, outcome)
        value = scores.average(
            self.formula,
            counts,
            average=self.average,
            aggregate=self.aggregate,
            zero_division=self.zero_division,
            class_weights=None if self.class_weights is None else torch.tensor(self.class_weights),
        )
        if self.average == "none" and self.has_names and self.class_names is not None:
            names = (f"{self.score_name}/{name}" for name in self.class_names.values())
            return dict(zip(names, value.unbind(), strict=True))
        return value

    def _drawn_names(self) -> tuple[str, list[str] | None]:
        declared = not self.class_agnostic and self.class_names
        return self.score_name, list(declared.values()) if declared else None

    def _support(self) -> dict[str, int]:
        return self._targets_by_class(self.area_bounds)

    def _check_weights(self, class_weights: Sequence[float] | None) -> list[float] | None:
        if class_weights is None:
            return None
        weights = [float(weight) for weight in class_weights]
        if self.average != "macro" or self.class_names is None or len(weights) != len(self.class_names):
            raise ValueError(
                "class_weights: expected average='macro' and one number for each declared class, got "
                f"{len(weights)} numbers, average={self.average!r} and classes {self.class_names}"
            )
        return weights


class DetectionPrecision(DetectionScore):
    """How much of what was detected is right: tp / (tp + fp).

    Detections are matched greedily by score, as in COCO. Crowd regions and ignored targets are not counted, and neither
    are the detections that match them. Scores may be missing in ``preds``: then every prediction is kept, and those
    that come first choose first.

    The arguments are those of :class:`DetectionScore`, :class:`OperatingPointMetric` and :class:`OneThresholdMetric`,
    where the state is described too. The function is :func:`detmetrics.functional.detection_precision`.

    Returns of ``compute()``:
        A 0-d float64 tensor in [0, 1], ``zero_division`` where the score is 0/0. With ``average="none"`` a dict
        ``precision/<name>`` if ``class_names`` are declared, else a tensor (C,) in the order of ``metric.classes``.

    Raises:
        ValueError: if an argument does not fit.

    Example:
        >>> boxes = torch.tensor([[0.0, 0.0, 8.0, 8.0], [20.0, 0.0, 28.0, 8.0]])
        >>> preds = [dict(boxes=boxes, scores=torch.tensor([0.9, 0.6]), labels=torch.tensor([0, 0]))]
        >>> metric = DetectionPrecision()
        >>> metric.update(preds, [dict(boxes=boxes[:1], labels=torch.tensor([0]))])
        >>> metric.compute()
        tensor(0.5000, dtype=torch.float64)
    """

    formula = staticmethod(scores.precision)
    score_name = "precision"


class DetectionRecall(DetectionScore):
    """How many of the targets were found: tp / (tp + fn).

    Arguments, results and errors as for :class:`DetectionPrecision`; by class the keys are ``recall/<name>``. The
    function is :func:`detmetrics.functional.detection_recall`.

    Example:
        >>> boxes = torch.tensor([[0.0, 0.0, 8.0, 8.0], [20.0, 0.0, 28.0, 8.0]])
        >>> preds = [dict(boxes=boxes[:1], scores=torch.tensor([0.9]), labels=torch.tensor([0]))]
        >>> metric = DetectionRecall(average="none", class_names=["cat", "dog"])
        >>> metric.update(preds, [dict(boxes=boxes, labels=torch.tensor([0, 1]))])
        >>> {name: value.item() for name, value in metric.compute().items()}
        {'recall/cat': 1.0, 'recall/dog': 0.0}
    """

    formula = staticmethod(scores.recall)
    score_name = "recall"


class DetectionF1Score(DetectionScore):
    """The harmonic mean of precision and recall: 2 tp / (2 tp + fp + fn).

    Arguments, results and errors as for :class:`DetectionPrecision`; by class the keys are ``f1/<name>``. The function
    is :func:`detmetrics.functional.detection_f1_score`.

    Example:
        >>> boxes = torch.tensor([[0.0, 0.0, 8.0, 8.0], [20.0, 0.0, 28.0, 8.0]])
        >>> preds = [dict(boxes=boxes, scores=torch.tensor([0.9, 0.3]), labels=torch.tensor([0, 0]))]
        >>> metric = DetectionF1Score(score_threshold=0.2)
        >>> metric.update(preds, [dict(boxes=boxes[:1], labels=torch.tensor([0]))])
        >>> metric.compute().item() == 2 / (2 + 1)
        True
    """

    formula = staticmethod(scores.f_beta)
    score_name = "f1"


class DetectionFBetaScore(DetectionScore):
    """F-score in which recall weighs ``beta`` times as much as precision.

    Other arguments, results and errors as for :class:`DetectionPrecision`; by class the keys are ``f_beta/<name>``. The
    function is :func:`detmetrics.functional.detection_fbeta_score`.

    Args:
        beta: A number above 0; 1 gives F1.
        kwargs: As for :class:`DetectionPrecision`.

    Example:
        >>> boxes = torch.tensor([[0.0, 0.0, 8.0, 8.0], [20.0, 0.0, 28.0, 8.0]])
        >>> preds = [dict(boxes=boxes, scores=torch.tensor([0.9, 0.8]), labels=torch.tensor([0, 0]))]
        >>> metric = DetectionFBetaScore(beta=2.0)
        >>> metric.update(preds, [dict(boxes=boxes[:1], labels=torch.tensor([0]))])
        >>> metric.compute().item() == (1 + 4) / ((1 + 4) + 1)
        True
    """

    score_name = "f_beta"

    def __init__(self, *, beta: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.beta = checks.check_number("beta", beta, above=0.0)

    def _plot_label(self, **choice: Any) -> str:
        return f"F{self.beta:g}"

    @property
    def formula(self) -> Formula:  # type: ignore[override]
        """F-beta of counts."""
        return functools.partial(scores.f_beta, beta=self.beta)
