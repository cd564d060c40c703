"""pycocotools, asked about lists of dicts: the oracle of every random and every real problem.

Nothing is evaluated here: the functions put data into COCO's form, run ``COCOeval`` and hand back its arrays.
"""

import contextlib
import copy
import io
import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from pycocotools import mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import Tensor

from tests.reference import masks as reference

TOLERANCE = 1e-12
STATS = ("map", "map_50", "map_75", "map_small", "map_medium", "map_large")
STATS += ("mar_1", "mar_10", "mar_100", "mar_small", "mar_medium", "mar_large")
KEYPOINT_STATS = ("map", "map_50", "map_75", "map_medium", "map_large")
KEYPOINT_STATS += ("mar_20", "mar_iou_50", "mar_iou_75", "mar_medium", "mar_large")
LIMITS = (1, 10, 100)
COCO_THRESHOLDS, COCO_RECALL = np.linspace(0.5, 0.95, 10).tolist(), np.linspace(0, 1, 101).tolist()
AREAS = {"small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, 1e5**2)}
OUTSIDE = 1e11  # an area above "all": COCO's files have no other way to say that a target is ignored and no crowd


@dataclass(frozen=True)
class Reference:
    """What pycocotools says: the summary under torchmetrics' keys, and its three arrays; NaN where it has -1."""

    stats: dict[str, float]
    precision: Tensor  # (T, R, K, A, M)
    recall: Tensor  # (T, K, A, M)
    scores: Tensor  # (T, R, K, A, M)


def evaluate(preds: list[dict[str, Tensor]], target: list[dict[str, Tensor]], **settings: Any) -> Reference:
    """Ask pycocotools about the arguments of ``MeanAveragePrecision.update``, under the settings of its constructor."""
    box_format = settings.pop("box_format", "xyxy")
    if settings.get("iou_type", "bbox") != "bbox":
        preds, target = ([with_encodings(item) for item in side] for side in (preds, target))
    return evaluate_coco(*to_coco(preds, target, box_format), **settings)


def evaluate_coco(
    dataset: dict[str, Any],
    results: list[dict[str, Any]],
    *,
    iou_thresholds: list[float] | None = None,
    rec_thresholds: list[float] | None = None,
    max_detection_thresholds: list[int] | None = None,
    area_ranges: dict[str, tuple[float, float]] | None = None,
    class_agnostic: bool = False,
    iou_type: str = "bbox",
    keypoint_sigmas: list[float] | None = None,
) -> Reference:
    """Ask pycocotools about the content of its two files."""
    with contextlib.redirect_stdout(io.StringIO()):
        evaluator = _BoundaryEval if iou_type == "boundary" else COCOeval
        similarity = "segm" if iou_type == "boundary" else iou_type
        evaluation = evaluator(_index(dataset), _index({**dataset, "annotations": _results(results)}), similarity)
        params = evaluation.params
        params.useCats = int(not class_agnostic)
        params.iouThrs = params.iouThrs if iou_thresholds is None else np.array(iou_thresholds, dtype=np.float64)
        params.recThrs = params.recThrs if rec_thresholds is None else np.array(rec_thresholds, dtype=np.float64)
        if keypoint_sigmas is not None:
            params.kpt_oks_sigmas = np.array(keypoint_sigmas)
        params.maxDets = list(max_detection_thresholds or ([20] if iou_type == "keypoints" else LIMITS))
        known = {name: bounds for name, bounds in AREAS.items() if name in params.areaRngLbl}
        areas = {"all": (0, 1e5**2), **(known if area_ranges is None else area_ranges)}
        params.areaRngLbl, params.areaRng = list(areas), [list(bounds) for bounds in areas.values()]
        evaluation.evaluate()
        evaluation.accumulate()
        if max_detection_thresholds is None and area_ranges is None:
            evaluation.summarize()
    return Reference(_stats(evaluation), *(_nan(evaluation.eval[key]) for key in ("precision", "recall", "scores")))


def entries_of(dataset: dict[str, Any], results: list[dict[str, Any]], iou_type: str, **params: Any) -> list[Any]:
    """``evalImgs`` at all areas, without None."""
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(_index(dataset), _index({**dataset, "annotations": _results(results)}), iou_type)
        for name, value in params.items():
            setattr(evaluation.params, name, value)
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.evaluate()
    return [entry for entry in evaluation.evalImgs if entry is not None]


class _BoundaryEval(COCOeval):  # type: ignore[misc]
    """The smaller of the overlaps of masks and of boundaries, as in the API of the authors of Boundary IoU."""

    def computeIoU(self, imgId: int, catId: int) -> Any:  # noqa: N802, N803
        """Overlaps of one image and class: of masks, and again after masks and boundaries were swapped."""
        rows = [row for side in (self._gts, self._dts) for key, own in side.items() if key[0] == imgId for row in own]
        overlaps = []
        for _ in range(2):
            overlaps.append(super().computeIoU(imgId, catId))
            for row in rows:
                row["segmentation"], row["boundary"] = row["boundary"], row["segmentation"]
        return np.minimum(*overlaps) if len(overlaps[0]) else []


def assert_agrees(result: dict[str, Tensor], reference: Reference) -> None:
    """Every statistic of pycocotools is in the result, and so are the arrays if it has them, all within 1e-12."""
    for key, expected in reference.stats.items():
        assert math.isnan(expected) == bool(result[key].isnan()), f"{key}: {result[key]} against {expected}"
        assert math.isnan(expected) or abs(result[key].item() - expected) <= TOLERANCE, (
            f"{key}: {result[key]}, {expected}"
        )
    for key in ("precision", "recall", "scores"):
        if key in result:
            expected = getattr(reference, key)
            torch.testing.assert_close(result[key].cpu(), expected, rtol=0, atol=TOLERANCE, equal_nan=True)


def encode(masks: Tensor) -> list[dict[str, Any]]:
    """``(N, H, W)`` bool masks as pycocotools encodes them."""
    encoded: list[dict[str, Any]] = mask.encode(np.asfortranarray(masks.permute(1, 2, 0).numpy().astype(np.uint8)))
    return encoded


def with_encodings(item: dict[str, Any]) -> dict[str, Any]:
    """The item with its bool masks and their boundaries encoded, and with their boxes and, if none are given, areas."""
    encoded = encode(item["masks"])
    areas = torch.tensor([float(mask.area(one)) for one in encoded], dtype=torch.float64)  # it takes 255 at once
    boxes = torch.tensor(np.array([mask.toBbox(one) for one in encoded]).reshape(-1, 4))
    corners = torch.cat([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], 1)
    boundaries = [torch.from_numpy(reference.boundary(one.numpy())) for one in item["masks"]]
    outlines = encode(torch.stack(boundaries)) if boundaries else []
    return {"area": areas, **item, "boxes": corners, "segmentation": encoded, "boundary": outlines}


def overlaps(preds: dict[str, Tensor], target: dict[str, Tensor], box_format: str = "xyxy") -> Tensor:
    """pycocotools' overlaps of one image, (N, M), whatever the labels; with a crowd, over the detection's area."""
    detections, targets = (_xywh(item["boxes"], box_format) for item in (preds, target))
    if not detections or not targets:
        return torch.zeros(len(detections), len(targets), dtype=torch.float64)
    crowd = target.get("iscrowd", torch.zeros(len(targets))).tolist()
    return torch.from_numpy(np.asarray(mask.iou(detections, targets, [int(c) for c in crowd])))


def to_coco(
    preds: list[dict[str, Tensor]], target: list[dict[str, Tensor]], box_format: str = "xyxy"
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The data as COCO's two files. Annotations count from 1: pycocotools takes id 0 for "unmatched"."""
    ids = [int(item.get("image_id", position)) for position, item in enumerate(target)]
    labels = sorted({label for item in (*preds, *target) for label in item["labels"].tolist()})
    annotations = [
        row for image_id, item in zip(ids, target, strict=True) for row in _annotations(image_id, item, box_format)
    ]
    for number, row in enumerate(annotations, start=1):
        row["id"] = number
    results = [
        {"image_id": image_id, "category_id": label, "bbox": box, "score": score}
        for image_id, item in zip(ids, preds, strict=True)
        for label, box, score in zip(
            item["labels"].tolist(), _xywh(item["boxes"], box_format), item["scores"].double().tolist(), strict=True
        )
    ]
    for key, (rows, items) in itertools.product(
        ("segmentation", "boundary"), ((results, preds), (annotations, target))
    ):
        for row, encoded in zip(rows, [encoded for item in items for encoded in item.get(key, ())], strict=False):
            row[key] = encoded
    # for masks pycocotools wants images to have a size, and then takes that of the encodings
    images = [{"id": image_id, "height": 0, "width": 0} for image_id in ids]
    categories = [{"id": label} for label in labels]
    return {"images": images, "categories": categories, "annotations": annotations}, results


def _annotations(image_id: int, item: dict[str, Tensor], box_format: str) -> list[dict[str, Any]]:
    boxes = _xywh(item["boxes"], box_format)
    areas = item["area"].double().tolist() if "area" in item else [w * h for _, _, w, h in boxes]
    crowds = item["iscrowd"].tolist() if "iscrowd" in item else [0] * len(boxes)
    ignored = item["ignore"].tolist() if "ignore" in item else [False] * len(boxes)
    return [
        {
            "image_id": image_id,
            "category_id": label,
            "bbox": box,
            "area": OUTSIDE if skip else area,
            "iscrowd": int(crowd),
        }
        for label, box, area, crowd, skip in zip(item["labels"].tolist(), boxes, areas, crowds, ignored, strict=True)
    ]


def _xywh(boxes: Tensor, box_format: str) -> list[list[float]]:
    boxes = boxes.double().reshape(-1, 4)
    first, second = boxes[:, :2], boxes[:, 2:]
    if box_format == "xyxy":
        return torch.cat([first, second - first], 1).tolist()
    return torch.cat([first - second / 2, second], 1).tolist() if box_format == "cxcywh" else boxes.tolist()


def _results(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What ``COCO.loadRes`` adds to results; it does not take an empty list."""
    return [{**row, "id": number, "iscrowd": 0, "area": _area(row)} for number, row in enumerate(results, start=1)]


def _area(row: dict[str, Any]) -> float:
    if "bbox" not in row and "keypoints" in row:
        x, y = row["keypoints"][0::3], row["keypoints"][1::3]
        return (max(x) - min(x)) * (max(y) - min(y))
    return float(mask.area(row["segmentation"])) if "segmentation" in row else row["bbox"][2] * row["bbox"][3]


def _index(dataset: dict[str, Any]) -> COCO:
    coco = COCO()
    coco.dataset = copy.deepcopy(dataset)  # COCOeval writes into the annotations
    coco.createIndex()
    return coco


def _nan(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.where(values == -1, np.nan, values))


def _stats(evaluation: COCOeval) -> dict[str, float]:
    """``COCOeval.stats``; where its summary does not go (other limits, other areas), the means of its arrays."""
    thresholds, limits = evaluation.params.iouThrs.tolist(), evaluation.params.maxDets
    if len(evaluation.stats):
        stats = {
            key: math.nan if value == -1 else float(value)
            for key, value in zip(
                KEYPOINT_STATS if evaluation.params.iouType == "keypoints" else STATS, evaluation.stats, strict=True
            )
        }
    else:
        precision, recall = evaluation.eval["precision"], evaluation.eval["recall"]
        stats = {"map": _mean(precision[:, :, :, 0, -1])}
        stats |= {
            f"map_{round(100 * t)}": _mean(precision[thresholds.index(t), ..., 0, -1])
            for t in (0.5, 0.75)
            if t in thresholds
        }
        stats |= {f"mar_{limit}": _mean(recall[:, :, 0, m]) for m, limit in enumerate(limits)}
        for a, name in enumerate(evaluation.params.areaRngLbl[1:], start=1):
            stats |= {f"map_{name}": _mean(precision[:, :, :, a, -1]), f"mar_{name}": _mean(recall[:, :, a, -1])}
    missing = {f"{key}_{round(100 * t)}" for key in ("map", "mar_iou") for t in (0.5, 0.75) if t not in thresholds}
    return {key: value for key, value in stats.items() if key not in missing}


def _mean(values: np.ndarray) -> float:
    """COCOeval's own mean: over the cells that are not -1."""
    return float(values[values > -1].mean()) if (values > -1).any() else math.nan
