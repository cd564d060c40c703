"""The bytes of a state are those that the docstring of ``MeanAveragePrecision`` states."""

import pytest
import torch

from detmetrics import MeanAveragePrecision
from detmetrics.detection import metric as detection_metric

PER_DETECTION, PER_TARGET, PER_OVERLAP, PER_IMAGE = 24, 24, 16, 48
PER_WAITING_BOX, PER_WAITING_IMAGE = 56, 32


def num_bytes(metric: MeanAveragePrecision) -> int:
    return sum(chunk.numel() * chunk.element_size() for state in metric.metric_state.values() for chunk in state)


def update(metric: MeanAveragePrecision, images: int, detections: int, targets: int) -> None:
    """Images in which every detection overlaps every target of its class, of which there are two."""
    preds, target = torch.tensor([0.0, 0, 10, 10]).expand(detections, 4), torch.tensor([0.0, 0, 9, 10])
    labels = torch.arange(max(detections, targets)) % 2
    item = {"boxes": preds, "scores": torch.linspace(0, 1, detections), "labels": labels[:detections]}
    metric.update([item] * images, [{"boxes": target.expand(targets, 4), "labels": labels[:targets]}] * images)


@pytest.mark.parametrize(("pairs", "share"), [("same", 2), ("all", 1)])
def test_bytes_of_a_settled_state(pairs: str, share: int) -> None:
    """3 images of 40 detections and 6 targets: 240 pairs, or the half of one class."""
    metric = MeanAveragePrecision(pairs=pairs)
    update(metric, images=3, detections=40, targets=6)
    metric.settle()
    overlaps = 3 * 40 * 6 // share
    assert num_bytes(metric) == 3 * (PER_IMAGE + 40 * PER_DETECTION + 6 * PER_TARGET) + overlaps * PER_OVERLAP


def test_bytes_of_boxes_that_wait() -> None:
    metric = MeanAveragePrecision()
    update(metric, images=3, detections=40, targets=6)
    assert num_bytes(metric) == 3 * (PER_WAITING_IMAGE + (40 + 6) * PER_WAITING_BOX)


def test_no_more_rows_wait_than_stated() -> None:
    """70 images of 1,000 boxes without targets: more than may wait at once."""
    assert detection_metric.SETTLE_AT == {"cpu": 65_536, "cuda": 1_048_576}
    metric, most = MeanAveragePrecision(), 0
    for _ in range(70):
        update(metric, images=1, detections=1000, targets=0)
        most = max(most, sum(metric.num_rows(f"bbox_pending_{part}") for part in ("images", "detections", "targets")))
    assert 60_000 < most < 65_536


def test_the_arithmetic_of_the_docstring() -> None:
    assert round(1_048_576 * PER_WAITING_BOX / 1e6) == 59
