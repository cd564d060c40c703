"""Pictures of results. ``metric.plot()`` draws them; here they are functions of what ``compute()`` returns.

Each returns matplotlib's figure and axis. Without an axis a new figure is made, of a size that fits the data; it needs
no display. Lines differ in dashes as well as in colour, and the colours are told apart with any colour vision.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from detmetrics import checks, drawing
from detmetrics.ops.scores import defined_mean, divide
from detmetrics.report import Headline, headlines

if TYPE_CHECKING:
    from detmetrics.detection.curves import ScoreCurves

Scalar = float | Tensor
BACKGROUND = "background"
POOLED = "all classes"
OUTCOMES = ("TP", "FN", "FP", "TN")
MOST_POINTS = 4000  # of a line; from there on those that would be drawn on the same spot are left out
LARGEST_TEXT = 20  # classes up to which cells hold text
_SCORES = {"f1": "F1", "iou": "IoU", "f_beta": "F-beta"}


def label_of(key: str) -> str:
    """What a result is called on an axis.

    Example:
        >>> label_of("iou"), label_of("mean_precision")
        ('IoU', 'Mean precision')
    """
    return _SCORES.get(key) or key.replace("_", " ").capitalize()


def numbers(result: Any, names: Sequence[str] | None = None, prefix: str = "") -> Scalar | dict[str, Scalar]:
    """The numbers in a result of a metric: what a history follows.

    Args:
        result: A number, a vector, or a dict in which 0-d entries count.
        names: Those of a vector; None for 0, 1, ...
        prefix: Of a dict only keys that begin with it count, and are called by what follows.

    Raises:
        ValueError: if there are no such numbers.

    Example:
        >>> numbers({"iou/road": 0.5, "iou/sky": 1.0, "mean_iou": 0.75}, prefix="iou/")
        {'road': 0.5, 'sky': 1.0}
    """
    if _is_number(result):
        number: Scalar = result
        return number
    if isinstance(result, Tensor) and result.ndim == 1:
        fits = names is not None and len(names) == len(result)
        return dict(zip(names if names and fits else map(str, range(len(result))), result, strict=True))
    if isinstance(result, Mapping):
        entries = {key.removeprefix(prefix): value for key, value in result.items() if key.startswith(prefix)}
        scalars = {key: value for key, value in entries.items() if _is_number(value)}
        if scalars:
            return scalars
        got = f"the keys {list(result)[:8]}"
    else:
        got = f"{tuple(result.shape)}" if isinstance(result, Tensor) else type(result).__name__
    wanted = f" of 0-d numbers {prefix}<name>" if prefix else " of 0-d numbers"
    raise ValueError(f"val: expected a number, a vector or a dict{wanted}, got {got}")


# Curves.


def precision_recall(curves: ScoreCurves, names: Sequence[str] | None = None, ax: Any = None) -> tuple[Any, Any]:
    """Draw precision against recall: a line a class, and all classes pooled.

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
    texts = [f"{drawing.shorten([*names, POOLED][i])}: {_decimals(areas[i])}" for i in shown]
    ends = "" if len(named) == len(names) else f", best and worst of {len(names)}"
    drawing.legend_beside(ax, [lines[i] for i in shown], texts, f"Area below (AP){ends}")
    _grid(ax)
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
        checks.check_choice("name", name, names)
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
    _grid(ax)
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
    """Draw precision against recall, the mean over classes, a line an IoU threshold.

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
    texts = [f"{iou_thresholds[t]:.2f}: {_decimals(areas[t])}" for t in shown]
    drawing.legend_beside(ax, [lines[t] for t in shown], texts, "IoU threshold: AP")
    _grid(ax)
    return fig, ax


def mean_over_classes(precision: Tensor) -> Tensor:
    """The mean over defined classes of ``(T, R, C, A, M)`` at all areas and the largest limit, ``(T, R)``.

    Example:
        >>> mean_over_classes(torch.tensor([0.5, torch.nan, 1.0]).view(1, 1, 3, 1, 1)).item()
        0.75
    """
    return defined_mean(precision[..., 0, -1].detach().cpu().double(), dim=2)


# Matrices.


def confusion_matrix(matrix: Tensor, names: Sequence[str], ax: Any = None) -> tuple[Any, Any]:
    """Draw a confusion matrix: rows are targets, columns predictions.

    The colours of counts are shares of their row, so that neither a frequent class nor the background hides the others,
    and follow the square root, so that a confusion of a few percent is seen. Up to 20 classes the cells hold their
    numbers. Rows without targets are hatched.

    Args:
        matrix: ``(C, C)``, or ``(C + 1, C + 1)`` with the background last: counts, or shares of any normalisation. Of
            multilabel inputs ``(C, 2, 2)``, [[tn, fp], [fn, tp]] each: a row a class, and counts are coloured by
            their share of the positives or of the negatives of the class.
        names: C of them.
        ax: A matplotlib axis to draw on.

    Returns:
        The figure and the axis.

    Raises:
        ModuleNotFoundError: if matplotlib is not installed.
        ValueError: if the shape does not fit the names.

    Example:
        >>> fig, ax = confusion_matrix(torch.tensor([[3, 1], [0, 2]]), ["cat", "dog"])
        >>> [text.get_text() for text in ax.texts]
        ['3', '1', '0', '2']
    """
    check_matrix(matrix)
    matrix = matrix.long() if matrix.dtype == torch.bool else matrix
    by_outcome, counts = matrix.ndim == 3, not matrix.is_floating_point()
    cells, rows, columns = _laid_out(matrix.detach().cpu(), list(names))
    fig, ax = drawing.axes_for(ax, *_matrix_size(rows, by_outcome), "compressed")
    import matplotlib as mpl

    shares = _shares(cells, by_outcome) if counts else cells.double().clone()
    whole = "positives or negatives" if by_outcome else "row"
    top = 1.0 if counts or shares.nansum() > 1 + 1e-6 else float(shares.nan_to_num(0.0).max()) or 1.0
    has_background = not by_outcome and len(columns) > len(names)
    if has_background:  # background is never found in the background
        shares[-1, -1] = torch.nan
        for line in (ax.axhline, ax.axvline):
            line(len(names) - 0.5, color="white", linewidth=1.5)
    shades = mpl.colormaps["cividis"].with_extremes(bad="none")  # there the ground is seen
    scale = mpl.colors.PowerNorm(0.5, vmin=0.0, vmax=top)
    image = ax.imshow(shares.numpy(), cmap=shades, norm=scale, aspect="auto" if by_outcome else "equal")
    ax.patch.set(facecolor="#f2f2f2", hatch="////", edgecolor="#cccccc")
    fig.colorbar(image, ax=ax, label=f"Share of the {whole}" if counts else "Normalised", fraction=0.05, aspect=25)
    pitch = _label_cells(ax, rows, columns, by_outcome)
    if len(rows) <= LARGEST_TEXT + 1:
        _fill_cells(ax, cells, has_background, image, min(10.0, pitch / 2.6))
    ax.set_ylabel("Class" if by_outcome else "Target")
    ax.set_xlabel("Outcome" if by_outcome else "Prediction")
    return fig, ax


def check_matrix(matrix: Any) -> None:
    """Raise unless it is a tensor of two or three dimensions."""
    if not isinstance(matrix, Tensor) or matrix.ndim not in (2, 3):
        got = tuple(matrix.shape) if isinstance(matrix, Tensor) else type(matrix).__name__
        raise ValueError(f"val: expected a matrix, as compute() returns it, got {got}")


def diagonal_share(matrix: Tensor) -> Tensor:
    """How much of confusion matrices ``(..., C, C)`` is on their diagonals, 0-d; what is not defined counts nowhere.

    Example:
        >>> diagonal_share(torch.tensor([[3, 1], [0, 4]])).item()
        0.875
    """
    check_matrix(matrix)
    cells = matrix.detach().double().nan_to_num(0.0)
    return divide(cells.diagonal(dim1=-2, dim2=-1).sum(), cells.sum())


def _laid_out(matrix: Tensor, names: list[str]) -> tuple[Tensor, list[str], list[str]]:
    """The cells, and the names of rows and columns."""
    num_classes = len(names)
    if tuple(matrix.shape) == (num_classes, 2, 2):
        tn, fp, fn, tp = matrix.flatten(1).unbind(1)
        return torch.stack([tp, fn, fp, tn], dim=1), names, list(OUTCOMES)  # (C, 4)
    if tuple(matrix.shape) == (num_classes, num_classes):
        return matrix, names, names
    if tuple(matrix.shape) == (num_classes + 1, num_classes + 1):
        return matrix, [*names, BACKGROUND], [*names, BACKGROUND]
    expected = f"({num_classes}, {num_classes}), one more of each, or ({num_classes}, 2, 2) for {num_classes} names"
    raise ValueError(f"matrix: expected {expected}, got {tuple(matrix.shape)}")


def _shares(counts: Tensor, by_outcome: bool) -> Tensor:
    """Counts as shares of the targets that they are about: of their row, or of positives and of negatives."""
    whole = counts.view(-1, 2, 2) if by_outcome else counts
    return divide(whole, whole.sum(dim=-1, keepdim=True)).view(counts.shape)


def _matrix_size(rows: Sequence[str], by_outcome: bool) -> tuple[float, float]:
    """Width and height in inches: cells wide enough for text if there are few, else for a small label."""
    cell = 0.62 if len(rows) <= 8 else 0.46 if len(rows) <= LARGEST_TEXT + 1 else 0.105
    size = max(2.4, min(cell * len(rows), 12.0))
    room = 0.07 * min(drawing.NAME_WIDTH, max(map(len, rows), default=1))
    return (3.6 if by_outcome else size) + room + 1.6, size + (1.2 if by_outcome else room) + 0.6


def _label_cells(ax: Any, rows: Sequence[str], columns: Sequence[str], by_outcome: bool) -> float:
    """Name rows and columns as far as there is room; the smaller side of a cell in points."""
    width, height = drawing.points_of(ax)
    if not by_outcome:
        width = height = min(width, height)
    pitches = width / max(1, len(columns)), height / max(1, len(rows))
    for axis, names, pitch in zip((ax.xaxis, ax.yaxis), (columns, rows), pitches, strict=True):
        labels, style = drawing.lettering(names)
        size, step = drawing.fitting(pitch)
        if axis is ax.xaxis and max(map(len, labels), default=0) * 0.6 * size > 0.9 * pitch * step:
            style["rotation"] = 90
        axis.set_ticks(range(0, len(names), step), labels=labels[::step], fontsize=size, **style)
    return min(pitches)


def _fill_cells(ax: Any, cells: Tensor, has_background: bool, image: Any, size: float) -> None:
    """Write the numbers into the cells, black on light and white on dark, if they can be read."""
    if size < drawing.SMALLEST_FONT:
        return
    write = "{:.2f}".format if cells.is_floating_point() else short_count
    colours = image.to_rgba(image.get_array())  # (H, W, 4)
    for (i, j), value in zip(itertools.product(*map(range, cells.shape)), cells.flatten().tolist(), strict=True):
        if has_background and i == j == len(cells) - 1:
            continue
        red, green, blue, alpha = colours[i, j]
        colour = "white" if alpha and 0.299 * red + 0.587 * green + 0.114 * blue < 0.5 else "black"
        text = "-" if math.isnan(value) else write(value)
        ax.text(j, i, text, ha="center", va="center", fontsize=size, color=colour)


def short_count(count: int) -> str:
    """A count in at most five characters.

    Example:
        >>> short_count(1234), short_count(45_678), short_count(2_000_000)
        ('1234', '45.7k', '2.00M')
    """
    if count < 10_000:
        return str(count)
    power = 1
    while power < 6 and count >= 999.5 * 1000**power:
        power += 1
    return f"{count / 1000**power:#.3g}".rstrip(".") + " kMGTPE"[power]


# Bars.


def class_bars(
    values: Mapping[str, Scalar], support: Mapping[str, int] | None = None, label: str = "", ax: Any = None
) -> tuple[Any, Any]:
    """Draw a score of each class as a bar, the best on top, with the number of targets beside it.

    Classes whose score is not defined come last and say so. A dashed line marks the mean of those that are.

    Args:
        values: The score of each class.
        support: The number of targets of each class.
        label: What the score is called.
        ax: A matplotlib axis to draw on.

    Returns:
        The figure and the axis, with a bar a class from top to bottom.

    Raises:
        ModuleNotFoundError: if matplotlib is not installed.
        ValueError: if ``support`` has other classes.

    Example:
        >>> fig, ax = class_bars({"cat": 0.5, "dog": float("nan"), "bird": 0.9}, {"cat": 7, "dog": 0, "bird": 2}, "AP")
        >>> [text.get_text() for text in ax.get_yticklabels()]
        ['bird', 'cat', 'dog']
    """
    if support is not None and set(support) != set(values):
        raise ValueError(f"support: expected the classes {list(values)}, got {list(support)}")
    floats = {name: float(value) for name, value in values.items()}
    undefined = [name for name in floats if math.isnan(floats[name])]
    defined = [name for name in floats if not math.isnan(floats[name])]
    ranked = [*sorted(defined, key=lambda name: -floats[name]), *undefined]
    pitch = 0.28 if len(ranked) <= 30 else 0.16
    fig, ax = drawing.axes_for(ax, 7.0, min(1.1 + pitch * max(3, len(ranked)), 40.0))
    scores = [floats[name] for name in ranked]
    size, step = drawing.fitting(drawing.points_of(ax)[1] / max(1, len(ranked)))
    _bars(ax, scores, size if step == 1 else None)
    labels, style = drawing.lettering(ranked)
    ax.set_yticks(range(0, len(ranked), step), labels=labels[::step], fontsize=size, **style)
    ax.set_ylim(len(ranked) - 0.4, -0.6)
    if support is not None:
        _column(ax, "support", [str(int(support[name])) for name in ranked], size, step)
    drawing.fraction_axis(ax.xaxis, scores, label)
    if len(defined) > 1:
        mean = math.fsum(floats[name] for name in defined) / len(defined)
        ax.axvline(mean, color="black", linestyle="--", linewidth=1.0, zorder=2)
        ax.set_xlabel(f"{label} (dashed: mean {mean:.3f})".strip())
    if not ranked:
        drawing.note(ax, "no classes")
    return fig, ax


def report_bars(results: Mapping[str, Scalar], score: str, ax: Any = None) -> tuple[Any, Any]:
    """Draw a score of each class from the results of a report, with their support.

    Args:
        results: What the ``compute()`` of a report returns: ``<score>/<name>`` and ``support/<name>``.
        score: Which one.
        ax: A matplotlib axis to draw on.

    Raises:
        ValueError: if the results have no such score.

    Example:
        >>> fig, ax = report_bars({"f1/cat": 0.5, "support/cat": 3.0, "f1_micro": 0.5}, "f1")
        >>> [text.get_text() for text in ax.texts]
        ['0.500', '3', 'support']
    """
    averages(results, score)  # raises if these are no results of a report
    values, support = (
        {key.removeprefix(prefix): float(value) for key, value in results.items() if key.startswith(prefix)}
        for prefix in (f"{score}/", "support/")
    )
    return class_bars(values, {name: int(count) for name, count in support.items()}, label_of(score), ax)


def averages(results: Mapping[str, Scalar], score: str) -> dict[str, Scalar]:
    """The averages of a score among the results of a report: what a history follows.

    Example:
        >>> averages({"f1/cat": 0.5, "f1_micro": 0.6, "recall_micro": 0.7, "mean_f1": 0.8}, "f1")
        {'f1_micro': 0.6, 'mean_f1': 0.8}
    """
    found = {}
    if isinstance(results, Mapping):
        plain = {key: value for key, value in results.items() if "/" not in key}
        found = {key: value for key, value in plain.items() if key.startswith(f"{score}_") or key.endswith(f"_{score}")}
    if not found:
        got = list(results)[:8] if isinstance(results, Mapping) else type(results).__name__
        raise ValueError(f"val: expected the results of a report with {score!r}, got {got}")
    return found


def _bars(ax: Any, scores: Sequence[float], size: float | None) -> None:
    """Horizontal bars from the top, with their values if there is a size for them."""
    widths = [0.0 if math.isnan(score) else score for score in scores]
    ax.barh(range(len(scores)), widths, height=0.75, color=drawing.COLOURS[0])
    ax.grid(axis="x", color=drawing.PALE, linewidth=0.6)
    ax.set_axisbelow(True)
    far = 0.85 * max([1.0, *widths])
    for y, score in enumerate(scores):
        if math.isnan(score):
            ax.text(0.01, y, "undefined", va="center", fontsize=size or 5.5, color=drawing.GREY, style="italic")
        elif size is not None:
            inside = score > far
            style = {"ha": "right", "color": "white"} if inside else {"ha": "left", "color": "black"}
            ax.annotate(
                f"{score:.3f}",
                (score, y),
                (-4 if inside else 4, 0),
                bbox={"pad": 0.5, "facecolor": "none" if inside else "white", "edgecolor": "none"},
                textcoords="offset points",
                va="center",
                fontsize=size,
                **style,
            )


def _column(ax: Any, title: str, texts: Sequence[str], size: float, step: int) -> None:
    """A column of texts right of the axis, one a bar."""
    offset = 4 + 0.65 * size * max(map(len, [title, *texts]))  # points
    style = {"textcoords": "offset points", "ha": "right", "fontsize": size, "annotation_clip": False}
    for y in range(0, len(texts), step):
        ax.annotate(texts[y], (1.0, y), (offset, 0), xycoords=ax.get_yaxis_transform(), va="center", **style)
    ax.annotate(title, (1.0, 1.0), (offset, 3), xycoords="axes fraction", va="bottom", **style)


def summary_bars(results: Mapping[str, Scalar], ax: Any = None) -> tuple[Any, Any]:
    """Draw the headline numbers of COCO as bars: average precision, then average recall.

    Args:
        results: What ``MeanAveragePrecision.compute()`` returns; other entries are not looked at.
        ax: A matplotlib axis to draw on.

    Returns:
        The figure and the axis, with a bar a number from top to bottom.

    Raises:
        ModuleNotFoundError: if matplotlib is not installed.
        ValueError: if there are no headline numbers.

    Example:
        >>> fig, ax = summary_bars({"map": 0.4, "map_50": 0.6, "mar_100": 0.5})
        >>> [text.get_text() for text in ax.get_yticklabels()]
        ['AP', 'AP50', 'AR, 100 detections']
    """
    found = {_headline_label(line): line.value for line in _headlines(results)}
    fig, ax = drawing.axes_for(ax, 6.0, 1.0 + 0.28 * max(3, len(found)))
    size, _ = drawing.fitting(drawing.points_of(ax)[1] / len(found))
    _bars(ax, list(found.values()), size)
    labels, style = drawing.lettering(list(found))
    ax.set_yticks(range(len(found)), labels=labels, fontsize=size, **style)
    ax.set_ylim(len(found) - 0.4, -0.6)
    drawing.fraction_axis(ax.xaxis, list(found.values()), "Average precision (AP), average recall (AR)")
    return fig, ax


def headline(results: Mapping[str, Any]) -> dict[str, float]:
    """The headline numbers among the results of ``MeanAveragePrecision``.

    Example:
        >>> headline({"map": 0.4, "mar_100": 0.5, "map/cat": 0.4})
        {'map': 0.4, 'mar_100': 0.5}
    """
    return {line.key: line.value for line in _headlines(results)}


def _headlines(results: Mapping[str, Any]) -> list[Headline]:
    found = headlines(results)
    if "map" not in results:
        raise ValueError(
            f"results: expected map and others, as of MeanAveragePrecision, got the keys {list(results)[:8]}"
        )
    return found


def _headline_label(line: Headline) -> str:
    if line.at is None or not line.at.isdigit():
        return f"{line.kind} {line.at or ''}".strip()
    return f"AP{line.at}" if line.kind == "AP" else f"AR, {line.at} detection{'s' * (line.at != '1')}"


def size_bars(results: Mapping[str, Scalar], ax: Any = None) -> tuple[Any, Any]:
    """Draw average precision and average recall by the size of the objects.

    Args:
        results: What ``MeanAveragePrecision.compute()`` returns: ``map_<area>`` and ``mar_<area>`` are drawn, and for
            all sizes ``map`` and ``mar_<limit>`` of the largest limit.
        ax: A matplotlib axis to draw on.

    Returns:
        The figure and the axis, with the bars of average precision, then those of average recall.

    Raises:
        ModuleNotFoundError: if matplotlib is not installed.
        ValueError: if there are no headline numbers.

    Example:
        >>> results = {"map": 0.4, "mar_100": 0.5, "map_small": 0.2, "mar_small": 0.3}
        >>> fig, ax = size_bars(results)
        >>> [text.get_text() for text in ax.get_xticklabels()], [text.get_text() for text in ax.texts]
        (['all', 'small'], ['0.400', '0.200', '0.500', '0.300'])
    """
    sizes = by_size(results)
    areas = list(sizes["AP"])
    fig, ax = drawing.axes_for(ax, max(4.5, 1.6 + 1.1 * len(areas)), 3.8)
    for side, (title, values) in enumerate(sizes.items()):
        at = [i + 0.4 * (side - 0.5) for i in range(len(areas))]
        heights = [values[area] for area in areas]
        pattern = {"hatch": "///", "edgecolor": "white"} if side else {}
        drawn = [0.0 if math.isnan(height) else height for height in heights]
        ax.bar(at, drawn, width=0.38, color=drawing.COLOURS[side], label=title, **pattern)
        for x, height in zip(at, heights, strict=True):
            style = {"rotation": 90, "color": drawing.GREY, "style": "italic"} if math.isnan(height) else {}
            ax.annotate(
                _decimals(height),
                (x, 0.0 if math.isnan(height) else height),
                (0, 2),
                textcoords="offset points",
                ha="center",
                va="bottom",
                fontsize=8,
                **style,
            )
    labels, style = drawing.lettering(areas)
    ax.set_xticks(range(len(areas)), labels=labels, **style)
    ax.set_xlabel("Size of the objects")
    ax.grid(axis="y", color=drawing.PALE, linewidth=0.6)
    ax.set_axisbelow(True)
    drawing.fraction_axis(ax.yaxis, [], "Average precision, average recall")
    ax.set_ylim(0, 1.08)  # room for a text on a bar of 1
    drawing.legend_beside(ax, ax.containers, list(sizes))
    return fig, ax


def by_size(results: Mapping[str, Scalar]) -> dict[str, dict[str, float]]:
    """``AP`` and ``AR`` for all sizes and for each, from the results of ``MeanAveragePrecision``.

    Example:
        >>> by_size({"map": 0.4, "map_small": 0.2, "mar_1": 0.1, "mar_10": 0.3, "mar_small": 0.3})
        {'AP': {'all': 0.4, 'small': 0.2}, 'AR': {'all': 0.3, 'small': 0.3}}
    """
    lines = _headlines(results)
    largest = max(line.limit for line in lines)
    sizes: dict[str, dict[str, float]] = {"AP": {}, "AR": {}}
    for line in lines:
        if line.key == "map" or line.area != "all" or (line.kind == "AR" and line.limit == largest):
            sizes[line.kind][line.area] = line.value
    if sizes["AP"].keys() != sizes["AR"].keys():
        raise ValueError(f"results: expected map and mar of the same areas, got the keys {list(results)[:12]}")
    return sizes


# Histories.


def history(results: Sequence[Scalar | Mapping[str, Scalar]], label: str = "", ax: Any = None) -> tuple[Any, Any]:
    """Draw how results develop: a line a key, a point an epoch, a gap where a value is NaN or missing.

    More than a dozen lines are thin and grey but for those that are best and worst in the end.

    Args:
        results: One for each epoch: a number, or a dict of numbers.
        label: What the numbers are called.
        ax: A matplotlib axis to draw on.

    Returns:
        The figure and the axis, with a line a key.

    Raises:
        ModuleNotFoundError: if matplotlib is not installed.

    Example:
        >>> fig, ax = history([0.25, float("nan"), 0.5], "F1")
        >>> ax.get_lines()[0].get_ydata().tolist()
        [0.25, nan, 0.5]
    """
    fig, ax = drawing.axes_for(ax, 7.0, 4.2)
    series = _series(results)
    last = [next((v for v in reversed(values) if not math.isnan(v)), math.nan) for values in series.values()]
    styles, named = drawing.emphasis(last, markers=True)
    if len(series) == 1:
        styles[0]["color"] = drawing.COLOURS[0]
    lines = []
    for (key, values), style in zip(series.items(), styles, strict=True):
        lines += ax.plot(range(1, len(values) + 1), values, label=key or label, **style)
    every = [value for values in series.values() for value in values]
    if all(map(math.isnan, every)):
        drawing.note(ax, "undefined" if every else "no results")
    drawing.fraction_axis(ax.yaxis, every, label)
    _epochs(ax, len(results))
    if len(series) > 1:
        keys = list(series)
        ends = "" if len(named) == len(keys) else f"best and worst of {len(keys)} in the end"
        drawing.legend_beside(ax, [lines[i] for i in named], [keys[i] for i in named], ends)
    _grid(ax)
    return fig, ax


def _series(results: Sequence[Scalar | Mapping[str, Scalar]]) -> dict[str, list[float]]:
    """The values of each key, as many as there are results; of plain numbers the key is empty."""
    epochs = [result if isinstance(result, Mapping) else {"": result} for result in results]
    keys = dict.fromkeys(key for epoch in epochs for key in epoch)
    return {key: [float(epoch.get(key, math.nan)) for epoch in epochs] for key in keys}


def _epochs(ax: Any, count: int) -> None:
    from matplotlib.ticker import MaxNLocator

    ax.set_xlim(0.5, max(1, count) + 0.5)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.set_xlabel("Epoch")


def score(
    value: Scalar | Mapping[str, Scalar], support: Mapping[str, int] | None = None, label: str = "", ax: Any = None
) -> tuple[Any, Any]:
    """Draw one result of a score: a number as a point, the numbers of classes as bars.

    Args:
        value: The result, as :func:`numbers` gives it.
        support: The number of targets of each class.
        label: What the score is called.
        ax: A matplotlib axis to draw on.

    Example:
        >>> fig, ax = score({"cat": 0.25, "dog": 0.75}, label="F1")
        >>> [text.get_text() for text in ax.get_yticklabels()]
        ['dog', 'cat']
    """
    if isinstance(value, Mapping):
        return class_bars(value, support, label, ax)
    return history([value], label, ax)


# What they share.


def _class_names(curves: ScoreCurves, names: Sequence[str] | None) -> list[str]:
    listed = [str(label) for label in curves.classes.tolist()] if names is None else list(names)
    if len(listed) != len(curves.classes):
        raise ValueError(f"names: expected {len(curves.classes)}, one a class, got {len(listed)}: {listed[:8]}")
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


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) or (isinstance(value, Tensor) and value.ndim == 0)


def _decimals(value: float) -> str:
    return "undefined" if math.isnan(value) else f"{value:.3f}"


def _grid(ax: Any) -> None:
    ax.grid(color=drawing.PALE, linewidth=0.6)
    ax.set_axisbelow(True)
