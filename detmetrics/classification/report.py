"""scikit-learn's classification report on the device, over batches and ranks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from detmetrics import checks
from detmetrics.counting import COUNTS, TASKS, Counted, Counting, CountingMetric, Ids
from detmetrics.ops import scores
from detmetrics.pictured import PicturedReport

COLUMNS = {"precision": scores.precision, "recall": scores.recall, "f1": scores.f_beta}
AVERAGES = ("micro", "macro", "weighted")


class ClassificationReport(PicturedReport, CountingMetric):
    """Precision, recall, F1 and support of each class, their averages, and accuracy.

    The state is of constant size, 32 bytes a class; multilabel inputs add 24 bytes a sample for the averages over
    samples, and samples with ids are rows of ``8 + 32 C`` bytes.

    Args:
        task: ``"multiclass"``, ``"binary"`` (labels 0 and 1, both of which are reported) or ``"multilabel"``.
        num_classes: C; the labels are 0 to C - 1. None: as many as there are ``target_names``, or up to the last of
            ``labels``, or 2 for binary inputs.
        labels: The labels to report, in this order; None for all. Others still count as wrong predictions.
        target_names: The names of ``labels``; None for the labels themselves.
        digits: Of the text, after the point.
        ignore_index: Values of the target whose samples (for multilabel inputs, entries) are left out.
        zero_division: What 0/0 is; NaN is left out of means.
        threshold: Scores at or above it count as 1, for binary and multilabel inputs; a probability.
        from_logits: Whether these scores are logits rather than probabilities.
        kwargs: The keyword arguments of ``torchmetrics.Metric``.

    Returns of ``compute()``:
        A dict of 0-d float64 tensors: ``precision/<name>``, ``recall/<name>``, ``f1/<name>`` and ``support/<name>`` for
        each class; ``precision_<average>``, ``recall_<average>`` and ``f1_<average>`` for micro, macro, weighted and,
        for multilabel inputs, samples; ``support``; ``accuracy``, the share of samples that are right in all they say.

    Raises:
        ValueError: if an argument does not fit.

    Source: scikit-learn's ``classification_report``; :meth:`table` is its text. The function is
    :func:`detmetrics.functional.classification_report`.

    Example:
        >>> import torch
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
        **kwargs: Any,
    ) -> None:
        checks.check_choice("task", task, TASKS)
        if num_classes is None:
            num_classes = 2 if task == "binary" else _number_of_classes(labels, target_names)
        of_masks = task == "multilabel"
        counting = Counting(task if of_masks else "multiclass", num_classes, None, ignore_index, threshold, from_logits)
        super().__init__(counting, (counting.num_classes, COUNTS), "counts", False, **kwargs)
        self.task, self.digits = task, checks.check_digits(digits)
        self.labels = checks.check_order("labels", labels, counting.num_classes)
        self.target_names = checks.check_names("target_names", target_names, self.labels)
        self.zero_division = checks.check_zero_division(zero_division)
        if of_masks:
            self.add_rows("samples", 3)  # tp, fp, fn over the labels

    def update(self, preds: Tensor, target: Tensor, image_ids: Ids = None) -> None:
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
        checks.check_map_tensors(preds, target, self.device)
        check_values = not checks.defers_value_checks(self.device)
        if self.task == "binary" and preds.is_floating_point():
            low, high = self._counting.bounds
            if check_values:
                checks.check_scores(preds, low, high)
            valid = (preds >= low) & (preds <= high)
            preds = (preds >= self._counting.cut).long().where(valid, -1)
        if self.task == "multiclass" and target.ndim == 2:
            checks.check_one_hot(target, self._counting.num_classes, check_values)
            valid = (target.sum(dim=1) == 1) & ((target == 0) | (target == 1)).all(dim=1)
            target = target.long().argmax(dim=1).where(valid, -1)
        super().update(preds, target, image_ids)

    def compute(self) -> dict[str, Tensor]:
        """The results for all samples so far; see the class."""
        counts = self._read()  # (C, 4)
        selected = self._selected(counts).unbind(dim=-1)  # tp, fp, fn, tn, (L,) each
        samples = self._samples()
        results: dict[str, Tensor] = {}
        for column, formula in COLUMNS.items():
            results |= self._by_name(column, self._average(formula, selected, "none"))
        results |= self._by_name("support", (selected[0] + selected[2]).double())
        for average in AVERAGES:
            results |= {f"{c}_{average}": self._average(formula, selected, average) for c, formula in COLUMNS.items()}
        if samples is not None:
            results |= {f"{c}_samples": self._over_samples(formula, samples) for c, formula in COLUMNS.items()}
        results["support"] = (selected[0] + selected[2]).sum().double()
        results["accuracy"] = self._accuracy(counts, samples)
        return results

    def table(self) -> str:
        """The text of scikit-learn's ``classification_report`` for the same ``labels`` and ``zero_division``."""
        from detmetrics.report import score_table

        values = {key: value.item() for key, value in self.compute().items()}
        classes = {name: self._row(values, f"/{name}", f"support/{name}") for name in self.target_names}
        averages = {f"{average} avg": self._row(values, f"_{average}", "support") for average in self._averages}
        if self.task != "multilabel" and self._reports_all():  # then the micro averages are the accuracy
            del averages["micro avg"]
            averages = {"accuracy": [None, None, values["accuracy"], int(values["support"])], **averages}
        return score_table(["precision", "recall", "f1-score", "support"], classes, averages, self.digits)

    @property
    def _averages(self) -> tuple[str, ...]:
        return (*AVERAGES, "samples") if self.task == "multilabel" else AVERAGES

    def _row(self, values: dict[str, float], suffix: str, support: str) -> list[float | None]:
        return [*(values[f"{column}{suffix}"] for column in COLUMNS), int(values[support])]

    def _count(self, preds: Tensor, target: Tensor, per_image: bool) -> Counted:
        return super()._count(preds, target, per_image or self.task == "multilabel")

    def _pool(self, counts: Tensor) -> None:
        if self.task == "multilabel":  # (N, C, 4)
            self.append("samples", self._selected(counts)[..., :3].sum(dim=1))
            counts = counts.sum(dim=0)
        super()._pool(counts)

    def _selected(self, counts: Tensor) -> Tensor:
        """The counts (..., C, 4) of the labels to report, (..., L, 4)."""
        return torch.stack([counts[..., label, :] for label in self.labels], dim=-2)

    def _reports_all(self) -> bool:
        """Whether no sample has or is given a label that is not reported."""
        with self.synced():
            counts = self._read()[:, :3]  # tp, fp, fn
        return all(label in self.labels or not counts[label].any() for label in range(len(counts)))

    def _samples(self) -> Tensor | None:
        """tp, fp and fn of each multilabel sample over the labels, (N, 3)."""
        if self.task != "multilabel":
            return None
        with_ids = self._selected(self._images())[..., :3].sum(dim=1)
        return torch.cat([self.rows("samples"), with_ids])

    def _accuracy(self, counts: Tensor, samples: Tensor | None) -> Tensor:
        if samples is None:
            return scores.average(
                scores.recall, counts.unbind(dim=-1), average="micro", zero_division=self.zero_division
            )
        right = (samples[:, 1] + samples[:, 2] == 0).sum()
        return scores.divide(right, torch.full_like(right, len(samples)), self.zero_division)

    def _average(self, formula: scores.Formula, counts: Sequence[Tensor], average: str) -> Tensor:
        mask = self._counting.excluded((), self.device)
        excluded = torch.stack([mask[label] for label in self.labels])
        return scores.average(formula, counts, average=average, zero_division=self.zero_division, excluded=excluded)

    def _over_samples(self, formula: scores.Formula, samples: Tensor) -> Tensor:
        """The mean of the scores of samples, each of which pools its labels."""
        counts = samples[:, None].unbind(dim=-1)  # (N, 1) each
        return scores.average(formula, counts, average="micro", aggregate="imagewise", zero_division=self.zero_division)

    def _by_name(self, column: str, values: Tensor) -> dict[str, Tensor]:
        return {f"{column}/{name}": value for name, value in zip(self.target_names, values, strict=True)}


def _number_of_classes(labels: Sequence[int] | None, target_names: Sequence[str] | None) -> int | None:
    if labels is not None:
        return max(checks.check_integers("labels", labels), default=0) + 1
    return None if target_names is None else len(target_names)
