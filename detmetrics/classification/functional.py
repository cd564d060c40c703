"""The classification metrics as functions: all data at once, one result."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from detmetrics.classification.report import ClassificationReport
from detmetrics.counting import Ids, evaluate


def classification_report(preds: Tensor, target: Tensor, image_ids: Ids = None, **kwargs: Any) -> dict[str, Tensor]:
    """Precision, recall, F1 and support of each class of a whole data set, their averages, and accuracy.

    Args:
        preds: Labels or scores, as in :meth:`ClassificationReport.update`.
        target: Labels, likewise.
        image_ids: An id for each sample; repeated samples count once.
        kwargs: The arguments of :class:`detmetrics.ClassificationReport`.

    Returns:
        The dict of :meth:`ClassificationReport.compute`.

    Raises:
        ValueError: if an argument or an input does not fit.

    Example:
        >>> import torch
        >>> report = classification_report(torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1]), num_classes=2)
        >>> report["recall/0"].item(), report["support/0"].item()
        (0.5, 2.0)
    """
    result: dict[str, Tensor] = evaluate(ClassificationReport(**kwargs), preds, target, image_ids)
    return result
