"""VOC's average precision by its own name: the numbers that ``DetectionCurves`` has beside others."""

from typing import Any

import pytest
import torch

from detmetrics import DetectionCurves
from detmetrics.functional import voc_average_precision
from tests.problems import random_problem


@pytest.mark.parametrize("style", ["07", "area"])
@pytest.mark.parametrize(
    "settings",
    [{}, {"iou_threshold": 0.3, "max_detections": 2}, {"area_range": "medium"}],
    ids=["default", "threshold", "area"],
)
def test_numbers_are_those_of_the_curves(style: str, settings: dict[str, Any]) -> None:
    for seed in range(40):
        problem = random_problem(seed, plain=True)
        curves = DetectionCurves(**settings)
        curves.update(problem.preds, problem.target)
        result = curves.compute()
        found = voc_average_precision(problem.preds, problem.target, style=style, class_metrics=True, **settings)
        expected = result.average_precision_voc11 if style == "07" else result.average_precision_voc
        torch.testing.assert_close(found["map_per_class"], expected[:-1], rtol=0, atol=0, equal_nan=True)
        assert found["classes"].equal(result.classes)
        torch.testing.assert_close(found["map"], expected[:-1].nanmean(), rtol=1e-14, atol=0, equal_nan=True)
