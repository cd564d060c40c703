"""Every score against scikit-learn and loops, on every form of input, and what is refused."""

import itertools
import re
from typing import Any

import pytest
import torch
from sklearn import metrics as sk
from torch import Tensor

from benchmarks.launches import Launches
from detmetrics import (
    SegmentationConfusionMatrix,
    SegmentationF1Score,
    SegmentationIoU,
    SegmentationReport,
    functional,
)
from detmetrics.reduce.averages import AGGREGATES
from detmetrics.state import devices
from tests.reference import reductions

NAN = float("nan")
SCORES = {
    "iou": functional.segmentation_iou,
    "f1": functional.segmentation_f1_score,
    "f_beta": functional.segmentation_fbeta_score,
    "precision": functional.segmentation_precision,
    "recall": functional.segmentation_recall,
    "specificity": functional.segmentation_specificity,
}
REDUCTIONS = [(average, aggregate) for aggregate, averages in AGGREGATES.items() for average in averages]


def maps(
    seed: int, num_classes: int = 4, void: int | None = None, shape: tuple[int, ...] = (4, 5, 6)
) -> tuple[Tensor, Tensor]:
    """A class that never occurs, one that is only predicted, an image of one class."""
    generator = torch.Generator().manual_seed(seed)
    target = torch.randint(0, num_classes - 2, shape, generator=generator)
    noise = torch.randint(0, num_classes - 1, shape, generator=generator)
    preds = torch.where(torch.rand(shape, generator=generator) < 0.6, target, noise)
    target[0] = preds[0] = 0
    if void is not None:
        target[torch.rand(shape, generator=generator) < 0.2] = void
    return preds, target


@pytest.mark.parametrize("ignored", [(), (255,), (0,), (255, 1)], ids=str)
@pytest.mark.parametrize(("average", "aggregate"), REDUCTIONS)
def test_every_score_and_reduction_equals_a_loop(average: str, aggregate: str, ignored: tuple[int, ...]) -> None:
    for seed, zero_division in enumerate((NAN, 0.0, 1.0)):
        preds, target = maps(seed, void=255 if 255 in ignored else None)
        table = reductions.cells(preds.flatten(1).tolist(), target.flatten(1).tolist(), 4, ignored)
        settings = {"average": average, "aggregate": aggregate, "zero_division": zero_division}
        excluded = [*(value for value in ignored if value < 4), 2]
        for name, function in SCORES.items():
            expected = reductions.reduce(name, table, **settings, excluded=excluded)
            found = function(preds, target, num_classes=4, ignore_index=ignored, exclude_classes=2, **settings)
            assert found.tolist() == pytest.approx(expected, rel=1e-14, nan_ok=True), name


@pytest.mark.parametrize("zero_division", [0.0, 1.0, NAN])
@pytest.mark.parametrize("average", ["micro", "macro", "weighted", "none"])
def test_data_set_scores_equal_scikit_learn(average: str, zero_division: float) -> None:
    for seed in range(4):
        preds, target = maps(seed)
        y_pred, y_true = preds.flatten().numpy(), target.flatten().numpy()
        settings = {
            "labels": range(4),
            "average": None if average == "none" else average,
            "zero_division": zero_division,
        }
        p, r, f, _ = sk.precision_recall_fscore_support(y_true, y_pred, beta=2, **settings)
        ours = {"num_classes": 4, "average": average, "zero_division": zero_division}
        assert functional.segmentation_precision(preds, target, **ours).tolist() == pytest.approx(
            p, rel=1e-14, nan_ok=True
        )
        assert functional.segmentation_recall(preds, target, **ours).tolist() == pytest.approx(
            r, rel=1e-14, nan_ok=True
        )
        found = functional.segmentation_fbeta_score(preds, target, beta=2, **ours)
        assert found.tolist() == pytest.approx(f, rel=1e-14, nan_ok=True)
        if zero_division in (0, 1):
            iou = sk.jaccard_score(y_true, y_pred, **settings)
            assert functional.segmentation_iou(preds, target, **ours).tolist() == pytest.approx(iou, rel=1e-14)
        accuracy = functional.segmentation_accuracy(preds, target, num_classes=4, average="micro")
        assert accuracy.item() == sk.accuracy_score(y_true, y_pred)


