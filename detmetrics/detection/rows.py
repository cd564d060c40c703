"""The state of detection metrics: rows for images, detections, targets and the overlaps between them."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import torch
from torch import Tensor

from detmetrics.count.repeats import Ids, Repeats, id_of
from detmetrics.detection.duplicates import KEY, NOTES, NUM_DETECTIONS, NUM_OVERLAPS, NUM_TARGETS, distinct_images
from detmetrics.detection.inputs import OTHER_COLUMNS, Batch, find_invalid
from detmetrics.match.evaluation_data import ABSENT, EvaluationData, Facts
from detmetrics.overlap.similarity import Similarity
from detmetrics.ragged import exclusive_cumsum, owners, rows_of
from detmetrics.state.rows import FIRST_ARRIVAL

WIDTHS = {"images": 6, "detections": 3, "targets": 3, "overlaps": 2}  # int64 columns of each kind of row
COUNTS = {"detections": NUM_DETECTIONS, "targets": NUM_TARGETS, "overlaps": NUM_OVERLAPS}  # columns of images
ORDERED_WIDTHS = {**WIDTHS, "detections": 4}  # where the places of detections are kept

NOTE_DTYPE = 7  # lowest bits of an image's notes: index of the dtype of its scores, or NO_SCORES
NOTE_INVALID = 3  # notes >> NOTE_INVALID: 1 + index of the check that failed; such an image has no other rows


class Rows(NamedTuple):
    """Rows of int64, image after image; within an image by label, detections also by score, descending."""

    images: Tensor  # (B, 6): key, numbers of detections, targets and overlaps, hash of the targets, notes
    detections: Tensor  # (N, 3): score and area as float64 bits, label; (N, 4) with the place in the image as given
    targets: Tensor  # (M, 3): area as float64 bits, label, flags; facts about classes are among them
    overlaps: Tensor  # (E, 2): detection << 32 | target (indices within the image), IoU as float64 bits


def read(rows: Rows, similarity: Similarity, duplicates: str, ids: Ids | None = None) -> tuple[EvaluationData, Repeats]:
    """Leave out repeated images, put the rest in canonical order, and unpack the columns.

    Args:
        rows: The state.
        similarity: What found the overlaps: it says what is wrong with values.
        duplicates: ``"keep"`` to leave no image out.
        ids: What messages call the images, where it is not the keys.

    Returns:
        What readers read, and the images that were left out.

    Raises:
        ValueError: if an image holds invalid values, or one key stands for two images with other targets.
    """
    _raise_notes(rows.images, similarity, ids)
    order, repeats = distinct_images(rows.images, rows.detections, rows.overlaps, duplicates, ids)
    if order is not None:
        rows = _in_order(rows, order)
    keys, num_detections, num_targets, num_overlaps, _, notes = rows.images.unbind(1)
    detections, targets = rows.detections.view(torch.float64), rows.targets.view(torch.float64)
    iou = rows.overlaps.view(torch.float64)[:, 1]
    overlap_detection, overlap_target = _pairs(rows.overlaps[:, 0], num_detections, num_targets, num_overlaps)
    data = EvaluationData(
        keys=keys.clone(),  # a view would keep the rows alive
        score_dtype=notes & NOTE_DTYPE,
        scores=detections[:, 0].contiguous(),
        areas=detections[:, 1].contiguous(),
        labels=rows.detections[:, 2].contiguous(),
        image=owners(num_detections, len(rows.detections)),
        target_areas=targets[:, 0].contiguous(),
        target_labels=rows.targets[:, 1].contiguous(),
        target_flags=rows.targets[:, 2].contiguous(),
        target_image=owners(num_targets, len(rows.targets)),
        overlap_detection=overlap_detection,
        overlap_target=overlap_target,
        iou=iou if order is None else iou.contiguous(),  # the state is there anyway, a copy in order need not be
        num_duplicates=repeats.total,
        order=rows.detections[:, 3].contiguous() if rows.detections.shape[1] > 3 else None,
    )
    return without_facts(data), repeats


def without_facts(data: EvaluationData) -> EvaluationData:
    """The data with the facts apart from the targets."""
    is_fact = data.target_flags >= ABSENT
    if not bool(is_fact.any()):
        return data
    at, others = is_fact.nonzero().squeeze(1), (~is_fact).nonzero().squeeze(1)
    columns = (data.target_image, data.target_labels, data.target_flags)
    image, labels, flags = (column.index_select(0, others) for column in columns)
    return dataclasses.replace(
        data,
        target_areas=data.target_areas.index_select(0, others),
        target_image=image,
        target_labels=labels,
        target_flags=flags,
        overlap_target=((~is_fact).cumsum(0) - 1).index_select(0, data.overlap_target),
        facts=Facts(*(column.index_select(0, at) for column in columns)),
    )


def _pairs(pair: Tensor, num_detections: Tensor, num_targets: Tensor, num_overlaps: Tensor) -> tuple[Tensor, Tensor]:
    """The detection and the target of each overlap among all of them, ``(E,)`` int64 each, from those in the image."""
    starts = exclusive_cumsum(num_detections) << 32 | exclusive_cumsum(num_targets)
    both = torch.repeat_interleave(starts, num_overlaps, output_size=len(pair))
    both += pair  # both halves at once: indices are far below 2**31
    target = both & 0xFFFFFFFF
    both >>= 32
    return both, target


def _in_order(rows: Rows, order: Tensor) -> Rows:
    """The images of ``order`` with their rows."""
    columns = range(NUM_DETECTIONS, NUM_OVERLAPS + 1)
    ragged = (
        part.index_select(0, rows_of(rows.images[:, column], order))
        for part, column in zip(rows[1:], columns, strict=True)
    )
    return Rows(rows.images.index_select(0, order), *ragged)


def _raise_notes(images: Tensor, similarity: Similarity, ids: Ids | None) -> None:
    """Raise for the first image, by key, that a deferred check of values has failed."""
    failed = images[:, NOTES] >> NOTE_INVALID
    if not bool(failed.any()):
        return
    key, number = min(zip(images[failed != 0, KEY].tolist(), failed[failed != 0].tolist(), strict=True))
    empty = images.new_empty((0, similarity.columns + OTHER_COLUMNS))
    known = find_invalid(Batch(images, empty, empty), similarity)
    name = f"image_id {id_of(key, ids)}" if key >= 0 else f"image {key - FIRST_ARRIVAL} in order of arrival"
    if number > len(known):
        raise ValueError(f"target['image_id'] of {name}: expected a non-negative int")
    check = known[number - 1]
    raise ValueError(f"{check.side}[{check.key!r}] of {name}: expected {check.expected}; call reset() to go on")
