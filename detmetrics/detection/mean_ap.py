"""COCO mean average precision and recall."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from detmetrics import checks, plot
from detmetrics.detection.base import DEFAULT_FLOOR, DetectionMetric
from detmetrics.detection.matches import count_targets, rank, within
from detmetrics.detection.table import Table
from detmetrics.ops.curves import final_recall, interpolate
from detmetrics.ops.masks import MASK_BUDGET
from detmetrics.ops.scores import defined_mean

IOU_THRESHOLDS = [0.5 + i * ((0.95 - 0.5) / 9) for i in range(10)]  # numpy.linspace(.5, .95, 10), to the last bit
RECALL_POINTS = [i * 0.01 for i in range(101)]  # numpy.linspace(0, 1, 101), likewise
MAX_DETECTIONS = [1, 10, 100]
AREA_RANGES = {"small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}
ALL_AREAS = (0.0, 1e10)


class Arrays(NamedTuple):
    """Pycocotools' arrays."""

    precision: Tensor  # (T, R, C, A, M) float64
    recall: Tensor  # (T, C, A, M) float64
    scores: Tensor  # (T, R, C, A, M) float64


class MeanAveragePrecision(DetectionMetric):
    """Mean average precision and recall of COCO, equal to pycocotools within 1e-12.

    The arguments and result keys are torchmetrics', so that changing the import is all it takes. What is undefined (a
    class without targets, say) is NaN and left out of every mean, where pycocotools and torchmetrics say -1.

    The state holds 24 bytes a detection and a target, 16 an overlap above the floor and 48 an image. After
    ``compute()`` what was read from it stays beside it, about as large, until the state is read anew or goes.

    It answers for any thresholds, area ranges and limits: set the attributes anew and call ``compute()`` again, also on
    a loaded state.

    Args:
        box_format: ``"xyxy"``, ``"xywh"`` or ``"cxcywh"``, in pixels.
        iou_type: ``"bbox"``, ``"segm"`` for masks, ``"boundary"`` for masks and their boundaries, or several of them,
            whose results are then called ``bbox_map``, ``segm_map`` and so on.
        iou_thresholds: Numbers in [0, 1]; None for .5, .55, ..., .95.
        rec_thresholds: Recall points in [0, 1]; None for 0, .01, ..., 1.
        max_detection_thresholds: Limits on the detections of a class in an image, any number of them; None for 1, 10,
            100. The precision and all results by area are at the largest.
        class_metrics: Add results for each class.
        extended_summary: Add the arrays ``precision`` (T, R, C, A, M), ``recall`` (T, C, A, M) and ``scores``
            (T, R, C, A, M), with pycocotools' axes: IoU thresholds, recall points, classes, area ranges, limits.
        average: ``"macro"``. What torchmetrics calls ``"micro"`` is ``class_agnostic=True``.
        backend: Taken so that torchmetrics' calls run, and warned about: there is one implementation.
        area_ranges: A dict of name to inclusive bounds in square pixels; None for COCO's small, medium, large. All
            areas are always there.
        class_names: The declared classes: a list, or a dict from label to name. Other labels raise. None: the observed
            labels are the classes.
        class_agnostic: Treat all labels as one class, as pycocotools with ``useCats=0``.
        zero_division: What stands for undefined values, in the arrays too; a number takes part in the means.
        pairs: Which overlaps the state keeps: ``"same"``, those within a class, or ``"all"``, to share it with metrics
            that ask about pairs of other classes, such as the confusion matrix. None: what this metric needs.
        mask_budget: Bytes that the overlaps of masks may take while they are found, if a pair of masks fits.
        kwargs: The keyword arguments of ``torchmetrics.Metric``.

    Returns of ``compute()``:
        A dict of 0-d float64 tensors: ``map``, ``map_50`` and ``map_75`` if these are among the thresholds,
        ``map_<area>``, ``mar_<limit>``, ``mar_<area>``. With ``class_metrics``: ``map/<name>`` and
        ``mar_<limit>/<name>`` if classes are declared, else ``map_per_class`` (C,), ``mar_<limit>_per_class`` (C,) and
        ``classes`` (C,) int64.

    Raises:
        ValueError: if an argument does not fit.

    Source: pycocotools ``COCOeval``. The function is :func:`detmetrics.functional.mean_average_precision`.

    Example:
        >>> import torch
        >>> metric = MeanAveragePrecision()
        >>> boxes = torch.tensor([[258.0, 41.0, 606.0, 285.0]])
        >>> preds = [dict(boxes=boxes, scores=torch.tensor([0.54]), labels=torch.tensor([0]))]
        >>> target = [dict(boxes=boxes - torch.tensor([44.0, 0.0, 44.0, 0.0]), labels=torch.tensor([0]))]
        >>> metric.update(preds, target)
        >>> round(metric.compute()["map"].item(), 4)
        0.6
    """

    takes_several_iou_types = True

    def __init__(
        self,
        box_format: str = "xyxy",
        iou_type: str | Sequence[str] = "bbox",
        iou_thresholds: Sequence[float] | None = None,
        rec_thresholds: Sequence[float] | None = None,
        max_detection_thresholds: Sequence[int] | None = None,
        class_metrics: bool = False,
        extended_summary: bool = False,
        average: str = "macro",
        backend: str | None = None,
        *,
        area_ranges: Mapping[str, tuple[float, float]] | None = None,
        class_names: Sequence[str] | Mapping[int, str] | None = None,
        class_agnostic: bool = False,
        zero_division: float = float("nan"),
        pairs: str | None = None,
        mask_budget: int = MASK_BUDGET,
        **kwargs: Any,
    ) -> None:
        if average == "micro":
            raise ValueError("average: expected 'macro', got 'micro'; for one class of all labels: class_agnostic=True")
        checks.check_choice("average", average, ("macro",))
        checks.check_bool("class_metrics", class_metrics)
        checks.check_bool("extended_summary", extended_summary)
        if backend is not None:
            warnings.warn(f"backend={backend!r} has no effect: detmetrics has one implementation", stacklevel=2)
        thresholds = checks.check_fractions(
            "iou_thresholds", IOU_THRESHOLDS if iou_thresholds is None else iou_thresholds
        )
        floor = min(DEFAULT_FLOOR, *thresholds)
        super().__init__(
            floor, pairs, box_format, iou_type, class_names, class_agnostic, mask_budget=mask_budget, **kwargs
        )
        self.iou_thresholds = thresholds
        self.rec_thresholds = checks.check_fractions(
            "rec_thresholds", RECALL_POINTS if rec_thresholds is None else rec_thresholds
        )
        self.max_detection_thresholds = checks.check_limits(
            "max_detection_thresholds", MAX_DETECTIONS if max_detection_thresholds is None else max_detection_thresholds
        )
        self.area_ranges = checks.check_area_ranges("area_ranges", AREA_RANGES if area_ranges is None else area_ranges)
        self.class_metrics = class_metrics
        self.extended_summary = extended_summary
        self.zero_division = float(zero_division)

    def compute(self) -> dict[str, Tensor]:
        """The results for all images so far; see the class."""
        if len(self.iou_types) == 1:
            return self._results(self._read())
        results: dict[str, Tensor] = {}
        for iou_type in self.iou_types:
            own = self._results(self._read(iou_type=iou_type))
            results |= {key if key == "classes" else f"{iou_type}_{key}": value for key, value in own.items()}
        return results

    def plot(
        self, val: Any = None, ax: Any = None, *, kind: str = "summary", iou_type: str | None = None
    ) -> tuple[Any, Any]:
        """Draw one of four pictures of a result, or over several results the numbers that are in it.

        Args:
            val: What ``compute()`` has returned, or a list of such results, one an epoch. None for ``compute()`` now,
                on all ranks, with whatever the picture needs.
            ax: A matplotlib axis to draw on.
            kind: ``"summary"``: the headline numbers. ``"classes"``: the average precision of each class, with the
                number of targets if ``val`` is None. ``"sizes"``: average precision and recall by size.
                ``"precision_recall"``: a curve for each IoU threshold, the mean over classes.
            iou_type: Which one is drawn of a metric with several; None for the first.

        Returns:
            The matplotlib figure and axis.

        Raises:
            ModuleNotFoundError: if matplotlib is not installed.
            ValueError: if an argument does not fit, or ``val`` has not what the picture needs.

        Example:
            >>> from detmetrics.demo import generate
            >>> metric = MeanAveragePrecision(class_names=["cat", "dog"])
            >>> metric.update(*generate(num_images=5, num_detections=10, num_classes=2))
            >>> fig, ax = metric.plot(kind="precision_recall")
            >>> len(ax.get_lines())
            10
        """
        checks.check_choice("kind", kind, ("summary", "classes", "sizes", "precision_recall"))
        iou_type = self.iou_types[0] if iou_type is None else iou_type
        checks.check_choice("iou_type", iou_type, self.iou_types)
        return self._show(val, ax, kind=kind, iou_type=iou_type)

    def _draw(self, val: Any, ax: Any, *, kind: str, iou_type: str) -> tuple[Any, Any]:  # type: ignore[override]
        results = self._of_type(self._compute_for(kind) if val is None else val, iou_type)
        if kind == "summary":
            return plot.summary_bars(results, ax)
        if kind == "sizes":
            return plot.size_bars(results, ax)
        if kind == "classes":
            support = self._targets_by_class(ALL_AREAS, iou_type) if val is None else None
            return plot.class_bars(self._by_class(results), support, self._plot_label(kind=kind, iou_type=iou_type), ax)
        return plot.iou_fan(_extended(results), self.iou_thresholds, self.rec_thresholds, ax)

    def _followed(self, result: Any, *, kind: str, iou_type: str) -> Any:  # type: ignore[override]
        results = self._of_type(result, iou_type)
        if kind == "summary":
            return plot.headline(results)
        if kind == "sizes":
            return {f"{s} {area}": v for s, values in plot.by_size(results).items() for area, v in values.items()}
        if kind == "classes":
            return self._by_class(results)
        averages = defined_mean(plot.mean_over_classes(_extended(results)), dim=1)  # (T,)
        return {f"IoU {t:.2f}": average for t, average in zip(self.iou_thresholds, averages, strict=True)}

    def _plot_label(self, *, kind: str, iou_type: str) -> str:  # type: ignore[override]
        if kind in ("summary", "sizes"):
            return "Average precision, average recall"
        low, high = min(self.iou_thresholds), max(self.iou_thresholds)
        over = "" if kind == "precision_recall" else f", IoU {low:.2f}" + (f" to {high:.2f}" if high > low else "")
        return f"Average precision{over}"

    def _compute_for(self, kind: str) -> dict[str, Tensor]:
        """The results with what a picture needs, asked for or not."""
        before = self.class_metrics, self.extended_summary
        needed = before[0] or kind == "classes", before[1] or kind == "precision_recall"
        if needed == before:
            return self.compute()
        try:
            self.class_metrics, self.extended_summary = needed
            return self.compute()
        finally:
            self.class_metrics, self.extended_summary = before

    def _of_type(self, results: Any, iou_type: str) -> dict[str, Any]:
        """The results of one of the types, without its prefix."""
        if not isinstance(results, Mapping):
            raise ValueError(f"val: expected a dict, as compute() returns it, got {type(results).__name__}")
        prefix = f"{iou_type}_" if len(self.iou_types) > 1 else ""
        chosen = {key.removeprefix(prefix): value for key, value in results.items() if key.startswith(prefix)}
        return chosen | ({"classes": results["classes"]} if "classes" in results else {})

    def _by_class(self, results: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The average precision of each class by its name."""
        if "map_per_class" in results:
            return dict(zip(self._called(results["classes"]), results["map_per_class"], strict=True))
        by_class = {key.removeprefix("map/"): value for key, value in results.items() if key.startswith("map/")}
        if not by_class:
            raise ValueError(f"val: expected results for each class (class_metrics=True), got the keys {list(results)}")
        return by_class

    def _results(self, table: Table) -> dict[str, Tensor]:
        arrays = self._accumulate(table)
        precision, recall = arrays.precision[..., -1], arrays.recall  # (T, R, C, A), (T, C, A, M)
        largest = self.max_detection_thresholds[-1]

        results = {"map": self._mean(precision[..., 0])}
        for percent in (50, 75):
            if percent / 100 in self.iou_thresholds:
                at = self.iou_thresholds.index(percent / 100)
                results[f"map_{percent}"] = self._mean(precision[at, ..., 0])
        for a, name in enumerate(self.area_ranges, start=1):
            results[f"map_{name}"] = self._mean(precision[..., a])
        for m, limit in enumerate(self.max_detection_thresholds):
            results[f"mar_{limit}"] = self._mean(recall[..., 0, m])
        for a, name in enumerate(self.area_ranges, start=1):
            results[f"mar_{name}"] = self._mean(recall[..., a, -1])

        if self.class_metrics:
            map_per_class = self._mean_per_class(precision[..., 0].flatten(0, 1))
            mar_per_class = self._mean_per_class(recall[..., 0, -1])
            if self.class_names is None or self.class_agnostic:
                results["map_per_class"] = map_per_class
                results[f"mar_{largest}_per_class"] = mar_per_class
                results["classes"] = self.classes
            else:
                names = self.class_names.values()
                results |= {f"map/{name}": value for name, value in zip(names, map_per_class, strict=True)}
                results |= {f"mar_{largest}/{name}": value for name, value in zip(names, mar_per_class, strict=True)}
        if self.extended_summary:
            results |= arrays._asdict()
        return results

    def _mean(self, values: Tensor) -> Tensor:
        return defined_mean(values.flatten(), zero_division=self.zero_division)

    def _mean_per_class(self, values: Tensor) -> Tensor:
        return defined_mean(values, dim=0, zero_division=self.zero_division)

    def _accumulate(self, table: Table) -> Arrays:
        """Fill pycocotools' arrays, with precision and scores at the largest limit alone unless all are asked for."""
        areas = [ALL_AREAS, *self.area_ranges.values()]
        matches = self._match(table, self.iou_thresholds, areas)
        ranked = rank(table, self.classes, matches)
        num_targets = count_targets(table, self.classes, areas)  # (A, C)
        points = torch.tensor(self.rec_thresholds, dtype=torch.float64, device=self.device)
        in_area = [within(table.areas, area_range).index_select(0, ranked.order) for area_range in areas]  # (N,) each

        num_thresholds = len(self.iou_thresholds)
        settings = [range(a * num_thresholds, (a + 1) * num_thresholds) for a in range(len(areas))]

        precision, scores, recall = [], [], []
        for limit in self.max_detection_thresholds:
            limited = ranked.limited(limit)
            in_play = [inside & (ranked.rank < limit) for inside in in_area]
            matched = [limited.matched(*per_area) for per_area in zip(settings, in_play, strict=True)]
            recall.append(torch.stack([final_recall(*m) for m in zip(matched, num_targets, strict=True)]))  # (A, T, C)
            if self.extended_summary or limit == self.max_detection_thresholds[-1]:
                curves = [
                    interpolate(ranked.ranking, *per_area, points)
                    for per_area in zip(matched, in_play, num_targets, strict=True)
                ]
                precision.append(torch.stack([c.precision for c in curves]))  # (A, T, C, R)
                scores.append(torch.stack([c.scores for c in curves]))
        undefined = self.zero_division
        return Arrays(
            torch.stack(precision).permute(2, 4, 3, 1, 0).nan_to_num(undefined),
            torch.stack(recall).permute(2, 3, 1, 0).nan_to_num(undefined),
            torch.stack(scores).permute(2, 4, 3, 1, 0).nan_to_num(undefined),
        )


def _extended(results: Mapping[str, Tensor]) -> Tensor:
    """Pycocotools' array of precision (T, R, C, A, M)."""
    if "precision" not in results:
        raise ValueError(f"val: expected the arrays (extended_summary=True), got the keys {list(results)}")
    return results["precision"]
