"""Masks and boundaries: the numbers are pycocotools', whatever form the masks come in, and wrong input says why."""

import copy
import json
import math
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision import tv_tensors

from detmetrics import DetectionF1Score, DetectionPrecision, DetectionRecall, MeanAveragePrecision
from detmetrics.functional import mean_average_precision
from detmetrics.overlap import mask_words
from detmetrics.overlap import masks as module
from detmetrics.overlap.similarity import Request, similarity
from detmetrics.state import devices
from tests import oracle
from tests.problems import Item, Problem, mask_problem, shuffled, split
from tests.reference import masks as reference

SAMPLE = {"segm": 300, "boundary": 100}
both = pytest.mark.parametrize("iou_type", ["segm", "boundary"])


def bits(result: dict[str, Tensor]) -> dict[str, list[Any]]:
    return {key: value.nan_to_num(-1).tolist() for key, value in result.items()}


def fed(metric: MeanAveragePrecision, *parts: tuple[list[Item], list[Item]]) -> MeanAveragePrecision:
    for preds, target in parts:
        metric.update(preds, target)
    return metric


def one(masks: Tensor, scores: list[float], targets: Tensor, **extra: Any) -> tuple[list[Item], list[Item]]:
    """An image of one class."""
    preds = {"masks": masks, "scores": torch.tensor(scores), "labels": torch.zeros(len(masks), dtype=torch.int64)}
    return [preds], [{"masks": targets, "labels": torch.zeros(len(targets), dtype=torch.int64), **extra}]


def rectangle(height: int, width: int, size: tuple[int, int] = (120, 130), left: int = 0) -> Tensor:
    mask = torch.zeros(1, *size, dtype=torch.bool)
    mask[0, :height, left : left + width] = True
    return mask


# ---------------------------------------------------------------------------------------------------- random problems


@both
def test_random_problems_agree(iou_type: str) -> None:
    for seed in range(SAMPLE[iou_type]):
        problem = mask_problem(seed)
        settings = {"iou_type": iou_type, **problem.settings}
        result = mean_average_precision(problem.preds, problem.target, **settings, extended_summary=True)
        try:
            oracle.assert_agrees(result, oracle.evaluate(problem.preds, problem.target, **settings))
        except AssertionError as error:
            raise AssertionError(f"mask_problem({seed}), {settings}: {error}") from None


@both
def test_the_way_of_a_gpu_gives_the_same_bits(iou_type: str, monkeypatch: pytest.MonkeyPatch) -> None:
    problems = [mask_problem(seed, image_ids=True) for seed in range(12)]
    settings = {"iou_type": iou_type, "extended_summary": True}
    results = []
    for multiplies in (False, True):
        monkeypatch.setattr(mask_words, "multiplies", lambda device, answer=multiplies: answer)
        results.append([mean_average_precision(p.preds, p.target, **p.settings, **settings) for p in problems])
    for words, products in zip(*results, strict=True):
        assert all(torch.equal(words[key].nan_to_num(-1), products[key].nan_to_num(-1)) for key in words)


def features(problem: Problem) -> set[str]:
    """What a problem has in it that a wrong matcher could stumble over."""
    found, seen = set(), set()
    for preds, target in zip(problem.preds, problem.target, strict=True):
        labels, crowd = preds["labels"], target.get("iscrowd", torch.zeros_like(target["labels"])).bool()
        rows = [[reference.iou(p.numpy(), t.numpy(), False) for t in target["masks"][~crowd]] for p in preds["masks"]]
        overlap = torch.tensor(rows).reshape(len(labels), int((~crowd).sum()))
        overlap = torch.where(labels[:, None] == target["labels"][~crowd], overlap, 0.0)
        best = overlap.sort(dim=1, descending=True).values[:, :2]  # (N, 2)
        scored = {*zip(labels.tolist(), preds["scores"].tolist(), strict=True)}
        found |= {
            name
            for name, here in (
                ("score tie", len(scored - seen) < len(labels)),
                ("IoU tie", best.shape[1] == 2 and ((best[:, 0] >= 0.5) & (best[:, 0] == best[:, 1])).any()),
                ("crowd", crowd.any()),
                ("no targets or detections", not len(labels) or not len(crowd)),
                ("odd width", preds["masks"].shape[2] % 8),
                ("empty mask", (preds["masks"].flatten(1).sum(1) == 0).any()),
            )
            if here
        }
        seen |= scored
    return found


