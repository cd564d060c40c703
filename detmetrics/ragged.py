"""Rows in runs: sorting them, finding where runs start, and walking ranges of different lengths at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

GOLDEN_RATIO = -0x61C8864680B583EB  # 2**64 divided by it, as int64


BLOCK = 1 << 20  # rows that are worked on at a time where there may be many times as many


def reads_are_free(device: torch.device) -> bool:
    """Whether reading a number back from the device costs nothing. Elsewhere it waits for all work under way."""
    return device.type == "cpu"


def constants(values: Sequence[Any], device: torch.device, dtype: torch.dtype | None = None) -> Tensor:
    """A tensor of numbers that the host knows. They are sent without waiting for the work under way on the device."""
    return torch.tensor(values, dtype=dtype).to(device, non_blocking=True)


def occurrences(index: Tensor, size: int) -> Tensor:
    """How often each of the numbers from 0 to ``size`` - 1 occurs in ``index`` of any integer dtype, ``(size,)`` int64.

    Example:
        >>> occurrences(torch.tensor([2, 0, 2]), 4).tolist()
        [1, 0, 2, 0]
    """
    if reads_are_free(index.device):
        return torch.bincount(index, minlength=size)
    ones = index.new_ones(1, dtype=torch.int64).expand(index.shape)
    return index.new_zeros(size, dtype=torch.int64).scatter_add_(0, index.long(), ones)  # bincount reads its extremes


def distinct(*parts: Tensor) -> Tensor:
    """The values that occur in any of the parts, ascending, ``(C,)``; quick where they lie close together.

    Example:
        >>> distinct(torch.tensor([3, 3, 1]), torch.tensor([1, 2])).tolist()
        [1, 2, 3]
    """
    if reads_are_free(parts[0].device):  # elsewhere a first pass costs more than the sort that it makes smaller
        extremes = [part.aminmax() for part in parts if len(part)]
        low, high = (f(int(pair[i]) for pair in extremes) if extremes else 0 for i, f in enumerate((min, max)))
        if high - low < BLOCK:
            occurs = torch.zeros(high - low + 1, dtype=torch.bool)
            for part in parts:
                occurs[part - low] = True
            return occurs.nonzero().squeeze(1) + low
        parts = tuple(part.unique_consecutive() for part in parts)
    values: Tensor = torch.cat(parts).unique()
    return values


def descending_key(values: Tensor) -> Tensor:
    """Integers that sort ascending as ``values`` sort descending.

    Args:
        values: ``(N,)`` float64, no NaN.

    Returns:
        ``(N,)`` int64. Equal values have equal keys; -0.0 counts as 0.0. Integers sort several times faster than
        floats, on a CPU by radix, and the fewer bits the faster: values that float32 holds exactly get 32 bits there.

    Example:
        >>> descending_key(torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)).argsort().tolist()
        [2, 0, 1]
    """
    if reads_are_free(values.device):
        narrow = values.float()
        if bool((narrow == values).all()):
            return _descending_bits(narrow, torch.int32).long()
    return _descending_bits(values, torch.int64)


def _descending_bits(values: Tensor, dtype: torch.dtype) -> Tensor:
    info = torch.iinfo(dtype)
    bits = (values + 0.0).view(dtype)
    # The bits of negative floats grow as the values fall: flip all but the sign. Then ~ turns the order around.
    return ~(bits ^ ((bits >> info.bits - 1) & info.max))


def lexsort(*keys: Tensor) -> Tensor:
    """The stable order of rows by several keys, the first key deciding first.

    Args:
        keys: ``(N,)`` int64 each, the most significant first.

    Returns:
        ``(N,)`` int64 indices of the rows in ascending order.

    Example:
        >>> lexsort(torch.tensor([1, 0, 1, 0]), torch.tensor([5, 7, 4, 7])).tolist()
        [1, 3, 2, 0]
    """
    if reads_are_free(keys[0].device) and len(keys[0]):
        keys = tuple(_packed(keys))
    *rest, last = keys
    order = last.sort(stable=True).indices
    for key in reversed(rest):
        order = order.index_select(0, key.index_select(0, order).sort(stable=True).indices)
    return order


def _packed(keys: Sequence[Tensor]) -> list[Tensor]:
    """The same order by fewer keys: neighbours whose ranges fit into 63 bits together become one."""
    packed: list[Tensor] = []
    span = 1 << 63  # of the key packed last; nothing fits beside it yet
    for key in reversed(keys):
        low, high = (int(extreme) for extreme in key.aminmax())
        if span * (high - low + 1) < 1 << 63:
            packed[-1] = (key - low) * span + packed[-1]
            span *= high - low + 1
        else:
            span = high - low + 1
            packed.append(key - low if span < 1 << 63 else key)
    return packed[::-1]


def invert(order: Tensor) -> Tensor:
    """Where each row goes in an order: ``order[invert(order)]`` counts from 0. ``(N,)`` int64."""
    return torch.empty_like(order).index_copy_(0, order, torch.arange(len(order), device=order.device))


def exclusive_cumsum(counts: Tensor) -> Tensor:
    """Where each run starts when runs of these lengths follow one another, ``(G,)``, of the dtype of ``counts``."""
    return counts.cumsum(0, dtype=counts.dtype) - counts


def from_zero(cumulative: Tensor) -> Tensor:
    """Cumulative sums ``(..., N)`` with a 0 in front, so that two of them differ by the sum of what lies between."""
    return torch.nn.functional.pad(cumulative, (1, 0))


def owners(counts: Tensor, total: int) -> Tensor:
    """The run that each row belongs to, ``(total,)`` of the dtype of ``counts`` ``(G,)``, whose sum is ``total``."""
    runs = torch.arange(len(counts), dtype=counts.dtype, device=counts.device)
    return torch.repeat_interleave(runs, counts, output_size=total)


def ranges(start: Tensor, counts: Tensor, total: int) -> Tensor:
    """The integers of the ranges ``[start, start + count)``, one range after the other.

    Args:
        start: ``(G,)``, int64 or int32.
        counts: ``(G,)`` of that dtype, not negative.
        total: The sum of ``counts``, known to the host.

    Returns:
        ``(total,)`` of that dtype.

    Example:
        >>> ranges(torch.tensor([7, 0]), torch.tensor([2, 3]), 5).tolist()
        [7, 8, 0, 1, 2]
    """
    shift = torch.repeat_interleave(start - exclusive_cumsum(counts), counts, output_size=total)
    return shift + torch.arange(total, dtype=shift.dtype, device=counts.device)


def rows_of(counts: Tensor, runs: Tensor) -> Tensor:
    """The rows of some runs that follow one another, run after run; those of a run that comes twice twice.

    Args:
        counts: ``(G,)`` int64, the number of rows of each run.
        runs: ``(n,)`` int64, indices of runs.

    Returns:
        Indices of rows, int64. The number of them is read from the device.

    Example:
        >>> rows_of(torch.tensor([2, 1, 3]), torch.tensor([2, 0])).tolist()
        [3, 4, 5, 0, 1]
    """
    chosen = counts.index_select(0, runs)
    return ranges(exclusive_cumsum(counts).index_select(0, runs), chosen, int(chosen.sum()))


def rows_at(images: Tensor, image: Tensor, num_images: int) -> tuple[Tensor, Tensor]:
    """The rows of some images, image after image, those of an image that comes twice twice.

    Args:
        images: ``(n,)`` int64, indices of images.
        image: ``(N,)`` int64, the image of each row, ascending.
        num_images: How many there are.

    Returns:
        Indices of rows, and for each the place of its image in ``images``: ``(m,)`` int64 each.

    Example:
        >>> rows_at(torch.tensor([1, 1]), torch.tensor([0, 1, 1, 2]), 3)
        (tensor([1, 2, 1, 2]), tensor([0, 0, 1, 1]))
    """
    count = occurrences(image, num_images)
    at = rows_of(count, images)
    return at, owners(count.index_select(0, images), len(at))


def cuts(count: Tensor, most: int) -> list[int]:
    """Where to divide runs of these lengths so that each part has about ``most`` rows; a run is never divided.

    Args:
        count: ``(G,)`` int64, not negative.
        most: Rows of a part.

    Returns:
        Ascending indices of runs from 0 to G, with the first run of each part and the end.

    Example:
        >>> cuts(torch.tensor([3, 3, 3, 3, 3]), 6)
        [0, 2, 4, 5]
    """
    ends = count.cumsum(0)
    total = int(ends[-1]) if len(ends) else 0
    found = [0, len(count)]
    if total > most:
        marks = torch.arange(most, total, most, device=ends.device)
        found[1:1] = torch.searchsorted(ends, marks, right=True).unique().tolist()
    return found


def blocks(total: int, most: int) -> list[slice]:
    """Parts of at most ``most`` rows, so that temporaries stay those of a part."""
    return [slice(start, start + most) for start in range(0, total, most)]


def run_starts(*keys: Tensor) -> Tensor:
    """Whether a row differs in any key from the row before it, ``(N,)`` bool; the first row does."""
    starts = torch.zeros_like(keys[0], dtype=torch.bool)
    starts[:1] = True
    for key in keys:
        starts[1:] |= key[1:] != key[:-1]
    return starts


def rank_in_run(starts: Tensor) -> Tensor:
    """How many rows of the same run come before a row, ``(N,)`` int64, from the marks of :func:`run_starts`."""
    if not len(starts):
        return torch.zeros_like(starts, dtype=torch.int64)
    position = torch.arange(len(starts), device=starts.device)
    if reads_are_free(starts.device):
        return position - torch.where(starts, position, 0).cummax(0).values
    run = starts.cumsum(0) - 1  # a sum takes all of a GPU, a running maximum of one row a small part
    first = torch.empty_like(position).scatter_reduce_(0, run, position, "amin", include_self=False)
    return position - first.index_select(0, run)


def mix(values: Tensor) -> Tensor:
    """Distinct int64 to distinct int64 that look random: splitmix64's, with wrap-around.

    Source: Steele, Lea and Flood, Fast splittable pseudorandom number generators (OOPSLA 2014), variant 13 of Stafford.
    """
    mixed = values + GOLDEN_RATIO
    for bits, factor in ((30, -0x40A7B892E31B1A47), (27, -0x6B2FB644ECCEEE15)):
        mixed ^= _shifted(mixed, bits)
        mixed *= factor
    mixed ^= _shifted(mixed, 31)
    return mixed


def _shifted(values: Tensor, bits: int) -> Tensor:
    """The bits of int64 moved down, with zeros from above, not copies of the sign: those would lose a bit in a XOR."""
    shifted = values >> bits
    shifted &= (1 << 64 - bits) - 1
    return shifted


def hash_rows(rows: Tensor) -> Tensor:
    """A hash of each row of ``(N, K)`` int64, ``(N,)`` int64: every column is mixed, each in a way of its own."""
    column = torch.arange(rows.shape[1], device=rows.device)
    return mix(mix(rows ^ mix(column)).sum(dim=1))


def hash_runs(rows: Tensor, run: Tensor, num_runs: int) -> Tensor:
    """A hash of the rows of each run, whatever their order: the sum of the hashes of rows, exact in int64.

    Args:
        rows: ``(N, K)`` int64.
        run: ``(N,)`` int64, the run of each row.
        num_runs: G.

    Returns:
        ``(G,)`` int64; 0 for a run without rows.
    """
    return torch.zeros(num_runs, dtype=torch.int64, device=rows.device).index_add_(0, run, hash_rows(rows))


def group_sums(values: Tensor, group: Tensor, num_groups: int) -> Tensor:
    """Sums of integers by group; rows of the group -1 are left out.

    Args:
        values: ``(N, ...)`` int64.
        group: ``(N,)`` int64 from -1 on.
        num_groups: G.

    Returns:
        ``(G, ...)`` int64.

    Example:
        >>> group_sums(torch.tensor([1, 2, 4]), torch.tensor([1, -1, 1]), 2).tolist()
        [0, 5]
    """
    total = torch.zeros((num_groups + 1, *values.shape[1:]), dtype=torch.int64, device=values.device)
    return total.index_add_(0, group + 1, values)[1:]  # the group -1 has a place of its own
