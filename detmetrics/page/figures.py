"""Pictures of the numbers, as SVG elements of the page."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.figure import Figure
from torch import Tensor

from detmetrics.page.numbers import Numbers
from detmetrics.show import plot

MOST_IN_MATRIX = 200  # classes; the picture of more could not be read
ENLARGED = 1.2  # letters a fifth larger than matplotlib's, and no more


def draw_figures(numbers: Numbers, values: Mapping[str, float]) -> dict[str, Markup]:
    """The pictures of a page by their keys.

    Args:
        numbers: What the page shows.
        values: COCO's numbers.
    """
    names, curves = numbers.names, numbers.curves
    figures = {
        "sizes": _picture("sizes", "Average precision and recall by size", lambda ax: plot.size_bars(values, ax)),
        "fan": _picture(
            "fan",
            "Precision against recall at each IoU threshold",
            lambda ax: plot.iou_fan(numbers.results["precision"], numbers.iou_thresholds, numbers.rec_thresholds, ax),
        ),
        "precision_recall": _picture(
            "precision_recall",
            "Precision against recall of each class",
            lambda ax: plot.precision_recall(curves, names, ax),
        ),
        "scores": _picture(
            "scores",
            "Precision, recall and F1 against the score threshold",
            lambda ax: plot.score_curves(curves, names=names, ax=ax),
        ),
    }
    if numbers.matrix is not None and len(names) <= MOST_IN_MATRIX:
        figures["matrix"] = matrix_picture(numbers.matrix, names)
    return figures


def errors_picture(values: Mapping[str, Tensor]) -> dict[str, Markup]:
    """What each kind of errors costs, by its key."""
    return {"errors": _picture("errors", "What each kind of errors costs", lambda ax: plot.error_bars(values, ax))}


def matrix_picture(matrix: Tensor, names: list[str]) -> Markup:
    """A confusion matrix of at most :data:`MOST_IN_MATRIX` classes."""
    side = min(3.5 + 0.4 * len(names), 13.0)
    return _picture("matrix", "Confusion matrix", lambda ax: plot.confusion_matrix(matrix, names, ax), (side + 1, side))


def _picture(
    key: str, description: str, draw: Callable[[Any], object], size: tuple[float, float] = (6.0, 3.8)
) -> Markup:
    """An SVG element whose ids begin with ``key``, so that pictures do not meet on the page."""
    root = ElementTree.fromstring(_svg(key, draw, size))
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag.endswith(("}metadata", "}style")):  # a style would hold for the whole page
                parent.remove(child)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]  # HTML needs no namespaces
        _rewrite_attributes(element, key)
    for name in ("width", "height", "version"):
        del root.attrib[name]
    root.set("style", f"max-width: {size[0] * ENLARGED:.1f}in")
    root.set("role", "img")
    root.set("aria-label", description)
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _svg(key: str, draw: Callable[[Any], object], size: tuple[float, float]) -> bytes:
    """The SVG file that matplotlib writes, the same bytes for the same picture."""
    buffer = io.BytesIO()
    with mpl.rc_context():
        mpl.rcdefaults()  # the user's settings would change the bytes
        mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": key, "path.simplify_threshold": 0.5})
        figure = Figure(figsize=size, layout="constrained")
        draw(figure.subplots())
        figure.savefig(buffer, format="svg", transparent=True)
    return buffer.getvalue()


def _rewrite_attributes(element: ElementTree.Element, key: str) -> None:
    """Drop namespaces, put ``key`` before ids and what refers to them, and shorten the coordinates of paths."""
    for name, value in list(element.attrib.items()):
        del element.attrib[name]
        local = name.rpartition("}")[2]
        if local == "d":  # a path: a hundredth of a point is enough
            value = re.sub(r"(\.\d\d)\d+", r"\1", value)
        prefix = {"id": "^", "href": "^#"}.get(local, r"url\(#")
        element.set(local, re.sub(f"({prefix})", rf"\1{key}-", value))
