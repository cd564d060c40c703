"""Several scores of a segmentation for each class and over all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from detmetrics import arguments
from detmetrics.reduce import averages, formulas
from detmetrics.reduce.formulas import Formula
from detmetrics.segmentation.counting import ImageCounts
from detmetrics.segmentation.metric import CountingMetric, evaluate
from detmetrics.segmentation.scores import accuracy_formula, excluded_mask
from detmetrics.segmentation.settings import ReportSettings
from detmetrics.settings import Setting

COLUMNS: dict[str, Formula] = {
    "iou": formulas.iou,
    "f1": formulas.f_beta,
    "precision": formulas.precision,
    "recall": formulas.recall,
}


def report(counts: ImageCounts, settings: ReportSettings) -> dict[str, Tensor]:
    """The scores of each class and their averages, from counts pooled over all images."""
    table = counts.total.unbind(dim=-1)  # tp, fp, fn, tn, (C,) each
    mask = excluded_mask(settings, counts.total)

    def reduced(formula: Formula, average: str) -> Tensor:
        return averages.average(formula, table, average=average, zero_division=settings.zero_division, excluded=mask)

    columns = {column: reduced(formula, "none") for column, formula in COLUMNS.items()}  # (C,) each
    columns["support"] = (table[0] + table[2]).double()
    results = {f"{c}/{name}": x for c, xs in columns.items() for name, x in zip(settings.names, xs, strict=True)}
    results |= {f"mean_{column}": reduced(formula, "macro") for column, formula in COLUMNS.items()}
    results["frequency_weighted_iou"] = reduced(formulas.iou, "weighted")
    results["pixel_accuracy"] = reduced(accuracy_formula(settings), "micro")
    return results


def report_table(results: Mapping[str, Tensor], settings: ReportSettings, digits: int) -> str:
    """The results of :func:`report` as text."""
    from detmetrics.show.tables import score_table

    values = {key: value.item() for key, value in results.items()}
    names = settings.names
    classes = {n: [*(values[f"{c}/{n}"] for c in COLUMNS), int(values[f"support/{n}"])] for n in names}
    support = sum(int(values[f"support/{name}"]) for name in names)
    over_all: dict[str, list[float | None]] = {
        "mean": [*(values[f"mean_{column}"] for column in COLUMNS), support],
        "weighted iou": [values["frequency_weighted_iou"], None, None, None, support],
        "accuracy": [None, None, None, values["pixel_accuracy"], support],
    }
    return score_table([*COLUMNS, "support"], classes, over_all, digits)


class SegmentationReport(CountingMetric):
    """IoU, F1, precision, recall and support of each class, pixel accuracy, mean and frequency-weighted IoU.

    Counts are pooled over all images. The state is of constant size, 32 bytes per class, and shared with the scores in
    a ``MetricCollection``; images with ids are rows of ``16 + 32 C`` bytes.

    The function is :func:`detmetrics.functional.segmentation_report`.

    Args:
        task: ``"multiclass"`` (label maps), ``"binary"`` (one mask, whose foreground is reported) or ``"multilabel"``
            (C masks).
        num_classes: C. None for binary inputs, or if ``class_names`` has them.
        class_names: The names of the C classes, in the results: a list, or a dict from label to name.
        ignore_index: Values of the target, labels or not, whose pixels are left out of everything: an int, several, or
            None. A class among them is left out of averages too.
        exclude_classes: Classes that are left out of averages alone, the background for example: an int, several, or
            None.
        zero_division: What stands for 0/0, also in a mean over nothing. NaN is left out of means.
        threshold: Scores at or above it count as 1, for binary and multilabel inputs; a probability.
        from_logits: Whether these scores are logits rather than probabilities. The largest of multiclass scores is the
            same for both.
        duplicates: What becomes of an image whose id came before with the same target: ``"drop"`` (it does not count,
            and a warning says so), ``"error"`` (raise if it is predicted otherwise), ``"keep"`` (every image counts,
            also with another target).
        kwargs: The keyword arguments of ``torchmetrics.Metric``.

    Raises:
        ValueError: if an argument does not fit.

    Example:
        >>> import torch
        >>> from detmetrics import SegmentationReport
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

    class_names = Setting()
    exclude_classes = Setting()

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
        duplicates: str = "drop",
        **kwargs: Any,
    ) -> None:
        settings = ReportSettings.of(
            task=task,
            num_classes=num_classes,
            class_names=class_names,
            ignore_index=ignore_index,
            exclude_classes=exclude_classes,
            zero_division=zero_division,
            threshold=threshold,
            from_logits=from_logits,
            duplicates=duplicates,
        )
        super().__init__(settings, **kwargs)

    def compute(self) -> dict[str, Tensor]:
        """The scores of all images so far.

        Returns:
            A dict of 0-d float64 tensors: ``iou/<name>``, ``f1/<name>``, ``precision/<name>``, ``recall/<name>`` and
            ``support/<name>`` (pixels) for each class, NaN for ignored and excluded classes; ``mean_iou``, ``mean_f1``,
            ``mean_precision``, ``mean_recall``, ``frequency_weighted_iou`` and ``pixel_accuracy``, which for binary and
            multilabel inputs is (tp + tn) / (tp + fp + fn + tn).

        Raises:
            ValueError: if an id has several targets, or if values of an earlier update were invalid.
        """
        return report(self.data(), self.settings)

    def table(self, digits: int = 2) -> str:
        """The results as text, in the layout of scikit-learn's ``classification_report``.

        Args:
            digits: After the point.

        Returns:
            A line for each class, then the mean, the frequency-weighted IoU and the pixel accuracy.

        Raises:
            ValueError: if ``digits`` is not 0 or more, or from :meth:`compute`.
        """
        return report_table(self.compute(), self.settings, arguments.count("digits", digits))

    def plot(self, val: Any = None, ax: Any = None, *, score: str = "iou") -> tuple[Any, Any]:
        """Draw a score of each class with its support, or over several results the averages of the score.

        Args:
            val: What ``compute()`` or ``forward()`` has returned, or a list of such results, one per epoch. None for
                ``compute()`` now, on all ranks.
            ax: A matplotlib axis to draw on. None for that of a new figure.
            score: Which score to draw: ``"iou"``, ``"f1"``, ``"precision"`` or ``"recall"``.

        Returns:
            The matplotlib figure and axis.

        Raises:
            ModuleNotFoundError: if matplotlib is not installed.
            ValueError: if ``score`` is none of these, or ``val`` is no such result.

        Example:
            >>> import torch
            >>> from detmetrics import SegmentationReport
            >>> metric = SegmentationReport(class_names=["road", "sky"])
            >>> metric.update(torch.tensor([[0, 1, 1, 1]]), torch.tensor([[0, 0, 1, 1]]))
            >>> fig, ax = metric.plot()
            >>> ax.get_xlabel(), [text.get_text() for text in ax.get_yticklabels()]
            ('IoU (dashed: mean 0.583)', ['sky', 'road'])
        """
        from detmetrics.show.plot import pictures

        arguments.choice("score", score, tuple(COLUMNS))
        return pictures.draw(pictures.Report(score), val, self.compute, ax)


