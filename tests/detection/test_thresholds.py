"""Score thresholds under constraints, FROC, AFROC and miss rates, by hand, against loops and against MONAI."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from monai.metrics.froc import compute_froc_score

from detmetrics import DetectionCurves
from detmetrics.functional import detection_curves, detection_precision, detection_recall
from tests.detection.test_curves import matched, problem
from tests.detection.test_operating_point import labels_of
from tests.problems import batch, image
from tests.reference import detection as reference

CLOSE = {"abs": 1e-13, "nan_ok": True}
HERE, AWAY, FAR = [0.0, 0, 10, 10], [50.0, 50, 60, 60], [90.0, 0, 99, 9]
Point = tuple[float, int, int, int]  # score, true positives, false positives, false negatives
RATES = (0.1, 0.25, 1 / 3, 1.0, 2.5, 8.0)


def test_constraints_by_hand() -> None:
    """Right at .9, wrong at .8, right at .7, wrong at .6, in two images; three targets."""
    first = image([(HERE, 0.9, 0), (FAR, 0.8, 0)], [(HERE, 0), (AWAY, 0)])
    second = image([(HERE, 0.7, 0), (FAR, 0.6, 0)], [(HERE, 0)])
    curves = detection_curves(*batch(first, second))
    columns = list(zip(*(column.tolist()[:1] for column in curves.highest_recall(precision=2 / 3)), strict=True))
    assert columns == [pytest.approx((0.7, 2 / 3, 2 / 3, 0.5))]
    assert curves.highest_recall(precision=0.7).recall[0].item() == pytest.approx(1 / 3)
    assert curves.highest_precision(recall=0.5).score_threshold[0].item() == pytest.approx(0.7)
    assert curves.highest_precision(recall=0.9).score_threshold[0].isnan()
    assert curves.within_budget(false_positives_per_image=0).score_threshold[0].item() == pytest.approx(0.9)
    assert curves.within_budget(false_positives_per_image=5).score_threshold[0].item() == pytest.approx(0.7)
    recalls, score = curves.froc([0.0, 0.25, 0.5, 1.0])
    # from .333 at 0 a straight line to .333 at .5; there it jumps to .667
    assert recalls[:, 0].tolist() == pytest.approx([1 / 3, 1 / 3, 2 / 3, 2 / 3])
    assert score[0].item() == pytest.approx(1 / 2)
    # .667 missed up to .5 (.01 to .316: 7 numbers), .333 at .562 and 1
    assert curves.miss_rate()[0].item() == pytest.approx((2 / 3) ** (7 / 9) * (1 / 3) ** (2 / 9))


def test_areas_of_afroc_by_hand() -> None:
    """Two images without targets, of best false positives .8 and none; targets found at .9 and at .8, one missed."""
    found = image([(HERE, 0.9, 0), (AWAY, 0.8, 0), (FAR, 0.95, 0)], [(HERE, 0), (AWAY, 0), ([20, 20, 30, 30], 0)])
    metric = DetectionCurves()
    metric.update(*batch(found, image([(HERE, 0.8, 0), (FAR, 0.1, 0)], []), image([], [])))
    # against .8: above, equal, below; against none: above, above, equal
    assert metric.afroc().tolist() == pytest.approx([(1 + 0.5 + 0 + 1 + 1 + 0.5) / 6] * 2)
    metric.reset()
    metric.update(*batch(found))
    assert metric.afroc().isnan().all()  # no image without targets


# --------------------------------------------------------------------------------------------------------------- loops


def points_of(images: list[reference.Image], label: int | None) -> tuple[list[Point], int]:
    targets = sum(t.counted for one in images for t in one.targets if label in (None, t.label))
    return reference.curve(reference.ranked(images, label), targets), targets


def choose(points: list[Point], allowed: Any, key: Any) -> float:
    """The score of the best point, by value and then by the tie rule."""
    chosen = [p for p in points if allowed(p)]
    return max(chosen, key=key)[0] if chosen else math.nan


@pytest.mark.parametrize("block", range(3))
def test_constraints_equal_the_loops(block: int) -> None:
    for seed in range(40 * block, 40 * (block + 1)):
        preds, target, settings = problem(seed)
        curves = detection_curves(preds, target, **settings, zero_division=0.0)
        images = matched(preds, target, settings)
        count = len(images)
        for at, label in enumerate([*labels_of(preds, target), None]):
            points, targets = points_of(images, label)
            for limit in (0.0, 0.3, 0.5, 2 / 3, 1.0):
                expected = choose(points, lambda p: p[1] / (p[1] + p[2]) >= limit, lambda p: (p[1], p[0]))  # noqa: B023
                assert same(curves.highest_recall(precision=limit).score_threshold[at], expected)
                expected = choose(
                    points,
                    lambda p: targets and p[1] / targets >= limit,  # noqa: B023
                    lambda p: (p[1] / (p[1] + p[2]), -p[0]),
                )
                assert same(curves.highest_precision(recall=limit).score_threshold[at], expected)
                expected = choose(points, lambda p: p[2] / count <= 4 * limit, lambda p: (p[1], p[0]))  # noqa: B023
                found = curves.within_budget(false_positives_per_image=4 * limit)
                assert same(found.score_threshold[at], expected)
                if not math.isnan(expected):
                    assert found.false_positives_per_image[at].item() <= 4 * limit
            if not targets:
                assert curves.froc()[1][at].isnan()
                assert curves.miss_rate()[at].isnan()
                continue
            # numpy takes the last of equal abscissae below, the first above
            rates, recalls = [0.0, *(p[2] / count for p in points)], [0.0, *(p[1] / targets for p in points)]
            found_recalls, score = curves.froc(RATES)
            assert found_recalls[:, at].tolist() == pytest.approx(np.interp(RATES, rates, recalls).tolist(), **CLOSE)
            assert score[at].item() == pytest.approx(np.interp(RATES, rates, recalls).mean(), **CLOSE)
            wanted = np.logspace(-2, 0, 9)
            missed = [
                1 - max((r for x, r in zip(rates, recalls, strict=True) if x <= one), default=0) for one in wanted
            ]
            expected = np.exp(np.log(np.maximum(1e-10, missed)).mean())
            assert curves.miss_rate(wanted.tolist())[at].item() == pytest.approx(expected, rel=1e-12)


def same(value: torch.Tensor, expected: float) -> bool:
    return value.item() == expected or (bool(value.isnan()) and math.isnan(expected))


def test_the_numbers_of_froc_and_miss_rates_are_those_of_their_papers() -> None:
    curves = detection_curves(*batch(image([(HERE, 0.9, 0)], [(HERE, 0)])))
    assert curves.froc()[0].shape == (7, 2)
    assert torch.equal(curves.froc()[0], curves.froc([1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8])[0])
    assert curves.miss_rate().tolist() == pytest.approx(curves.miss_rate(np.logspace(-2, 0, 9).tolist()).tolist())
    assert curves.miss_rate().tolist() == pytest.approx([1e-10] * 2)


def test_areas_of_afroc_equal_the_loops() -> None:
    for seed in range(80):
        preds, target, settings = problem(seed)
        metric = DetectionCurves(**settings)
        metric.update(preds, target)
        images = matched(preds, target, settings)
        for at, label in enumerate([*labels_of(preds, target), None]):
            lows, highs = [], []
            for one in images:
                own = [t for t in one.targets if t.counted and label in (None, t.label)]
                found = {id(d.found): d.score for d in one.detections if d.state == "right"}
                highs += [found.get(id(t), -math.inf) for t in own]
                if not own:
                    wrong = [d.score for d in one.detections if d.state == "wrong" and label in (None, d.label)]
                    lows.append(max(wrong, default=-math.inf))
            pairs = [(high > low) + (high == low) / 2 for low, high in itertools.product(lows, highs)]
            expected = sum(pairs) / len(pairs) if pairs else math.nan
            assert metric.afroc()[at].item() == pytest.approx(expected, **CLOSE), (seed, label)


def test_froc_equals_that_of_monai() -> None:
    checked = 0
    for seed in range(40):
        preds, target, settings = problem(seed)
        curves, images = detection_curves(preds, target, **settings), matched(preds, target, settings)
        points, targets = points_of(images, None)
        if not targets or not points:
            continue
        rates = np.array([*(p[2] / len(images) for p in reversed(points)), 0.0])
        recalls = np.array([*(p[1] / targets for p in reversed(points)), 0.0])
        expected = compute_froc_score(rates, recalls, RATES)
        assert curves.froc(RATES)[1][-1].item() == pytest.approx(expected, **CLOSE)
        checked += 1
    assert checked > 20


def test_the_thresholds_give_what_they_promise() -> None:
    for seed in range(20):
        preds, target, settings = problem(seed)
        point = detection_curves(preds, target, **settings).highest_recall(precision=0.4)
        threshold = point.score_threshold[-1].item()
        if not math.isnan(threshold):
            precision, recall = (
                function(preds, target, **settings, score_threshold=threshold)
                for function in (detection_precision, detection_recall)
            )
            assert precision.item() == point.precision[-1].item() >= 0.4
            assert torch.equal(recall.nan_to_num(-1), point.recall[-1].nan_to_num(-1))


def test_what_does_not_fit_is_named_and_nothing_is_undefined() -> None:
    curves = detection_curves([], [])
    assert curves.highest_recall(precision=0.5).score_threshold.isnan().all()
    assert curves.froc()[1].isnan().all()
    assert curves.miss_rate().isnan().all()
    for call, message in (
        (lambda: curves.highest_recall(precision=90), "precision: expected a number in"),
        (
            lambda: curves.within_budget(false_positives_per_image=-1),
            "false_positives_per_image: expected .* 0 or more",
        ),
        (lambda: curves.froc([]), "rates: expected a list of numbers of false positives"),
        (lambda: curves.miss_rate([-0.5]), "rates: expected a finite number, 0 or more, got -0.5"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_the_picture_of_froc() -> None:
    metric = DetectionCurves(class_names=["cat", "dog"])
    metric.update(*batch(image([(HERE, 0.9, 0), (FAR, 0.8, 0)], [(HERE, 0), (AWAY, 0)])))
    _, ax = metric.plot(kind="froc")
    cat, dog, pooled = ax.get_lines()
    assert cat.get_ydata().tolist() == pooled.get_ydata().tolist() == [0, 0.5, 0.5, 0.5]
    assert cat.get_xdata().tolist()[2:] == [1, 16]
    assert len(dog.get_xdata()) == 0
    _, ax = metric.plot([metric.compute()] * 2, kind="froc")
    assert [line.get_label() for line in ax.get_lines()] == ["cat", "dog", "all classes"]
