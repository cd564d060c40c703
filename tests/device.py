"""What tests on a GPU share."""

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor


def to_device(value: Any, device: Any) -> Any:
    """A value with every tensor in it moved."""
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, dict):
        return {key: to_device(child, device) for key, child in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(to_device(child, device) for child in value))
    return type(value)(to_device(child, device) for child in value) if isinstance(value, list | tuple) else value


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
