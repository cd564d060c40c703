"""An update that raises, wherever that is, has changed nothing: the same update once more counts once."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch

from detmetrics import (
    ClassificationReport,
    DetectionF1Score,
    MeanAveragePrecision,
    MetricCollection,
    SegmentationIoU,
)
from detmetrics.detection import metric as detection_metric
from detmetrics.overlap import boundary, boxes, masks
from detmetrics.segmentation.counting import Counting
from detmetrics.state.rows import Chunks
from tests.problems import mask_problem, random_problem

LABELS = torch.tensor([[0, 1, 1], [2, 0, 1]])
SCORES = torch.tensor([[0.9, 0.2, 0.6], [0.1, 0.7, 0.5]])


class Case(NamedTuple):
    make: Callable[[], Any]
    updates: list[tuple[Any, ...]]  # the arguments of each
    where: Any  # what holds the function that fails
    name: str


def _detection(problem: Callable[..., Any], where: Any, name: str, **settings: Any) -> Case:
    data = [problem(seed, images=4, image_ids=False, plain=True) for seed in (1, 2)]
    updates = [(each.preds, each.target) for each in data]
    return Case(lambda: MeanAveragePrecision(**settings), updates, where, name)


def _counting(metric: Any, updates: list[tuple[Any, ...]], where: Any, name: str) -> Case:
    return Case(metric, updates, where, name)


MAPS = [(LABELS, LABELS.flip(0)), (LABELS.flip(1), LABELS)]
MAPS_WITH_IDS = [(*pair, ids) for pair, ids in zip(MAPS, ([1, 2], [3, 4]), strict=True)]
SAMPLES = [(SCORES, LABELS.clamp(max=1)), (SCORES, LABELS.flip(0).clamp(max=1))]
CASES = {
    "overlaps of boxes": _detection(random_problem, boxes, "find_overlaps"),
    "overlaps of masks": _detection(mask_problem, masks, "mask_iou", iou_type="segm"),
    "overlaps of boundaries": _detection(mask_problem, boundary, "mask_iou", iou_type="boundary"),
    "the second similarity": _detection(mask_problem, boundary, "mask_iou", iou_type=("segm", "boundary")),
    "settling": _detection(random_problem, detection_metric, "settle"),
    "counting of pixels": _counting(lambda: SegmentationIoU(num_classes=3), MAPS, Counting, "count"),
    "counting of images": _counting(lambda: SegmentationIoU(num_classes=3), MAPS_WITH_IDS, Counting, "count"),
    "counting of samples": _counting(
        lambda: ClassificationReport(task="multilabel", num_classes=3), SAMPLES, Counting, "count"
    ),
    "rows of boxes": _detection(random_problem, Chunks, "append"),
    "rows of masks": _detection(mask_problem, Chunks, "append", iou_type=("segm", "boundary")),
    "rows of images": _counting(lambda: SegmentationIoU(num_classes=3), MAPS_WITH_IDS, Chunks, "append"),
    "totals of pixels": _counting(lambda: SegmentationIoU(num_classes=3), MAPS, SegmentationIoU, "add"),
    "totals of samples": _counting(
        lambda: ClassificationReport(task="multilabel", num_classes=3), SAMPLES, ClassificationReport, "add"
    ),
    "a collection": Case(
        lambda: MetricCollection([MeanAveragePrecision(), DetectionF1Score()]),
        _detection(random_problem, None, "").updates,
        boxes,
        "find_overlaps",
    ),
}
ERRORS = [torch.cuda.OutOfMemoryError("CUDA out of memory"), RuntimeError("no kernel"), KeyboardInterrupt()]


def failing_after(function: Any, calls: int, error: BaseException) -> Any:
    """The function, which does its work some times, and then does it and raises."""
    left = [calls]

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        left[0] -= 1
        result = function(*args, **kwargs)
        if left[0] < 0:
            raise error
        return result

    return wrapped


def states(metric: Any) -> list[Any]:
    members = metric.values(copy_state=False) if isinstance(metric, MetricCollection) else [metric]
    return [
        [chunk.tolist() for chunk in value] if isinstance(value, list) else value.tolist()
        for member in members
        for value in member.metric_state.values()
    ]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("name", CASES)
def test_an_update_that_raises_has_changed_nothing(
    name: str, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each call of the function that an update makes fails once."""
    monkeypatch.setattr(detection_metric, "SETTLE_AT", {"cpu": 1, "cuda": 1})  # so that overlaps are found at once
    case = CASES[name]
    expected = case.make()
    for arguments in case.updates:
        expected.update(*arguments)
    metric = case.make()
    first, second = case.updates
    metric.update(*first)
    before = states(metric)
    failures = 0
    for calls in range(20):
        with monkeypatch.context() as patch:
            patch.setattr(case.where, case.name, failing_after(getattr(case.where, case.name), calls, error))
            try:
                metric.update(*second)
                break
            except type(error):
                failures += 1
        assert states(metric) == before
    assert failures > 0
    assert states(metric) == states(expected)
    results, wanted = metric.compute(), expected.compute()
    if isinstance(results, torch.Tensor):
        results, wanted = {"": results}, {"": wanted}
    for key, value in wanted.items():
        assert torch.equal(results[key].nan_to_num(-1), value.nan_to_num(-1)), key


def test_a_result_is_kept_over_an_update_that_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    case = CASES["rows of masks"]
    metric = case.make()
    metric.update(*case.updates[0])
    metric.compute()
    version = metric.version()
    with monkeypatch.context() as patch:
        patch.setattr(Chunks, "append", failing_after(Chunks.append, 3, MemoryError()))
        with pytest.raises(MemoryError):
            metric.update(*case.updates[1])
    assert metric.version() == version
    assert metric.update_count == 1
