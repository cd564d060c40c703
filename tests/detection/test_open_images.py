"""Open Images: the reference's rules as a slow loop, hotcoco where it follows them, and worked cases."""

import math
import random
from typing import Any

import hotcoco
import pytest
import torch

from detmetrics import MeanAveragePrecision, MetricCollection, OpenImagesAveragePrecision
from detmetrics.match.hierarchy import ancestors
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
        item.pop("area", None)
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
    assert sum(0 < check(seed) < 1 for seed in range(250)) > 100


@pytest.mark.slow
def test_many_random_problems_equal_a_loop_over_boxes() -> None:
    assert sum(0 < check(seed) < 1 for seed in range(250, 4000)) > 1500
