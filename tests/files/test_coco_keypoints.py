"""Keypoints in COCO's files."""

import copy
import json
import re
from typing import Any

import pytest
import torch

from detmetrics.coco import from_coco, to_coco
from detmetrics.functional import mean_average_precision
from tests import keypoint_problems, oracle
from tests.keypoint_problems import keypoint_problem

ANNOTATIONS: dict[str, Any] = {
    "images": [{"id": 9, "crowdIndex": 0.5}, {"id": 4, "crowdIndex": None}, {"id": 6}],
    "categories": [
        {"id": 1, "name": "person", "keypoints": ["head", "foot"], "skeleton": [[1, 2]]},
        {"id": 2, "name": "cup", "keypoints": ["handle"], "skeleton": [[0, 1], "x"]},
    ],
    "annotations": [
        {"id": 1, "image_id": 9, "category_id": 1, "bbox": [0, 0, 10, 20], "keypoints": [1, 2, 2, 0, 0, 0]},
        {"id": 2, "image_id": 9, "category_id": 2, "bbox": [0, 0, 4, 5], "keypoints": [3, 3, 0], "num_keypoints": 1},
    ],
}
RESULTS: list[dict[str, Any]] = [
    {"image_id": 9, "category_id": 1, "keypoints": [1, 2, 0.5, 5, 9, 0.5], "score": 0.5},
    {"image_id": 9, "category_id": 2, "keypoints": [3, 3, 1], "score": 0.25, "bbox": [1, 1, 2, 2]},
]


def test_what_is_missing_is_derived() -> None:
    data = from_coco(ANNOTATIONS, RESULTS, keypoints=True)
    target, pred = data.target[2], data.preds[2]
    assert target["keypoints"].tolist() == [[[1, 2, 2], [0, 0, 0]], [[3, 3, 0], [0, 0, 0]]]
    assert target["area"].tolist() == [200 * 0.53, 20 * 0.53]
    assert target["num_keypoints"].tolist() == [1, 1]  # counted, and as the file says
    assert pred["keypoints"].tolist() == [[[1, 2, 0.5], [5, 9, 0.5]], [[3, 3, 1], [0, 0, 0]]]
    assert pred["boxes"].tolist() == [[1, 2, 4, 7], [1, 1, 2, 2]]  # of the points, and as the file says
    assert data.skeletons == {1: [(0, 1)]}  # a line to a keypoint 0 is none, as they count from 1
    assert data.crowd_index == {9: 0.5}
    sigmas = {1: [0.1, 0.1], 2: [0.1]}
    settings: dict[str, Any] = {"iou_type": "keypoints", "keypoint_sigmas": sigmas, "box_format": "xywh"}
    assert mean_average_precision(data.preds, data.target, **settings)["map"] == 1


@pytest.mark.parametrize("num", [1, 17])
def test_files_agree_with_pycocotools_and_come_back(num: int) -> None:
    for seed in range(8):
        problem = keypoint_problem(seed, num=num, image_ids=True)
        sigmas = [0.1] if num == 1 else None
        settings: dict[str, Any] = {"iou_type": "keypoints", "keypoint_sigmas": sigmas, "box_format": "xywh"}
        documents = keypoint_problems.to_coco(problem.preds, problem.target)
        if not documents[0]["annotations"] or not any(a["num_keypoints"] for a in documents[0]["annotations"]):
            continue
        data = read(*documents)
        reference = oracle.evaluate_coco(*documents, iou_type="keypoints", keypoint_sigmas=sigmas)
        oracle.assert_agrees(mean_average_precision(data.preds, data.target, **settings), reference)
        again = read(*json.loads(json.dumps(to_coco(data.preds, data.target, box_format="xywh"))))
        for items, others in ((data.preds, again.preds), (data.target, again.target)):
            for item, other in zip(items, others, strict=True):
                assert item.keys() == other.keys()
                assert all(torch.equal(torch.as_tensor(item[key]), torch.as_tensor(other[key])) for key in item)


def read(annotations: Any, results: Any) -> Any:
    """The documents of a random problem, which has repeats and all else that is worth a warning."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return from_coco(annotations, results, keypoints=True)


def test_predictions_without_boxes_and_visibilities_are_written() -> None:
    points = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])
    labels = torch.tensor([1])
    target = {"keypoints": torch.ones(1, 2, 3), "boxes": torch.tensor([[0.0, 0.0, 4.0, 5.0]]), "labels": labels}
    annotations, results = to_coco([{"keypoints": points, "labels": labels, "scores": torch.tensor([0.5])}], [target])
    assert results[0]["keypoints"] == [1, 2, 0, 3, 4, 0]
    assert "bbox" not in results[0]
    assert annotations["annotations"][0]["num_keypoints"] == 2
    assert annotations["annotations"][0]["area"] == 20 * 0.53


@pytest.mark.parametrize(
    ("side", "change", "message"),
    [
        (0, {"keypoints": None}, 'entry 1: "keypoints": expected [x, y, visibility, ...]'),
        (0, {"keypoints": [1, 2]}, "three finite numbers for each keypoint"),
        (0, {"keypoints": [1, 2, -1]}, "visibilities of 0 or more"),
        (0, {"keypoints": []}, "three finite numbers"),
        (0, {"keypoints": [1, 2, 2, 3, 4, 2], "category_id": 1, "num_keypoints": -1}, '"num_keypoints"'),
        (0, {"category_id": 1}, "expected 2, as others of category_id 1 have, got 1"),
        (0, {"bbox": None}, '"bbox"'),
        (1, {"keypoints": [1, 2, 3, 4, 5, 6]}, "expected 1, as others of category_id 2 have, got 2"),
        (1, {"keypoints": [1, float("nan"), 3]}, "expected [x, y, score, ...]"),
    ],
)
def test_what_does_not_fit_is_named(side: int, change: dict[str, Any], message: str) -> None:
    documents = copy.deepcopy((ANNOTATIONS, RESULTS))
    rows = documents[0]["annotations"] if side == 0 else documents[1]
    rows[1].update(change)
    with pytest.raises(ValueError, match=re.escape(message)):
        from_coco(*documents, keypoints=True)


def test_annotations_without_keypoints_are_told() -> None:
    annotations = {**ANNOTATIONS, "annotations": [{**ANNOTATIONS["annotations"][0], "num_keypoints": 0}]}
    with pytest.warns(UserWarning, match="all 1 annotations have no keypoints"):
        from_coco(annotations, RESULTS[:1], keypoints=True)
    again = [{**RESULTS[0], "bbox": [1, 1, 2, 2]}, {**RESULTS[0], "bbox": [1, 1, 2, 2]}]
    with pytest.warns(UserWarning, match="1 entries repeat another"):
        from_coco(ANNOTATIONS, again, keypoints=True)
    again[0]["keypoints"] = [1, 2, 3, 4, 5, 6]  # no repeat
    from_coco(ANNOTATIONS, again, keypoints=True)
