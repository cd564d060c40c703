"""Open Images: the reference's rules as a slow loop, hotcoco where it follows them, and worked cases."""

import contextlib
import io
import math
import random
import warnings
from typing import Any

import hotcoco
import pytest
import torch
from torchvision.ops import box_iou

from detmetrics import MeanAveragePrecision, MetricCollection, OpenImagesAveragePrecision
from detmetrics.match.hierarchy import ancestors
from tests.lvis_oracle import xywh
from tests.problems import Item, image, random_problem, with_facts
from tests.reference.open_images import above, average_precision

BOX, NEAR, FAR = [0.0, 0.0, 10.0, 10.0], [0.0, 1.0, 10.0, 11.0], [50.0, 50.0, 60.0, 60.0]


def problem_of(seed: int, images: int = 4) -> tuple[list[Item], list[Item], dict[int, list[int]]]:
    """A problem with ties, groups, facts, and a hierarchy in which a class may have several above it."""
    problem = random_problem(seed, images=images, image_ids=False, plain=True)
    rng = random.Random(f"open images {seed}")
    preds, target = problem.preds, with_facts(seed, problem.preds, problem.target)
    labels = sorted({label for items in (preds, target) for item in items for label in item["labels"].tolist()})
    top = [label for label in (1000, 1001, 1002) if label not in labels]
    order = labels + top
    parents = {
        label: rng.sample(order[i + 1 :], k=min(rng.choice([0, 1, 1, 2]), len(order) - i - 1))
        for i, label in enumerate(order)
        if rng.random() < 0.7
    }
    for item in preds:
        names = [sorted(above(label, parents)) for label in item["labels"].tolist()]
        chosen = [
            rng.choice(listed) if listed and rng.random() < 0.4 else label
            for label, listed in zip(item["labels"].tolist(), names, strict=True)
        ]
        item["labels"] = torch.tensor(chosen, dtype=torch.int64)
    for item in target:
        if "iscrowd" in item:
            item["is_group_of"] = item.pop("iscrowd")
    return preds, target, parents


def check(seed: int) -> float:
    preds, target, parents = problem_of(seed)
    threshold = random.Random(seed).choice([0.5, 0.5, 0.3, 1 / 3])
    expected = average_precision(preds, target, parents, threshold)
    hierarchy = parents or None
    metric = OpenImagesAveragePrecision(iou_threshold=threshold, hierarchy=hierarchy, class_metrics=True)
    metric.update(preds, target)
    result = metric.compute()
    found = dict(zip(result["classes"].tolist(), result["map_per_class"].tolist(), strict=True))
    assert {label for label, value in found.items() if not math.isnan(value)} == expected.keys()
    assert [found[label] for label in expected] == pytest.approx(list(expected.values()), rel=0, abs=1e-12)
    mean = sum(expected.values()) / len(expected) if expected else math.nan
    assert result["map"].item() == pytest.approx(mean, rel=0, abs=1e-12, nan_ok=True)
    return mean


def test_random_problems_equal_a_loop_over_boxes() -> None:
    assert sum(0 < check(seed) < 1 for seed in (*range(120), 365)) > 50


@pytest.mark.slow
def test_many_random_problems_equal_a_loop_over_boxes() -> None:
    assert sum(0 < check(seed) < 1 for seed in range(120, 4000)) > 1500


# ----------------------------------------------------------------------------------------------------------- hotcoco


def apart(target: list[Item]) -> list[Item]:
    """The targets that meet none before them, without facts and ignored ones: there hotcoco follows the reference."""
    kept = []
    for item in target:
        rows: list[int] = []
        boxes = item["boxes"].double().reshape(-1, 4)
        for i in range(len(boxes)):
            if not rows or box_iou(boxes[i : i + 1], boxes[rows]).max() == 0:
                rows.append(i)
        group = item.get("is_group_of", torch.zeros(len(boxes)))
        kept.append({"boxes": boxes[rows], "labels": item["labels"][rows], "is_group_of": group[rows]})
    return kept


