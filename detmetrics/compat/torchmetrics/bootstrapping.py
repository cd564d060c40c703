"""The bootstrap of a metric, which resamples images."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics import wrappers as theirs

from detmetrics.arguments import choice, fail
from detmetrics.compat.torchmetrics.mean_ap import MeanAveragePrecision
from detmetrics.compat.torchmetrics.results import UNDEFINED

STRATEGIES = ("poisson", "multinomial")
IDS = ("image_id", "image_ids")  # an image that is drawn twice counts twice


class BootStrapper(theirs.BootStrapper):
    """``torchmetrics.wrappers.BootStrapper`` for metrics whose inputs are lists with one dict per image too.

    Each copy of the metric gets a sample of the images of each batch, with replacement. Ids of images are left out, so
    that an image that was drawn twice counts twice.

    Args:
        base_metric: The metric; its first argument has one item, or one row of a tensor, per image.
        num_bootstraps: How many copies there are; each takes the memory of the metric.
        mean: Whether to give the mean over the copies.
        std: Whether to give the standard deviation over the copies.
        quantile: Quantiles to give, in [0, 1]: a number or a tensor of them; None for none.
        raw: Whether to give the values of all copies.
        sampling_strategy: ``"poisson"`` to take each image a Poisson(1) number of times, ``"multinomial"`` to draw as
            many images as the batch has.
        kwargs: The keyword arguments of ``torchmetrics.Metric``.

    Raises:
        ValueError: if an argument does not fit.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993); ``torchmetrics.wrappers.BootStrapper``.

    Example:
        >>> from detmetrics import DetectionF1Score
        >>> boxes, labels = torch.tensor([[0.0, 0.0, 8.0, 8.0]]), torch.tensor([0])
        >>> preds = [dict(boxes=boxes, scores=torch.tensor([0.9]), labels=labels)] * 4
        >>> metric = BootStrapper(DetectionF1Score(), num_bootstraps=3, sampling_strategy="multinomial")
        >>> metric.update(preds, [dict(boxes=boxes, labels=labels)] * 4)
        >>> metric.compute()["mean"].item()
        1.0
    """

    def __init__(
        self,
        base_metric: Metric,
        num_bootstraps: int = 10,
        mean: bool = True,
        std: bool = True,
        quantile: float | Tensor | None = None,
        raw: bool = False,
        sampling_strategy: str = "poisson",
        **kwargs: Any,
    ) -> None:
        choice("sampling_strategy", sampling_strategy, STRATEGIES)
        if not isinstance(base_metric, Metric):
            raise fail("base_metric", "a torchmetrics.Metric", base_metric)
        super().__init__(base_metric, num_bootstraps, mean, std, quantile, raw, sampling_strategy, **kwargs)

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Add a sample of a batch to each copy.

        Args:
            args: Up to two arguments of the metric, with as many items or rows as there are images.
            kwargs: Others, by name. Ids of images are left out.

        Raises:
            ValueError: if there are more than two arguments without a name, or none at all.
        """
        for metric, (own, named) in self._samples(args, kwargs):
            metric.update(*own, **named)

    def forward(self, *args: Any, **kwargs: Any) -> dict[str, Tensor]:
        """``update()``, and the statistics for this batch alone."""
        values = [metric(*own, **named) for metric, (own, named) in self._samples(args, kwargs)]
        self._update_count += 1
        return self._statistics(values)

    def compute(self) -> dict[str, Tensor]:
        """The statistics over the copies in which a value is defined.

        Returns:
            ``mean``, ``std``, ``quantile`` and ``raw``, as far as they were asked for. If the metric gives a dict,
            ``<key>_mean`` and so on for each key with floats of one shape. NaN where no copy has a value.
        """
        return self._statistics([cast(Metric, metric).compute() for metric in self.metrics])

    def _samples(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Each copy that gets images with its arguments."""
        if len(args) > 2:
            raise ValueError(f"update: expected two arguments and others by name, got {len(args)}")
        kwargs = {name: value for name, value in kwargs.items() if name not in IDS}
        if not args and not kwargs:
            raise ValueError("update: expected arguments, got none")
        size = len([*args, *kwargs.values()][0])
        for metric in self.metrics:
            index = self._draw(size)
            if len(index):
                named = {name: _taken(value, index) for name, value in kwargs.items()}
                yield metric, ([_taken(value, index) for value in args], named)

    def _draw(self, size: int) -> Tensor:
        if self.sampling_strategy == "multinomial":
            return torch.multinomial(torch.ones(size), size, replacement=True) if size else torch.zeros(0).long()
        counts = torch.poisson(torch.ones(size)).long()
        return torch.arange(size).repeat_interleave(counts)

    def _statistics(self, values: list[Any]) -> dict[str, Tensor]:
        if not values:
            return {}
        if not isinstance(values[0], dict):
            return self._of_key([value for value in values if isinstance(value, Tensor)])
        found: dict[str, Tensor] = {}
        for key in [key for key in values[0] if all(key in value for value in values)]:
            own = [value[key] for value in values]
            if all(isinstance(x, Tensor) and x.is_floating_point() and x.shape == own[0].shape for x in own):
                found |= {f"{key}_{name}": value for name, value in self._of_key(own).items()}
        return found

    def _of_key(self, values: list[Tensor]) -> dict[str, Tensor]:
        stacked = torch.stack(values)
        if isinstance(self.metrics[0], MeanAveragePrecision):
            stacked = torch.where(stacked == UNDEFINED, torch.nan, stacked)
        mean = stacked.nanmean(0)
        found = {"mean": mean} if self.mean else {}
        if self.std:
            count = (~stacked.isnan()).sum(0)
            found["std"] = ((stacked - mean).square().nansum(0) / (count - 1)).sqrt()  # NaN for fewer than two
        if self.quantile is not None:
            quantile = torch.as_tensor(self.quantile, dtype=stacked.dtype, device=stacked.device)
            found["quantile"] = stacked.nanquantile(quantile, dim=0)
        return found | ({"raw": stacked} if self.raw else {})


def _taken(value: Any, index: Tensor) -> Any:
    """Some of the rows of a tensor, or of the items of a list, without ids; anything else as it is."""
    if isinstance(value, Tensor):
        return value.index_select(0, index.to(value.device))
    if not isinstance(value, list | tuple):
        return value
    items = [value[i] for i in index.tolist()]
    return [{k: v for k, v in item.items() if k not in IDS} if isinstance(item, dict) else item for item in items]
