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
    """The number of this process among those that torchrun started; 0 without it, and for one that is not among them.

    So a process that cannot join the others can say so.
    """
    number = _number("RANK")
    return number if launched() and number < _number("WORLD_SIZE") else 0


def _number(name: str) -> int:
    text = os.environ.get(name, "")
    return int(text) if text.isdecimal() else 0


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
    _join(torch.distributed.init_process_group)
    try:
        yield
    finally:
        torch.distributed.destroy_process_group()


def _join(init_process_group: Callable[[], None]) -> None:
    """Join the other ranks, or say what is wrong with what torchrun has said about them."""
    said = {name: os.environ.get(name) for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")}
    shown = ", ".join(f"{name}={value}" for name, value in said.items())
    if said["RANK"] is None or not _number("RANK") < _number("WORLD_SIZE"):
        raise ValueError(f"torchrun: expected a RANK below WORLD_SIZE, got {shown}")
    try:
        init_process_group()
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"torchrun: expected to reach the other ranks, got none with {shown}") from error


def on_all_ranks(function: Callable[[], T]) -> T:
    """What the function returns. If it fails on a rank, all of them raise, so that none waits for another."""
    if num_ranks() == 1:
        return function()
    import torch.distributed as dist

    result, error = None, None
    try:
        result = function()
    except Exception as raised:  # whatever it is, the other ranks must not wait
        error = raised
    errors: list[str | None] = [None] * num_ranks()
    dist.all_gather_object(errors, None if error is None else problem(error) or f"{type(error).__name__}: {error}")
    if error is not None and problem(error) is None:
        raise error
    for failed in errors:
        if failed is not None:
            raise ValueError(failed)
    return result  # type: ignore[return-value]


def problem(error: BaseException) -> str | None:
    """What to tell a user about an error in a file, an argument or the machine; None for a fault of the program."""
    out_of_memory = type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in str(error)
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and out_of_memory):
        return "out of memory"
    if isinstance(error, RecursionError):
        return "the input is nested too deeply"
    if isinstance(error, ImportError | OSError | ValueError | OverflowError):
        return str(error)
    return None


def every(data: CocoData, index: int, count: int) -> CocoData:
    """Every ``count``-th image, from ``index`` on."""
    return dataclasses.replace(data, preds=data.preds[index::count], target=data.target[index::count])
