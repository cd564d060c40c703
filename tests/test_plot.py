"""What is drawn: lines against the results, labels, limits, order, texts, and what is not defined."""

import io
import itertools
import math
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
import torch
from matplotlib import font_manager, pyplot
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text
from torch import Tensor
from torchmetrics import MetricCollection

from detmetrics import (
    ClassificationReport,
    DetectionConfusionMatrix,
    DetectionCurves,
    DetectionF1Score,
    DetectionFBetaScore,
    DetectionPrecision,
    DetectionRecall,
    DetectionReport,
    MeanAveragePrecision,
    SegmentationConfusionMatrix,
    SegmentationF1Score,
    SegmentationIoU,
    SegmentationReport,
    demo,
    plot,
)
from detmetrics.detection.curves import ScoreCurves
from detmetrics.plot import drawing
from detmetrics.plot.curves import MOST_POINTS, _thinned
from detmetrics.plot.matrices import short_count
from tests.training import registry

NAN = math.nan
ODD = ["_a $very$ long name of a class, 12 % of it", "Straße Ж αβ $x_1$"]
MANY = [f"a class with number {i}" for i in range(80)]


@pytest.fixture(autouse=True)
def pyplot_as_it_was() -> Iterator[None]:
    """Every test draws without a display, and leaves no figure behind."""
    mpl.use("agg")
    yield
    assert pyplot.get_fignums() == []


def detections(num_classes: int, empty: int | None = None) -> tuple[Any, Any]:
    """Detections and targets; one class can be without targets."""
    preds, target = demo.generate(40, 20, num_classes, seed=3)
    for item in target:
        kept = item["labels"] != (-1 if empty is None else empty)
        item |= {key: item[key][kept] for key in ("boxes", "labels", "iscrowd")}
    return preds, target


def fed(metric: Any, *batch: Any) -> Any:
    metric.update(*batch)
    return metric


def curves_of(num_classes: int, empty: int | None = None, **settings: Any) -> ScoreCurves:
    settings = {"num_classes": num_classes, **settings}
    result: ScoreCurves = fed(DetectionCurves(**settings), *detections(num_classes, empty)).compute()
    return result


def curve(curves: ScoreCurves, column: str, i: int) -> list[float]:
    values: list[float] = getattr(curves, column)[curves.offsets[i] : curves.offsets[i + 1]].tolist()
    return values


def rendered(fig: Figure) -> bytes:
    """The picture; anything that warns fails the test."""
    buffer = io.BytesIO()
    fig.savefig(buffer, format="png")
    return buffer.getvalue()


def ticks(axis: Any) -> list[str]:
    return [text.get_text() for text in axis.get_ticklabels()]


def legend(ax: Any) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def texts(ax: Any) -> list[str]:
    return [text.get_text() for text in ax.texts]


def data(line: Any) -> tuple[list[float], list[float]]:
    return list(map(float, line.get_xdata())), list(map(float, line.get_ydata()))


# ------------------------------------------------------------------------------------------------- precision and recall


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
    with pytest.raises(ValueError, match="names: expected 3, one a class, got 2"):
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


# --------------------------------------------------------------------------------------------------------- score curves


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


# -------------------------------------------------------------------------------------------------------------- IoU fan


def test_iou_fan_draws_the_mean_over_defined_classes() -> None:
    metric = fed(MeanAveragePrecision(extended_summary=True, num_classes=None), *detections(3, empty=1))
    precision = metric.compute()["precision"]  # (T, R, C, A, M)
    _, ax = plot.iou_fan(precision, metric.iou_thresholds, metric.rec_thresholds)
    assert [line.get_label() for line in ax.get_lines()] == [f"{t:.2f}" for t in metric.iou_thresholds]
    for line, values in zip(ax.get_lines(), np.nanmean(precision[..., 0, -1].numpy(), axis=2), strict=True):
        assert data(line)[0] == metric.rec_thresholds
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


