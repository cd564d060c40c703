"""The processes that ``torchrun`` started. Torch is imported when they are needed."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import torch

    from detmetrics.files.coco import CocoData

T = TypeVar("T")


def launched() -> bool:
    """Whether torchrun started this process, as ``torch.distributed.is_torchelastic_launched`` says."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def rank() -> int:
    """The number of this process among those that torchrun started; 0 without it."""
    return int(os.environ["RANK"]) if launched() else 0


def num_ranks() -> int:
    """How many processes evaluate together."""
    if not launched():
        return 1
    import torch.distributed as dist

    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


@contextlib.contextmanager
def process_group(device: torch.device | None) -> Iterator[None]:
    """The ranks that torchrun started, within the block; nothing to do without it."""
    if not launched():
        yield
        return
    import torch

    if device is not None and device.type == "cuda":
        torch.cuda.set_device(device)
    torch.distributed.init_process_group()
    try:
        yield
    finally:
        torch.distributed.destroy_process_group()


def on_all_ranks(function: Callable[[], T]) -> T:
    """What the function returns. If it fails on a rank, all of them raise, so that none waits for another."""
    if num_ranks() == 1:
        return function()
    import torch.distributed as dist

    result, error = None, None
    try:
        result = function()
    except (ImportError, OSError, ValueError) as raised:
        error = str(raised)
    errors: list[str | None] = [None] * num_ranks()
    dist.all_gather_object(errors, error)
    for failed in errors:
        if failed is not None:
            raise ValueError(failed)
    return result  # type: ignore[return-value]


def every(data: CocoData, index: int, count: int) -> CocoData:
    """Every ``count``-th image, from ``index`` on."""
    return dataclasses.replace(data, preds=data.preds[index::count], target=data.target[index::count])
