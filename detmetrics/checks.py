"""Every check of arguments and inputs, and its message.

A message names the key and the image, what was expected and what came: ``preds[3]['boxes']: expected shape (N, 4), got
(2, 5)``.
"""

from __future__ import annotations

import math
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
        if key.isdecimal():
            raise ValueError(f"{name}: expected names that are not numbers, as in map_{key}, got {key!r}")
        checked[key] = (float(bounds[0]), float(bounds[1]))
    return checked


def check_area_range(name: str, value: Any, names: Sequence[str]) -> str | tuple[float, float]:
    """An area range: one of some names, or ``(low, high)``."""
    if isinstance(value, str):
        check_choice(name, value, names)
        return value
    try:
        return check_area_ranges(name, {name: value})[name]
    except (TypeError, ValueError):
        raise ValueError(f"{name}: expected one of {tuple(names)} or (low, high), got {value!r}") from None


def check_number(name: str, value: Any, above: float = -math.inf) -> float:
    """A finite number, larger than ``above``."""
    if not isinstance(value, int | float) or not above < value < math.inf:
        bound = "" if above == -math.inf else f" above {above:g}"
        raise ValueError(f"{name}: expected a finite number{bound}, got {value!r}")
    return float(value)


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


def check_iou_types(iou_type: Any, choices: Sequence[str], several: bool) -> tuple[str, ...]:
    """The similarities asked for: one name, or several distinct ones where the metric takes several."""
    iou_types = tuple(iou_type) if isinstance(iou_type, list | tuple) else (iou_type,)
    known = bool(iou_types) and all(name in choices for name in iou_types)
    if not known or len(set(iou_types)) < len(iou_types) or (not several and len(iou_types) > 1):
        or_several = " or several distinct ones" if several else ""
        raise ValueError(f"iou_type: expected one of {tuple(choices)}{or_several}, got {iou_type!r}")
    return iou_types


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
    check_kind(where, "boxes", boxes, device)
    return len(boxes)


def check_vector(
    where: str,
    key: str,
    values: Tensor,
    length: int,
    device: torch.device,
    integer: bool = False,
    objects: str = "boxes",
) -> None:
    """Raise unless ``values`` is one number an object; an empty tensor of any shape fits no objects."""
    if values.numel() == 0 and length == 0:
        return
    if values.ndim != 1 or len(values) != length:
        expected = f"shape ({length},), one for each of {length} {objects}"
        raise ValueError(f"{where}[{key!r}]: expected {expected}, got {tuple(values.shape)}")
    if integer and (values.dtype.is_floating_point or values.dtype == torch.bool):
        raise ValueError(f"{where}[{key!r}]: expected an integer dtype, got {values.dtype}")
    check_kind(where, key, values, device)


def check_kind(where: str, key: str, values: Tensor, device: torch.device) -> None:
    """Raise unless the values are real numbers on the device."""
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


# Label maps, masks and the reductions of counts.


def check_zero_division(value: Any) -> float:
    """NaN or a finite number, as a float."""
    if not isinstance(value, int | float) or isinstance(value, bool) or value in (float("inf"), -float("inf")):
        raise ValueError(f"zero_division: expected a finite number or nan, got {value!r}")
    return float(value)


def check_reduction(average: Any, aggregate: Any, aggregates: Mapping[str, Sequence[str]]) -> None:
    """Raise unless ``aggregates`` has the aggregate and, for it, the average."""
    check_choice("aggregate", aggregate, tuple(aggregates))
    if average not in aggregates[aggregate]:
        expected = f"expected one of {tuple(aggregates[aggregate])} with aggregate={aggregate!r}"
        raise ValueError(f"average: {expected}, got {average!r}")


