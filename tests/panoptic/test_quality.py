"""Panoptic quality against a loop over segments, arithmetic by hand, and torchmetrics."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torchmetrics.detection import PanopticQuality as TorchmetricsQuality

from detmetrics import PanopticQuality
from detmetrics.functional import panoptic_quality
from tests.panoptic.slow import Problem, random_problem, slow_counts, slow_scores

LABELS = (3, 5, 9)


def fed(problem: Problem, **settings: Any) -> PanopticQuality:
    metric = PanopticQuality(**{"things": [3, 9], "stuffs": [5], **settings})
    metric.update(*problem)
    return metric


def close(value: Any, expected: float) -> bool:
    value = float(value)
    return math.isnan(expected) if math.isnan(value) else abs(value - expected) < 1e-14


@pytest.mark.parametrize("threshold", [0.5, 0.6, 0.75])
def test_random_maps_with_voids_and_crowds_equal_a_loop_over_segments(threshold: float) -> None:
    kinds = {"match": 0, "crowd": 0, "undefined": 0}
    for seed in range(12):
        problem = random_problem(seed)
        counts = slow_counts(problem, threshold)
        metric = fed(problem)
        metric.threshold = threshold  # after the update
        result, by_class, by_image = metric.compute(), metric.per_class(), metric.per_image()
        expected = slow_scores(counts, LABELS)
        for label, (pq, sq, rq) in expected.items():
            for name, value in (("pq", pq), ("sq", sq), ("rq", rq)):
                assert close(result[f"{name}/{label}"], value)
            kinds["undefined"] += math.isnan(pq)
        for i, name in enumerate(("pq", "sq", "rq")):
            for group, labels in (("", LABELS), ("_things", (3, 9)), ("_stuffs", (5,))):
                values = [expected[label][i] for label in labels if not math.isnan(expected[label][i])]
                assert close(result[name + group], sum(values) / len(values) if values else math.nan)
        for image, entry in enumerate(counts):
            assert by_image["tp"][image] == sum(len(e[0]) for e in entry.values())
            assert by_image["fp"][image] == sum(e[1] for e in entry.values())
            assert by_image["fn"][image] == sum(e[2] for e in entry.values())
            defined = [v[0] for v in slow_scores([entry], LABELS).values() if not math.isnan(v[0])]
            assert close(by_image["pq"][image], sum(defined) / len(defined) if defined else math.nan)
        kinds["match"] += int(by_class["tp"].sum())
        kinds["crowd"] += sum(s["iscrowd"] for segments in problem.target_info for s in segments)
    assert kinds["match"] > {0.5: 40, 0.6: 25, 0.75: 8}[threshold]
    assert kinds["crowd"] > 10


@pytest.mark.parametrize("size", [(14, 17), (60, 50)])
def test_boundaries_equal_a_loop_over_pixels(size: tuple[int, int]) -> None:
    distance = max(round(0.02 * math.hypot(*size)), 1)
    matches = differing = 0
    for seed in range(6 if size[0] < 20 else 1):
        problem = random_problem(seed, images=3, size=size)
        expected = slow_scores(slow_counts(problem, distance=distance), LABELS)
        metric = fed(problem, boundary=True)
        result = metric.compute()
        for label, scores in expected.items():
            for name, value in zip(("pq", "sq", "rq"), scores, strict=True):
                assert close(result[f"{name}/{label}"], value)
        matches += int(metric.per_class()["tp"].sum())
        differing += not torch.equal(result["pq"], fed(problem).compute()["pq"])
    assert matches
    assert differing


def test_by_hand() -> None:
    """5 x 4 pixels: a match that void makes perfect, a miss, a false positive, one in void and one in a crowd."""
    target = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 0], [2, 2, 3, 3], [4, 4, 4, 4], [0, 0, 0, 2]])
    preds = torch.tensor([[11, 11, 11, 11], [11, 11, 11, 0], [0, 12, 12, 0], [13, 13, 13, 13], [14, 14, 14, 14]])
    target_info = [{"id": i, "category_id": 1, "iscrowd": int(i == 4)} for i in range(1, 5)]
    preds_info = [{"id": i, "category_id": 1} for i in range(11, 15)]
    metric = PanopticQuality([1], [])
    metric.update(preds[None], target[None], [preds_info], [target_info])
    # tp: 1 with 11, 6 / (6 + 7 - 1 - 6). fn: 2 and 3. fp: 12; 13 is in a crowd, three quarters of 14 are void.
    by_class = metric.per_class()
    assert [by_class[k].item() for k in ("tp", "fp", "fn", "iou_sum")] == [1, 1, 2, 1.0]
    assert metric.compute()["pq"] == 1 / (1 + 0.5 + 1)
    assert metric.compute()["pq_stuffs"].isnan()


def test_half_is_no_match_and_half_in_void_is_a_false_positive() -> None:
    info = [[{"id": 1, "category_id": 0}]]
    metric = PanopticQuality([0], [])
    metric.update(torch.tensor([[1, 1, 0, 0]]), torch.tensor([[0, 1, 1, 1]]), info, info)  # IoU 1 / (2 - 1 + 3 - 1)
    metric.update(torch.tensor([[1, 1]]), torch.tensor([[1, 0]]), info, info)  # IoU 1 / 1
    metric.update(torch.tensor([[1, 0]]), torch.tensor([[1, 1]]), info, info)  # IoU 1 / 2
    images = metric.per_image()
    assert images["tp"].tolist() == [0, 1, 0]
    assert images["fp"].tolist() == [1, 0, 1]
    assert images["fn"].tolist() == [1, 0, 1]


def category_maps(seed: int, unknown_target: bool) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    target = torch.randint(0, 4, (4, 3, 4, 2), generator=generator)
    target = target.repeat_interleave(4, dim=1).repeat_interleave(4, dim=2)
    preds = torch.where(torch.rand(target.shape[:-1], generator=generator)[..., None] < 0.25, target.roll(1, 2), target)
    preds[..., 0] = preds[..., 0].where(torch.rand(preds.shape[:-1], generator=generator) < 0.97, 2)
    if unknown_target:
        target[..., 0] = target[..., 0].where(torch.rand(target.shape[:-1], generator=generator) < 0.9, 77)
    return preds, target


@pytest.mark.parametrize("unknown_target", [False, True])
def test_category_maps_equal_torchmetrics(unknown_target: bool) -> None:
    for seed in range(15):
        preds, target = category_maps(seed, unknown_target)
        theirs = TorchmetricsQuality({0, 2}, {1, 3}, return_sq_and_rq=True, return_per_class=True)
        theirs.update(preds, target)
        ours = PanopticQuality({0, 2}, {1, 3})
        ours.update(preds.to(torch.uint8), target.to(torch.int32))
        by_class = ours.per_class()
        order = list(theirs.cat_id_to_continuous_id)
        for name, index in (("pq", 0), ("sq", 1), ("rq", 2)):
            expected = theirs.compute()[:, index]
            found = torch.stack([by_class[name][by_class["label"].tolist().index(label)] for label in order])
            assert torch.allclose(found.nan_to_num(0.0), expected.double(), rtol=0, atol=1e-7)
        assert by_class["tp"].sum() > 0
        assert by_class["fp"].sum() > 0


def test_three_dimensions_and_maps_of_other_sizes_equal_flat_ones() -> None:
    preds, target = category_maps(3, True)
    settings: dict[str, Any] = {"things": {0, 2}, "stuffs": {1, 3}}
    expected = panoptic_quality(preds, target, **settings)
    for shape in ((4, 192, 2), (4, 2, 6, 16, 2)):
        assert panoptic_quality(preds.reshape(shape), target.reshape(shape), **settings) == expected
    shapes = ((12, 16, 2), (6, 32, 2), (192, 2), (4, 48, 2))
    listed = [[one.reshape(s) for one, s in zip(side, shapes, strict=True)] for side in (preds, target)]
    assert panoptic_quality(*listed, **settings) == expected


def test_unknown_predicted_categories_are_void_if_they_may_be() -> None:
    target = torch.tensor([[[0, 1], [0, 1], [0, 1], [0, 1]]])
    preds = torch.tensor([[[0, 1], [0, 1], [0, 1], [5, 1]]])
    with pytest.raises(ValueError, match=r"^preds\[0\]: expected categories \[0\], got 5; allow_unknown"):
        panoptic_quality(preds, target, things=[0], stuffs=[])
    result = panoptic_quality(preds, target, things=[0], stuffs=[], allow_unknown_preds_category=True)
    assert result["pq"] == 0.75  # torchmetrics has 1: it takes the pixel out of the union
