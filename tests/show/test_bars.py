"""Bars and histories: order, texts, labels, and what is not defined."""

import numpy as np
import pytest
import torch

from detmetrics import (
    plot,
)
from detmetrics.show.plot import drawing
from tests.show.drawn import MANY, NAN, bars, data, legend, rendered, texts, ticks


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
