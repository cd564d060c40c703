"""The numbers and the text of a classification report."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from detmetrics.classification.counting import SampleCounts
from detmetrics.classification.settings import ClassificationReportSettings
from detmetrics.reduce import averages, formulas
from detmetrics.reduce.formulas import Formula

COLUMNS: dict[str, Formula] = {"precision": formulas.precision, "recall": formulas.recall, "f1": formulas.f_beta}
AVERAGES = ("micro", "macro", "weighted")


def report(counts: SampleCounts, settings: ClassificationReportSettings) -> dict[str, Tensor]:
    """The scores of each reported label and their averages."""
    labels, zero_division = list(settings.labels), settings.zero_division
    table = counts.total[labels].unbind(dim=-1)  # tp, fp, fn, tn, (L,) each
    mask = averages.class_mask(settings.ignored_classes, settings.num_classes, counts.total.device)[labels]

    def reduced(formula: Formula, average: str) -> Tensor:
        return averages.average(formula, table, average=average, zero_division=zero_division, excluded=mask)

    columns = {column: reduced(formula, "none") for column, formula in COLUMNS.items()}  # (L,) each
    support = table[0] + table[2]
    columns["support"] = support.double()
    results = {f"{c}/{name}": x for c, xs in columns.items() for name, x in zip(settings.names, xs, strict=True)}
    for average in AVERAGES:
        results |= {f"{column}_{average}": reduced(formula, average) for column, formula in COLUMNS.items()}
    if counts.samples is not None:
        results |= {f"{c}_samples": _over_samples(f, counts.samples, zero_division) for c, f in COLUMNS.items()}
    results["support"] = support.sum().double()
    results["accuracy"] = _accuracy(counts, zero_division)
    return results


def _over_samples(formula: Formula, samples: Tensor, zero_division: float) -> Tensor:
    """The mean of the scores of samples (N, 3), each of which pools its labels."""
    table = samples[:, None].unbind(dim=-1)  # (N, 1) each
    return averages.average(formula, table, average="micro", aggregate="imagewise", zero_division=zero_division)


def _accuracy(counts: SampleCounts, zero_division: float) -> Tensor:
    """The share of samples that are right: of multilabel ones in all labels that are reported."""
    if counts.samples is None:  # a sample has one label, so that over all labels recall is accuracy
        table = counts.total.unbind(dim=-1)
        return averages.average(formulas.recall, table, average="micro", zero_division=zero_division)
    right = (counts.samples[:, 1] + counts.samples[:, 2] == 0).sum()  # neither fp nor fn
    return formulas.divide(right, torch.full_like(right, len(counts.samples)), zero_division)


def report_table(results: Mapping[str, Tensor], counts: SampleCounts, settings: ClassificationReportSettings) -> str:
    """The results of :func:`report` as the text of scikit-learn's ``classification_report``."""
    from detmetrics.show.tables import score_table

    values = {key: value.item() for key, value in results.items()}

    def row(suffix: str, support: str) -> list[float | None]:
        return [*(values[f"{column}{suffix}"] for column in COLUMNS), int(values[support])]

    of_masks = settings.task == "multilabel"
    classes = {name: row(f"/{name}", f"support/{name}") for name in settings.names}
    over_all = {f"{a} avg": row(f"_{a}", "support") for a in (*AVERAGES, *["samples"] * of_masks)}
    if not of_masks and _covers_all(counts, settings):  # then the micro averages are the accuracy
        del over_all["micro avg"]
        over_all = {"accuracy": [None, None, values["accuracy"], int(values["support"])], **over_all}
    return score_table(["precision", "recall", "f1-score", "support"], classes, over_all, settings.digits)


def _covers_all(counts: SampleCounts, settings: ClassificationReportSettings) -> bool:
    """Whether no sample has, or is given, a label that is not reported."""
    others = [label for label in range(settings.num_classes) if label not in settings.labels]
    return not bool(counts.total[others, :3].any())  # tp, fp, fn
