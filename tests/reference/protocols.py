"""The protocols that segmentation results are published under, each written out from its own source as a slow loop.

``preds`` and ``target`` are lists of images, an image being a flat list of labels.
"""

import math
from collections.abc import Sequence

Maps = Sequence[Sequence[int]]
NAN = float("nan")


def nanmean(values: Sequence[float]) -> float:
    kept = [value for value in values if not math.isnan(value)]
    return math.fsum(kept) / len(kept) if kept else NAN


def matrix(preds: Maps, target: Maps, size: int) -> list[list[int]]:
    found = [[0] * size for _ in range(size)]
    for p_image, t_image in zip(preds, target, strict=True):
        for p, t in zip(p_image, t_image, strict=True):
            found[t][p] += 1
    return found


def cityscapes(preds: Maps, target: Maps, num_labels: int, ignore_in_eval: Sequence[int]) -> float:
    """evalPixelLevelSemanticLabeling.py: getIouScoreForLabel and getScoreAverage over all labels."""
    confusion = matrix(preds, target, num_labels)
    scores = []
    for label in range(num_labels):
        if label in ignore_in_eval:
            continue  # nan in the original, and skipped by the average
        tp = confusion[label][label]
        fn = sum(confusion[label]) - tp
        not_ignored = [other for other in range(num_labels) if other not in ignore_in_eval and other != label]
        fp = sum(confusion[other][label] for other in not_ignored)
        scores.append(tp / (tp + fp + fn) if tp + fp + fn else NAN)
    return nanmean(scores)


def voc(preds: Maps, target: Maps, num_classes: int) -> list[float]:
    """VOCevalseg.m: 255 is void; accuracy of a class is its intersection over union."""
    counts = [[0] * num_classes for _ in range(num_classes)]
    for p_image, t_image in zip(preds, target, strict=True):
        for p, t in zip(p_image, t_image, strict=True):
            if t < 255:
                counts[t][p] += 1
    accuracies = []
    for j in range(num_classes):
        gtj = sum(counts[j])
        resj = sum(counts[i][j] for i in range(num_classes))
        gtjresj = counts[j][j]
        accuracies.append(gtjresj / (gtj + resj - gtjresj) if gtj + resj - gtjresj else NAN)
    return accuracies


def ade20k(preds: Maps, target: Maps, num_classes: int) -> tuple[float, float]:
    """semantic-segmentation-pytorch, eval.py: label 0 is "other"; mean IoU with an epsilon, and pixel accuracy."""
    intersection, union = [0] * (num_classes + 1), [0] * (num_classes + 1)
    right = labelled = 0
    for p_image, t_image in zip(preds, target, strict=True):
        for p, t in zip(p_image, t_image, strict=True):
            if t == 0:
                continue
            labelled += 1
            right += p == t
            intersection[t] += p == t
            union[t] += 1
            union[p] += p != t
    ious = [i / (u + 1e-10) for i, u in zip(intersection[1:], union[1:], strict=True)]
    return sum(ious) / num_classes, right / labelled


def mmseg(preds: Maps, target: Maps, num_classes: int, ignore_index: int) -> dict[str, float]:
    """IoUMetric: intersect_and_union, then total_area_to_metrics with nan_to_num=None."""
    intersect, pred_area, label_area = [0] * num_classes, [0] * num_classes, [0] * num_classes
    for p_image, t_image in zip(preds, target, strict=True):
        kept = [(p, t) for p, t in zip(p_image, t_image, strict=True) if t != ignore_index]
        for c in range(num_classes):
            intersect[c] += sum(p == t == c for p, t in kept)
            pred_area[c] += sum(p == c for p, _ in kept)
            label_area[c] += sum(t == c for _, t in kept)
    classes = range(num_classes)
    union = [pred_area[c] + label_area[c] - intersect[c] for c in classes]
    both = [pred_area[c] + label_area[c] for c in classes]
    return {
        "aAcc": sum(intersect) / sum(label_area),
        "mIoU": nanmean([intersect[c] / union[c] if union[c] else NAN for c in classes]),
        "mAcc": nanmean([intersect[c] / label_area[c] if label_area[c] else NAN for c in classes]),
        "mDice": nanmean([2 * intersect[c] / both[c] if both[c] else NAN for c in classes]),
        "mPrecision": nanmean([intersect[c] / pred_area[c] if pred_area[c] else NAN for c in classes]),
    }


