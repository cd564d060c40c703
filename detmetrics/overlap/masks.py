"""Masks: from pixels to areas, hashes and overlaps, image by image; no mask outlives the update."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from detmetrics.overlap.candidates import above_floor, joined
from detmetrics.overlap.mask_words import MASK_BUDGET, MaskWords, hash_pixels, mask_intersections, to_words
from detmetrics.overlap.rle import Runs, common_size, decode_masks, mask_areas, read_runs
from detmetrics.overlap.run_masks import hash_runs_of_masks, meeting_pairs, num_pixels, over_union, run_iou
from detmetrics.overlap.sides import check_real, get_column, get_tensor
from detmetrics.overlap.similarity import Items, Measured, Overlaps, Request, Shapes

T = TypeVar("T")
Pair = tuple[Tensor, Tensor]  # indices of detections and of targets, (P,) int64 each, by target
Refine = Callable[[Tensor, Tensor, Overlaps, Tensor, int], Tensor]  # masks, target masks, overlaps, crowds, budget

RefineRuns = Callable[[Runs, Runs, Overlaps, Tensor, int], Tensor]  # the same with masks that stay encoded


@dataclass(frozen=True)
class MaskSimilarity:
    """Intersection over union of masks: ``iou_type="segm"``. The geometry of a mask is the hash of its pixels.

    Args:
        mask_budget: Bytes that temporaries may take in an image, beside masks that have to be converted.
    """

    mask_budget: int = MASK_BUDGET
    name = "segm"
    key = "masks"
    columns = 1
    waits = False
    rules = ()

    def configuration(self) -> tuple[Any, ...]:
        """Nothing: the budget changes no number."""
        return ()

    def measure(self, preds: Items, target: Items, request: Request) -> Measured:
        """Areas and overlaps of the masks of a batch."""
        return measure_masks(preds, target, request, self.mask_budget)

    def find(
        self, detections: Tensor, targets: Tensor, iscrowd: Tensor, first: Tensor, count: Tensor, floor: float
    ) -> Overlaps:
        """Not there: :meth:`measure` finds the overlaps."""
        raise NotImplementedError("masks do not wait")


def measure_masks(
    preds: Items,
    target: Items,
    request: Request,
    byte_budget: int,
    refine: Refine | None = None,
    refine_runs: RefineRuns | None = None,
) -> Measured:
    """Measure the masks of a batch.

    Args:
        preds: One dict per image with ``masks`` and ``labels`` (N,).
        target: One dict per image with ``masks`` and ``labels`` (M,), and optionally ``iscrowd`` (M,).
        request: What to find, and on which device.
        byte_budget: Bytes that temporaries may take in an image, beside masks that have to be converted.
        refine: Another overlap of pairs of masks that overlap; the smaller of the two counts.
        refine_runs: The same for masks that stay encoded, since decoded they would be larger than the budget.

    Returns:
        Areas, hashes of the targets' pixels, and overlaps.

    Raises:
        ValueError: if masks are missing or do not fit.
    """
    images = [
        _measure_encoded(i, pred, tgt, request, byte_budget, refine_runs)
        if _is_large(pred, tgt, byte_budget)
        else _measure_image(_read(i, pred, tgt, request.device), tgt, request, byte_budget, refine)
        for i, (pred, tgt) in enumerate(zip(preds, target, strict=True))
    ]
    detections, targets = (_join_shapes([image[side] for image in images], request.device) for side in (0, 1))
    found, first_detection, first_target = [], 0, 0
    for own, others, (detection, target_index, iou) in images:
        found.append(Overlaps(detection + first_detection, target_index + first_target, iou))
        first_detection, first_target = first_detection + own.counts[0], first_target + others.counts[0]
    return Measured(detections, targets, joined(found, request.device))


class _Masks(NamedTuple):
    """The masks of one side of an image."""

    pixels: Tensor  # (N, H, W) bool, or (N, W, H)
    labels: Tensor  # (N,)
    transposed: bool  # whether rows and columns have changed places


def _read(image: int, pred: Mapping[str, Any], target: Mapping[str, Any], device: torch.device) -> tuple[_Masks, ...]:
    """The masks of both sides of an image, checked."""
    sides = (f"preds[{image}]", pred), (f"target[{image}]", target)
    masks = [as_masks(where, item, device) for where, item in sides]
    _check_one_size(image, [(x.shape[1], x.shape[2]) for x in masks if len(x)])
    transposed = all(x.stride(1) == 1 for x in masks)
    if transposed:  # decoded, column after column: no overlap or area depends on what is a row
        masks = [x.transpose(1, 2) for x in masks]
    labels = [
        get_column(where, item, "labels", len(x), device, integer=True, objects="masks")
        for (where, item), x in zip(sides, masks, strict=True)
    ]
    if target.get("iscrowd") is not None:
        get_column(sides[1][0], target, "iscrowd", len(masks[1]), device, objects="masks")
    return tuple(_Masks(x, own.flatten(), transposed) for x, own in zip(masks, labels, strict=True))


def _check_one_size(image: int, sizes: Sequence[tuple[int, int]]) -> None:
    if len(set(sizes)) > 1:
        names = f"preds[{image}]['masks'] and target[{image}]['masks']"
        raise ValueError(f"{names}: expected masks of one size, got {' and '.join(map(str, sizes))}")


def _measure_image(
    sides: tuple[_Masks, ...], target: Mapping[str, Any], request: Request, byte_budget: int, refine: Refine | None
) -> tuple[Shapes, Shapes, Overlaps]:
    detections, targets = (to_words(side.pixels) for side in sides)
    iscrowd = torch.zeros_like(targets.area, dtype=torch.bool)
    if target.get("iscrowd") is not None:
        iscrowd = (target["iscrowd"] != 0).flatten()
    pair = _candidates(detections, targets, None if request.pairs == "all" else (sides[0].labels, sides[1].labels))
    iou = mask_iou(detections, targets, pair, iscrowd, byte_budget)
    overlaps = above_floor(Overlaps(*pair, iou), request.floor)
    if refine is not None:
        other = refine(sides[0].pixels, sides[1].pixels, overlaps, iscrowd, byte_budget)
        overlaps = above_floor(overlaps._replace(iou=torch.minimum(overlaps.iou, other)), request.floor)
    # The pixels of targets are compared only between images of one id.
    has_id = target.get("image_id") is not None
    hashes = hash_pixels(targets.words, sides[1].transposed) if has_id else torch.zeros_like(targets.area)
    return _shapes(detections, torch.zeros_like(detections.area)), _shapes(targets, hashes), overlaps


def _is_large(pred: Mapping[str, Any], target: Mapping[str, Any], byte_budget: int) -> bool:
    """Whether both sides are encoded, and larger than the budget when they are decoded."""
    both = all(isinstance(item, Mapping) and isinstance(item.get("masks"), list | tuple) for item in (pred, target))
    return both and num_pixels(pred) + num_pixels(target) > byte_budget


def _measure_encoded(
    image: int,
    pred: Mapping[str, Any],
    target: Mapping[str, Any],
    request: Request,
    byte_budget: int,
    refine: RefineRuns | None,
) -> tuple[Shapes, Shapes, Overlaps]:
    """The same as :func:`_measure_image`, from runs."""
    sides = (f"preds[{image}]", pred), (f"target[{image}]", target)
    runs = [_decode(where, item["masks"], _runs_of_one_size) for where, item in sides]
    sizes = [common_size(own) for own in runs if len(own.size)]
    _check_one_size(image, sizes)
    labels = [
        get_column(where, item, "labels", len(own.size), request.device, integer=True, objects="masks").flatten().cpu()
        for (where, item), own in zip(sides, runs, strict=True)
    ]
    iscrowd = torch.zeros(len(runs[1].size), dtype=torch.bool)
    if target.get("iscrowd") is not None:
        crowds = get_column(sides[1][0], target, "iscrowd", len(iscrowd), request.device, objects="masks")
        iscrowd = (crowds != 0).flatten().cpu()
    pair = meeting_pairs(runs[0], runs[1], None if request.pairs == "all" else (labels[0], labels[1]), byte_budget)
    overlaps = above_floor(Overlaps(*pair, run_iou(runs[0], runs[1], pair, iscrowd, byte_budget)), request.floor)
    if refine is not None:
        other = refine(runs[0], runs[1], overlaps, iscrowd, byte_budget)
        overlaps = above_floor(overlaps._replace(iou=torch.minimum(overlaps.iou, other)), request.floor)
    areas = [mask_areas(own) for own in runs]
    has_id = target.get("image_id") is not None
    hashes = torch.zeros_like(areas[0]), hash_runs_of_masks(runs[1], byte_budget) if has_id else areas[1] * 0
    shapes = [
        Shapes(own.view(torch.float64)[:, None].to(request.device), area.double().to(request.device), [len(area)])
        for own, area in zip(hashes, areas, strict=True)
    ]
    return shapes[0], shapes[1], Overlaps(*(part.to(request.device) for part in overlaps))


def _runs_of_one_size(encoded: Sequence[Mapping[str, Any]]) -> Runs:
    runs = read_runs(encoded)
    common_size(runs)
    return runs


def _shapes(words: MaskWords, hashes: Tensor) -> Shapes:
    return Shapes(hashes.view(torch.float64)[:, None], words.area.double(), [len(hashes)])


def _join_shapes(parts: Sequence[Any], device: torch.device) -> Shapes:
    none = torch.empty(0, dtype=torch.float64, device=device)
    geometry = torch.cat([none[:, None], *(part.geometry for part in parts)])
    return Shapes(geometry, torch.cat([none, *(part.area for part in parts)]), [part.counts[0] for part in parts])


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
        return _decode(where, item["masks"], decode_masks).to(device)
    masks = get_tensor(where, item, "masks")
    if masks.ndim == 4 and masks.shape[1] == 1:
        masks = masks.squeeze(1)
    if masks.ndim != 3:
        if masks.numel():
            raise ValueError(f"{where}['masks']: expected shape (N, H, W) or (N, 1, H, W), got {tuple(masks.shape)}")
        masks = masks.new_zeros((0, 0, 0))
    check_real(where, "masks", masks, device)
    if masks.dtype == torch.bool:
        return masks.as_subclass(Tensor)
    return (masks >= 0.5 if masks.is_floating_point() else masks != 0).as_subclass(Tensor)


def _decode(where: str, encoded: Sequence[Mapping[str, Any]], read: Callable[[Any], T]) -> T:
    try:
        return read(encoded)
    except ValueError as error:
        raise ValueError(f"{where}['masks']: {error}") from error


def _candidates(detections: MaskWords, targets: MaskWords, labels: Pair | None) -> Pair:
    """The pairs (detection, target), by target, whose extents can meet, and whose labels agree if they are given."""
    wanted = torch.ones((len(targets.words), len(detections.words)), dtype=torch.bool, device=targets.words.device)
    if detections.box is not None and targets.box is not None:
        box, target_box = detections.box, targets.box[:, None]  # (N, 4), (M, 1, 4)
        meet = torch.minimum(box, target_box)[..., 2:] > torch.maximum(box, target_box)[..., :2]  # (M, N, 2)
        wanted = meet.all(dim=2)
    if labels is not None:
        wanted &= labels[0] == labels[1][:, None]
    target, detection = wanted.nonzero().unbind(1)
    return detection, target


def mask_iou(detections: MaskWords, targets: MaskWords, pair: Pair, iscrowd: Tensor, byte_budget: int) -> Tensor:
    """Intersection over union, or over the detection where the target is a crowd, of pairs of masks of an image.

    Args:
        detections: N masks.
        targets: M masks of the same image.
        pair: Indices of detections and of targets, ``(P,)`` int64 each, by target.
        iscrowd: ``(M,)`` bool.
        byte_budget: Bytes that temporaries may take.

    Returns:
        ``(P,)`` float64.
    """
    detection, target = pair
    shared = mask_intersections(detections, targets, detection, target, byte_budget)
    area, target_area = detections.area.index_select(0, detection), targets.area.index_select(0, target)
    return over_union(shared, area, target_area, iscrowd.index_select(0, target))
