"""Curves: lines against the results, labels, limits, texts, and what is not defined."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb

from detmetrics import (
    DetectionCurves,
    DetectionF1Score,
    DetectionPrecision,
    DetectionRecall,
    MeanAveragePrecision,
    plot,
)
from detmetrics.show.plot import drawing
from detmetrics.show.plot.curves import MOST_POINTS, _thinned
from tests.show.drawn import MANY, NAN, curve, curves_of, data, detections, fed, legend, rendered, texts


def test_precision_recall_draws_the_curves_and_their_areas() -> None:
    curves = curves_of(3)
    _, ax = plot.precision_recall(curves, ["cat", "dog", "bird"])
    lines = ax.get_lines()
    assert [line.get_label() for line in lines] == ["cat", "dog", "bird", "all classes"]
    for i, line in enumerate(lines):
        x, y = data(line)
        assert x == [0.0, *curve(curves, "recall", i)]
        assert y == [curve(curves, "precision", i)[0], *curve(curves, "precision", i)]
        assert line.get_drawstyle() == "steps-pre"  # a height holds down to the point before
        area = sum(height * (right - left) for left, right, height in zip(x, x[1:], y[1:], strict=False))
        assert area == pytest.approx(curves.average_precision[i].item())
    areas = [f"{value:.3f}" for value in curves.average_precision.tolist()]
    assert legend(ax) == [f"{name}: {a}" for name, a in zip(["cat", "dog", "bird", "all classes"], areas, strict=True)]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Recall", "Precision")
    assert (ax.get_xlim(), ax.get_ylim()) == ((0, 1.02), (0, 1.02))
    assert lines[-1].get_linewidth() > max(line.get_linewidth() for line in lines[:-1])


def test_precision_recall_of_many_classes_names_the_best_and_the_worst() -> None:
    curves = curves_of(80)
    _, ax = plot.precision_recall(curves, MANY)
    *lines, pooled = ax.get_lines()
    assert len(lines) == 80
    areas = curves.average_precision[:-1].tolist()
    ranked = sorted((i for i in range(80) if areas[i] == areas[i]), key=lambda i: -areas[i])
    shown = ranked[:3] + ranked[-3:]
    assert [entry.rpartition(": ")[0] for entry in legend(ax)] == [*(MANY[i] for i in shown), "all classes"]
    assert ax.get_legend().get_title().get_text() == "Area below (AP), best and worst of 80"
    grey = {i for i, line in enumerate(lines) if line.get_color() == drawing.GREY}
    assert grey == set(range(80)) - set(shown)
    assert {lines[i].get_linewidth() for i in grey} == {0.6}
    assert pooled.get_color() == "black"


def test_precision_recall_of_a_class_without_targets_draws_nothing_and_says_so() -> None:
    curves = curves_of(3, empty=1)
    fig, ax = plot.precision_recall(curves)
    assert all(map(math.isnan, data(ax.get_lines()[1])[0][1:]))
    assert legend(ax)[1] == "1: undefined"
    assert texts(ax) == []
    rendered(fig)


def test_precision_recall_of_a_class_that_is_never_predicted_is_empty_with_ap_0() -> None:
    curves = curves_of(3)
    preds, target = detections(3)
    for item in preds:
        item |= {key: item[key][item["labels"] != 2] for key in ("boxes", "scores", "labels")}
    curves = fed(DetectionCurves(num_classes=3), preds, target).compute()
    _, ax = plot.precision_recall(curves)
    assert data(ax.get_lines()[2]) == ([], [])
    assert legend(ax)[2] == "2: 0.000"


@pytest.mark.parametrize("num_classes", [0, 2])
def test_curves_of_nothing_say_so(num_classes: int) -> None:
    metric = DetectionCurves(num_classes=num_classes) if num_classes else DetectionCurves()
    curves = fed(metric, [], []).compute()
    for fig, ax in (plot.precision_recall(curves), plot.score_curves(curves)):
        assert texts(ax) == ["no targets or no detections"]
        assert (ax.get_xlim(), ax.get_ylim()) == ((0, 1.02), (0, 1.02))
        rendered(fig)


def test_names_must_fit_the_classes() -> None:
    curves = curves_of(3)
    with pytest.raises(ValueError, match="names: expected 3, one per class, got 2"):
        plot.precision_recall(curves, ["a", "b"])
    with pytest.raises(ValueError, match=r"name: expected one of \('a', 'b', 'c'\), got 'd'"):
        plot.score_curves(curves, "d", ["a", "b", "c"])


def test_a_long_line_is_thinned_where_nobody_sees_it() -> None:
    x = torch.linspace(0, 1, 200_000, dtype=torch.float64)
    y = 1 - x**2 + 0.0001 * torch.rand(len(x), generator=torch.Generator().manual_seed(0))
    few_x, few_y = _thinned(x, y)
    assert len(few_x) < 10_000
    assert (few_x[0], few_x[-1], few_y[-1]) == (0.0, 1.0, y[-1].item())
    drawn = np.interp(x.numpy(), few_x, few_y)
    assert np.abs(drawn - y.numpy()).max() < 0.003
    assert _thinned(x[:MOST_POINTS], y[:MOST_POINTS])[1] == y[:MOST_POINTS].tolist()


def at_threshold(line: Any, threshold: float) -> float:
    """The height of a line of steps."""
    x, y = data(line)
    return next(height for right, height in zip(x, y, strict=True) if right >= threshold)


@pytest.mark.parametrize("name", [None, "1"])
def test_score_curves_say_what_the_metrics_give_at_each_threshold(name: str | None) -> None:
    batch = detections(3)
    curves = fed(DetectionCurves(num_classes=3), *batch).compute()
    _, ax = plot.score_curves(curves, name)
    i = 3 if name is None else int(name)
    f1, precision, recall, _ = ax.get_lines()
    between = torch.tensor(curve(curves, "scores", i)).unique()
    between = (between[1:] + between[:-1]) / 2
    for threshold in [0.0, *between[:: len(between) // 8].tolist(), *curve(curves, "scores", i)[:: len(between) // 3]]:
        for line, metric in ((f1, DetectionF1Score), (precision, DetectionPrecision), (recall, DetectionRecall)):
            average = "micro" if name is None else "none"
            value = fed(metric(num_classes=3, score_threshold=threshold, average=average), *batch).compute()
            assert at_threshold(line, threshold) == (value if name is None else value[i]).item()
    assert data(recall)[1][-1] == data(f1)[1][-1] == 0  # beyond the highest score
    assert math.isnan(data(precision)[1][-1])


@pytest.mark.parametrize("beta", [1.0, 2.0])
def test_score_curves_mark_the_best_point(beta: float) -> None:
    curves = curves_of(3, beta=beta)
    fig, ax = plot.score_curves(curves, "2")
    *lines, best = ax.get_lines()
    title = f"F{beta:g}"
    assert [line.get_label() for line in lines] == [title, "Precision", "Recall"]
    threshold, value = curves.best_score_threshold[2].item(), curves.best_f_beta[2].item()
    assert data(best) == ([threshold], [value])
    assert at_threshold(lines[0], threshold) == value == max(data(lines[0])[1])
    assert texts(ax) == [f"{title} {value:.3f} at {threshold:.3g}"]
    assert legend(ax) == [title, "Precision", "Recall", f"best {title}"]
    assert ax.get_legend().get_title().get_text() == "2"
    assert ax.get_xlabel() == "Score threshold (confidence)"
    assert (ax.get_xlim(), ax.get_ylim()) == ((0, 1.02), (0, 1.02))
    rendered(fig)


def test_score_curves_have_room_for_scores_that_are_no_fractions() -> None:
    preds, target = detections(2)
    for item in preds:
        item["scores"] = item["scores"].logit().clamp(-8, 8)
    curves = fed(DetectionCurves(), preds, target).compute()
    _, ax = plot.score_curves(curves)
    assert ax.get_xlim()[0] < curves.scores.min().item() < -1
    assert ax.get_xlim()[1] > curves.scores.max().item() > 1


def test_score_curves_mark_nothing_where_there_is_nothing_to_find() -> None:
    curves = curves_of(3, empty=1)
    _, ax = plot.score_curves(curves, "1")
    assert [line.get_label() for line in ax.get_lines()] == ["F1", "Precision", "Recall"]
    assert texts(ax) == ["no targets or no detections"]
    preds, target = detections(2)
    for item in preds:
        item["labels"] = 1 - item["labels"]
        item["boxes"] = item["boxes"] + 10_000
    _, ax = plot.score_curves(fed(DetectionCurves(), preds, target).compute())
    assert texts(ax) == ["nothing is found"]


def test_iou_fan_draws_the_mean_over_defined_classes() -> None:
    metric = fed(MeanAveragePrecision(extended_summary=True, num_classes=None), *detections(3, empty=1))
    precision = metric.compute()["precision"]  # (T, R, C, A, M)
    _, ax = plot.iou_fan(precision, metric.iou_thresholds, metric.rec_thresholds)
    assert [line.get_label() for line in ax.get_lines()] == [f"{t:.2f}" for t in metric.iou_thresholds]
    for line, values in zip(ax.get_lines(), np.nanmean(precision[..., 0, -1].numpy(), axis=2), strict=True):
        assert data(line)[0] == list(metric.rec_thresholds)
        np.testing.assert_allclose(data(line)[1], values, atol=1e-12)
    assert legend(ax)[0] == f"0.50: {metric.compute()['map_50'].item():.3f}"
    assert ax.get_legend().get_title().get_text() == "IoU threshold: AP"
    light = [np.dot(to_rgb(line.get_color()), [0.299, 0.587, 0.114]) for line in ax.get_lines()]
    assert light == sorted(light)


def test_iou_fan_checks_the_shape_and_draws_nan() -> None:
    with pytest.raises(ValueError, match=r"precision: expected \(2, 3, C, A, M\), got \(2, 2, 1, 1, 1\)"):
        plot.iou_fan(torch.zeros(2, 2, 1, 1, 1), [0.5, 0.6], [0, 0.5, 1])
    fig, ax = plot.iou_fan(torch.full((2, 3, 1, 1, 1), NAN), [0.5, 0.6], [0, 0.5, 1])
    assert texts(ax) == ["no targets"]
    assert legend(ax) == ["0.50: undefined", "0.60: undefined"]
    rendered(fig)
