"""COCO's twelve box statistics from tensors in memory, and how our time grows with the problem."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from benchmarks import peers
from benchmarks.harness import Contender, Meter, Problem, Statistics
from benchmarks.peers import Items

STATISTICS = (
    *("map", "map_50", "map_75", "map_small", "map_medium", "map_large"),
    *("mar_1", "mar_10", "mar_100", "mar_small", "mar_medium", "mar_large"),
)
SIZE = {"images": 5000, "detections": 100, "classes": 80, "batch_size": 16}
SMALL = {"images": 32}


@dataclass
class DetectionData:
    preds: Items
    target: Items
    num_classes: int
    batch_size: int

    @property
    def device(self) -> torch.device:
        return self.preds[0]["boxes"].device

    @property
    def num_detections(self) -> int:
        return sum(len(p["scores"]) for p in self.preds)

    def batches(self) -> Iterator[tuple[Items, Items]]:
        for start in range(0, len(self.preds), self.batch_size):
            stop = start + self.batch_size
            yield self.preds[start:stop], self.target[start:stop]


def generate(images: int, detections: int, classes: int, batch_size: int, device: str) -> DetectionData:
    """The data of ``detmetrics.demo``; every tensor has storage of its own, as a detector leaves it."""
    from detmetrics.demo import generate

    preds, target = generate(num_images=images, num_detections=detections, num_classes=classes, seed=0)
    return DetectionData(_own(preds, device), _own(target, device), classes, batch_size)


def _own(items: Items, device: str) -> Items:
    """Every tensor moved to storage of its own; an image id stays a number."""
    return [{k: v.clone().to(device) if isinstance(v, torch.Tensor) else v for k, v in item.items()} for item in items]


# --------------------------------------------------------------------------------------------------------------- ours


def detmetrics_in_batches(data: DetectionData, meter: Meter, **options: Any) -> Statistics:
    from detmetrics import MeanAveragePrecision

    metric = MeanAveragePrecision(**options).to(data.device)
    with meter("update"):
        for preds, target in data.batches():
            metric.update(preds, target)
    with meter("compute"):
        result = twelve(metric.compute())
    meter.note("state, bytes a detection", state_bytes(metric) / data.num_detections)
    return result


def detmetrics_in_one_call(data: DetectionData, meter: Meter) -> Statistics:
    from detmetrics.functional import mean_average_precision

    with meter("call"):
        return twelve(mean_average_precision(data.preds, data.target))


def detmetrics_growth(data: DetectionData, meter: Meter) -> Statistics:
    result = detmetrics_in_batches(data, meter)
    meter.note("µs a detection", 1e6 * meter.seconds / data.num_detections)
    return result


# -------------------------------------------------------------------------------------------------------------- peers


def ultrafast_pycocotools(data: DetectionData, meter: Meter) -> Statistics:
    from ultrafast_pycocotools import COCO, COCOeval

    with meter("convert"):
        gt = COCO(peers.dataset(data.target, data.num_classes), verbose=False)
        dt = gt.loadRes(peers.detection_matrix(data.preds))
    return coco_eval(COCOeval, gt, dt, meter)


def hotcoco_targets(data: DetectionData) -> Any:
    from hotcoco import COCO

    target = peers.target_columns(data.target)
    return COCO.from_arrays(
        peers.image_dicts(len(data.target)),
        peers.category_dicts(data.num_classes),
        target.image,
        target.labels,
        target.boxes,
        area=target.area,
        iscrowd=target.iscrowd,
    )


def hotcoco(data: DetectionData, meter: Meter) -> Statistics:
    from hotcoco import COCOeval

    with meter("convert"):
        gt = hotcoco_targets(data)
        dt = gt.load_res(peers.detection_matrix(data.preds))
    return coco_eval(COCOeval, gt, dt, meter)


def hotcoco_streaming(data: DetectionData, meter: Meter) -> Statistics:
    from hotcoco import StreamingEval

    with meter("update"):
        evaluator = StreamingEval(peers.category_dicts(data.num_classes), "bbox")
        first = 0
        for preds, target in data.batches():
            evaluator.update(
                peers.image_dicts(len(preds), first),
                peers.target_dicts(target, first),
                peers.detection_matrix(preds, first),
            )
            first += len(preds)
    with meter("compute"):
        evaluation = evaluator.finalize()
        evaluation.accumulate()
        evaluation.summarize()
        return named(evaluation.stats)


def vernier(data: DetectionData, meter: Meter) -> Statistics:
    from vernier.instance import Bbox, CocoDataset, Evaluator

    with meter("convert"):
        target = peers.target_columns(data.target)
        unknown = np.zeros(len(data.target), dtype=np.int64)  # the size of an image plays no part for boxes
        gt = CocoDataset.from_arrays(
            {"id": np.arange(len(data.target)), "width": unknown, "height": unknown},
            {
                "id": np.arange(1, len(target.labels) + 1),
                "image_id": target.image,
                "category_id": target.labels,
                "bbox": target.boxes,
                "area": target.area,
                "iscrowd": target.iscrowd,
            },
            peers.category_dicts(data.num_classes),
        )
        dt = peers.detection_matrix(data.preds)
    with meter("evaluate"):
        evaluator = Evaluator(iou=Bbox(), parity_mode="strict")
        return named(evaluator.evaluate(gt, dt, num_threads=torch.get_num_threads()).stats)


def vernier_from_dicts(data: DetectionData, meter: Meter) -> Statistics:
    from vernier.adapters import coco_metrics

    with meter("call"):
        result = coco_metrics(
            data.preds,
            data.target,
            box_format="xyxy",
            parity_mode="strict",
            num_threads=torch.get_num_threads(),
        )
        return twelve(result)


def torchmetrics(data: DetectionData, meter: Meter, backend: str, **options: Any) -> Statistics:
    from torchmetrics.detection import MeanAveragePrecision

    metric = MeanAveragePrecision(backend=backend, **options).to(data.device)
    with meter("update"):
        for preds, target in data.batches():
            metric.update(preds, target)
    with meter("compute"):
        return twelve(metric.compute())


def faster_coco_eval(data: DetectionData, meter: Meter) -> Statistics:
    from faster_coco_eval import COCO, COCOeval_faster

    with meter("convert"):
        gt, dt = peers.indexed_datasets(COCO, data.target, data.preds, data.num_classes)
    return coco_eval(COCOeval_faster, gt, dt, meter)


def pycocotools(data: DetectionData, meter: Meter) -> Statistics:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with meter("convert"):
        gt, dt = peers.indexed_datasets(COCO, data.target, data.preds, data.num_classes)
    return coco_eval(COCOeval, gt, dt, meter)


def supervision(data: DetectionData, meter: Meter) -> Statistics:
    from supervision.metrics import MeanAveragePrecision

    metric = MeanAveragePrecision()
    with meter("update"):
        for preds, target in data.batches():
            metric.update(peers.supervision_detections(preds), peers.supervision_detections(target))
    with meter("compute"):
        result = metric.compute()
    sizes = (result.small_objects, result.medium_objects, result.large_objects)
    return named([result.map50_95, result.map50, result.map75, *(part.map50_95 for part in sizes)])


# -------------------------------------------------------------------------------------------------------- in common


def coco_eval(evaluator: type, gt: Any, dt: Any, meter: Meter, iou_type: str = "bbox") -> Statistics:
    """pycocotools' three steps, which its successors share."""
    with meter("evaluate"):
        evaluation = evaluator(gt, dt, iou_type)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        return named(evaluation.stats)


