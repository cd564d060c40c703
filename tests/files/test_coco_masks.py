"""COCO's JSON: masks, as polygons and as run-length encodings."""

import json
import math
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pycocotools import mask

from detmetrics import MeanAveragePrecision
from detmetrics.files import polygons
from detmetrics.files.coco import from_coco, to_coco
from detmetrics.files.json_table import is_number
from detmetrics.functional import mean_average_precision
from detmetrics.overlap.rle import decode_masks
from tests import oracle
from tests.problems import mask_problem

SQUARE = [[2, 2, 6, 2, 6, 6, 2, 6]]  # pixels 2 to 5
TWO_PARTS = [[0, 0, 2, 0, 2, 2, 0, 2], [4, 0, 6, 0, 6, 2, 4, 2]]
RUNS = {"size": [8, 10], "counts": [16, 4, 4, 4, 52]}  # rows 0 to 3 of columns 2 and 3
CHARACTERS = {"size": [8, 10], "counts": mask.frPyObjects(RUNS, 8, 10)["counts"].decode()}


@pytest.fixture
def masks() -> tuple[dict[str, Any], list[dict[str, Any]]]:
    rows = [SQUARE, TWO_PARTS, RUNS, CHARACTERS]
    annotations = {
        "images": [{"id": 3, "height": 8, "width": 10}, {"id": 1, "height": 8, "width": 10}],
        "categories": [{"id": 5, "name": "cat"}],
        "annotations": [
            {"id": n, "image_id": 3, "category_id": 5, "segmentation": value, "area": 16.0, "iscrowd": 0}
            for n, value in enumerate(rows, start=1)
        ],
    }
    results = [{"image_id": 3, "category_id": 5, "score": 0.5, "segmentation": value} for value in rows[:3]]
    return annotations, results


Documents = tuple[dict[str, Any], list[dict[str, Any]]]


def test_masks_in_every_form(masks: Documents) -> None:
    data = from_coco(*masks, masks=True)
    assert [len(item["masks"]) for item in data.target] == [0, 4]
    decoded = decode_masks(data.target[1]["masks"])
    expected = torch.zeros(4, 8, 10, dtype=torch.bool)
    expected[0, 2:6, 2:6] = True
    expected[1, :2, :2] = expected[1, :2, 4:6] = True
    expected[2:, :4, 2:4] = True
    assert torch.equal(decoded, expected)
    assert torch.equal(decode_masks(data.preds[1]["masks"]), expected[:3])
    assert data.preds[1]["boxes"].tolist() == [[2, 2, 4, 4], [0, 0, 6, 2], [2, 0, 2, 4]]
    assert data.target[1]["area"].tolist() == [16, 16, 16, 16]  # as given
    assert mean_average_precision(data.preds, data.target, iou_type="segm")["map_50"] == pytest.approx(76 / 101)


def test_masks_are_not_read_unless_asked_for(masks: Documents) -> None:
    annotations, results = masks
    for width, row in enumerate((*annotations["annotations"], *results), start=1):
        row["bbox"] = [0, 0, width, 2]
    data = from_coco(annotations, results)
    assert "masks" not in data.preds[1]
    assert "masks" not in data.target[1]


def test_areas_and_boxes_that_are_given_stand(masks: Documents) -> None:
    annotations, results = masks
    del annotations["annotations"][1]["area"]
    annotations["annotations"][0]["bbox"] = [1, 1, 8, 8]
    results[0]["bbox"] = [0, 1, 2, 3]
    data = from_coco(annotations, results, masks=True)
    assert data.target[1]["area"].tolist() == [16, 8, 16, 16]
    assert data.target[1]["boxes"][0].tolist() == [1, 1, 8, 8]
    assert data.preds[1]["boxes"][0].tolist() == [0, 1, 2, 3]


def test_masks_follow_their_rows(masks: Documents) -> None:
    annotations, results = masks
    moved = {**annotations["annotations"][2], "image_id": 1, "id": 9}
    annotations["annotations"].insert(1, moved)
    annotations["annotations"].insert(0, {**moved, "image_id": 4, "segmentation": SQUARE, "id": 10})  # not listed
    results.insert(0, {**results[0], "category_id": 6, "segmentation": TWO_PARTS})
    with pytest.warns(UserWarning, match="not listed"):
        data = from_coco(annotations, results, masks=True)
    assert [len(item["masks"]) for item in data.target] == [1, 4]
    assert data.target[0]["masks"] == [RUNS]
    assert torch.equal(decode_masks(data.preds[1]["masks"]), decode_masks(data.target[1]["masks"])[:3])


