"""COCO's JSON: annotations and results, from and to the lists of dicts that ``update()`` takes."""

import gzip
import itertools
import json
import math
import os
import reprlib
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from detmetrics.ops.boxes import box_area, to_xywh

Source = str | os.PathLike[str] | dict[str, Any] | list[Any]

GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True)
class CocoData:
    """Annotations and results as ``update()`` takes them, one dict an image, in ascending order of image ids.

    Attributes:
        preds: ``boxes`` ``(N, 4)`` float64 xywh pixels, ``scores`` ``(N,)`` float64, ``labels`` ``(N,)`` int64.
        target: ``boxes`` ``(M, 4)`` and ``labels`` ``(M,)`` likewise, ``iscrowd`` ``(M,)`` bool, ``area`` ``(M,)``
            float64 square pixels, ``image_id`` int; ``ignore`` ``(M,)`` bool if a key was named for it.
        categories: a distinct name for each category id, also of those that never occur. Labels are category ids.
    """

    preds: list[dict[str, Tensor]]
    target: list[dict[str, Any]]
    categories: dict[int, str]

    def __len__(self) -> int:
        """Number of images."""
        return len(self.target)

    def batches(self, batch_size: int) -> Iterator[tuple[list[dict[str, Tensor]], list[dict[str, Any]]]]:
        """``(preds, target)`` of ``batch_size`` images at a time; the last batch may be smaller."""
        for start in range(0, len(self), batch_size):
            yield self.preds[start : start + batch_size], self.target[start : start + batch_size]


def from_coco(
    annotations: Source,
    results: Source,
    *,
    ignore_key: str | None = None,
    drop_unknown_images: bool = False,
    device: torch.device | str = "cpu",
) -> CocoData:
    """Read boxes from COCO annotations and results.

    What pycocotools leaves out is left out here: annotations of images, and annotations and results of categories, that
    the annotations do not list. A warning says so, and where pycocotools would count otherwise.

    Args:
        annotations: a path (JSON, gzipped or not), or the loaded dict of ``images``, ``categories``, ``annotations``.
            Annotations without ``area`` get that of their box, those without ``iscrowd`` are not crowds.
        results: a path, or the loaded list of results, each with ``image_id``, ``category_id``, ``bbox`` and ``score``;
            also a dict that has this list as ``annotations``.
        ignore_key: a key that marks annotations which count neither for nor against a detection: ``"ignore"``, say, or
            ``"difficult"`` in files made from VOC. pycocotools knows no such key.
        drop_unknown_images: whether to drop results for images that the annotations do not list.
        device: where the tensors go.

    Returns:
        The data. Evaluate it with ``box_format="xywh"`` and ``class_names=data.categories``.

    Raises:
        OSError: if a file cannot be read.
        ValueError: if it is no such file; one line names the file, the entry, the key, what was expected and what came.
            Also for results of unknown images, if not dropped or if there are no others.

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
    annotations_name, document = _read(annotations, "annotations")
    if not isinstance(document, dict):
        raise ValueError(f"{annotations_name}: expected a JSON object, got {_shown(document)}")
    image_ids = _image_ids(_Table.under(document, "images", annotations_name))
    categories = _categories(_Table.under(document, "categories", annotations_name))
    truth = _Table.under(document, "annotations", annotations_name)
    _warn_about_differences(truth, ignore_key)

    results_name, document = _read(results, "results")
    wrapped = isinstance(document, dict)
    found = _Table.under(document, "annotations", results_name) if wrapped else _Table.of(document, results_name)

    target_columns = _keep_known(truth.name, _target_columns(truth, ignore_key), image_ids, categories, drop=True)
    preds_columns = _keep_known(found.name, _preds_columns(found), image_ids, categories, drop=drop_unknown_images)
    target: list[dict[str, Any]] = _split(target_columns, image_ids, device)
    for item, image_id in zip(target, image_ids.tolist(), strict=True):
        item["image_id"] = image_id
    return CocoData(_split(preds_columns, image_ids, device), target, categories)


def to_coco(
    preds: Sequence[Mapping[str, Any]],
    target: Sequence[Mapping[str, Any]],
    *,
    box_format: str = "xyxy",
    categories: Mapping[int, str] | None = None,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Write what ``update()`` takes as COCO annotations and results, ready for ``json.dump``.

    Args:
        preds: one dict an image with ``boxes`` ``(N, 4)``, ``scores`` ``(N,)``, ``labels`` ``(N,)``.
        target: one dict an image with ``boxes`` ``(M, 4)``, ``labels`` ``(M,)`` and optionally ``iscrowd``, ``area``,
            ``ignore``, ``(M,)`` each, and ``image_id``; images without an id are numbered from 1.
        box_format: ``"xyxy"``, ``"xywh"`` or ``"cxcywh"``, in pixels.
        categories: names by label; by default each label that occurs, named by its number.

    Returns:
        The annotations (``images``, ``categories``, ``annotations``) and the list of results. Boxes are float64 xywh.

    Example:
        >>> boxes, labels = torch.tensor([[0.0, 0.0, 4.0, 2.0]]), torch.tensor([1])
        >>> annotations, results = to_coco(
        ...     [{"boxes": boxes, "labels": labels, "scores": torch.tensor([0.5])}],
        ...     [{"boxes": boxes, "labels": labels}],
        ...     categories={1: "cat"},
        ... )
        >>> results
        [{'image_id': 1, 'category_id': 1, 'bbox': [0.0, 0.0, 4.0, 2.0], 'score': 0.5}]
    """
    image_ids = [int(item.get("image_id", number)) for number, item in enumerate(target, start=1)]
    results = [
        {"image_id": image_id, "category_id": label, "bbox": box, "score": score}
        for image_id, item in zip(image_ids, preds, strict=True)
        for box, label, score in zip(
            _xywh(item, box_format).tolist(), item["labels"].tolist(), item["scores"].tolist(), strict=True
        )
    ]
    annotations = [
        {"image_id": image_id, **annotation}
        for image_id, item in zip(image_ids, target, strict=True)
        for annotation in _annotations(item, box_format)
    ]
    numbered = [{"id": number, **annotation} for number, annotation in enumerate(annotations, start=1)]
    if categories is None:
        labels = {entry["category_id"] for entry in itertools.chain(annotations, results)}
        categories = {label: str(label) for label in sorted(labels)}
    document = {
        "images": [{"id": image_id} for image_id in image_ids],
        "categories": [{"id": label, "name": name} for label, name in categories.items()],
        "annotations": numbered,
    }
    return document, results


