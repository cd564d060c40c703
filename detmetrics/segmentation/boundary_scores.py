"""Readers of counts at boundaries, and what they are asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from detmetrics import arguments
from detmetrics.reduce import formulas
from detmetrics.reduce.formulas import Formula
from detmetrics.segmentation.boundary_counting import BoundaryCounting, ContourCounting, TrimapCounting
from detmetrics.segmentation.counting import Counting, ImageCounts
from detmetrics.segmentation.scores import reduced
from detmetrics.segmentation.settings import ScoreSettings


@dataclass(frozen=True, kw_only=True)
class BoundaryIoUSettings(ScoreSettings):
    """What :class:`detmetrics.SegmentationBoundaryIoU` is asked."""

    dilation_ratio: Annotated[float, arguments.fraction] = 0.02

    @property
    def counting(self) -> Counting:
        """How boundaries are counted."""
        per_image = self.aggregate != "dataset"
        return BoundaryCounting(**self.counted, per_image=per_image, dilation_ratio=self.dilation_ratio)


@dataclass(frozen=True, kw_only=True)
class BoundaryF1Settings(ScoreSettings):
    """What :class:`detmetrics.SegmentationBoundaryF1Score` is asked."""

    dilation_ratio: Annotated[float, arguments.fraction] = 0.0075

    @property
    def counting(self) -> Counting:
        """How contours are counted."""
        per_image = self.aggregate != "dataset"
        return ContourCounting(**self.counted, per_image=per_image, dilation_ratio=self.dilation_ratio)


@dataclass(frozen=True, kw_only=True)
class TrimapIoUSettings(ScoreSettings):
    """What :class:`detmetrics.SegmentationTrimapIoU` is asked."""

    width_px: Annotated[int, arguments.limit] = 5

    @property
    def counting(self) -> Counting:
        """How bands are counted."""
        return TrimapCounting(**self.counted, per_image=self.aggregate != "dataset", width_px=self.width_px)


def contour_f1(hit_target: Tensor, miss_preds: Tensor, miss_target: Tensor, hit_preds: Tensor) -> Tensor:
    """F1 of two contours: the harmonic mean of the share of each that is near the other.

    Example:
        >>> counts = torch.tensor([[2, 0, 2, 3], [0, 0, 5, 0], [0, 0, 0, 0]])
        >>> contour_f1(*counts.unbind(dim=1)).tolist()
        [0.6666666666666666, 0.0, nan]
    """
    preds, target = (hit_preds + miss_preds).double(), (hit_target + miss_target).double()
    hits = hit_preds.double() * hit_target.double()
    # 2 P R / (P + R) with P = hit_preds / preds and R = hit_target / target
    f1 = formulas.divide(2 * hits, hit_preds * target + hit_target * preds, 0.0)
    return torch.where(preds + target == 0, float("nan"), f1)


FORMULAS: dict[str, Formula] = {
    "boundary_iou": formulas.iou,
    "boundary_f1": contour_f1,
    "trimap_iou": formulas.iou,
}


def boundary_score(name: str, counts: ImageCounts, settings: ScoreSettings) -> Tensor | dict[str, Tensor]:
    """One of :data:`FORMULAS` over counts, reduced as :func:`detmetrics.segmentation.scores.score` does."""
    table = counts.total if settings.aggregate == "dataset" else counts.by_image  # (C, 4) or (B, C, 4)
    return reduced(name, FORMULAS[name], table.unbind(dim=-1), settings)
