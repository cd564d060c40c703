"""LVIS: the numbers of the package lvis, what is known of an image, and the limit over all classes."""

import gzip
import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch

from detmetrics import LVISAveragePrecision, MeanAveragePrecision
from tests import lvis_oracle
from tests.problems import Item, Problem, image, random_problem

LETTERS = "rcf"


def federated_problem(seed: int, images: int = 4) -> tuple[list[Item], list[Item], dict[int, str]]:
    """A problem with ties, and classes that are absent, not exhaustively labelled, or neither; without crowds."""
    problem: Problem = random_problem(seed, images=images, image_ids=False, plain=True)
    rng = random.Random(f"federated {seed}")
    labels = sorted({label for items in (problem.preds, problem.target) for x in items for label in x["labels"].tolist()})
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
    assert sum(compare(seed, monkeypatch) for seed in range(60)) > 30


@pytest.mark.slow
def test_many_random_federated_problems_equal_lvis(monkeypatch: pytest.MonkeyPatch) -> None:
    assert sum(compare(seed, monkeypatch) for seed in range(60, 1500)) > 700
