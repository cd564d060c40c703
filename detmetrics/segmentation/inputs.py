"""The checks of label maps, masks and ids, and their messages.

A message names the argument and the image, what was expected and what it was instead: ``target[3]: expected labels 0 to
18, got 19``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def check_tensors(preds: Any, target: Any, device: torch.device) -> None:
    """Raise unless both are real tensors with a batch dimension on the metric's device."""
    for name, value in (("preds", preds), ("target", target)):
        if not isinstance(value, Tensor):
            raise ValueError(f"{name}: expected a tensor, got {type(value).__name__}")
        if value.dtype.is_complex:
            raise ValueError(f"{name}: expected a real dtype, got {value.dtype}")
        if value.ndim == 0:
            raise ValueError(f"{name}: expected a tensor with a batch dimension, got a 0-d tensor")
        if value.device.type != device.type:
            raise ValueError(
                f"{name}: expected a tensor on the metric's device {device}, got one on {value.device}; "
                "move the metric with .to(device)"
            )


def check_label_maps(preds: Tensor, target: Tensor, num_classes: int) -> None:
    """Raise unless preds are labels of the shape of target (B, ...), or scores (B, C, ...) for it."""
    expected = [tuple(target.shape), (*target.shape[:1], num_classes, *target.shape[1:])]
    if tuple(preds.shape) not in expected:
        raise ValueError(
            f"preds: expected labels {expected[0]} or scores {expected[1]} for a target {expected[0]}, "
            f"got {tuple(preds.shape)}"
        )


def check_masks(preds: Tensor, target: Tensor, num_classes: int | None) -> None:
    """Raise unless both have one shape: (B, ...), or (B, C, ...) if the number of classes is given."""
    if preds.shape != target.shape:
        raise ValueError(f"preds: expected the shape of target {tuple(target.shape)}, got {tuple(preds.shape)}")
    if num_classes is not None and (target.ndim < 2 or target.shape[1] != num_classes):
        raise ValueError(f"target: expected shape (B, {num_classes}, ...), got {tuple(target.shape)}")


def check_label_values(name: str, values: Tensor, num_classes: int, ignored: Sequence[int]) -> None:
    """Raise if a value of (B, ...) is no label and not ignored, naming the first such; reads the device."""
    labels = values.double()
    invalid = ~((labels >= 0) & (labels < num_classes) & (labels == labels.trunc()))
    for value in ignored:
        invalid &= labels != value
    if bool(invalid.any()):
        also = f" or ignored {list(ignored)}" if ignored else ""
        image, got = _first(labels, invalid)
        raise ValueError(f"{name}[{image}]: expected labels 0 to {num_classes - 1}{also}, got {got:.15g}")


def check_scores(scores: Tensor, low: float, high: float) -> None:
    """Raise if a score of (B, ...) is NaN or outside [low, high], naming the first such; reads the device."""
    invalid = ~((scores >= low) & (scores <= high))
    if bool(invalid.any()):
        expected = "numbers" if low == -math.inf else f"in [{low:g}, {high:g}] (logits with from_logits=True)"
        image, got = _first(scores, invalid)
        raise ValueError(f"preds[{image}]: expected scores {expected}, got {got:g}")


def _first(values: Tensor, invalid: Tensor) -> tuple[int, float]:
    """The image and the value of the first that is invalid, both (B, ...)."""
    return int(invalid.nonzero()[0, 0]), float(values[invalid][0])


def check_ids(image_ids: Any, num_images: int, device: torch.device) -> Tensor:
    """One id per image, (B,) int64 on the device; negative ones are found by :func:`check_id_values`."""
    expected = f"image_ids: expected {num_images} non-negative ints, one per image"
    try:
        ids = image_ids if isinstance(image_ids, Tensor) else torch.tensor(image_ids, device=device)
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"{expected}, got {image_ids!r}") from None
    if ids.shape != (num_images,) or ids.dtype.is_floating_point or ids.dtype == torch.bool:
        raise ValueError(f"{expected}, got {ids.dtype} of shape {tuple(ids.shape)}")
    return ids.to(device, torch.int64)


def check_id_values(ids: Tensor) -> None:
    """Raise if an id of (B,) is negative; reads the device."""
    if bool((ids < 0).any()):
        raise ValueError(f"image_ids: expected non-negative ints, got {int(ids.min())}")