def named(values: Any) -> Statistics:
    """The statistics in pycocotools' order; -1 is its word for undefined."""
    return {
        name: float(value) if value != -1 else float("nan") for name, value in zip(STATISTICS, values, strict=False)
    }


def twelve(result: dict[str, Any]) -> Statistics:
    return named([float(result[name]) for name in STATISTICS])


def state_bytes(metric: Any) -> int:
    states = metric.metric_state.values()
    chunks = [chunk for state in states for chunk in (state if isinstance(state, list) else [state])]
    return sum(chunk.numel() * chunk.element_size() for chunk in chunks)


def _growth(name: str, **size: int) -> Contender:
    return Contender(name, detmetrics_growth, ("detmetrics",), size)


PROBLEM = Problem(
    name="detection_map",
    title="COCO's twelve box statistics, from tensors in memory",
    generate=generate,
    size=SIZE,
    small=SMALL,
    contenders=(
        Contender("detmetrics, in batches", detmetrics_in_batches, ("detmetrics",)),
        Contender("detmetrics, one call", detmetrics_in_one_call, ("detmetrics",)),
        Contender(
            "detmetrics, in batches, class_metrics",
            functools.partial(detmetrics_in_batches, class_metrics=True),
            ("detmetrics",),
        ),
        Contender("ultrafast-pycocotools, one batch", ultrafast_pycocotools, ("ultrafast_pycocotools",)),
        Contender("hotcoco, one batch", hotcoco, ("hotcoco",)),
        Contender("hotcoco StreamingEval, in batches", hotcoco_streaming, ("hotcoco",)),
        Contender("vernier, one batch", vernier, ("vernier",)),
        Contender("vernier, from lists of dicts", vernier_from_dicts, ("vernier",)),
        Contender(
            "torchmetrics with faster-coco-eval, in batches",
            functools.partial(torchmetrics, backend="faster_coco_eval"),
            ("torchmetrics", "faster_coco_eval"),
        ),
        Contender(
            "torchmetrics with pycocotools, in batches",
            functools.partial(torchmetrics, backend="pycocotools"),
            ("torchmetrics", "pycocotools"),
        ),
        Contender(
            "torchmetrics with faster-coco-eval, class_metrics",
            functools.partial(torchmetrics, backend="faster_coco_eval", class_metrics=True),
            ("torchmetrics", "faster_coco_eval"),
        ),
        Contender("faster-coco-eval, one batch", faster_coco_eval, ("faster_coco_eval",)),
        Contender("pycocotools, one batch", pycocotools, ("pycocotools",)),
        Contender("supervision, in batches", supervision, ("supervision",)),
    ),
    bases=("detmetrics, in batches", "detmetrics, one call"),
    reference="pycocotools, one batch",
)

GROWTH = Problem(
    name="detection_map_growth",
    title="How the time and the state of mean average precision grow",
    generate=generate,
    size=SIZE,
    small=SMALL,
    contenders=(
        *(_growth(f"{images:,} images", images=images) for images in (625, 1250, 2500, 5000, 10_000)),
        *(_growth(f"{n:,} detections an image", detections=n) for n in (10, 30, 100, 300, 1000)),
        _growth("1 class", classes=1),
        *(_growth(f"{classes:,} classes", classes=classes) for classes in (10, 80, 400, 1203)),
    ),
    bases=("5,000 images",),
    reference="",
)
