"""scikit-learn's classification report on the device, over batches and ranks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from detmetrics import arguments
from detmetrics.classification.counting import SampleCounts
from detmetrics.classification.scores import COLUMNS, report, report_table
from detmetrics.classification.settings import ClassificationReportSettings
from detmetrics.segmentation.metric import CountingMetric, evaluate
from detmetrics.settings import Setting


class ClassificationReport(CountingMetric):
    """Precision, recall, F1 and support of each class, their averages, and accuracy.

    The state is of constant size, 32 bytes per class; multilabel inputs add 24 bytes per sample for the averages over
    samples, and samples with ids are rows of ``16 + 32 C`` bytes.

    The function is :func:`detmetrics.functional.classification_report`.

    Args:
        task: ``"multiclass"``, ``"binary"`` (labels 0 and 1, both of which are reported) or ``"multilabel"``.
        num_classes: C; the labels are 0 to C - 1. None: as many as there are ``target_names``, or up to the last of
            ``labels``, or 2 for binary inputs.
        labels: The labels to report, in this order; None for all. Others still count as wrong predictions.
        target_names: The names of ``labels``; None for the labels themselves.
        digits: Of the text, after the point.
        ignore_index: Values of the target, labels or not, whose samples (for multilabel inputs, entries) are left out
            of everything: an int, several, or None. A class among them is left out of averages too.
        zero_division: What stands for 0/0, also in a mean over nothing. NaN is left out of means.
        threshold: Scores at or above it count as 1, for binary and multilabel inputs; a probability.
        from_logits: Whether these scores are logits rather than probabilities. The largest of multiclass scores is the
            same for both.
        duplicates: What becomes of a sample whose id came before with the same target: ``"drop"`` (it does not count,
            and a warning says so), ``"error"`` (raise if it is predicted otherwise), ``"keep"`` (every sample counts,
            also with another target).
        kwargs: The keyword arguments of ``torchmetrics.Metric``.

    Raises:
        ValueError: if an argument does not fit.

    Source: scikit-learn's ``classification_report``; :meth:`table` is its text.

    Example:
        >>> import torch
        >>> from detmetrics import ClassificationReport
        >>> metric = ClassificationReport(target_names=["cat", "dog"])
        >>> metric.update(torch.tensor([0, 1, 1, 1]), torch.tensor([0, 0, 1, 1]))
        >>> metric.compute()["recall/cat"].item()
        0.5
        >>> print(metric.table())
                      precision    recall  f1-score   support
        <BLANKLINE>
                 cat       1.00      0.50      0.67         2
                 dog       0.67      1.00      0.80         2
        <BLANKLINE>
            accuracy                           0.75         4
           macro avg       0.83      0.75      0.73         4
        weighted avg       0.83      0.75      0.73         4
        <BLANKLINE>
    """

    labels = Setting()
    target_names = Setting()
    digits = Setting()

    def __init__(
        self,
        *,
        task: str = "multiclass",
        num_classes: int | None = None,
        labels: Sequence[int] | None = None,
        target_names: Sequence[str] | None = None,
        digits: int = 2,
        ignore_index: int | Sequence[int] | None = None,
        zero_division: float = float("nan"),
        threshold: float = 0.5,
        from_logits: bool = False,
        duplicates: str = "drop",
        **kwargs: Any,
    ) -> None:
        settings = ClassificationReportSettings.of(
            task=task,
            num_classes=num_classes,
            labels=labels,
            target_names=target_names,
            digits=digits,
            ignore_index=ignore_index,
            zero_division=zero_division,
            threshold=threshold,
            from_logits=from_logits,
            duplicates=duplicates,
        )
        super().__init__(settings, **kwargs)
        if settings.task == "multilabel":
            self.add_rows("samples", 3)  # tp, fp, fn over the reported labels, of samples without ids

    def update(self, preds: Tensor, target: Tensor, image_ids: Sequence[int] | Tensor | None = None) -> None:
        """Add a batch.

        Args:
            preds: multiclass: labels ``(N,)`` of any dtype, or scores ``(N, C)``, whose largest counts. binary: labels,
                or scores of a floating dtype, ``(N,)``. multilabel: the same, ``(N, C)``.
            target: labels ``(N,)``, multiclass also one-hot ``(N, C)``; multilabel 0 and 1 ``(N, C)``.
            image_ids: A non-negative int for each sample, ``(N,)``: repeated samples count once.

        Raises:
            ValueError: if the batch does not fit; nothing is changed. On a GPU, values (labels out of range, NaN,
                probabilities outside [0, 1]) are found later, and every ``compute()`` raises until ``reset()``.
        """
        super().update(preds, target, image_ids)

    def pool(self, counts: Tensor) -> None:
        """Add the counts of a batch whose samples need not be told apart: (C, 4), of multilabel ones (N, C, 4).

        Args:
            counts: tp, fp, fn, tn of each class, int64.
        """
        if self.task == "multilabel":
            self.append("samples", self.configuration.over_labels(counts))
            counts = counts.sum(dim=0)
        super().pool(counts)

    def read_state(self) -> SampleCounts:
        """What readers read; raises a ``ValueError`` if values were found to be invalid after their update."""
        counts, samples = super().read_state(), None
        if self.task == "multilabel":
            samples = torch.cat([self.rows("samples"), self.configuration.over_labels(counts.by_image)])
        return SampleCounts(**vars(counts), samples=samples)

    def compute(self) -> dict[str, Tensor]:
        """The results of all samples so far.

        Returns:
            A dict of 0-d float64 tensors: ``precision/<name>``, ``recall/<name>``, ``f1/<name>`` and ``support/<name>``
            for each class; ``precision_<average>``, ``recall_<average>`` and ``f1_<average>`` for micro, macro,
            weighted and, for multilabel inputs, samples; ``support``; ``accuracy``, the share of samples that are right
            in all they say.

        Raises:
            ValueError: if an id has several targets, or if values of an earlier update were invalid.
        """
        return report(self.data(), self.settings)

    def table(self) -> str:
        """The text of scikit-learn's ``classification_report`` for the same ``labels`` and ``zero_division``."""
        results = self.compute()
        return report_table(results, self.data(), self.settings)

    def plot(self, val: Any = None, ax: Any = None, *, score: str = "f1") -> tuple[Any, Any]:
        """Draw a score of each class with its support, or over several results the averages of the score.

        Args:
            val: What ``compute()`` or ``forward()`` has returned, or a list of such results, one per epoch. None for
                ``compute()`` now, on all ranks.
            ax: A matplotlib axis to draw on. None for that of a new figure.
            score: Which score to draw: ``"f1"``, ``"precision"`` or ``"recall"``.

        Returns:
            The matplotlib figure and axis.

        Raises:
            ModuleNotFoundError: if matplotlib is not installed.
            ValueError: if ``score`` is none of these, or ``val`` is no such result.
        """
        from detmetrics.show.plot import pictures

        arguments.choice("score", score, tuple(COLUMNS))
        return pictures.draw(pictures.Report(score), val, self.compute, ax)


