"""The package lvis, fed with what ``update()`` takes."""

import itertools
import logging
from typing import Any

import numpy as np
import pytest
import torch
from lvis import LVIS, LVISEval, LVISResults
from torch import Tensor

from tests.problems import Item

NAMES = {  # ours by lvis'
    "AP": "map",
    "AP50": "map_50",
    "AP75": "map_75",
    "APs": "map_small",
    "APm": "map_medium",
    "APl": "map_large",
    "APr": "map_rare",
    "APc": "map_common",
    "APf": "map_frequent",
    "AR@": "mar_",
    "ARs@": "mar_small",
    "ARm@": "mar_medium",
    "ARl@": "mar_large",
}


def evaluated(
    monkeypatch: pytest.MonkeyPatch, document: dict[str, Any], results: list[dict[str, Any]], limit: int, iou_type: str
) -> LVISEval:
    """Lvis' evaluation of a document and results, run to the end."""
    monkeypatch.setattr(np, "float", float, raising=False)  # lvis 0.5.3 is older than the numpy that has it no more
    monkeypatch.setattr(logging.Logger, "warn", logging.Logger.debug, raising=False)  # and than the Python
    truth = LVIS.__new__(LVIS)  # its constructor reads a file
    truth.dataset, truth.logger = document, logging.getLogger("lvis")
    truth._create_index()
    evaluation = LVISEval(truth, LVISResults(truth, results, max_dets=limit), iou_type)
    evaluation.params.max_dets = limit
    evaluation.run()
    return evaluation


def numbers(evaluation: LVISEval) -> dict[str, float]:
    """Lvis' numbers by our names, NaN in place of -1."""
    limit = str(evaluation.params.max_dets)
    named = {NAMES[key.removesuffix(limit) if "@" in key else key]: x for key, x in evaluation.get_results().items()}
    named["mar_" + limit] = named.pop("mar_")
    return {key: float("nan") if value == -1 else float(value) for key, value in named.items()}


def document_of(target: list[Item], frequencies: dict[int, str]) -> dict[str, Any]:
    """Targets with boxes xyxy as a document of LVIS."""
    images = [
        {"id": i, **{key: item[key].tolist() for key in ("neg_category_ids", "not_exhaustive_category_ids")}}
        for i, item in enumerate(target)
    ]
    entries = itertools.count(1)
    annotations = [
        {"id": next(entries), "image_id": i, "category_id": label, "bbox": box, "area": area, "ignore": ignore}
        for i, item in enumerate(target)
        for label, box, area, ignore in zip(*_columns(item), strict=True)
    ]
    categories = [{"id": label, "frequency": letter} for label, letter in frequencies.items()]
    return {"images": images, "annotations": annotations, "categories": categories}


def _columns(item: Item) -> tuple[list[Any], ...]:
    boxes = xywh(item["boxes"])
    areas = item.get("area", boxes[:, 2] * boxes[:, 3])
    ignore = item.get("ignore", torch.zeros(len(boxes)))
    return item["labels"].tolist(), boxes.tolist(), areas.tolist(), ignore.int().tolist()


def results_of(preds: list[Item]) -> list[dict[str, Any]]:
    """Predictions with boxes xyxy as results of LVIS."""
    return [
        {"image_id": i, "category_id": label, "bbox": box, "score": score}
        for i, item in enumerate(preds)
        for label, box, score in zip(
            item["labels"].tolist(), xywh(item["boxes"]).tolist(), item["scores"].tolist(), strict=True
        )
    ]


def xywh(boxes: Tensor) -> Tensor:
    boxes = boxes.double().reshape(-1, 4)
    return torch.cat([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], dim=1)
