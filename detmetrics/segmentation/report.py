"""Several scores of a segmentation for each class and over all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from detmetrics import checks
from detmetrics.counting import COUNTS, Counting, CountingMetric
from detmetrics.ops import scores
from detmetrics.pictured import PicturedReport

COLUMNS = {"iou": scores.iou, "f1": scores.f_beta, "precision": scores.precision, "recall": scores.recall}


class SegmentationReport(PicturedReport, CountingMetric):
    """IoU, F1, precision, recall and support of each class, pixel accuracy, mean and frequency-weighted IoU.

    Counts are pooled over all images. The state is of constant size, 32 bytes a class, and shared with the scores in a
    ``MetricCollection``.

    Args:
        task: ``"multiclass"``, ``"binary"`` or ``"multilabel"``.
        num_classes: C. None for binary inputs, or if ``class_names`` has them.
        class_names: The names of the C classes, in the results: a list, or a dict from label to name. None: the labels.
        ignore_index: Values of the target, labels or not, whose pixels are left out: an int, several, or None.
        exclude_classes: Classes that are left out of the averages and NaN among the results.
        zero_division: What 0/0 is; NaN is left out of means.
        threshold: Scores at or above it count as 1, for binary and multilabel inputs; a probability.
        from_logits: Whether these scores are logits rather than probabilities.
        kwargs: The keyword arguments of ``torchmetrics.Metric``.

    Returns of ``compute()``:
        A dict of 0-d float64 tensors: ``iou/<name>``, ``f1/<name>``, ``precision/<name>``, ``recall/<name>`` and
        ``support/<name>`` (pixels) for each class; ``mean_iou``, ``mean_f1``, ``mean_precision``, ``mean_recall``,
        ``frequency_weighted_iou`` and ``pixel_accuracy``, which for binary and multilabel inputs is
        (tp + tn) / (tp + fp + fn + tn).

    Raises:
        ValueError: if an argument does not fit.

    The function is :func:`detmetrics.functional.segmentation_report`.

    Example:
        >>> import torch
        >>> metric = SegmentationReport(class_names=["road", "sky"], ignore_index=255)
        >>> metric.update(torch.tensor([[0, 1, 1, 1]]), torch.tensor([[0, 0, 1, 255]]))
        >>> round(metric.compute()["pixel_accuracy"].item(), 4)
        0.6667
        >>> print(metric.table())
                            iou        f1 precision    recall   support
        <BLANKLINE>
                road       0.50      0.67      1.00      0.50         2
                 sky       0.50      0.67      0.50      1.00         1
        <BLANKLINE>
                mean       0.50      0.67      0.75      0.75         3
        weighted iou       0.50                                       3
            accuracy                                     0.67         3
        <BLANKLINE>
    """

    plotted_scores = tuple(COLUMNS)
    plotted_first = "iou"

    def __init__(
        self,
        *,
        task: str = "multiclass",
        num_classes: int | None = None,
        class_names: Sequence[str] | Mapping[int, str] | None = None,
        ignore_index: int | Sequence[int] | None = None,
        exclude_classes: int | Sequence[int] | None = None,
        zero_division: float = float("nan"),
        threshold: float = 0.5,
        from_logits: bool = False,
        **kwargs: Any,
    ) -> None:
        counting = Counting(task, num_classes, class_names, ignore_index, threshold, from_logits)
        super().__init__(counting, (counting.num_classes, COUNTS), "counts", False, **kwargs)
        self.task = task
        self.zero_division = checks.check_zero_division(zero_division)
        self.exclude_classes = checks.check_labels("exclude_classes", exclude_classes, counting.num_classes)

    def compute(self) -> dict[str, Tensor]:
        """The results for all images so far; see the class."""
        counts = self._read().unbind(dim=-1)  # tp, fp, fn, tn, (C,) each
        results: dict[str, Tensor] = {}
        for column, formula in COLUMNS.items():
            results |= self._by_name(column, self._average(formula, counts, "none"))
        results |= self._by_name("support", (counts[0] + counts[2]).double())
        results |= {f"mean_{column}": self._average(formula, counts, "macro") for column, formula in COLUMNS.items()}
        results["frequency_weighted_iou"] = self._average(scores.iou, counts, "weighted")
        accuracy = scores.recall if self.task == "multiclass" else scores.accuracy
        results["pixel_accuracy"] = self._average(accuracy, counts, "micro")
        return results

    def table(self, digits: int = 2) -> str:
        """The results as text, in the layout of scikit-learn's ``classification_report``.

        Args:
            digits: after the point.

        Returns:
            A line for each class, then the mean, the frequency-weighted IoU and the pixel accuracy.
        """
        from detmetrics.report import score_table

        values = {key: value.item() for key, value in self.compute().items()}
        names = self._counting.names
        classes = {n: [*(values[f"{c}/{n}"] for c in COLUMNS), int(values[f"support/{n}"])] for n in names}
        support = sum(int(values[f"support/{name}"]) for name in names)
        averages: dict[str, list[float | None]] = {
            "mean": [*(values[f"mean_{column}"] for column in COLUMNS), support],
            "weighted iou": [values["frequency_weighted_iou"], None, None, None, support],
            "accuracy": [None, None, None, values["pixel_accuracy"], support],
        }
        return score_table([*COLUMNS, "support"], classes, averages, digits)

    def _average(self, formula: scores.Formula, counts: Sequence[Tensor], average: str) -> Tensor:
        mask = self._counting.excluded(self.exclude_classes, self.device)
        return scores.average(formula, counts, average=average, zero_division=self.zero_division, excluded=mask)

    def _by_name(self, column: str, values: Tensor) -> dict[str, Tensor]:
        return {f"{column}/{name}": value for name, value in zip(self._counting.names, values, strict=True)}
