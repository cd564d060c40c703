"""The report of a detector, against scikit-learn, the loops and the single scores."""

import math
from typing import Any

import pytest
import torch

from detmetrics import DetectionReport
from detmetrics.functional import (
    detection_f1_score,
    detection_precision,
    detection_recall,
    detection_report,
)
from tests.detection.test_operating_point import bounds, labels_of, mislabelled, settings_of, xyxy_problem
from tests.problems import Item, batch, hit, image
from tests.reference import detection as reference

sklearn_metrics = pytest.importorskip("sklearn.metrics")
SINGLE = {"precision": detection_precision, "recall": detection_recall, "f1": detection_f1_score}


def names_of(labels: list[int]) -> dict[int, str]:
    return {label: f"class {label}" for label in labels}


@pytest.mark.parametrize("zero_division", [math.nan, 0.0, 1.0])
def test_the_report_holds_the_single_scores(zero_division: float) -> None:
    for seed in range(25):
        (preds, target), settings = xyxy_problem(seed), settings_of(seed)
        labels = labels_of(preds, target)
        settings |= {"class_names": names_of(labels), "zero_division": zero_division}
        report = detection_report(preds, target, **settings)
        assert all((value.ndim, value.dtype) == (0, torch.float64) for value in report.values())
        for name, function in SINGLE.items():
            for average in ("micro", "macro", "weighted"):
                value = function(preds, target, **settings, average=average)
                assert torch.equal(value.nan_to_num(-1), report[f"{name}_{average}"].nan_to_num(-1))
            by_class = function(preds, target, **settings, average="none")
            assert isinstance(by_class, dict)
            for key, value in by_class.items():
                assert torch.equal(value.nan_to_num(-1), report[key].nan_to_num(-1))
        assert report["support"] == sum(report[f"support/class {label}"] for label in labels)


def matched_pairs(preds: list[Item], target: list[Item], settings: dict[str, Any]) -> tuple[list[int], list[int]]:
    """Labels of targets and of the detections that match them, whatever their labels."""
    images = reference.read(preds, target, bounds(settings))
    pairs = []
    for one in images:
        reference.cut(one, settings["score_threshold"], settings["max_detections"])
        # the order of choice is by score alone; a stable sort keeps labels in order
        one.detections.sort(key=lambda d: (-d.score, d.label))
        reference.match(one, settings["iou_threshold"], bounds(settings), across=True)
        pairs += [(d.found.label, d.label) for d in one.detections if d.state == "right" and d.found]
    return [true for true, _ in pairs], [predicted for _, predicted in pairs]


@pytest.mark.parametrize("zero_division", [math.nan, 0.0, 1.0])
def test_matched_only_equals_scikit_learn_on_the_pairs(zero_division: float) -> None:
    compared = 0
    for seed in range(160):
        (preds, target), settings = mislabelled(seed), settings_of(seed)
        settings["max_detections"] = None
        true, predicted = matched_pairs(preds, target, settings)
        report = detection_report(preds, target, **settings, matched_only=True, zero_division=zero_division)
        if not true:
            assert report["support"] == 0
            continue
        compared += true != predicted
        labels = sorted({*true, *predicted})
        for average in (None, "micro", "macro", "weighted"):
            expected = sklearn_metrics.precision_recall_fscore_support(
                true, predicted, labels=labels, average=average, zero_division=zero_division
            )
            for name, values in zip(SINGLE, expected, strict=False):
                if average is None:
                    found = [report[f"{name}/{label}"].item() for label in labels]
                    assert found == pytest.approx(values.tolist(), abs=1e-14, nan_ok=True), seed
                elif not (average == "weighted" and report[f"{name}_weighted"].isnan()):
                    # where no defined class has weight scikit-learn falls back to the plain mean; here it is 0/0
                    assert report[f"{name}_{average}"].item() == pytest.approx(values, abs=1e-14, nan_ok=True), seed
        assert report["support"] == len(true)
    assert compared > 15


def test_the_text_of_matched_only_is_scikit_learns() -> None:
    compared = 0
    for seed in range(50):
        (preds, target), settings = mislabelled(seed), settings_of(seed)
        settings["max_detections"] = None
        true, predicted = matched_pairs(preds, target, settings)
        if not any(one == other for one, other in zip(true, predicted, strict=False)):
            continue  # without a right pair scikit-learn prints the support as floats
        for zero_division in (0.0, math.nan):
            metric = DetectionReport(**settings, matched_only=True, zero_division=zero_division)
            metric.update(preds, target)
            expected = sklearn_metrics.classification_report(true, predicted, zero_division=zero_division, digits=3)
            assert metric.table(digits=3) == expected, seed
        compared += 1
    assert compared > 10


def test_declared_classes_keep_their_keys_when_nothing_is_there() -> None:
    expected = detection_report(*batch(hit(0)), class_names=["cat", "dog"])
    for matched_only in (False, True):
        empty = detection_report([], [], class_names=["cat", "dog"], matched_only=matched_only, zero_division=0.0)
        assert list(empty) == list(expected)
        assert all(value == 0 for value in empty.values())


def test_the_text_for_a_detector() -> None:
    metric = DetectionReport(class_names=["cat", "a long name indeed"])
    metric.update(*batch(hit(0), image([([0, 0, 8, 8], 0.9, 1)], [])))
    lines = metric.table().splitlines()
    assert lines == [
        "                    precision    recall  f1-score   support",
        "",
        "               cat       1.00      1.00      1.00         1",
        "a long name indeed       0.00       nan      0.00         0",
        "",
        "         micro avg       0.50      1.00      0.67         1",
        "         macro avg       0.50      1.00      0.50         1",
        "      weighted avg       1.00      1.00      1.00         1",
    ]


def test_per_image_finds_the_worst_image() -> None:
    metric = DetectionReport()
    metric.update(*batch(hit(0, image_id=5), image([], [([0, 0, 8, 8], 0)], image_id=3)))
    found = metric.per_image()
    assert found["image_id"][found["f1"].argmin()] == 3


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"matched_only": 1}, "matched_only: expected a bool, got 1"),
    ({"matched_only": True, "pairs": "same"}, "pairs: expected 'all'.*got 'same'"),
    ({"matched_only": True, "class_agnostic": True}, "matched_only: .*class_agnostic=True"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG)
def test_wrong_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DetectionReport(**arguments)
