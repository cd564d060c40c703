"""Panoptic quality."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from torch import Tensor

from detmetrics import arguments
from detmetrics.panoptic import scores
from detmetrics.panoptic.inputs import Infos, Maps
from detmetrics.panoptic.metric import PanopticMetric, on_device_of
from detmetrics.panoptic.settings import PanopticSettings, match_threshold
from detmetrics.settings import Fixed, Setting


class PanopticQuality(PanopticMetric):
    """Panoptic quality: PQ = SQ x RQ, for all classes, things, stuffs and each class.

    A predicted and a target segment of one class match if their IoU exceeds the threshold, which leaves one partner at
    most. With tp matches, fp predictions and fn targets without one, SQ is the mean IoU of the matches, RQ is
    tp / (tp + fp / 2 + fn / 2), and both are averaged over classes, as PQ is. Void pixels of the target leave the
    union. Crowds are no targets, and a prediction more than half of which is void or a crowd of its class is no false
    positive. A class without a match has SQ 0, as in panopticapi; one without targets and predictions is left out.

    Two things differ from torchmetrics: pixels without a prediction count in the union, and a target most of which has
    no prediction is a false negative. Overlaps are counted exactly; a sum of IoUs is rounded once, whatever its order.

    The state is 32 bytes per image, per target segment and per prediction without a match; no map is kept, and
    ``threshold`` may be changed at any time. The function is :func:`detmetrics.functional.panoptic_quality`.

    Args:
        things: The classes of things, whose instances are told apart: labels, or names among ``class_names``.
        stuffs: The classes of stuff, which has no instances: labels, or names among ``class_names``.
        class_names: The names of the classes, in the results: a list, or a dict from label to name. None: they are
            called by their labels.
        threshold: The IoU that a match must exceed, in [0.5, 1).
        class_metrics: Whether the result has the scores of each class.
        boundary: Whether Boundary PQ is asked for: of the IoU of two segments and that of their boundaries the smaller
            counts.
        allow_unknown_preds_category: Whether maps of predicted categories may have others than those of things and
            stuffs; their pixels are in no segment.
        zero_division: What stands for 0/0, the score of a class without targets and predictions, and for a mean over
            nothing. NaN is left out of means.
        duplicates: What becomes of an image whose id came before with the same target: ``"drop"`` (it does not count,
            and a warning says so), ``"error"`` (raise if it is predicted otherwise), ``"keep"`` (every image counts,
            also with another target).
        kwargs: The keyword arguments of ``torchmetrics.Metric``.

    Raises:
        ValueError: if an argument does not fit.

    Source: Kirillov et al., Panoptic Segmentation (CVPR 2019); ``pq_compute`` of panopticapi; for boundaries Cheng et
    al., Boundary IoU (CVPR 2021).

    Example:
        >>> import torch
        >>> from detmetrics import PanopticQuality
        >>> metric = PanopticQuality(things=["cat"], stuffs=["sky"], class_names={1: "cat", 2: "sky"})
        >>> target = torch.tensor([[[7, 7, 7, 8], [9, 9, 9, 9]]])
        >>> preds = torch.tensor([[[3, 3, 3, 3], [4, 4, 4, 4]]])
        >>> cat, sky = dict(category_id=1), dict(category_id=2)
        >>> metric.update(
        ...     preds,
        ...     target,
        ...     preds_info=[[dict(cat, id=3), dict(sky, id=4)]],
        ...     target_info=[[dict(cat, id=7), dict(cat, id=8), dict(sky, id=9)]],
        ... )
        >>> scores = metric.compute()
        >>> {name: round(scores[name].item(), 4) for name in ("pq", "sq", "rq", "pq_things", "pq/cat")}
        {'pq': 0.75, 'sq': 0.875, 'rq': 0.8333, 'pq_things': 0.5, 'pq/cat': 0.5}
    """

    is_differentiable = False
    higher_is_better = True

    things = Fixed()
    stuffs = Fixed()
    allow_unknown_preds_category = Fixed()
    boundary = Fixed()
    class_names = Setting()
    threshold = Setting()
    class_metrics = Setting()

    def __init__(
        self,
        things: Collection[int] | Collection[str],
        stuffs: Collection[int] | Collection[str],
        *,
        class_names: Sequence[str] | Mapping[int, str] | None = None,
        threshold: float = 0.5,
        class_metrics: bool = True,
        boundary: bool = False,
        allow_unknown_preds_category: bool = False,
        zero_division: float = float("nan"),
        duplicates: str = "drop",
        **kwargs: Any,
    ) -> None:
        settings = PanopticSettings(
            things=things,
            stuffs=stuffs,
            class_names=class_names,  # type: ignore[arg-type]
            threshold=threshold,
            class_metrics=class_metrics,
            boundary=boundary,
            allow_unknown_preds_category=allow_unknown_preds_category,
            zero_division=zero_division,
            duplicates=duplicates,
        )
        super().__init__(settings, **kwargs)

    def update(
        self,
        preds: Maps,
        target: Maps,
        preds_info: Infos | None = None,
        target_info: Infos | None = None,
        image_ids: Sequence[int] | Tensor | None = None,
    ) -> None:
        """Add a batch. On a GPU this waits for the device, as the numbers of segments must be known.

        Args:
            preds: Without ``preds_info`` categories and instances ``(B, ..., 2)``, as torchmetrics takes them. With it
                segment ids ``(B, ...)``, 0 for pixels without a segment. Of any integer dtype; a sequence of B maps
                may have maps of different sizes.
            target: The same of the targets: pixels whose id is 0, or whose category is none of the classes, are void.
            preds_info: For each image a list of dicts, panopticapi's ``segments_info``: ``id`` (a positive int) and
                ``category_id`` of every segment.
            target_info: The same of the targets; ``iscrowd`` (0 if it is missing) marks crowds.
            image_ids: A non-negative int for each image, ``(B,)``: repeated images count once.

        Raises:
            ValueError: if the batch does not fit; nothing is changed.
        """
        self.add_batch(preds, target, preds_info, target_info, image_ids)

    def compute(self) -> dict[str, Tensor]:
        """The scores of all images so far.

        Returns:
            A dict of 0-d float64 tensors in [0, 1]: ``pq``, ``sq``, ``rq``, the same with ``_things`` and ``_stuffs``,
            and with ``class_metrics`` ``pq/<name>``, ``sq/<name>``, ``rq/<name>`` of each class.

        Raises:
            ValueError: if an id has several targets.
        """
        return scores.panoptic_scores(self.data(), self.settings)

    def per_class(self) -> dict[str, Tensor]:
        """What each class counts, in the order of the labels.

        All ranks must call it, unless ``compute()`` was called since the last update.

        Returns:
            A dict of tensors ``(C,)``: ``label``, ``tp``, ``fp``, ``fn`` int64; ``iou_sum``, the sum of the IoU of the
            true positives, ``pq``, ``sq``, ``rq`` float64.
        """
        return scores.per_class(self.data(), self.settings)

    def per_image(self) -> dict[str, Tensor]:
        """What each image counts, all classes together: sort by ``pq`` to find the worst.

        All ranks must call it, unless ``compute()`` was called since the last update.

        Returns:
            A dict of tensors ``(B,)``, images without ids before those with one: ``image_id`` int64, -1 for an image
            without; ``arrival`` int64, the place of an image without in the order of arrival of all, from 0, and -1 for
            an image with an id; ``tp``, ``fp``, ``fn`` int64; ``pq``, ``sq``, ``rq`` float64, the means over the
            classes of the image.
        """
        return scores.per_image(self.data(), self.settings)

    def per_threshold(self, thresholds: Sequence[float]) -> dict[str, Tensor]:
        """The means at several thresholds, whatever ``threshold`` is.

        All ranks must call it, unless ``compute()`` was called since the last update.

        Args:
            thresholds: IoUs in [0.5, 1), T of them, at least one.

        Returns:
            A dict of float64 tensors ``(T,)``: ``threshold``, ``pq``, ``sq``, ``rq``, and the same with ``_things`` and
            ``_stuffs``.

        Raises:
            ValueError: if a threshold does not fit.
        """
        listed = arguments.listing("thresholds", thresholds, "numbers in [0.5, 1)")
        checked = [match_threshold("thresholds", value) for value in listed]
        return scores.per_threshold(self.data(), self.settings, checked)

    def plot(self, val: Any = None, ax: Any = None) -> tuple[Any, Any]:
        """Draw PQ of each class as bars, or the means without ``class_metrics``; the means over several results.

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

        return pictures.draw(panoptic.Quality(), val, self.compute, ax)


