"""Readers of the kinds of errors: what is wrong with each false positive, and which targets nothing comes near."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from detmetrics.count.outcomes import Outcome
from detmetrics.detection.analysis_settings import ErrorSettings
from detmetrics.detection.classes import class_labels
from detmetrics.detection.operating_point import outcomes_from
from detmetrics.match.coco import SUFFICIENT, counted_targets
from detmetrics.match.evaluation_data import EvaluationData
from detmetrics.ragged import occurrences
from detmetrics.state.rows import ids_and_arrivals

KINDS = ("classification", "localization", "both", "duplicate", "background", "missed")
CLASSIFICATION, LOCALIZATION, BOTH, DUPLICATE, BACKGROUND, MISSED = range(len(KINDS))


class Errors(NamedTuple):
    """The errors of a detector, as indices into :func:`all_pairs` of the data."""

    outcome: Outcome  # what the errors are found in
    detection: Tensor  # (K,) int64, the false positives, ascending
    kind: Tensor  # (K,) int64, index into KINDS
    target: Tensor  # (K,) int64, the target that the detection is closest to under its kind; -1 for background
    missed: Tensor  # (F,) int64, the missed targets that no detection of wrong class or place points at


class Confusions(NamedTuple):
    """Pairs of classes, the most frequent first."""

    target: Tensor  # (P,) int64, labels
    prediction: Tensor  # (P,) int64, what they were taken for
    times: Tensor  # (P,) int64


def all_pairs(data: EvaluationData, settings: ErrorSettings) -> EvaluationData:
    """The data with the overlaps between classes; of one class if labels do not matter."""
    return data.merged if settings.class_agnostic else data


def find_errors(data: EvaluationData, settings: ErrorSettings) -> Errors:
    """What is wrong with each false positive, and which missed targets no other error explains.

    Args:
        data: What was read from a state, with the overlaps between classes.
        settings: The thresholds, area range, limit and classes.

    Source: Bolya, Foley, Hays and Hoffman, TIDE (ECCV 2020), section 2.2; in order of precedence as in ``tidecv``.
    """
    question = ("errors", settings.replace(zero_division=0.0, num_classes=None, class_names=None))
    return data.memo.answer(question, lambda: _find_errors(data, settings))


def _find_errors(data: EvaluationData, settings: ErrorSettings) -> Errors:
    outcome = outcomes_from(data, settings, -torch.inf)
    data = all_pairs(data, settings)
    wrong = torch.zeros_like(data.labels, dtype=torch.bool).index_fill_(0, outcome.wrong, True)
    counted = counted_targets(data, [settings.area_bounds])[0]
    detection, target = data.overlap_detection, data.overlap_target
    about = wrong.index_select(0, detection) & counted.index_select(0, target)
    same = data.labels.index_select(0, detection) == data.target_labels.index_select(0, target)
    (of_class, own), (of_others, other) = (_closest(data, about & chosen) for chosen in (same, ~same))
    foreground, background = min(settings.iou_threshold, SUFFICIENT), settings.background_threshold

    kind = torch.full_like(data.labels, BOTH)
    kind[of_others <= background] = BACKGROUND
    kind[of_class > foreground] = DUPLICATE  # whatever it overlaps enough was taken before
    kind[of_others >= foreground] = CLASSIFICATION
    kind[(of_class >= background) & (of_class <= foreground)] = LOCALIZATION
    kind = kind.index_select(0, outcome.wrong)
    of_own = (kind == LOCALIZATION) | (kind == DUPLICATE)
    about_target = torch.where(of_own, own.index_select(0, outcome.wrong), other.index_select(0, outcome.wrong))
    about_target = about_target.masked_fill(kind == BACKGROUND, -1)
    explained = about_target[kind <= LOCALIZATION]
    missed = torch.zeros_like(counted).index_fill_(0, outcome.missed, True).index_fill_(0, explained, False)
    return Errors(outcome, outcome.wrong, kind, about_target, missed.nonzero().squeeze(1))


def _closest(data: EvaluationData, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """The largest of the chosen overlaps (E,) of each detection, 0 without any, and the first target that has it."""
    at = chosen.nonzero().squeeze(1)
    detection, target, iou = (
        column.index_select(0, at) for column in (data.overlap_detection, data.overlap_target, data.iou)
    )
    best = torch.zeros_like(data.scores).scatter_reduce_(0, detection, iou, "amax")
    none = len(data.target_labels)
    target = torch.where(iou == best.index_select(0, detection), target, none)
    return best, torch.full_like(data.labels, none).scatter_reduce_(0, detection, target, "amin")


def count_errors(data: EvaluationData, settings: ErrorSettings) -> Tensor:
    """Errors by kind and class, ``(6, C)`` int64; a false positive counts for its own class.

    Args:
        data: What was read from a state, with the overlaps between classes.
        settings: The thresholds, area range, limit and classes.
    """
    errors, labels = find_errors(data, settings), class_labels(data, settings)
    data = all_pairs(data, settings)
    own = data.labels.index_select(0, errors.detection), data.target_labels.index_select(0, errors.missed)
    return _by_kind(errors, torch.searchsorted(labels, torch.cat(own)), len(labels))


def _by_kind(errors: Errors, cell: Tensor, num_cells: int) -> Tensor:
    """Errors by kind and cell, ``(6, num_cells)``, from the cells of the false positives and of the missed targets."""
    kind = torch.cat([errors.kind, torch.full_like(errors.missed, MISSED)])
    return occurrences(kind * num_cells + cell, len(KINDS) * num_cells).view(len(KINDS), num_cells)


def errors_per_image(data: EvaluationData, settings: ErrorSettings) -> dict[str, Tensor]:
    """``image_id``, ``arrival``, and the number of errors of each kind in each image, (B,)."""
    errors, own = find_errors(data, settings), all_pairs(data, settings)
    image = torch.cat([own.image.index_select(0, errors.detection), own.target_image.index_select(0, errors.missed)])
    image_id, arrival = ids_and_arrivals(data.keys)
    counts = _by_kind(errors, image, len(data.keys))
    return {"image_id": image_id, "arrival": arrival} | dict(zip(KINDS, counts.unbind(), strict=True))


def confused_classes(data: EvaluationData, settings: ErrorSettings) -> Confusions:
    """The pairs of classes of the detections that are wrong in their class alone.

    Args:
        data: What was read from a state, with the overlaps between classes.
        settings: The thresholds, area range, limit and classes.
    """
    errors, labels = find_errors(data, settings), class_labels(data, settings)
    data = all_pairs(data, settings)
    wrong = errors.kind == CLASSIFICATION
    target = torch.searchsorted(labels, data.target_labels[errors.target[wrong]])
    prediction = torch.searchsorted(labels, data.labels[errors.detection[wrong]])
    pairs, times = (target * len(labels) + prediction).unique(return_counts=True)
    order = times.sort(descending=True, stable=True).indices
    pairs = pairs.index_select(0, order)
    size = max(len(labels), 1)
    return Confusions(labels[pairs // size], labels[pairs % size], times.index_select(0, order))
