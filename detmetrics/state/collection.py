"""A collection of metrics that share states: one gather, and one reading of each state."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torchmetrics

from detmetrics.state.metric import Metric
from detmetrics.state.torchmetrics_collection import flat_name, share_states, sync_collection, update_groups


class MetricCollection(torchmetrics.MetricCollection):
    """A ``torchmetrics.MetricCollection`` that synchronises all its states in one gather, and draws any result.

    Metrics of this package share a state if what their rows mean agrees, which is known when the collection is made: on
    every rank the same ones, also on a rank that never saw an image. Metrics of torchmetrics are taken as well; they
    keep and synchronise states of their own.

    Args:
        metrics: A metric, a list of metrics, or a dict of them by name.
        additional_metrics: Further metrics, if the first argument is a metric.
        prefix: Put in front of the keys of the results.
        postfix: Put behind the keys of the results.
        compute_groups: Whether metrics share states.

    Example:
        >>> import torch
        >>> from detmetrics import DetectionF1Score, MeanAveragePrecision
        >>> metrics = MetricCollection({"coco": MeanAveragePrecision(), "f1": DetectionF1Score()}, prefix="val/")
        >>> boxes, labels = torch.tensor([[0.0, 0.0, 8.0, 8.0]]), torch.tensor([0])
        >>> preds = [dict(boxes=boxes, scores=torch.tensor([0.9]), labels=labels)]
        >>> metrics.update(preds, [dict(boxes=boxes, labels=labels)])
        >>> results = metrics.compute()
        >>> results["val/map"].item(), results["val/f1"].item()
        (1.0, 1.0)
    """

    def __init__(
        self,
        metrics: torchmetrics.Metric | Sequence[torchmetrics.Metric] | Mapping[str, torchmetrics.Metric],
        *additional_metrics: torchmetrics.Metric,
        prefix: str | None = None,
        postfix: str | None = None,
        compute_groups: bool = True,
    ) -> None:
        super().__init__(metrics, *additional_metrics, prefix=prefix, postfix=postfix, compute_groups=compute_groups)  # type: ignore[arg-type]

    def add_metrics(self, metrics: Any, *additional_metrics: torchmetrics.Metric) -> None:
        """Add metrics; those that share a state with others do so from their next update on.

        Args:
            metrics: A metric, a list of metrics, or a dict from name to metric.
            additional_metrics: More metrics.
        """
        super().add_metrics(metrics, *additional_metrics)
        share_states(self)

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Add a batch to every state; the arguments are those of the metrics."""
        update_groups(self, *args, **kwargs)

    def compute(self) -> dict[str, Any]:
        """The results of all metrics in one dict, as torchmetrics makes it."""
        synced = sync_collection([m for m in self.values(copy_state=False) if isinstance(m, Metric)])
        try:
            return super().compute()
        finally:
            for metric in synced:
                metric.unsync()

    def plot(self, val: Any = None, ax: Any = None, together: bool = False) -> Any:
        """Draw every metric, or all scalars together.

        Args:
            val: What ``compute()`` has returned, or a list of such results, one per epoch. None for ``compute()`` now,
                on all ranks.
            ax: A list of matplotlib axes, one per metric; with ``together`` one axis.
            together: Whether to draw the scalars of all metrics as lines on one axis.

        Returns:
            A list of figure and axis for each metric; with ``together`` one figure and axis.

        Raises:
            ValueError: if ``ax`` does not fit.
        """
        if val is None:
            val = self.compute()
        if together:
            from detmetrics.show.plot import histories

            return histories.history([_scalars(result) for result in ([val] if isinstance(val, dict) else val)], ax=ax)
        axes = [None] * len(self) if ax is None else list(ax) if isinstance(ax, Iterable) else [ax]
        if len(axes) != len(self):
            raise ValueError(f"ax: expected an axis for each of {len(self)} metrics, got {len(axes)}")
        return [
            metric.plot(self._result_of(name, metric, val), own)
            for (name, metric), own in zip(self.items(keep_base=True, copy_state=False), axes, strict=True)
        ]

    def _result_of(self, name: str, metric: torchmetrics.Metric, val: Any) -> Any:
        """The result of one metric, or the list of them, out of results of the collection."""
        if not isinstance(val, Mapping):
            return [self._result_of(name, metric, result) for result in val]
        own = metric.compute()  # known: results are kept
        if not isinstance(own, Mapping):
            return val[flat_name(self, name)]
        found: dict[str, Any] = {}
        for key in own:
            known = [flat for flat in (flat_name(self, f"{name}_{key}"), flat_name(self, key)) if flat in val]
            if known:
                found[key] = val[known[0]]
        return found


def _scalars(result: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in result.items() if getattr(value, "ndim", 0) == 0}
