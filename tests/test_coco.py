"""COCO's JSON: what is read, what is left out and told, what is refused and with which line."""

import copy
import gzip
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from pycocotools import mask

from detmetrics import MeanAveragePrecision
from detmetrics.coco import CocoData, from_coco, to_coco
from detmetrics.demo import generate
from detmetrics.functional import mean_average_precision
from detmetrics.ops.rle import decode_masks
from tests import oracle
from tests.problems import mask_problem

ANNOTATIONS: dict[str, Any] = {
    "images": [{"id": 9}, {"id": 4}, {"id": 6}],
    "categories": [{"id": 18, "name": "dog"}, {"id": 2, "name": "cat"}, {"id": 3, "name": "bird"}],
    "annotations": [
        {"id": 1, "image_id": 9, "category_id": 18, "bbox": [0, 0, 10, 20], "area": 150.5, "iscrowd": 0},
        {"id": 2, "image_id": 4, "category_id": 2, "bbox": [5, 5, 8, 8], "area": 60, "iscrowd": 1},
        {"id": 3, "image_id": 9, "category_id": 2, "bbox": [30, 0, 10, 10], "area": 99, "iscrowd": 0},
    ],
}
RESULTS: list[dict[str, Any]] = [
    {"image_id": 9, "category_id": 2, "bbox": [30, 0, 10, 9], "score": 0.25},
    {"image_id": 4, "category_id": 18, "bbox": [5.5, 5, 8, 8], "score": 0.75},
    {"image_id": 9, "category_id": 18, "bbox": [0, 0, 10, 19], "score": 0.5},
]


@pytest.fixture
def annotations() -> dict[str, Any]:
    return copy.deepcopy(ANNOTATIONS)


@pytest.fixture
def results() -> list[dict[str, Any]]:
    return copy.deepcopy(RESULTS)


def agrees_with_pycocotools(data: CocoData, annotations: dict[str, Any], results: list[dict[str, Any]]) -> None:
    metric = MeanAveragePrecision(box_format="xywh", class_names=data.categories, extended_summary=True)
    metric.update(data.preds, data.target)
    oracle.assert_agrees(metric.compute(), oracle.evaluate_coco(annotations, results))


def assert_same(data1: CocoData, data2: CocoData) -> None:
    assert data1.categories == data2.categories
    for items1, items2 in ((data1.preds, data2.preds), (data1.target, data2.target)):
        for item1, item2 in zip(items1, items2, strict=True):
            assert item1.keys() == item2.keys()
            assert all(torch.equal(torch.as_tensor(item1[key]), torch.as_tensor(item2[key])) for key in item1)


# ------------------------------------------------------------------------------------------------------------- reading


def test_images_in_order_of_id_and_rows_in_order_of_the_file(
    annotations: dict[str, Any], results: list[dict[str, Any]]
) -> None:
    data = from_coco(annotations, results)
    assert len(data) == 3
    assert [item["image_id"] for item in data.target] == [4, 6, 9]
    assert data.target[2]["labels"].tolist() == [18, 2]
    assert data.target[2]["boxes"].tolist() == [[0, 0, 10, 20], [30, 0, 10, 10]]
    assert data.target[2]["area"].tolist() == [150.5, 99]
    assert [item["iscrowd"].tolist() for item in data.target] == [[True], [], [False, False]]
    assert data.preds[2]["labels"].tolist() == [2, 18]
    assert data.preds[2]["scores"].tolist() == [0.25, 0.5]
    assert data.preds[0]["boxes"].tolist() == [[5.5, 5, 8, 8]]
    assert data.preds[1]["boxes"].shape == (0, 4)
    assert (
        data.preds[0]["boxes"].dtype == data.preds[0]["scores"].dtype == data.target[0]["area"].dtype == torch.float64
    )
    assert data.categories == {2: "cat", 3: "bird", 18: "dog"}


def test_batches(annotations: dict[str, Any], results: list[dict[str, Any]]) -> None:
    data = from_coco(annotations, results)
    batches = list(data.batches(2))
    assert [len(preds) for preds, _ in batches] == [2, 1]
    assert [target["image_id"] for _, batch in batches for target in batch] == [4, 6, 9]


def test_files_plain_gzipped_and_wrapped(
    tmp_path: Path, annotations: dict[str, Any], results: list[dict[str, Any]]
) -> None:
    plain, packed = tmp_path / "gt.json", tmp_path / "dt.json.gz"
    plain.write_text(json.dumps(annotations), encoding="utf-8-sig")  # with a byte order mark
    packed.write_bytes(gzip.compress(json.dumps({"annotations": results}).encode()))
    assert_same(from_coco(plain, str(packed)), from_coco(annotations, results))


