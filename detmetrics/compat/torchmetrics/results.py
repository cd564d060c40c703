"""From all that was given to the dict that torchmetrics returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from detmetrics.compat.torchmetrics.inputs import LABEL, Given, as_items
from detmetrics.detection import rows
from detmetrics.detection.average_precision import average_precision, summarize
from detmetrics.detection.inputs import pack
from detmetrics.detection.metric import DEFAULT_FLOOR
from detmetrics.detection.settings import IOU_THRESHOLDS, MAX_DETECTIONS, RECALL_POINTS, MeanAveragePrecisionSettings
from detmetrics.detection.settle import settle
from detmetrics.match.evaluation_data import EvaluationData
from detmetrics.overlap.similarity import Request, similarity

UNDEFINED = -1.0
HEADLINE_LIMIT = 100  # pycocotools' summary reports "map" at this limit, or -1 if it is none of the limits
HEADLINES = ("map", "map_50", "map_75", "map_small", "map_medium", "map_large")
RECALLS = ("mar_small", "mar_medium", "mar_large")


@dataclass(frozen=True)
class Asked:
    """What a result depends on beside the data; lists as tuples."""

    iou_types: tuple[str, ...]
    iou_thresholds: tuple[float, ...] = IOU_THRESHOLDS
    rec_thresholds: tuple[float, ...] = RECALL_POINTS
    limits: tuple[int, ...] = MAX_DETECTIONS  # ascending; may repeat
    class_metrics: bool = False
    extended_summary: bool = False
    average: str = "macro"
    backend: str = "pycocotools"

    ATTRIBUTES: ClassVar[dict[str, str]] = {  # the fields that attributes of a metric give
        "iou_type": "iou_types",
        "iou_thresholds": "iou_thresholds",
        "rec_thresholds": "rec_thresholds",
        "max_detection_thresholds": "limits",
        "class_metrics": "class_metrics",
        "extended_summary": "extended_summary",
        "average": "average",
        "backend": "backend",
    }

    @property
    def settings(self) -> MeanAveragePrecisionSettings:
        """The settings of our readers."""
        return MeanAveragePrecisionSettings(
            iou_thresholds=self.iou_thresholds,
            rec_thresholds=self.rec_thresholds,
            max_detection_thresholds=self.limits,
            class_metrics=True,
        )


def results(given: Given, asked: Asked) -> dict[str, Any]:
    """The results for all images under torchmetrics' keys.

    Args:
        given: What was given, valid and in order.
        asked: What is asked.
    """
    found: dict[str, Any] = {}
    for iou_type in asked.iou_types:
        prefix = "" if len(asked.iou_types) == 1 else f"{iou_type}_"
        found |= {prefix + key: value for key, value in _of_one_type(given, asked, iou_type).items()}
    classes = torch.cat([given.detections[:, LABEL], given.targets[:, LABEL]]).unique()
    fits = bool((classes == classes.int()).all())  # torchmetrics fails where they do not
    return found | {"classes": classes.int() if fits else classes}


def _of_one_type(given: Given, asked: Asked, iou_type: str) -> dict[str, Any]:
    micro = asked.average == "micro"
    data = evaluation_data(given, asked, iou_type, one_class=micro)
    summary = _summary(data, asked)
    found: dict[str, Any] = {key: _single(summary[key]) for key in _keys(asked)}
    if asked.extended_summary:
        found["ious"] = overlaps_by_class(data, asked.limits[-1], one_class=micro)
        found |= _arrays(data, asked, micro)
    per_class = {key: torch.full((1,), UNDEFINED) for key in _class_keys(asked)}
    if asked.class_metrics:
        by_class = _summary(evaluation_data(given, asked, iou_type), asked) if micro else summary
        per_class = {key: _single(by_class[key]) for key in per_class}
    return found | per_class


def _keys(asked: Asked) -> list[str]:
    return [*HEADLINES, *(f"mar_{limit}" for limit in asked.limits), *RECALLS]


def _class_keys(asked: Asked) -> list[str]:
    return ["map_per_class", f"mar_{asked.limits[-1]}_per_class"]


def _single(values: Tensor) -> Tensor:
    return values.nan_to_num(UNDEFINED).float()


def _summary(data: EvaluationData, asked: Asked) -> dict[str, Tensor]:
    """Our headline numbers with all keys; NaN where nothing is defined."""
    settings = asked.settings
    summary = summarize(data, settings)
    nan = torch.full_like(summary["map"], float("nan"))
    if asked.backend == "pycocotools" and asked.limits[-1] != HEADLINE_LIMIT:
        at_limit = {key: torch.full_like(summary[key], float("nan")) for key in ("map", "map_per_class")}
        if HEADLINE_LIMIT in asked.limits:
            at_limit = summarize(data, settings.replace(max_detection_thresholds=(HEADLINE_LIMIT,)))
        summary |= {key: at_limit[key] for key in ("map", "map_per_class")}
    return {"map_50": nan, "map_75": nan, **summary}


def _arrays(data: EvaluationData, asked: Asked, micro: bool) -> dict[str, Tensor]:
    """Pycocotools' arrays, float64; in micro there is one class, also without a label."""
    arrays = average_precision(data, asked.settings.replace(class_agnostic=micro))
    limits = sorted(set(asked.limits))
    chosen = torch.tensor([limits.index(limit) for limit in asked.limits], device=data.scores.device)
    return {key: x.index_select(-1, chosen).nan_to_num(UNDEFINED) for key, x in arrays._asdict().items()}


