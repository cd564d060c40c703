"""What each spawned rank does: every case over the first 1, 2 and 3 ranks, sharded in several ways."""

import warnings
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from tests.panoptic.registry import CASES, COUNT, fed, images
from tests.workers import padded

SIZES = (1, 2, 3)
SEEDS = (0, 1)


def run(rank: int, folder: Path) -> None:
    torch.set_num_threads(1 + rank % 2)
    warnings.simplefilter("ignore", UserWarning)  # ranks without an update compute all the same
    dist.init_process_group("gloo", f"file://{folder}/store", timedelta(seconds=60), rank=rank, world_size=SIZES[-1])
    groups = {size: dist.new_group(range(size)) for size in SIZES}
    found = {
        (size, case, seed): results(case, seed, rank, size, groups[size])
        for size in SIZES
        if rank < size
        for case in range(len(CASES))
        for seed in SEEDS
    }
    torch.save(found, folder / f"{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()


def results(case: int, seed: int, rank: int, size: int, group: Any) -> dict[str, Any]:
    """The value of all images, with sampler padding and ids, without ids, and with everything on the last rank."""
    data = images(CASES[case].form, seed)
    strided = list(range(rank, COUNT, size))
    everything = list(range(COUNT)) if rank == size - 1 else []
    found = {}
    for how, indices in (("padded", padded(rank, size, COUNT)), ("strided", strided), ("one rank", everything)):
        parts = [indices[at : at + 2] for at in range(0, len(indices), 2)] or [[]]
        metric = fed(CASES[case], data, *parts, with_ids=how == "padded", process_group=group)
        found[how] = metric.compute()
        found[f"{how} by image"] = metric.per_image()
        if how == "padded":
            found["duplicates"] = metric.num_duplicates
    return found
