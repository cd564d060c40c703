"""Keypoints as COCO's files have them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from detmetrics import arguments
from detmetrics.files.ids import Id
from detmetrics.files.json_table import ID, Kind, Table, is_number

Skeletons = dict[int, list[tuple[int, int]]]


def _is_flat(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) > 0 and len(value) % 3 == 0 and all(map(is_number, value))


def _plain(value: Any) -> Any:
    value = arguments.plain(value)
    return [arguments.plain(x) for x in value] if isinstance(value, list | tuple) else value


FOUND = Kind("[x, y, score, ...], three finite numbers for each keypoint", _is_flat, _plain)
LABELLED = Kind(
    "[x, y, visibility, ...], three finite numbers for each keypoint, visibilities of 0 or more",
    lambda value: _is_flat(value) and min(value[2::3]) >= 0,
    _plain,
)
COUNT = Kind(
    "an integer of 0 or more", lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= 0
)


class Keypoints(NamedTuple):
    """The keypoints of a table."""

    points: Tensor  # (N, K, 3) float64; K is that of the category with most, others are filled up with zeros
    boxes: list[list[float]]  # the xywh box of the points of each row


def read_keypoints(truth: Table, found: Table) -> tuple[Keypoints, Keypoints]:
    """The keypoints of annotations and of results.

    Raises:
        ValueError: if a row lacks them, or has other than as many as the first annotation of its category.
    """
    sides = [table.column("keypoints", kind) for table, kind in ((truth, LABELLED), (found, FOUND))]
    expected: dict[Id, int] = {}
    for table, rows in zip((truth, found), sides, strict=True):
        for index, (category, row) in enumerate(zip(table.column("category_id", ID), rows, strict=True)):
            if len(row) != expected.setdefault(category, len(row)):
                own = f'"keypoints": expected {expected[category] // 3}, as others of category_id {category!r} have'
                raise table.error(index, f"{own}, got {len(row) // 3}")
    longest = max(map(len, itertools.chain(*sides)), default=0)
    truth_points, found_points = (_filled(rows, longest) for rows in sides)
    return truth_points, found_points


def _filled(rows: list[list[float]], length: int) -> Keypoints:
    boxes = [_box(row) for row in rows]
    filled = [row if len(row) == length else [*row, *[0.0] * (length - len(row))] for row in rows]
    flat = torch.tensor(filled, dtype=torch.float64).reshape(len(rows), length // 3, 3)
    return Keypoints(flat, boxes)


def _box(row: list[float]) -> list[float]:
    """As ``COCO.loadRes`` finds it."""
    x, y = row[0::3], row[1::3]
    left, top = min(x), min(y)
    return [left, top, max(x) - left, max(y) - top]


def skeletons_of(categories: Table, labels: dict[Id, int]) -> Skeletons:
    """The lines between keypoints that a drawing has, by label, counted from 0; what has another form is left out."""
    found: Skeletons = {}
    for key, row in zip(categories.column("id", ID), categories.rows, strict=True):
        lines = row.get("skeleton")
        pairs = lines if isinstance(lines, list) else []
        kept = [(pair[0] - 1, pair[1] - 1) for pair in pairs if _is_line(pair)]
        if kept:
            found[labels[key]] = kept
    return found


def _is_line(pair: Any) -> bool:
    return isinstance(pair, list) and len(pair) == 2 and all(type(end) is int and 0 < end < 2**31 for end in pair)


def crowd_index_of(images: Table, numbers: dict[Id, int]) -> dict[int, float]:
    """``crowdIndex`` by image_id, of the images that have a finite number there."""
    found = {}
    for key, row in zip(images.column("id", ID), images.rows, strict=True):
        value: Any = row.get("crowdIndex")
        if is_number(value) and not isinstance(value, bool):
            found[numbers[key]] = float(value)
    return found


def crowdpose_groups(crowd_index: Mapping[int, float], medium: float = 0.2, hard: float = 0.8) -> dict[str, list[int]]:
    """CrowdPose's easy, medium and hard images.

    Args:
        crowd_index: The share of each image's persons that overlap, by ``image_id``: ``CocoData.crowd_index``.
        medium: The smallest index of a medium image. CrowdPose's code has .2, its paper .1.
        hard: The smallest index of a hard image.

    Returns:
        The ``image_id`` of the images of each group, for :meth:`detmetrics.MeanAveragePrecision.per_group`.

    Source: Li et al., CrowdPose (CVPR 2019); ``crowdposetools``.

    Example:
        >>> crowdpose_groups({7: 0.0, 8: 0.79, 9: 0.8})
        {'easy': [7], 'medium': [8], 'hard': [9]}
    """
    bounds = {"easy": (-math.inf, medium), "medium": (medium, hard), "hard": (hard, math.inf)}
    return {
        name: [key for key, value in crowd_index.items() if low <= value < high] for name, (low, high) in bounds.items()
    }
