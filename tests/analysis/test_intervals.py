"""The bootstrap: samples have the bits of metrics that were fed with them, and intervals hold what they should."""

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

import detmetrics
from detmetrics import (
    DetectionF1Score,
    Interval,
    MeanAveragePrecision,
    PanopticQuality,
    SegmentationIoU,
    bootstrap,
    demo,
)
from detmetrics.analysis.intervals import Sampler, _corrected, _quantile
from detmetrics.detection import operating_point
from detmetrics.match import coco
from tests.detection.test_laws import NAMES, REGISTRY, detections
from tests.training import registry

FEW, MANY = 6, 200  # weightings of images, in every run and in the slow sweep


def repeated(preds: list[Any], target: list[Any], times: Tensor) -> tuple[list[Any], list[Any]]:
    """The images as often as told, copies with ids of their own behind one another."""
    images = torch.arange(len(preds)).repeat_interleave(times).tolist()
    seen: Counter[int] = Counter()
    found = []
    for i in images:
        found.append({**target[i], "image_id": 1000 * int(target[i]["image_id"]) + seen[i]})
        seen[i] += 1
    return [preds[i] for i in images], found


def by_id(preds: list[Any], target: list[Any]) -> tuple[list[Any], list[Any]]:
    """Numbered in the order of the ids, which is that of a state."""
    order = sorted(range(len(preds)), key=lambda i: int(target[i]["image_id"]))
    return [preds[i] for i in order], [{**target[i], "image_id": number} for number, i in enumerate(order)]


def numbers(result: Any) -> Iterator[tuple[str, Tensor]]:
    named = result._asdict() if hasattr(result, "_asdict") else result
    named = named if isinstance(named, dict) else {"": named}
    for key, value in named.items():
        if isinstance(value, Tensor) and value.is_floating_point():
            yield key, value


def weightings(num_images: int, count: int, seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(0, 4, (num_images,), generator=generator) for _ in range(count)]


def agree(kind: Any, settings: dict[str, Any], seed: int, count: int) -> None:
    preds, target = by_id(*REGISTRY[kind].data(seed, True))
    name = kind.partition(" of ")[0]
    make = getattr(detmetrics, name)
    metric = make(**settings)
    metric.update(preds, target)
    metric.compute()  # what it worked out is carried over
    sampler = Sampler(metric, 0, None)
    answer = sampler.answer_of(metric)
    for times in weightings(len(preds), count, seed):
        if not int(times.sum()):
            continue
        alone = make(**settings)
        alone.update(*repeated(preds, target, times))
        expected = dict(numbers(alone.compute()))
        found = answer(times)
        for key, value in expected.items():
            torch.testing.assert_close(found[key or name], value, rtol=0, atol=0, equal_nan=True)


DECLARED = {"MeanAveragePrecision": {"class_metrics": True, "extended_summary": True}}


@pytest.mark.parametrize("kind", sorted(REGISTRY))
def test_samples_have_the_bits_of_repeated_images(kind: str) -> None:
    settings = dict(REGISTRY[kind].settings[0])
    if "class_names" not in settings and kind != "KeypointReport":
        settings["class_names"] = NAMES
    for seed in range(2):
        agree(kind, {**settings, **DECLARED.get(kind, {})}, seed, FEW)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["MeanAveragePrecision", "DetectionF1Score", "DetectionCurves"])
def test_many_samples_have_the_bits_of_repeated_images(kind: str) -> None:
    agree(kind, {"class_names": NAMES}, 5, MANY)


def test_ties_within_an_image_are_among_the_samples() -> None:
    metric = MeanAveragePrecision()
    ties = []
    for seed in range(5):
        metric.update(*detections(seed, False))
        ties.append(metric.data().ties)
    assert ties[-1] is not None


@pytest.mark.parametrize("name", ["SegmentationF1Score", "SegmentationReport", "PanopticQuality", "HausdorffDistance"])
def test_maps_are_sampled_like_boxes(name: str) -> None:
    preds, target = registry.batch(name)
    metric = registry.make(name)
    num_images = len(target)
    metric.update(preds, target, image_ids=torch.arange(num_images))
    answer = Sampler(metric, 0, None).answer_of(metric)
    for times in weightings(num_images, FEW, 1):
        images = torch.arange(num_images).repeat_interleave(times)
        if not len(images):
            continue
        alone = registry.make(name)
        alone.update(preds[images], target[images], image_ids=torch.arange(len(images)))
        found = answer(times)
        for key, value in numbers(alone.compute()):
            torch.testing.assert_close(found[key or name], value, rtol=0, atol=0, equal_nan=True)


# ----------------------------------------------------------------------------------------------------------- intervals


def fed(metric: Any, num_images: int = 40, seed: int = 0) -> Any:
    metric.update(*demo.generate(num_images=num_images, num_detections=15, num_classes=3, seed=seed))
    return metric


def test_equal_seeds_give_equal_intervals_with_any_number_of_threads() -> None:
    metric, before = fed(MeanAveragePrecision()), torch.get_num_threads()
    found = []
    for threads, seed in ((1, 3), (3, 3), (1, 4)):
        torch.set_num_threads(threads)
        try:
            found.append(bootstrap(metric, num_samples=20, seed=seed)["map"])
        finally:
            torch.set_num_threads(before)
    assert found[0] == found[1]
    assert found[0].low != found[2].low


