"""Localisation recall precision and mean overlaps, by hand, against loops, and against vernier."""

import json
import math
import random
from pathlib import Path

import pytest
import torch
from vernier.instance import optimal_lrp

from detmetrics import DetectionIoU, LocalizationRecallPrecision
from detmetrics.functional import detection_iou, localization_recall_precision
from tests.detection.test_errors import Rows, continuous, real
from tests.detection.test_operating_point import labels_of, matched, settings_of, xyxy_problem
from tests.problems import Item, batch, image
from tests.reference import detection as reference

CLOSE = {"abs": 1e-13, "nan_ok": True}
HERE, AWAY = [0.0, 0, 10, 10], [50.0, 50, 60, 60]
Parts = tuple[float, float, float, float]  # LRP, its localisation, false positives, false negatives


def test_one_detection_well_placed() -> None:
    """IoU .8 with a threshold of .5: (1 - .8) / .5 = .4 of one."""
    result = localization_recall_precision(*batch(image([([0, 0, 10, 8], 0.9, 0)], [(HERE, 0)])))
    assert [result[key].item() for key in ("olrp", "olrp_loc", "olrp_fp", "olrp_fn")] == pytest.approx([0.4, 0.2, 0, 0])


def test_the_best_score_leaves_out_what_is_wrong() -> None:
    """Right at .9 (IoU 1), wrong at .6, right at .3 (IoU .6: .8 of one), a third target is missed."""
    preds = [(HERE, 0.9, 0), ([90, 0, 99, 9], 0.6, 0), ([50, 50, 60, 56], 0.3, 0)]
    data = batch(image(preds, [(HERE, 0), (AWAY, 0), ([20, 20, 30, 30], 0)]))
    result = localization_recall_precision(*data, class_metrics=True, score_threshold=0.5)
    # at .9: 2 missed of 3: 2/3; at .6: (1 + 2) / 4; at .3: (.8 + 1 + 1) / 4 = .7
    assert result["olrp"].item() == pytest.approx(2 / 3)
    assert result["best_score_threshold_per_class"].item() == pytest.approx(0.9)
    assert result["lrp"].item() == 3 / 4
    assert [result[f"lrp_{part}"].item() for part in ("loc", "fp", "fn")] == pytest.approx([0, 1 / 2, 2 / 3])


def test_what_is_not_defined() -> None:
    nothing = localization_recall_precision([], [])
    assert all(value.isnan() for value in nothing.values())
    assert localization_recall_precision([], [], zero_division=0.0)["olrp"] == 0
    data = batch(image([(AWAY, 0.9, 0), (AWAY, 0.9, 2)], [(HERE, 0), (HERE, 1)]))
    result = localization_recall_precision(*data, class_names=["wrong", "missed", "invented"], class_metrics=True)
    for name in ("wrong", "missed"):
        assert (result[f"olrp/{name}"], result[f"olrp_fn/{name}"]) == (1, 1)
        assert result[f"olrp_loc/{name}"].isnan()
        assert result[f"best_score_threshold/{name}"].isnan()
    assert result["olrp/invented"].isnan()
    assert result["lrp/invented"] == 1  # at a given score it is what was asked for
    assert result["olrp"] == 1
    with pytest.raises(ValueError, match="iou_threshold: expected a number below 1"):
        LocalizationRecallPrecision(iou_threshold=1)


# --------------------------------------------------------------------------------------------------------------- loops


def parts(images: list[reference.Image], label: int, score: float, threshold: float) -> tuple[int, Parts]:
    """True positives from a score on, and the errors."""
    kept = [d for one in images for d in one.detections if d.label == label and d.score >= score]
    found = [d for d in kept if d.state == "right"]
    wrong = sum(d.state == "wrong" for d in kept)
    missed = sum(t.counted and t.label == label for one in images for t in one.targets) - len(found)
    overlaps = [reference.overlap(d.box, d.found.box, False) for d in found if d.found]

    def ratio(above: float, below: int) -> float:
        return above / below if below else math.nan

    lost = sum((1 - value) / (1 - threshold) for value in overlaps)
    return len(found), (
        ratio(lost + wrong + missed, len(found) + wrong + missed),
        ratio(sum(1 - value for value in overlaps), len(found)),
        ratio(wrong, len(found) + wrong),
        ratio(missed, len(found) + missed),
    )