# ------------------------------------------------------------------------------------------------------------- matrices


def image(ax: Any) -> Any:
    """The colours' values, NaN where there is none."""
    (drawn,) = ax.images
    return drawn.get_array().filled(NAN)


def test_counts_are_written_and_coloured_by_their_share_of_the_row() -> None:
    matrix = torch.tensor([[90, 10, 100], [0, 0, 0], [7, 50_000, 0]])
    fig, ax = plot.confusion_matrix(matrix, ["cat", "dog"])
    assert texts(ax) == ["90", "10", "100", "0", "0", "0", "7", "50.0k"]  # nothing for background as background
    expected = [[0.45, 0.05, 0.5], [NAN, NAN, NAN], [7 / 50_007, 50_000 / 50_007, NAN]]
    np.testing.assert_allclose(image(ax), expected)
    assert ticks(ax.xaxis) == ticks(ax.yaxis) == ["cat", "dog", "background"]
    assert (ax.get_ylabel(), ax.get_xlabel()) == ("Target", "Prediction")
    assert ax.images[0].get_clim() == (0.0, 1.0)
    assert fig.axes[1].get_ylabel() == "Share of the row"
    assert ax.yaxis_inverted()  # the first class on top
    assert ax.images[0].to_rgba(image(ax))[1, :, 3].tolist() == [0, 0, 0]  # a row without targets shows the ground,
    assert ax.patch.get_hatch() == "////"  # which is no colour of the scale, in grey either
    assert {text.get_color() for text in ax.texts[3:6]} == {"black"}
    rendered(fig)


def test_text_stands_out_from_its_cell() -> None:
    _, ax = plot.confusion_matrix(torch.tensor([[100, 0], [30, 70]]), ["a", "b"])
    for text in ax.texts:
        column, row = text.get_position()
        colour = ax.images[0].to_rgba(image(ax))[int(row), int(column), :3]
        contrast = np.dot(colour, [0.299, 0.587, 0.114]) - np.dot(to_rgb(text.get_color()), [0.299, 0.587, 0.114])
        assert abs(contrast) >= 0.49


@pytest.mark.parametrize(("normalize", "top"), [("true", 1.0), ("pred", 1.0), ("all", None)])
def test_normalised_matrices_are_coloured_by_their_values(normalize: str, top: float | None) -> None:
    metric = fed(DetectionConfusionMatrix(num_classes=3, normalize=normalize), *detections(3, empty=1))
    matrix = metric.compute()
    fig, ax = metric.plot()
    expected = matrix.clone()
    expected[-1, -1] = NAN
    np.testing.assert_array_equal(image(ax), expected.numpy())
    written = [f"{value:.2f}" if value == value else "-" for value in matrix.flatten().tolist()]
    assert texts(ax) == written[:-1]
    assert ("-" in written[:-1]) == (normalize == "true")
    assert ax.images[0].get_clim()[1] == (top or matrix.max().item())
    rendered(fig)


def test_a_matrix_of_80_classes_has_all_names_and_no_text() -> None:
    matrix = fed(DetectionConfusionMatrix(class_names=MANY), *detections(80)).compute()
    fig, ax = plot.confusion_matrix(matrix, MANY)
    assert texts(ax) == []
    assert len(ticks(ax.xaxis)) == len(ticks(ax.yaxis)) == 81
    assert ticks(ax.xaxis)[-1] == "background"
    assert {label.get_rotation() for label in ax.get_xticklabels()} == {90}
    assert max(fig.get_size_inches()) < 14


def test_names_of_very_many_classes_are_thinned() -> None:
    _, ax = plot.confusion_matrix(torch.eye(1203), [f"c{i}" for i in range(1203)])
    places = ax.get_xticks().tolist()
    step = int(places[1])
    assert step > 4
    assert ticks(ax.xaxis) == [f"c{i}" for i in range(0, 1203, step)]


