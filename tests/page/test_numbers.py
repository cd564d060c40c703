"""The numbers of a page are those of the metrics."""

import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from detmetrics import DetectionConfusionMatrix, DetectionCurves, DetectionReport, MeanAveragePrecision, demo
from detmetrics.files.coco import CocoData, from_coco
from detmetrics.page import render
from detmetrics.page.figures import MOST_IN_MATRIX
from tests.page.pages import NAMES, Page, evaluated, number


def test_coco_names_files(data: CocoData) -> None:
    assert data.file_names == {i: f'val/{i:03d} <&".jpg' for i in range(1, 25) if i % 3}
    assert CocoData([], [], {}).file_names == {}
    odd = {"images": [{"id": 1, "file_name": 3}, {"id": 2}], "categories": [], "annotations": []}
    with pytest.warns(UserWarning, match="no "):
        assert from_coco(odd, []).file_names == {}


def test_coco_table(data: CocoData, page: Page) -> None:
    results = evaluated(data).compute()
    rows = page.rows("coco")
    assert [number(row[-1]) for row in rows] == pytest.approx([v.item() for v in results.values()], nan_ok=True)
    assert rows[0][:4] == ["Average Precision (AP)", "0.50:0.95", "all", "100"]
    assert rows[-1][:4] == ["Average Recall (AR)", "0.50:0.95", "large", "100"]


def point_of(data: CocoData) -> tuple[DetectionCurves, dict[str, Any]]:
    curves = DetectionCurves(box_format="xywh", class_names=data.categories)
    curves.update(data.preds, data.target)
    threshold = curves.compute().scalars()["best_score_threshold"].item()
    return curves, {"score_threshold": threshold, "box_format": "xywh", "class_names": data.categories}


def test_best_thresholds(data: CocoData, page: Page) -> None:
    scalars = {name: value.item() for name, value in point_of(data)[0].scalars().items()}
    assert [[number(cell) for cell in row[1:]] for row in page.rows("thresholds")] == [
        [scalars["best_score_threshold"], scalars["best_f1"]],
        [scalars["best_macro_score_threshold"], scalars["best_macro_f1"]],
    ]


def test_class_table(data: CocoData, page: Page) -> None:
    curves, point = point_of(data)
    report, matrix = DetectionReport(**point), DetectionConfusionMatrix(**point)
    for metric in (report, matrix):
        metric.update(data.preds, data.target)
    coco = evaluated(data, class_metrics=True).compute()
    at_half = evaluated(data, class_metrics=True, iou_thresholds=[0.5]).compute()
    values, predictions = report.compute(), matrix.compute().sum(dim=0)
    rows = page.rows("classes")
    assert [row[0] for row in rows] == NAMES
    for i, (name, *cells) in enumerate(rows):
        expected = [coco[f"map/{name}"], at_half[f"map/{name}"]]
        expected += [values[f"{score}/{name}"] for score in ("precision", "recall", "f1")]
        expected += [curves.compute().best_f_beta[i], curves.compute().best_score_threshold[i]]
        expected += [values[f"support/{name}"], predictions[i]]
        assert [number(cell) for cell in cells] == pytest.approx([v.item() for v in expected], abs=1e-15, nan_ok=True)


def test_worst_images(data: CocoData, page: Page) -> None:
    report = DetectionReport(**point_of(data)[1])
    report.update(data.preds, data.target)
    columns = [column.tolist() for column in report.per_image().values()]
    assert set(columns.pop(1)) == {-1}  # all have ids
    images = [row for row in zip(*columns, strict=True) if row[2] + row[3]]
    images.sort(key=lambda row: (row[4], -(row[2] + row[3]), row[0]))
    rows = page.rows("images")
    assert [[float(row[0]), *map(number, row[2:])] for row in rows] == [list(map(float, row)) for row in images[:12]]
    assert [row[1] for row in rows] == [data.file_names.get(row[0], "") for row in images[:12]]


def test_confusions(data: CocoData, page: Page) -> None:
    matrix = DetectionConfusionMatrix(**point_of(data)[1])
    matrix.update(data.preds, data.target)
    counts = matrix.compute()
    expected = {
        (NAMES[i], NAMES[j], count, count / int(counts[i].sum()))
        for i, row in enumerate(counts[:-1, :-1].tolist())
        for j, count in enumerate(row)
        if i != j and count
    }
    rows = [(row[0], row[1], int(row[2]), float(row[3])) for row in page.rows("confusion")]
    assert 0 < len(rows) == len(expected) <= 15
    assert set(rows) == expected
    assert [row[2] for row in rows] == sorted((row[2] for row in rows), reverse=True)


