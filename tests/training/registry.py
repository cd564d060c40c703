"""Every public metric with a batch for it: what the tests of costs go through."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

import detmetrics
from detmetrics.demo import generate
from detmetrics.state.metric import Metric

IMAGES, CLASSES = 4, 3
NAMES = ["cat", "dog", "bird"]
DETECTION: dict[str, dict[str, Any]] = {
    "LVISAveragePrecision": {"frequencies": {0: "r", 1: "c", 2: "f"}},
    "MeanAveragePrecision": {},
    "OpenImagesAveragePrecision": {"hierarchy": {0: 1}},
    "DetectionCalibration": {},
    "DetectionConfusionMatrix": {"class_names": NAMES},
    "DetectionCurves": {},
    "VOCAveragePrecision": {},
    "DetectionErrors": {},
    "DetectionF1Score": {},
    "DetectionFBetaScore": {"beta": 2.0},
    "DetectionIoU": {},
    "DetectionPrecision": {},
    "DetectionRecall": {},
    "LocalizationRecallPrecision": {},
    "DetectionReport": {"class_names": NAMES},
}
SEGMENTATION: dict[str, dict[str, Any]] = {
    "SegmentationAccuracy": {},
    "SegmentationConfusionMatrix": {},
    "SegmentationF1Score": {"aggregate": "imagewise"},
    "SegmentationFBetaScore": {"beta": 2.0, "aggregate": "classwise"},
    "SegmentationIoU": {"average": "none"},
    "SegmentationPrecision": {"aggregate": "pooled"},
    "SegmentationRecall": {},
    "SegmentationReport": {},
    "SegmentationSpecificity": {},
}
CLASSIFICATION: dict[str, dict[str, Any]] = {"ClassificationReport": {}}
COUNTING = {**SEGMENTATION, **CLASSIFICATION}
PANOPTIC: dict[str, dict[str, Any]] = {
    "InstanceQuality": {},
    "PanopticQuality": {"things": [0, 1], "stuffs": [2], "class_names": NAMES},
}
POSES: dict[str, dict[str, Any]] = {"KeypointReport": {}}
CONTOURS: dict[str, dict[str, Any]] = {
    "AverageSurfaceDistance": {},
    "HausdorffDistance": {"percentile": 95},
    "SegmentationBoundaryF1Score": {},
    "SegmentationBoundaryIoU": {},
    "SegmentationTrimapIoU": {},
    "SurfaceDice": {"tolerance": 1.0},
}
EVERY = {**DETECTION, **COUNTING, **PANOPTIC, **POSES, **CONTOURS}


def make(name: str, **more: Any) -> Metric:
    settings = {**EVERY[name], **more}
    if name in (*COUNTING, *CONTOURS) and more.get("task") != "binary":
        settings |= {"num_classes": CLASSES}
    metric: Metric = getattr(detmetrics, name)(**settings)
    return metric


def detections(seed: int = 0, ids: bool = False) -> tuple[Any, Any]:
    preds, target = generate(IMAGES, 8, CLASSES, num_targets=4.0, seed=seed)
    if not ids:
        for item in target:
            del item["image_id"]
    return preds, target


def pixels(name: str, task: str, scores: bool, device: str = "cpu", seed: int = 0) -> tuple[Tensor, Tensor]:
    """Predictions and targets of images 8 pixels wide and high, or of samples."""
    generator = torch.Generator().manual_seed(seed)
    size = () if name in CLASSIFICATION else (8, 8)
    shape = (IMAGES, CLASSES, *size) if task == "multilabel" else (IMAGES, *size)
    target = torch.randint(CLASSES if task == "multiclass" else 2, shape, generator=generator)
    if not scores:
        return target.roll(1).to(device), target.to(device)
    shape = (IMAGES, CLASSES, *size) if task == "multiclass" else shape
    return torch.rand(shape, generator=generator).to(device), target.to(device)


def segments(name: str, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Maps of instances, or of categories and instances, 8 pixels wide and high."""
    generator = torch.Generator().manual_seed(seed)
    target = torch.randint(CLASSES, (IMAGES, 4, 4, 2), generator=generator)
    target = target.repeat_interleave(2, dim=1).repeat_interleave(2, dim=2)
    preds = target.clone()
    preds[:, 0] = 1
    return (preds, target) if name == "PanopticQuality" else (preds[..., 1], target[..., 1])


def poses(seed: int = 0) -> tuple[Any, Any]:
    """Persons of 17 keypoints, found with errors of some pixels."""
    generator = torch.Generator().manual_seed(seed)
    preds, target = [], []
    for _ in range(IMAGES):
        points = torch.cat([torch.rand(3, 17, 2, generator=generator) * 100, torch.ones(3, 17, 1)], dim=2)
        boxes, labels = torch.tensor([[0.0, 0.0, 100.0, 100.0]] * 3), torch.zeros(3, dtype=torch.int64)
        target.append({"keypoints": points, "boxes": boxes, "labels": labels})
        moved = points[:2] + torch.randn(2, 17, 3, generator=generator) * 10
        preds.append({"keypoints": moved, "scores": torch.tensor([0.9, 0.4]), "labels": labels[:2]})
    return preds, target


def batch(name: str, seed: int = 0) -> tuple[Any, Any]:
    """The arguments of ``update()``."""
    if name in PANOPTIC:
        return segments(name, seed)
    if name in POSES:
        return poses(seed)
    return detections(seed) if name in DETECTION else pixels(name, "multiclass", seed % 2 == 0, seed=seed)


def public() -> Iterator[str]:
    """The names of all metrics that the package has."""
    for name in detmetrics.__all__:
        value = getattr(detmetrics, name)
        if isinstance(value, type) and issubclass(value, Metric) and value is not Metric:
            yield name
