"""The quality of instances against loops over instances and an optimal assignment, and panoptica's recorded numbers."""

import gzip
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from detmetrics import InstanceQuality
from detmetrics.functional import instance_quality
from tests.segmentation.registry import same_bits

THRESHOLDS = (0.5, 0.6, 0.75, 1.0)
SCORES = ("f1", "precision", "recall", "accuracy", "pq", "sq")


def cells(seed: int, images: int = 6, side: int = 24) -> tuple[Tensor, Tensor]:
    """Round instances with ids up to 2**31, predicted shifted, split in halves, merged, missed and invented."""
    generator = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    target, preds = (torch.zeros((images, side, side), dtype=torch.int64) for _ in range(2))
    for image in range(1, images):  # the first is empty
        for cell in range(7):
            cy, cx, radius, kind = (int(torch.randint(0, n, (1,), generator=generator)) for n in (side, side, 4, 7))
            disc = (y - cy) ** 2 + (x - cx) ** 2 <= (radius + 2) ** 2
            target[image][disc] = 2**31 - cell
            shift = {0: (0, 1), 1: (1, 1)}.get(kind, (0, 0))
            if kind != 2:  # missed
                preds[image][disc.roll(shift, (0, 1))] = 3 + cell
            if kind == 3:  # split
                preds[image][disc & (y > cy)] = 1000 + cell
        preds[image, 1, :4] = 77
        target[image, -4:, :4] = 5  # two halves: an IoU of .5 twice
        preds[image, -4:, :2], preds[image, -4:, 2:4] = 50, 51
        target[image, -4:, -4:-2], target[image, -4:, -2:] = 6, 7
        preds[image, -4:, -4:] = 52
    preds[2] = 0
    target[3] = 0
    return preds, target


def overlaps(preds: Tensor, target: Tensor) -> tuple[Any, Any, Any]:
    """Intersections, unions (M, N), and the area of each prediction, in loops over instances."""
    predicted, wanted = ([m == i for i in m.unique().tolist() if i] for m in (preds, target))
    both = np.array([[int((t & p).sum()) for p in predicted] for t in wanted]).reshape(len(wanted), len(predicted))
    union = np.array([[int((t | p).sum()) for p in predicted] for t in wanted]).reshape(both.shape)
    return both, union, ([int(p.sum()) for p in predicted], [int(t.sum()) for t in wanted])


def slow_matches(preds: Tensor, target: Tensor, threshold: float) -> tuple[int, int, int, float]:
    """tp, fp, fn and the sum of IoU of an assignment with as many matches as can be, as StarDist and Cellpose have."""
    both, union, _ = overlaps(preds, target)
    iou = both / union
    at = linear_sum_assignment((iou >= threshold) + iou / (2 * max(iou.size, 1)), maximize=True)
    hits = iou[at][iou[at] >= threshold]
    return len(hits), iou.shape[1] - len(hits), iou.shape[0] - len(hits), float(hits.sum())


def slow_jaccard(preds: Tensor, target: Tensor) -> tuple[int, int]:
    """The pixels of the intersections and of the unions, target after target, as in algorithm 1 of the paper."""
    both, union, (areas, wanted) = overlaps(preds, target)
    inside = total = 0
    used = set()
    for t in range(len(both)):
        if both[t].any():
            best = int(np.argmax(both[t] / union[t]))
            inside, total = inside + both[t, best], total + union[t, best]
            used.add(best)
        else:
            total += wanted[t]
    return inside, total + sum(area for p, area in enumerate(areas) if p not in used)


def ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator else math.nan


def scores(tp: int, fp: int, fn: int, iou: float) -> list[float]:
    """In the order of SCORES."""
    shares = [ratio(2 * tp, 2 * tp + fp + fn), ratio(tp, tp + fp), ratio(tp, tp + fn), ratio(tp, tp + fp + fn)]
    return [*shares, ratio(iou, tp + fp / 2 + fn / 2), 0.0 if tp == 0 and fp + fn else ratio(iou, tp)]


def close(value: Any, expected: float) -> bool:
    value = float(value)
    return math.isnan(expected) if math.isnan(value) else abs(value - expected) < 1e-14


def mean(values: list[float]) -> float:
    return float(np.mean(defined)) if (defined := [v for v in values if not math.isnan(v)]) else math.nan


def test_scores_equal_loops_over_instances() -> None:
    halves = 0
    for seed in range(8):
        preds, target = cells(seed)
        metric = InstanceQuality(THRESHOLDS)
        metric.update(preds, target)
        pooled, by_image = metric.compute(), metric.per_image()
        metric.aggregate = "imagewise"  # after the update
        imagewise = metric.compute()
        jaccard = [slow_jaccard(*pair) for pair in zip(preds, target, strict=True)]
        assert close(pooled["aji"], ratio(*map(sum, zip(*jaccard, strict=True))))
        assert close(imagewise["aji"], mean([ratio(*each) for each in jaccard]))
        assert all(close(by_image["aji"][i], ratio(*each)) for i, each in enumerate(jaccard))
        for column, threshold in enumerate(THRESHOLDS):
            counts = [slow_matches(*pair, threshold) for pair in zip(preds, target, strict=True)]
            for i, name in enumerate(("tp", "fp", "fn")):
                assert by_image[name][:, column].tolist() == [count[i] for count in counts]
            every = scores(*map(sum, zip(*counts, strict=True)))  # type: ignore[arg-type]
            cellwise = [scores(*count) for count in counts]
            for i, name in enumerate(SCORES):
                assert close(pooled[f"{name}/{threshold:g}"], every[i])
                assert close(imagewise[f"{name}/{threshold:g}"], mean([each[i] for each in cellwise]))
                assert all(close(a, b[i]) for a, b in zip(by_image[name][:, column], cellwise, strict=True))
        for name in SCORES:
            assert close(pooled[name], mean([float(pooled[f"{name}/{at:g}"]) for at in THRESHOLDS]))
        exact = [overlaps(*pair) for pair in zip(preds, target, strict=True)]
        halves += sum(int((2 * both == union).sum()) for both, union, _ in exact)
    assert halves > 50