def test_cells_on_a_small_axis_hold_no_text() -> None:
    _, axes = pyplot.subplots(4, 4)
    fig, ax = plot.confusion_matrix(torch.ones(15, 15, dtype=torch.int64), MANY[:15], ax=axes[0, 0])
    assert texts(ax) == []
    assert ax is axes[0, 0]
    assert fig is ax.figure
    pyplot.close(fig)


def test_multilabel_matrices_are_a_row_a_class() -> None:
    matrix = torch.tensor([[[80, 20], [3, 1]], [[5, 0], [0, 0]], [[9, 1], [2, 2]], [[1, 1], [1, 1]]])
    fig, ax = plot.confusion_matrix(matrix, ["a", "b", "c", "d"])  # as many classes as outcomes
    assert ticks(ax.xaxis) == ["TP", "FN", "FP", "TN"]
    assert ticks(ax.yaxis) == ["a", "b", "c", "d"]
    assert texts(ax)[:4] == ["1", "3", "20", "80"]
    np.testing.assert_allclose(image(ax)[:2], [[0.25, 0.75, 0.2, 0.8], [NAN, NAN, 0.0, 1.0]])
    rendered(fig)


def test_a_matrix_must_fit_the_names() -> None:
    with pytest.raises(ValueError, match=r"matrix: expected \(2, 2\), one more of each, or \(2, 2, 2\).*got \(4, 4\)"):
        plot.confusion_matrix(torch.zeros(4, 4), ["a", "b"])


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0"), (9_999, "9999"), (10_000, "10.0k"), (999_499, "999k"), (999_600, "1.00M")]
)
def test_short_counts(count: int, text: str) -> None:
    assert short_count(count) == text
    assert len(short_count(123_456_789_012_345)) <= 5


# ----------------------------------------------------------------------------------------------------------------- bars


def bars(ax: Any) -> list[float]:
    (container,) = ax.containers
    return [float(bar.get_width()) for bar in container]


def test_class_bars_are_sorted_and_say_what_is_undefined() -> None:
    values = {"cat": 0.25, "dog": NAN, "bird": torch.tensor(1.0), "cow": 0.0, "ant": NAN}
    fig, ax = plot.class_bars(values, {"cat": 5, "dog": 0, "bird": 12, "cow": 1, "ant": 0}, "AP")
    assert ticks(ax.yaxis) == ["bird", "cat", "cow", "dog", "ant"]
    assert bars(ax) == [1.0, 0.25, 0.0, 0.0, 0.0]
    assert texts(ax) == ["1.000", "0.250", "0.000", "undefined", "undefined", "12", "5", "1", "0", "0", "support"]
    low, high = ax.get_ylim()
    assert low > high  # the first on top
    assert ax.get_xlim() == (0, 1.02)
    assert ax.get_xlabel() == f"AP (dashed: mean {1.25 / 3:.3f})"
    (mean,) = ax.get_lines()
    assert mean.get_xdata() == [pytest.approx(1.25 / 3)] * 2
    rendered(fig)


def test_bars_of_80_classes_all_have_a_name() -> None:
    _, ax = plot.class_bars({name: i / 80 for i, name in enumerate(MANY)}, dict.fromkeys(MANY, 3), "F1")
    assert ticks(ax.yaxis) == [drawing.shorten(name) for name in reversed(MANY)]
    assert len(texts(ax)) == 80 + 80 + 1


def test_bars_without_support_without_classes_and_of_other_classes() -> None:
    _, ax = plot.class_bars({"a": 0.5})
    assert texts(ax) == ["0.500"]
    fig, ax = plot.class_bars({}, {}, "IoU")
    assert "no classes" in texts(ax)
    rendered(fig)
    with pytest.raises(ValueError, match=r"support: expected the classes \['a'\], got \['b'\]"):
        plot.class_bars({"a": 0.5}, {"b": 1})


