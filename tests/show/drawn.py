"""What the pictures of the tests are made of, and what is read off them."""

import io
import math
from typing import Any

from matplotlib.figure import Figure

from detmetrics import (
    DetectionCurves,
    demo,
)
from detmetrics.reduce.curves import ScoreCurves

NAN = math.nan
ODD = ["_a $very$ long name of a class, 12 % of it", "Straße Ж αβ $x_1$"]
MANY = [f"a class with number {i}" for i in range(80)]


def detections(num_classes: int, empty: int | None = None) -> tuple[Any, Any]:
    """Detections and targets; one class can be without targets."""
    preds, target = demo.generate(40, 20, num_classes, seed=3)
    for item in target:
        kept = item["labels"] != (-1 if empty is None else empty)
        item |= {key: item[key][kept] for key in ("boxes", "labels", "iscrowd")}
    return preds, target


def fed(metric: Any, *batch: Any) -> Any:
    metric.update(*batch)
    return metric


def curves_of(num_classes: int, empty: int | None = None, **settings: Any) -> ScoreCurves:
    settings = {"num_classes": num_classes, **settings}
    result: ScoreCurves = fed(DetectionCurves(**settings), *detections(num_classes, empty)).compute()
    return result


def curve(curves: ScoreCurves, column: str, i: int) -> list[float]:
    values: list[float] = getattr(curves, column)[curves.offsets[i] : curves.offsets[i + 1]].tolist()
    return values


def rendered(fig: Figure) -> bytes:
    """The picture; anything that warns fails the test."""
    buffer = io.BytesIO()
    fig.savefig(buffer, format="png")
    return buffer.getvalue()


def ticks(axis: Any) -> list[str]:
    return [text.get_text() for text in axis.get_ticklabels()]


def legend(ax: Any) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def texts(ax: Any) -> list[str]:
    return [text.get_text() for text in ax.texts]


def data(line: Any) -> tuple[list[float], list[float]]:
    return list(map(float, line.get_xdata())), list(map(float, line.get_ydata()))


def bars(ax: Any) -> list[float]:
    (container,) = ax.containers
    return [float(bar.get_width()) for bar in container]
