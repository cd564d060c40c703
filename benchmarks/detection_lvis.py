"""LVIS's thirteen box statistics from tensors: many classes, of which an image is annotated for a few."""

import json
from typing import Any

import torch

from benchmarks import peers
from benchmarks.detection_map import DetectionData, state_bytes
from benchmarks.harness import Contender, Meter, Problem, Statistics

LIMIT = 300
STATISTICS = {  # by lvis' names
    **{"AP": "map", "AP50": "map_50", "AP75": "map_75", "APs": "map_small", "APm": "map_medium", "APl": "map_large"},
    **{"APr": "map_rare", "APc": "map_common", "APf": "map_frequent", f"AR@{LIMIT}": f"mar_{LIMIT}"},
    **{f"ARs@{LIMIT}": "mar_small", f"ARm@{LIMIT}": "mar_medium", f"ARl@{LIMIT}": "mar_large"},
}
TARGETS, ABSENT, NOT_EXHAUSTIVE = 12, 6, 1  # of an image
HEIGHT, WIDTH = 480, 640


def frequencies(classes: int) -> dict[int, str]:
    """How frequent each class is: of twelve, four are rare, four common and four frequent, as in LVIS."""
    return {label: "rcf"[label % 3] for label in range(classes)}


def generate(images: int, detections: int, classes: int, batch_size: int, device: str) -> DetectionData:
    """Targets of some classes; detections near them, three quarters of their class, and strays of any class."""
    generator = torch.Generator().manual_seed(0)
    preds, target = [], []
    near = detections // 2
    for image_id in range(1, images + 1):
        labels = _labels(TARGETS, classes, generator)
        boxes = _boxes(TARGETS, generator)
        aim = torch.arange(near) % TARGETS
        size = (boxes[aim, 2:] - boxes[aim, :2]).repeat(1, 2)
        moved = boxes[aim] + torch.randn(near, 4, generator=generator) * 0.1 * size
        found = torch.cat([moved[:, :2], torch.maximum(moved[:, 2:], moved[:, :2])], dim=1)
        other = torch.rand(near, generator=generator) < 0.25
        guess = torch.where(other, _labels(near, classes, generator), labels[aim])
        scores = torch.rand(detections, generator=generator)
        scores[:near] = scores[:near].sqrt()
        preds.append(
            {
                "boxes": torch.cat([found, _boxes(detections - near, generator)]).to(device),
                "scores": scores.to(device),
                "labels": torch.cat([guess, _labels(detections - near, classes, generator)]).to(device),
            }
        )
        absent = _labels(ABSENT, classes, generator)
        target.append(
            {
                "boxes": boxes.to(device),
                "labels": labels.to(device),
                "neg_category_ids": absent[~torch.isin(absent, labels)].to(device),
                "not_exhaustive_category_ids": labels[:NOT_EXHAUSTIVE].to(device),
                "image_id": image_id,
            }
        )
    return DetectionData(preds, target, classes, batch_size)


def _labels(count: int, classes: int, generator: torch.Generator) -> torch.Tensor:
    """Some classes are far more frequent than others."""
    return (torch.rand(count, generator=generator).pow(2) * classes).long()


def _boxes(count: int, generator: torch.Generator) -> torch.Tensor:
    corner = torch.rand(count, 2, generator=generator) * torch.tensor([WIDTH, HEIGHT])
    size = torch.empty(count, 2).log_normal_(3.5, 0.8, generator=generator)
    return torch.cat([corner, corner + size], dim=1)


# --------------------------------------------------------------------------------------------------------------- ours


def detmetrics_in_batches(data: DetectionData, meter: Meter) -> Statistics:
    from detmetrics import LVISAveragePrecision

    metric = LVISAveragePrecision(frequencies=frequencies(data.num_classes)).to(data.device)
    with meter("update"):
        for preds, target in data.batches():
            metric.update(preds, target)
    with meter("compute"):
        result = metric.compute()
        values = {name: float(result[name]) for name in STATISTICS.values()}
    meter.note("state, bytes a detection", state_bytes(metric) / data.num_detections)
    return values


def detmetrics_in_one_call(data: DetectionData, meter: Meter) -> Statistics:
    from detmetrics.functional import lvis_average_precision

    with meter("call"):
        result = lvis_average_precision(data.preds, data.target, frequencies=frequencies(data.num_classes))
        return {name: float(result[name]) for name in STATISTICS.values()}


# -------------------------------------------------------------------------------------------------------------- peers


def document(data: DetectionData) -> dict[str, Any]:
    """The content of an LVIS annotation file."""
    keys = ("neg_category_ids", "not_exhaustive_category_ids")
    images = [
        {"id": i, "width": WIDTH, "height": HEIGHT, **{key: item[key].tolist() for key in keys}}
        for i, item in enumerate(data.target)
    ]
    letters = frequencies(data.num_classes)
    categories = [{**row, "frequency": letters[row["id"]]} for row in peers.category_dicts(data.num_classes)]
    return {"images": images, "categories": categories, "annotations": peers.target_dicts(data.target)}


def hotcoco(data: DetectionData, meter: Meter) -> Statistics:
    from hotcoco import COCO, COCOeval

    with meter("convert"):
        gt = COCO(document(data))
        dt = gt.load_res(peers.detection_matrix(data.preds))
    with meter("evaluate"):
        evaluation = COCOeval(gt, dt, "bbox", lvis_style=True)
        evaluation.run()
        return _named(evaluation.get_results())


def vernier(data: DetectionData, meter: Meter) -> Statistics:
    from vernier.instance import CocoDataset, evaluate_bbox_grid  # Evaluator gives COCO's statistics alone

    with meter("convert"):
        gt = CocoDataset.from_lvis_json(json.dumps(document(data)).encode())
        dt = peers.detection_matrix(data.preds)
    with meter("evaluate"):
        threads = torch.get_num_threads()
        options = {"parity_mode": "strict", "max_dets_per_image": LIMIT, "use_cats": True, "num_threads": threads}
        grid = evaluate_bbox_grid(gt, dt, **options)
        stats = grid.accumulate(max_dets=[LIMIT]).summarize_lvis(gt, [LIMIT]).stats
        return _named(dict(zip(STATISTICS, stats, strict=True)))


def _named(results: dict[str, Any]) -> Statistics:
    return {name: float(results[key]) if results[key] != -1 else float("nan") for key, name in STATISTICS.items()}


PROBLEM = Problem(
    name="detection_lvis",
    title="LVIS's thirteen box statistics, from tensors in memory",
    generate=generate,
    size={"images": 20_000, "detections": 300, "classes": 1203, "batch_size": 16},
    small={"images": 32},
    contenders=(
        Contender("detmetrics, in batches", detmetrics_in_batches, ("detmetrics",)),
        Contender("detmetrics, one call", detmetrics_in_one_call, ("detmetrics",)),
        Contender("hotcoco, one batch", hotcoco, ("hotcoco",)),
        Contender("vernier, one batch", vernier, ("vernier",)),
    ),
    bases=("detmetrics, in batches", "detmetrics, one call"),
    reference="hotcoco, one batch",
)
