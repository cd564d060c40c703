"""What files repeat, contradict or lack: each is told, or documented as not."""

import copy
import json
import warnings
from pathlib import Path
from typing import Any

import pytest

from detmetrics.files.coco import from_coco
from tests.files.documents import ANNOTATIONS, RESULTS, agrees_with_pycocotools, assert_same

Documents = tuple[dict[str, Any], list[dict[str, Any]]]
UNDEFINED = "all numbers will be undefined (-1)"
UNFIT = "boxes lie outside their image or are far larger than it; bbox is [x, y, width, height] in pixels of the image"


def no_annotations(annotations: Any, results: Any) -> None:
    annotations["annotations"].clear()


def crowds_alone(annotations: Any, results: Any) -> None:
    for row in annotations["annotations"]:
        row["iscrowd"] = 1


def other_sizes(annotations: Any, results: Any) -> None:
    annotations["images"] += [{"id": 9, "height": 500, "width": 500}, {"id": 4}]


def other_file_name(annotations: Any, results: Any) -> None:
    annotations["images"] += [{"id": 9, "file_name": "other.jpg"}]


def other_category_name(annotations: Any, results: Any) -> None:
    annotations["categories"] += [{"id": 2, "name": "tiger"}]


def repeated_results(annotations: Any, results: Any) -> None:
    results += results[:2]


def equal_scores(annotations: Any, results: Any) -> None:
    results[:] = [{**RESULTS[0], "bbox": [i, 0, 5, 5], "score": 0.5} for i in range(12)]


def boxes_outside(annotations: Any, results: Any) -> None:
    for row in annotations["images"]:
        row |= {"height": 20, "width": 40}
    results[0]["bbox"] = [40, 3, 5, 5]
    results[1]["bbox"] = [3, -9, 5, 5]
    results[2]["bbox"] = [3, 3, 61, 5]
    annotations["annotations"][0]["bbox"] = [3, 20, 5, 5]


@pytest.mark.parametrize(
    ("change", "messages"),
    [
        (
            no_annotations,
            [f"annotations: annotations: no annotations of the listed images and categories; {UNDEFINED}"],
        ),
        (crowds_alone, [f"annotations: annotations: all 3 annotations are crowds or ignored; {UNDEFINED}"]),
        (
            other_sizes,
            [
                "annotations: images: 1 image ids are listed again with another size or file_name, such as 9; "
                "the last one counts, as in pycocotools"
            ],
        ),
        (
            other_file_name,
            [
                "annotations: images: 1 image ids are listed again with another size or file_name, such as 9; "
                "the last one counts, as in pycocotools"
            ],
        ),
        (
            other_category_name,
            [
                "annotations: categories: 1 category ids are listed again with another name, such as 2; "
                "the last one counts, as in pycocotools"
            ],
        ),
        (
            repeated_results,
            ["results: 2 entries repeat another: image, category, box and score; each counts, as in pycocotools"],
        ),
        (equal_scores, ["results: all 12 scores are 0.5; the order of the file decides"]),
        (boxes_outside, [f"annotations: annotations: 1 of 3 {UNFIT}", f"results: 3 of 3 {UNFIT}"]),
    ],
)
def test_told(change: Any, messages: list[str]) -> None:
    annotations, results = copy.deepcopy((ANNOTATIONS, RESULTS))
    change(annotations, results)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        data = from_coco(annotations, results)
    assert [str(warning.message) for warning in caught] == messages
    if change is not no_annotations:  # pycocotools refuses it
        agrees_with_pycocotools(data, annotations, results)


def test_not_told(annotations: dict[str, Any], results: list[dict[str, Any]], tmp_path: Path) -> None:
    annotations["images"] += annotations["images"][:1]
    assert_same(from_coco(annotations, results), from_coco(ANNOTATIONS, RESULTS))
    path = tmp_path / "dt.json"
    path.write_text(json.dumps(RESULTS).replace('"score": 0.5', '"score": 7, "score": 0.5'))
    assert_same(from_coco(ANNOTATIONS, path), from_coco(ANNOTATIONS, RESULTS))