@pytest.mark.parametrize("iou_type", ["segm", "boundary"])
def test_masks_of_real_files(data_root: Path, iou_type: str) -> None:
    folder = data_root / "coco_val2014_100"
    data = from_coco(
        folder / "instances_val2014_100.json", folder / "instances_val2014_fakesegm100_results.json", masks=True
    )
    metric = MeanAveragePrecision(iou_type=iou_type, class_names=data.categories)
    for preds, target in data.batches(16):
        metric.update(preds, target)
    stats = [metric.compute()[key].item() for key in oracle.STATS]
    if iou_type == "segm":
        measured = json.loads((data_root / "MANIFEST.json").read_text())["coco_val2014_100"]["measured"]["segm"]
        assert stats == pytest.approx(measured["stats"], rel=0, abs=oracle.TOLERANCE)
        per_class = MeanAveragePrecision(iou_type="segm", class_metrics=True, class_names=data.categories)
        per_class.merge_state(metric)
        values = [per_class.compute()[f"map/{name.partition('#')[0]}"].item() for name in measured["per_category_AP"]]
        expected = [float("nan") if value is None else value for value in measured["per_category_AP"].values()]
        assert values == pytest.approx(expected, rel=0, abs=oracle.TOLERANCE, nan_ok=True)
    else:
        sides = [  # the slow reference takes a while
            [{**item, "masks": decode_masks(item["masks"]).contiguous()} for item in side[:20]]
            for side in (data.preds, data.target)
        ]
        result = mean_average_precision(*sides, iou_type="boundary", extended_summary=True)
        oracle.assert_agrees(result, oracle.evaluate(*sides, iou_type="boundary"))
        assert 0.1 < stats[0] < 0.3195  # below the overlaps of masks


