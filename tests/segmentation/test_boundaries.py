"""Metrics of boundaries against scipy and slow loops."""

import math
from typing import Any

import numpy as np
import pytest
import scipy.ndimage
import torch
from torch import Tensor

from detmetrics.functional import (
    segmentation_boundary_f1_score,
    segmentation_boundary_iou,
    segmentation_iou,
    segmentation_trimap_iou,
)

CLASSES, IGNORED = 4, 255
RATIOS = (0.0, 0.02, 0.1, 0.3)
seeds = pytest.mark.parametrize("seed", range(12))


def random_maps(seed: int) -> tuple[Tensor, Tensor]:
    """Maps of regions (3, H, W); the last class never occurs, and some of the target is ignored."""
    rng = np.random.default_rng(seed)
    shape = rng.integers(1, 24, 2)
    smooth = [scipy.ndimage.gaussian_filter(rng.random((3, *shape)), (0, 1.5, 1.5)) for _ in range(2)]
    near = 0.7 * smooth[0] + 0.3 * smooth[1]
    preds, target = (np.digitize(values, [0.45, 0.52]) for values in (near, smooth[0]))
    target[rng.random(target.shape) < 0.02] = IGNORED
    return torch.tensor(preds), torch.tensor(target)


def masks_of(preds: Tensor, target: Tensor, image: int, label: int) -> tuple[np.ndarray, np.ndarray]:
    kept = (target[image] != IGNORED).numpy()
    return (preds[image] == label).numpy() & kept, (target[image] == label).numpy() & kept


def distance_of(shape: Any, ratio: float) -> int:
    return max(round(ratio * math.hypot(*shape)), 1)


def boundary(mask: np.ndarray, distance: int) -> np.ndarray:
    """As the authors' API does with OpenCV: the mask without what several erosions leave, zeros around the image."""
    return mask & ~scipy.ndimage.binary_erosion(mask, np.ones((3, 3)), iterations=distance)


def contour_counts(preds: np.ndarray, target: np.ndarray, distance: int) -> tuple[int, int, int, int]:
    """Hits and pixels of the predicted contour, then those of the target."""
    contours = [mask & ~scipy.ndimage.binary_erosion(mask) for mask in (preds, target)]
    found = []
    for own, other in (contours, contours[::-1]):
        away = scipy.ndimage.distance_transform_edt(~other) if other.any() else np.full(other.shape, np.inf)
        found += [int((away[own] <= distance).sum()), int(own.sum())]
    return found[0], found[1], found[2], found[3]


def f1(hit_preds: int, num_preds: int, hit_target: int, num_target: int) -> float:
    if num_preds + num_target == 0:
        return math.nan
    p, r = hit_preds / max(num_preds, 1), hit_target / max(num_target, 1)
    return 2 * p * r / (p + r) if p + r else 0.0


def ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator else math.nan


@seeds
def test_boundary_iou_is_that_of_the_authors(seed: int) -> None:
    preds, target = random_maps(seed)
    for dilation in RATIOS:
        distance = distance_of(target.shape[1:], dilation)
        both, either = np.zeros(CLASSES), np.zeros(CLASSES)
        for image in range(len(target)):
            for label in range(CLASSES):
                p, t = (boundary(mask, distance) for mask in masks_of(preds, target, image, label))
                both[label] += (p & t).sum()
                either[label] += (p | t).sum()
        found = segmentation_boundary_iou(
            preds, target, num_classes=CLASSES, ignore_index=IGNORED, dilation_ratio=dilation, average="none"
        )
        assert np.array_equal(found.numpy(), np.array(list(map(ratio, both, either))), equal_nan=True)


@seeds
def test_boundary_f1_is_that_of_distance_maps(seed: int) -> None:
    preds, target = random_maps(seed)
    given = {"num_classes": CLASSES, "ignore_index": IGNORED, "average": "none"}
    for dilation in RATIOS:
        distance = distance_of(target.shape[1:], dilation)
        cells = np.array(
            [[contour_counts(*masks_of(preds, target, i, c), distance) for c in range(4)] for i in range(3)]
        )
        found = segmentation_boundary_f1_score(preds, target, dilation_ratio=dilation, **given)
        expected = [f1(*counts) for counts in cells.sum(axis=0).tolist()]
        assert np.allclose(found.numpy(), expected, rtol=1e-14, atol=0, equal_nan=True)
        found = segmentation_boundary_f1_score(preds, target, dilation_ratio=dilation, aggregate="classwise", **given)
        by_image = np.array([[f1(*counts) for counts in image] for image in cells.tolist()])
        expected = [ratio(np.nansum(column), np.isfinite(column).sum()) for column in by_image.T]
        assert np.allclose(found.numpy(), expected, rtol=1e-14, atol=0, equal_nan=True)


@seeds
@pytest.mark.parametrize("width", [1, 2, 5, 40])
def test_trimap_iou_is_the_iou_within_the_band(seed: int, width: int) -> None:
    preds, target = random_maps(seed)
    within = target.clone()
    for image, row, column in np.ndindex(*target.shape):
        rows, columns = (slice(max(at - width, 0), at + width + 1) for at in (row, column))
        window = target[image, rows, columns]
        if len(set(window.flatten().tolist()) - {IGNORED}) < 2:
            within[image, row, column] = IGNORED
    given = {"num_classes": CLASSES, "ignore_index": IGNORED, "average": "none"}
    found = segmentation_trimap_iou(preds, target, width_px=width, **given)
    assert torch.equal(found.nan_to_num(-1), segmentation_iou(preds, within, **given).nan_to_num(-1))


@pytest.mark.parametrize(
    "function", [segmentation_boundary_iou, segmentation_boundary_f1_score, segmentation_trimap_iou]
)
def test_masks_are_maps_of_two_classes(function: Any) -> None:
    generator = torch.Generator().manual_seed(5)
    preds, target = torch.rand(2, 2, 3, 9, 11, generator=generator)
    target = (target < 0.6).long()
    target[:, :, 2, 3:5] = IGNORED
    given = {"ignore_index": IGNORED, "average": "none"}
    together = function(preds, target, task="multilabel", num_classes=3, threshold=0.3, **given)
    for label in range(3):
        alone = function(
            preds[:, label], target[:, label], task="binary", threshold=0.3, average="micro", ignore_index=IGNORED
        )
        as_maps = function((preds[:, label] >= 0.3).long(), target[:, label], num_classes=2, **given)
        assert alone == together[label] == as_maps[1]


@pytest.mark.parametrize(
    "function", [segmentation_boundary_iou, segmentation_boundary_f1_score, segmentation_trimap_iou]
)
def test_bad_inputs(function: Any) -> None:
    volume = torch.zeros(1, 2, 3, 4, dtype=torch.int64)
    with pytest.raises(ValueError, match="target: expected images of 2 dimensions, got 3"):
        function(volume, volume, num_classes=2)
    with pytest.raises(ValueError, match=r"target\[0\]: expected labels 0 to 1, got -1"):
        function(volume[0], volume[0] - 1, num_classes=2)
    name = "width_px" if function is segmentation_trimap_iou else "dilation_ratio"
    with pytest.raises(ValueError, match=f"{name}: expected"):
        function(volume[0], volume[0], num_classes=2, **{name: -1})


def test_no_images() -> None:
    none = torch.zeros(0, 4, 4, dtype=torch.int64)
    for function in (segmentation_boundary_iou, segmentation_boundary_f1_score, segmentation_trimap_iou):
        assert function(none, none, num_classes=2).isnan()
