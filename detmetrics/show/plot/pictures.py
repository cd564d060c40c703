"""What a metric's ``plot()`` draws: a picture of one result, or the history of what a picture shows.

A picture knows results and what names them, never a metric.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from detmetrics import arguments
from detmetrics.reduce.averages import defined_mean
from detmetrics.reduce.curves import ScoreCurves
from detmetrics.show.plot.bars import class_bars, report_bars, size_bars, summary_bars
from detmetrics.show.plot.curves import POOLED, iou_fan, precision_recall, score_curves
from detmetrics.show.plot.drawing import shorten
from detmetrics.show.plot.froc import froc_curves
from detmetrics.show.plot.histories import history, score
from detmetrics.show.plot.matrices import confusion_matrix
from detmetrics.show.plot.results import (
    Scalar,
    averages,
    by_size,
    diagonal_share,
    headline,
    label_of,
    mean_over_classes,
    numbers,
)

Support = Callable[[], Mapping[str, int]]
ClassTitles = Callable[[Tensor], Sequence[str]]
CURVE_KINDS = ("precision_recall", "score", "froc")
AVERAGE_PRECISION_KINDS = ("summary", "classes", "sizes", "precision_recall")


class Picture(Protocol):
    """How the results of a metric are drawn."""

    @property
    def label(self) -> str:
        """What the numbers of a history are called."""

    def numbers(self, result: Any) -> Scalar | Mapping[str, Scalar]:
        """The number or the numbers of a result that a history follows."""

    def draw(self, result: Any, ax: Any = None, *, fresh: bool = False) -> tuple[Any, Any]:
        """Draw one result; ``fresh`` if the metric has computed it just now, so that its support goes with it."""


def draw(picture: Picture, val: Any, compute: Callable[[], Any], ax: Any = None) -> tuple[Any, Any]:
    """Draw a result, a list of results over time, or what a metric computes now.

    Args:
        picture: How.
        val: A result or a list of results; None for ``compute()``.
        compute: Gives the result of the metric.
        ax: A matplotlib axis to draw on; None for that of a new figure.

    Returns:
        The matplotlib figure and axis.

    Raises:
        ModuleNotFoundError: if matplotlib is not installed.
        ValueError: if ``val`` has nothing that can be drawn.

    Example:
        >>> fig, ax = draw(Score("f1"), [0.25, 0.5], compute=lambda: 0.5)
        >>> ax.get_ylabel(), ax.get_lines()[0].get_ydata().tolist()
        ('F1', [0.25, 0.5])
    """
    if val is None:
        return picture.draw(compute(), ax, fresh=True)
    if isinstance(val, list | tuple) and not hasattr(val, "_fields"):  # a NamedTuple is one result
        return history([picture.numbers(result) for result in val], picture.label, ax)
    return picture.draw(val, ax)


class Score:
    """One score: a point, or a bar per class.

    Args:
        name: The name of the score, with which its keys begin: ``"f1"`` of ``f1/cat``.
        class_names: The names of the classes of a vector, if they are declared.
        label: What the score is called on an axis; None for what its name says.
        support: Gives the number of targets of each class, by its name. Called for a fresh result of several classes.
    """

    def __init__(
        self,
        name: str,
        class_names: Sequence[str] | None = None,
        label: str | None = None,
        support: Support | None = None,
    ) -> None:
        self.name, self.class_names, self.support = name, class_names, support
        self.label = label_of(name) if label is None else label

    def numbers(self, result: Any) -> Scalar | Mapping[str, Scalar]:
        """The score, or the scores by class."""
        return self._named(result, self.class_names)

    def draw(self, result: Any, ax: Any = None, *, fresh: bool = False) -> tuple[Any, Any]:
        """Draw a point, or bars with the number of targets if the result is fresh."""
        value, support = self.numbers(result), None
        if fresh and self.support is not None and isinstance(value, Mapping):
            support = self.support()
            value = self._named(result, list(support))
        return score(value, support, self.label, ax)

    def _named(self, result: Any, class_names: Sequence[str] | None) -> Scalar | Mapping[str, Scalar]:
        return numbers(result, class_names, f"{self.name}/" if isinstance(result, Mapping) else "")


@dataclass(frozen=True)
class Report:
    """A score of a report: a bar per class; over time its averages.

    Attributes:
        score: The name of the score, such as ``"f1"``.
    """

    score: str

    @property
    def label(self) -> str:
        """What the score is called on an axis."""
        return label_of(self.score)

    def numbers(self, result: Any) -> Mapping[str, Scalar]:
        """The averages of the score."""
        return averages(result, self.score)

    def draw(self, result: Any, ax: Any = None, *, fresh: bool = False) -> tuple[Any, Any]:
        """Draw the score of each class with its support."""
        return report_bars(result, self.score, ax)


@dataclass(frozen=True)
class Matrix:
    """A confusion matrix; over time the share on its diagonal.

    Attributes:
        names: The names of the classes.
    """

    names: Sequence[str]
    label = "Share on the diagonal"

    def numbers(self, result: Any) -> Scalar:
        """The share on the diagonal."""
        return diagonal_share(result)

    def draw(self, result: Any, ax: Any = None, *, fresh: bool = False) -> tuple[Any, Any]:
        """Draw the matrix."""
        return confusion_matrix(result, self.names, ax)


@dataclass(frozen=True)
class Curves:
    """Curves over the score; over time the average precision, or the best F-score and its threshold.

    Attributes:
        kind: ``"precision_recall"``, ``"score"`` or ``"froc"``.
        name: The class that ``kind="score"`` is about; None for all classes pooled.
        class_titles: Gives the names of classes ``(C,)``.

    Raises:
        ValueError: if ``kind`` is another, or a class is named that does not go with it.
    """

    kind: str
    name: str | None
    class_titles: ClassTitles

    def __post_init__(self) -> None:
        arguments.choice("kind", self.kind, CURVE_KINDS)
        if self.name is not None and self.kind != "score":
            raise ValueError(f"name: expected None with kind={self.kind!r}, which draws every class, got {self.name!r}")

    @property
    def label(self) -> str:
        """What the numbers of a history are called."""
        if self.kind == "precision_recall":
            return "Average precision"
        if self.kind == "froc":
            return "Mean recall at 1/8 to 8 false positives an image"
        return "Best F-score and threshold" + (f", {shorten(self.name)}" if self.name else "")

    def numbers(self, result: Any) -> Mapping[str, Scalar]:
        """Average precision by class, or the best F-score and its threshold."""
        names = self._names(result)
        if self.kind in ("precision_recall", "froc"):
            pooled = POOLED if POOLED not in names else f"{POOLED} (pooled)"
            values = result.average_precision if self.kind == "precision_recall" else result.froc()[1]
            return dict(zip([*names, pooled], values, strict=True))
        if self.name is None:
            scalars: Mapping[str, Scalar] = result.scalars()
            return scalars
        arguments.choice("name", self.name, names)
        at, best_f = names.index(self.name), next(iter(result.scalars()))
        return {best_f: result.best_f_beta[at], "best_score_threshold": result.best_score_threshold[at]}

    def draw(self, result: Any, ax: Any = None, *, fresh: bool = False) -> tuple[Any, Any]:
        """Draw precision against recall, or precision, recall and F-score against the score."""
        names = self._names(result)
        if self.kind == "score":
            return score_curves(result, self.name, names, ax)
        if self.kind == "froc":
            return froc_curves(result, names, ax)
        return precision_recall(result, names, ax)

    def _names(self, result: Any) -> list[str]:
        if not isinstance(result, ScoreCurves):
            raise ValueError(f"val: expected ScoreCurves, as compute() returns them, got {type(result).__name__}")
        return list(self.class_titles(result.classes))


@dataclass(frozen=True)
class MeanAveragePrecision:
    """COCO's numbers: one of four pictures of a result; over time the numbers that are in it.

    Attributes:
        kind: ``"summary"``, ``"classes"``, ``"sizes"`` or ``"precision_recall"``.
        iou_thresholds: Those of the result.
        rec_thresholds: The recall points of the result.
        prefix: What the keys begin with if the metric has several ``iou_type``, such as ``"segm_"``; else empty.
        class_titles: Gives the names of classes ``(C,)``.
        support: Gives the number of targets of each class, by its name, for a fresh result.

    Raises:
        ValueError: if ``kind`` is another.
    """

    kind: str
    iou_thresholds: Sequence[float]
    rec_thresholds: Sequence[float]
    prefix: str
    class_titles: ClassTitles
    support: Support

    def __post_init__(self) -> None:
        arguments.choice("kind", self.kind, AVERAGE_PRECISION_KINDS)

    @property
    def label(self) -> str:
        """What the numbers are called on an axis."""
        if self.kind in ("summary", "sizes"):
            return "Average precision, average recall"
        low, high = min(self.iou_thresholds), max(self.iou_thresholds)
        over = f", IoU {low:.2f}" + (f" to {high:.2f}" if high > low else "")
        return "Average precision" + (over if self.kind == "classes" else "")

    def numbers(self, result: Any) -> Mapping[str, Scalar]:
        """The numbers that the picture shows, by the names they have in it."""
        results = self._own(result)
        if self.kind == "summary":
            return headline(results)
        if self.kind == "sizes":
            sizes = by_size(results)
            return {f"{kind} {area}": value for kind, values in sizes.items() for area, value in values.items()}
        if self.kind == "classes":
            return self._by_class(results)
        per_threshold = defined_mean(mean_over_classes(_precision(results)), dim=1)  # (T,)
        return {f"IoU {t:.2f}": value for t, value in zip(self.iou_thresholds, per_threshold, strict=True)}

    def draw(self, result: Any, ax: Any = None, *, fresh: bool = False) -> tuple[Any, Any]:
        """Draw the picture; that of classes shows the number of targets if the result is fresh."""
        results = self._own(result)
        if self.kind == "summary":
            return summary_bars(results, ax)
        if self.kind == "sizes":
            return size_bars(results, ax)
        if self.kind == "classes":
            return class_bars(self._by_class(results), self.support() if fresh else None, self.label, ax)
        return iou_fan(_precision(results), self.iou_thresholds, self.rec_thresholds, ax)

    def _own(self, results: Any) -> dict[str, Any]:
        """The results of one ``iou_type``, without its prefix."""
        if not isinstance(results, Mapping):
            raise ValueError(f"val: expected a dict, as compute() returns it, got {type(results).__name__}")
        own = {key.removeprefix(self.prefix): value for key, value in results.items() if key.startswith(self.prefix)}
        return own | ({"classes": results["classes"]} if "classes" in results else {})

    def _by_class(self, results: Mapping[str, Any]) -> dict[str, Any]:
        """The average precision of each class by its name."""
        if "map_per_class" in results:
            return dict(zip(self.class_titles(results["classes"]), results["map_per_class"], strict=True))
        by_class = {key.removeprefix("map/"): value for key, value in results.items() if key.startswith("map/")}
        if not by_class:
            raise ValueError(f"val: expected results for each class (class_metrics=True), got the keys {list(results)}")
        return by_class


def _precision(results: Mapping[str, Any]) -> Tensor:
    """Pycocotools' array of precision ``(T, R, C, A, M)``."""
    if "precision" not in results:
        raise ValueError(f"val: expected the arrays (extended_summary=True), got the keys {list(results)}")
    precision: Tensor = results["precision"]
    return precision
