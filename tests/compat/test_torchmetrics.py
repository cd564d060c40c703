"""The contract of torchmetrics' detection metrics, with the installed torchmetrics and pycocotools as oracles.

Problems are coarse on purpose, so that overlaps fall on thresholds. torchmetrics rounds its default thresholds to
float32, which moves such overlaps; it is given the float64 ones where values are compared exactly.
"""

import inspect
import itertools
import json
import pickle
import random
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchmetrics
from torchmetrics import detection as theirs
from torchmetrics.functional import detection as their_functions

import detmetrics
from detmetrics.compat import torchmetrics as ours
from detmetrics.compat.torchmetrics.inputs import runs_of
from detmetrics.detection.settings import IOU_THRESHOLDS, RECALL_POINTS
from tests import oracle
from tests.problems import mask_problem, random_problem

Items = list[dict[str, Any]]
EXACT = {"iou_thresholds": list(IOU_THRESHOLDS), "rec_thresholds": list(RECALL_POINTS)}
OVERLAPS = [
    ("IntersectionOverUnion", "intersection_over_union"),
    ("GeneralizedIntersectionOverUnion", "generalized_intersection_over_union"),
    ("DistanceIntersectionOverUnion", "distance_intersection_over_union"),
    ("CompleteIntersectionOverUnion", "complete_intersection_over_union"),
]


def inputs(seed: int, kind: str = "bbox") -> tuple[Items, Items]:
    """A coarse problem as both packages take it: float32 boxes and scores, labels of 32 bits, nothing ignored.

    Boxes are whole pixels: torchmetrics takes their sizes in float32, which would round others.
    """
    problem = (random_problem if kind == "bbox" else mask_problem)(seed, image_ids=False, plain=True)
    sides = ([plain(item) for item in side] for side in (problem.preds, problem.target))
    preds, target = sides
    if kind == "segm":  # torchmetrics leaves out images without masks: a test of its own
        pairs = [pair for pair in zip(preds, target, strict=True) if len(pair[1]["labels"])]
        preds, target = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        if not any(len(item["labels"]) for item in preds):
            return inputs(seed + 1000, kind)
    return preds, target


def plain(item: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in item.items() if key != "ignore"}
    kept["labels"] = kept["labels"] % 5
    if "boxes" in kept:
        kept["boxes"] = kept["boxes"].float().round().reshape(-1, 4)
    if "scores" in kept:
        kept["scores"] = kept["scores"].float()
    return kept


def both(preds: Items, target: Items, exact: bool = True, **settings: Any) -> tuple[Any, Any]:
    """The results of both packages; torchmetrics gets float64 thresholds if ``exact``."""
    metrics = [ours.MeanAveragePrecision(**settings)]
    metrics.append(theirs.MeanAveragePrecision(**({**EXACT, **settings} if exact else settings)))
    for metric in metrics:
        metric.warn_on_many_detections = False
        metric.update(preds, target)
    return metrics[0].compute(), metrics[1].compute()


def check_equal(mine: Any, other: Any, tolerance: float = 1e-6) -> None:
    """The same keys, types, dtypes, shapes and -1, and values within the tolerance."""
    assert mine.keys() == other.keys()
    for key, value in other.items():
        if isinstance(value, dict):
            check_equal(mine[key], value, tolerance)
        elif isinstance(value, list):
            assert mine[key] == value, key
        else:
            assert (mine[key].dtype, mine[key].shape) == (value.dtype, value.shape), key
            assert torch.equal(mine[key] == -1, value == -1), key
            torch.testing.assert_close(mine[key], value, rtol=0, atol=tolerance, msg=lambda m, key=key: f"{key}: {m}")


# ---------------------------------------------------------------------------------------------------- the constructors


@pytest.mark.parametrize("name", ["MeanAveragePrecision", *(name for name, _ in OVERLAPS)])
def test_constructors_take_the_same_arguments_in_the_same_order(name: str) -> None:
    signatures = [inspect.signature(getattr(module, name)).parameters for module in (ours, theirs)]
    mine, other = ([(n, p.default, p.kind) for n, p in signature.items()] for signature in signatures)
    assert mine == other