def test_inputs_are_not_changed(annotations: dict[str, Any], results: list[dict[str, Any]]) -> None:
    from_coco(annotations, results)
    assert annotations == ANNOTATIONS
    assert results == RESULTS


def test_missing_and_null_area_and_iscrowd(annotations: dict[str, Any], results: list[dict[str, Any]]) -> None:
    del annotations["annotations"][0]["area"], annotations["annotations"][0]["iscrowd"]
    annotations["annotations"][1] |= {"area": None, "iscrowd": None}
    data = from_coco(annotations, results)
    assert data.target[2]["area"].tolist() == [10 * 20, 99]
    assert data.target[0]["area"].tolist() == [8 * 8]
    assert data.target[0]["iscrowd"].tolist() == [False]


def test_a_given_area_of_0_counts(annotations: dict[str, Any], results: list[dict[str, Any]]) -> None:
    annotations["annotations"][1]["area"] = 0
    assert from_coco(annotations, results).target[0]["area"].tolist() == [0]


def test_no_results(annotations: dict[str, Any]) -> None:
    with pytest.warns(UserWarning, match="^results: no results$"):
        data = from_coco(annotations, [])
    metric = MeanAveragePrecision(box_format="xywh", class_names=data.categories)
    metric.update(data.preds, data.target)
    result = metric.compute()
    assert result["map"] == result["mar_100"] == 0
    assert result["map_large"].isnan()  # no large target: undefined, as in pycocotools


def test_no_annotations(annotations: dict[str, Any], results: list[dict[str, Any]]) -> None:
    annotations["annotations"] = []
    data = from_coco(annotations, results)
    assert [len(item["labels"]) for item in data.target] == [0, 0, 0]
    assert [len(item["labels"]) for item in data.preds] == [1, 0, 2]


def test_images_listed_twice_count_once(annotations: dict[str, Any], results: list[dict[str, Any]]) -> None:
    annotations["images"] += [{"id": 9}]
    assert_same(from_coco(annotations, results), from_coco(ANNOTATIONS, RESULTS))


def test_shared_and_missing_names_become_distinct(annotations: dict[str, Any], results: list[dict[str, Any]]) -> None:
    annotations["categories"] = [{"id": 18, "name": "pet"}, {"id": 2, "name": "pet"}, {"id": 3}]
    assert from_coco(annotations, results).categories == {2: "pet (2)", 3: "3", 18: "pet (18)"}


@pytest.mark.parametrize("key", ["ignore", "difficult"])
def test_ignore_key(annotations: dict[str, Any], results: list[dict[str, Any]], key: str) -> None:
    annotations["annotations"][2][key] = 1
    data = from_coco(annotations, results, ignore_key=key)
    assert [item["ignore"].tolist() for item in data.target] == [[False], [], [False, True]]


# ------------------------------------------------------------------------------------------- left out, and told about


def test_unknown_images_are_refused_or_dropped(annotations: dict[str, Any], results: list[dict[str, Any]]) -> None:
    results += [{**RESULTS[0], "image_id": 77}, {**RESULTS[0], "image_id": 5}]
    message = 'results: 2 of 5 entries are for images not listed in "images", such as image_id 77'
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        from_coco(annotations, results)
    with pytest.warns(UserWarning, match=f"^{re.escape(message)}; dropped$"):
        data = from_coco(annotations, results, drop_unknown_images=True)
    assert_same(data, from_coco(ANNOTATIONS, RESULTS))


def test_results_for_unknown_images_alone_are_refused(annotations: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="1 of 1 entries are for images not listed"):
        from_coco(annotations, [{**RESULTS[0], "image_id": 77}], drop_unknown_images=True)


def test_unknown_categories_are_dropped_as_in_pycocotools(
    annotations: dict[str, Any], results: list[dict[str, Any]]
) -> None:
    annotations["annotations"] += [{**ANNOTATIONS["annotations"][0], "id": 4, "category_id": 99}]
    results += [{**RESULTS[2], "category_id": 7, "score": 0.99}]
    with pytest.warns(UserWarning, match="as in pycocotools") as caught:
        data = from_coco(annotations, results)
    told = 'of categories not listed in "categories", such as category_id'
    assert [str(warning.message) for warning in caught] == [
        f"annotations: annotations: 1 of 4 entries are {told} 99; dropped, as in pycocotools",
        f"results: 1 of 4 entries are {told} 7; dropped, as in pycocotools",
    ]
    agrees_with_pycocotools(data, annotations, results)


def test_annotations_of_unknown_images_are_dropped_as_in_pycocotools(
    annotations: dict[str, Any], results: list[dict[str, Any]]
) -> None:
    annotations["annotations"] += [{**ANNOTATIONS["annotations"][0], "id": 4, "image_id": 5}]
    with pytest.warns(UserWarning, match="1 of 4 entries are for images not listed .* image_id 5; dropped"):
        data = from_coco(annotations, results)
    agrees_with_pycocotools(data, annotations, results)


