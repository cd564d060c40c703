"""Counts what a block of code asks of a device: operations, each about one kernel, and values read back by the host.

The counts are taken above the device, so the CPU gives those of a GPU. An operation that returns a view costs nothing
there and is not counted.
"""

from __future__ import annotations

from collections import Counter
from types import TracebackType
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten
# Operations whose output size depends on the values, and those that give one value to Python: each waits.
READING = {
    aten._local_scalar_dense,
    aten.nonzero,
    aten.masked_select,
    aten.equal,
    aten._unique2,
    aten.unique_dim,
    aten.unique_consecutive,
}
TWICE = {aten.bincount}  # on a GPU it reads the smallest and the largest value
LISTS = {torch.Tensor.tolist, torch.Tensor.numpy, torch.Tensor.cpu}  # one copy to the host, whatever the size
FREE = {aten.empty, aten.empty_strided, aten.empty_like, aten._unsafe_view, aten._local_scalar_dense}


class Launches(TorchDispatchMode):
    """``with Launches() as launches:`` counts ``launches.kernels`` and ``launches.reads``, by name.

    Attributes:
        kernels: How often each operation ran that works on a device.
        reads: How often the host waited for values.
    """

    def __init__(self) -> None:
        super().__init__()
        self.kernels: Counter[str] = Counter()
        self.reads: Counter[str] = Counter()
        self._lists = _Lists(self.reads)

    def __enter__(self) -> Launches:
        self._lists.__enter__()
        return super().__enter__()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        super().__exit__(kind, error, at)
        self._lists.__exit__(kind, error, at)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        packet, kwargs = func.overloadpacket, kwargs or {}
        if _reads(packet, args, kwargs):
            self.reads[packet.__name__] += 2 if packet in TWICE else 1
        if packet not in FREE and not _is_view(func):
            self.kernels[packet.__name__] += 1
        return func(*args, **kwargs)


class _Lists(TorchFunctionMode):
    """Counts the calls that copy a whole tensor to the host, which are not dispatched where it lies there."""

    def __init__(self, reads: Counter[str]) -> None:
        super().__init__()
        self._reads = reads

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in LISTS:
            self._reads[func.__name__] += 1
        return func(*args, **(kwargs or {}))


def _reads(packet: Any, args: Any, kwargs: Any) -> bool:
    """Whether the host waits for values."""
    if packet is aten.repeat_interleave:
        return kwargs.get("output_size") is None
    if packet in (aten.index, aten.index_put, aten.index_put_):  # a mask: the size of what it takes is read
        return any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1])
    if packet in (aten._to_copy, aten.copy_):
        source, goal = (args[1], args[0].device) if packet is aten.copy_ else (args[0], kwargs.get("device"))
        return source.device.type != "cpu" and goal is not None and torch.device(goal).type == "cpu"
    return packet in READING or packet in TWICE


def _is_view(func: Any) -> bool:
    returns = func._schema.returns
    return any(value.alias_info is not None and not value.alias_info.is_write for value in returns)
