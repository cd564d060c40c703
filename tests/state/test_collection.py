"""``MetricCollection``: shared states, one reading, results as torchmetrics makes them, pictures of any result.

That ranks make one gather for the whole collection is in ``detection/test_distributed.py``.
"""

from typing import Any

import matplotlib as mpl
import pytest
import torch
import torchmetrics

import detmetrics
from detmetrics import (
    DetectionConfusionMatrix,
    DetectionCurves,
    DetectionF1Score,
    DetectionReport,
    MeanAveragePrecision,
    MetricCollection,
    SegmentationF1Score,
    SegmentationIoU,
)
from tests.detection.test_laws import NAMES, assert_same_bits, detections

mpl.use("Agg")


def metrics() -> dict[str, Any]:
    return {
        "map": MeanAveragePrecision(pairs="all"),
        "f1": DetectionF1Score(pairs="all"),
        "loose": DetectionF1Score(pairs="all", iou_threshold=0.3),
        "matrix": DetectionConfusionMatrix(class_names=NAMES),
        "curves": DetectionCurves(pairs="all"),
        "report": DetectionReport(class_names=NAMES, pairs="all"),
    }


def fed(collection: Any, step: int = 2) -> Any:
    preds, target = detections(1, True)
    for start in range(0, len(preds), step):
        collection.update(preds[start : start + step], target[start : start + step])
    return collection


def test_it_is_one_of_torchmetrics_and_has_its_results() -> None:
    ours, theirs = MetricCollection(metrics(), prefix="val/"), torchmetrics.MetricCollection(metrics(), prefix="val/")
    assert isinstance(ours, torchmetrics.MetricCollection)
    found, expected = fed(ours).compute(), fed(theirs).compute()
    assert list(found) == list(expected)
    for key, value in expected.items():
        assert_same_bits(found[key], value)


def test_states_are_shared_from_the_start_by_what_their_rows_mean() -> None:
    collection = MetricCollection({**metrics(), "same": DetectionF1Score()})
    assert sorted(map(sorted, collection.compute_groups.values())) == [sorted(metrics()), ["same"]]
    pixels = MetricCollection([SegmentationIoU(num_classes=2), SegmentationF1Score(num_classes=2, average="micro")])
    assert len(pixels.compute_groups) == 1
    pixels.update(torch.tensor([[0, 1]]), torch.tensor([[0, 0]]))
    assert pixels.compute()["SegmentationF1Score"] == 0.5


def test_a_metric_that_has_seen_images_keeps_its_own_state() -> None:
    first = metrics()
    fed(first["f1"])
    collection = fed(MetricCollection(first))
    assert collection["f1"].update_count > collection["map"].update_count


def test_a_state_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    reads = []
    read = MeanAveragePrecision.read_state
    for kind in {type(metric) for metric in metrics().values()}:
        monkeypatch.setattr(kind, "read_state", lambda self: reads.append(1) or read(self))
    collection = fed(MetricCollection(metrics()))
    collection.compute()
    collection["report"].table()
    collection["f1"].per_image()
    assert len(reads) == 1


def test_metrics_of_torchmetrics_are_taken_too() -> None:
    collection = MetricCollection([SegmentationIoU(num_classes=3), torchmetrics.MeanMetric()], compute_groups=True)
    pixels = torch.tensor([[0, 1]])
    collection["SegmentationIoU"].update(pixels, pixels)
    collection["MeanMetric"].update(3.0)
    assert {key: value.item() for key, value in collection.compute().items()} == {"SegmentationIoU": 1, "MeanMetric": 3}


def test_update_forward_reset_and_clone_go_on() -> None:
    preds, target = detections(2, True)
    collection = MetricCollection(metrics())
    collection.update(preds[:1], target[:1])
    collection(preds[1:2], target[1:2])
    collection.update(preds[2:], target[2:])
    alone = DetectionF1Score(pairs="all")
    alone.update(preds, target)
    clone = collection.clone(prefix="test/")
    assert collection.compute()["f1"] == clone.compute()["test/f1"] == alone.compute()
    collection.reset()
    collection.update(preds[:1], target[:1])
    collection.compute()
    assert collection["map"].num_images == collection["f1"].num_images == 1


def test_without_groups_every_metric_has_its_own_state() -> None:
    collection = MetricCollection(metrics(), compute_groups=False)
    expected = fed(MetricCollection(metrics())).compute()
    for key, value in fed(collection).compute().items():
        assert_same_bits(value, expected[key])


@pytest.mark.parametrize("prefix", [None, "val/"])
def test_every_result_is_drawn(prefix: str | None) -> None:
    collection = fed(MetricCollection(metrics(), prefix=prefix))
    results = collection.compute()
    for val in (None, results):
        drawn = collection.plot(val)
        assert len(drawn) == len(metrics())
        assert all(axis.lines or axis.patches or axis.images for _, axis in drawn)
    history = collection.plot([results, results])
    assert all(len(line.get_xdata()) == 2 for _, axis in history for line in axis.get_lines())


def test_scalars_are_drawn_together() -> None:
    collection = fed(MetricCollection({"f1": DetectionF1Score(), "loose": DetectionF1Score(iou_threshold=0.3)}))
    _, axis = collection.plot([collection.compute()] * 3, together=True)
    assert sorted(line.get_label() for line in axis.get_lines()) == ["f1", "loose"]


def test_as_many_axes_as_metrics_are_needed() -> None:
    with pytest.raises(ValueError, match="ax: expected an axis for each of 6 metrics, got 1"):
        fed(MetricCollection(metrics())).plot(ax=[None])


def test_it_is_public() -> None:
    assert "MetricCollection" in detmetrics.__all__
