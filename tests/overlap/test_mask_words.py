"""Mask overlaps against pycocotools' run-length encoding, and boundaries against erosion pixel by pixel."""

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask
from torch import Tensor

from detmetrics.overlap import mask_words as ops
from detmetrics.overlap.boundary import mask_boundary


def random_masks(count: int, height: int, width: int, seed: int) -> Tensor:
    """Rectangles, some of them sparse, some empty, one full."""
    generator = torch.Generator().manual_seed(seed)
    masks = torch.zeros(count, height, width, dtype=torch.bool)
    for mask in masks:
        top, bottom = torch.randint(0, height + 1, (2,), generator=generator).sort().values.tolist()
        left, right = torch.randint(0, width + 1, (2,), generator=generator).sort().values.tolist()
        mask[top:bottom, left:right] = torch.rand(bottom - top, right - left, generator=generator) < 0.8
    masks[:1] = True
    return masks


def encoded(masks: Tensor) -> list[dict[str, object]]:
    return coco_mask.encode(np.asfortranarray(masks.permute(1, 2, 0).numpy().astype(np.uint8)))


@pytest.fixture(params=["words", "products"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways of intersecting, whatever the device."""
    monkeypatch.setattr(ops, "multiplies", lambda device: request.param == "products")


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(("height", "width"), [(1, 1), (7, 9), (64, 64), (600, 24), (3, 2100)])
def test_areas_and_intersections_are_those_of_pycocotools(height: int, width: int) -> None:
    detections, targets = random_masks(12, height, width, 0), random_masks(7, height, width, 1)
    pairs = [(d, t) for t, some in enumerate([range(12), (3, 9), (), (11,), (), range(5, 12), (0,)]) for d in some]
    detection, target = torch.tensor(pairs).unbind(1)
    packed = ops.to_words(detections)
    assert packed.area.tolist() == coco_mask.area(encoded(detections)).tolist()
    expected = [
        int(coco_mask.area(coco_mask.merge([encoded(detections)[d], encoded(targets)[t]], intersect=True)))
        for d, t in pairs
    ]
    for budget in (1, 1000, 1 << 26):
        found = ops.mask_intersections(packed, ops.to_words(targets), detection, target, budget)
        assert found.tolist() == expected


def test_boxes_hold_the_masks() -> None:
    masks = torch.zeros(3, 10, 40, dtype=torch.bool)
    masks[0, 2:5, 17:20] = True  # words 2 of 0 to 4
    masks[1, 9, 39] = True
    assert ops.to_words(masks).box.tolist() == [[2, 2, 5, 3], [9, 4, 10, 5], [0, 0, 0, 0]]


def test_slices_and_strides() -> None:
    masks = random_masks(6, 3, 8, 4)
    flat = torch.cat([torch.zeros(5, dtype=torch.bool), masks.flatten()])
    unaligned = flat[5:].view(6, 3, 8)
    transposed = masks.transpose(0, 1).contiguous().transpose(0, 1)
    for same in (unaligned, transposed):
        assert torch.equal(ops.to_words(same).words, ops.to_words(masks).words)
    strided = torch.nn.functional.pad(masks, (0, 0, 0, 1)).flatten(1)[:, :24].view(6, 3, 8)  # contiguous but for this
    cropped = torch.nn.functional.pad(masks, (3, 2))[..., 3:-2]
    for same in (strided, cropped):
        for some in (slice(0, 0), slice(0, 1), slice(2, 5)):
            assert torch.equal(ops.to_words(same[some]).words, ops.to_words(masks[some]).words)
    buffer = torch.frombuffer(bytearray(5 + masks.numel()), dtype=torch.bool, offset=5).view(6, 3, 8).copy_(masks)
    assert torch.equal(ops.to_words(buffer).words, ops.to_words(masks).words)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("shape", [(0, 5, 8), (3, 0, 8), (3, 5, 0)])
def test_no_rows_columns_or_masks(shape: tuple[int, int, int]) -> None:
    packed = ops.to_words(torch.zeros(shape, dtype=torch.bool))
    assert packed.area.tolist() == [0] * shape[0]


@pytest.mark.usefixtures("way")
def test_a_mask_of_more_pixels_than_small_lanes_can_count() -> None:
    masks = torch.ones(1, 3000, 4000, dtype=torch.bool)
    packed = ops.to_words(masks)
    assert packed.area.item() == 12_000_000
    zero = torch.tensor([0])
    assert ops.mask_intersections(packed, packed, zero, zero).item() == 12_000_000


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(("height", "width", "ratio"), [(20, 30, 0.02), (40, 31, 0.06), (9, 9, 0.5), (1, 5, 0.02)])
def test_boundaries_are_what_erosion_takes_away(height: int, width: int, ratio: float) -> None:
    masks = random_masks(6, height, width, 2)
    distance = max(round(ratio * (height**2 + width**2) ** 0.5), 1)
    eroded = masks.clone()
    for _ in range(distance):  # one pixel at a time, as the authors do
        framed = torch.nn.functional.pad(eroded, (1, 1, 1, 1))
        shifted = [framed[:, y : y + height, x : x + width] for y in range(3) for x in range(3)]
        eroded = torch.stack(shifted).all(0)
    assert torch.equal(mask_boundary(masks, ratio), masks & ~eroded)
    assert torch.equal(mask_boundary(masks.mT, ratio), (masks & ~eroded).mT)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (7, 9), (16, 24), (33, 50)])
def test_hashes_tell_pixels_apart_and_nothing_else(height: int, width: int) -> None:
    masks = torch.cat([random_masks(12, height, width, 3), torch.zeros(1, height, width, dtype=torch.bool)])
    hashes = ops.hash_pixels(ops.to_words(masks).words)
    distinct = len(masks.flatten(1).unique(dim=0))
    assert len(hashes.unique()) == distinct
    assert hashes[-1] == 0
    down_the_columns = ops.hash_pixels(ops.to_words(masks.mT).words, transposed=True)
    larger_image = ops.hash_pixels(ops.to_words(torch.nn.functional.pad(masks, (0, 11, 0, 3))).words)
    assert torch.equal(down_the_columns, hashes)
    assert torch.equal(larger_image, hashes)


def test_hashes_of_masks_that_differ_in_one_pixel() -> None:
    masks = torch.eye(24 * 24, dtype=torch.bool).view(-1, 24, 24)
    for some in (masks, ~masks):
        assert len(ops.hash_pixels(ops.to_words(some).words).unique()) == 24 * 24


@pytest.mark.parametrize("shape", [(0, 5, 8), (3, 0, 8), (3, 5, 0)])
def test_hashes_of_no_pixels(shape: tuple[int, int, int]) -> None:
    assert ops.hash_pixels(ops.to_words(torch.zeros(shape, dtype=torch.bool)).words).tolist() == [0] * shape[0]