@pytest.mark.parametrize("name", [*(name for _, name in OVERLAPS), "mean_average_precision"])
def test_functions_take_the_same_arguments_in_the_same_order(name: str) -> None:
    signatures = [inspect.signature(getattr(module, name)).parameters for module in (ours, their_functions)]
    mine, other = ([(n, p.default, p.kind) for n, p in signature.items()] for signature in signatures)
    assert mine == other


@pytest.mark.parametrize(
    "wrong",
    [
        {"box_format": "yxyx"},
        {"iou_type": "keypoints"},
        {"iou_type": ("bbox", "boundary")},
        {"iou_thresholds": 0.5},
        {"iou_thresholds": (0.5,)},
        {"rec_thresholds": "all"},
        {"max_detection_thresholds": 100},
        {"max_detection_thresholds": [100]},
        {"max_detection_thresholds": [1, 2, 3, 4]},
        {"class_metrics": 1},
        {"extended_summary": None},
        {"average": "weighted"},
        {"backend": "hotcoco"},
        {"unknown": 1},
    ],
    ids=str,
)
def test_wrong_arguments_raise_what_torchmetrics_raises(wrong: dict[str, Any]) -> None:
    raised = []
    for module in (ours, theirs):
        with pytest.raises(Exception) as caught:  # noqa: PT011 - the types are compared
            module.MeanAveragePrecision(**wrong)
        raised.append(caught.type)
    assert raised[0] is raised[1] is ValueError


BOX, SCORE, LABEL = torch.tensor([[0.0, 0.0, 8.0, 8.0]]), torch.tensor([0.5]), torch.tensor([0])
GOOD = {"boxes": BOX, "scores": SCORE, "labels": LABEL}


@pytest.mark.parametrize(
    ("preds", "target"),
    [
        (GOOD, [GOOD]),
        ([GOOD], GOOD),
        ([GOOD, GOOD], [GOOD]),
        ([{**GOOD, "boxes": None}], [GOOD]),
        ([{**GOOD, "scores": [0.5]}], [GOOD]),
        ([{**GOOD, "labels": [0]}], [GOOD]),
        ([GOOD], [{**GOOD, "boxes": [[0, 0, 1, 1]]}]),
        ([GOOD], [{**GOOD, "labels": 0}]),
        ([{"scores": SCORE, "labels": LABEL}], [GOOD]),
        ([{"boxes": BOX, "labels": LABEL}], [GOOD]),
        ([{"boxes": BOX, "scores": SCORE}], [GOOD]),
        ([GOOD], [{"labels": LABEL}]),
        ([GOOD], [{"boxes": BOX}]),
        ([{**GOOD, "scores": torch.ones(2)}], [GOOD]),
        ([{**GOOD, "labels": torch.ones(2).int()}], [GOOD]),
        ([GOOD], [{**GOOD, "labels": torch.ones(2).int()}]),
    ],
)
def test_wrong_inputs_raise_what_torchmetrics_raises_and_change_nothing(preds: Any, target: Any) -> None:
    metric = ours.MeanAveragePrecision()
    metric.update([GOOD], [GOOD])
    with pytest.raises(ValueError, match=r"preds|target"):
        metric.update(preds, target)
    with pytest.raises(ValueError, match=r"."):
        theirs.MeanAveragePrecision().update(preds, target)
    assert metric.compute()["map"] == 1
    assert len(metric.detection_box) == 1


