"""Problems that made matching slow: everything overlaps everything, and many classes with few boxes."""

import subprocess
import sys
from typing import Any

import pytest
import torch

from detmetrics import DetectionF1Score, MeanAveragePrecision
from detmetrics.detection import rows, settle
from detmetrics.functional import detection_f1_score, mean_average_precision
from detmetrics.match import coco, greedy
from tests import oracle
from tests.problems import Item, random_problem


def dense(seed: int, detections: int, targets: int, crowds: bool = False) -> tuple[list[Item], list[Item]]:
    """One image; corners on a coarse grid, so that overlaps and scores tie."""
    generator = torch.Generator().manual_seed(seed)

    def around(count: int) -> torch.Tensor:
        corner = torch.randint(0, 12, (count, 2), generator=generator).double()
        return torch.cat([corner, corner + 40], dim=1)

    scores = torch.randint(1, 50, (detections,), generator=generator) / 50
    labels = [torch.zeros(count, dtype=torch.int64) for count in (detections, targets)]
    iscrowd = (torch.arange(targets) % 9 == 0) & crowds
    preds = [{"boxes": around(detections), "scores": scores, "labels": labels[0]}]
    return preds, [{"boxes": around(targets), "labels": labels[1], "iscrowd": iscrowd}]


@pytest.mark.parametrize("crowds", [False, True])
@pytest.mark.parametrize("sizes", [(300, 40), (250, 120)])
def test_dense_images_equal_pycocotools(sizes: tuple[int, int], crowds: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"max_detection_thresholds": [1, 100, 1000]}
    for seed in range(3):
        preds, target = dense(seed, *sizes, crowds)
        expected = oracle.evaluate(preds, target, **settings)
        for threshold in (1, greedy.DENSE, 1 << 40):  # one after the other, as it is, in parallel
            monkeypatch.setattr(greedy, "DENSE", threshold)
            result = mean_average_precision(preds, target, **settings, extended_summary=True)
            oracle.assert_agrees(result, expected)


def test_detections_beyond_the_limit_are_left_out_and_change_nothing() -> None:
    preds, target = dense(7, 400, 50)
    unlimited = mean_average_precision(preds, target, max_detection_thresholds=[100, 400], extended_summary=True)
    limited = mean_average_precision(preds, target, max_detection_thresholds=[100], extended_summary=True)
    assert torch.equal(limited["precision"][..., 0].nan_to_num(-1), unlimited["precision"][..., 0].nan_to_num(-1))


def test_matches_under_a_limit_serve_no_metric_without_one() -> None:
    preds, target = dense(8, 400, 50)
    expected = detection_f1_score(preds, target, score_threshold=0.0)
    average_precision, f1 = MeanAveragePrecision(), DetectionF1Score(score_threshold=0.0)
    average_precision.update(preds, target)
    average_precision.compute()
    f1.merge_state(average_precision.metric_state)
    assert f1.compute() == expected


def test_dense_groups_alone_are_matched_one_detection_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds over all overlaps would be as many as detections; an ordinary image beside it goes on in parallel."""
    rows: dict[str, int] = {}
    for name in ("_match_serially", "_match_in_parallel"):
        method = getattr(greedy, name)

        def counted(detection: torch.Tensor, *args: torch.Tensor, name: str = name, method: Any = method) -> Any:
            rows[name] = len(detection)
            return method(detection, *args)

        monkeypatch.setattr(greedy, name, counted)
    (few, many), targets = [dense(seed, *sizes) for seed, sizes in ((1, (30, 4)), (2, (600, 90)))], []
    preds, targets = [*few[0], *many[0]], [*few[1], *many[1]]
    detection_f1_score(preds, targets, score_threshold=0.0, iou_threshold=0.2)
    assert rows["_match_serially"] > greedy.DENSE > rows["_match_in_parallel"] > 0


# ---------------------------------------------------------------------------------------------- in parts, within memory


def plain(seed: int) -> tuple[list[Item], list[Item]]:
    """Images of several classes."""
    problems = [random_problem(100 * seed + i, image_ids=False, plain=True) for i in range(12)]
    return [item for each in problems for item in each.preds], [item for each in problems for item in each.target]


@pytest.mark.parametrize("most", [20, 60, 150])
def test_matching_part_by_part_gives_the_same_bits(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of a few overlaps, in images with crowds and ties and in others; 70 settings, more than a word holds."""
    thresholds, ranges = (
        [i / 14 for i in range(14)],
        [(0.0, 1e10), (0.0, 900.0), (900.0, 2000.0), (3.0, 4.0), (1.0, 99.0)],
    )
    for seed in range(6):
        preds, target = plain(seed) if seed % 2 else dense(seed, 60, 12, crowds=True)
        metric = DetectionF1Score(iou_threshold=0.05, pairs="all")
        metric.update(preds, target)
        data = metric.data()
        among = torch.rand(len(data.scores)) < 0.7
        for problem, kept in ((data, None), (data.same_class, None), (data.same_class, among), (data.merged, among)):
            monkeypatch.undo()
            whole = coco.match(problem, thresholds, ranges, kept)
            monkeypatch.setattr(coco, "BLOCK", most)
            parts = coco.match(problem, thresholds, ranges, kept)
            assert all(ours.equal(theirs) for ours, theirs in zip(parts, whole, strict=True))
            assert len(problem.iou) > 2 * most


