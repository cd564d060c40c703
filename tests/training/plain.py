"""A complete script without Lightning, for ``torchrun --nproc-per-node 2 -m tests.training.plain FOLDER``."""

import os
import sys
import time
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler

from detmetrics import DetectionF1Score, MeanAveragePrecision
from tests.training import models

COUNT = 13  # images; the sampler for two ranks repeats one
PATIENCE = 3.0  # seconds that a rank waits for one that never comes


def train(net: nn.Module, data: models.Rectangles) -> None:
    sampler = DistributedSampler(data, shuffle=False)
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    for _ in range(2):
        for images, target in DataLoader(data, models.BATCH, sampler=sampler, collate_fn=models.detection_batch):
            loss = sum(net(images, target).values())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def evaluate(net: nn.Module, batches: Iterable[Any]) -> tuple[dict[str, Tensor], int]:
    """What the metrics say on every rank, and of how many images."""
    scores = MeanAveragePrecision(**models.MAP_SETTINGS)
    f1 = DetectionF1Score(**models.POINT_SETTINGS)
    net.eval()
    for images, target in batches:
        with torch.no_grad():
            preds = net(images)
        scores.update(preds, target)
        f1.update(preds, target)
    return {**scores.compute(), "f1": f1.compute()}, scores.num_images


def local_value(metric: MeanAveragePrecision) -> Tensor:
    """What this rank alone has accumulated."""
    alone = MeanAveragePrecision(**models.MAP_SETTINGS, sync_on_compute=False)
    alone.merge_state(metric)
    return alone.compute()["map"]


def time_failure(metric: MeanAveragePrecision) -> tuple[str, float]:
    """The type of the error of ``compute()``, and after how many seconds it came."""
    start = time.monotonic()
    try:
        metric.compute()
    except Exception as error:
        return type(error).__name__, time.monotonic() - start
    return "", time.monotonic() - start


def lose(rank: int, net: nn.Module) -> dict[str, Any] | None:
    """Rank 1 first does not come to a sync, then is gone. What rank 0 sees; rank 1 does not return."""
    impatient = dist.new_group([0, 1], timeout=timedelta(seconds=PATIENCE))
    data = DataLoader(models.Rectangles(3), 1, collate_fn=models.detection_batch)
    stuck = MeanAveragePrecision(**models.MAP_SETTINGS, process_group=impatient)
    gone = MeanAveragePrecision(**models.MAP_SETTINGS)
    for images, target in data:
        with torch.no_grad():
            preds = net(images)
        stuck.update(preds, target)
        gone.update(preds, target)
    before = local_value(gone)
    found = {"before": before, "stuck": time_failure(stuck) if rank == 0 else None}
    dist.barrier()
    if rank == 1:
        os._exit(0)
    found["gone"] = time_failure(gone)
    found["after"] = [local_value(metric) for metric in (stuck, gone)]
    return found


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", timeout=timedelta(seconds=60))
    rank = dist.get_rank()
    torch.manual_seed(0)
    net = DistributedDataParallel(models.TinyFCOS())
    train(net, models.Rectangles(16, 100))
    data = models.Rectangles(COUNT)
    shard = DataLoader(data, 1, sampler=DistributedSampler(data, shuffle=False), collate_fn=models.detection_batch)
    whole = DataLoader(data, 1, collate_fn=models.detection_batch)
    found: dict[str, Any] = {
        "world size": dist.get_world_size(),
        "padded": evaluate(net.module, shard),
        "one rank has all": evaluate(net.module, whole if rank == 1 else []),
    }
    torch.save(found, folder / f"{rank}.pt")
    if rank == 0:
        torch.save(net.module.state_dict(), folder / "net.pt")
    torch.save(lose(rank, net.module), folder / "lost.pt")  # rank 0 alone comes so far


if __name__ == "__main__":
    main(Path(sys.argv[1]))