def check_class_weights(class_weights: Any, num_classes: int, average: str) -> list[float]:
    """One non-negative weight a class, for a macro average."""
    weights = [float(weight) for weight in _listed("class_weights", class_weights, "numbers")]
    if len(weights) != num_classes or not all(0 <= weight < float("inf") for weight in weights):
        raise ValueError(f"class_weights: expected {num_classes} non-negative numbers, got {weights}")
    if average != "macro":
        raise ValueError(f"class_weights: expected average='macro', got average={average!r}")
    return weights


def check_integers(name: str, values: Any) -> tuple[int, ...]:
    """An int, several ints or None as distinct ints in ascending order."""
    listed = [] if values is None else list(values) if isinstance(values, Iterable) else [values]
    for value in listed:
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError(f"{name}: expected an int, several ints or None, got {values!r}")
    return tuple(sorted(set(listed)))


def check_labels(name: str, values: Any, num_classes: int) -> tuple[int, ...]:
    """Distinct labels of classes in ascending order."""
    labels = check_integers(name, values)
    if labels and not 0 <= labels[0] <= labels[-1] < num_classes:
        raise ValueError(f"{name}: expected labels 0 to {num_classes - 1}, got {list(labels)}")
    return labels


def check_map_tensors(preds: Any, target: Any, device: torch.device) -> None:
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
    if tuple(preds.shape) not in expected or preds.ndim not in (target.ndim, target.ndim + 1):
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


def check_one_hot(target: Tensor, num_classes: int, values: bool) -> None:
    """Raise unless the shape is (N, C) and, if values are checked, each row has one 1 and otherwise 0."""
    if target.shape[1] != num_classes:
        raise ValueError(f"target: expected labels (N,) or one-hot (N, {num_classes}), got {tuple(target.shape)}")
    if values:
        invalid = ((target != 0) & (target != 1)).any(dim=1) | (target.sum(dim=1) != 1)
        if bool(invalid.any()):
            sample = int(invalid.nonzero()[0, 0])
            raise ValueError(f"target[{sample}]: expected one 1 and otherwise 0, got {target[sample].tolist()}")


def check_order(name: str, labels: Any, num_classes: int) -> list[int]:
    """Distinct labels of classes in the order given; None for all."""
    listed = list(range(num_classes)) if labels is None else _listed(name, labels, "labels")
    if len(check_labels(name, listed, num_classes)) < len(listed):
        raise ValueError(f"{name}: expected distinct labels, got {listed}")
    return listed


def check_names(name: str, names: Any, labels: Sequence[int]) -> list[str]:
    """A distinct name for each label; None for the labels themselves."""
    listed = [str(label) for label in labels] if names is None else _listed(name, names, "names")
    if len(listed) != len(labels) or len(set(listed)) < len(listed) or not all(isinstance(n, str) for n in listed):
        raise ValueError(f"{name}: expected {len(labels)} distinct str, one for each of {list(labels)}, got {listed}")
    return listed


def check_digits(digits: Any) -> int:
    """A number of digits after the point."""
    if not isinstance(digits, int) or isinstance(digits, bool) or digits < 0:
        raise ValueError(f"digits: expected a non-negative int, got {digits!r}")
    return digits


def check_ids(image_ids: Any, num_images: int, device: torch.device) -> Tensor:
    """One id an image, (B,) int64 on the device; negative ones are found by :func:`check_id_values`."""
    ids = image_ids if isinstance(image_ids, Tensor) else torch.tensor(image_ids, device=device)
    if ids.shape != (num_images,) or ids.dtype.is_floating_point or ids.dtype == torch.bool:
        got = f"{ids.dtype} of shape {tuple(ids.shape)}"
        raise ValueError(f"image_ids: expected {num_images} non-negative ints, one an image, got {got}")
    return ids.to(device, torch.int64)


def check_id_values(ids: Tensor) -> None:
    """Raise if an id of (B,) is negative; reads the device."""
    if bool((ids < 0).any()):
        raise ValueError(f"image_ids: expected non-negative ints, got {int(ids.min())}")