def test_random_problems_hold_what_they_promise() -> None:
    measured = [features(mask_problem(seed)) for seed in range(60)]
    assert sum({"score tie", "IoU tie", "crowd"} <= found for found in measured) >= 12
    for name in ("no targets or detections", "odd width"):
        assert sum(name in found for found in measured) >= 12
    assert any("empty mask" in found for found in measured)


@both
@pytest.mark.parametrize("pairs", ["same", "all"])
def test_overlaps_are_those_of_loops_over_pixels(iou_type: str, pairs: str) -> None:
    slow_iou = reference.iou if iou_type == "segm" else reference.boundary_iou
    for seed in range(12):
        problem = mask_problem(seed, images=2)
        request = Request(torch.device("cpu"), pairs, 0.1)
        found = similarity(iou_type, mask_budget=1000).measure(problem.preds, problem.target, request).overlaps
        assert found is not None
        expected, n, m = {}, 0, 0
        for preds, target in zip(problem.preds, problem.target, strict=True):
            crowd = target.get("iscrowd", torch.zeros(len(target["labels"]))).tolist()
            for i, (mask, label) in enumerate(zip(preds["masks"], preds["labels"], strict=True)):
                for j, (other, wanted) in enumerate(zip(target["masks"], target["labels"], strict=True)):
                    iou = slow_iou(mask.numpy(), other.numpy(), bool(crowd[j]))
                    if iou >= 0.1 and (pairs == "all" or label == wanted):
                        expected[n + i, m + j] = iou
            n, m = n + len(preds["labels"]), m + len(target["labels"])
        keys = zip(found.detection.tolist(), found.target.tolist(), strict=True)
        assert dict(zip(keys, found.iou.tolist(), strict=True)) == expected


# -------------------------------------------------------------------------------------------------------- input forms


def as_encodings(masks: Tensor, listed: bool) -> list[dict[str, Any]]:
    if not listed:
        return oracle.encode(masks)
    found = []
    for mask in masks:
        column = torch.cat([torch.tensor([False]), mask.T.flatten()])
        ends = [*column.diff().nonzero().flatten().tolist(), mask.numel()]
        counts = [end - start for start, end in zip([0, *ends], ends, strict=False)]
        found.append({"size": tuple(mask.shape), "counts": counts})
    return found


def soft(masks: Tensor) -> Tensor:
    return torch.where(masks, 0.5, 0.5 - 2**-12)  # the threshold itself is inside


def empty_of_any_shape(masks: Tensor) -> Tensor:
    return masks if len(masks) else torch.zeros(0)


FORMS = {
    "uint8": lambda masks: masks.to(torch.uint8) * 255,
    "int64": lambda masks: masks.long(),
    "float32": soft,
    "float16": lambda masks: soft(masks).half(),
    "from Mask R-CNN": lambda masks: soft(masks)[:, None],
    "tv_tensors": tv_tensors.Mask,
    "view": lambda masks: torch.nn.functional.pad(masks, (3, 2, 1, 1))[:, 1:-1, 3:-2],
    "transposed": lambda masks: masks.mT.contiguous().mT,
    "(0,) if none": empty_of_any_shape,
    "compressed": lambda masks: as_encodings(masks, listed=False),
    "uncompressed": lambda masks: as_encodings(masks, listed=True),
}