def best(images: list[reference.Image], label: int, threshold: float) -> tuple[float, Parts]:
    if not any(t.counted and t.label == label for one in images for t in one.targets):
        return math.nan, (math.nan,) * 4
    scores = sorted({d.score for one in images for d in one.detections if d.label == label}, reverse=True)
    least = (math.nan, (1.0, math.nan, math.nan, 1.0))
    for score in scores:
        number, errors = parts(images, label, score, threshold)
        if number and (math.isnan(least[0]) or errors[0] < least[1][0] - 1e-12):
            least = score, errors
    return least


@pytest.mark.parametrize("block", range(3))
def test_lrp_equals_the_loops(block: int) -> None:
    for seed in range(50 * block, 50 * (block + 1)):
        preds, target = xyxy_problem(seed)
        settings = settings_of(seed) | {"iou_threshold": random.Random(seed).choice([0.5, 1 / 3, 0.6, 0.75])}
        labels = labels_of(preds, target)
        images = matched(preds, target, settings | {"score_threshold": -math.inf})
        result = localization_recall_precision(preds, target, **settings, class_metrics=True)
        assert result["classes"].tolist() == labels
        at_best = [best(images, label, settings["iou_threshold"]) for label in labels]
        at_score = [parts(images, label, settings["score_threshold"], settings["iou_threshold"])[1] for label in labels]
        for i, name in enumerate(("", "_loc", "_fp", "_fn")):
            for prefix, expected in (("olrp", [p[i] for _, p in at_best]), ("lrp", [p[i] for p in at_score])):
                values = result[f"{prefix}{name}_per_class"].tolist()
                assert values == pytest.approx(expected, **CLOSE), (seed, prefix, name)
                assert result[f"{prefix}{name}"].item() == pytest.approx(reference.mean(expected), **CLOSE)
        assert result["best_score_threshold_per_class"].tolist() == pytest.approx([s for s, _ in at_best], **CLOSE)


def test_mean_overlaps_equal_the_loops() -> None:
    for seed in range(60):
        preds, target = xyxy_problem(seed)
        settings, labels = settings_of(seed), labels_of(preds, target)
        images = matched(preds, target, settings)
        overlaps: dict[int, list[float]] = {label: [] for label in labels}
        for one in images:
            for d in one.detections:
                if d.state == "right" and d.found:
                    overlaps[d.label].append(reference.overlap(d.box, d.found.box, False))
        by_class = [sum(own) / len(own) if own else math.nan for own in overlaps.values()]
        pooled = [value for own in overlaps.values() for value in own]
        support = [sum(t.counted and t.label == label for one in images for t in one.targets) for label in labels]
        assert detection_iou(preds, target, **settings, average="none").tolist() == pytest.approx(by_class, **CLOSE)
        expected = {
            "micro": sum(pooled) / len(pooled) if pooled else math.nan,
            "macro": reference.mean(by_class),
            "weighted": weighted(by_class, support),
        }
        for average, value in expected.items():
            result = detection_iou(preds, target, **settings, average=average)
            assert result.item() == pytest.approx(value, **CLOSE), (seed, average)


def weighted(values: list[float], weights: list[int]) -> float:
    defined = [(v, w) for v, w in zip(values, weights, strict=True) if not math.isnan(v)]
    total = sum(w for _, w in defined)
    return sum(v * w for v, w in defined) / total if total else math.nan


def test_mean_overlaps_of_predictions_without_scores() -> None:
    preds, target = batch(image([([0, 0, 10, 8], 0.9, 0)], [(HERE, 0)]))
    del preds[0]["scores"]
    metric = DetectionIoU()
    metric.update(preds, target)
    assert metric.compute() == 0.8
    assert metric.per_image()["tp"].tolist() == [1]


# ------------------------------------------------------------------------------------------------------------- vernier


