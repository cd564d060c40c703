"""Where evaluators break down: every detection overlaps every target, and thousands of classes have one box."""

import torch

from benchmarks import detection_map as boxes
from benchmarks.detection_map import DetectionData
from benchmarks.harness import Contender, Meter, Problem, Statistics


def dense(detections: int, targets: int, batch_size: int, device: str) -> DetectionData:
    """One image of one class, in which every pair of detection and target overlaps by a third or more."""
    generator = torch.Generator().manual_seed(0)

    def around(count: int) -> torch.Tensor:
        corner = (torch.rand(count, 2, generator=generator) * 20 * 8).round() / 8
        return torch.cat([corner, corner + 100], dim=1).to(device)

    scores = torch.rand(detections, generator=generator).to(device)
    labels = [torch.zeros(count, dtype=torch.int64, device=device) for count in (detections, targets)]
    preds = [{"boxes": around(detections), "scores": scores, "labels": labels[0]}]
    return DetectionData(preds, [{"boxes": around(targets), "labels": labels[1], "image_id": 1}], 1, batch_size)


def many_classes(classes: int, batch_size: int, device: str) -> DetectionData:
    """A hundred boxes per image, each of another class and found as it is."""
    preds, target = [], []
    for image_id, labels in enumerate(torch.arange(classes, device=device).split(100), start=1):
        corner = torch.arange(len(labels), device=device)[:, None] * torch.tensor([20.0, 0.0], device=device)
        found = torch.cat([corner, corner + 10], dim=1)
        preds.append({"boxes": found, "scores": torch.linspace(1, 0.5, len(labels), device=device), "labels": labels})
        target.append({"boxes": found.clone(), "labels": labels.clone(), "image_id": image_id})
    return DetectionData(preds, target, classes, batch_size)


def operating_point(data: DetectionData, meter: Meter) -> Statistics:
    from detmetrics import DetectionF1Score

    metric = DetectionF1Score(score_threshold=0.0).to(data.device)
    with meter("update"):
        for preds, target in data.batches():
            metric.update(preds, target)
    with meter("compute"):
        metric.compute()
    return {}


CONTENDERS = (
    Contender("detmetrics, in batches", boxes.detmetrics_in_batches, ("detmetrics",)),
    Contender("ultrafast-pycocotools, one batch", boxes.ultrafast_pycocotools, ("ultrafast_pycocotools",)),
    Contender("hotcoco, one batch", boxes.hotcoco, ("hotcoco",)),
    Contender("vernier, one batch", boxes.vernier, ("vernier",)),
    Contender("faster-coco-eval, one batch", boxes.faster_coco_eval, ("faster_coco_eval",)),
    Contender("pycocotools, one batch", boxes.pycocotools, ("pycocotools",)),
)

DENSE = Problem(
    name="detection_dense",
    title="Average precision of one image in which everything overlaps",
    generate=dense,
    size={"detections": 5000, "targets": 1000, "batch_size": 1},
    small={"detections": 300, "targets": 60},
    contenders=(
        *CONTENDERS,
        Contender("detmetrics, F1 without a limit", operating_point, ("detmetrics:DetectionF1Score",)),
    ),
    bases=("detmetrics, in batches",),
    reference="pycocotools, one batch",
)
CLASSES = Problem(
    name="detection_classes",
    title="Average precision of many classes with one box each",
    generate=many_classes,
    size={"classes": 13204, "batch_size": 16},
    small={"classes": 300},
    contenders=CONTENDERS,
    bases=("detmetrics, in batches",),
    reference="pycocotools, one batch",
)
