"""What COCO's files repeat, contradict or lack without being wrong in form: told, and counted as the messages say."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from detmetrics.files.ids import Id
from detmetrics.files.json_table import Table
from detmetrics.ragged import hash_rows

MANY = 10  # results of one score that are told
TOO_LARGE = 1.5  # a box with a side so many times that of its image is told


def warn(message: str) -> None:
    """Tell the caller of ``from_coco``."""
    warnings.warn(message, stacklevel=4)


def warn_about_lists(images: Table, image_ids: list[Id], categories: Table, category_ids: list[Id]) -> None:
    """Say where an id is listed again with other properties."""
    for table, ids, what, keys in (
        (images, image_ids, "image", ("height", "width", "file_name")),
        (categories, category_ids, "category", ("name",)),
    ):
        repeated = _contradicting(ids, ([row.get(key) for key in keys] for row in table.rows))
        if repeated:
            properties = " or ".join(keys[-2:]).replace("width", "size")
            problem = f"{len(repeated)} {what} ids are listed again with another {properties}, such as {repeated[0]!r}"
            warn(f"{table.name}: {problem}; the last one counts, as in pycocotools")


def _contradicting(ids: Iterable[Id], properties: Iterable[Any]) -> list[Id]:
    """The ids that come with more than one set of properties."""
    first: dict[Id, Any] = {}
    found: dict[Id, None] = {}
    for key, own in zip(ids, properties, strict=True):
        if first.setdefault(key, own) != own:
            found[key] = None
    return list(found)


def warn_about_annotations(annotations: Table, ignore_key: str | None) -> None:
    """Say where pycocotools would count otherwise, or might be expected to."""
    ids = [row["id"] for row in annotations.rows if isinstance(row.get("id"), int | str)]
    repeated = len(ids) - len(set(ids))
    if repeated:
        warn(f"{annotations.name}: {repeated} entries repeat the id of another; all count, unlike in pycocotools")
    if 0 in ids:
        warn(f"{annotations.name}: an entry has id 0; it can be matched like any other, unlike in pycocotools")
    ignored = sum(bool(row.get("ignore")) and not row.get("iscrowd") for row in annotations.rows)
    if ignored and ignore_key is None:
        warn(f'{annotations.name}: {ignored} entries have "ignore" set; they count all the same, as in pycocotools')


def warn_about_objects(name: str, columns: dict[str, Tensor]) -> None:
    """Say if no annotation is an object that can be found: then every number is undefined."""
    found = len(columns["labels"])
    if not found:
        warn(f"{name}: no annotations of the listed images and categories; all numbers will be undefined (-1)")
    elif bool((columns["iscrowd"] | columns.get("ignore", columns["iscrowd"])).all()):
        warn(f"{name}: all {found} annotations are crowds or ignored; all numbers will be undefined (-1)")
    elif not columns.get("num_keypoints", torch.ones(1)).any():
        warn(f"{name}: all {found} annotations have no keypoints; all numbers will be undefined (-1)")


def warn_about_results(table: Table, columns: dict[str, Tensor], masks: bool) -> None:
    """Say where results repeat one another (masks are not compared), or have no order."""
    scores = columns["scores"]
    if not table.rows:
        warn(f"{table.name}: no results")
    if len(scores) >= MANY and bool((scores == scores[0]).all()):
        warn(f"{table.name}: all {len(scores)} scores are {scores[0].item():g}; the order of the file decides")
    points = columns["keypoints"].flatten(1) if "keypoints" in columns else scores.new_zeros((len(scores), 0))
    floats = torch.cat([scores[:, None], columns["boxes"], points], dim=1).view(torch.int64)
    rows = torch.cat([columns["image"][:, None], columns["labels"][:, None], floats], dim=1)  # (N, 7 or more)
    repeated = 0 if masks else len(rows) - len(hash_rows(rows).unique())
    if repeated:
        problem = f"{repeated} entries repeat another: image, category, box and score"
        warn(f"{table.name}: {problem}; each counts, as in pycocotools")


def warn_about_boxes(name: str, columns: dict[str, Tensor], sizes: Tensor) -> None:
    """Say how many boxes do not fit into their images.

    Args:
        name: What to call the table.
        columns: With ``boxes`` (N, 4) xywh and ``image`` (N,), which image each is in.
        sizes: ``(B, 2)`` float64, width and height of the images, zeros where the file has none.
    """
    own = sizes.index_select(0, columns["image"])  # (N, 2)
    corner, extent = columns["boxes"][:, :2], columns["boxes"][:, 2:]
    outside = (corner >= own) | (corner + extent < 0) | (extent > TOO_LARGE * own)
    number = int((outside & (own > 0).all(dim=1, keepdim=True)).any(dim=1).sum())
    if number:
        expected = "bbox is [x, y, width, height] in pixels of the image"
        warn(f"{name}: {number} of {len(own)} boxes lie outside their image or are far larger than it; {expected}")


def warn_about_masks(name: str, skips: Sequence[tuple[str, int]], contradicting: int) -> None:
    """Say which polygons were left out, and whether masks and images differ in size."""
    for table, skipped in skips:
        if skipped:
            warn(f"{table}: {skipped} polygons of one or two points have no pixels and are skipped")
    if contradicting:
        problem = f'{contradicting} masks have another size than the "height" and "width" of their image'
        warn(f"{name}: {problem}; that of the masks counts")
