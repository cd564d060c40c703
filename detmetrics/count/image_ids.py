"""The checks of the ids that tell images apart."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def check_ids(image_ids: Any, num_images: int, device: torch.device) -> Tensor:
    """One id per image, (B,) int64 on the device; negative ones are found by :func:`check_id_values`."""
    expected = f"image_ids: expected {num_images} non-negative ints, one per image"
    try:
        ids = image_ids if isinstance(image_ids, Tensor) else torch.tensor(image_ids, device=device)
    except (TypeError, ValueError, RuntimeError):
        number = "; number the images, such as ids = {name: i for i, name in enumerate(sorted(names))}"
        raise ValueError(f"{expected}, got {image_ids!r}{number}") from None
    if ids.shape != (num_images,) or ids.dtype.is_floating_point or ids.dtype == torch.bool:
        raise ValueError(f"{expected}, got {ids.dtype} of shape {tuple(ids.shape)}")
    return ids.to(device, torch.int64)


def check_id_values(ids: Tensor) -> None:
    """Raise if an id of (B,) is negative; reads the device."""
    if bool((ids < 0).any()):
        raise ValueError(f"image_ids: expected non-negative ints, got {int(ids.min())}")
