"""The kinds of errors on a page are those of the metric, and what is drawn is of one kind."""

from pathlib import Path

import pytest
from PIL import Image

from detmetrics import DetectionErrors
from detmetrics.cli import main
from detmetrics.detection.error_kinds import KINDS
from detmetrics.files.coco import CocoData, from_coco
from detmetrics.page import render
from tests.cli.commands import write
from tests.page.pages import Page, coco_data, drawn, evaluated, number


def errors_of(data: CocoData) -> DetectionErrors:
    metric = DetectionErrors(box_format="xywh", class_names=data.categories)
    metric.update(data.preds, data.target)
    return metric


def test_the_table_is_that_of_the_metric() -> None:
    data = coco_data(24, seed=1)
    metric = errors_of(data)
    expected, images = metric.compute(), metric.per_image()
    rows = Page(render(evaluated(data), data=data, errors=True)).rows("errors")
    assert [row[0] for row in rows] == [*KINDS, "all false positives", "all false negatives"]
    for kind, (_, total, cost, worst) in zip(KINDS, rows, strict=False):
        assert number(total) == expected[f"num_{kind}"]
        assert number(cost) == pytest.approx(expected[f"dap_{kind}"].item())
        most = int(images[kind].max())
        assert worst.split(", ")[0].endswith(f"({most})") if most else not worst
    assert number(rows[-1][2]) == pytest.approx(expected["dap_false_negative"].item())
    assert "errors" not in Page(render(evaluated(data), data=data)).tables


def test_each_kind_is_drawn_alone(tmp_path: Path) -> None:
    boxes = [[0, 0, 50, 50], [100, 0, 40, 40]]
    annotations = {
        "images": [{"id": 7, "file_name": "a.png"}],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": [
            {"id": i, "image_id": 7, "category_id": 1, "bbox": box} for i, box in enumerate(boxes, start=1)
        ],
    }
    wrong = {"duplicate": (1, [0, 0, 50, 48]), "classification": (2, boxes[1]), "background": (2, [200, 100, 9, 9])}
    found = {"right": (1, boxes[0]), **wrong}
    results = [
        {"image_id": 7, "category_id": label, "bbox": box, "score": 0.9 - i / 10}
        for i, (label, box) in enumerate(found.values())
    ]
    data = from_coco(annotations, results)
    Image.new("L", (320, 240)).save(tmp_path / "a.png")
    page = Page(render(evaluated(data), data=data, images=tmp_path, errors=True))
    shown = drawn(page)
    assert len(shown) == 3 + 1  # and the worst image
    targets = [("found", boxes[0]), ("missed", boxes[1])]
    order = [kind for kind in KINDS if kind in wrong]
    for marks, kind in zip(shown, order, strict=False):  # the legend comes behind the last one
        assert marks[:3] == [*targets, ("wrong", wrong[kind][1])]
    assert len(shown[0]) == len(shown[1]) == 3


def test_errors_need_overlaps_between_classes() -> None:
    data = coco_data(4)
    with pytest.raises(ValueError, match="errors: expected a metric with pairs='all'"):
        render(evaluated(data, pairs="same"), errors=True)


def test_the_command_puts_them_on_the_page(tmp_path: Path) -> None:
    annotations = {
        "images": [{"id": 1}],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 9, 9]}],
    }
    files = [write(tmp_path / "gt.json", annotations), write(tmp_path / "dt.json", [])]
    page = tmp_path / "page.html"
    assert main(["evaluate", *files, "--errors", "--html", str(page), "--quiet"]) == 0
    assert Page(page.read_text()).rows("errors")[5][:2] == ["missed", "1"]
