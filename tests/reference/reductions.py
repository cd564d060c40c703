"""Scores and their reductions as loops over Python numbers: one pixel, one cell, one mean at a time."""

import math
from collections.abc import Sequence

NAN = float("nan")
Cell = tuple[int, int, int, int]  # tp, fp, fn, tn


def cells(
    preds: Sequence[Sequence[int]], target: Sequence[Sequence[int]], num_classes: int, ignored: Sequence[int] = ()
) -> list[list[Cell]]:
    """tp, fp, fn, tn for each image and class, pixel by pixel."""
    found = []
    for image_preds, image_target in zip(preds, target, strict=True):
        per_class = []
        for c in range(num_classes):
            count = {"tp": 0, "fp": 0, "fn": 0, "tn": 0}
            for p, t in zip(image_preds, image_target, strict=True):
                if t in ignored:
                    continue
                count[("t" if (p == c) == (t == c) else "f") + ("p" if p == c else "n")] += 1
            per_class.append((count["tp"], count["fp"], count["fn"], count["tn"]))
        found.append(per_class)
    return found


def ratio(a: float, b: float) -> float:
    return a / b if b else NAN


def formula(name: str, cell: Cell, beta: float = 1.0) -> float:
    tp, fp, fn, tn = cell
    return {
        "iou": ratio(tp, tp + fp + fn),
        "f1": ratio(2 * tp, 2 * tp + fp + fn),
        "f_beta": ratio((1 + beta**2) * tp, (1 + beta**2) * tp + beta**2 * fn + fp),
        "precision": ratio(tp, tp + fp),
        "recall": ratio(tp, tp + fn),
        "specificity": ratio(tn, tn + fp),
        "accuracy": ratio(tp + tn, tp + fp + fn + tn),
    }[name]


def mean(values: Sequence[float], weights: Sequence[float] | None, zero_division: float) -> float:
    weights = [1.0] * len(values) if weights is None else weights
    kept = [(w, v) for w, v in zip(weights, values, strict=True) if not math.isnan(v)]
    total = math.fsum(w for w, _ in kept)
    return math.fsum(w * v for w, v in kept) / total if total else zero_division


def add(parts: Sequence[Cell]) -> Cell:
    tp, fp, fn, tn = (sum(part[i] for part in parts) for i in range(4))
    return tp, fp, fn, tn


def filled(value: float, zero_division: float) -> float:
    return zero_division if math.isnan(value) else value


def over_classes(
    name: str,
    row: Sequence[Cell],
    average: str,
    zero_division: float,
    excluded: Sequence[int],
    class_weights: Sequence[float] | None,
) -> float:
    """The score of one list of cells, a cell a class."""
    kept = [c for c in range(len(row)) if c not in excluded]
    if average == "micro":
        return filled(formula(name, add([row[c] for c in kept])), zero_division)
    values = [filled(formula(name, row[c]), zero_division) for c in kept]
    weights: list[float] | None = None
    if average == "weighted":
        weights = [row[c][0] + row[c][2] for c in kept]
    elif class_weights is not None:
        weights = [class_weights[c] for c in kept]
    return mean(values, weights, zero_division)


def reduce(
    name: str,
    table: Sequence[Sequence[Cell]],
    *,
    average: str,
    aggregate: str,
    zero_division: float = NAN,
    excluded: Sequence[int] = (),
    class_weights: Sequence[float] | None = None,
) -> float | list[float]:
    """The score of a table of cells, an image a row and a class a column."""
    num_classes = len(table[0])
    columns = [[row[c] for row in table] for c in range(num_classes)]
    pooled = [add(column) for column in columns]
    settings = (zero_division, excluded, class_weights)
    if average == "none":
        if aggregate == "dataset":
            values = [filled(formula(name, cell), zero_division) for cell in pooled]
        else:
            values = [
                mean([filled(formula(name, cell), zero_division) for cell in column], None, zero_division)
                for column in columns
            ]
        return [NAN if c in excluded else value for c, value in enumerate(values)]
    if aggregate == "dataset":
        return over_classes(name, pooled, average, *settings)
    if aggregate == "imagewise":
        return mean([over_classes(name, row, average, *settings) for row in table], None, zero_division)
    kept = [c for c in range(num_classes) if c not in excluded]
    scores = {c: [filled(formula(name, cell), zero_division) for cell in columns[c]] for c in kept}
    if aggregate == "pooled":
        weights = [1.0 if class_weights is None else class_weights[c] for c in kept for _ in table]
        return mean([value for c in kept for value in scores[c]], weights, zero_division)
    of_classes = [mean(scores[c], None, zero_division) for c in kept]
    class_wise = [pooled[c][0] + pooled[c][2] for c in kept] if average == "weighted" else None
    if average == "macro" and class_weights is not None:
        class_wise = [class_weights[c] for c in kept]
    return mean(of_classes, class_wise, zero_division)