@both
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_every_form_gives_the_same_bits(form: Any, iou_type: str) -> None:
    for seed in range(4):
        problem = mask_problem(seed)
        settings = {"iou_type": iou_type, "extended_summary": True, **problem.settings}
        plain = mean_average_precision(problem.preds, problem.target, **settings)
        sides = [[{**item, "masks": form(item["masks"])} for item in side] for side in (problem.preds, problem.target)]
        assert bits(mean_average_precision(*sides, **settings)) == bits(plain)
        mixed = mean_average_precision(sides[0], problem.target, **settings)
        assert bits(mixed) == bits(plain)


def test_images_of_an_update_differ_in_size() -> None:
    first = one(rectangle(40, 40, size=(41, 43)), [0.9], rectangle(40, 40, size=(41, 43)))
    second = one(rectangle(50, 50, size=(60, 200)), [0.8], rectangle(50, 25, size=(60, 200)))
    result = mean_average_precision(first[0] + second[0], first[1] + second[1], iou_type="segm")
    assert result["mar_100"] == pytest.approx((10 + 1) / 20)  # found at all thresholds, and at .5 alone
    assert result["map_50"] == 1


def test_boxes_are_not_asked_for_and_not_looked_at() -> None:
    preds, target = one(rectangle(40, 40), [0.9], rectangle(40, 40))
    preds[0]["boxes"] = torch.full((1, 4), math.nan)
    assert mean_average_precision(preds, target, iou_type="segm")["map"] == 1


# -------------------------------------------------------------------------------------------------- areas and corners


def test_areas_are_those_of_masks_unless_given() -> None:
    # 32 * 32 = 1024 pixels in a box of 32 * 64, every other column: small and medium, not that of the box alone
    mask = rectangle(32, 64)
    mask[..., ::2] = False
    result = mean_average_precision(*one(mask, [0.9], mask), iou_type="segm")
    assert (result["map_small"], result["map_medium"]) == (1, 1)
    assert result["map_large"].isnan()
    given = mean_average_precision(*one(mask, [0.9], mask, area=torch.tensor([9217])), iou_type="segm")
    assert given["map_large"] == 1
    assert given["map_small"].isnan()


def test_unmatched_detections_have_the_area_of_their_mask() -> None:
    sparse = rectangle(100, 120, left=4)
    sparse[..., 1::2] = False  # 6,000 pixels in a box of 12,000: medium
    masks = torch.cat([sparse, rectangle(100, 100)])
    result = mean_average_precision(*one(masks, [0.9, 0.8], rectangle(100, 100)), iou_type="segm")
    assert result["map_large"] == 1  # there it is ignored
    assert result["map"] == 0.5  # and here it comes first


@both
def test_false_positives_on_an_image_without_targets_count(iou_type: str) -> None:
    found = one(rectangle(50, 50), [0.5], rectangle(50, 50))
    for none in (torch.zeros(0, 120, 130, dtype=torch.bool), torch.zeros(0)):
        stray = one(rectangle(50, 50), [0.95], none)
        result = mean_average_precision(found[0] + stray[0], found[1] + stray[1], iou_type=iou_type)
        assert result["map"] == 0.5  # the best detection is wrong (torchmetrics 1.9: 1.0)


@both
def test_empty_predictions_of_a_target_give_0(iou_type: str) -> None:
    for preds in (torch.zeros(0), torch.zeros(0, 120, 130), rectangle(0, 0)):
        result = mean_average_precision(*one(preds, [0.9] * len(preds), rectangle(50, 50)), iou_type=iou_type)
        assert (result["map"], result["mar_100"]) == (0, 0)


def test_a_crowd_takes_any_number_and_asks_for_the_share_of_the_detection() -> None:
    targets = torch.cat([rectangle(10, 10), rectangle(120, 90, left=40)])
    inside = [rectangle(20, 20, left=left) for left in (40, 70, 110)]
    preds = torch.cat([rectangle(10, 10), *inside, rectangle(20, 20, left=20)])
    crowd = torch.tensor([0, 1])
    result = mean_average_precision(*one(preds, [0.5, 0.9, 0.8, 0.7, 0.6], targets, iscrowd=crowd), iou_type="segm")
    assert result["map"] == 0.5  # three are ignored, the stray at .6 comes before the hit