def test_sizes_are_drawn_in_their_order_with_the_largest_limit() -> None:
    results = {"map": 0.4, "map_50": 0.7, "map_tiny": NAN, "map_huge": 0.6, "mar_1": 0.1, "mar_100": 0.5, "mar_20": 0.3}
    fig, ax = plot.size_bars({**results, "mar_tiny": NAN, "mar_huge": torch.tensor(1.0), "map/cat": 0.3})
    assert ticks(ax.xaxis) == ["all", "tiny", "huge"]
    precision, recall = ([float(bar.get_height()) for bar in container] for container in ax.containers)
    assert (precision, recall) == ([0.4, 0.0, 0.6], [0.5, 0.0, 1.0])
    assert texts(ax) == ["0.400", "undefined", "0.600", "0.500", "undefined", "1.000"]
    assert legend(ax) == ["AP", "AR"]
    assert {bar.get_hatch() for bar in ax.containers[1]} == {"///"}  # told apart in grey
    assert ax.get_ylim() == (0, 1.08)
    rendered(fig)
    with pytest.raises(ValueError, match=r"results: expected map and others.*\['f1'\]"):
        plot.size_bars({"f1": 0.5})


# ------------------------------------------------------------------------------------------------------------ histories


def test_a_history_has_a_line_a_key_and_gaps() -> None:
    results = [{"a": torch.tensor(0.5), "b": 0.1}, {"a": NAN}, {"a": 0.75, "b": 0.25}]
    fig, ax = plot.history(results, "F1")
    drawn = {line.get_label(): data(line) for line in ax.get_lines()}
    np.testing.assert_array_equal(drawn["a"], ([1, 2, 3], [0.5, NAN, 0.75]))
    np.testing.assert_array_equal(drawn["b"], ([1, 2, 3], [0.1, NAN, 0.25]))
    assert all(line.get_marker() in drawing.MARKERS for line in ax.get_lines())  # a point between gaps is seen
    assert legend(ax) == ["a", "b"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Epoch", "F1")
    assert (ax.get_xlim(), ax.get_ylim()) == ((0.5, 3.5), (0, 1.02))
    assert all(tick == int(tick) for tick in ax.get_xticks())
    rendered(fig)


def test_histories_of_one_number_of_nothing_and_of_no_fraction() -> None:
    fig, ax = plot.history([0.25], "IoU")
    assert data(ax.get_lines()[0]) == ([1], [0.25])
    assert ax.get_legend() is None
    rendered(fig)
    for results, said in (([NAN, NAN], "undefined"), ([], "no results")):
        fig, ax = plot.history(results)
        assert texts(ax) == [said]
        rendered(fig)
    _, ax = plot.history([3.0, -1.0])
    assert ax.get_ylim()[0] < -1
    assert ax.get_ylim()[1] > 3


def test_a_history_of_80_classes_names_the_best_and_the_worst_at_the_end() -> None:
    results = [{name: i / 80 if epoch else 1 - i / 80 for i, name in enumerate(MANY)} for epoch in range(3)]
    _, ax = plot.history(results)
    assert len(ax.get_lines()) == 80
    assert legend(ax) == [drawing.shorten(MANY[i], 38) for i in (79, 78, 77, 2, 1, 0)]


# ---------------------------------------------------------------------------------------------- names, colours, figures


def test_few_lines_are_told_apart_without_colour() -> None:
    styles, named = drawing.emphasis([0.5] * drawing.FEW)
    assert named == list(range(drawing.FEW))
    looks = {(style["color"], style["linestyle"]) for style in styles}
    assert len(looks) == drawing.FEW
    for one, other in itertools.pairwise(styles):
        assert one["linestyle"] != other["linestyle"]
    ranked = sorted(np.dot(to_rgb(colour), [0.299, 0.587, 0.114]) for colour in drawing.COLOURS)
    assert ranked[-1] < 0.7  # none too light on white


def all_texts(fig: Figure) -> list[Text]:
    """The texts that are drawn: not those of ticks beyond the limits."""
    beyond = {
        label
        for ax in fig.axes
        for axis in (ax.xaxis, ax.yaxis)
        for tick in axis.get_major_ticks()
        if not min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval())
        for label in (tick.label1, tick.label2)
    }
    return [text for text in fig.findobj(Text) if text.get_visible() and text.get_text() and text not in beyond]


