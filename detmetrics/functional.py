"""The metrics as functions: all data at once, one result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from detmetrics.detection.mean_ap import MeanAveragePrecision

__all__ = ["mean_average_precision"]


def mean_average_precision(
    preds: Sequence[Mapping[str, Any]], target: Sequence[Mapping[str, Any]], **kwargs: Any
) -> dict[str, Tensor]:
    """COCO mean average precision and recall of a whole data set.

    Args:
        preds: One dict an image, as in :meth:`MeanAveragePrecision.update`.
        target: One dict an image, likewise.
        kwargs: The arguments of :class:`detmetrics.MeanAveragePrecision`.

    Returns:
        The dict of :meth:`MeanAveragePrecision.compute`.

    Raises:
        ValueError: if an argument or an input does not fit.

    Example:
        >>> import torch
        >>> boxes, labels = torch.tensor([[0.0, 0.0, 8.0, 8.0]]), torch.tensor([0])
        >>> preds = [dict(boxes=boxes, scores=torch.tensor([0.9]), labels=labels)]
        >>> mean_average_precision(preds, [dict(boxes=boxes, labels=labels)])["map"].item()
        1.0
    """
    metric = MeanAveragePrecision(**kwargs)
    if preds and isinstance(preds[0], Mapping) and isinstance(preds[0].get("boxes"), Tensor):
        metric = metric.to(preds[0]["boxes"].device)
    metric.update(preds, target)
    return metric.compute()
