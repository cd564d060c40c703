"""The tables of COCO's files as flat tensors, one row per entry."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import NamedTuple

import torch
from torch import Tensor

from detmetrics.detection.facts import KEYS
from detmetrics.detection.settings import FREQUENCIES
from detmetrics.files.coco_keypoints import COUNT, Keypoints
from detmetrics.files.coco_masks import Masks
from detmetrics.files.ids import LEAST_LABEL, Id, numbered
from detmetrics.files.json_table import AREA, BOX, FLAG, ID, IDS, NUMBER, SIDE, TEXT, Table
from detmetrics.overlap.keypoints import AREA_FACTOR

Columns = dict[str, Tensor]


class Lists(NamedTuple):
    """What a file lists: images in ascending order of ids, and categories."""

    images: dict[Id, int]  # image_id by id in the file
    labels: dict[Id, int]  # label by category id in the file
    names: dict[int, str]  # distinct names by label
    sizes: dict[Id, tuple[int, int]]  # height and width by id, zeros where the file has none
    file_names: dict[int, str]  # by image_id, of the images that have one
    frequencies: dict[int, str]  # how frequent a class is, by label, of the categories that say so

    @property
    def num_images(self) -> int:
        """How many images there are."""
        return len(self.images)

    @property
    def extents(self) -> Tensor:
        """``(B, 2)`` float64, width and height of the images."""
        sizes = [self.sizes[key][::-1] for key in self.images]
        return torch.tensor(sizes, dtype=torch.float64)


def read_lists(images: Table, categories: Table) -> Lists:
    """The images and categories of a file.

    Raises:
        ValueError: if there is no image, or an entry has another form.
    """
    if not images.rows:
        raise ValueError(f"{images.name}: expected at least one image, got none")
    ids = images.column("id", ID)
    numbers = numbered(ids)
    heights, widths = (images.column(key, SIDE, defaults=itertools.repeat(0)) for key in ("height", "width"))
    named = zip(ids, (row.get("file_name") for row in images.rows), strict=True)
    labels, names = _categories(categories)
    return Lists(
        numbers,
        labels,
        names,
        dict(zip(ids, zip(heights, widths, strict=True), strict=True)),
        {numbers[key]: name for key, name in named if isinstance(name, str)},
        _frequencies(categories, labels),
    )


def _frequencies(table: Table, labels: dict[Id, int]) -> dict[int, str]:
    """How frequent classes are, by label, where a category says so as LVIS does."""
    given = zip(table.column("id", ID), (row.get("frequency") for row in table.rows), strict=True)
    found = {labels[key]: own for key, own in given if isinstance(own, str) and own in FREQUENCIES}
    return dict(sorted(found.items()))


def facts(images: Table, lists: Lists) -> list[dict[str, Tensor]]:
    """What the file knows of classes in each image, in order: labels by key, of the keys that some image has.

    Ids of categories that are not listed say nothing about those that are.
    """
    ids = images.column("id", ID)
    found: dict[Id, dict[str, Tensor]] = {key: {} for key in lists.images}
    for name in KEYS:
        if any(name in row for row in images.rows):
            for key, own in zip(ids, images.column(name, IDS, defaults=itertools.repeat([])), strict=True):
                labels = [lists.labels[category] for category in own if category in lists.labels]
                found[key][name] = torch.tensor(labels, dtype=torch.int64)
    return list(found.values())


def _categories(table: Table) -> tuple[dict[Id, int], dict[int, str]]:
    """Labels by category id; and names by label, ascending. A name of several categories is followed by the id."""
    ids = table.column("id", ID)
    labels = numbered(ids, LEAST_LABEL)
    named = dict(zip(ids, table.column("name", TEXT, defaults=map(str, ids)), strict=True))
    uses = Counter(named.values())
    return labels, {
        label: named[key] if uses[named[key]] == 1 else f"{named[key]} ({key})" for key, label in labels.items()
    }


def preds_columns(table: Table, masks: Masks | None, keypoints: Keypoints | None, lists: Lists) -> Columns:
    """The results as flat tensors."""
    others = masks.boxes.tolist() if masks is not None else None if keypoints is None else keypoints.boxes
    return {
        **_shared_columns(table, lists),
        "boxes": _boxes(table, others),
        "scores": torch.tensor(table.column("score", NUMBER), dtype=torch.float64),
        **({} if keypoints is None else {"keypoints": keypoints.points}),
    }


def target_columns(
    table: Table,
    ignore_key: str | None,
    groups: bool,
    masks: Masks | None,
    keypoints: Keypoints | None,
    lists: Lists,
) -> Columns:
    """The annotations as flat tensors."""
    boxes = _boxes(table, None if masks is None else masks.boxes.tolist())
    areas = boxes[:, 2] * boxes[:, 3] if masks is None else masks.areas
    areas = areas if keypoints is None else areas * AREA_FACTOR
    columns = {
        **_shared_columns(table, lists),
        "boxes": boxes,
        "area": torch.tensor(table.column("area", AREA, defaults=areas.tolist()), dtype=torch.float64),
        "iscrowd": _flags(table, "iscrowd"),
    }
    if keypoints is not None:
        labelled = (keypoints.points[..., 2] > 0).sum(dim=1)
        counts = table.column("num_keypoints", COUNT, defaults=labelled.tolist())
        columns |= {"keypoints": keypoints.points, "num_keypoints": torch.tensor(counts, dtype=torch.int64)}
    if groups:
        columns["is_group_of"] = _flags(table, "is_group_of")
    if ignore_key is not None:
        if not any(ignore_key in row for row in table.rows):
            raise ValueError(f'{table.name}: expected the key "{ignore_key}" in some entry, got none')
        columns["ignore"] = _flags(table, ignore_key)
    return columns


def _shared_columns(table: Table, lists: Lists) -> Columns:
    """Where a row stands, its image among those listed or -1, its label, and whether its category is listed."""
    position = {key: index for index, key in enumerate(lists.images)}
    images = [position.get(key, -1) for key in table.column("image_id", ID)]
    labels = [lists.labels.get(key) for key in table.column("category_id", ID)]
    return {
        "row": torch.arange(len(table.rows)),
        "image": torch.tensor(images, dtype=torch.int64),
        "labels": torch.tensor([0 if label is None else label for label in labels], dtype=torch.int64),
        "in_category": torch.tensor([label is not None for label in labels], dtype=torch.bool),
    }


def _boxes(table: Table, others: list[list[float]] | None) -> Tensor:
    """``(N, 4)`` float64 xywh: those given, else the others, if there are."""
    boxes = table.column("bbox", BOX, defaults=others)
    return torch.tensor(list(itertools.chain.from_iterable(boxes)), dtype=torch.float64).reshape(-1, 4)


def _flags(table: Table, key: str) -> Tensor:
    """``(M,)`` bool; false where the key is missing."""
    return torch.tensor(table.column(key, FLAG, defaults=itertools.repeat(0)), dtype=torch.bool)