def test_a_given_operating_point(data: CocoData) -> None:
    metric = evaluated(data)
    page = Page(render(metric, iou_threshold=0.75, score_threshold=0.6))
    report = DetectionReport(iou_threshold=0.75, **{**point_of(data)[1], "score_threshold": 0.6})
    report.update(data.preds, data.target)
    f1 = [report.compute()[f"f1/{name}"].item() for name in NAMES]
    assert [number(row[5]) for row in page.rows("classes")] == pytest.approx(f1, nan_ok=True)
    assert ("b", "IoU 0.75, score ≥ 0.6") in page.texts


def test_thresholds_below_the_usual_floor(data: CocoData) -> None:
    metric = evaluated(data, iou_thresholds=[0.05, 0.5], max_detection_thresholds=[1, 5])
    values = [number(row[-1]) for row in Page(render(metric)).rows("coco")]
    assert values == pytest.approx([v.item() for v in metric.compute().values()], nan_ok=True)


def test_undeclared_classes_are_those_that_occur() -> None:
    preds, target = demo.generate(6, 8, 3)
    metric = MeanAveragePrecision()
    metric.update(preds, target)
    rows = Page(render(metric)).rows("classes")
    assert [row[0] for row in rows] == [str(label) for label in metric.compute() and metric.classes.tolist()]


@pytest.mark.parametrize("pairs", ["same", "all"])
@pytest.mark.parametrize("class_names", [None, ["cat", "dog"]])
@pytest.mark.parametrize("num_images", [0, 1])
def test_without_anything(pairs: str, class_names: list[str] | None, num_images: int) -> None:
    metric = MeanAveragePrecision(pairs=pairs, class_names=class_names)
    nothing = {"boxes": torch.empty(0, 4), "labels": torch.empty(0, dtype=torch.int64)}
    for _ in range(num_images):
        metric.update([{**nothing, "scores": torch.empty(0)}], [nothing])
    page = Page(render(metric))
    assert [row[-1] for row in page.rows("coco")] == [""] * 12
    assert ("p", "No image has a wrong prediction or a missed target at IoU 0.50, score ≥ 0.") in page.texts
    assert not any(re.search(r"\bnan\b", words) for tag, words in page.texts if tag not in ("script", "style"))


def test_without_pairs_of_classes_there_is_no_matrix(data: CocoData) -> None:
    page = Page(render(evaluated(data, pairs="same")))
    assert "Confusion matrix" not in page.attributes("svg", "aria-label")
    assert any("did not keep" in words for _, words in page.texts)


def test_a_matrix_of_too_many_classes_is_not_drawn(data: CocoData) -> None:
    names = [f"class {i}" for i in range(MOST_IN_MATRIX + 1)]
    page = Page(render(evaluated(data, class_names=names)))
    assert "Confusion matrix" not in page.attributes("svg", "aria-label")
    assert len(page.rows("classes")) == len(names)
    assert page.rows("confusion")


def test_what_does_not_fit(data: CocoData, tmp_path: Path) -> None:
    for metric, arguments, message in (
        (MeanAveragePrecision(iou_type=["bbox", "segm"]), {}, "metric: expected one iou_type and class_agnostic=False"),
        (MeanAveragePrecision(class_agnostic=True), {}, "metric: expected one iou_type and class_agnostic=False"),
        (MeanAveragePrecision(), {"images": tmp_path}, "images: expected data with them"),
        (MeanAveragePrecision(), {"data": data}, "metric: expected box_format='xywh', that of the data, got 'xyxy'"),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            render(metric, **arguments)
    with pytest.raises(NotADirectoryError, match="images: expected a folder, got "):
        render(evaluated(data), data=data, images=tmp_path / "none")
    for argument, value, message in (
        ("iou_threshold", 7.0, "iou_threshold: expected"),
        ("iou_threshold", 0.05, "iou_threshold: expected 0.1 or more, what the metric keeps, got 0.05"),
        ("score_threshold", math.nan, "score_threshold: expected a finite number"),
        ("worst", -1, "worst: expected an int of 0 or more, got -1"),
        ("worst", 2.5, "worst: expected an int of 0 or more, got 2.5"),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            render(evaluated(data), **{argument: value})
    assert Page(render(evaluated(data), worst=0)).tables.get("images") is None
