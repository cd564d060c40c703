"""What the metrics are asked that say why a detector scores as it does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from detmetrics import arguments
from detmetrics.detection.settings import OneThresholdSettings


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
