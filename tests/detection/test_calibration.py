"""Calibration of detections, by hand, against loops, netcal and scipy."""

import json
import math
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar

from detmetrics import DetectionCalibration
from detmetrics.files.coco import from_coco
from detmetrics.functional import detection_calibration
from detmetrics.reduce.calibration import Calibration
from tests.detection.test_errors import FILES
from tests.detection.test_laws import probabilities
from tests.detection.test_operating_point import labels_of, matched
from tests.problems import Item, batch, image
from tests.reference import detection as reference

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # about what it imports
    from netcal.metrics.confidence import ECE

CLOSE = {"abs": 1e-12, "nan_ok": True}
HERE, AWAY = [0.0, 0, 10, 10], [50.0, 50, 60, 60]
SETTINGS = {"iou_threshold": 0.5, "max_detections": None, "area_range": "all", "score_threshold": -math.inf}
Row = tuple[float, bool, float]  # score, right, IoU


def rows_of(images: list[reference.Image], label: int | None) -> list[Row]:
    rows = []
    for one in images:
        for d in one.detections:
            if d.state != "ignored" and label in (None, d.label):
                overlap = reference.overlap(d.box, d.found.box, False) if d.state == "right" and d.found else 0.0
                rows.append((d.score, d.state == "right", overlap))
    return rows


def errors(rows: list[Row], num_bins: int) -> tuple[float, float]:
    """D-ECE and LaECE, one bin after the other."""
    edges, total, found = np.linspace(0, 1, num_bins + 1), len(rows), [0.0, 0.0]
    for i in range(num_bins):
        last = i == num_bins - 1
        own = [row for row in rows if edges[i] <= row[0] and (row[0] < edges[i + 1] or last)]
        for kind in (0, 1):
            if own:
                score, outcome = (sum(float(row[at]) for row in own) / len(own) for at in (0, 1 + kind))
                found[kind] += abs(score - outcome) * len(own) / total
    return (found[0], found[1]) if rows else (math.nan, math.nan)


def test_calibration_by_hand() -> None:
    """Two at .75, one of them right with IoU .8; one at .25 that is wrong."""
    result = detection_calibration(
        *batch(image([([0, 0, 10, 8], 0.75, 0), (AWAY, 0.75, 0), (AWAY, 0.25, 0)], [(HERE, 0)])), num_bins=2
    )
    assert result.edges.tolist() == [0, 0.5, 1]
    assert result.counts.tolist() == [[1, 2]] * 2
    assert result.mean_score[0].tolist() == [0.25, 0.75]
    assert result.precision[0].tolist() == [0, 0.5]
    assert result.mean_iou[0].tolist() == [0, 0.4]
    # (.25 * 1 + .25 * 2) / 3, and (.25 + .35 * 2) / 3
    assert result.d_ece.tolist() == pytest.approx([0.25] * 2)
    assert result.la_ece.tolist() == pytest.approx([0.95 / 3] * 2)
    assert result.brier[0].item() == pytest.approx((0.25**2 + 0.75**2 + 0.25**2) / 3)
    scalars = result.scalars()
    assert list(scalars) == [
        *("d_ece", "la_ece", "brier", "mean_d_ece", "mean_la_ece"),
        *("temperature", "d_ece_at_temperature", "brier_at_temperature"),
    ]
    assert all((value.ndim, value.dtype) == (0, torch.float64) for value in scalars.values())


