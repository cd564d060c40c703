"""What only a GPU can show: where states are, when errors come, precision modes, and ranks. ``pytest -m cuda``."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

import detmetrics
from detmetrics import (
    DetectionConfusionMatrix,
    DetectionF1Score,
    MeanAveragePrecision,
    MetricCollection,
    SegmentationIoU,
)
from tests.device import to_device
from tests.keypoint_problems import keypoint_problem
from tests.problems import Problem, mask_problem, random_problem
from tests.segmentation import registry

SEEDS = range(6)


def on(device: Any, problem: Problem) -> tuple[Any, Any]:
    return to_device(problem.preds, device), to_device(problem.target, device)


def same_bits(result: Any, expected: Any) -> bool:
    return registry.same_bits(*(to_device(value, "cpu") for value in (result, expected)))


def test_the_state_lives_on_the_gpu(cuda: torch.device) -> None:
    metric = MeanAveragePrecision().to(cuda)
    metric.update(*on(cuda, random_problem(0, plain=True)))
    metric.compute()
    states = [chunk for state in metric.metric_state.values() for chunk in state]
    assert states
    assert {chunk.device.type for chunk in states} == {"cuda"}
    back = metric.to("cpu").compute()
    assert {value.device.type for value in back.values()} == {"cpu"}


@pytest.mark.parametrize("iou_type", ["bbox", "segm", "boundary", "keypoints"])
@pytest.mark.parametrize("seed", SEEDS)
def test_mean_average_precision_has_the_bits_of_the_cpu(iou_type: str, seed: int, cuda: torch.device) -> None:
    problem = {"bbox": random_problem, "keypoints": keypoint_problem}.get(iou_type, mask_problem)(seed)
    results = []
    for device in ("cpu", cuda):
        settings = {"iou_type": iou_type, "class_metrics": True, **problem.settings}
        metric = MeanAveragePrecision(**settings).to(device)
        metric.update(*on(device, problem))
        results.append(metric.compute())
    assert same_bits(results[1], results[0])


@pytest.mark.parametrize("precise", [True, False])
def test_overlaps_of_masks_are_exact_in_reduced_precision(precise: bool, cuda: torch.device) -> None:
    """TF32 has 11 bits and bfloat16 8: a product of masks in either would round counts of pixels."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest" if precise else "medium")
    try:
        assert_equal_overlaps(cuda, reduced=not precise)
    finally:
        torch.set_float32_matmul_precision(before)


def assert_equal_overlaps(cuda: torch.device, reduced: bool) -> None:
    torch.manual_seed(0)
    masks = [torch.rand(n, 700, 900) < 0.5 for n in (6, 4)]
    preds = [{"masks": masks[0], "scores": torch.rand(6), "labels": torch.zeros(6, dtype=torch.int64)}]
    target = [{"masks": masks[1], "labels": torch.zeros(4, dtype=torch.int64)}]
    overlaps = []
    for device in ("cpu", cuda):
        metric = MeanAveragePrecision(iou_type="segm").to(device)
        with torch.autocast("cuda", dtype=torch.bfloat16, enabled=reduced):
            metric.update(to_device(preds, device), to_device(target, device))
        overlaps.append(metric.data().iou.cpu())
    assert len(overlaps[0]) == 24
    assert torch.equal(*overlaps)


def test_an_invalid_value_raises_at_compute_and_names_the_image(cuda: torch.device) -> None:
    problem = random_problem(1, plain=True)
    preds, target = on(cuda, problem)
    preds[0] = {**preds[0], "boxes": torch.zeros(1, 4, device=cuda), "labels": torch.zeros(1, device=cuda).long()}
    preds[0]["scores"] = torch.full((1,), float("nan"), device=cuda)
    metric = DetectionF1Score(**problem.settings).to(cuda)
    metric.update(preds, target)
    for _ in range(2):
        with pytest.raises(ValueError, match=r"finite scores"):
            metric.compute()
    metric.reset()
    metric.update(*on(cuda, random_problem(1, plain=True)))
    metric.compute()


def test_input_on_another_device_is_refused(cuda: torch.device) -> None:
    with pytest.raises(ValueError, match="cuda"):
        MeanAveragePrecision().to(cuda).update(*on("cpu", random_problem(0, plain=True)))


