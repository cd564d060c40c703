"""Metrics that share: a state and an overlap pass in a ``MetricCollection``, and their images between ranks."""

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torchmetrics import MetricCollection

from detmetrics import (
    DetectionConfusionMatrix,
    DetectionCurves,
    DetectionF1Score,
    DetectionPrecision,
    DetectionRecall,
    DetectionReport,
    MeanAveragePrecision,
)
from detmetrics.detection import metric as detection_metric
from detmetrics.detection import operating_point, rows
from detmetrics.match import evaluation_data
from tests.detection.test_operating_point import mislabelled
from tests.problems import LABELS, Item, batch, hit, image, random_problem

NAMES = {label: str(label) for labels in LABELS for label in labels}  # all that random problems have


def metrics() -> dict[str, Any]:
    """All kinds, at different thresholds, with one state configuration."""
    return {
        "map": MeanAveragePrecision(pairs="all"),
        "precision": DetectionPrecision(pairs="all", iou_threshold=0.75),
        "recall": DetectionRecall(pairs="all", score_threshold=0.2),
        "f1": DetectionF1Score(pairs="all", average="macro"),
        "agnostic": DetectionF1Score(class_agnostic=True),
        "matrix": DetectionConfusionMatrix(class_names=NAMES),
        "curves": DetectionCurves(pairs="all", max_detections=3),
        "matched": DetectionReport(class_names=NAMES, matched_only=True),
    }


def data(seed: int) -> tuple[list[Item], list[Item]]:
    problem = random_problem(seed, images=9, image_ids=True, plain=True)
    return problem.preds, problem.target


