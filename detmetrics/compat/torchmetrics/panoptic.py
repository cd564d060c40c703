"""Panoptic quality as torchmetrics returns it."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor
from torchmetrics.utilities.prints import rank_zero_warn

from detmetrics.arguments import fail
from detmetrics.compat.torchmetrics import arguments
from detmetrics.panoptic.metric import PanopticMetric, on_device_of
from detmetrics.panoptic.scores import SCORES, class_tally, scores_of
from detmetrics.panoptic.settings import LEAST, PanopticSettings, StateConfiguration


class _Settings(PanopticSettings):
    @property
    def configuration(self) -> StateConfiguration:
        """Void counts alike on both sides."""
        return dataclasses.replace(super().configuration, void_on_both_sides=True)


class PanopticQuality(PanopticMetric):
    """Torchmetrics' ``PanopticQuality``, to the shape and the dtype of its results.

    Unlike :class:`detmetrics.PanopticQuality`, which follows panopticapi, pixels without a known category leave the
    union on both sides.

    Args:
        things: The categories of things, ints.
        stuffs: The categories of stuff, other ints.
        allow_unknown_preds_category: Whether pixels of other categories may be predicted; they are void.
        return_sq_and_rq: Whether to return segmentation and recognition quality as well.
        return_per_class: Whether to return results for each class, things first, in ascending order.
        kwargs: The keyword arguments of ``torchmetrics.Metric``.

    Raises:
        TypeError: if a category is no int.
        ValueError: if a category is in both, or there is none.

    Example:
        >>> import torch
        >>> from detmetrics.compat.torchmetrics import PanopticQuality
        >>> target = torch.tensor([[[[1, 0], [1, 0], [6, 0], [6, 0]]]])  # categories and instances
        >>> metric = PanopticQuality(things={1}, stuffs={6}, return_per_class=True)
        >>> metric(target.roll(1, dims=2), target)
        tensor([[0., 0.]], dtype=torch.float64)
    """

    is_differentiable = False
    higher_is_better = True

    def __init__(
        self,
        things: Collection[int],
        stuffs: Collection[int],
        allow_unknown_preds_category: bool = False,
        return_sq_and_rq: bool = False,
        return_per_class: bool = False,
        **kwargs: Any,
    ) -> None:
        both = _categories("things", things), _categories("stuffs", stuffs)
        settings = _Settings(
            things=both[0],
            stuffs=both[1],
            allow_unknown_preds_category=arguments.switch("allow_unknown_preds_category", allow_unknown_preds_category),
            duplicates="keep",
        )
        super().__init__(settings, **kwargs)
        self.things, self.stuffs = (set(categories) for categories in both)
        self.allow_unknown_preds_category = allow_unknown_preds_category
        self.return_sq_and_rq = arguments.switch("return_sq_and_rq", return_sq_and_rq)
        self.return_per_class = arguments.switch("return_per_class", return_per_class)

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add a batch.

        Args:
            preds: Category and instance of each pixel, ``(B, ..., 2)`` of an integer dtype; of stuff the instance does
                not matter.
            target: The same of the targets; pixels of other categories are void.

        Raises:
            TypeError: if one is no tensor.
            ValueError: if shapes, dtypes or categories do not fit; nothing is changed.
        """
        for name, maps in (("preds", preds), ("target", target)):
            if not isinstance(maps, Tensor):
                raise TypeError(f"{name}: expected a tensor, got {type(maps).__name__}")
        self.add_batch(preds, target, None, None, None)

    def compute(self) -> Tensor:
        """The results of all images so far.

        Returns:
            Float64: panoptic quality, 0-d; with ``return_sq_and_rq`` panoptic, segmentation and recognition quality,
            ``(3,)``; with ``return_per_class`` panoptic quality ``(1, C)``, and with both ``(C, 3)``. A class without
            targets and predictions has 0 and is left out of means; without any class the mean is NaN.
        """
        data, labels = self.data(), self.configuration.labels
        tally = class_tally(data, len(labels), data.iou > LEAST)
        order = torch.tensor([labels.index(label) for label in (*sorted(self.things), *sorted(self.stuffs))])
        by_class = scores_of(tally, 0.0)
        values = torch.stack([by_class[name] for name in SCORES], dim=-1)[order.to(data.iou.device)]  # (C, 3)
        if self.return_per_class:
            return values if self.return_sq_and_rq else values[None, :, 0]
        seen = (tally.tp + tally.fp + tally.fn > 0)[order.to(data.iou.device)]
        means = values[seen].mean(dim=0)
        return means if self.return_sq_and_rq else means[0]

    def version(self) -> tuple[Any, ...]:
        """Equal as long as the state and the attributes that results depend on are the same."""
        return *super().version(), self.return_sq_and_rq, self.return_per_class


def panoptic_quality(
    preds: Tensor,
    target: Tensor,
    things: Collection[int],
    stuffs: Collection[int],
    allow_unknown_preds_category: bool = False,
    return_sq_and_rq: bool = False,
    return_per_class: bool = False,
) -> Tensor:
    """Torchmetrics' ``panoptic_quality``; see :class:`detmetrics.compat.torchmetrics.PanopticQuality`.

    Args:
        preds: Category and instance of each pixel, ``(B, ..., 2)`` of an integer dtype.
        target: The same of the targets; pixels of other categories are void.
        things: The categories of things, ints.
        stuffs: The categories of stuff, other ints.
        allow_unknown_preds_category: Whether pixels of other categories may be predicted; they are void.
        return_sq_and_rq: Whether to return segmentation and recognition quality as well.
        return_per_class: Whether to return results for each class, things first, in ascending order.

    Returns:
        What :meth:`detmetrics.compat.torchmetrics.PanopticQuality.compute` returns.

    Raises:
        TypeError: if a category is no int, or an input no tensor.
        ValueError: if an argument or an input does not fit.

    Example:
        >>> import torch
        >>> target = torch.tensor([[[[1, 0], [1, 0], [6, 0], [6, 0]]]])
        >>> panoptic_quality(target, target, things={1}, stuffs={6}, return_sq_and_rq=True)
        tensor([1., 1., 1.], dtype=torch.float64)
    """
    metric = PanopticQuality(
        things, stuffs, allow_unknown_preds_category, return_sq_and_rq, return_per_class, sync_on_compute=False
    )
    if isinstance(preds, Tensor):
        metric = on_device_of(metric, preds)
    metric.update(preds, target)
    result: Tensor = metric.compute()
    return result


def _categories(name: str, values: Collection[int]) -> list[int]:
    """Distinct categories; what is given twice is warned of, as in torchmetrics."""
    distinct = set(values)
    if len(distinct) < len(values):
        rank_zero_warn(f"{name}: expected distinct categories, got {list(values)}; each counts once", UserWarning)
    if not all(isinstance(value, int) for value in distinct):
        raise TypeError(str(fail(name, "ints", values)))
    return sorted(distinct)