def test_boundaries_tell_shapes_apart_that_masks_do_not() -> None:
    square, hollow = rectangle(100, 100), rectangle(100, 100)
    hollow[0, 30:70, 30:70] = False  # IoU 8400 / 10000
    # 4 pixels wide: 10000 - 92 * 92 = 1536, and about the hole 48 * 48 - 40 * 40 = 704: 1536 / 2240 = .69
    arguments = one(hollow, [0.9], square)
    assert mean_average_precision(*arguments, iou_type="segm")["mar_100"] == 0.7  # .5 to .8
    assert mean_average_precision(*arguments, iou_type="boundary")["mar_100"] == 0.4  # .5 to .65


# ----------------------------------------------------------------------------------------------------- several types


def with_boxes(problem: Problem) -> tuple[list[Item], list[Item]]:
    """The masks and their boxes, xyxy."""
    sides = []
    for side in (problem.preds, problem.target):
        items = []
        for item in side:
            boxes = oracle.with_encodings(item)["boxes"]
            items.append({**item, "boxes": boxes})
        sides.append(items)
    return sides[0], sides[1]


@pytest.mark.parametrize("iou_types", [("bbox", "segm"), ["segm", "bbox"], ("bbox", "segm", "boundary")])
def test_several_types_are_as_many_metrics(iou_types: Any) -> None:
    for seed in range(6):
        problem = mask_problem(seed, images=5, image_ids=bool(seed % 2))
        preds, target = with_boxes(problem)
        settings = {"class_metrics": True, **problem.settings}
        metric = MeanAveragePrecision(iou_type=iou_types, **settings)
        fed(metric, (preds[:2], target[:2]), (preds[2:], target[2:]))
        expected = {}
        for iou_type in iou_types:
            single = bits(mean_average_precision(preds, target, iou_type=iou_type, **settings))
            expected |= {key if key == "classes" else f"{iou_type}_{key}": value for key, value in single.items()}
        assert bits(metric.compute()) == expected


def test_keys_and_numbers_of_torchmetrics() -> None:
    from torchmetrics.detection import MeanAveragePrecision as Torchmetrics

    problem = mask_problem(11, images=9, plain=True)
    kept = [i for i, item in enumerate(problem.target) if len(item["labels"])]  # it drops images without targets
    preds, target = ([side[i] for i in kept] for side in with_boxes(problem))
    for item in target:
        item.pop("area", None), item.pop("ignore", None)
    thresholds = {"iou_thresholds": oracle.COCO_THRESHOLDS, "rec_thresholds": oracle.COCO_RECALL}
    theirs = Torchmetrics(iou_type=("bbox", "segm"), class_metrics=True, **thresholds)
    theirs.update(preds, target)
    expected = theirs.compute()
    result = mean_average_precision(preds, target, iou_type=("bbox", "segm"), class_metrics=True)
    assert set(result) == set(expected)
    assert len(kept) >= 3
    for key, value in expected.items():
        ours = result[key].double().nan_to_num(-1)
        torch.testing.assert_close(ours, value.double(), rtol=0, atol=1e-6)  # theirs are float32


def test_one_name_in_a_list_has_no_prefix() -> None:
    arguments = one(rectangle(50, 50), [0.9], rectangle(50, 50))
    assert "map" in mean_average_precision(*arguments, iou_type=["segm"])


@pytest.mark.parametrize("iou_type", ["points", (), ("segm", "segm"), None, ("segm", 3)])
def test_wrong_types(iou_type: Any) -> None:
    with pytest.raises(ValueError, match=r"iou_type: expected one of .* or several distinct ones, got "):
        MeanAveragePrecision(iou_type=iou_type)


# ---------------------------------------------------------------------------------------------- budget, state, merging


