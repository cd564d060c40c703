"""Each image once, by hashes of what is kept of it."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from detmetrics.count import repeats
from detmetrics.count.repeats import Repeats
from detmetrics.ragged import lexsort, run_starts


class ImageColumns(NamedTuple):
    """What tells B images apart, ``(B,)`` int64 each."""

    key: Tensor  # the id, or another distinct number
    target_hash: Tensor
    outcome_hash: Tensor  # of what is kept


def distinct_order(images: ImageColumns, argument: str) -> tuple[Tensor, Repeats]:
    """The indices of images in the order of their keys, without repeated ones, and those.

    Which copy stays depends on its hashes alone.

    Args:
        images: What is known of them.
        argument: What ids are called in ``update()``.

    Raises:
        ValueError: if one key stands for two images with other targets.
    """
    order = lexsort(*images)
    keys, targets, hashes = (column[order] for column in images)
    starts = run_starts(keys)
    if bool(starts.all()):
        return order, repeats.NONE
    other = run_starts(keys, targets) & ~starts
    if bool(other.any()):
        key = int(keys[other][0])
        raise ValueError(
            f"{argument}: expected one target for an id, got two images with id {key} and other targets; "
            f"{repeats.REMEDY}"
        )
    first = starts.nonzero().squeeze(1).index_select(0, starts.cumsum(0) - 1)  # of each key
    return order[starts], repeats.repeats_of(keys, ~starts, hashes == hashes.index_select(0, first))
