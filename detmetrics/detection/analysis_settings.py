"""What the metrics are asked that say why a detector scores as it does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from detmetrics import arguments
from detmetrics.detection.settings import OneThresholdSettings, OperatingPointSettings
from detmetrics.reduce.averages import AVERAGES


@dataclass(frozen=True, kw_only=True)
class ErrorSettings(OneThresholdSettings):
    """What :class:`detmetrics.DetectionErrors` is asked."""

    background_threshold: Annotated[float, arguments.overlap_threshold] = 0.1

    def check(self) -> None:
        """Raise unless the two thresholds are in order."""
        super().check()
        if not self.background_threshold < self.iou_threshold:
            expected = f"less than iou_threshold={self.iou_threshold}"
            raise arguments.fail("background_threshold", expected, self.background_threshold)

    @property
    def lowest_overlap(self) -> float:
        """The smallest overlap that is asked about."""
        return self.background_threshold


@dataclass(frozen=True, kw_only=True)
class LocalizationRecallPrecisionSettings(OperatingPointSettings):
    """What :class:`detmetrics.LocalizationRecallPrecision` is asked."""

    class_metrics: Annotated[bool, arguments.boolean] = False

    def check(self) -> None:
        """Raise if no overlap could be better than the threshold."""
        super().check()
        if self.iou_threshold == 1:
            raise arguments.fail("iou_threshold", "a number below 1: overlaps are measured from it on", 1.0)


@dataclass(frozen=True, kw_only=True)
class OverlapSettings(OperatingPointSettings):
    """What :class:`detmetrics.DetectionIoU` is asked."""

    average: Annotated[str, arguments.one_of(*AVERAGES)] = "micro"


@dataclass(frozen=True, kw_only=True)
class CalibrationSettings(OperatingPointSettings):
    """What :class:`detmetrics.DetectionCalibration` is asked."""

    num_bins: Annotated[int, arguments.limit] = 10
