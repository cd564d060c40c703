"""Confusion matrices: cells, colours, names, and what is not defined."""

from typing import Any

import numpy as np
import pytest
import torch
from matplotlib import pyplot
from matplotlib.colors import to_rgb

from detmetrics import (
    DetectionConfusionMatrix,
    plot,
)
from detmetrics.show.plot.matrices import short_count
from tests.show.drawn import MANY, NAN, detections, fed, rendered, texts, ticks


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
