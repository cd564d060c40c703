"""Random problems with keypoints, coarse on purpose, and what pycocotools says about them.

Points lie on a grid, and a detection's point is a target's, or beside it, or far away: so similarities are often k/n,
which falls on thresholds, and two targets are equally similar to a detection. Some targets have no labelled points,
some are crowds, some are there twice, and scores are rounded.
"""

import random
from typing import Any

import torch
from torch import Tensor

from detmetrics.overlap.keypoint_sigmas import PRESETS
from tests import oracle
from tests.oracle import Reference
from tests.problems import Item, Problem

COCO_AREAS = {"medium": (32**2, 96**2), "large": (96**2, 1e5**2)}
SIGMAS: dict[int, Any] = {1: [0.1], 14: "crowdpose", 17: None, 133: "wholebody"}
LABELS = ([1], [1, 2], [0, 7, 90])


def keypoint_problem(
    seed: int,
    *,
    images: int = 4,
    image_ids: bool | None = None,
    plain: bool = False,
    num: int = 17,
    boxes: bool = False,
) -> Problem:
    """Make one problem of up to ``images`` images with ``num`` keypoints; ``plain`` keeps the constructor's defaults.

    With ``boxes`` all predictions have them, else half of the problems' do.
    """
    rng = random.Random(f"keypoints {seed}")
    labels, step = rng.choice(LABELS), rng.choice([1, 2, 5, 8])
    preds, target = [], []
    has_areas, has_boxes = rng.random() < 0.7, rng.random() < 0.5 or boxes
    for _ in range(rng.randint(1, images)):
        objects = [_target(rng, num, rng.choice(labels)) for _ in range(rng.choice([0, 1, 2, 3, 6]))]
        objects += [dict(rng.choice(objects)) for _ in range(rng.choice([0, 0, 1])) if objects]
        found = [_detection(rng, rng.choice(objects), labels, step) for _ in range(rng.randint(0, 8)) if objects]
        found += [
            _detection(rng, _target(rng, num, rng.choice(labels)), labels, step) for _ in range(rng.randint(0, 2))
        ]
        preds.append(_pred(found, num, has_boxes))
        target.append(_item(objects, num, has_areas))
    if image_ids or (image_ids is None and rng.random() < 0.5):
        for item, key in zip(target, rng.sample(range(99), len(target)), strict=True):
            item["image_id"] = key  # type: ignore[assignment]
    settings: dict[str, Any] = {"box_format": "xywh", "iou_type": "keypoints", "keypoint_sigmas": SIGMAS[num]}
    if not plain and rng.random() < 0.3:
        settings |= {"max_detection_thresholds": rng.choice([[1, 2], [3], [1, 20, 100]])}
    if not plain and rng.random() < 0.3:
        settings |= {"iou_thresholds": rng.choice([[0.5], [0.1, 0.35, 0.6, 1.0]])}
    return Problem(preds, target, settings)


def _target(rng: random.Random, num: int, label: int) -> dict[str, Any]:
    """Points within a box of one of COCO's sizes, or at its edge."""
    side = rng.choice([16, 32, 48, 96, 128])
    left, top = rng.randrange(0, 200, 8), rng.randrange(0, 200, 8)
    share = rng.choice([0.0, 0.1, 0.5, 1.0, 1.0])
    visible = [rng.choice([1, 2]) if rng.random() < share else 0 for _ in range(num)]
    points = [(left + rng.randint(0, side), top + rng.randint(0, side), v) if v else (0, 0, 0) for v in visible]
    counted = sum(v > 0 for v in visible)
    return {
        "points": points,
        "box": [left, top, side, side],
        "area": rng.choice([side * side / 2, float(side * side), 32.0**2, 96.0**2, 0.0, 500.25]),
        "iscrowd": rng.random() < 0.15,
        "num_keypoints": rng.choice([counted] * 9 + [0]),
        "label": label,
    }


