"""The band around the boundaries between the classes of a label map."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def boundary_band(labels: Tensor, kept: Tensor | None, distance: int) -> Tensor:
    """Where a label map has another label within a distance.

    Args:
        labels: ``(...)`` integers.
        kept: ``(...)`` bool: pixels that have a label; None for all. The others make no boundary.
        distance: Steps along every axis, so that the window is a square; it ends at the border of the map.

    Returns:
        ``(...)`` bool.

    Example:
        >>> boundary_band(torch.tensor([0, 0, 0, 1, 1, 1, 1]), None, 2).int().tolist()
        [0, 1, 1, 1, 1, 0, 0]
    """
    info = torch.iinfo(labels.dtype)
    low, high = (labels if kept is None else labels.where(kept, other) for other in (info.max, info.min))
    for axis in range(labels.ndim):
        low = _sliding(torch.minimum, low, distance, axis, info.max)
        high = _sliding(torch.maximum, high, distance, axis, info.min)
    return low < high


def _sliding(extreme: Callable[[Tensor, Tensor], Tensor], values: Tensor, distance: int, axis: int, rim: int) -> Tensor:
    """The extreme of the values within a distance along an axis; ``rim`` is what lies outside."""
    values = values.transpose(0, axis)
    distance = min(distance, max(len(values) - 1, 0))
    outside = values.new_full((distance, *values.shape[1:]), rim)
    spans, length, size = torch.cat([outside, values, outside]), 1, 2 * distance + 1
    while length < size:  # the length of the spans that start at a pixel
        step = min(length, size - length)
        spans = extreme(spans[: len(spans) - step], spans[step:])
        length += step
    return spans.transpose(0, axis)
