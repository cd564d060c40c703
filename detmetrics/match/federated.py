"""Federated data sets: in an image only some classes are annotated, and detections of the others are no mistakes."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from detmetrics.match.evaluation_data import ABSENT, NOT_EXHAUSTIVE, PRESENT, EvaluationData
from detmetrics.ragged import descending_key, distinct, invert, lexsort, occurrences, ranges, rank_in_run, run_starts

Pairs = tuple[Tensor, Tensor]  # images and labels


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
    there = data.target_image.index_select(0, targets), data.target_labels.index_select(0, targets)
    own, judged, verified, open_ended = _numbers(
        data, there, _facts(data, ABSENT | PRESENT), _facts(data, NOT_EXHAUSTIVE)
    )
    kept = _within(own, torch.cat([judged, verified]))
    takes_part = data.areas.index_select(0, kept) > 0
    if max_detections is not None:
        best = _best_of_images(data, max_detections)
        if best is not None:
            takes_part &= best.index_select(0, kept)
    kept = kept[takes_part]
    is_spared = torch.zeros_like(data.labels, dtype=torch.bool)
    is_spared[_within(own, open_ended)] = True
    return dataclasses.replace(data.among(kept, targets), spared=is_spared.index_select(0, kept))


def _facts(data: EvaluationData, flags: int) -> Pairs:
    """The images and labels of facts with one of the flags."""
    if data.facts is None:
        return data.image[:0], data.labels[:0]
    at = (data.facts.flags & flags != 0).nonzero().squeeze(1)
    return data.facts.image.index_select(0, at), data.facts.labels.index_select(0, at)


def _numbers(data: EvaluationData, *pairs: Pairs) -> list[Tensor]:
    """A number for each pair of image and label, ascending as these do: of the detections, and of ``pairs``."""
    classes = distinct(data.classes, *(labels for _, labels in pairs))
    low, high = (int(classes[i]) for i in (0, -1)) if len(classes) else (0, 0)
    size = high - low + 1
    if size * len(data.keys) < 1 << 62:  # labels number themselves
        return [image * size + (labels - low) for image, labels in ((data.image, data.labels), *pairs)]
    return [
        image * len(classes) + torch.searchsorted(classes, labels)
        for image, labels in ((data.image, data.labels), *pairs)
    ]


def _within(own: Tensor, number: Tensor) -> Tensor:
    """Where in ``own`` (N,), ascending, one of the numbers is, ``(n,)`` indices, ascending."""
    number = number.unique()
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
