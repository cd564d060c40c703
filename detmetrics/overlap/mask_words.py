"""Overlaps of masks as exact integers, reading each mask little more than once.

A bool mask is read eight pixels at a time: its bytes, 0 or 1 each, are the lanes of int64 words. Adding words adds
eight pixels at once, and AND intersects them. On a GPU a matrix product takes fewer kernels: products of 0 and 1 are
exact in TF32 too, and so are their sums while they are small.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from detmetrics.ragged import mix, occurrences
from detmetrics.state.devices import no_autocast

LANES = 8  # pixels in a word
MASK_BUDGET = 64 << 20  # bytes
IN_CACHE = 1 << 20  # bytes that a CPU reads again without waiting for memory
EXACT = 1 << 20  # pixels whose products float32 adds up without rounding, with bits to spare


class MaskWords(NamedTuple):
    """Masks of one image in words, with what one look at them tells."""

    words: Tensor  # (N, H, ceil(W / 8)) int64
    area: Tensor  # (N,) int64, pixels
    # (N, 4) int64: first row, first word, and behind the last row and word; zeros for an empty mask. None: not needed
    box: Tensor | None


def multiplies(device: torch.device) -> bool:
    """Whether intersections are matrix products of all pairs, so that nothing need be known of where masks lie."""
    return device.type != "cpu"


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
    if multiplies(words.device):
        return MaskWords(words, words.view(torch.uint8).flatten(1).sum(1), None)
    looked_at = [(_occupied(part), _add_rows(part)) for part in words.split(_masks_at_once(words))]
    rows, columns = (torch.cat(parts) for parts in zip(*looked_at, strict=True))  # (N, H), (N, parts, W / 8)
    extents = [_extent(rows), _extent((columns != 0).any(1))]  # (N, 2) each
    return MaskWords(words, _add_lanes(columns), torch.stack(extents, dim=2).flatten(1))


def _occupied(words: Tensor) -> Tensor:
    """Which rows have pixels, ``(N, H)`` bool. The maximum of int32 takes a CPU half as long as that of int64."""
    return words.view(torch.int32).amax(2) > 0  # a byte is 0 or 1: no half of a word is negative


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
    if detections.box is None or targets.box is None:
        return _products(detections.words, targets.words, byte_budget)[detection, target]
    parts = [detection.new_zeros(0)]
    counts = occurrences(target, len(targets.words))
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


def _products(words: Tensor, target_words: Tensor, byte_budget: int) -> Tensor:
    """Pixels that all pairs of masks share, ``(N, M)`` int64."""
    shared = words.new_zeros((len(words), len(target_words)))
    if not shared.numel() or words.shape[1:] != target_words.shape[1:]:  # masks of no image have no size
        return shared
    pixels, target_pixels = (x.view(torch.uint8).flatten(1) for x in (words, target_words))
    at_once = min(max(byte_budget // (4 * sum(shared.shape)), 1), EXACT)
    with no_autocast(words.device):
        for part, other in zip(pixels.split(at_once, dim=1), target_pixels.split(at_once, dim=1), strict=True):
            shared += (part.float() @ other.float().T).long()
    return shared


def hash_pixels(words: Tensor, transposed: bool = False, origin: tuple[int, int] = (0, 0)) -> Tensor:
    """A hash of the pixels of each mask, whatever the size of the image that lies around them.

    Args:
        words: ``(N, H, ceil(W / 8))`` int64, from :func:`to_words`.
        transposed: Whether the masks were packed down their columns; the hash is that of the masks themselves.
        origin: Where a cut-out begins in its image: the row and the column, both divided by eight.

    Returns:
        ``(N,)`` int64; 0 for an empty mask.

    Example:
        >>> mask = torch.rand(1, 12, 20) < 0.5
        >>> hash_pixels(to_words(mask).words).equal(hash_pixels(to_words(mask.mT).words, transposed=True))
        True
    """
    if not words.numel():
        return words.new_zeros(len(words))
    at_once = LANES * _masks_at_once(words)  # there are so many fewer blocks
    return torch.cat([_hash_blocks(_to_blocks(part), transposed, origin) for part in words.split(at_once)])


def _masks_at_once(words: Tensor) -> int:
    """How many masks stay in a CPU's cache; all of them elsewhere."""
    return max(IN_CACHE // (words[0].numel() * LANES), 1) if words.device.type == "cpu" else len(words)


def _to_blocks(words: Tensor) -> Tensor:
    """Squares of eight by eight pixels in one int64: bit 8 * x + y. ``(N, ceil(H / 8), ceil(W / 8))``."""
    blocks = words[:, ::LANES].clone()
    for row in range(1, min(LANES, words.shape[1])):
        part = words[:, row::LANES]
        blocks[:, : part.shape[1]] |= part << row  # a byte is 0 or 1: seven bits of it are free
    return blocks


def _hash_blocks(blocks: Tensor, transposed: bool, origin: tuple[int, int]) -> Tensor:
    """The sum of the hashes of the blocks that have pixels, each with its place; exact in int64."""
    mask, row, column = blocks.nonzero().unbind(1)  # (P,) each
    pixels = blocks[mask, row, column]
    if transposed:
        pixels, row, column = _transpose_bits(pixels), column, row
    hashed = mix(mix(row + origin[0] << 32 | column + origin[1]) ^ pixels)
    return blocks.new_zeros(len(blocks)).index_add_(0, mask, hashed)


def _transpose_bits(blocks: Tensor) -> Tensor:
    """Bits 8 * x + y become bits 8 * y + x: squares of 1, 2, and 4 bits change places across the diagonal.

    Source: Warren, Hacker's Delight, 7-3.
    """
    for shift, upper in ((7, 0x00AA00AA00AA00AA), (14, 0x0000CCCC0000CCCC), (28, 0x00000000F0F0F0F0)):
        differing = (blocks ^ blocks >> shift) & upper
        blocks = blocks ^ differing ^ differing << shift
    return blocks
