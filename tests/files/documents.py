"""COCO documents, and what holds for the data that are read from them."""

from typing import Any

import torch

from detmetrics import MeanAveragePrecision
from detmetrics.files.coco import CocoData
from tests import oracle

ANNOTATIONS: dict[str, Any] = {
    "images": [{"id": 9}, {"id": 4}, {"id": 6}],
    "categories": [{"id": 18, "name": "dog"}, {"id": 2, "name": "cat"}, {"id": 3, "name": "bird"}],
    "annotations": [
        {"id": 1, "image_id": 9, "category_id": 18, "bbox": [0, 0, 10, 20], "area": 150.5, "iscrowd": 0},
        {"id": 2, "image_id": 4, "category_id": 2, "bbox": [5, 5, 8, 8], "area": 60, "iscrowd": 1},
        {"id": 3, "image_id": 9, "category_id": 2, "bbox": [30, 0, 10, 10], "area": 99, "iscrowd": 0},
    ],
}
RESULTS: list[dict[str, Any]] = [
    {"image_id": 9, "category_id": 2, "bbox": [30, 0, 10, 9], "score": 0.25},
    {"image_id": 4, "category_id": 18, "bbox": [5.5, 5, 8, 8], "score": 0.75},
    {"image_id": 9, "category_id": 18, "bbox": [0, 0, 10, 19], "score": 0.5},
]


def agrees_with_pycocotools(data: CocoData, annotations: dict[str, Any], results: list[dict[str, Any]]) -> None:
    metric = MeanAveragePrecision(box_format="xywh", class_names=data.categories, extended_summary=True)
    metric.update(data.preds, data.target)
    oracle.assert_agrees(metric.compute(), oracle.evaluate_coco(annotations, results))


def assert_same(data1: CocoData, data2: CocoData) -> None:
    assert data1.categories == data2.categories
    for items1, items2 in ((data1.preds, data2.preds), (data1.target, data2.target)):
        for item1, item2 in zip(items1, items2, strict=True):
            assert item1.keys() == item2.keys()
            assert all(torch.equal(torch.as_tensor(item1[key]), torch.as_tensor(item2[key])) for key in item1)