def test_differences_from_pycocotools_are_told(annotations: dict[str, Any], results: list[dict[str, Any]]) -> None:
    annotations["annotations"][0] |= {"id": 3, "ignore": 1}
    annotations["annotations"][1]["id"] = 0
    with pytest.warns(UserWarning, match="in pycocotools") as caught:
        data = from_coco(annotations, results)
    assert [str(warning.message) for warning in caught] == [
        "annotations: annotations: 1 entries repeat the id of another; all count, unlike in pycocotools",
        "annotations: annotations: an entry has id 0; it can be matched like any other, unlike in pycocotools",
        'annotations: annotations: 1 entries have "ignore" set; they count all the same, as in pycocotools',
    ]
    assert_same(data, from_coco(ANNOTATIONS, RESULTS))


# ------------------------------------------------------------------------------------------------------------- refused

BOX = "[x, y, width, height], finite numbers, width and height of 0 or more"


@pytest.mark.parametrize(
    ("key", "value", "expected", "got"),
    [
        ("bbox", [1, 2, 3], BOX, "[1, 2, 3]"),
        ("bbox", [1, 2, 3, "4"], BOX, "[1, 2, 3, '4']"),
        ("bbox", [1, 2, -3, 4], BOX, "[1, 2, -3, 4]"),
        ("bbox", [1, 2, float("nan"), 4], BOX, "[1, 2, nan, 4]"),
        ("bbox", None, BOX, "None"),
        ("score", "high", "a finite number", "'high'"),
        ("score", float("inf"), "a finite number", "inf"),
        ("score", ..., "a finite number", "no such key"),
        ("image_id", "9", "an integer of 0 or more", "'9'"),
        ("image_id", -9, "an integer of 0 or more", "-9"),
        ("category_id", 2.0, "an integer", "2.0"),
        ("category_id", 2**63, "an integer", "9223372036854775808"),
    ],
)
def test_broken_results(annotations: dict[str, Any], key: str, value: Any, expected: str, got: str) -> None:
    broken = {**RESULTS[1], key: value}
    if value is ...:
        del broken[key]
    with pytest.raises(
        ValueError, match=f'^{re.escape(f"""results: entry 1: "{key}": expected {expected}, got {got}""")}$'
    ):
        from_coco(annotations, [RESULTS[0], broken])


@pytest.mark.parametrize(
    ("table", "key", "value", "message"),
    [
        ("annotations", "bbox", "0 0 1 1", f"entry 2: \"bbox\": expected {BOX}, got '0 0 1 1'"),
        ("annotations", "area", -1, 'entry 2: "area": expected a finite number of 0 or more, got -1'),
        ("annotations", "iscrowd", "0", "entry 2: \"iscrowd\": expected 0 or 1, got '0'"),
        ("annotations", "image_id", None, 'entry 2: "image_id": expected an integer of 0 or more, got None'),
        ("images", "id", "a.jpg", "entry 2: \"id\": expected an integer of 0 or more, got 'a.jpg'"),
        ("categories", "id", 1.5, 'entry 2: "id": expected an integer, got 1.5'),
        ("categories", "name", 5, 'entry 2: "name": expected a string, got 5'),
    ],
)
def test_broken_annotations(annotations: dict[str, Any], table: str, key: str, value: Any, message: str) -> None:
    annotations[table][2][key] = value
    with pytest.raises(ValueError, match=f"^{re.escape(f'annotations: {table}: {message}')}$"):
        from_coco(annotations, RESULTS)


@pytest.mark.parametrize(
    ("annotations", "results", "message"),
    [
        ([], RESULTS, "annotations: expected a JSON object, got []"),
        ({"images": []}, RESULTS, "annotations: images: expected at least one image, got none"),
        (
            {key: ANNOTATIONS[key] for key in ("images", "annotations")},
            RESULTS,
            "annotations: expected the key \"categories\", got the keys ['annotations', 'images']",
        ),
        ({**ANNOTATIONS, "images": {"id": 1}}, RESULTS, "annotations: images: expected a JSON array, got {'id': 1}"),
        (ANNOTATIONS, 3, "results: expected a JSON array, got 3"),
        (ANNOTATIONS, {"results": []}, "results: expected the key \"annotations\", got the keys ['results']"),
        (ANNOTATIONS, [RESULTS[0], "x"], "results: entry 1: expected a JSON object, got 'x'"),
    ],
)
def test_not_such_a_document(annotations: Any, results: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        from_coco(annotations, results)


def test_ignore_key_that_no_annotation_has(annotations: dict[str, Any], results: list[dict[str, Any]]) -> None:
    with pytest.raises(
        ValueError, match=r'^annotations: annotations: expected the key "hard" in some entry, got none$'
    ):
        from_coco(annotations, results, ignore_key="hard")


@pytest.mark.parametrize("content", [b"{", b"", b"\xff\xfe\xfd", gzip.compress(b"[]" * 100)[:-9], b"\x1f\x8b"])
def test_not_json(tmp_path: Path, annotations: dict[str, Any], content: bytes) -> None:
    path = tmp_path / "dt.json"
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match=f"^{re.escape(str(path))}: expected JSON, plain or gzipped, got an error: .+$"
    ):
        from_coco(annotations, path)


