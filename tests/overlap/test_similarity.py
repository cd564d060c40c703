"""The protocol of similarities: a new one is one class, and every metric takes it."""

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from detmetrics import DetectionConfusionMatrix, DetectionCurves, DetectionF1Score, MeanAveragePrecision
from detmetrics.overlap import similarity as module
from detmetrics.overlap.boxes import BoxSimilarity
from detmetrics.overlap.candidates import find_pairs
from detmetrics.overlap.similarity import Items, Measured, Overlaps, Request, register, similarity, similarity_names
from tests.problems import Item
from tests.reference import detection as reference

NEAR = 100.0  # pixels; the centres of boxes farther apart overlap by 0
EVERYWHERE = (0.0, math.inf)
THRESHOLDS = [0.5, 0.75, 0.9]
RECALLS = [0.0, 0.25, 0.5, 0.75, 1.0]


class Distance:
    """1 - |distance of the centres| / 100 pixels, of boxes."""

    name, key, columns, waits = "distance", "boxes", 4, True

    def __init__(self, box_format: str) -> None:
        self.boxes = BoxSimilarity(box_format)
        self.rules = self.boxes.rules

    def configuration(self) -> tuple[Any, ...]:
        return self.boxes.configuration()

    def measure(self, preds: Items, target: Items, request: Request) -> Measured:
        return self.boxes.measure(preds, target, request)

    def find(
        self, detections: Tensor, targets: Tensor, iscrowd: Tensor, first: Tensor, count: Tensor, floor: float
    ) -> Overlaps:
        centre, target_centre = (xywh[:, :2] + xywh[:, 2:] / 2 for xywh in (detections, targets))

        def overlap(detection: Tensor, target: Tensor) -> Tensor:
            dx, dy = (centre[detection] - target_centre[target]).unbind(1)
            return (1 - (dx * dx + dy * dy).sqrt() / NEAR).clamp(min=0)

        return find_pairs(first, count, floor, overlap)


def slow_distance(detection: reference.Box, target: reference.Box, crowd: bool) -> float:
    dx, dy = ((detection[i] + detection[i + 2]) / 2 - (target[i] + target[i + 2]) / 2 for i in (0, 1))
    return max(1 - math.sqrt(dx * dx + dy * dy) / NEAR, 0.0)


@pytest.fixture(autouse=True)
def distance(monkeypatch: pytest.MonkeyPatch) -> None:
    """The similarity is known to the metrics, and the slow loops match by it."""
    monkeypatch.setattr(module, "_makers", dict(module._makers))
    register("distance", lambda options: Distance(options.box_format))
    monkeypatch.setattr(reference, "overlap", slow_distance)


def problem(seed: int) -> tuple[list[Item], list[Item]]:
    """Three images of three classes, in xyxy on a grid of even numbers: many distances are equal."""
    generator = torch.Generator().manual_seed(seed)
    sides: tuple[list[Item], list[Item]] = ([], [])
    for _, (side, items) in itertools.product(range(3), enumerate(sides)):
        n = int(torch.randint(0, 10, (), generator=generator))
        corner = torch.randint(0, 12, (n, 2), generator=generator) * 8.0
        size = torch.randint(1, 5, (n, 2), generator=generator) * 8.0
        item = {
            "boxes": torch.cat([corner, corner + size], 1),
            "labels": torch.randint(0, 3, (n,), generator=generator),
        }
        if side == 0:
            item["scores"] = torch.randint(0, 11, (n,), generator=generator) / 10
        else:
            item["iscrowd"] = torch.rand(n, generator=generator) < 0.2
        items.append(item)
    return sides


def matched(preds: list[Item], target: list[Item], threshold: float, score: float = -math.inf) -> list[reference.Image]:
    """The images after slow matching by distance."""
    images = reference.read(preds, target, EVERYWHERE)
    for image in images:
        reference.cut(image, score, None)
        reference.match(image, threshold, EVERYWHERE)
    return images


def num_targets(images: list[reference.Image], label: int) -> int:
    return sum(t.counted for image in images for t in image.targets if t.label == label)


def value(metric: Any, preds: list[Item], target: list[Item]) -> Any:
    """The result, fed image by image."""
    for i in range(len(preds)):
        metric.update(preds[i : i + 1], target[i : i + 1])
    return metric.compute()


