"""COCO's twelve mask statistics from bool tensors, encoding included."""

import functools
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks import peers
from benchmarks.detection_map import coco_eval, named, twelve
from benchmarks.harness import Contender, Meter, Problem, Statistics
from benchmarks.peers import Items

TARGETS = 7  # an image
NEAR = 21  # detections an image that are targets out of shape; the others lie anywhere
Encode = Callable[[Any], list[dict[str, Any]]]  # (H, W, N) array to run-length encodings


@dataclass
class MaskData:
    preds: Items
    target: Items
    num_classes: int
    batch_size: int

    @property
    def device(self) -> torch.device:
        return self.preds[0]["masks"].device

    @property
    def mask_bytes(self) -> int:
        return sum(item["masks"].numel() for item in (*self.preds, *self.target))

    def batches(self) -> Iterator[tuple[Items, Items]]:
        for start in range(0, len(self.preds), self.batch_size):
            stop = start + self.batch_size
            yield self.preds[start:stop], self.target[start:stop]


def generate(
    images: int, detections: int, classes: int, height: int, width: int, batch_size: int, device: str
) -> MaskData:
    """Ellipses of COCO's sizes: 7 targets an image, detections of them that are out of shape, and strays."""
    generator = torch.Generator().manual_seed(0)
    preds, target = [], []
    for _ in range(images):
        shapes, labels = _ellipses(TARGETS, height, width, generator), _labels(TARGETS, classes, generator)
        near = torch.arange(detections) < NEAR
        aim = torch.arange(detections) % TARGETS
        noise = 0.12 * torch.randn(detections, 4, generator=generator) * shapes[aim][:, [2, 3, 2, 3]]
        found = torch.where(near[:, None], shapes[aim] + noise, _ellipses(detections, height, width, generator))
        names = torch.where(near, labels[aim], _labels(detections, classes, generator))
        scores = torch.rand(detections, generator=generator) * (0.3 + 0.7 * near)
        preds.append({**_draw(found, height, width, device), "labels": names.to(device), "scores": scores.to(device)})
        target.append({**_draw(shapes, height, width, device), "labels": labels.to(device)})
    return MaskData(preds, target, classes, batch_size)


def _ellipses(count: int, height: int, width: int, generator: torch.Generator) -> Tensor:
    """``(count, 4)``: centre and half axes (x, y) in pixels."""
    centre = torch.rand(count, 2, generator=generator) * torch.tensor([width, height])
    return torch.cat([centre, torch.empty(count, 2).log_normal_(3.3, 0.9, generator=generator)], dim=1)


def _labels(count: int, classes: int, generator: torch.Generator) -> Tensor:
    return torch.randint(classes, (count,), generator=generator)


def _draw(ellipses: Tensor, height: int, width: int, device: str) -> dict[str, Tensor]:
    """Bool masks ``(N, H, W)`` and the xyxy boxes that they were drawn in."""
    masks = torch.zeros(len(ellipses), height, width, dtype=torch.bool)
    limit = torch.tensor([width, height])
    half = ellipses[:, 2:].clamp(min=2)
    low = torch.minimum((ellipses[:, :2] - half).floor().clamp(min=0), limit - 1)
    high = torch.maximum(torch.minimum((ellipses[:, :2] + half).ceil(), limit), low + 1)
    boxes = torch.cat([low, high], dim=1)
    for mask, (left, top, right, bottom), (x, y), (a, b) in zip(
        masks, boxes.int().tolist(), ellipses[:, :2].tolist(), half.tolist(), strict=True
    ):
        across, down = torch.arange(left, right) - x, torch.arange(top, bottom)[:, None] - y
        mask[top:bottom, left:right] = (across / a) ** 2 + (down / b) ** 2 <= 1
    return {"masks": masks.to(device), "boxes": boxes.to(device)}


# --------------------------------------------------------------------------------------------------------------- ours


def detmetrics(data: MaskData, meter: Meter, **options: Any) -> Statistics:
    from detmetrics import MeanAveragePrecision

    metric = MeanAveragePrecision(iou_type="segm", **options).to(data.device)
    with meter("update"):
        for preds, target in data.batches():
            metric.update(preds, target)
    with meter("compute"):
        result = twelve(metric.compute())
    meter.note("GB of masks a second", data.mask_bytes / meter.phases["update"] / 1e9)
    return result


# -------------------------------------------------------------------------------------------------------------- peers


def hotcoco(data: MaskData, meter: Meter) -> Statistics:
    from hotcoco import COCO, COCOeval, mask

    with meter("encode"):
        target, preds = _encoded(data.target, mask.encode), _encoded(data.preds, mask.encode)
        document = _dataset(data, target, mask.area)
    with meter("convert"):
        gt = COCO(document)
        dt = gt.load_res(_results(data, preds))
    return coco_eval(COCOeval, gt, dt, meter, "segm")


def ultrafast_pycocotools(data: MaskData, meter: Meter) -> Statistics:
    from ultrafast_pycocotools import COCO, COCOeval, mask

    with meter("encode"):
        target, preds = (_encoded(items, _by_columns(mask.encode)) for items in (data.target, data.preds))
        document = _dataset(data, target, mask.area)
    with meter("convert"):
        gt = COCO(document, verbose=False)
        dt = gt.loadRes(_results(data, preds))
    return coco_eval(COCOeval, gt, dt, meter, "segm")


