"""COCO's JSON: what is written is what is read."""

import json
from pathlib import Path

import torch

from detmetrics import MeanAveragePrecision
from detmetrics.demo import generate
from detmetrics.files.coco import from_coco, to_coco
from tests.files.documents import ANNOTATIONS, RESULTS, assert_same


def test_round_trip_from_files() -> None:
    data = from_coco(ANNOTATIONS, RESULTS)
    annotations, results = to_coco(data.preds, data.target, box_format="xywh", categories=data.categories)
    assert json.loads(json.dumps(annotations)) == annotations
    assert_same(from_coco(annotations, results), data)
    assert [annotation["id"] for annotation in annotations["annotations"]] == [1, 2, 3]
    assert annotations["images"] == [{"id": 4}, {"id": 6}, {"id": 9}]


def test_round_trip_of_real_files(data_root: Path) -> None:
    folder = data_root / "coco_val2014_100"
    data = from_coco(
        folder / "instances_val2014_100.json",
        folder / "instances_val2014_fakebbox100_results.json",
        ignore_key="iscrowd",
    )
    assert len(data) == 100
    assert len(data.categories) == 80
    assert sum(len(item["labels"]) for item in data.target) == 839
    assert sum(int(item["iscrowd"].sum()) for item in data.target) == 9
    assert sum(len(item["labels"]) for item in data.preds) == 734
    annotations, results = to_coco(data.preds, data.target, box_format="xywh", categories=data.categories)
    assert_same(from_coco(annotations, results, ignore_key="ignore"), data)


def test_round_trip_from_tensors() -> None:
    preds, target = generate(num_images=20, num_detections=10, num_classes=5)
    data = from_coco(*to_coco(preds, target))
    direct, through = MeanAveragePrecision(), MeanAveragePrecision(box_format="xywh")
    direct.update(preds, target)
    through.update(data.preds, data.target)
    assert all(value.equal(through.compute()[key]) for key, value in direct.compute().items() if not value.isnan())


def test_to_coco_numbers_images_and_names_labels() -> None:
    boxes, labels = torch.tensor([[0.0, 0.0, 4.0, 2.0]]), torch.tensor([7])
    none = {"boxes": torch.zeros(0), "labels": torch.zeros(0, dtype=torch.int64), "scores": torch.zeros(0)}
    annotations, results = to_coco([none, none], [none, {"boxes": boxes, "labels": labels}])
    assert results == []
    assert annotations == {
        "images": [{"id": 1}, {"id": 2}],
        "categories": [{"id": 7, "name": "7"}],
        "annotations": [
            {"id": 1, "image_id": 2, "category_id": 7, "bbox": [0.0, 0.0, 4.0, 2.0], "area": 8.0, "iscrowd": 0}
        ],
    }