@both
def test_the_budget_changes_nothing_and_is_kept(iou_type: str, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    masks = torch.rand(24, 200, 264, generator=generator) < 0.9
    arguments = one(masks, [0.5] * 24, masks[:12])
    expected = bits(mean_average_precision(*arguments, iou_type=iou_type))
    budget, taken = 1 << 20, []
    index_select = Tensor.index_select

    def spy(self: Tensor, dim: int, index: Tensor) -> Tensor:
        found = index_select(self, dim, index)
        taken.append(found.numel() * found.element_size() if found.ndim == 3 and found.dtype == torch.int64 else 0)
        return found

    monkeypatch.setattr(Tensor, "index_select", spy)
    assert bits(mean_average_precision(*arguments, iou_type=iou_type, mask_budget=budget)) == expected
    assert 0 < max(taken) <= budget / 3
    assert bits(mean_average_precision(*arguments, iou_type=iou_type, mask_budget=1)) == expected
    monkeypatch.undo()
    for wrong in (0, 1.5, "64 MB"):
        with pytest.raises(ValueError, match="mask_budget: expected a positive int, got"):
            MeanAveragePrecision(mask_budget=wrong)  # type: ignore[arg-type]


def test_only_pairs_of_a_class_whose_extents_meet_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[int, int]] = []
    intersect = module.mask_intersections

    def spy(detections: Any, targets: Any, detection: Tensor, target: Tensor, budget: int) -> Tensor:
        compared.extend(zip(detection.tolist(), target.tolist(), strict=True))
        return intersect(detections, targets, detection, target, budget)

    monkeypatch.setattr(module, "mask_intersections", spy)
    masks = torch.cat([rectangle(20, 20, left=left) for left in (0, 16, 64)])
    preds, target = one(masks, [0.9, 0.8, 0.7], masks)
    target[0]["labels"] = torch.tensor([0, 1, 0])
    mean_average_precision(preds, target, iou_type="segm")
    assert compared == [(0, 0), (1, 0), (2, 2)]
    compared.clear()
    mean_average_precision(preds, target, iou_type="segm", class_agnostic=True)
    assert compared == [(0, 0), (1, 0), (0, 1), (1, 1), (2, 2)]


@pytest.mark.filterwarnings("ignore:.* seen again with the same target")  # the first images come twice
@both
def test_batches_merges_and_pickles_give_the_same_bits(iou_type: str) -> None:
    for seed in range(6):
        problem = mask_problem(seed, images=6, image_ids=True)
        settings = {"iou_type": (iou_type, "bbox") if seed % 2 else iou_type, **problem.settings}
        preds, target = with_boxes(problem)
        whole = fed(MeanAveragePrecision(**settings), (preds, target))
        expected = bits(whole.compute())
        parts = [(preds[part], target[part]) for part in split(seed, len(preds))]
        assert bits(fed(MeanAveragePrecision(**settings), *parts).compute()) == expected
        preds, target = shuffled(seed, preds, target)
        merged = fed(MeanAveragePrecision(**settings), (preds[:2], target[:2]))
        merged.merge_state(fed(MeanAveragePrecision(**settings), (preds[2:], target[2:]), (preds[:1], target[:1])))
        assert bits(merged.compute()) == expected
        assert bits(pickle.loads(pickle.dumps(merged)).compute()) == expected
        restored = MeanAveragePrecision(**settings)
        restored.persistent(True)
        merged.persistent(True)
        restored.load_state_dict(merged.state_dict())
        assert bits(restored.compute()) == expected


def test_forward_gives_the_batch_and_keeps_the_rest() -> None:
    problem = mask_problem(3, images=6, plain=True)
    preds, target = problem.preds, problem.target
    metric = MeanAveragePrecision(iou_type="segm")
    for i in range(len(preds)):
        batch = metric(preds[i : i + 1], target[i : i + 1])
        assert bits(batch) == bits(mean_average_precision(preds[i : i + 1], target[i : i + 1], iou_type="segm"))
    assert bits(metric.compute()) == bits(mean_average_precision(preds, target, iou_type="segm"))


