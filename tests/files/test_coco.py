"""COCO's JSON: what is read, what is left out with a warning, what is refused and with which line."""

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from detmetrics import MeanAveragePrecision
from detmetrics.files.coco import from_coco
from tests.files.documents import ANNOTATIONS, RESULTS, agrees_with_pycocotools, assert_same


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
    with pytest.warns(UserWarning, match="no annotations of the listed images and categories; all numbers"):
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
        ("image_id", 9.5, "an integer or a string", "9.5"),
        ("image_id", True, "an integer or a string", "True"),
        ("image_id", [9], "an integer or a string", "[9]"),
        ("category_id", None, "an integer or a string", "None"),
        ("category_id", float("nan"), "an integer or a string", "nan"),
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
        ("annotations", "image_id", None, 'entry 2: "image_id": expected an integer or a string, got None'),
        ("images", "id", {}, 'entry 2: "id": expected an integer or a string, got {}'),
        ("images", "height", 2**31, 'entry 2: "height": expected an integer of 0 or more, below 2**31, got 2147483648'),
        ("categories", "id", 1.5, 'entry 2: "id": expected an integer or a string, got 1.5'),
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
        ({**ANNOTATIONS, "images": []}, RESULTS, "annotations: images: expected at least one image, got none"),
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
