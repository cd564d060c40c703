"""What messages tell the person who gets them: besides what is wrong, what to give instead."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from detmetrics import (
    DetectionConfusionMatrix,
    DetectionF1Score,
    MeanAveragePrecision,
)
from detmetrics.functional import detection_f1_score, segmentation_iou

BOXES, SCORES, LABELS = torch.tensor([[0.0, 0, 9, 9], [20, 20, 29, 29]]), torch.tensor([0.9, 0.8]), torch.tensor([0, 1])


def detected(side: str = "preds", **changes: Any) -> Callable[[], Any]:
    """An evaluation of one image with other values on one side."""
    preds, target = {"boxes": BOXES, "scores": SCORES, "labels": LABELS}, {"boxes": BOXES, "labels": LABELS}
    (preds if side == "preds" else target).update(changes)
    return lambda: detection_f1_score([preds], [target])


def segmented(preds: Any, target: Any, **settings: Any) -> Callable[[], Any]:
    return lambda: segmentation_iou(preds, target, **{"num_classes": 3, **settings})


def zeros(*shape: int) -> torch.Tensor:
    return torch.zeros(shape, dtype=torch.int64)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (detected(boxes=BOXES[0]), "expected shape (N, 4), got (4,); give boxes[None] for one instance"),
        (detected(boxes=BOXES[None]), "got (1, 2, 4); give boxes.squeeze(0), the instances of one image"),
        (
            detected(boxes=torch.cat([BOXES, BOXES], 1)),
            "got (2, 8); give boxes[:, :4] if the other columns are no part of them",
        ),
        (detected(boxes=BOXES.tolist()), "['boxes']: expected a tensor, got list; give torch.as_tensor(boxes)"),
        (detected(scores=SCORES.numpy()), "['scores']: expected a tensor, got ndarray; give torch.as_tensor(scores)"),
        (detected(scores=SCORES[:, None]), "one for each of 2 boxes, got (2, 1); give scores.flatten()"),
        (detected(labels=LABELS.float()), "expected an integer dtype, got torch.float32; give labels.long()"),
        (
            detected("target", boxes=torch.tensor([[20.0, 20, 9, 9], [30, 30, 5, 5]])),
            "got [20.0, 20.0, 9.0, 9.0] in row 0; for boxes of [x, y, width, height] make the metric with "
            "box_format='xywh'",
        ),
        (detected("target", image_id="a.jpg"), "number the images, such as ids = {name: i for i, name in"),
        (detected("target", image_id=zeros(2)), "got torch.int64 of shape (2,); give one id for each image"),
        (
            lambda: detection_f1_score({"boxes": BOXES}, []),  # type: ignore[arg-type]
            "preds: expected a list with one dict per image, got dict; give [preds] for one image",
        ),
        (lambda: detection_f1_score([], [{}]), "got 0 and 1; an image without instances has a dict of empty tensors"),
        (segmented(np.zeros((1, 2)), zeros(1, 2)), "expected a tensor, got ndarray; give torch.as_tensor(preds)"),
        (segmented(torch.tensor(1), zeros(1, 2)), "got a 0-d tensor; give preds[None]"),
        (segmented(zeros(1, 4, 4), zeros(1, 8, 8)), "got (1, 4, 4); resize one of them so that both end in (8, 8)"),
        (segmented(torch.rand(1, 3, 4, 4), zeros(1, 8, 8)), "resize one of them so that both end in (8, 8)"),
        (
            segmented(zeros(1, 8, 8, 3), zeros(1, 8, 8, 3), task="multilabel"),
            "got (1, 8, 8, 3); give target.movedim(-1, 1), and preds so too",
        ),
        (
            segmented(zeros(1, 8, 8), zeros(1, 8, 8), task="multilabel"),
            "got (1, 8, 8); for maps of labels use task='multiclass'",
        ),
        (lambda: DetectionF1Score(iou_threshold=50), "got 50; 50 % is 0.5"),
        (lambda: MeanAveragePrecision(iou_thresholds=[0.5, 75]), "got 75; 75 % is 0.75"),
        (lambda: MeanAveragePrecision(iou_thresholds=0.5), "at least one, got 0.5; give [0.5]"),
        (lambda: MeanAveragePrecision(max_detection_thresholds=100), "at least one, got 100; give [100]"),
        (lambda: MeanAveragePrecision(class_names={"cat": 0}), "got 'cat': 0; the label comes first, {0: 'cat'}"),
        (
            lambda: MeanAveragePrecision(class_names={"0": "cat"}),
            "got '0': 'cat'; keys of JSON are strings, give {int(label): name for label, name in names.items()}",
        ),
        (
            lambda: MeanAveragePrecision(class_names=["cat", "dog", "cat"]),
            "expected distinct names, got ['cat']; each of them for several labels: add the label to the name",
        ),
        (
            lambda: DetectionConfusionMatrix(class_names=["cat", "dog"], num_classes=3),
            "expected num_classes=3 names, got 2; with names, num_classes may be left out",
        ),
        (
            lambda: MeanAveragePrecision(area_ranges=[(0, 9)]),  # type: ignore[arg-type]
            "expected a dict of name to (low, high), such as {'small': (0, 1024)}, got [(0, 9)]",
        ),
        (
            lambda: DetectionF1Score(class_weights=[1, 2]),
            "expected declared classes with them, got [1, 2]; give num_classes or class_names",
        ),
    ],
)
def test_messages_say_what_to_give_instead(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


def test_remedies_of_boxes_are_the_right_ones() -> None:
    """Where the negative size is there in the other format too, the other format is no remedy."""
    with pytest.raises(ValueError, match=r"in row 0$"):
        detected(boxes=torch.tensor([[0.0, 0, -9, -9], [0, 0, 1, 1]]))()
    detection_f1_score(
        [{"boxes": torch.tensor([[20.0, 20, 9, 9]]), "scores": SCORES[:1], "labels": LABELS[:1]}],
        [{"boxes": torch.tensor([[20.0, 20, 9, 9]]), "labels": LABELS[:1]}],
        box_format="xywh",
    )


def test_what_messages_tell_to_give_is_taken() -> None:
    assert detected(scores=SCORES[:, None].flatten(), labels=LABELS.float().long(), boxes=BOXES[None].squeeze(0))() == 1
