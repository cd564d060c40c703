"""The picture of a report of keypoints: a bar per joint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detmetrics.show.plot.bars import class_bars
from detmetrics.show.plot.results import Scalar, numbers

SHOWN = ("pck", "mean_pck")


class Joints:
    """PCK of each joint as bars with its support; over time PCK of all and its mean over joints."""

    label = "Share of correct keypoints"

    def numbers(self, result: Any) -> Mapping[str, Scalar]:
        """PCK of all keypoints, and the mean over joints."""
        found = numbers(result)
        means = {name: found[name] for name in SHOWN if name in found} if isinstance(found, Mapping) else {}
        if len(means) < len(SHOWN):
            got = list(found)[:8] if isinstance(found, Mapping) else found
            raise ValueError(f"val: expected the results of a report of keypoints, got {got}")
        return means

    def draw(self, result: Any, ax: Any = None, *, fresh: bool = False) -> tuple[Any, Any]:
        """Draw one result."""
        self.numbers(result)
        joints = {key.removeprefix("pck/"): value for key, value in result.items() if key.startswith("pck/")}
        support = {name: int(result[f"support/{name}"]) for name in joints}
        return class_bars(joints, support, "PCK", ax)
