"""Masks as COCO's files have them: polygons and run-length encodings, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from detmetrics.files.ids import Id
from detmetrics.files.json_table import Table, shown, whole
from detmetrics.files.polygons import EXPECTED, check_polygons
from detmetrics.overlap.masks import as_masks
from detmetrics.overlap.rle import BadMaskError, mask_areas, mask_boxes, read_runs

Encoding = dict[str, Any]  # "size": (H, W), and "counts": COCO's characters, or the lengths of the runs
Sizes = Mapping[Id, tuple[int, int]]  # (H, W) of the listed images by id, zeros where the file has none

AT_ONCE = 4096  # masks that are measured together
OF_NO_IMAGE: Encoding = {"size": [1, 1], "counts": [1]}  # stands for a mask of an image that is not listed


class Masks(NamedTuple):
    """The masks of a table."""

    encodings: list[Encoding]
    boxes: Tensor  # (N, 4) float64 xywh
    areas: Tensor  # (N,) float64
    num_skipped: int  # polygons of fewer than three points


def read_masks(table: Table, image_ids: list[Id], sizes: Sizes, of_boxes: bool) -> Masks:
    """The masks of a table, encoded and measured; none is decoded here.

    Args:
        table: N rows with ``segmentation``.
        image_ids: Those of the rows.
        sizes: Those of the listed images, which polygons need.
        of_boxes: Whether a row without ``segmentation`` has the mask of its ``bbox``, as in ``COCO.loadRes``.

    Raises:
        ValueError: if a segmentation is neither polygons nor an encoding, or an image with polygons has no size. It
            names the entry and the image.
        ImportError: if there are polygons and pycocotools is missing.
    """
    encodings: list[Encoding] = []
    skipped = 0
    for index, (row, image_id) in enumerate(zip(table.rows, image_ids, strict=True)):
        try:
            encoding, some = _encoding(_with_outline(row) if of_boxes else row, sizes.get(image_id))
        except ValueError as error:
            raise _error(table, index, image_id, error) from error
        encodings.append(encoding)
        skipped += some
    return Masks(encodings, *_measured(table, image_ids, encodings), skipped)


def _with_outline(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """A row, with the polygon of its box if it has no ``segmentation``; a wrong box is found where boxes are read."""
    box = row.get("bbox")
    if "segmentation" in row or not (isinstance(box, list | tuple) and len(box) == 4):
        return row
    try:
        x, y, width, height = map(float, box)
    except (TypeError, ValueError):
        return row
    return {**row, "segmentation": [[x, y, x, y + height, x + width, y + height, x + width, y]]}


def _encoding(row: Mapping[str, Any], size: tuple[int, int] | None) -> tuple[Encoding, int]:
    """The segmentation of a row as an encoding, and how many of its polygons were skipped."""
    value = row.get("segmentation")
    if size is None:
        return OF_NO_IMAGE, 0
    if isinstance(value, dict):
        sides = value.get("size")
        if isinstance(sides, list | tuple):
            value = {**value, "size": [whole(side) for side in sides]}
        return value, 0
    if not isinstance(value, list | tuple):
        raise ValueError(f"expected {EXPECTED}, got {shown(value) if 'segmentation' in row else 'no such key'}")
    if 0 in size:
        raise ValueError('expected an image with "height" and "width" for polygons, got none')
    polygons, skipped = check_polygons(value, *size)
    coco = _pycocotools()
    return coco.merge(coco.frPyObjects(polygons, *size)), skipped  # as COCO.annToRLE


def _measured(table: Table, image_ids: list[Id], encodings: list[Encoding]) -> tuple[Tensor, Tensor]:
    """Boxes and areas, which also shows whether the encodings are such."""
    boxes, areas = [torch.zeros((0, 4))], [torch.zeros(0)]
    for first in range(0, len(encodings), AT_ONCE):
        try:
            runs = read_runs(encodings[first : first + AT_ONCE])
        except BadMaskError as error:
            index = first + error.index
            raise _error(table, index, image_ids[index], error) from error
        boxes.append(_xywh(mask_boxes(runs)))
        areas.append(mask_areas(runs))
    return torch.cat(boxes).double(), torch.cat(areas).double()


def _error(table: Table, index: int, image_id: Id, error: Exception) -> ValueError:
    return table.error(index, f'"segmentation" of image_id {shown(image_id)}: {error}')


def check_sizes(tables: Sequence[tuple[Table, list[Id], Masks | None]], sizes: Sizes) -> int:
    """Check that the masks of each image have one size.

    Args:
        tables: Each with its image ids and its masks.
        sizes: Those of the listed images.

    Returns:
        How many masks have another size than the file gives their image.

    Raises:
        ValueError: if two masks of an image differ in size.
    """
    first: dict[Id, tuple[int, int]] = {}
    contradicting = 0
    for table, image_ids, masks in tables:
        for index, (image_id, encoding) in enumerate(zip(image_ids, masks.encodings if masks else (), strict=True)):
            if image_id not in sizes:
                continue
            size = (encoding["size"][0], encoding["size"][1])
            expected = first.setdefault(image_id, size)
            if size != expected:
                problem = f"expected the size {expected} of the other masks of the image, got {size}"
                raise _error(table, index, image_id, ValueError(problem))
            contradicting += 0 not in sizes[image_id] and size != sizes[image_id]
    return contradicting


def mask_box(encoding: Encoding) -> list[float]:
    """The box around a mask, xywh."""
    box: list[float] = _xywh(mask_boxes(read_runs([encoding])))[0].double().tolist()
    return box


def mask_area(encoding: Encoding) -> float:
    """The pixels of a mask."""
    return float(mask_areas(read_runs([encoding])))


def _xywh(boxes: Tensor) -> Tensor:
    return torch.cat([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], dim=1)


def encode(item: Mapping[str, Any]) -> list[Encoding]:
    """The ``masks`` of an image as JSON takes them: compressed, characters as str."""
    masks = as_masks("masks", item, torch.device("cpu")).permute(1, 2, 0).byte().numpy()
    if not masks.size:
        return [{"size": list(masks.shape[:2]), "counts": ""} for _ in range(masks.shape[2])]
    encoded = _pycocotools().encode(masks.copy(order="F"))
    return [{"size": list(one["size"]), "counts": one["counts"].decode()} for one in encoded]


def _pycocotools() -> Any:
    try:
        from pycocotools import mask
    except ImportError as error:
        raise ImportError('masks in COCO files need pycocotools: pip install "detmetrics[coco]"') from error
    return mask