def test_inputs_are_not_changed_and_no_mask_is_kept() -> None:
    preds, target = one(rectangle(50, 50), [0.9], rectangle(50, 50))
    kept = copy.deepcopy((preds, target))
    metric = fed(MeanAveragePrecision(iou_type="segm"), (preds, target))
    for items, before in zip((preds, target), kept, strict=True):
        assert items[0].keys() == before[0].keys()
        assert all(torch.equal(items[0][key], before[0][key]) for key in before[0])
    preds[0]["masks"].zero_()
    assert metric.compute()["map"] == 1
    held = sum(chunk.numel() * 8 for chunks in metric.metric_state.values() for chunk in chunks)
    assert held == 48 + 24 + 24 + 16  # an image, a detection, a target, an overlap


# -------------------------------------------------------------------------------------------------------- wrong input

RIGHT = rectangle(5, 5, size=(6, 7))
WRONG: dict[str, tuple[str, dict[str, Any], str]] = {
    "no masks": ("preds", {"masks": None}, r"preds[1]['masks']: expected a tensor, got NoneType"),
    "shape": ("preds", {"masks": RIGHT[0]}, r"preds[1]['masks']: expected shape (N, H, W) or (N, 1, H, W), got (6, 7)"),
    "channels": (
        "target",
        {"masks": RIGHT.expand(2, 3, 6, 7)},
        r"target[1]['masks']: expected shape (N, H, W) or (N, 1, H, W), got (2, 3, 6, 7)",
    ),
    "complex": ("preds", {"masks": RIGHT.cfloat()}, r"preds[1]['masks']: expected a real dtype, got torch.complex64"),
    "another size": (
        "target",
        {"masks": rectangle(5, 5, size=(7, 6))},
        r"preds[1]['masks'] and target[1]['masks']: expected masks of one size, got (6, 7) and (7, 6)",
    ),
    "device": (
        "preds",
        {"masks": RIGHT.to("meta")},
        r"preds[1]['masks']: expected a tensor on the metric's device cpu",
    ),
    "encodings": (
        "target",
        {"masks": [{"size": [6, 7], "counts": [3]}]},
        r"target[1]['masks']: expected runs of 0 or more that add up to 6 * 7 pixels, got 3 pixels",
    ),
    "a list of tensors": (
        "preds",
        {"masks": [RIGHT[0]]},
        r"preds[1]['masks']: expected dicts of 'size' and 'counts', got Tensor",
    ),
    "labels": (
        "target",
        {"labels": torch.tensor([1, 2])},
        r"target[1]['labels']: expected shape (1,), one for each of 1 masks, got (2,)",
    ),
    "float labels": ("preds", {"labels": torch.tensor([1.0])}, r"preds[1]['labels']: expected an integer dtype"),
    "scores": (
        "preds",
        {"scores": torch.tensor([0.5, 0.5])},
        r"preds[1]['scores']: expected shape (1,), one for each of 1 masks, got (2,)",
    ),
    "NaN score": (
        "preds",
        {"scores": torch.tensor([math.nan])},
        r"preds[1]['scores']: expected finite scores, got nan",
    ),
    "crowds": (
        "target",
        {"iscrowd": torch.tensor([0, 1])},
        r"target[1]['iscrowd']: expected shape (1,), one for each of 1 masks, got (2,)",
    ),
    "crowd is no tensor": ("target", {"iscrowd": [0]}, r"target[1]['iscrowd']: expected a tensor, got list"),
    "area": (
        "target",
        {"area": torch.tensor([[1.0]])},
        r"target[1]['area']: expected shape (1,), one for each of 1 masks, got (1, 1)",
    ),
    "negative area": (
        "target",
        {"area": torch.tensor([-1.0])},
        r"target[1]['area']: expected finite areas of 0 or more",
    ),
}


