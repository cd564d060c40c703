"""One score of a segmentation: IoU, F-beta, precision, recall, specificity, accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from detmetrics import checks
from detmetrics.counting import COUNTS, Counting, CountingMetric
from detmetrics.ops import scores
from detmetrics.pictured import PicturedScore


class SegmentationScore(PicturedScore, CountingMetric):
    """What all segmentation scores share: exact counts, then a formula, then a reduction.

    With ``aggregate="dataset"`` the state is of constant size, 32 bytes a class; otherwise, and for images with ids, it
    is a row of ``8 + 32 C`` bytes an image. The counts are int64, so no number of pixels is too large.

    Args:
        task: ``"multiclass"`` (label maps), ``"binary"`` (one mask, whose foreground is reported) or ``"multilabel"``
            (C masks).
        num_classes: C. None for binary inputs, or if ``class_names`` has them.
        class_names: The names of the C classes: a list, or a dict from label to name.
        average: ``"micro"`` (counts pooled over the classes), ``"macro"`` (mean over the classes), ``"weighted"`` (mean
            by the target support), ``"none"`` (one value a class).
        aggregate: ``"dataset"`` (counts pooled over the images, then the score), ``"imagewise"`` (the score of each
            image as if it were the data set, then the mean over images), ``"classwise"`` (for each class the mean over
            images, then over classes; not with micro), ``"pooled"`` (the mean over all defined cells of images and
            classes; macro or none).
        ignore_index: Values of the target, labels or not, whose pixels are left out of everything: an int, several, or
            None. A class among them is left out of the averages too.
        exclude_classes: Classes that are left out of the averages alone, the background for example.
        class_weights: C numbers for macro averages: sum(w * s) / sum(w) over the defined cells.
        zero_division: What 0/0 is, in each cell before any mean and in a mean over nothing. NaN leaves it out.
        threshold: Scores at or above it count as 1, for binary and multilabel inputs; a probability.
        from_logits: Whether these scores are logits rather than probabilities. The largest of multiclass scores is the
            same for both.
        kwargs: The keyword arguments of ``torchmetrics.Metric``.

    Returns of ``compute()``:
        A 0-d float64 tensor. With ``average="none"`` ``(C,)``, NaN for ignored and excluded classes, or a dict of 0-d
        tensors such as ``iou/<name>`` if there are class names.

    Raises:
        ValueError: if an argument does not fit.
    """

    key = "score"  # in results with one entry a class

    def __init__(
        self,
        *,
        task: str = "multiclass",
        num_classes: int | None = None,
        class_names: Sequence[str] | Mapping[int, str] | None = None,
        average: str = "macro",
        aggregate: str = "dataset",
        ignore_index: int | Sequence[int] | None = None,
        exclude_classes: int | Sequence[int] | None = None,
        class_weights: Sequence[float] | Tensor | None = None,
        zero_division: float = float("nan"),
        threshold: float = 0.5,
        from_logits: bool = False,
        **kwargs: Any,
    ) -> None:
        counting = Counting(task, num_classes, class_names, ignore_index, threshold, from_logits)
        checks.check_reduction(average, aggregate, scores.AGGREGATES)
        super().__init__(counting, (counting.num_classes, COUNTS), "counts", aggregate != "dataset", **kwargs)
        self.task, self.num_classes, self.named = task, counting.num_classes, class_names is not None
        self.average, self.aggregate = average, aggregate
        self.zero_division = checks.check_zero_division(zero_division)
        self.exclude_classes = checks.check_labels("exclude_classes", exclude_classes, self.num_classes)
        self.class_weights = None
        if class_weights is not None:
            self.class_weights = checks.check_class_weights(class_weights, self.num_classes, average)

    def formula(self, tp: Tensor, fp: Tensor, fn: Tensor, tn: Tensor) -> Tensor:
        """The score of exact counts of any shape, NaN where it is 0/0."""
        raise NotImplementedError

    def compute(self) -> Tensor | dict[str, Tensor]:
        """The score of all images so far; see the class."""
        score = scores.average(
            self.formula,
            self._read().unbind(dim=-1),
            average=self.average,
            aggregate=self.aggregate,
            zero_division=self.zero_division,
            class_weights=None if self.class_weights is None else torch.tensor(self.class_weights, dtype=torch.float64),
            excluded=self._counting.excluded(self.exclude_classes, self.device),
        )
        if self.average != "none" or not self.named:
            return score
        return {f"{self.key}/{name}": value for name, value in zip(self._counting.names, score, strict=True)}

    def _drawn_names(self) -> tuple[str, list[str] | None]:
        return self.key, self._counting.names

    def _support(self) -> dict[str, int]:
        with self.synced():
            tp, _, fn, _ = self._read().view(-1, self.num_classes, COUNTS).sum(dim=0).unbind(dim=-1)  # (C,) each
        return dict(zip(self._counting.names, (tp + fn).tolist(), strict=True))


class SegmentationIoU(SegmentationScore):
    """Intersection over union, the Jaccard index: tp / (tp + fp + fn).

    Arguments, state, results and errors are those of :class:`SegmentationScore`. In [0, 1]. The function is
    :func:`detmetrics.functional.segmentation_iou`.

    Example:
        >>> metric = SegmentationIoU(num_classes=2, ignore_index=255)
        >>> metric.update(torch.tensor([[0, 1, 1, 1]]), torch.tensor([[0, 0, 1, 255]]))
        >>> metric.compute().item()
        0.5
    """

    key = "iou"

    def formula(self, tp: Tensor, fp: Tensor, fn: Tensor, tn: Tensor) -> Tensor:
        """Compute tp / (tp + fp + fn)."""
        return scores.iou(tp, fp, fn, tn)


class SegmentationPrecision(SegmentationScore):
    """Precision: tp / (tp + fp), how much of what was predicted is right.

    Arguments, state, results and errors are those of :class:`SegmentationScore`. In [0, 1]. The function is
    :func:`detmetrics.functional.segmentation_precision`.

    Example:
        >>> metric = SegmentationPrecision(num_classes=2, ignore_index=255)
        >>> metric.update(torch.tensor([[0, 1, 1, 1]]), torch.tensor([[0, 0, 1, 255]]))
        >>> metric.compute().item()
        0.75
    """

    key = "precision"

    def formula(self, tp: Tensor, fp: Tensor, fn: Tensor, tn: Tensor) -> Tensor:
        """Compute tp / (tp + fp)."""
        return scores.precision(tp, fp, fn, tn)


class SegmentationRecall(SegmentationScore):
    """Recall, sensitivity: tp / (tp + fn), how much of the target was found.

    Arguments, state, results and errors are those of :class:`SegmentationScore`. In [0, 1]. The function is
    :func:`detmetrics.functional.segmentation_recall`.

    Example:
        >>> metric = SegmentationRecall(num_classes=2, ignore_index=255)
        >>> metric.update(torch.tensor([[0, 1, 1, 1]]), torch.tensor([[0, 0, 1, 255]]))
        >>> metric.compute().item()
        0.75
    """

    key = "recall"

    def formula(self, tp: Tensor, fp: Tensor, fn: Tensor, tn: Tensor) -> Tensor:
        """Compute tp / (tp + fn)."""
        return scores.recall(tp, fp, fn, tn)


class SegmentationSpecificity(SegmentationScore):
    """Specificity: tn / (tn + fp), how much of the rest was left alone.

    Arguments, state, results and errors are those of :class:`SegmentationScore`. In [0, 1]. The function is
    :func:`detmetrics.functional.segmentation_specificity`.

    Example:
        >>> metric = SegmentationSpecificity(num_classes=2, average="none", class_names=["a", "b"], ignore_index=255)
        >>> metric.update(torch.tensor([[0, 1, 1, 1]]), torch.tensor([[0, 0, 1, 255]]))
        >>> metric.compute()
        {'specificity/a': tensor(1., dtype=torch.float64), 'specificity/b': tensor(0.5000, dtype=torch.float64)}
    """

    key = "specificity"

    def formula(self, tp: Tensor, fp: Tensor, fn: Tensor, tn: Tensor) -> Tensor:
        """Compute tn / (tn + fp)."""
        return scores.specificity(tp, fp, fn, tn)


class SegmentationAccuracy(SegmentationScore):
    """Accuracy: the share of pixels that are right.

    Multiclass: a class's accuracy is its recall, and with ``average="micro"`` the accuracy is that of all pixels.
    Binary and multilabel: (tp + tn) / (tp + fp + fn + tn).

    Arguments, state, results and errors are those of :class:`SegmentationScore`. In [0, 1]. The function is
    :func:`detmetrics.functional.segmentation_accuracy`.

    Example:
        >>> metric = SegmentationAccuracy(num_classes=2, average="micro", ignore_index=255)
        >>> metric.update(torch.tensor([[0, 1, 1, 1]]), torch.tensor([[0, 0, 1, 255]]))
        >>> metric.compute().round(decimals=4).item()
        0.6667
    """

    key = "accuracy"

    def formula(self, tp: Tensor, fp: Tensor, fn: Tensor, tn: Tensor) -> Tensor:
        """Recall for multiclass inputs, else (tp + tn) / (tp + fp + fn + tn)."""
        return (scores.recall if self.task == "multiclass" else scores.accuracy)(tp, fp, fn, tn)


class SegmentationFBetaScore(SegmentationScore):
    """F-beta: (1 + b^2) tp / ((1 + b^2) tp + b^2 fn + fp), in which recall weighs b times as much as precision.

    Arguments, state, results and errors are those of :class:`SegmentationScore`. In [0, 1]. The function is
    :func:`detmetrics.functional.segmentation_fbeta_score`.

    Args:
        beta: b, a positive number.
        kwargs: The arguments of :class:`SegmentationScore`.

    Example:
        >>> metric = SegmentationFBetaScore(beta=2.0, task="binary")
        >>> metric.update(torch.tensor([[0.9, 0.8, 0.1]]), torch.tensor([[1, 0, 0]]))
        >>> metric.compute().item() == 5 / (5 + 1)
        True
    """

    key = "f_beta"

    def __init__(self, *, beta: float = 1.0, **kwargs: Any) -> None:
        self.beta = checks.check_number("beta", beta, above=0)
        super().__init__(**kwargs)

    def _plot_label(self, **choice: Any) -> str:
        return f"F{self.beta:g}"

    def formula(self, tp: Tensor, fp: Tensor, fn: Tensor, tn: Tensor) -> Tensor:
        """(1 + b^2) tp / ((1 + b^2) tp + b^2 fn + fp)."""
        return scores.f_beta(tp, fp, fn, tn, beta=self.beta)


class SegmentationF1Score(SegmentationScore):
    """F1, which is Dice: 2 tp / (2 tp + fp + fn).

    Arguments, state, results and errors are those of :class:`SegmentationScore`. In [0, 1]. The function is
    :func:`detmetrics.functional.segmentation_f1_score`.

    Example:
        >>> metric = SegmentationF1Score(num_classes=3, exclude_classes=0, aggregate="imagewise")
        >>> metric.update(torch.tensor([[0, 1, 1, 1], [0, 0, 0, 0]]), torch.tensor([[0, 0, 1, 1], [0, 0, 0, 0]]))
        >>> metric.compute()  # nothing is defined in the second image
        tensor(0.8000, dtype=torch.float64)
    """

    key = "f1"

    def formula(self, tp: Tensor, fp: Tensor, fn: Tensor, tn: Tensor) -> Tensor:
        """2 tp / (2 tp + fp + fn)."""
        return scores.f_beta(tp, fp, fn, tn)
