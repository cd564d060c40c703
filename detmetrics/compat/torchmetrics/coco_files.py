"""COCO's files: what was given, written; and read into the form that torchmetrics gives it."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from detmetrics.compat.torchmetrics.inputs import Given, as_items
from detmetrics.files.coco_reading import from_coco
from detmetrics.files.coco_writing import to_coco
from detmetrics.overlap.rle import decode_masks

Item = dict[str, Tensor]
DTYPES = {"labels": torch.int32, "scores": torch.float32, "boxes": torch.float32}
DTYPES |= {"iscrowd": torch.int32, "area": torch.float32, "masks": torch.uint8}


def write(given: Given, name: str, iou_types: Sequence[str]) -> None:
    """Write ``<name>_preds.json`` and ``<name>_target.json``; images are numbered from 0.

    Args:
        given: What was given.
        name: What both names begin with, a path.
        iou_types: ``"bbox"`` for boxes, ``"segm"`` for masks, or both.
    """
    preds, target = as_items(given, iou_types)
    numbered = [{**item, "image_id": number} for number, item in enumerate(target)]
    document, results = to_coco(preds, numbered, box_format="xywh")
    for end, content in (("preds", results), ("target", document)):
        Path(f"{name}_{end}.json").write_text(json.dumps(content, indent=4), encoding="utf-8")


def read(preds: str | os.PathLike[str], target: str | os.PathLike[str], iou_types: Sequence[str]) -> Any:
    """The predictions and targets of two files, one dict per image that has a target.

    Args:
        preds: The path of the results.
        target: The path of the annotations.
        iou_types: ``"bbox"`` for boxes, in xywh, ``"segm"`` for masks, or both.
    """
    data = from_coco(target, preds, masks="segm" in iou_types)
    pairs = zip(data.preds, data.target, strict=True)
    kept = [pair for pair in pairs if len(pair[1]["labels"])]
    left_out = {"boxes": "bbox", "masks": "segm"}
    wanted = [key for key in DTYPES if left_out.get(key, iou_types[0]) in iou_types]
    return tuple([_as_tensors(pair[side], wanted) for pair in kept] for side in (0, 1))


def _as_tensors(item: dict[str, Any], wanted: Sequence[str]) -> Item:
    values = {key: item[key] for key in wanted if key in item}
    if "masks" in values:
        values["masks"] = decode_masks(values["masks"])
    return {key: torch.as_tensor(np.asarray(value)).to(DTYPES[key]) for key, value in values.items()}