@pytest.mark.parametrize(("side", "change", "message"), WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("iou_type", ["segm", ("bbox", "segm")], ids=str)
def test_wrong_input_is_named_and_changes_nothing(
    iou_type: Any, side: str, change: dict[str, Any], message: str
) -> None:
    preds, target = (items * 2 for items in one(RIGHT, [0.9], RIGHT))
    if iou_type != "segm":
        preds, target = ([{**item, "boxes": torch.zeros(1, 4)} for item in items] for items in (preds, target))
    metric = fed(MeanAveragePrecision(iou_type=iou_type), (preds, target))
    before = bits(metric.compute())
    wrong = {"preds": [*preds], "target": [*target]}
    wrong[side][1] = {**wrong[side][1], **change}
    # the boxes of several types are looked at first, and speak of boxes
    expected = message if iou_type == "segm" else message.replace("1 masks", "1 ")[:40]
    with pytest.raises(ValueError, match=re.escape(expected)):
        metric.update(**wrong)
    assert bits(metric.compute()) == before
    assert metric.num_images == 2


def test_missing_keys() -> None:
    preds, target = one(RIGHT, [0.9], RIGHT)
    for side, key in (("preds", "masks"), ("preds", "labels"), ("preds", "scores"), ("target", "masks")):
        sides = {"preds": [{**preds[0]}], "target": [{**target[0]}]}
        del sides[side][0][key]
        with pytest.raises(ValueError, match=rf"{side}\[0\]: expected the key '{key}', got the keys"):
            MeanAveragePrecision(iou_type="segm").update(**sides)
    with pytest.raises(ValueError, match=r"preds and target: expected lists of the same length, got 1 and 2"):
        MeanAveragePrecision(iou_type="segm").update(preds, target * 2)
    with pytest.raises(ValueError, match=r"preds\[0\]: expected a dict, got Tensor"):
        MeanAveragePrecision(iou_type="segm").update([RIGHT], target)  # type: ignore[list-item]


@both
def test_deferred_value_checks(iou_type: str, monkeypatch: pytest.MonkeyPatch) -> None:
    problems = [mask_problem(seed, images=6, image_ids=False) for seed in range(6)]
    settings = [{"iou_type": iou_type, **problem.settings} for problem in problems]
    expected = [bits(mean_average_precision(p.preds, p.target, **s)) for p, s in zip(problems, settings, strict=True)]
    monkeypatch.setattr(devices, "defers_value_checks", lambda device: True)
    for problem, own, value in zip(problems, settings, expected, strict=True):
        metric = fed(MeanAveragePrecision(**own), (problem.preds, problem.target))
        assert bits(metric.compute()) == value
        wrong = one(rectangle(50, 50).expand(2, -1, -1), [0.5, math.nan], rectangle(50, 50))
        metric.update(wrong[0] + problem.preds[:1], wrong[1] + problem.target[:1])  # raises later
        with pytest.raises(ValueError, match=r"preds.*'scores'.*finite scores"):
            metric.compute()
        metric.reset()
        assert bits(fed(metric, (problem.preds, problem.target)).compute()) == value


# ------------------------------------------------------------------------------------------------ operating point


def counted(problem: Problem, iou_type: str, iou_threshold: float, score_threshold: float) -> tuple[int, int, int]:
    """True positives, false positives and false negatives by loops: each detection takes the best free target."""
    slow_iou = reference.iou if iou_type == "segm" else reference.boundary_iou
    tp = fp = fn = 0
    for preds, target in zip(problem.preds, problem.target, strict=True):
        masks, scores, labels = (preds[key] for key in ("masks", "scores", "labels"))
        crowd = target.get("iscrowd", torch.zeros(len(target["labels"]))).bool().tolist()
        ignored = target.get("ignore", torch.zeros(len(crowd))).bool().tolist()
        taken: set[int] = set()
        for i in sorted(range(len(scores)), key=lambda i: -scores[i].item()):
            if scores[i] < score_threshold:
                continue
            best, best_rank = None, (False, iou_threshold)
            for j, mask in enumerate(target["masks"]):
                if (j in taken and not crowd[j]) or labels[i] != target["labels"][j]:
                    continue
                iou = slow_iou(masks[i].numpy(), mask.numpy(), crowd[j])
                rank = (not crowd[j] and not ignored[j], iou)
                if iou >= iou_threshold and rank >= best_rank:
                    best, best_rank = j, rank
            if best is None:
                fp += 1
            else:
                taken.add(best)
                tp += best_rank[0]
        fn += sum(not crowd[j] and not ignored[j] and j not in taken for j in range(len(crowd)))
    return tp, fp, fn


@both
def test_operating_point_metrics_count_masks(iou_type: str) -> None:
    found = 0
    for seed in range(25):
        problem = mask_problem(seed, images=3, plain=True)
        for item in problem.target:
            item.pop("area", None)
        settings = {"iou_type": iou_type, "iou_threshold": (0.5, 0.3)[seed % 2], "score_threshold": 0.4}
        tp, fp, fn = counted(problem, iou_type, settings["iou_threshold"], 0.4)
        expected = {
            DetectionPrecision: (tp, tp + fp),
            DetectionRecall: (tp, tp + fn),
            DetectionF1Score: (2 * tp, 2 * tp + fp + fn),
        }
        for metric_class, (above, below) in expected.items():
            metric = metric_class(**settings)
            metric.update(problem.preds, problem.target)
            value = metric.compute()
            assert isinstance(value, Tensor)
            assert value.item() == pytest.approx(above / below if below else math.nan, rel=0, abs=1e-14, nan_ok=True)
        found += tp
    assert found >= 50


def test_operating_point_metrics_take_one_type() -> None:
    with pytest.raises(
        ValueError, match=r"iou_type: expected one of \('bbox', 'segm', 'boundary', 'keypoints'\), got "
    ):
        DetectionF1Score(iou_type=("bbox", "segm"))  # type: ignore[arg-type]


# ----------------------------------------------------------------------------------------------------------- real data


def class_map(image: Any, colours: dict[str, int]) -> Any:
    rgb = np.asarray(image.convert("RGB"))
    classes = np.zeros(rgb.shape[:2], dtype=np.int64)
    for colour, label in colours.items():
        classes[(rgb == [int(part) for part in colour.split(",")]).all(axis=2)] = label
    return classes


def things(panoptic: Any, divisor: int) -> Item:
    """Masks of the instances, in the order of their first pixel by rows, and their classes; class 0 is ignored."""
    ids, first = np.unique(panoptic, return_index=True)
    ids = [int(i) for i in ids[first.argsort()] if i // divisor]
    masks = torch.stack([torch.from_numpy(panoptic == i) for i in ids])
    return {"masks": masks, "labels": torch.tensor([i // divisor for i in ids])}


def test_deeplab2_team(data_root: Path) -> None:
    meta = json.loads((data_root / "deeplab2_pq" / "META.json").read_text())
    folder = data_root / "deeplab2_pq" / "testdata"
    truth, found, colours = (
        Image.open(folder / f"team_{name}.png") for name in ("gt_instance", "pred_instance", "pred_class")
    )
    instances = np.asarray(truth.convert("L")).astype(np.int64)
    gt_classes = np.zeros_like(instances)
    for instance, label in meta["gt_instance_to_class"]["team_gt_instance.png"].items():
        gt_classes[instances == int(instance)] = label
    target = things(gt_classes * 256 + instances, 256)
    classes = class_map(colours, meta["class_colours_rgb"])
    preds = things(classes * 256 + np.asarray(found.convert("L")), 256)
    preds["scores"] = torch.ones(len(preds["labels"]))

    result = mean_average_precision([preds], [target], iou_type="segm", extended_summary=True)
    recorded = [math.nan if v == -1 else v for v in meta["recorded"]["team instance AP (12 COCO)"]]
    assert [result[key].item() for key in oracle.STATS] == pytest.approx(recorded, rel=0, abs=5.1e-5, nan_ok=True)
    oracle.assert_agrees(result, oracle.evaluate([preds], [target], iou_type="segm"))
