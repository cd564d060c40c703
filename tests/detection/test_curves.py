"""Curves, best thresholds and average precisions, against loops, VOC's records and the other metrics."""

import gzip
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from detmetrics import DetectionCurves
from detmetrics.detection.curves import ScoreCurves
from detmetrics.functional import (
    detection_curves,
    detection_f1_score,
    detection_fbeta_score,
    detection_precision,
    detection_recall,
    mean_average_precision,
)
from tests.detection.test_operating_point import bounds, labels_of, settings_of, xyxy_problem
from tests.problems import Item, batch, hit, image, random_problem
from tests.reference import detection as reference

CLOSE = {"abs": 1e-13, "nan_ok": True}
COCO_POINTS = np.linspace(0, 1, 101).tolist()
VOC_POINTS = np.arange(0, 1.1, 0.1).tolist()


def problem(seed: int) -> tuple[list[Item], list[Item], dict[str, Any]]:
    preds, target = xyxy_problem(seed)
    settings = settings_of(seed)
    del settings["score_threshold"]
    return preds, target, settings


def matched(
    preds: list[Item], target: list[Item], settings: dict[str, Any], voc: bool = False
) -> list[reference.Image]:
    images = reference.read(preds, target, bounds(settings))
    for one in images:
        reference.cut(one, -math.inf, settings["max_detections"])
        if voc:
            reference.match_voc(one, settings["iou_threshold"])
            for d in one.detections:
                low, high = bounds(settings)
                if d.state == "wrong" and not low <= reference.area(d.box) <= high:
                    d.state = "ignored"
        else:
            reference.match(one, settings["iou_threshold"], bounds(settings))
    return images


def curve(result: ScoreCurves, at: int) -> list[tuple[float, ...]]:
    part = slice(int(result.offsets[at]), int(result.offsets[at + 1]))
    columns = (result.scores, result.precision, result.recall, result.f_beta)
    return list(zip(*(column[part].tolist() for column in columns), strict=False))


def expected_curve(points: list[tuple[float, int, int, int]], num_targets: int, beta: float) -> list[tuple[float, ...]]:
    return [
        (score, tp / (tp + fp), tp / num_targets if num_targets else math.nan, reference.f_beta(tp, fp, fn, beta))
        for score, tp, fp, fn in points
    ]


@pytest.mark.parametrize("block", range(4))
def test_curves_equal_the_loops(block: int) -> None:
    for seed in range(60 * block, 60 * (block + 1)):
        preds, target, settings = problem(seed)
        beta = 2.0 if seed % 3 == 0 else 1.0
        result = detection_curves(preds, target, **settings, beta=beta)
        images, voc = matched(preds, target, settings), matched(preds, target, settings, voc=True)
        labels = labels_of(preds, target)
        assert result.classes.tolist() == labels
        by_class = []
        for at, label in enumerate([*labels, None]):
            rows = reference.ranked(images, label)
            num_targets = sum(t.counted for one in images for t in one.targets if label in (None, t.label))
            points = reference.curve(rows, num_targets)
            by_class.append((points, num_targets))
            assert curve(result, at) == [
                pytest.approx(row, **CLOSE) for row in expected_curve(points, num_targets, beta)
            ], seed
            assert_best(result, at, points, num_targets, beta)
            voc_rows = reference.ranked(voc, label)
            for value, expected in (
                (result.average_precision, reference.raw_area(points, num_targets)),
                (result.average_precision_coco, reference.interpolated(rows, num_targets, COCO_POINTS)),
                (result.average_precision_voc11, reference.interpolated(voc_rows, num_targets, VOC_POINTS)),
                (result.average_precision_voc, reference.envelope_area(voc_rows, num_targets)),
            ):
                assert value[at].item() == pytest.approx(expected, **CLOSE), seed
        assert_best_macro(result, by_class[:-1], beta)


def assert_best(
    result: ScoreCurves, at: int, points: list[tuple[float, int, int, int]], num_targets: int, beta: float
) -> None:
    scored = [(reference.f_beta(tp, fp, fn, beta), score) for score, tp, fp, fn in points]
    best = max(scored, default=(0.0 if num_targets else math.nan, math.nan))
    assert (result.best_f_beta[at].item(), result.best_score_threshold[at].item()) == pytest.approx(best, **CLOSE)