@pytest.mark.parametrize("kind", [MeanAveragePrecision, DetectionF1Score])
def test_matches_are_found_once_for_all_samples(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where nothing was computed before."""
    calls = []
    for module in (coco, operating_point):
        found = module.match
        monkeypatch.setattr(module, "match", lambda *args, found=found: calls.append(args) or found(*args))
    bootstrap(fed(kind()), num_samples=20)
    assert len(calls) == 1


def test_an_interval_holds_the_value_and_its_samples() -> None:
    metric = fed(DetectionF1Score(score_threshold=0.3))
    wide, narrow = (bootstrap(metric, 300, confidence)["DetectionF1Score"] for confidence in (0.99, 0.5))
    assert wide.low < narrow.low < wide.value < narrow.high < wide.high
    assert wide.value == metric.compute()
    assert str(wide) == f"{wide.value:.4f} [{wide.low:.4f}, {wide.high:.4f}]"


def test_quantiles_leave_out_what_is_not_defined() -> None:
    generator = torch.Generator().manual_seed(0)
    samples = torch.rand(50, 3, generator=generator, dtype=torch.float64)
    samples[::3, 1], samples[:, 2] = torch.nan, torch.nan
    level = torch.tensor([0.1, 0.4, 0.5], dtype=torch.float64)
    found = _quantile(samples, level)
    for column in range(2):
        expected = np.nanquantile(samples[:, column].numpy(), level[column].item())
        assert math.isclose(found[column].item(), expected, rel_tol=1e-14)
    assert found[2].isnan()


def test_bca_follows_the_formula_of_efron_and_tibshirani() -> None:
    generator = torch.Generator().manual_seed(0)
    samples = torch.rand(500, generator=generator, dtype=torch.float64).square()
    left_out = torch.rand(40, generator=generator, dtype=torch.float64).square()
    value = torch.tensor(0.3, dtype=torch.float64)
    z0 = stats.norm.ppf((samples < value).double().mean().item())
    away = (left_out.mean() - left_out).numpy()
    a = (away**3).sum() / (6 * (away**2).sum() ** 1.5)
    z = stats.norm.ppf(0.025)
    expected = stats.norm.cdf(z0 + (z0 + z) / (1 - a * (z0 + z)))
    found = _corrected(torch.tensor(0.025, dtype=torch.float64), value, samples, left_out)
    assert math.isclose(found.item(), expected, rel_tol=1e-12)


def test_equal_samples_have_an_interval_without_width() -> None:
    box, labels = torch.tensor([[0.0, 0, 8, 8]]), torch.tensor([0])
    metric = MeanAveragePrecision()
    images = [{"boxes": box, "labels": labels}] * 4
    metric.update([{**image, "scores": torch.tensor([0.9])} for image in images], images)
    found = bootstrap(metric, 10)["map"]
    assert found == Interval(*(torch.tensor(x, dtype=torch.float64) for x in (1.0, 1.0, 1.0, 0.0)))


def test_groups_are_drawn_together() -> None:
    metric = fed(DetectionF1Score(), num_images=30)
    alone = bootstrap(metric, 200)["DetectionF1Score"]
    pairs = bootstrap(metric, 200, groups={i: i // 15 for i in range(1, 31)})["DetectionF1Score"]
    assert alone.value == pairs.value
    one = bootstrap(metric, 10, groups=dict.fromkeys(range(1, 31), "a"), method="percentile")["DetectionF1Score"]
    assert one.low == one.high == one.value
    assert one.standard_error == 0


def test_every_class_has_an_interval_in_every_sample() -> None:
    metric = fed(MeanAveragePrecision(class_metrics=True, class_names=["a", "b", "c", "absent"]), num_images=6)
    found = bootstrap(metric, 30)
    assert found.keys() == metric.compute().keys()
    assert found["map/absent"].low.isnan()
    assert not found["map/a"].low.isnan()


def test_errors_name_the_argument() -> None:
    metric = fed(MeanAveragePrecision(), num_images=3)
    for wrong, message in (
        ({"confidence": 1.0}, "confidence"),
        ({"num_samples": 0}, "num_samples"),
        ({"method": "normal"}, "method"),
        ({"groups": {1: 0}}, "none for image_id 2"),
    ):
        with pytest.raises(ValueError, match=message):
            bootstrap(metric, **wrong)
    totals = SegmentationIoU(num_classes=2)
    totals.update(torch.zeros(1, 4, dtype=torch.int64), torch.zeros(1, 4, dtype=torch.int64))
    with pytest.raises(ValueError, match="tells images apart"):
        bootstrap(totals)
    with pytest.raises(ValueError, match="has seen images"):
        bootstrap(PanopticQuality(things=[1], stuffs=[]))


@pytest.mark.slow
@pytest.mark.parametrize("kind", [MeanAveragePrecision, DetectionF1Score])
def test_intervals_cover_the_truth_as_often_as_they_say(kind: Any) -> None:
    """300 data sets of one model and population; the truth is what 20,000 images give."""
    key = "map" if kind is MeanAveragePrecision else "DetectionF1Score"
    settings = {} if kind is MeanAveragePrecision else {"score_threshold": 0.3}
    truth = float(
        dict(numbers(fed(kind(**settings), 20_000, seed=10**6).compute())).get("map" if settings == {} else "")
    )
    covered = 0
    for seed in range(300):
        found = bootstrap(fed(kind(**settings), 80, seed), 300, seed=seed)[key]
        covered += bool(found.low <= truth <= found.high)
    assert 0.92 <= covered / 300 <= 0.98
