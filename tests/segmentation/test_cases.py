"""Worked cases, published numbers and a real label map."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torchmetrics import MetricCollection

from detmetrics import (
    SegmentationAccuracy,
    SegmentationConfusionMatrix,
    SegmentationF1Score,
    SegmentationIoU,
    SegmentationReport,
    functional,
)

NAN = float("nan")
TARGET = torch.tensor([[[0, 0], [1, 1]], [[0, 0], [0, 0]], [[0, 0], [0, 0]]])
PREDS = torch.tensor([[[0, 0], [1, 0]], [[0, 0], [0, 2]], [[0, 0], [0, 0]]])


@pytest.mark.parametrize("batch_size", [1, 2, 3])
@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"average": "none"}, [9 / 11, 1 / 2, 0, NAN]),
        ({}, (9 / 11 + 1 / 2 + 0) / 3),  # .439394
        ({"average": "micro"}, 10 / 14),
        ({"aggregate": "imagewise"}, ((2 / 3 + 1 / 2) / 2 + (3 / 4 + 0) / 2 + 1) / 3),  # .652778
        ({"aggregate": "imagewise", "average": "micro"}, (3 / 5 + 3 / 5 + 1) / 3),  # .733333
        ({"aggregate": "classwise"}, (29 / 36 + 1 / 2 + 0) / 3),
        ({"aggregate": "pooled"}, (2 / 3 + 1 / 2 + 3 / 4 + 0 + 1) / 5),
    ],
)
def test_reductions(settings: dict[str, Any], expected: Any, batch_size: int) -> None:
    metric = SegmentationIoU(num_classes=4, **settings)
    for start in range(0, 3, batch_size):
        metric.update(PREDS[start : start + batch_size], TARGET[start : start + batch_size])
    assert metric.compute().tolist() == pytest.approx(expected, rel=1e-15, nan_ok=True)


def test_an_ignored_class() -> None:
    """Target [0, 0, 1, 1], prediction [0, 0, 0, 1], class 0 ignored: one of the two ones is found."""
    preds, target = torch.tensor([[0, 0, 0, 1]]), torch.tensor([[0, 0, 1, 1]])
    assert functional.segmentation_recall(preds, target, num_classes=2, ignore_index=0).item() == 0.5
    assert functional.segmentation_precision(preds, target, num_classes=2, ignore_index=0, average="micro").item() == 1


def test_label_255_and_everything_ignored() -> None:
    preds, target = torch.tensor([[0, 5]]), torch.tensor([[255, 5]])
    assert functional.segmentation_iou(preds, target, num_classes=6, ignore_index=255).item() == 1
    nothing = torch.full((1, 2), 255)
    assert functional.segmentation_iou(preds, nothing, num_classes=6, ignore_index=255).isnan()
    assert functional.segmentation_iou(preds, nothing, num_classes=6, ignore_index=255, zero_division=0).item() == 0


def test_everything_predicted_as_background() -> None:
    assert functional.segmentation_iou(torch.zeros(1, 4), torch.ones(1, 4), task="binary").item() == 0


def test_logits_are_not_guessed() -> None:
    logits, target = torch.tensor([0.2, 0.3, 0.4, 2.0]), torch.ones(4, dtype=torch.int64)
    whole, parts = (SegmentationAccuracy(task="binary", from_logits=True) for _ in range(2))
    whole.update(logits, target)
    parts.update(logits[:3], target[:3])
    parts.update(logits[3:], target[3:])
    assert whole.compute().item() == parts.compute().item() == 1
    with pytest.raises(ValueError, match=r"preds\[3\]: expected scores in \[0, 1\] \(logits with .*\), got 2"):
        functional.segmentation_accuracy(logits, target, task="binary")


def test_macro_over_classes_that_are_not_ignored() -> None:
    target = torch.cat([torch.zeros(50), torch.ones(30), torch.full((20,), 2)])[None]
    preds = target.clone()
    preds[0, 50:55] = preds[0, 80:84] = 0
    # class 1: 25 of 30; class 2: 16 of 20; no false positives among counted pixels
    expected = (2 * 25 / (2 * 25 + 5) + 2 * 16 / (2 * 16 + 4)) / 2
    assert round(expected, 3) == 0.899
    found = functional.segmentation_f1_score(preds, target, num_classes=3, ignore_index=0)
    assert found.item() == pytest.approx(expected, rel=1e-15)


def test_predictions_that_are_no_labels() -> None:
    with pytest.raises(ValueError, match=r"preds\[0\]: expected labels 0 to 2, got 3"):
        functional.segmentation_iou(torch.tensor([[3, -1]]), torch.tensor([[0, 1]]), num_classes=3)


def test_an_object_on_an_empty_image_lowers_dice() -> None:
    target = torch.tensor([[1, 1, 0], [0, 0, 0]])
    preds = torch.tensor([[1, 1, 0], [0, 1, 0]])
    found = functional.segmentation_f1_score(preds, target, num_classes=2, exclude_classes=0, aggregate="imagewise")
    assert found.item() == 0.5


def test_many_images_one_an_update() -> None:
    metric = SegmentationIoU(num_classes=2, exclude_classes=0, aggregate="imagewise")
    target = torch.tensor([[1] * 10])
    preds = torch.tensor([[1] * 7 + [0] * 3])
    for _ in range(2000):
        metric.update(preds, target)
    assert abs(metric.compute().item() - 0.7) < 1e-12


@pytest.fixture(scope="module")
def experiment() -> tuple[Tensor, Tensor]:
    torch.manual_seed(7)
    weights, shape = torch.tensor([1.0, 10.0, 3.0, 1.0]), (100, 1, 256, 256)
    output = torch.multinomial(weights, 100 * 256 * 256, replacement=True).reshape(shape)
    output[70:] = 0
    target = torch.multinomial(weights, 100 * 256 * 256, replacement=True).reshape(shape)
    target[70:] = 0
    return output, target


def test_the_published_experiment(experiment: tuple[Tensor, Tensor]) -> None:
    preds, target = experiment
    precision = functional.segmentation_precision(preds, target, num_classes=4)
    assert precision.item() == pytest.approx(0.4517214, abs=5e-8)
    counts = functional.segmentation_counts(preds, target, num_classes=4)
    by_zero_division = [
        functional.score_counts("f1", counts, aggregate="imagewise", zero_division=value).item() for value in (0, 1)
    ]
    assert by_zero_division == pytest.approx([0.24978539315802, 0.47478539315802], abs=5e-15)
    # In 30 images of 100 three of four classes are undefined.
    assert by_zero_division[1] - by_zero_division[0] == pytest.approx(0.3 * 3 / 4, abs=1e-15)


def test_bdd100k(data_root: Path) -> None:
    """What its evaluation calls mAcc divides by the predicted pixels: a mean precision."""
    arrays = np.load(data_root / "bdd_semseg" / "bdd_semseg.npz")
    recorded = json.loads((data_root / "MANIFEST.json").read_text())["bdd_semseg"]["recorded"]
    preds, target = (torch.from_numpy(arrays[name])[None] for name in ("pred", "gt"))
    report = functional.segmentation_report(preds, target, num_classes=19, ignore_index=255)
    present = [label for label in range(19) if report[f"support/{label}"] > 0]
    mean_iou = sum(report[f"iou/{label}"].item() for label in present) / len(present)
    precision = [report[f"precision/{label}"].item() for label in present]
    found = {
        "mIoU": 100 * mean_iou,
        "mAcc": 100 * sum(precision) / len(precision),
        "fIoU": 100 * report["frequency_weighted_iou"].item(),
        "pAcc": 100 * report["pixel_accuracy"].item(),
    }
    assert found == pytest.approx(recorded, rel=1e-12)


def test_a_collection_counts_once() -> None:
    collection = MetricCollection(
        {
            "iou": SegmentationIoU(num_classes=4),
            "f1": SegmentationF1Score(num_classes=4, average="none", exclude_classes=0),
            "report": SegmentationReport(num_classes=4),
            "imagewise": SegmentationIoU(num_classes=4, aggregate="imagewise"),
            "pooled": SegmentationIoU(num_classes=4, aggregate="pooled"),
            "ignoring": SegmentationIoU(num_classes=4, ignore_index=0),
            "matrix": SegmentationConfusionMatrix(num_classes=4),
        }
    )
    for _ in range(3):
        collection.update(PREDS, TARGET)
    groups = sorted(sorted(group) for group in collection.compute_groups.values())
    assert groups == [["f1", "iou", "report"], ["ignoring"], ["imagewise", "pooled"], ["matrix"]]
    results = collection.compute()
    assert results["iou"].item() == functional.segmentation_iou(PREDS, TARGET, num_classes=4).item()
    assert results["imagewise"].item() == pytest.approx(0.652778, abs=1e-6)
    assert results["pooled"].item() == pytest.approx((2 / 3 + 1 / 2 + 3 / 4 + 0 + 1) / 5)
    assert results["ignoring"].item() == 0.5  # of ones; twos are predicted on ignored pixels alone, and undefined


def test_logging_has_the_same_scalars_in_every_epoch() -> None:
    metric = SegmentationIoU(class_names=["cat", "dog", "bird"], average="none")
    keys = []
    for label in (0, 2):
        metric.update(torch.full((1, 4), label), torch.full((1, 4), label))
        results = metric.compute()
        keys.append(list(results))
        assert all(value.ndim == 0 and value.dtype == torch.float64 for value in results.values())
        metric.reset()
    assert keys == [["iou/cat", "iou/dog", "iou/bird"]] * 2
