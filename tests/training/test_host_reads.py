"""How often a metric reads something back from its device, each of which makes the host wait for a GPU.

Segmentation and classification update on ``meta`` tensors, which have nothing to read. Detection cannot: what overlaps
depends on the values. There the branches that a GPU takes are forced on CPU tensors, and the reads are counted.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks.launches import Launches
from detmetrics import ragged
from detmetrics.demo import generate
from detmetrics.detection import average_precision
from detmetrics.state import devices
from tests.training import registry

SETTLE = 12  # reads that finding the overlaps of all pending images may take; update() itself has none
COMPUTE = {  # and those of compute(), once an epoch: some for each round of matching, so they vary a little
    "LVISAveragePrecision": 110,
    "MeanAveragePrecision": 100,
    "OpenImagesAveragePrecision": 60,
    "DetectionCalibration": 50,
    "DetectionConfusionMatrix": 50,
    "DetectionCurves": 100,
    "VOCAveragePrecision": 40,
    "DetectionErrors": 100,
    "DetectionF1Score": 35,
    "DetectionIoU": 35,
    "LocalizationRecallPrecision": 100,
    "DetectionFBetaScore": 35,
    "DetectionPrecision": 35,
    "DetectionRecall": 35,
    "DetectionReport": 35,
}


@pytest.mark.parametrize(
    "read",
    [
        lambda x: bool(x.any()),
        lambda x: int(x.sum()),
        lambda x: x.tolist(),
        lambda x: x[x > 1],
        lambda x: x.nonzero(),
        lambda x: torch.bincount(x),
        lambda x: torch.repeat_interleave(x, x),
        lambda x: x.unique(),
        lambda x: torch.equal(x, x + 1),
        lambda x: x.numpy(),
    ],
)
def test_each_kind_of_read_is_seen(read: Callable[[Tensor], Any]) -> None:
    values = torch.tensor([1, 2, 3])
    with Launches() as launches:
        read(values)
    assert launches.reads


# --------------------------------------------------------------------------------------- segmentation, classification


@pytest.mark.parametrize("ids", [False, True], ids=["no-ids", "ids"])
@pytest.mark.parametrize("scores", [False, True], ids=["labels", "scores"])
@pytest.mark.parametrize("task", ["multiclass", "binary", "multilabel"])
@pytest.mark.parametrize("name", registry.COUNTING)
def test_counting_reads_nothing(name: str, task: str, scores: bool, ids: bool) -> None:
    """``meta`` tensors have no values: whatever needs one raises."""
    metric = registry.make(name, task=task, ignore_index=255).to("meta")
    preds, target = registry.pixels(name, task, scores, "meta")
    more = {"image_ids": torch.arange(registry.IMAGES, device="meta")} if ids else {}
    with Launches() as launches:
        for _ in range(2):
            metric.update(preds, target, **more)
    assert not launches.reads
    assert metric.update_count == 2


# ------------------------------------------------------------------------------------------------------------ detection


@pytest.fixture
def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """The branches for devices from which reading is not free, on CPU tensors."""
    monkeypatch.setattr(devices, "defers_value_checks", lambda device: True)
    monkeypatch.setattr(ragged, "reads_are_free", lambda device: False)


@pytest.mark.usefixtures("as_on_a_gpu")
@pytest.mark.parametrize("ids", [False, True], ids=["no-ids", "ids"])
@pytest.mark.parametrize("name", registry.DETECTION)
def test_detection_updates_read_nothing(name: str, ids: bool) -> None:
    metric = registry.make(name)
    batches = [registry.detections(seed, ids) for seed in range(5)]
    with Launches() as launches:
        for preds, target in batches:
            metric.update(preds, target)
    assert not launches.reads
    assert metric.num_rows("bbox_pending_images") == 5 * registry.IMAGES


@pytest.mark.usefixtures("as_on_a_gpu")
def test_updates_with_facts_read_nothing() -> None:
    metric = registry.make("LVISAveragePrecision")
    preds, target = registry.detections()
    known = torch.tensor([0, 2])
    target = [item | ({} if i == 1 else {"neg_category_ids": known[:i]}) for i, item in enumerate(target)]
    with Launches() as launches:
        metric.update(preds, target)
    assert not launches.reads
    assert metric.num_rows("bbox_pending_targets") == sum(len(item["labels"]) for item in target) + 0 + 2 + 2
    metric.settle()
    facts = metric.data().facts
    assert facts is not None
    assert facts.image.tolist() == [2, 2, 3, 3]


@pytest.mark.usefixtures("as_on_a_gpu")
@pytest.mark.parametrize("name", registry.DETECTION)
def test_what_settling_and_computing_read_does_not_grow_with_the_images(name: str) -> None:
    few, many = _count_reads(name, 1), _count_reads(name, 20)
    assert many[0] == few[0] <= SETTLE
    assert many[1] <= COMPUTE[name]
    assert many[1] <= 1.5 * few[1]


def _count_reads(name: str, batches: int) -> tuple[int, int]:
    """The reads of finding overlaps, and those of ``compute()`` after that."""
    metric = registry.make(name)
    for seed in range(batches):
        metric.update(*registry.detections(seed))
    with Launches() as settling:
        metric.settle()
    with Launches() as computing:
        metric.compute()
    return settling.reads.total(), computing.reads.total()


KERNELS = {"settle": 300, "MeanAveragePrecision": 700, "DetectionF1Score": 320}  # operations, about a kernel each
READS = {"settle": 12, "MeanAveragePrecision": 25, "DetectionF1Score": 20}


@pytest.mark.usefixtures("as_on_a_gpu")
@pytest.mark.parametrize("name", ["MeanAveragePrecision", "DetectionF1Score"])
def test_few_kernels_for_many_images(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        average_precision, "AREA_BUDGET", dict.fromkeys(("cpu", "cuda"), average_precision.AREA_BUDGET["cuda"])
    )
    metric = registry.make(name)
    metric.update(*generate(num_images=500, num_detections=100, num_classes=80))
    with Launches() as settling:
        metric.settle()
    with Launches() as computing:
        metric.compute()
    assert settling.kernels.total() <= KERNELS["settle"]
    assert settling.reads.total() <= READS["settle"]
    assert computing.kernels.total() <= KERNELS[name]
    assert computing.reads.total() <= READS[name]


def test_no_public_metric_is_missing() -> None:
    assert set(registry.public()) == set(registry.EVERY)
