"""Which arguments give the number of a protocol that people publish under."""

import math

import pytest
import torch
from torch import Tensor

from detmetrics import functional
from tests.reference import protocols

SEEDS = range(6)


def maps(seed: int, num_classes: int, void: int | None = None, first: int = 0) -> tuple[Tensor, Tensor]:
    """Label maps (5, 6, 7) with an image of one class, a class that is never there and one that is only predicted."""
    generator = torch.Generator().manual_seed(seed)
    present = num_classes - 2
    target = torch.randint(first, present, (5, 6, 7), generator=generator)
    right = torch.rand(target.shape, generator=generator) < 0.6
    preds = torch.where(right, target, torch.randint(first, present + 1, target.shape, generator=generator))
    target[1] = preds[1] = first
    preds[1, 0, 0] = present - 1
    if void is not None:
        target[torch.rand(target.shape, generator=generator) < 0.2] = void
    return preds, target


def lists(*tensors: Tensor) -> list[list[list[int]]]:
    return [tensor.flatten(1).tolist() for tensor in tensors]


def close(expected: float) -> object:
    return pytest.approx(expected, rel=1e-13, nan_ok=True)


@pytest.mark.parametrize("seed", SEEDS)
def test_cityscapes(seed: int) -> None:
    """Ignored labels are labels like others; where they are predicted on a counted pixel, the target is missed."""
    preds, target = maps(seed, 8)
    expected = protocols.cityscapes(*lists(preds, target), 8, [0, 3])
    assert functional.segmentation_iou(preds, target, num_classes=8, ignore_index=[0, 3]).item() == close(expected)


@pytest.mark.parametrize("seed", SEEDS)
def test_voc(seed: int) -> None:
    preds, target = maps(seed, 6, void=255)
    expected = protocols.voc(*lists(preds, target), 6)
    ious = functional.segmentation_iou(preds, target, num_classes=6, ignore_index=255, average="none")
    assert ious.tolist() == close(expected)
    mean = functional.segmentation_iou(preds, target, num_classes=6, ignore_index=255)
    assert mean.item() == close(protocols.nanmean(expected))


@pytest.mark.parametrize("seed", SEEDS)
def test_ade20k(seed: int) -> None:
    """Classes that never occur count as 0; the epsilon of the original is worth 1e-10 / union."""
    preds, target = maps(seed, 7, void=0, first=1)
    mean_iou, pixel_accuracy = protocols.ade20k(*lists(preds, target), 6)
    settings = {"num_classes": 7, "ignore_index": 0, "zero_division": 0}
    assert functional.segmentation_iou(preds, target, **settings).item() == pytest.approx(mean_iou, rel=1e-9)
    accuracy = functional.segmentation_accuracy(preds, target, **settings, average="micro")
    assert accuracy.item() == close(pixel_accuracy)


@pytest.mark.parametrize("seed", SEEDS)
def test_mmseg(seed: int) -> None:
    preds, target = maps(seed, 6, void=255)
    expected = protocols.mmseg(*lists(preds, target), 6, 255)
    report = functional.segmentation_report(preds, target, num_classes=6, ignore_index=255)
    found = {
        "aAcc": report["pixel_accuracy"],
        "mIoU": report["mean_iou"],
        "mAcc": report["mean_recall"],
        "mDice": report["mean_f1"],
        "mPrecision": report["mean_precision"],
    }
    assert {key: value.item() for key, value in found.items()} == close(expected)


@pytest.mark.parametrize("seed", SEEDS)
def test_nnunet(seed: int) -> None:
    preds, target = maps(seed, 5)
    expected = protocols.nnunet(*lists(preds, target), 5)
    found = functional.segmentation_f1_score(preds, target, num_classes=5, aggregate="classwise", exclude_classes=0)
    assert found.item() == close(expected)


@pytest.mark.parametrize("seed", SEEDS)
def test_monai(seed: int) -> None:
    """With ``ignore_empty=False``. What its default drops are objects predicted where there are none."""
    preds, target = maps(seed, 5)
    mean, by_class = protocols.monai(*lists(preds, target), 5, ignore_empty=False)
    settings = {"num_classes": 5, "exclude_classes": 0, "zero_division": 1}
    assert functional.segmentation_f1_score(preds, target, **settings, aggregate="imagewise").item() == close(mean)
    found = functional.segmentation_f1_score(preds, target, **settings, aggregate="classwise", average="none")
    assert found[1:].tolist() == close(by_class)


@pytest.mark.parametrize("seed", SEEDS)
def test_monai_by_default_where_nothing_is_hallucinated(seed: int) -> None:
    preds, target = maps(seed, 5)
    for p, t in zip(preds, target, strict=True):
        p[~torch.isin(p, t)] = 0
    mean, by_class = protocols.monai(*lists(preds, target), 5, ignore_empty=True)
    settings = {"num_classes": 5, "exclude_classes": 0}
    assert functional.segmentation_f1_score(preds, target, **settings, aggregate="imagewise").item() == close(mean)
    found = functional.segmentation_f1_score(preds, target, **settings, aggregate="classwise", average="none")
    assert found[1:].tolist() == close(by_class)


SMP = {
    "micro": {"average": "micro"},
    "macro": {"average": "macro"},
    "micro-imagewise": {"average": "micro", "aggregate": "imagewise"},
    "macro-imagewise": {"average": "macro", "aggregate": "pooled"},
}


@pytest.mark.parametrize("zero_division", [0.0, 1.0])
@pytest.mark.parametrize("reduction", SMP)
def test_segmentation_models_pytorch(reduction: str, zero_division: float) -> None:
    for seed in SEEDS:
        preds, target = maps(seed, 5)
        expected = protocols.smp(*lists(preds, target), 5, reduction, zero_division)
        settings = {**SMP[reduction], "zero_division": zero_division}
        assert functional.segmentation_iou(preds, target, num_classes=5, **settings).item() == close(expected)
        counts = functional.segmentation_counts(preds, target, num_classes=5)  # its own two steps
        assert functional.score_counts("iou", counts, **settings).item() == close(expected)


@pytest.mark.parametrize("seed", SEEDS)
def test_torchmetrics(seed: int) -> None:
    preds, target = maps(seed, 5)
    samplewise = protocols.torchmetrics_samplewise_f1(*lists(preds, target), 5)
    found = functional.segmentation_f1_score(preds, target, num_classes=5, aggregate="imagewise")
    assert found.item() == close(samplewise)
    mean_iou = protocols.torchmetrics_mean_iou(*lists(preds, target), 5)
    assert functional.segmentation_iou(preds, target, num_classes=5, aggregate="pooled").item() == close(mean_iou)


def test_the_protocols_disagree() -> None:
    """The same maps, and a number a protocol: the tests above can tell the arguments apart."""
    preds, target = maps(0, 5)
    pair = lists(preds, target)
    numbers = [
        protocols.smp(*pair, 5, "macro", 0.0),
        protocols.smp(*pair, 5, "macro", 1.0),
        protocols.smp(*pair, 5, "macro-imagewise", 1.0),
        protocols.torchmetrics_mean_iou(*pair, 5),
        protocols.cityscapes(*pair, 5, [0]),
        protocols.mmseg(*pair, 5, 255)["mIoU"],
        protocols.nnunet(*pair, 5),
        protocols.monai(*pair, 5, True)[0],
        protocols.monai(*pair, 5, False)[0],
    ]
    assert not any(math.isnan(number) for number in numbers)
    assert len({round(number, 9) for number in numbers}) == len(numbers)
