"""From candidate pairs of detection and target to the few that could ever be a match, within a budget of bytes."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
from torch import Tensor

from detmetrics.overlap.similarity import Overlaps
from detmetrics.ragged import cuts, ranges

BYTES_PER_PAIR = 180  # temporaries of box overlaps where every pair overlaps; 24 where none do
PAIR_BUDGET = {"cpu": 64 << 20, "cuda": 1 << 30}  # bytes

FEW = 16  # chunks that are joined at a time

PairFunction = Callable[[Tensor, Tensor], Tensor]  # from indices of detections and of targets, (P,) each, to (P,)


def find_pairs(
    first: Tensor,
    count: Tensor,
    floor: float,
    overlap: PairFunction,
    *,
    may_meet: PairFunction | None = None,
    byte_budget: int | None = None,
    bytes_per_pair: int = BYTES_PER_PAIR,
) -> Overlaps:
    """The overlaps of at least ``floor``, and above 0, between each target and its own range of detections.

    Args:
        first: ``(M,)`` int64, the first candidate of each target.
        count: ``(M,)`` int64, the number of its candidates.
        floor: The smallest overlap that is kept, in [0, 1].
        overlap: Takes int64 indices of P detections and of P targets, and returns their overlaps, ``(P,)`` float64.
        may_meet: Takes such indices in int32 and returns which pairs are worth the look, ``(P,)`` bool. None: all.
        byte_budget: Bytes that temporaries may take; a target with all its candidates is never divided. None: what
            suits the device.
        bytes_per_pair: Bytes that the temporaries of one pair take.

    Returns:
        The overlaps, ordered by target, then detection.

    Example:
        >>> where, others = torch.tensor([0.0, 9.0, 2.0]), torch.tensor([1.0, 8.0])
        >>> near = lambda detection, target: 1 / (1 + (where[detection] - others[target]).abs().double())
        >>> found = find_pairs(torch.tensor([0, 0]), torch.tensor([3, 3]), 0.4, near)
        >>> found.detection.tolist(), found.target.tolist(), found.iou.tolist()
        ([0, 2, 1], [0, 0, 1], [0.5, 0.5, 0.5])
    """
    if byte_budget is None:
        byte_budget = PAIR_BUDGET.get(first.device.type, PAIR_BUDGET["cpu"])
    found: list[Overlaps] = []
    num_joined = 0
    for low, high in itertools.pairwise(cuts(count, max(byte_budget // bytes_per_pair, 1))):
        if low < high:
            found.append(_find_in_chunk(first, count, floor, overlap, may_meet, slice(low, high)))
        if len(found) - num_joined == FEW:  # large tensors go back to the system when they are freed, small ones do not
            found[num_joined:] = [joined(found[num_joined:], first.device)]
            num_joined += 1
    return joined(found, first.device)


def above_floor(overlaps: Overlaps, floor: float) -> Overlaps:
    """The overlaps of at least ``floor`` and above 0."""
    kept = ((overlaps.iou >= floor) & (overlaps.iou > 0)).nonzero().squeeze(1)
    return Overlaps(*(part.index_select(0, kept) for part in overlaps))


def joined(found: list[Overlaps], device: torch.device) -> Overlaps:
    """Overlaps one after the other. The list is emptied, so that no more than one column is there twice."""
    if len(found) == 1:
        return found[0]
    index = torch.empty(0, dtype=torch.int64, device=device)
    none = Overlaps(index, index, torch.empty(0, dtype=torch.float64, device=device))
    columns = [list(column) for column in zip(none, *found, strict=True)]
    found.clear()
    return Overlaps(*(torch.cat(columns.pop(0)) for _ in Overlaps._fields))


def _find_in_chunk(
    first: Tensor, count: Tensor, floor: float, overlap: PairFunction, may_meet: PairFunction | None, chunk: slice
) -> Overlaps:
    """The overlaps of the targets of one chunk."""
    detection, target = _pairs_of(first[chunk], count[chunk], chunk)
    if may_meet is None:
        detection, target = detection.long(), target.long()
    else:
        kept = may_meet(detection, target).nonzero().squeeze(1)
        detection, target = detection.index_select(0, kept).long(), target.index_select(0, kept).long()
    return above_floor(Overlaps(detection, target, overlap(detection, target)), floor)


def _pairs_of(first: Tensor, count: Tensor, chunk: slice) -> tuple[Tensor, Tensor]:
    """All candidate pairs (detection, target) of a chunk, ``(P,)`` int32: what is fetched for every pair is narrow."""
    total, narrow = int(count.sum()), count.int()
    index = torch.arange(chunk.start, chunk.stop, dtype=torch.int32, device=count.device)
    target = torch.repeat_interleave(index, narrow, output_size=total)
    return ranges(first.int(), narrow, total), target
