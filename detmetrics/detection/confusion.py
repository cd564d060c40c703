"""The confusion matrix of a detector."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from detmetrics import checks
from detmetrics.detection.operating_point import OperatingPointMetric
from detmetrics.detection.outcome import match_across_classes
from detmetrics.detection.table import keep_overlaps
from detmetrics.ops.scores import divide
from detmetrics.pictured import PicturedMatrix

NORMALIZE = {"true": (1,), "pred": (0,), "all": (0, 1)}  # the axes that sum to 1


class DetectionConfusionMatrix(PicturedMatrix, OperatingPointMetric):
    """What the targets of each class were taken for: rows are targets, columns predictions, the last one background.

    Detections are first matched within their class, as in COCO: the diagonal holds the true positives of
    :class:`detmetrics.DetectionF1Score` at the same thresholds. What is left is matched across classes, in order of
    score; what is left then was missed (last column) or is a false positive on the background (last row). So the sum of
    a row is the number of counted targets (no crowds, none ignored), and that of a column the number of predictions
    that are kept and not ignored.

    The other arguments and the state are those of :class:`detmetrics.detection.operating_point.OperatingPointMetric`,
    with ``pairs="all"``; classes must be declared. The function is
    :func:`detmetrics.functional.detection_confusion_matrix`.

    Args:
        normalize: ``"true"`` (rows sum to 1), ``"pred"`` (columns do), ``"all"``, or None, as in scikit-learn.
        kwargs: ``num_classes`` or ``class_names``, ``iou_threshold``, ``score_threshold``, ``max_detections``,
            ``area_range``, ``zero_division`` (for empty rows or columns), ``box_format``, ``iou_type``, and the keyword
            arguments of ``torchmetrics.Metric``.

    Returns of ``compute()``:
        ``(C + 1, C + 1)`` int64, in the order of ``metric.classes``; float64 if normalised.

    Raises:
        ValueError: if an argument does not fit, or no classes are declared.

    Example:
        >>> boxes = torch.tensor([[0.0, 0.0, 8.0, 8.0], [20.0, 0.0, 28.0, 8.0]])
        >>> preds = [dict(boxes=boxes, scores=torch.tensor([0.9, 0.6]), labels=torch.tensor([0, 0]))]
        >>> metric = DetectionConfusionMatrix(class_names=["cat", "dog"])
        >>> metric.update(preds, [dict(boxes=boxes, labels=torch.tensor([0, 1]))])
        >>> metric.compute().tolist()
        [[1, 0, 0], [1, 0, 0], [0, 0, 0]]
    """

    higher_is_better = None

    def __init__(self, *, normalize: str | None = None, **kwargs: Any) -> None:
        super().__init__(**{"pairs": "all", **kwargs})
        if self.class_names is None or self.class_agnostic or self.pairs != "all":
            raise ValueError(
                "DetectionConfusionMatrix: expected num_classes or class_names, class_agnostic=False and pairs='all', "
                f"got classes {self.class_names}, class_agnostic={self.class_agnostic}, pairs={self.pairs!r}"
            )
        checks.check_choice("normalize", normalize, (None, *NORMALIZE))
        self.normalize = normalize

    def compute(self) -> Tensor:
        """The matrix of all images so far; see the class."""
        table = self._read(across_classes=True)
        outcome = self._outcome(table.same_class)
        wrong = torch.zeros_like(table.labels, dtype=torch.bool).index_fill_(0, outcome.wrong, True)
        missed = torch.zeros_like(table.target_labels, dtype=torch.bool).index_fill_(0, outcome.missed, True)
        # What is left is matched whatever the class.
        left = wrong.index_select(0, table.overlap_detection) & missed.index_select(0, table.overlap_target)
        confused = match_across_classes(keep_overlaps(table, left), self.iou_threshold, self.area_bounds)
        rows = table.target_labels[torch.cat([outcome.target, confused.target])]
        columns = table.labels[torch.cat([outcome.detection, confused.detection])]
        stray = table.labels[wrong.index_fill_(0, confused.detection, False)]
        unseen = table.target_labels[missed.index_fill_(0, confused.target, False)]

        background = len(self.classes)
        row = torch.cat([self._class_index(rows), self._class_index(unseen), torch.full_like(stray, background)])
        column = torch.cat([self._class_index(columns), torch.full_like(unseen, background), self._class_index(stray)])
        size = background + 1
        matrix = torch.bincount(row * size + column, minlength=size**2).view(size, size)
        if self.normalize is None:
            return matrix
        return divide(matrix, matrix.sum(dim=NORMALIZE[self.normalize], keepdim=True), self.zero_division)

    def _drawn_classes(self) -> list[str]:
        return list((self.class_names or {}).values())