def nnunet(preds: Maps, target: Maps, num_classes: int) -> float:
    """evaluate_predictions.py: Dice a case and foreground label, nan where tp + fp + fn is 0; foreground_mean."""
    means = []
    for label in range(1, num_classes):
        dices = []
        for p_image, t_image in zip(preds, target, strict=True):
            tp = sum(p == label and t == label for p, t in zip(p_image, t_image, strict=True))
            fp = sum(p == label and t != label for p, t in zip(p_image, t_image, strict=True))
            fn = sum(p != label and t == label for p, t in zip(p_image, t_image, strict=True))
            dices.append(2 * tp / (2 * tp + fp + fn) if tp + fp + fn else NAN)
        means.append(nanmean(dices))
    return nanmean(means)


def monai(preds: Maps, target: Maps, num_classes: int, ignore_empty: bool) -> tuple[float, list[float]]:
    """DiceMetric without background: reduction "mean", by class and then by batch, and "mean_batch", a class each."""
    dice = []
    for p_image, t_image in zip(preds, target, strict=True):
        dice.append([])
        for c in range(1, num_classes):
            y, y_pred = [t == c for t in t_image], [p == c for p in p_image]
            both = sum(a and b for a, b in zip(y, y_pred, strict=True))
            if sum(y):
                dice[-1].append(2 * both / (sum(y) + sum(y_pred)))
            elif ignore_empty:
                dice[-1].append(NAN)
            else:
                dice[-1].append(0.0 if sum(y_pred) else 1.0)
    by_class = [nanmean([row[c] for row in dice]) for c in range(num_classes - 1)]
    return nanmean([nanmean(row) for row in dice]), by_class


def smp(preds: Maps, target: Maps, num_classes: int, reduction: str, zero_division: float) -> float:
    """segmentation_models_pytorch: get_stats, then iou_score(..., reduction, zero_division=1.0 by default)."""
    stats = []
    for p_image, t_image in zip(preds, target, strict=True):
        pairs = list(zip(p_image, t_image, strict=True))
        stats.append(
            [
                (sum(p == t == c for p, t in pairs), sum(p == c for p, _ in pairs), sum(t == c for _, t in pairs))
                for c in range(num_classes)
            ]
        )

    def score(cells: Sequence[tuple[int, int, int]]) -> float:
        tp, p, t = (sum(cell[i] for cell in cells) for i in range(3))
        return tp / (p + t - tp) if p + t - tp else zero_division

    classes = range(num_classes)
    if reduction == "micro":
        return score([cell for row in stats for cell in row])
    if reduction == "macro":
        return sum(score([row[c] for row in stats]) for c in classes) / num_classes
    if reduction == "micro-imagewise":
        return sum(score(row) for row in stats) / len(stats)
    return sum(score([cell]) for row in stats for cell in row) / (len(stats) * num_classes)


def torchmetrics_samplewise_f1(preds: Maps, target: Maps, num_classes: int) -> float:
    """MulticlassF1Score(average="macro", multidim_average="samplewise"), then the mean over samples."""
    per_image = []
    for p_image, t_image in zip(preds, target, strict=True):
        pairs = list(zip(p_image, t_image, strict=True))
        scores = []
        for c in range(num_classes):
            tp, num_p, num_t = (
                sum(p == t == c for p, t in pairs),
                sum(p == c for p, _ in pairs),
                sum(t == c for _, t in pairs),
            )
            if num_p + num_t:  # classes with tp + fp + fn == 0 have no weight
                scores.append(2 * tp / (num_p + num_t))
        per_image.append(sum(scores) / len(scores))
    return sum(per_image) / len(per_image)


def torchmetrics_mean_iou(preds: Maps, target: Maps, num_classes: int) -> float:
    """segmentation.MeanIoU(per_class=False): the mean over the cells of images and classes with a union."""
    scores = []
    for p_image, t_image in zip(preds, target, strict=True):
        pairs = list(zip(p_image, t_image, strict=True))
        for c in range(num_classes):
            union = sum(c in pair for pair in pairs)
            if union:
                scores.append(sum(p == t == c for p, t in pairs) / union)
    return sum(scores) / len(scores)