@pytest.mark.parametrize("normalize", [None, "true", "pred", "all"])
def test_confusion_matrix_equals_scikit_learn(normalize: str | None) -> None:
    preds, target = maps(0, num_classes=5)
    expected = sk.confusion_matrix(target.flatten(), preds.flatten(), labels=range(5), normalize=normalize)
    found = functional.segmentation_confusion_matrix(preds, target, num_classes=5, normalize=normalize, zero_division=0)
    assert found.tolist() == pytest.approx(expected, rel=1e-14)
    assert found.dtype == (torch.int64 if normalize is None else torch.float64)
    empty = functional.segmentation_confusion_matrix(preds, target, num_classes=5, normalize="true")[4]
    assert empty.isnan().all()


def test_confusion_matrices_of_masks() -> None:
    preds, target = (torch.rand(6, 3, 4) < 0.5 for _ in range(2))
    expected = sk.multilabel_confusion_matrix(target.mT.flatten(0, 1).int(), preds.mT.flatten(0, 1).int())
    found = functional.segmentation_confusion_matrix(preds, target, task="multilabel", num_classes=3)
    assert found.tolist() == expected.tolist()
    binary = functional.segmentation_confusion_matrix(preds, target, task="binary")
    assert binary.tolist() == sk.confusion_matrix(target.flatten(), preds.flatten()).tolist()


@pytest.mark.parametrize("shape", [(6,), (3, 2), (2, 3, 4), (2, 3, 2, 2), (2, 2, 3, 2, 2)])
def test_every_form_of_the_same_labels(shape: tuple[int, ...]) -> None:
    """Any number of spatial dimensions, any dtype, labels, scores or one-hot scores: the same bits."""
    preds, target = maps(1, num_classes=5, shape=shape)
    expected = functional.segmentation_iou(preds, target, num_classes=5, average="none")
    one_hot = torch.nn.functional.one_hot(preds, 5).movedim(-1, 1)
    scores = one_hot + 0.5 * torch.rand(one_hot.shape)
    dtypes = (torch.uint8, torch.int16, torch.int32, torch.float32, torch.bfloat16)
    forms = [preds.to(d) for d in dtypes] + [one_hot, scores, scores.half(), scores.log()]
    for form, dtype in itertools.product(forms, dtypes):
        found = functional.segmentation_iou(form, target.to(dtype), num_classes=5, average="none")
        assert torch.equal(found.nan_to_num(-1), expected.nan_to_num(-1))


def test_masks_equal_the_labels_zero_and_one() -> None:
    """binary and multilabel, as bool, ints, probabilities and logits; the threshold itself counts as 1."""
    generator = torch.Generator().manual_seed(0)
    scores = torch.randint(0, 9, (3, 2, 4, 5), generator=generator) / 8
    target = torch.randint(0, 2, scores.shape, generator=generator)
    table = reductions.cells((scores >= 0.5).long().flatten(1).tolist(), target.flatten(1).tolist(), 2)
    for form in (scores, scores >= 0.5, (scores >= 0.5).to(torch.int32), scores.double()):
        for name, function in {**SCORES, "accuracy": functional.segmentation_accuracy}.items():
            foreground = [row[1:] for row in table]
            for aggregate in AGGREGATES:
                expected = reductions.reduce(name, foreground, average="macro", aggregate=aggregate)
                found = function(form, target, task="binary", aggregate=aggregate)
                assert found.item() == pytest.approx(expected, rel=1e-14), name
    logits = scores.logit()  # -inf and inf among them
    by_logits = functional.segmentation_iou(
        logits, target, task="multilabel", num_classes=2, from_logits=True, average="none"
    )
    by_scores = functional.segmentation_iou(scores, target, task="multilabel", num_classes=2, average="none")
    assert torch.equal(by_logits, by_scores)
    per_mask = [functional.segmentation_iou(scores[:, c], target[:, c], task="binary").item() for c in range(2)]
    assert by_scores.tolist() == per_mask


