"""COCO's run-length encoding of masks: the lengths of alternating runs of 0 and 1, down the columns."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from detmetrics.ragged import exclusive_cumsum, owners

BITS = 5  # of a number in a character; one more bit says whether the number goes on
MOST_PIXELS = 2**32  # in a mask, and one more: COCO's tools count in 32 bits
AT_ONCE = 1 << 20  # characters and runs that are parsed together
LONGEST = 12  # characters of a number that fits into 64 bits
COCO_CHARACTERS = rb"(?:[P-o]{0,11}[0-O])*"  # the last character of a number is one of the first 32

Array = npt.NDArray[Any]


class BadMaskError(ValueError):
    """A mask that is no run-length encoding.

    Attributes:
        index: Which of the masks.
    """

    def __init__(self, index: int, problem: str) -> None:
        super().__init__(problem)
        self.index = index


class Runs(NamedTuple):
    """The pixels of N masks as runs of 1, in the order of masks and of pixels, counted down the columns."""

    size: Tensor  # (N, 2) int64: height and width
    mask: Tensor  # (R,) int64, index of the mask, ascending
    start: Tensor  # (R,) int64, the first pixel
    end: Tensor  # (R,) int64, the pixel behind the last; more than the start


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
    runs = read_runs(encoded)
    height, width = common_size(runs)
    return paint(runs, len(encoded), height, width)


def paint(runs: Runs, num_masks: int, height: int, width: int) -> Tensor:
    """``(N, H, W)`` bool with column after column in memory, from runs of masks of one size."""
    if not height * width:
        return torch.zeros((num_masks, width, height), dtype=torch.bool).transpose(1, 2)
    first = runs.mask * (height * width)
    ends = torch.stack([runs.start + first, runs.end + first], dim=1).flatten()  # ascending
    total = ends.new_tensor([num_masks * height * width])
    lengths = torch.cat([ends, total]).diff(prepend=torch.zeros_like(total))
    is_mask = torch.arange(len(lengths)) % 2 == 1
    pixels = is_mask.numpy().repeat(lengths.numpy())  # some 20 times as fast as repeat_interleave
    return torch.from_numpy(pixels).view(num_masks, width, height).transpose(1, 2)


def common_size(runs: Runs) -> tuple[int, int]:
    """The height and width of all masks; zeros for none.

    Raises:
        ValueError: if sizes differ.
    """
    sizes = sorted({(height, width) for height, width in runs.size.tolist()})
    if len(sizes) > 1:
        raise ValueError(f"expected encodings of one size, got {' and '.join(map(str, sizes))}")
    return sizes[0] if sizes else (0, 0)


def read_runs(encoded: Sequence[Any]) -> Runs:
    """The runs of masks of any sizes.

    Args:
        encoded: N dicts of ``size`` and ``counts``, as for :func:`decode_masks`.

    Raises:
        BadMaskError: if an entry is no such dict, or its runs do not add up to its size.
    """
    sizes = [_checked(index, _size, entry) for index, entry in enumerate(encoded)]
    size = torch.tensor(sizes, dtype=torch.int64).reshape(-1, 2)
    lengths, counts = _all_lengths([entry["counts"] for entry in encoded])
    owner = owners(counts, len(lengths))
    _check_totals(lengths, owner, size)
    before = lengths.cumsum(0)
    place = torch.arange(len(lengths)) - exclusive_cumsum(counts).index_select(0, owner)
    end = before - exclusive_cumsum(size.prod(1)).index_select(0, owner)
    filled = ((place % 2 == 1) & (lengths > 0)).nonzero().squeeze(1)
    return Runs(size, owner[filled], (end - lengths)[filled], end[filled])


def mask_areas(runs: Runs) -> Tensor:
    """The pixels of each mask, ``(N,)`` int64."""
    return runs.size.new_zeros(len(runs.size)).index_add_(0, runs.mask, runs.end - runs.start)


def mask_boxes(runs: Runs) -> Tensor:
    """The box around each mask, ``(N, 4)`` int64 xyxy pixels, half-open; zeros for an empty mask."""
    height = runs.size[:, 0].index_select(0, runs.mask)
    left, right = runs.start // height, (runs.end - 1) // height
    one_column = left == right
    top = torch.where(one_column, runs.start % height, 0)
    bottom = torch.where(one_column, (runs.end - 1) % height + 1, height)
    low, high = torch.stack([left, top], dim=1), torch.stack([right + 1, bottom], dim=1)  # (R, 2)
    index = runs.mask[:, None].expand_as(low)
    none = low.new_zeros((len(runs.size), 2))
    return torch.cat(
        [
            none.scatter_reduce(0, index, low, "amin", include_self=False),
            none.scatter_reduce(0, index, high, "amax", include_self=False),
        ],
        dim=1,
    )


def _checked(index: int, read: Any, value: Any) -> Any:
    try:
        return read(value)
    except ValueError as error:
        raise BadMaskError(index, str(error)) from None


def _check_totals(lengths: Tensor, owner: Tensor, size: Tensor) -> None:
    """Raise unless the runs of every mask are of 0 or more and add up to its size."""
    pixels = size.prod(1)
    fits = (lengths >= 0) & (lengths <= pixels.index_select(0, owner))  # so that no sum wraps around
    bounded = torch.where(fits, lengths, 0)
    totals = torch.zeros_like(pixels).index_add_(0, owner, bounded)
    wrong = (totals != pixels).index_fill(0, owner[~fits], True)
    if bool(wrong.any()):
        index = int(wrong.nonzero()[0])
        height, width = size[index].tolist()
        total = sum(lengths[owner == index].tolist())
        problem = f"expected runs of 0 or more that add up to {height} * {width} pixels, got {total} pixels"
        raise BadMaskError(index, problem)


def _size(entry: Any) -> tuple[int, int]:
    if not isinstance(entry, Mapping) or not {"size", "counts"} <= entry.keys():
        raise ValueError(f"expected dicts of 'size' and 'counts', got {type(entry).__name__}")
    size = entry["size"]
    if not isinstance(size, list | tuple) or len(size) != 2 or not all(isinstance(x, int) and x >= 0 for x in size):
        raise ValueError(f"expected a size of (H, W), got {size!r}")
    if max(size) >= MOST_PIXELS or size[0] * size[1] >= MOST_PIXELS:
        raise ValueError(f"expected a size (H, W) of fewer than 2**32 pixels, got {size!r}")
    return size[0], size[1]


def _all_lengths(values: list[Any]) -> tuple[Tensor, Tensor]:
    """The lengths of the runs of all masks, ``(L,)`` int64, and how many each mask has, ``(N,)`` int64."""
    parts: list[tuple[Tensor, Tensor]] = []
    first = 0
    while first < len(values):
        is_list, behind, total = _is_list(first, values[first]), first, 0
        while behind < len(values) and _is_list(behind, values[behind]) == is_list and total < AT_ONCE:
            total += len(values[behind])
            behind += 1
        parts.append((_from_lists if is_list else _parse)(first, values[first:behind]))
        first = behind
    none = torch.zeros(0, dtype=torch.int64)
    return torch.cat([none, *(x for x, _ in parts)]), torch.cat([none, *(x for _, x in parts)])


def _is_list(index: int, counts: Any) -> bool:
    if not isinstance(counts, str | bytes | list | tuple):
        raise BadMaskError(index, f"expected counts as str, bytes or a list of ints, got {type(counts).__name__}")
    return isinstance(counts, list | tuple)


def _from_lists(first: int, values: list[list[int]]) -> tuple[Tensor, Tensor]:
    for index, counts in enumerate(values, start=first):
        if not all(isinstance(n, int) and abs(n) < 2**63 for n in counts):
            raise BadMaskError(index, "expected counts as str, bytes or a list of ints, got list with others")
    sizes = torch.tensor([len(counts) for counts in values], dtype=torch.int64)
    return torch.tensor([n for counts in values for n in counts], dtype=torch.int64), sizes


def _parse(first: int, values: list[str | bytes]) -> tuple[Tensor, Tensor]:
    """Runs from characters: numbers with sign, five bits at a time; from the fourth on, less the last but one."""
    texts = [x.encode(errors="replace") if isinstance(x, str) else x for x in values]
    sizes = np.array([len(text) for text in texts], dtype=np.int64)  # (N,)
    digits = np.frombuffer(b"".join(texts), dtype=np.uint8) - np.uint8(ord("0"))  # (L,), wraps around
    last = np.flatnonzero(digits >> BITS == 0)  # (R,), where numbers end
    length = np.diff(last, prepend=-1)
    _check_characters(first, digits, sizes, length, texts)
    runs = _numbers(digits, last, length)
    counts = np.diff(np.searchsorted(last, sizes.cumsum()), prepend=0)
    return torch.from_numpy(_undo_differences(runs, counts)), torch.from_numpy(counts)


def _numbers(digits: Array, last: Array, length: Array) -> Array:
    """The numbers ``(R,)`` int64 of some length each."""
    start = last - length + 1
    numbers: Array = (digits[start] & 31).astype(np.int64)
    for place in range(1, int(length.max(initial=0))):
        longer = np.flatnonzero(length > place)
        numbers[longer] |= (digits[start[longer] + place] & 31).astype(np.int64) << BITS * place
    negative = np.flatnonzero(digits[last] >> BITS - 1 & 1)
    numbers[negative] -= np.int64(1) << BITS * length[negative]
    return numbers


def _check_characters(first: int, digits: Array, sizes: Array, length: Array, texts: list[bytes]) -> None:
    """Raise unless every text has COCO's characters, ends with the end of a number, and no number is too long."""
    ends = sizes.cumsum()[sizes > 0] - 1
    if (digits < 64).all() and (digits[ends] >> BITS == 0).all() and length.max(initial=0) <= LONGEST:
        return
    for index, text in enumerate(texts, start=first):
        if re.fullmatch(COCO_CHARACTERS, text) is None:
            raise BadMaskError(index, f"expected counts in COCO's characters, got {text[:20]!r}")


def _undo_differences(runs: Array, counts: Array) -> Array:
    """Lengths, from the differences to the last but one that stand from the fourth on; mask by mask.

    Every second number is added up over all masks; what a mask finds there when it begins is taken off again.
    """
    sums = np.concatenate([np.zeros(2, dtype=np.int64), runs])  # two places on: sums[i + 2] belongs to run i
    for parity in (0, 1):
        sums[parity::2] = sums[parity::2].cumsum()
    start = counts.cumsum() - counts  # (N,)
    place = np.arange(len(runs)) - start.repeat(counts)
    # The second run begins a chain, and so does the third; the first stands alone.
    own, before = (sums[np.minimum(start + shift, len(sums) - 1)].repeat(counts) for shift in (2, 1))
    lengths: Array = np.where(place == 0, runs, sums[2:] - np.where(place % 2 == 1, before, own))
    return lengths
