"""Detection at an operating point, one box after the other: slow, obvious, and without a tensor in sight.

An image is a pair of lists. A detection is (box, score, label), a target (box, label, crowd, counted), boxes are xyxy.
Nothing of detmetrics is imported.
"""

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

Box = tuple[float, float, float, float]


@dataclass
class Detection:
    box: Box
    score: float
    label: int
    position: int  # in the image
    state: str = "wrong"  # or "right", "ignored"
    found: "Target | None" = None


@dataclass
class Target:
    box: Box
    label: int
    crowd: bool
    counted: bool
    taken: bool = False
    found_by: list[Detection] = field(default_factory=list)


@dataclass
class Image:
    detections: list[Detection]
    targets: list[Target]


def area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def overlap(detection: Box, target: Box, crowd: bool) -> float:
    # widths from corners and back, as pycocotools does from xywh
    (x1, y1, w1, h1), (x2, y2, w2, h2) = ((b[0], b[1], b[2] - b[0], b[3] - b[1]) for b in (detection, target))
    w = min(x1 + w1, x2 + w2) - max(x1, x2)
    h = min(y1 + h1, y2 + h2) - max(y1, y2)
    if w <= 0 or h <= 0:
        return 0.0
    return w * h / (w1 * h1 if crowd else w1 * h1 + w2 * h2 - w * h)


def read(preds: list[dict[str, Any]], target: list[dict[str, Any]], area_range: tuple[float, float]) -> list[Image]:
    """The images, in ascending order of image_id if they have one; boxes must be xyxy."""
    images = []
    for p, t in zip(preds, target, strict=False):
        rows = zip(_boxes(p), p["scores"].double().tolist(), p["labels"].tolist(), strict=False)
        detections = [Detection(box, score, label, i) for i, (box, score, label) in enumerate(rows)]
        boxes = _boxes(t)
        crowds = t["iscrowd"].tolist() if "iscrowd" in t else [0] * len(boxes)
        ignores = t["ignore"].tolist() if "ignore" in t else [False] * len(boxes)
        areas = t["area"].tolist() if "area" in t else [area(box) for box in boxes]
        targets = [
            Target(box, label, bool(crowd), not crowd and not ignore and area_range[0] <= size <= area_range[1])
            for box, label, crowd, ignore, size in zip(
                boxes, t["labels"].tolist(), crowds, ignores, areas, strict=False
            )
        ]
        images.append((int(t.get("image_id", len(images))), Image(detections, targets)))
    return [image for _, image in sorted(images, key=lambda pair: pair[0])]


def _boxes(item: dict[str, Any]) -> list[Box]:
    return [tuple(row) for row in item["boxes"].double().reshape(-1, 4).tolist()]


def cut(image: Image, score_threshold: float, limit: int | None, across: bool = False) -> None:
    """Keep what scores enough, best first, at most ``limit`` of a class; set in order of choice."""
    kept = [d for d in image.detections if d.score >= score_threshold]
    kept.sort(key=lambda d: (-d.score, d.label, d.position))
    seen: Counter[int] = Counter()
    image.detections = []
    for d in kept:
        seen[0 if across else d.label] += 1
        if limit is None or seen[0 if across else d.label] <= limit:
            image.detections.append(d)


def match(image: Image, threshold: float, area_range: tuple[float, float], across: bool = False) -> None:
    """COCO's rule; ``across`` matches whatever the labels."""
    for d in image.detections:
        best, best_overlap = None, 0.0
        for wanted in (True, False):  # counted targets first
            targets = sorted(image.targets, key=lambda t: t.label) if across else image.targets
            for t in targets:
                if t.counted != wanted or (t.taken and not t.crowd) or (not across and t.label != d.label):
                    continue
                value = overlap(d.box, t.box, t.crowd)
                if value >= min(threshold, 1 - 1e-10) and value > 0 and value >= best_overlap:
                    best, best_overlap = t, value
            if best:
                break
        if best:
            best.taken = True
            best.found_by.append(d)
            d.state, d.found = ("right" if best.counted else "ignored"), best
        elif not area_range[0] <= area(d.box) <= area_range[1]:
            d.state = "ignored"


