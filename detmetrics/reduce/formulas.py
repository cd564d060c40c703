"""Scores of exact counts, with one rule for 0/0.

Each takes counts of one shape and gives float64 scores of that shape, NaN where the score is 0/0. Those that do not
need tn take it all the same, so that one reducer serves all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

Formula = Callable[..., Tensor]


class Counts(NamedTuple):
    """Exact counts: int64 tensors of one shape, such as ``(B, C)`` for B images and C classes."""

    tp: Tensor
    fp: Tensor
    fn: Tensor
    tn: Tensor


def divide(numerator: Tensor, denominator: Tensor, zero_division: float = float("nan")) -> Tensor:
    """``numerator / denominator`` in float64, with ``zero_division`` where the denominator is 0.

    Example:
        >>> divide(torch.tensor([1, 0]), torch.tensor([2, 0])).tolist()
        [0.5, nan]
    """
    return (numerator.double() / denominator).masked_fill_(denominator == 0, zero_division)


def precision(tp: Tensor, fp: Tensor, fn: Tensor, tn: Tensor | None = None) -> Tensor:
    """``tp / (tp + fp)``: how much of what was predicted is right.

    Example:
        >>> precision(torch.tensor(3), torch.tensor(1), torch.tensor(2)).item()
        0.75
    """
    return divide(tp, tp + fp)


def recall(tp: Tensor, fp: Tensor, fn: Tensor, tn: Tensor | None = None) -> Tensor:
    """``tp / (tp + fn)``: how much of the target was found.

    Example:
        >>> recall(torch.tensor(3), torch.tensor(1), torch.tensor(2)).item()
        0.6
    """
    return divide(tp, tp + fn)


def f_beta(tp: Tensor, fp: Tensor, fn: Tensor, tn: Tensor | None = None, *, beta: float = 1.0) -> Tensor:
    """``(1 + b^2) tp / ((1 + b^2) tp + b^2 fn + fp)``; with ``beta=1`` F1, which is Dice.

    Example:
        >>> f_beta(torch.tensor(3), torch.tensor(1), torch.tensor(2)).item() == 2 * 3 / (2 * 3 + 1 + 2)
        True
    """
    weighted = (1 + beta**2) * tp.double()
    return divide(weighted, weighted + beta**2 * fn.double() + fp.double())


def iou(tp: Tensor, fp: Tensor, fn: Tensor, tn: Tensor | None = None) -> Tensor:
    """``tp / (tp + fp + fn)``: intersection over union, the Jaccard index.

    Example:
        >>> iou(torch.tensor(3), torch.tensor(1), torch.tensor(2)).item()
        0.5
    """
    return divide(tp, tp + fp + fn)


def accuracy(tp: Tensor, fp: Tensor, fn: Tensor, tn: Tensor) -> Tensor:
    """``(tp + tn) / (tp + fp + fn + tn)``.

    Example:
        >>> accuracy(torch.tensor(3), torch.tensor(1), torch.tensor(2), torch.tensor(2)).item()
        0.625
    """
    return divide(tp + tn, tp + fp + fn + tn)


def specificity(tp: Tensor, fp: Tensor, fn: Tensor, tn: Tensor) -> Tensor:
    """``tn / (tn + fp)``: how much of the rest was left alone.

    Example:
        >>> specificity(torch.tensor(3), torch.tensor(1), torch.tensor(2), torch.tensor(3)).item()
        0.75
    """
    return divide(tn, tn + fp)


def panoptic_quality(iou_sum: Tensor, tp: Tensor, fp: Tensor, fn: Tensor) -> Tensor:
    """``sum of IoU / (tp + fp / 2 + fn / 2)``: PQ, which is SQ times RQ; RQ is :func:`f_beta`.

    Example:
        >>> panoptic_quality(torch.tensor(1.5), torch.tensor(2), torch.tensor(1), torch.tensor(1)).item()
        0.5
    """
    return divide(2 * iou_sum.double(), 2 * tp + fp + fn)


def segmentation_quality(iou_sum: Tensor, tp: Tensor, fp: Tensor, fn: Tensor) -> Tensor:
    """``sum of IoU / tp``: SQ, the mean IoU of matches; 0 where all is unmatched, or a miss would improve a mean.

    Example:
        >>> counts = torch.tensor([2, 0, 0]), torch.tensor([1, 1, 0]), torch.tensor([0, 0, 0])
        >>> segmentation_quality(torch.tensor([1.5, 0.0, 0.0]), *counts).tolist()
        [0.75, 0.0, nan]
    """
    return torch.where((tp == 0) & (fp + fn > 0), 0.0, divide(iou_sum, tp))


def mean_overlap(tp: Tensor, fp: Tensor, fn: Tensor, iou_sum: Tensor) -> Tensor:
    """``sum of IoU / tp``: how much matches overlap on average.

    Example:
        >>> mean_overlap(torch.tensor(2), torch.tensor(1), torch.tensor(1), torch.tensor(1.5)).item()
        0.75
    """
    return divide(iou_sum, tp)


def localization_recall_precision(
    iou_sum: Tensor, tp: Tensor, fp: Tensor, fn: Tensor, *, iou_threshold: float
) -> Tensor:
    """``((tp - sum of IoU) / (1 - t) + fp + fn) / (tp + fp + fn)``: LRP, 0 at best and 1 at worst.

    Example:
        >>> counts = torch.tensor(2), torch.tensor(1), torch.tensor(1)
        >>> localization_recall_precision(torch.tensor(1.5), *counts, iou_threshold=0.5).item()
        0.75
    """
    lost = (tp - iou_sum.double()) / (1 - iou_threshold)
    return divide(lost + fp + fn, tp + fp + fn)
