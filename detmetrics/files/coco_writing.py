"""What ``update()`` takes as COCO's annotations and results."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch.nn.functional import pad

from detmetrics.detection.facts import KEYS
from detmetrics.files.coco_masks import encode, mask_area, mask_box
from detmetrics.files.ids import Id
from detmetrics.overlap.boxes import to_xywh
from detmetrics.overlap.keypoints import AREA_FACTOR


def to_coco(
    preds: Sequence[Mapping[str, Any]],
    target: Sequence[Mapping[str, Any]],
    *,
    box_format: str = "xyxy",
    categories: Mapping[int, str] | None = None,
    image_ids: Mapping[int, Id] | None = None,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Write what ``update()`` takes as COCO annotations and results, ready for ``json.dump``.

    Args:
        preds: One dict per image with ``boxes`` ``(N, 4)``, ``scores`` ``(N,)``, ``labels`` ``(N,)``, and optionally
            ``masks`` in any form that ``update()`` takes, or ``keypoints``; then ``boxes`` may be missing.
        target: One dict per image with ``boxes`` ``(M, 4)``, ``labels`` ``(M,)`` and optionally ``iscrowd``, ``area``,
            ``ignore``, ``(M,)`` each, ``masks``, ``keypoints``, ``image_id`` (images without an id are numbered from
            1), and what is known of classes, ``(K,)`` labels under ``neg_category_ids`` and so on.
        box_format: ``"xyxy"``, ``"xywh"`` or ``"cxcywh"``, in pixels.
        categories: Names by label; by default each label that occurs, named by its number.
        image_ids: What to write for an ``image_id``, as in ``CocoData.image_ids``; by default the same.

    Returns:
        The annotations (``images``, ``categories``, ``annotations``) and the list of results. Boxes are float64 xywh,
        masks run-length encodings.

    Raises:
        ImportError: if there are masks and pycocotools is missing.

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
    numbers = [int(item.get("image_id", number)) for number, item in enumerate(target, start=1)]
    ids: list[Id] = [number if image_ids is None else image_ids.get(number, number) for number in numbers]
    results = [
        {"image_id": image_id, **result}
        for image_id, item in zip(ids, preds, strict=True)
        for result in _entries(item, box_format, {"score": item["scores"].tolist()})
    ]
    annotations = [
        {"image_id": image_id, **annotation}
        for image_id, item in zip(ids, target, strict=True)
        for annotation in _annotations(item, box_format)
    ]
    if categories is None:
        labels = {entry["category_id"] for entry in itertools.chain(annotations, results)}
        categories = {label: str(label) for label in sorted(labels)}
    document = {
        "images": [
            image | {key: item[key].tolist() for key in KEYS if key in item}
            for image, item in zip(_images(ids, itertools.chain(results, annotations)), target, strict=True)
        ],
        "categories": [{"id": label, "name": name} for label, name in categories.items()],
        "annotations": [{"id": number, **annotation} for number, annotation in enumerate(annotations, start=1)],
    }
    return document, results


def _images(ids: Sequence[Id], entries: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The images, with the sizes of their masks where there are any."""
    sizes = {row["image_id"]: row["segmentation"]["size"] for row in entries if "segmentation" in row}
    return [{"id": i, **(dict(zip(("height", "width"), sizes[i], strict=True)) if i in sizes else {})} for i in ids]


def _annotations(item: Mapping[str, Any], box_format: str) -> Iterator[dict[str, Any]]:
    """The targets of an image as COCO annotations, but for their ids."""
    columns = {"iscrowd": item.get("iscrowd", torch.zeros(len(item["labels"]))).int().tolist()}
    if "area" in item:
        columns["area"] = item["area"].tolist()
    for key in ("ignore", "is_group_of"):
        if key in item:
            columns[key] = item[key].int().tolist()
    if "keypoints" in item:
        labelled = [int((points[:, 2] > 0).sum()) for points in item["keypoints"]]
        columns["num_keypoints"] = item["num_keypoints"].tolist() if "num_keypoints" in item else labelled
    for entry in _entries(item, box_format, columns):
        if "area" not in entry:
            has_mask = "segmentation" in entry
            of_box = math.prod(entry["bbox"][2:]) * (AREA_FACTOR if "keypoints" in entry else 1)
            entry["area"] = mask_area(entry["segmentation"]) if has_mask else of_box
        yield entry


def _entries(item: Mapping[str, Any], box_format: str, more: Mapping[str, list[Any]]) -> Iterator[dict[str, Any]]:
    """The objects of an image as they are in both files, with further columns."""
    columns = {"category_id": item["labels"].tolist()}
    masks = encode(item) if "masks" in item else None
    points = item["keypoints"].double() if "keypoints" in item else None
    if "boxes" in item or (masks is None and points is None):
        columns["bbox"] = torch.cat(to_xywh(item["boxes"].reshape(-1, 4), box_format), dim=1).tolist()
    elif masks is not None:
        columns["bbox"] = [mask_box(mask) for mask in masks]
    if masks is not None:
        columns["segmentation"] = masks
    if points is not None:
        columns["keypoints"] = pad(points, (0, 3 - points.shape[-1])).flatten(1).tolist() if len(points) else []
    columns |= more
    return (dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True))
