"""LVIS: the numbers of the package lvis, what is known of an image, and the limit over all classes."""

import gzip
import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from pycocotools import mask

from detmetrics import LVISAveragePrecision, MeanAveragePrecision
from detmetrics.coco import from_coco, to_coco
from detmetrics.detection.lvis_results import lvis_results
from tests import lvis_oracle
from tests.problems import Item, Problem, image, random_problem

LETTERS = "rcf"


def federated_problem(seed: int, images: int = 4) -> tuple[list[Item], list[Item], dict[int, str]]:
    """A problem with ties, and classes that are absent, not exhaustively labelled, or neither; without crowds."""
    problem: Problem = random_problem(seed, images=images, image_ids=False, plain=True)
    rng = random.Random(f"federated {seed}")
    labels = sorted(
        {label for items in (problem.preds, problem.target) for x in items for label in x["labels"].tolist()}
    )
    labels = labels or [0]
    for item in problem.target:
        item.pop("iscrowd", None)
        for key, share in (("neg_category_ids", 0.4), ("not_exhaustive_category_ids", 0.3)):
            item[key] = torch.tensor([label for label in labels if rng.random() < share], dtype=torch.int64)
    return problem.preds, problem.target, {label: rng.choice(LETTERS[: rng.randint(1, 3)]) for label in labels}


def assert_agrees(result: dict[str, Any], expected: dict[str, float]) -> None:
    assert result.keys() == expected.keys()
    for key, value in expected.items():
        assert result[key].item() == pytest.approx(value, rel=0, abs=1e-10, nan_ok=True), key


