"""Pictures with bars: scores of classes, headline numbers, sizes of objects."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from detmetrics.show.plot import drawing
from detmetrics.show.plot.results import Scalar, averages, by_size, headlines_of, label_of
from detmetrics.show.tables import Headline


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
        The figure and the axis, with one bar per class from top to bottom.

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
        if math.isfinite(mean):
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


def summary_bars(results: Mapping[str, Scalar], ax: Any = None) -> tuple[Any, Any]:
    """Draw the headline numbers of COCO as bars: average precision, then average recall.

    Args:
        results: What ``MeanAveragePrecision.compute()`` returns; other entries are ignored.
        ax: A matplotlib axis to draw on.

    Returns:
        The figure and the axis, with one bar per number from top to bottom.

    Raises:
        ModuleNotFoundError: if matplotlib is not installed.
        ValueError: if there are no headline numbers.

    Example:
        >>> fig, ax = summary_bars({"map": 0.4, "map_50": 0.6, "mar_100": 0.5})
        >>> [text.get_text() for text in ax.get_yticklabels()]
        ['AP', 'AP50', 'AR, 100 detections']
    """
    found = {_headline_label(line): line.value for line in headlines_of(results)}
    fig, ax = drawing.axes_for(ax, 6.0, 1.0 + 0.28 * max(3, len(found)))
    size, _ = drawing.fitting(drawing.points_of(ax)[1] / len(found))
    _bars(ax, list(found.values()), size)
    labels, style = drawing.lettering(list(found))
    ax.set_yticks(range(len(found)), labels=labels, fontsize=size, **style)
    ax.set_ylim(len(found) - 0.4, -0.6)
    drawing.fraction_axis(ax.xaxis, list(found.values()), "Average precision (AP), average recall (AR)")
    return fig, ax


def _headline_label(line: Headline) -> str:
    if line.at is not None and line.at.startswith("iou_"):
        return f"{line.kind}{line.at.removeprefix('iou_')}"
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
                drawing.decimals(height),
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
    drawing.grid(ax, "y")
    drawing.fraction_axis(ax.yaxis, [], "Average precision, average recall")
    ax.set_ylim(0, 1.08)  # room for a text on a bar of 1
    drawing.legend_beside(ax, ax.containers, list(sizes))
    return fig, ax


def _bars(ax: Any, scores: Sequence[float], size: float | None) -> None:
    """Horizontal bars from the top, with their values if there is a size for them."""
    widths = [score if math.isfinite(score) else 0.0 for score in scores]  # a distance may be infinite
    ax.barh(range(len(scores)), widths, height=0.75, color=drawing.COLOURS[0])
    drawing.grid(ax, "x")
    far = 0.85 * max([1.0, *widths])
    for y, score in enumerate(scores):
        if math.isnan(score):
            ax.text(0.01, y, "undefined", va="center", fontsize=size or 5.5, color=drawing.GREY, style="italic")
        elif size is not None:
            inside = widths[y] > far
            style = {"ha": "right", "color": "white"} if inside else {"ha": "left", "color": "black"}
            ax.annotate(
                f"{score:.3f}",
                (widths[y], y),
                (-4 if inside else 4, 0),
                bbox={"pad": 0.5, "facecolor": "none" if inside else "white", "edgecolor": "none"},
                textcoords="offset points",
                va="center",
                fontsize=size,
                **style,
            )


def _column(ax: Any, title: str, texts: Sequence[str], size: float, step: int) -> None:
    """A column of texts right of the axis, one per bar."""
    offset = 4 + 0.65 * size * max(map(len, [title, *texts]))  # points
    style = {"textcoords": "offset points", "ha": "right", "fontsize": size, "annotation_clip": False}
    for y in range(0, len(texts), step):
        ax.annotate(texts[y], (1.0, y), (offset, 0), xycoords=ax.get_yaxis_transform(), va="center", **style)
    ax.annotate(title, (1.0, 1.0), (offset, 3), xycoords="axes fraction", va="bottom", **style)
