"""The classes of a detection metric: declared, observed, or one for all labels."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from detmetrics.detection.inputs import check_declared
from detmetrics.detection.settings import ClassSettings
from detmetrics.match.evaluation_data import EvaluationData


def by_class(data: EvaluationData, settings: ClassSettings) -> EvaluationData:
    """The data as metrics read it that go by class: all labels as one class, or without overlaps between classes."""
    return data.merged if settings.class_agnostic else data.same_class


def class_labels(data: EvaluationData, settings: ClassSettings) -> Tensor:
    """The labels of the classes, ascending (C,): those declared, else those observed; 0 if all labels are one class.

    Raises:
        ValueError: if a label occurs that is not declared.
    """
    device = data.labels.device
    if settings.class_agnostic:
        return torch.zeros(1, dtype=torch.int64, device=device)
    declared = settings.declared
    if declared is None:
        return data.classes.clone()  # the caller may change it
    check_declared(data.classes, declared)
    return torch.tensor(list(declared), device=device)


def results_by_class(values: Mapping[str, Tensor], labels: Tensor, settings: ClassSettings) -> dict[str, Tensor]:
    """Results of classes (C,) under the keys that ``compute()`` has for them.

    Args:
        values: ``(C,)`` each, by what is measured, such as ``"map"``.
        labels: ``(C,)`` int64.
        settings: Whether and how classes are declared.

    Returns:
        0-d tensors ``<key>/<name>`` of declared classes, else ``<key>_per_class`` (C,) and ``classes``, the labels.
    """
    if settings.declared is None or settings.class_agnostic:
        return {f"{key}_per_class": own for key, own in values.items()} | {"classes": labels}
    names = list(settings.declared.values())
    return {f"{key}/{name}": one for key, own in values.items() for name, one in zip(names, own, strict=True)}


def class_titles(labels: Tensor, settings: ClassSettings) -> list[str]:
    """What classes (C,) are called in pictures and tables: by their declared names, else by their labels."""
    names = {0: "all labels"} if settings.class_agnostic else settings.declared or {}
    return [names.get(label, str(label)) for label in labels.tolist()]
