"""Comparisons of two metrics: what differs, how likely that is by chance, and what must agree."""

from typing import Any

import pytest
import torch

from detmetrics import (
    Comparison,
    DetectionF1Score,
    DetectionReport,
    MeanAveragePrecision,
    SegmentationIoU,
    compare,
    demo,
)
from detmetrics.analysis.comparison import holm

NAMES = ["a", "b", "c"]


def images(seed: int, num_images: int = 40) -> tuple[Any, Any]:
    return demo.generate(num_images=num_images, num_detections=12, num_classes=3, seed=seed)


def worse(preds: Any, every: int) -> Any:
    """The predictions without every so many-th detection."""
    kept = [torch.arange(len(image["scores"])) % every != 0 for image in preds]
    return [{key: value[own] for key, value in image.items()} for image, own in zip(preds, kept, strict=True)]


def fed(metric: Any, preds: Any, target: Any) -> Any:
    metric.update(preds, target)
    return metric


def pair(make: Any, every: int = 3) -> tuple[Any, Any]:
    preds, target = images(0)
    return fed(make(), worse(preds, every), target), fed(make(), preds, target)


@pytest.mark.parametrize(
    "make",
    [
        lambda: DetectionF1Score(score_threshold=0.2),
        lambda: MeanAveragePrecision(class_metrics=True, class_names=NAMES),
        lambda: DetectionReport(score_threshold=0.2, class_names=NAMES),
    ],
)
def test_differences_are_those_of_the_results(make: Any) -> None:
    first, second = pair(make)
    found = compare(first, second, 50)
    results = [metric.compute() for metric in (first, second)]
    results = [result if isinstance(result, dict) else {"DetectionF1Score": result} for result in results]
    for key, interval in found.differences.items():
        torch.testing.assert_close(
            interval.value, (results[1][key] - results[0][key]).double(), rtol=0, atol=0, equal_nan=True
        )
    assert all(0 < found.p_values[key] <= 1 for key in found.differences if not interval.value.isnan())


def test_a_model_is_no_better_than_itself() -> None:
    preds, target = images(1)
    first, second = (fed(DetectionF1Score(), preds, target) for _ in range(2))
    found = compare(first, second, 30)
    interval = found.differences["DetectionF1Score"]
    assert interval.low == interval.value == interval.high == 0
    assert found.p_values["DetectionF1Score"] == 1
    assert found.images is not None
    assert not found.images["difference"].nan_to_num(0.0).any()
    assert found.objects is not None
    assert not found.objects["only_first"].any()


def test_images_are_drawn_in_pairs() -> None:
    """The interval of the difference is narrower than those of the results, which share what makes images hard."""
    from detmetrics import bootstrap

    first, second = pair(lambda: DetectionF1Score(score_threshold=0.2), every=10)
    found = compare(first, second, 300).differences["DetectionF1Score"]
    alone = bootstrap(second, 300)["DetectionF1Score"]
    assert found.standard_error < 0.7 * alone.standard_error
    assert found.low > 0


def test_objects_and_images_are_counted() -> None:
    first, second = pair(lambda: DetectionF1Score(score_threshold=0.2))
    found = compare(first, second, 10)
    assert found.objects is not None
    assert found.images is not None
    counts = {name: int(own.sum()) for name, own in found.objects.items()}
    tables = [metric.per_image() for metric in (first, second)]
    assert counts["both"] + counts["only_first"] == tables[0]["tp"].sum()
    assert counts["both"] + counts["only_second"] == tables[1]["tp"].sum()
    assert sum(counts.values()) == (tables[0]["tp"] + tables[0]["fn"]).sum()
    assert counts["only_second"] > counts["only_first"]
    expected = tables[1]["f1"] - tables[0]["f1"]
    torch.testing.assert_close(found.images["difference"], expected, rtol=0, atol=0, equal_nan=True)
    assert found.images["image_id"].tolist() == list(range(1, 41))


def test_maps_are_compared_too() -> None:
    generator = torch.Generator().manual_seed(0)
    target = torch.randint(2, (12, 8, 8), generator=generator)
    metrics = []
    for rate in (0.6, 0.9):
        guess = torch.where(torch.rand(12, 8, 8, generator=generator) < rate, target, 1 - target)
        metric = SegmentationIoU(num_classes=2, aggregate="imagewise")
        metric.update(guess, target, image_ids=torch.arange(12))
        metrics.append(metric)
    found = compare(*metrics, 100)
    assert found.differences["SegmentationIoU"].low > 0
    assert found.p_values["SegmentationIoU"] < 0.05
    assert found.objects is None


def test_holm_by_hand() -> None:
    p = torch.tensor([0.01, 0.04, 0.03, 0.005], dtype=torch.float64)
    torch.testing.assert_close(holm(p), torch.tensor([0.03, 0.06, 0.06, 0.02], dtype=torch.float64))
    undefined = torch.tensor([torch.nan, 0.04, 0.5], dtype=torch.float64)
    expected = torch.tensor([torch.nan, 0.08, 0.5], dtype=torch.float64)
    torch.testing.assert_close(holm(undefined), expected, equal_nan=True)


def test_classes_are_corrected_together() -> None:
    first, second = pair(lambda: MeanAveragePrecision(class_metrics=True, class_names=NAMES))
    found = compare(first, second, 100)
    keys = [f"map/{name}" for name in NAMES]
    assert torch.stack([found.corrected[key] for key in keys]).equal(
        holm(torch.stack([found.p_values[key] for key in keys]))
    )
    assert "map" not in found.corrected


def test_the_text_has_a_line_for_each_number() -> None:
    first, second = pair(lambda: DetectionF1Score(score_threshold=0.2))
    found = compare(first, second, 20)
    assert isinstance(found, Comparison)
    assert str(found).startswith("DetectionF1Score: 0.")
    assert "p = 0.0" in str(found)


def test_what_cannot_be_compared_is_refused() -> None:
    preds, target = images(2, 5)
    f1 = fed(DetectionF1Score(), preds, target)
    moved = [{**item, "boxes": item["boxes"] + 1, "labels": item["labels"].flip(0) + 1} for item in target]
    for other, message in (
        (fed(MeanAveragePrecision(), preds, target), "expected a DetectionF1Score"),
        (fed(DetectionF1Score(score_threshold=0.1), preds, target), "with others"),
        (fed(DetectionF1Score(), preds[1:], target[1:]), "image_id 1"),
        (fed(DetectionF1Score(), preds, moved), "targets of the first"),
    ):
        with pytest.raises(ValueError, match=message):
            compare(f1, other, 5)


@pytest.mark.slow
def test_equal_models_are_told_apart_once_in_twenty() -> None:
    """Two models of the same quality, with errors of their own on the same targets."""
    rejected, trials = 0, 300
    for seed in range(trials):
        target = images(seed, 60)[1]
        metrics = []
        for own in (0, 1):
            generator = torch.Generator().manual_seed(2 * seed + own)
            preds = []
            for item in target:
                found = torch.rand(len(item["labels"]), generator=generator) < 0.7
                preds.append({key: item[key][found] for key in ("boxes", "labels")})
                preds[-1]["scores"] = torch.rand(int(found.sum()), generator=generator)
            metrics.append(fed(DetectionF1Score(score_threshold=0.1), preds, target))
        rejected += bool(compare(*metrics, 400, seed=seed, method="percentile").p_values["DetectionF1Score"] < 0.05)
    assert 0.02 <= rejected / trials <= 0.09