def segmentation_report(
    preds: Tensor,
    target: Tensor,
    image_ids: Sequence[int] | Tensor | None = None,
    *,
    task: str = "multiclass",
    num_classes: int | None = None,
    class_names: Sequence[str] | Mapping[int, str] | None = None,
    ignore_index: int | Sequence[int] | None = None,
    exclude_classes: int | Sequence[int] | None = None,
    zero_division: float = float("nan"),
    threshold: float = 0.5,
    from_logits: bool = False,
    duplicates: str = "drop",
) -> dict[str, Tensor]:
    """IoU, F1, precision, recall and support of each class of a whole data set, and their averages.

    Args:
        preds: multiclass: labels ``(B, ...)`` of any dtype, or scores ``(B, C, ...)``, whose largest counts. binary:
            ``(B, ...)``, multilabel: ``(B, C, ...)``, scores of a floating dtype, or 0 and 1 of another.
        target: multiclass: labels ``(B, ...)``; binary and multilabel: 0 and 1, of the shape of ``preds``.
        image_ids: A non-negative int for each image, ``(B,)``: repeated images count once.
        task: ``"multiclass"`` (label maps), ``"binary"`` (one mask, whose foreground is reported) or ``"multilabel"``
            (C masks).
        num_classes: C. None for binary inputs, or if ``class_names`` has them.
        class_names: The names of the C classes, in the results: a list, or a dict from label to name.
        ignore_index: Values of the target, labels or not, whose pixels are left out of everything: an int, several, or
            None. A class among them is left out of averages too.
        exclude_classes: Classes that are left out of averages alone, the background for example: an int, several, or
            None.
        zero_division: What stands for 0/0, also in a mean over nothing. NaN is left out of means.
        threshold: Scores at or above it count as 1, for binary and multilabel inputs; a probability.
        from_logits: Whether these scores are logits rather than probabilities. The largest of multiclass scores is the
            same for both.
        duplicates: What becomes of an image whose id came before with the same target: ``"drop"`` (it does not count,
            and a warning says so), ``"error"`` (raise if it is predicted otherwise), ``"keep"`` (every image counts,
            also with another target).

    Returns:
        A dict of 0-d float64 tensors: ``iou/<name>``, ``f1/<name>``, ``precision/<name>``, ``recall/<name>`` and
        ``support/<name>`` (pixels) for each class, NaN for ignored and excluded classes; ``mean_iou``, ``mean_f1``,
        ``mean_precision``, ``mean_recall``, ``frequency_weighted_iou`` and ``pixel_accuracy``, which for binary and
        multilabel inputs is (tp + tn) / (tp + fp + fn + tn).

    Raises:
        ValueError: if an argument or an input does not fit.

    Example:
        >>> import torch
        >>> from detmetrics.functional import segmentation_report
        >>> preds, target = torch.tensor([[0, 1, 1]]), torch.tensor([[0, 0, 1]])
        >>> report = segmentation_report(preds, target, num_classes=2)
        >>> report["mean_iou"].item(), report["support/0"].item()
        (0.5, 2.0)
    """
    metric = SegmentationReport(
        task=task,
        num_classes=num_classes,
        class_names=class_names,
        ignore_index=ignore_index,
        exclude_classes=exclude_classes,
        zero_division=zero_division,
        threshold=threshold,
        from_logits=from_logits,
        duplicates=duplicates,
        sync_on_compute=False,
    )
    result: dict[str, Tensor] = evaluate(metric, preds, target, image_ids)
    return result
