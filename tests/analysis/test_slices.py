"""A slice has the bits of a metric that was fed with its images alone."""

import random
from typing import Any

import pytest
import torch

import detmetrics
from detmetrics import (
    DetectionF1Score,
    MeanAveragePrecision,
    PanopticQuality,
    SegmentationIoU,
    demo,
    evaluate_slices,
)
from detmetrics.analysis.slices import by_crowding, by_size
from tests.detection.test_laws import CASES, REGISTRY, assert_same_bits, fed
from tests.problems import batch, hit, miss
from tests.training import registry


@pytest.mark.parametrize(("name", "settings"), CASES)
def test_slices_of_detections_have_the_bits_of_their_images_alone(name: str, settings: dict[str, Any]) -> None:
    for seed in range(3):
        preds, target = REGISTRY[name].data(seed, True)
        metric, rng = fed(name, settings, (preds, target)), random.Random(seed)
        for chosen in ([], [0], rng.sample(range(len(preds)), 3), range(len(preds))):
            chosen = sorted(chosen)
            ids = [int(target[i]["image_id"]) for i in chosen]
            part = metric.slice([*ids, 49])  # the last one may be missing
            if any(int(item["image_id"]) == 49 for item in target):
                continue
            alone = fed(name, settings, ([preds[i] for i in chosen], [target[i] for i in chosen]))
            assert_same_bits(part.compute(), alone.compute())
            assert part.num_images == len(chosen)
        assert_same_bits(metric.compute(), fed(name, settings, (preds, target)).compute())  # it stays as it is


@pytest.mark.parametrize("name", [*registry.COUNTING, *registry.CONTOURS, *registry.PANOPTIC])
def test_slices_of_maps_have_the_bits_of_their_images_alone(name: str) -> None:
    preds, target = registry.batch(name)
    ids = torch.arange(len(target)) * 10
    metric, alone = registry.make(name), registry.make(name)
    metric.update(preds, target, image_ids=ids)
    alone.update(preds[1:3], target[1:3], image_ids=ids[1:3])
    part = metric.slice([20, 10])
    assert_same_bits(part.compute(), alone.compute())
    assert part.num_images == 2
    part.update(preds[3:], target[3:], image_ids=ids[3:])  # it is a metric of its own
    alone.update(preds[3:], target[3:], image_ids=ids[3:])
    assert_same_bits(part.compute(), alone.compute())
    assert metric.compute() is not None
    assert metric.num_images == len(target)


def test_repeated_images_and_batches_go_with_their_ids() -> None:
    preds, target = demo.generate(num_images=6, num_detections=25, num_classes=2)
    metric, alone = DetectionF1Score(score_threshold=0.0), DetectionF1Score(score_threshold=0.0)
    for i in (2, 0, 1, 2, 3):
        metric.update(preds[i : i + 1], target[i : i + 1])
    alone.update(preds[2:3], target[2:3])
    part = metric.slice(torch.tensor([3]))  # ids count from 1
    with pytest.warns(UserWarning, match="1 image .* seen again"):
        assert torch.equal(part.compute(), alone.compute())
    assert alone.compute() > 0
    part.merge_state(alone)


def test_a_state_that_does_not_tell_images_apart_cannot_be_sliced() -> None:
    metric = DetectionF1Score()
    metric.update(*batch(hit(0), miss(1)))
    with pytest.raises(ValueError, match="slice: expected images with ids, got images without"):
        metric.slice([0])
    for name in ("SegmentationIoU", "ClassificationReport", "PanopticQuality"):
        others = registry.make(name)
        others.update(*registry.batch(name))
        with pytest.raises(ValueError, match="slice: expected"):
            others.slice([0])
    with pytest.raises(ValueError, match="image_ids: expected a non-negative int, got -1"):
        DetectionF1Score().slice([-1])
    assert {SegmentationIoU, PanopticQuality} < {getattr(detmetrics, name) for name in registry.public()}


def test_missing_and_small_parts_are_said() -> None:
    metric = MeanAveragePrecision()
    preds, target = demo.generate(num_images=40, num_detections=8, num_classes=2)
    metric.update(preds, target)
    with pytest.warns(UserWarning, match=r"attributes\['light'\]: 20 of 40 images have no value"):
        parts = evaluate_slices(metric, {"light": {"day": range(1, 20), "night": [20, 99], "dusk": []}}, min_images=5)
    assert list(parts) == ["all", "light/day", "light/night", "light/dusk"]
    said = {name: (part.num_images, part.num_missing, part.note) for name, part in parts.items()}
    assert said["all"] == (40, 0, "")
    assert said["light/day"] == (19, 0, "")
    assert said["light/night"] == (1, 1, "few images, 1 missing")
    assert said["light/dusk"] == (0, 0, "no images")
    alone = MeanAveragePrecision()
    alone.update(preds[:19], target[:19])
    assert_same_bits(parts["light/day"].result, alone.compute())
    assert parts["light/dusk"].result["map"].isnan()


def test_intervals_go_with_the_parts() -> None:
    metric = DetectionF1Score()
    metric.update(*demo.generate(num_images=40, num_detections=8, num_classes=2))
    parts = evaluate_slices(metric, {"half": {"first": range(1, 21), "last": range(21, 41)}}, num_samples=20, seed=3)
    (found,) = (parts["half/first"].intervals or {}).values()
    assert found.low <= found.value <= found.high
    assert torch.equal(found.value, parts["half/first"].result)


def test_attributes_that_do_not_fit_are_named() -> None:
    metric = DetectionF1Score()
    for attributes, message in (
        ([], "attributes: expected a dict of attributes"),
        ({"light": [1]}, r"attributes\['light'\]: expected a dict from value to ids"),
        ({"light": {"day": 3}}, r"attributes\['light'\]\['day'\]: expected ids of images"),
        ({"light": {"day": ["x"]}}, r"attributes\['light'\]\['day'\]: expected a non-negative int"),
    ):
        with pytest.raises(ValueError, match=message):
            evaluate_slices(metric, attributes)  # type: ignore[arg-type]


def test_ready_parts() -> None:
    metric = DetectionF1Score()
    preds, target = demo.generate(num_images=40, num_detections=8, num_classes=2)
    metric.update(preds, target)
    before = metric.settings
    for name, value in by_size(metric, ("small", (0, 1e10))).items():
        area = {"size/small": "small", "size/0-10000000000.0": (0, 1e10)}[name]
        asked = DetectionF1Score(area_range=area)
        asked.update(preds, target)
        assert torch.equal(value, asked.compute())
    assert metric.settings is before
    with pytest.raises(ValueError, match="metric: expected one with the setting area_range, got MeanAveragePrecision"):
        by_size(MeanAveragePrecision())
    crowding = by_crowding(metric, [2, 4])["targets"]
    assert list(crowding) == ["0-2", "3-4", "5 or more"]
    for (low, high), ids in zip(((0, 2), (3, 4), (5, 10**9)), crowding.values(), strict=True):
        expected = [item["image_id"] for item in target if low <= int((item["iscrowd"] == 0).sum()) <= high]
        assert ids == sorted(map(int, expected))
