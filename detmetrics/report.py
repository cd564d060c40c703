"""Results as text."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence

_HEADLINE = re.compile(r"m(?P<kind>ap|ar)(_(?P<at>[^/]+))?")  # map, map_50, mar_100, map_small
_TITLES = {"ap": ("Average Precision", "(AP)"), "ar": ("Average Recall", "(AR)")}


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
    return "\n".join(_summary_lines(results, f"{iou_thresholds[0]:.2f}:{iou_thresholds[-1]:.2f}"))


def _summary_lines(results: Mapping[str, float], iou_range: str) -> Iterator[str]:
    headline = [(match, results[match.string]) for match in map(_HEADLINE.fullmatch, results) if match]
    limits = [int(match["at"]) for match, _ in headline if match["kind"] == "ar" and match["at"].isdigit()]
    for match, value in headline:
        iou, area, limit = iou_range, "all", max(limits)
        if match["at"] is None:
            pass
        elif not match["at"].isdigit():
            area = match["at"]
        elif match["kind"] == "ar":
            limit = int(match["at"])
        else:
            iou = f"{int(match['at']) / 100:.2f}"
        title, short = _TITLES[match["kind"]]
        shown = -1.0 if math.isnan(value) else value
        yield f" {title:<18} {short} @[ IoU={iou:<9} | area={area:>6} | maxDets={limit:>3} ] = {shown:0.3f}"


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
    cells = [(*key.split("/", 1), f"{value:.3f}") for key, value in results.items() if "/" in key]
    scores = dict.fromkeys(score for score, _, _ in cells)
    rows = {name: [name] for _, name, _ in cells}
    for _, name, cell in cells:
        rows[name].append(cell)
    return _aligned([["class", *scores], *rows.values()])


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
