"""What ``detmetrics evaluate --protocol`` evaluates with, and what it prints."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from detmetrics.detection.lvis import LVISAveragePrecision
from detmetrics.detection.mean_ap import MeanAveragePrecision
from detmetrics.detection.open_images import OpenImagesAveragePrecision
from detmetrics.show.tables import TITLES, class_table, coco_summary, lvis_summary

if TYPE_CHECKING:
    from detmetrics.files.coco import CocoData


@dataclass(frozen=True)
class DetectionProtocol:
    """How files of annotations and results are evaluated.

    Attributes:
        title: What errors call it.
        metric: The class of the metric.
        chosen: The settings that are given on the command line; a saved state can be read with others.
        of_files: The settings that come from the files.
        summary: The headline numbers as text, from the results and the metric.
    """

    title: str
    metric: Any
    chosen: Callable[[argparse.Namespace], dict[str, Any]]
    of_files: Callable[[CocoData, argparse.Namespace], dict[str, Any]]
    summary: Callable[[dict[str, float], Any], str]

    @property
    def has_page(self) -> bool:
        """Whether there are a page and tables with bars for its results."""
        return self.metric is MeanAveragePrecision

    def settings(self, arguments: argparse.Namespace) -> dict[str, Any]:
        """The settings on the command line that are given."""
        chosen = self.chosen(arguments) | {"class_metrics": arguments.per_class or None}
        return {name: value for name, value in chosen.items() if value is not None}

    def text(self, results: dict[str, float], metric: Any) -> str:
        """The headline numbers, and a table of the classes if it is asked for."""
        summary = self.summary(results, metric)
        return f"{summary}\n\n{class_table(results)}" if metric.class_metrics else summary


def _of_coco(arguments: argparse.Namespace) -> dict[str, Any]:
    return {
        "iou_thresholds": _several(arguments.iou_thresholds),
        "max_detection_thresholds": _several(arguments.max_detections),
    }


def _of_lvis(arguments: argparse.Namespace) -> dict[str, Any]:
    return {
        "iou_thresholds": _several(arguments.iou_thresholds),
        "max_detections_per_image": _one("--max-detections", arguments.max_detections),
    }


def _of_open_images(arguments: argparse.Namespace) -> dict[str, Any]:
    if arguments.max_detections is not None:
        raise ValueError("--max-detections: expected none for Open Images, which has no limit")
    return {"iou_threshold": _one("--iou-thresholds", arguments.iou_thresholds)}


def _several(values: list[Any] | None) -> list[Any] | None:
    return values and sorted(set(values))


def _one(option: str, values: list[Any] | None) -> Any:
    if values is not None and len(values) > 1:
        raise ValueError(f"{option}: expected one number, got {' '.join(map(str, values))}")
    return values and values[0]


def _lvis_files(data: CocoData, arguments: argparse.Namespace) -> dict[str, Any]:
    if not any("neg_category_ids" in item for item in data.target):
        expected = '"neg_category_ids" and "not_exhaustive_category_ids" in the images'
        raise ValueError(f"{arguments.annotations}: expected LVIS annotations, with {expected}, got none")
    return {"frequencies": data.frequencies or None}


def _open_images_files(data: CocoData, arguments: argparse.Namespace) -> dict[str, Any]:
    if arguments.hierarchy is None:
        return {}
    try:
        return {"hierarchy": json.loads(arguments.hierarchy.read_text())}
    except ValueError as error:
        raise ValueError(f"{arguments.hierarchy}: expected JSON, got an error: {error}") from error


def _open_images_summary(results: dict[str, float], metric: Any) -> str:
    return f" {TITLES['AP']:<18} (AP) @[ IoU={metric.iou_threshold:<9.2f} ] = {results['map']:.3f}"


DETECTION_PROTOCOLS = {
    "coco": DetectionProtocol(
        "COCO",
        MeanAveragePrecision,
        _of_coco,
        lambda data, arguments: {},
        lambda results, metric: coco_summary(results, metric.iou_thresholds),
    ),
    "lvis": DetectionProtocol(
        "LVIS",
        LVISAveragePrecision,
        _of_lvis,
        _lvis_files,
        lambda results, metric: lvis_summary(results, metric.iou_thresholds),
    ),
    "open-images": DetectionProtocol(
        "Open Images", OpenImagesAveragePrecision, _of_open_images, _open_images_files, _open_images_summary
    ),
}


def is_of_detection(metric: Any) -> bool:
    """Whether a metric is that of a protocol."""
    return any(type(metric) is own.metric for own in DETECTION_PROTOCOLS.values())


def protocol_of(metric: Any) -> DetectionProtocol:
    """The protocol of a metric that is of one."""
    return next(own for own in DETECTION_PROTOCOLS.values() if type(metric) is own.metric)
