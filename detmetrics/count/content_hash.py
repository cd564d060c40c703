"""A hash of the content of label maps and masks, by which two copies of an image are told from two images."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from detmetrics.count.label_codes import as_integers, way
from detmetrics.ragged import reads_are_free

LANES = 4  # values of 16 bits in a word of 64
BLOCK = {"cpu": 1 << 15, "cuda": 1 << 22}  # words that are hashed at a time
HIGH_FACTORS = (0x2545F4914F6CDD1D, 0x369DEA0F31A53F85, 0x5851F42D4C957F2D, 0x14057B7EF767814F)  # odd; one per lane


def hash_content(values: Tensor) -> Tensor:
    """A hash of each image: of every value with its position, and of the shape.

    It is a sum of words, each of which holds four values, times odd weights that the positions give. It is exact in
    int64: the order of adding, the number of threads, the device and the batch do not matter, and neither does the
    dtype of whole numbers.

    Args:
        values: ``(B, ...)`` whole numbers of any dtype.

    Returns:
        ``(B,)`` int64.

    Example:
        >>> maps = torch.tensor([[0, 1], [1, 0], [0, 1]])
        >>> a, b, c = hash_content(maps).tolist()
        >>> (a == b, a == c, hash_content(maps.float()).tolist() == [a, b, c])
        (False, True, True)
    """
    size = values.shape[1:].numel()
    flat = values.reshape(len(values), size)  # (B, n)
    total = torch.full((len(values),), _hash_shape(values.shape[1:]), dtype=torch.int64, device=values.device)
    num_words = BLOCK[way(values)]
    num_images = max(num_words * LANES // max(size, 1), 1)
    for at in range(0, size, num_words * LANES):
        block = flat[:, at : at + num_words * LANES]
        weights = _weights(at // LANES, math.ceil(block.shape[1] / LANES), values.device)
        for start in range(0, len(values), num_images):
            images = slice(start, start + num_images)
            total[images] += _hash_block(block[images], weights)
    return total


def _hash_block(values: Tensor, weights: Tensor) -> Tensor:
    """The sum over the values (m, n) of some images, with the weights of their words, (m,) int64."""
    whole = values.long() if values.is_floating_point() else as_integers(values)
    lanes = torch.zeros((len(whole), len(weights) * LANES), dtype=torch.int16, device=whole.device)
    lanes[:, : whole.shape[1]] = whole  # the low 16 bits
    words = lanes.view(torch.int64)  # (m, words)
    # A factor passes nothing on to lower bits: what differs in the high lanes alone must differ in the low ones too.
    total = ((words ^ words >> 32) * weights).sum(dim=1)
    if _exceed_16_bits(whole):
        factors = torch.stack([weights * factor for factor in HIGH_FACTORS], dim=1)  # (words, lanes)
        total += ((whole.long() >> 16) * factors.flatten()[: whole.shape[1]]).sum(dim=1)
    return total


def _exceed_16_bits(whole: Tensor) -> bool:
    """Whether a value may not fit into 16 bits without a sign."""
    if whole.dtype == torch.uint8:
        return False
    if not reads_are_free(whole.device):
        return True  # what is above the 16 bits of small values is 0, and adds nothing
    low, high = whole.aminmax()
    return not (low >= 0 and high < 1 << 16)


def _weights(start: int, count: int, device: torch.device) -> Tensor:
    """The weights of words from ``start`` on, odd and otherwise without pattern, ``(count,)`` int64."""
    mixed = torch.arange(start + 1, start + count + 1, device=device) * -0x61C8864680B583EB
    for shift, factor in ((30, -0x40A7B892E31B1A47), (27, -0x6B2FB644ECCEEE15)):  # the finish of splitmix64
        mixed = (mixed ^ mixed >> shift) * factor
    return mixed ^ mixed >> 31 | 1


def _hash_shape(shape: Sequence[int]) -> int:
    """A number of 62 bits; shapes of any image give numbers that differ."""
    mixed = len(shape)
    for size in shape:
        mixed = (mixed * 0x100000001B3 + size) & (1 << 62) - 1
    return mixed
