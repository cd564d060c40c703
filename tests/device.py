"""What tests on a GPU share."""

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

import torch

from detmetrics.state.devices import map_tensors


def to_device(value: Any, device: Any) -> Any:
    """A value with every tensor in it moved."""
    return map_tensors(lambda tensor: tensor.to(device), value)


@contextlib.contextmanager
def never_waiting() -> Iterator[None]:
    """A block in which whatever makes the host wait for the GPU raises."""
    _set_mode("error")
    try:
        yield
    finally:
        _set_mode("default")


def _set_mode(mode: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls the mode a prototype
        torch.cuda.set_sync_debug_mode(mode)
