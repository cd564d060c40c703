"""The pictures of each kind of metric."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from detmetrics import (
    ClassificationReport,
    DetectionCurves,
    DetectionF1Score,
    DetectionFBetaScore,
    DetectionRecall,
    DetectionReport,
    MeanAveragePrecision,
    SegmentationConfusionMatrix,
    SegmentationF1Score,
    SegmentationIoU,
    SegmentationReport,
)
from tests.show.drawn import bars, data, detections, fed, rendered, texts, ticks


def test_average_precision_computes_what_a_picture_needs() -> None:
    metric = fed(MeanAveragePrecision(class_names=["cat", "dog", "bird"]), *detections(3, empty=1))
    results = metric.compute()
    _, ax = metric.plot(kind="classes")
    full = fed(MeanAveragePrecision(class_names=["cat", "dog", "bird"], class_metrics=True), *detections(3, empty=1))
    expected = {name: full.compute()[f"map/{name}"].item() for name in ("cat", "bird")}
    ranked = sorted(expected, key=lambda name: -expected[name])
    assert ticks(ax.yaxis) == [*ranked, "dog"]
    assert bars(ax) == [*(expected[name] for name in ranked), 0.0]
    labels = torch.cat([item["labels"][~item["iscrowd"]] for item in detections(3, empty=1)[1]])
    counted = dict(zip(["cat", "dog", "bird"], labels.bincount(minlength=3).tolist(), strict=True))
    assert texts(ax)[2:] == ["undefined", *(str(counted[name]) for name in [*ranked, "dog"]), "support"]
    assert ax.get_xlabel().startswith("Average precision, IoU 0.50 to 0.95 (dashed: mean")
    assert (metric.class_metrics, metric.extended_summary) == (False, False)
    assert list(metric.compute()) == list(results)
    _, ax = metric.plot(full.compute(), kind="classes")
    assert texts(ax)[-1] == "undefined"  # no support, which is not in the results
    _, ax = metric.plot(kind="precision_recall")
    assert len(ax.get_lines()) == 10
    _, ax = metric.plot()
    numbers = ["undefined" if math.isnan(v) else f"{v:.3f}" for v in map(float, results.values())]
    assert texts(ax) == numbers
    assert ticks(ax.yaxis)[:4] == ["AP", "AP50", "AP75", "AP small"]


def test_average_precision_says_which_argument_gives_what_a_picture_needs() -> None:
    metric = fed(MeanAveragePrecision(), *detections(2))
    results = metric.compute()
    for val in (results, [results]):
        with pytest.raises(ValueError, match=r"val: expected results for each class \(class_metrics=True\)"):
            metric.plot(val, kind="classes")
        with pytest.raises(ValueError, match=r"val: expected the arrays \(extended_summary=True\)"):
            metric.plot(val, kind="precision_recall")
    with pytest.raises(ValueError, match=r"kind: expected one of .*, got 'pie'"):
        metric.plot(kind="pie")
    with pytest.raises(ValueError, match=r"iou_type: expected one of \('bbox',\), got 'segm'"):
        metric.plot(iou_type="segm")


def test_average_precision_draws_histories_of_each_kind() -> None:
    metric = MeanAveragePrecision(class_metrics=True, extended_summary=True, iou_thresholds=[0.5, 0.75])
    results = fed(metric, *detections(2)).compute()
    keys = {}
    for kind in ("summary", "classes", "sizes", "precision_recall"):
        _, ax = metric.plot([results, results], kind=kind)
        keys[kind] = {line.get_label(): data(line)[1] for line in ax.get_lines()}
    assert list(keys["summary"]) == [key for key, value in results.items() if value.numel() == 1 and key != "classes"]
    assert keys["classes"] == {str(i): [v] * 2 for i, v in enumerate(results["map_per_class"].tolist())}
    assert keys["sizes"]["AR all"] == [results["mar_100"].item()] * 2
    assert keys["precision_recall"]["IoU 0.75"] == [pytest.approx(results["map_75"].item())] * 2


def test_average_precision_of_several_types_draws_one_of_them() -> None:
    masks = torch.zeros(2, 20, 20)
    masks[0, :10, :10] = masks[1, 5:, 5:] = 1
    boxes = torch.tensor([[0.0, 0, 10, 10], [5, 5, 20, 20]])
    labels, scores = torch.tensor([0, 1]), torch.tensor([0.9, 0.8])
    metric = MeanAveragePrecision(iou_type=("bbox", "segm"))
    metric.update(
        [{"boxes": boxes, "masks": masks, "labels": labels, "scores": scores}],
        [{"boxes": boxes, "masks": masks.roll(3, dims=2), "labels": labels}],
    )
    results = metric.compute()
    for iou_type, prefix in ((None, "bbox"), ("bbox", "bbox"), ("segm", "segm")):
        for val in (None, results):
            _, ax = metric.plot(val, iou_type=iou_type)
            assert texts(ax)[0] == f"{results[f'{prefix}_map'].item():.3f}"
        for kind in ("classes", "sizes", "precision_recall"):
            rendered(metric.plot(kind=kind, iou_type=iou_type)[0])
    assert results["bbox_map"] != results["segm_map"]


def test_curves_draw_each_kind_and_history() -> None:
    metric = fed(DetectionCurves(class_names={3: "cat", 0: "dog"}), *relabelled())
    result = metric.compute()
    _, ax = metric.plot()
    assert [line.get_label() for line in ax.get_lines()] == ["dog", "cat", "all classes"]
    _, ax = metric.plot(result, kind="score", name="cat")
    assert data(ax.get_lines()[-1])[1] == [result.best_f_beta[1].item()]
    _, ax = metric.plot([result] * 2)
    drawn = {line.get_label(): data(line)[1][0] for line in ax.get_lines()}
    assert drawn == dict(zip(["dog", "cat", "all classes"], result.average_precision.tolist(), strict=True))
    for name, i in ((None, -1), ("cat", 1)):
        _, ax = metric.plot([result] * 2, kind="score", name=name)
        drawn = {line.get_label(): data(line)[1][0] for line in ax.get_lines()}
        assert drawn["best_f1"] == result.best_f_beta[i].item()
        assert drawn["best_score_threshold"] == result.best_score_threshold[i].item()
    with pytest.raises(ValueError, match="kind: expected one of"):
        metric.plot(kind="roc")
    with pytest.raises(ValueError, match="name: expected None with kind='precision_recall'"):
        metric.plot(name="cat")
    for val in (None, [result]):
        with pytest.raises(ValueError, match="name: expected one of"):
            metric.plot(val, kind="score", name="cow")


def relabelled() -> tuple[Any, Any]:
    """Labels 0 and 3."""
    preds, target = detections(2)
    for item in (*preds, *target):
        item["labels"] = item["labels"] * 3
    return preds, target


@pytest.mark.parametrize("names", [None, ["cat", "dog", "bird"]])
def test_scores_by_class_are_bars_with_support(names: list[str] | None) -> None:
    settings: dict[str, Any] = {"num_classes": 3} if names is None else {"class_names": names}
    called = names or ["0", "1", "2"]
    batch = detections(3, empty=1)
    metric = fed(DetectionRecall(average="none", **settings), *batch)
    report = fed(DetectionReport(**settings), *batch).compute()
    counted = {name: int(report[f"support/{name}"]) for name in called}
    _, ax = metric.plot()
    ranked = sorted((called[0], called[2]), key=lambda name: -report[f"recall/{name}"])
    assert ticks(ax.yaxis) == [*ranked, called[1]]
    assert texts(ax)[2:] == ["undefined", *(str(counted[name]) for name in [*ranked, called[1]]), "support"]
    assert ax.get_xlabel().startswith("Recall (dashed")
    _, ax = metric.plot(metric.compute())
    assert len(texts(ax)) == 3
    _, ax = metric.plot([metric.compute()] * 2)
    assert [line.get_label() for line in ax.get_lines()] == called


@pytest.mark.parametrize("aggregate", ["dataset", "imagewise", "classwise"])
def test_segmentation_scores_by_class_are_bars_with_pixels(aggregate: str) -> None:
    target = torch.tensor([[0, 0, 0, 1, 255], [0, 1, 1, 1, 255]])
    preds = torch.tensor([[0, 0, 1, 1, 0], [0, 1, 1, 0, 2]])
    names = ["road", "sky", "cow"]
    average = "none" if aggregate != "imagewise" else "macro"
    metric = SegmentationIoU(class_names=names, average=average, aggregate=aggregate, ignore_index=255)
    _, ax = fed(metric, preds, target).plot()
    if average == "macro":
        assert data(ax.get_lines()[0]) == ([1], [metric.compute().item()])
        assert ax.get_ylabel() == "IoU"
        return
    assert set(ticks(ax.yaxis)[:2]) == {"road", "sky"}
    assert texts(ax)[2:] == ["undefined", "4", "4", "0", "support"]


def test_labels_tell_the_score() -> None:
    batch = detections(2)
    for metric, label in ((DetectionF1Score(), "F1"), (DetectionFBetaScore(beta=0.5), "F0.5")):
        assert fed(metric, *batch).plot()[1].get_ylabel() == label
    pixels = torch.tensor([[0, 1, 1]]), torch.tensor([[0, 0, 1]])
    assert fed(SegmentationF1Score(num_classes=2), *pixels).plot()[1].get_ylabel() == "F1"


@pytest.mark.parametrize("score", ["iou", "f1", "precision", "recall"])
def test_reports_draw_the_score_asked_for(score: str) -> None:
    pixels = torch.tensor([[0, 1, 1, 1]]), torch.tensor([[0, 0, 1, 1]])
    reports: list[Any] = [fed(SegmentationReport(class_names=["road", "sky"]), *pixels)]
    if score != "iou":
        reports.append(fed(ClassificationReport(target_names=["road", "sky"]), *(x.flatten() for x in pixels)))
        reports.append(fed(DetectionReport(class_names=["road", "sky"]), *detections(2)))
    for report in reports:
        results = report.compute()
        for val in (None, results):
            _, ax = report.plot(val, score=score)
            expected = sorted((results[f"{score}/{name}"].item() for name in ("road", "sky")), reverse=True)
            assert bars(ax) == expected
            support = [str(int(results[f"support/{name}"])) for name in ticks(ax.yaxis)]
            assert texts(ax)[2:] == [*support, "support"]
        _, ax = report.plot([results] * 2, score=score)
        lines = {line.get_label(): data(line)[1][0] for line in ax.get_lines()}
        assert lines == {key: results[key].item() for key in results if "/" not in key and score in key.split("_")}
        with pytest.raises(ValueError, match=r"score: expected one of .*, got 'auc'"):
            report.plot(score="auc")


def test_segmentation_matrices_of_every_task() -> None:
    cases: list[tuple[dict[str, Any], tuple[int, ...], list[str], int]] = [
        ({"class_names": ["road", "sky"]}, (), ["road", "sky"], 4),
        ({"task": "binary"}, (), ["background", "foreground"], 4),
        ({"task": "binary", "class_names": ["tree"]}, (), ["not tree", "tree"], 4),
        ({"task": "multilabel", "class_names": ["road", "sky", "cow"]}, (3,), ["road", "sky", "cow"], 12),
    ]
    for settings, channels, rows, num_texts in cases:
        target = torch.randint(2, (4, *channels, 5, 5), generator=torch.Generator().manual_seed(0))
        metric = fed(SegmentationConfusionMatrix(**settings), target.roll(1), target)
        _, ax = metric.plot()
        assert ticks(ax.yaxis) == rows
        assert len(texts(ax)) == num_texts
        matrix: Tensor = metric.compute()
        _, ax = metric.plot([matrix, matrix])
        share = matrix.diagonal(dim1=-2, dim2=-1).sum() / matrix.sum()
        assert data(ax.get_lines()[0])[1] == [pytest.approx(share.item())] * 2
        assert ax.get_ylabel() == "Share on the diagonal"
