"""Finds what would make a GPU wait, on a machine without one."""

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

READS = (
    "_local_scalar_dense",
    "nonzero",
    "is_nonzero",
    "item",
    "equal",
    "unique",
    "_unique2",
    "unique_dim",
    "bincount",
)


class HostReads(TorchDispatchMode):
    """Notes the operations that wait for the device, and copies between devices."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = function.__name__.split(".")[0]
        tensors = [value for value in torch.utils._pytree.tree_leaves((args, kwargs)) if isinstance(value, Tensor)]
        masked = name.startswith(("index", "_index")) and any(t.dtype == torch.bool for t in tensors[1:])
        by_count = name == "repeat_interleave" and not (kwargs or {}).get("output_size")
        if name in READS or masked or by_count:
            self.seen.append(name)
        result = function(*args, **(kwargs or {}))
        tensors += [value for value in torch.utils._pytree.tree_leaves(result) if isinstance(value, Tensor)]
        if len({t.device for t in tensors}) > 1:
            self.seen.append(f"{name} between devices")
        return result
