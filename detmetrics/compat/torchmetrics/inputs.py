"""From lists of dicts, one per image, to rows that keep all of them, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torchmetrics.utilities.prints import rank_zero_warn

from detmetrics.overlap.boxes import to_xywh
from detmetrics.overlap.masks import as_masks
from detmetrics.overlap.sides import check_lists, get_column, get_tensor
from detmetrics.overlap.similarity import Items
from detmetrics.ragged import occurrences, owners, rows_of
from detmetrics.state.rows import FIRST_ARRIVAL

KEYS = {"bbox": "boxes", "segm": "masks"}  # where the instances of a similarity are
WIDTHS = {"images": 5, "detections": 7, "targets": 8, "detection_runs": 2, "target_runs": 2}
NUM_DETECTIONS, NUM_TARGETS, HEIGHT, WIDTH = range(1, 5)  # columns of images
BOX, LABEL, NUM_RUNS, SCORE, CROWD, AREA = slice(0, 4), 4, 5, 6, 6, 7  # columns of detections and targets
Runs = tuple[Tensor, Tensor]  # the number of runs of each mask (N,), and their first pixels and those behind (R, 2)


class Given(NamedTuple):
    """All that was given, as rows of int64, image after image; floats travel as their float64 bits."""

    images: Tensor  # (B, 5): key, number of detections and of targets, height and width of the masks
    detections: Tensor  # (N, 7): x, y, width, height, label, number of runs of the mask, score
    targets: Tensor  # (M, 8): x, y, width, height, label, number of runs of the mask, crowd, area or 0
    detection_runs: Tensor  # (R, 2): runs of the masks of detections, counted down the columns
    target_runs: Tensor  # (R, 2)


def given_rows(
    preds: Items,
    target: Items,
    iou_types: Sequence[str],
    box_format: str,
    device: torch.device,
    needs_scores: bool = True,
) -> Given:
    """Check a batch and copy it into rows.

    Args:
        preds: One dict per image with ``boxes`` or ``masks``, ``scores``, ``labels``.
        target: One dict per image with ``boxes`` or ``masks``, ``labels``, and optionally ``iscrowd`` and ``area``.
        iou_types: ``"bbox"`` for boxes, ``"segm"`` for masks, or both.
        box_format: ``"xyxy"``, ``"xywh"`` or ``"cxcywh"``.
        device: Where the rows go; inputs may be elsewhere.
        needs_scores: Whether predictions must have scores.

    Raises:
        ValueError: if a key is missing, or a tensor does not fit.
    """
    check_lists(preds, target)
    images, sides = [], ([], [])  # type: ignore[var-annotated]
    for i, items in enumerate(zip(preds, target, strict=True)):
        read = [
            _Instances(f"{name}[{i}]", item, iou_types, box_format, device, required)
            for name, item, required in zip(
                ("preds", "target"), items, (("scores",) if needs_scores else (), ()), strict=True
            )
        ]
        for instances, side, more in zip(read, sides, (_scores, _crowds_and_areas), strict=True):
            side.append((torch.cat([instances.columns(), more(instances)], dim=1), instances.runs[1]))
        images.append([FIRST_ARRIVAL, *(instances.count for instances in read), *_size(i, read)])
    rows = torch.tensor(images, dtype=torch.int64, device=device).reshape(-1, WIDTHS["images"])
    joined = [_joined(parts, device) for parts in zip(sides, (7, 8), strict=True)]
    return Given(rows, joined[0][0], joined[1][0], joined[0][1], joined[1][1])


def _joined(parts: tuple[list[tuple[Tensor, Tensor]], int], device: torch.device) -> tuple[Tensor, Tensor]:
    """The rows and the runs of one side of a batch."""
    images, width = parts
    rows = [torch.empty((0, width), dtype=torch.int64, device=device), *(own for own, _ in images)]
    runs = [torch.empty((0, 2), dtype=torch.int64, device=device), *(own for _, own in images)]
    return torch.cat(rows), torch.cat(runs)


class _Instances:
    """One side of an image, checked."""

    def __init__(
        self,
        where: str,
        item: Any,
        iou_types: Sequence[str],
        box_format: str,
        device: torch.device,
        required: Sequence[str],
    ) -> None:
        self.where, self.device = where, device
        names = ["labels", *(KEYS[name] for name in iou_types), *required]
        tensors = {key: get_tensor(where, item, key) for key in names}
        tensors |= {key: get_tensor(where, item, key) for key in ("iscrowd", "area") if key in item}
        self.item = {key: tensor.detach().to(device) for key, tensor in tensors.items()}
        self.count = len(self.item["labels"])
        for key in names:
            if len(self.item[key]) != self.count:
                got = len(self.item[key])
                raise ValueError(f"{where}[{key!r}]: expected {self.count} of them, as many as labels, got {got}")
        self.boxes = self._boxes(box_format) if "bbox" in iou_types else None
        self.masks = as_masks(where, self.item, device) if "segm" in iou_types else None
        none = torch.zeros(self.count, dtype=torch.int64, device=device), torch.zeros((0, 2)).to(device).long()
        self.runs: Runs = none if self.masks is None or not self.count else runs_of(self.masks)

    def _boxes(self, box_format: str) -> Tensor:
        """The boxes ``(N, 4)`` float64 xywh."""
        boxes = self.item["boxes"]
        if self.count and (boxes.ndim != 2 or boxes.shape[1] != 4):
            raise ValueError(f"{self.where}['boxes']: expected shape (N, 4), got {tuple(boxes.shape)}")
        return torch.cat(to_xywh(boxes.reshape(-1, 4), box_format), dim=1)

    def column(self, key: str, integer: bool = False) -> Tensor:
        """One number for each instance, ``(n,)``."""
        return get_column(self.where, self.item, key, self.count, self.device, integer).flatten()

    def columns(self) -> Tensor:
        """The columns that both sides have, ``(n, 6)``."""
        label = self.column("labels", integer=True).long()
        box = label.new_zeros((self.count, 4)) if self.boxes is None else self.boxes.view(torch.int64)
        return torch.cat([box, label[:, None], self.runs[0][:, None]], dim=1)


def _scores(instances: _Instances) -> Tensor:
    if "scores" not in instances.item:
        return torch.zeros((instances.count, 1), dtype=torch.int64, device=instances.device)
    scores = instances.column("scores")
    if instances.count and not scores.is_floating_point():
        raise ValueError(f"{instances.where}['scores']: expected a float dtype, got {scores.dtype}")
    return scores.double().view(torch.int64)[:, None]


def _crowds_and_areas(instances: _Instances) -> Tensor:
    none = torch.zeros(instances.count, device=instances.device)
    crowd, area = (instances.column(key) if key in instances.item else none for key in ("iscrowd", "area"))
    return torch.stack([crowd.long(), area.double().view(torch.int64)], dim=1)


def _size(image: int, sides: Sequence[_Instances]) -> tuple[int, int]:
    """The height and width of the masks of an image; zeros for none."""
    filled = [side.masks for side in sides if side.masks is not None and side.count]
    sizes = {(masks.shape[1], masks.shape[2]) for masks in filled}
    if len(sizes) > 1:
        raise ValueError(
            f"preds[{image}]['masks'] and target[{image}]['masks']: expected masks of one size, got {sorted(sizes)}"
        )
    return sizes.pop() if sizes else (0, 0)


def runs_of(masks: Tensor) -> Runs:
    """The runs of 1 in masks ``(N, H, W)`` bool, counted down the columns."""
    pixels = masks.transpose(1, 2).flatten(1).to(torch.int8)  # (N, W * H)
    change = torch.nn.functional.pad(pixels, (1, 1)).diff(dim=1)  # (N, W * H + 1)
    first, behind = ((change == sign).nonzero() for sign in (1, -1))  # (R, 2) each: mask and pixel, in the same order
    return occurrences(first[:, 0], len(masks)), torch.stack([first[:, 1], behind[:, 1]], dim=1)


def in_order(given: Given) -> Given:
    """The images in ascending order of keys."""
    order = given.images[:, 0].argsort(stable=True)
    images = given.images.index_select(0, order)
    parts = []
    for column, rows, runs in zip(
        (NUM_DETECTIONS, NUM_TARGETS), given[1:3], (given.detection_runs, given.target_runs), strict=True
    ):
        chosen = rows_of(given.images[:, column], order)
        own_runs = rows_of(rows[:, NUM_RUNS], chosen)
        parts.append((rows.index_select(0, chosen), runs.index_select(0, own_runs)))
    return Given(images, parts[0][0], parts[1][0], parts[0][1], parts[1][1])


def without_invalid(given: Given) -> Given:
    """Without the predictions whose box or score is not finite, and with boxes without extent for such targets.

    A model that diverges must not stop a validation: a warning says how many there are.
    """
    detections, targets = (rows.view(torch.float64) for rows in given[1:3])
    valid = detections[:, BOX].isfinite().all(dim=1) & detections[:, SCORE].isfinite()  # (N,)
    broken = ~targets[:, BOX].isfinite().all(dim=1)  # (M,)
    num_invalid, num_broken = int((~valid).sum()), int(broken.sum())
    if num_invalid:
        rank_zero_warn(f"preds: {num_invalid} detections with a box or score that is not finite were left out")
        given = _selected(given, valid)
    if num_broken:
        rank_zero_warn(f"target: {num_broken} boxes are not finite; nothing can match them")
        box = torch.where(broken[:, None], 0, given.targets[:, BOX])
        given = given._replace(targets=torch.cat([box, given.targets[:, LABEL:]], dim=1))
    return given


def _selected(given: Given, valid: Tensor) -> Given:
    """Some of the detections, ``valid`` (N,) bool."""
    image = owners(given.images[:, NUM_DETECTIONS], len(valid))
    counts = occurrences(image[valid], len(given.images))
    images = given.images.clone()
    images[:, NUM_DETECTIONS] = counts
    runs = owners(given.detections[:, NUM_RUNS], len(given.detection_runs))
    return given._replace(
        images=images, detections=given.detections[valid], detection_runs=given.detection_runs[valid[runs]]
    )


def as_items(given: Given, iou_types: Sequence[str], one_class: bool = False) -> tuple[Items, Items]:
    """The predictions and targets as ``update()`` takes them, with boxes in xywh and encoded masks.

    Args:
        given: What was given.
        iou_types: ``"bbox"`` for boxes, ``"segm"`` for masks, or both.
        one_class: Whether all labels are 0.

    Returns:
        Lists with one dict per image. The area of a target is that given, if it is above 0, else that of its mask or
        box.
    """
    preds, target = (_columns(given, side, iou_types) for side in (0, 1))
    flags = given.targets[:, CROWD].split(given.images[:, NUM_TARGETS].tolist())
    areas = target_areas(given, iou_types).split(given.images[:, NUM_TARGETS].tolist())
    scores = split(given, 0, SCORE, torch.float64)
    for item, score in zip(preds, scores, strict=True):
        item["scores"] = score
    for item, flag, area in zip(target, flags, areas, strict=True):
        item |= {"iscrowd": flag, "area": area}
    if one_class:
        for item in (*preds, *target):
            item["labels"] = torch.zeros_like(item["labels"])
    return preds, target


def _columns(given: Given, side: int, iou_types: Sequence[str]) -> list[dict[str, Any]]:
    columns: dict[str, Sequence[Any]] = {"labels": split(given, side, LABEL)}
    if "bbox" in iou_types:
        columns["boxes"] = split(given, side, BOX, torch.float64)
    if "segm" in iou_types:
        columns["masks"] = encoded_masks(given, side)
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def split(given: Given, side: int, column: Any, dtype: torch.dtype = torch.int64) -> tuple[Tensor, ...]:
    """A column of detections (side 0) or targets (side 1), image by image."""
    values = given[1 + side].view(dtype)[:, column]
    parts: tuple[Tensor, ...] = values.split(given.images[:, NUM_DETECTIONS + side].tolist())
    return parts


def target_areas(given: Given, iou_types: Sequence[str]) -> Tensor:
    """The areas of targets ``(M,)`` float64: those given, where they are above 0, else of masks, else of boxes."""
    values = given.targets.view(torch.float64)
    own = values[:, 2] * values[:, 3]
    if "segm" in iou_types:
        runs = owners(given.targets[:, NUM_RUNS], len(given.target_runs))
        lengths = given.target_runs[:, 1] - given.target_runs[:, 0]
        own = torch.zeros_like(own).index_add_(0, runs, lengths.double())
    return torch.where(values[:, AREA] > 0, values[:, AREA], own)


def encoded_masks(given: Given, side: int) -> list[list[dict[str, Any]]]:
    """The masks of each image as dicts of ``size`` and ``counts``, the lengths of alternating runs of 0 and 1."""
    runs, per_mask = given[3 + side].cpu(), given[1 + side][:, NUM_RUNS].cpu()
    masks = iter(runs.split(per_mask.tolist()))
    images = given.images[:, [NUM_DETECTIONS + side, HEIGHT, WIDTH]].tolist()
    return [[_encoded(next(masks), height, width) for _ in range(count)] for count, height, width in images]


def _encoded(runs: Tensor, height: int, width: int) -> dict[str, Any]:
    edges = torch.cat([runs.flatten(), runs.new_tensor([height * width])])
    return {"size": [height, width], "counts": edges.diff(prepend=edges.new_zeros(1)).tolist()}
