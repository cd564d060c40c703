"""Scores from counts, and averages over them, with one rule for 0/0."""

from __future__ import annotations

import torch
from torch import Tensor


def divide(numerator: Tensor, denominator: Tensor, zero_division: float = float("nan")) -> Tensor:
    """``numerator / denominator`` in float64, with ``zero_division`` where the denominator is 0.

    Example:
        >>> divide(torch.tensor([1, 0]), torch.tensor([2, 0])).tolist()
        [0.5, nan]
    """
    quotient = numerator.double() / denominator.double()
    return torch.where(denominator == 0, zero_division, quotient)


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
