"""Sums of overlaps that are exact, and so the same in any order."""

from __future__ import annotations

import torch
from torch import Tensor

BITS = 53  # of the fraction of a float64
LOW = 27  # bits of the lower part


def overlap_sums(values: Tensor, index: Tensor, size: int) -> Tensor:
    """Sums of numbers in [0, 1] by index, rounded once.

    Float64 in [.5, 1] are whole multiples of 2**-53, and smaller ones are rounded to such. Their upper and lower bits
    add up as integers, without loss for up to 2**26 values, so that order, threads and devices do not matter.

    Args:
        values: ``(n,)`` float64 in [0, 1].
        index: ``(n,)`` int64, the sum that each goes to.
        size: How many sums there are.

    Returns:
        ``(size,)`` float64.

    Example:
        >>> overlap_sums(torch.tensor([0.5, 0.75, 1.0], dtype=torch.float64), torch.tensor([0, 1, 0]), 2).tolist()
        [1.5, 0.75]
    """
    whole = (values * 2.0**BITS).long()
    parts = torch.stack([whole >> LOW, whole & ((1 << LOW) - 1)], dim=1)  # (n, 2)
    total = torch.zeros((size, 2), dtype=torch.int64, device=values.device).index_add_(0, index, parts)
    high, low = total.double().unbind(1)
    return high * 2.0 ** (LOW - BITS) + low * 2.0**-BITS


def overlap_range_sums(values: Tensor, first: Tensor, last: Tensor) -> Tensor:
    """Sums of numbers in [0, 1] over ranges of rows, as exact as :func:`overlap_sums`.

    Args:
        values: ``(n,)`` float64 in [0, 1].
        first: ``(P,)`` int64, the first row of each range.
        last: ``(P,)`` int64, the last one.

    Returns:
        ``(P,)`` float64.

    Example:
        >>> values = torch.tensor([0.5, 0.75, 1.0], dtype=torch.float64)
        >>> overlap_range_sums(values, torch.tensor([0, 1]), torch.tensor([1, 2])).tolist()
        [1.25, 1.75]
    """
    whole = (values * 2.0**BITS).long()
    parts = torch.stack([whole >> LOW, whole & ((1 << LOW) - 1)])  # (2, n)
    up_to = torch.nn.functional.pad(parts.cumsum(1), (1, 0))
    high, low = (up_to.index_select(1, last + 1) - up_to.index_select(1, first)).double().unbind(0)
    return high * 2.0 ** (LOW - BITS) + low * 2.0**-BITS