def pictures(names: list[str]) -> Iterator[tuple[Any, Any]]:
    """Every picture of classes with these names, the second of which has no targets."""
    batch = detections(len(names), empty=1)
    curves = fed(DetectionCurves(class_names=names), *batch)
    for options in ({}, {"kind": "score"}, {"kind": "score", "name": names[1]}, {"kind": "score", "name": names[0]}):
        yield curves.plot(**options)
    yield curves.plot([curves.compute()] * 3)
    for metric in (DetectionConfusionMatrix, DetectionReport):
        yield fed(metric(class_names=names), *batch).plot()
    average_precision = fed(MeanAveragePrecision(class_names=names), *batch)
    for kind in ("summary", "classes", "sizes", "precision_recall"):
        yield average_precision.plot(kind=kind)


@pytest.mark.parametrize("names", [["cat", *ODD], ["", "_", "$"], MANY], ids=["odd", "short", "many"])
def test_texts_lie_within_the_picture_and_not_on_each_other(names: list[str]) -> None:
    for fig, ax in pictures(names):
        rendered(fig)
        width, height = fig.canvas.get_width_height()
        drawn = all_texts(fig)
        for text in drawn:
            box = text.get_window_extent()
            assert box.x0 >= -1, text
            assert box.x1 <= width + 1, text
            assert box.y0 >= -1, text
            assert box.y1 <= height + 1, text
        for labels in (ax.get_xticklabels(), ax.get_yticklabels()):
            boxes = [label.get_window_extent() for label in labels if label in drawn and label.get_text()]
            for one, other in itertools.pairwise(boxes):
                overlap = min(one.x1, other.x1) - max(one.x0, other.x0), min(one.y1, other.y1) - max(one.y0, other.y0)
                assert min(overlap) < 1, [label.get_text() for label in labels]


def test_no_name_is_read_as_a_formula_or_left_out() -> None:
    for fig, ax in pictures(["_cat", "$dog$", "a$_b$"]):
        shown = [text for text in all_texts(fig) if re.search(r"_cat|\$", text.get_text())]
        assert not any(text.get_parse_math() for text in shown)
        if ax.get_legend() and len(ax.get_lines()) == 4 and ax.get_xlabel() == "Recall":
            assert [entry.partition(":")[0] for entry in legend(ax)] == ["_cat", "$dog$", "a$_b$", "all classes"]
        rendered(fig)


def test_glyphs_of_the_default_font_are_drawn_with_it() -> None:
    labels, style = drawing.lettering(["é ß", "Жук", "αβγ", "a\nb"])
    assert labels == ["é ß", "Жук", "αβγ", "a b"]
    assert style == {"parse_math": False}


def test_other_glyphs_are_drawn_with_an_installed_font_or_written_as_escapes() -> None:
    """What is installed differs; there is never an empty box, about which matplotlib warns."""
    labels, style = drawing.lettering(["猫", "犬小屋"])
    if labels == ["猫", "犬小屋"]:
        assert len(style["fontfamily"]) > 1
    else:
        assert labels == ["\\u732b", "\\u72ac\\u5c0f\\u5c4b"]
    for fig, _ in pictures(["猫", "犬小屋", "\U000fffff\x07"]):
        rendered(fig)


def test_glyphs_that_no_font_has_are_written_as_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(font_manager.fontManager, "ttflist", [])
    drawing._fallback.cache_clear()
    default = font_manager.FontProperties().get_family()
    paths = {family: str(Path(mpl.get_data_path(), "fonts/ttf/DejaVuSans.ttf")) for family in default}
    monkeypatch.setattr(font_manager, "findfont", lambda properties: paths[properties.get_family()[0]])
    labels, _ = drawing.lettering(["猫 cat", "é"])
    drawing._fallback.cache_clear()
    assert labels == ["\\u732b cat", "é"]


