"""What depends on where the tensors are."""

from __future__ import annotations

import torch


def defers_value_checks(device: torch.device) -> bool:
    """Whether values are checked when the state is read, since reading them in ``update()`` would stall the device."""
    return device.type != "cpu"
