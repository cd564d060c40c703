"""What depends on where tensors are, and results that go there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor


def defers_value_checks(device: torch.device) -> bool:
    """Whether values are checked when the state is read, since reading them in ``update()`` would stall the device."""
    return device.type != "cpu"


def no_autocast(device: torch.device) -> AbstractContextManager[Any]:
    """A block in which autocast changes no dtype."""
    if not torch.amp.is_autocast_available(device.type):  # meta, for one
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


def map_tensors(function: Callable[[Tensor], Tensor], value: Any) -> Any:
    """A result with every tensor in it replaced."""
    if isinstance(value, Tensor):
        return function(value)
    if isinstance(value, Mapping):
        return type(value)({key: map_tensors(function, item) for key, item in value.items()})  # type: ignore[call-arg]
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(map_tensors(function, item) for item in value))
    return type(value)(map_tensors(function, item) for item in value) if isinstance(value, list | tuple) else value
