"""Ids of any kind, and values that mean the right thing in another type."""

import copy
import time
from typing import Any

import numpy as np
import pytest
import torch

from detmetrics.files.coco import CocoData, from_coco, to_coco
from tests.files.documents import ANNOTATIONS, RESULTS, agrees_with_pycocotools, assert_same


def with_ids(change: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The documents with other image ids."""
    annotations, results = copy.deepcopy((ANNOTATIONS, RESULTS))
    for row in annotations["images"]:
        row["id"] = change(row["id"])
    for row in (*annotations["annotations"], *results):
        row["image_id"] = change(row["image_id"])
    return annotations, results


def same_objects(data: CocoData) -> bool:
    expected = from_coco(ANNOTATIONS, RESULTS)
    pairs = zip([*data.preds, *data.target], [*expected.preds, *expected.target], strict=True)
    return all(mine[key].equal(yours[key]) for mine, yours in pairs for key in ("boxes", "labels"))


@pytest.mark.parametrize("kind", [float, np.int64, np.float32, np.uint64, torch.tensor, np.array])
def test_whole_numbers_of_any_type_are_the_integers_that_they_mean(kind: Any) -> None:
    annotations, results = with_ids(kind)
    for row in (*annotations["annotations"], *results):
        row["category_id"] = kind(row["category_id"])
    results[0]["score"], results[1]["bbox"] = np.float32(0.25), np.array([5.5, 5, 8, 8])
    annotations["annotations"][0]["iscrowd"] = 0.0
    annotations["images"][0] |= {"height": 100.0, "width": np.int32(100)}
    assert_same(from_coco(annotations, results), from_coco(ANNOTATIONS, RESULTS))


@pytest.mark.parametrize(
    ("change", "ids"),
    [
        (lambda i: f"{i}.jpg", ["4.jpg", "6.jpg", "9.jpg"]),
        (lambda i: 2**63 + i, [2**63 + 4, 2**63 + 6, 2**63 + 9]),
        (lambda i: i - 7, [-3, -1, 2]),
        (lambda i: str(i) if i == 9 else i, [4, 6, "9"]),
    ],
)
def test_ids_that_are_no_numbers_of_0_or_more_are_numbered(change: Any, ids: list[Any]) -> None:
    annotations, results = with_ids(change)
    annotations["images"][0]["file_name"] = "nine.jpg"
    data = from_coco(annotations, results)
    assert data.image_ids == dict(enumerate(ids))
    assert [item["image_id"] for item in data.target] == [0, 1, 2]
    assert data.file_names == {2: "nine.jpg"}
    assert same_objects(data)
    if all(isinstance(i, type(ids[0])) for i in ids):  # pycocotools sorts them
        agrees_with_pycocotools(data, annotations, results)
    written, found = to_coco(
        data.preds, data.target, box_format="xywh", categories=data.categories, image_ids=data.image_ids
    )
    assert [row["id"] for row in written["images"]] == ids
    assert {row["image_id"] for row in found} == {change(9), change(4)}


def test_ids_of_0_or_more_stay() -> None:
    data = from_coco(ANNOTATIONS, RESULTS)
    assert data.image_ids == {4: 4, 6: 6, 9: 9}


def test_a_number_as_a_string_is_another_id() -> None:
    _, results = with_ids(str)
    message = "3 of 3 entries are for images not listed in \"images\", such as image_id '9'"
    with pytest.raises(ValueError, match=message):
        from_coco(ANNOTATIONS, results)


def test_category_ids_of_any_kind() -> None:
    annotations, results = copy.deepcopy((ANNOTATIONS, RESULTS))
    for row in annotations["categories"]:
        row["id"] = f"n{row['id']:02d}"
    for row in (*annotations["annotations"], *results):
        row["category_id"] = f"n{row['category_id']:02d}"
    data = from_coco(annotations, results)
    assert data.categories == {0: "cat", 1: "bird", 2: "dog"}
    assert data.target[2]["labels"].tolist() == [2, 0]


def test_many_categories_take_time_in_proportion() -> None:
    categories = [{"id": i, "name": f"name {i // 2}"} for i in range(60_000)]
    start = time.perf_counter()
    data = from_coco({**ANNOTATIONS, "categories": categories}, RESULTS)
    assert time.perf_counter() - start < 5  # took 25 s when every name was counted for every category
    assert data.categories[7] == "name 3 (7)"
