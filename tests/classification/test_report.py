"""The report against scikit-learn's: the text character by character, the numbers one by one."""

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import metrics as sk
from torch import Tensor

from benchmarks.launches import Launches
from detmetrics import ClassificationReport
from detmetrics.functional import classification_report
from detmetrics.state import devices

NAN = float("nan")
ZERO_DIVISIONS = [0.0, 1.0, NAN]


def labels(seed: int, num_classes: int, count: int = 60) -> tuple[Tensor, Tensor]:
    """The last class is never there, the one before it only predicted."""
    generator = torch.Generator().manual_seed(seed)
    target = torch.randint(0, max(num_classes - 2, 1), (count,), generator=generator)
    noise = torch.randint(0, max(num_classes - 1, 2), (count,), generator=generator)
    return torch.where(torch.rand(count, generator=generator) < 0.6, target, noise), target


def masks(seed: int, num_classes: int, count: int = 40) -> tuple[Tensor, Tensor]:
    """With rows of zeros on either side and on both; the last class never there."""
    generator = torch.Generator().manual_seed(seed)
    preds, target = (torch.rand(2, count, num_classes, generator=generator) < 0.3).long()
    preds[:, -1] = target[:, -1] = 0
    preds[:3] = target[2:5] = 0
    return preds, target


def text_of(preds: Tensor, target: Tensor, **settings: Any) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # means of nothing but nan
        return sk.classification_report(target.numpy(), preds.numpy(), **settings)


def table_of(preds: Tensor, target: Tensor, **settings: Any) -> str:
    metric = ClassificationReport(**settings)
    for start in range(0, len(preds), 7):
        metric.update(preds[start : start + 7], target[start : start + 7])
    return metric.table()


@pytest.mark.parametrize("zero_division", ZERO_DIVISIONS)
@pytest.mark.parametrize("digits", [2, 0, 5])
@pytest.mark.parametrize("num_classes", [2, 3, 7])
def test_multiclass_text(num_classes: int, digits: int, zero_division: float) -> None:
    for seed in range(4):
        preds, target = labels(seed, num_classes)
        settings = {"digits": digits, "zero_division": zero_division}
        expected = text_of(preds, target, labels=range(num_classes), **settings)
        assert table_of(preds, target, num_classes=num_classes, **settings) == expected


@pytest.mark.parametrize("zero_division", ZERO_DIVISIONS)
@pytest.mark.parametrize("chosen", [[0, 1, 2], [2, 0], [5], [0, 1, 2, 3, 4]])
def test_some_labels_in_some_order(chosen: list[int], zero_division: float) -> None:
    """Micro averages where samples with other labels exist, accuracy where there are none."""
    names = [f"a class called {label}" for label in chosen]
    for seed in range(4):
        preds, target = labels(seed, 6)
        settings = {"labels": chosen, "target_names": names, "zero_division": zero_division}
        assert table_of(preds, target, num_classes=6, **settings) == text_of(preds, target, **settings)


@pytest.mark.parametrize("zero_division", ZERO_DIVISIONS)
@pytest.mark.parametrize("chosen", [None, [2, 0]])
def test_multilabel_text(chosen: list[int] | None, zero_division: float) -> None:
    for seed in range(4):
        preds, target = masks(seed, 4)
        expected = text_of(preds, target, labels=chosen or range(4), zero_division=zero_division)
        settings = {"task": "multilabel", "num_classes": 4, "labels": chosen, "zero_division": zero_division}
        assert table_of(preds, target, **settings) == expected


def test_binary_text_and_forms_of_input() -> None:
    scores = torch.randint(0, 9, (50,)) / 8
    target = torch.randint(0, 2, (50,))
    expected = text_of((scores >= 0.5).long(), target, labels=[0, 1], zero_division=NAN)
    for form in (scores, (scores >= 0.5), (scores >= 0.5).to(torch.uint8), scores.bfloat16()):
        assert table_of(form, target, task="binary") == expected
    assert table_of(scores.logit(), target, task="binary", from_logits=True) == expected


def test_multiclass_forms_of_input() -> None:
    preds, target = labels(0, 5)
    expected = table_of(preds, target, num_classes=5)
    one_hot = torch.nn.functional.one_hot
    for p in (preds.to(torch.uint8), one_hot(preds, 5), one_hot(preds, 5) + torch.rand(60, 5) / 2):
        for t in (target, one_hot(target, 5), one_hot(target, 5).bool(), one_hot(target, 5).float()):
            assert table_of(p, t, num_classes=5) == expected


def test_multilabel_scores() -> None:
    scores, (_, target) = torch.rand(40, 4), masks(1, 4)
    expected = text_of((scores >= 0.3).long(), target, zero_division=0)
    assert table_of(scores, target, task="multilabel", num_classes=4, threshold=0.3, zero_division=0) == expected


