"""The reader of LVIS's numbers: COCO's, of what counts in a federated data set, and of classes by their frequency."""

from __future__ import annotations

import torch
from torch import Tensor

from detmetrics.detection.average_precision import summarize
from detmetrics.detection.classes import class_labels
from detmetrics.detection.settings import FREQUENCIES, LVISSettings
from detmetrics.match.evaluation_data import EvaluationData
from detmetrics.match.federated import federated
from detmetrics.ragged import constants


def lvis_results(data: EvaluationData, settings: LVISSettings) -> dict[str, Tensor]:
    """The numbers of evaluation data; see the ``compute()`` of :class:`detmetrics.LVISAveragePrecision`.

    Args:
        data: What was read from a state.
        settings: Thresholds, area ranges, the limit, classes and how frequent they are.
    """
    limit = settings.max_detections_per_image
    counted = data.memo.answer(("federated", limit), lambda: federated(data, limit))
    labels = class_labels(data, settings)
    return summarize(counted, settings.of_coco, labels, _groups(labels, settings))


def _groups(labels: Tensor, settings: LVISSettings) -> dict[str, Tensor]:
    """Which of the classes are in each group of frequencies: indices by name."""
    if settings.frequencies is None:
        return {}
    listed: dict[str, list[int]] = {name: [] for name in FREQUENCIES.values()}
    for label, name in settings.frequencies.items():
        listed[name].append(label)
    return {
        name: torch.isin(labels, constants(own, labels.device, torch.int64)).nonzero().squeeze(1)
        for name, own in listed.items()
    }
