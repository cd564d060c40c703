"""Settings cannot be wrong: assigned equals constructed, bad values raise and are named, nothing is editable."""

from typing import Any

import numpy as np
import pytest
import torch

import detmetrics
from detmetrics import (
    DetectionCalibration,
    DetectionConfusionMatrix,
    DetectionCurves,
    DetectionErrors,
    DetectionF1Score,
    DetectionFBetaScore,
    DetectionIoU,
    DetectionReport,
    LocalizationRecallPrecision,
    MeanAveragePrecision,
)
from tests.detection.test_laws import NAMES, assert_same_bits, detections, fed, probabilities

ASSIGNED: dict[str, dict[str, Any]] = {
    "MeanAveragePrecision": {
        "iou_thresholds": [0.75, 0.5],
        "rec_thresholds": np.linspace(0, 1, 11),
        "max_detection_thresholds": [100, 10, 1],
        "area_ranges": {"tiny": (0, 300)},
        "class_metrics": True,
        "extended_summary": True,
        "zero_division": 0,
        "class_names": NAMES,
    },
    "DetectionPrecision": {"iou_threshold": 0.75, "score_threshold": np.float32(0.3), "average": "macro"},
    "DetectionRecall": {"area_range": (0, 500), "max_detections": np.int64(2), "zero_division": 1},
    "DetectionF1Score": {"average": "none", "class_names": NAMES, "aggregate": "imagewise"},
    "DetectionFBetaScore": {"beta": 2, "score_threshold": torch.tensor(0.2)},
    "DetectionConfusionMatrix": {"normalize": "pred", "iou_threshold": 0.3, "score_threshold": 0.2},
    "DetectionCurves": {"beta": 0.5, "area_range": "small", "max_detections": 3},
    "DetectionReport": {"score_threshold": 0.1, "max_detections": 1},
    "DetectionErrors": {"iou_threshold": 0.3, "background_threshold": np.float64(0.2), "max_detections": 2},
    "DetectionIoU": {"average": "macro", "iou_threshold": 0.3},
    "DetectionCalibration": {"num_bins": np.int64(4), "score_threshold": 0.2},
}
NEEDED: dict[str, dict[str, Any]] = {"DetectionConfusionMatrix": {"class_names": NAMES}}


def test_every_detection_metric_is_here() -> None:
    own = {n for n in detmetrics.__all__ if n.startswith("Detection") or n == "MeanAveragePrecision"}
    assert own == set(ASSIGNED)


@pytest.mark.parametrize("name", ASSIGNED)
def test_assigned_equals_constructed(name: str) -> None:
    data = probabilities(3, True)
    needed = NEEDED.get(name, {})
    for attribute, value in ASSIGNED[name].items():
        assigned = fed(name, needed, data)
        assigned.compute()
        setattr(assigned, attribute, value)
        constructed = fed(name, {**needed, attribute: value}, data)
        assert getattr(assigned, attribute) == getattr(constructed, attribute)
        assert_same_bits(assigned.compute(), constructed.compute())


def test_limits_assigned_later_are_sorted() -> None:
    """Case 16: [100, 10, 1] gives what [1, 10, 100] gives."""
    data = detections(5, True)
    metric = fed("MeanAveragePrecision", {}, data)
    expected = metric.compute()
    metric.max_detection_thresholds = [100, 10, 1]
    assert_same_bits(metric.compute(), expected)


