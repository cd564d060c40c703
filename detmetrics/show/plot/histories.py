"""Pictures of results over epochs, and of a single one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from detmetrics.show.plot import drawing
from detmetrics.show.plot.bars import class_bars
from detmetrics.show.plot.results import Scalar, numbers


def history(results: Sequence[Scalar | Mapping[str, Scalar]], label: str = "", ax: Any = None) -> tuple[Any, Any]:
    """Draw how results develop: one line per key and one point per epoch.

    A line has a gap where a value is NaN or missing. More than a dozen lines are thin and grey but for those that are
    best and worst in the end.

    Args:
        results: One for each epoch: a number, or a dict of numbers.
        label: What the numbers are called.
        ax: A matplotlib axis to draw on.

    Returns:
        The figure and the axis, with one line per key.

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
    drawing.grid(ax)
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


@dataclass(frozen=True)
class Numbers:
    """The picture of a metric that has none of its own: its 0-d numbers, as points or lines."""

    label: str

    def numbers(self, result: Any) -> Scalar | Mapping[str, Scalar]:
        """The 0-d numbers of a result."""
        return numbers(result)

    def draw(self, result: Any, ax: Any = None, *, fresh: bool = False) -> tuple[Any, Any]:
        """Draw one result as a history of one point per number."""
        return history([numbers(result)], self.label, ax)