def test_f1() -> None:
    for seed in range(20):
        preds, target = problem(seed)
        metric = DetectionF1Score(iou_type="distance", iou_threshold=0.8, score_threshold=0.3)
        images = matched(preds, target, 0.8, score=0.3)
        counts = [reference.counts(image, label) for image in images for label in range(3)]
        expected = reference.f_beta(*(sum(column) for column in zip(*counts, strict=True)))
        assert value(metric, preds, target).item() == pytest.approx(expected, abs=1e-14, nan_ok=True)


def test_mean_average_precision() -> None:
    for seed in range(20):
        preds, target = problem(seed)
        metric = MeanAveragePrecision(iou_type="distance", iou_thresholds=THRESHOLDS, rec_thresholds=RECALLS)
        found = []
        for threshold in THRESHOLDS:
            images = matched(preds, target, threshold)
            for label in range(3):
                rows = reference.ranked(images, label)
                found.append(reference.interpolated(rows, num_targets(images, label), RECALLS))
        expected = reference.mean(found)
        assert value(metric, preds, target)["map"].item() == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_curves() -> None:
    for seed in range(20):
        preds, target = problem(seed)
        result = value(DetectionCurves(iou_type="distance", iou_threshold=0.7), preds, target)
        images = matched(preds, target, 0.7)
        ends = [*result.offsets.tolist(), len(result.scores)]
        for i, label in enumerate(result.classes.tolist()):
            expected = reference.curve(reference.ranked(images, label), num_targets(images, label))
            found = slice(ends[i], ends[i + 1])
            assert result.scores[found].tolist() == pytest.approx([score for score, *_ in expected])
            precision = [tp / (tp + fp) for _, tp, fp, _ in expected]
            assert result.precision[found].tolist() == pytest.approx(precision, abs=1e-14)


def test_confusion_matrix() -> None:
    for seed in range(20):
        preds, target = problem(seed)
        metric = DetectionConfusionMatrix(
            iou_type="distance", iou_threshold=0.7, score_threshold=0.3, class_names=["a", "b", "c"]
        )
        expected = torch.zeros(4, 4, dtype=torch.int64)
        for image in matched(preds, target, 0.7, score=0.3):
            for row, column in reference.confuse(image, 0.7):
                expected[3 if row is None else row, 3 if column is None else column] += 1
        assert torch.equal(value(metric, preds, target), expected)


def test_values_are_checked_by_its_rules() -> None:
    preds, target = problem(0)
    wrong = [{**preds[0], "boxes": preds[0]["boxes"].clone()}, *preds[1:]]
    wrong[0]["boxes"][0, 0] = math.nan
    with pytest.raises(ValueError, match=r"preds\[0\]\['boxes'\]: expected finite coordinates, got .*nan.* in row 0"):
        DetectionF1Score(iou_type="distance").update(wrong, target)


def test_names_and_what_metrics_can_share() -> None:
    assert similarity_names() == ("bbox", "segm", "boundary", "keypoints", "distance")
    assert similarity("bbox", "xywh").configuration() != similarity("bbox", "xyxy").configuration()
    for name in ("segm", "boundary"):
        assert similarity(name, "xywh", 1).configuration() == similarity(name, "xyxy", 2).configuration()
    with pytest.raises(ValueError, match=r"iou_type: expected one of \('bbox', .*'distance'\), got 'oks'"):
        similarity("oks")


@pytest.mark.parametrize("name", ["bbox", "segm", "boundary", "distance"])
def test_each_says_of_itself_what_it_is(name: str) -> None:
    kind = similarity(name)
    assert kind.name == name
    key = "boxes" if kind.key == "boxes" else "masks"
    empty = {key: torch.zeros(0), "labels": torch.zeros(0, dtype=torch.int64), "scores": torch.zeros(0)}
    for items in ([], [empty], [empty, empty]):
        measured = kind.measure(items, items, Request(torch.device("cpu"), "same", 0.1))
        assert (measured.overlaps is None) == kind.waits
        for shapes in measured[:2]:
            assert shapes.geometry.shape == (0, kind.columns)
            assert shapes.geometry.dtype == shapes.area.dtype == torch.float64
            assert shapes.counts == [0] * len(items)
