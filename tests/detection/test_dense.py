"""Problems that made matching slow: everything overlaps everything, and many classes with few boxes."""

from typing import Any

import pytest
import torch

from detmetrics import DetectionF1Score, MeanAveragePrecision
from detmetrics.functional import detection_f1_score, mean_average_precision
from detmetrics.match import greedy
from tests import oracle
from tests.problems import Item


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