def test_the_edges_of_bins() -> None:
    """A score on an edge is in the upper bin, and 1 in the last one."""
    preds = [(AWAY, score, 0) for score in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert detection_calibration(*batch(image(preds, [])), num_bins=4).counts[0].tolist() == [1, 1, 1, 2]


def test_what_is_not_defined_and_what_is_no_probability() -> None:
    empty = detection_calibration([], [])
    assert all(value.isnan() for value in empty.scalars().values())
    assert empty.counts.tolist() == [[0] * 10]
    right = detection_calibration(*batch(image([(HERE, 0.9, 0)], [(HERE, 0)])), class_names=["a", "b"])
    assert right.temperature.isnan()  # the surer the better
    assert right.d_ece[1].isnan()
    assert right.scalars()["mean_d_ece"].item() == pytest.approx(0.1)
    with pytest.raises(
        ValueError, match=r"preds\['scores'\]: expected probabilities in \[0, 1\], got 1.5; apply a sig"
    ):
        detection_calibration(*batch(image([(HERE, 1.5, 0)], [(HERE, 0)])))


@pytest.mark.parametrize("num_bins", [1, 7, 10, 25])
def test_calibration_equals_the_loops_and_netcal(num_bins: int) -> None:
    compared = 0
    for seed in range(40):
        preds, target = probabilities(seed, False)
        result = detection_calibration(preds, target, num_bins=num_bins)
        images = matched(preds, target, SETTINGS)
        labels = labels_of(preds, target)
        for at, label in enumerate([*labels, None]):
            rows = rows_of(images, label)
            expected = errors(rows, num_bins)
            assert (result.d_ece[at].item(), result.la_ece[at].item()) == pytest.approx(expected, **CLOSE)
            brier = sum((score - right) ** 2 for score, right, _ in rows) / len(rows) if rows else math.nan
            assert result.brier[at].item() == pytest.approx(brier, **CLOSE)
            if rows:
                assert result.d_ece[at].item() == pytest.approx(netcal(rows, num_bins), **CLOSE)
                compared += 1
        means = [
            reference.mean([errors(rows_of(images, label), num_bins)[kind] for label in labels]) for kind in (0, 1)
        ]
        scalars = result.scalars()
        assert [scalars[f"mean_{name}"].item() for name in ("d_ece", "la_ece")] == pytest.approx(means, **CLOSE)
    assert compared > 80


def netcal(rows: list[Row], num_bins: int) -> float:
    scores = np.array([row[0] for row in rows])
    right = np.array([float(row[1]) for row in rows])
    return float(ECE(bins=num_bins, detection=True).measure(scores[:, None], right))


def test_the_temperature_is_that_of_the_largest_likelihood() -> None:
    compared = 0
    for seed in range(40):
        preds, target = probabilities(seed, False)
        result = detection_calibration(preds, target)
        rows = rows_of(matched(preds, target, SETTINGS), None)
        if result.temperature.isnan():
            continue
        scores, right = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
        least = np.finfo(float).eps
        logits = np.log(np.clip(scores, least, 1 - least)) - np.log1p(-np.clip(scores, least, 1 - least))

        def loss(log_temperature: float, logits: np.ndarray = logits, right: np.ndarray = right) -> float:
            signed = np.where(right, -1, 1) * logits / np.exp(log_temperature)
            return float(np.logaddexp(0, signed).sum())

        best = minimize_scalar(loss, bounds=(-4.6, 4.6), method="bounded", options={"xatol": 1e-9})
        assert loss(math.log(result.temperature.item())) <= best.fun + 1e-9
        cooled = 1 / (1 + np.exp(-logits / result.temperature.item()))
        after = [(score, *row[1:]) for score, row in zip(cooled.tolist(), rows, strict=True)]
        assert result.brier_at_temperature.item() == pytest.approx(((cooled - right) ** 2).mean(), abs=1e-9)
        assert result.d_ece_at_temperature.item() == pytest.approx(errors(after, 10)[0], abs=1e-9)
        compared += 1
    assert compared > 10


def test_scores_that_are_too_sure_have_a_temperature_above_1() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4000, generator=generator, dtype=torch.float64)
    right = torch.rand(4000, generator=generator, dtype=torch.float64) < logits.sigmoid()
    boxes = torch.arange(4000.0)[:, None] * 20 + torch.tensor([[0.0, 0, 10, 10]])
    preds = [{"boxes": boxes, "scores": (3 * logits).sigmoid(), "labels": torch.zeros(4000, dtype=torch.int64)}]
    target: list[Item] = [{"boxes": boxes[right], "labels": torch.zeros(int(right.sum()), dtype=torch.int64)}]
    result = detection_calibration(preds, target)
    assert result.temperature.item() == pytest.approx(3, rel=0.1)
    assert result.d_ece_at_temperature < 0.03 < 0.1 < result.d_ece[-1]
    assert result.brier_at_temperature < result.brier[-1]


def test_calibration_of_real_data_equals_netcal(data_root: Path) -> None:
    folder = data_root / "coco_val2014_100"
    documents = [json.loads((folder / name).read_text()) for name in FILES["coco_val2014_100"]]
    data = from_coco(*documents)
    metric = DetectionCalibration(box_format="xywh", num_bins=25)
    metric.update(data.preds, data.target)
    for item in (*data.preds, *data.target):
        item["boxes"] = item["boxes"].clone()
        item["boxes"][:, 2:] += item["boxes"][:, :2]
    rows = rows_of(matched(data.preds, data.target, SETTINGS), None)
    result: Calibration = metric.compute()
    assert int(result.counts[-1].sum()) == len(rows)
    assert result.d_ece[-1].item() == pytest.approx(netcal(rows, 25), **CLOSE)


def test_the_picture() -> None:
    metric = DetectionCalibration(class_names=["cat", "dog"], num_bins=4)
    metric.update(*batch(image([(HERE, 0.9, 0), (AWAY, 0.8, 0)], [(HERE, 0)])))
    _, ax = metric.plot(name="cat")
    assert [patch.get_height() for patch in ax.patches] == [0, 0, 0, 0.5]
    assert [text.get_text() for text in ax.texts] == ["0", "0", "0", "2"]
    assert ax.get_xlabel() == "Score, cat"
    _, ax = metric.plot(name="dog")
    assert "no detections" in [text.get_text() for text in ax.texts]
    _, ax = metric.plot([metric.compute()] * 2)
    assert [line.get_label() for line in ax.get_lines()] == ["d_ece", "la_ece", "brier"]
    with pytest.raises(ValueError, match="name: expected one of"):
        metric.plot(name="bird")
