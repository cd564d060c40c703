"""Pictures of curves: precision against recall, and precision, recall and F-score against the score."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from detmetrics import arguments
from detmetrics.reduce.averages import defined_mean
from detmetrics.reduce.curves import ScoreCurves
from detmetrics.show.plot import drawing
from detmetrics.show.plot.results import mean_over_classes

POOLED = "all classes"
MOST_POINTS = 4000  # of a line; of more points, those that would be drawn on the same spot are left out


def precision_recall(curves: ScoreCurves, names: Sequence[str] | None = None, ax: Any = None) -> tuple[Any, Any]:
    """Draw precision against recall: one line per class, and all classes pooled.

    Steps, so that the area below a line is its ``average_precision``. More than a dozen classes are thin and grey but
    for the best and the worst; what is not drawn, for want of targets or detections, is still in the legend.

    Args:
        curves: What ``DetectionCurves.compute()`` returns.
        names: Those of ``curves.classes``; None for the labels.
        ax: A matplotlib axis to draw on.

    Returns:
        The figure and the axis, with C + 1 lines, the last of them the pooled one.

    Raises:
        ModuleNotFoundError: if matplotlib is not installed.
        ValueError: if there is not a name for each class.

    Example:
        >>> from detmetrics.demo import generate
        >>> from detmetrics.functional import detection_curves
        >>> fig, ax = precision_recall(detection_curves(*generate(5, 10, 2)), names=["cat", "dog"])
        >>> [line.get_label() for line in ax.get_lines()]
        ['cat', 'dog', 'all classes']
    """
    names = _class_names(curves, names)
    fig, ax = drawing.axes_for(ax, 7.0, 4.6)
    areas = curves.average_precision.tolist()
    styles, named = drawing.emphasis(areas[:-1])
    styles.append({"color": "black", "linewidth": 2.4, "zorder": 3})
    lines = []
    for i, (name, style) in enumerate(zip([*names, POOLED], styles, strict=True)):
        recall, precision = (_curve(curves, column, i) for column in ("recall", "precision"))
        recall = torch.cat([recall.new_zeros(min(1, len(recall))), recall])
        lines += ax.plot(
            *_thinned(recall, torch.cat([precision[:1], precision])), drawstyle="steps-pre", label=name, **style
        )
    if not bool(torch.isfinite(curves.recall).any()):
        drawing.note(ax, "no targets or no detections")
    drawing.fraction_axis(ax.xaxis, [], "Recall")
    drawing.fraction_axis(ax.yaxis, [], "Precision")
    shown = [*named, len(names)]
    texts = [f"{drawing.shorten([*names, POOLED][i])}: {drawing.decimals(areas[i])}" for i in shown]
    ends = "" if len(named) == len(names) else f", best and worst of {len(names)}"
    drawing.legend_beside(ax, [lines[i] for i in shown], texts, f"Area below (AP){ends}")
    drawing.grid(ax)
    return fig, ax


def score_curves(
    curves: ScoreCurves, name: str | None = None, names: Sequence[str] | None = None, ax: Any = None
) -> tuple[Any, Any]:
    """Draw precision, recall and F-score against the score threshold, and mark the best F-score.

    A line says what is reached if detections from that score on are kept. Beyond the highest score nothing is, and the
    precision is not defined.

    Args:
        curves: What ``DetectionCurves.compute()`` returns.
        name: The class to draw, one of ``names``; None for all classes pooled.
        names: Those of ``curves.classes``; None for the labels.
        ax: A matplotlib axis to draw on.

    Returns:
        The figure and the axis, with the lines of F-score, precision, recall, and then the best point unless it is 0.

    Raises:
        ModuleNotFoundError: if matplotlib is not installed.
        ValueError: if there is not a name for each class, or no class has this name.

    Example:
        >>> from detmetrics.demo import generate
        >>> from detmetrics.functional import detection_curves
        >>> fig, ax = score_curves(detection_curves(*generate(5, 10, 2)), name="cat", names=["cat", "dog"])
        >>> [line.get_label() for line in ax.get_lines()]
        ['F1', 'Precision', 'Recall', 'best F1']
    """
    names = _class_names(curves, names)
    if name is not None:
        arguments.choice("name", name, names)
    i = len(names) if name is None else names.index(name)
    fig, ax = drawing.axes_for(ax, 7.0, 4.4)
    title = f"F{curves.beta.item():g}"
    best = curves.best_score_threshold[i].item(), curves.best_f_beta[i].item()
    scores = _curve(curves, "scores", i).flip(0)  # (P,) ascending
    low, high = min([0.0, *scores[:1].tolist()]), max([1.0, *scores[-1:].tolist()])
    lines = []
    for order, (label, column) in enumerate(((title, "f_beta"), ("Precision", "precision"), ("Recall", "recall"))):
        values = _curve(curves, column, i).flip(0)
        after = values.new_full((min(1, len(values)),), torch.nan if column == "precision" else 0.0)
        x = torch.cat([values.new_full(after.shape, low), scores, values.new_full(after.shape, high)])
        style = {**drawing.distinct(order), **({"linewidth": 2.6} if column == "f_beta" else {})}
        y = torch.cat([values[:1], values, after])  # what holds at a score holds down to the next
        lines += ax.plot(*_thinned(x, y), drawstyle="steps-pre", label=label, **style)
    if best[1] > 0 and not math.isnan(best[0]):
        lines += _mark_best(ax, *best, title, (low + high) / 2)
    elif bool(_curve(curves, "recall", i).isfinite().any()):
        drawing.note(ax, "nothing is found")
    else:
        drawing.note(ax, "no targets or no detections")
    drawing.fraction_axis(ax.xaxis, [low, high], "Score threshold (confidence)")
    drawing.fraction_axis(ax.yaxis, [], "Precision, recall, " + title)
    drawing.legend_beside(ax, lines, [str(line.get_label()) for line in lines], name or POOLED)
    drawing.grid(ax)
    return fig, ax


def _mark_best(ax: Any, threshold: float, value: float, title: str, middle: float) -> list[Any]:
    """The best point, and below it what it is: where the lines leave most room."""
    style = {"marker": "*", "markersize": 14, "color": "black", "linestyle": "none", "zorder": 4}
    (point,) = ax.plot([threshold], [value], label=f"best {title}", **style)
    ax.vlines(threshold, 0, value, color=drawing.GREY, linewidth=1.0, linestyle=":")
    right = threshold > middle
    ax.annotate(
        f"{title} {value:.3f} at {threshold:.3g}",
        (threshold, 0.05 if value > 0.2 else value + 0.07),
        xytext=(-6 if right else 6, 0),
        textcoords="offset points",
        ha="right" if right else "left",
        va="center",
        bbox={"boxstyle": "round,pad=0.2", "facecolor": "white", "edgecolor": "none", "alpha": 0.85},
        zorder=5,
    )
    return [point]


def iou_fan(
    precision: Tensor, iou_thresholds: Sequence[float], rec_thresholds: Sequence[float], ax: Any = None
) -> tuple[Any, Any]:
    """Draw precision against recall, the mean over classes, one line per IoU threshold.

    Args:
        precision: ``(T, R, C, A, M)``: ``precision`` of ``MeanAveragePrecision(extended_summary=True).compute()``.
            Drawn is the first area range, all, and the last and largest limit.
        iou_thresholds: T of them.
        rec_thresholds: R of them.
        ax: A matplotlib axis to draw on.

    Returns:
        The figure and the axis, with T lines.

    Raises:
        ModuleNotFoundError: if matplotlib is not installed.
        ValueError: if the shape does not fit the thresholds.

    Example:
        >>> fig, ax = iou_fan(torch.full((2, 3, 1, 4, 3), 0.5), [0.5, 0.75], [0.0, 0.5, 1.0])
        >>> [line.get_label() for line in ax.get_lines()]
        ['0.50', '0.75']
    """
    if precision.ndim != 5 or precision.shape[:2] != (len(iou_thresholds), len(rec_thresholds)):
        expected = f"({len(iou_thresholds)}, {len(rec_thresholds)}, C, A, M)"
        raise ValueError(f"precision: expected {expected}, got {tuple(precision.shape)}")
    fig, ax = drawing.axes_for(ax, 7.0, 4.6)
    import matplotlib as mpl

    means = mean_over_classes(precision)  # (T, R)
    areas = defined_mean(means, dim=1).tolist()
    shades = mpl.colormaps["cividis"]
    lines = []
    for t, (threshold, values) in enumerate(zip(iou_thresholds, means, strict=True)):
        style = {**drawing.distinct(t), "color": shades(0.85 * t / max(1, len(means) - 1))}
        lines += ax.plot(list(rec_thresholds), values.tolist(), label=f"{threshold:.2f}", **style)
    if not bool(means.isfinite().any()):
        drawing.note(ax, "no targets")
    drawing.fraction_axis(ax.xaxis, [], "Recall")
    drawing.fraction_axis(ax.yaxis, [], "Precision, mean over classes")
    shown = range(0, len(lines), math.ceil(len(lines) / drawing.FEW))
    texts = [f"{iou_thresholds[t]:.2f}: {drawing.decimals(areas[t])}" for t in shown]
    drawing.legend_beside(ax, [lines[t] for t in shown], texts, "IoU threshold: AP")
    drawing.grid(ax)
    return fig, ax


def _class_names(curves: ScoreCurves, names: Sequence[str] | None) -> list[str]:
    listed = [str(label) for label in curves.classes.tolist()] if names is None else list(names)
    if len(listed) != len(curves.classes):
        raise ValueError(f"names: expected {len(curves.classes)}, one per class, got {len(listed)}: {listed[:8]}")
    return listed


def _curve(curves: ScoreCurves, column: str, i: int) -> Tensor:
    """A column of curve i, (P,) float64."""
    start, end = curves.offsets[i : i + 2].tolist()
    values: Tensor = getattr(curves, column)[start:end].detach().cpu().double()
    return values


def _thinned(x: Tensor, y: Tensor) -> tuple[list[float], list[float]]:
    """The points of a line, without those that are drawn on the same spot as the one before if there are many."""
    if len(x) > MOST_POINTS:
        moves = torch.ones(len(x), dtype=torch.bool)
        spots = torch.stack([_spots(x), _spots(y)])
        moves[1:-1] = (spots[:, 1:-1] != spots[:, :-2]).any(dim=0)
        x, y = x[moves], y[moves]
    return x.tolist(), y.tolist()


def _spots(values: Tensor) -> Tensor:
    """Which thousandth of their range values lie in."""
    values = values.nan_to_num(0.0)
    low, high = values.aminmax()
    return ((values - low) * (1000 / ((high - low).item() or 1.0))).round()