def vernier(data: MaskData, meter: Meter) -> Statistics:
    from vernier.adapters import coco_metrics

    with meter("call"):
        result = coco_metrics(
            data.preds,
            data.target,
            iou_type="segm",
            box_format="xyxy",
            parity_mode="strict",
            num_threads=torch.get_num_threads(),
        )
        return twelve(result)


def torchmetrics(data: MaskData, meter: Meter, backend: str) -> Statistics:
    from torchmetrics.detection import MeanAveragePrecision

    metric = MeanAveragePrecision(iou_type="segm", backend=backend).to(data.device)
    with meter("update"):
        for preds, target in data.batches():
            metric.update(preds, target)
    with meter("compute"):
        return twelve(metric.compute())


def faster_coco_eval(data: MaskData, meter: Meter) -> Statistics:
    from faster_coco_eval import COCO, COCOeval_faster, mask

    return _with_load_res(data, meter, COCO, COCOeval_faster, mask)


def pycocotools(data: MaskData, meter: Meter) -> Statistics:
    from pycocotools import mask
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    return _with_load_res(data, meter, COCO, COCOeval, mask)


def _with_load_res(data: MaskData, meter: Meter, coco_class: Any, evaluator: type, mask: Any) -> Statistics:
    with meter("encode"):
        target, preds = (_encoded(items, _by_columns(mask.encode)) for items in (data.target, data.preds))
        document = _dataset(data, target, mask.area)
    with meter("convert"):
        gt = coco_class()
        gt.dataset = document
        gt.createIndex()
        dt = gt.loadRes(_results(data, preds))
    return coco_eval(evaluator, gt, dt, meter, "segm")


def supervision(data: MaskData, meter: Meter) -> Statistics:
    from supervision import Detections
    from supervision.metrics import MeanAveragePrecision, MetricTarget

    def detections(item: dict[str, Tensor]) -> Any:
        arrays = {key: value.cpu().numpy() for key, value in item.items()}
        scores = arrays.get("scores")
        return Detections(arrays["boxes"], mask=arrays["masks"], class_id=arrays["labels"], confidence=scores)

    metric = MeanAveragePrecision(metric_target=MetricTarget.MASKS)
    with meter("update"):
        for preds, target in data.batches():
            metric.update([detections(item) for item in preds], [detections(item) for item in target])
    with meter("compute"):
        result = metric.compute()
    sizes = (result.small_objects, result.medium_objects, result.large_objects)
    return named([result.map50_95, result.map50, result.map75, *(part.map50_95 for part in sizes)])


# ---------------------------------------------------------------------------------------------------------- in common


def _encoded(items: Items, encode: Encode) -> list[dict[str, Any]]:
    """Run-length encodings of all masks, from arrays (H, W, N) of bytes that share the memory of the tensors."""
    arrays = (item["masks"].cpu().view(torch.uint8).permute(1, 2, 0).numpy() for item in items)
    return list(itertools.chain.from_iterable(encode(array) for array in arrays))


def _by_columns(encode: Encode) -> Encode:
    """For encoders that want Fortran order, or are faster with it."""
    return lambda array: encode(np.asfortranarray(array))


def _dataset(data: MaskData, encoded: list[dict[str, Any]], area: Callable[[Any], Any]) -> dict[str, Any]:
    """The content of a COCO annotation file."""
    height, width = data.target[0]["masks"].shape[1:]
    annotations = peers.target_dicts([{**t, "iscrowd": torch.zeros_like(t["labels"])} for t in data.target])
    for annotation, mask in zip(annotations, encoded, strict=True):
        annotation |= {"segmentation": mask, "area": float(area(mask))}
    images = [{**image, "height": height, "width": width} for image in peers.image_dicts(len(data.target))]
    return {"images": images, "categories": peers.category_dicts(data.num_classes), "annotations": annotations}


def _results(data: MaskData, encoded: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The content of a COCO file of results."""
    rows = (
        (image, label, score)
        for image, item in enumerate(data.preds)
        for label, score in zip(item["labels"].tolist(), item["scores"].tolist(), strict=True)
    )
    return [
        {"image_id": image, "category_id": label, "score": score, "segmentation": mask}
        for (image, label, score), mask in zip(rows, encoded, strict=True)
    ]


PROBLEM = Problem(
    name="instance_masks",
    title="COCO's twelve mask statistics, from bool tensors in memory, encoding included",
    generate=generate,
    size={"images": 200, "detections": 50, "classes": 20, "height": 480, "width": 640, "batch_size": 8},
    small={"images": 6},
    contenders=(
        Contender("detmetrics", detmetrics, ("detmetrics",)),
        Contender("detmetrics, 16 MB", functools.partial(detmetrics, mask_budget=16 << 20), ("detmetrics",)),
        Contender("ultrafast-pycocotools", ultrafast_pycocotools, ("ultrafast_pycocotools",)),
        Contender("hotcoco", hotcoco, ("hotcoco",)),
        Contender("vernier, from lists of dicts", vernier, ("vernier",)),
        Contender(
            "torchmetrics with pycocotools",
            functools.partial(torchmetrics, backend="pycocotools"),
            ("torchmetrics", "pycocotools"),
        ),
        Contender(
            "torchmetrics with faster-coco-eval",
            functools.partial(torchmetrics, backend="faster_coco_eval"),
            ("torchmetrics", "faster_coco_eval"),
        ),
        Contender("faster-coco-eval", faster_coco_eval, ("faster_coco_eval",)),
        Contender("pycocotools", pycocotools, ("pycocotools",)),
        Contender("supervision", supervision, ("supervision",)),
    ),
    bases=("detmetrics",),
    reference="pycocotools",
)
