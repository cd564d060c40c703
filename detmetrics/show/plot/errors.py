"""The pictures of errors: what each kind costs, and localisation recall precision."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from detmetrics.show.plot import drawing
from detmetrics.show.plot.bars import class_bars
from detmetrics.show.plot.histories import history
from detmetrics.show.plot.results import Scalar, numbers

COST, COUNT = "dap_", "num_"
ALL_FALSE = ("false_positive", "false_negative")  # of several kinds together, drawn apart from them


def error_bars(results: Mapping[str, Scalar], ax: Any = None) -> tuple[Any, Any]:
    """Draw what each kind of errors costs, with the number of errors beside it; false positives and negatives below.

    Args:
        results: What ``DetectionErrors.compute()`` returns.
        ax: A matplotlib axis to draw on.

    Returns:
        The figure and the axis, with one bar per kind from top to bottom.

    Raises:
        ModuleNotFoundError: if matplotlib is not installed.
        ValueError: if ``results`` has no costs.

    Example:
        >>> fig, ax = error_bars({"ap": 0.5, "dap_missed": 0.25, "num_missed": 7.0, "dap_false_negative": 0.4})
        >>> [text.get_text() for text in ax.get_yticklabels()]
        ['missed', 'all false negatives']
    """
    costs = {name: float(value) for name, value in costs_of(results).items()}
    names = sorted(costs, key=lambda name: name in ALL_FALSE)
    places = [i + 0.6 * (name in ALL_FALSE) for i, name in enumerate(names)]
    fig, ax = drawing.axes_for(ax, 7.0, 1.2 + 0.32 * max(3, len(names)))
    size, _ = drawing.fitting(drawing.points_of(ax)[1] / (len(names) + 1))
    widths = [costs[name] if math.isfinite(costs[name]) else 0.0 for name in names]
    for special, style in (
        (False, {"color": drawing.COLOURS[0]}),
        (True, {"color": drawing.COLOURS[4], "hatch": "///"}),
    ):
        own = [i for i, name in enumerate(names) if (name in ALL_FALSE) == special]
        ax.barh([places[i] for i in own], [widths[i] for i in own], height=0.75, edgecolor="white", **style)
    most = max([*widths, 1e-3])
    for place, name, width in zip(places, names, widths, strict=True):
        undefined = math.isnan(costs[name])
        text = "undefined" if undefined else _with_count(costs[name], results.get(COUNT + name))
        look = {"color": drawing.GREY, "style": "italic"} if undefined else {}
        ax.text(width + 0.01 * most, place, text, va="center", fontsize=size, **look)
    labels = [f"all {name.replace('_', ' ')}s" if name in ALL_FALSE else name for name in names]
    ax.set_yticks(places, labels=labels, fontsize=size)
    ax.set_ylim(places[-1] + 0.6, -0.6)
    ax.set_xlim(0.0, 1.35 * most)  # room for the texts
    drawing.grid(ax, "x")
    ap = results.get("ap")
    known = ap is not None and not math.isnan(float(ap))
    ax.set_xlabel("Average precision lost" + (f", of {1 - float(ap):.3f} (AP {float(ap):.3f})" if known else ""))  # type: ignore[arg-type]
    return fig, ax


def _with_count(cost: float, count: Scalar | None) -> str:
    errors = "" if count is None else f"  ({int(count):,} error{'s' * (int(count) != 1)})"
    return f"{cost:.3f}{errors}"


def costs_of(results: Any) -> dict[str, Scalar]:
    """The costs among the results of ``DetectionErrors``, by kind.

    Example:
        >>> costs_of({"ap": 0.5, "dap_missed": 0.25})
        {'missed': 0.25}
    """
    if not isinstance(results, Mapping):
        raise ValueError(f"val: expected a dict, as compute() returns it, got {type(results).__name__}")
    found = numbers(results, prefix=COST)
    return found if isinstance(found, dict) else {}


class Errors:
    """What each kind of errors costs: a bar each; over time a line each."""

    label = "Average precision lost"

    def numbers(self, result: Any) -> Mapping[str, Scalar]:
        """The costs by kind."""
        return costs_of(result)

    def draw(self, result: Any, ax: Any = None, *, fresh: bool = False) -> tuple[Any, Any]:
        """Draw one result."""
        return error_bars(result, ax)


class LocalizationRecallPrecision:
    """Optimal LRP of each class as bars if the result has classes, else the means; over time the means.

    Args:
        class_titles: Gives the names of classes ``(C,)``.
    """

    label = "Localisation recall precision (LRP), an error"

    def __init__(self, class_titles: Callable[[Tensor], Sequence[str]]) -> None:
        self.class_titles = class_titles

    def numbers(self, result: Any) -> Mapping[str, Scalar]:
        """The means over classes."""
        found = numbers(result)
        means = {key: value for key, value in found.items() if "/" not in key} if isinstance(found, Mapping) else {}
        if "olrp" not in means:
            raise ValueError(f"val: expected a dict with 'olrp', as compute() returns it, got {list(means) or result}")
        return means

    def draw(self, result: Any, ax: Any = None, *, fresh: bool = False) -> tuple[Any, Any]:
        """Draw one result."""
        means = self.numbers(result)
        classes = {key.removeprefix("olrp/"): value for key, value in result.items() if key.startswith("olrp/")}
        if "olrp_per_class" in result:
            classes = dict(zip(self.class_titles(result["classes"]), result["olrp_per_class"], strict=True))
        return class_bars(classes, None, "Optimal LRP", ax) if classes else history([means], self.label, ax)
