"""The report of a detector: precision, recall, F1 and support of each class and their averages."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from detmetrics import checks
from detmetrics.detection.operating_point import OperatingPointMetric
from detmetrics.detection.outcome import Counts, kept_detections, match_across_classes
from detmetrics.detection.table import Table, keep_overlaps
from detmetrics.ops import scores
from detmetrics.pictured import PicturedReport

FORMULAS = {"precision": scores.precision, "recall": scores.recall, "f1": scores.f_beta}
AVERAGES = ("micro", "macro", "weighted")


class DetectionReport(PicturedReport, OperatingPointMetric):
    """Precision, recall, F1 and support (the number of targets) of each class, and their averages.

    The other arguments and the state are those of :class:`detmetrics.detection.operating_point.OperatingPointMetric`.
    The function is :func:`detmetrics.functional.detection_report`.

    Args:
        matched_only: Report instead how well the boxes that match are classified: after the score cut detections are
            matched whatever their class, and the report is that of a classifier over the matched pairs, of label of the
            target and label of the detection. Unmatched boxes are not in it.
        kwargs: ``iou_threshold``, ``score_threshold``, ``max_detections``, ``area_range``, ``zero_division``,
            ``num_classes``, ``class_names``, ``class_agnostic``, ``pairs``, ``box_format``, ``iou_type``, and the
            keyword arguments of ``torchmetrics.Metric``.

    Returns of ``compute()``:
        A flat dict of 0-d float64 tensors: ``precision/<name>``, ``recall/<name>``, ``f1/<name>``, ``support/<name>``
        for each class, ``precision_micro`` and so on for micro, macro and weighted, and ``support``. Without declared
        classes the names are the labels that occur. 0/0 is NaN and left out of the averages, or ``zero_division``.

    Raises:
        ValueError: if an argument does not fit.

    Source: scikit-learn ``classification_report``.

    Example:
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

    def __init__(self, *, matched_only: bool = False, **kwargs: Any) -> None:
        checks.check_bool("matched_only", matched_only)
        super().__init__(**({"pairs": "all"} if matched_only else {}) | kwargs)
        if matched_only and (self.class_agnostic or self.pairs != "all"):
            raise ValueError(
                "matched_only: expected class_agnostic=False and pairs='all', got "
                f"class_agnostic={self.class_agnostic}, pairs={self.pairs!r}"
            )
        self.matched_only = matched_only

    def compute(self) -> dict[str, Tensor]:
        """The scores of all images so far; see the class."""
        if self.matched_only:
            counts = self._count_pairs(self._read(across_classes=True))
        else:
            table = self._read()
            counts = self._count_classes(table, self._outcome(table))
        tp, _, fn = counts
        support = (tp + fn).double()
        results: dict[str, Tensor] = {}
        for name, formula in FORMULAS.items():
            values = scores.average(formula, counts, average="none", zero_division=self.zero_division)
            results |= {f"{name}/{key}": value for key, value in zip(self._names(), values, strict=True)}
        results |= {f"support/{key}": value for key, value in zip(self._names(), support, strict=True)}
        for name, formula in FORMULAS.items():
            for average in AVERAGES:
                value = scores.average(formula, counts, average=average, zero_division=self.zero_division)
                results[f"{name}_{average}"] = value
        return results | {"support": support.sum()}

    def table(self, digits: int = 2) -> str:
        """The report as text, in scikit-learn's layout.

        Args:
            digits: Decimals of the scores.
        """
        from detmetrics.report import score_table

        values = {key: value.item() for key, value in self.compute().items()}
        classes = {name: _row(values, f"/{name}", f"support/{name}") for name in self._names()}
        averages = {f"{average} avg": _row(values, f"_{average}", "support") for average in AVERAGES}
        if self.matched_only:  # a pair has one true and one predicted class: micro averages are the accuracy
            *_, accuracy, support = averages.pop("micro avg")
            averages = {"accuracy": [None, None, accuracy, support], **averages}
        return score_table(["precision", "recall", "f1-score", "support"], classes, averages, digits)

    def _names(self) -> list[str]:
        if self.class_names is None or self.class_agnostic:
            return [str(label) for label in self.classes.tolist()]
        return list(self.class_names.values())

    def _count_pairs(self, table: Table) -> Counts:
        """Counts of each class over the matched pairs; without a declaration the classes are the labels in them."""
        kept = kept_detections(table, self.score_threshold, self.max_detections)
        chosen = keep_overlaps(table, kept.index_select(0, table.overlap_detection))
        matches = match_across_classes(chosen, self.iou_threshold, self.area_bounds)
        hit = matches.hits[0] != 0
        predicted, true = table.labels[matches.detection[hit]], table.target_labels[matches.target[hit]]
        if self.class_names is None:
            self.classes = torch.cat([predicted, true]).unique()
        totals = (torch.bincount(self._class_index(x), minlength=len(self.classes)) for x in (true, predicted))
        support, num_predicted = totals
        tp = torch.bincount(self._class_index(true[true == predicted]), minlength=len(self.classes))
        return tp, num_predicted - tp, support - tp


def _row(values: dict[str, float], suffix: str, support: str) -> list[float | None]:
    return [*(values[f"{name}{suffix}"] for name in FORMULAS), int(values[support])]
