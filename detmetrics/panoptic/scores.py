"""Readers of panoptic outcomes: exact counts at a threshold, then formulas, then means over classes or images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from detmetrics.panoptic.rows import PanopticData
from detmetrics.panoptic.settings import PanopticSettings
from detmetrics.ragged import occurrences
from detmetrics.reduce.averages import defined_mean
from detmetrics.reduce.exact_sums import overlap_sums
from detmetrics.reduce.formulas import f_beta, panoptic_quality, segmentation_quality
from detmetrics.state.rows import ids_and_arrivals

SCORES = ("pq", "sq", "rq")


class Tally(NamedTuple):
    """Counts of one shape, and the sum of the IoU of the true positives."""

    iou_sum: Tensor  # float64
    tp: Tensor  # int64
    fp: Tensor
    fn: Tensor


def class_tally(data: PanopticData, num_classes: int, hit: Tensor) -> Tally:
    """The tally of each class over all images, ``(C,)`` each.

    Args:
        data: What was read from a state.
        num_classes: C.
        hit: Which outcomes are true positives, ``(n,)`` bool.
    """
    return _tally(data, hit, data.label, num_classes)


def cell_tally(data: PanopticData, num_classes: int, hit: Tensor) -> Tally:
    """The tally of each image and class, ``(B, C)`` each; see :func:`class_tally`."""
    shape = len(data.keys), num_classes
    cells = _tally(data, hit, data.image * num_classes + data.label, shape[0] * num_classes)
    return Tally(*(cell.view(shape) for cell in cells))


def _tally(data: PanopticData, hit: Tensor, cell: Tensor, num_cells: int) -> Tally:
    masks = (hit, data.has_pred & ~hit, data.has_target & ~hit)
    counts = (occurrences(cell[mask], num_cells) for mask in masks)
    return Tally(overlap_sums(data.iou[hit], cell[hit], num_cells), *counts)


def _above(data: PanopticData, settings: PanopticSettings, threshold: float | None = None) -> tuple[int, Tensor]:
    """The number of classes, and which outcomes exceed the threshold, by default that of the settings."""
    at = settings.threshold if threshold is None else threshold
    return len(settings.configuration.labels), data.iou > at


def scores_of(tally: Tally, zero_division: float) -> dict[str, Tensor]:
    """PQ, SQ and RQ of each cell, float64; ``zero_division`` where there is neither target nor prediction."""
    found = panoptic_quality(*tally), segmentation_quality(*tally), f_beta(*tally[1:])
    return {name: value.where(~value.isnan(), zero_division) for name, value in zip(SCORES, found, strict=True)}


def panoptic_scores(data: PanopticData, settings: PanopticSettings) -> dict[str, Tensor]:
    """The result of :class:`detmetrics.PanopticQuality`: 0-d float64 tensors by name."""
    by_class = scores_of(class_tally(data, *_above(data, settings)), settings.zero_division)  # (C,) each
    means = _means(by_class, settings)
    if not settings.class_metrics:
        return means
    names = settings.names
    return means | {
        f"{score}/{name}": value
        for score, values in by_class.items()
        for name, value in zip(names, values.unbind(), strict=True)
    }


def _means(by_class: dict[str, Tensor], settings: PanopticSettings) -> dict[str, Tensor]:
    """The means over all classes, things and stuffs."""
    things = torch.tensor([label in settings.things for label in settings.configuration.labels])
    chosen = {"": things | True, "_things": things, "_stuffs": ~things}
    return {
        f"{score}{group}": defined_mean(values[mask.to(values.device)], zero_division=settings.zero_division)
        for group, mask in chosen.items()
        for score, values in by_class.items()
    }


def per_class(data: PanopticData, settings: PanopticSettings) -> dict[str, Tensor]:
    """Counts and scores of each class, ``(C,)``; see :meth:`detmetrics.PanopticQuality.per_class`."""
    tally = class_tally(data, *_above(data, settings))
    labels = torch.tensor(settings.configuration.labels, device=tally.tp.device)
    counts = {"label": labels, "tp": tally.tp, "fp": tally.fp, "fn": tally.fn, "iou_sum": tally.iou_sum}
    return counts | scores_of(tally, settings.zero_division)


def per_image(data: PanopticData, settings: PanopticSettings) -> dict[str, Tensor]:
    """Counts and scores of each image, ``(B,)``; see :meth:`detmetrics.PanopticQuality.per_image`."""
    tally = cell_tally(data, *_above(data, settings))  # (B, C) each
    counts = {"tp": tally.tp.sum(dim=1), "fp": tally.fp.sum(dim=1), "fn": tally.fn.sum(dim=1)}
    scores = {
        name: defined_mean(values, zero_division=settings.zero_division)
        for name, values in scores_of(tally, settings.zero_division).items()
    }
    return image_columns(data) | counts | scores


def image_columns(data: PanopticData) -> dict[str, Tensor]:
    """The id of each image, -1 without one, and the place of those without in the order of arrival; ``(B,)`` int64."""
    return dict(zip(("image_id", "arrival"), ids_and_arrivals(data.keys), strict=True))


def per_threshold(data: PanopticData, settings: PanopticSettings, thresholds: Sequence[float]) -> dict[str, Tensor]:
    """Scores at several thresholds, ``(T,)``; see :meth:`detmetrics.PanopticQuality.per_threshold`."""
    tallies = [class_tally(data, *_above(data, settings, at)) for at in thresholds]
    found = [_means(scores_of(tally, settings.zero_division), settings) for tally in tallies]
    at = torch.tensor(thresholds, dtype=torch.float64, device=data.iou.device)
    return {"threshold": at} | {name: torch.stack([each[name] for each in found]) for name in found[0]}
