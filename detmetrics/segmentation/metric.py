"""The base of the metrics that count pixels or samples: a state of counts that updates fill and any of them reads."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from detmetrics.count import repeats
from detmetrics.count.content_hash import hash_content
from detmetrics.count.image_ids import check_id_values, check_ids
from detmetrics.count.repeats import Repeats
from detmetrics.ragged import run_starts
from detmetrics.segmentation.counting import Counting, ImageCounts
from detmetrics.segmentation.settings import CountingSettings
from detmetrics.settings import Fixed, Setting, fixed_names
from detmetrics.state import devices
from detmetrics.state.metric import Metric
from detmetrics.state.rows import FIRST_ARRIVAL

KEY, HASH, FIRST_COUNT = range(3)  # columns of a row: the id, the hash of the target, then the counts
TALLY = ("images without a row", "preds", "target", "image_ids")  # the last three: invalid values that were found late


class CountingMetric(Metric):
    """Accumulates counts: totals of a fixed size, and a row for each image that must be told apart.

    Args:
        settings: What readers are asked; ``settings.counting`` is how inputs are counted, which is fixed.
        kwargs: The keyword arguments of ``torchmetrics.Metric``.
    """

    reads_pixels = True

    task = Fixed()
    num_classes = Fixed()
    ignore_index = Fixed()
    duplicates = Fixed()
    zero_division = Setting()
    threshold = Setting()
    from_logits = Setting()

    def __init__(self, settings: CountingSettings, **kwargs: Any) -> None:
        super().__init__(settings.counting, settings, **kwargs)
        self.fixed = {name: getattr(settings, name) for name in fixed_names(type(self))}
        self.num_images = self.num_duplicates = 0  # distinct and repeated images, as of the last compute()
        self.image_ids: repeats.Ids = {}  # what messages call images, where it is not the number given to update()
        shape = settings.counting.shape
        self.add_totals("totals", shape)
        self.add_totals("tally", (len(TALLY),))
        self.add_rows("images", FIRST_COUNT + math.prod(shape), keyed=True)

    def check_settings(self, settings: Any) -> None:
        """Raise a ``ValueError`` if the settings ask for other counts than those of this state."""
        for field in dataclasses.fields(self.configuration):
            if getattr(settings.counting, field.name) != getattr(self.configuration, field.name):
                name = "aggregate" if field.name == "per_image" else field.name
                raise ValueError(f"{name}: fixed when a {type(self).__name__} is made, since its state depends on it")

    # ------------------------------------------------------------------------------------------------------ updating

    def update(self, preds: Tensor, target: Tensor, image_ids: Sequence[int] | Tensor | None = None) -> None:
        """Add a batch.

        Args:
            preds: multiclass: labels ``(B, ...)`` of any dtype, or scores ``(B, C, ...)``, whose largest counts.
                binary: ``(B, ...)``, multilabel: ``(B, C, ...)``, scores of a floating dtype, or 0 and 1 of another.
            target: multiclass: labels ``(B, ...)``; binary and multilabel: 0 and 1, of the shape of ``preds``.
            image_ids: A non-negative int for each image, ``(B,)``: repeated images count once.

        Raises:
            ValueError: if the batch does not fit; nothing is changed. On a GPU, values (labels out of range, NaN,
                probabilities outside [0, 1]) are found later, and every ``compute()`` raises until ``reset()``.
        """
        counting: Counting = self.configuration
        preds, target = counting.prepare(preds, target, self.device)
        ids = None if image_ids is None else check_ids(image_ids, len(target), self.device)
        has_rows = counting.per_image or ids is not None
        counts, invalid = counting.count(preds, target, per_image=has_rows)
        self.commit(preds, target, ids, counts, invalid)

    def commit(self, preds: Tensor, target: Tensor, ids: Tensor | None, counts: Tensor, invalid: Tensor) -> None:
        """Add a batch that was counted.

        Args:
            preds: The prepared predictions, for what is said about invalid ones.
            target: The prepared targets.
            ids: ``(B,)`` int64, or None.
            counts: ``(B, ...)`` if images become rows, else ``(...)``.
            invalid: How many values of predictions and of targets are invalid, ``(2,)``.

        Raises:
            ValueError: if there are any; nothing is changed.
        """
        counting: Counting = self.configuration
        has_rows = counting.per_image or ids is not None
        if not devices.defers_value_checks(self.device):
            if bool(invalid.any()):
                counting.explain(preds, target)
            if ids is not None:
                check_id_values(ids)
        rows = self._rows(ids, target, counts) if has_rows else None
        bad_ids = invalid.new_zeros(1) if ids is None else (ids < 0).sum()[None]
        self.add("tally", torch.cat([invalid.new_full((1,), 0 if has_rows else len(target)), invalid, bad_ids]))
        if rows is None:
            self.pool(counts)
        else:
            self.append("images", rows)

    def _rows(self, ids: Tensor | None, target: Tensor, counts: Tensor) -> Tensor:
        """A row for each image. Only ids can repeat, so that without them no target is hashed."""
        if ids is None:
            keys = FIRST_ARRIVAL + self.num_rows("images") + torch.arange(len(target), device=self.device)
            hashes = torch.zeros_like(keys)
        else:
            keys, hashes = ids, hash_content(target)
        return torch.cat([keys[:, None], hashes[:, None], counts.flatten(1)], dim=1)

    def pool(self, counts: Tensor) -> None:
        """Add the counts of a batch whose images need not be told apart."""
        self.add("totals", counts)

    # ------------------------------------------------------------------------------------------------------- reading

    def read_state(self) -> ImageCounts:
        """What readers read; warns about the images that were left out.

        Raises:
            ValueError: if values were found to be invalid after their update, or if an id has several targets.
        """
        without_row, *invalid = self.totals("tally").tolist()
        raise_invalid(invalid)
        images, left_out = distinct(self.rows("images"), self.duplicates)
        repeats.tell(left_out, self.duplicates, "image_ids", self.image_ids)
        by_image = images[:, FIRST_COUNT:].unflatten(1, self.configuration.shape)
        totals = self.totals("totals")
        pooled = self.configuration.pooled
        total = totals + pooled(by_image).to(totals.device)
        return ImageCounts(total, by_image, without_row + len(images), left_out.total, images[:, KEY], pooled)

    def data(self) -> Any:
        """The counts of the images of all ranks, for readers: ``reader(metric.data(), metric.settings)``.

        All ranks must call it, unless ``compute()`` was called since the last update.

        Raises:
            ValueError: if an update had invalid values that were found late, or if an id has several targets.
        """
        counts = self.read()
        self.num_images, self.num_duplicates = counts.num_images, counts.num_duplicates
        return counts


def raise_invalid(counts: Sequence[int]) -> None:
    """Raise if preds, target or image_ids held invalid values: how many of each."""
    names = ("preds: expected labels or scores that fit", "target: expected labels", "image_ids: expected ints >= 0")
    for name, count in zip(names, counts, strict=True):
        if count:
            raise ValueError(f"{name}, got other values in an earlier update(); call reset() to go on")


def distinct(rows: Tensor, duplicates: str) -> tuple[Tensor, Repeats]:
    """The rows with each key once, in ascending order of keys, and what was left out; of repeated images the least row.

    Which copy stays depends on its counts alone, so that it is the same for any order of batches and ranks. Predictions
    are the same if the counts are.

    Args:
        rows: ``(B, K)`` int64.
        duplicates: ``"keep"`` to leave none out.

    Raises:
        ValueError: if images with one key have targets that differ, unless all are kept.
    """
    ordered = rows.index_select(0, rows[:, KEY].sort(stable=True).indices)
    if bool(run_starts(ordered[:, KEY]).all()):
        return ordered, repeats.NONE
    ordered, times = torch.unique(ordered, dim=0, return_counts=True)  # sorts by all columns
    if duplicates == "keep":
        return ordered.repeat_interleave(times, dim=0), repeats.NONE
    starts = run_starts(ordered[:, KEY])
    other = run_starts(ordered[:, KEY], ordered[:, HASH]) & ~starts
    if bool(other.any()):
        key = int(ordered[other, KEY][0])
        raise ValueError(
            f"image_ids: expected one target for an id, got two images with id {key} and other targets; "
            f"{repeats.REMEDY}"
        )
    keys, same = ordered[:, KEY].repeat_interleave(times), starts.repeat_interleave(times)
    left_out = ~run_starts(keys)  # of equal rows the first stays
    return ordered[starts], repeats.repeats_of(keys, left_out, same)


def evaluate(
    metric: CountingMetric, preds: Tensor, target: Tensor, image_ids: Sequence[int] | Tensor | None = None
) -> Any:
    """What a new metric makes of all data at once."""
    if isinstance(preds, Tensor):
        metric = metric.to(preds.device)
    metric.update(preds, target, image_ids)
    return metric.compute()