def classification_report(
    preds: Tensor,
    target: Tensor,
    image_ids: Sequence[int] | Tensor | None = None,
    *,
    task: str = "multiclass",
    num_classes: int | None = None,
    labels: Sequence[int] | None = None,
    target_names: Sequence[str] | None = None,
    ignore_index: int | Sequence[int] | None = None,
    zero_division: float = float("nan"),
    threshold: float = 0.5,
    from_logits: bool = False,
    duplicates: str = "drop",
) -> dict[str, Tensor]:
    """Precision, recall, F1 and support of each class of a whole data set, their averages, and accuracy.

    Args:
        preds: multiclass: labels ``(N,)`` of any dtype, or scores ``(N, C)``, whose largest counts. binary: labels, or
            scores of a floating dtype, ``(N,)``. multilabel: the same, ``(N, C)``.
        target: labels ``(N,)``, multiclass also one-hot ``(N, C)``; multilabel 0 and 1 ``(N, C)``.
        image_ids: A non-negative int for each sample, ``(N,)``: repeated samples count once.
        task: ``"multiclass"``, ``"binary"`` (labels 0 and 1, both of which are reported) or ``"multilabel"``.
        num_classes: C; the labels are 0 to C - 1. None: as many as there are ``target_names``, or up to the last of
            ``labels``, or 2 for binary inputs.
        labels: The labels to report, in this order; None for all. Others still count as wrong predictions.
        target_names: The names of ``labels``; None for the labels themselves.
        ignore_index: Values of the target, labels or not, whose samples (for multilabel inputs, entries) are left out
            of everything: an int, several, or None. A class among them is left out of averages too.
        zero_division: What stands for 0/0, also in a mean over nothing. NaN is left out of means.
        threshold: Scores at or above it count as 1, for binary and multilabel inputs; a probability.
        from_logits: Whether these scores are logits rather than probabilities. The largest of multiclass scores is the
            same for both.
        duplicates: What becomes of a sample whose id came before with the same target: ``"drop"`` (it does not count,
            and a warning says so), ``"error"`` (raise if it is predicted otherwise), ``"keep"`` (every sample counts,
            also with another target).

    Returns:
        A dict of 0-d float64 tensors: ``precision/<name>``, ``recall/<name>``, ``f1/<name>`` and ``support/<name>`` for
        each class; ``precision_<average>``, ``recall_<average>`` and ``f1_<average>`` for micro, macro, weighted and,
        for multilabel inputs, samples; ``support``; ``accuracy``, the share of samples that are right in all they say.

    Raises:
        ValueError: if an argument or an input does not fit.

    Example:
        >>> import torch
        >>> from detmetrics.functional import classification_report
        >>> report = classification_report(torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1]), num_classes=2)
        >>> report["recall/0"].item(), report["support/0"].item()
        (0.5, 2.0)
    """
    metric = ClassificationReport(
        task=task,
        num_classes=num_classes,
        labels=labels,
        target_names=target_names,
        ignore_index=ignore_index,
        zero_division=zero_division,
        threshold=threshold,
        from_logits=from_logits,
        duplicates=duplicates,
        sync_on_compute=False,
    )
    result: dict[str, Tensor] = evaluate(metric, preds, target, image_ids)
    return result
