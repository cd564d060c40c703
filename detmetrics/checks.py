"""Every check of arguments and inputs, and its message.

A message names the key and the image, what was expected and what came: ``preds[3]['boxes']: expected shape (N, 4), got
(2, 5)``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor


def defers_value_checks(device: torch.device) -> bool:
    """Whether values are checked when the batch is worked on, because reading them now would stall the device."""
    return device.type != "cpu"


def check_choice(name: str, value: Any, choices: Sequence[Any]) -> None:
    """Raise unless ``value`` is one of ``choices``."""
    if value not in choices:
        raise ValueError(f"{name}: expected one of {tuple(choices)}, got {value!r}")


def check_bool(name: str, value: Any) -> None:
    """Raise unless ``value`` is a bool."""
    if not isinstance(value, bool):
        raise ValueError(f"{name}: expected a bool, got {value!r}")


def check_fractions(name: str, values: Any) -> list[float]:
    """The thresholds as a list of floats in [0, 1], at least one."""
    listed = _listed(name, values, "numbers in [0, 1]")
    for value in listed:
        if not isinstance(value, int | float) or not 0 <= value <= 1:
            raise ValueError(f"{name}: expected numbers in [0, 1], got {value!r}")
    return [float(value) for value in listed]


def check_limits(name: str, values: Any) -> list[int]:
    """The detection limits as an ascending list of positive ints, at least one."""
    listed = _listed(name, values, "positive ints")
    for value in listed:
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ValueError(f"{name}: expected positive ints, got {value!r}")
    return sorted(set(listed))


def check_area_ranges(name: str, ranges: Any) -> dict[str, tuple[float, float]]:
    """The area ranges as a dict of name to ``(low, high)``."""
    if not isinstance(ranges, Mapping):
        raise ValueError(f"{name}: expected a dict of name to (low, high), got {ranges!r}")
    checked = {}
    for key, bounds in ranges.items():
        if not isinstance(key, str) or not isinstance(bounds, Sequence) or len(bounds) != 2 or bounds[0] > bounds[1]:
            raise ValueError(f"{name}: expected a name and (low, high) with low <= high, got {key!r}: {bounds!r}")
        checked[key] = (float(bounds[0]), float(bounds[1]))
    return checked


def check_class_names(class_names: Any) -> dict[int, str]:
    """Class names as a dict from label to name, in ascending order of labels."""
    if isinstance(class_names, Mapping):
        named = dict(class_names)
    elif isinstance(class_names, Iterable) and not isinstance(class_names, str):
        named = dict(enumerate(class_names))
    else:
        raise ValueError(f"class_names: expected a list of names or a dict from label to name, got {class_names!r}")
    for label, name in named.items():
        if not isinstance(label, int) or not isinstance(name, str):
            raise ValueError(f"class_names: expected int labels and str names, got {label!r}: {name!r}")
    if len(set(named.values())) < len(named):
        raise ValueError(f"class_names: expected distinct names, got {list(named.values())}")
    return dict(sorted(named.items()))


def check_classes(class_names: Any, num_classes: Any) -> dict[int, str] | None:
    """The declared classes as a dict from label to name, or None. Without names they are called by their labels."""
    if num_classes is None:
        return None if class_names is None else check_class_names(class_names)
    if not isinstance(num_classes, int) or isinstance(num_classes, bool) or num_classes < 1:
        raise ValueError(f"num_classes: expected a positive int, got {num_classes!r}")
    if class_names is None:
        return {label: str(label) for label in range(num_classes)}
    named = check_class_names(class_names)
    if len(named) != num_classes:
        raise ValueError(f"class_names: expected num_classes={num_classes} names, got {len(named)}")
    return named


def check_declared(observed: Tensor, declared: Mapping[int, str]) -> None:
    """Raise if a label of ``observed`` (C,) has no name."""
    unknown = [label for label in observed.tolist() if label not in declared]
    if unknown:
        raise ValueError(f"labels: expected the labels declared in class_names {list(declared)}, got also {unknown}")


def check_lists(preds: Any, target: Any) -> None:
    """Raise unless both are lists of the same length."""
    for name, value in (("preds", preds), ("target", target)):
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise ValueError(f"{name}: expected a list with one dict an image, got {type(value).__name__}")
    if len(preds) != len(target):
        raise ValueError(f"preds and target: expected lists of the same length, got {len(preds)} and {len(target)}")


def check_tensor(where: str, item: Any, key: str) -> Tensor:
    """The tensor at ``item[key]``."""
    if not isinstance(item, Mapping):
        raise ValueError(f"{where}: expected a dict, got {type(item).__name__}")
    if key not in item:
        raise ValueError(f"{where}: expected the key {key!r}, got the keys {sorted(map(str, item))}")
    value = item[key]
    if not isinstance(value, Tensor):
        raise ValueError(f"{where}[{key!r}]: expected a tensor, got {type(value).__name__}")
    return value


def check_boxes(where: str, boxes: Tensor, device: torch.device) -> int:
    """The number of boxes; an empty tensor of any shape holds none."""
    if boxes.numel() == 0:
        return 0
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"{where}['boxes']: expected shape (N, 4), got {tuple(boxes.shape)}")
    _check_kind(where, "boxes", boxes, device)
    return len(boxes)


def check_vector(
    where: str, key: str, values: Tensor, length: int, device: torch.device, integer: bool = False
) -> None:
    """Raise unless ``values`` is one number a box; an empty tensor of any shape fits no boxes."""
    if values.numel() == 0 and length == 0:
        return
    if values.ndim != 1 or len(values) != length:
        raise ValueError(
            f"{where}[{key!r}]: expected shape ({length},), one for each of {length} boxes, got {tuple(values.shape)}"
        )
    if integer and (values.dtype.is_floating_point or values.dtype == torch.bool):
        raise ValueError(f"{where}[{key!r}]: expected an integer dtype, got {values.dtype}")
    _check_kind(where, key, values, device)


def _check_kind(where: str, key: str, values: Tensor, device: torch.device) -> None:
    if values.dtype.is_complex:
        raise ValueError(f"{where}[{key!r}]: expected a real dtype, got {values.dtype}")
    if values.device.type != device.type:
        raise ValueError(
            f"{where}[{key!r}]: expected a tensor on the metric's device {device}, got one on {values.device}; "
            "move the metric with .to(device)"
        )


def check_image_ids(target: Sequence[Mapping[str, Any]]) -> list[Any] | None:
    """One non-negative id an image, or None if no image has one. Ids in tensors stay on their device."""
    ids = [item.get("image_id") for item in target]
    missing = [i for i, value in enumerate(ids) if value is None]
    if len(missing) == len(ids):
        return None
    if missing:
        raise ValueError(
            f"target[{missing[0]}]['image_id']: expected an id for every image of an update or for none, got none here"
        )
    for i, value in enumerate(ids):
        if isinstance(value, Tensor):
            if value.numel() != 1 or value.dtype.is_floating_point or value.dtype == torch.bool:
                got = f"{value.dtype} of shape {tuple(value.shape)}"
                raise ValueError(f"target[{i}]['image_id']: expected a one-element integer tensor, got {got}")
        elif not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
            raise ValueError(f"target[{i}]['image_id']: expected a non-negative int, got {value!r}")
    return ids


def check_keys(keys: Tensor, missing: int) -> None:
    """Raise if an image's id (B,) is negative, unless it is ``missing``; reads the device."""
    negative = (keys < 0) & (keys != missing)
    if bool(negative.any()):
        image = int(negative.nonzero()[0])
        raise ValueError(f"target[{image}]['image_id']: expected a non-negative int, got {int(keys[image])}")


def _listed(name: str, values: Any, expected: str) -> list[Any]:
    if isinstance(values, Tensor):
        values = values.tolist()
    if not isinstance(values, Sequence) or isinstance(values, str) or not len(values):
        raise ValueError(f"{name}: expected a list of {expected}, at least one, got {values!r}")
    return list(values)
