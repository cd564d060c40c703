"""Readers of average precision and recall: pycocotools' arrays, their means over recall, and the headline numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from detmetrics.detection.classes import by_class, class_labels, results_by_class
from detmetrics.detection.settings import ALL_AREAS, MeanAveragePrecisionSettings
from detmetrics.match.coco import count_targets, match_all, within
from detmetrics.match.evaluation_data import EvaluationData
from detmetrics.ragged import constants
from detmetrics.reduce.averages import defined_mean
from detmetrics.reduce.interpolation import Interpolated, final_recall, interpolate, mean_precision, true_positives
from detmetrics.reduce.ranking import Accumulated, rank

AREA_BUDGET = {"cpu": 4 << 20, "cuda": 1 << 30}  # bytes that the matches of some area ranges may take: on a CPU a cache
BYTES_PER_MATCH = 16  # of a threshold in an area range, with temporaries


class Arrays(NamedTuple):
    """Pycocotools' arrays."""

    precision: Tensor  # (T, R, C, A, M) float64
    recall: Tensor  # (T, C, A, M) float64
    scores: Tensor  # (T, R, C, A, M) float64


class Means(NamedTuple):
    """What the headline numbers are means of."""

    precision: Tensor  # (T, C, A) float64, the mean over recall points at the largest limit
    recall: Tensor  # (T, C, A, M) float64


def average_precision(data: EvaluationData, settings: MeanAveragePrecisionSettings) -> Arrays:
    """Pycocotools' arrays at every limit.

    Args:
        data: What was read from a state.
        settings: Thresholds, area ranges, limits, classes.
    """
    return _arrays(_Prepared(data, settings, class_labels(data, settings)), settings)


def _arrays(prepared: _Prepared, settings: MeanAveragePrecisionSettings) -> Arrays:
    limits = settings.max_detection_thresholds
    by_limit = [[(part, true_positives(part)) for part in prepared.at(limit)] for limit in limits]
    curves = [[interpolate(*part, prepared.points) for part in parts] for parts in by_limit]
    precision, scores = (
        torch.stack([torch.cat([getattr(part, name) for part in parts]) for parts in curves])  # (M, A, T, C, R)
        for name in Interpolated._fields
    )
    recall = torch.cat([final_recall(*part, limits) for part in by_limit[-1]])
    undefined = settings.zero_division
    return Arrays(
        precision.permute(2, 4, 3, 1, 0).nan_to_num(undefined),
        recall.permute(1, 2, 0, 3).nan_to_num(undefined),
        scores.permute(2, 4, 3, 1, 0).nan_to_num(undefined),
    )


def mean_precision_and_recall(data: EvaluationData, settings: MeanAveragePrecisionSettings) -> Means:
    """The means over recall points alone: without an array over them, which many classes would make large.

    Args:
        data: What was read from a state.
        settings: Thresholds, area ranges, limits, classes.
    """
    return _means(_Prepared(data, settings, class_labels(data, settings)), settings)


def _means(prepared: _Prepared, settings: MeanAveragePrecisionSettings) -> Means:
    limits = settings.max_detection_thresholds
    precision, recall = [], []
    for part in prepared.at(limits[-1]):
        found = true_positives(part)
        precision.append(mean_precision(part, found, prepared.points))  # (A, T, C)
        recall.append(final_recall(part, found, limits))  # (A, T, C, M)
    undefined = settings.zero_division
    return Means(
        torch.cat(precision).permute(1, 2, 0).nan_to_num(undefined),
        torch.cat(recall).permute(1, 2, 0, 3).nan_to_num(undefined),
    )


