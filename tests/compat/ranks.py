"""Spawned gloo processes that evaluate every second image each."""

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from detmetrics.compat import torchmetrics as ours
from tests.compat.test_torchmetrics import inputs, noisy

SEEDS = (1, 4, 6)


def metrics() -> dict[str, Any]:
    """The metrics that are asked, with their inputs."""
    made: dict[str, Any] = {}
    for seed in SEEDS:
        made[f"bbox {seed}"] = ours.MeanAveragePrecision(class_metrics=True), inputs(seed)
        made[f"segm {seed}"] = ours.MeanAveragePrecision(iou_type="segm", average="micro"), inputs(seed, "segm")
        made[f"iou {seed}"] = ours.IntersectionOverUnion(class_metrics=True), noisy(seed)
    made["one image"] = ours.MeanAveragePrecision(), tuple(side[:1] for side in inputs(1))  # other ranks have none
    return made


def run(size: int, folder: Path) -> list[dict[str, Any]]:
    """The results of each rank in a world of ``size``."""
    mp.spawn(_run_rank, args=(size, folder), nprocs=size)
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(size)]


def _run_rank(rank: int, size: int, folder: Path) -> None:
    os.environ["TORCH_DISTRIBUTED_DEBUG"] = "DETAIL"
    torch.set_num_threads(1)
    store = f"file://{folder / 'store'}"
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=size, timeout=timedelta(seconds=60))
    found = {}
    for name, (metric, (preds, target)) in metrics().items():
        metric.warn_on_many_detections = False
        if preds[rank::size]:
            metric.update(preds[rank::size], target[rank::size])
        metric._update_count += not preds[rank::size]  # no warning of a rank without images
        found[name] = metric.compute(), len(metric.groundtruth_labels)
    torch.save(found, folder / f"{rank}.pt")
    dist.destroy_process_group()
