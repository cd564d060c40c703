"""The checks of panoptic inputs, and their two forms brought to one: pixels by image, class and segment id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from detmetrics import arguments
from detmetrics.count.label_codes import as_integers
from detmetrics.count.pixel_runs import number_rows

Maps = Tensor | Sequence[Tensor]  # one batch of maps of a size, or a map per image
Infos = Sequence[Sequence[Mapping[str, Any]]]
VOID = -1  # the class of pixels without a segment
LARGEST = torch.iinfo(torch.int64).max


class Table(NamedTuple):
    """The segments that lists of dicts declare."""

    image: Tensor  # (S,) int64
    id: Tensor  # (S,) int64
    label: Tensor  # (S,) int64, an index into the labels of the classes
    iscrowd: Tensor  # (S,) int64


def check_maps(preds: Maps, target: Maps, channels: bool, device: torch.device) -> list[tuple[Tensor, Tensor]]:
    """The maps of both sides as batches of equal shape, ``(b, ...)`` or ``(b, ..., 2)``.

    Args:
        preds: ``(B, ...)`` or a sequence of maps, one per image.
        target: The same of the targets.
        channels: Whether the last dimension is that of category and instance.
        device: Where they must be.

    Raises:
        ValueError: if a dtype, a device or a shape does not fit.
    """
    sides = [_batches(name, maps, device) for name, maps in (("preds", preds), ("target", target))]
    if len(sides[0]) != len(sides[1]) or isinstance(preds, Tensor) != isinstance(target, Tensor):
        raise ValueError(f"preds: expected as many maps as target, {len(sides[1])}, got {len(sides[0])}")
    for i, (one, other) in enumerate(zip(*sides, strict=True)):
        where = "" if isinstance(preds, Tensor) else f"[{i}]"
        if one.shape != other.shape:
            shapes = f"{_shape(other, preds)}, got {_shape(one, preds)}"
            raise ValueError(f"preds{where}: expected the shape of target{where} {shapes}")
        if channels and (one.ndim < 3 or one.shape[-1] != 2):
            raise ValueError(
                f"preds{where}: expected categories and instances (..., 2), got {_shape(one, preds)}; maps of segment "
                "ids need preds_info and target_info"
            )
    empty = torch.zeros((0, 1, 1, 2)[: 3 + channels], dtype=torch.int64, device=device)  # no map is an empty batch
    return list(zip(*sides, strict=True)) or [(empty, empty)]


def _shape(batch: Tensor, given: Maps) -> tuple[int, ...]:
    return tuple(batch.shape if isinstance(given, Tensor) else batch.shape[1:])


def _batches(name: str, maps: Any, device: torch.device) -> list[Tensor]:
    """A batch as it is, or a batch of one for each map of a sequence."""
    single = isinstance(maps, Tensor)
    if not single and not (isinstance(maps, Sequence) and all(isinstance(one, Tensor) for one in maps)):
        raise ValueError(f"{name}: expected a tensor or a sequence of tensors, got {type(maps).__name__}")
    for i, one in enumerate([maps] if single else maps):
        where = name if single else f"{name}[{i}]"
        if one.dtype.is_floating_point or one.dtype.is_complex or one.dtype == torch.bool:
            raise ValueError(f"{where}: expected an integer dtype, got {one.dtype}")
        if one.ndim < 1 + single:
            raise ValueError(f"{where}: expected a map with at least one spatial dimension, got {tuple(one.shape)}")
        if one.device.type != device.type:
            raise ValueError(
                f"{where}: expected a tensor on the metric's device {device}, got one on {one.device}; "
                "move the metric with .to(device)"
            )
    return [as_integers(one) for one in ([maps] if single else [one[None] for one in maps])]


def read_infos(
    name: str, infos: Infos, num_images: int, labels: Sequence[int], crowds: bool, device: torch.device
) -> Table:
    """The segments that the lists of dicts of a side declare.

    Args:
        name: Of the argument.
        infos: A list per image of dicts with ``id``, ``category_id`` and, of targets, optionally ``iscrowd``.
        num_images: How many images there are.
        labels: The labels of the classes.
        crowds: Whether ``iscrowd`` counts.
        device: Where the table goes.

    Raises:
        ValueError: if a list or dict does not fit, an id is no positive int or comes twice, or a class is not declared.
    """
    if not isinstance(infos, Sequence) or isinstance(infos, str) or len(infos) != num_images:
        got = len(infos) if isinstance(infos, Sequence) else type(infos).__name__
        raise ValueError(f"{name}: expected a list of dicts for each of {num_images} images, got {got}")
    index = {label: i for i, label in enumerate(labels)}
    rows = []
    for image, segments in enumerate(infos):
        where = f"{name}[{image}]"
        if not isinstance(segments, Sequence) or not all(isinstance(segment, Mapping) for segment in segments):
            raise ValueError(f"{where}: expected a list of dicts, got {segments!r}")
        found = [_read_info(where, segment, index, crowds) for segment in segments]
        if len({row[0] for row in found}) < len(found):
            raise ValueError(f"{where}: expected distinct ids, got {sorted(row[0] for row in found)}")
        rows += [(image, *row) for row in found]
    table = torch.tensor(rows, dtype=torch.int64).reshape(-1, 4).to(device)
    return Table(*table.unbind(1))


def _read_info(where: str, segment: Mapping[str, Any], index: Mapping[int, int], crowds: bool) -> tuple[int, int, int]:
    """The id of a segment, the index of its class, and whether it is a crowd."""
    missing = [key for key in ("id", "category_id") if key not in segment]
    if missing:
        raise ValueError(f"{where}: expected the keys 'id' and 'category_id', got {list(segment)}")
    segment_id, category = (arguments.integer(f"{where}[{key!r}]", segment[key]) for key in ("id", "category_id"))
    if not 0 < segment_id <= LARGEST:
        raise ValueError(f"{where}['id']: expected a positive int, got {segment_id}; 0 is void")
    if category not in index:
        raise ValueError(
            f"{where}['category_id']: expected a class of things or stuffs, got {category} for id {segment_id}"
        )
    iscrowd = arguments.integer(f"{where}['iscrowd']", int(segment.get("iscrowd", 0))) if crowds else 0
    return segment_id, index[category], int(iscrowd != 0)


def look_up(name: str, image: Tensor, ids: Tensor, table: Table) -> tuple[Tensor, Tensor]:
    """The class and the crowd flag of each id of a map, ``(K,)`` int64 each; ``VOID`` and 0 where the id is 0.

    Raises:
        ValueError: if an id has no dict, or a dict has no pixel.
    """
    size = len(table.id)
    number, first = number_rows(torch.cat([table.image, image]), torch.cat([table.id, ids]))
    entry = torch.full_like(first, -1).index_copy_(0, number[:size], torch.arange(size, device=ids.device))
    at = entry.index_select(0, number[size:])  # the row of the table, or -1
    _check_known(name, image, ids, (at < 0) & (ids != 0), "an id of its dicts (0 is void)")
    seen = torch.zeros_like(first, dtype=torch.bool).index_fill_(0, number[size:], True)
    missing = ~seen.index_select(0, number[:size])
    _check_known(f"{name}_info", table.image, table.id, missing, "ids that the map has")
    label, iscrowd = (torch.cat([x.new_tensor([none]), x]) for x, none in ((table.label, VOID), (table.iscrowd, 0)))
    return label.index_select(0, at + 1), iscrowd.index_select(0, at + 1)


def _check_known(name: str, image: Tensor, ids: Tensor, wrong: Tensor, expected: str) -> None:
    if bool(wrong.any()):
        first = int(wrong.nonzero()[0])
        raise ValueError(f"{name}[{int(image[first])}]: expected {expected}, got {int(ids[first])}")


def to_class_index(name: str, image: Tensor, category: Tensor, labels: Sequence[int], unknown: bool) -> Tensor:
    """The index of the class of each category, ``(K,)`` int64; ``VOID`` for those that are not declared.

    Raises:
        ValueError: if one is not declared, unless ``unknown`` ones may be there.
    """
    known = torch.tensor(labels, device=category.device)
    at = torch.searchsorted(known, category).clamp(max=len(labels) - 1)
    wrong = known.index_select(0, at) != category
    if not unknown:
        remedy = "; allow_unknown_preds_category=True makes their pixels void"
        if bool(wrong.any()):
            first = int(wrong.nonzero()[0])
            where = f"{name}[{int(image[first])}]"
            raise ValueError(f"{where}: expected categories {list(labels)}, got {int(category[first])}{remedy}")
    return at.masked_fill(wrong, VOID)
