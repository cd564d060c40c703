"""Ids of images in any form that means a whole number."""

import re
from typing import Any

import numpy as np
import pytest
import torch

from detmetrics import MeanAveragePrecision
from detmetrics.detection.inputs import check_image_ids
from tests.problems import batch, hit, miss

THREE = [3, np.int32(3), np.uint8(3), np.array(3), np.float64(3.0), 3.0, torch.tensor(3), torch.tensor([3]).int()]


@pytest.mark.parametrize("image_id", THREE, ids=repr)
def test_whole_numbers_are_ids(image_id: Any) -> None:
    assert [int(x) for x in check_image_ids([{"image_id": image_id}])] == [3]
    metric = MeanAveragePrecision()
    for own in (3, image_id):
        preds, target = batch(hit(0))
        metric.update(preds, [{**target[0], "image_id": own}])
    with pytest.warns(UserWarning, match=r"1 image \(id 3\) was seen again"):
        assert metric.compute()["map"] == 1
    assert metric.num_duplicates == 1


@pytest.mark.parametrize(
    "image_id", [-1, 2.5, True, float("nan"), float("inf"), np.array([1, 2]), np.int64(-4), np.bool_(True), b"3"]
)
def test_what_is_no_id_is_named(image_id: Any) -> None:
    with pytest.raises(ValueError, match=r"target\[1\]\['image_id'\]: expected a non-negative int, got"):
        check_image_ids([{"image_id": 0}, {"image_id": image_id}])


@pytest.mark.parametrize("image_id", [2**63, 1e30])
def test_ids_have_64_bits(image_id: Any) -> None:
    with pytest.raises(ValueError, match=r"target\[0\]\['image_id'\]: expected an int up to 9223372036854775807, got"):
        check_image_ids([{"image_id": image_id}])


def test_a_name_is_told_how_to_become_a_number() -> None:
    message = "target[0]['image_id']: expected a non-negative int, got 'a.jpg'; number the images, such as ids = {name"
    with pytest.raises(ValueError, match=re.escape(message)):
        MeanAveragePrecision().update(*batch((miss(0)[0], {**miss(0)[1], "image_id": "a.jpg"})))  # type: ignore[dict-item]


COUNTED_FROM_1 = [
    (["cat", "dog"], "class_names={1: 'cat', 2: 'dog'}"),
    (list("abcdefgh"), "class_names={1: 'a', 2: 'b', ..., 8: 'h'}"),
]


@pytest.mark.parametrize(("names", "remedy"), COUNTED_FROM_1)
def test_labels_that_count_from_1_are_told_how_to_name_them(names: list[str], remedy: str) -> None:
    preds, target = batch(hit(0), hit(1))
    last = torch.tensor([len(names)])
    for item, label in zip([*preds, *target], [1, len(names)] * 2, strict=True):
        item["labels"] = torch.full_like(last, label)
    expected = re.escape(f"preds[1]['labels']: expected the labels declared in class_names {list(range(len(names)))}, ")
    with pytest.raises(
        ValueError, match=expected + re.escape(f"got also [{len(names)}]; labels that count from 1 take ")
    ):
        MeanAveragePrecision(class_names=names).update(preds, target)
    with pytest.raises(ValueError, match=re.escape(remedy)):
        MeanAveragePrecision(class_names=names).update(preds, target)
    metric = MeanAveragePrecision(class_names=dict(enumerate(names, start=1)))
    metric.update(preds, target)
    assert metric.compute()["map"] == 1


def test_an_undeclared_label_names_the_side_and_the_image() -> None:
    preds, target = batch(hit(0), hit(1), hit(2))
    target[2]["labels"] = torch.tensor([7])
    message = r"target\[2\]\['labels'\]: .* \[0, 3\], got also \[7\]; name every label: class_names={label: name, ...}"
    with pytest.raises(ValueError, match=message):
        MeanAveragePrecision(class_names={0: "a", 3: "b"}).update(preds, target)