def items(rows: Rows, ids: list[int], scored: bool) -> list[Item]:
    by_image: dict[int, Rows] = {i: [] for i in ids}
    for row in rows:
        by_image[row["image_id"]].append(row)
    columns = {"boxes": ("bbox", torch.float64), "labels": ("category_id", torch.int64)}
    columns |= {"scores": ("score", torch.float64)} if scored else {}
    found = []
    for own in by_image.values():
        item = {name: torch.tensor([row[key] for row in own], dtype=dtype) for name, (key, dtype) in columns.items()}
        found.append(item | {"boxes": item["boxes"].reshape(-1, 4)})
    return found


def assert_agrees_with_vernier(annotations: Rows, results: Rows, ids: list[int]) -> int:
    """Every score is tried there too; its localisation error is over 1 - .5, that of the authors is not."""
    given = items(results, ids, True), items(annotations, ids, False)
    ours = localization_recall_precision(*given, class_metrics=True, box_format="xywh")
    labels = sorted({row["category_id"] for row in (*annotations, *results)})
    images = [{"id": i, "width": 1000, "height": 1000} for i in ids]
    documents = {"images": images, "annotations": annotations}
    documents["categories"] = [{"id": label, "name": str(label)} for label in labels]
    report = optimal_lrp(
        json.dumps(documents).encode(),
        json.dumps(results).encode(),
        tau_grid=sorted({row["score"] for row in results}),
        max_dets_per_image=10**6,
    )
    found = 0
    for entry in report.per_class:
        at = ours["classes"].tolist().index(entry.category_id)
        values = [ours[f"olrp{part}_per_class"][at].item() for part in ("", "_loc", "_fp", "_fn")]
        score = ours["best_score_threshold_per_class"][at].item()
        assert values[0] == pytest.approx(entry.olrp, **CLOSE)
        assert values[3] == pytest.approx(entry.olrp_fn, **CLOSE)
        if not math.isnan(entry.tau):
            assert values[1:3] == pytest.approx([entry.olrp_loc / 2, entry.olrp_fp], **CLOSE)
            found += 1
        assert math.isnan(score) == math.isnan(entry.tau)
    assert ours["olrp"].item() == pytest.approx(report.olrp, **CLOSE)
    if found == sum(
        not entry.is_empty_class for entry in report.per_class
    ):  # else some of its means have zeros for NaN
        assert ours["olrp_loc"].item() == pytest.approx(report.loc / 2, **CLOSE)
        assert ours["olrp_fp"].item() == pytest.approx(report.fp, **CLOSE)
    assert ours["olrp_fn"].item() == pytest.approx(report.fn, **CLOSE)
    return found


def test_optimal_lrp_equals_that_of_vernier() -> None:
    found = 0
    for seed in range(60):
        ids, annotations, results = continuous(seed)
        if annotations and results:
            found += assert_agrees_with_vernier(annotations, results, ids)
    assert found > 50


@pytest.mark.parametrize(
    "name",
    ["coco_val2014_100", "rafael_coco_sampled", pytest.param("voc07_tinyyolo", marks=pytest.mark.slow)],
)
def test_optimal_lrp_of_real_data_equals_that_of_vernier(data_root: Path, name: str) -> None:
    ids, annotations, results = real(data_root, name)
    ids = ids[:300]  # with all of VOC's scores tried vernier aborts
    annotations, results = ([row for row in rows if row["image_id"] in set(ids)] for rows in (annotations, results))
    assert assert_agrees_with_vernier(annotations, results, ids) >= 20


def test_the_best_threshold_is_one_of_the_curve_and_asking_for_it_gives_the_best() -> None:
    for seed in range(20):
        preds, target = xyxy_problem(seed)
        result = localization_recall_precision(preds, target, class_metrics=True)
        for at, score in enumerate(result["best_score_threshold_per_class"].tolist()):
            if math.isnan(score):
                continue
            again = localization_recall_precision(preds, target, class_metrics=True, score_threshold=score)
            assert torch.equal(again["lrp_per_class"][at], result["olrp_per_class"][at])
