"""COCO's annotations and results as the lists of dicts that ``update()`` takes."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from detmetrics.files.coco_masks import Encoding, encodings, mask_area, mask_box
from detmetrics.files.json_table import (
    AREA,
    BOX,
    FLAG,
    IMAGE_ID,
    INTEGER,
    NUMBER,
    SIDE,
    TEXT,
    Source,
    Table,
    read,
    shown,
)

Masks = list[Encoding] | None  # of the rows of a table, if masks are read


@dataclass(frozen=True)
class CocoData:
    """Annotations and results as ``update()`` takes them, one dict per image, in ascending order of image ids.

    Attributes:
        preds: ``boxes`` ``(N, 4)`` float64 xywh pixels, ``scores`` ``(N,)`` float64, ``labels`` ``(N,)`` int64; with
            ``masks=True`` also ``masks``, a list of N run-length encodings, which ``update()`` decodes image by image.
        target: ``boxes`` ``(M, 4)`` and ``labels`` ``(M,)`` as in ``preds``, ``iscrowd`` ``(M,)`` bool, ``area``
            ``(M,)`` float64 square pixels, ``image_id`` int; ``masks`` as in ``preds``; ``ignore`` ``(M,)`` bool with
            ``ignore_key``.
        categories: A distinct name for each category id, also of those that never occur. Labels are category ids.
        file_names: The ``file_name`` of images by id, of those that have one.
    """

    preds: list[dict[str, Any]]
    target: list[dict[str, Any]]
    categories: dict[int, str]
    file_names: dict[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        """Number of images."""
        return len(self.target)

    def batches(self, batch_size: int) -> Iterator[tuple[list[dict[str, Any]], list[dict[str, Any]]]]:
        """``(preds, target)`` of ``batch_size`` images at a time; the last batch may be smaller."""
        for start in range(0, len(self), batch_size):
            yield self.preds[start : start + batch_size], self.target[start : start + batch_size]


def from_coco(
    annotations: Source,
    results: Source,
    *,
    masks: bool = False,
    ignore_key: str | None = None,
    drop_unknown_images: bool = False,
    device: torch.device | str = "cpu",
) -> CocoData:
    """Read boxes, and masks if asked, from COCO annotations and results.

    What pycocotools leaves out is left out here: annotations of images, and annotations and results of categories, that
    the annotations do not list. A warning says so, and where pycocotools would count otherwise.

    Args:
        annotations: A path (JSON, gzipped or not), or the loaded dict of ``images``, ``categories``, ``annotations``.
            Annotations without ``area`` get that of their box, those without ``iscrowd`` are not crowds.
        results: A path, or the loaded list of results, each with ``image_id``, ``category_id``, ``bbox`` and ``score``;
            also a dict that has this list as ``annotations``.
        masks: Whether to read ``segmentation`` too: polygons, of images with ``height`` and ``width``, or run-length
            encodings. Then ``bbox`` may be missing, and areas that are missing are those of the masks.
        ignore_key: A key that marks annotations which count neither for nor against a detection: ``"ignore"``, say, or
            ``"difficult"`` in files made from VOC. pycocotools knows no such key.
        drop_unknown_images: Whether to drop results for images that the annotations do not list.
        device: The device of the tensors.

    Returns:
        The data. Evaluate it with ``box_format="xywh"`` and ``class_names=data.categories``.

    Raises:
        OSError: if a file cannot be read.
        ImportError: if polygons are read, or boxes or areas of masks are needed, and pycocotools is missing.
        ValueError: if a file has another form; one line names the file, the entry, the key, what was expected and what
            it is. Also for results of unknown images, if not dropped or if there are no others.

    Example:
        >>> annotations = {
        ...     "images": [{"id": 7}],
        ...     "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        ...     "annotations": [{"id": 1, "image_id": 7, "category_id": 2, "bbox": [0, 0, 4, 2]}],
        ... }
        >>> data = from_coco(annotations, [{"image_id": 7, "category_id": 2, "bbox": [0, 0, 4, 3], "score": 0.5}])
        >>> data.categories, data.target[0]["area"], data.preds[0]["scores"]
        ({1: 'cat', 2: 'dog'}, tensor([8.], dtype=torch.float64), tensor([0.5000], dtype=torch.float64))
    """
    name, document = _annotations_document(annotations)
    images = Table.under(document, "images", name)
    image_ids, sizes = _image_ids(images), _image_sizes(images) if masks else {}
    categories = _categories(Table.under(document, "categories", name))
    truth = Table.under(document, "annotations", name)
    _warn_about_differences(truth, ignore_key)
    found = _results_table(results)

    truth_masks, found_masks = (
        encodings(table, table.column("image_id", IMAGE_ID), sizes) if masks else None for table in (truth, found)
    )
    target_columns = _target_columns(truth, ignore_key, truth_masks)
    preds_columns = _preds_columns(found, found_masks)
    target_columns = _keep_known(truth.name, target_columns, image_ids, categories, drop=True)
    preds_columns = _keep_known(found.name, preds_columns, image_ids, categories, drop=drop_unknown_images)
    target = _split(target_columns, image_ids, device, truth_masks)
    for item, image_id in zip(target, image_ids.tolist(), strict=True):
        item["image_id"] = image_id
    return CocoData(_split(preds_columns, image_ids, device, found_masks), target, categories, _file_names(images))


def _annotations_document(annotations: Source) -> tuple[str, dict[str, Any]]:
    """The name and the content of the annotations."""
    name, document = read(annotations, "annotations")
    if not isinstance(document, dict):
        raise ValueError(f"{name}: expected a JSON object, got {shown(document)}")
    return name, document


def _results_table(results: Source) -> Table:
    """The results, which may be a list or a dict that has it."""
    name, document = read(results, "results")
    if isinstance(document, dict):
        return Table.under(document, "annotations", name)
    return Table.of(document, name)


def _image_ids(images: Table) -> Tensor:
    """The distinct image ids, ``(B,)`` int64 ascending."""
    if not images.rows:
        raise ValueError(f"{images.name}: expected at least one image, got none")
    return torch.tensor(sorted(set(images.column("id", IMAGE_ID))))


def _image_sizes(images: Table) -> dict[int, tuple[int, int]]:
    """Heights and widths by image id, zeros where the file has none."""
    heights, widths = (images.column(key, SIDE, defaults=itertools.repeat(0)) for key in ("height", "width"))
    return dict(zip(images.column("id", IMAGE_ID), zip(heights, widths, strict=True), strict=True))


def _file_names(images: Table) -> dict[int, str]:
    """File names by image id, of the images that have one."""
    return {row["id"]: row["file_name"] for row in images.rows if isinstance(row.get("file_name"), str)}


def _categories(table: Table) -> dict[int, str]:
    """Names by category id, ascending; a name that several categories share is followed by the id."""
    ids = table.column("id", INTEGER)
    named = dict(zip(ids, table.column("name", TEXT, defaults=map(str, ids)), strict=True))
    names = list(named.values())
    return {key: name if names.count(name) == 1 else f"{name} ({key})" for key, name in sorted(named.items())}


def _preds_columns(table: Table, masks: Masks) -> dict[str, Tensor]:
    """The results as flat tensors, one row per result."""
    if not table.rows:
        _warn(f"{table.name}: no results")
    return {
        "image_id": torch.tensor(table.column("image_id", IMAGE_ID), dtype=torch.int64),
        "row": torch.arange(len(table.rows)),
        "boxes": _boxes_tensor(_boxes(table, masks)),
        "scores": torch.tensor(table.column("score", NUMBER), dtype=torch.float64),
        "labels": torch.tensor(table.column("category_id", INTEGER), dtype=torch.int64),
    }


def _target_columns(table: Table, ignore_key: str | None, masks: Masks) -> dict[str, Tensor]:
    """The annotations as flat tensors, one row per annotation."""
    boxes = _boxes(table, masks)
    box_areas = [width * height for _, _, width, height in boxes]
    areas = table.column("area", AREA, defaults=box_areas if masks is None else _missing(table, "area", masks))
    columns = {
        "row": torch.arange(len(table.rows)),
        "image_id": torch.tensor(table.column("image_id", IMAGE_ID), dtype=torch.int64),
        "boxes": _boxes_tensor(boxes),
        "labels": torch.tensor(table.column("category_id", INTEGER), dtype=torch.int64),
        "area": torch.tensor(areas, dtype=torch.float64),
        "iscrowd": _flags(table, "iscrowd"),
    }
    if ignore_key is not None:
        if not any(ignore_key in row for row in table.rows):
            raise ValueError(f'{table.name}: expected the key "{ignore_key}" in some entry, got none')
        columns["ignore"] = _flags(table, ignore_key)
    return columns


def _boxes(table: Table, masks: Masks) -> list[list[float]]:
    return table.column("bbox", BOX, defaults=None if masks is None else _missing(table, "bbox", masks))


def _missing(table: Table, key: str, masks: list[Encoding]) -> Iterator[Any]:
    """Boxes or areas of masks, for the rows without."""
    measured = {"bbox": mask_box, "area": mask_area}[key]
    return (measured(mask) if row.get(key) is None else None for row, mask in zip(table.rows, masks, strict=True))


def _boxes_tensor(boxes: list[list[float]]) -> Tensor:
    """``(N, 4)`` float64."""
    return torch.tensor(list(itertools.chain.from_iterable(boxes)), dtype=torch.float64).reshape(-1, 4)


def _flags(table: Table, key: str) -> Tensor:
    """``(M,)`` bool; false where the key is missing."""
    return torch.tensor(table.column(key, FLAG, defaults=itertools.repeat(0)), dtype=torch.bool)


def _keep_known(
    name: str, columns: dict[str, Tensor], image_ids: Tensor, categories: Mapping[int, str], drop: bool
) -> dict[str, Tensor]:
    """The rows of listed images and categories."""
    in_image = torch.isin(columns["image_id"], image_ids)
    if not in_image.all():
        unknown = columns["image_id"][~in_image]
        problem = f'{len(unknown)} of {len(in_image)} entries are for images not listed in "images"'
        message = f"{name}: {problem}, such as image_id {int(unknown[0])}"
        if not drop or not in_image.any():
            raise ValueError(message)
        _warn(f"{message}; dropped")
    in_category = torch.isin(columns["labels"], torch.tensor(list(categories), dtype=torch.int64))
    if not in_category.all():
        unknown = columns["labels"][~in_category]
        problem = f'{len(unknown)} of {len(in_category)} entries are of categories not listed in "categories"'
        _warn(f"{name}: {problem}, such as category_id {int(unknown[0])}; dropped, as in pycocotools")
    keep = in_image & in_category
    return {key: column[keep] for key, column in columns.items()}


def _split(
    columns: dict[str, Tensor], image_ids: Tensor, device: torch.device | str, masks: Masks
) -> list[dict[str, Any]]:
    """One dict of views per image, in the order of ``image_ids``; rows of an image stay in the order of the file."""
    image = torch.searchsorted(image_ids, columns["image_id"])
    order = image.argsort(stable=True)
    sizes = image.bincount(minlength=len(image_ids)).tolist()
    parts = {key: columns[key][order].to(device).split(sizes) for key in columns if key not in ("image_id", "row")}
    items: list[dict[str, Any]] = [dict(zip(parts, own, strict=True)) for own in zip(*parts.values(), strict=True)]
    if masks is not None:
        for item, rows in zip(items, columns["row"][order].split(sizes), strict=True):
            item["masks"] = [masks[row] for row in rows.tolist()]
    return items


def _warn_about_differences(annotations: Table, ignore_key: str | None) -> None:
    """Say where pycocotools would count otherwise, or might be expected to."""
    ids = [row["id"] for row in annotations.rows if isinstance(row.get("id"), int)]
    repeated = len(ids) - len(set(ids))
    if repeated:
        _warn(f"{annotations.name}: {repeated} entries repeat the id of another; all count, unlike in pycocotools")
    if 0 in ids:
        _warn(f"{annotations.name}: an entry has id 0; it can be matched like any other, unlike in pycocotools")
    ignored = sum(bool(row.get("ignore")) and not row.get("iscrowd") for row in annotations.rows)
    if ignored and ignore_key is None:
        _warn(f'{annotations.name}: {ignored} entries have "ignore" set; they count all the same, as in pycocotools')


def _warn(message: str) -> None:
    warnings.warn(message, stacklevel=4)
