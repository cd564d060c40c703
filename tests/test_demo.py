"""The generated data set: what it promises to look like."""

import pytest
import torch
from torch import Tensor
from torchvision.ops import box_area, box_iou

from detmetrics.demo import IMAGE_SIZE, generate, generate_label_maps
from tests.problems import Item

Data = tuple[list[Item], list[Item]]


@pytest.fixture(scope="module")
def data() -> Data:
    return generate(num_images=400, num_detections=30, num_classes=20, seed=1)


def column(items: list[Item], key: str) -> Tensor:
    return torch.cat([item[key] for item in items])


def same(data1: Data, data2: Data) -> bool:
    items1, items2 = data1[0] + data1[1], data2[0] + data2[1]
    return all(
        torch.equal(torch.as_tensor(item1[key]), torch.as_tensor(item2[key]))
        for item1, item2 in zip(items1, items2, strict=True)
        for key in item1
    )


def test_equal_seeds_give_equal_data_with_any_number_of_threads(data: Data) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        again = generate(num_images=400, num_detections=30, num_classes=20, seed=1)
    finally:
        torch.set_num_threads(threads)
    assert same(data, again)
    assert not same(data, generate(num_images=400, num_detections=30, num_classes=20, seed=2))


def test_the_global_generator_is_left_alone() -> None:
    state = torch.get_rng_state()
    generate(num_images=2, num_detections=3, num_classes=4)
    assert torch.equal(torch.get_rng_state(), state)


def test_shapes_and_dtypes(data: Data) -> None:
    preds, target = data
    assert len(preds) == len(target) == 400
    assert [item["image_id"] for item in target] == list(range(1, 401))
    for item in preds:
        assert item["boxes"].shape == (30, 4)
        assert item["scores"].shape == item["labels"].shape == (30,)
        assert item["scores"].equal(item["scores"].sort(descending=True).values)
    assert {item["boxes"].dtype for item in preds + target} == {torch.float32}
    assert {item["labels"].dtype for item in preds + target} == {torch.int64}
    assert {item["iscrowd"].dtype for item in target} == {torch.bool}


def test_boxes_lie_in_the_image_on_the_grid(data: Data) -> None:
    for items in data:
        boxes = column(items, "boxes")
        assert (boxes >= 0).all()
        assert (boxes <= torch.tensor(IMAGE_SIZE).repeat(2)).all()
        assert (boxes[:, :2] < boxes[:, 2:]).all()
        assert torch.equal(boxes * 8, (boxes * 8).round())
    scores = column(data[0], "scores")
    assert torch.equal(scores * 2**20, (scores * 2**20).round())
    assert (scores >= 0).all()
    assert (scores <= 1).all()


def test_it_looks_like_coco(data: Data) -> None:
    target = data[1]
    counts = torch.tensor([len(item["labels"]) for item in target])
    assert counts.float().mean().item() == pytest.approx(7.2, rel=0.15)
    assert (counts == 0).any()
    area = box_area(column(target, "boxes"))
    assert 0.3 < (area < 32**2).float().mean() < 0.5
    assert 0.15 < (area > 96**2).float().mean() < 0.35
    frequency = column(target, "labels").bincount(minlength=20)
    assert frequency[0] > 1.4 * frequency[1] > 1.4 * frequency[4] > 1.4 * frequency[19]
    assert 0.003 < column(target, "iscrowd").float().mean() < 0.03


def test_detections_hit_miss_repeat_and_stray(data: Data) -> None:
    hits = strays = missed = repeated = 0
    overlaps, scores = [], []
    for pred, truth in zip(*data, strict=True):
        good = (box_iou(pred["boxes"], truth["boxes"]) >= 0.5) & (pred["labels"][:, None] == truth["labels"])  # (N, M)
        hits += int(good.any(dim=1).sum())
        strays += int((~good.any(dim=1)).sum())
        missed += int((~good.any(dim=0)).sum())
        repeated += int((good.sum(dim=0) > 1).sum())
        overlaps.append(good.any(dim=1).float())
        scores.append(pred["scores"])
    num_targets = sum(len(item["labels"]) for item in data[1])
    assert hits > 0.5 * num_targets
    assert strays > hits
    assert 0.1 * num_targets < missed < 0.5 * num_targets
    assert repeated > 0.1 * num_targets
    correlation = torch.corrcoef(torch.stack([torch.cat(overlaps), torch.cat(scores)]))[0, 1]
    assert 0.4 < correlation < 0.95


@pytest.mark.parametrize("sizes", [(1, 1, 1), (3, 2, 5), (2, 300, 1203)])
def test_any_size(sizes: tuple[int, int, int]) -> None:
    num_images, num_detections, num_classes = sizes
    preds, target = generate(num_images, num_detections, num_classes, num_targets=2.0)
    assert [len(item["scores"]) for item in preds] == [num_detections] * num_images
    assert all((item["labels"] < num_classes).all() for item in preds + target)


def test_label_maps() -> None:
    preds, target = generate_label_maps(12, 5, seed=3)
    again = generate_label_maps(12, 5, seed=3)
    assert torch.equal(preds, again[0])
    assert torch.equal(target, again[1])
    assert not torch.equal(preds, generate_label_maps(12, 5, seed=4)[0])
    labelled = target != 255
    assert target[labelled].unique().tolist() == preds.unique().tolist() == list(range(5))
    assert 0.85 < labelled.double().mean() < 0.95
    assert 0.75 < (preds == target)[labelled].double().mean() < 0.95
    counts = target[labelled].long().bincount()
    assert counts[0] > counts[4]
    with pytest.raises(ValueError, match="num_classes: expected at most 255, which is not labelled, got 256"):
        generate_label_maps(1, 256)
