"""Which score threshold meets a constraint, and recalls at numbers of false positives an image, for G curves at once.

A curve is a run of steps: from each score on, so many true and false positives. ``group`` (P,) int64 is the curve of
each step, ascending; within a curve scores fall. ``num_targets`` is (G,) int64.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from detmetrics.ragged import constants, occurrences
from detmetrics.reduce.averages import ordered_sum

FROC_RATES = tuple(2.0**power for power in range(-3, 4))  # 1/8, ..., 8 false positives an image
MISS_RATES = tuple(10 ** (-2 + power / 4) for power in range(9))  # .01, ..., 1
LEAST_MISS_RATE = 1e-10  # whose logarithm is taken for 0


class OperatingPoints(NamedTuple):
    """Where each of G curves meets a constraint best, (G,) float64; NaN where it never does."""

    score_threshold: Tensor
    precision: Tensor
    recall: Tensor
    false_positives_per_image: Tensor


def best_allowed(allowed: Tensor, value: Tensor, group: Tensor, num_groups: int, first: bool) -> Tensor:
    """The step of each group with the largest value among those allowed; P where none is.

    Args:
        allowed: ``(P,)`` bool.
        value: ``(P,)`` float64.
        group: ``(P,)`` int64.
        num_groups: G.
        first: Of equal values the first, with the highest score, or else the last.

    Returns:
        ``(G,)`` int64.
    """
    none = len(value)
    value = value.masked_fill(~allowed, -torch.inf)
    best = value.new_full((num_groups,), -torch.inf).scatter_reduce_(0, group, value, "amax")
    is_best = allowed & (value == best.index_select(0, group))
    step = torch.arange(none, device=group.device)
    if first:
        at = torch.where(is_best, step, none)
        return at.new_full((num_groups,), none).scatter_reduce_(0, group, at, "amin")
    found = torch.where(is_best, step, -1)
    found = found.new_full((num_groups,), -1).scatter_reduce_(0, group, found, "amax")
    return torch.where(found < 0, none, found)


def recalls_at_rates(
    recall: Tensor, rate: Tensor, group: Tensor, num_targets: Tensor, rates: Sequence[float], between: bool
) -> Tensor:
    """The recall of each curve at numbers of false positives an image, ``(R, G)`` float64; NaN without targets.

    Args:
        recall: ``(P,)`` float64.
        rate: ``(P,)`` float64, false positives an image.
        group: ``(P,)`` int64.
        num_targets: ``(G,)`` int64.
        rates: R numbers.
        between: Whether to take a straight line to the next step, or to stay at the recall that was reached.
    """
    num_groups, wanted = len(num_targets), constants(rates, recall.device, torch.float64)
    sizes = occurrences(group, num_groups)
    start = sizes.cumsum(0) - sizes
    found = []
    for one in wanted.unbind():
        reached = occurrences(group[rate <= one], num_groups)  # the rate does not fall within a curve
        (x, y), (later_x, later_y) = (_points(rate, recall, start, sizes, reached + more) for more in (0, 1))
        slope = (later_y - y) / (later_x - x)
        line = torch.where((reached < sizes) & slope.isfinite(), y + slope * (one - x), y)
        found.append((line if between else y).masked_fill(num_targets == 0, torch.nan))
    return torch.stack(found)


def _points(rate: Tensor, recall: Tensor, start: Tensor, sizes: Tensor, number: Tensor) -> tuple[Tensor, Tensor]:
    """Rate and recall after so many steps of each curve, the origin after none; after all of them those of the last."""
    at = (start + torch.minimum(number, sizes) - 1).clamp(min=0)
    has = (number > 0) & (sizes > 0)
    padded = (torch.nn.functional.pad(column, (0, 1)) for column in (rate, recall))
    x, y = (torch.where(has, column.index_select(0, at), 0.0) for column in padded)
    return x, y


def log_average(miss_rates: Tensor) -> Tensor:
    """The geometric mean of miss rates ``(R, G)``, ``(G,)`` float64."""
    logs = miss_rates.clamp(min=LEAST_MISS_RATE).log()
    return (ordered_sum(logs, 0) / len(miss_rates)).exp()
