"""The reader of average precision as Open Images defines it."""

from __future__ import annotations

import torch
from torch import Tensor

from detmetrics.detection.classes import class_labels, results_by_class
from detmetrics.detection.settings import OpenImagesSettings
from detmetrics.match.evaluation_data import IGNORE, EvaluationData
from detmetrics.match.federated import federated
from detmetrics.match.hierarchy import expanded
from detmetrics.match.open_images import match_open_images
from detmetrics.ragged import descending_key, lexsort, occurrences
from detmetrics.reduce.areas import area_under_envelope, hit_curve
from detmetrics.reduce.averages import defined_mean


def open_images_results(data: EvaluationData, settings: OpenImagesSettings) -> tuple[dict[str, Tensor], Tensor]:
    """The numbers of evaluation data, and the labels of the classes; see ``compute()`` of the metric.

    Args:
        data: What was read from a state, with the overlaps between classes if there is a hierarchy.
        settings: The IoU threshold, the hierarchy and the classes.
    """
    parents = settings.hierarchy
    whole = data.memo.answer(
        ("expanded", parents), lambda: data.same_class if parents is None else expanded(data, parents)
    )
    labels = class_labels(whole, settings)
    values = class_precision(whole, labels, settings.iou_threshold).nan_to_num(settings.zero_division)
    results = {"map": defined_mean(values, zero_division=settings.zero_division)}
    if settings.class_metrics:
        results |= results_by_class({"map": values}, labels, settings)
    return results, labels


def class_precision(whole: EvaluationData, labels: Tensor, iou_threshold: float) -> Tensor:
    """The average precision of each class, ``(C,)``: the area under the best precision at each recall or beyond."""
    data = federated(whole, all_targets=True)
    matches = match_open_images(data, iou_threshold)
    counted = (data.target_flags & IGNORE == 0).nonzero().squeeze(1)
    of_target = torch.searchsorted(labels, data.target_labels.index_select(0, counted))
    num_targets = occurrences(of_target, len(labels))
    is_hit = matches.hits[0] != 0
    hit = torch.zeros_like(data.labels, dtype=torch.bool)
    hit[matches.detection[is_hit]] = True
    left_out = torch.zeros_like(hit) if data.spared is None else data.spared & ~hit
    left_out[matches.detection[~is_hit]] = True
    kept = (~left_out).nonzero().squeeze(1)
    kept = kept[lexsort(data.labels.index_select(0, kept), descending_key(data.scores.index_select(0, kept)))]
    group = torch.searchsorted(labels, data.labels.index_select(0, kept))
    return area_under_envelope(hit_curve(group, hit.index_select(0, kept), num_targets), num_targets)
