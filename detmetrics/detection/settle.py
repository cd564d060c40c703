"""From pending batches to rows: sorting them and finding their overlaps."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from detmetrics.detection.inputs import AREA, FLAGS, LABEL, NO_KEY, SCORE, Batch, find_invalid
from detmetrics.detection.rows import NOTE_INVALID, Rows
from detmetrics.match.evaluation_data import ABSENT, CROWD
from detmetrics.overlap.similarity import Overlaps, Request, Similarity
from detmetrics.ragged import (
    BLOCK,
    blocks,
    descending_key,
    exclusive_cumsum,
    hash_runs,
    invert,
    lexsort,
    occurrences,
    owners,
    run_starts,
)
from detmetrics.state.rows import FIRST_ARRIVAL


def settle(
    batch: Batch,
    num_before: int,
    similarity: Similarity,
    request: Request,
    values_checked: bool,
    overlaps: Overlaps | None,
) -> Rows:
    """Find the overlaps of a batch and keep what metrics can ask about.

    Args:
        batch: Any number of images.
        num_before: The number of images that came before, for the arrival keys of images without an id.
        similarity: What finds the overlaps.
        request: Which of them are kept.
        values_checked: False if the values have yet to be checked; an image that fails is reduced to a note.
        overlaps: Those of the batch as it is, if they were found already.

    Returns:
        The rows of the batch.
    """
    notes = batch.images[:, 3]
    if not values_checked:
        batch, overlaps, failed = _without_invalid(batch, similarity, overlaps)
        notes = notes | failed << NOTE_INVALID
    sides = _sort(batch, request.pairs)
    overlaps = _find(sides, similarity, request.floor) if overlaps is None else _follow(overlaps, sides)
    detections, targets = sides.detections, sides.targets
    num_overlaps = occurrences(overlaps.target, len(targets))  # (M,)
    columns = [detections[:, SCORE], detections[:, AREA], detections[:, LABEL]]
    if request.keeps_order:
        num_detections = batch.images[:, 1]
        start = exclusive_cumsum(num_detections).repeat_interleave(num_detections, output_size=len(detections))
        columns.append(sides.detection_order - start)
    return Rows(
        _image_rows(batch.images, targets, num_overlaps, num_before, notes),
        torch.stack(columns, dim=1),
        targets[:, AREA:].contiguous(),
        _overlap_rows(batch, overlaps),
    )


def _overlap_rows(batch: Batch, overlaps: Overlaps) -> Tensor:
    """Detection << 32 | target, both counted within the image, and IoU, ``(E, 2)`` int64."""
    _, num_detections, num_targets, _ = batch.images.unbind(1)
    starts = exclusive_cumsum(num_detections) << 32 | exclusive_cumsum(num_targets)
    start = torch.repeat_interleave(starts, num_targets, output_size=len(batch.targets))  # (M,), of a target's image
    pair = overlaps.detection  # changed in place: there can be hundreds of millions
    for block in blocks(len(pair), BLOCK):
        target = overlaps.target[block]
        pair[block] <<= 32
        pair[block] |= target
        pair[block] -= start.index_select(0, target)  # no borrow: both halves are at least those of their start
    return torch.stack([pair, overlaps.iou.view(torch.int64)], dim=1)


def _image_rows(images: Tensor, targets: Tensor, num_overlaps: Tensor, num_before: int, notes: Tensor) -> Tensor:
    """The rows of images ``(B, 6)``, from overlaps per target; those without an id get the keys of their arrival."""
    keys, num_detections, num_targets, _ = images.unbind(1)
    arrival = FIRST_ARRIVAL + num_before + torch.arange(len(keys), device=keys.device)
    keys = torch.where(keys == NO_KEY, arrival, keys)
    image = owners(num_targets, len(targets))
    overlaps_in_image = torch.zeros_like(keys).index_add_(0, image, num_overlaps)
    hashes = hash_runs(targets, image, len(keys))
    return torch.stack([keys, num_detections, num_targets, overlaps_in_image, hashes, notes], dim=1)


class _Sides(NamedTuple):
    """A batch in the order of :class:`Rows`."""

    detections: Tensor  # (N, G + 3)
    targets: Tensor  # (M, G + 3)
    detection_order: Tensor  # (N,) int64, where each detection was in the batch
    target_order: Tensor  # (M,) int64, where each target was
    first: Tensor  # (M,) int64, the first candidate of each target
    num_candidates: Tensor  # (M,) int64


def _sort(batch: Batch, pairs: str) -> _Sides:
    num_detections, num_targets = len(batch.detections), len(batch.targets)
    counts = batch.images[:, 1:3]
    image = torch.cat([owners(counts[:, 0], num_detections), owners(counts[:, 1], num_targets)])
    label = torch.cat([batch.detections[:, LABEL], batch.targets[:, LABEL]])
    # Targets sort after the detections of their image and class, and among themselves in the order given.
    score_key = descending_key(batch.detections.view(torch.float64)[:, SCORE])
    last = score_key.amax() + 1 if num_detections else score_key.new_zeros(())
    order = lexsort(image, label, torch.cat([score_key, last.expand(num_targets)]))
    is_detection = order < num_detections
    at_detection, at_target = is_detection.nonzero().squeeze(1), (~is_detection).nonzero().squeeze(1)
    detection_order = order.index_select(0, at_detection)
    target_order = order.index_select(0, at_target) - num_detections

    # The candidates of a target are the detections of its group, neighbours in this order.
    group = (image, label) if pairs == "same" else (image,)
    starts = run_starts(*(key.index_select(0, order) for key in group))
    num_above = torch.cat([is_detection.new_zeros(1, dtype=torch.int64), is_detection.cumsum(0)])
    first = num_above.index_select(0, starts.nonzero().squeeze(1))  # (groups,)
    count = torch.cat([first[1:], num_above[-1:]]) - first
    group_of_target = (starts.cumsum(0) - 1).index_select(0, at_target)
    targets = batch.targets.index_select(0, target_order)
    return _Sides(
        batch.detections.index_select(0, detection_order),
        targets,
        detection_order,
        target_order,
        first.index_select(0, group_of_target),
        count.index_select(0, group_of_target).masked_fill_(targets[:, FLAGS] >= ABSENT, 0),  # facts overlap nothing
    )


def _find(sides: _Sides, similarity: Similarity, floor: float) -> Overlaps:
    detections, targets = (rows.view(torch.float64)[:, :AREA] for rows in (sides.detections, sides.targets))
    iscrowd = sides.targets[:, FLAGS] & CROWD != 0
    return similarity.find(detections, targets, iscrowd, sides.first, sides.num_candidates, floor)


def _follow(overlaps: Overlaps, sides: _Sides) -> Overlaps:
    """The overlaps of a batch after it was sorted, by target, then detection."""
    detection = invert(sides.detection_order).index_select(0, overlaps.detection)
    target = invert(sides.target_order).index_select(0, overlaps.target)
    order = lexsort(target, detection)
    return Overlaps(*(part.index_select(0, order) for part in (detection, target, overlaps.iou)))


def _without_invalid(
    batch: Batch, similarity: Similarity, overlaps: Overlaps | None
) -> tuple[Batch, Overlaps | None, Tensor]:
    """The batch without the rows of images that fail a check, and the number of the first such check, from 1, or 0."""
    images = batch.images
    image_of = {
        "preds": owners(images[:, 1], len(batch.detections)),
        "target": owners(images[:, 2], len(batch.targets)),
    }
    checks = find_invalid(batch, similarity)
    bad_key = (images[:, 0] < 0) & (images[:, 0] != NO_KEY)
    passed = len(checks) + 2
    failed = torch.where(bad_key, len(checks) + 1, torch.full_like(images[:, 0], passed))
    for number, check in enumerate(checks, start=1):
        failed.scatter_reduce_(0, image_of[check.side], torch.where(check.failing, number, passed), "amin")
    valid = failed == passed
    keys = torch.where(bad_key, NO_KEY, images[:, 0])
    kept = torch.stack([keys, images[:, 1] * valid, images[:, 2] * valid, images[:, 3]], dim=1)
    detection_valid, target_valid = (valid.index_select(0, image_of[side]) for side in ("preds", "target"))
    if overlaps is not None:
        left = target_valid.index_select(0, overlaps.target)
        detection = (detection_valid.cumsum(0) - 1).index_select(0, overlaps.detection)
        target = (target_valid.cumsum(0) - 1).index_select(0, overlaps.target)
        overlaps = Overlaps(detection[left], target[left], overlaps.iou[left])
    batch = Batch(kept, batch.detections[detection_valid], batch.targets[target_valid])
    return batch, overlaps, torch.where(valid, 0, failed)
