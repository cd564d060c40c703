"""The confusion matrix of a segmentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from detmetrics.reduce.formulas import divide
from detmetrics.segmentation.counting import ImageCounts
from detmetrics.segmentation.metric import CountingMetric, evaluate
from detmetrics.segmentation.settings import NORMALIZATIONS, ConfusionMatrixSettings
from detmetrics.settings import Setting


def confusion_matrix(counts: ImageCounts, settings: ConfusionMatrixSettings) -> Tensor:
    """The confusion matrix of counts, ``(C, C)``; of masks ``(2, 2)`` or ``(C, 2, 2)``; normalised if asked."""
    if settings.task == "multiclass":
        matrix = counts.total[:-1]  # without the row of ignored pixels
    else:
        matrix = _of_masks(counts.total if settings.task == "multilabel" else counts.total[0])
    if settings.normalize is None:
        return matrix.clone()
    sums = matrix.sum(dim=NORMALIZATIONS[settings.normalize], keepdim=True)
    return divide(matrix, sums, settings.zero_division)


def _of_masks(counts: Tensor) -> Tensor:
    """tp, fp, fn, tn (..., 4) as [[tn, fp], [fn, tp]] (..., 2, 2)."""
    tp, fp, fn, tn = counts.unbind(dim=-1)
    return torch.stack([torch.stack([tn, fp], dim=-1), torch.stack([fn, tp], dim=-1)], dim=-2)


class SegmentationConfusionMatrix(CountingMetric):
    """How many pixels of each class were predicted as each class.

    The state is one int64 matrix ``(C + 1, C)`` (the last row has the predictions on ignored pixels), and for images
    with ids a row of ``16 + 8 C (C + 1)`` bytes each. For binary and multilabel inputs it is that of the scores.

    The function is :func:`detmetrics.functional.segmentation_confusion_matrix`.

    Args:
        task: ``"multiclass"`` (label maps), ``"binary"`` (one mask, whose foreground is reported) or ``"multilabel"``
            (C masks).
        num_classes: C. None for binary inputs, or if ``class_names`` has them.
        class_names: The names of the C classes, in the results: a list, or a dict from label to name.
        normalize: ``"true"`` (each row sums to 1), ``"pred"`` (each column does), ``"all"`` (the matrix does), or None
            for counts.
        ignore_index: Values of the target, labels or not, whose pixels are left out of everything: an int, several, or
            None. A class among them is left out of averages too.
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

    Source: scikit-learn's ``confusion_matrix`` and ``multilabel_confusion_matrix``.

    Example:
        >>> import torch
        >>> from detmetrics import SegmentationConfusionMatrix
        >>> metric = SegmentationConfusionMatrix(num_classes=2, ignore_index=255)
        >>> metric.update(torch.tensor([[0, 1, 1, 1]]), torch.tensor([[0, 0, 1, 255]]))
        >>> metric.compute().tolist()
        [[1, 1], [0, 1]]
    """

    higher_is_better = None
    plot_upper_bound = None

    class_names = Setting()
    normalize = Setting()

    def __init__(
        self,
        *,
        task: str = "multiclass",
        num_classes: int | None = None,
        class_names: Sequence[str] | Mapping[int, str] | None = None,
        normalize: str | None = None,
        ignore_index: int | Sequence[int] | None = None,
        zero_division: float = float("nan"),
        threshold: float = 0.5,
        from_logits: bool = False,
        duplicates: str = "drop",
        **kwargs: Any,
    ) -> None:
        settings = ConfusionMatrixSettings.of(
            task=task,
            num_classes=num_classes,
            class_names=class_names,
            normalize=normalize,
            ignore_index=ignore_index,
            zero_division=zero_division,
            threshold=threshold,
            from_logits=from_logits,
            duplicates=duplicates,
        )
        super().__init__(settings, **kwargs)

    def compute(self) -> Tensor:
        """The matrix of all images so far.

        Returns:
            int64, or float64 if normalised. Multiclass: ``(C, C)``, rows are targets and columns predictions. Binary:
            ``(2, 2)``, that is [[tn, fp], [fn, tp]]. Multilabel: such a matrix for each class, ``(C, 2, 2)``.

        Raises:
            ValueError: if an id has several targets, or if values of an earlier update were invalid.
        """
        return confusion_matrix(self.data(), self.settings)

    def plot(self, val: Any = None, ax: Any = None) -> tuple[Any, Any]:
        """Draw the matrix; over several results the share on its diagonal.

        Args:
            val: What ``compute()`` or ``forward()`` has returned, or a list of such results, one per epoch. None for
                ``compute()`` now, on all ranks.
            ax: A matplotlib axis to draw on. None for that of a new figure.

        Returns:
            The matplotlib figure and axis.

        Raises:
            ModuleNotFoundError: if matplotlib is not installed.
            ValueError: if ``val`` has nothing that can be drawn.
        """
        from detmetrics.show.plot import pictures

        return pictures.draw(pictures.Matrix(_class_titles(self.settings)), val, self.compute, ax)


def _class_titles(settings: ConfusionMatrixSettings) -> list[str]:
    """What the classes are called in pictures; of a binary mask there are two."""
    names = settings.names
    if settings.task != "binary":
        return names
    return ["background", "foreground"] if settings.class_names is None else [f"not {names[0]}", names[0]]


def segmentation_confusion_matrix(
    preds: Tensor,
    target: Tensor,
    image_ids: Sequence[int] | Tensor | None = None,
    *,
    task: str = "multiclass",
    num_classes: int | None = None,
    class_names: Sequence[str] | Mapping[int, str] | None = None,
    normalize: str | None = None,
    ignore_index: int | Sequence[int] | None = None,
    zero_division: float = float("nan"),
    threshold: float = 0.5,
    from_logits: bool = False,
    duplicates: str = "drop",
) -> Tensor:
    """How many pixels of each class were predicted as each class, in a whole data set.

    Args:
        preds: multiclass: labels ``(B, ...)`` of any dtype, or scores ``(B, C, ...)``, whose largest counts. binary:
            ``(B, ...)``, multilabel: ``(B, C, ...)``, scores of a floating dtype, or 0 and 1 of another.
        target: multiclass: labels ``(B, ...)``; binary and multilabel: 0 and 1, of the shape of ``preds``.
        image_ids: A non-negative int for each image, ``(B,)``: repeated images count once.
        task: ``"multiclass"`` (label maps), ``"binary"`` (one mask, whose foreground is reported) or ``"multilabel"``
            (C masks).
        num_classes: C. None for binary inputs, or if ``class_names`` has them.
        class_names: The names of the C classes, in the results: a list, or a dict from label to name.
        normalize: ``"true"`` (each row sums to 1), ``"pred"`` (each column does), ``"all"`` (the matrix does), or None
            for counts.
        ignore_index: Values of the target, labels or not, whose pixels are left out of everything: an int, several, or
            None. A class among them is left out of averages too.
        zero_division: What stands for 0/0, also in a mean over nothing. NaN is left out of means.
        threshold: Scores at or above it count as 1, for binary and multilabel inputs; a probability.
        from_logits: Whether these scores are logits rather than probabilities. The largest of multiclass scores is the
            same for both.
        duplicates: What becomes of an image whose id came before with the same target: ``"drop"`` (it does not count,
            and a warning says so), ``"error"`` (raise if it is predicted otherwise), ``"keep"`` (every image counts,
            also with another target).

    Returns:
        int64, or float64 if normalised. Multiclass: ``(C, C)``, rows are targets and columns predictions. Binary: ``(2,
        2)``, that is [[tn, fp], [fn, tp]]. Multilabel: such a matrix for each class, ``(C, 2, 2)``.

    Raises:
        ValueError: if an argument or an input does not fit.

    Example:
        >>> import torch
        >>> from detmetrics.functional import segmentation_confusion_matrix
        >>> preds, target = torch.tensor([[0, 1, 1]]), torch.tensor([[0, 0, 1]])
        >>> segmentation_confusion_matrix(preds, target, num_classes=2).tolist()
        [[1, 1], [0, 1]]
    """
    metric = SegmentationConfusionMatrix(
        task=task,
        num_classes=num_classes,
        class_names=class_names,
        normalize=normalize,
        ignore_index=ignore_index,
        zero_division=zero_division,
        threshold=threshold,
        from_logits=from_logits,
        duplicates=duplicates,
        sync_on_compute=False,
    )
    result: Tensor = evaluate(metric, preds, target, image_ids)
    return result