def assert_best_macro(
    result: ScoreCurves, by_class: list[tuple[list[tuple[float, int, int, int]], int]], beta: float
) -> None:
    """At every score that occurs, the mean over classes with targets."""
    classes = [points for points, num_targets in by_class if num_targets]
    scored = []
    for threshold in sorted({point[0] for points in classes for point in points}, reverse=True):
        reached = [[p for p in points if p[0] >= threshold] for points in classes]
        scored.append((reference.mean([reference.f_beta(*p[-1][1:], beta) if p else 0.0 for p in reached]), threshold))
    best = max((value for value, _ in scored), default=0.0 if classes else math.nan)
    assert result.best_macro_f_beta.item() == pytest.approx(best, **CLOSE)
    if scored:
        first = next(threshold for value, threshold in scored if value > best - 1e-12)
        assert result.best_macro_score_threshold.item() == first
    else:
        assert result.best_macro_score_threshold.isnan()


def test_a_curve_is_what_the_other_metrics_say_at_its_scores() -> None:
    for seed in range(30):
        preds, target, settings = problem(seed)
        result = detection_curves(preds, target, **settings)
        functions = (detection_precision, detection_recall, detection_f1_score)
        for score, *values in curve(result, len(result.classes)):
            found = [function(preds, target, **settings, score_threshold=score).item() for function in functions]
            assert found == pytest.approx(values, abs=0, nan_ok=True)


def test_best_thresholds_are_where_the_f_score_says_so() -> None:
    for seed in range(60):
        preds, target, settings = problem(seed)
        result = detection_curves(preds, target, **settings, beta=0.5)
        for at, threshold in enumerate(result.best_score_threshold.tolist()):
            if math.isnan(threshold):
                continue
            per_class = detection_fbeta_score(
                preds, target, **settings, beta=0.5, score_threshold=threshold, average="none"
            )
            pooled = detection_fbeta_score(preds, target, **settings, beta=0.5, score_threshold=threshold)
            value = per_class[at] if at < len(result.classes) else pooled
            assert torch.equal(value.nan_to_num(0.0), result.best_f_beta[at]), seed


def test_coco_average_precision_is_that_of_map() -> None:
    for seed in range(60):
        data = random_problem(seed, plain=True)
        result = detection_curves(data.preds, data.target, max_detections=100)
        expected = mean_average_precision(data.preds, data.target, iou_thresholds=[0.5], class_metrics=True)
        torch.testing.assert_close(
            result.average_precision_coco[:-1], expected["map_per_class"], rtol=0, atol=1e-14, equal_nan=True
        )


def test_an_operating_point() -> None:
    preds = [([0, 0, 8, 8], 0.9, 0), *(([20.0 * i, 50, 20.0 * i + 8, 58], 0.5, 0) for i in range(3))]
    result = detection_curves(*batch(image(preds, [([0, 0, 8, 8], 0)])))
    assert curve(result, 0) == [pytest.approx((0.9, 1, 1, 1)), (0.5, 1 / 4, 1, 0.4)]
    scalars = result.scalars()
    assert list(scalars) == ["best_f1", "best_score_threshold", "best_macro_f1", "best_macro_score_threshold"]
    assert all((value.ndim, value.dtype) == (0, torch.float64) for value in scalars.values())
    assert [round(value.item(), 6) for value in scalars.values()] == [1, 0.9, 1, 0.9]
    # the threshold came from float32 scores, and keeps that very detection when it is asked for
    assert (
        detection_f1_score(
            *batch(image(preds, [([0, 0, 8, 8], 0)])), score_threshold=scalars["best_score_threshold"].item()
        )
        == 1
    )


def test_one_shared_threshold_may_be_nobodys_best() -> None:
    """Class 0 is right at .9 and wrong twice at .5; class 1 is wrong at .9 and right twice at .5."""
    here, away = [0.0, 0, 8, 8], [90.0, 90, 98, 98]
    first = image([(here, 0.9, 0), (away, 0.5, 0), (away, 0.4, 0)], [(here, 0)])
    second = image([(away, 0.8, 1), (here, 0.45, 1)], [(here, 1)])
    result = detection_curves(*batch(first, second))
    assert result.best_f_beta.tolist() == pytest.approx([1, 2 / 3, 2 / 3])
    # at .45: class 0 has tp 1, fp 1 and class 1 has tp 1, fp 1: both 2/3; at .8 and .9 the mean is 1/2
    assert result.best_macro_f_beta.item() == pytest.approx(2 / 3)
    assert result.best_macro_score_threshold.item() == pytest.approx(0.45)