@pytest.mark.parametrize("threshold", [0.0, 0.1, 0.9, 1.0])
def test_thresholds_of_probabilities_and_of_logits(threshold: float) -> None:
    scores = torch.tensor([[0.0, 0.1, 0.5, 0.9, 1.0]])
    target = torch.ones(1, 5)
    expected = sum(value >= threshold for value in (0.0, 0.1, 0.5, 0.9, 1.0)) / 5
    assert functional.segmentation_recall(scores, target, task="binary", threshold=threshold).item() == expected
    logits = scores.double().logit()
    found = functional.segmentation_recall(logits, target, task="binary", threshold=threshold, from_logits=True)
    assert abs(found.item() - expected) <= (0.2 if 0 < threshold < 1 else 0)  # float32 .1 is not logit(.1)


def test_class_weights_and_names() -> None:
    preds, target = maps(2)
    table = reductions.cells(preds.flatten(1).tolist(), target.flatten(1).tolist(), 4)
    weights = [1.0, 2.0, 3.0, 4.0]
    for aggregate in AGGREGATES:
        expected = reductions.reduce("iou", table, average="macro", aggregate=aggregate, class_weights=weights)
        found = functional.segmentation_iou(preds, target, num_classes=4, aggregate=aggregate, class_weights=weights)
        assert found.item() == pytest.approx(expected, rel=1e-14)
        perfect = functional.segmentation_iou(target, target, num_classes=4, aggregate=aggregate, class_weights=weights)
        assert perfect.item() == 1
    by_name = functional.segmentation_f1_score(
        preds, target, class_names={0: "a", 1: "b", 2: "c", 3: "d"}, average="none"
    )
    by_label = functional.segmentation_f1_score(preds, target, num_classes=4, average="none")
    assert list(by_name) == ["f1/a", "f1/b", "f1/c", "f1/d"]
    assert torch.equal(torch.stack(list(by_name.values())).nan_to_num(-1), by_label.nan_to_num(-1))


def test_one_class_a_value_is_not_squeezed() -> None:
    found = functional.segmentation_iou(torch.ones(1, 3), torch.ones(1, 3), task="binary", average="none")
    assert found.tolist() == [1.0]


@pytest.mark.parametrize("average", ["macro", "none"])
@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_repeated_images_count_once(aggregate: str, average: str) -> None:
    preds, target = maps(3)
    settings = {"num_classes": 4, "aggregate": aggregate, "average": average}
    expected = functional.segmentation_iou(preds, target, **settings)
    metric = SegmentationIoU(**settings)
    metric.update(preds[:3], target[:3], image_ids=[5, 7, 2])
    metric.update(preds[2:], target[2:], image_ids=torch.tensor([2, 9], dtype=torch.int32))
    metric.update(preds[:1], target[:1], image_ids=[5])
    with pytest.warns(UserWarning, match=r"2 images \(ids 2, 5\) were seen again with the same target and about"):
        assert torch.equal(metric.compute().nan_to_num(-1), expected.nan_to_num(-1))
    assert (metric.num_images, metric.num_duplicates) == (4, 2)


def test_of_two_predictions_for_one_id_the_same_one_stays_whatever_the_order() -> None:
    target = torch.tensor([[0, 1]])
    found = []
    for first, second in (([0, 1], [1, 1]), ([1, 1], [0, 1])):
        metric = SegmentationConfusionMatrix(num_classes=2)
        metric.update(torch.tensor([first]), target, image_ids=[3])
        metric.update(torch.tensor([second]), target, image_ids=[3])
        with pytest.warns(UserWarning, match=r"1 image \(id 3\) was seen again .* other predictions"):
            found.append(metric.compute())
    assert torch.equal(*found)
    assert found[0].sum() == 2
    assert metric.num_duplicates == 1


def test_images_with_and_without_ids() -> None:
    preds, target = maps(4)
    metric = SegmentationConfusionMatrix(num_classes=4)
    metric.update(preds[:2], target[:2])
    metric.update(preds[2:], target[2:], image_ids=[0, 1])
    metric.update(preds[3:], target[3:], image_ids=[1])
    with pytest.warns(UserWarning, match=r"1 image \(id 1\) was seen again"):
        found = metric.compute()
    assert torch.equal(found, functional.segmentation_confusion_matrix(preds, target, num_classes=4))


