"""The dicts of one side of a batch: reading a key of all images at once, and saying which image does not fit.

The tensors of all images are joined first, which shows whether they fit together. Only when something is odd is each
image looked at: to say what is wrong with it, or to leave out empty tensors of another shape, which detectors produce
for images without instances. A message names the key and the image, what was expected and what it is instead:
``preds[3]['boxes']: expected shape (N, 4), got (2, 5)``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from detmetrics.overlap.similarity import Items

MISFITS = (KeyError, TypeError, AttributeError, IndexError, RuntimeError, ValueError)  # raised while joining


class Instances(NamedTuple):
    """The instances of all images."""

    values: Tensor  # (n, ...)
    tensors: list[Tensor]  # per image
    counts: list[int]  # per image


def join_instances(side: str, items: Items, key: str, tail: tuple[int, ...], device: torch.device) -> Instances:
    """The tensors of a key that has the instances themselves, such as boxes.

    Args:
        side: ``"preds"`` or ``"target"``, for errors.
        items: One dict per image.
        key: Where the tensor is, ``(N, *tail)`` of any real dtype; an empty one of any shape has no instances.
        tail: The shape of an instance.
        device: Where the tensors must be.

    Raises:
        ValueError: if a tensor does not fit, naming the image.
    """
    try:
        tensors = [item[key] for item in items]
        counts = [x.shape[0] for x in tensors]
        values = torch.cat(tensors)
        if values.shape == (sum(counts), *tail) and _is_real(values, device):
            return Instances(values, tensors, counts)
    except MISFITS:
        pass
    tensors = [_instances_of(f"{side}[{i}]", item, key, tail, device) for i, item in enumerate(items)]
    filled = [x for x in tensors if len(x)] or [torch.empty((0, *tail), device=device)]
    return Instances(torch.cat(filled), tensors, [len(x) for x in tensors])


def _instances_of(where: str, item: Any, key: str, tail: tuple[int, ...], device: torch.device) -> Tensor:
    values = get_tensor(where, item, key)
    if values.numel() == 0:
        return torch.empty((0, *tail), device=device)
    if values.ndim != 1 + len(tail) or values.shape[1:] != tail:
        expected = ", ".join(map(str, ("N", *tail)))
        got = f"got {tuple(values.shape)}{_reshaped(key, tuple(values.shape), tail)}"
        raise ValueError(f"{where}[{key!r}]: expected shape ({expected}), {got}")
    check_real(where, key, values, device)
    return values


def _reshaped(key: str, shape: tuple[int, ...], tail: tuple[int, ...]) -> str:
    """What to give instead of instances of a wrong shape, where the shape tells it."""
    if shape == tail:
        return f"; give {key}[None] for one instance"
    if shape[:1] == (1,) and shape[2:] == tail:
        return f"; give {key}.squeeze(0), the instances of one image"
    if len(shape) == 2 and len(tail) == 1 and shape[1] > tail[0]:
        return f"; give {key}[:, :{tail[0]}] if the other columns are no part of them"
    return ""


class Side(NamedTuple):
    """One side of a batch, whose instances are counted."""

    name: str  # "preds" or "target"
    items: Items  # one dict per image
    counts: list[int]  # instances per image
    objects: str  # what errors call them: "boxes", "masks"
    device: torch.device

    def column(self, key: str, integer: bool = False) -> Tensor:
        """One number for each instance, ``(n,)`` of the dtype given.

        Raises:
            ValueError: if an image lacks the key, or its values do not fit.
        """
        try:
            column = self._joined([item[key] for item in self.items], integer)
        except MISFITS:
            column = None
        return self._examined(key, integer) if column is None else column

    def _examined(self, key: str, integer: bool) -> Tensor:
        """The same, with a look at each image."""
        columns = [self._examined_in(i, key, integer) for i in range(len(self.items))]
        none = torch.empty(0, dtype=torch.int64 if integer else torch.float32, device=self.device)
        return torch.cat([x for x, count in zip(columns, self.counts, strict=True) if count] or [none])

    def _examined_in(self, image: int, key: str, integer: bool = False) -> Tensor:
        where = f"{self.name}[{image}]"
        return get_column(where, self.items[image], key, self.counts[image], self.device, integer, self.objects)

    def optional(self, key: str, default: Tensor) -> Tensor | None:
        """One number for each instance, ``(n,)`` float64, or None if no image has the key.

        Args:
            key: Where an image may have the numbers.
            default: ``(n,)``, from which those of images without the key are taken.

        Raises:
            ValueError: if values do not fit.
        """
        given = [item.get(key) for item in self.items]
        missing = sum(x is None for x in given)
        if missing == len(given):
            return None
        defaults = default.split(self.counts) if missing else given  # where all are given none is taken
        filled: list[Any] = [own if x is None else x for x, own in zip(given, defaults, strict=True)]
        column = self._joined(filled)
        if column is None:
            for i in (i for i, x in enumerate(given) if x is not None):
                self._examined_in(i, key)
            column = torch.cat([x.flatten() for x in filled])
        return column.double()

    def _joined(self, values: list[Tensor], integer: bool = False) -> Tensor | None:
        """The values of all images, or None if something is odd about them."""
        try:
            column = torch.cat(values)
            lengths = [x.shape[0] for x in values]
        except MISFITS:
            return None
        if column.shape != (sum(self.counts),) or lengths != self.counts:
            return None
        return column if _is_real(column, self.device) and (_is_integral(column) or not integer) else None


def _is_real(values: Tensor, device: torch.device) -> bool:
    return values.device.type == device.type and not values.is_complex()


def _is_integral(values: Tensor) -> bool:
    return not (values.is_floating_point() or values.is_complex() or values.dtype == torch.bool)


def check_lists(preds: Any, target: Any) -> None:
    """Raise unless both are lists of the same length."""
    for name, value in (("preds", preds), ("target", target)):
        if not isinstance(value, Sequence) or isinstance(value, str):
            one = f"; give [{name}] for one image" if isinstance(value, Mapping) else ""
            raise ValueError(f"{name}: expected a list with one dict per image, got {type(value).__name__}{one}")
    if len(preds) != len(target):
        raise ValueError(
            f"preds and target: expected lists of the same length, got {len(preds)} and {len(target)}; an image "
            "without instances has a dict of empty tensors"
        )


def get_tensor(where: str, item: Any, key: str) -> Tensor:
    """The tensor at ``item[key]``; ``where`` is what errors call the image."""
    if not isinstance(item, Mapping):
        raise ValueError(f"{where}: expected a dict, got {type(item).__name__}")
    if key not in item:
        raise ValueError(f"{where}: expected the key {key!r}, got the keys {sorted(map(str, item))}")
    value = item[key]
    if not isinstance(value, Tensor):
        remedy = f"give torch.as_tensor({key})"
        raise ValueError(f"{where}[{key!r}]: expected a tensor, got {type(value).__name__}; {remedy}")
    return value


def get_column(
    where: str, item: Any, key: str, count: int, device: torch.device, integer: bool = False, objects: str = "boxes"
) -> Tensor:
    """One number for each of ``count`` instances of an image; an empty tensor of any shape fits none of them."""
    values = get_tensor(where, item, key)
    if values.numel() == 0 and count == 0:
        return values
    if values.ndim != 1 or len(values) != count:
        expected = f"shape ({count},), one for each of {count} {objects}"
        remedy = f"; give {key}.flatten()" if values.ndim != 1 and values.numel() == count else ""
        raise ValueError(f"{where}[{key!r}]: expected {expected}, got {tuple(values.shape)}{remedy}")
    if integer and not (_is_integral(values) or values.is_complex()):
        raise ValueError(f"{where}[{key!r}]: expected an integer dtype, got {values.dtype}; give {key}.long()")
    check_real(where, key, values, device)
    return values


def check_real(where: str, key: str, values: Tensor, device: torch.device) -> None:
    """Raise unless the values are real numbers on the device."""
    if values.dtype.is_complex:
        raise ValueError(f"{where}[{key!r}]: expected a real dtype, got {values.dtype}")
    if values.device.type != device.type:
        raise ValueError(
            f"{where}[{key!r}]: expected a tensor on the metric's device {device}, got one on {values.device}; "
            "move the metric with .to(device)"
        )
