"""Box overlaps, bit for bit those of pycocotools, whatever the budget of bytes."""

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask
from torch import Tensor

from detmetrics.overlap.boxes import box_area, box_overlap, find_overlaps, to_xywh
from detmetrics.overlap.candidates import BYTES_PER_PAIR
from detmetrics.overlap.similarity import Overlaps


def random_boxes(count: int, seed: int, grid: float) -> Tensor:
    """xywh boxes, many of them touching or of no area; ``grid`` 0 gives any float64."""
    generator = torch.Generator().manual_seed(seed)
    boxes = torch.rand(count, 4, generator=generator, dtype=torch.float64) * 40
    return (boxes / grid).round() * grid if grid else boxes


@pytest.mark.parametrize("grid", [0.0, 1.0, 8.0, 0.1])
def test_overlaps_are_those_of_pycocotools_to_the_last_bit(grid: float) -> None:
    boxes1, boxes2 = random_boxes(60, 0, grid), random_boxes(40, 1, grid)
    iscrowd = torch.arange(40) % 3 == 0
    expected = coco_mask.iou(boxes1.numpy(), boxes2.numpy(), iscrowd.numpy().astype(np.uint8))
    overlaps = box_overlap(boxes1[:, None], boxes2, iscrowd)
    assert torch.equal(overlaps, torch.from_numpy(expected))
    assert (overlaps == 0).any()
    assert (overlaps > 0.5).any()


def all_pairs(boxes1: Tensor, boxes2: Tensor, iscrowd: Tensor, count: Tensor, floor: float) -> Overlaps:
    """The same by looking at each pair, candidates being the first detections."""
    found = [
        (d, t, float(box_overlap(boxes1[d], boxes2[t], iscrowd[t])))
        for t in range(len(boxes2))
        for d in range(int(count[t]))
    ]
    kept = [(d, t, iou) for d, t, iou in found if iou >= floor and iou > 0]
    detection, target, iou = zip(*kept, strict=True)
    return Overlaps(torch.tensor(detection), torch.tensor(target), torch.tensor(iou, dtype=torch.float64))


@pytest.mark.parametrize("floor", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("pairs_at_once", [1, 7, 60, 10**6])
def test_candidates_above_the_floor_within_any_budget(floor: float, pairs_at_once: int) -> None:
    boxes1, boxes2 = random_boxes(30, 2, 4.0), random_boxes(12, 3, 4.0)
    iscrowd = torch.arange(12) % 4 == 0
    count = torch.tensor([30, 0, 5, 30, 1, 0, 0, 30, 12, 3, 30, 0])
    budget = pairs_at_once * BYTES_PER_PAIR
    found = find_overlaps(boxes1, boxes2, iscrowd, torch.zeros(12, dtype=torch.int64), count, floor, budget)
    for ours, expected in zip(found, all_pairs(boxes1, boxes2, iscrowd, count, floor), strict=True):
        assert torch.equal(ours, expected)


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1.0])
@pytest.mark.parametrize("offset", [0.0, 5e5, -1e9, 1e30])
def test_candidates_are_found_at_any_place_and_scale(scale: float, offset: float) -> None:
    """Where float32 does not tell coordinates apart, no pair may be lost."""
    boxes1, boxes2 = random_boxes(40, 4, 2.0) * scale, random_boxes(40, 5, 2.0) * scale
    boxes1[:, 0] += offset
    boxes2[:, 0] += offset
    iscrowd, count = torch.zeros(40, dtype=torch.bool), torch.full((40,), 40)
    found = find_overlaps(boxes1, boxes2, iscrowd, torch.zeros(40, dtype=torch.int64), count, 0.0)
    overlaps = box_overlap(boxes1, boxes2[:, None], iscrowd[:, None])
    target, detection = (overlaps > 0).nonzero().unbind(1)
    for ours, expected in zip(found, (detection, target, overlaps[target, detection]), strict=True):
        assert torch.equal(ours, expected)


def test_nothing_to_compare() -> None:
    none = torch.empty((0, 4), dtype=torch.float64)
    index = torch.empty(0, dtype=torch.int64)
    for targets in (0, 3):
        boxes = torch.ones((targets, 4), dtype=torch.float64)
        zeros = torch.zeros(targets, dtype=torch.int64)
        found = find_overlaps(none, boxes, zeros.bool(), zeros, zeros, 0.1)
        assert [part.tolist() for part in found] == [[], [], []]
        assert found.detection.dtype == index.dtype


@pytest.mark.parametrize(
    ("box_format", "boxes"),
    [("xyxy", [[10, 20, 14, 28]]), ("xywh", [[10, 20, 4, 8]]), ("cxcywh", [[12, 24, 4, 8]])],
)
@pytest.mark.parametrize("dtype", [torch.int32, torch.uint8, torch.float16, torch.bfloat16, torch.float64])
def test_formats(box_format: str, boxes: list[list[int]], dtype: torch.dtype) -> None:
    given = torch.tensor(boxes, dtype=dtype)
    corner, size = to_xywh(given, box_format)
    assert corner.tolist() == [[10, 20]]
    assert size.tolist() == [[4, 8]]
    assert box_area(torch.cat([corner, size], dim=1)).tolist() == [32]
    corner += 1  # a copy: the input stays
    assert given.tolist() == boxes
