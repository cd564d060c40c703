"""The trimap IoU of a segmentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from detmetrics.segmentation.boundary_scores import TrimapIoUSettings, boundary_score
from detmetrics.segmentation.metric import CountingMetric, evaluate
from detmetrics.segmentation.scores import support
from detmetrics.settings import Fixed, Setting


class SegmentationTrimapIoU(CountingMetric):
    """Trimap IoU: the IoU of all pixels near a boundary between classes of the target.

    The trimap are the pixels that have another class of the target within a square of twice the width and one pixel;
    the border of the image and ignored pixels make no boundary. For masks, each has a trimap of its own. The score of a
    class is tp / (tp + fp + fn) over the pixels of the trimap. Images have two dimensions.

    Source: Kohli et al., Robust Higher Order Potentials for Enforcing Label Consistency (IJCV 2009).

    With ``aggregate="dataset"`` the state is of constant size, 32 bytes per class; otherwise, and for images with ids,
    it is a row of ``16 + 32 C`` bytes per image.

    The function is :func:`detmetrics.functional.segmentation_trimap_iou`.

    Args:
        width_px: How far pixels may be from a boundary between classes of the target, in pixels: a positive int.
        task: ``"multiclass"`` (label maps), ``"binary"`` (one mask, whose foreground is reported) or ``"multilabel"``
            (C masks).
        num_classes: C. None for binary inputs, or if ``class_names`` has them.
        class_names: The names of the C classes, in the results: a list, or a dict from label to name.
        average: ``"micro"`` (counts pooled over the classes), ``"macro"`` (mean over the classes), ``"weighted"`` (mean
            by the target support), ``"none"`` (one value per class).
        aggregate: ``"dataset"`` (counts pooled over the images, then the score), ``"imagewise"`` (the score of each
            image as if it were the data set, then the mean over images), ``"classwise"`` (for each class the mean over
            images, then over classes; not with micro), ``"pooled"`` (the mean over all defined cells of images and
            classes; macro or none).
        ignore_index: Values of the target, labels or not, whose pixels are left out of everything: an int, several, or
            None. A class among them is left out of averages too.
        exclude_classes: Classes that are left out of averages alone, the background for example: an int, several, or
            None.
        class_weights: C numbers of 0 or more for macro averages: sum(w * s) / sum(w) over the defined cells.
        zero_division: What stands for 0/0, also in a mean over nothing. NaN is left out of means.
        threshold: Scores at or above it count as 1, for binary and multilabel inputs; a probability.
        from_logits: Whether these scores are logits rather than probabilities. The largest of multiclass scores is the
            same for both.
        duplicates: What becomes of an image whose id came before with the same target: ``"drop"`` (it does not count,
            and a warning says so), ``"error"`` (raise if it is predicted otherwise), ``"keep"`` (every image counts,
            also with another target).
        kwargs: The keyword arguments of ``torchmetrics.Metric``.

    Raises:
        ValueError: if an argument does not fit.

    Example:
        >>> import torch
        >>> from detmetrics import SegmentationTrimapIoU
        >>> preds, target = torch.zeros(2, 1, 6, 6, dtype=torch.int64)
        >>> preds[:, 1:5, 1:5], target[:, 1:5, 1:4] = 1, 1
        >>> metric = SegmentationTrimapIoU(num_classes=2, average="none")
        >>> metric.update(preds, target)
        >>> metric.compute()
        tensor([0.8333, 0.7500], dtype=torch.float64)
    """

    name = "trimap_iou"  # of detmetrics.segmentation.boundary_scores.FORMULAS

    width_px = Fixed()
    class_names = Setting()
    average = Setting()
    aggregate = Setting()
    exclude_classes = Setting()
    class_weights = Setting()

    def __init__(
        self,
        *,
        width_px: int = 5,
        task: str = "multiclass",
        num_classes: int | None = None,
        class_names: Sequence[str] | Mapping[int, str] | None = None,
        average: str = "macro",
        aggregate: str = "dataset",
        ignore_index: int | Sequence[int] | None = None,
        exclude_classes: int | Sequence[int] | None = None,
        class_weights: Sequence[float] | Tensor | None = None,
        zero_division: float = float("nan"),
        threshold: float = 0.5,
        from_logits: bool = False,
        duplicates: str = "drop",
        **kwargs: Any,
    ) -> None:
        settings = TrimapIoUSettings.of(
            width_px=width_px,
            task=task,
            num_classes=num_classes,
            class_names=class_names,
            average=average,
            aggregate=aggregate,
            ignore_index=ignore_index,
            exclude_classes=exclude_classes,
            class_weights=class_weights,
            zero_division=zero_division,
            threshold=threshold,
            from_logits=from_logits,
            duplicates=duplicates,
        )
        super().__init__(settings, **kwargs)

    def compute(self) -> Tensor | dict[str, Tensor]:
        """The trimap IoU of all images so far.

        Returns:
            A 0-d float64 tensor in [0, 1]. With ``average="none"`` ``(C,)``, NaN for ignored and excluded classes, or a
            dict of 0-d tensors ``trimap_iou/<name>`` if there are class names.

        Raises:
            ValueError: if an id has several targets, or if values of an earlier update were invalid.
        """
        return boundary_score(self.name, self.data(), self.settings)

    def plot(self, val: Any = None, ax: Any = None) -> tuple[Any, Any]:
        """Draw the score, or with ``average="none"`` a bar per class; over several results its history.

        Args:
            val: What ``compute()`` or ``forward()`` has returned, or a list of such results, one per epoch. None for
                ``compute()`` now, on all ranks.
            ax: A matplotlib axis to draw on. None for that of a new figure.

        Returns:
            The matplotlib figure and axis.

        Raises:
            ModuleNotFoundError: if matplotlib is not installed.
            ValueError: if ``val`` has nothing that can be drawn.
        """
        from detmetrics.show.plot import pictures

        names = self.settings.names
        picture = pictures.Score(self.name, names, support=lambda: support(self.data(), self.settings))
        return pictures.draw(picture, val, self.compute, ax)


def segmentation_trimap_iou(
    preds: Tensor,
    target: Tensor,
    image_ids: Sequence[int] | Tensor | None = None,
    *,
    width_px: int = 5,
    task: str = "multiclass",
    num_classes: int | None = None,
    class_names: Sequence[str] | Mapping[int, str] | None = None,
    average: str = "macro",
    aggregate: str = "dataset",
    ignore_index: int | Sequence[int] | None = None,
    exclude_classes: int | Sequence[int] | None = None,
    class_weights: Sequence[float] | Tensor | None = None,
    zero_division: float = float("nan"),
    threshold: float = 0.5,
    from_logits: bool = False,
    duplicates: str = "drop",
) -> Tensor | dict[str, Tensor]:
    """The trimap IoU of a whole data set: that of all pixels near a boundary of the target.

    Args:
        preds: multiclass: labels ``(B, ...)`` of any dtype, or scores ``(B, C, ...)``, whose largest counts. binary:
            ``(B, ...)``, multilabel: ``(B, C, ...)``, scores of a floating dtype, or 0 and 1 of another.
        target: multiclass: labels ``(B, ...)``; binary and multilabel: 0 and 1, of the shape of ``preds``.
        image_ids: A non-negative int for each image, ``(B,)``: repeated images count once.
        width_px: How far pixels may be from a boundary between classes of the target, in pixels: a positive int.
        task: ``"multiclass"`` (label maps), ``"binary"`` (one mask, whose foreground is reported) or ``"multilabel"``
            (C masks).
        num_classes: C. None for binary inputs, or if ``class_names`` has them.
        class_names: The names of the C classes, in the results: a list, or a dict from label to name.
        average: ``"micro"`` (counts pooled over the classes), ``"macro"`` (mean over the classes), ``"weighted"`` (mean
            by the target support), ``"none"`` (one value per class).
        aggregate: ``"dataset"`` (counts pooled over the images, then the score), ``"imagewise"`` (the score of each
            image as if it were the data set, then the mean over images), ``"classwise"`` (for each class the mean over
            images, then over classes; not with micro), ``"pooled"`` (the mean over all defined cells of images and
            classes; macro or none).
        ignore_index: Values of the target, labels or not, whose pixels are left out of everything: an int, several, or
            None. A class among them is left out of averages too.
        exclude_classes: Classes that are left out of averages alone, the background for example: an int, several, or
            None.
        class_weights: C numbers of 0 or more for macro averages: sum(w * s) / sum(w) over the defined cells.
        zero_division: What stands for 0/0, also in a mean over nothing. NaN is left out of means.
        threshold: Scores at or above it count as 1, for binary and multilabel inputs; a probability.
        from_logits: Whether these scores are logits rather than probabilities. The largest of multiclass scores is the
            same for both.
        duplicates: What becomes of an image whose id came before with the same target: ``"drop"`` (it does not count,
            and a warning says so), ``"error"`` (raise if it is predicted otherwise), ``"keep"`` (every image counts,
            also with another target).

    Returns:
        A 0-d float64 tensor in [0, 1]. With ``average="none"`` ``(C,)``, NaN for ignored and excluded classes, or a
        dict of 0-d tensors ``trimap_iou/<name>`` if there are class names.

    Raises:
        ValueError: if an argument or an input does not fit.

    Example:
        >>> import torch
        >>> from detmetrics.functional import segmentation_trimap_iou
        >>> preds, target = torch.tensor([[[0, 0, 0, 1, 1]]]), torch.tensor([[[0, 1, 1, 1, 1]]])
        >>> segmentation_trimap_iou(preds, target, num_classes=2).item()
        0.41666666666666663
    """
    metric = SegmentationTrimapIoU(
        width_px=width_px,
        task=task,
        num_classes=num_classes,
        class_names=class_names,
        average=average,
        aggregate=aggregate,
        ignore_index=ignore_index,
        exclude_classes=exclude_classes,
        class_weights=class_weights,
        zero_division=zero_division,
        threshold=threshold,
        from_logits=from_logits,
        duplicates=duplicates,
        sync_on_compute=False,
    )
    result: Tensor | dict[str, Tensor] = evaluate(metric, preds, target, image_ids)
    return result