class _Prepared:
    """Everything about all detections and targets that does not depend on the limit."""

    def __init__(self, data: EvaluationData, settings: MeanAveragePrecisionSettings, labels: Tensor) -> None:
        data = by_class(data, settings)
        areas = (ALL_AREAS, *settings.area_ranges.values())
        matching = settings.iou_thresholds, areas, settings.max_detection_thresholds[-1]
        # Labels follow from the settings and the data, other than those of all data only in data made for them.
        self._ranked = data.memo.answer(
            ("ranked", *matching, settings.declared), lambda: rank(data, labels, match_all(data, *matching))
        )
        self._num_targets = count_targets(data, labels, areas)  # (A, C)
        self._in_area = within(data.areas.index_select(0, self._ranked.order), areas)  # (A, N)
        if data.spared is not None:
            self._in_area &= ~data.spared.index_select(0, self._ranked.order)
        self._num_thresholds = len(settings.iou_thresholds)
        self.points = constants(settings.rec_thresholds, data.scores.device, torch.float64)  # (R,)

    def at(self, limit: int) -> Iterator[Accumulated]:
        """The matches under a limit, so many area ranges at a time that the work on them stays within a budget."""
        limited, countable = self._ranked.limited(limit), self._in_area & (self._ranked.rank < limit)
        per_area = BYTES_PER_MATCH * self._num_thresholds * len(limited.position) + 8 * countable.shape[1]
        at_once = max(AREA_BUDGET.get(countable.device.type, AREA_BUDGET["cuda"]) // max(per_area, 1), 1)
        for first in range(0, len(countable), at_once):
            own = slice(first, first + at_once)
            settings = range(first * self._num_thresholds, (first + len(countable[own])) * self._num_thresholds)
            matched = limited.matched(settings, countable[own])
            yield Accumulated(self._ranked.ranking, matched, countable[own], self._num_targets[own])


def summarize(
    data: EvaluationData,
    settings: MeanAveragePrecisionSettings,
    labels: Tensor | None = None,
    groups: Mapping[str, Tensor] | None = None,
) -> dict[str, Tensor]:
    """The headline numbers, those of each class and the arrays, as the settings ask; see ``compute()`` of the class.

    Args:
        data: What was read from a state.
        settings: Thresholds, area ranges, limits, classes, and what to add.
        labels: Those of the classes (C,), ascending; None for those of the data.
        groups: Indices of classes by name; the mean average precision of each group is added.
    """
    labels = class_labels(data, settings) if labels is None else labels
    prepared = _Prepared(data, settings, labels)
    means = _means(prepared, settings)
    device = means.precision.device
    means = Means(*(values.cpu() for values in means))  # small from here on: a GPU would be waited for
    results = _headlines(means, settings, {name: own.cpu() for name, own in (groups or {}).items()})
    if settings.class_metrics:
        results |= _per_class(means, labels, settings)
    results = {key: value.to(device, non_blocking=True) for key, value in results.items()}
    if settings.extended_summary:
        results |= _arrays(prepared, settings)._asdict()
    return results


def _headlines(means: Means, settings: MeanAveragePrecisionSettings, groups: Mapping[str, Tensor]) -> dict[str, Tensor]:
    precision, recall = means  # (T, C, A), (T, C, A, M)
    areas = list(enumerate(settings.area_ranges, start=1))
    asked = settings.iou_thresholds
    single = {percent: asked.index(percent / 100) for percent in (50, 75) if percent / 100 in asked}
    tables = {"map": precision[..., 0]}
    tables |= {f"map_{percent}": precision[t, :, 0] for percent, t in single.items()}
    tables |= {f"map_{name}": precision[..., a] for a, name in areas}
    tables |= {f"map_{name}": precision[:, own, 0] for name, own in groups.items()}
    limits = enumerate(settings.max_detection_thresholds)
    tables |= {f"mar_{limit}": recall[..., 0, m] for m, limit in limits}
    if settings.recall_by_threshold:
        tables |= {f"mar_iou_{percent}": recall[t, :, 0, -1] for percent, t in single.items()}
    tables |= {f"mar_{name}": recall[..., a, -1] for a, name in areas}
    means_of: dict[str, Tensor] = {}
    for size in {table.numel() for table in tables.values()}:  # all tables of one size together
        own = {name: table.flatten() for name, table in tables.items() if table.numel() == size}
        mean = defined_mean(torch.stack(list(own.values())), zero_division=settings.zero_division)
        means_of |= dict(zip(own, mean.unbind(), strict=True))
    return {name: means_of[name] for name in tables}


def _per_class(means: Means, labels: Tensor, settings: MeanAveragePrecisionSettings) -> dict[str, Tensor]:
    values = [
        defined_mean(part, dim=0, zero_division=settings.zero_division)
        for part in (means.precision[..., 0], means.recall[..., 0, -1])  # (T, C) each
    ]
    keys = ("map", f"mar_{settings.max_detection_thresholds[-1]}")
    return results_by_class(dict(zip(keys, values, strict=True)), labels, settings)