def evaluation_data(given: Given, asked: Asked, iou_type: str, one_class: bool = False) -> EvaluationData:
    """What our readers read.

    Args:
        given: What was given.
        asked: What is asked: it says which overlaps are needed.
        iou_type: ``"bbox"`` or ``"segm"``.
        one_class: Whether all labels count as one.
    """
    preds, target = as_items(given, asked.iou_types, one_class)
    found = similarity(iou_type, box_format="xywh")
    floor = 0.0 if asked.extended_summary else min(DEFAULT_FLOOR, *asked.iou_thresholds)
    request = Request(given.images.device, "same", floor)
    batch, overlaps = pack(preds, target, found, request, check_values=False, needs_scores=True)
    state = settle(batch, 0, found, request, True, overlaps)
    data, _ = rows.read(state, found, "keep")
    return data


def overlaps_by_class(data: EvaluationData, limit: int, one_class: bool = False) -> dict[tuple[int, int], Any]:
    """The overlaps of each image and class.

    Args:
        data: The overlaps, down to 0.
        limit: How many detections of an image and class take part, the best ones.
        one_class: Whether there is the class 0 alone, also without a label.

    Returns:
        By image and class: ``(n, m)`` float32 for n detections, by score, and m targets; an empty list without pairs.
    """
    classes = [0] if one_class else data.classes.tolist()
    num_images, num_classes = len(data.keys), len(classes)
    label = data.classes if len(data.classes) else data.labels.new_zeros(1)
    cells = [
        image * num_classes + torch.searchsorted(label, own)
        for image, own in ((data.image, data.labels), (data.target_image, data.target_labels))
    ]  # (N,), (M,): ascending, as rows are by image and label
    sizes = [torch.bincount(own, minlength=num_images * num_classes) for own in cells]
    firsts = [size.cumsum(0) - size for size in sizes]
    n, m = sizes[0].clamp(max=limit), sizes[1]
    start = (n * m).cumsum(0) - n * m
    cell = cells[0].index_select(0, data.overlap_detection)
    row = data.overlap_detection - firsts[0][cell]
    column = data.overlap_target - firsts[1][cell]
    kept = row < limit
    flat = torch.zeros(int((n * m).sum()), device=data.iou.device)
    flat[(start[cell] + row * m[cell] + column)[kept]] = data.iou[kept].float()
    parts = zip(flat.split((n * m).tolist()), n.tolist(), m.tolist(), strict=True)
    matrices = [part.view(rows, columns) if rows * columns else [] for part, rows, columns in parts]
    keys = [(image, name) for image in range(num_images) for name in classes]
    return dict(zip(keys, matrices, strict=True))
