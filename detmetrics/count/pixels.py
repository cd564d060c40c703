"""Pixels into exact counts: confusion matrices of labels, and tp, fp, fn, tn of masks.

The work goes block by block, so that what it needs besides the inputs stays small and in the caches. The code of the
target and that of the prediction make the number of a bin, and bins are counted in one of two ways: ``bincount`` on a
CPU, an integer ``scatter_add_`` elsewhere (``bincount`` would wait for the device twice; integers add in any order).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from detmetrics.count import label_codes as codes
from detmetrics.count.label_codes import LabelCodes, as_integers, as_mask, encode_scores
from detmetrics.ragged import occurrences

BLOCK = {"cpu": 1 << 18, "cuda": 1 << 25}  # pixels of a block of labels
BLOCK_SCORES = {"cpu": 1 << 18, "cuda": 1 << 28}  # scores of a block, or pixels of masks
MAX_BINS = {
    "cpu": (1 << 15) - 1,
    "cuda": 1 << 22,
}  # of several images or stripes in a block; int16 numbers them on a CPU
STRIPES = {"cpu": 4, "cuda": 32}  # copies of the bins: neighbouring pixels are alike, and would wait for one another
SUM_ROWS = 128  # ones that are added in uint8


class LabelCounts(NamedTuple):
    """What :func:`count_labels` finds."""

    confusion: Tensor  # (B, C + 1, C) or (C + 1, C) int64: rows are targets, in the last row ignored ones
    invalid: Tensor  # (2,) int64: pixels whose prediction is no label, and pixels whose target is none


class MaskCounts(NamedTuple):
    """What :func:`count_masks` finds."""

    counts: Tensor  # (B, C, 4) int64: tp, fp, fn, tn
    invalid: Tensor  # (2,) int64: blocks with predictions out of bounds, and pixels whose target is no label


def count_labels(
    preds: Tensor, target: Tensor, num_classes: int, ignored: Sequence[int] = (), *, per_image: bool
) -> LabelCounts:
    """Confusion matrices of label maps.

    Args:
        preds: ``(B, ...)`` labels of any dtype, or ``(B, C, ...)`` scores: the largest counts, of equal ones the first.
        target: ``(B, ...)`` labels of any dtype.
        num_classes: C; the labels are 0 to C - 1.
        ignored: Values of the target, labels or not, whose pixels go to the last row.
        per_image: One matrix per image, rather than one for all.

    Returns:
        int64 ``(B, C + 1, C)``, or ``(C + 1, C)`` if not ``per_image``, and the numbers of invalid pixels (a value that
        is neither a label nor ignored, NaN among the scores), which are in no matrix.

    Example:
        >>> preds, target = torch.tensor([[0, 1, 1]]), torch.tensor([[0, 0, 255]])
        >>> count_labels(preds, target, 2, [255], per_image=False).confusion.tolist()
        [[1, 1], [0, 0], [0, 1]]
    """
    truth, labels = LabelCodes(num_classes, ignored), LabelCodes(num_classes)
    has_scores = preds.ndim > target.ndim
    num_pixels = _here(BLOCK_SCORES, target) // num_classes if has_scores else _here(BLOCK, target)
    bins = _Bins(truth, labels, target, max(num_pixels, 1), per_image)
    table = target.new_zeros((len(target) if per_image else 1, bins.width), dtype=torch.int64)
    for images, p, t in _blocks(preds, target, bins.num_images, bins.num_pixels):
        predicted = encode_scores(p, bins.dtype) if has_scores else labels.encode(p, bins.dtype)  # (m, n)
        table[images if per_image else slice(None)] += bins.count(truth.encode(t, bins.dtype), predicted)
    found = _fold(table.view(len(table), truth.size, labels.size), truth, num_classes)
    return found if per_image else found._replace(confusion=found.confusion[0])


def _fold(table: Tensor, truth: LabelCodes, num_classes: int) -> LabelCounts:
    """Counts for each code of the target and of the prediction (B, codes, C + 2) into those for each class."""
    start = -truth.first
    # The outer columns are those of invalid predictions.
    classes = table[:, start : start + num_classes].clone()  # (B, C, C + 2)
    ignored = torch.zeros_like(table[:, :1])  # (B, 1, C + 2)
    for code in truth.ignored:
        ignored = ignored + table[:, start + code, None]
        if code >= 0:
            classes[:, code : code + 1] = 0  # nothing, if it is no class
    folded = torch.cat([classes, ignored], dim=1)
    invalid = torch.stack([table[..., 0].sum() + table[..., -1].sum(), table.sum() - folded.sum()])
    return LabelCounts(folded[..., 1:-1].contiguous(), invalid)


class _Bins:
    """A bin for each pair of codes, in copies for the images and the stripes of a block."""

    def __init__(self, truth: LabelCodes, labels: LabelCodes, target: Tensor, num_pixels: int, per_image: bool) -> None:
        pixels_of_image = max(target.shape[1:].numel(), 1)
        limit = _here(MAX_BINS, target)
        self.width = truth.size * labels.size
        self.num_pixels = num_pixels
        self.num_images = max(num_pixels // pixels_of_image, 1)
        if per_image:
            self.num_images = min(self.num_images, max(limit // self.width, 1))
        self._groups = self.num_images if per_image else 1
        self._stripes = min(_here(STRIPES, target), max(limit // (self._groups * self.width), 1))
        self._size = self._groups * self._stripes * self.width
        self.dtype = torch.int16 if self._size < 1 << 15 else torch.int32
        self._step = labels.size
        group = torch.arange(self._groups, device=target.device) * (self._stripes * self.width)
        stripe = torch.arange(self._stripes, device=target.device) * self.width
        stripe -= truth.first * self._step + labels.first  # so that the smallest codes go to bin 0
        shift = (group[:, None] + stripe).to(self.dtype)  # (groups, stripes)
        self._shift = shift.repeat(1, min(num_pixels, pixels_of_image) // self._stripes + 1)  # (groups, n or more)

    def count(self, target: Tensor, preds: Tensor) -> Tensor:
        """The pairs of codes (m, n) of a block, by bin: (groups, width) int64."""
        num_images, num_pixels = target.shape
        shift = self._shift[:num_images, :num_pixels]
        index = torch.add(shift, target, alpha=self._step).add_(preds)  # (m, n)
        return (
            occurrences(index.flatten(), self._size)
            .view(self._groups, self._stripes, self.width)
            .sum(dim=1)[:num_images]
        )


def counts_of(confusion: Tensor) -> Tensor:
    """tp, fp, fn, tn of each class from matrices of :func:`count_labels`: (..., C + 1, C) to (..., C, 4) int64.

    Example:
        >>> counts_of(torch.tensor([[5, 1], [2, 4], [9, 9]])).tolist()
        [[5, 2, 1, 4], [4, 1, 2, 5]]
    """
    counted = confusion[..., :-1, :]  # (..., C, C)
    tp = counted.diagonal(dim1=-2, dim2=-1)  # (..., C)
    fp, fn = counted.sum(dim=-2) - tp, counted.sum(dim=-1) - tp
    total = counted.sum(dim=(-2, -1))[..., None]
    return torch.stack([tp, fp, fn, total - tp - fp - fn], dim=-1)


def count_masks(
    preds: Tensor,
    target: Tensor,
    ignored: Sequence[int] = (),
    threshold: float = 0.5,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> MaskCounts:
    """tp, fp, fn, tn of masks, each by itself.

    Args:
        preds: ``(B, C, ...)`` scores of a floating dtype, or 0 and 1 of another one.
        target: ``(B, C, ...)`` 0 and 1 of any dtype.
        ignored: Values of the target whose pixels are not counted.
        threshold: Scores at or above it, rounded to their dtype, are 1.
        bounds: Scores outside are invalid, and so is NaN.

    Returns:
        ``(B, C, 4)`` int64, and whether there were invalid values, in which case the counts mean nothing.

    Example:
        >>> count_masks(torch.tensor([[[0.5, 0.2, 0.9]]]), torch.tensor([[[1, 1, 0]]])).counts.tolist()
        [[[1, 1, 1, 0]]]
    """
    truth = LabelCodes(2, ignored)
    num_pixels = _here(BLOCK_SCORES, target)
    num_planes = max(num_pixels // max(target.shape[2:].numel(), 1), 1)
    counts = target.new_zeros((target.shape[:2].numel(), 4), dtype=torch.int64)  # (B C, 4)
    invalid = target.new_zeros(2, dtype=torch.int64)
    for planes, p, t in _blocks(preds.flatten(0, 1), target.flatten(0, 1), num_planes, num_pixels):  # (m, n) each
        predicted = as_mask(torch.ge, p, threshold) if p.is_floating_point() else as_mask(torch.eq, as_integers(p), 1)
        one, kept, num_invalid = _sides(truth, t)  # (m, n) each
        tp, positives = _sum(predicted & one), _sum(one)  # (m,) each
        if kept is None:
            fp, total = _sum(predicted) - tp, torch.full_like(tp, t.shape[-1])
        else:
            fp, total = _sum(predicted & kept) - tp, _sum(kept)
        counts[planes] += torch.stack([tp, fp, positives - tp, total - positives - fp], dim=-1)
        invalid += torch.stack([_out_of_bounds(p, bounds), num_invalid])
    return MaskCounts(counts.view(*target.shape[:2], 4), invalid)


def _sides(truth: LabelCodes, target: Tensor) -> tuple[Tensor, Tensor | None, Tensor]:
    """Where the target counts as 1, where it counts at all (None: everywhere), and how many pixels are invalid."""
    encoded = truth.encode(target, torch.int8 if truth.size < 1 << 7 else torch.int16)
    if not truth.ignored:
        return encoded.view(torch.uint8), None, _out_of_bounds(encoded, (0, 1))
    masks = {code: as_mask(torch.eq, encoded, code) for code in {0, 1, *truth.ignored}}
    num_valid = torch.stack([_sum(mask) for mask in masks.values()]).sum()
    zero, one = (masks[label] * (label not in truth.ignored) for label in (0, 1))
    return one, zero | one, target.numel() - num_valid


def _out_of_bounds(values: Tensor, bounds: tuple[float, float]) -> Tensor:
    """0-d int64: 1 if a value is outside the bounds or NaN."""
    low, high = values.aminmax() if values.is_floating_point() else as_integers(values).aminmax()
    return (~((low >= bounds[0]) & (high <= bounds[1]))).long()


def _sum(mask: Tensor) -> Tensor:
    """Sums of 0 and 1 over the last dimension, (..., n) uint8 to (...) int64; few of them widen what they add."""
    even, rest = mask.split_with_sizes([mask.shape[-1] // SUM_ROWS * SUM_ROWS, mask.shape[-1] % SUM_ROWS], dim=-1)
    total: Tensor = even.unflatten(-1, (SUM_ROWS, -1)).sum(dim=-2, dtype=torch.uint8).sum(dim=-1)
    return total + rest.sum(dim=-1) if rest.shape[-1] else total


def _blocks(preds: Tensor, target: Tensor, num_images: int, num_pixels: int) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Some images, and some of their pixels: preds (B, ...) or (B, C, ...) as (m, n) or (m, C, n), target as (m, n)."""
    spatial = target.shape[1:]
    for start in range(0, len(target), num_images):
        images = slice(start, min(start + num_images, len(target)))
        p, t = (x[images] for x in (preds, target))
        p, t = (x.reshape(*x.shape[: x.ndim - len(spatial)], spatial.numel()) for x in (p, t))  # (..., N)
        for at in range(0, spatial.numel(), num_pixels):
            yield images, p[..., at : at + num_pixels], t[..., at : at + num_pixels]


def _here(limits: dict[str, int], tensor: Tensor) -> int:
    return limits[codes.way(tensor)]
