"""Overlaps of masks as exact integers, reading each mask little more than once.

A bool mask is read eight pixels at a time: its bytes, 0 or 1 each, are the lanes of int64 words. Adding words adds
eight pixels at once, and AND intersects them. Integers are exact where a matrix product would depend on TF32 or on
autocast.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

LANES = 8  # pixels in a word
MASK_BUDGET = 64 << 20  # bytes
IN_CACHE = 1 << 20  # bytes that a CPU reads again without waiting for memory
DILATION_RATIO = 0.02


class MaskWords(NamedTuple):
    """Masks of one image in words, with what one look at them tells."""

    words: Tensor  # (N, H, ceil(W / 8)) int64
    area: Tensor  # (N,) int64, pixels
    box: Tensor  # (N, 4) int64: first row, first word, and behind the last row and word; zeros for an empty mask


def to_words(masks: Tensor) -> MaskWords:
    """Pack masks of one image.

    Args:
        masks: ``(N, H, W)`` bool. Not copied if W is a multiple of 8 and the memory is contiguous and aligned.

    Returns:
        The masks in words.

    Example:
        >>> packed = to_words(torch.ones(1, 2, 9, dtype=torch.bool))
        >>> packed.area.tolist(), packed.box.tolist()
        ([18], [[0, 0, 2, 2]])
    """
    width = masks.shape[2]
    if width % LANES or not width:
        masks = pad(masks, (0, LANES - width % LANES))
    flat = masks.contiguous().view(-1)  # so that the strides of dimensions of size 0 and 1 do not matter
    if flat.storage_offset() % LANES or flat.data_ptr() % LANES:
        flat = flat.clone()
    words = flat.view(torch.int64).view(*masks.shape[:2], masks.shape[2] // LANES)
    if not words.numel():
        return MaskWords(words, words.new_zeros(len(words)), words.new_zeros(len(words), 4))
    at_once = max(IN_CACHE // (words[0].numel() * LANES), 1) if words.device.type == "cpu" else len(words)
    looked_at = [(part.amax(2) > 0, _add_rows(part)) for part in words.split(at_once)]
    rows, columns = (torch.cat(parts) for parts in zip(*looked_at, strict=True))  # (N, H), (N, parts, W / 8)
    extents = [_extent(rows), _extent((columns != 0).any(1))]  # (N, 2) each
    return MaskWords(words, _add_lanes(columns), torch.stack(extents, dim=2).flatten(1))


def _extent(occupied: Tensor) -> Tensor:
    """The first index that is occupied and the one behind the last, ``(N, 2)``, from ``(N, L)`` bool."""
    index = torch.arange(1, occupied.shape[1] + 1, device=occupied.device)
    last = (occupied * index).amax(1)
    first = occupied.shape[1] - (occupied * index.flip(0)).amax(1)
    return torch.stack([torch.where(last > 0, first, 0), last], dim=1)


def _add_rows(words: Tensor) -> Tensor:
    """Pixels of each column, as bytes in words ``(N, parts, W / 8)``, from ``(N, H, W / 8)``; 255 rows a part."""
    return torch.stack([part.sum(1) for part in words.split(255, dim=1)], dim=1)


def _add_lanes(words: Tensor) -> Tensor:
    """The sum of all bytes of all words, ``(N,)`` int64, from ``(N, ...)``."""
    pairs = (words & 0x00FF00FF00FF00FF) + (words >> 8 & 0x00FF00FF00FF00FF)  # lanes of 16 bits, up to 510
    quads = (pairs & 0x0000FFFF0000FFFF) + (pairs >> 16 & 0x0000FFFF0000FFFF)  # lanes of 32 bits, up to 1020
    totals = quads.flatten(1).sum(1)  # 4 million words fit
    return (totals & 0xFFFFFFFF) + (totals >> 32)


def mask_intersections(
    detections: MaskWords, targets: MaskWords, detection: Tensor, target: Tensor, byte_budget: int = MASK_BUDGET
) -> Tensor:
    """Pixels that pairs of masks share.

    Args:
        detections: N masks of an image.
        targets: M masks of the same image.
        detection: ``(P,)`` int64, index of a detection.
        target: ``(P,)`` int64, index of a target, ascending.
        byte_budget: Bytes that temporaries may take, if one pair of masks fits.

    Returns:
        ``(P,)`` int64. Only the box of a target is read of its candidates.
    """
    parts = [detection.new_zeros(0)]
    counts = torch.bincount(target, minlength=len(targets.words))
    boxes = torch.cat([counts[:, None], targets.box], dim=1).tolist()
    candidates = detection.split([count for count, *_ in boxes])
    for mask, (_, top, left, bottom, right), chosen in zip(targets.words, boxes, candidates, strict=True):
        window = mask[top:bottom, left:right]
        if not window.numel() or not len(chosen):  # masks of no image, and empty ones, need not be of this size
            parts.append(torch.zeros_like(chosen))
            continue
        for some in chosen.split(max(byte_budget // (3 * window.numel() * LANES), 1)):
            common = detections.words[:, top:bottom, left:right].index_select(0, some) & window
            parts.append(_add_lanes(_add_rows(common)))
    return torch.cat(parts)


def mask_boundary(masks: Tensor, dilation_ratio: float = DILATION_RATIO) -> Tensor:
    """The pixels of masks within a distance of their outline.

    Args:
        masks: ``(N, H, W)`` bool.
        dilation_ratio: The distance as a share of the image's diagonal; at least one pixel.

    Returns:
        ``(N, H, W)`` bool: what erosion by a square of twice the distance and one pixel takes away. Outside the image
        there is no mask.

    Source: Cheng et al., Boundary IoU (CVPR 2021), ``mask_to_boundary`` of the authors' API.

    Example:
        >>> mask_boundary(torch.ones(1, 4, 5, dtype=torch.bool)).int().tolist()
        [[[1, 1, 1, 1, 1], [1, 0, 0, 0, 1], [1, 0, 0, 0, 1], [1, 1, 1, 1, 1]]]
    """
    height, width = masks.shape[1:]
    distance = max(round(dilation_ratio * (height**2 + width**2) ** 0.5), 1)
    boundaries = torch.zeros_like(masks, memory_format=torch.contiguous_format)
    for mask, boundary, (top, left, bottom, right) in zip(masks, boundaries, to_words(masks).box.tolist(), strict=True):
        if top < bottom:  # before torch 2.5 a window without pixels could not be padded
            window = slice(top, bottom), slice(left * LANES, right * LANES)  # outside there is nothing to take away
            inside = mask[window]
            boundary[window] = inside & ~_eroded(_eroded(inside, distance, 0), distance, 1)
    return boundaries


def _eroded(mask: Tensor, distance: int, dim: int) -> Tensor:
    """Pixels that have no gap within ``distance`` along a dimension."""
    size = 2 * distance + 1
    filled = pad(mask, [distance, distance] if dim == 1 else [0, 0, distance, distance])
    length = 1  # of the spans that start at a pixel and are filled
    while length < size:
        step = min(length, size - length)
        starts = filled.shape[dim] - step
        filled = filled.narrow(dim, 0, starts) & filled.narrow(dim, step, starts)
        length += step
    return filled
