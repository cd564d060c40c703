"""What counts as the same image: all that is given of its targets, to the last bit and pixel."""

import copy
import warnings
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
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
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


# ------------------------------------------------------------------------------------- what becomes of repeated images


def tile(score: float, image_id: int = 2, at: float = 50.0) -> tuple[Item, Item]:
    """An image without objects and with one prediction."""
    boxes = torch.tensor([[at, at, at + 10, at + 10]])
    preds = {"boxes": boxes, "scores": torch.tensor([score]), "labels": torch.tensor([0])}
    return preds, {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64), "image_id": image_id}


def found_one(image_id: int = 1) -> tuple[Item, Item]:
    boxes, labels = torch.tensor([[0.0, 0, 10, 10]]), torch.tensor([0])
    preds = {"boxes": boxes, "scores": torch.tensor([0.5]), "labels": labels}
    return preds, {"boxes": boxes, "labels": labels, "image_id": image_id}


def fed(*images: tuple[Item, Item], **settings: Any) -> MeanAveragePrecision:
    metric = MeanAveragePrecision(**settings)
    metric.update([preds for preds, _ in images], [target for _, target in images])
    return metric


def test_tiles_that_share_an_id_are_told_by_name() -> None:
    """Case 13: the second of two false positives above the one that is right is lost, and precision is 1/2, not 1/3."""
    images = found_one(), tile(0.9), tile(0.8)
    metric = fed(*images)
    with pytest.warns(UserWarning, match="seen again") as caught:
        assert metric.compute()["map"].item() == pytest.approx(1 / 2)
    (warning,) = caught
    assert str(warning.message) == (
        "target['image_id']: 1 image (id 2) was seen again with the same target but other predictions; one image of "
        "each id counts: give a tile or crop an id of its own, call reset() between epochs, or make the metric with "
        "duplicates='keep' to count every image"
    )
    assert metric.num_duplicates == 1
    assert fed(found_one(), tile(0.9), tile(0.8, image_id=3)).compute()["map"].item() == pytest.approx(1 / 3)


def test_duplicates_that_are_kept_all_count() -> None:
    images = [found_one(), tile(0.9), tile(0.8)]
    values = []
    for order in ([0, 1, 2], [2, 1, 0], [1, 0, 2]):
        metric = fed(*(images[i] for i in order), duplicates="keep")
        values.append(metric.compute()["map"])
        assert (metric.num_images, metric.num_duplicates) == (3, 0)
    assert values[0].item() == pytest.approx(1 / 3)
    assert torch.equal(values[0], values[1])
    assert torch.equal(values[0], values[2])
    other = fed(found_one(), (NOTHING, {**found_one()[1], "boxes": torch.tensor([[4.0, 0, 9, 9]])}), duplicates="keep")
    assert other.compute()["mar_1"] == 0.5


def test_duplicates_can_be_an_error() -> None:
    images = [found_one(), *(tile(score, image_id) for image_id in range(20, 10, -1) for score in (0.9, 0.8))]
    message = r"target\['image_id'\]: expected one image for an id, got 10 images \(ids 11, 12, 13, 14, 15 and 5 more\)"
    with pytest.raises(ValueError, match=message):
        fed(*images, duplicates="error").compute()
    padded = fed(found_one(), found_one(), duplicates="error")
    with pytest.warns(UserWarning, match=r"1 image \(id 1\) was seen again"):
        assert padded.compute()["map"] == 1


def test_duplicates_are_fixed_when_a_metric_is_made() -> None:
    with pytest.raises(ValueError, match="duplicates: expected one of"):
        MeanAveragePrecision(duplicates="ignore")
    metric = MeanAveragePrecision()
    with pytest.raises(ValueError, match="duplicates: fixed when a MeanAveragePrecision is made"):
        metric.duplicates = "keep"
    with pytest.raises(ValueError, match="only states of one configuration add up"):
        metric.merge_state(MeanAveragePrecision(duplicates="keep"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_noise_of_another_batch_is_padding(dtype: torch.dtype) -> None:
    """Also where it changes the order of detections: two of nearly equal scores and quite other areas."""
    noise = torch.finfo(dtype).eps
    corner = torch.tensor([[0.0, 0, 100, 100], [0, 0, 20, 20], [5, 5, 300, 200]])
    scores, labels = torch.tensor([0.5, 0.5, 0.02]), torch.tensor([1, 1, 0])
    target = {"boxes": corner[:1], "labels": labels[:1], "image_id": 7}
    one = {"boxes": corner, "scores": scores * torch.tensor([1 + noise, 1, 1]), "labels": labels}
    again = {
        "boxes": corner * (1 - noise / 2),
        "scores": scores * torch.tensor([1, 1 + noise, 1 + noise]),
        "labels": labels,
    }
    with pytest.warns(UserWarning, match=r"1 image \(id 7\) was seen again .* about the same predictions") as caught:
        fed((one, target), (again, target)).compute()
    assert len(caught) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"scores": torch.tensor([0.5, 0.52])},
        {"labels": torch.tensor([100, 102])},
        {"boxes": torch.tensor([[0.0, 0, 10, 10], [0, 0, 20, 21]])},
        {"boxes": torch.zeros(1, 4), "scores": torch.tensor([0.5]), "labels": torch.tensor([100])},
    ],
    ids=lambda change: next(iter(change)),
)
def test_more_than_noise_is_another_prediction(change: Item) -> None:
    preds = {"boxes": torch.tensor([[0.0, 0, 10, 10], [0, 0, 20, 20]]), "scores": torch.tensor([0.5, 0.5])}
    one = {**preds, "labels": torch.tensor([100, 101])}
    target = tile(0.5)[1]
    with pytest.warns(UserWarning, match=r"id 2\) was seen again .* other predictions"):
        fed((one, target), ({**one, **change}, target), (one, tile(0.5, image_id=3)[1])).compute()


def test_one_reading_warns_once_for_all_that_share_it() -> None:
    metric = fed(found_one(), found_one(), tile(0.9), tile(0.8))
    with pytest.warns(UserWarning, match="seen again") as caught:
        metric.compute()
    assert len(caught) == 2
    metric.iou_thresholds = [0.5]
    metric.compute()  # the same reading


def test_several_similarities_warn_together() -> None:
    mask = torch.ones(1, 4, 4, dtype=torch.bool)
    image = {"boxes": torch.tensor([[0.0, 0, 4, 4]]), "masks": mask, "labels": torch.tensor([0])}
    preds, target = {**image, "scores": torch.tensor([0.5])}, {**image, "image_id": 6}
    other = {**preds, "masks": mask.clone()}
    other["masks"][0, 0] = False
    with pytest.warns(UserWarning, match="seen again") as caught:
        fed((preds, target), (other, target), iou_type=["bbox", "segm"]).compute()
    (warning,) = caught
    assert "other predictions" in str(warning.message)


def test_padding_across_ranks_warns_once() -> None:
    """Two ranks that have the same three images."""
    ranks = {"dist_sync_fn": lambda vector, group=None: [vector, vector], "distributed_available_fn": lambda: True}
    metric = fed(found_one(), tile(0.9), tile(0.8, image_id=3), **ranks)
    with pytest.warns(UserWarning, match=r"3 images \(ids 1, 2, 3\) were seen again .* Samplers repeat") as caught:
        value = metric.compute()["map"]
    assert len(caught) == 1
    assert value.item() == pytest.approx(1 / 3)
    assert (metric.num_images, metric.num_duplicates) == (3, 3)
    metric.iou_thresholds = [0.75]
    metric.compute()  # no second gather, and no second word