def match_voc(image: Image, threshold: float) -> None:
    """The development kit's: largest overlap of all, the first of equals; more than the threshold."""
    for d in image.detections:
        best, best_overlap = None, -math.inf
        for t in image.targets:
            value = overlap(d.box, t.box, t.crowd)
            if t.label == d.label and value > best_overlap:
                best, best_overlap = t, value
        if best and best_overlap > threshold:
            if not best.counted:
                d.state = "ignored"
            elif not best.taken:
                best.taken, d.state = True, "right"


def confuse(image: Image, threshold: float) -> list[tuple[int | None, int | None]]:
    """(label of the target, label of the detection) after match(); None is background."""
    pairs = [(d.found.label, d.label) for d in image.detections if d.state == "right" and d.found]
    free = sorted((t for t in image.targets if t.counted and not t.taken), key=lambda t: t.label)
    for d in image.detections:
        if d.state != "wrong":
            continue
        best, best_overlap = None, 0.0
        for t in free:
            value = overlap(d.box, t.box, False)
            if value >= min(threshold, 1 - 1e-10) and value > 0 and value >= best_overlap:
                best, best_overlap = t, value
        if best:
            free.remove(best)
        pairs.append((best.label if best else None, d.label))
    return pairs + [(t.label, None) for t in free]


def counts(image: Image, label: int) -> tuple[int, int, int]:
    """tp, fp, fn of one class in one image, after match()."""
    tp = sum(d.state == "right" for d in image.detections if d.label == label)
    fp = sum(d.state == "wrong" for d in image.detections if d.label == label)
    fn = sum(t.counted and not t.taken for t in image.targets if t.label == label)
    return tp, fp, fn


def f_beta(tp: int, fp: int, fn: int, beta: float = 1.0) -> float:
    below = (1 + beta**2) * tp + beta**2 * fn + fp
    return (1 + beta**2) * tp / below if below else math.nan


def mean(values: list[float]) -> float:
    """Of what is defined."""
    values = [v for v in values if not math.isnan(v)]
    return sum(values) / len(values) if values else math.nan


def ranked(images: list[Image], label: int | None) -> list[tuple[float, bool]]:
    """(score, right) of the counted detections of a class (all for None): by score, then image, then order in it."""
    rows = [
        (-d.score, i, d.label, d.position, d.state == "right")
        for i, image in enumerate(images)
        for d in image.detections
        if d.state != "ignored" and label in (None, d.label)
    ]
    return [(-row[0], row[-1]) for row in sorted(rows)]


def curve(rows: list[tuple[float, bool]], num_targets: int) -> list[tuple[float, int, int, int]]:
    """(score, tp, fp, fn) at every score that occurs."""
    found = []
    for score in sorted({s for s, _ in rows}, reverse=True):
        tp = sum(right for s, right in rows if s >= score)
        fp = sum(not right for s, right in rows if s >= score)
        found.append((score, tp, fp, num_targets - tp))
    return found


def steps(rows: list[tuple[float, bool]], num_targets: int) -> tuple[list[float], list[float]]:
    """Recall and precision after each detection."""
    tp, recall, precision = 0, [], []
    for n, (_, right) in enumerate(rows, start=1):
        tp += right
        recall.append(tp / num_targets)
        precision.append(tp / n)
    return recall, precision


def interpolated(rows: list[tuple[float, bool]], num_targets: int, points: list[float]) -> float:
    if not num_targets:
        return math.nan
    recall, precision = steps(rows, num_targets)
    best = [max((p for r, p in zip(recall, precision, strict=False) if r >= point), default=0.0) for point in points]
    return sum(best) / len(points)


def envelope_area(rows: list[tuple[float, bool]], num_targets: int) -> float:
    if not num_targets:
        return math.nan
    recall, precision = steps(rows, num_targets)
    total, before = 0.0, 0.0
    for i, r in enumerate(recall):
        total += (r - before) * max(precision[i:])
        before = r
    return total


def raw_area(points: list[tuple[float, int, int, int]], num_targets: int) -> float:
    if not num_targets:
        return math.nan
    total, before = 0.0, 0
    for _, tp, fp, _ in points:
        total += (tp - before) / num_targets * tp / (tp + fp)
        before = tp
    return total
