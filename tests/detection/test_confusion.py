"""The confusion matrix of detections, against loops, by hand, and against the counts of the other metrics."""

import math
from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor

from detmetrics import DetectionConfusionMatrix
from detmetrics.functional import detection_confusion_matrix, detection_report
from tests.detection.test_operating_point import labels_of, matched, mislabelled, settings_of, xyxy_problem
from tests.problems import Item, batch, hit, image
from tests.reference import detection as reference


def names_of(labels: list[int]) -> dict[int, str]:
    return {label: str(label) for label in labels}


def expected_matrix(images: list[reference.Image], labels: list[int], threshold: float) -> list[list[int]]:
    pairs = Counter(pair for one in images for pair in reference.confuse(one, threshold))
    everything = [*labels, None]
    return [[pairs[row, column] for column in everything] for row in everything]


@pytest.mark.parametrize("block", range(4))
def test_the_matrix_equals_the_loops(block: int) -> None:
    """800 problems with detections of other classes on the same targets, ties, crowds and area edges."""
    confused = 0
    for seed in range(200 * block, 200 * (block + 1)):
        (preds, target), settings = mislabelled(seed), settings_of(seed)
        labels = labels_of(preds, target)
        if not labels:
            continue
        matrix = detection_confusion_matrix(preds, target, **settings, class_names=names_of(labels))
        expected = expected_matrix(matched(preds, target, settings), labels, settings["iou_threshold"])
        assert matrix.dtype == torch.int64
        assert matrix.tolist() == expected, seed
        confused += int(matrix[:-1, :-1].sum() - matrix.diag()[:-1].sum())
    assert confused > 30


def test_its_sums_are_the_counts_of_the_report() -> None:
    for seed in range(100):
        (preds, target), settings = mislabelled(seed), settings_of(seed)
        labels = labels_of(preds, target)
        if not labels:
            continue
        settings["class_names"] = names_of(labels)
        matrix = detection_confusion_matrix(preds, target, **settings)
        report = detection_report(preds, target, **settings)
        tp, support = matrix.diag()[:-1], matrix.sum(1)[:-1]
        assert support.tolist() == [report[f"support/{label}"].item() for label in labels]
        for name, below in (("precision", matrix.sum(0)[:-1]), ("recall", support)):
            found = torch.stack([report[f"{name}/{label}"] for label in labels])
            assert torch.equal(found.nan_to_num(-1), (tp / below.double()).nan_to_num(-1))
        assert matrix[-1, -1] == 0


def test_same_class_matches_come_first() -> None:
    """The better-scored dog covers the cat exactly; the cat's own detection has it all the same."""
    box, near = [0.0, 0, 10, 10], [0.0, 0, 10, 9]
    one = image([(box, 0.9, 1), (near, 0.6, 0)], [(box, 0)])
    assert detection_confusion_matrix(*batch(one), num_classes=2).tolist() == [[1, 0, 0], [0, 0, 0], [0, 1, 0]]


def test_what_is_left_is_matched_across_classes_by_score() -> None:
    box = [0.0, 0, 10, 10]
    one = image([(box, 0.6, 1), (box, 0.9, 2)], [(box, 0)])
    assert detection_confusion_matrix(*batch(one), num_classes=3).tolist() == [
        [0, 0, 1, 0],
        [0, 0, 0, 0],
        [0, 0, 0, 0],
        [0, 1, 0, 0],
    ]


def test_crowds_and_what_they_take_are_not_in_it() -> None:
    preds = [([0, 0, 10, 10], 0.9, 0), ([20, 20, 30, 30], 0.95, 0), ([22, 22, 32, 32], 0.85, 1)]
    one = image(preds, [([0, 0, 10, 10], 0), ([15, 15, 60, 60], 0)], iscrowd=[0, 1])
    # a crowd of its own class swallows the second detection; to the third one it is background
    assert detection_confusion_matrix(*batch(one), num_classes=2).tolist() == [[1, 0, 0], [0, 0, 0], [0, 1, 0]]


def test_an_operating_point() -> None:
    preds = [([0, 0, 8, 8], 0.9, 0), *(([20.0 * i, 50, 20.0 * i + 8, 58], 0.5, 0) for i in range(3))]
    one = batch(image(preds, [([0, 0, 8, 8], 0)]))
    assert detection_confusion_matrix(*one, num_classes=1, score_threshold=0.0).tolist() == [[1, 0], [3, 0]]
    assert detection_confusion_matrix(*one, num_classes=1, score_threshold=0.6).tolist() == [[1, 0], [0, 0]]


def test_normalize_is_scikit_learns() -> None:
    sklearn_metrics = pytest.importorskip("sklearn.metrics")
    for seed in range(40):
        preds, target = xyxy_problem(seed)
        labels = labels_of(preds, target)
        if not labels:
            continue
        settings = {"class_names": names_of(labels), "score_threshold": 0.2}
        matrix = detection_confusion_matrix(preds, target, **settings)
        pairs = [(i, j) for i, row in enumerate(matrix.tolist()) for j, n in enumerate(row) for _ in range(n)]
        for mode in ("true", "pred", "all"):
            found = detection_confusion_matrix(preds, target, **settings, normalize=mode, zero_division=0.0)
            assert found.dtype == torch.float64
            true, predicted = zip(*pairs, strict=False) if pairs else ([], [])
            if pairs:
                every = list(range(len(labels) + 1))
                expected = sklearn_metrics.confusion_matrix(true, predicted, labels=every, normalize=mode)
                torch.testing.assert_close(found, torch.from_numpy(expected), rtol=0, atol=1e-15)


def test_an_empty_row_is_nan_when_normalised() -> None:
    matrix = detection_confusion_matrix(*batch(hit(0)), num_classes=2, normalize="true")
    assert matrix.tolist() == [pytest.approx(row, nan_ok=True) for row in ([1, 0, 0], [math.nan] * 3, [math.nan] * 3)]


def test_no_images_are_zeros() -> None:
    assert detection_confusion_matrix([], [], num_classes=2).tolist() == [[0] * 3] * 3


def test_rows_follow_the_declared_labels() -> None:
    metric = DetectionConfusionMatrix(class_names={90: "brush", 7: "cat"})
    metric.update(*batch(image([([0, 0, 8, 8], 0.9, 90)], [([0, 0, 8, 8], 7)])))
    assert metric.compute().tolist() == [[0, 1, 0], [0, 0, 0], [0, 0, 0]]
    assert metric.classes.tolist() == [7, 90]


WRONG: list[tuple[dict[str, Any], str]] = [
    ({}, "expected num_classes or class_names"),
    ({"num_classes": 2, "normalize": "rows"}, "normalize: expected one of .*'rows'"),
    ({"num_classes": 2, "pairs": "same"}, "pairs: expected 'all'.*got 'same'"),
    ({"num_classes": 2, "class_agnostic": True}, "class_agnostic"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG)
def test_wrong_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DetectionConfusionMatrix(**arguments)


def test_bits_do_not_depend_on_batches_or_order() -> None:
    for seed in range(20):
        preds, target = xyxy_problem(seed, images=8)
        labels = labels_of(preds, target)
        if not labels:
            continue
        for i, item in enumerate(target):
            item["image_id"] = torch.tensor(i)
        parts = DetectionConfusionMatrix(class_names=names_of(labels))
        for i in reversed(range(len(preds))):
            parts.update(preds[i : i + 1], target[i : i + 1])
        assert torch.equal(parts.compute(), whole(preds, target, labels))


def whole(preds: list[Item], target: list[Item], labels: list[int]) -> Tensor:
    return detection_confusion_matrix(preds, target, class_names=names_of(labels))
