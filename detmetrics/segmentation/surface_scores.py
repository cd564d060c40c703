"""Readers of statistics of surfaces: the ratios of images and classes, reduced."""

from __future__ import annotations

import torch
from torch import Tensor

from detmetrics.reduce.formulas import divide
from detmetrics.segmentation.counting import ImageCounts
from detmetrics.segmentation.scores import reduced
from detmetrics.segmentation.settings import ScoreSettings
from detmetrics.segmentation.surface_counting import NUMERATOR, SUPPORT


def surface_score(name: str, counts: ImageCounts, settings: ScoreSettings) -> Tensor | dict[str, Tensor]:
    """The ratios of a state, reduced as the settings say.

    Args:
        name: With which the keys of a dict begin.
        counts: What was read from a state.
        settings: What is asked.
    """
    support = counts.by_image[..., SUPPORT]  # (B, C)
    bits = counts.by_image[..., NUMERATOR:].contiguous().view(torch.float64)  # (B, C, 2)
    zeros = torch.zeros_like(support)
    return reduced(name, _ratio, [support, zeros, zeros, *bits.unbind(dim=-1)], settings)


def _ratio(support: Tensor, fp: Tensor, fn: Tensor, numerator: Tensor, denominator: Tensor) -> Tensor:
    """A formula over columns; the first three tell averages how many pixels the targets have."""
    return divide(numerator, denominator)


def surface_support(counts: ImageCounts, settings: ScoreSettings) -> dict[str, int]:
    """The number of pixels of each class in the targets, by its name."""
    return dict(zip(settings.names, counts.total[:, SUPPORT].tolist(), strict=True))
