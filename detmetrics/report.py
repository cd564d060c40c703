"""Results as text."""

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from rich.table import Table

_HEADLINE = re.compile(r"m(?P<kind>ap|ar)(_(?P<at>(?!.*per_class)[^/]+))?")  # map, map_50, mar_100, map_small
TITLES = {"AP": "Average Precision", "AR": "Average Recall"}


class Headline(NamedTuple):
    """One of COCO's numbers, and what it is taken at."""

    key: str  # among the results
    kind: str  # "AP" or "AR"
    at: str | None  # what stands in the key behind the kind: an IoU in percent, an area or a limit
    iou: str  # "0.50:0.95"
    area: str  # "all", "small", ...
    limit: int  # detections of a class in an image
    value: float


def headlines(results: Mapping[str, Any], iou_thresholds: Sequence[float] = (0.5, 0.95)) -> list[Headline]:
    """COCO's numbers among the results, in their order.

    Args:
        results: what ``MeanAveragePrecision.compute()`` returns; only headline numbers are read.
        iou_thresholds: the thresholds that ``map`` and ``mar`` are means over, ascending; the ends are shown.

    Example:
        >>> headlines({"map_50": 0.5, "mar_100": 0.75, "map/cat": 0.5})[0]
        Headline(key='map_50', kind='AP', at='50', iou='0.50', area='all', limit=100, value=0.5)
    """
    iou_range = f"{iou_thresholds[0]:.2f}:{iou_thresholds[-1]:.2f}"
    matches = [match for match in map(_HEADLINE.fullmatch, results) if match]
    limits = [int(match["at"]) for match in matches if match["kind"] == "ar" and (match["at"] or "").isdigit()]
    found = []
    for match in matches:
        kind, at = match["kind"].upper(), match["at"]
        iou, area, limit = iou_range, "all", max(limits, default=0)
        if at is not None and not at.isdigit():
            area = at
        elif at is not None and kind == "AR":
            limit = int(at)
        elif at is not None:
            iou = f"{int(at) / 100:.2f}"
        found.append(Headline(match.string, kind, at, iou, area, limit, float(results[match.string])))
    return found


def coco_summary(results: Mapping[str, float], iou_thresholds: Sequence[float] = (0.5, 0.95)) -> str:
    """The lines that pycocotools prints, in its layout.

    Args:
        results: what ``MeanAveragePrecision.compute()`` returns, as floats; only headline numbers are read.
        iou_thresholds: the thresholds that ``map`` and ``mar`` are means over, ascending; the ends are shown.

    Returns:
        A line a number, twelve with the default thresholds, areas and limits. -1 stands for NaN, as in pycocotools.

    Example:
        >>> print(coco_summary({"map": 0.50458, "map_50": 0.69697, "mar_100": 0.59535, "mar_small": float("nan")}))
         Average Precision  (AP) @[ IoU=0.50:0.95 | area=   all | maxDets=100 ] = 0.505
         Average Precision  (AP) @[ IoU=0.50      | area=   all | maxDets=100 ] = 0.697
         Average Recall     (AR) @[ IoU=0.50:0.95 | area=   all | maxDets=100 ] = 0.595
         Average Recall     (AR) @[ IoU=0.50:0.95 | area= small | maxDets=100 ] = -1.000
    """
    return "\n".join(
        f" {TITLES[line.kind]:<18} ({line.kind}) @[ IoU={line.iou:<9} | area={line.area:>6} | "
        f"maxDets={line.limit:>3} ] = {-1.0 if math.isnan(line.value) else line.value:0.3f}"
        for line in headlines(results, iou_thresholds)
    )


