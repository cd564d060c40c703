"""Overlaps of masks that stay run-length encoded, because their images are too large to be decoded.

Memory grows with the number of runs, not with the size of the images. The results are those of decoded masks, bit for
bit: pixels are counted exactly.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from detmetrics.overlap.mask_words import LANES, hash_pixels, to_words
from detmetrics.overlap.rle import Runs, mask_areas, mask_boxes, paint
from detmetrics.ragged import exclusive_cumsum, owners, ranges

Pair = tuple[Tensor, Tensor]  # indices of detections and of targets, (P,) int64 each, by target

BYTES_PER_RUN = 128  # that temporaries take for each run of a pair
BYTES_PER_CANDIDATE = 64


def num_pixels(item: Mapping[str, Any]) -> int:
    """The pixels that the encoded masks of an image have when they are decoded; 0 for masks in another form."""
    masks = item.get("masks") if isinstance(item, Mapping) else None
    if not isinstance(masks, list | tuple):
        return 0
    sizes = [mask.get("size") if isinstance(mask, Mapping) else None for mask in masks]
    pairs = [size for size in sizes if isinstance(size, list | tuple) and len(size) == 2]
    return sum(h * w for h, w in pairs if isinstance(h, int) and isinstance(w, int))


def meeting_pairs(detections: Runs, targets: Runs, labels: Pair | None, byte_budget: int) -> Pair:
    """The pairs (detection, target), by target, whose boxes meet, and whose labels agree if they are given."""
    boxes, target_boxes = mask_boxes(detections), mask_boxes(targets)
    at_once = max(byte_budget // (BYTES_PER_CANDIDATE * max(len(boxes), 1)), 1)
    found = [(boxes.new_zeros(0), boxes.new_zeros(0))]
    for first in range(0, len(target_boxes), at_once):
        some = target_boxes[first : first + at_once, None]  # (m, 1, 4)
        wanted = (torch.minimum(boxes, some)[..., 2:] > torch.maximum(boxes, some)[..., :2]).all(dim=2)  # (m, N)
        if labels is not None:
            wanted &= labels[0] == labels[1][first : first + at_once, None]
        target, detection = wanted.nonzero().unbind(1)
        found.append((detection, target + first))
    detection, target = (torch.cat(part) for part in zip(*found, strict=True))
    return detection, target


def run_intersections(detections: Runs, targets: Runs, pair: Pair, byte_budget: int) -> Tensor:
    """Pixels that pairs of masks of one image share, ``(P,)`` int64.

    A run of the detection shares with a target the pixels of the target before its end, less those before its start;
    both are looked up among the sorted runs of all targets.
    """
    counts = torch.bincount(detections.mask, minlength=len(detections.size))  # (N,)
    starts = exclusive_cumsum(counts)
    stride = int(targets.size.prod(1).amax()) + 1 if len(targets.size) else 1
    keys = targets.mask * stride + targets.start  # (R,), ascending
    lengths = targets.end - targets.start
    before = exclusive_cumsum(lengths)
    parts = [counts.new_zeros(0)]
    for some in in_parts(counts.index_select(0, pair[0]), max(byte_budget // BYTES_PER_RUN, 1)):
        detection, target = pair[0][some], pair[1][some]
        own = counts.index_select(0, detection)
        total = int(own.sum())
        run = ranges(starts.index_select(0, detection), own, total)
        owner = owners(own, total)
        first_key = target.index_select(0, owner) * stride

        def pixels_before(position: Tensor, first_key: Tensor = first_key) -> Tensor:
            key = first_key + position
            at = torch.searchsorted(keys, key, right=True) - 1
            found = at.clamp(min=0)
            covered = before[found] + torch.minimum(key - keys[found], lengths[found])
            return torch.where(at >= 0, covered, 0)

        shared = pixels_before(detections.end[run]) - pixels_before(detections.start[run]) if len(keys) else run * 0
        parts.append(torch.zeros_like(own).index_add_(0, owner, shared))
    return torch.cat(parts)


def in_parts(costs: Tensor, budget: int) -> Iterator[slice]:
    """Neighbours that cost no more than a budget together, or one alone."""
    part = costs.cumsum(0) // budget
    first = 0
    for length in part.unique_consecutive(return_counts=True)[1].tolist():
        yield slice(first, first + length)
        first += length


def over_union(shared: Tensor, area: Tensor, target_area: Tensor, iscrowd: Tensor) -> Tensor:
    """Intersection over union, or over the detection where the target is a crowd, ``(P,)`` float64.

    Source: pycocotools ``maskApi.c``, ``rleIou``.
    """
    union = torch.where(iscrowd, area, area + target_area - shared)
    return torch.where(shared > 0, shared.double() / union.double(), 0.0)


def run_iou(detections: Runs, targets: Runs, pair: Pair, iscrowd: Tensor, byte_budget: int) -> Tensor:
    """The overlaps of pairs of masks of one image, ``(P,)`` float64; ``iscrowd`` is ``(M,)`` bool."""
    shared = run_intersections(detections, targets, pair, byte_budget)
    area, target_area = mask_areas(detections)[pair[0]], mask_areas(targets)[pair[1]]
    return over_union(shared, area, target_area, iscrowd[pair[1]])


def hash_runs_of_masks(runs: Runs, byte_budget: int) -> Tensor:
    """The hashes of pixels that :func:`hash_pixels` gives for decoded masks, ``(N,)`` int64."""
    hashes = torch.zeros_like(runs.size[:, 0])
    for index, (left, top, right, bottom) in enumerate(mask_boxes(runs).tolist()):
        left, top = left // LANES * LANES, top // LANES * LANES
        columns = max(byte_budget // (4 * max(bottom - top, 1)) // LANES, 1) * LANES
        for start in range(left, right, columns):
            window = (start, top, min(start + columns, right), bottom)
            words = to_words(crop(runs, index, window).transpose(1, 2)).words
            hashes[index] += hash_pixels(words, transposed=True, origin=(top // LANES, start // LANES))[0]
    return hashes


def crop(runs: Runs, index: int, window: tuple[int, int, int, int]) -> Tensor:
    """A mask within a window that has all its rows, ``(1, h, w)`` bool.

    Args:
        runs: The masks of an image.
        index: Which of them.
        window: Left, top, right and bottom, half-open. A mask with a run of more than a column fills the height.
    """
    left, top, right, bottom = window
    height = int(runs.size[index, 0])
    first, behind = torch.searchsorted(runs.mask, torch.tensor([index, index + 1])).tolist()
    start = runs.start[first:behind].clamp(min=left * height)
    end = runs.end[first:behind].clamp(max=right * height)
    kept = start < end
    start, last = start[kept], end[kept] - 1
    local = [(at // height - left) * (bottom - top) + at % height - top for at in (start, last)]
    size = torch.tensor([[bottom - top, right - left]])
    return paint(Runs(size, torch.zeros_like(start), local[0], local[1] + 1), 1, bottom - top, right - left)
