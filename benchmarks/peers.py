"""From lists of dicts of tensors to what each peer reads, on the fastest path that its documentation offers.

Boxes go to float64 before anything is subtracted, as in pycocotools, so that areas and overlaps agree to the last bit.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

Items = list[dict[str, Any]]  # one dict of tensors an image


class Targets(NamedTuple):
    """Targets as columns; M rows."""

    image: NDArray[np.int64]  # (M,)
    labels: NDArray[np.int64]  # (M,)
    boxes: NDArray[np.float64]  # (M, 4) xywh
    area: NDArray[np.float64]  # (M,)
    iscrowd: NDArray[np.int64]  # (M,)


def detection_matrix(preds: Items, first_image: int = 0) -> NDArray[np.float64]:
    """``(N, 7)``: image, x, y, w, h, score, label, the array that pycocotools' ``loadRes`` defined."""
    matrix = np.empty((sum(len(p["scores"]) for p in preds), 7))
    matrix[:, 0] = _image_column(preds, first_image)
    matrix[:, 1:5] = _xywh(preds)
    matrix[:, 5] = _column(preds, "scores", torch.float64)
    matrix[:, 6] = _column(preds, "labels", torch.float64)
    return matrix


def target_columns(target: Items, first_image: int = 0) -> Targets:
    boxes, labels = _xywh(target), _column(target, "labels", torch.int64)
    crowds = any("iscrowd" in item for item in target)
    iscrowd = _column(target, "iscrowd", torch.int64) if crowds else np.zeros_like(labels)
    return Targets(_image_column(target, first_image), labels, boxes, boxes[:, 2] * boxes[:, 3], iscrowd)


def target_dicts(target: Items, first_image: int = 0) -> list[dict[str, Any]]:
    """COCO annotations; ids count from 1 because pycocotools takes 0 for "no match"."""
    columns = (column.tolist() for column in target_columns(target, first_image))
    return [
        {"id": i, "image_id": image, "category_id": label, "bbox": box, "area": area, "iscrowd": crowd}
        for i, (image, label, box, area, crowd) in enumerate(zip(*columns, strict=True), start=1)
    ]


def detection_dicts(preds: Items) -> list[dict[str, Any]]:
    """COCO results with the fields that ``loadRes`` would add, but for the outlines that only masks need."""
    boxes = _xywh(preds)
    columns = (
        _image_column(preds, 0).tolist(),
        _column(preds, "labels", torch.int64).tolist(),
        boxes.tolist(),
        (boxes[:, 2] * boxes[:, 3]).tolist(),
        _column(preds, "scores", torch.float64).tolist(),
    )
    return [
        {"id": i, "image_id": image, "category_id": label, "bbox": box, "area": area, "score": score, "iscrowd": 0}
        for i, (image, label, box, area, score) in enumerate(zip(*columns, strict=True), start=1)
    ]


def image_dicts(num_images: int, first_image: int = 0) -> list[dict[str, Any]]:
    return [{"id": i} for i in range(first_image, first_image + num_images)]


def category_dicts(num_classes: int) -> list[dict[str, Any]]:
    return [{"id": i, "name": str(i)} for i in range(num_classes)]


def dataset(target: Items, num_classes: int) -> dict[str, list[dict[str, Any]]]:
    """The content of a COCO annotation file."""
    return {
        "images": image_dicts(len(target)),
        "categories": category_dicts(num_classes),
        "annotations": target_dicts(target),
    }


def indexed_datasets(coco_class: type, target: Items, preds: Items, num_classes: int) -> tuple[Any, Any]:
    """Targets and detections as ``COCO`` of pycocotools or faster-coco-eval, without ``loadRes`` and its outlines."""
    gt, dt = coco_class(), coco_class()
    gt.dataset = dataset(target, num_classes)
    dt.dataset = {**gt.dataset, "annotations": detection_dicts(preds)}
    gt.createIndex()
    dt.createIndex()
    return gt, dt


def supervision_detections(items: Items) -> list[Any]:
    """supervision's own type, one per image, on views of the tensors."""
    from supervision import Detections

    return [
        Detections(
            xyxy=item["boxes"].cpu().numpy(),
            class_id=item["labels"].cpu().numpy(),
            confidence=item["scores"].cpu().numpy() if "scores" in item else None,
            data={"iscrowd": item["iscrowd"].cpu().numpy()} if "iscrowd" in item else {},
        )
        for item in items
    ]


def above(preds: Items, score_threshold: float) -> Items:
    """The predictions scored at or above a threshold, for evaluators that have no such cut."""
    return [{key: value[p["scores"] >= score_threshold] for key, value in p.items()} for p in preds]


def _xywh(items: Items) -> NDArray[np.float64]:
    boxes = _column(items, "boxes", torch.float64)
    boxes[:, 2:] -= boxes[:, :2]
    return boxes


def _column(items: Items, key: str, dtype: torch.dtype) -> NDArray[Any]:
    """One key of all images, concatenated where it lies and copied to the host at once."""
    return torch.cat([item[key] for item in items]).to("cpu", dtype).numpy()


def _image_column(items: Items, first_image: int) -> NDArray[np.int64]:
    counts = [len(item["labels"]) for item in items]
    return np.repeat(np.arange(first_image, first_image + len(items)), counts)
