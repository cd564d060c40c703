"""COCO's ten keypoint statistics from tensors: persons of 17 points."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from benchmarks import peers
from benchmarks.harness import Contender, Meter, Problem, Statistics
from benchmarks.peers import Items

STATISTICS = ("map", "map_50", "map_75", "map_medium", "map_large")
STATISTICS += ("mar_20", "mar_iou_50", "mar_iou_75", "mar_medium", "mar_large")
POINTS = 17
NEAR = 0.75  # of the detections are targets, out of shape; the others lie anywhere
HEIGHT, WIDTH = 480, 640
CATEGORIES = [{"id": 0, "name": "person"}]


@dataclass
class KeypointData:
    preds: Items
    target: Items
    batch_size: int

    @property
    def device(self) -> torch.device:
        return self.preds[0]["keypoints"].device

    def batches(self) -> Iterator[tuple[Items, Items]]:
        for start in range(0, len(self.preds), self.batch_size):
            stop = start + self.batch_size
            yield self.preds[start:stop], self.target[start:stop]


def generate(images: int, targets: int, detections: int, batch_size: int, device: str) -> KeypointData:
    """Persons of COCO's sizes, a fifth of their points not labelled; detections of them, and strays."""
    generator = torch.Generator().manual_seed(0)
    preds, target = [], []
    for _ in range(images):
        persons, size = _persons(targets, generator)
        labelled = torch.rand(targets, POINTS, generator=generator) < 0.8
        near = torch.rand(detections, generator=generator) < NEAR
        aim = torch.arange(detections) % targets
        spread = torch.empty(detections).log_normal_(-3, 0.7, generator=generator) * size[aim]
        noise = torch.randn(detections, POINTS, 2, generator=generator) * spread[:, None, None]
        found = torch.where(near[:, None, None], persons[aim] + noise, _persons(detections, generator)[0])
        scores = torch.rand(detections, generator=generator) * (0.3 + 0.7 * near)
        visible = torch.where(labelled, 2.0, 0.0)[..., None]
        corner, end = persons.amin(dim=1), persons.amax(dim=1)
        item = {
            "keypoints": torch.cat([persons * (visible > 0), visible], dim=2),
            "boxes": torch.cat([corner, end], dim=1),
            "area": (end - corner).prod(dim=1) * 0.6,
            "labels": torch.zeros(targets, dtype=torch.int64),
        }
        pred = {"keypoints": found, "scores": scores, "labels": torch.zeros(detections, dtype=torch.int64)}
        preds.append({key: value.to(device) for key, value in pred.items()})
        target.append({key: value.to(device) for key, value in item.items()})
    return KeypointData(preds, target, batch_size)


def _persons(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Points ``(count, 17, 2)`` in pixels, and the heights of the persons."""
    size = torch.empty(count).log_normal_(4.5, 0.7, generator=generator)
    centre = torch.rand(count, 2, generator=generator) * torch.tensor([WIDTH, HEIGHT])
    shape = torch.rand(count, POINTS, 2, generator=generator) - 0.5
    return centre[:, None] + shape * torch.tensor([0.45, 1.0]) * size[:, None, None], size


# --------------------------------------------------------------------------------------------------------------- ours


def detmetrics(data: KeypointData, meter: Meter, one_batch: bool = False) -> Statistics:
    from detmetrics import MeanAveragePrecision

    metric = MeanAveragePrecision(iou_type="keypoints").to(data.device)
    with meter("update"):
        for preds, target in [(data.preds, data.target)] if one_batch else data.batches():
            metric.update(preds, target)
    with meter("compute"):
        result = metric.compute()
        return _named([float(result[name]) for name in STATISTICS])


# -------------------------------------------------------------------------------------------------------------- peers


def hotcoco(data: KeypointData, meter: Meter) -> Statistics:
    from hotcoco import COCO, COCOeval

    with meter("convert"):
        gt = COCO(_dataset(data))
        dt = gt.load_res(_results(data))
    return _evaluated(COCOeval, gt, dt, meter)


def ultrafast_pycocotools(data: KeypointData, meter: Meter) -> Statistics:
    from ultrafast_pycocotools import COCO, COCOeval

    with meter("convert"):
        gt = COCO(_dataset(data), verbose=False)
        dt = gt.loadRes(_results(data))
    return _evaluated(COCOeval, gt, dt, meter)


def pycocotools(data: KeypointData, meter: Meter) -> Statistics:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    return _with_load_res(data, meter, COCO, COCOeval)


def faster_coco_eval(data: KeypointData, meter: Meter) -> Statistics:
    from faster_coco_eval import COCO, COCOeval_faster

    return _with_load_res(data, meter, COCO, COCOeval_faster)


def _with_load_res(data: KeypointData, meter: Meter, coco_class: Any, evaluator: type) -> Statistics:
    with meter("convert"):
        gt = coco_class()
        gt.dataset = _dataset(data)
        gt.createIndex()
        dt = gt.loadRes(_results(data))
    return _evaluated(evaluator, gt, dt, meter)


def _evaluated(evaluator: type, gt: Any, dt: Any, meter: Meter) -> Statistics:
    with meter("evaluate"):
        evaluation = evaluator(gt, dt, "keypoints")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        return _named(evaluation.stats)


def _named(values: Any) -> Statistics:
    """The statistics in pycocotools' order; -1 is its word for undefined."""
    pairs = zip(STATISTICS, values, strict=False)
    return {name: float(value) if value != -1 else float("nan") for name, value in pairs}


def _dataset(data: KeypointData) -> dict[str, Any]:
    """The content of a COCO annotation file."""
    annotations = peers.target_dicts(data.target)
    points = _flat([item["keypoints"].double() for item in data.target])
    areas = torch.cat([item["area"] for item in data.target]).double().tolist()
    for annotation, own, area in zip(annotations, points, areas, strict=True):
        annotation |= {"keypoints": own, "num_keypoints": sum(v > 0 for v in own[2::3]), "area": area}
    return {"images": peers.image_dicts(len(data.target)), "categories": CATEGORIES, "annotations": annotations}


def _results(data: KeypointData) -> list[dict[str, Any]]:
    """The content of a COCO file of results."""
    points = _flat([torch.nn.functional.pad(item["keypoints"].double(), (0, 1)) for item in data.preds])
    rows = ((image, score) for image, item in enumerate(data.preds) for score in item["scores"].double().cpu().tolist())
    return [
        {"image_id": image, "category_id": 0, "score": score, "keypoints": own}
        for (image, score), own in zip(rows, points, strict=True)
    ]


def _flat(points: list[Tensor]) -> list[list[float]]:
    flat: list[list[float]] = torch.cat(points).flatten(1).cpu().tolist()
    return flat


PROBLEM = Problem(
    name="keypoints",
    title="COCO's ten keypoint statistics, from tensors in memory",
    generate=generate,
    size={"images": 5000, "targets": 20, "detections": 20, "batch_size": 16},
    small={"images": 30},
    contenders=(
        Contender("detmetrics, in batches", detmetrics, ("detmetrics",)),
        Contender("detmetrics, one batch", functools.partial(detmetrics, one_batch=True), ("detmetrics",)),
        Contender("ultrafast-pycocotools", ultrafast_pycocotools, ("ultrafast_pycocotools",)),
        Contender("hotcoco", hotcoco, ("hotcoco",)),
        Contender("faster-coco-eval", faster_coco_eval, ("faster_coco_eval",)),
        Contender("pycocotools", pycocotools, ("pycocotools",)),
    ),
    bases=("detmetrics, in batches", "detmetrics, one batch"),
    reference="pycocotools",
)
