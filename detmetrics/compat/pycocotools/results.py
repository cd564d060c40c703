"""What COCO's results lack, derived from what they have."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator, Sequence
from typing import Any

from detmetrics.overlap.rle import Runs, mask_areas, mask_boxes, read_runs

Ann = dict[str, Any]

AT_ONCE = 4096  # masks that are measured together


@contextlib.contextmanager
def without_collection() -> Iterator[None]:
    """Pause the search for garbage: among millions of new dicts, all in use, it takes most of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def complete(results: list[Ann]) -> bool:
    """Number results from 1, and add ``area``, ``iscrowd``, and ``bbox`` or ``segmentation`` where it is missing.

    The first result decides for all: boxes if it has one, else masks, else key points, as in pycocotools.

    Args:
        results: Dicts, which are changed.

    Returns:
        Whether they are detections. Captions are numbered alone.

    Source: pycocotools ``COCO.loadRes``.
    """
    first = results[0] if results else {}
    if "caption" not in first:
        if "bbox" in first and len(first["bbox"]):
            _from_boxes(results)
        elif "segmentation" in first:
            _from_masks(results)
        elif "keypoints" in first:
            _from_keypoints(results)
    for number, ann in enumerate(results, start=1):
        ann["id"] = number
    return "caption" not in first


def _from_boxes(results: list[Ann]) -> None:
    for ann in results:
        x, y, width, height = ann["bbox"]
        if "segmentation" not in ann:
            right, bottom = x + width, y + height
            ann["segmentation"] = [[x, y, x, bottom, right, bottom, right, y]]
        ann["area"] = width * height
        ann["iscrowd"] = 0


def _from_masks(results: list[Ann]) -> None:
    for start in range(0, len(results), AT_ONCE):
        part = results[start : start + AT_ONCE]
        runs = read_runs([ann["segmentation"] for ann in part])
        for ann, area, box in zip(part, mask_areas(runs).tolist(), xywh_of(runs), strict=True):
            ann["area"] = area
            ann.setdefault("bbox", box)
            ann["iscrowd"] = 0


def _from_keypoints(results: list[Ann]) -> None:
    for ann in results:
        left, right = _extent(ann["keypoints"][0::3])
        top, bottom = _extent(ann["keypoints"][1::3])
        ann["area"] = (right - left) * (bottom - top)
        ann["bbox"] = [left, top, right - left, bottom - top]


def _extent(values: Sequence[float]) -> tuple[float, float]:
    return min(values), max(values)


def xywh_of(runs: Runs) -> list[list[float]]:
    """The boxes around masks, one xywh list of floats per mask."""
    boxes = mask_boxes(runs).double()
    boxes[:, 2:] -= boxes[:, :2]
    found: list[list[float]] = boxes.tolist()
    return found