def test_an_id_with_another_target() -> None:
    for metric in (SegmentationIoU(num_classes=2), SegmentationConfusionMatrix(num_classes=2)):
        metric.update(torch.tensor([[0, 1]]), torch.tensor([[0, 1]]), image_ids=[77])
        metric.update(torch.tensor([[1, 1]]), torch.tensor([[0, 1]]), image_ids=[77])  # another prediction is told
        with pytest.warns(UserWarning, match=r"1 image \(id 77\) was seen again .* other predictions"):
            metric.compute()
        metric.update(torch.tensor([[0, 1]]), torch.tensor([[1, 1]]), image_ids=[77])
        with pytest.raises(ValueError, match="two images with id 77"):
            metric.compute()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "num_classes: expected it, or class_names"),
        ({"num_classes": 0}, "num_classes: expected a positive int, got 0"),
        ({"class_names": {0: "a", 2: "c"}}, r"got names for \[0, 2\]"),
        ({"num_classes": 2, "task": "binary"}, "expected None or 1 with task='binary', got 2"),
        ({"num_classes": 2, "task": "labels"}, "task: expected one of"),
        ({"num_classes": 2, "average": "mean"}, "average: expected one of .* got 'mean'"),
        ({"num_classes": 2, "aggregate": "image"}, "aggregate: expected one of .* got 'image'"),
        ({"num_classes": 2, "aggregate": "classwise", "average": "micro"}, "with aggregate='classwise', got 'micro'"),
        ({"num_classes": 2, "aggregate": "pooled", "average": "weighted"}, "with aggregate='pooled', got 'weighted'"),
        ({"num_classes": 2, "ignore_index": 0.5}, "ignore_index: expected an int, several ints or None, got 0.5"),
        ({"num_classes": 2, "ignore_index": [True]}, "ignore_index: expected an int, several ints or None"),
        ({"num_classes": 2, "exclude_classes": 2}, r"exclude_classes: expected labels 0 to 1, got \[2\]"),
        ({"num_classes": 2, "class_weights": [1]}, r"class_weights: expected 2 non-negative numbers, .* got \[1\]"),
        ({"num_classes": 2, "class_weights": [1, 1], "average": "micro"}, "class_weights: expected average='macro'"),
        ({"num_classes": 2, "zero_division": "warn"}, "zero_division: expected a finite number or nan, got 'warn'"),
        ({"num_classes": 2, "threshold": 2}, r"threshold: expected a number in \[0, 1\], got 2"),
        ({"num_classes": 2, "from_logits": 1}, "from_logits: expected a bool, got 1"),
        ({"num_classes": 2, "thresholds": 0.5}, "thresholds"),
    ],
)
def test_arguments_that_do_not_fit(settings: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        SegmentationIoU(**settings)


BAD = [
    ("multiclass", [[0.0, 1.0]], [[0, 1]], {"image_ids": [-1]}, "image_ids: expected non-negative ints, got -1"),
    ("multiclass", [[0, 1]], [[0, 1]], {"image_ids": [1, 2]}, r"image_ids: expected 1 non-negative ints"),
    ("multiclass", [[0, 1]], [[0, 1]], {"image_ids": [0.5]}, r"image_ids: expected 1 non-negative ints"),
    (
        "multiclass",
        [[0, 1, 2]],
        [[0, 1]],
        {},
        r"preds: expected labels \(1, 2\) or scores \(1, 3, 2\) .*, got \(1, 3\)",
    ),
    ("multiclass", [[[0.5, 0.5]]], [[0, 1]], {}, r"got \(1, 1, 2\)"),
    ("multiclass", [[0, 1]], [[0, 9]], {}, r"target\[0\]: expected labels 0 to 2, got 9"),
    ("multiclass", [[0, 0.25]], [[0, 1]], {}, r"preds\[0\]: expected labels 0 to 2, got 0.25"),
    ("multiclass", [[[0.5, NAN], [0, 0], [0, 0]]], [[0, 1]], {}, r"preds\[0\]: expected scores numbers, got nan"),
    ("binary", [[0, 1]], [[0]], {}, r"preds: expected the shape of target \(1, 1\), got \(1, 2\)"),
    ("binary", [[0, 1], [2, 0]], [[0, 1], [0, 0]], {}, r"preds\[1\]: expected labels 0 to 1, got 2"),
    ("binary", [[0, 1], [1, 0]], [[0, 1], [0, 255]], {}, r"target\[1\]: expected labels 0 to 1, got 255"),
    ("multilabel", [[0.5, -0.5, 0]], [[0, 1, 0]], {}, r"preds\[0\]: expected scores in \[0, 1\] .*, got -0.5"),
    ("multilabel", [[0, 1]], [[0, 1]], {}, r"target: expected shape \(B, 3, ...\), got \(1, 2\)"),
]


@pytest.mark.parametrize(("task", "preds", "target", "options", "message"), BAD)
def test_inputs_that_do_not_fit(task: str, preds: list, target: list, options: dict, message: str) -> None:
    metric = SegmentationIoU(task=task, num_classes=None if task == "binary" else 3)
    with pytest.raises(ValueError, match=message):
        metric.update(torch.tensor(preds), torch.tensor(target), **options)
    assert not any(bool(state.any()) if isinstance(state, Tensor) else state for state in metric.metric_state.values())


def test_inputs_that_are_no_real_tensors_with_a_batch() -> None:
    metric, good = SegmentationIoU(num_classes=2), torch.zeros(1, 2)
    for bad, message in (
        ([0], "got list"),
        (torch.tensor(1), "got a 0-d"),
        (good + 0j, "real dtype, got torch.complex"),
    ):
        with pytest.raises(ValueError, match=f"target: expected .*{message}"):
            metric.update(good, bad)
    with pytest.raises(ValueError, match=r"expected a tensor on the metric's device cpu, got one on meta; move"):
        metric.update(good, good.to("meta"))


VALUE_ERRORS = [case for case in BAD if "expected labels 0" in case[4] or "scores " in case[4][:40]]
VALUE_ERRORS.append(BAD[0])


@pytest.mark.parametrize(("task", "preds", "target", "options", "message"), VALUE_ERRORS)
def test_values_that_are_checked_late(
    task: str, preds: list, target: list, options: dict, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU: the update passes, and every compute() raises until reset()."""
    monkeypatch.setattr(devices, "defers_value_checks", lambda device: True)
    metric = SegmentationIoU(task=task, num_classes=None if task == "binary" else 3)
    metric.update(torch.tensor(preds), torch.tensor(target), **options)
    side = message.split("[")[0].split(":")[0].replace("\\", "")
    for _ in range(2):
        with pytest.raises(ValueError, match=rf"{side}: expected .* got other values .* call reset\(\)"):
            metric.compute()
    metric.reset()
    ones = torch.ones((2, 3, 4), dtype=torch.int64)
    metric.update(ones, ones)
    assert metric.compute() == 1


@pytest.mark.parametrize("aggregate", ["dataset", "imagewise"])
@pytest.mark.parametrize("task", ["multiclass", "binary", "multilabel"])
def test_an_update_reads_nothing_back(task: str, aggregate: str) -> None:
    metric = SegmentationF1Score(
        task=task, num_classes=None if task == "binary" else 3, aggregate=aggregate, ignore_index=[0, 255, -9999]
    ).to("meta")
    target = torch.empty((2, 3, 4), dtype=torch.int64, device="meta")
    scores = torch.empty((2, 3, 3, 4) if task == "multiclass" else (2, 3, 4), device="meta")
    ids = torch.empty(2, dtype=torch.int64, device="meta")
    with Launches() as launches:
        metric.update(scores, target)
        metric.update(target, target)
        metric.update(target, target, image_ids=ids)
    assert not launches.reads


def test_the_watch_over_reads_works() -> None:
    value = torch.ones(3)
    with Launches() as launches:
        bool((value > 0).any())
        value[value > 0]
        value.tolist()
    assert launches.reads.total() >= 3


def test_report_values_and_text() -> None:
    preds, target = maps(5, void=255)
    metric = SegmentationReport(class_names=["a", "b", "c", "d"], ignore_index=255, exclude_classes=3)
    metric.update(preds, target)
    results = metric.compute()
    settings = {"num_classes": 4, "ignore_index": 255, "exclude_classes": 3}
    for column, function in list(SCORES.items())[:2] + list(SCORES.items())[3:5]:
        per_class = function(preds, target, **settings, average="none")
        found = torch.stack([results[f"{column}/{name}"] for name in "abcd"])
        assert torch.equal(found.nan_to_num(-1), per_class.nan_to_num(-1))
        assert results[f"mean_{column}"] == function(preds, target, **settings)
    assert results["frequency_weighted_iou"] == functional.segmentation_iou(
        preds, target, **settings, average="weighted"
    )
    assert results["pixel_accuracy"] == functional.segmentation_accuracy(preds, target, **settings, average="micro")
    assert results["support/a"] == (target == 0).sum()
    assert all(value.ndim == 0 and value.dtype == torch.float64 for value in results.values())
    lines = metric.table(digits=3).splitlines()
    assert lines[0].split() == ["iou", "f1", "precision", "recall", "support"]
    assert lines[2].split() == [
        "a",
        *(f"{results[f'{c}/a'].item():.3f}" for c in ("iou", "f1", "precision", "recall")),
        str(int((target == 0).sum())),
    ]


# --------------------------------------------------------------------------------------------------- what to do instead

PROBABILITIES = torch.tensor([[[0.147, 0.2], [0.7, 0.1], [0.153, 0.7]]])  # (1, 3, 2)
ONE_HOT = torch.tensor([[[0, 1], [1, 0], [0, 0]]])
REMEDIES: list[tuple[dict[str, Any], Tensor, Tensor, str]] = [
    ({}, PROBABILITIES, ONE_HOT, "target: expected labels (1, 2) for scores (1, 3, 2), got a one-hot target; give "),
    ({}, PROBABILITIES, ONE_HOT, "give target.argmax(dim=1)"),
    ({}, PROBABILITIES.argmax(1), ONE_HOT, "got (1, 2); for a one-hot target give target.argmax(dim=1)"),
    ({}, PROBABILITIES, ONE_HOT.argmax(1)[:, None], "give target.squeeze(1)"),
    ({}, PROBABILITIES.argmax(1), ONE_HOT.argmax(1)[:, None], "give target.squeeze(1)"),
    ({}, PROBABILITIES.movedim(1, -1), ONE_HOT.argmax(1), "give preds.movedim(-1, 1)"),
    ({"num_classes": 2}, PROBABILITIES, ONE_HOT.argmax(1), "scores of 3 classes need num_classes=3"),
    (
        {},
        PROBABILITIES[:, 0],
        ONE_HOT.argmax(1),
        "got 0.147; labels are whole numbers; scores of labels need one for each class",
    ),
    (
        {},
        torch.tensor([[1, 2]]),
        torch.tensor([[1, 3]]),
        "for labels that count from 1 give target - 1, or num_classes=4",
    ),
    ({}, torch.tensor([[1, 3]]), torch.tensor([[1, 2]]), "give preds - 1, or num_classes=4"),
    ({}, torch.tensor([[1, 2]]), torch.tensor([[0, 255]]), "got 255; ignore_index=255 leaves its pixels out"),
    (
        {"task": "binary"},
        torch.tensor([[0, 1]]),
        torch.tensor([[0, 255]]),
        "got 255; give target > 0 if any value but 0",
    ),
    ({"task": "binary"}, torch.ones(2, 1, 3), torch.ones(2, 3), "got (2, 1, 3); give preds.squeeze(1)"),
    ({"task": "binary"}, torch.ones(2, 3), torch.ones(2, 1, 3), "got (2, 3); give target.squeeze(1)"),
]


@pytest.mark.parametrize(("settings", "preds", "target", "message"), REMEDIES, ids=lambda value: str(value)[:40])
def test_an_error_says_what_to_give_instead(
    settings: dict[str, Any], preds: Tensor, target: Tensor, message: str
) -> None:
    metric = SegmentationIoU(**(settings or {"num_classes": 3}))
    with pytest.raises(ValueError, match=re.escape(message)):
        metric.update(preds, target)


def test_names_for_labels_that_count_from_1_and_ids_that_are_names() -> None:
    with pytest.raises(ValueError, match=r"name the labels between too, such as {0: 'background', ...}"):
        SegmentationIoU(class_names={1: "cat", 2: "dog"})
    with pytest.raises(ValueError, match=r"got \['a.png'\]; number the images, such as ids = {name: i"):
        SegmentationIoU(num_classes=2).update(torch.tensor([[0]]), torch.tensor([[0]]), image_ids=["a.png"])