def test_by_hand() -> None:
    """A target of 6 pixels with two predictions of 2 and 3 in it, one of 2 that is missed, one of 1 invented."""
    target = torch.tensor([[1, 1, 1, 1, 1, 1, 0, 2, 2, 0, 0]])
    preds = torch.tensor([[4, 4, 5, 5, 5, 0, 0, 0, 0, 0, 9]])
    metric = InstanceQuality()
    metric.update(preds, target)
    result = metric.compute()
    # The best of target 1 is 5, 3 / 6; 2 meets nothing, 4 and 9 are the best of none: 3 / (6 + 2 + 2 + 1).
    assert result["aji"] == 3 / 11
    assert result["pq/0.5"] == 0.5 / (1 + 2 / 2 + 1 / 2)
    assert result["accuracy/0.5"] == 1 / 4
    assert result["f1/0.75"] == 0
    assert result["f1"] == result["f1/0.5"] / 3


def test_background_is_in_unions_and_empty_images_are_undefined() -> None:
    empty = torch.zeros(1, 2, 4, dtype=torch.uint8)
    full = torch.ones_like(empty)
    half = torch.tensor([[[1, 1, 0, 0], [1, 1, 0, 0]]])
    result = instance_quality(full, half)
    assert result["aji"] == 0.5
    assert result["f1/0.5"] == 1
    assert result["pq/0.5"] == 0.5
    assert all(value.isnan() for value in instance_quality(empty, empty).values())
    both = instance_quality([full[0], empty[0]], [full[0], empty[0]], aggregate="imagewise")
    assert both["aji"] == both["f1"] == 1
    assert instance_quality(empty, full)["aji"] == instance_quality(full, empty)["aji"] == 0
    assert instance_quality(empty, empty, zero_division=1.0)["aji"] == 1


def test_volumes_and_maps_of_other_sizes_equal_flat_ones() -> None:
    preds, target = cells(3)
    expected = instance_quality(preds, target)
    for shape in ((6, 576), (6, 4, 6, 24)):
        assert same_bits(instance_quality(preds.reshape(shape), target.reshape(shape)), expected)
    lists = [list(preds[:5]), list(target[:5])]
    for side, maps in zip(lists, (preds, target), strict=True):
        side.append(maps[5].reshape(12, 48))
    assert same_bits(instance_quality(*lists), expected)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"thresholds": [0.4]}, r"^thresholds: expected numbers in \[0.5, 1\]: matches are unique .* got \[0.4\]"),
        ({"thresholds": []}, r"^thresholds: expected a list of numbers"),
        ({"aggregate": "pooled"}, r"^aggregate: expected one of \('dataset', 'imagewise'\), got 'pooled'"),
    ],
)
def test_bad_arguments_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        InstanceQuality(**settings)


def test_settings_change_after_the_update_and_bad_inputs_are_named() -> None:
    preds, target = cells(1)
    metric = InstanceQuality()
    metric.update(preds, target)
    metric.thresholds = [0.9, 0.5, 0.5]
    assert metric.thresholds == (0.5, 0.9)
    assert list(metric.compute()) == ["aji", *SCORES, *(f"{s}/{at}" for s in SCORES for at in (0.5, 0.9))]
    with pytest.raises(ValueError, match=r"^preds: expected the shape of target \(6, 24, 24\), got \(5, 24, 24\)"):
        metric.update(preds[:5], target)
    with pytest.raises(ValueError, match=r"^duplicates: fixed when a InstanceQuality is made"):
        metric.duplicates = "keep"


# ------------------------------------------------------------------------------------------------------ published data


def volume(path: Path) -> Any:
    """The uint8 volume of a NIfTI file."""
    content = gzip.decompress(path.read_bytes())
    shape = struct.unpack("<8h", content[40:56])[1:4]
    assert struct.unpack("<h", content[70:72]) == (2,)  # uint8
    return np.frombuffer(content, np.uint8, math.prod(shape), 352).reshape(shape, order="F")


def components(labels: Any) -> Any:
    """The connected components of each label, with 26 neighbours, as instances."""
    found = np.zeros(labels.shape, dtype=np.int64)
    for label in np.unique(labels)[1:]:
        own = ndimage.label(labels == label, np.ones((3, 3, 3)))[0]
        found[own > 0] = own[own > 0] + found.max()
    return found


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("semantic", {"tp": 73, "fp": 16, "fn": 14, "pq": 0.6586696657808406, "sq": 0.7940127477906024}),
        ("unmatched_instance", {"tp": 19, "fp": 3, "fn": 3, "pq": 0.719252280051296, "sq": 0.8328184295330796}),
    ],
)
def test_panoptica_s_recorded_numbers(folder: str, expected: dict[str, float], data_root: Path) -> None:
    paths = [data_root / "panoptica_spine" / "spine_seg" / folder / f"{side}.nii.gz" for side in ("pred", "ref")]
    volumes = [volume(path) for path in paths]
    if folder == "semantic":
        volumes = [components(each) for each in volumes]
    preds, target = (torch.from_numpy(np.ascontiguousarray(each))[None] for each in volumes)
    metric = InstanceQuality([0.5])
    metric.update(preds, target)
    found = {**metric.per_image(), **metric.compute()}
    for name, value in expected.items():
        assert float(found[name]) == pytest.approx(value, abs=1e-14)
