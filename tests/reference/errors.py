"""Kinds of errors and their costs, one box after the other; nothing of detmetrics is imported."""

from tests.reference.detection import Detection, Image, Target, interpolated, mean, overlap

KINDS = ("classification", "localization", "both", "duplicate", "background")
POINTS = [i * 0.01 for i in range(101)]

Error = tuple[int, Detection, str, Target | None]  # image, detection, kind, what it points at


def closest(d: Detection, targets: list[Target]) -> tuple[float, Target | None]:
    best, best_target = 0.0, None
    for t in targets:
        value = overlap(d.box, t.box, False)
        if value > best:
            best, best_target = value, t
    return best, best_target


def find(images: list[Image], foreground: float, background: float) -> tuple[list[Error], list[Target]]:
    """The errors of matched images, and the targets that none of them is about."""
    foreground = min(foreground, 1 - 1e-10)
    found: list[Error] = []
    for i, image in enumerate(images):
        targets = sorted((t for t in image.targets if t.counted), key=lambda t: t.label)
        for d in image.detections:
            if d.state != "wrong":
                continue
            own, target = closest(d, [t for t in targets if t.label == d.label])
            other, wrong_target = closest(d, [t for t in targets if t.label != d.label])
            if background <= own <= foreground:
                found.append((i, d, "localization", target))
            elif other >= foreground:
                found.append((i, d, "classification", wrong_target))
            elif own >= foreground:
                found.append((i, d, "duplicate", target))
            elif max(own, other) <= background:
                found.append((i, d, "background", None))
            else:
                found.append((i, d, "both", wrong_target))
    explained = {id(t) for _, _, kind, t in found if kind in KINDS[:2]}
    missed = [t for image in images for t in image.targets if t.counted and not t.taken and id(t) not in explained]
    return found, missed


def average_precisions(
    images: list[Image], labels: list[int], right: dict[int, int], gone: set[int], lost: list[Target]
) -> list[float]:
    """Of each class, after some detections became right (by id: their label), some went, and some targets went."""
    values = []
    for label in labels:
        rows = []
        for i, image in enumerate(images):
            for d in image.detections:
                if d.state == "ignored" or id(d) in gone or right.get(id(d), d.label) != label:
                    continue
                rows.append((-d.score, i, d.label, d.position, d.state == "right" or id(d) in right))
        count = sum(t.counted and t.label == label for image in images for t in image.targets)
        count -= sum(t.label == label for t in lost)
        values.append(interpolated([(-row[0], row[-1]) for row in sorted(rows)], count, POINTS))
    return values


def costs(images: list[Image], labels: list[int], foreground: float, background: float) -> dict[str, float]:
    """Everything that ``DetectionErrors`` gives."""
    found, missed = find(images, foreground, background)
    as_it_is = mean(average_precisions(images, labels, {}, set(), []))
    best: dict[int, tuple[float, Detection]] = {}
    for _, d, kind, target in found:
        if kind not in KINDS[:2] or target is None or target.taken:
            continue
        if id(target) not in best or best[id(target)][0] < d.score:
            best[id(target)] = d.score, d
    winners = {id(d): kind for _, d, kind, t in found if id(t) in best and best[id(t)][1] is d}
    results = {"ap": as_it_is}
    for kind in KINDS:
        of_kind = [(d, t) for _, d, k, t in found if k == kind]
        right = {id(d): t.label for d, t in of_kind if t is not None and winners.get(id(d)) == kind}
        gone = {id(d) for d, _ in of_kind} - right.keys()
        results[f"dap_{kind}"] = mean(average_precisions(images, labels, right, gone, [])) - as_it_is
    unfound = [t for image in images for t in image.targets if t.counted and not t.taken]
    everything = {id(d) for _, d, _, _ in found}
    results["dap_missed"] = mean(average_precisions(images, labels, {}, set(), missed)) - as_it_is
    results["dap_false_positive"] = mean(average_precisions(images, labels, {}, everything, [])) - as_it_is
    results["dap_false_negative"] = mean(average_precisions(images, labels, {}, set(), unfound)) - as_it_is
    results |= {f"num_{kind}": float(sum(k == kind for _, _, k, _ in found)) for kind in KINDS}
    return results | {"num_missed": float(len(missed))}
