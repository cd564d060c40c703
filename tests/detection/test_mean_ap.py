"""MeanAveragePrecision equals pycocotools: on thousands of random problems and on real detections."""

import gzip
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from detmetrics import MeanAveragePrecision
from detmetrics.functional import mean_average_precision
from tests import oracle
from tests.problems import Item, Problem, batch, hit, image, random_problem, shuffled

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10).tolist()
SAMPLE, SWEEP, BLOCK = 600, 6000, 100  # problems in every run, in the slow sweep, in one test


# ---------------------------------------------------------------------------------------------------- random problems


def check_block(block: int) -> None:
    for seed in range(BLOCK * block, BLOCK * (block + 1)):
        problem = random_problem(seed)
        result = mean_average_precision(problem.preds, problem.target, **problem.settings, extended_summary=True)
        try:
            oracle.assert_agrees(result, oracle.evaluate(problem.preds, problem.target, **problem.settings))
        except AssertionError as error:
            raise AssertionError(f"random_problem({seed}), {problem.settings}: {error}") from None


@pytest.mark.parametrize("block", range(SAMPLE // BLOCK))
def test_random_problems_agree(block: int) -> None:
    check_block(block)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(SAMPLE // BLOCK, SWEEP // BLOCK))
def test_more_random_problems_agree(block: int) -> None:
    check_block(block)


def features(problem: Problem) -> set[str]:
    """What a problem has in it that a wrong matcher could stumble over, measured with pycocotools' overlaps."""
    found, seen = set(), set()
    for preds, target in zip(problem.preds, problem.target, strict=True):
        labels, crowd = preds["labels"], target.get("iscrowd", torch.zeros_like(target["labels"])).bool()
        overlap = oracle.overlaps(preds, target, problem.settings["box_format"])  # (N, M)
        overlap = torch.where(labels[:, None] == target["labels"], overlap, 0.0)
        scored = list(zip(labels.tolist(), preds["scores"].tolist(), strict=True))
        best = overlap[:, ~crowd].sort(dim=1, descending=True).values[:, :2]  # (N, 2)
        found |= {
            name
            for name, here in (
                ("score tie", len({*scored} - seen) < len(scored)),
                ("IoU tie", best.shape[1] == 2 and ((best[:, 0] >= 0.5) & (best[:, 0] == best[:, -1])).any()),
                ("crowd", (overlap[:, crowd] >= 0.5).any()),
                ("IoU on a threshold", not {*overlap.flatten().tolist()}.isdisjoint(IOU_THRESHOLDS)),
                ("no targets or detections", not len(labels) or not len(crowd)),
                ("over a limit", len(labels) > max(problem.settings.get("max_detection_thresholds", [100]))),
            )
            if here
        }
        seen |= {*scored}
    return found


def test_random_problems_hold_what_they_promise() -> None:
    measured = [features(random_problem(seed)) for seed in range(SAMPLE)]
    fifth, fiftieth = SAMPLE / 5, SAMPLE / 50
    assert sum({"score tie", "IoU tie", "crowd"} <= found for found in measured) >= fifth  # all three in one problem
    for name in ("IoU on a threshold", "no targets or detections"):
        assert sum(name in found for found in measured) >= fifth
    assert sum("over a limit" in found for found in measured) >= fiftieth


def test_score_ties_across_images_follow_the_image_id_not_the_arrival() -> None:
    for seed in range(50):
        problem = random_problem(seed, images=8, image_ids=True)
        preds, target = shuffled(seed, problem.preds, problem.target)
        ours = mean_average_precision(preds, target, **problem.settings, extended_summary=True)
        oracle.assert_agrees(ours, oracle.evaluate(problem.preds, problem.target, **problem.settings))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_scores_and_boxes_of_low_precision_count_as_they_are(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    corner = torch.randint(0, 40, (50, 30, 2), generator=generator).to(dtype) * 8  # (images, boxes, 2)
    boxes = torch.cat([corner, corner + 64], dim=2)
    scores = torch.rand(50, 30, generator=generator).to(dtype)
    labels = torch.zeros(30, dtype=torch.uint8)
    preds = [{"boxes": b, "scores": s, "labels": labels} for b, s in zip(boxes, scores, strict=True)]
    target = [{"boxes": b[:10] + 8, "labels": labels[:10]} for b in boxes]
    assert len(scores.unique()) < scores.numel()  # scores tie
    ours = mean_average_precision(preds, target, extended_summary=True)
    oracle.assert_agrees(ours, oracle.evaluate(preds, target))


def test_ignored_targets_equal_targets_outside_every_area_range() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10], [20, 20, 40, 40], [60, 0, 90, 30]])
    labels = torch.zeros(3, dtype=torch.int64)
    preds = [{"boxes": boxes, "scores": torch.tensor([0.7, 0.8, 0.9]), "labels": labels}]
    target = {"boxes": boxes, "labels": labels}
    ignored = [{**target, "ignore": torch.tensor([False, True, True])}]
    outside = [{**target, "area": torch.tensor([100.0, oracle.OUTSIDE, oracle.OUTSIDE])}]
    first, second = (mean_average_precision(preds, t, extended_summary=True) for t in (ignored, outside))
    assert first["map"] == 1  # the two best detections match ignored targets: neither right nor wrong
    for key in ("precision", "recall", "scores"):
        assert torch.equal(first[key].nan_to_num(-1), second[key].nan_to_num(-1))


# ------------------------------------------------------------------------------------------------------ hard corners


def one_class(boxes: Tensor, scores: Tensor, targets: Tensor) -> Problem:
    preds = {"boxes": boxes, "scores": scores, "labels": torch.zeros(len(boxes), dtype=torch.int64)}
    return Problem([preds], [{"boxes": targets, "labels": torch.zeros(len(targets), dtype=torch.int64)}])


def nested(count: int) -> Tensor:
    size = 400 - 2 * torch.arange(count, dtype=torch.float64)  # each box lies in the one before and overlaps many
    return torch.stack([200 - size / 2, 200 - size / 2, 200 + size / 2, 200 + size / 2], dim=1)


def row(count: int, shift: float = 0) -> Tensor:
    left = 4.0 * torch.arange(count, dtype=torch.float64) + shift  # neighbours overlap by 28 of 32: IoU 28/36
    return torch.stack([left, torch.zeros(count), left + 32, torch.full((count,), 32.0)], dim=1)


@pytest.mark.parametrize(
    "problem",
    [
        one_class(nested(100), torch.linspace(0.9, 0.1, 100), nested(100)),
        one_class(nested(100) + 1, torch.linspace(0.1, 0.9, 100), nested(100)),
        # every detection lies half-way between two targets
        one_class(row(300, shift=2), torch.linspace(0.9, 0.1, 300), row(300)),
        one_class(row(300, shift=2), torch.full((300,), 0.5), row(300)),
        # every detection prefers the target that the one before it must take, and the last one finds none
        one_class(row(300, shift=-3), torch.linspace(0.9, 0.1, 300), row(299)),
    ],
    ids=["nested", "nested-moved", "row", "row-tied", "row-of-refusals"],
)
def test_chains_of_overlaps(problem: Problem) -> None:
    settings = {"max_detection_thresholds": [1, 10, 300]}
    result = mean_average_precision(problem.preds, problem.target, **settings, extended_summary=True)
    oracle.assert_agrees(result, oracle.evaluate(problem.preds, problem.target, **settings))


def test_more_thresholds_and_areas_than_one_word_has_bits() -> None:
    settings = {
        "iou_thresholds": np.linspace(0.1, 0.95, 30).tolist(),
        "area_ranges": {f"under_{side}": (0, side**2) for side in (16, 32, 64, 96)},  # with "all": 150 bits
    }
    for seed in range(20):
        problem = random_problem(seed, plain=True)
        result = mean_average_precision(problem.preds, problem.target, **settings, extended_summary=True)
        oracle.assert_agrees(result, oracle.evaluate(problem.preds, problem.target, **settings))


def test_bounds_of_area_ranges_are_inclusive() -> None:
    pairs = [image([([0, 0, side, 32], 0.9, 0)], [([0, 0, side, 32], 0)]) for side in (31, 32, 33)]
    preds, target = [p for p, _ in pairs], [t for _, t in pairs]
    ranges = {"low": (0, 32 * 32), "exact": (32 * 32, 32 * 32), "high": (32 * 32, 1e10)}
    result = mean_average_precision(preds, target, area_ranges=ranges, extended_summary=True)
    # all three detections hit; those of counted targets score 1, so each range has what its bounds take in
    assert [result[f"mar_{name}"].item() for name in ranges] == [1, 1, 1]
    oracle.assert_agrees(result, oracle.evaluate(preds, target, area_ranges=ranges))


def test_one_target_at_the_edge_of_an_area_is_in_both_ranges() -> None:
    preds, target = image([([0, 0, 32, 32], 0.9, 0)], [([0, 0, 32, 32], 0)])
    result = mean_average_precision([preds], [target])
    assert (result["map_small"], result["map_medium"]) == (1, 1)  # 32 * 32 = 1024 belongs to both
    assert result["map_large"].isnan()


def test_a_given_area_stands_even_if_it_is_zero() -> None:
    preds, target = image([([0, 0, 64, 64], 0.9, 0)], [([0, 0, 64, 64], 0)], area=[0.0])
    result = mean_average_precision([preds], [target])
    assert result["map_small"] == 1  # the box would be medium: 4096
    assert result["map_medium"].isnan()


# --------------------------------------------------------------------------------------------- arguments and results


def test_keys_are_those_of_torchmetrics() -> None:
    problem = random_problem(3, plain=True)
    result = mean_average_precision(problem.preds, problem.target)
    assert list(result)[:12] == list(oracle.STATS) or set(oracle.STATS) == set(result)
    for value in result.values():
        assert (value.ndim, value.dtype) == (0, torch.float64)


def test_any_thresholds_and_limits_name_their_keys() -> None:
    problem = random_problem(3, plain=True)
    result = mean_average_precision(
        problem.preds,
        problem.target,
        iou_thresholds=[0.3],
        max_detection_thresholds=[5, 1000],
        area_ranges={"tiny": (0, 9)},
    )
    assert set(result) == {"map", "mar_5", "mar_1000", "map_tiny", "mar_tiny"}


def test_thresholds_are_float64_grids() -> None:
    assert list(MeanAveragePrecision().iou_thresholds) == list(IOU_THRESHOLDS)
    assert list(MeanAveragePrecision().rec_thresholds) == np.linspace(0, 1, 101).tolist()


def test_class_metrics_are_vectors_even_of_one_class() -> None:
    preds, target = image([([0, 0, 8, 8], 0.9, 7)], [([0, 0, 8, 8], 7)])
    result = mean_average_precision([preds], [target], class_metrics=True)
    for key, value in (("map_per_class", 1), ("mar_100_per_class", 1), ("classes", 7)):
        assert result[key].tolist() == [value]


def test_class_metrics_are_the_means_of_the_arrays() -> None:
    problem = random_problem(11, images=8, plain=True)
    result = mean_average_precision(problem.preds, problem.target, class_metrics=True, extended_summary=True)
    labels = {label for item in (*problem.preds, *problem.target) for label in item["labels"].tolist()}
    assert result["classes"].tolist() == sorted(labels)
    precision = result["precision"][..., 0, -1].movedim(2, 0).flatten(1)  # (K, T * R)
    recall = result["recall"][..., 0, -1].T  # (K, T)
    for key, values in (("map_per_class", precision), ("mar_100_per_class", recall)):
        torch.testing.assert_close(result[key], values.nanmean(dim=1), rtol=0, atol=oracle.TOLERANCE, equal_nan=True)


def test_thresholds_can_be_set_anew_after_compute() -> None:
    problem = random_problem(11, images=8, plain=True)
    metric = MeanAveragePrecision(extended_summary=True)
    metric.update(problem.preds, problem.target)
    metric.compute()
    anew = {"iou_thresholds": [0.2, 0.5], "max_detection_thresholds": [3], "area_ranges": {"mid": (500, 5000)}}
    for name, value in anew.items():
        setattr(metric, name, value)
    oracle.assert_agrees(metric.compute(), oracle.evaluate(problem.preds, problem.target, **anew))


def test_overlaps_below_the_floor_are_gone() -> None:
    metric = MeanAveragePrecision()
    metric.update(*batch(hit(0)))
    with pytest.raises(ValueError, match=r"iou_thresholds.*0\.1.*0\.05"):
        metric.iou_thresholds = [0.05]


def test_thresholds_below_the_floor_lower_it_from_the_start() -> None:
    for seed in range(20):
        problem, settings = random_problem(seed, plain=True), {"iou_thresholds": [0.01, 0.05]}
        result = mean_average_precision(problem.preds, problem.target, **settings, extended_summary=True)
        oracle.assert_agrees(result, oracle.evaluate(problem.preds, problem.target, **settings))


def test_a_threshold_of_one_forgives_the_last_bits() -> None:
    # the heights differ by 5e-11: an overlap of 1 - 5e-11, and pycocotools asks for min(t, 1 - 1e-10)
    box = torch.tensor([[0.0, 0, 1, 1], [5, 5, 6, 6]], dtype=torch.float64)
    shorter = box - torch.tensor([[0, 0, 0, 5e-11], [0, 0, 0, 5e-10]], dtype=torch.float64)
    labels = torch.zeros(2, dtype=torch.int64)
    preds, target = (
        {"boxes": shorter, "scores": torch.tensor([0.9, 0.8]), "labels": labels},
        {"boxes": box, "labels": labels},
    )
    result = mean_average_precision([preds], [target], iou_thresholds=[1.0], extended_summary=True)
    assert result["mar_100"] == 0.5
    oracle.assert_agrees(result, oracle.evaluate([preds], [target], iou_thresholds=[1.0]))


def test_the_smallest_threshold_still_needs_an_overlap() -> None:
    # at 0, which is refused, pycocotools would match boxes that are far apart
    preds, target = image([([0, 0, 8, 8], 0.9, 0)], [([50, 50, 58, 58], 0)])
    assert mean_average_precision([preds], [target], iou_thresholds=[1e-9])["map"] == 0
    touching = {**target, "boxes": torch.tensor([[7.0, 7, 15, 15]])}  # 1 of 127
    assert mean_average_precision([preds], [touching], iou_thresholds=[1e-9])["map"] == 1


def test_one_class_of_all_labels_has_no_name() -> None:
    preds, target = image([([0, 0, 8, 8], 0.9, 0)], [([0, 0, 8, 8], 1)])
    arguments = {"class_names": ["cat", "dog"], "class_metrics": True, "class_agnostic": True}
    results = mean_average_precision([preds], [target], **arguments)
    assert results["map_per_class"].tolist() == [1]
    assert results["classes"].tolist() == [0]
    assert not any("/" in key for key in results)


@pytest.mark.parametrize("labels", [(1, 2), (2, 1)])
def test_class_agnostic_is_one_class(labels: tuple[int, int]) -> None:
    # the detection has the wrong label, below or above: nothing by class, everything without classes
    preds, target = image([([0, 0, 8, 8], 0.9, labels[0])], [([0, 0, 8, 8], labels[1])])
    assert mean_average_precision([preds], [target])["map"] == 0
    assert mean_average_precision([preds], [target], class_agnostic=True)["map"] == 1


def test_class_agnostic_is_one_class_even_without_boxes() -> None:
    preds, target = image([], [])
    result = mean_average_precision([preds], [target], class_agnostic=True, extended_summary=True)
    oracle.assert_agrees(result, oracle.evaluate([preds], [target], class_agnostic=True))


@pytest.mark.parametrize("zero_division", [0.0, 1.0, 0.25])
def test_zero_division_replaces_what_is_undefined(zero_division: float) -> None:
    preds, target = image([([0, 0, 8, 8], 0.9, 0)], [])
    result = mean_average_precision([preds], [target], zero_division=zero_division)
    assert {value.item() for value in result.values()} == {zero_division}


def test_average_micro_names_what_to_write() -> None:
    with pytest.raises(ValueError, match="class_agnostic=True"):
        MeanAveragePrecision(average="micro")


def test_backend_is_taken_with_a_warning() -> None:
    with pytest.warns(UserWarning, match="backend"):
        MeanAveragePrecision(backend="pycocotools")


@pytest.mark.parametrize(
    "arguments",
    [
        {"box_format": "yxyx"},
        {"iou_type": "oks"},
        {"iou_type": "keypoints", "keypoint_sigmas": "coco17"},
        {"iou_type": "keypoints", "keypoint_sigmas": [0.1, 0.0]},
        {"iou_type": "keypoints", "keypoint_sigmas": {"person": "coco"}},
        {"iou_type": "keypoints", "keypoint_sigmas": {}},
        {"iou_type": "segm", "keypoint_sigmas": "coco"},
        {"iou_thresholds": [1.5]},
        {"iou_thresholds": []},
        {"rec_thresholds": [-0.1]},
        {"max_detection_thresholds": [0]},
        {"max_detection_thresholds": [10.5]},
        {"area_ranges": {"odd": (5, 1)}},
        {"area_ranges": {"50": (1, 5)}},
        {"area_ranges": {"iou_50": (1, 5)}},
        {"class_names": ["cat", "cat"]},
        {"class_metrics": 1},
    ],
    ids=lambda arguments: "-".join(f"{key}={value}" for key, value in arguments.items()),
)
def test_wrong_arguments_are_named(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=[*arguments][-1]):
        MeanAveragePrecision(**arguments)


def test_unknown_arguments_raise() -> None:
    with pytest.raises(ValueError, match="colour"):
        MeanAveragePrecision(colour="red")


# ----------------------------------------------------------------------------------------------------------- real data


def read_json(path: Path) -> Any:
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt") as file:
        return json.load(file)


def coco_lists(dataset: dict[str, Any], results: list[dict[str, Any]]) -> tuple[list[Item], list[Item]]:
    """COCO's two files as lists of dicts, one an image, boxes in xywh."""
    ids = [entry["id"] for entry in dataset["images"]]
    found: dict[int, list[dict[str, Any]]] = {image_id: [] for image_id in ids}
    wanted: dict[int, list[dict[str, Any]]] = {image_id: [] for image_id in ids}
    for rows, side in ((results, found), (dataset["annotations"], wanted)):
        for entry in rows:
            side[entry["image_id"]].append(entry)
    preds = [{**columns(found[key]), "scores": column(found[key], "score")} for key in ids]
    target = [
        {
            **columns(wanted[key]),
            "area": column(wanted[key], "area"),
            "iscrowd": column(wanted[key], "iscrowd").long(),
            "image_id": torch.tensor(key),
        }
        for key in ids
    ]
    return preds, target


def columns(rows: list[dict[str, Any]]) -> Item:
    return {"boxes": column(rows, "bbox").reshape(-1, 4), "labels": column(rows, "category_id").long()}


def column(rows: list[dict[str, Any]], key: str) -> Tensor:
    return torch.tensor([entry[key] for entry in rows], dtype=torch.float64)


def kerascv(root: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The arrays of keras-cv as COCO's two files: xywh, class (and score), padded with -1."""
    arrays = np.load(root / "kerascv_sample" / "sample_boxes.npz")
    rows = [
        [
            {"image_id": i, "category_id": int(label), "bbox": [x, y, w, h], **({"score": rest[0]} if rest else {})}
            for i, image_rows in enumerate(arrays[name].tolist(), start=1)
            for x, y, w, h, label, *rest in image_rows
            if label >= 0
        ]
        for name in ("arr_0", "arr_1")
    ]
    annotations = [
        {**entry, "id": number, "area": entry["bbox"][2] * entry["bbox"][3], "iscrowd": 0}
        for number, entry in enumerate(rows[0], start=1)
    ]
    labels = sorted({entry["category_id"] for side in rows for entry in side})
    return {
        "images": [{"id": i} for i in range(1, len(arrays["arr_0"]) + 1)],
        "categories": [{"id": label} for label in labels],
        "annotations": annotations,
    }, rows[1]


def check_real(dataset: dict[str, Any], results: list[dict[str, Any]]) -> dict[str, Tensor]:
    """Statistics and arrays equal pycocotools', file against lists of tensors, fed in batches of 16."""
    preds, target = coco_lists(dataset, results)
    names = {entry["id"]: str(entry["id"]) for entry in dataset["categories"]}
    metric = MeanAveragePrecision(box_format="xywh", extended_summary=True, class_metrics=True, class_names=names)
    for start in range(0, len(preds), 16):
        metric.update(preds[start : start + 16], target[start : start + 16])
    result = metric.compute()
    oracle.assert_agrees(result, oracle.evaluate_coco(dataset, results))
    return result


def stats_of(result: dict[str, Tensor]) -> list[float]:
    return [result[key].item() for key in oracle.STATS]


def test_coco_val2014_100(data_root: Path) -> None:
    folder = data_root / "coco_val2014_100"
    dataset = read_json(folder / "instances_val2014_100.json")
    result = check_real(dataset, read_json(folder / "instances_val2014_fakebbox100_results.json"))
    meta = read_json(folder / "META.json")
    assert stats_of(result) == pytest.approx(
        meta["recorded"]["demo_notebook_bbox"], rel=0, abs=5e-4
    )  # printed with 3 digits
    assert stats_of(result) == pytest.approx(meta["recorded"]["fce_bbox"], rel=0, abs=oracle.TOLERANCE)
    check_classes(result, meta["measured"]["bbox"]["per_category_AP"])


def test_rafael_coco_sampled(data_root: Path) -> None:
    folder = data_root / "rafael_coco_sampled"
    result = check_real(read_json(folder / "gt.json"), read_json(folder / "dt.json"))
    meta = read_json(folder / "META.json")
    assert stats_of(result) == pytest.approx(meta["recorded"], rel=0, abs=5e-7)  # printed with 6 digits
    assert stats_of(result) == pytest.approx(meta["measured"]["stats"], rel=0, abs=oracle.TOLERANCE)
    check_classes(result, meta["measured"]["per_category_AP"])


def test_kerascv_sample(data_root: Path) -> None:
    result = check_real(*kerascv(data_root))
    recorded = read_json(data_root / "kerascv_sample" / "META.json")["recorded"]
    assert stats_of(result) == pytest.approx(recorded, rel=0, abs=5e-8)  # measured in float32


def test_voc07_tinyyolo(data_root: Path) -> None:
    folder = data_root / "voc07_tinyyolo"
    dataset = read_json(folder / "voc07_test_gt_coco.json.gz")
    result = check_real(dataset, read_json(folder / "tinyyolo_qfdong_dt_coco.json.gz"))
    recorded = read_json(folder / "META.json")["measured"]["pycocotools_12_difficult_as_crowd"]
    assert stats_of(result) == pytest.approx(recorded, rel=0, abs=5e-7)  # printed with 6 digits


def check_classes(result: dict[str, Tensor], recorded: dict[str, float | None]) -> None:
    """``recorded`` has AP under "person#1", None where the class does not occur."""
    for name, expected in recorded.items():
        ours = result[f"map/{name.split('#')[1]}"].item()
        assert math.isnan(ours) if expected is None else abs(ours - expected) <= oracle.TOLERANCE, name