def _detection(rng: random.Random, near: dict[str, Any], labels: list[int], step: int) -> dict[str, Any]:
    """The points of a target, exact, beside them or far away; of one without points anywhere around its box."""
    left, top, side, _ = near["box"]
    far, beside = rng.choice([0.0, 0.1, 0.5]), rng.choice([0.0, 0.3, 1.0])
    points = []
    for x, y, v in near["points"]:
        if not v:
            x, y = left + rng.randint(-2 * side, 3 * side), top + rng.randint(-2 * side, 3 * side)
        if rng.random() < beside:
            x, y = x + rng.choice([-step, 0, step]), y + rng.choice([-step, 0, step])
        points.append((x + 4096, y) if rng.random() < far else (x, y))
    label = near["label"] if rng.random() < 0.8 else rng.choice(labels)
    return {"points": points, "box": near["box"], "score": rng.randint(1, 9) / 10, "label": label}


def _item(objects: list[dict[str, Any]], num: int, has_areas: bool) -> Item:
    columns = {"iscrowd": torch.bool, "num_keypoints": torch.int64, "label": torch.int64}
    if has_areas:
        columns["area"] = torch.float64
    found = {key: torch.tensor([o[key] for o in objects], dtype=dtype) for key, dtype in columns.items()}
    found["labels"] = found.pop("label")
    return found | {"keypoints": _points(objects, num, 3), "boxes": _boxes(objects)}


def _pred(found: list[dict[str, Any]], num: int, has_boxes: bool) -> Item:
    item = {
        "keypoints": _points(found, num, 2),
        "scores": torch.tensor([own["score"] for own in found], dtype=torch.float64),
        "labels": torch.tensor([own["label"] for own in found], dtype=torch.int64),
    }
    return item | ({"boxes": _boxes(found)} if has_boxes else {})


def _points(rows: list[dict[str, Any]], num: int, width: int) -> Tensor:
    return torch.tensor([row["points"] for row in rows], dtype=torch.float64).reshape(-1, num, width)


def _boxes(rows: list[dict[str, Any]]) -> Tensor:
    return torch.tensor([row["box"] for row in rows], dtype=torch.float64).reshape(-1, 4)


def to_coco(preds: list[Item], target: list[Item]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The data, with boxes as xywh, as COCO's two files."""
    labels = sorted({label for item in (*preds, *target) for label in item["labels"].tolist()})
    ids = [int(item.get("image_id", position)) for position, item in enumerate(target)]
    annotations, results = [], []
    for image_id, pred, item in zip(ids, preds, target, strict=True):
        for i, label in enumerate(item["labels"].tolist()):
            box, points = item["boxes"][i].tolist(), item["keypoints"][i]
            counted = item["num_keypoints"][i] if "num_keypoints" in item else (points[:, 2] > 0).sum()
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": label,
                    "bbox": box,
                    "area": item["area"][i].item() if "area" in item else box[2] * box[3] * 0.53,
                    "iscrowd": int(item["iscrowd"][i]) if "iscrowd" in item else 0,
                    "num_keypoints": int(counted),
                    "keypoints": points.flatten().tolist(),
                }
            )
        for i, label in enumerate(pred["labels"].tolist()):
            flat = [value for x, y in pred["keypoints"][i, :, :2].tolist() for value in (x, y, 0.0)]
            boxes = {"bbox": pred["boxes"][i].tolist()} if "boxes" in pred else {}
            score = pred["scores"][i].item()
            results.append({"image_id": image_id, "category_id": label, "keypoints": flat, "score": score, **boxes})
    images, categories = [{"id": image_id} for image_id in ids], [{"id": label} for label in labels]
    return {"images": images, "categories": categories, "annotations": annotations}, results


def evaluate(preds: list[Item], target: list[Item], **settings: Any) -> Reference:
    """Ask pycocotools about the arguments of ``MeanAveragePrecision.update``, with boxes as xywh."""
    sigmas = settings.pop("keypoint_sigmas", None)
    sigmas = PRESETS[sigmas or "coco"] if sigmas is None or isinstance(sigmas, str) else sigmas
    settings.pop("box_format", None)
    return oracle.evaluate_coco(*to_coco(preds, target), keypoint_sigmas=list(sigmas), **settings)
