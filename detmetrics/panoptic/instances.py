"""The quality of instances of one class, as microscopy reports it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from detmetrics.panoptic import instance_scores
from detmetrics.panoptic.inputs import Maps
from detmetrics.panoptic.metric import PanopticMetric, on_device_of
from detmetrics.panoptic.settings import InstanceSettings
from detmetrics.settings import Setting

THRESHOLDS = (0.5, 0.75, 0.9)


class InstanceQuality(PanopticMetric):
    """The quality of instances of one class, such as cells: F1, accuracy and PQ at IoU thresholds, and AJI.

    A predicted and a target instance match if their IoU reaches the threshold. With tp matches, fp predictions and fn
    targets without one:

    - ``f1``, ``precision``, ``recall``, and ``accuracy``, tp / (tp + fp + fn), which is called average precision by the
      Data Science Bowl 2018 and by Cellpose;
    - ``pq``, the sum of the IoU of the matches / (tp + fp / 2 + fn / 2), and ``sq``, their mean, 0 without a match;
    - ``aji``, the aggregated Jaccard index, which has no threshold: each target takes the prediction with the largest
      IoU, which may be taken again; the pixels of all intersections over those of all unions, to which predictions that
      no target took and targets that meet none add their own.

    The state is 32 bytes per image, per target and per prediction without a match; no map is kept, and ``thresholds``
    and ``aggregate`` may be changed at any time. The function is :func:`detmetrics.functional.instance_quality`.

    Args:
        thresholds: IoUs in [0.5, 1] that a match must reach; below .5 matches would not be unique.
        aggregate: ``"dataset"`` (counts and pixels are pooled over the images, as by StarDist's ``matching_dataset``),
            or ``"imagewise"`` (the mean over the images of the scores of each, as for Cellpose and in papers on AJI).
        zero_division: What stands for 0/0, such as the scores of an image without instances. NaN is left out of means.
        duplicates: What becomes of an image whose id came before with the same target: ``"drop"`` (it does not count,
            and a warning says so), ``"error"`` (raise if it is predicted otherwise), ``"keep"`` (every image counts,
            also with another target).
        kwargs: The keyword arguments of ``torchmetrics.Metric``.

    Raises:
        ValueError: if an argument does not fit.

    Source: ``matching`` of StarDist; ``average_precision`` of Cellpose; Kumar et al., A Dataset and a Technique for
    Generalized Nuclear Segmentation for Computational Pathology (IEEE TMI 2017), for AJI. Cellpose's
    ``aggregated_jaccard_index`` is another score: each prediction once, over the union of the foregrounds.

    Example:
        >>> import torch
        >>> from detmetrics import InstanceQuality
        >>> target = torch.tensor([[[1, 1, 1, 0], [0, 2, 2, 2]]])
        >>> preds = torch.tensor([[[5, 5, 0, 0], [0, 0, 0, 9]]])
        >>> metric = InstanceQuality(thresholds=[0.5])
        >>> metric.update(preds, target)
        >>> scores = metric.compute()
        >>> {name: round(scores[name].item(), 4) for name in ("aji", "f1/0.5", "accuracy/0.5", "pq/0.5")}
        {'aji': 0.5, 'f1/0.5': 0.5, 'accuracy/0.5': 0.3333, 'pq/0.5': 0.3333}
    """

    is_differentiable = False
    higher_is_better = True

    thresholds = Setting()
    aggregate = Setting()

    def __init__(
        self,
        thresholds: Sequence[float] = THRESHOLDS,
        *,
        aggregate: str = "dataset",
        zero_division: float = float("nan"),
        duplicates: str = "drop",
        **kwargs: Any,
    ) -> None:
        settings = InstanceSettings(
            thresholds=thresholds,  # type: ignore[arg-type]
            aggregate=aggregate,
            zero_division=zero_division,
            duplicates=duplicates,
        )
        super().__init__(settings, **kwargs)

    def update(self, preds: Maps, target: Maps, image_ids: Sequence[int] | Tensor | None = None) -> None:
        """Add a batch. On a GPU this waits for the device, as the numbers of instances must be known.

        Args:
            preds: Ids of instances ``(B, ...)``, 0 for the background, of any integer dtype; or a sequence of B maps,
                which may have different sizes.
            target: The same of the targets.
            image_ids: A non-negative int for each image, ``(B,)``: repeated images count once.

        Raises:
            ValueError: if the batch does not fit; nothing is changed.
        """
        self.add_batch(preds, target, None, None, image_ids)

    def compute(self) -> dict[str, Tensor]:
        """The scores of all images so far.

        Returns:
            A dict of 0-d float64 tensors in [0, 1]: ``aji``; ``f1``, ``precision``, ``recall``, ``accuracy``, ``pq``,
            ``sq``, the means over the thresholds; and the same at each threshold, such as ``f1/0.5``.

        Raises:
            ValueError: if an id has several targets.
        """
        return instance_scores.instance_scores(self.data(), self.settings)

    def per_image(self) -> dict[str, Tensor]:
        """What each image counts: sort by ``aji`` to find the worst.

        All ranks must call it, unless ``compute()`` was called since the last update.

        Returns:
            A dict of tensors, images without ids before those with one: ``image_id`` ``(B,)`` int64, -1 for an image
            without; ``arrival`` ``(B,)`` int64, the place of an image without in the order of arrival of all, from 0,
            and -1 for an image with an id; ``aji`` ``(B,)`` float64; ``tp``, ``fp``, ``fn`` int64 and ``f1``,
            ``precision``, ``recall``, ``accuracy``, ``pq``, ``sq`` float64 at each threshold, ``(B, T)``.
        """
        return instance_scores.per_image(self.data(), self.settings)

    def plot(self, val: Any = None, ax: Any = None) -> tuple[Any, Any]:
        """Draw the means over the thresholds, and AJI; over several results as lines.

        Args:
            val: What ``compute()`` has returned, or a list of such results, one per epoch. None for ``compute()`` now,
                on all ranks.
            ax: A matplotlib axis to draw on.

        Returns:
            The matplotlib figure and axis.

        Raises:
            ModuleNotFoundError: if matplotlib is not installed.
            ValueError: if ``val`` is no such result.
        """
        from detmetrics.show.plot import panoptic, pictures

        return pictures.draw(panoptic.Instances(), val, self.compute, ax)


def instance_quality(
    preds: Maps,
    target: Maps,
    image_ids: Sequence[int] | Tensor | None = None,
    *,
    thresholds: Sequence[float] = THRESHOLDS,
    aggregate: str = "dataset",
    zero_division: float = float("nan"),
    duplicates: str = "drop",
) -> dict[str, Tensor]:
    """F1, accuracy and PQ at IoU thresholds, and AJI, of a whole data set; see :class:`detmetrics.InstanceQuality`.

    Args:
        preds: Ids of instances ``(B, ...)``, 0 for the background; or a sequence of such maps.
        target: The same of the targets.
        image_ids: A non-negative int for each image, ``(B,)``: repeated images count once.
        thresholds: IoUs in [0.5, 1] that a match must reach; below .5 matches would not be unique.
        aggregate: ``"dataset"`` (counts and pixels are pooled over the images, as by StarDist's ``matching_dataset``),
            or ``"imagewise"`` (the mean over the images of the scores of each, as for Cellpose and in papers on AJI).
        zero_division: What stands for 0/0, such as the scores of an image without instances. NaN is left out of means.
        duplicates: What becomes of an image whose id came before with the same target: ``"drop"`` (it does not count,
            and a warning says so), ``"error"`` (raise if it is predicted otherwise), ``"keep"`` (every image counts,
            also with another target).

    Returns:
        A dict of 0-d float64 tensors, as of :meth:`detmetrics.InstanceQuality.compute`.

    Raises:
        ValueError: if an argument or an input does not fit.

    Example:
        >>> import torch
        >>> from detmetrics.functional import instance_quality
        >>> target = torch.tensor([[[1, 1, 1, 0], [0, 2, 2, 2]]])
        >>> result = instance_quality(target, target)
        >>> result["aji"].item(), result["f1/0.9"].item()
        (1.0, 1.0)
    """
    metric = InstanceQuality(
        thresholds,
        aggregate=aggregate,
        zero_division=zero_division,
        duplicates=duplicates,
        sync_on_compute=False,
    )
    metric = on_device_of(metric, preds)
    metric.update(preds, target, image_ids)
    result: dict[str, Tensor] = metric.compute()
    return result