def test_no_such_file(tmp_path: Path, results: list[dict[str, Any]]) -> None:
    with pytest.raises(FileNotFoundError):
        from_coco(tmp_path / "gt.json", results)


# ---------------------------------------------------------------------------------------------------------- round trips


def test_round_trip_from_files() -> None:
    data = from_coco(ANNOTATIONS, RESULTS)
    annotations, results = to_coco(data.preds, data.target, box_format="xywh", categories=data.categories)
    assert json.loads(json.dumps(annotations)) == annotations
    assert_same(from_coco(annotations, results), data)
    assert [annotation["id"] for annotation in annotations["annotations"]] == [1, 2, 3]
    assert annotations["images"] == [{"id": 4}, {"id": 6}, {"id": 9}]


def test_round_trip_of_real_files(data_root: Path) -> None:
    folder = data_root / "coco_val2014_100"
    data = from_coco(
        folder / "instances_val2014_100.json",
        folder / "instances_val2014_fakebbox100_results.json",
        ignore_key="iscrowd",
    )
    assert len(data) == 100
    assert len(data.categories) == 80
    assert sum(len(item["labels"]) for item in data.target) == 839
    assert sum(int(item["iscrowd"].sum()) for item in data.target) == 9
    assert sum(len(item["labels"]) for item in data.preds) == 734
    annotations, results = to_coco(data.preds, data.target, box_format="xywh", categories=data.categories)
    assert_same(from_coco(annotations, results, ignore_key="ignore"), data)


def test_round_trip_from_tensors() -> None:
    preds, target = generate(num_images=20, num_detections=10, num_classes=5)
    data = from_coco(*to_coco(preds, target))
    direct, through = MeanAveragePrecision(), MeanAveragePrecision(box_format="xywh")
    direct.update(preds, target)
    through.update(data.preds, data.target)
    assert all(value.equal(through.compute()[key]) for key, value in direct.compute().items() if not value.isnan())


def test_to_coco_numbers_images_and_names_labels() -> None:
    boxes, labels = torch.tensor([[0.0, 0.0, 4.0, 2.0]]), torch.tensor([7])
    none = {"boxes": torch.zeros(0), "labels": torch.zeros(0, dtype=torch.int64), "scores": torch.zeros(0)}
    annotations, results = to_coco([none, none], [none, {"boxes": boxes, "labels": labels}])
    assert results == []
    assert annotations == {
        "images": [{"id": 1}, {"id": 2}],
        "categories": [{"id": 7, "name": "7"}],
        "annotations": [
            {"id": 1, "image_id": 2, "category_id": 7, "bbox": [0.0, 0.0, 4.0, 2.0], "area": 8.0, "iscrowd": 0}
        ],
    }


# --------------------------------------------------------------------------------------------------------------- masks

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
    for row in (*annotations["annotations"], *results):
        row["bbox"] = [0, 0, 2, 2]
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


@pytest.mark.parametrize(
    ("value", "got"),
    [
        (None, "None"),
        ([], "[]"),
        ([[0, 0, 2, 2]], "[[0, 0, 2, 2]]"),
        ([[0, 0, 2, 2, "x", 3]], "[[0, 0, 2, 2, 'x', 3]]"),
        ({"size": [8], "counts": "0"}, "{'counts': '0', 'size': [8]}"),
        ({"size": [8, 0], "counts": "0"}, "{'counts': '0', 'size': [8, 0]}"),
        ({"size": [8, 10], "counts": [-1, 81]}, "{'counts': [-1, 81], 'size': [8, 10]}"),
    ],
)
def test_broken_segmentations(masks: Documents, value: Any, got: str) -> None:
    annotations, results = masks
    results[1]["segmentation"] = value
    expected = 'polygons [[x1, y1, ...], ...] or {"size": [H, W], "counts": ...}'
    with pytest.raises(
        ValueError, match=re.escape(f'results: entry 1: "segmentation": expected {expected}, got {got}')
    ):
        from_coco(annotations, results, masks=True)


def test_polygons_need_the_size_of_the_image(masks: Documents) -> None:
    annotations, results = masks
    del annotations["images"][0]["width"]
    message = (
        'annotations: annotations: entry 0: "segmentation": expected an image with "height" and "width" for polygons, '
        "got none for image_id 3"
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