def by_hotcoco(preds: list[Item], target: list[Item], parents: dict[int, list[int]], labels: list[int]) -> Any:
    """The average precision of each class with targets."""
    number = {label: i for i, label in enumerate(labels, start=1)}
    annotations = [
        {"image_id": i, "category_id": number[label], "bbox": box, "iscrowd": 0, "is_group_of": bool(group)}
        for i, item in enumerate(target, start=1)
        for label, box, group in zip(
            item["labels"].tolist(), xywh(item["boxes"]).tolist(), item["is_group_of"].tolist(), strict=True
        )
    ]
    entries = [{"id": i, "area": math.prod(entry["bbox"][2:]), **entry} for i, entry in enumerate(annotations, start=1)]
    results = [
        {"image_id": i, "category_id": number[label], "bbox": box, "score": score}
        for i, item in enumerate(preds, start=1)
        for label, box, score in zip(
            item["labels"].tolist(), xywh(item["boxes"]).tolist(), item["scores"].tolist(), strict=True
        )
    ]
    document = {
        "images": [{"id": i, "width": 9999, "height": 9999} for i in range(1, len(preds) + 1)],
        "categories": [{"id": i, "name": str(label)} for label, i in number.items()],
        "annotations": entries,
    }
    if not entries or not results:
        return None
    truth = hotcoco.COCO(document)
    above_each = {number[label]: number[listed[0]] for label, listed in parents.items()}
    hierarchy = hotcoco.Hierarchy.from_parent_map(above_each) if parents else None
    evaluation = hotcoco.COCOeval(truth, truth.load_res(results), "bbox", oid_style=True, hierarchy=hierarchy)
    evaluation.params.maxDets = [100_000]
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it reads no verified labels
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        found = evaluation.results(per_class=True)["per_class"]
    return {int(name): value for name, value in found.items() if value >= 0}


@pytest.mark.parametrize("groups", [False, True], ids=["objects", "groups"])
@pytest.mark.parametrize("hierarchy", [False, True], ids=["flat", "hierarchy"])
def test_objects_apart_equal_hotcoco(groups: bool, hierarchy: bool) -> None:
    between = 0
    for seed in range(60):
        preds, target, several = problem_of(seed)
        target = apart(target)
        if not groups:
            target = [item | {"is_group_of": torch.zeros(len(item["labels"]))} for item in target]
        parents = {label: listed[:1] for label, listed in several.items() if listed} if hierarchy else {}
        named = {x for item in (*preds, *target) for x in item["labels"].tolist()}
        labels = sorted(named | set(parents) | {x for listed in parents.values() for x in listed})
        expected = by_hotcoco(preds, target, parents, labels)
        if expected is None:
            continue
        verified = [item | {"neg_category_ids": torch.tensor(labels)} for item in target]
        metric = OpenImagesAveragePrecision(hierarchy=parents or None, class_metrics=True)
        metric.update(preds, verified)
        result = metric.compute()
        found = dict(zip(result["classes"].tolist(), result["map_per_class"].tolist(), strict=True))
        found = {label: value for label, value in found.items() if not math.isnan(value)}
        assert found.keys() == expected.keys()
        assert [found[label] for label in expected] == pytest.approx(list(expected.values()), rel=0, abs=1e-12)
        between += any(0 < value < 1 for value in found.values())
    assert between > 20


def test_a_detection_whose_object_is_taken_is_a_mistake_unlike_in_hotcoco() -> None:
    """Two objects a pixel apart; both detections overlap the first one most, and the second one by .5 and more."""
    preds, target = image([(BOX, 0.9, 0), ([0.0, 0.0, 10.0, 10.5], 0.8, 0)], [(BOX, 0), (NEAR, 0)])
    metric = OpenImagesAveragePrecision()
    metric.update([preds], [target])
    assert metric.compute()["map"].item() == 0.5
    assert by_hotcoco([preds], [target | {"is_group_of": torch.zeros(2)}], {}, [0]) == {0: 1.0}


# ------------------------------------------------------------------------------------------------------------ by hand


def value_of(pairs: list[tuple[Item, Item]], **settings: Any) -> float:
    metric = OpenImagesAveragePrecision(**settings)
    metric.update([preds for preds, _ in pairs], [target for _, target in pairs])
    return metric.compute()["map"].item()


def test_a_group_counts_once_and_may_be_missed() -> None:
    inside = [[float(x), 0.0, x + 5.0, 5.0] for x in (0, 10, 20)]
    group = [([0.0, 0.0, 40.0, 40.0], 0)]
    found = image([(box, score, 0) for box, score in zip(inside, (0.9, 0.8, 0.7), strict=True)], group, is_group_of=[1])
    assert value_of([found]) == 1
    missed = image([(FAR, 0.9, 0)], group, is_group_of=[1])
    assert value_of([missed]) == 0
    # The better half of two targets, and a stray between the detections in the group, which does not count either way.
    assert value_of([found, missed]) == pytest.approx(0.5)
    half_out = image([([30.0, 0.0, 50.0, 10.0], 0.9, 0)], group, is_group_of=[1])
    assert value_of([half_out]) == 1  # half of its area, at the threshold
    assert value_of([half_out], iou_threshold=0.51) == 0


