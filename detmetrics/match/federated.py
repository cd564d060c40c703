"""Federated data sets: in an image only some classes are annotated, and detections of the others are no mistakes."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from detmetrics.match.evaluation_data import ABSENT, NOT_EXHAUSTIVE, PRESENT, EvaluationData
from detmetrics.ragged import descending_key, distinct, invert, lexsort, occurrences, ranges, rank_in_run, run_starts


def federated(data: EvaluationData, max_detections: int | None = None, all_targets: bool = False) -> EvaluationData:
    """What counts where an image is annotated for some classes only.

    First come the best detections of an image, over all classes, up to the limit. Of these stay the ones of classes
    that have a target in the image or are verified to be there or not. Those of classes that are not labelled
    exhaustively are spared: they are ignored where they stay unmatched. What has no area takes no part.

    Args:
        data: N detections, with the order in which they were given if there is a limit.
        max_detections: How many of an image take part, the best first, of equal scores the first given; None for all.
        all_targets: Whether targets without area take part all the same.

    Source: ``LVISEval._prepare`` and ``evaluate_img`` of the package lvis 0.5.3;
    ``OpenImagesDetectionChallengeEvaluator`` of TensorFlow's object detection API.
    """
    targets = ((data.target_areas > 0) | all_targets).nonzero().squeeze(1)
    pairs = [(data.target_image.index_select(0, targets), data.target_labels.index_select(0, targets))]
    spared: list[tuple[Tensor, Tensor]] = []
    if data.facts is not None:
        for flags, listed in ((ABSENT | PRESENT, pairs), (NOT_EXHAUSTIVE, spared)):
            at = (data.facts.flags & flags != 0).nonzero().squeeze(1)
            listed.append((data.facts.image.index_select(0, at), data.facts.labels.index_select(0, at)))
    kept = _detections_of(data, pairs)
    takes_part = data.areas.index_select(0, kept) > 0
    if max_detections is not None:
        best = _best_of_images(data, max_detections)
        if best is not None:
            takes_part &= best.index_select(0, kept)
    kept = kept[takes_part]
    is_spared = torch.zeros_like(data.labels, dtype=torch.bool)
    is_spared[_detections_of(data, spared)] = True
    return dataclasses.replace(data.among(kept, targets), spared=is_spared.index_select(0, kept))


def _detections_of(data: EvaluationData, pairs: list[tuple[Tensor, Tensor]]) -> Tensor:
    """The detections of pairs of image and label, ``(n,)`` indices, ascending."""
    image, labels = (torch.cat(part) for part in zip(*pairs, strict=True)) if pairs else (data.image[:0],) * 2
    classes = distinct(data.labels, labels)
    number = image * len(classes) + torch.searchsorted(classes, labels)
    number = number.unique()  # ascending, as the detections are
    own = data.image * len(classes) + torch.searchsorted(classes, data.labels)
    first = torch.searchsorted(own, number)
    count = torch.searchsorted(own, number, right=True) - first
    return ranges(first, count, int(count.sum()))


def _best_of_images(data: EvaluationData, limit: int) -> Tensor | None:
    """The best detections of each image up to a limit, ``(N,)`` bool; None if no image has more."""
    if not bool((occurrences(data.image, len(data.keys)) > limit).any()):
        return None
    given = torch.zeros_like(data.labels) if data.order is None else data.order
    order = lexsort(data.image, descending_key(data.scores), given)
    rank = rank_in_run(run_starts(data.image.index_select(0, order)))
    return rank.index_select(0, invert(order)) < limit