def flat(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    return [x for child in (value.values() if isinstance(value, dict) else value) for x in flat(child)]


def assert_equal(result: Any, expected: Any) -> None:
    for one, other in zip(flat(result), flat(expected), strict=True):
        assert torch.equal(one.nan_to_num(-1), other.nan_to_num(-1))


def fed(metric: Any, preds: list[Item], target: list[Item]) -> Any:
    for i in range(len(preds)):
        metric.update(preds[i : i + 1], target[i : i + 1])
    return metric


@pytest.fixture
def overlap_passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one whenever overlaps are found; the entry is the number of images."""
    passes: list[int] = []
    settle = detection_metric.settle

    def counted(batch: Any, *args: Any) -> Any:
        passes.append(len(batch.images))
        return settle(batch, *args)

    monkeypatch.setattr(detection_metric, "settle", counted)
    return passes


def test_one_configuration_makes_one_overlap_pass(overlap_passes: list[int]) -> None:
    preds, target = data(1)
    collection = MetricCollection(metrics())
    collection.update(preds[:1], target[:1])  # groups are formed from the first batch
    collection.compute()
    overlap_passes.clear()
    fed(collection, preds[1:], target[1:]).compute()
    assert len(collection.compute_groups) == 1
    assert overlap_passes == [len(preds) - 1]


def test_metrics_of_one_state_read_it_once_and_decide_once(monkeypatch: pytest.MonkeyPatch) -> None:
    preds, target = data(1)
    point = {"pairs": "all", "score_threshold": 0.3}
    several = {
        "map": MeanAveragePrecision(pairs="all"),
        "precision": DetectionPrecision(**point),
        "recall": DetectionRecall(**point, average="macro"),
        "f1": DetectionF1Score(**point, aggregate="imagewise"),
        "report": DetectionReport(**point),
        "matrix": DetectionConfusionMatrix(class_names=NAMES, score_threshold=0.3),
    }
    collection = fed(MetricCollection(several), preds, target)
    calls = {name: counting(monkeypatch, *where) for name, where in WORK.items()}
    collection.compute()
    collection["f1"].per_image()
    assert calls == {"read": [1], "decide": [1]}
    collection["f1"].score_threshold = 0.4  # another question
    collection["f1"].compute()
    assert calls == {"read": [1], "decide": [2]}
    collection.update(preds, target)  # another state, also if all of its images are repeats
    with pytest.warns(UserWarning, match="seen again") as caught:
        collection.compute()
    assert len(caught) == 1  # for all that share the state
    assert calls == {"read": [2], "decide": [4]}


WORK = {"read": (rows, "read"), "decide": (operating_point, "decide")}


def counting(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> list[int]:
    calls, function = [0], getattr(module, name)

    def counted(*args: Any) -> Any:
        calls[0] += 1
        return function(*args)

    monkeypatch.setattr(module, name, counted)
    return calls


def test_matches_of_another_metric_serve_at_any_cut() -> None:
    """Those of all detections and many thresholds, made first, or those of the kept detections, made alone."""
    served = 0
    for seed in range(60):
        preds, target = mislabelled(seed)
        for settings in ({"iou_threshold": 0.75, "area_range": "small"}, {"max_detections": 1, "score_threshold": 0.6}):
            after_map = MetricCollection({"map": MeanAveragePrecision(), "report": DetectionReport(**settings)})
            found = fed(after_map, preds, target).compute()
            alone = fed(DetectionReport(**settings), preds, target).compute()
            for name, value in alone.items():
                assert torch.equal(found[name].nan_to_num(-1), value.nan_to_num(-1)), (seed, settings, name)
            served += bool(alone["recall_micro"] > 0)
    assert served > 60


def test_every_argument_asks_anew() -> None:
    """An answer that is kept for one question must not be given to another."""
    asked = {
        "score_threshold": (0.2, 0.6),
        "iou_threshold": (0.3, 0.7),
        "max_detections": (None, 1),
        "area_range": ("all", "small"),
    }
    differing: set[str] = set()
    for seed in range(20):
        preds, target = mislabelled(seed)
        metric = fed(DetectionReport(score_threshold=0.2, iou_threshold=0.3), preds, target)
        metric.compute()
        for name, (first, other) in asked.items():
            before = metric.compute()
            setattr(metric, name, other)
            settings = {"score_threshold": 0.2, "iou_threshold": 0.3, name: other}
            assert_equal(metric.compute(), fed(DetectionReport(**settings), preds, target).compute())
            if [x.item() for x in metric.compute().values()] != [x.item() for x in before.values()]:
                differing.add(name)
            setattr(metric, name, first)
    assert differing == set(asked)


def test_few_answers_are_kept() -> None:
    preds, target = data(6)
    metric = fed(MeanAveragePrecision(), preds, target)
    for percent in range(50, 90):
        metric.iou_thresholds = [percent / 100]
        metric.compute()
    assert 1 <= len(metric.data().memo.answers) <= evaluation_data.MOST_ANSWERS


def test_what_the_user_does_to_the_classes_changes_no_answer() -> None:
    preds, target = data(7)
    metric = fed(DetectionF1Score(average="none"), preds, target)
    expected = metric.compute()
    metric.compute()
    metric.classes += 100
    metric.zero_division = 0.0  # so that it is worked out again
    assert_equal(metric.compute(), torch.nan_to_num(expected, 0.0))


def test_what_was_read_goes_with_the_state() -> None:
    for images in (1, 9):  # of one image a column is a view of all
        preds, target = data(4)
        metric = fed(DetectionF1Score(), preds[:images], target[:images])
        metric.compute()
        reading = weakref.ref(metric.data())
        assert reading() is metric.data()
        metric.reset()
        gc.collect()
        assert reading() is None


def test_a_copy_shares_what_was_read_until_it_is_updated() -> None:
    preds, target = data(5)
    metric = fed(DetectionPrecision(score_threshold=0.0), preds, target)
    before = metric.compute()
    clone = metric.clone()
    assert clone.data() is metric.data()
    clone.update(*batch(hit(0)))
    assert clone.data() is not metric.data()
    assert_equal(metric.compute(), before)
    assert clone.num_images == metric.num_images + 1


@pytest.mark.parametrize("compute_groups", [True, False])
def test_sharing_changes_no_result(compute_groups: bool) -> None:
    for seed in range(4):
        preds, target = data(seed)
        collection = fed(MetricCollection(metrics(), compute_groups=compute_groups), preds, target)
        collection.compute()
        assert len(collection.compute_groups) == (1 if compute_groups else 0)
        for name, alone in metrics().items():
            assert_equal(collection[name].compute(), fed(alone, preds, target).compute())


def test_other_configurations_never_share() -> None:
    """Also when their first batches look alike: here they are all empty, or hold the same one overlap."""
    others = {
        "same": DetectionF1Score(),
        "all": DetectionF1Score(pairs="all"),
        "floor": DetectionF1Score(iou_threshold=0.05),
        "format": DetectionF1Score(box_format="xywh"),
    }
    for first in (([], []), batch(hit(0))):
        collection = MetricCollection(others)
        collection.reset()
        collection.update(*first)
        collection.update(*batch(image([([0, 0, 8, 8], 0.9, 1)], [([0, 0, 8, 8], 0), ([0, 0, 8, 80], 1)])))
        collection.compute()
        assert len(collection.compute_groups) == 4


def test_other_questions_share_although_their_answers_differ() -> None:
    collection = MetricCollection(
        {"low": DetectionRecall(score_threshold=0.2), "high": DetectionRecall(score_threshold=0.95)}
    )
    collection.update(*batch(hit(0)))
    collection.update(*batch(hit(1)))
    assert {name: value.item() for name, value in collection.compute().items()} == {"low": 1, "high": 0}
    assert len(collection.compute_groups) == 1


@pytest.mark.parametrize("compute_groups", [True, False])
def test_prefix_clone_and_reset(compute_groups: bool) -> None:
    preds, target = data(2)
    scalars = {name: metric for name, metric in metrics().items() if name in ("map", "precision", "recall", "f1")}
    collection = MetricCollection(scalars, prefix="val/", compute_groups=compute_groups)
    expected = {
        f"val/{key}": value for key, value in fed(MetricCollection(scalars), preds, target).clone().compute().items()
    }
    for metric in scalars.values():
        metric.reset()
    clone = fed(collection, preds[:2], target[:2]).clone(prefix="test/")
    fed(collection, preds[2:], target[2:])
    found = collection.compute()
    assert list(found) == list(expected)
    assert_equal(found, expected)
    fed(clone, preds[2:], target[2:])
    assert_equal(clone.compute(), expected)
    collection.reset()
    collection.update(*batch(hit(0)))
    assert collection.compute()["val/recall"] == 1
    assert collection["f1"].num_images == 1


def test_a_state_with_pairs_of_all_classes_gives_the_same_results() -> None:
    """Detections of other classes lie on the targets, and are kept out of what is asked by class."""
    differing = 0
    for seed in range(40):
        preds, target = mislabelled(seed)
        for kind in (MeanAveragePrecision, DetectionF1Score, DetectionCurves, DetectionReport):
            same, every = fed(kind(pairs="same"), preds, target), fed(kind(pairs="all"), preds, target)
            assert_equal(every.compute(), same.compute())
            differing += num_overlaps(every) > num_overlaps(same)
    assert differing > 20


def num_overlaps(metric: Any) -> int:
    return sum(len(chunk) for name, chunks in metric.metric_state.items() if "overlaps" in name for chunk in chunks)


def test_per_image_results_come_from_a_shared_state() -> None:
    preds, target = data(3)
    collection = fed(MetricCollection(metrics()), preds, target)
    expected = fed(DetectionF1Score(pairs="all", average="macro"), preds, target).per_image()
    assert_equal(collection["f1"].per_image(), expected)


def test_predictions_without_scores_stop_at_what_needs_them() -> None:
    preds, target = batch(hit(0))
    del preds[0]["scores"]
    for order in (["f1", "map"], ["map", "f1"]):
        both = {"f1": DetectionF1Score(), "map": MeanAveragePrecision()}
        collection = MetricCollection([both[name] for name in order])
        with pytest.raises(ValueError, match=r"preds\[0\].*'scores'"):
            collection.update(preds, target)


@pytest.mark.parametrize("size", [2, 3])
def test_ranks_together_give_the_bits_of_one(world: Callable[[int], list[dict[str, Any]]], size: int) -> None:
    """Images go over the ranks as a sampler hands them out, repeats included."""
    for rank in world(size):
        for shared, alone in rank["every kind of metric"]:
            assert_equal(shared, alone)
