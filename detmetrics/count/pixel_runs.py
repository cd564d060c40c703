"""Pixels that are alike in several maps, whatever their values are: runs first, so that a sort of them is short.

Neighbouring pixels of a map of segments are mostly alike: the runs of pixels with equal values are far fewer than the
pixels, and only they are sorted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from detmetrics.ragged import group_sums, invert, lexsort, reads_are_free, run_starts


class PixelRuns(NamedTuple):
    """K runs of pixels that are alike in all maps, or what is left of them if those that are alike are one."""

    image: Tensor  # (K,) int64
    values: tuple[Tensor, ...]  # (K,) int64, one for each map
    pixels: Tensor  # (K,) int64, their number


def find_runs(*maps: Tensor) -> PixelRuns:
    """The runs of pixels that are alike in all maps; no run crosses two images.

    Args:
        maps: ``(B, N)`` each, of any integer dtype that torch compares, or bool.

    Example:
        >>> found = find_runs(torch.tensor([[7, 7, 9, 7]]), torch.tensor([[1, 1, 1, 1]]))
        >>> [values.tolist() for values in found.values], found.pixels.tolist()
        ([[7, 9, 7], [1, 1, 1]], [2, 1, 1])
    """
    starts = torch.zeros(maps[0].shape, dtype=torch.bool, device=maps[0].device)  # (B, N)
    starts[:, :1] = True
    for values in maps:
        starts[:, 1:] |= values[:, 1:] != values[:, :-1]
    start = starts.flatten().nonzero().squeeze(1)  # (K,)
    end = torch.cat([start[1:], start.new_full((min(len(start), 1),), starts.numel())])
    image = start // max(starts.shape[1], 1)
    return PixelRuns(image, tuple(_take(values, image, start).long() for values in maps), end - start)


def join_runs(runs: PixelRuns) -> PixelRuns:
    """The same pixels, with one row per image and values: the rows are as few as pairs of segments that meet.

    Args:
        runs: Of maps of two sides, as many of each. The sides are numbered first, so that numbers stay small.

    Example:
        >>> found = join_runs(find_runs(torch.tensor([[7, 7, 9, 7]]), torch.tensor([[1, 1, 1, 1]])))
        >>> [values.tolist() for values in found.values], found.pixels.tolist()
        ([[7, 9], [1, 1]], [3, 1])
    """
    half = len(runs.values) // 2
    sides = runs.values[:half], runs.values[half:]
    number, first = number_rows(*(number_rows(runs.image, *side)[0] for side in sides))
    image, *values = (column.index_select(0, first) for column in (runs.image, *runs.values))
    return PixelRuns(image, tuple(values), group_sums(runs.pixels, number, len(first)))


def _take(values: Tensor, image: Tensor, start: Tensor) -> Tensor:
    """The values of ``(B, N)`` at flat indices, without a copy of all of them."""
    return values[image, start - image * values.shape[1]]


def number_rows(*columns: Tensor) -> tuple[Tensor, Tensor]:
    """Number the distinct rows of several columns in ascending order.

    Args:
        columns: ``(K,)`` int64 each, the most significant first.

    Returns:
        The number of each row ``(K,)``, and the first row that has each number ``(G,)``; int64.

    Example:
        >>> number, first = number_rows(torch.tensor([5, 3, 5]), torch.tensor([0, 0, 0]))
        >>> number.tolist(), first.tolist()
        ([1, 0, 1], [1, 0])
    """
    codes = _small_codes(columns) if reads_are_free(columns[0].device) and len(columns[0]) else None
    if codes is not None:
        return _number_codes(*codes)
    order = lexsort(*columns)
    starts = run_starts(*(column.index_select(0, order) for column in columns))
    number = (starts.cumsum(0) - 1).index_select(0, invert(order))
    return number, order[starts]  # the sort is stable, so that the first of a run came first


def _small_codes(columns: Sequence[Tensor]) -> tuple[Tensor, int] | None:
    """A number for each row that keeps the order of rows, and how many numbers there are; None if more than rows."""
    codes, size = torch.zeros_like(columns[0]), 1
    for column in columns:
        low, high = (int(extreme) for extreme in column.aminmax())
        size *= high - low + 1
        if size > len(codes):
            return None
        codes.mul_(high - low + 1).add_(column).sub_(low)
    return codes, size


def _number_codes(codes: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """What :func:`number_rows` returns, by a table in place of a sort: noisy maps have as many runs as pixels."""
    seen = torch.zeros(size, dtype=torch.bool).index_fill_(0, codes, True)
    number = (seen.cumsum(0) - 1).index_select(0, codes)
    first = torch.full((int(seen.sum()),), len(codes)).scatter_reduce_(0, number, torch.arange(len(codes)), "amin")
    return number, first
