"""The segmentation metrics as functions: all data at once, one result."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from detmetrics import checks
from detmetrics.counting import Counting, Ids, evaluate
from detmetrics.ops import scores
from detmetrics.segmentation.confusion import SegmentationConfusionMatrix
from detmetrics.segmentation.report import SegmentationReport
from detmetrics.segmentation.scores import (
    SegmentationAccuracy,
    SegmentationF1Score,
    SegmentationFBetaScore,
    SegmentationIoU,
    SegmentationPrecision,
    SegmentationRecall,
    SegmentationSpecificity,
)

FORMULAS: dict[str, scores.Formula] = {
    "iou": scores.iou,
    "f1": scores.f_beta,
    "f_beta": scores.f_beta,
    "precision": scores.precision,
    "recall": scores.recall,
    "specificity": scores.specificity,
    "accuracy": scores.accuracy,
}


class Counts(NamedTuple):
    """What :func:`segmentation_counts` returns: int64, ``(B, C)`` each."""

    tp: Tensor
    fp: Tensor
    fn: Tensor
    tn: Tensor


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
        preds: Labels or scores, as in the ``update()`` of :class:`detmetrics.SegmentationIoU`.
        target: Labels or masks, likewise.
        task: ``"multiclass"``, ``"binary"`` or ``"multilabel"``.
        num_classes: C; None for binary inputs.
        ignore_index: Values of the target whose pixels are not counted: an int, several, or None.
        threshold: Scores at or above it count as 1, for binary and multilabel inputs; a probability.
        from_logits: Whether these scores are logits rather than probabilities.

    Returns:
        Four int64 tensors ``(B, C)``, for binary inputs ``(B, 1)``.

    Raises:
        ValueError: if an argument or an input does not fit.

    Source: ``get_stats`` of segmentation_models_pytorch.

    Example:
        >>> counts = segmentation_counts(torch.tensor([[0, 1, 1]]), torch.tensor([[0, 0, 1]]), num_classes=2)
        >>> counts.tp.tolist(), counts.fp.tolist(), counts.fn.tolist()
        ([[1, 1]], [[0, 1]], [[1, 0]])
        >>> score_counts("iou", counts).item()
        0.5
    """
    counting = Counting(task, num_classes, None, ignore_index, threshold, from_logits)
    counting.check(preds, target, preds.device)
    counts, invalid = counting.count(preds, target, per_image=True)
    if bool(invalid.any()):
        counting.explain(preds, target)
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
        average: ``"micro"``, ``"macro"``, ``"weighted"`` or ``"none"``.
        aggregate: ``"dataset"``, ``"imagewise"``, ``"classwise"`` or ``"pooled"``.
        zero_division: What 0/0 is; NaN is left out of means.
        class_weights: C numbers, for macro averages.
        exclude_classes: Classes that are left out of the averages.
        beta: Of ``"f_beta"``.

    Returns:
        A 0-d float64 tensor, with ``average="none"`` ``(C,)``.

    Raises:
        ValueError: if an argument does not fit.

    Example:
        >>> counts = [torch.tensor([[2, 0]]), torch.tensor([[1, 0]]), torch.tensor([[1, 0]]), torch.tensor([[0, 4]])]
        >>> score_counts("f1", counts, average="none")
        tensor([0.6667,    nan], dtype=torch.float64)
    """
    checks.check_choice("score", score, tuple(FORMULAS))
    checks.check_reduction(average, aggregate, scores.AGGREGATES)
    num_classes = counts[0].shape[-1]
    excluded = checks.check_labels("exclude_classes", exclude_classes, num_classes)
    weights = None
    if class_weights is not None:
        weights = torch.tensor(checks.check_class_weights(class_weights, num_classes, average), dtype=torch.float64)
    options = {"beta": checks.check_number("beta", beta, above=0)} if score == "f_beta" else {}
    return scores.average(
        functools.partial(FORMULAS[score], **options),
        counts,
        average=average,
        aggregate=aggregate,
        zero_division=checks.check_zero_division(zero_division),
        class_weights=weights,
        excluded=scores.class_mask(excluded, num_classes, counts[0].device),
    )


def segmentation_iou(preds: Tensor, target: Tensor, image_ids: Ids = None, **kwargs: Any) -> Tensor | dict[str, Tensor]:
    """Intersection over union, the Jaccard index of a whole data set.

    Args:
        preds: Labels or scores, as in :meth:`SegmentationIoU.update`.
        target: Labels or masks, likewise.
        image_ids: An id for each image; repeated images count once.
        kwargs: The arguments of :class:`detmetrics.SegmentationIoU`.

    Returns:
        What :meth:`SegmentationIoU.compute` returns, float64 in [0, 1].

    Raises:
        ValueError: if an argument or an input does not fit.

    Example:
        >>> score = segmentation_iou(torch.tensor([[0, 1, 1]]), torch.tensor([[0, 0, 1]]), num_classes=2)
        >>> round(score.item(), 4)
        0.5
    """
    result: Tensor | dict[str, Tensor] = evaluate(SegmentationIoU(**kwargs), preds, target, image_ids)
    return result


def segmentation_f1_score(
    preds: Tensor, target: Tensor, image_ids: Ids = None, **kwargs: Any
) -> Tensor | dict[str, Tensor]:
    """F1, which is Dice, of a whole data set.

    Args:
        preds: Labels or scores, as in :meth:`SegmentationF1Score.update`.
        target: Labels or masks, likewise.
        image_ids: An id for each image; repeated images count once.
        kwargs: The arguments of :class:`detmetrics.SegmentationF1Score`.

    Returns:
        What :meth:`SegmentationF1Score.compute` returns, float64 in [0, 1].

    Raises:
        ValueError: if an argument or an input does not fit.

    Example:
        >>> score = segmentation_f1_score(torch.tensor([[0, 1, 1]]), torch.tensor([[0, 0, 1]]), num_classes=2)
        >>> round(score.item(), 4)
        0.6667
    """
    result: Tensor | dict[str, Tensor] = evaluate(SegmentationF1Score(**kwargs), preds, target, image_ids)
    return result


def segmentation_fbeta_score(
    preds: Tensor, target: Tensor, image_ids: Ids = None, **kwargs: Any
) -> Tensor | dict[str, Tensor]:
    """F-beta of a whole data set.

    Args:
        preds: Labels or scores, as in :meth:`SegmentationFBetaScore.update`.
        target: Labels or masks, likewise.
        image_ids: An id for each image; repeated images count once.
        kwargs: The arguments of :class:`detmetrics.SegmentationFBetaScore`.

    Returns:
        What :meth:`SegmentationFBetaScore.compute` returns, float64 in [0, 1].

    Raises:
        ValueError: if an argument or an input does not fit.

    Example:
        >>> score = segmentation_fbeta_score(torch.tensor([[0, 1]]), torch.tensor([[0, 0]]), beta=1, num_classes=2)
        >>> round(score.item(), 4)
        0.3333
    """
    result: Tensor | dict[str, Tensor] = evaluate(SegmentationFBetaScore(**kwargs), preds, target, image_ids)
    return result


def segmentation_precision(
    preds: Tensor, target: Tensor, image_ids: Ids = None, **kwargs: Any
) -> Tensor | dict[str, Tensor]:
    """Precision of a whole data set.

    Args:
        preds: Labels or scores, as in :meth:`SegmentationPrecision.update`.
        target: Labels or masks, likewise.
        image_ids: An id for each image; repeated images count once.
        kwargs: The arguments of :class:`detmetrics.SegmentationPrecision`.

    Returns:
        What :meth:`SegmentationPrecision.compute` returns, float64 in [0, 1].

    Raises:
        ValueError: if an argument or an input does not fit.

    Example:
        >>> score = segmentation_precision(torch.tensor([[0, 1, 1]]), torch.tensor([[0, 0, 1]]), num_classes=2)
        >>> round(score.item(), 4)
        0.75
    """
    result: Tensor | dict[str, Tensor] = evaluate(SegmentationPrecision(**kwargs), preds, target, image_ids)
    return result


def segmentation_recall(
    preds: Tensor, target: Tensor, image_ids: Ids = None, **kwargs: Any
) -> Tensor | dict[str, Tensor]:
    """Recall of a whole data set.

    Args:
        preds: Labels or scores, as in :meth:`SegmentationRecall.update`.
        target: Labels or masks, likewise.
        image_ids: An id for each image; repeated images count once.
        kwargs: The arguments of :class:`detmetrics.SegmentationRecall`.

    Returns:
        What :meth:`SegmentationRecall.compute` returns, float64 in [0, 1].

    Raises:
        ValueError: if an argument or an input does not fit.

    Example:
        >>> score = segmentation_recall(torch.tensor([[0, 1, 1]]), torch.tensor([[0, 0, 1]]), num_classes=2)
        >>> round(score.item(), 4)
        0.75
    """
    result: Tensor | dict[str, Tensor] = evaluate(SegmentationRecall(**kwargs), preds, target, image_ids)
    return result


def segmentation_specificity(
    preds: Tensor, target: Tensor, image_ids: Ids = None, **kwargs: Any
) -> Tensor | dict[str, Tensor]:
    """Specificity of a whole data set.

    Args:
        preds: Labels or scores, as in :meth:`SegmentationSpecificity.update`.
        target: Labels or masks, likewise.
        image_ids: An id for each image; repeated images count once.
        kwargs: The arguments of :class:`detmetrics.SegmentationSpecificity`.

    Returns:
        What :meth:`SegmentationSpecificity.compute` returns, float64 in [0, 1].

    Raises:
        ValueError: if an argument or an input does not fit.

    Example:
        >>> score = segmentation_specificity(torch.tensor([[0, 1, 1]]), torch.tensor([[0, 0, 1]]), num_classes=2)
        >>> round(score.item(), 4)
        0.75
    """
    result: Tensor | dict[str, Tensor] = evaluate(SegmentationSpecificity(**kwargs), preds, target, image_ids)
    return result


def segmentation_accuracy(
    preds: Tensor, target: Tensor, image_ids: Ids = None, **kwargs: Any
) -> Tensor | dict[str, Tensor]:
    """Accuracy of a whole data set.

    Args:
        preds: Labels or scores, as in :meth:`SegmentationAccuracy.update`.
        target: Labels or masks, likewise.
        image_ids: An id for each image; repeated images count once.
        kwargs: The arguments of :class:`detmetrics.SegmentationAccuracy`.

    Returns:
        What :meth:`SegmentationAccuracy.compute` returns, float64 in [0, 1].

    Raises:
        ValueError: if an argument or an input does not fit.

    Example:
        >>> score = segmentation_accuracy(torch.tensor([[0, 1, 1]]), torch.tensor([[1, 0, 1]]), num_classes=2)
        >>> score.item()
        0.25
    """
    result: Tensor | dict[str, Tensor] = evaluate(SegmentationAccuracy(**kwargs), preds, target, image_ids)
    return result


def segmentation_confusion_matrix(preds: Tensor, target: Tensor, image_ids: Ids = None, **kwargs: Any) -> Tensor:
    """The confusion matrix of a whole data set.

    Args:
        preds: Labels or scores, as in :meth:`SegmentationConfusionMatrix.update`.
        target: Labels or masks, likewise.
        image_ids: An id for each image; repeated images count once.
        kwargs: The arguments of :class:`detmetrics.SegmentationConfusionMatrix`.

    Returns:
        What :meth:`SegmentationConfusionMatrix.compute` returns: ``(C, C)``, rows are targets; int64, or float64 if
        normalised.

    Raises:
        ValueError: if an argument or an input does not fit.

    Example:
        >>> segmentation_confusion_matrix(torch.tensor([[0, 1, 1]]), torch.tensor([[0, 0, 1]]), num_classes=2).tolist()
        [[1, 1], [0, 1]]
    """
    result: Tensor = evaluate(SegmentationConfusionMatrix(**kwargs), preds, target, image_ids)
    return result


def segmentation_report(preds: Tensor, target: Tensor, image_ids: Ids = None, **kwargs: Any) -> dict[str, Tensor]:
    """Several scores of a whole data set, for each class and over all.

    Args:
        preds: Labels or scores, as in :meth:`SegmentationReport.update`.
        target: Labels or masks, likewise.
        image_ids: An id for each image; repeated images count once.
        kwargs: The arguments of :class:`detmetrics.SegmentationReport`.

    Returns:
        The dict of :meth:`SegmentationReport.compute`.

    Raises:
        ValueError: if an argument or an input does not fit.

    Example:
        >>> report = segmentation_report(torch.tensor([[0, 1, 1]]), torch.tensor([[0, 0, 1]]), num_classes=2)
        >>> report["mean_iou"].item(), report["support/0"].item()
        (0.5, 2.0)
    """
    result: dict[str, Tensor] = evaluate(SegmentationReport(**kwargs), preds, target, image_ids)
    return result
