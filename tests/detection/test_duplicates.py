"""What counts as the same image: all that is given of its targets, to the last bit and pixel."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from detmetrics import MeanAveragePrecision
from tests import oracle
from tests.problems import Item

BOXES: Item = {"boxes": torch.tensor([[20.0, 0, 36, 16]]), "labels": torch.tensor([0])}
NOTHING = {"boxes": torch.zeros(0, 4), "scores": torch.zeros(0), "labels": torch.zeros(0, dtype=torch.int64)}


def twice(first: dict[str, Any], second: dict[str, Any], iou_type: str = "bbox") -> int:
    """The number of duplicates among two images with one id."""
    metric = MeanAveragePrecision(iou_type=iou_type)
    preds = dict(NOTHING)
    if iou_type != "bbox":
        preds["masks"] = torch.zeros(0)
    for target in (first, second):
        metric.update([preds], [{**target, "image_id": 1}])
    metric.compute()
    return metric.num_duplicates


def test_the_same_targets_are_one_image() -> None:
    assert twice(BOXES, copy.deepcopy(BOXES)) == 1
    assert twice(BOXES, {**BOXES, "area": torch.tensor([256]), "iscrowd": torch.tensor([False])}) == 1


def test_another_order_of_the_targets_is_the_same_image() -> None:
    boxes = {"boxes": torch.tensor([[20.0, 0, 36, 16], [0, 0, 4, 4]]), "labels": torch.tensor([0, 1])}
    assert twice(boxes, {key: value.flip(0) for key, value in boxes.items()}) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"boxes": torch.tensor([[10.0, 0, 28, 16]])},  # the sum of weighted columns was the same once
        {"boxes": torch.tensor([[0.0, 20, 16, 36]])},
        {"boxes": torch.tensor([[20.0, 0, 36, 16.000002]])},
        {"labels": torch.tensor([1])},
        {"area": torch.tensor([255.0])},
        {"iscrowd": torch.tensor([1])},
        {"ignore": torch.tensor([True])},
        {"boxes": BOXES["boxes"].repeat(2, 1), "labels": torch.tensor([0, 0])},
        {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)},
    ],
    ids=str,
)
def test_any_other_content_is_another_image(change: Item) -> None:
    with pytest.raises(ValueError, match="expected one set of targets for an id, got two images with id 1"):
        twice(BOXES, {**BOXES, **change})


def masked(mask: Tensor) -> dict[str, Any]:
    return {"masks": mask[None], "labels": torch.tensor([0])}


@pytest.mark.parametrize("iou_type", ["segm", "boundary"])
def test_masks_are_compared_pixel_by_pixel(iou_type: str) -> None:
    mask = torch.zeros(41, 50, dtype=torch.bool)
    mask[3:30, 5:40] = True
    mask[10, 10] = False
    other = mask.clone()
    other[10, 10], other[11, 10] = True, False  # of equal area, extent and given area
    encoded = {**masked(mask), "masks": oracle.encode(mask[None])}
    for same in (masked(mask.clone()), masked(mask.mT.contiguous().mT), masked(mask.int()), encoded):
        assert twice(masked(mask), same, iou_type) == 1
        assert twice(same, encoded, iou_type) == 1
        for different in (masked(other), {**masked(other), "masks": oracle.encode(other[None])}):
            with pytest.raises(ValueError, match="got two images with id 1"):
                twice(same, different, iou_type)
