"""Scores of pixels in two steps: the counts of each image and class, then any score and reduction of them."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from torch import Tensor

from detmetrics import arguments
from detmetrics.reduce import averages
from detmetrics.reduce.averages import AGGREGATES, AVERAGES
from detmetrics.reduce.formulas import Counts
from detmetrics.segmentation.scores import FORMULAS
from detmetrics.segmentation.settings import SegmentationSettings, check_reduction


def segmentation_counts(
    preds: Tensor,
    target: Tensor,
    *,
    task: str = "multiclass",
    num_classes: int | None = None,
    ignore_index: int | Sequence[int] | None = None,
    threshold: float = 0.5,
    from_logits: bool = False,
) -> Counts:
    """tp, fp, fn and tn of each image and class, exact: the first of two steps, :func:`score_counts` being the second.

    Args:
        preds: multiclass: labels ``(B, ...)`` of any dtype, or scores ``(B, C, ...)``, whose largest counts. binary:
            ``(B, ...)``, multilabel: ``(B, C, ...)``, scores of a floating dtype, or 0 and 1 of another.
        target: multiclass: labels ``(B, ...)``; binary and multilabel: 0 and 1, of the shape of ``preds``.
        task: ``"multiclass"`` (label maps), ``"binary"`` (one mask, whose foreground is reported) or ``"multilabel"``
            (C masks).
        num_classes: C. None for binary inputs, or if ``class_names`` has them.
        ignore_index: Values of the target, labels or not, whose pixels are left out of everything: an int, several, or
            None. A class among them is left out of averages too.
        threshold: Scores at or above it count as 1, for binary and multilabel inputs; a probability.
        from_logits: Whether these scores are logits rather than probabilities. The largest of multiclass scores is the
            same for both.

    Returns:
        Four int64 tensors ``(B, C)``, for binary inputs ``(B, 1)``.

    Raises:
        ValueError: if an argument or an input does not fit.

    Source: ``get_stats`` of segmentation_models_pytorch.

    Example:
        >>> import torch
        >>> from detmetrics.functional import score_counts, segmentation_counts
        >>> counts = segmentation_counts(torch.tensor([[0, 1, 1]]), torch.tensor([[0, 0, 1]]), num_classes=2)
        >>> counts.tp.tolist(), counts.fp.tolist(), counts.fn.tolist()
        ([[1, 1]], [[0, 1]], [[1, 0]])
        >>> score_counts("iou", counts).item()
        0.5
    """
    settings = SegmentationSettings.of(
        task=task,
        num_classes=num_classes,
        ignore_index=ignore_index,
        threshold=threshold,
        from_logits=from_logits,
    )
    device = preds.device if isinstance(preds, Tensor) else torch.device("cpu")
    preds, target = settings.counting.prepare(preds, target, device)
    counts, invalid = settings.counting.count(preds, target, per_image=True)  # (B, C, 4)
    if bool(invalid.any()):
        settings.counting.explain(preds, target)
    return Counts(*counts.unbind(dim=-1))


def score_counts(
    score: str,
    counts: Sequence[Tensor],
    *,
    average: str = "macro",
    aggregate: str = "dataset",
    zero_division: float = float("nan"),
    class_weights: Sequence[float] | Tensor | None = None,
    exclude_classes: int | Sequence[int] | None = None,
    beta: float = 1.0,
) -> Tensor:
    """A score of counts, with any reduction.

    Args:
        score: ``"iou"``, ``"f1"``, ``"f_beta"``, ``"precision"``, ``"recall"``, ``"specificity"`` or ``"accuracy"``,
            which is (tp + tn) / (tp + fp + fn + tn).
        counts: tp, fp, fn, tn: ``(B, C)`` int64 each, as from :func:`segmentation_counts`.
        average: ``"micro"`` (counts pooled over the classes), ``"macro"`` (mean over the classes), ``"weighted"`` (mean
            by the target support), ``"none"`` (one value per class).
        aggregate: ``"dataset"`` (counts pooled over the images, then the score), ``"imagewise"`` (the score of each
            image as if it were the data set, then the mean over images), ``"classwise"`` (for each class the mean over
            images, then over classes; not with micro), ``"pooled"`` (the mean over all defined cells of images and
            classes; macro or none).
        zero_division: What stands for 0/0, also in a mean over nothing. NaN is left out of means.
        class_weights: C numbers of 0 or more for macro averages: sum(w * s) / sum(w) over the defined cells.
        exclude_classes: Classes that are left out of averages alone, the background for example: an int, several, or
            None.
        beta: How many times as much recall weighs as precision, a positive number.

    Returns:
        A 0-d float64 tensor, with ``average="none"`` ``(C,)``.

    Raises:
        ValueError: if an argument does not fit.

    Example:
        >>> import torch
        >>> from detmetrics.functional import score_counts
        >>> counts = [torch.tensor([[2, 0]]), torch.tensor([[1, 0]]), torch.tensor([[1, 0]]), torch.tensor([[0, 4]])]
        >>> score_counts("f1", counts, average="none")
        tensor([0.6667,    nan], dtype=torch.float64)
    """
    arguments.choice("score", score, tuple(FORMULAS))
    arguments.choice("aggregate", aggregate, tuple(AGGREGATES))
    arguments.choice("average", average, AVERAGES)
    check_reduction(average, aggregate)
    num_classes = counts[0].shape[-1]
    excluded = arguments.labels("exclude_classes", exclude_classes, num_classes)
    weights = None
    if class_weights is not None:
        checked = arguments.class_weights("class_weights", class_weights, num_classes, average)
        weights = torch.tensor(checked, dtype=torch.float64)
    options = {"beta": arguments.positive("beta", beta)} if score == "f_beta" else {}
    return averages.average(
        functools.partial(FORMULAS[score], **options),
        counts,
        average=average,
        aggregate=aggregate,
        zero_division=arguments.zero_division("zero_division", zero_division),
        class_weights=weights,
        excluded=averages.class_mask(excluded, num_classes, counts[0].device),
    )
