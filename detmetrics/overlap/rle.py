"""COCO's run-length encoding of masks: the lengths of alternating runs of 0 and 1, down the columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

BITS = 5  # of a number in a character; one more bit says whether the number goes on


def decode_masks(encoded: Sequence[Mapping[str, Any]]) -> Tensor:
    """Masks of an image from their run-length encodings.

    Args:
        encoded: N dicts of ``size``, (H, W), the same in all, and ``counts``: COCO's characters as str or bytes, or the
            list of the lengths themselves.

    Returns:
        ``(N, H, W)`` bool; ``(0, 0, 0)`` for none.

    Raises:
        ValueError: if an entry is no such dict, sizes differ, or runs do not add up to the size.

    Source: ``maskApi.c`` of pycocotools, ``rleFrString`` and ``rleDecode``.

    Example:
        >>> decode_masks([{"size": [2, 3], "counts": [1, 3, 2]}]).int().tolist()
        [[[0, 1, 0], [1, 1, 0]]]
    """
    sizes = {_size(entry) for entry in encoded}
    if len(sizes) > 1:
        raise ValueError(f"expected encodings of one size, got {' and '.join(map(str, sorted(sizes)))}")
    height, width = sizes.pop() if sizes else (0, 0)
    runs = [torch.zeros(0, dtype=torch.int64), *(_runs(entry["counts"]) for entry in encoded)]
    for lengths in runs[1:]:
        total = int(lengths.sum())
        if total != height * width or bool((lengths < 0).any()):
            raise ValueError(f"expected runs of 0 or more that add up to {height} * {width} pixels, got {total} pixels")
    is_mask = torch.cat([torch.arange(len(lengths)) % 2 == 1 for lengths in runs])
    pixels = is_mask.numpy().repeat(torch.cat(runs).numpy())  # some 20 times as fast as repeat_interleave
    return torch.from_numpy(pixels).view(len(encoded), width, height).transpose(1, 2)


def _size(entry: Any) -> tuple[int, int]:
    if not isinstance(entry, Mapping) or not {"size", "counts"} <= entry.keys():
        raise ValueError(f"expected dicts of 'size' and 'counts', got {type(entry).__name__}")
    size = entry["size"]
    if not isinstance(size, list | tuple) or len(size) != 2 or not all(isinstance(x, int) and x >= 0 for x in size):
        raise ValueError(f"expected a size of (H, W), got {size!r}")
    return size[0], size[1]


def _runs(counts: Any) -> Tensor:
    """The lengths of the runs, ``(R,)`` int64."""
    if isinstance(counts, str):
        counts = counts.encode(errors="replace")
    if isinstance(counts, bytes):
        return _parse(counts)
    if isinstance(counts, list | tuple) and all(isinstance(count, int) for count in counts):
        return torch.tensor(counts, dtype=torch.int64)
    raise ValueError(f"expected counts as str, bytes or a list of ints, got {type(counts).__name__}")


def _parse(counts: bytes) -> Tensor:
    """Runs from characters: numbers with sign, five bits at a time; from the fourth on, less the last but one."""
    if not counts:
        return torch.zeros(0, dtype=torch.int64)
    digits = torch.frombuffer(bytearray(counts), dtype=torch.uint8).long() - ord("0")  # (L,)
    last = (digits >> BITS == 0).nonzero().squeeze(1)  # (R,), where numbers end
    length = last.diff(prepend=last.new_tensor([-1]))
    if bool(((digits < 0) | (digits >= 64)).any()) or int(length.sum()) < len(digits) or int(length.amax()) > 12:
        raise ValueError(f"expected counts in COCO's characters, got {counts[:20]!r}")
    number = torch.arange(len(last)).repeat_interleave(length)  # (L,)
    place = torch.arange(len(digits)) - (last - length + 1)[number]
    runs = torch.zeros_like(last).index_add_(0, number, (digits & 31) << BITS * place)
    runs -= (digits[last] >> BITS - 1 & 1) << BITS * length
    for chain in (runs[1::2], runs[2::2]):
        chain.copy_(chain.cumsum(0))
    return runs
