"""Results as text."""

import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

_HEADLINE = re.compile(r"m(?P<kind>ap|ar)(_(?P<at>(?!.*per_class)[^/]+))?")  # map, map_50, mar_100, map_small
_UNSEEN = {"Cc", "Cs", "Zl", "Zp"}  # Unicode's categories: control characters, half surrogates, ends of lines
_TURNING = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}  # they reorder what comes after a name
TITLES = {"AP": "Average Precision", "AR": "Average Recall"}


def one_line(name: str) -> str:
    r"""A name as it stands in a table: what could end its line, move the cursor or not be encoded is escaped.

    Example:
        >>> print(one_line("café \n map 1.000"))
        café \n map 1.000
    """
    return "".join(map(_visible, name))


def _visible(character: str) -> str:
    if unicodedata.category(character) in _UNSEEN or unicodedata.bidirectional(character) in _TURNING:
        return character.encode("unicode_escape").decode()
    return character


class Headline(NamedTuple):
    """One of COCO's numbers, and what it is taken at."""

    key: str  # among the results
    kind: str  # "AP" or "AR"
    at: str | None  # what follows the kind in the key: an IoU in percent, an area or a limit; iou_50 of recall at .5
    iou: str  # "0.50:0.95"
    area: str  # "all", "small", ...
    limit: int  # detections per class and image
    value: float