@pytest.mark.parametrize(
    "item", [{**GOOD, "labels": torch.tensor([0.5])}, {**GOOD, "scores": torch.tensor([1])}], ids=["label", "score"]
)
def test_what_torchmetrics_refuses_in_compute_is_refused_in_update(item: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        ours.MeanAveragePrecision().update([item], [GOOD])
    metric = theirs.MeanAveragePrecision()
    metric.update([item], [GOOD])
    with pytest.raises(ValueError, match="Invalid input"):
        metric.compute()


# --------------------------------------------------------------------------------------------------------- the results

CHOICES = [
    {"average": average, "class_metrics": class_metrics, "extended_summary": extended}
    for average, class_metrics, extended in itertools.product(("macro", "micro"), (False, True), (False, True))
]


@pytest.mark.parametrize("choice", CHOICES, ids=str)
@pytest.mark.parametrize("seed", range(12))
def test_boxes_give_what_torchmetrics_gives(seed: int, choice: dict[str, Any]) -> None:
    check_equal(*both(*inputs(seed), **choice))


@pytest.mark.parametrize("choice", CHOICES, ids=str)
@pytest.mark.parametrize("seed", range(8))
def test_masks_give_what_torchmetrics_gives(seed: int, choice: dict[str, Any]) -> None:
    check_equal(*both(*inputs(seed, "segm"), iou_type="segm", **choice))


def with_boxes(preds: Items, target: Items) -> tuple[Items, Items]:
    """Masks with the boxes around them."""
    for item in (*preds, *target):
        encoded = [{"size": m.shape, "counts": _counts(m)} for m in item["masks"]]
        boxes = [oracle.mask.toBbox(oracle.mask.frPyObjects(e, *e["size"])) for e in encoded]
        item["boxes"] = torch.tensor(np.array(boxes)).float().reshape(-1, 4)
    return preds, target


def _counts(mask: torch.Tensor) -> list[int]:
    pixels = mask.T.flatten().tolist()
    return [len(list(run)) for value, run in itertools.groupby([False, *pixels])] if any(pixels) else [len(pixels)]


@pytest.mark.parametrize("kinds", [("bbox", "segm"), ("segm", "bbox")])
@pytest.mark.parametrize("seed", range(5))
def test_boxes_and_masks_together_give_what_torchmetrics_gives(seed: int, kinds: tuple[str, ...]) -> None:
    preds, target = with_boxes(*inputs(seed, "segm"))
    for choice in CHOICES:
        if choice != {**choice, "average": "micro", "class_metrics": True}:  # theirs goes on with macro by mistake
            check_equal(*both(preds, target, iou_type=kinds, box_format="xywh", **choice))


SETTINGS: list[dict[str, Any]] = [
    {"iou_thresholds": [0.1, 0.5]},
    {"iou_thresholds": [0.75, 0.5]},
    {"iou_thresholds": [1.0]},
    {"iou_thresholds": []},
    {"rec_thresholds": [0.0, 0.5, 1.0]},
    {"max_detection_thresholds": [1, 2, 100]},
    {"max_detection_thresholds": [100, 2, 1]},
    {"max_detection_thresholds": [1, 2, 3]},
    {"max_detection_thresholds": [2, 100, 300]},
    {"max_detection_thresholds": [2, 2, 2]},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_settings_give_what_torchmetrics_gives(settings: dict[str, Any]) -> None:
    for seed, average in itertools.product(range(20, 26), ("macro", "micro")):
        given = {key: value or list(IOU_THRESHOLDS) for key, value in settings.items()}
        mine, _ = both(*inputs(seed), average=average, class_metrics=True, extended_summary=True, **settings)
        _, other = both(*inputs(seed), average=average, class_metrics=True, extended_summary=True, **given)
        check_equal(mine, other)


@pytest.mark.parametrize("limits", [[1, 10, 50], [1, 10, 300], [2, 3, 4]])
def test_the_other_backend_reports_map_at_the_largest_limit(limits: list[int]) -> None:
    pytest.importorskip("faster_coco_eval")
    for seed in range(6):
        preds, target = inputs(seed)
        settings = {"max_detection_thresholds": limits, "backend": "faster_coco_eval"}
        mine, other = both(preds, target, **settings)
        assert mine.keys() == other.keys()
        expected = detmetrics.MeanAveragePrecision(max_detection_thresholds=limits)
        expected.update(preds, target)
        value = expected.compute()["map"].nan_to_num(-1).float()
        assert torch.equal(mine["map"], value)
        torch.testing.assert_close(other["map"], value, rtol=0, atol=1e-6)


@pytest.mark.parametrize("box_format", ["xyxy", "xywh", "cxcywh"])
def test_box_formats_give_what_torchmetrics_gives(box_format: str) -> None:
    for seed in range(4):
        check_equal(*both(*inputs(seed), box_format=box_format, class_metrics=True))


def noisy(seed: int, images: int = 8) -> tuple[Items, Items]:
    """Generic boxes, without ties in scores or overlaps on a threshold."""
    generator = torch.Generator().manual_seed(seed)
    sides: tuple[Items, Items] = ([], [])
    for _ in range(images):
        count = int(torch.randint(0, 12, (), generator=generator))
        corner, size = torch.rand((2, count, 2), generator=generator) * 200
        target = torch.cat([corner, corner + size + 5], dim=1)
        boxes = target + torch.randn((count, 4), generator=generator) * 4
        boxes[:, 2:] = torch.maximum(boxes[:, 2:], boxes[:, :2] + 1)
        scores, labels = torch.rand(count, generator=generator), torch.randint(0, 4, (count,), generator=generator)
        sides[0].append({"boxes": boxes, "scores": scores, "labels": labels})
        sides[1].append({"boxes": target, "labels": labels})
    return sides


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_default_thresholds_are_within_two_thousandths_of_torchmetrics(choice: dict[str, Any]) -> None:
    for seed in range(2):
        mine, other = both(*noisy(seed, images=80), exact=False, **choice)
        for result in (mine, other):  # a recall point may move to the next detection
            result.pop("precision", None)
            result.pop("scores", None)
        check_equal(mine, other, 2e-3)


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_default_thresholds_give_what_pycocotools_gives(kind: str) -> None:
    for seed in range(15):
        problem = (random_problem if kind == "bbox" else mask_problem)(seed, image_ids=False, plain=True)
        preds, target = ([plain(item) for item in side] for side in (problem.preds, problem.target))
        for item in target:  # torchmetrics: an area of 0 is none
            if "area" in item:
                item["area"] = item["area"].clamp(min=1)
        metric = ours.MeanAveragePrecision(iou_type=kind, extended_summary=True)
        metric.warn_on_many_detections = False
        metric.update(preds, target)
        mine, other = metric.compute(), oracle.evaluate(preds, target, iou_type=kind)
        for key, value in other.stats.items():
            expected = torch.tensor(value).nan_to_num(-1).float()
            torch.testing.assert_close(mine[key], expected, rtol=0, atol=1e-6)
        for key in ("precision", "recall", "scores"):
            torch.testing.assert_close(mine[key], getattr(other, key).nan_to_num(-1), rtol=0, atol=1e-12)


def test_micro_of_three_boxes() -> None:
    """Of two targets both are found, after a false positive of score .95: 1/2 and 2/3, raised to 2/3 from the right."""
    boxes = torch.tensor([[0.0, 0, 10, 10], [20, 20, 30, 30], [50, 50, 60, 60]])
    preds = [{"boxes": boxes, "scores": torch.tensor([0.9, 0.8, 0.95]), "labels": torch.tensor([1, 2, 2])}]
    target = [{"boxes": boxes[:2], "labels": torch.tensor([1, 2])}]
    result, other = both(preds, target, average="micro", class_metrics=True)
    assert result["map"].item() == pytest.approx(2 / 3, abs=1e-7)
    assert result["map_per_class"].tolist() == [1.0, 0.5]
    check_equal(result, other)


EMPTY_BOX, EMPTY = torch.zeros((0, 4)), {"boxes": torch.zeros((0, 4)), "scores": torch.zeros(0)}
NONE = {**EMPTY, "labels": torch.zeros(0, dtype=torch.int64)}
FLAT = {**NONE, "boxes": torch.tensor([])}


@pytest.mark.parametrize(
    ("preds", "target"),
    [
        ([NONE], [NONE]),
        ([FLAT], [FLAT]),
        ([NONE], [GOOD]),
        ([GOOD], [NONE]),
        ([FLAT, GOOD], [GOOD, FLAT]),
        ([GOOD, GOOD], [GOOD, {**GOOD, "labels": torch.tensor([7])}]),
        ([GOOD], [{**GOOD, "iscrowd": torch.tensor([1])}]),
        ([GOOD], [{**GOOD, "area": torch.tensor([0])}]),
        ([GOOD], [{**GOOD, "area": torch.tensor([2000.0])}]),
        ([GOOD], [{**GOOD, "image_id": 3}]),
    ],
)
@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_empties_and_edges_give_what_torchmetrics_gives(preds: Items, target: Items, choice: dict[str, Any]) -> None:
    check_equal(*both(preds, target, **choice))


def test_every_key_is_there_without_any_image() -> None:
    metric = ours.MeanAveragePrecision(class_metrics=True, extended_summary=True)
    with pytest.warns(UserWarning, match="before update"):
        result = metric.compute()
    filled, _ = both([GOOD], [GOOD], class_metrics=True, extended_summary=True)
    assert result.keys() == filled.keys()
    assert result["map"] == result["mar_100"] == -1
    assert result["map_per_class"].shape == result["classes"].shape == (0,)


def test_images_without_target_masks_count() -> None:
    """torchmetrics leaves such an image out, with its false positives; pycocotools and this package do not."""
    mask = torch.ones((1, 4, 4), dtype=torch.bool)
    found = {"masks": mask, "scores": torch.tensor([0.9]), "labels": LABEL}
    true = {"masks": mask, "labels": LABEL}
    none = {"masks": torch.zeros((0, 4, 4), dtype=torch.bool), "labels": torch.zeros(0, dtype=torch.int64)}
    preds, target = [found, {**found, "scores": torch.tensor([0.95])}], [true, none]
    mine, other = both(preds, target, iou_type="segm")
    assert mine["map"] == pytest.approx(oracle.evaluate(preds, target, iou_type="segm").stats["map"])
    assert mine["map"] == pytest.approx(0.5)
    assert other["map"] == 1


def test_targets_without_any_predicted_mask_are_missed() -> None:
    """Recall is 0, as in pycocotools; torchmetrics says -1, and leaves out keys."""
    mask = torch.ones((1, 4, 4), dtype=torch.bool)
    none = {"masks": mask[:0], "scores": SCORE[:0], "labels": LABEL[:0]}
    mine, other = both([none], [{"masks": mask, "labels": LABEL}], iou_type="segm")
    assert mine["mar_100"] == 0
    assert other["mar_100"] == -1
    assert mine.keys() - other.keys() == {"map_per_class", "mar_100_per_class"}


def test_boxes_with_corners_exchanged_match_nothing_as_in_pycocotools() -> None:
    turned = {**GOOD, "boxes": torch.tensor([[8.0, 8.0, 0.0, 0.0], [0.0, 0.0, 8.0, 8.0], [8.0, 0.0, 0.0, 8.0]])}
    turned |= {"scores": torch.tensor([0.9, 0.8, 0.7]), "labels": torch.zeros(3).int()}
    check_equal(*both([turned], [GOOD], extended_summary=True))


# ---------------------------------------------------------------------------------------------------- use in a training


def test_image_ids_are_not_read() -> None:
    metric = ours.MeanAveragePrecision()
    for score in (0.9, 0.8):
        metric.update([{**GOOD, "scores": torch.tensor([score])}], [{**GOOD, "image_id": 7}])
    assert len(metric.groundtruth_labels) == 2


@pytest.mark.parametrize("key", ["boxes", "scores"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_diverging_model_is_warned_of_and_does_not_raise_the_precision(key: str, value: float) -> None:
    bad = {name: tensor.clone() for name, tensor in GOOD.items()}
    bad[key].flatten()[0] = value
    metric = ours.MeanAveragePrecision()
    metric.update([GOOD, bad], [GOOD, GOOD])
    with pytest.warns(UserWarning, match="1 detections with a box or score that is not finite"):
        result = metric.compute()
    # One of two targets is found: precision 1 up to a recall of .5, 51 of 101 recall points.
    assert result["map"].item() == pytest.approx(51 / 101)
    assert len(metric.detection_scores[1]) == 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        metric.compute()


def test_target_boxes_that_are_not_finite_count_and_match_nothing() -> None:
    metric = ours.MeanAveragePrecision()
    metric.update([GOOD, GOOD], [GOOD, {**GOOD, "boxes": BOX * float("nan")}])
    with pytest.warns(UserWarning, match="1 boxes are not finite"):
        assert metric.compute()["mar_100"] == 0.5


def test_many_detections_are_warned_of_unless_switched_off() -> None:
    """The warning begins as torchmetrics' does: projects filter it by its first words."""
    many = {"boxes": BOX.repeat(101, 1), "scores": SCORE.repeat(101), "labels": LABEL.repeat(101)}
    for module in (ours, theirs):
        with pytest.warns(UserWarning, match="^Encountered more than 100 detections in a single image"):
            module.MeanAveragePrecision().update([many], [GOOD])
        metric = module.MeanAveragePrecision()
        metric.warn_on_many_detections = False
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            metric.update([many], [GOOD])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ours.mean_average_precision([many], [GOOD], warn_on_many_detections=False)


def test_attributes_show_what_was_given_as_torchmetrics_states_do() -> None:
    preds, target = inputs(2)
    metrics = ours.MeanAveragePrecision(), theirs.MeanAveragePrecision()
    for metric, some in itertools.product(metrics, (slice(0, 1), slice(1, None))):
        metric.update(preds[some], target[some])
    for name in ("detection_box", "detection_scores", "detection_labels"):
        check_lists(getattr(metrics[0], name), getattr(metrics[1], name))
    for name in ("groundtruth_box", "groundtruth_labels", "groundtruth_crowds", "groundtruth_area"):
        check_lists(getattr(metrics[0], name), getattr(metrics[1], name))
    assert metrics[0].detection_mask == metrics[1].detection_mask == []


def check_lists(mine: list[torch.Tensor], other: list[torch.Tensor]) -> None:
    assert len(mine) == len(other)
    for left, right in zip(mine, other, strict=True):
        torch.testing.assert_close(left, right, check_dtype=False)


def test_masks_are_shown_encoded_as_in_torchmetrics() -> None:
    preds, target = inputs(3, "segm")
    metrics = ours.MeanAveragePrecision(iou_type="segm"), theirs.MeanAveragePrecision(iou_type="segm")
    for metric in metrics:
        metric.warn_on_many_detections = False
        metric.update(preds, target)
    assert metrics[0].detection_mask == metrics[1].detection_mask
    assert metrics[0].groundtruth_mask == metrics[1].groundtruth_mask
    assert metrics[0].detection_box == []


def test_attributes_have_torchmetrics_types_and_may_be_assigned() -> None:
    preds, target = noisy(1)
    mine, other = ours.MeanAveragePrecision(), theirs.MeanAveragePrecision()
    for name in ("box_format", "iou_type", "max_detection_thresholds", "class_metrics", "extended_summary", "average"):
        assert getattr(mine, name) == getattr(other, name)
        assert type(getattr(mine, name)) is type(getattr(other, name))
    assert mine.iou_thresholds == pytest.approx(other.iou_thresholds)
    assert mine.rec_thresholds == pytest.approx(other.rec_thresholds)
    for metric in (mine, other):
        metric.update(preds, target)
    before = mine.compute()
    mine.iou_thresholds[:] = other.iou_thresholds[:] = [0.5]  # also in place, and after a compute()
    mine.class_metrics = other.class_metrics = True
    check_equal(mine.compute(), other.compute())
    assert mine.compute()["map"] != before["map"]


def test_batches_forward_merging_and_pickling_change_nothing() -> None:
    preds, target = inputs(4)
    whole, _ = both(preds, target, class_metrics=True)
    forward = ours.MeanAveragePrecision(class_metrics=True)
    parts = [ours.MeanAveragePrecision(class_metrics=True) for _ in preds]
    for part, some in zip(parts, range(len(preds)), strict=True):
        item = preds[some : some + 1], target[some : some + 1]
        part.update(*item)
        check_equal(forward(*item), part.compute())
    merged = parts[0]
    for part in parts[1:]:
        merged.merge_state(part)
    for metric in (forward, merged, pickle.loads(pickle.dumps(merged)), merged.clone()):
        result = metric.compute()
        assert result.keys() == whole.keys()
        assert all(torch.equal(result[key], whole[key]) for key in whole)
    forward.reset()
    assert forward.detection_box == []


def test_metrics_of_a_collection_keep_their_thresholds() -> None:
    preds, target = noisy(1)
    collection = torchmetrics.MetricCollection(
        {"one": ours.MeanAveragePrecision(iou_thresholds=[0.5]), "all": ours.MeanAveragePrecision()}, prefix="val_"
    )
    collection.update(preds, target)
    collection.update(preds, target)
    result = collection.compute()
    assert result["val_one_map"] == result["val_one_map_50"] == result["val_all_map_50"] != result["val_all_map"]


def test_plots_draw_one_result_and_several() -> None:
    pyplot = pytest.importorskip("matplotlib.pyplot")
    metric = ours.MeanAveragePrecision(class_metrics=True, extended_summary=True)
    metric.update(*inputs(1))
    for value in (None, metric.compute(), [metric.compute(), metric.compute()]):
        figure, axis = metric.plot(value)
        assert axis.figure is figure
    pyplot.close("all")


def test_inputs_are_not_changed_and_may_change_afterwards() -> None:
    preds, target = inputs(1)
    before = pickle.dumps((preds, target))
    metric = ours.MeanAveragePrecision()
    metric.update(preds, target)
    assert pickle.dumps((preds, target)) == before
    expected = metric.clone().compute()
    for item in (*preds, *target):
        item["boxes"].zero_()
    check_equal(metric.compute(), expected, 0)


# --------------------------------------------------------------------------------------------------- function and files


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_the_function_gives_what_torchmetrics_gives(choice: dict[str, Any]) -> None:
    for seed in range(3):
        preds, target = inputs(seed)
        positional = (
            "xyxy",
            "bbox",
            *EXACT.values(),
            None,
            *(choice[k] for k in ("class_metrics", "extended_summary")),
        )
        arguments = (preds, target, *positional, choice["average"], "pycocotools", False)
        check_equal(
            ours.mean_average_precision(*arguments),
            their_functions.mean_average_precision(*arguments),
        )


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_files_are_read_back_by_both_packages(kind: str, tmp_path: Path) -> None:
    preds, target = inputs(2, kind)
    pairs = [pair for pair in zip(preds, target, strict=True) if len(pair[1]["labels"])]
    preds, target = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    metric = ours.MeanAveragePrecision(iou_type=kind)
    metric.update(preds, target)
    metric.tm_to_coco(str(tmp_path / "mine"))
    paths = [str(tmp_path / f"mine_{end}.json") for end in ("preds", "target")]
    document = json.loads(Path(paths[1]).read_text(encoding="utf-8"))
    assert [image["id"] for image in document["images"]] == list(range(len(preds)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of from_coco, about coarse data, and of numpy, about pycocotools
        mine = metric.coco_to_tm(*paths, iou_type=kind)
        other = theirs.MeanAveragePrecision(iou_type=kind).coco_to_tm(*paths, iou_type=kind)
    for items, others in zip(mine, other, strict=True):
        for item, expected in zip(items, others, strict=True):
            assert item.keys() == expected.keys()
            for key, value in expected.items():
                if value.numel():
                    assert torch.equal(item[key], value)
                assert item[key].dtype == value.dtype
    again = ours.MeanAveragePrecision(iou_type=kind, box_format="xywh")
    again.update(*mine)
    check_equal(again.compute(), metric.compute())


# -------------------------------------------------------------------------------------------------------- mean overlaps


@pytest.mark.parametrize(("kind", "function"), OVERLAPS)
@pytest.mark.parametrize("seed", range(6))
def test_mean_overlaps_give_what_torchmetrics_gives(kind: str, function: str, seed: int) -> None:
    rng = random.Random(seed)
    preds, target = noisy(seed)
    for item in preds:
        item["labels"] = torch.randint(0, 4, item["labels"].shape, generator=torch.Generator().manual_seed(seed))
    if rng.random() < 0.5:
        preds[0] = NONE
    for threshold, per_class, respect in itertools.product((None, 0.2), (False, True), (False, True)):
        settings = {"iou_threshold": threshold, "class_metrics": per_class, "respect_labels": respect}
        metrics = [getattr(module, kind)(**settings) for module in (ours, theirs)]
        for metric, some in itertools.product(metrics, (slice(0, 3), slice(3, None))):
            metric.update(preds[some], target[some])
        check_equal(metrics[0].compute(), metrics[1].compute(), 1e-5)
        for name in ("iou_matrix", "groundtruth_labels", "pred_labels"):
            for mine, other in zip(getattr(metrics[0], name), getattr(metrics[1], name), strict=True):
                torch.testing.assert_close(mine, other, atol=1e-4, rtol=0)


@pytest.mark.parametrize(("kind", "function"), OVERLAPS)
@pytest.mark.parametrize(("preds", "target"), [([NONE], [GOOD]), ([GOOD], [NONE]), ([NONE], [NONE]), ([], [])])
def test_mean_overlaps_without_pairs_give_what_torchmetrics_gives(
    kind: str, function: str, preds: Items, target: Items
) -> None:
    metrics = [getattr(module, kind)() for module in (ours, theirs)]
    for metric in metrics:
        metric.update(preds, target)
    check_equal(metrics[0].compute(), metrics[1].compute())


@pytest.mark.parametrize(("kind", "function"), OVERLAPS)
def test_mean_overlaps_take_torchmetrics_box_formats_and_refuse_others(kind: str, function: str) -> None:
    preds, target = noisy(1)
    for box_format in ("xyxy", "xywh", "cxcywh"):
        results = []
        for module in (ours, theirs):
            metric = getattr(module, kind)(box_format)
            metric.update([{**x, "boxes": x["boxes"].abs() + 1} for x in preds], target)
            results.append(metric.compute())
        check_equal(*results, 1e-4)
    for wrong in ({"box_format": "yxyx"}, {"class_metrics": 1}, {"respect_labels": None}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            getattr(ours, kind)(**wrong)


@pytest.mark.parametrize(("kind", "function"), OVERLAPS)
def test_overlap_functions_give_what_torchmetrics_gives(kind: str, function: str) -> None:
    (boxes, *_), (target, *_) = ([item["boxes"] for item in side if len(item["boxes"])] for side in noisy(2))
    for preds, others in ((boxes, target), (boxes[:2], target), (boxes, EMPTY_BOX), (EMPTY_BOX, target)):
        for threshold, value, aggregate in itertools.product((None, 0.3), (0, -7.0), (False, True)):
            results = [
                getattr(module, function)(preds, others, threshold, value, aggregate)
                for module in (ours, their_functions)
            ]
            assert torch.equal(*results)
    assert getattr(ours, function)(EMPTY_BOX, EMPTY_BOX) == 0
    for wrong in (torch.zeros(4), torch.zeros((2, 5))):
        with pytest.raises(ValueError, match="expected shape"):
            getattr(ours, function)(wrong, boxes)
        with pytest.raises(ValueError, match="expected shape"):
            getattr(ours, function)(boxes, wrong)


def test_runs_of_masks_go_down_the_columns() -> None:
    """Columns 0 1, 1 0 and 1 1 one after the other are 0 1 1 0 1 1: runs [1, 3) and [4, 6)."""
    counts, runs = runs_of(torch.tensor([[[0, 1, 1], [1, 0, 1]], [[0, 0, 0], [0, 0, 0]]]) != 0)
    assert counts.tolist() == [2, 0]
    assert runs.tolist() == [[1, 3], [4, 6]]
