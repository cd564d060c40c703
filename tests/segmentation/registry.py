"""How the laws, in one process and over ranks, use each metric that counts pixels or samples."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

import detmetrics
from detmetrics import functional
from detmetrics.segmentation.metric import CountingMetric

Data = tuple[Tensor, Tensor]  # preds, target; first dimension images


class Entry(NamedTuple):
    metric: type[CountingMetric]
    function: Callable[..., Any]
    settings: list[dict[str, Any]]  # of the constructor; each is tried
    measures: bool = False  # goes through images class by class, and waits for the device


SCORE_SETTINGS: list[dict[str, Any]] = [
    {"num_classes": 4, "average": "none"},
    {"num_classes": 4, "aggregate": "imagewise", "ignore_index": [1, 255], "zero_division": 1.0},
    {"num_classes": 4, "aggregate": "pooled", "class_weights": [0.3, 1.7, 2.0, 0.1]},
    {"class_names": ["a", "b", "c", "d"], "aggregate": "classwise", "average": "none", "exclude_classes": 0},
    {"task": "binary", "aggregate": "imagewise"},
    {"task": "multilabel", "num_classes": 3, "average": "weighted", "aggregate": "classwise"},
]
SURFACE_SETTINGS: list[dict[str, Any]] = [
    {"num_classes": 4, "average": "none", "spacing": [0.7, 1.3]},
    {"num_classes": 4, "aggregate": "imagewise", "ignore_index": [1, 255], "zero_division": 1.0, "definition": "monai"},
    {"task": "multilabel", "num_classes": 3, "average": "weighted", "definition": "medpy"},
]
OTHERS: list[dict[str, Any]] = [
    {"num_classes": 4, "ignore_index": 255},
    {"task": "binary"},
    {"task": "multilabel", "num_classes": 3},
]

REGISTRY = {
    entry.metric.__name__: entry
    for entry in (
        Entry(detmetrics.SegmentationIoU, functional.segmentation_iou, SCORE_SETTINGS),
        Entry(detmetrics.SegmentationF1Score, functional.segmentation_f1_score, SCORE_SETTINGS[:2]),
        Entry(
            detmetrics.SegmentationFBetaScore, functional.segmentation_fbeta_score, [{**SCORE_SETTINGS[1], "beta": 2.0}]
        ),
        Entry(detmetrics.SegmentationPrecision, functional.segmentation_precision, SCORE_SETTINGS[:2]),
        Entry(detmetrics.SegmentationRecall, functional.segmentation_recall, SCORE_SETTINGS[:2]),
        Entry(detmetrics.SegmentationSpecificity, functional.segmentation_specificity, SCORE_SETTINGS[:2]),
        Entry(
            detmetrics.SegmentationAccuracy, functional.segmentation_accuracy, [*SCORE_SETTINGS[:2], SCORE_SETTINGS[4]]
        ),
        Entry(
            detmetrics.SegmentationConfusionMatrix,
            functional.segmentation_confusion_matrix,
            [{**settings, "normalize": "true"} for settings in OTHERS],
        ),
        Entry(
            detmetrics.HausdorffDistance,
            functional.hausdorff_distance,
            [{**settings, "empty": "diagonal", "percentile": 95} for settings in SURFACE_SETTINGS],
            measures=True,
        ),
        Entry(
            detmetrics.SurfaceDice,
            functional.surface_dice,
            [*SURFACE_SETTINGS[:2], {"num_classes": 4, "aggregate": "dataset", "average": "micro", "tolerance": 0.5}],
            measures=True,
        ),
        Entry(
            detmetrics.AverageSurfaceDistance,
            functional.average_surface_distance,
            [SURFACE_SETTINGS[0], {**SURFACE_SETTINGS[2], "aggregate": "dataset", "empty": "diagonal"}],
            measures=True,
        ),
        Entry(
            detmetrics.SegmentationBoundaryIoU,
            functional.segmentation_boundary_iou,
            [{**settings, "dilation_ratio": 0.2} for settings in (*SCORE_SETTINGS[:2], SCORE_SETTINGS[5])],
        ),
        Entry(
            detmetrics.SegmentationBoundaryF1Score,
            functional.segmentation_boundary_f1_score,
            [SCORE_SETTINGS[0], SCORE_SETTINGS[1]],
            measures=True,
        ),
        Entry(
            detmetrics.SegmentationTrimapIoU,
            functional.segmentation_trimap_iou,
            [{**settings, "width_px": 1} for settings in (*SCORE_SETTINGS[:2], SCORE_SETTINGS[4])],
        ),
        Entry(detmetrics.SegmentationReport, functional.segmentation_report, OTHERS),
        Entry(
            detmetrics.ClassificationReport,
            functional.classification_report,
            [*OTHERS, {"num_classes": 4, "labels": [2, 0]}],
        ),
    )
}
CASES = [(name, settings) for name, entry in REGISTRY.items() for settings in entry.settings]


def images(name: str, settings: dict[str, Any], seed: int, count: int = 7) -> Data:
    """``count`` images or samples, with undefined cells; scores and labels."""
    generator = torch.Generator().manual_seed(seed)
    shape = () if name == "ClassificationReport" else (5, 6)
    if settings.get("task", "multiclass") == "multiclass":
        target = torch.randint(0, 3, (count, *shape), generator=generator)
        noise = torch.randint(0, 4, target.shape, generator=generator)
        preds = torch.where(torch.rand(target.shape, generator=generator) < 0.5, target, noise)
        if "ignore_index" in settings:
            target[torch.rand(target.shape, generator=generator) < 0.2] = 255
        if seed % 2:
            preds = torch.nn.functional.one_hot(preds, 4).movedim(-1, 1).float()
        return preds, target
    channels = (3,) if settings["task"] == "multilabel" else ()
    preds, target = torch.rand(2, count, *channels, *shape, generator=generator)
    return preds, (target < 0.3).to(torch.uint8)


def spoilt(data: Data) -> Data:
    """The same images, the last one with a value that no label is."""
    preds, target = data[0].clone(), data[1].clone()
    target[-1] = 77
    return preds, target


def fed(name: str, settings: dict[str, Any], *parts: Data, ids: list[list[int]] | None = None) -> CountingMetric:
    metric = REGISTRY[name].metric(**settings)
    for i, (preds, target) in enumerate(parts):
        metric.update(preds, target, image_ids=None if ids is None else ids[i])
    return metric


def tensors(result: Any) -> dict[str, Tensor]:
    return result if isinstance(result, dict) else {"value": result}


def same_bits(result: Any, expected: Any) -> bool:
    result, expected = tensors(result), tensors(expected)
    return list(result) == list(expected) and all(
        result[key].dtype == value.dtype and torch.equal(result[key].nan_to_num(-1), value.nan_to_num(-1))
        for key, value in expected.items()
    )
