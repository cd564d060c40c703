"""A real detector end to end: what torchvision's Faster R-CNN returns goes into the metrics as it comes."""

import pytest
import torch
from torch import Tensor
from torchmetrics import MetricCollection
from torchvision.models.detection import fasterrcnn_mobilenet_v3_large_320_fpn

from detmetrics import (
    DetectionConfusionMatrix,
    DetectionCurves,
    DetectionF1Score,
    DetectionPrecision,
    DetectionRecall,
    DetectionReport,
    MeanAveragePrecision,
)

NUM_CLASSES = 4  # the first one is torchvision's background, which no detection has
Item = dict[str, Tensor]


@pytest.fixture(scope="module")
def detected() -> tuple[list[Item], list[Item]]:
    """Detections of an untrained network, and targets made of some of them, one label in four changed."""
    torch.manual_seed(0)
    model = fasterrcnn_mobilenet_v3_large_320_fpn(
        weights=None, weights_backbone=None, num_classes=NUM_CLASSES, box_score_thresh=0.0, min_size=64, max_size=96
    ).eval()
    with torch.inference_mode():
        preds = model([torch.rand(3, 64, 96) for _ in range(3)])
    target = []
    for i, item in enumerate(preds):
        labels = item["labels"][::5].clone()
        labels[::4] = labels[::4] % (NUM_CLASSES - 1) + 1
        target.append({"boxes": item["boxes"][::5], "labels": labels, "image_id": torch.tensor(i)})
    return preds, target


def test_faster_rcnn(detected: tuple[list[Item], list[Item]]) -> None:
    preds, target = detected
    assert all(len(item["boxes"]) > 10 for item in preds)
    threshold = float(torch.cat([item["scores"] for item in preds]).median())
    collection = MetricCollection(
        {
            "map": MeanAveragePrecision(pairs="all"),
            "precision": DetectionPrecision(pairs="all", score_threshold=threshold),
            "recall": DetectionRecall(pairs="all", score_threshold=threshold),
            "f1": DetectionF1Score(pairs="all", score_threshold=threshold),
            "matrix": DetectionConfusionMatrix(num_classes=NUM_CLASSES, score_threshold=threshold),
        }
    )
    for i in range(len(preds)):
        collection.update(preds[i : i + 1], target[i : i + 1])
    results = collection.compute()
    matrix = results["matrix"]
    tp = matrix.diag()[:-1].sum()
    kept = sum(int((item["scores"] >= threshold).sum()) for item in preds)
    assert tp > 0
    assert results["precision"] == tp / matrix[:, :-1].sum().double()
    assert results["recall"] == tp / matrix[:-1].sum().double()
    assert matrix[:-1].sum() == sum(len(item["labels"]) for item in target)
    assert matrix[:, :-1].sum() == kept
    assert 0 < results["f1"] < 1
    assert 0 < results["map"] < 1


def test_its_curves_and_reports(detected: tuple[list[Item], list[Item]]) -> None:
    curves, report = DetectionCurves(), DetectionReport(matched_only=True, score_threshold=0.0)
    for metric in (curves, report):
        metric.update(*detected)
    best = curves.compute().scalars()
    f1 = DetectionF1Score(score_threshold=best["best_score_threshold"].item())
    f1.update(*detected)
    assert f1.compute() == best["best_f1"]
    assert 0 < report.compute()["f1_micro"] < 1
    assert "weighted avg" in report.table()
