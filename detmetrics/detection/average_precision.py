"""Readers of average precision and recall: pycocotools' arrays, their means over recall, and the headline numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from detmetrics.detection.classes import by_class, class_labels
from detmetrics.detection.settings import ALL_AREAS, MeanAveragePrecisionSettings
from detmetrics.match.coco import count_targets, match_all, within
from detmetrics.match.evaluation_data import EvaluationData
from detmetrics.reduce.averages import defined_mean
from detmetrics.reduce.interpolation import final_recall, interpolate, mean_precision
from detmetrics.reduce.ranking import Matched, Ranking, rank


class Arrays(NamedTuple):
    """Pycocotools' arrays."""

    precision: Tensor  # (T, R, C, A, M) float64
    recall: Tensor  # (T, C, A, M) float64
    scores: Tensor  # (T, R, C, A, M) float64


class Means(NamedTuple):
    """What the headline numbers are means of."""

    precision: Tensor  # (T, C, A) float64, the mean over recall points at the largest limit
    recall: Tensor  # (T, C, A, M) float64


class Accumulated(NamedTuple):
    """The matches under one limit and in one area range, ready to be accumulated; see ``reduce.interpolation``."""

    ranking: Ranking
    matched: Matched
    countable: Tensor  # (N,) bool
    num_targets: Tensor  # (C,) int64


def average_precision(data: EvaluationData, settings: MeanAveragePrecisionSettings) -> Arrays:
    """Pycocotools' arrays at every limit.

    Args:
        data: What was read from a state.
        settings: Thresholds, area ranges, limits, classes.
    """
    points = _points(data, settings)
    precision, recall, scores = [], [], []
    for areas in _by_limit(data, settings):
        curves = [interpolate(*area, points) for area in areas]
        precision.append(torch.stack([c.precision for c in curves]))  # (A, T, C, R)
        scores.append(torch.stack([c.scores for c in curves]))
        recall.append(torch.stack([final_recall(area.matched, area.num_targets) for area in areas]))  # (A, T, C)
    undefined = settings.zero_division
    return Arrays(
        torch.stack(precision).permute(2, 4, 3, 1, 0).nan_to_num(undefined),
        torch.stack(recall).permute(2, 3, 1, 0).nan_to_num(undefined),
        torch.stack(scores).permute(2, 4, 3, 1, 0).nan_to_num(undefined),
    )


def mean_precision_and_recall(data: EvaluationData, settings: MeanAveragePrecisionSettings) -> Means:
    """The means over recall points alone: without an array over them, which many classes would make large.

    Args:
        data: What was read from a state.
        settings: Thresholds, area ranges, limits, classes.
    """
    points = _points(data, settings)
    recall = []
    for areas in _by_limit(data, settings):
        recall.append(torch.stack([final_recall(area.matched, area.num_targets) for area in areas]))  # (A, T, C)
    precision = torch.stack([mean_precision(*area, points) for area in areas])  # (A, T, C), at the largest limit
    undefined = settings.zero_division
    return Means(
        precision.permute(1, 2, 0).nan_to_num(undefined), torch.stack(recall).permute(2, 3, 1, 0).nan_to_num(undefined)
    )


def _points(data: EvaluationData, settings: MeanAveragePrecisionSettings) -> Tensor:
    return torch.tensor(settings.rec_thresholds, dtype=torch.float64, device=data.scores.device)


def _by_limit(data: EvaluationData, settings: MeanAveragePrecisionSettings) -> Iterator[list[Accumulated]]:
    """For each limit, ascending, the matches in each area range, all areas first."""
    labels = class_labels(data, settings)
    data = by_class(data, settings)
    areas = (ALL_AREAS, *settings.area_ranges.values())
    matches = match_all(data, settings.iou_thresholds, areas, settings.max_detection_thresholds[-1])
    ranked = rank(data, labels, matches)
    num_targets = count_targets(data, labels, areas)  # (A, C)
    in_area = [within(data.areas, area_range).index_select(0, ranked.order) for area_range in areas]  # (N,) each
    num_thresholds = len(settings.iou_thresholds)
    bits = [range(a * num_thresholds, (a + 1) * num_thresholds) for a in range(len(areas))]
    for limit in settings.max_detection_thresholds:
        limited = ranked.limited(limit)
        countable = [inside & (ranked.rank < limit) for inside in in_area]
        yield [
            Accumulated(ranked.ranking, limited.matched(own, counts), counts, targets)
            for own, counts, targets in zip(bits, countable, num_targets, strict=True)
        ]


def summarize(data: EvaluationData, settings: MeanAveragePrecisionSettings) -> dict[str, Tensor]:
    """The headline numbers, those of each class and the arrays, as the settings ask; see ``compute()`` of the class.

    Args:
        data: What was read from a state.
        settings: Thresholds, area ranges, limits, classes, and what to add.
    """
    means = mean_precision_and_recall(data, settings)
    results = _headlines(means, settings)
    if settings.class_metrics:
        results |= _per_class(means, class_labels(data, settings), settings)
    if settings.extended_summary:
        results |= average_precision(data, settings)._asdict()
    return results


def _headlines(means: Means, settings: MeanAveragePrecisionSettings) -> dict[str, Tensor]:
    def mean(values: Tensor) -> Tensor:
        return defined_mean(values.flatten(), zero_division=settings.zero_division)

    precision, recall = means  # (T, C, A), (T, C, A, M)
    areas = list(enumerate(settings.area_ranges, start=1))
    results = {"map": mean(precision[..., 0])}
    for percent in (50, 75):
        if percent / 100 in settings.iou_thresholds:
            results[f"map_{percent}"] = mean(precision[settings.iou_thresholds.index(percent / 100), :, 0])
    results |= {f"map_{name}": mean(precision[..., a]) for a, name in areas}
    limits = enumerate(settings.max_detection_thresholds)
    results |= {f"mar_{limit}": mean(recall[..., 0, m]) for m, limit in limits}
    return results | {f"mar_{name}": mean(recall[..., a, -1]) for a, name in areas}


def _per_class(means: Means, labels: Tensor, settings: MeanAveragePrecisionSettings) -> dict[str, Tensor]:
    values = [
        defined_mean(part, dim=0, zero_division=settings.zero_division)
        for part in (means.precision[..., 0], means.recall[..., 0, -1])  # (T, C) each
    ]
    keys = ("map", f"mar_{settings.max_detection_thresholds[-1]}")
    if settings.declared is None or settings.class_agnostic:
        return {f"{key}_per_class": per_class for key, per_class in zip(keys, values, strict=True)} | {
            "classes": labels
        }
    return {
        f"{key}/{name}": value
        for key, per_class in zip(keys, values, strict=True)
        for name, value in zip(settings.declared.values(), per_class, strict=True)
    }