def _annotations(item: Mapping[str, Any], box_format: str) -> Iterator[dict[str, Any]]:
    """The targets of an image as COCO annotations, but for their ids."""
    boxes = _xywh(item, box_format)
    columns = {
        "category_id": item["labels"].tolist(),
        "bbox": boxes.tolist(),
        "area": item.get("area", box_area(boxes)).tolist(),
        "iscrowd": item.get("iscrowd", torch.zeros(len(boxes))).int().tolist(),
    }
    if "ignore" in item:
        columns["ignore"] = item["ignore"].int().tolist()
    return (dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True))


def _xywh(item: Mapping[str, Any], box_format: str) -> Tensor:
    """``(N, 4)`` float64."""
    return torch.cat(to_xywh(item["boxes"].reshape(-1, 4), box_format), dim=1)


# ---------------------------------------------------------------------------------------------------- reading the file


def _read(source: Source, name: str) -> tuple[str, Any]:
    """The document, and the name under which errors speak of it: its path if it has one."""
    if not isinstance(source, str | os.PathLike):
        return name, source
    data = Path(source).read_bytes()
    try:
        return str(source), json.loads(gzip.decompress(data) if data.startswith(GZIP_MAGIC) else data)
    except (ValueError, EOFError, OSError, zlib.error) as error:
        raise ValueError(f"{source}: expected JSON, plain or gzipped, got an error: {error}") from error


class _Kind(NamedTuple):
    expected: str
    accepts: Callable[[Any], bool]


def _is_number(value: Any) -> bool:
    return (isinstance(value, float) and math.isfinite(value)) or _is_int64(value)


def _is_int64(value: Any) -> bool:
    return isinstance(value, int) and -(2**63) <= value < 2**63


