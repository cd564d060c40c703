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
            raise ValueError(f"{name}: expected a tensor, got {type(value).__name__}; give torch.as_tensor({name})")
        if value.dtype.is_complex:
            raise ValueError(f"{name}: expected a real dtype, got {value.dtype}")
        if value.ndim == 0:
            raise ValueError(f"{name}: expected a tensor with a batch dimension, got a 0-d tensor; give {name}[None]")
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
            f"got {tuple(preds.shape)}{_reshaped(tuple(preds.shape), tuple(target.shape), num_classes)}"
        )


def _reshaped(preds: tuple[int, ...], target: tuple[int, ...], num_classes: int) -> str:
    """What to give instead, where shapes tell it."""
    without_channels = (*target[:1], *target[2:])
    if target[1:2] == (1,) and preds in (without_channels, (*target[:1], num_classes, *target[2:])):
        return "; give target.squeeze(1)"
    if target[1:2] == (num_classes,) and preds == without_channels:
        return "; for a one-hot target give target.argmax(dim=1)"
    if preds == (*target, num_classes):
        return "; give preds.movedim(-1, 1)"
    if len(preds) == len(target) + 1 and (*preds[:1], *preds[2:]) == target:
        return f"; scores of {preds[1]} classes need num_classes={preds[1]}"
    if preds[:-2] in (target[:-2], (*target[:1], num_classes, *target[1:-2])) and len(target) > 2:
        return f"; resize one of them so that both end in {target[-2:]}"
    return ""


def check_masks(preds: Tensor, target: Tensor, num_classes: int | None) -> None:
    """Raise unless both have one shape: (B, ...), or (B, C, ...) if the number of classes is given."""
    if preds.shape != target.shape:
        remedy = ""
        for name, one, other in (("preds", preds, target), ("target", target, preds)):
            if one.ndim == other.ndim + 1 and one.shape[1] == 1 and one.squeeze(1).shape == other.shape:
                remedy = f"; give {name}.squeeze(1)"
        raise ValueError(f"preds: expected the shape of target {tuple(target.shape)}, got {tuple(preds.shape)}{remedy}")
    if num_classes is not None and (target.ndim < 2 or target.shape[1] != num_classes):
        remedy = ""
        if target.shape[-1] == num_classes:
            remedy = "; give target.movedim(-1, 1), and preds so too"
        elif not target.is_floating_point():
            remedy = "; for maps of labels use task='multiclass'"
        raise ValueError(f"target: expected shape (B, {num_classes}, ...), got {tuple(target.shape)}{remedy}")


def check_not_one_hot(preds: Tensor, target: Tensor, num_classes: int) -> None:
    """Raise if scores (B, C, ...) came with a one-hot target of the same shape, where labels are expected."""
    if preds.shape != target.shape or target.ndim < 2 or target.shape[1] != num_classes:
        return
    is_one_hot = bool(((target == 0) | (target == 1)).all()) and bool((target.sum(dim=1) == 1).all())
    if is_one_hot and preds.is_floating_point() and bool((preds != preds.trunc()).any()):
        labels = tuple(target.shape[:1] + target.shape[2:])
        raise ValueError(
            f"target: expected labels {labels} for scores {tuple(preds.shape)}, got a one-hot target; give "
            "target.argmax(dim=1)"
        )


def check_label_values(name: str, values: Tensor, num_classes: int, ignored: Sequence[int], masks: bool) -> None:
    """Raise if a value of (B, ...) is no label and not ignored, naming the first such; reads the device.

    Args:
        name: Of the argument.
        values: ``(B, ...)``.
        num_classes: C.
        ignored: Values that are no labels and fine.
        masks: Whether labels are the 0 and 1 of masks.
    """
    labels = values.double()
    invalid = ~((labels >= 0) & (labels < num_classes) & (labels == labels.trunc()))
    for value in ignored:
        invalid &= labels != value
    if bool(invalid.any()):
        also = f" or ignored {list(ignored)}" if ignored else ""
        image, got = _first(labels, invalid)
        remedy = _relabelled(
            name, got, labels[~torch.isin(labels, labels.new_tensor(list(ignored)))], num_classes, masks
        )
        raise ValueError(f"{name}[{image}]: expected labels 0 to {num_classes - 1}{also}, got {_shown(got)}; {remedy}")


def _shown(value: float) -> str:
    """A whole number with all its digits, another as it looks in float32."""
    return f"{value:.15g}" if math.isfinite(value) and value == int(value) else f"{value:g}"


def _relabelled(name: str, got: float, labels: Tensor, num_classes: int, masks: bool) -> str:
    """What to give instead of a value that is no label, from all values (n,) that are not ignored."""
    if not math.isfinite(got) or got != int(got):
        classes = "" if masks else f"; scores of labels need one for each class, (B, {num_classes}, ...)"
        return f"labels are whole numbers{classes}"
    if masks:
        return f"give {name} > 0 if any value but 0 is foreground"
    low, high = (int(extreme) for extreme in labels[labels.isfinite()].aminmax())
    if (low, high) == (1, num_classes):
        return f"for labels that count from 1 give {name} - 1, or num_classes={num_classes + 1}"
    leave_out = f"ignore_index={got:.15g} leaves its pixels out, " if name == "target" else ""
    return f"{leave_out}num_classes is one more than the largest label"


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