def test_detections_left_out_are_as_if_they_had_no_overlaps() -> None:
    metric = DetectionF1Score()
    metric.update(*dense(3, 60, 12, crowds=True))
    data = metric.data().same_class
    among = torch.rand(len(data.scores)) < 0.5
    expected = coco.match(data.with_overlaps(among[data.overlap_detection]), [0.5], [(0.0, 1e10)])
    found = coco.match(data, [0.5], [(0.0, 1e10)], among)
    assert all(ours.equal(theirs) for ours, theirs in zip(found, expected, strict=True))


def test_states_made_part_by_part_have_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    preds, target = plain(11)
    states = []
    for most in (settle.BLOCK, 5):
        monkeypatch.setattr(settle, "BLOCK", most)
        metric = DetectionF1Score(pairs="all")
        metric.update(preds, target)
        states.append([metric.rows(f"bbox_{part}").clone() for part in rows.WIDTHS if metric.settle() is None])
    assert all(ours.equal(theirs) for ours, theirs in zip(*states, strict=True))
    assert len(states[0][-1]) > 50


MEASURE = """
import resource, torch
from detmetrics import {name} as Metric
def images(detections, targets):
    boxes, labels = torch.tensor([[0.0, 0, 50, 50]]), torch.zeros(detections + targets).long()
    sides = [{{"boxes": boxes.repeat(n, 1), "labels": labels[:n]}} for n in (detections, targets)]
    return [{{**sides[0], "scores": torch.rand(detections)}}], [sides[1]]

def computed(metric, *sizes):
    metric.update(*images(*sizes))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    metric.compute()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before

computed(Metric(), 9, 3)  # loads what is loaded at first use
print(computed(Metric(), 8000, 1000) * 1024 // 8_000_000)
"""


@pytest.mark.parametrize(("name", "most"), [("MeanAveragePrecision", 68), ("DetectionF1Score", 110)])
def test_equal_boxes_take_a_few_bytes_per_overlap(name: str, most: int) -> None:
    """8,000 detections on 1,000 targets in one place: 8 million overlaps, of 16 bytes each in the state.

    Average precision took 73 bytes for each, F1 145. Of 40 million the part that is worked on is a smaller share: they
    took 81 and 125, and take 45 and 49.
    """
    code = MEASURE.format(name=name)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=True)
    assert int(done.stdout) < most


def test_many_classes_need_no_array_over_them() -> None:
    """Each class has one box, found exactly: the mean over 13,204 classes is 1, for every threshold and area."""
    boxes = torch.tensor([[0.0, 0, 10, 10]]).repeat(100, 1) + 20.0 * torch.arange(100)[:, None]
    metric = MeanAveragePrecision(class_metrics=True)
    for start in range(0, 13_200, 100):
        labels = torch.arange(start, start + 100)
        target = [{"boxes": boxes, "labels": labels}]
        metric.update([{**target[0], "scores": torch.full((100,), 0.5)}], target)
    result = metric.compute()
    assert result["map"] == result["map_small"] == 1
    assert result["map_per_class"].shape == (13_200,)
