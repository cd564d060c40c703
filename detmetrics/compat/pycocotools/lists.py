"""pycocotools' ``_gts`` and ``_dts``: annotations by image and category, for methods that ask about one cell."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from detmetrics.compat.pycocotools.params import Params
from detmetrics.compat.pycocotools.results import Ann
from detmetrics.overlap.similarity import Overlaps
from detmetrics.ragged import lexsort

ByCell = Mapping[tuple[Any, Any], list[Ann]]  # by image id and category id


def collect(coco: Any, params: Params, is_target: bool) -> ByCell:
    """Copies of the annotations or results of the images and categories that are asked about.

    As pycocotools prepares them: with ``"segm"`` masks are encoded, and ``ignore`` is ``iscrowd``; with ``"keypoints"``
    annotations without any are ignored too.

    Args:
        coco: A ``COCO`` object; None for no annotations.
        params: What is evaluated.
        is_target: Whether they are annotations.
    """
    found: defaultdict[tuple[Any, Any], list[Ann]] = defaultdict(list)
    if coco is None:
        return found
    categories = set(params.catIds) if params.useCats else None
    for ann in coco.loadAnns(coco.getAnnIds(imgIds=list(params.imgIds))) if len(params.imgIds) else []:
        if categories is None or ann["category_id"] in categories:
            masks = {"segmentation": coco.annToRLE(ann)} if params.iouType == "segm" else {}
            ignored = ann.get("iscrowd", 0)
            if params.iouType == "keypoints" and is_target:
                ignored = ann["num_keypoints"] == 0 or ignored
            prepared = {**ann, **masks, "ignore": ignored}
            found[ann["image_id"], ann["category_id"]].append(prepared)
    return found


def chosen(lists: ByCell, images: Mapping[Any, int], categories: Mapping[Any, int]) -> tuple[list[Ann], Tensor, Tensor]:
    """The annotations of some cells, and the indices of their images and categories, ``(n,)`` int64 each."""
    anns: list[Ann] = []
    index = []
    for image, image_index in images.items():
        for category, category_index in categories.items():
            own = lists.get((image, category), [])  # a default dict would grow by what is indexed
            anns += own
            index += [(image_index, category_index)] * len(own)
    found = torch.tensor(index, dtype=torch.int64).view(-1, 2)
    return anns, found[:, 0], found[:, 1]


def given_overlaps(
    matrices: Mapping[tuple[Any, Any], Any], keys: list[tuple[Any, Any]], cells: tuple[Tensor, Tensor], floor: float
) -> Overlaps:
    """Overlaps from ``(D, G)`` matrices by image id and category id, as ``ious`` holds them.

    Args:
        matrices: The overlaps; rows beyond the detections that are evaluated are left out.
        keys: The key of each cell.
        cells: The cell of each detection and of each target, ascending.
        floor: Smaller overlaps are left out, and those that are not above 0.
    """
    detection, target, values = [torch.zeros(0).long()], [torch.zeros(0).long()], [torch.zeros(0).double()]
    for cell in torch.cat(cells).unique().tolist():
        starts, ends = ([int(torch.searchsorted(side, cell, right=r)) for side in cells] for r in (False, True))
        sizes = [end - start for start, end in zip(starts, ends, strict=True)]
        if all(sizes) and len(matrices[keys[cell]]):
            matrix = torch.from_numpy(np.asarray(matrices[keys[cell]], dtype=np.float64))[: sizes[0]]
            row, column = ((matrix >= floor) & (matrix > 0)).nonzero().unbind(1)
            detection.append(row + starts[0])
            target.append(column + starts[1])
            values.append(matrix[row, column])
    rows, columns, iou = (torch.cat(parts) for parts in (detection, target, values))
    order = lexsort(columns, rows)
    return Overlaps(*(part.index_select(0, order) for part in (rows, columns, iou)))