def headlines(results: Mapping[str, Any], iou_thresholds: Sequence[float] = (0.5, 0.95)) -> list[Headline]:
    """COCO's numbers among the results, in their order.

    Args:
        results: What ``MeanAveragePrecision.compute()`` returns; only headline numbers are read.
        iou_thresholds: The thresholds that ``map`` and ``mar`` are means over, ascending; the ends are shown.

    Returns:
        The headline numbers in the order of the results.

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
        percent = at if kind == "AP" else (at or "").removeprefix("iou_")
        if at is not None and kind == "AR" and at.isdigit():
            limit = int(at)
        elif percent and percent.isdigit():
            iou = f"{int(percent) / 100:.2f}"
        elif at is not None:
            area = at
        found.append(Headline(match.string, kind, at, iou, area, limit, float(results[match.string])))
    return found


def coco_summary(results: Mapping[str, float], iou_thresholds: Sequence[float] = (0.5, 0.95)) -> str:
    """The lines that pycocotools prints, in its layout.

    Args:
        results: What ``MeanAveragePrecision.compute()`` returns, as floats; only headline numbers are read.
        iou_thresholds: The thresholds that ``map`` and ``mar`` are means over, ascending; the ends are shown.

    Returns:
        One line per number, twelve with the default thresholds, areas and limits. -1 stands for NaN, as in pycocotools.

    Example:
        >>> print(coco_summary({"map": 0.50458, "map_50": 0.69697, "mar_100": 0.59535, "mar_small": float("nan")}))
         Average Precision  (AP) @[ IoU=0.50:0.95 | area=   all | maxDets=100 ] = 0.505
         Average Precision  (AP) @[ IoU=0.50      | area=   all | maxDets=100 ] = 0.697
         Average Recall     (AR) @[ IoU=0.50:0.95 | area=   all | maxDets=100 ] = 0.595
         Average Recall     (AR) @[ IoU=0.50:0.95 | area= small | maxDets=100 ] = -1.000
    """
    return "\n".join(
        f" {TITLES[line.kind]:<18} ({line.kind}) @[ IoU={line.iou:<9} | area={one_line(line.area):>6} | "
        f"maxDets={line.limit:>3} ] = {-1.0 if math.isnan(line.value) else line.value:0.3f}"
        for line in headlines(results, iou_thresholds)
    )


def lvis_summary(results: Mapping[str, float], iou_thresholds: Sequence[float] = (0.5, 0.95)) -> str:
    """The lines that the package lvis prints, in its layout.

    Args:
        results: What ``LVISAveragePrecision.compute()`` returns, as floats; only headline numbers are read.
        iou_thresholds: The thresholds that ``map`` and ``mar`` are means over, ascending; the ends are shown.

    Returns:
        One line per number. -1 stands for NaN, as in lvis.

    Example:
        >>> print(lvis_summary({"map": 0.50458, "map_small": float("nan"), "map_rare": 0.25, "mar_300": 0.59535}))
         Average Precision  (AP) @[ IoU=0.50:0.95 | area=   all | maxDets=300 catIds=all] = 0.505
         Average Precision  (AP) @[ IoU=0.50:0.95 | area=     s | maxDets=300 catIds=all] = -1.000
         Average Precision  (AP) @[ IoU=0.50:0.95 | area=   all | maxDets=300 catIds=  r] = 0.250
         Average Recall     (AR) @[ IoU=0.50:0.95 | area=   all | maxDets=300 catIds=all] = 0.595
    """
    lines = []
    for line in headlines(results, iou_thresholds):
        frequency = {"rare": "r", "common": "c", "frequent": "f"}.get(line.area)
        area = {"small": "s", "medium": "m", "large": "l"}.get(line.area, line.area) if frequency is None else "all"
        value = -1.0 if math.isnan(line.value) else line.value
        lines.append(
            f" {TITLES[line.kind]:<18} ({line.kind}) @[ IoU={line.iou:<9} | area={one_line(area):>6} | "
            f"maxDets={line.limit:>3} catIds={frequency or 'all':>3}] = {value:0.3f}"
        )
    return "\n".join(lines)


def class_table(results: Mapping[str, float]) -> str:
    """A table with one row per class, from the results ``map/<name>`` and ``mar_<limit>/<name>``.

    Args:
        results: What ``MeanAveragePrecision(class_metrics=True, class_names=...).compute()`` returns, as floats.

    Returns:
        A header and one line per class, in the order of the results; ``nan`` where a class has no targets.

    Example:
        >>> nan = float("nan")
        >>> print(class_table({"map/cat": 0.75, "map/dog": nan, "mar_100/cat": 0.8, "mar_100/dog": nan}))
        class    map  mar_100
        cat    0.750    0.800
        dog      nan      nan
    """
    scores, classes = scores_by_class(results)
    return _aligned([["class", *scores], *([name, *(f"{v:.3f}" for v in row)] for name, row in classes.items())])


def scores_by_class(results: Mapping[str, float]) -> tuple[list[str], dict[str, list[float]]]:
    """The names of the scores among results ``<score>/<name>``, and the scores of each class.

    Example:
        >>> scores_by_class({"map": 0.6, "map/cat": 0.5, "map/dog": 0.7})
        (['map'], {'cat': [0.5], 'dog': [0.7]})
    """
    scores: dict[str, None] = {}
    classes: dict[str, list[float]] = {}
    for key, value in results.items():
        score, slash, name = key.partition("/")
        if slash:
            scores[score] = None
            classes.setdefault(name, []).append(value)
    return list(scores), classes


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    """The cells in columns, the first flush left and the others flush right."""
    rows = [[one_line(row[0]), *row[1:]] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in rows)
    return "\n".join("  ".join(line) for line in lines)


def score_table(
    headers: Sequence[str],
    classes: Mapping[str, Sequence[float | None]],
    averages: Mapping[str, Sequence[float | None]],
    digits: int = 2,
) -> str:
    """A table with one row per class and per average, character for character in the layout of scikit-learn's reports.

    Args:
        headers: The titles of the columns.
        classes: For each class the value of each column: a float, an int, or None to leave it blank.
        averages: The same for the rows below.
        digits: Decimals of the floats.

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
    shown = [one_line(name) for name in classes]
    width = max(len("weighted avg"), digits, *map(len, shown))
    lines = [_table_row("", headers, width, digits), ""]
    lines += [_table_row(name, values, width, digits) for name, values in zip(shown, classes.values(), strict=True)]
    lines += [""] * bool(classes)
    lines += [*(_table_row(name, values, width, digits) for name, values in averages.items()), ""]
    return "\n".join(lines)


def _table_row(name: str, values: Sequence[float | str | None], width: int, digits: int) -> str:
    cells = (f"{v:.{digits}f}" if isinstance(v, float) else "" if v is None else str(v) for v in values)
    return f"{name:>{width}s} " + "".join(f" {cell:>9}" for cell in cells)
