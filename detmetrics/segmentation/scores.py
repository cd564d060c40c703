"""One score of a segmentation from its counts: exact counts, then a formula, then a reduction."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from torch import Tensor

from detmetrics.reduce import averages, formulas
from detmetrics.reduce.formulas import Formula
from detmetrics.segmentation.counting import ImageCounts
from detmetrics.segmentation.settings import ReportSettings, ScoreSettings

FORMULAS: dict[str, Formula] = {
    "iou": formulas.iou,
    "f1": formulas.f_beta,
    "f_beta": formulas.f_beta,
    "precision": formulas.precision,
    "recall": formulas.recall,
    "specificity": formulas.specificity,
    "accuracy": formulas.accuracy,
}


def score(name: str, counts: ImageCounts, settings: ScoreSettings) -> Tensor | dict[str, Tensor]:
    """One of :data:`FORMULAS` over counts, reduced as the settings say.

    Args:
        name: A key of :data:`FORMULAS`. The accuracy of multiclass inputs is their recall.
        counts: What was read from a state.
        settings: What is asked.

    Returns:
        A 0-d float64 tensor. With ``average="none"`` ``(C,)``, or a dict with ``<name>/<class name>`` if the classes
        have names.
    """
    table = counts.total if settings.aggregate == "dataset" else counts.by_image  # (C, 4) or (B, C, 4)
    return reduced(name, _formula(name, settings), table.unbind(dim=-1), settings)


def reduced(
    name: str, formula: Formula, columns: Sequence[Tensor], settings: ScoreSettings
) -> Tensor | dict[str, Tensor]:
    """A formula over columns, ``(B, C)`` or ``(C,)`` each, reduced as the settings say; see :func:`score`."""
    weights = settings.class_weights
    values = averages.average(
        formula,
        columns,
        average=settings.average,
        aggregate=settings.aggregate,
        zero_division=settings.zero_division,
        class_weights=None if weights is None else torch.tensor(weights, dtype=torch.float64),
        excluded=excluded_mask(settings, columns[0]),
    )
    if settings.average != "none" or settings.class_names is None:
        return values
    return {f"{name}/{class_name}": value for class_name, value in zip(settings.names, values, strict=True)}


def _formula(name: str, settings: ScoreSettings) -> Formula:
    if name == "f_beta":
        return functools.partial(formulas.f_beta, beta=settings.beta)
    return accuracy_formula(settings) if name == "accuracy" else FORMULAS[name]


def accuracy_formula(settings: ReportSettings) -> Formula:
    """The share of pixels that are right: of label maps the recall, since every pixel has one class."""
    return formulas.recall if settings.task == "multiclass" else formulas.accuracy


def excluded_mask(settings: ReportSettings, counts: Tensor) -> Tensor:
    """The classes that no average takes in, (C,) bool."""
    return averages.class_mask(settings.excluded, settings.num_classes, counts.device)


def support(counts: ImageCounts, settings: ScoreSettings) -> dict[str, int]:
    """The number of pixels of each class in the targets, by its name."""
    tp, _, fn, _ = counts.total.unbind(dim=-1)  # (C,) each
    return dict(zip(settings.names, (tp + fn).tolist(), strict=True))
