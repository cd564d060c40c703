"""The state of detection metrics: rows for images, detections, targets and the overlaps between them.

:func:`read` turns rows into a :class:`Table` for the metrics to ask.
"""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from detmetrics.detection.instances import DETECTION_COLUMNS, TARGET_COLUMNS, Instances, find_invalid
from detmetrics.metric import FIRST_ARRIVAL
from detmetrics.ops.ragged import (
    descending_key,
    exclusive_cumsum,
    hash_runs,
    invert,
    lexsort,
    owners,
    ranges,
    run_starts,
)

WIDTHS = {"images": 6, "detections": 3, "targets": 3, "overlaps": 2}  # int64 columns of each kind of row


class Rows(NamedTuple):
    """Rows of int64, image after image; within an image by label, detections also by score, descending."""

    images: Tensor  # (B, 6): key, numbers of detections, targets and overlaps, hash of the targets, notes
    detections: Tensor  # (N, 3): score and area as float64 bits, label
    targets: Tensor  # (M, 3): area as float64 bits, label, flags
    overlaps: Tensor  # (E, 2): detection << 32 | target (indices within the image), IoU as float64 bits


MOST_ANSWERS = 8  # that are kept with a table
NOTE_DTYPE = 7  # lowest bits of an image's notes: index of the dtype of its scores, or NO_SCORES
NOTE_INVALID = 3  # notes >> NOTE_INVALID: 1 + index of the check that failed; such an image has no other rows


@dataclass(frozen=True, eq=False)
class Table:
    """Images, detections, targets and overlaps in canonical order: by image key, then as in :class:`Rows`.

    What was worked out from a table once is kept with it, for all metrics that share the state.
    """

    keys: Tensor  # (B,) int64
    score_dtype: Tensor  # (B,) int64, index into SCORE_DTYPES, or NO_SCORES
    scores: Tensor  # (N,) float64
    areas: Tensor  # (N,) float64
    labels: Tensor  # (N,) int64
    image: Tensor  # (N,) int64, index into keys
    target_areas: Tensor  # (M,) float64
    target_labels: Tensor  # (M,) int64
    target_flags: Tensor  # (M,) int64
    target_image: Tensor  # (M,) int64
    overlap_detection: Tensor  # (E,) int64, index into scores
    overlap_target: Tensor  # (E,) int64, index into target_labels
    iou: Tensor  # (E,) float64
    num_duplicates: int  # repeated images that were left out
    answers: dict[tuple[Any, ...], Any] = dataclasses.field(default_factory=dict, init=False)  # by question

    def keep(self, question: tuple[Any, ...], answer: Any) -> None:
        """Keep an answer for other metrics; of many the latest, since a sweep over thresholds asks only once."""
        while len(self.answers) >= MOST_ANSWERS:
            del self.answers[next(iter(self.answers))]
        self.answers[question] = answer

    @functools.cached_property
    def classes(self) -> Tensor:
        """The labels that occur, ascending (C,)."""
        return observed(self.labels, self.target_labels)

    @functools.cached_property
    def same_class(self) -> Table:
        """The table without the overlaps between classes."""
        labels = self.labels.index_select(0, self.overlap_detection)
        return keep_overlaps(self, labels == self.target_labels.index_select(0, self.overlap_target))

    @functools.cached_property
    def merged(self) -> Table:
        """The table with all labels 0, for matching without regard to class.

        Detections of equal score stay in the order of their labels, as in pycocotools with ``useCats=0``.
        """
        order = lexsort(self.image, descending_key(self.scores))
        return dataclasses.replace(
            self,
            scores=self.scores.index_select(0, order),
            areas=self.areas.index_select(0, order),
            labels=torch.zeros_like(self.labels),
            target_labels=torch.zeros_like(self.target_labels),
            overlap_detection=invert(order).index_select(0, self.overlap_detection),
        )


def observed(*labels: Tensor) -> Tensor:
    """The labels that occur, ascending (C,)."""
    classes: Tensor = torch.cat([part.unique_consecutive() for part in labels]).unique()
    return classes


def read(rows: Rows) -> Table:
    """Leave out repeated images, put the rest in canonical order, and unpack the columns.

    Rows that were read before give the same table, and with it whatever is known about it, as long as they are a state:
    the very same tensors. Metrics that gather the states of several ranks each have rows, and tables, of their own.

    Raises:
        ValueError: if an image holds invalid values, or one key stands for two images with other targets.
    """
    images, *others = rows
    known: _Known | None = _tables.get(images)
    if known is None or any(one is not other for one, other in zip(known.others, others, strict=True)):
        known = _tables[images] = _Known(others, _unpack(rows))
    return known.table


