"""The pictures of average precision."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from detmetrics import arguments
from detmetrics.detection.metric import DetectionMetric
from detmetrics.detection.settings import ALL_AREAS

KINDS = ("summary", "classes", "sizes", "precision_recall")


def plot_average_precision(
    metric: DetectionMetric, kind: str, val: Any, ax: Any, iou_type: str | None = None
) -> tuple[Any, Any]:
    """One of the pictures of a result, or of several; see :meth:`detmetrics.MeanAveragePrecision.plot`.

    Args:
        metric: One whose settings have IoU thresholds, recall points, and what may be added to its results.
        kind: One of ``KINDS``.
        val: What ``compute()`` has returned, a list of such results, or None for ``compute()`` now.
        ax: A matplotlib axis to draw on.
        iou_type: Which one is drawn of a metric with several; None for the first.
    """
    from detmetrics.show.plot import pictures

    arguments.choice("kind", kind, KINDS)
    iou_type = metric.iou_types[0] if iou_type is None else iou_type
    arguments.choice("iou_type", iou_type, metric.iou_types)
    picture = pictures.MeanAveragePrecision(
        kind,
        metric.settings.iou_thresholds,
        metric.settings.rec_thresholds,
        f"{iou_type}_" if len(metric.iou_types) > 1 else "",
        metric.class_titles,
        lambda: metric.targets_by_class(ALL_AREAS, iou_type),
    )
    return pictures.draw(picture, val, lambda: _compute_for(metric, kind), ax)


def _compute_for(metric: DetectionMetric, kind: str) -> dict[str, Tensor]:
    """The results with what a picture needs, asked for or not."""
    settings = metric.settings
    needed = {"classes": "class_metrics", "precision_recall": "extended_summary"}.get(kind)
    changed = needed is not None and not getattr(settings, needed)
    try:
        if needed is not None and changed:
            metric.settings = settings.replace(**{needed: True})
        results: dict[str, Tensor] = metric.compute()
        return results
    finally:
        if changed:
            metric.settings = settings
