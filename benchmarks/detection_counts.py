"""Precision, recall and F1 at one operating point: IoU .5, score .5, all classes pooled."""

from typing import Any

import numpy as np

from benchmarks import peers
from benchmarks.detection_map import SIZE, SMALL, DetectionData, generate
from benchmarks.harness import Contender, Meter, Problem, Statistics

IOU_THRESHOLD = 0.5
SCORE_THRESHOLD = 0.5


def detmetrics_in_batches(data: DetectionData, meter: Meter) -> Statistics:
    from detmetrics import DetectionF1Score

    metric = DetectionF1Score(iou_threshold=IOU_THRESHOLD, score_threshold=SCORE_THRESHOLD).to(data.device)
    with meter("update"):
        for preds, target in data.batches():
            metric.update(preds, target)
    with meter("compute"):
        return {"f1": float(metric.compute())}


def detmetrics_in_one_call(data: DetectionData, meter: Meter) -> Statistics:
    from detmetrics.functional import detection_f1_score

    with meter("call"):
        f1 = detection_f1_score(data.preds, data.target, iou_threshold=IOU_THRESHOLD, score_threshold=SCORE_THRESHOLD)
        return {"f1": float(f1)}


def ultrafast_in_batches(data: DetectionData, meter: Meter) -> Statistics:
    metric = _ultrafast_metric()
    with meter("update"):
        for preds, target in data.batches():
            metric.update(preds, target)
    with meter("compute"):
        return _precision_recall_f1(metric.compute()["micro"])


def ultrafast_in_one_batch(data: DetectionData, meter: Meter) -> Statistics:
    metric = _ultrafast_metric()
    with meter("update"):
        metric.update(data.preds, data.target)
    with meter("compute"):
        return _precision_recall_f1(metric.compute()["micro"])


def supervision(data: DetectionData, meter: Meter) -> Statistics:
    """It has no score cut of its own, and always goes through ten IoU thresholds and four area ranges."""
    from supervision.metrics import F1Score
    from supervision.metrics.core import AveragingMethod

    metric = F1Score(averaging_method=AveragingMethod.MICRO)
    with meter("update"):
        for preds, target in data.batches():
            kept = peers.above(preds, SCORE_THRESHOLD)
            metric.update(peers.supervision_detections(kept), peers.supervision_detections(target))
    with meter("compute"):
        return {"f1": metric.compute().f1_50}


def pycocotools(data: DetectionData, meter: Meter) -> Statistics:
    """Counted from the matches that ``evaluate()`` leaves: an operating point is no part of its interface."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with meter("convert"):
        kept = peers.above(data.preds, SCORE_THRESHOLD)
        gt, dt = peers.indexed_datasets(COCO, data.target, kept, data.num_classes)
    with meter("evaluate"):
        coco_eval = COCOeval(gt, dt, "bbox")
        coco_eval.params.iouThrs = np.array([IOU_THRESHOLD])
        coco_eval.params.areaRng, coco_eval.params.areaRngLbl = [[0, 1e10]], ["all"]
        coco_eval.params.maxDets = [data.num_detections]
        coco_eval.evaluate()
        images = [image for image in coco_eval.evalImgs if image is not None]
        kept = [~image["dtIgnore"] for image in images]
        num_preds = sum(int(keep.sum()) for keep in kept)
        num_targets = sum(int((image["gtIgnore"] == 0).sum()) for image in images)
        tp = sum(int((image["dtMatches"][keep] > 0).sum()) for image, keep in zip(images, kept, strict=True))
        return {"precision": tp / num_preds, "recall": tp / num_targets, "f1": 2 * tp / (num_preds + num_targets)}


def _ultrafast_metric() -> Any:
    from ultrafast_pycocotools.metrics import DetectionMetrics

    return DetectionMetrics(iou_thrs=IOU_THRESHOLD, score_thr=SCORE_THRESHOLD, batch_results=False)


def _precision_recall_f1(scores: dict[str, Any]) -> Statistics:
    return {name: float(scores[name]) for name in ("precision", "recall", "f1")}


PROBLEM = Problem(
    name="detection_counts",
    title="Precision, recall and F1 at IoU .5 and score .5, from tensors in memory",
    generate=generate,
    size=SIZE,
    small=SMALL,
    contenders=(
        Contender("detmetrics, in batches", detmetrics_in_batches, ("detmetrics:DetectionF1Score",)),
        Contender("detmetrics, one call", detmetrics_in_one_call, ("detmetrics:DetectionF1Score",)),
        Contender("ultrafast-pycocotools, in batches", ultrafast_in_batches, ("ultrafast_pycocotools",)),
        Contender("ultrafast-pycocotools, one batch", ultrafast_in_one_batch, ("ultrafast_pycocotools",)),
        Contender("supervision, in batches", supervision, ("supervision",)),
        Contender("pycocotools, one batch", pycocotools, ("pycocotools",)),
    ),
    bases=("detmetrics, in batches", "detmetrics, one call"),
    reference="pycocotools, one batch",
)