class _Known(NamedTuple):
    others: list[Tensor]  # the rows of detections, targets and overlaps
    table: Table


_tables = WeakIdKeyDictionary()  # what was read, by the rows of images: as long as that state lives


def _unpack(rows: Rows) -> Table:
    _raise_notes(rows.images)
    rows, num_duplicates = _canonical(rows)
    keys, num_detections, num_targets, num_overlaps, _, notes = rows.images.unbind(1)
    detections, targets = rows.detections.view(torch.float64), rows.targets.view(torch.float64)
    overlap_image = owners(num_overlaps, len(rows.overlaps))
    pair = rows.overlaps[:, 0]
    return Table(
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
        overlap_detection=(pair >> 32) + exclusive_cumsum(num_detections).index_select(0, overlap_image),
        overlap_target=(pair & 0xFFFFFFFF) + exclusive_cumsum(num_targets).index_select(0, overlap_image),
        iou=rows.overlaps.view(torch.float64)[:, 1].contiguous(),
        num_duplicates=num_duplicates,
    )


def _raise_notes(images: Tensor) -> None:
    """Raise for the first image, by key, that a deferred check of values has failed."""
    failed = images[:, 5] >> NOTE_INVALID
    if not bool(failed.any()):
        return
    key, number = min(zip(images[failed != 0, 0].tolist(), failed[failed != 0].tolist(), strict=True))
    empty = (images.new_empty((0, width)) for width in (DETECTION_COLUMNS, TARGET_COLUMNS))
    known = find_invalid(Instances(images, *empty))
    name = f"image_id {key}" if key >= 0 else f"image {key - FIRST_ARRIVAL} in order of arrival"
    if number > len(known):
        raise ValueError(f"target['image_id'] of {name}: expected a non-negative int")
    check = known[number - 1]
    raise ValueError(f"{check.side}[{check.key!r}] of {name}: expected {check.expected}; call reset() to go on")


def _canonical(rows: Rows) -> tuple[Rows, int]:
    """The rows with each key once, in ascending order of keys, and the number of images left out."""
    keys = rows.images[:, 0]
    if bool((keys[1:] > keys[:-1]).all()):
        return rows, 0
    order = lexsort(keys)
    repeated = ~run_starts(keys.index_select(0, order))
    num_duplicates = int(repeated.sum())
    if num_duplicates:
        order = lexsort(keys, _hash_content(rows))
        _check_same_targets(rows.images.index_select(0, order), repeated)
        order = order[~repeated]
    starts = [exclusive_cumsum(rows.images[:, column]).index_select(0, order) for column in (1, 2, 3)]
    images = rows.images.index_select(0, order)
    ragged = [
        part.index_select(0, ranges(start, count, int(count.sum())))
        for part, start, count in zip(rows[1:], starts, images[:, 1:4].unbind(1), strict=True)
    ]
    return Rows(images, *ragged), num_duplicates


def _check_same_targets(images: Tensor, repeated: Tensor) -> None:
    hashes = images[:, 4]
    other = repeated & (hashes != hashes.roll(1))
    if bool(other.any()):
        key = int(images[other, 0][0])
        raise ValueError(
            f"target['image_id']: expected one set of targets for an id, got two images with id {key} and other "
            "targets; give tiles or crops of one image ids of their own"
        )


def _hash_content(rows: Rows) -> Tensor:
    """A hash of everything predicted for an image (B,): which of two copies stays must not depend on their order."""
    total = torch.zeros_like(rows.images[:, 0])
    for part, column in ((rows.detections, 1), (rows.overlaps, 3)):
        image = owners(rows.images[:, column], len(part))
        total = total * 31 + hash_runs(part, image, len(total))
    return total


def keep_overlaps(table: Table, kept: Tensor) -> Table:
    """The table with some of its overlaps, ``kept`` (E,) bool."""
    at = kept.nonzero().squeeze(1)
    return dataclasses.replace(
        table,
        overlap_detection=table.overlap_detection.index_select(0, at),
        overlap_target=table.overlap_target.index_select(0, at),
        iou=table.iou.index_select(0, at),
    )