BAD: list[tuple[type, str, Any]] = [
    (MeanAveragePrecision, "iou_thresholds", [2.0]),
    (MeanAveragePrecision, "iou_thresholds", []),
    (MeanAveragePrecision, "iou_thresholds", 0.5),
    (MeanAveragePrecision, "iou_thresholds", torch.tensor(0.5)),
    (MeanAveragePrecision, "rec_thresholds", [float("nan")]),
    (MeanAveragePrecision, "max_detection_thresholds", [0]),
    (MeanAveragePrecision, "max_detection_thresholds", [True]),
    (MeanAveragePrecision, "area_ranges", {"per_class": (0, 9)}),
    (MeanAveragePrecision, "area_ranges", {"tiny": (float("nan"), 9)}),
    (MeanAveragePrecision, "area_ranges", {"50": (0, 9)}),
    (MeanAveragePrecision, "class_metrics", "yes"),
    (DetectionF1Score, "average", "Macro"),
    (DetectionF1Score, "aggregate", "images"),
    (DetectionF1Score, "iou_threshold", float("nan")),
    (DetectionF1Score, "iou_threshold", True),
    (DetectionF1Score, "score_threshold", float("inf")),
    (DetectionF1Score, "max_detections", -3),
    (DetectionF1Score, "max_detections", 2.5),
    (DetectionF1Score, "area_range", (float("nan"), 5)),
    (DetectionF1Score, "area_range", "huge"),
    (DetectionF1Score, "zero_division", True),
    (DetectionF1Score, "zero_division", float("inf")),
    (DetectionF1Score, "class_names", ["cat", "cat"]),
    (DetectionF1Score, "class_agnostic", 1.5),
    (DetectionF1Score, "class_weights", [1.0]),
    (DetectionFBetaScore, "beta", 0),
    (DetectionCurves, "beta", float("nan")),
    (DetectionReport, "matched_only", None),
    (DetectionConfusionMatrix, "normalize", "rows"),
    (DetectionErrors, "background_threshold", 0),
    (DetectionErrors, "background_threshold", 0.5),
    (DetectionIoU, "average", "samples"),
    (DetectionCalibration, "num_bins", 0),
    (LocalizationRecallPrecision, "iou_threshold", 1),
]


@pytest.mark.parametrize(("kind", "attribute", "value"), BAD, ids=lambda x: getattr(x, "__name__", str(x)))
def test_bad_values_raise_and_name_the_attribute(kind: type, attribute: str, value: Any) -> None:
    needed = NEEDED.get(kind.__name__, {})
    with pytest.raises(ValueError, match=attribute):
        kind(**{**needed, attribute: value})
    metric = kind(**needed)
    before = metric.settings
    with pytest.raises(ValueError, match=attribute):
        setattr(metric, attribute, value)
    assert metric.settings is before


def test_none_is_no_value_for_what_must_be_there() -> None:
    for kind, attribute in ((MeanAveragePrecision, "iou_thresholds"), (DetectionF1Score, "average")):
        with pytest.raises(ValueError, match=attribute):
            setattr(kind(), attribute, None)


@pytest.mark.parametrize("weights", [[1.0, -1.0], [1.0, float("nan")], [1.0], [1.0, float("inf")]])
def test_weights_are_finite_not_negative_and_one_per_class(weights: list[float]) -> None:
    with pytest.raises(ValueError, match="class_weights"):
        DetectionF1Score(average="macro", class_names=["a", "b"], class_weights=weights)


def test_nothing_can_be_changed_in_place() -> None:
    metric = MeanAveragePrecision(class_names=["cat"])
    with pytest.raises(AttributeError):
        metric.iou_thresholds.append(0.1)
    for name in ("area_ranges", "class_names"):
        with pytest.raises(TypeError):
            getattr(metric, name)["tiny"] = (0, 9)
    with pytest.raises(AttributeError):
        metric.settings.class_metrics = True


@pytest.mark.parametrize("attribute", ["pairs", "box_format", "iou_types", "floor", "mask_budget"])
def test_what_the_state_depends_on_is_fixed(attribute: str) -> None:
    metric = DetectionF1Score()
    with pytest.raises(ValueError, match=f"{attribute}: fixed"):
        setattr(metric, attribute, getattr(metric, attribute))


def test_a_threshold_below_what_was_kept_is_refused_when_it_is_assigned() -> None:
    for kind, attribute, value in (
        (DetectionF1Score, "iou_threshold", 0.05),
        (MeanAveragePrecision, "iou_thresholds", [0.05]),
    ):
        kind(**{attribute: value})
        with pytest.raises(ValueError, match=f"{attribute}: expected 0.1 or more"):
            setattr(kind(), attribute, value)


def test_metrics_with_other_class_names_do_not_merge() -> None:
    first, second = DetectionF1Score(class_names=["cat", "dog"]), DetectionF1Score(class_names=["dog", "cat"])
    with pytest.raises(ValueError, match="class_names"):
        first.merge_state(second)