def test_a_collection_shares_one_state_on_the_gpu(cuda: torch.device) -> None:
    problem = random_problem(2, plain=True, image_ids=False)
    results = []
    for device in ("cpu", cuda):
        kinds = [MeanAveragePrecision, DetectionF1Score]
        metrics = [kind(pairs="all", **problem.settings) for kind in kinds]
        labels = sorted({int(x) for item in (*problem.preds, *problem.target) for x in item["labels"]})
        metrics.append(DetectionConfusionMatrix(class_names={x: str(x) for x in labels}, **problem.settings))
        collection = MetricCollection(metrics).to(device)
        for _ in range(2):
            collection.update(*on(device, problem))
        results.append(collection.compute())
        states = [next(iter(metric.metric_state.values())) for metric in collection.values(copy_state=False)]
        assert len({id(state) for state in states}) == 1
    assert same_bits(results[1], results[0])


def test_a_forward_on_the_gpu_gives_the_value_of_the_batch(cuda: torch.device) -> None:
    problem = random_problem(3, plain=True)
    values = [MeanAveragePrecision(**problem.settings).to(d)(*on(d, problem)) for d in ("cpu", cuda)]
    assert same_bits(values[1], values[0])


def test_a_checkpoint_of_the_gpu_loads_on_the_cpu(cuda: torch.device, tmp_path: Path) -> None:
    problem = random_problem(4, plain=True)
    metric = MeanAveragePrecision(**problem.settings).to(cuda)
    metric.persistent(True)
    metric.update(*on(cuda, problem))
    torch.save(metric.state_dict(), tmp_path / "state.pt")
    loaded = MeanAveragePrecision(**problem.settings)
    loaded.persistent(True)
    loaded.load_state_dict(torch.load(tmp_path / "state.pt", map_location="cpu"))
    assert same_bits(loaded.compute(), metric.compute())


@pytest.mark.parametrize(("backend", "size"), [("nccl", 1), ("gloo", 2)])
def test_ranks_have_the_bits_of_one_process(backend: str, size: int, cuda: torch.device, tmp_path: Path) -> None:
    mp.spawn(_rank, args=(backend, size, tmp_path), nprocs=size)
    problem = random_problem(5, images=9, image_ids=True, plain=True)
    metric = MeanAveragePrecision(class_metrics=True, **problem.settings)
    metric.update(problem.preds, problem.target)
    for rank in range(size):
        found = torch.load(tmp_path / f"{rank}.pt")
        assert same_bits(found["boxes"], metric.compute())
        assert found["pixels"] == 1.0


def _rank(rank: int, backend: str, size: int, folder: Path) -> None:
    os.environ.setdefault("NCCL_P2P_DISABLE", "1")
    dist.init_process_group(backend, f"file://{folder}/store", rank=rank, world_size=size)
    torch.cuda.set_device(0)
    problem = random_problem(5, images=9, image_ids=True, plain=True)
    own = Problem(problem.preds[rank::size], problem.target[rank::size], problem.settings)
    boxes = MeanAveragePrecision(class_metrics=True, **problem.settings).to("cuda")
    boxes.update(*on("cuda", own))
    pixels = SegmentationIoU(num_classes=3).to("cuda")
    labels = torch.arange(12, device="cuda").view(1, 3, 4) % 3
    pixels.update(labels, labels)
    result = {"boxes": to_device(boxes.compute(), "cpu"), "pixels": float(pixels.compute())}
    torch.save(result, folder / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_pixels_under_autocast(task: str, cuda: torch.device) -> None:
    torch.manual_seed(1)
    scores = torch.rand(3, 5, 70, 90)
    target = torch.randint(0, 5, (3, 70, 90)) if task == "multiclass" else (torch.rand(scores.shape) < 0.4)
    values = []
    for device in ("cpu", cuda):
        metric = SegmentationIoU(task=task, num_classes=5, average="none").to(device)
        with torch.autocast(torch.device(device).type, dtype=torch.bfloat16):
            metric.update(scores.to(device), target.to(device))
        values.append(metric.compute())
    values = [
        {str(i): v for i, v in enumerate(value.values() if isinstance(value, dict) else value)} for value in values
    ]
    assert same_bits(values[1], values[0])


def test_a_report_of_labels_on_the_gpu(cuda: torch.device) -> None:
    torch.manual_seed(2)
    preds, target = torch.randint(0, 4, (2, 500))
    reports = []
    for device in ("cpu", cuda):
        metric = detmetrics.ClassificationReport(num_classes=4).to(device)
        metric.update(preds.to(device), target.to(device))
        reports.append(str(to_device(metric.compute(), "cpu")))
    assert reports[0] == reports[1]
