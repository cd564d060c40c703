"""Results as tables for a person at a terminal."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from detmetrics.show.tables import headlines, one_line, scores_by_class

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text


def terminal_tables(results: Mapping[str, float], iou_thresholds: Sequence[float] = (0.5, 0.95)) -> list[Table]:
    """What :func:`~detmetrics.show.tables.coco_summary` and ``class_table`` say, with bars and colours.

    Args:
        results: What ``MeanAveragePrecision.compute()`` returns, as floats.
        iou_thresholds: The thresholds that ``map`` and ``mar`` are means over, ascending; the ends are shown.

    Returns:
        Tables for rich: the headline numbers with bars, and the classes if there are results per class. Print them on
        a console that does not read markup in names. A dash stands for NaN.

    Raises:
        ImportError: if rich is missing.

    Example:
        >>> from rich.console import Console
        >>> Console(width=48).print(*terminal_tables({"map_50": 0.5, "mar_100": float("nan")}))
               IoU   area   max
        ────────────────────────────────────────────────
        AP        0.50    all   100   0.500   ━━━━━
        <BLANKLINE>
        AR   0.50:0.95    all   100       -
    """
    summary = _summary(results, iou_thresholds)
    scores, classes = scores_by_class(results)
    return [summary, _per_class(scores, classes)] if classes else [summary]


def _summary(results: Mapping[str, float], iou_thresholds: Sequence[float]) -> Table:
    from rich import box
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for heading in ("", "IoU", "area", "max", ""):
        table.add_column(heading, justify="right", min_width=2, no_wrap=True)
    table.add_column(max_width=30)
    for kind, group in itertools.groupby(headlines(results, iou_thresholds), lambda line: line.kind):
        for line in group:
            done = 0.0 if math.isnan(line.value) else line.value
            bar = ProgressBar(total=1, completed=done, complete_style="cyan", finished_style="cyan")
            table.add_row(kind, line.iou, Text(one_line(line.area)), str(line.limit), _cell(line.value), bar)
        table.add_section()
    return table


def _per_class(scores: Sequence[str], classes: Mapping[str, Sequence[float]]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table("class", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for score in scores:
        table.add_column(score, justify="right", no_wrap=True)
    for name, values in classes.items():
        table.add_row(Text(one_line(name)), *map(_cell, values))
    return table


def _cell(value: float) -> Text:
    from rich.text import Text

    return Text("-", "dim") if math.isnan(value) else Text(f"{value:.3f}", "bold")
