"""Averages of scores over classes and images, in a fixed order and with one rule for 0/0."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from detmetrics.reduce.formulas import Formula, divide

AVERAGES = ("micro", "macro", "weighted", "none")
AGGREGATES = {  # and the averages that each goes with
    "dataset": AVERAGES,
    "imagewise": AVERAGES,
    "classwise": ("macro", "weighted", "none"),
    "pooled": ("macro", "none"),
}


def ordered_sum(values: Tensor, dim: int = -1) -> Tensor:
    """Sum in a fixed order: halves are added until one is left.

    ``torch.sum`` splits floats by the number of threads, and another split gives other last bits.

    Example:
        >>> ordered_sum(torch.tensor([1.0, 2.0, 3.0])).item()
        6.0
    """
    values = values.movedim(dim, -1)
    while values.shape[-1] > 1:
        if values.shape[-1] % 2:
            values = torch.nn.functional.pad(values, (0, 1))
        left, right = values.chunk(2, dim=-1)
        values = left + right
    return values.squeeze(-1) if values.shape[-1] else values.new_zeros(values.shape[:-1])


def defined_mean(values: Tensor, dim: int = -1, zero_division: float = float("nan")) -> Tensor:
    """Mean of the values that are not NaN; ``zero_division`` where there is none.

    Example:
        >>> defined_mean(torch.tensor([0.5, float("nan"), 1.0], dtype=torch.float64)).item()
        0.75
    """
    defined = ~values.isnan()
    return divide(ordered_sum(values.where(defined, 0.0), dim), defined.sum(dim), zero_division)


def average(
    formula: Formula,
    counts: Sequence[Tensor],
    *,
    average: str = "macro",
    aggregate: str = "dataset",
    zero_division: float = float("nan"),
    class_weights: Tensor | None = None,
    excluded: Tensor | None = None,
) -> Tensor:
    """The score of a data set, from exact counts for each image and class.

    0/0 is NaN and left out of every mean. A number as ``zero_division`` replaces it, in the cells before any mean and
    in a mean over nothing. Sums run in a fixed order and images are sorted by value, so the bits depend neither on the
    order of the images nor on the number of threads.

    Args:
        formula: Called with the counts; a function of ``reduce/formulas.py``.
        counts: tp, fp, fn, and tn if the formula needs it: ``(B, C)`` int64 each, for B images and C classes. For
            ``aggregate="dataset"`` also ``(C,)``, already pooled.
        average: ``"micro"`` (counts pooled over the classes), ``"macro"`` (mean over the classes), ``"weighted"`` (mean
            by the target support tp + fn), or ``"none"`` (one value per class).
        aggregate: ``"dataset"`` (counts pooled over the images), ``"imagewise"`` (the score of each image as if it were
            the data set, then the mean over images), ``"classwise"`` (for each class the mean over images, then over
            classes), or ``"pooled"`` (the mean over all defined cells). ``"none"`` is the mean over images for all but
            the first. :data:`AGGREGATES` has the averages that go with each.
        zero_division: What stands for 0/0.
        class_weights: ``(C,)`` float64 for ``"macro"``: sum(w * s) / sum(w) over the defined cells.
        excluded: ``(C,)`` bool: classes that are left out of every average, and NaN with ``"none"``.

    Returns:
        A 0-d float64 tensor, with ``"none"`` ``(C,)``.

    Source: the reductions of scikit-learn, torchmetrics, MONAI and segmentation_models_pytorch, brought under one rule.

    Example:
        >>> from detmetrics.reduce.formulas import iou
        >>> tp, fp, fn = torch.tensor([[4, 0], [1, 3]]), torch.tensor([[0, 0], [1, 2]]), torch.tensor([[0, 0], [2, 1]])
        >>> average(iou, (tp, fp, fn)).item() == (5 / 8 + 3 / 6) / 2
        True
        >>> average(iou, (tp, fp, fn), aggregate="pooled").item() == (4 / 4 + 1 / 4 + 3 / 6) / 3
        True
    """
    if excluded is None:
        excluded = torch.zeros(counts[0].shape[-1:], dtype=torch.bool, device=counts[0].device)
    if aggregate == "dataset":
        counts = [_pooled(torch.atleast_2d(count), 0) for count in counts]  # (C,)
        return _over_classes(formula, counts, average, zero_division, class_weights, excluded)
    if aggregate == "imagewise" and average != "none":
        scores = _over_classes(formula, counts, average, zero_division, class_weights, excluded)  # (B,)
        return divide(*_sum_over_images(scores), zero_division)

    sums, defined = _sum_over_images(_cells(formula, counts, zero_division))  # (C,) each
    totals = [_pooled(count, 0) for count in counts]  # (C,)
    if average == "none":
        return divide(sums, defined, zero_division).masked_fill(excluded, float("nan"))
    weights = _weights(average, totals, class_weights, excluded)
    if aggregate == "pooled":
        weighted = weights * sums.where(weights != 0, 0.0)  # a score may be infinite
        return divide(ordered_sum(weighted), ordered_sum(weights * defined), zero_division)
    return _weighted_mean(divide(sums, defined, zero_division), weights, zero_division)


def _pooled(counts: Tensor, dim: int) -> Tensor:
    """Sums of counts; of measures in floats in the order of their values, so that neither images nor threads matter."""
    if not counts.is_floating_point():
        return counts.sum(dim=dim)
    return ordered_sum(counts.sort(dim=dim).values, dim)


def _over_classes(
    formula: Formula,
    counts: Sequence[Tensor],
    average: str,
    zero_division: float,
    class_weights: Tensor | None,
    excluded: Tensor,
) -> Tensor:
    """(..., C) counts to (...,) scores, (..., C) with ``"none"``."""
    if average == "micro":
        return _cells(formula, [_pooled(count.masked_fill(excluded, 0), -1) for count in counts], zero_division)
    scores = _cells(formula, counts, zero_division)  # (..., C)
    if average == "none":
        return scores.masked_fill(excluded, float("nan"))
    return _weighted_mean(scores, _weights(average, counts, class_weights, excluded), zero_division)


def _cells(formula: Formula, counts: Sequence[Tensor], zero_division: float) -> Tensor:
    scores = formula(*counts)
    return scores.where(~scores.isnan(), zero_division)


def _weights(average: str, counts: Sequence[Tensor], class_weights: Tensor | None, excluded: Tensor) -> Tensor:
    """What each class weighs in a mean, 0 if it is excluded: (..., C) float64 by support, else (C,)."""
    tp, _, fn, *_ = counts
    if average == "weighted":
        weights = (tp + fn).double()
    elif class_weights is not None:
        weights = class_weights.to(tp.device, torch.float64)
    else:
        weights = torch.ones(tp.shape[-1:], dtype=torch.float64, device=tp.device)
    return weights.masked_fill(excluded, 0.0)


def _weighted_mean(scores: Tensor, weights: Tensor, zero_division: float) -> Tensor:
    """sum(w * s) / sum(w) over the scores (..., C) that are not NaN."""
    defined = ~scores.isnan()
    weights = weights * defined
    return divide(ordered_sum(scores.where(weights != 0, 0.0) * weights), ordered_sum(weights), zero_division)


def _sum_over_images(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Sum and number of the defined scores (B, ...) of each column, whatever the order of the images."""
    defined = ~scores.isnan()
    return ordered_sum(scores.where(defined, 0.0).sort(dim=0).values, dim=0), defined.sum(dim=0)


def class_mask(labels: Iterable[int], num_classes: int, device: torch.device) -> Tensor:
    """Which of the classes are among the labels, (C,) bool.

    Example:
        >>> class_mask([0, 2], 4, torch.device("cpu")).tolist()
        [True, False, True, False]
    """
    mask = torch.zeros(num_classes, dtype=torch.bool, device=device)
    for label in labels:
        mask[label] = True
    return mask
