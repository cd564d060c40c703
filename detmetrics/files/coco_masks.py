"""Masks as COCO's files have them: polygons and run-length encodings, and back."""

from collections.abc import Mapping
from typing import Any

import torch

from detmetrics.files.json_table import Kind, Table, is_number
from detmetrics.overlap.masks import as_masks

Encoding = dict[str, Any]  # "size": (H, W), and "counts": COCO's characters, or the lengths of the runs
Sizes = Mapping[int, tuple[int, int]]  # (H, W) by image id, zeros where the file has none


def _is_segmentation(value: Any) -> bool:
    if isinstance(value, list):
        return bool(value) and all(_is_polygon(polygon) for polygon in value)
    return isinstance(value, dict) and _is_size(value.get("size")) and _is_counts(value.get("counts"))


def _is_polygon(value: Any) -> bool:
    return isinstance(value, list) and len(value) >= 6 and len(value) % 2 == 0 and all(map(is_number, value))


def _is_size(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2 and all(isinstance(n, int) and n > 0 for n in value)


def _is_counts(value: Any) -> bool:
    if isinstance(value, list):
        return all(isinstance(n, int) and 0 <= n < 2**32 for n in value)
    return isinstance(value, str | bytes)


SEGMENTATION = Kind('polygons [[x1, y1, ...], ...] or {"size": [H, W], "counts": ...}', _is_segmentation)


def encodings(table: Table, image_ids: list[int], sizes: Sizes) -> list[Encoding]:
    """The masks of a table, encoded; nothing is decoded here.

    Args:
        table: N rows with ``segmentation``.
        image_ids: Those of the rows.
        sizes: Those of the images, which polygons need; other images get a size of one pixel.

    Returns:
        N dicts.

    Raises:
        ValueError: if a segmentation is neither polygons nor an encoding, or an image with polygons has no size.
        ImportError: if there are polygons and pycocotools is missing.
    """
    found: list[Encoding] = []
    values = table.column("segmentation", SEGMENTATION)
    for index, (value, image_id) in enumerate(zip(values, image_ids, strict=True)):
        if isinstance(value, list):
            size = sizes.get(image_id, (1, 1))
            if 0 in size:
                needed = 'an image with "height" and "width" for polygons'
                where = f'{table.name}: entry {index}: "segmentation"'
                raise ValueError(f"{where}: expected {needed}, got none for image_id {image_id}")
            coco = _pycocotools()
            value = coco.merge(coco.frPyObjects(value, *size))  # as COCO.annToRLE
        found.append(value)
    return found


def mask_box(encoding: Encoding) -> list[float]:
    """The box around a mask, xywh."""
    box: list[float] = _pycocotools().toBbox(_compressed(encoding)).tolist()
    return box


def mask_area(encoding: Encoding) -> float:
    """The pixels of a mask."""
    return float(_pycocotools().area(_compressed(encoding)))


def encode(item: Mapping[str, Any]) -> list[Encoding]:
    """The ``masks`` of an image as JSON takes them: compressed, characters as str."""
    masks = as_masks("masks", item, torch.device("cpu")).permute(1, 2, 0).byte().numpy()
    if not masks.size:
        return [{"size": list(masks.shape[:2]), "counts": ""} for _ in range(masks.shape[2])]
    encoded = _pycocotools().encode(masks.copy(order="F"))
    return [{"size": list(one["size"]), "counts": one["counts"].decode()} for one in encoded]


def _compressed(encoding: Encoding) -> Encoding:
    if isinstance(encoding["counts"], list):
        compressed: Encoding = _pycocotools().frPyObjects(encoding, *encoding["size"])
        return compressed
    return encoding


def _pycocotools() -> Any:
    try:
        from pycocotools import mask
    except ImportError as error:
        raise ImportError('masks in COCO files need pycocotools: pip install "detmetrics[coco]"') from error
    return mask