@pytest.mark.parametrize("zero_division", ZERO_DIVISIONS)
@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_numbers(task: str, zero_division: float) -> None:
    preds, target = (labels if task == "multiclass" else masks)(3, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = sk.classification_report(
            target.numpy(), preds.numpy(), labels=range(4), zero_division=zero_division, output_dict=True
        )
    results = classification_report(preds, target, task=task, num_classes=4, zero_division=zero_division)
    assert all(value.ndim == 0 and value.dtype == torch.float64 for value in results.values())
    columns = {"precision": "precision", "recall": "recall", "f1": "f1-score", "support": "support"}
    for ours, theirs in columns.items():
        for label in range(4):
            assert same(results[f"{ours}/{label}"], expected[str(label)][theirs])
    averages = ["macro", "weighted"] + (["micro", "samples"] if task == "multilabel" else [])
    for average in averages:
        for ours, theirs in list(columns.items())[:3]:
            assert same(results[f"{ours}_{average}"], expected[f"{average} avg"][theirs])
    assert results["accuracy"].item() == sk.accuracy_score(target.numpy(), preds.numpy())
    assert results["support"].item() == expected["macro avg"]["support"]


def same(found: Tensor, expected: float) -> bool:
    return bool(np.isclose(found.item(), expected, rtol=1e-14, atol=0, equal_nan=True))


def test_ignored_samples() -> None:
    preds, target = labels(2, 4)
    expected = text_of(preds[target != 1], target[target != 1], labels=range(4), zero_division=0)
    voided = target.masked_fill(target == 1, -100)
    assert table_of(preds, voided, num_classes=4, ignore_index=-100, zero_division=0) == expected


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_repeated_samples_count_once(task: str) -> None:
    preds, target = (labels if task == "multiclass" else masks)(4, 4)
    settings = {"task": task, "num_classes": 4}
    metric = ClassificationReport(**settings)
    metric.update(preds, target, image_ids=range(len(preds)))
    metric.update(preds[:9], target[:9], image_ids=range(9))
    with pytest.warns(UserWarning, match=r"9 images \(ids 0, 1, 2, 3, 4 and 4 more\) were seen again"):
        table = metric.table()
    assert table == table_of(preds, target, **settings)
    assert metric.num_duplicates == 9


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "num_classes: expected it"),
        ({"num_classes": 3, "labels": [3]}, r"labels: expected labels 0 to 2, got \[3\]"),
        ({"num_classes": 3, "labels": [1, 1]}, r"labels: expected distinct labels, got \[1, 1\]"),
        ({"num_classes": 3, "target_names": ["a"]}, r"target_names: expected 3 distinct str, .* got \['a'\]"),
        ({"num_classes": 3, "digits": -1}, "digits: expected a non-negative int, got -1"),
        ({"num_classes": 3, "task": "samples"}, "task: expected one of"),
    ],
)
def test_arguments_that_do_not_fit(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ClassificationReport(**settings)


BAD = [
    ("binary", [0.5, 1.5], [0, 1], r"preds\[1\]: expected scores in \[0, 1\] .* got 1.5"),
    ("binary", [0, 2], [0, 1], r"preds\[1\]: expected labels 0 to 1, got 2"),
    ("multiclass", [0, 1], [0, 3], r"target\[1\]: expected labels 0 to 2, got 3"),
    ("multiclass", [0, 1], [[1, 0, 0], [1, 0, 1]], r"target\[1\]: expected one 1 and otherwise 0, got \[1, 0, 1\]"),
    ("multilabel", [[0, 1, 2]], [[0, 1, 1]], r"preds\[0\]: expected labels 0 to 1, got 2"),
]


@pytest.mark.parametrize(("task", "preds", "target", "message"), BAD)
@pytest.mark.parametrize("deferred", [False, True])
def test_inputs_that_do_not_fit(
    task: str, preds: list, target: list, message: str, deferred: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    metric = ClassificationReport(task=task, num_classes=2 if task == "binary" else 3)
    given = torch.tensor(preds), torch.tensor(target)
    if not deferred:
        with pytest.raises(ValueError, match=message):
            metric.update(*given)
        return
    monkeypatch.setattr(devices, "defers_value_checks", lambda device: True)
    metric.update(*given)
    for _ in range(2):
        with pytest.raises(ValueError, match=rf"{message.split('[')[0][:-1]}: expected .* call reset"):
            metric.compute()


def test_a_one_hot_target_of_other_width() -> None:
    with pytest.raises(ValueError, match=r"target: expected labels \(N,\) or one-hot \(N, 3\), got \(1, 2\)"):
        ClassificationReport(num_classes=3).update(torch.tensor([0]), torch.tensor([[0, 1]]))


@pytest.mark.parametrize("task", ["multiclass", "binary", "multilabel"])
def test_an_update_reads_nothing_back(task: str) -> None:
    metric = ClassificationReport(task=task, num_classes=2 if task == "binary" else 3).to("meta")
    scores = torch.empty((5,) if task == "binary" else (5, 3), device="meta")
    target = torch.empty((5, 3) if task == "multilabel" else (5,), dtype=torch.int64, device="meta")
    with Launches() as launches:
        metric.update(scores, target)
        metric.update(target, target)
        if task == "multiclass":
            metric.update(scores, torch.empty((5, 3), device="meta"))
    assert not launches.reads
