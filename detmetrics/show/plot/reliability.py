"""The picture of calibration: what scores promise, and what they keep."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from detmetrics import arguments
from detmetrics.reduce.calibration import Calibration
from detmetrics.show.plot import drawing
from detmetrics.show.plot.matrices import short_count
from detmetrics.show.plot.results import Scalar

MOST_COUNTS = 15  # bins up to which their counts are written


def reliability_diagram(result: Calibration, index: int = -1, title: str = "", ax: Any = None) -> tuple[Any, Any]:
    """Draw precision and mean IoU of each bin as bars and points over its scores, with the number of detections.

    Args:
        result: What ``DetectionCalibration.compute()`` returns.
        index: Which class; -1 for all classes pooled.
        title: What it is called.
        ax: A matplotlib axis to draw on.

    Returns:
        The figure and the axis.

    Raises:
        ModuleNotFoundError: if matplotlib is not installed.

    Example:
        >>> from detmetrics.demo import generate
        >>> from detmetrics.functional import detection_calibration
        >>> fig, ax = reliability_diagram(detection_calibration(*generate(5, 10, 2), num_bins=4))
        >>> len(ax.patches)
        4
    """
    fig, ax = drawing.axes_for(ax, 6.4, 4.6)
    edges, counts = result.edges.tolist(), result.counts[index].tolist()
    precision, iou, scores = (
        getattr(result, name)[index].nan_to_num(0.0).tolist() for name in ("precision", "mean_iou", "mean_score")
    )
    widths = [right - left for left, right in itertools.pairwise(edges)]
    ax.bar(edges[:-1], precision, widths, align="edge", color=drawing.COLOURS[0], edgecolor="white", label="Precision")
    ax.plot([0, 1], [0, 1], color="black", linestyle="--", linewidth=1.0, zorder=3, label="as promised")
    full = [i for i, count in enumerate(counts) if count]
    points = [[values[i] for i in full] for values in (scores, iou)]
    ax.plot(*points, linestyle="none", marker="o", color=drawing.COLOURS[1], markeredgecolor="white", label="Mean IoU")
    if len(counts) <= MOST_COUNTS:
        for left, width, height, count in zip(edges[:-1], widths, precision, counts, strict=True):
            style = {"ha": "center", "va": "bottom", "fontsize": 7.5, "color": "black" if count else drawing.GREY}
            ax.text(left + width / 2, height + 0.01, short_count(count), **style)
    drawing.fraction_axis(ax.xaxis, [], "Score" + (f", {title}" if title else ""))
    drawing.fraction_axis(ax.yaxis, [], "Precision, mean IoU")
    ax.set_ylim(0, 1.08)  # room for a count on a bar of 1
    handles, labels = ax.get_legend_handles_labels()
    error, aware = (drawing.decimals(getattr(result, name)[index].item()) for name in ("d_ece", "la_ece"))
    drawing.legend_beside(ax, handles, labels, f"D-ECE {error}, LaECE {aware}")
    drawing.grid(ax, "y")
    if not full:
        drawing.note(ax, "no detections")
    return fig, ax


class Reliability:
    """A reliability diagram; over time the errors.

    Args:
        name: The class that is drawn; None for all classes pooled.
        class_titles: Gives the names of classes ``(C,)``.
    """

    def __init__(self, name: str | None, class_titles: Callable[[Tensor], Sequence[str]]) -> None:
        self.name, self.class_titles = name, class_titles

    @property
    def label(self) -> str:
        """What the numbers of a history are called."""
        return "Calibration error" + (f", {drawing.shorten(self.name)}" if self.name else "")

    def numbers(self, result: Any) -> Mapping[str, Scalar]:
        """The errors, and the Brier score."""
        index = self._index(result)
        return {name: getattr(result, name)[index] for name in ("d_ece", "la_ece", "brier")}

    def draw(self, result: Any, ax: Any = None, *, fresh: bool = False) -> tuple[Any, Any]:
        """Draw one result."""
        return reliability_diagram(result, self._index(result), self.name or "", ax)

    def _index(self, result: Any) -> int:
        if not isinstance(result, Calibration):
            raise ValueError(f"val: expected Calibration, as compute() returns it, got {type(result).__name__}")
        if self.name is None:
            return -1
        names = list(self.class_titles(result.classes))
        arguments.choice("name", self.name, names)
        return names.index(self.name)