def test_verified_labels_decide_what_counts() -> None:
    """Class 1 is found in one image, and predicted at .9 in another where nothing is said about it at first."""
    found = image([(BOX, 0.5, 1)], [(BOX, 1)])
    for facts, expected in (({}, 1.0), ({"neg_category_ids": [1]}, 0.5), ({"pos_category_ids": [1]}, 0.5)):
        assert value_of([found, image([(BOX, 0.9, 1)], [], **facts)]) == expected
    # What is absent is so with all below it; what is present is so with all above it. Class 7 is never predicted: 0.
    found = image([(BOX, 0.5, 2)], [(BOX, 2)])
    for facts, of_class_2 in (({"neg_category_ids": [7]}, 1 / 2), ({"pos_category_ids": [7]}, 1)):
        stray = image([(FAR, 0.9, 2)], [], **facts)
        assert value_of([found, stray], hierarchy={2: 7}) == pytest.approx((of_class_2 + 0) / 2)


def test_a_class_to_which_two_ways_lead_counts_once() -> None:
    parents = {1: [2, 3], 2: [4], 3: [4]}
    preds, target = image([(BOX, 0.9, 4)], [(BOX, 1)])
    metric = OpenImagesAveragePrecision(hierarchy=parents, class_metrics=True)
    metric.update([preds], [target])
    result = metric.compute()
    assert result["classes"].tolist() == metric.classes.tolist() == [1, 2, 3, 4]
    assert result["map_per_class"].tolist() == [0, 0, 0, 1]
    assert ancestors(parents) == {1: (2, 3, 4), 2: (4,), 3: (4,)}


TREE = {
    "LabelName": "/m/0bl9f",
    "Subcategory": [
        {"LabelName": "animal", "Subcategory": [{"LabelName": "dog"}, {"LabelName": "cat", "Part": [{}]}]},
        {"LabelName": "car"},
    ],
}


def test_the_published_tree_is_a_hierarchy() -> None:
    metric = OpenImagesAveragePrecision(class_names=["dog", "animal", "cat"], hierarchy=TREE, class_metrics=True)
    assert metric.hierarchy == {0: (1,), 2: (1,)}
    preds, target = image([(BOX, 0.9, 1), (BOX, 0.8, 0)], [(BOX, 0)])
    metric.update([preds], [target])
    result = {key: value.item() for key, value in metric.compute().items()}
    assert result["map"] == result["map/dog"] == result["map/animal"] == 1
    assert math.isnan(result["map/cat"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hierarchy": {1: 1}}, "^hierarchy: expected no class above itself, got 1 above 1"),
        ({"hierarchy": {1: 2, 2: 3, 3: 1}}, "^hierarchy: expected no class above itself, got 1 above 1"),
        ({"hierarchy": {1: "animal"}}, "^hierarchy: expected a dict from label .*, got 1: 'animal'"),
        ({"hierarchy": [1, 2]}, "^hierarchy: expected a dict from label"),
        ({"hierarchy": {0: 5}, "num_classes": 3}, r"^hierarchy: expected labels that are declared, got \[5\]"),
        ({"hierarchy": TREE}, "^hierarchy: expected class_names with a tree of names, got None"),
        ({"hierarchy": TREE, "class_names": ["a"]}, "^hierarchy: expected names of the declared classes, .*'animal'"),
        ({"hierarchy": {"Subcategory": [{}]}, "num_classes": 1}, "^hierarchy: expected nodes with a name under"),
        ({"hierarchy": {1: 2}, "pairs": "same"}, "^pairs: expected 'all', which OpenImagesAveragePrecision asks about"),
    ],
)
def test_wrong_hierarchies(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        OpenImagesAveragePrecision(**settings)


def test_a_state_with_all_pairs_answers_for_any_hierarchy_and_is_shared() -> None:
    preds, target, parents = problem_of(7)
    flat, tree = OpenImagesAveragePrecision(pairs="all"), OpenImagesAveragePrecision(hierarchy=parents)
    collection = MetricCollection({"flat": flat, "tree": tree, "coco": MeanAveragePrecision(pairs="all")})
    collection.update(preds, target)
    assert len(collection.compute_groups) == 1
    results = collection.compute()
    alone = OpenImagesAveragePrecision(hierarchy=parents)
    alone.update(preds, target)
    assert results["tree_map"] == alone.compute()["map"] != results["flat_map"]
    flat.hierarchy = parents
    assert flat.compute()["map"] == results["tree_map"]