def compare(seed: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether a problem with a random limit has a defined average precision; ours is that of lvis."""
    preds, target, frequencies = federated_problem(seed)
    results = lvis_oracle.results_of(preds)
    if not results:
        return False
    limit = random.Random(seed).choice([1, 2, 3, 5, 8, 300])
    document = lvis_oracle.document_of(target, frequencies)
    expected = lvis_oracle.numbers(lvis_oracle.evaluated(monkeypatch, document, results, limit, "bbox"))
    metric = LVISAveragePrecision(max_detections_per_image=limit, frequencies=frequencies)
    metric.update(preds, target)
    assert_agrees(metric.compute(), expected)
    return expected["map"] > 0


def test_random_federated_problems_equal_lvis(monkeypatch: pytest.MonkeyPatch) -> None:
    assert sum(compare(seed, monkeypatch) for seed in range(120)) > 60


@pytest.mark.slow
def test_many_random_federated_problems_equal_lvis(monkeypatch: pytest.MonkeyPatch) -> None:
    assert sum(compare(seed, monkeypatch) for seed in range(120, 1500)) > 700


# ---------------------------------------------------------------------------------------------------------- real data


def lvis_document(data_root: Path) -> dict[str, Any]:
    return json.loads(gzip.decompress((data_root / "lvis_val_100" / "lvis_val_100.json.gz").read_bytes()))


def generated(document: dict[str, Any], seed: int) -> list[dict[str, Any]]:
    """Detections made of annotations: moved, of another class, repeated; strays of any class, and ties in score."""
    rng = random.Random(seed)
    labels = [category["id"] for category in document["categories"]]
    results = []
    for annotation in document["annotations"]:
        for _ in range(rng.randint(0, 3)):
            x, y, w, h = (round(value * rng.choice([1, 1, 0.97, 0.9]), 2) for value in annotation["bbox"])
            label = annotation["category_id"] if rng.random() < 0.9 else rng.choice(labels)
            results.append((annotation["image_id"], label, [x, y, w, h]))
    for img in document["images"]:
        likely = [*img["neg_category_ids"], *img["not_exhaustive_category_ids"]] * 3 + rng.choices(labels, k=20)
        for label in likely:
            corner = [rng.randrange(img["width"] - 50), rng.randrange(img["height"] - 50)]
            results.append((img["id"], label, [*corner, 40.0, rng.choice([0.0, 50.0])]))
    rng.shuffle(results)
    once = {(image_id, label, *box): rng.randint(1, 40) / 40 for image_id, label, box in results}
    return [
        {"image_id": image_id, "category_id": label, "bbox": box, "score": score}
        for (image_id, label, *box), score in once.items()
    ]


def as_masks(results: list[dict[str, Any]], document: dict[str, Any]) -> list[dict[str, Any]]:
    """The same results with masks of the boxes in place of the boxes."""
    sizes = {img["id"]: (img["height"], img["width"]) for img in document["images"]}
    masked = []
    for result in results:
        x, y, w, h = result.pop("bbox")
        rectangle = [[x, y, x + w, y, x + w, y + h, x, y + h]]
        (encoded,) = mask.frPyObjects(rectangle, *sizes[result["image_id"]])
        masked.append({**result, "segmentation": encoded | {"counts": encoded["counts"].decode()}})
    return masked


@pytest.mark.parametrize("iou_type", ["bbox", "segm"])
@pytest.mark.parametrize("limit", [300, 20])
def test_real_annotations_with_generated_detections_equal_lvis(
    data_root: Path, monkeypatch: pytest.MonkeyPatch, limit: int, iou_type: str
) -> None:
    document = lvis_document(data_root)
    results = generated(document, limit)
    if iou_type == "segm":
        document["annotations"] = document["annotations"][::3]
        results = as_masks(results[::3], document)
    data = from_coco(document, results, masks=iou_type == "segm")
    assert sum("neg_category_ids" in item for item in data.target) == len(document["images"])
    metric = LVISAveragePrecision(
        box_format="xywh",
        iou_type=iou_type,
        max_detections_per_image=limit,
        frequencies=data.frequencies,
        class_names=data.categories,
    )
    for batch in data.batches(16):
        metric.update(*batch)
    expected = lvis_oracle.numbers(lvis_oracle.evaluated(monkeypatch, document, results, limit, iou_type))
    assert_agrees(metric.compute(), expected)
    assert metric.num_images == 100
    assert 0 < expected["map"] < 1
    assert 0 < expected["map_common"] != expected["map_frequent"] > 0


def test_arrays_of_precision_equal_those_of_lvis(data_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document = lvis_document(data_root)
    results = generated(document, 7)
    data = from_coco(document, results)
    metric = LVISAveragePrecision(box_format="xywh", class_names=data.categories, extended_summary=True)
    metric.update(data.preds, data.target)
    evaluation = lvis_oracle.evaluated(monkeypatch, document, results, 300, "bbox").eval
    result = metric.compute()
    for name in ("precision", "recall"):
        expected = torch.from_numpy(evaluation[name])  # (T, R, C, A), (T, C, A)
        assert (result[name][..., 0].nan_to_num(-1) - expected).abs().max() < 1e-10


# ------------------------------------------------------------------------------------------------------ by hand


def worked(**facts: list[int]) -> tuple[Item, Item]:
    """A target and its detection of class 0 at .5, and a stray of class 0 and one of class 1 at .9."""
    box, far = [0.0, 0.0, 10.0, 10.0], [50.0, 50.0, 60.0, 60.0]
    return image([(box, 0.5, 0), (far, 0.9, 0), (far, 0.9, 1)], [(box, 0)], **facts)


@pytest.mark.parametrize(
    ("facts", "limit", "expected"),
    [
        ({}, 300, 0.5),  # the stray of class 0 is a mistake, class 1 is not looked at: 1 of 2 at every recall
        ({"not_exhaustive_category_ids": [0]}, 300, 1.0),  # the stray may be an object that nobody labelled
        ({"not_exhaustive_category_ids": [0]}, 2, 0.0),  # both strays, of any class, come before the limit
        ({"neg_category_ids": [1]}, 300, 0.5),  # a mistake of a class without targets, which has no precision
    ],
)
def test_what_is_known_of_an_image(facts: dict[str, list[int]], limit: int, expected: float) -> None:
    preds, target = worked(**facts)
    metric = LVISAveragePrecision(max_detections_per_image=limit, class_metrics=True, frequencies={0: "r", 1: "c"})
    metric.update([preds], [target])
    result = metric.compute()
    assert result["map"].item() == pytest.approx(expected)
    assert result["map_rare"].item() == pytest.approx(expected)
    assert result["map_common"].isnan()
    assert result["map_frequent"].isnan()
    assert result["classes"].tolist() == [0, 1]


def test_a_verified_class_counts_in_other_images() -> None:
    """Class 1 has a target in one image, and a stray at .9 in another: a mistake where it is known to be absent."""
    box = [0.0, 0.0, 10.0, 10.0]
    found = image([(box, 0.5, 1)], [(box, 1)])
    for facts, expected in (({}, 1.0), ({"neg_category_ids": [1]}, 0.5), ({"pos_category_ids": [1]}, 0.5)):
        stray = image([(box, 0.9, 1)], [], **facts)
        metric = LVISAveragePrecision()
        metric.update([found[0], stray[0]], [found[1], stray[1]])
        assert metric.compute()["map"].item() == pytest.approx(expected)


def test_of_equal_scores_the_first_given_is_within_the_limit() -> None:
    box = [0.0, 0.0, 10.0, 10.0]
    for labels, expected in (([7, 3], 0.5), ([3, 7], 0.5)):
        preds, target = image([(box, 0.5, label) for label in labels], [(box, 3), (box, 7)])
        metric = LVISAveragePrecision(max_detections_per_image=1, class_metrics=True, class_names={3: "a", 7: "b"})
        metric.update([preds], [target])
        result = metric.compute()
        assert result["map"].item() == expected
        assert result[f"map/{'b' if labels[0] == 7 else 'a'}"].item() == 1


def test_facts_change_nothing_for_other_metrics_and_tell_images_apart() -> None:
    preds, target = federated_problem(3)[:2]
    plain = [{key: value for key, value in item.items() if "category_ids" not in key} for item in target]
    results = []
    for given in (target, plain):
        metric = MeanAveragePrecision(extended_summary=True)
        metric.update(preds, given)
        results.append(metric.compute())
    assert all(torch.equal(results[0][key].nan_to_num(-1), results[1][key].nan_to_num(-1)) for key in results[1])
    first, second = worked(neg_category_ids=[1]), worked(neg_category_ids=[2])
    metric = LVISAveragePrecision()
    metric.update([first[0], second[0]], [first[1] | {"image_id": 4}, second[1] | {"image_id": 4}])
    with pytest.raises(ValueError, match="two images with id 4 and other targets"):
        metric.compute()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.tensor([1.0]), r"^target\[1\]\['neg_category_ids'\]: expected an integer dtype, got torch.float32"),
        (torch.tensor([[1]]), r"^target\[1\]\['neg_category_ids'\]: expected shape \(K,\), .* got \(1, 1\)"),
        ([1], r"^target\[1\]\['neg_category_ids'\]: expected a tensor, got list"),
    ],
)
def test_wrong_facts_name_the_key_and_the_image(labels: Any, message: str) -> None:
    preds, target = worked(neg_category_ids=[1])
    metric = LVISAveragePrecision()
    with pytest.raises(ValueError, match=message):
        metric.update([preds, preds], [target, target | {"neg_category_ids": labels}])
    assert metric.update_count == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"frequencies": {1: "often"}}, r"^frequencies: expected a dict .* got 1: 'often'"),
        ({"frequencies": ["r"]}, r"^frequencies: expected a dict from label to one of"),
        ({"max_detections_per_image": 0}, r"^max_detections_per_image: expected a positive int, got 0"),
        ({"class_agnostic": True}, None),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], message: str | None) -> None:
    with pytest.raises(ValueError, match=message):
        LVISAveragePrecision(**arguments)
    metric = LVISAveragePrecision()
    with pytest.raises(ValueError, match=message or "^class_agnostic: expected False"):
        setattr(metric, *next(iter(arguments.items())))


def test_files_with_wrong_facts_name_the_entry() -> None:
    document = {
        "images": [{"id": 1, "neg_category_ids": [1]}, {"id": 2, "neg_category_ids": "none"}],
        "categories": [{"id": 1, "name": "cat", "frequency": "r"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 4, 4]}],
    }
    result = [{"image_id": 1, "category_id": 1, "bbox": [0, 0, 4, 4], "score": 0.5}]
    with pytest.raises(ValueError, match=r'images: entry 1: "neg_category_ids": expected a list of integers or str'):
        from_coco(document, result)
    document["images"][1]["neg_category_ids"] = [1, 99]  # 99 is not listed
    data = from_coco(document, result)
    assert [item["neg_category_ids"].tolist() for item in data.target] == [[1], [1]]
    assert data.frequencies == {1: "r"}
    written, _ = to_coco(data.preds, data.target, box_format="xywh", categories=data.categories)
    assert [row["neg_category_ids"] for row in written["images"]] == [[1], [1]]


@pytest.mark.parametrize("known", [False, True], ids=["fresh", "carried over"])
def test_some_of_the_images_are_evaluated_as_if_there_were_no_others(known: bool) -> None:
    for seed in range(12):
        preds, target, frequencies = federated_problem(seed, images=6)
        names = {label: str(label) for label in frequencies}
        settings = {"max_detections_per_image": 3, "frequencies": frequencies, "class_names": names}
        metric = LVISAveragePrecision(**settings)
        metric.update(preds, target)
        if known:
            metric.compute()
        kept = torch.arange(len(preds)) % 2 == 0
        result = lvis_results(metric.data().of_images(kept), metric.settings)
        alone = LVISAveragePrecision(**settings)
        alone.update(preds[::2], target[::2])
        expected = alone.compute()
        assert all(torch.equal(result[key].nan_to_num(-1), expected[key].nan_to_num(-1)) for key in expected)