POLYGONS = 'polygons [[x1, y1, x2, y2, x3, y3, ...], ...] or {"size": [H, W], "counts": ...}'


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, f"expected {POLYGONS}, got None"),
        ([], f"expected {POLYGONS}, got [], no polygon of three points"),
        ([[0, 0, 2, 2]], f"expected {POLYGONS}, got [[0, 0, 2, 2]], no polygon of three points"),
        ([0, 0, 2, 2, 4, 0], f"expected {POLYGONS}, got one list of numbers, [0, 0, 2, 2, 4, 0]: put it into a list"),
        (
            [*SQUARE, [0, 0, 2, 2, "x", 3]],
            "polygon 1: expected finite numbers [x1, y1, x2, y2, ...], got [0, 0, 2, 2, 'x', 3]",
        ),
        ([[0, 0, float("nan"), 2, 3, 3]], "polygon 0: expected finite numbers [x1, y1, x2, y2, ...], got "),
        ([[0, 0, 2, 2, 3, 3, 4]], "polygon 0: expected an x and a y by turns, got 7 numbers"),
        ([[0, 0, 3e9, 0, 3e9, 3e9]], "polygon 0: expected x from -100 to 110, near the image, got 0 to 3e+09"),
        ([[0, -3e7, 3, 0, 3, 3]], "polygon 0: expected y from -80 to 88, near the image, got -3e+07 to 3"),
        ([[-99, -79, 99, 79] * 20_000], "polygon 0: expected an outline of at most 4194304 pixels, got "),
        ({"size": [8], "counts": "0"}, "expected a size of (H, W), got [8]"),
        ({"size": [8, 10**30], "counts": "0"}, "expected a size (H, W) of fewer than 2**32 pixels, got [8, 1000"),
        ({"size": [8, 10], "counts": [10**30, 81]}, "expected counts as str, bytes or a list of ints, got list with"),
        ({"size": [8, 10], "counts": [-1, 81]}, "expected runs of 0 or more that add up to 8 * 10 pixels, got 80"),
        ({"size": [8, 10], "counts": "abc~"}, "expected counts in COCO's characters, got b'abc~'"),
        ({"size": [9, 9], "counts": [81]}, "expected the size (8, 10) of the other masks of the image, got (9, 9)"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_broken_segmentations(masks: Documents, value: Any, message: str) -> None:
    annotations, results = masks
    results[1]["segmentation"] = value
    where = 'results: entry 1: "segmentation" of image_id 3: '
    with pytest.raises(ValueError, match=f"^{re.escape(where + message)}"):
        from_coco(annotations, results, masks=True)


@pytest.mark.parametrize(
    "points",
    [
        *([], [0, 1], [0.5, 1], [0.5, -1.5], [2**62, 2**62], [-(2**63), 0.5], [2**63, 0], [2**63, 0.5], [10**400, 0.5]),
        *([10**400, 1], [1e308, 1e308], [math.inf, -math.inf], [math.nan, 1], [1, math.inf], [True, 1], [True, 0.5]),
        *(["1", 2.0], [None], [[1.0]], [0.5, "x"], [np.float64(1), 2.0], [np.int64(1), 2], [1j, 2.0], [b"1", 1]),
        [-1e308, -1e308, 1.0],
    ],
    ids=str,
)
def test_coordinates_seen_together_are_what_each_of_them_is(points: list[Any]) -> None:
    assert polygons._are_numbers(points) == all(map(is_number, points))


def test_polygons_of_an_image_that_is_too_large(masks: Documents) -> None:
    annotations, results = masks
    annotations["images"][0] |= {"height": 10**9, "width": 10**9}
    with pytest.raises(ValueError, match=re.escape("image_id 3: expected an image of fewer than 2**32 pixels")):
        from_coco(annotations, results, masks=True)


def test_polygons_of_one_or_two_points_beside_good_ones_are_skipped(masks: Documents) -> None:
    annotations, results = masks
    expected = from_coco(annotations, results, masks=True)
    annotations["annotations"][0]["segmentation"] = [[1, 1], *SQUARE, [1, 1, 7, 7]]
    annotations["annotations"][1]["segmentation"] = [[], *TWO_PARTS]
    with pytest.warns(UserWarning, match="skipped") as caught:
        data = from_coco(annotations, results, masks=True)
    told = "annotations: annotations: 3 polygons of one or two points have no pixels and are skipped"
    assert [str(warning.message) for warning in caught] == [told]
    assert torch.equal(decode_masks(data.target[1]["masks"]), decode_masks(expected.target[1]["masks"]))


def test_masks_of_another_size_than_their_image_are_told(masks: Documents) -> None:
    annotations, results = masks
    annotations["images"][0] |= {"height": 10, "width": 8}
    annotations["annotations"], results = annotations["annotations"][2:], results[2:]
    with pytest.warns(UserWarning, match='3 masks have another size than the "height" and "width" of their image'):
        from_coco(annotations, results, masks=True)


def test_polygons_need_the_size_of_the_image(masks: Documents) -> None:
    annotations, results = masks
    del annotations["images"][0]["width"]
    message = (
        'annotations: annotations: entry 0: "segmentation" of image_id 3: expected an image with "height" and "width" '
        "for polygons, got none"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        from_coco(annotations, results, masks=True)
    annotations["annotations"] = annotations["annotations"][2:]  # encodings do not
    assert len(from_coco(annotations, results[2:], masks=True).target[1]["masks"]) == 2


def test_without_pycocotools(masks: Documents, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    with pytest.raises(ImportError, match=r'need pycocotools: pip install "detmetrics\[coco\]"'):
        from_coco(*masks, masks=True)


def test_masks_round_trip() -> None:
    problem = mask_problem(2, images=6, image_ids=True, plain=True)
    kept = [i for i, item in enumerate(problem.target) if "ignore" not in item]
    preds, target = ([side[i] for i in kept] for side in (problem.preds, problem.target))
    written = json.loads(json.dumps(to_coco(preds, target)))
    oracle.assert_agrees(
        mean_average_precision(preds, target, iou_type="segm"), oracle.evaluate_coco(*written, iou_type="segm")
    )
    data = from_coco(*written, masks=True)
    order = sorted(range(len(target)), key=lambda i: int(target[i]["image_id"]))
    for item, back in zip((preds[i] for i in order), data.preds, strict=True):
        if len(item["masks"]):
            assert torch.equal(decode_masks(back["masks"]), item["masks"])
    first = mean_average_precision(preds, target, iou_type="segm", extended_summary=True)
    second = mean_average_precision(data.preds, data.target, iou_type="segm", extended_summary=True)
    for key, value in first.items():
        assert torch.equal(second[key].nan_to_num(-1), value.nan_to_num(-1)), key
    again, results = to_coco(data.preds, data.target, box_format="xywh", categories=data.categories)
    for rows, before in ((results, written[1]), (again["annotations"], written[0]["annotations"])):
        counts = [sorted(row["segmentation"]["counts"] for row in some) for some in (rows, before)]
        assert counts[0] == counts[1]
