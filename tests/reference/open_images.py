"""Open Images' average precision, one box after the other."""

from typing import Any

Row = tuple[float, bool]  # score, whether it hits


def above(label: int, parents: dict[int, list[int]]) -> set[int]:
    """All labels above one."""
    found: set[int] = set()
    for parent in parents.get(label, []):
        found |= {parent} | above(parent, parents)
    return found


def average_precision(
    preds: list[dict[str, Any]], target: list[dict[str, Any]], parents: dict[int, list[int]], threshold: float
) -> dict[int, float]:
    """The average precision of each class that has targets."""
    rows: dict[int, list[Row]] = {}
    number: dict[int, int] = {}
    for detections, truth in zip(preds, target, strict=True):
        objects = _expanded(truth, parents)
        listed = {key: truth[key].tolist() if key in truth else [] for key in ("pos_category_ids", "neg_category_ids")}
        counting = {label for label, *_ in objects}
        for label in listed["pos_category_ids"]:
            counting |= {label} | above(label, parents)
        for label in listed["neg_category_ids"]:
            counting |= {label} | {other for other in parents if label in above(other, parents)}
        open_ended = truth["not_exhaustive_category_ids"].tolist() if "not_exhaustive_category_ids" in truth else []
        spared = {name for label in open_ended for name in ({label} | above(label, parents))}
        for label in counting:
            own = [row[1:] for row in objects if row[0] == label]
            number[label] = number.get(label, 0) + sum(not ignored for _, _, ignored in own)
            rows.setdefault(label, []).extend(_judged(_boxes(detections, label), own, threshold, label in spared))
    return {label: _area(rows[label], count) for label, count in number.items() if count}


def _expanded(truth: dict[str, Any], parents: dict[int, list[int]]) -> list[tuple[int, list[float], bool, bool]]:
    """Label, box, whether it is a group, whether it is ignored: of all targets, for all labels."""
    count = len(truth["labels"])
    group = truth["is_group_of"].tolist() if "is_group_of" in truth else [False] * count
    ignored = truth["ignore"].tolist() if "ignore" in truth else [False] * count
    columns = zip(truth["labels"].tolist(), truth["boxes"].reshape(-1, 4).tolist(), group, ignored, strict=True)
    ordered = sorted(columns, key=lambda row: row[0])
    return [(name, *row[1:]) for row in ordered for name in sorted({row[0]} | above(row[0], parents))]


def _boxes(detections: dict[str, Any], label: int) -> list[tuple[float, list[float]]]:
    columns = (detections[key].tolist() for key in ("labels", "scores"))
    rows = zip(*columns, detections["boxes"].reshape(-1, 4).tolist(), strict=True)
    own = [(score, box) for name, score, box in rows if name == label and box[2] > box[0] and box[3] > box[1]]
    return sorted(own, key=lambda row: -row[0])


def _judged(
    detections: list[tuple[float, list[float]]],
    targets: list[tuple[list[float], bool, bool]],
    threshold: float,
    spared: bool,
) -> list[Row]:
    """The detections of a class in an image that count, and whether they are right."""
    singles = [i for i, (_, group, _) in enumerate(targets) if not group]
    groups = [i for i, (_, group, _) in enumerate(targets) if group]
    taken: set[int] = set()
    judged: list[Row] = []
    for score, box in detections:
        best = _largest(singles, [_overlap(box, target[0], False) for target in targets], threshold)
        if best is not None and targets[best][2]:
            continue
        if best is not None and best not in taken:
            taken.add(best)
            judged.append((score, True))
            continue
        group = _largest(groups, [_overlap(box, target[0], True) for target in targets], threshold)
        if group is None:
            judged += [] if spared else [(score, False)]
        elif group not in taken and not targets[group][2]:
            taken.add(group)
            judged.append((score, True))
    return judged


def _largest(among: list[int], overlaps: list[float], threshold: float) -> int | None:
    best = max(among, key=lambda i: overlaps[i], default=None)
    return best if best is not None and overlaps[best] >= threshold else None


def _overlap(detection: list[float], target: list[float], of_detection: bool) -> float:
    (x1, y1, w1, h1), (x2, y2, w2, h2) = ((x, y, r - x, b - y) for x, y, r, b in (detection, target))
    width, height = min(x1 + w1, x2 + w2) - max(x1, x2), min(y1 + h1, y2 + h2) - max(y1, y2)
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (w1 * h1 if of_detection else w1 * h1 + w2 * h2 - shared)


def _area(rows: list[Row], number: int) -> float:
    """The area under the best precision at each recall or beyond."""
    hits, precisions = 0, []
    for rank, (_, hit) in enumerate(sorted(rows, key=lambda row: -row[0]), start=1):
        hits += hit
        if hit:
            precisions.append(hits / rank)
    return sum(max(precisions[i:]) for i in range(len(precisions))) / number