def panoptic_quality(
    preds: Maps,
    target: Maps,
    preds_info: Infos | None = None,
    target_info: Infos | None = None,
    image_ids: Sequence[int] | Tensor | None = None,
    *,
    things: Collection[int] | Collection[str],
    stuffs: Collection[int] | Collection[str],
    class_names: Sequence[str] | Mapping[int, str] | None = None,
    threshold: float = 0.5,
    class_metrics: bool = True,
    boundary: bool = False,
    allow_unknown_preds_category: bool = False,
    zero_division: float = float("nan"),
    duplicates: str = "drop",
) -> dict[str, Tensor]:
    """PQ, SQ and RQ of a whole data set; see :class:`detmetrics.PanopticQuality`.

    Args:
        preds: Categories and instances ``(B, ..., 2)``, or segment ids ``(B, ...)`` with ``preds_info``; or such maps.
        target: The same of the targets.
        preds_info: For each image a list of dicts with ``id`` and ``category_id``: panopticapi's ``segments_info``.
        target_info: The same of the targets, optionally with ``iscrowd``.
        image_ids: A non-negative int for each image, ``(B,)``: repeated images count once.
        things: The classes of things, whose instances are told apart: labels, or names among ``class_names``.
        stuffs: The classes of stuff, which has no instances: labels, or names among ``class_names``.
        class_names: The names of the classes, in the results: a list, or a dict from label to name. None: they are
            called by their labels.
        threshold: The IoU that a match must exceed, in [0.5, 1).
        class_metrics: Whether the result has the scores of each class.
        boundary: Whether Boundary PQ is asked for: of the IoU of two segments and that of their boundaries the smaller
            counts.
        allow_unknown_preds_category: Whether maps of predicted categories may have others than those of things and
            stuffs; their pixels are in no segment.
        zero_division: What stands for 0/0, the score of a class without targets and predictions, and for a mean over
            nothing. NaN is left out of means.
        duplicates: What becomes of an image whose id came before with the same target: ``"drop"`` (it does not count,
            and a warning says so), ``"error"`` (raise if it is predicted otherwise), ``"keep"`` (every image counts,
            also with another target).

    Returns:
        A dict of 0-d float64 tensors, as of :meth:`detmetrics.PanopticQuality.compute`.

    Raises:
        ValueError: if an argument or an input does not fit.

    Example:
        >>> import torch
        >>> from detmetrics.functional import panoptic_quality
        >>> target = torch.tensor([[[0, 1], [0, 1], [0, 2], [6, 0]]])
        >>> preds = torch.tensor([[[0, 5], [0, 5], [6, 0], [6, 0]]])
        >>> result = panoptic_quality(preds, target, things=[0], stuffs=[6], class_metrics=False)
        >>> round(result["pq_things"].item(), 4), round(result["rq_stuffs"].item(), 4)
        (0.6667, 0.0)
    """
    metric = PanopticQuality(
        things=things,
        stuffs=stuffs,
        class_names=class_names,
        threshold=threshold,
        class_metrics=class_metrics,
        boundary=boundary,
        allow_unknown_preds_category=allow_unknown_preds_category,
        zero_division=zero_division,
        duplicates=duplicates,
        sync_on_compute=False,
    )
    metric = on_device_of(metric, preds)
    metric.update(preds, target, preds_info, target_info, image_ids)
    result: dict[str, Tensor] = metric.compute()
    return result
