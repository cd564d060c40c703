"""The pictures of panoptic quality, a bar per class or its means, and of the quality of instances."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detmetrics.show.plot.bars import class_bars
from detmetrics.show.plot.histories import history
from detmetrics.show.plot.results import Scalar, numbers


def _means(result: Any, key: str) -> Mapping[str, Scalar]:
    """The values that are of no class and of no threshold."""
    found = numbers(result)
    means = {name: value for name, value in found.items() if "/" not in name} if isinstance(found, Mapping) else {}
    if key not in means:
        got = list(found) if isinstance(found, Mapping) else found
        raise ValueError(f"val: expected a dict with {key!r}, got {got}")
    return means


class Quality:
    """PQ of each class as bars if the result has classes, else its means; over time the means."""

    label = "Panoptic, segmentation and recognition quality"

    def numbers(self, result: Any) -> Mapping[str, Scalar]:
        """The means over classes."""
        return _means(result, "pq")

    def draw(self, result: Any, ax: Any = None, *, fresh: bool = False) -> tuple[Any, Any]:
        """Draw one result."""
        means = self.numbers(result)
        classes = {key.removeprefix("pq/"): value for key, value in result.items() if key.startswith("pq/")}
        return class_bars(classes, None, "PQ", ax) if classes else history([means], self.label, ax)


class Instances:
    """AJI and the means over IoU thresholds."""

    label = "Quality of instances"

    def numbers(self, result: Any) -> Mapping[str, Scalar]:
        """The means over thresholds."""
        return _means(result, "aji")

    def draw(self, result: Any, ax: Any = None, *, fresh: bool = False) -> tuple[Any, Any]:
        """Draw one result."""
        return history([self.numbers(result)], self.label, ax)