def test_nothing_is_undefined_and_a_missed_class_is_zero() -> None:
    empty = detection_curves([], [])
    assert (empty.offsets.tolist(), len(empty.scores), len(empty.classes)) == ([0, 0], 0, 0)
    assert all(value.isnan() for value in empty.scalars().values())
    missed = detection_curves(*batch(image([], [([0, 0, 8, 8], 3)])), num_classes=5)
    assert missed.offsets.tolist() == [0] * 7
    assert missed.best_f_beta.tolist() == pytest.approx([math.nan] * 3 + [0, math.nan, 0], nan_ok=True)
    assert missed.average_precision_voc.tolist() == pytest.approx([math.nan] * 3 + [0, math.nan, 0], nan_ok=True)
    zeros = detection_curves([], [], zero_division=0.0)
    assert (zeros.best_f_beta.item(), zeros.average_precision.item(), zeros.best_macro_f_beta.item()) == (0, 0, 0)
    assert zeros.best_score_threshold.isnan().all()


def test_the_metric_has_scalars_too_and_names_another_beta() -> None:
    metric = DetectionCurves(beta=2.0)
    metric.update(*batch(hit(0)))
    assert metric.scalars()["best_f_beta"] == 1
    assert isinstance(metric.compute(), ScoreCurves)
    assert isinstance(metric(*batch(hit(0))), ScoreCurves)


# ---------------------------------------------------------------------------------------------------------------- VOC


def test_voc_looks_only_at_the_target_overlapped_most() -> None:
    """Two detections on one target, another target within reach of the second: COCO lets it have that, VOC does not."""
    targets = [([0, 0, 10, 10], 0), ([0, 4, 10, 14], 0)]
    preds = [
        ([0, 0, 10, 10], 0.9, 0),
        ([0, 1.5, 10, 11.5], 0.8, 0),
    ]  # overlaps 8.5/11.5 with the first, 7.5/12.5 with the second
    result = detection_curves(*batch(image(preds, targets)))
    assert result.average_precision_coco[0] == 1
    assert result.average_precision_voc[0].item() == pytest.approx(1 / 2)
    assert result.average_precision_voc11[0].item() == pytest.approx(6 / 11)  # recalls 0, .1, ..., .5


def test_voc_needs_more_than_the_threshold() -> None:
    exactly = image([([0, 0, 10, 10], 0.9, 0)], [([0, 0, 10, 5], 0)])  # 50 / 100
    result = detection_curves(*batch(exactly))
    assert (result.average_precision_coco[0], result.average_precision_voc[0]) == (1, 0)


def test_difficult_targets_ignore_any_number_of_detections() -> None:
    box = [0.0, 0, 10, 10]
    one = image(
        [(box, 0.9, 0), (box, 0.8, 0), ([50, 50, 60, 60], 0.7, 0)], [(box, 0), ([50, 50, 60, 60], 0)], ignore=[1, 0]
    )
    assert detection_curves(*batch(one)).average_precision_voc[0] == 1


def xywh_items(rows: dict[int, list[dict[str, Any]]], ids: list[int], *, scored: bool) -> list[Item]:
    items = []
    for key in ids:
        found = rows.get(key, [])
        item: Item = {
            "boxes": torch.tensor([row["bbox"] for row in found], dtype=torch.float64).reshape(-1, 4),
            "labels": torch.tensor([row["category_id"] for row in found], dtype=torch.int64),
        }
        if scored:
            item["scores"] = torch.tensor([row["score"] for row in found], dtype=torch.float64)
        else:
            item["ignore"] = torch.tensor([bool(row.get("difficult", 0)) for row in found], dtype=torch.bool)
            item["image_id"] = torch.tensor(key)
        items.append(item)
    return items


def by_image(rows: list[dict[str, Any]]) -> dict[int, list[dict[str, Any]]]:
    found: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["image_id"], []).append(row)
    return found


