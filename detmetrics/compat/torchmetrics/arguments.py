"""The arguments of torchmetrics' metrics: what they take, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from detmetrics.arguments import choice, fail
from detmetrics.compat.torchmetrics.inputs import KEYS
from detmetrics.detection.settings import IOU_THRESHOLDS, MAX_DETECTIONS, RECALL_POINTS
from detmetrics.overlap.boxes import BOX_FORMATS

NUM_LIMITS = 3
BACKENDS = ("pycocotools", "faster_coco_eval")


def similarities(value: str | Sequence[str]) -> tuple[str, ...]:
    """The names of one similarity or of several."""
    names = (value,) if isinstance(value, str) else tuple(value)
    for name in names:
        if name not in KEYS:
            raise fail("iou_type", f"one of {tuple(KEYS)}, or a tuple of them", value)
    return names


def listed(name: str, value: list[Any] | None, default: Sequence[Any]) -> list[Any]:
    """A list; the default for None and for an empty one."""
    if value is not None and not isinstance(value, list):
        raise fail(name, "a list or None", value)
    return list(value or default)


def limits(value: list[int] | None) -> list[int]:
    """Three limits, ascending."""
    found = listed("max_detection_thresholds", value, MAX_DETECTIONS)
    if value is not None and len(value) != NUM_LIMITS:
        raise fail("max_detection_thresholds", f"a list of {NUM_LIMITS} ints", value)
    return sorted(found)


def switch(name: str, value: bool) -> bool:
    """A bool."""
    if not isinstance(value, bool):
        raise fail(name, "a bool", value)
    return value


def mean_average_precision(
    box_format: str,
    iou_type: str | Sequence[str],
    iou_thresholds: list[float] | None,
    rec_thresholds: list[float] | None,
    max_detection_thresholds: list[int] | None,
    class_metrics: bool,
    extended_summary: bool,
    average: str,
    backend: str,
) -> dict[str, Any]:
    """The arguments of mean average precision in their plain form, by name."""
    return {
        "box_format": choice("box_format", box_format, BOX_FORMATS),
        "iou_type": similarities(iou_type),
        "iou_thresholds": listed("iou_thresholds", iou_thresholds, IOU_THRESHOLDS),
        "rec_thresholds": listed("rec_thresholds", rec_thresholds, RECALL_POINTS),
        "max_detection_thresholds": limits(max_detection_thresholds),
        "class_metrics": switch("class_metrics", class_metrics),
        "extended_summary": switch("extended_summary", extended_summary),
        "average": choice("average", average, ("macro", "micro")),
        "backend": choice("backend", backend, BACKENDS),
    }
