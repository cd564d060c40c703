"""The confusion matrix of a segmentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from detmetrics import checks
from detmetrics.counting import COUNTS, Counted, Counting, CountingMetric
from detmetrics.ops.scores import divide
from detmetrics.pictured import PicturedMatrix

NORMALIZATIONS: dict[str | None, tuple[int, ...]] = {None: (), "true": (-1,), "pred": (-2,), "all": (-2, -1)}


class SegmentationConfusionMatrix(PicturedMatrix, CountingMetric):
    """How many pixels of each class were predicted as each class.

    The state is one int64 matrix ``(C + 1, C)`` (the last row has the predictions on ignored pixels), and for images
    with ids a row of ``8 + 8 C (C + 1)`` bytes each. For binary and multilabel inputs it is that of the scores.

    Args:
        task: ``"multiclass"``, ``"binary"`` or ``"multilabel"``.
        num_classes: C. None for binary inputs, or if ``class_names`` has them.
        class_names: The names of the C classes: a list, or a dict from label to name.
        normalize: ``"true"`` (each row sums to 1), ``"pred"`` (each column does), ``"all"``, or None for counts.
        ignore_index: Values of the target, labels or not, whose pixels are left out: an int, several, or None.
        zero_division: What stands in a row, column or matrix without pixels when it is normalised.
        threshold: Scores at or above it count as 1, for binary and multilabel inputs; a probability.
        from_logits: Whether these scores are logits rather than probabilities.
        kwargs: The keyword arguments of ``torchmetrics.Metric``.

    Returns of ``compute()``:
        int64, or float64 if normalised. Multiclass: ``(C, C)``, rows are targets and columns predictions. Binary:
        ``(2, 2)``, that is [[tn, fp], [fn, tp]]. Multilabel: such a matrix for each class, ``(C, 2, 2)``.

    Raises:
        ValueError: if an argument does not fit.

    Source: scikit-learn's ``confusion_matrix`` and ``multilabel_confusion_matrix``. The function is
    :func:`detmetrics.functional.segmentation_confusion_matrix`.

    Example:
        >>> metric = SegmentationConfusionMatrix(num_classes=2, ignore_index=255)
        >>> metric.update(torch.tensor([[0, 1, 1, 1]]), torch.tensor([[0, 0, 1, 255]]))
        >>> metric.compute().tolist()
        [[1, 1], [0, 1]]
    """

    higher_is_better = None
    plot_upper_bound = None

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
        **kwargs: Any,
    ) -> None:
        counting = Counting(task, num_classes, class_names, ignore_index, threshold, from_logits)
        checks.check_choice("normalize", normalize, tuple(NORMALIZATIONS))
        num_classes = counting.num_classes
        if task == "multiclass":
            super().__init__(counting, (num_classes + 1, num_classes), "confusion", False, **kwargs)
        else:
            super().__init__(counting, (num_classes, COUNTS), "counts", False, **kwargs)
        self.task, self.normalize, self._named = task, normalize, class_names is not None
        self.zero_division = checks.check_zero_division(zero_division)

    def compute(self) -> Tensor:
        """The matrix of all images so far; see the class."""
        counts = self._read()
        if self.task == "multiclass":
            matrix = counts[:-1]
        else:
            matrix = _of_masks(counts) if self.task == "multilabel" else _of_masks(counts[0])
        if self.normalize is None:
            return matrix.clone()
        return divide(matrix, matrix.sum(dim=NORMALIZATIONS[self.normalize], keepdim=True), self.zero_division)

    def _drawn_classes(self) -> list[str]:
        names = self._counting.names
        if self.task != "binary":
            return names
        return [f"not {names[0]}", names[0]] if self._named else ["background", "foreground"]

    def _count(self, preds: Tensor, target: Tensor, per_image: bool) -> Counted:
        if self.task == "multiclass":
            return self._counting.confusion(preds, target, per_image=per_image)
        return super()._count(preds, target, per_image)

    def _of_target(self, counts: Tensor) -> Tensor:
        return counts.sum(dim=-1) if self.task == "multiclass" else super()._of_target(counts)


def _of_masks(counts: Tensor) -> Tensor:
    """tp, fp, fn, tn (..., 4) as [[tn, fp], [fn, tp]] (..., 2, 2)."""
    tp, fp, fn, tn = counts.unbind(dim=-1)
    return torch.stack([torch.stack([tn, fp], dim=-1), torch.stack([fn, tp], dim=-1)], dim=-2)