def test_long_names_lose_their_middle() -> None:
    assert drawing.shorten("a" * 30 + "b" * 30, 11) == "aaaaa…bbbbb"
    assert drawing.shorten("犬" * 30, 11) == "犬犬…犬犬"  # they are twice as wide
    assert drawing.shorten("fits", 4) == "fits"


def test_pictures_go_to_the_axis_that_is_given() -> None:
    metric = fed(DetectionCurves(class_names=["cat", "dog"]), *detections(2))
    own, (left, right) = pyplot.subplots(1, 2)
    assert metric.plot(ax=left) == (own, left)
    assert metric.plot(ax=right, kind="score") == (own, right)
    assert len(left.get_lines()) == 3
    assert left.get_legend() is not None
    rendered(own)
    pyplot.close(own)


def test_a_window_can_show_what_it_can_and_nothing_else_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    plot.history([0.5])
    assert pyplot.get_fignums() == []
    monkeypatch.setattr(mpl, "get_backend", lambda: "QtAgg")
    fig, _ = plot.history([0.5])
    assert pyplot.get_fignums() == [fig.number]
    pyplot.close(fig)


WITHOUT_MATPLOTLIB = """
import sys
import torch, torchmetrics  # which may load it
sys.modules["matplotlib"] = None
import detmetrics, detmetrics.plot
metric = detmetrics.SegmentationIoU(num_classes=2)
metric.update(torch.zeros(1, 2), torch.zeros(1, 2).long())
try:
    metric.plot()
except ModuleNotFoundError as error:
    print(error)
"""


def test_matplotlib_is_needed_to_draw_and_for_nothing_else() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_MATPLOTLIB], capture_output=True, text=True, check=True)
    assert done.stdout == 'plot: expected matplotlib: pip install "detmetrics[plot]"\n'


# -------------------------------------------------------------------------------------------------------------- metrics


@pytest.mark.parametrize("name", sorted(registry.public()))
def test_every_metric_draws_itself_a_result_and_a_history(name: str) -> None:
    metric = fed(registry.make(name), *registry.batch(name))
    result = metric.compute()
    before = repr(result)
    for val in (None, result, metric(*registry.batch(name, seed=1)), [result] * 3, (result,)):
        fig, ax = metric.plot(val)
        assert ax.has_data()
        assert ax.figure is fig
        rendered(fig)
        if isinstance(val, list | tuple) and not hasattr(val, "_fields"):
            assert ax.get_xlabel() == "Epoch"
            assert {len(line.get_xdata()) for line in ax.get_lines()} == {len(val)}
    own = Figure().subplots()
    assert metric.plot(ax=own) == (own.figure, own)
    assert repr(result) == before


def test_a_normalised_matrix_stays_as_it_is() -> None:
    matrix = fed(DetectionConfusionMatrix(num_classes=2, normalize="true"), *detections(2)).compute()
    before = matrix.clone()
    plot.confusion_matrix(matrix, ["a", "b"])
    assert torch.equal(matrix, before)


def test_a_name_is_text_wherever_it_stands() -> None:
    metric = fed(DetectionCurves(class_names=["a$x_$", "all classes"]), *detections(2))
    result = metric.compute()
    fig, ax = metric.plot([result, result], kind="score", name="a$x_$")
    rendered(fig)
    assert ax.get_ylabel() == "Best F-score and threshold, a$x_$"
    _, ax = metric.plot([result, result])
    assert [line.get_label() for line in ax.get_lines()] == ["a$x_$", "all classes", "all classes (pooled)"]