def _is_box(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 4 and all(map(_is_number, value)) and min(value[2:]) >= 0


_NUMBER = _Kind("a finite number", _is_number)
_AREA = _Kind("a finite number of 0 or more", lambda value: _is_number(value) and value >= 0)
_INTEGER = _Kind("an integer", _is_int64)
_IMAGE_ID = _Kind("an integer of 0 or more", lambda value: _is_int64(value) and value >= 0)
_FLAG = _Kind("0 or 1", lambda value: value in (0, 1))
_BOX = _Kind("[x, y, width, height], finite numbers, width and height of 0 or more", _is_box)
_TEXT = _Kind("a string", lambda value: isinstance(value, str))


@dataclass(frozen=True)
class _Table:
    """A list of JSON objects, and the name under which errors speak of it."""

    name: str
    rows: list[dict[str, Any]]

    @classmethod
    def of(cls, rows: Any, name: str) -> "_Table":
        if not isinstance(rows, list):
            raise ValueError(f"{name}: expected a JSON array, got {_shown(rows)}")
        for index, row in enumerate(rows):
            if not isinstance(row, dict):
                raise ValueError(f"{name}: entry {index}: expected a JSON object, got {_shown(row)}")
        return cls(name, rows)

    @classmethod
    def under(cls, document: dict[str, Any], key: str, name: str) -> "_Table":
        if key not in document:
            raise ValueError(f'{name}: expected the key "{key}", got the keys {_shown(sorted(document))}')
        return cls.of(document[key], f"{name}: {key}")

    def column(self, key: str, kind: _Kind, defaults: Iterable[Any] | None = None) -> list[Any]:
        """The values of a key, all of one kind. With ``defaults``, one a row, the key may be missing or null."""
        values = [row.get(key) for row in self.rows]
        if defaults is not None:
            values = [default if value is None else value for value, default in zip(values, defaults, strict=False)]
        for index, value in enumerate(values):
            if not kind.accepts(value):
                got = _shown(value) if key in self.rows[index] else "no such key"
                raise ValueError(f'{self.name}: entry {index}: "{key}": expected {kind.expected}, got {got}')
        return values


def _image_ids(images: _Table) -> Tensor:
    """The distinct image ids, ``(B,)`` int64 ascending."""
    if not images.rows:
        raise ValueError(f"{images.name}: expected at least one image, got none")
    return torch.tensor(sorted(set(images.column("id", _IMAGE_ID))))


def _categories(table: _Table) -> dict[int, str]:
    """Names by category id, ascending; a name that several categories share is followed by the id."""
    ids = table.column("id", _INTEGER)
    named = dict(zip(ids, table.column("name", _TEXT, defaults=map(str, ids)), strict=True))
    names = list(named.values())
    return {key: name if names.count(name) == 1 else f"{name} ({key})" for key, name in sorted(named.items())}


def _preds_columns(table: _Table) -> dict[str, Tensor]:
    """The results as flat tensors, one row a result."""
    if not table.rows:
        _warn(f"{table.name}: no results")
    return {
        "image_id": torch.tensor(table.column("image_id", _IMAGE_ID), dtype=torch.int64),
        "boxes": _boxes_tensor(table.column("bbox", _BOX)),
        "scores": torch.tensor(table.column("score", _NUMBER), dtype=torch.float64),
        "labels": torch.tensor(table.column("category_id", _INTEGER), dtype=torch.int64),
    }


def _target_columns(table: _Table, ignore_key: str | None) -> dict[str, Tensor]:
    """The annotations as flat tensors, one row an annotation."""
    boxes = table.column("bbox", _BOX)
    areas = table.column("area", _AREA, defaults=(width * height for _, _, width, height in boxes))
    columns = {
        "image_id": torch.tensor(table.column("image_id", _IMAGE_ID), dtype=torch.int64),
        "boxes": _boxes_tensor(boxes),
        "labels": torch.tensor(table.column("category_id", _INTEGER), dtype=torch.int64),
        "area": torch.tensor(areas, dtype=torch.float64),
        "iscrowd": _flags(table, "iscrowd"),
    }
    if ignore_key is not None:
        if not any(ignore_key in row for row in table.rows):
            raise ValueError(f'{table.name}: expected the key "{ignore_key}" in some entry, got none')
        columns["ignore"] = _flags(table, ignore_key)
    return columns


def _boxes_tensor(boxes: list[list[float]]) -> Tensor:
    """``(N, 4)`` float64."""
    return torch.tensor(list(itertools.chain.from_iterable(boxes)), dtype=torch.float64).reshape(-1, 4)


def _flags(table: _Table, key: str) -> Tensor:
    """``(M,)`` bool; false where the key is missing."""
    return torch.tensor(table.column(key, _FLAG, defaults=itertools.repeat(0)), dtype=torch.bool)


# --------------------------------------------------------------------------------------------- what the files agree on


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


def _split(columns: dict[str, Tensor], image_ids: Tensor, device: torch.device | str) -> list[dict[str, Tensor]]:
    """One dict of views an image, in the order of ``image_ids``; rows of an image stay in the order of the file."""
    image = torch.searchsorted(image_ids, columns["image_id"])
    order = image.argsort(stable=True)
    sizes = image.bincount(minlength=len(image_ids)).tolist()
    parts = {key: columns[key][order].to(device).split(sizes) for key in columns if key != "image_id"}
    return [dict(zip(parts, values, strict=True)) for values in zip(*parts.values(), strict=True)]


def _warn_about_differences(annotations: _Table, ignore_key: str | None) -> None:
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


def _shown(value: Any) -> str:
    """The value on one line, cut short."""
    return reprlib.repr(value)
