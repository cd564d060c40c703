"""Masks that stay encoded give what decoded masks give, and take memory by their runs."""

import subprocess
import sys
from typing import Any

import pytest
import torch

from detmetrics import MeanAveragePrecision
from detmetrics.overlap.boundary import mask_boundary
from detmetrics.overlap.mask_words import MASK_BUDGET, hash_pixels, to_words
from detmetrics.overlap.rle import mask_areas, mask_boxes, paint, read_runs
from detmetrics.overlap.run_boundary import boundary_runs
from detmetrics.overlap.run_masks import crop, hash_runs_of_masks
from tests import oracle
from tests.problems import mask_problem

GENERATOR = torch.Generator().manual_seed(0)
SIZES = [(1, 1), (7, 9), (8, 8), (16, 24), (33, 70), (70, 33)]


def some_masks(size: tuple[int, int]) -> torch.Tensor:
    """Noise, boxes, an empty and a full mask."""
    masks = torch.rand(8, *size, generator=GENERATOR) < torch.tensor([0.0, 0.02, 0.3, 0.9, 1.0, 1, 1, 1])[:, None, None]
    for mask in masks[5:]:
        top, left = (int(torch.randint(side, (), generator=GENERATOR)) for side in size)
        mask[:] = False
        mask[top : top + 5, left : left + 30] = True
    return masks


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_areas_boxes_and_hashes_are_those_of_decoded_masks(size: tuple[int, int]) -> None:
    masks = some_masks(size)
    runs = read_runs(oracle.encode(masks))
    assert mask_areas(runs).tolist() == masks.sum((1, 2)).tolist()
    words = to_words(masks).words
    for budget in (1, 1 << 10, MASK_BUDGET):
        assert hash_runs_of_masks(runs, budget).tolist() == hash_pixels(words).tolist()
    for index, (box, mask) in enumerate(zip(mask_boxes(runs).tolist(), masks, strict=True)):
        at = mask.nonzero()
        expected = [*at.amin(0).flip(0).tolist(), *(at.amax(0) + 1).flip(0).tolist()] if len(at) else [0, 0, 0, 0]
        left, top, right, bottom = box
        assert box == expected
        assert crop(runs, index, (left, top, right, bottom))[0].equal(mask[top:bottom, left:right])


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("budget", [1, 1 << 14, MASK_BUDGET])
def test_boundaries_are_those_of_decoded_masks(size: tuple[int, int], budget: int) -> None:
    masks = torch.cat([some_masks(size), some_masks(size)])
    used = torch.tensor([0, 2, 3, 4, 5, 7, 8, 11, 12, 15])
    runs = boundary_runs(read_runs(oracle.encode(masks)), used, budget)
    assert runs.size.tolist() == [list(size)] * len(used)
    painted = paint(runs, len(used), *size)
    assert painted.equal(mask_boundary(masks[used]))


def test_a_boundary_of_a_mask_whose_runs_touch() -> None:
    """Runs of no pixels stand between runs of the mask: 6 x 8 pixels, of which all but two are in the mask."""
    parted = read_runs([{"size": [6, 8], "counts": [0, 3, 0, 5, 0, 0, 0, 38, 2]}])
    whole = read_runs([{"size": [6, 8], "counts": [0, 46, 2]}])
    used = torch.zeros(1, dtype=torch.int64)
    expected = mask_boundary(paint(whole, 1, 6, 8))
    for runs in (parted, whole):
        assert paint(boundary_runs(runs, used, MASK_BUDGET), 1, 6, 8).equal(expected)


@pytest.mark.parametrize("iou_type", ["segm", "boundary"])
@pytest.mark.parametrize("pairs", ["same", "all"])
@pytest.mark.parametrize("seed", range(3))
def test_states_are_those_of_decoded_masks(iou_type: str, pairs: str, seed: int) -> None:
    problem = mask_problem(seed, images=6, image_ids=True)
    preds, target = (
        [{**item, "masks": oracle.encode(item["masks"])} for item in side] for side in (problem.preds, problem.target)
    )
    states: list[dict[str, Any]] = []
    for budget in (MASK_BUDGET, 1):
        metric = MeanAveragePrecision(iou_type=iou_type, pairs=pairs, mask_budget=budget)
        metric.update(preds, target)
        states.append(metric.metric_state)
    for name, value in states[0].items():
        assert torch.equal(torch.cat(value), torch.cat(states[1][name])), name


LARGE = """
import torch
from detmetrics import MeanAveragePrecision
def peak():
    return int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) // 1024  # MB
side = 20_000
def mask(i):
    start = side * (1500 * i) + 100 * i
    return {"size": [side, side], "counts": [start, 50, side - 50, 50, side * side - start - side - 50]}
full = {"size": [side, side], "counts": [0, side * side]}
frame = {"size": [side, side], "counts": [5 * side + 7, side * side - 10 * side, 5 * side - 7]}
items = [*(mask(i) for i in range(12)), full, frame]
labels = torch.arange(14).clamp(max=1)
before = peak()
for iou_type in ("segm", "boundary"):
    metric = MeanAveragePrecision(iou_type=iou_type)
    metric.update([{"masks": items, "labels": labels, "scores": torch.linspace(0, 1, 14)}],
                  [{"masks": items, "labels": labels, "image_id": 3}])
    assert metric.compute()["map"] == 1
print(peak() - before)
"""


def test_masks_of_huge_images_take_memory_by_their_runs() -> None:
    """Fourteen masks of 20,000 x 20,000 pixels, two of which fill it, are 5.6 GB when they are decoded."""
    done = subprocess.run([sys.executable, "-c", LARGE], capture_output=True, text=True, timeout=120, check=False)
    assert done.stderr == ""
    assert int(done.stdout) < 300