def test_what_stands_for_undefined_is_no_best_point() -> None:
    preds, target = detections(2)  # of the third class there is nothing at all
    metric = fed(DetectionCurves(class_names=["a", "b", "c"], zero_division=1.0), preds, target)
    assert metric.compute().best_f_beta[2] == 1
    assert texts(metric.plot(kind="score", name="c")[1]) == ["no targets or no detections"]


def test_results_of_other_classes_are_not_called_by_those_seen_last() -> None:
    metric = fed(DetectionF1Score(average="none"), *detections(2))
    first = metric.compute()
    metric.reset()
    preds, target = detections(2)
    metric.update([{**p, "labels": p["labels"] + 7} for p in preds], [{**t, "labels": t["labels"] + 7} for t in target])
    assert sorted(tick.get_text() for tick in metric.plot()[1].get_yticklabels()) == ["7", "8"]
    assert sorted(tick.get_text() for tick in metric.plot(first)[1].get_yticklabels()) == ["0", "1"]


def test_names_that_are_shortened_stay_apart() -> None:
    names = [f"a very long class name number {i} of the set of many classes" for i in range(3)]
    labels, _ = drawing.lettering([*names, names[0]])
    assert len(set(labels[:3])) == 3
    assert drawing.lettering(["same", "same"])[0] == ["same", "same"]


def test_results_that_cannot_be_drawn_say_so() -> None:
    with pytest.raises(ValueError, match="expected map and mar of the same areas"):
        plot.size_bars({"map": 0.5, "map_small": 0.4})
    with pytest.raises(ValueError, match="val: expected a number, a vector or a dict"):
        DetectionF1Score().plot({"f1/a": "x"})
    assert short_count(10**15) == "1.00P"


@pytest.mark.parametrize("name", sorted(registry.public()))
def test_every_metric_refuses_what_it_has_not_returned(name: str) -> None:
    metric = fed(registry.make(name), *registry.batch(name))
    for val in ("what", {"what": torch.zeros(3)}):
        for given in (val, [val]):
            with pytest.raises(ValueError, match=r"^(val|results): expected"):
                metric.plot(given)


@pytest.mark.parametrize("name", sorted(registry.public()))
def test_every_metric_draws_without_data(name: str) -> None:
    batch = ([], []) if name in registry.DETECTION else (torch.zeros(0, 8, 8), torch.zeros(0, 8, 8))
    if name in registry.CLASSIFICATION:
        batch = (torch.zeros(0), torch.zeros(0).long())
    fig, _ = fed(registry.make(name), *batch).plot()
    rendered(fig)


def test_every_metric_is_in_the_registry() -> None:
    assert set(registry.public()) == set(registry.EVERY)


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


def test_a_collection_of_torchmetrics_draws_them() -> None:
    collection = MetricCollection(
        {"f1": DetectionF1Score(), "curves": DetectionCurves(), "confusion": DetectionConfusionMatrix(num_classes=2)}
        | {"precision": DetectionPrecision(pairs="all")}
    )
    collection.update(*detections(2))
    drawn = collection.plot()
    assert len(drawn) == 4
    for fig, _ in drawn:
        rendered(fig)
    numbers = MetricCollection({"f1": DetectionF1Score(), "precision": DetectionPrecision()})
    numbers.update(*detections(2))
    for fig, ax in numbers.plot([numbers.compute()] * 3):
        assert data(ax.get_lines()[0])[0] == [1, 2, 3]
        rendered(fig)
    own, axes = pyplot.subplots(1, 2)
    assert [ax for _, ax in numbers.plot(ax=list(axes))] == list(axes)
    pyplot.close(own)


def test_the_pictures_of_the_readme_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = Path(__file__).resolve().parent.parent / ".readme" / "pictures.py"
    if not script.is_file():
        pytest.skip("the script is in the repository alone, not in the distribution")
    monkeypatch.setattr(sys, "argv", [str(script), str(tmp_path)])
    runpy.run_path(str(script), run_name="__main__")
    written = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert set(written) == {"score.png", "confusion.png"}
    assert all(1_000 < size < 100_000 for size in written.values())