def class_table(results: Mapping[str, float]) -> str:
    """A row a class, from the results ``map/<name>`` and ``mar_<limit>/<name>``.

    Args:
        results: what ``MeanAveragePrecision(class_metrics=True, class_names=...).compute()`` returns, as floats.

    Returns:
        A header and a line a class, in the order of the results; ``nan`` where a class has no targets.

    Example:
        >>> nan = float("nan")
        >>> print(class_table({"map/cat": 0.75, "map/dog": nan, "mar_100/cat": 0.8, "mar_100/dog": nan}))
        class    map  mar_100
        cat    0.750    0.800
        dog      nan      nan
    """
    scores, classes = _by_class(results)
    return _aligned([["class", *scores], *([name, *(f"{v:.3f}" for v in row)] for name, row in classes.items())])


def _by_class(results: Mapping[str, float]) -> tuple[list[str], dict[str, list[float]]]:
    """The names of the scores, and the scores of each class."""
    scores: dict[str, None] = {}
    classes: dict[str, list[float]] = {}
    for key, value in results.items():
        score, slash, name = key.partition("/")
        if slash:
            scores[score] = None
            classes.setdefault(name, []).append(value)
    return list(scores), classes


def terminal_tables(results: Mapping[str, float], iou_thresholds: Sequence[float] = (0.5, 0.95)) -> "list[Table]":
    """What :func:`coco_summary` and :func:`class_table` say, for a person at a terminal.

    Args:
        results: what ``MeanAveragePrecision.compute()`` returns, as floats.
        iou_thresholds: the thresholds that ``map`` and ``mar`` are means over, ascending; the ends are shown.

    Returns:
        Tables for rich: the headline numbers with bars, and the classes if there are results of classes. Print them on
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
    from rich import box
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    def cell(value: float) -> Text:
        return Text("-", "dim") if math.isnan(value) else Text(f"{value:.3f}", "bold")

    summary = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for heading in ("", "IoU", "area", "max", ""):
        summary.add_column(heading, justify="right", min_width=2, no_wrap=True)
    summary.add_column(max_width=30)
    for kind, group in itertools.groupby(headlines(results, iou_thresholds), lambda line: line.kind):
        for line in group:
            done = 0.0 if math.isnan(line.value) else line.value
            bar = ProgressBar(total=1, completed=done, complete_style="cyan", finished_style="cyan")
            summary.add_row(kind, line.iou, line.area, str(line.limit), cell(line.value), bar)
        summary.add_section()
    scores, classes = _by_class(results)
    per_class = Table("class", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for score in scores:
        per_class.add_column(score, justify="right", no_wrap=True)
    for name, values in classes.items():
        per_class.add_row(Text(name), *map(cell, values))
    return [summary, per_class] if classes else [summary]


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    """The cells in columns, the first flush left and the others flush right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in rows)
    return "\n".join("  ".join(line) for line in lines)


def score_table(
    headers: Sequence[str],
    classes: Mapping[str, Sequence[float | None]],
    averages: Mapping[str, Sequence[float | None]],
    digits: int = 2,
) -> str:
    """A row a class and a row an average, character for character in the layout of scikit-learn's reports.

    Args:
        headers: what stands over the columns.
        classes: a value a column for each class: a float, an int, or None to leave it blank.
        averages: the same for the rows below.
        digits: of the floats after the point.

    Returns:
        The text, ending with a newline.

    Example:
        >>> print(score_table(["f1", "support"], {"cat": [0.5, 4], "dog": [1.0, 2]}, {"macro avg": [0.75, 6]}))
                             f1   support
        <BLANKLINE>
                 cat       0.50         4
                 dog       1.00         2
        <BLANKLINE>
           macro avg       0.75         6
        <BLANKLINE>
    """
    width = max(len("weighted avg"), digits, *map(len, classes))
    lines = [_table_row("", headers, width, digits), ""]
    lines += [_table_row(name, values, width, digits) for name, values in classes.items()]
    lines += ["", *(_table_row(name, values, width, digits) for name, values in averages.items()), ""]
    return "\n".join(lines)


def _table_row(name: str, values: Sequence[float | str | None], width: int, digits: int) -> str:
    cells = (f"{v:.{digits}f}" if isinstance(v, float) else "" if v is None else str(v) for v in values)
    return f"{name:>{width}s} " + "".join(f" {cell:>9}" for cell in cells)