@pytest.fixture(scope="module")
def tiny_yolo(data_root: Path) -> tuple[ScoreCurves, list[str], dict[str, Any]]:
    folder = data_root / "voc07_tinyyolo"
    truth, found = (
        json.loads(gzip.decompress((folder / name).read_bytes()))
        for name in ("voc07_test_gt_coco.json.gz", "tinyyolo_qfdong_dt_coco.json.gz")
    )
    ids = [row["id"] for row in truth["images"]]
    metric = DetectionCurves(class_names={row["id"]: row["name"] for row in truth["categories"]}, box_format="xywh")
    metric.update(
        xywh_items(by_image(found), ids, scored=True), xywh_items(by_image(truth["annotations"]), ids, scored=False)
    )
    return (
        metric.compute(),
        [row["name"] for row in truth["categories"]],
        json.loads((folder / "META.json").read_text()),
    )


def test_recorded_voc_figures_come_out(tiny_yolo: tuple[ScoreCurves, list[str], dict[str, Any]]) -> None:
    """The record's unstable sort of equal scores moves one class's figure by up to 2.3e-6; see META.json."""
    result, names, meta = tiny_yolo
    for at, name in enumerate(names):
        assert result.average_precision_voc11[at].item() == pytest.approx(meta["recorded_mAP_11pt"][name], abs=2.3e-6)
        assert result.average_precision_voc11[at].item() == pytest.approx(
            meta["measured"]["voc07_11pt"][name], abs=2.3e-6
        )
        assert result.average_precision_voc[at].item() == pytest.approx(meta["measured"]["voc_area"][name], abs=2.3e-6)
    assert result.average_precision_voc11[:-1].mean().item() == pytest.approx(
        meta["recorded_mAP_11pt"]["mAP"], abs=5e-7
    )  # VOCAveragePrecision has the same numbers, see test_voc.py


CORNER_FORMAT = "<label> [<score>] <x> <y> <width> <height>"


def toy_items(folder: Path, *, scored: bool) -> list[Item]:
    """One file an image, in CORNER_FORMAT; VOC counts pixels, so that a box from 0 to 9 is ten wide."""
    items = []
    for path in sorted(folder.glob("*.txt")):
        rows = [[float(x) for x in line.split()[1:]] for line in path.read_text().splitlines() if line.strip()]
        table: Tensor = torch.tensor(rows, dtype=torch.float64)
        boxes = table[:, -4:] + torch.tensor([0.0, 0, 1, 1])
        item = {"boxes": boxes, "labels": torch.zeros(len(rows), dtype=torch.int64)}
        items.append(item | ({"scores": table[:, 0]} if scored else {}))
    return items


@pytest.mark.parametrize("iou_threshold", [0.1, 0.3, 0.5, 0.75])
def test_the_toy_set_of_a_voc_evaluator(data_root: Path, iou_threshold: float) -> None:
    folder = data_root / "rafael_voc_toy"
    recorded = json.loads((folder / "META.json").read_text())["recorded"]
    preds, target = (toy_items(folder / "test_case_1" / name, scored=name == "dets") for name in ("dets", "gts"))
    result = detection_curves(preds, target, iou_threshold=iou_threshold, box_format="xywh")
    assert result.average_precision_voc11[0].item() == pytest.approx(recorded["11pt"][str(iou_threshold)], abs=1e-9)
    assert result.average_precision_voc[0].item() == pytest.approx(
        recorded["every_point"][str(iou_threshold)], abs=1e-9
    )


@pytest.mark.parametrize("beta", [0, math.nan, None])
def test_beta_is_a_number_above_zero(beta: Any) -> None:
    with pytest.raises(ValueError, match="beta: expected a finite number above 0, got"):
        DetectionCurves(beta=beta)


def test_bits_do_not_depend_on_batches_or_order() -> None:
    for seed in range(10):
        data = random_problem(seed, images=12, image_ids=True, plain=True)
        whole, parts = DetectionCurves(), DetectionCurves()
        whole.update(data.preds, data.target)
        for i in reversed(range(len(data.preds))):
            parts.update(data.preds[i : i + 1], data.target[i : i + 1])
        for one, other in zip(whole.compute(), parts.compute(), strict=True):
            assert torch.equal(one.nan_to_num(-1), other.nan_to_num(-1))
