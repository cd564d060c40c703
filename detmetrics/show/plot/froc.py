"""The picture of recall against false positives an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from detmetrics.reduce.curves import ScoreCurves
from detmetrics.reduce.formulas import divide
from detmetrics.reduce.operating_points import FROC_RATES
from detmetrics.show.plot import drawing
from detmetrics.show.plot.curves import POOLED

ENDS = (1 / 64, 16.0)  # of the axis


def froc_curves(curves: ScoreCurves, names: Sequence[str], ax: Any = None) -> tuple[Any, Any]:
    """Draw recall against false positives an image (FROC): one line per class, and all classes pooled.

    More than a dozen classes are thin and grey but for the best and the worst.

    Args:
        curves: What ``DetectionCurves.compute()`` returns.
        names: Those of ``curves.classes``.
        ax: A matplotlib axis to draw on.

    Returns:
        The figure and the axis, with C + 1 lines, the last of them the pooled one.

    Raises:
        ModuleNotFoundError: if matplotlib is not installed.

    Example:
        >>> from detmetrics.demo import generate
        >>> from detmetrics.functional import detection_curves
        >>> fig, ax = froc_curves(detection_curves(*generate(5, 10, 2)), names=["cat", "dog"])
        >>> [line.get_label() for line in ax.get_lines()]
        ['cat', 'dog', 'all classes']
    """
    fig, ax = drawing.axes_for(ax, 7.0, 4.6)
    scores = curves.froc()[1].tolist()
    styles, named = drawing.emphasis(scores[:-1])
    styles.append({"color": "black", "linewidth": 2.4, "zorder": 3})
    offsets, lines = curves.offsets.tolist(), []
    for i, (name, style) in enumerate(zip([*names, POOLED], styles, strict=True)):
        part = slice(offsets[i], offsets[i + 1])
        rates, recalls = _line(curves, part) if curves.num_targets[i] > 0 else ([], [])
        lines += ax.plot(rates, recalls, label=name, **style)
    if not bool(curves.num_targets.any()):
        drawing.note(ax, "no targets")
    ax.set_xscale("log", base=2)
    ax.set_xlim(*ENDS)
    ax.set_xticks(FROC_RATES, labels=[f"1/{1 / rate:.0f}" if rate < 1 else f"{rate:.0f}" for rate in FROC_RATES])
    ax.set_xlabel("False positives an image")
    drawing.fraction_axis(ax.yaxis, [], "Recall")
    shown = [*named, len(names)]
    texts = [f"{drawing.shorten([*names, POOLED][i])}: {drawing.decimals(scores[i])}" for i in shown]
    ends = "" if len(named) == len(names) else f", best and worst of {len(names)}"
    drawing.legend_beside(ax, [lines[i] for i in shown], texts, f"FROC score{ends}")
    drawing.grid(ax)
    return fig, ax


def _line(curves: ScoreCurves, part: slice) -> tuple[Any, Any]:
    """The points of a curve, from no false positive to more than the axis has."""
    rate = divide(curves.false_positives[part], curves.num_images)
    recall = curves.recall[part]
    zero: Tensor = recall.new_zeros(1)
    last = recall[-1:] if len(recall) else zero
    rates = torch.cat([zero, rate, rate.new_full((1,), ENDS[1])]).clamp(min=ENDS[0] / 2)
    return rates.tolist(), torch.cat([zero, recall, last]).tolist()
