"""From masks to areas, extents and overlaps, image by image; no mask outlives the update."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from detmetrics import checks
from detmetrics.detection.instances import Items
from detmetrics.ops.masks import LANES, MaskWords, mask_boundary, mask_intersections, to_words
from detmetrics.ops.overlaps import Overlaps
from detmetrics.ops.rle import decode_masks

Pair = tuple[Tensor, Tensor]


class Measured(NamedTuple):
    """A batch of masks, reduced to what the rest of the way needs."""

    preds: list[dict[str, Any]]  # as given, with the extents of the masks as xyxy boxes
    target: list[dict[str, Any]]  # likewise, and with areas
    areas: Tensor  # (N,) float64, of the detections of all images
    overlaps: Overlaps  # of all images: indices into the detections and targets of the batch


def measure(
    preds: Items, target: Items, boundary: bool, pairs: str, floor: float, device: torch.device, byte_budget: int
) -> Measured:
    """Measure the masks of a batch.

    Args:
        preds: A dict an image with ``masks`` and ``labels`` (N,).
        target: A dict an image with ``masks`` and ``labels`` (M,), and optionally ``iscrowd`` (M,) and ``area`` (M,).
        boundary: Whether the overlap is the smaller of that of the masks and that of their boundaries.
        pairs: ``"same"`` for overlaps within a class, ``"all"`` for those between classes too.
        floor: The smallest overlap that is kept.
        device: Where the masks must be.
        byte_budget: Bytes that temporaries may take in an image, beside masks that have to be converted.

    Returns:
        Areas, extents and overlaps.

    Raises:
        ValueError: if masks are missing or do not fit.
    """
    checks.check_lists(preds, target)
    images = [
        _measure_image(i, pred, tgt, boundary, pairs, floor, device, byte_budget)
        for i, (pred, tgt) in enumerate(zip(preds, target, strict=True))
    ]
    areas, found = [torch.empty(0, dtype=torch.float64, device=device)], []
    num_detections = num_targets = 0
    for _, tgt, area, overlaps in images:
        found.append((overlaps.detection + num_detections, overlaps.target + num_targets, overlaps.iou))
        areas.append(area)
        num_detections, num_targets = num_detections + len(area), num_targets + len(tgt["boxes"])
    found.append((torch.empty(0, dtype=torch.int64, device=device),) * 2 + (areas[0],))
    return Measured(
        [item for item, *_ in images],
        [tgt for _, tgt, *_ in images],
        torch.cat(areas),
        Overlaps(*map(torch.cat, zip(*found, strict=True))),
    )


def _measure_image(
    i: int,
    pred: Mapping[str, Any],
    target: Mapping[str, Any],
    boundary: bool,
    pairs: str,
    floor: float,
    device: torch.device,
    byte_budget: int,
) -> tuple[dict[str, Any], dict[str, Any], Tensor, Overlaps]:
    sides = (f"preds[{i}]", pred), (f"target[{i}]", target)
    masks = [as_masks(where, item, device) for where, item in sides]
    if all(len(x) for x in masks) and masks[0].shape[1:] != masks[1].shape[1:]:
        sizes = " and ".join(str(tuple(x.shape[1:])) for x in masks)
        raise ValueError(f"preds[{i}]['masks'] and target[{i}]['masks']: expected masks of one size, got {sizes}")
    if all(x.stride(1) == 1 for x in masks):  # decoded, column after column: nothing below depends on what is a row
        masks = [x.transpose(1, 2) for x in masks]
    labels = [_check_columns(where, item, len(x), device) for (where, item), x in zip(sides, masks, strict=True)]

    detections, targets = (to_words(x) for x in masks)
    iscrowd = torch.zeros_like(targets.area, dtype=torch.bool)
    if target.get("iscrowd") is not None:
        iscrowd = (target["iscrowd"] != 0).flatten()
    pair = _candidates(detections, targets, None if pairs == "all" else (labels[0].flatten(), labels[1].flatten()))
    iou = _iou(detections, targets, pair, iscrowd, byte_budget)
    pair, iou = _above(floor, pair, iou)
    if boundary:
        iou = torch.minimum(iou, _boundary_iou(masks[0], masks[1], pair, iscrowd, byte_budget))
        pair, iou = _above(floor, pair, iou)
    area = targets.area.double() if target.get("area") is None else target["area"]
    return (
        {**pred, "boxes": _extents(detections)},
        {**target, "boxes": _extents(targets), "area": area},
        detections.area.double(),
        Overlaps(*pair, iou),
    )


def as_masks(where: str, item: Mapping[str, Any], device: torch.device) -> Tensor:
    """The masks of an image as ``(N, H, W)`` bool.

    Args:
        where: What to call the image in errors.
        item: A dict with ``masks``: ``(N, H, W)`` or ``(N, 1, H, W)``, bool, integer (not 0) or float (.5 or more), an
            empty tensor of any shape, or a list of run-length encodings as dicts of ``size`` and ``counts``.
        device: Where the tensor must be, and where decoded masks go.

    Raises:
        ValueError: if the masks do not fit.
    """
    if isinstance(item, Mapping) and isinstance(item.get("masks"), list | tuple):
        return _decode(where, item["masks"]).to(device)
    masks = checks.check_tensor(where, item, "masks")
    if masks.ndim == 4 and masks.shape[1] == 1:
        masks = masks.squeeze(1)
    if masks.ndim != 3:
        if masks.numel():
            raise ValueError(f"{where}['masks']: expected shape (N, H, W) or (N, 1, H, W), got {tuple(masks.shape)}")
        masks = masks.new_zeros((0, 0, 0))
    checks.check_kind(where, "masks", masks, device)
    if masks.dtype == torch.bool:
        return masks.as_subclass(Tensor)
    return (masks >= 0.5 if masks.is_floating_point() else masks != 0).as_subclass(Tensor)


def _decode(where: str, encoded: Sequence[Mapping[str, Any]]) -> Tensor:
    try:
        return decode_masks(encoded)
    except ValueError as error:
        raise ValueError(f"{where}['masks']: {error}") from error


def _check_columns(where: str, item: Mapping[str, Any], count: int, device: torch.device) -> Tensor:
    """The labels of the masks, (N,); raises unless every column that is there has a number for each mask."""
    labels = checks.check_tensor(where, item, "labels")
    for key in ("labels", "scores", "iscrowd", "ignore", "area"):
        if item.get(key) is not None:
            values = checks.check_tensor(where, item, key)
            checks.check_vector(where, key, values, count, device, integer=key == "labels", objects="masks")
    return labels


def _candidates(detections: MaskWords, targets: MaskWords, labels: Pair | None) -> Pair:
    """The pairs (detection, target), by target, whose extents meet, and whose labels agree if they are given."""
    box, target_box = detections.box, targets.box[:, None]  # (N, 4), (M, 1, 4)
    meet = torch.minimum(box, target_box)[..., 2:] > torch.maximum(box, target_box)[..., :2]  # (M, N, 2)
    wanted = meet.all(dim=2)
    if labels is not None:
        wanted &= labels[0] == labels[1][:, None]
    target, detection = wanted.nonzero().unbind(1)
    return detection, target


def _iou(detections: MaskWords, targets: MaskWords, pair: Pair, iscrowd: Tensor, byte_budget: int) -> Tensor:
    """Intersection over union, or over the detection where the target is a crowd. Source: ``maskApi.c``, ``rleIou``."""
    detection, target = pair
    shared = mask_intersections(detections, targets, detection, target, byte_budget)
    area, target_area = detections.area.index_select(0, detection), targets.area.index_select(0, target)
    union = torch.where(iscrowd.index_select(0, target), area, area + target_area - shared)
    return torch.where(shared > 0, shared.double() / union.double(), 0.0)


def _boundary_iou(masks: Tensor, target_masks: Tensor, pair: Pair, iscrowd: Tensor, byte_budget: int) -> Tensor:
    """The same of the boundaries of the masks. Each part of the pairs makes those that it needs."""
    bytes_a_pair = 4 * max(masks[:1].numel(), 1)  # two masks, and copies in words where rows are not whole words
    parts = []
    for detection, target in zip(*(index.split(max(byte_budget // bytes_a_pair, 1)) for index in pair), strict=True):
        (used, detection), (used_targets, target) = (i.unique(return_inverse=True) for i in (detection, target))
        boundaries, target_boundaries = (
            to_words(mask_boundary(x.index_select(0, some)))
            for x, some in ((masks, used), (target_masks, used_targets))
        )
        crowd = iscrowd.index_select(0, used_targets)
        parts.append(_iou(boundaries, target_boundaries, (detection, target), crowd, byte_budget))
    return torch.cat(parts)


def _above(floor: float, pair: Pair, iou: Tensor) -> tuple[Pair, Tensor]:
    kept = ((iou >= floor) & (iou > 0)).nonzero().squeeze(1)
    detection, target = pair
    return (detection.index_select(0, kept), target.index_select(0, kept)), iou.index_select(0, kept)


def _extents(words: MaskWords) -> Tensor:
    """The boxes around masks, to the next eight pixels sideways, (N, 4) xyxy."""
    top, left, bottom, right = words.box.unbind(1)
    return torch.stack([left * LANES, top, right * LANES, bottom], dim=1)
