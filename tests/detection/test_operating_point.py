"""Precision, recall, F1 and F-beta of detections, against loops over boxes, by hand, and against one another."""

import itertools
import math
import random
from typing import Any

import pytest
import torch
from torch import Tensor

from detmetrics import (
    DetectionCurves,
    DetectionF1Score,
    DetectionFBetaScore,
    DetectionPrecision,
    DetectionRecall,
    MeanAveragePrecision,
)
from detmetrics.detection.operating_point import class_counts, outcomes
from detmetrics.functional import (
    detection_f1_score,
    detection_fbeta_score,
    detection_precision,
    detection_recall,
)
from tests.problems import Item, batch, hit, image, miss, random_problem
from tests.reference import detection as reference

AREAS = {"all": (0.0, 1e10), "small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}
CLOSE = {"abs": 1e-14, "nan_ok": True}


def settings_of(seed: int) -> dict[str, Any]:
    """Thresholds on which scores and overlaps fall, limits, and area ranges whose bounds are areas of boxes."""
    rng = random.Random(seed)
    return {
        "iou_threshold": rng.choice([0.5, 0.5, 1 / 3, 0.6, 0.75, 0.05, 1e-9, 1.0]),
        "score_threshold": rng.choice([0.0, 0.2, 0.4, 0.6, 0.8, 0.5]),
        "max_detections": rng.choice([None, None, None, 1, 3]),
        "area_range": rng.choice(["all", "all", "small", "medium", (32.0**2, 32.0**2)]),
    }


def bounds(settings: dict[str, Any]) -> tuple[float, float]:
    chosen = settings["area_range"]
    return AREAS[chosen] if isinstance(chosen, str) else chosen


def xyxy_problem(seed: int, images: int = 4) -> tuple[list[Item], list[Item]]:
    """The first problem from this seed on whose boxes are xyxy."""
    for candidate in itertools.count(seed * 1000):
        problem = random_problem(candidate, images=images)
        if problem.settings["box_format"] == "xyxy":
            return problem.preds, problem.target
    raise AssertionError


def mislabelled(seed: int) -> tuple[list[Item], list[Item]]:
    """The same problem after a detector that often takes one class for another."""
    preds, target = xyxy_problem(seed)
    rng, labels = random.Random(seed), labels_of(preds, target)
    for item in preds:
        item["labels"] = torch.tensor(
            [rng.choice(labels) if rng.random() < 0.4 else label for label in item["labels"].tolist()],
            dtype=torch.int64,
        )
    return preds, target


def matched(preds: list[Item], target: list[Item], settings: dict[str, Any]) -> list[reference.Image]:
    """The images after the loops have cut and matched them."""
    images = reference.read(preds, target, bounds(settings))
    for one in images:
        reference.cut(one, settings["score_threshold"], settings["max_detections"])
        reference.match(one, settings["iou_threshold"], bounds(settings))
    return images


def labels_of(preds: list[Item], target: list[Item]) -> list[int]:
    return sorted({label for item in (*preds, *target) for label in item["labels"].tolist()})


def cells(images: list[reference.Image], labels: list[int]) -> list[list[tuple[int, int, int]]]:
    return [[reference.counts(one, label) for label in labels] for one in images]


def pooled(counts: list[tuple[int, int, int]]) -> tuple[int, int, int]:
    return tuple(sum(column) for column in zip(*counts, strict=False)) if counts else (0, 0, 0)  # type: ignore[return-value]


def weighted(values: list[float], counts: list[tuple[int, int, int]]) -> float:
    pairs = [(v, tp + fn) for v, (tp, _, fn) in zip(values, counts, strict=False) if not math.isnan(v)]
    total = sum(weight for _, weight in pairs)
    return sum(v * weight for v, weight in pairs) / total if total else math.nan


def expected_score(counts: list[list[tuple[int, int, int]]], average: str, aggregate: str, beta: float) -> float:
    """F-beta of (tp, fp, fn) for each image and class, reduced in plain words."""

    def f(cell: tuple[int, int, int]) -> float:
        return reference.f_beta(*cell, beta)

    def one(row: list[tuple[int, int, int]]) -> float:
        if average == "micro":
            return f(pooled(row))
        return reference.mean([f(c) for c in row]) if average == "macro" else weighted([f(c) for c in row], row)

    columns = [pooled(list(column)) for column in zip(*counts, strict=False)]
    if aggregate == "dataset":
        return one(columns)
    if aggregate == "imagewise":
        return reference.mean([one(row) for row in counts])
    if aggregate == "pooled":
        return reference.mean([f(c) for row in counts for c in row])
    means = [reference.mean([f(c) for c in column]) for column in zip(*counts, strict=False)]
    return reference.mean(means) if average == "macro" else weighted(means, columns)


@pytest.mark.parametrize("block", range(8))
def test_counts_of_each_class_equal_the_loops(block: int) -> None:
    """1,200 problems with ties in score and overlap, crowds, ignored targets, area edges and empty images."""
    for seed in range(150 * block, 150 * (block + 1)):
        (preds, target), settings = xyxy_problem(seed), settings_of(seed)
        labels = labels_of(preds, target)
        expected = [
            pooled(list(column)) for column in zip(*cells(matched(preds, target, settings), labels), strict=False)
        ]
        metric = DetectionF1Score(**settings, average="none")
        metric.update(preds, target)
        assert metric.compute().tolist() == pytest.approx([reference.f_beta(*c) for c in expected], **CLOSE), seed
        counts = torch.stack(class_counts(metric.data(), metric.settings))
        assert list(zip(*counts.tolist(), strict=False)) == expected, seed


REDUCTIONS = [
    *itertools.product(("micro", "macro", "weighted"), ("dataset", "imagewise")),
    *itertools.product(("macro", "weighted"), ("classwise",)),
    ("macro", "pooled"),
]


@pytest.mark.parametrize(("average", "aggregate"), REDUCTIONS)
def test_every_reduction_equals_the_loops(average: str, aggregate: str) -> None:
    for seed in range(40):
        (preds, target), settings = xyxy_problem(seed), settings_of(seed)
        counts = cells(matched(preds, target, settings), labels_of(preds, target))
        for beta in (1.0, 2.0):
            value = detection_fbeta_score(preds, target, **settings, average=average, aggregate=aggregate, beta=beta)
            assert value.item() == pytest.approx(expected_score(counts, average, aggregate, beta), **CLOSE), seed


def test_class_agnostic_equals_one_label() -> None:
    for seed in range(100):
        (preds, target), settings = xyxy_problem(seed), settings_of(seed)
        images = reference.read(preds, target, bounds(settings))
        for one in images:
            reference.cut(one, settings["score_threshold"], settings["max_detections"], across=True)
            reference.match(one, settings["iou_threshold"], bounds(settings), across=True)
        everything = [reference.counts(one, label) for one in images for label in labels_of(preds, target)]
        value = detection_f1_score(preds, target, **settings, class_agnostic=True)
        assert value.item() == pytest.approx(reference.f_beta(*pooled(everything)), **CLOSE), seed


def test_f1_is_the_harmonic_mean_of_precision_and_recall() -> None:
    for seed in range(60):
        (preds, target), settings = xyxy_problem(seed), settings_of(seed)
        precision, recall, f1, f2 = (
            function(preds, target, **settings).item()
            for function in (detection_precision, detection_recall, detection_f1_score, _f2)
        )
        if precision > 0 and recall > 0:
            assert f1 == pytest.approx(2 / (1 / precision + 1 / recall), abs=1e-14)
            assert f2 == pytest.approx(5 * precision * recall / (4 * precision + recall), abs=1e-14)
        assert torch.equal(*(x.nan_to_num(-1) for x in _same(preds, target, settings)))


def _f2(preds: list[Item], target: list[Item], **settings: Any) -> Tensor:
    return detection_fbeta_score(preds, target, **settings, beta=2.0)


def _same(preds: list[Item], target: list[Item], settings: dict[str, Any]) -> tuple[Tensor, Tensor]:
    return detection_f1_score(preds, target, **settings), detection_fbeta_score(preds, target, **settings)


def test_per_image_counts_equal_the_loops_in_order_of_ids() -> None:
    for seed in range(100):
        (preds, target), settings = xyxy_problem(seed, images=6), settings_of(seed)
        labels = labels_of(preds, target)
        expected = [pooled(row) for row in cells(matched(preds, target, settings), labels)] if labels else None
        metric = DetectionF1Score(**settings)
        metric.update(preds, target)
        found = metric.per_image()
        assert list(found) == ["image_id", "arrival", "tp", "fp", "fn", "f1"]
        ids = sorted(int(item.get("image_id", -1)) for item in target)
        assert found["image_id"].tolist() == ids
        assert found["arrival"].tolist() == [i if image_id < 0 else -1 for i, image_id in enumerate(ids)]
        if expected:
            assert list(zip(*(found[key].tolist() for key in ("tp", "fp", "fn")), strict=False)) == expected
            assert found["f1"].tolist() == pytest.approx([reference.f_beta(*c) for c in expected], **CLOSE)


def test_per_image_tells_an_id_from_an_order_of_arrival() -> None:
    metric = DetectionF1Score()
    metric.update(*batch(hit(0)))
    metric.update(*batch(hit(1, image_id=0)))
    metric.update(*batch(hit(2)))
    found = metric.per_image()
    assert found["image_id"].tolist() == [-1, -1, 0]
    assert found["arrival"].tolist() == [0, 2, -1]


# ------------------------------------------------------------------------------------------------- cases of CASES.md


def values(pairs: list[tuple[Item, Item]], **settings: Any) -> tuple[float, float, float]:
    """Precision, recall and F1, at score threshold 0 unless told otherwise."""
    settings = {"score_threshold": 0.0, **settings}
    functions = (detection_precision, detection_recall, detection_f1_score)
    return tuple(f(*batch(*pairs), **settings).item() for f in functions)  # type: ignore[return-value]


def test_three_hits_and_a_miss() -> None:
    assert values([hit(0), hit(1), hit(2), miss(3)]) == (1, 3 / 4, 6 / 7)


def test_repeated_images_do_not_bias() -> None:
    pairs = [miss(0, image_id=0), *(hit(i, image_id=i) for i in range(1, 5)), miss(0, image_id=0)]
    with pytest.warns(UserWarning, match=r"1 image \(id 0\) was seen again"):
        assert values(pairs) == (1, 4 / 5, 8 / 9)
    without = [miss(0), *map(hit, range(1, 5)), miss(0)]
    assert values(without)[2] == 0.8  # 2 * 4 / (2 * 4 + 2)


def test_background_and_unknown_classes() -> None:
    stray = [([0, 0, 8, 8], 0.95, 0)]
    pairs = [hit(0), image(stray, []), image([([0, 0, 8, 8], 0.95, 7)], [])]
    assert values(pairs) == (1 / 3, 1, 0.5)
    by_class = detection_f1_score(*batch(*pairs), average="none", class_names={0: "a", 1: "b", 7: "c"})
    assert isinstance(by_class, dict)
    assert {name: value.item() for name, value in by_class.items()} == pytest.approx(
        {"f1/a": 2 / 3, "f1/b": math.nan, "f1/c": 0}, nan_ok=True
    )
    assert values(pairs, average="macro")[2] == pytest.approx(1 / 3)
    assert values(pairs, average="macro", class_names={0: "a", 1: "b", 7: "c"}, zero_division=1.0)[2] == pytest.approx(
        5 / 9
    )


def test_an_operating_point() -> None:
    preds = [([0, 0, 8, 8], 0.9, 0), *(([20.0 * i, 50, 20.0 * i + 8, 58], 0.5, 0) for i in range(3))]
    one = image(preds, [([0, 0, 8, 8], 0)])
    assert values([one]) == (1 / 4, 1, 0.4)
    assert values([one], score_threshold=0.6) == (1, 1, 1)


def test_order_of_equal_scores_does_not_matter() -> None:
    preds = [([0, 0, 8, 8], 0.9, 0), ([50, 50, 58, 58], 0.9, 0)]
    assert (
        values([image(preds, [([0, 0, 8, 8], 0)])])
        == values([image(preds[::-1], [([0, 0, 8, 8], 0)])])
        == (0.5, 1, 2 / 3)
    )


def test_a_crowd_ignores_what_it_takes() -> None:
    preds = [
        ([0, 0, 10, 10], 0.9, 0),
        ([20, 20, 30, 30], 0.95, 0),
        ([22, 22, 32, 32], 0.85, 0),
        ([90, 90, 99, 99], 0.6, 0),
    ]
    targets = [([0, 0, 10, 10], 0), ([15, 15, 60, 60], 0)]
    assert values([image(preds, targets, iscrowd=[0, 1])]) == (1 / 2, 1, 2 / 3)


# ------------------------------------------------------------------------------------------------------- thresholds


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_a_score_equal_to_the_threshold_is_kept_in_any_dtype(dtype: torch.dtype) -> None:
    preds, target = batch(hit(0))
    preds[0]["scores"] = torch.tensor([0.9], dtype=dtype)
    assert detection_recall(preds, target, score_threshold=0.9) == 1
    assert detection_recall(preds, target, score_threshold=0.95) == 0


def test_images_without_scores_keep_everything_in_the_order_given() -> None:
    first, second = [0.0, 0, 8, 8], [1.0, 0, 9, 8]  # both reach .5, and the first one chooses first
    preds, target = batch(image([(second, 0.1, 0), (first, 0.9, 0)], [(first, 0)]))
    del preds[0]["scores"]
    metric = DetectionF1Score(score_threshold=0.99)
    metric.update(preds, target)
    assert metric.compute() == 2 / 3
    assert outcomes(metric.data(), metric.settings).detection.tolist() == [0]
    with pytest.raises(ValueError, match=r"preds\[1\]: expected the key 'scores', got the keys \['boxes', 'labels'\]"):
        metric.update([hit(0)[0], preds[0]], [hit(0)[1], target[0]])
    metric.update([], [])
    assert metric.compute() == 2 / 3


@pytest.mark.parametrize("kind", [MeanAveragePrecision, DetectionCurves])
def test_what_needs_scores_says_so(kind: Any) -> None:
    preds, target = batch(hit(0))
    del preds[0]["scores"]
    with pytest.raises(ValueError, match=r"preds\[0\].*'scores'.*'boxes', 'labels'"):
        kind().update(preds, target)
    lenient = DetectionF1Score()
    lenient.update(preds, target)
    lenient.compute()
    strict = kind()
    strict.merge_state(lenient.metric_state)
    with pytest.raises(ValueError, match="expected preds with scores"):
        strict.compute()


def test_an_overlap_of_zero_is_never_a_match() -> None:
    apart = image([([0, 0, 8, 8], 0.9, 0)], [([8, 0, 16, 8], 0)])
    assert values([apart], iou_threshold=1e-12) == (0, 0, 0)


def test_a_threshold_of_zero_is_refused_with_the_reason() -> None:
    """In pycocotools boxes that do not meet would match."""
    for kind, settings in (
        (DetectionF1Score, {"iou_threshold": 0}),
        (MeanAveragePrecision, {"iou_thresholds": [0.0, 0.5]}),
    ):
        with pytest.raises(ValueError, match=r"above 0 and at most 1 .at 0, boxes that do not meet would match"):
            kind(**settings)


def test_a_lower_threshold_than_was_kept_raises() -> None:
    metric = DetectionF1Score()
    metric.update(*batch(hit(0)))
    with pytest.raises(ValueError, match=r"0\.1 or more, got 0\.05"):
        metric.iou_threshold = 0.05


# ------------------------------------------------------------------------------------------------ results, arguments


def test_per_class_results_are_vectors_without_names_and_dicts_with_them() -> None:
    preds, target = batch(hit(0))
    assert detection_f1_score(preds, target, average="none").tolist() == [1]
    assert detection_f1_score(preds, target, average="none", num_classes=3).tolist() == pytest.approx(
        [1, math.nan, math.nan], nan_ok=True
    )
    named = detection_precision(preds, target, average="none", class_names=["a"])
    assert isinstance(named, dict)
    assert [(name, value.item(), value.dtype, value.ndim) for name, value in named.items()] == [
        ("precision/a", 1, torch.float64, 0)
    ]
    assert detection_recall(preds, target, average="none", class_names=["a"], class_agnostic=True).tolist() == [1]
    f_beta = detection_fbeta_score(preds, target, average="none", class_names=["a"], beta=2.0)
    assert isinstance(f_beta, dict)
    assert list(f_beta) == ["f_beta/a"]


def test_class_weights() -> None:
    pairs = [hit(0), image([], [([0, 0, 8, 8], 1)])]  # F1 is 1 and 0, and undefined for the third class
    value = detection_f1_score(*batch(*pairs), average="macro", num_classes=3, class_weights=[1, 3, 5])
    assert value == 1 / 4
    assert torch.equal(
        value, detection_f1_score(*batch(*pairs), average="macro", num_classes=3, class_weights=torch.tensor([1, 3, 5]))
    )


def test_nothing_at_all_is_undefined() -> None:
    for zero_division in (math.nan, 0.0, 1.0):
        assert values([image([], [])], zero_division=zero_division) == pytest.approx((zero_division,) * 3, nan_ok=True)
        assert values([], zero_division=zero_division) == pytest.approx((zero_division,) * 3, nan_ok=True)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"iou_threshold": 1.5}, "iou_threshold: expected .*1.5"),
    ({"score_threshold": math.nan}, "score_threshold: expected a finite number, got nan"),
    ({"average": "samples"}, "average: expected one of .*'samples'"),
    ({"aggregate": "images"}, "aggregate: expected one of .*'images'"),
    ({"aggregate": "classwise", "average": "micro"}, "average: expected one of .*aggregate='classwise'.*'micro'"),
    ({"max_detections": 0}, "max_detections: expected a positive int, got 0"),
    ({"area_range": "tiny"}, "area_range: expected one of .*'tiny'"),
    ({"area_range": (5, 1)}, r"area_range: expected one of .* or \(low, high\), got \(5, 1\)"),
    ({"class_names": "ab"}, "class_names"),
    ({"num_classes": 0}, "num_classes: expected a positive int, got 0"),
    ({"num_classes": 2, "class_names": ["a"]}, "class_names: expected num_classes=2 names, got 1"),
    (
        {"class_agnostic": True, "pairs": "same"},
        "pairs: expected 'all', which class_agnostic=True asks about, got 'same'",
    ),
    ({"class_weights": [1.0]}, "class_weights: expected declared classes with them"),
    ({"unknown": 1}, "unknown"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG)
def test_wrong_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    for metric in (DetectionPrecision, DetectionRecall, DetectionF1Score, DetectionFBetaScore):
        with pytest.raises(ValueError, match=message):
            metric(**arguments)


@pytest.mark.parametrize("beta", [0, -1.0, math.inf, "1"])
def test_beta_is_a_number_above_zero(beta: Any) -> None:
    with pytest.raises(ValueError, match="beta: expected a finite number above 0, got"):
        DetectionFBetaScore(beta=beta)


def test_an_undeclared_label_raises() -> None:
    metric = DetectionF1Score(num_classes=2)
    with pytest.raises(ValueError, match="5"):
        metric.update(*batch(image([([0, 0, 8, 8], 0.9, 5)], [])))
