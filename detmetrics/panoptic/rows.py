"""The state of panoptic metrics: a row for each image, target segment and prediction without a match."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor

from detmetrics.count.distinct import ImageColumns, distinct_order
from detmetrics.count.repeats import NONE, Repeats
from detmetrics.match.unique import HAS_PRED, HAS_TARGET, MATCHED, Outcomes
from detmetrics.ragged import hash_runs, lexsort, occurrences, owners, rows_at, rows_of

KEY, TARGET_HASH, HASH, NUM_ROWS = range(4)  # columns of an image: its id, hashes of target and outcome, its outcomes
WIDTHS = {"images": 4, "outcomes": 4}


@dataclass(frozen=True)
class PanopticData:
    """What readers read: B images in the order of their keys, and their n outcomes."""

    keys: Tensor  # (B,) int64: ids, or negative
    image: Tensor  # (n,) int64, an index into keys
    label: Tensor  # (n,) int64, an index into the labels of the classes
    has_target: Tensor  # (n,) bool: if it does not match, a false negative
    has_pred: Tensor  # (n,) bool: if it does not match, a false positive
    intersection: Tensor  # (n,) int64, pixels of a match, or else of a target and the prediction that it overlaps best
    union: Tensor  # (n,) int64, see Outcomes
    iou: Tensor  # (n,) float64; -1 where there is no match
    num_duplicates: int

    def at_images(self, images: Tensor) -> PanopticData:
        """The data of images ``(n,)``, indices; an image that comes twice counts twice."""
        at, place = rows_at(images, self.image, len(self.keys))
        columns = ("label", "has_target", "has_pred", "intersection", "union", "iou")
        own = {name: getattr(self, name).index_select(0, at) for name in columns}
        return dataclasses.replace(self, keys=self.keys.index_select(0, images), image=place, **own)


def image_rows(keys: Tensor, target_hashes: Tensor, found: Outcomes) -> Tensor:
    """The rows of images, ``(B, 4)`` int64."""
    hashes = hash_runs(found.rows, found.image, len(keys))
    return torch.stack([keys, target_hashes, hashes, occurrences(found.image, len(keys))], dim=1)


def read(images: Tensor, outcomes: Tensor, duplicates: str) -> tuple[PanopticData, Repeats]:
    """Put images in the order of their keys, leave out repeated ones, and unpack the columns.

    Args:
        images: ``(B, 4)`` int64.
        outcomes: ``(n, 4)`` int64, image after image.
        duplicates: ``"keep"`` to leave no image out.

    Raises:
        ValueError: if one key stands for two images with other targets.
    """
    columns = ImageColumns(*(images[:, column] for column in (KEY, TARGET_HASH, HASH)))
    order, left_out = (lexsort(*columns), NONE) if duplicates == "keep" else distinct_order(columns, "image_ids")
    rows = outcomes.index_select(0, rows_of(images[:, NUM_ROWS], order))
    label, flags, intersection, union = rows.unbind(1)
    data = PanopticData(
        keys=images[order, KEY],
        image=owners(images[order, NUM_ROWS], len(rows)),
        label=label.contiguous(),
        has_target=flags & HAS_TARGET != 0,
        has_pred=flags & HAS_PRED != 0,
        intersection=intersection,
        union=union,
        iou=torch.where(flags & MATCHED != 0, intersection.double() / union, -1.0),
        num_duplicates=left_out.total,
    )
    return data, left_out


def check_rows(images: Tensor, outcomes: Tensor, num_classes: int) -> None:
    """Raise a ``ValueError`` if no reader could make sense of rows from elsewhere.

    Args:
        images: ``(B, 4)`` int64.
        outcomes: ``(n, 4)`` int64.
        num_classes: C.
    """
    counts = images[:, NUM_ROWS]
    if bool((counts < 0).any()) or int(counts.sum()) != len(outcomes):
        raise ValueError(f"images: expected numbers of outcomes that sum to {len(outcomes)}, got {int(counts.sum())}")
    label, flags, intersection, union = outcomes.unbind(1)
    valid = (label >= 0) & (label < num_classes) & (flags >= 1) & (flags <= HAS_TARGET + HAS_PRED + MATCHED)
    valid &= (intersection >= 0) & (union >= intersection) & ((flags & MATCHED == 0) | (2 * intersection >= union))
    valid &= (flags & MATCHED == 0) | (flags & HAS_TARGET != 0) & (union > 0)
    if not bool(valid.all()):
        row = int((~valid).nonzero()[0])
        raise ValueError(f"outcomes: expected classes, flags and pixels, got {outcomes[row].tolist()} in row {row}")
