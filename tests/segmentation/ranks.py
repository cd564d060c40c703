"""What each spawned rank does: every metric over the first 1, 2, 3 and 4 ranks, sharded in several ways."""

import warnings
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from tests.segmentation.registry import CASES, fed, images
from tests.workers import padded

SIZES = (1, 2, 3, 4)
SEEDS = (0, 1)


def run(rank: int, folder: Path) -> None:
    torch.set_num_threads(1 + rank % 2)
    warnings.simplefilter("ignore", UserWarning)  # ranks without an update compute all the same
    dist.init_process_group("gloo", f"file://{folder}/store", timedelta(seconds=60), rank=rank, world_size=SIZES[-1])
    groups = {size: dist.new_group(range(size)) for size in SIZES}
    found = {}
    for size in SIZES:
        if rank < size:
            for case in range(len(CASES)):
                for seed in SEEDS:
                    found[size, case, seed] = results(case, seed, rank, size, groups[size])
    torch.save(found, folder / f"{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()


def results(case: int, seed: int, rank: int, size: int, group: Any) -> dict[str, Any]:
    """The value of all images, with sampler padding and ids, without ids, and with everything on the last rank."""
    name, settings = CASES[case]
    data = images(name, settings, seed)
    strided = list(range(rank, len(data[0]), size))
    everything = list(range(len(data[0]))) if rank == size - 1 else []
    found = {}
    for how, chosen in (("padded", padded(rank, size, 7)), ("strided", strided), ("one rank", everything)):
        parts = [tuple(values[chosen[at : at + 2]] for values in data) for at in range(0, len(chosen), 2)]
        ids = [chosen[at : at + 2] for at in range(0, len(chosen), 2)] if how == "padded" else None
        metric = fed(name, {**settings, "process_group": group}, *parts, ids=ids)
        found[how] = metric.compute()
        if how == "padded":
            found["duplicates"] = metric.num_duplicates
    return found
